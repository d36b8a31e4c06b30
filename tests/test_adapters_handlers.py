"""Handlers, on both event loops: beside reading, in the caller's context, and never longer than their call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field
from support.adapters import REVISIONS, person, server_of, wired

import mcpcore
import transports
from mcpcore import (
    CallContext,
    CreateMessageResult,
    DeadlineExceeded,
    ElicitResult,
    Handlers,
    LimitExceeded,
    Limits,
    Progress,
    Root,
    RpcError,
    TextContent,
)
from transports.testing import Answer, Call, ReceivedRequest, Server

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")
WAYS = [("memory", "modern"), ("memory", "handshake"), ("memory", "sse"), ("engine", "handshake")]
ASKING = [way for way in WAYS if way[1] != "modern"]
each_way = pytest.mark.parametrize(("carrier", "era"), WAYS)
each_asking = pytest.mark.parametrize(("carrier", "era"), ASKING)
"""Where a server asks while the client reads."""

user: ContextVar[str] = ContextVar("user", default="nobody")


async def where(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
    """Ask for the roots, and tell the first one."""
    try:
        roots = await call.roots()
    except RpcError as error:
        return f"refused: {error.code} {error.message}"
    return str(roots[0]["uri"])


async def hello(arguments: dict[str, Any], request: ReceivedRequest) -> str:
    return f"hello {request.headers.get('x-user')}"


def named(context: CallContext) -> list[Root]:
    return [Root(f"file:///{(context.principal or 'nobody').partition('/')[2]}")]


@asynccontextmanager
async def client_of(
    way: tuple[str, str], handlers: Handlers, *tools: Any, **options: Any
) -> AsyncGenerator[tuple[transports.Client, Server], None]:
    carrier, era = way
    server = server_of(era, *(tools or (where, hello)))
    with anyio.fail_after(20):
        async with (
            wired(server, carrier) as wire,
            wire.connect(era, handlers=handlers, get_headers=lambda c: {"X-User": c.principal or ""}, **options) as c,
        ):
            yield c, server


def replies(server: Server) -> list[Any]:
    """What the client answered to requests of the server's."""
    return [r.json for r in server.journal if isinstance(r.json, dict) and "method" not in r.json]


@each_way
async def test_a_handler_sees_the_callers_context_variables_and_whose_call_it_is(carrier: str, era: str) -> None:
    async def roots(request: None, context: CallContext) -> list[Root]:
        await anyio.lowlevel.checkpoint()
        return [Root(f"file:///{user.get()}/{context.principal}")]

    async with client_of((carrier, era), Handlers(roots=roots)) as (client, _):
        for name, context in (("ann", ALICE), ("ben", BOB)):
            user.set(name)
            assert (await client.call_tool("where", context=context)).text == f"file:///{name}/{context.principal}"


@each_asking
async def test_reading_goes_on_while_a_handler_is_at_work(carrier: str, era: str) -> None:
    """Each of the two waits for the other: the handler for progress, and the one who is told of it for the handler."""
    seen, answered = anyio.Event(), anyio.Event()

    async def roots(request: None, context: CallContext) -> list[Root]:
        await seen.wait()
        answered.set()
        return []

    async def told(progress: Progress) -> None:
        if progress.progress == 3:
            seen.set()
            await answered.wait()

    async def busy(arguments: Any, request: ReceivedRequest, call: Call) -> str:
        await call.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        for number in (1, 2, 3):
            await call.progress(number)
        return "done"

    async with client_of((carrier, era), Handlers(roots=roots), busy) as (client, _):
        assert (await client.call_tool("busy", context=ALICE, on_progress=told)).text == "done"


@each_way
async def test_a_handler_that_refuses(carrier: str, era: str) -> None:
    """In the modern era there is nobody to tell, and so it is the call that is refused."""

    def roots(request: None, context: CallContext) -> list[Root]:
        raise RpcError("not today", code=-1)

    async with client_of((carrier, era), Handlers(roots=roots)) as (client, _):
        if era != "modern":
            assert (await client.call_tool("where", context=ALICE)).text == "refused: -1 not today"
            return
        with pytest.raises(RpcError, match="not today"):
            await client.call_tool("where", context=ALICE)


@each_way
async def test_what_a_handler_raises_ends_the_call_as_it_is_once_the_server_was_told(carrier: str, era: str) -> None:
    failure = KeyError("bare")

    async def roots(request: None, context: CallContext) -> list[Root]:
        await anyio.lowlevel.checkpoint()
        raise failure

    async with client_of((carrier, era), Handlers(roots=roots)) as (client, server):
        with pytest.raises(KeyError) as caught:
            await client.call_tool("where", context=ALICE)
        assert caught.value is failure
        told = [reply["error"] for reply in replies(server)]
        assert told == ([] if era == "modern" else [{"code": -32603, "message": "the client failed to answer"}])
        assert (await client.call_tool("hello", context=ALICE)).text == f"hello {ALICE.principal}"


