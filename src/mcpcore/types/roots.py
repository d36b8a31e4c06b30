"""Roots: where a client lets a server work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.redaction import repr_of_name
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from typing import Self


@frozen
class Root(WireObject):
    """A place that the server may work in (2026-07-28, "Roots").

    :ivar uri: where it is; a ``file:`` URI in all revisions so far.
    :ivar name: a name for people to read, or None.
    """

    uri: str = field(repr=repr_of_name)
    name: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(required(as_text(given.get("uri")), "a root has no uri"), as_text(given.get("name")), raw=given)
