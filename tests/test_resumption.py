"""Event streams that break off before the answer, and are taken up (2025-11-25, "Transports", Resumability)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, headers_of, json_reply, message_of, result_reply
from support.stepping import HANDSHAKE, MODERN, URL, initialize_result
from trio.testing import MockClock

import transports
from mcpcore import (
    CallContext,
    CallToolResult,
    Client,
    Complete,
    ElicitRequest,
    ElicitResult,
    ForbiddenError,
    Handlers,
    Limits,
    McpError,
    Operation,
    Progress,
    RemoteProtocolError,
    RequestContext,
    RequestKind,
    SendRequest,
    TransportError,
    UnauthorizedError,
    WaitFor,
)
from transports.engines.memory import MemoryEngine
from transports.testing import Call, ReceivedRequest, Server, serve

CALL_ID = 1
"""The id of the call, which is a client's first."""
STREAM = {"content-type": "text/event-stream"}
CUT = TransportError("cut")
ALICE = CallContext(principal="alice")


def event(event_id: str | None = None, message: object = None, *, retry: int | None = None) -> bytes:
    fields = [] if event_id is None else [f"id: {event_id}"]
    fields += [] if retry is None else [f"retry: {retry}"]
    return "\n".join([*fields, f"data: {'' if message is None else json.dumps(message)}", "", ""]).encode()


def progress(number: int) -> dict[str, Any]:
    params = {"progressToken": CALL_ID, "progress": number}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


def ask(method: str, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": f"ask {method}", "method": method, "params": params}


RESULT = {"jsonrpc": "2.0", "id": CALL_ID, "result": {"content": [{"type": "text", "text": "done"}]}}
DONE = event("end", RESULT)


def stream(*pieces: bytes, broken: bool = True) -> Reply:
    """A stream that breaks off after ``pieces`` or, if not ``broken``, ends there as if that were all."""
    return Reply(200, STREAM, [*pieces, *([CUT] if broken else [])])


@define
class Interrupting:
    """Speaks the handshake era, and answers the call, then each GET, with the next of its answers."""

    answers: list[Answer] = field(converter=list[Answer])
    version: str = HANDSHAKE
    gets: list[SendRequest] = field(factory=list[SendRequest])

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "initialize":
            return result_reply(request, initialize_result(self.version), mcp_session_id="s1")
        if request.method == "GET":
            self.gets.append(request)
        elif request.rpc_method != "tools/call" or "method" not in message_of(request):
            return Reply(202)
        return self.answers.pop(0)

    @property
    def taken_up_after(self) -> list[str]:
        return [headers_of(get)["last-event-id"] for get in self.gets]


def calling(
    server: Callable[[SendRequest], Answer], version: str = HANDSHAKE, **options: Any
) -> tuple[PureDriver, Operation[CallToolResult], list[float]]:
    """A call at ``server``, and the progress that it makes."""
    seen: list[float] = []
    client = Client(URL, protocol_version=version, **options)
    call = client.call_tool("x", context=ALICE, on_progress=lambda progress: seen.append(progress.progress))
    return PureDriver(server), call, seen


def failure(server: Interrupting, **options: Any) -> McpError:
    driver, call, _ = calling(server, **options)
    with pytest.raises(McpError) as failed:
        driver.run(call)
    assert not server.answers
    return failed.value


@pytest.mark.parametrize("broken", [True, False], ids=["broken", "ended"])
def test_wherever_a_stream_breaks_its_messages_arrive_once(broken: bool) -> None:
    events = [event("0"), event(None, progress(1)), event("2", progress(2)), event("3", progress(3)), DONE]
    whole = b"".join(events)
    ends = [len(b"".join(events[: n + 1])) for n in range(len(events))]
    for cut in range(len(whole)):
        received = sum(end <= cut for end in ends)
        # What came after the last event with an id is sent again, as it is by a server that keeps its events.
        known = max((n for n in range(received) if n != 1), default=None)
        rest = [] if known is None else [stream(b"".join(events[known + 1 :]), broken=False)]
        server = Interrupting([stream(whole[:cut], broken=broken), *rest])
        driver, call, seen = calling(server)
        if known is None:
            with pytest.raises(TransportError if broken else RemoteProtocolError):
                driver.run(call)
            assert (server.gets, driver.waited) == ([], [])
        else:
            assert driver.run(call).text == "done"
            assert (server.taken_up_after, driver.waited) == ([["0", "", "2", "3", "end"][known]], [1.0])
            assert seen == ([1, 1, 2, 3] if received == 2 else [1, 2, 3])


@pytest.mark.parametrize(
    ("retry", "limits", "waited"),
    [
        (None, Limits(resume_delay=0.25), [0.25]),
        (1500, Limits(), [1.5]),
        (0, Limits(), [0.05]),
        (2000, Limits(retry=2.0), [2.0]),
        (2001, Limits(retry=2.0), None),
    ],
)
def test_the_server_says_how_long_to_wait(retry: int | None, limits: Limits, waited: list[float] | None) -> None:
    first = stream(event("1", retry=retry))
    if waited is None:
        assert failure(Interrupting([first]), limits=limits) is CUT
        return
    # What it has said holds for the next time, too.
    driver, call, _ = calling(Interrupting([first, stream(), stream(DONE)]), limits=limits)
    assert driver.run(call).text == "done"
    assert driver.waited == waited * 2


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (Reply(404), TransportError),
        (Reply(405), TransportError),
        (Reply(500), TransportError),
        (Reply(401), UnauthorizedError),
        (Reply(403), ForbiddenError),
        (json_reply(RESULT), RemoteProtocolError),
        (stream(b"data: {oops\n\n"), RemoteProtocolError),
    ],
    ids=["404", "405", "500", "401", "403", "json", "garbage"],
)
def test_a_resumption_that_is_refused_ends_the_call(answer: Answer, error_type: type[McpError]) -> None:
    assert type(failure(Interrupting([stream(event("1")), answer]))) is error_type


