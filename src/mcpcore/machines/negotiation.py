"""How is this server to be spoken to?  The search for its era, and what to do when the answer stops holding.

The first call asks ``server/discover`` in the modern way.  What comes back is either proof that the server is modern,
or a sign that it is not, or no sign at all (2026-07-28, "Streamable HTTP", Backward Compatibility).  After a sign
that it is not, ``initialize`` is tried and, where the user allowed it, HTTP+SSE.  A *verdict* is recorded only on
proof: a modern result or error, a successful ``initialize``, an ``endpoint`` event.  A refusal of credentials, a
redirect, a server's fault and a failing network prove nothing.

The verdict is the one thing that identities share, and the search for it the one flight that crosses partitions.
When a verdict stops holding for one call, that call searches again by itself; the others keep what they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from mcpcore.codecs.jsonrpc import ErrorResponse, Response
from mcpcore.errors import McpError
from mcpcore.machines.channel import ensure_channel
from mcpcore.machines.http_sse import ensure_stream
from mcpcore.machines.modern import (
    DISCOVER,
    MODERN_ERRORS,
    discover_request,
    read_discovery,
    supported_versions,
)
from mcpcore.machines.outbound import resolve
from mcpcore.machines.refusals import refusal
from mcpcore.machines.requests import send
from mcpcore.machines.rounds import result_type
from mcpcore.machines.session import OpeningRefused, ensure_session
from mcpcore.machines.shared_store import recall_verdict, share, share_verdict
from mcpcore.rules.freshness import bare_key
from mcpcore.rules.revisions import HANDSHAKE, MODERN, Era, Revision, newest
from mcpcore.rules.transitions import NEGOTIATION, NegotiationEvent, NegotiationState, advance
from mcpcore.state.client_state import Transport, Verdict
from mcpcore.state.flights import fly
from mcpcore.state.response_cache import Asked, Entry

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.machines.exchange import Exchange
    from mcpcore.machines.outbound import Outbound
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.state.call import Call

_PROVES_NOTHING = frozenset({401, 403, 407, 408, 429})


class VerdictBroken(Exception):
    """An answer showed that the server is not what it was taken for."""

    def __init__(self, error: McpError) -> None:
        super().__init__()
        self.error = error


def is_foreign(exchange: Exchange) -> bool:
    """Whether a refusal is one that a server gives to a request from an era that it does not speak."""
    return 400 <= exchange.head.status < 500 and exchange.head.status not in _PROVES_NOTHING


def denies_modern_era(exchange: Exchange) -> bool:
    """Whether a modern request was answered as only a server of the handshake era answers.

    Such a server misses a session and says so without an id of ours, or names only revisions that have sessions.
    """
    if is_modern_error(exchange):
        versions = supported_versions(exchange.answer)
        return newest(Era.MODERN, versions) is None and newest(Era.HANDSHAKE, versions) is not None
    return is_foreign(exchange) and (exchange.answer is None or exchange.answer.id is None)


def is_modern_error(exchange: Exchange) -> bool:
    """Whether the answer is an error that only a modern server gives."""
    return isinstance(exchange.answer, ErrorResponse) and exchange.answer.code in MODERN_ERRORS


def negotiate(call: Call) -> Flow[Verdict]:
    """The verdict, from a search of this call's or of another's."""
    state = call.state
    if (known := state.known_verdict) is not None:
        return known
    if state.over_channel:
        return Verdict((yield from ensure_channel(call)).revision)
    search = Search(call)
    if state.pinned is not None:
        return (yield from search.run())  # Without a probe there is no work that another identity could do for us.
    if (known := (yield from recall_verdict(state))) is not None:
        return known
    return (
        yield from fly(
            state.probing,
            look=lambda: state.verdict,
            resolve=lambda: resolve(call, search.probe),
            lead=search.run,
            lands_early=True,
        )
    )


def negotiate_again(call: Call, broken: VerdictBroken, verdict: Verdict) -> Flow[Verdict]:
    """The verdict of a search by this call alone, after ``verdict`` stopped holding.

    :raises McpError: what the call met, if the user has fixed the verdict or the search only confirms it.
    """
    if call.state.pinned is not None or call.state.transport is Transport.SSE:
        raise broken.error from None
    found = yield from Search(call).run()
    if found == verdict:
        raise broken.error from None
    return found


@define(eq=False)
class Search:
    """One search for the era of a server.

    :ivar probe: the request that it begins with, unless the user has pinned a revision.
    """

    _call: Call
    probe: Outbound = field(init=False, repr=False)
    state: NegotiationState = field(default=NegotiationState.UNKNOWN, init=False)
    _handshake: Revision = field(default=HANDSHAKE, init=False)
    _kept: Entry | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.probe = discover_request(self._call, MODERN)

    def run(self, resolution: Resolution | None = None) -> Flow[Verdict]:
        """Search, and record the verdict.

        :param resolution: the headers of the probe, if they are resolved already.
        :raises McpError: if nothing could be proved; the next call searches again.
        """
        self._call.count_handshake()
        try:
            verdict = yield from self._search(resolution)
        except McpError:
            self._advance(NegotiationEvent.FAULT)
            raise
        self._call.state.record(verdict)
        yield from share_verdict(self._call.state, verdict)
        if self._kept is not None:
            yield from share(self._call, self._call.partition.cache, verdict.revision, DISCOVER, self._kept)
        return verdict

    def _search(self, resolution: Resolution | None) -> Flow[Verdict]:
        pinned = self._call.state.pinned
        if pinned is not None:
            self._handshake = pinned
            self._advance(NegotiationEvent.SKIP_PROBE)
        else:
            self._advance(NegotiationEvent.PROBE)
            revision = yield from self._probe(resolution)
            if revision is not None:
                return Verdict(revision)
        revision = yield from self._initialize()
        if revision is not None:
            return Verdict(revision)
        return Verdict((yield from self._connect()), http_sse=True)

    def _probe(self, resolution: Resolution | None) -> Flow[Revision | None]:
        """Ask for discovery; None if the server is not modern."""
        call = self._call
        # A cache that is met only now was not told of anything yet, or it was, and then this answer is not for it.
        now = call.state.partitions.now()
        asked = call.partition.cache.asking(now) if call.is_settled else Asked(0, now)
        exchange = yield from send(call, self.probe, resolution)
        answer = exchange.answer
        revision = self._read(exchange)
        if revision is None:
            self._handshake = newest(Era.HANDSHAKE, supported_versions(answer)) or HANDSHAKE
            self._advance(NegotiationEvent.NOT_MODERN)
            return None
        if isinstance(answer, Response) and result_type(answer.result) == "complete":
            call.told = read_discovery(answer.result)
            self._kept = call.keep(revision, bare_key(DISCOVER), answer.result, asked)
        self._advance(NegotiationEvent.MODERN_PROOF)
        return revision

    def _read(self, exchange: Exchange) -> Revision | None:
        """What the answer to the probe proves: a modern revision, or None for none.

        :raises McpError: if it proves nothing.
        """
        status, versions = exchange.head.status, supported_versions(exchange.answer)
        if status not in (401, 403) and status < 500:
            if (revision := newest(Era.MODERN, versions)) is not None:
                return revision
            if is_modern_error(exchange) and not versions:
                return MODERN
            if newest(Era.HANDSHAKE, versions) is not None:
                return None
            if not is_modern_error(exchange) and (status < 300 or is_foreign(exchange)):
                return None
        raise refusal(exchange).located(self._call.state.endpoint.name, self.probe.name)

    def _initialize(self) -> Flow[Revision | None]:
        """Open a session; None if the server refuses to, and HTTP+SSE is left to try."""
        call = self._call
        try:
            session = yield from ensure_session(call, self._handshake)
        except OpeningRefused as refused:
            if call.state.transport is not Transport.AUTO or not is_foreign(refused.exchange):
                raise refused.error(call) from None
        else:
            self._advance(NegotiationEvent.INITIALIZED)
            return session.revision
        self._advance(NegotiationEvent.NOT_HANDSHAKE)
        return None

    def _connect(self) -> Flow[Revision]:
        """Open an event stream of the old kind."""
        revision = self._call.state.pinned or HANDSHAKE
        try:
            yield from ensure_stream(self._call, revision)
        except OpeningRefused as refused:
            raise refused.error(self._call) from None
        self._advance(NegotiationEvent.ENDPOINT)
        return revision

    def _advance(self, event: NegotiationEvent) -> None:
        self.state = advance(NEGOTIATION, self.state, event)
