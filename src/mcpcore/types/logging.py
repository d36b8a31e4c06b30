"""Log messages of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.errors import RemoteProtocolError
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from typing import Self

LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""How severe a message is, from the least to the most (RFC 5424, section 6.2.1)."""


@frozen
class LogMessage(WireObject):
    """What a server has to tell about its work (2026-07-28, "Logging", Log Message Notifications).

    :ivar level: how severe it is.
    :ivar data: what it tells: any JSON value, often a string.
    :ivar logger: which part of the server tells it, or None.
    """

    level: LogLevel
    data: Any = field(repr=False)
    logger: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        level: LogLevel = required(as_level(given.get("level")), "a log message has no known level")
        if "data" not in given:
            raise RemoteProtocolError("a log message has no data")
        return cls(level, given["data"], as_text(given.get("logger")), raw=given)


def as_level(value: object) -> LogLevel | None:
    """One of the levels, or None."""
    return _LEVELS.get(value) if isinstance(value, str) else None


_LEVELS: dict[str, LogLevel] = {level: level for level in get_args(LogLevel)}
