"""Start a program on an event loop that is chosen by name.

A library runs on the loop it finds; a command, a demonstration or a script has to start one.  This is the one place
that knows the names, and that trio is an extra.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import anyio

from mcpcore import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

LOOPS = ("asyncio", "trio")
"""The names that :func:`run` takes."""


def run(main: Callable[[], Awaitable[T]], loop: str = "asyncio") -> T:
    """Run ``main()`` on a new event loop, to its end.

    :param loop: one of :data:`LOOPS`.
    :returns: what ``main`` returns.
    :raises mcpcore.ConfigurationError: if there is no such loop here; and whatever ``main`` raises.
    """
    if loop not in LOOPS:
        raise ConfigurationError(f"no event loop is called {loop!r}; there are {' and '.join(LOOPS)}")
    if find_spec(loop) is None:
        raise ConfigurationError(f"{loop} is not installed; install mcpcore[{loop}]")
    return anyio.run(main, backend=loop)
