"""Listening: a stream of what a server has to tell, for as long as the caller wants it.

What is behind it differs by revision.  The modern era has a request for it, ``subscriptions/listen``, whose response is
the stream; it ends by an answer, and a stream that ends without one was dropped (2026-07-28, "Subscriptions").  In the
handshake era a session has a GET stream, which is opened again whenever it breaks off (2025-11-25, "Transports",
Listening for Messages from the Server).  Over HTTP+SSE it is the identity's one stream, which is there anyhow, and over
a channel what comes on that for no call.

The flow hands out events one by one, and reads on only when the next one is wanted; so a listener that is slow slows
its server down, and nothing piles up.  Whatever the server asks on the stream is answered by the handlers, in the
listener's own context.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from mcpcore.codecs.jsonrpc import ErrorResponse, Notification, Request
from mcpcore.codecs.newline_json import frame
from mcpcore.codecs.shapes import as_object
from mcpcore.commands import Emit, SendMessage, WaitFor
from mcpcore.context import RequestKind
from mcpcore.errors import LocalProtocolError, McpError, RpcError, TransportError
from mcpcore.machines.channel import ensure_channel
from mcpcore.machines.http_sse import ensure_stream
from mcpcore.machines.modern import modern_request, send_modern
from mcpcore.machines.negotiation import VerdictBroken, denies_modern_era
from mcpcore.machines.outbound import GET_HEADERS, Outbound
from mcpcore.machines.refusals import refusal, result_of
from mcpcore.machines.requests import DRAIN, close, handle_message, read_messages, resumption, send
from mcpcore.machines.session import drop, ensure_session
from mcpcore.rules.metadata import SUBSCRIPTION_ID_KEY
from mcpcore.signals import Signal
from mcpcore.types.subscriptions import Acknowledged, Reopened, SubscriptionFilter, read_event
from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.commands import Flow
    from mcpcore.machines.channel import DuplexChannel
    from mcpcore.machines.exchange import Exchange
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.machines.session import Session
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import Verdict

LISTEN = "subscriptions/listen"
SUBSCRIBE = "resources/subscribe"
_ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


def listen(call: Call, wanted: SubscriptionFilter) -> Flow[None]:
    """Hand out what the server tells, until it has ended the stream in order.

    :raises TransportError: if the stream was dropped.
    """
    call.listens = True
    yield from rpc.settled(call, lambda verdict: _listen(call, verdict, wanted))


def _listen(call: Call, verdict: Verdict, wanted: SubscriptionFilter) -> Flow[None]:
    if call.state.over_channel:
        return _on_channel(call, wanted)
    if verdict.is_modern:
        return _subscription(call, verdict, wanted)
    if verdict.http_sse:
        return _shared_stream(call, verdict, wanted)
    return _SessionStream(call, verdict, wanted).listen()


def _subscription(call: Call, verdict: Verdict, wanted: SubscriptionFilter) -> Flow[None]:
    """The response of ``subscriptions/listen`` (2026-07-28, "Subscriptions")."""
    params = {"notifications": wanted.to_json()}
    outbound = modern_request(call, verdict.revision, LISTEN, params, RequestKind.LISTEN)
    exchange = yield from send_modern(call, outbound, params)
    if denies_modern_era(exchange):
        raise VerdictBroken(refusal(exchange))
    if not exchange.is_stream:
        result_of(exchange)
        return
    # A server that wanted another revision was asked once more, under another id.
    outbound = evolve(outbound, request_id=exchange.request_id)
    subscription = _Subscription(call, outbound)
    yield from _read(call, exchange, subscription.take)
    yield DRAIN  # The answer has come, and an event stream stays open behind it.
    result_of(exchange)


def _read(call: Call, exchange: Exchange, take: Callable[[Notification | Request], Flow[None]]) -> Flow[None]:
    """Read an open stream to its end."""
    try:
        yield from read_messages(exchange, lambda messages: _each(take, messages))
    except McpError:
        yield from close(exchange)
        raise
    finally:
        call.state.counters.ignored_messages += exchange.ignored


@define(eq=False)
class _Subscription:
    """What arrives for one ``subscriptions/listen``."""

    _call: Call
    _outbound: Outbound
    _is_open: bool = field(default=False, init=False)

    def take(self, message: Notification | Request) -> Flow[None]:
        """Take one message; what does not belong to the subscription, or comes too early, is ignored."""
        is_own = isinstance(message, Notification) and self._is_own(message)
        is_first = isinstance(message, Notification) and message.method == _ACKNOWLEDGED
        if not isinstance(message, Notification) or not is_own or is_first is self._is_open:
            self._call.state.counters.ignored_messages += 1
        elif is_first:
            self._is_open = True
            yield Emit(Acknowledged(SubscriptionFilter.from_json(message.params.get("notifications"))))
        else:
            yield from _tell(self._call, self._outbound, message)

    def _is_own(self, message: Notification) -> bool:
        meta = as_object(message.params.get("_meta")) or {}
        return bool(meta.get(SUBSCRIPTION_ID_KEY) == self._outbound.request_id)


def _each(take: Callable[[Notification | Request], Flow[None]], messages: list[Notification | Request]) -> Flow[None]:
    for message in messages:
        yield from take(message)


def _tell(call: Call, outbound: Outbound, notification: Notification) -> Flow[None]:
    """Heed a notification, as any call would, and hand it out."""
    yield from handle_message(call, outbound, notification)
    yield Emit(read_event(notification))


def _heed(call: Call, wanted: SubscriptionFilter, outbound: Outbound, message: Notification | Request) -> Flow[None]:
    """Tell of a notification, where it is wanted, and answer a request.

    On a stream that the server sends whatever it likes on, nobody is told what he did not ask for.
    """
    if isinstance(message, Notification) and wanted.wants(read_event(message)):
        yield from _tell(call, outbound, message)
    else:
        yield from handle_message(call, outbound, message)


def _subscribe(call: Call, wanted: SubscriptionFilter) -> Flow[None]:
    """Ask to be told of resources (2025-11-25, "Resources", Subscriptions)."""
    if wanted.uris:
        yield from rpc.require(call, "resources", "subscribe")
    for uri in wanted.uris:
        yield from rpc.request(call, SUBSCRIBE, {"uri": uri})


def _shared_stream(call: Call, verdict: Verdict, wanted: SubscriptionFilter) -> Flow[None]:
    """The identity's one event stream (2024-11-05, "Transports", HTTP with SSE)."""
    stream = yield from ensure_stream(call, verdict.revision)
    yield from _overhear(call, stream, stream.open_session.asker(), wanted)


