"""Tokens in the keyring of the operating system, through the library keyring (extra ``keyring``).

A keyring is made for passwords, so a value is cut into pieces: Windows takes no more than 2,560 bytes in UTF-16.  The
entry under the key's own name is the head.  It says how many pieces there are and what they are marked with, and holds
the first; the others stand in entries of their own, under the name and the mark.  A new value gets a new mark, and its
head is written when its other pieces are there, so whoever reads finds the old value or the new one and never a
mixture, and another process that is ended halfway has changed nothing.

Each of the library's calls blocks, perhaps until a person has unlocked the keyring, so it is made in a worker thread;
one at a time, because some keyrings are not safe for threads, and because one thread is enough to wait for a person.
A value that is waited for may be left alone; what is written is written to its end, in the order of the calls.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from typing import TYPE_CHECKING, TypeVar, final

import anyio
import anyio.lowlevel
import anyio.to_thread
from attrs import field, frozen

from mcpcore import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyring.backend import KeyringBackend

T = TypeVar("T")

_PIECE = 600
"""How many characters of a value stand in one entry: with the head's first line, even if each takes two units of UTF-16
it is within 2,560 bytes."""

_LONGEST_NAME = 400
"""How many bytes of UTF-8 a key may have to be taken for a name as it is; Windows takes names of 513 characters."""

_RECOMMENDED = 1
"""The least priority of the keyrings that the library recommends."""

_HEAD = re.compile(r"([1-9][0-9]{0,3}) ([0-9a-f]{16})\n(.*)", re.DOTALL)

# The keyring is the same one for all stores of a process, on whatever loop they are used.
_turn = threading.Lock()
_threads: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("transports.oauth.keyring_store.threads")


@frozen
class _Head:
    """The entry of a value that tells of the others.

    :ivar name: what it is called.
    :ivar count: how many pieces there are.
    :ivar mark: what tells the others from those of earlier values.
    :ivar first: the first piece.
    """

    name: str
    count: int
    mark: str
    first: str = field(repr=False)

    @property
    def text(self) -> str:
        return f"{self.count} {self.mark}\n{self.first}"

    @property
    def others(self) -> list[str]:
        """What the entries of the other pieces are called."""
        return [f"{self.name} {self.mark} {number}" for number in range(2, self.count + 1)]


@final
class KeyringStore:
    """An :class:`mcpcore.TokenStore` in the keyring of the person who runs this program; for ``OAuth(store=...)``.

    The keyring is the one that the library ``keyring`` chooses for the process: the Windows Credential Manager,
    the Keychain of macOS, the Secret Service or KWallet, or what the library was configured to take.  One that keeps
    passwords unencrypted is used only if it is named: in ``PYTHON_KEYRING_BACKEND``, in the library's file, or by
    ``keyring.set_keyring``.

    Its methods raise what the keyring raises, ``keyring.errors.KeyringError`` for instance if it stays locked.

    :param service: what the entries are filed under.
    :raises mcpcore.ConfigurationError: if there is no keyring that can be used here, or one that may not be encrypted
        and that nobody named, or the package is not installed.
    """

    def __init__(self, service: str = "mcpcore") -> None:
        _require_keyring()
        self._service = service

    async def get(self, key: str) -> str | None:
        """What is stored under ``key``, or None."""
        return await _in_turn(lambda: self._get(_name(key)), leave=True)

    async def put(self, key: str, value: str) -> None:
        """Store ``value`` under ``key``, instead of what was there."""
        await _in_turn(lambda: self._put(_name(key), value))

    async def delete(self, key: str) -> None:
        """Forget what is stored under ``key``, if anything is."""
        await _in_turn(lambda: self._delete(_name(key)))

    def _get(self, name: str) -> str | None:
        head = self._head(name)
        while head is not None:
            others = [piece for piece in map(self._read, head.others) if piece is not None]
            if len(others) == len(head.others):
                return "".join([head.first, *others])
            # Another process may have stored something else meanwhile; unless it has, a piece is lost.
            head, before = self._head(name), head
            if head == before:
                return None
        return None

    def _put(self, name: str, value: str) -> None:
        pieces = [value[start : start + _PIECE] for start in range(0, len(value), _PIECE)] or [""]
        head = _Head(name, len(pieces), secrets.token_hex(8), pieces[0])
        for other, piece in zip(head.others, pieces[1:], strict=True):
            self._write(other, piece)
        before = self._head(name)
        self._write(name, head.text)
        if before is not None:
            self._remove(before.others)

    def _delete(self, name: str) -> None:
        head = self._head(name)
        self._remove([name, *(head.others if head else ())])

    def _head(self, name: str) -> _Head | None:
        found = _HEAD.fullmatch(self._read(name) or "")
        return _Head(name, int(found[1]), found[2], found[3]) if found else None

    def _read(self, name: str) -> str | None:
        import keyring

        return keyring.get_password(self._service, name)

    def _write(self, name: str, text: str) -> None:
        import keyring

        keyring.set_password(self._service, name, text)

    def _remove(self, names: list[str]) -> None:
        import keyring
        from keyring.errors import PasswordDeleteError

        for name in names:
            try:
                keyring.delete_password(self._service, name)
            except PasswordDeleteError:
                # Which also says that there is none; another process may have been faster.
                if self._read(name) is not None:
                    raise


def _require_keyring() -> None:
    try:
        import keyring
        from keyring.backends.fail import Keyring as NoKeyring
        from keyring.backends.null import Keyring as DisabledKeyring
    except ImportError as missing:
        raise ConfigurationError("KeyringStore needs the package 'keyring': install 'mcpcore[keyring]'") from missing
    try:
        chosen = keyring.get_keyring()
        weak = _weak_part(chosen)
    except Exception as unusable:
        # It imports what the environment or a file names.
        raise ConfigurationError(
            "the keyring that was chosen for this machine cannot be used: look at PYTHON_KEYRING_BACKEND, and at "
            "keyringrc.cfg, whose place 'keyring diagnose' tells"
        ) from unusable
    if isinstance(chosen, NoKeyring | DisabledKeyring):
        raise ConfigurationError(
            "this machine has no keyring that can be used: start one (on Linux a Secret Service or KWallet, within a "
            "session of D-Bus), or keep tokens elsewhere"
        )
    if weak is not None:
        name = f"{type(weak).__module__}.{type(weak).__qualname__}"
        raise ConfigurationError(
            f"the keyring {name}, found on this machine, may keep tokens unencrypted: name the one to be used "
            "in PYTHON_KEYRING_BACKEND, this one if it is good enough; 'keyring --list-backends' tells which there are"
        )


def _weak_part(chosen: KeyringBackend) -> KeyringBackend | None:
    """The part of ``chosen`` that nobody has asked for, and that the library does not recommend, if there is one.

    Those that keep passwords as they are are such.
    """
    from keyring import backend
    from keyring.backends.chainer import ChainerBackend

    if all(chosen is not found for found in backend.get_all_keyring()):
        return None  # What the environment, a file or the program names is an instance of its own.
    parts: list[KeyringBackend] = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    return next((part for part in parts if part.priority < _RECOMMENDED), None)


async def _in_turn(work: Callable[[], T], *, leave: bool = False) -> T:
    """Do in a thread what blocks, when all that was begun before is done.

    :param leave: whether who is cancelled may go while the work goes on.
    """

    def do() -> T:
        with _turn:
            return work()

    try:
        limiter = _threads.get()
    except LookupError:
        limiter = anyio.CapacityLimiter(1)
        _threads.set(limiter)
    return await anyio.to_thread.run_sync(do, abandon_on_cancel=leave, limiter=limiter)


def _name(key: str) -> str:
    """What the entry of a key is called; readable, if it is short enough for all keyrings."""
    octets = key.encode()
    return key if len(octets) <= _LONGEST_NAME else hashlib.sha256(octets).hexdigest()
