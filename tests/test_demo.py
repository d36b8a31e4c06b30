"""The demonstration: what it finds on a sound client, and that it would find a leak if there were one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from mcpcore import RequestContext
from transports.demo import Era, Evidence, Received, Tokens, Verdict, judge, lines, play, total, user_headers
from transports.demo.scene import NUMBER_HEADER, ROUNDS, TOKEN_HEADER, TOOLS, USER_HEADER, UserHeaders
from transports.testing import Headers, ReceivedRequest

pytestmark = pytest.mark.anyio

ANSWERS = len(TOOLS) * (1 + ROUNDS)
HANDSHAKE_REQUESTS = ["initialize", "notifications/initialized", "DELETE"] * len(TOOLS)


def changed(request: ReceivedRequest, **headers: str | None) -> ReceivedRequest:
    """A copy of a request with other header values; None takes one away.  Underscores stand for hyphens."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in wanted]
    added = [(name.encode(), value.encode()) for name, value in wanted.items() if value is not None]
    return ReceivedRequest(
        number=request.number,
        method=request.method,
        target=request.target,
        headers=Headers((*kept, *added)),
        body=request.body,
    )


def tampered(
    evidence: Evidence, which: Callable[[ReceivedRequest], bool], how: Callable[[ReceivedRequest], ReceivedRequest]
) -> Verdict:
    """The verdict on a scene in whose journal the first request that ``which`` means is another."""
    journal = list(evidence.journal)
    index = next(index for index, request in enumerate(journal) if which(request))
    journal[index] = how(journal[index])
    return judge(evolve(evidence, journal=tuple(journal)))


def is_of(user: str) -> Callable[[ReceivedRequest], bool]:
    return lambda request: request.headers.get(USER_HEADER) == user


def last(evidence: Evidence, user: str) -> ReceivedRequest:
    return [request for request in evidence.journal if is_of(user)(request)][-1]


async def test_the_modern_era_leaks_nothing() -> None:
    evidence = await play(Era.MODERN)
    verdict = judge(evidence)
    assert verdict.holds, verdict
    assert verdict.requests == verdict.resolutions == 1 + ANSWERS
    assert (verdict.answers, verdict.sessions) == (ANSWERS, 0)
    story = lines(evidence)
    assert [line.number for line in story] == list(range(1, len(story) + 1))
    assert {line.rpc for line in story} == {"server/discover", "tools/list", "tools/call inbox"}
    assert {line.status for line in story} == {200}


# Both users probe: a probe that failed tells others nothing, and they do not wait for the first one's resolvers.
DISCOVERS = 2


async def test_the_handshake_era_leaks_nothing_and_gives_each_user_a_session() -> None:
    evidence = await play(Era.HANDSHAKE)
    verdict = judge(evidence)
    assert verdict.holds, verdict
    assert verdict.requests == verdict.resolutions == DISCOVERS + len(HANDSHAKE_REQUESTS) + ANSWERS
    assert (verdict.answers, verdict.sessions) == (ANSWERS, len(TOOLS))
    story = lines(evidence)
    assert sorted(line.rpc for line in story if line.kind not in ("request", "discover")) == sorted(HANDSHAKE_REQUESTS)
    assert {(line.user, line.session) for line in story if line.session} in (
        {("alice", 1), ("bob", 2)},
        {("alice", 2), ("bob", 1)},
    )


