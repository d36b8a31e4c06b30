"""Tools: plain Python functions that a scripted server offers.

A tool is called with the arguments and with the request that brought them, because what a test wants of a
tool is mostly to report *who asked*.  It may be a plain function, an async function (wait on an
``anyio.Event`` to be slow for as long as a test likes) or an async generator, which is answered with an event
stream: it yields :class:`Progress` and :class:`Send`, and last its result.  One with a third parameter is given
the :class:`~transports.testing.Call` too, to say more and to ask its client.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from attrs import field, frozen

from .answers import Message
from .call import Call
from .requests import ReceivedRequest

Handler: TypeAlias = (
    Callable[[dict[str, Any], ReceivedRequest], Any] | Callable[[dict[str, Any], ReceivedRequest, Call], Any]
)
"""A function of the arguments and the request and, if it has a third parameter, the call: plain, async, or an async
generator."""


@frozen
class Progress:
    """Yield this to report progress: it reaches a client that asked for it, with its own token."""

    progress: float
    total: float | None = None
    message: str | None = None


@frozen
class Send:
    """Yield this to send any JSON-RPC message before the result, just as it is."""

    message: Message = field(repr=False)


@frozen
class RawResult:
    """Return this to give a whole ``CallToolResult``, just as it is."""

    result: Mapping[str, Any] = field(repr=False)


@frozen
class Tool:
    """A tool, where a bare function's name and docstring don't say enough.

    :param function: what it does: a function of the arguments and the request.
    :param name: its name; the function's, if left out.
    :param description: what it is for; the first line of the function's docstring, if left out.
    :param input_schema: the JSON Schema of its arguments.
    :param extra: further members of its definition, such as ``outputSchema`` or ``annotations``.
    """

    function: Handler
    name: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(factory=lambda: {"type": "object"})
    extra: Mapping[str, Any] = field(factory=dict[str, Any])

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as ``tools/list`` shows it."""
        description = self.description or (inspect.getdoc(self.function) or "").partition("\n")[0]
        described = {"description": description} if description else {}
        return {"name": tool_name(self), **described, "inputSchema": dict(self.input_schema), **self.extra}


def tool_name(tool: Tool) -> str:
    """The name of ``tool``: the one given, or its function's."""
    return tool.name or str(getattr(tool.function, "__name__", ""))


def streams(function: Handler) -> bool:
    """Whether ``function`` is an async generator, so that its answer is an event stream."""
    return inspect.isasyncgenfunction(function)


class NoAnswer(Exception):
    """A generator ended without a result: there will be no response."""


async def outcome(function: Handler, arguments: dict[str, Any], call: Call) -> Any:
    """Let ``function`` do its work and return what it ends with; what it yields before is said to the client."""
    given = (arguments, call.request, call)
    value = cast("Callable[..., Any]", function)(*given[: 3 if _takes_call(function) else 2])
    if not inspect.isasyncgen(value):
        return await value if inspect.isawaitable(value) else value
    async with aclosing(value) as items:
        async for item in items:
            if isinstance(item, Progress):
                await call.progress(item.progress, item.total, item.message)
            elif isinstance(item, Send):
                await call.send(item.message)
            else:
                return item
    raise NoAnswer


def _takes_call(function: Handler) -> bool:
    """Whether ``function`` has a third parameter that must be given; one with a default is its own
    affair."""
    parameters = list(inspect.signature(function).parameters.values())
    return len(parameters) > 2 and parameters[2].default is inspect.Parameter.empty


def tool_result(value: Any) -> dict[str, Any]:
    """What a tool returned, as a ``CallToolResult``: text, or JSON as text and, if it is an object, as
    structured content."""
    if isinstance(value, RawResult):
        return dict(value.result)
    text = value if isinstance(value, str) else json.dumps(value)
    extra = {"structuredContent": value} if isinstance(cast("object", value), dict) else {}
    return {"content": [{"type": "text", "text": text}], **extra, "isError": False}


def tool_error(error: Exception) -> dict[str, Any]:
    """What a tool that raised returns (server/tools, Error Handling, 2026-07-28)."""
    return {"content": [{"type": "text", "text": str(error) or type(error).__name__}], "isError": True}


def echo_headers(arguments: dict[str, Any], request: ReceivedRequest) -> dict[str, str]:
    """Return the headers that this very request carried."""
    return dict(request.headers)
