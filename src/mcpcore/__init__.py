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
    from mcpcore.types.annotations import Annotations, Icon
    from mcpcore.types.content import (
        AudioContent,
        ContentBlock,
        EmbeddedResource,
        ImageContent,
        ResourceLink,
        TextContent,
        ToolResultContent,
        ToolUseContent,
        UnknownContent,
        read_content,
    )
    from mcpcore.types.elicitation import ElicitRequest, ElicitResult, ElicitUrlRequest
    from mcpcore.types.logging import LogLevel, LogMessage
    from mcpcore.types.resources import (
        BlobResourceContents,
        ReadResourceResult,
        Resource,
        ResourceContents,
        ResourceTemplate,
        TextResourceContents,
    )
    from mcpcore.types.roots import Root
    from mcpcore.types.sampling import (
        CreateMessageRequest,
        CreateMessageResult,
        ModelHint,
        ModelPreferences,
        SamplingMessage,
        ToolChoice,
    )
    from mcpcore.types.tools import CallToolResult, Progress, Tool
    from mcpcore.types.wire import Role
    from mcpcore.version import __version__

__all__ = [
    "Annotations",
    "AudioContent",
    "BlobResourceContents",
    "CallContext",
    "CallToolResult",
    "Challenge",
    "Client",
    "Command",
    "Complete",
    "ConfigurationError",
    "ContentBlock",
    "CreateMessageRequest",
    "CreateMessageResult",
    "DeadlineExceeded",
    "Deliver",
    "Discovery",
    "ElicitRequest",
    "ElicitResult",
    "ElicitUrlRequest",
    "EmbeddedResource",
    "EndResponse",
    "EventStream",
    "ForbiddenError",
    "HeaderResolverError",
    "HttpStatusError",
    "Icon",
    "ImageContent",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "LogLevel",
    "LogMessage",
    "McpError",
    "ModelHint",
    "ModelPreferences",
    "NotSentError",
    "Operation",
    "Progress",
    "ReadResourceResult",
    "ReceiveData",
    "RedirectError",
    "RemoteProtocolError",
    "RequestContext",
    "RequestKind",
    "ResolveHeaders",
    "Resolver",
    "Resource",
    "ResourceContents",
    "ResourceLink",
    "ResourceTemplate",
    "Role",
    "Root",
    "RpcError",
    "SamplingMessage",
    "SendRequest",
    "Signal",
    "StartReader",
    "Statistics",
    "StoreDelete",
    "StoreGet",
    "StorePut",
    "StoredEntry",
    "TextContent",
    "TextResourceContents",
    "Tool",
    "ToolChoice",
    "ToolResultContent",
    "ToolUseContent",
    "TransportError",
    "UnauthorizedError",
    "UnknownContent",
    "WaitFor",
    "__version__",
    "read_content",
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
    "types.annotations": (
        "Annotations",
        "Icon",
    ),
    "types.content": (
        "AudioContent",
        "ContentBlock",
        "EmbeddedResource",
        "ImageContent",
        "ResourceLink",
        "TextContent",
        "ToolResultContent",
        "ToolUseContent",
        "UnknownContent",
        "read_content",
    ),
    "types.elicitation": (
        "ElicitRequest",
        "ElicitResult",
        "ElicitUrlRequest",
    ),
    "types.logging": (
        "LogLevel",
        "LogMessage",
    ),
    "types.resources": (
        "BlobResourceContents",
        "ReadResourceResult",
        "Resource",
        "ResourceContents",
        "ResourceTemplate",
        "TextResourceContents",
    ),
    "types.roots": ("Root",),
    "types.sampling": (
        "CreateMessageRequest",
        "CreateMessageResult",
        "ModelHint",
        "ModelPreferences",
        "SamplingMessage",
        "ToolChoice",
    ),
    "types.tools": (
        "CallToolResult",
        "Progress",
        "Tool",
    ),
    "types.wire": ("Role",),
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
