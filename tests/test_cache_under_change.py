"""The cache while several calls ask at once, while the server tells of changes, and at the end of what is kept."""

from __future__ import annotations

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
    user_of,
    world_in,
)
from support.pure import Answer, Reply, headers_of, message_of, result_reply
from support.scenes import ALICE, BOB, reachable
from support.shelf import Clock
from support.stepping import (
    DISCOVERY,
    FOUND,
    HandshakeServer,
    Play,
    SseServer,
    World,
    modern_server,
    world_of,
)

from mcpcore import (
    CallContext,
    Limits,
    ReceiveData,
    RequestContext,
    ResolveHeaders,
    SendRequest,
    TransportError,
    UnauthorizedError,
)

LIST = "tools/list"
CHANGED = "notifications/tools/list_changed"

# Several at once.


def waiting(
    era: str, results: Results = own_list, *contexts: CallContext, **options: Any
) -> tuple[World, list[Play[Any]]]:
    """Calls of which the first has made its request, and the others wait for its answer."""
    world = world_in(era, results, **options)
    world.run(world.client.open(context=ALICE))
    leader, *followers = [world.play(world.client.list_tools(context=c)) for c in contexts or (ALICE,) * 3]
    leader.until(SendRequest, rpc_method=LIST)
    for follower in followers:
        follower.until_blocked()
    return world, [leader, *followers]


@each_era
def test_equal_misses_of_one_identity_make_one_request(era: str) -> None:
    world, plays = waiting(era)
    for play in plays:
        assert names(play.finish()) == ["tool of alice"]
    assert asked(world) == 1
    assert world.leftovers() == []


@over_streamable_http
def test_equal_misses_without_a_principal_make_one_request(era: str) -> None:
    world, plays = waiting(era, own_list, NOBODY, NOBODY, NOBODY)
    for play in plays:
        assert names(play.finish()) == ["tool of alice"]
    assert asked(world) == 1


@each_era
def test_another_identity_waits_for_nobody(era: str) -> None:
    world, (leader, *_) = waiting(era)
    for context in (BOB, NOBODY):
        assert listed(world, context) == [f"tool of {context.request_headers['x-user']}"]
    assert asked(world) == 2
    assert names(leader.finish()) == ["tool of alice"]


@each_era
def test_other_parameters_wait_for_nobody(era: str) -> None:
    world, _ = waiting(era)
    world.run(world.client.request(LIST, {"cursor": "x"}, context=ALICE))
    assert asked(world) == 1  # the leader's is not on its way yet


@each_era
@pytest.mark.parametrize("cache", ["refresh", "bypass"])
def test_who_wants_to_ask_by_itself_waits_for_nobody(era: str, cache: Any) -> None:
    world, (leader, follower, _) = waiting(era)
    assert listed(world, ALICE, cache) == ["tool of alice"]
    leader.finish()
    follower.finish()
    assert asked(world) == 2


@each_era
def test_after_the_leaders_failure_each_follower_asks_in_its_own_context(era: str) -> None:
    fails = iter([True])

    def answer(request: SendRequest) -> Any:
        return Reply(500) if next(fails, False) else own_list(request)

    world, (leader, *followers) = waiting(era, answer)
    assert "500" in str(leader.fail())
    for follower in followers:
        follower.until(SendRequest, rpc_method=LIST)
    for follower in followers:
        assert names(follower.finish()) == ["tool of alice"]
    assert asked(world) == 3
    assert world.leftovers() == []


@each_era
@pytest.mark.parametrize("is_sent", [False, True])
def test_after_the_leader_gave_up_a_follower_takes_its_turn(era: str, is_sent: bool) -> None:
    world, (leader, *followers) = waiting(era)
    if is_sent and isinstance(world.server, SseServer):
        world.server.silent.add(LIST)
        leader.until_blocked()
        world.server.silent.clear()
    elif is_sent:
        leader.until(ReceiveData)
    rest = leader.cancel()
    if rest is not None:
        rest.finish()
    for follower in followers:
        assert names(follower.finish()) == ["tool of alice"]
    assert asked(world) == 1 + is_sent
    assert world.leftovers() == []


@each_era
def test_a_follower_that_gives_up_takes_nobody_with_it(era: str) -> None:
    world, (leader, follower, last) = waiting(era)
    assert follower.cancel() is None
    assert names(leader.finish()) == names(last.finish()) == ["tool of alice"]
    assert asked(world) == 1
    assert world.leftovers() == []


