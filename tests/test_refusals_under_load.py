"""Tokens that are refused while many are at work: who is refused resolves once more, and nobody else notices.

That one waits for the other is shown by events, not by clocks: what holds Alice up goes on until Bob is through, so if
he had to wait for her, neither would ever end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from attrs import define, field
from support.adapters import ERAS, person, server_of, wired

import transports
from mcpcore import RequestContext, UnauthorizedError
from transports.testing import Answer, ReceivedRequest, Server, echo_headers
from transports.testing.server import Forward

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")
REFUSED = Answer(401, {"www-authenticate": 'Bearer error="invalid_token"'})
OWN_REQUESTS = {
    "modern": ["tools/list", "tools/call"],
    "handshake": ["initialize", "notifications/initialized", "tools/list", "tools/call"],
    "sse": ["GET", "initialize", "notifications/initialized", "tools/list", "tools/call"],
}
OWN = [(era, at) for era in ERAS for at in OWN_REQUESTS[era]]
# What all may wait for together is the answer to how the server is to be spoken to; never somebody's resolver.
PROBES = [("modern", "server/discover"), ("handshake", "server/discover")]


def is_of(user: str, at: str, request: ReceivedRequest) -> bool:
    """Whether this is such a request of one user's, by the first token that was resolved for it."""
    named = request.headers["authorization"] == f"Bearer acme/{user}, attempt 1"
    return named and at in (request.method, request.rpc_method)


@define
class Resolver:
    """Resolves tokens that tell whose they are, and at which attempt; Alice's second one takes until it may go on."""

    may_go_on: anyio.Event = field(factory=anyio.Event)
    is_asked_again: anyio.Event = field(factory=anyio.Event)
    contexts: list[RequestContext] = field(factory=list[RequestContext])

    async def __call__(self, context: RequestContext) -> dict[str, str]:
        self.contexts.append(context)
        if context.attempt == 2:
            self.is_asked_again.set()
            await self.may_go_on.wait()
        return {"Authorization": f"Bearer {context.principal}, attempt {context.attempt}"}

    def asked_again(self) -> list[RequestContext]:
        return [context for context in self.contexts if context.attempt == 2]


@asynccontextmanager
async def connected(server: Server, era: str, resolver: Resolver) -> AsyncGenerator[transports.Client, None]:
    with anyio.fail_after(20):
        async with wired(server, "engine") as wire, wire.connect(era, get_headers=resolver) as client:
            yield client


async def work(client: transports.BoundClient) -> None:
    """What anybody does: list, and call."""
    assert [tool.name for tool in await client.list_tools()] == ["echo_headers"]
    result = await client.call_tool("echo_headers")
    assert result.structured_content is not None
    assert result.structured_content["authorization"].startswith("Bearer acme/")


@pytest.mark.parametrize(("era", "at"), OWN)
async def test_a_refusal_that_is_long_in_coming_holds_up_whom_it_is_for(era: str, at: str) -> None:
    server, resolver = server_of(era, echo_headers), Resolver()
    resolver.may_go_on.set()
    is_refused, others_are_through = anyio.Event(), anyio.Event()

    async def refuse_late(request: ReceivedRequest, forward: Forward) -> Answer:
        is_refused.set()
        await others_are_through.wait()
        return REFUSED

    async with connected(server, era, resolver) as client:
        server.script(lambda request: is_of("alice", at, request), refuse_late)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, client.bind(ALICE))
            await is_refused.wait()
            for _ in range(5):
                await work(client.bind(BOB))
            others_are_through.set()
    assert [context.principal for context in resolver.asked_again()] == ["acme/alice"]


@pytest.mark.parametrize(("era", "at"), [*PROBES, *OWN])
async def test_a_resolver_that_hangs_when_it_is_asked_again_holds_up_its_own_call(era: str, at: str) -> None:
    server, resolver = server_of(era, echo_headers), Resolver()
    server.script(lambda request: is_of("alice", at, request), REFUSED)
    async with connected(server, era, resolver) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(work, client.bind(ALICE))
        await resolver.is_asked_again.wait()
        for _ in range(5):
            await work(client.bind(BOB))
        resolver.may_go_on.set()
    [again] = resolver.asked_again()
    assert (again.principal, again.http_method if at == "GET" else again.rpc_method) == ("acme/alice", at)
    assert again.challenge is not None
    server.assert_script_played()


@pytest.mark.parametrize("era", ERAS)
async def test_who_gives_up_while_its_resolver_hangs_leaves_nothing_behind(era: str) -> None:
    server, resolver = server_of(era, echo_headers), Resolver()
    async with connected(server, era, resolver) as client:
        alice, bob = client.bind(ALICE), client.bind(BOB)
        await work(alice)
        await work(bob)
        server.script(lambda request: is_of("alice", "tools/call", request), REFUSED)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, alice)
            await resolver.is_asked_again.wait()
            await work(bob)
            tasks.cancel_scope.cancel()
        await work(alice)
        await work(bob)
        assert client.statistics().calls == 0


@pytest.mark.parametrize("era", ERAS)
async def test_each_call_that_an_expired_token_fails_resolves_once_more(era: str) -> None:
    """Forty calls are under way when the tokens of every other user expire."""
    users, calls_each = [f"user-{number}" for number in range(10)], 4
    expired = {f"acme/{user}" for user in users[::2]}
    server, resolver = server_of(era, echo_headers), Resolver()
    resolver.may_go_on.set()
    under_way, all_under_way = 0, anyio.Event()

    async def refuse_the_expired(request: ReceivedRequest, forward: Forward) -> Answer:
        nonlocal under_way
        under_way += 1
        if under_way == len(users) * calls_each:
            all_under_way.set()
        await all_under_way.wait()
        user = request.headers["authorization"].removeprefix("Bearer ").partition(",")[0]
        return REFUSED if user in expired else await forward(request)

    async with connected(server, era, resolver) as client:
        for user in users:
            await work(client.bind(person(user)))
        handshakes = len(server.journal.requests("initialize"))
        server.script("tools/call", refuse_the_expired, times=len(users) * calls_each)
        async with anyio.create_task_group() as tasks:
            for user in users * calls_each:
                tasks.start_soon(work, client.bind(person(user)))
        assert len(server.journal.requests("initialize")) == handshakes
    server.assert_script_played()
    again = resolver.asked_again()
    assert {context.rpc_method for context in again} == {"tools/call"}
    assert Counter(str(context.principal) for context in again) == dict.fromkeys(expired, calls_each)
    assert len({context.request_id for context in again}) == len(again)


@pytest.mark.parametrize("era", ERAS)
async def test_who_is_shut_out_loses_what_was_kept_and_nobody_else_does(era: str) -> None:
    server, resolver = server_of(era, echo_headers, ttl_ms=60_000), Resolver()
    resolver.may_go_on.set()
    async with wired(server, "engine") as wire, wire.connect(era, get_headers=resolver, default_ttl=60.0) as client:
        alice, bob = client.bind(ALICE), client.bind(BOB)
        for _ in range(2):
            await work(alice)
            await work(bob)
        assert len(server.journal.requests("tools/list")) == 2
        server.script(lambda request: request.rpc_method == "tools/call", REFUSED, times=2)
        with pytest.raises(UnauthorizedError):
            await alice.call_tool("echo_headers")
        await work(bob)
        assert len(server.journal.requests("tools/list")) == 2
        await work(alice)
        [*_, last] = server.journal.requests("tools/list")
        assert len(server.journal.requests("tools/list")) == 3
        assert last.headers["authorization"].startswith("Bearer acme/alice,")
