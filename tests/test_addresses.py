"""Where a server may send us: the rules for URLs and addresses, and what the flows make of them."""

from __future__ import annotations

import pytest
from support.authorization import ISSUER, MCP, PRM, REDIRECT, AuthorizationServer, World
from support.oauth import BY_HAND, Scene
from support.pure import json_reply

from mcpcore import AuthorizationCode, AuthorizationRequest, EnterpriseManaged, OAuthError, RequestKind
from mcpcore.rules.addresses import Reach, Target, check_reach, reach_of

PUBLIC = "93.184.215.14"


# URLs.


@pytest.mark.parametrize(
    ("url", "host", "reach"),
    [
        ("https://login.example/a?b=c#d", "login.example", None),
        ("https://LOGIN.Example.:8443/", "login.example", None),
        ("https://93.184.215.14/", PUBLIC, Reach.PUBLIC),
        ("https://[2606:2800:21f::1]/", "2606:2800:21f::1", Reach.PUBLIC),
        ("http://localhost:9000/", "localhost", Reach.LOOPBACK),
        ("http://127.0.0.1/", "127.0.0.1", Reach.LOOPBACK),
        ("http://127.8.9.10/", "127.8.9.10", Reach.LOOPBACK),
        ("http://[::1]:9000/", "::1", Reach.LOOPBACK),
        ("https://login.localhost/", "login.localhost", Reach.LOOPBACK),
        ("https://localhost./", "localhost", Reach.LOOPBACK),
        ("https://10.0.0.1/", "10.0.0.1", Reach.PRIVATE),
        ("https://[::ffff:169.254.169.254]/", "::ffff:169.254.169.254", Reach.METADATA),
        ("https://1e100.example/", "1e100.example", None),
        ("https://127.0.0.1.example/", "127.0.0.1.example", None),
        ("https://localhost.example/", "localhost.example", None),
    ],
)
def test_a_url_that_may_be_asked(url: str, host: str, reach: Reach | None) -> None:
    target = Target.parse(url, "it")
    assert (target.host, target.reach) == (host, reach)
    assert target.url == url.partition("#")[0]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example",
        "/relative",
        "//login.example/",
        "https:login.example",
        "https:///path",
        "https://",
        "https://:443/",
        "ftp://login.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.a]/",
        "https://login.example:0x50/",
        "https://login.example:70000/",
        "https://me:secret@login.example/",
        "https://login.example@10.0.0.1/",
        "https://@login.example/",
        "https://login.example\\@10.0.0.1/",
        "https://login.example/ secret",
        "https://login.example/\r\nX-Secret: 1",
        "\thttps://login.example/",
        "http://login.example/",
        "http://10.0.0.1/",
        "http://127.1/",
        "http://localhost.example/",
    ],
)
def test_a_url_that_may_not(url: str) -> None:
    with pytest.raises(OAuthError, match=r"^the URL of it ") as caught:
        Target.parse(url, "it")
    assert "secret" not in str(caught.value).lower()


@pytest.mark.parametrize(
    "host",
    [
        ".",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "127.0.0.0x1",
        "0177.0.0.1",
        "1.2.3.4.5",
        "256.0.0.1",
        "example.1",
        "0x",
        "127.0.0.1%25eth0",
        "8.8.8.8%.evil.example",
        "127%2e0%2e0%2e1",
        "local%68ost",
    ],
)
def test_a_host_that_is_read_in_more_than_one_way(host: str) -> None:
    with pytest.raises(OAuthError, match="neither a name nor an address"):
        Target.parse(f"https://{host}/", "it")


