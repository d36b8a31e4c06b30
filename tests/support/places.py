"""Where people have to log in: what runs in ``support.servers.guarded``, as the tests know it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from support.processes import starting


@frozen
class Place:
    """An MCP server, and the authorization server that issues its tokens."""

    server: str
    issuer: str

    @property
    def url(self) -> str:
        """Where the MCP server is asked."""
        return f"{self.server}/mcp"


@contextmanager
def starting_places() -> Iterator[dict[str, Place]]:
    """All of them, in one process that runs for the length of the block."""
    with starting("guarded") as origin:
        sdk, fast, apart, issuer = (origin() for _ in range(4))
        yield {"sdk": Place(sdk, sdk), "fast": Place(fast, fast), "apart": Place(apart, issuer)}
