"""Two hundred principals through one client, while each one's token is replaced five times under it.

The server is the official SDK's, in both of its eras, in a process of its own; a gate in front of it refuses the tokens
of earlier generations, so that a replaced token is noticed as it is in life: by a 401 in the middle of the work.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field, frozen
from support.processes import Gate, Wallet, starting

import transports
from mcpcore import CallContext, Limits, RequestKind

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

PRINCIPALS = [f"user-{number}" for number in range(200)]
ROTATIONS = 5
HALF = len(PRINCIPALS) // 2
# Each answer of this server is an event stream, which is read to its end also where the machine is slow: a stream that
# is left before would cost its connection.
LIMITS = Limits(connections=20, drain=10.0, idle_connection=60.0, goodbye=20.0)


@frozen
class Era:
    """How the server is spoken to."""

    revision: str | None
    default_ttl: float
    has_sessions: bool


ERAS = {"modern": Era(None, 0.0, False), "handshake": Era("2025-11-25", 3600.0, True)}


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with starting("private", "3600") as wait_until_started:
        yield wait_until_started()


@define
class Crowd:
    """Everybody at work, through one client."""

    client: transports.Client
    gate: Gate
    wallet: Wallet
    notes: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    lists: int = 0

    async def work(self, user: str) -> None:
        """One user's list and call, which show nobody else."""
        self.lists += 1
        somebody = self.client.bind(CallContext(principal=user))
        assert [tool.name for tool in await somebody.list_tools()] == [f"files-of-{user}", "whoami"]
        assert (await somebody.call_tool("whoami")).text == user

    async def everybody_works(self) -> list[dict[str, Any]]:
        """All at once, for the first time; returns what the gate noted."""
        async with anyio.create_task_group() as tasks:
            for user in PRINCIPALS:
                tasks.start_soon(self.work, user)
        return await self._noted()

    async def everybody_works_while_tokens_are_replaced(self) -> list[dict[str, Any]]:
        """All at once; once half of them are through, every token is outdated, and they work again."""
        through, is_replaced = 0, anyio.Event()

        async def work(user: str) -> None:
            nonlocal through
            await self.work(user)
            through += 1
            if through == HALF:
                self.wallet.issuer.generation += 1
                await self.gate.refuse_older_than(self.wallet.issuer.generation)
                is_replaced.set()
            await is_replaced.wait()
            if self.wallet.known[user] != self.wallet.issuer.generation:
                await self.work(user)

        async with anyio.create_task_group() as tasks:
            for user in PRINCIPALS:
                tasks.start_soon(work, user)
        return await self._noted()

    async def _noted(self) -> list[dict[str, Any]]:
        notes = await self.gate.requests()
        self.notes += notes
        return notes


@asynccontextmanager
async def crowd_at(origin: str, era: Era) -> AsyncGenerator[Crowd, None]:
    gate, wallet = Gate(origin), Wallet()
    await gate.refuse_older_than(1)
    await gate.requests()
    client = transports.connect(
        f"{origin}/mcp",
        protocol_version=era.revision,
        get_headers=wallet,
        default_ttl=era.default_ttl,
        limits=LIMITS,
        timeout=60,
    )
    async with client:
        yield Crowd(client, gate, wallet)


def check_that_sessions_have_one_owner(notes: list[dict[str, Any]], era: Era) -> None:
    """Each session is one user's, each user has one at most, and all but what opens it names it."""
    owners = {note["session"]: note["headers"]["x-user"] for note in notes if note["session"]}
    assert sorted(owners.values()) == (sorted(PRINCIPALS) if era.has_sessions else [])
    own = {user: session for session, user in owners.items()}
    opening = [note for note in notes if "mcp-session-id" not in note["headers"]]
    assert len(opening) == (len(PRINCIPALS) if era.has_sessions else len(notes))
    for note in notes:
        named = note["headers"].get("mcp-session-id")
        assert named in (None, own.get(note["headers"]["x-user"]))


# How a server is spoken to and which event loop does it have nothing to do with each other: each of both is seen once.
@pytest.mark.parametrize(("anyio_backend", "name"), [("asyncio", "handshake"), ("trio", "modern")])
async def test_two_hundred_principals_whose_tokens_are_replaced_five_times(name: str, origin: str) -> None:
    era = ERAS[name]
    with anyio.fail_after(110):
        async with crowd_at(origin, era) as crowd:
            first = await crowd.everybody_works()
            rounds = [await crowd.everybody_works_while_tokens_are_replaced() for _ in range(ROTATIONS)]
            statistics = crowd.client.statistics()
        goodbyes = await crowd.gate.requests()

    # Whose each request was: a token of its own, of the user in whose name it was made.
    tokens = [note["headers"]["authorization"] for note in crowd.notes]
    assert len(tokens) == len(set(tokens))
    for note in crowd.notes:
        assert note["headers"]["authorization"].startswith(f"Bearer {note['headers']['x-user']}.")
    check_that_sessions_have_one_owner(crowd.notes, era)
    ended = sorted(note["headers"]["x-user"] for note in goodbyes if note["method"] == "DELETE")
    assert ended == (sorted(PRINCIPALS) if era.has_sessions else [])

    # What a rotation costs: a 401 and a second resolution for each, and no handshake, discovery, list or connection.
    again = [context for context in crowd.wallet.resolved.values() if context.attempt == 2]
    assert sorted(str(context.principal) for context in again) == sorted(PRINCIPALS * ROTATIONS)
    ports = {note["port"] for note in first}
    assert len(ports) <= LIMITS.connections
    for notes in rounds:
        assert sum(note["status"] == 401 for note in notes) == len(PRINCIPALS)
        assert {note["method"] for note in notes} == {"POST"}
        assert all("mcp-session-id" in note["headers"] for note in notes) is era.has_sessions
        assert {note["port"] for note in notes} <= ports
    kinds = {crowd.wallet.resolved[note["headers"]["authorization"]].kind for notes in rounds for note in notes}
    methods = [crowd.wallet.resolved[token].rpc_method for token in tokens]
    assert kinds == {RequestKind.REQUEST}
    assert methods.count("initialize") == (len(PRINCIPALS) if era.has_sessions else 0)
    assert methods.count("server/discover") == (0 if era.has_sessions else 1)
    assert methods.count("tools/list") == len(PRINCIPALS)

    # What the client holds in the end.
    assert statistics.partitions == len(PRINCIPALS)
    assert statistics.sessions == (len(PRINCIPALS) if era.has_sessions else 0)
    assert (statistics.anonymous_partitions, statistics.streams, statistics.calls) == (0, 0, 0)
    assert statistics.cache_entries == statistics.cache_misses == len(PRINCIPALS)
    assert statistics.cache_hits == crowd.lists - len(PRINCIPALS)
    assert 0 < statistics.cache_bytes < LIMITS.cache_bytes
    assert (statistics.evictions, statistics.ignored_messages) == (0, 0)
    assert statistics.unused_resolutions == len(crowd.wallet.resolved) - len(crowd.notes) - len(goodbyes)
