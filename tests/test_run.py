"""The agent run: the tools of many servers on behalf of one user, and no server that spoils it for the others."""

from __future__ import annotations

import json
import logging
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import evolve
from support.adapters import CARRIERS, Mint, nowhere, server_of
from support.runs import ALICE, ERA_OF_KIND, KINDS, hang, names, placed, tools_named

import transports
from mcpcore import (
    CallContext,
    ConfigurationError,
    DeadlineExceeded,
    ForbiddenError,
    HeaderResolverError,
    HttpStatusError,
    LocalProtocolError,
    McpError,
    RedirectError,
    RemoteProtocolError,
    RequestContext,
    RpcError,
    TransportError,
    UnauthorizedError,
)
from transports import Skipped, open_run
from transports.stores import MemoryStore
from transports.testing import Answer, Progress, ReceivedRequest, Server, Tool, echo_headers

pytestmark = pytest.mark.anyio

by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_kind = pytest.mark.parametrize("kind", KINDS)


def user_header(context: RequestContext) -> dict[str, str]:
    return {"X-User": context.request_headers["x-user"]}


class Trouble(Exception):
    """Something in the user's own code."""


# The tools of several servers


@by_kind
@by_carrier
async def test_the_tools_of_all_servers_are_offered_and_each_call_goes_where_its_tool_is(
    carrier: str, kind: str
) -> None:
    era = ERA_OF_KIND[kind]
    one = server_of(era, *tools_named("search", "add", says="one"))
    two = server_of(era, *tools_named("search", "sum", says="two"))
    async with placed(carrier, one=one, two=two) as place, place.run(*place.configs(kind)) as run:
        assert names(run) == ["search", "add", "two__search", "sum"]
        assert [run.server_of(name) for name in names(run)] == ["one", "one", "two", "two"]
        said = [(await run.call_tool(name)).text for name in names(run)]
        assert said == ["one:search", "one:add", "two:search", "two:sum"]
        assert run.skipped == ()
        assert repr(run) == "<Run of one, two>"
    for server, tools in ((one, ["search", "add"]), (two, ["search", "sum"])):
        assert [request.rpc_name for request in server.journal.requests("tools/call")] == tools
        assert len(server.journal.requests("tools/list")) == 1
        assert len(server.journal.requests("DELETE")) == (1 if era == "handshake" else 0)


async def test_a_tool_is_as_the_server_defined_it_but_for_its_name() -> None:
    tools = [Tool(echo_headers, "look", "Look.", {"type": "object", "properties": {}}, {"title": "L", "x": 1})]
    async with placed(one=Server(tools), two=Server(tools)) as place, place.run() as run:
        [first, second] = run.tools
        assert (first.name, second.name) == ("look", "two__look")
        assert evolve(second, name="look") == first
        assert second.raw["name"] == "look"
        assert second.raw["x"] == 1


