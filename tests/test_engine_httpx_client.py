"""A caller's own client as an engine: what it brings of its own is not in the request, row by row."""

from __future__ import annotations

import gc
import gzip
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from support.adapters import tls
from support.exchanges import exchange, read
from support.raw_server import Peer, RawServer, Received, raw_server

from mcpcore.commands import SendRequest
from mcpcore.context import RequestKind
from mcpcore.errors import ConfigurationError, HeaderResolverError, LocalProtocolError, TransportError
from transports.engines.base import Engine
from transports.engines.httpx_client import HttpxClientEngine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

HEADERS = ((b"Accept", b"text/event-stream"), (b"X-Latin", b"caf\xe9"), (b"Authorization", b"Bearer alice"))
LINES = [b": ".join(pair) for pair in HEADERS]


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> ModuleType:
    module: ModuleType = request.param
    return module


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Sockets and generators that a test left behind are found now, and are that test's failure."""
    yield
    gc.collect()


@asynccontextmanager
async def client_of(library: ModuleType, **options: Any) -> AsyncIterator[Any]:
    """A client that was never entered, as many are used."""
    client = library.AsyncClient(trust_env=False, verify=tls(), **options)
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


def post(server: RawServer) -> SendRequest:
    return SendRequest("POST", server.url, HEADERS, b'{"id":1}', RequestKind.REQUEST)


def exact(server: RawServer) -> list[bytes]:
    """The header lines of :func:`post` and of nothing else."""
    return [b"Host: 127.0.0.1:%d" % server.port, *LINES, b"Content-Length: 8"]


async def ignore(_: Any) -> None:
    """A hook that does nothing."""


# What the client has of its own, and what becomes of it


OPTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "auth": {"auth": ("eve", "s3cret")},
    "headers": {"headers": {"Authorization": "Bearer eve", "X-Eve": "1", "Cookie": "sid=eve"}},
    "params": {"params": {"eve": "1"}},
    "cookies": {"cookies": {"sid": "eve"}},
    "base_url": {"base_url": "http://eve.example/base/"},
    "follow_redirects": {"follow_redirects": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
async def test_nothing_of_the_clients_own_is_in_the_request(library: ModuleType, options: dict[str, Any]) -> None:
    async with raw_server() as server, client_of(library, **options) as client:
        engine = HttpxClientEngine(client)
        for _ in range(2):
            assert await exchange(engine, post(server)) == b"{}"
        assert [request.line for request in server.requests] == [b"POST /mcp HTTP/1.1"] * 2
        assert [request.headers for request in server.requests] == [exact(server)] * 2
        assert [request.connection for request in server.requests] == [1, 1]


async def test_framing_of_requests_without_a_body(library: ModuleType) -> None:
    async with raw_server() as server, client_of(library) as client:
        for method, kind in (
            ("POST", RequestKind.REQUEST),
            ("GET", RequestKind.LISTEN),
            ("DELETE", RequestKind.TERMINATE),
        ):
            await exchange(HttpxClientEngine(client), SendRequest(method, server.url, (), b"", kind))
        host = b"Host: 127.0.0.1:%d" % server.port
        sent = [sorted(request.headers) for request in server.requests]
        assert sent == [[b"Content-Length: 0", host], [host], [host]]


async def test_the_cookie_jar_is_neither_read_nor_filled(library: ModuleType) -> None:
    async def set_cookie(peer: Peer, request: Received) -> None:
        await peer.answer(b"{}", b"Set-Cookie: sid=alice; Path=/")

    async with raw_server(set_cookie) as server, client_of(library) as client:
        client.cookies.set("own", "1")
        engine = HttpxClientEngine(client)
        for _ in range(2):
            response = await engine.send(post(server))
            assert (b"Set-Cookie", b"sid=alice; Path=/") in response.headers
            await read(response)
        assert [request.values(b"cookie") for request in server.requests] == [[], []]
        assert dict(client.cookies) == {"own": "1"}
        # The caller's own requests are as they always were, with the jar and all.
        await client.get(server.url)
        await client.get(server.url)
        assert [request.values(b"cookie") for request in server.requests[2:]] == [[b"own=1"], [b"own=1; sid=alice"]]


async def test_a_redirect_is_only_reported(library: ModuleType) -> None:
    async def redirect(peer: Peer, request: Received) -> None:
        await peer.answer(b"", b"Location: /elsewhere", b"Set-Cookie: a=b", status=b"307 Temporary Redirect")

    async with raw_server(redirect) as server, client_of(library, follow_redirects=True) as client:
        response = await HttpxClientEngine(client).send(post(server))
        assert (response.status, await read(response), len(server.requests)) == (307, b"", 1)


async def test_the_clients_time_outs_do_not_apply(library: ModuleType) -> None:
    told = anyio.Event()

    async def quiet(peer: Peer, request: Received) -> None:
        await told.wait()
        await peer.answer()

    hooked: list[dict[str, Any]] = []

    async def look(request: Any) -> None:
        hooked.append(request.extensions)
        told.set()

    options: dict[str, Any] = {"timeout": 1e-9, "event_hooks": {"request": [look]}}
    async with raw_server(quiet) as server, client_of(library, **options) as client:
        assert await exchange(HttpxClientEngine(client), post(server)) == b"{}"
        assert hooked == [{"timeout": {"connect": None, "read": None, "write": None, "pool": None}}]


async def test_event_hooks_run(library: ModuleType) -> None:
    async def sign(request: Any) -> None:
        request.headers["X-Signed"] = "1"

    statuses: list[int] = []

    async def look(response: Any) -> None:
        statuses.append(response.status_code)

    hooks = {"request": [sign], "response": [look]}
    async with raw_server() as server, client_of(library, event_hooks=hooks) as client:
        assert await exchange(HttpxClientEngine(client), post(server)) == b"{}"
        assert server.requests[0].headers == [*exact(server), b"X-Signed: 1"]
        assert statuses == [200]


@pytest.mark.parametrize("moment", ["request", "response"])
async def test_a_hook_that_raises_fails_the_call_and_nothing_else(library: ModuleType, moment: str) -> None:
    failing = True

    async def fail(_: Any) -> None:
        if failing:
            raise ZeroDivisionError("eve's s3cret")

    async with raw_server() as server, client_of(library, event_hooks={moment: [fail]}) as client:
        engine = HttpxClientEngine(client)
        with pytest.raises(TransportError, match="raised ZeroDivisionError") as caught:
            await engine.send(post(server))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "s3cret" not in str(caught.value)
        failing = False
        assert await exchange(engine, post(server)) == b"{}"


async def test_an_error_of_ours_that_a_hook_raises_stays_what_it_is(library: ModuleType) -> None:
    async def fail(_: Any) -> None:
        raise HeaderResolverError("no token today")

    async with raw_server() as server, client_of(library, event_hooks={"request": [fail]}) as client:
        with pytest.raises(HeaderResolverError, match="no token today"):
            await HttpxClientEngine(client).send(post(server))
        assert server.requests == []


async def test_a_hook_may_read_the_response_first(library: ModuleType) -> None:
    async def compressed(peer: Peer, request: Received) -> None:
        await peer.answer(gzip.compress(b'{"a":1}'), b"Content-Encoding: gzip")

    async def peek(response: Any) -> None:
        await response.aread()

    async with raw_server(compressed) as server, client_of(library, event_hooks={"response": [peek]}) as client:
        assert await exchange(HttpxClientEngine(client), post(server)) == b'{"a":1}'


# Whom the client may speak for


class Subclass(httpx.AsyncClient):
    """A client that could do anything in `send`."""


IDENTITIES: dict[str, dict[str, Any]] = {
    "auth": {"auth": ("eve", "s3cret")},
    "a request hook": {"event_hooks": {"request": [ignore]}},
    "a cookie": {"cookies": {"sid": "eve"}},
    "a credential": {"headers": {"Authorization": "Bearer eve"}},
    "an unknown header": {"headers": {"X-Api-Key": "eve"}},
}

ANONYMOUS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a user agent": {"headers": {"User-Agent": "eve/1"}},
    "a response hook": {"event_hooks": {"response": [ignore]}},
    "what is not sent": {"params": {"a": "b"}, "base_url": "http://eve.example", "follow_redirects": True},
}


