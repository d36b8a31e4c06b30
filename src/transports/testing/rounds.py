"""Multi round-trip requests: how a handler asks its client in the modern era.

A server that keeps nothing would put all that it has learnt into ``requestState``.  This one keeps it, and gives out a
state that only stands for it, because the point of a test server is to notice when a client does not bring a state
back as it was: the states hold what a careless client spoils, such as quotes, a non-ASCII letter, a line separator and
a space at the end.  (basic/patterns/mrtr, 2026-07-28)
"""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen

from mcpcore.errors import RpcError

from .answers import Message
from .call import Questions
from .refusals import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Refusal
from .requests import ReceivedRequest, as_object

SUPPORTED = frozenset(("tools/call", "prompts/get", "resources/read"))
"""The requests that may be answered by a request for input (Supported Requests)."""


class InputRequired(BaseException):
    """Ends a handler whose client has to answer first.  Not an Exception, so that no handler's own ``except`` stops
    it.

    :ivar result: the ``InputRequiredResult``.
    """

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__("the client has to answer first")
        self.result = result


@frozen
class _Issued:
    """A request for input that a server has made, and what it knew by then."""

    request: ReceivedRequest
    asked: frozenset[str]
    answers: Message


@define(eq=False)
class Rounds:
    """The requests for input that a server has made, by their state; a handler's own may do without one."""

    _issued: dict[str, _Issued] = field(factory=dict[str, _Issued], init=False)
    _stateless: list[_Issued] = field(factory=list[_Issued], init=False)

    def begin(self, request: ReceivedRequest) -> Round:
        """The round that ``request`` opens: the first, or a further one if it brings answers or a state back."""
        if request.rpc_method not in SUPPORTED or not request.params.keys() & {"requestState", "inputResponses"}:
            return Round(self, request, {})
        issued = self._find(request)
        if request.rpc_id == issued.request.rpc_id:
            raise Refusal(400, INVALID_REQUEST, "A retry needs an id of its own")
        brought = as_object(request.params.get("inputResponses"))
        fresh = {key: answer for key, answer in brought.items() if key in issued.asked}
        return Round(self, request, {**issued.answers, **fresh})

    def _find(self, request: ReceivedRequest) -> _Issued:
        if "requestState" not in request.params:
            for issued in reversed(self._stateless):
                if _essence(request) == _essence(issued.request):
                    return issued
            raise Refusal(400, INVALID_PARAMS, "inputResponses came without their requestState")
        found = self._issued.get(str(request.params["requestState"]))
        if found is None:
            raise Refusal(400, INVALID_PARAMS, "requestState is none that was given out")
        if _essence(request) != _essence(found.request):
            raise Refusal(400, INVALID_PARAMS, "requestState belongs to another request")
        return found

    def issue(self, request: ReceivedRequest, asked: Questions, answers: Message) -> str:
        """A state to bring back with the answers to ``asked``."""
        state = f'{len(self._issued) + 1} "\u00e9\u2028\\/" '
        self._issued[state] = _Issued(request, frozenset(asked), answers)
        return state

    def note(self, request: ReceivedRequest, result: Message) -> None:
        """Take note of a request for input that a handler has put together by itself."""
        issued = _Issued(request, frozenset(as_object(result.get("inputRequests"))), {})
        if "requestState" in result:
            self._issued.setdefault(result["requestState"], issued)
        else:
            self._stateless.append(issued)


def _essence(request: ReceivedRequest) -> tuple[Any, ...]:
    """What a retry has in common with the request that it repeats."""
    own = {name: value for name, value in request.params.items() if name not in _OF_THE_ROUND}
    return request.rpc_method, own


_OF_THE_ROUND = frozenset(("_meta", "inputResponses", "requestState"))


@frozen(eq=False)
class Round:
    """One request, with the answers that the rounds before it have brought."""

    _rounds: Rounds
    _request: ReceivedRequest
    _answers: Message

    async def ask(self, questions: Questions) -> dict[str, dict[str, Any]]:
        """The client's answers, if it has brought them all; else the handler ends here."""
        missing = {key: question for key, question in questions.items() if key not in self._answers}
        if not missing:
            return {key: as_object(self._answers[key]) for key in questions}
        if self._request.rpc_method not in SUPPORTED:
            raise RpcError(f"{self._request.rpc_method} must not ask for input", code=INTERNAL_ERROR)
        state = self._rounds.issue(self._request, missing, self._answers)
        raise InputRequired({"resultType": "input_required", "inputRequests": missing, "requestState": state})
