"""Our own engine over real sockets: exact on the wire, bounded, sound after whatever happens to a request."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from anyio.abc import ByteStream
from attrs import frozen
from support.certificates import tls_pair
from support.raw_server import GONE, Peer, RawServer, Received, raw_server, stream_server

from mcpcore.commands import SendRequest
from mcpcore.context import RequestKind
from mcpcore.errors import (
    ConfigurationError,
    LocalProtocolError,
    McpError,
    NotSentError,
    RemoteProtocolError,
    TransportError,
)
from mcpcore.limits import Limits
from transports.engines.base import Engine, Response
from transports.engines.httpx import HttpxEngine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

HEADERS = (
    (b"Accept", b"application/json, text/event-stream"),
    (b"x-cpki-user-id", b"alice"),
    (b"X-Latin", b"caf\xe9"),
    (b"Authorization", b"Bearer s3cret"),
)
LINES = [b": ".join(pair) for pair in HEADERS]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Sockets and generators that a test left behind are found now, and are that test's failure."""
    yield
    gc.collect()


@asynccontextmanager
async def engine(limits: Limits | None = None, **options: Any) -> AsyncIterator[HttpxEngine]:
    made = HttpxEngine(limits or Limits(), **options)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.aclose()


def post(url: str, body: bytes = b'{"id":1}', headers: tuple[tuple[bytes, bytes], ...] = HEADERS) -> SendRequest:
    return SendRequest("POST", url, headers, body, RequestKind.REQUEST)


def get(url: str) -> SendRequest:
    return SendRequest("GET", url, HEADERS, b"", RequestKind.LISTEN)


def delete(url: str) -> SendRequest:
    return SendRequest("DELETE", url, HEADERS, b"", RequestKind.TERMINATE)


async def read(response: Response) -> bytes:
    pieces: list[bytes] = []
    while data := await response.receive():
        pieces.append(data)
    await response.aclose()
    return b"".join(pieces)


async def exchange(client: Engine, request: SendRequest) -> bytes:
    return await read(await client.send(request))


# What is on the wire


async def test_a_request_is_the_given_headers_and_framing() -> None:
    async with raw_server() as server, engine() as client:
        host = b"Host: 127.0.0.1:%d" % server.port
        await exchange(client, post(server.url, b'{"id":1}'))
        await exchange(client, post(server.url, b""))
        await exchange(client, delete(server.url + "/a%20b?q=%C3%A9&r"))
        await exchange(client, get(server.url))
        sent = [(request.line, request.headers, request.body) for request in server.requests]
        assert sent == [
            (b"POST /mcp HTTP/1.1", [host, *LINES, b"Content-Length: 8"], b'{"id":1}'),
            (b"POST /mcp HTTP/1.1", [host, *LINES, b"Content-Length: 0"], b""),
            (b"DELETE /mcp/a%20b?q=%C3%A9&r HTTP/1.1", [host, *LINES], b""),
            (b"GET /mcp HTTP/1.1", [host, *LINES], b""),
        ]


async def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url, headers=()))
        assert server.requests[0].headers == [b"Host: 127.0.0.1:%d" % server.port, b"Content-Length: 8"]


async def test_a_cookie_is_neither_kept_nor_sent() -> None:
    async def set_cookie(peer: Peer, request: Received) -> None:
        await peer.answer(b"{}", b"Set-Cookie: sid=alice; Path=/")

    async with raw_server(set_cookie) as server, engine() as client:
        response = await client.send(post(server.url))
        assert (b"Set-Cookie", b"sid=alice; Path=/") in response.headers
        await read(response)
        await exchange(client, post(server.url))
        assert [request.values(b"cookie") for request in server.requests] == [[], []]


async def test_a_redirect_is_only_reported() -> None:
    async def redirect(peer: Peer, request: Received) -> None:
        await peer.answer(b"", b"Location: /elsewhere", status=b"307 Temporary Redirect")

    async with raw_server(redirect) as server, engine() as client:
        response = await client.send(post(server.url))
        assert (response.status, await read(response), len(server.requests)) == (307, b"", 1)


