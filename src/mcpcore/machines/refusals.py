"""What an answer that is no result is to the user: one typed error for each thing that a caller would do next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.codecs.jsonrpc import ErrorResponse, Response
from mcpcore.errors import ForbiddenError, HttpStatusError, McpError, RpcError, UnauthorizedError

if TYPE_CHECKING:
    from mcpcore.machines.exchange import Exchange

_RETRY_LATER = frozenset({429, 503})


def refusal(exchange: Exchange) -> McpError:
    """The error for an exchange whose answer is not a result."""
    head, answer = exchange.head, exchange.answer
    status = head.status
    if status == 401:
        return UnauthorizedError("the server refused the credentials (401)", challenges=head.challenges)
    if status == 403:
        return ForbiddenError("the server forbids this request (403)", challenges=head.challenges)
    if isinstance(answer, ErrorResponse) and status not in _RETRY_LATER:
        return RpcError(answer.message, code=answer.code, data=answer.data)
    later = f"; it asks to wait {head.retry_after:g} s" if head.retry_after is not None else ""
    return HttpStatusError(
        f"the server answered with status {status}{later}", status=status, retry_after=head.retry_after
    )


def result_of(exchange: Exchange) -> dict[str, Any]:
    """The result that an exchange brought.

    :raises McpError: if it brought none.
    """
    if isinstance(exchange.answer, Response):
        return exchange.answer.result
    raise refusal(exchange)
