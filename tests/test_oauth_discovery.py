"""Discovery: from a refusal to the authorization server that can help.  Both servers are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from support.authorization import ISSUER, MCP, PRM, REDIRECT, AuthorizationServer, World
from support.oauth import BY_HAND, Scene, as_
from support.pure import Answer, Reply, headers_of, json_reply

from mcpcore import (
    AuthorizationCode,
    AuthorizationRequest,
    LimitExceeded,
    Limits,
    NotSentError,
    OAuthError,
    OAuthResponseError,
    RegisteredClient,
    RequestContext,
    RequestKind,
    SendRequest,
    TransportError,
)
from mcpcore.oauth.metadata import ProtectedResource
from mcpcore.rules.endpoint import Endpoint

PROTECTED = "/.well-known/oauth-protected-resource"
ROOT = f"https://mcp.example{PROTECTED}"
ELSEWHERE = "https://docs.example/about-mcp"
OTHER = "https://other.example"
OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
HTML = Reply(200, {"content-type": "text/html"}, [b"<!doctype html><title>Welcome</title>"])

ABSENT: dict[str, Answer] = {
    "bad request": Reply(400),
    "unauthorized": Reply(401, {"www-authenticate": "Bearer"}),
    "forbidden": Reply(403),
    "not found": Reply(404, {}, [b'{"resource": "https://mcp.example/mcp"}']),
    "gone": Reply(410),
    "a page": HTML,
    "an array": json_reply([{"resource": MCP}]),
    "half a document": Reply(200, {}, [b'{"resource": "https://mcp.example/mcp", ']),
    "no text": Reply(200, {}, [b"\xff\xfe{}"]),
    "half a character": Reply(200, {}, [b'{"resource": "https://mcp.example/mcp", "scopes_supported": ["\\ud800"]}']),
    "nothing": Reply(200),
    "no content": Reply(204),
    "other choices": Reply(300, {"location": ELSEWHERE}),
    "see other": Reply(303, {"location": ELSEWHERE}),
    "nowhere": Reply(302),
}
"""Answers that say that there is no document."""
OPEN: dict[str, Callable[[], Answer]] = {
    "a timeout": lambda: Reply(408),
    "too many": lambda: Reply(429, {"retry-after": "9"}),
    "an error": lambda: Reply(500),
    "a bad gateway": lambda: Reply(502, {}, [b"<html>"]),
    "unavailable": lambda: Reply(503),
    "a network that fails": lambda: TransportError("the connection broke"),
    "a body that breaks off": lambda: Reply(200, {}, [b'{"resource":', TransportError("the connection broke")]),
}
"""Answers that leave it open."""


def asked(scene: Scene) -> list[str]:
    """Which documents were asked for, in order."""
    return [request.url for request in scene.driver.sent if request.kind is RequestKind.METADATA]


def challenging(*values: str, world: World | None = None) -> Scene:
    """A server that refuses with these challenges."""
    scene = Scene(world or World())

    def server(request: SendRequest) -> Answer:
        answer = scene.world(request)
        if request.url == scene.world.mcp and isinstance(answer, Reply) and answer.status == 401:
            return Reply(401, [("www-authenticate", value) for value in values])
        return answer

    scene.driver.server = server
    return scene


def documented(document: object, **options: Any) -> Scene:
    """A server whose own document is this one."""
    return Scene(World(documents={PRM: json_reply(document)}, **options))


def naming(*issuers: str) -> Scene:
    """A server that trusts these authorization servers."""
    resource = {"resource": MCP, "authorization_servers": list(issuers)}
    return Scene(World(servers={issuer: AuthorizationServer(issuer) for issuer in issuers}, resource=resource))


# Where the MCP server's document is.


@pytest.mark.parametrize(
    "values",
    [
        (f'Bearer resource_metadata="{ELSEWHERE}"',),
        (f'bearer error="invalid_token", Resource_Metadata="{ELSEWHERE}", scope="a b"',),
        (f'DPoP algs="ES256 EdDSA", resource_metadata="{ELSEWHERE}"',),
        (f'Basic realm="a, b", Bearer realm="c", resource_metadata="{ELSEWHERE}"',),
        ("Bearer", f'DPoP resource_metadata="{ELSEWHERE}"'),
        (f'Bearer resource_metadata="{ELSEWHERE}", DPoP resource_metadata="{OTHER}/trap"',),
        (f'Basic resource_metadata="{OTHER}/trap"', f'Bearer resource_metadata="{ELSEWHERE}"'),
    ],
)
def test_it_is_where_the_challenge_says(values: tuple[str, ...]) -> None:
    scene = challenging(*values)
    scene.world.documents[ELSEWHERE] = scene.world.resource
    scene.call(scene.client())
    assert asked(scene) == [ELSEWHERE, f"{ISSUER}{OAUTH}"]


@pytest.mark.parametrize("values", [(), ("Bearer",), ("Bearer !",), (f'Basic resource_metadata="{ELSEWHERE}"',)])
def test_else_it_is_at_the_place_for_its_path(values: tuple[str, ...]) -> None:
    scene = challenging(*values)
    scene.world.documents[ROOT] = {"resource": MCP, "authorization_servers": [OTHER]}  # A trap.
    scene.call(scene.client())
    assert asked(scene) == [PRM, f"{ISSUER}{OAUTH}"]


@pytest.mark.parametrize(
    ("mcp", "places"),
    [
        ("https://mcp.example/a/b/mcp", [f"{ROOT}/a/b/mcp", ROOT]),
        ("https://mcp.example/mcp/", [f"{ROOT}/mcp", ROOT]),
        ("https://mcp.example/mcp?tenant=s3cret", [f"{ROOT}/mcp", ROOT]),
        ("https://mcp.example/", [ROOT]),
        ("https://mcp.example", [ROOT]),
        ("https://MCP.example:443/mcp", [f"{ROOT}/mcp", ROOT]),
        ("http://localhost:8000/mcp", [f"http://localhost:8000{PROTECTED}/mcp"]),
        ("http://localhost:80/mcp", [f"http://localhost{PROTECTED}/mcp"]),
        ("https://mcp.example:80/mcp", [f"https://mcp.example:80{PROTECTED}/mcp"]),
    ],
)
def test_else_it_is_at_the_place_for_its_origin(mcp: str, places: list[str]) -> None:
    scene = challenging(world=World(resource=None, challenge={}, mcp=mcp))
    resource = places[-1].replace(PROTECTED, "")
    scene.world.documents[places[-1]] = {"resource": resource, "authorization_servers": [ISSUER]}
    scene.call(scene.client(url=mcp))
    assert asked(scene) == [*places, f"{ISSUER}{OAUTH}"]
    assert scene.world.server.asked[0]["resource"] == resource


@pytest.mark.parametrize("answer", ABSENT.values(), ids=list(ABSENT))
def test_what_says_that_there_is_none(answer: Answer) -> None:
    root = {"resource": MCP, "authorization_servers": [ISSUER]}
    scene = Scene(World(documents={PRM: answer, ROOT: root}, challenge={}))
    scene.call(scene.client())
    assert asked(scene) == [PRM, ROOT, f"{ISSUER}{OAUTH}"]


@pytest.mark.parametrize("make", OPEN.values(), ids=list(OPEN))
def test_what_leaves_open_whether_there_is_one(make: Callable[[], Answer]) -> None:
    scene = Scene(World(documents={PRM: make()}, challenge={}))
    error = scene.refused(scene.client())
    assert (error.server, error.request) == (PRM, "protected resource metadata")
    assert asked(scene) == [PRM]


@pytest.mark.parametrize("answer", [*ABSENT.values(), Reply(500)])
def test_the_challenge_is_taken_at_its_word(answer: Answer) -> None:
    scene = Scene(World(documents={PRM: answer}))
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthResponseError)
    assert isinstance(answer, Reply)
    assert error.status == answer.status
    assert asked(scene) == [PRM]


# Whose it is.


@pytest.mark.parametrize(
    "resource",
    [
        MCP,
        "https://mcp.example/mcp/",
        "https://MCP.EXAMPLE/mcp",
        "HTTPS://mcp.example:443/mcp",
    ],
)
def test_it_is_this_servers(resource: str) -> None:
    scene = documented({"resource": resource, "authorization_servers": [ISSUER]})
    scene.call(scene.client())
    # What the server calls itself is what tokens are asked for.
    assert scene.world.server.asked[0]["resource"] == resource
    assert scene.world.server.codes == {}
    assert scene.world.server.authorized[0].resource == resource


@pytest.mark.parametrize(
    "resource",
    [
        "https://mcp.example/",
        "https://mcp.example",
        "https://mcp.example/mcp//",
        "https://mcp.example/mcp?",
        "https://mcp.example/mcp#",
        "https://mcp.ex\namp\tle/mcp",
        "\x01https://mcp.example/mcp",
        "https://mcp.example/mcp\\",
        "https://\u2102\u2100/mcp",
        "https://mcp.example/mcp2",
        "https://mcp.example/mc",
        "https://mcp.example/MCP",
        "https://mcp.example/mcp/tools",
        "https://mcp.example/other/../mcp",
        "https://mcp.example/%6dcp",
        "https://mcp.example//mcp",
        "https://mcp.example/mcp?tenant=s3cret",
        "https://mcp.example/mcp#s3cret",
        "https://mcp.example:8443/mcp",
        "http://mcp.example/mcp",
        "https://mcp.example./mcp",
        "https://other.example/mcp",
        "https://example/mcp",
        "https://mcp.example.other.example/mcp",
        "https://s3cret@mcp.example/mcp",
        "https://mcp.example@other.example/mcp",
        "https://[/mcp",
        "/mcp",
        "urn:mcp",
        "",
        None,
        7,
        [MCP],
    ],
)
def test_it_is_not_this_servers(resource: object) -> None:
    scene = documented({"resource": resource, "authorization_servers": [ISSUER]})
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "and not of this server" in error.message
    assert ("that of nothing" in error.message) == (resource == "" or not isinstance(resource, str))
    assert (error.server, error.request) == (PRM, "protected resource metadata")
    assert "s3cret" not in f"{error}{error!r}"
    assert asked(scene) == [PRM]


@pytest.mark.parametrize(
    ("resource", "place", "is_it"),
    [
        ("/a/b", f"{ROOT}/a/b", True),
        ("/a/", f"{ROOT}/a", True),
        ("/a", f"https://MCP.example:443{PROTECTED}/a", True),
        ("", ROOT, True),
        ("/", ROOT, True),
        ("/a/b/mcp/", ELSEWHERE, True),
        # One of several servers says that it is all of them.
        ("/a/b", f"{ROOT}/a/b/mcp", False),
        ("", f"{ROOT}/a/b/mcp", False),
        ("", f"{ROOT}/a", False),
        ("/a", ROOT, False),
        ("/a", f"{ROOT}/a?tenant=1", False),
        ("/a", f"{ROOT}/a/", False),
        ("/a", f"https://docs.example{PROTECTED}/a", False),
        ("", ELSEWHERE, False),
        ("/a/x", f"{ROOT}/a/x", False),
    ],
)
def test_who_speaks_for_what_the_servers_path_lies_under(resource: str, place: str, is_it: bool) -> None:
    mcp = "https://mcp.example/a/b/mcp"
    scene = Scene(World(mcp=mcp, challenge={"resource_metadata": place}))
    scene.world.documents[place] = {"resource": f"https://mcp.example{resource}", "authorization_servers": [ISSUER]}
    client = scene.client(url=mcp)
    if is_it:
        scene.call(client)
        assert scene.world.server.asked[0]["resource"] == f"https://mcp.example{resource}"
    else:
        assert "and not of this server" in str(scene.refused(client))
        assert scene.since(2) == []


@pytest.mark.parametrize("issuers", [{}, {"authorization_servers": []}, {"authorization_servers": [None, 7]}])
def test_a_document_that_names_nobody(issuers: Mapping[str, Any]) -> None:
    scene = documented({"resource": MCP, **issuers})
    error = scene.refused(scene.client())
    assert "names no authorization server" in error.message
    assert asked(scene) == [PRM]


def test_scopes_that_are_none_are_left_out() -> None:
    scene = documented({"resource": MCP, "authorization_servers": [7, ISSUER], "scopes_supported": [1, "a", None, "b"]})
    scene.call(scene.client())
    assert scene.world.server.authorized[0].scopes == ("a", "b")


# Where the authorization server's document is.


PLACES = {
    ISSUER: [f"{ISSUER}{OAUTH}", f"{ISSUER}{OPENID}"],
    f"{ISSUER}/": [f"{ISSUER}{OAUTH}", f"{ISSUER}{OPENID}"],
    f"{ISSUER}/t": [f"{ISSUER}{OAUTH}/t", f"{ISSUER}{OPENID}/t", f"{ISSUER}/t{OPENID}"],
    f"{ISSUER}/t/": [f"{ISSUER}{OAUTH}/t", f"{ISSUER}{OPENID}/t", f"{ISSUER}/t{OPENID}"],
    f"{ISSUER}:8443/a/b": [
        f"{ISSUER}:8443{OAUTH}/a/b",
        f"{ISSUER}:8443{OPENID}/a/b",
        f"{ISSUER}:8443/a/b{OPENID}",
    ],
}


@pytest.mark.parametrize(
    ("issuer", "found"), [(issuer, place) for issuer, places in PLACES.items() for place in (*places, None)]
)
def test_the_places_of_an_issuer(issuer: str, found: str | None) -> None:
    scene, places = naming(issuer), PLACES[issuer]
    scene.world.documents = dict.fromkeys(places)
    if found is not None:
        scene.world.documents[found] = scene.world.server.metadata
        scene.call(scene.client())
        assert asked(scene) == [PRM, *places[: places.index(found) + 1]]
    else:
        error = scene.refused(scene.client())
        assert (error.server, error.request) == (issuer, "authorization server metadata")
        assert "no metadata at any well-known place" in error.message
        assert asked(scene) == [PRM, *places]


@pytest.mark.parametrize("answer", ABSENT.values(), ids=list(ABSENT))
def test_what_says_that_it_is_not_there(answer: Answer) -> None:
    scene = naming(ISSUER)
    scene.world.documents = {f"{ISSUER}{OAUTH}": answer, f"{ISSUER}{OPENID}": scene.world.server.metadata}
    scene.call(scene.client())
    assert asked(scene) == [PRM, f"{ISSUER}{OAUTH}", f"{ISSUER}{OPENID}"]


@pytest.mark.parametrize("make", OPEN.values(), ids=list(OPEN))
def test_what_leaves_it_open(make: Callable[[], Answer]) -> None:
    scene = naming(ISSUER)
    scene.world.documents = {f"{ISSUER}{OAUTH}": make(), f"{ISSUER}{OPENID}": scene.world.server.metadata}
    error = scene.refused(scene.client())
    assert (error.server, error.request) == (f"{ISSUER}{OAUTH}", "authorization server metadata")
    assert asked(scene) == [PRM, f"{ISSUER}{OAUTH}"]


# Whose that is.


@pytest.mark.parametrize("where", [ISSUER, f"{ISSUER}/tenant"])
@pytest.mark.parametrize(
    "issuer",
    [
        f"{ISSUER}/",
        "https://LOGIN.example",
        "http://login.example",
        f"{ISSUER}:443",
        f"{ISSUER}/other",
        f"{ISSUER}/tenant/",
        f"{ISSUER}?s3cret",
        OTHER,
        "",
        None,
        [ISSUER],
    ],
)
def test_who_says_to_be_somebody_else_is_not_believed(where: str, issuer: object) -> None:
    scene = naming(where)
    first, *others = PLACES[ISSUER] if where == ISSUER else [f"{ISSUER}{OAUTH}/tenant", f"{ISSUER}{OPENID}/tenant"]
    genuine = scene.world.server.metadata
    scene.world.documents = {first: {**genuine, "issuer": issuer}, **dict.fromkeys(others, genuine)}
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "that of another issuer" in error.message
    assert (error.server, error.request) == (first, "authorization server metadata")
    assert "s3cret" not in str(error)
    assert [request.url for request in scene.driver.sent] == [MCP, PRM, first]


@pytest.mark.parametrize(
    "issuer",
    [
        f"{ISSUER}?s3cret",
        f"{ISSUER}#s3cret",
        f"{ISSUER}/?",
        f"{ISSUER}/#",
        "https://login.exam\nple",
        "\thttps://login.example",
        "https://\u2102\u2100",
        "https://[s3cret",
        "login.example",
        "",
        "ftp://login.example",
        "http://login.example",
        "https://me:s3cret@login.example",
        "https://login.example\r\nx:y",
    ],
)
def test_what_is_no_issuer(issuer: str) -> None:
    scene = naming(issuer)
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "s3cret" not in f"{error}{error!r}"
    assert asked(scene) == [PRM]


# Servers of revision 2025-03-26.

OLD_PLACES = [PRM, ROOT, f"https://mcp.example{OAUTH}"]


def old(*servers: AuthorizationServer, **options: Any) -> Scene:
    return Scene(World({server.issuer: server for server in servers}, None, challenge={}, **options))


def test_a_server_without_a_document_is_its_own_authorization_server() -> None:
    base = "https://mcp.example"
    scene = old(AuthorizationServer(base, metadata={"token_endpoint": f"{base}/elsewhere"}))
    scene.call(scene.client())
    assert asked(scene) == OLD_PLACES
    assert [request.url for request in scene.driver.sent[4:6]] == [f"{base}/register", f"{base}/elsewhere"]
    assert scene.world.server.asked[0]["resource"] == MCP


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        (None, [None, None, "2025-03-26"]),
        ({"resource": MCP, "authorization_servers": ["https://mcp.example"]}, [None, None]),
    ],
)
def test_an_old_server_is_asked_as_one_and_no_other_is(resource: dict[str, Any] | None, told: list[str | None]) -> None:
    def versions(number: int) -> list[str | None]:
        documents = [request for request in scene.driver.sent[number:] if request.kind is RequestKind.METADATA]
        return [headers_of(request).get("mcp-protocol-version") for request in documents]

    values: dict[str, str] = {}
    store: Any = SimpleNamespace(get=values.get, put=values.__setitem__, delete=values.pop)
    base = "https://mcp.example"
    scene = Scene(World({base: AuthorizationServer(base)}, resource))
    scene.world.challenge = {} if resource is None else scene.world.challenge
    scene.call(scene.client(scene.provider(store=store)))
    assert versions(0) == told
    # The next process knows whose the token is, but not of which revision that server is.
    sent, scene.clock.now = len(scene.driver.sent), scene.clock.now + 3600
    scene.call(scene.client(scene.provider(store=store)))
    assert versions(sent) == [None]
    assert scene.logins == 1


def test_a_server_says_whether_it_wants_bound_tokens() -> None:
    endpoint = Endpoint.parse(MCP)
    document = {"resource": MCP, "authorization_servers": [ISSUER]}
    for said, wants in ((True, True), (False, False), ("true", False), (None, False)):
        told = {**document, "dpop_bound_access_tokens_required": said}
        assert ProtectedResource.read(told, endpoint, PRM).wants_dpop is wants


def test_a_server_without_a_path_has_one_place() -> None:
    base = "https://mcp.example"
    scene = old(AuthorizationServer(base), mcp=f"{base}/")
    scene.call(scene.client(url=f"{base}/"))
    assert asked(scene) == OLD_PLACES[1:]


@pytest.mark.parametrize("mcp", [MCP, "https://MCP.example:443/mcp"])
@pytest.mark.parametrize("issuer", ["https://mcp.example", "https://mcp.example/"])
def test_nobody_has_said_how_its_issuer_is_written(mcp: str, issuer: str) -> None:
    scene = old(AuthorizationServer(issuer), mcp=mcp)
    scene.world.documents[OLD_PLACES[-1]] = scene.world.server.metadata
    scene.call(scene.client(url=mcp))
    assert scene.logins == 1


@pytest.mark.parametrize("mcp", [MCP, "https://MCP.example/mcp", "https://mcp.example:443/v1/mcp"])
def test_a_server_that_says_nothing_has_its_endpoints_in_the_usual_places(mcp: str) -> None:
    base = "https://mcp.example"
    scene = old(AuthorizationServer(base), mcp=mcp)
    scene.world.documents[f"{base}{OAUTH}"] = None

    def log_in(request: AuthorizationRequest) -> str:
        return scene.world.log_in(request).partition("&iss=")[0]  # What it has not heard of, it does not say.

    grant = AuthorizationCode(log_in, redirect_uri=REDIRECT)
    provider = scene.provider(grant, client_metadata_url="https://app.example/client.json")
    scene.call(scene.client(provider, url=mcp))
    assert scene.world.server.authorized[0].url.startswith(f"{base}/authorize?")
    assert [request.url for request in scene.driver.sent[4:6]] == [f"{base}/register", f"{base}/token"]


def test_an_old_server_does_not_speak_for_somebody_else() -> None:
    scene = old(AuthorizationServer(OTHER))
    scene.world.documents[OLD_PLACES[-1]] = scene.world.server.metadata
    assert "that of another issuer" in str(scene.refused(scene.client()))
    assert asked(scene) == OLD_PLACES


def test_an_old_server_that_fails_is_not_taken_for_a_silent_one() -> None:
    scene = old(AuthorizationServer("https://mcp.example"))
    scene.world.documents[OLD_PLACES[-1]] = Reply(500)
    assert isinstance(scene.refused(scene.client()), OAuthResponseError)
    assert asked(scene) == OLD_PLACES


# Several authorization servers, and other ones.


def test_of_several_the_first_is_asked() -> None:
    scene = naming(ISSUER, OTHER)
    scene.call(scene.client())
    assert asked(scene) == [PRM, f"{ISSUER}{OAUTH}"]


def test_of_several_that_one_is_asked_where_the_client_is_known() -> None:
    scene = naming(OTHER, ISSUER)
    scene.world.servers[ISSUER].clients["app"] = "app-secret"
    scene.call(scene.client(scene.provider(client=BY_HAND)))
    assert asked(scene) == [PRM, f"{ISSUER}{OAUTH}"]


def test_of_several_that_one_is_asked_where_somebody_has_logged_in() -> None:
    scene = naming(ISSUER, OTHER)
    scene.world.server.refreshes = False
    client = scene.client()
    scene.call(client)
    scene.world.server.tokens.clear()
    scene.world.resource = {"resource": MCP, "authorization_servers": [OTHER, ISSUER]}
    scene.call(client)
    assert len(scene.world.servers[ISSUER].authorized) == 2
    assert scene.world.servers[OTHER].authorized == []


@pytest.mark.parametrize("refreshes", [True, False])
def test_a_new_issuer_sees_nothing_of_what_was_agreed_with_the_old_one(refreshes: bool) -> None:
    scene = naming(ISSUER)
    before, after = scene.world.server, AuthorizationServer(OTHER)
    before.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_basic"]
    before.refreshes = refreshes
    client = scene.client()
    scene.call(client)
    # The MCP server moves to another authorization server, and takes no token of the old one any more.
    scene.world.servers[OTHER] = after
    scene.world.resource = {"resource": MCP, "authorization_servers": [OTHER]}
    old_tokens = [*before.tokens, *before.refresh_tokens]
    before.tokens.clear()
    sent = len(scene.driver.sent)
    scene.call(client)
    assert len(after.authorized) == 1
    later = [request for request in scene.driver.sent[sent:] if request.url != MCP]
    assert [request.url for request in later] == [PRM, f"{OTHER}{OAUTH}", f"{OTHER}/register", f"{OTHER}/token"]
    secrets = [*old_tokens, before.clients["client-1"] or ""]
    assert len(secrets) == 2 + refreshes
    for request in later:
        wire = b"%r %r %r" % (request.url.encode(), request.headers, request.body)
        assert [secret for secret in secrets if secret.encode() in wire] == []
        assert "authorization" not in headers_of(request)


def test_a_client_that_was_registered_by_hand_does_not_move() -> None:
    scene = naming(ISSUER)
    scene.world.server.clients["app"] = "app-secret"
    client = scene.client(scene.provider(client=RegisteredClient("app", "app-secret"), trust_first_issuer=True))
    scene.call(client)
    scene.world.servers[OTHER] = AuthorizationServer(OTHER)
    scene.world.resource = {"resource": MCP, "authorization_servers": [OTHER]}
    scene.world.server.tokens.clear()
    error = scene.refused(client)
    assert f"registered at {ISSUER}, and the MCP server trusts {OTHER}" in str(error)
    assert scene.world.servers[OTHER].asked == []
    assert scene.world.servers[OTHER].authorized == []


# Bounds.


def padded(document: Mapping[str, Any], size: int) -> Reply:
    """A document of exactly so many bytes, in several pieces."""
    body = next(iter(json_reply(document).pieces))
    assert isinstance(body, bytes)
    body = body.ljust(size)
    return Reply(200, {}, [body[:100], body[100:]])


@pytest.mark.parametrize("place", [PRM, f"{ISSUER}{OAUTH}"])
def test_a_document_has_a_size(place: str) -> None:
    limits = Limits(oauth_bytes=3000)
    scene = naming(ISSUER)
    assert scene.world.resource is not None
    document = scene.world.resource if place == PRM else scene.world.server.metadata
    scene.world.documents[place] = padded(document, 3000)
    scene.call(scene.client(limits=limits))
    assert scene.driver.ended[-1:] in ([], [True])
    scene.world.documents[place] = padded(document, 3001)
    error = scene.refused(scene.client(limits=limits))
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.server) == ("oauth_bytes", place)
    assert scene.driver.ended[-1] is False
    assert len(scene.world.server.authorized) == 1


@pytest.mark.parametrize(
    ("answer", "limit"),
    [
        (Reply(200, {}, [b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"]), "json_depth"),
        (Reply(200, [("x", "y")] * 999), "header_count"),
        (Reply(200, [("x", "y" * 999_999)]), "header_bytes"),
    ],
)
def test_an_answer_has_its_bounds(answer: Answer, limit: str) -> None:
    scene = Scene(World(documents={PRM: answer}))
    error = scene.refused(scene.client(limits=Limits(json_depth=90)))
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.server, error.request) == (limit, PRM, "protected resource metadata")


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    "location", ["/elsewhere?a=b", "https://MCP.example:443/elsewhere?a=b", "../../elsewhere?a=b#c"]
)
def test_a_redirect_within_the_origin_is_followed(status: int, location: str) -> None:
    scene = Scene()
    scene.world.documents[PRM] = Reply(status, {"location": location})
    target = "https://MCP.example:443/elsewhere?a=b" if location[0] == "h" else "https://mcp.example/elsewhere?a=b"
    scene.world.documents[target] = scene.world.resource
    scene.call(scene.client())
    assert asked(scene) == [PRM, target, f"{ISSUER}{OAUTH}"]


@pytest.mark.parametrize(
    "location",
    [
        f"{OTHER}/.well-known/oauth-protected-resource/mcp?s3cret",
        "//other.example/s3cret",
        "http://mcp.example/s3cret",
        "https://mcp.example:8443/",
        "https://s3cret@mcp.example/",
        "https://[s3cret",
        "javascript:s3cret",
    ],
)
def test_a_redirect_to_another_origin_is_not(location: str) -> None:
    scene = Scene()
    scene.world.documents[PRM] = Reply(302, {"location": location})
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "leads to another origin" in str(error)
    assert (error.server, error.request) == (PRM, "protected resource metadata")
    assert "s3cret" not in str(error)
    assert asked(scene) == [PRM]


def test_redirects_come_to_an_end() -> None:
    def onward(request: SendRequest) -> Answer:
        return Reply(307, {"location": f"/{len(scene.driver.sent)}?s3cret"})

    scene = Scene(World(documents={PRM: onward}))
    scene.world.documents |= {f"https://mcp.example/{n}?s3cret": onward for n in range(20)}
    error = scene.refused(scene.client(limits=Limits(redirects=3)))
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.request) == ("redirects", "protected resource metadata")
    assert "s3cret" not in str(error)
    assert len(asked(scene)) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("endpoint", ["register", "token"])
def test_a_post_is_not_led_elsewhere(status: int, endpoint: str) -> None:
    scene = Scene()
    scene.world.documents[f"{ISSUER}/{endpoint}"] = Reply(status, {"location": f"{ISSUER}/new/{endpoint}"})
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthResponseError)
    assert (error.status, error.server) == (status, f"{ISSUER}/{endpoint}")
    assert scene.sent_to(f"{ISSUER}/new/{endpoint}") == []


# What goes out, and what is told of it.


def test_none_of_the_mcp_servers_headers_goes_to_anybody_else() -> None:
    resolved: list[RequestContext] = []

    def user_header(request: RequestContext) -> dict[str, str]:
        resolved.append(request)
        return {"X-User": "alice"}

    scene = Scene()
    scene.world.documents[PRM] = json_reply(scene.world.resource, set_cookie="session=s3cret", mcp_session_id="s3cret")
    client = scene.client(headers={"X-App": "app"}, get_headers=user_header, forward=("x-forwarded",))
    context = as_("alice")
    scene.run(client.call_tool("find", context=context))
    own = {"user-agent", "accept", "accept-encoding"}
    sent = [request for request in scene.driver.sent if request.url != MCP]
    assert [set(headers_of(request)) - {"content-type"} for request in sent] == [own] * 4
    assert [request.principal for request in sent] == [None, None, None, "alice"]
    assert headers_of(sent[0])["accept"] == "application/json"
    assert {request.url for request in resolved} == {MCP}
    assert {request.method for request in sent[:2]} == {"GET"}
    assert {request.body for request in sent[:2]} == {b""}
    first, second = scene.sent_to(MCP)
    assert (headers_of(first)["x-user"], headers_of(second)["x-user"]) == ("alice", "alice")
    assert "cookie" not in headers_of(second)


@pytest.mark.parametrize(
    "answer",
    [
        Reply(404),
        Reply(500, {}, [b"s3cret"]),
        json_reply({"error": "s\x00e", "error_description": "de\r\nscribed"}, 400),
        TransportError("the connection broke"),
        json_reply({"resource": "https://other.example/?s3cret"}),
        Reply(302, {"location": "https://other.example/?s3cret"}),
        Reply(200, {}, [b"{" * 300_000]),
    ],
)
def test_an_error_names_the_place_and_no_secret(answer: Answer) -> None:
    place = "https://mcp.example/about?key=s3cret"
    scene = Scene(World(documents={place: answer}, challenge={"resource_metadata": place}))
    error = scene.refused(scene.client())
    assert (error.server, error.request) == ("https://mcp.example/about", "protected resource metadata")
    told = f"{error}{error!r}{vars(error)}{error.__cause__!r}"
    assert "s3cret" not in told
    assert told.isprintable()
    assert "s3cret" not in repr(scene.driver.sent)


def test_what_never_left_is_sent_once_more() -> None:
    def answer(request: SendRequest) -> Answer:
        failed.append(request.url)
        return NotSentError("the connection was closed") if len(failed) < 2 else json_reply(scene.world.resource)

    failed: list[str] = []
    scene = Scene(World(documents={PRM: answer}))
    scene.call(scene.client())
    assert failed == [PRM, PRM]
    scene = Scene(World(documents={PRM: NotSentError("the connection was closed")}))
    assert isinstance(scene.refused(scene.client()), NotSentError)
    assert asked(scene) == [PRM, PRM]


def test_a_broken_connection_is_not_tried_again() -> None:
    scene = Scene(World(documents={PRM: TransportError("the connection broke")}))
    assert type(scene.refused(scene.client())) is TransportError
    assert asked(scene) == [PRM]
