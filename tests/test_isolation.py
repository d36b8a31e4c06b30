"""Nobody sees what another identity's credentials fetched: partitions, sessions, and calls in every interleaving."""

from __future__ import annotations

import gc
import itertools
import json
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, headers_of, message_of, result_reply
from support.scenes import ALICE, BOB, HANDSHAKE, MODERN, SCENES, SSE, PureServer, Recorder, each_kind, play, reachable
from support.stepping import HandshakeServer, SseServer, World, world_of

from mcpcore import (
    CallContext,
    Client,
    Complete,
    ForbiddenError,
    HeaderResolverError,
    Limits,
    McpError,
    NotSentError,
    Operation,
    RequestContext,
    RequestKind,
    ResolveHeaders,
    SendRequest,
    WaitFor,
)
from mcpcore.machines.http_sse import EventStream
from mcpcore.rules.digests import Digester
from mcpcore.state.partitions import Partitions

URL = "https://mcp.example/mcp"


def as_user(context: RequestContext) -> dict[str, str]:
    return {"X-User": context.request_headers["x-user"]}


def user(name: str, principal: str | None = None, token: str = "t") -> CallContext:
    return CallContext(principal=principal, request_headers={"x-user": name, "x-token": token})


@define
class Strict:
    """A server that knows each session's user, and whose every answer says whom it is for."""

    era: str
    server: PureServer = field(init=False)
    owners: dict[str, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.server = PureServer(self.era, self.check)

    def check(self, request: SendRequest) -> Answer | None:
        headers = headers_of(request)
        name = headers.get("x-user", "nobody")
        session = headers.get("mcp-session-id")
        if session is not None:
            assert self.owners[session] == name, "a session id crossed from one user to another"
        if request.kind is RequestKind.INITIALIZE and self.era == "handshake":
            self.owners[f"session-{self.server.sessions + 1}"] = name
        if request.kind is RequestKind.LISTEN:
            data = f"event: endpoint\ndata: /messages?for={name}\n\n".encode()
            return Reply(200, {"content-type": "text/event-stream"}, [data])
        if self.era == "sse":
            assert request.url.endswith(f"?for={name}"), "a message was posted to another user's stream"
        if request.rpc_method == "tools/list":
            tools = {"tools": [{"name": f"tool of {name}", "inputSchema": {}}]}
            if self.era != "sse":
                return result_reply(request, tools)
            answer = json.dumps({"jsonrpc": "2.0", "id": message_of(request)["id"], "result": tools})
            self.stream_of(name).receive_data(f"data: {answer}\n\n".encode())
            return Reply(202)
        if self.era == "sse" and request.kind is RequestKind.INITIALIZE:
            result = {"protocolVersion": "2024-11-05", "capabilities": {}}
            answer = json.dumps({"jsonrpc": "2.0", "id": message_of(request)["id"], "result": result})
            self.stream_of(name).receive_data(f"data: {answer}\n\n".encode())
            return Reply(202)
        return None

    def stream_of(self, name: str) -> EventStream:
        return next(s for s in reversed(self.server.driver.streams) if s.open_session.url.endswith(f"?for={name}"))


# Two calls, in every interleaving.


@define
class Turns:
    """One operation, driven in turns: each answers one resolver, or sends one request and reads its answer."""

    operation: Operation[Any]
    driver: PureDriver
    asks_apart: bool = True
    outcome: Any = None
    is_over: bool = False
    _bodies: list[Any] = field(factory=list)
    _command: Any = None

    def __attrs_post_init__(self) -> None:
        self._next()

    @property
    def is_runnable(self) -> bool:
        return not self.is_over and not (isinstance(self._command, WaitFor) and not self._command.signal.raised)

    def turn(self) -> None:
        self._perform()
        while not self.is_over and self._is_between_turns():
            self._perform()

    def cancel(self) -> None:
        self.is_over = True
        farewell = self.operation.cancel()
        if farewell is not None:
            self.driver.run(farewell)

    def _is_between_turns(self) -> bool:
        if isinstance(self._command, WaitFor):
            return bool(self._command.signal.raised)
        stops = (SendRequest, ResolveHeaders) if self.asks_apart else SendRequest
        return not isinstance(self._command, stops)

    def _perform(self) -> None:
        self.driver.perform(self.operation, self._command, self._bodies)
        self._next()

    def _next(self) -> None:
        try:
            self._command = self.operation.next_command()
        except McpError as error:
            self.outcome, self.is_over = error, True
            return
        if isinstance(self._command, Complete):
            self.outcome, self.is_over = self._command.result, True


def every_interleaving(make: Callable[[], list[Turns]]) -> Iterator[list[Turns]]:
    """Play the calls that ``make`` starts in every order that their waiting for each other allows."""
    prefix: list[int] = []
    while True:
        calls, choices = make(), []
        while runnable := [call for call in calls if call.is_runnable]:
            choice = prefix[len(choices)] if len(choices) < len(prefix) else 0
            choices.append((choice, len(runnable)))
            runnable[choice].turn()
        assert all(call.is_over for call in calls), "the calls wait for each other for ever"
        yield calls
        while choices and choices[-1][0] + 1 == choices[-1][1]:
            choices.pop()
        if not choices:
            return
        prefix = [choice for choice, _ in choices]
        prefix[-1] += 1


PAIRS = {
    "two principals": (user("alice", "acme/alice"), user("bob", "acme/bob")),
    "nobody named": (user("alice"), user("bob")),
    "one named": (user("alice", "acme/alice"), user("bob")),
    "one principal twice": (user("alice", "acme/alice"), user("alice", "acme/alice")),
    "one identity twice": (user("alice"), user("alice")),
}
ERAS = {
    "modern, pinned": ("modern", MODERN, True),
    "modern, probed": ("modern", {}, True),
    "handshake, pinned": ("handshake", HANDSHAKE, False),
    "handshake, probed": ("handshake", {}, False),
    "HTTP+SSE": ("sse", SSE, False),
}


def names(tools: list[Any]) -> list[str]:
    return [tool.name for tool in tools]


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("era", ERAS)
def test_two_calls_never_see_each_other_however_they_interleave(era: str, pair: str) -> None:
    name, options, asks_apart = ERAS[era]
    strict = Strict(name)

    def make() -> list[Turns]:
        strict.__init__(name)  # type: ignore[misc]
        client = Client(URL, get_headers=as_user, **options)
        driver = strict.server.driver
        return [Turns(client.list_tools(context=context), driver, asks_apart) for context in PAIRS[pair]]

    count = 0
    for calls in every_interleaving(make):
        count += 1
        for call, context in zip(calls, PAIRS[pair], strict=True):
            assert names(call.outcome) == [f"tool of {context.request_headers['x-user']}"]
        identities = {headers_of(request)["x-user"] for request in strict.server.sent}
        assert identities == {context.request_headers["x-user"] for context in PAIRS[pair]}
    assert count > 1


@pytest.mark.parametrize("pair", ["two principals", "nobody named"])
def test_two_handshakes_never_see_each_other_however_their_resolvers_interleave(pair: str) -> None:
    strict = Strict("handshake")

    def make() -> list[Turns]:
        strict.__init__("handshake")  # type: ignore[misc]
        client = Client(URL, get_headers=as_user, **HANDSHAKE)
        return [Turns(client.open(context=context), strict.server.driver) for context in PAIRS[pair]]

    for calls in every_interleaving(make):
        assert all(not isinstance(call.outcome, Exception) for call in calls)
        assert sorted(strict.owners.values()) == ["alice", "bob"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("pair", ["two principals", "nobody named", "one principal twice"])
def test_ones_failure_is_never_the_others(era: str, pair: str) -> None:
    name, options, _ = ERAS[era]
    strict = Strict(name)

    def make() -> list[Turns]:
        strict.__init__(name)  # type: ignore[misc]
        left = [1]

        def fails_once(request: SendRequest) -> Answer | None:
            if left[0]:
                left[0] = 0
                return Reply(403)
            return strict.check(request)

        strict.server.instead = fails_once
        client = Client(URL, get_headers=as_user, **options)
        return [Turns(client.list_tools(context=context), strict.server.driver, False) for context in PAIRS[pair]]

    for calls in every_interleaving(make):
        failed = [call for call in calls if isinstance(call.outcome, Exception)]
        assert [type(call.outcome) for call in failed] == [ForbiddenError]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("turns", range(5))
def test_a_call_that_is_cancelled_takes_nobody_with_it(era: str, turns: int) -> None:
    name, options, _ = ERAS[era]
    strict = Strict(name)

    @define
    class GivesUp(Turns):
        left: int = turns

        def turn(self) -> None:
            if self.left == 0:
                self.cancel()
                return
            self.left -= 1
            super().turn()

    def make() -> list[Turns]:
        strict.__init__(name)  # type: ignore[misc]
        client = Client(URL, get_headers=as_user, **options)
        driver = strict.server.driver
        bob = user("bob", "acme/bob")
        return [
            GivesUp(client.list_tools(context=user("alice", "acme/alice")), driver, False),
            Turns(client.list_tools(context=bob), driver, False),
        ]

    for _, survivor in every_interleaving(make):
        assert names(survivor.outcome) == ["tool of bob"]


@pytest.mark.parametrize("pair", ["one principal twice", "one identity twice", "two principals"])
def test_a_session_that_is_gone_is_opened_again_once_however_two_calls_find_out(pair: str) -> None:
    strict = Strict("handshake")

    def make() -> list[Turns]:
        strict.__init__("handshake")  # type: ignore[misc]
        client = Client(URL, get_headers=as_user, **HANDSHAKE)
        server, contexts = strict.server, PAIRS[pair]
        for context in contexts:
            server.driver.run(client.open(context=context))
        gone = set(strict.owners)

        def forgetful(request: SendRequest) -> Answer | None:
            return Reply(404) if headers_of(request).get("mcp-session-id") in gone else strict.check(request)

        server.instead = forgetful
        return [Turns(client.list_tools(context=context), server.driver, False) for context in contexts]

    for calls in every_interleaving(make):
        for call, context in zip(calls, PAIRS[pair], strict=True):
            assert names(call.outcome) == [f"tool of {context.request_headers['x-user']}"]
        assert strict.server.sessions == (4 if pair == "two principals" else 2)


def test_a_resolver_that_hangs_holds_nobody_up() -> None:
    strict = Strict("handshake")
    client = Client(URL, get_headers=as_user)
    hanging = client.list_tools(context=user("alice", "acme/alice"))
    assert isinstance(hanging.next_command(), ResolveHeaders)
    for context in (user("bob", "acme/bob"), user("alice", "acme/alice")):
        assert names(strict.server.driver.run(client.list_tools(context=context)))


def test_a_resolver_that_refuses_one_call_fails_that_call_alone() -> None:
    def refuse_bob(context: RequestContext) -> dict[str, str]:
        if context.principal == "acme/bob":
            raise PermissionError
        return as_user(context)

    strict = Strict("handshake")

    def make() -> list[Turns]:
        strict.__init__("handshake")  # type: ignore[misc]
        client = Client(URL, get_headers=refuse_bob)
        return [
            Turns(client.list_tools(context=context), strict.server.driver, False)
            for context in PAIRS["two principals"]
        ]

    for alice, bob in every_interleaving(make):
        assert names(alice.outcome) == ["tool of alice"]
        assert isinstance(bob.outcome, HeaderResolverError)


# Whose session: principals and digests.


def sessions(*calls: tuple[CallContext, dict[str, str]], **options: Any) -> list[str]:
    """The session ids that a call for each (context, resolved headers) used, in one client."""
    resolved: dict[str, str] = {}
    server = PureServer("handshake")
    client = Client(URL, get_headers=lambda _: resolved, **{**HANDSHAKE, **options})
    used = []
    for context, headers in calls:
        resolved.clear()
        resolved.update(headers)
        server.driver.run(client.list_tools(context=context))
        (last,) = [request for request in server.sent if request.rpc_method == "tools/list"][-1:]
        used.append(headers_of(last)["mcp-session-id"])
    return used


NOBODY = CallContext()


def test_a_principal_keeps_its_session_while_its_tokens_rotate() -> None:
    used = sessions(*((CallContext(principal="p"), {"Authorization": f"Bearer {n}"}) for n in range(3)))
    assert used == ["session-1"] * 3


def test_principals_share_nothing_even_with_the_same_headers() -> None:
    same = {"Authorization": "Bearer same"}
    used = sessions(*((CallContext(principal=name), same) for name in ("a", "b", "A", "a ", "a")))
    assert used == ["session-1", "session-2", "session-3", "session-4", "session-1"]


def test_a_principal_and_an_identity_without_one_share_nothing() -> None:
    same = {"Authorization": "Bearer same"}
    used = sessions(
        (CallContext(principal="p"), same), (NOBODY, same), (CallContext(principal="p"), same), (NOBODY, same)
    )
    assert used == ["session-1", "session-2", "session-1", "session-2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"X-A": "1", "X-B": "2"}, {"X-B": "2", "X-A": "1"}),
        ({"X-A": "1"}, {"x-a": "1"}),
        *(
            ({"X-A": "1", name: "1"}, {"X-A": "1", name: "2"})
            for name in ("User-Agent", "DPoP", "traceparent", "tracestate", "baggage", "BAGGAGE")
        ),
        ({"X-A": "1"}, {"X-A": "1", "DPoP": "proof"}),
    ],
    ids=repr,
)
def test_without_a_principal_equal_headers_are_one_identity(one: dict[str, str], other: dict[str, str]) -> None:
    assert sessions((NOBODY, one), (NOBODY, other)) == ["session-1", "session-1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"X-A": ""}),
        ({"X-A": "1"}, {"X-A": "2"}),
        ({"X-A": "1"}, {"X-A": "1", "X-B": ""}),
        ({"X-A": "a"}, {"X-A": "A"}),
        ({"X-A": "b"}, {"X-Ab": ""}),
        ({"X-A": "1", "X-B": "2"}, {"X-A": "2", "X-B": "1"}),
        ({"X-A": "1X-B2"}, {"X-A": "1", "X-B": "2"}),
        ({"X-A": "x-b", "X-B": "x-a"}, {"X-A": "x-a", "X-B": "x-b"}),
        ({"Authorization": "Bearer a"}, {"Authorization": "Bearer b"}),
        ({"X-Request-Id": "1"}, {"X-Request-Id": "2"}),
        ({"X-DPoP": "1"}, {"X-DPoP": "2"}),
    ],
    ids=repr,
)
def test_without_a_principal_other_headers_are_another_identity(one: dict[str, str], other: dict[str, str]) -> None:
    assert sessions((NOBODY, one), (NOBODY, other)) == ["session-1", "session-2"]


