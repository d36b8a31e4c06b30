"""A client for the Model Context Protocol that does no I/O: bytes in, bytes out."""
