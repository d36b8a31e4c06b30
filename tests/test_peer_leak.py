"""Two users, one server, one client object, and a list that is private and fresh for a minute: who gets whose list?

The server is the official SDK's, in a process of its own, and so is the peer: the ``mcp`` client, which keeps responses
by client object.  Both clients are given the same two users in the same way: one object for both, and each request
carries the token of the user on whose behalf it is made.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import httpx2
import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client
from support.adapters import tls
from support.processes import Gate, Wallet, starting

import transports
from mcpcore import CallContext

FILES = {user: [f"files-of-{user}", "whoami"] for user in ("alice", "bob")}
TURNS = ["alice", "bob", "bob", "alice"]

current_user: ContextVar[str] = ContextVar("current_user")


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with starting("private", "60") as wait_until_started:
        yield wait_until_started()


async def add_token(request: httpx2.Request) -> None:
    """Authenticate a request of the peer's as the user whose task sends it."""
    user = current_user.get()
    request.headers["Authorization"] = f"Bearer {user}.1.1"
    request.headers["X-User"] = user


@asynccontextmanager
async def peer_of(origin: str) -> AsyncGenerator[mcp.Client, None]:
    """The peer, with a hook that gives each request its headers."""
    async with httpx2.AsyncClient(verify=tls(), event_hooks={"request": [add_token]}) as http:
        current_user.set("alice")  # It sends a request as soon as it connects.
        async with mcp.Client(streamable_http_client(f"{origin}/mcp", http_client=http)) as peer:
            yield peer


def of_method(notes: list[dict[str, Any]], method: str) -> list[str]:
    """On whose behalf the requests of one method reached the server."""
    return [note["headers"]["x-user"] for note in notes if note["headers"].get("mcp-method") == method]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_peer_serves_one_users_private_list_to_the_other(origin: str) -> None:
    gate = Gate(origin)
    shown: list[tuple[str, list[str]]] = []
    with anyio.fail_after(20):
        await gate.requests()
        async with peer_of(origin) as peer:
            for user in TURNS:
                current_user.set(user)
                listed = await peer.list_tools(cache_mode="use")
                assert (listed.ttl_ms, listed.cache_scope) == (60_000, "private")
                shown.append((user, [tool.name for tool in listed.tools]))
                called = await peer.call_tool("whoami", {})
                assert [content.text for content in called.content] == [user]  # The hook does tell them apart.
        notes = await gate.requests()
    leaked = [user for user, names in shown if names != FILES[user]]
    assert leaked == ["bob", "bob"], (
        f"the mcp client showed a list of somebody else's to {leaked or 'nobody'}, where it used to show Alice's to "
        "Bob, twice; if that is mended in this release, then compare with it anew, here and in the documentation"
    )
    assert of_method(notes, "tools/list") == ["alice"]
    assert of_method(notes, "tools/call") == TURNS


@pytest.mark.anyio
async def test_ours_serves_each_user_their_own_list_and_keeps_it(origin: str) -> None:
    gate, wallet = Gate(origin), Wallet()
    with anyio.fail_after(20):
        await gate.requests()
        async with transports.connect(f"{origin}/mcp", get_headers=wallet) as client:
            for user in TURNS:
                somebody = client.bind(CallContext(principal=user))
                assert [tool.name for tool in await somebody.list_tools()] == FILES[user]
                assert (await somebody.call_tool("whoami")).text == user
            statistics = client.statistics()
        notes = await gate.requests()
    assert sorted(of_method(notes, "tools/list")) == ["alice", "bob"]  # Two lists for four calls.
    assert of_method(notes, "tools/call") == TURNS
    assert statistics.cache_hits == 2
