"""One call waits for what another call brings about: a flight landing, a message arriving.

The core cannot wait, so it names what it waits for: a :class:`Signal` is a flag that is raised once, and that tells
whoever subscribed.  A driver subscribes with whatever wakes a task on its event loop; a unit test just looks at
``raised``.

A *flight* is work that one call does and several need (a handshake, the probe for the era).  It is only a signal that
is raised when the work has ended, well or badly: whoever waited looks at the state that the flight left behind, and
takes its own turn if that does not help.  So a follower can never receive a leader's failure, cancellation or deadline,
because a flight carries none.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Signal:
    """A flag that is raised once."""

    raised: bool = field(default=False, init=False)
    _subscribers: list[Callable[[], None]] = field(factory=list[Callable[[], None]], init=False, repr=False)

    def raise_(self) -> None:
        """Raise the flag and tell every subscriber; raising it again does nothing."""
        if self.raised:
            return
        self.raised = True
        subscribers, self._subscribers = self._subscribers, []
        for notify in subscribers:
            notify()

    def subscribe(self, notify: Callable[[], None]) -> None:
        """Call ``notify`` when the flag is raised, at once if it is.  ``notify`` must neither block nor raise."""
        if self.raised:
            notify()
        else:
            self._subscribers.append(notify)

    def unsubscribe(self, notify: Callable[[], None]) -> None:
        """Forget one subscription of ``notify``; one that is gone already is no error."""
        if notify in self._subscribers:
            self._subscribers.remove(notify)
