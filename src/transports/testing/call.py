"""What a handler can say while it is at work, and ask of its client.

The eras agree on what may be said and differ in how a question gets its answer.  In the handshake era it is a request
on the call's own stream, answered by a POST; in the modern era the handler is ended, the question is the result, and
the handler runs again when the client comes back with the answer (basic/patterns/mrtr, 2026-07-28).  A :class:`Call`
hides that, so that one function plays in every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, TypeAlias

from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Message
from .conversation import say
from .refusals import INTERNAL_ERROR, MISSING_CAPABILITY
from .requests import ReceivedRequest, as_object

Questions: TypeAlias = Mapping[str, Message]
"""Requests to the client, each a method and its params, by a key of the server's choice."""

Ask: TypeAlias = Callable[[Questions], Awaitable[dict[str, dict[str, Any]]]]

LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

MODERN = "2026-07-28"
MODES = (MODERN, "2025-11-25")
"""The revisions in which an elicitation says its mode."""


@define(eq=False, kw_only=True)
class Call:
    """One request at work: take it as a third parameter of a tool, prompt, resource or method.

    Its methods are to be awaited by the handler itself: not in a task that it started, nor inside a cancel scope or
    task group of its own.

    :ivar request: the request that is being answered.
    :ivar revision: the revision that it is answered in.
    :ivar capabilities: what the client has declared.
    """

    request: ReceivedRequest
    revision: str
    capabilities: Mapping[str, Any]
    _ask: Ask = field(alias="ask")
    _level: str | None = field(alias="level")
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    async def send(self, message: Message) -> None:
        """Send any JSON-RPC message on the call's stream, just as it is."""
        await say(message)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification on the call's stream."""
        await say({"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": dict(params)})})

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress to a client that asked for it, with its own token; to others, nothing is sent."""
        token = as_object(self.request.params.get("_meta")).get("progressToken")
        if token is not None:
            known = {"progressToken": token, "progress": progress, "total": total, "message": message}
            await self.notify("notifications/progress", _without_none(known))

    async def log(self, level: str, data: Any, logger: str | None = None) -> None:
        """Send a log message, if the client wants that level: in the modern era it says so with each request, in the
        handshake era it may say so for its session."""
        if self._level is not None and LEVELS.index(level) >= LEVELS.index(self._level):
            named = {} if logger is None else {"logger": logger}
            await self.notify("notifications/message", {"level": level, **named, "data": data})

    async def ask(self, questions: Questions) -> dict[str, dict[str, Any]]:
        """Ask several things at once; return the client's results under the same keys.

        :raises mcpcore.RpcError: if the client has not declared that it can answer, or answers with an error.
        """
        for question in questions.values():
            self.require(_needed(question))
        return await self._ask(questions)

    async def elicit(self, message: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the user to fill in a form; return the ``ElicitResult``."""
        mode = {"mode": "form"} if self.revision in MODES else {}
        return await self._ask_one("elicitation/create", {**mode, "message": message, "requestedSchema": dict(schema)})

    async def elicit_url(self, message: str, url: str, elicitation_id: str) -> dict[str, Any]:
        """Ask the user to visit ``url``; return the ``ElicitResult``.  The modern era has no ``elicitation_id``."""
        named = {} if self.revision == MODERN else {"elicitationId": elicitation_id}
        return await self._ask_one("elicitation/create", {"mode": "url", "message": message, "url": url, **named})

    async def sample(self, messages: Sequence[Message], max_tokens: int, **more: Any) -> dict[str, Any]:
        """Ask the client's model; return the ``CreateMessageResult``.  ``more`` are further params, named as on the
        wire."""
        return await self._ask_one(
            "sampling/createMessage", {"messages": list(messages), "maxTokens": max_tokens, **more}
        )

    async def roots(self) -> list[dict[str, Any]]:
        """Ask for the client's roots."""
        roots: list[dict[str, Any]] = (await self._ask_one("roots/list", {}))["roots"]
        return roots

    async def _ask_one(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        key = f"{method}#{next(self._numbers)}"
        answers = await self.ask({key: {"method": method, "params": dict(params)}})
        return answers[key]

    def require(self, needed: dict[str, Any]) -> None:
        """Fail unless the client has declared all of ``needed``, client capabilities as the specification has them.

        :raises mcpcore.RpcError: if it has not.
        """
        if declares(self.capabilities, needed):
            return
        text = f"the client has not declared what this needs: {', '.join(_paths(needed))}"
        if self.revision == MODERN:
            raise RpcError(text, code=MISSING_CAPABILITY, data={"requiredCapabilities": needed})
        raise RpcError(text, code=INTERNAL_ERROR)


def _without_none(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _needed(question: Message) -> dict[str, Any]:
    """The client capabilities that a request to the client needs."""
    params = as_object(question.get("params"))
    match question["method"]:
        case "elicitation/create":
            return {"elicitation": {params.get("mode", "form"): {}}}
        case "sampling/createMessage":
            return {"sampling": {"tools": {}} if params.keys() & {"tools", "toolChoice"} else {}}
        case "roots/list":
            return {"roots": {}}
        case _:
            return {}


def declares(capabilities: Mapping[str, Any], needed: Mapping[str, Any]) -> bool:
    """Whether all of ``needed`` is declared; an elicitation without modes means forms (client/elicitation,
    Capabilities, 2025-11-25)."""
    if capabilities.get("elicitation") == {}:
        capabilities = {**capabilities, "elicitation": {"form": {}}}
    return all(
        name in capabilities and declares(as_object(capabilities[name]), inner) for name, inner in needed.items()
    )


def _paths(needed: Mapping[str, Any]) -> list[str]:
    return [".".join((name, *_paths(inner))) for name, inner in needed.items()]
