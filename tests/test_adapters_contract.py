"""The auth contract on the wire: which headers each request carries, on both event loops and every kind of engine."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from support.adapters import CARRIERS, ERAS, Mint, person, server_of, wired

import transports
from mcpcore import HeaderResolverError, RequestContext, RequestKind, UnauthorizedError
from transports.testing import Answer, Progress, ReceivedRequest, Send, Tool, echo_headers

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")
by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_era = pytest.mark.parametrize("era", ERAS)

KINDS = {
    "modern": {"discover", "request"},
    "handshake": {"discover", "initialize", "notification", "request", "response", "terminate"},
    "sse": {"listen", "initialize", "notification", "request", "response"},
}


async def asks_back(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Ask the client for something before the result."""
    yield Send({"jsonrpc": "2.0", "id": "server-1", "method": "ping"})
    yield Progress(1, 2)
    yield "done"


@by_era
@by_carrier
async def test_every_request_of_every_kind_carries_headers_resolved_for_it_alone(carrier: str, era: str) -> None:
    mint, server = Mint(), server_of(era, echo_headers, Tool(asks_back), page_size=1)
    options = {"get_headers": mint, "headers": {"X-App": "demo"}}
    async with wired(server, carrier) as wire, wire.connect(era, **options) as client:
        for somebody in (ALICE, BOB):
            bound = client.bind(somebody)
            assert [tool.name for tool in await bound.list_tools()] == ["echo_headers", "asks_back"]
            assert (await bound.call_tool("asks_back", on_progress=lambda _: None)).text == "done"
            if era != "modern":
                await bound.notify("notifications/roots/list_changed")
        server.expire_sessions()
        if era == "sse":  # The streams end with their sessions; a call may meet that only once it is under way.
            await server.journal.wait_for(lambda request: request.method == "GET" and request.outcome != "pending", 2)
        else:
            await client.call_tool("echo_headers", context=ALICE)
        await client.open(context=ALICE)
    journal = server.journal
    journal.assert_distinct("authorization")
    journal.assert_every_request_carries("x-app", "demo")
    assert {context.kind.value for context in mint.contexts} == KINDS[era]
    for request in journal:
        context = mint.context_of(request.headers["authorization"])
        target = urlsplit(context.url)
        assert context.http_method == request.method
        assert target.path + (f"?{target.query}" if target.query else "") == request.target
        assert context.body == request.body
        assert (context.rpc_method, context.rpc_name) in [(request.rpc_method, request.rpc_name), ("ping", None)]
        # What a session's end is resolved with is its principal alone.
        assert context.kind is RequestKind.TERMINATE or context.request_headers["x-user"] in str(context.principal)
    # Every identity is known beforehand, and nobody raced for a handshake: no resolution was made in vain.
    assert len(mint.minted) == len(journal)


@by_era
@by_carrier
async def test_a_static_bearer_and_the_header_of_the_user_of_each_call(carrier: str, era: str) -> None:
    """The main job: one credential of the project's on every call, and beside it the user whom it is made for."""
    server = server_of(era, echo_headers)

    async def user_header(context: RequestContext) -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        return {"X-Cpki-User-Id": context.request_headers.get("x-user") or str(context.principal).removeprefix("acme/")}

    async with wired(server, carrier) as wire:
        options = {"auth_token": "cpk-1", "get_headers": user_header}
        async with wire.connect(era, **options) as client, anyio.create_task_group() as tasks:

            async def calls(name: str) -> None:
                for _ in range(5):
                    result = await client.call_tool("echo_headers", context=person(name))
                    assert result.structured_content is not None
                    assert result.structured_content["x-cpki-user-id"] == name
                    assert result.structured_content["authorization"] == "Bearer cpk-1"

            for number in range(6):
                tasks.start_soon(calls, f"user-{number}")
    server.journal.assert_every_request_carries("authorization", "Bearer cpk-1")
    server.journal.assert_every_request_carries("x-cpki-user-id")
    assert len(server.journal.requests("tools/call")) == 30
    if era == "handshake":
        server.journal.assert_never_shared("mcp-session-id", across="x-cpki-user-id")
    if era == "sse":
        streams: dict[str, set[str]] = {}
        for request in server.journal.requests("POST"):
            streams.setdefault(request.target, set()).add(request.headers["x-cpki-user-id"])
        assert len(streams) == 6
        assert all(len(users) == 1 for users in streams.values())


