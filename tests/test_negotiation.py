"""The search for a server's era: what proves something, what does not, and who searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.pure import Answer, Reply, error_reply, headers_of, json_reply, message_of, result_reply
from support.stepping import (
    DISCOVERY,
    FOUND,
    MODERN,
    REVISIONS,
    HandshakeServer,
    Play,
    SseServer,
    World,
    event,
    modern_server,
    world_of,
)

from mcpcore import (
    CallContext,
    ConfigurationError,
    ForbiddenError,
    HeaderResolverError,
    HttpStatusError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    McpError,
    RedirectError,
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

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
MODERN_ERRORS = (-32020, -32021, -32022)
PROVES_NOTHING = {401, 403, 407, 408, 429}
UNAVAILABLE = 503


def probed(answer: Callable[[SendRequest], Answer], version: str = "2025-11-25", **options: Any) -> World:
    """A handshake-era server that answers the probe, and only that, with ``answer``."""
    server = HandshakeServer(version)
    return world_of(
        lambda request: answer(request) if request.kind is RequestKind.DISCOVER else server(request), **options
    )


def first_steps(world: World) -> list[str]:
    """What is sent for one call whose outcome does not matter."""
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.end()
    return world.methods()


HANDSHAKE_STEPS = ["server/discover", "initialize", "notifications/initialized", "tools/call"]
MODERN_STEPS = ["server/discover", "tools/call"]
NO_VERDICT = ["server/discover"]

BODIES: dict[str, Callable[[SendRequest, int], Reply]] = {
    "none": lambda _, status: Reply(status),
    "page": lambda _, status: Reply(status, {"content-type": "text/html"}, [b"<html>"]),
    "JSON": lambda _, status: json_reply({"detail": "no"}, status),
    "JSON cut off": lambda _, status: Reply(status, {"content-type": "application/json"}, [b'{"jsonrpc']),
    "JSON broken off": lambda _, status: Reply(
        status, {"content-type": "application/json"}, [b"{", TransportError("broken")]
    ),
    "an error": lambda request, status: error_reply(request, -32601, status),
    "an error without an id": lambda _, status: json_reply(
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "no session"}}, status
    ),
    "an error of another id": lambda _, status: json_reply(
        {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32022, "message": "no session"}}, status
    ),
    "a stream": lambda request, status: Reply(status, {"content-type": "text/event-stream"}, [b"data: {}\n\n"]),
}


@pytest.mark.parametrize("kind", BODIES)
def test_what_a_refused_probe_leads_to(kind: str) -> None:
    """Any 4xx but five is a sign of another era; no other status is, whatever its body says."""
    for status in range(400, 600):
        world = probed(lambda request, status=status: BODIES[kind](request, status))
        expected = HANDSHAKE_STEPS if status < 500 and status not in PROVES_NOTHING else NO_VERDICT
        assert first_steps(world) == expected, status
        if expected is NO_VERDICT:
            assert first_steps(world) == NO_VERDICT * 2, "what proved nothing was remembered"


@pytest.mark.parametrize("code", MODERN_ERRORS)
def test_modern_errors_prove_the_modern_era(code: int) -> None:
    for status in range(200, 600):
        if 300 <= status < 400 or status in (202, 204):
            continue
        world = probed(lambda request, status=status: error_reply(request, code, status))
        proves_nothing = status in (401, 403) or status >= 500
        assert first_steps(world)[:2] == (NO_VERDICT if proves_nothing else MODERN_STEPS), status


@pytest.mark.parametrize("code", [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32019, -32023, 0, 1])
def test_any_other_error_with_200_is_a_sign_of_the_handshake_era(code: int) -> None:
    assert first_steps(probed(lambda request: error_reply(request, code))) == HANDSHAKE_STEPS


UNSUPPORTED: list[tuple[Any, str]] = [
    # What the probe was sent in: the server speaks it, whatever was wrong.
    ({"supported": [MODERN]}, "modern"),
    ({"supported": ["2025-11-25", MODERN, "2099-01-01"]}, "modern"),
    ({"supported": ["2025-06-18", "2025-03-26"]}, "2025-06-18"),
    ({"supported": ["2024-11-05"]}, "2024-11-05"),
    ({"supported": ["2025-11-25", "2099-01-01"]}, "2025-11-25"),
    ({"supported": ["2099-01-01"]}, "nothing"),
    ({"supported": []}, "modern"),
    ({"supported": "2025-11-25"}, "modern"),
    ({"supported": [1, None, {}]}, "modern"),
    ({"requested": MODERN}, "modern"),
    (None, "modern"),
    ("2025-11-25", "modern"),
]


@pytest.mark.parametrize(("data", "expected"), UNSUPPORTED)
@pytest.mark.parametrize("status", [200, 400])
def test_versions_that_a_refusal_names(data: object, expected: str, status: int) -> None:
    world = probed(lambda request: error_reply(request, -32022, status, data))
    steps = first_steps(world)
    if expected == "modern":
        assert steps[:2] == MODERN_STEPS
        assert headers_of(world.sent[1])["mcp-protocol-version"] == MODERN
    elif expected == "nothing":
        assert steps == NO_VERDICT
        error = world.fail(world.client.ping())
        assert isinstance(error, RpcError)
        assert error.code == -32022
    else:
        assert steps == HANDSHAKE_STEPS
        assert message_of(world.sent[1])["params"]["protocolVersion"] == expected


@pytest.mark.parametrize(
    ("versions", "asked_for"),
    [
        (["2025-06-18"], "2025-06-18"),
        (["2025-03-26", "2024-11-05"], "2025-03-26"),
        (["2099-01-01"], "2025-11-25"),
        ([], "2025-11-25"),
        (None, "2025-11-25"),
        ({MODERN: 1}, "2025-11-25"),
    ],
)
def test_a_discovery_that_names_no_modern_version(versions: object, asked_for: str) -> None:
    world = probed(lambda request: result_reply(request, {**DISCOVERY, "supportedVersions": versions}))
    assert first_steps(world) == HANDSHAKE_STEPS
    assert message_of(world.sent[1])["params"]["protocolVersion"] == asked_for


FAULTS: dict[str, tuple[Answer, type[McpError]]] = {
    "401": (Reply(401), UnauthorizedError),
    "403": (Reply(403), ForbiddenError),
    "302": (Reply(302, {"location": "/login"}), RedirectError),
    "307": (Reply(307, {"location": "/mcp/"}), RedirectError),
    "500": (Reply(500), HttpStatusError),
    "network": (TransportError("broken"), TransportError),
    "page": (Reply(200, {"content-type": "text/html"}, [b"<html>"]), RemoteProtocolError),
    "nothing": (Reply(200, {"content-type": "application/json"}), RemoteProtocolError),
    "garbage": (Reply(200, {"content-type": "application/json"}, [b"{"]), RemoteProtocolError),
    "a stream that ends": (Reply(200, {"content-type": "text/event-stream"}), RemoteProtocolError),
    "a stream that breaks": (
        Reply(200, {"content-type": "text/event-stream"}, [b": \n", TransportError("broken")]),
        TransportError,
    ),
}


@pytest.mark.parametrize(
    ("fault", "at"),
    # A stream is what the GET asks for.
    [(f, at) for f in FAULTS for at in ("server/discover", "initialize", "GET") if at != "GET" or "stream" not in f],
)
def test_a_fault_is_no_verdict(fault: str, at: str) -> None:
    """It fails the call that meets it, and the next call searches from the start."""
    answer, error_type = FAULTS[fault]
    healthy = SseServer()
    is_faulty = True

    def server(request: SendRequest) -> Answer:
        if is_faulty and at in (request.rpc_method, request.method):
            return answer
        return healthy(request)

    world = world_of(server, type="auto")
    healthy.world = world
    error = world.fail(world.client.ping())
    assert type(error) is error_type
    assert error.server == "https://mcp.example/mcp"
    before = len(world.sent)
    is_faulty = False
    world.run(world.client.ping())
    assert world.methods()[before:] == [
        "server/discover",
        "initialize",
        "GET",
        "initialize",
        "notifications/initialized",
        "ping",
    ]
    assert world.leftovers() == []


@pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422])
def test_only_a_foreign_refusal_of_initialize_leads_on_to_http_sse(status: int) -> None:
    def server(request: SendRequest) -> Answer:
        return Reply(404) if request.kind is RequestKind.DISCOVER else Reply(status)

    world = world_of(server, type="auto")
    assert isinstance(world.fail(world.client.ping()), HttpStatusError)
    assert world.methods() == ["server/discover", "initialize", "GET"]
    world = world_of(server)
    error = world.fail(world.client.ping())
    assert isinstance(error, HttpStatusError)
    assert (error.status, error.request) == (status, "initialize")
    assert world.methods() == ["server/discover", "initialize"]


def test_initialize_refused_by_a_json_rpc_error_is_the_end() -> None:
    world = world_of(lambda r: Reply(404) if r.kind is RequestKind.DISCOVER else error_reply(r, -32602), type="auto")
    error = world.fail(world.client.ping())
    assert isinstance(error, RpcError)
    assert (error.code, error.request) == (-32602, "initialize")
    assert world.methods() == ["server/discover", "initialize"]


@pytest.mark.parametrize("version", REVISIONS)
@pytest.mark.parametrize("transport", ["http", "sse", "auto"])
def test_a_pinned_version_is_never_probed(version: str, transport: str) -> None:
    if transport == "sse" and version == MODERN:
        with pytest.raises(ConfigurationError, match="HTTP\\+SSE"):
            world_of(modern_server, type=transport, protocol_version=version)
        return
    for status in (400, 404, 500):
        world = world_of(lambda _, status=status: Reply(status), type=transport, protocol_version=version)
        assert isinstance(world.fail(world.client.ping()), HttpStatusError)
        if transport == "sse":
            expected = ["GET"]
        elif version == MODERN:
            expected = ["server/discover"]  # its ping
        else:
            expected = ["initialize", "GET"] if transport == "auto" and status < 500 else ["initialize"]
        assert world.methods() == expected


@pytest.mark.parametrize("version", REVISIONS[:-1])
def test_a_pinned_version_is_what_is_asked_for_and_accepted(version: str) -> None:
    world = world_of(HandshakeServer(version), protocol_version=version)
    world.run(world.client.ping())
    assert message_of(world.sent[0])["params"]["protocolVersion"] == version
    for transport in ("sse", "auto"):
        world = world_of(SseServer(version=version), type=transport, protocol_version=version)
        world.run(world.client.ping())
        asked = [message_of(r)["params"]["protocolVersion"] for r in world.sent if r.rpc_method == "initialize"]
        assert set(asked) == {version}


@pytest.mark.parametrize("version", REVISIONS[:-1])
@pytest.mark.parametrize("transport", ["http", "sse", "auto"])
def test_a_pinned_version_is_the_only_one_spoken(version: str, transport: str) -> None:
    other = "2025-06-18" if version != "2025-06-18" else "2025-11-25"
    server = HandshakeServer(other) if transport == "http" else SseServer(version=other)
    world = world_of(server, type=transport, protocol_version=version)
    error = world.fail(world.client.ping())
    assert isinstance(error, RemoteProtocolError)
    assert "tools/call" not in world.methods()
    assert world.leftovers() == []


def test_a_pinned_modern_version_stands_whatever_the_server_says() -> None:
    for answer in (Reply(404), Reply(400)):
        world = world_of(lambda _, answer=answer: answer, protocol_version=MODERN)
        error = world.fail(world.client.call_tool("x"))
        assert isinstance(error, HttpStatusError)
        assert error.__suppress_context__
        assert world.methods() == ["tools/call"]
    world = world_of(lambda r: error_reply(r, -32022, 400, {"supported": ["2025-11-25"]}), protocol_version=MODERN)
    assert isinstance(world.fail(world.client.call_tool("x")), RpcError)
    assert world.methods() == ["tools/call"]


# A verdict that stops holding.


def switching(*servers: Callable[[SendRequest], Answer], **options: Any) -> tuple[World, Callable[[int], None]]:
    """A world whose server can be exchanged for another one."""
    current = 0

    def server(request: SendRequest) -> Answer:
        return servers[current](request)

    def switch(to: int) -> None:
        nonlocal current
        current = to

    world = world_of(server, **options)
    for one in servers:
        if isinstance(one, SseServer):
            one.world = world
    return world, switch


def typescript_like(server: HandshakeServer) -> Callable[[SendRequest], Answer]:
    """Servers in the wild say that they miss a session in an error without an id."""

    def answer(request: SendRequest) -> Answer:
        reply = server(request)
        if isinstance(reply, Reply) and reply.status == 400:
            return json_reply(
                {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "not initialized"}}, 400
            )
        return reply

    return answer


def named_revisions(server: HandshakeServer) -> Callable[[SendRequest], Answer]:
    def answer(request: SendRequest) -> Answer:
        reply = server(request)
        if isinstance(reply, Reply) and reply.status == 400:
            return error_reply(request, -32022, 400, {"supported": ["2025-11-25"]})
        return reply

    return answer


@pytest.mark.parametrize("flavour", [lambda server: server, typescript_like, named_revisions])
@pytest.mark.parametrize("transport", ["http", "auto"])
def test_from_modern_to_handshake(flavour: Any, transport: str) -> None:
    world, switch = switching(modern_server, flavour(HandshakeServer()), type=transport)
    world.run(world.client.call_tool("x"))
    switch(1)
    before = len(world.sent)
    world.run(world.client.call_tool("x"))
    assert world.methods()[before:] == ["tools/call", *HANDSHAKE_STEPS]
    before = len(world.sent)
    world.run(world.client.call_tool("x"))
    assert world.methods()[before:] == ["tools/call"]


@pytest.mark.parametrize("act", ["ping", "open", "list_tools"])
def test_every_kind_of_call_finds_out(act: str) -> None:
    def listing(server: Callable[[SendRequest], Answer]) -> Callable[[SendRequest], Answer]:
        def answer(request: SendRequest) -> Answer:
            reply = server(request)
            if request.rpc_method == "tools/list" and isinstance(reply, Reply) and reply.status == 200:
                return result_reply(request, {"resultType": "complete", "tools": []})
            return reply

        return answer

    world, switch = switching(listing(modern_server), listing(HandshakeServer()))
    world.run(getattr(world.client, act)(context=ALICE))
    switch(1)
    world.run(getattr(world.client, act)(context=BOB))
    assert "initialize" in world.methods()
    switch(0)
    world.run(getattr(world.client, act)(context=CallContext(principal="carol")))
    assert world.methods()[-1] != "initialize"


def test_from_handshake_to_modern() -> None:
    world, switch = switching(HandshakeServer(), modern_server)
    world.run(world.client.call_tool("x", context=ALICE))
    switch(1)
    world.sent.clear()
    world.run(world.client.call_tool("x", context=BOB))
    assert world.methods() == ["initialize", *MODERN_STEPS]
    world.sent.clear()
    world.run(world.client.call_tool("x", context=ALICE))
    assert world.methods() == ["tools/call"]


def test_from_handshake_to_modern_in_the_middle_of_a_session() -> None:
    world, switch = switching(HandshakeServer(), lambda r: error_reply(r, -32022, 400, {"supported": [MODERN]}))
    world.run(world.client.call_tool("x"))
    switch(1)
    world.sent.clear()
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, RpcError)
    assert world.methods() == ["tools/call", "server/discover", "tools/call", "tools/call"]
    world.sent.clear()
    assert isinstance(world.fail(world.client.notify("notifications/roots/list_changed")), LocalProtocolError)
    assert world.methods() == []


def test_a_notification_finds_out_too() -> None:
    world, switch = switching(HandshakeServer(), modern_server)
    world.run(world.client.ping())
    switch(1)
    error = world.fail(world.client.notify("notifications/roots/list_changed"))
    assert isinstance(error, LocalProtocolError)
    assert "2026-07-28" in error.message


def test_from_http_sse_to_modern() -> None:
    old = SseServer()
    world, switch = switching(old, modern_server, type="auto")
    world.run(world.client.call_tool("x"))
    world.streams[0].receive_end()
    switch(1)
    world.sent.clear()
    world.run(world.client.call_tool("x"))
    assert world.methods() == ["GET", *MODERN_STEPS]


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_stream_refused_for_other_reasons_says_nothing_about_the_verdict(status: int) -> None:
    world = world_of(SseServer(), type="auto")
    world.run(world.client.ping())
    world.streams[0].receive_end()
    world.server = lambda _: Reply(status)
    world.sent.clear()
    error = world.fail(world.client.ping())
    assert isinstance(error, HttpStatusError)
    assert (error.status, error.request) == (status, "GET (listen)")
    assert world.methods() == ["GET"]


def test_a_verdict_that_is_only_confirmed_leaves_the_call_its_error() -> None:
    def server(request: SendRequest) -> Answer:
        return Reply(404) if request.rpc_name == "bad" else modern_server(request)

    world = world_of(server)
    world.run(world.client.call_tool("good"))
    error = world.fail(world.client.call_tool("bad"))
    assert isinstance(error, HttpStatusError)
    assert (error.status, error.request) == (404, "tools/call 'bad'")
    assert error.__suppress_context__
    assert world.methods() == [*MODERN_STEPS, "tools/call", "server/discover"]


def test_a_server_that_is_gone_is_an_error() -> None:
    world = world_of(modern_server)
    world.run(world.client.ping())
    world.server = lambda request: Reply(404)
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, HttpStatusError)
    assert (error.status, error.request) == (404, "initialize")
    assert world.methods()[2:] == ["tools/call", "server/discover", "initialize"]


def test_a_new_verdict_that_does_not_hold_either_is_an_error() -> None:
    world = world_of(HandshakeServer())
    world.run(world.client.ping())

    def server(request: SendRequest) -> Answer:
        if request.kind is RequestKind.DISCOVER:
            return modern_server(request)
        return error_reply(request, -32020, 400) if "mcp-session-id" in headers_of(request) else Reply(404)

    world.server = server
    world.sent.clear()
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, HttpStatusError)
    assert error.__suppress_context__
    assert world.methods() == ["tools/call", "server/discover", "tools/call"]


def test_other_sessions_stand_when_one_call_searches_again() -> None:
    server = HandshakeServer()
    world = world_of(server)
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.ping(context=BOB))
    world.server = lambda r: error_reply(r, -32020, 400) if r.rpc_name == "odd" else server(r)
    assert isinstance(world.fail(world.client.call_tool("odd", context=ALICE)), RpcError)
    world.sent.clear()
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.ping(context=BOB))
    assert [headers_of(request)["mcp-session-id"] for request in world.sent] == ["s1", "s2"]


def test_a_server_that_keeps_changing_its_mind() -> None:
    def server(request: SendRequest) -> Answer:
        if request.kind is RequestKind.DISCOVER:
            return modern_server(request)
        return Reply(404)

    world = world_of(server, limits=Limits(handshakes=1))
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.request) == ("handshakes", "tools/call 'x'")
    assert world.methods() == MODERN_STEPS
    assert world.leftovers() == []


# Who searches.


def slow_user(context: Any) -> dict[str, str]:
    return {"X-User": str(context.principal)}


def test_two_calls_at_once_share_one_probe() -> None:
    world = world_of(modern_server, get_headers=slow_user)
    first = world.play(world.client.call_tool("x", context=ALICE))
    second = world.play(world.client.call_tool("x", context=BOB))
    third = world.play(world.client.call_tool("x"))
    first.until(SendRequest)
    second.until_blocked()
    third.until_blocked()
    world.run_all(first, second, third)
    assert world.methods() == ["server/discover", "tools/call", "tools/call", "tools/call"]
    assert headers_of(world.sent[0])["x-user"] == "alice"
    # Who joined has no use for a resolution for the probe, and asked for none.
    assert [context.kind for context in world.resolved].count(RequestKind.DISCOVER) == 1
    assert world.leftovers() == []


def test_a_probe_is_claimed_only_after_the_resolvers_have_answered() -> None:
    """A resolver that hangs holds nobody up."""
    world = world_of(modern_server, get_headers=slow_user)
    hanging = world.play(world.client.call_tool("x", context=ALICE))
    hanging.until(ResolveHeaders)
    other = world.play(world.client.call_tool("x", context=BOB))
    other.finish()
    assert world.methods() == ["server/discover", "tools/call"]
    # The verdict came while the resolver was working; what it says now is used for nothing.
    hanging.finish()
    assert world.methods() == ["server/discover", "tools/call", "tools/call"]
    assert [context.kind for context in world.resolved if context.principal == "alice"] == [
        RequestKind.DISCOVER,
        RequestKind.REQUEST,
    ]


def test_two_resolvers_at_once_and_one_probe() -> None:
    """Both found nobody probing; whoever comes second then waits, and asks its resolvers again for its own request."""
    world = world_of(modern_server, get_headers=slow_user)
    first = world.play(world.client.call_tool("x", context=ALICE))
    second = world.play(world.client.call_tool("x", context=BOB))
    first.until(ResolveHeaders)
    second.until(ResolveHeaders)
    first.until(SendRequest)
    second.until_blocked()
    world.run_all(first, second)
    assert world.methods() == ["server/discover", "tools/call", "tools/call"]


def test_the_headers_of_the_probe_were_resolved_for_its_very_body() -> None:
    world = world_of(modern_server, get_headers=lambda context: {"X-Signature": context.body.hex()})
    world.run(world.client.ping())
    for request in world.sent:
        assert headers_of(request)["x-signature"] == request.body.hex()


@pytest.mark.parametrize("end", ["failure", "cancelled", "resolver"])
def test_followers_of_a_failed_leader_take_their_own_turn(end: str) -> None:
    """They never receive its failure, and are not made to wait a second time."""
    answers: list[Answer | None] = [Reply(503), None, None]

    def server(request: SendRequest) -> Answer:
        return (
            answers.pop(0) or modern_server(request)
            if request.kind is RequestKind.DISCOVER
            else result_reply(request, FOUND)
        )

    world = world_of(server, get_headers=slow_user)
    leader = world.play(world.client.call_tool("x", context=ALICE))
    followers = [world.play(world.client.call_tool("x", context=CallContext(principal=name))) for name in ("b", "c")]
    leader.until(SendRequest)
    for follower in followers:
        follower.until_blocked()
    if end == "failure":
        assert isinstance(leader.fail(), HttpStatusError)
    else:
        answers.pop(0)
        assert leader.cancel() is None
    # Both lead now: the first one has claimed the flight, and the second does not wait for it.
    followers[0].until(SendRequest)
    followers[1].until(SendRequest)
    world.run_all(*followers)
    assert [play.error for play in followers] == [None, None]
    assert world.methods().count("server/discover") == (3 if end == "failure" else 2)
    assert world.leftovers() == []


def test_a_leader_that_cannot_resolve_leads_nobody() -> None:
    def resolver(context: Any) -> dict[str, str]:
        if context.principal == "alice":
            raise ValueError("no such user")
        return {}

    world = world_of(modern_server, get_headers=resolver)
    assert isinstance(world.fail(world.client.ping(context=ALICE)), HeaderResolverError)
    assert world.sent == []
    world.run(world.client.ping(context=BOB))
    assert world.leftovers() == []


def test_a_follower_has_its_own_session() -> None:
    server = HandshakeServer()
    world = world_of(server)
    alice, bob = (world.play(world.client.ping(context=context)) for context in (ALICE, BOB))
    alice.until(SendRequest)
    bob.until_blocked()
    world.run_all(alice, bob)
    assert server.opened == 2
    assert world.methods().count("server/discover") == 1
    assert len({headers_of(r)["mcp-session-id"] for r in world.sent if r.rpc_method == "ping"}) == 2


def test_the_leader_of_a_search_opens_its_own_stream_and_followers_theirs() -> None:
    world = world_of(SseServer(), type="auto")
    alice, bob = (world.play(world.client.ping(context=context)) for context in (ALICE, BOB))
    alice.until(SendRequest)
    bob.until_blocked()
    while alice.step():
        pass
    assert alice.over
    bob.finish()
    assert len(world.streams) == 2
    assert world.leftovers() == []


def test_the_verdict_is_all_that_crosses_partitions() -> None:
    """What discovery told is kept for whom it was told to."""

    def server(request: SendRequest) -> Answer:
        user = headers_of(request)["x-user"]
        return result_reply(request, {**DISCOVERY, "instructions": f"for {user}", "ttlMs": 1000})

    world = world_of(server, get_headers=slow_user, clock=lambda: 0.0)
    alice, bob = (world.play(world.client.open(context=context)) for context in (ALICE, BOB))
    alice.until(SendRequest)
    bob.until_blocked()
    world.run_all(alice, bob)
    assert alice.result.instructions == "for alice"
    assert bob.result.instructions == "for bob"
    assert world.run(world.client.open(context=ALICE)).instructions == "for alice"
    assert world.methods() == ["server/discover", "server/discover"]


def test_a_follower_without_a_principal_learns_whose_it_is_by_its_own_headers() -> None:
    def server(request: SendRequest) -> Answer:
        return result_reply(request, {**DISCOVERY, "instructions": headers_of(request)["x-user"]})

    world = world_of(server, get_headers=lambda context: {"X-User": context.request_headers["x"]})
    plays = [world.play(world.client.open(context=CallContext(request_headers={"x": name}))) for name in ("a", "b")]
    plays[0].until(SendRequest)
    plays[1].until_blocked()
    world.run_all(*plays)
    assert [play.result.instructions for play in plays] == ["a", "b"]
    assert world.leftovers() == []


def test_waiting_can_be_given_up() -> None:
    world = world_of(modern_server)
    leader, follower = world.play(world.client.ping()), world.play(world.client.ping())
    leader.until(SendRequest)
    follower.until_blocked()
    assert isinstance(follower.peek(), WaitFor)
    assert follower.cancel() is None
    leader.finish()
    assert world.leftovers() == []


def test_events_of_a_stream_before_the_answer_to_the_probe() -> None:
    """A server may answer the probe by a stream, and say things first."""
    notice = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}

    def server(request: SendRequest) -> Answer:
        answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": DISCOVERY}
        return Reply(200, {"content-type": "text/event-stream"}, [event(notice), event(ping), event(answer)])

    world = world_of(server)
    world.run(world.client.open())
    assert world.methods() == ["server/discover"]  # In the modern era a server cannot ask.


# A resolver that is asked again holds nobody up.


def by_principal(context: RequestContext) -> dict[str, str]:
    return {"Authorization": f"{context.principal} {context.attempt}"}


def choosy(server: Callable[[SendRequest], Answer]) -> Callable[[SendRequest], Answer]:
    """Turns Alice's first token away."""
    return lambda r: Reply(401) if headers_of(r)["authorization"] == "alice 1" else server(r)


