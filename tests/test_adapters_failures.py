"""When the network fails: which error comes out, what is sent again, and that the client is usable afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import pytest
from attrs import define, field
from support.adapters import CARRIERS, ERAS, LIBRARIES, SOCKETS, Mint, nowhere, person, server_of, tls, wired

import transports
from mcpcore import (
    DeadlineExceeded,
    Limits,
    NotSentError,
    RemoteProtocolError,
    RequestContext,
    RpcError,
    SendRequest,
    TransportError,
)
from transports.engines.memory import MemoryEngine
from transports.testing import (
    Answer,
    Disconnect,
    Forward,
    Progress,
    ReceivedRequest,
    Server,
    Tool,
    echo_headers,
    serve,
)

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


# Farewells: what goes wrong with them is told to the log, and to nobody else


class Trouble(Exception):
    """Something in the user's own code."""


@define(eq=False)
class Faulty:
    """An engine that fails where ``is_faulty`` says so, of a request, with an exception that is not ours."""

    engine: transports.Engine
    is_faulty: Callable[[SendRequest], bool]
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        if self.is_faulty(request):
            raise Trouble
        return await self.engine.send(request)

    async def aclose(self) -> None:
        """Nothing to close."""


def is_farewell(request: SendRequest) -> bool:
    return request.method == "DELETE" or request.rpc_method == "notifications/cancelled"


def fails_to_part(culprit: str, server: Server) -> dict[str, Any]:
    """Options of a client whose farewells all fail, by the fault of one who takes part in them."""
    mint, engine = Mint(), MemoryEngine(server)

    def resolver(context: RequestContext) -> dict[str, str]:
        if context.http_method == "DELETE" or context.rpc_method == "notifications/cancelled":
            raise Trouble
        return mint(context)

    def observer(exchange: transports.ExchangeSummary) -> None:
        if exchange.http_method == "DELETE" or exchange.rpc_method == "notifications/cancelled":
            raise Trouble

    if culprit == "server":
        server.script("DELETE", Answer(500), times=None)
        server.script("notifications/cancelled", Answer(500), times=None)
    return {
        "engine": Faulty(engine, is_farewell) if culprit == "engine" else engine,
        "get_headers": resolver if culprit == "resolver" else mint,
        "on_exchange": observer if culprit == "observer" else None,
    }


by_culprit = pytest.mark.parametrize("culprit", ["server", "resolver", "observer", "engine"])


async def hangs(arguments: object, request: ReceivedRequest) -> Any:
    """Report progress once, and never answer."""
    yield Progress(1)
    await anyio.sleep_forever()


async def fails(arguments: object, request: ReceivedRequest) -> Any:
    """Fail in the protocol's own way."""
    raise RpcError("no", code=-32001)
    yield


