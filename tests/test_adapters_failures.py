"""When the network fails: which error comes out, what is sent again, and that the client is usable afterwards."""

from __future__ import annotations

import anyio
import pytest
from attrs import define, field
from support.adapters import CARRIERS, ERAS, SOCKETS, Mint, nowhere, person, server_of, wired

import transports
from mcpcore import NotSentError, RemoteProtocolError, SendRequest, TransportError
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, Disconnect, Forward, ReceivedRequest, echo_headers

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")
by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_era = pytest.mark.parametrize("era", ERAS)


@pytest.mark.parametrize("kind", ["http", "sse", "auto"])
@pytest.mark.parametrize("carrier", SOCKETS)
async def test_a_connection_that_is_refused(carrier: str, kind: str) -> None:
    url, mint, server = f"{nowhere()}/mcp", Mint(), server_of("modern")
    async with (
        wired(server, carrier) as wire,
        transports.connect(url, type=kind, get_headers=mint, **wire.options) as client,
    ):
        for _ in range(2):
            with anyio.fail_after(5), pytest.raises(TransportError) as caught:
                await client.list_tools(context=ALICE)
            assert caught.value.server == url
            assert "Bearer" not in str(caught.value)
    # Nobody knows whether a request that could not be delivered might be: it was tried once a call.
    assert len(mint.minted) == 2


@by_era
@by_carrier
async def test_a_connection_that_breaks_before_the_answer(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)

    def cut(request: ReceivedRequest, forward: Forward) -> Answer:
        raise Disconnect

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=Mint()) as client:
        await client.open(context=ALICE)
        server.script("tools/call", cut)
        with anyio.fail_after(5), pytest.raises(TransportError) as caught:
            await client.call_tool("echo_headers", context=ALICE)
        assert caught.value.request == "tools/call 'echo_headers'"
        # The server may have acted on it: it is not sent again by itself.
        assert len(server.journal.requests("tools/call")) == 1
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@pytest.mark.parametrize("after", [0, 1, 40])
@pytest.mark.parametrize("always", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("era", ["modern", "handshake"])
@by_carrier
async def test_a_connection_that_breaks_in_the_middle_of_an_answer(
    carrier: str, era: str, always: bool, after: int
) -> None:
    server = server_of(era, echo_headers, stream_always=always)

    async def torn(request: ReceivedRequest, forward: Forward) -> Answer:
        return (await forward(request)).cut_off(after)

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=Mint()) as client:
        await client.open(context=ALICE)
        server.script("tools/call", torn)
        with anyio.fail_after(5), pytest.raises(TransportError):
            await client.call_tool("echo_headers", context=ALICE)
        assert len(server.journal.requests("tools/call")) == 1
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    server.journal.assert_distinct("authorization")


@by_carrier
async def test_an_event_stream_that_breaks_fails_what_waits_on_it_and_is_opened_again(carrier: str) -> None:
    failures: list[TransportError] = []
    called = anyio.Event()

    async def hang(arguments: object, request: ReceivedRequest) -> str:
        called.set()
        await anyio.sleep_forever()
        return ""

    server = server_of("sse", echo_headers, hang)

    async def call() -> None:
        try:
            await client.call_tool("hang", context=ALICE)
        except TransportError as error:
            failures.append(error)

    async with wired(server, carrier) as wire, wire.connect("sse", get_headers=Mint()) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await called.wait()
                await client.call_tool("echo_headers", context=BOB)
                [stream, _] = server.journal.requests("GET")
                server.expire_sessions()
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    assert [error.message for error in failures] == ["the server ended the event stream"]
    assert stream.outcome == "answered"
    assert len(server.journal.requests("GET")) >= 3


@pytest.mark.parametrize("carrier", SOCKETS)
@by_era
async def test_a_server_that_closes_idle_connections_costs_no_call(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)

    async def parting(request: ReceivedRequest, forward: Forward) -> Answer:
        answer = await forward(request)
        return Answer(answer.status, tuple((k.decode(), v.decode()) for k, v in answer.headers), answer.body, True)

    async with wired(server, carrier) as wire, wire.connect(era, get_headers=Mint()) as client:
        await client.open(context=ALICE)
        server.script("POST", parting, times=None)
        for _ in range(5):
            await anyio.wait_all_tasks_blocked()  # The server has closed by now, and the news has arrived.
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
    calls = server.journal.requests("tools/call")
    assert len(calls) == 5
    assert len({request.connection for request in calls}) == 5


