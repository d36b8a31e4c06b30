"""A duplex channel: one message a line, both ways, as on a process's standard streams (2026-07-28, "stdio").

There is one channel to a server, for all identities: a channel has no headers, so what is at its other end can't tell
them apart.  The first call opens it and finds out in which era it is to be spoken to; the others wait for that.  Both
take time, and belong to the channel: a call that gives up meanwhile leaves what it has begun to the next.

Somebody has to read while calls come and go, as on an HTTP+SSE stream, and sorts what arrives into
:mod:`~mcpcore.machines.mailboxes` in the same way.  What the channel itself waits for, the answers to its probe and to
``initialize``, it takes for itself.

When a channel ends, every request that waits on it fails, once, and the next call opens a new one: to a server that
knows nothing of what was said before.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import ErrorResponse, Message, Notification, Request, Response
from mcpcore.codecs.newline_json import LineParser, frame
from mcpcore.commands import OpenChannel, SendMessage, WaitFor
from mcpcore.context import RequestKind
from mcpcore.errors import LocalProtocolError, McpError, RemoteProtocolError, RpcError, TransportError
from mcpcore.machines.mailboxes import Arrival, Mailboxes, SharedStream, again, arrivals, nobody_cares
from mcpcore.machines.modern import (
    DISCOVER,
    MODERN_ERRORS,
    discover_request,
    modern_request,
    proven_revision,
    read_discovery,
    supported_versions,
)
from mcpcore.machines.requests import handle_message, tell
from mcpcore.machines.session import Session, initialize_request, initialized_notification, request_message
from mcpcore.rules.revisions import HANDSHAKE, MODERN, Era, newest
from mcpcore.rules.transitions import CHANNEL, ChannelEvent, ChannelState, SessionEvent, advance
from mcpcore.signals import Signal
from mcpcore.state.client_state import Verdict
from mcpcore.state.places import Places
from mcpcore.statistics import Counters

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.machines.mailboxes import Mailbox
    from mcpcore.machines.outbound import Outbound
    from mcpcore.rules.freshness import Change
    from mcpcore.rules.revisions import Revision
    from mcpcore.state.call import Call

_log = logging.getLogger("mcpcore")

_SETTLED = frozenset({ChannelState.MODERN, ChannelState.HANDSHAKE})
_AFTER_INITIALIZE = frozenset({ChannelState.INITIALIZING, ChannelState.INITIALIZED, ChannelState.HANDSHAKE})


@define(eq=False)
class DuplexChannel(SharedStream):
    """One channel to one server.

    A driver's reader feeds it with ``receive_data`` until the other end closes it (``receive_end``), it breaks
    (``request_failed``) or ``closed`` is raised.  After each chunk it sends what ``data_to_send`` returns, and waits
    while there is a ``room``.

    :ivar name: what the server is called in an error.
    :ivar places: how many requests may wait on it; the others wait their turn.
    :ivar session: what ``initialize`` is to agree on, or has, in the handshake era.
    :ivar revision: the revision that is spoken, once that is settled; before, what ``initialize`` will ask for.
    :ivar probe_id: the id of the probe, or None if none was sent.
    :ivar answer: what was answered to the probe or to ``initialize``, whichever was sent last; or to the probe after
        all, while ``initialize`` waits for its answer, if that proves that the server is modern.
    :ivar answered: is raised when that answer is there, or never will be.
    """

    name: str
    _limits: Limits = field(repr=False)
    _counters: Counters = field(factory=Counters, repr=False)
    _on_change: Callable[[Change], object] = field(default=nobody_cares, repr=False)
    state: ChannelState = field(default=ChannelState.OPEN, init=False)
    session: Session | None = field(default=None, init=False)
    revision: Revision = field(default=HANDSHAKE, init=False)
    probe_id: int | str | None = field(default=None, init=False)
    answer: Response | ErrorResponse | None = field(default=None, init=False, repr=False)
    answered: Signal = field(factory=Signal, init=False, repr=False)
    places: Places = field(init=False, repr=False)
    _awaited_id: int | str | None = field(default=None, init=False)
    _parser: LineParser = field(init=False, repr=False)
    _unsorted: deque[Arrival] = field(factory=deque[Arrival], init=False, repr=False)
    _replies: list[bytes] = field(factory=list[bytes], init=False, repr=False)
    _has_warned: bool = field(default=False, init=False)
    _mailboxes: Mailboxes = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        limits = self._limits
        self._parser = LineParser(limits)
        self.places = Places(limits.pending_requests)
        self._mailboxes = Mailboxes(limits, self._next_message, self._ended, self._counters, self._on_change)

    @property
    def is_settled(self) -> bool:
        """Whether it is known how it is to be spoken to."""
        return self.state in _SETTLED

    @property
    def open_session(self) -> Session:
        """The session, in the handshake era."""
        assert self.session is not None
        return self.session

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the channel.  What is wrong with them ends the channel, and raises nothing."""
        self._parser.receive_data(data)
        self._mailboxes.sort()

    def receive_end(self) -> None:
        """Take note that the other end closed the channel."""
        self._mailboxes.finish(TransportError("the server closed the channel"))

    def end(self, error: McpError) -> None:
        """Take note that the channel is of no use."""
        self._mailboxes.end(error)

    def close(self) -> None:
        """Take note that nobody needs the channel any more."""
        self._mailboxes.end(LocalProtocolError("the channel was closed by this client"))

    def data_to_send(self) -> bytes:
        """What is to be sent without a call that asks for it: answers to pings."""
        replies, self._replies = self._replies, []
        return b"".join(replies)

    def subscribe(self, request_id: int | str) -> Mailbox:
        """A mailbox for what arrives for one subscription, on a channel that has not ended."""
        return self._mailboxes.subscribe(request_id)

    def unsubscribe(self, request_id: int | str) -> None:
        """Remove such a mailbox."""
        self._mailboxes.unsubscribe(request_id)

    def note(self, event: ChannelEvent) -> None:
        """Take note of what happened to it."""
        self.state = advance(CHANNEL, self.state, event)

    def await_answer(self, request_id: int | str | None) -> None:
        """Take the answer to this request, and to no earlier one; with None, to none."""
        self._awaited_id, self.answer, self.answered = request_id, None, Signal()

    def _next_message(self) -> Arrival | None:
        while True:
            while not self._unsorted:
                line = self._parser.next_line()
                if line is None:
                    return None
                self._read(line)
            arrival = self._unsorted.popleft()
            if not self._keeps(arrival[0]):
                return arrival

    def _read(self, line: bytes) -> None:
        """Read the messages of one line; what programs like to print beside messages is none, and no reason to end."""
        batches = self.is_settled and self.revision.batches
        if line[:1] == b"{" or (batches and line[:1] == b"["):
            self._unsorted += arrivals(jsonrpc.decode(line, self._limits, batches=batches), len(line))
            return
        self._counters.ignored_messages += 1
        if not self._has_warned:
            self._has_warned = True
            _log.warning("%s: the server writes what is no message where only messages belong; ignored", self.name)

    def _keeps(self, message: Message) -> bool:
        """Take a message that is the channel's own business."""
        if isinstance(message, Response | ErrorResponse):
            return self._takes(message)
        if isinstance(message, Request) and message.method == "ping" and not len(self._mailboxes):
            return self._reply(message)
        return False

    def _takes(self, answer: Response | ErrorResponse) -> bool:
        """Take an answer to what the channel asked; a refusal without an id is one, too: nothing else is asked then."""
        if self._awaited_id is None or not (answer.id in (None, self._awaited_id) or self._is_late_proof(answer)):
            return False
        self._awaited_id, self.answer = None, answer
        self.answered.raise_()
        return True

    def _is_late_proof(self, answer: Response | ErrorResponse) -> bool:
        """Whether a server that was too slow for the probe, as one that is downloaded first, is modern after all."""
        return answer.id == self.probe_id and proven_revision(answer) is not None

    def _reply(self, ping: Request) -> bool:
        """Answer a ping that comes while no call waits, unless the revision has none, or many wait to be sent."""
        if self.state not in _AFTER_INITIALIZE or len(self._replies) >= self._limits.server_requests:
            return False
        try:
            self._replies.append(frame(jsonrpc.encode(Response(ping.id, {}))))
        except LocalProtocolError:
            return False  # Its id can't be sent back.
        return True

    def _ended(self) -> None:
        self.note(ChannelEvent.END)
        self.answered.raise_()


