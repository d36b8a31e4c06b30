"""A server that sends faster than its messages are handled is slowed down: nothing more is read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio
import pytest
from attrs import define, field

import transports
from mcpcore import CallContext, Limits, Progress, SendRequest

pytestmark = pytest.mark.anyio

ALICE = CallContext(principal="alice")
MESSAGES = 100


@define(eq=False)
class Flood:
    """HTTP+SSE, without a network: a tool call is answered with progress, one event a chunk, and then a result.

    :ivar taken: how many chunks of that have been read.
    """

    carries_identity: bool = False
    taken: int = 0
    _arrival: anyio.Event = field(factory=anyio.Event)
    _chunks: list[bytes] = field(factory=lambda: [b"event: endpoint\ndata: /messages\n\n"])

    async def send(self, request: SendRequest) -> Head:
        if request.method == "GET":
            return Head(200, self)
        message = json.loads(request.body)
        if message["method"] == "tools/call":
            self.taken = 0
            params = {"progressToken": message["id"], "progress": 1}
            self._push(*[{"method": "notifications/progress", "params": params}] * MESSAGES)
            self._push({"id": message["id"], "result": {"content": []}})
        elif "id" in message:
            self._push({"id": message["id"], "result": {"protocolVersion": "2024-11-05", "capabilities": {}}})
        return Head(202)

    def _push(self, *messages: dict[str, object]) -> None:
        for message in messages:
            self._chunks.append(b"data: " + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n\n")
        self._arrival.set()

    async def receive(self) -> bytes:
        while not self._chunks:
            self._arrival = anyio.Event()
            await self._arrival.wait()
        await anyio.lowlevel.checkpoint()
        self.taken += 1
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        """There is nothing to close."""


@define(eq=False)
class Head:
    """A response of the flood's."""

    status: int
    _flood: Flood | None = None

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return [(b"content-type", b"text/event-stream")] if self._flood is not None else []

    async def receive(self) -> bytes:
        return await self._flood.receive() if self._flood is not None else b""

    async def aclose(self) -> None:
        """There is nothing to close."""


async def test_an_event_stream_is_read_no_further_than_its_messages_are_handled() -> None:
    flood, seen, go_on = Flood(), list[Progress](), anyio.Event()

    async def on_progress(progress: Progress) -> None:
        seen.append(progress)
        await go_on.wait()

    limits = Limits(mailbox_messages=10)
    with anyio.fail_after(10):
        async with (
            transports.connect("https://mcp.example/sse", type="sse", engine=flood, limits=limits) as client,
            anyio.create_task_group() as tasks,
        ):
            await client.ping(context=ALICE)
            tasks.start_soon(lambda: client.call_tool("flood", context=ALICE, on_progress=on_progress))
            await anyio.wait_all_tasks_blocked()
            assert (len(seen), flood.taken) == (1, 11)
            go_on.set()
    assert len(seen) == MESSAGES
