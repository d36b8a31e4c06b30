"""One JSON-RPC message to the server, in whatever way this server is to be spoken to.

The four ways (modern, a session over Streamable HTTP, HTTP+SSE, a channel) meet here and nowhere above.  Where one of
them says by :class:`~mcpcore.machines.negotiation.VerdictBroken` that the server answers as if it were of another kind,
the call searches again and, if the server has indeed changed, sends its message once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.codecs.jsonrpc import Notification
from mcpcore.codecs.shapes import as_object
from mcpcore.context import RequestKind
from mcpcore.errors import LocalProtocolError
from mcpcore.machines.channel import ensure_channel, notify_on
from mcpcore.machines.http_sse import ensure_stream, post_message
from mcpcore.machines.modern import DISCOVER, read_discovery
from mcpcore.machines.negotiation import VerdictBroken, is_foreign, is_modern_error, negotiate, negotiate_again
from mcpcore.machines.refusals import refusal
from mcpcore.machines.session import OpeningRefused, ensure_session, exchange_in_session
from mcpcore.rules.freshness import CacheMode, cache_key
from mcpcore.rules.metadata import with_meta
from mcpcore.verbs.asking import asking
from mcpcore.verbs.cached_requests import answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import Verdict
    from mcpcore.types.discovery import Discovery
    from mcpcore.verbs.cached_requests import Answer

    T = TypeVar("T")


def request(
    call: Call, method: str, params: dict[str, Any], mode: CacheMode = CacheMode.BYPASS
) -> Flow[dict[str, Any]]:
    """Make one request and return its result."""
    if mode is CacheMode.BYPASS:
        return settled(call, lambda verdict: asking(call, verdict, method, params).make())
    return _first(ask(call, method, params, mode))


def _first(asked: Flow[Answer]) -> Flow[dict[str, Any]]:
    return (yield from asked).results[0]


def ask(call: Call, method: str, params: dict[str, Any], mode: CacheMode, *, is_list: bool = False) -> Flow[Answer]:
    """Make one request, unless the answer is at hand."""
    return settled(call, lambda verdict: _ask(call, verdict, method, params, mode, is_list=is_list))


def notify(call: Call, method: str, params: dict[str, Any]) -> Flow[None]:
    """Send one notification."""
    return settled(call, lambda verdict: _notify(call, verdict, method, params))


def ping(call: Call) -> Flow[None]:
    """See whether the server answers: by ``ping`` where the revision has it, else by ``server/discover``."""
    return settled(call, lambda verdict: _ping(call, verdict))


def verdict(call: Call) -> Flow[Verdict]:
    """How the server is to be spoken to, found out if need be."""
    return (yield from negotiate(call))


def require(call: Call, capability: str, detail: str | None = None) -> Flow[None]:
    """Hold back what the server of a session did not say that it can do (2025-11-25, "Lifecycle", Operation).

    In the modern era there is nothing to hold back: a discovery is a request of its own, and the server says no itself.

    :raises LocalProtocolError: if it did not.
    """
    offered = as_object((yield from open_(call)).capabilities.raw.get(capability))
    if offered is None or (detail is not None and not offered.get(detail)):
        what = capability if detail is None else f"{capability}.{detail}"
        raise LocalProtocolError(f"the server did not declare the capability {what}")


def open_(call: Call) -> Flow[Discovery]:
    """Do what the first call of an identity does before its own request."""
    return settled(call, lambda verdict: _open(call, verdict))


def settled(call: Call, speak: Callable[[Verdict], Flow[T]]) -> Flow[T]:
    """Speak to the server as the verdict says; if that no longer holds, find out anew and speak once more."""
    verdict = call.state.known_verdict or (yield from negotiate(call))
    try:
        return (yield from speak(verdict))
    except (VerdictBroken, OpeningRefused) as refused:
        broken = _translated(call, refused)
    verdict = yield from negotiate_again(call, broken, verdict)
    try:
        return (yield from speak(verdict))
    except (VerdictBroken, OpeningRefused) as refused:
        raise _translated(call, refused).error from None


def _translated(call: Call, refused: VerdictBroken | OpeningRefused) -> VerdictBroken:
    """A refusal to open a session or stream, as what it says about the verdict.

    :raises McpError: if it says nothing about it.
    """
    if isinstance(refused, VerdictBroken):
        return refused
    error = refused.error(call)
    if is_foreign(refused.exchange) or is_modern_error(refused.exchange):
        return VerdictBroken(error)
    raise error from None


def _ask(
    call: Call, verdict: Verdict, method: str, params: dict[str, Any], mode: CacheMode, *, is_list: bool = False
) -> Flow[Answer]:
    request = asking(call, verdict, method, params)
    return answer(call, request, verdict.revision, cache_key(method, params), mode, is_list=is_list)


def _notify(call: Call, verdict: Verdict, method: str, params: dict[str, Any]) -> Flow[None]:
    if not verdict.revision.notifications:
        raise LocalProtocolError(f"revision {verdict.revision.name} has no notifications from client to server")
    message = Notification(method, with_meta(params, call.state.trace()))
    if call.state.over_channel:
        yield from notify_on(call, (yield from ensure_channel(call)), message)
        return
    if verdict.http_sse:
        stream = yield from ensure_stream(call, verdict.revision)
        yield from post_message(call, stream, stream.open_session.post(RequestKind.NOTIFICATION, message))
        return
    exchange = yield from exchange_in_session(call, verdict.revision, RequestKind.NOTIFICATION, message)
    if exchange.head.status >= 300:
        raise VerdictBroken(refusal(exchange)) if is_modern_error(exchange) else refusal(exchange)


def _ping(call: Call, verdict: Verdict) -> Flow[None]:
    method = "ping" if verdict.revision.ping else DISCOVER
    yield from _ask(call, verdict, method, {}, CacheMode.BYPASS)


def _open(call: Call, verdict: Verdict) -> Flow[Discovery]:
    if call.state.over_channel:
        channel = yield from ensure_channel(call)
        if channel.session is not None:
            return channel.session.discovery
    if verdict.http_sse:
        stream = yield from ensure_stream(call, verdict.revision)
        return stream.open_session.discovery
    if not verdict.is_modern:
        session = yield from ensure_session(call, verdict.revision)
        return session.discovery
    if call.told is not None:
        return call.told
    discovered = yield from _ask(call, verdict, DISCOVER, {}, CacheMode.USE)
    return read_discovery(discovered.results[0])