def ensure_channel(call: Call) -> Flow[DuplexChannel]:
    """The channel, opened and settled if need be; one call at a time does that, in its own context."""
    state = call.state
    if not call.is_settled:
        call.settle(state.pipeline.begin(call.context))
    while (channel := state.channel) is None or not channel.is_settled:
        if state.probing.flight is not None:
            yield WaitFor(state.probing.flight)
            continue
        flight = state.probing.flight = Signal()
        try:
            yield from _settle(call, channel)
        finally:
            state.probing.land(flight)
    return channel


def _settle(call: Call, channel: DuplexChannel | None) -> Flow[None]:
    """Bring a channel to where requests can be made on it, from wherever it is."""
    state = call.state
    call.count_handshake()
    if channel is None or channel.failure is not None:
        channel = yield from _open(call)
    while not channel.is_settled:
        yield from _step(call, channel)
    state.fruitless_channels = 0
    state.record(Verdict(channel.revision))


def _open(call: Call) -> Flow[DuplexChannel]:
    """Open a channel; what a server said on an earlier one no longer counts."""
    state = call.state
    if state.is_closed:
        raise LocalProtocolError("the client was closed")
    if state.fruitless_channels >= state.limits.restarts:
        raise state.limits.exceeded("restarts", "the server's channel ends again and again before it can be used")

    def note(change: Change) -> None:
        for cache in state.caches():
            cache.invalidate(change, state.partitions.now())

    channel = DuplexChannel(state.endpoint.name, state.limits, state.counters, note)
    yield OpenChannel(channel)
    state.channel = channel
    state.fruitless_channels += 1
    state.forget_answers()
    return channel


