"""What a handshake leaves behind: sessions, and the messages that wait for their streams."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import anyio
from attrs import define, field

from .answers import Disconnect, Message, message_event
from .asking import Asking


@define(eq=False)
class Outbox:
    """Messages that wait for an event stream to carry them.

    Whoever puts a message never waits, and needs no task of its own; the stream's reader does the waiting.
    """

    _messages: deque[Message] = field(factory=deque[Message], init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)
    _ended: bool = field(default=False, init=False)
    _cut: bool = field(default=False, init=False)

    def put(self, message: Message) -> None:
        """Send ``message`` as soon as there is a reader."""
        self._messages.append(message)
        self._changed.set()

    def end(self, *, cut: bool = False) -> None:
        """End the stream once everything is sent: properly, or by cutting the connection."""
        self._ended, self._cut = True, cut
        self._changed.set()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The messages as events, as they come, until the end."""
        while True:
            while self._messages:
                yield message_event(self._messages.popleft())
            if self._cut:
                raise Disconnect
            if self._ended:
                return
            self._changed = anyio.Event()
            await self._changed.wait()


@define(eq=False)
class Session:
    """One client's session.

    :ivar id: what names it: in ``Mcp-Session-Id``, or in the query of a legacy message URL.
    :ivar revision: the revision settled by ``initialize``; None before.
    :ivar initialized: whether ``notifications/initialized`` has arrived.
    :ivar capabilities: what the client declared.
    :ivar log_level: the lowest level of log messages that it wants.
    :ivar questions: what it was asked and has not answered yet.
    :ivar outbox: the messages for its listening stream.
    """

    id: str
    revision: str | None = None
    capabilities: Message = field(factory=dict[str, Any], init=False)
    log_level: str = field(default="debug", init=False)
    questions: Asking = field(factory=Asking, init=False)
    initialized: bool = False
    outbox: Outbox = field(factory=Outbox, init=False)


@define(eq=False)
class Sessions:
    """The sessions that a server keeps."""

    _by_id: dict[str, Session] = field(factory=dict[str, Session], init=False)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    def open(self) -> Session:
        """A new session."""
        session = Session(f"session-{next(self._numbers)}")
        self._by_id[session.id] = session
        return session

    def get(self, session_id: str | None) -> Session | None:
        """The session of that name, if there is one."""
        return self._by_id.get(session_id or "")

    def end(self, session_id: str) -> None:
        """Forget a session; its stream ends."""
        if session := self._by_id.pop(session_id, None):
            session.outbox.end()

    def expire(self) -> None:
        """Forget every session; their streams end."""
        for session_id in tuple(self._by_id):
            self.end(session_id)

    def broadcast(self, message: Message) -> None:
        """Put ``message`` into every outbox."""
        for session in self._by_id.values():
            session.outbox.put(message)
