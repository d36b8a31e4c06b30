"""What is not asked, signed, kept or shown: endpoints that do not belong together, tokens and keys that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, field
from support.authorization import ISSUER, MCP, REDIRECT, query_of
from support.oauth import BY_HAND, FakeSigner, Scene, as_
from support.pure import json_reply

from mcpcore import (
    AuthorizationCode,
    AuthorizationRequest,
    ClientCredentials,
    LimitExceeded,
    Limits,
    OAuthError,
    OAuthResponseError,
)
from mcpcore.oauth.metadata import AuthorizationServer, check_endpoints
from mcpcore.oauth.tokens import Token

HONEST, TOKEN = "https://honest.example", f"{ISSUER}/token"


@define
class Store:
    """A user's store, in memory."""

    values: dict[str, str] = field(factory=dict[str, str])

    def get(self, key: str) -> str | None:
        return self.values.get(key)

    def put(self, key: str, value: str) -> None:
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


# Endpoints that belong together.


def server_of(authorize: str | None, token: str | None, register: str | None, **options: Any) -> AuthorizationServer:
    """A server whose endpoints are these."""
    return AuthorizationServer(
        ISSUER, authorization_endpoint=authorize, token_endpoint=token, registration_endpoint=register, **options
    )


@pytest.mark.parametrize(
    "server",
    [
        server_of(f"{HONEST}/authorize?tenant=1&x", f"{HONEST}/token", f"{HONEST}/register"),
        server_of("https://HONEST.example:443/authorize", f"{HONEST}/token", None),
        server_of(f"{ISSUER}/authorize", f"{ISSUER}/token", None),
        server_of(None, None, None),
        server_of(f"{HONEST}/authorize", None, f"{HONEST}/register"),
        server_of(f"{HONEST}/authorize", f"{ISSUER}/token", f"{HONEST}/register", names_itself=True),
        server_of("https://[::1", "https://[::1", None),
    ],
)
def test_endpoints_that_a_login_may_go_by(server: AuthorizationServer) -> None:
    check_endpoints(server, is_named=False)
    check_endpoints(server, is_named=True)


@pytest.mark.parametrize(
    "server",
    [
        server_of(f"{HONEST}/authorize", f"{ISSUER}/token", None),
        server_of(f"{HONEST}/authorize", f"{ISSUER}/token", f"{HONEST}/register"),
        server_of(f"{ISSUER}/authorize", f"{ISSUER}/token", f"{HONEST}/register"),
        server_of(f"{ISSUER}/authorize", f"{ISSUER}:8443/token", None),
        server_of("http://login.example/authorize", f"{ISSUER}/token", None),
        server_of("https://[::1", f"{ISSUER}/token", None),
    ],
)
def test_endpoints_that_may_be_several_servers(server: AuthorizationServer) -> None:
    with pytest.raises(OAuthError, match=r"are at several origins.*client=RegisteredClient\(\.\.\., issuer=\.\.\.\)"):
        check_endpoints(server, is_named=False)
    check_endpoints(server, is_named=True)


def test_what_a_request_says_no_endpoint_says_in_its_place() -> None:
    """Every parameter that there is, taken from a request that has them all (RFC 6749, section 3.1)."""
    scene, seen = Scene(), list[AuthorizationRequest]()
    scene.world.server.metadata["scopes_supported"] = ["read", "offline_access"]

    def log_in(request: AuthorizationRequest) -> str:
        seen.append(request)
        return scene.world.log_in(request)

    grant = AuthorizationCode(log_in, redirect_uri=REDIRECT)
    scene.refused(scene.client(scene.provider(grant, dpop=FakeSigner())))
    parameters = query_of(seen[0].url)
    assert len(parameters) == 10
    for name in parameters:
        for query in (f"{name}=evil", f"a=b&{name}=", f"a&{name.replace('_', '%5F')}=x#y"):
            server = server_of(f"{ISSUER}/authorize?{query}", f"{ISSUER}/token", None)
            with pytest.raises(OAuthError, match=f"has {name} in its own query") as caught:
                check_endpoints(server, is_named=True)
            assert "evil" not in str(caught.value)


def test_a_login_that_is_refused_without_a_reason_is_told_in_words() -> None:
    scene = Scene()

    def refuse(request: AuthorizationRequest) -> str:
        return f"{request.redirect_uri}?error=&state={request.state}&iss={ISSUER}"

    error = scene.refused(scene.client(scene.provider(AuthorizationCode(refuse, redirect_uri=REDIRECT))))
    assert isinstance(error, OAuthResponseError)
    assert error.message == "the login was refused: no reason was given"


