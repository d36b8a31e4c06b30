"""Lists, page by page: what :meth:`transports.Client.iterate` returns."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar, final

from mcpcore import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from mcpcore import Limits, Page

T = TypeVar("T")


@final
class Items(Generic[T]):
    """The items of a list, whose pages are asked for as they are needed; iterate over it once, with ``async for``."""

    def __init__(self, limits: Limits, ask: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        self._limits = limits
        self._ask = ask
        self._items = deque[T]()
        self._cursor: str | None = None
        self._cursors = set[str | None]()
        self._pages = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._pages and self._cursor is None:
                raise StopAsyncIteration
            if self._pages == self._limits.pages:
                raise self._limits.exceeded("pages", "the list has too many pages")
            await self._turn()
        return self._items.popleft()

    async def _turn(self) -> None:
        """Ask for the next page."""
        page = await self._ask(self._cursor)
        self._pages += 1
        if page.next_cursor in self._cursors:
            raise RemoteProtocolError("the pages of the list lead back to one that was read already")
        self._cursors.add(page.next_cursor)
        self._cursor = page.next_cursor
        self._items.extend(page.items)
