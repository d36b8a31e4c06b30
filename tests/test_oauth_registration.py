"""Who a client is at an authorization server, and how it proves that.  Both servers are data."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import define, evolve, field
from support import stepping
from support.authorization import ISSUER, MCP, REDIRECT, AuthorizationServer, World, form_of
from support.oauth import BY_HAND, FakeSigner, Scene, as_
from support.pure import Answer, Reply, headers_of, json_reply, message_of

from mcpcore import (
    AuthorizationCode,
    ClientCredentials,
    ConfigurationError,
    JwtBearer,
    Limits,
    OAuthError,
    OAuthResponseError,
    RegisteredClient,
    RequestKind,
    SendRequest,
    TransportError,
)
from mcpcore.oauth.clients import ClientMetadata

DOCUMENT = "https://app.example/client.json"
OTHER = "https://other.example"
REGISTER, TOKEN = f"{ISSUER}/register", f"{ISSUER}/token"
BASIC, POST, NONE, JWT = "client_secret_basic", "client_secret_post", "none", "private_key_jwt"


@define
class Store:
    """A user's store, in memory."""

    values: dict[str, str] = field(factory=dict[str, str])
    asked: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    def get(self, key: str) -> str | None:
        self.asked.append(("get", key))
        return self.values.get(key)

    def put(self, key: str, value: str) -> None:
        self.asked.append(("put", key))
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.asked.append(("delete", key))
        self.values.pop(key, None)


CLIENT_KEY = json.dumps(["client", ISSUER, REDIRECT])


def offering(*methods: str, **metadata: Any) -> Scene:
    """An authorization server at which clients prove who they are by these."""
    scene = Scene()
    scene.world.server.metadata |= {"token_endpoint_auth_methods_supported": list(methods), **metadata}
    return scene


def requests(scene: Scene, kind: RequestKind) -> list[SendRequest]:
    return [request for request in scene.driver.sent if request.kind is kind]


def shown_by(request: SendRequest) -> tuple[str, str | None, str | None]:
    """How a request proves who makes it: the method, the id and the secret, as they are on the wire."""
    form, authorization = form_of(request), headers_of(request).get("authorization")
    if authorization is not None:
        assert "client_secret" not in form
        client_id, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return BASIC, client_id, secret
    if "client_assertion" in form:
        return JWT, form.get("client_id"), form["client_assertion"]
    return POST if "client_secret" in form else NONE, form.get("client_id"), form.get("client_secret")


# By hand.


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: RegisteredClient(""),
        lambda: RegisteredClient("app", "s3cret", signer=FakeSigner()),
        lambda: RegisteredClient("app", auth_method="client_secret_basic"),
        lambda: RegisteredClient("app", auth_method="client_secret_post"),
        lambda: RegisteredClient("app", "s3cret", auth_method="private_key_jwt"),
        lambda: RegisteredClient("app", auth_method="client_secret_post", signer=FakeSigner()),
        lambda: RegisteredClient("\ud800s3cret"),
        lambda: RegisteredClient("app", "s3cret\udfff"),
        lambda: RegisteredClient("app", issuer=""),
        lambda: RegisteredClient("app", issuer="s3cret"),
        lambda: RegisteredClient("app", issuer="https://[::1s3cret"),
        lambda: RegisteredClient("app", issuer="https://\u2102\u2100/s3cret"),
        lambda: RegisteredClient("app", issuer="http://login.example/s3cret"),
        lambda: RegisteredClient("app", issuer="ftp://login.example/s3cret"),
        lambda: RegisteredClient("app", issuer="https://me:s3cret@login.example"),
        lambda: RegisteredClient("app", issuer="https://login.example?s3cret"),
        lambda: RegisteredClient("app", issuer="https://login.example/#s3cret"),
        lambda: RegisteredClient("app", issuer="https://login.example/?"),
        lambda: RegisteredClient("app", issuer="https://login.example/\ns3cret"),
    ],
)
def test_a_client_does_not_contradict_itself(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wrong()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}:8443/tenant/", "http://localhost:9000", "http://[::1]:9000/a"])
def test_who_a_client_may_be_registered_at(issuer: str) -> None:
    assert RegisteredClient("app", "secret", issuer=issuer).issuer == issuer


