"""Tokens that outlive the process: what is stored where, when it is looked at, and how little a broken store does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, field
from support.authorization import ISSUER, MCP, REDIRECT, AuthorizationServer
from support.oauth import BY_HAND, Scene, as_, grant_types
from support.pure import json_reply

from mcpcore import ClientCredentials, ForbiddenError, OAuth

ISSUER_KEY = json.dumps(["issuer", MCP, "alice"])
TOKEN_KEY = json.dumps(["token", ISSUER, MCP, "alice"])
CLIENT_KEY = json.dumps(["client", ISSUER, REDIRECT])
OTHER_ISSUER = "https://other.example"


@define
class Store:
    """A store, and what was asked of it: the method, and the kind of the key."""

    stored: dict[str, Any] = field(factory=dict[str, Any])
    asked: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    error: Exception | None = None

    def _ask(self, method: str, key: str) -> None:
        self.asked.append((method, json.loads(key)[0]))
        if self.error is not None:
            raise self.error

    def get(self, key: str) -> Any:
        self._ask("get", key)
        return self.stored.get(key)

    def put(self, key: str, value: str) -> None:
        self._ask("put", key)
        self.stored[key] = value

    def delete(self, key: str) -> None:
        self._ask("delete", key)
        self.stored.pop(key, None)


def kept() -> tuple[Scene, Store]:
    """A scene in which an earlier process logged Alice in."""
    scene, store = Scene(), Store()
    scene.call(scene.client(scene.provider(store=store)))
    store.asked.clear()
    return scene, store


def another(scene: Scene, store: Store, **options: Any) -> OAuth:
    """What another process has over the same store."""
    return scene.provider(store=store, **options)


def test_what_is_stored_and_where() -> None:
    _, store = kept()
    assert store.stored.keys() == {ISSUER_KEY, TOKEN_KEY, CLIENT_KEY}
    assert store.stored[ISSUER_KEY] == ISSUER
    assert json.loads(store.stored[TOKEN_KEY]) == {
        "access_token": "access-2",
        "token_type": "Bearer",
        "issuer": ISSUER,
        "resource": MCP,
        "requested": ["read"],
        "granted": ["read"],
        "refresh_token": "refresh-2",
        "renew_at": 1_800_000_590.0,
        "thumbprint": None,
        "obtained_at": 1_800_000_000.0,
    }
    assert json.loads(store.stored[CLIENT_KEY])["client_id"] == "client-1"


def test_the_next_process_needs_no_login() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    before = len(scene.driver.sent)
    scene.call(client)
    scene.call(client)
    assert scene.since(before) == ["mcp", "mcp"]
    assert scene.tokens_sent()[-2:] == ["access-2"] * 2
    assert store.asked == [("get", "issuer"), ("get", "token")]


def test_the_next_process_renews_and_steps_up_like_this_one() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    scene.clock.now += 595
    before = len(scene.driver.sent)
    scene.call(client)
    assert scene.since(before) == ["oauth-authorization-server", "token", "mcp"]
    assert json.loads(store.stored[TOKEN_KEY])["access_token"] == "access-3"
    scene.world.scopes = {"write": ("write",)}
    scene.call(client, tool="write")
    assert scene.world.server.authorized[-1].scopes == ("read", "write")
    assert len(scene.world.server.registered) == 1


def test_the_next_process_finds_a_server_of_the_first_days_again() -> None:
    scene, store = Scene(), Store()
    scene.world.resource, scene.world.challenge = None, {}
    own = AuthorizationServer("https://mcp.example")
    scene.world.servers = {own.issuer: own}
    scene.world.documents["https://mcp.example/.well-known/oauth-authorization-server"] = None
    for _ in range(2):
        scene.call(scene.client(another(scene, store)))
        scene.clock.now += 595
    assert grant_types(own.asked) == ["authorization_code", "refresh_token"]


def test_the_next_process_finds_a_server_at_the_same_origin_again() -> None:
    scene, store = Scene(), Store()
    own = AuthorizationServer("https://mcp.example", {"token_endpoint": "https://mcp.example/oauth/token"})
    scene.world.servers = {own.issuer: own}
    scene.world.resource = {"resource": MCP, "authorization_servers": [own.issuer]}
    scene.world.documents["https://mcp.example/.well-known/oauth-authorization-server"] = None
    scene.world.documents["https://mcp.example/.well-known/openid-configuration"] = own.metadata
    for _ in range(2):
        scene.call(scene.client(another(scene, store)))
        scene.clock.now += 595
    assert grant_types(own.asked) == ["authorization_code", "refresh_token"]


def test_a_stored_token_that_is_refused_is_worth_a_refresh_and_a_login() -> None:
    scene, store = kept()
    scene.refuse("tools/call")
    scene.refused(scene.client(another(scene, store)))
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token", "authorization_code"]


def test_each_identity_has_its_own() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    scene.call(client, "bob")
    scene.call(client, None)
    assert scene.logins == 3
    assert len(store.stored) == 3 + 2 + 2
    assert json.dumps(["token", ISSUER, MCP, None]) in store.stored


def test_another_process_may_have_renewed_it() -> None:
    scene, store = kept()
    first, second = (scene.client(another(scene, store)) for _ in range(2))
    for client in (first, second):
        scene.call(client)
    scene.clock.now += 595
    scene.call(first)
    before = len(scene.driver.sent)
    scene.call(second)
    assert scene.since(before) == ["mcp"]
    assert grant_types(scene.world.server.asked) == ["authorization_code", "refresh_token"]
    # Once that is stale in turn, it is renewed by its own refresh token.
    scene.clock.now += 595
    scene.call(first)
    scene.clock.now += 595
    scene.call(second)
    assert scene.logins == 1


def test_another_process_may_have_replaced_what_is_refused() -> None:
    scene, store = kept()
    first, second = (scene.client(another(scene, store)) for _ in range(2))
    for client in (first, second):
        scene.call(client)
    scene.world.server.tokens.clear()
    scene.call(first)
    before = len(scene.driver.sent)
    scene.call(second)
    assert scene.since(before) == ["mcp", "mcp"]


def test_another_process_may_have_logged_in() -> None:
    scene, store = Scene(), Store()
    first, second = (scene.client(another(scene, store)) for _ in range(2))
    scene.world.server.answer = json_reply({"error": "invalid_grant"}, 400)
    scene.refused(second)
    scene.call(first)
    before = len(scene.driver.sent)
    scene.call(second)
    assert scene.since(before) == ["mcp", "mcp"]
    assert scene.logins == 2


def test_a_token_of_another_issuer_takes_the_place_of_the_old_one() -> None:
    scene, store = kept()
    assert scene.world.resource is not None
    scene.world.resource["authorization_servers"] = [OTHER_ISSUER]
    scene.world.servers[OTHER_ISSUER] = AuthorizationServer(OTHER_ISSUER)
    scene.world.server.tokens.clear()
    scene.call(scene.client(another(scene, store)))
    assert TOKEN_KEY not in store.stored
    assert store.stored[ISSUER_KEY] == OTHER_ISSUER
    assert json.dumps(["token", OTHER_ISSUER, MCP, "alice"]) in store.stored


def test_what_is_given_back_is_forgotten_by_all() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    scene.call(client)
    # Another process has renewed it meanwhile: what is stored is given back, too.
    scene.clock.now += 595
    scene.call(scene.client(another(scene, store)))
    assert scene.run(client.log_out(context=as_("alice"))) is True
    assert store.stored.keys() == {CLIENT_KEY}
    assert [form["token"] for form in scene.world.server.revoked] == ["refresh-2", "access-2", "refresh-3", "access-3"]


def test_who_has_logged_out_stays_so_whatever_a_store_says() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    before = dict(store.stored)
    scene.run(client.log_out(context=as_("alice")))
    store.stored |= before
    scene.call(client)
    assert scene.logins == 2


def test_a_spent_refresh_token_is_no_reason_to_log_in_where_another_process_was_faster() -> None:
    scene, store = kept()
    first, second = (scene.client(another(scene, store)) for _ in range(2))
    for client in (first, second):
        scene.call(client)
    scene.clock.now += 595
    before = dict(store.stored)
    scene.call(first)
    after, store.stored = store.stored, before

    def meanwhile(request: Any) -> None:
        if request.url == f"{ISSUER}/token":
            store.stored = after

    scene.instead = meanwhile
    scene.call(second)
    assert scene.logins == 1
    assert scene.tokens_sent()[-1] == "access-3"


def test_an_older_token_in_the_store_is_not_used() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    before = dict(store.stored)
    scene.clock.now += 595
    scene.call(client)
    store.stored = before
    scene.clock.now += 595
    scene.call(client)
    assert [form.get("refresh_token") for form in scene.world.server.asked] == [None, "refresh-2", "refresh-3"]


def test_what_another_process_has_stored_instead_is_not_deleted() -> None:
    scene, store = kept()
    client = scene.client(another(scene, store))
    scene.call(client)
    newer = token(access_token="older", obtained_at=1.0)
    store.stored[TOKEN_KEY] = newer
    scene.world.server.refresh_tokens.clear()
    scene.clock.now += 595
    del scene.world.server.metadata["code_challenge_methods_supported"]
    scene.refused(client)
    assert store.stored[TOKEN_KEY] == newer


def test_a_client_that_is_forgotten_registers_anew() -> None:
    scene, store = kept()
    scene.world.server.answer = json_reply({"error": "invalid_client"}, 401)
    scene.clock.now += 595
    scene.call(scene.client(another(scene, store)))
    assert json.loads(store.stored[CLIENT_KEY])["client_id"] == "client-2"
    assert scene.logins == 2


def test_a_stale_token_that_nothing_renews_is_forgotten() -> None:
    scene, store = Scene(), Store()
    scene.world.server.refreshes = False
    client = scene.client(another(scene, store))
    scene.call(client)
    scene.clock.now += 595
    del scene.world.server.metadata["code_challenge_methods_supported"]
    scene.refused(client)
    assert store.stored.keys() == {CLIENT_KEY}


def test_an_applications_tokens_are_kept_as_well() -> None:
    scene, store = Scene(), Store()
    for _ in range(2):
        auth = scene.provider(ClientCredentials(), client=BY_HAND, store=store)
        scene.call(scene.client(auth), None)
    assert len(scene.world.server.asked) == 1


# What a store must not be able to do


@pytest.mark.parametrize("method", ["call", "renew", "log out"])
def test_a_store_that_fails_is_told_of_and_does_no_harm(method: str, caplog: pytest.LogCaptureFixture) -> None:
    scene, store = Scene(), Store(error=OSError("access-2 and other secrets"))
    client = scene.client(another(scene, store))
    scene.call(client)
    if method == "renew":
        scene.clock.now += 595
        scene.call(client)
    elif method == "log out":
        # The store has not forgotten them, which nobody can know better than whoever wants them forgotten.
        assert scene.run(client.log_out(context=as_("alice"))) is False
        assert len(scene.world.server.revoked) == 2
    assert caplog.text.count("the token store failed: OSError") == len(store.asked) > 4
    assert "secret" not in caplog.text
    assert scene.logins == 1


def token(**changed: Any) -> str:
    return json.dumps(
        {"access_token": "access-2", "token_type": "Bearer", "issuer": ISSUER, "resource": MCP, **changed}
    )


GARBAGE: dict[str, dict[str, Any]] = {
    "no JSON": {TOKEN_KEY: "{"},
    "no object": {TOKEN_KEY: "[]"},
    "no text": {TOKEN_KEY: b"bytes"},
    "half a surrogate pair": {TOKEN_KEY: "\ud800"},
    "too deep": {TOKEN_KEY: "[" * 5000},
    "an issuer that is no text": {ISSUER_KEY: 7},
    "no issuer": {ISSUER_KEY: None},
    "nothing": {TOKEN_KEY: "{}"},
    "no access token": {TOKEN_KEY: token(access_token=None)},
    "a token that cannot be sent": {TOKEN_KEY: token(access_token="a\r\nX-Evil: 1")},
    "a token beyond ASCII": {TOKEN_KEY: token(access_token="\xe9")},
    "an empty token": {TOKEN_KEY: token(access_token="")},
    "another type": {TOKEN_KEY: token(token_type="mac")},
    "another issuer": {TOKEN_KEY: token(issuer=OTHER_ISSUER)},
    "no resource": {TOKEN_KEY: token(resource=None)},
    "another key's": {TOKEN_KEY: token(thumbprint="x")},
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_as_good_as_nothing(garbage: dict[str, Any]) -> None:
    scene, store = kept()
    store.stored |= garbage
    scene.call(scene.client(another(scene, store)))
    assert scene.logins == 2
    assert scene.tokens_sent()[-2:] == [None, "access-4"]


@pytest.mark.parametrize("renew_at", [None, "soon", True, 10**400])
def test_what_is_not_said_of_a_stored_token_is_not_known(renew_at: Any) -> None:
    scene, store = kept()
    store.stored[TOKEN_KEY] = token(renew_at=renew_at, requested="read", granted=[7, "read"])
    login = scene.run(scene.client(another(scene, store)).log_in(context=as_("alice")))
    assert (login.scopes, login.is_renewable) == (("read",), False)
    assert login.renew_at == (10**400 if renew_at == 10**400 else None)
    assert scene.logins == 1


def test_what_was_asked_for_in_vain_is_not_asked_for_again_by_the_next_process() -> None:
    scene, store = kept()
    store.stored[TOKEN_KEY] = token(requested=["read", "write"], granted=["read"])
    scene.world.scopes = {"write": ("write",)}
    assert isinstance(scene.refused(scene.client(another(scene, store)), tool="write"), ForbiddenError)
    assert scene.logins == 1


def test_a_stored_registration_of_another_issuer_is_not_used() -> None:
    scene, store = kept()
    store.stored = {CLIENT_KEY: json.dumps({"client_id": "evil", "issuer": OTHER_ISSUER})}
    scene.call(scene.client(another(scene, store)))
    assert len(scene.world.server.registered) == 2
