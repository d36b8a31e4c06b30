"""HTTP+SSE, the transport of 2024-11-05: one event stream for all answers, one POST for each message.

The first event of the stream names the URL to post to; answers to every request of its identity then arrive on the
stream, in any order (2024-11-05, "Transports", HTTP with SSE).  Somebody must keep reading it while calls come and go.
So the call that opens an :class:`EventStream` sends the GET in its own context, then hands the response to a reader
that only moves bytes.  The stream sorts what arrives into :mod:`~mcpcore.machines.mailboxes`, one for each request that
waits; a call posts its request, waits at its mailbox, and handles what it finds there in its own context.

When the stream ends, every request that waits on it fails, once, and the next call opens a new one.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import ErrorResponse, Message, Request, Response
from mcpcore.codecs.sse import SSEParser
from mcpcore.commands import Beside, StartReader, WaitFor
from mcpcore.context import CallContext, RequestKind
from mcpcore.errors import LocalProtocolError, McpError, RemoteProtocolError, RpcError, TransportError
from mcpcore.machines.mailboxes import Arrival, Mailboxes, SharedStream, again, arrivals, nobody_cares
from mcpcore.machines.outbound import GET_HEADERS, Outbound, resolve
from mcpcore.machines.refusals import refusal
from mcpcore.machines.requests import handle_message, reply, send
from mcpcore.machines.session import OpeningRefused, Session, initialize_request, initialized_notification, opening
from mcpcore.rules.transitions import STREAM, SessionEvent, StreamEvent, StreamState, advance
from mcpcore.signals import Signal
from mcpcore.state.call import Call
from mcpcore.state.flights import fly
from mcpcore.state.places import Places
from mcpcore.statistics import Counters

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.codecs.sse import ServerSentEvent
    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.rules.endpoint import Endpoint
    from mcpcore.rules.freshness import Change
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.rules.revisions import Revision

_GONE = frozenset({404, 410})


def _nobody_answers(ping: Request) -> None:
    """What a stream does about a ping if it belongs to no client."""


@define(eq=False)
class EventStream(SharedStream):
    """One identity's event stream.

    A driver's reader feeds it with ``receive_data`` until the body ends (``receive_end``), the connection breaks
    (``request_failed``) or ``closed`` is raised.  After each chunk it has the work done that ``replies`` returns, and
    waits while there is a ``room``.

    :ivar places: how many requests may wait on it; the others wait their turn.
    :ivar opened: is raised when the endpoint event has arrived, or never will.
    :ivar session: the session that it carries, once the server has named where to post.
    """

    _endpoint: Endpoint = field(repr=False)
    _url: str = field(repr=False)
    _revision: Revision
    _limits: Limits = field(repr=False)
    _counters: Counters = field(factory=Counters, repr=False)
    _on_change: Callable[[Change], object] = field(default=nobody_cares, repr=False)
    _answer_ping: Callable[[Request], Beside | None] = field(default=_nobody_answers, repr=False)
    state: StreamState = field(default=StreamState.AWAITING_ENDPOINT, init=False)
    session: Session | None = field(default=None, init=False)
    opened: Signal = field(factory=Signal, init=False, repr=False)
    places: Places = field(init=False, repr=False)
    _parser: SSEParser = field(init=False, repr=False)
    _replies: list[Beside] = field(factory=list[Beside], init=False, repr=False)
    _unanswered: int = field(default=0, init=False)
    _unsorted: deque[Arrival] = field(factory=deque[Arrival], init=False, repr=False)
    _mailboxes: Mailboxes = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        limits = self._limits
        self._parser = SSEParser(limits)
        self.places = Places(limits.pending_requests)
        self._mailboxes = Mailboxes(limits, self._next_message, self._ended, self._counters, self._on_change)

    @property
    def is_usable(self) -> bool:
        """Whether requests can be made on it."""
        return self.state is StreamState.OPEN and self.session is not None and self.session.is_usable

    @property
    def open_session(self) -> Session:
        """The session, of a stream that is usable."""
        assert self.session is not None
        return self.session

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.  What is wrong with them ends the stream, and raises nothing."""
        self._parser.receive_data(data)
        self._mailboxes.sort()

    def receive_end(self) -> None:
        """Take note that the server ended the stream."""
        self._mailboxes.finish(TransportError("the server ended the event stream"))

    def lose(self) -> None:
        """Take note that the server no longer knows where to send the stream's answers."""
        self._mailboxes.end(TransportError("the server no longer knows this event stream"))

    def close(self) -> None:
        """Take note that nobody needs the stream any more."""
        self._mailboxes.end(LocalProtocolError("the event stream was closed by this client"))

    def replies(self) -> list[Beside]:
        """The work of answering the pings that came while no call waited; it is in nobody's way."""
        replies, self._replies = self._replies, []
        return replies

    def _next_message(self) -> Arrival | None:
        while True:
            while not self._unsorted:
                if (event := self._parser.next_event()) is None:
                    return None
                self._handle(event)
            arrival = self._unsorted.popleft()
            if not self._keeps(arrival[0]):
                return arrival

    def _keeps(self, message: Message) -> bool:
        """Take a ping that comes while no call waits, unless many wait to be answered (2024-11-05, "Ping")."""
        if not (isinstance(message, Request) and message.method == "ping") or len(self._mailboxes):
            return False
        reply = self._answer_ping(message) if self._unanswered < self._limits.server_requests else None
        if reply is not None:
            self._unanswered += 1
            self._replies.append(evolve(reply, flow=self._until_answered(reply.flow)))
        return reply is not None

    def _until_answered(self, answering: Flow[None]) -> Flow[None]:
        """``answering`` one ping, which is counted until it is done, or given up."""
        try:
            yield from answering
        finally:
            self._unanswered -= 1

    def _handle(self, event: ServerSentEvent) -> None:
        if event.event == "endpoint" and self.state is StreamState.AWAITING_ENDPOINT:
            self._locate(event.data)
        elif event.event == "message" and event.data and self.state is StreamState.OPEN:
            self._advance(StreamEvent.MESSAGE)
            messages = jsonrpc.decode(event.data, self._limits, batches=self.open_session.revision.batches)
            self._unsorted += arrivals(messages, len(event.data))

    def _locate(self, data: bytes) -> None:
        """Learn where to post; the endpoint's own origin is as far as headers may go."""
        url = self._endpoint.resolve(self._url, data.decode("utf-8", "replace").strip())
        if url is None:
            raise RemoteProtocolError("the server's endpoint event names another origin, which is refused")
        self.session = Session(url, self._revision)
        self._advance(StreamEvent.ENDPOINT)
        self.opened.raise_()

    def _ended(self) -> None:
        self._advance(StreamEvent.END)
        self.opened.raise_()

    def _advance(self, event: StreamEvent) -> None:
        self.state = advance(STREAM, self.state, event)


