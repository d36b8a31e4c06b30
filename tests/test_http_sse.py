"""HTTP+SSE: one event stream for all answers, one POST for each message."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from support.pure import Answer, Reply, error_reply, headers_of, json_reply, message_of
from support.schema import check_sent, needs_schema
from support.stepping import FOUND, REVISIONS, URL, Play, SseServer, World, event, initialize_result, world_of

from mcpcore import (
    CallContext,
    EndResponse,
    EventStream,
    HttpStatusError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    McpError,
    Progress,
    ReceiveData,
    RemoteProtocolError,
    RequestContext,
    RequestKind,
    ResolveHeaders,
    RpcError,
    SendRequest,
    StartReader,
    TransportError,
    UnauthorizedError,
    WaitFor,
)
from mcpcore.operation import spawn
from mcpcore.rules.endpoint import Endpoint
from mcpcore.rules.revisions import revision_named

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
OPENED = ["GET", "initialize", "notifications/initialized"]
STREAM = {"content-type": "text/event-stream"}


def sse(server: SseServer | None = None, **options: Any) -> World:
    return world_of(server or SseServer(), type="sse", **options)


def result_of(request: SendRequest, result: object = FOUND) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": result}


def pending(
    world: World, name: str = "x", context: CallContext = ALICE, **options: Any
) -> tuple[Play[Any], SendRequest]:
    """A tool call that has been posted, and waits for its answer."""
    play = world.play(world.client.call_tool(name, context=context, **options))
    play.until_blocked()
    return play, world.sent[-1]


def silent(**options: Any) -> World:
    """A server that answers no tool call by itself, with Alice's stream open."""
    world = sse(SseServer(silent={"tools/call"}), **options)
    world.run(world.client.ping(context=ALICE))
    world.sent.clear()
    return world


# Opening.


def test_the_handshake_on_a_stream() -> None:
    world = sse()
    assert world.run(world.client.call_tool("x", {"a": 1})).text == "found"
    assert world.methods() == [*OPENED, "tools/call"]
    assert [request.url for request in world.sent] == [URL] + ["https://mcp.example/messages?s=1"] * 3
    get = headers_of(world.sent[0])
    assert (get["accept"], world.sent[0].body, world.sent[0].is_stream) == ("text/event-stream", b"", True)
    assert not any(name.startswith("mcp-") for request in world.sent for name in headers_of(request))
    assert message_of(world.sent[1])["params"]["protocolVersion"] == "2025-11-25"
    world.run(world.client.ping())
    assert world.methods()[4:] == ["ping"]


@needs_schema
@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_what_is_sent_is_valid(version: str) -> None:
    server = SseServer(version=version, silent={"tools/call"})
    world = sse(server, protocol_version=version)
    client = world.client
    world.run(client.ping(context=ALICE))
    world.run(client.notify("notifications/roots/list_changed", context=ALICE))
    play, _ = pending(world, on_progress=print)
    world.push({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    play.until_blocked()
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert world.methods()[-3:] == ["tools/call", "ping", "notifications/cancelled"]
    for request in world.sent:
        check_sent(version, request)


@pytest.mark.parametrize(
    ("data", "target"),
    [
        (b"/messages?s=1", "https://mcp.example/messages?s=1"),
        (b"messages", "https://mcp.example/messages"),
        (b"?s=1", "https://mcp.example/mcp?s=1"),
        (b" /messages ", "https://mcp.example/messages"),
        (b"//mcp.example/m", "https://mcp.example/m"),
        (b"https://mcp.example:443/m#x", "https://mcp.example:443/m"),
        (b"https://MCP.example/m", "https://MCP.example/m"),
        (b"https://mcp.example.evil.example/m", None),
        (b"https://evil.example/m", None),
        (b"//evil.example/m", None),
        (b"http://mcp.example/m", None),
        (b"https://mcp.example:8443/m", None),
        (b"https://user@mcp.example/m", None),
        (b"https://mcp.example@evil.example/m", None),
        (b"\\\\evil.example/m", None),
        (b"/m\\evil", None),
        (b"javascript:alert(1)", None),
        (b"https://[", None),
        (b"https://mcp.example:x/m", None),
        (b"/\xff", "https://mcp.example/\ufffd"),
    ],
)
def test_where_to_post(data: bytes, target: str | None) -> None:
    world = sse(SseServer(endpoint=data))
    play = world.play(world.client.ping())
    play.end()
    if target is None:
        assert isinstance(play.error, RemoteProtocolError)
        assert play.error.request == "GET (listen)"
        assert world.methods() == ["GET"]
        assert world.streams[0].closed.raised
    else:
        assert play.error is None
        assert {request.url for request in world.sent[1:]} == {target}
    assert world.leftovers() == []


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (Reply(404), HttpStatusError),
        (Reply(404, {"content-type": "text/html"}, [b"<html>"]), HttpStatusError),
        (Reply(405, STREAM, [event(b"/m", "endpoint")]), HttpStatusError),
        (json_reply({"detail": "x" * 100}, 400), HttpStatusError),
        (Reply(401), UnauthorizedError),
        (Reply(200, {"content-type": "text/html"}), RemoteProtocolError),
        (Reply(204), RemoteProtocolError),
        (TransportError("broken"), TransportError),
    ],
)
def test_a_stream_that_is_refused(answer: Answer, error_type: type[McpError]) -> None:
    world = sse(limits=Limits(error_body_bytes=10))
    world.server = lambda _: answer
    error = world.fail(world.client.ping())
    assert type(error) is error_type
    assert error.request == "GET (listen)"
    assert world.streams == []
    assert world.leftovers() == []


