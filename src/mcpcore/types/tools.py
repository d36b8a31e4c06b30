"""Tools: what a server can do, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_flag, as_object, as_text
from mcpcore.errors import RemoteProtocolError, ToolError
from mcpcore.types.annotations import Icon
from mcpcore.types.content import ContentBlock, read_blocks, text_of
from mcpcore.types.wire import WireObject, any_of, optional, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class ToolAnnotations(WireObject):
    """What a tool says about its manners (2026-07-28, "Tools", Tool Annotations).

    Hints, and only as good as the server that gives them: nothing may be decided by those of one that isn't trusted.

    :ivar title: a name for people to read, or None.
    :ivar read_only_hint: whether it changes nothing, or None.
    :ivar destructive_hint: whether it may destroy something, or None.
    :ivar idempotent_hint: whether doing it twice is the same as doing it once, or None.
    :ivar open_world_hint: whether it has to do with things that the server does not control, or None.
    """

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            as_text(given.get("title")),
            as_flag(given.get("readOnlyHint")),
            as_flag(given.get("destructiveHint")),
            as_flag(given.get("idempotentHint")),
            as_flag(given.get("openWorldHint")),
            raw=given,
        )


@frozen
class Tool(WireObject):
    """A tool that the server offers (2026-07-28, "Tools", Tool).

    :ivar name: what :meth:`Client.call_tool` takes.
    :ivar input_schema: the JSON Schema of its arguments.
    :ivar title: a name for people to read, or None.
    :ivar description: what it does, for a model to read, or None.
    :ivar output_schema: the JSON Schema of its structured results, or None.
    :ivar annotations: what it says about its manners, or None.
    :ivar icons: how it looks in a list, or None.
    :ivar raw: the whole definition as received, unknown fields included.
    """

    name: str
    input_schema: dict[str, Any] = field(repr=False)
    title: str | None = None
    description: str | None = None
    output_schema: dict[str, Any] | None = field(default=None, repr=False)
    annotations: ToolAnnotations | None = field(default=None, repr=False)
    icons: Sequence[Icon] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        name, schema = as_text(given.get("name")), as_object(given.get("inputSchema"))
        if not name:
            raise RemoteProtocolError("a tool definition has no name")
        return cls(
            name,
            required(schema, f"the definition of tool {name!r} has no inputSchema"),
            as_text(given.get("title")),
            as_text(given.get("description")),
            as_object(given.get("outputSchema")),
            optional(given.get("annotations"), ToolAnnotations.from_json),
            any_of(given.get("icons"), Icon.from_json),
            raw=given,
        )


@frozen
class CallToolResult(WireObject):
    """What a tool answered (2026-07-28, "Tools", Tool Result).

    A tool that failed says so in its result: look at ``is_error``, or call :meth:`raise_for_error`, before trusting
    ``text``.

    :ivar content: what it says, block by block.
    :ivar structured_content: the structured result, any JSON value, or None if there is none.
    :ivar is_error: whether the tool says that it failed.
    :ivar raw: the whole result as received.
    """

    content: Sequence[ContentBlock] = field(repr=False)
    structured_content: Any = field(default=None, repr=False)
    is_error: bool = False

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        content = read_blocks(given.get("content", []), "the content of a tool's result is not a list")
        return cls(content, given.get("structuredContent"), given.get("isError") is True, raw=given)

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines; empty if there are none."""
        return text_of(self.content)

    def raise_for_error(self) -> Self:
        """The result itself, unless the tool says that it failed.

        :raises ToolError: if it does.
        """
        if self.is_error:
            raise ToolError(self.text or "the tool says that it failed, and not why", result=self)
        return self
