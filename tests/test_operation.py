"""Operations: commands out, answers in, and leaving at any moment."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from attrs import Factory, define, evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pure import Answer, Reply, error_reply, headers_of, message_of, result_reply, sse_reply
from support.stepping import (
    FOUND,
    HANDSHAKE,
    MODERN,
    URL,
    HandshakeServer,
    Play,
    SseServer,
    World,
    modern_server,
    world_of,
)

from mcpcore import (
    CallContext,
    CallHandler,
    Client,
    Complete,
    DeadlineExceeded,
    Deliver,
    Emit,
    EndResponse,
    Handlers,
    HttpStatusError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    McpError,
    NotSentError,
    Operation,
    Progress,
    ReceiveData,
    RemoteProtocolError,
    RequestContext,
    RequestKind,
    ResolveHeaders,
    RpcError,
    SendRequest,
    Spawn,
    StartReader,
    TransportError,
    WaitFor,
)
from mcpcore.rules.metadata import SUBSCRIPTION_ID_KEY

ALICE, BOB, NOBODY = CallContext(principal="alice"), CallContext(principal="bob"), CallContext()
PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
ROOTS = {"jsonrpc": "2.0", "id": "r", "method": "roots/list"}
JSON = [("content-type", "application/json")]


def no_headers(_: RequestContext) -> None:
    return None


def acknowledgement(request: SendRequest) -> dict[str, Any]:
    """What a subscription begins with."""
    params = {"_meta": {SUBSCRIPTION_ID_KEY: message_of(request)["id"]}, "notifications": {"toolsListChanged": True}}
    return {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}


def operation_at(command: type[Any]) -> Play[Any]:
    """An operation that asks for ``command``."""
    server: Any = modern_server
    options: dict[str, Any] = {"protocol_version": MODERN}
    if command is Emit:
        world = world_of(lambda request: sse_reply(acknowledgement(request)), protocol_version=MODERN)
        play: Play[Any] = world.play(world.client.listen(tools=True))
        play.until(command)
        return play
    if command is CallHandler:
        asked = {"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}}
        server, options["handlers"] = lambda r: result_reply(r, asked), Handlers(roots=lambda *_: [])
    elif command is Deliver:
        server = talkative(modern_server)
    elif command is Spawn:
        server, options = talkative(HandshakeServer(), ROOTS), {"handlers": Handlers(roots=[])}
    elif command in (StartReader, WaitFor):
        server, options = SseServer(silent={"tools/call"}), {"type": "sse"}
    elif command is EndResponse:
        server = lambda _: Reply(500)  # noqa: E731  # as short as the others
    world = world_of(server, get_headers=no_headers, **options)
    play = world.play(world.client.call_tool("x", on_progress=lambda _: None))
    play.until(command)
    return play


ANSWERS: dict[str, tuple[Callable[[Operation[Any]], object], set[type[Any]]]] = {
    "headers_resolved": (lambda o: o.headers_resolved({}), {ResolveHeaders}),
    "resolver_failed": (lambda o: o.resolver_failed(ValueError()), {ResolveHeaders}),
    "receive_head": (lambda o: o.receive_head(200, JSON), {SendRequest}),
    "receive_data": (lambda o: o.receive_data(b""), {ReceiveData}),
    "receive_end": (lambda o: o.receive_end(), {ReceiveData}),
    "request_failed": (lambda o: o.request_failed(TransportError("broken")), {SendRequest, ReceiveData}),
    "response_ended": (lambda o: o.response_ended(), {EndResponse}),
    "signalled": (lambda o: o.signalled(), {WaitFor}),
    "handler_returned": (lambda o: o.handler_returned(None), {CallHandler}),
    "delivered": (lambda o: o.delivered(), {Deliver}),
    "handler_failed": (lambda o: o.handler_failed(ZeroDivisionError()), {CallHandler, Deliver}),
    "spawned": (lambda o: o.spawned(), {Spawn}),
    "emitted": (lambda o: o.emitted(), {Emit}),
    "reader_started": (lambda o: o.reader_started(), {StartReader}),
}
COMMANDS = (
    ResolveHeaders,
    SendRequest,
    ReceiveData,
    EndResponse,
    WaitFor,
    CallHandler,
    Deliver,
    Spawn,
    Emit,
    StartReader,
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_to_every_command(command: type[Any], answer: str) -> None:
    """What fits is taken; what does not is refused, and changes nothing."""
    play = operation_at(command)
    give, fits = ANSWERS[answer]
    asked = play.peek()
    if command in fits:
        give(play.operation)
        assert play.peek() is not asked or command is ReceiveData
        assert isinstance(play.error, ZeroDivisionError) == (answer == "handler_failed")
        return
    with pytest.raises(LocalProtocolError, match=command.__name__):
        give(play.operation)
    assert play.peek() is asked


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_before_the_first_command_and_after_the_last(answer: str) -> None:
    give, _ = ANSWERS[answer]
    world = world_of(modern_server, protocol_version=MODERN)
    operation = world.client.ping()
    with pytest.raises(LocalProtocolError, match="asked for nothing"):
        give(operation)
    world.run(operation)
    with pytest.raises(LocalProtocolError, match="asked for nothing"):
        give(operation)
    operation = world.client.ping()
    operation.next_command()
    operation.cancel()
    with pytest.raises(LocalProtocolError, match="asked for nothing"):
        give(operation)


def test_the_same_command_until_it_is_answered() -> None:
    operation = Client(URL, protocol_version=MODERN).ping()
    assert operation.next_command() is operation.next_command()


def test_a_result_is_told_once() -> None:
    world = world_of(modern_server, protocol_version=MODERN)
    operation = world.client.call_tool("x")
    assert isinstance(operation.next_command(), SendRequest)
    sent = operation.next_command()
    assert isinstance(sent, SendRequest)
    reply = modern_server(sent)
    assert isinstance(reply, Reply)
    operation.receive_head(reply.status, reply.head())
    for piece in reply.pieces:
        assert isinstance(piece, bytes)
        operation.receive_data(piece)
    operation.receive_end()
    assert isinstance(operation.next_command(), Complete)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="tools/call 'x' is over"):
            operation.next_command()
    assert operation.cancel() is None


def test_an_error_is_told_once() -> None:
    operation = Client(URL, protocol_version=MODERN).call_tool("x")
    operation.next_command()
    error = TransportError("broken")
    operation.request_failed(error)
    with pytest.raises(TransportError) as caught:
        operation.next_command()
    assert caught.value is error
    assert (error.server, error.request) == (URL, "tools/call 'x'")
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.next_command()
    assert operation.cancel() is None


def test_an_operation_that_was_cancelled_is_over() -> None:
    for drive in (False, True):
        operation = Client(URL, protocol_version=MODERN).ping()
        if drive:
            operation.next_command()
        assert operation.cancel() is None
        assert operation.cancel() is None
        with pytest.raises(LocalProtocolError, match="ping is over"):
            operation.next_command()


def test_a_deadline() -> None:
    operation = Client(URL + "?secret").call_tool("x")
    error = operation.deadline_exceeded(1.5)
    assert isinstance(error, DeadlineExceeded)
    assert isinstance(error, TimeoutError)
    assert str(error) == "tools/call 'x' to https://mcp.example/mcp: no answer within 1.5 s"


def test_what_an_operation_shows_of_itself() -> None:
    operation = Client(URL, auth_token="secret").call_tool("x", {"a": "secret"})
    operation.next_command()
    assert "secret" not in repr(operation)


def test_operations_that_are_never_driven_leave_nothing() -> None:
    world = world_of(modern_server, get_headers=no_headers)
    client = world.client
    for context in (ALICE, NOBODY):
        client.open(context=context)
        client.call_tool("x", context=context, on_progress=print)
        client.list_tools(context=context)
        client.ping(context=context).cancel()
        client.request("x", context=context)
        client.notify("x", context=context)
    gc.collect()
    assert world.leftovers() == []
    assert client._state.partitions.all() == []


# Leaving at any moment.


def talkative(
    server: Callable[[SendRequest], Answer], question: Mapping[str, Any] = PING
) -> Callable[[SendRequest], Answer]:
    """Answers tool calls in a stream, after progress and a question."""

    def answer(request: SendRequest) -> Answer:
        reply = server(request)
        if request.rpc_method != "tools/call" or not isinstance(reply, Reply) or reply.status != 200:
            return reply
        message = message_of(request)
        token = message["params"].get("_meta", {}).get("progressToken")
        params = {"progressToken": token, "progress": 1}
        progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        return sse_reply(progress, question, {"jsonrpc": "2.0", "id": message["id"], "result": FOUND})

    return answer


def challenging(server: Callable[[SendRequest], Answer]) -> Callable[[SendRequest], Answer]:
    """Accepts no token the first time."""
    return lambda request: Reply(401) if request.attempt == 1 else server(request)


def redirecting(server: Callable[[SendRequest], Answer]) -> Callable[[SendRequest], Answer]:
    def answer(request: SendRequest) -> Answer:
        return Reply(307, {"location": "/elsewhere"}) if request.url == URL else server(request)

    return answer


def forgetful(server: HandshakeServer) -> Callable[[SendRequest], Answer]:
    """Loses each session at its first use."""

    def answer(request: SendRequest) -> Answer:
        if request.rpc_method == "tools/call" and len(server.known) == 1 and server.opened == 1:
            server.known.clear()
        return server(request)

    return answer


def changed(old: Callable[[SendRequest], Answer], new: Callable[[SendRequest], Answer]) -> Callable[[Any], Answer]:
    """Becomes another server once it has been asked for discovery."""
    asked = False

    def answer(request: SendRequest) -> Answer:
        nonlocal asked
        reply = (new if asked else old)(request)
        asked = asked or request.kind is RequestKind.DISCOVER
        return reply

    return answer


@define(frozen=True)
class Flow:
    server: Callable[[], Callable[[SendRequest], Answer]]
    options: Mapping[str, Any] = MappingProxyType({})
    context: CallContext = ALICE


def token(context: RequestContext) -> dict[str, str]:
    return {"Authorization": "Bearer t"}


def counting() -> Callable[[RequestContext], dict[str, str]]:
    count = 0

    def resolver(_: RequestContext) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"X-Token": str(count)}

    return resolver


FLOWS: dict[str, Flow] = {
    "modern": Flow(lambda: modern_server),
    "modern, talkative": Flow(lambda: talkative(modern_server)),
    "modern, without a principal": Flow(lambda: modern_server, {"get_headers": no_headers}, NOBODY),
    "modern, challenged": Flow(lambda: challenging(modern_server), {"get_headers": token}),
    "modern, redirected": Flow(lambda: redirecting(modern_server), {"redirects": "same-origin"}),
    "handshake": Flow(HandshakeServer, {"get_headers": no_headers}),
    "handshake, talkative": Flow(lambda: talkative(HandshakeServer())),
    "handshake, asking": Flow(lambda: talkative(HandshakeServer(), ROOTS), {"handlers": Handlers(roots=[])}),
    "handshake, pinned": Flow(HandshakeServer, {"protocol_version": HANDSHAKE}),
    "handshake, challenged": Flow(lambda: challenging(HandshakeServer()), {"get_headers": token}),
    "handshake, rotating": Flow(lambda: talkative(HandshakeServer()), {"get_headers": "rotating"}, NOBODY),
    "handshake, session lost": Flow(lambda: forgetful(HandshakeServer())),
    "handshake, session lost, rotating": Flow(
        lambda: forgetful(HandshakeServer()), {"get_headers": "rotating"}, NOBODY
    ),
    "handshake, opaque": Flow(HandshakeServer, {"opaque_identity": True}, NOBODY),
    "from modern to handshake": Flow(lambda: changed(modern_server, HandshakeServer())),
    "HTTP+SSE": Flow(SseServer, {"type": "sse", "get_headers": no_headers}),
    "HTTP+SSE, rotating": Flow(SseServer, {"type": "sse", "get_headers": "rotating"}, NOBODY),
    "HTTP+SSE, found out": Flow(SseServer, {"type": "auto"}),
}


def start(flow: Flow) -> World:
    options = dict(flow.options)
    if options.get("get_headers") == "rotating":
        options["get_headers"] = counting()
    return world_of(flow.server(), **options)


def call(world: World, flow: Flow) -> Any:
    return world.play(world.client.call_tool("x", context=flow.context, on_progress=lambda _: None))


@pytest.mark.parametrize("way", ["cancel", "cancel without the notice", "abandon"])
@pytest.mark.parametrize("name", FLOWS)
def test_leaving_at_every_point_leaves_nothing(name: str, way: str) -> None:
    flow = FLOWS[name]
    steps = 0
    while True:
        world = start(flow)
        play = call(world, flow)
        for _ in range(steps):
            play.step()
        if play.peek() is None:
            break
        if way == "abandon":
            del play  # Nothing refers to itself in there, so that it ends at once.
        else:
            rest = play.cancel()
            if rest is not None and way == "cancel":
                rest.finish()
            del rest
        assert world.leftovers() == [], steps
        # Whoever comes next is not held up by what was left.
        other = call(world, flow)
        assert other.finish().text == "found", steps
        assert world.leftovers() == [], steps
        steps += 1
    assert steps > 2
    assert play.finish().text == "found"
    assert world.leftovers() == []


@pytest.mark.parametrize("name", FLOWS)
def test_a_failure_of_the_network_at_every_point_leaves_nothing(name: str) -> None:
    flow = FLOWS[name]
    requests = 0
    while True:
        world = start(flow)
        healthy, seen = world.server, 0

        def server(request: SendRequest, healthy: Any = healthy, last: int = requests) -> Answer:
            nonlocal seen
            seen += 1
            return TransportError("broken") if seen == last + 1 else healthy(request)

        world.server = server
        play = call(world, flow)
        play.end()
        assert play.error is None or type(play.error) is TransportError
        assert world.leftovers() == []
        if seen <= requests:
            break
        assert call(world, flow).finish().text == "found"
        requests += 1
    assert requests > 0


@pytest.mark.parametrize("name", FLOWS)
def test_every_request_has_headers_of_its_own(name: str) -> None:
    """Also those that are sent again, and each is resolved for the body that is sent."""
    flow = FLOWS[name]
    world = start(evolve(flow, options={**flow.options, "get_headers": None}))
    count = 0

    def resolver(context: RequestContext) -> dict[str, str]:
        nonlocal count
        count += 1
        return {"Authorization": str(count), "X-Body": context.body.hex(), "X-Kind": context.kind.value}

    world = world_of(world.server, **{**flow.options, "get_headers": resolver})
    if isinstance(world.server, SseServer):
        world.server.world = world
    call(world, flow).finish()
    headers = [headers_of(request) for request in world.sent]
    assert len({h["authorization"] for h in headers}) == len(headers)
    for request, h in zip(world.sent, headers, strict=True):
        assert h["x-body"] == request.body.hex()
        assert h["x-kind"] == request.kind.value


@pytest.mark.parametrize("name", ["modern, talkative", "handshake, talkative"])
def test_a_handler_of_progress_that_raises(name: str) -> None:
    """Its exception comes out as it is; the call is given up as if it had been cancelled."""
    flow = FLOWS[name]
    world = start(flow)

    def handler(_: Progress) -> None:
        raise ZeroDivisionError

    play = world.play(world.client.call_tool("x", context=ALICE, on_progress=handler))
    play.until(Deliver)
    play.step()
    with pytest.raises(ZeroDivisionError):
        play.operation.next_command()
    rest = play.cancel()
    assert (rest is not None) == name.startswith("handshake")
    if rest is not None:
        rest.finish()
    assert world.leftovers() == []
    call(world, flow).finish()


def test_a_session_of_the_calls_own_is_ended_even_after_an_error() -> None:
    server = HandshakeServer()
    world = world_of(server, get_headers=counting(), protocol_version=HANDSHAKE)
    world.server = lambda r: TransportError("broken") if r.rpc_method == "ping" else server(r)
    assert isinstance(world.fail(world.client.ping()), TransportError)
    assert server.known == set()


def test_cancelling_in_the_middle_of_the_goodbye() -> None:
    """What was being told is not told again."""
    world = world_of(HandshakeServer(), get_headers=counting(), protocol_version=HANDSHAKE)
    play = world.play(world.client.ping())
    play.until(SendRequest, rpc_method="ping")
    rest = play.cancel()
    assert rest is not None
    rest.until(SendRequest, method="DELETE")
    assert rest.cancel() is None
    assert world.leftovers() == []


def test_cancelling_the_notice() -> None:
    world = world_of(HandshakeServer(), protocol_version=HANDSHAKE)
    play = world.play(world.client.ping())
    play.until(SendRequest, rpc_method="ping")
    rest = play.cancel()
    assert rest is not None
    rest.until(SendRequest)
    assert rest.cancel() is None
    assert world.leftovers() == []


def test_not_sent_is_tried_once_more_through_every_resolver() -> None:
    for failures in (1, 2):
        remaining = failures

        def server(request: SendRequest) -> Answer:
            nonlocal remaining
            remaining -= 1
            return NotSentError("stale") if remaining >= 0 else modern_server(request)

        world = world_of(server, protocol_version=MODERN, get_headers=counting())
        play = world.play(world.client.call_tool("x"))
        play.end()
        assert isinstance(play.error, NotSentError) == (failures == 2)
        assert [headers_of(request)["x-token"] for request in world.sent] == ["1", "2"]


# Several at once, in any order.

SERVERS: dict[str, Callable[[], Callable[[SendRequest], Answer]]] = {
    "modern": lambda: talkative(modern_server),
    "handshake": HandshakeServer,
    "sse": SseServer,
    "auto": SseServer,
}
CONTEXTS = [
    CallContext(principal="alice", request_headers={"user": "alice"}),
    CallContext(principal="bob", request_headers={"user": "bob"}),
    CallContext(request_headers={"user": "carol"}),
]


@define(eq=False)
class Guard:
    """A server that lets nobody use another one's session."""

    server: Callable[[SendRequest], Answer]
    owners: dict[str, str] = Factory(dict[str, str])

    def __call__(self, request: SendRequest) -> Answer:
        headers = headers_of(request)
        user = headers["x-user"]
        if "mcp-session-id" in headers:
            assert self.owners[headers["mcp-session-id"]] == user
        reply = self.server(request)
        if isinstance(reply, Reply):
            self.owners |= {value: user for name, value in reply.head() if name == "mcp-session-id"}
        return reply


