"""What a modern request says of itself: the Base64 sentinel, ``Mcp-*`` headers, ``_meta``."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pure import headers_of, message_of, sse_reply
from support.scenes import MODERN, URL, PureServer, answer_to

from mcpcore import Client, LocalProtocolError, Progress
from mcpcore.codecs.header_fields import encode_value
from mcpcore.rules.metadata import encode_header_value, request_meta, rpc_name, standard_headers, with_meta
from mcpcore.rules.revisions import REVISIONS


def decode(value: bytes) -> str:
    """A recipient's reading of a value (2026-07-28, "Streamable HTTP", Value Encoding)."""
    text = value.decode("ascii")
    if text.startswith("=?base64?") and text.endswith("?="):
        return base64.b64decode(text[9:-2], validate=True).decode()
    return text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The table of the specification.
        ("us-west1", b"us-west1"),
        ("Hello, 世界", b"=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", b"=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", b"=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", b"=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        # Its edges.
        ("a b\tc", b"a b\tc"),
        ("!", b"!"),
        ("~", b"~"),
        ("\ttab", b"=?base64?CXRhYg==?="),
        ("tab\t", b"=?base64?dGFiCQ==?="),
        ("a\x7fb", b"=?base64?YX9i?="),
        ("a\0b", b"=?base64?YQBi?="),
        ("a\n", b"=?base64?YQo=?="),
        ("é", b"=?base64?w6k=?="),
        ("=?base64?=", b"=?base64?PT9iYXNlNjQ/PQ==?="),
        ("=?base64?open", b"=?base64?open"),
        ("close?=", b"close?="),
        ("=?BASE64?literal?=", b"=?BASE64?literal?="),
        ("x=?base64?literal?=", b"x=?base64?literal?="),
    ],
    ids=ascii,
)
def test_the_base64_sentinel(text: str, value: bytes) -> None:
    assert encode_header_value(text) == value
    assert decode(value) == text


@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("=?base64 \t", max_size=30))
def test_every_text_travels_in_a_header_and_comes_out_the_same(text: str) -> None:
    value = encode_header_value(text)
    assert decode(value) == text
    assert value == encode_value(value.decode("ascii"))
    assert value.isascii()


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "search", "uri": "x"}, "search"),
        ("prompts/get", {"name": "greet"}, "greet"),
        ("resources/read", {"uri": "file:///a", "name": "x"}, "file:///a"),
        ("tools/call", {}, None),
        ("tools/call", {"name": 7}, None),
        ("tools/list", {"name": "search"}, None),
        ("resources/subscribe", {"uri": "file:///a"}, None),
    ],
)
def test_what_a_request_names(method: str, params: dict[str, Any], name: str | None) -> None:
    assert rpc_name(method, params) == name
    assert standard_headers("2026-07-28", method) == (
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", method.encode()),
    )


def test_meta_says_what_every_modern_request_must() -> None:
    meta = request_meta(REVISIONS["2026-07-28"], {"name": "c", "version": "1"}, {"x": {}})
    assert json.loads(meta.text) == meta.fields
    assert meta.fields == {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"x": {}},
    }


def test_meta_is_laid_over_the_callers_own() -> None:
    params = {"a": 1, "_meta": {"mine": 1, "k": "theirs"}}
    assert with_meta(params, {"k": "ours"}) == {"a": 1, "_meta": {"mine": 1, "k": "ours"}}
    assert with_meta(params, {}) == params
    assert with_meta({}, {}) == {}
    assert params == {"a": 1, "_meta": {"mine": 1, "k": "theirs"}}


@pytest.mark.parametrize("meta", [None, "x", [], 1], ids=repr)
@pytest.mark.parametrize("options", [MODERN, {"protocol_version": "2025-11-25"}], ids=["modern", "handshake"])
def test_a_meta_that_is_no_object_is_refused_before_it_is_sent(meta: object, options: dict[str, str]) -> None:
    server = PureServer("modern" if options is MODERN else "handshake")
    with pytest.raises(LocalProtocolError, match="_meta, among the parameters, is not an object"):
        server.driver.run(Client(URL, **options).request("x/y", {"_meta": meta}))
    assert all(request.rpc_method != "x/y" for request in server.sent)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"], ids=ascii)
def test_a_name_that_is_no_text_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        PureServer("modern").driver.run(Client(URL, **MODERN).call_tool(text))


def test_a_method_is_any_text_that_a_header_can_hold() -> None:
    server, method = PureServer("modern"), 'x/"y\\'
    server.driver.run(Client(URL, **MODERN).request(method, {"a": 1}))
    (request,) = server.sent
    message = message_of(request)
    assert (message["method"], headers_of(request)["mcp-method"]) == (method, method)
    assert (message["id"], message["params"]["a"]) == (1, 1)
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        server.driver.run(Client(URL, **MODERN).request("x/\ud800", {"a": 1}))


@pytest.mark.parametrize("name", ["\ud800", {1, 2}], ids=["no text", "no JSON"])
def test_a_client_that_cannot_say_what_it_is_sends_nothing(name: Any) -> None:
    server = PureServer("modern")
    client = Client(URL, client_info={"name": "me", "version": "2", "title": name}, **MODERN)
    with pytest.raises(LocalProtocolError, match="_meta cannot be written as JSON"):
        server.driver.run(client.call_tool("search"))
    assert server.sent == []


@pytest.mark.parametrize("name", ["search", "søk", " x", "=?base64?x?="])
def test_a_modern_request_on_the_wire(name: str) -> None:
    server = PureServer("modern")
    client = Client(URL, client_info={"name": "me", "version": "2"}, **MODERN)
    server.driver.run(client.call_tool(name, {"q": 1}, on_progress=lambda _: None))
    (request,) = server.sent
    headers, message = headers_of(request), message_of(request)
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert decode(headers["mcp-name"].encode()) == message["params"]["name"] == name
    assert message["params"]["arguments"] == {"q": 1}
    assert message["params"]["_meta"] == {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "me", "version": "2"},
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": message["id"],
    }


def test_a_handshake_era_request_has_no_modern_headers() -> None:
    server = PureServer("handshake")
    server.driver.run(Client(URL, protocol_version="2025-11-25").call_tool("search"))
    for request in server.sent:
        assert not {"mcp-method", "mcp-name"} & headers_of(request).keys()
    assert message_of(server.sent[-1])["params"] == {"name": "search"}


def test_progress_reaches_the_caller_by_its_token() -> None:
    seen: list[Progress] = []

    def stream(request: Any) -> Any:
        token = message_of(request)["params"]["_meta"]["progressToken"]
        notes = [
            {"progressToken": token, "progress": 1, "total": 2, "message": "half"},
            {"progressToken": "another", "progress": 7},
            {"progressToken": token, "progress": "many"},
            {"progressToken": token, "progress": 2.5},
        ]
        messages = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": note} for note in notes]
        other = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"progressToken": token, "progress": 9}}
        return sse_reply(*messages, other, answer_to(request))

    server = PureServer("modern", stream)
    server.driver.run(Client(URL, **MODERN).call_tool("search", on_progress=seen.append))
    assert seen == [Progress(1, 2, "half"), Progress(2.5, None, None)]
