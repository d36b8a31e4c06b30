"""How an agent run is opened and closed: side by side, by whom, after what, and that nothing stays behind."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio
import pytest
import trio
from attrs import evolve
from support.adapters import CARRIERS, nowhere, server_of
from support.leftovers import objects_of_ours, open_files
from support.runs import ALICE, ERA_OF_KIND, KINDS, Place, hang, names, placed, tools_named
from trio.testing import MockClock

from mcpcore import (
    CallContext,
    DeadlineExceeded,
    HttpStatusError,
    Limits,
    LocalProtocolError,
    McpError,
    RequestContext,
    RpcError,
    TransportError,
)
from transports import ServerConfig, connect
from transports.engines.httpx import HttpxEngine
from transports.testing import Answer, Disconnect, ReceivedRequest, Server, echo_headers

both_loops = pytest.mark.anyio
by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_kind = pytest.mark.parametrize("kind", KINDS)
MIXED = {"one": "http", "two": "auto", "three": "sse"}

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def mixed_servers(*tools: Any) -> dict[str, Server]:
    """A server for each way to be spoken to."""
    return {name: server_of(ERA_OF_KIND[kind], *tools) for name, kind in MIXED.items()}


def mixed(place: Place, **options: Any) -> list[ServerConfig]:
    return [place.config(name, kind, **options) for name, kind in MIXED.items()]


class Gathering:
    """Lets nobody pass before so many have come."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._complete = anyio.Event()

    async def __call__(self, request: ReceivedRequest, forward: Any) -> Any:
        self._missing -= 1
        if self._missing == 0:
            self._complete.set()
        await self._complete.wait()
        return await forward(request)


class Trouble(Exception):
    """Something in the user's own code."""


class Stop(BaseException):
    """Something by which a framework ends what is going on."""


# Side by side


@both_loops
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_servers_are_asked_at_the_same_time(carrier: str) -> None:
    servers = mixed_servers(echo_headers)
    gathering = Gathering(len(servers))
    for server in servers.values():
        server.script("tools/list", gathering)
    async with placed(carrier, **servers) as place:
        with anyio.fail_after(10):
            async with place.run(*mixed(place)) as run:
                assert len(run.tools) == 3


@both_loops
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_sessions_are_ended_at_the_same_time(carrier: str) -> None:
    servers = {name: server_of("handshake", echo_headers) for name in ("one", "two", "three", "four")}
    gathering = Gathering(len(servers))
    for server in servers.values():
        server.script("DELETE", gathering)
    async with placed(carrier, **servers) as place:
        configs = [place.config(name, "auto" if name in ("one", "two") else "http") for name in servers]
        with anyio.fail_after(10):
            async with place.run(*configs, limits=Limits(goodbye=9.0)):
                pass
    assert all(len(server.journal.requests("DELETE")) == 1 for server in servers.values())


@pytest.mark.trio
@by_kind
async def test_each_server_has_its_own_timeout(kind: str, autojump_clock: MockClock) -> None:
    async def slowly(request: ReceivedRequest, forward: Any) -> Any:
        await anyio.sleep(12)
        return await forward(request)

    servers = {name: server_of(ERA_OF_KIND[kind], *tools_named(name)) for name in ("ten", "twenty", "never")}
    for server in servers.values():
        server.script("tools/list", slowly)
    async with placed(**servers) as place:
        start = trio.current_time()
        configs = [place.config(name, kind, timeout=timeout) for name, timeout in (("ten", 10), ("twenty", 20))]
        async with place.run(*configs, place.config("never", kind, timeout=None)) as run:
            assert round(trio.current_time() - start, 3) == 12
            assert names(run) == ["twenty", "never"]
            [(server, reason)] = run.skipped
            assert server == "ten"
            assert reason.endswith("no answer within 10 s")


@pytest.mark.trio
@by_kind
async def test_a_required_server_that_is_slow_ends_the_run(kind: str, autojump_clock: MockClock) -> None:
    servers = {name: server_of(ERA_OF_KIND[kind], echo_headers) for name in ("one", "two")}
    servers["two"].script("tools/list", hang)
    async with placed(**servers) as place:
        configs = [place.config("one", kind), place.config("two", kind, required=True, timeout=10)]
        with pytest.raises(DeadlineExceeded, match="no answer within 10 s"):
            await place.run(*configs).__aenter__()
        await goodbyes_said(servers)