@pytest.mark.parametrize("options", IDENTITIES.values(), ids=IDENTITIES.keys())
async def test_a_client_that_may_speak_for_someone(library: ModuleType, options: dict[str, Any]) -> None:
    async with client_of(library, **options) as client:
        assert HttpxClientEngine(client).carries_identity is True


@pytest.mark.parametrize("options", ANONYMOUS.values(), ids=ANONYMOUS.keys())
async def test_a_client_that_speaks_for_nobody(library: ModuleType, options: dict[str, Any]) -> None:
    async with client_of(library, **options) as client:
        assert HttpxClientEngine(client).carries_identity is False


async def test_code_that_we_cannot_see_into_may_speak_for_someone(library: ModuleType) -> None:
    mock = library.MockTransport(lambda request: library.Response(200))
    plain = library.AsyncHTTPTransport(verify=tls())
    async with (
        client_of(library, transport=mock) as transported,
        client_of(library, transport=plain) as ordinary,
        client_of(library, mounts={"all://": mock}) as mounted,
        client_of(library, mounts={"all://": None}) as unmounted,
        Subclass(verify=tls()) as subclassed,
    ):
        clients = (transported, ordinary, mounted, unmounted, subclassed)
        carries = [HttpxClientEngine(client).carries_identity for client in clients]
        assert carries == [True, False, True, False, True]


async def test_identity_is_judged_when_it_is_asked_for(library: ModuleType) -> None:
    async with client_of(library) as client:
        engine = HttpxClientEngine(client)
        assert engine.carries_identity is False
        client.event_hooks = {"request": [ignore]}
        assert engine.carries_identity is True


# The client stays the caller's


async def test_the_client_is_never_closed(library: ModuleType) -> None:
    async with raw_server() as server, client_of(library) as client:
        engine = HttpxClientEngine(client)
        await exchange(engine, post(server))
        await engine.aclose()
        assert not client.is_closed
        assert await exchange(engine, post(server)) == b"{}"
        assert (await client.get(server.url)).status_code == 200
        assert isinstance(engine, Engine)


async def test_a_client_in_use_and_one_that_was_closed(library: ModuleType) -> None:
    async with raw_server() as server:
        async with library.AsyncClient(verify=tls()) as client:
            engine = HttpxClientEngine(client)
            assert await exchange(engine, post(server)) == b"{}"
        with pytest.raises(LocalProtocolError, match="closed"):
            await engine.send(post(server))
        assert len(server.requests) == 1


async def test_a_client_may_be_entered_after_its_first_use(library: ModuleType) -> None:
    async with raw_server() as server:
        client = library.AsyncClient(verify=tls())
        engine = HttpxClientEngine(client)
        assert await exchange(engine, post(server)) == b"{}"
        async with client:
            assert await exchange(engine, post(server)) == b"{}"
        assert server.connections == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_subclass_is_a_client_and_other_things_are_not() -> None:
    async with raw_server() as server, Subclass(verify=tls()) as client:
        assert await exchange(HttpxClientEngine(client), post(server)) == b"{}"
    for other in (httpx.Client(verify=tls()), object(), None):
        with pytest.raises(ConfigurationError, match="AsyncClient"):
            HttpxClientEngine(other)


# Responses and failures