def until_asked(play: Play[Any], name: str, value: object) -> None:
    """Go on until a resolver is asked for this, and hangs."""
    for _ in range(100):
        command = play.until(ResolveHeaders)
        if getattr(command.context, name) == value:
            return
        assert play.step()
    raise AssertionError("the resolver is never asked for that")


@pytest.mark.parametrize("comes", ["before", "between", "after"])
@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: choosy(modern_server), "attempt", 2),
        (HandshakeServer, "kind", RequestKind.INITIALIZE),
        (HandshakeServer, "kind", RequestKind.NOTIFICATION),
    ],
    ids=["401", "initialize", "initialized"],
)
def test_a_resolver_that_hangs_during_the_search_holds_no_other_identity_up(
    make: Callable[[], Callable[[SendRequest], Answer]], name: str, value: object, comes: str
) -> None:
    world = world_of(make(), get_headers=by_principal)
    alice, bob = (world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB))
    if comes == "before":
        bob.until(ResolveHeaders)
    if comes != "after":
        alice.until(SendRequest)
        bob.until_blocked()
    until_asked(alice, name, value)
    assert bob.finish().text == "found"
    assert alice.finish().text == "found"
    assert world.leftovers() == []


def test_a_flight_that_landed_early_does_not_land_the_next_one() -> None:
    world = world_of(choosy(modern_server), get_headers=by_principal)
    alice, bob, carol = (
        world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB, CallContext(principal="c"))
    )
    until_asked(alice, "attempt", 2)
    bob.until(SendRequest)
    carol.until_blocked()
    alice.finish()
    carol.until_blocked()
    bob.finish()
    carol.finish()
    # Bob searched for himself while Alice's resolver was working; Carol had both of them do it for her.
    assert world.methods().count("server/discover") == 3
    assert world.leftovers() == []


