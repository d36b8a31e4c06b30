"""The store in memory: what is put is there until its time is up or there is no room for it."""

from __future__ import annotations

import pytest
from support.stores import Clock

import transports
from mcpcore import CallContext
from transports import ServerConfig
from transports.engines.memory import MemoryEngine
from transports.stores import MemoryStore
from transports.testing import Server, echo_headers

SECRET = b"a secret of more than 16 bytes"


@pytest.mark.anyio
async def test_what_is_put_is_there_and_what_is_deleted_is_gone() -> None:
    store = MemoryStore()
    assert await store.get(b"one") is None
    await store.put(b"one", b"1", 60.0)
    await store.put(b"two", b"2", 60.0)
    await store.put(b"one", b"another", 60.0)
    assert (await store.get(b"one"), await store.get(b"two")) == (b"another", b"2")
    await store.delete((b"one", b"never there"))
    assert (await store.get(b"one"), await store.get(b"two")) == (None, b"2")


@pytest.mark.anyio
async def test_a_value_is_there_until_its_time_is_up() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    await store.put(b"key", b"value", 60.0)
    clock.now += 59.5
    assert await store.get(b"key") == b"value"
    clock.now += 0.5
    assert await store.get(b"key") is None


@pytest.mark.anyio
async def test_what_was_used_least_recently_makes_room() -> None:
    store = MemoryStore(most_bytes=8)
    for key in (b"a", b"b"):
        await store.put(key, b"123", 60.0)
    assert await store.get(b"a") == b"123"
    await store.put(b"c", b"123", 60.0)
    assert [await store.get(key) for key in (b"a", b"b", b"c")] == [b"123", None, b"123"]
    await store.put(b"d", b"1234567", 60.0)
    assert [await store.get(key) for key in (b"a", b"c", b"d")] == [None, None, b"1234567"]


@pytest.mark.anyio
async def test_what_there_is_no_room_for_takes_nothing_elses() -> None:
    """But its predecessor is gone: it is no longer what was last put there."""
    store = MemoryStore(most_bytes=8)
    for key in (b"a", b"b"):
        await store.put(key, b"123", 60.0)
    await store.put(b"b", b"12345678", 60.0)
    assert [await store.get(key) for key in (b"a", b"b")] == [b"123", None]


@pytest.mark.anyio
async def test_what_was_replaced_deleted_or_has_expired_takes_no_room() -> None:
    clock = Clock()
    store = MemoryStore(most_bytes=8, clock=clock)
    for _ in range(10):
        await store.put(b"a", b"123", 60.0)
    await store.put(b"b", b"123", 30.0)
    assert await store.get(b"a") == b"123"
    clock.now += 30.0
    assert await store.get(b"b") is None
    await store.put(b"c", b"123", 60.0)
    await store.delete((b"c",))
    await store.put(b"d", b"123", 60.0)
    assert await store.get(b"a") == b"123"


@pytest.mark.anyio
async def test_what_one_run_has_fetched_serves_the_next() -> None:
    server, store = Server([echo_headers], ttl_ms=60_000), MemoryStore()
    servers = [ServerConfig("https://mcp.example/mcp", headers={"X-App": "demo"})]
    for user in ("alice", "alice", "bob"):
        async with transports.open_run(
            servers,
            context=CallContext(principal=user),
            engine=MemoryEngine(server),
            store=store,
            digest_key=SECRET,
        ) as run:
            assert [tool.name for tool in run.tools] == ["echo_headers"]
    assert [request.rpc_method for request in server.journal] == ["server/discover", "tools/list", "tools/list"]
