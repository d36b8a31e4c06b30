"""Reading JSON whose shape nobody promised.

The ``is_`` functions ask for a shape; the ``as_`` functions give the value if it has that shape, else None.
"""

from __future__ import annotations

from typing import Any, TypeGuard

_NUMBER = (int, float)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether ``value`` is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether ``value`` is a JSON array."""
    return isinstance(value, list)


def is_integer(value: object) -> TypeGuard[int]:
    """Whether ``value`` is an integer; a boolean is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether ``value`` is a number; a boolean is none."""
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def as_object(value: object) -> dict[str, Any] | None:
    """The JSON object ``value``, or None."""
    return value if is_object(value) else None


def as_list(value: object) -> list[Any] | None:
    """The JSON array ``value``, or None."""
    return value if is_array(value) else None


def as_text(value: object) -> str | None:
    """The string ``value``, or None."""
    return value if isinstance(value, str) else None


def as_texts(value: object) -> list[str]:
    """The strings in the JSON array ``value``; empty if it is none."""
    return [item for item in as_list(value) or () if isinstance(item, str)]


def as_number(value: object) -> float | None:
    """The number ``value``, or None; a boolean is no number."""
    return value if is_number(value) else None


def as_integer(value: object) -> int | None:
    """The integer ``value``, or None; in JSON, 1.0 is one too (JSON Schema, "type")."""
    return int(value) if isinstance(value, float) and value.is_integer() else value if is_integer(value) else None


def as_flag(value: object) -> bool | None:
    """The boolean ``value``, or None."""
    return value if isinstance(value, bool) else None
