"""What the specification's authorization pages demand and no other test says in so many words; and their attacks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from support.authorization import ISSUER, MCP, REDIRECT, AuthorizationServer, World, query_of
from support.oauth import BY_HAND, Scene, as_
from support.pure import Answer, headers_of, message_of
from support.stepping import HandshakeServer

from mcpcore import (
    AuthorizationCode,
    AuthorizationRequest,
    BearerAuth,
    ConfigurationError,
    OAuth,
    OAuthError,
    OAuthResponseError,
    SendRequest,
)
from transports import stdio

EVIL = "https://evil.example"

# Tokens (2026-07-28, "Authorization", Token Requirements)


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"])
def test_a_token_is_on_every_request_in_its_header_and_in_no_url(revision: str) -> None:
    scene, server = Scene(), HandshakeServer(version=revision)

    def in_session(request: SendRequest) -> Answer | None:
        is_let_in = request.url == MCP and scene.world.owner_of(request) is not None
        return server(request) if is_let_in and revision < "2026" else None

    scene.instead = in_session
    client = scene.client(protocol_version=revision)
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    for goodbye in client.close():
        scene.run(goodbye)
    refused, *others = scene.sent_to(MCP)
    assert "authorization" not in headers_of(refused)
    assert len(others) == (5 if revision < "2026" else 2)
    for request in others:
        assert headers_of(request)["authorization"] in {"Bearer access-2", "Bearer access-3"}
        assert request.method == "DELETE" or "access-" not in str(message_of(request))
    issued = [*scene.world.server.tokens, *scene.world.server.refresh_tokens]
    assert len(issued) == 3
    urls = [request.url for request in scene.driver.sent]
    urls += [request.url for request in scene.world.server.authorized]
    assert [url for url in urls for token in issued if token in url] == []


def test_the_mcp_server_is_shown_access_tokens_and_nothing_else_of_a_login() -> None:
    scene = Scene()
    scene.world.scopes = {"write": ("write",)}
    client = scene.client(scene.provider(client=BY_HAND))
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    scene.call(client, tool="write")
    scene.run(client.log_out(context=as_("alice")))
    scene.call(client)
    forms, names = scene.world.server.asked, ("code", "code_verifier", "refresh_token")
    secrets = {form[name] for form in forms for name in names if name in form} | {"app-secret", "refresh-"}
    secrets |= {request.state for request in scene.world.server.authorized}
    assert len(secrets) == 3 * 3 + 1 + 2
    to_the_server = [request for request in scene.driver.sent if request.url.startswith("https://mcp.example/")]
    assert len(to_the_server) == 7 + 3
    for request in to_the_server:
        wire = f"{request.url} {headers_of(request)} {request.body!r}"
        assert [secret for secret in secrets if secret in wire] == []


def test_a_program_on_stdio_is_given_no_tokens() -> None:
    options: Any = {"auth": BearerAuth(lambda request: "t")}
    with pytest.raises(ConfigurationError, match="auth: belongs to HTTP"):
        stdio.connect("server", **options)


# Whose token it is to be (2026-07-28, "Authorization", Canonical Server URI)


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://mcp.example/a/mcp", "https://mcp.example/a/mcp"),
        ("https://MCP.Example/MCP", "https://mcp.example/MCP"),
        ("https://mcp.example", "https://mcp.example"),
        ("https://mcp.example/", "https://mcp.example"),
        ("https://mcp.example:443/mcp", "https://mcp.example/mcp"),
        ("https://mcp.example:8443/mcp", "https://mcp.example:8443/mcp"),
        ("https://mcp.example/mcp?key=s3cret", "https://mcp.example/mcp"),
    ],
)
def test_a_server_that_does_not_name_itself_is_named_by_its_canonical_uri(url: str, resource: str) -> None:
    base = "https://mcp.example" + (":8443" if "8443" in url else "")
    scene = Scene(World({base: AuthorizationServer(base)}, None, challenge={}, mcp=url))
    client = scene.client(url=url.replace("https", "HTTPS"))
    scene.call(client)
    scene.clock.now += 595
    scene.call(client)
    asked = [query_of(request.url) for request in scene.world.server.authorized] + scene.world.server.asked
    assert [parameters["resource"] for parameters in asked] == [resource] * 3


# Who the client is (2026-07-28, "Client ID Metadata Documents")


@pytest.mark.parametrize("rest", ["/a/../c", "/./c", "/a/..", "/c\n", "/c d", "\\c"])
def test_the_url_of_a_document_has_one_spelling(rest: str) -> None:
    with pytest.raises(ConfigurationError, match="client_metadata_url"):
        OAuth(AuthorizationCode(str, redirect_uri=REDIRECT), client_metadata_url=f"https://app.example{rest}")


# PKCE (2026-07-28, "Authorization Code Protection")


@pytest.mark.parametrize("path", ["", "/tenant"])
def test_an_openid_provider_that_does_not_speak_of_pkce_is_refused(path: str) -> None:
    issuer = f"{ISSUER}{path}"
    server = AuthorizationServer(issuer)
    scene = Scene(World({issuer: server}, {"resource": MCP, "authorization_servers": [issuer]}))
    scene.world.documents[f"{ISSUER}/.well-known/oauth-authorization-server"] = None
    scene.world.documents[f"{issuer}/.well-known/openid-configuration"] = server.metadata
    scene.call(scene.client())
    del server.metadata["code_challenge_methods_supported"]
    assert "PKCE" in str(scene.refused(scene.client()))
    assert len(server.registered) == len(server.authorized) == len(server.asked) == 1


# Mix-up and injection (2026-07-28, "Security Considerations"; RFC 9207, section 1; RFC 9700, sections 4.4 and 4.5)


def coming_back_with(scene: Scene, answers: dict[str, str]) -> AuthorizationCode:
    """People whose browsers come back with these parameters, by principal; ``{state}`` is the right one."""

    def handler(request: AuthorizationRequest) -> str:
        scene.world.log_in(request)
        return f"{REDIRECT}?{answers[request.principal or ''].format(state=request.state)}"

    return AuthorizationCode(handler, redirect_uri=REDIRECT)


def test_the_code_of_an_honest_server_is_not_given_to_one_that_sent_the_browser_there() -> None:
    scene = Scene()
    honest, evil = scene.world.server, AuthorizationServer(EVIL)
    # It names the honest server's page as its own; all that comes back is right, but for who says it.
    evil.metadata["authorization_endpoint"] = honest.metadata["authorization_endpoint"]
    evil.metadata["authorization_response_iss_parameter_supported"] = True
    scene.world.servers[EVIL] = evil
    scene.world.resource = {"resource": MCP, "authorization_servers": [EVIL]}
    grant = AuthorizationCode(honest.log_in, redirect_uri=REDIRECT)
    error = scene.refused(scene.client(scene.provider(grant)))
    assert "not from https://evil.example" in str(error)
    assert [request.issuer for request in honest.authorized] == [EVIL]
    assert len(honest.codes) == 1
    assert (honest.asked, evil.asked) == ([], [])


@pytest.mark.parametrize(
    "answer", ["code=code-1&state={state}", "error=access_denied&error_description=HOSTILE&state={state}"]
)
def test_who_answers_is_compared_as_it_is_written(answer: str) -> None:
    issuer = f"{ISSUER}/a%2Db"
    scene = Scene(World({issuer: AuthorizationServer(issuer)}, {"resource": MCP, "authorization_servers": [issuer]}))
    scene.world.documents[f"{ISSUER}/.well-known/oauth-authorization-server/a%2Db"] = scene.world.server.metadata
    for written in (f"{ISSUER}/a-b", f"{ISSUER}/a%2db"):
        grant = coming_back_with(scene, {"alice": f"{answer}&iss={quote(written, safe='')}"})
        error = scene.refused(scene.client(scene.provider(grant)))
        assert not isinstance(error, OAuthResponseError)
        assert "HOSTILE" not in str(error)
        assert scene.world.server.asked == []


def test_the_answer_to_one_login_is_none_to_another() -> None:
    scene = Scene()
    answers: list[str] = []

    def handler(request: AuthorizationRequest) -> str:
        answers.append(scene.world.log_in(request))
        return answers[0]

    client = scene.client(scene.provider(AuthorizationCode(handler, redirect_uri=REDIRECT)))
    scene.call(client, "mallory")
    error = scene.refused(client, "alice")
    assert isinstance(error, OAuthError)
    assert "its state differs" in str(error)
    assert len(scene.world.server.asked) == 1
    assert [owner for _, owner in scene.world.seen if owner is not None] == ["mallory"]


def test_a_code_of_another_login_is_worth_nothing() -> None:
    scene = Scene()
    # Mallory's own code, which nobody used yet, with the state of Alice's login.
    grant = coming_back_with(scene, {"mallory": "state={state}", "alice": "code=code-1&state={state}"})
    client = scene.client(scene.provider(grant))
    scene.refused(client, "mallory")
    assert scene.world.server.codes["code-1"]["principal"] == "mallory"
    error = scene.refused(client, "alice")
    assert isinstance(error, OAuthResponseError)
    assert error.error == "invalid_grant"
    assert scene.world.server.tokens == {}