def test_a_client_shows_no_secret() -> None:
    shown = repr([RegisteredClient("app", "s3cret"), RegisteredClient("app", signer=FakeSigner("s3cret"))])
    assert "app" in shown
    assert "s3cret" not in shown


def test_who_was_registered_by_hand_registers_nowhere_else() -> None:
    scene = offering(NONE, BASIC, client_id_metadata_document_supported=True)
    scene.call(scene.client(scene.provider(client=BY_HAND, client_metadata_url=DOCUMENT)))
    assert requests(scene, RequestKind.REGISTRATION) == []
    assert [shown_by(r) for r in requests(scene, RequestKind.TOKEN)] == [(BASIC, "app", "app-secret")]


def test_what_was_agreed_with_one_issuer_is_not_shown_to_another() -> None:
    resource = {"resource": MCP, "authorization_servers": [OTHER]}
    scene = Scene(World(servers={OTHER: AuthorizationServer(OTHER)}, resource=resource))
    error = scene.refused(scene.client(scene.provider(client=BY_HAND)))
    assert isinstance(error, OAuthError)
    assert f"registered at {ISSUER}, and the MCP server trusts {OTHER}" in str(error)
    assert [request.url for request in scene.driver.sent[2:]] == [f"{OTHER}/.well-known/oauth-authorization-server"]
    assert b"app-secret" not in b"".join(request.body for request in scene.driver.sent)


# By the URL of a document.


def test_a_document_says_who_the_client_is() -> None:
    scene = offering(BASIC, client_id_metadata_document_supported=True)
    scene.world.server.clients[DOCUMENT] = None
    scene.call(scene.client(scene.provider(client_metadata_url=DOCUMENT)))
    assert "client_id=https%3A%2F%2Fapp.example%2Fclient.json&" in scene.world.server.authorized[0].url
    assert [shown_by(r) for r in requests(scene, RequestKind.TOKEN)] == [(NONE, DOCUMENT, None)]
    assert requests(scene, RequestKind.REGISTRATION) == []


@pytest.mark.parametrize("supported", [{}, {"client_id_metadata_document_supported": "true"}])
def test_where_documents_are_not_taken_the_client_registers(supported: dict[str, str]) -> None:
    scene = offering(NONE, **supported)
    scene.call(scene.client(scene.provider(client_metadata_url=DOCUMENT)))
    assert [shown_by(r)[1] for r in requests(scene, RequestKind.TOKEN)] == ["client-1"]


# By itself.


@pytest.mark.parametrize(
    ("redirect_uri", "kind"),
    [
        (REDIRECT, "native"),
        ("http://localhost:1/", "native"),
        ("http://[::1]/callback", "native"),
        ("https://localhost/callback", "native"),
        ("https://127.0.0.1/callback", "native"),
        ("https://app.example/callback", "web"),
        ("https://localhost.example/callback", "web"),
    ],
)
def test_what_a_client_says_of_itself(redirect_uri: str, kind: str) -> None:
    scene = Scene()
    grant = AuthorizationCode(scene.world.log_in, redirect_uri=redirect_uri)
    scene.call(scene.client(scene.provider(grant, client_name="An app")))
    (request,) = requests(scene, RequestKind.REGISTRATION)
    assert (request.method, request.url, request.principal) == ("POST", REGISTER, None)
    assert headers_of(request)["content-type"] == "application/json"
    assert message_of(request) == {
        "client_name": "An app",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": kind,
        "token_endpoint_auth_method": "none",
    }
    assert form_of(requests(scene, RequestKind.TOKEN)[0])["redirect_uri"] == redirect_uri


def test_a_client_says_that_its_tokens_are_bound() -> None:
    described = ClientMetadata(name="An app", redirect_uri=REDIRECT, grant_types=("authorization_code",), is_bound=True)
    assert described.document("none")["dpop_bound_access_tokens"] is True
    assert "dpop_bound_access_tokens" not in evolve(described, is_bound=False).document("none")


