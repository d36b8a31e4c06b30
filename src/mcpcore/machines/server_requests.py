"""What a server asks of its client, and what the user's handlers answer.

A server asks in one of two ways: in the handshake era by requests of its own, on a stream that the client reads; in
the modern era by a result that requires input.  The questions are the same, and so are the answers, so both meet here:
:func:`ask_handlers` turns a method and its parameters into a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from mcpcore.codecs.shapes import as_text
from mcpcore.commands import CallHandler
from mcpcore.errors import LocalProtocolError, RemoteProtocolError, RpcError
from mcpcore.handlers import check_roots
from mcpcore.types.elicitation import ElicitRequest, ElicitResult, ElicitUrlRequest, read_elicitation
from mcpcore.types.roots import Root
from mcpcore.types.sampling import CreateMessageRequest, CreateMessageResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.commands import Flow
    from mcpcore.state.call import Call

_NEEDS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
_TOOLS = frozenset({"tools", "toolChoice"})
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602

T = TypeVar("T")


def handler_of(call: Call, method: str, params: dict[str, Any]) -> Any:
    """What answers a request that :func:`refusal_of` has nothing against: a handler, roots, or by hand the caller."""
    handlers = call.state.handlers
    match method:
        case "elicitation/create":
            return handlers.elicit_url if params.get("mode") == "url" else handlers.elicit
        case "sampling/createMessage":
            return handlers.sample
        case _:
            return handlers.roots


def ask_handlers(call: Call, method: str, params: dict[str, Any]) -> Flow[dict[str, Any]]:
    """The result of one request of the server's that :func:`refusal_of` has nothing against.

    :raises RpcError: if a handler refuses it.
    """
    handler = handler_of(call, method, params)
    match _read(method, params):
        case ElicitRequest() | ElicitUrlRequest() as question:
            return (yield from _elicit(call, handler, question))
        case CreateMessageRequest() as question:
            return (yield from _ask(call, handler, question, CreateMessageResult, method)).to_json()
        case _:
            return {"roots": [root.to_json() for root in (yield from _roots(call, handler))]}


def refusal_of(declared: Mapping[str, Any], method: str, params: dict[str, Any]) -> RpcError | None:
    """Why a request is not answered, or None if it may be: only what was declared may be asked for.

    A mode of elicitation, or tools for a model, that were not declared have an error of their own (2025-11-25,
    "Elicitation", Error Handling, and "Sampling", Tools in Sampling).

    :param declared: the client's capabilities.
    """
    capability = declared.get(_NEEDS.get(method, ""))
    if capability is None:
        return RpcError("Method not found", code=METHOD_NOT_FOUND)
    if method == "elicitation/create" and as_text(params.get("mode", "form")) not in (capability or {"form"}):
        return RpcError("this mode of elicitation was not declared", code=INVALID_PARAMS)
    if method == "sampling/createMessage" and not params.keys().isdisjoint(_TOOLS) and "tools" not in capability:
        return RpcError("sampling with tools was not declared", code=INVALID_PARAMS)
    try:
        _read(method, params)
    except RemoteProtocolError as error:
        return RpcError(error.message, code=INVALID_PARAMS)
    return None


def _read(method: str, params: dict[str, Any]) -> Any:
    """What a handler is asked; None where there is nothing to ask by.

    :raises RemoteProtocolError: if it cannot be read.
    """
    match method:
        case "elicitation/create":
            return read_elicitation(params)
        case "sampling/createMessage":
            request = CreateMessageRequest.from_json(params)
            request.check_tool_results()
            return request
        case _:
            return None


def _elicit(call: Call, handler: Any, question: ElicitRequest | ElicitUrlRequest) -> Flow[dict[str, Any]]:
    """A person's answer; what the form has defaults for, and the handler left out, is filled in (SEP-1034).

    :raises LocalProtocolError: if it is none to this form.
    """
    method = "elicitation/create"
    result: ElicitResult = yield from _ask(call, handler, question, ElicitResult, method)
    if isinstance(question, ElicitUrlRequest) or result.action != "accept":
        return result.to_json()
    content = {**question.defaults(), **(result.content or {})}
    if (mistake := question.mistake_in(content)) is not None:
        raise LocalProtocolError(f"the handler for {method} returned no answer to the form: {mistake}")
    return ElicitResult.accept(content).to_json()


def _roots(call: Call, handler: Any) -> Flow[Sequence[Root]]:
    roots: Sequence[Any] | None = handler
    if not isinstance(handler, Sequence):
        roots = yield CallHandler(handler, (None, call.context))
    if not isinstance(roots, Sequence) or not all(isinstance(root, Root) for root in roots):
        raise LocalProtocolError("the handler for roots/list did not return a sequence of Root")
    return check_roots(roots)


def _ask(call: Call, handler: Any, request: object, expected: type[T], method: str) -> Flow[T]:
    """Call a handler; what it returns must be of the type that it promised."""
    answer = yield CallHandler(handler, (request, call.context))
    if not isinstance(answer, expected):
        raise LocalProtocolError(f"the handler for {method} returned no {expected.__name__}")
    return answer
