"""What is carried through, although the call that needs it is given up.

A refresh token, or a code, is good for once.  If the request that spends it is given up while the answer is on its way,
what it was spent for is lost, and a person has to log in again.  So once such a request is on its way it is carried to
its end, shielded from the call's cancellation and deadline; and so is keeping what came of it.  All of that together
takes at most ``limits.token_request`` seconds, and the call is over right after it.

A cancellation of asyncio's own, by ``Task.cancel``, ``asyncio.timeout`` or ``asyncio.wait_for``, heeds no shield.  So
there each step of the exchange is made by a task of its own, and what comes for the caller's task meanwhile is held
back until what it brought is kept.  The store is the user's and called in the caller's task, as all that is: such a
cancellation that comes only then does end it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field

from mcpcore import CallHandler, EndResponse, ReceiveData, SendRequest, TransportError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Sequence

    from .engines.base import Engine, Response

T = TypeVar("T")


def is_carried(command: object) -> bool:
    """Whether ``command`` is of the kind that is carried through."""
    return isinstance(command, SendRequest | CallHandler) and command.is_carried_through


@define(eq=False)
class Carrier:
    """Carries one exchange through, and right after it the keeping of what came of it.

    :param seconds: how long all of that may take, from the first step on.
    """

    _seconds: float
    _deadline: float | None = field(default=None, init=False)
    _held: list[tuple[asyncio.Task[Any], BaseException]] = field(factory=list[Any], init=False)

    def goes_on_with(self, command: object) -> bool:
        """Whether ``command`` belongs to what is carried already; another exchange does not."""
        return isinstance(command, ReceiveData | EndResponse) or (
            is_carried(command) and not isinstance(command, SendRequest)
        )

    async def send(self, engine: Engine, request: SendRequest) -> CarriedResponse:
        """Send ``request``; its response is carried through as it is.

        :raises mcpcore.TransportError: if that takes too long, or fails.
        """
        # One whose call is given up already is not begun.
        await anyio.lowlevel.checkpoint()
        return CarriedResponse(await self.exchange(partial(engine.send, request)), self)

    async def exchange(self, step: Callable[[], Awaitable[T]]) -> T:
        """Make one step of the exchange.

        :raises mcpcore.TransportError: if that takes too long, or fails.
        """
        caller = _asyncio_task()
        try:
            return await (self.keep(step) if caller is None else self._aside(caller, step))
        except TimeoutError:
            raise TransportError("the authorization server took too long to answer (limits.token_request)") from None

    async def keep(self, step: Callable[[], Awaitable[T]]) -> T:
        """Make one step that keeps what came of it.

        :raises TimeoutError: if that takes too long.
        """
        if self._deadline is None:
            self._deadline = anyio.current_time() + self._seconds
        with anyio.CancelScope(shield=True, deadline=self._deadline):
            return await step()
        raise TimeoutError

    def let_go(self) -> None:
        """Let the caller's task have what was held back."""
        while self._held:
            caller, cancellation = self._held.pop()
            caller.cancel(*cancellation.args)

    async def _aside(self, caller: asyncio.Task[Any], step: Callable[[], Awaitable[T]]) -> T:
        import asyncio

        work = asyncio.create_task(self.keep(step))
        while not work.done():
            try:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait((work,))
            except asyncio.CancelledError as cancellation:
                caller.uncancel()
                self._held.append((caller, cancellation))
        return work.result()


@define(eq=False)
class CarriedResponse:
    """A response that is received to its end, whoever no longer waits for it."""

    _response: Response
    _carrier: Carrier

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
        return await self._carrier.exchange(self._response.receive)

    async def aclose(self) -> None:
        """Give the response up."""
        await self._response.aclose()


def _asyncio_task() -> asyncio.Task[Any] | None:
    """The task that is running, if it is one of asyncio's; which is imported here, not before, for who uses trio."""
    import asyncio

    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
