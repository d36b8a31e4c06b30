"""What a shared store may do to a client: nothing but save it a request.

Whatever is not exactly what was put is a miss, and so is a store that fails or is slow; it then is left alone.
"""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from support.stores import DAY, SECRET, Clock, Memory, sealed
from trio.testing import MockClock

from mcpcore import ConfigurationError, StoredEntry
from transports.stores import SealedStore

KEY, OTHER = b"k" * 32, b"o" * 32
VALUE = b'{"tools":[]}'


async def hang() -> None:
    await anyio.sleep_forever()


async def refuse() -> None:
    raise ConnectionRefusedError("redis://user:password@host refused")


async def put_one(store: Memory, clock: Clock, ttl: float = 60.0) -> bytes:
    """Put VALUE under KEY, and return what the store then holds."""
    await sealed(store, clock).put(KEY, VALUE, ttl)
    return store.held[KEY]


# What comes back


@pytest.mark.anyio
async def test_what_one_process_puts_another_gets_with_its_age() -> None:
    store, clock = Memory(), Clock()
    await put_one(store, clock, ttl=60.0)
    clock.now += 12.5
    assert await sealed(store, clock).get(KEY) == StoredEntry(VALUE, age=12.5, ttl=60.0)


@pytest.mark.anyio
async def test_an_empty_value_is_a_value() -> None:
    store = Memory()
    await sealed(store).put(KEY, b"", 1.0)
    assert await sealed(store).get(KEY) == StoredEntry(b"", age=0.0, ttl=1.0)


@pytest.mark.anyio
async def test_what_is_not_there_is_a_miss_and_what_is_deleted_is_gone() -> None:
    store = Memory()
    client = sealed(store)
    assert await client.get(KEY) is None
    await client.put(KEY, VALUE, 1.0)
    await client.put(OTHER, VALUE, 1.0)
    await client.delete((KEY, OTHER, b"never there"))
    assert await client.get(KEY) is None
    assert store.held == {}


@pytest.mark.anyio
async def test_the_store_sees_neither_the_value_nor_the_same_bytes_twice() -> None:
    store, clock = Memory(), Clock()
    first, second = await put_one(store, clock), await put_one(store, clock)
    assert VALUE not in first
    assert first[:12] != second[:12]
    assert first[12:] != second[12:]


@pytest.mark.anyio
async def test_the_format_is_what_other_versions_read() -> None:
    sealed_value = await put_one(Memory(), Clock(1234.5), ttl=60.0)
    derived = HKDF(SHA256(), 32, salt=None, info=b"mcpcore shared store 1\0sealing key").derive(SECRET)
    nonce, ciphertext = sealed_value[:12], sealed_value[12:]
    plain = AESGCMSIV(derived).decrypt(nonce, ciphertext, b"mcpcore shared store 1\0" + KEY)
    assert plain == struct.pack(">dd", 1234.5, 60.0) + VALUE


# What is a miss


@pytest.mark.anyio
async def test_a_value_with_any_bit_of_it_changed_is_a_miss() -> None:
    store, clock = Memory(), Clock()
    original = await put_one(store, clock)
    client = sealed(store, clock)
    for place in range(len(original)):
        for bit in range(8):
            changed = bytearray(original)
            changed[place] ^= 1 << bit
            store.held[KEY] = bytes(changed)
            assert await client.get(KEY) is None, (place, bit)
    store.held[KEY] = original
    assert await client.get(KEY) is not None


@pytest.mark.anyio
async def test_a_value_with_a_part_missing_or_something_added_is_a_miss() -> None:
    store, clock = Memory(), Clock()
    original = await put_one(store, clock)
    client = sealed(store, clock)
    for length in range(len(original)):
        for part in (original[:length], original[length + 1 :]):
            store.held[KEY] = part
            assert await client.get(KEY) is None, length
    for added in (original + b"\0", b"\0" + original, original * 2):
        store.held[KEY] = added
        assert await client.get(KEY) is None


@pytest.mark.anyio
async def test_a_value_under_another_key_is_a_miss() -> None:
    store, clock = Memory(), Clock()
    store.held[OTHER] = await put_one(store, clock)
    assert await sealed(store, clock).get(OTHER) is None


