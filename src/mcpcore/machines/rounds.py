"""Multi round-trip requests: a result that is not the final one yet, and what is done about it.

In the modern era a server that needs something before it can answer says so by its result, and is done with the
request.  The client finds the answers and makes the request once more, with them and with the state that the server
gave it, unread and unchanged (2026-07-28, "Multi Round-Trip Requests").  Each round is a request of its own.  What one
request was asked and given is held by this flow alone, so no other request can come to carry it.

A result of a type that an extension brings is that extension's to finish.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define

from mcpcore.codecs.shapes import as_object, as_text
from mcpcore.commands import Deliver, WaitFor
from mcpcore.errors import InputRequiredError, RemoteProtocolError
from mcpcore.handlers import BY_HAND
from mcpcore.machines.server_requests import ask_handlers, handler_of, refusal_of
from mcpcore.rules.revisions import MODERN
from mcpcore.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.types.progress import Progress

    Ask = Callable[[str, dict[str, Any]], Flow[dict[str, Any]]]

_MAY_REQUIRE_INPUT = frozenset({"tools/call", "prompts/get", "resources/read"})
_OF_A_ROUND = frozenset({"inputResponses", "requestState"})


def result_type(result: dict[str, Any]) -> str:
    """What kind of result it is; one that does not say is complete (2026-07-28, "Overview", ResultType)."""
    return as_text(result.get("resultType", "complete")) or "unknown"


def finish(call: Call, method: str, params: dict[str, Any], result: dict[str, Any], ask: Ask) -> Flow[dict[str, Any]]:
    """The final result of a request that was answered by ``result``.

    :param params: what it was made with.
    :param ask: makes a request and returns its result.
    :raises RemoteProtocolError: if the server sends a result that this client did not offer to take.
    """
    rounds = 0
    original = {name: value for name, value in params.items() if name not in _OF_A_ROUND}
    while (kind := result_type(result)) != "complete":
        # What the server was told on the way is no part of the question: no other call may get this answer.
        call.may_cache = False
        rounds += 1
        if rounds > call.state.limits.input_rounds:
            raise call.state.limits.exceeded("input_rounds", "the server requires input again and again")
        if kind == "input_required" and method in _MAY_REQUIRE_INPUT:
            result = yield from ask(method, {**original, **(yield from _round(call, result))})
            continue
        finisher = next((e.results[kind] for e in call.state.extensions.values() if kind in e.results), None)
        if finisher is None:
            raise RemoteProtocolError(f"the server sent a result of type {kind[:40]!r}, which this client cannot take")
        result = yield from finisher(_Unfinished(call, method, ask), result)
        call.last_will = None
    return result


def _round(call: Call, result: dict[str, Any]) -> Flow[dict[str, Any]]:
    """What is added to the request for the next round."""
    requests, state = as_object(result.get("inputRequests")), result.get("requestState")
    if (requests is None and state is None) or not isinstance(state, str | None):
        raise RemoteProtocolError("the server requires input, and does not say which")
    more: dict[str, Any] = {}
    if requests is not None:
        more["inputResponses"] = yield from _answer(call, requests, state)
    if state is not None:
        more["requestState"] = state
    return more


def _answer(call: Call, requests: Mapping[str, Any], state: str | None) -> Flow[dict[str, Any]]:
    """The answers to what the server asks, by the same keys; one after the other, as a person is asked."""
    questions = {key: _question(call, request) for key, request in requests.items()}
    declared = call.state.capabilities(MODERN)
    for method, params in questions.values():
        if (refused := refusal_of(declared, method, params)) is not None:
            raise RemoteProtocolError(f"the server requires {method[:40]!r}: {refused.message}")
    if any(handler_of(call, *question) is BY_HAND for question in questions.values()):
        raise InputRequiredError(
            "the server requires input, which the caller gives by hand",
            input_requests=dict(requests),
            request_state=state,
        )
    answers: dict[str, Any] = {}
    for key, (method, params) in questions.items():
        answers[key] = yield from ask_handlers(call, method, params)
    return answers


def _question(call: Call, request: object) -> tuple[str, dict[str, Any]]:
    call.count_server_request()
    asked = as_object(request) or {}
    if (method := as_text(asked.get("method"))) is None:
        raise RemoteProtocolError("the server requires input, and one of its requests has no method")
    return method, as_object(asked.get("params")) or {}


@define(eq=False)
class _Unfinished:
    """What an extension may do to finish a request."""

    _call: Call
    method: str
    _ask: Ask

    def request(self, method: str, params: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        return (yield from self._ask(method, dict(params)))

    def answer(self, input_requests: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        return (yield from _answer(self._call, input_requests, None))

    def report(self, progress: Progress) -> Flow[None]:
        if self._call.on_progress is not None:
            yield Deliver(self._call.on_progress, (progress,))

    def wait(self, seconds: float) -> Flow[None]:
        yield WaitFor(Signal(), max(seconds, 0.0))

    def when_given_up(self, method: str | None, params: Mapping[str, Any] | None = None) -> None:
        self._call.last_will = None if method is None else (method, dict(params or {}))
