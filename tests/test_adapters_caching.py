"""A call that finds all it needs in the cache is a call like any other: it lets others run, and can be given up."""

from __future__ import annotations

import anyio
import pytest

import transports
from mcpcore import CallContext
from transports.engines.memory import MemoryEngine
from transports.testing import Server, echo_headers

pytestmark = pytest.mark.anyio

URL = "https://mcp.example/mcp"
ALICE = CallContext(principal="acme/alice")
NOBODY = CallContext(request_headers={"x-user": "nobody"})
each_caller = pytest.mark.parametrize("context", [ALICE, NOBODY], ids=["principal", "nobody"])


def client() -> transports.Client:
    engine = MemoryEngine(Server(tools=[echo_headers], ttl_ms=60_000))
    return transports.connect(URL, engine=engine, get_headers=lambda context: {"X-User": "somebody"})


@each_caller
async def test_a_hit_can_be_cancelled(context: CallContext) -> None:
    async with client() as somebody:
        await somebody.list_tools(context=context)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await somebody.list_tools(context=context)
        assert scope.cancelled_caught
        assert somebody.statistics().cache_hits == 1


@each_caller
async def test_hits_let_others_run(context: CallContext) -> None:
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(turns))
            await anyio.lowlevel.checkpoint()

    async with client() as somebody, anyio.create_task_group() as tasks:
        await somebody.list_tools(context=context)
        tasks.start_soon(other)
        before = len(turns)
        for _ in range(10):
            await somebody.list_tools(context=context)
        assert len(turns) >= before + 5
        tasks.cancel_scope.cancel()
