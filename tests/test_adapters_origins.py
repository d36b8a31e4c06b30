"""Headers stay at the endpoint's own origin: redirects, the HTTP+SSE endpoint, and plain http."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from attrs import define, field
from support.adapters import CARRIERS, ERAS, SOCKETS, Mint, Wire, person, server_of, wired

import transports
from mcpcore import (
    LimitExceeded,
    LocalProtocolError,
    RedirectError,
    RemoteProtocolError,
    SendRequest,
    TransportError,
)
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, Server, echo_headers, serve

pytestmark = pytest.mark.anyio

ALICE = person("alice")
by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_era = pytest.mark.parametrize("era", ERAS)

FIRST = {"modern": "server/discover", "handshake": "server/discover", "sse": "GET"}
"""The first request of a client that knows nothing yet."""


@asynccontextmanager
async def two_origins(server: Server, other: Server, carrier: str) -> AsyncGenerator[tuple[Wire, str]]:
    """A server, and the origin of another one that would gladly answer."""
    if carrier == "memory":
        engine = MemoryEngine({"https://mcp.example": server, "https://other.example": other})
        yield Wire(server, "https://mcp.example", {"engine": engine}), "https://other.example"
        return
    # The user's own client would follow redirects, if it were asked.
    options = {} if carrier == "engine" else {"follow_redirects": True}
    async with serve(other) as elsewhere, wired(server, carrier, **options) as wire:
        yield wire, elsewhere.origin


@pytest.mark.parametrize("policy", ["never", "same-origin"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@by_carrier
async def test_no_redirect_leaves_the_origin(carrier: str, status: int, policy: str) -> None:
    server, other, mint = server_of("modern", echo_headers), server_of("modern", echo_headers), Mint()
    async with two_origins(server, other, carrier) as (wire, elsewhere):
        location = f"{elsewhere}/mcp?code=s3cret"
        server.script("tools/call", Answer(status, {"Location": location}), times=None)
        options = {"auth_token": "cpk-1", "headers": {"X-App": "demo"}, "redirects": policy}
        async with wire.connect(get_headers=[mint, lambda _: {"X-Last": "1"}], **options) as client:
            with pytest.raises(RedirectError) as caught:
                await client.call_tool("echo_headers", context=ALICE)
            assert (caught.value.status, caught.value.location) == (status, f"{elsewhere}/mcp")
            assert "s3cret" not in str(caught.value)
    assert len(other.journal) == 0
    assert len(server.journal.requests("tools/call")) == 1


@by_era
@by_carrier
async def test_no_first_request_is_redirected_elsewhere(carrier: str, era: str) -> None:
    server, other = server_of(era, echo_headers), server_of(era, echo_headers)
    async with two_origins(server, other, carrier) as (wire, elsewhere):
        server.script(FIRST[era], Answer(307, {"Location": elsewhere + server.path}))
        async with wire.connect(era, get_headers=Mint(), redirects="same-origin") as client:
            with pytest.raises(RedirectError):
                await client.open(context=ALICE)
            # A redirect proved nothing about the server: the next call finds it sound.
            await client.call_tool("echo_headers", context=ALICE)
    assert len(other.journal) == 0


@pytest.mark.parametrize("status", [307, 308])
@by_carrier
async def test_a_redirect_within_the_origin_is_followed_with_headers_of_its_own(carrier: str, status: int) -> None:
    server, mint = server_of("modern", echo_headers), Mint()
    server.script("tools/call", Answer(status, {"Location": "/mcp?shard=2"}))
    async with wired(server, carrier) as wire, wire.connect(get_headers=mint, redirects="same-origin") as client:
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    first, second = server.journal.requests("tools/call")
    assert (first.target, second.target) == ("/mcp", "/mcp?shard=2")
    assert first.body == second.body
    server.journal.assert_distinct("authorization")
    assert mint.context_of(second.headers["authorization"]).url.endswith("/mcp?shard=2")


@by_carrier
async def test_redirects_in_a_circle_come_to_an_end(carrier: str) -> None:
    server, mint = server_of("modern", echo_headers), Mint()
    server.script("tools/call", Answer(307, {"Location": "/mcp"}), times=None)
    async with wired(server, carrier) as wire, wire.connect(get_headers=mint, redirects="same-origin") as client:
        with pytest.raises(LimitExceeded, match="redirects"):
            await client.call_tool("echo_headers", context=ALICE)
    assert len(server.journal.requests("tools/call")) == 6
    server.journal.assert_distinct("authorization")


@by_carrier
async def test_an_http_sse_endpoint_at_another_origin_is_refused(carrier: str) -> None:
    server, other, mint = server_of("sse", echo_headers), server_of("sse", echo_headers), Mint()
    async with two_origins(server, other, carrier) as (wire, elsewhere):
        event = f"event: endpoint\ndata: {elsewhere}/messages?session_id=session-1\n\n".encode()
        server.script("GET", Answer.events(event))
        async with wire.connect("sse", auth_token="cpk-1", get_headers=mint) as client:
            with pytest.raises(RemoteProtocolError, match="another origin"):
                await client.call_tool("echo_headers", context=ALICE)
            assert [request.method for request in server.journal] == ["GET"]
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    assert len(other.journal) == 0


@define(eq=False)
class Unsent:
    """An engine that would send anything anywhere."""

    requests: list[SendRequest] = field(factory=list[SendRequest])
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        self.requests.append(request)
        raise TransportError("nobody is there")

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_private_headers_do_not_go_over_plain_http(kind: str) -> None:
    engine = Unsent()
    with pytest.raises(LocalProtocolError, match="allow_insecure_http"):
        transports.connect("http://mcp.example/mcp", type=kind, auth_token="cpk-1", engine=engine)
    async with transports.connect("http://mcp.example/mcp", type=kind, get_headers=Mint(), engine=engine) as client:
        with pytest.raises(LocalProtocolError, match="allow_insecure_http"):
            await client.list_tools(context=ALICE)
    assert engine.requests == []


@pytest.mark.parametrize("kind", ["http", "sse"])
async def test_what_the_user_allows_or_what_is_not_private_goes_over_plain_http(kind: str) -> None:
    engine = Unsent()
    for options in ({}, {"get_headers": lambda _: None}, {"auth_token": "cpk-1", "allow_insecure_http": True}):
        async with transports.connect("http://mcp.example/mcp", type=kind, engine=engine, **options) as client:
            with pytest.raises(TransportError, match="nobody is there"):
                await client.list_tools(context=ALICE)
    assert len(engine.requests) == 3
    assert [dict(request.headers).get(b"Authorization") for request in engine.requests] == [None, None, b"Bearer cpk-1"]


@pytest.mark.parametrize("carrier", SOCKETS)
async def test_plain_http_to_this_very_machine_is_private(carrier: str) -> None:
    server = server_of("modern", echo_headers)
    async with wired(server, carrier) as wire, wire.connect(auth_token="cpk-1") as client:
        await client.call_tool("echo_headers")
    server.journal.assert_every_request_carries("authorization", "Bearer cpk-1")
