"""What a tool promises of its structured results, and what becomes of one that breaks it (2026-07-28, "Tools")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.pure import Answer, Reply, message_of, result_reply
from support.scenes import ALICE, BOB, RESULTS, URL, PureServer

from mcpcore import (
    CallContext,
    CallToolResult,
    Client,
    Limits,
    Mismatch,
    OutputChecker,
    RemoteProtocolError,
    SendRequest,
    Tool,
)
from mcpcore.rules.revisions import REVISIONS

INTEGER = {"type": "integer"}


def validator(schema: dict[str, Any]) -> OutputChecker:
    """Knows integers alone."""
    if "$ref" in schema:
        raise ValueError("refers to elsewhere")

    def check(value: Any) -> Mismatch | None:
        if value == "odd":
            raise ValueError("cannot tell")
        return None if isinstance(value, int) else Mismatch("/a~1b/0", "type")

    return check


class Counting:
    """A validator that remembers what it was asked for."""

    def __init__(self) -> None:
        self.schemas: list[Any] = []

    def __call__(self, schema: dict[str, Any]) -> OutputChecker:
        self.schemas.append(schema)
        return validator(schema)


def tool(name: str, schema: object) -> dict[str, Any]:
    return {"name": name, "inputSchema": {}, "outputSchema": schema}


class Scene:
    """A server whose tools and results are ours to set, and a client of it."""

    def __init__(self, *tools: dict[str, Any], era: str = "modern", **options: Any) -> None:
        self.tools: Any = tools
        self.result: dict[str, Any] = {"content": []}
        self.validator = Counting()
        self.server = PureServer(era, self._answer)
        self.client = Client(URL, **{"output_validator": self.validator, **options})

    def _answer(self, request: SendRequest) -> Answer | None:
        if request.rpc_method == "initialize":
            asked = message_of(request)["params"]["protocolVersion"]
            return result_reply(request, {**RESULTS["initialize"], "protocolVersion": asked}, mcp_session_id="s")
        if request.rpc_method == "tools/list" and isinstance(self.tools, bytes):
            return Reply(200, {"content-type": "application/json"}, [self.tools % message_of(request)["id"]])
        if request.rpc_method == "tools/list":
            return result_reply(request, {"tools": self.tools})
        return result_reply(request, self.result) if request.rpc_method == "tools/call" else None

    def list(self, context: CallContext = ALICE) -> None:
        self.server.driver.run(self.client.list_tools(context=context))

    def call(self, name: str | Tool, context: CallContext = ALICE, **result: Any) -> CallToolResult:
        self.result = {"content": [], **result}
        return self.server.driver.run(self.client.call_tool(name, context=context))


def broken(call: Callable[[], object]) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        call()
    assert caught.value.server == URL
    return caught.value.message


@pytest.mark.parametrize("era", ["modern", "handshake"])
def test_a_structured_result_is_held_against_what_its_tool_promised(era: str) -> None:
    scene = Scene(tool("count", INTEGER), tool("free", None), era=era)
    scene.list()
    assert scene.call("count", structuredContent=3).structured_content == 3
    assert scene.call("free", structuredContent="any").structured_content == "any"
    message = broken(lambda: scene.call("count", structuredContent="the secret"))
    assert message == "the structured content of the tool 'count' breaks its output schema, at '/a~1b/0', by 'type'"


def test_a_null_is_a_value_and_nothing_at_all_is_not() -> None:
    scene = Scene(tool("count", INTEGER))
    scene.list()
    assert "breaks its output schema" in broken(lambda: scene.call("count", structuredContent=None))
    assert "has no structured content" in broken(lambda: scene.call("count"))


def test_a_tool_that_failed_promised_nothing() -> None:
    scene = Scene(tool("count", INTEGER))
    scene.list()
    assert scene.call("count", isError=True, structuredContent="no").is_error


def test_what_cannot_be_judged_is_not_passed_on() -> None:
    scene = Scene(tool("count", INTEGER))
    scene.list()
    assert "cannot be held against its output schema" in broken(lambda: scene.call("count", structuredContent="odd"))


def test_a_tool_whose_schema_cannot_be_used_is_not_called() -> None:
    """2026-07-28, "Overview", JSON Schema Usage: what is not supported is an error."""
    scene = Scene(tool("count", {"$ref": "https://elsewhere.example/"}))
    scene.list()
    for _ in range(2):
        message = broken(lambda: scene.call("count", structuredContent="any"))
        assert message.startswith("the results of the tool 'count' cannot be checked: its output schema refers to")
    assert "tools/call" not in [sent.rpc_method for sent in scene.server.driver.sent]


def test_without_a_validator_nothing_is_checked_and_nothing_remembered() -> None:
    scene = Scene(tool("count", INTEGER), output_validator=None)
    scene.list()
    assert scene.call("count", structuredContent="any").structured_content == "any"


def test_no_identity_is_held_to_what_another_one_was_shown() -> None:
    scene = Scene(tool("count", INTEGER))
    scene.list(ALICE)
    scene.tools = [tool("count", {"type": "string"})]
    scene.list(BOB)
    scene.call("count", ALICE, structuredContent=1)
    scene.call("count", BOB, structuredContent=1)
    assert scene.validator.schemas == [INTEGER, {"type": "string"}]
    scene.call("count", CallContext(principal="acme/carol"), structuredContent="any")


def test_a_definition_that_the_caller_has_is_a_promise_too() -> None:
    scene = Scene()
    definition = Tool.from_json(tool("count", INTEGER))
    assert "breaks its output schema" in broken(lambda: scene.call(definition, structuredContent="any"))
    assert "breaks its output schema" in broken(lambda: scene.call("count", structuredContent="any"))
    assert scene.validator.schemas == [INTEGER]


def test_a_checker_is_made_when_it_is_first_needed_and_again_when_the_promise_changes() -> None:
    scene = Scene(tool("count", INTEGER))
    scene.list()
    assert scene.validator.schemas == []
    for schema in (INTEGER, INTEGER, {"minimum": 1}, None):
        scene.tools = [tool("count", schema)]
        scene.list()
        scene.call("count", structuredContent=1)
        scene.call("count", structuredContent=2)
    assert scene.validator.schemas == [INTEGER, {"minimum": 1}]
    assert scene.call("count").structured_content is None


def test_the_checkers_that_were_used_last_are_kept() -> None:
    scene = Scene(*(tool(name, {"title": name}) for name in "abc"), limits=Limits(output_checkers=2))
    scene.list()
    for name in "abacbca":
        scene.call(name, structuredContent=1)
    assert [schema["title"] for schema in scene.validator.schemas] == ["a", "b", "c", "b", "a"]


def test_the_promises_of_the_oldest_tools_go_first() -> None:
    scene = Scene(*(tool(name, {"title": name * 300}) for name in "ab"), limits=Limits(output_schema_bytes=600))
    scene.list()
    scene.call("a")
    assert "no structured content" in broken(lambda: scene.call("b"))


def test_a_promise_that_cannot_be_kept_in_mind_is_none() -> None:
    scene = Scene()
    definition = b'{"name":"count","inputSchema":{},"outputSchema":{"maximum":1e999}}'
    scene.tools = b'{"jsonrpc":"2.0","id":%d,"result":{"tools":[' + definition + b"]}}"
    scene.list()
    scene.call("count")


@pytest.mark.parametrize("name", REVISIONS)
def test_revisions_before_output_schemas_have_none(name: str) -> None:
    assert REVISIONS[name].output_schemas is (name >= "2025-06-18")


def test_a_server_of_an_older_revision_promises_nothing() -> None:
    scene = Scene(tool("count", INTEGER), era="handshake", protocol_version="2025-03-26")
    scene.list()
    scene.call("count")


def test_a_mismatch_of_the_whole_says_so_and_a_long_place_is_cut() -> None:
    assert str(Mismatch("", "type")) == "as a whole, by 'type'"
    assert len(str(Mismatch("/x" * 1000, "type"))) < 250
