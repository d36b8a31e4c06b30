"""Answers from the cache: when there is one, whose it is, and who asks whom for what is not there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from support.caching import (
    NOBODY,
    Results,
    answer_anything,
    as_user,
    asked,
    by,
    clock_of,
    each_era,
    kept,
    listed,
    listing,
    names,
    over_streamable_http,
    own_list,
    pages,
    telling,
    tool,
    user_of,
    world_in,
)
from support.pure import Answer, Reply, error_reply, headers_of, message_of, result_reply
from support.scenes import ALICE, BOB
from support.shelf import Clock
from support.stepping import (
    DISCOVERY,
    MODERN,
    world_of,
)

from mcpcore import (
    CallContext,
    ConfigurationError,
    Deliver,
    Limits,
    ReceiveData,
    ResolveHeaders,
    RpcError,
    SendRequest,
)
from mcpcore.rules.metadata import PROGRESS_TOKEN_KEY

LIST = "tools/list"


# A hit, and what it saves.


@each_era
def test_a_principal_that_finds_its_answer_asks_no_resolver(era: str) -> None:
    world = world_in(era)
    assert listed(world, ALICE) == ["tool of alice"]
    world.sent.clear()
    world.resolved.clear()
    assert listed(world, ALICE) == ["tool of alice"]
    assert (world.sent, world.resolved) == ([], [])


@each_era
def test_without_a_principal_the_resolvers_say_whose_answer_is_looked_for(era: str) -> None:
    world = world_in(era)
    for name in ("alice", "bob"):
        assert listed(world, by(name)) == [f"tool of {name}"]
    world.sent.clear()
    world.resolved.clear()
    for name in ("alice", "bob", "alice"):
        assert listed(world, by(name)) == [f"tool of {name}"]
    assert world.sent == []
    assert [context.request_headers["x-user"] for context in world.resolved] == ["alice", "bob", "alice"]


@each_era
def test_a_principal_and_its_headers_alone_find_different_answers(era: str) -> None:
    world = world_in(era)
    listed(world, ALICE)
    listed(world, NOBODY)
    assert asked(world) == 2


def numbered() -> Any:
    """A resolver whose answers can be told apart, although all of them are one identity's."""
    numbers = itertools.count(1)
    return lambda context: {**as_user(context), "traceparent": str(next(numbers))}


@over_streamable_http
def test_on_a_miss_the_request_carries_the_very_headers_that_showed_whose_it_is(era: str) -> None:
    world = world_in(era, get_headers=numbered())
    listed(world, NOBODY)
    clock_of(world).now += 60
    world.resolved.clear()
    world.sent.clear()
    listed(world, NOBODY)
    (request,) = world.sent
    (context,) = world.resolved
    assert context.body == request.body
    assert context.rpc_method == LIST
    assert headers_of(request)["traceparent"] == ("2" if era == "modern" else "5")


@each_era
@pytest.mark.parametrize("context", [ALICE, NOBODY], ids=["principal", "nobody"])
@pytest.mark.parametrize("cache", ["use", "refresh", "bypass"])
def test_no_resolution_is_on_the_wire_twice(era: str, context: CallContext, cache: str) -> None:
    world = world_in(era, get_headers=numbered())
    for seconds in (0, 0, 60, 1):
        clock_of(world).now += seconds
        listed(world, context, cache)
    sent = [headers_of(request)["traceparent"] for request in world.sent]
    assert len(set(sent)) == len(sent)
    statistics = world.client.statistics()
    assert statistics.unused_resolutions == len(world.resolved) - len(sent)


def test_headers_for_a_stream_that_has_ended_are_not_sent_to_the_next() -> None:
    world = world_in("HTTP+SSE", get_headers=numbered())
    world.run(world.client.open(context=ALICE))
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(ResolveHeaders)
    world.streams[0].receive_end()
    assert names(play.finish()) == ["tool of alice"]
    told = {str(number): context.url for number, context in enumerate(world.resolved, 1)}
    for request in world.sent:
        assert told[headers_of(request)["traceparent"]] == request.url
    assert world.sent[-1].url.endswith("?s=2")


# What the caller says.


