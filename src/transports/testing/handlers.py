"""Handlers: the plain Python functions that a scripted server is made of.

A handler is called with the arguments and with the request that brought them, because what a test wants of it is mostly
to report *who asked*.  It may be a plain function, an async function (wait on an ``anyio.Event`` to be slow for as long
as a test likes) or an async generator, which yields :class:`Progress` and :class:`Send`, and last its result.  One with
a third parameter is given the :class:`~transports.testing.Call` too, to say more and to ask its client.
"""

from __future__ import annotations

import inspect
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
    """Return this to give the whole result, just as it is."""

    result: Mapping[str, Any] = field(repr=False)


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