def _step(call: Call, channel: DuplexChannel) -> Flow[None]:
    """One step on a channel's way to being settled."""
    match channel.state:
        case ChannelState.OPEN:
            yield from _probe(call, channel)
        case ChannelState.PROBING:
            yield WaitFor(channel.answered, call.state.limits.probe)
            _take_discovery(call, channel)
        case ChannelState.NOT_MODERN:
            channel.session = Session(call.state.endpoint.url, channel.revision)
            yield from _ask(channel, initialize_request(call, channel.session), ChannelEvent.INITIALIZE)
        case ChannelState.INITIALIZING:
            yield WaitFor(channel.answered)
            _take_initialize_result(call, channel)
        case ChannelState.INITIALIZED:
            yield SendMessage(channel, frame(initialized_notification(call, channel.open_session).body))
            channel.open_session.note(SessionEvent.CONFIRMED)
            channel.note(ChannelEvent.CONFIRMED)
        case _:
            assert channel.failure is not None
            raise again(channel.failure)


def _probe(call: Call, channel: DuplexChannel) -> Flow[None]:
    """Ask for discovery, unless the user has fixed the era to be the older one."""
    pinned = call.state.pinned
    if pinned is not None and pinned.era is Era.HANDSHAKE:
        channel.revision = pinned
        channel.note(ChannelEvent.SKIP_PROBE)
    else:
        probe = discover_request(call, pinned or MODERN)
        channel.probe_id = probe.request_id
        yield from _ask(channel, probe, ChannelEvent.PROBE)


def _ask(channel: DuplexChannel, request: Outbound, event: ChannelEvent) -> Flow[None]:
    """Send what the channel itself wants to have answered; whoever is there when the answer comes goes on with it."""
    channel.await_answer(request.request_id)
    channel.note(event)
    try:
        yield SendMessage(channel, frame(request.body))
    except McpError:
        if channel.failure is None:
            channel.await_answer(None)
            channel.note(ChannelEvent.NOT_SENT)
        raise


