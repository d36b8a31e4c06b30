"""The scripted server over the legacy transport (HTTP with SSE, 2024-11-05)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
import pytest
from attrs import define
from raw_mcp import CARRIERS, INITIALIZED, Peer, Stream, initialize, post_headers, reach, request, send_request

from mcpcore.errors import TransportError
from transports.engines.memory import MemoryEngine
from transports.testing import Call, Disconnect, Progress, ReceivedRequest, Server, echo_headers

pytestmark = pytest.mark.anyio
everywhere = pytest.mark.parametrize("carrier", CARRIERS)

LEGACY = ["2024-11-05"]


@define
class Legacy:
    """A client with its stream open."""

    peer: Peer
    stream: Stream
    path: str

    async def post(self, message: Any, headers: dict[str, str] | None = None) -> int:
        return (await self.peer.post(message, headers, self.path)).status

    async def next(self) -> Any:
        event = (await self.stream.receive()).decode()
        return json.loads(event.removeprefix("event: message\ndata: "))

    async def shake_hands(self, capabilities: Mapping[str, Any] | None = None) -> Any:
        assert await self.post(initialize("2024-11-05", capabilities)) == 202
        answer = await self.next()
        assert await self.post(INITIALIZED) == 202
        return answer["result"]


@asynccontextmanager
async def connected(peer: Peer) -> AsyncGenerator[Legacy, None]:
    with anyio.fail_after(10):
        async with peer.stream("GET", "/sse", {"accept": "text/event-stream"}) as stream:
            event = (await stream.receive()).decode()
            assert event.startswith("event: endpoint\ndata: /messages?session_id=")
            yield Legacy(peer, stream, event.strip().partition("data: ")[2])


@everywhere
async def test_answers_come_on_the_stream(carrier: str) -> None:
    server = Server([echo_headers], revisions=LEGACY)
    async with reach(server, carrier) as peer, connected(peer) as client:
        result = await client.shake_hands()
        assert await client.post(request("tools/call", {"name": "echo_headers"}), {"x-user": "alice"}) == 202
        answer = await client.next()
        assert await client.post(request("prompts/list", request_id=9)) == 202
        refusal = await client.next()
    assert result["protocolVersion"] == "2024-11-05"
    assert answer["result"]["structuredContent"]["x-user"] == "alice"
    assert (refusal["id"], refusal["error"]["code"]) == (9, -32601)


@everywhere
async def test_later_revisions_may_be_spoken_there_too(carrier: str) -> None:
    async with reach(Server(revisions=[*LEGACY, "2025-11-25"]), carrier) as peer, connected(peer) as client:
        assert await client.post(initialize("2025-11-25")) == 202
        first = (await client.next())["result"]["protocolVersion"]
        assert await client.post(initialize("2025-06-18")) == 202
        second = (await client.next())["result"]["protocolVersion"]
    assert (first, second) == ("2025-11-25", "2025-11-25")


@everywhere
async def test_a_slow_tool_holds_up_neither_its_post_nor_another_call(carrier: str) -> None:
    server = Server(revisions=LEGACY)
    gate = anyio.Event()

    @server.tool()
    async def slow(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Progress(0.5)
        await gate.wait()
        yield "at last"

    async with reach(server, carrier) as peer, connected(peer) as client:
        await client.shake_hands()
        params = {"name": "slow", "_meta": {"progressToken": 1}}
        assert await client.post(request("tools/call", params, request_id=7)) == 202
        assert (await client.next())["method"] == "notifications/progress"
        assert await client.post(request("ping", request_id=8)) == 202
        assert (await client.next())["id"] == 8
        gate.set()
        assert (await client.next())["id"] == 7


@everywhere
async def test_a_cancelled_call_is_not_answered(carrier: str) -> None:
    server = Server(revisions=LEGACY)
    started, stopped = anyio.Event(), anyio.Event()

    @server.tool()
    async def endless(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with reach(server, carrier) as peer, connected(peer) as client:
        await client.shake_hands()
        await client.post(request("tools/call", {"name": "endless"}, request_id=7))
        await started.wait()
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert await client.post(cancelled) == 202
        await stopped.wait()
        assert await client.post(cancelled) == 202
        await client.post(request("ping", request_id=8))
        assert (await client.next())["id"] == 8


@everywhere
async def test_a_tool_may_cut_the_stream(carrier: str) -> None:
    server = Server(revisions=LEGACY)

    @server.tool()
    def cut(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        raise Disconnect

    errors: tuple[type[Exception], ...] = (TransportError, h11.RemoteProtocolError)
    async with reach(server, carrier) as peer, connected(peer) as client:
        await client.shake_hands()
        assert await client.post(request("tools/call", {"name": "cut"})) == 202
        with pytest.raises(errors):
            await client.next()


@everywhere
async def test_a_session_ends_with_its_stream(carrier: str) -> None:
    server = Server(revisions=LEGACY)
    async with reach(server, carrier) as peer:
        async with connected(peer) as client:
            await client.shake_hands()
        with anyio.fail_after(10):
            await server.journal.wait_for(lambda entry: entry.outcome == "disconnected")
        assert await client.post(request("ping")) == 404
        async with connected(peer) as client:
            server.expire_sessions()
            assert await client.post(request("ping")) == 404
            assert await client.stream.receive() == b""


@everywhere
async def test_only_the_two_endpoints_are_there(carrier: str) -> None:
    server = Server(revisions=LEGACY)
    async with reach(server, carrier) as peer, connected(peer) as client:
        assert (await peer.post(initialize("2024-11-05"))).status == 404
        assert (await peer.post(initialize("2024-11-05"), path="/sse")).status == 405
        assert (await peer.send("GET", client.path, {"content-type": "application/json"}, b"{}")).status == 405
        assert await client.post([]) == 400


async def test_in_memory_without_a_task_group_a_post_waits_for_its_work() -> None:
    async def asks(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        return await call.ask({"ping": {"method": "ping"}})

    server = Server([asks], revisions=LEGACY)
    engine = MemoryEngine(server)
    stream = await engine.send(send_request("GET", "http://m.example/sse", {}))
    path = (await stream.receive()).decode().strip().partition("data: ")[2]
    body = json.dumps(initialize("2024-11-05")).encode()
    posted = await engine.send(
        send_request("POST", f"http://m.example{path}", {"content-type": "application/json"}, body)
    )
    assert posted.status == 202
    assert b"2024-11-05" in await stream.receive()
    for message in (INITIALIZED, request("tools/call", {"name": "asks"})):
        body = json.dumps(message).encode()
        await (await engine.send(send_request("POST", f"http://m.example{path}", post_headers(), body))).aclose()
    assert b"can ask only where work outlives its POST" in await stream.receive()
    await posted.aclose()
    await stream.aclose()
