"""What a server asks of its client in the handshake era, on a call's own stream or on that of HTTP+SSE."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, message_of, result_reply, sse_reply
from support.schema import SPEC, check_sent
from support.stepping import (
    FOUND,
    URL,
    HandshakeServer,
    Play,
    SseServer,
    event,
    initialize_result,
    world_of,
)

from mcpcore import (
    BY_HAND,
    CallContext,
    CallHandler,
    Client,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    Handlers,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    LogMessage,
    NotSentError,
    RemoteProtocolError,
    RequestContext,
    RequestKind,
    Root,
    RpcError,
    SendRequest,
    Spawn,
    TextContent,
)

ALICE = CallContext(principal="acme/alice", user="Alice")
LATEST = "2025-11-25"
REVISIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]

SIZES: dict[str, Any] = {
    "type": "object",
    "properties": {
        "size": {"type": "string", "enum": ["S", "L"]},
        "gift": {"type": "boolean", "default": False},
    },
    "required": ["size"],
}
SAID = CreateMessageResult("assistant", TextContent("Paris"), "some-model", "endTurn")
ROOT = Root("file:///home/alice", "home")

FORM: dict[str, Any] = {"message": "Which size?", "requestedSchema": SIZES}
LINK: dict[str, Any] = {"mode": "url", "message": "Pay, please.", "url": "https://pay.example", "elicitationId": "e"}
PROMPT: dict[str, Any] = {
    "messages": [{"role": "user", "content": {"type": "text", "text": "Capital of France?"}}],
    "maxTokens": 9,
}
WITH_TOOLS = {**PROMPT, "tools": [{"name": "t", "inputSchema": {"type": "object"}}]}


@define
class Desk:
    """Answers everything, and remembers what it was asked and in which context."""

    answers: dict[str, Any] = field(factory=dict[str, Any])
    asked: list[Any] = field(factory=list[Any])

    def handlers(self, *names: str, **options: Any) -> Handlers:
        named = {name: self.handler(name) for name in names or ("elicit", "elicit_url", "sample", "roots", "log")}
        return Handlers(**{**named, **options})

    def handler(self, name: str) -> Any:
        usual = {
            "elicit": ElicitResult.accept({"size": "L"}),
            "elicit_url": ElicitResult.accept(),
            "sample": SAID,
            "roots": [ROOT],
        }

        def handle(request: Any, context: CallContext) -> Any:
            self.asked.append((request, context))
            answer = self.answers.get(name, usual.get(name))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle


def question(method: str, params: Mapping[str, Any] | None = None, number: int | str = "q") -> dict[str, Any]:
    asked = {} if params is None else {"params": dict(params)}
    return {"jsonrpc": "2.0", "id": number, "method": method, **asked}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


@define
class Talk:
    """One tool call whose server says something first.

    :ivar driver: what went out.
    :ivar result: what came of the call, or what it raised.
    """

    driver: PureDriver
    client: Client
    result: Any = None

    @property
    def replies(self) -> list[dict[str, Any]]:
        return [message_of(request) for request in self.driver.sent if request.kind is RequestKind.RESPONSE]

    @property
    def reply(self) -> dict[str, Any]:
        [reply] = self.replies
        return reply

    @property
    def declared(self) -> dict[str, Any]:
        [request] = [request for request in self.driver.sent if request.rpc_method == "initialize"]
        capabilities: dict[str, Any] = message_of(request)["params"]["capabilities"]
        return capabilities


def talk(
    *messages: dict[str, Any],
    handlers: Handlers | None = None,
    revision: str = LATEST,
    transport: str = "http",
    **options: Any,
) -> Talk:
    """Call a tool whose server says ``messages`` before its answer."""
    server: Any
    if transport == "sse":

        def say(request: SendRequest) -> Mapping[str, Any]:
            for message in messages:
                server.world.streams[-1].receive_data(event(message))
            return FOUND

        server = SseServer(version=revision, results=say)
    else:

        def tell(request: SendRequest) -> Answer:
            return sse_reply(*messages, {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND})

        server = HandshakeServer(version=revision, results=tell)
        options = {"protocol_version": revision, **options}
    driver = PureDriver(server)
    if transport == "sse":
        server.world = driver
    client = Client(URL, type=transport, handlers=handlers, **options)  # type: ignore[arg-type]  # of this test alone
    held = Talk(driver, client)
    try:
        held.result = driver.run(client.call_tool("t", context=ALICE))
    except Exception as error:
        held.result = error
    if SPEC is not None:
        for request in driver.sent:
            # Which revision a server of HTTP+SSE has is known only after the handshake.
            check_sent(LATEST if request.rpc_method == "initialize" and transport == "sse" else revision, request)
    return held


CASES: dict[str, tuple[str, dict[str, Any] | None, str, type[Any] | None, dict[str, Any], list[str]]] = {
    "form": (
        "elicitation/create",
        FORM,
        "elicit",
        ElicitRequest,
        {"action": "accept", "content": {"size": "L", "gift": False}},
        ["2025-06-18", LATEST],
    ),
    "link": ("elicitation/create", LINK, "elicit_url", ElicitUrlRequest, {"action": "accept"}, [LATEST]),
    "sampling": ("sampling/createMessage", PROMPT, "sample", CreateMessageRequest, SAID.to_json(), REVISIONS),
    "roots": ("roots/list", None, "roots", None, {"roots": [ROOT.to_json()]}, REVISIONS),
}


@pytest.mark.parametrize("transport", ["http", "sse"])
@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("name", CASES)
def test_a_handler_answers_in_the_context_of_the_call(name: str, revision: str, transport: str) -> None:
    """What the revision does not have, it does not declare, and does not answer."""
    method, params, handler, kind, answer, revisions = CASES[name]
    desk = Desk()
    held = talk(question(method, params), handlers=desk.handlers(handler), revision=revision, transport=transport)
    assert held.result.text == "found"
    if revision not in revisions:
        assert held.reply["error"]["code"] in (-32601, -32602)
        assert desk.asked == []
        assert revision < "2025-11-25"
        return
    assert held.reply == {"jsonrpc": "2.0", "id": "q", "result": answer}
    [(request, context)] = desk.asked
    assert context is ALICE
    assert request is None if kind is None else isinstance(request, kind)
    assert request is None or request.raw == params


NOTHING: dict[str, Any] = {}
DECLARED: list[tuple[Handlers, list[dict[str, Any]]]] = [
    (Handlers(), [NOTHING] * 5),
    (Handlers(log=print), [NOTHING] * 5),
    (Handlers(roots=[]), [{"roots": {"listChanged": True}}] * 4 + [{"roots": {}}]),
    (Handlers(sample=Desk().handler("sample")), [{"sampling": {}}] * 5),
    (
        Handlers(sample=Desk().handler("sample"), sample_with_tools=True),
        [{"sampling": {}}] * 3 + [{"sampling": {"tools": {}}}] * 2,
    ),
    (
        Handlers(elicit=Desk().handler("elicit")),
        [NOTHING] * 2 + [{"elicitation": {}}] + [{"elicitation": {"form": {}}}] * 2,
    ),
    (Handlers(elicit_url=Desk().handler("elicit")), [NOTHING] * 3 + [{"elicitation": {"url": {}}}] * 2),
    (
        Handlers(elicit=BY_HAND, elicit_url=BY_HAND, sample=BY_HAND, roots=BY_HAND),
        [NOTHING] * 4 + [{"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}],
    ),
]


@pytest.mark.parametrize(("handlers", "declared"), DECLARED)
def test_what_is_declared_follows_the_handlers_and_the_revision(
    handlers: Handlers, declared: list[dict[str, Any]]
) -> None:
    assert [talk(handlers=handlers, revision=revision).declared for revision in REVISIONS] == declared[:4]
    sent: list[SendRequest] = []

    def server(request: SendRequest) -> Answer:
        sent.append(request)
        return result_reply(request, FOUND)

    PureDriver(server).run(Client(URL, protocol_version="2026-07-28", handlers=handlers).call_tool("t"))
    meta = message_of(sent[0])["params"]["_meta"]
    assert meta["io.modelcontextprotocol/clientCapabilities"] == declared[4]


@pytest.mark.parametrize(
    ("method", "params", "handlers", "code"),
    [
        ("elicitation/create", FORM, Handlers(), -32601),
        ("elicitation/create", FORM, Handlers(elicit=BY_HAND), -32601),
        ("elicitation/create", FORM, Desk().handlers("elicit_url"), -32602),
        ("elicitation/create", {**FORM, "mode": "form"}, Desk().handlers("elicit_url"), -32602),
        ("elicitation/create", LINK, Desk().handlers("elicit"), -32602),
        ("elicitation/create", {**FORM, "mode": "voice"}, Desk().handlers(), -32602),
        ("elicitation/create", {**FORM, "mode": ["form"]}, Desk().handlers(), -32602),
        ("sampling/createMessage", PROMPT, Desk().handlers("elicit"), -32601),
        ("sampling/createMessage", WITH_TOOLS, Desk().handlers(), -32602),
        ("sampling/createMessage", {**PROMPT, "toolChoice": {"mode": "auto"}}, Desk().handlers(), -32602),
        ("roots/list", None, Handlers(), -32601),
        ("dreams/list", None, Desk().handlers(), -32601),
    ],
)
def test_what_was_not_declared_is_refused(method: str, params: Any, handlers: Handlers, code: int) -> None:
    held = talk(question(method, params), handlers=handlers)
    assert (held.reply["error"]["code"], held.result.text) == (code, "found")


def test_tools_that_were_declared_may_be_used() -> None:
    desk = Desk()
    held = talk(
        question("sampling/createMessage", WITH_TOOLS), handlers=desk.handlers("sample", sample_with_tools=True)
    )
    assert "result" in held.reply
    assert [tool.name for tool in desk.asked[0][0].tools] == ["t"]


USE = {"role": "assistant", "content": {"type": "tool_use", "id": "u", "name": "t", "input": {}}}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("elicitation/create", {"requestedSchema": SIZES}),
        ("elicitation/create", {"message": "m"}),
        ("elicitation/create", {"mode": "url", "message": "m"}),
        ("sampling/createMessage", {"maxTokens": 1}),
        ("sampling/createMessage", {"messages": []}),
        ("sampling/createMessage", {**PROMPT, "messages": [USE, *PROMPT["messages"]]}),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_before_anybody_is_asked(method: str, params: Any) -> None:
    desk = Desk()
    held = talk(question(method, params), handlers=desk.handlers())
    assert (held.reply["error"]["code"], desk.asked, held.result.text) == (-32602, [], "found")


def test_a_handler_refuses_with_an_error_of_its_own() -> None:
    desk = Desk({"sample": RpcError("not today", code=-1, data={"until": "monday"})})
    held = talk(question("sampling/createMessage", PROMPT), handlers=desk.handlers())
    assert held.reply["error"] == {"code": -1, "message": "not today", "data": {"until": "monday"}}
    assert held.result.text == "found"


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_person_may_say_no(action: Any) -> None:
    held = talk(question("elicitation/create", FORM), handlers=Desk({"elicit": ElicitResult(action)}).handlers())
    assert held.reply["result"] == {"action": action}


@pytest.mark.parametrize("failure", [ValueError("secret"), RemoteProtocolError("of another server's")])
@pytest.mark.parametrize("transport", ["http", "sse"])
def test_a_handler_that_fails_ends_the_call_after_the_server_was_told(transport: str, failure: Exception) -> None:
    desk = Desk({"roots": failure})
    held = talk(question("roots/list"), handlers=desk.handlers(), transport=transport)
    assert held.result is failure
    assert held.reply["error"] == {"code": -32603, "message": "the client failed to answer"}
    # A call that has no answer yet is given up, as any other; on this stream the answer has come already.
    told = ["roots/list", "notifications/cancelled"] if transport == "http" else ["roots/list"]
    assert [request.rpc_method for request in held.driver.sent][-len(told) :] == told


@pytest.mark.parametrize(
    ("handler", "answer", "method", "params", "complaint"),
    [
        ("elicit", None, "elicitation/create", FORM, "elicitation/create returned no ElicitResult"),
        ("elicit", {"action": "accept"}, "elicitation/create", FORM, "returned no ElicitResult"),
        ("elicit", ElicitResult.accept(), "elicitation/create", FORM, "no answer to the form: 'size' is missing"),
        ("elicit", ElicitResult.accept({"size": "M"}), "elicitation/create", FORM, "'size' is not what"),
        ("elicit_url", SAID, "elicitation/create", LINK, "returned no ElicitResult"),
        ("sample", "Paris", "sampling/createMessage", PROMPT, "returned no CreateMessageResult"),
        ("roots", None, "roots/list", None, "did not return a sequence of Root"),
        ("roots", ["file:///"], "roots/list", None, "did not return a sequence of Root"),
        ("roots", [Root("https://x.example")], "roots/list", None, "a root is a file:// URI"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_the_handler_s_mistake(
    handler: str, answer: Any, method: str, params: Any, complaint: str
) -> None:
    held = talk(question(method, params), handlers=Desk({handler: answer}).handlers())
    assert isinstance(held.result, LocalProtocolError)
    assert complaint in str(held.result)
    assert held.reply["error"]["code"] == -32603


@pytest.mark.parametrize("uri", ["https://x", "file:/x", "file:///a/../b", "file:///a/%2e%2E/b", "file:///a\\..\\b"])
def test_roots_that_lead_elsewhere_are_refused_when_they_are_given(uri: str) -> None:
    with pytest.raises(LocalProtocolError, match="a root is a file:// URI that does not lead upwards"):
        Handlers(roots=[ROOT, Root(uri)])


def test_roots_are_given_as_they_are() -> None:
    assert talk(question("roots/list"), handlers=Handlers(roots=(ROOT,))).reply["result"] == {"roots": [ROOT.to_json()]}


def test_handlers_show_nothing_of_themselves() -> None:
    assert repr(Handlers(roots=[ROOT], log=print)) == (
        "Handlers(elicit=None, elicit_url=None, sample=None, sample_with_tools=False, roots=..., log=...)"
    )


def test_an_answer_has_headers_of_its_own() -> None:
    told: list[RequestContext] = []

    def resolver(context: RequestContext) -> dict[str, str]:
        told.append(context)
        return {"X-Number": str(len(told))}

    held = talk(question("roots/list", number=7), handlers=Handlers(roots=[]), get_headers=resolver)
    [context] = [context for context in told if context.kind is RequestKind.RESPONSE]
    [sent] = [request for request in held.driver.sent if request.kind is RequestKind.RESPONSE]
    assert (context.rpc_method, context.request_id, context.principal) == ("roots/list", 7, "acme/alice")
    assert context.user == "Alice"
    assert context.body == sent.body
    assert (b"x-number", str(told.index(context) + 1).encode()) in [(n.lower(), v) for n, v in sent.headers]
    assert (b"mcp-session-id", b"s1") in sent.headers


def test_only_so_many_questions_are_answered() -> None:
    asked = [question("roots/list", number=number) for number in range(4)]
    for count in (3, 4):
        held = talk(*asked[:count], handlers=Handlers(roots=[]), limits=Limits(server_requests=3))
        assert [reply["id"] for reply in held.replies] == [0, 1, 2]
        assert isinstance(held.result, LimitExceeded) == (count == 4)


# Logs.


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_log_messages_in_order_and_those_that_cannot_be_read(transport: str) -> None:
    desk = Desk()
    messages = [
        note("notifications/message", level="info", data=1),
        note("notifications/message", level="loud", data=2),
        note("notifications/message", level="error"),
        note("notifications/message", level="error", logger="db", data={"n": 3}),
    ]
    held = talk(*messages, handlers=desk.handlers("log"), transport=transport)
    assert held.result.text == "found"
    assert desk.asked == [(LogMessage("info", 1), ALICE), (LogMessage("error", {"n": 3}, "db"), ALICE)]
    assert held.client.statistics().ignored_messages == 2
    assert talk(*messages, transport=transport).result.text == "found"


def test_a_log_handler_that_fails_ends_the_call() -> None:
    failure = KeyError("x")
    desk = Desk({"log": failure})
    assert talk(note("notifications/message", level="info", data=1), handlers=desk.handlers("log")).result is failure


# Beside reading.


def test_a_handler_whose_own_request_was_not_sent_is_no_reason_to_make_the_call_again() -> None:
    failure = NotSentError("another server is down")
    held = talk(note("notifications/message", level="info", data=1), handlers=Desk({"log": failure}).handlers("log"))
    assert held.result is failure
    assert [request.rpc_method for request in held.driver.sent].count("tools/call") == 1


def asking(*messages: dict[str, Any], desk: Desk, **options: Any) -> tuple[Play[Any], Any]:
    """A call by hand, whose server asks before it answers."""

    def tell(request: SendRequest) -> Answer:
        answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": FOUND}
        return sse_reply(*messages, answer) if request.rpc_method == "tools/call" else result_reply(request, {})

    world = world_of(HandshakeServer(results=tell), protocol_version=LATEST, handlers=desk.handlers(), **options)
    return world.play(world.client.call_tool("t", context=ALICE)), world


def test_the_stream_is_read_on_while_handlers_are_at_work() -> None:
    desk = Desk()
    play, world = asking(
        question("roots/list", number=1),
        note("notifications/message", level="info", data="meanwhile"),
        question("roots/list", number=2),
        desk=desk,
    )
    play.end()
    assert [request for request, _ in desk.asked] == [LogMessage("info", "meanwhile")]
    first, second = play.beside
    assert repr(first.operation).startswith("Operation(name='the answer to roots/list'")
    second.finish()
    first.finish()
    answers = [message_of(request)["id"] for request in world.sent if request.kind is RequestKind.RESPONSE]
    assert answers == [2, 1]
    assert world.leftovers() == []


@pytest.mark.parametrize("answer", [{"result": FOUND}, {"error": {"code": -1, "message": "you failed"}}])
def test_what_a_handler_fails_with_is_not_lost_to_a_server_that_answers_at_once(answer: dict[str, Any]) -> None:
    play, world = asking(desk=Desk({"roots": KeyError("not lost")}))
    sound = world.server

    def tell(request: SendRequest) -> Answer:
        if request.rpc_method != "tools/call":
            return sound(request)
        return sse_reply(question("roots/list"), {"jsonrpc": "2.0", "id": message_of(request)["id"], **answer})

    world.server = tell
    play.until(Spawn)
    play.step()
    play.beside[0].until(SendRequest)  # It has failed; the server is about to be told.
    play.end()
    assert isinstance(play.error, KeyError)


def test_a_server_withdraws_what_it_asked(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcpcore")
    withdrawals = [{"requestId": "1"}, {"requestId": [1]}, {"requestId": True}, {}, {"requestId": 1, "reason": "late"}]
    play, world = asking(
        question("roots/list", number=1),
        question("roots/list", number=2),
        *(note("notifications/cancelled", **params) for params in withdrawals),
        desk=Desk(),
    )
    play.finish()
    assert [other.withdrawn.raised for other in play.beside if other.withdrawn] == [True, False]
    assert [record.message for record in caplog.records] == ["the server has withdrawn a request: 'late'"]
    play.beside[0].until(CallHandler)
    assert play.beside[0].cancel() is None
    play.beside[1].finish()
    assert [message_of(r)["id"] for r in world.sent if r.kind is RequestKind.RESPONSE] == [2]


def test_what_was_answered_cannot_be_withdrawn(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "mcpcore")
    held = talk(
        question("roots/list", number=1), note("notifications/cancelled", requestId=1), handlers=Handlers(roots=[])
    )
    assert held.reply["id"] == 1
    assert "withdrawn" not in caplog.text


def test_an_answer_that_does_not_get_through_is_the_server_s_loss(caplog: pytest.LogCaptureFixture) -> None:
    for answer in (Reply(500), Reply(401)):
        desk = Desk()
        play, world = asking(question("roots/list"), desk=desk)
        sound = world.server
        world.server = lambda r, a=answer, s=sound: a if r.kind is RequestKind.RESPONSE else s(r)
        play.finish()
        play.beside[0].finish()
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


def test_what_is_asked_during_the_handshake_is_answered_in_the_new_session() -> None:
    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "initialize":
            answer = {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": initialize_result()}
            reply = sse_reply(question("roots/list"), answer)
            reply.headers = {"content-type": "text/event-stream", "mcp-session-id": "new"}
            return reply
        return result_reply(request, FOUND) if "id" in message_of(request) else Reply(202)

    driver = PureDriver(server)
    driver.run(Client(URL, protocol_version=LATEST, handlers=Handlers(roots=[])).call_tool("t"))
    [reply] = [request for request in driver.sent if request.kind is RequestKind.RESPONSE]
    assert (b"mcp-session-id", b"new") in reply.headers