ANSWERED_401 = {
    "modern": ["server/discover", "tools/list", "tools/call"],
    "handshake": ["server/discover", "initialize", "notifications/initialized", "tools/call", "response", "DELETE"],
    "sse": ["GET", "initialize", "notifications/initialized", "tools/call", "response"],
}


def is_response(request: ReceivedRequest) -> bool:
    """Whether a POST brings the answer to a request of the server's."""
    return request.method == "POST" and request.rpc_method is None


@pytest.mark.parametrize(("era", "match"), [(era, match) for era in ERAS for match in ANSWERED_401[era]])
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_a_401_to_any_kind_of_request_is_answered_by_one_more_resolution(
    carrier: str, era: str, match: str
) -> None:
    mint, server = Mint(), server_of(era, Tool(asks_back))
    wanted = is_response if match == "response" else match
    challenge = 'Basic realm="b", Bearer error="invalid_token", scope="read"'
    server.script(wanted, Answer(401, {"WWW-Authenticate": challenge}))
    async with wired(server, carrier) as wire, wire.connect(era, get_headers=mint) as client:
        await client.list_tools(context=ALICE)
        assert (await client.call_tool("asks_back", context=ALICE)).text == "done"
    server.assert_script_played()
    server.journal.assert_distinct("authorization")
    refused, repeated = server.journal.requests(wanted)[:2]
    assert refused.body == repeated.body
    first, second = (mint.context_of(request.headers["authorization"]) for request in (refused, repeated))
    assert (first.attempt, first.challenge) == (1, None)
    assert second.attempt == 2
    assert second.challenge is not None
    assert (second.challenge.scheme.lower(), second.challenge.parameters["error"]) == ("bearer", "invalid_token")
    assert [context.attempt for context in mint.contexts].count(2) == 1


@by_carrier
async def test_a_second_401_is_the_end_of_that_call_alone(carrier: str) -> None:
    mint, server = Mint(), server_of("modern", echo_headers)
    async with wired(server, carrier) as wire, wire.connect(get_headers=mint) as client:
        await client.open(context=ALICE)
        server.script("tools/call", Answer(401, {"WWW-Authenticate": 'Bearer scope="more"'}), times=2)
        with pytest.raises(UnauthorizedError) as caught:
            await client.call_tool("echo_headers", context=ALICE)
        assert caught.value.challenges[0].parameters["scope"] == "more"
        assert len(server.journal.requests("tools/call")) == 2
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@by_carrier
async def test_a_401_to_a_static_token_is_not_tried_again(carrier: str) -> None:
    server = server_of("modern", echo_headers)
    server.script(None, Answer(401), times=None)
    options = {"auth_token": "cpk-1", "get_headers": lambda _: {"X-User": "alice"}}
    async with wired(server, carrier) as wire, wire.connect(**options) as client:
        with pytest.raises(UnauthorizedError):
            await client.call_tool("echo_headers", context=ALICE)
    assert len(server.journal) == 1


@by_era
@by_carrier
async def test_a_resolver_that_raises_sends_nothing_and_harms_nobody_else(carrier: str, era: str) -> None:
    server, mint = server_of(era, echo_headers), Mint()
    refusal = KeyError("no-such-user")

    async def resolver(context: RequestContext) -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        if context.principal == BOB.principal:
            raise refusal
        return mint(context)

    async def refused(client: transports.Client) -> None:
        with pytest.raises(HeaderResolverError) as caught:
            await client.call_tool("echo_headers", context=BOB)
        assert caught.value.__cause__ is refusal
        assert "no-such-user" not in str(caught.value)

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=resolver) as client:
        await refused(client)
        assert len(server.journal) == 0
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(refused, client)
                tasks.start_soon(succeed, client)
        await refused(client)
        await succeed(client)
    assert len(server.journal.requests("tools/call")) == 4
    server.journal.assert_no_leak("bob")


async def succeed(client: transports.Client) -> None:
    assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
