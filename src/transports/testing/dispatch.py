"""From a JSON-RPC request to the messages that answer it, whatever the era and whatever carries them.

Handlers differ (plain, async, streaming) and so do the eras that wrap their results, but every request is
answered in one shape: an async generator of messages, notifications first and the response last.  It runs in
the task of whoever reads it, and ends when that reader leaves: nothing here starts a task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeAlias

from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Answer, Disconnect, Message, message_event
from .refusals import INVALID_PARAMS, error_response
from .requests import ReceivedRequest, as_object
from .tools import Handler, Progress, Send, Tool, produced, streams, tool_error, tool_name, tool_result

Finish: TypeAlias = Callable[[str, dict[str, Any]], dict[str, Any]]
"""What an era makes of a method's result."""


@define(eq=False, kw_only=True)
class Dispatcher:
    """What a server can do, apart from how it is asked: its methods, among them ``tools/list`` and
    ``tools/call``."""

    tools_for: Callable[[ReceivedRequest], Iterable[Tool]]
    page_size: int | None
    server_info: Message
    instructions: str | None
    stream_always: bool
    methods: dict[str, Handler] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.methods = {"tools/list": self._list_tools, "tools/call": self._call_tool}

    @property
    def description(self) -> dict[str, Any]:
        """What the server says of itself, in both eras."""
        instructions = {} if self.instructions is None else {"instructions": self.instructions}
        return {"capabilities": {"tools": {}}, **instructions}

    def find_tool(self, request: ReceivedRequest) -> Tool:
        """The tool that a ``tools/call`` names, if this caller may see it."""
        for tool in self.tools_for(request):
            if tool_name(tool) == request.rpc_name:
                return tool
        raise RpcError(f"Unknown tool: {request.rpc_name}", code=INVALID_PARAMS)

    def streams(self, handler: Handler, request: ReceivedRequest) -> bool:
        """Whether the answer is an event stream."""
        functions = [handler]
        if handler == self._call_tool:
            tools = self.tools_for(request)
            functions = [tool.function for tool in tools if tool_name(tool) == request.rpc_name]
        return self.stream_always or any(map(streams, functions))

    async def messages(
        self, handler: Handler, request: ReceivedRequest, finish: Finish
    ) -> AsyncGenerator[Message, None]:
        """All that the server says to one request: notifications, then the response."""
        token = as_object(request.params.get("_meta")).get("progressToken")
        try:
            async with aclosing(produced(handler(request.params, request))) as items:
                async for item in items:
                    if isinstance(item, Send):
                        yield item.message
                    elif not isinstance(item, Progress):
                        result = finish(request.rpc_method or "", item)
                        yield {"jsonrpc": "2.0", "id": request.rpc_id, "result": result}
                        return
                    elif token is not None:
                        yield item.notification(token)
        except RpcError as error:
            yield error_response(request.rpc_id, error.code, error.message, error.data)

    async def answer(self, handler: Handler, request: ReceivedRequest, finish: Finish) -> Answer:
        """Answer a request on its own response (Streamable HTTP): as an event stream, or as one JSON
        object."""
        if self.streams(handler, request):
            return Answer.stream(partial(self._events, handler, request, finish))
        async with aclosing(self.messages(handler, request, finish)) as messages:
            return Answer.json([message async for message in messages][-1])

    async def _events(self, handler: Handler, request: ReceivedRequest, finish: Finish) -> AsyncGenerator[bytes, None]:
        async with aclosing(self.messages(handler, request, finish)) as messages:
            async for message in messages:
                if "method" not in message:
                    # A client may leave as soon as it has read this: the work is done now, not a moment later.
                    request.end("answered")
                yield message_event(message)

    def _list_tools(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        tools = [tool.definition for tool in self.tools_for(request)]
        if self.page_size is None:
            return {"tools": tools}
        cursor = params.get("cursor", "0")
        if not (isinstance(cursor, str) and cursor.isdecimal()):
            raise RpcError("Invalid cursor", code=INVALID_PARAMS)
        end = int(cursor) + self.page_size
        following = {"nextCursor": str(end)} if end < len(tools) else {}
        return {"tools": tools[int(cursor) : end], **following}

    async def _call_tool(self, params: dict[str, Any], request: ReceivedRequest) -> AsyncGenerator[Any, None]:
        tool = self.find_tool(request)
        arguments = as_object(params.get("arguments"))
        try:
            async with aclosing(produced(tool.function(arguments, request))) as items:
                async for item in items:
                    yield item if isinstance(item, Progress | Send) else tool_result(item)
        except (RpcError, Disconnect):
            raise
        except Exception as error:
            yield tool_error(error)
