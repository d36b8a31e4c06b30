"""The exchange machine: one HTTP request and its response, from bytes alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st
from support.stepping import event

from mcpcore import LimitExceeded, Limits, LocalProtocolError, McpError, RemoteProtocolError, TransportError
from mcpcore.codecs.jsonrpc import ErrorResponse, Notification, Request, Response
from mcpcore.machines.exchange import Exchange

LIMITS = Limits()
JSON = [("content-type", "application/json")]
STREAM = [("content-type", "text/event-stream")]
RESULT = {"jsonrpc": "2.0", "id": 7, "result": {"ok": True}}
ERROR = {"jsonrpc": "2.0", "id": 7, "error": {"code": -32602, "message": "no"}}
PROGRESS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}}
PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
OF_ANOTHER = {"jsonrpc": "2.0", "id": 8, "result": {"ok": False}}
NO_ID = {"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}}

ANSWERED = Response(7, {"ok": True})
REFUSED = ErrorResponse(7, -32602, "no", None)
PROGRESSED = Notification("notifications/progress", {"progressToken": 7, "progress": 1})
PINGED = Request("p", "ping", {})


def body(message: object) -> bytes:
    return json.dumps(message).encode()


def play(
    exchange: Exchange, status: int, headers: Iterable[tuple[str, str]], chunks: Iterable[bytes], end: object = None
) -> tuple[object, list[Notification | Request]]:
    """What comes of a response: the answer (or the error's type), and the messages before it.

    ``end`` is an error if the connection breaks after the chunks.
    """
    messages: list[Notification | Request] = []
    try:
        exchange.receive_head(status, headers)
        drain(exchange, messages)
        for chunk in chunks:
            if exchange.over:
                break
            exchange.receive_data(chunk)
            drain(exchange, messages)
        if not exchange.over:
            if isinstance(end, McpError):
                exchange.receive_failure(end)
            else:
                exchange.receive_end()
            drain(exchange, messages)
    except McpError as error:
        return type(error), messages
    return exchange.answer, messages


def drain(exchange: Exchange, messages: list[Any] | None = None) -> list[Any]:
    """Put what there is to ``messages``, also before an error."""
    messages = [] if messages is None else messages
    while found := exchange.next_messages():
        messages += found
    return messages


def split(data: bytes, *cuts: int) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


RESPONSES: dict[str, tuple[int, Sequence[tuple[str, str]], bytes, object, list[Any]]] = {
    "a result": (200, JSON, body(RESULT), ANSWERED, []),
    "a result with a charset": (200, [("Content-Type", "Application/JSON; charset=utf-8")], body(RESULT), ANSWERED, []),
    "a result without a content type": (200, [], body(RESULT), ANSWERED, []),
    "a result with 201": (201, JSON, body(RESULT), ANSWERED, []),
    "an error with 200": (200, JSON, body(ERROR), REFUSED, []),
    "an error without an id": (200, JSON, body(NO_ID), ErrorResponse(None, -32600, "no"), []),
    "an error with a null id": (200, JSON, body({**NO_ID, "id": None}), ErrorResponse(None, -32600, "no"), []),
    "a result of another id": (200, JSON, body(OF_ANOTHER), RemoteProtocolError, []),
    "a result of the same id, as text": (200, JSON, body({**RESULT, "id": "7"}), RemoteProtocolError, []),
    "a result without an id": (200, JSON, body({"jsonrpc": "2.0", "result": {}}), RemoteProtocolError, []),
    "a notification instead of an answer": (200, JSON, body(PROGRESS), RemoteProtocolError, []),
    "a batch": (200, JSON, body([RESULT]), RemoteProtocolError, []),
    "no body": (200, JSON, b"", RemoteProtocolError, []),
    "half a body": (200, JSON, body(RESULT)[:-1], RemoteProtocolError, []),
    "two bodies": (200, JSON, body(RESULT) * 2, RemoteProtocolError, []),
    "no content": (204, [], b"", RemoteProtocolError, []),
    "accepted, but an answer was due": (202, JSON, b"", RemoteProtocolError, []),
    "a web page": (200, [("content-type", "text/html")], b"<html>", RemoteProtocolError, []),
    "a redirect": (307, [("location", "/elsewhere")], b"moved", None, []),
    "a refusal without a body": (400, [], b"", None, []),
    "a refusal with a page": (404, [("content-type", "text/html")], b"<html>", None, []),
    "a refusal with an error": (400, JSON, body(ERROR), REFUSED, []),
    "a refusal with an error without an id": (400, JSON, body(NO_ID), ErrorResponse(None, -32600, "no"), []),
    "a refusal with an error of another id": (400, JSON, body({**ERROR, "id": 8}), None, []),
    "a refusal with a result": (400, JSON, body(RESULT), None, []),
    "a refusal with what is no message": (500, JSON, b'{"detail": "no"}', None, []),
    "a refusal with what is no JSON": (502, JSON, b"<html>", None, []),
    "a refusal with half an error": (400, JSON, body(ERROR)[:-1], None, []),
    "a stream with an answer": (200, STREAM, event(RESULT), ANSWERED, []),
    "a stream with an error": (200, STREAM, event(ERROR), REFUSED, []),
    "a stream with more": (
        200,
        STREAM,
        b"\xef\xbb\xbf: hello\r\n\r\n" + event(PROGRESS) + b"id: 1\ndata:\n\n" + event(PING) + event(RESULT),
        ANSWERED,
        [PROGRESSED, PINGED],
    ),
    "a stream with answers to others": (
        200,
        STREAM,
        event(OF_ANOTHER) + event({**RESULT, "id": "7"}) + event(RESULT),
        ANSWERED,
        [],
    ),
    "a stream with events of other types": (200, STREAM, event(ERROR, "other") + event(RESULT), ANSWERED, []),
    "a stream with 202": (202, STREAM, event(RESULT), ANSWERED, []),
    "a stream without an answer": (200, STREAM, event(PROGRESS), RemoteProtocolError, [PROGRESSED]),
    "an empty stream": (200, STREAM, b"", RemoteProtocolError, []),
    "a stream with a batch": (200, STREAM, event([RESULT]), RemoteProtocolError, []),
    "a stream with garbage": (200, STREAM, event(PING) + event(b"{") + event(RESULT), RemoteProtocolError, [PINGED]),
    "a stream with garbage after the answer": (200, STREAM, event(RESULT) + event(b"{"), ANSWERED, []),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_responses(name: str) -> None:
    status, headers, data, answer, messages = RESPONSES[name]
    assert play(Exchange(LIMITS, 7), status, headers, [data]) == (answer, messages)
    by_byte = [bytes([byte]) for byte in data]
    assert play(Exchange(LIMITS, 7), status, headers, by_byte) == (answer, messages)


@given(name=st.sampled_from(sorted(RESPONSES)), cuts=st.lists(st.integers(0, 400), max_size=8))
def test_where_the_network_cuts_does_not_matter(name: str, cuts: list[int]) -> None:
    status, headers, data, answer, messages = RESPONSES[name]
    assert play(Exchange(LIMITS, 7), status, headers, split(data, *cuts)) == (answer, messages)


def is_complete(data: bytes, headers: object) -> bool:
    """Whether the answer is whole."""
    if headers is STREAM:
        return event(RESULT) in data or event(ERROR) in data
    try:
        return bool(json.loads(data))
    except ValueError:
        return False


@pytest.mark.parametrize("broken", [False, True], ids=["ended", "broken"])
@pytest.mark.parametrize("name", [name for name, response in RESPONSES.items() if response[0] < 300])
def test_cut_off_at_every_byte(name: str, broken: bool) -> None:
    """Unless the answer was whole it is an error, and never another answer."""
    status, headers, data, answer, messages = RESPONSES[name]
    for length in range(len(data)):
        outcome, seen = play(
            Exchange(LIMITS, 7), status, headers, [data[:length]], TransportError("broken") if broken else None
        )
        assert seen == messages[: len(seen)]
        if is_complete(data[:length], headers) and (headers is STREAM or not broken):
            assert outcome == (answer if name != "two bodies" else ANSWERED)
        else:
            assert outcome in (RemoteProtocolError, TransportError)


@pytest.mark.parametrize("broken", [False, True], ids=["ended", "broken"])
@pytest.mark.parametrize("name", [name for name, response in RESPONSES.items() if response[0] >= 300])
def test_a_refusal_cut_off_is_still_a_refusal(name: str, broken: bool) -> None:
    status, headers, data, _, _ = RESPONSES[name]
    for length in range(len(data)):
        exchange = Exchange(LIMITS, 7)
        end = TransportError("broken") if broken else None
        assert play(exchange, status, headers, [data[:length]], end) == (None, [])
        assert exchange.head.status == status


def test_a_break_before_the_head() -> None:
    exchange = Exchange(LIMITS, 7)
    error = TransportError("broken")
    with pytest.raises(TransportError) as caught:
        exchange.receive_failure(error)
    assert caught.value is error


def test_what_follows_the_answer_is_not_looked_at() -> None:
    exchange = Exchange(LIMITS, 7)
    exchange.receive_head(200, STREAM)
    exchange.receive_data(event(RESULT) + event({**RESULT, "result": {}}) + b"data: {\n\n")
    assert drain(exchange) == []
    assert exchange.over
    exchange.receive_data(event(PROGRESS))
    assert drain(exchange) == []
    exchange.receive_failure(TransportError("broken"))
    assert exchange.answer == ANSWERED


def test_the_same_answer_twice_in_one_batch() -> None:
    exchange = Exchange(LIMITS, 7, batches=True)
    assert play(exchange, 200, JSON, [body([RESULT, ERROR])]) == (ANSWERED, [])


@pytest.mark.parametrize("headers", [JSON, STREAM], ids=["json", "stream"])
def test_batches_where_the_revision_has_them(headers: list[tuple[str, str]]) -> None:
    batch = [PROGRESS, OF_ANOTHER, RESULT, PING]
    data = event(batch) if headers is STREAM else body(batch)
    assert play(Exchange(LIMITS, 7, batches=True), 200, headers, [data]) == (ANSWERED, [PROGRESSED, PINGED])


def test_an_empty_batch() -> None:
    assert play(Exchange(LIMITS, 7, batches=True), 200, JSON, [b"[]"]) == (RemoteProtocolError, [])


@pytest.mark.parametrize(
    ("status", "headers", "data", "answer"),
    [
        (202, [], b"", None),
        (204, [], b"", None),
        (200, JSON, body(RESULT), None),
        (200, STREAM, event(RESULT), None),
        (200, [("content-type", "text/html")], b"<html>", None),
        (400, JSON, body(NO_ID), ErrorResponse(None, -32600, "no")),
        (400, JSON, body(ERROR), None),
        (500, [], b"", None),
    ],
)
def test_when_no_answer_is_due(
    status: int, headers: list[tuple[str, str]], data: bytes, answer: ErrorResponse | None
) -> None:
    exchange = Exchange(LIMITS)
    assert play(exchange, status, headers, [data]) == (answer, [])
    assert exchange.head.status == status


@pytest.mark.parametrize(
    ("status", "headers", "is_stream", "is_over"),
    [
        (200, STREAM, True, False),
        (404, STREAM, False, True),
        (404, [], False, True),
        (404, JSON, False, False),
        (302, STREAM, False, True),
    ],
)
def test_when_a_stream_is_wanted(status: int, headers: list[tuple[str, str]], is_stream: bool, is_over: bool) -> None:
    exchange = Exchange(LIMITS, listens=True)
    exchange.receive_head(status, headers)
    assert (exchange.is_stream, exchange.over) == (is_stream, is_over)


@pytest.mark.parametrize(("status", "headers"), [(200, JSON), (200, []), (204, []), (202, JSON)])
def test_when_a_stream_is_wanted_and_none_comes(status: int, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(RemoteProtocolError, match="instead of an event stream"):
        Exchange(LIMITS, listens=True).receive_head(status, headers)


def test_the_head() -> None:
    exchange = Exchange(LIMITS, 7)
    exchange.receive_head(
        401,
        [
            (b"Content-Type", b"text/html"),
            (b"MCP-Session-ID", b" secret-1 "),
            (b"Location", b"/x?token=secret-2"),
            ("Retry-After", "3"),
            ("WWW-Authenticate", 'Bearer scope="a"'),
            ("www-authenticate", "Basic"),
        ],
    )
    head = exchange.head
    assert (head.status, head.media_type, head.session_id) == (401, "text/html", "secret-1")
    assert (head.location, head.retry_after) == ("/x?token=secret-2", 3.0)
    assert [challenge.scheme for challenge in head.challenges] == ["Bearer", "Basic"]
    assert "secret" not in repr(exchange)


@pytest.mark.parametrize("session_id", ["", "a b", "a\x7f", "caf\xe9", "a\tb"])
def test_a_session_id_that_cannot_be_sent_back(session_id: str) -> None:
    with pytest.raises(RemoteProtocolError, match="session id"):
        Exchange(LIMITS, 7).receive_head(200, [*JSON, ("mcp-session-id", session_id)])


def head_limit(limits: Limits) -> None:
    Exchange(limits, 7).receive_head(200, [*JSON, ("a", "b" * 10)])


def body_limit(limits: Limits) -> None:
    exchange = Exchange(limits, 7)
    exchange.receive_head(200, JSON)
    for byte in body(RESULT):
        exchange.receive_data(bytes([byte]))


def stream_limit(limits: Limits) -> None:
    exchange = Exchange(limits, 7)
    exchange.receive_head(200, STREAM)
    exchange.receive_data(event(PROGRESS) + event(PING) + event(PROGRESS))
    drain(exchange)


@pytest.mark.parametrize(
    ("limit", "enough", "play_with"),
    [
        ("header_count", 2, head_limit),
        ("header_bytes", 39, head_limit),
        ("message_bytes", len(body(RESULT)), body_limit),
        ("message_bytes", len(body(PROGRESS)), stream_limit),
        ("sse_line_bytes", len(body(PROGRESS)) + 6, stream_limit),
        ("stream_messages", 3, stream_limit),
        ("json_depth", 2, stream_limit),
    ],
)
def test_limits(limit: str, enough: int, play_with: Any) -> None:
    play_with(evolve(LIMITS, **{limit: enough}))
    with pytest.raises(LimitExceeded) as caught:
        play_with(evolve(LIMITS, **{limit: enough - 1}))
    assert caught.value.limit == limit


def test_of_a_long_refusal_the_status_is_what_counts() -> None:
    exchange = Exchange(evolve(LIMITS, error_body_bytes=4), 7)
    exchange.receive_head(503, JSON)
    exchange.receive_data(b"1234")
    assert not exchange.over
    exchange.receive_data(b"5")
    assert exchange.over
    exchange.receive_data(b"6")
    exchange.receive_end()
    assert (exchange.answer, exchange.head.status) == (None, 503)


def test_a_refusal_nested_too_deep_is_a_refusal() -> None:
    exchange = Exchange(evolve(LIMITS, json_depth=1), 7)
    assert play(exchange, 400, JSON, [body(ERROR)]) == (None, [])


header_names = st.sampled_from(
    ["content-type", "mcp-session-id", "location", "retry-after", "www-authenticate", "x", "Content-Type"]
)
header_values = st.one_of(
    st.sampled_from(["application/json", "text/event-stream", "text/html", "Bearer a=", "17", ""]),
    st.text(st.characters(max_codepoint=255), max_size=30),
)
pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([body(m) for m in (RESULT, ERROR, NO_ID, PROGRESS, PING, [RESULT])]),
    st.sampled_from([event(m) for m in (RESULT, ERROR, OF_ANOTHER, PROGRESS, PING, b"{", b"[]")]),
    st.sampled_from([b"data:", b"\n", b"\r", b"[" * 300, b"NaN", b"\xff"]),
)


@given(
    status=st.integers(100, 999),
    headers=st.lists(st.tuples(header_names, header_values), max_size=5),
    chunks=st.lists(pieces, max_size=8),
    request_id=st.sampled_from([7, "7", None]),
    batches=st.booleans(),
    listens=st.booleans(),
    broken=st.booleans(),
)
@example(200, [("content-type", "text/event-stream")], [event(RESULT)], 7, False, False, False)
@example(200, [("content-type", "text/event-stream")], [], 7, False, True, False)
def test_any_response(
    status: int,
    headers: list[tuple[str, str]],
    chunks: list[bytes],
    request_id: int | str | None,
    batches: bool,
    listens: bool,
    broken: bool,
) -> None:
    """Any bytes with any status and any headers: an answer, none for a refusal, or one of two errors."""
    limits = evolve(LIMITS, message_bytes=200, sse_line_bytes=300, error_body_bytes=100, stream_messages=5)
    exchange = Exchange(limits, request_id, batches, listens)
    outcome, _ = play(exchange, status, headers, chunks, TransportError("broken") if broken else None)
    if isinstance(outcome, Response | ErrorResponse):
        assert outcome.id == request_id or (outcome.id is None and isinstance(outcome, ErrorResponse))
    elif outcome is None:
        assert exchange.head.status >= 300 or request_id is None
    else:
        assert outcome in (RemoteProtocolError, LimitExceeded, TransportError)
        assert outcome is not TransportError or broken or listens


@pytest.mark.parametrize("act", ["data", "end", "failure"])
def test_order(act: str) -> None:
    """After the end there is no more, and before the head there is no body."""
    steps: dict[str, Any] = {
        "data": lambda exchange: exchange.receive_data(b""),
        "end": lambda exchange: exchange.receive_end(),
        "failure": lambda exchange: exchange.receive_failure(TransportError("broken")),
    }
    exchange = Exchange(LIMITS, 7)
    if act != "failure":
        with pytest.raises(LocalProtocolError, match="waiting for the head"):
            steps[act](exchange)
    assert play(exchange, 200, JSON, [body(RESULT)]) == (ANSWERED, [])
    with pytest.raises(LocalProtocolError, match="done"):
        steps[act](exchange)
    assert exchange.answer == ANSWERED
