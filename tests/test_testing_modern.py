"""The scripted server in the modern era (2026-07-28)."""

from __future__ import annotations

from typing import Any

import pytest
from raw_mcp import CARRIERS, Peer, modern_request, post_headers, reach

from mcpcore.errors import RpcError
from transports.testing import Progress, RawResult, ReceivedRequest, Send, Server, Tool, echo_headers

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", CARRIERS)]

MODERN_ONLY = ["2026-07-28"]


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


async def refused(peer: Peer, headers: dict[str, str], params: dict[str, Any] | None = None) -> tuple[int, int]:
    """The status and the error code of a ``tools/call`` whose headers are replaced by ``headers``."""
    message, _ = modern_request("tools/call", params or call("echo_headers"))
    reply = await peer.post(message, headers)
    return reply.status, reply.json["error"]["code"]


GOOD = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "echo_headers"}


async def test_discover_names_versions_and_capabilities(carrier: str) -> None:
    async with reach(Server(instructions="Be nice."), carrier) as peer:
        reply = await peer.modern("server/discover")
    result = reply.json["result"]
    assert reply.status == 200
    assert result["supportedVersions"] == ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]
    assert result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
    assert result["instructions"] == "Be nice."
    assert (result["resultType"], result["ttlMs"], result["cacheScope"]) == ("complete", 0, "private")


async def test_list_has_the_caching_hints_that_were_configured(carrier: str) -> None:
    async with reach(Server([echo_headers], ttl_ms=5000, cache_scope="public"), carrier) as peer:
        result = (await peer.modern("tools/list")).json["result"]
    assert (result["ttlMs"], result["cacheScope"]) == (5000, "public")
    [tool] = result["tools"]
    assert tool == {
        "name": "echo_headers",
        "description": "Return the headers that this very request carried.",
        "inputSchema": {"type": "object"},
    }


async def test_echo_headers_returns_what_this_request_carried(carrier: str) -> None:
    async with reach(Server([echo_headers]), carrier) as peer:
        result = (await peer.modern("tools/call", call("echo_headers"), {"X-User": "alice"})).json["result"]
    assert result["structuredContent"]["x-user"] == "alice"
    assert '"x-user": "alice"' in result["content"][0]["text"]


async def test_tools_may_differ_between_callers(carrier: str) -> None:
    def mine(arguments: dict[str, Any], request: ReceivedRequest) -> str:
        return "only alice"

    server = Server(lambda request: [mine] if request.headers.get("x-user") == "alice" else [])
    async with reach(server, carrier) as peer:
        alice = await peer.modern("tools/list", headers={"x-user": "alice"})
        bob = await peer.modern("tools/list", headers={"x-user": "bob"})
        bobs_call = await peer.modern("tools/call", call("mine"), {"x-user": "bob"})
    assert [tool["name"] for tool in alice.json["result"]["tools"]] == ["mine"]
    assert bob.json["result"]["tools"] == []
    assert bobs_call.json["error"]["code"] == -32602