async def test_the_body_comes_as_it_is_sent() -> None:
    told = anyio.Event()

    async def slowly(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n3\r\none\r\n")
        await told.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with raw_server(slowly) as server, engine() as client:
        response = await client.send(post(server.url))
        assert response.status == 200
        assert list(response.headers) == [(b"Transfer-Encoding", b"chunked"), (b"X-A", b"1"), (b"x-a", b"2")]
        assert await response.receive() == b"one"
        told.set()
        assert await response.receive() == b"two"
        assert await response.receive() == b""
        assert await response.receive() == b""
        assert isinstance(client, Engine)
        assert client.carries_identity is False


# Connections


async def test_a_connection_is_used_again_once_its_body_was_read() -> None:
    async with raw_server() as server, engine() as client:
        for _ in range(3):
            response = await client.send(post(server.url))
            assert (client.connections_in_use, client.connections_idle) == (1, 0)
            while await response.receive():
                pass
            assert (client.connections_in_use, client.connections_idle) == (0, 1)
            await response.aclose()
            await response.aclose()
        assert [request.connection for request in server.requests] == [1, 1, 1]
        assert (client.connections_opened, client.connections_in_use, client.connections_idle) == (1, 0, 1)


async def test_the_connection_used_last_is_used_first() -> None:
    async with raw_server() as server, engine() as client:
        first, second = await client.send(post(server.url)), await client.send(post(server.url))
        await read(second)
        await read(first)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2, 1]


async def test_an_unread_body_closes_its_connection() -> None:
    async with raw_server() as server, engine() as client:
        response = await client.send(post(server.url))
        await response.aclose()
        with pytest.raises(LocalProtocolError):
            await response.receive()
        await server.until(lambda server: server.open == 0)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2]


async def test_a_connection_that_the_server_will_close_is_not_kept() -> None:
    async def last(peer: Peer, request: Received) -> None:
        await peer.answer(b"{}", b"Connection: close")

    async with raw_server(last) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b"{}"
        assert client.connections_idle == 0
        await server.until(lambda server: server.open == 0)


async def test_two_hundred_calls_over_twenty_connections() -> None:
    async def slowly(peer: Peer, request: Received) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        await peer.answer(request.body)

    answers: list[bytes] = []
    async with raw_server(slowly) as server, engine(Limits(connections=20)) as client:

        async def call(number: int) -> None:
            answers.append(await exchange(client, post(server.url, b"%d" % number)))

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(call, number)
        assert sorted(answers) == sorted(b"%d" % number for number in range(200))
        assert server.connections == client.connections_opened == server.most_open == 20
        assert (client.connections_in_use, client.connections_idle) == (0, 20)


