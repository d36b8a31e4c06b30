"""Listening, for as long as a block lasts: what :meth:`transports.Client.listen` returns.

Nothing is read before the next event is wanted, so a slow listener slows its server down.  What the server asks
meanwhile is answered beside, by tasks that live as long as the block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import anyio

from mcpcore import Acknowledged, Complete, Emit, LocalProtocolError, RemoteProtocolError

from .company import Company
from .driver import Drive

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from mcpcore import Operation
    from mcpcore.types.subscriptions import StreamEvent, SubscriptionFilter

    from .driver import Driver


@final
class Subscription:
    """A stream of what a server has to tell, to be used as ``async with client.listen(...) as events``.

    Entering it opens the stream, and returns when the server has acknowledged it.  Iterating over it gives each event;
    it ends when the server has ended the stream in order, and raises :class:`mcpcore.TransportError` if the stream was
    dropped.  Leaving it ends the stream, and so does a wait for an event that is cancelled or fails.

    :ivar acknowledged: what the server agreed to tell of.
    """

    acknowledged: SubscriptionFilter

    def __init__(self, driver: Driver, operation: Operation[None], timeout: float | None) -> None:
        self._driver = driver
        self._drive = Drive(driver, operation)
        self._timeout = timeout
        self._company = Company(driver.run)
        self._was_entered = False
        self._is_over = False
        self._is_waiting = False

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise LocalProtocolError("a stream is listened to once; call listen() again for another")
        self._was_entered = True
        await self._company.__aenter__()
        self._driver.listening.add(self._company)
        try:
            self.acknowledged = await self._open()
        except BaseException as error:
            await self._leave()
            await self._company.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _open(self) -> SubscriptionFilter:
        with anyio.move_on_after(self._timeout):
            return _agreed(await self._drive.go_on(self._company))
        assert self._timeout is not None
        raise self._drive.operation.deadline_exceeded(self._timeout)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        if self._is_over:
            raise StopAsyncIteration
        if self._is_waiting:
            raise LocalProtocolError("a wait for an event was cancelled or failed, or still goes on; listen again")
        self._is_waiting = True
        self._drive.operation.emitted()
        outcome = await self._drive.go_on(self._company)
        self._is_waiting = False
        if isinstance(outcome, Complete):
            self._is_over = True
            raise StopAsyncIteration
        assert isinstance(outcome, Emit)
        event: StreamEvent = outcome.value
        return event

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave()
        await self._company.__aexit__(exc_type, exc, traceback)

    async def _leave(self) -> None:
        self._is_over = True
        self._driver.listening.discard(self._company)
        await self._drive.close()
        await self._driver.leave(self._drive.operation)


def _agreed(outcome: object) -> SubscriptionFilter:
    """What a server will tell of, as it says before anything else."""
    match outcome:
        case Emit(value=Acknowledged(filter=agreed)):
            return agreed
        case _:
            raise RemoteProtocolError("the server ended the stream before it had acknowledged it")
