"""Clients over channels on both event loops: in the process, and over channels that misbehave."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from attrs import define, field
from support.channels import Message, Peer, line, note, result

import transports
from mcpcore import (
    CallContext,
    DeadlineExceeded,
    ElicitRequest,
    ElicitResult,
    Handlers,
    Limits,
    ListChanged,
    LocalProtocolError,
    NotSentError,
    Progress,
    TransportError,
)
from transports import Channel, Client, connect_channel, memory_pair

pytestmark = pytest.mark.anyio

ALICE = CallContext(principal="alice")
BOTH = pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
HANDSHAKE = "2025-11-25"


@define(eq=False)
class Server:
    """What is at the other end of channels within the process.

    :ivar received: the messages that it was sent, in order.
    :ivar answer: answers one.
    :ivar ends: its ends of the channels, in order.
    :ivar sent: how many answers it could send.
    """

    answer: Callable[[Message], Any] = field(factory=Peer)
    received: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    ends: list[Channel] = field(factory=list[Channel])
    sent: int = 0

    def methods(self) -> list[str]:
        return [message.get("method", "answer") for message in self.received]

    async def serve(self, end: Channel) -> None:
        rest = b""
        while data := await end.receive():
            *complete, rest = (rest + data).split(b"\n")
            for text in complete:
                message = json.loads(text)
                self.received.append(message)
                for reply in self.answer(message):
                    await end.send(line(reply))
                    self.sent += 1
        await end.aclose()


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[Client]:
    """A client of ``server``, which lasts as long."""
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def open_channel() -> Channel:
                end, other = memory_pair()
                server.ends.append(other)
                tasks.start_soon(server.serve, other)
                return end

            async with connect_channel(open_channel, **options) as client:
                yield client


def silent(version: str = "2026-07-28") -> Server:
    return Server(Peer(version, silent={"tools/call", "subscriptions/listen"}))


@BOTH
async def test_a_server_in_the_same_process(version: str) -> None:
    server = Server(Peer(version))
    async with connected(server) as client:
        for principal in ("alice", "bob"):
            assert (await client.call_tool("x", context=CallContext(principal=principal))).text == "found"
        assert isinstance(server.ends[0], Channel)
    assert len(server.ends) == 1
    with pytest.raises(TransportError):
        await server.ends[0].send(b"{}\n")


@BOTH
async def test_a_deadline_is_told_to_the_server(version: str) -> None:
    server = silent(version)
    async with connected(server) as client:
        await client.ping()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("x", timeout=0.05)
        await client.ping()
    assert "notifications/cancelled" in server.methods()


@pytest.mark.trio
async def test_a_server_that_is_silent_when_probed(autojump_clock: Any) -> None:
    server = Server(Peer(HANDSHAKE, silent={"server/discover"}))
    async with connected(server, limits=Limits(probe=5.0)) as client:
        await client.ping()
    assert server.methods() == ["server/discover", "initialize", "notifications/initialized", "ping"]


async def test_a_reader_waits_while_a_call_falls_behind() -> None:
    def flood(message: Message) -> list[object]:
        if message.get("method") != "tools/call":
            return list(Peer()(message))
        progress = note("notifications/progress", progressToken=message["id"], progress=1)
        return [*[progress] * 100, result(message)]

    seen, go_on = list[Progress](), anyio.Event()

    async def on_progress(progress: Progress) -> None:
        seen.append(progress)
        await go_on.wait()

    server = Server(flood)
    async with connected(server, limits=Limits(mailbox_messages=10)) as client, anyio.create_task_group() as tasks:
        await client.ping()
        before = server.sent
        tasks.start_soon(lambda: client.call_tool("x", on_progress=on_progress))
        await anyio.wait_all_tasks_blocked()
        assert (len(seen), server.sent - before) == (1, 11)
        go_on.set()
    assert len(seen) == 100


async def test_pings_of_a_server_are_answered_while_nobody_calls() -> None:
    server = Server(Peer(HANDSHAKE))
    async with connected(server) as client:
        await client.ping()
        await server.ends[0].send(line({"jsonrpc": "2.0", "id": "p", "method": "ping"}))
        await anyio.wait_all_tasks_blocked()
        assert server.received[-1] == {"jsonrpc": "2.0", "id": "p", "result": {}}


async def test_a_handler_is_asked_in_the_callers_context_while_reading_goes_on() -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    asked = list[tuple[str, str | None]]()
    go_on = anyio.Event()

    def answer(message: Message) -> list[object]:
        form = {"message": "Name?", "requestedSchema": {"type": "object", "properties": {}}}
        if message.get("method") == "tools/call":
            calls.append(message)
            if message["params"]["name"] == "b":
                return [result(message)]
            return [{"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": form}]
        return [result(calls[0])] if message.get("id") == "q" else list(Peer(HANDSHAKE)(message))

    calls = list[Message]()

    async def elicit(request: ElicitRequest, context: CallContext) -> ElicitResult:
        asked.append((name.get(), context.principal))
        await go_on.wait()
        return ElicitResult.accept({})

    async def call() -> None:
        name.set("caller")
        await client.call_tool("a", context=ALICE)

    async with (
        connected(Server(answer), handlers=Handlers(elicit=elicit)) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert (await client.call_tool("b")).text == "found"
        go_on.set()
    assert asked == [("caller", "alice")]


@BOTH
async def test_listening(version: str) -> None:
    server = silent(version)
    async with connected(server) as client:

        async def tell(subscription: Message) -> None:
            meta = {"io.modelcontextprotocol/subscriptionId": subscription["id"]} if version != HANDSHAKE else {}
            if meta:
                acknowledged = note("notifications/subscriptions/acknowledged", _meta=meta, notifications={})
                await server.ends[0].send(line(acknowledged))
            await server.ends[0].send(line(note("notifications/tools/list_changed", _meta=meta)))

        await client.ping()
        async with anyio.create_task_group() as tasks:
            if version != HANDSHAKE:
                tasks.start_soon(_once_asked, server, "subscriptions/listen", tell)
            async with client.listen(tools=True) as events:
                if version == HANDSHAKE:
                    await tell({})
                async for event in events:
                    assert isinstance(event, ListChanged)
                    break
        await client.ping()
    assert ("notifications/cancelled" in server.methods()) is (version != HANDSHAKE)


async def _once_asked(server: Server, method: str, then: Callable[[Message], Awaitable[None]]) -> None:
    await anyio.wait_all_tasks_blocked()
    await then(next(message for message in server.received if message["method"] == method))


@BOTH
async def test_a_server_that_closes_the_channel(version: str) -> None:
    server = silent(version)

    async def fail() -> None:
        with pytest.raises(TransportError, match="the server closed the channel"):
            await client.call_tool("x")

    async with connected(server) as client:
        await client.ping()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            tasks.start_soon(fail)
            await anyio.wait_all_tasks_blocked()
            await server.ends[0].aclose()
        await client.ping()
    assert len(server.ends) == 2


# Channels that misbehave.


@define(eq=False)
class Wire:
    """A channel that does what a test says.

    :ivar incoming: what it receives: pieces, or an exception to raise.
    :ivar failure: what sending raises, if anything.
    :ivar gate: sending waits for it.
    """

    incoming: list[bytes | Exception] = field(factory=list[bytes | Exception])
    failure: Exception | None = None
    gate: anyio.Event | None = None
    is_closed: bool = False
    sent: list[bytes] = field(factory=list[bytes])
    _arrival: anyio.Event = field(factory=anyio.Event)

    def push(self, *pieces: bytes | Exception) -> None:
        self.incoming += pieces
        self._arrival.set()

    async def receive(self) -> bytes:
        while not self.incoming:
            self._arrival = anyio.Event()
            await self._arrival.wait()
        piece = self.incoming.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def send(self, data: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(data)
        if self.gate is not None:
            await self.gate.wait()
        self.push(*(line(reply) for reply in Peer(silent={"tools/call"})(json.loads(data))))

    async def aclose(self) -> None:
        self.is_closed = True
        raise RuntimeError("cannot be closed either")


@asynccontextmanager
async def over(wire: Wire, **options: Any) -> AsyncIterator[Client]:
    async def open_channel() -> Channel:
        return wire

    with anyio.fail_after(10):
        async with connect_channel(open_channel, **options) as client:
            yield client
    assert wire.is_closed


@pytest.mark.parametrize("mistake", [RuntimeError("secret"), TransportError("reset by peer")])
async def test_what_a_channel_raises_when_read(mistake: Exception) -> None:
    wire = Wire()
    async with over(wire) as client, anyio.create_task_group() as tasks:
        await client.ping()

        async def fails() -> None:
            with pytest.raises(TransportError) as caught:
                await client.call_tool("x")
            is_ours = isinstance(mistake, TransportError)
            assert caught.value.message == ("reset by peer" if is_ours else "the channel could not be read")
            assert caught.value.__cause__ is (None if is_ours else mistake)
            assert caught.value is not mistake

        tasks.start_soon(fails)
        tasks.start_soon(fails)
        await anyio.wait_all_tasks_blocked()
        wire.push(mistake)


@pytest.mark.parametrize("mistake", [RuntimeError("secret"), TransportError("broken pipe")])
async def test_what_a_channel_raises_when_written_to(mistake: Exception) -> None:
    wire = Wire(failure=mistake)
    async with over(wire) as client:
        with pytest.raises(TransportError) as caught:
            await client.ping()
    is_ours = isinstance(mistake, TransportError)
    assert caught.value.message == ("broken pipe" if is_ours else "the message could not be sent")


@pytest.mark.parametrize("mistake", [OSError("no route"), TransportError("no route"), LocalProtocolError("no")])
async def test_a_channel_that_cannot_be_opened(mistake: Exception) -> None:
    async def open_channel() -> Channel:
        raise mistake

    async with connect_channel(open_channel, name="mine") as client:
        with pytest.raises(type(mistake) if not isinstance(mistake, OSError) else TransportError) as caught:
            await client.ping()
    assert (caught.value.server, caught.value.request) == ("mine", "ping")
    assert caught.value.__cause__ is (mistake if isinstance(mistake, OSError) else None)


async def test_a_message_that_was_begun_is_sent_to_its_end_and_one_that_was_not_is_taken_back() -> None:
    wire, is_given_up = Wire(), anyio.Event()
    async with over(wire) as client, anyio.create_task_group() as calls:
        await client.ping()
        wire.gate, before = anyio.Event(), len(wire.sent)

        async def give_up() -> None:
            async with anyio.create_task_group() as tasks:
                for name in ("begun", "not begun"):
                    tasks.start_soon(client.call_tool, name)
                    await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
                is_given_up.set()

        calls.start_soon(give_up)
        await is_given_up.wait()
        await anyio.wait_all_tasks_blocked()
        wire.gate.set()
    sent = [json.loads(data) for data in wire.sent[before:]]
    names = [message["params"].get("name", message["method"]) for message in sent]
    assert names == ["begun", "notifications/cancelled"]
    assert sent[1]["params"]["requestId"] == sent[0]["id"]


async def test_a_client_that_is_closed_while_its_channel_is_being_opened() -> None:
    wire, is_opening, go_on = Wire(), anyio.Event(), anyio.Event()

    async def open_channel() -> Channel:
        is_opening.set()
        await go_on.wait()
        return wire

    async def call() -> None:
        with pytest.raises(LocalProtocolError, match="closed while it opened"):
            await client.ping()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            async with connect_channel(open_channel) as client:
                tasks.start_soon(call)
                await is_opening.wait()
            go_on.set()
    assert wire.is_closed


async def test_calls_in_flight_when_the_client_is_closed() -> None:
    """One has begun to send, one waits for its turn to."""
    wire = Wire()

    async def call() -> None:
        with pytest.raises((TransportError, LocalProtocolError)) as caught:
            await client.call_tool("x")
        assert not isinstance(caught.value, NotSentError)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, over(wire) as client:
            await client.ping()
            wire.gate = anyio.Event()
            tasks.start_soon(call)
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()


async def test_a_client_over_a_channel_is_left_by_the_task_that_entered_it() -> None:
    async def open_channel() -> Channel:
        raise AssertionError("nobody calls")

    client = connect_channel(open_channel)
    await client.__aenter__()

    async def leave() -> None:
        with pytest.raises(LocalProtocolError, match="must be left by the task that entered it"):
            await client.__aexit__(None, None, None)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(leave)
    await client.__aexit__(None, None, None)


async def test_http_is_not_for_a_client_over_a_channel() -> None:
    with pytest.raises(LocalProtocolError):
        await transports.channel._NoHttp().send(None)
