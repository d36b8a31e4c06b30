"""Whose state is whose: partitions, and how a call finds its own.

Everything that a server said on behalf of one identity (its session, its event stream, what discovery told) is held in
that identity's *partition* and nowhere else, so one identity's call has no way to reach another's state.  A partition
is found by its key:

* a call with a principal: a keyed hash of the principal, which stays the same while tokens rotate;
* a call without one: a keyed hash of the identity that its first resolution shows;
* where even that cannot be seen: no key at all, and a partition that nobody else will find.

Keys are hashed with domain separation, so that no principal collides with any header, and the hash's secret is the
client's own, so that a key tells nothing about a token.  Tokens are not stored.

Both kinds live in bounded stores of their own, least recently used first out, so minted tokens can push out other
minted tokens but never a principal.  One that has been idle for long goes, too.  A partition in use stays.

When a partition goes, its session stays behind on the server.  It could be ended only by a request in the name of
somebody who is not calling; so it is remembered, and ended when the client is closed.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from attrs import define, field

from mcpcore.rules.output_schemas import OutputSchemas
from mcpcore.rules.parameter_headers import MirroredTools
from mcpcore.signals import Signal
from mcpcore.state.flights import Runway
from mcpcore.state.response_cache import CacheBudget, ResponseCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.limits import Limits
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.machines.session import Session
    from mcpcore.rules.digests import Digester
    from mcpcore.types.logging import LogLevel


@define(eq=False)
class Partition:
    """One identity's state at one endpoint.

    :ivar key: what it is found by, or None if it is one call's own.
    :ivar principal: the name that it belongs to, or None.
    :ivar cache: the answers that this identity got.
    :ivar shelf: where other calls can find it, or None.
    :ivar users: how many calls are using it.
    :ivar used: when the last call ended, in seconds of the client's clock.
    :ivar log_level: from which level on it wants messages logged, where each request says so.
    :ivar mirrored: what travels as headers, of the arguments of the tools that this identity was shown.
    :ivar outputs: what those tools promise to answer, if results are checked.
    :ivar opening: the flight that opens its session or stream.
    """

    key: bytes | None = field(repr=False)
    principal: str | None
    cache: ResponseCache = field(repr=False)
    shelf: Shelf | None = field(default=None, repr=False)
    users: int = 0
    used: float = 0.0
    session: Session | None = None
    stream: EventStream | None = None
    log_level: LogLevel | None = None
    mirrored: MirroredTools = field(factory=MirroredTools, repr=False)
    outputs: OutputSchemas = field(factory=OutputSchemas, repr=False)
    opening: Runway = field(factory=Runway)
    _stream_kept: Signal | None = field(default=None, init=False, repr=False)

    @property
    def is_kept(self) -> bool:
        """Whether other calls can find it, so that what is put there is ended some day."""
        return self.shelf is not None

    @property
    def name(self) -> str | bytes:
        """What it is found by among others: its principal, else its key."""
        assert self.key is not None
        return self.key if self.principal is None else self.principal

    def stream_kept(self) -> Signal:
        """What is raised when the partition gets its next stream."""
        self._stream_kept = self._stream_kept or Signal()
        return self._stream_kept

    def keep_stream(self, stream: EventStream) -> None:
        """Keep a stream for further calls, and for those that wait to open one."""
        self.stream = stream
        waiting, self._stream_kept = self._stream_kept, None
        if waiting is not None:
            waiting.raise_()

    def close_stream(self) -> None:
        """Close its event stream, if it has one."""
        if self.stream is not None:
            self.stream.close()


@define(eq=False)
class Shelf:
    """The partitions of one kind, with a principal or without, by their names; the least recently used come first.

    :ivar bound: how many may stand there, unless more are in use.
    :ivar busy: how many are in use: where all are, none is looked for.
    """

    bound: int
    partitions: dict[str | bytes, Partition] = field(factory=dict[str | bytes, Partition], init=False, repr=False)
    busy: int = field(default=0, init=False)


@define
class Partitions:
    """The partitions of one client.

    :param digester: holds the secret that keys are hashed with.
    :param now: tells the time in seconds, or always 0 if the client has no clock.
    :param is_static: whether requests get the same headers whoever makes them, so that a session can be ended for an
        identity without a principal, too.
    :ivar named_budget: room for principals' answers, and for public ones.
    :ivar evictions: how many partitions have had to go.
    :ivar retired: the sessions of those, with their principals.
    """

    digester: Digester = field(repr=False)
    _limits: Limits = field(repr=False)
    now: Callable[[], float] = field(repr=False)
    _is_static: bool = False
    named_budget: CacheBudget = field(init=False)
    anonymous_budget: CacheBudget = field(init=False)
    retired: deque[tuple[str | None, Session]] = field(init=False, repr=False)
    evictions: int = field(default=0, init=False)
    _named: Shelf = field(init=False)
    _anonymous: Shelf = field(init=False)
    _next_sweep: float = field(default=-inf, init=False)
    _is_closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        limits = self._limits
        self.named_budget = CacheBudget(limits.cache_entries, limits.cache_bytes)
        self.anonymous_budget = CacheBudget(limits.anonymous_cache_entries, limits.anonymous_cache_bytes)
        self.retired = deque(maxlen=limits.retired_sessions)
        self._named, self._anonymous = Shelf(limits.partitions), Shelf(limits.anonymous_partitions)

    def of_principal(self, principal: str) -> Partition:
        """The partition of a named authorization context."""
        principal = str.__str__(principal)  # A subclass of str is the characters that it holds, however it compares.
        partition = self._named.partitions.pop(principal, None) or self._named_partition(principal)
        return self._use(self._named, principal, partition)

    def _named_partition(self, principal: str) -> Partition:
        key = self.digester.digest(b"principal", principal.encode("utf-8", "surrogatepass"))
        return Partition(key, principal, ResponseCache(self.named_budget))

    def of_identity(self, identity: bytes) -> Partition:
        """The partition of whoever sends exactly these credentials."""
        key = self.identity_key(identity)
        partition = self._anonymous.partitions.pop(key, None)
        return self._use(self._anonymous, key, partition or Partition(key, None, ResponseCache(self.anonymous_budget)))

    def identity_key(self, identity: bytes) -> bytes:
        """The key under which :meth:`of_identity` finds a partition."""
        return self.digester.digest(b"identity", identity)

    def of_nobody(self) -> Partition:
        """A partition that no other call will find."""
        return Partition(None, None, ResponseCache(self.anonymous_budget))

    @property
    def named(self) -> int:
        """How many principals' partitions are kept."""
        return len(self._named.partitions)

    @property
    def anonymous(self) -> int:
        """How many partitions without a principal are kept."""
        return len(self._anonymous.partitions)

    def can_end(self, partition: Partition) -> bool:
        """Whether headers can be found to end this identity's session with."""
        return partition.principal is not None or self._is_static

    def all(self) -> list[Partition]:
        """Every partition that is kept."""
        return [*self._named.partitions.values(), *self._anonymous.partitions.values()]

    def close_idle_stream(self) -> bool:
        """Close the event stream that was used least recently and is not in use, minted identities first.

        :returns: whether there was one.
        """
        for partition in (*self._anonymous.partitions.values(), *self._named.partitions.values()):
            if partition.users == 0 and partition.stream is not None and partition.stream.failure is None:
                partition.stream.close()
                return True
        return False

    def close(self) -> None:
        """Forget every partition, and keep none from now on: a call that is still in flight ends what it opens."""
        self._is_closed = True
        now = self.now()
        for partition in self.all():
            partition.shelf = None
            partition.cache.clear(now)
        self._named.partitions.clear()
        self._anonymous.partitions.clear()
        self.retired.clear()

    def _use(self, shelf: Shelf, name: str | bytes, partition: Partition) -> Partition:
        """Make ``partition``, of that name, the most recently used of its kind; others go, if they have to."""
        if self._is_closed:
            return partition
        partition.shelf = shelf
        shelf.partitions[name] = partition
        if len(shelf.partitions) > shelf.bound:
            self._trim(shelf, partition)
        now = self.now()
        if now >= self._next_sweep:
            self._sweep(now, partition)
        return partition

    def claim(self, partition: Partition) -> None:
        """Take note that a call uses ``partition``."""
        partition.users += 1
        if partition.users == 1 and partition.shelf is not None:
            partition.shelf.busy += 1

    def release(self, partition: Partition) -> None:
        """Take note that a call has ended; if there are too many partitions, the one that is idle now has to go."""
        partition.users -= 1
        partition.used = self.now()
        shelf = partition.shelf
        if partition.users == 0 and shelf is not None:
            shelf.busy -= 1
            if len(shelf.partitions) > shelf.bound:
                self._evict(shelf, partition)

    def _trim(self, shelf: Shelf, newcomer: Partition) -> None:
        """Let idle partitions go, while there are too many."""
        while shelf.bound < len(shelf.partitions) > shelf.busy + 1:
            idle = next((p for p in shelf.partitions.values() if p.users == 0 and p is not newcomer), None)
            if idle is None:
                return
            self._evict(shelf, idle)

    def _sweep(self, now: float, newcomer: Partition) -> None:
        """Now and then, let go of whom nobody has asked for in a long time."""
        self._next_sweep = now + self._limits.idle_partition / 8
        for shelf in (self._named, self._anonymous):
            for partition in list(shelf.partitions.values()):
                is_idle = partition.users == 0 and partition is not newcomer
                if is_idle and partition.used + self._limits.idle_partition <= now:
                    self._evict(shelf, partition)

    def _evict(self, shelf: Shelf, partition: Partition) -> None:
        del shelf.partitions[partition.name]
        self.evictions += 1
        partition.shelf = None
        partition.close_stream()
        partition.cache.clear(self.now())
        if partition.session is not None and self.can_end(partition):
            partition.session.forget_what_was_told()
            self.retired.append((partition.principal, partition.session))