@pytest.mark.trio
@by_kind
async def test_a_call_has_the_timeout_of_its_server_unless_it_says_otherwise(
    kind: str, autojump_clock: MockClock
) -> None:
    server = server_of(ERA_OF_KIND[kind])

    @server.tool()
    async def slow(arguments: dict[str, Any], request: ReceivedRequest) -> str:
        await anyio.sleep(12)
        return "done"

    async with placed(one=server) as place, place.run(place.config("one", kind, timeout=10)) as run:
        with pytest.raises(DeadlineExceeded, match="no answer within 10 s"):
            await run.call_tool("slow")
        with pytest.raises(DeadlineExceeded, match="no answer within 5 s"):
            await run.call_tool("slow", timeout=5)
        for timeout in (15, None):
            assert (await run.call_tool("slow", timeout=timeout)).text == "done"


@pytest.mark.trio
@pytest.mark.parametrize(("kind", "ended_at_once"), [("http", 0), ("auto", 1)])
async def test_a_list_that_is_given_up_is_cancelled_and_its_session_ended(
    kind: str, ended_at_once: int, autojump_clock: MockClock
) -> None:
    """At once, if a task of the client's own can do it; otherwise with the run."""
    servers = {name: server_of("handshake", echo_headers) for name in ("one", "two")}
    servers["one"].script("tools/list", hang)
    async with placed(**servers) as place:
        async with place.run(*place.configs(kind)) as run:
            assert [skipped.server for skipped in run.skipped] == ["one"]
            await trio.testing.wait_all_tasks_blocked()
            assert len(servers["one"].journal.requests("notifications/cancelled")) == 1
            assert len(servers["one"].journal.requests("DELETE")) == ended_at_once
            assert len(servers["two"].journal.requests("DELETE")) == 0
        assert all(len(server.journal.requests("DELETE")) == 1 for server in servers.values())


@pytest.mark.trio
@pytest.mark.parametrize("kind", ["http", "auto"])
@pytest.mark.parametrize(("ignores", "seconds"), [([], 10), (["notifications/cancelled"], 13)])
async def test_nobody_waits_for_the_goodbye_of_a_server_that_is_skipped(
    kind: str, ignores: list[str], seconds: int, autojump_clock: MockClock
) -> None:
    """Only for what a call of its own waits for that has run out of time: the notice that says so."""
    servers = {name: server_of("handshake", *tools_named(name)) for name in ("dead", "living")}
    for method in ("tools/list", "DELETE", *ignores):
        servers["dead"].script(method, hang)
    async with placed(**servers) as place:
        start = trio.current_time()
        async with place.run(*place.configs(kind, timeout=10), limits=Limits(goodbye=3.0)) as run:
            assert round(trio.current_time() - start, 3) == seconds
            assert [skipped.server for skipped in run.skipped] == ["dead"]
            assert names(run) == ["living"]
            left = trio.current_time()
        assert round(trio.current_time() - left, 3) == 3
    assert all(len(server.journal.requests("DELETE")) == 1 for server in servers.values())


@pytest.mark.trio
@pytest.mark.parametrize("kind", ["http", "auto"])
async def test_all_goodbyes_together_take_no_longer_than_one(kind: str, autojump_clock: MockClock) -> None:
    servers = {name: server_of("handshake", echo_headers) for name in ("one", "two", "three", "four")}
    for server in servers.values():
        server.script("DELETE", hang)
    async with placed(**servers) as place:
        async with place.run(*place.configs(kind), limits=Limits(goodbye=3.0)):
            start = trio.current_time()
        assert round(trio.current_time() - start, 3) == 3
    assert all(len(server.journal.requests("DELETE")) == 1 for server in servers.values())


@both_loops
async def test_a_run_over_streamable_http_has_no_task_of_its_own() -> None:
    async with placed(one=server_of("handshake", echo_headers), two=Server([echo_headers])) as place:
        await anyio.wait_all_tasks_blocked()
        tasks = set(map(id, anyio.get_running_tasks())), len(anyio.get_running_tasks())
        async with place.run():
            assert len(anyio.get_running_tasks()) == tasks[1]


