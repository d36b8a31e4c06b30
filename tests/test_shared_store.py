"""Clients that share a store: what one of them has fetched the others need not fetch, and nobody is shown another's."""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from support.redis import Redis, running_redis
from support.shared_client import PEOPLE, as_user, context_of, lists_of_everybody
from support.stores import SECRET, Memory
from trio.testing import MockClock

import transports
from mcpcore import CallContext, ConfigurationError, Limits
from transports.engines.memory import MemoryEngine
from transports.stores import RedisStore, SealedStore
from transports.testing import ReceivedRequest, Server, Tool, serve

ALICE, BOB = map(context_of, PEOPLE)
HOUR = 3_600_000


async def hang() -> None:
    await anyio.sleep_forever()


async def refuse() -> None:
    raise ConnectionRefusedError("redis://user:password@host refused")


def done(arguments: dict[str, Any], request: ReceivedRequest) -> str:
    """A tool."""
    return "done"


def own_tools(request: ReceivedRequest) -> list[Tool]:
    """Each user has one tool, which is named after the user."""
    return [Tool(done, name=f"tool-of-{request.headers['x-user']}")]


def server_of(*revisions: str, **options: Any) -> Server:
    options = {"ttl_ms": HOUR, "revisions": revisions or ["2026-07-28"], **options}
    return Server(own_tools, **options)


@asynccontextmanager
async def process(
    server: Server, store: Any, secret: bytes = SECRET, url: str = "https://mcp.example/mcp", **options: Any
) -> AsyncGenerator[transports.Client, None]:
    """A client as another process would have it: nothing in common with others but the store and the secret."""
    options = {"get_headers": as_user, "engine": MemoryEngine(server), **options}
    async with transports.connect(url, store=store, digest_key=secret, **options) as client:
        yield client


async def tools_of(client: transports.Client, context: CallContext) -> list[str]:
    return [tool.name for tool in await client.list_tools(context=context)]


async def listed(server: Server, store: Any, context: CallContext = ALICE, **options: Any) -> list[str]:
    """What a process that starts now, lists the tools and ends is told."""
    async with process(server, store, **options) as client:
        return await tools_of(client, context)


def methods(server: Server) -> list[str | None]:
    """What the server was asked since this was called last."""
    asked = [request.rpc_method for request in server.journal]
    server.journal.clear()
    return asked


# What is shared


@pytest.mark.anyio
async def test_a_second_process_asks_the_server_nothing() -> None:
    server, store = server_of(), Memory()
    assert await listed(server, store) == ["tool-of-alice"]
    assert methods(server) == ["server/discover", "tools/list"]
    assert await listed(server, store) == ["tool-of-alice"]
    assert methods(server) == []


@pytest.mark.anyio
async def test_in_the_handshake_era_the_verdict_and_the_lists_are_shared_and_sessions_are_not() -> None:
    server, store = server_of("2025-11-25"), Memory()
    assert await listed(server, store, default_ttl=60.0) == ["tool-of-alice"]
    assert methods(server)[:2] == ["server/discover", "initialize"]
    async with process(server, store, default_ttl=60.0) as client:
        assert await tools_of(client, ALICE) == ["tool-of-alice"]
        assert methods(server) == []
        assert await tools_of(client, BOB) == ["tool-of-bob"]
        assert methods(server) == ["initialize", "notifications/initialized", "tools/list"]


@pytest.mark.anyio
async def test_all_pages_are_shared() -> None:
    def many(request: ReceivedRequest) -> list[Tool]:
        return [Tool(done, name=f"{number}-of-{request.headers['x-user']}") for number in range(5)]

    server, store = Server(many, revisions=["2026-07-28"], ttl_ms=HOUR, page_size=2), Memory()
    first = await listed(server, store)
    assert len(first) == 5
    methods(server)
    assert await listed(server, store) == first
    assert methods(server) == []