@pytest.mark.parametrize("end", ["end", "break", "garbage", "close"])
def test_a_stream_that_ends_before_it_says_where_to_post(end: str) -> None:
    world = sse()
    world.server = lambda _: Reply(200, STREAM)
    play = world.play(world.client.ping())
    play.until_blocked()
    stream = world.streams[0]
    if end == "end":
        stream.receive_end()
    elif end == "break":
        stream.request_failed(TransportError("broken"))
    elif end == "garbage":
        stream.receive_data(event(b"https://evil.example/", "endpoint"))
    else:
        stream.close()
    error = play.fail()
    assert error.server == URL
    expected = {"end": TransportError, "break": TransportError, "garbage": RemoteProtocolError}
    assert type(error) is expected.get(end, LocalProtocolError)
    assert world.leftovers() == []


def test_messages_before_the_endpoint_and_a_second_endpoint_are_ignored() -> None:
    world = sse()
    world.server = lambda _: Reply(200, STREAM)
    play = world.play(world.client.ping())
    play.until_blocked()
    stream = world.streams[0]
    stream.receive_data(event(b"{") + event(b"x", "other"))
    world.server = SseServer(world, opened=1)
    stream.receive_data(
        event(b"/first", "endpoint") + event(b"https://evil.example/", "endpoint") + b": hi\n\ndata:\n\n"
    )
    play.finish()
    assert {request.url for request in world.sent[1:]} == {"https://mcp.example/first"}


@pytest.mark.parametrize("how", ["refused", "error", "nonsense", "ended"])
def test_a_handshake_that_fails_on_a_stream(how: str) -> None:
    server = SseServer(silent={"initialize"})
    world = sse(server)
    if how == "refused":
        world.server = lambda r: Reply(400) if r.method == "POST" else server(r)
        error = world.fail(world.client.ping())
        assert isinstance(error, HttpStatusError)
    else:
        play = world.play(world.client.ping())
        play.until_blocked()
        asked = world.sent[-1]
        if how == "ended":
            world.streams[0].receive_end()
        elif how == "error":
            world.push({"jsonrpc": "2.0", "id": message_of(asked)["id"], "error": {"code": -32602, "message": "no"}})
        else:
            world.push(result_of(asked, initialize_result("1999-01-01")))
        error = play.fail()
        assert type(error) is {"ended": TransportError, "error": RpcError, "nonsense": RemoteProtocolError}[how]
    assert error.request in ("initialize", "ping")
    assert world.streams[0].closed.raised
    assert world.leftovers() == []
    world.server, server.silent = server, set()
    world.run(world.client.ping())
    assert len(world.streams) == 2


# Answers.


def test_answers_out_of_order() -> None:
    world = silent()
    plays = [pending(world, name) for name in ("a", "b", "c")]
    for play, request in reversed(plays):
        world.push(result_of(request, {"content": [{"type": "text", "text": request.rpc_name}]}))
        assert play.finish().text == request.rpc_name
    assert world.methods() == ["tools/call"] * 3
    assert world.leftovers() == []


@pytest.mark.parametrize("first", ["POST", "answer"])
def test_it_does_not_matter_which_comes_first(first: str) -> None:
    world = silent()
    play = world.play(world.client.call_tool("x", context=ALICE))
    post = play.until(SendRequest)
    if first == "POST":
        play.until_blocked()
        world.push(result_of(post))
    else:
        world.push(result_of(post))
        assert play.peek() is post
    assert play.finish().text == "found"
    assert world.leftovers() == []


def test_an_answer_in_the_response_to_the_post_is_no_answer() -> None:
    world = silent()
    world.server = lambda request: json_reply(result_of(request, {"content": []}))
    play, request = pending(world)
    world.push(result_of(request))
    assert play.finish().text == "found"


