"""What the specification demands in passing, and no other test is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.channels import Peer, channel_world
from support.pure import Answer, PureDriver, error_reply, headers_of, message_of, result_reply, sse_reply
from support.stepping import (
    DISCOVERY,
    FOUND,
    HANDSHAKE,
    MODERN,
    URL,
    HandshakeServer,
    SseServer,
    initialize_result,
    modern_server,
    world_of,
)

from mcpcore import (
    CallContext,
    Client,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitResult,
    ElicitUrlRequest,
    Handlers,
    LocalProtocolError,
    Operation,
    RpcError,
    SendRequest,
    TextContent,
    TransportError,
)

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")

SERVERS: dict[str, Callable[[], Callable[[SendRequest], Answer]]] = {
    "modern": lambda: modern_server,
    "handshake": HandshakeServer,
    "HTTP+SSE": SseServer,
}
NOTIFICATIONS = [
    {"method": "notifications/progress", "params": {"progressToken": 10_000, "progress": 1}},
    {"method": "notifications/message", "params": {"level": "info", "data": {"a": [1]}}},
    {"method": "notifications/tools/list_changed"},
    {"method": "notifications/unheard-of", "params": {"_meta": {"io.modelcontextprotocol/unheard-of": None}}},
    {"method": "notifications/elicitation/complete", "params": {"elicitationId": "unheard-of"}},
    {"method": "notifications/cancelled", "params": {"requestId": "unheard-of", "reason": "none"}},
    {"method": "notifications/cancelled", "params": {"requestId": {}}},
    {"method": "notifications/cancelled"},
    {"method": "tools/call", "params": {"name": "x"}},
]


@pytest.mark.parametrize("flavour", SERVERS)
def test_no_id_and_no_progress_token_is_used_twice(flavour: str) -> None:
    """All revisions: "Requests"; "Progress", Progress Flow."""
    world = world_of(SERVERS[flavour](), type="auto")
    calls = [world.client.call_tool(name, context=ALICE, on_progress=print) for name in "abc"]
    world.run_all(*map(world.play, calls))
    world.run(world.client.ping(context=ALICE))
    world.run(world.client.call_tool("d", context=ALICE, on_progress=print))
    ids, tokens = [], []
    for message in map(message_of, world.sent):
        if "id" in message and "method" in message:
            ids.append(message["id"])
            tokens += [message["params"]["_meta"]["progressToken"]] if message["method"] == "tools/call" else []
    assert len(set(ids)) == len(ids) > 4
    assert len(set(tokens)) == len(tokens) == 4


@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_a_notification_is_never_answered_and_one_that_makes_no_sense_is_ignored(flavour: str) -> None:
    """All revisions: "Notifications"; "Cancellation", Error Handling; 2025-11-25: "Elicitation", Completion."""

    def server(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call":
            return modern_server(request) if flavour == "modern" else handshake(request)
        asked = message_of(request)["id"]
        of_ours = {"method": "notifications/cancelled", "params": {"requestId": asked}}
        messages = [*NOTIFICATIONS, of_ours, {"id": asked, "result": FOUND}]
        return sse_reply(*({"jsonrpc": "2.0", **message} for message in messages))

    handshake = HandshakeServer()
    world = world_of(server)
    world.run(world.client.open(context=ALICE))
    before = len(world.sent)
    assert world.run(world.client.call_tool("x", context=ALICE)).text == "found"
    assert world.methods()[before:] == ["tools/call"]


def test_a_notification_on_an_event_stream_is_never_answered_either() -> None:
    """2024-11-05: "Messages", Notifications."""
    world = world_of(SseServer(silent={"tools/call"}), type="sse")
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until_blocked()
    before = len(world.sent)
    asked = message_of(world.sent[-1])["id"]
    of_ours = {"method": "notifications/cancelled", "params": {"requestId": asked}}
    for message in [*NOTIFICATIONS, of_ours, {"id": asked, "result": FOUND}]:
        world.push({"jsonrpc": "2.0", **message})
    assert play.finish().text == "found"
    assert world.sent[before:] == []


@pytest.mark.parametrize("info", [{"name": "other", "version": "9.9"}, {"name": "curl", "title": "Root"}, {}])
@pytest.mark.parametrize("flavour", ["modern", "handshake"])
def test_what_a_server_calls_itself_changes_nothing(flavour: str, info: dict[str, Any]) -> None:
    """2026-07-28: "_meta"."""

    def sent(told: dict[str, Any]) -> list[tuple[Any, ...]]:
        handshake = HandshakeServer()

        def server(request: SendRequest) -> Answer:
            meta = {"_meta": {"io.modelcontextprotocol/serverInfo": told}}
            match flavour, request.rpc_method:
                case "modern", method:
                    return result_reply(request, {**(DISCOVERY if method == "server/discover" else FOUND), **meta})
                case _, "server/discover":
                    return handshake(request)
                case _, "initialize":
                    handshake(request)
                    named = {**initialize_result(), "serverInfo": told, **meta}
                    return result_reply(request, named, mcp_session_id="s1")
                case _:
                    return handshake(request)

        world = world_of(server)
        assert world.run(world.client.call_tool("x", {"a": 1}, context=ALICE)).text == "found"
        world.run(world.client.ping(context=BOB))
        return [(request.method, request.url, request.headers, request.body) for request in world.sent]

    assert sent(info) == sent({"name": "s", "version": "1"})


def test_tools_whose_names_differ_in_case_alone_are_two_tools() -> None:
    """2025-11-25 and 2026-07-28: "Tools", Tool Names."""
    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("find", "Find")]
    listing = {"resultType": "complete", "tools": tools}
    world = world_of(
        lambda r: result_reply(r, listing) if r.rpc_method == "tools/list" else modern_server(r),
        protocol_version=MODERN,
    )
    assert [tool.name for tool in world.run(world.client.list_tools())] == ["find", "Find"]
    for name in ("find", "Find"):
        world.run(world.client.call_tool(name))
        assert world.sent[-1].rpc_name == message_of(world.sent[-1])["params"]["name"] == name


@pytest.mark.parametrize("value", [None, True, 7, "x", ["x"], {"x": {}}], ids=repr)
def test_nothing_is_assumed_of_the_values_of_reserved_keys(value: object) -> None:
    """2025-06-18 and later: "_meta"."""
    keys = ("related-task", "model-immediate-response", "serverInfo", "subscriptionId", "unheard-of")
    meta = {f"io.modelcontextprotocol/{key}": value for key in keys}
    world = world_of(
        lambda r: result_reply(r, {**(DISCOVERY if r.rpc_method == "server/discover" else FOUND), "_meta": meta})
    )
    result = world.run(world.client.call_tool("x"))
    assert result.text == "found"
    assert result.raw["_meta"] == meta


def test_what_was_answered_already_cannot_be_cancelled() -> None:
    """All revisions but 2026-07-28: "Cancellation", Error Handling."""
    handshake = HandshakeServer()

    def server(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call":
            return handshake(request)
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": "p"}}
        answer = {"id": message_of(request)["id"], "result": FOUND}
        messages = [{"id": "p", "method": "ping"}, cancelled, cancelled, answer]
        return sse_reply(*({"jsonrpc": "2.0", **message} for message in messages))

    world = world_of(server, protocol_version=HANDSHAKE)
    assert world.run(world.client.call_tool("x")).text == "found"
    assert world.methods()[-2:] == ["tools/call", "ping"]
    assert message_of(world.sent[-1]) == {"jsonrpc": "2.0", "id": "p", "result": {}}


def requiring(*rounds: dict[str, Any]) -> Callable[[SendRequest], Answer]:
    """A modern server that requires input, round after round, before it answers."""
    waiting = list(rounds)

    def server(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call" or not waiting:
            return modern_server(request)
        return result_reply(request, {"resultType": "input_required", "inputRequests": {"k": waiting.pop(0)}})

    return server


def test_a_url_that_a_server_wants_visited_is_not_fetched() -> None:
    """2025-11-25 and 2026-07-28: "Elicitation", Safe URL Handling."""
    visit = {"mode": "url", "message": "Go there.", "url": "https://elsewhere.example/form", "elicitationId": "{7}"}
    asked: list[ElicitUrlRequest] = []

    def handler(request: ElicitUrlRequest, _: CallContext) -> ElicitResult:
        asked.append(request)
        return ElicitResult.accept()

    driver = PureDriver(requiring({"method": "elicitation/create", "params": visit}))
    client = Client(URL, handlers=Handlers(elicit_url=handler))
    assert driver.run(client.call_tool("x")).text == "found"
    assert [(request.url, request.elicitation_id) for request in asked] == [(visit["url"], "{7}")]
    assert {request.url for request in driver.sent} == {URL}


def test_what_a_model_is_asked_in_one_request_is_not_told_it_in_the_next() -> None:
    """2026-07-28: "Sampling", Messages."""
    questions = [
        {"messages": [{"role": "user", "content": {"type": "text", "text": t}}], "maxTokens": 9} for t in ("one", "two")
    ]
    told: list[list[str]] = []

    def handler(request: CreateMessageRequest, _: CallContext) -> CreateMessageResult:
        told.append([message.text for message in request.messages])
        return CreateMessageResult("assistant", TextContent("fine"), "model")

    rounds = [{"method": "sampling/createMessage", "params": question} for question in questions]
    driver = PureDriver(requiring(*rounds))
    assert driver.run(Client(URL, handlers=Handlers(sample=handler)).call_tool("x")).text == "found"
    assert told == [["one"], ["two"]]


LISTS: dict[str, Callable[[Client], Operation[Any]]] = {
    "tools": lambda client: client.list_tools(),
    "prompts": lambda client: client.list_prompts(),
    "resources": lambda client: client.list_resources(),
    "resourceTemplates": lambda client: client.list_resource_templates(),
}


@pytest.mark.parametrize("key", LISTS)
def test_every_list_may_have_pages(key: str) -> None:
    """All revisions: "Pagination"."""
    entries = [{"name": n, "uri": f"x:{n}", "uriTemplate": f"x:{n}/{{a}}", "inputSchema": {}} for n in "abc"]
    cursors: list[Any] = []

    def server(request: SendRequest) -> Answer:
        cursors.append(message_of(request)["params"].get("cursor"))
        more = {} if len(cursors) == len(entries) else {"nextCursor": f" {len(cursors)} "}
        return result_reply(request, {"resultType": "complete", key: [entries[len(cursors) - 1]], **more})

    found = PureDriver(server).run(LISTS[key](Client(URL, protocol_version=MODERN)))
    assert [one.name for one in found] == ["a", "b", "c"]
    assert cursors == [None, " 1 ", " 2 "]


@pytest.mark.parametrize("code", [-32602, -32002])
def test_a_resource_that_is_not_there_is_an_error_of_either_code(code: int) -> None:
    """2026-07-28: "Resources", Error Handling."""
    driver = PureDriver(lambda request: error_reply(request, code, data={"uri": "file:///a"}))
    with pytest.raises(RpcError) as caught:
        driver.run(Client(URL, protocol_version=MODERN).read_resource("file:///a"))
    assert (caught.value.code, caught.value.data) == (code, {"uri": "file:///a"})


def annotated(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": name}}}
    return {"resultType": "complete", "tools": [{"name": "x", "inputSchema": schema}]}


@pytest.mark.parametrize("number", [0, -7, 42.0, 2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 2.0**53])
def test_integers_in_headers_are_those_that_everybody_reads_alike(number: float) -> None:
    """2026-07-28: "Streamable HTTP", Schema Extension."""
    driver = PureDriver(lambda r: result_reply(r, annotated("N")) if r.rpc_method == "tools/list" else modern_server(r))
    client = Client(URL, protocol_version=MODERN)
    driver.run(client.list_tools())
    if abs(number) < 2**53:
        driver.run(client.call_tool("x", {"n": number}))
        assert headers_of(driver.sent[-1])["mcp-param-n"] == str(int(number))
        return
    with pytest.raises(LocalProtocolError):
        driver.run(client.call_tool("x", {"n": number}))
    assert len(driver.sent) == 1


def test_what_was_listened_for_is_asked_for_again_where_the_channel_had_to_be_opened_again() -> None:
    """2026-07-28: "Subscriptions", Graceful Closure."""
    world = channel_world(Peer(MODERN, silent={"subscriptions/listen"}))
    for number in (1, 2):
        play = world.play(world.client.listen(tools=True, uris=["file:///a"]))
        play.until_blocked()
        assert (len(world.channels), world.methods().count("subscriptions/listen")) == (number, number)
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["file:///a"]}
        assert world.messages[-1]["params"]["notifications"] == wanted
        world.channel.receive_end()
        assert isinstance(play.fail(), TransportError)
