"""A proxy that cuts event streams between two events, where a network may cut them anywhere.

It stands between a client and a server that is not ours, on the loop of the test, and passes on what each of them says.
One call's stream is cut after as many events as the test says: the connection ends there, as if it had been lost.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio
import anyio.abc
import h11
from attrs import define, field

from support.raw_server import GONE, Peer, Received, stream_server

ENDS_OF_EVENTS = (b"\r\n\r\n", b"\n\n")


@define(eq=False)
class CuttingProxy:
    """A proxy in front of ``upstream``.

    :ivar upstream: the port of the server.
    :ivar method: whose stream is cut: the JSON-RPC method of a POST, or ``GET``; and then each resumption of it.
    :ivar cuts: after how many events: of the first such stream, of its first resumption, and so on; those yet to come.
    :ivar answers_first: whether the server goes on answering into the void before the client can come back; otherwise
        it loses its connection together with the client, and answers later ones.
    :ivar port: where it listens.
    :ivar requests: what came, in order.
    :ivar cut: how many connections were cut.
    """

    upstream: int
    method: str
    cuts: list[int]
    answers_first: bool = False
    port: int = 0
    requests: list[Received] = field(factory=list[Received])
    cut: int = 0
    _answered: anyio.Event = field(factory=anyio.Event)

    @property
    def resumptions(self) -> list[bytes]:
        """The ids after which the client wanted to go on, in order."""
        return [value for request in self.requests for value in request.values(b"last-event-id")]

    async def serve(self, stream: anyio.abc.ByteStream) -> None:
        peer = Peer(0, stream)
        while True:
            request = await peer.receive()
            self.requests.append(request)
            await self._pass(peer, request)

    async def _pass(self, peer: Peer, request: Received) -> None:
        if self.answers_first and request.values(b"last-event-id"):
            await self._answered.wait()
        allowed = self.cuts[0] if self.cuts and self._concerns(request) else None
        async with await anyio.connect_tcp("127.0.0.1", self.upstream) as server:
            exchange = Exchange(server, h11.Connection(h11.CLIENT))
            head = await exchange.send(request, self.upstream)
            await peer.send(head_bytes(head))
            if await self._forward(peer, exchange, allowed):
                return
            self.cut += 1
            self.cuts.pop(0)
            await peer.aclose()
            if self.answers_first:
                await exchange.read_on()
                self._answered.set()

    async def _forward(self, peer: Peer, exchange: Exchange, allowed: int | None) -> bool:
        """Pass the body on, and say whether that was all of it."""
        events = EventCounter(allowed)
        if allowed == 0:
            return False
        while data := await exchange.receive():
            if passed := events.within(data):
                await peer.send(b"%x\r\n%b\r\n" % (len(passed), passed))
            if events.is_over:
                return False
        await peer.send(b"0\r\n\r\n")
        return True

    def _concerns(self, request: Received) -> bool:
        if request.line.startswith(b"GET"):
            return self.method == "GET" or self.cut > 0
        return request.line.startswith(b"POST") and json.loads(request.body).get("method") == self.method


@define(eq=False)
class Exchange:
    """One request of the proxy's to the server, on a connection of its own."""

    server: anyio.abc.ByteStream
    connection: h11.Connection

    async def send(self, request: Received, port: int) -> h11.Response:
        method, target, _ = request.line.split(b" ")
        kept = [line.split(b": ", 1) for line in request.headers]
        headers = [(name, value) for name, value in kept if name.lower() not in (b"host", b"connection")]
        headers += [(b"Host", b"127.0.0.1:%d" % port), (b"Connection", b"close")]
        pieces: Iterable[h11.Event] = (
            h11.Request(method=method, target=target, headers=headers),
            *([h11.Data(data=request.body)] if request.body else []),
            h11.EndOfMessage(),
        )
        await self.server.send(b"".join(self.connection.send(piece) or b"" for piece in pieces))
        response = await self._next()
        assert isinstance(response, h11.Response)
        return response

    async def receive(self) -> bytes:
        """The next piece of the response's body; empty at its end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def read_on(self) -> None:
        """Read to the end, as a network does that the client has long left."""
        while await self.receive():
            pass

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        while (event := self.connection.next_event()) is h11.NEED_DATA:
            try:
                data = await self.server.receive()
            except anyio.EndOfStream:
                data = b""
            self.connection.receive_data(data)
        assert not isinstance(event, type) or event is h11.PAUSED
        return event


@define
class EventCounter:
    """Counts the events of a stream by the empty lines that end them.

    :ivar allowed: how many may pass; None for all.
    """

    allowed: int | None
    _passed: bytes = b""
    is_over: bool = False

    def within(self, data: bytes) -> bytes:
        """As much of ``data`` as belongs to the events that may pass."""
        if self.allowed is None:
            return data
        before = len(self._passed)
        self._passed += data
        end = _end_of_event(self._passed, self.allowed)
        if end is None:
            return data
        self.is_over = True
        return self._passed[before:end]


def _end_of_event(data: bytes, number: int) -> int | None:
    """Where the event of that number, counted from 1, ends; None if it hasn't yet."""
    position = 0
    for _ in range(number):
        ends = [data.find(end, position) + len(end) for end in ENDS_OF_EVENTS if end in data[position:]]
        if not ends:
            return None
        position = min(ends)
    return position


def head_bytes(response: h11.Response) -> bytes:
    """A response's head as the proxy sends it: the body comes in chunks, whichever way it came to the proxy."""
    framing = (b"connection", b"content-length", b"transfer-encoding", b"keep-alive")
    lines = [b"HTTP/1.1 %d %b" % (response.status_code, bytes(response.reason))]
    lines += [name + b": " + value for name, value in response.headers if name not in framing]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n"


@asynccontextmanager
async def cutting_proxy(
    origin: str, method: str, cuts: Iterable[int], *, answers_first: bool = False
) -> AsyncIterator[CuttingProxy]:
    """A :class:`CuttingProxy` in front of ``origin``, for the length of a block."""
    proxy = CuttingProxy(int(origin.rpartition(":")[2]), method, list(cuts), answers_first)

    async def serve(stream: anyio.abc.ByteStream) -> None:
        with contextlib.suppress(*GONE):
            await proxy.serve(stream)

    async with stream_server(serve) as proxy.port:
        yield proxy
