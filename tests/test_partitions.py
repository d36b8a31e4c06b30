"""Partitions: how they are found, and how many are kept."""

from __future__ import annotations

import itertools

import pytest
from support.caching import NOBODY, as_user, by, clock_of, listed, world_in
from support.pure import headers_of
from support.scenes import ALICE, BOB, HANDSHAKE, SSE, PureServer, reachable
from support.shelf import Clock
from support.stepping import World

from mcpcore import CallContext, Client, Limits, RequestKind, SendRequest
from mcpcore.machines.session import Session
from mcpcore.rules import revisions
from mcpcore.rules.digests import Digester
from mcpcore.state.partitions import Partition, Partitions

URL = "https://mcp.example/mcp"


def no_time() -> float:
    return 0.0


def test_no_principal_has_the_key_of_any_identity() -> None:
    partitions = Partitions(Digester(b"key"), Limits(), no_time)
    keys = {partitions.of_principal(text).key for text in ("p", "identity\0p", "p\0", "\ud800")}
    keys |= {partitions.of_identity(text).key for text in (b"p", b"principal\0p", b"p\0", b"")}
    assert len(keys) == 8


def test_a_key_tells_nothing_without_the_clients_secret() -> None:
    one, other = Partitions(Digester(b"one"), Limits(), no_time), Partitions(Digester(b"other"), Limits(), no_time)
    assert one.of_identity(b"token").key != other.of_identity(b"token").key
    assert one.of_identity(b"token").key == Partitions(Digester(b"one"), Limits(), no_time).of_identity(b"token").key


# Budgets.


def test_identities_without_a_principal_cannot_push_principals_out() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=2, anonymous_partitions=2), no_time)
    named = [partitions.of_principal(name) for name in ("a", "b")]
    for number in range(10):
        partitions.of_identity(str(number).encode())
    assert len(partitions.all()) == 4
    assert [partitions.of_principal(name) for name in ("a", "b")] == named


def test_the_least_recently_used_goes_first_and_never_one_in_use() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=2), no_time)
    first, second = partitions.of_principal("1"), partitions.of_principal("2")
    assert partitions.of_principal("1") is first
    third = partitions.of_principal("3")
    assert partitions.all() == [first, third]
    first.users = third.users = 1
    fourth = partitions.of_principal("4")
    assert partitions.all() == [first, third, fourth]
    assert partitions.of_principal("2") is not second
    assert partitions.all()[:2] == [first, third]


def test_what_was_kept_beyond_the_bound_goes_when_it_can() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=1), no_time)
    busy: list[Partition] = []
    for number in range(3):
        busy.append(partitions.of_principal(str(number)))
        busy[-1].users = 1
    assert partitions.all() == busy
    for partition in busy:
        partition.users = 0
    last = partitions.of_principal("4")
    assert partitions.all() == [last]


def test_the_stream_of_an_identity_that_is_pushed_out_is_closed() -> None:
    server = PureServer("sse")
    client = Client(URL, limits=Limits(partitions=1), **SSE)
    server.driver.run(client.list_tools(context=ALICE))
    server.driver.run(client.list_tools(context=BOB))
    assert [stream.closed.raised for stream in server.driver.streams] == [True, False]


def test_minted_tokens_leave_a_bounded_trace() -> None:
    server = PureServer("handshake")
    counter = itertools.count()
    token = ""
    client = Client(URL, get_headers=lambda _: {"X-Token": token}, limits=Limits(anonymous_partitions=3), **HANDSHAKE)
    for _ in range(10):
        token = str(next(counter))
        server.driver.run(client.list_tools())
    kept = [item for item in reachable(client) if isinstance(item, Partition)]
    assert len(kept) == len([item for item in reachable(client) if isinstance(item, Session)]) == 3


def test_a_partition_that_nobody_will_find_is_not_kept() -> None:
    partitions = Partitions(Digester(b"key"), Limits(), no_time)
    assert partitions.of_nobody() is not partitions.of_nobody()
    assert partitions.all() == []


