"""A store that clients share, as the pure half asks it: under which names, what it believes, and what it takes back."""

from __future__ import annotations

import json
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
from support.pure import Answer, Reply, result_reply
from support.scenes import ALICE, BOB, reachable
from support.shelf import Clock, Shelf
from support.stepping import (
    DISCOVERY,
    FOUND,
    MODERN,
    HandshakeServer,
    SseServer,
    World,
    modern_server,
    world_of,
)

from mcpcore import (
    CallContext,
    Client,
    ConfigurationError,
    Handlers,
    Limits,
    ResolveHeaders,
    SendRequest,
    StoreDelete,
    StoredEntry,
    StoreGet,
    StorePut,
)

KEY = b"sixteen bytes at least"
URL = "https://mcp.example/mcp"
CHANGED = "notifications/tools/list_changed"


def stored_world(era: str = "modern", results: Results = own_list, shelf: Shelf | None = None, **options: Any) -> World:
    """A client of a store, which other clients may share."""
    shelf = shelf or Shelf()
    world = world_in(era, results, **{"clock": shelf.clock, "shared_store": True, "digest_key": KEY, **options})
    world.shelf = shelf
    return world


def puts(world: World) -> list[StorePut]:
    return world.shelf.asked(StorePut)


def test_a_store_needs_a_secret_that_others_can_have() -> None:
    with pytest.raises(ConfigurationError, match="digest_key"):
        Client(URL, shared_store=True)


# What several clients share.


@over_streamable_http
def test_what_one_client_was_told_another_client_finds(era: str) -> None:
    one = stored_world(era)
    other = stored_world(era, shelf=one.shelf)
    assert listed(one, ALICE) == listed(other, ALICE) == ["tool of alice"]
    assert (asked(one), asked(other)) == (1, 0)
    # From now on it is in that client's own cache.
    one.shelf.commands.clear()
    assert listed(other, ALICE) == ["tool of alice"]
    assert one.shelf.commands == []


@pytest.mark.parametrize(
    "options",
    [{}, {"get_headers": None, "headers": {"X-User": "alice"}}],
    ids=["headers of the call", "the same headers for everybody"],
)
def test_without_a_principal_nothing_is_put_there(options: dict[str, Any]) -> None:
    world = stored_world(**options)
    listed(world, NOBODY)
    assert (kept(world), world.shelf.commands) == (1, [])


def test_without_a_principal_a_public_list_is_withdrawn_all_the_same() -> None:
    world = stored_world(results=lambda request: listing("t", scope="public"), share_public=True)
    listed(world, ALICE)
    assert len(world.shelf.entries) == 2
    world.server = lambda request: telling(request, FOUND, CHANGED)
    world.run(world.client.call_tool("x", context=NOBODY))
    assert len(world.shelf.entries) == 1


def test_a_public_list_may_be_brought_by_anybody() -> None:
    one = stored_world(results=lambda request: listing("t", scope="public"), share_public=True)
    other = stored_world(results=lambda request: listing("t", scope="public"), share_public=True, shelf=one.shelf)
    listed(one, NOBODY)
    assert listed(other, BOB) == ["t"]
    assert (asked(one), asked(other), len(puts(one))) == (1, 0, 1)


def test_what_is_withdrawn_while_it_is_put_there_is_removed() -> None:
    world = stored_world()
    reading = world.play(world.client.list_tools(context=ALICE))
    put = reading.until(StorePut)
    world.server = lambda request: telling(request, FOUND, CHANGED)
    clock_of(world).now += 1
    world.run(world.client.call_tool("x", context=ALICE))
    assert names(reading.finish()) == ["tool of alice"]
    assert world.shelf.commands[-2:] == [put, StoreDelete((put.key,))]
    assert put.key not in world.shelf.entries


def test_an_identity_that_cannot_be_seen_shares_nothing_in_a_principals_name_either() -> None:
    world = stored_world(opaque_identity=True)
    listed(world, ALICE)
    assert (kept(world), world.shelf.commands) == (1, [])


def test_a_storm_of_changes_is_told_to_the_store_twice() -> None:
    world = stored_world()
    listed(world, ALICE)
    world.shelf.commands.clear()
    world.server = lambda request: telling(request, FOUND, *[CHANGED] * 50)
    world.run(world.client.call_tool("x", context=ALICE))
    assert len(world.shelf.asked(StoreDelete)) == 2 * 2  # her own list and the public one, at once and at the end


