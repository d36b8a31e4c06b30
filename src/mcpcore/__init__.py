"""A client for the Model Context Protocol without any I/O: bytes in, bytes out, one identity for each request.

Start at :class:`Client`.  What it asks of a driver is in :mod:`mcpcore.commands`; who a call is for, and what a header
resolver is told, in :class:`CallContext` and :class:`RequestContext`.

Each name is loaded when it is first used, so that a program which only may need a client does not pay for one at its
start.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcpcore.client import Client
    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import (
        Command,
        Complete,
        Deliver,
        EndResponse,
        ReceiveData,
        ResolveHeaders,
        SendRequest,
        StartReader,
        StoreDelete,
        StoredEntry,
        StoreGet,
        StorePut,
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
    from mcpcore.limits import Limits
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.operation import Operation
    from mcpcore.signals import Signal
    from mcpcore.state.partitions import Discovery
    from mcpcore.statistics import Statistics
    from mcpcore.types.tools import CallToolResult, Progress, Tool
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
    "Statistics",
    "StoreDelete",
    "StoreGet",
    "StorePut",
    "StoredEntry",
    "Tool",
    "TransportError",
    "UnauthorizedError",
    "WaitFor",
    "__version__",
]

_MODULES = {
    "client": ("Client",),
    "codecs.challenges": ("Challenge",),
    "commands": (
        "Command",
        "Complete",
        "Deliver",
        "EndResponse",
        "ReceiveData",
        "ResolveHeaders",
        "SendRequest",
        "StartReader",
        "StoreDelete",
        "StoreGet",
        "StorePut",
        "StoredEntry",
        "WaitFor",
    ),
    "context": (
        "CallContext",
        "RequestContext",
        "RequestKind",
        "Resolver",
    ),
    "errors": (
        "ConfigurationError",
        "DeadlineExceeded",
        "ForbiddenError",
        "HeaderResolverError",
        "HttpStatusError",
        "LimitExceeded",
        "LocalProtocolError",
        "McpError",
        "NotSentError",
        "RedirectError",
        "RemoteProtocolError",
        "RpcError",
        "TransportError",
        "UnauthorizedError",
    ),
    "limits": ("Limits",),
    "machines.http_sse": ("EventStream",),
    "operation": ("Operation",),
    "signals": ("Signal",),
    "state.partitions": ("Discovery",),
    "statistics": ("Statistics",),
    "types.tools": (
        "CallToolResult",
        "Progress",
        "Tool",
    ),
    "version": ("__version__",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


logging.getLogger(__name__).addHandler(logging.NullHandler())
