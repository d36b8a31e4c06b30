"""Calls a second with 200 at once, to a server that takes 50 ms for each, beside raw httpx."""

from __future__ import annotations

import time

import anyio
import httpx

import transports
from mcpcore import Limits

from .measuring import TOKEN, Call, connections_opened, ratio, raw_call

ROUNDS, AT_ONCE, CALLS = 3, 200, 2_000


async def calls_per_second(call: Call) -> float:
    """The rate of CALLS calls, AT_ONCE of them at a time."""
    left = iter(range(CALLS))

    async def worker() -> None:
        for _ in left:
            await call()

    begin = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(worker)
    return CALLS / (time.perf_counter() - begin)


async def main(url: str) -> None:
    limits = Limits()
    ours_rates: list[float] = []
    raw_rates: list[float] = []
    async with (
        transports.connect(f"{url}/slow", auth_token=TOKEN, limits=limits) as ours,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        before = connections_opened(url)
        for _ in range(ROUNDS):
            ours_rates.append(await calls_per_second(lambda: ours.call_tool("echo", {"text": "hello"})))
        opened = connections_opened(url) - before - 1
        for _ in range(ROUNDS):
            raw_rates.append(await calls_per_second(raw_call(http, f"{url}/slow")))
    ratio("calls/s at 200 at once, mcpcore / raw httpx", ours_rates, raw_rates, "1200/s where raw makes 320: 3.75")
    print(
        f"  calls/s: mcpcore {max(ours_rates):.0f}, raw httpx {max(raw_rates):.0f} (of this machine, for orientation)"
    )
    print(f"  connections opened by mcpcore: {opened} (wanted: at most {limits.connections})")