def test_who_landed_early_and_failed_does_not_clear_the_runway_of_the_next_flight() -> None:
    healthy = choosy(modern_server)
    world = world_of(
        lambda r: Reply(401) if headers_of(r)["authorization"] == "alice 2" else healthy(r), get_headers=by_principal
    )
    alice, bob, carol = (
        world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB, CallContext(principal="c"))
    )
    until_asked(alice, "attempt", 2)
    bob.until(SendRequest)
    assert isinstance(alice.fail(), UnauthorizedError)
    carol.until_blocked()
    world.run_all(bob, carol)
    assert world.methods().count("server/discover") == 3
    assert world.leftovers() == []


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_a_search_that_ends_while_its_resolver_is_asked_again_leaves_nothing(end: str) -> None:
    def failing(context: RequestContext) -> dict[str, str]:
        if context.principal == "alice" and context.attempt == 2:
            raise PermissionError
        return by_principal(context)

    world = world_of(choosy(modern_server), get_headers=failing)
    alice, bob = (world.play(world.client.call_tool("x", context=context)) for context in (ALICE, BOB))
    alice.until(SendRequest)
    bob.until_blocked()
    until_asked(alice, "attempt", 2)
    if end == "fail":
        assert isinstance(alice.fail(), HeaderResolverError)
    else:
        assert alice.cancel() is None
    assert bob.finish().text == "found"
    assert world.leftovers() == []
