"""How an identity gets its token where things do not go as they should, and whom it is told of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field
from support.authorization import MCP, form_of
from support.oauth import BY_HAND, Scene, as_, grant_types
from support.pure import Answer, Reply, headers_of, json_reply, result_reply
from support.stepping import World as Stage

from mcpcore import (
    AssertionRequest,
    AuthorizationCode,
    AuthorizationRequest,
    CallHandler,
    ClientCredentials,
    ConfigurationError,
    Credentials,
    EnterpriseManaged,
    Limits,
    OAuthError,
    OAuthResponseError,
    RegisteredClient,
    RequestContext,
    SendRequest,
)


@define
class Store:
    """A store that always works."""

    stored: dict[str, str] = field(factory=dict[str, str])

    def get(self, key: str) -> str | None:
        return self.stored.get(key)

    def put(self, key: str, value: str) -> None:
        self.stored[key] = value

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({"error": "invalid_client"}, 401),
        json_reply({"error": "temporarily_unavailable"}, 400),
        json_reply({}, 403),
        Reply(404),
        Reply(408),
    ],
)
def test_what_says_nothing_of_a_refresh_token_does_not_cost_it(answer: Answer) -> None:
    scene, kept = Scene(), Store()
    client = scene.client(scene.provider(client=BY_HAND, store=kept))
    scene.call(client)
    before = dict(kept.stored)
    scene.clock.now += 595
    scene.world.server.answer = answer
    assert isinstance(scene.refused(client), OAuthResponseError)
    assert kept.stored == before
    scene.call(client)
    assert scene.logins == 1


@pytest.mark.parametrize("error", ["unauthorized_client", "invalid_request"])
def test_a_refresh_token_that_is_of_no_use_here_is_left_to_others(error: str) -> None:
    scene, kept = Scene(), Store()
    client = scene.client(scene.provider(store=kept))
    scene.call(client)
    scene.clock.now += 595
    before, seen = dict(kept.stored), list[dict[str, str]]()

    def refusing(request: SendRequest) -> Answer | None:
        if request.url == MCP:
            seen.append(dict(kept.stored))
        is_refresh = request.url.endswith("/token") and form_of(request)["grant_type"] == "refresh_token"
        return json_reply({"error": error}, 400) if is_refresh else None

    scene.instead = refusing
    scene.call(client)
    assert seen[0] == before, "nothing is deleted"
    assert scene.logins == 2


# Whom it waits for


def test_who_waits_for_a_login_that_is_refused_is_not_asked_again() -> None:
    scene = Scene()
    asked: list[AuthorizationRequest] = []

    def refuse(request: AuthorizationRequest) -> str:
        asked.append(request)
        return f"{request.redirect_uri}?error=access_denied&state={request.state}"

    client = scene.client(scene.provider(AuthorizationCode(refuse, redirect_uri="http://127.0.0.1/")))
    stage = Stage(client, scene.answer)
    leader, *others = (stage.play(client.call_tool("find", context=as_("alice"))) for _ in range(4))
    leader.until(CallHandler)
    for other in others:
        other.until_blocked()
    error = leader.fail()
    assert isinstance(error, OAuthResponseError)
    assert error.error == "access_denied"
    for other in others:
        error = other.fail()
        assert type(error) is OAuthError
        assert "waited for was refused" in str(error)
    assert len(asked) == 1
    # Whoever comes after that asks for himself.
    assert isinstance(scene.refused(client), OAuthResponseError)
    assert len(asked) == 2


def test_an_identity_that_is_waited_for_is_not_forgotten() -> None:
    scene = Scene()
    client = scene.client(limits=Limits(accounts=1))
    stage = Stage(client, scene.answer)
    leader, other = (stage.play(client.call_tool("find", context=as_("alice"))) for _ in range(2))
    leader.until(CallHandler)
    other.until_blocked()
    scene.call(client, "bob")
    leader.finish()
    scene.call(client, "carol")
    other.finish()
    assert (leader.error, other.error) == (None, None)
    assert sorted(login.principal or "" for login in scene.world.server.authorized) == ["alice", "bob", "carol"]


# Logging in


def test_logging_in_asks_for_more() -> None:
    scene = Scene()
    client = scene.client()
    assert scene.run(client.log_in(context=as_("alice"))).scopes == ("read",)
    assert scene.run(client.log_in(context=as_("alice"), scopes=["read"])).scopes == ("read",)
    assert scene.logins == 1
    assert scene.run(client.log_in(context=as_("alice"), scopes=["write"])).scopes == ("write", "read")
    assert scene.logins == 2


@pytest.mark.parametrize("anew", [False, True])
def test_logging_in_asks_once_and_for_all(anew: bool) -> None:
    scene = Scene()
    login = scene.run(scene.client().log_in(context=as_("alice"), scopes=["write"], anew=anew))
    assert (scene.logins, login.scopes) == (1, ("write", "read"))


def test_logging_in_anew_takes_nothing_of_the_old_login() -> None:
    scene = Scene()
    client = scene.client()
    scene.run(client.log_in(context=as_("alice"), scopes=["write"]))
    scene.clock.now += 595
    scene.world.server.refresh_tokens.clear()
    before = len(scene.world.server.asked)
    assert scene.run(client.log_in(context=as_("alice"), anew=True)).scopes == ("write", "read")
    assert grant_types(scene.world.server.asked[before:]) == ["authorization_code"]


def test_logging_in_anew_keeps_the_old_login_until_then() -> None:
    scene = Scene()
    logins: Iterator[bool] = iter([True, False, True])

    def log_in(request: AuthorizationRequest) -> str:
        if next(logins):
            return scene.world.log_in(request)
        return f"{request.redirect_uri}?error=access_denied&state={request.state}"

    client = scene.client(scene.provider(AuthorizationCode(log_in, redirect_uri="http://127.0.0.1/")))
    scene.run(client.log_in(context=as_("alice")))
    assert isinstance(scene.fail(client.log_in(context=as_("alice"), anew=True)), OAuthResponseError)
    scene.call(client)
    scene.run(client.log_in(context=as_("alice"), anew=True))
    scene.call(client)
    assert [token for token in scene.tokens_sent() if token] == ["access-2"] * 2 + ["access-4"] * 2


# What is told to whom


def test_what_a_person_got_is_addressed_to_who_gave_it() -> None:
    scene = Scene()
    asked: list[AssertionRequest] = []

    def id_token(request: AssertionRequest) -> str:
        asked.append(request)
        return "id-token"

    idp = "https://idp.example/token"
    scene.world.documents[idp] = json_reply(
        {"access_token": "grant", "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A"}
    )
    client_at_idp = RegisteredClient("at-idp", issuer="https://idp.example")
    grant = EnterpriseManaged(id_token, token_endpoint=idp, client=client_at_idp)
    scene.call(scene.client(scene.provider(grant, client=BY_HAND)))
    assert [(request.audience, request.resource) for request in asked] == [("https://idp.example", MCP)]


def test_a_server_that_takes_bound_tokens_alone_says_so() -> None:
    scene = Scene()
    assert scene.world.resource is not None
    scene.world.resource["dpop_bound_access_tokens_required"] = True
    assert "give OAuth(dpop=...)" in str(scene.refused(scene.client()))
    assert scene.logins == 0


def test_nobody_is_sent_to_a_login_that_may_be_another_servers() -> None:
    scene = Scene()
    scene.world.server.metadata["authorization_endpoint"] = "https://honest.example/authorize"
    assert "at several origins" in str(scene.refused(scene.client()))
    assert (scene.logins, scene.world.server.registered) == (0, [])
    scene.call(scene.client(scene.provider(client=BY_HAND)))
    assert scene.logins == 1


def test_a_secret_belongs_to_somebody() -> None:
    with pytest.raises(ConfigurationError, match="say which"):
        Scene().provider(ClientCredentials(), client=RegisteredClient("app", "app-secret"))


def test_a_secret_may_be_shown_to_the_first_and_to_nobody_else() -> None:
    scene = Scene()
    client = RegisteredClient("app", "app-secret")
    auth = scene.provider(ClientCredentials(), client=client, trust_first_issuer=True)
    scene.call(scene.client(auth), None)
    assert grant_types(scene.world.server.asked) == ["client_credentials"]


# Providers of one's own


@define
class ByKey:
    """Authorizes by a header of its own."""

    answer: Any = None

    @property
    def shows_identity(self) -> bool:
        return False

    def headers(self, request: RequestContext, environment: object) -> Any:
        yield from ()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Credentials({"X-Api-Key": "of-nobody"}) if self.answer is None else self.answer

    def refused(self, *arguments: object) -> Any:
        yield from ()
        return "no"


@pytest.mark.parametrize(
    ("answer", "reason"), [(KeyError("s3cret"), "raised KeyError"), ({"X-Api-Key": "s3cret"}, "answered with dict")]
)
def test_a_provider_that_fails_is_an_error_of_authorization(answer: Any, reason: str) -> None:
    scene = Scene()
    error = scene.refused(scene.client(ByKey(answer)))
    assert isinstance(error, OAuthError)
    assert f"ByKey {reason}" in str(error)
    assert "s3cret" not in str(error)
    assert scene.driver.sent == []


def test_a_provider_says_yes_or_no() -> None:
    scene = Scene()
    assert "answered with str instead of bool" in str(scene.refused(scene.client(ByKey())))


def test_a_provider_need_not_hear_nonces() -> None:
    scene = Scene()
    scene.instead = lambda request: result_reply(request, {"resultType": "complete", "content": []}, dpop_nonce="n")
    scene.call(scene.client(ByKey()))
    assert headers_of(scene.driver.sent[0])["x-api-key"] == "of-nobody"


def test_what_a_resolver_sets_tells_identities_apart_whoever_set_it_before() -> None:
    scene = Scene()
    keys = iter(["of-alice", "of-bob"])

    def listing(request: SendRequest) -> Answer:
        tools = [{"name": headers_of(request)["x-api-key"], "inputSchema": {"type": "object"}}]
        return result_reply(
            request, {"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "private"}
        )

    scene.instead = listing
    client = scene.client(ByKey(), get_headers=lambda request: {"X-Api-Key": next(keys)})
    assert [scene.run(client.list_tools())[0].name for _ in range(2)] == ["of-alice", "of-bob"]
