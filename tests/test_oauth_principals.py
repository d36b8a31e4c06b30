"""Whose token goes with whose call: each identity's with its own, whatever others do meanwhile, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from support.authorization import FOUND, ISSUER, MCP, PRM, form_of
from support.oauth import BY_HAND, Clock, Scene, as_, grant_types
from support.pure import Answer, Reply, headers_of, result_reply
from support.stepping import HandshakeServer, Play
from support.stepping import World as Stage

from mcpcore import (
    AuthorizationCode,
    BearerAuth,
    CallContext,
    CallHandler,
    Client,
    ClientCredentials,
    ConfigurationError,
    EnterpriseManaged,
    Limits,
    LocalProtocolError,
    OAuth,
    OAuthError,
    RedirectError,
    RequestContext,
    RequestKind,
    SendRequest,
    UnauthorizedError,
)

TOKEN = f"{ISSUER}/token"
TOOLS = {"resultType": "complete", "tools": [], "ttlMs": 3_600_000, "cacheScope": "private"}


def stage_of(scene: Scene, client: Client) -> Stage:
    """A place where several calls of one client go on by hand."""
    return Stage(client, scene.answer)


def call_of(stage: Stage, principal: str | None) -> Play[Any]:
    return stage.play(stage.client.call_tool("find", context=as_(principal)))


def listing(scene: Scene) -> None:
    """Have the MCP server list tools, for those whom it lets in."""
    scene.instead = lambda request: (
        result_reply(request, TOOLS)
        if request.rpc_method == "tools/list" and scene.world.owner_of(request) is not None
        else None
    )


# However calls interleave


def check_owners(scene: Scene, request: SendRequest) -> None:
    """Whatever a request shows that is somebody's is that of whose call it is."""
    server, principal = scene.world.server, request.principal or "application"
    if request.url == MCP:
        owner = scene.world.owner_of(request)
        assert owner is None or owner[0] == principal
    elif request.url == TOKEN:
        form = form_of(request)
        if "refresh_token" in form and form["refresh_token"] in server.refresh_tokens:
            assert server.refresh_tokens[form["refresh_token"]][0] == principal
        if "code" in form:
            assert server.codes[form["code"]]["principal"] == principal


@pytest.mark.parametrize("seed", range(40))
def test_a_token_goes_with_its_owners_calls_alone(seed: int) -> None:
    random, scene = Random(seed), Scene()
    limits = Limits(accounts=2) if seed % 4 == 0 else Limits()
    client = scene.client(limits=limits)
    stage = stage_of(scene, client)

    def checking(request: SendRequest) -> None:
        check_owners(scene, request)
        if random.random() < 0.05:
            scene.world.server.tokens.clear()
        if random.random() < 0.05:
            scene.world.server.refresh_tokens.clear()
        if random.random() < 0.1:
            scene.clock.now += 595

    scene.instead = checking
    plays = [call_of(stage, random.choice(["alice", "bob", None])) for _ in range(6)]
    while going := [play for play in plays if not play.over]:
        random.shuffle(going)
        assert any(play.step() or play.over for play in going), "they wait for each other"
    for play in plays:
        assert play.error is None or isinstance(play.error, UnauthorizedError)
    assert any(play.error is None for play in plays)
    assert stage.leftovers() == []


def test_nobody_waits_for_another_identity() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client(scene.provider(client=BY_HAND)))
    alice, bob = call_of(stage, "alice"), call_of(stage, "bob")
    alice.until(CallHandler)
    bob.finish()
    assert [owner for _, owner in scene.world.seen] == [None, None, "bob"]
    alice.finish()
    assert scene.world.seen[-1] == ("tools/call", "alice")


def test_an_identity_is_a_principal_at_a_resource_of_an_issuer() -> None:
    scene = Scene()
    two = "https://two.example/mcp"
    well_known = "https://two.example/.well-known/oauth-protected-resource/mcp"
    scene.world.documents[well_known] = {"resource": two, "authorization_servers": [ISSUER]}
    scene.world.documents[two] = lambda request: (
        scene.world.refuse(401, {})
        if headers_of(request).get("authorization") is None
        else result_reply(request, FOUND)
    )
    auth = scene.provider()
    one, other = scene.client(auth), scene.client(auth, two)
    for client in (one, other, one, other):
        scene.call(client)
    assert [form["resource"] for form in scene.world.server.asked] == [MCP, two]
    assert scene.tokens_sent() == [None, "access-2", "access-2"]
    assert [headers_of(request).get("authorization") for request in scene.sent_to(two)] == [
        None,
        "Bearer access-4",
        "Bearer access-4",
    ]
    assert len(scene.world.server.registered) == 1


