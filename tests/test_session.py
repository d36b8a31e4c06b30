"""Sessions of the handshake era, from initialize to DELETE."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from support.pure import Answer, Reply, error_reply, headers_of, json_reply, message_of, result_reply, sse_reply
from support.schema import check_sent, needs_schema
from support.stepping import FOUND, HANDSHAKE, URL, HandshakeServer, World, event, initialize_result, world_of
from support.stepping import REVISIONS as NAMES

from mcpcore import (
    CallContext,
    EndResponse,
    HeaderResolverError,
    HttpStatusError,
    Implementation,
    LimitExceeded,
    Limits,
    ReceiveData,
    RemoteProtocolError,
    RequestContext,
    RequestKind,
    ResolveHeaders,
    RpcError,
    SendRequest,
    TransportError,
    UnauthorizedError,
    WaitFor,
)
from mcpcore.machines.session import Session
from mcpcore.rules.revisions import REVISIONS

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
HANDSHAKES = NAMES[:-1]
VERSION_HEADER = {"2025-06-18", "2025-11-25"}


def pinned(server: Callable[[SendRequest], Answer] | None = None, **options: Any) -> World:
    return world_of(server or HandshakeServer(), **{"protocol_version": HANDSHAKE, **options})


def session_ids(world: World) -> list[str | None]:
    return [headers_of(request).get("mcp-session-id") for request in world.sent]


def rotating() -> Callable[[RequestContext], dict[str, str]]:
    """A resolver whose token is another one each time."""
    count = 0

    def resolver(_: RequestContext) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"Authorization": f"Bearer {count}"}

    return resolver


# The handshake.


@pytest.mark.parametrize("version", HANDSHAKES)
def test_the_handshake(version: str) -> None:
    world = pinned(HandshakeServer(version), protocol_version=version)
    world.run(world.client.call_tool("x", {"a": 1}, context=ALICE))
    assert world.methods() == ["initialize", "notifications/initialized", "tools/call"]
    asked = message_of(world.sent[0])["params"]
    assert asked["protocolVersion"] == version
    assert asked["capabilities"] == {}
    assert asked["clientInfo"].keys() >= {"name", "version"}
    assert session_ids(world) == [None, "s1", "s1"]
    expected = [None, version, version] if version in VERSION_HEADER else [None, None, None]
    assert [headers_of(request).get("mcp-protocol-version") for request in world.sent] == expected
    for request in world.sent:
        headers = headers_of(request)
        assert (request.method, request.url) == ("POST", "https://mcp.example/mcp")
        assert headers["content-type"] == "application/json"
        assert headers["accept"] == "application/json, text/event-stream"
        assert not {"mcp-method", "mcp-name"} & headers.keys()
    assert "_meta" not in message_of(world.sent[2])["params"]


@needs_schema
@pytest.mark.parametrize("version", HANDSHAKES)
def test_what_is_sent_is_valid(version: str) -> None:
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    odd = {"jsonrpc": "2.0", "id": 3, "method": "roots/list"}
    server = HandshakeServer(version)

    def talkative(request: SendRequest) -> Answer:
        if request.rpc_name != "x":
            return server(request)
        answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND}
        return sse_reply(ping, odd, answer)

    world = pinned(talkative, protocol_version=version)
    client = world.client
    world.run(client.ping())
    world.run(client.request("tools/list", {"cursor": "c"}))
    world.run(client.notify("notifications/roots/list_changed"))
    world.run(client.call_tool("x", {"a": [1]}, on_progress=print))
    play = world.play(client.call_tool("y"))
    play.until(ReceiveData)
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    [goodbye] = client.close()
    world.run(goodbye)
    assert world.methods()[-2:] == ["notifications/cancelled", "DELETE"]
    for request in world.sent:
        check_sent(version, request)


@pytest.mark.parametrize("version", HANDSHAKES)
def test_the_server_chooses_the_version(version: str) -> None:
    world = world_of(HandshakeServer(version))
    world.run(world.client.ping())
    expected = version if version in VERSION_HEADER else None
    assert headers_of(world.sent[-1]).get("mcp-protocol-version") == expected
    # Later sessions ask for what was agreed on.
    world.run(world.client.ping(context=BOB))
    [second] = [r for r in world.sent if r.rpc_method == "initialize"][1:]
    assert message_of(second)["params"]["protocolVersion"] == version


@pytest.mark.parametrize("version", ["2026-07-28", "1999-01-01", "", None, 20251125, ["2025-11-25"]])
def test_a_version_that_we_do_not_speak(version: Any) -> None:
    world = pinned(HandshakeServer(version))
    error = world.fail(world.client.ping())
    assert isinstance(error, RemoteProtocolError)
    assert error.server == "https://mcp.example/mcp"
    assert world.methods() == ["initialize", "DELETE"]  # The server has a session that nobody wants.
    assert world.leftovers() == []


def test_what_the_server_told() -> None:
    told = {**initialize_result(), "capabilities": {"tools": {}}, "instructions": "Be nice."}
    world = pinned(lambda r: result_reply(r, told) if r.rpc_method == "initialize" else HandshakeServer()(r))
    world.server = lambda r: result_reply(r, told) if r.rpc_method == "initialize" else Reply(202)
    discovery = world.run(world.client.open())
    assert discovery.capabilities.raw == {"tools": {}}
    assert discovery.server_info == Implementation("s", "1")
    assert discovery.instructions == "Be nice."
    again = world.run(world.client.open())
    assert again == discovery
    assert again.capabilities.raw is not discovery.capabilities.raw  # what one caller does to it, no other sees
    assert world.methods() == ["initialize", "notifications/initialized"]


def test_a_server_without_sessions() -> None:
    def server(request: SendRequest) -> Answer:
        if request.kind is RequestKind.NOTIFICATION:
            return Reply(202)
        return result_reply(request, initialize_result() if request.rpc_method == "initialize" else FOUND)

    world = pinned(server)
    world.run(world.client.ping())
    world.run(world.client.ping())
    assert world.methods() == ["initialize", "notifications/initialized", "ping", "ping"]
    assert session_ids(world) == [None] * 4
    world.server = lambda _: Reply(404)
    error = world.fail(world.client.ping())
    assert isinstance(error, HttpStatusError)
    assert error.status == 404
    assert world.methods()[4:] == ["ping"]  # Without a session, 404 does not mean that it is gone.
    [goodbye] = world.client.close()
    world.run(goodbye)
    assert "DELETE" not in world.methods()


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (Reply(500), HttpStatusError),
        (Reply(401), UnauthorizedError),
        (Reply(404), HttpStatusError),
        (TransportError("broken"), TransportError),
    ],
)
def test_a_confirmation_that_is_refused(answer: Answer, error_type: type[Exception]) -> None:
    """The session is not usable; it is ended, and the next call opens another one."""
    server = HandshakeServer()
    world = pinned(lambda r: answer if r.rpc_method == "notifications/initialized" else server(r))
    error = world.fail(world.client.ping())
    assert type(error) is error_type
    assert error.request == "notifications/initialized"
    assert world.methods() == ["initialize", "notifications/initialized", "DELETE"]
    assert server.known == set()
    world.server = server
    world.run(world.client.ping())
    assert world.leftovers() == []


def test_a_refused_initialize() -> None:
    world = pinned(lambda r: error_reply(r, -32602, data={"supported": ["1999-01-01"]}))
    error = world.fail(world.client.ping())
    assert isinstance(error, RpcError)
    assert (error.code, error.data, error.request) == (-32602, {"supported": ["1999-01-01"]}, "initialize")
    world.server = lambda r: Reply(405)
    error = world.fail(world.client.ping())
    assert isinstance(error, HttpStatusError)
    assert error.request == "initialize"
    assert world.leftovers() == []


def test_initialize_in_a_stream_with_a_ping() -> None:
    server = HandshakeServer()

    def talkative(request: SendRequest) -> Answer:
        if request.rpc_method != "initialize":
            return server(request)
        assert isinstance(server(request), Reply)
        answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": initialize_result()}
        reply = sse_reply({"jsonrpc": "2.0", "id": 9, "method": "ping"}, answer)
        return evolve(reply, headers={"content-type": "text/event-stream", "mcp-session-id": "s1"})

    world = pinned(talkative)
    world.run(world.client.open())
    assert world.methods() == ["initialize", "ping", "notifications/initialized"]
    assert message_of(world.sent[1]) == {"jsonrpc": "2.0", "id": 9, "result": {}}
    assert world.sent[1].kind is RequestKind.RESPONSE
    assert session_ids(world) == [None, "s1", "s1"]


def test_a_session_shows_no_secret() -> None:
    session = Session(URL + "?key=secret", REVISIONS[HANDSHAKE])
    session.id = "secret"
    session.accept({**initialize_result(), "instructions": "secret"}, Limits())
    assert "secret" not in repr(session)


@pytest.mark.parametrize(
    ("told", "instructions"),
    [({"instructions": "half of \ud83d"}, "half of \ud83d"), ({"capabilities": {"x": float("inf")}}, None)],
    ids=["half a surrogate pair", "no number"],
)
def test_what_a_server_says_oddly_of_itself_is_no_reason_to_do_without_it(
    told: dict[str, Any], instructions: str | None
) -> None:
    session = Session(URL, REVISIONS[HANDSHAKE])
    session.accept({**initialize_result(), **told}, Limits())
    assert session.discovery.instructions == instructions


def test_what_a_server_says_at_length_of_itself_is_not_remembered() -> None:
    session = Session(URL, REVISIONS[HANDSHAKE])
    vital = {"capabilities": {"logging": {}}}
    session.accept({**initialize_result(), **vital, "instructions": "x" * 1000}, Limits(told_bytes=1000))
    assert session.discovery.instructions is None
    assert session.discovery.capabilities.raw == {"logging": {}}
    assert session.discovery.server_info is not None


# One session for each identity.


def test_each_principal_has_its_own_session_and_keeps_it_while_tokens_rotate() -> None:
    world = pinned(get_headers=rotating())
    for _ in range(2):
        world.run(world.client.ping(context=ALICE))
        world.run(world.client.ping(context=BOB))
    pings = [headers_of(r) for r in world.sent if r.rpc_method == "ping"]
    assert [headers["mcp-session-id"] for headers in pings] == ["s1", "s2", "s1", "s2"]
    tokens = [headers_of(request)["authorization"] for request in world.sent]
    assert len(set(tokens)) == len(tokens) == len(world.resolved)


def test_without_a_principal_the_headers_say_whose_session_it_is() -> None:
    def by_user(context: RequestContext) -> dict[str, str]:
        return {"X-User": context.request_headers["user"], "traceparent": str(context.request_id)}

    world = pinned(get_headers=by_user)
    a, b = (CallContext(request_headers={"user": name}) for name in ("a", "b"))
    for context in (a, b, a, b):
        world.run(world.client.ping(context=context))
    pings = [headers_of(r) for r in world.sent if r.rpc_method == "ping"]
    assert [(h["x-user"], h["mcp-session-id"]) for h in pings] == [("a", "s1"), ("b", "s2"), ("a", "s1"), ("b", "s2")]
    # Once there is a session, the headers that told whose it is are the ones that are sent.
    before = len(world.resolved)
    world.run(world.client.ping(context=a))
    assert len(world.resolved) == before + 1
    assert world.resolved[-1].body == world.sent[-1].body


def test_a_resolver_is_told_the_version_of_the_very_session() -> None:
    """The server may agree on another version with another identity than with the first."""
    server = HandshakeServer()
    world = world_of(server, get_headers=lambda context: {"X-User": context.request_headers["user"]})
    a, b = (CallContext(request_headers={"user": name}) for name in ("a", "b"))
    world.run(world.client.ping(context=a))
    server.version = "2025-06-18"
    for _ in range(2):
        world.run(world.client.ping(context=b))
        assert headers_of(world.sent[-1])["mcp-protocol-version"] == "2025-06-18"
        assert world.resolved[-1].protocol_version == "2025-06-18"


def test_a_principal_and_headers_never_share_a_session() -> None:
    world = pinned(get_headers=lambda _: {"X-User": "alice"})
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.ping())
    assert session_ids(world)[2::3] == ["s1", "s2"]


def test_a_session_under_a_token_that_rotated_serves_its_call_alone_and_ends_with_it() -> None:
    server = HandshakeServer()
    world = pinned(server, get_headers=rotating())
    for number in (1, 2):
        world.sent.clear()
        world.run(world.client.ping())
        assert world.methods() == ["initialize", "notifications/initialized", "ping", "DELETE"]
        assert session_ids(world)[1:] == [f"s{number}"] * 3
        assert server.known == set()
    kinds = [context.kind for context in world.resolved]
    assert kinds.count(RequestKind.TERMINATE) == 2
    assert world.client.close() == []


def test_the_end_of_a_calls_own_session_is_resolved_in_the_calls_own_context() -> None:
    count = 0

    def resolver(context: RequestContext) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"X-Token": f"{context.request_headers['token']}-{count}"}

    world = pinned(get_headers=resolver)
    world.run(world.client.ping(context=CallContext(request_headers={"Token": "t"}, user="u", input="i")))
    last = world.resolved[-1]
    assert (last.kind, last.http_method, last.user, last.input) == (RequestKind.TERMINATE, "DELETE", "u", "i")
    assert last.protocol_version == HANDSHAKE
    assert headers_of(world.sent[-1])["x-token"].startswith("t-")


@pytest.mark.parametrize("status", [200, 204, 404, 405])
def test_an_end_that_is_fine(status: int, caplog: pytest.LogCaptureFixture) -> None:
    server = HandshakeServer()
    world = pinned(lambda r: Reply(status) if r.method == "DELETE" else server(r), get_headers=rotating())
    world.run(world.client.ping())
    assert world.methods()[-1] == "DELETE"
    assert caplog.records == []


@pytest.mark.parametrize("answer", [Reply(500), Reply(401), TransportError("broken"), Reply(302, {"location": "/x"})])
def test_an_end_that_fails_is_logged_and_no_error(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    server = HandshakeServer()
    world = pinned(lambda r: answer if r.method == "DELETE" else server(r), get_headers=rotating())
    assert world.run(world.client.call_tool("x")).text == "found"
    [record] = caplog.records
    assert "a session was not ended" in record.getMessage()
    assert "Bearer" not in record.getMessage()


def test_a_failed_call_ends_its_own_session_too() -> None:
    server = HandshakeServer()
    world = pinned(lambda r: error_reply(r, -1) if r.rpc_method == "ping" else server(r), get_headers=rotating())
    assert isinstance(world.fail(world.client.ping()), RpcError)
    assert world.methods()[-1] == "DELETE"
    assert world.leftovers() == []


def test_a_cancelled_call_ends_its_own_session_too() -> None:
    world = pinned(get_headers=rotating())
    play = world.play(world.client.call_tool("x"))
    play.until(ReceiveData)
    while world.sent[-1].rpc_method != "tools/call":
        play.step()
        play.until(ReceiveData)
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert world.methods()[-2:] == ["notifications/cancelled", "DELETE"]
    assert set(session_ids(world)[1:]) == {"s1"}
    assert world.leftovers() == []


# A session that is gone.


def test_a_lost_session_is_replaced_once() -> None:
    server = HandshakeServer()
    world = pinned(server)
    world.run(world.client.ping())
    server.known.clear()
    world.sent.clear()
    assert world.run(world.client.call_tool("x")).text == "found"
    assert world.methods() == ["tools/call", "initialize", "notifications/initialized", "tools/call"]
    assert session_ids(world) == ["s1", None, "s2", "s2"]
    assert message_of(world.sent[0]) == message_of(world.sent[3])
    world.sent.clear()
    world.run(world.client.ping())
    assert session_ids(world) == ["s2"]


def test_a_notification_replaces_a_lost_session_too() -> None:
    server = HandshakeServer()
    world = pinned(server)
    world.run(world.client.ping())
    server.known.clear()
    world.run(world.client.notify("notifications/roots/list_changed"))
    assert session_ids(world)[-1] == "s2"


def test_a_second_404_is_an_error() -> None:
    server = HandshakeServer()
    world = pinned(lambda r: Reply(404) if r.rpc_method == "tools/call" else server(r))
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, HttpStatusError)
    assert (error.status, error.request) == (404, "tools/call 'x'")
    assert server.opened == 2
    world.run(world.client.ping())
    assert server.opened == 2


def test_a_server_that_forgets_each_session_at_once() -> None:
    """A long list could otherwise take a handshake for every page."""
    server = HandshakeServer()
    pages = 0

    def forgetful(request: SendRequest) -> Answer:
        nonlocal pages
        reply = server(request)
        if request.rpc_method != "tools/list" or not isinstance(reply, Reply) or reply.status != 200:
            return reply
        server.known.clear()
        pages += 1
        return result_reply(request, {"tools": [], "nextCursor": str(pages)})

    world = pinned(forgetful, limits=Limits(handshakes=3))
    error = world.fail(world.client.list_tools())
    assert isinstance(error, LimitExceeded)
    assert error.limit == "handshakes"
    assert (server.opened, pages) == (3, 3)
    assert world.leftovers() == []


def test_two_calls_that_lose_their_session_at_once_open_one() -> None:
    server = HandshakeServer()
    world = pinned(server)
    world.run(world.client.ping(context=ALICE))
    first, second = (world.play(world.client.call_tool(name, context=ALICE)) for name in ("x", "y"))
    server.known.clear()
    world.sent.clear()
    first.until(SendRequest)
    second.until(SendRequest)
    first.step()
    second.step()
    first.until(SendRequest, rpc_method="initialize")
    second.until_blocked()
    world.run_all(first, second)
    assert world.methods().count("initialize") == 1
    assert world.leftovers() == []


def test_a_404_that_comes_late_does_not_drop_the_new_session() -> None:
    server = HandshakeServer()
    world = pinned(server)
    world.run(world.client.ping())
    late, quick = world.play(world.client.call_tool("late")), world.play(world.client.call_tool("quick"))
    late.until(SendRequest)
    server.known.clear()
    late.step()  # It was answered 404, and does not know yet that the session has been replaced.
    quick.finish()
    late.finish()
    assert server.opened == 2
    assert session_ids(world)[-1] == "s2"


def test_a_calls_own_session_that_is_lost_is_replaced_by_another_one_of_its_own() -> None:
    server = HandshakeServer()
    world = pinned(server, get_headers=rotating())
    play = world.play(world.client.call_tool("x"))
    play.until(SendRequest, rpc_method="tools/call")
    server.known.clear()
    play.finish()
    assert session_ids(world) == [None, "s1", "s1", None, "s2", "s2", "s2"]
    assert world.methods()[-1] == "DELETE"
    assert server.known == set()


def test_a_call_that_has_shown_another_identity_keeps_nothing_even_when_the_first_comes_back() -> None:
    tokens = iter(["a", "b", "b", "a", "a", "a", "a", "a", "a"])
    server = HandshakeServer()
    world = pinned(server, get_headers=lambda _: {"X-Token": next(tokens)})
    play = world.play(world.client.ping())
    play.until(SendRequest, rpc_method="ping")
    server.known.clear()
    play.finish()
    assert world.methods()[-2:] == ["ping", "DELETE"]
    assert world.leftovers() == []


# Flights.


def test_two_first_calls_share_one_handshake() -> None:
    world = pinned()
    first, second = (world.play(world.client.ping(context=ALICE)) for _ in range(2))
    other = world.play(world.client.ping(context=BOB))
    first.until(SendRequest)
    second.until_blocked()
    other.finish()  # Nothing of one identity holds up another's calls.
    world.run_all(first, second)
    pings = [headers_of(r)["mcp-session-id"] for r in world.sent if r.rpc_method == "ping"]
    assert sorted(pings) == ["s1", "s2", "s2"]
    assert world.leftovers() == []


@pytest.mark.parametrize("end", ["failure", "cancelled"])
def test_followers_of_a_failed_handshake_open_for_themselves(end: str) -> None:
    """Both do, and the partition keeps one session; the other one ends with its call."""
    answers: list[Answer | None] = [Reply(500), None, None]
    server = HandshakeServer()
    world = pinned(lambda r: (answers.pop(0) if r.rpc_method == "initialize" else None) or server(r))
    leader = world.play(world.client.ping(context=ALICE))
    followers = [world.play(world.client.ping(context=ALICE)) for _ in range(2)]
    leader.until(SendRequest)
    for follower in followers:
        follower.until_blocked()
    if end == "failure":
        assert isinstance(leader.fail(), HttpStatusError)
    else:
        answers.pop(0)
        assert leader.cancel() is None
    for follower in followers:
        follower.until(SendRequest, rpc_method="initialize")
    world.run_all(*followers)
    assert server.opened == 2
    assert world.methods().count("DELETE") == 1
    assert len(server.known) == 1
    world.run(world.client.ping(context=ALICE))
    assert server.opened == 2
    assert world.leftovers() == []


def test_a_session_is_claimed_only_after_the_resolvers_have_answered() -> None:
    world = pinned(get_headers=lambda _: {})
    hanging, other = (world.play(world.client.ping(context=ALICE)) for _ in range(2))
    hanging.until(ResolveHeaders)
    other.finish()
    hanging.finish()
    assert world.methods().count("initialize") == 1


# Cancelling.


def cancelled_at(play_to: Callable[[Any], object], server: Callable[[SendRequest], Answer] | None = None) -> World:
    world = pinned(server)
    world.run(world.client.ping(context=ALICE))
    world.sent.clear()
    play = world.play(world.client.call_tool("x", context=ALICE))
    play_to(play)
    rest = play.cancel()
    if rest is not None:
        rest.finish()
    assert world.leftovers() == []
    return world


@pytest.mark.parametrize("command", [SendRequest, ReceiveData])
def test_a_cancelled_request_is_cancelled_at_the_server(command: type[Any]) -> None:
    world = cancelled_at(lambda play: play.until(command))
    notice = world.sent[-1]
    assert (notice.rpc_method, notice.kind) == ("notifications/cancelled", RequestKind.NOTIFICATION)
    message = message_of(notice)
    assert "id" not in message
    sent = [r for r in world.sent if r.rpc_method == "tools/call"]
    if sent:
        assert message["params"]["requestId"] == message_of(sent[0])["id"]
    assert headers_of(notice)["mcp-session-id"] == "s1"
    assert headers_of(notice)["mcp-protocol-version"] == HANDSHAKE


def test_a_request_that_was_answered_is_not_cancelled() -> None:
    world = cancelled_at(lambda play: play.until(EndResponse), lambda r: talk(r))
    assert world.methods() == ["tools/call"]


def test_a_request_that_was_never_sent_is_not_cancelled() -> None:
    world = pinned(get_headers=lambda _: {})
    world.run(world.client.ping(context=ALICE))
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(ResolveHeaders)
    assert play.cancel() is None


def talk(request: SendRequest, *before: object) -> Answer:
    """Answers tool calls in a stream, after ``before``."""
    if request.rpc_method != "tools/call":
        return HandshakeServer(known={"s1"})(request)
    return sse_reply(*before, {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND})


def test_a_call_cancelled_while_it_answers_the_server_is_cancelled_at_the_server() -> None:
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    for command in (SendRequest, EndResponse):
        world = cancelled_at(
            lambda play, command=command: (
                play.until(SendRequest, rpc_method="ping"),
                command is EndResponse and play.until(EndResponse),
            ),
            lambda request: talk(request, ping),
        )
        assert world.methods()[-1] == "notifications/cancelled"
        asked = message_of(next(r for r in world.sent if r.rpc_method == "tools/call"))
        assert message_of(world.sent[-1])["params"]["requestId"] == asked["id"]


@pytest.mark.parametrize("command", [SendRequest, ReceiveData])
def test_initialize_is_never_cancelled_at_the_server(command: type[Any]) -> None:
    world = pinned()
    play = world.play(world.client.ping())
    play.until(command)
    assert play.cancel() is None
    assert "notifications/cancelled" not in world.methods()
    assert world.leftovers() == []


def test_a_session_half_opened_by_a_cancelled_call_is_ended() -> None:
    server = HandshakeServer()
    world = pinned(server)
    play = world.play(world.client.ping(context=ALICE))
    play.until(SendRequest, rpc_method="notifications/initialized")
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert world.methods() == ["initialize", "DELETE"]
    assert server.known == set()
    assert world.leftovers() == []


def test_the_notice_is_resolved_anew_in_the_calls_own_context() -> None:
    world = pinned(get_headers=rotating())
    world.run(world.client.ping(context=ALICE))
    context = CallContext(principal="alice", user="u")
    play = world.play(world.client.call_tool("x", context=context))
    play.until(ReceiveData)
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    told = world.resolved[-1]
    assert (told.kind, told.rpc_method, told.user) == (RequestKind.NOTIFICATION, "notifications/cancelled", "u")
    tokens = [headers_of(request)["authorization"] for request in world.sent]
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize("answer", [TransportError("broken"), Reply(500), Reply(404)])
def test_a_notice_that_fails_is_no_error(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    server = HandshakeServer()
    world = pinned(lambda r: answer if r.rpc_method == "notifications/cancelled" else server(r))
    play = world.play(world.client.call_tool("x"))
    play.until(SendRequest, rpc_method="tools/call")
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert len(caplog.records) == isinstance(answer, TransportError)


def test_a_notice_belongs_to_the_identity_that_its_call_was_settled_on() -> None:
    world = pinned(get_headers=rotating())
    play = world.play(world.client.call_tool("x"))
    play.until(SendRequest, rpc_method="tools/call")
    identities = len(world.client._state.partitions.all())
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert len(world.client._state.partitions.all()) == identities


def test_a_notice_that_nobody_drives_pins_nothing() -> None:
    world = pinned()
    world.run(world.client.ping(context=ALICE))
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(ReceiveData)
    assert play.cancel() is not None
    assert world.leftovers() == []


# Goodbyes.


def test_goodbyes_carry_the_principal_and_nothing_else() -> None:
    world = pinned(get_headers=lambda context: {"X-User": str(context.principal)})
    rich = CallContext(principal="alice", request_headers={"a": "b"}, user="u", input="i")
    world.run(world.client.ping(context=rich))
    world.run(world.client.ping(context=BOB))
    world.run(world.client.ping())
    world.sent.clear()
    goodbyes = world.client.close()
    assert len(goodbyes) == 2  # Of the call without a principal there is nobody left to resolve for.
    for goodbye in goodbyes:
        world.run(goodbye)
    assert world.methods() == ["DELETE", "DELETE"]
    assert [headers_of(request)["x-user"] for request in world.sent] == ["alice", "bob"]
    assert session_ids(world) == ["s1", "s2"]
    assert [headers_of(request)["mcp-protocol-version"] for request in world.sent] == [HANDSHAKE] * 2
    told = [c for c in world.resolved if c.kind is RequestKind.TERMINATE]
    assert [(c.principal, dict(c.request_headers), c.user, c.input) for c in told] == [
        ("alice", {}, None, None),
        ("bob", {}, None, None),
    ]
    assert world.client.close() == []


def test_without_resolvers_everybodys_session_is_ended() -> None:
    server = HandshakeServer()
    world = pinned(server, auth_token="t")
    world.run(world.client.ping())
    [goodbye] = world.client.close()
    world.run(goodbye)
    assert server.known == set()
    assert headers_of(world.sent[-1])["authorization"] == "Bearer t"
    assert world.sent[-1].body == b""


def test_a_resolver_that_refuses_a_goodbye_is_logged_and_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    def resolver(context: RequestContext) -> dict[str, str]:
        if context.kind is RequestKind.TERMINATE:
            raise RuntimeError("secret")
        return {}

    world = pinned(get_headers=resolver)
    world.run(world.client.ping(context=ALICE))
    world.sent.clear()
    [goodbye] = world.client.close()
    world.run(goodbye)
    assert world.sent == []
    [record] = caplog.records
    assert record.name == "mcpcore"
    assert record.levelno == logging.WARNING
    assert "secret" not in record.getMessage()


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_that_does_not_let_clients_end_sessions(status: int, caplog: pytest.LogCaptureFixture) -> None:
    server = HandshakeServer()
    world = pinned(lambda r: Reply(status) if r.method == "DELETE" else server(r))
    world.run(world.client.ping())
    [goodbye] = world.client.close()
    world.run(goodbye)
    assert caplog.records == []


def test_a_refused_resolver_for_the_first_call_leaves_nothing() -> None:
    def resolver(_: RequestContext) -> dict[str, str]:
        raise ValueError

    world = pinned(get_headers=resolver)
    for context in (ALICE, CallContext()):
        error = world.fail(world.client.ping(context=context))
        assert isinstance(error, HeaderResolverError)
    assert world.sent == []
    assert world.leftovers() == []


def test_batches_are_read_in_one_revision_alone() -> None:
    def batching(version: str) -> Callable[[SendRequest], Answer]:
        server = HandshakeServer(version)

        def answer(request: SendRequest) -> Answer:
            if request.rpc_method != "tools/call":
                return server(request)
            return json_reply([{"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND}])

        return answer

    for version in HANDSHAKES:
        world = pinned(batching(version), protocol_version=version)
        play = world.play(world.client.call_tool("x"))
        play.end()
        assert (play.error is None) is (version == "2025-03-26")


def test_a_batch_with_requests_of_the_server_is_answered_one_by_one() -> None:
    server = HandshakeServer("2025-03-26")

    def batching(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call":
            return server(request)
        batch = [
            {"jsonrpc": "2.0", "id": 1, "method": "ping"},
            {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND},
            {"jsonrpc": "2.0", "id": 2, "method": "roots/list"},
        ]
        return json_reply(batch)

    world = pinned(batching, protocol_version="2025-03-26")
    world.run(world.client.call_tool("x"))
    replies = [message_of(r) for r in world.sent if r.kind is RequestKind.RESPONSE]
    assert replies[0] == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert replies[1]["error"]["code"] == -32601


@pytest.mark.parametrize("answer", [Reply(500), Reply(404), TransportError("broken"), Reply(200)])
def test_a_reply_that_fails_does_not_fail_the_call(answer: Answer) -> None:
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    world = pinned(lambda r: answer if r.kind is RequestKind.RESPONSE else talk(r, ping))
    assert world.run(world.client.call_tool("x")).text == "found"
    assert world.leftovers() == []


def test_a_follower_that_gives_up_does_not_disturb_the_leader() -> None:
    world = pinned()
    leader, follower = (world.play(world.client.ping(context=ALICE)) for _ in range(2))
    leader.until(SendRequest)
    follower.until_blocked()
    assert isinstance(follower.peek(), WaitFor)
    assert follower.cancel() is None
    leader.finish()
    assert world.leftovers() == []


# What the server asks before its answer has bounds, and cannot hurt the call.


def asking(*messages: bytes, reply: Answer | None = None) -> World:
    """A server that sends these before it answers a tool call, and answers our replies with ``reply``."""
    server = HandshakeServer()

    def answer(request: SendRequest) -> Answer:
        if request.kind is RequestKind.RESPONSE and reply is not None:
            return reply
        if request.rpc_method != "tools/call":
            return server(request)
        result = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND}
        return Reply(200, {"content-type": "text/event-stream"}, [*messages, event(result)])

    return pinned(answer, limits=Limits(server_requests=3))


def pings(count: int) -> list[bytes]:
    return [event({"jsonrpc": "2.0", "id": number, "method": "ping"}) for number in range(count)]


def test_a_server_may_ask_as_often_as_the_limit_says() -> None:
    world = asking(*pings(3))
    assert world.run(world.client.call_tool("x")).text == "found"
    assert [r.kind for r in world.sent].count(RequestKind.RESPONSE) == 3
    # The limit is each call's own.
    assert world.run(world.client.call_tool("x")).text == "found"


def test_a_server_that_asks_too_much_before_it_answers() -> None:
    world = asking(*pings(4))
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.request) == ("server_requests", "tools/call 'x'")
    assert [r.kind for r in world.sent].count(RequestKind.RESPONSE) == 3
    assert world.ended[-1:] == [False]
    assert world.leftovers() == []


@pytest.mark.parametrize("method", ["ping", "roots/list"])
def test_a_request_whose_id_cannot_be_sent_back_is_logged(method: str, caplog: pytest.LogCaptureFixture) -> None:
    message = b'data: {"jsonrpc":"2.0","id":"\\ud800","method":"' + method.encode() + b'"}\n\n'
    world = asking(message)
    assert world.run(world.client.call_tool("x")).text == "found"
    assert "could not answer the server's request" in caplog.text
    assert RequestKind.RESPONSE not in [request.kind for request in world.sent]


def test_a_reply_that_is_accepted_is_logged_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Its id is the server's: no JSON-RPC answer to it is awaited."""
    world = asking(*pings(2), reply=Reply(202))
    with caplog.at_level(logging.DEBUG, "mcpcore"):
        assert world.run(world.client.call_tool("x")).text == "found"
    assert [request.kind for request in world.sent].count(RequestKind.RESPONSE) == 2
    assert caplog.records == []


