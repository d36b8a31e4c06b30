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
        CallHandler,
        Command,
        Complete,
        Deliver,
        Emit,
        EndResponse,
        Flow,
        LookUp,
        OpenChannel,
        ReceiveData,
        ResolveHeaders,
        SendMessage,
        SendRequest,
        Spawn,
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
        InputRequiredError,
        LimitExceeded,
        LocalProtocolError,
        LoginRequiredError,
        McpError,
        NotSentError,
        OAuthError,
        OAuthResponseError,
        RedirectError,
        RemoteProtocolError,
        RpcError,
        TaskCancelledError,
        ToolError,
        TransportError,
        UnauthorizedError,
    )
    from mcpcore.extensions import Extension, Unfinished
    from mcpcore.handlers import BY_HAND, Handlers
    from mcpcore.limits import Limits
    from mcpcore.machines.channel import DuplexChannel
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.grants import AuthorizationCode, ClientCredentials, EnterpriseManaged, JwtBearer
    from mcpcore.oauth.interaction import AssertionHandler, AssertionRequest, AuthorizationHandler, AuthorizationRequest
    from mcpcore.oauth.oauth import OAuth
    from mcpcore.oauth.provider import (
        AuthEnvironment,
        AuthProvider,
        BearerAuth,
        Credentials,
        Login,
        LoginProvider,
        Refusal,
        TokenSource,
    )
    from mcpcore.oauth.signing import Signer
    from mcpcore.oauth.token_store import TokenStore
    from mcpcore.operation import Operation, SentRequest
    from mcpcore.rules.output_schemas import Mismatch, OutputChecker, OutputValidator
    from mcpcore.rules.trace_context import TraceHook
    from mcpcore.signals import Signal
    from mcpcore.statistics import Statistics
    from mcpcore.tasks import TASKS
    from mcpcore.types.annotations import Annotations, Icon
    from mcpcore.types.capabilities import (
        Capability,
        ClientCapabilities,
        ElicitationCapability,
        SamplingCapability,
        ServerCapabilities,
    )
    from mcpcore.types.completion import CompleteResult, Completion, PromptReference, ResourceTemplateReference
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
    from mcpcore.types.discovery import Discovery
    from mcpcore.types.elicitation import ElicitRequest, ElicitResult, ElicitUrlRequest
    from mcpcore.types.implementation import Implementation
    from mcpcore.types.logging import LogLevel, LogMessage
    from mcpcore.types.progress import Progress
    from mcpcore.types.prompts import GetPromptResult, Prompt, PromptArgument, PromptMessage
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
    from mcpcore.types.subscriptions import (
        Acknowledged,
        ListChanged,
        OtherNotification,
        Reopened,
        ResourceUpdated,
        StreamEvent,
        SubscriptionFilter,
    )
    from mcpcore.types.tasks import DetailedTask, Task, TaskStatus
    from mcpcore.types.tool_formats import to_anthropic, to_openai
    from mcpcore.types.tools import CallToolResult, Tool, ToolAnnotations
    from mcpcore.types.wire import Role
    from mcpcore.verbs.listing import Listing, Page
    from mcpcore.verbs.prompts import PROMPTS
    from mcpcore.verbs.resources import RESOURCE_TEMPLATES, RESOURCES
    from mcpcore.verbs.tools import TOOLS
    from mcpcore.version import __version__

__all__ = [
    "BY_HAND",
    "PROMPTS",
    "RESOURCES",
    "RESOURCE_TEMPLATES",
    "TASKS",
    "TOOLS",
    "Acknowledged",
    "Annotations",
    "AssertionHandler",
    "AssertionRequest",
    "AudioContent",
    "AuthEnvironment",
    "AuthProvider",
    "AuthorizationCode",
    "AuthorizationHandler",
    "AuthorizationRequest",
    "BearerAuth",
    "BlobResourceContents",
    "CallContext",
    "CallHandler",
    "CallToolResult",
    "Capability",
    "Challenge",
    "Client",
    "ClientCapabilities",
    "ClientCredentials",
    "Command",
    "Complete",
    "CompleteResult",
    "Completion",
    "ConfigurationError",
    "ContentBlock",
    "CreateMessageRequest",
    "CreateMessageResult",
    "Credentials",
    "DeadlineExceeded",
    "Deliver",
    "DetailedTask",
    "Discovery",
    "DuplexChannel",
    "ElicitRequest",
    "ElicitResult",
    "ElicitUrlRequest",
    "ElicitationCapability",
    "EmbeddedResource",
    "Emit",
    "EndResponse",
    "EnterpriseManaged",
    "EventStream",
    "Extension",
    "Flow",
    "ForbiddenError",
    "GetPromptResult",
    "Handlers",
    "HeaderResolverError",
    "HttpStatusError",
    "Icon",
    "ImageContent",
    "Implementation",
    "InputRequiredError",
    "JwtBearer",
    "LimitExceeded",
    "Limits",
    "ListChanged",
    "Listing",
    "LocalProtocolError",
    "LogLevel",
    "LogMessage",
    "Login",
    "LoginProvider",
    "LoginRequiredError",
    "LookUp",
    "McpError",
    "Mismatch",
    "ModelHint",
    "ModelPreferences",
    "NotSentError",
    "OAuth",
    "OAuthError",
    "OAuthResponseError",
    "OpenChannel",
    "Operation",
    "OtherNotification",
    "OutputChecker",
    "OutputValidator",
    "Page",
    "Progress",
    "Prompt",
    "PromptArgument",
    "PromptMessage",
    "PromptReference",
    "ReadResourceResult",
    "ReceiveData",
    "RedirectError",
    "Refusal",
    "RegisteredClient",
    "RemoteProtocolError",
    "Reopened",
    "RequestContext",
    "RequestKind",
    "ResolveHeaders",
    "Resolver",
    "Resource",
    "ResourceContents",
    "ResourceLink",
    "ResourceTemplate",
    "ResourceTemplateReference",
    "ResourceUpdated",
    "Role",
    "Root",
    "RpcError",
    "SamplingCapability",
    "SamplingMessage",
    "SendMessage",
    "SendRequest",
    "SentRequest",
    "ServerCapabilities",
    "Signal",
    "Signer",
    "Spawn",
    "StartReader",
    "Statistics",
    "StoreDelete",
    "StoreGet",
    "StorePut",
    "StoredEntry",
    "StreamEvent",
    "SubscriptionFilter",
    "Task",
    "TaskCancelledError",
    "TaskStatus",
    "TextContent",
    "TextResourceContents",
    "TokenSource",
    "TokenStore",
    "Tool",
    "ToolAnnotations",
    "ToolChoice",
    "ToolError",
    "ToolResultContent",
    "ToolUseContent",
    "TraceHook",
    "TransportError",
    "UnauthorizedError",
    "Unfinished",
    "UnknownContent",
    "WaitFor",
    "__version__",
    "read_content",
    "to_anthropic",
    "to_openai",
]

