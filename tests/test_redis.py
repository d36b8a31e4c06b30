"""The store in Redis, against a real server: also one that is down, freezes, or dies in the middle."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import coredis
import pytest
from attrs import define
from support.redis import Redis, running_redis
from support.stores import DAY, Clock, sealed

from mcpcore import ConfigurationError, LocalProtocolError, TransportError
from transports.stores import RedisStore

pytestmark = [
    pytest.mark.anyio,
    # What the library leaves behind where it could not connect; there is no socket in it.
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
SOON = 0.5


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """What a test leaves behind is noticed in that test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with running_redis() as redis:
        yield redis


@pytest.fixture
def mortal() -> Iterator[Redis]:
    """A server for one test, which may kill it."""
    with running_redis() as redis:
        yield redis


@pytest.fixture
async def store(server: Redis) -> AsyncGenerator[RedisStore, None]:
    """An empty store; opened and closed by the same task, in which the test runs too."""
    async with plain(server) as client:
        await client.flushall()
    async with RedisStore.from_url(server.url) as opened:
        yield opened


def plain(redis: Redis) -> coredis.Redis[bytes]:
    """A client of the library itself."""
    return coredis.Redis.from_url(redis.url)


# What is kept


async def test_what_is_put_is_there_and_what_is_deleted_is_gone(store: RedisStore) -> None:
    assert await store.get(KEY) is None
    await store.put(KEY, b"one\r\n\0", 60.0)
    await store.put(OTHER, b"two", 60.0)
    await store.put(KEY, b"three\xff", 60.0)
    assert await store.get(KEY) == b"three\xff"
    await store.delete([KEY, OTHER, b"never there"])
    assert await store.get(KEY) is None
    assert await store.get(OTHER) is None


async def test_a_large_value_comes_back_whole(store: RedisStore) -> None:
    value = bytes(range(256)) * 40_000
    await store.put(KEY, value, 60.0)
    assert await store.get(KEY) == value


async def test_redis_forgets_what_is_out_of_date(store: RedisStore, server: Redis) -> None:
    await store.put(KEY, b"one", 90.0)
    await store.put(OTHER, b"two", 0.0001)
    async with plain(server) as client:
        assert 89_000 < await client.pttl(b"mcpcore:" + KEY) <= 90_000
        while await client.exists([b"mcpcore:" + OTHER]):
            await anyio.lowlevel.checkpoint()
    assert await store.get(OTHER) is None


async def test_stores_with_different_prefixes_do_not_meet(store: RedisStore, server: Redis) -> None:
    async with RedisStore.from_url(server.url, prefix=b"elsewhere:") as other, plain(server) as client:
        await other.put(KEY, b"one", 60.0)
        assert await store.get(KEY) is None
        assert await client.keys() == {b"elsewhere:" + KEY}
        await store.delete([KEY])
        assert await other.get(KEY) == b"one"


async def test_a_client_of_the_callers_own_is_used_and_stays_open(server: Redis) -> None:
    async with plain(server) as client:
        async with RedisStore(client) as store:
            await store.put(KEY, b"one", 60.0)
            assert await store.get(KEY) == b"one"
        assert await client.ping() == b"PONG"


async def test_many_requests_at_once_each_get_their_own_answer(store: RedisStore) -> None:
    answers: dict[int, bytes | None] = {}

    async def ask(number: int) -> None:
        key = number.to_bytes(32, "big")
        await store.put(key, b"%d" % number, 60.0)
        answers[number] = await store.get(key)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(ask, number)
    assert answers == {number: b"%d" % number for number in range(100)}


async def test_something_else_under_the_key_is_an_error_of_this_request_alone(store: RedisStore, server: Redis) -> None:
    async with plain(server) as client:
        await client.rpush(b"mcpcore:" + KEY, [b"a list"])
    with pytest.raises(coredis.exceptions.WrongTypeError):
        await store.get(KEY)
    await store.put(KEY, b"one", 60.0)
    assert await store.get(KEY) == b"one"


# Cancellation


@define
class Asking:
    """Asks a store for one key, and is cancelled."""

    store: RedisStore
    outcomes: list[object]

    async def get(self, key: bytes) -> None:
        self.outcomes.append(await self.store.get(key))


