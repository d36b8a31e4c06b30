"""The in-memory engine: a server in the client's own task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from raw_mcp import modern_request, post_headers, send_request

from mcpcore.commands import SendRequest
from mcpcore.errors import TransportError
from transports.engines.base import Engine
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, Progress, ReceivedRequest, Send, Server, echo_headers

pytestmark = pytest.mark.anyio

URL = "https://mcp.example/mcp?k=v"
NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


def call(name: str, url: str = URL, headers: Mapping[str, str] | None = None) -> SendRequest:
    message, needed = modern_request("tools/call", {"name": name})
    return send_request("POST", url, post_headers({**needed, **(headers or {})}), json.dumps(message).encode())


async def test_it_is_an_engine_that_adds_nothing_but_framing() -> None:
    server = Server([echo_headers])
    engine = MemoryEngine(server)
    request = call("echo_headers", headers={"X-User": "alice"})
    response = await engine.send(request)
    body = await response.receive()
    assert isinstance(engine, Engine)
    assert engine.carries_identity is False
    assert (response.status, dict(response.headers)[b"content-type"]) == (200, b"application/json")
    assert json.loads(body)["result"]["structuredContent"]["x-user"] == "alice"
    assert await response.receive() == b""
    [entry] = server.journal
    framing = [(b"host", b"mcp.example"), (b"content-length", str(len(request.body)).encode())]
    assert list(entry.headers.raw) == framing + list(request.headers)
    assert (entry.target, entry.connection, entry.outcome) == ("/mcp?k=v", None, "answered")
    await response.aclose()
    await engine.aclose()
    assert entry.outcome == "answered"


async def test_a_request_without_a_body_or_a_path() -> None:
    server = Server()
    response = await MemoryEngine(server).send(send_request("GET", "http://mcp.example:81", {}))
    assert response.status == 404
    [entry] = server.journal
    assert (entry.target, entry.headers.raw) == ("/", ((b"host", b"mcp.example:81"),))


async def test_servers_by_origin() -> None:
    one, two = Server([echo_headers]), Server([echo_headers])
    engine = MemoryEngine({"https://one.example": one, "https://two.example:8443": two})
    await engine.send(call("echo_headers", "https://two.example:8443/mcp"))
    with pytest.raises(TransportError, match=r"there is no server at https://three\.example$"):
        await engine.send(call("echo_headers", "https://three.example/mcp?secret=1"))
    assert (len(one.journal), len(two.journal)) == (0, 1)


async def test_chunks_arrive_as_they_are_produced_in_the_task_that_reads() -> None:
    server = Server()
    gates = [anyio.Event(), anyio.Event()]
    tasks_seen: list[int] = []

    @server.tool()
    async def gated(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        for gate in gates:
            tasks_seen.append(anyio.get_current_task().id)
            await gate.wait()
            yield Send(NOTE)
        yield "done"

    with anyio.fail_after(10):
        response = await MemoryEngine(server).send(call("gated"))
        assert tasks_seen == []
        for gate in gates:
            gate.set()
            assert b"notifications/message" in await response.receive()
        assert b'"done"' in await response.receive()
        assert await response.receive() == b""
        await response.aclose()
    assert tasks_seen == [anyio.get_current_task().id] * 2


async def test_cancelling_the_send_cancels_the_work() -> None:
    server = Server()

    @server.tool()
    async def endless(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(MemoryEngine(server).send, call("endless"))
            [entry] = await server.journal.wait_for("tools/call")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert (entry.outcome, entry.status) == ("disconnected", None)


async def test_cancelling_the_read_cancels_the_work() -> None:
    server = Server()
    stopped = anyio.Event()

    @server.tool()
    async def endless(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        try:
            yield Send(NOTE)
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async def read() -> None:
        response = await MemoryEngine(server).send(call("endless"))
        try:
            while await response.receive():
                reading.set()
        finally:
            await response.aclose()

    reading = anyio.Event()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await reading.wait()
            await anyio.wait_all_tasks_blocked()
            assert not stopped.is_set()
            tasks.cancel_scope.cancel()
    assert stopped.is_set()
    assert server.journal[0].outcome == "disconnected"


@pytest.mark.parametrize("read", [0, 1])
async def test_leaving_early_stops_the_work_also_in_a_cancelled_scope(read: int) -> None:
    server = Server()
    events: list[str] = []

    @server.tool()
    async def streaming(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        events.append("begun")
        try:
            yield Send(NOTE)
            yield Progress(1)
        finally:
            events.append("stopped")

    response = await MemoryEngine(server).send(call("streaming"))
    with anyio.CancelScope() as scope:
        for _ in range(read):
            await response.receive()
        scope.cancel()
        await response.aclose()
        await response.aclose()
    assert events == (["begun", "stopped"] if read else [])
    assert server.journal[0].outcome == "disconnected"
    assert await response.receive() == b""
    assert server.journal[0].outcome == "disconnected"


async def test_a_broken_stream_is_a_transport_error() -> None:
    server = Server()
    server.script(None, Answer.json({"a": 1}).cut_off(2))
    response = await MemoryEngine(server).send(call("x"))
    assert await response.receive() == b'{"'
    with pytest.raises(TransportError, match="the server cut the connection"):
        await response.receive()
    await response.aclose()
    assert server.journal[0].outcome == "cut"
