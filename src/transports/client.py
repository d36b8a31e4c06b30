"""The front of the transports: a client that does what the pure one asks.

:class:`Client` joins a pure :class:`mcpcore.Client`, which knows what to do, with an engine, which can do it.  A call
is one operation, driven in the caller's task.

A client of Streamable HTTP alone has no task of its own: open it in one task, use it from many, close it from another.
One that may speak HTTP+SSE has a task for each event stream, and one over a channel has some for that; so they must be
left by the task that entered them.
"""

from __future__ import annotations

import logging
import random
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, final, overload

import anyio

from mcpcore import CallContext, ConfigurationError, Limits, LocalProtocolError

from .config import core_client, server_config
from .driver import Driver
from .readers import Readers
from .side_by_side import side_by_side
from .verbs import Hub, Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import httpx
    import httpx2
    from anyio.abc import TaskGroup

    from mcpcore import (
        AuthProvider,
        Extension,
        Handlers,
        Operation,
        OutputValidator,
        Resolver,
        Spawn,
    )

    from .config import RedirectPolicy, ServerConfig, TransportName
    from .engines.base import Engine
    from .observer import ExchangeSummary
    from .stores import CacheStore
    from .stores.sealed import SealedStore
    from .tracing import Tracing

    CacheName = Literal["use", "refresh", "bypass"]
    EngineName = Literal["httpx"]

T = TypeVar("T")

_log = logging.getLogger("transports")


@final
class Client(Verbs):
    """One MCP endpoint, used on behalf of any number of identities; made by :func:`connect`.

    Use it as an asynchronous context manager.  Entering it sends nothing.  Leaving it ends the sessions that the server
    holds, within ``limits.goodbye`` seconds, and closes the connections that it opened.
    """

    def __init__(self, hub: Hub, *, owns_engine: bool, reads_streams: bool) -> None:
        super().__init__(hub, CallContext())
        self._owns_engine = owns_engine
        self._reads_streams = reads_streams
        self._tasks: TaskGroup | None = None
        self._owner = 0
        self._was_opened = False

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise LocalProtocolError("a client is opened once; connect again", server=self._hub.core.server)
        self._was_opened = self._hub.is_open = True
        if self._reads_streams:
            self._owner = anyio.get_current_task().id
            self._tasks = await anyio.create_task_group().__aenter__()
            self._hub.driver.readers = Readers(self._tasks, copy_context(), self._reply)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tasks is not None and anyio.get_current_task().id != self._owner:
            raise LocalProtocolError(
                "a client that may speak HTTP+SSE, or over a channel, must be left by the task that entered it",
                server=self._hub.core.server,
            )
        self._hub.is_open = False
        for company in list(self._hub.driver.listening):
            company.end(LocalProtocolError("the client was closed", server=self._hub.core.server))
        try:
            with anyio.move_on_after(self._hub.driver.limits.goodbye, shield=True):
                await self._say_goodbye()
        finally:
            await self._release()

    async def _say_goodbye(self) -> None:
        goodbyes = self._hub.core.close()
        if goodbyes:
            await side_by_side((partial(self._end, goodbye) for goodbye in goodbyes), until_failure=False)

    async def _end(self, goodbye: Operation[None]) -> None:
        try:
            await self._hub.driver.run(goodbye)
        except Exception:
            # An observer or engine of the user's; the client is to be closed all the same.
            _log.exception("%s: a session was not ended", self._hub.core.server)

    async def _reply(self, spawn: Spawn) -> None:
        """Answer a ping; that it cannot be done is nothing to fail for, because nobody asked for it here."""
        driver, scope = self._hub.driver, anyio.CancelScope()
        spawn.withdrawn.subscribe(scope.cancel)
        try:
            with scope:
                await driver.run(spawn.operation, driver.limits.goodbye)
        except Exception:
            _log.exception("%s: a ping was not answered", self._hub.core.server)
        finally:
            spawn.withdrawn.unsubscribe(scope.cancel)

    async def _release(self) -> None:
        """Give back what was opened: the event streams, and the connections."""
        if self._tasks is not None:
            await self._end_readers(self._tasks)
        if self._owns_engine:
            await self._hub.driver.engine.aclose()

    async def _end_readers(self, tasks: TaskGroup) -> None:
        readers, self._hub.driver.readers = self._hub.driver.readers, None
        if readers is not None:
            readers.close()
        # What the body raised is no concern of the group's, nor is a cancellation of all that surrounds it.
        tasks.cancel_scope.shield = True
        await tasks.__aexit__(None, None, None)


