"""Progress: how far a request has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mcpcore.codecs.shapes import as_number, as_text
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from typing import Self


@frozen
class Progress(WireObject):
    """How far a call has come (2026-07-28, "Progress").

    :ivar progress: grows with each notification.
    :ivar total: what ``progress`` is of, or None if unknown.
    :ivar message: for people to read, or None.
    """

    progress: float
    total: float | None = None
    message: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return required(cls.of(given), "a progress notification has no number")

    @classmethod
    def of(cls, params: dict[str, Any]) -> Self | None:
        """What a notification with these parameters tells, or None if it tells no number."""
        progress = as_number(params.get("progress"))
        if progress is None:
            return None
        return cls(progress, as_number(params.get("total")), as_text(params.get("message")), raw=params)
