"""From a program without an event loop into one, and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..loops import run

T = TypeVar("T")


def run_on(loop: str, function: Callable[[], Awaitable[T]]) -> T:
    """Await ``function()`` on a new event loop, see :func:`transports.loops.run`.

    :raises KeyboardInterrupt: also where the interrupt hit a task, and its group wrapped it.
    """
    try:
        return run(function, loop)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None