@overload
def connect(
    url: str,
    *,
    type: TransportName = "http",
    headers: Mapping[str, str] | None = None,
    auth_token: str | None = None,
    auth: AuthProvider | None = None,
    get_headers: Resolver | Sequence[Resolver] | None = None,
    forward: Iterable[str] = (),
    protocol_version: str | None = None,
    redirects: RedirectPolicy = "never",
    allow_insecure_http: bool = False,
    share_public: bool = False,
    default_ttl: float = 0.0,
    timeout: float | None = 30.0,
    http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
    engine: EngineName | Engine | None = None,
    limits: Limits | None = None,
    client_info: Mapping[str, Any] | None = None,
    handlers: Handlers | None = None,
    extensions: Iterable[Extension] = (),
    validate_output: bool = False,
    tracing: Tracing | None = None,
    digest_key: bytes | None = None,
    store: CacheStore | None = None,
    on_exchange: Callable[[ExchangeSummary], None] | None = None,
) -> Client: ...
@overload
def connect(
    url: ServerConfig,
    *,
    http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
    engine: EngineName | Engine | None = None,
    limits: Limits | None = None,
    client_info: Mapping[str, Any] | None = None,
    handlers: Handlers | None = None,
    extensions: Iterable[Extension] = (),
    validate_output: bool = False,
    tracing: Tracing | None = None,
    digest_key: bytes | None = None,
    store: CacheStore | None = None,
    on_exchange: Callable[[ExchangeSummary], None] | None = None,
) -> Client: ...
def connect(
    url: str | ServerConfig,
    *,
    http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
    engine: EngineName | Engine | None = None,
    limits: Limits | None = None,
    client_info: Mapping[str, Any] | None = None,
    handlers: Handlers | None = None,
    extensions: Iterable[Extension] = (),
    validate_output: bool = False,
    tracing: Tracing | None = None,
    digest_key: bytes | None = None,
    store: CacheStore | None = None,
    on_exchange: Callable[[ExchangeSummary], None] | None = None,
    **options: Any,
) -> Client:
    """A client of the MCP server at ``url``, to be used as ``async with connect(url) as client``.  Sends nothing.

    :param url: the server's URL, http or https, without userinfo; or a :class:`ServerConfig`, whose options cannot be
        given here again.
    :param type: which transports to try: ``"http"`` (Streamable HTTP), ``"sse"`` (HTTP+SSE of 2024-11-05), or
        ``"auto"`` (the one, then the other).
    :param headers: static headers, sent with every request.
    :param auth_token: a static bearer token, short for an ``Authorization`` header.
    :param auth: authorizes each request: a :class:`mcpcore.OAuth`, a :class:`mcpcore.BearerAuth`, or a provider of your
        own.
    :param get_headers: a resolver, or several, plain or async, asked for headers for each single request; see
        :class:`mcpcore.RequestContext`.
    :param forward: which of a call's ``request_headers`` are sent on, by name.
    :param protocol_version: the one revision to speak; None finds out.
    :param http_client: your own client, whose connections are used and which is never closed here; see the page about
        engines for what of it applies.
    :param engine: ``"httpx"``, as for None, or an engine of your own, which is never closed here.
    :param timeout: seconds for a whole call: resolvers, handshake, retries, stream; None for no bound.  Telling the
        server that a call was given up may take up to ``limits.goodbye`` seconds more.
    :param limits: the client's bounds.
    :param redirects: ``"same-origin"`` follows 307 and 308 within the endpoint's origin; ``"never"`` none.
    :param allow_insecure_http: whether headers may go over plain http to another machine.
    :param share_public: whether all identities share the lists that the server calls public.
    :param default_ttl: seconds that a list, or what was read of a resource, is kept where the protocol's revision gives
        servers no way to say so; 0 for not at all.
    :param client_info: what the client calls itself: at least ``name`` and ``version``.
    :param handlers: what the client offers the server, as to ask a person or a model; see :class:`mcpcore.Handlers`.
    :param extensions: which extensions of the protocol the client speaks; see :class:`mcpcore.Extension`.
    :param validate_output: whether the structured results of tools are held against the schemas that these promise;
        needs the extra ``validation``.
    :param tracing: surrounds each call, and says for each message which trace it belongs to; see
        :class:`transports.tracing.Tracing`.
    :param digest_key: the secret that identities are hashed with; at least 16 bytes; drawn at random if None.
    :param store: where what was fetched is shared with other processes, sealed with ``digest_key``, which it needs.
    :param on_exchange: is called with an :class:`ExchangeSummary` of each request, once it has been answered or has
        failed; what it raises ends the call.
    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """
    config = server_config(url, options)
    bounds = limits or Limits()
    chosen, owned = _engine(http_client, engine, bounds)
    core = core_client(
        config,
        limits=bounds,
        client_info=client_info,
        handlers=handlers,
        extensions=extensions,
        output_validator=schema_checkers() if validate_output else None,
        trace=None if tracing is None else tracing.context,
        digest_key=digest_key,
        opaque_identity=chosen.carries_identity,
        clock=anyio.current_time,
        jitter=random.random,
        shared_store=store is not None,
    )
    sealed = None if store is None or digest_key is None else _sealed(store, digest_key, bounds)
    hub = Hub(core, Driver(chosen, bounds, on_exchange, sealed), config.timeout, tracing)
    return Client(hub, owns_engine=owned, reads_streams=config.type != "http")


def schema_checkers() -> OutputValidator:
    """What makes checkers of output schemas.  The library that does is imported here, not before."""
    from .validation import schema_checkers

    return schema_checkers()


def _sealed(store: CacheStore, secret: bytes, limits: Limits) -> SealedStore:
    """A store as the driver needs it.  The library that seals is imported here, not before."""
    from .stores.sealed import SealedStore

    return SealedStore(store, secret, timeout=limits.store, pause=limits.store_pause, largest=limits.message_bytes)


def _engine(
    http_client: httpx.AsyncClient | httpx2.AsyncClient | None, engine: EngineName | Engine | None, limits: Limits
) -> tuple[Engine, bool]:
    """The engine to use, and whether it is ours to close.  HTTP libraries are imported here, not before."""
    if engine is not None and not isinstance(engine, str):
        if http_client is not None:
            raise ConfigurationError("http_client and an engine of your own exclude each other")
        return engine, False
    if engine not in (None, "httpx"):
        raise ConfigurationError("engine must be 'httpx' or an Engine")
    if http_client is not None:
        from .engines.httpx_client import HttpxClientEngine

        return HttpxClientEngine(http_client), True
    from .engines.httpx import HttpxEngine

    return HttpxEngine(limits), True