@pytest.mark.anyio
async def test_a_public_list_is_shared_with_everybody_only_where_that_is_allowed() -> None:
    server, store = server_of(cache_scope="public"), Memory()
    assert await listed(server, store, ALICE, share_public=True) == ["tool-of-alice"]
    methods(server)
    assert await listed(server, store, BOB, share_public=True) == ["tool-of-alice"]
    assert methods(server) == []
    assert await listed(server, store, BOB) == ["tool-of-bob"]
    assert methods(server) == ["tools/list"]


@pytest.mark.anyio
async def test_what_the_server_does_not_let_be_kept_is_not_shared() -> None:
    server, store = server_of(ttl_ms=0), Memory()
    for _ in range(2):
        await listed(server, store)
    assert methods(server).count("tools/list") == 2


# What is kept apart


@pytest.mark.anyio
async def test_nobody_is_shown_what_another_was_told() -> None:
    server, store = server_of(), Memory()
    for _ in range(2):
        for name in PEOPLE:
            assert await listed(server, store, context_of(name)) == [f"tool-of-{name}"]
    assert methods(server) == ["server/discover", "tools/list", "tools/list"]


@pytest.mark.anyio
async def test_without_a_principal_nothing_is_shared_where_headers_tell_people_apart() -> None:
    server, store = server_of(), Memory()
    for _ in range(2):
        for name in PEOPLE:
            context = CallContext(request_headers={"X-User": name})
            assert await listed(server, store, context) == [f"tool-of-{name}"]
    assert methods(server).count("tools/list") == 4


