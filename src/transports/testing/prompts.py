"""Prompts, and the completion of arguments."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

from attrs import define, field, frozen

from mcpcore.errors import RpcError

from .call import Call
from .handlers import Handler, RawResult, outcome
from .offers import Offers, page
from .refusals import INVALID_PARAMS
from .requests import ReceivedRequest, as_object

MOST_VALUES = 100
"""How many values a completion may have (server/utilities/completion, Completion Results, 2026-07-28)."""


@frozen
class Prompt:
    """A prompt.

    :param function: what makes it: a function of the arguments and the request, and of the call if it has a third
        parameter.  Text is what the user says, a list is taken for the ``messages`` of the result, and a
        :class:`RawResult` for all of it.
    :param name: its name; the function's, if left out.
    :param description: what it is for; the first line of the function's docstring, if left out.
    :param arguments: what it takes: names, or definitions as the specification has them.
    :param extra: further members of its definition, such as ``title``.
    """

    function: Handler
    name: str = ""
    description: str = ""
    arguments: Sequence[str | Mapping[str, Any]] = ()
    extra: Mapping[str, Any] = field(factory=dict[str, Any])

    @property
    def definition(self) -> dict[str, Any]:
        """The prompt as ``prompts/list`` shows it."""
        description = self.description or (inspect.getdoc(self.function) or "").partition("\n")[0]
        described = {"description": description} if description else {}
        arguments = [{"name": one} if isinstance(one, str) else dict(one) for one in self.arguments]
        taken = {"arguments": arguments} if arguments else {}
        name = self.name or str(getattr(self.function, "__name__", ""))
        return {"name": name, **described, **taken, **self.extra}


@define(eq=False)
class Prompts:
    """The prompts of a server, and the methods that are about them."""

    offers: Offers[Prompt]
    page_size: int | None

    @property
    def methods(self) -> dict[str, Handler]:
        """The methods, by name."""
        return {"prompts/list": self._list, "prompts/get": self._get}

    def _list(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        found = [prompt.definition for prompt in self.offers.visible(request)]
        return page("prompts", found, params.get("cursor"), self.page_size)

    async def _get(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        for prompt in self.offers.visible(request):
            definition = prompt.definition
            if definition["name"] == params.get("name"):
                arguments = as_object(params.get("arguments"))
                _check_required(definition, arguments)
                return _prompt_result(await outcome(prompt.function, arguments, call), definition)
        raise RpcError(f"Unknown prompt: {params.get('name')}", code=INVALID_PARAMS)


def _check_required(definition: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    required = {one["name"] for one in definition.get("arguments", ()) if one.get("required")}
    if missing := required - arguments.keys():
        raise RpcError(f"Missing arguments: {', '.join(sorted(missing))}", code=INVALID_PARAMS)


def _prompt_result(value: Any, definition: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(value, RawResult):
        return dict(value.result)
    spoken = [{"role": "user", "content": {"type": "text", "text": str(value)}}]
    described = {"description": definition["description"]} if "description" in definition else {}
    return {**described, "messages": value if isinstance(cast("object", value), list) else spoken}


@define(eq=False)
class Completions:
    """The functions that complete arguments, by the prompt or resource template that they are for."""

    by_reference: dict[str, Handler] = field(factory=dict[str, Handler], init=False)

    @property
    def methods(self) -> dict[str, Handler]:
        """The methods, by name."""
        return {"completion/complete": self._complete}

    async def _complete(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        reference = as_object(params.get("ref"))
        function = self.by_reference.get(str(reference.get("name", reference.get("uri"))))
        if function is None:
            raise RpcError("Nothing completes this reference", code=INVALID_PARAMS)
        arguments = {**as_object(params.get("argument")), "context": as_object(params.get("context"))}
        values = await outcome(function, arguments, call)
        if isinstance(values, RawResult):
            return dict(values.result)
        more = len(values) > MOST_VALUES
        return {"completion": {"values": values[:MOST_VALUES], "total": len(values), "hasMore": more}}
