"""A list is read page by page, some of them from the cache.

Each page is kept by itself, for as long as it says (2026-07-28, "Caching", Interaction with Pagination).  Only a whole
list can be shared: by processes, in the name of the identity that read it, and by identities, if each of its pages says
that it is public.  Half a public list is nobody's but its reader's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.errors import LimitExceeded, RemoteProtocolError, RpcError
from mcpcore.machines.shared_store import share
from mcpcore.rules.freshness import CacheMode, bare_key, is_public
from mcpcore.state.response_cache import Asked, Entry
from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import Verdict
    from mcpcore.verbs.cached_requests import Answer

_INVALID_PARAMS = -32602


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
        cursor = results[-1].get("nextCursor")
        if not isinstance(cursor, str) or not cursor:
            yield from _share(call, method, answers, asked)
            return results
        if cursor in cursors:
            raise RemoteProtocolError("the pages of the list lead back to one that was read already")
        cursors.add(cursor)
        params = {"cursor": cursor}
    raise call.state.limits.exceeded("pages", "the list has too many pages")


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