def guarded(kind: str, server: Callable[[SendRequest], Answer]) -> World:
    world = world_of(
        Guard(server),
        type=kind if kind in ("sse", "auto") else "http",
        get_headers=lambda context: {"X-User": context.request_headers["user"]},
    )
    if isinstance(server, SseServer):
        server.world = world
    return world


actions = st.lists(
    st.tuples(st.sampled_from(["start", "step", "step", "step", "cancel", "forget"]), st.integers(0, 7)), max_size=80
)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(SERVERS)), script=actions)
def test_any_interleaving(kind: str, script: list[tuple[str, int]]) -> None:
    """Calls of three identities, going on and given up in any order, while the server forgets its sessions once.

    Nobody waits for ever, nobody fails, nothing is left, and each request carries its own identity and its session.
    """
    server = SERVERS[kind]()
    world = guarded(kind, server)
    plays: list[Play[Any]] = []
    for what, index in script:
        if what == "start" or not plays:
            context = CONTEXTS[index % 3]
            plays.append(world.play(world.client.call_tool("x", context=context, on_progress=lambda _: None)))
        elif what == "step":
            plays[index % len(plays)].step()
        elif what == "cancel":
            rest = plays.pop(index % len(plays)).cancel()
            plays += [rest] if rest is not None else []
        elif isinstance(server, HandshakeServer) and server.opened < 3:
            server.known.clear()
    world.run_all(*plays)
    # A session that is forgotten between its two first messages is an error, as is one that is forgotten twice.
    allowed = {"modern": 200, "sse": 200, "auto": 200, "handshake": 404}[kind]
    assert all(getattr(play.error, "status", allowed) == allowed for play in plays if play.error is not None)
    assert kind == "handshake" or all(play.error is None for play in plays)
    assert world.leftovers() == []