@each_era
def test_use_takes_what_is_there_refresh_replaces_it_and_bypass_leaves_it(era: str) -> None:
    numbers = itertools.count(1)
    world = world_in(era, lambda request: listing(f"tool {next(numbers)}"))
    seen = [listed(world, ALICE, cache)[0] for cache in ("use", "use", "bypass", "use", "refresh", "use", "bypass")]
    assert seen == [f"tool {number}" for number in (1, 1, 2, 1, 3, 3, 4)]


@each_era
def test_bypass_keeps_nothing(era: str) -> None:
    world = world_in(era)
    listed(world, ALICE, "bypass")
    assert kept(world) == 0
    assert world.client.statistics().cache_misses == 0


@pytest.mark.parametrize("method", ["list_tools", "request"])
def test_any_other_word_is_refused_before_anything_is_done(method: str) -> None:
    client = world_in("modern").client
    args = [LIST] if method == "request" else []
    with pytest.raises(ConfigurationError, match="cache must be one of use, refresh, bypass"):
        getattr(client, method)(*args, cache="no")


# For how long.


@pytest.mark.parametrize(("seconds", "requests"), [(0.0, 1), (29.999, 1), (30.0, 2), (1e9, 2)])
def test_an_answer_is_stale_when_its_time_to_live_has_passed_since_it_was_received(
    seconds: float, requests: int
) -> None:
    world = world_in("modern", lambda request: listing("t", ttl=30_000))
    clock = clock_of(world)
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(ReceiveData)
    clock.now += 100  # the answer takes its time
    play.finish()
    clock.now += seconds
    listed(world, ALICE)
    assert asked(world) == requests


@pytest.mark.parametrize("ttl", [0, -1, None, True, 60_000.0, "60000"])
def test_an_answer_without_a_usable_time_to_live_is_not_kept(ttl: object) -> None:
    world = world_in("modern", lambda request: listing("t", ttl=ttl), default_ttl=60.0)
    for _ in range(2):
        listed(world, ALICE)
    assert (asked(world), kept(world)) == (2, 0)


def test_no_answer_is_kept_for_longer_than_the_limit() -> None:
    world = world_in("modern", lambda request: listing("t", ttl=10**12), limits=Limits(cache_age=10.0))
    for seconds in (0.0, 9.5, 0.5):
        clock_of(world).now += seconds
        listed(world, ALICE)
    assert asked(world) == 2


@pytest.mark.parametrize("era", ["handshake", "HTTP+SSE"])
def test_before_there_were_hints_the_user_says_for_how_long(era: str) -> None:
    def asked_at(default_ttl: float, *times: float) -> int:
        world = world_in(era, default_ttl=default_ttl)
        for time in times:
            clock_of(world).now = 1000.0 + time
            listed(world, ALICE)
        return asked(world)

    assert asked_at(5.0, 0.0, 4.9, 5.0, 9.9, 10.0) == 3
    assert asked_at(0.0, 0.0, 0.0) == 2


@pytest.mark.parametrize("era", ["handshake", "HTTP+SSE"])
def test_where_nothing_is_ever_kept_there_is_nothing_to_miss_and_nobody_to_wait_for(era: str) -> None:
    world = world_in(era, default_ttl=0.0)
    world.run(world.client.open(context=ALICE))
    plays = [world.play(world.client.list_tools(context=ALICE)) for _ in range(2)]
    for play in plays:
        play.until(SendRequest, rpc_method=LIST)
    for play in plays:
        play.finish()
    statistics = world.client.statistics()
    assert (asked(world), statistics.cache_hits, statistics.cache_misses) == (2, 0, 0)


@pytest.mark.parametrize("default_ttl", [-1.0, float("nan")])
def test_a_default_that_is_no_time_is_refused(default_ttl: float) -> None:
    with pytest.raises(ConfigurationError, match="default_ttl is a number of seconds, 0 or more"):
        world_in("modern", default_ttl=default_ttl)


@each_era
def test_a_client_without_a_clock_keeps_nothing(era: str) -> None:
    world = world_in(era, clock=None)
    for _ in range(2):
        listed(world, ALICE)
    statistics = world.client.statistics()
    assert asked(world) == 2
    assert (statistics.cache_entries, statistics.cache_hits, statistics.cache_misses) == (0, 0, 0)


# Page by page.


