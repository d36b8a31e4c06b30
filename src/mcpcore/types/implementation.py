"""Implementations: the programs on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.redaction import repr_of_name
from mcpcore.types.annotations import Icon
from mcpcore.types.wire import WireObject, any_of, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class Implementation(WireObject):
    """What a client or a server says that it is, for people to read (2026-07-28, "Overview", Implementation).

    :ivar name: what it is called.
    :ivar version: which version of it.
    :ivar title: a name for people to read, or None.
    :ivar description: what it does, or None.
    :ivar website_url: where to read about it, or None.
    :ivar icons: how it looks in a list, or None.
    """

    name: str
    version: str
    title: str | None = None
    description: str | None = None
    website_url: str | None = field(default=None, repr=repr_of_name)
    icons: Sequence[Icon] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            required(as_text(given.get("name")), "an implementation has no name"),
            required(as_text(given.get("version")), "an implementation has no version"),
            as_text(given.get("title")),
            as_text(given.get("description")),
            as_text(given.get("websiteUrl")),
            any_of(given.get("icons"), Icon.from_json),
            raw=given,
        )
