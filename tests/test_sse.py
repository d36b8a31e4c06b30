"""The event stream parser: every rule of the grammar, and that where chunks end never matters."""

import itertools
import re
from collections.abc import Iterable

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpcore.codecs.sse import ServerSentEvent, SSEParser
from mcpcore.errors import LimitExceeded
from mcpcore.limits import Limits

Event = ServerSentEvent


@frozen
class Outcome:
    """All that can be seen of one stream."""

    events: list[Event]
    last_event_id: str | None = None
    retry: int | None = None
    limit: str | None = None


def parse(chunks: Iterable[bytes], limits: Limits | None = None) -> Outcome:
    parser = SSEParser(limits or Limits())
    events: list[Event] = []
    try:
        for chunk in chunks:
            parser.receive_data(chunk)
            while (event := parser.next_event()) is not None:
                events.append(event)
    except LimitExceeded as error:
        return Outcome(events, parser.last_event_id, parser.retry, error.limit)
    return Outcome(events, parser.last_event_id, parser.retry)


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def split_at(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@st.composite
def split_streams(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    stream = draw(streams)
    return split_at(stream, draw(st.lists(st.integers(0, len(stream)), max_size=8)))


GRAMMAR = [
    # Lines
    pytest.param(b"data: a\n\n", Outcome([Event(data=b"a")]), id="LF"),
    pytest.param(b"data: a\r\r", Outcome([Event(data=b"a")]), id="CR"),
    pytest.param(b"data: a\r\n\r\n", Outcome([Event(data=b"a")]), id="CRLF"),
    pytest.param(b"data: a\r\n\rdata: b\n\r\n", Outcome([Event(data=b"a"), Event(data=b"b")]), id="mixed ends"),
    pytest.param(b"data: a\n\rdata: b\r\n\n", Outcome([Event(data=b"a"), Event(data=b"b")]), id="LF then CR"),
    pytest.param(b"data: a\r\ndata: b\r\n\r\n", Outcome([Event(data=b"a\nb")]), id="CRLF is one end"),
    pytest.param(
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei\n\n".encode(),
        Outcome([Event(data="a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei".encode())]),
        id="no other line ends",
    ),
    pytest.param(b"data: a\x85b\n\n", Outcome([Event(data=b"a\x85b")]), id="a lone 0x85 is data"),
    # The byte order mark
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", Outcome([Event(data=b"a")]), id="BOM"),
    pytest.param(b"\xef\xbb\xbf\ndata: a\n\n", Outcome([Event(data=b"a")]), id="BOM before a blank line"),
    pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", Outcome([Event(data=b"b")]), id="only one BOM"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", Outcome([Event(data=b"a")]), id="BOM only at the start"),
    pytest.param(b"\xef\xbbdata: a\n\ndata: b\n\n", Outcome([Event(data=b"b")]), id="two thirds of a BOM"),
    pytest.param(b"\xef\xbb\xbf", Outcome([]), id="nothing but a BOM"),
    # Fields
    pytest.param(b": a comment\ndata: a\n:\n\n", Outcome([Event(data=b"a")]), id="comments"),
    pytest.param(b"data:a\n\ndata:  b\n\n", Outcome([Event(data=b"a"), Event(data=b" b")]), id="one space goes"),
    pytest.param(b"data:\ta\n\n", Outcome([Event(data=b"\ta")]), id="a tab stays"),
    pytest.param(b"data: a: b\n\n", Outcome([Event(data=b"a: b")]), id="the first colon counts"),
    pytest.param(b"unknown: x\ndata: a\nunknown\n\n", Outcome([Event(data=b"a")]), id="unknown fields"),
    pytest.param(b"Data: x\n data: y\ndata : z\n\n", Outcome([]), id="names are exact"),
    # Data
    pytest.param(b"data: a\ndata\ndata: b\n\n", Outcome([Event(data=b"a\n\nb")]), id="multi-line data"),
    pytest.param(b"data\ndata\n\n", Outcome([Event(data=b"\n")]), id="two empty lines of data"),
    pytest.param(b"data\n\ndata:\n\ndata: \n\n", Outcome([Event(), Event(), Event()]), id="empty data"),
    pytest.param(b"\n\n\n", Outcome([]), id="blank lines"),
    pytest.param(b"data: a\n", Outcome([]), id="an unfinished event"),
    pytest.param(b"data: a\n\ndata: b", Outcome([Event(data=b"a")]), id="an unfinished line"),
    # Type
    pytest.param(b"event: ping\ndata: a\n\n", Outcome([Event("ping", b"a")]), id="type"),
    pytest.param(b"event: x\nevent\ndata: a\n\n", Outcome([Event("message", b"a")]), id="empty type"),
    pytest.param(
        b"event: x\n\ndata: a\n\nevent: y\ndata: b\n\ndata: c\n\n",
        Outcome([Event(data=b"a"), Event("y", b"b"), Event(data=b"c")]),
        id="a type counts for its event alone",
    ),
    pytest.param("event: né\ndata: a\n\n".encode(), Outcome([Event("né", b"a")]), id="type in UTF-8"),
    pytest.param(b"event: \xff\ndata: a\n\n", Outcome([Event("\ufffd", b"a")]), id="type not in UTF-8"),
    # Id
    pytest.param(
        b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\n",
        Outcome([Event(data=b"a"), Event(data=b"b", id="1"), Event(data=b"c", id="1")], "1"),
        id="an id stays in force",
    ),
    pytest.param(
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        Outcome([Event(data=b"a", id="1"), Event(data=b"b", id="")], ""),
        id="an id can be taken back",
    ),
    pytest.param(
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        Outcome([Event(data=b"a", id="1"), Event(data=b"b", id="1")], "1"),
        id="an id with NUL",
    ),
    pytest.param(b"id: 1\ndata:\n\n", Outcome([Event(id="1")], "1"), id="an id that primes, with empty data"),
    pytest.param(b"id: 1\n\n", Outcome([], "1"), id="an id that primes, without data"),
    pytest.param(b"id: 1\n\nid: 2\ndata: a\n", Outcome([], "1"), id="the id of an unfinished event"),
    pytest.param(b"id: \xff\n\n", Outcome([], "\ufffd"), id="an id not in UTF-8"),
    # Retry
    pytest.param(b"retry: 1500\ndata: a\n\n", Outcome([Event(data=b"a", retry=1500)], None, 1500), id="retry"),
    pytest.param(b"retry: 15\n", Outcome([], None, 15), id="retry takes no blank line"),
    pytest.param(b"retry: 0\n", Outcome([], None, 0), id="retry at once"),
    pytest.param(
        b"retry: 7\nretry: 1.5\nretry: -1\nretry: +1\nretry: 1_0\nretry:  1\nretry: 1 \nretry\nretry: x\n",
        Outcome([], None, 7),
        id="retry is digits alone",
    ),
    pytest.param("retry: ٣\n".encode(), Outcome([]), id="retry is ASCII digits alone"),
    pytest.param(b"retry: 999999999\nretry: 1000000000\n", Outcome([], None, 999_999_999), id="retry is bounded"),
]


@pytest.mark.parametrize(("stream", "expected"), GRAMMAR)
def test_grammar_however_the_stream_is_split(stream: bytes, expected: Outcome) -> None:
    assert parse([stream]) == expected
    assert parse(byte_by_byte(stream)) == expected
    for cut in range(len(stream) + 1):
        assert parse([stream[:cut], b"", stream[cut:]]) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_out_with_the_byte_that_completes_it(end: bytes) -> None:
    # A CR ends a line; waiting to see whether an LF follows would hold back an event until the next one comes.
    parser = SSEParser(Limits())
    for byte in byte_by_byte(b"data: a" + end + end[:-1]):
        parser.receive_data(byte)
        if end != b"\r\n":
            assert parser.next_event() is None
    parser.receive_data(end[-1:])
    assert parser.next_event() == Event(data=b"a")
    assert parser.next_event() is None


def test_chunks_may_pile_up_before_events_are_taken() -> None:
    parser = SSEParser(Limits())
    for byte in byte_by_byte(b"\xef\xbb\xbfdata: a\r\n\r\ndata: b\r\n\r\n"):
        parser.receive_data(byte)
    assert [parser.next_event() for _ in range(3)] == [Event(data=b"a"), Event(data=b"b"), None]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_chunk_may_be_far_larger_than_what_is_cut_at_once(end: bytes) -> None:
    sizes = [0, 1, 65_534, 65_535, 65_536, 65_537, 200_000, 3]
    stream = b"".join(b"data: %b%bdata: .%b%b" % (b"x" * size, end, end, end) for size in sizes)
    assert parse([stream] * 3).events == [Event(data=b"x" * size + b"\n.") for size in sizes * 3]


def test_what_may_be_secret_is_not_in_a_repr() -> None:
    event = Event("message", b"the-data", id="the-id", retry=5)
    assert "the-" not in repr(event)
    parser = SSEParser(Limits())
    parser.receive_data(b"id: the-id\ndata: the-data\n\ndata: the-data")
    parser.next_event()
    assert "the-" not in repr(parser)


# Limits: a line of 20 bytes, an event's data of 30.
SMALL = Limits(sse_line_bytes=20, message_bytes=30)
A_LINE = b"data: " + b"x" * 14
LIMITS = [
    pytest.param(A_LINE + b"\n\n", Outcome([Event(data=b"x" * 14)]), id="a line at its limit"),
    pytest.param(A_LINE + b"x\n\n", Outcome([], limit="sse_line_bytes"), id="a line over its limit"),
    pytest.param(
        b"data: a\n\n" + A_LINE + b"x",
        Outcome([Event(data=b"a")], limit="sse_line_bytes"),
        id="a line over its limit before it ends",
    ),
    pytest.param(b":" + b"x" * 20, Outcome([], limit="sse_line_bytes"), id="a comment is a line"),
    pytest.param(b"\xef\xbb\xbf" + A_LINE + b"\n\n", Outcome([Event(data=b"x" * 14)]), id="the BOM does not count"),
    pytest.param(
        (A_LINE + b"\n") * 2 + b"data\n\n",
        Outcome([Event(data=b"x" * 14 + b"\n" + b"x" * 14 + b"\n")]),
        id="data at its limit",
    ),
    pytest.param((A_LINE + b"\n") * 2 + b"data: x\n\n", Outcome([], limit="message_bytes"), id="data over its limit"),
    pytest.param(
        b"data: a\n\n" + b"data\n" * 32, Outcome([Event(data=b"a")], limit="message_bytes"), id="line feeds are data"
    ),
    pytest.param(b"data\n" * 31 + b"\n", Outcome([Event(data=b"\n" * 30)]), id="line feeds at their limit"),
    pytest.param(
        b"id: 1\n\nid: 2\ndata: a\n\nretry: 5\n" + b"y" * 21 + b"\ndata: b\n\n",
        Outcome([Event(data=b"a", id="2")], "2", 5, "sse_line_bytes"),
        id="everything before the error counts",
    ),
]


@pytest.mark.parametrize(("stream", "expected"), LIMITS)
def test_limits_are_met_at_the_same_point_however_the_stream_is_split(stream: bytes, expected: Outcome) -> None:
    assert parse([stream], SMALL) == expected
    assert parse(byte_by_byte(stream), SMALL) == expected
    for cut in range(len(stream) + 1):
        assert parse([stream[:cut], stream[cut:]], SMALL) == expected


def test_a_single_line_of_data_has_the_same_limit_as_many() -> None:
    limits = Limits(message_bytes=5)
    assert parse([b"data: 12345\n\n"], limits) == Outcome([Event(data=b"12345")])
    assert parse([b"data: 123456\n\n"], limits) == Outcome([], limit="message_bytes")


def test_a_limit_names_itself_and_shows_no_data() -> None:
    parser = SSEParser(SMALL)
    parser.receive_data(b"data: a-secret-of-someone\n")
    with pytest.raises(LimitExceeded, match=r"limits\.sse_line_bytes is 20") as caught:
        parser.next_event()
    assert "secret" not in str(caught.value)


# Streams that look like streams: the names, line ends and edges of the grammar, in any order.
PIECES = [
    *(b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"),
    *(b"a", b"12", b"\0", b"\xef\xbb\xbf", b"\xef", b"\xe2\x80\xa8", b"\xff", b"message", b"data: {}\n\n", b"id: 7\n"),
]
streams = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)


def by_the_standard(stream: bytes) -> Outcome:
    """The standard's algorithm, word by word and all at once."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]
    events: list[Event] = []
    data, kind, id_buffer, last_event_id, retry = b"", "", None, None, None
    for line in lines:
        if not line:
            last_event_id = id_buffer
            if data:
                events.append(Event(kind or "message", data[:-1], last_event_id, retry))
            data, kind = b"", ""
            continue
        match = re.fullmatch(rb"([^:]*)(?:: ?(.*))?", line, re.DOTALL)
        assert match is not None
        name, value = match[1], match[2] or b""
        if name == b"data":
            data += value + b"\n"
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            id_buffer = value.decode("utf-8", "replace")
        elif name == b"retry" and re.fullmatch(rb"[0-9]{1,9}", value):
            retry = int(value)
    return Outcome(events, last_event_id, retry)


@settings(deadline=None)
@given(split_streams(streams))
def test_any_split_of_any_stream_gives_what_the_standard_says(chunks: list[bytes]) -> None:
    expected = by_the_standard(b"".join(chunks))
    assert parse(chunks) == expected
    assert parse(byte_by_byte(b"".join(chunks))) == expected


@settings(deadline=None)
@given(split_streams(streams | st.binary(max_size=200)), st.integers(1, 12), st.integers(1, 12))
def test_any_bytes_give_events_or_a_limit(chunks: list[bytes], line_bytes: int, message_bytes: int) -> None:
    limits = Limits(sse_line_bytes=line_bytes, message_bytes=message_bytes)
    whole = parse([b"".join(chunks)], limits)
    assert parse(chunks, limits) == whole
    assert parse(byte_by_byte(b"".join(chunks)), limits) == whole
    assert all(len(event.data) <= message_bytes for event in whole.events)
    assert whole.limit in (None, "sse_line_bytes", "message_bytes")
