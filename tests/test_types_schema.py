"""The objects of the wire, against the specification's own examples and schemas.

Every example document of the specification is read and written again.  The tables say by which type, and what those
documents are that are not objects which users touch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.schema import SPEC, defined, needs_schema, validate
from support.wire_types import AT, FULL, MESSAGE, SCHEMA, TOOL, made_anew

from mcpcore import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ClientCapabilities,
    CompleteResult,
    Completion,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    Implementation,
    Limits,
    LogMessage,
    ModelPreferences,
    Progress,
    Prompt,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceLink,
    ResourceTemplate,
    Root,
    SamplingMessage,
    ServerCapabilities,
    TextContent,
    TextResourceContents,
    Tool,
    ToolResultContent,
    ToolUseContent,
)
from mcpcore.codecs import jsonrpc
from mcpcore.types.elicitation import read_elicitation
from mcpcore.types.wire import WireObject

pytestmark = needs_schema

Again = Callable[[Any], Any]

# What the results and parameters say besides, to the core rather than to users.
ENVELOPE = {"_meta", "resultType", "ttlMs", "cacheScope", "progressToken"}


def known_of(raw: Any) -> Any:
    """What of an example the types have fields for, and what is not the same if it is left out."""
    if isinstance(raw, dict):
        said = {key: value for key, value in raw.items() if key not in ENVELOPE and (key, value) != ("isError", False)}
        return {key: known_of(value) for key, value in said.items()}
    return [known_of(item) for item in raw] if isinstance(raw, list) else raw


def once_more(read: Callable[[object], WireObject]) -> Again:
    """Reads and writes; and made anew from its fields, the object says the same, and nothing is only in ``raw``."""

    def again(raw: Any) -> Any:
        found = read(raw)
        made = made_anew(found).to_json()
        assert made == {**({"mode": "form"} if "requestedSchema" in made else {}), **known_of(raw)}
        return found.to_json()

    return again


def each(key: str, read: Callable[[object], WireObject]) -> Again:
    """A page: what it lists is read one by one."""
    return lambda raw: {**raw, key: [once_more(read)(item) for item in raw[key]]}


def as_message(raw: Any) -> Any:
    """A whole message: what the codec reads and writes."""
    [message] = jsonrpc.decode(json.dumps(raw).encode(), Limits())
    return json.loads(jsonrpc.encode(message))


def as_parameters(raw: Any) -> Any:
    return as_message({"jsonrpc": "2.0", "method": "x", "params": raw})["params"]


def as_result(raw: Any) -> Any:
    return as_message({"jsonrpc": "2.0", "id": 1, "result": raw})["result"]


def as_error(raw: Any) -> Any:
    return as_message({"jsonrpc": "2.0", "id": 1, "error": raw})["error"]


def as_form_field(raw: Any) -> Any:
    """A field of a form, which is JSON Schema and stays so."""
    form = once_more(ElicitRequest.from_json)(
        {"message": "m", "requestedSchema": {"type": "object", "properties": {"x": raw}}}
    )
    return form["requestedSchema"]["properties"]["x"]


ASKED: dict[str, Again] = {
    "elicitation/create": once_more(read_elicitation),
    "sampling/createMessage": once_more(CreateMessageRequest.from_json),
    "roots/list": lambda raw: raw,
}


def as_question(raw: Any) -> Any:
    """What a server asks of a client, outside of JSON-RPC."""
    params = {"params": ASKED[raw["method"]](raw["params"])} if "params" in raw else {}
    return {**raw, **params}


def as_questions(raw: Any) -> Any:
    return {key: as_question(value) for key, value in raw.items()}


def as_wish_for_input(raw: Any) -> Any:
    return {**raw, **({"inputRequests": as_questions(raw["inputRequests"])} if "inputRequests" in raw else {})}


def as_answers(raw: Any) -> Any:
    kinds: dict[bool, Again] = {
        True: once_more(ElicitResult.from_json),
        False: once_more(CreateMessageResult.from_json),
    }
    return {key: kinds["action" in value](value) for key, value in raw.items()}


def as_discovery(raw: Any) -> Any:
    name = "io.modelcontextprotocol/serverInfo"
    server = once_more(Implementation.from_json)(raw["_meta"][name])
    capabilities = once_more(ServerCapabilities.from_json)(raw["capabilities"])
    return {**raw, "capabilities": capabilities, "_meta": {**raw["_meta"], name: server}}


OBJECTS: dict[str, Callable[[object], WireObject]] = {
    "AudioContent": AudioContent.from_json,
    "BlobResourceContents": BlobResourceContents.from_json,
    "CallToolResult": CallToolResult.from_json,
    "ClientCapabilities": ClientCapabilities.from_json,
    "CompleteResult": CompleteResult.from_json,
    "CreateMessageRequestParams": CreateMessageRequest.from_json,
    "CreateMessageResult": CreateMessageResult.from_json,
    "ElicitRequestFormParams": read_elicitation,
    "ElicitRequestURLParams": read_elicitation,
    "ElicitResult": ElicitResult.from_json,
    "EmbeddedResource": EmbeddedResource.from_json,
    "GetPromptResult": GetPromptResult.from_json,
    "ImageContent": ImageContent.from_json,
    "LoggingMessageNotificationParams": LogMessage.from_json,
    "ModelPreferences": ModelPreferences.from_json,
    "ProgressNotificationParams": Progress.from_json,
    "ReadResourceResult": ReadResourceResult.from_json,
    "Resource": Resource.from_json,
    "ResourceLink": ResourceLink.from_json,
    "Root": Root.from_json,
    "SamplingMessage": SamplingMessage.from_json,
    "ServerCapabilities": ServerCapabilities.from_json,
    "TextContent": TextContent.from_json,
    "TextResourceContents": TextResourceContents.from_json,
    "Tool": Tool.from_json,
    "ToolResultContent": ToolResultContent.from_json,
    "ToolUseContent": ToolUseContent.from_json,
}
READ_OTHERWISE: dict[str, Again] = {
    # pages
    "ListPromptsResult": each("prompts", Prompt.from_json),
    "ListResourcesResult": each("resources", Resource.from_json),
    "ListResourceTemplatesResult": each("resourceTemplates", ResourceTemplate.from_json),
    "ListRootsResult": each("roots", Root.from_json),
    "ListToolsResult": each("tools", Tool.from_json),
    # what a server asks of a client, and is told
    "CreateMessageRequest": as_question,
    "ElicitRequest": as_question,
    "ListRootsRequest": as_question,
    "InputRequests": as_questions,
    "InputRequiredResult": as_wish_for_input,
    "InputResponses": as_answers,
    # fields of a form
    "BooleanSchema": as_form_field,
    "NumberSchema": as_form_field,
    "StringSchema": as_form_field,
    "TitledMultiSelectEnumSchema": as_form_field,
    "TitledSingleSelectEnumSchema": as_form_field,
    "UntitledMultiSelectEnumSchema": as_form_field,
    "UntitledSingleSelectEnumSchema": as_form_field,
    # results that only the core reads, for what it tells of them
    "DiscoverResult": as_discovery,
    "SubscriptionsListenResult": as_result,
    # parameters that the core writes itself, from a call's arguments, and those of notifications that it reads itself
    "CallToolRequestParams": as_parameters,
    "CancelledNotificationParams": as_parameters,
    "CompleteRequestParams": as_parameters,
    "GetPromptRequestParams": as_parameters,
    "PaginatedRequestParams": as_parameters,
    "ResourceUpdatedNotificationParams": as_parameters,
    # errors, which become RpcError
    "InternalError": as_error,
    "InvalidParamsError": as_error,
    "MethodNotFoundError": as_error,
    "ParseError": as_error,
}


def examples() -> list[Any]:
    paths = sorted((Path(SPEC or "/nowhere") / "2026-07-28" / "examples").glob("*/*.json"))
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in paths]


def reader_of(kind: str) -> Again | None:
    """How the examples of a type are read; all whole messages by the codec."""
    if kind in OBJECTS:
        return once_more(OBJECTS[kind])
    whole = ("Request", "Notification", "ResultResponse", "Error")
    return READ_OTHERWISE.get(kind) or (as_message if kind.endswith(whole) else None)


@pytest.mark.parametrize("path", examples())
def test_an_example_is_read_and_written_again(path: Path) -> None:
    again, raw = reader_of(path.parent.name), json.loads(path.read_text())
    assert again is not None, "an example of a type that no table has"
    assert again(raw) == raw


def test_the_tables_have_no_type_without_an_example() -> None:
    folders = {path.name for path in (Path(SPEC or "") / "2026-07-28" / "examples").iterdir()}
    assert (OBJECTS.keys() | READ_OTHERWISE.keys()) <= folders


# -- what is made here ------------------------------------------------------------------------------------------------

REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")

# What a type is called in the schemas, where it is not by its own name.
CALLED = {
    "CreateMessageRequest": "CreateMessageRequestParams",
    "ElicitRequest": "ElicitRequestFormParams",
    "ElicitUrlRequest": "ElicitRequestURLParams",
    "LogMessage": "LoggingMessageNotificationParams",
    "Progress": "ProgressNotificationParams",
}
# What stands around it, written by the core.
AROUND: dict[str, dict[str, Any]] = {
    "CallToolResult": {"resultType": "complete"},
    "CompleteResult": {"resultType": "complete"},
    "GetPromptResult": {"resultType": "complete"},
    "ReadResourceResult": {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"},
    "Progress": {"progressToken": 1},
}
# What no official schema knows: parts that have no name there, what is unknown by nature, and an extension (the Task
# of 2025-11-25 is another).
NO_SCHEMA = {
    "Capability",
    "Completion",
    "DetailedTask",
    "ElicitationCapability",
    "SamplingCapability",
    "Task",
    "UnknownContent",
}
# What early revisions can say with these types, some of whose fields came later.
EARLY: tuple[WireObject, ...] = (
    Root(AT, "a"),
    Tool("t", SCHEMA),
    CallToolResult([TextContent("a"), ImageContent("aGk=", "image/png")]),
    CreateMessageResult("assistant", TextContent("a"), "m", "endTurn"),
    CompleteResult(Completion(["a"])),
    EmbeddedResource(TextResourceContents(AT, "a")),
    PromptMessage("user", TextContent("a")),
    Resource(AT, "a"),
    SamplingMessage("user", TextContent("a")),
    ServerCapabilities(),
    ClientCapabilities(),
    Implementation("i", "1"),
)
WITHIN_MESSAGES: dict[str, tuple[str, WireObject]] = {
    "CreateMessageRequest": ("sampling/createMessage", CreateMessageRequest([MESSAGE], 9)),
    "ElicitRequest": ("elicitation/create", ElicitRequest("m", SCHEMA)),
    "LoggingMessageNotification": ("notifications/message", LogMessage("info", "text")),
}


def definitions(value: WireObject) -> tuple[str, dict[str, Any]]:
    name = type(value).__name__
    return CALLED.get(name, name), {**value.to_json(), **AROUND.get(name, {})}


@pytest.mark.parametrize("value", FULL, ids=lambda value: type(value).__name__)
def test_what_was_made_is_valid_in_the_newest_revision(value: WireObject) -> None:
    name, written = definitions(value)
    assert defined("2026-07-28", name) is (name not in NO_SCHEMA)
    if name not in NO_SCHEMA:
        validate("2026-07-28", name, written)


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_was_made_is_valid_in_each_revision_that_has_the_type(revision: str) -> None:
    later = FULL if revision == "2025-11-25" else ()
    for value in (*EARLY, *later):
        name, written = definitions(value)
        if defined(revision, name) and name not in NO_SCHEMA:
            validate(revision, name, written)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_what_servers_send_as_parameters_is_valid_in_each_revision(revision: str) -> None:
    for name, (method, value) in WITHIN_MESSAGES.items():
        if defined(revision, name):
            validate(revision, name, {"jsonrpc": "2.0", "id": 1, "method": method, "params": value.to_json()})


def test_a_tool_that_was_changed_is_still_valid() -> None:
    raw = {**TOOL.to_json(), "execution": {"taskSupport": "optional"}}
    validate("2025-11-25", "Tool", attrs.evolve(Tool.from_json(raw), name="other", annotations=None).to_json())
    assert ElicitUrlRequest("m", AT).mode == "url"
