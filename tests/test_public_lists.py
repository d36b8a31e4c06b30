"""Lists that a server calls public: shared where the user says so, as a whole, and only if every page says so."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from support.caching import (
    NOBODY,
    as_user,
    asked,
    by,
    clock_of,
    kept,
    listed,
    listing,
    modern_with,
    own_list,
    pages,
    telling,
    user_of,
    world_in,
)
from support.pure import Reply, headers_of, message_of
from support.scenes import ALICE, BOB
from support.shelf import Clock
from support.stepping import FOUND, SseServer, World, world_of

from mcpcore import CallContext, Limits, ReceiveData, RequestContext

CAROL = CallContext(principal="acme/carol", request_headers={"x-user": "carol"})
DAVE = CallContext(principal="acme/dave", request_headers={"x-user": "dave"})
CHANGED = "notifications/tools/list_changed"


def public_of_user(request: Any) -> Any:
    """A list that the server calls public, although it names who asked first; tests see so who that was."""
    if request.rpc_method == "tools/call":
        return telling(request, FOUND, CHANGED) if request.rpc_name == "change" else Reply(403)
    return listing(f"tool of {user_of(request)}", scope="public")


def public_world(results: Any = public_of_user, **options: Any) -> World:
    return world_in("modern", results, **{"share_public": True, **options})


def askers(world: World) -> list[str]:
    return [user_of(request) for request in world.sent if request.rpc_method == "tools/list"]


# Shared.


def test_a_public_list_is_fetched_once_for_everybody() -> None:
    world = public_world()
    for context in (ALICE, BOB, NOBODY, by("bob"), ALICE):
        assert listed(world, context) == ["tool of alice"]
    assert askers(world) == ["alice"]


def test_who_has_a_principal_asks_no_resolver_for_it_and_others_ask_once() -> None:
    world = public_world()
    listed(world, ALICE)
    world.resolved.clear()
    listed(world, BOB)
    assert world.resolved == []
    listed(world, by("carol"))
    assert len(world.resolved) == 1
    assert world.client.statistics().cache_hits == 2


def test_a_whole_list_of_several_pages_is_shared_until_the_first_of_them_is_stale() -> None:
    book = pages(
        first=listing("a", scope="public", ttl=60_000, cursor="2"), **{"2": listing("b", scope="public", ttl=10_000)}
    )
    world = public_world(book)
    for context in (ALICE, BOB):
        assert listed(world, context) == ["a", "b"]
    assert asked(world) == 2
    clock_of(world).now += 9.9
    listed(world, CAROL)
    assert asked(world) == 2
    clock_of(world).now += 0.1
    assert listed(world, DAVE) == ["a", "b"]
    assert asked(world) == 4


def test_what_a_shared_definition_asks_of_calls_is_learned_by_each_who_reads_it() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string", "x-mcp-header": "Q"}}}
    result = {"ttlMs": 60_000, "cacheScope": "public", "tools": [{"name": "search", "inputSchema": schema}]}
    world = public_world(lambda request: FOUND if request.rpc_method == "tools/call" else result)
    listed(world, ALICE)
    for context, names in ((BOB, set()), (CAROL, {"mcp-param-q"})):
        if context is CAROL:
            listed(world, CAROL)
        world.run(world.client.call_tool("search", {"q": "x"}, context=context))
        assert {name for name in headers_of(world.sent[-1]) if name.startswith("mcp-param-")} == names
    assert asked(world) == 1


def test_refresh_and_bypass_ask_the_server() -> None:
    world = public_world()
    listed(world, ALICE)
    assert listed(world, BOB, "bypass") == ["tool of bob"]
    assert listed(world, CAROL) == ["tool of alice"]
    assert listed(world, BOB, "refresh") == ["tool of bob"]
    assert listed(world, DAVE) == ["tool of bob"]


# Not shared.


def test_nothing_is_shared_unless_the_user_says_so() -> None:
    world = public_world(share_public=False)
    for context in (ALICE, BOB, NOBODY):
        assert listed(world, context) == [f"tool of {context.request_headers['x-user']}"]
    assert kept(world) == 3


@pytest.mark.parametrize("scope", ["private", "Public", "shared", None, True])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_page_that_is_not_public_keeps_the_whole_list_from_being_shared(which: int, scope: object) -> None:
    def answer(request: Any) -> Any:
        page = int(message_of(request)["params"].get("cursor", "0"))
        cursor = None if page == 2 else str(page + 1)
        return listing(f"{page} of {user_of(request)}", scope=scope if page == which else "public", cursor=cursor)

    world = public_world(answer)
    for context in (ALICE, BOB, NOBODY):
        assert listed(world, context) == [f"{page} of {context.request_headers['x-user']}" for page in range(3)]
    assert asked(world) == 9


@pytest.mark.parametrize("which", [0, 1])
def test_a_list_is_not_shared_unless_every_page_is_kept(which: int) -> None:
    def answer(request: Any) -> Any:
        page = int(message_of(request)["params"].get("cursor", "0"))
        cursor = None if page == 1 else "1"
        return listing(str(page), scope="public", ttl=0 if page == which else 60_000, cursor=cursor)

    world = public_world(answer)
    for context in (ALICE, BOB):
        listed(world, context)
    assert asked(world) == 4
    assert kept(world) == 2


def test_half_a_list_is_not_shared() -> None:
    book = pages(first=listing("a", scope="public", cursor="2"), **{"2": listing("b", scope="public")})

    def answer(request: Any) -> Any:
        is_refused = user_of(request) == "alice" and "cursor" in message_of(request)["params"]
        return Reply(500) if is_refused else book(request)

    world = public_world(answer)
    world.fail(world.client.list_tools(context=ALICE))
    assert listed(world, BOB) == ["a", "b"]
    assert askers(world) == ["alice", "alice", "bob", "bob"]


def test_pages_asked_for_one_by_one_are_shared_neither_way() -> None:
    world = public_world()
    world.run(world.client.request("tools/list", context=ALICE))
    assert listed(world, BOB) == ["tool of bob"]
    world.run(world.client.request("tools/list", context=CAROL))
    assert askers(world) == ["alice", "bob", "carol"]


def test_a_list_with_too_many_pages_is_not_shared() -> None:
    numbers = itertools.count(1)
    world = public_world(
        lambda request: listing("t", scope="public", cursor=str(next(numbers))), limits=Limits(pages=2)
    )
    for context in (ALICE, BOB):
        world.fail(world.client.list_tools(context=context))
    assert asked(world) == 4


@pytest.mark.parametrize("era", ["handshake", "HTTP+SSE"])
def test_a_revision_without_hints_has_no_public_lists(era: str) -> None:
    world = world_in(era, public_of_user, share_public=True)
    for context in (ALICE, BOB):
        assert listed(world, context) == [f"tool of {context.request_headers['x-user']}"]


def test_a_list_answered_as_somebody_else_is_not_shared() -> None:
    def turning(context: RequestContext) -> dict[str, str]:
        return {"Authorization": "Bearer app" if context.attempt == 1 else f"Bearer {context.user}"}

    def answer(request: Any) -> Any:
        token = headers_of(request)["authorization"]
        return Reply(401) if token == "Bearer app" else listing(f"of {token}", scope="public")

    world = public_world(answer, get_headers=turning)
    for name in ("alice", "bob"):
        assert listed(world, CallContext(user=name)) == [f"of Bearer {name}"]


def test_what_an_invisible_identity_lists_is_not_shared() -> None:
    world = public_world(opaque_identity=True)
    assert listed(world, by("alice")) == ["tool of alice"]
    assert listed(world, BOB) == ["tool of bob"]
    assert listed(world, by("carol")) == ["tool of carol"]


# Stale.


def test_a_change_told_to_one_drops_the_public_list_and_nobody_elses_own() -> None:
    world = public_world()
    for context in (ALICE, BOB):
        listed(world, context)
    world.run(world.client.call_tool("change", context=BOB))
    assert listed(world, ALICE) == ["tool of alice"]  # her own, which she was not told of
    assert askers(world) == ["alice"]
    clock_of(world).now += 1
    # Hers is older than the change, so nobody else is shown it.
    assert listed(world, CAROL) == ["tool of carol"]
    assert listed(world, DAVE) == ["tool of carol"]


def test_a_change_told_on_an_event_stream_from_before_the_server_was_modern_counts() -> None:
    sse, modern = SseServer(), modern_with(public_of_user)
    speaks: dict[str, Any] = {"now": sse}
    world = world_of(
        lambda request: speaks["now"](request), type="auto", share_public=True, clock=Clock(), get_headers=as_user
    )
    sse.world = world
    world.run(world.client.ping(context=ALICE))
    speaks["now"] = modern
    listed(world, BOB)
    clock_of(world).now += 1  # what was fetched in the moment of the discovery may be from before it
    listed(world, BOB, "refresh")
    assert listed(world, CAROL) == ["tool of bob"]
    world.push({"jsonrpc": "2.0", "method": CHANGED})
    assert listed(world, DAVE) == ["tool of dave"]


def test_a_list_a_page_of_which_is_older_than_the_change_is_not_shared() -> None:
    def answer(request: Any) -> Any:
        if request.rpc_method == "tools/call":
            return public_of_user(request)
        if "cursor" in message_of(request)["params"]:
            return listing("end", scope="public", ttl=5000)
        return listing(f"tool of {user_of(request)}", scope="public", cursor="2")

    world = public_world(answer)
    listed(world, ALICE)
    world.run(world.client.call_tool("change", context=BOB))
    clock_of(world).now += 5
    assert listed(world, ALICE) == ["tool of alice", "end"]
    assert listed(world, CAROL) == ["tool of carol", "end"]


def test_a_list_asked_for_before_the_change_is_not_shared() -> None:
    world = public_world()
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(ReceiveData)
    world.run(world.client.call_tool("change", context=BOB))
    play.finish()
    assert listed(world, BOB) == ["tool of bob"]


def test_the_older_of_two_lists_does_not_replace_the_newer_one() -> None:
    world = public_world()
    early = world.play(world.client.list_tools(context=ALICE))
    early.until(ReceiveData)
    clock_of(world).now += 1
    assert listed(world, BOB) == ["tool of bob"]
    early.finish()
    assert listed(world, CAROL) == ["tool of bob"]


def test_what_one_finds_in_its_own_cache_does_not_replace_what_is_newer() -> None:
    world = public_world()
    listed(world, ALICE)
    clock_of(world).now += 1
    listed(world, BOB, "refresh")
    assert listed(world, ALICE) == ["tool of alice"]
    assert listed(world, CAROL) == ["tool of bob"]


def test_a_list_is_as_old_as_its_oldest_page() -> None:
    def answer(request: Any) -> Any:
        if "cursor" in message_of(request)["params"]:
            return listing("end", scope="public", ttl=5000)
        return listing(f"tool of {user_of(request)}", scope="public", cursor="2")

    world = public_world(answer)
    listed(world, ALICE)
    clock_of(world).now += 1
    listed(world, BOB, "refresh")
    clock_of(world).now += 4.5
    assert listed(world, ALICE) == ["tool of alice", "end"]  # its first page is from before Bob's
    assert listed(world, CAROL) == ["tool of bob", "end"]


def test_a_refusal_of_one_identity_drops_nothing_public() -> None:
    world = public_world()
    listed(world, ALICE)
    world.fail(world.client.call_tool("forbidden", context=ALICE))
    assert kept(world) == 1
    for context in (BOB, ALICE):
        assert listed(world, context) == ["tool of alice"]
    assert askers(world) == ["alice"]


def test_public_lists_make_room_for_principals_answers_like_any_other() -> None:
    world = public_world(limits=Limits(cache_entries=2))
    listed(world, ALICE)
    for number in range(3):
        context = CallContext(principal=str(number), request_headers={"x-user": str(number)})
        world.run(world.client.request("tools/list", context=context))
    assert kept(world) == 2
    assert listed(world, BOB) == ["tool of bob"]


def test_closing_the_client_forgets_what_is_public_too() -> None:
    world = public_world()
    listed(world, ALICE)
    assert world.client.close() == []
    statistics = world.client.statistics()
    assert (statistics.cache_entries, statistics.cache_bytes) == (0, 0)


def test_private_lists_are_as_private_as_ever() -> None:
    world = public_world(own_list)
    for context in (ALICE, BOB, NOBODY, by("bob"), ALICE, BOB):
        assert listed(world, context) == [f"tool of {context.request_headers['x-user']}"]
    assert len(askers(world)) == 4
