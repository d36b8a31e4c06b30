"""Listening on both event loops: what is heard, what is answered meanwhile, and that nothing is left behind."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
import trio
from support.adapters import ERAS, REVISIONS, Mint, Wire, person, server_of, wired
from trio.testing import MockClock

import transports
from mcpcore import (
    CallContext,
    DeadlineExceeded,
    Handlers,
    HttpStatusError,
    Limits,
    ListChanged,
    LocalProtocolError,
    McpError,
    RemoteProtocolError,
    Reopened,
    RequestContext,
    ResourceUpdated,
    Root,
    StreamEvent,
    SubscriptionFilter,
    TransportError,
    UnauthorizedError,
)
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, ReceivedRequest, Resource, echo_headers

HASTE = Limits(resume_delay=0.001)
URL = "https://mcp.example/mcp"
CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"
NOTES = Resource(lambda arguments, request: "text", "file:///notes")
RESOURCES_CHANGED = "notifications/resources/list_changed"
WHO: ContextVar[str] = ContextVar("WHO")


@asynccontextmanager
async def meeting(era: str, *, carrier: str = "memory", **options: Any) -> AsyncGenerator[Wire, None]:
    with anyio.fail_after(20):
        async with wired(server_of(era, echo_headers, resources=[NOTES], **options), carrier) as wire:
            yield wire


async def next_of(events: transports.Subscription) -> StreamEvent:
    """The next event that is there."""
    return await anext(events)


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", ["memory", "engine"])
@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut"])
async def test_a_subscription_ends_in_order_or_is_dropped(carrier: str, cut: bool) -> None:
    async with meeting("modern", carrier=carrier) as wire, wire.connect() as client:
        async with client.listen(tools=True, prompts=True, uris=["file:///notes"]) as events:
            assert events.acknowledged == SubscriptionFilter(tools=True, uris=("file:///notes",))
            await wire.server.notify(CHANGED)
            await wire.server.notify(UPDATED, {"uri": "file:///notes"})
            wire.server.end_subscriptions(cut=cut)
            assert [await next_of(events), await next_of(events)] == [
                ListChanged("tools"),
                ResourceUpdated("file:///notes"),
            ]
            with pytest.raises(TransportError if cut else StopAsyncIteration):
                await next_of(events)
            with pytest.raises(LocalProtocolError if cut else StopAsyncIteration):
                await next_of(events)
        assert (await client.call_tool("echo_headers")).structured_content


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_leaving_closes_the_stream_and_leaves_no_task(era: str) -> None:
    async with meeting(era) as wire, wire.connect(era) as client:
        await client.list_tools()
        before = {task.id for task in anyio.get_running_tasks()}
        for _ in range(2):
            async with client.listen(tools=True) as events:
                await wire.server.notify(CHANGED)
                async for event in events:
                    assert event == ListChanged("tools")
                    break
            with pytest.raises(StopAsyncIteration):
                await next_of(events)
            with pytest.raises(LocalProtocolError, match="listened to once"):
                await events.__aenter__()
        assert {task.id for task in anyio.get_running_tasks()} == before
        assert client.statistics().calls == 0
        if era != "sse":
            streams = [r for r in wire.server.journal if r.method == "GET" or r.rpc_method == "subscriptions/listen"]
            assert [stream.outcome for stream in streams] == ["disconnected"] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_a_session_is_listened_to_across_breaks_and_across_its_own_end(carrier: str) -> None:
    async with (
        meeting("handshake", carrier=carrier) as wire,
        wire.connect(limits=HASTE) as client,
        client.listen(tools=True, uris=["file:///notes"]) as events,
    ):
        assert events.acknowledged == SubscriptionFilter(tools=True, uris=("file:///notes",))
        for disturb in (wire.server.hang_up, lambda: wire.server.hang_up(cut=True), wire.server.expire_sessions):
            await wire.server.notify(UPDATED, {"uri": "file:///notes"})
            assert await next_of(events) == ResourceUpdated("file:///notes")
            disturb()
            assert await next_of(events) == Reopened()
        await wire.server.notify(UPDATED, {"uri": "file:///notes"})
        assert await next_of(events) == ResourceUpdated("file:///notes")
        assert len(wire.server.journal.requests("resources/subscribe")) == 2


@pytest.mark.anyio
async def test_a_stream_that_can_be_taken_up_misses_nothing() -> None:
    async with (
        meeting("handshake", carrier="engine", resumable=True, retry=0) as wire,
        wire.connect() as client,
        client.listen(tools=True) as events,
    ):
        for _ in range(3):
            wire.server.hang_up(cut=True)
            await wire.server.notify(CHANGED)
            assert await next_of(events) == ListChanged("tools")
        assert any("last-event-id" in request.headers for request in wire.server.journal.requests("GET"))


@pytest.mark.trio
async def test_pauses_before_a_stream_is_opened_again_take_their_time(autojump_clock: MockClock) -> None:
    server = server_of("handshake", echo_headers)
    engine = MemoryEngine(server)
    async with transports.connect(URL, engine=engine) as client, client.listen(tools=True) as events:
        server.script("GET", Answer(503), times=3)
        server.hang_up()
        began = trio.current_time()
        assert await next_of(events) == Reopened()
        assert 7.5 <= trio.current_time() - began <= 15.0


@pytest.mark.anyio
async def test_a_server_without_a_stream_says_so() -> None:
    async with meeting("handshake", sessions=False) as wire, wire.connect() as client:
        with pytest.raises(LocalProtocolError, match="no stream to listen to"):
            async with client.listen():
                raise AssertionError("nothing is there to be listened to")
        assert (await client.call_tool("echo_headers")).structured_content


def a_result_at_once(request: ReceivedRequest, forward: Any) -> Answer:
    return Answer.json({"jsonrpc": "2.0", "id": request.rpc_id, "result": {"resultType": "complete"}})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "error_type"),
    [(Answer(401), UnauthorizedError), (Answer(500), HttpStatusError), (a_result_at_once, RemoteProtocolError)],
    ids=["401", "500", "a result at once"],
)
async def test_a_subscription_that_cannot_be_entered(answer: Any, error_type: type[McpError]) -> None:
    async with meeting("modern") as wire, wire.connect(protocol_version=REVISIONS["modern"]) as client:
        wire.server.script("subscriptions/listen", answer)
        with pytest.raises(error_type):
            async with client.listen():
                raise AssertionError("it was not acknowledged")
        assert client.statistics().calls == 0


@pytest.mark.anyio
async def test_how_long_opening_may_take() -> None:
    async def silence(request: ReceivedRequest, forward: Any) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    async with meeting("modern") as wire, wire.connect(protocol_version=REVISIONS["modern"]) as client:
        wire.server.script("subscriptions/listen", silence)
        with pytest.raises(DeadlineExceeded, match=r"0\.01 s"):
            async with client.listen(timeout=0.01):
                raise AssertionError("nobody has answered")
        assert wire.server.journal[-1].outcome == "disconnected"


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["handshake", "sse"])
async def test_a_server_asks_who_listens_in_the_listeners_context(era: str) -> None:
    asked: list[tuple[str | None, str]] = []

    async def roots(_: None, context: CallContext) -> list[Root]:
        await anyio.lowlevel.checkpoint()
        asked.append((context.principal, WHO.get()))
        return [Root("file:///srv")]

    mint = Mint()
    async with meeting(era, carrier="engine") as wire:
        WHO.set("opener")
        async with wire.connect(era, handlers=Handlers(roots=roots), get_headers=mint) as client:
            WHO.set("listener")
            alice = client.bind(person("alice"))
            async with alice.listen(tools=True) as events:
                wire.server.broadcast({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
                await wire.server.notify(CHANGED)
                assert await next_of(events) == ListChanged("tools")
                [reply] = await wire.server.journal.wait_for(lambda request: request.rpc_id == "q")
    assert reply.json["result"] == {"roots": [{"uri": "file:///srv"}]}
    assert asked == [("acme/alice", "listener")]
    assert mint.context_of(reply.headers["authorization"]).principal == "acme/alice"


@pytest.mark.anyio
@pytest.mark.parametrize("failure", [ZeroDivisionError("mine"), TransportError("of another server")])
async def test_what_a_handler_raises_comes_out_of_the_block_as_it_is(failure: Exception) -> None:
    async def fail(_: None, context: CallContext) -> list[Root]:
        await anyio.lowlevel.checkpoint()
        raise failure

    async with meeting("handshake") as wire, wire.connect(handlers=Handlers(roots=fail)) as client:
        with pytest.raises(type(failure)) as raised:
            async with client.listen(tools=True) as events:
                wire.server.broadcast({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
                await wire.server.notify(CHANGED)
                assert await next_of(events) == ListChanged("tools")
                await anyio.sleep_forever()
        assert raised.value is failure
        assert (await client.call_tool("echo_headers")).structured_content


@pytest.mark.anyio
async def test_a_wait_that_is_cancelled_ends_the_stream_and_says_so() -> None:
    async with meeting("modern", carrier="engine") as wire, wire.connect() as client:
        async with client.listen(tools=True) as events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(next_of, events)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(LocalProtocolError, match="still goes on"):
                    await next_of(events)
                tasks.cancel_scope.cancel()
            with pytest.raises(LocalProtocolError, match="listen again"):
                await next_of(events)
        [stream] = wire.server.journal.requests("subscriptions/listen")
        await wire.server.journal.wait_for(lambda request: request is stream and request.outcome == "disconnected")


@pytest.mark.anyio
async def test_an_error_of_the_block_and_a_cancellation_pass_through() -> None:
    async with meeting("handshake") as wire, wire.connect() as client:
        with pytest.raises(ZeroDivisionError):
            async with client.listen():
                raise ZeroDivisionError
        with anyio.CancelScope() as scope:
            async with client.listen() as events:
                scope.cancel()
                await next_of(events)
        assert scope.cancelled_caught
        assert client.statistics().calls == 0


@pytest.mark.anyio
async def test_over_http_sse_one_who_listens_and_does_not_iterate_stops_no_call() -> None:
    async with meeting("sse", carrier="engine") as wire, wire.connect("sse") as client:
        async with client.listen(tools=True) as events:
            for _ in range(5):
                await wire.server.notify(CHANGED)
                assert (await client.call_tool("echo_headers")).structured_content
            assert [await next_of(events) for _ in range(5)] == [ListChanged("tools")] * 5
            wire.server.hang_up(cut=True)
            with pytest.raises(TransportError):
                await next_of(events)
        assert len([request for request in wire.server.journal if request.method == "GET"]) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_many_people_listen_and_each_hears_what_is_for_him(era: str) -> None:
    names = [f"user-{number}" for number in range(12)]
    heard: dict[str, list[StreamEvent]] = {name: [] for name in names}

    def who(context: RequestContext) -> dict[str, str]:
        return {"X-User": context.request_headers["x-user"]}

    async def follow(client: transports.Client, name: str, *, task_status: Any) -> None:
        async with client.listen(tools=True, resources=True, context=person(name)) as events:
            task_status.started()
            for _ in range(2):
                heard[name].append(await next_of(events))

    async with (
        meeting(era, carrier="engine") as wire,
        wire.connect(era, get_headers=who) as client,
        anyio.create_task_group() as tasks,
    ):
        for name in names:
            await tasks.start(follow, client, name)
        for name, method in zip(names, itertools.cycle([CHANGED, RESOURCES_CHANGED, RESOURCES_CHANGED])):
            for _ in range(2):
                await wire.server.notify(method, to=lambda entry, name=name: entry.headers.get("x-user") == name)
    # Each hears two changes and no more; who heard another's would have heard another kind.
    kinds = itertools.cycle(["tools", "resources", "resources"])
    assert heard == {name: [ListChanged(kind)] * 2 for name, kind in zip(names, kinds, strict=False)}
    wire.server.journal.assert_every_request_carries("x-user")
    if era == "handshake":
        wire.server.journal.assert_never_shared("mcp-session-id", across="x-user", match="GET")


@pytest.mark.anyio
async def test_streams_have_a_budget_of_their_own() -> None:
    limits = Limits(streams=1, connections=1)
    async with meeting("modern", carrier="engine") as wire, wire.connect(limits=limits) as client:
        async with client.listen(tools=True) as first:
            for _ in range(3):
                assert (await client.call_tool("echo_headers")).structured_content
            with pytest.raises(DeadlineExceeded):
                async with client.listen(tools=True, timeout=0.01):
                    raise AssertionError("there is one stream already")
            await wire.server.notify(CHANGED)
            assert await next_of(first) == ListChanged("tools")
        async with client.listen(tools=True) as second:
            assert isinstance(second.acknowledged, SubscriptionFilter)


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_who_still_listens_when_the_client_is_left_is_told(era: str) -> None:
    """By another task: one that is within the block leaves it before the client."""
    async with meeting(era) as wire, anyio.create_task_group() as tasks:
        client = wire.connect(era)
        is_open, told = anyio.Event(), anyio.Event()

        async def listen() -> None:
            with pytest.raises(LocalProtocolError, match="closed"):
                async with client.listen(context=person("alice")) as events:
                    is_open.set()
                    async for _ in events:
                        pass
            told.set()

        async with client:
            tasks.start_soon(listen)
            await is_open.wait()
        await told.wait()
        assert client.statistics().sessions == 0
