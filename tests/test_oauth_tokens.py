"""The life of a token: renewed, refused, widened, given back; and never seen by anybody whom it does not concern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.authorization import FOUND, ISSUER, MCP, AuthorizationServer, form_of, query_of
from support.oauth import BY_HAND, Clock, Scene, as_, grant_types
from support.pure import Answer, Reply, headers_of, json_reply, message_of, result_reply, sse_reply
from support.stepping import HandshakeServer

from mcpcore import (
    BearerAuth,
    Client,
    ClientCredentials,
    ForbiddenError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    Login,
    OAuthError,
    OAuthResponseError,
    SendRequest,
    TransportError,
    UnauthorizedError,
)

OTHER_ISSUER = "https://other.example"
REVOKE = f"{ISSUER}/revoke"


def stale(scene: Scene) -> int:
    """Let the time of all tokens pass; how much was sent before."""
    scene.clock.now += 595
    return len(scene.driver.sent)


def forget(scene: Scene) -> int:
    """Have the MCP server take no token that there is; how much was sent before."""
    for server in scene.world.servers.values():
        server.tokens.clear()
    return len(scene.driver.sent)


# Renewal


def test_a_renewal_costs_one_request_more() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    before = stale(scene)
    scene.call(client)
    assert scene.since(before) == ["token", "mcp"]
    assert scene.world.server.asked[-1] == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-2",
        "resource": MCP,
        "client_id": "client-1",
    }
    # The next is by the refresh token that came with this one.
    before = stale(scene)
    scene.call(client)
    scene.call(client)
    assert scene.since(before) == ["token", "mcp", "mcp"]
    assert scene.world.server.asked[-1]["refresh_token"] == "refresh-3"
    assert scene.tokens_sent() == [None, "access-2", "access-3", "access-4", "access-4"]
    assert scene.logins == 1


def test_a_client_that_is_forgotten_while_somebody_logs_in_registers_anew_the_next_time() -> None:
    scene = Scene()
    client = scene.client()
    scene.world.server.answer = json_reply({"error": "invalid_client"}, 401)
    assert isinstance(scene.refused(client), OAuthResponseError)
    scene.call(client)
    assert [form["client_id"] for form in scene.world.server.asked] == ["client-1", "client-2"]


def test_a_token_is_used_until_a_little_before_its_end() -> None:
    scene = Scene()
    client = scene.client(limits=Limits(token_margin=100))
    scene.call(client)
    scene.clock.now += 499
    scene.call(client)
    assert scene.tokens_sent()[1:] == ["access-2"] * 2
    scene.clock.now += 1
    scene.call(client)
    assert scene.tokens_sent()[3:] == ["access-3"]


def test_a_refresh_token_that_is_not_replaced_stays() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    server = scene.world.server
    for name in ("a", "b"):
        stale(scene)
        server.tokens[name] = "alice", ()
        server.answer = json_reply({"access_token": name, "token_type": "Bearer", "expires_in": 600})
        scene.call(client)
    assert [form.get("refresh_token") for form in server.asked] == [None, "refresh-2", "refresh-2"]
    # Nobody said that the scopes are others now.
    assert scene.run(client.log_in(context=as_("alice"))).scopes == ("read",)


def test_an_application_is_granted_a_token_anew() -> None:
    scene = Scene()
    scene.world.server.refreshes = False
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND))
    scene.call(client, None)
    before = stale(scene)
    scene.call(client, None)
    assert scene.since(before) == ["token", "mcp"]
    assert grant_types(scene.world.server.asked) == ["client_credentials"] * 2
    assert [form["scope"] for form in scene.world.server.asked] == ["read"] * 2


def test_a_person_is_asked_again_where_nothing_renews_a_token() -> None:
    scene = Scene()
    scene.world.server.refreshes = False
    client = scene.client()
    scene.call(client)
    before = stale(scene)
    scene.call(client)
    assert scene.since(before)[0] == "mcp"
    assert scene.tokens_sent() == [None, "access-2", None, "access-4"]
    assert scene.logins == 2


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
def test_a_refresh_that_is_refused_leads_to_a_login(error: str, status: int) -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    before = stale(scene)
    scene.world.server.answer = json_reply({"error": error}, status)
    scene.call(client)
    registered = ["register"] if error == "invalid_client" else []
    assert scene.since(before) == [
        *("token", "mcp", "resource", "oauth-authorization-server", *registered, "token", "mcp")
    ]
    assert scene.logins == 2


@pytest.mark.parametrize("answer", [Reply(429), Reply(500), Reply(503), TransportError("broken"), Reply(200)])
def test_a_refresh_that_fails_is_tried_again_by_the_next_call(answer: Answer) -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    before = stale(scene)
    scene.world.server.answer = answer
    error = scene.refused(client)
    assert isinstance(error, TransportError if isinstance(answer, TransportError) else OAuthResponseError)
    scene.call(client)
    # Its endpoints may have moved, so it is asked where they are.
    assert scene.since(before) == ["token", "oauth-authorization-server", "token", "mcp"]
    assert [form.get("refresh_token") for form in scene.world.server.asked] == [None, "refresh-2", "refresh-2"]
    assert scene.logins == 1


def test_what_a_server_says_of_itself_is_believed_for_a_while() -> None:
    scene = Scene()
    client = scene.client(limits=Limits(metadata_age=1200.0))
    scene.call(client)
    for requests in (["token", "mcp"], ["oauth-authorization-server", "token", "mcp"]):
        before = len(scene.driver.sent)
        scene.clock.now += 610
        scene.call(client)
        assert scene.since(before) == requests


# A token that the MCP server refuses


def test_a_refused_token_is_renewed_where_it_is_still_trusted() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    before = forget(scene)
    scene.call(client)
    assert scene.since(before) == ["mcp", "resource", "token", "mcp"]
    assert scene.logins == 1


def test_a_refused_token_is_replaced_where_nothing_renews_it() -> None:
    scene = Scene()
    scene.world.server.refreshes = False
    client = scene.client()
    scene.call(client)
    before = forget(scene)
    scene.call(client)
    assert scene.since(before) == ["mcp", "resource", "oauth-authorization-server", "token", "mcp"]
    assert scene.logins == 2


def test_a_refused_token_is_replaced_where_its_refresh_is_refused() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    before = forget(scene)
    scene.world.server.refresh_tokens.clear()
    scene.call(client)
    assert scene.since(before) == ["mcp", "resource", "token", "oauth-authorization-server", "token", "mcp"]
    assert scene.logins == 2


def test_another_authorization_server_is_found_and_the_old_one_told_nothing() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    assert scene.world.resource is not None
    scene.world.resource["authorization_servers"] = [OTHER_ISSUER]
    other = scene.world.servers[OTHER_ISSUER] = AuthorizationServer(OTHER_ISSUER)
    before = forget(scene)
    scene.call(client)
    assert scene.since(before) == ["mcp", "resource", "oauth-authorization-server", "register", "token", "mcp"]
    assert not any(request.url.startswith(ISSUER) for request in scene.driver.sent[before:])
    assert len(other.authorized) == 1


def test_an_identity_stays_where_it_is_while_that_is_trusted() -> None:
    scene = Scene()
    scene.world.server.refreshes = False
    client = scene.client()
    scene.call(client)
    assert scene.world.resource is not None
    scene.world.resource["authorization_servers"] = [OTHER_ISSUER, ISSUER]
    scene.world.servers[OTHER_ISSUER] = AuthorizationServer(OTHER_ISSUER)
    forget(scene)
    scene.call(client)
    assert scene.logins == 2


def test_a_server_that_is_named_is_not_taken_for_one_of_the_first_days() -> None:
    scene = Scene()
    assert scene.world.resource is not None
    scene.world.resource["authorization_servers"] = ["https://mcp.example"]
    assert "no metadata at any well-known place" in str(scene.refused(scene.client()))
    assert scene.since(0) == ["mcp", "resource", "oauth-authorization-server", "openid-configuration"]


def test_a_server_of_the_first_days_is_its_own_authorization_server() -> None:
    scene = Scene()
    scene.world.resource, scene.world.challenge = None, {}
    own = AuthorizationServer("https://mcp.example")
    scene.world.servers = {own.issuer: own}
    scene.world.documents["https://mcp.example/.well-known/oauth-authorization-server"] = None
    client = scene.client()
    scene.call(client)
    before = stale(scene)
    scene.call(client)
    assert scene.since(before) == ["token", "mcp"]
    before = forget(scene)
    scene.call(client)
    assert scene.since(before)[-2:] == ["token", "mcp"]
    assert grant_types(own.asked) == ["authorization_code", "refresh_token", "refresh_token"]
    assert len(own.authorized) == 1


def test_authorization_servers_that_were_not_used_for_long_are_asked_again_what_they_are() -> None:
    scene = Scene()
    two = "https://mcp.example/mcp/two"
    assert scene.world.resource is not None
    scene.world.documents["https://mcp.example/.well-known/oauth-protected-resource/mcp/two"] = {
        **scene.world.resource,
        "resource": two,
        "authorization_servers": [OTHER_ISSUER],
    }
    scene.world.documents[two] = lambda request: (
        result_reply(request, FOUND) if "authorization" in headers_of(request) else scene.world.refuse(401, {})
    )
    scene.world.servers[OTHER_ISSUER] = AuthorizationServer(OTHER_ISSUER)
    auth, limits = scene.provider(), Limits(authorization_servers=1)
    one, other = scene.client(auth, limits=limits), scene.client(auth, two, limits=limits)
    for client in (one, other):
        scene.call(client)
    before = stale(scene)
    scene.call(one)
    assert scene.since(before) == ["oauth-authorization-server", "register", "token", "mcp"]


def test_a_refusal_of_a_new_token_is_final() -> None:
    scene = Scene()
    scene.refuse("tools/call")
    error = scene.refused(scene.client())
    assert isinstance(error, UnauthorizedError)
    assert scene.tokens_sent() == [None, "access-2"]
    assert scene.logins == 1


def test_a_refusal_of_a_renewed_token_leads_to_one_login() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    scene.refuse("tools/call")
    assert isinstance(scene.refused(client), UnauthorizedError)
    assert scene.tokens_sent()[1:] == ["access-2", "access-2", "access-3", "access-5"]
    assert scene.logins == 2


def test_one_login_is_all_even_if_its_token_cannot_wait_to_be_used() -> None:
    scene = Scene()
    scene.world.server.refreshes = False

    def slow(request: SendRequest) -> Answer | None:
        if request.url.endswith("/token"):
            answer = scene.world(request)
            scene.clock.now += 10_000
            scene.world.server.tokens.clear()
            return answer
        return None

    scene.instead = slow
    assert isinstance(scene.refused(scene.client(clock=None)), UnauthorizedError)
    assert scene.logins == 1


def test_what_a_refused_identity_was_told_is_forgotten() -> None:
    scene = Scene()
    tools = {"resultType": "complete", "tools": [], "ttlMs": 60_000, "cacheScope": "private"}

    def listing(request: SendRequest) -> Answer | None:
        if request.rpc_method == "tools/list" and scene.world.owner_of(request) is not None:
            return result_reply(request, tools)
        return None

    scene.instead = listing
    client = scene.client()
    scene.run(client.list_tools(context=as_("alice")))
    assert client.statistics().cache_entries == 1
    forget(scene)
    scene.world.server.refresh_tokens.clear()
    del scene.world.server.metadata["code_challenge_methods_supported"]  # So the login fails, too.
    assert isinstance(scene.refused(client), OAuthError)
    assert client.statistics().cache_entries == 0


# Scopes (2026-07-28, "Authorization", Scope Selection Strategy and Step-Up Authorization Flow)


@pytest.mark.parametrize(
    ("challenged", "supported", "always", "asked"),
    [
        ("files db", ["read"], (), "files db"),
        ("files", None, (), "files"),
        (None, ["read", "write"], (), "read write"),
        (None, [], (), None),
        (None, None, (), None),
        (None, None, ("mine",), "mine"),
        ("files mine", ["read"], ("mine",), "mine files"),
        ("", ["read"], (), "read"),
        (" files  db ", ["read"], (), "files db"),
    ],
)
def test_which_scopes_are_asked_for_first(
    challenged: str | None, supported: list[str] | None, always: tuple[str, ...], asked: str | None
) -> None:
    scene = Scene()
    assert scene.world.resource is not None
    del scene.world.resource["scopes_supported"]
    if supported is not None:
        scene.world.resource["scopes_supported"] = supported
    if challenged is not None:
        scene.world.challenge = {**scene.world.challenge, "scope": challenged}
    scene.call(scene.client(scene.provider(scopes=always)))
    assert query_of(scene.world.server.authorized[0].url).get("scope") == asked


@pytest.mark.parametrize(
    ("offered", "supported", "asked", "prompt"),
    [
        (["read", "offline_access"], ["read"], "read offline_access", "consent"),
        (["read"], ["read"], "read", None),
        (["offline_access"], [], None, None),
    ],
)
def test_refresh_tokens_are_asked_for_where_that_is_offered(
    offered: list[str], supported: list[str], asked: str | None, prompt: str | None
) -> None:
    scene = Scene()
    scene.world.server.metadata["scopes_supported"] = offered
    assert scene.world.resource is not None
    scene.world.resource["scopes_supported"] = supported
    scene.call(scene.client())
    parameters = query_of(scene.world.server.authorized[0].url)
    assert (parameters.get("scope"), parameters.get("prompt")) == (asked, prompt)


def test_what_is_lacking_is_asked_for_beside_what_there_is() -> None:
    scene = Scene()
    scene.world.scopes = {"write": ("write",), "both": ("write", "erase")}
    client = scene.client(scene.provider(scopes=("mine",)))
    scene.call(client)
    before = len(scene.driver.sent)
    scene.call(client, tool="write")
    assert scene.since(before) == ["mcp", "resource", "oauth-authorization-server", "token", "mcp"]
    scene.call(client, tool="both")
    scene.call(client, tool="write")
    asked = [query_of(request.url)["scope"] for request in scene.world.server.authorized]
    assert asked == ["mine read", "mine read write", "mine read write erase"]
    # A renewed token has them all.
    stale(scene)
    scene.call(client, tool="both")
    assert scene.logins == 3


def test_an_application_steps_up_as_well() -> None:
    scene = Scene()
    scene.world.scopes = {"write": ("write",)}
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND))
    scene.call(client, None, "write")
    assert [form["scope"] for form in scene.world.server.asked] == ["read", "read write"]


def test_scopes_that_were_asked_for_in_vain_are_not_asked_for_again() -> None:
    scene = Scene()
    scene.world.scopes = {"write": ("write",)}
    client = scene.client()
    scene.call(client)
    server = scene.world.server
    server.answer = json_reply({"access_token": "lean", "token_type": "Bearer", "scope": "read"})
    server.tokens["lean"] = "alice", ("read",)
    for logins in (2, 2):
        error = scene.refused(client, tool="write")
        assert isinstance(error, ForbiddenError)
        assert scene.logins == logins


@pytest.mark.parametrize(
    "challenge",
    [
        {},
        {"error": "insufficient_scope"},
        {"error": "insufficient_scope", "scope": ""},
        {"error": "insufficient_scope", "scope": "read"},
        {"error": "insufficient_scope", "scope": " read  "},
        {"error": "invalid_request", "scope": "write"},
        {"scope": "write"},
    ],
)
def test_a_403_that_no_scope_helps_is_final(challenge: dict[str, str]) -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    scene.instead = lambda request: scene.world.refuse(403, challenge)
    before = len(scene.driver.sent)
    assert isinstance(scene.refused(client), ForbiddenError)
    assert scene.since(before) == ["mcp"]


def test_a_403_without_a_token_is_final() -> None:
    scene = Scene()
    scene.instead = lambda request: scene.world.refuse(403, {"error": "insufficient_scope", "scope": "read"})
    assert isinstance(scene.refused(scene.client()), ForbiddenError)
    assert len(scene.driver.sent) == 1


def test_a_401_that_wants_more_scopes_is_no_matter_of_renewal() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    scene.world.challenge = {**scene.world.challenge, "scope": "write"}
    forget(scene)
    scene.call(client)
    assert grant_types(scene.world.server.asked) == ["authorization_code"] * 2
    assert query_of(scene.world.server.authorized[1].url)["scope"] == "read write"


@pytest.mark.parametrize(("authorizations", "logins"), [(1, 1), (2, 2), (5, 2)])
def test_a_person_is_not_asked_for_ever_more(authorizations: int, logins: int) -> None:
    scene = Scene()
    scene.instead = greedy(scene)
    error = scene.refused(scene.client(limits=Limits(authorizations=authorizations)))
    assert isinstance(error, ForbiddenError)
    assert scene.logins == logins
    assert len(scene.tokens_sent()) == logins + 1


def test_who_has_a_token_is_asked_as_little() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)
    scene.instead = greedy(scene)
    assert isinstance(scene.refused(client), ForbiddenError)
    assert scene.logins == 3


@pytest.mark.parametrize("authorizations", [1, 5])
def test_nor_does_an_application_ask_for_ever(authorizations: int) -> None:
    scene = Scene()
    scene.instead = greedy(scene)
    auth = scene.provider(ClientCredentials(), client=BY_HAND)
    error = scene.refused(scene.client(auth, limits=Limits(authorizations=authorizations)), None)
    assert isinstance(error, ForbiddenError)
    assert len(scene.world.server.asked) == authorizations


def greedy(scene: Scene) -> Callable[[SendRequest], Answer | None]:
    """An MCP server that wants another scope each time."""

    def answer(request: SendRequest) -> Answer | None:
        if request.url == MCP and scene.world.owner_of(request) is not None:
            return scene.world.refuse(403, {"error": "insufficient_scope", "scope": f"s{len(scene.driver.sent)}"})
        return None

    return answer


def test_scopes_have_their_limit() -> None:
    scene = Scene()
    scene.world.challenge = {**scene.world.challenge, "scope": " ".join(f"scope-{number}" for number in range(1000))}
    assert isinstance(scene.refused(scene.client()), LimitExceeded)
    assert scene.since(0) == ["mcp", "resource", "oauth-authorization-server"]


# What is not worth a login


def in_session(scene: Scene) -> None:
    """Have the MCP server speak the handshake era, with those whom it lets in."""
    server = HandshakeServer()

    def pinging(request: SendRequest) -> Answer | None:
        if request.url != MCP or scene.world.owner_of(request) is None:
            return None
        if request.rpc_name == "pinged":
            ping = {"jsonrpc": "2.0", "id": "p", "method": "ping"}
            answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": {"content": []}}
            return sse_reply(ping, answer)
        return server(request)

    scene.instead = pinging


def only_for(scene: Scene, refused: Callable[[SendRequest], bool]) -> list[SendRequest]:
    """Have the MCP server refuse every token for some requests; which those were."""
    inner, seen = scene.instead, list[SendRequest]()

    def refusing(request: SendRequest) -> Answer | None:
        if request.url == MCP and refused(request):
            seen.append(request)
            return scene.world.refuse(401, scene.world.challenge)
        return inner(request)

    scene.instead = refusing
    return seen


@pytest.mark.parametrize("what", ["ping", "DELETE"])
def test_what_ends_or_answers_something_is_worth_a_renewal_and_no_login(what: str) -> None:
    scene = Scene()
    in_session(scene)
    client = scene.client(protocol_version="2025-11-25")
    refused = only_for(scene, lambda request: (request.rpc_method or request.method) == what)
    scene.run(client.call_tool("pinged", context=as_("alice")))
    for goodbye in client.close():
        scene.run(goodbye)
    assert len({headers_of(request)["authorization"] for request in refused}) == len(refused) == 2
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token"]
    assert scene.logins == 1


@pytest.mark.parametrize("what", ["notifications/initialized", "notifications/roots/list_changed"])
def test_a_notification_is_worth_a_login(what: str) -> None:
    scene = Scene()
    in_session(scene)
    client = scene.client(protocol_version="2025-11-25")
    refused = only_for(scene, lambda request: (request.rpc_method or request.method) == what)
    context = as_("alice")
    if what == "notifications/initialized":
        scene.fail(client.call_tool("find", context=context))
    else:
        scene.run(client.call_tool("find", context=context))
        scene.fail(client.notify(what, context=context))
    assert len(refused) == 3
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token", "authorization_code"]


def test_a_session_may_begin_in_the_open() -> None:
    scene = Scene()
    server = HandshakeServer()
    scene.instead = lambda request: (
        server(request)
        if request.url == MCP and (request.rpc_method == "initialize" or scene.world.owner_of(request))
        else None
    )
    assert scene.run(scene.client(protocol_version="2025-11-25").log_in(context=as_("alice"))).issuer == ISSUER
    assert scene.tokens_sent()[:3] == [None, None, "access-2"]


def test_they_carry_a_renewed_token_all_the_same() -> None:
    scene = Scene()
    in_session(scene)
    client = scene.client(protocol_version="2025-11-25")
    scene.call(client)
    stale(scene)
    for goodbye in client.close():
        scene.run(goodbye)
    assert headers_of(scene.driver.sent[-1])["authorization"] == "Bearer access-3"
    assert scene.driver.sent[-1].method == "DELETE"


# Logging in and out


def test_an_identity_can_log_in_before_it_is_refused() -> None:
    scene = Scene()
    client = scene.client()
    login = scene.run(client.log_in(context=as_("alice")))
    assert login == Login(ISSUER, MCP, ("read",), scene.clock.now + 590, True)
    assert scene.run(client.log_in(context=as_("alice"))) == login
    before = len(scene.driver.sent)
    scene.call(client)
    assert scene.since(before) == ["mcp"]
    assert scene.logins == 1


def test_a_server_that_wants_nothing_yet_is_asked_who_may_issue_its_tokens() -> None:
    scene = Scene()
    scene.instead = lambda request: (
        result_reply(request, {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
        if request.rpc_method == "server/discover"
        else None
    )
    scene.world.server.refreshes = False
    scene.world.server.expires_in = None
    login = scene.run(scene.client().log_in(context=as_("alice")))
    assert (login.renew_at, login.is_renewable) == (None, False)
    assert scene.since(0) == ["mcp", "resource", "oauth-authorization-server", "register", "token"]


def test_an_application_can_renew_whatever_it_has() -> None:
    scene = Scene()
    scene.world.server.refreshes = False
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND))
    assert scene.run(client.log_in()).is_renewable


def test_a_login_that_fails_says_where() -> None:
    scene = Scene()
    client = scene.client()
    scene.world.server.answer = json_reply({"error": "invalid_grant"}, 400)
    error = scene.fail(client.log_in(context=as_("alice")))
    assert (error.server, error.request) == (f"{ISSUER}/token", "the token request")
    del scene.world.server.metadata["code_challenge_methods_supported"]
    error = scene.fail(client.log_in(context=as_("alice")))
    assert (error.server, error.request) == (MCP, "server/discover")
    scene.instead = lambda request: (
        result_reply(request, {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}})
        if request.rpc_method == "server/discover"
        else None
    )
    error = scene.fail(client.log_in(context=as_("bob")))
    assert (error.server, error.request) == (MCP, "log in")


@pytest.mark.parametrize("auth", [None, BearerAuth(lambda request: "t")], ids=bool)
def test_logging_in_takes_a_provider_that_can(auth: Any) -> None:
    scene = Scene()
    client = Client(MCP, auth=auth, wall_clock=Clock())
    for operation in (client.log_in(), client.log_out()):
        error = scene.fail(operation)
        assert isinstance(error, LocalProtocolError)
        assert "no auth that anybody can log in by" in str(error)
    assert scene.driver.sent == []


@pytest.mark.parametrize("refreshes", [True, False])
def test_logging_out_forgets_here_and_there(refreshes: bool) -> None:
    scene = Scene()
    scene.world.server.refreshes = refreshes
    client = scene.client()
    scene.call(client)
    assert scene.run(client.log_out(context=as_("alice"))) is True
    revoked = [(form["token"], form["token_type_hint"]) for form in scene.world.server.revoked]
    assert revoked == [("refresh-2", "refresh_token")] * refreshes + [("access-2", "access_token")]
    assert {form["client_id"] for form in scene.world.server.revoked} == {"client-1"}
    assert "resource" not in form_of(scene.sent_to(REVOKE)[0])
    scene.call(client)
    assert scene.tokens_sent() == [None, "access-2", None, "access-4"]
    assert scene.logins == 2


@pytest.mark.parametrize("principal", ["alice", None])
def test_logging_out_forgets_what_the_server_has_told(principal: str | None) -> None:
    scene = Scene()
    tools = {"resultType": "complete", "tools": [], "ttlMs": 60_000, "cacheScope": "private"}
    scene.instead = lambda request: (
        result_reply(request, tools)
        if request.rpc_method == "tools/list" and scene.world.owner_of(request) is not None
        else None
    )
    client = scene.client()
    for name in (principal, "bob"):
        scene.run(client.list_tools(context=as_(name)))
    scene.run(client.log_out(context=as_(principal)))
    # Whose answers they are that nobody's name is on, cannot be told.
    assert client.statistics().cache_entries == (1 if principal else 0)
    scene.run(client.list_tools(context=as_(principal)))
    assert scene.logins == 3


def test_there_may_be_nothing_to_forget() -> None:
    scene = Scene()
    assert scene.run(scene.client().log_out(context=as_("alice"))) is False
    assert scene.driver.sent == []


@pytest.mark.parametrize(
    "answer", [json_reply({"error": "invalid_request"}, 400), Reply(503), TransportError("broken"), "no endpoint"]
)
def test_a_token_that_is_not_revoked_is_forgotten_all_the_same(
    answer: Answer | str, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    if isinstance(answer, str):
        del scene.world.server.metadata["revocation_endpoint"]
    else:
        scene.world.documents[REVOKE] = lambda _: answer
    client = scene.client()
    scene.call(client)
    assert scene.run(client.log_out(context=as_("alice"))) is False
    assert ("was not revoked" in caplog.text) is not isinstance(answer, str)
    scene.call(client)
    assert scene.tokens_sent()[2:] == [None, "access-4"]


def test_logging_out_is_one_identitys_own() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client, "alice")
    scene.call(client, "bob")
    scene.run(client.log_out(context=as_("alice")))
    scene.call(client, "bob")
    assert scene.logins == 2
