"""What one client holds: its configuration, which never changes, and what it has learned about its server.

Everything learned on behalf of an identity is in that identity's partition.  What is left to share between identities
is the *verdict* (how the server is to be spoken to), the counter of request ids and, where the user allows it, those
lists that the server calls public.
"""

from __future__ import annotations

from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import Factory, define, field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.rules.capabilities import client_capabilities
from mcpcore.rules.metadata import RequestMeta, request_meta
from mcpcore.rules.revisions import Era, Revision
from mcpcore.rules.trace_context import ask_trace
from mcpcore.state.flights import Runway
from mcpcore.state.places import Places
from mcpcore.state.response_cache import ResponseCache
from mcpcore.statistics import Counters, Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mcpcore.extensions import Extension
    from mcpcore.handlers import Handlers
    from mcpcore.limits import Limits
    from mcpcore.machines.channel import DuplexChannel
    from mcpcore.oauth.provider import ClientAuth
    from mcpcore.rules.endpoint import Endpoint
    from mcpcore.rules.output_schemas import OutputValidator
    from mcpcore.rules.pipeline import HeaderPipeline
    from mcpcore.rules.trace_context import TraceHook
    from mcpcore.state.partitions import Partitions
    from mcpcore.types.logging import LogLevel


class Transport(Enum):
    """Which HTTP transports a client tries."""

    HTTP = "http"
    """Streamable HTTP, modern era first, then the handshake era."""
    SSE = "sse"
    """HTTP+SSE of 2024-11-05 alone."""
    AUTO = "auto"
    """Streamable HTTP, then HTTP+SSE."""


class Redirects(Enum):
    """Which redirects are followed."""

    NEVER = "never"
    SAME_ORIGIN = "same-origin"
    """307 and 308 to the endpoint's own origin."""


@frozen
class Verdict:
    """How the server is to be spoken to.

    :ivar revision: the revision, in the modern era; in the handshake era what was negotiated last, by anybody.
    :ivar http_sse: whether over HTTP+SSE instead of Streamable HTTP.
    """

    revision: Revision
    http_sse: bool = False

    @property
    def is_modern(self) -> bool:
        """Whether there is no handshake."""
        return self.revision.era is Era.MODERN


@frozen(kw_only=True)
class Caching:
    """How answers are cached.

    :ivar is_on: whether they are at all, for which a client needs a clock.
    :ivar default_ttl: how many seconds an answer without hints is kept, in revisions that have none.
    :ivar share_public: whether identities share lists that are public as a whole.
    :ivar shared_store: whether there is a store to ask, which several clients share.
    """

    is_on: bool = False
    default_ttl: float = 0.0
    share_public: bool = False
    shared_store: bool = False


