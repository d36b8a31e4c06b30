"""One object of each type of the wire, with every field given, and what the tests of all of them share."""

from __future__ import annotations

from typing import Any

import attrs

from mcpcore import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    Capability,
    ClientCapabilities,
    CompleteResult,
    Completion,
    CreateMessageRequest,
    CreateMessageResult,
    DetailedTask,
    ElicitationCapability,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    EmbeddedResource,
    GetPromptResult,
    Icon,
    ImageContent,
    Implementation,
    LogMessage,
    ModelHint,
    ModelPreferences,
    Progress,
    Prompt,
    PromptArgument,
    PromptMessage,
    PromptReference,
    ReadResourceResult,
    Resource,
    ResourceLink,
    ResourceTemplate,
    ResourceTemplateReference,
    Root,
    SamplingCapability,
    SamplingMessage,
    ServerCapabilities,
    Task,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
    ToolChoice,
    ToolResultContent,
    ToolUseContent,
    UnknownContent,
)
from mcpcore.types.wire import WireObject

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "string"}}}
WHEN = "2026-07-28T00:00:00Z"
AT = "file:///a"

NOTES = Annotations(["user"], 0.5, WHEN)
ICON = Icon("https://icons.example/a.png", "image/png", ["48x48"], "dark")
TEXT = TextContent("text", NOTES)
PART = TextResourceContents(AT, "text", "text/plain")
BLOB = BlobResourceContents(AT, "aGk=", "image/png")
ARGUMENT = PromptArgument("n", "N", "a name", True)
TURN = PromptMessage("user", TEXT)
MESSAGE = SamplingMessage("user", TEXT)
MANNERS = ToolAnnotations("T", True, False, True, False)
TOOL = Tool("t", SCHEMA, "T", "does it", SCHEMA, MANNERS, [ICON])
RESULT = CallToolResult([TEXT], {"n": 1}, True)
CAN = Capability(True, True)
PREFERENCES = ModelPreferences([ModelHint("small")], 0.1, 0.2, 0.3)
OF_A_RESOURCE: dict[str, Any] = {
    "title": "A",
    "description": "a file",
    "mime_type": "text/plain",
    "annotations": NOTES,
    "icons": [ICON],
}

FULL: tuple[WireObject, ...] = (
    NOTES,
    ICON,
    TEXT,
    ImageContent("aGk=", "image/png", NOTES),
    AudioContent("aGk=", "audio/wav", NOTES),
    ResourceLink(AT, "a", size=3, **OF_A_RESOURCE),
    EmbeddedResource(PART, NOTES),
    ToolUseContent("1", "t", {"n": "x"}),
    ToolResultContent("1", [TEXT], {"n": 1}, True),
    UnknownContent("new"),
    Resource(AT, "a", size=3, **OF_A_RESOURCE),
    ResourceTemplate("file:///{n}", "a", **OF_A_RESOURCE),
    PART,
    BLOB,
    ReadResourceResult([PART, BLOB]),
    ARGUMENT,
    Prompt("p", "P", "a prompt", [ARGUMENT], [ICON]),
    TURN,
    GetPromptResult([TURN], "a prompt"),
    PromptReference("p", "P"),
    ResourceTemplateReference("file:///{n}"),
    Completion(["a"], 2, True),
    CompleteResult(Completion(["a"], 2, True)),
    MANNERS,
    TOOL,
    RESULT,
    Implementation("i", "1", "I", "a program", "https://i.example/", [ICON]),
    CAN,
    ServerCapabilities(CAN, CAN, CAN, CAN, CAN, {"e.example/x": {}}, {"y": {}}),
    SamplingCapability(Capability(), Capability()),
    ElicitationCapability(Capability(), Capability()),
    ClientCapabilities(CAN, SamplingCapability(), ElicitationCapability(), {"e.example/x": {}}, {"y": {}}),
    ElicitRequest("a name?", SCHEMA),
    ElicitUrlRequest("log in", "https://login.example/a?secret=HIDDEN", "1"),
    ElicitResult.accept({"n": "x"}),
    MESSAGE,
    ModelHint("small"),
    PREFERENCES,
    ToolChoice("auto"),
    CreateMessageRequest(
        [MESSAGE], 9, "be brief", PREFERENCES, 0.5, ["."], "none", {"k": 1}, [TOOL], ToolChoice("auto")
    ),
    CreateMessageResult("assistant", [TEXT], "small", "endTurn"),
    Root(AT, "a"),
    LogMessage("info", {"k": 1}, "log"),
    Progress(1, 2, "half"),
    Task("t", "working", WHEN, WHEN, 1000, 10, "at it"),
    DetailedTask("t", "completed", WHEN, WHEN, 1000, 10, "done", {"k": {}}, {"content": []}, {"code": 1}),
)


def made_anew(value: Any) -> Any:
    """The same object, and all that it holds, as if it had not been read but made."""
    if isinstance(value, WireObject):
        held = {field.name: made_anew(getattr(value, field.name)) for field in attrs.fields(type(value)) if field.init}
        return attrs.evolve(value, **{**held, "raw": {}})
    return [made_anew(item) for item in value] if isinstance(value, list) else value