# Addresses.


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        (PUBLIC, Reach.PUBLIC),
        ("2606:2800:21f::1", Reach.PUBLIC),
        ("64:ff9b::5db8:d70e", Reach.PUBLIC),
        ("2002:5db8:d70e::1", Reach.PUBLIC),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.255.255.254", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("2002:7f00:1::1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("169.254.0.1", Reach.LINK_LOCAL),
        ("fe80::1", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("::ffff:169.254.1.1", Reach.LINK_LOCAL),
        ("169.254.169.254", Reach.METADATA),
        ("169.254.170.2", Reach.METADATA),
        ("100.100.100.200", Reach.METADATA),
        ("168.63.129.16", Reach.METADATA),
        ("fd00:ec2::254", Reach.METADATA),
        ("fd20:ce::254", Reach.METADATA),
        ("192.0.0.192", Reach.METADATA),
        ("64:ff9b::c000:c0", Reach.METADATA),
        ("::ffff:169.254.169.254", Reach.METADATA),
        ("64:ff9b::a9fe:a9fe", Reach.METADATA),
        ("2002:a9fe:a9fe::", Reach.METADATA),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("198.18.0.1", Reach.PRIVATE),
        ("192.0.2.1", Reach.PRIVATE),
        ("0.1.2.3", Reach.PRIVATE),
        ("fc00::1", Reach.PRIVATE),
        ("fd12:3456::1", Reach.PRIVATE),
        ("fec0::1", Reach.PRIVATE),
        ("2001:db8::1", Reach.PRIVATE),
        ("2001:0:5db8:d70e::1", Reach.PRIVATE),
        ("::ffff:192.168.1.1", Reach.PRIVATE),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        # What releases of Python do not agree upon.
        ("192.0.0.8", Reach.PRIVATE),
        ("192.0.0.9", Reach.PRIVATE),
        ("192.88.99.1", Reach.PRIVATE),
        ("198.51.100.1", Reach.PRIVATE),
        ("203.0.113.1", Reach.PRIVATE),
        ("2001:1::1", Reach.PRIVATE),
        ("2001:20::1", Reach.PRIVATE),
        ("3fff::1", Reach.PRIVATE),
        ("3fff:1000::1", Reach.PUBLIC),
        ("feff::1", Reach.PRIVATE),
        ("192.0.1.1", Reach.PUBLIC),
        ("2001:200::1", Reach.PUBLIC),
        ("100::1", Reach.NOWHERE),
        ("5f00::1", Reach.NOWHERE),
        ("64:ff9b:1::a00:1", Reach.NOWHERE),
        ("0.0.0.0", Reach.NOWHERE),
        ("255.255.255.255", Reach.NOWHERE),
        ("240.0.0.1", Reach.NOWHERE),
        ("224.0.0.1", Reach.NOWHERE),
        ("::", Reach.NOWHERE),
        ("::127.0.0.1", Reach.NOWHERE),
        ("ff02::1", Reach.NOWHERE),
        ("::ffff:0.0.0.0", Reach.NOWHERE),
    ],
)
def test_from_where_an_address_can_be_reached(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


def test_what_is_no_address_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        reach_of("login.example")


@pytest.mark.parametrize(
    ("found", "server"),
    [
        ({Reach.PUBLIC}, {Reach.PUBLIC}),
        ({Reach.PUBLIC}, {Reach.LOOPBACK}),
        ({Reach.LOOPBACK, Reach.PUBLIC}, {Reach.LOOPBACK}),
        ({Reach.PRIVATE}, {Reach.PRIVATE, Reach.LINK_LOCAL}),
        ({Reach.METADATA}, {Reach.METADATA}),
        (set[Reach](), set[Reach]()),
    ],
)
def test_as_near_as_the_mcp_server_is(found: set[Reach], server: set[Reach]) -> None:
    check_reach(found, server, "it")


@pytest.mark.parametrize(
    ("found", "server"),
    [
        ({Reach.LOOPBACK}, {Reach.PUBLIC}),
        ({Reach.LOOPBACK}, {Reach.PRIVATE}),
        ({Reach.PRIVATE}, {Reach.LOOPBACK}),
        ({Reach.PUBLIC, Reach.LINK_LOCAL}, {Reach.PUBLIC}),
        ({Reach.METADATA}, {Reach.PRIVATE, Reach.LINK_LOCAL, Reach.LOOPBACK}),
        ({Reach.PRIVATE}, set[Reach]()),
        ({Reach.NOWHERE}, {Reach.NOWHERE}),
    ],
)
def test_no_nearer_than_the_mcp_server_is(found: set[Reach], server: set[Reach]) -> None:
    with pytest.raises(OAuthError, match=r"it is at a.* address, where the MCP server is not; it is not asked"):
        check_reach(found, server, "it")


# What the flows make of them.


def issuer_at(*addresses: str, server: tuple[str, ...] = (PUBLIC,)) -> Scene:
    scene = Scene()
    scene.driver.addresses |= {"login.example": addresses, "mcp.example": server}
    return scene


def others(scene: Scene, mcp: str = MCP) -> list[str]:
    """What was sent to anybody but the MCP server."""
    return [url for _, url in scene.world.others if not url.startswith(mcp.removesuffix("mcp"))]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "100.64.0.1", "169.254.169.254", "fe80::1%eth0", "::1", "::ffff:10.0.0.1", "0.0.0.0"],
)
@pytest.mark.parametrize("first", [(), (PUBLIC,)])
def test_a_name_that_leads_near_is_not_asked(address: str, first: tuple[str, ...]) -> None:
    scene = issuer_at(*first, address)
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert "where the MCP server is not" in str(error)
    assert error.server == f"{ISSUER}/.well-known/oauth-authorization-server"
    assert others(scene) == []
    assert scene.driver.looked_up == ["login.example", "mcp.example"]


