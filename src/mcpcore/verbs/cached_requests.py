"""A request is made only if its answer is not at hand: the cache in front of :mod:`mcpcore.verbs.asking`.

A call first finds out whose it is.  Then it looks, in this order: at what its identity was told, at public lists where
those are shared, at a shared store, and at whether another call of its identity is asking the same at this moment.
Only then it asks.  What comes back is kept for as long as the server says (2026-07-28, "Caching"), and only for the
identity that it was fetched for.  A failure is never kept.

A call with a principal that finds what it needs asks no resolver; one without asks them first, to learn whose it is,
and then makes its request with what they said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from mcpcore.machines.modern import DISCOVER
from mcpcore.machines.shared_store import recall, share
from mcpcore.rules.freshness import CacheMode, bare_key
from mcpcore.state.flights import fly

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.rules.freshness import CacheKey
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.rules.revisions import Revision
    from mcpcore.state.call import Call
    from mcpcore.state.response_cache import Entry, ResponseCache
    from mcpcore.verbs.asking import Asking


_DISCOVERY = bare_key(DISCOVER)


@frozen
class Answer:
    """What a call got to its question, in objects of its own.

    :ivar is_fetched: whether the server was asked.
    :ivar results: one result; of a list as a whole, that of each page.
    :ivar entry: the same as it is kept, or None if it can't be.
    """

    is_fetched: bool
    results: list[dict[str, Any]] = field(repr=False)
    entry: Entry | None = None


def answer(
    call: Call,
    asking: Asking,
    revision: Revision,
    key: CacheKey | None,
    mode: CacheMode = CacheMode.USE,
    *,
    is_list: bool = False,
) -> Flow[Answer]:
    """The answer to one request, from the cache if it may and can come from there.

    :param key: what it is kept under; None if it must not be kept.
    :param is_list: whether a whole list will do as well.
    """
    caching = call.state.caching
    if key is None or mode is CacheMode.BYPASS or not caching.is_on:
        return Answer(True, [(yield from asking.make())])
    if not revision.cache_hints and not caching.default_ttl:
        return Answer(True, [(yield from asking.make())])
    if not call.is_settled:
        yield from asking.settle()
    question = _Question(call, asking, revision, key, is_list)
    if call.partition.key is None or mode is CacheMode.REFRESH:
        found = yield from question.ask((yield from asking.resolve()))
    else:
        found = yield from question.look_then_ask()
    if found.is_fetched and found.entry is not None and key == _DISCOVERY:
        yield from share(call, call.partition.cache, revision, DISCOVER, found.entry)
    return found


@define(eq=False)
class _Question:
    """One request whose answer may be kept."""

    _call: Call
    _asking: Asking
    _revision: Revision
    _key: CacheKey
    _is_list: bool

    def look_then_ask(self) -> Flow[Answer]:
        """Take what is there, or what another call of this identity brings, else ask."""
        if (found := self._look()) is not None:
            return found
        cache = self._call.partition.cache
        if self._key[0] in cache.unkept:
            return (yield from self.ask((yield from self._asking.resolve())))
        if (found := (yield from self._look_in_store())) is not None:
            return found
        try:
            return (
                yield from fly(
                    cache.runway(self._key),
                    look=self._look,
                    resolve=self._asking.resolve,
                    lead=self.ask,
                    lands_early=True,
                )
            )
        finally:
            cache.leave_runway(self._key)

    def ask(self, resolution: Resolution) -> Flow[Answer]:
        """Ask the server, and keep the answer."""
        self._call.state.counters.cache_misses += 1
        asked = self._call.partition.cache.asking(self._call.state.partitions.now())
        result = yield from self._asking.make(resolution)
        return Answer(True, [result], self._call.keep(self._revision, self._key, result, asked))

    def _look(self) -> Answer | None:
        state = self._call.state
        for cache in self._caches():
            entry = cache.find(self._key, state.partitions.now())
            if entry is not None:
                return self._hit(entry)
        return None

    def _look_in_store(self) -> Flow[Answer | None]:
        if self._is_list or self._key == _DISCOVERY:
            for cache in self._caches():
                entry = yield from recall(self._call, cache, self._revision, self._key[0])
                if entry is not None:
                    return self._hit(entry)
        return None

    def _caches(self) -> list[ResponseCache]:
        own, public = self._call.partition.cache, self._call.state.public
        return [own, public] if self._is_list and self._call.state.caching.share_public else [own]

    def _hit(self, entry: Entry) -> Answer:
        self._call.state.counters.cache_hits += 1
        return Answer(False, entry.results(), entry)
