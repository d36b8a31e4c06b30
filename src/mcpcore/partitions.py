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
minted tokens but never a principal.  A partition in use stays.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from mcpcore.flights import Runway
from mcpcore.shapes import as_object, as_text

if TYPE_CHECKING:
    from mcpcore.http_sse import EventStream
    from mcpcore.limits import Limits
    from mcpcore.parameter_headers import MirroredArgument
    from mcpcore.session import Session


@frozen
class Discovery:
    """What a server told about itself, on behalf of one identity.

    :ivar capabilities: what it offers, as received.
    :ivar server_info: its name and version, for people to read, or None.
    :ivar instructions: how to use it, for a model to read, or None.
    """

    capabilities: dict[str, Any] = field(repr=False)
    server_info: dict[str, Any] | None
    instructions: str | None = field(repr=False)

    @classmethod
    def from_json(cls, result: dict[str, Any], server_info: object) -> Discovery:
        """Read the result of ``initialize`` or ``server/discover``; what has the wrong shape is missing."""
        return cls(
            as_object(result.get("capabilities")) or {},
            as_object(server_info),
            as_text(result.get("instructions")),
        )


@define(eq=False)
class Partition:
    """One identity's state at one endpoint.

    :ivar key: what it is found by, or None if it is one call's own.
    :ivar principal: the name that it belongs to, or None.
    :ivar is_kept: whether other calls can find it, so that what is put there is ended some day.
    :ivar users: how many calls are using it.
    :ivar mirrored: the arguments that travel as headers, of the tools that this identity was shown.
    :ivar opening: the flight that opens its session or stream.
    """

    key: bytes | None = field(repr=False)
    principal: str | None
    is_kept: bool = False
    users: int = 0
    session: Session | None = None
    stream: EventStream | None = None
    discovery: Discovery | None = None
    mirrored: dict[str, tuple[MirroredArgument, ...]] = field(
        factory=dict[str, "tuple[MirroredArgument, ...]"], repr=False
    )
    opening: Runway = field(factory=Runway)

    def close_stream(self) -> None:
        """Close its event stream, if it has one."""
        if self.stream is not None:
            self.stream.close()

    def forget_what_was_told(self) -> None:
        """Drop what the server told this identity, because it no longer lets it in."""
        self.discovery = None
        self.mirrored.clear()


@define
class Partitions:
    """The partitions of one client.

    :param digest_key: the secret that keys are hashed with.
    """

    _digest_key: bytes = field(repr=False)
    _limits: Limits = field(repr=False)
    _named: dict[bytes, Partition] = field(factory=dict[bytes, Partition], init=False, repr=False)
    _anonymous: dict[bytes, Partition] = field(factory=dict[bytes, Partition], init=False, repr=False)

    def of_principal(self, principal: str) -> Partition:
        """The partition of a named authorization context."""
        key = self._hash(b"principal", principal.encode("utf-8", "surrogatepass"))
        return _find(self._named, key, principal, self._limits.partitions)

    def of_identity(self, identity: bytes) -> Partition:
        """The partition of whoever sends exactly these credentials."""
        return _find(self._anonymous, self.identity_key(identity), None, self._limits.anonymous_partitions)

    def identity_key(self, identity: bytes) -> bytes:
        """The key under which :meth:`of_identity` finds a partition."""
        return self._hash(b"identity", identity)

    def of_nobody(self) -> Partition:
        """A partition that no other call will find."""
        return Partition(None, None)

    def all(self) -> list[Partition]:
        """Every partition that is kept."""
        return [*self._named.values(), *self._anonymous.values()]

    def close_idle_stream(self) -> bool:
        """Close the event stream that was used least recently and is not in use, minted identities first.

        :returns: whether there was one.
        """
        for partition in (*self._anonymous.values(), *self._named.values()):
            if partition.users == 0 and partition.stream is not None and partition.stream.failure is None:
                partition.stream.close()
                return True
        return False

    def clear(self) -> None:
        """Forget every partition."""
        for partition in self.all():
            partition.is_kept = False
        self._named.clear()
        self._anonymous.clear()

    def _hash(self, domain: bytes, data: bytes) -> bytes:
        return hmac.digest(self._digest_key, domain + b"\0" + data, "sha256")


def _find(store: dict[bytes, Partition], key: bytes, principal: str | None, bound: int) -> Partition:
    """The partition under ``key``, made if need be, and now the most recently used of its store."""
    partition = store.pop(key, None) or Partition(key, principal)
    partition.is_kept = True
    store[key] = partition
    if len(store) > bound:
        _make_room(store, bound, partition)
    return partition


def _make_room(store: dict[bytes, Partition], bound: int, newcomer: Partition) -> None:
    """Drop what was used least recently, until the rest fits or is in use."""
    idle = [key for key, partition in store.items() if partition.users == 0 and partition is not newcomer]
    for key in idle[: len(store) - bound]:
        evicted = store.pop(key)
        evicted.is_kept = False
        evicted.close_stream()
