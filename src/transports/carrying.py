"""What is carried through, although the call that needs it is given up.

A refresh token, or a code, is good for once.  If the request that spends it is given up while the answer is on its way,
what it was spent for is lost, and a person has to log in again.  So once such a request is on its way it is carried to
its end, shielded from the call's cancellation and deadline, for at most ``limits.token_request`` seconds; and so is
keeping what came of it.  The call is over right after that.

A cancellation of asyncio's own, by ``Task.cancel``, ``asyncio.timeout`` or ``asyncio.wait_for``, heeds no shield.  So
there each step of the exchange is made by a task of its own, and what comes for the caller's task meanwhile is held
back until the response is closed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field

from mcpcore import TransportError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from mcpcore import SendRequest

    from .engines.base import Engine, Response

T = TypeVar("T")


async def send_through(engine: Engine, request: SendRequest, seconds: float) -> CarriedResponse:
    """Send ``request``; its response is carried through as it is.

    :raises mcpcore.TransportError: if that takes longer than ``seconds``, or fails.
    """
    # One whose call is given up already is not begun.
    await anyio.lowlevel.checkpoint_if_cancelled()
    carrier = _Carrier(anyio.current_time() + seconds, _asyncio_task())
    try:
        return CarriedResponse(await carrier.make(partial(engine.send, request)), carrier)
    except BaseException:
        carrier.let_go()
        raise


async def carry(work: Awaitable[T], seconds: float) -> T:
    """Wait for ``work``, which is not given up.

    :raises TimeoutError: if it takes longer than ``seconds``.
    """
    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + seconds):
        return await work
    raise TimeoutError


@define(eq=False)
class CarriedResponse:
    """A response that is received to its end, whoever no longer waits for it."""

    _response: Response
    _carrier: _Carrier

    @property
    def status(self) -> int:
        """The HTTP status code."""
        return self._response.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The header fields in the order received."""
        return self._response.headers

    async def receive(self) -> bytes:
        """Return the next piece of the body.

        :raises mcpcore.TransportError: if that takes too long, or fails.
        """
        return await self._carrier.make(self._response.receive)

    async def aclose(self) -> None:
        """Give the response up."""
        try:
            await self._response.aclose()
        finally:
            self._carrier.let_go()


@define(eq=False)
class _Carrier:
    """Makes the steps of one exchange, and gives none of them up before its time.

    :ivar task: whose exchange it is, on asyncio.
    :ivar held: the cancellations of that task that have come meanwhile.
    """

    _deadline: float
    _task: asyncio.Task[Any] | None
    _held: list[BaseException] = field(factory=list[BaseException], init=False)

    async def make(self, step: Callable[[], Awaitable[T]]) -> T:
        """Make one step."""
        return await (self._in_time(step) if self._task is None else self._aside(self._task, step))

    def let_go(self) -> None:
        """Let the task have what was held back."""
        while self._task is not None and self._held:
            self._task.cancel(*self._held.pop().args)

    async def _in_time(self, step: Callable[[], Awaitable[T]]) -> T:
        with anyio.CancelScope(shield=True, deadline=self._deadline):
            return await step()
        raise TransportError("the authorization server took too long to answer (limits.token_request)")

    async def _aside(self, caller: asyncio.Task[Any], step: Callable[[], Awaitable[T]]) -> T:
        import asyncio

        work = asyncio.create_task(self._in_time(step))
        while not work.done():
            try:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait((work,))
            except asyncio.CancelledError as cancellation:
                caller.uncancel()
                self._held.append(cancellation)
        return work.result()


def _asyncio_task() -> asyncio.Task[Any] | None:
    """The task that is running, if it is one of asyncio's; which is imported here, not before, for who uses trio."""
    import asyncio

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
