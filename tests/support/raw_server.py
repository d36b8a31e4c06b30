"""A server that keeps requests as the bytes they were, and answers with whatever bytes a test writes.

For engines: what matters there is each byte of a request's head, and answers that no proper server would send.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener
from attrs import define, field, frozen

GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


@frozen
class Received:
    """One request, as it came."""

    connection: int
    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n")[0]

    @property
    def headers(self) -> list[bytes]:
        """The header lines, in order."""
        return self.head.split(b"\r\n")[1:]

    def values(self, name: bytes) -> list[bytes]:
        """The values of one header."""
        pairs = [line.split(b": ", 1) for line in self.headers]
        return [value for key, value in pairs if key.lower() == name.lower()]


@define(eq=False)
class Peer:
    """The server's end of one connection."""

    number: int
    stream: anyio.abc.ByteStream
    _reader: BufferedByteReceiveStream = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = BufferedByteReceiveStream(self.stream)

    async def receive(self) -> Received:
        head = await self._reader.receive_until(b"\r\n\r\n", 1_000_000)
        request = Received(self.number, head, b"")
        length = int(next(iter(request.values(b"content-length")), b"0"))
        return Received(self.number, head, await self._reader.receive_exactly(length) if length else b"")

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def answer(self, body: bytes = b"{}", *headers: bytes, status: bytes = b"200 OK") -> None:
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    async def until_gone(self) -> None:
        """Wait until the client has closed the connection."""
        while True:
            await self.stream.receive()

    async def aclose(self) -> None:
        await self.stream.aclose()


Handler = Callable[[Peer, Received], Awaitable[None]]


async def answer_ok(peer: Peer, request: Received) -> None:
    await peer.answer()


@define(eq=False)
class RawServer:
    """A loopback server; ``handler`` is called for each request, and may do to the connection what it likes."""

    handler: Handler = answer_ok
    scheme: str = "http"
    port: int = 0
    requests: list[Received] = field(factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    _changed: anyio.Event = field(factory=anyio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/mcp"

    async def until(self, condition: Callable[[RawServer], bool]) -> None:
        """Wait until something that the server counts has come true."""
        with anyio.fail_after(10):
            while not condition(self):
                await self._changed.wait()

    async def serve(self, stream: anyio.abc.ByteStream) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        peer = Peer(self.connections, stream)
        try:
            self._note()
            while True:
                request = await peer.receive()
                self.requests.append(request)
                self._note()
                await self.handler(peer, request)
        finally:
            self.open -= 1
            self._note()

    def _note(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


@asynccontextmanager
async def stream_server(
    serve: Callable[[anyio.abc.ByteStream], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A loopback server for the length of a block, on the port that it yields; ``serve`` does all that it does."""

    async def serve_and_close(stream: anyio.abc.ByteStream) -> None:
        try:
            with contextlib.suppress(*GONE):
                await serve(stream)
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1", backlog=1024)
    listener = tcp if tls is None else TLSListener(tcp, tls, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve_and_close)
        yield tcp.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def raw_server(handler: Handler = answer_ok, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A :class:`RawServer` for the length of a block."""
    server = RawServer(handler, scheme="http" if tls is None else "https")
    async with stream_server(server.serve, tls) as server.port:
        yield server
