"""What the benchmarks have in common: the server's process, clocks, and the raw request to compare with."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

Call = Callable[[], Awaitable[object]]

_ROOT = Path(__file__).parents[2]
TOKEN = "a" * 40


@contextmanager
def bench_server() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.server"]
    with subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = process.stdout.readline().strip()
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()


def connections_opened(url: str) -> int:
    """How many connections the server has seen, this one included."""
    return int(httpx.get(f"{url}/opened", trust_env=False).text)


def requests_received(url: str) -> dict[str, int]:
    """How many requests of each JSON-RPC method the server has seen."""
    received: dict[str, int] = httpx.get(f"{url}/requests", trust_env=False).json()
    return received


def raw_call(client: httpx.AsyncClient, url: str) -> Call:
    """The floor: the same request and the same parsing, written by hand."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "echo",
        "authorization": f"Bearer {TOKEN}",
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "mcpcore", "version": "0.1.0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    count = 0

    async def call() -> Any:
        nonlocal count
        count += 1
        params = {"name": "echo", "arguments": {"text": "hello"}, "_meta": meta}
        message = {"jsonrpc": "2.0", "id": count, "method": "tools/call", "params": params}
        response = await client.post(url, content=json.dumps(message), headers=headers)
        return json.loads(response.content)["result"]

    return call


async def cpu_per_call(call: Call, calls: int) -> float:
    """Seconds of this process's CPU for one of ``calls`` calls in a row."""
    begin = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - begin) / calls


def ratio(name: str, ours: list[float], theirs: list[float], bound: str) -> None:
    """Print the median of the ratios of paired figures."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"  {name:<46} {middle:6.2f}   (from {low:.2f} to {high:.2f}; wanted: {bound})")
