"""Completion: how an argument that somebody has begun to write could go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from mcpcore.codecs.shapes import as_flag, as_integer, as_list, as_object, as_text, as_texts
from mcpcore.redaction import repr_of_name
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class PromptReference(WireObject):
    """A prompt, one of whose arguments is to be completed (2026-07-28, "Completion", Reference Types).

    :ivar name: the prompt's name.
    :ivar title: a name for people to read, or None (since 2025-06-18).
    """

    name: str
    title: str | None = None
    type: Literal["ref/prompt"] = field(default="ref/prompt", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        name = required(as_text(given.get("name")), "a reference to a prompt has no name")
        return cls(name, as_text(given.get("title")), raw=given)


@frozen
class ResourceTemplateReference(WireObject):
    """A resource template, one of whose variables is to be completed (2026-07-28, "Completion", Reference Types).

    :ivar uri: the template.
    """

    uri: str = field(repr=repr_of_name)
    type: Literal["ref/resource"] = field(default="ref/resource", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(required(as_text(given.get("uri")), "a reference to a resource template has no uri"), raw=given)


@frozen
class Completion(WireObject):
    """What a value could be (2026-07-28, "Completion", Completion Results).

    :ivar values: the whole values, the best first; at most 100.
    :ivar total: how many there are in all, or None if unknown.
    :ivar has_more: whether there are more than these, or None if unknown.
    """

    values: Sequence[str] = field(repr=False)
    total: int | None = None
    has_more: bool | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        values = required(as_list(given.get("values")), "a completion has no values")
        return cls(as_texts(values), as_integer(given.get("total")), as_flag(given.get("hasMore")), raw=given)


@frozen
class CompleteResult(WireObject):
    """The answer to a request for completion (2026-07-28, "Completion", Completion Results).

    :ivar completion: what the value could be.
    """

    completion: Completion

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            Completion.from_json(required(as_object(given.get("completion")), "an answer has no completion")), raw=given
        )

    @property
    def values(self) -> Sequence[str]:
        """The whole values, the best first."""
        return self.completion.values