def test_a_name_that_leads_as_near_as_the_server_is_asked() -> None:
    scene = issuer_at("10.0.0.9", PUBLIC, server=("10.0.0.1",))
    scene.call(scene.client())
    assert {r.addresses for r in scene.driver.sent if r.url.startswith(ISSUER)} == {("10.0.0.9", PUBLIC)}


@pytest.mark.parametrize(
    ("server", "address"),
    [
        (("127.0.0.1",), "127.0.0.1"),
        (("::1", "127.0.0.1"), "::1"),
        (("169.254.169.254",), "169.254.169.254"),
        (("fe80::1",), "fe80::2"),
        (("10.0.0.1", PUBLIC), "10.0.0.2"),
        (("10.0.0.1", "127.0.0.1"), "10.0.0.2"),
        (("10.0.0.1", "127.0.0.1"), "127.0.0.1"),
        ((), "10.0.0.2"),
    ],
)
def test_a_name_of_the_servers_vouches_for_a_private_network_at_most(server: tuple[str, ...], address: str) -> None:
    """Whoever owns the server's name says where it leads, so it may as well lead where it should not."""
    scene = issuer_at(address, server=server)
    assert "where the MCP server is not" in str(scene.refused(scene.client()))
    assert others(scene) == []


def test_what_was_looked_up_is_where_it_goes() -> None:
    scene = issuer_at("192.0.66.2", "2606:2800:21f::1")
    scene.call(scene.client())
    sent = {request.url: request.addresses for request in scene.driver.sent}
    assert sent == {
        MCP: (),
        PRM: (),
        f"{ISSUER}/.well-known/oauth-authorization-server": ("192.0.66.2", "2606:2800:21f::1"),
        f"{ISSUER}/register": ("192.0.66.2", "2606:2800:21f::1"),
        f"{ISSUER}/token": ("192.0.66.2", "2606:2800:21f::1"),
    }
    # Each request's addresses are those of its own look-up: a name may lead elsewhere by then.
    assert scene.driver.looked_up == ["login.example"] * 3


def test_a_name_that_leads_elsewhere_by_then_is_looked_at_again() -> None:
    scene = issuer_at(PUBLIC)

    def log_in(request: AuthorizationRequest) -> str:
        scene.driver.addresses["login.example"] = ("127.0.0.1",)
        return scene.world.log_in(request)

    error = scene.refused(scene.client(scene.provider(AuthorizationCode(log_in, redirect_uri=REDIRECT))))
    assert "loopback" in str(error)
    assert scene.world.server.asked == []


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/s3cret", "http://mcp.example/s3cret", "https://me:s3cret@mcp.example/"]
)
@pytest.mark.parametrize("endpoint", ["registration_endpoint", "token_endpoint"])
def test_endpoints_that_are_not_asked(endpoint: str, url: str) -> None:
    scene = Scene()
    scene.world.server.metadata |= {endpoint: url, "authorization_response_iss_parameter_supported": True}
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert (error.request, "s3cret" in error.message) == (
        "dynamic client registration" if endpoint == "registration_endpoint" else "the token request",
        url.startswith("http:"),  # A path may be shown.
    )
    assert scene.sent_to(url) == []


