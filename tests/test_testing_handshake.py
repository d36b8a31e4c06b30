"""The scripted server in the handshake era (2025-03-26 to 2025-11-25)."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from raw_mcp import ACCEPT, CARRIERS, INITIALIZED, initialize, reach, request

from transports.testing import Progress, ReceivedRequest, Server, echo_headers

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", CARRIERS)]

REVISIONS = ["2025-11-25", "2025-06-18", "2025-03-26"]
LISTEN = {"accept": "text/event-stream"}


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_session_from_beginning_to_end(carrier: str, revision: str) -> None:
    async with reach(Server([echo_headers], revisions=REVISIONS), carrier) as peer:
        session = await peer.open_session(revision)
        listed = await peer.post(request("tools/list"), session)
        called = await peer.post(request("tools/call", {"name": "echo_headers"}), {**session, "x-user": "bob"})
        pinged = await peer.post(request("ping"), session)
        response = await peer.post({"jsonrpc": "2.0", "id": 5, "result": {}}, session)
        gone = await peer.send("DELETE", "/mcp", session)
        after = await peer.post(request("tools/list"), session)
    assert [tool["name"] for tool in listed.json["result"]["tools"]] == ["echo_headers"]
    assert listed.json["result"].keys() == {"tools"}
    assert called.json["result"]["structuredContent"]["x-user"] == "bob"
    assert pinged.json == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert (response.status, gone.status, after.status) == (202, 204, 404)


async def test_initialize_settles_the_revision(carrier: str) -> None:
    async with reach(Server(revisions=["2025-06-18", "2025-03-26"], instructions="Be nice."), carrier) as peer:
        known = (await peer.post(initialize("2025-03-26"))).json["result"]
        unknown = (await peer.post(initialize("2025-11-25"))).json["result"]
    assert known["protocolVersion"] == "2025-03-26"
    assert unknown["protocolVersion"] == "2025-06-18"
    assert unknown["instructions"] == "Be nice."
    assert unknown["serverInfo"]["name"] == "transports.testing"


async def test_a_request_must_name_its_session_and_revision(carrier: str) -> None:
    async with reach(Server(), carrier) as peer:
        session = await peer.open_session()
        old = await peer.open_session("2025-03-26")
        ask = request("tools/list")
        statuses = {
            "no session": (await peer.post(ask, {**session, "mcp-session-id": "?"})).status,
            "unknown session": (await peer.post(ask, {"mcp-protocol-version": "2025-11-25"})).status,
            "unknown revision": (await peer.post(ask, {**session, "mcp-protocol-version": "2020-01-01"})).status,
            "other revision": (await peer.post(ask, {**session, "mcp-protocol-version": "2025-06-18"})).status,
            "no revision": (await peer.post(ask, {"mcp-session-id": session["mcp-session-id"]})).status,
            "no revision, before there were any": (await peer.post(ask, old)).status,
            "revision, before there were any": (
                await peer.post(ask, {**old, "mcp-protocol-version": "2025-03-26"})
            ).status,
        }
    assert list(statuses.values()) == [404, 400, 400, 400, 400, 200, 200], statuses


async def test_nothing_but_ping_before_initialized(carrier: str) -> None:
    async with reach(Server(), carrier) as peer:
        reply = await peer.post(initialize("2025-11-25"))
        session = {"mcp-session-id": reply.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        early = await peer.post(request("tools/list"), session)
        ping = await peer.post(request("ping"), session)
        notification = await peer.post({"jsonrpc": "2.0", "method": "notifications/other"}, session)
        still_early = await peer.post(request("tools/list"), session)
        await peer.post(INITIALIZED, session)
        late = await peer.post(request("tools/list"), session)
    assert [early.status, still_early.status, ping.status, late.status] == [400, 400, 200, 200]
    assert notification.status == 202


async def test_unknown_methods_and_bodies_that_are_no_message(carrier: str) -> None:
    async with reach(Server(), carrier) as peer:
        session = await peer.open_session()
        unknown = await peer.post(request("prompts/list"), session)
        batch = await peer.post([request("tools/list")], session)
        put = await peer.send("PUT", "/mcp", session)
    assert (unknown.status, unknown.json["error"]["code"]) == (200, -32601)
    assert (batch.status, put.status) == (400, 405)


async def test_without_sessions(carrier: str) -> None:
    async with reach(Server(sessions=False), carrier) as peer:
        opened = await peer.post(initialize("2025-11-25"))
        listed = await peer.post(request("tools/list"), {"mcp-protocol-version": "2025-11-25"})
        probe = await peer.post(request("server/discover"))
        get = await peer.send("GET", "/mcp", LISTEN)
        delete = await peer.send("DELETE", "/mcp")
    assert "mcp-session-id" not in opened.headers
    assert listed.json["result"] == {"tools": []}
    assert (probe.status, probe.json["error"]["code"]) == (200, -32601)
    assert (get.status, delete.status) == (405, 405)


async def test_a_tool_may_stream(carrier: str) -> None:
    server = Server()

    @server.tool()
    async def steps(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Progress(1)
        yield {"answer": 42}

    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        params = {"name": "steps", "_meta": {"progressToken": 3}}
        reply = await peer.post(request("tools/call", params), session)
    progress, answer = reply.events
    assert progress["params"] == {"progressToken": 3, "progress": 1}
    assert answer["result"]["structuredContent"] == {"answer": 42}


async def test_the_listening_stream_carries_broadcasts_until_the_session_ends(carrier: str) -> None:
    server = Server()
    changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        with anyio.fail_after(10):
            async with peer.stream("GET", "/mcp", {**session, **LISTEN}) as stream:
                server.broadcast(changed)
                first = await stream.receive()
                server.broadcast(changed)
                server.expire_sessions()
                rest = await stream.read()
        after = await peer.post(request("tools/list"), session)
        wrong_accept = await peer.send("GET", "/mcp", {**(await peer.open_session()), "accept": "x/y"})
    assert first.startswith(b"event: message\ndata: {")
    assert rest.events == [changed]
    assert after.status == 404
    assert wrong_accept.status == 406


async def test_the_accept_header_must_list_both_types(carrier: str) -> None:
    async with reach(Server(), carrier) as peer:
        refused = await peer.post(initialize("2025-11-25"), {"accept": "application/json"})
        accepted = await peer.post(initialize("2025-11-25"), {"accept": f"{ACCEPT};q=0.5"})
    assert (refused.status, accepted.status) == (406, 200)