# Idle expiry.

IDLE = Limits(idle_partition=800.0)


def held(world: World) -> tuple[int, int]:
    statistics = world.client.statistics()
    return statistics.partitions, statistics.anonymous_partitions


@pytest.mark.parametrize("context", [ALICE, NOBODY], ids=["principal", "nobody"])
@pytest.mark.parametrize(("seconds", "stays"), [(799.9, True), (800.0, False), (1e6, False)])
def test_an_identity_that_nobody_has_called_for_in_a_long_time_is_let_go(
    context: CallContext, seconds: float, stays: bool
) -> None:
    world = world_in("handshake", limits=IDLE)
    listed(world, context)
    clock_of(world).now += seconds
    listed(world, BOB)
    assert sum(held(world)) == 1 + stays


def test_an_identity_is_idle_from_the_end_of_its_last_call() -> None:
    world = world_in("modern", limits=IDLE)
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest)
    clock_of(world).now += 700
    play.finish()
    clock_of(world).now += 700
    listed(world, BOB)
    assert held(world) == (2, 0)
    clock_of(world).now += 100
    listed(world, BOB)
    assert held(world) == (1, 0)


@pytest.mark.parametrize("era", ["modern", "handshake", "HTTP+SSE"])
def test_an_identity_in_use_is_not_idle(era: str) -> None:
    world = world_in(era, limits=IDLE)
    listed(world, ALICE)
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest)
    clock_of(world).now += 10_000
    listed(world, BOB)
    assert held(world) == (2, 0)
    assert not any(stream.closed.raised for stream in world.streams)
    play.finish()


def test_an_identity_that_comes_back_late_finds_its_session_if_it_was_not_let_go_before() -> None:
    world = world_in("handshake", limits=IDLE)
    for _ in range(2):
        listed(world, ALICE, "refresh")
        clock_of(world).now += 10_000
    assert world.methods().count("initialize") == 1


def test_without_a_clock_nobody_is_idle() -> None:
    world = world_in("handshake", limits=Limits(idle_partition=1e-9), clock=None)
    for context in (ALICE, BOB, NOBODY, by("bob")):
        world.run(world.client.ping(context=context))
    assert held(world) == (2, 2)


def test_who_is_looked_for_is_not_idle_however_old_it_is() -> None:
    clock = Clock()
    partitions = Partitions(Digester(b"key"), IDLE, clock)
    first = partitions.of_principal("1")
    clock.now += 10_000
    assert partitions.of_principal("1") is first
    assert partitions.of_principal("2") is not first
    assert partitions.evictions == 0
    clock.now += 100
    partitions.of_principal("2")
    assert partitions.evictions == 1


def test_the_stream_and_the_answers_of_an_idle_identity_go_with_it() -> None:
    world = world_in("HTTP+SSE", limits=IDLE, default_ttl=5000.0)
    listed(world, ALICE)
    clock_of(world).now += 800
    listed(world, BOB)
    assert [stream.closed.raised for stream in world.streams] == [True, False]
    assert world.client.statistics().cache_entries == 1


# Sessions of those who had to go.


def pushed_out(*contexts: CallContext, most: int = 1, retired: int = 1000, **options: object) -> World:
    """A client each of whose identities has pushed out the one before it."""
    limits = Limits(partitions=most, anonymous_partitions=most, retired_sessions=retired)
    world = world_in("handshake", limits=limits, **options)
    for context in contexts:
        world.run(world.client.ping(context=context))
    world.sent.clear()
    world.resolved.clear()
    return world


def principal(name: str) -> CallContext:
    return CallContext(principal=name, request_headers={"x-user": name}, user=name, input=name)


def ended(world: World) -> list[str]:
    """The sessions that closing the client ends, in order."""
    for goodbye in world.client.close():
        world.run(goodbye)
    assert {request.kind for request in world.sent} <= {RequestKind.TERMINATE}
    return [headers_of(request)["mcp-session-id"] for request in world.sent]