def test_an_error_on_the_stream() -> None:
    world = silent()
    play, request = pending(world)
    world.push({"jsonrpc": "2.0", "id": message_of(request)["id"], "error": {"code": -1, "message": "no", "data": [1]}})
    error = play.fail()
    assert isinstance(error, RpcError)
    assert (error.code, error.data, error.request, error.server) == (-1, [1], "tools/call 'x'", URL)


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 10_000, "result": {}},
        {"jsonrpc": "2.0", "id": "1", "result": {}},
        {"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": "no"}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 10_000, "progress": 1}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": [], "progress": 1}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}},
        {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
    ],
)
def test_what_belongs_to_nobody_is_ignored(message: object) -> None:
    world = silent()
    seen: list[Progress] = []
    play, request = pending(world, on_progress=seen.append)
    world.push(message)
    play.until_blocked()
    world.push(result_of(request))
    play.finish()
    assert seen == []


def test_an_answer_that_comes_twice_or_late_is_ignored() -> None:
    world = silent()
    play, request = pending(world)
    world.push(result_of(request))
    world.push(result_of(request, {}))
    assert play.finish().text == "found"
    world.push(result_of(request, {}))
    world.run(world.client.ping(context=ALICE))


def test_progress_goes_to_the_call_whose_token_it_names() -> None:
    world = silent()
    seen: dict[str, list[Progress]] = {"a": [], "b": []}
    plays = {name: pending(world, name, on_progress=seen[name].append) for name in seen}
    tokens = {name: message_of(request)["params"]["_meta"]["progressToken"] for name, (_, request) in plays.items()}
    for number, name in enumerate(("b", "a", "b"), 1):
        params = {"progressToken": tokens[name], "progress": number}
        world.push({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    for play, request in plays.values():
        world.push(result_of(request))
        play.finish()
    assert [p.progress for p in seen["a"]] == [2]
    assert [p.progress for p in seen["b"]] == [1, 3]


def test_progress_after_the_answer_is_ignored() -> None:
    world = silent()
    seen: list[Progress] = []
    play, request = pending(world, on_progress=seen.append)
    token = message_of(request)["params"]["_meta"]["progressToken"]
    world.push(result_of(request))
    world.push(
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}}
    )
    play.finish()
    assert seen == []


def test_two_identities_have_two_streams() -> None:
    world = sse(SseServer(silent={"tools/call"}))
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.ping(context=BOB))
    assert len(world.streams) == 2
    alice, asked_by_alice = pending(world, context=ALICE)
    bob, asked_by_bob = pending(world, context=BOB)
    # What arrives on Bob's stream is never Alice's, whatever id it names.
    world.streams[1].receive_data(event(result_of(asked_by_alice, {})))
    alice.until_blocked()
    world.streams[1].receive_data(event(result_of(asked_by_bob)))
    bob.finish()
    world.streams[0].receive_data(event(result_of(asked_by_alice)))
    assert alice.finish().text == "found"


# Requests of the server.