def test_a_user_has_the_last_word_on_it() -> None:
    scene = Scene()
    more = {"application_type": "web", "scope": "a b", "logo_uri": "https://app.example/l.png"}
    scene.call(scene.client(scene.provider(client_metadata=more)))
    (document,) = scene.world.server.registered
    assert {name: document[name] for name in more} == more
    assert "logo_uri" not in repr(scene.provider(client_metadata=more))


@pytest.mark.parametrize(
    ("offered", "wanted"),
    [
        (None, BASIC),  # What silence means (RFC 8414, section 2).
        ([NONE, BASIC, POST], NONE),
        ([BASIC, NONE], NONE),
        ([BASIC, POST], POST),
        ([BASIC], BASIC),
        ([POST], POST),
        ([JWT], NONE),
        ([], NONE),
    ],
)
def test_how_it_wants_to_prove_who_it_is(offered: list[str] | None, wanted: str) -> None:
    scene = Scene()
    scene.world.server.metadata["token_endpoint_auth_methods_supported"] = offered
    scene.call(scene.client())
    assert scene.world.server.registered[0]["token_endpoint_auth_method"] == wanted
    secret = None if wanted == NONE else "secret-client-1"
    assert [shown_by(r) for r in requests(scene, RequestKind.TOKEN)] == [(wanted, "client-1", secret)]


@pytest.mark.parametrize(
    ("offered", "registered", "method"),
    [
        ([POST], {"client_secret": "s"}, POST),
        ([POST], {"client_secret": "s", "token_endpoint_auth_method": BASIC}, BASIC),
        ([POST], {"client_secret": "s", "token_endpoint_auth_method": NONE}, NONE),
        ([POST], {"token_endpoint_auth_method": POST}, NONE),
        ([POST], {"client_secret": ""}, NONE),
        ([POST], {"client_secret": 7}, NONE),
        ([NONE], {"client_secret": "s"}, NONE),
        ([NONE], {"client_secret": "s", "token_endpoint_auth_method": POST}, POST),
        ([POST], {"client_secret": "s", "token_endpoint_auth_method": "tls_client_auth"}, POST),
        ([BASIC], {"client_secret": "s", "token_endpoint_auth_method": None}, BASIC),
    ],
)
@pytest.mark.parametrize("status", [200, 201])
def test_how_it_proves_who_it_is_once_registered(
    status: int, offered: list[str], registered: dict[str, Any], method: str
) -> None:
    scene = offering(*offered)
    scene.world.documents[REGISTER] = json_reply({"client_id": "me", **registered}, status)
    scene.world.server.clients["me"] = None if method == NONE else "s"
    scene.call(scene.client())
    assert [shown_by(r) for r in requests(scene, RequestKind.TOKEN)] == [
        (method, "me", None if method == NONE else "s")
    ]


@pytest.mark.parametrize(
    "code",
    [
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
        "access_denied",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_registration_that_is_refused(status: int, code: str) -> None:
    scene = Scene()
    scene.world.documents[REGISTER] = json_reply({"error": code, "error_description": "not\r\nyou"}, status)
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthResponseError)
    assert (error.error, error.description, error.status) == (code, "not  you", status)
    assert str(error) == (
        f"dynamic client registration to {REGISTER}: dynamic client registration was refused: {code}: not  you"
    )
    assert scene.world.server.authorized == []


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Reply(404), "status 404"),
        (Reply(500, {}, [b"<html>oops</html>"]), "status 500"),
        (json_reply({"error": 7, "error_description": ["x"]}, 400), "status 400"),
        (json_reply({"error": "e" * 9999}, 400), "e" * 300),
        (json_reply({"client_id": "x"}, 202), "status 202"),
    ],
)
def test_a_registration_that_is_refused_without_a_word(answer: Reply, shown: str) -> None:
    scene = Scene(World(documents={REGISTER: answer}))
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthResponseError)
    assert error.message == f"dynamic client registration was refused: {shown}"


