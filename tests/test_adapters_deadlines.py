"""A call's timeout covers all that the call does: resolvers, handshake, retries, streams.  On trio's virtual clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
from attrs import define
from support.adapters import ERAS, Mint, person, server_of, wired
from trio.testing import MockClock

import transports
from mcpcore import CallContext, ConfigurationError, DeadlineExceeded, Limits, RequestContext, SendRequest
from transports.engines.memory import MemoryEngine
from transports.testing import (
    Answer,
    Call,
    Forward,
    Progress,
    Prompt,
    ReceivedRequest,
    Resource,
    Server,
    Tool,
    echo_headers,
)

pytestmark = pytest.mark.trio

ALICE, BOB = person("alice"), person("bob")
by_era = pytest.mark.parametrize("era", ERAS)


async def slowly(request: ReceivedRequest, forward: Forward) -> Answer:
    """Take twelve seconds to answer."""
    await anyio.sleep(12)
    return await forward(request)


async def ticks(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Report progress for ever."""
    while True:
        await anyio.sleep(7)
        yield Progress(1)


async def unhurried(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Report progress for a minute, then answer."""
    for _ in range(6):
        await anyio.sleep(10)
        yield Progress(1)
    yield "done"


@asynccontextmanager
async def client_of(server: Server, era: str = "modern", **options: Any) -> AsyncGenerator[transports.Client, None]:
    async with wired(server, "memory") as wire, wire.connect(era, **options) as client:
        yield client


class Stopwatch:
    def __init__(self) -> None:
        self._start = trio.current_time()

    @property
    def seconds(self) -> float:
        return round(trio.current_time() - self._start, 6)


@by_era
async def test_a_resolver_that_hangs_exceeds_the_deadline(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, echo_headers)

    async def resolver(context: RequestContext) -> None:
        if context.principal == ALICE.principal:
            await anyio.sleep_forever()

    async with client_of(server, era, get_headers=resolver, timeout=30.0) as client:
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded) as caught:
            await client.call_tool("echo_headers", context=ALICE)
        assert watch.seconds == 30
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.request == "tools/call 'echo_headers'"
        assert str(caught.value) == f"tools/call 'echo_headers' to {caught.value.server}: no answer within 30 s"
        assert len(server.journal) == 0
        await client.call_tool("echo_headers", context=BOB)


@by_era
async def test_each_answer_in_time_and_still_the_call_takes_too_long(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, *(Tool(echo_headers, name=f"tool-{number}") for number in range(3)), page_size=1)
    server.script(lambda request: request.method != "DELETE", slowly, times=None)
    async with client_of(server, era, get_headers=Mint(), timeout=30.0) as client:
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.list_tools(context=ALICE)
        assert watch.seconds == 30
        # Each answer took twelve seconds: the third of them, whatever it was to be, came too late.
        assert (
            len(server.journal.requests(lambda request: request.status is not None and request.method != "DELETE")) == 2
        )
        assert len(await client.list_tools(context=ALICE, timeout=120)) == 3


@by_era
async def test_slow_resolvers_count_too(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, echo_headers)

    async def resolver(context: RequestContext) -> None:
        await anyio.sleep(20)

    async with client_of(server, era, get_headers=resolver, timeout=30.0) as client:
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("echo_headers", context=ALICE)
        assert watch.seconds == 30
    assert len(server.journal) == 1


@by_era
async def test_the_second_try_after_a_401_counts_too(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, echo_headers)
    async with client_of(server, era, get_headers=Mint(), timeout=20.0) as client:
        await client.open(context=ALICE)
        server.script("tools/call", slow_401)
        server.script("tools/call", slowly)
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("echo_headers", context=ALICE)
        assert watch.seconds == 20
        assert len(server.journal.requests("tools/call")) == 2
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


async def slow_401(request: ReceivedRequest, forward: Forward) -> Answer:
    """Take twelve seconds to refuse."""
    await anyio.sleep(12)
    return Answer(401, {"WWW-Authenticate": "Bearer"})


@by_era
async def test_a_stream_that_goes_on_for_ever_counts_too(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, Tool(ticks), echo_headers)
    async with client_of(server, era, get_headers=Mint(), timeout=30.0) as client:
        watch, heard = Stopwatch(), list[float]()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("ticks", context=ALICE, on_progress=lambda _: heard.append(watch.seconds))
        assert (watch.seconds, heard) == (30, [7, 14, 21, 28])
        [request] = server.journal.requests("tools/call")
        notices = server.journal.requests("notifications/cancelled")
        assert [notice.params["requestId"] for notice in notices] == ([] if era == "modern" else [request.rpc_id])
        assert request.outcome == ("answered" if era == "sse" else "disconnected")  # with 202, at once
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@by_era
async def test_a_slow_handler_counts_too(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, Tool(ticks))

    async def handler(_: object) -> None:
        await anyio.sleep(60)

    async with client_of(server, era, get_headers=Mint(), timeout=30.0) as client:
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("ticks", context=ALICE, on_progress=handler)
        assert watch.seconds == 30


@by_era
async def test_a_call_may_have_a_timeout_of_its_own_or_none(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, Tool(unhurried))
    async with client_of(server, era, get_headers=Mint(), timeout=30.0) as client:
        await client.open(context=ALICE)
        for timeout in (59.0, None, 61.0):
            watch = Stopwatch()
            if timeout == 59.0:
                with pytest.raises(DeadlineExceeded):
                    await client.call_tool("unhurried", context=ALICE, timeout=timeout)
            else:
                assert (await client.call_tool("unhurried", context=ALICE, timeout=timeout)).text == "done"
            assert watch.seconds == (59 if timeout == 59.0 else 60)


@by_era
async def test_a_follower_keeps_its_own_deadline(era: str, autojump_clock: MockClock) -> None:
    """Bob joins the search that Alice's call leads; his time runs out first, hers does not."""
    server = server_of(era, echo_headers)
    server.script(None, slowly)
    seconds: dict[str, float] = {}

    async def call(context: CallContext, timeout: float) -> None:
        watch = Stopwatch()
        try:
            await client.call_tool("echo_headers", context=context, timeout=timeout)
        except DeadlineExceeded:
            seconds[f"{context.principal} was too late"] = watch.seconds
        else:
            seconds[f"{context.principal} was served"] = watch.seconds

    async with client_of(server, era, get_headers=Mint()) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(call, ALICE, 30.0)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call, CallContext(principal=ALICE.principal), 5.0)
    assert seconds == {"acme/alice was served": 12, "acme/alice was too late": 5}


