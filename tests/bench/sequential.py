"""CPU for one call after another, beside raw httpx and the ``mcp`` client, in turns."""

from __future__ import annotations

import httpx
import mcp

import transports

from .measuring import TOKEN, cpu_per_call, ratio, raw_call

ROUNDS, CALLS = 9, 300


async def main(url: str) -> None:
    async with (
        transports.connect(f"{url}/mcp", auth_token=TOKEN) as ours,
        httpx.AsyncClient(trust_env=False) as http,
        mcp.Client(f"{url}/mcp") as peer,
    ):
        contenders = {
            "mcpcore": lambda: ours.call_tool("echo", {"text": "hello"}),
            "raw httpx": raw_call(http, f"{url}/mcp"),
            "mcp": lambda: peer.call_tool("echo", {"text": "hello"}),
        }
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        for call in contenders.values():
            await cpu_per_call(call, CALLS // 3)
        for _ in range(ROUNDS):
            for name, call in contenders.items():
                figures[name].append(await cpu_per_call(call, CALLS))
    ratio("CPU per call, mcpcore / raw httpx", figures["mcpcore"], figures["raw httpx"], "at most 1.15")
    ratio("CPU per call, mcpcore / mcp", figures["mcpcore"], figures["mcp"], "at most 0.7")