@pytest.mark.parametrize(
    "answer",
    [json_reply({"client_id": given}, 201) for given in ("", None, 7, ["x"])]
    + [json_reply({}, 201), json_reply(["client_id"]), Reply(201), Reply(200, {}, [b"<html>"])],
)
def test_a_registration_without_an_id(answer: Reply) -> None:
    scene = Scene()
    scene.world.server.metadata["registration_endpoint"] = f"{REGISTER}?initial=s3cret"
    scene.world.documents[f"{REGISTER}?initial=s3cret"] = answer
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "without an id" in str(error)
    assert (error.server, error.request) == (REGISTER, "dynamic client registration")
    assert "s3cret" not in f"{error}{error!r}"


def test_where_nobody_registers_a_user_has_to() -> None:
    scene = offering(NONE, registration_endpoint=None)
    error = scene.refused(scene.client())
    assert "cannot register" in str(error)
    assert "client=" in str(error)
    assert requests(scene, RequestKind.TOKEN) == []


def test_a_platform_that_vouches_needs_no_client() -> None:
    scene = offering(NONE, client_id_metadata_document_supported=True)
    scene.world.server.clients["nobody"] = None

    def token(request: SendRequest) -> Answer:
        return scene.world.server.grant("application", ())

    scene.world.documents[TOKEN] = token
    scene.call(scene.client(scene.provider(JwtBearer(lambda request: "their word"))), None)
    assert [shown_by(r) for r in requests(scene, RequestKind.TOKEN)] == [(NONE, None, None)]
    assert requests(scene, RequestKind.REGISTRATION) == []


# Once for all.


def stepped(scene: Scene, people: int, **options: Any) -> tuple[stepping.World, list[stepping.Play[Any]]]:
    """Calls of so many people, none of whom has logged in."""
    world = stepping.World(scene.client(scene.provider(**options)), scene.world)
    plays = [world.play(world.client.call_tool("find", context=as_(f"person-{n}"))) for n in range(people)]
    return world, plays


def until_sent(play: stepping.Play[Any], kind: RequestKind) -> None:
    """Go on until it asks for such a request, and leave that unanswered."""
    while play.until(SendRequest).kind is not kind:
        play.step()


def test_fifty_people_register_one_client() -> None:
    scene, store = Scene(), Store()
    world, plays = stepped(scene, 50, store=store)
    world.run_all(*plays)
    assert [play.error for play in plays] == [None] * 50
    assert len(scene.world.server.registered) == 1
    assert len({request.principal for request in scene.world.server.authorized}) == 50
    assert len([asked for asked in store.asked if asked[1] == CLIENT_KEY]) == 2
    assert world.leftovers() == []


def test_a_registration_that_fails_is_the_failure_of_one() -> None:
    scene = Scene()
    failures: list[Answer] = [
        Reply(500),
        TransportError("the connection broke"),
        json_reply({"error": "invalid_redirect_uri"}, 400),
    ]

    def register(request: SendRequest) -> Answer:
        return failures.pop(0) if failures else scene.world.server.register(request)

    scene.world.documents[REGISTER] = register
    world, plays = stepped(scene, 9)
    world.run_all(*plays)
    assert len([play for play in plays if play.error is not None]) == 3
    assert len(scene.world.server.registered) == 1
    assert len(scene.world.server.authorized) == 6


def test_whoever_gives_up_leaves_the_registration_to_the_next() -> None:
    scene = Scene()
    _, (first, second, third) = stepped(scene, 3)
    until_sent(first, RequestKind.REGISTRATION)
    second.until_blocked()
    third.until_blocked()
    first.cancel()
    second.finish()
    third.finish()
    assert len(scene.world.server.registered) == 1


