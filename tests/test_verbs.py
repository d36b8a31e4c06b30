"""Every verb in every revision: what is sent, and what is made of the answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from attrs import define, frozen
from support.channels import Peer, channel_world
from support.pure import Answer, PureDriver, Reply, error_reply, headers_of, message_of, result_reply
from support.schema import SPEC, check_sent
from support.stepping import OLDEST, REVISIONS, URL, SseServer, initialize_result

from mcpcore import (
    PROMPTS,
    RESOURCE_TEMPLATES,
    RESOURCES,
    TOOLS,
    CallContext,
    Client,
    CompleteResult,
    GetPromptResult,
    Handlers,
    Limits,
    Listing,
    LocalProtocolError,
    Operation,
    Page,
    Prompt,
    PromptReference,
    ReadResourceResult,
    RemoteProtocolError,
    RequestKind,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    RpcError,
    SendRequest,
    Tool,
)
from mcpcore.rules.metadata import LOG_LEVEL_KEY

ALICE, BOB, NOBODY = CallContext(principal="alice"), CallContext(principal="bob"), CallContext()
MODERN, LATEST = "2026-07-28", "2025-11-25"
HANDSHAKE_ERA = [revision for revision in REVISIONS if revision != MODERN]

TOOL: dict[str, Any] = {"name": "t", "inputSchema": {"type": "object"}}
RESULTS: dict[str, dict[str, Any]] = {
    "server/discover": {"supportedVersions": [MODERN], "capabilities": {}},
    "tools/list": {"tools": [TOOL, {"name": "no schema"}]},
    "tools/call": {"content": [{"type": "text", "text": "called"}]},
    "resources/list": {"resources": [{"uri": "file:///a", "name": "a"}, {"name": "no uri"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": "file:///{a}", "name": "a"}, 1]},
    "resources/read": {"contents": [{"uri": "file:///a", "text": "A"}]},
    "prompts/list": {"prompts": [{"name": "p"}, {}]},
    "prompts/get": {"messages": [{"role": "user", "content": {"type": "text", "text": "Hi"}}]},
    "completion/complete": {"completion": {"values": ["python"], "total": 1}},
}
EVERYTHING = {"logging": {}, "resources": {"subscribe": True}}


@define
class AnyServer:
    """Answers everything, in one revision."""

    revision: str
    capabilities: Mapping[str, Any] = EVERYTHING

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "initialize":
            result = {**initialize_result(self.revision), "capabilities": dict(self.capabilities)}
            return result_reply(request, result, mcp_session_id="s1")
        if "id" not in message_of(request):
            return Reply(202)
        return result_reply(request, RESULTS.get(request.rpc_method or "", {}))


@frozen
class Verb:
    """One verb.

    :ivar method: what is sent for it, by era.
    :ivar read: a value to expect, made of the result.
    """

    ask: Callable[[Client], Operation[Any]]
    handshake: tuple[str, dict[str, Any]] | None
    modern: tuple[str, dict[str, Any]] | None
    read: Callable[[Any], object] = lambda result: result
    expected: object = None


def same(ask: Callable[[Client], Operation[Any]], method: str, params: dict[str, Any], **more: Any) -> Verb:
    return Verb(ask, (method, params), (method, params), **more)


def texts(result: GetPromptResult) -> list[str]:
    return [message.content.text for message in result.messages]  # type: ignore[union-attr]  # it is text


VERBS: dict[str, Verb] = {
    "list_tools": same(lambda c: c.list_tools(), "tools/list", {}, expected=[Tool("t", {"type": "object"})]),
    "list_resources": same(lambda c: c.list_resources(), "resources/list", {}, expected=[Resource("file:///a", "a")]),
    "list_resource_templates": same(
        lambda c: c.list_resource_templates(),
        "resources/templates/list",
        {},
        expected=[ResourceTemplate("file:///{a}", "a")],
    ),
    "list_prompts": same(lambda c: c.list_prompts(), "prompts/list", {}, expected=[Prompt("p")]),
    "list_page": same(
        lambda c: c.list_page(PROMPTS, "c"), "prompts/list", {"cursor": "c"}, expected=Page([Prompt("p")], None)
    ),
    "call_tool": same(
        lambda c: c.call_tool("t", {"q": 1}),
        "tools/call",
        {"name": "t", "arguments": {"q": 1}},
        read=lambda result: result.text,
        expected="called",
    ),
    "call_tool, no arguments": same(
        lambda c: c.call_tool("t"), "tools/call", {"name": "t"}, read=lambda result: result.text, expected="called"
    ),
    "read_resource": same(
        lambda c: c.read_resource("file:///a"),
        "resources/read",
        {"uri": "file:///a"},
        read=lambda result: [contents.text for contents in result.contents],
        expected=["A"],
    ),
    "get_prompt": same(
        lambda c: c.get_prompt("p", {"style": "kind"}),
        "prompts/get",
        {"name": "p", "arguments": {"style": "kind"}},
        read=texts,
        expected=["Hi"],
    ),
    "get_prompt, no arguments": same(
        lambda c: c.get_prompt("p"), "prompts/get", {"name": "p"}, read=texts, expected=["Hi"]
    ),
    "complete": same(
        lambda c: c.complete(PromptReference("p"), "language", "py"),
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "language", "value": "py"}},
        read=lambda result: result.completion.values,
        expected=["python"],
    ),
    "complete, with others": same(
        lambda c: c.complete(ResourceTemplateReference("file:///{a}"), "a", "x", arguments={"b": "y"}),
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "file:///{a}"},
            "argument": {"name": "a", "value": "x"},
            "context": {"arguments": {"b": "y"}},
        },
        read=lambda result: result.completion.total,
        expected=1,
    ),
    "ping": Verb(lambda c: c.ping(), ("ping", {}), ("server/discover", {})),
    "set_log_level": Verb(lambda c: c.set_log_level("error"), ("logging/setLevel", {"level": "error"}), None),
    "roots_changed": Verb(lambda c: c.roots_changed(), ("notifications/roots/list_changed", {}), None),
    "subscribe_resource": Verb(
        lambda c: c.subscribe_resource("file:///a"), ("resources/subscribe", {"uri": "file:///a"}), None
    ),
    "unsubscribe_resource": Verb(
        lambda c: c.unsubscribe_resource("file:///a"), ("resources/unsubscribe", {"uri": "file:///a"}), None
    ),
}
ONLY_HANDSHAKE = {"subscribe_resource", "unsubscribe_resource"}
OPENING = {"initialize", "notifications/initialized"}


def asked_of(driver: PureDriver) -> list[tuple[str | None, dict[str, Any]]]:
    """What was asked, without what opens a session and what every request says."""
    messages = [message_of(request) for request in driver.sent if request.rpc_method not in OPENING]
    return [
        (m["method"], {name: value for name, value in m.get("params", {}).items() if name != "_meta"}) for m in messages
    ]


def check_all(driver: PureDriver, revision: str) -> None:
    for request in driver.sent if SPEC is not None else ():
        check_sent(revision, request)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("name", VERBS)
def test_every_verb_in_every_revision(name: str, revision: str) -> None:
    verb, driver = VERBS[name], PureDriver(AnyServer(revision))
    operation = verb.ask(Client(URL, protocol_version=revision))
    if revision == MODERN and name in ONLY_HANDSHAKE:
        with pytest.raises(LocalProtocolError, match=r"2026-07-28 has no .*; listen to the resource instead"):
            driver.run(operation)
        assert driver.sent == []
        return
    assert verb.read(driver.run(operation)) == verb.expected
    expected = verb.modern if revision == MODERN else verb.handshake
    assert asked_of(driver) == ([] if expected is None else [expected])
    check_all(driver, revision)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_over_http_sse(name: str) -> None:
    server = SseServer(results=lambda request: RESULTS.get(request.rpc_method or "", {}))
    driver: Any = PureDriver(server)
    server.world = driver
    verb = VERBS[name]
    operation = verb.ask(Client(URL, type="sse", protocol_version=OLDEST))
    if name in ("set_log_level", *ONLY_HANDSHAKE):
        with pytest.raises(LocalProtocolError, match="the server did not declare the capability"):
            driver.run(operation)
        return
    assert verb.read(driver.run(operation)) == verb.expected
    check_all(driver, OLDEST)


@pytest.mark.parametrize(
    ("name", "capabilities", "missing"),
    [
        ("set_log_level", {}, "logging"),
        ("set_log_level", {"logging": True}, "logging"),
        ("subscribe_resource", {}, "resources.subscribe"),
        ("subscribe_resource", {"resources": {}}, "resources.subscribe"),
        ("unsubscribe_resource", {"resources": {"subscribe": False}}, "resources.subscribe"),
    ],
)
def test_a_session_is_asked_only_for_what_its_server_declared(
    name: str, capabilities: dict[str, Any], missing: str
) -> None:
    driver = PureDriver(AnyServer(LATEST, capabilities))
    with pytest.raises(LocalProtocolError, match=f"did not declare the capability {missing}"):
        driver.run(VERBS[name].ask(Client(URL, protocol_version=LATEST)))
    assert asked_of(driver) == []


def test_what_cannot_be_used_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("list_tools", "list_resources", "list_resource_templates", "list_prompts"):
        PureDriver(AnyServer(MODERN)).run(VERBS[name].ask(Client(URL, protocol_version=MODERN)))
    nouns = ["tool", "resource", "resource template", "prompt"]
    assert [record.message.split(": ")[1] for record in caplog.records] == [f"a {noun} is left out" for noun in nouns]


@pytest.mark.parametrize("listing", [TOOLS, RESOURCES, RESOURCE_TEMPLATES, PROMPTS])
def test_a_list_that_is_none(listing: Listing[Any]) -> None:
    client = Client(URL, protocol_version=MODERN)
    driver = PureDriver(lambda request: result_reply(request, {"nextCursor": "c"}))
    with pytest.raises(RemoteProtocolError, match=f"the list of {listing.noun}s is not a list"):
        driver.run(client.list_page(listing))


@pytest.mark.parametrize(("revision", "cursor"), [(MODERN, ""), (LATEST, None)])
def test_an_empty_cursor_is_one_in_the_modern_era_alone(revision: str, cursor: str | None) -> None:
    def server(request: SendRequest) -> Answer:
        if request.rpc_method != "prompts/list":
            return AnyServer(revision)(request)
        return result_reply(request, {"prompts": [], "nextCursor": ""})

    client = Client(URL, protocol_version=revision)
    assert PureDriver(server).run(client.list_page(PROMPTS)).next_cursor == cursor


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (lambda c: c.read_resource("file:///a"), ReadResourceResult),
        (lambda c: c.get_prompt("p"), GetPromptResult),
        (lambda c: c.complete(PromptReference("p"), "a", ""), CompleteResult),
    ],
)
def test_an_answer_that_cannot_be_read(ask: Callable[[Client], Operation[Any]], kind: type[Any]) -> None:
    driver = PureDriver(lambda request: result_reply(request, {}))
    operation = ask(Client(URL, protocol_version=MODERN))
    with pytest.raises(RemoteProtocolError):
        driver.run(operation)
    with pytest.raises(RemoteProtocolError):
        kind.from_json({})


# How much is logged, in the modern era.


def levels(driver: PureDriver) -> list[str | None]:
    return [message_of(request)["params"]["_meta"].get(LOG_LEVEL_KEY) for request in driver.sent]


def test_each_request_says_how_much_is_to_be_logged_for_whom() -> None:
    driver = PureDriver(AnyServer(MODERN))
    client = Client(URL, protocol_version=MODERN, handlers=Handlers(log=print))
    run = driver.run
    run(client.set_log_level("debug", context=ALICE))
    for context in (ALICE, BOB, NOBODY):
        run(client.call_tool("t", context=context))
    run(client.set_log_level("error"))
    for context in (ALICE, BOB, NOBODY):
        run(client.call_tool("t", context=context))
    run(client.open(context=ALICE))
    assert levels(driver) == ["debug", None, None, "debug", None, "error", None]
    check_all(driver, MODERN)


def test_nobody_who_has_no_handler_for_logs_asks_for_them() -> None:
    driver = PureDriver(AnyServer(MODERN))
    client = Client(URL, protocol_version=MODERN)
    driver.run(client.set_log_level("debug", context=ALICE))
    driver.run(client.call_tool("t", context=ALICE))
    assert levels(driver) == [None]


def test_nobody_without_a_name_says_how_much_is_logged_for_all_the_others() -> None:
    """Without principals, identities are what resolvers show; a level of one of them is no matter of another's."""
    driver = PureDriver(AnyServer(MODERN))
    client = Client(URL, protocol_version=MODERN, handlers=Handlers(log=print), get_headers=lambda _: {"X-User": "a"})
    with pytest.raises(LocalProtocolError, match="whose log level"):
        driver.run(client.set_log_level("debug"))
    driver.run(client.call_tool("t"))
    assert levels(driver) == [None]


