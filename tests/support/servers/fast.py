"""A fastmcp server, at ``/mcp``."""

from __future__ import annotations

import anyio
from fastmcp import Context, FastMCP
from fastmcp.server.dependencies import get_http_headers

from support.servers.serving import run

server: FastMCP = FastMCP("fast", instructions="For tests.")


@server.tool
def echo_headers() -> dict[str, str]:
    """Return the headers that this very request carried."""
    return get_http_headers(include_all=True)


@server.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool
def fail() -> str:
    """Fail."""
    raise ValueError("this tool always fails")


@server.tool
async def count(to: int, ctx: Context) -> str:
    """Count, and report it."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to)
    return "done"


@server.tool
async def hang() -> str:
    """Never answer."""
    await anyio.sleep_forever()
    return ""


if __name__ == "__main__":
    run(server.http_app())