def test_a_request_of_the_server_is_answered_by_the_call_that_has_waited_longest() -> None:
    world = silent(get_headers=lambda context: {"X-User": str(context.user)})
    first, asked_first = pending(world, "a", evolve(ALICE, user="first"))
    second, asked_second = pending(world, "b", evolve(ALICE, user="second"))
    world.sent.clear()
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    second.until_blocked()
    assert world.sent == []
    first.until_blocked()
    [reply] = world.sent
    assert reply.kind is RequestKind.RESPONSE
    assert headers_of(reply)["x-user"] == "first"
    assert message_of(reply) == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert reply.url == "https://mcp.example/messages?s=1"
    world.push(result_of(asked_first))
    first.finish()
    world.push({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage"})
    second.until_blocked()
    assert headers_of(world.sent[-1])["x-user"] == "second"
    assert message_of(world.sent[-1])["error"]["code"] == -32601
    world.push(result_of(asked_second))
    second.finish()


def test_a_request_of_the_server_that_nobody_is_there_to_answer() -> None:
    world = silent()
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    play, request = pending(world)
    world.push(result_of(request))
    play.finish()
    assert world.methods() == ["tools/call"]


@pytest.mark.parametrize("answer", [Reply(500), Reply(404), TransportError("broken")])
def test_a_reply_that_fails_does_not_fail_the_call(answer: Answer) -> None:
    world = silent()
    play, request = pending(world)
    healthy = world.server
    world.server = lambda r: answer if r.kind is RequestKind.RESPONSE else healthy(r)
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    world.push(result_of(request))
    assert play.finish().text == "found"


def test_a_call_cancelled_while_it_answers_the_server() -> None:
    world = silent()
    play, request = pending(world)
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    play.until(SendRequest, rpc_method="ping")
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert world.methods()[-1] == "notifications/cancelled"
    assert message_of(world.sent[-1])["params"]["requestId"] == message_of(request)["id"]
    assert world.leftovers() == []


# Streams that end.


@pytest.mark.parametrize("end", ["end", "break", "garbage", "batch", "too long", "close"])
def test_a_dropped_stream_fails_what_waits_on_it_once_and_the_next_call_opens_another(end: str) -> None:
    world = silent(limits=Limits(message_bytes=1000))
    plays = [pending(world, name)[0] for name in ("a", "b")]
    stream = world.streams[0]
    if end == "end":
        stream.receive_end()
    elif end == "break":
        stream.request_failed(TransportError("broken"))
    elif end == "garbage":
        stream.receive_data(event(b"{"))
    elif end == "batch":
        stream.receive_data(event([]))
    elif end == "too long":
        stream.receive_data(event(b" " * 1001))
    else:
        stream.close()
    errors = [play.fail() for play in plays]
    assert errors[0] is not errors[1]
    assert {type(error) for error in errors} <= {TransportError, RemoteProtocolError, LimitExceeded, LocalProtocolError}
    assert [error.request for error in errors] == ["tools/call 'a'", "tools/call 'b'"]
    assert stream.closed.raised
    world.sent.clear()
    world.run(world.client.ping(context=ALICE))
    assert world.methods() == [*OPENED, "ping"]
    assert world.leftovers() == []


def test_an_answer_that_came_before_the_end_counts() -> None:
    world = silent()
    play, request = pending(world)
    other, _ = pending(world)
    world.push(result_of(request))
    world.streams[0].receive_end()
    assert play.finish().text == "found"
    assert isinstance(other.fail(), TransportError)


def test_a_stream_that_ends_while_its_request_is_being_posted() -> None:
    world = silent()
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest)
    world.streams[0].receive_end()
    assert isinstance(play.fail(), TransportError)
    assert world.methods() == ["tools/call"]


def test_a_stream_that_ended_while_headers_were_resolved() -> None:
    world = silent(get_headers=lambda _: {})
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(ResolveHeaders)
    world.streams[0].receive_end()
    error = play.fail()
    assert isinstance(error, TransportError)
    assert error.request == "tools/call 'x'"


def test_data_after_the_end_changes_nothing() -> None:
    world = silent()
    play, request = pending(world)
    world.streams[0].close()
    world.push(result_of(request))
    world.streams[0].lose()
    error = play.fail()
    assert isinstance(error, LocalProtocolError)
    assert "closed by this client" in error.message
    assert not world.streams[0].is_usable
    with pytest.raises(LocalProtocolError):
        world.streams[0].expect(1)


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("act", ["call_tool", "notify"])
def test_a_server_that_forgot_the_stream(status: int, act: str) -> None:
    """It fails what waits on the stream, once; the next call opens a new one."""
    world = silent()
    waiting, _ = pending(world)
    healthy = world.server
    world.server = lambda _: Reply(status)
    error = world.fail(getattr(world.client, act)("notifications/roots/list_changed", context=ALICE))
    assert isinstance(error, HttpStatusError)
    assert error.status == status
    lost = waiting.fail()
    assert isinstance(lost, TransportError)
    assert lost.request == "tools/call 'x'"
    world.server = healthy
    world.sent.clear()
    world.run(world.client.ping(context=ALICE))
    assert world.methods() == [*OPENED, "ping"]
    assert world.leftovers() == []


@pytest.mark.parametrize("answer", [Reply(400), Reply(401), Reply(500), TransportError("broken")])
def test_a_post_that_is_refused_fails_that_call_alone(answer: Answer) -> None:
    world = silent()
    waiting, request = pending(world, "a")
    healthy = world.server
    world.server = lambda _: answer
    error = world.fail(world.client.call_tool("b", context=ALICE))
    assert error.request == "tools/call 'b'"
    world.server = healthy
    world.push(result_of(request))
    waiting.finish()
    assert len(world.streams) == 1
    assert world.leftovers() == []


def test_a_json_rpc_error_in_the_response_to_a_post() -> None:
    world = silent()
    world.server = lambda _: json_reply({"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}}, 400)
    error = world.fail(world.client.call_tool("x", context=ALICE))
    assert isinstance(error, RpcError)
    assert error.code == -32600
    world.server = lambda request: error_reply(request, -32600, 400)
    assert isinstance(world.fail(world.client.call_tool("x", context=ALICE)), McpError)


def test_a_stream_shows_no_secret() -> None:
    stream = EventStream(
        Endpoint.parse(URL + "?key=secret"), URL + "?key=secret", revision_named("2024-11-05"), Limits()
    )
    mailbox = stream.expect(1)
    stream.receive_data(event(b"/messages?s=secret", "endpoint"))
    stream.receive_data(event({"jsonrpc": "2.0", "id": 1, "result": {"x": "secret"}}) + b"data: secret\n")
    assert "secret" not in repr(stream) + repr(mailbox) + repr(stream.open_session)


# Limits.


def progress(request: SendRequest, number: int) -> dict[str, Any]:
    params = {"progressToken": message_of(request)["id"], "progress": number}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def test_a_call_that_falls_behind_slows_the_stream_down() -> None:
    world = silent(limits=Limits(mailbox_messages=4))
    seen: list[Progress] = []
    play, request = pending(world, on_progress=seen.append)
    stream = world.streams[0]
    stream.receive_data(b"".join(event(progress(request, number)) for number in range(10)) + event(result_of(request)))
    rooms = [stream.room]
    for handled in range(7):
        while len(seen) < handled:
            play.step()
        assert stream.room is not None, f"the reader may go on after {handled}"
        assert not stream.room.raised
        rooms.append(stream.room)
    assert play.finish().text == "found"
    assert [p.progress for p in seen] == [*range(10)]
    assert all(room is not None and room.raised for room in rooms)
    assert stream.room is None


def test_what_a_call_leaves_behind_slows_nobody_down() -> None:
    world = silent(limits=Limits(mailbox_messages=2))
    slow, request = pending(world, "a", on_progress=print)
    other, asked = pending(world, "b")
    stream = world.streams[0]
    stream.receive_data(event(progress(request, 1)) * 3 + event(result_of(asked)))
    assert stream.room is not None
    other.until_blocked()
    rest = slow.cancel()
    assert rest is not None
    rest.finish()
    assert stream.room is None
    assert other.finish().text == "found"
    assert world.leftovers() == []


@pytest.mark.parametrize("end", ["end", "break", "garbage", "close"])
def test_a_stream_that_ends_while_a_call_falls_behind(end: str) -> None:
    """What had arrived before still counts, unless it is this client who closes the stream."""
    world = silent(limits=Limits(mailbox_messages=2))
    seen: list[Progress] = []
    play, request = pending(world, on_progress=seen.append)
    stream = world.streams[0]
    stream.receive_data(event(progress(request, 1)) * 3)
    if end == "end":
        stream.receive_end()
    elif end == "break":
        stream.request_failed(broken())
    elif end == "garbage":
        stream.receive_data(event(b"{"))
    else:
        stream.close()
    assert stream.closed.raised is (end == "close")
    error = play.fail()
    assert len(seen) == (2 if end == "close" else 3)
    expected = {"garbage": RemoteProtocolError, "close": LocalProtocolError}
    assert type(error) is expected.get(end, TransportError)
    assert stream.closed.raised
    assert stream.failure is not None
    assert stream.failure.__traceback__ is None
    assert world.leftovers() == []


def test_a_call_too_many_on_one_stream_waits_its_turn() -> None:
    world = silent(limits=Limits(pending_requests=2))
    plays = [pending(world, name) for name in ("a", "b")]
    late, last = pending(world, "c")
    assert last is plays[-1][1], "c was posted all the same"
    play, request = plays[0]
    world.push(result_of(request))
    play.finish()
    late.until_blocked()
    assert world.sent[-1].rpc_name == "c"
    for play, request in ((late, world.sent[-1]), plays[1]):
        world.push(result_of(request))
        play.finish()
    assert world.leftovers() == []


def test_a_stream_that_ends_lets_those_go_on_who_wait_for_their_turn() -> None:
    world = silent(limits=Limits(pending_requests=1))
    (first, _), (late, _) = pending(world, "a"), pending(world, "b")
    world.streams[-1].receive_end()
    for play in (first, late):
        assert isinstance(play.fail(), TransportError)
    assert world.leftovers() == []


def test_a_server_that_drops_each_stream_at_once() -> None:
    server = SseServer()
    world = sse(server, limits=Limits(handshakes=2))
    pages = 0

    def dropping(request: SendRequest) -> Answer:
        nonlocal pages
        if request.rpc_method != "tools/list":
            return server(request)
        pages += 1
        world.push(result_of(request, {"tools": [], "nextCursor": str(pages)}))
        world.streams[-1].receive_end()
        return Reply(202)

    world.server = dropping
    error = world.fail(world.client.list_tools())
    assert isinstance(error, LimitExceeded)
    assert (error.limit, pages, len(world.streams)) == ("handshakes", 2, 2)
    assert world.leftovers() == []


# Flights and identities.


def test_two_first_calls_share_one_stream() -> None:
    world = sse()
    first, second = (world.play(world.client.ping(context=ALICE)) for _ in range(2))
    other = world.play(world.client.ping(context=BOB))
    first.until(SendRequest)
    second.until_blocked()
    other.finish()
    world.run_all(first, second)
    assert len(world.streams) == 2
    assert world.leftovers() == []


def test_followers_of_a_failed_opening_open_for_themselves_and_one_stream_is_kept() -> None:
    answers: list[Answer | None] = [Reply(500), None, None]
    server = SseServer()
    world = sse(server)
    world.server = lambda r: (answers.pop(0) if r.method == "GET" else None) or server(r)
    leader, *followers = (world.play(world.client.ping(context=ALICE)) for _ in range(3))
    leader.until(SendRequest)
    for follower in followers:
        follower.until_blocked()
    assert isinstance(leader.fail(), HttpStatusError)
    for follower in followers:
        follower.until(SendRequest, method="GET")
    world.run_all(*followers)
    assert sorted(stream.closed.raised for stream in world.streams) == [False, True]
    assert world.leftovers() == []


def rotating() -> Callable[[RequestContext], dict[str, str]]:
    count = 0

    def resolver(_: RequestContext) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"Authorization": f"Bearer {count}"}

    return resolver


def test_without_a_principal_the_headers_say_whose_stream_it_is() -> None:
    world = sse(get_headers=lambda context: {"X-User": context.request_headers["user"]})
    a, b = (CallContext(request_headers={"user": name}) for name in ("a", "b"))
    for context in (a, b, a, b):
        world.run(world.client.ping(context=context))
    assert len(world.streams) == 2
    assert world.leftovers() == []


def test_a_stream_under_a_token_that_rotated_serves_its_call_alone_and_ends_with_it() -> None:
    world = sse(get_headers=rotating())
    for number in (1, 2):
        world.run(world.client.ping())
        assert len(world.streams) == number
        assert world.streams[-1].closed.raised
    tokens = [headers_of(request)["authorization"] for request in world.sent]
    assert len(set(tokens)) == len(tokens)
    assert world.leftovers() == []


def test_a_calls_own_stream_serves_all_of_its_requests_and_is_replaced_when_it_ends() -> None:
    server = SseServer()
    world = sse(server, get_headers=rotating())
    pages = iter([{"tools": [], "nextCursor": "2"}, {"tools": [], "nextCursor": "3"}, {"tools": []}])

    def paging(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/list":
            return server(request)
        world.push(result_of(request, next(pages)))
        if message_of(request).get("params") == {"cursor": "2"}:
            world.streams[-1].receive_end()
        return Reply(202)

    world.server = paging
    assert world.run(world.client.list_tools()) == []
    assert world.methods() == [*OPENED, "tools/list", "tools/list", *OPENED, "tools/list"]
    assert all(stream.closed.raised for stream in world.streams)
    assert world.leftovers() == []


def test_the_first_call_of_an_unknown_identity_joins_the_opening_of_that_identity() -> None:
    world = sse(get_headers=lambda _: {"X-User": "a"})
    first, second = (world.play(world.client.ping()) for _ in range(2))
    first.until(SendRequest)
    second.until_blocked()
    world.run_all(first, second)
    assert len(world.streams) == 1


def test_closing_the_client_closes_every_stream() -> None:
    world = sse()
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.ping(context=BOB))
    assert world.client.close() == []
    assert [stream.closed.raised for stream in world.streams] == [True, True]


# Cancelling.


@pytest.mark.parametrize("command", [SendRequest, EndResponse, WaitFor])
def test_a_cancelled_call_is_cancelled_at_the_server(command: type[Any]) -> None:
    world = silent()
    play = world.play(world.client.call_tool("x", context=ALICE))
    sent = play.until(SendRequest)
    play.until(command)
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    notice = world.sent[-1]
    assert notice.rpc_method == "notifications/cancelled"
    assert notice.url == sent.url
    assert message_of(notice)["params"]["requestId"] == message_of(sent)["id"]
    assert not world.streams[0].closed.raised
    assert world.leftovers() == []


def test_an_answered_request_is_not_cancelled_when_the_call_goes_on() -> None:
    server = SseServer(silent={"tools/list"})
    world = sse(server, get_headers=lambda _: {})
    world.run(world.client.ping(context=ALICE))
    play = world.play(world.client.list_tools(context=ALICE))
    play.until_blocked()
    world.push(result_of(world.sent[-1], {"tools": [], "nextCursor": "2"}))
    play.until(ResolveHeaders)
    assert play.cancel() is None
    assert world.leftovers() == []


def test_a_call_with_a_stream_of_its_own_just_closes_it() -> None:
    world = sse(SseServer(silent={"tools/call"}), get_headers=rotating())
    play = world.play(world.client.call_tool("x"))
    play.until_blocked()
    assert play.cancel() is None
    assert world.streams[0].closed.raised
    assert world.leftovers() == []


@pytest.mark.parametrize("command", [SendRequest, ReceiveData, StartReader, WaitFor])
def test_a_cancelled_opening_leaves_no_stream(command: type[Any]) -> None:
    world = sse(SseServer(silent={"initialize"}))
    if command is ReceiveData:
        world.server = lambda _: json_reply({}, 400)
    play = world.play(world.client.ping(context=ALICE))
    asked = play.until(command)
    assert play.cancel() is None
    if isinstance(asked, StartReader):
        assert asked.stream.closed.raised
    assert world.leftovers() == []


def test_a_cancelled_handshake_leaves_no_stream() -> None:
    world = sse(SseServer(silent={"initialize"}))
    play = world.play(world.client.ping(context=ALICE))
    play.until(SendRequest, rpc_method="initialize")
    play.until_blocked()
    assert play.cancel() is None
    assert world.streams[0].closed.raised
    assert world.leftovers() == []


# Any bytes.

chunks = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                event(b"/messages", "endpoint"),
                event(b"https://evil.example/", "endpoint"),
                event({"jsonrpc": "2.0", "id": 1, "result": {}}),
                event({"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}),
                event({"jsonrpc": "2.0", "id": 9, "method": "ping"}),
                event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": True}}),
                event([]),
                event(b"[" * 200),
                event(b"\xff"),
            ]
        ),
    ),
    max_size=8,
)