async def test_a_generator_tool_streams_progress_and_then_its_result(carrier: str) -> None:
    server = Server()
    log = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "hello"}}

    @server.tool(description="Counts.")
    async def count(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Progress(1, total=2, message="half")
        yield Send(log)
        yield "done"
        yield "a second result is not sent"

    async with reach(server, carrier) as peer:
        reply = await peer.modern("tools/call", {**call("count"), "_meta": {"progressToken": "t"}})
        quiet = await peer.modern("tools/call", call("count"))
    assert reply.headers["content-type"] == "text/event-stream"
    progress, message, answer = reply.events
    assert progress["params"] == {"progressToken": "t", "progress": 1, "total": 2, "message": "half"}
    assert message == log
    assert answer["result"]["content"] == [{"type": "text", "text": "done"}]
    assert [event.get("method") for event in quiet.events] == ["notifications/message", None]


async def test_results_of_every_kind(carrier: str) -> None:
    server = Server()

    @server.tool(name="list")
    async def a_list(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        return [1, 2]

    @server.tool()
    def raw(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        return RawResult({"resultType": "input_required", "requestState": "s"})

    @server.tool()
    def breaks(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        raise LookupError

    @server.tool()
    def refuses(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        raise RpcError("not you", code=-1, data={"why": "because"})

    async with reach(server, carrier) as peer:
        answers = {
            name: (await peer.modern("tools/call", call(name))).json for name in ("list", "raw", "breaks", "refuses")
        }
    assert answers["list"]["result"]["content"] == [{"type": "text", "text": "[1, 2]"}]
    assert "structuredContent" not in answers["list"]["result"]
    assert answers["raw"]["result"]["resultType"] == "input_required"
    assert answers["breaks"]["result"]["isError"] is True
    assert answers["breaks"]["result"]["content"][0]["text"] == "LookupError"
    assert answers["refuses"]["error"] == {"code": -1, "message": "not you", "data": {"why": "because"}}


async def test_a_method_of_ones_own(carrier: str) -> None:
    server = Server()

    @server.method("resources/read")
    def read(params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        return {"contents": [{"uri": params["uri"], "text": "x"}]}

    async with reach(server, carrier) as peer:
        reply = await peer.modern("resources/read", {"uri": "file:///a"})
        unnamed = await peer.modern("resources/read", {"uri": "file:///a"}, {"mcp-name": "file:///b"})
    assert reply.json["result"]["contents"][0]["uri"] == "file:///a"
    assert reply.json["result"]["cacheScope"] == "private"
    assert unnamed.json["error"]["code"] == -32020


async def test_pages(carrier: str) -> None:
    tools = [Tool(echo_headers, name=f"t{n}") for n in range(3)]
    async with reach(Server(tools, page_size=2), carrier) as peer:
        first = (await peer.modern("tools/list")).json["result"]
        second = (await peer.modern("tools/list", {"cursor": first["nextCursor"]})).json["result"]
        wrong = await peer.modern("tools/list", {"cursor": "x"})
    assert [tool["name"] for tool in first["tools"] + second["tools"]] == ["t0", "t1", "t2"]
    assert "nextCursor" not in second
    assert wrong.json["error"]["code"] == -32602


async def test_every_answer_may_be_a_stream(carrier: str) -> None:
    async with reach(Server(stream_always=True), carrier) as peer:
        reply = await peer.modern("tools/list")
    assert reply.events[0]["result"]["tools"] == []


async def test_headers_must_say_what_the_body_says(carrier: str) -> None:
    async with reach(Server([echo_headers], revisions=MODERN_ONLY), carrier) as peer:
        for name in GOOD:
            missing = {key: value for key, value in GOOD.items() if key != name}
            assert await refused(peer, missing) == (400, -32020)
            assert await refused(peer, {**GOOD, name: "other"}) == (400, -32020)
        assert await refused(peer, {**GOOD, "mcp-name": "=?base64?%%%?="}) == (400, -32020)
        assert await refused(peer, {**GOOD, "mcp-name": "=?base64?/w==?="}) == (400, -32020)
        message, _ = modern_request("tools/call", call("echo_headers"))
        encoded = await peer.post(message, {**GOOD, "mcp-name": "=?base64?ZWNob19oZWFkZXJz?="})
    assert "result" in encoded.json


async def test_parameters_are_mirrored_into_headers(carrier: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "where": {"type": "object", "properties": {"zip": {"type": "integer", "x-mcp-header": "Zip"}}},
            "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        },
    }
    server = Server([Tool(echo_headers, name="echo_headers", input_schema=schema)], revisions=MODERN_ONLY)
    arguments = call("echo_headers", region="eu", where={"zip": 42}, dry=True)
    mirrored = {**GOOD, "mcp-param-region": "eu", "mcp-param-zip": "42.0", "mcp-param-dry": "true"}
    async with reach(server, carrier) as peer:
        message, _ = modern_request("tools/call", arguments)
        assert "result" in (await peer.post(message, mirrored)).json
        assert await refused(peer, GOOD, arguments) == (400, -32020)
        assert await refused(peer, {**mirrored, "mcp-param-region": "us"}, arguments) == (400, -32020)
        assert await refused(peer, {**mirrored, "mcp-param-zip": "x"}, arguments) == (400, -32020)
        assert await refused(peer, {**mirrored, "mcp-param-dry": "True"}, arguments) == (400, -32020)
        assert await refused(peer, {**GOOD, "mcp-param-region": "eu"}) == (400, -32020)


async def test_versions_and_metadata(carrier: str) -> None:
    unknown = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
    handshake_only = Server(revisions=["2025-11-25"])
    async with reach(Server(revisions=MODERN_ONLY), carrier) as peer:
        reply = await peer.modern("tools/list", unknown, {"mcp-protocol-version": "2099-01-01"})
        bare = await peer.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, GOOD)
    assert (reply.status, reply.json["error"]["code"]) == (400, -32022)
    assert reply.json["error"]["data"] == {"supported": MODERN_ONLY, "requested": "2099-01-01"}
    assert (bare.status, bare.json["error"]["code"]) == (400, -32602)
    async with reach(handshake_only, carrier) as peer:
        reply = await peer.modern("server/discover")
    assert (reply.status, reply.json["error"]["code"]) == (400, -32600)


async def test_a_server_of_both_eras_goes_by_what_the_request_says_of_itself(carrier: str) -> None:
    async with reach(Server(), carrier) as peer:
        by_header = await peer.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, {"mcp-protocol-version": "2026-07-28"}
        )
        by_meta = await peer.post(modern_request("tools/list")[0])
        by_neither = await peer.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert by_header.json["error"]["code"] == -32602
    assert by_meta.json["error"]["code"] == -32020
    assert by_neither.json["error"]["code"] == -32600


async def test_what_is_not_there(carrier: str) -> None:
    async with reach(Server(revisions=MODERN_ONLY), carrier) as peer:
        unknown_method = await peer.modern("prompts/list")
        unknown_tool = await peer.modern("tools/call", call("nothing"))
        get = await peer.send("GET", "/mcp", {"accept": "text/event-stream"})
        elsewhere = await peer.modern("tools/list")
        other_path = await peer.send("POST", "/other", post_headers(), b"{}")
        legacy_path = await peer.send("GET", "/sse")
    assert (unknown_method.status, unknown_method.json["error"]["code"]) == (404, -32601)
    assert unknown_tool.json["error"]["code"] == -32602
    assert (get.status, get.headers["allow"]) == (405, "POST")
    assert elsewhere.status == 200
    assert (other_path.status, legacy_path.status) == (404, 404)


async def test_bodies_that_are_no_request(carrier: str) -> None:
    async with reach(Server(revisions=MODERN_ONLY), carrier) as peer:
        not_json = await peer.send("POST", "/mcp", post_headers(), b"{")
        response = await peer.post({"jsonrpc": "2.0", "id": 1, "result": {}})
        notification = await peer.post({"jsonrpc": "2.0", "method": "notifications/x"})
        wrong_type = await peer.send("POST", "/mcp", {**post_headers(), "content-type": "text/plain"}, b"{}")
        wrong_accept = await peer.send("POST", "/mcp", {**post_headers(), "accept": "*/*"}, b"{}")
    assert (not_json.status, not_json.body) == (400, b"The body is not JSON")
    assert (response.status, response.json["error"]["code"]) == (400, -32600)
    assert (notification.status, notification.body) == (202, b"")
    assert (wrong_type.status, wrong_accept.status) == (415, 406)
