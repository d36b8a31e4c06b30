"""A scripted MCP server, to test how a program authenticates.

In short::

    server = Server(tools=[echo_headers])
    async with serve(server) as served:
        ...  # run your program against served.url
    server.journal.assert_every_request_carries("authorization")
"""

from .answers import Answer, Body, Disconnect, Message, message_event
from .call import Call
from .journal import Journal
from .requests import Headers, Match, Outcome, ReceivedRequest
from .server import Forward, Script, Server
from .serving import Served, serve
from .tools import Handler, Progress, RawResult, Send, Tool, echo_headers

__all__ = [
    "Answer",
    "Body",
    "Call",
    "Disconnect",
    "Forward",
    "Handler",
    "Headers",
    "Journal",
    "Match",
    "Message",
    "Outcome",
    "Progress",
    "RawResult",
    "ReceivedRequest",
    "Script",
    "Send",
    "Served",
    "Server",
    "Tool",
    "echo_headers",
    "message_event",
    "serve",
]