def _on_channel(call: Call, wanted: SubscriptionFilter) -> Flow[None]:
    """The one channel, which carries everything (2026-07-28, "Subscriptions"; 2025-11-25, "Transports", stdio)."""
    channel = yield from ensure_channel(call)
    if channel.session is None:
        yield from _subscription_on(call, channel, wanted)
    else:
        yield from _overhear(call, channel, evolve(channel.session.asker(), channel=channel), wanted)


def _subscription_on(call: Call, channel: DuplexChannel, wanted: SubscriptionFilter) -> Flow[None]:
    """What arrives on a channel for one ``subscriptions/listen``, until that is answered."""
    params = {"notifications": wanted.to_json()}
    outbound = evolve(modern_request(call, channel.revision, LISTEN, params, RequestKind.LISTEN), channel=channel)
    assert outbound.request_id is not None
    mailbox, subscription = channel.subscribe(outbound.request_id), _Subscription(call, outbound)
    try:
        call.sent = outbound
        yield SendMessage(channel, frame(outbound.body))
        while isinstance(message := (yield from mailbox.take()), Request | Notification):
            if message.method == "notifications/cancelled":
                raise TransportError("the server dropped the subscription")
            yield from subscription.take(message)
    finally:
        call.sent = None
        channel.unsubscribe(outbound.request_id)
    if isinstance(message, ErrorResponse):
        raise RpcError(message.message, code=message.code, data=message.data)


def _overhear(
    call: Call, stream: EventStream | DuplexChannel, asker: Outbound, wanted: SubscriptionFilter
) -> Flow[None]:
    """What belongs to no request, on a stream that is there anyhow."""
    mailbox = stream.listen()
    try:
        yield from _subscribe(call, wanted)
        yield Emit(Acknowledged(wanted))
        while True:
            message = yield from mailbox.take()
            assert isinstance(message, Notification | Request)
            yield from _heed(call, wanted, asker, message)
    finally:
        stream.stop_listening(mailbox)