@define(kw_only=True, eq=False)
class ClientState:
    """What one client holds.

    :ivar is_static: whether every request gets the same headers, whoever makes it, but for what a principal gets.
    :ivar output_validator: makes what checks structured results, or None if they are not checked.
    :ivar auth: what authorizes requests, or None.
    :ivar trace_hook: says which trace a message belongs to, or None if that is not told.
    :ivar public: the public lists that identities share.
    :ivar log_level: from which level on calls without a principal want messages logged.
    :ivar over_channel: whether the server is at the other end of a channel, and not spoken to over HTTP.
    :ivar channel: the channel that was opened last.
    :ivar fruitless_channels: how many channels in a row were opened and could not be used.
    :ivar is_closed: whether nothing is to be opened any more.
    """

    endpoint: Endpoint
    transport: Transport
    pipeline: HeaderPipeline = field(repr=False)
    limits: Limits = field(repr=False)
    redirects: Redirects
    client_info: Mapping[str, Any]
    handlers: Handlers
    extensions: Mapping[str, Extension]
    jitter: Callable[[], float]
    pinned: Revision | None
    opaque_identity: bool
    caching: Caching
    partitions: Partitions = field(repr=False)
    stream_places: Places = field(repr=False)
    output_validator: OutputValidator | None = field(default=None, repr=False)
    auth: ClientAuth | None = field(default=None, repr=False)
    is_static: bool = True
    trace_hook: TraceHook | None = field(default=None, repr=False)
    verdict: Verdict | None = None
    over_channel: bool = False
    channel: DuplexChannel | None = field(default=None, init=False)
    fruitless_channels: int = field(default=0, init=False)
    is_closed: bool = field(default=False, init=False)
    probing: Runway = field(factory=Runway, repr=False)
    counters: Counters = field(factory=Counters, init=False, repr=False)
    public: ResponseCache = field(
        default=Factory(lambda self: ResponseCache(self.partitions.named_budget), takes_self=True),
        init=False,
        repr=False,
    )
    log_level: LogLevel | None = field(default=None, init=False)
    _capabilities: dict[str, Mapping[str, Any]] = field(factory=dict[str, "Mapping[str, Any]"], init=False, repr=False)
    _request_meta: dict[str, RequestMeta] = field(factory=dict[str, "RequestMeta"], init=False, repr=False)
    _ids: Iterator[int] = field(factory=lambda: count(1), init=False, repr=False)

    def capabilities(self, revision: Revision) -> Mapping[str, Any]:
        """What the client declares to be able to do, in ``revision``."""
        if revision.name not in self._capabilities:
            settings = {name: extension.settings for name, extension in self.extensions.items()}
            self._capabilities[revision.name] = client_capabilities(self.handlers, settings, revision)
        return self._capabilities[revision.name]

    @property
    def known_verdict(self) -> Verdict | None:
        """How the server is to be spoken to, if that is known; on a channel it is asked again of each."""
        return None if self.over_channel else self.verdict

    def request_meta(self, revision: Revision) -> RequestMeta:
        """What each request says about the client, in ``revision`` of the modern era.

        :raises LocalProtocolError: if that cannot be written as JSON.
        """
        if revision.name not in self._request_meta:
            self._request_meta[revision.name] = request_meta(revision, self.client_info, self.capabilities(revision))
        return self._request_meta[revision.name]

    def trace(self) -> Mapping[str, str]:
        """What a message made now is to say of the trace that it belongs to.

        :raises LocalProtocolError: if the user's hook fails.
        """
        return {} if self.trace_hook is None else ask_trace(self.trace_hook)

    def routing_name(self, method: str, params: Mapping[str, Any]) -> str | None:
        """What a request of an extension's is about, if the extension says that this travels as a header."""
        parameter = next((e.names[method] for e in self.extensions.values() if method in e.names), None)
        return None if parameter is None else as_text(params.get(parameter))

    def next_id(self) -> int:
        """A request id that this client has not used before."""
        return next(self._ids)

    def record(self, verdict: Verdict) -> None:
        """Take note how the server is to be spoken to; what it said in another way no longer counts."""
        if self.verdict not in (None, verdict):
            self.forget_answers()
        self.verdict = verdict

    def caches(self) -> list[ResponseCache]:
        """What is kept of answers: the public ones, and each identity's."""
        return [self.public, *(partition.cache for partition in self.partitions.all())]

    def close_channel(self) -> None:
        """Close the channel, if there is one, and open none from now on."""
        self.is_closed = True
        if self.channel is not None:
            self.channel.close()

    def forget_answers(self) -> None:
        """Drop every answer that is kept."""
        now = self.partitions.now()
        for cache in self.caches():
            cache.clear(now)

    def statistics(self) -> Statistics:
        """The client in numbers."""
        partitions, counters = self.partitions, self.counters
        budgets = (partitions.named_budget, partitions.anonymous_budget)
        return Statistics(
            calls=counters.calls,
            partitions=partitions.named,
            anonymous_partitions=partitions.anonymous,
            sessions=sum(partition.session is not None for partition in partitions.all()),
            streams=self.limits.streams - self.stream_places.free,
            cache_entries=sum(map(len, budgets)),
            cache_bytes=sum(budget.bytes for budget in budgets),
            cache_hits=counters.cache_hits,
            cache_misses=counters.cache_misses,
            evictions=partitions.evictions + sum(budget.evictions for budget in budgets),
            unused_resolutions=counters.unused_resolutions,
            ignored_messages=counters.ignored_messages,
        )