def test_a_server_that_is_slow_to_register_holds_up_nobody_elsewhere() -> None:
    scene, other = Scene(), "https://other.example/mcp"
    scene.world.servers[OTHER] = AuthorizationServer(OTHER)
    provider = scene.provider()
    slow = stepping.World(scene.client(provider), scene.world)
    play = slow.play(slow.client.call_tool("find", context=as_("alice")))
    until_sent(play, RequestKind.REGISTRATION)
    scene.world.mcp, scene.world.challenge = other, {"resource_metadata": f"{OTHER}/about"}
    scene.world.documents[f"{OTHER}/about"] = {"resource": other, "authorization_servers": [OTHER]}
    scene.call(scene.client(provider, url=other))
    assert len(scene.world.servers[OTHER].registered) == 1
    scene.world.mcp = MCP
    play.finish()


def test_so_many_registrations_are_remembered() -> None:
    scene = Scene()
    scene.world.servers[OTHER] = AuthorizationServer(OTHER)
    client = scene.client(limits=Limits(authorization_servers=1))
    for number, issuer in enumerate((ISSUER, OTHER, OTHER, ISSUER)):
        scene.world.resource = {"resource": MCP, "authorization_servers": [issuer]}
        scene.call(client, f"person-{number}")
    assert [len(server.registered) for server in scene.world.servers.values()] == [2, 1]


# In a store.


def test_a_registration_outlives_the_process() -> None:
    scene, store = offering(BASIC), Store()
    scene.call(scene.client(scene.provider(store=store)))
    kept = json.loads(store.values[CLIENT_KEY])
    assert kept == {
        "client_id": "client-1",
        "client_secret": "secret-client-1",
        "auth_method": BASIC,
        "issuer": ISSUER,
        "client_secret_expires_at": None,
    }
    scene.call(scene.client(scene.provider(store=store)), "bob")
    assert len(scene.world.server.registered) == 1
    assert [shown_by(r)[1] for r in requests(scene, RequestKind.TOKEN)] == ["client-1", "client-1"]
    # Where browsers are sent back to was registered with it.
    elsewhere = AuthorizationCode(scene.world.log_in, redirect_uri="http://127.0.0.1:1/")
    scene.call(scene.client(scene.provider(elsewhere, store=store)), "carol")
    assert len(scene.world.server.registered) == 2


def test_a_secret_that_is_not_needed_is_not_kept() -> None:
    scene, store = Scene(), Store()
    scene.world.documents[REGISTER] = json_reply({"client_id": "me", "client_secret": "s3cret"}, 201)
    scene.world.server.clients["me"] = None
    scene.call(scene.client(scene.provider(store=store)))
    assert "me" in store.values[CLIENT_KEY]
    assert "s3cret" not in "".join(store.values.values())


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "null",
        "[]",
        "not JSON",
        "\ud800",
        '{"a":' + "[" * 500 + "]" * 500 + "}",
        "{}",
        json.dumps({"client_id": "", "issuer": ISSUER}),
        json.dumps({"client_id": 7, "issuer": ISSUER}),
        json.dumps({"client_id": "theirs"}),
        json.dumps({"client_id": "theirs", "issuer": OTHER}),
        json.dumps({"client_id": "theirs", "issuer": [ISSUER]}),
        json.dumps({"client_id": "theirs\ud800", "issuer": ISSUER}),
        json.dumps({"client_id": "theirs", "client_secret": "\udfff", "auth_method": BASIC, "issuer": ISSUER}),
    ],
)
def test_what_is_stored_and_is_no_registration(stored: str) -> None:
    scene, store = Scene(), Store({CLIENT_KEY: stored})
    scene.call(scene.client(scene.provider(store=store)))
    assert len(scene.world.server.registered) == 1
    assert json.loads(store.values[CLIENT_KEY])["client_id"] == "client-1"


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize(
    ("lasts", "later", "registered"),
    [(3600, 3599, 1), (3600, 3600, 2), (0, 9e9, 1), (None, 9e9, 1), ("3600", 9e9, 1), (-60, 9e9, 1)],
)
def test_a_registration_has_an_end(lasts: Any, later: float, registered: int, is_stored: bool) -> None:
    """RFC 7591, section 3.2.1; a 0 is for ever, and what is over at once is by a clock that goes wrong."""
    scene, store = offering(BASIC), Store() if is_stored else None
    ends = scene.clock.now + lasts if isinstance(lasts, int) and lasts else lasts

    def register(request: SendRequest) -> Answer:
        answer = scene.world.server.register(request)
        assert isinstance(answer, Reply)
        document = json.loads(b"".join(piece for piece in answer.pieces if isinstance(piece, bytes)))
        return json_reply({**document, "client_secret_expires_at": ends}, 201)

    scene.world.documents[REGISTER] = register
    scene.world.server.expires_in = None
    client = scene.client(scene.provider(store=store))
    scene.call(client)
    scene.clock.now += later
    # Nobody is sent to a login with what has ended.
    scene.call(scene.client(scene.provider(store=store)) if is_stored else client, "bob")
    assert len(scene.world.server.registered) == registered
    assert [shown_by(r)[1] for r in requests(scene, RequestKind.TOKEN)] == ["client-1", f"client-{registered}"]
    assert scene.logins == 2


