"""``python -m tests.bench [imports|core|sequential|sse|at_once|tenants|soak ...]``: measure, and print ratios.

All figures of a ratio come from one run, in turns, on one machine.  Quote the ratios; the rest depends on the machine.
"""

from __future__ import annotations

import sys

import anyio

from . import at_once, core, imports, sequential, soak, sse, tenants, tenants_memory
from .measuring import bench_server

LOOPS = ("asyncio", "trio")


def main(wanted: list[str]) -> None:
    if not wanted or "imports" in wanted:
        print("imports")
        imports.main()
    if not wanted or "core" in wanted:
        print("the core")
        anyio.run(core.main)
    with bench_server() as url:
        if not wanted or "sequential" in wanted:
            print("sequential, asyncio")
            anyio.run(sequential.main, url, backend="asyncio")
        if not wanted or "sse" in wanted:
            for loop in LOOPS:
                print(f"event streams, {loop}")
                anyio.run(sse.main, url, backend=loop)
        if not wanted or "at_once" in wanted:
            print("at once, asyncio")
            anyio.run(at_once.main, url, backend="asyncio")
        if not wanted or "tenants" in wanted:
            print("tenants, asyncio")
            anyio.run(tenants.main, url, backend="asyncio")
            print("tenants, memory")
            tenants_memory.main()
        if not wanted or "soak" in wanted:
            for loop in LOOPS:
                print(f"soak, {loop}")
                anyio.run(soak.main, url, backend=loop)


main(sys.argv[1:])