async def test_the_body_comes_as_it_is_sent(library: ModuleType) -> None:
    told = anyio.Event()

    async def slowly(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n3\r\none\r\n")
        await told.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with raw_server(slowly) as server, client_of(library) as client:
        response = await HttpxClientEngine(client).send(post(server))
        assert response.status == 200
        assert list(response.headers) == [(b"Transfer-Encoding", b"chunked"), (b"X-A", b"1"), (b"x-a", b"2")]
        assert await response.receive() == b"one"
        told.set()
        assert [await response.receive() for _ in range(3)] == [b"two", b"", b""]


async def test_content_codings_are_removed_in_small_pieces(library: ModuleType) -> None:
    async def compressed(peer: Peer, request: Received) -> None:
        await peer.answer(gzip.compress(bytes(1_000_000)), b"Content-Encoding: gzip")

    async with raw_server(compressed) as server, client_of(library) as client:
        response = await HttpxClientEngine(client).send(post(server))
        sizes: list[int] = []
        while piece := await response.receive():
            sizes.append(len(piece))
        assert (sum(sizes), max(sizes) <= 65_536) == (1_000_000, True)


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"s3cret nonsense\r\n\r\n"]
)
async def test_a_connection_that_is_cut(library: ModuleType, part: bytes) -> None:
    async def cut(peer: Peer, request: Received) -> None:
        await peer.send(part)
        await peer.aclose()

    async with raw_server(cut) as server, client_of(library) as client:
        with pytest.raises(TransportError, match="the connection broke") as caught:
            await exchange(HttpxClientEngine(client), post(server))
        assert "s3cret" not in str(caught.value)
        assert caught.value.__suppress_context__


async def test_a_refused_connection(library: ModuleType) -> None:
    async with raw_server() as server:
        pass
    async with client_of(library) as client:
        with pytest.raises(TransportError, match="ConnectError"):
            await HttpxClientEngine(client).send(post(server))


@pytest.mark.parametrize(
    ("url", "headers"),
    [("ftp://127.0.0.1/", ()), ("http://127.0.0.1:x/", ()), ("http://127.0.0.1:9/", ((b"X-Token", b"s3cret\n"),))],
)
async def test_a_request_that_cannot_be_sent(
    library: ModuleType, url: str, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    async with raw_server() as server, client_of(library) as client:
        request = SendRequest("POST", url.replace(":9/", f":{server.port}/"), headers, b"", RequestKind.REQUEST)
        with pytest.raises(LocalProtocolError) as caught:
            await HttpxClientEngine(client).send(request)
        assert "s3cret" not in str(caught.value)
        assert server.requests == []


async def test_a_response_that_is_given_up_closes_its_connection(library: ModuleType) -> None:
    async def half(peer: Peer, request: Received) -> None:
        if peer.number == 3:
            await peer.answer()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await peer.until_gone()

    async with raw_server(half) as server, client_of(library) as client:
        engine = HttpxClientEngine(client)
        first, second = await engine.send(post(server)), await engine.send(post(server))
        assert await first.receive() == b"half"
        await first.aclose()
        await first.aclose()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await second.aclose()
        await server.until(lambda server: server.open == 0)
        assert await exchange(engine, post(server)) == b"{}"


async def test_a_cancelled_request_closes_its_connection(library: ModuleType) -> None:
    async def silent(peer: Peer, request: Received) -> None:
        await peer.until_gone()

    async with raw_server(silent) as server, client_of(library) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(HttpxClientEngine(client).send, post(server))
            await server.until(lambda server: len(server.requests) == 1)
            tasks.cancel_scope.cancel()
        await server.until(lambda server: server.open == 0)


async def test_a_response_given_up_halfway_leaves_no_generator_to_the_event_loop(library: ModuleType) -> None:
    """Whoever else has to end it does so later, in a task that nobody knows of."""

    async def half(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await peer.until_gone()

    left, hooks = list[object](), sys.get_asyncgen_hooks()
    async with raw_server(half) as server, client_of(library) as client:
        sys.set_asyncgen_hooks(hooks.firstiter, left.append)
        try:
            response = await HttpxClientEngine(client).send(post(server))
            assert await response.receive() == b"half"
            await response.aclose()
        finally:
            sys.set_asyncgen_hooks(*hooks)
        del response
        gc.collect()
        assert left == []
