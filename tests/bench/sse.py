"""CPU for one event of a long event stream, beside raw httpx and the ``mcp`` client, in turns.

One call is told of 10,000 steps before its answer, and each contender must have handed all of them to a callback when
its call returns.  By hand there is nothing between httpx and the callback but to split the body and to parse the data
of each event.  How many connections the calls after the first have opened is counted, too.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import mcp

import transports
from mcpcore import Limits

from .measuring import TOKEN, connections_opened, ratio
from .server import STEPS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS = 5
PATIENT = Limits(idle_connection=600)  # On a slow machine, the others may take long between two calls.
BOUNDS = {"raw httpx": "at most 1.5", "mcp": "at most 0.167"}


def by_hand(http: httpx.AsyncClient, url: str, told: Callable[[float], object]) -> Callable[[], Awaitable[object]]:
    """The floor: the body split into events, and the data of each parsed."""
    headers = {"accept": "text/event-stream", "content-type": "application/json", "authorization": f"Bearer {TOKEN}"}
    params: dict[str, Any] = {"name": "echo", "arguments": {"text": "hello"}, "_meta": {"progressToken": 1}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}

    async def call() -> Any:
        response = await http.post(url, content=json.dumps(request), headers=headers)
        result = None
        for event in response.content.split(b"\n\n"):
            if event:
                message = json.loads(event.partition(b"data: ")[2])
                if "method" in message:
                    told(message["params"]["progress"])
                else:
                    result = message["result"]
        return result

    return call


class Told:
    """The progress that one call was told of."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def ours(self, progress: Any) -> None:
        self.steps.append(progress.progress)

    async def peers(self, progress: float, total: float | None, message: str | None) -> None:
        self.steps.append(progress)


async def cpu_per_event(call: Callable[[], Awaitable[object]], told: Told) -> float:
    """Seconds of this process's CPU for one event of a call."""
    told.steps.clear()
    begin = time.process_time()
    await call()
    spent = time.process_time() - begin
    assert told.steps == list(range(1, STEPS + 1)), f"{len(told.steps)} callbacks before the call returned"
    return spent / STEPS


async def main(url: str) -> None:
    for name, path in (("an event a chunk", "/progress"), ("full chunks", "/progress/packed")):
        await compare(name, url, path)


async def compare(name: str, url: str, path: str) -> None:
    told = Told()
    async with (
        transports.connect(f"{url}{path}", auth_token=TOKEN, limits=PATIENT) as ours,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
        mcp.Client(f"{url}{path}") as peer,
    ):
        contenders = {
            "mcpcore": lambda: ours.call_tool("echo", {"text": "hello"}, on_progress=told.ours),
            "raw httpx": by_hand(http, f"{url}{path}", told.steps.append),
            "mcp": lambda: peer.call_tool("echo", {"text": "hello"}, progress_callback=told.peers),
        }
        figures: dict[str, list[float]] = {contender: [] for contender in contenders}
        for call in contenders.values():
            await cpu_per_event(call, told)
        opened = dict.fromkeys(contenders, 0)
        for _ in range(ROUNDS):
            for contender, call in contenders.items():
                before = connections_opened(url)
                figures[contender].append(await cpu_per_event(call, told))
                opened[contender] += connections_opened(url) - before - 1
    for other, bound in BOUNDS.items():
        ratio(f"CPU per event, {name}, mcpcore / {other}", figures["mcpcore"], figures[other], bound)
    microseconds = {contender: min(seconds) * 1e6 for contender, seconds in figures.items()}
    print("  microseconds: " + ", ".join(f"{contender} {figure:.1f}" for contender, figure in microseconds.items()))
    ours_opened, peers_opened = opened["mcpcore"], opened["mcp"]
    print(f"  connections opened by calls after the first: mcpcore {ours_opened} (wanted: 0), mcp {peers_opened}")