@define(eq=False)
class _SessionStream:
    """The GET stream of a session, opened again whenever it breaks off."""

    _call: Call
    _verdict: Verdict
    _wanted: SubscriptionFilter
    _session: Session | None = field(default=None, init=False)
    _last_event_id: str | None = field(default=None, init=False, repr=False)
    _retry: float | None = field(default=None, init=False)
    _was_open: bool = field(default=False, init=False)
    _failures: int = field(default=0, init=False)

    def listen(self) -> Flow[None]:
        """Listen for as long as somebody does."""
        while True:
            session = yield from self._enter()
            failure = yield from self._attempt(session)
            yield from self._pause(failure)

    def _attempt(self, session: Session) -> Flow[McpError]:
        """Open the stream, and read it until it breaks off.

        :returns: why it cannot be read, or no more, if it may help to try again.
        """
        exchange: Exchange | None = None
        self._retry = None
        try:
            exchange = yield from send(self._call, self._request(session))
            if exchange.is_stream:
                yield from self._read(session, exchange)
        except TransportError as error:
            if exchange is not None and exchange.is_open:
                raise  # That is no break: a handler failed.
            return error
        return self._note_refusal(session, exchange)

    def _note_refusal(self, session: Session, exchange: Exchange) -> McpError:
        if exchange.head.status == 404 and session.id is not None:
            drop(self._call, session)
        elif exchange.head.status < 500:
            raise _refused(exchange)
        self._retry = exchange.head.retry_after
        return refusal(exchange)

    def _enter(self) -> Flow[Session]:
        """The session to listen in; in a new one, ask again to be told of resources."""
        session = yield from ensure_session(self._call, self._verdict.revision)
        while session is not self._session:
            self._session, self._last_event_id = session, None
            yield from _subscribe(self._call, self._wanted)
            session = yield from ensure_session(self._call, self._verdict.revision)
        return session

    def _request(self, session: Session) -> Outbound:
        """The GET that opens the stream, or takes it up where it broke off."""
        opening = Outbound(
            kind=RequestKind.LISTEN,
            url=session.url,
            http_method="GET",
            headers=GET_HEADERS + session.headers(),
            revision=session.revision,
            is_stream=True,
        )
        limits = self._call.state.limits
        resumed = resumption(opening, self._last_event_id, limits) if self._last_event_id else None
        if resumed is None:
            self._last_event_id = None
        return resumed or opening

    def _read(self, session: Session, exchange: Exchange) -> Flow[None]:
        """Read an open stream until it breaks off.

        However short its life, the server is well: some end their streams now and then, to be asked again.

        :raises TransportError: when it does.
        """
        self._failures = 0
        self._call.take_breath()
        if not self._was_open:
            self._was_open = True
            yield Emit(Acknowledged(self._wanted))
        elif self._last_event_id is None:
            yield Emit(Reopened())
        heed = partial(_heed, self._call, self._wanted, session.asker())
        try:
            yield from _read(self._call, exchange, heed)
        except TransportError:
            self._retry = exchange.retry
            if exchange.last_event_id is not None:
                self._last_event_id = exchange.last_event_id
            raise

    def _pause(self, failure: McpError) -> Flow[None]:
        """Let time pass before the next try: what the server wants, else longer after each failure in a row.

        :raises McpError: after too many failures in a row, the last one.
        """
        limits, retry = self._call.state.limits, self._retry
        self._failures += 1
        if self._failures > limits.resumptions or (retry or 0.0) > limits.retry:
            raise failure
        if retry is None:
            longest = min(limits.resume_delay * 2.0 ** (self._failures - 1), limits.longest_delay)
            retry = longest * (1 + self._call.state.jitter()) / 2
        else:
            retry = max(retry, limits.shortest_delay)
        yield WaitFor(Signal(), retry)


def _refused(exchange: Exchange) -> McpError:
    """Why there is no stream (2025-11-25, "Transports", Listening for Messages from the Server)."""
    if exchange.head.status == 405:
        return LocalProtocolError("this server has no stream to listen to")
    return refusal(exchange)
