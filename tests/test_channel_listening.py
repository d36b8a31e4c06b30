"""Listening on a duplex channel, which carries everything else as well."""

from __future__ import annotations

from typing import Any

import pytest
from support.channels import ChannelPlay, ChannelWorld, Message, Peer, channel_world, error, note, result
from support.stepping import HANDSHAKE, MODERN

from mcpcore import (
    Acknowledged,
    CallContext,
    CallHandler,
    DuplexChannel,
    Handlers,
    LimitExceeded,
    Limits,
    ListChanged,
    ResourceUpdated,
    Root,
    RpcError,
    Spawn,
    TransportError,
)

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
ID = "io.modelcontextprotocol/subscriptionId"


def listening(world: ChannelWorld, context: CallContext = ALICE, **wanted: Any) -> ChannelPlay[None]:
    """A call that listens, and waits for what comes."""
    play = world.play(world.client.listen(context=context, **wanted))
    play.until_blocked()
    return play


def told(subscription: Message, method: str, **params: object) -> dict[str, Any]:
    return note(method, _meta={ID: subscription["id"]}, **params)


def acknowledgement(subscription: Message) -> dict[str, Any]:
    wanted = subscription["params"]["notifications"]
    return told(subscription, "notifications/subscriptions/acknowledged", notifications=wanted)


def subscribed(**options: Any) -> tuple[ChannelWorld, list[ChannelPlay[None]], list[dict[str, Any]]]:
    """Two modern subscriptions on one channel, and the requests that they made."""
    world = channel_world(Peer(MODERN, silent={"subscriptions/listen", "tools/call"}), **options)
    plays = [listening(world, ALICE, tools=True), listening(world, BOB, resources=True, uris=["file:///a"])]
    return world, plays, world.messages[1:]


def test_subscriptions_are_told_apart_by_their_ids() -> None:
    world, (first, second), (one, two) = subscribed()
    world.push(
        told(two, "notifications/resources/updated", uri="file:///early"),
        acknowledgement(two),
        acknowledgement(one),
        told(two, "notifications/resources/updated", uri="file:///a"),
        told(one, "notifications/tools/list_changed"),
        told({"id": 99}, "notifications/tools/list_changed"),
    )
    first.until_blocked()
    assert [type(event) for event in world.emitted] == [Acknowledged, ListChanged]
    second.until_blocked()
    assert [type(event) for event in world.emitted[2:]] == [Acknowledged, ResourceUpdated]
    world.push(result(one, {"resultType": "complete", "_meta": {ID: one["id"]}}))
    assert first.finish() is None
    assert world.methods()[-1] == "subscriptions/listen", "what has ended is not cancelled"
    rest = second.cancel()
    assert rest is not None
    rest.finish()
    assert world.messages[-1]["method"] == "notifications/cancelled"
    assert world.messages[-1]["params"]["requestId"] == two["id"]
    assert world.leftovers() == []


@pytest.mark.parametrize("end", ["cancelled", "refused", "channel"])
def test_a_subscription_that_is_dropped(end: str) -> None:
    world, (first, _), (one, _) = subscribed()
    if end == "cancelled":
        world.push(acknowledgement(one), note("notifications/cancelled", requestId=one["id"]))
    elif end == "refused":
        world.push(error(one, -32601))
    else:
        world.channel.receive_end()
    failed = first.fail()
    assert type(failed) is (RpcError if end == "refused" else TransportError)
    assert world.methods()[-1] == "subscriptions/listen"


@pytest.mark.parametrize("version", [MODERN, HANDSHAKE])
def test_one_who_does_not_listen_any_more_holds_up_nobody(version: str) -> None:
    world = channel_world(
        Peer(version, silent={"subscriptions/listen", "tools/call"}), limits=Limits(mailbox_messages=3)
    )
    slow = listening(world, tools=True)
    subscription = world.messages[-1] if version == MODERN else {"id": None}
    call = world.play(world.client.call_tool("x", context=BOB))
    call.until_blocked()
    tools_changed = told(subscription, "notifications/tools/list_changed")
    first = [acknowledgement(subscription)] if version == MODERN else []
    world.push(*first, *[tools_changed] * 10, result(world.messages[-1]))
    assert world.channel.room is None
    assert call.finish().text == "found"
    failed = slow.fail()
    assert isinstance(failed, LimitExceeded)
    assert failed.limit == "mailbox_messages"
    assert len(world.emitted) == (3 if version == MODERN else 4)


def test_in_the_handshake_era_one_listens_to_what_belongs_to_no_call() -> None:
    def roots(_: None, context: CallContext) -> list[Root]:
        return [Root(f"file:///{context.principal}")]

    world = channel_world(Peer(HANDSHAKE), handlers=Handlers(roots=roots))
    play = listening(world, tools=True, uris=["file:///a"])
    assert world.methods()[-1] == "resources/subscribe"
    world.push(note("notifications/tools/list_changed"), {"jsonrpc": "2.0", "id": 7, "method": "roots/list"})
    play.until_blocked()
    assert [type(event) for event in world.emitted] == [Acknowledged, ListChanged]
    assert world.messages[-1] == {"jsonrpc": "2.0", "id": 7, "result": {"roots": [{"uri": "file:///alice"}]}}
    play.cancel()
    world.push(note("notifications/tools/list_changed"))
    assert world.leftovers() == []


@pytest.mark.parametrize("listens", [False, True])
def test_a_request_that_the_server_withdraws(listens: bool) -> None:
    """It is withdrawn from whomever it was left for, and from nobody else."""
    world = channel_world(Peer(HANDSHAKE, silent={"tools/call"}), handlers=Handlers(roots=lambda *_: []))
    if listens:
        play: ChannelPlay[Any] = listening(world)
    else:
        play = world.play(world.client.call_tool("x"))
        play.until_blocked()
    other = world.play(world.client.call_tool("y", context=BOB)) if not listens else None
    if other is not None:
        other.until_blocked()
    world.push({"jsonrpc": "2.0", "id": "r", "method": "roots/list"})
    spawned = play.until(Spawn)
    assert isinstance(spawned.operation.next_command(), CallHandler)
    world.push(note("notifications/cancelled", requestId="unknown"), note("notifications/cancelled", requestId=True))
    world.push(note("notifications/cancelled", requestId="r"))
    play.operation.spawned()
    play.until_blocked()
    assert spawned.withdrawn is not None
    assert spawned.withdrawn.raised
    if other is not None:
        other.until_blocked()


def test_nobody_can_listen_to_what_has_ended() -> None:
    channel = DuplexChannel("x", Limits())
    channel.receive_end()
    for attempt in (channel.listen, lambda: channel.expect(1)):
        with pytest.raises(TransportError) as caught:
            attempt()
        assert caught.value is not channel.failure
