"""The part of a scripted server that is set up by decorators: what it offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from .dispatch import Dispatcher
from .handlers import Handler
from .offers import Offers
from .prompts import Prompt
from .requests import ReceivedRequest
from .resources import Resource
from .tools import Tool

ToolsGiven: TypeAlias = Iterable[Tool | Handler] | Callable[[ReceivedRequest], Iterable[Tool | Handler]]
"""The tools of a server: a fixed list, or a function of the request, for lists that differ between
callers."""

HandlerT = TypeVar("HandlerT", bound=Handler)


def _as_tools(tools: Iterable[Tool | Handler]) -> list[Tool]:
    return [tool if isinstance(tool, Tool) else Tool(tool) for tool in tools]


def offers_of_tools(tools: ToolsGiven) -> Offers[Tool]:
    """Tools, some of them given as bare functions."""
    return Offers([], lambda request: _as_tools(tools(request))) if callable(tools) else Offers(_as_tools(tools))


class Offering:
    """What a server offers.  Each decorator returns the function that it was given."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def tool(
        self,
        *,
        name: str = "",
        description: str = "",
        input_schema: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        task: bool = False,
    ) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function to make it a tool; see :class:`Tool` for the arguments, all of them
        optional."""

        def add(function: HandlerT) -> HandlerT:
            schema = {"type": "object"} if input_schema is None else input_schema
            tool = Tool(function, name, description, schema, extra or {}, task)
            self._dispatcher.tools.offers.fixed.append(tool)
            return function

        return add

    def resource(
        self,
        uri: str,
        *,
        name: str = "",
        description: str = "",
        mime_type: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function to make it what reads a resource, or a template of them; see :class:`Resource`."""

        def add(function: HandlerT) -> HandlerT:
            resource = Resource(uri, function, name, description, mime_type, extra or {})
            self._dispatcher.resources.offers.fixed.append(resource)
            return function

        return add

    def prompt(
        self,
        *,
        name: str = "",
        description: str = "",
        arguments: Sequence[str | Mapping[str, Any]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function to make it a prompt; see :class:`Prompt` for the arguments, all of them optional."""

        def add(function: HandlerT) -> HandlerT:
            prompt = Prompt(function, name, description, arguments, extra or {})
            self._dispatcher.prompts.offers.fixed.append(prompt)
            return function

        return add

    def completion(self, reference: str) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function to let it complete arguments of a prompt or resource template.

        It is given ``name`` and ``value`` of the argument, and ``context``, and returns the values: the first hundred
        are sent, and how many there are.

        :param reference: the prompt's name, or the template's URI.
        """

        def add(function: HandlerT) -> HandlerT:
            self._dispatcher.completions.by_reference[reference] = function
            return function

        return add

    def method(self, name: str) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function of the parameters and the request to make it a JSON-RPC method.

        It returns the result as the specification has it, and may stream as a tool may.  It raises
        :class:`mcpcore.RpcError` to answer with an error.
        """

        def add(function: HandlerT) -> HandlerT:
            self._dispatcher.own[name] = function
            return function

        return add
