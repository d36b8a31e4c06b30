"""For tests of what is kept: worlds with a clock, in each era, whose servers have lists of tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mcpcore import CallContext, RequestContext, SendRequest
from support.pure import Answer, headers_of, message_of, result_reply
from support.shelf import Clock
from support.stepping import DISCOVERY, HANDSHAKE, MODERN, HandshakeServer, SseServer, World, world_of

ERAS = ("modern", "handshake", "HTTP+SSE")


Result = Mapping[str, Any]
Results = Callable[[SendRequest], "Result | Answer"]


def user_of(request: SendRequest) -> str:
    return headers_of(request).get("x-user", "nobody")


def as_user(context: RequestContext) -> dict[str, str]:
    """A resolver: who is named in the inbound headers."""
    return {"X-User": context.request_headers["x-user"]}


def by(name: str) -> CallContext:
    """A call without a principal."""
    return CallContext(request_headers={"x-user": name})


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}}


def listing(
    *names: str, ttl: Any = 60_000, scope: Any = "private", cursor: str | None = None, **more: Any
) -> dict[str, Any]:
    """A page of tools; what is None is left out."""
    fields = {"tools": list(map(tool, names)), "ttlMs": ttl, "cacheScope": scope, "nextCursor": cursor, **more}
    return {name: value for name, value in fields.items() if value is not None}


def own_list(request: SendRequest) -> Result:
    """Each user's list names its user."""
    return listing(f"tool of {user_of(request)}")


def pages(**results: Result) -> Results:
    """A list in pages; each cursor is the name of a page."""

    def answer(request: SendRequest) -> Result:
        params = message_of(request).get("params", {})
        return results[params.get("cursor", "first")]

    return answer


def world_in(era: str, results: Results = own_list, **options: Any) -> World:
    """A client with a clock, and a server of ``era`` that answers requests with ``results``.

    In the handshake era, where answers bring no hints, they are kept for as long as the modern ones of these tests say.
    """
    options = {"clock": Clock(), "get_headers": as_user, **options}
    if era == "modern":
        return world_of(modern_with(results), **{"protocol_version": MODERN, **options})
    options = {"default_ttl": 60.0, **options}
    if era == "handshake":
        return world_of(HandshakeServer(results=results), **{"protocol_version": HANDSHAKE, **options})
    return world_of(SseServer(results=results), **{"type": "sse", **options})


def modern_with(results: Results) -> Callable[[SendRequest], Answer]:
    """A modern server that answers requests with ``results``."""

    def answer(request: SendRequest) -> Answer:
        if request.rpc_method == "server/discover":
            return result_reply(request, DISCOVERY)
        result = results(request)
        return result_reply(request, result) if isinstance(result, Mapping) else result

    return answer


def names(tools: list[Any]) -> list[str]:
    return [tool.name for tool in tools]
