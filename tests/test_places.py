"""Places: a bound that calls wait at, in the order in which they came; and a client's streams, which it bounds."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from support.pure import Answer, Reply, headers_of, message_of
from support.stepping import FOUND, Play, SseServer, World, event, world_of

from mcpcore import (
    CallContext,
    HeaderResolverError,
    Limits,
    McpError,
    RequestContext,
    ResolveHeaders,
    SendRequest,
    TransportError,
    WaitFor,
)
from mcpcore.signals import Signal
from mcpcore.state.places import Places

# Taken, waited for, handed on.


@define
class Taker:
    """One who wants a place, as a call does."""

    places: Places
    has_place: bool = False
    turn: Any = None
    _flow: Any = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._flow = self.places.take()
        try:
            command = next(self._flow)
        except StopIteration:
            self.has_place = True
        else:
            assert isinstance(command, WaitFor)
            self.turn = command.signal

    def go_on(self) -> None:
        assert self.turn.raised, "it is not its turn"
        with pytest.raises(StopIteration):
            self._flow.send(None)
        self.has_place = True

    def give_up(self) -> None:
        self._flow.close()


def test_a_place_given_back_is_free() -> None:
    places = Places(2)
    assert Taker(places).has_place
    assert (places.free, places.is_wanted) == (1, False)
    places.give()
    assert places.free == 2


def test_who_waits_longest_goes_first_and_a_newcomer_does_not_overtake() -> None:
    places = Places(1)
    assert Taker(places).has_place
    first, second = Taker(places), Taker(places)
    assert places.is_wanted
    places.give()
    assert (first.turn.raised, second.turn.raised, places.free) == (True, False, 0)
    newcomer = Taker(places)
    assert not newcomer.has_place
    first.go_on()
    places.give()
    second.go_on()
    assert not newcomer.turn.raised
    places.give()
    newcomer.go_on()
    places.give()
    assert (places.free, places.is_wanted) == (1, False)


def test_who_gives_up_is_not_waited_for() -> None:
    places = Places(1)
    assert Taker(places).has_place
    first, second = Taker(places), Taker(places)
    first.give_up()
    places.give()
    assert not first.turn.raised
    second.go_on()


def test_who_gives_up_in_turn_hands_the_place_on() -> None:
    places = Places(1)
    assert Taker(places).has_place
    first, second = Taker(places), Taker(places)
    places.give()
    first.give_up()
    second.go_on()
    last = Taker(places)
    places.give()
    last.give_up()
    assert (places.free, places.is_wanted) == (1, False)


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["take", "go on", "give", "give up"]), st.integers(0, 9))))
def test_no_place_is_lost_or_made(size: int, acts: list[tuple[str, int]]) -> None:
    places = Places(size)
    waiting: list[Taker] = []
    held = 0
    for act, number in acts:
        ready = [taker for taker in waiting if taker.turn.raised]
        if act == "take":
            taker = Taker(places)
            held += taker.has_place
            if not taker.has_place:
                waiting.append(taker)
        elif act == "go on" and ready:
            ready[0].go_on()
            waiting.remove(ready[0])
            held += 1
        elif act == "give" and held:
            places.give()
            held -= 1
        elif act == "give up" and waiting:
            waiting.pop(number % len(waiting)).give_up()
        turns = [taker.turn.raised for taker in waiting]
        assert turns == sorted(turns, reverse=True), "somebody was overtaken"
        assert places.free + held + sum(turns) == size
        assert not (places.free and places.is_wanted)


# The streams of one client.


def user(name: str) -> CallContext:
    """A caller with a principal."""
    return CallContext(principal=name, user=name)


def minted(name: str) -> CallContext:
    """A caller without one."""
    return CallContext(user=name)


def sse(streams: int, *silent: str, **options: Any) -> World:
    options.setdefault("get_headers", lambda context: {"Authorization": f"Bearer {context.user}"})
    return world_of(SseServer(silent=set(silent)), type="sse", limits=Limits(streams=streams), **options)


def owners(world: World) -> list[str]:
    """Whose streams are open."""
    names = [headers_of(r)["authorization"].removeprefix("Bearer ") for r in world.sent if r.method == "GET"]
    return [name for name, stream in zip(names, world.streams, strict=True) if not stream.closed.raised]


def free(world: World) -> int:
    return world.client._state.stream_places.free


def pending(world: World, context: CallContext) -> tuple[Play[Any], SendRequest]:
    """A tool call that has been posted, and waits for its answer."""
    play = world.play(world.client.call_tool("x", context=context))
    play.until_blocked()
    assert world.sent[-1].rpc_method == "tools/call"
    return play, world.sent[-1]


def answer(world: World, stream: int, request: SendRequest) -> None:
    world.streams[stream].receive_data(event({"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND}))


def waiting_to_open(world: World, context: CallContext) -> Play[Any]:
    """A call that waits for a place, and has sent nothing."""
    count = len(world.sent)
    play = world.play(world.client.ping(context=context))
    play.until_blocked()
    assert len(world.sent) == count
    return play


def check_nothing_is_left(world: World) -> None:
    assert world.leftovers() == []
    assert world.client.close() == []
    assert all(stream.closed.raised for stream in world.streams)
    assert free(world) == world.client.limits.streams
    assert not world.client._state.stream_places.is_wanted


def test_an_idle_stream_gives_way_the_least_recently_used_first() -> None:
    world = sse(2)
    for name in ("a", "b", "a", "c"):
        world.run(world.client.ping(context=user(name)))
    assert owners(world) == ["a", "c"]
    for name in ("b", "d", "e"):
        world.run(world.client.ping(context=user(name)))
    assert owners(world) == ["d", "e"]
    check_nothing_is_left(world)


def test_streams_of_minted_identities_give_way_first() -> None:
    world = sse(2)
    for context in (user("a"), minted("m"), user("b")):
        world.run(world.client.ping(context=context))
    assert owners(world) == ["a", "b"]
    world.run(world.client.ping(context=minted("n")))
    assert owners(world) == ["b", "n"]
    check_nothing_is_left(world)


def test_a_stream_that_has_ended_takes_no_place_and_is_none_to_give_way() -> None:
    world = sse(2)
    for name in ("a", "b"):
        world.run(world.client.ping(context=user(name)))
    world.streams[0].receive_end()
    assert free(world) == 1
    for name in ("c", "d"):
        world.run(world.client.ping(context=user(name)))
    assert owners(world) == ["c", "d"]
    check_nothing_is_left(world)


def test_a_stream_in_use_stays_and_an_idle_one_gives_way() -> None:
    world = sse(2, "tools/call")
    busy, request = pending(world, user("a"))
    for name in ("b", "c"):
        world.run(world.client.ping(context=user(name)))
    assert owners(world) == ["a", "c"]
    answer(world, 0, request)
    assert busy.finish().text == "found"
    check_nothing_is_left(world)


@pytest.mark.parametrize("how", ["answered", "cancelled", "ended", "closed"])
def test_where_none_is_idle_a_call_goes_on_as_soon_as_one_is(how: str) -> None:
    world = sse(1, "tools/call")
    busy, request = pending(world, user("a"))
    late = waiting_to_open(world, user("b"))
    if how == "answered":
        answer(world, 0, request)
        assert busy.finish().text == "found"
    elif how == "cancelled":
        rest = busy.cancel()
        assert rest is not None
        rest.finish()
    elif how == "ended":
        world.streams[0].receive_end()
        assert isinstance(busy.fail(), TransportError)
    else:
        world.client.close()
        assert isinstance(busy.fail(), McpError)
    late.finish()
    assert owners(world) == (["b"] if how != "closed" else [])
    check_nothing_is_left(world)


def test_a_stream_that_another_call_of_its_identity_uses_does_not_give_way() -> None:
    world = sse(1, "tools/call")
    (first, asked_first), (second, asked_second) = pending(world, user("a")), pending(world, user("a"))
    late = waiting_to_open(world, user("b"))
    answer(world, 0, asked_first)
    first.finish()
    late.until_blocked()
    answer(world, 0, asked_second)
    assert second.finish().text == "found"
    late.finish()
    check_nothing_is_left(world)


def test_those_who_wait_for_a_stream_are_served_in_the_order_in_which_they_came() -> None:
    world = sse(1, "tools/call")
    busy, request = pending(world, user("a"))
    late, later = (waiting_to_open(world, user(name)) for name in ("b", "c"))
    answer(world, 0, request)
    busy.finish()
    later.until_blocked()
    late.finish()
    later.finish()
    assert owners(world) == ["c"]
    check_nothing_is_left(world)


@pytest.mark.parametrize("in_turn", [False, True])
def test_who_gives_up_waiting_for_a_stream_takes_nobodys_place(in_turn: bool) -> None:
    world = sse(1, "tools/call")
    busy, request = pending(world, user("a"))
    late, later = (waiting_to_open(world, user(name)) for name in ("b", "c"))
    if not in_turn:
        assert late.cancel() is None
    answer(world, 0, request)
    busy.finish()
    if in_turn:
        assert late.cancel() is None
    later.finish()
    assert owners(world) == ["c"]
    check_nothing_is_left(world)


@pytest.mark.parametrize(
    "refusal",
    [Reply(401), Reply(404), Reply(500), Reply(307), Reply(204), Reply(200), TransportError("broken")],
    ids=repr,
)
def test_a_get_that_fails_gives_its_place_back(refusal: Answer) -> None:
    world = sse(1)
    healthy, world.server = world.server, lambda _: refusal
    for _ in range(3):
        world.fail(world.client.ping(context=user("a")))
    assert free(world) == 1
    world.server = healthy
    world.run(world.client.ping(context=user("a")))
    assert free(world) == 0
    check_nothing_is_left(world)


def test_a_get_whose_resolver_fails_when_asked_again_gives_its_place_back() -> None:
    def once(context: RequestContext) -> dict[str, str]:
        if context.attempt == 2:
            raise PermissionError
        return {"Authorization": "Bearer a"}

    world = sse(1, get_headers=once)
    world.server = lambda _: Reply(401)
    assert isinstance(world.fail(world.client.ping(context=user("a"))), HeaderResolverError)
    check_nothing_is_left(world)


@pytest.mark.parametrize("context", [user("a"), minted("a")], ids=["principal", "none"])
def test_an_opening_that_is_left_at_any_point_gives_its_place_back(context: CallContext) -> None:
    for steps in range(100):
        world = sse(1)
        play = world.play(world.client.ping(context=context))
        for _ in range(steps):
            play.step()
        if play.peek() is None:
            break
        rest = play.cancel()
        if rest is not None:
            rest.finish()
        world.run(world.client.ping(context=user("b")))
        check_nothing_is_left(world)
    assert steps > 5


def test_streams_of_ones_own_end_with_their_calls_and_give_their_places_back() -> None:
    world = sse(1, "tools/call", opaque_identity=True)
    busy, request = pending(world, minted("a"))
    late = waiting_to_open(world, minted("b"))
    answer(world, 0, request)
    busy.finish()
    late.finish()
    assert owners(world) == []
    check_nothing_is_left(world)


def test_a_place_is_waited_for_after_the_resolvers_were_asked() -> None:
    """A resolver that hangs takes no place."""
    world = sse(1)
    hanging = world.play(world.client.ping(context=user("a")))
    hanging.until(ResolveHeaders)
    world.run(world.client.ping(context=user("b")))
    hanging.finish()
    check_nothing_is_left(world)


# Several calls of one identity that wait to open its stream.


def both_waiting(streams: int) -> tuple[World, list[tuple[Play[Any], SendRequest]], list[Play[Any]]]:
    """A world without a free place, the calls that hold them, and two calls of one identity that wait for one.

    The two came to lead an opening of their own when a third one, which they had waited for, gave up.
    """
    world = sse(streams, "tools/call")
    busy = [pending(world, user(str(number))) for number in range(streams)]
    leader = waiting_to_open(world, user("a"))
    followers = [waiting_to_open(world, user("a")) for _ in range(2)]
    assert leader.cancel() is None
    for follower in followers:
        follower.until_blocked()
    return world, busy, followers


def end(world: World, busy: list[tuple[Play[Any], SendRequest]]) -> None:
    for stream, (play, request) in enumerate(busy):
        answer(world, stream, request)
        play.finish()


def test_who_waits_for_a_place_uses_the_stream_that_its_identity_gets_in_the_meantime() -> None:
    world, busy, (one, other) = both_waiting(1)
    end(world, busy)
    one.until(SendRequest, rpc_method="ping")
    other.finish()
    one.finish()
    assert owners(world) == ["a"]
    check_nothing_is_left(world)


def test_a_place_that_comes_together_with_the_stream_is_given_back() -> None:
    world, busy, (one, other) = both_waiting(2)
    end(world, busy)
    one.finish()
    other.finish()
    assert owners(world) == ["a"]
    assert free(world) == 1
    check_nothing_is_left(world)


def test_who_was_told_of_a_stream_that_has_ended_since_waits_on() -> None:
    world, busy, (one, other) = both_waiting(1)
    end(world, busy)
    one.until(SendRequest, rpc_method="ping")
    world.streams[-1].receive_end()
    assert isinstance(one.fail(), TransportError)
    other.finish()
    assert owners(world) == ["a"]
    check_nothing_is_left(world)


def test_who_was_told_of_a_stream_that_has_ended_and_whose_place_is_anothers_waits_on() -> None:
    world = sse(1, "tools/call")
    busy = [pending(world, user("busy"))]
    leader = waiting_to_open(world, user("a"))
    one, other = (waiting_to_open(world, user("a")) for _ in range(2))
    assert leader.cancel() is None
    one.until_blocked()
    between = waiting_to_open(world, user("b"))
    other.until_blocked()
    end(world, busy)
    one.until(SendRequest, rpc_method="ping")
    world.streams[-1].receive_end()
    assert isinstance(one.fail(), TransportError)
    other.until_blocked()
    between.finish()
    other.finish()
    assert owners(world) == ["a"]
    check_nothing_is_left(world)


def test_of_two_streams_that_are_opened_at_once_the_first_is_kept_while_it_lasts() -> None:
    world, busy, (one, other) = both_waiting(2)
    end(world, busy)
    for play in (one, other):
        play.until(SendRequest, rpc_method="initialize")
    one.finish()
    world.streams[-2].receive_end()
    other.finish()
    assert owners(world) == ["a"]
    world.run(world.client.ping(context=user("a")))
    assert len(world.streams) == 4
    check_nothing_is_left(world)


def test_a_place_that_is_no_longer_needed_is_not_taken() -> None:
    places, needless = Places(1), Signal()
    assert Taker(places).has_place
    flow = places.take(needless)
    command = next(flow)
    assert isinstance(command, WaitFor)
    needless.raise_()
    assert command.signal.raised
    with pytest.raises(StopIteration) as stop:
        flow.send(None)
    assert stop.value.value is False
    places.give()
    assert (places.free, places.is_wanted) == (1, False)
