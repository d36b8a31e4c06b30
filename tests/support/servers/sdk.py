"""The server of the official SDK: both eras at ``/mcp``, and its legacy application at ``/sse``."""

from __future__ import annotations

import anyio
from mcp.server.mcpserver import Context, MCPServer

from support.servers.serving import run

server = MCPServer("sdk", instructions="For tests.")


@server.tool()
async def echo_headers(ctx: Context) -> dict[str, str]:
    """Return the headers that this very request carried."""
    return dict(ctx.headers or {})


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("this tool always fails")


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Count, and report it."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to)
    return "done"


@server.tool()
async def hang() -> str:
    """Never answer."""
    await anyio.sleep_forever()
    return ""


if __name__ == "__main__":
    application = server.streamable_http_app()
    application.router.routes.extend(server.sse_app().routes)
    run(application)
