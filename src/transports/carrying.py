"""Exchanges that are carried through, although the call that needs them is given up.

A refresh token, or a code, is good for once.  If the request that spends it is given up while the answer is on its way,
what it was spent for is lost, and a person has to log in again.  So once such a request is on its way it is carried to
its end, shielded from the call's cancellation and deadline, for at most ``limits.token_request`` seconds.  The call is
over right after that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.lowlevel
from attrs import define

from mcpcore import TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from mcpcore import SendRequest

    from .engines.base import Engine, Response

T = TypeVar("T")


async def send_through(engine: Engine, request: SendRequest, seconds: float) -> CarriedResponse:
    """Send ``request``; its response is carried through as it is.

    :raises mcpcore.TransportError: if that takes longer than ``seconds``, or fails.
    """
    # One whose call is given up already is not begun.
    await anyio.lowlevel.checkpoint_if_cancelled()
    deadline = anyio.current_time() + seconds
    with anyio.CancelScope(shield=True, deadline=deadline):
        return CarriedResponse(await engine.send(request), deadline)
    raise _too_slow()


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
    _deadline: float

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
        with anyio.CancelScope(shield=True, deadline=self._deadline):
            return await self._response.receive()
        raise _too_slow()

    async def aclose(self) -> None:
        """Give the response up."""
        await self._response.aclose()


def _too_slow() -> TransportError:
    return TransportError("the authorization server took too long to answer (limits.token_request)")