def _take_discovery(call: Call, channel: DuplexChannel) -> None:
    """Find out what the answer to the probe proves; silence proves that the server is of the handshake era.

    (2026-07-28, "stdio", Backward Compatibility.)
    """
    if channel.failure is not None:
        return
    answer = channel.answer
    channel.await_answer(None)
    if _take_proof(call, channel, answer):
        return
    older = newest(Era.HANDSHAKE, supported_versions(answer))
    is_modern = isinstance(answer, ErrorResponse) and answer.code in MODERN_ERRORS
    if call.state.pinned is not None or (is_modern and older is None):
        refused = RemoteProtocolError(f"the server does not say that it speaks revision {MODERN.name}")
        channel.end(refused.located(call.state.endpoint.name, DISCOVER))
        return
    channel.revision = older or HANDSHAKE
    channel.note(ChannelEvent.NOT_MODERN)


def _take_proof(call: Call, channel: DuplexChannel, answer: Response | ErrorResponse | None) -> bool:
    """Whether an answer proves that the server is modern; the channel is settled then."""
    revision = proven_revision(answer)
    if revision is None:
        return False
    channel.revision, channel.session = revision, None
    channel.note(ChannelEvent.MODERN_PROOF)
    if isinstance(answer, Response):
        call.told = read_discovery(answer.result)
    return True


def _take_initialize_result(call: Call, channel: DuplexChannel) -> None:
    """Take the answer to ``initialize``; a server that only now shows that it is modern is believed."""
    answer, state = channel.answer, call.state
    if answer is None:
        return
    may_prove = isinstance(answer, ErrorResponse) or answer.id == channel.probe_id
    if state.pinned is None and may_prove and _take_proof(call, channel, answer):
        return
    try:
        if isinstance(answer, ErrorResponse):
            raise _refusal(answer)
        channel.open_session.accept(answer.result, state.limits, state.pinned)
    except McpError as error:
        channel.end(error.located(state.endpoint.name, "initialize"))
        return
    channel.revision = channel.open_session.revision
    channel.note(ChannelEvent.INITIALIZE_RESULT)


def _refusal(answer: ErrorResponse) -> RpcError:
    return RpcError(answer.message, code=answer.code, data=answer.data)


def request_on(call: Call, channel: DuplexChannel, method: str, params: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Make one request in the way that this channel is spoken to.

    :returns: its result.
    :raises RpcError: if it is refused.
    """
    answer = yield from _exchange(call, channel, _outbound(call, channel, method, params))
    if channel.session is None and isinstance(answer, ErrorResponse):
        wanted = newest(Era.MODERN, supported_versions(answer))
        if wanted is not None:
            channel.revision = wanted
            answer = yield from _exchange(call, channel, _outbound(call, channel, method, params))
    if isinstance(answer, ErrorResponse):
        raise _refusal(answer)
    return answer.result


def notify_on(call: Call, channel: DuplexChannel, message: Notification) -> Flow[None]:
    """Send one notification, in the era that has them."""
    yield from tell(call, evolve(channel.open_session.post(RequestKind.NOTIFICATION, message), channel=channel))


def _outbound(call: Call, channel: DuplexChannel, method: str, params: dict[str, Any]) -> Outbound:
    if channel.session is None:
        outbound = modern_request(call, channel.revision, method, params)
    else:
        outbound = channel.session.post(RequestKind.REQUEST, request_message(call, method, params))
    return evolve(outbound, channel=channel)


def _exchange(call: Call, channel: DuplexChannel, outbound: Outbound) -> Flow[Response | ErrorResponse]:
    """Send one request and wait for its answer, handling what comes for it before."""
    assert outbound.request_id is not None
    yield from channel.places.take()
    try:
        mailbox = channel.expect(outbound.request_id)
        call.sent = call.last_sent = outbound
        yield SendMessage(channel, frame(outbound.body))
        while isinstance(message := (yield from mailbox.take()), Request | Notification):
            yield from handle_message(call, outbound, message)
        return message
    except McpError as error:
        error.located(call.state.endpoint.name, outbound.name)
        raise
    finally:
        call.sent = None
        channel.forget(outbound.request_id)
        channel.places.give()
