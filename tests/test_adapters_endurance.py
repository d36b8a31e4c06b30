"""Hundreds of times connect, call and close: no task, no socket and no memory stays behind."""

from __future__ import annotations

import gc
import tracemalloc

import anyio
import pytest
from support.adapters import Wire, person, server_of, wired
from support.leftovers import objects_of_ours, open_files

from mcpcore import RequestContext
from transports.testing import echo_headers

pytestmark = pytest.mark.anyio

WAYS = [
    ("memory", "modern"),
    ("memory", "handshake"),
    ("memory", "sse"),
    ("engine", "modern"),
    ("engine", "handshake"),
    ("engine", "sse"),
    ("httpx", "modern"),
    ("httpx2", "modern"),
]


async def cycles(wire: Wire, era: str, count: int) -> None:
    """Connect, make a call and close, again and again; each request has a token of its own."""
    number = 0

    def resolver(context: RequestContext) -> dict[str, str]:
        nonlocal number
        number += 1
        return {"Authorization": f"Bearer {context.principal}.{number}"}

    for _ in range(count):
        async with wire.connect(era, get_headers=resolver) as client:
            await client.call_tool("echo_headers", context=person("alice"))
        wire.server.journal.clear()
        # In memory nothing ever waits, and asyncio keeps the timers of deadlines that were met until its loop turns.
        await anyio.lowlevel.checkpoint()


def bytes_in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize(("carrier", "era"), WAYS)
async def test_no_task_no_socket_and_no_object_stays_behind(carrier: str, era: str) -> None:
    """Counted exactly, so that few cycles show as much as many: what a cycle leaves would be there forty times."""
    async with wired(server_of(era, echo_headers), carrier) as wire:
        await cycles(wire, era, 20)
        await anyio.wait_all_tasks_blocked()
        tasks, files, objects = len(anyio.get_running_tasks()), open_files(), objects_of_ours()
        await cycles(wire, era, 40)
        await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) <= tasks
        assert open_files() == files
        assert objects_of_ours() == objects


async def test_five_hundred_cycles_take_less_than_32_kib() -> None:
    """In memory alone, because tracing is slow.

    Trio keeps the timers of deadlines that were met until there are a thousand of them: each cycle makes two, so that
    every five hundred cycles it has as many as before.
    """
    async with wired(server_of("modern", echo_headers), "memory") as wire:
        tracemalloc.start()
        try:
            await cycles(wire, "modern", 50)
            before = bytes_in_use()
            await cycles(wire, "modern", 500)
            assert bytes_in_use() - before < 32 * 1024
        finally:
            tracemalloc.stop()
