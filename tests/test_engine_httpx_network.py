"""Our own engine and what lies between it and a server: content codings, TLS, proxies."""

from __future__ import annotations

import contextlib
import gc
import gzip
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from support.certificates import tls_pair
from support.exchanges import LINES, engine, exchange, post, read
from support.raw_server import GONE, Peer, Received, raw_server, stream_server

from mcpcore.errors import (
    ConfigurationError,
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