EVIL = "x\nCRITICAL root \x1b[2J"


def check_shown_safely(caplog: pytest.LogCaptureFixture) -> None:
    [record] = caplog.records
    shown = record.getMessage()
    assert "CRITICAL root" in shown
    assert not any(character in shown for character in "\n\r\x1b")


def test_what_a_server_says_to_our_reply_is_logged_safely(caplog: pytest.LogCaptureFixture) -> None:
    refusal = json_reply({"jsonrpc": "2.0", "id": None, "error": {"code": -1, "message": EVIL}}, 400)
    world = asking(*pings(1), reply=refusal)
    world.run(world.client.call_tool("x"))
    check_shown_safely(caplog)


def test_what_breaks_our_reply_is_logged_safely(caplog: pytest.LogCaptureFixture) -> None:
    world = asking(*pings(1), reply=TransportError(EVIL))
    world.run(world.client.call_tool("x"))
    check_shown_safely(caplog)


@pytest.mark.parametrize("answer", [None, TransportError(EVIL)], ids=["refused", "broken"])
def test_what_a_server_says_to_a_goodbye_is_logged_safely(
    answer: Answer | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = pinned()
    world.run(world.client.ping(context=ALICE))
    refusal = json_reply({"jsonrpc": "2.0", "error": {"code": -1, "message": EVIL}}, 400)
    world.server = lambda _: answer or refusal
    for goodbye in world.client.close():
        world.run(goodbye)
    if answer is not None:
        check_shown_safely(caplog)
    else:
        # No JSON-RPC answer to a DELETE is awaited, so nothing of its words is read.
        assert [record.getMessage().count(EVIL) for record in caplog.records] == [0]


def test_what_breaks_a_cancellation_is_logged_safely(caplog: pytest.LogCaptureFixture) -> None:
    world = pinned()
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest, rpc_method="tools/call")
    rest = play.cancel()
    assert rest is not None
    world.server = lambda _: TransportError(EVIL)
    rest.finish()
    check_shown_safely(caplog)


@pytest.mark.parametrize(("token", "count"), [(1, 1), (True, 0), (1.0, 0), ("1", 0), (None, 0)])
def test_a_progress_token_is_an_integer(token: object, count: int) -> None:
    """In JSON, 1 and 1.0 and true are three things; in Python they are equal."""

    def server(request: SendRequest) -> Answer:
        assert (message_of(request)["id"], message_of(request)["params"]["_meta"]["progressToken"]) == (1, 1)
        params = {"progressToken": token, "progress": 1}
        return sse_reply(
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": params},
            {"jsonrpc": "2.0", "id": 1, "result": FOUND},
        )

    world = world_of(server, protocol_version="2026-07-28")
    seen: list[object] = []
    assert world.run(world.client.call_tool("x", on_progress=seen.append)).text == "found"
    assert len(seen) == count