# Tokens that fit.


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_a_token_has_a_length(name: str) -> None:
    limits = Limits(token_bytes=20)
    for length, fits in ((20, True), (21, False)):
        given = {"access_token": "access", "token_type": "Bearer", name: "t" * length}
        scene, store = Scene(), Store()
        scene.world.documents[TOKEN] = json_reply(given)
        scene.world.server.tokens[given["access_token"]] = "alice", ("read",)
        client = scene.client(scene.provider(store=store), limits=limits)
        if fits:
            scene.call(client)
            continue
        error = scene.refused(client)
        assert isinstance(error, LimitExceeded)
        assert (error.limit, error.server, error.request) == ("token_bytes", TOKEN, "the token request")
        assert "ttt" not in f"{error}{store.values}"


def test_as_long_as_the_bytes_that_it_takes() -> None:
    given = {
        "access_token": "a",
        "token_type": "Bearer",
        "issuer": ISSUER,
        "resource": MCP,
        "refresh_token": "\u00e9" * 8,
    }
    for bound, fits in ((16, True), (15, False)):
        assert (Token.load(json.dumps(given), Limits(token_bytes=bound)) is not None) is fits


@pytest.mark.parametrize(
    "changed",
    [
        {"refresh_token": "half\ud800"},
        {"requested": ["a", "\udfff"]},
        {"issuer": "https://[::1"},
        {"issuer": "https://\u2102\u2100/"},
        {"issuer": "login.example"},
        {"access_token": "t" * 20_000},
        {"refresh_token": "t" * 20_000},
    ],
)
def test_a_stored_token_that_cannot_be_used_is_none(changed: dict[str, Any]) -> None:
    scene, store = Scene(), Store()
    scene.call(scene.client(scene.provider(store=store)))
    issuer_key, token_key = (json.dumps(key) for key in (["issuer", MCP, "alice"], ["token", ISSUER, MCP, "alice"]))
    issuer = changed.get("issuer", ISSUER)
    text = json.dumps({**json.loads(store.values[token_key]), **changed})
    assert Token.load(text, Limits()) is None
    store.values |= {issuer_key: issuer, json.dumps(["token", issuer, MCP, "alice"]): text}
    scene.clock.now += 3600
    client = scene.client(scene.provider(store=store))
    scene.call(client)
    assert scene.logins == 2
    # What is in its place now is as good as any.
    assert Token.load(store.values[token_key], Limits()) is not None


# Keys that fit.


@pytest.mark.parametrize(
    ("taken", "is_taken"), [(None, True), (["RS256", "ES256"], True), ("ES256", True), (["RS256"], False), ([], False)]
)
def test_a_key_has_to_be_of_what_the_server_takes(taken: Any, is_taken: bool) -> None:
    scene, key = Scene(), FakeSigner()
    scene.world.server.metadata["dpop_signing_alg_values_supported"] = taken
    scene.world.documents[TOKEN] = json_reply({"access_token": "bound", "token_type": "DPoP"})
    scene.world.server.tokens["bound"] = "application", ("read",)
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND, dpop=key))
    if is_taken:
        scene.call(client, None)
        return
    error = scene.refused(client, None)
    assert isinstance(error, OAuthError)
    assert f"{ISSUER} takes no DPoP proofs that are signed by ES256" in error.message
    assert key.signed == []


# What is given back.


@pytest.mark.parametrize("refused", [("refresh_token",), ("access_token",), ("refresh_token", "access_token"), ()])
def test_both_tokens_are_given_back_whatever_comes_of_either(
    refused: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client)

    def revoke(request: Any) -> Any:
        answer = scene.world.server.revoke(request)
        kind = scene.world.server.revoked[-1]["token_type_hint"]
        return json_reply({"error": f"not_{kind}"}, 400) if kind in refused else answer

    scene.world.documents[f"{ISSUER}/revoke"] = revoke
    assert scene.run(client.log_out(context=as_("alice"))) is (refused == ())
    told = [(form["token_type_hint"], form["token"]) for form in scene.world.server.revoked]
    assert told == [("refresh_token", "refresh-2"), ("access_token", "access-2")]
    assert [record.getMessage().count(f"not_{refused[0]}") for record in caplog.records] == [1] * bool(refused)