async def test_calls_wait_in_turn_and_a_cancelled_one_steps_out() -> None:
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        order: list[int] = []

        async def call(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                body = await exchange(client, post(server.url, b"%d" % number))
                order.append(number)
                assert body == b"{}"

        holder = await client.send(post(server.url))
        scopes = [anyio.CancelScope() for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for number, scope in enumerate(scopes):
                tasks.start_soon(call, number, scope)
                await anyio.wait_all_tasks_blocked()
            scopes[1].cancel()
            # The turn of the first one is given to it and it is cancelled in the same breath: the next one gets it.
            await read(holder)
            scopes[0].cancel()
        assert order == [2, 3]
        assert [request.body for request in server.requests[1:]] == [b"2", b"3"]
        assert client.connections_in_use == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_turn_given_to_a_task_that_is_cancelled_meanwhile_is_passed_on() -> None:
    """Only asyncio's own cancellation can arrive between the giving of a turn and the taking."""
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        holder = await client.send(post(server.url))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(exchange(client, post(server.url, b"1")))
            await anyio.wait_all_tasks_blocked()
            second = tasks.create_task(exchange(client, post(server.url, b"2")))
            await anyio.wait_all_tasks_blocked()
            await read(holder)
            first.cancel()
        assert (first.cancelled(), second.result()) == (True, b"{}")
        assert [request.body for request in server.requests[1:]] == [b"2"]
        assert client.connections_in_use == 0


async def test_streams_have_a_budget_of_their_own() -> None:
    async def stream(peer: Peer, request: Received) -> None:
        if request.line.startswith(b"POST"):
            await peer.answer()
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await peer.until_gone()

    async with raw_server(stream) as server, engine(Limits(connections=1, streams=1)) as client:
        listening = await client.send(get(server.url))
        assert await exchange(client, post(server.url)) == b"{}"
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.send, get(server.url))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert len(server.requests) == 2
        await listening.aclose()
        again = await client.send(get(server.url))
        await again.aclose()
        assert client.connections_in_use == 0


async def test_the_bound_counts_connections_to_every_origin() -> None:
    async with raw_server() as one, raw_server() as other, engine(Limits(connections=1)) as client:
        for server in (one, other, one):
            await exchange(client, post(server.url))
            assert client.connections_idle == 1
        assert (one.connections, other.connections) == (2, 1)
        await other.until(lambda server: server.open == 0)


async def test_an_idle_connection_grows_too_old() -> None:
    now = [0.0]
    async with raw_server() as server, engine(Limits(idle_connection=15), clock=lambda: now[0]) as client:
        responses = [await client.send(post(server.url)) for _ in range(3)]
        for response in responses:
            await read(response)
        now[0] = 15.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (3, 3)
        now[0] = 16.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (3, 1)
        now[0] = 32.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (4, 1)
        await server.until(lambda server: server.open == 1)


async def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async def once(peer: Peer, request: Received) -> None:
        await peer.answer()
        await peer.aclose()

    async with raw_server(once) as server, engine() as client:
        await exchange(client, post(server.url))
        await server.until(lambda server: server.open == 0)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"nonsense\r\n\r\n"])
async def test_bytes_after_an_answer_are_not_the_next_answer(extra: bytes) -> None:
    async def too_much(peer: Peer, request: Received) -> None:
        body = b"mine"
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body + extra)

    async with raw_server(too_much) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b"mine"
        with pytest.raises(NotSentError):
            await client.send(post(server.url))
        assert await exchange(client, post(server.url)) == b"mine"
        assert [request.connection for request in server.requests] == [1, 2]


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
    "url", ["ftp://127.0.0.1/", "http:///mcp", "/mcp", "http://127.0.0.1:x/", "http://127.0.0.1:65536/"]
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


# Content codings

TEXT = b'{"jsonrpc":"2.0","id":1,"result":{}}' * 100


def bare_deflate(data: bytes) -> bytes:
    compress = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compress.compress(data) + compress.flush()


