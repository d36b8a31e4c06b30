"""Whose context a resolver sees, what a cancellation leaves behind, and how a client is closed."""

from __future__ import annotations

import gc
import json
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest
from attrs import define, evolve
from support.adapters import CARRIERS, ERAS, Mint, person, server_of, wired

import transports
from mcpcore import CallContext, Limits, LocalProtocolError, Progress, RequestContext, RequestKind, SendRequest
from transports.testing import Answer, ReceivedRequest, Server, Tool, echo_headers
from transports.testing import Progress as Report

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")
by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_era = pytest.mark.parametrize("era", ERAS)

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


async def reports(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Report progress once, then answer."""
    yield Report(1, 2)
    yield "done"


async def hangs(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Report progress once, and never answer."""
    yield Report(1, 2)
    await anyio.sleep_forever()


# Context variables


@by_era
@by_carrier
async def test_a_resolver_and_a_handler_see_the_callers_context_variables(carrier: str, era: str) -> None:
    server = server_of(era, Tool(reports))
    heard: list[tuple[str, str]] = []

    def resolver(context: RequestContext) -> dict[str, str]:
        return {"X-Tenant": tenant.get()}

    async def call(client: Any, name: str) -> None:
        tenant.set(name)
        for _ in range(3):
            await client.bind(person(name)).call_tool(
                "reports", on_progress=lambda _: heard.append((name, tenant.get()))
            )

    token = tenant.set("opener")
    try:
        async with (
            wired(server, carrier) as wire,
            wire.connect(era, get_headers=resolver) as client,
            anyio.create_task_group() as tasks,
        ):
            for number in range(4):
                tasks.start_soon(call, client, f"tenant-{number}")
    finally:
        tenant.reset(token)
    assert len(heard) == 12
    assert all(name == seen for name, seen in heard)
    # Only the goodbyes of sessions are said by whoever closes the client: nobody else is there any more.
    server.journal.assert_every_request_carries("x-tenant", match=lambda request: request.method != "DELETE")
    seen = {request.headers["x-tenant"] for request in server.journal if request.method != "DELETE"}
    assert seen == {"tenant-0", "tenant-1", "tenant-2", "tenant-3"}
    if era == "sse":
        assert len({request.headers["x-tenant"] for request in server.journal.requests("GET")}) == 4


@define(eq=False)
class Watched:
    """An engine and its responses, which note whose context variables they see."""

    inner: Any
    seen: set[tuple[str, str]]
    carries_identity = False
    method: str = "GET"

    async def send(self, request: SendRequest) -> Any:
        self.seen.add((f"{request.method} sent", tenant.get()))
        return evolve(self, inner=await self.inner.send(request), method=request.method)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def receive(self) -> bytes:
        self.seen.add((f"{self.method} read", tenant.get()))
        data: bytes = await self.inner.receive()
        return data


async def test_what_outlives_a_call_does_not_see_its_context_variables() -> None:
    """An event stream serves calls that come later: it is read as its owner, though the first caller opened it."""
    server, seen = server_of("sse", echo_headers), set[tuple[str, str]]()

    async def call() -> None:
        tenant.set("caller")
        await client.call_tool("echo_headers", context=ALICE)

    async with wired(server, "memory") as wire:
        engine = Watched(wire.options["engine"], seen)
        async with wire.connect("sse", engine=engine) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(call)
    assert seen == {("GET sent", "caller"), ("GET read", "nobody"), ("POST sent", "caller"), ("POST read", "caller")}


# Who hangs, hangs alone


@by_carrier
@pytest.mark.parametrize("era", ["modern", "handshake", "sse"])
async def test_a_resolver_that_hangs_over_a_401_holds_nobody_up(carrier: str, era: str) -> None:
    """Alice's first request, whatever it is, is refused; what her resolver then does is between it and her."""
    server, hanging = server_of(era, echo_headers), anyio.Event()

    async def resolver(context: RequestContext) -> dict[str, str]:
        if context.attempt == 2:
            hanging.set()
            await anyio.sleep_forever()
        return {"Authorization": f"Bearer {context.principal}"}

    def of_alice(request: ReceivedRequest) -> bool:
        return request.headers.get("authorization") == "Bearer acme/alice"

    server.script(of_alice, Answer(401, {"WWW-Authenticate": "Bearer"}), times=None)
    async with wired(server, carrier) as wire, wire.connect(era, get_headers=resolver) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(client.bind(ALICE).call_tool, "echo_headers", timeout=None))
                await hanging.wait()
                assert not (await client.call_tool("echo_headers", context=BOB)).is_error
                tasks.cancel_scope.cancel()
    assert len(server.journal.requests(of_alice)) == 1


