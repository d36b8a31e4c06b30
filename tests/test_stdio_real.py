"""Programs that nobody here wrote, over their standard streams: the official SDK's, and the one with everything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from support.npm_servers import everything
from support.processes import TESTS

from mcpcore import (
    CallContext,
    CreateMessageRequest,
    CreateMessageResult,
    Handlers,
    Limits,
    Progress,
    Root,
    RpcError,
    TextContent,
)
from transports import Client, stdio

pytestmark = pytest.mark.anyio

ALICE = CallContext(principal="alice")


@asynccontextmanager
async def sdk(**options: Any) -> AsyncIterator[Client]:
    """The official SDK's server."""
    with anyio.fail_after(50):
        async with stdio.connect(
            sys.executable,
            args=["-m", "support.servers.sdk_stdio"],
            env={"PYTHONPATH": str(TESTS)},
            stderr=subprocess.DEVNULL,
            name="sdk",
            **options,
        ) as client:
            yield client


# Starting this server takes longest: each revision is spoken on one of the event loops.
@pytest.mark.parametrize(
    ("anyio_backend", "revision"), [("asyncio", None), ("trio", "2025-11-25"), ("asyncio", "2025-03-26")]
)
async def test_the_official_sdk(revision: str | None) -> None:
    seen: list[float] = []
    async with sdk(protocol_version=revision) as client:
        about = await client.open(context=ALICE)
        assert about.instructions == "For tests."
        assert {"add", "count", "fail", "hang"} <= {tool.name for tool in await client.list_tools(context=ALICE)}
        assert (await client.call_tool("add", {"a": 2, "b": 3}, context=ALICE)).structured_content == {"result": 5}
        assert (await client.call_tool("fail")).is_error
        counted = await client.call_tool("count", {"to": 20}, on_progress=lambda p: seen.append(p.progress))
        assert counted.text == "done"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "hang")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await client.ping()
    assert seen == [*range(1, 21)]


async def test_the_server_with_everything() -> None:
    asked: list[str | None] = []
    seen: list[Progress] = []

    def roots(_: None, context: CallContext) -> list[Root]:
        asked.append(context.principal)
        return [Root("file:///home", name="home")]

    async def sample(request: CreateMessageRequest, context: CallContext) -> CreateMessageResult:
        asked.append(context.principal)
        return CreateMessageResult(role="assistant", content=TextContent(text="sampled"), model="m")

    node, *arguments = everything("stdio")
    handlers, limits = Handlers(roots=roots, sample=sample), Limits(exit=0.3)
    with anyio.fail_after(50):
        async with stdio.connect(
            node, args=arguments, stderr=subprocess.DEVNULL, handlers=handlers, limits=limits
        ) as client:
            alice, bob = client.bind(ALICE), client.bind(CallContext(principal="bob"))
            assert (await alice.call_tool("echo", {"message": "hi"})).text == "Echo: hi"
            assert "file:///home" in (await alice.call_tool("get-roots-list")).text
            sampled = await bob.call_tool("trigger-sampling-request", {"prompt": "x", "maxTokens": 5})
            assert "sampled" in sampled.text
            length = {"duration": 0.2, "steps": 2}
            await bob.call_tool("trigger-long-running-operation", length, on_progress=seen.append)
            with pytest.raises(RpcError):
                await bob.request("no/such/method")
    assert len(seen) == 2
    assert asked == ["alice", "bob"]
