"""What the specification demands in passing, of every era and transport alike, and no other test is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.pure import Answer, message_of, result_reply, sse_reply
from support.stepping import (
    DISCOVERY,
    FOUND,
    MODERN,
    HandshakeServer,
    SseServer,
    initialize_result,
    modern_server,
    world_of,
)

from mcpcore import CallContext, SendRequest

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
def test_a_notification_is_never_answered(flavour: str) -> None:
    """All revisions: "Notifications"."""

    def server(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call":
            return modern_server(request) if flavour == "modern" else handshake(request)
        answer = {"id": message_of(request)["id"], "result": FOUND}
        return sse_reply(*({"jsonrpc": "2.0", **message} for message in [*NOTIFICATIONS, answer]))

    handshake = HandshakeServer()
    world = world_of(server)
    world.run(world.client.open(context=ALICE))
    before = len(world.sent)
    assert world.run(world.client.call_tool("x", context=ALICE)).text == "found"
    assert world.methods()[before:] == ["tools/call"]


def test_a_notification_on_an_event_stream_is_never_answered() -> None:
    """2024-11-05: "Messages", Notifications."""
    world = world_of(SseServer(silent={"tools/call"}), type="sse")
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until_blocked()
    before = len(world.sent)
    for message in NOTIFICATIONS:
        world.push({"jsonrpc": "2.0", **message})
    world.push({"jsonrpc": "2.0", "id": message_of(world.sent[-1])["id"], "result": FOUND})
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
