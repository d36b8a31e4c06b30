"""From a JSON-RPC request to the messages that answer it, whatever the era and whatever carries them.

Handlers differ (plain, async, streaming) and so do the eras that wrap their results, but every request is
answered in one shape: a :class:`~.conversation.Conversation`, notifications first and the response last.  It goes on
in the task of whoever reads it, and ends when that reader leaves: nothing here starts a task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol

from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Answer, Disconnect, Message, message_event
from .call import Call
from .conversation import Conversation
from .refusals import INVALID_PARAMS, MISSING_CAPABILITY, error_response
from .requests import ReceivedRequest, as_object
from .rounds import InputRequired
from .tools import Handler, NoAnswer, Tool, outcome, streams, tool_error, tool_name, tool_result


class Dialect(Protocol):
    """What an era makes of a request and of its result."""

    def begin(self, request: ReceivedRequest) -> Call:
        """The call that a handler is given."""
        ...

    def finish(self, method: str, result: dict[str, Any]) -> dict[str, Any]:
        """The result as it goes out."""
        ...


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

    def converse(self, handler: Handler, request: ReceivedRequest, dialect: Dialect) -> Conversation:
        """All that the server says to one request."""
        return Conversation(partial(self._work, handler, dialect.begin(request), dialect))

    async def answer(self, handler: Handler, request: ReceivedRequest, dialect: Dialect) -> Answer:
        """Answer a request on its own response (Streamable HTTP): as an event stream if there is, or may be, more to
        say than the response, else as one JSON object."""
        conversation = self.converse(handler, request, dialect)
        if self._streams(handler, request):
            return Answer.stream(partial(_events, conversation, request))
        first = await conversation.next()
        if first is None or "method" in first:
            return Answer.stream(partial(_events, conversation, request, first))
        missing = as_object(first.get("error")).get("code") == MISSING_CAPABILITY
        return Answer.json(first, 400 if missing else 200)

    def _streams(self, handler: Handler, request: ReceivedRequest) -> bool:
        functions = [handler]
        if handler == self._call_tool:
            tools = self.tools_for(request)
            functions = [tool.function for tool in tools if tool_name(tool) == request.rpc_name]
        return self.stream_always or any(map(streams, functions))

    async def _work(self, handler: Handler, call: Call, dialect: Dialect) -> Message | None:
        """Do what a request asks; return the response."""
        request = call.request
        try:
            result = await outcome(handler, request.params, call)
        except RpcError as error:
            return error_response(request.rpc_id, error.code, error.message, error.data)
        except InputRequired as stop:
            result = stop.result
        except NoAnswer:
            return None
        return {"jsonrpc": "2.0", "id": request.rpc_id, "result": dialect.finish(request.rpc_method or "", result)}

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

    async def _call_tool(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        tool = self.find_tool(request)
        try:
            return tool_result(await outcome(tool.function, as_object(params.get("arguments")), call))
        except (RpcError, Disconnect, NoAnswer):
            raise
        except Exception as error:
            return tool_error(error)


async def _events(
    conversation: Conversation, request: ReceivedRequest, message: Message | None = None
) -> AsyncGenerator[bytes, None]:
    """A conversation as events, ``message`` first."""
    async with aclosing(conversation):
        message = message or await conversation.next()
        while message is not None:
            if "method" not in message:
                # A client may leave as soon as it has read this: the work is done now, not a moment later.
                request.end("answered")
            yield message_event(message)
            message = await conversation.next()