@by_carrier
@pytest.mark.parametrize("era", ["handshake", "sse"])
async def test_a_resolver_that_hangs_for_initialize_holds_nobody_up(carrier: str, era: str) -> None:
    server, hanging = server_of(era, echo_headers), anyio.Event()

    async def resolver(context: RequestContext) -> dict[str, str]:
        if context.kind is RequestKind.INITIALIZE and context.principal == ALICE.principal:
            hanging.set()
            await anyio.sleep_forever()
        return {"X-User": context.request_headers["x-user"]}

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=resolver) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(client.bind(ALICE).call_tool, "echo_headers", timeout=None))
                await hanging.wait()
                assert not (await client.call_tool("echo_headers", context=BOB)).is_error
                tasks.cancel_scope.cancel()


async def test_who_gave_up_waiting_is_forgotten_by_what_it_waited_for() -> None:
    """Alice's handshake takes its time; followers come and go, and it does not grow with each of them."""
    server, waiting = server_of("handshake", echo_headers), anyio.Event()

    async def never(request: ReceivedRequest, forward: Any) -> Any:
        waiting.set()
        await anyio.sleep_forever()

    server.script("initialize", never)
    counts: list[int] = []
    async with (
        wired(server, "memory") as wire,
        wire.connect(protocol_version="2025-11-25") as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.bind(ALICE).call_tool, "echo_headers")
        await waiting.wait()
        for _ in range(2):
            for _ in range(50):
                with anyio.move_on_after(0):
                    await client.call_tool("echo_headers", context=ALICE, timeout=None)
            gc.collect()
            counts.append(sum(isinstance(thing, type(anyio.Event())) for thing in gc.get_objects()))
        tasks.cancel_scope.cancel()
    assert len(server.journal.requests("initialize")) == 1
    assert abs(counts[1] - counts[0]) < 10


# Event streams within a bound


@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "interleaved"])
async def test_more_identities_than_event_streams_are_all_served(at_once: bool) -> None:
    server = server_of("sse", echo_headers)
    served: list[str] = []
    async with (
        wired(server, "engine") as wire,
        wire.connect("sse", get_headers=user_header, limits=Limits(streams=2)) as client,
        anyio.create_task_group() as tasks,
    ):

        async def call(name: str) -> None:
            for _ in range(3):
                result = await client.call_tool("echo_headers", context=person(name))
                assert json.loads(result.text)["x-user"] == name
                served.append(name)

        with anyio.fail_after(20):
            for number in range(5):
                if at_once:
                    tasks.start_soon(call, f"user-{number}")
                else:
                    await call(f"user-{number}")
    assert sorted(served) == sorted(f"user-{number}" for number in range(5) for _ in range(3))


def user_header(context: RequestContext) -> dict[str, str]:
    return {"X-User": context.request_headers["x-user"]}


# A user's own client


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_a_hook_put_on_a_client_after_connecting_ends_what_calls_share(library: str) -> None:
    """Without a principal, nobody but the hook knows whom a call is for."""
    server, user = server_of("handshake", echo_headers), ["nobody"]

    async def hook(request: Any) -> None:
        request.headers["X-User"] = user[0]

    async with wired(server, library) as wire, wire.connect(protocol_version="2025-11-25") as client:
        for _ in range(2):
            await client.call_tool("echo_headers")
        assert len(server.journal.requests("initialize")) == 1
        wire.http_client.event_hooks = {"request": [hook]}
        for user[0] in ("alice", "bob"):
            await client.call_tool("echo_headers")
        user[0] = "nobody"
    sessions = [request.headers["mcp-session-id"] for request in server.journal.requests("tools/call")]
    assert len(set(sessions)) == 3
    users = {
        (request.headers["mcp-session-id"], request.headers.get("x-user"))
        for request in server.journal.requests("tools/call")
    }
    assert users == {(sessions[0], None), (sessions[2], "alice"), (sessions[3], "bob")}


# Cancellation


@by_era
@by_carrier
async def test_a_resolver_that_hangs_can_be_cancelled_and_holds_nobody_up(carrier: str, era: str) -> None:
    server, hanging = server_of(era, echo_headers), anyio.Event()

    async def resolver(context: RequestContext) -> dict[str, str]:
        if context.principal == BOB.principal:
            hanging.set()
            await anyio.sleep_forever()
        return {"X-User": "alice"}

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=resolver) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.bind(BOB).call_tool, "echo_headers")
                await hanging.wait()
                # Nobody knows the server's era yet, and still this call need not wait for Bob's resolver.
                assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
                tasks.cancel_scope.cancel()
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    server.journal.assert_every_request_carries("x-user", "alice")