@pytest.mark.anyio
async def test_a_key_and_the_format_before_it_cannot_be_cut_otherwise() -> None:
    store, clock = Memory(), Clock()
    store.held[KEY[1:]] = store.held[b"\0" + KEY] = await put_one(store, clock)
    client = sealed(store, clock)
    assert await client.get(KEY[1:]) is None
    assert await client.get(b"\0" + KEY) is None


@pytest.mark.anyio
async def test_a_value_under_another_secret_is_a_miss() -> None:
    store, clock = Memory(), Clock()
    await put_one(store, clock)
    assert await sealed(store, clock, secret=SECRET + b"!").get(KEY) is None


@pytest.mark.anyio
@pytest.mark.parametrize("passed", [-5.0, 0.0, 59.5])
async def test_a_value_is_there_until_its_time_is_up(passed: float) -> None:
    store, clock = Memory(), Clock()
    await put_one(store, clock, ttl=60.0)
    clock.now += passed
    assert await sealed(store, clock).get(KEY) == StoredEntry(VALUE, age=max(passed, 0.0), ttl=60.0)


@pytest.mark.anyio
@pytest.mark.parametrize("passed", [60.0, DAY, -5.5, -DAY])
async def test_a_value_that_has_expired_or_is_still_to_come_is_a_miss(passed: float) -> None:
    store, clock = Memory(), Clock()
    await put_one(store, clock, ttl=60.0)
    clock.now += passed
    assert await sealed(store, clock).get(KEY) is None


@pytest.mark.anyio
@pytest.mark.parametrize("ttl", [float("inf"), float("nan"), 0.0, -1.0])
async def test_a_value_for_no_time_or_for_ever_is_not_put(ttl: float) -> None:
    store = Memory()
    await sealed(store).put(KEY, VALUE, ttl)
    assert store.asked == []


@pytest.mark.anyio
async def test_to_delete_nothing_the_store_is_not_asked() -> None:
    store = Memory()
    await sealed(store).delete(())
    assert store.asked == []


@pytest.mark.anyio
@pytest.mark.parametrize("now", [float("inf"), float("-inf"), float("nan")])
async def test_a_value_from_no_time_at_all_is_a_miss(now: float) -> None:
    store = Memory()
    await put_one(store, Clock(now))
    assert await sealed(store).get(KEY) is None


@pytest.mark.anyio
async def test_a_value_that_is_too_large_is_neither_put_nor_taken() -> None:
    store, clock = Memory(), Clock()
    await sealed(store, clock, largest=len(VALUE) - 1).put(KEY, VALUE, 1.0)
    assert store.asked == []
    await sealed(store, clock, largest=len(VALUE)).put(KEY, VALUE, 1.0)
    assert await sealed(store, clock, largest=len(VALUE) - 1).get(KEY) is None
    assert await sealed(store, clock, largest=len(VALUE)).get(KEY) is not None


@pytest.mark.anyio
@pytest.mark.parametrize("answer", ["text", 5, [], bytearray(100), memoryview(bytes(100))], ids=repr)
async def test_a_store_that_answers_with_no_bytes_is_a_miss(answer: Any) -> None:
    store = Memory()
    store.held[KEY] = answer
    assert await sealed(store).get(KEY) is None


@given(st.binary(max_size=200))
def test_any_bytes_that_were_not_sealed_are_a_miss(garbage: bytes) -> None:
    async def get() -> StoredEntry | None:
        return await sealed(Memory({KEY: garbage})).get(KEY)

    assert anyio.run(get) is None


# A store that fails


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", [hang, refuse])
@pytest.mark.parametrize("request_name", ["get", "put", "delete"])
async def test_a_store_in_trouble_fails_no_request(request_name: str, trouble: Callable[[], Awaitable[None]]) -> None:
    store = Memory(before=trouble)
    client = sealed(store, timeout=0.01)
    requests: dict[str, Callable[[], Awaitable[object]]] = {
        "get": lambda: client.get(KEY),
        "put": lambda: client.put(KEY, VALUE, 1.0),
        "delete": lambda: client.delete((KEY,)),
    }
    assert await requests[request_name]() is None
    assert store.asked == [request_name]


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", [hang, refuse])
async def test_a_store_that_failed_is_left_alone(trouble: Callable[[], Awaitable[None]]) -> None:
    store = Memory(before=trouble)
    client = sealed(store, timeout=0.01)
    await client.get(KEY)
    await client.get(KEY)
    await client.put(KEY, VALUE, 1.0)
    await client.delete((KEY,))
    assert store.asked == ["get"]


