"""A store in the memory of this process, for clients and runs that come and go in it.

A client's own cache ends with the client, and the clients of an agent run end with the run.  This store stays, so the
next run finds what an earlier one has fetched.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@final
class MemoryStore:
    """Keeps values in memory, for any number of clients in one thread; there is nothing to open or close.

    :param most_bytes: how many bytes of keys and values to keep; those used least recently make room.
    :param clock: seconds, by which values end.
    """

    def __init__(self, most_bytes: int = 64 * 1024 * 1024, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._bytes = 0
        self._held: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    async def get(self, key: bytes) -> bytes | None:
        """Return what is under ``key``, or None."""
        if key not in self._held:
            return None
        value, expires = self._held[key]
        if expires <= self._clock():
            self._forget(key)
            return None
        self._held.move_to_end(key)
        return value

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Keep ``value`` under ``key`` for ``ttl`` seconds, unless there could be no room for it at all."""
        self._forget(key)
        size = len(key) + len(value)
        if size > self._most_bytes:
            return
        while self._bytes + size > self._most_bytes:
            self._forget(next(iter(self._held)))
        self._held[key] = (value, self._clock() + ttl)
        self._bytes += size

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Forget what is under ``keys``."""
        for key in keys:
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        if key in self._held:
            value, _ = self._held.pop(key)
            self._bytes -= len(key) + len(value)
