"""Nobody sees what another's credentials fetched, whatever happens in whatever order: walks through :mod:`model`.

The same model walks a million steps by ``make walk N=1000000``.  Here Hypothesis chooses the steps, a few seeds are
walked, and a client that is spoilt in any of many ways is found out: a model that can't fail shows nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from model.callers import ASKS, CACHE_MODES, CALLERS, PAGED, SHAPES, Setup
from model.chance import Failure, walk_by_chance
from model.model import Violation
from model.server import Whim
from model.walk import Advance, Cancel, Pass, Publish, Push, Restart, Start, Walk

from mcpcore import McpError, WaitFor
from mcpcore.machines.exchange import Exchange
from mcpcore.machines.session import Session
from mcpcore.rules.freshness import CacheKey
from mcpcore.rules.pipeline import Resolution
from mcpcore.state.call import Call
from mcpcore.state.flights import Runway
from mcpcore.state.partitions import Partitions
from mcpcore.state.response_cache import Asked, CacheBudget, Entry, ResponseCache

setups = st.builds(
    Setup,
    era=st.sampled_from(["modern", "handshake", "sse"]),
    pinned=st.booleans(),
    changing=st.booleans(),
    small=st.booleans(),
    default_ttl=st.sampled_from([0.0, 5.0, 500.0]),
    share_public=st.booleans(),
    opaque=st.booleans(),
    store=st.booleans(),
    foreign=st.booleans(),
)
whims = st.sampled_from(Whim)


class Walks(RuleBasedStateMachine):
    """Any steps, in any order."""

    walk: Walk | None = None

    @initialize(setup=setups)
    def begin(self, setup: Setup) -> None:
        self.walk = Walk(setup)
        self.names = count(1)

    @property
    def world(self) -> Walk:
        assert self.walk is not None
        return self.walk

    def pick(self, number: int) -> int:
        return list(self.world.plays)[number % len(self.world.plays)]

    @rule(
        caller=st.integers(0, len(CALLERS) - 1),
        ask=st.integers(0, len(ASKS) - 1),
        cache=st.integers(0, len(CACHE_MODES) - 1),
        client=st.integers(0, 1),
    )
    def start(self, caller: int, ask: int, cache: int, client: int) -> None:
        self.world.take(Start(next(self.names), caller, ask, cache, client))

    @precondition(lambda self: self.walk is not None and self.walk.plays)
    @rule(number=st.integers(0, 15), whims=st.lists(whims, min_size=1, max_size=8))
    def advance(self, number: int, whims: list[Whim]) -> None:
        name = self.pick(number)
        for whim in whims:
            self.world.take(Advance(name, whim))

    @precondition(lambda self: self.walk is not None and self.walk.plays)
    @rule(number=st.integers(0, 15))
    def cancel(self, number: int) -> None:
        self.world.take(Cancel(self.pick(number)))

    @precondition(lambda self: self.walk is not None and self.walk.server.lines)
    @rule(line=st.integers(0, 3), whim=whims)
    def push(self, line: int, whim: Whim) -> None:
        self.world.take(Push(line, whim))

    @rule(method=st.integers(0, len(PAGED) - 1), shape=st.integers(0, SHAPES - 1))
    def publish(self, method: int, shape: int) -> None:
        self.world.take(Publish(method, shape))

    @rule(seconds=st.sampled_from([0.1, 6.0, 120.0, 2_000.0]))
    def let_pass(self, seconds: float) -> None:
        self.world.take(Pass(seconds))

    @rule(changes_era=st.booleans())
    def restart(self, changes_era: bool) -> None:
        self.world.take(Restart(changes_era))

    @rule()
    def search(self) -> None:
        self.world.check_nothing_is_held()

    def teardown(self) -> None:
        if self.walk is not None and not self.walk.model.has_failed:
            self.walk.finish()


TestWalks = Walks.TestCase
TestWalks.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, derandomize=True, database=None, print_blob=False
)


@pytest.fixture(autouse=True)
def _in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client warns of is not looked at here, and there is much of it."""
    monkeypatch.setattr(logging.getLogger("mcpcore"), "disabled", True)


def walked(seeds: range, **known: Any) -> Counter[str]:
    return sum((walk_by_chance(seed, **known) for seed in seeds), Counter[str]())


