"""Kept connections: at most so many at once, the one used last first.

A call takes its turn, then a connection; it gives both back together.  So the number of connections in use is
the number of turns taken, and no list of waiting requests has to be matched with a list of connections.

* **Turns** are handed over: whoever gives one back passes it to the first waiter, so nobody overtakes and a
  waiter that was cancelled at that very moment passes it on.
* **Kept connections form a stack.**  The busiest few are used again and again while the others grow old at
  the bottom, where each visit to the pool removes those that nobody used for too long.  No background task
  does it: while nobody visits the pool, a few idle sockets wait.
* A connection is **kept only if its last exchange ended cleanly**.  After an exception, a cancellation or an
  unread body nobody knows what is still on its way, and the next user might read the previous one's answer.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio
from attrs import define, field

from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

Origin = tuple[bytes, bytes, int, tuple[str, ...]]
"""Scheme, host, port, and the addresses to connect to, or none for those of the host: what a connection leads to."""


class PooledConnection(Protocol):
    """What a pool needs to know of a connection."""

    @property
    def origin(self) -> Origin:
        """Where it leads."""
        ...

    def is_alive(self) -> bool:
        """Whether the server left it open while it was idle."""
        ...

    async def aclose(self) -> None:
        """Close it, without waiting for the network."""
        ...


ConnectionT = TypeVar("ConnectionT", bound=PooledConnection)


@define(eq=False)
class Turns:
    """A bound on how many may go on at once; the others wait in the order in which they came."""

    free: int
    _closed: bool = False
    _waiting: deque[anyio.Event] = field(factory=lambda: deque[anyio.Event]())

    async def take(self) -> None:
        """Wait for a turn and take it; without waiting, and without a pause, if one is free.

        :raises LocalProtocolError: if the engine is closed.
        """
        if self.free or self._closed:
            self.free -= 1
        else:
            await self._wait()
        if self._closed:
            self.give()
            raise LocalProtocolError("the engine is closed")

    async def _wait(self) -> None:
        event = anyio.Event()
        self._waiting.append(event)
        try:
            await event.wait()
        except BaseException:
            if not event.is_set():
                self._waiting.remove(event)
            else:
                self.give()
            raise

    def give(self) -> None:
        """Give a turn back: to the first who waits, if anyone does."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.free += 1

    def close(self) -> None:
        """Fail those who wait, and whoever comes."""
        self._closed = True
        while self._waiting:
            # Woken means having a turn, here as elsewhere: it is given back by whoever fails.
            self.free -= 1
            self._waiting.popleft().set()


@define(eq=False)
class ConnectionPool(Generic[ConnectionT]):
    """Connections to reuse, at most ``bound`` of them in use at once.

    :param bound: how many connections may be open.
    :param expiry: how many seconds an idle connection is kept.
    :param connect: makes a connection to an origin, without waiting for anything.
    :param clock: the time in seconds.
    """

    bound: int
    expiry: float
    _connect: Callable[[Origin], ConnectionT]
    _clock: Callable[[], float]
    opened: int = 0
    closed: bool = False
    _idle: deque[tuple[float, ConnectionT]] = field(factory=lambda: deque[tuple[float, ConnectionT]]())
    _turns: Turns = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._turns = Turns(self.bound)

    @property
    def idle(self) -> int:
        """How many connections wait to be used again."""
        return len(self._idle)

    @property
    def in_use(self) -> int:
        """How many connections serve a request."""
        return self.bound - self._turns.free

    async def acquire(self, origin: Origin) -> ConnectionT:
        """Return a connection to ``origin``, kept or new; waits while ``bound`` of them are in use.

        Give it back with :meth:`release`, whatever happens.
        """
        await self._turns.take()
        try:
            await self._trim()
            return await self._take_idle(origin) or await self._open(origin)
        except BaseException:
            self._turns.give()
            raise

    async def release(self, connection: ConnectionT, *, keep: bool) -> None:
        """Give ``connection`` back; it is closed unless ``keep`` says that its exchange ended cleanly."""
        try:
            if keep and not self.closed:
                self._idle.append((self._clock(), connection))
                await self._trim()
            else:
                await connection.aclose()
        finally:
            self._turns.give()

    async def aclose(self) -> None:
        """Close the idle connections now and the others as they come back; refuse all further requests."""
        self.closed = True
        self._turns.close()
        while self._idle:
            await self._idle.popleft()[1].aclose()

    async def _trim(self) -> None:
        """Close the connections that nobody used for too long; the oldest are the leftmost."""
        while self._idle and self._clock() - self._idle[0][0] > self.expiry:
            await self._idle.popleft()[1].aclose()

    async def _take_idle(self, origin: Origin) -> ConnectionT | None:
        """The connection to ``origin`` that was used last and is still alive, if there is one."""
        while (connection := self._pop_idle(origin)) is not None:
            if connection.is_alive():
                return connection
            await connection.aclose()
        return None

    def _pop_idle(self, origin: Origin) -> ConnectionT | None:
        for position in range(len(self._idle) - 1, -1, -1):
            if self._idle[position][1].origin == origin:
                connection = self._idle[position][1]
                del self._idle[position]
                return connection
        return None

    async def _open(self, origin: Origin) -> ConnectionT:
        # The idle ones that are left lead elsewhere, or the bound would not be reached with this turn.
        while self._idle and len(self._idle) + self.in_use > self.bound:
            await self._idle.popleft()[1].aclose()
        self.opened += 1
        return self._connect(origin)
