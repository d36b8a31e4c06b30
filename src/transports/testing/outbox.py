"""Messages that wait for an event stream to carry them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import TypeAlias

import anyio
from attrs import define, field

from .answers import Disconnect, Message, message_event

Source: TypeAlias = Callable[[], Awaitable[Message | None]]
"""Where an event stream gets its messages from, one at a time; None ends it."""


async def event_stream(source: Source) -> AsyncGenerator[bytes, None]:
    """The messages of ``source`` as events, as they come."""
    while (message := await source()) is not None:
        yield message_event(message)


@define(eq=False)
class Outbox:
    """Messages that wait for an event stream to carry them.

    Whoever puts a message never waits, and needs no task of its own; the stream's reader does the waiting.  Streams
    come and go; a message is carried by one of them.
    """

    _messages: deque[Message] = field(factory=deque[Message], init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)
    _hung_up: int = field(default=0, init=False)
    _ended: bool = field(default=False, init=False)
    _cut: bool = field(default=False, init=False)

    def put(self, message: Message) -> None:
        """Send ``message`` as soon as there is a reader."""
        self._messages.append(message)
        self._changed.set()

    def hang_up(self, *, cut: bool = False) -> None:
        """End the streams that there are, once everything is sent: properly, or by cutting the connection."""
        self._hung_up += 1
        self._cut = cut
        self._changed.set()

    def end(self, *, cut: bool = False) -> None:
        """Hang up for good: a later stream has only what is left, and ends."""
        self._ended = True
        self.hang_up(cut=cut)

    def open(self) -> Source:
        """The messages for one more stream."""
        return partial(self._next, self._hung_up)

    async def _next(self, opened: int) -> Message | None:
        while not self._messages:
            if self._ended or opened != self._hung_up:
                if self._cut:
                    raise Disconnect
                return None
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
        return self._messages.popleft()
