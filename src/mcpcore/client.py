"""The front of the pure half: one MCP endpoint, and what can be asked of it.

A :class:`Client` holds what it was configured with and what it has learned, by identity.  Each of its methods starts
one call, and returns it as an :class:`~mcpcore.operation.Operation` for a driver to drive.  Nothing is sent, and no
resolver is asked, before the first ``next_command``.

A client belongs to one event loop, or one thread; it is neither thread-safe nor fork-safe.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, TypeVar, final

from mcpcore.context import CallContext
from mcpcore.errors import ConfigurationError, LocalProtocolError
from mcpcore.handlers import Handlers
from mcpcore.limits import Limits
from mcpcore.machines.session import terminate
from mcpcore.operation import Operation
from mcpcore.redaction import repr_of_name
from mcpcore.rules.digests import Digester
from mcpcore.rules.endpoint import Endpoint
from mcpcore.rules.freshness import CacheMode
from mcpcore.rules.metadata import rpc_name
from mcpcore.rules.pipeline import HeaderPipeline
from mcpcore.rules.revisions import revision_named
from mcpcore.state.call import Call
from mcpcore.state.client_state import ClientState, Redirects, Transport
from mcpcore.state.options import (
    auth_of,
    by_name,
    caching_of,
    checked_client_info,
    checked_digest_key,
    choice,
    fixed_verdict,
    no_jitter,
    no_time,
    resolvers_of,
    user_agent,
)
from mcpcore.state.partitions import Partitions
from mcpcore.state.places import Places
from mcpcore.types.subscriptions import SubscriptionFilter
from mcpcore.types.wire import WireObject
from mcpcore.verbs import rpc
from mcpcore.verbs.authorization import log_in, log_out
from mcpcore.verbs.listening import LISTEN, listen
from mcpcore.verbs.listing import list_all, list_page
from mcpcore.verbs.logging import set_log_level
from mcpcore.verbs.prompts import PROMPTS, complete, get_prompt
from mcpcore.verbs.resources import RESOURCE_TEMPLATES, RESOURCES, read_resource, subscribe
from mcpcore.verbs.roots import roots_changed
from mcpcore.verbs.tools import TOOLS, call_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcpcore.context import Resolver
    from mcpcore.extensions import Extension
    from mcpcore.machines.session import Session
    from mcpcore.oauth.provider import AuthProvider, Login
    from mcpcore.rules.output_schemas import OutputValidator
    from mcpcore.rules.trace_context import TraceHook
    from mcpcore.statistics import Statistics
    from mcpcore.types.completion import CompleteResult, PromptReference, ResourceTemplateReference
    from mcpcore.types.discovery import Discovery
    from mcpcore.types.logging import LogLevel
    from mcpcore.types.progress import Progress
    from mcpcore.types.prompts import GetPromptResult, Prompt
    from mcpcore.types.resources import ReadResourceResult, Resource, ResourceTemplate
    from mcpcore.types.tools import CallToolResult, Tool
    from mcpcore.verbs.listing import Listing, Page

    CacheName = Literal["use", "refresh", "bypass"]
    TransportName = Literal["http", "sse", "auto"]
    RedirectPolicy = Literal["never", "same-origin"]

T = TypeVar("T")

_log = logging.getLogger("mcpcore")
_NOBODY = CallContext()
_OWN_METHODS = frozenset({"initialize", "notifications/initialized", "notifications/cancelled", "subscriptions/listen"})


@final
class Client:
    """One MCP endpoint, used on behalf of any number of identities.

    :param url: the server's URL, http or https, without userinfo.
    :param type: which transports to try: ``"http"`` (Streamable HTTP), ``"sse"`` (HTTP+SSE of 2024-11-05), or
        ``"auto"`` (the one, then the other).
    :param headers: static headers, sent with every request.
    :param auth_token: a static bearer token, short for an ``Authorization`` header.
    :param get_headers: a resolver, or several, asked for headers for each single request; see
        :class:`~mcpcore.context.RequestContext`.
    :param auth: authorizes each request: an :class:`~mcpcore.oauth.oauth.OAuth`, a
        :class:`~mcpcore.oauth.provider.BearerAuth`, or a provider of your own; needs a ``wall_clock``.
    :param forward: which of a call's ``request_headers`` are sent on, by name.
    :param protocol_version: the one revision to speak; None finds out.
    :param limits: the client's bounds.
    :param redirects: ``"same-origin"`` follows 307 and 308 within the endpoint's origin; ``"never"`` none.
    :param allow_insecure_http: whether headers may go over plain http to another machine.
    :param client_info: what the client calls itself: at least ``name`` and ``version``.
    :param digest_key: the secret that identities are hashed with, at least 16 bytes; drawn at random if None.
    :param opaque_identity: whether requests may carry an identity that resolvers do not show; calls without a principal
        then share nothing.
    :param clock: tells the time, in seconds from any beginning, and never goes back.  Without one no answer is cached,
        and no identity's state is let go for being idle.
    :param default_ttl: how many seconds a list, or what was read of a resource, is kept where the protocol's revision
        gives servers no way to say so; 0 for not at all.
    :param share_public: whether identities share the lists that the server calls public.
    :param shared_store: whether the driver has a store that this client shares with others; needs a ``digest_key`` that
        those others have, too.
    :param handlers: what the client offers its server: to ask a person or a model, say.
    :param extensions: which extensions of the protocol the client speaks.
    :param jitter: draws a number from 0 to 1, by which pauses before a next try differ between clients; without one
        they do not.
    :param output_validator: makes what checks the structured results of tools against the schemas that these promise,
        see :data:`~mcpcore.rules.output_schemas.OutputValidator`; without one they are not checked.
    :param wall_clock: tells the time in seconds since 1970, which ``auth`` needs.
    :param entropy: draws so many random bytes; the operating system's if None.
    :param trace: is asked for each message which trace it belongs to, by ``traceparent``, ``tracestate`` and
        ``baggage``, which then go into its ``_meta`` and its headers.
    :raises ConfigurationError: if the configuration can never work.
    """

    def __init__(
        self,
        url: str,
        *,
        type: TransportName = "http",
        headers: Mapping[str, str] | None = None,
        auth_token: str | None = None,
        auth: AuthProvider | None = None,
        get_headers: Resolver | Sequence[Resolver] | None = None,
        forward: Iterable[str] = (),
        protocol_version: str | None = None,
        limits: Limits | None = None,
        redirects: RedirectPolicy = "never",
        allow_insecure_http: bool = False,
        client_info: Mapping[str, Any] | None = None,
        digest_key: bytes | None = None,
        opaque_identity: bool = False,
        clock: Callable[[], float] | None = None,
        default_ttl: float = 0.0,
        share_public: bool = False,
        shared_store: bool = False,
        handlers: Handlers | None = None,
        extensions: Iterable[Extension] = (),
        jitter: Callable[[], float] | None = None,
        output_validator: OutputValidator | None = None,
        wall_clock: Callable[[], float] | None = None,
        entropy: Callable[[int], bytes] | None = None,
        trace: TraceHook | None = None,
    ) -> None:
        endpoint = Endpoint.parse(url)
        self.limits: Limits = limits or Limits()
        try:
            transport, redirection = choice(Transport, "type", type), choice(Redirects, "redirects", redirects)
            pinned = None if protocol_version is None else revision_named(protocol_version)
            verdict, resolvers = fixed_verdict(transport, pinned), resolvers_of(get_headers)
            known = by_name(extensions)
            caching = caching_of(clock, default_ttl, share_public, shared_store)
            if shared_store and digest_key is None:
                raise ConfigurationError("a shared store needs a digest_key, the same in every client that shares it")
        except ConfigurationError as error:
            error.located(endpoint.name, "")
            raise
        pipeline = HeaderPipeline.configure(
            endpoint,
            user_agent=user_agent(),
            headers=headers,
            auth_token=auth_token,
            resolvers=resolvers,
            forward=forward,
            allow_insecure_http=allow_insecure_http,
            has_auth=auth is not None,
        )
        known_auth = auth_of(auth, pipeline, self.limits, wall_clock, entropy)
        is_static = pipeline.is_static and not (known_auth is not None and known_auth.provider.shows_identity)
        self._state = ClientState(
            endpoint=endpoint,
            transport=transport,
            pipeline=pipeline,
            limits=self.limits,
            redirects=redirection,
            client_info=checked_client_info(client_info),
            handlers=handlers or Handlers(),
            extensions=known,
            jitter=jitter or no_jitter,
            pinned=pinned,
            opaque_identity=opaque_identity,
            is_static=is_static,
            caching=caching,
            partitions=Partitions(Digester(checked_digest_key(digest_key)), self.limits, clock or no_time, is_static),
            stream_places=Places(self.limits.streams),
            output_validator=output_validator,
            auth=known_auth,
            trace_hook=trace,
            verdict=verdict,
        )

    @classmethod
    def over_channel(
        cls,
        name: str,
        *,
        protocol_version: str | None = None,
        limits: Limits | None = None,
        client_info: Mapping[str, Any] | None = None,
        clock: Callable[[], float] | None = None,
        default_ttl: float = 0.0,
        share_public: bool = False,
        handlers: Handlers | None = None,
        extensions: Iterable[Extension] = (),
        output_validator: OutputValidator | None = None,
        trace: TraceHook | None = None,
    ) -> Client:
        """A client of a server at the other end of a duplex channel, such as a process's standard streams.

        Its operations ask for ``OpenChannel`` and ``SendMessage``, not for ``SendRequest``.  A channel has no
        headers, so there is nothing to resolve, and the server can't tell identities apart.

        :param name: what to call the server in errors.
        :raises ConfigurationError: if the configuration can never work.
        """
        endpoint = Endpoint.of_channel(name)
        try:
            pinned = None if protocol_version is None else revision_named(protocol_version)
            caching, known = caching_of(clock, default_ttl, share_public, False), by_name(extensions)
            info = checked_client_info(client_info)
        except ConfigurationError as error:
            raise error.located(name, "") from None
        client = cls.__new__(cls)
        client.limits = bounds = limits or Limits()
        client._state = ClientState(
            endpoint=endpoint,
            transport=Transport.HTTP,
            pipeline=HeaderPipeline.configure(endpoint, user_agent=""),
            limits=bounds,
            redirects=Redirects.NEVER,
            client_info=info,
            handlers=handlers or Handlers(),
            extensions=known,
            jitter=no_jitter,
            pinned=pinned,
            opaque_identity=False,
            caching=caching,
            partitions=Partitions(Digester(checked_digest_key(None)), bounds, clock or no_time),
            stream_places=Places(bounds.streams),
            output_validator=output_validator,
            trace_hook=trace,
            over_channel=True,
        )
        return client

    def __repr__(self) -> str:
        return f"<Client of {self._state.endpoint.name}>"

    @property
    def opaque_identity(self) -> bool:
        """Whether requests may carry an identity that resolvers do not show; may be set, for the calls that follow."""
        return self._state.opaque_identity

    @opaque_identity.setter
    def opaque_identity(self, is_opaque: bool) -> None:
        self._state.opaque_identity = is_opaque

    @property
    def server(self) -> str:
        """The server's origin and path."""
        return self._state.endpoint.name

    def open(self, *, context: CallContext = _NOBODY) -> Operation[Discovery]:
        """Do now what an identity's first call would do first: find the era, and open a session if there are any."""
        call = self._call(context)
        return Operation("open", call, rpc.open_(call))

    def log_in(
        self, *, context: CallContext = _NOBODY, scopes: Iterable[str] = (), anew: bool = False
    ) -> Operation[Login]:
        """Get an identity what it takes to be let in, by the client's ``auth``, unless it has that.

        The server is asked first what it wants.  One that wants nothing yet is asked who may issue its tokens.

        :param scopes: to be asked for, besides what the server wants.
        :param anew: whether to have a token granted although there is one, which counts until then.
        :raises OAuthError: if nothing can be had.
        :raises LocalProtocolError: if the client's ``auth`` is no ``OAuth``, or other ``LoginProvider``.
        """
        call = self._call(context)
        return Operation("log in", call, log_in(call, tuple(scopes), anew=anew))

    def log_out(self, *, context: CallContext = _NOBODY) -> Operation[bool]:
        """Forget an identity's tokens and what was fetched by them, and have the authorization server forget them.

        :returns: whether they are forgotten everywhere, the store included; why not, is logged.
        :raises LocalProtocolError: if the client's ``auth`` is no :class:`~mcpcore.oauth.oauth.OAuth`.
        """
        call = self._call(context)
        return Operation("log out", call, log_out(call))

    def list_tools(self, *, context: CallContext = _NOBODY, cache: CacheName = "use") -> Operation[list[Tool]]:
        """List the tools that the server offers this identity, all pages (2026-07-28, "Tools", Listing Tools).

        A definition that cannot be used is left out with a warning.

        :param cache: ``"use"`` takes what is fresh from the cache and keeps what is fetched; ``"refresh"`` fetches and
            keeps; ``"bypass"`` only fetches.
        """
        return self._list(TOOLS, context, cache)

    def list_resources(self, *, context: CallContext = _NOBODY, cache: CacheName = "use") -> Operation[list[Resource]]:
        """List the server's resources, as :meth:`list_tools` lists its tools (2026-07-28, "Resources")."""
        return self._list(RESOURCES, context, cache)

    def list_resource_templates(
        self, *, context: CallContext = _NOBODY, cache: CacheName = "use"
    ) -> Operation[list[ResourceTemplate]]:
        """List the server's resource templates, as :meth:`list_tools` lists its tools (2026-07-28, "Resources")."""
        return self._list(RESOURCE_TEMPLATES, context, cache)

    def list_prompts(self, *, context: CallContext = _NOBODY, cache: CacheName = "use") -> Operation[list[Prompt]]:
        """List the server's prompts, as :meth:`list_tools` lists its tools (2026-07-28, "Prompts")."""
        return self._list(PROMPTS, context, cache)

    def list_page(
        self,
        listing: Listing[T],
        cursor: str | None = None,
        *,
        context: CallContext = _NOBODY,
        cache: CacheName = "use",
    ) -> Operation[Page[T]]:
        """Ask for one page of a list: the first, or that of ``cursor`` (2026-07-28, "Pagination").

        :param listing: :data:`TOOLS`, :data:`RESOURCES`, :data:`RESOURCE_TEMPLATES` or :data:`PROMPTS`.
        """
        call = self._call(context)
        return Operation(listing.method, call, list_page(call, listing, cursor, self._cache_mode(cache)))

    def call_tool(
        self,
        tool: str | Tool,
        arguments: Mapping[str, Any] | None = None,
        *,
        context: CallContext = _NOBODY,
        on_progress: Callable[[Progress], Any] | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> Operation[CallToolResult]:
        """Call a tool (2026-07-28, "Tools", Calling Tools).

        :param tool: its name or, where you have it, its definition, which then need not be asked for.
        :param on_progress: is called with each :class:`~mcpcore.types.progress.Progress`, in order, before the call
            returns; may be an async function.
        :param input_responses: the answers to an :class:`~mcpcore.errors.InputRequiredError`, by its keys.
        :param request_state: that error's ``request_state``.
        """
        call = self._call(context, on_progress)
        name, definition = (tool, None) if isinstance(tool, str) else (tool.name, tool)
        params: dict[str, Any] = {"name": name}
        if input_responses is not None or request_state is not None:
            params |= _round(input_responses, request_state)
        if arguments is not None:
            params["arguments"] = dict(arguments)
        return Operation(f"tools/call {name!r}", call, call_tool(call, params, definition), target=name)

    def read_resource(
        self,
        uri: str,
        *,
        context: CallContext = _NOBODY,
        on_progress: Callable[[Progress], Any] | None = None,
        cache: CacheName = "use",
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> Operation[ReadResourceResult]:
        """Read a resource (2026-07-28, "Resources", Reading Resources).

        :param cache: as of :meth:`list_tools`.
        :param on_progress: as of :meth:`call_tool`, as are ``input_responses`` and ``request_state``.
        """
        call = self._call(context, on_progress)
        params = {"uri": uri, **_round(input_responses, request_state)}
        return Operation(
            f"resources/read {repr_of_name(uri)}",
            call,
            read_resource(call, params, self._cache_mode(cache)),
            target=uri,
        )

    def subscribe_resource(self, uri: str, *, context: CallContext = _NOBODY) -> Operation[None]:
        """Ask to be told when a resource changes, in the handshake era; what comes of it, :meth:`listen` hears.

        The modern era has no such request: there one listens to the resource (2025-11-25, "Resources", Subscriptions).
        """
        call = self._call(context)
        return Operation("resources/subscribe", call, subscribe(call, "resources/subscribe", uri), target=uri)

    def unsubscribe_resource(self, uri: str, *, context: CallContext = _NOBODY) -> Operation[None]:
        """Ask to be told no more when a resource changes; see :meth:`subscribe_resource`."""
        call = self._call(context)
        return Operation("resources/unsubscribe", call, subscribe(call, "resources/unsubscribe", uri), target=uri)

    def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        context: CallContext = _NOBODY,
        on_progress: Callable[[Progress], Any] | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> Operation[GetPromptResult]:
        """Have a prompt filled in (2026-07-28, "Prompts", Getting a Prompt).

        :param on_progress: as of :meth:`call_tool`, as are ``input_responses`` and ``request_state``.
        """
        call = self._call(context, on_progress)
        params: dict[str, Any] = {"name": name, **_round(input_responses, request_state)}
        if arguments is not None:
            params["arguments"] = dict(arguments)
        return Operation(f"prompts/get {name!r}", call, get_prompt(call, params), target=name)

    def complete(
        self,
        ref: PromptReference | ResourceTemplateReference,
        argument: str,
        value: str,
        *,
        arguments: Mapping[str, str] | None = None,
        context: CallContext = _NOBODY,
    ) -> Operation[CompleteResult]:
        """Ask how what has been typed into an argument may go on (2026-07-28, "Completion").

        :param ref: the prompt, or the resource template, whose argument it is.
        :param value: what has been typed.
        :param arguments: those that are filled in already; for revision 2025-06-18 and later.
        """
        call = self._call(context)
        params: dict[str, Any] = {"ref": ref.to_json(), "argument": {"name": argument, "value": value}}
        if arguments:
            params["context"] = {"arguments": dict(arguments)}
        return Operation("completion/complete", call, complete(call, params))

    def set_log_level(self, level: LogLevel, *, context: CallContext = _NOBODY) -> Operation[None]:
        """Have the server log messages of ``level`` and above; :attr:`Handlers.log` gets them.

        In the handshake era this is a request, for the session; in the modern era each further request of the principal
        carries the level.  Without a principal that takes a client whose headers are the same for everybody.
        """
        call = self._call(context)
        return Operation("logging/setLevel", call, set_log_level(call, level))

    def roots_changed(self, *, context: CallContext = _NOBODY) -> Operation[None]:
        """Tell the server that the roots have changed, in the handshake era (2025-11-25, "Roots").

        In the modern era there is nothing to tell: a server asks anew whenever it needs them.
        """
        call = self._call(context)
        return Operation("notifications/roots/list_changed", call, roots_changed(call))

    def ping(self, *, context: CallContext = _NOBODY) -> Operation[None]:
        """See whether the server answers this identity.

        Revision 2026-07-28 has no ``ping``; there it is ``server/discover`` that must be answered.
        """
        call = self._call(context)
        return Operation("ping", call, rpc.ping(call))

    def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        context: CallContext = _NOBODY,
        on_progress: Callable[[Progress], Any] | None = None,
        cache: CacheName = "use",
    ) -> Operation[dict[str, Any]]:
        """Make any request, and return its result as received.

        :param cache: as of :meth:`list_tools`; it matters to lists, ``resources/read`` and ``server/discover``.
        :raises LocalProtocolError: if the method is one that the client sends by itself.
        """
        call, mode = self._call(context, on_progress), self._cache_mode(cache)
        asked = dict(params or {})
        flow = rpc.request(call, self._public(method), asked, mode)
        return Operation(method, call, flow, target=rpc_name(method, asked))

    def notify(
        self, method: str, params: Mapping[str, Any] | None = None, *, context: CallContext = _NOBODY
    ) -> Operation[None]:
        """Send any notification; the modern era has none from client to server.

        :raises LocalProtocolError: if the method is one that the client sends by itself.
        """
        call = self._call(context)
        return Operation(method, call, rpc.notify(call, self._public(method), dict(params or {})))

    def listen(
        self,
        *,
        tools: bool = False,
        prompts: bool = False,
        resources: bool = False,
        uris: Iterable[str] = (),
        context: CallContext = _NOBODY,
    ) -> Operation[None]:
        """Listen to what the server has to tell (2026-07-28, "Subscriptions").

        The operation hands out what it hears, by :class:`~mcpcore.commands.Emit`: an
        :class:`~mcpcore.types.subscriptions.Acknowledged` first, and then each event, as it comes.  It is over when the
        server ends the stream in order.

        :param tools: whether to be told that the list of tools has changed, as ``prompts`` and ``resources`` of theirs.
        :param uris: the resources to be told of.
        """
        call = self._call(context)
        wanted = SubscriptionFilter(tools=tools, prompts=prompts, resources=resources, uris=uris)
        return Operation(LISTEN, call, listen(call, wanted))

    def statistics(self) -> Statistics:
        """What the client holds and has done, in numbers."""
        return self._state.statistics()

    def close(self) -> list[Operation[None]]:
        """Forget every identity and end what the server holds for them.

        A call that is still in flight, or begins after this, serves itself alone and leaves nothing behind.

        :returns: one operation for each session to end.  Drive them all, within ``limits.goodbye`` seconds together;
            leaving them undone harms nobody but the server.
        """
        partitions = self._state.partitions
        sessions = list(partitions.retired)
        for partition in partitions.all():
            partition.close_stream()
            if partition.session is not None and partitions.can_end(partition):
                sessions.append((partition.principal, partition.session))
        partitions.close()
        self._state.close_channel()
        self._state.public.clear(partitions.now())
        return [self._goodbye(principal, session) for principal, session in sessions]

    def _list(self, listing: Listing[T], context: CallContext, cache: CacheName) -> Operation[list[T]]:
        call = self._call(context)
        return Operation(listing.method, call, list_all(call, listing, self._cache_mode(cache)))

    def _goodbye(self, principal: str | None, session: Session) -> Operation[None]:
        call = Call.of(self._state, CallContext(principal=principal), self._state.partitions.of_nobody())
        return Operation("the end of a session", call, terminate(call, session))

    def _cache_mode(self, name: str) -> CacheMode:
        try:
            return choice(CacheMode, "cache", name)
        except ConfigurationError as error:
            raise error.located(self.server, "") from None

    def _call(self, context: CallContext, on_progress: Callable[[Progress], Any] | None = None) -> Call:
        return Call(self._state, context, on_progress)

    def _public(self, method: str) -> str:
        if method in _OWN_METHODS:
            why = "the client sends this itself, when it is due; to listen, use listen()"
            raise LocalProtocolError(why, server=self.server, request=method)
        return method


def _round(input_responses: Mapping[str, Any] | None, request_state: str | None) -> dict[str, Any]:
    """What a request carries that was answered by a wish for input before (2026-07-28, "Multi Round-Trip Requests")."""
    more: dict[str, Any] = {}
    if input_responses is not None:
        more["inputResponses"] = {
            key: response.to_json() if isinstance(response, WireObject) else response
            for key, response in input_responses.items()
        }
    if request_state is not None:
        more["requestState"] = request_state
    return more
