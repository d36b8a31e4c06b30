"""Our own engine, over httpx's network stack: HTTP/1.1 connections of httpcore in a pool of our own.

``httpx.AsyncClient`` does much that an exact engine must not do (cookies, default headers, environment), and
its pool counts every connection as idle, reconnects above twenty, and loses connections to cancelled calls.
So this engine takes what is good, one httpcore connection at a time, and owns the rest:

* **The request** is the header list that was given, between ``Host`` and ``Content-Length``.
* **Three pools**: for calls, for long-lived streams, and for answers to the server's own requests.  So streams
  never starve calls, and calls that all wait for their answer to the server never wait for each other.
* **The response** is read from httpcore's parser, h11, all at once that has been received.  It gives its
  connection back by itself at the end of the body; before that, giving it up closes the connection.
* **Errors** are mapped here, at the edge, to say what happened without repeating anything that was sent or
  received.

Nothing is sent twice.  :class:`~mcpcore.NotSentError` is raised only where it is certain: an answer was there
before the request had left.  A kept connection that the server closed is noticed before it is used; if it
closes while a request is on its way, nobody can know whether the server has acted on it.
"""

from __future__ import annotations

import functools
import socket
import time
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import h11
import httpcore
import httpx
from attrs import define, field, frozen

from mcpcore.errors import (
    ConfigurationError,
    LocalProtocolError,
    NotSentError,
    RemoteProtocolError,
    TransportError,
)
from mcpcore.limits import Limits

from .content_coding import Decoder, decoder_for
from .pool import ConnectionPool, Origin
from .wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from mcpcore.commands import SendRequest

_PORTS = {"http": 80, "https": 443}
_READ_BYTES = 64 * 1024

_loop: anyio.lowlevel.RunVar[object] = anyio.lowlevel.RunVar("transports.engines.loop")


@functools.cache
def _default_ssl_context() -> ssl.SSLContext:
    """The process's one TLS context: making one takes 24 ms and 0.8 MiB."""
    return httpx.create_ssl_context()


def _current_loop() -> object:
    """An object that stands for the running event loop."""
    try:
        return _loop.get()
    except LookupError:
        marker = object()
        _loop.set(marker)
        return marker


@frozen
class _Target:
    """What a request's URL comes to."""

    url: httpcore.URL
    origin: Origin
    host: tuple[bytes, bytes]