MODERN, SHARED = {"era": "modern", "changing": False}, {"era": "modern", "share_public": True, "opaque": False}
STORED = {"era": "modern", "store": True, "foreign": False}


def test_walks_by_chance_meet_everything_that_can_happen() -> None:
    counts = walked(range(25)) + walked(range(100, 108), **SHARED) + walked(range(200, 204), **STORED)
    met = {name for name, times in counts.items() if times > 0}
    assert met >= {
        "answers 401",
        "answers 403",
        "answers 404",
        "answers from the cache",
        "answers of a concurrent call",
        "found in the store",
        "goodbyes",
        "invalidations",
        "operations cancelled",
        "operations that failed, HeaderResolverError",
        "operations that failed, UnauthorizedError",
        "operations that waited for others",
        "progress",
        "requests in a session",
        "requests, DELETE",
        "requests, GET",
        "requests, notifications/cancelled",
        "shared public lists",
        "statistics, evictions",
        "statistics, ignored_messages",
        "statistics, unused_resolutions",
    }
    # A cache that never answers would be safe, too.
    assert counts["answers from the cache"] > counts["statistics, cache_misses"] / 10


def test_the_same_seed_walks_the_same_way() -> None:
    assert walk_by_chance(7) == walk_by_chance(7)


# A client that is spoilt is found out.


def one_partition_for_all(patch: pytest.MonkeyPatch) -> None:
    real = Partitions.of_principal
    patch.setattr(Partitions, "of_principal", lambda self, principal: real(self, "anybody"))


def headers_that_tell_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Resolution, "identity", lambda self: b"")


def an_identity_that_changes_unnoticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Call, "note_identity", lambda self, resolution: None)


def parameters_that_make_no_difference(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.verbs.rpc.cache_key", lambda method, params: (method, b"{}"))


def resolutions_used_twice(patch: pytest.MonkeyPatch) -> None:
    known: dict[Any, Any] = {}

    def resolve(call: Any, outbound: Any, **options: Any) -> Iterator[Any]:
        if call not in known:
            known[call] = yield from real(call, outbound, **options)
        return known[call]

    from mcpcore.machines.outbound import resolve as real

    patch.setattr("mcpcore.machines.requests.resolve", resolve)


def second_attempts_unasked(patch: pytest.MonkeyPatch) -> None:
    from mcpcore.machines.outbound import resolve as real

    patch.setattr(
        "mcpcore.machines.requests.resolve", lambda *args, **options: real(*args, **{**options, "attempt": 2})
    )


def the_last_session_for_all(patch: pytest.MonkeyPatch) -> None:
    last: list[Any] = []
    real = Session.headers

    def headers(self: Session) -> Any:
        last.append(self.id or (last[-1] if last else None))
        self.id = last[-1]
        return real(self)

    patch.setattr(Session, "headers", headers)


def cookies_sent_back(patch: pytest.MonkeyPatch) -> None:
    real = Resolution.wire
    patch.setattr(Resolution, "wire", lambda self, headers: (*real(self, headers), (b"Cookie", b"cookie-1")))


def private_lists_shared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.verbs.listing.is_public", lambda result, revision: True)


def lists_shared_that_end_private(patch: pytest.MonkeyPatch) -> None:
    from mcpcore.verbs.listing import is_public as real

    patch.setattr(
        "mcpcore.verbs.listing.is_public", lambda page, revision: real(page, revision) or "nextCursor" not in page
    )


def lists_shared_unasked(patch: pytest.MonkeyPatch) -> None:
    real = Walk._client

    def client(self: Walk, number: int) -> Any:
        made = real(self, number)
        made._state.caching = evolve(made._state.caching, share_public=True)
        return made

    patch.setattr(Walk, "_client", client)


def answers_that_last(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.state.call.lifetime", lambda *args: 1_000.0)


def changes_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ResponseCache, "invalidate", lambda self, change, now: [])


def refusals_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.machines.requests.forget_answers", lambda call: iter(()))


def answers_from_before_a_change_kept(patch: pytest.MonkeyPatch) -> None:
    real = ResponseCache.keep

    def keep(self: ResponseCache, key: CacheKey, entry: Entry | None, asked: Asked, now: float) -> bool:
        return real(self, key, entry, evolve(asked, generation=self.generation), now)

    patch.setattr(ResponseCache, "keep", keep)


def answers_that_callers_share(patch: pytest.MonkeyPatch) -> None:
    made: dict[Any, Any] = {}
    real = Entry.results
    patch.setattr(Entry, "results", lambda self: made.setdefault(self, real(self)))


def stores_that_know_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.machines.shared_store._entry_name", lambda call, cache, revision, method: method.encode())


def answers_without_bound(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mcpcore.state.partitions.CacheBudget", lambda entries, size: CacheBudget(100 * entries, 100 * size))


def answers_of_anybodys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exchange, "_is_ours", lambda self, message: True)


def flights_that_never_land(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Runway, "land", lambda self, flight: None)


def failures_that_followers_share(patch: pytest.MonkeyPatch) -> None:
    from mcpcore.state.flights import fly as real

    failed: dict[Runway, McpError] = {}

    def fly(runway: Runway, look: Any, resolve: Any, lead: Any) -> Iterator[Any]:
        if runway.flight is not None:
            yield WaitFor(runway.flight)
            if runway in failed:
                raise failed[runway]
        try:
            return (yield from real(runway, look, resolve, lead))
        except McpError as error:
            failed[runway] = error
            raise

    patch.setattr("mcpcore.machines.session.fly", fly)


def calls_that_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Call, "release", lambda self: None)