@given(chunks)
def test_any_bytes(pieces: list[bytes]) -> None:
    """The stream either stays open or ends with one of two errors, and a reader is never told."""
    limits = Limits(message_bytes=100, sse_line_bytes=150, mailbox_messages=3)
    stream = EventStream(Endpoint.parse(URL), URL, revision_named("2024-11-05"), limits)
    mailbox = stream.expect(1)
    for piece in pieces:
        stream.receive_data(piece)
    if stream.failure is not None:
        assert type(stream.failure) in (RemoteProtocolError, LimitExceeded)
        assert stream.opened.raised
        assert stream.closed.raised
        assert len(mailbox) >= 1
    else:
        assert not stream.closed.raised
        assert stream.opened.raised == (stream.session is not None)
    assert len(mailbox) <= 4


@given(st.lists(st.integers(0, 400), max_size=8))
def test_where_the_network_cuts_does_not_matter(cuts: list[int]) -> None:
    stream = EventStream(Endpoint.parse(URL), URL, revision_named("2024-11-05"), Limits())
    mailbox = stream.expect(7)
    data = (
        event(b"/messages", "endpoint")
        + event({"jsonrpc": "2.0", "id": 8, "result": {}})
        + event({"jsonrpc": "2.0", "id": "p", "method": "ping"})
        + event({"jsonrpc": "2.0", "id": 7, "result": {"a": 1}})
    )
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        stream.receive_data(data[start:end])
    assert len(mailbox) == 2
    assert stream.failure is None