@pytest.mark.anyio
async def test_requests_under_way_when_a_store_fails_pay_once_each() -> None:
    store = Memory(before=hang)
    client = sealed(store, timeout=0.01)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client.get, KEY)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client.get, KEY)
    assert store.asked == ["get"] * 5


@pytest.mark.trio
async def test_a_request_takes_no_longer_than_it_may(autojump_clock: MockClock) -> None:
    client = sealed(Memory(before=hang), timeout=0.25)
    begun = trio.current_time()
    assert await client.get(KEY) is None
    assert trio.current_time() - begun == pytest.approx(0.25)


async def ask_in_a_hurry(client: SealedStore, seconds: float) -> None:
    """Get what is there, with twice that long to live."""
    begun = trio.current_time()
    with anyio.fail_after(2 * seconds):
        assert await client.get(KEY) is None
        assert trio.current_time() - begun == pytest.approx(seconds)


@pytest.mark.trio
async def test_a_caller_in_a_hurry_gives_the_store_half_of_his_time(autojump_clock: MockClock) -> None:
    """Otherwise a store that hangs would cost him all of it; but others may have more, and go on asking."""

    async def slowly() -> None:
        await anyio.sleep(0.2)

    store = Memory(before=slowly)
    client = sealed(store, timeout=0.25, pause=5.0)
    await client.put(KEY, VALUE, DAY)
    for _ in range(5):
        await ask_in_a_hurry(client, 0.1)
        assert await client.get(KEY) is not None
    assert store.asked == ["put", *["get", "get"] * 5]


@pytest.mark.trio
async def test_a_store_that_hangs_is_found_out_by_callers_in_a_hurry_too(autojump_clock: MockClock) -> None:
    store = Memory(before=hang)
    client = sealed(store, timeout=0.25, pause=5.0)
    for _ in range(3):
        await ask_in_a_hurry(client, 0.1)
    assert await client.get(KEY) is None
    assert store.asked == ["get"] * 3
    await anyio.sleep(5)
    await ask_in_a_hurry(client, 0.1)
    assert await client.get(KEY) is None
    assert store.asked == ["get"] * 4


@pytest.mark.trio
async def test_a_time_out_of_the_stores_own_is_a_failure_even_in_a_hurry(autojump_clock: MockClock) -> None:
    async def time_out() -> None:
        raise TimeoutError

    store = Memory(before=time_out)
    client = sealed(store)
    with anyio.fail_after(0.1):
        await client.get(KEY)
        await client.get(KEY)
    assert store.asked == ["get"]


@pytest.mark.trio
async def test_a_slow_store_that_answers_in_time_is_no_failure(autojump_clock: MockClock) -> None:
    async def slowly() -> None:
        await anyio.sleep(0.2)

    store = Memory(before=slowly)
    client = sealed(store, timeout=0.25)
    await client.put(KEY, VALUE, 1.0)
    assert await client.get(KEY) is not None


@pytest.mark.trio
async def test_after_the_pause_one_request_finds_out_and_the_others_go_on_without(autojump_clock: MockClock) -> None:
    store = Memory(before=hang)
    client = sealed(store, timeout=0.25, pause=5.0)
    for outage in range(1, 4):
        async with anyio.create_task_group() as tasks:
            for _ in range(3 if outage > 1 else 1):
                tasks.start_soon(client.get, KEY)
        assert store.asked == ["get"] * outage
        await anyio.sleep(4.99)
        await client.get(KEY)
        assert store.asked == ["get"] * outage
        await anyio.sleep(0.02)


@pytest.mark.trio
async def test_a_store_that_answers_again_is_used_again(autojump_clock: MockClock) -> None:
    store = Memory(before=refuse)
    client = sealed(store, pause=5.0)
    await client.put(KEY, VALUE, DAY)
    store.before = anyio.lowlevel.checkpoint
    await anyio.sleep(5)
    await client.put(KEY, VALUE, DAY)
    assert (await client.get(KEY)) is not None
    store.before = refuse
    assert await client.get(KEY) is None
    assert store.asked == ["put", "put", "get", "get"]