@both_loops
@by_kind
async def test_resolvers_see_the_context_variables_of_whoever_opens_calls_and_leaves(kind: str) -> None:
    seen: list[tuple[str, str | None]] = []

    def resolver(context: RequestContext) -> None:
        seen.append((tenant.get(), context.rpc_method))

    async with placed(one=server_of(ERA_OF_KIND[kind], echo_headers)) as place:
        token = tenant.set("opener")
        try:
            async with place.run(*place.configs(kind, get_headers=resolver)) as run:
                assert {who for who, _ in seen} == {"opener"}
                tenant.set("caller")
                await run.call_tool("echo_headers")
                assert seen[-1] == ("caller", "tools/call")
        finally:
            tenant.reset(token)


# By whom


@both_loops
@by_carrier
async def test_a_run_over_streamable_http_may_be_left_by_another_task(carrier: str) -> None:
    server = server_of("handshake", echo_headers)
    async with placed(carrier, one=server, two=Server(tools_named("b"))) as place:
        run = place.run()

        async def enter() -> None:
            await run.__aenter__()
            await run.call_tool("echo_headers")

        async def use() -> None:
            assert (await run.call_tool("b")).text == ":b"

        async def leave() -> None:
            await run.__aexit__(None, None, None)

        for step in (enter, use, leave):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)
        with pytest.raises(LocalProtocolError, match="the run is not open"):
            await run.call_tool("b")
    assert len(server.journal.requests("DELETE")) == 1


@both_loops
@pytest.mark.parametrize("carrier", ["memory", "engine"])
@pytest.mark.parametrize("kind", ["auto", "sse"])
async def test_a_run_over_http_sse_says_when_it_is_left_by_another_task(carrier: str, kind: str) -> None:
    servers = {"one": server_of("sse", echo_headers), "two": Server(tools_named("b"))}
    said: list[str] = []
    async with placed(carrier, **servers) as place:
        configs = [evolve(place.config("one", "sse"), type=kind), place.config("two")]
        async with place.run(*configs) as run:

            async def leave() -> None:
                with pytest.raises(LocalProtocolError) as caught:
                    await run.__aexit__(None, None, None)
                said.append(str(caught.value))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave)
            # It was said, and nothing else happened.
            assert (await run.call_tool("b")).text == ":b"
            assert not (await run.call_tool("echo_headers")).is_error
    assert len(said) == 1
    assert "left by the task that entered it" in said[0]


@both_loops
async def test_a_run_that_is_left_on_another_event_loop_says_so_and_can_be_left_on_its_own() -> None:
    servers = {"one": Server(tools_named("a")), "two": Server(tools_named("b"))}
    async with placed("engine", **servers) as place:
        run = await place.run().__aenter__()
        with pytest.raises(LocalProtocolError, match="belongs to another event loop"):
            await anyio.to_thread.run_sync(anyio.run, partial(run.__aexit__, None, None, None))
        await run.__aexit__(None, None, None)


# After what


@both_loops
@by_carrier
async def test_an_exception_in_the_body_closes_everything_and_comes_out_as_itself(carrier: str) -> None:
    servers, trouble = mixed_servers(echo_headers), Trouble()
    async with placed(carrier, **servers) as place:
        with anyio.fail_after(20), pytest.raises(Trouble) as caught:
            async with place.run(*mixed(place)) as run:
                for name in names(run):
                    await run.call_tool(name)
                raise trouble
        assert caught.value is trouble
        assert caught.value.__cause__ is caught.value.__context__ is None
        await goodbyes_said(servers)


async def goodbyes_said(servers: dict[str, Server]) -> None:
    """Every session and every event stream that a server has seen was ended."""
    for server in servers.values():
        for stream in server.journal.requests("GET"):
            if stream.path == Server.sse_path:
                await server.journal.wait_for(lambda request, s=stream: request is s and request.outcome != "pending")
        sessions = {request.headers.get("mcp-session-id", "") for request in server.journal} - {""}
        ended = {request.headers["mcp-session-id"] for request in server.journal.requests("DELETE")}
        assert ended == sessions


