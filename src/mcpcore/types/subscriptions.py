"""What one can listen to, and what one hears (2026-07-28, "Subscriptions")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import field, frozen

from mcpcore.codecs.shapes import as_object, as_text, as_texts
from mcpcore.redaction import repr_of_name, repr_of_uris

if TYPE_CHECKING:
    from mcpcore.codecs.jsonrpc import Notification


@frozen(kw_only=True)
class SubscriptionFilter:
    """What a listener wants to be told of; what is left out it is not.

    :ivar tools: that the list of tools has changed.
    :ivar prompts: that the list of prompts has changed.
    :ivar resources: that the list of resources has changed.
    :ivar uris: that one of these resources has changed.
    """

    tools: bool = False
    prompts: bool = False
    resources: bool = False
    uris: tuple[str, ...] = field(default=(), converter=tuple[str, ...], repr=repr_of_uris)

    @classmethod
    def from_json(cls, raw: object) -> SubscriptionFilter:
        """Read a filter; what has the wrong shape is not in it."""
        given = as_object(raw) or {}
        return cls(
            tools=given.get("toolsListChanged") is True,
            prompts=given.get("promptsListChanged") is True,
            resources=given.get("resourcesListChanged") is True,
            uris=tuple(as_texts(given.get("resourceSubscriptions"))),
        )

    def wants(self, event: StreamEvent) -> bool:
        """Whether an event is of those; one that is none of these kinds is, because nobody could ask for it."""
        if isinstance(event, ListChanged):
            return {"tools": self.tools, "prompts": self.prompts, "resources": self.resources}[event.list]
        return True

    def to_json(self) -> dict[str, Any]:
        """The filter as it is sent."""
        lists = {"tools": self.tools, "prompts": self.prompts, "resources": self.resources}
        wanted: dict[str, Any] = {f"{name}ListChanged": True for name, is_wanted in lists.items() if is_wanted}
        return {**wanted, "resourceSubscriptions": list(self.uris)} if self.uris else wanted


@frozen
class Acknowledged:
    """The stream is open.

    :ivar filter: what the server agreed to tell of; look there for what it did not.
    """

    filter: SubscriptionFilter


@frozen
class Reopened:
    """The stream had broken off and was opened anew; what has happened in between is not known."""


@frozen
class ListChanged:
    """A list has changed: ask for it again."""

    list: Literal["tools", "prompts", "resources"]


@frozen
class ResourceUpdated:
    """A resource, or a part of it, has changed: read it again."""

    uri: str = field(repr=repr_of_name)


@frozen
class OtherNotification:
    """Whatever else the server sent.

    :ivar method: what it is about.
    :ivar params: what it says, as received.
    """

    method: str
    params: dict[str, Any] = field(repr=False)


StreamEvent: TypeAlias = Acknowledged | Reopened | ListChanged | ResourceUpdated | OtherNotification
"""What a listener hears."""

_CHANGED: dict[str, Literal["tools", "prompts", "resources"]] = {
    "notifications/tools/list_changed": "tools",
    "notifications/prompts/list_changed": "prompts",
    "notifications/resources/list_changed": "resources",
}


def read_event(notification: Notification) -> StreamEvent:
    """What a notification says to a listener."""
    if notification.method in _CHANGED:
        return ListChanged(_CHANGED[notification.method])
    uri = as_text(notification.params.get("uri"))
    if notification.method == "notifications/resources/updated" and uri is not None:
        return ResourceUpdated(uri)
    return OtherNotification(notification.method, notification.params)
