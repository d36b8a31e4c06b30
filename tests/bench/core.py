"""CPU of the pure core for one small ``tools/call``, beside the JSON of its two messages; and that of ``mcp``.

Nothing is sent.  The core is driven by hand.  ``mcp`` is given a transport that writes and reads messages as its own
do, and answers at once; that they pass between tasks on the way is how that client works.
"""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from mcpcore import CallContext, Client, Complete, SendRequest

from .measuring import TOKEN, ratio
from .server import RESULTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROUNDS, CALLS = 9, 2_000
ALICE = CallContext(principal="acme/alice")
HEAD = [(b"content-type", b"application/json"), (b"content-length", b"130")]
HELLO = {"resultType": "complete", "content": [{"type": "text", "text": "hello"}], "isError": False}


def answer_to(request: dict[str, Any]) -> bytes:
    """What a server would send."""
    result = HELLO if request["method"] == "tools/call" else RESULTS[request["method"]]
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()


def call(client: Client, answer: bytes) -> bytes:
    """Drive one call through the core; return the request that it made."""
    operation = client.call_tool("echo", {"text": "hello"}, context=ALICE)
    send = operation.next_command()
    operation.receive_head(200, HEAD)
    operation.next_command()
    operation.receive_data(answer)
    operation.next_command()
    operation.receive_end()
    done = operation.next_command()
    operation.cancel()
    assert isinstance(send, SendRequest)
    assert isinstance(done, Complete)
    return send.body


def cpu_of(work: Callable[[bytes], object], answers: list[bytes]) -> float:
    """Seconds of CPU for ``work`` on one answer."""
    begin = time.process_time()
    for answer in answers:
        work(answer)
    return (time.process_time() - begin) / len(answers)


@asynccontextmanager
async def answering() -> AsyncIterator[Any]:
    """A transport of ``mcp`` with a server behind it that answers at once."""
    to_client, from_server = anyio.create_memory_object_stream[Any](1)
    to_server, from_client = anyio.create_memory_object_stream[Any](1)

    async def answer() -> None:
        async for sent in from_client:
            message = sent.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
            body = answer_to(json.loads(json.dumps(message)))
            await to_client.send(SessionMessage(jsonrpc_message_adapter.validate_json(body, by_name=False)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        yield from_server, to_server
        tasks.cancel_scope.cancel()


async def cpu_of_peer(peer: mcp.Client) -> float:
    """Seconds of CPU for one call of ``mcp``, less what the server behind it takes."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}
    serving = cpu_of(lambda body: (json.loads(body), answer_to(request)), [answer_to(request)] * CALLS)
    begin = time.process_time()
    for _ in range(CALLS):
        await peer.call_tool("echo", {"text": "hello"})
    return (time.process_time() - begin) / CALLS - serving


async def main() -> None:
    client = Client("https://mcp.example/mcp", auth_token=TOKEN, protocol_version="2026-07-28")
    request = json.loads(call(client, answer_to({"method": "tools/call", "id": 1})))
    figures: dict[str, list[float]] = {"core": [], "json": [], "mcp": []}
    async with mcp.Client(answering()) as peer:
        await cpu_of_peer(peer)
        for number in range(ROUNDS):
            ids = range(2 + number * CALLS, 2 + (number + 1) * CALLS)
            answers = [answer_to({"method": "tools/call", "id": request_id}) for request_id in ids]
            figures["core"].append(cpu_of(lambda answer: call(client, answer), answers))
            figures["json"].append(cpu_of(lambda answer: (json.dumps(request), json.loads(answer)), answers))
            figures["mcp"].append(await cpu_of_peer(peer))
    ratio("CPU per call, the core / its JSON", figures["core"], figures["json"], "at most 6")
    ratio("CPU per call, mcp / the same JSON", figures["mcp"], figures["json"], "for comparison")
    print("  microseconds: " + ", ".join(f"{name} {min(seconds) * 1e6:.1f}" for name, seconds in figures.items()))
