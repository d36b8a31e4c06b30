"""Tools: functions that a scripted server offers by name.

What a tool ends with becomes a result: text becomes text; a dict becomes text and structured content; an exception
becomes a result that says so, which a model may read and try again.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, cast

from attrs import define, field, frozen

from mcpcore.errors import RpcError

from .answers import Disconnect
from .call import Call
from .handlers import Handler, NoAnswer, RawResult, outcome, streams
from .offers import Offers, page
from .refusals import INVALID_PARAMS
from .requests import ReceivedRequest, as_object


@frozen
class Tool:
    """A tool, where a bare function's name and docstring don't say enough.

    :param function: what it does: a function of the arguments and the request.
    :param name: its name; the function's, if left out.
    :param description: what it is for; the first line of the function's docstring, if left out.
    :param input_schema: the JSON Schema of its arguments.
    :param extra: further members of its definition, such as ``outputSchema`` or ``annotations``.
    :param task: answer with a task, if the client speaks of tasks (the modern era's tasks extension).
    """

    function: Handler
    name: str = ""
    description: str = ""
    input_schema: Mapping[str, Any] = field(factory=lambda: {"type": "object"})
    extra: Mapping[str, Any] = field(factory=dict[str, Any])
    task: bool = False

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as ``tools/list`` shows it."""
        description = self.description or (inspect.getdoc(self.function) or "").partition("\n")[0]
        described = {"description": description} if description else {}
        return {"name": tool_name(self), **described, "inputSchema": dict(self.input_schema), **self.extra}


@define(eq=False)
class Tools:
    """The tools of a server, and the methods that are about them."""

    offers: Offers[Tool]
    page_size: int | None

    @property
    def methods(self) -> dict[str, Handler]:
        """The methods, by name."""
        return {"tools/list": self._list, "tools/call": self._call}

    def find(self, request: ReceivedRequest) -> Tool:
        """The tool that a ``tools/call`` names, if this caller may see it."""
        for tool in self.offers.visible(request):
            if tool_name(tool) == request.rpc_name:
                return tool
        raise RpcError(f"Unknown tool: {request.rpc_name}", code=INVALID_PARAMS)

    def streams(self, request: ReceivedRequest) -> bool:
        """Whether a ``tools/call`` names a tool that yields what it says."""
        tools = self.offers.visible(request)
        return any(streams(tool.function) for tool in tools if tool_name(tool) == request.rpc_name)

    def _list(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        found = [tool.definition for tool in self.offers.visible(request)]
        return page("tools", found, params.get("cursor"), self.page_size)

    async def _call(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        tool = self.find(request)
        try:
            return tool_result(await outcome(tool.function, as_object(params.get("arguments")), call))
        except (RpcError, Disconnect, NoAnswer):
            raise
        except Exception as error:
            return tool_error(error)


def tool_name(tool: Tool) -> str:
    """The name of ``tool``: the one given, or its function's."""
    return tool.name or str(getattr(tool.function, "__name__", ""))


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
