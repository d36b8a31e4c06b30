"""Answers that are kept: how many, how large, which go first, and when they may no longer be true."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcpcore.rules.freshness import CacheKey, Change
from mcpcore.signals import Signal
from mcpcore.state.response_cache import Asked, CacheBudget, Entry, ResponseCache

FOREVER = 1e9


def key(cursor: str = "", method: str = "tools/list") -> CacheKey:
    return method, cursor.encode()


def entry(size: int = 20, fetched: float = 0.0, expires: float = FOREVER) -> Entry:
    """An answer that takes ``size`` bytes with a key of eleven, as those of these tests mostly are."""
    return Entry((b"x" * (size - len("tools/list1")),), fetched, expires)


@define
class Shelves:
    """Caches that share a budget."""

    entries: int = 3
    size: int = 100
    budget: CacheBudget = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.budget = CacheBudget(self.entries, self.size)

    def cache(self) -> ResponseCache:
        return ResponseCache(self.budget)


def keep(cache: ResponseCache, cursor: str, made: Entry | None = None, now: float = 0.0) -> bool:
    return cache.keep(key(cursor), made or entry(), cache.asking(now), now)


def kept(cache: ResponseCache, *cursors: str, now: float = 0.0) -> list[str]:
    return [cursor for cursor in cursors if cache.find(key(cursor), now) is not None]


# What an entry is.


def test_an_entry_is_bytes_and_each_reading_makes_new_objects() -> None:
    result = {"tools": [{"name": "t", "inputSchema": {"b": 1, "a": 2}}]}
    made = Entry.of([result], 1.0, 2.0)
    assert made is not None
    assert made.size(key()) == len(made.pages[0]) + len("tools/list")
    (one,), (other,) = made.results(), made.results()
    assert one == other == result
    assert list(one["tools"][0]["inputSchema"]) == ["b", "a"]
    one["tools"].clear()
    result["tools"].clear()
    assert made.results() == [other]
    assert other["tools"]


def test_half_a_surrogate_pair_is_kept_as_it_came() -> None:
    result = {"tools": [], "note": "\ud83d \u00e9"}
    made = Entry.of([result], 0.0, 1.0)
    assert made is not None
    assert made.results() == [result]


@pytest.mark.parametrize("value", [float("inf"), float("nan")], ids=repr)
def test_what_has_no_json_is_no_entry(value: object) -> None:
    assert Entry.of([{"tools": [value]}], 0.0, 1.0) is None


def test_the_size_of_a_whole_list_is_that_of_all_pages() -> None:
    whole = Entry((b"{}", b'{"a":1}'), 0.0, 1.0)
    assert (whole.size(("tools/list", b"{}")), whole.results()) == (9 + 12, [{}, {"a": 1}])


def test_the_repr_of_an_entry_shows_nothing_of_its_answer() -> None:
    assert "secret" not in repr(Entry((b"secret",), 0.0, 1.0))


# Room.


def test_the_one_used_least_recently_makes_room_whosever_it_is() -> None:
    shelves = Shelves(entries=3)
    alice, bob = shelves.cache(), shelves.cache()
    for cache, cursor in ((alice, "1"), (bob, "2"), (alice, "3")):
        keep(cache, cursor)
    assert kept(alice, "1")  # a use
    keep(bob, "4")
    assert (kept(alice, "1", "3"), kept(bob, "2", "4")) == (["1", "3"], ["4"])
    assert (len(shelves.budget), shelves.budget.evictions) == (3, 1)


def test_a_replaced_answer_counts_as_used() -> None:
    shelves = Shelves(entries=2)
    cache = shelves.cache()
    for cursor in ("1", "2", "1", "3"):
        assert keep(cache, cursor)
    assert kept(cache, "1", "2", "3") == ["1", "3"]
    assert shelves.budget.evictions == 1


def test_as_many_go_as_the_bytes_of_a_new_one_need() -> None:
    shelves = Shelves(entries=10, size=100)
    cache = shelves.cache()
    for cursor in "12345":
        keep(cache, cursor, entry(20))
    assert (len(shelves.budget), shelves.budget.bytes) == (5, 100)
    keep(cache, "6", entry(41))
    assert kept(cache, *"123456") == ["4", "5", "6"]
    assert (shelves.budget.bytes, shelves.budget.evictions) == (81, 3)


def test_what_could_never_fit_pushes_nothing_out() -> None:
    shelves = Shelves(entries=10, size=100)
    cache = shelves.cache()
    keep(cache, "1", entry(60))
    assert not keep(cache, "2", entry(101))
    assert kept(cache, "1", "2") == ["1"]
    assert keep(cache, "3", entry(100))
    assert kept(cache, "1", "3") == ["3"]


def test_stale_ones_that_are_next_to_go_are_no_evictions() -> None:
    shelves = Shelves(entries=2)
    cache = shelves.cache()
    keep(cache, "1", entry(expires=5.0))
    keep(cache, "2", entry(expires=5.0))
    keep(cache, "3", entry(expires=50.0), now=5.0)
    assert (len(shelves.budget), shelves.budget.bytes, shelves.budget.evictions) == (1, 20, 0)


def test_a_stale_answer_is_dropped_when_it_is_met() -> None:
    shelves = Shelves()
    cache = shelves.cache()
    keep(cache, "1", entry(expires=5.0))
    assert cache.find(key("1"), 4.999) is not None
    assert cache.find(key("1"), 5.0) is None
    assert (len(shelves.budget), shelves.budget.bytes, shelves.budget.evictions) == (0, 0, 0)


def test_dropping_what_is_not_there_changes_nothing() -> None:
    shelves = Shelves()
    cache = shelves.cache()
    keep(cache, "1")
    cache.discard(key("2"))
    assert (len(shelves.budget), shelves.budget.bytes) == (1, 20)


# When an answer may no longer be true.

TOOLS_CHANGED = Change(frozenset({"tools/list"}))


def test_an_answer_asked_for_before_a_change_is_not_kept() -> None:
    cache = Shelves().cache()
    asked = cache.asking(0.0)
    cache.invalidate(TOOLS_CHANGED, 1.0)
    assert not cache.keep(key(), entry(), asked, 2.0)
    assert cache.keep(key(), entry(), cache.asking(2.0), 3.0)


def test_an_answer_asked_for_before_the_cache_was_emptied_is_not_kept() -> None:
    cache = Shelves().cache()
    asked = cache.asking(0.0)
    cache.clear(1.0)
    assert not cache.keep(key(), entry(), asked, 2.0)


def test_a_change_drops_what_it_concerns_in_the_cache_that_is_told() -> None:
    shelves = Shelves(entries=10, size=200)
    cache, other = shelves.cache(), shelves.cache()
    prompts = key(method="prompts/list")
    for each in (cache, other):
        keep(each, "1")
        keep(each, "2")
        each.keep(prompts, entry(), each.asking(0.0), 0.0)
    cache.invalidate(TOOLS_CHANGED, 1.0)
    assert kept(cache, "1", "2") == []
    assert cache.find(prompts, 1.0) is not None
    assert kept(other, "1", "2") == ["1", "2"]
    assert (len(shelves.budget), shelves.budget.bytes, shelves.budget.evictions) == (4, 82, 0)
    cache.clear(2.0)
    assert len(shelves.budget) == 3
    assert other.generation == 0


def test_of_two_answers_the_one_asked_for_last_counts() -> None:
    cache = Shelves().cache()
    early, late = cache.asking(1.0), cache.asking(2.0)
    assert cache.keep(key(), entry(size=30, fetched=late.at), late, 3.0)
    assert not cache.keep(key(), entry(size=20, fetched=early.at), early, 4.0)
    found = cache.find(key(), 4.0)
    assert found is not None
    assert found.size(key("1")) == 30


def test_an_answer_that_is_not_to_be_kept_drops_the_older_one() -> None:
    shelves = Shelves()
    cache = shelves.cache()
    keep(cache, "1")
    assert not cache.keep(key("1"), None, cache.asking(1.0), 1.0)
    assert kept(cache, "1", now=1.0) == []
    assert shelves.budget.bytes == 0


def test_what_was_fetched_elsewhere_is_outdated_if_it_may_be_older_than_a_change() -> None:
    cache = Shelves().cache()
    assert not cache.is_outdated(key(), -1e9)
    cache.invalidate(TOOLS_CHANGED, 5.0)
    assert cache.is_outdated(key("2"), 5.0)
    assert not cache.is_outdated(key(), 5.1)
    assert not cache.is_outdated(key(method="prompts/list"), 1.0)
    cache.clear(7.0)
    assert cache.is_outdated(key(method="prompts/list"), 7.0)
    assert not cache.is_outdated(key(), 7.1)
    cache.invalidate(TOOLS_CHANGED, 9.0)
    assert cache.is_outdated(key(), 9.0)


# Who needs not wait for whom.


@pytest.mark.parametrize("made", [None, entry(expires=0.0), entry(size=102)], ids=["none", "stale", "too large"])
def test_a_method_is_known_by_whether_its_last_answer_could_be_kept(made: Entry | None) -> None:
    cache = Shelves().cache()
    assert not cache.keep(key(), made, cache.asking(0.0), 0.0)
    assert cache.unkept == {"tools/list"}
    cache.keep(key(method="prompts/list"), None, cache.asking(0.0), 0.0)
    assert keep(cache, "other page")
    assert cache.unkept == {"prompts/list"}


def test_a_runway_is_there_for_as_long_as_somebody_is_in_the_air() -> None:
    cache = Shelves().cache()
    runway = cache.runway(key())
    assert cache.runway(key()) is runway is not cache.runway(key("2"))
    runway.flight = Signal()
    cache.leave_runway(key())
    assert cache.runway(key()) is runway
    runway.flight = None
    cache.leave_runway(key())
    cache.leave_runway(key())
    assert cache.runway(key()) is not runway


# Against a model, in any order.

CURSORS = st.sampled_from("abcde")
WHO = st.sampled_from([0, 1, 2])
METHODS = st.sampled_from(["tools/list", "prompts/list"])


class CachesAgainstAModel(RuleBasedStateMachine):
    """Three caches with one budget, and what they ought to hold."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = CacheBudget(4, 120)
        self.caches = [ResponseCache(self.budget) for _ in range(3)]
        # In the order of their last use; an entry is its size and when it was asked for and expires.
        self.model: OrderedDict[tuple[int, CacheKey], tuple[int, float, float]] = OrderedDict()
        self.asked: list[tuple[int, int, Asked]] = []
        self.generations = [0, 0, 0]
        self.evictions = 0

    def forget(self, who: int, method: str | None = None) -> None:
        for place in [p for p in self.model if p[0] == who and method in (None, p[1][0])]:
            del self.model[place]
        self.generations[who] += 1

    @rule(seconds=st.integers(1, 5))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(who=WHO)
    def ask(self, who: int) -> None:
        self.asked.append((who, self.generations[who], self.caches[who].asking(self.now)))

    @rule(who=WHO, method=METHODS)
    def change(self, who: int, method: str) -> None:
        self.caches[who].invalidate(Change(frozenset({method})), self.now)
        self.forget(who, method)

    @rule(who=WHO)
    def clear(self, who: int) -> None:
        self.caches[who].clear(self.now)
        self.forget(who)

    @rule(who=WHO, method=METHODS, cursor=CURSORS)
    def find(self, who: int, method: str, cursor: str) -> None:
        place = (who, (method, cursor.encode()))
        found = self.caches[who].find(place[1], self.now)
        known = self.model.get(place)
        if known is None or known[2] <= self.now:
            assert found is None
            self.model.pop(place, None)
        else:
            assert found is not None
            assert (found.size(place[1]), found.fetched, found.expires) == known
            self.model.move_to_end(place)

    @rule(data=st.data(), method=METHODS, cursor=CURSORS, size=st.integers(11, 130), ttl=st.integers(0, 9) | st.none())
    def keep(self, data: st.DataObject, method: str, cursor: str, size: int, ttl: int | None) -> None:
        if not self.asked:
            return
        who, generation, asked = self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1)))
        place = (who, (method, cursor.encode()))
        made = None if ttl is None else entry(size, asked.at, self.now + ttl)
        was_kept = self.caches[who].keep(place[1], made, asked, self.now)
        if (older := self.model.get(place)) is not None and older[1] <= asked.at:
            del self.model[place]
        size += len(method) + len(cursor) - 11
        may_be_kept = bool(ttl) and size <= 120
        assert (method in self.caches[who].unkept) is not may_be_kept
        is_current = generation == self.generations[who]
        assert was_kept is (may_be_kept and is_current and place not in self.model)
        if was_kept:
            assert ttl
            self.model[place] = (size, asked.at, self.now + ttl)
            self.make_room()

    def make_room(self) -> None:
        while True:
            place, (_, _, expires) = next(iter(self.model.items()))
            fits = len(self.model) <= 4 and sum(size for size, _, _ in self.model.values()) <= 120
            if expires > self.now and fits:
                return
            del self.model[place]
            self.evictions += expires > self.now

    @invariant()
    def what_is_counted_is_what_is_held(self) -> None:
        assert self.budget.bytes == sum(size for size, _, _ in self.model.values()) <= 120
        assert len(self.budget) == len(self.model) <= 4
        assert self.budget.evictions == self.evictions
        held = {(who, place) for who, cache in enumerate(self.caches) for place in cache._entries}
        assert held == set(self.model)


TestCachesAgainstAModel: Any = CachesAgainstAModel.TestCase
TestCachesAgainstAModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(sizes=st.lists(st.integers(11, 50), max_size=30), most=st.integers(1, 5))
def test_no_row_of_answers_exceeds_the_room(sizes: list[int], most: int) -> None:
    budget = CacheBudget(most, 60)
    caches = [ResponseCache(budget) for _ in range(2)]
    for number, size in enumerate(sizes):
        assert keep(caches[number % 2], str(number), entry(size))
        assert len(budget) <= most
        assert budget.bytes <= 60
    for cache in caches:
        cache.clear(0.0)
    assert (len(budget), budget.bytes) == (0, 0)
