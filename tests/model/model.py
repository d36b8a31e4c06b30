"""What was asked and fetched, by whom, and what must hold after every step.

Each result that the server gives holds the number of the request that fetched it, and nothing else tells results
apart.  So whatever a call returns, or puts on the wire, shows whose credentials brought it, and the rules need no
knowledge of how the client works:

* a result is for the call that fetched it, for other calls of the same identity while it is fresh, and, where sharing
  is switched on, for everybody if it is part of a list whose every page said that it is public;
* a resolution is for one request: the one that it was made for, sent once; a second attempt only follows a 401;
* a session, and an event stream, is for the call that opened it and for other calls of the same identity;
* a call that met no trouble of its own does not fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import inf
from typing import Any, NoReturn

from attrs import define, field

from mcpcore import RequestContext, SendRequest

from .callers import CACHEABLE, PAGED, Ask, Caller, Setup

MOST_REQUESTS = 150
"""How many requests one call may make: pages, attempts, handshakes, answers to the server, and the same once more."""


class Violation(AssertionError):
    """Something that must never happen.

    :ivar what: that, without where it happened.
    """

    def __init__(self, what: str, where: str) -> None:
        super().__init__(what, where)
        self.what = what

    def __str__(self) -> str:
        return "".join(self.args)


@define(eq=False)
class Call:
    """One call, from its start to its end.

    :ivar client: the number of the client that makes it.
    :ivar started: at which step, and ``started_at`` at what time.
    :ivar identity: on whose behalf, as far as it is known: the principal, or the first credentials resolved for it.
    :ivar operations: how many operations of it are in progress: itself, and after it what is left to be told.
    :ivar asked_in_vain: how often a resolver was asked and gave nothing: it failed, or was left alone.
    :ivar requests: how many requests it has made.
    :ivar had_trouble: whether it met anything that it may fail of.
    :ivar arrived: what an event stream has brought for it last.
    :ivar refused: the bodies of requests that were answered by 401 at their first attempt.
    """

    number: int
    client: int
    caller: Caller
    ask: Ask
    cache: str
    started: int
    started_at: float
    identity: str | None = None
    operations: int = 1
    asked_in_vain: int = 0
    requests: int = 0
    had_trouble: bool = False
    arrived: Fetch | None = None
    refused: set[bytes] = field(factory=set[bytes])

    @property
    def note(self) -> str:
        """A header of the caller's own request, which is forwarded."""
        return f"hdr-{self.number}"


@define(eq=False)
class Resolution:
    """The headers of one request: what they were made for, and whether they have been sent."""

    call: Call
    context: RequestContext
    authorization: str
    is_used: bool = False


@define(eq=False)
class Fetch:
    """One request, and what the server made of it.

    :ivar number: of its resolution; the result holds it.
    :ivar owner: whose the result is, or None if it is the call's alone.
    :ivar asked: at which step it was sent; ``completed``, at which step its answer was read, at time ``received``.
    :ivar key: the cursor or the URI that it named.
    :ivar following: the cursor that its result names.
    :ivar changes: when, by the time of its answer, it was last said to be stale: see :meth:`Model._changes_of`.
    """

    number: int
    call: Call
    owner: str | None
    asked: int
    method: str
    key: str | None = None
    is_public: bool = False
    ttl: float = 0.0
    following: str | None = None
    completed: float = inf
    received: float = inf
    changes: tuple[int, int, int] = (-1, -1, -1)

    @property
    def is_complete(self) -> bool:
        """Whether all of its answer was read."""
        return self.completed < inf