@each_era
def test_identities_share_nothing_through_the_store(era: str) -> None:
    one = stored_world(era)
    other = stored_world(era, shelf=one.shelf)
    listed(one, ALICE)
    for context in (BOB, NOBODY, by("bob")):
        assert listed(other, context) == [f"tool of {context.request_headers['x-user']}"]
    assert asked(other) == 3


def test_what_came_over_http_sse_is_not_put_there() -> None:
    world = stored_world("HTTP+SSE")
    listed(world, ALICE)
    assert (kept(world), world.shelf.commands) == (1, [])


def test_an_invisible_identity_asks_no_store() -> None:
    world = stored_world(opaque_identity=True)
    listed(world, NOBODY)
    assert world.shelf.commands == []


def test_where_credentials_cannot_be_seen_no_store_is_asked_for_a_principal_either() -> None:
    world = stored_world(opaque_identity=True)
    for context in (ALICE, BOB):
        listed(world, context)
    assert world.shelf.commands == []


def test_a_client_without_a_store_asks_none() -> None:
    world = stored_world(shared_store=False, share_public=True)
    listed(world, ALICE)
    world.run(world.client.call_tool("x", context=ALICE))
    assert world.shelf.commands == []


@pytest.mark.parametrize("cache", ["refresh", "bypass"])
def test_who_wants_to_know_now_does_not_look_in_the_store(cache: Any) -> None:
    one = stored_world()
    listed(one, ALICE)
    one.shelf.commands.clear()
    other = stored_world(results=lambda request: listing("new"), shelf=one.shelf)
    assert listed(other, ALICE, cache) == ["new"]
    assert one.shelf.asked(StoreGet) == []
    assert len(puts(one)) == (1 if cache == "refresh" else 0)


def test_what_is_put_there_lives_as_long_as_the_answer() -> None:
    world = stored_world(results=lambda request: listing("t", ttl=30_000))
    listed(world, ALICE)
    (put,) = puts(world)
    assert put.ttl == 30.0
    assert json.loads(put.value)["pages"] == [listing("t", ttl=30_000)]


def test_an_answer_keeps_its_age_on_its_way_through_the_store() -> None:
    one = stored_world(results=lambda request: listing("t", ttl=30_000))
    listed(one, ALICE)
    clock_of(one).now += 20
    other = stored_world(results=lambda request: listing("new", ttl=30_000), shelf=one.shelf)
    assert listed(other, ALICE) == ["t"]
    clock_of(one).now += 9.9
    assert listed(other, ALICE) == ["t"]
    clock_of(one).now += 0.1
    assert listed(other, ALICE) == ["new"]


@pytest.mark.parametrize("ttl", [0, -1, None])
def test_an_answer_that_is_not_kept_is_not_put_there(ttl: object) -> None:
    world = stored_world(results=lambda request: listing("t", ttl=ttl))
    listed(world, ALICE)
    assert puts(world) == []


def test_a_list_is_shared_as_a_whole_for_as_long_as_each_of_its_pages_is_fresh() -> None:
    book = pages(first=listing("a", ttl=30_000, cursor="2"), **{"2": listing("b", ttl=10_000)})
    one = stored_world(results=book)
    listed(one, ALICE)
    (put,) = puts(one)
    assert put.ttl == 10.0
    assert [page["tools"][0]["name"] for page in json.loads(put.value)["pages"]] == ["a", "b"]
    other = stored_world(results=book, shelf=one.shelf)
    for _ in range(2):
        assert listed(other, ALICE) == ["a", "b"]
    assert (asked(other), kept(other)) == (0, 1)


def test_a_list_from_the_store_has_pages_like_any_other() -> None:
    book = pages(first=listing("a", cursor="2"), **{"2": listing("b")})
    one = stored_world(results=book)
    other = stored_world(results=book, shelf=one.shelf)
    for world in (one, other):
        listed(world, ALICE)
    assert other.run(other.client.request("tools/list", context=ALICE)) == listing("a", cursor="2")
    assert other.sent == []
    assert other.run(other.client.request("tools/list", {"cursor": "2"}, context=ALICE)) == listing("b")
    assert asked(other) == 1


