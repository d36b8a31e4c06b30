"""What may be kept of an answer, for how long, and what puts an end to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpcore.codecs.jsonrpc import Notification
from mcpcore.rules.freshness import CACHEABLE, Change, cache_key, is_public, lifetime
from mcpcore.rules.revisions import HANDSHAKE, MODERN, REVISIONS

DAY = 86_400.0
TINY = 5e-324

# For how long.


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [
        (1, 0.001),
        (1500, 1.5),
        (86_400_000, DAY),
        (86_400_001, DAY),
        (10**400, DAY),
        (0, 0.0),
        (-1, 0.0),
        (-(10**400), 0.0),
        (True, 0.0),
        (False, 0.0),
        (1000.0, 0.0),
        (float("inf"), 0.0),
        ("1000", 0.0),
        ([1000], 0.0),
        ({"ms": 1000}, 0.0),
        (None, 0.0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_answer_is_fresh_for_as_many_milliseconds_as_an_integer_says(ttl: object, seconds: float) -> None:
    assert lifetime({"ttlMs": ttl}, MODERN, 5.0, DAY) == seconds


def test_without_a_hint_a_modern_answer_is_stale_at_once() -> None:
    assert lifetime({}, MODERN, 5.0, DAY) == 0.0


@pytest.mark.parametrize("revision", [r for r in REVISIONS.values() if not r.cache_hints], ids=lambda r: r.name)
def test_a_revision_without_hints_has_the_default_whatever_its_answers_say(revision: Any) -> None:
    for result in ({}, {"ttlMs": 0}, {"ttlMs": 10**9}):
        assert lifetime(result, revision, 5.0, DAY) == 5.0
        assert lifetime(result, revision, 0.0, DAY) == 0.0
        assert lifetime(result, revision, 2 * DAY, DAY) == DAY


@given(ttl=st.integers() | st.floats() | st.none() | st.booleans() | st.text(), longest=st.floats(TINY, 1e9))
def test_no_hint_makes_a_lifetime_negative_or_longer_than_the_bound(ttl: object, longest: float) -> None:
    assert 0.0 <= lifetime({"ttlMs": ttl}, MODERN, 0.0, longest) <= longest * (1 + 1e-12)


# For whom.


@pytest.mark.parametrize(
    "scope", ["private", "Public", "PUBLIC", "public ", "shared", "", None, True, 1, ["public"], {}]
)
def test_only_the_exact_word_makes_an_answer_public(scope: object) -> None:
    assert is_public({"cacheScope": "public"}, MODERN)
    assert not is_public({"cacheScope": scope}, MODERN)
    assert not is_public({}, MODERN)


def test_a_revision_without_hints_has_nothing_public() -> None:
    assert not is_public({"cacheScope": "public"}, HANDSHAKE)


# Under which key.


def test_what_may_be_kept_is_what_the_specification_lists() -> None:
    assert {method for method in CACHEABLE if cache_key(method, {})} == {
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    }
    for method in ("tools/call", "prompts/get", "completion/complete", "ping", "initialize", "tools/List", ""):
        assert cache_key(method, {}) is None


@pytest.mark.parametrize("name", ["_meta", "inputResponses", "requestState"])
@pytest.mark.parametrize("value", [None, {}, "state", {"a": 1}])
def test_an_answer_that_depends_on_more_than_its_key_is_not_kept(name: str, value: object) -> None:
    assert cache_key("resources/read", {"uri": "file:///a"}) is not None
    assert cache_key("resources/read", {"uri": "file:///a", name: value}) is None


@pytest.mark.parametrize("value", [float("nan"), object()], ids=["nan", "object"])
def test_parameters_that_cannot_be_sent_have_no_key(value: object) -> None:
    assert cache_key("resources/read", {"uri": value}) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.sampled_from(["uri", "cursor", "a", "b"]), JSON, max_size=3)


@given(one=PARAMS, other=PARAMS)
def test_a_key_tells_parameters_apart_exactly_as_json_does(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (cache_key("resources/read", one) == cache_key("resources/read", other)) is same


@given(params=PARAMS)
def test_a_key_does_not_depend_on_the_order_of_parameters(params: dict[str, Any]) -> None:
    turned = dict(reversed(params.items()))
    assert cache_key("tools/list", params) == cache_key("tools/list", turned) != cache_key("prompts/list", params)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"cursor": "1"}, {"cursor": 1}),
        ({"uri": 1}, {"uri": True}),
        ({}, {"cursor": None}),
        ({"uri": "a"}, {"uri": "A"}),
    ],
)
def test_parameters_that_only_look_alike_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cache_key("resources/list", one) != cache_key("resources/list", other)


# What a notification makes stale.

TOOLS, PROMPTS = cache_key("tools/list", {}), cache_key("prompts/list", {})
LIST, TEMPLATES = cache_key("resources/list", {}), cache_key("resources/templates/list", {})
PAGE, DISCOVERY = cache_key("tools/list", {"cursor": "2"}), cache_key("server/discover", {})
READ_A, READ_B = cache_key("resources/read", {"uri": "file:///a"}), cache_key("resources/read", {"uri": "file:///b"})
KEYS = [TOOLS, PAGE, PROMPTS, LIST, TEMPLATES, DISCOVERY, READ_A, READ_B]


def stale(method: str, params: dict[str, Any] | None = None) -> list[Any]:
    change = Change.from_notification(Notification(method, params or {}))
    assert change is not None
    return [key for key in KEYS if key is not None and change.concerns(key)]


def test_a_changed_list_makes_all_of_its_pages_stale_and_no_other_list() -> None:
    assert stale("notifications/tools/list_changed") == [TOOLS, PAGE]
    assert stale("notifications/prompts/list_changed") == [PROMPTS]
    assert stale("notifications/resources/list_changed") == [LIST, TEMPLATES]


def test_an_updated_resource_makes_what_was_read_of_it_stale() -> None:
    assert stale("notifications/resources/updated", {"uri": "file:///a"}) == [READ_A]
    assert stale("notifications/resources/updated", {"uri": "file:///a/part"}) == [READ_A]
    assert stale("notifications/resources/updated", {"uri": "file:///"}) == []


@pytest.mark.parametrize("params", [{}, {"uri": None}, {"uri": 1}, {"uri": ["file:///a"]}])
def test_an_update_that_does_not_say_of_what_makes_everything_read_stale(params: dict[str, Any]) -> None:
    assert stale("notifications/resources/updated", params) == [READ_A, READ_B]


def test_what_was_read_of_no_uri_in_particular_is_stale_after_any_update() -> None:
    odd = cache_key("resources/read", {"uri": 1})
    assert odd is not None
    assert Change(frozenset({"resources/read"}), "file:///a").concerns(odd)


@pytest.mark.parametrize(
    "method", ["notifications/progress", "notifications/message", "notifications/tools/changed", "tools/list", ""]
)
def test_other_notifications_tell_of_no_change(method: str) -> None:
    assert Change.from_notification(Notification(method, {"uri": "file:///a"})) is None