# Any response at all.


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(200, 599),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["content-type", "location", "mcp-session-id", "www-authenticate", "retry-after"]),
            st.one_of(
                st.sampled_from(["application/json", "text/event-stream", "/x", "http://[", "//evil.example"]),
                st.text(st.characters(max_codepoint=255), max_size=10),
            ),
        ),
        max_size=4,
    ),
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [
                    b'{"jsonrpc":"2.0","id":1,"result":{}}',
                    b'{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}',
                    b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}',
                    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"","data":{"supported":["2025-06-18"]}}}',
                    b'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
                    b'data: {"jsonrpc":"2.0","id":2,"method":"ping"}\n\n',
                    b"event: endpoint\ndata: /m\n\n",
                ]
            ),
        ),
        max_size=4,
    ),
    options=st.sampled_from(
        [
            {},
            {"type": "auto"},
            {"type": "sse"},
            {"protocol_version": MODERN},
            {"protocol_version": "2025-03-26"},
            {"redirects": "same-origin"},
            {"get_headers": token},
        ]
    ),
)
def test_any_server(status: int, headers: list[tuple[str, str]], pieces: list[bytes], options: dict[str, Any]) -> None:
    """A server that answers everything in one odd way: a result or one typed error, and nothing is left."""
    world = world_of(lambda _: Reply(status, headers, pieces), limits=Limits(message_bytes=200), **options)
    play = world.play(world.client.list_tools(context=ALICE))
    while play.step():
        pass
    if not play.over:  # It waits on an event stream that has not said enough.
        world.streams[-1].receive_end()
        play.end()
    if play.error is not None:
        assert isinstance(play.error, RemoteProtocolError | LimitExceeded | HttpStatusError | RpcError | TransportError)
        assert play.error.server == URL
        assert play.error.request
    assert world.leftovers() == []


