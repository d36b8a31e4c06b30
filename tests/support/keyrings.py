"""Keyrings of nobody's: in memory, for commands in this process, and in a file, for those in processes of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keyring
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

# The library chooses by priority among all backends that there are, these too: each is only taken where it is named.
NEVER_BY_ITSELF = -1


class MemoryKeyring(KeyringBackend):
    """Entries by their names, of whatever service; ``is_locked`` for nobody to read."""

    priority = NEVER_BY_ITSELF

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, str] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise KeyringLocked("s3cret")
        return self.entries.get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop(username, None) is None:
            raise PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Entries in the file that ``KEYRING_FILE`` names; chosen by ``PYTHON_KEYRING_BACKEND``."""

    priority = NEVER_BY_ITSELF

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._entries(), username: password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(username, None) is None:
            raise PasswordDeleteError
        self._write(entries)

    def _entries(self) -> dict[str, str]:
        entries: dict[str, str] = json.loads(_file().read_text()) if _file().exists() else {}
        return entries

    def _write(self, entries: dict[str, str]) -> None:
        _file().write_text(json.dumps(entries))


def _file() -> Path:
    return Path(os.environ["KEYRING_FILE"])


@contextmanager
def chosen(backend: KeyringBackend) -> Iterator[None]:
    """While the block lasts, this is the keyring of the system."""
    former = keyring.get_keyring()
    keyring.set_keyring(backend)
    try:
        yield
    finally:
        keyring.set_keyring(former)
