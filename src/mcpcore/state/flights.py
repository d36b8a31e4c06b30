"""Flights: one call does for several what all of them need.

A handshake, or the probe for the era, is worth doing once when many calls need it at the same moment.  The first one
*leads*: it takes off from a :class:`Runway`, and lands when its work has ended, well or badly.  The others *join*: they
wait for the landing and look at what it left behind.  If they find what they need, good; if not, each takes its own
turn in its own context, without joining again, so that a row of failing leaders can't delay anyone for long.

Two rules keep identities apart.  A flight is claimed only after the claimant's resolvers have answered.  And a flight
carries nothing: neither a result nor a failure goes from leader to follower.

Most flights land before their leader asks anybody but the server: its resolvers once more, a handler, a store.  So what
hangs there holds no other identity up; and what is called there may itself use the client, without waiting for the very
call that waits for it.  The exception is the opening of a session or stream, which is not to be done twice for that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field

from mcpcore.commands import Beside, CallHandler, Deliver, ResolveHeaders, StoreDelete, StoreGet, StorePut, WaitFor
from mcpcore.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.commands import Command, Flow

T = TypeVar("T")
P = TypeVar("P")

_ASKS_OTHERS = (ResolveHeaders, CallHandler, Deliver, Beside, StoreGet, StorePut, StoreDelete)


@define(eq=False)
class Runway:
    """Where at most one flight at a time is in the air."""

    flight: Signal | None = field(default=None, init=False)

    def land(self, flight: Signal) -> None:
        """End ``flight``, if it has not landed yet, and tell those who wait for it."""
        if self.flight is flight:
            self.flight = None
        flight.raise_()


def fly(
    runway: Runway,
    look: Callable[[], T | None],
    resolve: Callable[[], Flow[P]],
    lead: Callable[[P], Flow[T]],
    *,
    lands_early: bool = False,
) -> Flow[T]:
    """Get what ``look`` finds, from another call's flight if there is one, else by ``lead``.

    :param look: finds what is needed where a flight leaves it, or returns None.
    :param resolve: resolves the headers of the first request of ``lead``.
    :param lead: does the work with that resolution and leaves its outcome where ``look`` finds it.
    :param lands_early: whether the flight lands before its leader asks anybody but the server.
    """
    may_join = True
    while True:
        if (found := look()) is not None:
            return found
        if runway.flight is not None and may_join:
            may_join = False
            yield WaitFor(runway.flight)
            continue
        resolution = yield from resolve()
        # Others went on while the resolvers were working; what they did may make this resolution unnecessary.
        if (found := look()) is not None:
            return found
        if runway.flight is None or not may_join:
            break
    work = lead(resolution)
    if runway.flight is not None:
        return (yield from work)
    flight = runway.flight = Signal()
    try:
        return (yield from (_landing_early(runway, work) if lands_early else work))
    finally:
        runway.land(flight)


def take_turns(runway: Runway, look: Callable[[], T | None], lead: Callable[[], Flow[P]]) -> Flow[T | P]:
    """Get what ``look`` finds, else by ``lead``, which is never done by two at once.

    For what must not be done twice at the same time, whether or not it succeeds: those who wait wait in turn, each as
    long as it will.
    """
    while True:
        if (found := look()) is not None:
            return found
        if runway.flight is None:
            break
        yield WaitFor(runway.flight)
    flight = runway.flight = Signal()
    try:
        return (yield from lead())
    finally:
        runway.land(flight)


def _landing_early(runway: Runway, work: Flow[T]) -> Flow[T]:
    """``work``, with the flight landed before it asks anybody but the server."""
    flight = runway.flight
    step: Callable[[], Command | Beside] = work.__next__
    try:
        while True:
            command = step()
            if isinstance(command, _ASKS_OTHERS) and flight is not None:
                runway.land(flight)
            try:
                answer = yield command
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                step = partial(work.throw, error)
            else:
                step = partial(work.send, answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
