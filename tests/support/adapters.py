"""Clients of a scripted server, over every kind of engine, and the people they work for.

A *carrier* is what moves the bytes between the two: nothing at all (``memory``), our own engine (``engine``), or a
client that the user brought (``httpx``, ``httpx2``); all but the first over real loopback sockets.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import httpx2
from attrs import define, field, frozen

import transports
from mcpcore import CallContext, RequestContext
from transports.engines.memory import MemoryEngine
from transports.testing import Served, Server, serve

CARRIERS = ["memory", "engine", "httpx", "httpx2"]
SOCKETS = CARRIERS[1:]
LIBRARIES = {"httpx": httpx, "httpx2": httpx2}

REVISIONS = {"modern": "2026-07-28", "handshake": "2025-11-25", "sse": "2024-11-05"}
ERAS = list(REVISIONS)


@functools.cache
def tls() -> ssl.SSLContext:
    """One for all clients: a context for each takes longer than what they are used for."""
    return httpx.create_ssl_context()


@define
class Wire:
    """A server, and the way that leads there.

    :ivar http_client: the user's own client, where the carrier is one.
    """

    server: Server
    origin: str
    options: Mapping[str, Any]
    served: Served | None = None
    http_client: Any = None

    def connect(self, era: str = "modern", **options: Any) -> transports.Client:
        """A client of the server: for ``sse`` of its HTTP+SSE transport, else one that finds the era out by itself."""
        path, kind = (Server.sse_path, "sse") if era == "sse" else (Server.path, "http")
        return transports.connect(self.origin + path, **{"type": kind, "timeout": 20.0, **self.options, **options})


@asynccontextmanager
async def wired(server: Server, carrier: str, **client_options: Any) -> AsyncGenerator[Wire, None]:
    """Reach ``server`` by ``carrier``; ``client_options`` are for the user's own client, if that is the carrier."""
    if carrier == "memory":
        async with anyio.create_task_group() as background:
            yield Wire(server, "https://mcp.example", {"engine": MemoryEngine(server, background=background)})
            background.cancel_scope.cancel()
        return
    async with serve(server) as served:
        if carrier == "engine":
            yield Wire(server, served.origin, {}, served)
        else:
            async with LIBRARIES[carrier].AsyncClient(verify=tls(), **client_options) as client:
                yield Wire(server, served.origin, {"http_client": client}, served, client)


def nowhere() -> str:
    """An origin on this machine where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def server_of(era: str, *tools: Any, **options: Any) -> Server:
    """A server of one era alone."""
    return Server(tools, revisions=[REVISIONS[era]], **options)


def person(name: str) -> CallContext:
    """A call's context for somebody."""
    return CallContext(principal=f"acme/{name}", request_headers={"X-User": name})


@frozen
class Minted:
    """One resolution: what the resolver was told, and the token that it returned."""

    context: RequestContext
    token: str


@define
class Mint:
    """A resolver that returns a new token each time, and remembers for which request it was."""

    minted: list[Minted] = field(factory=list[Minted])

    def __call__(self, context: RequestContext) -> dict[str, str]:
        token = f"Bearer {context.principal}.{len(self.minted) + 1}"
        self.minted.append(Minted(context, token))
        return {"Authorization": token}

    @property
    def contexts(self) -> list[RequestContext]:
        return [minted.context for minted in self.minted]

    def context_of(self, token: str) -> RequestContext:
        """For which request this very token was made."""
        [context] = [minted.context for minted in self.minted if minted.token == token]
        return context