@pytest.mark.trio
async def test_a_request_that_was_slower_than_an_outage_does_not_end_it(autojump_clock: MockClock) -> None:
    store = Memory()
    client = sealed(store, timeout=0.25, pause=5.0)
    go_on = anyio.Event()

    async with anyio.create_task_group() as tasks:
        store.before = go_on.wait
        tasks.start_soon(client.get, KEY)
        await anyio.wait_all_tasks_blocked()
        store.before = refuse
        await client.get(KEY)
        go_on.set()
    await client.get(KEY)
    assert store.asked == ["get", "get"]


# Whose cancellation it is


@pytest.mark.anyio
async def test_a_cancellation_passes_through_and_is_no_failure() -> None:
    store = Memory(before=hang)
    client = sealed(store)
    outcomes: list[object] = []

    async def ask() -> None:
        outcomes.append(await client.get(KEY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert outcomes == []
    store.before = anyio.lowlevel.checkpoint
    await client.get(KEY)
    assert store.asked == ["get", "get"]


@pytest.mark.trio
async def test_who_was_to_find_out_and_is_cancelled_leaves_it_to_another(autojump_clock: MockClock) -> None:
    store = Memory(before=refuse)
    client = sealed(store, pause=5.0)
    await client.get(KEY)
    await anyio.sleep(5)
    store.before = hang
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, KEY)
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    store.before = anyio.lowlevel.checkpoint
    await anyio.sleep(4)
    await client.put(KEY, VALUE, DAY)
    assert await client.get(KEY) is not None


async def cancel_without_anybody_asking() -> None:
    """As a store does on asyncio that waits for a task which somebody else has cancelled; trio forbids it."""
    raise anyio.get_cancelled_exc_class()


@pytest.mark.anyio
async def test_a_cancellation_that_nobody_asked_for_is_a_failure_and_cancels_nobody() -> None:
    store = Memory(before=cancel_without_anybody_asking)
    client = sealed(store)
    assert await client.get(KEY) is None
    await anyio.lowlevel.checkpoint()
    assert await client.get(KEY) is None
    assert store.asked == ["get"]


@pytest.mark.anyio
async def test_what_is_no_failure_of_the_store_comes_out_as_it_is() -> None:
    class Stop(BaseException):
        pass

    async def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        await sealed(Memory(before=stop)).get(KEY)


# What is told


@pytest.mark.trio
async def test_an_outage_is_warned_of_once_and_tells_no_secret(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "transports")
    store = Memory(before=refuse)
    client = sealed(store, pause=5.0)
    for _ in range(3):
        await client.get(KEY)
        await anyio.sleep(5)
    store.before = anyio.lowlevel.checkpoint
    await client.get(KEY)
    warning, relief = caplog.messages
    assert warning.startswith("the shared store failed (ConnectionRefusedError); it is left alone, 5 seconds at a time")
    assert relief == "the shared store answers again"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert {record.name for record in caplog.records} == {"transports"}
    store.before = refuse
    await client.get(KEY)
    assert len(caplog.records) == 3
    assert all(record.exc_info is None for record in caplog.records)
    assert "password" not in caplog.text


def test_what_is_printed_tells_no_secret() -> None:
    client = sealed(Memory(), secret=SECRET)
    assert SECRET.decode() not in repr(client)
    assert "secret" not in repr(client)


# What it takes


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 16 bytes"):
        sealed(Memory(), secret=b"fifteen bytes..")
    sealed(Memory(), secret=b"sixteen bytes...")


def test_without_cryptography_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError, match=r"mcpcore\[redis\]"):
        sealed(Memory())


def test_a_cryptography_that_cannot_do_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import aead

    def unsupported(key: bytes) -> None:
        raise UnsupportedAlgorithm("AES-GCM-SIV")

    monkeypatch.setattr(aead, "AESGCMSIV", unsupported)
    with pytest.raises(ConfigurationError, match=r"OpenSSL 3\.2"):
        sealed(Memory())