@by_era
@by_carrier
async def test_a_cancelled_call_tells_the_server_and_leaves_the_client_usable(carrier: str, era: str) -> None:
    mint, server = Mint(), server_of(era, echo_headers, Tool(hangs))
    async with wired(server, carrier) as wire, wire.connect(era, get_headers=mint) as client:
        with anyio.fail_after(10):
            with anyio.CancelScope() as scope:
                await client.call_tool("hangs", context=ALICE, on_progress=lambda _: scope.cancel())
            assert scope.cancelled_caught
            [hung] = server.journal.requests(lambda request: request.rpc_name == "hangs")
            if era != "sse":
                await server.journal.wait_for(lambda request: request is hung and request.outcome == "disconnected")
            # The notice is out before the cancelled call has returned.
            notices = server.journal.requests("notifications/cancelled")
            assert [notice.params["requestId"] for notice in notices] == ([] if era == "modern" else [hung.rpc_id])
            assert all(notice.status == 202 for notice in notices)
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    server.journal.assert_distinct("authorization")
    for notice in server.journal.requests("notifications/cancelled"):
        assert mint.context_of(notice.headers["authorization"]).kind is RequestKind.NOTIFICATION
        assert notice.headers.get("mcp-session-id") == hung.headers.get("mcp-session-id")
    assert len(server.journal.requests("GET")) == (1 if era == "sse" else 0)
    assert len(server.journal.requests("initialize")) == (0 if era == "modern" else 1)


@by_carrier
async def test_initialize_is_never_cancelled_by_a_notice(carrier: str) -> None:
    server, waiting = server_of("handshake", echo_headers), anyio.Event()

    async def never(request: ReceivedRequest, forward: Any) -> Any:
        waiting.set()
        await anyio.sleep_forever()

    server.script("initialize", never)
    async with wired(server, carrier) as wire, wire.connect(get_headers=Mint()) as client:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.bind(ALICE).call_tool, "echo_headers")
                await waiting.wait()
                tasks.cancel_scope.cancel()
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    assert server.journal.requests("notifications/cancelled") == []
    assert len(server.journal.requests("initialize")) == 2


@by_era
@by_carrier
async def test_many_calls_cancelled_at_once_leave_the_client_usable(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers, Tool(hangs))

    async def cancel_ten(client: transports.Client) -> None:
        reports: list[Progress] = []
        async with anyio.create_task_group() as tasks:

            def note(progress: Progress) -> None:
                reports.append(progress)
                if len(reports) == 10:
                    tasks.cancel_scope.cancel()

            for number in range(10):
                call = client.bind(person(f"user-{number % 5}")).call_tool
                tasks.start_soon(partial(call, "hangs", on_progress=note))

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=Mint()) as client:
        with anyio.fail_after(20):
            for _ in range(2):
                await cancel_ten(client)
            results = [await client.call_tool("echo_headers", context=person(f"user-{n}")) for n in range(5)]
            assert not any(result.is_error for result in results)
            if era != "sse":
                await server.journal.wait_for(
                    lambda request: (request.rpc_name, request.outcome) == ("hangs", "disconnected"), 20
                )
    server.journal.assert_distinct("authorization")


# Closing


@by_carrier
@pytest.mark.parametrize("era", ["modern", "handshake"])
async def test_a_client_of_streamable_http_may_be_closed_by_another_task(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)
    async with wired(server, carrier) as wire:
        client = wire.connect(era, get_headers=Mint())

        async def enter() -> None:
            await client.__aenter__()
            await client.call_tool("echo_headers", context=ALICE)

        async def leave() -> None:
            await client.__aexit__(None, None, None)

        for step in (enter, leave):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)
        with pytest.raises(LocalProtocolError, match="not open"):
            await client.call_tool("echo_headers", context=ALICE)
    assert len(server.journal.requests("DELETE")) == (1 if era == "handshake" else 0)


@by_carrier
@pytest.mark.parametrize("kind", ["sse", "auto"])
async def test_a_client_of_http_sse_says_when_it_is_left_by_another_task(carrier: str, kind: str) -> None:
    server = server_of("sse", echo_headers)
    said: list[str] = []
    async with wired(server, carrier) as wire, wire.connect("sse", type=kind, get_headers=Mint()) as client:
        await client.call_tool("echo_headers", context=ALICE)

        async def leave() -> None:
            with pytest.raises(LocalProtocolError) as caught:
                await client.__aexit__(None, None, None)
            said.append(str(caught.value))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
        # It was said, and nothing else happened.
        await client.call_tool("echo_headers", context=ALICE)
    assert len(said) == 1
    assert "left by the task that entered it" in said[0]


