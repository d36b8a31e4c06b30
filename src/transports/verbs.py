"""What can be asked of a server, whichever transport it is behind.

A :class:`BoundClient` is a view of a client in one context; a :class:`~transports.client.Client` is one, too, which is
also opened and closed.  Each verb is one operation of the pure half, driven in the caller's task.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, final

from attrs import define

from mcpcore import LocalProtocolError

from .driver import Driver, ProgressTimeout
from .listening import Subscription
from .paging import Items
from .tracing import CallTrace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import mcpcore
    from mcpcore import (
        CallContext,
        CallToolResult,
        CompleteResult,
        Discovery,
        GetPromptResult,
        Listing,
        Login,
        LogLevel,
        Operation,
        Page,
        Progress,
        Prompt,
        PromptReference,
        ReadResourceResult,
        Resource,
        ResourceTemplate,
        ResourceTemplateReference,
        Statistics,
        Tool,
    )

    from .tracing import Tracing

    CacheName = Literal["use", "refresh", "bypass"]

T = TypeVar("T")


class Unset(Enum):
    """Stands for an argument that was not given, where None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET
Seconds: TypeAlias = float | Literal[Unset.UNSET] | None
"""Seconds for a whole call; None for no bound; left out, what :func:`connect` said."""
Timeout: TypeAlias = Seconds | ProgressTimeout
"""The same, or a :class:`ProgressTimeout`: for what may take long, and says how far it is."""


@define(eq=False)
class Hub:
    """What a client and all its views share."""

    core: mcpcore.Client
    driver: Driver
    timeout: float | None
    tracing: Tracing | None = None
    is_open: bool = False

    async def run(self, operation: Operation[T], timeout: Timeout) -> T:
        """Drive one operation to its end."""
        driver, timeout = self.ready(), self.timeout if timeout is UNSET else timeout
        if self.tracing is None:
            return await driver.run(operation, timeout)
        call = CallTrace.of(operation, self.core.server)
        with self.tracing.around(call):
            try:
                result = await driver.run(operation, timeout)
                call.note_result(result)
                return result
            finally:
                call.note_end(operation)

    def ready(self) -> Driver:
        """The driver, of a client that is open."""
        if not self.is_open:
            raise LocalProtocolError(
                "the client is not open; use it within 'async with connect(...) as client'", server=self.core.server
            )
        # Of a caller's own client it may become visible only now, when it has been given a hook.
        self.core.opaque_identity = self.driver.engine.carries_identity
        return self.driver


def _progress_handler(
    on_progress: Callable[[Progress], Any] | None, timeout: Timeout
) -> Callable[[Progress], Any] | None:
    """The user's handler; where progress matters only to the time-out, one that does nothing."""
    if on_progress is None and isinstance(timeout, ProgressTimeout):
        return lambda _: None
    return on_progress


