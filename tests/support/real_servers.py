"""Servers of others as fixtures, each started once for all tests that meet it, and only if one of them does.

A test module names this one in its ``pytest_plugins``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.npm_servers import starting_everything, starting_example
from support.processes import starting


@pytest.fixture(scope="session")
def features_server() -> Iterator[str]:
    """The origin of the official SDK's server, with every feature."""
    with starting("features") as origin:
        yield origin()


@pytest.fixture(scope="session")
def everything_servers() -> Iterator[dict[str, str]]:
    """The origins of npm's server with everything, by transport."""
    with starting_everything("streamableHttp") as http, starting_everything("sse") as sse:
        yield {"streamableHttp": http(), "sse": sse()}


@pytest.fixture(scope="session")
def example_server() -> Iterator[str]:
    """The origin of the TypeScript SDK's example with an event store in memory."""
    with starting_example("simpleStreamableHttp") as origin:
        yield origin()


@pytest.fixture(scope="session")
def polling_server() -> Iterator[str]:
    """The origin of the TypeScript SDK's example that closes its streams."""
    with starting_example("ssePollingExample") as origin:
        yield origin()
