"""What users touch of tools: the definition, the result of a call, and progress on the way.

Lenient in: a missing optional field is None, an unknown one stays in ``raw``, and a field of the wrong shape is treated
as missing.  Only what makes an object useless (a tool without a name) is refused.
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_list, as_number, as_object, as_text
from mcpcore.errors import RemoteProtocolError


@frozen
class Tool:
    """A tool that the server offers (2026-07-28, "Tools", Tool).

    :ivar name: what :meth:`Client.call_tool` takes.
    :ivar title: a name for people to read, or None.
    :ivar description: what it does, for a model to read, or None.
    :ivar input_schema: the JSON Schema of its arguments.
    :ivar raw: the whole definition as received, unknown fields included.
    """

    name: str
    title: str | None
    description: str | None
    input_schema: dict[str, Any] = field(repr=False)
    raw: dict[str, Any] = field(repr=False)

    @classmethod
    def from_json(cls, raw: object) -> Tool:
        """Read one definition.

        :raises RemoteProtocolError: if it has no name or no input schema.
        """
        definition = as_object(raw)
        if definition is None:
            raise RemoteProtocolError("a tool definition is not an object")
        name, schema = as_text(definition.get("name")), as_object(definition.get("inputSchema"))
        if not name:
            raise RemoteProtocolError("a tool definition has no name")
        if schema is None:
            raise RemoteProtocolError(f"the definition of tool {name!r} has no inputSchema")
        title, description = as_text(definition.get("title")), as_text(definition.get("description"))
        return cls(name, title, description, schema, definition)


@frozen
class CallToolResult:
    """What a tool answered (2026-07-28, "Tools", Tool Result).

    A tool that failed says so in its result: look at ``is_error`` before trusting ``text``.

    :ivar content: the content blocks as received.
    :ivar structured_content: the structured result, any JSON value, or None if there is none.
    :ivar is_error: whether the tool says that it failed.
    :ivar raw: the whole result as received.
    """

    content: list[dict[str, Any]] = field(repr=False)
    structured_content: Any = field(repr=False)
    is_error: bool
    raw: dict[str, Any] = field(repr=False)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> CallToolResult:
        """Read the result of ``tools/call``.

        :raises RemoteProtocolError: if its content is not a list.
        """
        content = as_list(raw.get("content", []))
        if content is None:
            raise RemoteProtocolError("the content of a tool's result is not a list")
        blocks = [block for item in content if (block := as_object(item)) is not None]
        return cls(blocks, raw.get("structuredContent"), raw.get("isError") is True, raw)

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines; empty if there are none."""
        return "\n".join(
            block["text"]
            for block in self.content
            if block.get("type") == "text" and isinstance(block.get("text"), str)
        )


@frozen
class Progress:
    """How far a call has come (2026-07-28, "Progress").

    :ivar progress: grows with each notification.
    :ivar total: what ``progress`` is of, or None if unknown.
    :ivar message: for people to read, or None.
    """

    progress: float
    total: float | None
    message: str | None

    @classmethod
    def from_json(cls, params: dict[str, Any]) -> Progress | None:
        """Read a progress notification's parameters; None if they hold no number."""
        progress, total = as_number(params.get("progress")), as_number(params.get("total"))
        return None if progress is None else cls(progress, total, as_text(params.get("message")))
