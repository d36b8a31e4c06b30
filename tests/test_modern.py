"""The modern era: every request stands alone."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from support.pure import Answer, Reply, error_reply, headers_of, message_of, result_reply, sse_reply
from support.schema import check_sent, needs_schema
from support.stepping import DISCOVERY, FOUND, MODERN, URL, World, modern_server, world_of

from mcpcore import (
    CallContext,
    Client,
    EndResponse,
    HttpStatusError,
    Implementation,
    LocalProtocolError,
    Progress,
    ReceiveData,
    RemoteProtocolError,
    RequestKind,
    RpcError,
    SendRequest,
)
from mcpcore.rules.metadata import CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, PROTOCOL_VERSION_KEY, SERVER_INFO_KEY

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")


def modern(server: Any = modern_server, **options: Any) -> World:
    return world_of(server, **{"protocol_version": MODERN, **options})


def test_what_every_request_says_about_itself() -> None:
    world = modern(client_info={"name": "agent", "version": "9"})
    world.run(world.client.call_tool("find", {"q": "x"}))
    world.run(world.client.request("resources/read", {"uri": "file:///a b", "_meta": {"mine": 1}}))
    world.run(world.client.request("tools/list"))
    names = ["find", "file:///a b", None]
    for request, name in zip(world.sent, names, strict=True):
        message, headers = message_of(request), headers_of(request)
        meta = message["params"]["_meta"]
        assert meta[PROTOCOL_VERSION_KEY] == headers["mcp-protocol-version"] == MODERN
        assert meta[CLIENT_INFO_KEY] == {"name": "agent", "version": "9"}
        assert meta[CLIENT_CAPABILITIES_KEY] == {}
        assert headers["mcp-method"] == message["method"] == request.rpc_method
        assert headers.get("mcp-name") == name
        assert "progressToken" not in meta
        assert (request.method, request.url, request.attempt) == ("POST", URL, 1)
        assert request.kind is RequestKind.REQUEST
    assert message_of(world.sent[1])["params"]["_meta"]["mine"] == 1
    assert [message_of(request)["id"] for request in world.sent] == [1, 2, 3]


@needs_schema
def test_what_is_sent_is_valid() -> None:
    world = world_of(modern_server)
    client = world.client
    world.run(client.open(context=ALICE))
    world.run(client.ping(context=BOB))
    world.run(client.call_tool("find", {"q": [None, 1.5]}, on_progress=print))
    world.run(client.call_tool("find"))
    world.run(client.request("tools/list", {"cursor": "c"}))
    for request in world.sent:
        check_sent(MODERN, request)


def test_a_name_that_is_no_header_value_travels_encoded() -> None:
    world = modern()
    world.run(world.client.call_tool("caf\u00e9"))
    assert headers_of(world.sent[0])["mcp-name"] == "=?base64?Y2Fmw6k=?="


def test_nothing_is_kept_of_one_request_for_the_next() -> None:
    world = modern()
    for context in (ALICE, BOB, CallContext()):
        world.run(world.client.call_tool("find", context=context))
    assert world.methods() == ["tools/call"] * 3
    assert world.client.close() == []


@pytest.mark.parametrize("kind", [None, "complete"])
def test_a_final_result(kind: str | None) -> None:
    result = {**FOUND, "resultType": kind} if kind else {"content": []}
    world = modern(lambda request: result_reply(request, result))
    assert world.run(world.client.call_tool("find")).raw == result


@pytest.mark.parametrize("kind", ["input_required", "task", "", None, 1, []])
def test_a_result_that_is_not_the_final_one(kind: Any) -> None:
    world = modern(lambda request: result_reply(request, {**FOUND, "resultType": kind}))
    error = world.fail(world.client.call_tool("find"))
    assert isinstance(error, RemoteProtocolError)
    assert error.request == "tools/call 'find'"


def test_a_result_that_names_versions_is_a_result() -> None:
    """A tool must not run twice because its result looks like a discovery."""
    world = modern(lambda request: result_reply(request, {**FOUND, **DISCOVERY}))
    world.run(world.client.call_tool("find"))
    assert world.methods() == ["tools/call"]


def test_a_version_that_the_server_prefers_is_tried_once() -> None:
    refusals = 1

    def server(request: SendRequest) -> Answer:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            return error_reply(request, -32022, 400, {"supported": [MODERN], "requested": MODERN})
        return modern_server(request)

    world = modern(server)
    assert world.run(world.client.call_tool("find")).text == "found"
    first, second = map(message_of, world.sent)
    assert first["id"] != second["id"]
    assert {**first, "id": 0} == {**second, "id": 0}
    refusals = 2
    error = world.fail(world.client.call_tool("find"))
    assert isinstance(error, RpcError)
    assert (error.code, len(world.sent)) == (-32022, 4)


@pytest.mark.parametrize("code", [-32020, -32021, -32601, -32602, -1])
@pytest.mark.parametrize("status", [200, 400, 404])
def test_an_error_is_an_error(code: int, status: int) -> None:
    world = world_of(lambda r: modern_server(r) if r.rpc_method != "tools/call" else error_reply(r, code, status))
    error = world.fail(world.client.call_tool("find"))
    assert isinstance(error, RpcError)
    assert (error.code, error.request, error.server) == (code, "tools/call 'find'", URL)
    # A server that misses a header is asked for the tool's definition; this one has none to give.
    more = ["tools/list"] if code == -32020 else []
    assert world.methods() == ["server/discover", "tools/call", *more]


def test_progress() -> None:
    def server(request: SendRequest) -> Answer:
        message = message_of(request)
        token = message["params"]["_meta"]["progressToken"]
        assert token == message["id"]

        def progress(**params: Any) -> dict[str, Any]:
            return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}

        return sse_reply(
            progress(progressToken=token, progress=1),
            progress(progressToken=token, progress=1.5, total=2, message="half"),
            progress(progressToken=str(token), progress=3),
            progress(progressToken=token + 1, progress=3),
            progress(progressToken=token, progress="much"),
            progress(progress=3),
            {"jsonrpc": "2.0", "method": "notifications/message", "params": {"progressToken": token, "progress": 3}},
            {"jsonrpc": "2.0", "id": message["id"], "result": FOUND},
            progress(progressToken=token, progress=4),
        )

    world = modern(server)
    seen: list[Progress] = []
    world.run(world.client.call_tool("find", on_progress=seen.append))
    assert seen == [Progress(1, None, None), Progress(1.5, 2, "half")]
    seen.clear()
    world.run(world.client.request("tools/call", {"name": "find"}, on_progress=seen.append))
    assert len(seen) == 2


def test_progress_is_asked_for_of_the_request_alone() -> None:
    world = world_of(modern_server)
    world.run(world.client.call_tool("find", on_progress=print))
    probe, request = (message_of(request)["params"]["_meta"] for request in world.sent)
    assert "progressToken" not in probe
    assert "progressToken" in request


def test_progress_that_nobody_asked_for() -> None:
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
    world = modern(lambda r: sse_reply(progress, {"jsonrpc": "2.0", "id": message_of(r)["id"], "result": FOUND}))
    assert world.run(world.client.call_tool("find")).text == "found"


def test_a_server_cannot_ask() -> None:
    ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
    world = modern(lambda r: sse_reply(ping, {"jsonrpc": "2.0", "id": message_of(r)["id"], "result": FOUND}))
    world.run(world.client.call_tool("find"))
    assert world.methods() == ["tools/call"]


def test_there_are_no_notifications() -> None:
    for options in ({}, {"protocol_version": MODERN}):
        world = world_of(modern_server, **options)
        error = world.fail(world.client.notify("notifications/roots/list_changed"))
        assert isinstance(error, LocalProtocolError)
        assert (error.server, error.request) == (URL, "notifications/roots/list_changed")
        assert "notifications/roots/list_changed" not in world.methods()


@pytest.mark.parametrize("command", [SendRequest, ReceiveData])
def test_closing_the_response_is_all_that_cancels(command: type[Any]) -> None:
    world = modern()
    play = world.play(world.client.call_tool("find"))
    play.until(command)
    assert play.cancel() is None
    assert world.leftovers() == []


def test_a_response_is_drained_after_the_answer_and_closed_after_an_error() -> None:
    world = modern()
    answer = {"jsonrpc": "2.0", "id": 1, "result": FOUND}
    world.server = lambda _: sse_reply(answer)
    world.run(world.client.call_tool("find"))
    world.server = lambda _: evolve(sse_reply(answer), pieces=[b"data: {\n\n", b"more"])
    world.fail(world.client.call_tool("find"))
    world.server = lambda _: Reply(404)
    world.fail(world.client.ping())
    world.server = lambda _: Reply(200, {"content-type": "text/html"}, [b"<html>"])
    world.fail(world.client.ping())
    assert world.ended == [True, False, True, False]


# Discovery.


def test_discovery_is_kept_for_whom_it_was_told_to() -> None:
    def server(request: SendRequest) -> Answer:
        told = {
            **DISCOVERY,
            "ttlMs": 60_000,
            "capabilities": {"tools": {}},
            "instructions": f"for {headers_of(request)['x-user']}",
            "_meta": {SERVER_INFO_KEY: {"name": "s", "version": "1"}},
        }
        return result_reply(request, told)

    world = world_of(server, get_headers=lambda context: {"X-User": context.principal or "nobody"}, clock=lambda: 0.0)
    discovery = world.run(world.client.open(context=ALICE))
    assert discovery.instructions == "for alice"
    assert discovery.capabilities.raw == {"tools": {}}
    assert discovery.server_info == Implementation("s", "1")
    assert world.run(world.client.open(context=ALICE)) == discovery
    assert len(world.sent) == 1
    assert world.run(world.client.open(context=BOB)).instructions == "for bob"
    assert world.run(world.client.open(context=BOB)).instructions == "for bob"
    assert len(world.sent) == 2
    # Without a principal it is not known whose it is before headers are resolved, and those are for one request.
    assert world.run(world.client.open()).instructions == "for nobody"
    assert [request.kind for request in world.sent] == [RequestKind.DISCOVER] * 3


@pytest.mark.parametrize("told", [{}, {"capabilities": [], "instructions": 1, "_meta": [], "supportedVersions": {}}])
def test_a_discovery_of_odd_shape(told: dict[str, Any]) -> None:
    world = modern(lambda request: result_reply(request, told))
    discovery = world.run(world.client.open())
    assert (discovery.capabilities.raw, discovery.server_info, discovery.instructions) == ({}, None, None)


def test_opening_a_pinned_server_that_refuses() -> None:
    world = modern(lambda _: Reply(404))
    assert isinstance(world.fail(world.client.open()), HttpStatusError)
    world = modern(lambda r: error_reply(r, -32601))
    assert isinstance(world.fail(world.client.open()), RpcError)
    assert len(world.sent) == 1


def test_ping_is_a_discovery() -> None:
    world = modern()
    assert world.run(world.client.ping()) is None
    [request] = world.sent
    assert (request.rpc_method, request.kind) == ("server/discover", RequestKind.DISCOVER)
    world.server = lambda r: error_reply(r, -32603, 500)
    assert isinstance(world.fail(world.client.ping()), RpcError)


def test_the_shortest_driver_there_can_be() -> None:
    """As the documentation shows it."""
    client = Client(URL, protocol_version=MODERN, get_headers=lambda _: {"X-User": "alice"})
    call = client.call_tool("search", {"q": "x"}, context=ALICE)
    call.next_command()
    call.headers_resolved({"X-User": "alice"})
    send = call.next_command()
    assert isinstance(send, SendRequest)
    call.receive_head(200, [(b"content-type", b"application/json")])
    assert isinstance(call.next_command(), ReceiveData)
    call.receive_data(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}' % message_of(send)["id"])
    call.receive_end()
    assert not isinstance(call.next_command(), EndResponse)
