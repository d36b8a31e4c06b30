"""Tool arguments that travel as headers (2026-07-28, "Streamable HTTP", Custom Headers from Tool Parameters)."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.pure import PureDriver, Reply, headers_of, message_of, result_reply

from mcpcore import CallContext, Client, HttpStatusError, Limits, RequestContext, SendRequest

STRING = {"type": "string", "x-mcp-header": "Region"}
NESTED = {"type": "object", "properties": {"where": {"type": "object", "properties": {"region": STRING}}}}
VALID = [
    pytest.param({"properties": {"region": STRING}}, {"region": "us-west1"}, {"region": "us-west1"}, id="string"),
    pytest.param({"properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}, {"n": -7}, {"n": "-7"}, id="integer"),
    pytest.param(
        {"properties": {"b": {"type": "boolean", "x-mcp-header": "B"}}}, {"b": False}, {"b": "false"}, id="boolean"
    ),
    pytest.param(
        {"properties": {"b": {"type": "boolean", "x-mcp-header": "B"}}}, {"b": True}, {"b": "true"}, id="true"
    ),
    pytest.param(NESTED, {"where": {"region": "eu"}}, {"region": "eu"}, id="nested"),
    pytest.param(NESTED, {"where": "no object"}, {}, id="a path that is not there"),
    pytest.param({"properties": {"region": STRING}}, {"region": None}, {}, id="null"),
    pytest.param({"properties": {"region": STRING}}, {}, {}, id="absent"),
    pytest.param({"properties": {"region": STRING}}, {"region": ["no", "text"]}, {}, id="no primitive"),
    pytest.param(
        {"properties": {"region": STRING}},
        {"region": "Hello, 世界"},
        {"region": "=?base64?SGVsbG8sIOS4lueVjA==?="},
        id="not ASCII",
    ),
    pytest.param(
        {"properties": {"region": STRING}},
        {"region": "a\r\nX-Evil: 1"},
        {"region": "=?base64?YQ0KWC1FdmlsOiAx?="},
        id="line break",
    ),
    pytest.param(
        {"properties": {"x-mcp-header": {"type": "string"}}, "default": {"x-mcp-header": "no"}},
        {"x-mcp-header": "a"},
        {},
        id="neither a property of that name nor data is an annotation",
    ),
]
INVALID = [
    pytest.param({"properties": {"a": {"type": "string", "x-mcp-header": ""}}}, id="empty"),
    pytest.param({"properties": {"a": {"type": "string", "x-mcp-header": "a b"}}}, id="no token"),
    pytest.param({"properties": {"a": {"type": "string", "x-mcp-header": "a\r\nb"}}}, id="line break"),
    pytest.param({"properties": {"a": {"type": "string", "x-mcp-header": 1}}}, id="no string"),
    pytest.param({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}, id="a number"),
    pytest.param({"properties": {"a": {"type": ["string", "null"], "x-mcp-header": "A"}}}, id="a list of types"),
    pytest.param({"properties": {"a": {"x-mcp-header": "A"}}}, id="no type"),
    pytest.param(
        {"properties": {"a": STRING, "b": {"type": "string", "x-mcp-header": "rEGION"}}}, id="twice, in another case"
    ),
    pytest.param({"properties": {"a": {"type": "array", "items": STRING}}}, id="below items"),
    pytest.param({"properties": {"a": {"anyOf": [STRING, {"type": "null"}]}}}, id="below anyOf"),
    pytest.param({"if": {"properties": {"a": STRING}}}, id="below if"),
    pytest.param({"$defs": {"a": STRING}}, id="in a definition"),
    pytest.param({"type": "string", "x-mcp-header": "A"}, id="at the root"),
    pytest.param({"patternProperties": {"^a": STRING}}, id="below patternProperties"),
]


def serving(*tools: dict[str, Any]) -> PureDriver:
    """A modern server that offers ``tools``."""

    def answer(request: SendRequest) -> Reply:
        listing = message_of(request)["method"] == "tools/list"
        return result_reply(request, {"resultType": "complete", **({"tools": tools} if listing else {"content": []})})

    return PureDriver(answer)


def modern_client(**options: Any) -> Client:
    return Client("https://mcp.example/mcp", protocol_version="2026-07-28", **options)


def mirrored(request: SendRequest) -> dict[str, str]:
    """The ``Mcp-Param-*`` headers of a request."""
    return {n.removeprefix("mcp-param-"): v for n, v in headers_of(request).items() if n.startswith("mcp-param-")}


@pytest.mark.parametrize(("schema", "arguments", "expected"), VALID)
def test_annotated_arguments_are_mirrored(
    schema: dict[str, Any], arguments: dict[str, Any], expected: dict[str, str]
) -> None:
    client, driver = modern_client(), serving({"name": "query", "inputSchema": schema})
    assert [tool.name for tool in driver.run(client.list_tools())] == ["query"]
    driver.run(client.call_tool("query", arguments))
    assert mirrored(driver.sent[-1]) == expected
    assert message_of(driver.sent[-1])["params"]["arguments"] == arguments


@pytest.mark.parametrize("schema", INVALID)
def test_a_tool_with_a_wrong_annotation_is_left_out_and_the_rest_stay(
    schema: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    client = modern_client()
    driver = serving({"name": "bad", "inputSchema": schema}, {"name": "good", "inputSchema": {}})
    with caplog.at_level(logging.WARNING, "mcpcore"):
        assert [tool.name for tool in driver.run(client.list_tools())] == ["good"]
    assert "'bad'" in caplog.text
    assert "x-mcp-header" in caplog.text


def test_the_handshake_era_knows_no_annotations() -> None:
    def answer(request: SendRequest) -> Reply:
        match message_of(request)["method"]:
            case "initialize":
                return result_reply(request, {"protocolVersion": "2025-11-25", "capabilities": {}})
            case "tools/list":
                return result_reply(request, {"tools": [{"name": "bad", "inputSchema": {"x-mcp-header": ""}}]})
            case _:
                return Reply(202)

    client = Client("https://mcp.example/mcp", protocol_version="2025-11-25")
    assert [tool.name for tool in PureDriver(answer).run(client.list_tools())] == ["bad"]


def test_each_identity_goes_by_the_definition_that_it_was_shown() -> None:
    def answer(request: SendRequest) -> Reply:
        user = headers_of(request)["x-user"]
        schema = {"properties": {"a": {"type": "string", "x-mcp-header": f"For-{user}"}}}
        result = {"tools": [{"name": "query", "inputSchema": schema}], "content": []}
        return result_reply(request, {"resultType": "complete", **result})

    def user(context: RequestContext) -> dict[str, str]:
        return {"X-User": context.user}

    client, driver = modern_client(get_headers=user), PureDriver(answer)
    alice, bob = CallContext(principal="alice", user="alice"), CallContext(user="bob")
    nobody_yet = CallContext(principal="carol", user="carol")
    for context in (alice, bob):
        driver.run(client.list_tools(context=context))
    for context, expected in ((alice, {"for-alice": "1"}), (bob, {"for-bob": "1"}), (nobody_yet, {})):
        driver.run(client.call_tool("query", {"a": "1"}, context=context))
        assert mirrored(driver.sent[-1]) == expected
    # Without a principal, the headers that told whose call it is are the ones that were sent: asked once.
    assert len(driver.resolved) == len(driver.sent)


def test_a_definition_that_lost_its_annotation_is_forgotten() -> None:
    schemas = iter([{"properties": {"a": STRING}}, {}])

    def answer(request: SendRequest) -> Reply:
        listing = message_of(request)["method"] == "tools/list"
        tools = {"tools": [{"name": "query", "inputSchema": next(schemas)}]} if listing else {"content": []}
        return result_reply(request, {"resultType": "complete", **tools})

    client, driver = modern_client(), PureDriver(answer)
    for expected in ({"region": "x"}, {}):
        driver.run(client.list_tools())
        driver.run(client.call_tool("query", {"a": "x"}))
        assert mirrored(driver.sent[-1]) == expected


def test_the_oldest_definition_goes_first() -> None:
    tools = [{"name": name, "inputSchema": {"properties": {"a": STRING}}} for name in ("one", "two", "three")]
    client, driver = modern_client(limits=Limits(mirrored_bytes=2 * 250)), serving(*tools)
    driver.run(client.list_tools())
    for name, expected in (("one", {}), ("two", {"region": "x"}), ("three", {"region": "x"})):
        driver.run(client.call_tool(name, {"a": "x"}))
        assert mirrored(driver.sent[-1]) == expected


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_one_call_leaves_the_headers_of_the_next_as_they_were(status: int) -> None:
    refused: list[bool] = []

    def answer(request: SendRequest) -> Reply:
        if refused:
            return Reply(refused.pop() and status)
        tools = [{"name": "query", "inputSchema": {"properties": {"a": STRING}}}]
        return result_reply(request, {"resultType": "complete", "tools": tools, "content": []})

    client, driver = modern_client(), PureDriver(answer)
    driver.run(client.list_tools())
    refused.append(True)
    with pytest.raises(HttpStatusError):
        driver.run(client.call_tool("query", {"a": "x"}))
    driver.run(client.call_tool("query", {"a": "x"}))
    assert mirrored(driver.sent[-2]) == mirrored(driver.sent[-1]) == {"region": "x"}


def test_a_schema_that_is_no_object_asks_for_nothing() -> None:
    tools = [{"name": "query", "inputSchema": {"properties": {"any": True, "a": STRING}}}]
    client, driver = modern_client(), serving(*tools)
    assert [tool.name for tool in driver.run(client.list_tools())] == ["query"]
    driver.run(client.call_tool("query", {"any": 1, "a": "x"}))
    assert mirrored(driver.sent[-1]) == {"region": "x"}