def test_a_list_is_put_there_again_when_a_page_of_it_had_to_be_fetched_anew() -> None:
    world = stored_world(results=pages(first=listing("a", cursor="2"), **{"2": listing("b", ttl=10_000)}))
    listed(world, ALICE)
    clock_of(world).now += 10
    world.shelf.is_dead = True
    listed(world, ALICE)
    first, second = puts(world)
    assert (asked(world), first.key, second.ttl) == (3, second.key, 10.0)
    assert json.loads(second.value)["latency"] == 10.0  # as old as its oldest page


def test_where_a_page_is_missing_the_server_is_asked_for_it_and_not_the_store_for_all() -> None:
    book = pages(first=listing("a", cursor="2"), **{"2": listing("b", ttl=10_000)})
    one = stored_world(results=book)
    other = stored_world(results=book, shelf=one.shelf)
    listed(one, ALICE)
    clock_of(one).now += 10
    listed(other, ALICE)
    assert listed(one, ALICE) == ["a", "b"]
    assert asked(one) == 3


@pytest.mark.parametrize("ttl", [0, 60_000])
def test_half_a_list_is_not_put_there(ttl: int) -> None:
    book = pages(first=listing("a", cursor="2"), **{"2": listing("b", ttl=ttl)})
    world = stored_world(results=book)
    for params in ({}, {"cursor": "2"}):
        world.run(world.client.request("tools/list", params, context=ALICE))
    assert world.shelf.commands == []
    if not ttl:
        listed(world, ALICE)
        assert puts(world) == []


def test_what_is_read_of_resources_is_not_put_there() -> None:
    world = stored_world(results=answer_anything)
    world.run(world.client.request("resources/read", {"uri": "a"}, context=ALICE))
    assert (kept(world), world.shelf.commands) == (1, [])


def test_what_a_server_tells_about_itself_is_shared_by_identity() -> None:
    def server(request: SendRequest) -> Answer:
        return result_reply(request, {**DISCOVERY, "instructions": f"for {user_of(request)}", "ttlMs": 60_000})

    shelf = Shelf()
    worlds = [searching(server, shelf, protocol_version=MODERN, get_headers=as_user) for _ in range(2)]
    for world in worlds:
        for context, name in ((ALICE, "alice"), (BOB, "bob")):
            assert world.run(world.client.open(context=context)).instructions == f"for {name}"
    assert [len(world.sent) for world in worlds] == [2, 0]


def test_a_public_list_is_shared_by_clients_that_share_public_lists() -> None:
    def public(request: SendRequest) -> Any:
        return listing(f"tool of {user_of(request)}", scope="public")

    one = stored_world(results=public, share_public=True)
    listed(one, ALICE)
    assert len(puts(one)) == 2  # her own page, and everybody's list
    other = stored_world(results=public, share_public=True, shelf=one.shelf)
    assert listed(other, BOB) == ["tool of alice"]
    careful = stored_world(results=public, shelf=one.shelf)
    assert listed(careful, BOB) == ["tool of bob"]


def test_finding_a_list_is_no_reason_to_put_it_there_again() -> None:
    one = stored_world(results=lambda request: listing("t", scope="public"), share_public=True)
    other = stored_world(results=lambda request: listing("t", scope="public"), share_public=True, shelf=one.shelf)
    listed(one, ALICE)
    before = len(puts(one))
    for world, context in ((one, ALICE), (one, BOB), (other, ALICE), (other, BOB), (other, ALICE)):
        listed(world, context)
    assert len(puts(one)) == before


# Names.


def name_of(context: CallContext = ALICE, *, what: str = "list_tools", **options: Any) -> bytes:
    """Under which name a client with these options looks for an answer."""
    url = options.pop("url", None)
    world = stored_world(options.pop("era", "modern"), **options)
    if url is not None:
        world.client = Client(
            url, get_headers=as_user, clock=Clock(), protocol_version=MODERN, digest_key=KEY, shared_store=True
        )
    return world.play(getattr(world.client, what)(context=context)).until(StoreGet).key


def test_equal_questions_of_equal_clients_have_equal_names() -> None:
    assert name_of() == name_of()
    assert name_of(headers={"X-A": "1"}) == name_of(headers={"x-a": "1", "User-Agent": "other"})
    assert name_of(limits=Limits(cache_age=5.0), client_info={"name": "n", "version": "1"}) == name_of()


