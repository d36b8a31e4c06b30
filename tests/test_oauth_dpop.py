"""Tokens that are bound to a key: each request proves anew that it comes from whom they were given to (RFC 9449)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from attrs import define, field
from support.authorization import FOUND, ISSUER, MCP, query_of
from support.oauth import BY_HAND, FakeSigner, Scene, as_
from support.pure import Answer, Reply, headers_of, json_reply, result_reply

from mcpcore import ClientCredentials, Limits, OAuthError, OAuthResponseError, SendRequest, UnauthorizedError
from mcpcore.oauth.dpop import Nonces

TOKEN, REVOKE = f"{ISSUER}/token", f"{ISSUER}/revoke"


@define(eq=False)
class Bound:
    """A scene whose servers take bound tokens alone, and perhaps a nonce of theirs.

    :ivar as_nonces: what the authorization server wants to see, in turn; the last stays.
    :ivar rs_nonces: the same of the MCP server.
    """

    scene: Scene = field(factory=Scene)
    signer: FakeSigner = field(factory=FakeSigner)
    as_nonces: list[str] = field(factory=list[str])
    rs_nonces: list[str] = field(factory=list[str])

    def __attrs_post_init__(self) -> None:
        self.scene.instead = self.answer

    def provider(self, **options: Any) -> Any:
        return self.scene.provider(dpop=self.signer, client=BY_HAND, **options)

    def claims_of(self, request: SendRequest) -> dict[str, Any]:
        """What a request proves; empty if nothing."""
        proof = headers_of(request).get("dpop")
        return {} if proof is None else self.signer.signed[int(proof.rpartition(".")[2]) - 1][1]

    def answer(self, request: SendRequest) -> Answer | None:
        nonces = self.as_nonces if request.url == TOKEN else self.rs_nonces
        wanted = nonces[0] if nonces else None
        fresh = wanted is None or self.claims_of(request).get("nonce") == wanted
        if request.url == TOKEN:
            if not fresh:
                return json_reply({"error": "use_dpop_nonce"}, 400, dpop_nonce=self.spend(nonces))
            answer = self.scene.world.server.token(request)
            assert isinstance(answer, Reply)
            return Reply(answer.status, answer.headers, [bound(piece) for piece in answer.pieces])
        if request.url == MCP and self.scene.world.owner_of(request) is not None:
            assert headers_of(request)["authorization"].startswith("DPoP ")
            if not fresh:
                challenge = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": self.spend(nonces)}
                return Reply(401, challenge)
            return result_reply(request, FOUND)
        return None

    def spend(self, nonces: list[str]) -> str:
        """The nonce to use next."""
        return nonces.pop(0) if len(nonces) > 1 else nonces[0]


def bound(piece: Any) -> Any:
    return piece.replace(b'"Bearer"', b'"DPoP"') if isinstance(piece, bytes) else piece


def test_each_request_proves_its_own_method_place_and_token() -> None:
    world = Bound()
    scene = world.scene
    client = scene.client(world.provider())
    scene.call(client)
    scene.clock.now += 1.5
    scene.call(client)
    with_proof = [request for request in scene.driver.sent if "dpop" in headers_of(request)]
    assert [request.url for request in with_proof] == [TOKEN, MCP, MCP]
    proven, now = [world.claims_of(request) for request in with_proof], int(scene.clock.now) - 1
    ath = urlsafe_b64encode(sha256(b"access-2").digest()).decode().rstrip("=")
    assert [{name: value for name, value in claims.items() if name != "jti"} for claims in proven] == [
        {"htm": "POST", "htu": TOKEN, "iat": now},
        {"htm": "POST", "htu": MCP, "iat": now, "ath": ath},
        {"htm": "POST", "htu": MCP, "iat": now + 1, "ath": ath},
    ]
    assert len({claims["jti"] for claims in proven}) == 3
    assert all(len(claims["jti"]) >= 20 for claims in proven)
    assert all(header == {"typ": "dpop+jwt", "jwk": world.signer.public_key} for header, _ in world.signer.signed)
    assert [headers_of(request)["authorization"] for request in scene.sent_to(MCP)[1:]] == ["DPoP access-2"] * 2
    assert query_of(scene.world.server.authorized[0].url)["dpop_jkt"] == world.signer.thumbprint


def test_a_proof_names_the_place_without_its_query() -> None:
    world = Bound()
    token = f"{TOKEN}?tenant=1"
    world.scene.world.server.metadata["token_endpoint"] = token
    world.scene.instead = lambda request: (
        result_reply(request, FOUND) if request.url.startswith(MCP) and "dpop" in headers_of(request) else None
    )
    world.scene.world.documents[token] = json_reply({"access_token": "t", "token_type": "dpop"})
    challenged = world.scene.world.refuse(401, world.scene.world.challenge)
    world.scene.world.documents[f"{MCP}?project=1"] = challenged
    world.scene.run(world.scene.client(world.provider(), f"{MCP}?project=1").call_tool("find", context=as_("alice")))
    assert [claims["htu"] for _, claims in world.signer.signed] == [TOKEN, MCP]


def test_a_refresh_proves_its_key_and_a_revocation_does_not() -> None:
    world = Bound()
    scene = world.scene
    client = scene.client(world.provider())
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    scene.run(client.log_out(context=as_("alice")))
    assert ["dpop" in headers_of(request) for request in scene.sent_to(TOKEN)] == [True, True]
    assert ["dpop" in headers_of(request) for request in scene.sent_to(REVOKE)] == [False, False]


# Nonces (RFC 9449, sections 8 and 9)


def test_a_nonce_is_used_once_it_is_known() -> None:
    world = Bound(as_nonces=["as-1"], rs_nonces=["rs-1"])
    scene = world.scene
    client = scene.client(world.provider())
    scene.call(client)
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    nonces = [world.claims_of(request).get("nonce") for request in scene.sent_to(TOKEN)]
    assert nonces == [None, "as-1", "as-1"]
    nonces = [world.claims_of(request).get("nonce") for request in scene.sent_to(MCP)]
    assert nonces == [None, None, "rs-1", "rs-1", "rs-1"]
    assert scene.logins == 1
    assert len({claims["jti"] for _, claims in world.signer.signed}) == len(world.signer.signed)


def test_the_next_nonce_may_come_with_any_answer() -> None:
    world = Bound()
    scene, inner = world.scene, world.answer
    given = iter(range(1, 10))

    def nonced(request: SendRequest) -> Answer | None:
        answer = inner(request)
        if isinstance(answer, Reply):
            return Reply(answer.status, [*answer.head(), ("DPoP-Nonce", f"n-{next(given)}")], answer.pieces)
        return answer

    scene.instead = nonced
    client = scene.client(world.provider())
    scene.call(client)
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    proven = [(claims["htu"], claims.get("nonce")) for _, claims in world.signer.signed]
    assert proven == [(TOKEN, None), (MCP, None), (MCP, "n-2"), (TOKEN, "n-1"), (MCP, "n-3")]


def test_an_authorization_server_gets_one_more_try_for_its_nonce() -> None:
    world = Bound(as_nonces=["as-1", "as-2", "as-3", "as-4"])
    error = world.scene.refused(world.scene.client(world.provider()))
    assert isinstance(error, OAuthResponseError)
    assert error.error == "use_dpop_nonce"
    assert len(world.scene.sent_to(TOKEN)) == 2


@pytest.mark.parametrize("nonce", [None, "", "n" * 1025])
def test_without_a_new_nonce_there_is_nothing_to_try(nonce: str | None) -> None:
    world = Bound()
    named = {} if nonce is None else {"dpop_nonce": nonce}
    world.scene.instead = lambda request: (
        json_reply({"error": "use_dpop_nonce"}, 400, **named) if request.url == TOKEN else None
    )
    world.scene.refused(world.scene.client(world.provider()))
    assert len(world.scene.sent_to(TOKEN)) == 1


@pytest.mark.parametrize("error", ["invalid_dpop_proof", "invalid_grant"])
def test_another_refusal_is_no_matter_of_nonces(error: str) -> None:
    world = Bound()
    world.scene.instead = lambda request: (
        json_reply({"error": error}, 400, dpop_nonce="n") if request.url == TOKEN else None
    )
    world.scene.refused(world.scene.client(world.provider()))
    assert len(world.scene.sent_to(TOKEN)) == 1


@pytest.mark.parametrize("authorizations", [2, 5])
def test_an_mcp_server_that_wants_ever_new_nonces_is_left_in_the_end(authorizations: int) -> None:
    world = Bound(rs_nonces=[f"rs-{number}" for number in range(20)])
    client = world.scene.client(world.provider(), limits=Limits(authorizations=authorizations))
    assert isinstance(world.scene.refused(client), UnauthorizedError)
    assert len(world.scene.sent_to(MCP)) == authorizations + 1
    assert world.scene.logins == 1


def test_a_nonce_that_is_refused_although_it_was_used_is_a_refusal() -> None:
    world = Bound()
    scene, inner = world.scene, world.answer
    challenge = {"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "same"}

    def stubborn(request: SendRequest) -> Answer | None:
        is_let_in = request.url == MCP and scene.world.owner_of(request) is not None
        return Reply(401, challenge) if is_let_in else inner(request)

    scene.instead = stubborn
    assert isinstance(scene.refused(scene.client(world.provider())), UnauthorizedError)
    assert [world.claims_of(request).get("nonce") for request in scene.sent_to(MCP)] == [None, None, "same"]


def test_nonces_are_each_identitys_own() -> None:
    world = Bound(as_nonces=["as-1"], rs_nonces=["rs-1"])
    client = world.scene.client(world.provider())
    world.scene.call(client, "alice")
    before = len(world.signer.signed)
    world.scene.call(client, "bob")
    assert "nonce" not in world.signer.signed[before][1]


def test_nonces_are_each_servers_own_and_not_kept_without_end() -> None:
    nonces = Nonces()
    assert all(nonces.learn(f"https://{number}.example/a", f"n{number}") for number in range(9))
    assert nonces.of("https://0.example/a") is None
    assert nonces.of("https://8.example/b?c") == "n8"
    assert nonces.of("ftp://8.example/") is None
    assert not nonces.learn("ftp://8.example/", "n")


def test_without_a_key_a_nonce_means_nothing() -> None:
    scene = Scene()

    def confused(request: SendRequest) -> Answer | None:
        if request.url == MCP and scene.world.owner_of(request) is not None:
            return Reply(401, {"www-authenticate": 'Bearer error="use_dpop_nonce"', "dpop-nonce": "n"})
        return None

    scene.instead = confused
    scene.world.server.refreshes = False
    assert isinstance(scene.refused(scene.client()), UnauthorizedError)
    assert len(scene.sent_to(MCP)) == 2


# What is bound to what


def test_a_token_that_anybody_could_use_is_refused() -> None:
    scene = Scene()
    client = scene.client(scene.provider(dpop=FakeSigner()))
    error = scene.refused(client)
    assert isinstance(error, OAuthError)
    assert "Bearer token where a DPoP token was asked for" in str(error)
    assert scene.tokens_sent() == [None]


def test_a_stored_token_of_another_key_is_not_used() -> None:
    stored: dict[str, str] = {}

    class Store:
        def get(self, key: str) -> str | None:
            return stored.get(key)

        def put(self, key: str, value: str) -> None:
            stored[key] = value

        def delete(self, key: str) -> None:
            stored.pop(key, None)

    world = Bound()
    for name, logins in (("key", 1), ("key", 1), ("other", 2)):
        world.signer.name = name
        world.scene.call(world.scene.client(world.provider(store=Store())))
        assert world.scene.logins == logins


def test_a_resolver_that_authorizes_leaves_no_proof_of_another_token() -> None:
    world = Bound()
    world.scene.world.server.tokens["own"] = "alice", ()
    own: Mapping[str, str] = {"Authorization": "DPoP own", "X-Other": "x"}
    turns = iter([None, own, own, own])
    client = world.scene.client(world.provider(), get_headers=lambda context: next(turns))
    world.scene.call(client)
    headers = headers_of(world.scene.driver.sent[-1])
    assert headers["authorization"] == "DPoP own"
    assert "dpop" not in headers
    world.scene.call(client)
    assert "dpop" not in headers_of(world.scene.driver.sent[-1])


def test_a_proof_tells_no_identities_apart() -> None:
    world = Bound()
    auth = world.scene.provider(ClientCredentials(), client=BY_HAND, dpop=world.signer)
    client = world.scene.client(auth, get_headers=lambda context: {"X-User": "u"})
    for _ in range(3):
        world.scene.call(client, None)
    assert client.statistics().anonymous_partitions == 1
