"""What a server refuses before it looks at what was asked.

A test server is strict: what the specification lets a server refuse, it refuses, because a client that is
careless should learn it here and not in production.
"""

from __future__ import annotations

from typing import Any

from .answers import Answer, Message
from .requests import ReceivedRequest

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
MISSING_CAPABILITY = -32021
PARSE_ERROR = -32700


class Refusal(Exception):
    """The message is refused before any handler sees it, with an HTTP status and a JSON-RPC error."""

    def __init__(self, status: int, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.data = data

    def answer(self, request: ReceivedRequest) -> Answer:
        """The refusal as an answer: plain text where there is no id to name, because not every revision lets
        an error be without one."""
        if request.rpc_id is None:
            return Answer(self.status, {"content-type": "text/plain"}, str(self).encode())
        return Answer.json(error_response(request.rpc_id, self.code, str(self), self.data), self.status)


def error_response(request_id: Any, code: int, message: str, data: Any = None) -> Message:
    """A JSON-RPC error response."""
    error = {"code": code, "message": message, **({} if data is None else {"data": data})}
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def error_status(code: int) -> int:
    """The HTTP status of an error that a handler answers with (basic, _meta, 2026-07-28)."""
    return 400 if code == MISSING_CAPABILITY else 200


def check_content(request: ReceivedRequest) -> None:
    """Refuse a body that is not JSON, or does not say so."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, INVALID_REQUEST, "Content-Type must be application/json")
    if request.json is None:
        raise Refusal(400, PARSE_ERROR, "The body is not JSON")


def check_accept(request: ReceivedRequest, *types: str) -> None:
    """Refuse a request whose ``Accept`` does not list every one of ``types``."""
    accepted = {part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")}
    if not accepted.issuperset(types):
        raise Refusal(406, INVALID_REQUEST, f"Accept must list {' and '.join(types)}")
