"""``subscriptions/listen``: the modern era's stream of notifications.

A stream carries what its client asked for and nothing else; it begins with what the server agreed to, and ends with a
result if the server ends it on purpose.  (basic/patterns/subscriptions, 2026-07-28)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial
from typing import Any

from attrs import define, field

from .answers import Answer, message_event
from .outbox import Outbox
from .refusals import INVALID_PARAMS, Refusal
from .requests import Match, ReceivedRequest, as_object, matches

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"

SWITCHES = {
    "notifications/tools/list_changed": ("tools", "toolsListChanged"),
    "notifications/prompts/list_changed": ("prompts", "promptsListChanged"),
    "notifications/resources/list_changed": ("resources", "resourcesListChanged"),
}
"""The capability that a notification belongs to, and the member of the filter that switches it on."""

CHOICES = {
    "notifications/resources/updated": ("resources", "resourceSubscriptions", "uri"),
    "notifications/tasks": ("extensions", "taskIds", "taskId"),
}
"""The same, for notifications about one thing among those that the filter lists; and the parameter that names it."""


def agreed_filter(wanted: Mapping[str, Any], capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a filter that a server with ``capabilities`` can honour."""
    known = {member: capability for capability, member, *_ in (*SWITCHES.values(), *CHOICES.values())}
    return {name: value for name, value in wanted.items() if value and known.get(name) in capabilities}


@define(eq=False)
class _Subscription:
    """One open stream."""

    request: ReceivedRequest
    agreed: Mapping[str, Any]
    outbox: Outbox = field(factory=Outbox, init=False)

    def wants(self, method: str, params: Mapping[str, Any]) -> bool:
        if method in SWITCHES:
            return SWITCHES[method][1] in self.agreed
        if method in CHOICES:
            _, member, parameter = CHOICES[method]
            return params.get(parameter) in self.agreed.get(member, ())
        return False

    @property
    def meta(self) -> dict[str, Any]:
        return {SUBSCRIPTION_ID: self.request.rpc_id}

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        meta = {**as_object(params.get("_meta")), **self.meta}
        self.outbox.put({"jsonrpc": "2.0", "method": method, "params": {**params, "_meta": meta}})


@define(eq=False)
class Subscriptions:
    """The streams that are open."""

    _open: list[_Subscription] = field(factory=list[_Subscription], init=False)

    def listen(self, request: ReceivedRequest, capabilities: Mapping[str, Any]) -> Answer:
        """Answer a ``subscriptions/listen``."""
        if not isinstance(request.params.get("notifications"), dict):
            raise Refusal(400, INVALID_PARAMS, "notifications must be an object")
        subscription = _Subscription(request, agreed_filter(as_object(request.params["notifications"]), capabilities))
        subscription.notify("notifications/subscriptions/acknowledged", {"notifications": subscription.agreed})
        self._open.append(subscription)
        return Answer.stream(partial(self._events, subscription))

    async def _events(self, subscription: _Subscription) -> AsyncGenerator[bytes, None]:
        following = subscription.outbox.open()
        try:
            while (message := await following()) is not None:
                if "method" not in message:
                    subscription.request.end("answered")
                yield message_event(message)
        finally:
            self._forget(subscription)

    def notify(self, method: str, params: Mapping[str, Any], to: Match = None) -> None:
        """Send a notification on every stream that asked for it, and whose request ``to`` means."""
        for subscription in self._open:
            if matches(to, subscription.request) and subscription.wants(method, params):
                subscription.notify(method, params)

    def end(self, finish: Callable[[ReceivedRequest, dict[str, Any]], dict[str, Any]], *, cut: bool) -> None:
        """End every stream: with a result, or by cutting the connection."""
        for subscription in tuple(self._open):
            if not cut:
                result = finish(subscription.request, {"_meta": subscription.meta})
                subscription.outbox.put({"jsonrpc": "2.0", "id": subscription.request.rpc_id, "result": result})
            subscription.outbox.end(cut=cut)
            self._forget(subscription)

    def _forget(self, subscription: _Subscription) -> None:
        if subscription in self._open:
            self._open.remove(subscription)
