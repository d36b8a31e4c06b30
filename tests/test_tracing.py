"""Spans: one for each call, with its parent, its end, what may be told of it, and no secret."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import transports
from mcpcore import CallContext, ConfigurationError, HttpStatusError, McpError, RequestContext, RpcError
from transports.engines.memory import MemoryEngine
from transports.opentelemetry import OpenTelemetry
from transports.testing import Answer, RawResult, ReceivedRequest, Server
from transports.tracing import CallTrace

URL = "https://user.example:8443/mcp?key=SECRET-query"
SECRETS = ("SECRET", "Bearer")
ALICE = CallContext(principal="SECRET-principal", request_headers={"x-user": "SECRET-user"})


class Scene:
    """A server, a client of it that is traced, and the spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")
        self.server = Server([search, fail, wait])

    @asynccontextmanager
    async def connected(self, revision: str, **options: Any) -> AsyncIterator[transports.Client]:
        tracing = OpenTelemetry(self.provider)
        settings: dict[str, Any] = {
            "engine": MemoryEngine(self.server),
            "get_headers": credentials,
            "tracing": tracing,
            "protocol_version": revision,
        }
        async with transports.connect(URL, **{**settings, **options}) as client:
            yield client

    def span(self) -> ReadableSpan:
        [span] = self.exporter.get_finished_spans()
        self.exporter.clear()
        return span


def credentials(_: RequestContext) -> dict[str, str]:
    return {"Authorization": "Bearer SECRET-token"}


def search(arguments: dict[str, Any], _: ReceivedRequest) -> str:
    return str(arguments)


def fail(_: dict[str, Any], __: ReceivedRequest) -> RawResult:
    return RawResult({"content": [{"type": "text", "text": "SECRET-failure"}], "isError": True})


async def wait(_: dict[str, Any], __: ReceivedRequest) -> str:
    await anyio.sleep_forever()
    return ""


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    for span in scene.exporter.get_finished_spans():
        assert not [secret for secret in SECRETS if secret in span.to_json()]


@pytest.mark.anyio
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_call_is_one_span_below_the_callers_and_the_servers_parent(scene: Scene, revision: str) -> None:
    async with scene.connected(revision) as client:
        with scene.tracer.start_as_current_span("agent") as parent:
            await client.call_tool("search", {"q": "SECRET-argument"}, context=ALICE)
        span, _ = scene.exporter.get_finished_spans()
    assert (span.name, span.kind, span.status.status_code) == ("tools/call search", SpanKind.CLIENT, StatusCode.UNSET)
    assert span.parent == parent.get_span_context()
    calls = scene.server.journal.requests("tools/call")
    assert dict(span.attributes or {}) == {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": revision,
        "jsonrpc.request.id": str(calls[-1].rpc_id),
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "server.address": "user.example",
        "server.port": 8443,
        "network.transport": "tcp",
        "network.protocol.name": "http",
    }
    assert span.context is not None
    said = f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
    messages = [request for request in scene.server.journal if request.rpc_method]
    assert {request.params["_meta"]["traceparent"] for request in messages} == {said}
    assert {request.headers["traceparent"] for request in messages} == {said}


@pytest.mark.anyio
async def test_baggage_goes_along(scene: Scene) -> None:
    async with scene.connected("2026-07-28") as client:
        token = context.attach(baggage.set_baggage("tenant", "acme"))
        try:
            await client.list_tools()
        finally:
            context.detach(token)
        await client.list_tools()
    first, second = scene.server.journal.requests("tools/list")
    assert first.headers["baggage"] == first.params["_meta"]["baggage"] == "tenant=acme"
    assert "baggage" not in second.headers