def test_each_page_is_fresh_for_as_long_as_it_says() -> None:
    book = pages(
        first=listing("a", ttl=30_000, cursor="2"), **{"2": listing("b", ttl=10_000, cursor="3"), "3": listing("c")}
    )
    world = world_in("modern", book)
    read = []
    for seconds in (0, 9, 1, 20):
        clock_of(world).now += seconds
        world.sent.clear()
        assert listed(world, ALICE) == ["a", "b", "c"]
        read.append([message_of(request)["params"].get("cursor", "1") for request in world.sent])
    assert read == [["1", "2", "3"], [], ["2"], ["1", "2"]]


def forgetful(cursors: Mapping[str, str], code: int = -32602) -> Results:
    """A list of two pages, the cursor to the second of which changes; others are not known."""

    def answer(request: SendRequest) -> Any:
        cursor = message_of(request)["params"].get("cursor")
        if cursor is None:
            return listing("a", ttl=60_000, cursor=cursors["now"])
        return listing("b", ttl=10_000) if cursor == cursors["now"] else error_reply(request, code)

    return answer


def test_a_kept_page_whose_cursor_is_unknown_by_now_is_read_again_with_all_others() -> None:
    cursors = {"now": "x"}
    world = world_in("modern", forgetful(cursors))
    listed(world, ALICE)
    cursors["now"] = "y"
    clock_of(world).now += 10
    world.sent.clear()
    assert listed(world, ALICE) == ["a", "b"]
    sent = [message_of(request)["params"].get("cursor") for request in world.sent]
    assert sent == ["x", None, "y"]
    world.sent.clear()
    assert listed(world, ALICE) == ["a", "b"]
    assert world.sent == []


def test_a_list_is_read_again_only_once() -> None:
    def answer(request: SendRequest) -> Any:
        is_first = "cursor" not in message_of(request)["params"]
        return listing("a", cursor="x") if is_first else error_reply(request, -32602)

    world = world_in("modern", answer)
    for requests in (2, 3):
        world.sent.clear()
        error = world.fail(world.client.list_tools(context=ALICE))
        assert isinstance(error, RpcError)
        assert error.code == -32602
        assert asked(world) == requests  # the first time no page came from the cache


@pytest.mark.parametrize("code", ["loops", "goes on"])
def test_a_kept_page_that_leads_nowhere_is_read_again_with_all_others(code: str) -> None:
    numbers = itertools.count(3)
    turned: list[bool] = []

    def answer(request: SendRequest) -> Any:
        cursor = message_of(request)["params"].get("cursor")
        if cursor is None:
            return listing("new") if turned else listing("a", cursor="2")
        if not turned:
            return listing("b", ttl=0)
        return listing("lost", ttl=0, cursor="2" if code == "loops" else str(next(numbers)))

    world = world_in("modern", answer, limits=Limits(pages=3))
    assert listed(world, ALICE) == ["a", "b"]
    turned.append(True)
    assert listed(world, ALICE) == ["new"]
    world.sent.clear()
    assert listed(world, ALICE) == ["new"]
    assert world.sent == []


@pytest.mark.parametrize("cursor", ["x", None])
def test_a_list_that_leads_nowhere_from_its_beginning_is_not_read_again(cursor: str | None) -> None:
    numbers = itertools.count()
    world = world_in(
        "modern", lambda request: listing("t", cursor=cursor or str(next(numbers))), limits=Limits(pages=3)
    )
    world.fail(world.client.list_tools(context=ALICE))
    assert asked(world) == (2 if cursor else 3)


def test_other_errors_do_not_make_a_list_be_read_again() -> None:
    cursors = {"now": "x"}
    world = world_in("modern", forgetful(cursors, -32603))
    listed(world, ALICE)
    cursors["now"] = "y"
    clock_of(world).now += 10
    world.sent.clear()
    assert isinstance(world.fail(world.client.list_tools(context=ALICE)), RpcError)
    assert asked(world) == 1


# What may be kept at all.


@each_era
@pytest.mark.parametrize(
    "method", ["prompts/list", "resources/list", "resources/templates/list", "resources/read", "tools/list"]
)
def test_every_cacheable_method_is_cached_by_its_parameters(era: str, method: str) -> None:
    world = world_in(era, answer_anything)
    for params in ({"uri": "a"}, {"uri": "b"}, {"uri": "a"}, {"uri": "b", "more": 1}, {"more": 1, "uri": "b"}):
        result = world.run(world.client.request(method, params, context=ALICE))
        assert result["params"].items() >= params.items()
    assert asked(world, method) == 3