def tokens_kept(patch: pytest.MonkeyPatch) -> None:
    real = Call.settle

    def settle(self: Call, resolution: Resolution) -> None:
        real(self, resolution)
        # That is what is wrong with it.
        self.partition.mirrored._tools["credentials"] = resolution  # type: ignore[assignment]

    patch.setattr(Call, "settle", settle)


NOT_MINE = {
    "another's answer",
    "another's discovery",
    "a session id of another",
    "a header of another's list",
    "an event stream of another",
}
CHANGED = {"an answer from before a change", "an answer that a change has overtaken"}
REFUSED = {"an answer from before a refusal", "an answer that a refusal has overtaken"}
SPOILT: dict[Callable[[pytest.MonkeyPatch], None], tuple[set[str], dict[str, Any]]] = {
    one_partition_for_all: (NOT_MINE, {}),
    headers_that_tell_nothing: (NOT_MINE, {}),
    an_identity_that_changes_unnoticed: (NOT_MINE, {}),
    the_last_session_for_all: ({"a session id of another"}, {"era": "handshake"}),
    stores_that_know_nobody: (NOT_MINE, STORED),
    private_lists_shared: ({"another's answer"}, SHARED),
    lists_shared_that_end_private: ({"another's answer", "a public page among private ones"}, SHARED),
    lists_shared_unasked: ({"another's answer", "an answer from before a refusal"}, SHARED | {"share_public": False}),
    parameters_that_make_no_difference: (
        {"an answer to other parameters", "a call failed of nothing of its own"},
        MODERN,
    ),
    resolutions_used_twice: ({"credentials are on the wire twice"}, {}),
    second_attempts_unasked: ({"a second attempt without a 401"}, {}),
    cookies_sent_back: ({"a cookie is on the wire"}, {}),
    answers_that_last: ({"an answer that is stale", "an answer that must not be kept"}, MODERN),
    changes_ignored: (CHANGED, MODERN),
    answers_from_before_a_change_kept: (CHANGED | REFUSED, MODERN),
    refusals_ignored: (REFUSED, MODERN),
    answers_that_callers_share: (
        {"an answer that somebody has changed", "a call failed of nothing of its own"},
        MODERN,
    ),
    answers_without_bound: ({"too many answers are kept", "the answers that are kept are too large"}, MODERN),
    answers_of_anybodys: ({"a forged answer"}, {"era": "handshake"}),
    flights_that_never_land: ({"operations wait for each other for ever", "something is still in use"}, {}),
    failures_that_followers_share: ({"a call failed of nothing of its own"}, {"era": "handshake"}),
    calls_that_stay: ({"something is still in use", "too many partitions are kept"}, {"era": "modern"}),
    tokens_kept: ({"a secret of a call that is over is held"}, {}),
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__.replace("_", " "))
def test_a_spoilt_client_is_found_out(spoil: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, known = SPOILT[spoil]
    spoil(monkeypatch)
    with pytest.raises(Failure) as failure:
        walked(range(20), **known)
    assert isinstance(failure.value.error, Violation)
    assert failure.value.error.what in expected
