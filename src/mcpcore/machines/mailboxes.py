"""One stream of messages for many requests: who gets what.

On an HTTP+SSE stream, and on a channel such as stdio, the answers to all requests arrive on one stream, in any order,
among progress, changes and requests of the server's.  Somebody must keep reading while calls come and go; so what
arrives is sorted into *mailboxes*, one for each request that waits, and each call handles what it finds in its own, in
its own context.

The backlog is bounded by not reading, in messages and in bytes.  Once a call's mailbox is full, what has arrived stays
where it is, unparsed, and the reader is to leave the rest where *it* is until :attr:`Mailboxes.room` is raised; so a
server that sends faster than its messages are handled is slowed down, as TCP or a pipe slows it.  That holds up all
that share the stream.  One who listens, for as long as it pleases, must not: when its mailbox is full, it gets no more,
and is told.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import TYPE_CHECKING, TypeAlias

from attrs import define, field

from mcpcore.codecs.jsonrpc import ErrorResponse, Message, Notification, Request, Response
from mcpcore.codecs.shapes import as_object, is_integer
from mcpcore.commands import WaitFor
from mcpcore.errors import McpError
from mcpcore.rules.freshness import Change
from mcpcore.rules.metadata import SUBSCRIPTION_ID_KEY
from mcpcore.signals import Signal
from mcpcore.statistics import Counters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mcpcore.commands import Flow
    from mcpcore.limits import Limits


Arrival: TypeAlias = tuple[Message, int]
"""A message, and the bytes of the stream that are put down to it."""


def arrivals(messages: Sequence[Message], size: int) -> list[Arrival]:
    """What arrived together, in so many bytes."""
    return [(message, size // len(messages)) for message in messages]


def again(error: McpError) -> McpError:
    """A copy of ``error``, for another call to raise; its cause goes along."""
    twin = copy(error)
    twin.__cause__ = error.__cause__
    return twin


@define(eq=False)
class Mailbox:
    """Where one request finds what arrived for it.

    :ivar is_full: whether nothing more is to be put into it before half of it has been taken out.
    :ivar requests: the ids of those requests of the server's that were left in it last.
    """

    _limits: Limits = field(repr=False)
    _on_room: Callable[[], None] = field(repr=False)
    is_full: bool = field(default=False, init=False)
    requests: deque[int | str] = field(init=False, repr=False)
    _messages: deque[tuple[Message | McpError, int]] = field(
        factory=deque[tuple[Message | McpError, int]], init=False, repr=False
    )
    _bytes: int = field(default=0, init=False)
    _arrival: Signal = field(factory=Signal, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.requests = deque(maxlen=self._limits.mailbox_messages)

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message | McpError, size: int = 0) -> None:
        """Leave a message, which came in so many bytes, or the reason why there will be none."""
        self._messages.append((message, size))
        self._bytes += size
        if isinstance(message, Request):
            self.requests.append(message.id)
        self.is_full = self.is_full or self._exceeded is not None
        self._arrival.raise_()

    def offer(self, message: Message, size: int) -> None:
        """Leave a message, if there is room for it; otherwise, once, that there was none."""
        if self._exceeded is None:
            self.put(message, size)
        elif not isinstance(self._messages[-1][0], McpError):
            self.put(self._limits.exceeded(self._exceeded, "too much waits for one who listens"))

    @property
    def _exceeded(self) -> str | None:
        """The limit that lets nothing more in now, or None."""
        if len(self) >= self._limits.mailbox_messages:
            return "mailbox_messages"
        return "mailbox_bytes" if self._bytes >= self._limits.mailbox_bytes else None

    @property
    def _is_half_empty(self) -> bool:
        limits = self._limits
        return len(self) <= limits.mailbox_messages // 2 and self._bytes <= limits.mailbox_bytes // 2

    def take(self) -> Flow[Message]:
        """Wait for the next message.

        :raises McpError: if there will be none.
        """
        while not self._messages:
            self._arrival = Signal()
            yield WaitFor(self._arrival)
        message, size = self._messages.popleft()
        self._bytes -= size
        if self.is_full and self._is_half_empty:
            self.is_full = False
            self._on_room()
        if isinstance(message, McpError):
            raise message
        return message


def _asked(mailboxes: Iterable[Mailbox], request_id: object) -> Mailbox | None:
    """Whom a request of the server's was left for."""
    is_id = isinstance(request_id, str) or is_integer(request_id)
    return next((mailbox for mailbox in mailboxes if is_id and request_id in mailbox.requests), None)


