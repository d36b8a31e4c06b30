"""A duplex channel, by hand: its era, its handshake, who gets what arrives on it, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from support.channels import ChannelPlay, ChannelWorld, Message, Peer, channel_world, error, line, note, result
from support.schema import check_message, needs_schema
from support.stepping import DISCOVERY, FOUND, HANDSHAKE, MODERN, REVISIONS, initialize_result

from mcpcore import (
    CallContext,
    Client,
    ConfigurationError,
    DuplexChannel,
    ElicitResult,
    Handlers,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    LogMessage,
    McpError,
    NotSentError,
    OpenChannel,
    Progress,
    RemoteProtocolError,
    Root,
    RpcError,
    SendMessage,
    TransportError,
    WaitFor,
)
from mcpcore.rules.revisions import revision_named
from mcpcore.rules.transitions import CHANNEL, ChannelState
from mcpcore.state.call import Call
from mcpcore.state.client_state import Verdict
from mcpcore.verbs.asking import asking

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
PROBE, SHAKE = ["server/discover"], ["initialize", "notifications/initialized"]
ERAS = {MODERN: PROBE, HANDSHAKE: PROBE + SHAKE}
BOTH = pytest.mark.parametrize("version", ERAS)


def pending(world: ChannelWorld, name: str = "x", context: CallContext = ALICE, **options: Any) -> ChannelPlay[Any]:
    """A tool call that has been sent, and waits for its answer."""
    play = world.play(world.client.call_tool(name, context=context, **options))
    play.until_blocked()
    return play


def silent(version: str = HANDSHAKE, **options: Any) -> ChannelWorld:
    """A channel that is settled, to a server that answers no tool call by itself."""
    world = channel_world(Peer(version, silent={"tools/call"}), **options)
    world.run(world.client.ping(context=ALICE))
    world.messages.clear()
    return world


# The era.


@BOTH
def test_what_is_sent_in_each_era(version: str) -> None:
    world = channel_world(Peer(version))
    assert world.run(world.client.call_tool("x", {"a": 1})).text == "found"
    assert world.methods() == [*ERAS[version], "tools/call"]
    for message in world.messages:
        meta = message.get("params", {}).get("_meta", {})
        is_modern = version == MODERN or message["method"] == "server/discover"
        assert meta.get("io.modelcontextprotocol/protocolVersion") == (MODERN if is_modern else None)
    world.run(world.client.ping())
    world.run(world.client.open(context=BOB))
    expected = ["server/discover"] * 2 if version == MODERN else ["ping"]
    assert world.methods()[len(ERAS[version]) + 1 :] == expected
    assert len(world.channels) == 1
    assert world.leftovers() == []


@frozen
class Case:
    """What a server answers to the probe, and what comes of it: a revision, or an error."""

    answer: object
    outcome: str | type[McpError]


def discovery(*versions: object) -> dict[str, object]:
    return {**DISCOVERY, "supportedVersions": list(versions)}


def refusal(code: int, *supported: str) -> dict[str, object]:
    return {"code": code, "message": "no", "data": {"supported": list(supported)} if supported else None}


PROBES = {
    "discovery": Case(DISCOVERY, MODERN),
    "discovery of several": Case(discovery("2025-06-18", MODERN, "2099-01-01"), MODERN),
    "discovery of an older revision": Case(discovery("2025-06-18"), "2025-06-18"),
    "discovery of none that we speak": Case(discovery("2099-01-01"), HANDSHAKE),
    "something else": Case({}, HANDSHAKE),
    "not found": Case(refusal(-32601), HANDSHAKE),
    "invalid": Case(refusal(-32602), HANDSHAKE),
    "an own code": Case(refusal(-1), HANDSHAKE),
    "a modern error": Case(refusal(-32020), MODERN),
    "a missing capability": Case(refusal(-32021), MODERN),
    "unsupported, and ours": Case(refusal(-32022, MODERN), MODERN),
    "unsupported, and an older one": Case(refusal(-32022, "2025-03-26"), "2025-03-26"),
    "unsupported, and none that we speak": Case(refusal(-32022, "2099-01-01"), RemoteProtocolError),
}


@pytest.mark.parametrize("name", PROBES)
def test_what_the_answer_to_the_probe_proves(name: str) -> None:
    case = PROBES[name]
    older = Peer(HANDSHAKE if isinstance(case.outcome, type) else case.outcome)

    def peer(message: Message) -> Iterable[object]:
        if message.get("method") != "server/discover" or len(world.messages) > 1:
            return older(message)
        kind = "error" if isinstance(case.answer, dict) and "code" in case.answer else "result"
        return [{"jsonrpc": "2.0", "id": message["id"], kind: case.answer}]

    world = channel_world(peer)
    play = world.play(world.client.ping())
    play.end()
    if isinstance(case.outcome, type):
        assert type(play.error) is case.outcome
        assert play.error.request == "server/discover"
        assert world.channel.closed.raised
    elif case.outcome == MODERN:
        assert world.methods() == ["server/discover"] * 2
    else:
        assert world.methods() == ["server/discover", *SHAKE, "ping"]
        assert world.messages[1]["params"]["protocolVersion"] == case.outcome
        assert world.channel.revision.name == case.outcome
    assert world.leftovers() == []


def test_a_refusal_without_an_id_is_that_of_the_probe() -> None:
    def peer(message: Message) -> Iterable[object]:
        if message["method"] == "server/discover":
            return [{"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "what?"}}]
        return Peer(HANDSHAKE)(message)

    world = channel_world(peer)
    world.run(world.client.ping())
    assert world.methods() == [*PROBE, *SHAKE, "ping"]
    world.push({"jsonrpc": "2.0", "error": {"code": -32700, "message": "what?"}})
    assert world.client.statistics().ignored_messages == 1


def test_a_server_that_does_not_answer_the_probe_is_of_the_handshake_era() -> None:
    world = channel_world(Peer(HANDSHAKE, silent={"server/discover"}), limits=Limits(probe=3.0))
    play = world.play(world.client.ping())
    play.until_blocked()
    waiting = play.peek()
    assert waiting.seconds == 3.0
    play.time_out()
    play.finish()
    assert world.methods() == [*PROBE, *SHAKE, "ping"]
    world.push(result(world.messages[0], DISCOVERY))  # too late
    assert world.client.statistics().ignored_messages == 1
    world.run(world.client.ping())
    assert world.methods() == [*PROBE, *SHAKE, "ping", "ping"]


LATE = {
    "a discovery": ({"result": DISCOVERY}, MODERN),
    "a modern error": ({"error": refusal(-32022, MODERN)}, MODERN),
    "what proves nothing": ({"error": refusal(-32601)}, HANDSHAKE),
}


@pytest.mark.parametrize("name", LATE)
def test_an_answer_to_the_probe_that_comes_while_initialize_waits_counts_if_it_proves_something(name: str) -> None:
    """A program that is slow to start reads both requests, and answers them in turn."""
    late, version = LATE[name]
    world = channel_world(Peer(version, silent={"server/discover", "initialize"}))
    play = world.play(world.client.call_tool("x"))
    play.until_blocked()
    play.time_out()
    play.until_blocked()
    assert world.methods() == [*PROBE, "initialize"]
    initialized = error(world.messages[1], -32601) if version == MODERN else Peer(version)(world.messages[1])[0]
    world.push({"jsonrpc": "2.0", "id": world.messages[0]["id"], **late}, initialized)
    assert play.finish().text == "found"
    assert world.channel.revision.name == version
    assert world.methods()[1:] == [*(["initialize"] if version == MODERN else SHAKE), "tools/call"]
    assert world.client.statistics().ignored_messages == 1


def test_a_modern_server_that_was_too_slow_says_so_when_asked_to_initialize() -> None:
    world = channel_world(Peer(MODERN, silent={"server/discover"}))
    play = world.play(world.client.call_tool("x"))
    play.until_blocked()
    play.time_out()
    assert play.finish().text == "found"
    assert world.methods() == [*PROBE, "initialize", "tools/call"]
    assert world.channel.revision.name == MODERN


def test_a_revision_that_is_pinned() -> None:
    world = channel_world(Peer("2025-06-18"), protocol_version="2025-06-18")
    world.run(world.client.ping())
    assert world.methods() == [*SHAKE, "ping"]
    assert world.messages[0]["params"]["protocolVersion"] == "2025-06-18"

    world = channel_world(Peer(MODERN), protocol_version=MODERN)
    world.run(world.client.call_tool("x"))
    assert world.methods() == [*PROBE, "tools/call"]

    for peer, version in ((Peer("2025-06-18"), HANDSHAKE), (Peer(HANDSHAKE), MODERN), (Peer(MODERN), HANDSHAKE)):
        world = channel_world(peer, protocol_version=version)
        failed = world.fail(world.client.ping())
        assert isinstance(failed, RpcError if peer.version == MODERN else RemoteProtocolError)
        assert failed.request == ("server/discover" if version == MODERN else "initialize")
        assert failed.server == "stdio:server"
        assert world.channel.closed.raised


@pytest.mark.parametrize("answer", [refusal(-32603), initialize_result("1999-01-01"), initialize_result(MODERN), {}])
def test_a_handshake_that_fails_ends_the_channel_and_the_next_call_opens_another(answer: dict[str, Any]) -> None:
    healthy = Peer(HANDSHAKE)

    def peer(message: Message) -> Iterable[object]:
        if message.get("method") != "initialize":
            return healthy(message)
        return [{"jsonrpc": "2.0", "id": message["id"], "error" if "code" in answer else "result": answer}]

    world = channel_world(peer)
    failed = world.fail(world.client.ping())
    assert (type(failed), failed.request) == (RpcError if "code" in answer else RemoteProtocolError, "initialize")
    assert world.channel.closed.raised
    world.peer = healthy
    world.run(world.client.ping())
    assert len(world.channels) == 2
    assert world.leftovers() == []


def test_a_modern_request_that_is_refused_for_its_revision_is_made_once_more() -> None:
    refusals, supported = [-32022], [MODERN]

    def peer(message: Message) -> Iterable[object]:
        if message["method"] == "tools/call" and refusals:
            return [error(message, refusals.pop(), {"supported": supported})]
        return Peer()(message)

    world = channel_world(peer)
    assert world.run(world.client.call_tool("x")).text == "found"
    assert world.methods() == [*PROBE, "tools/call", "tools/call"]
    assert world.messages[1]["id"] != world.messages[2]["id"]
    refusals += [-32022, -32022]
    assert isinstance(world.fail(world.client.call_tool("x")), RpcError)
    assert refusals == []
    supported[:] = ["2099-01-01"]
    refusals += [-32022]
    assert isinstance(world.fail(world.client.call_tool("x")), RpcError)
    assert refusals == []


# One handshake.


@BOTH
def test_concurrent_first_calls_share_one_handshake(version: str) -> None:
    world = channel_world(Peer(version))
    plays = [world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB, CallContext())]
    for play in plays:
        play.peek()
    world.run_all(*plays)
    assert world.methods() == [*ERAS[version], *["tools/call"] * 3]
    assert len(world.channels) == 1
    assert world.leftovers() == []


@pytest.mark.parametrize("state", [ChannelState.PROBING, ChannelState.INITIALIZING, ChannelState.INITIALIZED])
@pytest.mark.parametrize("late", [False, True])
def test_what_a_call_that_gives_up_has_begun_is_taken_up_by_the_next(state: ChannelState, late: bool) -> None:
    """Nothing is asked twice, whether the answer comes before the next call or after it."""
    world = channel_world(Peer(HANDSHAKE, silent={"server/discover", "initialize"}))
    leader = world.play(world.client.ping(context=ALICE))
    leader.until_blocked()
    follower = world.play(world.client.ping(context=BOB))
    follower.until_blocked()
    if state is not ChannelState.PROBING:
        world.push(error(world.messages[-1], -32601))
        leader.until_blocked()
    if state is ChannelState.INITIALIZED:
        world.push(result(world.messages[-1], initialize_result()))
        leader.until(SendMessage)
    assert world.channel.state is state
    assert leader.cancel() is None, "an initialize, or a probe, is never cancelled"
    answers = {ChannelState.PROBING: error(world.messages[-1], -32601)}
    answers[ChannelState.INITIALIZING] = result(world.messages[-1], initialize_result())
    if late and state in answers:
        follower.until_blocked()
    if state in answers:
        world.push(answers[state])
    if state is ChannelState.PROBING:
        follower.until_blocked()
        world.push(result(world.messages[-1], initialize_result()))
    follower.finish()
    assert world.methods() == [*PROBE, *SHAKE, "ping"]
    assert len(world.channels) == 1
    assert world.leftovers() == []


@pytest.mark.parametrize("method", ["server/discover", "initialize", "notifications/initialized"])
def test_what_was_not_sent_is_sent_by_the_next_call(method: str) -> None:
    healthy, refused = Peer(HANDSHAKE), [method]

    def peer(message: Message) -> Iterable[object]:
        if refused and message["method"] == refused[0]:
            refused.clear()
            world.messages.pop()
            raise NotSentError("given up before it was begun")
        return healthy(message)

    world = channel_world(peer)
    assert isinstance(world.fail(world.client.ping()), NotSentError)
    world.run(world.client.ping())
    assert world.methods() == [*PROBE, *SHAKE, "ping"]
    assert len(world.channels) == 1


def test_a_channel_that_breaks_while_it_is_being_settled() -> None:
    def peer(message: Message) -> Iterable[object]:
        world.channel.request_failed(TransportError("broken"))
        raise TransportError("broken pipe")

    world = channel_world(peer)
    assert "broken pipe" in str(world.fail(world.client.ping()))
    world.peer = Peer()
    world.run(world.client.ping())
    assert len(world.channels) == 2


@pytest.mark.parametrize("waiting_for", ["server/discover", "initialize"])
def test_a_channel_that_ends_while_it_is_being_settled(waiting_for: str) -> None:
    world = channel_world(Peer(HANDSHAKE, silent={waiting_for}))
    plays = [world.play(world.client.ping(context=context)) for context in (ALICE, BOB)]
    for play in plays:
        play.until_blocked()
    world.channel.receive_end()
    failed = plays[0].fail()
    assert isinstance(failed, TransportError)
    assert (failed.request, failed.server) == ("ping", "stdio:server")
    world.peer = Peer(HANDSHAKE)
    plays[1].finish()
    assert len(world.channels) == 2
    assert world.leftovers() == []


def test_a_channel_that_cannot_be_opened() -> None:
    world = channel_world()
    world.refusal = TransportError("no such program")
    for _ in range(20):
        assert "no such program" in str(world.fail(world.client.ping()))
    world.refusal = None
    world.run(world.client.ping())


def test_channels_that_end_again_and_again_before_they_can_be_used() -> None:
    def peer(message: Message) -> Iterable[object]:
        world.channel.receive_end()
        return []

    world = channel_world(peer, limits=Limits(restarts=2))
    for _ in range(2):
        assert isinstance(world.fail(world.client.ping()), TransportError)
    failed = world.fail(world.client.ping())
    assert isinstance(failed, LimitExceeded)
    assert failed.limit == "restarts"
    assert len(world.channels) == 2


def test_a_channel_that_could_be_used_does_not_count_as_one_that_could_not() -> None:
    world = channel_world(limits=Limits(restarts=1))
    for number in range(1, 4):
        world.run(world.client.ping())
        world.channel.receive_end()
        assert len(world.channels) == number


def test_a_server_that_ends_after_each_handshake() -> None:
    healthy = Peer(HANDSHAKE)

    def peer(message: Message) -> Iterable[object]:
        if message["method"] == "notifications/initialized":
            world.channel.receive_end()
        return healthy(message)

    world = channel_world(peer, limits=Limits(handshakes=3))
    failed = world.fail(world.client.ping())
    assert isinstance(failed, McpError)
    assert len(world.channels) <= 3


# Answers, and what comes before them.


@BOTH
def test_answers_in_any_order(version: str) -> None:
    world = silent(version)
    plays = {name: pending(world, name, context) for name, context in (("a", ALICE), ("b", BOB))}
    for request in reversed(world.messages):
        name = request["params"]["name"]
        world.push(result(request, {**FOUND, "content": [{"type": "text", "text": name}]}))
        assert plays[name].finish().text == name
    assert world.leftovers() == []


def test_an_answer_that_comes_at_once() -> None:
    world = channel_world()
    assert world.run(world.client.call_tool("x")).text == "found"
    world.push(result(world.messages[-1]))
    assert world.client.statistics().ignored_messages == 1


@BOTH
def test_progress_and_logs(version: str) -> None:
    logged: list[tuple[str, CallContext]] = []

    def log(message: LogMessage, context: CallContext) -> None:
        logged.append((message.data, context))

    world = silent(version, handlers=Handlers(log=log))
    seen: list[Progress] = []
    play, other = pending(world, "a", on_progress=seen.append), pending(world, "b", BOB)
    token = world.messages[0]["params"]["_meta"]["progressToken"]
    world.push(note("notifications/progress", progressToken=token, progress=1))
    world.push(note("notifications/progress", progressToken=99, progress=2))
    world.push(note("notifications/message", level="info", data="hello"))
    world.push(*map(result, world.messages))
    play.finish()
    other.finish()
    assert [p.progress for p in seen] == [1]
    assert logged == [("hello", ALICE)]


@pytest.mark.parametrize("limits", [Limits(mailbox_messages=4), Limits(mailbox_bytes=300)])
def test_a_call_that_falls_behind_slows_the_channel_down(limits: Limits) -> None:
    world = silent(limits=limits)
    seen: list[Progress] = []
    play = pending(world, on_progress=seen.append)
    request = world.messages[0]
    world.push(*(note("notifications/progress", progressToken=request["id"], progress=n) for n in range(9)))
    world.push(result(request))
    assert world.channel.room is not None
    play.finish()
    assert [p.progress for p in seen] == [*range(9)]
    assert world.channel.room is None


def test_lines_that_are_no_messages_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    world = silent()
    play = pending(world)
    world.push(b"Server is running\n", b"[INFO] it is\n", b"\n", b"42\n", result(world.messages[0]))
    assert play.finish().text == "found"
    assert world.client.statistics().ignored_messages == 3
    assert [record.getMessage() for record in caplog.records] == [
        "stdio:server: the server writes what is no message where only messages belong; ignored"
    ]


@pytest.mark.parametrize(
    ("data", "failure"),
    [(b"{\n", RemoteProtocolError), (b'{"id":1}\n', RemoteProtocolError), (b"{" + b" " * 2000, LimitExceeded)],
)
def test_a_line_that_is_no_message_but_looks_like_one_ends_the_channel(data: bytes, failure: type[McpError]) -> None:
    world = silent(limits=Limits(message_bytes=1000))
    play = pending(world)
    world.push(data)
    assert type(play.fail()) is failure
    assert world.channel.closed.raised


@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_batches_where_the_revision_has_them(version: str) -> None:
    world = silent(version)
    play = pending(world)
    world.push([note("notifications/message"), result(world.messages[0])])
    play.until_blocked() if version != "2025-03-26" else play.finish()


# What the server asks and tells.


def test_what_the_server_asks_is_answered_in_the_call_that_has_waited_longest() -> None:
    asked: list[CallContext] = []

    def roots(_: None, context: CallContext) -> list[Root]:
        asked.append(context)
        return [Root(f"file:///{context.principal}")]

    world = silent(handlers=Handlers(roots=roots))
    first, second = pending(world, "a"), pending(world, "b", BOB)
    requests = list(world.messages)
    world.push({"jsonrpc": "2.0", "id": "r", "method": "roots/list"})
    second.until_blocked()
    assert asked == []
    first.until_blocked()
    assert asked == [ALICE]
    assert world.messages[-1] == {"jsonrpc": "2.0", "id": "r", "result": {"roots": [{"uri": "file:///alice"}]}}
    world.push(result(requests[0]))
    first.finish()
    world.push({"jsonrpc": "2.0", "id": "s", "method": "sampling/createMessage"})
    second.until_blocked()
    assert (world.messages[-1]["id"], world.messages[-1]["error"]["code"]) == ("s", -32601)
    world.push(result(requests[1]))
    second.finish()


def test_while_no_call_waits_only_pings_are_answered() -> None:
    world = silent(handlers=Handlers(roots=[]), limits=Limits(server_requests=2))
    pings = [{"jsonrpc": "2.0", "id": number, "method": "ping"} for number in range(3)]
    world.push({"jsonrpc": "2.0", "id": "r", "method": "roots/list"}, *pings)
    replies = [{"jsonrpc": "2.0", "id": number, "result": {}} for number in range(2)]
    assert [json.loads(reply) for reply in world.channel.data_to_send().splitlines()] == replies
    assert world.channel.data_to_send() == b""
    world.push(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}\n')
    assert world.channel.data_to_send() == b""


def test_a_server_of_the_modern_era_asks_nothing() -> None:
    world = silent(MODERN)
    world.push({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    play = pending(world)
    world.push({"jsonrpc": "2.0", "id": 2, "method": "ping"})
    play.until_blocked()
    assert world.channel.data_to_send() == b""
    assert world.methods() == ["tools/call"]


def test_a_wish_for_input_is_answered_in_rounds() -> None:
    def peer(message: Message) -> Iterable[object]:
        params = message.get("params", {})
        if message["method"] != "tools/call" or "inputResponses" in params:
            return Peer()(message)
        form = {"message": "Name?", "requestedSchema": {"type": "object", "properties": {}}}
        requests = {"k": {"method": "elicitation/create", "params": form}}
        wish = {"resultType": "input_required", "inputRequests": requests, "requestState": "s"}
        return [result(message, wish)]

    world = channel_world(peer, handlers=Handlers(elicit=lambda request, context: ElicitResult.accept({"n": 1})))
    assert world.run(world.client.call_tool("x")).text == "found"
    last = world.messages[-1]["params"]
    assert last["requestState"] == "s"
    assert last["inputResponses"]["k"]["content"] == {"n": 1}


def caching_world(version: str) -> ChannelWorld:
    names = iter("abcdefgh")

    def results(request: Message) -> object:
        tool = {"name": next(names), "inputSchema": {"type": "object", "properties": {"p": {"x-mcp-header": "a b"}}}}
        return {"resultType": "complete", "tools": [tool], "ttlMs": 10_000, "cacheScope": "private"}

    return channel_world(Peer(version, results=results), clock=lambda: 0.0, default_ttl=10.0)


def listed(world: ChannelWorld, context: CallContext) -> str:
    return world.run(world.client.list_tools(context=context))[0].name


@BOTH
def test_what_changes_is_forgotten_for_everybody(version: str) -> None:
    """Each identity has its own answers; but what the one channel tells, it tells to all."""
    world = caching_world(version)
    assert [listed(world, context) for context in (ALICE, BOB, ALICE, BOB)] == ["a", "b", "a", "b"]
    world.push(note("notifications/tools/list_changed"))
    assert [listed(world, context) for context in (ALICE, BOB, ALICE, BOB)] == ["c", "d", "c", "d"]
    assert world.client.statistics().ignored_messages == 0


@BOTH
def test_what_was_told_on_an_earlier_channel_is_forgotten(version: str) -> None:
    world = caching_world(version)
    assert [listed(world, context) for context in (ALICE, BOB)] == ["a", "b"]
    world.channel.receive_end()
    assert [listed(world, context) for context in (ALICE, BOB)] == ["c", "d"]


def test_notifications_of_the_client() -> None:
    world = silent()
    world.run(world.client.notify("notifications/roots/list_changed"))
    assert world.messages == [{"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}]
    world = silent(MODERN)
    assert isinstance(world.fail(world.client.notify("notifications/roots/list_changed")), LocalProtocolError)


@needs_schema
@pytest.mark.parametrize("version", REVISIONS)
def test_what_is_sent_is_valid(version: str) -> None:
    pinned = None if version == MODERN else version
    world = channel_world(Peer(version, silent={"tools/call"}), protocol_version=pinned)
    world.run(world.client.ping())
    play = pending(world, on_progress=print)
    world.push({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    play.until_blocked()
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert world.methods()[-1] == "notifications/cancelled"
    for message in world.messages:
        check_message(version, message)


# Giving up.


@BOTH
def test_a_call_that_is_given_up_is_cancelled_at_the_server(version: str) -> None:
    world = silent(version)
    play, other = pending(world, "a"), pending(world, "b")
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    notice = world.messages[-1]
    assert notice["method"] == "notifications/cancelled"
    assert notice["params"]["requestId"] == world.messages[0]["id"]
    world.push(result(world.messages[0]), result(world.messages[1]))
    assert other.finish().text == "found"
    assert world.leftovers() == []


def test_a_call_that_is_given_up_before_it_was_sent_is_not_cancelled() -> None:
    world = silent()
    play = world.play(world.client.call_tool("x"))
    play.until(SendMessage)
    play.operation.request_failed(NotSentError("given up"))
    assert play.cancel() is None
    assert world.leftovers() == []


def test_a_cancellation_on_a_channel_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    world = silent()
    play = pending(world)
    rest = play.cancel()
    assert rest is not None

    def peer(message: Message) -> Iterable[object]:
        raise TransportError("broken pipe")

    world.peer = peer
    rest.finish()
    assert "could not be sent" in caplog.text


@pytest.mark.parametrize("command", [OpenChannel, SendMessage])
def test_a_first_call_that_is_given_up(command: type[Any]) -> None:
    world = channel_world()
    play = world.play(world.client.ping())
    play.until(command)
    assert play.cancel() is None
    assert world.leftovers() == []


# The end.


@BOTH
@pytest.mark.parametrize("end", ["end", "break", "garbage", "close"])
def test_a_channel_that_ends_fails_what_waits_once_and_the_next_call_opens_another(version: str, end: str) -> None:
    world = silent(version)
    plays = [pending(world, "a"), pending(world, "b", BOB), pending(world, "c")]
    channel = world.channel
    world.push(result(world.messages[2]))
    if end == "end":
        channel.receive_end()
    elif end == "break":
        channel.request_failed(TransportError("broken"))
    elif end == "garbage":
        world.push(b"{\n")
    else:
        channel.close()
    errors = [play.fail() for play in plays[:2]]
    expected = {"garbage": RemoteProtocolError, "close": LocalProtocolError}
    assert {type(failed) for failed in errors} == {expected.get(end, TransportError)}
    assert errors[0] is not errors[1]
    assert [failed.request for failed in errors] == ["tools/call 'a'", "tools/call 'b'"]
    assert plays[2].finish().text == "found", "it had been answered before"
    channel.receive_data(line(result(world.messages[0])))
    assert channel.closed.raised
    world.messages.clear()
    world.run(world.client.ping(context=ALICE))
    assert world.methods()[: len(ERAS[version])] == ERAS[version]
    assert world.leftovers() == []


def test_a_channel_that_ends_between_two_pages() -> None:
    pages = iter([{"tools": [], "nextCursor": "2"}, {"tools": []}])
    healthy = Peer(HANDSHAKE, results=lambda _: next(pages))

    def peer(message: Message) -> Iterable[object]:
        answers = list(healthy(message))
        if message.get("method") == "tools/list" and "params" not in message:
            world.push(*answers)
            world.channel.receive_end()
            return []
        return answers

    world = channel_world(peer)
    assert world.run(world.client.list_tools()) == []
    assert world.methods() == [*PROBE, *SHAKE, "tools/list"] * 2


@BOTH
def test_a_client_that_is_closed(version: str) -> None:
    world = silent(version)
    waiting = pending(world)
    assert world.client.close() == []
    assert world.channel.closed.raised
    assert isinstance(waiting.fail(), LocalProtocolError)
    assert isinstance(world.fail(world.client.ping()), LocalProtocolError)
    assert len(world.channels) == 1
    assert channel_world().client.close() == []


def test_more_calls_than_may_wait() -> None:
    world = silent(limits=Limits(pending_requests=1))
    first, second = pending(world, "a"), pending(world, "b")
    assert world.methods() == ["tools/call"]
    world.push(result(world.messages[0]))
    first.finish()
    second.until_blocked()
    world.push(result(world.messages[1]))
    second.finish()


# Configuration, secrets, and any bytes.


@pytest.mark.parametrize("options", [{"protocol_version": "1999-01-01"}, {"client_info": {}}, {"default_ttl": -1.0}])
def test_a_configuration_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Client.over_channel("stdio:server", **options)
    assert caught.value.server == "stdio:server"


def test_a_channel_shows_no_secret() -> None:
    world = silent()
    play = world.play(world.client.call_tool("x", {"key": "secret"}))
    command = play.until(SendMessage)
    world.push(b'{"jsonrpc":"2.0","id":99,"result":{"x":"secret"}}\n{"secret')
    assert "secret" not in repr(command) + repr(world.channel)


lines = st.sampled_from(
    [
        line({"jsonrpc": "2.0", "id": 1, "result": {}}),
        line({"jsonrpc": "2.0", "id": 2, "error": {"code": 1}}),
        line({"jsonrpc": "2.0", "id": 9, "method": "ping"}),
        line(note("notifications/progress", progressToken=True)),
        line(note("notifications/tools/list_changed", _meta=[])),
        line(note("x", _meta={"io.modelcontextprotocol/subscriptionId": [1]})),
        b"[]\n",
        b"{" * 200,
        b"\xff\n",
        b'{"\xff"}\n',
    ]
)


@given(st.lists(st.one_of(st.binary(max_size=30), lines), max_size=8))
def test_any_bytes(pieces: list[bytes]) -> None:
    channel = DuplexChannel("x", Limits(message_bytes=100, mailbox_messages=3))
    mailbox = channel.expect(1)
    for piece in pieces:
        channel.receive_data(piece)
    if channel.failure is None:
        assert not channel.closed.raised
        assert len(mailbox) <= 3
    else:
        assert type(channel.failure) in (RemoteProtocolError, LimitExceeded)
        assert channel.closed.raised
        assert len(mailbox) <= 4


class Recorder(dict[Any, Any]):
    """A table that remembers which of its entries were used."""

    used: set[Any]

    def __getitem__(self, key: Any) -> Any:
        after = super().__getitem__(key)
        self.used.add(key)
        return after


def end_while(state: ChannelState) -> None:
    """Bring a channel to a state, and end it there."""
    version = MODERN if state is ChannelState.MODERN else HANDSHAKE
    world = channel_world(Peer(version, silent={"server/discover", "initialize"}))
    play = world.play(world.client.ping())
    play.until(SendMessage)
    while world.channel.state is not state:
        if isinstance(play.peek(), WaitFor):
            world.push(*Peer(version)(world.messages[-1]))
        assert play.step()
    world.channel.close()
    assert world.channel.state is ChannelState.ENDED
    play.cancel()


def not_sent(method: str) -> DuplexChannel:
    """A channel on which a request of its own could not be sent."""
    healthy, refused = Peer(HANDSHAKE), [method]

    def peer(message: Message) -> Iterable[object]:
        if refused and message["method"] == refused[0]:
            refused.clear()
            raise NotSentError("given up before it was begun")
        return healthy(message)

    world = channel_world(peer)
    assert isinstance(world.fail(world.client.ping()), NotSentError)
    return world.channel


def test_channels_use_their_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Recorder(CHANNEL)
    table.used = set()
    monkeypatch.setattr("mcpcore.machines.channel.CHANNEL", table)
    unseen = {ChannelState.OPEN: "server/discover", ChannelState.NOT_MODERN: "initialize"}
    for state in ChannelState:
        if state in unseen:
            channel = not_sent(unseen[state])
            assert channel.state is state
            channel.close()
        elif state is not ChannelState.ENDED:
            end_while(state)
    test_a_revision_that_is_pinned()
    test_a_modern_server_that_was_too_slow_says_so_when_asked_to_initialize()
    assert table.used == set(CHANNEL)


@pytest.mark.parametrize("kind", ["summary", "input_required"])
def test_in_the_handshake_era_every_result_is_the_final_one(kind: str) -> None:
    answer = {"content": [], "resultType": kind, "inputRequests": {"q": {"method": "roots/list"}}}
    world = channel_world(Peer(HANDSHAKE, results=lambda _: answer), handlers=Handlers(roots=[]))
    assert world.run(world.client.call_tool("t", context=ALICE)).raw == answer
    assert world.methods().count("tools/call") == 1


def test_over_a_channel_a_call_is_settled_without_any_headers() -> None:
    world = channel_world(Peer(MODERN))
    world.run(world.client.ping(context=ALICE))
    call = Call(world.client._state, CallContext())
    call.begin()
    assert list(asking(call, Verdict(revision_named(MODERN)), "tools/list", {}).settle()) == []
    assert call.partition.principal is None
    call.release()
    assert world.leftovers() == []
