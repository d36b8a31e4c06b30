"""Tokens of one's own: asked for each request, and nobody knows whose they are; and providers of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from support.authorization import FOUND
from support.oauth import Scene, as_
from support.pure import Answer, Reply, headers_of, result_reply
from support.stepping import HandshakeServer

from mcpcore import (
    AuthProvider,
    BearerAuth,
    Client,
    Credentials,
    LocalProtocolError,
    OAuthError,
    RequestContext,
    SendRequest,
    UnauthorizedError,
)

TOOLS = {"resultType": "complete", "tools": [], "ttlMs": 3_600_000, "cacheScope": "private"}


def letting_in(*tokens: str) -> Callable[[SendRequest], Answer]:
    """An MCP server that lets these tokens in, and says whose tools it lists."""

    def answer(request: SendRequest) -> Answer:
        token = headers_of(request).get("authorization", "").removeprefix("Bearer ")
        if token not in tokens:
            return Reply(401, {"www-authenticate": 'Basic realm="b", Bearer scope="s"'})
        tools = [{"name": f"of-{token}", "inputSchema": {"type": "object"}}]
        return result_reply(request, {**TOOLS, "tools": tools} if request.rpc_method == "tools/list" else FOUND)

    return answer


def bearing(*tokens: Any) -> tuple[BearerAuth, list[RequestContext]]:
    """A token source that gives these in turn, or raises them; and what it was asked."""
    seen, left = list[RequestContext](), list(tokens)

    def source(request: RequestContext) -> Any:
        seen.append(request)
        token = left.pop(0)
        if isinstance(token, Exception):
            raise token
        return token

    return BearerAuth(source), seen


def bearer_scene(auth: BearerAuth, *let_in: str, **options: Any) -> tuple[Scene, Client]:
    scene = Scene()
    scene.instead = letting_in(*let_in)
    return scene, scene.client(auth, **options)


def test_a_token_of_ones_own_is_asked_for_each_request() -> None:
    auth, seen = bearing("one", "two")
    scene, client = bearer_scene(auth, "one", "two")
    scene.call(client)
    scene.call(client)
    assert scene.tokens_sent() == ["one", "two"]
    assert [(request.attempt, request.challenge, request.principal) for request in seen] == [(1, None, "alice")] * 2
    assert seen[0].rpc_method == "tools/call"


@pytest.mark.parametrize(("let_in", "is_let_in"), [("new", True), ("other", False)])
def test_it_is_asked_for_once_more_after_a_401(let_in: str, is_let_in: bool) -> None:
    auth, seen = bearing("old", "new")
    scene, client = bearer_scene(auth, let_in)
    if is_let_in:
        scene.call(client)
    else:
        assert isinstance(scene.refused(client), UnauthorizedError)
    assert scene.tokens_sent() == ["old", "new"]
    assert seen[1].attempt == 2
    assert seen[1].challenge is not None
    assert seen[1].challenge.parameters == {"scope": "s"}


def test_a_403_asks_for_no_other() -> None:
    auth, seen = bearing("one")
    scene = Scene()
    scene.instead = lambda request: Reply(403)
    scene.refused(scene.client(auth))
    assert len(seen) == 1


@pytest.mark.parametrize("token", ["", None, b"bytes", 7, ValueError("secret words"), "a\nb"])
def test_a_token_that_is_none_is_not_sent(token: Any) -> None:
    auth, _ = bearing(token)
    scene, client = bearer_scene(auth, "one")
    error = scene.refused(client)
    assert isinstance(error, LocalProtocolError if token == "a\nb" else OAuthError)
    assert error.__cause__ is (token if isinstance(token, Exception) else None)
    assert "secret words" not in str(error)
    assert scene.driver.sent == []


def test_it_wants_no_nonces() -> None:
    auth, _ = bearing("one")
    scene = Scene()
    scene.instead = lambda request: result_reply(request, FOUND, dpop_nonce="n")
    scene.call(scene.client(auth))


def names(scene: Scene, client: Client, principal: str | None = None) -> list[str]:
    return [tool.name for tool in scene.run(client.list_tools(context=as_(principal)))]


def test_without_a_principal_each_token_is_an_identity_of_its_own() -> None:
    auth, _ = bearing("a", "b", "a")
    scene, client = bearer_scene(auth, "a", "b")
    assert [names(scene, client) for _ in range(3)] == [["of-a"], ["of-b"], ["of-a"]]
    assert scene.tokens_sent() == ["a", "b"]
    assert client.statistics().anonymous_partitions == 2


def test_what_another_token_was_told_is_not_kept_for_the_first() -> None:
    auth, _ = bearing("a", "b", "a")
    scene, client = bearer_scene(auth, "b")
    assert names(scene, client) == ["of-b"]
    scene.instead = letting_in("a", "b")
    assert names(scene, client) == ["of-a"]


def test_with_a_principal_tokens_may_change() -> None:
    auth, _ = bearing("a", "b")
    scene, client = bearer_scene(auth, "a", "b")
    assert [names(scene, client, "alice") for _ in range(2)] == [["of-a"]] * 2
    assert scene.tokens_sent() == ["a"]


def test_nobody_ends_the_session_of_an_unknown_token() -> None:
    auth, _ = bearing(*"aaaaa")
    scene = Scene()
    scene.instead = HandshakeServer()
    client = scene.client(auth, protocol_version="2025-11-25")
    scene.call(client, None)
    assert client.close() == []
    assert client.statistics().sessions == 0


def test_nobody_knows_whose_log_level_it_is() -> None:
    auth, _ = bearing("a")
    scene, client = bearer_scene(auth, "a")
    assert isinstance(scene.fail(client.set_log_level("debug")), LocalProtocolError)


def test_any_provider_may_authorize() -> None:
    """One of the user's own; headers that it shows tell no identities apart."""

    class Own:
        shows_identity = False

        def headers(self, request: RequestContext, environment: object) -> Any:
            yield from ()
            return Credentials({"Authorization": f"Own {request.request_id}"})

        def refused(self, request: object, environment: object, attempts: object, refusal: object) -> Any:
            yield from ()
            return False

        def told_nonce(self, request: object, environment: object, nonce: str) -> None: ...

    own: AuthProvider = Own()
    scene = Scene()
    scene.instead = lambda request: result_reply(request, TOOLS)
    client = scene.client(own)
    scene.run(client.list_tools())
    scene.run(client.list_tools())
    assert len(scene.driver.sent) == 1
    assert headers_of(scene.driver.sent[0])["authorization"].startswith("Own ")


def test_what_a_provider_says_is_checked() -> None:
    headers: Mapping[str, str] = {"Mcp-Session-Id": "mine"}

    class Own(BearerAuth):
        def headers(self, request: object, environment: object) -> Any:
            yield from ()
            return Credentials(headers)

    scene = Scene()
    error = scene.refused(scene.client(Own(lambda request: "t")))
    assert isinstance(error, LocalProtocolError)
    assert "Mcp-Session-Id" in str(error)
