"""One call waits for what another call brings about: a flight landing, a message arriving.

The core cannot wait, so it names what it waits for: a :class:`Signal` is a flag that is raised once, and that tells
whoever subscribed.  A driver subscribes with whatever wakes a task on its event loop; a unit test just looks at
``raised``.
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
