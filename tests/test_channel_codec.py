"""Newline-delimited JSON: lines out of bytes, wherever those were cut."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpcore import LimitExceeded, Limits
from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import Notification
from mcpcore.codecs.newline_json import LineParser, frame

STREAM = '{"a":1}\n\n{"b":"\\n\u2028 \u00e9"}\r\n \t\n[1]\n{"unfinished'.encode()
LINES = [b'{"a":1}', '{"b":"\\n\u2028 \u00e9"}'.encode(), b"[1]"]


def lines(chunks: Iterable[bytes], limits: Limits | None = None) -> list[bytes]:
    parser, found = LineParser(limits or Limits()), list[bytes]()
    for chunk in chunks:
        parser.receive_data(chunk)
        while (line := parser.next_line()) is not None:
            found.append(line)
    return found


def test_whole_and_byte_by_byte() -> None:
    assert lines([STREAM]) == LINES
    assert lines(STREAM[i : i + 1] for i in range(len(STREAM))) == LINES
    assert lines([STREAM, b'":2}\n']) == [*LINES, b'{"unfinished":2}']


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert lines(STREAM[start:end] for start, end in pairwise(places)) == LINES


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("line", [b"[123456789]", b"[123456789]\n", b" " * 11 + b"\n"])
def test_a_line_that_is_too_long(size: int, line: bytes) -> None:
    limits = Limits(message_bytes=10)
    data = b"[12345678]\n" + line
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    with pytest.raises(LimitExceeded) as caught:
        lines(chunks, limits)
    assert caught.value.limit == "message_bytes"
    assert lines([data[:11]], limits) == [b"[12345678]"]


def test_lines_before_one_that_is_too_long_are_read() -> None:
    parser = LineParser(Limits(message_bytes=10))
    parser.receive_data(b"[1]\n" + b" " * 11)
    assert parser.next_line() == b"[1]"
    with pytest.raises(LimitExceeded):
        parser.next_line()


def test_what_is_sent_is_one_line() -> None:
    line = frame(jsonrpc.encode(Notification("x", {"text": "a\nb\r\u2028"})))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert lines([line]) == [line[:-1]]