def test_an_opaque_identity_shares_nothing_and_ends_with_its_call() -> None:
    same = {"X-A": "1"}
    assert sessions((NOBODY, same), (NOBODY, same), opaque_identity=True) == ["session-1", "session-2"]
    server = PureServer("handshake")
    client = Client(URL, opaque_identity=True, **HANDSHAKE)
    server.driver.run(client.list_tools())
    (goodbye,) = server.of_kind(RequestKind.TERMINATE)
    assert headers_of(goodbye)["mcp-session-id"] == "session-1"
    assert client.close() == []


def test_an_opaque_identity_with_a_principal_is_that_principal() -> None:
    named = CallContext(principal="p")
    assert sessions((named, {}), (named, {}), opaque_identity=True) == ["session-1", "session-1"]


def test_headers_made_for_each_request_give_each_call_a_session_of_its_own() -> None:
    counter = itertools.count()
    server = PureServer("handshake")
    client = Client(URL, get_headers=lambda _: {"X-Signature": str(next(counter))}, **HANDSHAKE)
    for expected in ("session-1", "session-2"):
        before = len(server.sent)
        server.driver.run(client.list_tools())
        sent = server.sent[before:]
        assert [request.kind.value for request in sent] == ["initialize", "notification", "request", "terminate"]
        assert {headers_of(request)["mcp-session-id"] for request in sent[1:]} == {expected}
    assert client.close() == []


