"""A server of the official SDK that shows each user tools of their own, at ``/mcp``.

Who somebody is, it takes from the token of each single request.  Its lists are private, and fresh for as many seconds
as its first argument says.
"""

from __future__ import annotations

import sys
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server

from support.servers.serving import run

EMPTY = {"type": "object", "properties": {}}


def user_of(context: ServerRequestContext[Any, Any]) -> str:
    """The user in the token ``Bearer USER.GENERATION.SERIAL``."""
    assert context.request is not None
    return str(context.request.headers["authorization"].removeprefix("Bearer ").split(".")[0])


async def list_tools(context: ServerRequestContext[Any, Any], params: Any) -> types.ListToolsResult:
    """List two tools, one of them the user's own."""
    names = [f"files-of-{user_of(context)}", "whoami"]
    return types.ListToolsResult(tools=[types.Tool(name=name, input_schema=EMPTY) for name in names])


async def call_tool(context: ServerRequestContext[Any, Any], params: Any) -> types.CallToolResult:
    """Tell who called, whichever tool it was."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=user_of(context))])


if __name__ == "__main__":
    hint = CacheHint(ttl_ms=int(sys.argv[1]) * 1000, scope="private")
    server = Server("private", on_list_tools=list_tools, on_call_tool=call_tool, cache_hints={"tools/list": hint})
    run(server.streamable_http_app())