async def test_a_call_takes_arguments_a_timeout_and_a_listener_for_progress() -> None:
    server, heard = Server(), list[float]()

    @server.tool()
    async def count(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        for number in range(arguments["to"]):
            yield Progress(number + 1)
        yield "done"

    @server.tool()
    async def stall(arguments: dict[str, Any], request: ReceivedRequest) -> None:
        await anyio.sleep_forever()

    async with placed(one=server) as place, place.run() as run:
        result = await run.call_tool("count", {"to": 3}, on_progress=lambda progress: heard.append(progress.progress))
        assert (result.text, heard) == ("done", [1, 2, 3])
        with pytest.raises(DeadlineExceeded):
            await run.call_tool("stall", timeout=0)
        assert (await run.call_tool("count", {"to": 0}, timeout=None)).text == "done"


async def test_a_run_of_no_servers_has_no_tools() -> None:
    async with open_run([], context=ALICE) as run:
        assert (run.tools, run.skipped) == ((), ())


async def test_a_tool_that_there_is_not_is_asked_of_no_server() -> None:
    async with placed(one=Server(tools_named("a"))) as place, place.run() as run:
        for question in (run.call_tool("b"), run.call_tool("one__a")):
            with pytest.raises(LocalProtocolError, match="the run has no tool"):
                await question
        with pytest.raises(LocalProtocolError, match="the run has no tool 'b'"):
            run.server_of("b")
        assert place.servers["one"].journal.requests("tools/call") == []


async def test_a_run_is_opened_once_and_used_while_it_is_open() -> None:
    async with placed(one=Server(tools_named("a"))) as place:
        run = place.run()
        assert (run.tools, run.skipped) == ((), ())
        with pytest.raises(LocalProtocolError, match="the run is not open"):
            await run.call_tool("a")
        async with run:
            await run.call_tool("a")
            with pytest.raises(LocalProtocolError, match="opened once"):
                await run.__aenter__()
            await run.call_tool("a")
        with pytest.raises(LocalProtocolError, match="the run is not open"):
            await run.call_tool("a")


async def test_opening_a_run_sends_nothing_before_it_is_entered() -> None:
    async with placed(one=Server()) as place:
        place.run(*place.configs("http"))
        place.run(*place.configs("auto"))
        assert len(place.servers["one"].journal) == 0


async def test_a_mistake_in_what_all_servers_share_is_raised_at_once() -> None:
    async with placed(one=Server()) as place:
        with pytest.raises(ConfigurationError):
            place.run(digest_key=b"short")


async def test_the_example_that_the_type_checkers_read() -> None:
    example = runpy.run_path(str(Path(__file__).parent / "typing" / "agent_run.py"))
    servers = {"one": Server(tools_named("a", says="one")), "two": Server()}
    refused(401)(servers["two"])
    async with placed(**servers) as place:
        said = await example["use"](place.configs(), place.options["engine"])
        assert said[0] == "one says one:a"
        assert said[1].startswith("two: ")
        assert said[1].endswith("(401) True")
        assert await example["use_in_a_stack"](place.configs(), place.options["engine"]) == 1


# In whose context


@by_carrier
async def test_every_request_of_a_run_is_made_in_its_context(carrier: str) -> None:
    mint, seen = Mint(), list[RequestContext]()

    def see(context: RequestContext) -> None:
        seen.append(context)

    one, two = server_of("handshake", echo_headers), server_of("modern", echo_headers)
    async with placed(carrier, one=one, two=two) as place, place.run(*place.configs(get_headers=[see, mint])) as run:
        for name in names(run):
            await run.call_tool(name)
    goodbyes = [context for context in seen if context.kind.value == "terminate"]
    assert len(goodbyes) == 1
    assert goodbyes[0].principal == ALICE.principal
    for context in seen:
        if context not in goodbyes:
            assert context.principal == ALICE.principal
            assert context.request_headers == ALICE.request_headers
            assert context.user is ALICE.user
            assert context.input is ALICE.input
    for server in (one, two):
        server.journal.assert_distinct("authorization")
        assert all("acme/alice" in request.headers["authorization"] for request in server.journal)
        server.journal.assert_no_leak("s3cret-inbound", "t-1")


async def test_an_inbound_header_goes_only_to_the_server_whose_configuration_says_so() -> None:
    one, two, three = Server(tools_named("a")), Server(tools_named("b")), Server(tools_named("c"))
    async with placed(one=one, two=two, three=three) as place:
        configs = [
            place.config("one", forward=["authorization"]),
            place.config("two", forward=["X-Trace"]),
            place.config("three"),
        ]
        async with place.run(*configs) as run:
            for name in names(run):
                await run.call_tool(name)
    one.journal.assert_every_request_carries("authorization", "Bearer s3cret-inbound")
    one.journal.assert_no_header("x-trace")
    two.journal.assert_every_request_carries("x-trace", "t-1")
    two.journal.assert_no_header("authorization")
    three.journal.assert_no_leak("s3cret-inbound", "t-1")


async def test_what_happens_to_the_callers_mapping_does_not_reach_a_run() -> None:
    headers, server = {"x-user": "alice"}, Server([echo_headers])
    async with placed(one=server) as place:
        context = CallContext(principal="acme/alice", request_headers=headers)
        async with place.run(place.config("one", get_headers=user_header), context=context) as run:
            headers["x-user"] = "bob"
            await run.call_tool("echo_headers")
    server.journal.assert_every_request_carries("x-user", "alice")


async def test_a_run_without_a_context_is_nobodys() -> None:
    seen: list[RequestContext] = []
    async with placed(one=Server(tools_named("a"))) as place:
        config = place.config("one", get_headers=lambda context: seen.append(context))
        async with place.run(config, context=None) as run:
            await run.call_tool("a")
    assert {(context.principal, context.user) for context in seen} == {(None, None)}


@by_carrier
async def test_runs_side_by_side_stay_apart(carrier: str) -> None:
    """They share an engine or a client, and nothing else."""
    servers = {"one": server_of("handshake", echo_headers), "two": server_of("modern", echo_headers)}
    async with placed(carrier, **servers) as place, anyio.create_task_group() as tasks:

        async def one_run(user: str) -> None:
            context = CallContext(principal=user, request_headers={"X-User": user})
            async with place.run(*place.configs(get_headers=user_header), context=context) as run:
                for name in names(run):
                    seen = json.loads((await run.call_tool(name)).text)
                    assert seen["x-user"] == user

        for number in range(6):
            tasks.start_soon(one_run, f"user-{number}")
    for server in servers.values():
        assert len({request.headers["x-user"] for request in server.journal.requests("tools/call")}) == 6


async def test_runs_of_one_principal_can_share_what_they_have_listed() -> None:
    server, store = Server(tools_named("a"), ttl_ms=60_000), MemoryStore()
    async with placed(one=server) as place:
        for principal, lists in (("alice", 1), ("alice", 1), ("bob", 2)):
            context = CallContext(principal=principal)
            async with place.run(context=context, store=store, digest_key=b"k" * 32) as run:
                assert names(run) == ["a"]
                assert (await run.call_tool("a")).text == ":a"
            assert len(server.journal.requests("tools/list")) == lists


# Skipping


def refused(status: int, **headers: str) -> Callable[[Server], object]:
    return lambda server: server.script(None, Answer(status, headers), times=None)


def listing(outcome: Any) -> Callable[[Server], object]:
    """Answer tools/list with a result, or with an error."""

    def list_tools(params: dict[str, Any], request: ReceivedRequest) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return lambda server: server.method("tools/list")(list_tools)


FAULTS: dict[str, tuple[Callable[[Server], object], type[McpError], str]] = {
    "500": (refused(500), HttpStatusError, "500"),
    "503": (refused(503, **{"retry-after": "7"}), HttpStatusError, "7 s"),
    "404": (refused(404), HttpStatusError, "404"),
    "401": (refused(401), UnauthorizedError, "401"),
    "403": (refused(403), ForbiddenError, "403"),
    "redirect": (refused(307, location="https://other.example/?key=s3cret"), RedirectError, "https://other.example/"),
    "slow": (lambda server: server.script(None, hang, times=None), DeadlineExceeded, "within"),
    "slow list": (lambda server: server.script("tools/list", hang, times=None), DeadlineExceeded, "within"),
    "nonsense": (listing({"tools": "none"}), RemoteProtocolError, "tools"),
    "JSON-RPC error": (listing(RpcError("two\nlines", code=-32603)), RpcError, "-32603"),
}


def broken(fault: str, era: str, first: Any = None) -> tuple[Server, type[McpError], str]:
    """A server with a fault, what that comes to, and a word of it; ``first`` is what it does before."""
    spoil, kind, words = FAULTS[fault]
    server = server_of(era, echo_headers)
    if first is not None:
        server.script(None, first)
    spoil(server)
    return server, kind, words


@by_kind
@pytest.mark.parametrize("carrier", ["memory", "engine"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_server_that_cannot_be_used_is_skipped(
    fault: str, carrier: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    era = ERA_OF_KIND[kind]
    bad, error, words = broken(fault, era)
    good = server_of(era, *tools_named("fine", says="good"))
    async with placed(carrier, bad=bad, good=good) as place:
        timeout = 0.05 if fault.startswith("slow") else 20.0
        configs = [place.config("bad", kind, timeout=timeout, auth_token="s3cret"), place.config("good", kind)]
        with anyio.fail_after(20):
            async with place.run(*configs) as run:
                assert names(run) == ["fine"]
                assert (await run.call_tool("fine")).text == "good:fine"
                [skipped] = run.skipped
                server, reason = skipped
                assert (server, reason) == (skipped.server, skipped.reason)
                assert server == "bad"
                assert "two" not in reason  # the server's own words, which may quote what it was sent
                assert reason == str(skipped.error) or isinstance(skipped.error, RpcError)
                assert type(skipped.error) is error
                assert words in reason
                assert place.origins["bad"] in reason
                assert skipped.error.__traceback__ is skipped.error.__cause__ is skipped.error.__context__ is None
    [record] = [record for record in caplog.records if record.name == "transports"]
    assert record.levelno == logging.WARNING
    assert "'bad'" in record.getMessage()
    assert repr(reason) in record.getMessage()
    assert "s3cret" not in caplog.text + reason + repr(skipped)


@by_kind
@pytest.mark.parametrize("carrier", ["memory", "engine"])
async def test_a_server_that_cannot_be_reached_is_skipped(carrier: str, kind: str) -> None:
    era = ERA_OF_KIND[kind]
    async with placed(carrier, good=server_of(era, echo_headers)) as place:
        place.origins["gone"] = "https://gone.example" if carrier == "memory" else nowhere()
        async with place.run(place.config("gone", kind), place.config("good", kind)) as run:
            [skipped] = run.skipped
            assert (skipped.server, type(skipped.error)) == ("gone", TransportError)
            assert names(run) == ["echo_headers"]


@by_kind
async def test_a_server_whose_resolver_fails_is_skipped_and_sent_nothing(kind: str) -> None:
    bad, good = server_of(ERA_OF_KIND[kind], echo_headers), server_of(ERA_OF_KIND[kind], echo_headers)

    def refuse(context: RequestContext) -> None:
        raise Trouble("with s3cret in it")

    async with placed(bad=bad, good=good) as place:
        configs = [place.config("bad", kind, get_headers=refuse), place.config("good", kind)]
        async with place.run(*configs) as run:
            [skipped] = run.skipped
            assert (skipped.server, type(skipped.error)) == ("bad", HeaderResolverError)
            assert "Trouble" in skipped.reason
            assert "s3cret" not in skipped.reason
            assert skipped.error.__cause__ is None
    assert len(bad.journal) == 0


async def test_an_inbound_header_that_cannot_be_sent_costs_the_server_that_wants_it_and_no_other() -> None:
    context = CallContext(principal="mallory", request_headers={"x-note": "two\r\nlines: s3cret"})
    async with placed(one=Server(tools_named("a")), two=Server(tools_named("b"))) as place:
        configs = [place.config("one", forward=["x-note"]), place.config("two")]
        async with place.run(*configs, context=context) as run:
            assert names(run) == ["b"]
            assert [skipped.server for skipped in run.skipped] == ["one"]
            assert "s3cret" not in run.skipped[0].reason
    assert len(place.servers["one"].journal) == 0


@by_kind
@pytest.mark.parametrize("user", [None, "", {}, "alice"], ids=repr)
async def test_a_server_that_requires_a_user_is_sent_nothing_without_one(kind: str, user: Any) -> None:
    era = ERA_OF_KIND[kind]
    servers = {"one": server_of(era, *tools_named("a")), "two": server_of(era, *tools_named("b"))}
    async with placed(**servers) as place:
        configs = [place.config("one", kind, requires_user=True), place.config("two", kind)]
        async with place.run(*configs, context=CallContext(principal="x", user=user)) as run:
            assert names(run) == (["b"] if user is None else ["a", "b"])
            assert list(map(tuple, run.skipped)) == (
                [("one", "the server 'one' requires a user, and the run has none")] if user is None else []
            )
    assert (len(servers["one"].journal) == 0) == (user is None)


async def test_servers_are_listed_as_skipped_in_the_order_given() -> None:
    servers = {name: Server() for name in ("a", "b", "c", "d")}
    refused(503)(servers["a"])
    refused(401)(servers["c"])
    async with placed(**servers) as place:
        configs = [evolve(config, requires_user=config.name == "d") for config in place.configs()]
        async with place.run(*configs, context=CallContext()) as run:
            assert [skipped.server for skipped in run.skipped] == ["a", "c", "d"]


@pytest.mark.parametrize("kind", ["auto", "sse"])
async def test_the_event_stream_of_a_skipped_server_is_closed_while_the_run_goes_on(kind: str) -> None:
    server, good = server_of("sse", echo_headers), server_of("sse", echo_headers)
    listing(RpcError("no", code=1))(server)
    async with placed("engine", one=server, two=good) as place:
        configs = [evolve(place.config(name, "sse"), type=kind) for name in ("one", "two")]
        with anyio.fail_after(20):
            async with place.run(*configs) as run:
                assert [skipped.server for skipped in run.skipped] == ["one"]
                await server.journal.wait_for(
                    lambda request: (request.method, request.outcome) == ("GET", "disconnected")
                )
                assert (await run.call_tool("echo_headers")).is_error is False


def test_a_skipped_server_is_a_pair() -> None:
    skipped = Skipped("one", HttpStatusError("status 503", server="https://one.example/mcp", status=503))
    server, reason = skipped
    assert (server, reason) == ("one", "https://one.example/mcp: status 503")
    assert repr(skipped) == "Skipped(server='one', error=https://one.example/mcp: status 503)"


# Required


@by_kind
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.startswith("slow")])
async def test_a_required_server_that_cannot_be_used_ends_the_run_with_its_error(
    fault: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    era, opened = ERA_OF_KIND[kind], anyio.Event()

    async def listed(request: ReceivedRequest, forward: Any) -> Any:
        answer = await forward(request)
        opened.set()
        return answer

    async def when_the_other_has_listed(request: ReceivedRequest, forward: Any) -> Any:
        await opened.wait()
        return await forward(request)

    good = server_of(era, echo_headers)
    good.script("tools/list", listed)
    bad, error, _ = broken(fault, era, when_the_other_has_listed)
    async with placed(good=good, bad=bad) as place:
        configs = [place.config("good", kind), place.config("bad", kind, required=True)]
        with anyio.fail_after(20), pytest.raises(error) as caught:
            async with place.run(*configs):
                pytest.fail("the body is not reached")
        assert type(caught.value) is error
        if kind == "sse":
            await good.journal.wait_for(lambda request: (request.method, request.outcome) == ("GET", "disconnected"))
    assert len(good.journal.requests("DELETE")) == (0 if kind == "sse" else len(good.journal.requests("initialize")))
    assert caplog.records == []


@by_kind
async def test_a_required_server_that_requires_a_user_needs_one(kind: str) -> None:
    async with placed(one=server_of(ERA_OF_KIND[kind])) as place:
        with pytest.raises(LocalProtocolError, match="requires a user"):
            async with place.run(place.config("one", kind, required=True, requires_user=True), context=CallContext()):
                pytest.fail("the body is not reached")
    assert len(place.servers["one"].journal) == 0


@by_kind
async def test_a_failure_of_the_users_own_code_is_no_servers_and_ends_the_run(kind: str) -> None:
    trouble = Trouble()

    def observer(exchange: transports.ExchangeSummary) -> None:
        if exchange.url.startswith("https://two"):
            raise trouble

    servers = {name: server_of(ERA_OF_KIND[kind], echo_headers) for name in ("one", "two", "three")}
    async with placed(**servers) as place:
        with pytest.raises(Trouble) as caught:
            async with place.run(*place.configs(kind), on_exchange=observer):
                pytest.fail("the body is not reached")
        assert caught.value is trouble
    assert all(len(server.journal.requests("DELETE")) <= 1 for server in servers.values())