def test_a_session_of_ones_own_serves_all_pages_and_ends_also_after_a_failure() -> None:
    counter, pages = itertools.count(), iter(["2", "3", None])

    def instead(request: SendRequest) -> Answer | None:
        if request.rpc_method != "tools/list":
            return None
        cursor = next(pages)
        return Reply(500) if cursor is None else result_reply(request, {"tools": [], "nextCursor": cursor})

    server = PureServer("handshake", instead)
    client = Client(URL, get_headers=lambda _: {"X-Signature": str(next(counter))}, **HANDSHAKE)
    with pytest.raises(McpError, match="500"):
        server.driver.run(client.list_tools())
    kinds = [request.kind.value for request in server.sent]
    assert kinds == ["initialize", "notification", "request", "request", "request", "terminate"]
    assert {headers_of(request)["mcp-session-id"] for request in server.sent[1:]} == {"session-1"}


def test_a_stream_of_ones_own_ends_with_its_call() -> None:
    counter = itertools.count()
    server = play("list, HTTP+SSE", context=NOBODY, get_headers=lambda _: {"X-Signature": str(next(counter))})
    (stream,) = server.driver.streams
    assert stream.closed.raised


def test_a_kept_stream_serves_its_own_identity_alone() -> None:
    strict = Strict("sse")
    client = Client(URL, get_headers=as_user, **SSE)
    for context in (user("alice"), user("bob"), user("alice"), user("bob", "acme/bob"), user("bob", "acme/bob")):
        strict.server.driver.run(client.list_tools(context=context))
    assert len(strict.server.of_kind(RequestKind.LISTEN)) == 3
    assert not any(stream.closed.raised for stream in strict.server.driver.streams)
    assert client.close() == []
    assert all(stream.closed.raised for stream in strict.server.driver.streams)


