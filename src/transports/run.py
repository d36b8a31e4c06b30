"""The agent run: the tools of many servers, on behalf of one user, for as long as one run of an agent takes.

A run is made of what there is: one client a server, bound to the run's context.  What it adds is that no server can
spoil it for the others.

* **Opening.**  Every server is asked for its tools at the same time, each within its own timeout.  One that cannot be
  used is skipped: warned of and listed; or, if it is ``required``, the run fails with that very error.  The task group
  that does this is closed before the run's body begins.  It does not wait for goodbyes, which a server may draw out.
* **Names.**  The tools of all servers are offered side by side, see :mod:`.tool_names`.  A call is routed by a table,
  never by taking a name apart.
* **Closing.**  All clients are closed at the same time, so that together they take no longer than the slowest of them.
  So are those of skipped servers, unless a task of their own has done it before.

A client of Streamable HTTP has no task, so a run of such clients has none either, and may be left by any task.  One
that may speak HTTP+SSE must be left by the task that entered it: each lives in a task of its own, in a group which the
run's own task opens and closes.  So every one of them can be closed when it is time, and none waits for another.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, final

import anyio
from attrs import define, evolve, field, frozen

from mcpcore import CallContext, LocalProtocolError, McpError, RpcError

from .client import Client, connect
from .side_by_side import side_by_side
from .tool_names import server_names, tool_names
from .verbs import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import httpx
    import httpx2
    from anyio.abc import TaskGroup

    from mcpcore import CallToolResult, Extension, Handlers, Limits, Progress, Tool

    from .client import EngineName
    from .config import ServerConfig
    from .engines.base import Engine
    from .observer import ExchangeSummary
    from .stores import CacheStore
    from .tracing import Tracing
    from .verbs import BoundClient, Timeout

_log = logging.getLogger("transports")


def _in_our_words(error: McpError) -> str:
    """An error without what its server says: that may quote what it was sent."""
    if isinstance(error, RpcError):
        return f"{error.request} to {error.server}: the server answered with error {error.code}"
    return str(error)


@final
@frozen
class Skipped:
    """A server that a run does without: ``server, reason = skipped``.

    :ivar server: the name that the server has in the run.
    :ivar error: why, as a typed error.  It has no traceback and no cause, because these hold what was being sent.
    """

    server: str
    error: McpError = field(repr=_in_our_words)

    @property
    def reason(self) -> str:
        """Why, in words of ours."""
        return _in_our_words(self.error)

    def __iter__(self) -> Iterator[str]:
        return iter((self.server, self.reason))


@define(eq=False)
class _Member:
    """One server of a run.

    :ivar tools: what it offers, once it has been asked.
    :ivar skipped: why the run does without it, or None.
    """

    name: str
    config: ServerConfig
    client: Client
    tools: list[Tool] = field(factory=list["Tool"], init=False)
    skipped: Skipped | None = field(default=None, init=False)
    _is_open: bool = field(default=False, init=False)
    _over: anyio.Event | None = field(default=None, init=False)

    @property
    def has_task(self) -> bool:
        """Whether its client must be left by the task that entered it."""
        return self.config.type != "http"

    async def open(self, context: CallContext, tasks: TaskGroup | None) -> None:
        """Learn its tools; without them it is skipped.

        :raises McpError: if it is required, and cannot be used.
        """
        try:
            if self.config.requires_user and context.user is None:
                raise LocalProtocolError(f"the server {self.name!r} requires a user, and the run has none")
            await self._enter(tasks)
            self.tools = self._distinct(await self.client.list_tools(context=context))
        except McpError as error:
            if self.config.required:
                raise
            error.__traceback__ = error.__cause__ = error.__context__ = None
            self.skipped = Skipped(self.name, error)
            _log.warning("the run does without the server %r: %r", self.name, self.skipped.reason)
            self._let_go()

    def _let_go(self) -> None:
        """Have its task close its client, if there is one; nobody waits for that."""
        if self._over is not None:
            self._over.set()

    async def leave(self) -> None:
        """Close its client, if it is open."""
        self._let_go()
        if self._is_open and self._over is None:
            await self.client.__aexit__(None, None, None)
        self._is_open = False

    async def _enter(self, tasks: TaskGroup | None) -> None:
        if tasks is None or not self.has_task:
            await self.client.__aenter__()
        else:
            # TaskGroup.start would wait for the task's end if this were cancelled, and it ends when it is told to.
            ready, self._over = anyio.Event(), anyio.Event()
            tasks.start_soon(self._live, ready, self._over)
            await ready.wait()
        self._is_open = True

    async def _live(self, ready: anyio.Event, over: anyio.Event) -> None:
        """Keep the client open in this task until it is over; also when all that surrounds it is cancelled."""
        with anyio.CancelScope(shield=True):
            async with self.client:
                ready.set()
                await over.wait()

    def _distinct(self, tools: list[Tool]) -> list[Tool]:
        """The tools that can be told apart: a call names nothing but the tool."""
        distinct: dict[str, Tool] = {}
        for tool in tools:
            if distinct.setdefault(tool.name, tool) is not tool:
                _log.warning("the server %r offers the tool %r twice; the first is kept", self.name, tool.name)
        return list(distinct.values())


@frozen
class _Route:
    """Where the calls of one tool go."""

    server: str
    client: BoundClient
    tool: str


@final
class Run:
    """The tools of several servers, in one context; made by :func:`open_run`.

    Use it as an asynchronous context manager.  Entering it asks every server for its tools; leaving it closes whatever
    it opened, also after an error or a cancellation.
    """

    def __init__(self, members: list[_Member], context: CallContext) -> None:
        self._members = members
        self._context = context
        self._tools: tuple[Tool, ...] = ()
        self._routes: dict[str, _Route] = {}
        self._tasks: TaskGroup | None = None
        self._owner = 0
        self._was_opened = self._is_open = False

    def __repr__(self) -> str:
        return f"<Run of {', '.join(member.name for member in self._members)}>"

    @property
    def tools(self) -> Sequence[Tool]:
        """The tools of all servers, in the order of the servers, under the names that :meth:`call_tool` takes.

        Only ``name`` may differ from what the server said; ``raw`` is its own definition, with its own name.
        """
        return self._tools

    @property
    def skipped(self) -> Sequence[Skipped]:
        """The servers that the run does without, and why."""
        return tuple(member.skipped for member in self._members if member.skipped is not None)

    def server_of(self, name: str) -> str:
        """The name of the server that a tool belongs to.

        :raises mcpcore.LocalProtocolError: if the run has no such tool.
        """
        return self._route(name).server

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: Timeout = UNSET,
        on_progress: Callable[[Progress], Any] | None = None,
    ) -> CallToolResult:
        """Call a tool of the run on the server that it belongs to (2026-07-28, "Tools", Calling Tools).

        :param name: the tool's name in :attr:`tools`.
        :param arguments: the tool's arguments, as its ``input_schema`` asks for.
        :param timeout: seconds for the whole call; None for no bound; left out, the timeout of the server's
            configuration.
        :param on_progress: is called with each :class:`mcpcore.Progress`, in order, before this returns; plain or
            async.  What it raises ends the call.
        :returns: the result; a tool that failed says so in ``is_error``.
        :raises mcpcore.McpError: if the tool could not be called.  The other servers' tools can be, all the same.
        """
        if not self._is_open:
            raise LocalProtocolError("the run is not open; use it within 'async with open_run(...) as run'")
        route = self._route(name)
        return await route.client.call_tool(route.tool, arguments, timeout=timeout, on_progress=on_progress)

    def _route(self, name: str) -> _Route:
        try:
            return self._routes[name]
        except KeyError:
            raise LocalProtocolError(f"the run has no tool {name!r}") from None

    async def __aenter__(self) -> Self:
        if self._was_opened:
            raise LocalProtocolError("a run is opened once; open another")
        self._was_opened = True
        if any(member.has_task for member in self._members):
            self._owner = anyio.get_current_task().id
            self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise
        self._merge()
        self._is_open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tasks is not None and anyio.get_current_task().id != self._owner:
            raise LocalProtocolError(
                "a run with a server that may speak HTTP+SSE must be left by the task that entered it"
            )
        self._is_open = False
        await self._close()

    async def _open(self) -> None:
        """Open every server at the same time; the first failure that is fatal ends it."""
        await side_by_side(
            (partial(member.open, self._context, self._tasks) for member in self._members), until_failure=True
        )

    async def _close(self) -> None:
        """Close every client at the same time, and wait for all."""
        try:
            with anyio.CancelScope(shield=True):
                await side_by_side((member.leave for member in self._members), until_failure=False)
        finally:
            if self._tasks is not None:
                # What the body raised is no concern of the group's, nor is a cancellation of all that surrounds it.
                self._tasks.cancel_scope.shield = True
                try:
                    await self._tasks.__aexit__(None, None, None)
                except BaseExceptionGroup as failures:
                    raise failures.exceptions[0] from None

    def _merge(self) -> None:
        """Name the tools, and note where their calls go."""
        offers = [(member, tool) for member in self._members for tool in member.tools]
        names = tool_names([(member.name, tool.name) for member, tool in offers])
        self._tools = tuple(evolve(tool, name=name) for name, (_, tool) in zip(names, offers, strict=True))
        self._routes = {
            name: _Route(member.name, member.client.bind(self._context), tool.name)
            for name, (member, tool) in zip(names, offers, strict=True)
        }


def open_run(
    servers: Iterable[ServerConfig],
    *,
    context: CallContext | None = None,
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
) -> Run:
    """A run over several servers, to be used as ``async with open_run(servers, context=…) as run``.  Sends nothing yet.

    A server that cannot be used when the run is opened (it is down, slower than its timeout, refuses the credentials,
    breaks the protocol; its resolver fails; it requires a user and there is none) is left out, unless it is
    ``required``: there is a warning in the log, and :attr:`Run.skipped` says why.

    :param servers: the servers; where two offer a tool of one name, the earlier one's keeps it.
    :param context: on whose behalf every request of the run is made, fixed for the whole run.
    :param http_client: your own client, shared by all servers and never closed here.
    :param engine: an engine of your own, shared by all servers and never closed here; otherwise each has its own.
    :param limits: the bounds of each server's client.
    :param client_info: what the client calls itself: at least ``name`` and ``version``.
    :param handlers: what the client offers each server, as to ask a person or a model.
    :param extensions: which extensions of the protocol the client speaks.
    :param validate_output: whether the structured results of tools are held against the schemas that these promise.
    :param tracing: surrounds each call, and says for each message which trace it belongs to.
    :param digest_key: the secret that identities are hashed with.
    :param store: where what was fetched is shared with other runs and other processes, sealed with ``digest_key``,
        which it needs.  Without one each run asks anew, because its clients end with it.
    :param on_exchange: is called with an :class:`ExchangeSummary` of each request; what it raises ends the call or,
        while the run is being opened, the run.
    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """
    configs = list(servers)
    members = [
        _Member(
            name,
            config,
            connect(
                config,
                http_client=http_client,
                engine=engine,
                limits=limits,
                client_info=client_info,
                handlers=handlers,
                extensions=extensions,
                validate_output=validate_output,
                tracing=tracing,
                digest_key=digest_key,
                store=store,
                on_exchange=on_exchange,
            ),
        )
        for name, config in zip(server_names(configs), configs, strict=True)
    ]
    return Run(members, CallContext() if context is None else context)
