"""Connecting to whichever of a host's addresses is the first to answer (RFC 8305, "Happy Eyeballs").

An address that nobody answers at, as those of IPv6 where it does not get through, keeps whoever tries it waiting for
minutes.  So none is waited for alone: the next one is tried as soon as the last one has failed, or has been at it for a
while, and the first that connects is taken.  All of that is over when :func:`dial` returns: the other attempts are
given up, and what they may have opened at that very moment is closed.

anyio does the same with the addresses that it looks up by itself; these were looked up, and looked at, before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anyio.abc

ATTEMPT_DELAY = 0.25
"""How many seconds an attempt is waited for before the next one joins it (RFC 8305, section 5)."""


async def dial(addresses: Sequence[str], port: int) -> anyio.abc.SocketStream:
    """Connect to ``port`` of one of these addresses, which are tried in their order; there is at least one.

    :raises OSError: why the first to fail did, if all of them did.
    """
    race = _Race(port)
    try:
        await race.run(addresses)
        if race.winner is None:
            raise race.failures[0]
        return race.winner
    except BaseException:
        # Given up just when one had connected.
        if race.winner is not None:
            await anyio.aclose_forcefully(race.winner)
        raise
    finally:
        # Their tracebacks lead to here, and so to them.
        race.failures.clear()


@define(eq=False)
class _Race:
    """The attempts to connect.

    :ivar winner: the first that connected.
    :ivar failures: what those that did not were told.
    """

    _port: int
    winner: anyio.abc.SocketStream | None = field(default=None, init=False)
    failures: list[Exception] = field(factory=list[Exception], init=False)

    async def run(self, addresses: Sequence[str]) -> None:
        async with anyio.create_task_group() as attempts:
            for address in addresses:
                has_failed = anyio.Event()
                attempts.start_soon(self._attempt, address, has_failed, attempts.cancel_scope)
                with anyio.move_on_after(ATTEMPT_DELAY):
                    await has_failed.wait()

    async def _attempt(self, address: str, has_failed: anyio.Event, attempts: anyio.CancelScope) -> None:
        try:
            stream = await anyio.connect_tcp(address, self._port)
        except Exception as failure:  # whatever it is: no group of exceptions is to come of it
            self.failures.append(failure)
            has_failed.set()
            return
        if self.winner is None:
            self.winner = stream
            attempts.cancel()
        else:
            await anyio.aclose_forcefully(stream)
