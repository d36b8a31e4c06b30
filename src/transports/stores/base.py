"""What a shared store is: three methods that move bytes.

A client keeps what it has fetched in its own memory.  Given a store, it also looks there before it asks the server, and
puts there what it has fetched, so that many processes fetch once.  A store needs to know nothing of MCP, and need not
be trusted: keys are digests, values are sealed, and whatever it hands back that was not put there counts as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class CacheStore(Protocol):
    """Keeps bytes under bytes for a while.

    Any method may raise any exception: the client then counts a miss, leaves the store alone for
    ``limits.store_pause`` seconds, and goes on.  So a store needs no bounds, retries or error handling of its own.  It
    is used by several tasks at once, and must stand being cancelled at any point.
    """

    async def get(self, key: bytes) -> bytes | None:
        """Return what was last put under ``key``, or None if nothing is there; it may vanish at any time.

        :param key: 32 bytes that say nothing about what they stand for.
        """
        ...

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Keep ``value`` under ``key`` in place of what is there.

        :param ttl: after this many seconds nobody wants it any more; more than 0.
        """
        ...

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Forget what is under ``keys``, those of them that are there."""
        ...
