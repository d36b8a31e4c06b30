"""What all objects of the wire have in common: they are read from JSON, and give JSON back.

Reading is lenient.  Each class says by itself, in ``_read``, what it cannot do without; whatever else is missing or
of the wrong shape is None, and the JSON itself is kept in ``raw``, with all that nobody here has heard of.

Writing is exact, and works by difference.  What was read and left as it was gives the very JSON that it came from.
What was changed by :func:`attrs.evolve` gives that JSON with the changed fields written over it.  What was made here
gives the fields that it was given and nothing else.  So a field needs no more than its name, which is that of the
specification in another spelling: ``stop_reason`` is ``stopReason``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, TypeVar, get_args

from attrs import field, fields, frozen

from mcpcore.codecs.shapes import as_list, as_object, is_object
from mcpcore.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

_T = TypeVar("_T")

Role = Literal["user", "assistant"]
"""Who speaks in a conversation with a model."""


@frozen
class WireObject:
    """An object of the protocol.

    :ivar raw: the JSON that it was read from, unknown fields included; empty for one that was made here.
    """

    raw: dict[str, Any] = field(factory=dict[str, Any], kw_only=True, repr=False, eq=False)

    @classmethod
    def from_json(cls, raw: object) -> Self:
        """Read one from parsed JSON.

        :raises RemoteProtocolError: if a part is missing, or of the wrong shape, that it cannot do without.
        """
        if is_object(raw):
            return cls._read(raw)
        raise RemoteProtocolError(f"what should be a {cls.__name__} is not an object")

    if TYPE_CHECKING:

        @classmethod
        def _read(cls, given: dict[str, Any]) -> Self: ...

    @property
    def meta(self) -> dict[str, Any] | None:
        """What else the other side attached (``_meta``), or None.  To send some, make the object by ``from_json``."""
        return as_object(self.raw.get("_meta"))

    def to_json(self) -> dict[str, Any]:
        """The object as JSON, ready to be sent."""
        written = dict(self.raw)
        before = type(self).from_json(self.raw) if self.raw else None
        for attribute in fields(type(self)):
            name, value = attribute.name, getattr(self, attribute.name)
            if name == "raw" or (before is not None and value == getattr(before, name)):
                continue
            if attribute.init and value == attribute.default:
                written.pop(_key(name), None)
            else:
                written[_key(name)] = _plain(value)
        return written


@cache
def _key(name: str) -> str:
    """The specification's spelling of a field's name."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _plain(value: object) -> object:
    """``value`` as parsed JSON, with the objects in it written."""
    if isinstance(value, WireObject):
        return value.to_json()
    return [_plain(item) for item in value] if _is_sequence(value) else value


def _is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def required(value: _T | None, complaint: str) -> _T:
    """A part that an object cannot do without.

    :raises RemoteProtocolError: with that complaint, if there is none.
    """
    if value is None:
        raise RemoteProtocolError(complaint)
    return value


def all_of(value: object, read: Callable[[object], _T], complaint: str) -> list[_T]:
    """Each item of an array that an object cannot do without.

    :raises RemoteProtocolError: if it is none, or one of the items cannot be read.
    """
    return [read(item) for item in required(as_list(value), complaint)]


def any_of(value: object, read: Callable[[object], _T]) -> list[_T] | None:
    """Those items of an optional array that can be read; None if there is no array."""
    items = as_list(value)
    if items is None:
        return None
    return [item for item in (optional(raw, read) for raw in items) if item is not None]


def optional(value: object, read: Callable[[object], _T]) -> _T | None:
    """An optional part, or None if it is missing or cannot be read."""
    try:
        return None if value is None else read(value)
    except RemoteProtocolError:
        return None


def read_role(raw: object) -> Role:
    """Who speaks.

    :raises RemoteProtocolError: if it is nobody known.
    """
    return required(_ROLES.get(raw) if isinstance(raw, str) else None, "a message has no known role")


_ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
