"""For tests of what is kept: worlds with a clock, in each era, whose servers have lists of tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mcpcore import CallContext, RequestContext, SendRequest
from mcpcore.rules.freshness import CACHEABLE
from support.pure import Answer, headers_of, message_of, result_reply, sse_reply
from support.shelf import Clock
from support.stepping import HANDSHAKE, MODERN, HandshakeServer, SseServer, World, modern_server, world_of

each_era = pytest.mark.parametrize("era", ["modern", "handshake", "HTTP+SSE"])
over_streamable_http = pytest.mark.parametrize("era", ["modern", "handshake"])


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


NOBODY = by("alice")


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


def answer_anything(request: SendRequest) -> Result:
    """Each answer names the parameters that it is for."""
    lists: dict[str, list[Any]] = {name: [] for name in CACHEABLE.values()}
    return {"resultType": "complete", "ttlMs": 60_000, **lists, "params": message_of(request).get("params", {})}


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
        if request.method != "POST" or request.rpc_method == "server/discover":
            return modern_server(request)
        result = results(request)
        return result_reply(request, result) if isinstance(result, Mapping) else result

    return answer


def names(tools: list[Any]) -> list[str]:
    return [tool.name for tool in tools]


def listed(world: World, context: CallContext, cache: Any = "use") -> list[str]:
    """The names of the tools that a call lists."""
    return names(world.run(world.client.list_tools(context=context, cache=cache)))


def asked(world: World, method: str = "tools/list") -> int:
    """How many requests of ``method`` were sent."""
    return world.methods().count(method)


def telling(request: SendRequest, result: Result, *notifications: str, **params: Any) -> Answer:
    """An answer as an event stream, with notifications before it."""
    response = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": result}
    return sse_reply(*({"jsonrpc": "2.0", "method": name, "params": params} for name in notifications), response)


def clock_of(world: World) -> Clock:
    """The clock that the client was given."""
    clock = world.client._state.partitions.now
    assert isinstance(clock, Clock)
    return clock


def kept(world: World) -> int:
    """How many answers the client keeps."""
    return world.client.statistics().cache_entries