async def test_each_users_token_changes_after_two_requests() -> None:
    evidence = await play(Era.MODERN)
    for user in TOOLS:
        generations = [line.generation for line in lines(evidence) if line.user == user]
        assert generations == [1 + index // 2 for index in range(len(generations))]
        assert generations[-1] == 1 + (len(generations) - 1) // 2 > 1


async def test_no_credential_is_in_what_is_told() -> None:
    evidence = await play(Era.HANDSHAKE)
    told = repr(evidence) + repr(lines(evidence)) + repr(judge(evidence))
    for request in evidence.journal:
        for name in ("authorization", TOKEN_HEADER, "mcp-session-id"):
            assert request.headers.get(name, "absent from this request") not in told


async def test_both_users_are_in_flight_at_once() -> None:
    # The server answers nobody's call before the other's is there; one after the other they would never end.
    evidence = await play(Era.MODERN)
    calls = [request for request in evidence.journal if request.rpc_method == "tools/call"]
    rounds = [calls[index : index + len(TOOLS)] for index in range(0, len(calls), len(TOOLS))]
    assert all({request.headers[USER_HEADER] for request in together} == set(TOOLS) for together in rounds)


async def test_verdicts_add_up() -> None:
    verdicts = [judge(await play(era)) for era in Era]
    whole = total(verdicts)
    assert whole.requests == sum(verdict.requests for verdict in verdicts)
    assert whole.sessions == len(TOOLS)
    assert whole.holds
    assert not total([*verdicts, Verdict(leaks=("one",))]).holds
    assert not total([*verdicts, Verdict(faults=("one",))]).holds


# Clients that leak: the resolver stands for a library that mixes its callers up.


async def test_a_token_that_is_resolved_once_and_kept_is_a_leak() -> None:
    def resolver_for_all(tokens: Tokens) -> UserHeaders:
        kept: dict[str, str] = {}

        def resolve(ctx: RequestContext) -> dict[str, str]:
            if not kept:
                kept.update(user_headers(tokens)(ctx))
            return kept

        return resolve

    evidence = await play(Era.MODERN, resolver_for_all)
    verdict = judge(evidence)
    first = evidence.ledger[0].principal
    victim = next(user for user in TOOLS if user != first)
    sent = [ctx for ctx in evidence.ledger if ctx.principal == victim]
    assert len(verdict.leaks) == len(sent) + (1 + ROUNDS) == 2 * (1 + ROUNDS)
    assert all(victim in leak and first is not None and first in leak for leak in verdict.leaks)
    assert sorted(verdict.faults) == ["alice's token never changed", "bob's token never changed"]


async def test_the_name_of_one_with_the_token_of_another_is_a_leak() -> None:
    def mixed(tokens: Tokens) -> UserHeaders:
        return lambda ctx: {
            USER_HEADER: str(ctx.principal),
            TOKEN_HEADER: tokens.use("bob" if ctx.principal == "alice" else "alice"),
        }

    verdict = judge(await play(Era.MODERN, mixed))
    assert len(verdict.leaks) == (1 + ANSWERS) + ANSWERS
    assert "#1 POST /mcp server/discover, made for" in verdict.leaks[0]


async def test_a_client_with_nobodys_headers_gets_nothing_and_that_is_told() -> None:
    verdict = judge(await play(Era.MODERN, lambda tokens: lambda ctx: {}))
    assert not verdict.holds
    assert {leak.partition("carried what is ")[2] for leak in verdict.leaks} == {"nobody's"}
    assert any("Unknown tool" in fault for fault in verdict.faults)
    assert {"alice did not get every answer", "bob did not get every answer"} <= set(verdict.faults)


async def test_a_resolver_that_refuses_ends_the_scene_and_is_told() -> None:
    def refusing(tokens: Tokens) -> UserHeaders:
        def resolve(ctx: RequestContext) -> dict[str, str]:
            raise LookupError("who?")

        return resolve

    evidence = await play(Era.MODERN, refusing)
    verdict = judge(evidence)
    assert verdict.requests == 0
    assert verdict.leaks == ()
    assert any("raised LookupError" in fault for fault in verdict.faults)


async def test_the_first_failure_ends_the_scene() -> None:
    def failing(tokens: Tokens) -> UserHeaders:
        def resolve(ctx: RequestContext) -> dict[str, str]:
            if ctx.principal == "bob" and ctx.rpc_method == "tools/call":
                raise LookupError("who?")
            return dict(user_headers(tokens)(ctx))

        return resolve

    # Alice's call waits at the server for one of Bob's that never comes; she is not left to run out of time.
    evidence = await play(Era.MODERN, failing)
    assert [failure.partition(":")[0] for failure in evidence.failures] == ["bob"]
    assert not judge(evidence).holds


# Journals that a leaking client would have left.


async def test_a_request_with_anothers_name_is_a_leak() -> None:
    evidence = await play(Era.MODERN)
    verdict = tampered(evidence, is_of("alice"), lambda request: changed(request, x_cpki_user_id="bob"))
    assert len(verdict.leaks) == 1
    assert verdict.leaks[0].endswith("made for alice, carried what is bob's")
    assert verdict.faults == ()


async def test_a_request_with_anothers_token_is_a_leak() -> None:
    evidence = await play(Era.MODERN)
    token = last(evidence, "bob").headers[TOKEN_HEADER]
    verdict = tampered(evidence, is_of("alice"), lambda request: changed(request, x_cpki_user_token=token))
    assert [leak.partition("made for ")[2] for leak in verdict.leaks] == ["alice, carried what is bob's"]


async def test_a_request_in_anothers_session_is_a_leak() -> None:
    evidence = await play(Era.HANDSHAKE)
    session = last(evidence, "bob").headers["mcp-session-id"]
    verdict = tampered(
        evidence,
        lambda request: request is last(evidence, "alice"),
        lambda request: changed(request, mcp_session_id=session),
    )
    assert [leak.partition("made for ")[2] for leak in verdict.leaks] == ["alice, went into bob's session"]


async def test_an_answer_about_another_is_a_leak() -> None:
    evidence = await play(Era.MODERN)
    stray = Received("alice", "tools/call inbox", ("alice", "bob"))
    verdict = judge(evolve(evidence, received=(*evidence.received[1:], stray)))
    assert verdict.leaks == ("alice asked for tools/call inbox and was told of bob",)


async def test_headers_that_were_resolved_for_another_request_are_a_fault() -> None:
    evidence = await play(Era.MODERN)
    number = last(evidence, "alice").headers[NUMBER_HEADER]
    verdict = tampered(evidence, is_of("alice"), lambda request: changed(request, x_demo_resolution=number))
    assert verdict.leaks == ()
    assert [fault.partition(" carried ")[2] or fault.partition(" shared ")[1] for fault in verdict.faults] == [
        "headers that were not resolved for it",
        " shared ",
    ]


async def test_headers_that_nobody_resolved_are_a_leak_to_somebody_and_a_fault() -> None:
    evidence = await play(Era.MODERN)
    verdict = tampered(evidence, is_of("alice"), lambda request: changed(request, x_demo_resolution=None))
    assert len(verdict.leaks) == len(verdict.faults) == 1
    journal = tuple(changed(request, x_demo_resolution=None) for request in evidence.journal)
    assert {line.kind for line in lines(evolve(evidence, journal=journal))} == {""}


async def test_a_request_without_the_projects_credential_is_a_fault() -> None:
    evidence = await play(Era.MODERN)
    verdict = tampered(evidence, is_of("bob"), lambda request: changed(request, authorization="Bearer guessed"))
    assert len(verdict.faults) == 1
    assert verdict.faults[0].endswith("did not carry the project's credential")


async def test_a_request_that_only_one_side_knows_of_is_a_fault() -> None:
    evidence = await play(Era.MODERN)
    verdict = judge(evolve(evidence, exchanges=evidence.exchanges[1:]))
    sent, received = len(evidence.journal) - 1, len(evidence.journal)
    assert verdict.faults == (f"the client sent {sent} requests and the server received {received}",)


async def test_an_answer_that_never_came_is_a_fault() -> None:
    evidence = await play(Era.MODERN)
    received = tuple(answer for answer in evidence.received if answer.user == "bob")
    assert judge(evolve(evidence, received=received)).faults == ("alice did not get every answer",)