@by_era
async def test_a_leader_that_is_too_late_leaves_the_turn_to_its_followers(era: str, autojump_clock: MockClock) -> None:
    server = server_of(era, echo_headers)
    server.script(None, slowly)
    async with client_of(server, era, get_headers=Mint()) as client, anyio.create_task_group() as tasks:

        async def lead() -> None:
            with pytest.raises(DeadlineExceeded):
                await client.call_tool("echo_headers", context=ALICE, timeout=5)

        async def follow() -> None:
            watch = Stopwatch()
            assert not (await client.call_tool("echo_headers", context=ALICE, timeout=30)).is_error
            assert watch.seconds == 5

        tasks.start_soon(lead)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(follow)
    server.journal.assert_distinct("authorization")


async def test_a_notice_of_cancellation_is_not_waited_for_longer_than_a_goodbye(
    autojump_clock: MockClock,
) -> None:
    server = server_of("handshake", Tool(ticks))
    server.script("notifications/cancelled", never)
    limits = Limits(goodbye=3.0)
    async with client_of(server, "handshake", get_headers=Mint(), limits=limits, timeout=10.0) as client:
        await client.open(context=ALICE)
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("ticks", context=ALICE)
        assert watch.seconds == 13


@pytest.mark.parametrize("hanging", ["resolver", "server"])
async def test_all_goodbyes_together_take_no_longer_than_one_may(hanging: str, autojump_clock: MockClock) -> None:
    server = server_of("handshake", echo_headers)
    server.script("DELETE", never, times=None)

    async def resolver(context: RequestContext) -> None:
        if hanging == "resolver" and context.http_method == "DELETE":
            await anyio.sleep_forever()

    async with client_of(server, "handshake", get_headers=resolver, limits=Limits(goodbye=3.0)) as client:
        for number in range(5):
            await client.open(context=person(f"user-{number}"))
        watch = Stopwatch()
    assert watch.seconds == 3
    assert len(server.journal.requests("DELETE")) == (5 if hanging == "server" else 0)


async def never(request: ReceivedRequest, forward: Forward) -> Answer:
    """Never answer."""
    await anyio.sleep_forever()
    return Answer(500)


async def lingering(request: ReceivedRequest, forward: Forward) -> Answer:
    """Answer in an event stream, and leave it open."""
    answer = await forward(request)

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"data: " + answer.body + b"\n\n"
        await anyio.sleep_forever()

    return Answer.stream(body)


