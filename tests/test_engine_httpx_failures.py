"""Our own engine when things go wrong: failures are told without secrets, and cancelled requests leave nothing."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Awaitable, Callable, Iterator

import anyio
import pytest
from anyio.abc import ByteStream
from attrs import frozen
from support.exchanges import engine, exchange, post, read
from support.raw_server import GONE, Peer, RawServer, Received, raw_server, stream_server

from mcpcore.errors import (
    LocalProtocolError,
    McpError,
    NotSentError,
    RemoteProtocolError,
    TransportError,
)
from mcpcore.limits import Limits
from transports.engines.httpx import HttpxEngine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Sockets and generators that a test left behind are found now, and are that test's failure."""
    yield
    gc.collect()


# Failures


async def test_a_refused_connection() -> None:
    async with raw_server() as server:
        url = server.url
    async with engine(Limits(connections=1)) as client:
        for _ in range(2):
            with pytest.raises(TransportError, match=r"could not connect: .*[Cc]onne") as caught:
                await client.send(post(url))
            assert isinstance(caught.value.__cause__, OSError)
        assert client.connections_in_use == 0


@pytest.mark.parametrize("url", ["http://" + "a" * 64 + ".example/", "http://a..example/"])
async def test_a_host_that_cannot_be_looked_up(url: str) -> None:
    async with engine() as client:
        with pytest.raises(McpError):
            await client.send(post(url))
        assert client.connections_in_use == 0


CUTS = {
    "no answer": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


@pytest.mark.parametrize("answer", CUTS.values(), ids=CUTS.keys())
async def test_a_connection_that_is_cut(answer: bytes) -> None:
    async def cut(peer: Peer, request: Received) -> None:
        if peer.number == 1:
            await peer.send(answer)
            await peer.aclose()
        else:
            await peer.answer()

    async with raw_server(cut) as server, engine() as client:
        with pytest.raises(TransportError, match="before its answer was complete") as caught:
            await exchange(client, post(server.url))
        assert not isinstance(caught.value, NotSentError)
        assert (client.connections_in_use, client.connections_idle) == (0, 0)
        assert await exchange(client, post(server.url)) == b"{}"


NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH s3cret\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nSet Cookie: s3cret\r\n\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ns3cret\r\n",
    "a huge head": b"HTTP/1.1 200 OK\r\nX: " + b"s3cret" * 100_000,
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
async def test_an_answer_that_is_not_http_is_not_repeated(answer: bytes) -> None:
    async def nonsense(peer: Peer, request: Received) -> None:
        await peer.send(answer)
        await peer.until_gone()

    async with raw_server(nonsense) as server, engine() as client:
        with pytest.raises(RemoteProtocolError) as caught:
            await exchange(client, post(server.url))
        error = caught.value
        assert error.__cause__ is None
        assert error.__suppress_context__
        assert "s3cret" not in str(error)
        assert client.connections_in_use == 0
        await server.until(lambda server: server.open == 0)


async def test_an_answer_before_the_whole_request_was_read() -> None:
    async def refuse(stream: ByteStream) -> None:
        await stream.receive(1000)
        await stream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")

    async with stream_server(refuse) as port, engine() as client:
        # The reset that follows may overtake the answer: that is up to the operating system.
        with contextlib.suppress(TransportError):
            response = await client.send(post(f"http://127.0.0.1:{port}/mcp", b"x" * 10_000_000))
            assert (response.status, await read(response)) == (413, b"no")
        assert (client.connections_in_use, client.connections_idle) == (0, 0)


async def test_a_request_that_cannot_be_written_is_not_repeated() -> None:
    async with raw_server() as server, engine() as client:
        with pytest.raises(LocalProtocolError) as caught:
            await client.send(post(server.url, headers=((b"X-Token", b"s3cret\r\nX-Evil: 1"),)))
        assert "s3cret" not in str(caught.value)
        assert caught.value.__suppress_context__
        assert server.requests == []
        assert await exchange(client, post(server.url)) == b"{}"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "http:///mcp",
        "/mcp",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1/\ud800",
        "http://\ud800.example/",
    ],
    ids=ascii,
)
async def test_a_url_that_cannot_be_used(url: str) -> None:
    async with engine() as client:
        with pytest.raises(LocalProtocolError):
            await client.send(post(url))
        assert client.connections_opened == 0


# Cancellation


async def half_an_answer(peer: Peer, request: Received) -> None:
    """A whole answer for those who ask for one; for the others its head at most, and half of the body."""
    if request.body == b"whole":
        await peer.answer()
        return
    if request.body == b"half":
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    await peer.until_gone()


@frozen
class Cancelling:
    """Requests that are cancelled, each at a moment of its own."""

    server: RawServer
    client: HttpxEngine

    async def before_it_starts(self, scope: anyio.CancelScope) -> None:
        scope.cancel()
        await self.client.send(post(self.server.url, b"never"))

    async def before_the_head(self, scope: anyio.CancelScope) -> None:
        """Some of these have been sent when they are cancelled, others wait for a turn."""
        seen = len(self.server.requests)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.client.send, post(self.server.url, b"none"))
            await self.server.until(lambda server: len(server.requests) > seen)
            scope.cancel()

    async def within_the_body(self, scope: anyio.CancelScope) -> None:
        response = await self.client.send(post(self.server.url, b"half"))
        assert await response.receive() == b"half"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(response.receive)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()

    async def after_the_head(self, scope: anyio.CancelScope) -> None:
        response = await self.client.send(post(self.server.url, b"half"))
        scope.cancel()
        await response.aclose()

    async def never(self, scope: anyio.CancelScope) -> None:
        assert await exchange(self.client, post(self.server.url, b"whole")) == b"{}"


async def test_five_hundred_cancelled_requests_leave_nothing_behind() -> None:
    async def cancelled(how: Callable[[anyio.CancelScope], Awaitable[None]]) -> None:
        with anyio.CancelScope() as scope:
            await how(scope)

    async with raw_server(half_an_answer) as server, engine(Limits(connections=10)) as client:
        ways = Cancelling(server, client)
        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                for way in (ways.before_the_head, ways.within_the_body, ways.after_the_head) * 10:
                    tasks.start_soon(cancelled, way)
                for way in (ways.before_it_starts, ways.never) * 10:
                    tasks.start_soon(cancelled, way)
        assert client.connections_in_use == 0
        await server.until(lambda server: server.open == client.connections_idle)
        assert server.most_open <= 10
        # All ten turns are there to be taken, at once.
        responses = [await client.send(post(server.url, b"whole")) for _ in range(10)]
        assert [await read(response) for response in responses] == [b"{}"] * 10


async def test_a_response_is_given_up_in_a_cancelled_scope_without_waiting() -> None:
    async def half(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.until_gone()

    async with raw_server(half) as server, engine() as client:
        response = await client.send(post(server.url))
        with anyio.CancelScope() as scope:
            scope.cancel()
            await response.aclose()
        assert client.connections_in_use == 0
        await server.until(lambda server: server.open == 0)


async def test_a_cancelled_tls_handshake_closes_the_socket() -> None:
    arrived, gone = anyio.Event(), anyio.Event()

    async def silent(stream: ByteStream) -> None:
        await stream.receive()
        arrived.set()
        with pytest.raises(GONE):
            await stream.receive()
        gone.set()

    async with stream_server(silent) as port, engine() as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.send, post(f"https://127.0.0.1:{port}/mcp"))
            await arrived.wait()
            tasks.cancel_scope.cancel()
        assert client.connections_in_use == 0
        await gone.wait()
