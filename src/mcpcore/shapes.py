"""Reading JSON whose shape nobody promised: each function gives the value if it has the shape asked for, else None."""

from __future__ import annotations

from typing import Any, cast


def as_object(value: object) -> dict[str, Any] | None:
    """The JSON object ``value``, or None."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """The JSON array ``value``, or None."""
    if not isinstance(value, list):
        return None
    items: list[Any] = value
    return items


def as_text(value: object) -> str | None:
    """The string ``value``, or None."""
    return value if isinstance(value, str) else None


def as_texts(value: object) -> list[str]:
    """The strings in the JSON array ``value``; empty if it is none."""
    return [item for item in as_list(value) or () if isinstance(item, str)]


def as_number(value: object) -> float | None:
    """The number ``value``, or None; a boolean is no number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
