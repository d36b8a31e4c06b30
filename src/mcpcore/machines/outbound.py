"""One outbound HTTP request before it is sent, and where its headers come from.

What the protocol says of a request, its :class:`Outbound` holds; all else is asked for, request by request, by
:func:`resolve`: first what authorizes it, then what the user's resolvers add.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field

from mcpcore.commands import ResolveHeaders
from mcpcore.context import RequestContext, RequestKind
from mcpcore.oauth.provider import Credentials, ask_provider
from mcpcore.redaction import redact_url, repr_of_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.machines.channel import DuplexChannel
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.rules.revisions import Revision
    from mcpcore.state.call import Call

_ENCODING = (b"accept-encoding", b"gzip, deflate")
POST_HEADERS = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/json, text/event-stream"),
    _ENCODING,
)
GET_HEADERS = ((b"accept", b"text/event-stream"), _ENCODING)
DELETE_HEADERS = ((b"accept", b"application/json"), _ENCODING)


@define(kw_only=True)
class Outbound:
    """One HTTP request before its headers are resolved.

    :ivar headers: what the protocol owns.
    :ivar revision: the revision it is made in, or None before that is known.
    :ivar answered_elsewhere: whether the JSON-RPC answer comes on another stream than this request's response.
    :ivar is_stream: whether the response stays open for as long as somebody listens.
    :ivar channel: what it goes over instead of HTTP, or None; there is nothing but its body then.
    :ivar trace: which trace its message says that it belongs to; None if it has no message that could.
    """

    kind: RequestKind
    url: str = field(repr=redact_url)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    http_method: str = "POST"
    body: bytes = field(default=b"", repr=False)
    rpc_method: str | None = None
    rpc_name: str | None = field(default=None, repr=repr_of_name)
    request_id: int | str | None = None
    revision: Revision | None = None
    answered_elsewhere: bool = False
    is_stream: bool = False
    channel: DuplexChannel | None = None
    trace: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def awaited_id(self) -> int | str | None:
        """The id of the JSON-RPC response that the HTTP response is to hold, or None for none."""
        return None if self.answered_elsewhere or self.kind is RequestKind.RESPONSE else self.request_id

    @property
    def name(self) -> str:
        """What this request is called in an error."""
        if self.rpc_method is None:
            return f"{self.http_method} ({self.kind.value})"
        return f"{self.rpc_method} {repr_of_name(self.rpc_name)}" if self.rpc_name else self.rpc_method


def resolve(
    call: Call, outbound: Outbound, *, attempt: int = 1, challenge: Challenge | None = None
) -> Flow[Resolution]:
    """Ask every resolver, in order, for the headers of one request.

    :raises HeaderResolverError: if one raises or returns what cannot be sent.
    """
    pipeline, context = call.state.pipeline, call.context
    resolution = pipeline.begin(context, None if call.state.trace_hook is None else _trace_of(call, outbound))
    if (auth := call.state.auth) is not None:
        request = context_of(call, outbound, resolution, attempt, challenge)
        credentials = yield from ask_provider(
            auth.provider, partial(auth.provider.headers, request, auth.environment), Credentials
        )
        resolution.authorize(credentials, shows_identity=auth.provider.shows_identity)
    call.resolutions += bool(pipeline.resolvers)
    for step, resolver in enumerate(pipeline.resolvers):
        request = context_of(call, outbound, resolution, attempt, challenge)
        try:
            headers = yield ResolveHeaders(resolver, request)
        except Exception as exc:
            raise resolution.failure(step, f"raised {type(exc).__name__}; nothing was sent") from exc
        resolution.add(step, headers)
    call.settle(resolution)
    return resolution


def context_of(
    call: Call, outbound: Outbound, resolution: Resolution, attempt: int, challenge: Challenge | None
) -> RequestContext:
    """What whoever adds headers is told of a request."""
    context = call.context
    return RequestContext(
        mcp_server_url=call.state.endpoint.configured,
        url=outbound.url,
        http_method=outbound.http_method,
        kind=outbound.kind,
        rpc_method=outbound.rpc_method,
        rpc_name=outbound.rpc_name,
        request_id=outbound.request_id,
        body=outbound.body,
        attempt=attempt,
        challenge=challenge,
        headers=resolution.visible(),
        protocol_version=outbound.revision.name if outbound.revision else None,
        principal=context.principal,
        request_headers=context.request_headers,
        user=context.user,
        input=context.input,
    )


def _trace_of(call: Call, outbound: Outbound) -> Mapping[str, str]:
    """What the headers of one request are to say of its trace: the same as its message."""
    return call.state.trace() if outbound.trace is None else outbound.trace
