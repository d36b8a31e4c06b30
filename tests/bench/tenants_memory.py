"""What a client holds in memory for each principal, and whether replaced tokens leave anything behind.

The pure core is driven by hand here, because the memory of an HTTP library's connections would hide what is looked for.

* *A principal*: what all of Python's allocations (``tracemalloc``, after a collection) grow by from N principals to 2N,
  each of whom has listed and called; less what ``statistics().cache_bytes`` grows by, which are the lists as received.
* *Rotations*: what they grow by from the end of the first rotation of all tokens to the end of the fifth.
* *Tokens in a row*: each new one makes one request, without a principal for a list, which is then kept for it, and with
  one for a call.  To trace that would take minutes, so it is told by the number of memory blocks that the interpreter
  has in use, and by the memory of the process.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

from attrs import define, field

from mcpcore import CallContext, Client, Complete, EndResponse, Operation, ReceiveData, ResolveHeaders, SendRequest

from .server import private_tools

PRINCIPALS, ROTATIONS = 1_000, 5
TOKENS, WARM_UP = 100_000, 10_000
REVISIONS = ("2026-07-28", "2025-11-25")
PAGE = 4096
RESULTS: dict[str, Any] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "bench", "version": "1"},
    },
    "tools/call": {"resultType": "complete", "content": [{"type": "text", "text": "echo " * 20}], "isError": False},
}


@define
class World:
    """A client, its users, and a server that knows them by their tokens.

    :ivar generation: of the tokens of the time.
    """

    revision: str
    generation: int = 1
    sessions: int = 0
    client: Client = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.client = Client(
            "https://mcp.example/mcp",
            get_headers=lambda _: {"Authorization": f"Bearer {self.generation}." + "x" * 900},
            protocol_version=self.revision,
            clock=lambda: 0.0,  # Nothing grows old, however slow the machine is.
            default_ttl=600.0,
        )

    def list_tools(self, principal: str | None) -> None:
        tools = self.run(self.client.list_tools(context=CallContext(principal=principal)), principal)
        assert f" of {principal}," in tools[0].description  # Or the figures mean nothing.

    def call_tool(self, principal: str | None) -> None:
        context = CallContext(principal=principal)
        self.run(self.client.call_tool("echo", {"text": "hello"}, context=context), principal)

    def work(self, principal: str) -> None:
        """List and call."""
        self.list_tools(principal)
        self.call_tool(principal)

    def run(self, operation: Operation[Any], user: str | None) -> Any:
        """Drive an operation to its end."""
        body = b""
        while not isinstance(command := operation.next_command(), Complete):
            match command:
                case ResolveHeaders(resolver=resolver, context=context):
                    operation.headers_resolved(resolver(context))
                case SendRequest():
                    body = self.answer(command, user)
                    operation.receive_head(200 if body else 202, self.head(command))
                case ReceiveData() if body:
                    operation.receive_data(body)
                    body = b""
                case ReceiveData():
                    operation.receive_end()
                case EndResponse():
                    operation.response_ended()
        if (rest := operation.cancel()) is not None:
            self.run(rest, user)
        return command.result

    def answer(self, request: SendRequest, user: str | None) -> bytes:
        """The body of an answer; a notification and the end of a session have none."""
        message = json.loads(request.body) if request.body else {}
        if "id" not in message:
            return b""
        result = private_tools(str(user)) if request.rpc_method == "tools/list" else RESULTS[str(request.rpc_method)]
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()

    def head(self, request: SendRequest) -> list[tuple[bytes, bytes]]:
        head = [(b"content-type", b"application/json")]
        if request.rpc_method == "initialize":
            self.sessions += 1
            head.append((b"mcp-session-id", b"%032d" % self.sessions))
        return head


def traced() -> int:
    """How many bytes Python's allocations hold."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def of_a_principal(revision: str) -> None:
    """What principals take, and whether it grows by rotations."""
    tracemalloc.start()
    world, names = World(revision), [f"acme/user-{number}" for number in range(2 * PRINCIPALS)]
    world.work("acme/first")  # What all of them share is made by now.
    grown: list[tuple[int, int]] = []
    for some in (names[:PRINCIPALS], names[PRINCIPALS:]):
        for name in some:
            world.work(name)
        grown.append((traced(), world.client.statistics().cache_bytes))
    (held, cached), (held_by_all, cached_by_all) = grown
    lists = (cached_by_all - cached) / PRINCIPALS
    beyond = (held_by_all - held) / PRINCIPALS - lists
    print(f"  {revision}, a principal: {beyond / 1024:.2f} KiB beyond {lists / 1024:.2f} of lists (wanted: at most 3)")
    after: list[int] = []
    for _ in range(ROTATIONS):
        world.generation += 1
        for name in names:
            world.work(name)
        after.append(traced())
    tracemalloc.stop()
    sessions = world.client.statistics().sessions
    more = after[-1] - after[0]
    print(f"  {revision}, rotations: {more} bytes more after {ROTATIONS} than after the first (wanted: about 0)")
    print(f"  {revision}: {world.sessions} sessions opened, {sessions} kept (wanted: the same)")


def process_bytes() -> int:
    """How much of the process is in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def tokens_in_a_row(revision: str, principal: str | None) -> None:
    """Whether each token leaves something behind."""
    world = World(revision)
    ask = world.call_tool if principal else world.list_tools
    begin = time.process_time()
    held: list[tuple[int, int]] = []
    for some in (WARM_UP, TOKENS - WARM_UP):
        for _ in range(some):
            world.generation += 1
            ask(principal)
        gc.collect()
        held.append((sys.getallocatedblocks(), process_bytes()))
    (blocks, size), (blocks_in_the_end, size_in_the_end) = held
    statistics, seconds = world.client.statistics(), time.process_time() - begin
    whose = "of one principal" if principal else "without a principal"
    print(f"  {revision}: {TOKENS} tokens in a row {whose} ({seconds:.0f} s of CPU)")
    print(f"    memory blocks: {blocks} after {WARM_UP}, {blocks_in_the_end} in the end; ", end="")
    print(f"the process grew by {(size_in_the_end - size) / 1024:.0f} KiB (wanted: no growth)")
    print(f"    {statistics}")


def main() -> None:
    for revision in REVISIONS:
        of_a_principal(revision)
    for principal in (None, "acme/alice"):
        tokens_in_a_row(REVISIONS[0], principal)
