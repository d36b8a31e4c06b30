"""Authorization: OAuth 2.1 as MCP profiles it (2026-07-28, "Authorization"), as flows without I/O.

A flow yields the same commands as every other work of the core, so each of these can be played in a unit test with both
servers as data.  What talks to the outside (a person's browser, a key, a store) is given by the user.
"""