@pytest.mark.parametrize("timeout", [None, 0.1], ids=["no deadline", "a deadline meanwhile"])
async def test_a_response_that_has_answered_and_stays_open_is_hardly_waited_for(
    timeout: float | None, autojump_clock: MockClock
) -> None:
    """A server may keep the stream of an answer open; the call has what it wanted, whatever passes meanwhile."""
    server = server_of("modern", echo_headers)
    server.script("tools/call", lingering)
    async with client_of(server, limits=Limits(drain=0.25)) as client:
        await client.open()
        watch = Stopwatch()
        assert not (await client.call_tool("echo_headers", timeout=timeout)).is_error
        assert watch.seconds == 0.25


async def test_a_response_that_has_answered_and_never_stops_is_hardly_read(autojump_clock: MockClock) -> None:
    server, sent = server_of("modern", echo_headers), list[int]()

    async def chatty(request: ReceivedRequest, forward: Forward) -> Answer:
        answer = await forward(request)

        async def body() -> AsyncGenerator[bytes, None]:
            yield b"data: " + answer.body + b"\n\n"
            for number in range(100):
                sent.append(number)
                yield b": as long as sixty-four bytes, and of no use to anybody at all.\n"

        return Answer.stream(body)

    server.script("tools/call", chatty)
    async with client_of(server, limits=Limits(drain_bytes=256)) as client:
        assert not (await client.call_tool("echo_headers")).is_error
        [call] = server.journal.requests("tools/call")
        assert call.outcome == "disconnected"
    assert len(sent) <= 5


# The farewell of a session that serves one call alone: with new credentials each time, and no principal


@pytest.mark.parametrize("timeout", [None, 10.0, 2.0], ids=["no deadline", "in time", "a deadline meanwhile"])
@pytest.mark.parametrize("hanging", ["server", "resolver"])
async def test_a_known_result_is_returned_though_the_session_cannot_be_ended(
    hanging: str, timeout: float | None, autojump_clock: MockClock
) -> None:
    server, mint = server_of("handshake", echo_headers), Mint()
    server.script("DELETE", never, times=None)

    async def resolver(context: RequestContext) -> dict[str, str]:
        if hanging == "resolver" and context.http_method == "DELETE":
            await anyio.sleep_forever()
        return mint(context)

    async with client_of(server, "handshake", get_headers=resolver, limits=Limits(goodbye=3.0)) as client:
        watch = Stopwatch()
        assert not (await client.call_tool("echo_headers", timeout=timeout)).is_error
        assert watch.seconds == 3
    # Said once: nothing is left to be said when the client closes.
    assert watch.seconds == 3
    assert len(server.journal.requests("DELETE")) == (1 if hanging == "server" else 0)


@pytest.mark.parametrize("ended_by", ["deadline", "cancellation"])
async def test_the_notice_and_the_end_of_a_session_are_one_goodbye(ended_by: str, autojump_clock: MockClock) -> None:
    server = server_of("handshake", Tool(ticks))
    server.script("notifications/cancelled", never, times=None)
    server.script("DELETE", never, times=None)
    async with client_of(server, "handshake", get_headers=Mint(), limits=Limits(goodbye=3.0)) as client:
        watch = Stopwatch()
        if ended_by == "deadline":
            with pytest.raises(DeadlineExceeded):
                await client.call_tool("ticks", timeout=10.0)
        else:
            with anyio.move_on_after(10) as scope:
                await client.call_tool("ticks", timeout=None)
            assert scope.cancelled_caught
        assert watch.seconds == 13
    assert watch.seconds == 13
    assert len(server.journal.requests("notifications/cancelled")) == 1


async def test_a_farewell_is_not_cut_short_by_the_deadline(autojump_clock: MockClock) -> None:
    server = server_of("handshake", echo_headers)

    async def slow_end(request: ReceivedRequest, forward: Forward) -> Answer:
        await anyio.sleep(2)
        return await forward(request)

    server.script("DELETE", slow_end)
    async with client_of(server, "handshake", get_headers=Mint(), limits=Limits(goodbye=3.0)) as client:
        watch = Stopwatch()
        assert not (await client.call_tool("echo_headers", timeout=1.0)).is_error
        assert watch.seconds == 2
    [end] = server.journal.requests("DELETE")
    assert end.status is not None


