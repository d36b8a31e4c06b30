"""Resources: what a server has to read."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from mcpcore.codecs.shapes import as_integer, as_object, as_text
from mcpcore.errors import RemoteProtocolError
from mcpcore.redaction import repr_of_name
from mcpcore.types.annotations import Annotations, Icon
from mcpcore.types.wire import WireObject, all_of, any_of, optional, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class Resource(WireObject):
    """Something that the server has to read (2026-07-28, "Resources", Resource).

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

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            uri=required(as_text(given.get("uri")), "a resource has no uri"),
            name=required(as_text(given.get("name")), "a resource has no name"),
            size=as_integer(given.get("size")),
            **description_of(given),
            raw=given,
        )


@frozen
class ResourceTemplate(WireObject):
    """The form of the URIs of many resources (2026-07-28, "Resources", Resource Templates).

    :ivar uri_template: the form, a URI template (RFC 6570).
    :ivar name: what it is called.
    :ivar title: a name for people to read, or None.
    :ivar description: what the resources are, for a model to read, or None.
    :ivar mime_type: what kind of content all of them have, or None.
    :ivar annotations: for whom they are and how much they matter, or None.
    :ivar icons: how the template looks in a list, or None.
    """

    uri_template: str = field(repr=repr_of_name)
    name: str
    title: str | None = None
    description: str | None = field(default=None, repr=False)
    mime_type: str | None = None
    annotations: Annotations | None = field(default=None, repr=False)
    icons: Sequence[Icon] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            uri_template=required(as_text(given.get("uriTemplate")), "a resource template has no uriTemplate"),
            name=required(as_text(given.get("name")), "a resource template has no name"),
            **description_of(given),
            raw=given,
        )


def description_of(given: dict[str, Any]) -> dict[str, Any]:
    """What resources, links to them and templates say of themselves alike."""
    return {
        "title": as_text(given.get("title")),
        "description": as_text(given.get("description")),
        "mime_type": as_text(given.get("mimeType")),
        "annotations": optional(given.get("annotations"), Annotations.from_json),
        "icons": any_of(given.get("icons"), Icon.from_json),
    }


@frozen
class TextResourceContents(WireObject):
    """A resource, or a part of one, that is text (2026-07-28, "Resources", Resource Contents).

    :ivar uri: what it is the content of.
    :ivar text: the content.
    :ivar mime_type: what kind of text, or None.
    """

    uri: str = field(repr=repr_of_name)
    text: str = field(repr=False)
    mime_type: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        uri = required(as_text(given.get("uri")), "the content of a resource has no uri")
        text = required(as_text(given.get("text")), "the content of a resource has no text")
        return cls(uri, text, as_text(given.get("mimeType")), raw=given)


@frozen
class BlobResourceContents(WireObject):
    """A resource, or a part of one, that is binary (2026-07-28, "Resources", Resource Contents).

    :ivar uri: what it is the content of.
    :ivar blob: the content, in base64.
    :ivar mime_type: what kind of content, or None.
    """

    uri: str = field(repr=repr_of_name)
    blob: str = field(repr=False)
    mime_type: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        uri = required(as_text(given.get("uri")), "the content of a resource has no uri")
        blob = required(as_text(given.get("blob")), "the content of a resource has no blob")
        return cls(uri, blob, as_text(given.get("mimeType")), raw=given)

    def decoded(self) -> bytes:
        """The content as bytes.

        :raises RemoteProtocolError: if it is not base64.
        """
        return from_base64(self.blob)


ResourceContents: TypeAlias = TextResourceContents | BlobResourceContents


def read_resource_contents(raw: object) -> ResourceContents:
    """Read a resource's content, whichever of the two it is.

    :raises RemoteProtocolError: if it is neither.
    """
    given = required(as_object(raw), "the content of a resource is not an object")
    return BlobResourceContents.from_json(given) if "blob" in given else TextResourceContents.from_json(given)


def from_base64(text: str) -> bytes:
    """The bytes that a server sent as base64.

    :raises RemoteProtocolError: if it is no base64.
    """
    try:
        return b64decode(text, validate=True)
    except ValueError:
        reason = "what should be base64 is none"
    # Raised out of the handler, so that no exception in the chain holds the content.
    raise RemoteProtocolError(reason)


@frozen
class ReadResourceResult(WireObject):
    """What a resource holds (2026-07-28, "Resources", Reading Resources).

    :ivar contents: its parts; a resource that is a folder may have many.
    """

    contents: Sequence[ResourceContents] = field(repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        complaint = "the contents of a resource are not a list"
        return cls(all_of(given.get("contents"), read_resource_contents, complaint), raw=given)

    @property
    def text(self) -> str:
        """The parts that are text, joined by newlines; empty if there are none."""
        return "\n".join(part.text for part in self.contents if isinstance(part, TextResourceContents))