# A header that the server misses.


def annotated(header: str) -> dict[str, Any]:
    properties = {"region": {"type": "string", "x-mcp-header": header}}
    return {"name": "t", "inputSchema": {"type": "object", "properties": properties}}


@define
class Strict:
    """Wants an argument as a header, by a name that it changes.

    :ivar definition: how it lists the tool now.
    """

    header: str
    definition: dict[str, Any] | None
    lists: bool = True

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "tools/list":
            tools = [] if self.definition is None else [self.definition]
            return result_reply(request, {"tools": tools}) if self.lists else error_reply(request, -32603, 500)
        if f"mcp-param-{self.header.lower()}" not in headers_of(request):
            return error_reply(request, -32020, 400)
        return result_reply(request, RESULTS["tools/call"])


def methods(driver: PureDriver) -> list[str | None]:
    return [request.rpc_method for request in driver.sent]


AGAIN = ["tools/call", "tools/list", "tools/call"]


@pytest.mark.parametrize("knows", [False, True])
def test_a_refused_header_has_the_tool_looked_at_again_and_called_once_more(knows: bool) -> None:
    server = Strict("Region", annotated("Region"))
    driver, client = PureDriver(server), Client(URL, protocol_version=MODERN, clock=lambda: 0.0)
    if knows:  # what was listed has changed since
        driver.run(client.list_tools(context=ALICE))
        server.header, server.definition = "Area", annotated("Area")
        driver.sent.clear()
    assert driver.run(client.call_tool("t", {"region": "eu"}, context=ALICE)).text == "called"
    assert methods(driver) == AGAIN
    first, _, last = driver.sent
    assert headers_of(last)[f"mcp-param-{server.header.lower()}"] == "eu"
    assert message_of(first)["params"] == message_of(last)["params"]
    assert message_of(first)["id"] != message_of(last)["id"]
    driver.run(client.call_tool("t", {"region": "eu"}, context=ALICE))
    assert methods(driver) == [*AGAIN, "tools/call"]


