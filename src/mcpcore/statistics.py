"""What a client holds and has done, in numbers, so that its bounds can be seen.

The core counts as it goes, in one :class:`Counters` of each client; :class:`Statistics` is what users are shown.
"""

from __future__ import annotations

from attrs import define, frozen


@define(eq=False)
class Counters:
    """What a client counts."""

    calls: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    unused_resolutions: int = 0
    ignored_messages: int = 0


@frozen(kw_only=True)
class Statistics:
    """A client in numbers, at one moment.

    :ivar calls: how many calls are in flight.
    :ivar partitions: how many principals have state here; at most ``limits.partitions``, but for those in use.
    :ivar anonymous_partitions: the same of identities without a principal.
    :ivar sessions: how many sessions are kept for further calls.
    :ivar streams: how many event streams are open.
    :ivar cache_entries: how many answers are kept.
    :ivar cache_bytes: how many bytes they are, with what they are kept under.
    :ivar cache_hits: how many calls, or pages of a list, were answered without a request of their own.
    :ivar cache_misses: how many had to ask the server, although their answer could have been kept.
    :ivar evictions: how many partitions and fresh answers have had to make room, or were idle for too long.
    :ivar unused_resolutions: how many times resolvers were asked for headers that then went on no request: for a cache
        hit, because another call's work served, or because of an error or a cancellation.
    :ivar ignored_messages: how many messages of the server's belonged to no request that they could have belonged to.
    """

    calls: int
    partitions: int
    anonymous_partitions: int
    sessions: int
    streams: int
    cache_entries: int
    cache_bytes: int
    cache_hits: int
    cache_misses: int
    evictions: int
    unused_resolutions: int
    ignored_messages: int
