"""The auth contract: what each request carries, and who wins.  For every kind of request; no sockets, no event loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest
from support.pure import headers_of, message_of
from support.scenes import (
    MODERN,
    SCENES,
    URL,
    PureServer,
    Recorder,
    each_kind,
    play,
    send_once,
)

from mcpcore import (
    CallContext,
    Client,
    ConfigurationError,
    HeaderResolverError,
    LocalProtocolError,
    RequestContext,
    RequestKind,
    __version__,
)

# Every outbound request goes through the pipeline (law 3).


@each_kind
def test_every_request_carries_what_was_resolved_for_it_alone(scene: str) -> None:
    counter = iter(range(1000))
    resolver = Recorder(lambda context: {"X-Nonce": str(next(counter))})
    server = play(scene, get_headers=resolver, headers={"X-Static": "s"}, auth_token="t")
    assert server.of_kind(SCENES[scene].kind), "the scene never came to its kind of request"
    assert [headers_of(request)["x-nonce"] for request in server.sent] == [str(n) for n in range(len(server.sent))]
    assert len(resolver.seen) == len(server.sent)
    for request in server.sent:
        headers = headers_of(request)
        assert (headers["x-static"], headers["authorization"]) == ("s", "Bearer t")
        assert headers["user-agent"] == f"mcpcore/{__version__}"


@each_kind
def test_a_resolver_is_told_exactly_what_is_sent(scene: str) -> None:
    resolver = Recorder({"X-A": "1"})
    url = URL + "?key=k#part"
    user, data = object(), object()
    context = CallContext(principal="acme/alice", request_headers={"X-User": "alice"}, user=user, input=data)
    server = play(scene, url=url, context=context, get_headers=resolver)
    for told, sent in zip(resolver.seen, server.sent, strict=True):
        assert told.mcp_server_url == url
        assert (told.url, told.http_method, told.kind, told.body) == (sent.url, sent.method, sent.kind, sent.body)
        assert (told.rpc_method, told.rpc_name, told.attempt, told.challenge) == (
            sent.rpc_method,
            sent.rpc_name,
            1,
            None,
        )
        assert told.request_id == message_of(sent).get("id")
        assert told.principal == "acme/alice"
        if told.kind is not RequestKind.TERMINATE:
            assert dict(told.request_headers) == {"x-user": "alice"}
            assert told.user is user
            assert told.input is data
    assert server.sent[0].url == URL + "?key=k"


def test_the_goodbye_of_a_session_is_resolved_with_its_principal_alone() -> None:
    resolver = Recorder({"X-A": "1"})
    context = CallContext(principal="acme/alice", request_headers={"X-User": "alice"}, user=1, input=2)
    play("terminate", context=context, get_headers=resolver)
    (told,) = resolver.of_kind(RequestKind.TERMINATE)
    assert (told.principal, dict(told.request_headers), told.user, told.input) == ("acme/alice", {}, None, None)
    assert (told.http_method, told.body, told.rpc_method, told.request_id) == ("DELETE", b"", None, None)


@pytest.mark.parametrize(
    ("scene", "versions"),
    [
        ("list, modern", ["2026-07-28"]),
        ("list, handshake", [None, "2025-11-25", "2025-11-25"]),
        ("list, HTTP+SSE", [None, None, "2024-11-05", "2024-11-05"]),
        ("terminate", [None, "2025-11-25", "2025-11-25"]),
    ],
)
def test_a_resolver_is_told_the_revision_once_it_is_agreed(scene: str, versions: list[str | None]) -> None:
    resolver = Recorder()
    play(scene, get_headers=resolver)
    assert [told.protocol_version for told in resolver.seen] == versions


def test_a_resolver_is_told_which_tool_is_called() -> None:
    resolver = Recorder()
    play("call, modern", get_headers=resolver)
    assert [(told.rpc_method, told.rpc_name) for told in resolver.seen] == [("tools/call", "search")]


# Order, later wins.


STEPS = ["forwarded", "static", "resolver 1", "resolver 2"]


@each_kind
@pytest.mark.parametrize("last", range(1, len(STEPS) + 1))
def test_a_later_step_wins_over_an_earlier_one(scene: str, last: int) -> None:
    steps = STEPS[:last]
    options: dict[str, Any] = {"forward": ["X-Who"]}
    if "static" in steps:
        options["headers"] = {"x-WHO": "static"}
    resolvers = [Recorder({"X-wHo": step}) for step in steps if step.startswith("resolver")]
    server = play(
        scene,
        context=CallContext(principal="p", request_headers={"x-who": "forwarded"}),
        get_headers=resolvers or None,
        **options,
    )
    for request in server.sent:
        if request.kind is RequestKind.TERMINATE and steps == ["forwarded"]:
            assert "x-who" not in headers_of(request)
        else:
            assert headers_of(request)["x-who"] == steps[-1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, f"mcpcore/{__version__}"),
        ({"forward": ["user-agent"]}, "forwarded"),
        ({"forward": ["user-agent"], "headers": {"user-agent": "static"}}, "static"),
        ({"headers": {"user-agent": "static"}, "get_headers": Recorder({"USER-AGENT": "resolved"})}, "resolved"),
    ],
)
def test_the_user_agent_is_the_weakest_step(options: dict[str, Any], expected: str) -> None:
    context = CallContext(request_headers={"User-Agent": "forwarded"})
    assert send_once(context=context, **options)["user-agent"] == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"forward": ["authorization"]}, "forwarded"),
        ({"forward": ["authorization"], "headers": {"authorization": "static"}}, "static"),
        ({"forward": ["authorization"], "auth_token": "token"}, "Bearer token"),
        ({"auth_token": "token", "get_headers": Recorder({"AUTHORIZATION": "resolved"})}, "resolved"),
        ({"headers": {"authorization": "static"}, "get_headers": Recorder({"Authorization": "resolved"})}, "resolved"),
        ({"auth_token": "token", "get_headers": [Recorder({"Authorization": "1"}), Recorder({})]}, "1"),
    ],
)
def test_one_authorization_is_sent_and_the_latest_step_has_it(options: dict[str, Any], expected: str) -> None:
    context = CallContext(request_headers={"Authorization": "forwarded"})
    assert send_once(context=context, **options)["authorization"] == expected


def test_inbound_headers_reach_the_wire_only_where_forward_says_so() -> None:
    context = CallContext(request_headers={"X-User": "alice", "X-Other": "o", "Authorization": "inbound"})
    assert not {"x-user", "x-other", "authorization"} & send_once(context=context).keys()
    forwarded = send_once(context=context, forward=["X-USER", "x-absent"])
    assert forwarded["x-user"] == "alice"
    assert not {"x-other", "authorization", "x-absent"} & forwarded.keys()


@each_kind
def test_resolvers_are_asked_in_order_and_each_sees_what_came_before(scene: str) -> None:
    first, second = Recorder({"X-First": "1"}), Recorder({"X-Second": "2"})
    server = play(scene, headers={"X-Static": "s"}, auth_token="t", get_headers=[first, second])
    assert server.driver.resolved == [told for pair in zip(first.seen, second.seen, strict=True) for told in pair]
    for told in first.seen:
        assert set(told.headers) == {"user-agent", "x-static", "authorization"}
        assert told.headers["authorization"] == "Bearer t"
    for told in second.seen:
        assert set(told.headers) == {"user-agent", "x-static", "authorization", "x-first"}


def test_what_a_resolver_sees_it_cannot_change() -> None:
    def meddle(context: RequestContext) -> None:
        for mapping in (context.headers, context.request_headers):
            with pytest.raises(TypeError):
                mapping["x-static"] = "changed"  # type: ignore[index]
        with pytest.raises(AttributeError):
            context.attempt = 7  # type: ignore[misc]

    assert send_once(headers={"X-Static": "s"}, get_headers=meddle)["x-static"] == "s"


# Matching: without case, one value per name on the wire.


def test_a_name_in_another_case_replaces_and_is_sent_as_it_was_last_written() -> None:
    server = play("list, modern", headers={"X-Key": "static"}, get_headers=Recorder({"x-KEY": "resolved"}))
    named = [(name, value) for name, value in server.sent[0].headers if name.lower() == b"x-key"]
    assert named == [(b"x-KEY", b"resolved")]


def test_two_names_that_differ_only_in_case_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="X-key is given twice"):
        Client(URL, headers={"X-Key": "a", "X-key": "a"})
    with pytest.raises(HeaderResolverError, match="X-key is given twice"):
        send_once(get_headers=Recorder({"X-Key": "a", "X-key": "a"}))


def test_inbound_headers_that_name_two_values_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="x-user twice"):
        CallContext(request_headers={"X-User": "alice", "x-user": "bob"})
    assert dict(CallContext(request_headers={"X-User": "alice", "x-user": "alice"}).request_headers) == {
        "x-user": "alice"
    }


class MultiValued(Mapping[str, str]):
    """As the headers of web frameworks are: ``items`` has every field, looking up gives the first."""

    fields = (("x-user", "alice"), ("x-user", "mallory"))

    def __getitem__(self, name: str) -> str:
        return next(value for key, value in self.fields if key == name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def items(self) -> Any:
        return list(self.fields)


def test_a_header_that_came_in_twice_means_what_looking_it_up_means() -> None:
    headers = MultiValued()
    assert CallContext(request_headers=headers).request_headers["x-user"] == headers["x-user"] == "alice"


def test_a_header_that_a_resolver_gives_twice_is_an_error() -> None:
    with pytest.raises(HeaderResolverError, match="x-user is given twice"):
        send_once(get_headers=Recorder(MultiValued()))


# Protocol-owned names.


OWNED = [
    "Accept",
    "Accept-Encoding",
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Content-Anything",
    "Host",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Expect",
    "TE",
    "Trailer",
    "Upgrade",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Cookie",
    "Mcp-Session-Id",
    "Mcp-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Param-Region",
    "Mcp-Anything",
    "Last-Event-ID",
]


@pytest.mark.parametrize("change", [str, str.lower, str.upper, str.swapcase])
@pytest.mark.parametrize("name", OWNED)
def test_nobody_sets_what_the_protocol_owns(name: str, change: Any) -> None:
    name = change(name)
    with pytest.raises(ConfigurationError, match=f"static headers: the header {name} belongs"):
        Client(URL, headers={name: "v-1"})
    with pytest.raises(ConfigurationError, match=f"forwarded headers: the header {name} belongs"):
        Client(URL, forward=[name])
    server = PureServer("modern")
    with pytest.raises(HeaderResolverError, match=f"Recorder: the header {name} belongs") as caught:
        play("list, modern", server=server, get_headers=Recorder({"X-Fine": "1", name: "v-1"}))
    assert "v-1" not in str(caught.value)
    assert server.sent == []


@pytest.mark.parametrize("name", ["X-Mcp-Name", "Mcp", "Content", "Proxy", "Hosts", "Cookies", "TEE", "Set-Cookie"])
def test_names_that_only_look_alike_are_anybodys(name: str) -> None:
    assert send_once(headers={name: "v"})[name.lower()] == "v"


@each_kind
def test_what_the_protocol_owns_is_sent_once_and_hidden_from_resolvers(scene: str) -> None:
    resolver = Recorder({"X-A": "1"})
    server = play(scene, get_headers=resolver)
    for request in server.sent:
        headers = headers_of(request)  # fails on a name that is there twice
        assert headers["accept-encoding"] == "gzip, deflate"
        assert ("content-type" in headers) == (request.method == "POST")
    assert all(set(told.headers) == {"user-agent"} for told in resolver.seen)


def test_a_subclass_of_str_cannot_smuggle_a_name_or_a_value() -> None:
    class Liar(str):
        def lower(self) -> str:
            return "x-harmless"

        def encode(self, *args: Any, **kwargs: Any) -> bytes:
            return b"x\r\nHost: evil.example"

        def __str__(self) -> str:
            return "x-harmless"

    with pytest.raises(HeaderResolverError, match="Host belongs"):
        send_once(get_headers=Recorder({Liar("Host"): "v"}))
    assert send_once(get_headers=Recorder({Liar("X-A"): Liar("v")}))["x-a"] == "v"

    class Header(StrEnum):
        USER = "X-User"

    assert send_once(get_headers=Recorder({Header.USER: "u"}))["x-user"] == "u"


# Values and names.


GOOD_VALUES = ["", "v", "a b", "a\tb", "!~", "\x80\xff", "é", "\xa0", '"q"', "x" * 100_000]
BAD_VALUES = [
    " v",
    "v ",
    "\tv",
    "v\t",
    " ",
    "v\n",
    "v\r\nX-Evil: 1",
    "\nv",
    "a\0b",
    "\x7f",
    "a\x1fb",
    "\x0b",
    "\u0100",
    "\u0663",
    "日",
    "😀",
    "\ud800",
    "v\u2028",
]
BAD_NAMES = [
    "",
    " ",
    "X A",
    "X-A ",
    " X-A",
    "X-A\n",
    "X-A\r\nX-B",
    "X-A:",
    ":authority",
    "X(A)",
    "é",
    "X-²",
    "X-\u0663",
    "\u212a",
    "a\0",
    '"q"',
]


@pytest.mark.parametrize("value", GOOD_VALUES, ids=lambda value: ascii(value[:8]))
def test_a_value_goes_out_as_bytes_one_a_character(value: str) -> None:
    for options in ({"headers": {"X-A": value}}, {"get_headers": Recorder({"X-A": value})}):
        (request,) = play("list, modern", **options).sent
        assert (b"X-A", value.encode("latin-1")) in request.headers
        assert all(type(name) is bytes and type(text) is bytes for name, text in request.headers)


@pytest.mark.parametrize("value", [*BAD_VALUES, 1, None, b"v", ["v"], 1.5], ids=ascii)
def test_a_value_that_cannot_be_sent_is_an_error_that_names_server_and_step(value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^https://mcp\.example/mcp: static headers: the value of the header X-A"
    ):
        Client(URL + "?q=secret", headers={"X-A": value})
    server = PureServer("modern")
    with pytest.raises(HeaderResolverError) as caught:
        play("list, modern", server=server, get_headers=[Recorder(), Recorder({"X-A": value})])
    assert str(caught.value).startswith("tools/list to https://mcp.example/mcp: header resolver Recorder: the value of")
    assert caught.value.__cause__ is None
    assert server.sent == []


@pytest.mark.parametrize("name", [*BAD_NAMES, 1, None, b"X-A", ("X", "A")], ids=ascii)
def test_a_name_that_is_no_token_is_an_error(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="static headers: a header name is not a"):
        Client(URL, headers={name: "v-1"})
    with pytest.raises(ConfigurationError, match="forwarded headers: a header name is not a"):
        Client(URL, forward=[name])
    with pytest.raises(HeaderResolverError, match="a header name is not a"):
        send_once(get_headers=Recorder({name: "v-1"}))


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
def test_a_forwarded_value_that_cannot_be_sent_fails_the_call_and_no_other(value: str) -> None:
    client = Client(URL, forward=["X-A"], **MODERN)
    server = PureServer("modern")
    with pytest.raises(LocalProtocolError, match="forwarded headers: the value of the header x-a has"):
        server.driver.run(client.list_tools(context=CallContext(request_headers={"X-A": value})))
    assert server.sent == []
    server.driver.run(client.list_tools(context=CallContext(request_headers={"X-A": "v"})))
    assert headers_of(server.sent[0])["x-a"] == "v"


# What is wrong at construction is found at construction.


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"auth_token": "t", "headers": {"Authorization": "a"}}, "exclude each other"),
        ({"auth_token": "t", "headers": {"AUTHORIZATION": "a"}}, "exclude each other"),
        ({"auth_token": ""}, "Authorization has characters"),
        ({"auth_token": "t\n"}, "Authorization has characters"),
        ({"auth_token": "日"}, "Authorization has characters"),
        ({"auth_token": b"t"}, "auth_token is not a string"),
        ({"auth_token": SimpleNamespace()}, "auth_token is not a string"),
        ({"headers": [("X-A", "v")]}, "expected a mapping of header names to values, not list"),
        ({"headers": ""}, "expected a mapping of header names to values, not str"),
        ({"forward": "x-user"}, "expected several names, not one string"),
        ({"get_headers": "x"}, "get_headers must be a function, or several"),
        ({"get_headers": {"X-A": "v"}}, "get_headers must be a function, or several"),
        ({"get_headers": [Recorder(), None]}, "get_headers must be a function, or several"),
        ({"type": "websocket"}, "type must be one of http, sse, auto"),
        ({"redirects": "always"}, "redirects must be one of never, same-origin"),
        ({"protocol_version": "2020-01-01"}, "protocol_version must be one of"),
        ({"type": "sse", "protocol_version": "2026-07-28"}, "HTTP.SSE cannot carry"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_configuration_that_can_never_work_is_refused_by_name(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        Client(URL + "?q=secret", **options)
    assert caught.value.server == URL
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("userinfo", ["user:secret@", "user@", "@", ":secret@", ":@"])
def test_userinfo_in_the_url_is_refused_without_being_quoted(userinfo: str) -> None:
    with pytest.raises(ConfigurationError, match="carries userinfo") as caught:
        Client(f"https://{userinfo}mcp.example/mcp?q=secret")
    assert caught.value.server == URL
    assert "secret" not in str(caught.value)


def test_the_configuration_is_a_snapshot() -> None:
    headers, resolvers, forward = {"X-Static": "1"}, [Recorder({"X-R": "1"})], ["X-User"]
    client = Client(URL, headers=headers, get_headers=resolvers, forward=forward, **MODERN)
    headers["X-Static"] = "2"
    headers["X-More"] = "2"
    resolvers.append(Recorder({"X-R": "2"}))
    forward.append("X-Other")
    server = PureServer("modern")
    server.driver.run(client.list_tools(context=CallContext(request_headers={"X-User": "u", "X-Other": "o"})))
    sent = headers_of(server.sent[0])
    assert (sent["x-static"], sent["x-r"], sent["x-user"]) == ("1", "1", "u")
    assert not {"x-more", "x-other"} & sent.keys()