def test_a_resumption_goes_through_the_pipeline_and_answers_a_challenge() -> None:
    asked: list[RequestContext] = []

    def token(context: RequestContext) -> dict[str, str]:
        asked.append(context)
        return {"Authorization": f"Bearer {len(asked)}"}

    refused = Reply(401, {"www-authenticate": 'Bearer error="invalid_token"'})
    server = Interrupting([stream(event("1")), refused, stream(DONE)])
    driver, call, _ = calling(server, get_headers=token)
    assert driver.run(call).text == "done"
    first, second = server.gets
    assert headers_of(second) == {
        "user-agent": headers_of(first)["user-agent"],
        "accept": "text/event-stream",
        "accept-encoding": "gzip, deflate",
        "mcp-protocol-version": HANDSHAKE,
        "mcp-session-id": "s1",
        "last-event-id": "1",
        "authorization": f"Bearer {len(asked)}",
    }
    assert (second.kind, second.body, second.is_stream) == (RequestKind.RESUME, b"", False)
    assert [(c.kind, c.attempt, c.challenge is None) for c in asked[-2:]] == [
        (RequestKind.RESUME, 1, True),
        (RequestKind.RESUME, 2, False),
    ]
    assert {context.principal for context in asked} == {"alice"}


def test_only_so_many_tries_in_a_row_without_anything_new() -> None:
    limits = Limits(resumptions=2)
    vain: list[Answer] = [CUT, stream(b": nothing\n\n")]
    assert failure(Interrupting([stream(event("1")), *vain]), limits=limits) is CUT
    driver, call, _ = calling(
        Interrupting([stream(event("1")), *vain[:1], stream(event("2")), *vain[:1], stream(DONE)]), limits=limits
    )
    assert driver.run(call).text == "done"
    assert driver.waited == [1.0] * 4


@pytest.mark.parametrize(
    ("event_id", "sent"),
    [
        ("a b/ü→", "a b/ü→".encode()),
        ("x" * 4096, b"x" * 4096),
        ("x" * 4097, None),
        ("", None),
        (" x", None),
        ("x\x01", None),
    ],
    ids=["not ASCII", "long", "too long", "empty", "space before", "control"],
)
def test_an_event_id_is_sent_back_byte_for_byte_or_not_at_all(event_id: str, sent: bytes | None) -> None:
    server = Interrupting([stream(event(event_id)), *([] if sent is None else [stream(DONE)])])
    if sent is None:
        assert failure(server) is CUT
        return
    driver, call, _ = calling(server)
    assert driver.run(call).text == "done"
    assert (b"last-event-id", sent) in server.gets[0].headers
    assert event_id not in repr(server.gets[0])


