"""The front of the pure half: what a client can be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.pure import Answer, PureDriver, Reply, error_reply, headers_of, message_of, result_reply
from support.stepping import FOUND, HANDSHAKE, MODERN, URL, HandshakeServer, SseServer, World, modern_server, world_of

from mcpcore import (
    CallContext,
    Client,
    ConfigurationError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    RemoteProtocolError,
    RpcError,
    SendRequest,
)

ERAS: dict[str, Callable[[], World]] = {
    "modern": lambda: world_of(modern_server, protocol_version=MODERN),
    "handshake": lambda: world_of(HandshakeServer(), protocol_version=HANDSHAKE),
    "HTTP+SSE": lambda: world_of(SseServer(), type="sse"),
}


def tool(name: Any = "x", **fields: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **fields}


def listing(*pages: dict[str, Any], **options: Any) -> World:
    """A server that lists these pages, named 1, 2 and so on."""

    def server(request: SendRequest) -> Answer:
        cursor = message_of(request)["params"].get("cursor", "0")
        return result_reply(request, pages[int(cursor or "1")])

    return world_of(server, protocol_version=MODERN, **options)


# Lists.


def test_all_pages() -> None:
    world = listing(
        {"tools": [tool("a"), tool("b")], "nextCursor": "1"},
        {"tools": [], "nextCursor": "2"},
        {"tools": [tool("c", title="C", description="does c", more=1)]},
    )
    tools = world.run(world.client.list_tools())
    assert [t.name for t in tools] == ["a", "b", "c"]
    assert (tools[2].title, tools[2].description, tools[2].raw["more"]) == ("C", "does c", 1)
    cursors = [message_of(request)["params"].get("cursor") for request in world.sent]
    assert cursors == [None, "1", "2"]


def test_every_page_has_headers_of_its_own() -> None:
    tokens = iter("abc")
    pages = [{"tools": [tool("a")], "nextCursor": "1"}, {"tools": [tool("b")]}]
    world = listing(*pages, get_headers=lambda _: {"X-Token": next(tokens)})
    world.run(world.client.list_tools(context=CallContext(principal="alice")))
    assert [headers_of(request)["x-token"] for request in world.sent] == ["a", "b"]


@pytest.mark.parametrize("cursor", [None, 0, 1, True, [], {}])
def test_what_is_no_cursor_ends_the_list(cursor: Any) -> None:
    world = listing({"tools": [tool()], "nextCursor": cursor})
    assert len(world.run(world.client.list_tools())) == 1
    assert len(world.sent) == 1


def test_an_empty_cursor_leads_to_another_page() -> None:
    """2026-07-28, "Pagination", Implementation Guidelines."""
    world = listing({"tools": [tool()], "nextCursor": ""}, {"tools": [tool()]})
    assert len(world.run(world.client.list_tools())) == 2
    assert message_of(world.sent[1])["params"]["cursor"] == ""


@pytest.mark.parametrize("back_to", ["1", "2"])
def test_pages_that_lead_in_a_circle(back_to: str) -> None:
    world = listing(
        {"tools": [], "nextCursor": "1"}, {"tools": [], "nextCursor": "2"}, {"tools": [], "nextCursor": back_to}
    )
    error = world.fail(world.client.list_tools())
    assert isinstance(error, RemoteProtocolError)
    assert (error.server, error.request) == (URL, "tools/list")
    assert len(world.sent) == 3


def test_too_many_pages() -> None:
    pages = [{"tools": [tool(str(n))], "nextCursor": str(n + 1)} for n in range(2)] + [{"tools": [tool("last")]}]
    assert len(world_run(listing(*pages, limits=Limits(pages=3)))) == 3
    world = listing(*pages, limits=Limits(pages=2))
    error = world.fail(world.client.list_tools())
    assert isinstance(error, LimitExceeded)
    assert (error.limit, error.request) == ("pages", "tools/list")
    assert len(world.sent) == 2


def world_run(world: World) -> list[Any]:
    return world.run(world.client.list_tools())


def test_one_bad_tool_does_not_spoil_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad = [{}, None, 1, [], {"name": "x"}, tool(""), tool(None), {"name": "x", "inputSchema": []}]
    world = listing({"tools": [tool("a"), *bad, tool("b")]})
    assert [t.name for t in world.run(world.client.list_tools())] == ["a", "b"]
    assert len(caplog.records) == len(bad)
    assert {(record.name, record.levelname) for record in caplog.records} == {("mcpcore", "WARNING")}
    assert all(URL in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("page", [{}, {"tools": None}, {"tools": {}}, {"tools": "x"}])
def test_a_page_without_a_list(page: dict[str, Any]) -> None:
    world = listing(page)
    error = world.fail(world.client.list_tools())
    assert isinstance(error, RemoteProtocolError)
    assert error.request == "tools/list"


# Calls.


@pytest.mark.parametrize("era", ERAS)
def test_a_tool_call(era: str) -> None:
    world = ERAS[era]()
    result = world.run(world.client.call_tool("x", {"a": 1}))
    assert (result.text, result.is_error, result.structured_content, result.raw) == ("found", False, None, FOUND)
    params = message_of(world.sent[-1])["params"]
    assert (params["name"], params["arguments"]) == ("x", {"a": 1})


def test_a_tool_call_without_arguments() -> None:
    world = ERAS["handshake"]()
    world.run(world.client.call_tool("x"))
    assert message_of(world.sent[-1])["params"] == {"name": "x"}
    world.run(world.client.call_tool("x", {}))
    assert message_of(world.sent[-1])["params"] == {"name": "x", "arguments": {}}


def test_arguments_are_read_when_the_call_is_made() -> None:
    world = ERAS["handshake"]()
    arguments = {"a": 1}
    operation = world.client.call_tool("x", arguments)
    arguments["a"] = 2
    world.run(operation)
    assert message_of(world.sent[-1])["params"]["arguments"] == {"a": 1}


def test_a_result_of_odd_shape() -> None:
    world = world_of(lambda r: result_reply(r, {"content": {}}), protocol_version=MODERN)
    error = world.fail(world.client.call_tool("x"))
    assert isinstance(error, RemoteProtocolError)
    assert error.request == "tools/call 'x'"


@pytest.mark.parametrize("era", ERAS)
def test_any_request(era: str) -> None:
    world = ERAS[era]()
    assert world.run(world.client.request("x/y", {"a": [1]})) == FOUND
    message = message_of(world.sent[-1])
    assert message["method"] == "x/y"
    assert message["params"]["a"] == [1]
    world.run(world.client.request("x/z"))
    message = message_of(world.sent[-1])
    assert message["method"] == "x/z"
    assert ("params" in message) is (era == "modern")


@pytest.mark.parametrize("era", ERAS)
def test_ping(era: str) -> None:
    world = ERAS[era]()
    assert world.run(world.client.ping()) is None
    assert world.methods()[-1] == ("server/discover" if era == "modern" else "ping")


@pytest.mark.parametrize("era", ["handshake", "HTTP+SSE"])
def test_any_notification(era: str) -> None:
    world = ERAS[era]()
    assert world.run(world.client.notify("notifications/x", {"a": 1})) is None
    message = message_of(world.sent[-1])
    assert message == {"jsonrpc": "2.0", "method": "notifications/x", "params": {"a": 1}}
    world.run(world.client.notify("notifications/y"))
    assert message_of(world.sent[-1]) == {"jsonrpc": "2.0", "method": "notifications/y"}


def test_a_notification_that_is_refused() -> None:
    world = ERAS["handshake"]()
    world.run(world.client.ping())
    world.server = lambda request: error_reply(request, -32601, 400)
    error = world.fail(world.client.notify("notifications/x"))
    assert isinstance(error, RpcError)
    assert (error.server, error.request) == (URL, "notifications/x")


@pytest.mark.parametrize("era", ERAS)
def test_open(era: str) -> None:
    world = ERAS[era]()
    discovery = world.run(world.client.open())
    expected = {"tools": {}} if era == "modern" else {}
    assert discovery.capabilities.raw == expected
    before = len(world.sent)
    assert world.run(world.client.open()) == discovery
    assert len(world.sent) == before + (era == "modern")


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "notifications/cancelled"])
def test_what_the_client_sends_by_itself(method: str) -> None:
    client = Client(URL)
    for act in (client.request, client.notify):
        with pytest.raises(LocalProtocolError) as caught:
            act(method)
        assert (caught.value.server, caught.value.request) == (URL, method)


# The client itself.


def test_a_client_shows_no_secret() -> None:
    client = Client(URL + "?key=secret", headers={"X-Key": "secret"}, auth_token="secret2")
    assert repr(client) == f"<Client of {URL}>"
    assert client.server == URL


def test_a_client_sends_nothing_by_itself() -> None:
    world = world_of(modern_server, get_headers=lambda _: {})
    world.client.call_tool("x")
    assert (world.sent, world.resolved) == ([], [])
    assert world.client.close() == []


@pytest.mark.parametrize(
    "options",
    [
        {"type": "stdio"},
        {"redirects": "always"},
        {"protocol_version": "2099-01-01"},
        {"protocol_version": ""},
        {"type": "sse", "protocol_version": MODERN},
        {"get_headers": 1},
        {"get_headers": [print, None]},
    ],
)
def test_a_configuration_that_can_never_work(options: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, TypeError)) as caught:
        Client(URL, **options)
    assert not isinstance(caught.value, ConfigurationError) or caught.value.server == URL


def test_the_digest_key_can_be_given() -> None:
    for key in (None, b"k" * 32):
        client = Client(URL, digest_key=key, protocol_version=HANDSHAKE)
        assert isinstance(client.ping().next_command(), SendRequest)


def test_a_short_digest_key_is_no_secret() -> None:
    with pytest.raises(ConfigurationError, match="digest_key") as caught:
        Client(URL, digest_key=b"k")
    assert "b'k'" not in str(caught.value)


def test_several_resolvers() -> None:
    world = world_of(
        modern_server,
        protocol_version=MODERN,
        get_headers=[lambda _: {"X-A": "1", "X-B": "1"}, lambda context: {"X-B": context.headers["x-a"] + "2"}],
    )
    world.run(world.client.ping())
    headers = headers_of(world.sent[0])
    assert (headers["x-a"], headers["x-b"]) == ("1", "12")


def test_a_call_after_the_client_was_closed_leaves_nothing_behind() -> None:
    server = HandshakeServer()
    world = world_of(server, protocol_version=HANDSHAKE)
    world.run(world.client.ping())
    [goodbye] = world.client.close()
    world.run(goodbye)
    world.run(world.client.ping())
    assert server.opened == 2
    assert world.methods()[-1] == "DELETE"
    assert world.client.close() == []


@pytest.mark.parametrize("info", [{}, {"name": "x"}, {"version": "1"}, {"name": 1, "version": "1"}])
def test_a_client_says_its_name_and_its_version(info: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="name and a version"):
        Client("https://mcp.example/mcp", client_info=info)


@pytest.mark.parametrize("method", ["x\r\ny", " x", "ünknown", ""])
def test_a_method_that_does_not_fit_its_header_is_not_sent(method: str) -> None:
    driver = PureDriver(lambda request: Reply(500))
    with pytest.raises(LocalProtocolError, match="method"):
        driver.run(Client("https://mcp.example/mcp", protocol_version="2026-07-28").request(method))
    assert driver.sent == []


# What resolvers are told of a ping, and what a definition may say in a log.


@pytest.mark.parametrize(
    ("era", "told"), [("modern", ("discover", "server/discover")), ("handshake", ("request", "ping"))]
)
def test_what_a_ping_is_to_a_resolver(era: str, told: tuple[str, str]) -> None:
    server, version = (modern_server, MODERN) if era == "modern" else (HandshakeServer(), HANDSHAKE)
    world = world_of(server, protocol_version=version, get_headers=lambda _: None)
    world.run(world.client.ping(context=CallContext(principal="p")))
    assert (world.resolved[-1].kind.value, world.resolved[-1].rpc_method) == told
    assert world.sent[-1].kind is world.resolved[-1].kind


def test_a_definition_that_is_left_out_is_logged_safely(caplog: pytest.LogCaptureFixture) -> None:
    world = listing({"tools": [{"name": "x\nCRITICAL root \x1b[2J"}]})
    assert world.run(world.client.list_tools()) == []
    [record] = caplog.records
    assert "CRITICAL root" in record.getMessage()
    assert not any(character in record.getMessage() for character in "\n\r\x1b")