def test_a_second_operation_of_the_same_call_is_its_own() -> None:
    world = world_of(modern_server)
    operations = [world.client.ping(), world.client.ping()]
    for operation in operations:
        world.run(operation)
    assert world.methods() == ["server/discover"] * 3


def test_a_request_that_cannot_be_written_fails_before_anything_is_sent() -> None:
    world = world_of(modern_server, protocol_version=MODERN)
    error = world.fail(world.client.call_tool("x", {"a": {1, 2}}))
    assert isinstance(error, LocalProtocolError)
    assert error.server == URL
    assert world.sent == []
    world = world_of(HandshakeServer(), protocol_version=HANDSHAKE)
    assert isinstance(world.fail(world.client.call_tool("x", {"a": float("nan")})), McpError)
    assert "tools/call" not in world.methods()
    assert world.leftovers() == []


def test_what_a_refusal_tells() -> None:
    for status, kind in ((429, HttpStatusError), (503, HttpStatusError), (500, RpcError)):
        world = world_of(lambda r, status=status: error_reply(r, -1, status, retry_after="7"), protocol_version=MODERN)
        error = world.fail(world.client.call_tool("x"))
        assert type(error) is kind
        assert len(world.sent) == 1
        if isinstance(error, HttpStatusError):
            assert (error.status, error.retry_after) == (status, 7.0)
            assert "7 s" in str(error)