def listen_request(call: Call) -> Outbound:
    """The GET that opens an event stream."""
    return Outbound(
        kind=RequestKind.LISTEN, url=call.state.endpoint.url, http_method="GET", headers=GET_HEADERS, is_stream=True
    )


def ensure_stream(call: Call, revision: Revision) -> Flow[EventStream]:
    """The stream that this call is to use, opened if need be."""
    if call.own_stream is not None and call.own_stream.is_usable:
        return call.own_stream
    request = listen_request(call)
    return (
        yield from fly(
            (yield from opening(call, request)),
            look=lambda: _kept(call),
            resolve=lambda: resolve(call, request),
            lead=lambda resolution: _open(call, request, revision, resolution),
        )
    )


def _kept(call: Call) -> EventStream | None:
    stream = call.partition.stream
    return stream if stream is not None and stream.is_usable else None


def _open(call: Call, request: Outbound, revision: Revision, resolution: Resolution) -> Flow[EventStream]:
    """Open a stream, shake hands on it, and keep it for whom it may serve."""
    call.count_handshake()
    if (kept := (yield from _take_place(call))) is not None:
        return kept
    stream = yield from _connect(call, request, revision, resolution)
    # Until it is known to be usable, the stream ends with this call, whatever happens.
    call.own_stream = stream
    yield StartReader(stream)
    yield WaitFor(stream.opened)
    if stream.session is None:
        assert stream.failure is not None
        raise again(stream.failure).located(call.state.endpoint.name, request.name)
    yield from _shake_hands(call, stream, stream.session)
    # Two calls that follow a failed one may both open a stream; the partition keeps the first.
    if call.may_keep and call.partition.is_kept and _kept(call) is None:
        call.own_stream = None
        call.partition.keep_stream(stream)
    return stream