CODINGS = {
    "gzip": (b"gzip", gzip.compress(TEXT)),
    "x-gzip": (b"X-GZIP", gzip.compress(TEXT)),
    "two members": (b"gzip", gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    "an empty member": (b"gzip", gzip.compress(b"") + gzip.compress(TEXT)),
    "deflate": (b"deflate", zlib.compress(TEXT)),
    "bare deflate": (b"deflate", bare_deflate(TEXT)),
    "identity": (b"identity", TEXT),
}


@pytest.mark.parametrize(("coding", "encoded"), CODINGS.values(), ids=CODINGS.keys())
@pytest.mark.parametrize("size", [1, 1000_000])
async def test_content_codings_are_removed(coding: bytes, encoded: bytes, size: int) -> None:
    async def compressed(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % coding)
        for start in range(0, len(encoded), size):
            piece = encoded[start : start + size]
            await peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        await peer.send(b"0\r\n\r\n")

    async with raw_server(compressed) as server, engine() as client:
        for _ in range(2):
            assert await exchange(client, post(server.url)) == TEXT
        assert client.connections_opened == 1


BAD_CODINGS = {
    "cut": (b"gzip", gzip.compress(TEXT)[:-10]),
    "one byte": (b"gzip", b"\x1f"),
    "corrupt": (b"gzip", b"s3cret" * 10),
    "trailing nonsense": (b"gzip", gzip.compress(TEXT) + b"nonsense"),
    "after deflate": (b"deflate", zlib.compress(TEXT) + b"nonsense"),
    "brotli": (b"br", b"whatever"),
    "two codings": (b"gzip, deflate", gzip.compress(zlib.compress(TEXT))),
}


@pytest.mark.parametrize(("coding", "encoded"), BAD_CODINGS.values(), ids=BAD_CODINGS.keys())
async def test_a_body_that_cannot_be_decoded(coding: bytes, encoded: bytes) -> None:
    async def compressed(peer: Peer, request: Received) -> None:
        await peer.answer(encoded, b"Content-Encoding: " + coding, status=b"401 Unauthorized")

    async with raw_server(compressed) as server, engine() as client:
        response = await client.send(post(server.url))
        assert response.status == 401
        with pytest.raises(RemoteProtocolError) as caught:
            await read(response)
        assert "s3cret" not in str(caught.value)
        assert client.connections_in_use == 0


async def test_an_empty_body_needs_no_decoding() -> None:
    async def empty(peer: Peer, request: Received) -> None:
        await peer.answer(b"", b"Content-Encoding: gzip", status=b"202 Accepted")

    async with raw_server(empty) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b""


async def test_a_decompression_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(50_000_000))

    async def explode(peer: Peer, request: Received) -> None:
        await peer.answer(bomb, b"Content-Encoding: gzip")

    async with raw_server(explode) as server, engine() as client:
        response = await client.send(post(server.url))
        sizes = [len(await response.receive()) for _ in range(20)]
        assert 0 < min(sizes) <= max(sizes) <= 65_536
        await response.aclose()
        assert len(await exchange(client, post(server.url))) == 50_000_000


async def test_a_compressed_stream_is_read_as_it_is_flushed() -> None:
    told = anyio.Event()

    async def events(peer: Peer, request: Received) -> None:
        compress = zlib.compressobj(wbits=zlib.MAX_WBITS + 16)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
        await peer.send(compress.compress(b"data: 1\n\n") + compress.flush(zlib.Z_SYNC_FLUSH))
        await told.wait()
        await peer.send(compress.compress(b"data: 2\n\n") + compress.flush())
        await peer.aclose()

    async with raw_server(events) as server, engine() as client:
        response = await client.send(post(server.url))
        assert await response.receive() == b"data: 1\n\n"
        told.set()
        assert await response.receive() == b"data: 2\n\n"
        assert await response.receive() == b""


# TLS and proxies


async def test_tls_with_a_context_of_ones_own(tmp_path: Path) -> None:
    serving, trusting = tls_pair(tmp_path)
    async with raw_server(tls=serving) as server, engine(ssl_context=trusting) as client:
        url = f"https://127.0.0.1:{server.port}/mcp"
        for _ in range(2):
            assert await exchange(client, post(url)) == b"{}"
        assert [request.connection for request in server.requests] == [1, 1]
        assert server.requests[0].headers == [b"Host: 127.0.0.1:%d" % server.port, *LINES, b"Content-Length: 8"]


async def test_tls_without_trust(tmp_path: Path) -> None:
    serving, _ = tls_pair(tmp_path)
    async with raw_server(tls=serving) as server, engine() as client:
        with pytest.raises(TransportError, match="certificate") as caught:
            await client.send(post(f"https://127.0.0.1:{server.port}/mcp"))
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert server.requests == []
        assert client.connections_in_use == 0