def _address(url: httpx.URL) -> httpcore.URL:
    """What httpcore makes of a URL is less than what httpx does: it is given the parts."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _parse_target(url: str) -> _Target:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError):
        raise LocalProtocolError("the URL is not valid") from None
    if parsed.scheme not in _PORTS or not parsed.raw_host:
        raise LocalProtocolError("the URL is not an http or https URL with a host")
    port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
    if not 0 < port <= 65535:
        raise LocalProtocolError("the URL names a port that does not exist")
    return _Target(_address(parsed), (parsed.raw_scheme, parsed.raw_host, port, ()), (b"Host", parsed.netloc))


def _parse_proxy(url: str | None) -> httpcore.Proxy | None:
    if url is None:
        return None
    try:
        proxy = httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        raise ConfigurationError("the proxy's URL is not valid") from None
    if proxy.url.scheme not in _PORTS:
        raise ConfigurationError("a proxy's URL begins with http:// or https://")
    tls = _default_ssl_context() if proxy.url.scheme == "https" else None
    return httpcore.Proxy(_address(proxy.url), auth=proxy.raw_auth, ssl_context=tls)


def _parser(http: httpcore.AsyncConnectionInterface) -> h11.Connection:
    """What httpcore reads its responses with; it is under as many layers as the way to the server has."""
    layer: Any = http
    while not hasattr(layer, "_h11_state"):
        layer = layer._connection
    parser: h11.Connection = layer._h11_state
    return parser


@define(eq=False)
class _Connection:
    """One connection of httpcore, and the wire under it."""

    origin: Origin
    wire: Wire
    http: httpcore.AsyncConnectionInterface

    def is_alive(self) -> bool:
        return not self.wire.has_input()

    def is_clean(self) -> bool:
        """Whether the exchange is over on both sides, so that another may follow."""
        # What came after the answer, the next user of the connection would take for an answer.
        return self.http.is_idle() and not self.wire.broken and not _parser(self.http).trailing_data[0]

    async def aclose(self) -> None:
        # The wire, not what httpcore made of it: it is there to be closed from the first moment on.
        await self.wire.aclose()


@define(eq=False)
class HttpxEngine:
    """Sends requests over its own kept connections, on the event loop that uses it first.

    :param limits: ``connections``, ``streams`` and ``idle_connection`` apply.
    :param ssl_context: for https; None means the certificates that httpx trusts, in one context for the whole
        process.
    :param proxy: the URL of an http or https proxy, with its credentials, if any; None means none: the
        environment is not asked.
    :param clock: the time in seconds, from any start.
    :raises ConfigurationError: if ``proxy`` is not the URL of such a proxy.
    """

    limits: Limits = field(factory=Limits)
    _ssl_context: ssl.SSLContext | None = field(default=None, kw_only=True, repr=False)
    _proxy: httpcore.Proxy | None = field(default=None, kw_only=True, repr=False, converter=_parse_proxy)
    _clock: Callable[[], float] = field(default=time.monotonic, kw_only=True, repr=False)
    _calls: ConnectionPool[_Connection] = field(init=False, repr=False)
    _replies: ConnectionPool[_Connection] = field(init=False, repr=False)
    _streams: ConnectionPool[_Connection] = field(init=False, repr=False)
    _targets: Callable[[str], _Target] = field(init=False, repr=False)
    _loop: object = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._calls = self._pool(self.limits.connections)
        self._replies = self._pool(self.limits.reply_connections)
        self._streams = self._pool(self.limits.streams)
        self._targets = functools.lru_cache(maxsize=16)(_parse_target)

    @property
    def _pools(self) -> tuple[ConnectionPool[_Connection], ...]:
        return self._calls, self._replies, self._streams

    def _pool_for(self, request: SendRequest) -> ConnectionPool[_Connection]:
        if request.is_stream:
            return self._streams
        return self._replies if request.is_reply else self._calls

    def _pool(self, bound: int) -> ConnectionPool[_Connection]:
        return ConnectionPool(bound, self.limits.idle_connection, self._connect, self._clock)

    @property
    def carries_identity(self) -> bool:
        """Never: what is sent is what was given."""
        return False

    @property
    def connections_opened(self) -> int:
        """How many connections were made since the beginning."""
        return sum(pool.opened for pool in self._pools)

    @property
    def connections_idle(self) -> int:
        """How many connections are kept for the next request."""
        return sum(pool.idle for pool in self._pools)

    @property
    def connections_in_use(self) -> int:
        """How many connections serve a request now."""
        return sum(pool.in_use for pool in self._pools)

    async def send(self, request: SendRequest) -> HttpxResponse:
        """Send ``request``; return its response as soon as the head is there.

        Waits its turn while ``limits.connections`` are in use; for a stream ``limits.streams``, for an answer to the
        server ``limits.reply_connections``.

        :raises LocalProtocolError: if the request cannot be sent at all, the engine is closed, or the event
            loop is not the one that it was used on first.
        :raises NotSentError: if a kept connection held bytes that nobody had asked for; the request has not
            left.
        :raises TransportError: if the connection could not be made, or broke before the head was complete.
        :raises RemoteProtocolError: if what came is not HTTP/1.1.
        """
        self._check_loop()
        target = self._targets(request.url)
        pool = self._pool_for(request)
        connection = await pool.acquire((*target.origin[:3], request.addresses) if request.addresses else target.origin)
        try:
            outgoing = _compose(request, target)
            answer = await connection.http.handle_async_request(outgoing)
            # httpcore keeps the request as long as the response, which may be a stream that lives for days.
            outgoing.headers.clear()
            if connection.wire.unsent:
                raise _unasked()
            return HttpxResponse(answer, connection, pool)
        except BaseException as exc:
            await pool.release(connection, keep=False)
            if (failure := _failure(exc, connection.wire)) is not None:
                raise failure from None
            raise

    async def look_up(self, host: str) -> Sequence[str]:
        """The addresses of ``host``; none if it is for the proxy to look up.

        :raises TransportError: if it has none.
        """
        if self._proxy is not None:
            return ()
        try:
            found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise TransportError("could not connect: the host's name could not be looked up") from exc
        return [str(address[0]) for *_, address in found]

    async def aclose(self) -> None:
        """Close the idle connections now, and those in use as their requests end; refuse further requests.

        :raises LocalProtocolError: if the event loop is not the one that the engine was used on.
        """
        self._check_loop()
        for pool in self._pools:
            await pool.aclose()

    def _check_loop(self) -> None:
        loop = _current_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise LocalProtocolError("the engine belongs to another event loop; make one for each")

    def _connect(self, origin: Origin) -> _Connection:
        """A connection that will connect when it is used."""
        scheme, host, port, addresses = origin
        tls = (self._ssl_context or _default_ssl_context()) if scheme == b"https" else None
        wire = Wire(addresses)
        # httpcore's pool serves as a factory: it knows how to go through a proxy.
        factory = httpcore.AsyncConnectionPool(ssl_context=tls, proxy=self._proxy, network_backend=wire)
        http = factory.create_connection(httpcore.Origin(scheme, host, port))
        return _Connection(origin, wire, http)


def _compose(request: SendRequest, target: _Target) -> httpcore.Request:
    """The request for httpcore: what was given, and the framing that HTTP/1.1 needs (RFC 9112, section 6)."""
    headers = [target.host, *request.headers]
    if request.body or request.method == "POST":
        headers.append((b"Content-Length", b"%d" % len(request.body)))
    return httpcore.Request(request.method, target.url, headers=headers, content=request.body)


def _failure(exc: BaseException, wire: Wire) -> Exception | None:
    """Our error for one of httpcore's; None if ``exc`` is to be raised as it is.

    httpcore's own messages may quote a header, sent or received, so they go no further.
    """
    if isinstance(exc, httpcore.ProxyError):
        return TransportError(f"the proxy refused to connect (status {str(exc)[:3]})")
    if isinstance(exc, httpcore.LocalProtocolError):
        return LocalProtocolError("the request cannot be written as HTTP/1.1")
    if not isinstance(exc, (httpcore.RemoteProtocolError, h11.RemoteProtocolError)):
        return None
    if wire.unsent:
        return _unasked()
    if wire.at_eof or wire.broken:
        return TransportError("the server closed the connection before its answer was complete")
    return RemoteProtocolError("the answer is not valid HTTP/1.1")


def _unasked() -> NotSentError:
    return NotSentError("a kept connection held bytes that nobody had asked for")


class HttpxResponse:
    """The response to one request; see :class:`~transports.engines.base.Response`."""

    __slots__ = (
        "_answer",
        "_complete",
        "_connection",
        "_decoder",
        "_is_at_end",
        "_pool",
        "_released",
        "headers",
        "status",
    )

    def __init__(self, answer: httpcore.Response, connection: _Connection, pool: ConnectionPool[_Connection]) -> None:
        self.status: int = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer.headers
        self._answer = answer
        self._complete = False
        self._connection = connection
        self._decoder: Decoder | None = decoder_for(answer.headers)
        self._is_at_end = False
        self._pool = pool
        self._released = False

    async def receive(self) -> bytes:
        """Return the next piece of the body, with its content coding removed; ``b""`` when it is complete.

        :raises TransportError: if the connection broke before the body was complete.
        :raises RemoteProtocolError: if the body is not validly framed or compressed.
        """
        if self._decoder is None:
            return await self._receive()
        try:
            return await self._receive_decoded(self._decoder)
        except RemoteProtocolError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Give the response up: unless its body is complete, its connection is closed.

        May be called more than once, and in a cancelled scope: it does not wait for the network.
        """
        if not self._released:
            await self._give_up()

    async def _receive_decoded(self, decoder: Decoder) -> bytes:
        while not (piece := decoder.read()):
            if not (data := await self._receive()):
                decoder.finish()
                break
            decoder.feed(data)
        return piece

    async def _receive(self) -> bytes:
        if self._complete:
            return b""
        if self._released:
            raise LocalProtocolError("the response has been given up")
        try:
            if data := await self._read():
                return data
            await self._answer.aclose()
        except BaseException as exc:
            await self._give_up()
            if (failure := _failure(exc, self._connection.wire)) is not None:
                raise failure from None
            raise
        self._complete = True
        await self._release(keep=self._connection.is_clean())
        return b""

    async def _read(self) -> bytes:
        """All that has been received of the body and not been read; ``b""`` at its end.

        httpcore would give it chunk by chunk, and one read of the network may bring hundreds of them.
        """
        parser = _parser(self._connection.http)
        while not self._is_at_end:
            pieces: list[bytes] = []
            try:
                while isinstance(event := parser.next_event(), h11.Data):
                    pieces.append(bytes(event.data))
            except h11.RemoteProtocolError:
                if not pieces:
                    raise
                return b"".join(pieces)  # The parser says it once more when it is asked for more.
            self._is_at_end = isinstance(event, h11.EndOfMessage)
            if data := b"".join(pieces):
                return data
            if not self._is_at_end:
                parser.receive_data(await self._connection.wire.read(_READ_BYTES))
        return b""

    async def _give_up(self) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._connection.aclose()
        finally:
            await self._release(keep=False)

    async def _release(self, *, keep: bool) -> None:
        self._released = True
        await self._pool.release(self._connection, keep=keep)
