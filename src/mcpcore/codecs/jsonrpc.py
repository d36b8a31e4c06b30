"""JSON-RPC 2.0 messages, and their way from bytes and to bytes.

Lenient in: fields that we do not know are ignored, and missing ``params`` are empty ones.  What is ambiguous
or of the wrong type is refused all the same, because a message that can be read in two ways is answered
wrongly in one of them.  Strict out: what is encoded can be decoded by anyone.

Both ways lead through the standard library's JSON, one call a message.  Its parser trusts its input too much,
in three ways that are mended here: it accepts UTF-16 and broken UTF-8 (so the text is decoded first), it
knows ``NaN`` and ``Infinity`` (so they are refused), and it follows nesting until the interpreter's stack is
used up (so the depth is measured before).  Measuring is exact, and a message with few brackets does not need
it.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from attrs import define, field

from mcpcore.codecs.shapes import is_integer, is_object
from mcpcore.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.limits import Limits


@define
class Request:
    """A call that expects an answer under the same ``id``."""

    id: int | str
    method: str
    params: dict[str, Any] = field(factory=dict[str, Any], repr=False)


@define
class Notification:
    """A message that expects no answer."""

    method: str
    params: dict[str, Any] = field(factory=dict[str, Any], repr=False)


@define
class Response:
    """The answer to the request ``id``."""

    id: int | str
    result: dict[str, Any] = field(repr=False)


@define
class ErrorResponse:
    """The refusal of the request ``id``, which is None if the other side could not tell which one it was."""

    id: int | str | None
    code: int
    message: str = ""
    data: Any = field(default=None, repr=False)


_Json: TypeAlias = dict[str, Any] | list[Any] | str | float | None
Message = Request | Notification | Response | ErrorResponse


def decode(data: bytes, limits: Limits, *, batches: bool = False) -> list[Message]:
    """Parse one HTTP body or the data of one event.

    :param data: JSON in UTF-8.
    :param limits: ``message_bytes`` bounds the size of ``data``, ``json_depth`` how deep it nests.
    :param batches: whether the revision spoken permits an array of messages, as 2025-03-26 alone does (Base
        Protocol, "Batching").
    :returns: the messages in their order; exactly one unless it is a batch.
    :raises RemoteProtocolError: if it is not JSON, or JSON but not JSON-RPC.
    :raises LimitExceeded: if it is larger or nests deeper than the limits allow.
    """
    value: _Json = parse(data, limits)
    if not isinstance(value, list):
        return [_message(value)]
    if not batches:
        raise RemoteProtocolError("a batch of messages, which this protocol revision does not have")
    if not value:
        raise RemoteProtocolError("an empty batch of messages")
    return [_message(item) for item in value]


def encode(message: Message) -> bytes:
    """Write ``message`` as JSON in UTF-8, ready to be sent.

    :raises LocalProtocolError: if it holds something that JSON does not have.  The error names the message's
        method and never the value.
    """
    return write(_fields(message), message.method if isinstance(message, (Request, Notification)) else _ANSWER)


def encode_with_meta(request_id: int, method: str, params: Mapping[str, Any], meta: bytes) -> bytes:
    """Write a request, as :func:`encode` does, around the one part of it that is not known before.

    :param params: some, without ``_meta``.
    :param meta: their ``_meta``, as :func:`write` wrote it.
    """
    inner = write(params, method)[:-1]
    return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b,"_meta":%b}}' % (request_id, _text(method), inner, meta)


@lru_cache(maxsize=64)
def _text(method: str) -> bytes:
    return write(method, method)


def write(value: Any, name: str) -> bytes:
    """Write a message, or a part of one, as JSON in UTF-8.

    :param name: what the error calls it.
    :raises LocalProtocolError: if it holds something that JSON does not have.
    """
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        reason = "text with a lone surrogate"
    except TypeError:
        reason = "a value, or a key, of a type that JSON does not have"
    except RecursionError:
        reason = "values nested too deep"
    except ValueError:
        reason = "a number that JSON does not have"
    # Raised out of the handlers, so that no exception in the chain holds the value.
    raise LocalProtocolError(f"{name} cannot be written as JSON: it holds {reason}")


def dump(value: dict[str, Any], *, is_canonical: bool = False) -> bytes:
    """Write one JSON object.

    :param is_canonical: whether in the form that all equal objects share.
    :raises LocalProtocolError: if it holds something that JSON does not have.
    """
    try:
        text = (_CANONICAL if is_canonical else _ENCODER).encode(value)
        # Half of a surrogate pair, which some servers cut text into, has a form in JSON but none in UTF-8.
        return text.encode() if text.isascii() or not _LONE_SURROGATE.search(text) else _ASCII.encode(value).encode()
    except (TypeError, ValueError, RecursionError):
        reason = "a value cannot be written as JSON"
    raise LocalProtocolError(reason)


def load(data: bytes) -> dict[str, Any]:
    """Read what :func:`dump` wrote."""
    value: dict[str, Any] = _DECODER.decode(data.decode())
    return value


# What contains itself is nested too deep, which is found out anyway; to look for it first takes time in each call.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
_ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_ANSWER = "an answer to the server"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CANONICAL = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def _fields(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"jsonrpc": "2.0"}
    if isinstance(message, (Request, Notification)):
        if isinstance(message, Request):
            fields["id"] = message.id
        fields["method"] = message.method
        if message.params:
            fields["params"] = message.params
    elif isinstance(message, Response):
        fields["id"] = message.id
        fields["result"] = message.result
    else:
        # MCP has no null id (2025-11-25, Base Protocol, "Error Responses"): it is left out when unknown.
        if message.id is not None:
            fields["id"] = message.id
        fields["error"] = error = {"code": message.code, "message": message.message}
        if message.data is not None:
            error["data"] = message.data
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_WHITE_SPACE = " \t\n\r"


def parse(data: bytes, limits: Limits) -> Any:
    """Parse one JSON text, within the limits that :func:`decode` names.

    :raises RemoteProtocolError: if it is not JSON.
    :raises LimitExceeded: if it is larger or nests deeper than the limits allow.
    """
    if len(data) > limits.message_bytes:
        raise limits.exceeded("message_bytes", "a message is too long")
    depth = limits.json_depth
    # What is short, or has few brackets, cannot be deep, and most messages are or have.
    if len(data) > 2 * depth and data.count(b"[") + data.count(b"{") > depth and _depth(data) > depth:
        raise limits.exceeded("json_depth", "a message is nested too deep")
    try:
        text = data.decode().strip(_WHITE_SPACE)
        value, end = _DECODER.raw_decode(text)
        if end == len(text):
            return value
        reason = f"it goes on after its end at character {end}"
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos}"
    except RecursionError:
        reason = "it is nested too deep to be parsed here"
    except ValueError:
        reason = "it holds a number that is not JSON, or too long"
    raise RemoteProtocolError(f"a message is not JSON: {reason}")


_BRACKETS = b"[{]}"
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(_BRACKETS + b'"'))


def _depth(data: bytes) -> int:
    """How deep the JSON text ``data`` nests.  If it is not JSON, any number: it is going to be refused.

    Without escapes, every other piece between quotation marks is outside of strings.  There each bracket is a
    step up or down, as a signed byte, and the depth is the highest point of the walk.
    """
    text = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NEITHER_BRACKET_NOR_QUOTE)
    pieces = text.replace(b'""', b"").split(b'"')  # a string without brackets leaves no piece to look at
    steps = b"".join(pieces[::2]).translate(_STEPS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _message(value: _Json) -> Message:
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise RemoteProtocolError('a message is not a JSON-RPC object with "jsonrpc": "2.0"')
    if "method" in value:
        return _call(value)
    if value.get("error") is not None:
        return _error_response(value)
    result = value.get("result")
    if not is_object(result):
        raise RemoteProtocolError("a message has no method, no error and no object for a result")
    return Response(_required_id(value), result)


def _call(value: dict[str, Any]) -> Request | Notification:
    method: _Json = value["method"]
    params: _Json = value.get("params")
    if not isinstance(method, str):
        raise RemoteProtocolError("the method of a message is not a string")
    if params is None:
        params = {}
    elif not isinstance(params, dict):
        raise RemoteProtocolError("the parameters of a message are not an object")
    return Request(_required_id(value), method, params) if "id" in value else Notification(method, params)


def _error_response(value: dict[str, Any]) -> ErrorResponse:
    error = value["error"]
    if not is_object(error) or value.get("result") is not None:
        raise RemoteProtocolError("the error of a message is not an object, or stands beside a result")
    code, message = error.get("code"), error.get("message")
    if not is_integer(code):
        raise RemoteProtocolError("the error of a message has no integer for a code")
    if message is None:
        message = ""
    elif not isinstance(message, str):
        raise RemoteProtocolError("the message of an error is not a string")
    request_id = None if value.get("id") is None else _required_id(value)
    return ErrorResponse(request_id, code, message, error.get("data"))


def _required_id(value: dict[str, Any]) -> int | str:
    request_id = value.get("id")
    if isinstance(request_id, str) or is_integer(request_id):
        return request_id
    raise RemoteProtocolError("the id of a message is neither a string nor an integer")
