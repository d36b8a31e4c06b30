"""From bytes to values and back: JSON, JSON-RPC, event streams, header fields, challenges.

A codec knows a grammar and no policy of MCP's: what a value means, and what follows from it, is said elsewhere.  Codecs
may import one another and, of the rest, only errors, limits and redaction.
"""
