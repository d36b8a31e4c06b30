"""Runs somebody else's MCP application under uvicorn, behind a gate of ours that sees every request.

The application is foreign; the gate is what a gateway in front of it would be.  It notes each request as it came,
refuses bearer tokens of a generation that is no longer valid (``Bearer USER.GENERATION.SERIAL``), and is asked and told
at ``/gate``.  The process prints the port that it listens at, and ends as soon as its standard input does, so it never
outlives the tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any

import uvicorn


class Gate:
    """An ASGI application in front of another one.

    :ivar notes: what requests there were, in the order in which they came.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._oldest = 0
        self.notes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
        elif scope["path"] == "/gate":
            await self._command(scope, send)
        else:
            await self._pass(scope, receive, send)

    async def _command(self, scope: Any, send: Any) -> None:
        """GET: what was noted, which is then forgotten; POST ``?N``: tokens older than generation N are refused."""
        notes: list[dict[str, Any]] = []
        if scope["method"] == "POST":
            self._oldest = int(scope["query_string"])
        else:
            notes, self.notes = self.notes, notes
        await _answer(send, 200, json.dumps(notes).encode(), (b"content-type", b"application/json"))

    async def _pass(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        note: dict[str, Any] = {"method": scope["method"], "headers": headers, "status": None}
        note["port"] = scope["client"][1]  # The client's end, which tells its connections apart.
        note["target"] = f"{scope['path']}?{scope['query_string'].decode()}"
        self.notes.append(note)

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                note["status"] = message["status"]
                note["session"] = dict(message["headers"]).get(b"mcp-session-id", b"").decode()
            await send(message)

        if self._is_stale(headers.get("authorization", "")):
            await _answer(noting, 401, b"", (b"www-authenticate", b'Bearer error="invalid_token"'))
        else:
            await self._application(scope, receive, noting)

    def _is_stale(self, authorization: str) -> bool:
        parts = authorization.split(".")
        return len(parts) == 3 and int(parts[1]) < self._oldest


async def _answer(send: Any, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


def listen() -> socket.socket:
    """Listen at a free port of the loopback interface, for an application that has to know where it will be."""
    # The protocol is named, because asyncio turns Nagle's algorithm off only for sockets that name theirs; with it on,
    # each answer that is sent in two pieces takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    return listener


def run(application: Any) -> None:
    """Serve ``application`` on a free port of the loopback interface, until standard input ends."""
    run_together((application, listen()))


def run_together(*served: tuple[Any, socket.socket]) -> None:
    """Serve several applications in one process, each where somebody listens already, until standard input ends."""
    for _, listener in served:
        print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    asyncio.run(_serve(served))


async def _serve(served: Iterable[tuple[Any, socket.socket]]) -> None:
    async with asyncio.TaskGroup() as servers:
        for application, listener in served:
            config = uvicorn.Config(Gate(application), log_level="warning", lifespan="on", timeout_keep_alive=60)
            servers.create_task(uvicorn.Server(config).serve([listener]))


def _exit_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)
