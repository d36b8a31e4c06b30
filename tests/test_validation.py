"""Output schemas by the library that the extra ``validation`` brings: dialects, references, and strangers' tricks."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import transports
from mcpcore import ConfigurationError, Mismatch, RemoteProtocolError
from transports.engines.memory import MemoryEngine
from transports.testing import RawResult, ReceivedRequest, Server, Tool
from transports.validation import schema_checkers

CHECKERS = schema_checkers()
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


JSON_VALUE = {
    "$defs": {
        "value": {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"type": "array", "items": ref("value")},
                {"type": "object", "additionalProperties": ref("value")},
            ]
        }
    },
    **ref("value"),
}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"left": ref("node"), "right": ref("node"), "more": {"type": "array", "items": ref("node")}},
            "additionalProperties": {"type": "integer"},
        }
    },
    **ref("node"),
}
MUTUAL = {
    "$defs": {
        "object": {"type": "object", "additionalProperties": ref("value")},
        "value": {"anyOf": [ref("object"), {"type": "array", "items": ref("value")}, {"type": "integer"}]},
    },
    **ref("object"),
}
CLOSED_LIST = {
    "type": "object",
    "allOf": [{"properties": {"next": {"$ref": "#"}}}],
    "properties": {"value": {"type": "integer"}},
    "unevaluatedProperties": False,
}
GRAMMAR = {
    "$dynamicAnchor": "expression",
    "type": ["object", "string"],
    "properties": {
        "not": {"$dynamicRef": "#expression"},
        "pair": {"prefixItems": [{"$dynamicRef": "#expression"}, {"$dynamicRef": "#expression"}], "items": False},
    },
}


@pytest.mark.parametrize(
    ("schema", "good", "bad", "mismatch"),
    [
        ({"type": "integer"}, 1, "1", Mismatch("", "type")),
        (
            {"properties": {"a/b~": {"items": {"type": "integer"}}}},
            {"a/b~": [1]},
            {"a/b~": [1, "x"]},
            Mismatch("/a~1b~0/1", "type"),
        ),
        ({"required": ["a"]}, {"a": None}, {}, Mismatch("", "required")),
        ({"prefixItems": [{"type": "integer"}]}, [1], ["x"], Mismatch("/0", "type")),
        ({"$schema": DRAFT_7, "items": [{"type": "integer"}]}, [1], ["x"], Mismatch("/0", "type")),
        ({"$schema": DRAFT_7, "type": "string", "format": "email"}, "nobody", 1, Mismatch("", "type")),
        (
            {
                "$schema": "https://json-schema.org/draft/2019-09/schema",
                "$recursiveAnchor": True,
                "type": ["object", "null"],
                "additionalProperties": {"$recursiveRef": "#"},
            },
            {"a": None},
            {"a": 1},
            Mismatch("/a", "type"),
        ),
        (
            {"$id": "https://tools.example/r", "$defs": {"n": {"$anchor": "n", "type": "integer"}}, "$ref": "#n"},
            1,
            "x",
            Mismatch("", "type"),
        ),
        (
            {"properties": {"a": {"type": "integer"}, "b": {"$ref": "#/properties/a"}}},
            {"b": 1},
            {"b": "x"},
            Mismatch("/b", "type"),
        ),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, 3, 2, Mismatch("", "minimum")),
        ({"$ref": "#/allOf/0", "allOf": [{"maximum": 3}]}, 3, 4, Mismatch("", "maximum")),
        (JSON_VALUE, {"a": [1, {"b": None}]}, {"a": [b""]}, None),
        (
            TREE,
            {"left": {"x": 1}, "more": [{"right": {}}]},
            {"left": {"more": [{"x": "y"}]}},
            Mismatch("/left/more/0/x", "type"),
        ),
        (MUTUAL, {"a": [1, {"b": 2}]}, {"a": "x"}, Mismatch("/a", "anyOf")),
        (
            CLOSED_LIST,
            {"next": {"value": 1}},
            {"next": {"next": {"other": 1}}},
            Mismatch("/next/next", "unevaluatedProperties"),
        ),
        (GRAMMAR, {"pair": ["a", {"not": "b"}]}, {"pair": ["a", {"not": 1}]}, Mismatch("/pair/1/not", "type")),
    ],
)
def test_values_are_held_against_a_schema(
    schema: dict[str, Any], good: Any, bad: Any, mismatch: Mismatch | None
) -> None:
    check = CHECKERS(schema)
    assert check(good) is None
    if mismatch is not None:
        assert check(bad) == mismatch


def doubling(keyword: str) -> dict[str, Any]:
    """Thirty definitions, each of which refers to the next one twice."""
    definitions: dict[str, Any] = {f"d{n}": {keyword: [ref(f"d{n + 1}"), ref(f"d{n + 1}")]} for n in range(30)}
    return {"$defs": {**definitions, "d30": {"type": "integer"}}, **ref("d0")}


def nested(beside: dict[str, Any]) -> dict[str, Any]:
    """Twenty schemas, one within the other, with something beside each."""
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(20):
        schema = {"allOf": [schema], **beside}
    return schema


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"$ref": "https://elsewhere.example/schema"}, "another document"),
        ({"$defs": {"a": {"type": "integer"}}, "items": {"$ref": "file:///etc/passwd"}}, "another document"),
        ({"$ref": "other.json"}, "another document"),
        ({"$ref": 1}, "another document"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "another document"),
        ({"$defs": {"a": {"$id": "https://elsewhere.example/a"}}, "$ref": "#/$defs/a"}, "embedded"),
        ({"$defs": {"unused": {"$ref": "https://elsewhere.example/schema"}}}, "not a valid schema"),
        ({"$schema": "https://elsewhere.example/dialect"}, "dialect"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "dialect"),
        ({"$schema": 1}, "dialect"),
        ({"type": "nonsense"}, "not a valid schema"),
        ({"pattern": "("}, "not a valid schema"),
        ({"const": "\ud800"}, "not a valid schema"),
        ({"$ref": "#/$defs/nowhere"}, "not a valid schema"),
        ({"$ref": "#nowhere"}, "not a valid schema"),
        ({"$ref": "#/allOf/7", "allOf": [{}]}, "not a valid schema"),
        ({"$ref": "#"}, "without end"),
        ({"$defs": {"a": ref("b"), "b": ref("a")}, **ref("a")}, "without end"),
        (doubling("allOf"), "too large"),
        (doubling("anyOf"), "too large"),
        (nested({"unevaluatedProperties": {"type": "integer"}}), "too large"),
        ({"properties": {"x": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}, "two ways"),
        ({"patternProperties": {"x": {"$ref": "#"}, "y": {"$ref": "#"}}}, "two ways"),
        ({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, "two ways"),
        ({"unevaluatedProperties": {"$ref": "#"}, "properties": {"x": {"$ref": "#"}}}, "two ways"),
        ({"allOf": [{"properties": {"x": {"$ref": "#"}}}, {"additionalProperties": {"$ref": "#"}}]}, "two ways"),
        ({"properties": {"x": {"$ref": "#", "properties": {"y": {"$ref": "#"}}}}}, "two ways"),
        (
            {
                "$defs": {"u": {"properties": {"y": {"allOf": [{"$ref": "#"}, ref("u")]}}}},
                "properties": {"x": ref("u")},
            },
            "two ways",
        ),
        ({"$defs": {f"d{n}": {"not": ref(f"d{n + 1}")} for n in range(500)}, **ref("d0")}, "too deep"),
        ({"$defs": {"a": {"$anchor": "n"}, "b": {"$anchor": "n"}}, "$ref": "#n"}, "one name"),
    ],
)
def test_a_schema_that_is_not_to_be_used_is_refused(schema: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CHECKERS(schema)


def test_a_long_reference_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []

    def note(text: str) -> str:
        looked_up.append(text)
        return text

    monkeypatch.setattr("transports.validation.expansion.unquote", note)
    CHECKERS({"$defs": {"d": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/d"}] * 100})
    assert looked_up == ["/$defs/d"]


def test_a_pattern_may_only_try_so_hard() -> None:
    assert CHECKERS({"pattern": "^(?=(a+)+$)"})("a" * 5_000 + "b") == Mismatch("", "pattern")


@pytest.mark.parametrize("value", [[1] * 60_000, [{"a": 1}] * 30_000, ["x" * 4_000_000]])
def test_a_value_may_only_be_so_large_for_the_size_of_its_schema(value: list[Any]) -> None:
    """Each part may be held against each subschema, which is for both sides to multiply."""
    many = CHECKERS({"items": {"anyOf": [{"const": number} for number in range(200)]}})
    assert many([1] * 10) is None
    with pytest.raises(ValueError, match="too many parts"):
        many(value)
    assert CHECKERS({"type": "array"})(value) is None


def test_what_the_library_cannot_read_is_no_value_to_pass_on() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        CHECKERS({"type": "integer"})("\ud800")


@pytest.mark.anyio
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_client_that_is_told_to_checks_what_tools_answer(revision: str) -> None:
    def measure(arguments: dict[str, Any], _: ReceivedRequest) -> RawResult:
        return RawResult({"content": [], "structuredContent": arguments})

    schema = {"type": "object", "properties": {"metres": {"type": "number"}}}
    server = Server([Tool(measure, extra={"outputSchema": schema})])
    options: dict[str, Any] = {"engine": MemoryEngine(server), "protocol_version": revision}
    async with transports.connect("https://mcp.example/mcp", validate_output=True, **options) as client:
        await client.list_tools()
        assert (await client.call_tool("measure", {"metres": 2.5})).structured_content == {"metres": 2.5}
        with pytest.raises(RemoteProtocolError, match="'measure' breaks its output schema, at '/metres', by 'type'"):
            await client.call_tool("measure", {"metres": "the secret"})
    async with transports.connect("https://mcp.example/mcp", **options) as client:
        await client.list_tools()
        await client.call_tool("measure", {"metres": "the secret"})


def test_without_the_library_a_client_cannot_be_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)
    with pytest.raises(ConfigurationError, match="extra 'validation'"):
        transports.connect("https://mcp.example/mcp", validate_output=True)
    transports.connect("https://mcp.example/mcp")
