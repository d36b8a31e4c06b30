"""From a JSON-RPC request to the messages that answer it, whatever the era and whatever carries them.

Handlers differ (plain, async, streaming) and so do the eras that wrap their results, but every request is
answered in one shape: a :class:`~.conversation.Conversation`, notifications first and the response last.  It goes on
in the task of whoever reads it, and ends when that reader leaves: nothing here starts a task.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol

from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Answer, Message, message_event
from .call import Call
from .conversation import Conversation
from .handlers import Handler, NoAnswer, outcome, streams
from .prompts import Completions, Prompts
from .refusals import error_response, error_status
from .requests import ReceivedRequest, as_object
from .resources import Resources
from .rounds import InputRequired
from .tools import Tools


class Dialect(Protocol):
    """What an era makes of a request and of its result."""

    def begin(self, request: ReceivedRequest) -> Call:
        """The call that a handler is given."""
        ...

    def finish(self, request: ReceivedRequest, result: dict[str, Any]) -> dict[str, Any]:
        """The result as it goes out."""
        ...


@define(eq=False, kw_only=True)
class Dispatcher:
    """What a server can do, apart from how it is asked.

    :ivar own: methods that it has of its own, by name; they come before the others.
    """

    tools: Tools
    resources: Resources
    prompts: Prompts
    completions: Completions
    server_info: Message
    instructions: str | None
    stream_always: bool
    own: dict[str, Handler] = field(factory=dict[str, Handler], init=False)

    @property
    def methods(self) -> dict[str, Handler]:
        """All methods, by name."""
        methods = dict(self.tools.methods)
        if self.resources.offers:
            methods |= self.resources.methods
        if self.prompts.offers:
            methods |= self.prompts.methods
        if self.completions.by_reference:
            methods |= self.completions.methods
        return methods | self.own

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the server declares, in every revision."""
        capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}}
        if self.resources.offers:
            capabilities["resources"] = {"listChanged": True, "subscribe": True}
        if self.prompts.offers:
            capabilities["prompts"] = {"listChanged": True}
        if self.completions.by_reference:
            capabilities["completions"] = {}
        return capabilities

    @property
    def description(self) -> dict[str, Any]:
        """What the server says of itself, in both eras."""
        instructions = {} if self.instructions is None else {"instructions": self.instructions}
        return {"capabilities": self.capabilities, **instructions}

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
        return Answer.json(first, error_status(as_object(first.get("error")).get("code", 0)))

    def _streams(self, handler: Handler, request: ReceivedRequest) -> bool:
        calls = handler == self.tools.methods["tools/call"]
        return self.stream_always or streams(handler) or (calls and self.tools.streams(request))

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
        return {"jsonrpc": "2.0", "id": request.rpc_id, "result": dialect.finish(request, result)}


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
