"""Several things at the same time, of which one may fail: the failure comes out as it is.

A task group puts what its tasks raise into an exception group, which neither ``except KeyboardInterrupt`` nor an
``except`` for one of this library's errors would catch.  Here a caller sees what it would have seen had it done one
thing after another; and as there, only the first failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


async def side_by_side(works: Iterable[Callable[[], Awaitable[None]]], *, until_failure: bool) -> None:
    """Do everything at the same time; the first failure is raised when all are over, as it is and not in a group.

    A cancellation of the caller's goes its way, but does not hide what had failed before.

    :param until_failure: whether a failure cancels the others.
    """
    failures: list[BaseException] = []
    cancellations: list[BaseException] = []

    async def attempt(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except anyio.get_cancelled_exc_class() as cancellation:
            cancellations.append(cancellation)
            raise
        except BaseException as failure:
            failures.append(failure)
            if until_failure:
                tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(attempt, work)
    finally:
        if failures:
            raise failures[0]
    if cancellations:
        # It was not the caller's, or it would have come out: under asyncio, what awaits a cancelled future raises one.
        raise cancellations[0]