def test_only_the_verdict_crosses_from_one_identity_to_another() -> None:
    def instead(request: SendRequest) -> Answer | None:
        name = headers_of(request)["x-user"]
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {name: {}}, "instructions": f"for {name}"}
        return result_reply(request, {**result, "ttlMs": 1000, "cacheScope": "public"})

    server = PureServer("modern", instead)
    client = Client(URL, get_headers=as_user, clock=lambda: 0.0, share_public=True)
    for context, expected in ((ALICE, "alice"), (BOB, "bob"), (ALICE, "alice")):
        discovery = server.driver.run(client.open(context=context))
        assert (discovery.instructions, discovery.capabilities.raw) == (f"for {expected}", {expected: {}})
    assert [headers_of(request)["x-user"] for request in server.sent] == ["alice", "bob"]


# Goodbyes.


def goodbyes(context: CallContext, **options: Any) -> list[Operation[None]]:
    server = PureServer("handshake")
    client = Client(URL, **HANDSHAKE, **options)
    server.driver.run(client.list_tools(context=context))
    return client.close()


def test_a_stored_session_is_ended_only_where_headers_can_be_found_for_it() -> None:
    assert len(goodbyes(CallContext(principal="p"), get_headers=Recorder({"X-A": "1"}))) == 1
    assert len(goodbyes(NOBODY, headers={"X-A": "1"}, auth_token="t")) == 1
    assert goodbyes(NOBODY, get_headers=Recorder({"X-A": "1"})) == []
    assert goodbyes(CallContext(request_headers={"x-user": "a"}), forward=["x-user"]) == []