def test_after_an_answer_that_cannot_be_kept_nobody_waits_any_more() -> None:
    world, (leader, *followers) = waiting("modern", lambda request: listing("t", ttl=0))
    leader.finish()
    plays = [*followers, *(world.play(world.client.list_tools(context=ALICE)) for _ in range(2))]
    for play in plays:
        play.until(SendRequest, rpc_method=LIST)
    for play in plays:
        assert names(play.finish()) == ["t"]
    assert asked(world) == 5


def test_once_answers_can_be_kept_again_calls_wait_again() -> None:
    ttls = iter([0])
    world = world_in("modern", lambda request: listing("t", ttl=next(ttls, 60_000)))
    listed(world, ALICE)
    listed(world, ALICE)
    clock_of(world).now += 60
    world.run_all(*(world.play(world.client.list_tools(context=ALICE)) for _ in range(3)))
    assert asked(world) == 3


@each_era
def test_a_follower_whose_resolver_hangs_holds_nobody_up(era: str) -> None:
    world = world_in(era)
    world.run(world.client.open(context=ALICE))
    hanging = world.play(world.client.list_tools(context=ALICE))
    hanging.until(ResolveHeaders)
    assert listed(world, ALICE) == ["tool of alice"]
    assert names(hanging.finish()) == ["tool of alice"]
    assert asked(world) == 1


@each_era
def test_who_finds_the_answer_after_resolving_makes_no_request(era: str) -> None:
    world = world_in(era)
    world.run(world.client.open(context=ALICE))
    plays = [world.play(world.client.list_tools(context=ALICE)) for _ in range(2)]
    for play in plays:
        play.until(ResolveHeaders)
    assert names(plays[0].finish()) == names(plays[1].finish()) == ["tool of alice"]
    assert asked(world) == 1
    assert world.client.statistics().unused_resolutions == 1


# What is told while an answer is on its way.


def changing(request: SendRequest) -> Any:
    """Calling a tool tells that the tools have changed; the tool "read", that a resource has."""
    if request.rpc_method != "tools/call":
        return answer_anything(request) if request.rpc_method == "resources/read" else own_list(request)
    if request.rpc_name == "read":
        return telling(request, FOUND, "notifications/resources/updated", uri="a")
    if request.rpc_name == "forbidden":
        return Reply(403)
    if request.rpc_name == "unauthorized":
        return Reply(401)
    return telling(request, FOUND, CHANGED)


def test_an_invalidation_of_a_page_is_one_of_the_list() -> None:
    book = pages(first=listing("a", cursor="2"), **{"2": listing("b")})

    def answer(request: SendRequest) -> Any:
        return book(request) if request.rpc_method == LIST else changing(request)

    world = world_in("modern", answer)
    listed(world, ALICE)
    world.run(world.client.call_tool("x", context=ALICE))
    assert kept(world) == 0


@over_streamable_http
def test_a_changed_list_is_stale_for_whom_it_was_told_and_for_nobody_else(era: str) -> None:
    world = world_in(era, changing)
    for context in (ALICE, BOB, NOBODY):
        listed(world, context)
    world.run(world.client.call_tool("x", context=ALICE))
    for context in (BOB, NOBODY, ALICE):
        listed(world, context)
    assert [user_of(request) for request in world.sent if request.rpc_method == LIST] == [
        "alice",
        "bob",
        "alice",
        "alice",
    ]


