"""A store that clients share, and a clock that a test sets."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from mcpcore import Operation, StoreDelete, StoredEntry, StoreGet, StorePut


@define(eq=False)
class Clock:
    """Tells the time that a test set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@define(eq=False)
class Shelf:
    """A store that several clients share.

    :ivar commands: what it was asked, in order.
    :ivar is_dead: whether it has nothing for anybody, and takes nothing.
    """

    clock: Clock = field(factory=Clock)
    entries: dict[bytes, tuple[bytes, float, float]] = field(factory=dict)
    commands: list[StoreGet | StorePut | StoreDelete] = field(factory=list)
    is_dead: bool = False

    def answer(self, operation: Operation[Any], command: StoreGet | StorePut | StoreDelete) -> None:
        """Do what ``operation`` asks of a store."""
        self.commands.append(command)
        if isinstance(command, StoreGet):
            operation.store_answered(self._find(command.key))
            return
        if isinstance(command, StoreDelete):
            for key in command.keys:
                self.entries.pop(key, None)
        elif not self.is_dead:
            self.entries[command.key] = (command.value, self.clock(), command.ttl)
        operation.store_done()

    def _find(self, key: bytes) -> StoredEntry | None:
        if self.is_dead or key not in self.entries:
            return None
        value, put, ttl = self.entries[key]
        return StoredEntry(value, self.clock() - put, ttl)

    def asked(self, kind: type[Any]) -> list[Any]:
        """The commands of one kind."""
        return [command for command in self.commands if isinstance(command, kind)]
