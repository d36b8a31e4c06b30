"""A scripted server behind a real loopback socket: h11 over an anyio listener.

Each connection is one task, which reads a request, answers it and reads the next.  While an answer is being
made a second task watches the connection, because a client that leaves is the modern era's way to cancel: the
work is stopped there and then, and the journal says so.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from attrs import define, field

from .answers import Answer, Disconnect
from .requests import ReceivedRequest
from .server import Server

HEAD_BYTES = 1024 * 1024
"""The longest head of a request: room for credentials of any size."""


@define(eq=False)
class Served:
    """A server that can be reached over TCP.

    :ivar server: the server itself.
    :ivar origin: the scheme, host and port that it listens at.
    :ivar connections: how many TCP connections have been opened to it so far.
    :ivar open_connections: how many of them are open now.
    """

    server: Server
    origin: str
    connections: int = field(default=0, init=False)
    open_connections: int = field(default=0, init=False)

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return self.origin + self.server.path

    @property
    def sse_url(self) -> str:
        """The endpoint of the legacy HTTP with SSE transport."""
        return self.origin + self.server.sse_path


@asynccontextmanager
async def serve(server: Server) -> AsyncGenerator[Served, None]:
    """Let ``server`` listen on a free port of the loopback interface, for as long as the block lasts.

    On leaving, whatever is still being answered is stopped, and every connection is closed.  A mistake in a scripted
    function or a method of your own ends the block and is raised here; an exception of the block passes as it is.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    served = Served(server, f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
    tasks = anyio.create_task_group()
    work = _Work(tasks)
    async with listener, tasks:
        tasks.start_soon(listener.serve, partial(_serve_connection, served, work))
        try:
            yield served
        except Exception as error:
            work.fail(error)
        tasks.cancel_scope.cancel()
    if work.failure is not None:
        raise work.failure


@define(eq=False)
class _Work:
    """What goes on behind the listener.  Its first failure stops it all, and is kept to be raised in one piece: a task
    group would wrap it."""

    tasks: TaskGroup
    failure: Exception | None = field(default=None, init=False)

    def fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.tasks.cancel_scope.cancel()

    async def guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as error:
            self.fail(error)

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.tasks.start_soon(self.guard, work)


async def _serve_connection(served: Served, work: _Work, stream: SocketStream) -> None:
    served.connections += 1
    served.open_connections += 1
    try:
        await _Connection(served.server, work, stream, served.connections).run()
    except (h11.RemoteProtocolError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # Not HTTP, or gone in the middle of a request: there is nobody to tell.
    finally:
        served.open_connections -= 1
        await anyio.aclose_forcefully(stream)


@define(eq=False)
class _Connection:
    """One TCP connection."""

    server: Server
    work: _Work
    stream: SocketStream
    number: int
    _http: h11.Connection = field(factory=partial(h11.Connection, h11.SERVER, HEAD_BYTES), init=False)

    async def run(self) -> None:
        """Answer requests until either side closes."""
        while (request := await self._receive_request()) is not None:
            await self._exchange(request)
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _receive_request(self) -> ReceivedRequest | None:
        """The next request, or None if the client has closed."""
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        body = b""
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
        return self.server.receive(
            head.method.decode("ascii"),
            head.target.decode("latin-1"),
            tuple(head.headers.raw_items()),
            body,
            self.number,
        )

    async def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._feed()
        return event

    async def _feed(self) -> bool:
        """Read some more from the client; return whether it is still there."""
        try:
            data = await self.stream.receive()
        except anyio.EndOfStream:
            data = b""
        self._http.receive_data(data)
        return bool(data)

    async def _exchange(self, request: ReceivedRequest) -> None:
        """Answer one request, unless the client leaves before."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, request, tasks.cancel_scope)
            await self.work.guard(partial(self._answer_or_cut, request))
            tasks.cancel_scope.cancel()

    async def _watch(self, request: ReceivedRequest, exchange: anyio.CancelScope) -> None:
        """Stop the exchange when the client leaves."""
        try:
            while await self._feed():
                pass
        except anyio.BrokenResourceError:
            pass
        request.end("disconnected")
        exchange.cancel()

    async def _answer_or_cut(self, request: ReceivedRequest) -> None:
        try:
            try:
                await self._answer(request)
            except Disconnect as disconnect:
                request.end("cut")
                await self.stream.send(disconnect.sent)
        except anyio.BrokenResourceError:
            request.end("disconnected")

    async def _answer(self, request: ReceivedRequest) -> None:
        answer = await self.server.answer(request, self.work.start_soon)
        if isinstance(answer.body, bytes):
            request.end("answered")
            await self._send(_head(answer), *_data(answer.body), h11.EndOfMessage())
        else:
            await self._send(_head(answer))
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    await self._send(*_data(chunk))
            request.end("answered")
            await self._send(h11.EndOfMessage())
        if answer.hang_up:
            self._http.send_failed()

    async def _send(self, *events: h11.Event) -> None:
        await self.stream.send(b"".join(self._http.send(event) or b"" for event in events))


def _head(answer: Answer) -> h11.Response:
    """The head of an answer, with its length if that is known; h11 chunks the body if it is not."""
    headers = list(answer.headers)
    if isinstance(answer.body, bytes) and answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return h11.Response(status_code=answer.status, headers=headers)


def _data(chunk: bytes) -> list[h11.Data]:
    return [h11.Data(data=chunk)] if chunk else []
