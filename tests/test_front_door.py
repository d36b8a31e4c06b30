"""The example that the type checkers read is run: with our own engine, and with one of the user's."""

from __future__ import annotations

import runpy
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.adapters import ERAS, server_of

import transports
from mcpcore import ConfigurationError
from transports.engines.memory import MemoryEngine
from transports.testing import Progress, ReceivedRequest, Server, serve

pytestmark = pytest.mark.anyio

EXAMPLE = runpy.run_path(str(Path(__file__).parent / "typing" / "front_door.py"))


async def search(arguments: dict[str, Any], request: ReceivedRequest) -> AsyncGenerator[Any, None]:
    """Look for something."""
    yield Progress(1, 2)
    yield f"{request.headers['x-cpki-user-id']} finds {arguments['q']}"


def check(server: Server, described: list[str], era: str) -> None:
    assert described[0].startswith("search: Look for something.")
    assert "alice finds x" in described[1]
    assert described[1].endswith("[1]")
    assert described[-1] == "a resolver failed: missing user id"
    assert ("this revision has no notifications" in described) == (era == "modern")
    server.journal.assert_every_request_carries("x-app", "demo")
    server.journal.assert_every_request_carries("authorization", "Bearer cpk-1")
    assert {request.headers["x-cpki-user-id"] for request in server.journal} == {"alice", "bob"}


@pytest.mark.parametrize("era", ERAS[:2])
async def test_the_example_over_sockets(era: str) -> None:
    """``engine=None`` is what it says everywhere else: the one that there is."""
    server = server_of(era, search)
    async with serve(server) as served:
        with anyio.fail_after(20):
            check(server, await EXAMPLE["use"](served.url), era)


@pytest.mark.parametrize("era", ERAS[:2])
async def test_the_example_with_an_engine_of_ones_own(era: str) -> None:
    server = server_of(era, search)
    engine = EXAMPLE["Recording"](MemoryEngine(server))
    check(server, await EXAMPLE["use"](f"https://mcp.example{server.path}", engine), era)
    assert len(engine.sent) == len(server.journal)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_engine_that_there_is_not() -> None:
    unknown: Any = "h99"
    with pytest.raises(ConfigurationError, match="'httpx' or an Engine"):
        transports.connect("https://mcp.example/mcp", engine=unknown)