@by_culprit
async def test_a_farewell_that_fails_changes_nothing_about_its_call(
    culprit: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of("handshake", echo_headers, Tool(hangs), Tool(fails))
    url = f"https://mcp.example{server.path}"
    options = fails_to_part(culprit, server)
    # Nobody's calls, with new credentials each time: each has a session of its own, to be ended by the call.
    async with transports.connect(url, limits=Limits(goodbye=1.0), **options) as client:
        with anyio.fail_after(10):
            assert not (await client.call_tool("echo_headers")).is_error
            with pytest.raises(RpcError) as failed:
                await client.call_tool("fails")
            assert failed.value.code == -32001
            with pytest.raises(DeadlineExceeded) as late:
                await client.call_tool("hangs", timeout=0.01)
            assert late.value.request == "tools/call 'hangs'"
            with anyio.CancelScope() as scope:
                await client.call_tool("hangs", on_progress=lambda _: scope.cancel(), timeout=None)
            assert scope.cancelled_caught
            trouble = Trouble()

            def handler(_: object) -> None:
                raise trouble

            with pytest.raises(Trouble) as caught:
                await client.call_tool("hangs", on_progress=handler)
            assert caught.value is trouble
    if culprit in ("observer", "engine"):
        assert "the server was not told that a call is over" in caplog.text
    for ended in server.journal.requests("DELETE"):
        assert len(server.journal.requests(lambda other, ended=ended: is_end_of_same_session(other, ended))) == 1


def is_end_of_same_session(one: ReceivedRequest, other: ReceivedRequest) -> bool:
    return one.method == "DELETE" and one.headers["mcp-session-id"] == other.headers["mcp-session-id"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_by_asyncio_says_its_farewell() -> None:
    """asyncio's own cancellation comes once, and is not held back by anyio's shields."""
    server, started = server_of("handshake", Tool(hangs)), asyncio.Event()
    url = f"https://mcp.example{server.path}"
    async with transports.connect(url, engine=MemoryEngine(server), get_headers=Mint()) as client:
        call = asyncio.create_task(client.call_tool("hangs", on_progress=lambda _: started.set(), timeout=None))
        await asyncio.wait_for(started.wait(), 10)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.call_tool("hangs", timeout=None), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await client.call_tool("hangs", timeout=None)
    assert len(server.journal.requests("notifications/cancelled")) == 3
    assert len(server.journal.requests("DELETE")) == 3


# Responses that cannot be closed, or fail in a way that is not ours


@define(eq=False)
class Unclosable:
    """An engine whose responses are closed, and then raise."""

    engine: transports.Engine
    closed: list[str] = field(factory=list[str])
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        return UnclosableResponse(await self.engine.send(request), request.method, self.closed)

    async def aclose(self) -> None:
        """Nothing to close."""


@define(eq=False)
class UnclosableResponse:
    inner: transports.Response
    method: str
    closed: list[str]

    @property
    def status(self) -> int:
        return self.inner.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self.inner.headers

    async def receive(self) -> bytes:
        return await self.inner.receive()

    async def aclose(self) -> None:
        await self.inner.aclose()
        self.closed.append(self.method)
        raise Trouble


@by_era
async def test_a_response_that_cannot_be_closed_is_told_to_the_log_alone(
    era: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of(era, echo_headers, Tool(hangs), Tool(fails))
    async with wired(server, "memory") as wire:
        engine = Unclosable(wire.options["engine"])
        with anyio.fail_after(10):
            async with wire.connect(era, engine=engine, get_headers=Mint()) as client:
                for somebody in (ALICE, BOB):
                    assert not (await client.call_tool("echo_headers", context=somebody)).is_error
                with pytest.raises(RpcError):
                    await client.call_tool("fails", context=ALICE)
                with anyio.CancelScope() as scope:
                    await client.call_tool("hangs", context=ALICE, on_progress=lambda _: scope.cancel())
                assert scope.cancelled_caught
        assert "could not be closed" in caplog.text
        if era == "sse":
            assert engine.closed.count("GET") == 2
            streams = server.journal.requests("GET")
            assert [stream.outcome for stream in streams] == ["disconnected", "disconnected"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_transport_whose_streams_cannot_be_closed(library: str, era: str) -> None:
    """Of the users' own: the library closes the stream at its end, so the call fails, with an error of ours."""
    module = LIBRARIES[library]

    class Stream(module.AsyncByteStream):
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.inner:
                yield piece

        async def aclose(self) -> None:
            await self.inner.aclose()
            raise Trouble

    class Transport(module.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            if request.method == "GET" or b"tools/call" in request.content:
                response.stream = Stream(response.stream)
            return response

    server = server_of(era, echo_headers)
    async with serve(server) as served, module.AsyncClient(transport=Transport(verify=tls())) as own:
        url, kind = (served.sse_url, "sse") if era == "sse" else (served.url, "http")
        with anyio.fail_after(10):
            async with transports.connect(url, type=kind, http_client=own, get_headers=Mint()) as client:
                for somebody in (ALICE, BOB):
                    if era == "sse":
                        # The answer came over the event stream; of the other response nothing was wanted.
                        assert not (await client.call_tool("echo_headers", context=somebody)).is_error
                        continue
                    with pytest.raises(TransportError) as caught:
                        await client.call_tool("echo_headers", context=somebody)
                    assert isinstance(caught.value.__cause__, Trouble)
            if era == "sse":
                await server.journal.wait_for(
                    lambda request: (request.method, request.outcome) == ("GET", "disconnected"), 2
                )


@define(eq=False)
class BrokenStreams:
    """An engine with a mistake in how it reads event streams, once it has been made."""

    engine: transports.Engine
    mistake: anyio.Event
    carries_identity = False

    async def send(self, request: SendRequest) -> transports.Response:
        response = await self.engine.send(request)
        return BrokenStream(response, self.mistake) if request.method == "GET" else response

    async def aclose(self) -> None:
        """Nothing to close."""


@define(eq=False)
class BrokenStream:
    inner: transports.Response
    mistake: anyio.Event

    @property
    def status(self) -> int:
        return self.inner.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return self.inner.headers

    async def receive(self) -> bytes:
        data: list[bytes] = []
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                data.append(await self.inner.receive())
                tasks.cancel_scope.cancel()

            tasks.start_soon(read)
            await self.mistake.wait()
            tasks.cancel_scope.cancel()
        if not data:
            raise Trouble
        return data[0]

    async def aclose(self) -> None:
        await self.inner.aclose()


async def test_a_mistake_in_reading_an_event_stream_fails_what_waits_on_it() -> None:
    mistake, called = anyio.Event(), anyio.Event()
    failures: list[TransportError] = []

    async def hang(arguments: object, request: ReceivedRequest) -> str:
        called.set()
        await anyio.sleep_forever()
        return ""

    async def call() -> None:
        try:
            await client.call_tool("hang", context=ALICE)
        except TransportError as error:
            failures.append(error)

    server = server_of("sse", hang)
    async with wired(server, "memory") as wire:
        engine = BrokenStreams(wire.options["engine"], mistake)
        with anyio.fail_after(10):
            async with wire.connect("sse", engine=engine) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await called.wait()
                mistake.set()
    [failure] = failures
    assert failure.message == "the event stream could not be read"
    assert isinstance(failure.__cause__, Trouble)
