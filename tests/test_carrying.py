"""What a call spends for a token is not lost with the call; and where a discovered host is, is looked up first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest
import trio
from attrs import define, field
from support.adapters import CARRIERS, person, server_of
from support.authorization import REDIRECT
from support.guarded import ISSUER, MCP_ORIGIN, Guarded, WallClock, at_once, guarded
from trio.testing import MockClock

from mcpcore import (
    AuthorizationCode,
    AuthorizationRequest,
    DeadlineExceeded,
    LimitExceeded,
    Limits,
    McpError,
    OAuthError,
    SendRequest,
    TransportError,
)
from transports.engines.base import LooksUp
from transports.engines.memory import MemoryEngine, MemoryResponse
from transports.testing import Answer, Server, echo_headers

pytestmark = pytest.mark.timeout(30)

ALICE = person("alice")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The clock on the clients' wall."""
    return WallClock.installed(monkeypatch)


# Whoever gives up


@pytest.mark.anyio
@pytest.mark.parametrize("spent", ["code", "refresh token"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_token_that_is_on_its_way_to_a_cancelled_call_is_kept_for_the_next(
    carrier: str, spent: str, clock: WallClock
) -> None:
    on_its_way, may_arrive, is_over = anyio.Event(), anyio.Event(), anyio.Event()
    scope = anyio.CancelScope()

    async def slowly(answer: Answer) -> Answer:
        on_its_way.set()
        await may_arrive.wait()
        return answer

    async def give_up() -> None:
        with scope:
            await client.call_tool("echo_headers", context=ALICE)
        is_over.set()

    async def call() -> None:
        await client.call_tool("echo_headers", context=ALICE)

    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        expected = ["authorization_code"]
        if spent == "refresh token":
            await call()
            clock.pass_(1000)
            expected.append("refresh_token")
        place.hold = slowly
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(give_up)
            await on_its_way.wait()
            tasks.start_soon(call)
            scope.cancel()
            await anyio.wait_all_tasks_blocked()
            assert not is_over.is_set()
            may_arrive.set()
            await is_over.wait()
            assert scope.cancelled_caught
        await call()
        assert place.asked == expected
        assert place.logins == [ALICE.principal]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("how", ["once", "twice", "timeout"])
@pytest.mark.parametrize("verb", ["open", "log_in"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_so_is_one_on_its_way_to_a_task_that_asyncio_cancels(carrier: str, verb: str, how: str) -> None:
    on_its_way, may_arrive, patience = asyncio.Event(), asyncio.Event(), asyncio.timeout(None)

    async def slowly(answer: Answer) -> Answer:
        on_its_way.set()
        await may_arrive.wait()
        return answer

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with patience:
                await getattr(client, verb)(context=ALICE)
        # Nothing of the cancellation is left behind.
        await asyncio.sleep(0)

    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        place.hold = slowly
        task = asyncio.create_task(give_up())
        await on_its_way.wait()
        for _ in range(2 if how == "twice" else 1):
            if how == "timeout":
                patience.reschedule(0)
            else:
                task.cancel()
            await anyio.wait_all_tasks_blocked()
        assert not task.done()
        may_arrive.set()
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, type(None) if how == "timeout" else asyncio.CancelledError)
        await client.call_tool("echo_headers", context=ALICE)
        assert place.asked == ["authorization_code"]
        assert place.logins == [ALICE.principal]


@define
class Drawer:
    """A token store that takes its time, and as long as it likes to keep something."""

    held: dict[str, str] = field(factory=dict[str, str])
    before: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint

    async def get(self, key: str) -> str | None:
        await anyio.lowlevel.checkpoint()
        return self.held.get(key)

    async def put(self, key: str, value: str) -> None:
        await self.before()
        self.held[key] = value

    async def delete(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.held.pop(key, None)


@pytest.mark.anyio
async def test_what_a_cancelled_call_got_is_stored_for_the_next_process(clock: WallClock) -> None:
    store, scope = Drawer(), anyio.CancelScope()

    async def give_up(answer: Answer) -> Answer:
        scope.cancel()
        return answer

    async with guarded(server_of("modern", echo_headers), "memory") as place:
        async with place.connect(auth=place.provider(store=store)) as client:
            await client.call_tool("echo_headers", context=ALICE)
            clock.pass_(1000)
            place.hold = give_up
            with scope:
                await client.call_tool("echo_headers", context=ALICE)
            assert scope.cancelled_caught
        place.hold = at_once
        async with place.connect(auth=place.provider(store=store)) as client:
            await client.call_tool("echo_headers", context=ALICE)
        assert place.asked == ["authorization_code", "refresh_token"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_so_is_what_came_for_a_task_that_asyncio_cancels(clock: WallClock) -> None:
    async def cancel(answer: Answer) -> Answer:
        task.cancel()
        return answer

    async def call(place: Guarded) -> None:
        async with place.connect(auth=place.provider(store=store)) as client:
            await client.call_tool("echo_headers", context=ALICE)

    store = Drawer()
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        await call(place)
        clock.pass_(1000)
        place.hold = cancel
        task = asyncio.create_task(call(place))
        [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, asyncio.CancelledError)
        place.hold = at_once
        await call(place)
        assert place.asked == ["authorization_code", "refresh_token"]


@pytest.mark.trio
async def test_a_store_that_hangs_while_it_keeps_a_token_is_given_up(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        store = Drawer(before=anyio.sleep_forever)
        async with place.connect(auth=place.provider(store=store), limits=Limits(token_request=2)) as client:
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    assert store.held == {}
    assert {record.message for record in caplog.records} == {"the token store failed: TimeoutError"}


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_a_call_that_is_cancelled_before_asks_for_no_token(carrier: str) -> None:
    scope = anyio.CancelScope()

    def handler(request: AuthorizationRequest) -> str:
        scope.cancel()
        return place.log_in(request)

    async with guarded(server_of("modern", echo_headers), carrier) as place:
        auth = place.provider(AuthorizationCode(handler, redirect_uri=REDIRECT))
        async with place.connect(auth=auth) as client:
            with scope:
                await client.call_tool("echo_headers", context=ALICE)
            assert scope.cancelled_caught
            assert place.asked == []
            await client.call_tool("echo_headers", context=ALICE)
            assert place.asked == ["authorization_code"]


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_what_can_be_asked_again_is_given_up_with_its_call(carrier: str) -> None:
    asked, scope = anyio.Event(), anyio.CancelScope()

    async def never(answer: Answer) -> Answer:
        asked.set()
        return await no_answer(answer)

    async def call() -> None:
        with scope:
            await client.call_tool("echo_headers", context=ALICE)

    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        place.held, place.hold = "/register", never
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await asked.wait()
                scope.cancel()
        assert scope.cancelled_caught


@pytest.mark.trio
async def test_a_call_that_is_out_of_time_waits_for_its_token_and_for_nothing_more(autojump_clock: MockClock) -> None:
    async def slowly(answer: Answer) -> Answer:
        await anyio.sleep(8)
        return answer

    async with guarded(server_of("modern", echo_headers), "memory") as place, place.connect() as client:
        place.hold = slowly
        with pytest.raises(DeadlineExceeded, match="5 s"):
            await client.call_tool("echo_headers", context=ALICE, timeout=5)
        assert trio.current_time() == pytest.approx(8, abs=0.5)
        assert [name for name, _ in place.seen] == ["server/discover"]
        await client.call_tool("echo_headers", context=ALICE, timeout=5)
        assert place.asked == ["authorization_code"]


# How long that may take


async def no_answer(answer: Answer) -> Answer:
    await anyio.sleep_forever()
    raise AssertionError("not reached")


async def no_body(answer: Answer) -> Answer:
    return Answer(answer.status, {"content-type": "application/json"}, _drops)


async def _drops() -> AsyncGenerator[bytes, None]:
    """A body of which a byte comes every three seconds."""
    while True:
        yield b" "
        await anyio.sleep(3)


@pytest.mark.trio
@pytest.mark.parametrize("timeout", [None, 60])
@pytest.mark.parametrize("hold", [no_answer, no_body])
async def test_a_token_that_takes_too_long_is_given_up(
    hold: Any, timeout: float | None, autojump_clock: MockClock
) -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        place.hold = hold
        async with place.connect(limits=Limits(token_request=6.5)) as client:
            with pytest.raises(TransportError, match=r"too long to answer \(limits.token_request\)") as caught:
                await client.call_tool("echo_headers", context=ALICE, timeout=timeout)
            assert caught.value.server == f"{ISSUER}/token"
            assert trio.current_time() == pytest.approx(6.5, abs=0.5)
            assert place.authority.journal[-1].outcome == "disconnected"
            place.hold = at_once
            await client.call_tool("echo_headers", context=ALICE)


@pytest.mark.trio
@pytest.mark.parametrize("hold", [no_answer, no_body])
async def test_a_call_whose_own_time_is_over_by_then_says_so(hold: Any, autojump_clock: MockClock) -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        place.hold = hold
        async with place.connect(limits=Limits(token_request=6.5)) as client:
            with pytest.raises(DeadlineExceeded, match="4 s"):
                await client.call_tool("echo_headers", context=ALICE, timeout=4)
            assert trio.current_time() == pytest.approx(6.5, abs=0.5)


@pytest.mark.trio
async def test_keeping_a_token_takes_no_longer_than_asking_for_it_may(autojump_clock: MockClock) -> None:
    async def slowly(answer: Answer) -> Answer:
        await anyio.sleep(5)
        return answer

    async with guarded(server_of("modern", echo_headers), "memory") as place:
        place.hold = slowly
        auth = place.provider(store=Drawer(before=anyio.sleep_forever))
        async with place.connect(auth=auth, limits=Limits(token_request=8)) as client:
            with pytest.raises(DeadlineExceeded, match="1 s"):
                await client.call_tool("echo_headers", context=ALICE, timeout=1)
            assert trio.current_time() == pytest.approx(8, abs=0.5)
            await client.call_tool("echo_headers", context=ALICE)
        assert place.asked == ["authorization_code"]


async def no_end(answer: Answer) -> Answer:
    return Answer(answer.status, {"content-type": "application/json"}, _floods)


async def _floods() -> AsyncGenerator[bytes, None]:
    """A body that is longer than any token, and not yet complete."""
    yield b" " * (Limits().oauth_bytes + 1)
    await anyio.sleep_forever()


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_an_answer_that_is_of_no_use_is_not_read_to_its_end(carrier: str) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        place.hold = no_end
        with pytest.raises(LimitExceeded, match="oauth_bytes"):
            await client.call_tool("echo_headers", context=ALICE)
        with anyio.fail_after(10):
            await place.authority.journal.wait_for(lambda request: request.outcome == "disconnected")


# Where it goes


class Locating(MemoryEngine):
    """An engine that knows where hosts are, or why that cannot be known."""

    def __init__(self, servers: Mapping[str, Server], found: Mapping[str, Sequence[str] | McpError]) -> None:
        super().__init__(servers)
        self.found = found
        self.sent: list[SendRequest] = []

    async def look_up(self, host: str) -> Sequence[str]:
        found = self.found[host]
        if isinstance(found, McpError):
            raise found
        return found

    async def send(self, request: SendRequest) -> MemoryResponse:
        self.sent.append(request)
        return await super().send(request)


PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
UNKNOWN = TransportError("could not connect: the host's name could not be looked up")
NOT_ASKED: list[tuple[Mapping[str, Sequence[str] | McpError], type[McpError], str]] = [
    ({"login.example": UNKNOWN}, TransportError, "could not be looked up"),
    ({"login.example": ("192.168.1.1",), "mcp.example": UNKNOWN}, TransportError, "could not be looked up"),
    ({"login.example": ("192.168.1.1",), "mcp.example": PUBLIC}, OAuthError, "private address"),
    ({"login.example": (*PUBLIC, "169.254.169.254"), "mcp.example": PUBLIC}, OAuthError, "metadata service address"),
]


def located(place: Guarded, found: Mapping[str, Sequence[str] | McpError]) -> Locating:
    return Locating({MCP_ORIGIN: place.server, ISSUER: place.authority}, found)


@pytest.mark.anyio
@pytest.mark.parametrize(("found", "kind", "why"), NOT_ASKED)
async def test_an_authorization_server_that_must_not_be_asked_is_sent_nothing(
    found: Mapping[str, Sequence[str] | McpError], kind: type[McpError], why: str
) -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        client = place.connect(engine=located(place, found))
        async with client:
            with pytest.raises(McpError, match=why) as caught:
                await client.call_tool("echo_headers", context=ALICE)
    assert type(caught.value) is kind
    assert len(place.authority.journal) == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "found",
    [
        {"login.example": PUBLIC},
        {"login.example": ("10.0.0.7",), "mcp.example": ("10.0.0.8",)},
        {"login.example": ()},
    ],
)
async def test_one_that_may_be_asked_is_asked_at_the_addresses_that_were_looked_at(
    found: Mapping[str, Sequence[str]],
) -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        engine = located(place, found)
        async with place.connect(engine=engine) as client:
            await client.call_tool("echo_headers", context=ALICE)
    to_others = {request.addresses for request in engine.sent if request.url.startswith(ISSUER)}
    assert to_others == {tuple(found["login.example"])}
    assert {request.addresses for request in engine.sent if request.url.startswith(MCP_ORIGIN)} == {()}


@pytest.mark.anyio
async def test_where_the_engine_cannot_tell_the_host_is_asked_by_its_name() -> None:
    async with guarded(server_of("modern", echo_headers), "memory") as place:
        assert not isinstance(place.options["engine"], LooksUp)
        async with place.connect() as client:
            await client.call_tool("echo_headers", context=ALICE)
    assert place.asked == ["authorization_code"]
