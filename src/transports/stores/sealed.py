"""A store as the driver meets it: sealed, bounded in time, and never a reason to fail.

Whatever goes wrong with a store is a miss.  So that a store which is down costs next to nothing, it is left alone for a
while after each failure; then one request finds out how it is, and until that one has succeeded the others go on
without.  Nothing here waits for anybody else, and what a caller's own cancellation ends is no failure; one that a store
lets out by itself is.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, TypeVar, final

import anyio

from mcpcore import TransportError

from .sealing import OVERHEAD, Seal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcpcore import StoredEntry

    from .base import CacheStore

T = TypeVar("T")

_log = logging.getLogger("transports")


@final
class SealedStore:
    """A :class:`~transports.stores.CacheStore`, with all that it may not be trusted to do.

    :param store: where sealed values are kept.
    :param secret: what they are sealed with: at least 16 bytes, the same for all who share them.
    :param timeout: seconds that one request to the store may take, and never more than half of what is left until the
        caller's deadline.
    :param pause: seconds for which the store is left alone after a failure.
    :param largest: bytes of the largest value that is put or accepted.
    :param clock: the seconds of a clock that all who share values agree on.
    :raises mcpcore.ConfigurationError: if values cannot be sealed with this secret, or on this machine.
    """

    def __init__(
        self,
        store: CacheStore,
        secret: bytes,
        *,
        timeout: float,
        pause: float,
        largest: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._seal = Seal(secret)
        self._timeout = timeout
        self._pause = pause
        self._largest = largest
        self._clock = clock
        self._unanswered = 0.0
        self._is_failing = False
        self._resume_at = -math.inf

    async def get(self, key: bytes) -> StoredEntry | None:
        """Return what is under ``key``, or None unless it was put there by one of those who share the secret."""
        sealed = await self._ask(lambda: self._store.get(key))
        if not isinstance(sealed, bytes) or len(sealed) > self._largest + OVERHEAD:
            return None
        return self._seal.open(key, sealed, self._clock())

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Put ``value`` under ``key`` for ``ttl`` seconds, unless it is too large or that is no time."""
        if len(value) <= self._largest and 0 < ttl < math.inf:
            await self._ask(lambda: self._store.put(key, self._seal.seal(key, value, ttl, self._clock()), ttl))

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Forget what is under ``keys``."""
        if keys:
            await self._ask(lambda: self._store.delete(keys))

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T | None:
        """Make one request of the store; None if it is left alone, or fails."""
        if anyio.current_time() < self._resume_at:
            return None
        finds_out = self._is_failing
        if finds_out:
            self._rest()
        begun = anyio.current_time()
        # With half of what is left, a caller in a hurry can still do without.
        patience = min(self._timeout, (anyio.current_effective_deadline() - begun) / 2)
        try:
            with anyio.fail_after(patience):
                answer = await _apart(request)
        except Exception as error:
            # A store that one caller had no time for has not failed; one that several in a row have waited for has.
            self._unanswered += patience if anyio.current_time() >= begun + patience else self._timeout
            if self._unanswered >= self._timeout:
                self._failed(error)
            return None
        self._unanswered = 0.0
        if finds_out:
            self._is_failing, self._resume_at = False, -math.inf
            _log.info("the shared store answers again")
        return answer

    def _rest(self) -> None:
        self._resume_at = anyio.current_time() + self._pause

    def _failed(self, error: Exception) -> None:
        self._rest()
        if not self._is_failing:
            self._is_failing = True
            # Its kind alone: what it says may quote an address with a password in it.
            _log.warning(
                "the shared store failed (%s); it is left alone, %g seconds at a time, until it answers again",
                type(error).__name__,
                self._pause,
            )


async def _apart(request: Callable[[], Awaitable[T]]) -> T:
    """Make a request in a task of its own.

    On asyncio a store that waits for a task which somebody else has cancelled raises what looks like a cancellation of
    whoever asked it.  Here it ends this task, and not the caller.
    """
    answers: list[T] = []
    failures: list[BaseException] = []

    async def ask() -> None:
        try:
            answers.append(await request())
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as failure:
            # Let out of the task it would come in a group.
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
    if answers:
        return answers[0]
    # Taken out of the list, which the error's traceback holds on to.
    raise failures.pop() if failures else TransportError("the store cancelled the request")
