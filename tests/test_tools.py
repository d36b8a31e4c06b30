"""Tools and their results: lenient about what comes in, strict about what makes them useless."""

from __future__ import annotations

from typing import Any

import pytest
from support.pure import Answer, result_reply
from support.scenes import ALICE, MODERN, URL, PureServer

from mcpcore import (
    CallToolResult,
    Client,
    LimitExceeded,
    Limits,
    McpError,
    Progress,
    RemoteProtocolError,
    SendRequest,
    Tool,
)

WRONG: list[Any] = [None, 1, 1.5, True, "x", [], {}]


def test_a_tool_has_what_its_definition_says() -> None:
    raw = {"name": "n", "title": "t", "description": "d", "inputSchema": {"type": "object"}, "x-new": [1]}
    tool = Tool.from_json(raw)
    assert (tool.name, tool.title, tool.description, tool.input_schema) == ("n", "t", "d", {"type": "object"})
    assert tool.raw["x-new"] == [1]


@pytest.mark.parametrize("odd", [value for value in WRONG if not isinstance(value, str)], ids=repr)
def test_an_optional_field_of_the_wrong_shape_is_missing(odd: Any) -> None:
    tool = Tool.from_json({"name": "n", "title": odd, "description": odd, "inputSchema": {}})
    assert (tool.title, tool.description) == (None, None)
    assert "title" in tool.raw


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        *((raw, "what should be a Tool is not an object") for raw in WRONG[:-1]),
        *(({"name": name, "inputSchema": {}}, "has no name") for name in ("", None, 1, [], {})),
        ({"inputSchema": {}}, "has no name"),
        *(({"name": "n", "inputSchema": schema}, "tool 'n' has no inputSchema") for schema in WRONG[:-1]),
        ({"name": "n"}, "tool 'n' has no inputSchema"),
    ],
    ids=repr,
)
def test_a_tool_that_nobody_could_call_is_refused(raw: Any, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        Tool.from_json(raw)


def listing(*pages: Any) -> tuple[Client, PureServer]:
    left = list(pages)

    def answer(request: SendRequest) -> Answer:
        return result_reply(request, left.pop(0))

    return Client(URL, **MODERN), PureServer("modern", answer)


def test_one_bad_tool_is_left_out_with_a_warning_and_the_rest_stay(caplog: pytest.LogCaptureFixture) -> None:
    good = {"name": "good", "inputSchema": {}}
    client, server = listing({"tools": [{"name": "bad"}, good, None]})
    assert [tool.name for tool in server.driver.run(client.list_tools(context=ALICE))] == ["good"]
    assert caplog.messages == [
        f"{URL}: a tool is left out: the definition of tool 'bad' has no inputSchema",
        f"{URL}: a tool is left out: what should be a Tool is not an object",
    ]


@pytest.mark.parametrize("tools", [value for value in WRONG if not isinstance(value, list)], ids=repr)
def test_a_list_that_is_no_list_is_an_error(tools: Any) -> None:
    client, server = listing({"tools": tools})
    with pytest.raises(RemoteProtocolError, match="the list of tools is not a list") as caught:
        server.driver.run(client.list_tools())
    assert (caught.value.server, caught.value.request) == (URL, "tools/list")


def page(name: str, cursor: Any) -> dict[str, Any]:
    return {"tools": [{"name": name, "inputSchema": {}}], "nextCursor": cursor}


@pytest.mark.parametrize("end", [None, 0, 7, False, [], {}], ids=repr)
def test_all_pages_are_read(end: Any) -> None:
    client, server = listing(page("a", "2"), page("b", "3"), page("c", end))
    assert [tool.name for tool in server.driver.run(client.list_tools())] == ["a", "b", "c"]


def test_pages_in_a_circle_are_an_error() -> None:
    client, server = listing(page("a", "2"), page("b", "3"), page("c", "2"))
    with pytest.raises(RemoteProtocolError, match="lead back"):
        server.driver.run(client.list_tools())
    assert len(server.sent) == 3


def test_pages_without_end_are_an_error() -> None:
    server = PureServer("modern", lambda request: result_reply(request, page("a", str(len(server.sent)))))
    client = Client(URL, limits=Limits(pages=3), **MODERN)
    with pytest.raises(LimitExceeded, match="too many pages") as caught:
        server.driver.run(client.list_tools())
    assert (caught.value.limit, len(server.sent)) == ("pages", 3)


def test_a_failing_page_fails_the_list() -> None:
    client, server = listing(page("a", "2"), {"resultType": "input_required"})
    with pytest.raises(McpError, match="input_required"):
        server.driver.run(client.list_tools())


def test_a_result_has_what_the_tool_said() -> None:
    raw = {
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "data": "", "mimeType": "image/png"},
            {"type": "text", "text": 2},
            {"type": "text"},
            {"text": "no type"},
            {"type": "text", "text": "two", "new": 1},
            None,
            "stray",
        ],
        "structuredContent": {"n": 1},
        "isError": True,
        "_meta": {"k": 1},
    }
    result = CallToolResult.from_json(raw)
    assert result.text == "one\ntwo"
    assert result.structured_content == {"n": 1}
    assert result.is_error is True
    assert len(result.content) == 6
    assert result.raw is raw


@pytest.mark.parametrize("value", [None, 0, [1], "x", {"a": 1}], ids=repr)
def test_structured_content_may_be_any_json_value(value: Any) -> None:
    assert CallToolResult.from_json({"content": [], "structuredContent": value}).structured_content == value


@pytest.mark.parametrize("odd", [value for value in WRONG if value is not True], ids=repr)
def test_only_true_is_an_error(odd: Any) -> None:
    assert CallToolResult.from_json({"content": [], "isError": odd}).is_error is False


def test_a_result_may_be_empty() -> None:
    result = CallToolResult.from_json({})
    assert (result.text, result.content, result.structured_content, result.is_error) == ("", [], None, False)


@pytest.mark.parametrize("content", [value for value in WRONG if not isinstance(value, list)], ids=repr)
def test_a_result_whose_content_is_no_list_is_refused(content: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="content of a tool's result is not a list"):
        CallToolResult.from_json({"content": content})


@pytest.mark.parametrize(
    ("params", "progress"),
    [
        ({"progress": 1}, Progress(1, None, None)),
        ({"progress": 0.5, "total": 2, "message": "m"}, Progress(0.5, 2, "m")),
        ({"progress": 1, "total": "2", "message": 3}, Progress(1, None, None)),
        ({"progress": 1, "total": True}, Progress(1, None, None)),
    ],
    ids=repr,
)
def test_progress(params: dict[str, Any], progress: Progress) -> None:
    assert Progress.from_json(params) == progress


@pytest.mark.parametrize("params", [{"progress": True}, {"progress": "1"}, {}], ids=repr)
def test_progress_without_a_number_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="no number"):
        Progress.from_json(params)


def test_the_public_objects_show_no_content() -> None:
    raw = {"name": "n", "inputSchema": {"x": "HIDDEN"}}
    assert "HIDDEN" not in repr(Tool.from_json(raw))
    result = {"content": [{"type": "text", "text": "HIDDEN"}], "structuredContent": "HIDDEN"}
    assert repr(CallToolResult.from_json(result)) == "CallToolResult(is_error=False)"
