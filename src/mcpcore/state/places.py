"""A bound that calls wait at: so many at once, the others in the order in which they came.

Where everything is in use at a limit, a call waits its turn until its deadline.  A place that becomes free is handed to
the first who waits, so nobody overtakes; whoever is cancelled at that very moment hands it on.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from attrs import define, field

from mcpcore.commands import WaitFor
from mcpcore.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcpcore.commands import Command


@define(eq=False)
class Places:
    """``free`` places, to be taken and given back.

    :ivar free: how many nobody has taken.
    """

    free: int
    # Many may wait, and any of them may leave.
    _waiting: OrderedDict[Signal, None] = field(factory=OrderedDict[Signal, None], init=False, repr=False)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a place."""
        return bool(self._waiting)

    def take(self, unless: Signal | None = None) -> Generator[Command, Any, bool]:
        """Wait for a place and take it.

        :param unless: when it is raised, a place is no longer needed.
        :returns: whether a place was taken.
        """
        if self.free:
            self.free -= 1
            return True
        turn = Signal()
        self._waiting[turn] = None
        if unless is not None:
            unless.subscribe(turn.raise_)
        try:
            yield WaitFor(turn)
        except BaseException:
            if not self._leave(turn):
                self.give()
            raise
        finally:
            if unless is not None:
                unless.unsubscribe(turn.raise_)
        return not self._leave(turn)

    def _leave(self, turn: Signal) -> bool:
        """Stop waiting; False if there is a place already."""
        if turn in self._waiting:
            del self._waiting[turn]
            return True
        return False

    def give(self) -> None:
        """Give a place back."""
        if self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            turn.raise_()
        else:
            self.free += 1
