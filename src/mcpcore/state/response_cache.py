"""Answers that are kept: whose, how many, and until when.

Each partition has a :class:`ResponseCache` of its own, so one identity's call has no way to find another's answer.
What is public, where the user allows sharing it, is in one more, which belongs to nobody.  Entries are bytes: every
caller decodes its own objects, and none can change what another will see.

Many caches share one :class:`CacheBudget` of entries and bytes.  The entry used least recently goes first, whosever it
is; identities without a principal have a budget of their own, so that minted tokens can't push principals' answers out.

An answer that was asked for before a cache was told of a change, or was emptied, may be older than the change.  So a
cache counts those events in its ``generation``; who asks remembers the number, and the answer is kept only if it is
still the same.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.errors import LocalProtocolError
from mcpcore.state.flights import Runway

if TYPE_CHECKING:
    from mcpcore.rules.freshness import CacheKey, Change


@frozen(eq=False)
class Entry:
    """One answer.

    :ivar pages: results as JSON: one, or all pages of a whole list.
    :ivar fetched: when it was asked for, in seconds of the client's clock.
    :ivar expires: when it is stale.
    """

    pages: tuple[bytes, ...] = field(repr=False)
    fetched: float
    expires: float

    @classmethod
    def of(cls, results: list[dict[str, Any]], fetched: float, expires: float) -> Entry | None:
        """Results as they are kept, or None if they can't be."""
        try:
            return cls(tuple(map(jsonrpc.dump, results)), fetched, expires)
        except LocalProtocolError:
            return None  # It holds what JSON has no form for, such as a number too large to be one.

    def results(self) -> list[dict[str, Any]]:
        """The results, in new objects."""
        return list(map(jsonrpc.load, self.pages))

    def size(self, key: CacheKey) -> int:
        """How many bytes it takes, with what it is kept under: a server chooses both."""
        return sum(map(len, (*key, *self.pages)))


@frozen
class Asked:
    """When an answer was asked for.

    :ivar generation: that of the cache that it is for.
    :ivar at: in seconds of the client's clock.
    """

    generation: int
    at: float


@define(eq=False)
class CacheBudget:
    """Room for the answers of many identities.

    :ivar bytes: how many bytes of answers and keys are held.
    :ivar evictions: how many fresh entries had to make room.
    """

    _most_entries: int
    _most_bytes: int
    bytes: int = field(default=0, init=False)
    evictions: int = field(default=0, init=False)
    _homes: OrderedDict[Entry, tuple[ResponseCache, CacheKey]] = field(
        factory=OrderedDict["Entry", "tuple[ResponseCache, CacheKey]"], init=False, repr=False
    )

    def __len__(self) -> int:
        return len(self._homes)

    def fits(self, entry: Entry, key: CacheKey) -> bool:
        """Whether there could be room for ``entry`` at all."""
        return entry.size(key) <= self._most_bytes

    def add(self, entry: Entry, home: ResponseCache, key: CacheKey, now: float) -> None:
        """Take note of a new entry; the ones used least recently make room."""
        self._homes[entry] = (home, key)
        self.bytes += entry.size(key)
        while True:
            oldest, (cache, old_key) = next(iter(self._homes.items()))
            is_stale = oldest.expires <= now
            if not is_stale and len(self._homes) <= self._most_entries and self.bytes <= self._most_bytes:
                return
            cache.discard(old_key)
            self.evictions += not is_stale

    def touch(self, entry: Entry) -> None:
        """Take note that ``entry`` was used."""
        self._homes.move_to_end(entry)

    def remove(self, entry: Entry) -> None:
        """Take note that ``entry`` is no longer held."""
        _, key = self._homes.pop(entry)
        self.bytes -= entry.size(key)


@define(eq=False)
class ResponseCache:
    """The answers of one identity, or the public ones.

    :ivar generation: grows whenever something that is not kept yet may be older than what the cache was told.
    :ivar unkept: methods whose last answer could not be kept, so that nobody is to wait for another's.
    """

    _budget: CacheBudget
    generation: int = field(default=0, init=False)
    unkept: frozenset[str] = field(default=frozenset(), init=False)
    _entries: dict[CacheKey, Entry] = field(factory=dict["CacheKey", Entry], init=False, repr=False)
    _runways: dict[CacheKey, Runway] = field(factory=dict["CacheKey", Runway], init=False, repr=False)
    _changed: dict[str, float] = field(factory=dict[str, float], init=False, repr=False)
    _cleared: float = field(default=-inf, init=False)

    def find(self, key: CacheKey, now: float) -> Entry | None:
        """The fresh answer under ``key``, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= now:
            self.discard(key)
            return None
        self._budget.touch(entry)
        return entry

    def asking(self, now: float) -> Asked:
        """Take note that something is about to be asked."""
        return Asked(self.generation, now)

    def keep(self, key: CacheKey, entry: Entry | None, asked: Asked, now: float) -> bool:
        """Keep an answer, if it may still be true, in place of one that was asked for before it.

        :param entry: None if it is not to be kept, which later calls then know beforehand.
        :returns: whether it was kept.
        """
        if (older := self._entries.get(key)) is not None and older.fetched <= asked.at:
            self.discard(key)
        if entry is None or entry.expires <= now or not self._budget.fits(entry, key):
            self.unkept |= {key[0]}
            return False
        if key[0] in self.unkept:
            self.unkept -= {key[0]}
        if asked.generation != self.generation or key in self._entries:
            return False
        self._entries[key] = entry
        self._budget.add(entry, self, key, now)
        return True

    def discard(self, key: CacheKey) -> None:
        """Drop the answer under ``key``, if there is one."""
        if (entry := self._entries.pop(key, None)) is not None:
            self._budget.remove(entry)

    def invalidate(self, change: Change, now: float) -> None:
        """Drop what ``change`` makes stale."""
        self.generation += 1
        self._changed.update(dict.fromkeys(change.methods, now))
        for key in [key for key in self._entries if change.concerns(key)]:
            self.discard(key)

    def clear(self, now: float) -> None:
        """Drop everything."""
        self.generation += 1
        self._cleared = now
        for key in list(self._entries):
            self.discard(key)

    def is_outdated(self, key: CacheKey, fetched: float) -> bool:
        """Whether an answer that was asked for elsewhere at that time may be older than what this cache was told."""
        return fetched <= max(self._cleared, self._changed.get(key[0], -inf))

    def runway(self, key: CacheKey) -> Runway:
        """Where calls meet that need the answer under ``key`` at the same time."""
        return self._runways.setdefault(key, Runway())

    def leave_runway(self, key: CacheKey) -> None:
        """Forget the runway of ``key``, if nobody is in the air."""
        runway = self._runways.get(key)
        if runway is not None and runway.flight is None:
            del self._runways[key]
