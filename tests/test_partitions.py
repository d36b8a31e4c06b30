"""Partitions: how they are found, and how many are kept."""

from __future__ import annotations

import itertools

from support.scenes import ALICE, BOB, HANDSHAKE, SSE, PureServer, reachable

from mcpcore import (
    Client,
    Limits,
)
from mcpcore.digests import Digester
from mcpcore.partitions import Partition, Partitions
from mcpcore.session import Session

URL = "https://mcp.example/mcp"


def no_time() -> float:
    return 0.0


def test_no_principal_has_the_key_of_any_identity() -> None:
    partitions = Partitions(Digester(b"key"), Limits(), no_time)
    keys = {partitions.of_principal(text).key for text in ("p", "identity\0p", "p\0", "\ud800")}
    keys |= {partitions.of_identity(text).key for text in (b"p", b"principal\0p", b"p\0", b"")}
    assert len(keys) == 8


def test_a_key_tells_nothing_without_the_clients_secret() -> None:
    one, other = Partitions(Digester(b"one"), Limits(), no_time), Partitions(Digester(b"other"), Limits(), no_time)
    assert one.of_identity(b"token").key != other.of_identity(b"token").key
    assert one.of_identity(b"token").key == Partitions(Digester(b"one"), Limits(), no_time).of_identity(b"token").key


# Budgets.


def test_identities_without_a_principal_cannot_push_principals_out() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=2, anonymous_partitions=2), no_time)
    named = [partitions.of_principal(name) for name in ("a", "b")]
    for number in range(10):
        partitions.of_identity(str(number).encode())
    assert len(partitions.all()) == 4
    assert [partitions.of_principal(name) for name in ("a", "b")] == named


def test_the_least_recently_used_goes_first_and_never_one_in_use() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=2), no_time)
    first, second = partitions.of_principal("1"), partitions.of_principal("2")
    assert partitions.of_principal("1") is first
    third = partitions.of_principal("3")
    assert partitions.all() == [first, third]
    first.users = third.users = 1
    fourth = partitions.of_principal("4")
    assert partitions.all() == [first, third, fourth]
    assert partitions.of_principal("2") is not second
    assert partitions.all()[:2] == [first, third]


def test_what_was_kept_beyond_the_bound_goes_when_it_can() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=1), no_time)
    busy: list[Partition] = []
    for number in range(3):
        busy.append(partitions.of_principal(str(number)))
        busy[-1].users = 1
    assert partitions.all() == busy
    for partition in busy:
        partition.users = 0
    last = partitions.of_principal("4")
    assert partitions.all() == [last]


def test_the_stream_of_an_identity_that_is_pushed_out_is_closed() -> None:
    server = PureServer("sse")
    client = Client(URL, limits=Limits(partitions=1), **SSE)
    server.driver.run(client.list_tools(context=ALICE))
    server.driver.run(client.list_tools(context=BOB))
    assert [stream.closed.raised for stream in server.driver.streams] == [True, False]


def test_minted_tokens_leave_a_bounded_trace() -> None:
    server = PureServer("handshake")
    counter = itertools.count()
    token = ""
    client = Client(URL, get_headers=lambda _: {"X-Token": token}, limits=Limits(anonymous_partitions=3), **HANDSHAKE)
    for _ in range(10):
        token = str(next(counter))
        server.driver.run(client.list_tools())
    kept = [item for item in reachable(client) if isinstance(item, Partition)]
    assert len(kept) == len([item for item in reachable(client) if isinstance(item, Session)]) == 3


def test_a_partition_that_nobody_will_find_is_not_kept() -> None:
    partitions = Partitions(Digester(b"key"), Limits(), no_time)
    assert partitions.of_nobody() is not partitions.of_nobody()
    assert partitions.all() == []