async def test_plain_http_behind_https() -> None:
    async def plain(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    async with stream_server(plain) as port, engine() as client:
        with pytest.raises(TransportError, match="TLS handshake failed"):
            await client.send(post(f"https://127.0.0.1:{port}/mcp"))
        assert client.connections_in_use == 0


async def test_a_proxy_is_told_the_whole_url_and_its_own_credentials() -> None:
    async with raw_server() as proxy, engine(proxy=f"http://eve:s3cret@127.0.0.1:{proxy.port}") as client:
        for _ in range(2):
            assert await exchange(client, post("http://mcp.example:8080/mcp?a=b")) == b"{}"
        assert [request.connection for request in proxy.requests] == [1, 1]
        assert proxy.requests[0].line == b"POST http://mcp.example:8080/mcp?a=b HTTP/1.1"
        assert proxy.requests[0].headers == [
            b"Host: mcp.example:8080",
            b"Proxy-Authorization: Basic ZXZlOnMzY3JldA==",
            *LINES,
            b"Content-Length: 8",
        ]
        assert "s3cret" not in repr(client)


def tunnel_to(port: int) -> Callable[[Peer, Received], Awaitable[None]]:
    """A proxy's handler: whatever host is asked for, the bytes go to ``port`` on this machine."""

    async def pump(source: ByteStream, sink: ByteStream, scope: anyio.CancelScope) -> None:
        with contextlib.suppress(*GONE):
            while True:
                await sink.send(await source.receive())
        scope.cancel()

    async def tunnel(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with await anyio.connect_tcp("127.0.0.1", port) as onward, anyio.create_task_group() as tasks:
            tasks.start_soon(pump, peer.stream, onward, tasks.cancel_scope)
            tasks.start_soon(pump, onward, peer.stream, tasks.cancel_scope)
        raise anyio.EndOfStream

    return tunnel


async def test_a_tunnel_shows_the_proxy_nothing_but_the_host(tmp_path: Path) -> None:
    serving, trusting = tls_pair(tmp_path)
    async with raw_server(tls=serving) as server, raw_server(tunnel_to(server.port)) as proxy:
        async with engine(ssl_context=trusting, proxy=f"http://127.0.0.1:{proxy.port}") as client:
            for _ in range(2):
                assert await exchange(client, post("https://localhost/mcp")) == b"{}"
        assert [(request.line, request.headers) for request in proxy.requests] == [
            (b"CONNECT localhost:443 HTTP/1.1", [b"Host: localhost:443", b"Accept: */*"])
        ]
        assert [request.headers for request in server.requests] == [
            [b"Host: localhost", *LINES, b"Content-Length: 8"]
        ] * 2


async def test_a_proxy_that_refuses() -> None:
    async def refuse(peer: Peer, request: Received) -> None:
        await peer.answer(b"", status=b"407 Proxy Authentication Required")

    async with raw_server(refuse) as proxy, engine(proxy=f"http://127.0.0.1:{proxy.port}") as client:
        with pytest.raises(TransportError, match=r"proxy refused to connect \(status 407\)"):
            await client.send(post("https://mcp.example/mcp"))
        assert client.connections_in_use == 0
        await proxy.until(lambda proxy: proxy.open == 0)


# Only asyncio is asked: no I/O takes place.
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("proxy", ["socks5://s3cret@127.0.0.1:1", "s3cret", "http://s3cret@h:x", "ftp://s3cret@h"])
async def test_a_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        HttpxEngine(Limits(), proxy=proxy)
    assert "s3cret" not in str(caught.value)


# The end


async def test_a_closed_engine_refuses() -> None:
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url))
        await client.aclose()
        await server.until(lambda server: server.open == 0)
        for request in (post(server.url), get(server.url)):
            with pytest.raises(LocalProtocolError, match="closed"):
                await client.send(request)
        await client.aclose()
        assert len(server.requests) == 1


async def test_closing_lets_responses_end_and_fails_those_who_wait() -> None:
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        response = await client.send(post(server.url))
        failures: list[BaseException] = []

        async def call() -> None:
            try:
                await client.send(post(server.url))
            except LocalProtocolError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        assert len(failures) == 1
        assert await read(response) == b"{}"
        assert (client.connections_in_use, client.connections_idle) == (0, 0)
        await server.until(lambda server: server.open == 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_engine_belongs_to_one_event_loop() -> None:
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url))

        async def elsewhere() -> None:
            with pytest.raises(LocalProtocolError, match="another event loop"):
                await client.send(post(server.url))
            with pytest.raises(LocalProtocolError, match="another event loop"):
                await client.aclose()

        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(functools.partial(anyio.run, elsewhere, backend=backend))
        assert await exchange(client, post(server.url)) == b"{}"