@pytest.mark.parametrize(
    ("server", "sent"),
    [
        (Strict("Region", annotated("Area")), AGAIN),
        (Strict("Region", None), AGAIN[:2]),
        (Strict("Region", annotated("Region"), lists=False), AGAIN[:2]),
    ],
)
def test_a_header_that_is_missed_again_is_an_error(
    server: Strict, sent: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    driver = PureDriver(server)
    with pytest.raises(RpcError) as caught:
        driver.run(Client(URL, protocol_version=MODERN).call_tool("t", {"region": "eu"}))
    assert (caught.value.code, methods(driver)) == (-32020, sent)
    assert ("could not be asked for again" in caplog.text) == (not server.lists)


def test_other_errors_and_other_eras_have_nothing_looked_at_again() -> None:
    for revision, code in ((MODERN, -32602), (LATEST, -32020)):

        def server(request: SendRequest, revision: str = revision, code: int = code) -> Answer:
            if request.rpc_method == "tools/call":
                return error_reply(request, code)
            return AnyServer(revision)(request)

        driver = PureDriver(server)
        with pytest.raises(RpcError):
            driver.run(Client(URL, protocol_version=revision).call_tool("t"))
        assert "tools/list" not in methods(driver)


def test_a_definition_that_the_caller_has_need_not_be_asked_for() -> None:
    driver = PureDriver(Strict("Region", None))
    client = Client(URL, protocol_version=MODERN)
    mine = Tool.from_json(annotated("Region"))
    assert driver.run(client.call_tool(mine, {"region": "eu"}, context=ALICE)).text == "called"
    # It was for that call alone.
    with pytest.raises(RpcError):
        driver.run(client.call_tool("t", {"region": "eu"}, context=ALICE))
    assert methods(driver) == ["tools/call", "tools/call", "tools/list"]


def test_a_definition_that_is_out_of_date_is_looked_at_again() -> None:
    driver = PureDriver(Strict("Region", annotated("Region")))
    old = Tool.from_json(annotated("Area"))
    assert driver.run(Client(URL, protocol_version=MODERN).call_tool(old, {"region": "eu"})).text == "called"
    assert [name for request in driver.sent for name in headers_of(request) if name.startswith("mcp-param")] == [
        "mcp-param-area",
        "mcp-param-region",
    ]


def test_a_definition_that_is_unusable_is_not_used() -> None:
    driver = PureDriver(Strict("Region", None))
    with pytest.raises(RemoteProtocolError):
        driver.run(Client(URL, protocol_version=MODERN).call_tool(Tool.from_json(annotated("no token")), {}))
    assert driver.sent == []


def test_in_the_handshake_era_annotations_mean_nothing() -> None:
    driver = PureDriver(AnyServer(LATEST))
    mine = Tool.from_json(annotated("no token"))
    assert driver.run(Client(URL, protocol_version=LATEST).call_tool(mine, {"region": "eu"})).text == "called"
    assert not any(name.startswith("mcp-param") for request in driver.sent for name in headers_of(request))


def test_the_looking_again_is_the_callers_own(caplog: pytest.LogCaptureFixture) -> None:
    """Bob's list is not asked for by Alice's call, and hers brings him nothing."""
    caplog.set_level(logging.CRITICAL)
    told: list[tuple[RequestKind, str | None, str | None]] = []

    def resolver(context: Any) -> dict[str, str]:
        told.append((context.kind, context.rpc_method, context.principal))
        return {"X-User": context.principal}

    driver = PureDriver(Strict("Region", annotated("Region")))
    client = Client(URL, protocol_version=MODERN, get_headers=resolver, limits=Limits(pages=1))
    for context in (ALICE, BOB):
        driver.run(client.call_tool("t", {"region": "eu"}, context=context))
    assert [principal for _, _, principal in told] == ["alice"] * 3 + ["bob"] * 3
    assert methods(driver) == AGAIN * 2


def test_over_a_channel_a_list_is_kept_too() -> None:
    world = channel_world(Peer(LATEST, results=lambda _: RESULTS["tools/list"]), clock=lambda: 0.0, default_ttl=9.0)
    for _ in range(2):
        assert [tool.name for tool in world.run(world.client.list_tools())] == ["t"]
    assert world.methods().count("tools/list") == 1
