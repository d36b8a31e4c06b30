"""The auth contract: what a resolver may return and raise, and what becomes of the call.  No sockets, no event loop."""

from __future__ import annotations

import asyncio
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from support.pure import PureDriver, Reply, headers_of, message_of
from support.scenes import (
    ALICE,
    BOB,
    HANDSHAKE,
    MODERN,
    QUIET,
    SCENES,
    SSE,
    URL,
    PureServer,
    Recorder,
    each_kind,
    each_loud_kind,
    fail,
    play,
    refuse_first,
    send_once,
)

from mcpcore import (
    CallContext,
    Client,
    ConfigurationError,
    HeaderResolverError,
    LocalProtocolError,
    McpError,
    RequestContext,
    ResolveHeaders,
    UnauthorizedError,
)

# A resolver returns a mapping of str to str, or None for nothing.


@each_kind
@pytest.mark.parametrize("nothing", [None, {}, MappingProxyType({})], ids=repr)
def test_a_resolver_may_give_nothing(scene: str, nothing: Any) -> None:
    server = play(scene, get_headers=Recorder(nothing), headers={"X-Static": "s"})
    assert all(headers_of(request)["x-static"] == "s" for request in server.sent)


@pytest.mark.parametrize("mapping", [MappingProxyType({"X-A": "v"}), {"X-A": "v"}], ids=repr)
def test_a_resolver_may_give_any_mapping(mapping: Any) -> None:
    assert send_once(get_headers=Recorder(mapping))["x-a"] == "v"


