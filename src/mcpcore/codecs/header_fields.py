"""The grammar of HTTP header fields: what may be sent, and the few values that are read.

RFC 9110, sections 5.1 (names), 5.5 (values), 5.6.2 (tokens), 8.3.1 (media types) and 10.2.3
(``Retry-After``).  Beside the grammar stands one table: the names that belong to the protocol, and so to
nobody else.
"""

from __future__ import annotations

import re
from functools import lru_cache

TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
"""The source of a regular expression for a token, which never gives back what it took."""

_TOKEN = re.compile(TOKEN)
_VISIBLE = r"[\x21-\x7e\x80-\xff]"
_VALUE = re.compile(rf"(?:{_VISIBLE}(?:[\t\x20-\x7e\x80-\xff]*{_VISIBLE})?)?")
_SECONDS = re.compile(r"[0-9]{1,9}")

PROTOCOL_OWNED = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
PROTOCOL_OWNED_PREFIXES = ("content-", "mcp-", "proxy-")


def is_token(name: str) -> bool:
    """Whether ``name`` can be the name of a header."""
    return _TOKEN.fullmatch(name) is not None


def is_protocol_owned(name: str) -> bool:
    """Whether the header ``name``, in any case, is set by the core or an engine's framing alone."""
    name = name.lower()
    return name in PROTOCOL_OWNED or name.startswith(PROTOCOL_OWNED_PREFIXES)


def encode_value(value: str) -> bytes:
    """The bytes that a header's ``value`` is sent as, one a character.

    :raises ValueError: if it cannot be sent.  The message does not hold it.
    """
    if _VALUE.fullmatch(value) is None:
        raise ValueError("a header value has visible characters up to U+00FF, and spaces and tabs only between them")
    return value.encode("latin-1")


def parse_retry_after(value: str) -> float | None:
    """The seconds that a ``Retry-After`` field asks to wait.

    None for a date, because telling how far off it is would take a clock.  None too for more than nine
    digits, which is for ever, and for what is neither.
    """
    value = value.strip(" \t")
    return float(value) if _SECONDS.fullmatch(value) else None


@lru_cache(maxsize=64)  # There are few, and each response has one.
def media_type(value: str) -> str:
    """The type and subtype of a ``Content-Type`` field, in lower case, without parameters."""
    return value.partition(";")[0].strip(" \t").lower()
