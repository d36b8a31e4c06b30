"""Content: what tools, prompts and models say, piece by piece.

Each piece is a block, and ``block.type`` tells which kind.  A block of a kind that is not known here, or one of a known
kind that lacks what makes it useful, is an :class:`UnknownContent`: it is kept, passed on as it came, and spoils none
of its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import field, frozen

from mcpcore.codecs.shapes import as_integer, as_list, as_object, as_text, is_object
from mcpcore.errors import RemoteProtocolError
from mcpcore.redaction import repr_of_name
from mcpcore.types.annotations import Annotations, Icon
from mcpcore.types.resources import ResourceContents, description_of, from_base64, read_resource_contents
from mcpcore.types.wire import WireObject, optional, required

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Self


@frozen
class TextContent(WireObject):
    """Text (2026-07-28, "Tools", Text Content).

    :ivar text: the text.
    :ivar annotations: for whom it is and how much it matters, or None.
    """

    text: str = field(repr=False)
    annotations: Annotations | None = field(default=None, repr=False)
    type: Literal["text"] = field(default="text", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        text, annotations = given.get("text"), given.get("annotations")
        if not isinstance(text, str):
            raise RemoteProtocolError("a content block has no text")
        # There are many of these, and hardly any that is annotated.
        return cls(text, None if annotations is None else optional(annotations, Annotations.from_json), raw=given)


@frozen
class ImageContent(WireObject):
    """A picture (2026-07-28, "Tools", Image Content).

    :ivar data: the picture, in base64.
    :ivar mime_type: what kind of picture.
    :ivar annotations: for whom it is and how much it matters, or None.
    """

    data: str = field(repr=False)
    mime_type: str
    annotations: Annotations | None = field(default=None, repr=False)
    type: Literal["image"] = field(default="image", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(**_binary(given), raw=given)

    def decoded(self) -> bytes:
        """The picture as bytes.

        :raises RemoteProtocolError: if it is not base64.
        """
        return from_base64(self.data)


@frozen
class AudioContent(WireObject):
    """Sound (2026-07-28, "Tools", Audio Content).

    :ivar data: the sound, in base64.
    :ivar mime_type: what kind of sound.
    :ivar annotations: for whom it is and how much it matters, or None.
    """

    data: str = field(repr=False)
    mime_type: str
    annotations: Annotations | None = field(default=None, repr=False)
    type: Literal["audio"] = field(default="audio", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(**_binary(given), raw=given)

    def decoded(self) -> bytes:
        """The sound as bytes.

        :raises RemoteProtocolError: if it is not base64.
        """
        return from_base64(self.data)


def _binary(given: dict[str, Any]) -> dict[str, Any]:
    return {
        "data": required(as_text(given.get("data")), "a content block has no data"),
        "mime_type": required(as_text(given.get("mimeType")), "a content block has no mimeType"),
        "annotations": optional(given.get("annotations"), Annotations.from_json),
    }


@frozen
class ResourceLink(WireObject):
    """A resource to be read by its URI, listed or not (2026-07-28, "Tools", Resource Links).

    :ivar uri: what :meth:`Client.read_resource` takes.
    :ivar name: what it is called.
    :ivar title: a name for people to read, or None.
    :ivar description: what it is, for a model to read, or None.
    :ivar mime_type: what kind of content it has, or None.
    :ivar size: how many bytes it has, or None.
    :ivar annotations: for whom it is and how much it matters, or None.
    :ivar icons: how it looks in a list, or None.
    """

    uri: str = field(repr=repr_of_name)
    name: str
    title: str | None = None
    description: str | None = field(default=None, repr=False)
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = field(default=None, repr=False)
    icons: Sequence[Icon] | None = field(default=None, repr=False)
    type: Literal["resource_link"] = field(default="resource_link", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            uri=required(as_text(given.get("uri")), "a link to a resource has no uri"),
            name=required(as_text(given.get("name")), "a link to a resource has no name"),
            size=as_integer(given.get("size")),
            **description_of(given),
            raw=given,
        )


@frozen
class EmbeddedResource(WireObject):
    """A resource with its content (2026-07-28, "Tools", Embedded Resources).

    :ivar resource: the content.
    :ivar annotations: for whom it is and how much it matters, or None.
    """

    resource: ResourceContents
    annotations: Annotations | None = field(default=None, repr=False)
    type: Literal["resource"] = field(default="resource", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        annotations = optional(given.get("annotations"), Annotations.from_json)
        return cls(read_resource_contents(given.get("resource")), annotations, raw=given)


@frozen
class ToolUseContent(WireObject):
    """A model asks for a tool to be called (2026-07-28, "Sampling", Tool Use).

    :ivar id: what the result names.
    :ivar name: the tool.
    :ivar input: its arguments.
    """

    id: str
    name: str
    input: dict[str, Any] = field(repr=False)
    type: Literal["tool_use"] = field(default="tool_use", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        use_id = required(as_text(given.get("id")), "the use of a tool has no id")
        name = required(as_text(given.get("name")), "the use of a tool has no name")
        arguments = required(as_object(given.get("input")), "the use of a tool has no input")
        return cls(use_id, name, arguments, raw=given)


@frozen
class ToolResultContent(WireObject):
    """What a tool answered, told to the model that asked for it (2026-07-28, "Sampling", Tool Result).

    :ivar tool_use_id: the ``id`` of the :class:`ToolUseContent` that it answers.
    :ivar content: the blocks of the tool's result.
    :ivar structured_content: the structured result, any JSON value, or None if there is none.
    :ivar is_error: whether the tool says that it failed.
    """

    tool_use_id: str
    content: Sequence[ContentBlock] = field(repr=False)
    structured_content: Any = field(default=None, repr=False)
    is_error: bool = False
    type: Literal["tool_result"] = field(default="tool_result", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        use_id = required(as_text(given.get("toolUseId")), "a tool's result has no toolUseId")
        blocks = read_blocks(given.get("content"), "the content of a tool's result is not a list")
        return cls(use_id, blocks, given.get("structuredContent"), given.get("isError") is True, raw=given)


@frozen
class UnknownContent(WireObject):
    """A block that cannot be read here; what it holds is in ``raw``.

    :ivar type: the kind that it says it is; empty if it says none.
    """

    type: str = ""

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(as_text(given.get("type")) or "", raw=given)


ContentBlock: TypeAlias = (
    TextContent
    | ImageContent
    | AudioContent
    | ResourceLink
    | EmbeddedResource
    | ToolUseContent
    | ToolResultContent
    | UnknownContent
)


def read_content(raw: object) -> ContentBlock:
    """Read one block, of whichever kind.

    :raises RemoteProtocolError: if it is not an object.
    """
    return _read_block(raw) if is_object(raw) else UnknownContent.from_json(raw)


def _read_block(given: dict[str, Any]) -> ContentBlock:
    kind = given.get("type")
    try:
        return _KINDS.get(kind if isinstance(kind, str) else "", UnknownContent).from_json(given)
    except RemoteProtocolError:
        return UnknownContent.from_json(given)


def read_blocks(raw: object, complaint: str) -> list[ContentBlock]:
    """Read the blocks of an array; what is not even an object is left out.

    :raises RemoteProtocolError: with that complaint, if it is no array.
    """
    return [_read_block(item) for item in required(as_list(raw), complaint) if is_object(item)]


def text_of(blocks: Iterable[ContentBlock]) -> str:
    """The text blocks, joined by newlines; empty if there are none."""
    return "\n".join(block.text for block in blocks if isinstance(block, TextContent))


_KINDS: dict[str, type[ContentBlock]] = {
    "text": TextContent,
    "image": ImageContent,
    "audio": AudioContent,
    "resource_link": ResourceLink,
    "resource": EmbeddedResource,
    "tool_use": ToolUseContent,
    "tool_result": ToolResultContent,
}
