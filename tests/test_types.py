"""The objects of the wire: read leniently, written exactly, and showing nothing that is not theirs to show."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire_types import AT, FULL, RESULT, TEXT, TOOL, made_anew

import mcpcore
from mcpcore import (
    Acknowledged,
    BlobResourceContents,
    CallToolResult,
    Capability,
    Completion,
    CreateMessageRequest,
    CreateMessageResult,
    DetailedTask,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    GetPromptResult,
    Icon,
    ImageContent,
    LocalProtocolError,
    LogMessage,
    ModelPreferences,
    PromptMessage,
    ReadResourceResult,
    RemoteProtocolError,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    SamplingMessage,
    ServerCapabilities,
    SubscriptionFilter,
    Task,
    TextContent,
    TextResourceContents,
    Tool,
    ToolError,
    ToolResultContent,
    ToolUseContent,
    UnknownContent,
    read_content,
    to_anthropic,
    to_openai,
)
from mcpcore.rules.freshness import Change
from mcpcore.types.elicitation import read_elicitation
from mcpcore.types.resources import read_resource_contents
from mcpcore.types.wire import WireObject

EACH = pytest.mark.parametrize("full", FULL, ids=lambda full: type(full).__name__)
NOT_OBJECTS: list[Any] = [None, 1, 1.5, True, "x", []]


def test_the_table_of_these_tests_has_every_type() -> None:
    public = [getattr(mcpcore, name) for name in mcpcore.__all__]
    types = {value for value in public if isinstance(value, type) and issubclass(value, WireObject)}
    assert types == {type(full) for full in FULL}


def test_the_documentation_names_every_type() -> None:
    page = (Path(__file__).parent.parent / "docs" / "types.md").read_text(encoding="utf-8")
    assert [type(full).__name__ for full in FULL if f"`{type(full).__name__}`" not in page] == []


@EACH
def test_what_was_made_is_written_and_read_again(full: WireObject) -> None:
    written = full.to_json()
    assert len(written) == len(attrs.fields(type(full))) - 1  # every field but raw
    again = type(full).from_json(json.loads(json.dumps(written)))
    assert again == full
    assert again.raw == again.to_json() == written
    assert made_anew(again).to_json() == written


@EACH
def test_the_unknown_is_kept_also_when_something_changes(full: WireObject) -> None:
    raw = {**full.to_json(), "x-new": [1], "_meta": {"k": 1}}
    known = type(full).from_json(raw)
    assert known.to_json() == raw
    assert known.meta == {"k": 1}
    for field in attrs.fields(type(full)):
        if field.init and field.default is None:
            less = attrs.evolve(known, **{field.name: None}).to_json()
            assert less == {key: value for key, value in raw.items() if key in less}
            assert len(less) == len(raw) - 1


# What is needed although it is declared as optional, and what is not although it is declared as required.
NEEDED = {(DetailedTask, "result")}
NOT_NEEDED = {
    (CallToolResult, "content"),
    *((task, name) for task in (Task, DetailedTask) for name in ("created_at", "last_updated_at", "ttl_ms")),
}


def parts(full: WireObject) -> Iterator[tuple[str, str, bool]]:
    """Each field of an object, its key, and whether the object is useless without it."""
    kind = type(full)
    for field, key in zip(attrs.fields(kind)[1:], full.to_json(), strict=True):
        declared = field.default is attrs.NOTHING and (kind, field.name) not in NOT_NEEDED
        yield field.name, key, declared or (kind, field.name) in NEEDED


@EACH
def test_only_what_it_cannot_do_without_is_missed(full: WireObject) -> None:
    kind, whole = type(full), full.to_json()
    for _, key, needed in parts(full):
        less = {name: value for name, value in whole.items() if name != key}
        if needed:
            with pytest.raises(RemoteProtocolError):
                kind.from_json(less)
        else:
            assert kind.from_json(less).to_json() == less


@EACH
def test_what_has_the_wrong_shape_is_missing_or_refused(full: WireObject) -> None:
    kind, whole = type(full), full.to_json()
    for name, key, needed in parts(full):
        odd = {**whole, key: "seven" if isinstance(whole[key], float | int) else 7}
        if (needed and (kind, name) != (LogMessage, "data")) or (kind, name) == (CallToolResult, "content"):
            with pytest.raises(RemoteProtocolError):
                kind.from_json(odd)
        else:
            assert kind.from_json(odd).to_json() == odd


@EACH
@pytest.mark.parametrize("raw", NOT_OBJECTS, ids=repr)
def test_what_is_not_an_object_is_refused(full: WireObject, raw: Any) -> None:
    with pytest.raises(RemoteProtocolError, match=f"should be a {type(full).__name__} is not an object"):
        type(full).from_json(raw)


WRITTEN = [full.to_json() for full in FULL]
KEYS = sorted({key for written in WRITTEN for key in written})
SCRAPS = [*NOT_OBJECTS, {}, 2.0, "user", "working", "form", "url", "resource", *WRITTEN, [None, {}, 1, []], WRITTEN]


@given(st.sampled_from(FULL), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(SCRAPS), max_size=5))
@settings(max_examples=300)
def test_any_json_is_read_and_given_back_or_refused(full: WireObject, odd: dict[str, Any]) -> None:
    raw = {**full.to_json(), **odd}
    try:
        found = type(full).from_json(raw)
    except RemoteProtocolError:
        return
    assert found.to_json() == raw
    assert isinstance(repr(found), str)


def test_what_an_optional_list_holds_is_read_as_far_as_it_can_be() -> None:
    icons = [{"src": "a"}, 1, {"no": "src"}]
    assert Resource.from_json({"uri": AT, "name": "a", "icons": icons}).icons == [Icon("a")]
    notes = TextContent.from_json({"text": "", "annotations": {"audience": ["user", "robot", []]}}).annotations
    assert notes is not None
    assert notes.audience == ["user"]
    assert ModelPreferences.from_json({"hints": [{}, 1]}).hints == [mcpcore.ModelHint()]


def test_what_a_required_list_holds_must_be_readable() -> None:
    for raw in ({"messages": [1]}, {"messages": [{"role": "robot", "content": {"type": "text", "text": ""}}]}):
        with pytest.raises(RemoteProtocolError):
            GetPromptResult.from_json(raw)


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    raw = {"values": [], "total": 2.0}
    assert Completion.from_json(raw) == Completion([], 2)
    assert Completion.from_json({"values": [], "total": 2.5}).total is None
    assert Completion.from_json({"values": [], "total": True}).total is None


def test_a_change_deep_inside_leaves_the_rest_as_it_came() -> None:
    raw = {"content": [{"type": "text", "text": "a", "x": 1}, {"type": "new", "y": 2}], "structuredContent": None}
    result = CallToolResult.from_json(raw)
    first, second = result.content
    changed = attrs.evolve(result, content=(attrs.evolve(first, text="b"), second)).to_json()
    assert changed == {**raw, "content": [{"type": "text", "text": "b", "x": 1}, {"type": "new", "y": 2}]}
    assert result.to_json() == raw


def test_what_is_written_is_the_reader_s_own() -> None:
    raw = {"uri": AT, "x": 1}
    written = mcpcore.Root.from_json(raw).to_json()
    written["uri"] = "changed"
    assert raw["uri"] == AT


def test_nothing_that_is_somebody_s_own_is_shown() -> None:
    hidden = "HIDDEN"
    uri = f"https://u:{hidden}@a.example/b?q={hidden}"
    objects = [
        TextContent(hidden),
        ImageContent(hidden, "image/png"),
        TextResourceContents(uri, hidden),
        BlobResourceContents(AT, hidden),
        CallToolResult([TextContent(hidden)], {"k": hidden}),
        PromptMessage("user", TextContent(hidden)),
        SamplingMessage("user", TextContent(hidden)),
        CreateMessageResult("assistant", TextContent(hidden), "m"),
        ElicitRequest(hidden, {"default": hidden}),
        ElicitUrlRequest(hidden, f"https://a.example/?q={hidden}"),
        ElicitResult.accept({"password": hidden}),
        LogMessage("info", hidden),
        Task(hidden, "working", "", "", None),
        ReadResourceResult([TextResourceContents(AT, hidden)]),
        UnknownContent.from_json({"type": "new", "data": hidden}),
        Tool("t", {"default": hidden}),
        Acknowledged(SubscriptionFilter(uris=(uri, uri))),
        ResourceTemplateReference(uri),
        ResourceTemplate(uri, "a"),
        Change(frozenset(), uri),
    ]
    assert hidden not in repr(objects)
    assert "uris=('https://a.example/b', 'https://a.example/b')" in repr(objects)
    assert repr(ElicitUrlRequest("", "https://a.example/b?q=1")) == (
        "ElicitUrlRequest(url='https://a.example/b', elicitation_id=None)"
    )


# -- content ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [{"type": "new", "x": 1}, {"type": "text"}, {"type": "image", "data": ""}, {"type": ["text"]}, {}, {"text": "x"}],
    ids=repr,
)
def test_a_block_that_cannot_be_read_is_kept(raw: dict[str, Any]) -> None:
    block = read_content(raw)
    kind = raw.get("type")
    assert block == UnknownContent(kind if isinstance(kind, str) else "")
    assert block.to_json() == raw


@pytest.mark.parametrize("raw", NOT_OBJECTS, ids=repr)
def test_a_block_that_is_not_an_object_is_refused(raw: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        read_content(raw)


def test_binary_content_is_decoded() -> None:
    for content in (
        ImageContent("aGk=", "image/png"),
        mcpcore.AudioContent("aGk=", "a/b"),
        BlobResourceContents("u", "aGk="),
    ):
        assert content.decoded() == b"hi"


@pytest.mark.parametrize("broken", ["a", "aGk", "a Gk=", "\u00e4"])
def test_what_is_not_base64_is_refused_and_not_shown(broken: str) -> None:
    with pytest.raises(RemoteProtocolError, match="base64") as caught:
        ImageContent(broken, "image/png").decoded()
    assert caught.value.__context__ is None


def test_a_message_of_one_block_has_blocks_like_any_other() -> None:
    one, many = SamplingMessage("user", TEXT), CreateMessageResult("assistant", [TEXT, UnknownContent("x"), TEXT], "m")
    assert (one.blocks, one.text) == ([TEXT], "text")
    assert (len(many.blocks), many.text) == (3, "text\ntext")


def test_the_text_of_prompts_and_resources() -> None:
    turn = PromptMessage("user", TEXT)
    assert GetPromptResult([turn, PromptMessage("user", UnknownContent("x")), turn]).text == "text\ntext"
    part = TextResourceContents(AT, "a")
    assert ReadResourceResult([part, BlobResourceContents(AT, ""), part]).text == "a\na"


def test_the_contents_of_a_resource_are_text_or_not() -> None:
    assert read_resource_contents({"uri": "u", "blob": ""}) == BlobResourceContents("u", "")
    for raw in ({"uri": "u"}, {"uri": "u", "blob": 1}, {"uri": "u", "blob": 1, "text": ""}, 1):
        with pytest.raises(RemoteProtocolError):
            read_resource_contents(raw)


USES, RESULTS = [ToolUseContent(use, "t", {}) for use in "ab"], [ToolResultContent(use, []) for use in "ab"]


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        ([("user", TEXT), ("assistant", TEXT)], None),
        ([("assistant", [TEXT, *USES]), ("user", RESULTS), ("assistant", TEXT), ("user", TEXT)], None),
        ([("assistant", USES[0]), ("user", RESULTS[0]), ("assistant", USES[1]), ("user", RESULTS[1])], None),
        ([("assistant", USES), ("user", RESULTS[0])], "missing"),
        ([("assistant", USES[0]), ("user", RESULTS[1])], "missing"),
        ([("assistant", USES[0]), ("user", TEXT), ("user", RESULTS[0])], "missing"),
        ([("assistant", USES[0])], "missing"),
        ([("assistant", USES[0]), ("user", [RESULTS[0], TEXT])], "mixed"),
        ([("assistant", USES[0]), ("assistant", RESULTS[0])], "mixed"),
    ],
)
def test_the_results_of_tools_in_a_question_to_a_model(turns: list[tuple[Any, Any]], complaint: str | None) -> None:
    request = CreateMessageRequest([SamplingMessage(role, content) for role, content in turns], 9)
    if complaint is None:
        request.check_tool_results()
        return
    with pytest.raises(RemoteProtocolError, match=complaint):
        request.check_tool_results()


# -- elicitation, tasks, capabilities, completion ---------------------------------------------------------------------


def test_many_defaults_among_many_choices_take_no_more_than_both_together() -> None:
    class Text(str):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Text.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    texts = [Text(number) for number in range(300)]
    field = {"type": "array", "default": texts[::-1], "items": {"enum": [*texts, Text("last")]}}
    assert ElicitRequest("", {"properties": {"f": field}}).defaults() == {"f": texts[::-1]}
    assert Text.compared < 3000


def test_a_form_knows_its_defaults() -> None:
    fields = {"a": {"default": 0}, "b": {}, "c": 1, "d": {"default": None}, "e": {"type": "string", "default": 0}}
    assert ElicitRequest("", {"properties": fields}).defaults() == {"a": 0}
    assert ElicitRequest("", {"properties": 1}).defaults() == ElicitRequest("", {}).defaults() == {}


SIZES = {"enum": ["S", "L"]}
TITLED: dict[str, Any] = {"oneOf": [{"const": "S", "title": "Small"}, {"const": "L", "title": "Large"}]}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string"}, ["", "x"], [1, True, None, ["x"], {}]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["a", "abcd"]),
        ({"type": "string", **SIZES}, ["S"], ["M", 1]),
        ({"type": "string", **TITLED}, ["L"], ["Large"]),
        ({"type": "number", "minimum": 0, "maximum": 1.5}, [0, 1.5], [-1, 2, "1", True]),
        ({"type": "integer"}, [1, 1.0], [1.5, True]),
        ({"type": "boolean"}, [False, True], [0, "true"]),
        ({"type": "array", "items": SIZES}, [[], ["S", "L"]], ["S", ["M"], [1]]),
        ({"type": "array", "items": {"anyOf": TITLED["oneOf"]}, "minItems": 1}, [["L"]], [[], ["Large"]]),
        ({"type": "array"}, [["x"]], [[1], [["x"]]]),
        ({}, ["x", 1, 0.5, False, ["x"]], [None, {}, [{}]]),
        ({"type": ["string"], "minLength": "2", "enum": 1, "items": 1}, ["x", 1, ["x"]], [{}]),
        ({"oneOf": [{"minLength": 1}, 1]}, ["x"], [{}]),
    ],
)
def test_what_a_field_of_a_form_may_hold(schema: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    form = ElicitRequest("m", {"type": "object", "properties": {"field": schema}})
    assert [value for value in good if form.mistake_in({"field": value}) is not None] == []
    assert [value for value in bad if form.mistake_in({"field": value}) is None] == []
    assert form.mistake_in({}) is None


def test_a_field_that_a_form_asks_for_and_one_that_it_does_not_know() -> None:
    form = ElicitRequest("m", {"properties": {"name": {"type": "string"}, "age": 1}, "required": ["name", 1]})
    assert form.mistake_in({"name": "Ada", "age": 36, "more": True}) is None
    assert form.mistake_in({"age": 36}) == "'name' is missing"
    assert form.mistake_in({"name": 36}) == "'name' is not what the form asks for"
    assert form.mistake_in({"name": "Ada", "more": {}}) == "'more' is not what the form asks for"


def test_an_elicitation_is_a_form_or_a_link() -> None:
    form: dict[str, Any] = {"message": "m", "requestedSchema": {}}
    assert read_elicitation(form) == read_elicitation({**form, "mode": "form"}) == ElicitRequest("m", {})
    assert read_elicitation({"mode": "url", "message": "m", "url": "u"}) == ElicitUrlRequest("m", "u")
    for raw in ({**form, "mode": "smoke"}, {**form, "mode": None}, {**form, "mode": []}, 1):
        with pytest.raises(RemoteProtocolError):
            read_elicitation(raw)


def test_what_became_of_an_elicitation() -> None:
    assert ElicitResult.accept({"n": 1}).to_json() == {"action": "accept", "content": {"n": 1}}
    results = [ElicitResult.accept(), ElicitResult.decline(), ElicitResult.cancel()]
    assert [result.to_json() for result in results] == [{"action": name} for name in ("accept", "decline", "cancel")]
    assert ElicitResult.accept({}).to_json() == {"action": "accept", "content": {}}


def test_no_data_is_no_log_message_but_null_is() -> None:
    assert LogMessage("info", None).to_json() == {"level": "info", "data": None}
    assert LogMessage.from_json({"level": "info", "data": None}).data is None


@pytest.mark.parametrize(
    ("status", "brings"), [("input_required", "inputRequests"), ("completed", "result"), ("failed", "error")]
)
def test_a_task_brings_what_its_status_says(status: str, brings: str) -> None:
    raw = {"taskId": "1", "status": status, "createdAt": "", "lastUpdatedAt": "", "ttlMs": None}
    with pytest.raises(RemoteProtocolError, match=f"has no {brings}"):
        DetailedTask.from_json(raw)
    task = DetailedTask.from_json({**raw, brings: {"k": 1}})
    assert [task.input_requests, task.result, task.error].count({"k": 1}) == 1
    assert task.is_over is (status != "input_required")
    assert Task.from_json(raw).to_json() == raw


def test_a_task_at_work_brings_nothing() -> None:
    task = DetailedTask("1", "working", "", "", None)
    assert DetailedTask.from_json(task.to_json()) == task
    assert task.to_json()["ttlMs"] is None
    assert not task.is_over


def test_a_capability_that_is_there_counts_however_empty() -> None:
    capabilities = ServerCapabilities.from_json({"tools": {}, "logging": []})
    assert capabilities.tools
    assert (capabilities.tools, capabilities.logging) == (Capability(), None)


def test_a_completion_s_values_are_near() -> None:
    assert mcpcore.CompleteResult(Completion(["a", "b"])).values == ["a", "b"]


# -- tools ------------------------------------------------------------------------------------------------------------


def test_a_result_raises_if_its_tool_failed() -> None:
    fine = CallToolResult([TEXT])
    assert fine.raise_for_error() is fine
    with pytest.raises(ToolError, match=r"^text$") as caught:
        RESULT.raise_for_error()
    assert caught.value.result is RESULT
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.result) == ("text", RESULT)
    with pytest.raises(ToolError, match="and not why"):
        CallToolResult([], is_error=True).raise_for_error()


def test_tools_in_the_formats_of_models() -> None:
    schema = TOOL.input_schema
    function = {"name": "t", "description": "does it", "parameters": schema}
    assert to_openai(TOOL) == {"type": "function", "function": function}
    assert to_anthropic(TOOL) == {"name": "t", "description": "does it", "input_schema": schema}


def test_a_tool_in_them_may_have_another_name_and_less_to_say() -> None:
    tool = Tool("a.b", {})
    assert to_openai(tool, name="a_b") == {"type": "function", "function": {"name": "a_b", "parameters": {}}}
    assert to_anthropic(attrs.evolve(tool, title="T"), name="a_b") == {
        "name": "a_b",
        "description": "T",
        "input_schema": {},
    }


@pytest.mark.parametrize("name", ["a.b", "a b", "a" * 65, "\u00e4", "a\n"])
def test_a_name_that_models_do_not_take_is_refused(name: str) -> None:
    for convert in (to_openai, to_anthropic):
        with pytest.raises(LocalProtocolError, match="give a name="):
            convert(Tool(name, {}))
        assert convert(Tool("a" * 64, {}))