def test_who_has_no_secret_is_registered_for_ever() -> None:
    scene = offering(NONE)
    answer = {"client_id": "me", "client_secret": "unused", "client_secret_expires_at": scene.clock.now + 60}
    scene.world.documents[REGISTER] = json_reply(answer, 201)
    scene.world.server.clients["me"] = None
    client = scene.client()
    scene.call(client)
    scene.clock.now += 3600
    scene.call(client, "bob")
    assert len(requests(scene, RequestKind.REGISTRATION)) == 1


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_registration_that_the_server_forgot_is_forgotten_here(is_stored: bool) -> None:
    scene, store = Scene(), Store() if is_stored else None
    client = scene.client(scene.provider(store=store))
    scene.call(client)
    scene.world.server.clients.clear()
    error = scene.refused(client, "bob")
    assert isinstance(error, OAuthResponseError)
    assert error.error == "invalid_client"
    assert store is None or CLIENT_KEY not in store.values
    scene.call(client, "bob")
    assert [shown_by(r)[1] for r in requests(scene, RequestKind.TOKEN)] == ["client-1", "client-1", "client-2"]


def test_it_is_not_forgotten_for_any_other_reason() -> None:
    scene = Scene()
    client = scene.client()
    for code in ("invalid_grant", "unauthorized_client", "server_error"):
        scene.world.server.answer = json_reply({"error": code}, 400)
        scene.refused(client)
    scene.call(client)
    assert len(scene.world.server.registered) == 1


def test_who_was_registered_by_hand_stays_who_it_is() -> None:
    scene = Scene()
    client = scene.client(scene.provider(client=RegisteredClient("app", "old-secret", issuer=ISSUER)))
    for _ in range(2):
        error = scene.refused(client)
        assert isinstance(error, OAuthResponseError)
        assert error.error == "invalid_client"
    assert requests(scene, RequestKind.REGISTRATION) == []


def test_those_who_find_it_forgotten_register_once() -> None:
    """The last of them finds out when the first have registered anew, which is not forgotten again."""
    scene = Scene()
    world, plays = stepped(scene, 12)
    world.run_all(*plays)
    scene.world.server.clients.clear()
    scene.clock.now += 3600
    plays = [world.play(world.client.call_tool("find", context=as_(f"person-{n}"))) for n in range(12)]
    *others, last = plays
    until_sent(last, RequestKind.TOKEN)
    world.run_all(*others)
    last.step()
    last.finish()
    assert [play.error for play in plays] == [None] * 12
    assert len(scene.world.server.registered) == 2


# Proofs.