@both_loops
@by_carrier
async def test_a_body_that_is_cancelled_in_a_call_ends_and_closes_everything(carrier: str) -> None:
    servers = mixed_servers(echo_headers)

    @servers["three"].tool()
    async def stall(arguments: dict[str, Any], request: ReceivedRequest) -> None:
        scope.cancel()
        await anyio.sleep_forever()

    async with placed(carrier, **servers) as place:
        with anyio.fail_after(20), anyio.CancelScope() as scope:
            async with place.run(*mixed(place)) as run:
                await run.call_tool("stall")
        assert scope.cancelled_caught
        await goodbyes_said(servers)


@both_loops
async def test_an_exception_in_a_body_that_is_also_cancelled_is_not_lost() -> None:
    servers, trouble = mixed_servers(echo_headers), Trouble()
    async with placed(**servers) as place:
        with pytest.raises(Trouble) as caught, anyio.CancelScope() as scope:
            async with place.run(*mixed(place)):
                scope.cancel()
                raise trouble
        assert caught.value is trouble
        await goodbyes_said(servers)


@both_loops
@pytest.mark.parametrize("carrier", ["memory", "engine"])
@pytest.mark.parametrize("required", [False, True])
async def test_a_caller_who_gives_up_while_a_run_is_opened_finds_everything_closed(
    carrier: str, required: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancellation is no fault of a server's: nothing is skipped, and nothing is warned of."""
    servers = mixed_servers(echo_headers)
    asked = anyio.Event()

    async def stall(request: ReceivedRequest, forward: Any) -> Any:
        asked.set()
        await anyio.sleep_forever()

    servers["two"].script("tools/list", stall)
    async with placed(carrier, **servers) as place, anyio.create_task_group() as tasks:
        runs = [place.run(*mixed(place, required=required))]

        async def open_it() -> None:
            async with runs[0]:
                pytest.fail("the body is not reached")

        with anyio.fail_after(20):
            tasks.start_soon(open_it)
            await asked.wait()
            for name in ("one", "three"):
                await servers[name].journal.wait_for(has_listed)
            tasks.cancel_scope.cancel()
    assert runs[0].skipped == ()
    assert runs[0].tools == ()
    await goodbyes_said(servers)
    assert caplog.records == []


def has_listed(request: ReceivedRequest) -> bool:
    return (request.rpc_method, request.outcome) == ("tools/list", "answered")


@both_loops
@by_kind
async def test_a_deadline_of_the_callers_is_not_the_servers(kind: str) -> None:
    server = server_of(ERA_OF_KIND[kind], echo_headers)
    server.script("tools/list", hang)
    async with placed(one=server) as place:
        run = place.run(*place.configs(kind, timeout=None))
        with pytest.raises(TimeoutError) as caught, anyio.fail_after(0.05):
            await run.__aenter__()
        assert not isinstance(caught.value, McpError)
        assert run.skipped == ()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@both_loops
@by_kind
async def test_a_task_of_asyncios_that_is_cancelled_while_it_opens_a_run_closes_it(kind: str) -> None:
    servers = {"one": server_of(ERA_OF_KIND[kind], echo_headers), "two": server_of(ERA_OF_KIND[kind], echo_headers)}
    servers["two"].script("tools/list", hang)

    async with placed("engine", **servers) as place:
        run = place.run(*place.configs(kind, timeout=None))
        task = asyncio.create_task(run.__aenter__())
        await servers["two"].journal.wait_for("tools/list")
        await servers["one"].journal.wait_for(has_listed)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.skipped == ()
        await goodbyes_said(servers)


@both_loops
@by_kind
async def test_a_required_server_that_fails_ends_the_waiting_for_the_others(kind: str) -> None:
    servers = {"one": server_of(ERA_OF_KIND[kind], echo_headers), "two": server_of(ERA_OF_KIND[kind], echo_headers)}
    asked = anyio.Event()

    async def stall(request: ReceivedRequest, forward: Any) -> Any:
        asked.set()
        await anyio.sleep_forever()

    async def refuse(request: ReceivedRequest, forward: Any) -> Answer:
        await asked.wait()
        return Answer(503)

    servers["one"].script("tools/list", stall)
    servers["two"].script("tools/list", refuse)
    async with placed(**servers) as place:
        with anyio.fail_after(10), pytest.raises(HttpStatusError):
            async with place.run(*place.configs(kind, timeout=None, required=True)):
                pytest.fail("the body is not reached")
        await goodbyes_said(servers)


@both_loops
@pytest.mark.parametrize("first", [True, False])
async def test_a_failure_that_is_fatal_at_once_finds_the_others_half_entered(first: bool) -> None:
    servers = {name: server_of("sse", echo_headers) for name in ("one", "two", "three")}
    async with placed(**servers) as place:
        configs = place.configs("sse", timeout=None)
        fatal = evolve(configs.pop(), required=True, requires_user=True)
        configs.insert(0 if first else 1, fatal)
        with anyio.fail_after(10), pytest.raises(LocalProtocolError, match="requires a user"):
            await place.run(*configs, context=CallContext()).__aenter__()
    assert len(servers["three"].journal) == 0


@both_loops
@by_kind
@pytest.mark.parametrize("kind_of_end", [Stop, KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_whatever_ends_the_opening_of_a_run_comes_out_as_itself_and_finds_everything_closed(
    kind: str, kind_of_end: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    servers = {name: server_of(ERA_OF_KIND[kind], echo_headers) for name in ("one", "two")}
    end = kind_of_end("that is all")

    async def resolver(context: RequestContext) -> None:
        if context.rpc_method == "tools/list":
            await servers["one"].journal.wait_for(has_listed)
            raise end

    async with placed(**servers) as place:
        run = place.run(place.config("one", kind), place.config("two", kind, get_headers=resolver))
        with anyio.fail_after(20), pytest.raises(kind_of_end) as caught:
            async with run:
                pytest.fail("the body is not reached")
        assert caught.value is end
        assert caught.value.__cause__ is caught.value.__context__ is None
        assert run.skipped == ()
        await goodbyes_said(servers)
    assert caplog.records == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@both_loops
@by_kind
async def test_a_resolver_that_awaits_a_cancelled_future_does_not_cost_a_run_its_tools_unseen(kind: str) -> None:
    servers = {name: server_of(ERA_OF_KIND[kind], echo_headers) for name in ("one", "two")}
    servers["one"].script("tools/list", hang)
    refreshed = asyncio.get_running_loop().create_future()
    refreshed.cancel()

    async def resolver(context: RequestContext) -> None:
        await servers["one"].journal.wait_for("tools/list")
        await refreshed

    async with placed(**servers) as place:
        run = place.run(place.config("one", kind), place.config("two", kind, get_headers=resolver))
        with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
            async with run:
                pytest.fail("the body is not reached")
        await anyio.lowlevel.checkpoint()
        assert run.skipped == ()
        await goodbyes_said(servers)


@both_loops
@pytest.mark.parametrize("kind", ["http", "auto"])
async def test_what_has_failed_is_not_lost_to_a_caller_who_gives_up_afterwards(kind: str) -> None:
    servers = {name: server_of("handshake", echo_headers) for name in ("one", "two")}
    servers["one"].script("tools/list", hang)

    async def refuse(request: ReceivedRequest, forward: Any) -> Answer:
        await servers["one"].journal.wait_for("tools/list")
        return Answer(503)

    def give_up(request: ReceivedRequest, forward: Any) -> Answer:
        scope.cancel()
        return Answer(202)

    servers["one"].script("notifications/cancelled", give_up)
    servers["two"].script("tools/list", refuse)
    async with placed(**servers) as place:
        with anyio.fail_after(20), pytest.raises(HttpStatusError), anyio.CancelScope() as scope:
            await place.run(*place.configs(kind, required=True)).__aenter__()
        assert scope.cancel_called
        await anyio.lowlevel.checkpoint()
        await goodbyes_said(servers)


@both_loops
@pytest.mark.parametrize("kind", ["http", "auto"])
async def test_whatever_ends_a_goodbye_comes_out_as_itself_when_everything_is_closed(kind: str) -> None:
    servers, end = {name: server_of("handshake", echo_headers) for name in ("one", "two")}, Stop()

    async def resolver(context: RequestContext) -> None:
        if context.kind.value == "terminate":
            if context.principal == ALICE.principal:
                raise end
            await anyio.wait_all_tasks_blocked()

    async with placed(**servers) as place:
        config = place.config("one", kind, get_headers=resolver)
        with pytest.raises(Stop) as caught:
            async with connect(config, **place.options) as client:
                await client.list_tools(context=ALICE)
                await client.list_tools(context=CallContext(principal="acme/bob"))
        assert caught.value is end
        assert len(servers["one"].journal.requests("DELETE")) == 1
        run = place.run(config, place.config("two", kind))
        with pytest.raises(Stop) as caught:
            async with run:
                assert run.skipped == ()
        assert caught.value is end
        assert len(servers["two"].journal.requests("DELETE")) == 1


# When a server dies


@both_loops
@by_carrier
@by_kind
async def test_a_server_that_dies_takes_its_own_tools_with_it_and_no_others(carrier: str, kind: str) -> None:
    era = ERA_OF_KIND[kind]
    dying, living = server_of(era, *tools_named("a")), server_of(era, *tools_named("b", says="living"))

    def cut(request: ReceivedRequest, forward: Any) -> Answer:
        raise Disconnect

    async with placed(carrier, dying=dying, living=living) as place, place.run(*place.configs(kind)) as run:
        await run.call_tool("a")
        dying.script(None, cut, times=None)
        dying.expire_sessions()
        for _ in range(2):
            with pytest.raises(TransportError):
                await run.call_tool("a")
            assert (await run.call_tool("b")).text == "living:b"
        assert (names(run), run.skipped) == (["a", "b"], ())


# That nothing stays behind


async def runs_of_every_kind(place: Place, count: int, **options: Any) -> None:
    """Runs that end well, with an exception, with a fatal server and by cancellation, each with servers to skip."""
    skipping = [*mixed(place), place.config("broken"), place.config("gone", "auto"), place.config("odd", "sse")]
    required = [*mixed(place), evolve(place.config("broken"), required=True)]
    for _ in range(count):
        async with place.run(*skipping, **options) as run:
            assert len(run.skipped) == 3
            for name in names(run):
                await run.call_tool(name)
        with pytest.raises(Trouble):
            async with place.run(*skipping, **options):
                raise Trouble
        with pytest.raises(HttpStatusError):
            await place.run(*required, **options).__aenter__()
        with anyio.CancelScope() as scope:
            async with place.run(*skipping, **options):
                scope.cancel()
                await anyio.sleep_forever()
        for server in place.servers.values():
            server.journal.clear()
        await anyio.lowlevel.checkpoint()


def every_kind_of_server() -> dict[str, Server]:
    servers = {**mixed_servers(echo_headers), "broken": Server(), "odd": server_of("sse")}
    servers["broken"].script("tools/list", Answer(503), times=None)

    @servers["odd"].method("tools/list")
    def odd(params: dict[str, Any], request: ReceivedRequest) -> Any:
        raise RpcError("no", code=1)

    return servers


@both_loops
@pytest.mark.parametrize(("carrier", "count"), [("memory", 8), ("engine", 3), ("httpx", 2), ("httpx2", 2)])
async def test_no_task_no_socket_and_no_object_stays_behind(carrier: str, count: int) -> None:
    async with placed(carrier, **every_kind_of_server()) as place:
        place.origins["gone"] = nowhere()
        await runs_of_every_kind(place, 2)
        await anyio.wait_all_tasks_blocked()
        tasks, files, objects = len(anyio.get_running_tasks()), open_files(), objects_of_ours()
        await runs_of_every_kind(place, count)
        await anyio.wait_all_tasks_blocked()
        assert len(anyio.get_running_tasks()) <= tasks
        assert open_files() == files
        assert objects_of_ours() == objects


@both_loops
async def test_an_engine_that_runs_share_has_every_connection_back() -> None:
    engine = HttpxEngine()
    async with placed("engine", **every_kind_of_server()) as place:
        place.origins["gone"] = nowhere()
        await runs_of_every_kind(place, 3, engine=engine)
        assert engine.connections_in_use == 0
        await engine.aclose()
        assert engine.connections_idle == 0