def test_a_name_differs_with_every_part_of_the_question() -> None:
    differing = [
        name_of(),
        name_of(url="https://mcp.example/other"),
        name_of(url="https://other.example/mcp"),
        name_of(url="https://mcp.example/mcp?x=1"),
        name_of(type="auto"),
        name_of(era="handshake"),
        name_of(era="handshake", protocol_version="2025-06-18"),
        name_of(headers={"X-A": "1"}),
        name_of(headers={"X-A": "2"}),
        name_of(auth_token="1"),
        name_of(BOB),
        name_of(digest_key=b"another secret of a store"),
        name_of(what="open"),
    ]
    assert len(set(differing)) == len(differing)
    assert {len(name) for name in differing} == {32}


def test_a_name_differs_with_what_the_client_can_do() -> None:
    world = stored_world(handlers=Handlers(roots=[]))
    assert world.play(world.client.list_tools(context=ALICE)).until(StoreGet).key != name_of()


def test_the_public_name_is_no_identitys() -> None:
    world = stored_world(share_public=True)
    listed(world, ALICE)
    own, public = [command.key for command in world.shelf.asked(StoreGet)]
    assert own == name_of() != public
    listed(world, BOB)
    assert [command.key for command in world.shelf.asked(StoreGet)][3] == public


def test_names_tell_nothing() -> None:
    def secret(context: Any) -> dict[str, str]:
        return {"Authorization": "Bearer SECRET", **as_user(context)}

    world = stored_world(get_headers=secret, headers={"X-Key": "SECRET"})
    for context in (ALICE, NOBODY):
        listed(world, context)
    for command in world.shelf.commands:
        told = repr(command) + repr(getattr(command, "key", b"")) + repr(getattr(command, "value", b""))
        assert "SECRET" not in told
        assert "acme" not in told
    world.sent.clear()
    world.resolved.clear()
    assert not [i for i in reachable(world.client) if isinstance(i, bytes) and b"Bearer SECRET" in i]


# What comes back is checked.

GOOD = {"latency": 0.0, "pages": [listing("stored")]}
DEEP = b'{"latency":0,"pages":[{"tools":' + b"[" * 200 + b"]" * 200 + b"}]}"


def answered(value: bytes, age: float = 0.0, ttl: float = 60.0, **options: Any) -> tuple[World, list[str]]:
    """A client whose store answered so, and the tools that it listed."""
    world = stored_world(**options)
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(StoreGet)
    play.operation.store_answered(StoredEntry(value, age, ttl))
    return world, names(play.finish())


def test_what_is_in_order_is_believed() -> None:
    world, tools = answered(json.dumps(GOOD).encode())
    assert (tools, asked(world)) == (["stored"], 0)


