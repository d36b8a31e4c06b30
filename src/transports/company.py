"""Operations beside another one: they last no longer than it does, and their failure is its failure.

While a call waits for its answer, its server may ask something that takes a person, or a model, some time.  The answer
to that is worked out and sent by an operation of its own, in a task of its own, so that the call's stream goes on being
read.  A :class:`Company` holds such tasks.  It is opened only when the first of them is needed, by the task that drives
the call, and is closed before the call returns; so tasks of ours never outlive the call that they serve, and see its
context variables.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import anyio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from anyio.abc import TaskGroup

    from mcpcore import Operation, Spawn


_log = logging.getLogger("transports")


@define(eq=False)
class Company:
    """Operations that are driven beside the body of an ``async with``.

    What is left of them when the body ends is given up.  If one fails, the body is cancelled, and that failure comes
    out of the ``async with`` as it is, and not in a group.
    """

    _run: Callable[[Operation[None]], Awaitable[None]]
    _tasks: TaskGroup = field(factory=anyio.create_task_group, init=False)
    _failure: BaseException | None = field(default=None, init=False)

    def admit(self, spawn: Spawn) -> None:
        """Drive an operation from now on, until it ends or is withdrawn."""
        self._tasks.start_soon(self._attempt, spawn)

    async def _attempt(self, spawn: Spawn) -> None:
        try:
            with anyio.CancelScope() as scope:
                spawn.withdrawn.subscribe(scope.cancel)
                await self._run(spawn.operation)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as failure:
            # Also what is no Exception, which the group would put into a group of its own.
            self.end(failure)

    def end(self, failure: BaseException) -> None:
        """Cancel the body, and have ``failure`` come out of the ``async with``."""
        self._failure = self._failure or failure
        self._tasks.cancel_scope.cancel()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        # The scope has to see a cancellation, which may be its own; anything else it would put into a group.
        passed: tuple[Any, Any, Any] = (None, None, None)
        if isinstance(exc, anyio.get_cancelled_exc_class()):
            passed = (exc_type, exc, traceback)
        is_swallowed = await self._tasks.__aexit__(*passed)
        is_own_cancellation = passed[1] is not None and bool(is_swallowed)  # On trio, nothing is swallowed, too.
        failure, self._failure = self._failure, None
        if failure is not None and (exc is None or is_own_cancellation):
            raise failure
        if failure is not None:
            # Only one of the two can come out.
            _log.error("what went on beside a call failed, too", exc_info=failure)