class Verbs:
    """What can be asked of a server, in one context unless told otherwise."""

    def __init__(self, hub: Hub, context: CallContext) -> None:
        self._hub = hub
        self._context = context

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._hub.core.server}>"

    def bind(self, context: CallContext) -> BoundClient:
        """A view of this client in one context; without any I/O."""
        return BoundClient(self._hub, context)

    def statistics(self) -> Statistics:
        """What the client holds and has done, for all identities, in numbers."""
        return self._hub.core.statistics()

    async def open(self, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> Discovery:
        """Do now what an identity's first call would do first: find the era, and open a session if there are any.

        :returns: what the server says about itself.
        :raises mcpcore.McpError: if it cannot be done.
        """
        return await self._hub.run(self._hub.core.open(context=context or self._context), timeout)

    async def log_in(
        self,
        *,
        context: CallContext | None = None,
        timeout: Seconds = UNSET,
        scopes: Iterable[str] = (),
        anew: bool = False,
    ) -> Login:
        """Get an identity what it takes to be let in, by the ``auth`` of the client; a person takes time to log in.

        :param scopes: to be asked for, besides what the server wants.
        :param anew: whether to have a token granted although there is one, which counts until then.
        :returns: what it may do now.
        :raises mcpcore.OAuthError: if nothing can be had.
        :raises mcpcore.LocalProtocolError: if the client's ``auth`` is no :class:`mcpcore.OAuth`.
        """
        return await self._hub.run(
            self._hub.core.log_in(context=context or self._context, scopes=scopes, anew=anew), timeout
        )

    async def log_out(self, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> bool:
        """Forget an identity's tokens and what was fetched by them, and have the authorization server forget them.

        :returns: whether they are forgotten everywhere, the store included; why not, is logged.
        :raises mcpcore.LocalProtocolError: if the client's ``auth`` is no :class:`mcpcore.OAuth`.
        """
        return await self._hub.run(self._hub.core.log_out(context=context or self._context), timeout)

    async def list_tools(
        self, *, context: CallContext | None = None, timeout: Seconds = UNSET, cache: CacheName = "use"
    ) -> list[Tool]:
        """List the tools that the server offers this identity, all pages (2026-07-28, "Tools", Listing Tools).

        :param cache: ``"use"`` takes what is fresh from the cache and keeps what is fetched; ``"refresh"`` fetches and
            keeps; ``"bypass"`` only fetches.
        :raises mcpcore.McpError: if it cannot be done.
        """
        return await self._hub.run(self._hub.core.list_tools(context=context or self._context, cache=cache), timeout)

    async def list_resources(
        self, *, context: CallContext | None = None, timeout: Seconds = UNSET, cache: CacheName = "use"
    ) -> list[Resource]:
        """List the server's resources, all pages, as :meth:`list_tools` lists its tools (2026-07-28, "Resources").

        :raises mcpcore.McpError: if it cannot be done.
        """
        operation = self._hub.core.list_resources(context=context or self._context, cache=cache)
        return await self._hub.run(operation, timeout)

    async def list_resource_templates(
        self, *, context: CallContext | None = None, timeout: Seconds = UNSET, cache: CacheName = "use"
    ) -> list[ResourceTemplate]:
        """List the server's resource templates, all pages, as :meth:`list_tools` lists its tools.

        :func:`transports.expand` makes a URI of one (2026-07-28, "Resources", Resource Templates).

        :raises mcpcore.McpError: if it cannot be done.
        """
        operation = self._hub.core.list_resource_templates(context=context or self._context, cache=cache)
        return await self._hub.run(operation, timeout)

    async def list_prompts(
        self, *, context: CallContext | None = None, timeout: Seconds = UNSET, cache: CacheName = "use"
    ) -> list[Prompt]:
        """List the server's prompts, all pages, as :meth:`list_tools` lists its tools (2026-07-28, "Prompts").

        :raises mcpcore.McpError: if it cannot be done.
        """
        operation = self._hub.core.list_prompts(context=context or self._context, cache=cache)
        return await self._hub.run(operation, timeout)

    def iterate(
        self,
        listing: Listing[T],
        *,
        context: CallContext | None = None,
        timeout: Seconds = UNSET,
        cache: CacheName = "use",
    ) -> Items[T]:
        """Iterate over a list whose pages are asked for as they are needed (2026-07-28, "Pagination").

        :param listing: ``mcpcore.TOOLS``, ``RESOURCES``, ``RESOURCE_TEMPLATES``, ``PROMPTS`` or an extension's.
        :param timeout: seconds for each page.
        :returns: what to use as ``async for item in client.iterate(mcpcore.TOOLS)``; it asks for no more than
            ``limits.pages``.
        """
        core = self._hub.core

        async def ask(cursor: str | None) -> Page[T]:
            operation = core.list_page(listing, cursor, context=context or self._context, cache=cache)
            return await self._hub.run(operation, timeout)

        return Items(core.limits, ask)

    async def call_tool(
        self,
        tool: str | Tool,
        arguments: Mapping[str, Any] | None = None,
        *,
        context: CallContext | None = None,
        timeout: Timeout = UNSET,
        on_progress: Callable[[Progress], Any] | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> CallToolResult:
        """Call a tool (2026-07-28, "Tools", Calling Tools).

        :param tool: its name or, where you have it, its definition, which then need not be asked for.
        :param arguments: the tool's arguments, as its ``input_schema`` asks for.
        :param on_progress: is called with each :class:`mcpcore.Progress`, in order, before this returns; plain or
            async.  What it raises ends the call.
        :param input_responses: the answers to a :class:`mcpcore.InputRequiredError` of this very call, by its keys.
        :param request_state: that error's ``request_state``.
        :returns: the result; a tool that failed says so in ``is_error``.
        :raises mcpcore.McpError: if the tool could not be called.
        """
        operation = self._hub.core.call_tool(
            tool,
            arguments,
            context=context or self._context,
            on_progress=_progress_handler(on_progress, timeout),
            input_responses=input_responses,
            request_state=request_state,
        )
        return await self._hub.run(operation, timeout)

    async def read_resource(
        self,
        uri: str,
        *,
        context: CallContext | None = None,
        timeout: Timeout = UNSET,
        on_progress: Callable[[Progress], Any] | None = None,
        cache: CacheName = "use",
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> ReadResourceResult:
        """Read a resource (2026-07-28, "Resources", Reading Resources).

        :param cache: as of :meth:`list_tools`.
        :param on_progress: as of :meth:`call_tool`, as are ``input_responses`` and ``request_state``.
        :raises mcpcore.McpError: if it cannot be read.
        """
        operation = self._hub.core.read_resource(
            uri,
            context=context or self._context,
            on_progress=_progress_handler(on_progress, timeout),
            cache=cache,
            input_responses=input_responses,
            request_state=request_state,
        )
        return await self._hub.run(operation, timeout)

    async def subscribe_resource(
        self, uri: str, *, context: CallContext | None = None, timeout: Seconds = UNSET
    ) -> None:
        """Ask to be told when a resource changes, in the handshake era; what comes of it, :meth:`listen` hears.

        In the modern era one listens to the resource instead (2025-11-25, "Resources", Subscriptions).

        :raises mcpcore.McpError: if it cannot be done.
        """
        await self._hub.run(self._hub.core.subscribe_resource(uri, context=context or self._context), timeout)

    async def unsubscribe_resource(
        self, uri: str, *, context: CallContext | None = None, timeout: Seconds = UNSET
    ) -> None:
        """Ask to be told no more when a resource changes; see :meth:`subscribe_resource`.

        :raises mcpcore.McpError: if it cannot be done.
        """
        await self._hub.run(self._hub.core.unsubscribe_resource(uri, context=context or self._context), timeout)

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        context: CallContext | None = None,
        timeout: Timeout = UNSET,
        on_progress: Callable[[Progress], Any] | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> GetPromptResult:
        """Have a prompt filled in (2026-07-28, "Prompts", Getting a Prompt).

        :param on_progress: as of :meth:`call_tool`, as are ``input_responses`` and ``request_state``.
        :raises mcpcore.McpError: if it cannot be done.
        """
        operation = self._hub.core.get_prompt(
            name,
            arguments,
            context=context or self._context,
            on_progress=_progress_handler(on_progress, timeout),
            input_responses=input_responses,
            request_state=request_state,
        )
        return await self._hub.run(operation, timeout)

    async def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: str,
        value: str,
        *,
        arguments: Mapping[str, str] | None = None,
        context: CallContext | None = None,
        timeout: Seconds = UNSET,
    ) -> CompleteResult:
        """Ask how what has been typed into an argument may go on (2026-07-28, "Completion").

        :param ref: the prompt, or the resource template, whose argument it is.
        :param value: what has been typed.
        :param arguments: those that are filled in already; for revision 2025-06-18 and later.
        :raises mcpcore.McpError: if it cannot be done.
        """
        operation = self._hub.core.complete(ref, argument, value, arguments=arguments, context=context or self._context)
        return await self._hub.run(operation, timeout)

    async def set_log_level(
        self, level: LogLevel, *, context: CallContext | None = None, timeout: Seconds = UNSET
    ) -> None:
        """Have the server log messages of ``level`` and above; the handler for logs gets them.

        In the handshake era this is a request, for the session; in the modern era each further request of the principal
        carries the level.  Without a principal that takes a client whose headers are the same for everybody.

        :raises mcpcore.McpError: if it cannot be done.
        """
        await self._hub.run(self._hub.core.set_log_level(level, context=context or self._context), timeout)

    async def roots_changed(self, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> None:
        """Tell the server that the roots have changed; in the modern era there is nothing to tell.

        :raises mcpcore.McpError: if it cannot be done.
        """
        await self._hub.run(self._hub.core.roots_changed(context=context or self._context), timeout)

    def listen(
        self,
        *,
        tools: bool = False,
        prompts: bool = False,
        resources: bool = False,
        uris: Iterable[str] = (),
        context: CallContext | None = None,
        timeout: Seconds = UNSET,
    ) -> Subscription:
        """Listen to what the server has to tell, as ``async with client.listen(tools=True) as events``.

        What the server asks on that stream is answered by the handlers, in this context.

        :param tools: whether to be told that the list of tools has changed, as ``prompts`` and ``resources`` of theirs.
        :param uris: the resources to be told of.
        :param timeout: how many seconds it may take to open the stream.
        :returns: what to enter; iterating over it gives each event, as it comes.
        """
        operation = self._hub.core.listen(
            tools=tools, prompts=prompts, resources=resources, uris=uris, context=context or self._context
        )
        return Subscription(self._hub.ready(), operation, self._hub.timeout if timeout is UNSET else timeout)

    async def ping(self, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> None:
        """See whether the server answers this identity; in revision 2026-07-28 by ``server/discover``.

        :raises mcpcore.McpError: if it does not.
        """
        await self._hub.run(self._hub.core.ping(context=context or self._context), timeout)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        context: CallContext | None = None,
        timeout: Timeout = UNSET,
        on_progress: Callable[[Progress], Any] | None = None,
        cache: CacheName = "use",
    ) -> dict[str, Any]:
        """Make any request, and return its result as received.

        :param cache: as of :meth:`list_tools`; it matters to lists, ``resources/read`` and ``server/discover``.
        :raises mcpcore.McpError: if there is no result.
        """
        operation = self._hub.core.request(
            method,
            params,
            context=context or self._context,
            on_progress=_progress_handler(on_progress, timeout),
            cache=cache,
        )
        return await self._hub.run(operation, timeout)

    async def notify(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        context: CallContext | None = None,
        timeout: Seconds = UNSET,
    ) -> None:
        """Send any notification; revision 2026-07-28 has none from client to server.

        :raises mcpcore.McpError: if it was not accepted.
        """
        await self._hub.run(self._hub.core.notify(method, params, context=context or self._context), timeout)


@final
class BoundClient(Verbs):
    """A view of a :class:`Client` in one context, made by :meth:`Client.bind`; there is nothing to close."""