def _take_place(call: Call) -> Flow[EventStream | None]:
    """Take a place for another stream; idle ones give way.

    :returns: a stream that another call of this identity has opened in the meantime, and no place; else None.
    """
    places = call.state.stream_places
    if not places.free:
        call.state.partitions.close_idle_stream()
    while True:
        has_place = yield from places.take(call.partition.stream_kept())
        kept = _kept(call)
        if kept is not None and has_place:
            places.give()
        if kept is not None or has_place:
            return kept


def _connect(call: Call, request: Outbound, revision: Revision, resolution: Resolution) -> Flow[EventStream]:
    """Make the GET; the place that was taken for the stream is its own, or given back."""
    places = call.state.stream_places
    try:
        exchange = yield from send(call, request, resolution)
        if not exchange.is_stream:
            raise OpeningRefused(exchange, request)
    except BaseException:
        places.give()
        raise
    state, partition = call.state, call.partition

    def note(change: Change) -> None:
        for cache in (partition.cache, state.public):
            cache.invalidate(change, state.partitions.now())

    def answer_ping(ping: Request) -> Beside | None:
        # Nobody is calling; so the answer is sent as the end of a session is: for a principal, or for anybody.
        if not state.partitions.can_end(partition):
            return None
        own = Call.of(state, CallContext(principal=partition.principal), partition)
        work = reply(own, stream.open_session.asker(), ping, Response(ping.id, {}))
        return Beside("the answer to ping", own, work, stream.closed)

    stream = EventStream(state.endpoint, exchange.url, revision, state.limits, state.counters, note, answer_ping)
    stream.closed.subscribe(places.give)
    return stream


def _shake_hands(call: Call, stream: EventStream, session: Session) -> Flow[None]:
    result = yield from ask(call, stream, initialize_request(call, session))
    session.accept(result, call.state.limits, call.state.pinned)
    yield from post_message(call, stream, initialized_notification(call, session))
    session.note(SessionEvent.CONFIRMED)


def post_message(
    call: Call, stream: EventStream, outbound: Outbound, resolution: Resolution | None = None
) -> Flow[None]:
    """Post one message; its answer, if it has one, comes on the stream."""
    exchange = yield from send(call, evolve(outbound, answered_elsewhere=True), resolution)
    if exchange.head.status in _GONE:
        stream.lose()
    if exchange.head.status >= 300:
        raise refusal(exchange).located(call.state.endpoint.name, outbound.name)


def ask(
    call: Call, stream: EventStream, outbound: Outbound, resolution: Resolution | None = None
) -> Flow[dict[str, Any]]:
    """Post one request and wait for its answer on the stream.

    :raises RpcError: if the answer is an error.
    """
    assert outbound.request_id is not None
    yield from stream.places.take()
    try:
        mailbox = stream.expect(outbound.request_id)
        yield from post_message(call, stream, outbound, resolution)
        while True:
            match (yield from mailbox.take()):
                case Response(result=result):
                    return result
                case ErrorResponse(code=code, message=message, data=data):
                    raise RpcError(message, code=code, data=data)
                case side_message:
                    yield from handle_message(call, outbound, side_message)
    except McpError as error:
        error.located(call.state.endpoint.name, outbound.name)
        raise
    finally:
        call.sent = None
        stream.forget(outbound.request_id)
        stream.places.give()
