"""MCP by hand, for tests of servers: HTTP requests put together here, over a socket or in memory, without our
client."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import anyio
import h11
from attrs import define, frozen

from mcpcore.commands import SendRequest
from mcpcore.context import RequestKind
from transports.engines.memory import MemoryEngine
from transports.testing import Server, serve

CARRIERS = ("socket", "memory")
ACCEPT = "application/json, text/event-stream"


@frozen
class Reply:
    """A response that has been read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of each event, parsed; the kit writes one ``data`` line to an event."""
        lines = self.body.decode().split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]

    @property
    def messages(self) -> list[Any]:
        return self.events if "event-stream" in self.headers["content-type"] else [self.json]


@define(eq=False)
class Stream:
    """A response whose body is still coming."""

    status: int
    headers: Mapping[str, str]
    _chunks: AsyncGenerator[bytes, None]

    async def receive(self) -> bytes:
        return await anext(self._chunks, b"")

    async def next(self) -> Any:
        """The message of the next event."""
        event = (await self.receive()).decode()
        return json.loads(event.partition("data: ")[2]) if event else None

    async def read(self) -> Reply:
        body = b"".join([chunk async for chunk in self._chunks])
        return Reply(self.status, self.headers, body)


class Peer:
    """What reaches one server."""

    def __init__(self, carrier: Any) -> None:
        self._carrier = carrier

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> AsyncGenerator[Stream, None]:
        async with self._carrier(method, path, dict(headers or {}), body) as stream:
            yield stream

    async def send(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
        with anyio.fail_after(10):
            async with self.stream(method, path, headers, body) as stream:
                return await stream.read()

    async def post(self, message: Any, headers: Mapping[str, str] | None = None, path: str = "/mcp") -> Reply:
        return await self.send("POST", path, post_headers(headers), json.dumps(message).encode())

    async def modern(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        request_id: int = 1,
    ) -> Reply:
        message, needed = modern_request(method, params, request_id)
        return await self.post(message, {**needed, **(headers or {})})

    async def open_session(
        self, revision: str = "2025-11-25", capabilities: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Do the handshake; return the headers that name the session."""
        reply = await self.post(initialize(revision, capabilities))
        assert reply.status == 200
        headers = {"mcp-session-id": reply.headers["mcp-session-id"]}
        if revision != "2025-03-26":
            headers["mcp-protocol-version"] = reply.messages[0]["result"]["protocolVersion"]
        assert (await self.post(INITIALIZED, headers)).status == 202
        return headers


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(method: str, params: Mapping[str, Any] | None = None, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params or {})}


def initialize(revision: str, capabilities: Mapping[str, Any] | None = None) -> dict[str, Any]:
    info = {"name": "raw", "version": "1"}
    params = {"protocolVersion": revision, "capabilities": dict(capabilities or {}), "clientInfo": info}
    return request("initialize", params)


def modern_request(
    method: str, params: Mapping[str, Any] | None = None, request_id: int = 1
) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of the modern era, and the header fields that go with it."""
    params = dict(params or {})
    params["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        **params.get("_meta", {}),
    }
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
    if "name" in params or "uri" in params:
        headers["mcp-name"] = params.get("name") or params["uri"]
    return request(method, params, request_id), headers


def post_headers(headers: Mapping[str, str] | None = None) -> dict[str, str]:
    return {"content-type": "application/json", "accept": ACCEPT, **(headers or {})}


def send_request(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> SendRequest:
    pairs = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return SendRequest(method, url, pairs, body, RequestKind.REQUEST)


@asynccontextmanager
async def reach(server: Server, carrier: str) -> AsyncGenerator[Peer, None]:
    """Reach ``server`` over a socket or in memory."""
    if carrier == "memory":
        async with anyio.create_task_group() as background:
            yield Peer(_in_memory(MemoryEngine(server, background=background)))
            background.cancel_scope.cancel()
    else:
        async with serve(server) as served:
            url = urlsplit(served.url)
            yield Peer(_over_sockets(url.hostname, url.port))


def _in_memory(engine: MemoryEngine) -> Any:
    @asynccontextmanager
    async def carry(method: str, path: str, headers: dict[str, str], body: bytes) -> AsyncGenerator[Stream, None]:
        response = await engine.send(send_request(method, f"http://memory.example{path}", headers, body))

        async def chunks() -> AsyncGenerator[bytes, None]:
            while chunk := await response.receive():
                yield chunk

        pairs = {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}
        stream = chunks()
        try:
            yield Stream(response.status, pairs, stream)
        finally:
            await stream.aclose()
            await response.aclose()

    return carry


def _over_sockets(host: str, port: int) -> Any:
    @asynccontextmanager
    async def carry(method: str, path: str, headers: dict[str, str], body: bytes) -> AsyncGenerator[Stream, None]:
        fields = {"host": f"{host}:{port}", "content-length": str(len(body)), **headers}
        http = h11.Connection(h11.CLIENT)
        events = (h11.Request(method=method, target=path, headers=list(fields.items())), h11.Data(data=body))
        async with await anyio.connect_tcp(host, port) as tcp:
            await tcp.send(b"".join(http.send(event) or b"" for event in (*events, h11.EndOfMessage())))

            async def next_event() -> Any:
                while (event := http.next_event()) is h11.NEED_DATA:
                    try:
                        http.receive_data(await tcp.receive())
                    except anyio.EndOfStream:
                        http.receive_data(b"")
                return event

            async def chunks() -> AsyncGenerator[bytes, None]:
                while isinstance(event := await next_event(), h11.Data):
                    yield bytes(event.data)

            head = await next_event()
            pairs = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            stream = chunks()
            try:
                yield Stream(head.status_code, pairs, stream)
            finally:
                await stream.aclose()

    return carry
