"""The observer sees every request, and nothing that is secret."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from support.adapters import CARRIERS, ERAS, SOCKETS, person, server_of, wired

import transports
from mcpcore import McpError, RequestContext, RequestKind, TransportError, UnauthorizedError
from transports.testing import Answer, Progress, ReceivedRequest, Send, Tool, echo_headers

pytestmark = pytest.mark.anyio

ALICE, BOB = person("alice"), person("bob")

SECRET = "s3cr3t"


def secretive(context: RequestContext) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET}", "X-User-Token": SECRET}


async def asks_back(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Ask the client for something before the result."""
    yield Send({"jsonrpc": "2.0", "id": "server-1", "method": "ping"})
    yield Progress(1)
    yield SECRET


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_it_sees_every_request_and_no_secret(carrier: str, era: str) -> None:
    server, seen = server_of(era, echo_headers, Tool(asks_back)), list[transports.ExchangeSummary]()
    server.script("tools/list", Answer(401, {"WWW-Authenticate": f'Bearer realm="{SECRET}"'}))
    options = {"headers": {"X-Static": SECRET}, "get_headers": secretive, "on_exchange": seen.append}
    async with wired(server, carrier) as wire, wire.connect(era, **options) as client:
        for somebody in (ALICE, BOB):
            await client.list_tools(context=somebody)
            await client.call_tool("asks_back", {"secret": SECRET}, context=somebody)
        await client.call_tool("asks_back", context=ALICE, on_progress=lambda _: None)
    received = [(request.method, request.path, request.status) for request in server.journal]
    told = [(summary.http_method, "/" + summary.url.split("/", 3)[3], summary.status) for summary in seen]
    assert sorted(map(str, told)) == sorted(map(str, received))
    assert SECRET not in repr(seen)
    assert "session" not in repr([summary.url for summary in seen])
    for summary in seen:
        assert summary.principal in ("acme/alice", "acme/bob")
        assert {"x-static", "authorization", "x-user-token"} <= {name.lower() for name in summary.header_names}
        assert summary.error is None
    [refused] = [summary for summary in seen if summary.status == 401]
    assert (refused.rpc_method, refused.attempt) == ("tools/list", 1)
    assert [summary.rpc_method for summary in seen if summary.attempt == 2] == ["tools/list"]
    assert {summary.rpc_name for summary in seen if summary.rpc_method == "tools/call"} == {"asks_back"}


@pytest.mark.parametrize("carrier", SOCKETS)
async def test_it_sees_what_had_no_answer(carrier: str) -> None:
    server, seen, called = server_of("modern", echo_headers), list[transports.ExchangeSummary](), anyio.Event()

    async def hang(request: ReceivedRequest, forward: object) -> Answer:
        called.set()
        await anyio.sleep_forever()
        return Answer()

    async with wired(server, carrier) as wire:
        async with wire.connect(get_headers=secretive, on_exchange=seen.append) as client:
            await client.open(context=ALICE)
            server.script("tools/call", hang)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.bind(ALICE).call_tool, "echo_headers")
                await called.wait()
                tasks.cancel_scope.cancel()
        nowhere = wire.origin.rpartition(":")[0] + ":1/mcp"
        async with transports.connect(
            nowhere, get_headers=secretive, on_exchange=seen.append, **wire.options
        ) as client:
            with pytest.raises(TransportError):
                await client.list_tools(context=BOB)
    discovered, cancelled, refused = seen
    assert (discovered.kind, discovered.status, discovered.error) == (RequestKind.DISCOVER, 200, None)
    assert (cancelled.rpc_name, cancelled.status, cancelled.error) == ("echo_headers", None, None)
    assert (refused.principal, refused.status) == ("acme/bob", None)
    assert isinstance(refused.error, TransportError)
    assert SECRET not in repr(seen) + str(refused.error)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_what_it_raises_ends_that_call_alone(carrier: str, era: str) -> None:
    server = server_of(era, echo_headers)

    def observer(summary: transports.ExchangeSummary) -> None:
        if summary.rpc_method == "tools/call" and summary.principal == "acme/bob":
            raise ZeroDivisionError

    options = {"get_headers": secretive, "on_exchange": observer}
    async with wired(server, carrier) as wire, wire.connect(era, **options) as client:
        for _ in range(2):
            with pytest.raises(ZeroDivisionError):
                await client.call_tool("echo_headers", context=BOB)
            assert not (await client.call_tool("echo_headers", context=ALICE)).is_error


@pytest.mark.parametrize("era", ERAS)
async def test_a_resource_is_told_without_what_its_uri_hides(era: str) -> None:
    server, seen = server_of(era, echo_headers), list[transports.ExchangeSummary]()
    uri = f"https://user:{SECRET}@files.example/report?token={SECRET}#{SECRET}"
    async with wired(server, "memory") as wire, wire.connect(era, on_exchange=seen.append) as client:
        with pytest.raises(McpError) as caught:
            await client.request("resources/read", {"uri": uri}, context=ALICE)
    [told] = [summary for summary in seen if summary.rpc_method == "resources/read"]
    assert told.rpc_name == "https://files.example/report"
    assert SECRET not in repr(seen) + str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("era", ERAS)
async def test_no_secret_in_what_errors_and_clients_say_of_themselves(era: str) -> None:
    server = server_of(era, echo_headers)
    async with wired(server, "memory") as wire:
        client = wire.connect(
            era, auth_token=SECRET, headers={"X-Static": SECRET}, get_headers=lambda _: {"X-Key": SECRET}
        )
        async with client:
            await client.call_tool("echo_headers", context=ALICE)
            server.script("tools/call", Answer(401, {"WWW-Authenticate": f'Bearer realm="{SECRET}"'}))
            with pytest.raises(UnauthorizedError) as caught:
                await client.call_tool("echo_headers", context=ALICE)
            assert SECRET not in f"{caught.value} {caught.value!r} {client!r} {client.bind(ALICE)!r}"