@pytest.mark.parametrize(
    ("client", "offered", "method"),
    [
        (RegisteredClient("app"), [BASIC], NONE),
        (RegisteredClient("app", "s", issuer=ISSUER), None, BASIC),
        (RegisteredClient("app", "s", issuer=ISSUER), [], BASIC),
        (RegisteredClient("app", "s", issuer=ISSUER), [POST, BASIC], BASIC),
        (RegisteredClient("app", "s", issuer=ISSUER), [POST, JWT], POST),
        (RegisteredClient("app", "s", issuer=ISSUER), [JWT], BASIC),
        (RegisteredClient("app", "s", issuer=ISSUER, auth_method="client_secret_post"), [BASIC], POST),
        (RegisteredClient("app", "s", issuer=ISSUER, auth_method="client_secret_basic"), [POST], BASIC),
        (RegisteredClient("app", "s", issuer=ISSUER, auth_method="none"), [POST], NONE),
        (RegisteredClient("app", signer=FakeSigner()), [BASIC], JWT),
        (RegisteredClient("app", signer=FakeSigner(), auth_method="private_key_jwt"), None, JWT),
    ],
)
def test_how_a_client_proves_who_it_is(client: RegisteredClient, offered: list[str] | None, method: str) -> None:
    scene = Scene()
    scene.world.server.metadata["token_endpoint_auth_methods_supported"] = offered
    scene.world.documents[TOKEN] = scene.world.server.grant("application", ())
    scene.call(scene.client(scene.provider(ClientCredentials(), client=client)), None)
    ((shown, client_id, secret),) = (shown_by(request) for request in requests(scene, RequestKind.TOKEN))
    assert (shown, client_id) == (method, None if method == JWT else "app")
    assert secret == {NONE: None, JWT: "signed.key.1"}.get(method, "s")


def test_the_basic_scheme_is_of_a_form() -> None:
    """RFC 6749, section 2.3.1: both halves are encoded like the values of a form, so that a colon parts them."""
    client_id, secret = "a:b c%é", "p:w+d/&=%~ü€"
    scene = offering(BASIC)
    scene.world.server.clients[client_id] = secret
    client = RegisteredClient(client_id, secret, issuer=ISSUER)
    scene.call(scene.client(scene.provider(ClientCredentials(), client=client)), None)
    (request,) = requests(scene, RequestKind.TOKEN)
    assert shown_by(request) == (BASIC, "a%3Ab+c%25%C3%A9", "p%3Aw%2Bd%2F%26%3D%25~%C3%BC%E2%82%AC")
    assert form_of(request)["client_id"] == client_id


@pytest.mark.parametrize("key_id", [None, "key-1"])
def test_a_signed_assertion_says_who_the_client_is(key_id: str | None) -> None:
    scene, signer = offering(JWT), FakeSigner(key_id=key_id)
    scene.world.documents[TOKEN] = lambda request: scene.world.server.grant("application", ())
    client = RegisteredClient("app", signer=signer, issuer=ISSUER)
    mcp_client = scene.client(scene.provider(ClientCredentials(), client=client))
    scene.call(mcp_client, None)
    scene.world.server.tokens.clear()
    scene.call(mcp_client, None)
    now = int(scene.clock.now)
    for request, (header, claims) in zip(requests(scene, RequestKind.TOKEN), signer.signed, strict=True):
        form = form_of(request)
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert form["client_assertion"].startswith("signed.key.")
        assert header == ({"typ": "JWT"} if key_id is None else {"typ": "JWT", "kid": key_id})
        assert {**claims, "jti": "…"} == {
            "iss": "app",
            "sub": "app",
            "aud": ISSUER,
            "jti": "…",
            "iat": now,
            "exp": now + 60,
        }
    assert len({claims["jti"] for _, claims in signer.signed}) == len(signer.signed) == 2


@pytest.mark.parametrize(
    "client",
    [
        RegisteredClient("app", "s3cret:é", issuer=ISSUER, auth_method="client_secret_basic"),
        RegisteredClient("app", "s3cret:é", issuer=ISSUER, auth_method="client_secret_post"),
        RegisteredClient("app", signer=FakeSigner("s3cret")),
    ],
)
def test_a_server_that_repeats_the_proof_is_not_quoted(client: RegisteredClient) -> None:
    scene = Scene()

    def token(request: SendRequest) -> Answer:
        told = f"{shown_by(request)} {form_of(request)} {dict(headers_of(request))}"
        error = f"invalid_client {headers_of(request).get('authorization')}"
        return json_reply({"error": error, "error_description": told}, 401)

    scene.world.documents[TOKEN] = token
    error = scene.refused(scene.client(scene.provider(ClientCredentials(), client=client)), None)
    assert isinstance(error, OAuthResponseError)
    told = f"{error}{error!r}{vars(error)}"
    assert "***" in told
    for request in requests(scene, RequestKind.TOKEN):
        proof = shown_by(request)[2]
        header = headers_of(request).get("authorization", "").removeprefix("Basic ") or None
        assert [shown for shown in (proof, header, client.client_secret) if shown and shown in told] == []
        assert "s3cret" not in repr(request)