_MODULES = {
    "client": ("Client",),
    "codecs.challenges": ("Challenge",),
    "commands": (
        "CallHandler",
        "Command",
        "Complete",
        "Deliver",
        "Emit",
        "EndResponse",
        "Flow",
        "LookUp",
        "OpenChannel",
        "ReceiveData",
        "ResolveHeaders",
        "SendMessage",
        "SendRequest",
        "Spawn",
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
        "InputRequiredError",
        "LimitExceeded",
        "LocalProtocolError",
        "LoginRequiredError",
        "McpError",
        "NotSentError",
        "OAuthError",
        "OAuthResponseError",
        "RedirectError",
        "RemoteProtocolError",
        "RpcError",
        "TaskCancelledError",
        "ToolError",
        "TransportError",
        "UnauthorizedError",
    ),
    "extensions": ("Extension", "Unfinished"),
    "handlers": ("BY_HAND", "Handlers"),
    "limits": ("Limits",),
    "machines.channel": ("DuplexChannel",),
    "machines.http_sse": ("EventStream",),
    "oauth.clients": ("RegisteredClient",),
    "oauth.grants": (
        "AuthorizationCode",
        "ClientCredentials",
        "EnterpriseManaged",
        "JwtBearer",
    ),
    "oauth.interaction": (
        "AssertionHandler",
        "AssertionRequest",
        "AuthorizationHandler",
        "AuthorizationRequest",
    ),
    "oauth.oauth": ("OAuth",),
    "oauth.provider": (
        "AuthEnvironment",
        "AuthProvider",
        "BearerAuth",
        "Credentials",
        "Login",
        "LoginProvider",
        "Refusal",
        "TokenSource",
    ),
    "oauth.signing": ("Signer",),
    "oauth.token_store": ("TokenStore",),
    "operation": ("Operation", "SentRequest"),
    "rules.output_schemas": ("Mismatch", "OutputChecker", "OutputValidator"),
    "rules.trace_context": ("TraceHook",),
    "signals": ("Signal",),
    "types.discovery": ("Discovery",),
    "tasks": ("TASKS",),
    "statistics": ("Statistics",),
    "types.annotations": (
        "Annotations",
        "Icon",
    ),
    "types.capabilities": (
        "Capability",
        "ClientCapabilities",
        "ElicitationCapability",
        "SamplingCapability",
        "ServerCapabilities",
    ),
    "types.completion": (
        "CompleteResult",
        "Completion",
        "PromptReference",
        "ResourceTemplateReference",
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
    "types.implementation": ("Implementation",),
    "types.logging": (
        "LogLevel",
        "LogMessage",
    ),
    "types.progress": ("Progress",),
    "types.prompts": (
        "GetPromptResult",
        "Prompt",
        "PromptArgument",
        "PromptMessage",
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
    "types.tasks": (
        "DetailedTask",
        "Task",
        "TaskStatus",
    ),
    "types.tool_formats": (
        "to_anthropic",
        "to_openai",
    ),
    "types.subscriptions": (
        "Acknowledged",
        "ListChanged",
        "OtherNotification",
        "Reopened",
        "ResourceUpdated",
        "StreamEvent",
        "SubscriptionFilter",
    ),
    "types.tools": (
        "CallToolResult",
        "Tool",
        "ToolAnnotations",
    ),
    "types.wire": ("Role",),
    "verbs.listing": (
        "Listing",
        "Page",
    ),
    "verbs.prompts": ("PROMPTS",),
    "verbs.resources": (
        "RESOURCES",
        "RESOURCE_TEMPLATES",
    ),
    "verbs.tools": ("TOOLS",),
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