@by_era
@by_carrier
async def test_leaving_a_client_ends_the_streams_that_other_tasks_wait_on(carrier: str, era: str) -> None:
    server, ended = server_of(era, Tool(hangs)), list[str]()

    async def call(client: transports.Client, context: CallContext, reported: anyio.Event) -> None:
        # Without a principal, and with a token that is new each time, the stream is this call's own.
        try:
            await client.call_tool("hangs", context=context, on_progress=lambda _: reported.set())
        except LocalProtocolError as error:
            ended.append(error.message)

    async with wired(server, carrier) as wire, anyio.create_task_group() as tasks:
        with anyio.fail_after(10):
            async with wire.connect(era, get_headers=Mint()) as client:
                for context in (ALICE, CallContext()):
                    reported = anyio.Event()
                    tasks.start_soon(call, client, context, reported)
                    await reported.wait()
        if era == "sse":
            await server.journal.wait_for(lambda request: request.outcome == "disconnected", 2)
        else:
            tasks.cancel_scope.cancel()  # On Streamable HTTP, whoever makes a call also ends it.
    assert ended == ["the event stream was closed by this client"] * (2 if era == "sse" else 0)


class Trouble(Exception):
    """Something in the user's own code."""


@by_era
@by_carrier
async def test_an_exception_in_the_body_comes_out_as_itself(carrier: str, era: str) -> None:
    server, trouble = server_of(era, echo_headers), Trouble()
    async with wired(server, carrier) as wire:
        with pytest.raises(Trouble) as caught:
            async with wire.connect(era, get_headers=Mint()) as client:
                for somebody in (ALICE, BOB):
                    await client.call_tool("echo_headers", context=somebody)
                raise trouble
        assert caught.value is trouble
        assert caught.value.__cause__ is None
    assert len(server.journal.requests("DELETE")) == (2 if era == "handshake" else 0)


@by_era
@by_carrier
async def test_an_exception_in_a_body_that_is_also_cancelled_is_not_lost(carrier: str, era: str) -> None:
    server, trouble = server_of(era, echo_headers), Trouble()
    async with wired(server, carrier) as wire:
        with pytest.raises(Trouble) as caught, anyio.CancelScope() as scope:
            async with wire.connect(era, get_headers=Mint()) as client:
                await client.call_tool("echo_headers", context=ALICE)
                scope.cancel()
                raise trouble
        assert caught.value is trouble


@by_carrier
@pytest.mark.parametrize("era", ["handshake"])
async def test_an_observer_that_raises_while_a_client_closes_does_no_harm(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)

    def observer(exchange: transports.ExchangeSummary) -> None:
        if exchange.kind is RequestKind.TERMINATE:
            raise Trouble

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=Mint(), on_exchange=observer) as client:
        for somebody in (ALICE, BOB):
            await client.call_tool("echo_headers", context=somebody)
    assert len(server.journal.requests("DELETE")) == 2


@by_era
@by_carrier
async def test_an_error_of_a_call_comes_out_as_itself(carrier: str, era: str) -> None:
    server, trouble = server_of(era, Tool(reports)), Trouble()

    def handler(_: Progress) -> None:
        raise trouble

    async with wired(server, carrier) as wire:
        with pytest.raises(Trouble) as caught:
            async with wire.connect(era, get_headers=Mint()) as client:
                await client.call_tool("reports", context=ALICE, on_progress=handler)
        assert caught.value is trouble


@by_era
@by_carrier
async def test_a_body_that_is_cancelled_ends_and_says_goodbye(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers, Tool(hangs))
    async with wired(server, carrier) as wire:
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            async with wire.connect(era, get_headers=Mint()) as client:
                await client.call_tool("echo_headers", context=BOB)
                await client.call_tool("hangs", context=ALICE, on_progress=lambda _: scope.cancel())
        assert scope.cancelled_caught
        if era == "sse":
            await server.journal.wait_for(
                lambda request: (request.method, request.outcome) == ("GET", "disconnected"), 2
            )
    assert len(server.journal.requests("DELETE")) == (2 if era == "handshake" else 0)


@by_carrier
async def test_a_client_is_entered_once_and_used_while_it_is_open(carrier: str) -> None:
    async with wired(Server([echo_headers]), carrier) as wire:
        client = wire.connect()
        with pytest.raises(LocalProtocolError, match="not open"):
            await client.list_tools()
        async with client:
            await client.list_tools()
        with pytest.raises(LocalProtocolError, match="not open"):
            await client.bind(ALICE).list_tools()
        with pytest.raises(LocalProtocolError, match="once"):
            await client.__aenter__()


@by_carrier
async def test_the_users_own_client_stays_open(carrier: str) -> None:
    server = server_of("modern", echo_headers)
    async with wired(server, carrier) as wire:
        for _ in range(2):
            async with wire.connect() as client:
                await client.list_tools()
        if wire.http_client is not None:
            assert not wire.http_client.is_closed