def test_clients_of_one_server_may_share_a_login() -> None:
    scene = Scene()
    auth = scene.provider()
    scene.call(scene.client(auth))
    scene.call(scene.client(auth))
    assert scene.logins == 1


def test_without_a_principal_it_is_the_applications_own_call() -> None:
    scene = Scene()
    client = scene.client()
    for principal in (None, "alice", None):
        scene.call(client, principal)
    assert [request.principal for request in scene.world.server.authorized] == [None, "alice"]


class AnyCase(str):
    """A user's own kind of name, which compares without regard to case."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.lower())


def test_principals_are_told_apart_by_their_characters() -> None:
    scene = Scene()
    client = scene.client()
    for principal in (AnyCase("Alice"), AnyCase("alice"), "alice"):
        scene.call(client, principal)
    assert [str.__str__(request.principal or "") for request in scene.world.server.authorized] == ["Alice", "alice"]


PEOPLES = {
    "a person's": lambda scene: scene.provider(),
    "an enterprise's": lambda scene: scene.provider(
        EnterpriseManaged(lambda request: "id", token_endpoint="https://idp.example/token"), client=BY_HAND
    ),
}


@pytest.mark.parametrize("of", PEOPLES.values(), ids=PEOPLES)
@pytest.mark.parametrize("options", [{"get_headers": lambda context: {"X-User": "u"}}, {"forward": ["X-User"]}])
def test_it_must_be_said_whose_token_is_wanted(of: Callable[[Scene], OAuth], options: dict[str, Any]) -> None:
    scene = Scene()
    auth = of(scene)
    client = scene.client(auth, **options)
    for operation in (client.call_tool("find"), client.log_in()):
        error = scene.fail(operation)
        assert isinstance(error, LocalProtocolError)
        assert "principal" in str(error)
    assert scene.driver.sent == []
    if auth.grant.is_interactive:
        scene.call(client)


@pytest.mark.parametrize("context", [CallContext(user=7), CallContext(request_headers={"X-User": "u"})])
def test_whoever_tells_people_apart_says_whose_token_is_wanted(context: CallContext) -> None:
    scene = Scene()
    error = scene.fail(scene.client().call_tool("find", context=context))
    assert isinstance(error, LocalProtocolError)
    assert scene.driver.sent == []


def test_an_application_may_resolve_headers_besides() -> None:
    scene = Scene()
    listing(scene)
    users = iter("abba")
    auth = scene.provider(ClientCredentials(), client=BY_HAND)
    client = scene.client(auth, get_headers=lambda context: {"X-User": next(users)})
    scene.run(client.list_tools())  # asks twice
    scene.run(client.list_tools())
    scene.run(client.list_tools())
    assert [headers_of(request).get("x-user") for request in scene.sent_to(MCP)] == ["a", "b", "b", "a"]
    # What was answered to one user is no other user's, whatever the token.
    assert client.statistics().anonymous_partitions == 2


# What an identity has stays its own while its tokens change


@pytest.mark.parametrize("principal", ["alice", None])
@pytest.mark.parametrize("is_application", [False, True])
def test_a_cache_outlives_tokens(principal: str | None, is_application: bool) -> None:
    scene = Scene()
    listing(scene)
    auth = scene.provider(ClientCredentials(), client=BY_HAND) if is_application else scene.provider()
    client = scene.client(auth)
    scene.run(client.list_tools(context=as_(principal)))
    for _ in range(2):
        scene.clock.now += 595
        scene.call(client, principal)
    before = len(scene.driver.sent)
    scene.run(client.list_tools(context=as_(principal)))
    assert scene.since(before) == []
    assert len(set(scene.tokens_sent())) == 4
    statistics = client.statistics()
    assert (statistics.partitions, statistics.anonymous_partitions) == ((1, 0) if principal else (0, 1))
    assert statistics.cache_hits == 1


@pytest.mark.parametrize("principal", ["alice", None])
def test_a_session_outlives_tokens(principal: str | None) -> None:
    scene, server = Scene(), HandshakeServer()
    scene.instead = lambda request: (
        server(request) if request.url == MCP and scene.world.owner_of(request) is not None else None
    )
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND), protocol_version="2025-11-25")
    scene.call(client, principal)
    scene.clock.now += 595
    scene.call(client, principal)
    scene.world.server.tokens.clear()
    scene.call(client, principal)
    assert server.opened == 1
    [goodbye] = client.close()
    scene.run(goodbye)
    assert server.known == set()


# One at a time, for all that wait


def play_to_the_end(plays: list[Play[Any]]) -> int:
    """Let all go on in turn until all are over; how many were asking a person at once, at most."""
    most, steps = 0, [True]
    while any(steps):
        steps = [play.step() for play in plays]
        most = max(most, sum(isinstance(play.peek(), CallHandler) for play in plays))
    assert all(play.over for play in plays)
    return most


def test_twenty_calls_make_one_login_and_one_renewal() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    for _ in range(2):
        plays = [call_of(stage, "alice") for _ in range(20)]
        play_to_the_end(plays)
        assert all(play.error is None for play in plays)
        scene.clock.now += 595
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token"]
    assert len(scene.world.server.registered) == 1


def test_twenty_refusals_of_one_token_make_one_renewal() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    call_of(stage, "alice").finish()
    scene.world.server.tokens.clear()
    plays = [call_of(stage, "alice") for _ in range(20)]
    play_to_the_end(plays)
    assert all(play.error is None for play in plays)
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token"]


def test_many_identities_make_one_registration() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    play_to_the_end([call_of(stage, f"user-{number}") for number in range(10)])
    assert len(scene.world.server.registered) == 1
    assert scene.logins == 10


def failing_first(scene: Scene, times: int) -> OAuth:
    """People who refuse so many times before they say yes."""
    left = [times]

    def handler(request: Any) -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise ValueError
        return scene.world.log_in(request)

    return scene.provider(AuthorizationCode(handler, redirect_uri="http://127.0.0.1/"))


def test_whoever_fails_fails_alone() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client(failing_first(scene, 3)))
    plays = [call_of(stage, "alice") for _ in range(8)]
    assert play_to_the_end(plays) == 1
    failed = [play for play in plays if play.error is not None]
    assert len(failed) == 3
    assert all(isinstance(play.error, OAuthError) for play in failed)
    assert scene.logins == 1


@pytest.mark.parametrize("at", [CallHandler, SendRequest])
def test_whoever_gives_up_makes_way(at: type[Any]) -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    leader, *others = (call_of(stage, "alice") for _ in range(4))
    leader.until(at, **({"url": TOKEN} if at is SendRequest else {}))
    for other in others:
        other.until_blocked()
    leader.cancel()
    play_to_the_end(others)
    assert all(other.error is None for other in others)
    assert [owner for _, owner in scene.world.seen[-3:]] == ["alice"] * 3
    assert scene.logins == (1 if at is CallHandler else 2)
    assert stage.leftovers() == []


def test_whoever_gives_up_a_renewal_makes_way() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    call_of(stage, "alice").finish()
    scene.clock.now += 595
    leader, other = call_of(stage, "alice"), call_of(stage, "alice")
    leader.until(SendRequest, url=TOKEN)
    other.until_blocked()
    leader.cancel()
    other.finish()
    assert scene.logins == 1


def test_who_waited_for_a_renewal_that_led_nowhere_does_not_try_it_again() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    call_of(stage, "alice").finish()
    scene.clock.now += 595
    scene.world.server.refresh_tokens.clear()
    plays = [call_of(stage, "alice") for _ in range(3)]
    play_to_the_end(plays)
    assert all(play.error is None for play in plays)
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token", "authorization_code"]


def test_a_login_waits_for_one_that_is_under_way() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client())
    scene.instead = lambda request: (
        result_reply(request, {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
        if request.rpc_method == "server/discover"
        else None
    )
    call = call_of(stage, "alice")
    call.until(CallHandler)
    login = stage.play(stage.client.log_in(context=as_("alice")))
    login.until_blocked()
    call.finish()
    assert login.finish().issuer == ISSUER
    assert scene.logins == 1


def test_identities_are_forgotten_when_there_are_too_many() -> None:
    scene = Scene()
    client = scene.client(limits=Limits(accounts=2))
    for principal in ("alice", "bob", "alice", "bob"):
        scene.call(client, principal)
    assert scene.logins == 2
    for principal in ("carol", "bob", "alice"):
        scene.call(client, principal)
    assert scene.logins == 4


def test_identities_that_nobody_uses_are_forgotten_first() -> None:
    scene = Scene()
    stage = stage_of(scene, scene.client(limits=Limits(accounts=1)))
    alice = call_of(stage, "alice")
    alice.until(CallHandler)
    call_of(stage, "bob").finish()
    alice.finish()
    call_of(stage, "alice").finish()
    assert scene.logins == 2  # Alice's was being worked on, so Bob's account came beside it.
    call_of(stage, "carol").finish()
    call_of(stage, "alice").finish()
    assert scene.logins == 4


# Beside other ways to authorize


def test_a_resolver_that_authorizes_wins_and_answers_for_itself() -> None:
    scene = Scene()
    seen: list[RequestContext] = []

    def resolver(context: RequestContext) -> dict[str, str]:
        seen.append(context)
        return {"authorization": "Bearer own"}

    client = scene.client(get_headers=resolver)
    assert isinstance(scene.refused(client), UnauthorizedError)
    assert [context.attempt for context in seen] == [1, 2]
    assert seen[1].challenge is not None
    assert scene.since(0) == ["mcp", "mcp"]
    assert scene.tokens_sent() == ["own", "own"]


def test_a_resolver_that_gives_way_leaves_it_to_auth() -> None:
    scene = Scene()
    client = scene.client(get_headers=lambda context: {"Authorization": "Bearer own"} if context.attempt == 1 else None)
    scene.call(client)
    assert scene.tokens_sent() == ["own", None, "access-2"]


def test_a_resolver_sees_the_token_and_may_leave_it() -> None:
    scene = Scene()
    seen: list[str | None] = []
    client = scene.client(get_headers=lambda context: seen.append(context.headers.get("authorization")))
    scene.call(client)
    assert seen == [None, "Bearer access-2"]


@pytest.mark.parametrize(
    "options",
    [
        {"auth_token": "t"},
        {"headers": {"authorization": "Bearer t"}},
        {"forward": ["Authorization"]},
        {"auth": object()},
        {"wall_clock": None},
    ],
)
def test_what_auth_excludes(options: dict[str, Any]) -> None:
    given: dict[str, Any] = {"auth": BearerAuth(lambda request: "t"), "wall_clock": Clock(), **options}
    with pytest.raises(ConfigurationError, match="auth") as caught:
        Client(MCP, **given)
    assert caught.value.server == MCP


def test_auth_draws_from_the_operating_system_where_nothing_else_is_given() -> None:
    scene = Scene()
    client = Client(MCP, auth=scene.provider(), wall_clock=scene.clock)
    scene.call(client)
    assert len({request.state for request in scene.world.server.authorized}) == 1


# Who gets to see what

CONFIGURED: dict[str, Any] = {
    "headers": {"X-Key": "k"},
    "get_headers": lambda context: {"X-Own": "o"},
    "forward": ["X-F"],
}
OF_ANY_CLIENT = {"user-agent", "accept", "accept-encoding"}


def test_each_server_is_sent_what_is_for_it() -> None:
    scene = Scene()
    client = scene.client(**CONFIGURED)
    context = CallContext(principal="alice", request_headers={"X-F": "f"})
    scene.run(client.call_tool("find", context=context))
    scene.clock.now += 595
    scene.run(client.call_tool("find", context=context))
    scene.run(client.log_out(context=context))
    for request in scene.driver.sent:
        headers = headers_of(request)
        if request.url == MCP:
            assert {"x-key", "x-own", "x-f", "mcp-protocol-version"} <= headers.keys()
        else:
            assert headers.keys() <= OF_ANY_CLIENT | {"content-type"}
            told = [*headers.values(), request.url, request.body.decode()]
            if request.kind is not RequestKind.REVOCATION:
                assert not any(token in text for token in scene.world.server.tokens for text in told)
    assert len(scene.driver.sent) == 10


def test_a_redirect_is_followed_with_the_token() -> None:
    scene = Scene()
    moved = "https://mcp.example/moved"

    def redirecting(request: SendRequest) -> Answer | None:
        if request.url == MCP:
            return Reply(307, {"location": "/moved"})
        if request.url == moved:
            owner = scene.world.owner_of(request)
            return (
                scene.world.refuse(401, {"resource_metadata": PRM}) if owner is None else result_reply(request, FOUND)
            )
        return None

    scene.instead = redirecting
    scene.call(scene.client(redirects="same-origin"))
    shown = [headers_of(request).get("authorization") for request in scene.sent_to(moved)]
    assert shown == [None, "Bearer access-2"]


def test_a_redirect_takes_no_token_elsewhere() -> None:
    scene = Scene()
    client = scene.client(redirects="same-origin")
    scene.call(client)
    scene.instead = lambda request: Reply(307, {"location": "https://evil.example/mcp"}) if request.url == MCP else None
    assert isinstance(scene.refused(client), RedirectError)
    assert not any("evil" in request.url for request in scene.driver.sent)


def test_tokens_go_over_plain_http_to_this_machine_alone() -> None:
    scene = Scene()
    auth = BearerAuth(lambda request: "t")
    with pytest.raises(ConfigurationError, match="plain http"):
        scene.client(auth, "http://mcp.example/mcp")
    scene.instead = lambda request: result_reply(request, FOUND)
    scene.call(scene.client(auth, "http://127.0.0.1/mcp"))
    assert [headers_of(request)["authorization"] for request in scene.driver.sent] == ["Bearer t"]