@asynccontextmanager
async def frozen(server: Redis) -> AsyncGenerator[None, None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


async def test_the_answer_to_a_cancelled_request_is_nobody_elses(store: RedisStore, server: Redis) -> None:
    for number in range(10):
        await store.put(number.to_bytes(32, "big"), b"%d" % number, 60.0)
    asking = Asking(store, [])
    async with frozen(server), anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(asking.get, number.to_bytes(32, "big"))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert asking.outcomes == []
    for number in range(10):
        assert await store.get(number.to_bytes(32, "big")) == b"%d" % number


async def test_requests_that_are_cancelled_while_they_connect_take_nothing_with_them(server: Redis) -> None:
    async with RedisStore.from_url(server.url, commands=2) as store:
        asking = Asking(store, [])
        for _ in range(5):
            async with frozen(server), anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(asking.get, KEY)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        assert asking.outcomes == []
        await store.put(KEY, b"one", 60.0)
        assert await store.get(KEY) == b"one"


async def test_no_connection_holds_on_to_what_the_call_that_opened_it_knew(server: Redis) -> None:
    token: ContextVar[str] = ContextVar("token", default="none")
    seen: list[str] = []

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(token.get())

    watching = Watching(logging.INFO)
    logger = logging.getLogger("coredis")
    logger.addHandler(watching)
    logger.setLevel(logging.INFO)
    try:
        async with RedisStore.from_url(server.url) as store:
            token.set("alice's")
            await store.get(KEY)
            async with plain(server) as client:
                await client.client_kill(type_=coredis.PureToken.NORMAL, skipme=True)
            await store.put(KEY, b"one", 60.0)
    finally:
        logger.removeHandler(watching)
        logger.setLevel(logging.NOTSET)
    assert seen
    assert set(seen) == {"none"}


# A server in trouble


async def test_a_server_that_is_not_there_is_an_error_and_later_used(mortal: Redis) -> None:
    mortal.kill()
    async with RedisStore.from_url(mortal.url) as store:
        for _ in range(20):
            with pytest.raises(coredis.exceptions.ConnectionError):
                await store.get(KEY)
        mortal.start()
        await store.put(KEY, b"one", 60.0)
        assert await store.get(KEY) == b"one"


async def test_a_server_that_dies_in_the_middle_fails_what_was_under_way_and_is_used_again(mortal: Redis) -> None:
    async with RedisStore.from_url(mortal.url) as store:
        await store.put(KEY, b"one", 60.0)
        failures: list[Exception] = []

        async def ask() -> None:
            try:
                await store.get(KEY)
            except Exception as failure:
                failures.append(failure)

        async with anyio.create_task_group() as tasks:
            mortal.freeze()
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            mortal.kill()
        assert len(failures) == 3
        mortal.start()
        await store.put(KEY, b"two", 60.0)
        assert await store.get(KEY) == b"two"


async def test_a_server_that_freezes_is_given_up_and_a_new_connection_opened(server: Redis) -> None:
    async with RedisStore.from_url(server.url, timeout=SOON) as store, plain(server) as client:
        await store.put(KEY, b"one", 60.0)
        used = {entry["id"] for entry in await client.client_list()}
        async with frozen(server):
            with pytest.raises(TimeoutError):
                await store.get(KEY)
            with pytest.raises(coredis.exceptions.ConnectionError):
                await store.get(KEY)
        assert await store.get(KEY) == b"one"
        assert {entry["id"] for entry in await client.client_list()} - used


@define
class Stranger:
    """Listens where Redis should, and answers nothing of use.

    :ivar url: where that is.
    :ivar connections: how many there were.
    """

    url: str
    greeting: bytes = b""
    hangs_up: bool = False
    connections: int = 0

    async def answer(self, stream: anyio.abc.SocketStream) -> None:
        self.connections += 1
        async with stream:
            if self.greeting:
                await stream.send(self.greeting)
            if not self.hangs_up:
                await anyio.sleep_forever()


@asynccontextmanager
async def stranger(**manners: Any) -> AsyncGenerator[Stranger, None]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        listening = Stranger(f"redis://127.0.0.1:{port}", **manners)
        tasks.start_soon(listener.serve, listening.answer)
        yield listening
        tasks.cancel_scope.cancel()


async def test_a_command_is_tried_once() -> None:
    async with stranger(hangs_up=True) as listening, RedisStore.from_url(listening.url) as store:
        with pytest.raises(coredis.exceptions.ConnectionError):
            await store.get(KEY)
    assert listening.connections == 1


async def test_there_are_no_more_connections_than_commands_at_once() -> None:
    async with stranger() as listening, RedisStore.from_url(listening.url, commands=3, timeout=DAY) as store:
        asking = Asking(store, [])
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(asking.get, KEY)
            while listening.connections < 3:
                await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert listening.connections == 3


async def test_a_server_that_takes_no_connection_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as queue:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
        for _ in range(4):  # Once its queue is full, the system lets whoever comes next wait.
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        async with RedisStore.from_url(url, timeout=SOON) as store:
            with anyio.fail_after(10), pytest.raises(coredis.exceptions.ConnectionError):
                await store.get(KEY)


@pytest.mark.parametrize("trouble", ["dead", "frozen", "mute", "babbling"])
async def test_a_server_in_trouble_is_a_miss_within_the_bound(
    trouble: str, mortal: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "transports")
    async with troubled(trouble, mortal) as url, RedisStore.from_url(url) as store:
        client = sealed(store, Clock(), timeout=SOON, pause=DAY)
        with anyio.fail_after(10 * SOON):
            assert await client.get(KEY) is None
        with anyio.fail_after(SOON):
            assert await client.get(KEY) is None
            await client.put(KEY, b"value", 60.0)
    assert len([record for record in caplog.records if record.name == "transports"]) == 1
    assert "hunter2" not in caplog.text


@asynccontextmanager
async def troubled(trouble: str, redis: Redis) -> AsyncGenerator[str, None]:
    """Where a server of this kind listens."""
    if trouble == "dead":
        redis.kill()
        yield redis.url.replace("unix://", "unix://user:hunter2@")
    elif trouble == "frozen":
        async with frozen(redis):
            yield redis.url
    else:
        async with stranger(greeting=b"" if trouble == "mute" else b"HTTP/1.1 400 Bad Request\r\n\r\n") as listening:
            yield listening.url


async def test_a_sealed_value_goes_from_one_store_to_another(server: Redis) -> None:
    clock = Clock()
    async with RedisStore.from_url(server.url) as here, RedisStore.from_url(server.url) as there:
        await sealed(here, clock).put(KEY, b"value", 60.0)
        entry = await sealed(there, clock).get(KEY)
        assert entry is not None
        assert entry.value == b"value"


# How it is opened and closed


async def test_a_store_is_used_while_it_is_open(server: Redis) -> None:
    store = RedisStore.from_url(server.url, commands=1)
    with pytest.raises(LocalProtocolError, match="not open"):
        await store.get(KEY)
    for _ in range(2):
        async with store:
            await store.put(KEY, b"one", 60.0)
            with pytest.raises(LocalProtocolError, match="open already"):
                await store.__aenter__()
        with pytest.raises(LocalProtocolError, match="not open"):
            await store.get(KEY)


async def test_closing_a_store_ends_what_waits_for_it(server: Redis) -> None:
    failures: list[Exception] = []
    store = RedisStore.from_url(server.url)

    async def ask() -> None:
        try:
            await store.get(KEY)
        except Exception as failure:
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        async with store:
            server.freeze()
            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
        server.thaw()
    (failure,) = failures
    assert isinstance(failure, TransportError | coredis.exceptions.ConnectionError)


async def test_what_is_raised_inside_comes_out_as_it_is(server: Redis) -> None:
    failure = LookupError("of the body's own")
    with pytest.raises(LookupError) as caught:
        async with RedisStore.from_url(server.url) as store:
            await store.get(KEY)
            raise failure
    assert caught.value is failure


async def test_a_store_inside_a_scope_that_is_cancelled_is_closed(server: Redis) -> None:
    with anyio.CancelScope() as scope:
        async with RedisStore.from_url(server.url) as store:
            await store.get(KEY)
            scope.cancel()
            await anyio.sleep_forever()
    with pytest.raises(LocalProtocolError, match="not open"):
        await store.get(KEY)


async def test_a_store_is_left_by_the_task_that_entered_it(server: Redis) -> None:
    async with RedisStore.from_url(server.url) as store:

        async def leave() -> None:
            with pytest.raises(LocalProtocolError, match="the task that entered it"):
                await store.__aexit__(None, None, None)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
        await store.put(KEY, b"one", 60.0)
        assert await store.get(KEY) == b"one"


def test_without_coredis_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coredis", None)
    with pytest.raises(ConfigurationError, match=r"mcpcore\[redis\]"):
        RedisStore.from_url("redis://localhost")


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2#x@redis.example:6379",
        "redis://user:hunter2/x@redis.example:6379",
        "redis://[user:hunter2@redis.example",
        "redis://user:x@redis.example:hunter2",
        "redis://redis.example/0?max_connections=hunter2",
        "rediss://redis.example?ssl_ca_certs=/nowhere/hunter2",
        "redis+tls://user:hunter2@redis.example",
        "https://user:hunter2@redis.example",
        "hunter2",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the URL of Redis cannot be used") as caught:
        RedisStore.from_url(url)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "hunter2" not in str(caught.value)


def test_what_is_printed_tells_no_password() -> None:
    assert "hunter2" not in repr(RedisStore.from_url("redis://user:hunter2@localhost"))


def test_without_a_server_tests_are_skipped_but_not_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="redis-server is not installed"), running_redis():
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Redis test"), running_redis():
        pass
