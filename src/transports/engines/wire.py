"""The bytes under one connection of httpcore: TCP or TLS, on asyncio and on trio alike.

httpcore can be given a network of one's own.  Ours is there for what its own leaves open:

* It **holds on to the socket** from the moment it exists, so that whatever is cancelled, also a TLS
  handshake, closing the wire closes the socket.
* It **sends when an answer is asked for**.  httpcore writes the head and the body apart; here they leave in
  one piece. So :attr:`Wire.unsent` also tells whether a request has left: if an answer is there and the
  request is not, the answer is not to this request.
* It **goes to the addresses that it is given**, see :mod:`transports.engines.dialling`.
* It **sees how a connection ends**: :attr:`Wire.at_eof` and :attr:`Wire.broken` tell a network that failed
  from a server that talks nonsense.

Deadlines are the caller's cancel scopes, so the ``timeout`` arguments that httpcore passes are always None.
"""

from __future__ import annotations

import select
import ssl
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.abc
import anyio.streams.tls
import httpcore

from mcpcore.errors import TransportError

from .dialling import dial

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Wire(httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """One connection's network: httpcore asks it for a stream once, and it is that stream."""

    def __init__(self, addresses: Sequence[str] = ()) -> None:
        self._addresses = addresses
        self._stream: anyio.abc.ByteStream | None = None
        self._socket: socket.socket | None = None
        self._unsent: list[bytes] = []
        self.at_eof: bool = False
        self.broken: bool = False

    @property
    def unsent(self) -> bool:
        """Whether bytes wait that httpcore has written and that have not left."""
        return bool(self._unsent)

    def has_input(self) -> bool:
        """Whether there is something to read: on an idle connection, the news that the server closed it."""
        descriptor = self._socket.fileno() if self._socket is not None else -1
        return descriptor < 0 or _is_readable(descriptor)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> Wire:
        """Connect; the wire is the stream that httpcore asked for."""
        try:
            stream = await (dial(self._addresses, port) if self._addresses else anyio.connect_tcp(host, port))
        except (OSError, UnicodeError) as exc:  # UnicodeError: the host is no name that can be looked up
            raise TransportError(f"could not connect: {_reason(exc)}") from exc
        self._stream = stream
        self._socket = stream.extra(anyio.abc.SocketAttribute.raw_socket)
        return self

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Wire:
        """Go on over TLS, towards the server or towards the proxy before it."""
        try:
            self._stream = await anyio.streams.tls.TLSStream.wrap(
                self._opened(),
                ssl_context=ssl_context,
                hostname=server_hostname,
                server_side=False,
                standard_compatible=False,
            )
        except (*_BROKEN, anyio.EndOfStream) as exc:
            raise TransportError(f"could not connect: the TLS handshake failed: {_reason(exc)}") from exc
        return self

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep ``buffer``, to be sent once httpcore has written all that it wants to write."""
        self._unsent.append(buffer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Send what was written; return what comes, or ``b""`` at the end of the connection."""
        stream = self._opened()
        if self._unsent:
            await self._flush(stream)
        try:
            return await stream.receive(max_bytes)
        except anyio.EndOfStream:
            self.at_eof = True
            return b""
        except _BROKEN as exc:
            raise TransportError(f"the connection broke before the answer was complete: {_reason(exc)}") from exc

    async def _flush(self, stream: anyio.abc.ByteStream) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        try:
            await stream.send(data)
        except _BROKEN:
            # A server may refuse a request before it has read all of it, answer and close: go on and read the
            # answer.
            self.broken = True

    async def aclose(self) -> None:
        """Close the socket, at once; what comes later finds the wire closed."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Nothing: httpcore wants the TLS object, to learn whether HTTP/2 was negotiated, and it never is."""
        return None

    def _opened(self) -> anyio.abc.ByteStream:
        if self._stream is None:
            raise TransportError("the connection is closed")
        return self._stream


def _reason(exc: BaseException) -> str:
    """What the operating system, or OpenSSL, said; it names addresses, never credentials."""
    if isinstance(exc, BaseExceptionGroup):  # a host with several addresses, none of which answered
        return _reason(cast("BaseExceptionGroup[BaseException]", exc).exceptions[0])
    if exc.__cause__ is not None:
        return _reason(exc.__cause__)
    return str(exc) or "the other side closed the connection"


def _is_readable(descriptor: int) -> bool:
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