@pytest.mark.anyio
@pytest.mark.parametrize(
    "other",
    [
        {"secret": SECRET + b"!"},
        {"headers": {"X-App": "another"}},
        {"auth_token": "another"},
        {"url": "https://mcp.example/mcp?tenant=another"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_clients_that_differ_in_this_share_nothing(other: dict[str, Any]) -> None:
    server, store = server_of(), Memory()
    await listed(server, store)
    methods(server)
    assert await listed(server, store, **other) == ["tool-of-alice"]
    assert methods(server) == ["server/discover", "tools/list"]


@pytest.mark.anyio
async def test_the_store_is_told_nothing() -> None:
    server, store = server_of(), Memory()
    await listed(server, store, auth_token="a-token")
    assert store.held
    for key, value in store.held.items():
        assert len(key) == 32
        for told in (b"alice", b"acme", b"tool", b"2026-07-28", b"mcp.example", b"a-token", SECRET):
            assert told not in key + value


# A store that lies


def spoilt(store: Memory) -> None:
    for key, value in store.held.items():
        store.held[key] = value[:-1] + bytes([value[-1] ^ 1])


def swapped(store: Memory) -> None:
    store.held = dict(zip(store.held, reversed(store.held.values()), strict=True))


def cut(store: Memory) -> None:
    store.held = {key: value[: len(value) // 2] for key, value in store.held.items()}


@pytest.mark.anyio
@pytest.mark.parametrize("spoil", [spoilt, swapped, cut])
async def test_where_the_store_lies_the_server_is_asked_and_the_lie_is_replaced(
    spoil: Callable[[Memory], None],
) -> None:
    server, store = server_of(), Memory()
    await listed(server, store)
    spoil(store)
    methods(server)
    assert await listed(server, store) == ["tool-of-alice"]
    assert methods(server) == ["server/discover", "tools/list"]
    assert await listed(server, store) == ["tool-of-alice"]
    assert methods(server) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "nonsense", [b"", b"[", b"null", b"[1]", b"{}", b'[{"tools":5}]', b'{"revision":"1999-01-01"}']
)
async def test_nonsense_that_somebody_with_the_secret_put_there_does_no_harm(nonsense: bytes) -> None:
    server, store = server_of(), Memory()
    await listed(server, store)
    sealed = SealedStore(store, SECRET, timeout=1.0, pause=1.0, largest=1_000)
    for key in list(store.held):
        await sealed.put(key, nonsense, 60.0)
    assert await listed(server, store) == ["tool-of-alice"]


# A store that is of no help


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", [hang, refuse])
async def test_a_store_in_trouble_fails_no_call_and_is_asked_once(
    trouble: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    server, store = server_of(), Memory(before=trouble)
    async with process(server, store, limits=Limits(store=0.01, store_pause=1e6)) as client:
        for context in (ALICE, BOB, ALICE):
            assert await tools_of(client, context) == [f"tool-of-{context.request_headers['x-user']}"]
        result = await client.call_tool("tool-of-alice", context=ALICE)
    assert result.text == "done"
    assert len(store.asked) == 1
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    assert "password" not in caplog.text


@pytest.mark.trio
async def test_a_store_that_hangs_slows_one_call_and_by_no_more_than_the_bound(autojump_clock: MockClock) -> None:
    async with process(server_of(), Memory(before=hang), limits=Limits(store=0.25, store_pause=5.0)) as client:
        began = trio.current_time()
        await tools_of(client, ALICE)
        assert trio.current_time() - began == pytest.approx(0.25)
        await tools_of(client, BOB)
        assert trio.current_time() - began == pytest.approx(0.25)


@pytest.mark.anyio
async def test_a_call_that_is_cancelled_while_it_waits_for_the_store_is_cancelled() -> None:
    server, store = server_of(), Memory(before=hang)
    async with process(server, store, limits=Limits(store=1e6, store_pause=1e6)) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tools_of, client, ALICE)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert methods(server) == []
        assert client.statistics().calls == 0
        store.before = anyio.lowlevel.checkpoint
        assert await tools_of(client, ALICE) == ["tool-of-alice"]
    assert store.held


def test_a_store_without_a_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="digest_key"):
        transports.connect("https://mcp.example/mcp", store=Memory())


# In Redis


@pytest.fixture
def redis() -> Iterator[Redis]:
    with running_redis() as started:
        yield started
    gc.collect()


@pytest.mark.anyio
async def test_two_processes_that_share_a_redis_ask_the_server_once(redis: Redis, anyio_backend: str) -> None:
    server = server_of()
    expected = {name: [f"tool-of-{name}"] for name in PEOPLE}
    async with serve(server) as served:
        assert await lists_of_everybody(served.url, redis.url, SECRET) == expected
        assert methods(server) == ["server/discover", "tools/list", "tools/list"]
        command = [sys.executable, "-m", "support.shared_client", served.url, redis.url, SECRET.decode(), anyio_backend]
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        with anyio.fail_after(30):
            finished = await anyio.run_process(command, env={**os.environ, "PYTHONPATH": path})
        assert json.loads(finished.stdout) == expected
        assert methods(server) == []


@pytest.mark.anyio
# What the library leaves behind where it could not connect; there is no socket in it.
@pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
@pytest.mark.parametrize("trouble", ["killed", "frozen"])
async def test_a_redis_that_fails_in_the_middle_fails_no_call_and_is_used_again(redis: Redis, trouble: str) -> None:
    server = server_of()
    limits = Limits(store=0.05, store_pause=0.001)
    async with RedisStore.from_url(redis.url, timeout=0.1) as store, process(server, store, limits=limits) as client:
        assert await tools_of(client, ALICE) == ["tool-of-alice"]
        with out_of_order(redis, trouble), anyio.fail_after(10):
            for _ in range(3):
                tools = await client.list_tools(context=BOB, cache="refresh")
                assert [tool.name for tool in tools] == ["tool-of-bob"]
        with anyio.fail_after(10):
            while True:
                await client.list_tools(context=BOB, cache="refresh")
                methods(server)
                assert await listed(server, store, BOB) == ["tool-of-bob"]
                if "tools/list" not in methods(server):
                    break


@contextmanager
def out_of_order(redis: Redis, trouble: str) -> Iterator[None]:
    if trouble == "killed":
        redis.kill()
        yield
        redis.start()
    else:
        redis.freeze()
        yield
        redis.thaw()
