"""Stores that processes share, as a user's code sees their types: mypy and pyright check this file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import coredis

import transports
from mcpcore import Limits, StoredEntry
from transports.stores import CacheStore, MemoryStore, RedisStore, SealedStore


class Shelf:
    """A store of the user's own."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    async def get(self, key: bytes) -> bytes | None:
        return self.held.get(key)

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        self.held[key] = value

    async def delete(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            self.held.pop(key, None)


shelf: CacheStore = Shelf()
memory: CacheStore = MemoryStore(most_bytes=1_000_000)


async def use(url: str, store: CacheStore = shelf) -> int:
    """Give a store to a client."""
    limits = Limits(store=0.1, store_pause=10.0)
    async with transports.connect(url, store=store, digest_key=b"sixteen bytes or more", limits=limits) as client:
        return len(await client.list_tools())


async def use_redis(url: str) -> None:
    """Both ways to reach Redis."""
    async with RedisStore.from_url("redis://localhost", prefix=b"mine:", commands=4, timeout=1.0) as store:
        assert_type(store, RedisStore)
        await use(url, store)
    async with coredis.Redis(stream_timeout=1.0) as client, RedisStore(client) as mine:
        await use(url, mine)
    async with coredis.RedisCluster("localhost", 7000) as cluster, RedisStore(cluster) as spread:
        await use(url, spread)


async def drive(store: CacheStore) -> bytes:
    """What a driver of the user's own does with a store."""
    sealed = SealedStore(store, b"sixteen bytes or more", timeout=0.25, pause=5.0, largest=1_000_000)
    await sealed.put(b"key", b"value", 60.0)
    entry = await sealed.get(b"key")
    assert_type(entry, StoredEntry | None)
    await sealed.delete((b"key",))
    return b"" if entry is None else entry.value