GARBAGE = {
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no JSON": b"{",
    "NaN": b'{"latency":NaN,"pages":[{}]}',
    "null": b"null",
    "a list": json.dumps(GOOD["pages"]).encode(),
    "an object of something else": b"{}",
    "no pages": b'{"latency":0.0,"pages":[]}',
    "pages that are none": b'{"latency":0.0,"pages":{"tools":[]}}',
    "a page that is none": b'{"latency":0.0,"pages":[{"tools":[]},1]}',
    "no latency": json.dumps({"pages": GOOD["pages"]}).encode(),
    "a latency that is no number": json.dumps({**GOOD, "latency": "0"}).encode(),
    "a latency that is true": json.dumps({**GOOD, "latency": True}).encode(),
    "a negative latency": json.dumps({**GOOD, "latency": -0.1}).encode(),
    "an endless latency": json.dumps(GOOD).encode().replace(b"0.0", b"1e999"),
    "a huge latency": json.dumps(GOOD).encode().replace(b"0.0", b"1" * 400),
    "deep nesting": DEEP,
    "a number that cannot be said again": b'{"latency":0.0,"pages":[{"tools":[],"x":1e999}]}',
    "a page without a list": b'{"latency":0.0,"pages":[{"tools":{}}]}',
    "a page of something else": b'{"latency":0.0,"pages":[{"tools":[]},{"prompts":[]}]}',
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_makes_no_sense_is_a_miss_and_removed(what: str) -> None:
    world, tools = answered(GARBAGE[what])
    assert tools == ["tool of alice"]
    assert asked(world) == 1
    (delete,) = world.shelf.asked(StoreDelete)
    assert delete.keys == (name_of(),)


def test_what_is_too_large_is_a_miss() -> None:
    value = json.dumps({**GOOD, "padding": "x" * 1000}).encode()
    world, tools = answered(value, limits=Limits(message_bytes=1000))
    assert (tools, len(world.shelf.asked(StoreDelete))) == (["tool of alice"], 1)


def test_what_has_no_room_in_the_cache_is_a_miss() -> None:
    _, tools = answered(json.dumps(GOOD).encode(), limits=Limits(cache_bytes=10))
    assert tools == ["tool of alice"]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("age", "ttl"),
    [(60.0, 60.0), (1e9, 60.0), (0.0, 0.0), (0.0, -1.0), (INF, 60.0), (NAN, 60.0), (0.0, NAN), (INF, INF), (0.0, -INF)],
)
def test_what_is_not_fresh_for_sure_is_a_miss(age: float, ttl: float) -> None:
    world, tools = answered(json.dumps(GOOD).encode(), age, ttl)
    assert tools == ["tool of alice"]
    assert kept(world) == 1


def test_a_stale_answer_of_the_store_does_not_keep_calls_from_sharing_the_next() -> None:
    world = stored_world()
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(StoreGet)
    play.operation.store_answered(StoredEntry(json.dumps(GOOD).encode(), 90.0, 60.0))
    play.until(SendRequest)
    world.play(world.client.list_tools(context=ALICE)).until_blocked()


@pytest.mark.parametrize(
    ("age", "ttl", "lasts"), [(-5.0, 60.0, 60.0), (50.0, 60.0, 10.0), (0.0, INF, 100.0), (30.0, 1e9, 70.0)]
)
def test_what_is_believed_is_believed_no_longer_than_it_may_be(age: float, ttl: float, lasts: float) -> None:
    world, tools = answered(json.dumps(GOOD).encode(), age, ttl, limits=Limits(cache_age=100.0))
    assert tools == ["stored"]
    world.shelf.is_dead = True
    clock_of(world).now += lasts - 0.1
    assert listed(world, ALICE) == ["stored"]
    clock_of(world).now += 0.1
    assert listed(world, ALICE) == ["tool of alice"]


@each_era
def test_a_store_that_never_has_anything_changes_nothing(era: str) -> None:
    shelf = Shelf(is_dead=True)
    world = stored_world(era, shelf=shelf)
    plain = world_in(era)
    for context in (ALICE, BOB, NOBODY, ALICE):
        assert listed(world, context) == listed(plain, context)
    assert world.methods() == plain.methods()
    assert world.client.statistics() == plain.client.statistics()


def test_a_call_that_is_given_up_while_the_store_is_asked_leaves_nothing() -> None:
    world = stored_world()
    for command in (StoreGet, StorePut):
        play = world.play(world.client.list_tools(context=ALICE))
        play.until(command)
        assert play.cancel() is None
    assert world.client.statistics().calls == 0
    assert world.leftovers() == []


# What this client knows better.


def changing(request: SendRequest) -> Any:
    if request.rpc_method != "tools/call":
        return own_list(request)
    if request.rpc_name == "change":
        return telling(request, FOUND, CHANGED)
    if request.rpc_name == "update":
        return telling(request, FOUND, "notifications/resources/updated", uri="a")
    return Reply(403 if request.rpc_name == "forbidden" else 401)


@over_streamable_http
@pytest.mark.parametrize("name", ["change", "forbidden", "unauthorized"])
def test_what_is_no_longer_true_is_removed_from_the_store(era: str, name: str) -> None:
    world = stored_world(era, changing)
    for context in (ALICE, BOB):
        listed(world, context)
    assert len(world.shelf.entries) == 2
    world.play(world.client.call_tool(name, context=ALICE)).end()
    (left,) = world.shelf.entries
    assert left == name_of(BOB, era=era)


def test_what_others_put_there_is_removed_although_it_is_not_here() -> None:
    one = stored_world(results=changing)
    listed(one, ALICE)
    other = stored_world(results=changing, shelf=one.shelf)
    other.run(other.client.call_tool("change", context=ALICE))
    assert one.shelf.entries == {}


def test_a_change_removes_the_public_list_too() -> None:
    def public(request: SendRequest) -> Any:
        return changing(request) if request.rpc_method == "tools/call" else listing("t", scope="public")

    world = stored_world(results=public, share_public=True)
    listed(world, ALICE)
    world.run(world.client.call_tool("change", context=BOB))
    assert list(world.shelf.entries) == [name_of()]


def test_an_updated_resource_is_nothing_to_a_store() -> None:
    world = stored_world(results=changing)
    listed(world, ALICE)
    world.shelf.commands.clear()
    world.run(world.client.call_tool("update", context=ALICE))
    assert world.shelf.commands == []


def test_an_invisible_identity_removes_nothing() -> None:
    world = stored_world(results=changing, share_public=True)
    listed(world, ALICE)
    world.client.opaque_identity = True
    for name in ("forbidden", "unauthorized"):
        world.fail(world.client.call_tool(name, context=NOBODY))
    assert world.shelf.asked(StoreDelete) == []


@pytest.mark.parametrize("how", ["call", "stream"])
def test_what_others_put_there_before_a_change_is_not_believed(how: str) -> None:
    era = "modern" if how == "call" else "HTTP+SSE"
    one = stored_world(era, changing)
    other = stored_world(era, changing, shelf=one.shelf)
    other.run(other.client.open(context=ALICE))
    listed(one, ALICE)
    stored = dict(one.shelf.entries)
    clock_of(one).now += 1
    if how == "call":
        other.run(other.client.call_tool("change", context=ALICE))
    else:
        other.push({"jsonrpc": "2.0", "method": CHANGED})
    one.shelf.entries.update(stored)  # as if the store had been slow
    clock_of(one).now += 1
    listed(other, ALICE)
    assert asked(other) == 1
    listed(one, ALICE, "refresh")
    clock_of(one).now += 59.5
    listed(other, ALICE)
    assert asked(other) == 1


def test_what_was_asked_for_before_a_change_and_put_there_after_it_is_not_believed() -> None:
    one = stored_world(results=changing)
    other = stored_world(results=changing, shelf=one.shelf)
    slow = one.play(one.client.list_tools(context=ALICE))
    slow.until(SendRequest)
    clock_of(one).now += 5
    other.run(other.client.call_tool("change", context=ALICE))
    clock_of(one).now += 5
    slow.finish()
    assert len(one.shelf.entries) == 1
    listed(other, ALICE)
    assert asked(other) == 1


def test_a_list_a_page_of_which_is_older_than_the_change_is_not_put_there() -> None:
    book = pages(first=listing("a", cursor="2"), **{"2": listing("b")})
    world = stored_world(results=lambda request: (changing if request.rpc_method == "tools/call" else book)(request))
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(SendRequest)
    play.step()
    play.until(ResolveHeaders)
    world.run(world.client.call_tool("change", context=ALICE))
    clock_of(world).now += 1
    assert names(play.finish()) == ["a", "b"]
    assert puts(world) == []
    assert kept(world) == 1


def test_what_the_store_says_while_a_change_is_told_is_not_kept() -> None:
    world = stored_world(results=changing)
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(StoreGet)
    world.run(world.client.call_tool("change", context=ALICE))
    clock_of(world).now += 1
    play.operation.store_answered(StoredEntry(json.dumps(GOOD).encode(), 0.5, 60.0))
    assert names(play.finish()) == ["tool of alice"]


# How the server is to be spoken to.


def searching(server: Any = modern_server, shelf: Shelf | None = None, **options: Any) -> World:
    """A client that has yet to find out."""
    shelf = shelf or Shelf()
    world = world_of(server, **{"clock": shelf.clock, "shared_store": True, "digest_key": KEY, **options})
    world.shelf = shelf
    return world


def verdict_of(world: World) -> tuple[str, bool]:
    verdict = world.client._state.verdict
    assert verdict is not None
    return verdict.revision.name, verdict.http_sse


@pytest.mark.parametrize(
    ("server", "options", "verdict"),
    [
        (modern_server, {}, ("2026-07-28", False)),
        (HandshakeServer(), {}, ("2025-11-25", False)),
        (HandshakeServer("2025-03-26"), {"type": "auto"}, ("2025-03-26", False)),
        (SseServer(), {"type": "auto"}, ("2025-11-25", True)),
    ],
    ids=["modern", "handshake", "older", "HTTP+SSE"],
)
def test_what_one_client_found_out_another_need_not(server: Any, options: Any, verdict: tuple[str, bool]) -> None:
    one = searching(server, **options)
    one.run(one.client.call_tool("x", context=ALICE))
    assert verdict_of(one) == verdict
    other = searching(server, one.shelf, **options)
    other.run(other.client.call_tool("x", context=BOB))
    assert verdict_of(other) == verdict
    assert len(one.sent) > len(other.sent)
    assert "server/discover" not in other.methods()


def test_what_was_found_out_is_put_there_for_as_long_as_the_limit_says() -> None:
    world = searching(limits=Limits(shared_verdict=7.0))
    world.run(world.client.call_tool("x", context=ALICE))
    (put,) = puts(world)
    assert put.ttl == 7.0
    assert json.loads(put.value) == {"revision": "2026-07-28", "httpSse": False}


def told(value: bytes, **options: Any) -> World:
    """A client whose store answered so when it asked how to speak, and that went on to the end."""
    world = searching(**options)
    play = world.play(world.client.open(context=ALICE))
    play.until(StoreGet)
    play.operation.store_answered(StoredEntry(value, 0.0, 60.0))
    play.end()
    return world


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"revision":null}',
        b'{"revision":1}',
        b'{"revision":"2099-01-01"}',
        b'{"revision":["2026-07-28"]}',
        b'{"revision":"2024-11-05","httpSse":true}',
        b'{"revision":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