@pytest.mark.parametrize(
    "sent", [b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
@pytest.mark.parametrize("carrier", SOCKETS)
async def test_an_answer_that_is_no_http(carrier: str, sent: bytes) -> None:
    server = server_of("modern", echo_headers)

    def nonsense(request: ReceivedRequest, forward: Forward) -> Answer:
        raise Disconnect(sent=sent)

    async with wired(server, carrier) as wire, wire.connect(get_headers=Mint()) as client:
        await client.open(context=ALICE)
        server.script("tools/call", nonsense)
        with anyio.fail_after(5), pytest.raises((TransportError, RemoteProtocolError)):
            await client.call_tool("echo_headers", context=ALICE)
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@define(eq=False)
class Stale:
    """An engine that finds its kept connection dead, as often as it is told to, for one JSON-RPC method."""

    engine: transports.Engine
    method: str | None
    times: int
    carries_identity = False
    tried: list[SendRequest] = field(factory=list[SendRequest])

    async def send(self, request: SendRequest) -> transports.Response:
        if request.rpc_method == self.method:
            self.tried.append(request)
            if self.times:
                self.times -= 1
                raise NotSentError("the connection was closed")
        return await self.engine.send(request)

    async def aclose(self) -> None:
        raise AssertionError("an engine of the user's is not closed")


METHODS = {
    "modern": ["server/discover", "tools/call"],
    "handshake": ["server/discover", "initialize", "notifications/initialized", "tools/call", None],
    "sse": [None, "initialize", "notifications/initialized", "tools/call"],
}


@pytest.mark.parametrize(("era", "method"), [(era, method) for era in ERAS for method in METHODS[era]])
async def test_what_was_certainly_not_sent_is_sent_once_more_with_headers_of_its_own(
    era: str, method: str | None
) -> None:
    mint, server = Mint(), server_of(era, echo_headers)
    async with anyio.create_task_group() as tasks:
        engine = Stale(MemoryEngine(server, background=tasks), method, 1)
        url = f"https://mcp.example{server.sse_path if era == 'sse' else server.path}"
        async with transports.connect(
            url, type="sse" if era == "sse" else "http", get_headers=mint, engine=engine
        ) as client:
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
        tasks.cancel_scope.cancel()
    first, second = engine.tried
    assert first.body == second.body
    assert dict(first.headers)[b"Authorization"] != dict(second.headers)[b"Authorization"]
    assert [request.attempt for request in engine.tried] == [1, 1]
    server.journal.assert_distinct("authorization")


async def test_what_was_not_sent_twice_is_given_up() -> None:
    mint, server = Mint(), server_of("modern", echo_headers)
    engine = Stale(MemoryEngine(server), "tools/call", 2)
    async with transports.connect("https://mcp.example/mcp", get_headers=mint, engine=engine) as client:
        with pytest.raises(NotSentError):
            await client.call_tool("echo_headers", context=ALICE)
        assert len(engine.tried) == 2
        assert server.journal.requests("tools/call") == []
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@define(eq=False)
class Broken:
    """An engine with a mistake in it."""

    engine: transports.Engine
    broken: bool = False
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        if self.broken:
            raise ZeroDivisionError
        return await self.engine.send(request)

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_a_mistake_in_an_engine_comes_out_as_itself_and_closing_survives_it() -> None:
    server = server_of("handshake", echo_headers)
    engine = Broken(MemoryEngine(server))
    async with transports.connect("https://mcp.example/mcp", get_headers=Mint(), engine=engine) as client:
        await client.open(context=ALICE)
        engine.broken = True
        with pytest.raises(ZeroDivisionError):
            await client.call_tool("echo_headers", context=ALICE)
        engine.broken = False
        assert not (await client.call_tool("echo_headers", context=ALICE)).is_error
        engine.broken = True
    assert server.journal.requests("DELETE") == []
