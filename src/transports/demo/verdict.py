"""What the evidence of a scene proves.

A *leak* is one user's identity in another user's hands, and is looked for wherever it could show:

* a request made for one user that carries the other's name, or a token that was issued to the other;
* a request that carries headers which were resolved for another user's request;
* a session that serves requests of both;
* an answer to one user that names the other.

A *fault* is everything else that would make "no leaks" worth less: a request whose headers nobody resolved for it, a
request that only one side knows of, a call that failed, a token that never changed.  The verdict holds if there is
neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from attrs import field, frozen

from mcpcore import RequestContext

from ..testing import ReceivedRequest
from .scene import NUMBER_HEADER, ROUNDS, TOKEN_HEADER, TOOLS, USER_HEADER, Evidence


@frozen(kw_only=True)
class Verdict:
    """What one or more scenes prove.

    :ivar requests: how many requests the server received.
    :ivar resolutions: how many times the resolver was asked.
    :ivar answers: how many answers the users got.
    :ivar tokens: how many tokens were issued.
    :ivar sessions: how many sessions there were.
    :ivar leaks: one sentence for each.
    :ivar faults: one sentence for each.
    """

    requests: int = 0
    resolutions: int = 0
    answers: int = 0
    tokens: int = 0
    sessions: int = 0
    leaks: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing leaked and nothing is missing."""
        return not self.leaks and not self.faults

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            requests=self.requests + other.requests,
            resolutions=self.resolutions + other.resolutions,
            answers=self.answers + other.answers,
            tokens=self.tokens + other.tokens,
            sessions=self.sessions + other.sessions,
            leaks=self.leaks + other.leaks,
            faults=self.faults + other.faults,
        )


@frozen(kw_only=True)
class Line:
    """One request, as a reader of the report sees it: no credential is in it.

    :ivar number: its place in the server's journal.
    :ivar kind: what the client made it for; empty if no resolution belongs to it.
    :ivar rpc: the JSON-RPC method and the tool that it names, or the HTTP method.
    :ivar status: the HTTP status of the answer.
    :ivar user: whom it says that it is from.
    :ivar generation: which of that user's tokens it carries, or None if it carries none that was issued.
    :ivar session: which session it belongs to, from 1, or None.
    """

    number: int
    kind: str
    rpc: str
    status: int | None
    user: str
    generation: int | None
    session: int | None


@frozen
class _Sighting:
    """One request of the journal, beside the resolver call that made its headers."""

    request: ReceivedRequest
    resolution: RequestContext | None = field(repr=False)
    evidence: Evidence = field(repr=False)

    @property
    def made_for(self) -> str | None:
        return None if self.resolution is None else self.resolution.principal

    @property
    def identities(self) -> set[str]:
        """Everybody whom the request's headers speak of."""
        token = self.evidence.tokens.look_up(self.request.headers.get(TOKEN_HEADER))
        return {self.request.headers.get(USER_HEADER, "nobody"), token.user if token else "nobody"}

    @property
    def has_project(self) -> bool:
        return self.request.headers.get("authorization") == f"Bearer {self.evidence.project}"

    @property
    def session(self) -> str | None:
        return self.request.headers.get("mcp-session-id")


def _sightings(evidence: Evidence) -> list[_Sighting]:
    numbered = {str(number): context for number, context in enumerate(evidence.ledger, 1)}
    return [
        _Sighting(request, numbered.get(request.headers.get(NUMBER_HEADER, "")), evidence)
        for request in evidence.journal
    ]


def judge(evidence: Evidence) -> Verdict:
    """Compare what the server received with whom each request was for, and what each user got with who they are."""
    sightings = _sightings(evidence)
    return Verdict(
        requests=len(evidence.journal),
        resolutions=len(evidence.ledger),
        answers=len(evidence.received),
        tokens=len(evidence.tokens.issued),
        sessions=len({sighting.session for sighting in sightings} - {None}),
        leaks=tuple(chain(_sent_leaks(sightings), _session_leaks(sightings), _received_leaks(evidence))),
        faults=tuple(chain(_request_faults(sightings), _count_faults(evidence), evidence.failures)),
    )


def total(verdicts: Iterable[Verdict]) -> Verdict:
    """Several scenes' verdicts as one."""
    return sum(verdicts, start=Verdict())


def lines(evidence: Evidence) -> list[Line]:
    """Every request of a scene, in the order in which the server received them."""
    sightings = _sightings(evidence)
    sessions = list(dict.fromkeys(sighting.session for sighting in sightings if sighting.session))
    return [_line(sighting, sessions) for sighting in sightings]


def _line(sighting: _Sighting, sessions: list[str]) -> Line:
    request = sighting.request
    token = sighting.evidence.tokens.look_up(request.headers.get(TOKEN_HEADER))
    return Line(
        number=request.number,
        kind=sighting.resolution.kind.value if sighting.resolution else "",
        rpc=" ".join(part for part in (request.rpc_method or request.method, request.rpc_name) if part),
        status=request.status,
        user=request.headers.get(USER_HEADER, ""),
        generation=None if token is None else token.generation,
        session=sessions.index(sighting.session) + 1 if sighting.session else None,
    )


def _sent_leaks(sightings: list[_Sighting]) -> Iterator[str]:
    """Requests that speak of others than the user whom they were made for."""
    for sighting in sightings:
        for stranger in sorted(sighting.identities - {sighting.made_for}):
            yield f"{sighting.request.label}, made for {sighting.made_for}, carried what is {stranger}'s"


def _session_leaks(sightings: list[_Sighting]) -> Iterator[str]:
    """Requests in a session that another user's request was in before."""
    owners: dict[str, str | None] = {}
    for sighting in sightings:
        if sighting.session is not None:
            owner = owners.setdefault(sighting.session, sighting.made_for)
            if owner != sighting.made_for:
                yield f"{sighting.request.label}, made for {sighting.made_for}, went into {owner}'s session"


def _received_leaks(evidence: Evidence) -> Iterator[str]:
    """Answers that name others than the user who got them."""
    for received in evidence.received:
        for stranger in sorted(set(received.names) - {received.user}):
            yield f"{received.user} asked for {received.rpc} and was told of {stranger}"


def _request_faults(sightings: list[_Sighting]) -> Iterator[str]:
    """Requests whose headers were not resolved for them alone, or that lack the application's credential."""
    uses = Counter(sighting.request.headers.get(NUMBER_HEADER) for sighting in sightings)
    for sighting in sightings:
        request, resolution = sighting.request, sighting.resolution
        if resolution is None or (resolution.http_method, resolution.body) != (request.method, request.body):
            yield f"{request.label} carried headers that were not resolved for it"
        elif uses[request.headers.get(NUMBER_HEADER)] > 1:
            yield f"{request.label} shared its headers with another request"
        if not sighting.has_project:
            yield f"{request.label} did not carry the project's credential"


def _count_faults(evidence: Evidence) -> Iterator[str]:
    """What is missing, on one side or the other."""
    if len(evidence.exchanges) != len(evidence.journal):
        yield f"the client sent {len(evidence.exchanges)} requests and the server received {len(evidence.journal)}"
    generations = {token.user: token.generation for token in evidence.tokens.issued}
    for user in TOOLS:
        answers = [received for received in evidence.received if received.user == user]
        if len(answers) != 1 + ROUNDS or not all(received.names for received in answers):
            yield f"{user} did not get every answer"
        if generations.get(user, 0) < 2:
            yield f"{user}'s token never changed"
