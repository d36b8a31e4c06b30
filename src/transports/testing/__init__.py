"""A scripted MCP server, to test how a program authenticates.

In short::

    server = Server(tools=[echo_headers])
    async with serve(server) as served:
        ...  # run your program against served.url
    server.journal.assert_every_request_carries("authorization")
"""

from .answers import Answer, Body, Disconnect, Message, message_event
from .call import Call
from .handlers import Handler, Progress, RawResult, Send
from .journal import Journal
from .prompts import Prompt
from .requests import Headers, Match, Outcome, ReceivedRequest
from .resources import Resource
from .server import Forward, Script, Server
from .serving import Served, serve
from .tools import Tool, echo_headers

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
    "Prompt",
    "RawResult",
    "ReceivedRequest",
    "Resource",
    "Script",
    "Send",
    "Served",
    "Server",
    "Tool",
    "echo_headers",
    "message_event",
    "serve",
]
