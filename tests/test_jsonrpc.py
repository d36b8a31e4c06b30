"""JSON-RPC messages: what is read, what is refused, and that what is written can be read back."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpcore.codecs.jsonrpc import ErrorResponse, Message, Notification, Request, Response, decode, encode
from mcpcore.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from mcpcore.limits import Limits

LIMITS = Limits()


def text(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **fields}).encode()


NO_IDS: list[Any] = [None, True, 1.5, [], {}]
ERROR = {"code": -32601, "message": "no such method"}

READ = [
    pytest.param(text(id=1, method="ping"), Request(1, "ping"), id="request"),
    pytest.param(text(id="a", method="m", params={"x": [1]}), Request("a", "m", {"x": [1]}), id="with parameters"),
    pytest.param(text(id=1, method="m", params=None), Request(1, "m"), id="null parameters"),
    pytest.param(text(id=0, method=""), Request(0, ""), id="zero and nothing are an id and a method"),
    pytest.param(text(id=1, method="m", result={}, error=ERROR), Request(1, "m"), id="a method makes it a request"),
    pytest.param(text(method="m"), Notification("m"), id="notification"),
    pytest.param(text(method="m", params={"x": None}), Notification("m", {"x": None}), id="with its parameters"),
    pytest.param(text(id=1, result={}), Response(1, {}), id="response"),
    pytest.param(text(id="", result={"a": {}}, error=None), Response("", {"a": {}}), id="a null error is none"),
    pytest.param(text(id=1, error=ERROR), ErrorResponse(1, -32601, "no such method"), id="error"),
    pytest.param(text(id=None, error=ERROR), ErrorResponse(None, -32601, "no such method"), id="of a null id"),
    pytest.param(text(error=ERROR), ErrorResponse(None, -32601, "no such method"), id="without an id"),
    pytest.param(text(id=1, error=ERROR, result=None), ErrorResponse(1, -32601, "no such method"), id="no result"),
    pytest.param(text(id=1, error={"code": 7}), ErrorResponse(1, 7, ""), id="without a message"),
    pytest.param(text(id=1, error={"code": 7, "message": None}), ErrorResponse(1, 7, ""), id="with a null message"),
    pytest.param(text(id=1, error={**ERROR, "data": [1]}), ErrorResponse(1, -32601, "no such method", [1]), id="data"),
    pytest.param(text(id=1, result={}, extra=1, _meta={}), Response(1, {}), id="unknown fields"),
    pytest.param(b' \r\n\t{"jsonrpc": "2.0", "method": "m"} \n', Notification("m"), id="white space"),
    pytest.param('{"jsonrpc":"2.0","method":"né\u2028😀"}'.encode(), Notification("né\u2028😀"), id="UTF-8"),
    pytest.param(rb'{"jsonrpc":"2.0","method":"\ud800"}', Notification("\ud800"), id="an escaped lone surrogate"),
    pytest.param(b'{"jsonrpc":"2.0","method":"a","method":"b"}', Notification("b"), id="the last of two fields"),
    pytest.param(text(id=10**30, result={}), Response(10**30, {}), id="a large id"),
]


@pytest.mark.parametrize(("data", "message"), READ)
def test_what_is_read(data: bytes, message: Message) -> None:
    assert decode(data, LIMITS) == [message]


REFUSED = [
    # Not JSON
    pytest.param(b"", "at character 0", id="nothing"),
    pytest.param(b"<html>", "not JSON", id="HTML"),
    pytest.param(text(method="m")[:-1], "not JSON", id="cut off"),
    pytest.param(text(method="m") + b"{}", "not JSON", id="two messages"),
    pytest.param(b'{"jsonrpc":"2.0","method":"\xff"}', "not UTF-8", id="not UTF-8"),
    pytest.param(b'{"jsonrpc":"2.0","method":"\xed\xa0\x80"}', "not UTF-8", id="a surrogate in bytes"),
    pytest.param('{"jsonrpc":"2.0","method":"m"}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
    pytest.param('{"jsonrpc":"2.0","method":"m"}'.encode("utf-16-le"), "not JSON", id="UTF-16 without a mark"),
    *(
        pytest.param(b'{"jsonrpc":"2.0","method":"m","params":{"x":%b}}' % constant, "a number", id=constant.decode())
        for constant in (b"NaN", b"Infinity", b"-Infinity")
    ),
    pytest.param(b'{"jsonrpc":"2.0","method":"m","params":{"x":%b}}' % (b"1" * 5_000), "too long", id="5,000 digits"),
    # Not a message
    *(pytest.param(data, "JSON-RPC object", id=data.decode()) for data in (b"1", b'"x"', b"null", b"true", b"{}")),
    pytest.param(b'{"method":"m"}', "JSON-RPC object", id="no version"),
    pytest.param(text(jsonrpc="1.0", method="m"), "JSON-RPC object", id="another version"),
    pytest.param(text(jsonrpc=2.0, method="m"), "JSON-RPC object", id="a version that is a number"),
    pytest.param(text(), "no method", id="neither call nor answer"),
    pytest.param(text(id=1), "no method", id="an id alone"),
    # Calls
    pytest.param(text(id=1, method=None), "method", id="a null method"),
    pytest.param(text(id=1, method=1), "method", id="a method that is a number"),
    pytest.param(text(id=1, method="m", params=[]), "parameters", id="positional parameters"),
    pytest.param(text(id=1, method="m", params="x"), "parameters", id="parameters that are a string"),
    *(
        pytest.param(text(id=bad, **{key: content}), "id of a message", id=f"{json.dumps(bad)} is no id of a {key}")
        for bad in NO_IDS
        for key, content in (("method", "m"), ("result", {}))
    ),
    # Answers
    pytest.param(text(result={}), "id of a message", id="a result without an id"),
    pytest.param(text(id=1, result=None), "no object for a result", id="a null result"),
    pytest.param(text(id=1, result=[]), "no object for a result", id="a result that is an array"),
    pytest.param(text(id=1, result={}, error=ERROR), "beside a result", id="a result and an error"),
    pytest.param(text(id=1, error="x"), "not an object", id="an error that is a string"),
    pytest.param(text(id=1, error=False), "not an object", id="an error that is false"),
    *(
        pytest.param(text(id=1, error={"code": bad, "message": ""}), "code", id=f"{json.dumps(bad)} is no code")
        for bad in (None, True, -32601.0, "-32601")
    ),
    pytest.param(text(id=1, error={"message": ""}), "code", id="no code"),
    pytest.param(text(id=1, error={"code": 1, "message": 2}), "message of an error", id="a message that is a number"),
    pytest.param(text(id=True, error=ERROR), "id of a message", id="true is no id of an error"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        decode(data, LIMITS)


def test_a_refusal_shows_nothing_of_the_message() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(b'{"token": "a-secret", }', LIMITS)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_batch_only_where_the_revision_has_them() -> None:
    batch = b"[%b,%b]" % (text(method="m"), text(id=1, result={}))
    assert decode(batch, LIMITS, batches=True) == [Notification("m"), Response(1, {})]
    with pytest.raises(RemoteProtocolError, match="batch"):
        decode(batch, LIMITS)
    with pytest.raises(RemoteProtocolError, match="batch"):
        decode(b"[]", LIMITS)


def test_a_batch_is_not_the_only_thing_where_there_are_batches() -> None:
    assert decode(text(method="m"), LIMITS, batches=True) == [Notification("m")]


@pytest.mark.parametrize("batch", [b"[]", b"[1]", b"[[]]", b"[%b,{}]" % text(method="m")])
def test_a_bad_batch(batch: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(batch, LIMITS, batches=True)


def test_the_size_is_limited() -> None:
    data = text(method="m")
    assert decode(data, Limits(message_bytes=len(data)))
    with pytest.raises(LimitExceeded, match=r"limits\.message_bytes") as caught:
        decode(data, Limits(message_bytes=len(data) - 1))
    assert caught.value.limit == "message_bytes"


# Depth: strings that hold what the measuring looks for must not count, however they are written.
hostile_text = st.text(st.sampled_from('[]{}"\\/aé\n\0 ') | st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | hostile_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(hostile_text, inner, max_size=4),
    max_leaves=25,
)


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner: Any = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0)


@settings(deadline=None)
@example(["\\", "["], True, None)  # a string that ends in an escape, and not in its quote
@example(['\\"', "["], True, None)
@example(['"', "["], True, None)
@example(["[", "]", "[{"], True, None)
@given(values, st.booleans(), st.none() | st.integers(0, 2))
def test_the_depth_is_measured_exactly(value: Any, ensure_ascii: bool, indent: int | None) -> None:
    message = {"jsonrpc": "2.0", "method": "m", "params": {"value": value}}
    data = json.dumps(message, ensure_ascii=ensure_ascii, indent=indent).encode()
    deep = depth(message)
    assert decode(data, Limits(json_depth=deep)) == [Notification("m", {"value": value})]
    with pytest.raises(LimitExceeded, match=r"limits\.json_depth") as caught:
        decode(data, Limits(json_depth=deep - 1))
    assert caught.value.limit == "json_depth"


def test_a_wide_message_is_not_a_deep_one() -> None:
    assert decode(text(method="m", params={"x": [[]] * 10_000}), Limits(json_depth=4))


@pytest.mark.parametrize("limits", [LIMITS, Limits(json_depth=10_000_000)], ids=["measured", "unmeasured"])
@pytest.mark.parametrize("pattern", [b"[", b"]", b'["', b'"[', b"[]", b"\\[", b'{"a":', b"[[]"])
def test_nesting_without_end(limits: Limits, pattern: bytes) -> None:
    with pytest.raises((RemoteProtocolError, LimitExceeded)):
        decode(pattern * 200_000, limits)


def test_nesting_that_only_the_interpreter_limits() -> None:
    nested = b'{"jsonrpc":"2.0","method":"m","params":{"x":%b%b}}' % (b"[" * 200_000, b"]" * 200_000)
    with pytest.raises(RemoteProtocolError, match="too deep"):
        decode(nested, Limits(json_depth=10_000_000))


fragments = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"jsonrpc":"2.0"', b'"id":1', b'"method":"m"', b'"result":{}',
     b'"error":{"code":1}', b'"params":', b"null", b"true", b"1", b"-", b"e9999", b"NaN", b"\xff", b" "]
)  # fmt: skip


@settings(deadline=None)
@given(st.binary() | st.lists(fragments).map(b"".join) | values.map(lambda v: json.dumps(v).encode()), st.booleans())
def test_any_bytes_give_messages_or_one_of_two_errors(data: bytes, batches: bool) -> None:
    try:
        messages = decode(data, Limits(json_depth=5, message_bytes=100), batches=batches)
    except (RemoteProtocolError, LimitExceeded):
        return
    assert messages


WRITTEN = [
    (Request(1, "ping"), b'{"jsonrpc":"2.0","id":1,"method":"ping"}'),
    (Request("a", "m", {"x": "né😀"}), '{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":"né😀"}}'.encode()),
    (Notification("m"), b'{"jsonrpc":"2.0","method":"m"}'),
    (Notification("m", {"x": [1, None]}), b'{"jsonrpc":"2.0","method":"m","params":{"x":[1,null]}}'),
    (Response(0, {}), b'{"jsonrpc":"2.0","id":0,"result":{}}'),
    (ErrorResponse(1, -1, "no"), b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}'),
    (ErrorResponse(None, -1), b'{"jsonrpc":"2.0","error":{"code":-1,"message":""}}'),
    (ErrorResponse("", 1, "", 0), b'{"jsonrpc":"2.0","id":"","error":{"code":1,"message":"","data":0}}'),
]


@pytest.mark.parametrize(("message", "data"), WRITTEN)
def test_what_is_written(message: Message, data: bytes) -> None:
    assert encode(message) == data


ids = st.integers() | st.text(st.characters(codec="utf-8"))
names = st.text(st.characters(codec="utf-8"))
objects = st.dictionaries(names, values | st.floats(allow_nan=False, allow_infinity=False))
messages = st.one_of(
    st.builds(Request, ids, names, objects),
    st.builds(Notification, names, objects),
    st.builds(Response, ids, objects),
    st.builds(ErrorResponse, st.none() | ids, st.integers(), names, values),
)


@settings(deadline=None)
@given(messages)
def test_what_is_written_is_read_back(message: Message) -> None:
    assert decode(encode(message), LIMITS) == [message]


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {"secret": "the-secret"}
    value["self"] = value
    return value


def bottomless() -> list[Any]:
    value: list[Any] = ["the-secret"]
    for _ in range(200_000):
        value = [value]
    return value


class Opaque:
    def __repr__(self) -> str:
        return "the-secret"


UNWRITABLE = [
    pytest.param({"the-secret"}, "of a type", id="a set"),
    pytest.param(b"the-secret", "of a type", id="bytes"),
    pytest.param(Opaque(), "of a type", id="an object"),
    pytest.param({("the-secret",): 1}, "of a type", id="a key"),
    pytest.param(["the-secret", math.nan], "a number", id="NaN"),
    pytest.param(["the-secret", math.inf], "a number", id="infinity"),
    pytest.param(10**5_000, "a number", id="5,000 digits"),
    pytest.param(circular(), "nested too deep", id="a circle"),
    pytest.param(bottomless(), "too deep", id="no bottom"),
    pytest.param("the-secret\ud800", "surrogate", id="a lone surrogate"),
    pytest.param({"the-secret\ud800": 1}, "surrogate", id="a lone surrogate in a key"),
]


@pytest.mark.parametrize(("value", "reason"), UNWRITABLE)
def test_what_cannot_be_written_is_named_and_not_shown(value: Any, reason: str) -> None:
    kinds: list[tuple[Message, str]] = [
        (Request(1, "tools/call", {"arguments": value}), "tools/call"),
        (Notification("notifications/progress", {"x": value}), "notifications/progress"),
        (Response(1, {"x": value}), "an answer"),
        (ErrorResponse(1, 1, "", value), "an answer"),
    ]
    for message, name in kinds:
        with pytest.raises(LocalProtocolError, match=f"^{name}.*{reason}") as caught:
            encode(message)
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None


def test_what_may_be_secret_is_not_in_a_repr() -> None:
    secret = {"token": "the-secret"}
    kinds: list[Message] = [
        Request(1, "m", secret),
        Notification("m", secret),
        Response(1, secret),
        ErrorResponse(1, 1, "", secret),
    ]
    for message in kinds:
        assert "secret" not in repr(message)
