"""What can be asked of a server: a request, a list, a tool call, each in whatever way the server speaks.

A verb looks into the cache first and leaves the sending to a machine.  Verbs may import everything but
:mod:`mcpcore.client` and :mod:`mcpcore.operation`, which stand on top of them.
"""
