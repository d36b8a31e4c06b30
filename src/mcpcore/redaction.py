"""What may be said of a secret: its name, and that it is there.

The rules are few.  A URL is shown by origin and path, because its query and userinfo may hold credentials.  A header is
shown by its name.  Everything that prints (``repr``, errors, logs, traces) goes through these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "***"
_LONGEST_URL = 300


def redact_url(url: str) -> str:
    """``url`` without userinfo, query and fragment: what an error or a log line may show.

    Many a URL is what a server said, so it is cut where nobody would read on, and what a terminal could take for a
    command is left out.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return HIDDEN
    host = f"[{host}]" if ":" in host else host
    shown = parts._replace(netloc=host + port, query="", fragment="").geturl()
    return "".join(c if c.isprintable() else "?" for c in shown[:_LONGEST_URL])


def redact_name(name: str | None) -> str | None:
    """What a request names: of a resource, whose name is a URI, without what may be secret in it."""
    return redact_url(name) if name and any(mark in name for mark in "@?#") else name


def repr_of_name(name: str | None) -> str:
    """The same, for a ``repr``."""
    return repr(redact_name(name))


def repr_of_uris(uris: Iterable[str]) -> str:
    """The same, for several."""
    return repr(tuple(map(redact_name, uris)))


def redact_names(names: Iterable[str]) -> str:
    """Header names with their values hidden, for a ``repr``."""
    return "{" + ", ".join(f"{name}: {HIDDEN}" for name in names) + "}"
