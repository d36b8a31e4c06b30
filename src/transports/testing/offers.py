"""What a server offers of one kind (tools, resources, prompts), and how a list of it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from attrs import define

from mcpcore.errors import RpcError

from .refusals import INVALID_PARAMS
from .requests import ReceivedRequest

Item = TypeVar("Item")


@define(eq=False)
class Offers(Generic[Item]):
    """What callers are offered: the same to all, and to each its own.

    :ivar fixed: what every caller sees.
    :ivar chosen: a function of the request that returns what this caller sees besides.
    """

    fixed: list[Item]
    chosen: Callable[[ReceivedRequest], Iterable[Item]] | None = None

    def __bool__(self) -> bool:
        return bool(self.fixed) or self.chosen is not None

    def visible(self, request: ReceivedRequest) -> list[Item]:
        """What the caller of ``request`` sees."""
        return [*self.fixed, *(() if self.chosen is None else self.chosen(request))]


def offers_of(given: Iterable[Item] | Callable[[ReceivedRequest], Iterable[Item]]) -> Offers[Item]:
    """Offers of a fixed list, or of a function of the request."""
    return Offers([], given) if callable(given) else Offers(list(given))


def page(member: str, definitions: Sequence[dict[str, Any]], cursor: Any, size: int | None) -> dict[str, Any]:
    """One page of a list, with the cursor of the next; all of it if there is no ``size``."""
    if size is None:
        return {member: list(definitions)}
    cursor = "0" if cursor is None else cursor
    if not (isinstance(cursor, str) and cursor.isdecimal()):
        raise RpcError("Invalid cursor", code=INVALID_PARAMS)
    end = int(cursor) + size
    following = {"nextCursor": str(end)} if end < len(definitions) else {}
    return {member: list(definitions[int(cursor) : end]), **following}
