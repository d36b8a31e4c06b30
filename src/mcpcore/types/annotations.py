"""What is said about things: for whom they are, how much they matter, and how they look in a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_number, as_text, as_texts
from mcpcore.redaction import repr_of_name
from mcpcore.types.wire import Role, WireObject, any_of, read_role, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class Annotations(WireObject):
    """Hints on how to use a resource or a piece of content (2026-07-28, "Resources", Annotations).

    :ivar audience: for whom it is meant, or None.
    :ivar priority: how much it matters, from 0 (not at all) to 1 (it is required), or None.
    :ivar last_modified: when it last changed, an ISO 8601 date and time, or None.
    """

    audience: Sequence[Role] | None = None
    priority: float | None = None
    last_modified: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        audience = any_of(given.get("audience"), read_role)
        return cls(audience, as_number(given.get("priority")), as_text(given.get("lastModified")), raw=given)


@frozen
class Icon(WireObject):
    """A picture that stands for something (2026-07-28, "Overview", Icons).

    Whoever fetches it does so without credentials, and trusts neither its address nor its content.

    :ivar src: the URL of the picture: ``https:`` or ``data:``.
    :ivar mime_type: what kind of picture, or None.
    :ivar sizes: the sizes that it is good for, as ``48x48`` or ``any``, or None for any.
    :ivar theme: the background that it is made for, ``light`` or ``dark``, or None for both.
    """

    src: str = field(repr=repr_of_name)
    mime_type: str | None = None
    sizes: Sequence[str] | None = None
    theme: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        src = required(as_text(given.get("src")), "an icon has no src")
        sizes = as_texts(given["sizes"]) if "sizes" in given else None
        return cls(src, as_text(given.get("mimeType")), sizes, as_text(given.get("theme")), raw=given)