def test_metadata_that_is_not_asked_for() -> None:
    scene = Scene(World(challenge={"resource_metadata": "https://169.254.169.254/latest/meta-data?key=s3cret"}))
    error = scene.refused(scene.client())
    assert isinstance(error, OAuthError)
    assert str(error) == (
        "protected resource metadata to https://169.254.169.254/latest/meta-data: protected resource metadata is at a "
        "metadata service address, where the MCP server is not; it is not asked"
    )
    assert scene.world.others == []
    # Of an address nothing is looked up, but where the MCP server is.
    assert scene.driver.looked_up == ["mcp.example"]


def server_at(mcp: str, issuer: str) -> Scene:
    """An MCP server and an authorization server that are wherever they are."""
    resource = {"resource": mcp, "authorization_servers": [issuer]}
    place = mcp.removesuffix("/mcp") + "/.well-known/oauth-protected-resource/mcp"
    return Scene(
        World(
            servers={issuer: AuthorizationServer(issuer)},
            documents={place: json_reply(resource)},
            challenge={"resource_metadata": place},
            mcp=mcp,
        )
    )


@pytest.mark.parametrize(
    ("mcp", "issuer"),
    [
        ("http://localhost:8000/mcp", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:8000/mcp", "http://localhost:9000"),
        ("http://[::1]:8000/mcp", "https://login.localhost:9000"),
        ("https://192.168.0.2/mcp", "https://10.0.0.1"),
        ("https://[fd00::2]/mcp", "https://[fd00::3]:8443"),
        ("https://10.0.0.1/mcp", "https://10.0.0.1:8443"),
        ("https://10.0.0.1/mcp", "https://login.example"),
    ],
)
def test_neighbours_are_asked(mcp: str, issuer: str) -> None:
    scene = server_at(mcp, issuer)
    scene.call(scene.client(url=mcp))
    assert scene.logins == 1


@pytest.mark.parametrize(
    ("mcp", "issuer"),
    [
        (MCP, "http://127.0.0.1:9000"),
        (MCP, "https://192.168.0.1"),
        ("https://10.0.0.1/mcp", "https://127.0.0.1"),
        ("https://10.0.0.1/mcp", "https://169.254.169.254"),
        ("http://localhost:8000/mcp", "https://192.168.0.1"),
        ("http://localhost:8000/mcp", "http://login.example"),
        ("https://93.184.215.14/mcp", "https://[::ffff:7f00:1]"),
    ],
)
def test_those_who_are_nearer_are_not(mcp: str, issuer: str) -> None:
    scene = server_at(mcp, issuer)
    error = scene.refused(scene.client(url=mcp))
    assert isinstance(error, OAuthError)
    assert others(scene, mcp) == []


def test_nobody_is_looked_up_at_the_mcp_servers_own_origin() -> None:
    scene = server_at(MCP, "https://mcp.example")
    scene.driver.addresses["mcp.example"] = ("10.0.0.1",)
    scene.call(scene.client())
    assert scene.driver.looked_up == []


def test_the_issuer_that_the_user_names_may_be_anywhere() -> None:
    scene = issuer_at("10.0.0.1")
    scene.call(scene.client(scene.provider(client=BY_HAND)))
    assert (scene.logins, scene.driver.looked_up) == (1, [])
    # That is said of its origin, and of nobody whom it names.
    scene = issuer_at("10.0.0.1")
    scene.world.server.metadata["token_endpoint"] = "https://tokens.login.example/token"
    scene.driver.addresses["tokens.login.example"] = ("10.0.0.1",)
    assert "private" in str(scene.refused(scene.client(scene.provider(client=BY_HAND))))


def test_the_identity_provider_that_the_user_names_may_be_anywhere() -> None:
    scene, kind = issuer_at("10.0.0.1"), "urn:ietf:params:oauth:token-type:id-jag"
    idp = "https://10.9.8.7/token"
    scene.world.documents[idp] = json_reply({"access_token": "grant", "issued_token_type": kind, "token_type": "N_A"})
    grant = EnterpriseManaged(lambda request: "id-token", token_endpoint=idp)
    scene.call(scene.client(scene.provider(grant, client=BY_HAND)))
    assert [request.kind for request in scene.sent_to(idp)] == [RequestKind.TOKEN]
    assert scene.driver.looked_up == []


def test_who_looks_up_nothing_is_asked_all_the_same() -> None:
    """Behind a proxy it is the proxy that decides whom it asks."""
    scene = issuer_at()
    scene.call(scene.client())
    assert {request.addresses for request in scene.driver.sent} == {()}