@pytest.mark.anyio
async def test_how_a_call_ended_shows(scene: Scene) -> None:
    def shown() -> tuple[str, Any, Any, StatusCode, str | None]:
        span = scene.span()
        attributes = span.attributes or {}
        assert span.events == ()
        code = attributes.get("rpc.response.status_code")
        return span.name, attributes.get("error.type"), code, span.status.status_code, span.status.description

    async with scene.connected("2026-07-28") as client:
        await client.call_tool("fail")
        assert shown() == ("tools/call fail", "tool_error", None, StatusCode.ERROR, None)
        with pytest.raises(RpcError):
            await client.request("no/such", context=ALICE)
        assert shown() == ("no/such", "-32601", "-32601", StatusCode.ERROR, None)
        with pytest.raises(TimeoutError):
            await client.call_tool("wait", timeout=0.01)
        assert shown() == ("tools/call wait", "timeout", None, StatusCode.ERROR, None)
        with anyio.move_on_after(0.01):
            await client.call_tool("wait")
        assert shown() == ("tools/call wait", "cancelled", None, StatusCode.ERROR, None)
        scene.server.script("prompts/get", Answer(status=500))
        with pytest.raises(HttpStatusError):
            await client.request("prompts/get", {"name": "greeting"})
        assert shown() == ("prompts/get greeting", "500", None, StatusCode.ERROR, None)


@pytest.mark.anyio
async def test_a_call_that_never_leaves_is_a_span_too(scene: Scene) -> None:
    def refuses(_: RequestContext) -> dict[str, str]:
        raise ValueError("SECRET-reason")

    async with scene.connected("2026-07-28", get_headers=refuses) as client:
        with pytest.raises(McpError):
            await client.request("resources/read", {"uri": "file:///a?key=SECRET"})
    span = scene.span()
    assert (
        dict(span.attributes or {}).items()
        >= {
            "mcp.resource.uri": "file:///a",
            "error.type": "mcpcore.errors.HeaderResolverError",
        }.items()
    )
    assert span.name == "resources/read"
    assert "jsonrpc.request.id" not in (span.attributes or {})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("revision", "opened", "pinged"),
    [("2025-11-25", "initialize", "ping"), ("2026-07-28", "server/discover", "server/discover")],
)
async def test_what_the_era_decides_is_named_as_it_was_sent(
    scene: Scene, revision: str, opened: str, pinged: str
) -> None:
    async with scene.connected(revision) as client:
        await client.open(context=ALICE)
        assert scene.span().name == opened
        await client.ping(context=ALICE)
        span = scene.span()
    assert (span.name, (span.attributes or {})["mcp.method.name"]) == (pinged, pinged)
    assert (span.attributes or {})["mcp.protocol.version"] == revision


@pytest.mark.anyio
async def test_an_answer_from_the_cache_is_a_span_without_a_request(scene: Scene) -> None:
    scene.server = Server(ttl_ms=60_000)
    async with scene.connected("2026-07-28") as client:
        await client.list_tools(context=ALICE)
        assert "jsonrpc.request.id" in (scene.span().attributes or {})
        await client.list_tools(context=ALICE)
        assert "jsonrpc.request.id" not in (scene.span().attributes or {})


@pytest.mark.anyio
async def test_calls_at_once_stay_apart(scene: Scene) -> None:
    async def call(client: transports.Client, name: str) -> None:
        with scene.tracer.start_as_current_span(name):
            for _ in range(3):
                await client.call_tool("search", {"who": name}, context=CallContext(principal=name))

    async with scene.connected("2026-07-28") as client, anyio.create_task_group() as group:
        for name in "abcde":
            group.start_soon(call, client, name)
    spans = scene.exporter.get_finished_spans()
    roots = {span.name: span.context.trace_id for span in spans if span.parent is None and span.context is not None}
    assert len(spans) == 5 + 15
    for request in scene.server.journal.requests("tools/call"):
        name = request.params["arguments"]["who"]
        assert request.headers["traceparent"].split("-")[1] == f"{roots[name]:032x}"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_server_without_a_host_has_no_address() -> None:
    class Plain:
        name, target = "tools/list", None

    operation: Any = Plain()
    assert CallTrace.of(operation, "a program").server is None
    assert CallTrace.of(operation, "http://a.example/mcp").server == ("a.example", 80)


def test_without_the_library_there_is_no_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match="extra 'opentelemetry'"):
        OpenTelemetry()
