"""A list is read page by page, some of them from the cache.

Each page is kept by itself, for as long as it says (2026-07-28, "Caching", Interaction with Pagination).  Only a whole
list can be shared: by processes, in the name of the identity that read it, and by identities, if each of its pages says
that it is public.  Half a public list is nobody's but its reader's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from mcpcore.codecs.shapes import as_list, as_text
from mcpcore.errors import LimitExceeded, RemoteProtocolError, RpcError
from mcpcore.machines.shared_store import share
from mcpcore.rules.freshness import CacheMode, bare_key, is_public
from mcpcore.state.response_cache import Asked, Entry
from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import Verdict
    from mcpcore.verbs.cached_requests import Answer

_INVALID_PARAMS = -32602
_log = logging.getLogger("mcpcore")

ItemT = TypeVar("ItemT")


@frozen
class Listing(Generic[ItemT]):
    """A kind of thing that a server lists.

    :ivar method: the request for it.
    :ivar noun: what one of it is called.
    """

    method: str
    _key: str
    noun: str
    _read: Callable[[Call, object], ItemT] = field(repr=False)

    def items(self, call: Call, result: dict[str, Any]) -> list[ItemT]:
        """The usable items of one page; one bad definition does not keep the others from being used.

        :raises RemoteProtocolError: if it is no page.
        """
        page = as_list(result.get(self._key))
        if page is None:
            raise RemoteProtocolError(f"the list of {self.noun}s is not a list")
        items: list[ItemT] = []
        for raw in page:
            try:
                items.append(self._read(call, raw))
            except RemoteProtocolError as error:
                _log.warning("%s: a %s is left out: %s", call.state.endpoint.name, self.noun, error.message)
        return items


@frozen
class Page(Generic[ItemT]):
    """One page of a list (2026-07-28, "Pagination").

    :ivar items: what is on it.
    :ivar next_cursor: what to ask for the next page with, or None after the last.
    """

    items: list[ItemT]
    next_cursor: str | None = field(repr=False)


def list_all(call: Call, listing: Listing[ItemT], mode: CacheMode) -> Flow[list[ItemT]]:
    """What is on all pages."""
    results = yield from read_list(call, listing.method, mode)
    return [item for result in results for item in listing.items(call, result)]


def list_page(call: Call, listing: Listing[ItemT], cursor: str | None, mode: CacheMode) -> Flow[Page[ItemT]]:
    """One page: the first one, or that of ``cursor``."""
    params = {} if cursor is None else {"cursor": cursor}
    result = yield from rpc.request(call, listing.method, params, mode)
    return Page(listing.items(call, result), _cursor(call, result))


def read_list(call: Call, method: str, mode: CacheMode) -> Flow[list[dict[str, Any]]]:
    """The results of all pages of ``method``.

    If what is kept of the list leads nowhere, as to a page that the server no longer knows, it is read once more from
    the beginning, by asking the server alone.

    :raises LimitExceeded: if there are more than ``limits.pages``.
    """
    answers: list[Answer] = []
    try:
        return (yield from _read(call, method, mode, answers))
    except (RpcError, RemoteProtocolError, LimitExceeded) as error:
        is_answer = isinstance(error, RpcError) and error.code != _INVALID_PARAMS
        if is_answer or all(answer.is_fetched for answer in answers):
            raise
    return (yield from _read(call, method, CacheMode.REFRESH, []))


def _read(call: Call, method: str, mode: CacheMode, answers: list[Answer]) -> Flow[list[dict[str, Any]]]:
    """Read all pages, and leave the answers that they came in."""
    asked = call.state.public.asking(call.state.partitions.now())
    results: list[dict[str, Any]] = []
    cursors: set[str] = set()
    params: dict[str, Any] = {}
    while len(results) < call.state.limits.pages:
        answers.append((yield from rpc.ask(call, method, params, mode, is_list=not params)))
        results += answers[-1].results
        cursor = _cursor(call, results[-1])
        if cursor is None:
            yield from _share(call, method, answers, asked)
            return results
        if cursor in cursors:
            raise RemoteProtocolError("the pages of the list lead back to one that was read already")
        cursors.add(cursor)
        params = {"cursor": cursor}
    raise call.state.limits.exceeded("pages", "the list has too many pages")


def _cursor(call: Call, result: dict[str, Any]) -> str | None:
    """What leads to the next page (2026-07-28, "Pagination", Implementation Guidelines); None after the last."""
    cursor = as_text(result.get("nextCursor"))
    verdict = call.state.verdict
    # Before the modern era, servers said by an empty cursor that the list has ended.
    return cursor if cursor or (verdict is not None and verdict.is_modern) else None


def _share(call: Call, method: str, answers: list[Answer], asked: Asked) -> Flow[None]:
    """Let others have a list: the same identity in other processes and, if it is public, every identity."""
    state, verdict, entry = call.state, call.state.verdict, _whole(answers)
    is_news = any(answer.is_fetched for answer in answers)
    if verdict is None or entry is None or not is_news:
        return
    own = call.partition.cache
    if not own.is_outdated(bare_key(method), entry.fetched):
        yield from share(call, own, verdict.revision, method, entry)
    results = [result for answer in answers for result in answer.results]
    if state.caching.share_public and all(is_public(result, verdict.revision) for result in results):
        yield from _publish(call, verdict, method, entry, asked)


def _publish(call: Call, verdict: Verdict, method: str, entry: Entry, asked: Asked) -> Flow[None]:
    """Keep a public list for every identity, unless a part of it is older than the last change."""
    public, key, now = call.state.public, bare_key(method), call.state.partitions.now()
    since = Asked(asked.generation, entry.fetched)
    if not public.is_outdated(key, entry.fetched) and public.keep(key, entry, since, now):
        yield from share(call, public, verdict.revision, method, entry)


def _whole(answers: list[Answer]) -> Entry | None:
    """A list in one piece, or None if a part of it is not to be kept."""
    entries = [answer.entry for answer in answers if answer.entry is not None]
    if len(entries) < len(answers):
        return None
    pages = tuple(page for entry in entries for page in entry.pages)
    return Entry(pages, min(entry.fetched for entry in entries), min(entry.expires for entry in entries))