def test_what_the_server_asks_is_answered_before_and_after_a_break() -> None:
    def elicit(request: ElicitRequest, context: CallContext) -> ElicitResult:
        return ElicitResult.accept({"user": context.principal})

    schema = {"type": "object", "properties": {"user": {"type": "string"}}}
    server = Interrupting(
        [
            stream(event("1", ask("ping"))),
            stream(event("2", ask("elicitation/create", message="?", requestedSchema=schema)), DONE),
        ]
    )
    driver, call, _ = calling(server, handlers=Handlers(elicit=elicit))
    assert driver.run(call).text == "done"
    replies = [request for request in driver.sent if request.kind is RequestKind.RESPONSE]
    assert [message_of(reply)["result"] for reply in replies] == [
        {},
        {"action": "accept", "content": {"user": "alice"}},
    ]
    assert {headers_of(reply)["mcp-session-id"] for reply in replies} == {"s1"}


@pytest.mark.parametrize("command", [WaitFor, SendRequest])
def test_a_call_given_up_while_its_stream_is_down_is_cancelled_at_the_server(command: type[Any]) -> None:
    server = Interrupting([stream(event("1"))])
    driver, call, _ = calling(server)
    bodies: list[Any] = []
    while not (isinstance(now := call.next_command(), command) and driver.sent[-1:] and not server.answers):
        assert not isinstance(now, Complete)
        driver.perform(call, now, bodies)
    assert getattr(now, "kind", None) is (None if command is WaitFor else RequestKind.RESUME)
    farewell = call.cancel()
    assert farewell is not None
    driver.run(farewell)
    assert message_of(driver.sent[-1])["params"]["requestId"] == CALL_ID


@pytest.mark.parametrize("version", [MODERN, "2024-11-05"])
def test_where_the_revision_has_no_resumption_a_break_is_the_end(version: str) -> None:
    server = Interrupting([stream(event("1"))], version)
    assert failure(server, version=version) is CUT
    assert server.gets == []


# On an event loop


async def steps(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
    """Take three steps."""
    for number in range(1, 4):
        await call.progress(number)
    return "done"


@pytest.mark.anyio
@pytest.mark.parametrize("politely", [True, False])
async def test_cut_at_each_event_the_result_arrives_once(politely: bool) -> None:
    server = Server([steps], revisions=[HANDSHAKE], resumable=True, retry=0)
    with anyio.fail_after(20):
        async with serve(server) as served, transports.connect(served.url) as client:
            for events in range(1, 5):
                seen: list[Progress] = []
                server.cut_after(events, politely=politely)
                result = await client.call_tool("steps", on_progress=seen.append)
                assert (result.text, [p.progress for p in seen]) == ("done", [1, 2, 3])
            assert len(server.journal.requests("GET")) == 4
            # Before the first event there is nothing to take it up after.
            server.cut_after(0)
            with pytest.raises(McpError):
                await client.call_tool("steps")


@pytest.mark.trio
async def test_the_pause_that_the_server_wants_is_made(autojump_clock: MockClock) -> None:
    server = Server([steps], revisions=[HANDSHAKE], resumable=True, retry=90_000)
    server.cut_after(1)
    began = trio.current_time()
    async with transports.connect(URL, engine=MemoryEngine(server), timeout=100.0) as client:
        assert (await client.call_tool("steps")).text == "done"
    assert trio.current_time() - began == 90.0


@pytest.mark.anyio
async def test_a_call_can_be_given_up_during_that_pause() -> None:
    server = Server([steps], revisions=[HANDSHAKE], resumable=True, retry=90_000)
    server.cut_after(1)
    with anyio.fail_after(20):
        async with (
            transports.connect(URL, engine=MemoryEngine(server)) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(client.call_tool, "steps")
            await server.journal.wait_for(lambda request: request.outcome == "cut")
            tasks.cancel_scope.cancel()
    [notice] = server.journal.requests("notifications/cancelled")
    [call] = server.journal.requests("tools/call")
    assert notice.params["requestId"] == call.rpc_id
