"""Tools: plain Python functions that a scripted server offers.

A tool is called with the arguments and with the request that brought them, because what a test wants of a
tool is mostly to report *who asked*.  It may be a plain function, an async function (wait on an
``anyio.Event`` to be slow for as long as a test likes) or an async generator, which is answered with an event
stream: it yields :class:`Progress` and :class:`Send`, and last its result.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from attrs import field, frozen

from .answers import Message
from .requests import ReceivedRequest

Handler: TypeAlias = Callable[[dict[str, Any], ReceivedRequest], Any]
"""A function of the arguments and the request: plain, async, or an async generator."""


@frozen
class Progress:
    """Yield this to report progress: it reaches a client that asked for it, with its own token."""

    progress: float
    total: float | None = None
    message: str | None = None

    def notification(self, token: int | str) -> Message:
        """The ``notifications/progress`` message for the request that brought ``token``."""
        known = {"progress": self.progress, "total": self.total, "message": self.message}
        params: dict[str, Any] = {name: value for name, value in known.items() if value is not None}
        params["progressToken"] = token
        return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


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


async def produced(value: Any) -> AsyncGenerator[Any, None]:
    """Whatever a handler returned, as one sequence of items: a value, something to await, or an async
    generator."""
    if inspect.isasyncgen(value):
        async with aclosing(value) as items:
            async for item in items:
                yield item
    else:
        yield await value if inspect.isawaitable(value) else value


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