@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_batches_where_the_revision_has_them(version: str) -> None:
    world = sse(SseServer(version=version, silent={"tools/call"}))
    play, request = pending(world)
    world.push([{"jsonrpc": "2.0", "method": "notifications/message"}, result_of(request)])
    play.end()
    assert (play.error is None) is (version == "2025-03-26")


# Where a stream came from, and what its end leaves behind.


@pytest.mark.parametrize(
    ("data", "target"), [(b"messages?s=1", "/deep/messages?s=1"), (b"?s=1", "/deep/sse?s=1"), (b"/m", "/m")]
)
def test_where_to_post_is_relative_to_where_a_redirect_led(data: bytes, target: str) -> None:
    server = SseServer(endpoint=data)
    world = sse(server, redirects="same-origin")
    world.server = lambda r: Reply(307, {"location": "/deep/sse"}) if r.method == "GET" and r.url == URL else server(r)
    world.run(world.client.ping())
    assert [request.url for request in world.sent[:2]] == [URL, "https://mcp.example/deep/sse"]
    assert {request.url for request in world.sent[2:]} == {"https://mcp.example" + target}


def broken() -> TransportError:
    """What an engine reports: an error that was raised, from another one."""
    with pytest.raises(TransportError) as caught:
        raise TransportError("broken") from OSError("reset by peer")
    assert caught.value.__traceback__ is not None
    return caught.value


