"""A server that is not the bottleneck: one process, no framework, answers to the few methods that the benchmarks use.

``/mcp`` answers at once, ``/slow`` after 50 ms; ``/private`` lists tools of the user's own, fresh for a minute, by the
token of each request.  ``/progress`` calls tools by event streams that tell of 10,000 steps before their answer, each
event in an HTTP chunk of its own, as frameworks do; ``/progress/packed`` fills its chunks.  Prints its port when it
listens.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from typing import Any, ClassVar

DELAY = 0.05
STEPS = 10_000
_CHUNK = 64 * 1024
_LENGTH = b"content-length:"
_COMPLETE = {"resultType": "complete"}
_FRESH = {"ttlMs": 0, "cacheScope": "private"}
RESULTS: dict[str, dict[str, Any]] = {
    "server/discover": {
        **_COMPLETE,
        **_FRESH,
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "bench", "version": "1"}},
    },
    "tools/list": {
        **_COMPLETE,
        **_FRESH,
        "tools": [{"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}],
    },
    "tools/call": {**_COMPLETE, "content": [{"type": "text", "text": "echo " * 20}], "isError": False},
}
_PRIVATE = {"ttlMs": 60_000, "cacheScope": "private"}


def private_tools(user: str) -> dict[str, Any]:
    """A list of five tools, of about 2 KiB as JSON, which only ``user`` gets."""
    path = {"type": "string", "description": f"Where to look, from the root of what {user} may see."}
    limit = {"type": "integer", "description": "How many to return at most.", "minimum": 1, "maximum": 100}
    schema = {"type": "object", "properties": {"path": path, "limit": limit}, "required": ["path"]}
    names = ("search", "read", "list", "history", "echo")
    described = f"Looks at the files of {user}, newest first, and leaves out what has been deleted."
    tools = [{"name": name, "description": described, "inputSchema": schema} for name in names]
    return {**_COMPLETE, **_PRIVATE, "tools": tools}


def progress_events(token: object, answer: dict[str, Any]) -> list[bytes]:
    """Events that tell of STEPS steps, then of ``answer``."""
    steps: list[dict[str, Any]] = [
        {"progressToken": token, "progress": step, "total": STEPS, "message": "on the way"}
        for step in range(1, STEPS + 1)
    ]
    told = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": step} for step in steps]
    return [b"event: message\ndata: %b\n\n" % json.dumps(message).encode() for message in (*told, answer)]


def packed(events: list[bytes]) -> list[bytes]:
    """``events`` in pieces of full length."""
    body = b"".join(events)
    return [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]


class Connection(asyncio.Protocol):
    """HTTP/1.1, as much of it as well-behaved clients send."""

    opened = 0
    requests: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""
        Connection.opened += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"get /opened"):
            self._write(json.dumps(Connection.opened).encode())
            return
        if head.startswith(b"get /requests"):
            self._write(json.dumps(Connection.requests).encode())
            return
        message = json.loads(body)
        method = message["method"]
        Connection.requests[method] += 1
        result = RESULTS.get(method)
        if method == "tools/list" and head.startswith(b"post /private"):
            result = private_tools(_user(head))
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
        answer |= {"error": {"code": -32601, "message": "Method not found"}} if result is None else {"result": result}
        if method == "tools/call" and head.startswith(b"post /progress"):
            events = progress_events(message["params"]["_meta"]["progressToken"], answer)
            self._write_stream(packed(events) if head.startswith(b"post /progress/packed") else events)
            return
        delay = DELAY if head.startswith(b"post /slow") else 0
        asyncio.get_running_loop().call_later(delay, self._write, json.dumps(answer).encode())

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)

    def _write_stream(self, chunks: list[bytes]) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        self._transport.write(head + body + b"0\r\n\r\n")


def _user(head: bytes) -> str:
    """The user in the token ``Bearer USER.GENERATION`` of a lower-cased head."""
    token = head.partition(b"\r\nauthorization: bearer ")[2].partition(b"\r\n")[0]
    return token.partition(b".")[0].decode()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
