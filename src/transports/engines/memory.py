"""An engine without a network: it asks a scripted server in the client's own task.

There is no socket, no buffer and no task of its own.  The server's work is a coroutine that the client's
``send`` awaits and, for a stream, a generator that the client's ``receive`` takes the next chunk from.  So
chunks arrive as they are produced, a client that is cancelled or leaves cancels the server's work, and
nothing runs when nobody waits; a tool that streams therefore makes no progress while its client is not
reading.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import define, field

from mcpcore.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anyio.abc import TaskGroup

    from mcpcore.commands import SendRequest

    from ..testing import Answer, ReceivedRequest, Server


class MemoryEngine:
    """An :class:`~transports.engines.base.Engine` that asks a :class:`~transports.testing.Server` directly.

    :param servers: the server, whatever the URL; or servers by origin, such as ``"https://mcp.example"``.
    :param background: a task group in which the legacy HTTP with SSE transport goes on with a request after
        it has answered its POST, as servers do; without one, that POST waits for the work to be done.
    """

    carries_identity = False

    def __init__(self, servers: Server | Mapping[str, Server], *, background: TaskGroup | None = None) -> None:
        self._servers = servers
        self._background = background

    async def send(self, request: SendRequest) -> MemoryResponse:
        """Hand ``request`` to the server and return its answer once the head is decided."""
        url = urlsplit(request.url)
        server = self._server(f"{url.scheme}://{url.netloc}")
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        framing = [(b"host", url.netloc.encode("ascii"))]
        if request.body:
            framing.append((b"content-length", str(len(request.body)).encode()))
        received = server.receive(request.method, target, (*framing, *request.headers), request.body)
        try:
            answer = await server.answer(received, self._background.start_soon if self._background else None)
        except TransportError:
            received.end("cut")
            raise
        except BaseException:
            received.end("disconnected")
            raise
        return MemoryResponse(received, answer)

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _server(self, origin: str) -> Server:
        if not isinstance(self._servers, Mapping):
            return self._servers
        try:
            return self._servers[origin]
        except KeyError:
            raise TransportError(f"there is no server at {origin}") from None


@define(eq=False)
class MemoryResponse:
    """The answer to one request, read piece by piece."""

    _request: ReceivedRequest
    _answer: Answer
    _chunks: AsyncGenerator[bytes, None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._chunks = self._answer.chunks()

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self._answer.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The header fields in the order given."""
        return self._answer.headers

    async def receive(self) -> bytes:
        """Return the next chunk, ``b""`` at the end; the server works on it here, in the task that reads."""
        try:
            chunk = await anext(self._chunks, b"")
        except TransportError:
            self._request.end("cut")
            raise
        except BaseException:
            self._request.end("disconnected")
            raise
        if not chunk:
            self._request.end("answered")
        return chunk

    async def aclose(self) -> None:
        """Give the response up; whatever the server was still doing for it is stopped."""
        self._request.end("disconnected")
        await self._chunks.aclose()