def test_closing_forgets_everybody() -> None:
    server = PureServer("handshake")
    client = Client(URL, **HANDSHAKE)
    server.driver.run(client.list_tools(context=ALICE))
    assert len(client.close()) == 1
    assert client.close() == []
    server.driver.run(client.list_tools(context=ALICE))
    assert server.sessions == 2
    assert client.close() == []
    assert client.statistics().partitions == 0


# Nothing of a call outlives it.


class Anything:
    """An object that can be watched."""


@each_kind
def test_no_context_outlives_its_call(scene: str) -> None:
    def once() -> weakref.ref[Anything]:
        watched = Anything()
        context = CallContext(principal="p", request_headers={"x-user": "u"}, user=watched, input=[watched])
        SCENES[scene].act(client, server, context)
        server.driver.resolved.clear()
        return weakref.ref(watched)

    server = PureServer(SCENES[scene].era)
    client = Client(URL, get_headers=lambda _: {"X-A": "1"}, **SCENES[scene].options)
    reference = once()
    gc.collect()
    assert reference() is None


@each_kind
@pytest.mark.parametrize("principal", ["p", None])
def test_no_resolved_value_is_kept(scene: str, principal: str | None) -> None:
    context = CallContext(principal=principal, request_headers={"x-user": "SECRET-inbound"})
    server = PureServer(SCENES[scene].era)
    client = Client(URL, get_headers=lambda _: {"X-A": "SECRET-resolved"}, **SCENES[scene].options)
    SCENES[scene].act(client, server, context)
    held = [item for item in reachable(client) if isinstance(item, str | bytes)]
    assert any("mcp.example" in item for item in held if isinstance(item, str)), "the search does not find anything"
    assert not [item for item in held if "SECRET" in (item if isinstance(item, str) else item.decode("latin-1"))]


