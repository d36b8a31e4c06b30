"""Secrets never surface: a marker in every secret place, and a search of all that prints, logs and pickles."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, headers_of, result_reply
from support.scenes import RESULTS, SCENES, PureServer, each_kind, each_loud_kind, each_quiet_kind, reachable

from mcpcore import (
    CallContext,
    Challenge,
    Client,
    Command,
    ConfigurationError,
    McpError,
    Operation,
    RequestContext,
    RequestKind,
    SendRequest,
    TransportError,
)
from mcpcore.redaction import redact_names, redact_url, repr_of_name

MARK = "S3CRET"
URL = f"https://mcp.example/mcp?key={MARK}#{MARK}"


class Opaque:
    """A user's own object, whose ``repr`` is nobody's to print."""

    def __repr__(self) -> str:
        return MARK


def context() -> CallContext:
    headers = {"X-Inbound": MARK, "Cookie": MARK, "X-Forwarded": MARK}
    return CallContext(principal="acme/alice", request_headers=headers, user=Opaque(), input={"text": MARK})


def resolver(context: RequestContext) -> dict[str, str]:
    return {"Authorization": f"Bearer {MARK}", "X-Resolved": MARK}


def secretive(request: SendRequest) -> Answer | None:
    """A server that gives away secrets of its own."""
    if request.kind is RequestKind.INITIALIZE and request.url.startswith("https://mcp.example/mcp"):
        return result_reply(request, RESULTS["initialize"], mcp_session_id=MARK, set_cookie=MARK)
    if request.kind is RequestKind.LISTEN:
        data = f"event: endpoint\ndata: /messages?session={MARK}\n\n".encode()
        return Reply(200, {"content-type": "text/event-stream", "set-cookie": MARK}, [data])
    return None


def assert_clean(value: object) -> None:
    for text in (repr(value), str(value), f"{value}"):
        assert MARK not in text, f"a secret surfaces in {type(value).__name__}: {text}"


@define
class Watching(PureDriver):
    """A driver that looks, at each step, at everything of ours that the step can reach."""

    roots: list[object] = field(factory=list)
    seen: set[str] = field(factory=set)

    def perform(self, operation: Operation[Any], command: Command, bodies: list[Any]) -> None:
        self.look(command, operation)
        super().perform(operation, command, bodies)

    def look(self, *steps: object) -> None:
        for item in reachable((*steps, *self.roots)):
            if type(item).__module__.startswith("mcpcore"):
                self.seen.add(type(item).__name__)
                assert_clean(item)


def act(
    scene: str,
    instead: Callable[[SendRequest], Answer | None] = secretive,
    driver: type[PureDriver] = PureDriver,
    **options: Any,
) -> PureDriver:
    """Play a scene with secrets everywhere."""
    server = PureServer(SCENES[scene].era, instead)
    options = {"get_headers": resolver, "forward": ["x-forwarded"], "headers": {"X-Static": MARK}, **options}
    client = Client(URL, **SCENES[scene].options, **options)
    server.driver = driver(server.answer)
    if isinstance(server.driver, Watching):
        server.driver.roots.append(client)
    SCENES[scene].act(client, server, context())
    return server.driver


@each_kind
@pytest.mark.parametrize("options", [{}, {"auth_token": MARK, "get_headers": lambda _: {"X-Resolved": MARK}}], ids=repr)
def test_nothing_that_a_call_holds_shows_a_secret(scene: str, options: dict[str, Any]) -> None:
    driver = act(scene, driver=Watching, **options)
    assert isinstance(driver, Watching)
    driver.look()
    last = driver.sent[-1]
    assert [value for value in headers_of(last).values() if MARK in value], "the secrets were never there"
    expected = {"Client", "ClientState", "Operation", "Call", "CallContext", "RequestContext", "SendRequest"}
    expected |= {"HeaderPipeline", "Resolution", "Outbound", "Exchange", "Partition", "Endpoint"}
    assert expected <= driver.seen


def refusing(scene: str, answer: Answer) -> Callable[[SendRequest], Answer | None]:
    kind = SCENES[scene].kind
    return lambda request: answer if request.kind is kind else secretive(request)


REFUSALS: dict[str, Answer] = {
    "401": Reply(401, {"www-authenticate": "Bearer", "set-cookie": MARK}),
    "403": Reply(403, {}, [MARK.encode()]),
    "429": Reply(429, {"x-debug": MARK}),
    "500": Reply(500, {"content-type": "application/json"}, [f'{{"debug":"{MARK}"}}'.encode()]),
    "redirect": Reply(307, {"location": f"https://user:{MARK}@evil.example/?{MARK}#{MARK}"}),
    "bad redirect": Reply(307, {"location": f"https://[{MARK}"}),
    "same-origin redirect": Reply(307, {"location": f"/loop?{MARK}"}),
    "session id": Reply(200, {"content-type": "application/json", "mcp-session-id": f"{MARK}\x7f"}),
    "network": TransportError("the connection broke"),
}


def error_of(scene: str, instead: Callable[[SendRequest], Answer | None] = secretive, **options: Any) -> McpError:
    with pytest.raises(McpError) as caught:
        act(scene, instead, **options)
    return caught.value


def assert_error_clean(error: McpError) -> None:
    assert_clean(error)
    for value in (*error.args, *vars(error).values()):
        assert_clean(value)
    assert MARK.encode() not in pickle.dumps(error)
    assert_clean(pickle.loads(pickle.dumps(error)))
    assert MARK not in "".join(traceback.format_exception(error))


@each_loud_kind
@pytest.mark.parametrize("refusal", REFUSALS)
def test_no_error_holds_a_secret(scene: str, refusal: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for redirects in ("never", "same-origin"):
        assert_error_clean(error_of(scene, refusing(scene, REFUSALS[refusal]), redirects=redirects))
    assert_records_clean(caplog)


@pytest.mark.parametrize(
    "returned",
    [
        {MARK + " ": "v"},
        {"X-A": MARK + "\n"},
        {"X-A": MARK, "x-a": MARK},
        {"Cookie": MARK},
        {"X-A": MARK.encode()},
        [MARK],
        MARK,
        {(MARK,): MARK},
    ],
    ids=repr,
)
@each_loud_kind
def test_no_error_about_a_resolver_holds_a_secret(scene: str, returned: Any) -> None:
    assert_error_clean(error_of(scene, get_headers=lambda _: returned))


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, {"content-type": f"text/plain; x={MARK}"}, [MARK.encode()]),
        Reply(200, {"content-type": "application/json"}, [MARK.encode()]),
        Reply(200, {"content-type": "text/event-stream"}, [f"data: {MARK}\n\n".encode()]),
        Reply(200, {"content-type": "text/event-stream"}, [f"id: {MARK}\ndata: \n\n".encode()]),
        Reply(200, {"set-cookie": MARK, "x-long": MARK * 20_000}),
    ],
)
def test_no_error_about_what_a_server_sent_holds_a_secret(answer: Answer) -> None:
    assert_error_clean(error_of("list, modern", lambda _: answer))


def test_an_error_about_a_forwarded_header_holds_no_secret() -> None:
    server = PureServer("modern")
    client = Client(URL, forward=["x-a"])
    with pytest.raises(McpError) as caught:
        server.driver.run(client.list_tools(context=CallContext(request_headers={"X-A": MARK + "\n"})))
    assert_error_clean(caught.value)


@pytest.mark.parametrize(
    "configure",
    [
        lambda: Client(f"https://user:{MARK}@mcp.example/"),
        lambda: Client(f"https://{MARK}@mcp.example:99999/"),
        lambda: Client(f"https://user:{MARK}@ex\u2100mple/"),
        lambda: Client(f"https://[{MARK}]/"),
        lambda: Client(f"ftp://mcp.example/?{MARK}"),
        lambda: Client(f"https://mcp.example/ ?{MARK}"),
        lambda: Client(URL, headers={"X-A": MARK + "\n"}),
        lambda: Client(URL, headers={MARK + "\n": "v"}),
        lambda: Client(URL, headers={"Cookie": MARK}),
        lambda: Client(URL, headers=[MARK]),  # type: ignore[arg-type]
        lambda: Client(URL, auth_token=MARK + "\n"),
        lambda: Client(URL, auth_token=MARK.encode()),  # type: ignore[arg-type]
        lambda: Client(URL, auth_token=MARK, headers={"Authorization": MARK}),
        lambda: Client(URL.replace("https", "http"), auth_token=MARK),
        lambda: Client(URL, get_headers={"X-A": MARK}),  # type: ignore[arg-type]
        lambda: Client(URL, forward=[MARK + "\n"]),
        lambda: Client(URL, protocol_version="x"),
        lambda: CallContext(request_headers={"X-A": MARK, "x-a": MARK + "2"}),
        lambda: CallContext(request_headers={"X-A": MARK.encode()}),  # type: ignore[dict-item]
        lambda: CallContext(principal=[MARK]),  # type: ignore[arg-type]
    ],
)
def test_no_error_at_construction_holds_a_secret(configure: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure()
    error = caught.value
    assert_clean(error)
    assert MARK.encode() not in pickle.dumps(error)
    # The traceback quotes this file, but neither the message nor the chain may quote the value.
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


def assert_records_clean(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        assert MARK not in record.getMessage()
        assert MARK not in repr(record.args)
        assert MARK not in repr(vars(record))


@each_quiet_kind
@pytest.mark.parametrize("refusal", REFUSALS)
def test_no_log_record_holds_a_secret(scene: str, refusal: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    act(scene, refusing(scene, REFUSALS[refusal]))
    assert caplog.records
    assert_records_clean(caplog)


def test_a_resource_is_named_without_what_may_be_secret_in_its_uri() -> None:
    uri = f"https://user:{MARK}@files.example/a?token={MARK}#{MARK}"
    told: list[RequestContext] = []
    server = PureServer("modern", lambda _: TransportError("broken"))
    server.driver = Watching(server.answer)
    client = Client(URL, protocol_version="2026-07-28", get_headers=told.append)
    with pytest.raises(McpError) as caught:
        server.driver.run(client.request("resources/read", {"uri": uri}))
    assert told[0].rpc_name == server.sent[0].rpc_name == uri
    assert caught.value.request == "resources/read 'https://files.example/a'"
    assert_clean(told[0])
    assert_clean(server.sent[0])
    assert_error_clean(caught.value)


def test_what_prints_still_says_something() -> None:
    assert repr(Client(URL)) == "<Client of https://mcp.example/mcp>"
    assert repr(context()) == (
        "CallContext(principal='acme/alice', request_headers={x-inbound: ***, cookie: ***, x-forwarded: ***})"
    )
    driver = act("call, modern")
    assert "request_headers={x-inbound: ***" in repr(driver.resolved[0])
    assert "url=https://mcp.example/mcp," in repr(driver.resolved[0])
    assert "rpc_name='search'" in repr(driver.resolved[0])
    assert "headers=[content-type, accept" in repr(driver.sent[0])
    assert repr(Challenge("Bearer", {"realm": MARK}, MARK)) == "Challenge(scheme='Bearer', parameters={realm: ***})"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@mcp.example:1/a/b?q#f", "https://mcp.example:1/a/b"),
        ("https://MCP.example", "https://mcp.example"),
        ("http://[::1]:8/x?q", "http://[::1]:8/x"),
        ("http://u@[::1]", "http://[::1]"),
        ("/path?q", "/path"),
        ("", ""),
        ("file:///etc/x?q", "file:///etc/x"),
        ("urn:a:b?q", "urn:a:b"),
        ("https://mcp.example:99999/", "***"),
        ("https://[::1", "***"),
    ],
)
def test_a_url_is_shown_by_origin_and_path(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_a_url_is_shown_as_far_as_a_person_reads_on_and_says_nothing_to_a_terminal() -> None:
    shown = redact_url("https://evil.example/\x1b]0;pwned\x07\u202e" + "y" * 1000)
    assert shown.isprintable()
    assert shown.startswith("https://evil.example/?]0;pwned?")
    assert len(shown) == 300


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (None, "None"),
        ("", "''"),
        ("search", "'search'"),
        ("ns:tool/a", "'ns:tool/a'"),
        ("file:///a b", "'file:///a b'"),
        ("https://u:p@x/a?q", "'https://x/a'"),
        ("https://x/a#f", "'https://x/a'"),
        ("note:x?token=1", "'note:x'"),
        ("it's", '"it\'s"'),
    ],
)
def test_what_a_request_names_is_shown_without_userinfo_and_query(name: str | None, shown: str) -> None:
    assert repr_of_name(name) == shown


def test_headers_are_shown_by_name() -> None:
    assert redact_names({"a": MARK, "b": MARK}) == "{a: ***, b: ***}"
    assert redact_names([]) == "{}"


def test_an_argument_that_travels_as_a_header_is_shown_by_name() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string", "x-mcp-header": "Region"}}}

    def answer(request: SendRequest) -> Answer | None:
        tools = [{"name": "search", "inputSchema": schema}]
        return result_reply(request, {"tools": tools}) if request.rpc_method == "tools/list" else None

    server = PureServer("modern", answer)
    server.driver = Watching(server.answer)
    client = Client(URL, protocol_version="2026-07-28")
    server.driver.run(client.list_tools())
    server.driver.run(client.call_tool("search", {"q": MARK}))
    assert headers_of(server.sent[-1])["mcp-param-region"] == MARK
    assert "mcp-param-region" in repr(server.sent[-1]).lower()
    assert_clean(server.sent[-1])
