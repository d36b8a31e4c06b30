"""Tokens in the keyring of the operating system: one in memory, which is as narrow as that of Windows."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as DisabledKeyring
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError
from support.keyrings import FileKeyring

from mcpcore import ConfigurationError
from transports.oauth import KeyringStore

KEY = json.dumps(["token", "https://login.example", "https://mcp.example/mcp", "alice"])
LONG = "".join(map(str, range(1500)))
WIDE = "\N{WAVING HAND SIGN}" * 1300


class NarrowKeyring(KeyringBackend):
    """Refuses what Windows refuses; ``meanwhile`` is called before an entry is read, and told its name."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.meanwhile: Callable[[str], None] = lambda _: None
        self.busy = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.busy += 1
        os.sched_yield()
        assert self.busy == 1, "two threads at once"
        self.meanwhile(username)
        self.busy -= 1
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(username) > 513 or len(password.encode("utf-16-le")) > 2560:
            raise PasswordSetError
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise PasswordDeleteError
        del self.entries[service, username]


def use(backend: KeyringBackend) -> None:
    keyring.set_keyring(backend)


@pytest.fixture(autouse=True)
def entries() -> Iterator[NarrowKeyring]:
    """The keyring of a test; afterwards there is the former one."""
    former = keyring.get_keyring()
    mine = NarrowKeyring()
    use(mine)
    yield mine
    use(former)


@pytest.mark.anyio
@pytest.mark.parametrize("value", ["", "short", LONG, WIDE, "2 0123456789abcdef\nlooks like a head"])
async def test_what_is_stored_is_there_for_the_next_process(value: str) -> None:
    await KeyringStore().put(KEY, value)
    assert await KeyringStore().get(KEY) == value
    assert await KeyringStore().get(f"{KEY} ") is None
    assert await KeyringStore("another").get(KEY) is None


@pytest.mark.anyio
async def test_a_new_value_leaves_nothing_of_the_former(entries: NarrowKeyring) -> None:
    store = KeyringStore("mine")
    for value in (LONG, WIDE, LONG, "short"):
        await store.put(KEY, value)
        assert await store.get(KEY) == value
    assert list(entries.entries) == [("mine", KEY)]
    await store.put(KEY, LONG)
    await store.delete(KEY)
    assert entries.entries == {}
    assert await store.get(KEY) is None


@pytest.mark.anyio
async def test_long_keys_are_told_apart(entries: NarrowKeyring) -> None:
    store = KeyringStore()
    for end in "ab":
        await store.put("x" * 1000 + end, LONG + end)
    assert [await store.get("x" * 1000 + end) for end in "abc"] == [LONG + "a", LONG + "b", None]


@pytest.mark.anyio
async def test_deleting_what_is_absent_is_no_error() -> None:
    await KeyringStore().delete(KEY)


