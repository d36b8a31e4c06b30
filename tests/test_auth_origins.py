"""The auth contract: how far headers may travel: redirects, plain http, endpoint events.  No sockets, no event loop."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from support.pure import Reply, headers_of
from support.scenes import (
    CHALLENGE,
    SCENES,
    URL,
    PureServer,
    Recorder,
    by_attempt,
    each_kind,
    each_loud_kind,
    each_quiet_kind,
    play,
    redirect,
    refuse_first,
)

from mcpcore import (
    Client,
    ConfigurationError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    RedirectError,
    RemoteProtocolError,
    RequestKind,
    UnauthorizedError,
)

# Redirects.


@each_loud_kind
def test_no_redirect_is_followed_by_default(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, redirect("/elsewhere?token=secret#f"), times=9))
    with pytest.raises(RedirectError) as caught:
        play(scene, server=server, get_headers=by_attempt)
    assert (caught.value.status, caught.value.location) == (307, "https://mcp.example/elsewhere")
    assert "secret" not in str(caught.value)
    assert len(server.of_kind(kind)) == 1


@each_kind
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_origin_is_followed_through_the_pipeline(scene: str, status: int) -> None:
    kind = SCENES[scene].kind
    counter = iter(range(1000))
    resolver = Recorder(lambda context: {"X-Nonce": str(next(counter))})
    server = play(
        scene, refuse_first(kind, redirect("/v2?k=1#f", status)), get_headers=resolver, redirects="same-origin"
    )
    first, second = server.of_kind(kind)[:2]
    assert second.url == "https://mcp.example/v2?k=1"
    assert (first.body, first.method, first.attempt) == (second.body, second.method, second.attempt)
    assert headers_of(first)["x-nonce"] != headers_of(second)["x-nonce"]
    assert [told.url for told in resolver.of_kind(kind)][:2] == [first.url, second.url]
    assert {told.mcp_server_url for told in resolver.seen} == {URL}
    owned = [{n: v for n, v in headers_of(request).items() if n != "x-nonce"} for request in (first, second)]
    assert owned[0] == owned[1]


SAME_ORIGIN = {
    "/v2": "https://mcp.example/v2",
    "v2": "https://mcp.example/v2",
    "?x=1": "https://mcp.example/mcp?x=1",
    "#f": "https://mcp.example/mcp",
    "//mcp.example/v2": "https://mcp.example/v2",
    "https://mcp.example": "https://mcp.example",
    "https://mcp.example/v2": "https://mcp.example/v2",
    "https://mcp.example:443/v2": "https://mcp.example:443/v2",
    "HTTPS://MCP.EXAMPLE/v2": "https://MCP.EXAMPLE/v2",
    "/a//evil.example/b": "https://mcp.example/a//evil.example/b",
    "/@evil.example": "https://mcp.example/@evil.example",
    "?@evil.example": "https://mcp.example/mcp?@evil.example",
}
ELSEWHERE = [
    "https://evil.example/mcp",
    "//evil.example/mcp",
    "//evil.example",
    "http://mcp.example/mcp",
    "https://mcp.example:8443/mcp",
    "https://mcp.example:80/mcp",
    "https://user@mcp.example/mcp",
    "https://user:secret@mcp.example/mcp",
    "https://@mcp.example/mcp",
    "https://mcp.example@evil.example/",
    "https://mcp.example:443@evil.example/",
    "https://mcp.example;@evil.example/",
    "https://mcp.example.evil.example/",
    "https://evil-mcp.example/",
    "https://mcp.example./mcp",
    "https://sub.mcp.example/mcp",
    "\\\\evil.example\\mcp",
    "/\\evil.example/mcp",
    "\\/evil.example/mcp",
    "https:\\\\evil.example/",
    "https://mcp.example\\@evil.example/",
    "https://mcp.example\\.evil.example/",
    "https://mcp.example%2eevil.example/",
    "https://mcp.example%00.evil.example/",
    "https://mcp.example:99999/",
    "https://mcp.example:x/",
    "https://mcp.example:-1/",
    "https://[::1",
    "https://[mcp.example]/",
    "https://ex\u2100mple/",
    "https://mcp\uff0eexample/",
    "https://mcp\u3002example/",
    "https://mcp.ex\u0430mple/",
    "https:// mcp.example/",
    "https://mcp.example /",
    "/v\t2",
    "/\t/evil.example",
    "/v 2",
    "/v2\x00",
    "\x01//evil.example",
    "javascript:alert(1)",
    "ftp://mcp.example/mcp",
    "wss://mcp.example/mcp",
    "data:text/plain,x",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("location", SAME_ORIGIN)
def test_what_is_the_same_origin(location: str) -> None:
    server = play("list, modern", refuse_first(RequestKind.REQUEST, redirect(location)), redirects="same-origin")
    assert [request.url for request in server.sent] == [URL, SAME_ORIGIN[location]]


@pytest.mark.parametrize(
    "location",
    ["https:///evil.example", "///evil.example", "////evil.example", "https:/evil.example", "https:evil.example"],
)
def test_what_is_hard_to_read_stays_at_the_origin_however_it_is_read(location: str) -> None:
    server = PureServer("modern", refuse_first(RequestKind.REQUEST, redirect(location)))
    with contextlib.suppress(RedirectError):
        play("list, modern", server=server, redirects="same-origin")
    assert all(request.url.startswith("https://mcp.example/") for request in server.sent)


@each_loud_kind
@pytest.mark.parametrize("location", ELSEWHERE, ids=ascii)
def test_headers_never_follow_a_redirect_elsewhere(scene: str, location: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, redirect(location), times=9))
    with pytest.raises(RedirectError) as caught:
        play(scene, server=server, get_headers=by_attempt, redirects="same-origin")
    assert len(server.of_kind(kind)) == 1
    assert "secret" not in str(caught.value)
    assert (caught.value.server, bool(caught.value.request)) == (URL, True)


@each_quiet_kind
@pytest.mark.parametrize("location", ELSEWHERE, ids=ascii)
def test_nor_does_what_happens_beside_a_call(scene: str, location: str, caplog: pytest.LogCaptureFixture) -> None:
    kind = SCENES[scene].kind
    server = play(scene, refuse_first(kind, redirect(location), times=9), redirects="same-origin")
    assert len(server.of_kind(kind)) == 1
    assert "redirects" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 306, 309, 399])
def test_only_307_and_308_are_followed(status: int) -> None:
    with pytest.raises(RedirectError) as caught:
        play("list, modern", lambda _: redirect("/v2", status), redirects="same-origin")
    assert (caught.value.status, caught.value.location) == (status, "https://mcp.example/v2")


@pytest.mark.parametrize("location", [None, ""], ids=repr)
def test_a_redirect_to_nowhere_is_an_error(location: str | None) -> None:
    with pytest.raises(RedirectError, match="to nowhere") as caught:
        play("list, modern", lambda _: redirect(location), redirects="same-origin")
    assert caught.value.location == ""


def test_five_redirects_are_followed_and_no_more() -> None:
    server = PureServer("modern", refuse_first(RequestKind.REQUEST, redirect("/loop"), times=5))
    resolver = Recorder({"X-A": "1"})
    play("list, modern", server=server, get_headers=resolver, redirects="same-origin")
    assert len(server.sent) == len(resolver.seen) == 6

    server = PureServer("modern", lambda _: redirect("/loop"))
    with pytest.raises(LimitExceeded) as caught:
        play("list, modern", server=server, redirects="same-origin")
    assert caught.value.limit == "redirects"
    assert len(server.sent) == 6


def test_how_many_redirects_are_followed_is_a_limit() -> None:
    server = PureServer("modern", lambda _: redirect("/loop"))
    with pytest.raises(LimitExceeded, match=r"limits\.redirects is 1"):
        play("list, modern", server=server, redirects="same-origin", limits=Limits(redirects=1))
    assert len(server.sent) == 2


def test_401_then_a_redirect_then_401_is_final() -> None:
    answers = iter([CHALLENGE, redirect("/v2"), CHALLENGE])
    server = PureServer("modern", lambda _: next(answers))
    with pytest.raises(UnauthorizedError):
        play("list, modern", server=server, get_headers=by_attempt, redirects="same-origin")
    assert [(request.url, request.attempt) for request in server.sent] == [
        (URL, 1),
        (URL, 2),
        ("https://mcp.example/v2", 2),
    ]


def test_a_redirect_then_401_is_retried_where_it_led() -> None:
    answers = iter([redirect("/v2"), CHALLENGE, None])
    server = play("list, modern", lambda _: next(answers), get_headers=by_attempt, redirects="same-origin")
    assert [(request.url, request.attempt) for request in server.sent] == [
        (URL, 1),
        ("https://mcp.example/v2", 1),
        ("https://mcp.example/v2", 2),
    ]


# Where headers go: the endpoint's origin alone.


@each_kind
def test_every_request_goes_to_the_endpoints_origin(scene: str) -> None:
    server = play(scene, get_headers=by_attempt)
    assert all(request.url.startswith("https://mcp.example/") for request in server.sent)


# Plain http.


HEADERS: list[dict[str, Any]] = [
    {"headers": {"X-A": "1"}},
    {"headers": {"User-Agent": "mine"}},
    {"auth_token": "t"},
    {"forward": ["x-user"]},
    {"get_headers": Recorder({"X-A": "1"})},
    {"get_headers": [Recorder(None), Recorder({"X-A": "1"})]},
]
FAR = ["http://mcp.example/mcp", "http://10.0.0.1/", "http://[2001:db8::1]/", "HTTP://MCP.EXAMPLE/"]
LOOKALIKES = [
    "http://localhost.evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1.nip.io/",
    "http://evil-localhost/",
    "http://localhost./",
    "http://127.999.0.1/",
    "http://127.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://0.0.0.0/",
    "http://128.0.0.1/",
    "http://[::2]/",
    "http://[::]/",
    "http://[::1:1]/",
    "http://\uff4cocalhost.example/",
]
NEAR = [
    "http://localhost/",
    "http://LOCALHOST:8080/",
    "http://127.0.0.1:1/",
    "http://127.8.9.10/",
    "http://[::1]:8080/",
]


@pytest.mark.parametrize("options", HEADERS, ids=lambda options: " ".join(options))
@pytest.mark.parametrize("url", FAR + LOOKALIKES)
def test_headers_are_not_sent_in_the_clear(url: str, options: dict[str, Any]) -> None:
    server = PureServer("modern")
    with pytest.raises(LocalProtocolError, match="plain http"):
        play("list, modern", server=server, url=url, **options)
    assert server.sent == []


@pytest.mark.parametrize("options", HEADERS, ids=lambda options: " ".join(options))
@pytest.mark.parametrize("url", NEAR)
def test_headers_are_sent_to_this_machine(url: str, options: dict[str, Any]) -> None:
    assert len(play("list, modern", url=url, **options).sent) == 1


@pytest.mark.parametrize("options", HEADERS, ids=lambda options: " ".join(options))
def test_headers_are_sent_in_the_clear_where_the_user_says_so(options: dict[str, Any]) -> None:
    assert len(play("list, modern", url=FAR[0], allow_insecure_http=True, **options).sent) == 1


@pytest.mark.parametrize("options", [{}, {"headers": {}}, {"get_headers": Recorder({})}, {"forward": ["x-absent"]}])
def test_plain_http_without_headers_is_allowed(options: dict[str, Any]) -> None:
    assert len(play("list, modern", url=FAR[0], **options).sent) == 1


@pytest.mark.parametrize("options", HEADERS[:3], ids=lambda options: " ".join(options))
def test_static_headers_in_the_clear_are_refused_at_construction(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="plain http"):
        Client(FAR[0], **options)


@each_loud_kind
def test_a_resolver_that_first_answers_late_is_refused_late(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era)
    resolver = Recorder(lambda context: {"X-A": "1"} if context.kind is kind else None)
    with pytest.raises(LocalProtocolError, match="plain http"):
        play(scene, server=server, url=FAR[0], get_headers=resolver)
    assert server.of_kind(kind) == []


# The endpoint event of HTTP+SSE.


def event_stream(endpoint: str) -> Any:
    data = b"event: endpoint\ndata: " + endpoint.encode("utf-8", "surrogatepass") + b"\n\n"
    return refuse_first(RequestKind.LISTEN, Reply(200, {"content-type": "text/event-stream"}, [data]))


@pytest.mark.parametrize("location", SAME_ORIGIN)
def test_messages_are_posted_where_the_endpoint_event_says(location: str) -> None:
    server = play("list, HTTP+SSE", event_stream(location), get_headers=by_attempt)
    assert {request.url for request in server.sent if request.method == "POST"} == {SAME_ORIGIN[location]}


@pytest.mark.parametrize("location", ELSEWHERE, ids=ascii)
def test_an_endpoint_event_that_leads_elsewhere_is_refused(location: str) -> None:
    server = PureServer("sse", event_stream(location))
    with pytest.raises(RemoteProtocolError, match="names another origin"):
        play("list, HTTP+SSE", server=server, get_headers=by_attempt)
    assert [request.kind for request in server.sent] == [RequestKind.LISTEN]
