"""What a client holds and has done, in numbers: each of them moves when it should, and only then."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from support.caching import (
    NOBODY,
    as_user,
    by,
    clock_of,
    each_era,
    listed,
    listing,
    over_streamable_http,
    own_list,
    pages,
    telling,
    world_in,
)
from support.pure import Reply, error_reply, message_of, sse_reply
from support.scenes import ALICE, BOB
from support.stepping import FOUND, SseServer, World

from mcpcore import (
    CallContext,
    Limits,
    ReceiveData,
    RequestContext,
    ResolveHeaders,
    SendRequest,
    Statistics,
    TransportError,
)

CHANGED = "notifications/tools/list_changed"


def numbers(world: World, *names: str) -> tuple[int, ...]:
    return tuple(getattr(world.client.statistics(), name) for name in names)


def number(world: World, name: str) -> int:
    return numbers(world, name)[0]


def test_a_new_client_holds_nothing_and_has_done_nothing() -> None:
    for era in ("modern", "handshake", "HTTP+SSE"):
        assert set(attrs.asdict(world_in(era).client.statistics()).values()) == {0}


def test_statistics_are_a_snapshot() -> None:
    world = world_in("modern")
    before = world.client.statistics()
    listed(world, ALICE)
    assert before == Statistics(**dict.fromkeys(attrs.fields_dict(Statistics), 0))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        before.calls = 1  # type: ignore[misc]


# In flight.


@each_era
def test_a_call_counts_from_its_first_command_to_its_end(era: str) -> None:
    world = world_in(era)
    plays = [world.play(world.client.list_tools(context=context)) for context in (ALICE, BOB, NOBODY)]
    assert number(world, "calls") == 0
    for count, play in enumerate(plays, 1):
        play.until(ResolveHeaders)
        assert number(world, "calls") == count
    plays[0].finish()
    plays[1].cancel()
    assert number(world, "calls") == 1
    plays[2].until(SendRequest)
    plays[2].operation.request_failed(TransportError("down"))
    plays[2].fail()
    assert number(world, "calls") == 0


def test_a_call_that_never_began_is_not_counted() -> None:
    world = world_in("modern")
    world.play(world.client.list_tools(context=ALICE)).cancel()
    assert set(attrs.asdict(world.client.statistics()).values()) == {0}


def test_a_goodbye_is_a_call_while_it_is_said() -> None:
    world = world_in("handshake", get_headers=None)
    listed(world, ALICE)
    (goodbye,) = world.client.close()
    play = world.play(goodbye)
    play.until(SendRequest)
    assert number(world, "calls") == 1
    play.finish()
    assert number(world, "calls") == 0


# What is held.


@each_era
def test_partitions_are_counted_by_kind(era: str) -> None:
    world = world_in(era)
    for context in (ALICE, BOB, ALICE, NOBODY, by("bob"), by("carol"), NOBODY):
        listed(world, context)
    assert numbers(world, "partitions", "anonymous_partitions") == (2, 3)
    world.client.close()
    assert numbers(world, "partitions", "anonymous_partitions") == (0, 0)


def test_sessions_are_those_that_are_kept() -> None:
    world = world_in("handshake")
    for context in (ALICE, BOB, NOBODY, ALICE):
        world.run(world.client.ping(context=context))
    assert numbers(world, "sessions", "streams") == (3, 0)
    world.server.known.clear()  # type: ignore[attr-defined]
    play = world.play(world.client.ping(context=ALICE))
    play.until(SendRequest, rpc_method="initialize")
    assert number(world, "sessions") == 2
    play.finish()
    assert number(world, "sessions") == 3
    world.client.close()
    assert number(world, "sessions") == 0


def test_a_session_of_one_calls_own_is_not_kept() -> None:
    world = world_in("handshake", opaque_identity=True)
    world.run(world.client.ping(context=NOBODY))
    assert numbers(world, "sessions", "anonymous_partitions") == (0, 0)


def test_streams_are_those_that_are_open() -> None:
    world = world_in("HTTP+SSE")
    for context in (ALICE, BOB):
        listed(world, context)
    assert numbers(world, "sessions", "streams") == (0, 2)
    world.streams[0].receive_end()
    assert number(world, "streams") == 1
    world.client.close()
    assert number(world, "streams") == 0


def test_a_stream_that_is_being_opened_has_its_place() -> None:
    world = world_in("HTTP+SSE")
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(SendRequest)
    assert number(world, "streams") == 1
    play.cancel()
    assert number(world, "streams") == 0


def test_entries_and_bytes_are_those_of_both_budgets() -> None:
    world = world_in("modern")
    for context in (ALICE, BOB, NOBODY):
        listed(world, context)
    results = [listing(f"tool of {name}") for name in ("alice", "bob", "alice")]
    size = sum(len("tools/list{}" + json.dumps(result, separators=(",", ":"))) for result in results)
    assert numbers(world, "cache_entries", "cache_bytes") == (3, size)
    world.client.close()
    assert numbers(world, "cache_entries", "cache_bytes") == (0, 0)


def test_a_public_list_is_held_beside_its_pages() -> None:
    world = world_in("modern", lambda request: listing("t", scope="public"), share_public=True)
    listed(world, ALICE)
    listed(world, BOB)
    size = len("tools/list{}" + json.dumps(listing("t", scope="public"), separators=(",", ":")))
    assert numbers(world, "cache_entries", "cache_bytes") == (2, 2 * size)


# Hits and misses.


@each_era
def test_hits_and_misses(era: str) -> None:
    world = world_in(era)
    for count, context in enumerate((ALICE, BOB, NOBODY), 1):
        listed(world, context)
        assert numbers(world, "cache_hits", "cache_misses") == (count - 1, count)
        listed(world, context)
        assert numbers(world, "cache_hits", "cache_misses") == (count, count)
    listed(world, ALICE, "refresh")
    assert numbers(world, "cache_hits", "cache_misses") == (3, 4)
    listed(world, ALICE, "bypass")
    world.run(world.client.call_tool("x", context=ALICE))
    assert numbers(world, "cache_hits", "cache_misses") == (3, 4)


def test_each_page_counts() -> None:
    world = world_in("modern", pages(first=listing("a", cursor="2"), **{"2": listing("b", ttl=1000)}))
    listed(world, ALICE)
    clock_of(world).now += 1
    listed(world, ALICE)
    assert numbers(world, "cache_hits", "cache_misses") == (1, 3)


def test_a_public_list_of_many_pages_is_one_hit() -> None:
    book = pages(first=listing("a", scope="public", cursor="2"), **{"2": listing("b", scope="public")})
    world = world_in("modern", book, share_public=True)
    listed(world, ALICE)
    listed(world, BOB)
    assert numbers(world, "cache_hits", "cache_misses") == (1, 2)


def test_who_is_served_by_anothers_request_has_a_hit() -> None:
    world = world_in("modern")
    world.run_all(*(world.play(world.client.list_tools(context=ALICE)) for _ in range(3)))
    assert numbers(world, "cache_hits", "cache_misses") == (2, 1)


# Evictions.


def test_an_answer_that_makes_room_is_an_eviction_and_a_stale_or_changed_one_is_not() -> None:
    def answer(request: SendRequest) -> Any:
        return telling(request, FOUND, CHANGED) if request.rpc_method == "tools/call" else own_list(request)

    world = world_in("modern", answer, limits=Limits(cache_entries=2))
    for name in ("a", "b", "c"):
        listed(world, CallContext(principal=name, request_headers={"x-user": name}))
    assert number(world, "evictions") == 1
    world.run(world.client.call_tool("x", context=CallContext(principal="c", request_headers={"x-user": "c"})))
    clock_of(world).now += 60
    listed(world, ALICE)
    listed(world, BOB)
    assert number(world, "evictions") == 1


def test_a_partition_that_makes_room_or_was_idle_is_an_eviction_but_its_answers_are_none() -> None:
    world = world_in("modern", limits=Limits(partitions=1, anonymous_partitions=1, idle_partition=1000.0))
    for context in (ALICE, BOB, NOBODY, by("bob")):
        listed(world, context)
    assert numbers(world, "evictions", "partitions", "anonymous_partitions", "cache_entries") == (2, 1, 1, 2)
    clock_of(world).now += 1000
    listed(world, BOB)
    assert numbers(world, "evictions", "partitions", "anonymous_partitions", "cache_entries") == (3, 1, 0, 1)


# Resolutions that went on no request.


@over_streamable_http
def test_a_hit_without_a_principal_leaves_one_resolution_unused(era: str) -> None:
    world = world_in(era)
    listed(world, NOBODY)
    before = number(world, "unused_resolutions")
    for count in (1, 2):
        listed(world, NOBODY)
        assert number(world, "unused_resolutions") == before + count
    listed(world, ALICE)
    listed(world, ALICE)
    assert number(world, "unused_resolutions") == before + 2


def test_a_modern_miss_leaves_none() -> None:
    world = world_in("modern")
    for context in (ALICE, NOBODY):
        listed(world, context)
        world.run(world.client.call_tool("x", context=context))
    assert number(world, "unused_resolutions") == 0


def test_who_learns_whose_it_is_before_there_is_a_session_uses_those_headers_for_nothing() -> None:
    world = world_in("handshake")
    listed(world, NOBODY)
    assert number(world, "unused_resolutions") == len(world.resolved) - len(world.sent) == 1


def test_a_flight_that_serves_leaves_its_follower_with_one_unused() -> None:
    world = world_in("modern")
    plays = [world.play(world.client.list_tools(context=ALICE)) for _ in range(2)]
    for play in plays:
        play.until(ResolveHeaders)
    for play in plays:
        play.finish()
    assert number(world, "unused_resolutions") == 1


def test_a_resolver_that_raises_is_counted() -> None:
    def refusing(context: RequestContext) -> dict[str, str]:
        raise ValueError

    world = world_in("modern", get_headers=refusing)
    world.fail(world.client.list_tools(context=ALICE))
    assert number(world, "unused_resolutions") == 1


@pytest.mark.parametrize(("at", "unused"), [(ResolveHeaders, 1), (SendRequest, 0), (ReceiveData, 0)])
def test_a_cancellation_counts_if_nothing_was_sent(at: Any, unused: int) -> None:
    world = world_in("modern")
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(at)
    play.cancel()
    assert number(world, "unused_resolutions") == unused


def test_several_resolvers_of_one_request_are_one_resolution() -> None:
    world = world_in("modern", get_headers=[as_user, as_user, as_user])
    for _ in range(3):
        listed(world, NOBODY)
    assert number(world, "unused_resolutions") == 2


def test_without_resolvers_nothing_is_unused() -> None:
    world = world_in("modern", get_headers=None)
    for _ in range(3):
        listed(world, NOBODY)
    assert numbers(world, "cache_hits", "unused_resolutions") == (2, 0)


# Messages for nobody.


@over_streamable_http
def test_an_answer_to_another_request_is_ignored_and_counted(era: str) -> None:
    def answer(request: SendRequest) -> Any:
        number = message_of(request)["id"]
        foreign = {"jsonrpc": "2.0", "id": 999, "result": listing("foreign")}
        return sse_reply(foreign, foreign, {"jsonrpc": "2.0", "id": number, "result": listing("t")})

    world = world_in(era, answer)
    assert listed(world, ALICE) == ["t"]
    assert number(world, "ignored_messages") == 2


@over_streamable_http
def test_progress_of_another_request_is_ignored_and_counted(era: str) -> None:
    def answer(request: SendRequest) -> Any:
        token = message_of(request)["id"]
        progress = [
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": t, "progress": 1}}
            for t in (token, token + 1, str(token), True)
        ]
        return sse_reply(*progress, {"jsonrpc": "2.0", "id": token, "result": FOUND})

    world = world_in(era, answer)
    seen: list[Any] = []
    world.run(world.client.call_tool("x", context=ALICE, on_progress=seen.append))
    assert len(seen) == 1
    assert number(world, "ignored_messages") == 3


def test_what_is_ignored_counts_also_where_the_call_fails() -> None:
    def answer(request: SendRequest) -> Any:
        return sse_reply({"jsonrpc": "2.0", "id": 999, "result": {}})  # and then the stream ends

    world = world_in("modern", answer)
    world.fail(world.client.list_tools(context=ALICE))
    assert number(world, "ignored_messages") == 1


def test_what_nobody_waits_for_on_an_event_stream_is_ignored_and_counted() -> None:
    world = world_in("HTTP+SSE")
    listed(world, ALICE)
    for message in (
        {"id": 999, "result": {}},
        {"id": "x", "error": {"code": 1, "message": ""}},
        {"error": {"code": 1, "message": ""}},
        {"id": 1, "method": "roots/list"},
        {"method": "notifications/progress", "params": {"progressToken": 999, "progress": 1}},
        {"method": "notifications/message", "params": {}},
    ):
        world.push({"jsonrpc": "2.0", **message})
    assert number(world, "ignored_messages") == 6
    world.push({"jsonrpc": "2.0", "method": CHANGED})
    world.push({"jsonrpc": "2.0", "method": "notifications/resources/updated"})
    assert number(world, "ignored_messages") == 6


def test_what_belongs_where_it_arrived_is_not_counted() -> None:
    def answer(request: SendRequest) -> Any:
        if request.rpc_name == "fail":
            return error_reply(request, -32000)
        return Reply(403) if request.rpc_name == "forbidden" else telling(request, FOUND, CHANGED, "notifications/x")

    world = world_in("modern", answer)
    world.run(world.client.call_tool("x", context=ALICE))
    for name in ("fail", "forbidden"):
        world.fail(world.client.call_tool(name, context=ALICE))
    sse = world_in("HTTP+SSE", lambda request: FOUND)
    assert isinstance(sse.server, SseServer)
    sse.run(sse.client.call_tool("x", context=ALICE))
    assert number(world, "ignored_messages") == number(sse, "ignored_messages") == 0
