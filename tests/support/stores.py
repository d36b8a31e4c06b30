"""Stores for the tests: one that remembers, and those that misbehave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
from attrs import define, field

from transports.stores import CacheStore, SealedStore

SECRET = b"a secret of more than 16 bytes"
DAY = 86_400.0


@define
class Memory:
    """A store in memory.

    :ivar held: what it holds.
    :ivar asked: which methods were called, in order.
    :ivar before: is called, and awaited, before anything is done.
    """

    held: dict[bytes, bytes] = field(factory=dict[bytes, bytes])
    asked: list[str] = field(factory=list[str])
    before: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint

    async def get(self, key: bytes) -> bytes | None:
        self.asked.append("get")
        await self.before()
        return self.held.get(key)

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        self.asked.append("put")
        await self.before()
        self.held[key] = value

    async def delete(self, keys: Sequence[bytes]) -> None:
        self.asked.append("delete")
        await self.before()
        for key in keys:
            self.held.pop(key, None)


@define
class Clock:
    """A wall clock that stands still until it is set."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def sealed(
    store: CacheStore,
    clock: Clock | None = None,
    secret: bytes = SECRET,
    *,
    timeout: float = DAY,
    pause: float = DAY,
    largest: int = 1_000_000,
) -> SealedStore:
    """A sealed store over ``store``, by default with bounds that nothing meets."""
    return SealedStore(store, secret, timeout=timeout, pause=pause, largest=largest, clock=clock or Clock())