# What a tool's definition asks of calls, each identity learns for itself.


def test_which_arguments_travel_as_headers_is_learned_from_ones_own_list() -> None:
    def answer(request: SendRequest) -> Answer | None:
        if request.rpc_method != "tools/list":
            return None
        header = f"For-{headers_of(request)['x-user']}"
        properties = {"q": {"type": "string", "x-mcp-header": header}}
        return result_reply(
            request, {"tools": [{"name": "search", "inputSchema": {"type": "object", "properties": properties}}]}
        )

    def mirrored(context: CallContext) -> set[str]:
        server.driver.run(client.call_tool("search", {"q": "x"}, context=context))
        return {name for name in headers_of(server.sent[-1]) if name.startswith("mcp-param-")}

    server = PureServer("modern", answer)
    client = Client(URL, get_headers=as_user, **MODERN)
    alice, bob, nobody = user("alice", "acme/alice"), user("bob", "acme/bob"), user("bob")
    server.driver.run(client.list_tools(context=alice))
    assert (mirrored(alice), mirrored(bob), mirrored(nobody)) == ({"mcp-param-for-alice"}, set(), set())
    server.driver.run(client.list_tools(context=nobody))
    assert (mirrored(alice), mirrored(bob)) == ({"mcp-param-for-alice"}, set())
    assert mirrored(nobody) == {"mcp-param-for-bob"}


# A call that is answered as somebody else keeps nothing for those whom it seemed to be.

APP, UNSENT = "Bearer app", "was never sent"