@pytest.mark.anyio
async def test_what_cannot_be_deleted_is_an_error(entries: NarrowKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(service: str, username: str) -> None:
        raise PasswordDeleteError

    await KeyringStore().put(KEY, "value")
    monkeypatch.setattr(entries, "delete_password", refuse)
    with pytest.raises(PasswordDeleteError):
        await KeyringStore().delete(KEY)


@pytest.mark.anyio
@pytest.mark.parametrize("foreign", ["a password", "3 0123456789abcdef\nwhose other pieces are lost"])
async def test_an_entry_that_is_not_a_whole_value_counts_as_none(entries: NarrowKeyring, foreign: str) -> None:
    entries.entries["mcpcore", KEY] = foreign
    store = KeyringStore()
    assert await store.get(KEY) is None
    await store.put(KEY, "value")
    assert await store.get(KEY) == "value"
    assert len(entries.entries) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("after", ["the new value", None])
async def test_a_value_that_another_process_replaces_is_read_whole(entries: NarrowKeyring, after: str | None) -> None:
    store = KeyringStore()
    await store.put(KEY, LONG)

    def replace(name: str) -> None:
        if name != KEY:
            # The head was read, and now comes another piece.
            entries.meanwhile = lambda _: None
            entries.entries.clear()
            if after is not None:
                entries.entries["mcpcore", KEY] = f"1 0123456789abcdef\n{after}"

    entries.meanwhile = replace
    assert await store.get(KEY) == after


@pytest.mark.anyio
async def test_a_process_that_ends_halfway_has_changed_nothing(entries: NarrowKeyring) -> None:
    store = KeyringStore()
    await store.put(KEY, "before")

    def end(name: str) -> None:
        raise KeyringLocked

    entries.meanwhile = end
    with pytest.raises(KeyringLocked):
        await store.put(KEY, LONG)
    entries.busy, entries.meanwhile = 0, lambda _: None
    assert await store.get(KEY) == "before"


@pytest.mark.anyio
async def test_calls_that_meet_are_made_one_at_a_time() -> None:
    values = [f"{number}{LONG}" for number in range(6)]
    async with anyio.create_task_group() as tasks:
        for value in values:
            tasks.start_soon(KeyringStore().put, KEY, value)
            tasks.start_soon(KeyringStore().get, KEY)
    assert await KeyringStore().get(KEY) in values


@pytest.mark.anyio
async def test_threads_with_loops_of_their_own_share_the_keyring() -> None:
    store = KeyringStore()

    async def write(number: int) -> None:
        await store.put(KEY, f"{number}{LONG}")

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(anyio.to_thread.run_sync, lambda number=number: anyio.run(write, number))
    assert await store.get(KEY) in [f"{number}{LONG}" for number in range(4)]


@pytest.mark.anyio
async def test_who_waits_for_a_locked_keyring_may_leave_and_the_loop_goes_on(entries: NarrowKeyring) -> None:
    asked, unlocked = anyio.Event(), threading.Event()

    def lock(name: str) -> None:
        anyio.from_thread.run_sync(asked.set)
        assert unlocked.wait(10)

    entries.meanwhile = lock
    threads = threading.active_count()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(KeyringStore().get, KEY)
        await asked.wait()
        await anyio.wait_all_tasks_blocked()
        # The others wait without a thread, which the program may need for something else.
        assert threading.active_count() <= threads + 1
        tasks.cancel_scope.cancel()
    entries.meanwhile = lambda _: None
    unlocked.set()
    await KeyringStore().put(KEY, "value")
    assert await KeyringStore().get(KEY) == "value"


@pytest.mark.anyio
async def test_what_is_being_written_is_written_though_its_caller_is_cancelled(entries: NarrowKeyring) -> None:
    with anyio.CancelScope() as scope:

        def cancel(name: str) -> None:
            anyio.from_thread.run_sync(scope.cancel)

        entries.meanwhile = cancel
        await KeyringStore().put(KEY, "value")
    assert scope.cancel_called
    assert list(entries.entries) == [("mcpcore", KEY)]


@pytest.mark.parametrize("backend", [NoKeyring, DisabledKeyring])
def test_a_machine_without_a_keyring_is_told_at_once(backend: type[KeyringBackend]) -> None:
    use(backend())
    with pytest.raises(ConfigurationError, match="no keyring that can be used"):
        KeyringStore()


def test_a_keyring_that_cannot_be_loaded_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "nowhere.to_be.Found")
    with pytest.raises(ConfigurationError, match="PYTHON_KEYRING_BACKEND"):
        KeyringStore()


def found(priority: float) -> KeyringBackend:
    """One that the library finds by itself."""
    kind: type[KeyringBackend] = type("FoundKeyring", (NarrowKeyring,), {"priority": priority})
    return kind()


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Lets the library look once more, and find these on this machine."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PYTHON_KEYRING_BACKEND", raising=False)
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)

    def finding(*keyrings: KeyringBackend) -> None:
        there = [NoKeyring(), ChainerBackend(), *keyrings]
        monkeypatch.setattr(keyring.backend, "get_all_keyring", lambda: there)

    return finding


@pytest.mark.parametrize("priorities", [(0.5,), (5, 0.5), (0.9, 0.5)])
def test_what_may_keep_plaintext_is_not_used_because_it_was_found(
    finding: Callable[..., None], priorities: tuple[float, ...]
) -> None:
    finding(*map(found, priorities))
    with pytest.raises(ConfigurationError, match=r"\.FoundKeyring.*unencrypted.*PYTHON_KEYRING_BACKEND"):
        KeyringStore()


@pytest.mark.parametrize("priorities", [(1,), (5, 4.9)])
def test_what_the_library_recommends_is_used_because_it_was_found(
    finding: Callable[..., None], priorities: tuple[float, ...]
) -> None:
    finding(*map(found, priorities))
    KeyringStore()
    assert isinstance(keyring.get_keyring(), ChainerBackend) == (len(priorities) > 1)


@pytest.mark.parametrize("place", ["program", "environment", "file"])
def test_what_may_keep_plaintext_is_used_if_it_is_named(
    finding: Callable[..., None], place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding(found(5), found(0.5))
    name = f"{FileKeyring.__module__}.{FileKeyring.__name__}"
    match place:
        case "program":
            use(FileKeyring())
        case "environment":
            monkeypatch.setenv("PYTHON_KEYRING_BACKEND", name)
        case _:
            file = tmp_path / "python_keyring" / "keyringrc.cfg"
            file.parent.mkdir()
            file.write_text(f"[backend]\ndefault-keyring={name}")
    KeyringStore()
    assert isinstance(keyring.get_keyring(), FileKeyring)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"mcpcore\[keyring\]"):
        KeyringStore()