def _nobody_waits() -> None:
    """What is done about room in the mailbox of one who listens, for whom reading does not stop."""


def nobody_cares(change: Change) -> None:
    """What is done about a change on a stream that belongs to no client."""


@define(eq=False)
class Mailboxes:
    """The mailboxes of one stream, until it ends.

    :param limits: ``mailbox_messages`` and ``mailbox_bytes`` make a mailbox full.
    :param next_message: takes the next message out of what has arrived; None if it takes more data.
    :param on_end: is called once, when the stream ends.
    :param on_change: is told what a server says has changed.
    :ivar room: is raised when reading may go on; None while nothing keeps it from that.
    :ivar closed: is raised when the stream has ended, so that there is nothing to read any more.
    :ivar failure: why it ended, or None.
    """

    _limits: Limits = field(repr=False)
    _next_message: Callable[[], Arrival | None] = field(repr=False)
    _on_end: Callable[[], None] = field(repr=False)
    _counters: Counters = field(factory=Counters, repr=False)
    _on_change: Callable[[Change], object] = field(default=nobody_cares, repr=False)
    room: Signal | None = field(default=None, init=False)
    closed: Signal = field(factory=Signal, init=False, repr=False)
    failure: McpError | None = field(default=None, init=False)
    _last_words: McpError | None = field(default=None, init=False, repr=False)
    _mailboxes: dict[int | str, Mailbox] = field(factory=dict[int | str, Mailbox], init=False, repr=False)
    _subscriptions: dict[int | str, Mailbox] = field(factory=dict[int | str, Mailbox], init=False, repr=False)
    _listeners: list[Mailbox] = field(factory=list[Mailbox], init=False, repr=False)

    def __len__(self) -> int:
        return len(self._mailboxes) + len(self._subscriptions)

    def expect(self, request_id: int | str) -> Mailbox:
        """A mailbox for the answer to one request.

        :raises McpError: if the stream has ended.
        """
        if self.failure is not None:
            raise again(self.failure)
        mailbox = self._mailboxes[request_id] = Mailbox(self._limits, self._make_room)
        return mailbox

    def forget(self, request_id: int | str) -> None:
        """Remove a mailbox; what is still in it is for nobody."""
        mailbox = self._mailboxes.pop(request_id, None)
        if mailbox is not None and mailbox.is_full:
            self._make_room()

    def listen(self) -> Mailbox:
        """A mailbox for what belongs to no request.

        :raises McpError: if the stream has ended.
        """
        if self.failure is not None:
            raise again(self.failure)
        mailbox = Mailbox(self._limits, _nobody_waits)
        self._listeners.append(mailbox)
        return mailbox

    def stop_listening(self, mailbox: Mailbox) -> None:
        """Remove such a mailbox; what is still in it is for nobody."""
        self._listeners.remove(mailbox)

    def subscribe(self, request_id: int | str) -> Mailbox:
        """A mailbox for what arrives for one subscription, on a stream that has not ended."""
        mailbox = self._subscriptions[request_id] = Mailbox(self._limits, _nobody_waits)
        return mailbox

    def unsubscribe(self, request_id: int | str) -> None:
        """Remove such a mailbox; what is still in it is for nobody."""
        self._subscriptions.pop(request_id, None)

    def sort(self) -> None:
        """Leave what has arrived where it belongs, until that is done, a mailbox is full, or the stream has ended.

        What is wrong with it ends the stream, and raises nothing.
        """
        try:
            while self.room is None and self.failure is None and (arrival := self._next_message()) is not None:
                self._leave(*arrival)
        except McpError as error:
            self.end(error)
        if self.room is None and self._last_words is not None:
            self.end(self._last_words)

    def finish(self, error: McpError) -> None:
        """Take note that nothing more will arrive; what has arrived still counts."""
        # Its traceback leads to whatever was read with; nobody is to find that here.
        self._last_words = error.with_traceback(None)
        self.sort()

    def end(self, error: McpError) -> None:
        """End the stream: tell every request why nothing more will come."""
        if self.failure is not None:
            return
        self.failure = error.with_traceback(None)
        self._on_end()
        self.closed.raise_()
        for mailbox in (*self._mailboxes.values(), *self._subscriptions.values(), *self._listeners):
            mailbox.put(again(error))

    def _leave(self, message: Message, size: int) -> None:
        """Leave a message at the mailbox that it belongs to; what belongs to no call is for those who listen."""
        mailbox = self._find(message)
        if mailbox is None:
            self._take_note(message, size)
            return
        mailbox.put(message, size)
        if mailbox.is_full:
            self.room = Signal()

    def _find(self, message: Message) -> Mailbox | None:
        match message:
            case Response() | ErrorResponse():
                return self._mailboxes.get(message.id) if message.id is not None else None
            case Request() | Notification(method="notifications/message"):
                # What the server asks and logs is handled by the call that has waited longest.
                return next(iter(self._mailboxes.values()), None)
            case Notification(method="notifications/cancelled"):
                return _asked(self._mailboxes.values(), message.params.get("requestId"))
            case _:
                token = message.params.get("progressToken")
                return self._mailboxes.get(token) if is_integer(token) else None

    def _take_note(self, message: Message, size: int) -> None:
        """Handle a message that no call waits for: it may tell of a change, and be for somebody who listens."""
        change = Change.from_notification(message) if isinstance(message, Notification) else None
        if change is not None:
            self._on_change(change)
        listeners = self._listeners_for(message)
        for listener in listeners:
            # It must not hold up the calls that share the stream.
            listener.offer(message, size)
        if change is None and not listeners:
            self._counters.ignored_messages += 1

    def _listeners_for(self, message: Message) -> Sequence[Mailbox]:
        match message:
            case Response() | ErrorResponse():
                listener = self._subscription(message.id)
            case Request():
                return self._listeners[:1]
            case Notification(method="notifications/cancelled"):
                number = message.params.get("requestId")
                listener = self._subscription(number)
                if listener is None:
                    listener = _asked(self._listeners, number)
            case _:
                number = (as_object(message.params.get("_meta")) or {}).get(SUBSCRIPTION_ID_KEY)
                if number is None:
                    return tuple(self._listeners)
                listener = self._subscription(number)
        return () if listener is None else (listener,)

    def _subscription(self, number: object) -> Mailbox | None:
        return self._subscriptions.get(number) if is_integer(number) else None

    def _make_room(self) -> None:
        """Go on, now that the one full mailbox has room: first with what is here, then the reader with the rest."""
        room, self.room = self.room, None
        if room is not None:
            self.sort()
            room.raise_()