@define
class Turncoat:
    """Resolvers show the application's token, until the server has turned it away: then each call's user's.

    :ivar by: how the server turns it away: a status, or that the request was never sent.
    :ivar at: which kind of request it does so with.
    :ivar crossings: what reached a session or a stream under another token than that it was opened with.
    """

    by: int | str
    at: RequestKind
    server: Callable[[SendRequest], Answer]
    is_turned: bool = False
    opened: dict[str, str] = field(factory=dict)
    crossings: list[str] = field(factory=list)

    def resolve(self, context: RequestContext) -> dict[str, str]:
        return {"Authorization": f"Bearer {context.user}" if self.is_turned else APP}

    def __call__(self, request: SendRequest) -> Answer:
        headers = headers_of(request)
        token = headers["authorization"]
        if token == APP and request.kind is self.at:
            self.is_turned = True
            if self.by == UNSENT:
                return NotSentError(UNSENT)
            return Reply(401) if self.by == 401 else Reply(307, {"location": request.url})
        place = headers.get("mcp-session-id") or (request.url if "?s=" in request.url else None)
        if place is not None and self.opened.setdefault(place, token) != token:
            self.crossings.append(f"{request.kind} as {token} in what {self.opened[place]} opened")
        answer = self.server(request)
        if isinstance(answer, Reply) and "mcp-session-id" in dict(answer.head()):
            self.opened[dict(answer.head())["mcp-session-id"]] = token
        return answer


def as_somebody_else(by: int | str, at: RequestKind, server: Any, **options: Any) -> tuple[World, Turncoat]:
    turncoat = Turncoat(by, at, server)
    world = world_of(server, get_headers=turncoat.resolve, redirects="same-origin", **options)
    world.server = turncoat
    return world, turncoat


each_turning = pytest.mark.parametrize("by", [401, 307, UNSENT])


@each_turning
def test_a_session_opened_as_somebody_else_serves_its_call_alone(by: int | str) -> None:
    world, turncoat = as_somebody_else(by, RequestKind.INITIALIZE, HandshakeServer(), protocol_version="2025-11-25")
    for name in ("alice", "bob"):
        turncoat.is_turned = False
        world.sent.clear()
        assert world.run(world.client.call_tool("x", context=CallContext(user=name))).text == "found"
        sent = [request.rpc_method or request.method for request in world.sent]
        assert sent == ["initialize"] * 2 + ["notifications/initialized", "tools/call", "DELETE"]
    assert turncoat.crossings == []
    assert turncoat.opened == {"s1": "Bearer alice", "s2": "Bearer bob"}
    assert world.leftovers() == []


@each_turning
@pytest.mark.parametrize("at", [RequestKind.LISTEN, RequestKind.INITIALIZE])
def test_a_stream_opened_as_somebody_else_serves_its_call_alone(by: int | str, at: RequestKind) -> None:
    world, turncoat = as_somebody_else(by, at, SseServer(), type="sse")
    for number, name in enumerate(("alice", "bob"), 1):
        turncoat.is_turned = False
        assert world.run(world.client.call_tool("x", context=CallContext(user=name))).text == "found"
        assert [stream.closed.raised for stream in world.streams] == [True] * number
    assert turncoat.crossings == []
    assert world.leftovers() == []


@pytest.mark.parametrize("at", [RequestKind.INITIALIZE, RequestKind.LISTEN])
def test_a_principal_keeps_what_it_opened_after_a_401(at: RequestKind) -> None:
    server = HandshakeServer() if at is RequestKind.INITIALIZE else SseServer()
    options = {"protocol_version": "2025-11-25"} if at is RequestKind.INITIALIZE else {"type": "sse"}
    world, _ = as_somebody_else(401, at, server, **options)
    for _ in range(2):
        world.run(world.client.call_tool("x", context=CallContext(principal="p", user="alice")))
    assert server.opened == 1
    assert world.leftovers() == []


