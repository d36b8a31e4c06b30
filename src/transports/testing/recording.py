"""Event streams that can be taken up again.

Each event has an id that says which stream it is of and where in it; whoever comes back with the last id that it saw is
given the rest of that very stream, and then what is new (basic/transports, Resumability and Redelivery, 2025-11-25).
The work behind a stream goes on while nobody reads it, if a task is lent for that; else it stands still.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from itertools import count

import anyio
from attrs import define, field

from .answers import Answer, Disconnect, Message, message_event
from .conversation import Background
from .outbox import Source
from .refusals import INVALID_REQUEST, Refusal
from .requests import ReceivedRequest


@define(eq=False)
class Recording:
    """One event stream, kept from its first event on.

    :param open: gives a reader the source of what is new.
    """

    _name: str
    _open: Callable[[], Source]
    _retry: int | None
    _primed: bool
    _messages: list[Message] = field(factory=list[Message], init=False)
    _work: _Work | None = field(default=None, init=False)

    def record_in(self, background: Background, scope: anyio.CancelScope) -> None:
        """Let the work go on in a task of its own until it is done or ``scope`` is cancelled."""
        self._work = _Work(self._open(), self._messages, scope)
        background(self._work.run)

    def answer(self, request: ReceivedRequest, start: int = 0) -> Answer:
        """The events from number ``start`` on, as answer to ``request``; number 0 is the priming event."""
        more = self._work.grows if self._work is not None else partial(self._take, self._open())
        return Answer.stream(partial(self._events, request, start, more))

    async def _events(
        self, request: ReceivedRequest, start: int, more: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes, None]:
        if self._primed and start == 0:
            yield self._head(0) + b"data: \n\n"
        position = max(start, 1)
        while position <= len(self._messages) or await more():
            for message in self._messages[position - 1 :]:
                if "method" not in message:
                    request.end("answered")
                yield self._head(position) + message_event(message)
                position += 1

    def _head(self, position: int) -> bytes:
        first = position == (0 if self._primed else 1)
        retry = f"retry: {self._retry}\n" if first and self._retry is not None else ""
        return f"id: {self._name}/{position}\n{retry}".encode()

    async def _take(self, source: Source) -> bool:
        """Do the work here, up to its next message; return whether there was one."""
        message = await source()
        if message is not None:
            self._messages.append(message)
        return message is not None


@define(eq=False)
class _Work:
    """Work that goes on in a task of its own."""

    _source: Source
    _messages: list[Message]
    _scope: anyio.CancelScope
    _over: bool = field(default=False, init=False)
    _cut: bool = field(default=False, init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    async def run(self) -> None:
        """Work until it is done, or stopped."""
        try:
            with self._scope:
                while (message := await self._source()) is not None:
                    self._messages.append(message)
                    self._changed.set()
        except Disconnect:
            self._cut = True
        self._over = True
        self._changed.set()

    async def grows(self) -> bool:
        """Wait until there is more; return False once it is over."""
        known = len(self._messages)
        while len(self._messages) == known and not self._over:
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
        if len(self._messages) == known and self._cut:
            raise Disconnect
        return len(self._messages) > known


@define(eq=False)
class Recordings:
    """The event streams of one session.

    :param retry: how long a client should wait before it takes a stream up again, in milliseconds.
    """

    _retry: int | None
    _by_name: dict[str, Recording] = field(factory=dict[str, Recording], init=False)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    def start(self, opened: Callable[[], Source], *, primed: bool) -> Recording:
        """A new stream of what the sources give that ``opened`` returns."""
        name = f"stream-{next(self._numbers)}"
        self._by_name[name] = Recording(name, opened, self._retry, primed)
        return self._by_name[name]

    def rest(self, request: ReceivedRequest) -> Answer:
        """What ``request`` has not seen of the stream that its ``Last-Event-ID`` is of."""
        name, _, position = request.headers["last-event-id"].rpartition("/")
        recording = self._by_name.get(name)
        if recording is None or not position.isdecimal():
            raise Refusal(400, INVALID_REQUEST, "Last-Event-ID is none that was sent in this session")
        return recording.answer(request, int(position) + 1)