@each_asking
async def test_a_handler_that_fails_does_not_wait_for_the_server(carrier: str, era: str) -> None:
    async def roots(request: None, context: CallContext) -> list[Root]:
        await anyio.lowlevel.checkpoint()
        raise KeyError

    async def stubborn(arguments: Any, request: ReceivedRequest, call: Call) -> str:
        await call.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        await anyio.sleep_forever()
        return "never"

    async with client_of((carrier, era), Handlers(roots=roots), stubborn) as (client, server):
        with pytest.raises(KeyError):
            await client.call_tool("stubborn", context=ALICE)
        assert len(server.journal.requests("notifications/cancelled")) == 1


class Interruption(BaseException):
    """What ends a program, and is no Exception."""


@each_asking
async def test_what_ends_a_program_comes_out_of_a_handler_as_it_is(carrier: str, era: str) -> None:
    def roots(request: None, context: CallContext) -> list[Root]:
        raise Interruption

    async with client_of((carrier, era), Handlers(roots=roots)) as (client, _):
        with pytest.raises(Interruption):
            await client.call_tool("where", context=ALICE)


@define
class Hanging:
    """A handler that never answers."""

    started: anyio.Event = field(factory=anyio.Event)
    cancelled: anyio.Event = field(factory=anyio.Event)

    async def __call__(self, request: None, context: CallContext) -> list[Root]:
        self.started.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.cancelled.set()
        raise AssertionError


@each_way
async def test_who_cancels_a_call_cancels_its_handlers(carrier: str, era: str) -> None:
    roots = Hanging()
    async with client_of((carrier, era), Handlers(roots=roots)) as (client, server):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def cancel() -> None:
                    await roots.started.wait()
                    scope.cancel()

                tasks.start_soon(cancel)
                await client.call_tool("where", context=ALICE)
        assert scope.cancelled_caught
        assert roots.cancelled.is_set()
        assert replies(server) == []
        assert len(server.journal.requests("notifications/cancelled")) == (era != "modern")
        assert (await client.call_tool("hello", context=ALICE)).text == f"hello {ALICE.principal}"
        assert client.statistics().calls == 0


@each_way
async def test_who_cancels_the_task_of_a_call_does_so_too(carrier: str, era: str, anyio_backend_name: str) -> None:
    """As asyncio has it, which knows nothing of scopes."""
    if anyio_backend_name != "asyncio":
        return
    roots = Hanging()
    async with client_of((carrier, era), Handlers(roots=roots)) as (client, server):
        task = asyncio.create_task(client.call_tool("where", context=ALICE))
        await roots.started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert roots.cancelled.is_set()
        assert replies(server) == []
        assert len(server.journal.requests("notifications/cancelled")) == (era != "modern")


@each_way
async def test_a_deadline_counts_while_a_handler_is_at_work(carrier: str, era: str) -> None:
    roots = Hanging()
    async with client_of((carrier, era), Handlers(roots=roots)) as (client, server):
        await client.open(context=ALICE)
        with pytest.raises(DeadlineExceeded, match=r"tools/call 'where' .*no answer within 0\.2 s"):
            await client.call_tool("where", context=ALICE, timeout=0.2)
        assert roots.cancelled.is_set()
        assert len(server.journal.requests("notifications/cancelled")) == (era != "modern")


@each_asking
async def test_a_server_that_withdraws_its_question_gets_no_answer(carrier: str, era: str) -> None:
    roots = Hanging()

    async def fickle(arguments: Any, request: ReceivedRequest, call: Call) -> str:
        await call.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        await roots.started.wait()
        await call.notify("notifications/cancelled", {"requestId": "q", "reason": "never mind"})
        await roots.cancelled.wait()  # before its answer, which would end the handler as well
        return "done"

    async with client_of((carrier, era), Handlers(roots=roots), fickle) as (client, server):
        assert (await client.call_tool("fickle", context=ALICE)).text == "done"
        assert replies(server) == []


@each_asking
async def test_a_question_that_is_open_when_the_answer_comes_is_dropped(carrier: str, era: str) -> None:
    roots = Hanging()

    async def hasty(arguments: Any, request: ReceivedRequest, call: Call) -> str:
        await call.send({"jsonrpc": "2.0", "id": "q", "method": "roots/list"})
        await roots.started.wait()
        return "done"

    async with client_of((carrier, era), Handlers(roots=roots), hasty) as (client, server):
        assert (await client.call_tool("hasty", context=ALICE)).text == "done"
        assert roots.cancelled.is_set()
        assert replies(server) == []


@each_way
async def test_a_handler_may_use_the_client(carrier: str, era: str) -> None:
    clients: list[transports.Client] = []

    async def roots(request: None, context: CallContext) -> list[Root]:
        result = await clients[0].call_tool("hello", context=BOB)
        return [Root(f"file:///{result.text}")]

    async with client_of((carrier, era), Handlers(roots=roots)) as (client, _):
        clients.append(client)
        assert (await client.call_tool("where", context=ALICE)).text == f"file:///hello {BOB.principal}"


