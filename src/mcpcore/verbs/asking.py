"""One request to the server, in each of the four ways in which a server can be spoken to.

What all four have in common is what the cache needs of them: to find out whose request it is, to resolve its headers
before anybody waits for its answer, and to make it.  Each says by
:class:`~mcpcore.machines.negotiation.VerdictBroken` that the server answers as if it were of another kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from mcpcore.codecs.jsonrpc import ErrorResponse, Response
from mcpcore.context import RequestKind
from mcpcore.machines.channel import ensure_channel, request_on
from mcpcore.machines.http_sse import ask, ensure_stream, listen_request
from mcpcore.machines.modern import DISCOVER, modern_request, send_as_wanted, send_modern, send_once
from mcpcore.machines.negotiation import VerdictBroken, denies_modern_era, is_modern_error
from mcpcore.machines.outbound import resolve
from mcpcore.machines.refusals import refusal, result_of
from mcpcore.machines.rounds import finish, result_type
from mcpcore.machines.session import ensure_session, exchange_in_session, request_message, settle_in_session

if TYPE_CHECKING:
    from mcpcore.codecs.jsonrpc import Request
    from mcpcore.commands import Flow
    from mcpcore.machines.exchange import Exchange
    from mcpcore.machines.outbound import Outbound
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import Verdict


class Asking(Protocol):
    """One request that has yet to be made."""

    def settle(self) -> Flow[None]:
        """Find out whose call this is, from the headers of this request."""
        ...

    def resolve(self) -> Flow[Resolution]:
        """Resolve its headers, unless :meth:`settle` has just done so; open what it needs before."""
        ...

    def make(self, resolution: Resolution | None = None) -> Flow[dict[str, Any]]:
        """Make the request, with ``resolution`` or a fresh one.

        :returns: its result.
        """
        ...


def asking(call: Call, verdict: Verdict, method: str, params: dict[str, Any]) -> Asking:
    """A request in the way of ``verdict``."""
    if call.state.over_channel:
        return _OnChannel(call, method, params)
    if verdict.is_modern:
        return _Modern(call, verdict, method, params)
    message = request_message(call, method, params)
    return _OnStream(call, verdict, message) if verdict.http_sse else _InSession(call, verdict, message)


@define(eq=False)
class _Modern:
    """A request that stands alone."""

    _call: Call
    _verdict: Verdict
    _method: str
    _params: dict[str, Any] = field(repr=False)
    _early: Resolution | None = None
    _built: Outbound | None = None

    @property
    def _outbound(self) -> Outbound:
        if self._built is None:
            kind = RequestKind.DISCOVER if self._method == DISCOVER else RequestKind.REQUEST
            self._built = modern_request(self._call, self._verdict.revision, self._method, self._params, kind)
        return self._built

    def settle(self) -> Flow[None]:
        self._early = yield from resolve(self._call, self._outbound)

    def resolve(self) -> Flow[Resolution]:
        early, self._early = self._early, None
        return early or (yield from resolve(self._call, self._outbound))

    def make(self, resolution: Resolution | None = None) -> Flow[dict[str, Any]]:
        # As send_modern() does it, which would be one more generator for each command of each call to go through.
        exchange = yield from send_once(self._call, self._outbound, self._params, resolution)
        if isinstance(exchange.answer, ErrorResponse):
            exchange = yield from send_as_wanted(self._call, self._outbound, self._params, exchange)
        result = _modern_result(exchange)
        if result_type(result) == "complete":
            return result
        return (yield from finish(self._call, self._method, self._params, result, self._ask_more))

    def _ask_more(self, method: str, params: dict[str, Any]) -> Flow[dict[str, Any]]:
        """Another request on the way to the result: the next round of this one, or what an extension asks."""
        outbound = modern_request(self._call, self._verdict.revision, method, params)
        # What has been begun is not begun anew, whatever the server has become since.
        return result_of((yield from send_modern(self._call, outbound, params)))


def _modern_result(exchange: Exchange) -> dict[str, Any]:
    if isinstance(exchange.answer, Response):
        return exchange.answer.result
    raise VerdictBroken(refusal(exchange)) if denies_modern_era(exchange) else refusal(exchange)


@define(eq=False)
class _InSession:
    """A request in a session over Streamable HTTP."""

    _call: Call
    _verdict: Verdict
    _message: Request
    _early: Resolution | None = field(default=None, init=False)

    def settle(self) -> Flow[None]:
        self._early = yield from settle_in_session(
            self._call, self._verdict.revision, RequestKind.REQUEST, self._message
        )

    def resolve(self) -> Flow[Resolution]:
        session = yield from ensure_session(self._call, self._verdict.revision)
        early, self._early = self._early, None
        return early or (yield from resolve(self._call, session.post(RequestKind.REQUEST, self._message)))

    def make(self, resolution: Resolution | None = None) -> Flow[dict[str, Any]]:
        exchange = yield from exchange_in_session(
            self._call, self._verdict.revision, RequestKind.REQUEST, self._message, resolution
        )
        if is_modern_error(exchange):
            raise VerdictBroken(refusal(exchange))
        return result_of(exchange)


@define(eq=False)
class _OnChannel:
    """A request over a duplex channel, where there are no headers to resolve."""

    _call: Call
    _method: str
    _params: dict[str, Any] = field(repr=False)

    def settle(self) -> Flow[None]:
        yield from ensure_channel(self._call)

    def resolve(self) -> Flow[Resolution]:
        yield from ensure_channel(self._call)
        return self._call.state.pipeline.begin(self._call.context)

    def make(self, resolution: Resolution | None = None) -> Flow[dict[str, Any]]:
        channel = yield from ensure_channel(self._call)
        result = yield from request_on(self._call, channel, self._method, self._params)
        if channel.session is not None:
            return result  # In the handshake era every result is the final one.
        return (yield from finish(self._call, self._method, self._params, result, self._ask))

    def _ask(self, method: str, params: dict[str, Any]) -> Flow[dict[str, Any]]:
        channel = yield from ensure_channel(self._call)
        return (yield from request_on(self._call, channel, method, params))


@define(eq=False)
class _OnStream:
    """A request whose answer comes on an HTTP+SSE stream."""

    _call: Call
    _verdict: Verdict
    _message: Request
    _url: str = field(default="", init=False, repr=False)

    def settle(self) -> Flow[None]:
        # Where to post is known only once a stream is open, so these headers serve for nothing else.
        yield from resolve(self._call, listen_request(self._call))

    def resolve(self) -> Flow[Resolution]:
        stream = yield from ensure_stream(self._call, self._verdict.revision)
        outbound = stream.open_session.post(RequestKind.REQUEST, self._message)
        self._url = outbound.url
        return (yield from resolve(self._call, outbound))

    def make(self, resolution: Resolution | None = None) -> Flow[dict[str, Any]]:
        stream = yield from ensure_stream(self._call, self._verdict.revision)
        outbound = stream.open_session.post(RequestKind.REQUEST, self._message)
        # Another stream may have been opened since; its requests go elsewhere, for which others headers may be due.
        is_same = outbound.url == self._url
        return (yield from ask(self._call, stream, outbound, resolution if is_same else None))
