"""The ways to a first token, and every way in which an authorization server, or a browser, can fail to give one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from support.authorization import ISSUER, MCP, REDIRECT, AuthorizationServer, World, form_of, query_of, s256
from support.oauth import BY_HAND, FakeSigner, Scene, as_, grant_types
from support.pure import Answer, Reply, headers_of, json_reply

from mcpcore import (
    AssertionRequest,
    AuthorizationCode,
    AuthorizationRequest,
    ClientCredentials,
    ConfigurationError,
    EnterpriseManaged,
    JwtBearer,
    LimitExceeded,
    Limits,
    LoginRequiredError,
    OAuth,
    OAuthError,
    OAuthResponseError,
    RegisteredClient,
    SendRequest,
    TransportError,
)

TOKEN = f"{ISSUER}/token"
IDP_TOKEN = "https://idp.example/token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def answering(parameters: str | Callable[[AuthorizationRequest], str]) -> tuple[Scene, OAuth]:
    """A scene in which a browser comes back with these parameters; ``{state}`` and ``{iss}`` are the right ones."""
    scene = Scene()

    def handler(request: AuthorizationRequest) -> str:
        scene.world.log_in(request)
        text = parameters(request) if callable(parameters) else parameters
        return f"{REDIRECT}?{text.format(state=request.state, iss=urlencode({'iss': ISSUER})[4:])}"

    return scene, scene.provider(AuthorizationCode(handler, redirect_uri=REDIRECT))


# The authorization request (2026-07-28, "Authorization", Authorization Flow Steps)


def test_a_person_is_asked_with_all_that_the_protocol_wants() -> None:
    scene = Scene()
    scene.world.server.metadata["authorization_endpoint"] = f"{ISSUER}/authorize?tenant=a%20b"
    scene.call(scene.client())
    [request] = scene.world.server.authorized
    asked, form = query_of(request.url), scene.world.server.asked[0]
    assert request.url.startswith(f"{ISSUER}/authorize?tenant=a%20b&response_type=code&")
    assert asked == {
        "tenant": "a b",
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "state": request.state,
        "code_challenge": s256(form["code_verifier"]),
        "code_challenge_method": "S256",
        "resource": MCP,
        "scope": "read",
    }
    assert form == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "code_verifier": form["code_verifier"],
        "redirect_uri": REDIRECT,
        "resource": MCP,
        "client_id": "client-1",
    }
    assert (request.issuer, request.resource, request.scopes, request.principal) == (ISSUER, MCP, ("read",), "alice")
    assert len(form["code_verifier"]) >= 43
    assert request.state != form["code_verifier"]
    assert scene.world.seen[-1] == ("tools/call", "alice")


def test_nothing_of_one_login_is_used_for_another() -> None:
    scene = Scene()
    client = scene.client()
    scene.call(client, "alice")
    scene.call(client, "bob")
    one, other = scene.world.server.authorized
    assert one.state != other.state
    assert query_of(one.url)["code_challenge"] != query_of(other.url)["code_challenge"]


@pytest.mark.parametrize(
    "scheme",
    ["javascript:alert(1)//", "file:///etc/", "http://login.example/", "data:text/html,", "https://u:p@login.example/"],
)
def test_a_browser_is_sent_nowhere_but_to_the_web(scheme: str) -> None:
    scene = Scene()
    scene.world.server.metadata["authorization_endpoint"] = f"{scheme}authorize"
    assert isinstance(scene.refused(scene.client()), OAuthError)
    assert scene.logins == 0


@pytest.mark.parametrize("methods", [None, [], ["plain"], "S256"])
def test_without_pkce_nobody_is_sent_anywhere(methods: object) -> None:
    scene = Scene()
    scene.world.server.metadata["code_challenge_methods_supported"] = methods
    if methods is None:
        del scene.world.server.metadata["code_challenge_methods_supported"]
    assert "PKCE" in str(scene.refused(scene.client()))
    assert scene.logins == 0


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint"])
def test_an_authorization_server_needs_its_endpoints(endpoint: str) -> None:
    scene = Scene()
    del scene.world.server.metadata[endpoint]
    assert "has no " + endpoint.replace("_", " ") in str(scene.refused(scene.client()))


@pytest.mark.parametrize(
    "uri",
    ["https://app.example/cb", "http://127.0.0.1:1/cb", "http://localhost/cb", "http://[::1]/"],
)
def test_where_a_browser_may_come_back_to(uri: str) -> None:
    assert AuthorizationCode(str, redirect_uri=uri).redirect_uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/cb",
        "javascript:alert(1)",
        "myapp:/cb",
        "com.example.app:/cb",
        "https://a.example/#f",
        "https://[",
        "",
    ],
)
def test_where_a_browser_may_not_come_back_to(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="redirect URI"):
        AuthorizationCode(str, redirect_uri=uri)


# The authorization response (2026-07-28, "Authorization", Authorization Response Validation)

RESPONSES: dict[str, tuple[str, str]] = {
    "another state": ("code=c&state=other", "state differs"),
    "no state": ("code=c", "state differs"),
    "an empty state": ("code=c&state=", "state differs"),
    "an error with another state": ("error=access_denied&error_description=HOSTILE&state=x", "state differs"),
    "state twice": ("code=c&state={state}&state={state}", "twice"),
    "code twice": ("code=c&code=d&state={state}", "twice"),
    "error twice": ("error=HOSTILE&error=b&state={state}", "twice"),
    "no code": ("state={state}", "no code"),
    "an empty code": ("code=&state={state}", "no code"),
    "nothing": ("", "state differs"),
    "too much": ("&".join(f"p{number}=1" for number in range(101)), "cannot be parsed"),
}


@pytest.mark.parametrize(("parameters", "reason"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_that_is_not_to_this_login_is_not_used(parameters: str, reason: str) -> None:
    scene, auth = answering(parameters)
    error = scene.refused(scene.client(auth))
    assert isinstance(error, OAuthError)
    assert reason in str(error)
    assert "HOSTILE" not in str(error)
    assert scene.world.server.asked == []


MATCHES = ("iss={iss}", True)
OTHERS = (
    "iss=https%3A%2F%2Fevil.example",
    "iss=https%3A%2F%2Flogin.example%2F",
    "iss=https%3A%2F%2FLOGIN.example",
    "iss=https%3A%2F%2Flogin.example%3A443",
    "iss=",
)


@pytest.mark.parametrize("result", ["code=code-1", "error=access_denied&error_description=HOSTILE&error_uri=HOSTILE"])
@pytest.mark.parametrize(
    ("says_so", "iss", "is_used"),
    [
        (True, *MATCHES),
        *((True, iss, False) for iss in OTHERS),
        (True, "", False),
        (False, *MATCHES),
        *((False, iss, False) for iss in OTHERS),
        (False, "", True),
        (None, *MATCHES),
        (None, OTHERS[0], False),
        (None, "", True),
    ],
)
def test_who_answers_is_checked_first(says_so: bool | None, iss: str, is_used: bool, result: str) -> None:
    scene, auth = answering(f"{result}&state={{state}}&{iss}")
    if says_so is not None:
        scene.world.server.metadata["authorization_response_iss_parameter_supported"] = says_so
    operation = scene.client(auth).call_tool("find", context=as_("alice"))
    if is_used and result.startswith("code"):
        scene.run(operation)
        return
    error = scene.fail(operation)
    assert isinstance(error, OAuthError)
    assert isinstance(error, OAuthResponseError) is is_used
    assert ("HOSTILE" in str(error)) is is_used
    assert ("not from https://login.example" in str(error)) is not is_used
    assert scene.world.server.asked == []


@pytest.mark.parametrize(
    "code",
    [
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "something else",
    ],
)
def test_a_login_that_is_refused(code: str) -> None:
    scene, auth = answering(urlencode({"error": code, "error_description": "a\nb" + "c" * 999}) + "&state={state}")
    error = scene.refused(scene.client(auth))
    assert isinstance(error, OAuthResponseError)
    assert (error.error, error.status) == (code, None)
    assert error.description == "a b" + "c" * 297
    assert f"the login was refused: {code}: a b" in str(error)
    assert scene.world.server.asked == []


@pytest.mark.parametrize("returned", [None, b"bytes", 7, "http://[", f"{REDIRECT}?state=\ud800"])
def test_a_handler_returns_a_url(returned: Any) -> None:
    scene = Scene()
    auth = scene.provider(AuthorizationCode(lambda request: returned, redirect_uri=REDIRECT))
    assert isinstance(scene.refused(scene.client(auth)), OAuthError)


def test_what_a_handler_raises_is_the_cause() -> None:
    def handler(request: object) -> str:
        raise ValueError("secret words")

    scene = Scene()
    error = scene.refused(scene.client(scene.provider(AuthorizationCode(handler, redirect_uri=REDIRECT))))
    assert isinstance(error, OAuthError)
    assert isinstance(error.__cause__, ValueError)
    assert "ValueError" in str(error)
    assert "secret words" not in str(error)


def test_a_handler_may_say_that_nobody_is_there() -> None:
    def handler(request: object) -> str:
        raise LoginRequiredError("log in by hand")

    scene = Scene()
    for grant in (AuthorizationCode(handler, redirect_uri=REDIRECT), JwtBearer(handler)):
        error = scene.refused(scene.client(scene.provider(grant)))
        assert isinstance(error, LoginRequiredError)
        assert error.message == "log in by hand"


# The token response (RFC 6749, sections 5.1 and 5.2)

ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "use_dpop_nonce",
)
OK: dict[str, Any] = {"access_token": "t", "token_type": "Bearer"}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("status", [400, 401])
def test_a_code_that_is_refused_is_not_tried_again(code: str, status: int) -> None:
    scene = Scene()
    refusal = json_reply({"error": code, "error_description": "why"}, status, dpop_nonce="n")
    scene.world.server.answer = refusal
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthResponseError)
    assert (error.error, error.description, error.status) == (code, "why", status)
    assert str(error) == f"the token request to {TOKEN}: the token request was refused: {code}: why"
    assert (scene.logins, len(scene.world.server.asked)) == (1, 1)
    assert scene.tokens_sent() == [None]


ODD: dict[str, tuple[Answer, int | None]] = {
    "503": (Reply(503), 503),
    "500 with HTML": (Reply(500, {"content-type": "text/html"}, [b"<html>"]), 500),
    "204": (Reply(204), 204),
    "201": (json_reply(OK, 201), 201),
    "a redirect": (Reply(302, {"location": "https://evil.example/"}), 302),
    "HTML": (Reply(200, {"content-type": "text/html"}, [b"<html>"]), 200),
    "nothing": (Reply(200), 200),
    "a list": (json_reply([OK]), 200),
    "an error in odd types": (json_reply({"error": {"a": 1}, "error_description": 7}, 400), 400),
    "half a document": (Reply(200, {}, [b'{"access_token": "t"']), 200),
    "no access token": (json_reply({"token_type": "Bearer"}), None),
    "an empty access token": (json_reply({**OK, "access_token": ""}), None),
    "an odd access token": (json_reply({**OK, "access_token": 7}), None),
    "a space": (json_reply({**OK, "access_token": "a b"}), None),
    "a tab": (json_reply({**OK, "access_token": "a\tb"}), None),
    "a line": (json_reply({**OK, "access_token": "a\r\nX-Evil: 1"}), None),
    "a line at the end": (json_reply({**OK, "access_token": "a\n"}), None),
    "more than ASCII": (json_reply({**OK, "access_token": "\xe9"}), None),
    "no token type": (json_reply({"access_token": "t"}), None),
    "another token type": (json_reply({**OK, "token_type": "mac"}), None),
    "an odd token type": (json_reply({**OK, "token_type": ["Bearer"]}), None),
    "a bound token": (json_reply({**OK, "token_type": "DPoP"}), None),
}


@pytest.mark.parametrize(("answer", "status"), ODD.values(), ids=ODD)
def test_what_is_no_token_is_sent_nowhere(answer: Answer, status: int | None) -> None:
    scene = Scene()
    scene.world.server.answer = answer
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert (error.status if isinstance(error, OAuthResponseError) else None) == status
    assert (error.server, error.request) == (TOKEN, "the token request")
    assert scene.tokens_sent() == [None]
    assert not any("evil" in host for host in scene.driver.looked_up)


def test_a_token_endpoint_has_its_limits_and_its_failures() -> None:
    scene = Scene()
    auth = scene.provider(ClientCredentials(), client=BY_HAND)
    client = scene.client(auth, limits=Limits(oauth_bytes=2000))
    scene.world.server.answer = Reply(200, {}, [b" " * 1500, b" " * 1500])
    assert isinstance(scene.refused(client), LimitExceeded)
    assert scene.driver.ended[-1] is False
    scene.world.server.answer = TransportError("it broke")
    assert isinstance(scene.refused(client), TransportError)
    scene.call(client)


FOR_EVER = None


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (600, 590),
        ("600", 590),
        (4, 2),
        (0.5, 0.25),
        (0, FOR_EVER),
        ("0", FOR_EVER),
        (-1, FOR_EVER),
        ("-1", FOR_EVER),
        (True, FOR_EVER),
        (None, FOR_EVER),
        ("soon", FOR_EVER),
        ([600], FOR_EVER),
        (10**400, FOR_EVER),
        ("9" * 400, FOR_EVER),
        (1e300, FOR_EVER),
    ],
    ids=lambda value: f"{value!r:.9}",
)
def test_how_long_a_token_is_used(expires_in: object, seconds: float | None) -> None:
    scene = Scene()
    scene.world.server.tokens["t"] = "alice", ()
    scene.world.server.answer = json_reply({**OK, "expires_in": expires_in})
    login = scene.run(scene.client().log_in(context=as_("alice")))
    assert login.renew_at == (None if seconds is None else scene.clock.now + seconds)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_the_type_of_a_token_is_told_by_any_case(kind: str) -> None:
    scene = Scene()
    scene.world.server.tokens["t"] = "alice", ()
    scene.world.server.answer = json_reply({**OK, "token_type": kind})
    scene.call(scene.client())
    assert headers_of(scene.driver.sent[-1])["authorization"] == "Bearer t"


# Client credentials (MCP extension "OAuth Client Credentials")


def test_an_application_is_its_own_principal() -> None:
    scene = Scene()
    client = scene.client(scene.provider(ClientCredentials(), client=BY_HAND, scopes=("write",)))
    scene.call(client, None)
    assert scene.world.server.asked == [
        {"grant_type": "client_credentials", "scope": "write read", "resource": MCP, "client_id": "app"}
    ]
    assert scene.world.seen == [("tools/call", None), ("tools/call", "application")]
    assert scene.logins == 0


@pytest.mark.parametrize(
    ("offered", "is_basic"),
    [
        (None, True),
        (["client_secret_basic", "client_secret_post"], True),
        (["client_secret_post"], False),
        (["private_key_jwt"], True),
    ],
)
def test_a_secret_is_shown_as_the_server_takes_it(offered: list[str] | None, is_basic: bool) -> None:
    scene = Scene()
    scene.world.server.metadata["token_endpoint_auth_methods_supported"] = offered
    scene.call(scene.client(scene.provider(ClientCredentials(), client=BY_HAND)), None)
    [request] = scene.sent_to(TOKEN)
    assert ("authorization" in headers_of(request)) is is_basic
    assert ("client_secret" in form_of(request)) is not is_basic


def test_a_key_can_stand_for_a_secret() -> None:
    scene, signer = Scene(), FakeSigner(key_id="one")
    scene.world.documents[TOKEN] = lambda _: scene.world.server.grant("application", ())
    client = RegisteredClient("app", signer=signer, issuer=ISSUER)
    scene.call(scene.client(scene.provider(ClientCredentials(), client=client)), None)
    form, [(header, claims)] = form_of(scene.sent_to(TOKEN)[0]), signer.signed
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["client_assertion"] == "signed.key.1"
    assert header == {"typ": "JWT", "kid": "one"}
    now = scene.clock.now
    assert claims == {"iss": "app", "sub": "app", "aud": ISSUER, "jti": claims["jti"], "iat": now, "exp": now + 60}


def test_credentials_that_are_refused_are_not_shown_again() -> None:
    scene = Scene()
    client = scene.client(scene.provider(ClientCredentials(), client=RegisteredClient("app", "wrong", issuer=ISSUER)))
    error = scene.refused(client, None)
    assert isinstance(error, OAuthResponseError)
    assert (error.error, error.status) == ("invalid_client", 401)
    assert len(scene.world.server.asked) == 1


@pytest.mark.parametrize(
    "grant", [ClientCredentials(), EnterpriseManaged(lambda request: "a", token_endpoint=IDP_TOKEN)], ids=repr
)
def test_some_grants_take_a_client_that_was_registered(grant: Any) -> None:
    with pytest.raises(ConfigurationError, match="registered by hand"):
        OAuth(grant)


# Workload identity federation: the JWT bearer grant (RFC 7523, section 2.1)


def federated(assertion: Callable[[AssertionRequest], Any], **options: Any) -> tuple[Scene, OAuth]:
    """A scene in which a platform vouches for the application."""
    scene = Scene()
    scene.world.documents[TOKEN] = lambda request: vouched(scene.world.server, request)
    return scene, scene.provider(JwtBearer(assertion), **options)


def vouched(server: AuthorizationServer, request: SendRequest) -> Answer:
    """A token endpoint that takes whatever is vouched for."""
    form = form_of(request)
    server.asked.append(form)
    if form.get("assertion") == "refused":
        return json_reply({"error": "invalid_grant", "error_description": "not by refused"}, 400)
    return server.grant("application", tuple(form.get("scope", "").split()))


def test_a_platform_vouches_for_the_application() -> None:
    requests: list[AssertionRequest] = []

    def assertion(request: AssertionRequest) -> str:
        requests.append(request)
        return "word"

    scene, auth = federated(assertion)
    scene.world.server.refreshes = False
    scene.call(scene.client(auth), None)
    assert requests == [AssertionRequest(audience=ISSUER, resource=MCP, scopes=("read",), principal=None)]
    assert scene.world.server.asked == [
        {"grant_type": JWT_BEARER, "assertion": "word", "scope": "read", "resource": MCP}
    ]
    assert scene.world.server.registered == []
    scene.call(scene.client(auth), None)
    assert len(requests) == 1
    scene.clock.now += 595
    before = len(scene.driver.sent)
    scene.call(scene.client(auth), None)
    assert scene.since(before) == ["token", "mcp"]
    assert grant_types(scene.world.server.asked) == [JWT_BEARER] * 2


def test_it_may_need_a_client_all_the_same() -> None:
    scene, auth = federated(lambda request: "word", client=BY_HAND)
    scene.call(scene.client(auth), None)
    assert headers_of(scene.sent_to(TOKEN)[0])["authorization"].startswith("Basic ")


def test_a_platform_whose_word_is_refused_is_not_asked_again() -> None:
    scene, auth = federated(lambda request: "refused")
    error = scene.refused(scene.client(auth), None)
    assert isinstance(error, OAuthResponseError)
    assert error.error == "invalid_grant"
    assert error.description == "not by ***"
    assert grant_types(scene.world.server.asked) == [JWT_BEARER]
    assert scene.tokens_sent() == [None]


@pytest.mark.parametrize("assertion", [None, "", b"word", "\xe9", "\ud800"])
def test_a_word_is_a_text(assertion: Any) -> None:
    scene, auth = federated(lambda request: assertion)
    assert "assertion" in str(scene.refused(scene.client(auth), None))
    assert scene.world.server.asked == []


# Enterprise-managed authorization (MCP extension of that name)


def enterprise(answer: Any = None, *, idp_client: RegisteredClient | None = None) -> tuple[Scene, OAuth]:
    """A scene in which an identity provider vouches for people."""
    scene = Scene()
    scene.world.documents[TOKEN] = lambda request: vouched(scene.world.server, request)
    issued = {
        "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "access_token": "grant-for-alice",
        "token_type": "N_A",
    }
    scene.world.documents[IDP_TOKEN] = answer if isinstance(answer, Reply) else json_reply({**issued, **(answer or {})})
    grant = EnterpriseManaged(
        lambda request: f"id-token-of-{request.principal}", token_endpoint=IDP_TOKEN, client=idp_client
    )
    return scene, scene.provider(grant, client=BY_HAND)


@pytest.mark.parametrize(
    "idp_client", [None, RegisteredClient("at-idp", "idp-secret", issuer="https://idp.example")], ids=bool
)
def test_an_identity_provider_vouches_for_a_person(idp_client: RegisteredClient | None) -> None:
    scene, auth = enterprise(idp_client=idp_client)
    scene.call(scene.client(auth))
    [exchange], [request] = scene.sent_to(IDP_TOKEN), scene.sent_to(TOKEN)
    assert form_of(exchange) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
        "audience": ISSUER,
        "resource": MCP,
        "scope": "read",
        "subject_token": "id-token-of-alice",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        **({} if idp_client is None else {"client_id": "at-idp"}),
    }
    assert form_of(request) == {
        "grant_type": JWT_BEARER,
        "assertion": "grant-for-alice",
        "scope": "read",
        "resource": MCP,
        "client_id": "app",
    }
    # Each is shown what is for it, and nothing else.
    shown = {r.url: repr(headers_of(r)) + r.body.decode() for r in scene.driver.sent}
    assert [url for url, text in shown.items() if "id-token-of-alice" in text] == [IDP_TOKEN]
    assert [url for url, text in shown.items() if "grant-for-alice" in text] == [TOKEN]
    assert "idp.example" not in scene.driver.looked_up  # Named by the user, it may be anywhere.


def test_a_person_is_vouched_for_again_when_a_token_is_over() -> None:
    scene, auth = enterprise()
    scene.world.server.refreshes = False
    client = scene.client(auth)
    assert scene.run(client.log_in(context=as_("alice"))).is_renewable
    scene.clock.now += 595
    before = len(scene.driver.sent)
    scene.call(client)
    assert [request.url for request in scene.driver.sent[before:]] == [IDP_TOKEN, TOKEN, MCP]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}, OAuthError),
        ({"issued_token_type": None}, OAuthError),
        ({"access_token": ""}, OAuthError),
        ({"access_token": 7}, OAuthError),
        (json_reply({"error": "invalid_grant", "error_description": "id-token-of-alice"}, 400), OAuthResponseError),
        (Reply(200, {}, [b"<html>"]), OAuthResponseError),
        (Reply(503), OAuthResponseError),
    ],
)
def test_what_an_identity_provider_does_not_vouch_for(answer: Any, kind: type[OAuthError]) -> None:
    scene, auth = enterprise(answer)
    error = scene.refused(scene.client(auth))
    assert type(error) is kind
    assert (error.server, error.request) == (IDP_TOKEN, "the token exchange")
    assert "id-token" not in str(error)
    assert scene.sent_to(TOKEN) == []


@pytest.mark.parametrize("url", ["http://idp.example/token", "ftp://idp.example/token", "not a URL"])
def test_an_identity_provider_is_asked_over_https(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the token endpoint"):
        EnterpriseManaged(lambda request: "id", token_endpoint=url)


# What else a provider is given


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"scopes": "read write"}, "scopes"),
        ({"client_metadata_url": "http://app.example/client"}, "client_metadata_url"),
        ({"client_metadata_url": "https://app.example/"}, "client_metadata_url"),
        ({"client_metadata_url": "https://app.example"}, "client_metadata_url"),
        ({"client_metadata_url": "https://app.example/client#f"}, "client_metadata_url"),
        ({"client_metadata_url": "https://[/client"}, "client_metadata_url"),
        ({"client_metadata_url": ""}, "client_metadata_url"),
    ],
)
def test_what_can_never_work_is_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        OAuth(AuthorizationCode(str, redirect_uri=REDIRECT), **options)


def test_a_document_may_describe_the_client() -> None:
    scene = Scene()
    document = "https://app.example/client.json"
    scene.world.server.metadata["client_id_metadata_document_supported"] = True
    scene.world.server.clients[document] = None
    scene.call(scene.client(scene.provider(client_metadata_url=document)))
    assert query_of(scene.world.server.authorized[0].url)["client_id"] == document


def test_a_provider_shows_nothing_secret() -> None:
    auth = OAuth(
        AuthorizationCode(World().log_in, redirect_uri=REDIRECT),
        client=RegisteredClient("app", "app-secret", issuer=ISSUER),
        client_metadata={"software_statement": "statement-secret"},
        dpop=FakeSigner(),
    )
    assert "-secret" not in repr(auth)


def test_a_response_may_say_more_than_is_known() -> None:
    scene, auth = answering(lambda request: "code=code-1&state={state}&session_state=x&scope=read&prompt=none")
    scene.call(scene.client(auth))
