"""Elicitation: a server asks the user something, in a form or behind a link.

A server may ask for anything, so whoever shows a question says which server asks, and lets the user decline it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from mcpcore.codecs.shapes import as_object, as_text, is_object
from mcpcore.errors import RemoteProtocolError
from mcpcore.redaction import repr_of_name
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
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
        """What the form holds before anybody fills it in: the default of each field that has one."""
        fields = as_object(self.requested_schema.get("properties")) or {}
        return {name: schema["default"] for name, schema in fields.items() if is_object(schema) and "default" in schema}


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


_ACTIONS: dict[str, ElicitAction] = {action: action for action in get_args(ElicitAction)}