class SharedStream:
    """What the streams that many requests share have in common: what arrives on them is sorted into mailboxes."""

    __slots__ = ()

    _mailboxes: Mailboxes

    @property
    def room(self) -> Signal | None:
        """What is raised when more may be read; None if it may be now."""
        return self._mailboxes.room

    @property
    def closed(self) -> Signal:
        """What is raised when the stream has ended, or nobody needs it any more."""
        return self._mailboxes.closed

    @property
    def failure(self) -> McpError | None:
        """Why it ended, or None."""
        return self._mailboxes.failure

    def request_failed(self, error: McpError) -> None:
        """Take note that no more can be read; what has been received before still counts."""
        self._mailboxes.finish(error)

    def expect(self, request_id: int | str) -> Mailbox:
        """A mailbox for the answer to one request.

        :raises McpError: if the stream has ended.
        """
        return self._mailboxes.expect(request_id)

    def forget(self, request_id: int | str) -> None:
        """Remove a mailbox."""
        self._mailboxes.forget(request_id)

    def listen(self) -> Mailbox:
        """A mailbox for what belongs to no request.

        :raises McpError: if the stream has ended.
        """
        return self._mailboxes.listen()

    def stop_listening(self, mailbox: Mailbox) -> None:
        """Remove such a mailbox."""
        self._mailboxes.stop_listening(mailbox)
