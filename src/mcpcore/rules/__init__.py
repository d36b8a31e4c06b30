"""What the protocol and this library lay down, as pure functions and tables.

What each revision permits, which transitions there are, what may be cached, where headers come from and how far they
travel.  A rule keeps nothing of any client or call.  Rules may import codecs, errors, redaction and, to name its types,
the context of a call.
"""