FORM = {"type": "object", "properties": {"who": {"type": "string"}}}


@pytest.mark.parametrize(("carrier", "era"), [("memory", "modern"), ("engine", "handshake")])
async def test_fifty_calls_of_two_people_at_once(carrier: str, era: str) -> None:
    """Each handler answers for its own call, and no request carries what another one was asked or given."""

    async def interview(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
        number, told = arguments["number"], []
        for turn in ("one", "two"):
            answer = await call.elicit(f"{request.headers['x-user']} {number} {turn}", FORM)
            told.append(answer["content"]["who"])
        sampled = await call.sample([{"role": "user", "content": {"type": "text", "text": str(number)}}], 9)
        return "\n".join((*told, sampled["content"]["text"]))

    people, both = set[str | None](), anyio.Event()

    async def elicit(request: Any, context: CallContext) -> ElicitResult:
        assert request.message.startswith(f"{context.principal} {context.input} ")
        people.add(context.principal)
        if len(people) == 2:
            both.set()
        await both.wait()
        return ElicitResult.accept({"who": f"{context.principal} {context.input}"})

    async def sample(request: Any, context: CallContext) -> CreateMessageResult:
        assert request.messages[0].text == str(context.input)
        return CreateMessageResult("assistant", TextContent(f"model {context.input}"), "m")

    handlers = Handlers(elicit=elicit, sample=sample)
    async with client_of((carrier, era), handlers, interview) as (client, server):

        async def call(number: int) -> None:
            principal = (ALICE, BOB)[number % 2].principal
            context = CallContext(principal=principal, input=number)
            result = await client.call_tool("interview", {"number": number}, context=context)
            assert result.text.split("\n") == [f"{principal} {number}"] * 2 + [f"model {number}"]

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
        assert client.statistics().calls == 0
    calls = server.journal.requests("tools/call")
    assert len(calls) == (200 if era == "modern" else 50)
    states: dict[str, set[int]] = {}
    for request in calls:
        if (state := request.params.get("requestState")) is not None:
            states.setdefault(state, set()).add(request.params["arguments"]["number"])
    assert all(len(numbers) == 1 for numbers in states.values())
    assert bool(states) == (era == "modern")


async def test_logs_come_in_order_to_a_handler_that_takes_its_time() -> None:
    seen: list[Any] = []

    async def log(message: mcpcore.LogMessage, context: CallContext) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append((message.data, context.principal))

    async def chatty(arguments: Any, request: ReceivedRequest, call: Call) -> str:
        for number in range(20):
            await call.notify("notifications/message", {"level": "error", "data": number})
        return "done"

    for era in REVISIONS:
        seen.clear()
        server = server_of(era, chatty)
        async with wired(server, "memory") as wire, wire.connect(era, handlers=Handlers(log=log)) as client:
            await client.call_tool("chatty", context=ALICE)
        assert seen == [(number, ALICE.principal) for number in range(20)]


# Lists, page by page.


def paged(pages: int) -> tuple[Server, list[Any]]:
    """A server with two prompts a page, and the cursors that it was asked for."""
    server = server_of("modern")
    asked: list[Any] = []

    async def answer(request: ReceivedRequest, forward: Any) -> Any:
        asked.append(request.params.get("cursor"))
        number = int(asked[-1] or 0)
        prompts = [{"name": f"p{2 * number}"}, {"name": f"p{2 * number + 1}"}] if number != 1 else []
        more = {"nextCursor": str(number + 1)} if number + 1 < pages else {}
        result = {"resultType": "complete", "prompts": prompts, **more}
        message = {"jsonrpc": "2.0", "id": request.rpc_id, "result": result}
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(message).encode())

    server.script("prompts/list", answer, times=None)
    return server, asked


async def test_pages_are_asked_for_as_they_are_needed() -> None:
    server, asked = paged(3)
    async with wired(server, "memory") as wire, wire.connect() as client:
        items = client.iterate(mcpcore.PROMPTS, context=ALICE)
        assert asked == []
        assert [(await anext(items)).name for _ in range(2)] == ["p0", "p1"]
        assert asked == [None]
        assert [prompt.name async for prompt in items] == ["p4", "p5"]
        assert asked == [None, "1", "2"]
        assert [prompt.name async for prompt in items] == []
        assert len(asked) == 3


async def test_there_is_an_end_to_pages() -> None:
    server, asked = paged(9)
    numbers = count()
    async with wired(server, "memory") as wire, wire.connect(limits=Limits(pages=3)) as client:
        with pytest.raises(LimitExceeded, match=r"limits\.pages is 3"):
            async for _ in client.iterate(mcpcore.PROMPTS):
                next(numbers)
    assert (len(asked), next(numbers)) == (3, 4)
