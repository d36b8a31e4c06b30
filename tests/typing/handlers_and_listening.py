"""What a server asks and tells, as a type checker sees it: handlers, extensions, listening, and lists as one goes."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, assert_type

import transports
from mcpcore import (
    BY_HAND,
    RESOURCES,
    TASKS,
    TOOLS,
    CallContext,
    CreateMessageRequest,
    CreateMessageResult,
    Discovery,
    ElicitRequest,
    ElicitResult,
    Extension,
    GetPromptResult,
    Handlers,
    ListChanged,
    LogMessage,
    ReadResourceResult,
    Resource,
    Root,
    StreamEvent,
    TextContent,
    TextResourceContents,
    Tool,
    Unfinished,
)
from transports import stdio
from transports.opentelemetry import OpenTelemetry


async def ask(request: ElicitRequest, context: CallContext) -> ElicitResult:
    """A handler may be async."""
    return ElicitResult.accept({"for": context.principal or request.message})


def think(request: CreateMessageRequest, context: CallContext) -> CreateMessageResult:
    """And it may be plain."""
    return CreateMessageResult(role="assistant", content=TextContent("x"), model="m")


def roots(request: None, context: CallContext) -> list[Root]:
    """Roots are given by a function, or as they are."""
    return [Root(f"file:///{context.principal}")]


def log(message: LogMessage, context: CallContext) -> None:
    """Messages are for the log alone."""
    print(message.level)


def finish(call: Unfinished, result: dict[str, Any]) -> Generator[Any, Any, dict[str, Any]]:
    """An extension of one's own finishes what only it understands."""
    more: dict[str, Any] = yield from call.request("more", result)
    return more


async def listen() -> None:
    """Events, items and results have the types that they are documented with."""
    handlers = Handlers(elicit=ask, sample=think, roots=roots, log=log)
    extensions = [Extension("com.example/later", results={"later": finish}), TASKS]
    async with transports.connect(
        "https://mcp.example/mcp", handlers=handlers, extensions=extensions, tracing=OpenTelemetry()
    ) as client:
        async with client.listen(tools=True) as events:
            async for event in events:
                assert_type(event, StreamEvent)
                if isinstance(event, ListChanged):
                    print(event.list)
        async for tool in client.iterate(TOOLS):
            assert_type(tool, Tool)
        async for resource in client.iterate(RESOURCES):
            assert_type(resource, Resource)
        assert_type(await client.open(), Discovery)
        unhurried = transports.ProgressTimeout(5.0, at_most=60.0)
        await client.call_tool("dig", timeout=unhurried)
        assert_type(await client.get_prompt("greet", timeout=unhurried, on_progress=print), GetPromptResult)
        read = await client.read_resource("file:///a", timeout=unhurried)
        assert_type(read, ReadResourceResult)
        for part in read.contents:
            if isinstance(part, TextResourceContents):
                print(part.text)


async def by_hand() -> None:
    """A server that is a program takes the same handlers."""
    async with stdio.connect("server", handlers=Handlers(elicit=BY_HAND, roots=[Root("file:///a")])) as client:
        await client.ping()