def test_what_says_nothing_that_can_be_is_ignored(value: bytes) -> None:
    world = told(value)
    assert world.methods()[0] == "server/discover"
    assert verdict_of(world) == ("2026-07-28", False)


def test_no_server_is_modern_over_http_sse() -> None:
    world = told(b'{"revision":"2026-07-28","httpSse":true}', server=SseServer(), type="auto")
    assert verdict_of(world) == ("2025-11-25", True)


@pytest.mark.parametrize("http_sse", [b"1", b'"true"', b"null", b"{}"])
def test_only_true_is_true(http_sse: bytes) -> None:
    world = told(b'{"revision":"2025-11-25","httpSse":' + http_sse + b"}", server=HandshakeServer(), type="auto")
    assert world.methods()[0] == "initialize"


def test_what_turns_out_not_to_hold_is_searched_for_and_corrected() -> None:
    world = told(b'{"revision":"2026-07-28","httpSse":false}', server=HandshakeServer())
    assert verdict_of(world) == ("2025-11-25", False)
    assert json.loads(puts(world)[-1].value)["revision"] == "2025-11-25"


def test_what_others_found_out_does_not_overrule_what_is_known_by_now() -> None:
    world = searching(HandshakeServer())
    slow = world.play(world.client.open(context=ALICE))
    slow.until(StoreGet)
    world.run(world.client.open(context=BOB))
    world.sent.clear()
    slow.operation.store_answered(StoredEntry(b'{"revision":"2026-07-28","httpSse":false}', 0.0, 60.0))
    slow.finish()
    assert verdict_of(world) == ("2025-11-25", False)
    assert world.methods() == ["initialize", "notifications/initialized"]