@pytest.mark.parametrize(
    ("returned", "name"),
    [
        ([("X-A", "v")], "list"),
        ((pair for pair in [("X-A", "v")]), "generator"),
        ("X-A: v", "str"),
        (b"X-A: v", "bytes"),
        (True, "bool"),
        (0, "int"),
        ({"X-A"}, "set"),
        ({"X-A": "v"}.items(), "dict_items"),
        (SimpleNamespace(items=lambda: [("X-A", "v")]), "SimpleNamespace"),
        (dict, "type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@each_kind
def test_a_resolver_may_give_nothing_else(
    scene: str, returned: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era)
    resolver = Recorder(lambda context: returned if context.kind is kind else None)
    complaint = f"header resolver Recorder: expected a mapping of header names to values, not {name}"
    if scene in QUIET:
        play(scene, server=server, get_headers=resolver)
        assert complaint in caplog.text
    else:
        with pytest.raises(HeaderResolverError, match=complaint):
            play(scene, server=server, get_headers=resolver)
    assert server.of_kind(kind) == []


class Broken(dict[str, str]):
    def __init__(self, items: Any) -> None:
        super().__init__({"X-A": "v"})
        self._items = items

    def items(self) -> Any:
        if isinstance(self._items, Exception):
            raise self._items
        return self._items


@pytest.mark.parametrize(
    "items", [[1], [("X-A",)], 7, ValueError("secret"), RuntimeError("secret"), StopIteration("secret")], ids=repr
)
def test_a_mapping_that_lies_about_its_items_is_an_error_that_quotes_nothing(items: Any) -> None:
    server = PureServer("modern")
    with pytest.raises(HeaderResolverError, match="its mapping raised") as caught:
        play("list, modern", server=server, get_headers=Recorder(Broken(items)))
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, Exception)
    assert server.sent == []


def test_what_a_resolver_does_later_to_what_it_returned_changes_nothing() -> None:
    kept: dict[str, str] = {}

    def one_dict_for_ever(context: RequestContext) -> dict[str, str]:
        kept["X-User"] = context.request_headers["x-user"]
        return kept

    client = Client(URL, get_headers=one_dict_for_ever, **MODERN)
    alice, bob = client.list_tools(context=ALICE), client.list_tools(context=BOB)
    for operation in (alice, bob):
        command = operation.next_command()
        assert isinstance(command, ResolveHeaders)
        operation.headers_resolved(command.resolver(command.context))  # type: ignore[arg-type]
    kept["X-User"] = "mallory"
    sent = [operation.next_command() for operation in (alice, bob)]
    assert [headers_of(request)["x-user"] for request in sent] == ["alice", "bob"]  # type: ignore[arg-type]
    kept["Host"] = "evil.example"
    assert all(b"evil.example" not in value for request in sent for _, value in request.headers)  # type: ignore[union-attr]


def test_a_context_is_a_snapshot() -> None:
    inbound = {"X-User": "alice"}
    context = CallContext(request_headers=inbound)
    client = Client(URL, get_headers=lambda ctx: {"X-User": ctx.request_headers["x-user"]}, **MODERN)
    server = PureServer("modern")
    operation = client.list_tools(context=context)
    inbound["X-User"] = "mallory"
    inbound.clear()
    server.driver.run(operation)
    assert headers_of(server.sent[0])["x-user"] == "alice"


@pytest.mark.parametrize("principal", ["", 0, 1, b"alice", False, ("a",)], ids=repr)
def test_an_odd_principal_is_refused(principal: Any) -> None:
    with pytest.raises(ConfigurationError, match="a principal is a non-empty string, or None"):
        CallContext(principal=principal)


@pytest.mark.parametrize("headers", [{b"x-user": "a"}, {"x-user": b"a"}, {"x-user": None}, {1: "a"}], ids=repr)
def test_inbound_headers_are_strings(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="request_headers maps strings to strings"):
        CallContext(request_headers=headers)


# A resolver raises.


@each_kind
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        KeyError("secret"),
        StopIteration("secret"),
        TimeoutError("secret"),
        UnauthorizedError("secret"),
        ExceptionGroup("secret", [ValueError()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_when_a_resolver_raises_nothing_is_sent(scene: str, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era)
    resolver = Recorder(lambda context: fail(error)(context) if context.kind is kind else None)
    if scene in QUIET:
        play(scene, server=server, get_headers=resolver)
        assert f"header resolver Recorder: raised {type(error).__name__}" in caplog.text
        assert "secret" not in caplog.text
    else:
        with pytest.raises(HeaderResolverError) as caught:
            play(scene, server=server, get_headers=resolver)
        assert caught.value.__cause__ is error
        assert (caught.value.server, "secret" in str(caught.value)) == (URL, False)
        assert caught.value.request
    assert server.of_kind(kind) == []
    assert len(resolver.of_kind(kind)) == 1


@each_loud_kind
def test_after_a_resolver_raised_the_client_and_its_other_calls_live_on(scene: str) -> None:
    act, server = SCENES[scene].act, PureServer(SCENES[scene].era)

    def resolver(context: RequestContext) -> dict[str, str]:
        if context.principal == "acme/bob":
            raise ValueError("missing user id")
        return {"X-User": "alice"}

    client = Client(URL, get_headers=resolver, **SCENES[scene].options)
    for _ in range(2):
        with pytest.raises(HeaderResolverError):
            act(client, server, BOB)
        act(client, server, ALICE)
    assert server.of_kind(SCENES[scene].kind)
    assert {headers_of(request)["x-user"] for request in server.sent} == {"alice"}


def test_the_second_resolver_is_not_asked_when_the_first_one_raises() -> None:
    second = Recorder()
    with pytest.raises(HeaderResolverError):
        send_once(get_headers=[fail(ValueError()), second])
    assert second.seen == []


@each_loud_kind
@pytest.mark.parametrize("cancellation", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_a_cancellation_in_a_resolver_passes_through_untouched(scene: str, cancellation: type[BaseException]) -> None:
    kind, act, server = SCENES[scene].kind, SCENES[scene].act, PureServer(SCENES[scene].era)
    raised = cancellation()

    def resolver(context: RequestContext) -> None:
        if context.kind is kind:
            raise raised

    client = Client(URL, get_headers=resolver, **SCENES[scene].options)
    with pytest.raises(cancellation) as caught:
        act(client, server, ALICE)
    assert caught.value is raised
    assert server.of_kind(kind) == []


def test_a_call_cancelled_in_its_resolver_leaves_nothing_behind() -> None:
    client = Client(URL, get_headers=Recorder({"X-A": "1"}))
    operation = client.list_tools(context=ALICE)
    assert isinstance(operation.next_command(), ResolveHeaders)
    assert operation.cancel() is None
    with pytest.raises(LocalProtocolError, match="is over"):
        operation.next_command()
    server = PureServer("modern")
    assert server.driver.run(client.list_tools(context=ALICE))
    assert [request.rpc_method for request in server.sent] == ["server/discover", "tools/list"]


# Every error of a call says where.


@each_loud_kind
def test_errors_name_the_server_and_the_request(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, Reply(500), times=9))
    with pytest.raises(McpError) as caught:
        play(scene, server=server, url=URL + "?q=secret")
    assert caught.value.server == URL
    assert caught.value.request
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "method", ["initialize", "notifications/initialized", "notifications/cancelled", "subscriptions/listen"]
)
def test_what_the_client_sends_itself_nobody_else_sends(method: str) -> None:
    client = Client(URL)
    for make in (client.request, client.notify):
        with pytest.raises(LocalProtocolError, match=f"{method} to {URL}: the client sends this itself"):
            make(method)


def test_a_client_can_be_used_without_a_context() -> None:
    server = PureServer("modern")
    client = Client(URL)
    driver: PureDriver = server.driver
    assert [tool.name for tool in driver.run(client.list_tools())] == ["search"]
    assert driver.run(client.call_tool("search")).text == "found"
    assert driver.run(client.ping()) is None
    assert driver.run(client.request("tools/list"))["tools"]
    assert driver.run(client.open()).capabilities.raw == {}
    assert client.server == URL
    assert client.close() == []


@pytest.mark.parametrize("options", [HANDSHAKE, SSE], ids=["session", "stream"])
def test_notifications_need_an_era_that_has_them(options: dict[str, Any]) -> None:
    server = PureServer("sse" if options is SSE else "handshake")
    server.driver.run(Client(URL, **options).notify("notifications/x", {"a": 1}))
    assert message_of(server.sent[-1]) == {"jsonrpc": "2.0", "method": "notifications/x", "params": {"a": 1}}
    with pytest.raises(LocalProtocolError, match="2026-07-28 has no notifications"):
        server.driver.run(Client(URL, **MODERN).notify("notifications/x"))
