"""Progress: how far a request has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mcpcore.codecs.shapes import is_number
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
        progress, total, message = params.get("progress"), params.get("total"), params.get("message")
        if not is_number(progress):
            return None
        # By ``is_``, not by ``as_``: of all objects of the wire, these come in the greatest number.
        return cls(
            progress,
            total if is_number(total) else None,
            message if isinstance(message, str) else None,
            raw=params,
        )