def test_the_session_of_who_had_to_go_is_ended_when_the_client_is_closed() -> None:
    def by_principal(context: object) -> dict[str, str]:
        return {"X-User": str(getattr(context, "principal", None))}

    world = pushed_out(principal("a"), principal("b"), principal("c"), get_headers=by_principal)
    assert world.sent == []
    assert ended(world) == ["s1", "s2", "s3"]
    assert [headers_of(request)["x-user"] for request in world.sent] == ["a", "b", "c"]
    for context, name in zip(world.resolved, "abc", strict=True):
        assert (context.kind, context.http_method, context.principal) == (RequestKind.TERMINATE, "DELETE", name)
        assert (dict(context.request_headers), context.user, context.input) == ({}, None, None)
    assert ended(world)[3:] == []


def test_the_session_of_who_was_idle_is_ended_too() -> None:
    world = world_in("handshake", limits=IDLE, get_headers=None)
    world.run(world.client.ping(context=ALICE))
    clock_of(world).now += 800
    world.run(world.client.ping(context=BOB))
    world.sent.clear()
    assert ended(world) == ["s1", "s2"]


def test_who_comes_back_has_another_session_and_both_are_ended() -> None:
    world = pushed_out(principal("a"), principal("b"), principal("a"), get_headers=None)
    assert ended(world) == ["s1", "s2", "s3"]


def test_only_so_many_are_remembered_and_the_oldest_is_forgotten() -> None:
    world = pushed_out(*map(principal, "abcde"), retired=2, get_headers=None)
    assert ended(world) == ["s3", "s4", "s5"]


def test_nobody_is_remembered_whom_no_headers_can_be_found_for() -> None:
    assert ended(pushed_out(*map(by, "abc"))) == []
    assert ended(pushed_out(*map(by, "abc"), get_headers=None, forward=["x-user"])) == []


def test_where_all_get_the_same_headers_there_is_one_identity_to_end_the_session_of() -> None:
    assert ended(pushed_out(*map(by, "abc"), get_headers=None)) == ["s1"]
    partitions = Partitions(Digester(b"key"), Limits(anonymous_partitions=1), no_time, True)
    session = Session(URL, revisions.HANDSHAKE)
    partitions.of_identity(b"1").session = session
    partitions.of_identity(b"2")
    assert list(partitions.retired) == [(None, session)]


def test_who_had_no_session_leaves_nothing_to_end() -> None:
    world = world_in("modern", limits=Limits(partitions=1))
    for context in (ALICE, BOB):
        listed(world, context)
    assert world.client.close() == []


def test_who_is_beyond_the_bound_goes_as_soon_as_its_call_ends() -> None:
    world = world_in("modern", limits=Limits(partitions=1, anonymous_partitions=1))
    plays = [world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB, NOBODY, by("bob"))]
    for play in plays:
        play.until(SendRequest)
    assert held(world) == (2, 2)
    for play in plays:
        play.finish()
    assert held(world) == (1, 1)


def test_nothing_of_a_token_is_remembered_with_a_session() -> None:
    world = pushed_out(*map(principal, "abc"), get_headers=lambda context: {"Authorization": "Bearer SECRET"})
    found = [item for item in reachable(world.client) if isinstance(item, str | bytes)]
    assert "s1" in found, "the search does not find anything"
    assert not [item for item in found if "SECRET" in (item if isinstance(item, str) else item.decode("latin-1"))]


def test_an_identity_is_told_by_its_resolved_headers_also_where_idle_ones_are_let_go() -> None:
    world = world_in("handshake", limits=IDLE, get_headers=as_user)
    for name in ("alice", "bob", "alice"):
        assert listed(world, by(name)) == [f"tool of {name}"]
        clock_of(world).now += 800
    assert world.methods().count("initialize") == 3
