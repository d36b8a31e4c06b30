"""What a server asks of its client, and what the user's handlers answer.

A server asks in one of two ways: in the handshake era by requests of its own, on a stream that the client reads; in
the modern era by a result that requires input.  The questions are the same, and so are the answers, so both meet here:
:func:`ask_handlers` turns a method and its parameters into a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mcpcore.commands import CallHandler
from mcpcore.errors import LocalProtocolError, RpcError
from mcpcore.handlers import BY_HAND
from mcpcore.types.elicitation import ElicitRequest, ElicitResult, ElicitUrlRequest
from mcpcore.types.roots import Root
from mcpcore.types.sampling import CreateMessageRequest, CreateMessageResult

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

T = TypeVar("T")


def handler_of(call: Call, method: str, params: dict[str, Any]) -> Any:
    """What answers a request of the server's: a handler, roots, :data:`BY_HAND`, or None for nothing."""
    handlers = call.state.handlers
    match method:
        case "elicitation/create":
            return handlers.elicit_url if params.get("mode") == "url" else handlers.elicit
        case "sampling/createMessage":
            return handlers.sample
        case "roots/list":
            return handlers.roots
        case _:
            return None


def ask_handlers(call: Call, method: str, params: dict[str, Any]) -> Flow[dict[str, Any]]:
    """The result of one request of the server's.

    :raises RpcError: if it is refused: by a handler, or because there is none.
    :raises RemoteProtocolError: if its parameters cannot be read.
    """
    if (refused := refused_by(call, method, params)) is not None:
        raise refused
    handler = handler_of(call, method, params)
    match method:
        case "elicitation/create":
            return (yield from _elicit(call, handler, params))
        case "sampling/createMessage":
            request = CreateMessageRequest.from_json(params)
            return (yield from _ask(call, handler, request, CreateMessageResult, method)).to_json()
        case _:
            return {"roots": [root.to_json() for root in (yield from _roots(call, handler))]}


def refused_by(call: Call, method: str, params: dict[str, Any]) -> RpcError | None:
    """Why a request cannot be answered, or None if there is a handler for it.

    A mode of elicitation that was not declared has an error of its own (2025-11-25, "Elicitation", Error Handling).
    """
    if handler_of(call, method, params) not in (None, BY_HAND):
        return None
    if method == "elicitation/create" and (call.state.handlers.elicit or call.state.handlers.elicit_url):
        return RpcError("this mode of elicitation was not declared", code=INVALID_PARAMS)
    return RpcError("Method not found", code=METHOD_NOT_FOUND)


def _elicit(call: Call, handler: Any, params: dict[str, Any]) -> Flow[dict[str, Any]]:
    """A person's answer; what the form has defaults for, and the handler left out, is filled in (SEP-1034)."""
    method = "elicitation/create"
    if params.get("mode") == "url":
        visit = ElicitUrlRequest.from_json(params)
        return (yield from _ask(call, handler, visit, ElicitResult, method)).to_json()
    form = ElicitRequest.from_json(params)
    result: ElicitResult = yield from _ask(call, handler, form, ElicitResult, method)
    if result.action == "accept":
        result = ElicitResult.accept({**form.defaults(), **(result.content or {})})
    return result.to_json()


def _roots(call: Call, handler: Any) -> Flow[Sequence[Root]]:
    if isinstance(handler, Sequence):
        return handler
    roots = yield CallHandler(handler, (None, call.context))
    if not isinstance(roots, Sequence) or not all(isinstance(root, Root) for root in roots):
        raise LocalProtocolError("the handler for roots/list did not return a sequence of Root")
    return roots


def _ask(call: Call, handler: Any, request: object, expected: type[T], method: str) -> Flow[T]:
    """Call a handler; what it returns must be of the type that it promised."""
    answer = yield CallHandler(handler, (request, call.context))
    if not isinstance(answer, expected):
        raise LocalProtocolError(f"the handler for {method} returned no {expected.__name__}")
    return answer