@each_era
@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "completion/complete"])
def test_no_other_method_is_cached(era: str, method: str) -> None:
    world = world_in(era, answer_anything)
    for _ in range(2):
        world.run(world.client.request(method, {"name": "x"}, context=ALICE))
    assert (asked(world, method), kept(world)) == (2, 0)


@each_era
@pytest.mark.parametrize("more", [{"_meta": {"a": 1}}, {"requestState": "s"}, {"inputResponses": {}}], ids=str)
def test_what_depends_on_more_than_the_parameters_is_neither_kept_nor_found(era: str, more: dict[str, Any]) -> None:
    world = world_in(era, answer_anything)
    world.run(world.client.request("resources/read", {"uri": "a"}, context=ALICE))
    for _ in range(2):
        world.run(world.client.request("resources/read", {"uri": "a", **more}, context=ALICE))
    assert (asked(world, "resources/read"), kept(world)) == (3, 1)


@each_era
def test_what_a_list_asks_and_what_request_asks_is_the_same(era: str) -> None:
    world = world_in(era)
    raw = world.run(world.client.request(LIST, context=ALICE))
    assert listed(world, ALICE) == [tool["name"] for tool in raw["tools"]]
    assert asked(world) == 1


@pytest.mark.parametrize("contexts", [(ALICE, BOB), (NOBODY, by("bob"))], ids=["principals", "nobody"])
@pytest.mark.parametrize("pinned", [MODERN, None])
def test_what_a_modern_server_tells_about_itself_is_cached(pinned: str | None, contexts: tuple[Any, Any]) -> None:
    def server(request: SendRequest) -> Answer:
        return result_reply(request, {**DISCOVERY, "instructions": f"for {user_of(request)}", "ttlMs": 1000})

    world = world_of(server, clock=Clock(), get_headers=as_user, protocol_version=pinned)
    for context, name in [*zip(contexts, ("alice", "bob"), strict=True)] * 2:
        assert world.run(world.client.open(context=context)).instructions == f"for {name}"
    assert asked(world, "server/discover") == 2
    world.run(world.client.ping(context=contexts[0]))
    assert asked(world, "server/discover") == 3  # a ping wants to know now
    clock_of(world).now += 1
    world.run(world.client.open(context=contexts[0]))
    assert asked(world, "server/discover") == 4


@over_streamable_http
@pytest.mark.parametrize("value", ["1e999", '"\\ud800"'])
def test_an_answer_that_json_cannot_say_again_is_handed_on_and_not_kept(era: str, value: str) -> None:
    def answer(request: SendRequest) -> Answer:
        text = '{"jsonrpc":"2.0","id":%d,"result":{"resultType":"complete","ttlMs":60000,"odd":%s}}'
        body = (text % (message_of(request)["id"], value)).encode()
        return Reply(200, {"content-type": "application/json"}, [body])

    world = world_in(era, answer)
    for _ in range(2):
        assert "odd" in world.run(world.client.request("resources/read", {"uri": "a"}, context=ALICE))
    assert (asked(world, "resources/read"), kept(world)) == (2, 0)


@each_era
@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/read"])
@pytest.mark.parametrize("results", [None, {}, "tools"], ids=str)
def test_an_answer_without_what_it_is_for_is_not_kept(era: str, method: str, results: object) -> None:
    def answer(request: SendRequest) -> Any:
        return {"ttlMs": 60_000, **dict.fromkeys(("tools", "prompts", "contents"), results)}

    world = world_in(era, answer)
    for _ in range(2):
        world.run(world.client.request(method, {"uri": "a"}, context=ALICE))
    assert (asked(world, method), kept(world)) == (2, 0)


@each_era
@pytest.mark.parametrize("how", ["error", "status"])
def test_a_failure_is_not_kept(era: str, how: str) -> None:
    answers = iter([False, True])

    def answer(request: SendRequest) -> Any:
        if next(answers, True):
            return own_list(request)
        return Reply(500) if how == "status" or era == "HTTP+SSE" else error_reply(request, -32000)

    world = world_in(era, answer)
    world.fail(world.client.list_tools(context=ALICE))
    assert kept(world) == 0
    assert listed(world, ALICE) == ["tool of alice"]
    assert asked(world) == 2


