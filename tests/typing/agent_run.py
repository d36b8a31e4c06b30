"""The agent run as a user's code sees its types: mypy and pyright check this file, and one test runs it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import assert_type

import transports
from mcpcore import CallContext, CallToolResult, Limits, McpError, Progress, Tool, UnauthorizedError
from transports import ExchangeSummary, Run, ServerConfig, Skipped, open_run


def observer(exchange: ExchangeSummary) -> None:
    """What an observer is told."""


def on_progress(progress: Progress) -> None:
    """What a listener is told."""


async def use(servers: Sequence[ServerConfig], engine: transports.Engine | None = None) -> list[str]:
    """All that a run can be asked."""
    said: list[str] = []
    context = CallContext(principal="acme/alice", request_headers={"x-user": "alice"}, user="alice")
    async with open_run(
        servers,
        context=context,
        http_client=None,
        engine=engine,
        limits=Limits(connections=10),
        client_info={"name": "agent-run", "version": "1"},
        digest_key=b"sixteen bytes or more",
        store=None,
        on_exchange=observer,
    ) as run:
        assert_type(run, Run)
        assert_type(run.tools, Sequence[Tool])
        assert_type(run.skipped, Sequence[Skipped])
        for tool in run.tools:
            result = await run.call_tool(tool.name, {"q": "x"}, timeout=5.0, on_progress=on_progress)
            assert_type(result, CallToolResult)
            said.append(f"{run.server_of(tool.name)} says {result.text}")
        for server, reason in run.skipped:
            assert_type(server, str)
            assert_type(reason, str)
        for skipped in run.skipped:
            assert_type(skipped.error, McpError)
            needs_login = isinstance(skipped.error, UnauthorizedError)
            said.append(f"{skipped.server}: {skipped.reason} {needs_login}")
    return said


async def use_in_a_stack(servers: list[ServerConfig], engine: transports.Engine) -> int:
    """A run is an asynchronous context manager like any other."""
    async with AsyncExitStack() as stack:
        run = await stack.enter_async_context(open_run(servers, engine=engine))
        assert_type(run, Run)
        return len(run.tools)
