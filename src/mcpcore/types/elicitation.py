"""Elicitation: a server asks the user something, in a form or behind a link.

A server may ask for anything, so whoever shows a question says which server asks, and lets the user decline it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from mcpcore.codecs.shapes import (
    as_flag,
    as_integer,
    as_list,
    as_number,
    as_object,
    as_text,
    as_texts,
    is_array,
    is_object,
)
from mcpcore.errors import RemoteProtocolError
from mcpcore.redaction import repr_of_name
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

ElicitAction = Literal["accept", "decline", "cancel"]
"""What the user did: agreed, refused, or went away without an answer."""


@frozen
class ElicitRequest(WireObject):
    """A form for the user to fill in (2026-07-28, "Elicitation", Form Mode Elicitation Requests).

    :ivar message: what to tell the user.
    :ivar requested_schema: the form: the JSON Schema of a flat object.
    """

    message: str = field(repr=False)
    requested_schema: dict[str, Any] = field(repr=False)
    mode: Literal["form"] = field(default="form", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        message = required(as_text(given.get("message")), "an elicitation has no message")
        schema = required(as_object(given.get("requestedSchema")), "an elicitation has no requestedSchema")
        return cls(message, schema, raw=given)

    def defaults(self) -> dict[str, Any]:
        """What the form holds before anybody fills it in: the default of each field that has one which fits."""
        fields = self._fields().items()
        return {name: schema["default"] for name, schema in fields if _fits(schema.get("default"), schema)}

    def mistake_in(self, content: Mapping[str, Any]) -> str | None:
        """What keeps ``content`` from being an answer to the form, or None (2026-07-28, "Elicitation", Security).

        Which fields there must be, of what type, within which bounds and of which choices; not ``pattern`` and
        ``format``, because a server's pattern can take for ever.
        """
        fields = self._fields()
        for name in as_texts(self.requested_schema.get("required")):
            if name not in content:
                return f"{name!r} is missing"
        for name, value in content.items():
            if not _fits(value, fields.get(name, {})):
                return f"{name!r} is not what the form asks for"
        return None

    def _fields(self) -> dict[str, dict[str, Any]]:
        fields = as_object(self.requested_schema.get("properties")) or {}
        return {name: schema for name, schema in fields.items() if is_object(schema)}


@frozen
class ElicitUrlRequest(WireObject):
    """A page for the user to visit (2026-07-28, "Elicitation", URL Mode Elicitation Requests).

    Show the whole URL, open it only with the user's consent, and never fetch it beforehand.

    :ivar message: why the user should go there.
    :ivar url: the page.
    :ivar elicitation_id: what the server calls this elicitation, or None (2025-11-25 alone has it).
    """

    message: str = field(repr=False)
    url: str = field(repr=repr_of_name)
    elicitation_id: str | None = None
    mode: Literal["url"] = field(default="url", init=False, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        message = required(as_text(given.get("message")), "an elicitation has no message")
        url = required(as_text(given.get("url")), "an elicitation by URL has no url")
        return cls(message, url, as_text(given.get("elicitationId")), raw=given)


def read_elicitation(raw: object) -> ElicitRequest | ElicitUrlRequest:
    """Read the parameters of ``elicitation/create``; without a mode it is a form.

    :raises RemoteProtocolError: if they are of no known mode, or a part is missing.
    """
    mode = raw.get("mode", "form") if is_object(raw) else "form"
    if mode == "form":
        return ElicitRequest.from_json(raw)
    if mode == "url":
        return ElicitUrlRequest.from_json(raw)
    raise RemoteProtocolError("an elicitation is of an unknown mode")


@frozen
class ElicitResult(WireObject):
    """What became of an elicitation (2026-07-28, "Elicitation", Response Actions).

    :ivar action: what the user did.
    :ivar content: what the user filled in, by the names of the form's fields; None for a link, and unless accepted.
    """

    action: ElicitAction
    content: dict[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        action = as_text(given.get("action")) or ""
        known: ElicitAction = required(_ACTIONS.get(action), "the result of an elicitation has no known action")
        return cls(known, as_object(given.get("content")), raw=given)

    @classmethod
    def accept(cls, content: dict[str, Any] | None = None) -> Self:
        """The user agreed, and filled in this, if it was a form."""
        return cls("accept", content)

    @classmethod
    def decline(cls) -> Self:
        """The user refused."""
        return cls("decline")

    @classmethod
    def cancel(cls) -> Self:
        """The user closed the form or never looked at it."""
        return cls("cancel")


_READ: dict[str, Callable[[object], object]] = {
    "string": as_text,
    "number": as_number,
    "integer": as_integer,
    "boolean": as_flag,
    "array": as_list,
}
_BOUNDS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether a field of a form may hold ``value`` (2026-07-28, "Elicitation", Requested Schema)."""
    kind = as_text(schema.get("type")) or ""
    readers = [_READ[kind]] if kind in _READ else _READ.values()
    if all(read(value) is None for read in readers) or not _is_within_bounds(value, schema):
        return False
    if is_array(value):
        choices = _choices(as_object(schema.get("items")) or {})
        # As a set, because a server may send very many defaults and very many choices.
        texts = None if choices is None else frozenset(as_texts(choices))
        return all(isinstance(item, str) and (texts is None or item in texts) for item in value)
    choices = _choices(schema)
    return choices is None or value in choices


def _choices(schema: Mapping[str, Any]) -> list[Any] | None:
    """What a field may be chosen from, with titles or without; None if it is free."""
    titled = as_list(schema.get("oneOf", schema.get("anyOf")))
    if titled is None:
        return as_list(schema.get("enum"))
    return [choice["const"] for choice in titled if is_object(choice) and "const" in choice] or None


def _is_within_bounds(value: Any, schema: Mapping[str, Any]) -> bool:
    size = len(value) if isinstance(value, str) or is_array(value) else value
    bounds = ((as_number(schema.get(low)), as_number(schema.get(high))) for low, high in _BOUNDS)
    return all((low is None or size >= low) and (high is None or size <= high) for low, high in bounds)


_ACTIONS: dict[str, ElicitAction] = {action: action for action in get_args(ElicitAction)}