async def test_a_call_that_waits_for_a_connection_exceeds_its_deadline_by_one_goodbye_at_most(
    autojump_clock: MockClock,
) -> None:
    """Where every connection is taken, the notice has to wait for one too."""
    server = server_of("handshake", echo_headers)
    engine = Narrow(MemoryEngine(server), anyio.Semaphore(1))
    server.script("tools/call", slowly_in_an_hour)
    limits, seconds = Limits(goodbye=3.0), list[float]()
    async with (
        transports.connect("https://mcp.example/mcp", engine=engine, limits=limits, timeout=None) as client,
        anyio.create_task_group() as tasks,
    ):
        await client.open(context=ALICE)
        tasks.start_soon(client.bind(ALICE).call_tool, "echo_headers")
        await anyio.wait_all_tasks_blocked()
        watch = Stopwatch()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("echo_headers", context=ALICE, timeout=10.0)
        seconds.append(watch.seconds)
        tasks.cancel_scope.cancel()
    assert seconds == [13]
    assert len(server.journal.requests("tools/call")) == 1


async def slowly_in_an_hour(request: ReceivedRequest, forward: Forward) -> Answer:
    """Take an hour to answer."""
    await anyio.sleep(3600)
    return await forward(request)


@define(eq=False)
class Narrow:
    """An engine with fewer connections than calls."""

    engine: transports.Engine
    turns: anyio.Semaphore
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        async with self.turns:
            return await self.engine.send(request)

    async def aclose(self) -> None:
        """Nothing to close."""


@by_era
@pytest.mark.parametrize("handler", [None, lambda progress: None])
async def test_progress_renews_a_time_out_that_asks_for_it(era: str, handler: Any, autojump_clock: MockClock) -> None:
    """Up to its longest; and one that does not ask for it, not at all."""
    async with client_of(server_of(era, unhurried, ticks), era) as client:
        await client.open(context=ALICE)

        async def call(tool: str, timeout: Any) -> float:
            """How long it took; negative if it was not enough."""
            watch = Stopwatch()
            try:
                await client.call_tool(tool, context=ALICE, timeout=timeout, on_progress=handler)
            except DeadlineExceeded:
                return -watch.seconds
            return watch.seconds

        assert await call("unhurried", transports.ProgressTimeout(15, at_most=100)) == 60
        assert await call("unhurried", transports.ProgressTimeout(9, at_most=100)) == -9
        assert await call("unhurried", transports.ProgressTimeout(15, at_most=35)) == -35
        assert await call("unhurried", 15) == -15
        assert await call("ticks", transports.ProgressTimeout(8, at_most=50)) == -50


async def test_a_time_out_that_progress_renews_says_how_long_it_was(autojump_clock: MockClock) -> None:
    async with client_of(server_of("modern", ticks, unhurried)) as client:
        for tool, timeout, said in (
            ("unhurried", transports.ProgressTimeout(9, at_most=100), "no answer within 9 s"),
            ("ticks", transports.ProgressTimeout(8, at_most=50), "no answer within 50 s"),
        ):
            with pytest.raises(DeadlineExceeded, match=said):
                await client.call_tool(tool, context=ALICE, timeout=timeout)
        with pytest.raises(DeadlineExceeded, match="no answer within 50 s"):
            await client.request("tools/call", {"name": "ticks"}, timeout=transports.ProgressTimeout(8, at_most=50))


@by_era
async def test_progress_renews_the_time_out_of_reading_and_of_prompts(era: str, autojump_clock: MockClock) -> None:
    async def slow(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
        """Report progress for half a minute, then answer."""
        for step in range(3):
            await anyio.sleep(10)
            await call.progress(step)
        return "done"

    server = server_of(era, resources=[Resource("file:///slow", slow)], prompts=[Prompt(slow)])
    patience, steps = transports.ProgressTimeout(15, at_most=100), list[float]()
    async with client_of(server, era) as client:
        await client.read_resource("file:///slow", context=ALICE, timeout=patience)
        await client.get_prompt(
            "slow", context=ALICE, timeout=patience, on_progress=lambda at: steps.append(at.progress)
        )
        with pytest.raises(DeadlineExceeded, match="no answer within 9 s"):
            await client.get_prompt("slow", context=ALICE, timeout=transports.ProgressTimeout(9, at_most=100))
    assert steps == [0, 1, 2]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, None, "15"])
async def test_a_time_out_that_progress_renews_is_of_positive_seconds(seconds: Any) -> None:
    for arguments, named in (((seconds, 100), "^seconds of"), ((15, seconds), "^at_most of")):
        with pytest.raises(ConfigurationError, match=named):
            transports.ProgressTimeout(*arguments)


async def test_the_longest_is_no_shorter_than_what_progress_renews() -> None:
    with pytest.raises(ConfigurationError, match="no less than its seconds"):
        transports.ProgressTimeout(15, at_most=5)
    assert transports.ProgressTimeout(15, at_most=15).at_most == 15
