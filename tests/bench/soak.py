"""Is the engine sound after 10,000 cancelled calls?"""

from __future__ import annotations

import random

import anyio

import transports
from mcpcore import Limits
from transports.engines.httpx import HttpxEngine

from .measuring import connections_opened

CANCELLED, AT_ONCE = 10_000, 50


async def main(url: str) -> None:
    dice = random.Random(1)
    engine = HttpxEngine(Limits(connections=AT_ONCE))
    async with transports.connect(f"{url}/mcp", engine=engine) as client:
        await client.call_tool("echo", {"text": "warm"})
        cancelled = finished = 0

        async def worker() -> None:
            nonlocal cancelled, finished
            while cancelled < CANCELLED:
                # With so many at once, this may end anywhere: before the request is sent, or after the answer.
                with anyio.move_on_after(dice.random() * 0.1) as scope:
                    await client.call_tool("echo", {"text": "cancelled"})
                cancelled += scope.cancelled_caught
                finished += not scope.cancelled_caught

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(worker)
        in_use = engine.connections_in_use
        before = connections_opened(url)
        for _ in range(200):
            await client.call_tool("echo", {"text": "after"})
        after = connections_opened(url) - before - 1
    await engine.aclose()
    verdict = "sound" if in_use == 0 and after <= 1 else "NOT SOUND"
    print(
        f"  {cancelled} calls cancelled, {finished} not; connections in use: {in_use}; opened for the next 200: {after}"
    )
    print(f"  the engine is {verdict} (wanted: none in use, at most one opened)")