def test_a_result_with_headers_of_a_session_in_the_modern_era_is_just_a_result() -> None:
    world = world_of(lambda r: result_reply(r, FOUND, mcp_session_id="s"), protocol_version=MODERN)
    world.run(world.client.call_tool("x"))
    world.run(world.client.call_tool("x"))
    assert all("mcp-session-id" not in headers_of(request) for request in world.sent)


# Farewells: what a call without a session for others has to tell after its end.


def at_the_end(answer: Callable[[SendRequest], Answer] | None = None) -> tuple[World, Operation[Any]]:
    """A call that has its result, in a session that serves it alone; DELETE is answered by ``answer``."""
    server = HandshakeServer()
    world = world_of(
        lambda request: answer(request) if answer is not None and request.method == "DELETE" else server(request),
        get_headers=counting(),
        protocol_version=HANDSHAKE,
    )
    play = world.play(world.client.call_tool("x"))
    while not isinstance(play.operation._command, Complete):
        assert play.step()
    return world, play.operation


def test_the_result_comes_before_the_farewell() -> None:
    world, operation = at_the_end()
    command = operation.next_command()
    assert isinstance(command, Complete)
    assert command.result.text == "found"
    assert "DELETE" not in world.methods()
    farewell = operation.cancel()
    assert farewell is not None
    assert operation.cancel() is None
    assert world.run(farewell) is None
    assert world.methods()[-1] == "DELETE"
    assert headers_of(world.sent[-1])["mcp-session-id"] == "s1"
    assert world.leftovers() == []