def test_a_change_told_on_the_event_stream_counts_while_no_call_is_in_flight() -> None:
    world = world_in("HTTP+SSE")
    for context in (ALICE, BOB):
        listed(world, context)
    alice, bob = world.streams
    alice.receive_data(b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n')
    for context in (BOB, ALICE):
        listed(world, context)
    assert [user_of(request) for request in world.sent if request.rpc_method == LIST] == ["alice", "bob", "alice"]
    bob.receive_data(b'data: {"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}\n\n')
    listed(world, BOB)
    assert asked(world) == 3


def test_a_change_told_on_the_event_stream_counts_while_the_list_is_on_its_way() -> None:
    world = world_in("HTTP+SSE")
    world.run(world.client.open(context=ALICE))
    server = world.server
    assert isinstance(server, SseServer)
    server.silent.add(LIST)
    play = world.play(world.client.list_tools(context=ALICE))
    play.until_blocked()
    world.push({"jsonrpc": "2.0", "method": CHANGED})
    world.push({"jsonrpc": "2.0", "id": message_of(world.sent[-1])["id"], "result": listing("old")})
    assert names(play.finish()) == ["old"]
    assert kept(world) == 0


@over_streamable_http
@pytest.mark.parametrize("name", ["changed", "forbidden", "unauthorized"])
def test_an_answer_asked_for_before_it_might_be_stale_is_not_kept(era: str, name: str) -> None:
    world, (play, *followers) = waiting(era, changing)
    play.until(ReceiveData)
    world.play(world.client.call_tool(name, context=ALICE)).end()
    assert names(play.finish()) == ["tool of alice"]
    assert kept(world) == 0
    for follower in followers:
        assert names(follower.finish()) == ["tool of alice"]
    assert asked(world) > 1


@over_streamable_http
def test_what_is_read_of_a_resource_is_stale_once_that_is_updated(era: str) -> None:
    world = world_in(era, changing)

    def read(uri: str) -> None:
        world.run(world.client.request("resources/read", {"uri": uri}, context=ALICE))

    for uri in ("a", "b"):
        read(uri)
    before = world.play(world.client.request("resources/read", {"uri": "b"}, context=ALICE, cache="refresh"))
    before.until(ReceiveData)
    world.run(world.client.call_tool("read", context=ALICE))
    for uri in ("a", "b"):
        read(uri)
    assert asked(world, "resources/read") == 4
    before.finish()
    assert asked(world, "resources/read") == 4


@over_streamable_http
@pytest.mark.parametrize("name", ["forbidden", "unauthorized"])
def test_whom_the_server_no_longer_lets_in_finds_nothing_of_its_own(era: str, name: str) -> None:
    world = world_in(era, changing)
    for context in (ALICE, BOB):
        listed(world, context)
    world.fail(world.client.call_tool(name, context=ALICE))
    assert kept(world) == 1
    for context in (BOB, ALICE):
        listed(world, context)
    assert asked(world) == 3


def test_a_401_that_a_better_token_mends_drops_nothing() -> None:
    refused = iter([True])

    def answer(request: SendRequest) -> Any:
        is_call = request.rpc_method == "tools/call"
        return Reply(401) if is_call and next(refused, False) else changing(request) if not is_call else FOUND

    def token(context: RequestContext) -> dict[str, str]:
        return {"Authorization": f"Bearer {context.attempt}"}

    world = world_in("modern", answer, get_headers=token)
    listed(world, ALICE)
    world.run(world.client.call_tool("x", context=ALICE))
    listed(world, ALICE)
    assert asked(world) == 1


@pytest.mark.parametrize("how", ["resolver", "network", "broken"])
def test_whom_the_server_refused_finds_nothing_if_nothing_shows_that_it_was_let_in_again(how: str) -> None:
    def answer(request: SendRequest) -> Any:
        if request.rpc_method != "tools/call":
            return own_list(request)
        if request.attempt == 1:
            return Reply(401)
        return TransportError("down") if how == "network" else Reply(200, {"content-type": "application/json"}, [b"{"])

    def token(context: RequestContext) -> dict[str, str]:
        if context.attempt == 2 and how == "resolver":
            raise PermissionError
        return {"Authorization": "Bearer t"}

    world = world_in("modern", answer, get_headers=token)
    listed(world, ALICE)
    world.fail(world.client.call_tool("x", context=ALICE))
    assert kept(world) == 0


def test_a_failure_that_is_no_refusal_drops_nothing() -> None:
    def answer(request: SendRequest) -> Any:
        return own_list(request) if request.rpc_method == LIST else Reply(500)

    world = world_in("modern", answer)
    listed(world, ALICE)
    for _ in range(2):
        world.fail(world.client.call_tool("x", context=ALICE))
    assert kept(world) == 1


def test_a_change_told_with_the_answer_itself_keeps_that_answer_from_being_kept() -> None:
    world = world_in("modern", lambda request: telling(request, listing("t"), CHANGED))
    listed(world, ALICE)
    assert kept(world) == 0


def test_a_change_told_while_the_era_is_searched_for_is_heard() -> None:
    def server(request: SendRequest) -> Answer:
        return telling(request, {**DISCOVERY, "ttlMs": 60_000}, CHANGED)

    for context in (ALICE, NOBODY):
        world = world_of(server, clock=Clock(), get_headers=as_user)
        world.run(world.client.open(context=context))
        assert kept(world) == 0


def test_a_refusal_while_the_era_is_searched_for_is_no_fault() -> None:
    world = world_of(lambda request: Reply(401), clock=Clock(), get_headers=as_user)
    assert isinstance(world.fail(world.client.list_tools(context=ALICE)), UnauthorizedError)


# Who is not to be known.


def turning(context: RequestContext) -> dict[str, str]:
    """The application's token, and after a 401 the user's."""
    return {"Authorization": "Bearer app" if context.attempt == 1 else f"Bearer {context.user}"}


def for_users_only(request: SendRequest) -> Any:
    name = headers_of(request)["authorization"]
    return Reply(401) if name == "Bearer app" else listing(f"of {name}", scope="public")


@over_streamable_http
@pytest.mark.parametrize("options", [{}, {"share_public": True}], ids=str)
def test_what_was_answered_as_somebody_else_is_kept_for_nobody(era: str, options: dict[str, Any]) -> None:
    world = world_in(era, for_users_only, get_headers=turning, **options)
    for name in ("alice", "bob"):
        assert listed(world, CallContext(user=name)) == [f"of Bearer {name}"]
    assert kept(world) == 0


@over_streamable_http
def test_a_principal_keeps_what_it_was_answered_after_a_401(era: str) -> None:
    world = world_in(era, for_users_only, get_headers=turning)
    for _ in range(2):
        assert listed(world, CallContext(principal="p", user="alice")) == ["of Bearer alice"]
    assert (asked(world), kept(world)) == (2, 1)  # two tries of the first call


@each_era
def test_an_identity_that_cannot_be_seen_keeps_nothing(era: str) -> None:
    world = world_in(era, opaque_identity=True)
    for _ in range(2):
        listed(world, NOBODY)
    assert (asked(world), kept(world)) == (2, 0)
    for _ in range(2):
        listed(world, ALICE)
    assert (asked(world), kept(world)) == (3, 1)


@each_era
def test_no_token_is_reachable_from_a_client_after_its_calls(era: str) -> None:
    def secret(context: RequestContext) -> dict[str, str]:
        return {"Authorization": f"Bearer SECRET-{context.request_headers['x-user']}"}

    world = world_in(era, lambda request: listing("t"), get_headers=secret)
    for context in (ALICE, NOBODY, ALICE, NOBODY):
        listed(world, context)
        listed(world, context, "refresh")
    world.play(world.client.list_tools(context=BOB)).until(SendRequest)
    world.sent.clear()
    world.resolved.clear()
    held = [item for item in reachable(world.client) if isinstance(item, str | bytes)]
    assert any('"tools"' in item.decode("latin-1") for item in held if isinstance(item, bytes)), "nothing was found"
    assert not [item for item in held if "SECRET" in (item if isinstance(item, str) else item.decode("latin-1"))]


# The end of what is kept.


def test_closing_and_eviction_leave_nothing_behind() -> None:
    world = world_in("modern", limits=Limits(partitions=2))
    for name in ("a", "b", "c"):
        listed(world, CallContext(principal=name, request_headers={"x-user": name}))
    statistics = world.client.statistics()
    assert (statistics.partitions, statistics.cache_entries, statistics.evictions) == (2, 2, 1)
    assert world.client.close() == []
    statistics = world.client.statistics()
    assert (statistics.partitions, statistics.cache_entries, statistics.cache_bytes) == (0, 0, 0)


def test_an_answer_that_arrives_after_the_client_was_closed_is_not_kept() -> None:
    world, (play, *_) = waiting("modern")
    play.until(ReceiveData)
    world.client.close()
    play.finish()
    assert kept(world) == 0


def test_minted_identities_push_out_no_answer_of_a_principals() -> None:
    limits = Limits(anonymous_cache_entries=2, anonymous_cache_bytes=10_000, cache_entries=2)
    world = world_in("modern", limits=limits)
    for context in (ALICE, BOB):
        listed(world, context)
    for number in range(10):
        listed(world, by(str(number)))
    assert kept(world) == 4
    world.sent.clear()
    for context in (ALICE, BOB, by("9"), by("8")):
        listed(world, context)
    assert world.sent == []
    assert world.client.statistics().evictions == 8


def test_what_a_server_said_before_it_turned_out_to_be_another_counts_no_longer() -> None:
    speaks: dict[str, Any] = {"now": modern_server}

    def server(request: SendRequest) -> Answer:
        if speaks["now"] is modern_server and request.rpc_method == LIST:
            return result_reply(request, own_list(request))
        return speaks["now"](request)

    world = world_of(server, clock=Clock(), get_headers=as_user, share_public=True)
    for context in (ALICE, BOB, NOBODY):
        listed(world, context)
    assert kept(world) >= 3
    speaks["now"] = HandshakeServer(results=own_list)
    world.run(world.client.call_tool("x", context=ALICE))
    assert kept(world) == 0
    listed(world, BOB)
    assert world.sent[-1].rpc_method == LIST


def test_a_server_that_is_what_it_was_found_to_be_has_not_taken_anything_back() -> None:
    world = world_in("modern", protocol_version=None)
    listed(world, ALICE)
    state = world.client._state
    assert state.verdict is not None
    state.record(state.verdict)
    assert kept(world) == 1