def test_who_has_pinned_a_revision_neither_asks_nor_tells() -> None:
    world = searching(HandshakeServer("2025-06-18"), type="auto", protocol_version="2025-06-18")
    world.run(world.client.call_tool("x", context=ALICE))
    assert world.shelf.commands == []


def test_clients_of_different_servers_or_transports_do_not_believe_one_another() -> None:
    asked_for = []
    for options in ({}, {"type": "auto"}, {"headers": {"X-A": "1"}}, {"digest_key": b"another secret of a store"}):
        world = searching(**options)
        asked_for.append(world.play(world.client.open(context=ALICE)).until(StoreGet).key)
    assert len(set(asked_for)) == 4
    world = searching(limits=Limits(pages=3), get_headers=as_user)
    assert world.play(world.client.open(context=ALICE)).until(StoreGet).key == asked_for[0]


def test_what_a_server_told_while_it_was_searched_for_is_put_there_too() -> None:
    def server(request: SendRequest) -> Answer:
        return result_reply(request, {**DISCOVERY, "ttlMs": 60_000})

    world = searching(server)
    world.run(world.client.open(context=ALICE))
    assert kept(world) == 1
    verdict, told = puts(world)
    assert b"revision" in verdict.value
    assert b"supportedVersions" in told.value


def test_a_list_whose_first_page_is_stale_when_its_last_one_arrives_is_not_put_there() -> None:
    book = pages(first=listing("a", ttl=1000, cursor="2"), **{"2": listing("b")})
    world = stored_world(results=book)
    play = world.play(world.client.list_tools(context=ALICE))
    play.until(SendRequest)
    play.step()
    play.until(SendRequest)
    clock_of(world).now += 1
    assert names(play.finish()) == ["a", "b"]
    assert puts(world) == []