@pytest.mark.parametrize("answer", [Reply(500), Reply(405), Reply(401), TransportError("broken")], ids=repr)
def test_a_farewell_that_fails_changes_no_result(answer: Answer) -> None:
    world, operation = at_the_end(lambda _: answer)
    command = operation.next_command()
    farewell = operation.cancel()
    assert farewell is not None
    world.run(farewell)
    assert isinstance(command, Complete)
    assert command.result.text == "found"
    with pytest.raises(LocalProtocolError, match="tools/call 'x' is over"):
        operation.next_command()


def test_a_farewell_that_is_given_up_has_none_of_its_own() -> None:
    world, operation = at_the_end()
    operation.next_command()
    farewell = operation.cancel()
    assert farewell is not None
    world.play(farewell).until(SendRequest, method="DELETE")
    assert farewell.cancel() is None
    assert world.leftovers() == []


def test_a_result_that_nobody_fetched_has_a_farewell_too() -> None:
    world, operation = at_the_end()
    farewell = operation.cancel()
    assert farewell is not None
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="tools/call 'x' is over"):
            operation.next_command()
    world.run(farewell)
    assert world.methods()[-1] == "DELETE"


def test_an_error_that_nobody_fetched_is_not_told_after_cancel() -> None:
    operation = Client(URL, protocol_version=MODERN).call_tool("x")
    operation.next_command()
    operation.request_failed(TransportError("broken"))
    assert operation.cancel() is None
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.next_command()


def test_a_call_that_failed_ends_its_session_too() -> None:
    server = HandshakeServer()
    world = world_of(
        lambda request: Reply(500) if request.rpc_method == "tools/call" else server(request),
        get_headers=counting(),
        protocol_version=HANDSHAKE,
    )
    operation = world.client.call_tool("x")
    play = world.play(operation)
    assert isinstance(play.fail(), HttpStatusError)
    assert world.methods()[-1] == "DELETE"
    assert operation.cancel() is None


def test_which_requests_must_not_wait_for_a_connection() -> None:
    world = world_of(talkative(HandshakeServer()), protocol_version=HANDSHAKE)
    world.run(world.client.call_tool("x"))
    replies = [request for request in world.sent if request.is_reply]
    assert [request.kind for request in replies] == [RequestKind.RESPONSE]
