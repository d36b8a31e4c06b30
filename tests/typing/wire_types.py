"""What a type checker knows of the objects of the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from attrs import evolve

from mcpcore import (
    CallToolResult,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    ImageContent,
    ReadResourceResult,
    ResourceContents,
    Root,
    TextContent,
    Tool,
    UnknownContent,
    to_anthropic,
    to_openai,
)


def what_a_block_is(block: ContentBlock) -> None:
    if isinstance(block, TextContent | ImageContent):
        if block.type == "text":
            assert_type(block, TextContent)
        else:
            assert_type(block.decoded(), bytes)
    elif isinstance(block, UnknownContent):
        assert_type(block.raw, dict[str, Any])


def what_is_read(raw: object) -> None:
    result = CallToolResult.from_json(raw)
    assert_type(result, CallToolResult)
    assert_type(result.content, Sequence[ContentBlock])
    assert_type(result.raise_for_error().text, str)
    assert_type(ReadResourceResult.from_json(raw).contents, Sequence[ResourceContents])


def what_is_made(tool: Tool) -> None:
    blocks = [TextContent("a"), TextContent("b")]
    assert_type(CreateMessageResult("assistant", blocks, "model").to_json(), dict[str, Any])
    assert_type(CallToolResult(blocks), CallToolResult)
    assert_type(evolve(tool, title="T"), Tool)
    assert_type(to_openai(tool), dict[str, Any])
    assert_type(to_anthropic(tool, name="t"), dict[str, Any])


def elicit(request: ElicitRequest | ElicitUrlRequest) -> ElicitResult:
    if request.mode == "form":
        assert_type(request, ElicitRequest)
        return ElicitResult.accept(request.defaults())
    assert_type(request, ElicitUrlRequest)
    return ElicitResult.decline()


def sample(request: CreateMessageRequest) -> CreateMessageResult:
    text = "\n".join(message.text for message in request.messages)
    return CreateMessageResult("assistant", TextContent(text), "model", "endTurn")


roots: Sequence[Root] = [Root("file:///a", "a")]
