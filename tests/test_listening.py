"""Listening, without an event loop: subscriptions, the stream of a session, and the stream that is there anyhow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, error_reply, headers_of, json_reply, message_of, result_reply
from support.stepping import (
    DISCOVERY,
    FOUND,
    HANDSHAKE,
    MODERN,
    OLDEST,
    URL,
    Play,
    SseServer,
    World,
    event,
    initialize_result,
    world_of,
)

from mcpcore import (
    Acknowledged,
    CallContext,
    Client,
    ForbiddenError,
    Handlers,
    HttpStatusError,
    LimitExceeded,
    Limits,
    ListChanged,
    LocalProtocolError,
    LogMessage,
    McpError,
    OtherNotification,
    RemoteProtocolError,
    Reopened,
    RequestContext,
    RequestKind,
    ResourceUpdated,
    Root,
    RpcError,
    SendRequest,
    StreamEvent,
    SubscriptionFilter,
    TransportError,
    UnauthorizedError,
)
from mcpcore.rules.metadata import SUBSCRIPTION_ID_KEY

STREAM = {"content-type": "text/event-stream"}
CUT = TransportError("cut")
ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
EVERYTHING: dict[str, Any] = {"tools": True, "prompts": True, "resources": True, "uris": ["file:///a"]}
PING = {"jsonrpc": "2.0", "id": "p", "method": "ping"}


def note(method: str, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": f"notifications/{method}", "params": params}


def stream(*messages: object, retry: int | None = None, broken: bool = True) -> Reply:
    """A stream that breaks off or, if not ``broken``, ends; the id of an event may stand before its message."""
    pieces = [b"" if retry is None else b"retry: %d\n\n" % retry]
    for message in messages:
        pieces.append(b"id: %b\n" % message.encode() if isinstance(message, str) else event(message))
    return Reply(200, STREAM, [*pieces, *([CUT] if broken else [])])


def hear(server: Callable[[SendRequest], Answer], wanted: dict[str, Any] = EVERYTHING, **options: Any) -> Heard:
    """Listen until that ends."""
    options = {"protocol_version": HANDSHAKE, **options}
    driver, client = PureDriver(server), Client(URL, **options)
    error: Exception | None = None
    try:
        driver.run(client.listen(context=ALICE, **wanted))
    except Exception as ended:
        error = ended
    return Heard(driver, client, driver.emitted, error)


@define
class Heard:
    """What came of listening."""

    driver: PureDriver
    client: Client
    events: list[StreamEvent]
    error: Exception | None

    def kinds(self) -> list[str]:
        return [type(each).__name__ for each in self.events]


# The modern era: subscriptions


@define
class Subscribed:
    """Answers each ``subscriptions/listen`` with the next of its answers, which are made for its request."""

    answers: list[Callable[[SendRequest], Answer]] = field(converter=list[Callable[[SendRequest], Answer]])
    asked: list[SendRequest] = field(factory=list[SendRequest])

    def __call__(self, request: SendRequest) -> Answer:
        assert request.rpc_method == "subscriptions/listen"
        self.asked.append(request)
        return self.answers.pop(0)(request)


def subscription(*messages: Any, **options: Any) -> Callable[[SendRequest], Answer]:
    """A stream of ``messages``; what is not said to be of another subscription is of this one."""

    def answer(request: SendRequest) -> Answer:
        number = message_of(request)["id"]
        for message in messages:
            if "params" in message:
                message["params"]["_meta"] = {SUBSCRIPTION_ID_KEY: number, **message["params"].get("_meta", {})}
            if "result" in message or "error" in message:
                message["id"] = number
        return stream(*messages, **options)

    return answer


def acknowledgement(**notifications: object) -> dict[str, Any]:
    return note("subscriptions/acknowledged", notifications=notifications)


def the_end() -> dict[str, Any]:
    return {"jsonrpc": "2.0", "result": {"resultType": "complete"}}


def modern(*answers: Callable[[SendRequest], Answer], **options: Any) -> tuple[Heard, Subscribed]:
    server = Subscribed(answers)
    return hear(server, protocol_version=MODERN, **options), server


def test_a_subscription_from_its_acknowledgement_to_its_end() -> None:
    changed = note("tools/list_changed")
    heard, server = modern(
        subscription(
            note("prompts/list_changed"),  # before the acknowledgement
            {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},  # of no subscription
            acknowledgement(toolsListChanged=True, resourceSubscriptions=["file:///a", 7], x=1),
            changed,
            acknowledgement(),  # a second one
            note("prompts/list_changed", _meta={SUBSCRIPTION_ID_KEY: 99}),  # of another subscription
            {**PING, "params": {}},  # a request, which this era has none of
            note("resources/updated", uri="file:///a"),
            note("resources/updated"),
            note("x/y", z=1),
            the_end(),
        )
    )
    assert heard.error is None
    agreed = SubscriptionFilter(tools=True, uris=("file:///a",))
    assert heard.events[:3] == [Acknowledged(agreed), ListChanged("tools"), ResourceUpdated("file:///a")]
    assert [e.method for e in heard.events[3:] if isinstance(e, OtherNotification)] == [
        "notifications/resources/updated",
        "notifications/x/y",
    ]
    assert heard.client.statistics().ignored_messages == 5
    assert heard.driver.ended == [True]
    [request] = server.asked
    assert (request.kind, request.is_stream, request.rpc_method) == (
        RequestKind.LISTEN,
        True,
        "subscriptions/listen",
    )
    assert message_of(request)["params"]["notifications"] == {
        "toolsListChanged": True,
        "promptsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": ["file:///a"],
    }


@pytest.mark.parametrize("begun", [[], [acknowledgement()]], ids=["at once", "acknowledged"])
@pytest.mark.parametrize("broken", [True, False], ids=["broken", "ended"])
def test_a_subscription_that_ends_without_its_answer_was_dropped(broken: bool, begun: list[Any]) -> None:
    heard, server = modern(subscription(*begun, broken=broken))
    assert type(heard.error) is TransportError
    assert heard.kinds() == ["Acknowledged"][: len(begun)]
    assert len(server.asked) == 1, "there is no taking it up in this era"


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (lambda request: error_reply(request, -32602, 400), RpcError),
        (subscription({"jsonrpc": "2.0", "error": {"code": -32602, "message": "no"}}), RpcError),
        (lambda request: Reply(401), UnauthorizedError),
        (lambda request: Reply(403), ForbiddenError),
        (lambda request: Reply(500), HttpStatusError),
        (lambda request: Reply(202), RemoteProtocolError),
        (lambda request: stream(b"{oops"), RemoteProtocolError),
        (lambda request: result_reply(request, {"resultType": "complete"}), type(None)),
    ],
    ids=["error", "error in the stream", "401", "403", "500", "202", "garbage", "a result at once"],
)
def test_a_subscription_that_is_refused(answer: Any, error_type: type[McpError]) -> None:
    heard, _ = modern(answer)
    assert (type(heard.error), heard.events) == (error_type, [])


def test_a_subscription_is_known_by_the_id_that_it_was_granted_under() -> None:
    def unsupported(request: SendRequest) -> Answer:
        return error_reply(request, -32022, 400, {"supported": [MODERN]})

    heard, server = modern(unsupported, subscription(acknowledgement(), note("tools/list_changed"), the_end()))
    assert (heard.error, heard.kinds()) == (None, ["Acknowledged", "ListChanged"])
    assert message_of(server.asked[0])["id"] != message_of(server.asked[1])["id"]


def test_a_subscription_answers_a_challenge() -> None:
    asked: list[RequestContext] = []

    def token(context: RequestContext) -> dict[str, str]:
        asked.append(context)
        return {"Authorization": f"Bearer {context.attempt}"}

    heard, server = modern(
        lambda request: Reply(401, {"www-authenticate": "Bearer"}),
        subscription(acknowledgement(), the_end()),
        get_headers=token,
    )
    assert (heard.error, heard.kinds()) == (None, ["Acknowledged"])
    assert [headers_of(request)["authorization"] for request in server.asked] == ["Bearer 1", "Bearer 2"]
    assert [(context.kind, context.principal) for context in asked] == [(RequestKind.LISTEN, "alice")] * 2


def test_what_has_changed_is_asked_for_again_by_whom_it_was_told() -> None:
    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "subscriptions/listen":
            return subscription(acknowledgement(), note("tools/list_changed"), the_end())(request)
        return result_reply(request, {"resultType": "complete", "tools": [], "ttlMs": 60_000})

    driver, client = PureDriver(server), Client(URL, protocol_version=MODERN, clock=lambda: 0.0)
    for context in (ALICE, BOB, ALICE, BOB):
        driver.run(client.list_tools(context=context))
    driver.run(client.listen(tools=True, context=ALICE))
    for context in (ALICE, BOB):
        driver.run(client.list_tools(context=context))
    assert [request.principal for request in driver.sent if request.rpc_method == "tools/list"] == [
        "alice",
        "bob",
        "alice",
    ]


# The handshake era: the stream of a session


@define
class Session:
    """Speaks the handshake era, and answers each GET with the next of its answers; after the last one with 405.

    :ivar subscribed: the session and the URI of each subscription to a resource.
    :ivar lost: how many further subscriptions find their session lost.
    """

    answers: list[Answer] = field(converter=list[Answer])
    lost: int = 0
    has_ids: bool = True
    opened: int = 0
    gets: list[SendRequest] = field(factory=list[SendRequest])
    subscribed: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "initialize":
            self.opened += 1
            told = {**initialize_result(), "capabilities": {"resources": {"subscribe": True}}}
            named = {"mcp_session_id": f"s{self.opened}"} if self.has_ids else {}
            return result_reply(request, told, **named)
        if request.method == "GET":
            self.gets.append(request)
            return self.answers.pop(0) if self.answers else Reply(405)
        if request.rpc_method == "resources/subscribe":
            uri = message_of(request)["params"]["uri"]
            if self.lost and uri != "file:///a":
                self.lost -= 1
                return Reply(404)
            self.subscribed.append((headers_of(request)["mcp-session-id"], uri))
            return result_reply(request, {})
        return Reply(202)


def hear_session(*answers: Answer, **options: Any) -> tuple[Heard, Session]:
    server = Session(answers)
    return hear(server, **options), server


def test_the_stream_of_a_session_is_opened_again_whenever_it_breaks() -> None:
    heard, server = hear_session(
        stream(note("tools/list_changed"), note("resources/updated", uri="file:///a")),
        stream("7", note("prompts/list_changed"), broken=False),
        stream(note("x")),
        stream("", note("y"), retry=250),
        stream(),
    )
    assert isinstance(heard.error, LocalProtocolError), "405 is the end"
    assert heard.events == [
        Acknowledged(SubscriptionFilter(**EVERYTHING)),
        ListChanged("tools"),
        ResourceUpdated("file:///a"),
        Reopened(),
        ListChanged("prompts"),
        OtherNotification("notifications/x", {}),
        OtherNotification("notifications/y", {}),
        Reopened(),
    ]
    assert [headers_of(get).get("last-event-id") for get in server.gets] == [None, None, "7", "7", None, None]
    assert [get.kind for get in server.gets[:3]] == [RequestKind.LISTEN, RequestKind.LISTEN, RequestKind.RESUME]
    assert all(get.is_stream and headers_of(get)["mcp-session-id"] == "s1" for get in server.gets)
    assert heard.driver.waited == [1.0, 1.0, 1.0, 0.25, 1.0]
    assert server.subscribed == [("s1", "file:///a")]


def test_pauses_grow_with_each_failure_in_a_row_and_differ_between_clients() -> None:
    jitter = iter([0.0, 1.0, 0.5, 0.0, 0.0])
    later = Reply(503, {"retry-after": "7"})
    heard, _ = hear_session(
        CUT, Reply(500), Reply(502), later, stream(), CUT, stream(retry=250), CUT, jitter=lambda: next(jitter, 1.0)
    )
    assert isinstance(heard.error, LocalProtocolError)
    assert heard.driver.waited == [0.5, 2.0, 3.0, 7.0, 0.5, 1.0, 0.25, 2.0]


@pytest.mark.parametrize(
    ("answers", "limits", "error_type"),
    [
        ([CUT] * 3, Limits(resumptions=2), TransportError),
        ([stream(), CUT, Reply(500)], Limits(resumptions=2), HttpStatusError),
        ([stream(retry=2001)], Limits(retry=2.0), TransportError),
    ],
    ids=["never open", "no more open", "too long a pause"],
)
def test_one_who_listens_in_vain_is_told_why(
    answers: Iterable[Answer], limits: Limits, error_type: type[McpError]
) -> None:
    heard, server = hear_session(*answers, limits=limits)
    assert type(heard.error) is error_type
    assert not server.answers


def test_the_pauses_between_tries_have_a_longest() -> None:
    heard, _ = hear_session(*[CUT] * 9, limits=Limits(longest_delay=5.0, resumptions=9))
    assert heard.driver.waited == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]


def test_a_server_cannot_have_its_stream_opened_again_without_a_pause() -> None:
    heard, _ = hear_session(*[stream(broken=False, retry=0)] * 3)
    assert heard.driver.waited == [0.05] * 3


def test_a_stream_that_is_ended_time_and_again_is_listened_to_for_ever() -> None:
    heard, _ = hear_session(*[stream(broken=False)] * 5, limits=Limits(resumptions=1))
    assert isinstance(heard.error, LocalProtocolError)
    assert heard.kinds() == ["Acknowledged", *["Reopened"] * 4]


def test_a_session_that_is_lost_is_replaced_and_asked_again() -> None:
    heard, server = hear_session(stream("7", note("x")), Reply(404), stream(note("y")))
    assert heard.kinds() == ["Acknowledged", "OtherNotification", "Reopened", "OtherNotification"]
    assert server.subscribed == [("s1", "file:///a"), ("s2", "file:///a")]
    assert "last-event-id" not in headers_of(server.gets[2])


def test_a_session_that_is_lost_while_it_is_asked_is_asked_for_everything_again() -> None:
    server = Session([stream()], lost=1)
    heard = hear(server, {"uris": ["file:///a", "file:///b"]})
    assert heard.kinds() == ["Acknowledged"]
    assert set(server.subscribed) >= {("s2", "file:///a"), ("s2", "file:///b")}


def test_sessions_may_be_lost_any_number_of_times_as_long_as_they_can_be_listened_to() -> None:
    heard, server = hear_session(*[stream(), Reply(404)] * 5, limits=Limits(handshakes=2))
    assert isinstance(heard.error, LocalProtocolError)
    assert server.opened == 6


def test_a_server_that_cannot_tell_of_resources_is_not_asked_to() -> None:
    def server(request: SendRequest) -> Answer:
        return result_reply(request, initialize_result()) if request.rpc_method == "initialize" else Reply(202)

    heard = hear(server, {"uris": ["file:///a"]})
    assert isinstance(heard.error, LocalProtocolError)
    assert [request.rpc_method for request in heard.driver.sent] == ["initialize", "notifications/initialized"]


def test_a_server_that_forgets_each_session_at_once() -> None:
    heard, _ = hear_session(*[Reply(404)] * 20)
    assert isinstance(heard.error, LimitExceeded)
    assert heard.error.limit == "handshakes"


@pytest.mark.parametrize(
    ("answer", "has_ids", "error_type"),
    [
        (Reply(405), True, LocalProtocolError),
        (Reply(400), True, HttpStatusError),
        (Reply(404), False, HttpStatusError),
        (Reply(401), True, UnauthorizedError),
        (Reply(403), True, ForbiddenError),
        (json_reply({}), True, RemoteProtocolError),
        (stream(b"{oops"), True, RemoteProtocolError),
    ],
    ids=["405", "400", "404 without a session", "401", "403", "json", "garbage"],
)
def test_a_stream_that_trying_again_does_not_help(answer: Answer, has_ids: bool, error_type: type[McpError]) -> None:
    server = Session([answer], has_ids=has_ids)
    heard = hear(server, {})
    assert (type(heard.error), len(server.gets)) == (error_type, 1)


def test_what_was_not_asked_for_is_heeded_and_not_told() -> None:
    logged: list[Any] = []
    server = Session([stream(note("tools/list_changed"), note("message", level="info", data="x"))])
    handlers = Handlers(log=lambda message, context: logged.append((message.data, context.principal)))
    heard = hear(server, {"prompts": True}, handlers=handlers)
    assert heard.kinds() == ["Acknowledged", "OtherNotification"]
    assert logged == [("x", "alice")]


def test_the_server_is_answered_in_the_listeners_context() -> None:
    def roots(_: None, context: CallContext) -> list[Root]:
        return [Root(f"file:///{context.principal}")]

    methods = {"p": "ping", "r": "roots/list", "s": "sampling/createMessage"}
    asked = [{"jsonrpc": "2.0", "id": number, "method": method} for number, method in methods.items()]
    no_id = {"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}}
    server = Session([stream(*asked, no_id, {**FOUND, "jsonrpc": "2.0", "id": 1, "result": {}}, note("x"))])
    heard = hear(server, {}, handlers=Handlers(roots=roots), limits=Limits(server_requests=1))
    assert heard.kinds() == ["Acknowledged", "OtherNotification"], "an error is no answer to anything here"
    replies = {message_of(r)["id"]: message_of(r) for r in heard.driver.sent if r.kind is RequestKind.RESPONSE}
    assert replies["r"]["result"] == {"roots": [{"uri": "file:///alice"}]}
    assert (replies["p"]["result"], replies["s"]["error"]["code"]) == ({}, -32601)
    assert heard.client.statistics().ignored_messages == 2


@pytest.mark.parametrize("failure", [ZeroDivisionError(), TransportError("of another server")])
def test_a_handler_that_fails_ends_the_listening(failure: Exception) -> None:
    def fail(message: LogMessage, context: CallContext) -> None:
        raise failure

    heard, server = hear_session(stream(note("message", level="info", data="x")), handlers=Handlers(log=fail))
    assert heard.error is failure
    assert len(server.gets) == 1, "that is no break of the stream"


def test_a_listener_hears_more_than_a_call_may() -> None:
    heard, _ = hear_session(stream(*[note("x")] * 20), limits=Limits(stream_messages=3))
    assert isinstance(heard.error, LocalProtocolError)
    assert len(heard.events) == 21


def test_one_who_stops_listening_leaves_the_session_and_nothing_else() -> None:
    world = world_of(Session([stream(note("x"))]), protocol_version=HANDSHAKE)
    play = world.play(world.client.listen(context=ALICE))
    play.until(type(play.peek()))
    while not play.emitted:
        play.step()
    assert play.cancel() is None
    assert world.leftovers() == []
    assert world.client.statistics().sessions == 1


# HTTP+SSE: the stream that is there anyhow


def listening(world: World, context: CallContext = ALICE, **wanted: Any) -> Play[None]:
    play = world.play(world.client.listen(context=context, **wanted))
    play.until_blocked()
    assert isinstance(play.emitted[0], Acknowledged)
    return play


def http_sse(**options: Any) -> World:
    return world_of(SseServer(silent={"tools/call"}), type="sse", protocol_version=OLDEST, **options)


def test_listeners_hear_what_belongs_to_no_call() -> None:
    world = http_sse(handlers=Handlers(roots=[Root("file:///a")]))
    first, second = listening(world, tools=True), listening(world)
    seen: list[float] = []
    call = world.play(
        world.client.call_tool("x", context=ALICE, on_progress=lambda progress: seen.append(progress.progress))
    )
    call.until_blocked()
    [request] = [request for request in world.sent if request.rpc_method == "tools/call"]
    number = message_of(request)["id"]
    world.push(note("progress", progressToken=number, progress=1))
    world.push({**PING, "id": "for the call"})
    world.push(note("tools/list_changed"))
    world.push({"jsonrpc": "2.0", "id": number, "result": FOUND})
    assert (call.finish().text, seen) == ("found", [1])
    world.push({**PING, "id": "for the first who listens", "method": "roots/list"})
    world.push({"jsonrpc": "2.0", "id": 99, "result": {}})
    for play in (first, second):
        play.until_blocked()
    assert first.emitted[1:] == [ListChanged("tools")]
    assert second.emitted[1:] == [], "it did not ask for that"
    assert (len(first.beside), len(second.beside)) == (1, 0)
    first.beside[0].finish()
    assert message_of(world.sent[-1])["result"] == {"roots": [{"uri": "file:///a"}]}
    assert world.client.statistics().ignored_messages == 1
    assert [first.cancel(), second.cancel()] == [None, None]
    assert world.leftovers() == []
    world.push(note("x"))
    assert world.client.statistics().ignored_messages == 2, "nobody listens any more"


@pytest.mark.parametrize("limit", [{"mailbox_messages": 2}, {"mailbox_bytes": 100}], ids=str)
def test_one_who_does_not_take_what_it_hears_holds_up_no_call(limit: dict[str, int]) -> None:
    world = http_sse(limits=Limits(**limit))
    slow = listening(world, tools=True)
    call = world.play(world.client.call_tool("x", context=ALICE))
    call.until_blocked()
    for _ in range(5):
        world.push(note("tools/list_changed"))
    world.push({"jsonrpc": "2.0", "id": message_of(world.sent[-1])["id"], "result": FOUND})
    assert call.finish().text == "found"
    failure = slow.fail()
    assert isinstance(failure, LimitExceeded)
    assert [failure.limit] == [*limit]
    assert slow.emitted[1:] == [ListChanged("tools")] * 2


def test_one_who_listens_is_told_when_the_stream_ends() -> None:
    world = http_sse()
    play = listening(world)
    world.push(note("x"))
    world.streams[0].receive_end()
    assert type(play.fail()) is TransportError
    assert len(play.emitted) == 2
    assert world.leftovers() == []


def test_a_stream_that_ends_as_soon_as_it_was_opened() -> None:
    speaker = SseServer()

    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "notifications/initialized":
            world.streams[-1].receive_end()
        return speaker(request)

    world = speaker.world = world_of(server, type="sse", protocol_version=OLDEST)
    assert type(world.fail(world.client.listen(context=ALICE))) is TransportError
    assert world.leftovers() == []


def test_each_identity_hears_its_own_stream_alone() -> None:
    server = SseServer(results=lambda request: {"tools": []})
    world = world_of(server, type="sse", protocol_version=OLDEST, clock=lambda: 0.0, default_ttl=60.0)
    alice, bob = listening(world, ALICE, tools=True), listening(world, BOB, tools=True)
    for context in (ALICE, BOB, ALICE, BOB):
        world.run(world.client.request("tools/list", context=context))
    world.streams[0].receive_data(event(note("tools/list_changed")))
    for play, told in ((alice, 1), (bob, 0)):
        play.until_blocked()
        assert len(play.emitted) == 1 + told
    for context in (ALICE, BOB):
        world.run(world.client.request("tools/list", context=context))
    assert [r.principal for r in world.sent if r.rpc_method == "tools/list"] == ["alice", "bob", "alice"]


def test_a_listener_finds_out_how_the_server_is_to_be_spoken_to_and_does_so_again_if_that_changes() -> None:
    session = Session([])
    has_changed = False

    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "server/discover":
            return Reply(400) if has_changed else result_reply(request, DISCOVERY)
        if request.rpc_method == "subscriptions/listen":
            return Reply(400) if has_changed else subscription(acknowledgement(), the_end())(request)
        return session(request)

    driver, client = PureDriver(server), Client(URL)
    driver.run(client.listen(context=ALICE))
    has_changed = True
    session.answers.append(stream())
    with pytest.raises(LocalProtocolError):
        driver.run(client.listen(context=ALICE))
    assert [type(event) for event in driver.emitted] == [Acknowledged, Acknowledged]
    assert driver.sent[-1].method == "GET"
