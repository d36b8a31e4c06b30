"""The grammar of header fields, character by character."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpcore.codecs.header_fields import encode_value, is_protocol_owned, is_token, media_type, parse_retry_after

TOKEN_CHARACTERS = set("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)
# Past U+00FF: a letter that lower-cases to an ASCII one, a digit, a surrogate, and one beyond 16 bits.
CHARACTERS = [*map(chr, range(0x180)), "\u212a", "\u0663", "\ud800", "\U0001f600"]


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_every_character_of_a_name(character: str) -> None:
    allowed = character in TOKEN_CHARACTERS
    for name in (character, "X" + character, character + "X", "X" + character + "X"):
        assert is_token(name) is allowed


def test_a_name_is_not_empty() -> None:
    assert not is_token("")
    assert is_token("X-Cpki-User-Id")


@pytest.mark.parametrize("character", CHARACTERS, ids=ascii)
def test_every_character_of_a_value(character: str) -> None:
    visible = 0x21 <= ord(character) <= 0x7E or 0x80 <= ord(character) <= 0xFF
    inside = visible or character in " \t"
    for value, allowed in {
        character: visible,
        character + "x": visible,
        "x" + character: visible,
        f"x{character}x": inside,
        f"x {character}\tx": inside,
    }.items():
        if allowed:
            assert encode_value(value) == bytes(map(ord, value))
        else:
            with pytest.raises(ValueError, match="visible characters"):
                encode_value(value)


def test_a_value_may_be_empty() -> None:
    assert encode_value("") == b""


@given(st.text(max_size=20))
def test_a_value_goes_out_whole_or_not_at_all(value: str) -> None:
    try:
        encoded = encode_value(value)
    except ValueError:
        assert value != value.strip(" \t") or any(
            ord(character) in {*range(9), *range(10, 32), 0x7F} or ord(character) > 0xFF for character in value
        )
    else:
        assert encoded.decode("latin-1") == value


def test_a_refused_value_is_not_shown() -> None:
    with pytest.raises(ValueError, match="header value") as caught:
        encode_value("Bearer a-secret\r\n")
    assert "secret" not in repr(caught.value)


OWNED = [
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Content-Anything",
    "Host",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Expect",
    "TE",
    "Trailer",
    "Upgrade",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Cookie",
    "Mcp-Session-Id",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Region",
    "Last-Event-ID",
]
FREE = [
    "Authorization",
    "User-Agent",
    "X-App",
    "X-Mcp-Method",
    "Accept-Language",
    "Content",
    "Proxy",
    "Mcp",
    "Cookies",
    "X-Cookie",
    "Hostname",
    "Last-Event",
    "Retry-After",
    "Content_Type",
]


@pytest.mark.parametrize("name", OWNED)
def test_names_that_belong_to_the_protocol(name: str) -> None:
    assert is_protocol_owned(name)
    assert is_protocol_owned(name.lower())
    assert is_protocol_owned(name.upper())


@pytest.mark.parametrize("name", FREE)
def test_names_that_belong_to_the_user(name: str) -> None:
    assert not is_protocol_owned(name)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7\t", 7.0),
        ("007", 7.0),
        ("999999999", 999_999_999.0),
        ("1000000000", None),
        ("9" * 5_000, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1_0", None),
        ("1 0", None),
        ("5\n", None),
        ("٣", None),
        ("inf", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("application/json", "application/json"),
        ("Text/Event-Stream; charset=UTF-8", "text/event-stream"),
        (' application/json ;charset=utf-8;x="a;b"', "application/json"),
        ("application/json;", "application/json"),
        ("", ""),
        (";charset=utf-8", ""),
    ],
)
def test_media_type(value: str, expected: str) -> None:
    assert media_type(value) == expected
