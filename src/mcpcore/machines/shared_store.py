"""A store that several clients share: what they tell one another, and under which names.

Clients of the same server in many processes need not each search for its era and list its tools.  They meet in a store
that the core asks by commands and never sees.  What is put there is found only by a client with the same secret, the
same endpoint and the same configuration, and only on behalf of the same identity: all of that goes into the name, which
is a keyed digest and tells nothing (see :mod:`mcpcore.rules.digests`).

Only what can be withdrawn is put there: lists as a whole, and what discovery tells.  A page of a list, or what was read
of a resource, could be under any cursor or URI, and a change would leave it behind.  Nor is anything put there that
came over HTTP+SSE: the reader of a stream, which may be told of a change, moves bytes and asks nothing.

The store is a help and never an authority.  What comes from it is checked like anything from the network, and counts
for nothing if this client knows of a change, or of a refusal, since it was fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.shapes import as_list, as_number, as_object, as_text, is_object
from mcpcore.commands import StoreDelete, StoreGet, StorePut
from mcpcore.errors import LimitExceeded, RemoteProtocolError
from mcpcore.rules.freshness import CACHEABLE, READ, bare_key, is_sound
from mcpcore.rules.revisions import MODERN, REVISIONS, Era
from mcpcore.state.client_state import Transport, Verdict
from mcpcore.state.response_cache import Asked, Entry

if TYPE_CHECKING:
    from collections.abc import Collection

    from mcpcore.commands import Flow, StoredEntry
    from mcpcore.rules.revisions import Revision
    from mcpcore.state.call import Call
    from mcpcore.state.client_state import ClientState
    from mcpcore.state.response_cache import ResponseCache

_PUBLIC = b"public"  # No partition's key, which has 32 bytes.


def recall(call: Call, cache: ResponseCache, revision: Revision, method: str) -> Flow[Entry | None]:
    """What the store holds of ``cache``, kept there from now on; None if that is nothing, or nothing usable."""
    state, key = call.state, bare_key(method)
    name, generation = _entry_name(call, cache, revision, method), cache.generation
    if name is None or not call.partition.is_kept:
        return None
    stored: StoredEntry | None = yield StoreGet(name)
    if stored is None:
        return None
    now = state.partitions.now()
    entry = _read(state, method, stored, now)
    if entry is None:
        yield StoreDelete((name,))
        return None
    if cache.is_outdated(key, entry.fetched):
        return None
    return entry if cache.keep(key, entry, Asked(generation, entry.fetched), now) else None


def _read(state: ClientState, method: str, stored: StoredEntry, now: float) -> Entry | None:
    """A stored answer, if it is one."""
    told = _read_object(state, stored)
    pages, latency = as_list(told.get("pages")), as_number(told.get("latency"))
    age, ttl = max(stored.age, 0.0), min(stored.ttl, state.limits.cache_age)
    if latency is None or not 0 <= latency <= state.limits.cache_age or not age < ttl:
        return None
    if not pages or not all(is_object(page) and is_sound(method, page) for page in pages):
        return None
    return Entry.of(pages, now - age - latency, now + ttl - age)


def _read_object(state: ClientState, stored: StoredEntry) -> dict[str, Any]:
    """A stored JSON object; empty if it is none."""
    try:
        return as_object(jsonrpc.parse(stored.value, state.limits)) or {}
    except (RemoteProtocolError, LimitExceeded):
        return {}


def share(call: Call, cache: ResponseCache, revision: Revision, method: str, entry: Entry) -> Flow[None]:
    """Put an answer of ``cache`` into the store, if it is still fresh."""
    name, now = _entry_name(call, cache, revision, method), call.state.partitions.now()
    if name is not None and now < entry.expires:
        latency = repr(now - entry.fetched).encode()  # How much longer ago it was asked for than it is put there.
        value = b'{"latency":' + latency + b',"pages":[' + b",".join(entry.pages) + b"]}"
        yield StorePut(name, value, entry.expires - now)
        if cache.is_outdated(bare_key(method), entry.fetched):
            yield StoreDelete((name,))  # It was withdrawn while it was on its way there.


def withdraw(call: Call, cache: ResponseCache, revision: Revision, methods: Collection[str] = CACHEABLE) -> Flow[None]:
    """Remove answers of ``cache`` from the store, whoever put them there."""
    names = [_entry_name(call, cache, revision, method) for method in sorted(methods) if method != READ]
    if present := tuple(name for name in names if name is not None):
        yield StoreDelete(present)


def recall_verdict(state: ClientState) -> Flow[Verdict | None]:
    """What other clients found out about the server, recorded from now on."""
    if not state.caching.shared_store:
        return None
    stored: StoredEntry | None = yield StoreGet(_verdict_name(state))
    verdict = None if stored is None else _read_verdict(state, stored)
    if state.verdict is None and verdict is not None:
        state.record(verdict)
    return state.verdict


def _read_verdict(state: ClientState, stored: StoredEntry) -> Verdict | None:
    told = _read_object(state, stored)
    revision = REVISIONS.get(as_text(told.get("revision")) or "")
    http_sse = told.get("httpSse") is True
    if revision is None:
        return None
    if http_sse and (state.transport is not Transport.AUTO or revision.era is Era.MODERN):
        return None
    return Verdict(revision, http_sse)


def share_verdict(state: ClientState, verdict: Verdict) -> Flow[None]:
    """Tell other clients how the server is to be spoken to, if this one has found it out and was not told."""
    if state.caching.shared_store and state.pinned is None:
        value = jsonrpc.dump({"revision": verdict.revision.name, "httpSse": verdict.http_sse})
        yield StorePut(_verdict_name(state), value, state.limits.shared_verdict)


def _entry_name(call: Call, cache: ResponseCache, revision: Revision, method: str) -> bytes | None:
    """Where an answer of ``cache`` is in the store; None if it has no place there."""
    state = call.state
    owner = _PUBLIC if cache is state.public else _owner(call)
    is_on_stream = state.verdict is not None and state.verdict.http_sse
    if owner is None or is_on_stream or not state.caching.shared_store:
        return None
    method, params = bare_key(method)
    return state.partitions.digester.digest(
        b"stored answer", *_configuration(state), revision.name.encode(), owner, method.encode(), params
    )


def _owner(call: Call) -> bytes | None:
    """In whose name answers are there: a principal's, which is the only name that means the same in two processes.

    Without one, and wherever a credential cannot be seen, those who differ in what no header shows (a certificate, say)
    would meet.
    """
    is_named = call.partition.principal is not None and not call.state.opaque_identity
    return call.partition.key if is_named else None


def _verdict_name(state: ClientState) -> bytes:
    return state.partitions.digester.digest(b"stored verdict", *_configuration(state))


def _configuration(state: ClientState) -> tuple[bytes, ...]:
    """What clients must have in common to believe one another."""
    return (
        state.endpoint.url.encode("utf-8", "surrogatepass"),
        state.transport.value.encode(),
        state.pipeline.static_identity(),
        jsonrpc.dump(dict(state.capabilities(MODERN)), is_canonical=True),
    )
