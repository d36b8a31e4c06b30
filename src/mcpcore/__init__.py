"""A client for the Model Context Protocol without any I/O: bytes in, bytes out, one identity for each request.

Start at :class:`Client`.  What it asks of a driver is in :mod:`mcpcore.commands`; who a call is for, and what a header
resolver is told, in :class:`CallContext` and :class:`RequestContext`.
"""

import logging

from mcpcore.challenges import Challenge
from mcpcore.client import Client
from mcpcore.commands import (
    Command,
    Complete,
    Deliver,
    EndResponse,
    ReceiveData,
    ResolveHeaders,
    SendRequest,
    StartReader,
    WaitFor,
)
from mcpcore.context import CallContext, RequestContext, RequestKind, Resolver
from mcpcore.errors import (
    ConfigurationError,
    DeadlineExceeded,
    ForbiddenError,
    HeaderResolverError,
    HttpStatusError,
    LimitExceeded,
    LocalProtocolError,
    McpError,
    NotSentError,
    RedirectError,
    RemoteProtocolError,
    RpcError,
    TransportError,
    UnauthorizedError,
)
from mcpcore.http_sse import EventStream
from mcpcore.limits import Limits
from mcpcore.operation import Operation
from mcpcore.partitions import Discovery
from mcpcore.signals import Signal
from mcpcore.tools import CallToolResult, Progress, Tool
from mcpcore.version import __version__

__all__ = [
    "CallContext",
    "CallToolResult",
    "Challenge",
    "Client",
    "Command",
    "Complete",
    "ConfigurationError",
    "DeadlineExceeded",
    "Deliver",
    "Discovery",
    "EndResponse",
    "EventStream",
    "ForbiddenError",
    "HeaderResolverError",
    "HttpStatusError",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "McpError",
    "NotSentError",
    "Operation",
    "Progress",
    "ReceiveData",
    "RedirectError",
    "RemoteProtocolError",
    "RequestContext",
    "RequestKind",
    "ResolveHeaders",
    "Resolver",
    "RpcError",
    "SendRequest",
    "Signal",
    "StartReader",
    "Tool",
    "TransportError",
    "UnauthorizedError",
    "WaitFor",
    "__version__",
]

logging.getLogger("mcpcore").addHandler(logging.NullHandler())
