"""A caller's own client: an ``httpx.AsyncClient`` or ``httpx2.AsyncClient``, used as an exact engine.

People bring a client for its network: proxies, client certificates, HTTP/2, instrumentation.  They also bring its
state, and that must not reach requests that are made for many users:

* **A bare request** is built by the library's ``Request`` class, not by the client, so the client's default headers,
  cookies, ``params``, ``base_url`` and timeouts are not in it.
* **It is sent with** ``auth=None, follow_redirects=False``.
* **Through a copy of the client** whose cookie jar refuses every cookie: ``send`` stores what the server sets in the
  jar of the client that it is called on.  A shallow copy shares the transports, hooks and settings of the moment, so
  the caller's client works as before and its jar is neither read nor filled.

What cannot be kept out is what the client does by itself: its event hooks run, and so does the code of a subclass or of
a transport of the caller's.  We cannot see whom these speak for; :attr:`HttpxClientEngine.carries_identity` says so.

The client is never closed here.  Its pool is its own, with that pool's limits and faults.
"""

from __future__ import annotations

import contextlib
import copy
import http.cookiejar
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
from attrs import define, field

from mcpcore.errors import ConfigurationError, LocalProtocolError, McpError, TransportError

from .content_coding import Decoder, decoder_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from types import ModuleType

    from mcpcore.commands import SendRequest

_LIBRARIES = ("httpx", "httpx2")

_OWN_HEADERS = frozenset({"accept", "accept-encoding", "connection", "user-agent"})
"""The default headers that the libraries themselves give to every client."""

_CLOSING = 1.0
"""Seconds that a transport of the caller's may take to give up a response; httpx's own takes none."""


def _library_of(client: object) -> ModuleType:
    """The library that ``client`` is an ``AsyncClient`` of: whoever has a client has imported it."""
    for cls in type(client).__mro__:
        root = cls.__module__.partition(".")[0]
        if cls.__name__ == "AsyncClient" and root in _LIBRARIES:
            return sys.modules[root]
    raise ConfigurationError(
        f"http_client is an httpx.AsyncClient or an httpx2.AsyncClient, not a {type(client).__name__}"
    )


def _no_cookies() -> http.cookiejar.CookieJar:
    """A jar that takes no cookie, from anyone."""
    return http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))


@define(eq=False)
class HttpxClientEngine:
    """Sends requests through a client that belongs to the caller.

    :param client: an ``httpx.AsyncClient`` or ``httpx2.AsyncClient``, or an instance of a subclass; it stays open.
    :raises ConfigurationError: if it is anything else.
    """

    # Neither library is named in the types, because neither needs to be installed for the other.
    _client: Any = field(repr=False)
    _library: Any = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._library = _library_of(self._client)

    @property
    def carries_identity(self) -> bool:
        """Whether the client may speak for someone whom we cannot see.

        So it is with ``auth``, request hooks, cookies, default headers beyond the library's own, a subclass, or a
        transport that is not the library's.
        """
        client = self._client
        return bool(
            type(client) is not self._library.AsyncClient
            or client.auth is not None
            or client.event_hooks["request"]
            or len(client.cookies)
            or not _OWN_HEADERS.issuperset(client.headers)
            or not self._has_plain_transports()
        )

    def _has_plain_transports(self) -> bool:
        # The client has no public word for its transports.  Where they cannot be found, they count as unknown.
        transport: Any = getattr(self._client, "_transport", None)
        mounts: dict[Any, Any] | None = getattr(self._client, "_mounts", None)
        plain = self._library.AsyncHTTPTransport
        return (
            mounts is not None
            and type(transport) is plain
            and all(mounted is None or type(mounted) is plain for mounted in mounts.values())
        )

    async def send(self, request: SendRequest) -> HttpxClientResponse:
        """Send ``request``; return its response as soon as the head is there.

        :raises LocalProtocolError: if the client is closed, or the request cannot be sent at all.
        :raises TransportError: if the client failed, or a hook, transport or subclass of the caller's raised, whose
            exception is then the cause.
        """
        if self._client.is_closed:
            raise LocalProtocolError("the http_client has been closed")
        client = copy.copy(self._client)
        client.cookies = _no_cookies()
        try:
            response = await client.send(self._compose(request), stream=True, auth=None, follow_redirects=False)
        except Exception as exc:
            _raise_mapped(exc, self._library)
        return HttpxClientResponse(response, self._library)

    async def aclose(self) -> None:
        """Do nothing: the client is the caller's to close."""

    def _compose(self, request: SendRequest) -> Any:
        library = self._library
        return library.Request(
            request.method,
            request.url,
            headers=list(request.headers),
            content=request.body,
            # A call has a deadline of its own; the client's time-outs would cut quiet streams.
            extensions={"timeout": library.Timeout(None).as_dict()},
        )


def _raise_mapped(exc: Exception, library: ModuleType) -> NoReturn:
    """Raise our error for one that came out of a caller's client.

    A protocol error's message may quote a header, sent or received, so it goes no further.
    """
    if isinstance(exc, McpError):
        raise exc
    if isinstance(exc, (library.InvalidURL, library.UnsupportedProtocol, library.LocalProtocolError)):
        raise LocalProtocolError("the http_client cannot send the request") from None
    if isinstance(exc, library.RemoteProtocolError):
        raise TransportError("the connection broke, or what came over it is not valid HTTP") from None
    if isinstance(exc, library.TransportError):
        raise TransportError(f"the network failed: {type(exc).__name__}: {exc}") from exc
    raise TransportError(f"the http_client, or a hook or transport of its, raised {type(exc).__name__}") from exc


class HttpxClientResponse:
    """The response to one request; see :class:`~transports.engines.base.Response`."""

    __slots__ = ("_chunks", "_decoder", "_library", "_response", "headers", "status")

    def __init__(self, response: Any, library: ModuleType) -> None:
        self.status: int = response.status_code
        self.headers: Sequence[tuple[bytes, bytes]] = response.headers.raw
        self._response = response
        self._library = library
        self._decoder: Decoder | None = None
        if response.is_stream_consumed:
            self._chunks: AsyncIterator[bytes] = _already_read(response)
        else:
            self._chunks = response.aiter_raw()
            self._decoder = decoder_for(self.headers)

    async def receive(self) -> bytes:
        """Return the next piece of the body, with its content coding removed; ``b""`` when it is complete.

        :raises TransportError: if the connection broke before the body was complete.
        :raises RemoteProtocolError: if the body is not validly compressed.
        """
        if self._decoder is None:
            return await self._receive()
        while not (piece := self._decoder.read()):
            if not (data := await self._receive()):
                self._decoder.finish()
                break
            self._decoder.feed(data)
        return piece

    async def aclose(self) -> None:
        """Give the response up: unless its body is complete, the client closes its connection.

        May be called more than once, and in a cancelled scope: it does not wait for the network.
        """
        with anyio.move_on_after(_CLOSING, shield=True):
            await self._response.aclose()
        # What is left are generators, halfway through: a cancelled scope ends them wherever they wait.
        with anyio.move_on_after(0, shield=True), contextlib.suppress(Exception):
            async for _ in self._chunks:
                pass

    async def _receive(self) -> bytes:
        try:
            async for data in self._chunks:
                if data:
                    return data
        except Exception as exc:
            _raise_mapped(exc, self._library)
        return b""


async def _already_read(response: Any) -> AsyncIterator[bytes]:
    """The body of a response that a hook has read: the library has decoded it."""
    yield response.content