# Objects.


def spoil(value: Any) -> None:
    """Change all that can be changed in it."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")


@each_era
def test_each_caller_of_a_list_has_objects_of_its_own(era: str) -> None:
    world = world_in(era)
    for _ in range(3):
        tools = world.run(world.client.list_tools(context=ALICE))
        assert [each.raw for each in tools] == [tool("tool of alice")]
        assert tools[0].input_schema == {"type": "object"}
        spoil(tools[0].raw)
        spoil(tools[0].input_schema)
        tools.clear()
    assert asked(world) == 1


@each_era
def test_each_caller_of_a_request_has_objects_of_its_own(era: str) -> None:
    world = world_in(era, answer_anything)
    for _ in range(3):
        result = world.run(world.client.request("resources/read", {"uri": "a"}, context=ALICE))
        assert result["params"]["uri"] == "a"
        spoil(result)
    assert asked(world, "resources/read") == 1


@each_era
def test_each_caller_that_opens_has_objects_of_its_own(era: str) -> None:
    world = world_in(era)
    expected: Any = None
    for _ in range(3):
        discovery = world.run(world.client.open(context=ALICE))
        told = (repr(discovery.capabilities.raw), repr(discovery.server_info))
        assert told == (expected or told)
        expected = told
        spoil(discovery.capabilities.raw)
        spoil(discovery.server_info and discovery.server_info.raw)


def test_those_who_share_a_public_list_have_objects_of_their_own() -> None:
    world = world_in("modern", lambda request: listing("t", scope="public"), share_public=True)
    for context in (ALICE, BOB, ALICE, BOB):
        (tool,) = world.run(world.client.list_tools(context=context))
        assert tool.raw == {"name": "t", "inputSchema": {"type": "object"}}
        spoil(tool.raw)
    assert asked(world) == 1


@each_era
def test_a_follower_has_objects_of_its_own(era: str) -> None:
    world = world_in(era)
    plays = [world.play(world.client.list_tools(context=ALICE)) for _ in range(3)]
    world.run_all(*plays)
    assert asked(world) == 1
    for play in plays:
        (tool,) = play.finish()
        assert tool.input_schema == {"type": "object"}
        spoil(tool.raw)


@each_era
def test_the_keys_of_a_definition_stay_in_their_order(era: str) -> None:
    schema = {"type": "object", "properties": {"z": {}, "a": {}, "m": {}}, "b": 1, "a": 2}
    world = world_in(era, lambda request: {"ttlMs": 60_000, "tools": [{"name": "t", "inputSchema": schema, "a": 1}]})
    for _ in range(2):
        (tool,) = world.run(world.client.list_tools(context=ALICE))
        assert list(tool.raw) == ["name", "inputSchema", "a"]
        assert list(tool.input_schema) == list(schema)
        assert list(tool.input_schema["properties"]) == ["z", "a", "m"]
    assert asked(world) == 1


# What is called while one asks may itself use the client.


def test_a_handler_may_ask_the_same_while_its_call_asks() -> None:
    def progressing(request: SendRequest) -> Any:
        token = message_of(request)["params"].get("_meta", {}).get(PROGRESS_TOKEN_KEY, 0)
        return telling(request, own_list(request), "notifications/progress", progressToken=token, progress=1)

    world = world_in("modern", progressing)
    asking = world.play(world.client.request("tools/list", context=ALICE, on_progress=print))
    asking.until(Deliver)
    assert listed(world, ALICE) == ["tool of alice"]
    asking.finish()


def test_a_resolver_may_ask_the_same_while_it_is_asked_again() -> None:
    refused: list[str] = []

    def once(request: SendRequest) -> Any:
        if not refused:
            refused.append("alice")
            return Reply(401)
        return own_list(request)

    def token(context: Any) -> dict[str, str]:
        return {"Authorization": "Bearer t", **as_user(context)}

    world = world_in("modern", once, get_headers=token)
    asking = world.play(world.client.list_tools(context=ALICE))
    asking.until(SendRequest)
    asking.step()
    asking.until(ResolveHeaders)
    assert listed(world, ALICE) == ["tool of alice"]
    asking.finish()
