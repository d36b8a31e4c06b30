"""The demonstration behind ``mcpcore demo``: two users, one client, and a server that notes what it was sent.

:func:`play` runs one scene over real loopback sockets and brings back the evidence; :func:`judge` says what it proves;
:func:`lines` retells it request by request.  Nothing here prints.
"""

from .scene import Era, Evidence, Received, Tokens, play, user_headers
from .verdict import Line, Verdict, judge, lines, total

__all__ = [
    "Era",
    "Evidence",
    "Line",
    "Received",
    "Tokens",
    "Verdict",
    "judge",
    "lines",
    "play",
    "total",
    "user_headers",
]