def searching(request: SendRequest) -> Answer:
    """A modern server that shows each user another definition of one tool."""
    name = headers_of(request)["authorization"].removeprefix("Bearer ")
    if request.rpc_method == "server/discover":
        told = {"supportedVersions": ["2026-07-28"], "instructions": f"for {name}", "ttlMs": 1000}
        return result_reply(request, told)
    if request.rpc_method == "tools/list":
        schema = {"type": "object", "properties": {"q": {"type": "string", "x-mcp-header": f"For-{name}"}}}
        return result_reply(request, {"tools": [{"name": "search", "inputSchema": schema}]})
    return result_reply(request, {"content": []})


@each_turning
@pytest.mark.parametrize("at", [RequestKind.DISCOVER, RequestKind.REQUEST])
def test_a_definition_shown_to_somebody_else_asks_nothing_of_others(by: int | str, at: RequestKind) -> None:
    world, turncoat = as_somebody_else(by, at, searching)
    tools = world.run(world.client.list_tools(context=CallContext(user="alice")))
    assert [tool.name for tool in tools] == ["search"]
    turncoat.is_turned = False
    world.run(world.client.call_tool("search", {"q": "secret"}, context=CallContext(user="bob")))
    assert not [name for name in headers_of(world.sent[-1]) if name.startswith("mcp-param-")]


@each_turning
@pytest.mark.parametrize("pinned", [None, "2026-07-28"])
def test_what_a_server_tells_somebody_else_is_told_nobody(by: int | str, pinned: str | None) -> None:
    options = {"protocol_version": pinned, "clock": lambda: 0.0}
    world, turncoat = as_somebody_else(by, RequestKind.DISCOVER, searching, **options)
    bob = world.play(world.client.open(context=CallContext(user="bob")))
    bob.until(ResolveHeaders)
    assert world.run(world.client.open(context=CallContext(user="alice"))).instructions == "for alice"
    # Bob's first headers are the application's, as Alice's were; what she was told is not his all the same.
    turncoat.is_turned = False
    assert bob.finish().instructions == "for bob"
    assert world.client.statistics().cache_entries == 0


# What a call opens when nobody will find it again.


def test_a_session_opened_while_the_client_closes_ends_with_its_call() -> None:
    world = world_of(HandshakeServer(), protocol_version="2025-11-25")
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest, rpc_method="initialize")
    assert world.client.close() == []
    assert play.finish().text == "found"
    assert world.methods() == ["initialize", "notifications/initialized", "tools/call", "DELETE"]
    assert world.client.close() == []
    # Nor does a call that begins after that leave anything behind.
    world.run(world.client.ping(context=ALICE))
    assert world.methods()[4:] == ["initialize", "notifications/initialized", "ping", "DELETE"]


def test_a_stream_opened_while_the_client_closes_ends_with_its_call() -> None:
    world = world_of(SseServer(), type="sse")
    play = world.play(world.client.call_tool("x", context=ALICE))
    play.until(SendRequest, method="GET")
    assert world.client.close() == []
    assert play.finish().text == "found"
    assert [stream.closed.raised for stream in world.streams] == [True]
    assert world.leftovers() == []


def test_only_a_partition_that_can_be_found_is_kept() -> None:
    partitions = Partitions(Digester(b"key"), Limits(partitions=1, anonymous_partitions=1), lambda: 0.0)
    first, nobody = partitions.of_principal("1"), partitions.of_nobody()
    assert (first.is_kept, nobody.is_kept) == (True, False)
    second, minted = partitions.of_principal("2"), partitions.of_identity(b"1")
    assert (first.is_kept, second.is_kept, minted.is_kept) == (False, True, True)
    partitions.close()
    assert (second.is_kept, minted.is_kept) == (False, False)


def test_whether_identity_is_opaque_may_be_said_later() -> None:
    world = world_of(HandshakeServer(), protocol_version="2025-11-25")
    assert not world.client.opaque_identity
    world.run(world.client.ping())
    world.client.opaque_identity = True
    assert world.client.opaque_identity
    world.run(world.client.ping())
    sent = world.methods()
    assert sent == ["initialize", "notifications/initialized", "ping"] * 2 + ["DELETE"]
