"""A handler at work, one message at a time.

A handler is a coroutine that speaks now and then on its way to a result; what reads it is an event stream, which wants
one message after the other and may leave at any time.  To put a task between the two would be easy, but then the work
would need an owner beside its reader.  So the reader drives the coroutine itself, step by step, as an event loop does:
what the coroutine yields is passed on to the real event loop, except for the one thing that is meant for the reader, a
message that it says.  The work therefore runs in the task of whoever reads it, stands still while nobody does, and
ends when the reader closes it.

The price is the one that async generators have: a handler must not say anything from a task that it started, nor inside
a cancel scope or task group that it opened.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeAlias

from attrs import define, field, frozen

from .answers import Message

Work: TypeAlias = Coroutine[Any, Any, Message | None]

Background: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Starts a task for work that outlives its reader: the ``start_soon`` of a task group."""


@frozen
class _Said:
    """A message on its way to the reader; ``last`` if the work has returned it."""

    message: Message | None
    last: bool = False


@coroutine
def say(message: Message) -> Generator[Any, Any, None]:
    """Hand ``message`` to the reader; go on when it asks for more."""
    yield _Said(message)


@coroutine
def _step(work: Work, resume: Callable[[], Any]) -> Generator[Any, Any, _Said]:
    """Let ``work`` go on until it says something or returns; all else that it yields is for the event loop."""
    try:
        while not isinstance(yielded := resume(), _Said):
            try:
                value = yield yielded
            except BaseException as error:
                resume = partial(work.throw, error)
            else:
                resume = partial(work.send, value)
    except StopIteration as stop:
        return _Said(stop.value, last=True)
    return yielded


@define(eq=False)
class Conversation:
    """All that a handler says to one request: notifications and requests, and last the response.

    :param begin: starts the work, which returns the response, or None to end without one.
    """

    _begin: Callable[[], Work]
    _work: Work | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)

    async def next(self) -> Message | None:
        """The next message; None when there is none left."""
        if self._over:
            return None
        if self._work is None:
            self._work = self._begin()
        return await self._advance(partial(self._work.send, None))

    async def aclose(self) -> None:
        """Stop the work where it stands; what it still says is lost."""
        while self._work is not None and not self._over:
            try:
                await self._advance(partial(self._work.throw, GeneratorExit()))
            except GeneratorExit:
                return

    async def _advance(self, resume: Callable[[], Any]) -> Message | None:
        assert self._work is not None
        try:
            said = await _step(self._work, resume)
        except BaseException:
            self._over = True
            raise
        self._over = said.last
        return said.message