@define(eq=False)
class Model:
    """All that has happened in one world.

    :ivar step: the number of the current step.
    :ivar now: the time, in seconds.
    :ivar has_failed: whether something has happened that must not.
    :ivar counts: how often each kind of thing has happened.
    """

    setup: Setup
    step: int = 0
    now: float = 0.0
    has_failed: bool = False
    counts: Counter[str] = field(factory=Counter[str])
    calls: list[Call] = field(factory=list[Call])
    resolutions: list[Resolution] = field(factory=list[Resolution])
    fetches: dict[int, Fetch] = field(factory=dict[int, Fetch])
    sessions: dict[str, Fetch] = field(factory=dict[str, Fetch])
    _public: dict[tuple[str, str], list[Fetch]] = field(factory=dict[tuple[str, str], list[Fetch]])
    _denied: dict[tuple[int, str], int] = field(factory=dict[tuple[int, str], int])
    _changed: dict[tuple[int, str, str, str | None], int] = field(factory=dict[tuple[int, str, str, "str | None"], int])

    # What calls do.

    def begin(self, client: int, caller: Caller, ask: Ask, cache: str) -> Call:
        """A call starts."""
        call = Call(len(self.calls), client, caller, ask, cache, self.step, self.now)
        if caller.principal is not None:
            call.identity = caller.principal
        self.calls.append(call)
        return call

    def resolve(self, call: Call, context: RequestContext) -> dict[str, str]:
        """A resolver is asked; the headers that it returns are like no others."""
        number = len(self.resolutions)
        authorization = call.caller.authorization(number)
        if call.identity is None:
            call.identity = f"nobody {call.number}" if self.setup.opaque else authorization
        self.resolutions.append(Resolution(call, context, authorization))
        self.check(context.principal == call.caller.principal, "a resolver was told another principal", call)
        self.check(context.attempt == 1 or context.body in call.refused, "a second attempt without a 401", call)
        return {"Authorization": authorization, "DPoP": f"tok-{number}"}

    def send(self, call: Call, request: SendRequest) -> Fetch:
        """A request goes out."""
        call.requests += 1
        self.check(call.requests <= MOST_REQUESTS, "a call that makes requests without end", call)
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        self.check(len(headers) == len(request.headers), "a header is on the wire twice", call)
        self.check("cookie" not in headers, "a cookie is on the wire", call)
        number = self._spend(call, request, headers)
        self._check_session(call, headers.get("mcp-session-id"))
        for name in headers:
            if name.startswith("mcp-param-seen-"):
                self.check(self._may_see(call, self._fetch(call, int(name[15:]))), "a header of another's list", call)
        own = call.caller.principal is not None or self.resolutions[number].authorization == call.identity
        fetch = Fetch(number, call, call.identity if own else None, self.step, request.rpc_method or "")
        self.fetches[number] = fetch
        return fetch

    def _spend(self, call: Call, request: SendRequest, headers: dict[str, str]) -> int:
        """The number of the resolution that a request carries, which no other ever carried or will."""
        number = int(headers["dpop"].removeprefix("tok-"))
        resolution = self.resolutions[number]
        made_for = resolution.context
        self.check(resolution.call is call, "credentials of another call", call)
        self.check(not resolution.is_used, "credentials are on the wire twice", call)
        self.check(headers["authorization"] == resolution.authorization, "credentials of two resolutions", call)
        self.check(
            (made_for.url, made_for.http_method, made_for.kind, made_for.body, made_for.attempt)
            == (request.url, request.method, request.kind, request.body, request.attempt),
            "credentials that were resolved for another request",
            call,
        )
        note = headers.get("tracestate")
        self.check(note == made_for.request_headers.get("tracestate"), "a forwarded header of another call", call)
        resolution.is_used = True
        return number

    def resolution_of(self, request: SendRequest) -> Resolution:
        """The resolution that a request carries."""
        return self.resolutions[int(dict(request.headers)[b"DPoP"].removeprefix(b"tok-"))]

    def _check_session(self, call: Call, session_id: str | None) -> None:
        if session_id is not None:
            self.counts["requests in a session"] += 1
            opening = self.sessions.get(session_id)
            self.check(opening is not None and self.may_use(call, opening), "a session id of another", call)

    def refuse(self, fetch: Fetch, status: int, request: SendRequest) -> None:
        """The server lets a request down."""
        fetch.call.had_trouble = True
        if status == 401 and request.attempt == 1:
            fetch.call.refused.add(request.body)

    def deny(self, fetch: Fetch) -> None:
        """A call has understood that it is not let in: what was kept for its identity is gone."""
        if fetch.owner is not None:
            self._denied[fetch.call.client, fetch.owner] = self.step

    def change(self, fetch: Fetch, methods: Iterable[str], key: str | None = None) -> None:
        """The response to ``fetch`` says that something changed: what was asked for before is stale."""
        self.counts["invalidations"] += 1
        client = fetch.call.client
        for method in methods:
            if fetch.owner is not None:
                self._changed[client, fetch.owner, method, key] = self.step
            self._changed[client, "", method, key] = self.step  # What is shared.

    def complete(self, fetch: Fetch) -> None:
        """An answer was read, or what follows it: from now on it is fresh, for as long as it says."""
        if not fetch.is_complete:
            fetch.changes = self._changes_of(fetch)
            if fetch.is_public and fetch.owner is not None:
                self._public.setdefault((fetch.owner, fetch.method), []).append(fetch)
        fetch.completed, fetch.received = self.step, self.now

    # What a call may use and see.

    def may_use(self, call: Call, opening: Fetch) -> bool:
        """Whether a call may use a session or a stream that ``opening`` opened."""
        mine = opening.owner is not None and opening.owner == call.identity and opening.call.client == call.client
        return opening.call is call or mine

    def _may_see(self, call: Call, fetch: Fetch) -> bool:
        return fetch.call is call or self._is_same_identity(call, fetch) or self._is_shared(call, fetch)

    def _is_related(self, call: Call, fetch: Fetch) -> bool:
        """Whether anything at all may pass from one call's client to the other's."""
        return fetch.call.client == call.client or (self.setup.store and not self.setup.foreign)

    def _is_same_identity(self, call: Call, fetch: Fetch) -> bool:
        return fetch.owner is not None and fetch.owner == call.identity and self._is_related(call, fetch)

    def _is_shared(self, call: Call, fetch: Fetch) -> bool:
        if not (self.setup.share_public and fetch.is_public and fetch.owner and self._is_related(call, fetch)):
            return False
        pages = self._public.get((fetch.owner, fetch.method), ())
        return _leads_to_the_end(fetch, pages) and _comes_from_the_start(fetch, pages)

    def check_result(self, call: Call, numbers: list[int]) -> None:
        """A call has returned results with these numbers, in this order."""
        self.check(bool(numbers), "an answer that somebody has changed", call)
        pages = [self._fetch(call, number) for number in numbers]
        key = call.ask.key
        for page in pages:
            self.check(page.method == call.ask.method, "an answer to another question", call)
            self.check(page.key == key, "an answer to other parameters", call)
            key = page.following
            if page.call is not call:
                self._check_kept(call, page)
        if call.ask.operation == "list_tools":
            self.check(key is None, "a list without its end", call)
        foreign = [page for page in pages if page.call is not call and not self._is_same_identity(call, page)]
        if foreign:
            self.counts["shared public lists"] += 1
            self.check(all(page.is_public for page in pages), "a public page among private ones", call)

    def _check_kept(self, call: Call, fetch: Fetch) -> None:
        """What another call fetched is for this one to see, and was not stale when this one began."""
        self.check(self._may_see(call, fetch), "another's answer", call)
        self.counts["answers from the cache"] += 1
        self.check(self.setup.clock, "an answer from the cache of a client without a clock", call)
        self.check(call.ask.method in CACHEABLE and fetch.ttl > 0, "an answer that must not be kept", call)
        self.check(fetch.call.cache != "bypass", "an answer that was to be kept from the cache", call)
        self.check(call.cache == "use", "an answer from the cache, which was not to be used", call)
        self.check(call.started_at < fetch.received + fetch.ttl, "an answer that is stale", call)
        self.counts["answers of a concurrent call"] += fetch.completed > call.started
        if fetch.call.client == call.client:
            self._check_unchanged(call, fetch)

    def _check_unchanged(self, call: Call, fetch: Fetch) -> None:
        """Nothing that made an answer stale came while it was on its way, nor between it and this call."""
        is_own = self._is_same_identity(call, fetch)
        before, now = fetch.changes, self._changes_of(fetch)
        kinds = [("a change", int(not is_own))] if self._is_shared(call, fetch) else [("a change", 0), ("a refusal", 2)]
        for what, kind in kinds:
            self.check(before[kind] < fetch.asked, f"an answer that {what} has overtaken", call)
            self.check(not fetch.asked <= now[kind] < call.started, f"an answer from before {what}", call)

    def _changes_of(self, fetch: Fetch) -> tuple[int, int, int]:
        """When last something was said to have changed, to its owner or to anybody, and when its owner was refused."""
        client, owner = fetch.call.client, fetch.owner or ""
        own, anybodys = (
            max(self._changed.get((client, whose, fetch.method, key), -1) for key in (None, fetch.key))
            for whose in (owner, "")
        )
        return own, anybodys, self._denied.get((client, owner), -1)

    def check_own(self, call: Call, number: int) -> None:
        """A call was told something that only a request of its own can have brought."""
        self.check(self._fetch(call, number).call is call, "what another call's request brought", call)

    def check_discovery(self, call: Call, number: int) -> None:
        """A call was told what the server is."""
        fetch = self._fetch(call, number)
        mine = fetch.call is call or self._is_same_identity(call, fetch)
        self.check(mine and fetch.method in ("server/discover", "initialize"), "another's discovery", call)

    def _fetch(self, call: Call, number: int) -> Fetch:
        fetch = self.fetches.get(number)
        if fetch is None:
            self.fail("a forged answer", call)
        return fetch

    def check(self, holds: bool, what: str, call: Call | None = None, detail: str = "") -> None:
        """Fail, unless something holds."""
        if not holds:
            self.fail(what, call, detail)

    def fail(self, what: str, call: Call | None = None, detail: str = "") -> NoReturn:
        """Something happened that must never happen."""
        self.has_failed = True
        whose = f", call {call.number}: {call.ask.operation} {call.ask.method} of {call.caller.name}" if call else ""
        raise Violation(what, f"{detail and f': {detail}'} (step {self.step}{whose})")


def is_paged(method: str) -> bool:
    """Whether a method's result is a page of a list, which may be shared."""
    return method in PAGED


def _leads_to_the_end(page: Fetch, pages: Iterable[Fetch]) -> bool:
    """Whether public pages follow, up to the last one."""
    if page.following is None:
        return True
    return any(other.key == page.following and _leads_to_the_end(other, pages) for other in pages)


def _comes_from_the_start(page: Fetch, pages: Iterable[Fetch]) -> bool:
    """Whether public pages precede, from the first one."""
    if page.key is None:
        return True
    return any(other.following == page.key and _comes_from_the_start(other, pages) for other in pages)


def numbers_of(result: Any) -> list[int]:
    """The numbers that a result holds; then it is defaced, because it is this caller's alone."""
    if isinstance(result, list):
        numbers = [int(tool.name.removeprefix("seen-")) for tool in result if tool.name.startswith("seen-")]
        for tool in result:
            tool.raw.clear()
        return numbers
    numbers = [result["seen"]] if "seen" in result else []
    result.clear()
    return numbers
