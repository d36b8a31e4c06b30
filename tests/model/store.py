"""The store that clients share, as a dictionary: it forgets, returns nonsense, and gives what it should have dropped.

What it never does is to give what was put under another name, or other bytes than those put there: whoever asks a real
store for the core sees to that.
"""

from __future__ import annotations

from attrs import define, field

from mcpcore import StoreDelete, StoredEntry, StoreGet, StorePut

from .model import Model
from .server import Whim


@define
class Store:
    """What was put there, when, and for how long."""

    model: Model
    _held: dict[bytes, tuple[bytes, float, float]] = field(factory=dict[bytes, "tuple[bytes, float, float]"])

    def get(self, command: StoreGet, whim: Whim) -> StoredEntry | None:
        """What is under a key."""
        held = self._held.get(command.key)
        if held is None or whim is Whim.CUT:
            return None
        value, put, ttl = held
        age = self.model.now - put
        if whim is Whim.GARBAGE:
            return StoredEntry(value[1:], age, ttl)
        if age >= ttl and whim is not Whim.STALE:
            return None
        self.model.counts["found in the store"] += 1
        return StoredEntry(value, age, ttl)

    def put(self, command: StorePut, whim: Whim, now: float) -> None:
        """Hold a value from ``now`` on."""
        if whim is not Whim.CUT:
            self._held[command.key] = (command.value, now, command.ttl)

    def delete(self, command: StoreDelete, whim: Whim) -> None:
        """Drop what is under some keys."""
        if whim is not Whim.CUT:
            for key in command.keys:
                self._held.pop(key, None)