@pytest.mark.parametrize(("space", "is_lower"), [("+", False), ("+", True), ("%20", False), ("%20", True)])
def test_nor_is_what_it_got_in_a_form(space: str, is_lower: bool) -> None:
    secret = "s+e/c r=t&\u00e9~"
    scene, client = Scene(), RegisteredClient("app", secret, auth_method="client_secret_post", issuer=ISSUER)

    def token(request: SendRequest) -> Answer:
        told = request.body.decode().replace("+", space)
        return json_reply({"error": "invalid_request", "error_description": told.lower() if is_lower else told}, 400)

    scene.world.documents[TOKEN] = token
    error = scene.refused(scene.client(scene.provider(ClientCredentials(), client=client)), None)
    told = f"{error}{error!r}{vars(error)}"
    assert "client_secret=***" in told
    assert "%2be" not in told.lower()


@pytest.mark.parametrize(
    "endpoint", ["https://[::1", "https://\u2102\u2100/", "http://login.example/token", "ftp://x/"]
)
def test_nothing_is_signed_for_what_may_not_be_asked(endpoint: str) -> None:
    scene, key, proof = offering(JWT, token_endpoint=endpoint), FakeSigner(), FakeSigner("proof")
    client = RegisteredClient("app", signer=key, issuer=ISSUER)
    error = scene.refused(scene.client(scene.provider(ClientCredentials(), client=client, dpop=proof)), None)
    assert isinstance(error, OAuthError)
    assert (error.request, error.message[:16]) == ("the token request", "the URL of the t")
    assert key.signed == proof.signed == []


SIGNS: dict[str, Callable[..., Any]] = {
    "bytes": lambda *_: b"signed",
    "nothing": lambda *_: None,
    "no text": lambda *_: "",
    "a line": lambda *_: "signed\r\nX: y",
    "no ASCII": lambda *_: "sign\u00e9",
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=list(SIGNS))
@pytest.mark.parametrize("is_proof", [True, False])
def test_a_signer_that_returns_no_token(sign: Callable[..., Any], is_proof: bool) -> None:
    error = signing(sign, is_proof)
    assert error.message == "the signer returned no token, which is ASCII text that is not empty"


@pytest.mark.parametrize("is_proof", [True, False])
def test_a_signer_that_fails(is_proof: bool) -> None:
    def sign(*_: Any) -> str:
        raise failure

    failure = RuntimeError("s3cret")
    error = signing(sign, is_proof)
    assert error.message == "the signer raised RuntimeError; nothing was sent"
    assert error.__cause__ is failure


def signing(sign: Callable[..., Any], is_proof: bool) -> OAuthError:
    """What comes of a signer that does this, for a DPoP proof or for an assertion of who the client is."""
    signer: Any = SimpleNamespace(
        algorithm="ES256", key_id=None, public_key={"kty": "EC"}, thumbprint="thumbprint", sign=sign
    )
    client = BY_HAND if is_proof else RegisteredClient("app", signer=signer, issuer=ISSUER)
    scene = offering(BASIC, JWT)
    provider = scene.provider(ClientCredentials(), client=client, dpop=signer if is_proof else None)
    error = scene.refused(scene.client(provider), None)
    assert isinstance(error, OAuthError)
    assert (error.server, error.request) == (TOKEN, "the token request")
    assert "s3cret" not in f"{error}{error!r}"
    assert requests(scene, RequestKind.TOKEN) == []
    return error