def test_each_call_that_fails_with_a_stream_is_told_the_cause() -> None:
    world = silent()
    plays = [pending(world, name)[0] for name in ("a", "b")]
    stream, error = world.streams[0], broken()
    stream.request_failed(error)
    assert stream.failure is not None
    assert stream.failure.__traceback__ is None
    errors = [play.fail() for play in plays]
    assert len({id(e) for e in (error, *errors)}) == 3
    assert [type(e.__cause__) for e in errors] == [OSError, OSError]
    with pytest.raises(TransportError) as caught:
        stream.expect(1)
    assert caught.value.__cause__ is error.__cause__
    # Raising its copies hung nothing on the stream's own.
    assert stream.failure.__traceback__ is None
    assert stream.failure.request == ""


def test_a_stream_that_breaks_before_its_endpoint_keeps_no_traceback() -> None:
    world = sse()
    world.server = lambda _: Reply(200, STREAM)
    play = world.play(world.client.ping())
    play.until_blocked()
    stream = world.streams[0]
    stream.request_failed(broken())
    error = play.fail()
    assert isinstance(error, TransportError)
    assert isinstance(error.__cause__, OSError)
    assert stream.failure is not None
    assert stream.failure.__traceback__ is None


@pytest.mark.parametrize(("token", "count"), [(int, 1), (float, 0), (str, 0)])
def test_a_progress_token_on_a_stream_is_an_integer(token: type[Any], count: int) -> None:
    world = silent()
    seen: list[Progress] = []
    play, request = pending(world, on_progress=seen.append)
    params = {"progressToken": token(message_of(request)["id"]), "progress": 1}
    world.push({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
    world.push(result_of(request))
    play.finish()
    assert len(seen) == count


def test_a_progress_token_of_true_is_not_the_first_request() -> None:
    stream = EventStream(Endpoint.parse(URL), URL, revision_named("2024-11-05"), Limits())
    stream.receive_data(event(b"/m", "endpoint"))
    mailbox = stream.expect(1)
    for token, count in ((True, 0), (1, 1)):
        params = {"progressToken": token, "progress": 1}
        stream.receive_data(event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
        assert len(mailbox) == count


def test_a_server_that_asks_too_much_on_a_stream() -> None:
    world = silent(limits=Limits(server_requests=2))
    play, request = pending(world)
    for number in range(3):
        world.push({"jsonrpc": "2.0", "id": number, "method": "ping"})
    world.push(result_of(request))
    error = play.fail()
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.request) == ("server_requests", "tools/call 'x'")
    assert [r.kind for r in world.sent].count(RequestKind.RESPONSE) == 2
    assert world.leftovers() == []


def test_a_request_on_a_stream_whose_id_cannot_be_sent_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = silent()
    play, request = pending(world)
    world.streams[-1].receive_data(event(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}'))
    world.push(result_of(request))
    assert play.finish().text == "found"
    assert "could not answer the server's request" in caplog.text


@pytest.mark.parametrize("in_turn", [False, True])
def test_a_call_that_gives_up_waiting_for_its_turn_takes_nobodys(in_turn: bool) -> None:
    world = silent(limits=Limits(pending_requests=1))
    (first, asked), (second, _), (third, _) = (pending(world, name) for name in "abc")
    if not in_turn:
        assert second.cancel() is None
    world.push(result_of(asked))
    first.finish()
    if in_turn:
        assert second.cancel() is None
    third.until_blocked()
    assert world.sent[-1].rpc_name == "c"
    world.push(result_of(world.sent[-1]))
    third.finish()
    assert world.streams[-1].places.free == 1
    assert world.leftovers() == []


# A ping while nobody calls.


def test_a_ping_while_nobody_calls_is_answered_for_the_principal() -> None:
    world = world_of(SseServer(), type="sse", get_headers=lambda ctx: {"X-User": ctx.principal or "nobody"})
    world.run(world.client.ping(context=ALICE))
    (stream,) = world.streams
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    (work,) = stream.replies()
    world.run(spawn(work).operation)
    assert message_of(world.sent[-1]) == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert headers_of(world.sent[-1])["x-user"] == "alice"
    assert stream.replies() == []
    assert world.leftovers() == []


def test_a_ping_is_not_answered_where_nobody_can_be_named() -> None:
    """Headers that resolvers make for a call are not to be made without one."""
    world = world_of(SseServer(), type="sse", get_headers=lambda _: {"X-User": "somebody"})
    world.run(world.client.ping())
    world.push({"jsonrpc": "2.0", "id": "p", "method": "ping"})
    assert world.streams[0].replies() == []
    assert world.client.statistics().ignored_messages == 1


def test_pings_that_nobody_answers_are_bounded() -> None:
    world = world_of(SseServer(), type="sse", limits=Limits(server_requests=2))
    world.run(world.client.ping())
    for number in range(3):
        world.push({"jsonrpc": "2.0", "id": number, "method": "ping"})
    first, _ = world.streams[0].replies()
    assert world.client.statistics().ignored_messages == 1
    # They count until they have been answered, and not only until that was begun.
    world.push({"jsonrpc": "2.0", "id": 3, "method": "ping"})
    assert world.streams[0].replies() == []
    world.run(spawn(first).operation)
    world.push({"jsonrpc": "2.0", "id": 4, "method": "ping"})
    assert len(world.streams[0].replies()) == 1
