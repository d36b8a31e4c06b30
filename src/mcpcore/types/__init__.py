"""What users touch of the wire: the objects of the protocol that are handed to them.

Immutable values, read leniently from what a server sent.  They may import codecs and errors, and know nothing of how
they were asked for.
"""
