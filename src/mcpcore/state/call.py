"""One call: on whose behalf it is made, and what it holds until it ends.

A call is what a user asked for: list the tools, call one.  It may take many HTTP requests (the probe for the era, a
handshake, pages, retries), and all of them belong to one identity.  That identity is fixed once: by the call's
principal or, without one, by the first headers that are resolved for it; and it stays for the whole call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from mcpcore.rules.freshness import is_sound, lifetime
from mcpcore.signals import Signal
from mcpcore.state.response_cache import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.context import CallContext
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.machines.outbound import Outbound
    from mcpcore.machines.session import Session
    from mcpcore.rules.freshness import CacheKey
    from mcpcore.rules.parameter_headers import MirroredArgument
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.rules.revisions import Revision
    from mcpcore.state.client_state import ClientState
    from mcpcore.state.partitions import Partition
    from mcpcore.state.response_cache import Asked
    from mcpcore.types.discovery import Discovery
    from mcpcore.types.logging import LogLevel
    from mcpcore.types.progress import Progress


@define(eq=False)
class Call:
    """What one call holds.

    :ivar context: what the caller said.
    :ivar on_progress: the caller's handler for progress, or None.
    :ivar sent: the request of the user whose answer is awaited, so that it can be cancelled.
    :ivar last_sent: the request that was sent last, answered or not.
    :ivar may_keep: whether what this call learns or opens may be kept for other calls of its partition.
    :ivar own_session: a session that serves this call alone and ends with it.
    :ivar own_stream: the same for an event stream.
    :ivar may_cache: whether the answer depends on nothing but what was asked.
    :ivar shown: what travels as headers, of the tools whose definition this very call has.
    :ivar answering: the requests of the server's that are being answered, by id.
    :ivar failure: what a handler failed with, beside this call.
    :ivar listens: whether it waits for no answer, but for whatever comes.
    :ivar last_will: a method and its parameters: the request to make if the caller gives up.
    :ivar withdrawn: methods whose answers were withdrawn from the shared store while an answer was awaited.
    :ivar to_withdraw: those that the server has told of again since.
    :ivar told: what the server told about itself while this call searched for its era.
    :ivar resolutions: how many of its resolutions have not been used for a request.
    """

    state: ClientState
    context: CallContext = field(repr=False)
    on_progress: Callable[[Progress], Any] | None = field(default=None, repr=False)
    # Nobody gives what follows.  It is not kept out of the constructor only because that would look each default up.
    sent: Outbound | None = field(default=None, repr=False)
    last_sent: Outbound | None = field(default=None, repr=False)
    may_keep: bool = True
    own_session: Session | None = field(default=None, repr=False)
    own_stream: EventStream | None = field(default=None, repr=False)
    may_cache: bool = True
    shown: dict[str, tuple[MirroredArgument, ...]] = field(init=False, repr=False)
    answering: dict[int | str, Signal] = field(init=False, repr=False)
    failure: Exception | None = field(default=None, repr=False)
    listens: bool = False
    last_will: tuple[str, dict[str, Any]] | None = field(default=None, repr=False)
    withdrawn: frozenset[str] = frozenset()
    to_withdraw: frozenset[str] = frozenset()
    told: Discovery | None = field(default=None, repr=False)
    resolutions: int = 0
    _handshakes: int = 0
    _server_requests: int = 0
    _partition: Partition | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        # Not by ``dict[...]``: there are many calls, and calling that takes five times as long as the dict itself.
        self.shown, self.answering = {}, {}

    @property
    def is_settled(self) -> bool:
        """Whether it is known whose call this is."""
        return self._partition is not None

    @property
    def partition(self) -> Partition:
        """The partition of the call's identity; there is one as soon as any headers were resolved."""
        assert self._partition is not None
        return self._partition

    @property
    def log_level(self) -> LogLevel | None:
        """From which level on it wants messages logged, where each request says so and somebody takes them."""
        return self.state.log_level if self.context.principal is None else self.partition.log_level

    def mirrored(self, tool: str) -> tuple[MirroredArgument, ...]:
        """What travels as headers when ``tool`` is called: as the caller knows it, else as the identity was shown."""
        own = self.shown.get(tool)
        return self.partition.mirrored.find(tool) if own is None else own

    def count_server_request(self) -> None:
        """Take note that the server asked for something while this call waited for its answer.

        :raises LimitExceeded: if it has done so too often.
        """
        self._server_requests += 1
        if self._server_requests > self.state.limits.server_requests:
            raise self.state.limits.exceeded("server_requests", "the server asks too much before it answers")

    def begin_to_answer(self, request_id: int | str) -> Signal:
        """Take note that a request of the server's is being answered; the signal is raised if it is withdrawn."""
        withdrawn = self.answering[request_id] = Signal()
        return withdrawn

    def answered(self, request_id: int | str) -> None:
        """Take note that it no longer is."""
        self.answering.pop(request_id, None)
        self.server_request_done()

    def server_request_done(self) -> None:
        """Take note that one of those was answered.

        Who waits for an answer has had enough after so many in all; who listens for as long as it pleases, only if so
        many are unanswered.
        """
        self._server_requests -= self.listens

    def take_breath(self) -> None:
        """Take note that the server is well: how often it forgot what was agreed on counts from here anew."""
        self._handshakes = 0

    def count_handshake(self) -> None:
        """Take note that the call is about to open a session or a stream, or to search for the era.

        :raises LimitExceeded: if it has done so too often.
        """
        self._handshakes += 1
        if self._handshakes > self.state.limits.handshakes:
            raise self.state.limits.exceeded("handshakes", "the server keeps forgetting what it agreed on")

    def begin(self) -> None:
        """Start the call: a principal, or the call that it is the heir of, says at once whose it is."""
        self.state.counters.calls += 1
        partition, principal = self._partition, self.context.principal
        if partition is None and principal is not None:
            partition = self.state.partitions.of_principal(principal)
        if partition is not None:
            self._settle(partition)

    def forget(self, outbound: Outbound) -> None:
        """Wait for the answer to ``outbound`` no more."""
        if self.sent is outbound:
            self.sent = None

    def child(self) -> Call:
        """Another call of the same identity, for what is to be done beside this one."""
        return Call.of(self.state, self.context, self._partition)

    def heir(self) -> Call:
        """Another call of the same identity, which takes over what has to be ended in order."""
        heir = self.child()
        heir.own_session, self.own_session = self.own_session, None
        return heir

    @classmethod
    def of(cls, state: ClientState, context: CallContext, partition: Partition | None) -> Call:
        """A call whose partition is known beforehand."""
        call = cls(state, context)
        call._partition = partition
        return call

    def settle(self, resolution: Resolution) -> None:
        """Fix the identity of a call without a principal by its first resolution."""
        if self._partition is not None:
            return
        partitions = self.state.partitions
        if self.state.opaque_identity:
            self._settle(partitions.of_nobody())
        else:
            self._settle(partitions.of_identity(resolution.identity()))

    def note_identity(self, resolution: Resolution) -> None:
        """Take note of the headers that an answered request carried.

        Without a principal they are all that tells identities apart.  Once they show another one than the call was
        settled on, as after a 401, nothing that this call learns or opens is kept for others.
        """
        partition = self.partition
        if partition.principal is None and self.may_keep:
            self.may_keep = partition.key is not None and (
                self.state.is_static or partition.key == self.state.partitions.identity_key(resolution.identity())
            )

    def keep(self, revision: Revision, key: CacheKey, result: dict[str, Any], asked: Asked) -> Entry | None:
        """Keep a result for the identity that it was fetched for, if that may be done.

        :returns: what is kept.
        """
        if not (self.may_keep and self.may_cache and self.partition.is_kept and self.state.caching.is_on):
            return None
        state, now = self.state, self.state.partitions.now()
        ttl = lifetime(result, revision, state.caching.default_ttl, state.limits.cache_age)
        entry = Entry.of([result], asked.at, now + ttl) if ttl > 0 and is_sound(key[0], result) else None
        return entry if self.partition.cache.keep(key, entry, asked, now) else None

    def _settle(self, partition: Partition) -> None:
        self.state.partitions.claim(partition)
        self._partition = partition

    def release(self) -> None:
        """End the call: nothing of it stays behind."""
        state, partition = self.state, self._partition
        counters = state.counters
        counters.calls -= 1
        counters.unused_resolutions += self.resolutions
        if partition is not None:
            state.partitions.release(partition)
            if partition.stream is not None and partition.users == 0 and state.stream_places.is_wanted:
                partition.stream.close()
        if self.own_stream is not None:
            self.own_stream.close()
            self.own_stream = None
