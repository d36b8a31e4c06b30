"""A scripted server behind a socket: connections, clients that leave, and nothing left behind."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from anyio.abc import ByteStream
from raw_mcp import modern_request, post_headers

from transports.testing import Answer, Progress, ReceivedRequest, Served, Server, echo_headers, serve

pytestmark = pytest.mark.anyio


async def ask(client: httpx.AsyncClient, served: Served, method: str, **params: Any) -> httpx.Response:
    message, headers = modern_request(method, params)
    return await client.post(served.url, json=message, headers=post_headers(headers))


def raw_request(served: Served, method: str, **params: Any) -> bytes:
    """The bytes of a request of the modern era."""
    message, headers = modern_request(method, params)
    request = httpx.Request("POST", served.url, json=message, headers=post_headers(headers))
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + request.content


@asynccontextmanager
async def raw_connection(served: Served) -> AsyncGenerator[ByteStream, None]:
    with anyio.fail_after(10):
        async with await anyio.connect_tcp("127.0.0.1", urlsplit(served.url).port or 0) as stream:
            yield stream


async def read_to_end(stream: ByteStream) -> bytes:
    return b"".join([chunk async for chunk in stream])


async def test_a_client_that_we_did_not_write_is_understood() -> None:
    server = Server([echo_headers])
    async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
        reply = await ask(client, served, "tools/call", name="echo_headers")
    assert reply.json()["result"]["structuredContent"]["user-agent"].startswith("python-httpx/")
    assert server.journal[0].headers["host"] == served.origin.removeprefix("http://")
    assert served.sse_url == served.origin + "/sse"


async def test_credentials_may_be_large() -> None:
    server = Server()
    async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(served.url, headers={"authorization": "x" * 200_000})
    assert reply.status_code == 400
    server.journal.assert_every_request_carries("authorization", "x" * 200_000)


async def test_connections_are_kept_and_counted() -> None:
    server = Server()
    async with serve(server) as served:
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(3):
                await ask(client, served, "tools/list")
            assert (served.connections, served.open_connections) == (1, 1)
        async with httpx.AsyncClient(trust_env=False) as client:
            await ask(client, served, "tools/list")
    assert (served.connections, served.open_connections) == (2, 0)
    assert [entry.connection for entry in server.journal] == [1, 1, 1, 2]


async def test_hanging_up_closes_a_connection_without_a_word() -> None:
    server = Server()
    server.script("tools/list", Answer(200, {"content-type": "text/plain"}, b"bye", hang_up=True))
    async with serve(server) as served, raw_connection(served) as stream:
        await stream.send(raw_request(served, "tools/list"))
        received = await read_to_end(stream)
    assert received == b"HTTP/1.1 200 \r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nbye"


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_client_that_leaves_stops_the_work(streaming: bool) -> None:
    server = Server()
    stopped = anyio.Event()

    async def endless(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async def endless_stream(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Progress(1)
        yield await endless(arguments, request)

    server.tool(name="endless")(endless_stream if streaming else endless)
    async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: ask(client, served, "tools/call", name="endless"))
                [entry] = await server.journal.wait_for("tools/call")
                if streaming:
                    await server.journal.wait_for(lambda entry: entry.status == 200)
                tasks.cancel_scope.cancel()
            await server.journal.wait_for(lambda entry: entry.outcome == "disconnected")
            await stopped.wait()
        assert entry.outcome == "disconnected"
        assert (await ask(client, served, "tools/list")).status_code == 200
    assert [entry.outcome for entry in server.journal] == ["disconnected", "answered"]


async def test_a_client_that_resets_the_connection_stops_the_work() -> None:
    server = Server()

    @server.tool()
    async def flood(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        while True:
            yield Progress(1)

    async with serve(server) as served:
        async with raw_connection(served) as stream:
            await stream.send(raw_request(served, "tools/call", name="flood", _meta={"progressToken": 1}))
            await stream.receive()
        with anyio.fail_after(10):
            await server.journal.wait_for(lambda entry: entry.outcome == "disconnected")


async def test_leaving_stops_what_is_still_being_answered() -> None:
    server = Server()
    entered = anyio.Event()

    @server.tool()
    async def endless(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        entered.set()
        await anyio.sleep_forever()

    async with httpx.AsyncClient(trust_env=False) as client, anyio.create_task_group() as tasks:

        async def lose() -> None:
            with pytest.raises(httpx.HTTPError):
                await ask(client, served, "tools/call", name="endless")

        with anyio.fail_after(10):
            async with serve(server) as served:
                tasks.start_soon(lose)
                await entered.wait()
    assert served.open_connections == 0
    assert server.journal[0].outcome == "pending"


async def test_a_request_that_comes_before_the_last_answer_waits_its_turn() -> None:
    server = Server()
    gate = anyio.Event()

    @server.tool()
    async def gated(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        await gate.wait()
        return "late"

    async with serve(server) as served, raw_connection(served) as stream:
        await stream.send(raw_request(served, "tools/call", name="gated"))
        await server.journal.wait_for("tools/call")
        await stream.send(b"DELETE /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        gate.set()
        received = await read_to_end(stream)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 404" in received


@pytest.mark.parametrize("sent", [b"no HTTP at all\r\n\r\n", b"POST /mcp HTTP/1.1\r\nhost: x\r\n", b""])
async def test_what_is_no_request_ends_its_connection_alone(sent: bytes) -> None:
    server = Server()
    async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
        async with raw_connection(served) as stream:
            await stream.send(sent)
            await stream.send_eof()
            assert await read_to_end(stream) == b""
        assert (await ask(client, served, "tools/list")).status_code == 200
    assert len(server.journal) == 1


async def test_a_mistake_in_a_script_is_raised_where_the_server_was_opened() -> None:
    server = Server()

    def mistaken(request: ReceivedRequest, forward: Any) -> Answer:
        raise ZeroDivisionError

    server.script(None, mistaken)
    with pytest.raises(ZeroDivisionError):
        async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
            await ask(client, served, "tools/list")


async def test_an_exception_of_the_block_passes_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serve(Server()):
            raise KeyError("mine")


async def test_servers_may_come_and_go() -> None:
    server = Server()
    for _ in range(20):
        async with serve(server) as served, httpx.AsyncClient(trust_env=False) as client:
            await ask(client, served, "tools/list")
    gc.collect()  # an unclosed socket would warn, and a warning is an error
    assert len(server.journal) == 20
