"""One user's cookies never ride on another's request, whoever's client moves the bytes."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest
from support.adapters import ERAS, SOCKETS, Mint, person, server_of, wired

from transports.testing import Answer, Forward, ReceivedRequest, Tool, echo_headers

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")


async def sets_a_cookie(request: ReceivedRequest, forward: Forward) -> Answer:
    """Answer as the server does, and hand out a session of the caller's own."""
    answer = await forward(request)
    return answer.with_headers({"Set-Cookie": f"sid={request.headers['authorization'][7:]}; Path=/; Max-Age=3600"})


def cookies_of(client: Any) -> list[tuple[str, str | None, str]]:
    return [(cookie.name, cookie.value, cookie.domain) for cookie in client.cookies.jar]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("carrier", SOCKETS)
async def test_a_cookie_is_neither_sent_nor_kept(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)
    server.script(None, sets_a_cookie, times=None)
    # The user's own client has a cookie of the user's own, for this very host.
    options = {} if carrier == "engine" else {"cookies": {"own": "the-users"}}
    async with wired(server, carrier, **options) as wire:
        before = cookies_of(wire.http_client) if wire.http_client else []
        async with wire.connect(era, get_headers=Mint()) as client:
            for _ in range(2):
                for somebody in (ALICE, BOB):
                    result = await client.call_tool("echo_headers", context=somebody)
                    assert result.structured_content is not None
                    assert "cookie" not in result.structured_content
        if wire.http_client:
            assert cookies_of(wire.http_client) == before == [("own", "the-users", "")]
    server.journal.assert_no_header("cookie")
    assert len(server.journal.requests("tools/call")) == 4


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_the_users_own_requests_go_on_as_before_beside_ours(library: Any) -> None:
    """The same client, used by the user and by us by turns: neither sees the other's cookies."""
    server = server_of("modern", echo_headers)
    server.script(None, sets_a_cookie, times=None)
    async with wired(server, library.__name__) as wire, wire.connect(get_headers=Mint()) as client:
        own = wire.http_client
        await client.call_tool("echo_headers", context=ALICE)
        await own.get(wire.origin + "/mcp", headers={"Authorization": "Bearer own"})
        await client.call_tool("echo_headers", context=BOB)
        await own.get(wire.origin + "/mcp", headers={"Authorization": "Bearer own"})
        assert cookies_of(own) == [("sid", "own", "127.0.0.1")]
    with_cookies = [request for request in server.journal if "cookie" in request.headers]
    assert [(request.method, request.headers["cookie"]) for request in with_cookies] == [("GET", "sid=own")]


HOSTILE: dict[str, Any] = {
    "headers": {"X-Default": "the-clients", "Authorization": "Bearer the-clients", "Cookie": "own=the-clients"},
    "cookies": {"own": "the-clients"},
    "auth": ("the-clients", "password"),
    "params": {"key": "the-clients"},
    "follow_redirects": True,
    "timeout": 0.000001,
}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("carrier", ["httpx", "httpx2"])
async def test_what_else_a_users_client_would_add_is_not_added(carrier: str, era: str) -> None:
    server, mint = server_of(era, echo_headers), Mint()
    async with wired(server, carrier, **HOSTILE) as wire, wire.connect(era, get_headers=mint) as client:
        for somebody in (ALICE, BOB):
            assert not (await client.call_tool("echo_headers", context=somebody)).is_error
    server.journal.assert_no_leak("the-clients", "own=")
    server.journal.assert_distinct("authorization")
    assert {context.principal for context in mint.contexts} == {"acme/alice", "acme/bob"}


@pytest.mark.parametrize("carrier", ["httpx", "httpx2"])
async def test_calls_without_a_principal_share_no_session_where_hooks_may_speak_for_someone(carrier: str) -> None:
    """A hook of the user's client may add anybody's credentials, unseen: then nobody can say whose session it is."""
    server, users = server_of("handshake", Tool(echo_headers)), iter(range(100))

    async def hook(request: Any) -> None:
        request.headers["X-Hooked"] = str(next(users))

    hooks = {"request": [hook]}
    async with wired(server, carrier, event_hooks=hooks) as wire, wire.connect(auth_token="cpk-1") as client:
        for _ in range(2):
            await client.call_tool("echo_headers")
        assert len(server.journal.requests("DELETE")) == 2  # Each call's own session ends with it.
        for _ in range(2):
            await client.call_tool("echo_headers", context=ALICE)
    sessions = [request.headers["mcp-session-id"] for request in server.journal.requests("tools/call")]
    assert len(sessions) == 4
    assert len(set(sessions)) == 3
