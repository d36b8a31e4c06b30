"""Operations by hand: several at once, one command at a time, in any order, left at any point.

A :class:`World` is one client and one server; a :class:`Play` is one operation in it.  Nothing waits: a play that waits
for another one says so, and the test decides who goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from attrs import define, field

from mcpcore import (
    CallHandler,
    Client,
    Complete,
    Deliver,
    Emit,
    EndResponse,
    EventStream,
    LookUp,
    McpError,
    Operation,
    ReceiveData,
    RequestContext,
    ResolveHeaders,
    SendRequest,
    Signal,
    Spawn,
    StartReader,
    StoreDelete,
    StoreGet,
    StorePut,
    TransportError,
    WaitFor,
)
from support.pure import Answer, Reply, error_reply, message_of, result_reply
from support.shelf import Shelf

T = TypeVar("T")

URL = "https://mcp.example/mcp"
MODERN, HANDSHAKE, OLDEST = "2026-07-28", "2025-11-25", "2024-11-05"
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
DISCOVERY = {"resultType": "complete", "supportedVersions": [MODERN], "capabilities": {"tools": {}}, "ttlMs": 0}
FOUND = {"resultType": "complete", "content": [{"type": "text", "text": "found"}]}


def initialize_result(version: str = HANDSHAKE) -> dict[str, Any]:
    return {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}


def event(message: object, kind: str = "message") -> bytes:
    """One event of a stream; bytes are taken as they are."""
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def found(request: SendRequest) -> Mapping[str, Any]:
    return FOUND


def modern_server(request: SendRequest) -> Answer:
    """Speaks the modern era alone."""
    if (b"mcp-protocol-version", MODERN.encode()) not in request.headers:
        return error_reply(request, -32020, 400) if request.method == "POST" else Reply(405)
    return result_reply(request, DISCOVERY if request.rpc_method == "server/discover" else FOUND)


@define
class HandshakeServer:
    """Speaks the handshake era alone, with sessions.

    :ivar results: makes its results, or a whole answer.
    :ivar known: the sessions that it has not forgotten.
    """

    version: str = HANDSHAKE
    results: Callable[[SendRequest], Mapping[str, Any] | Answer] = found
    opened: int = 0
    known: set[str] = field(factory=set[str])

    def __call__(self, request: SendRequest) -> Answer:
        headers = {name.decode(): value.decode() for name, value in request.headers}
        method = request.rpc_method
        if method == "initialize":
            self.opened += 1
            self.known.add(f"s{self.opened}")
            return result_reply(request, initialize_result(self.version), mcp_session_id=f"s{self.opened}")
        session = headers.get("mcp-session-id")
        if session is None:
            return Reply(400)
        if session not in self.known:
            return Reply(404)
        if request.method == "DELETE":
            self.known.discard(session)
            return Reply(204)
        message = message_of(request)
        if "id" not in message or "method" not in message:
            return Reply(202)
        result = self.results(request)
        return result_reply(request, result) if isinstance(result, Mapping) else result


@define(eq=False)
class Play(Generic[T]):
    """One operation in progress.

    :ivar result: what it returned, once it is over.
    :ivar error: what it failed with.
    :ivar emitted: what it handed out.
    :ivar beside: what it wanted to be driven beside it, which goes on only when the test says so.
    :ivar withdrawn: is raised when nobody wants it any more, if it is beside another one.
    """

    world: World
    operation: Operation[T]
    result: T | None = None
    error: Exception | None = None
    over: bool = False
    emitted: list[Any] = field(factory=list[Any])
    beside: list[Play[None]] = field(factory=list["Play[None]"])
    withdrawn: Signal | None = None
    bodies: list[list[bytes | TransportError]] = field(factory=list[list[bytes | TransportError]])

    def peek(self) -> Any:
        """The command that it hands out now; None if it is over."""
        if self.over:
            return None
        try:
            command = self.operation.next_command()
        except Exception as error:
            self.error = error
            return self._take_leave()
        if isinstance(command, Complete):
            self.result = command.result
            return self._take_leave()
        return command

    def _take_leave(self) -> None:
        """Tell the server what it has to know after the end."""
        self.over = True
        farewell = self.operation.cancel()
        if farewell is not None:
            self.world.run(farewell)

    def step(self) -> bool:
        """Answer one command; False if there is none, or it has to wait."""
        command = self.peek()
        if command is None or self._waits_for_others(command):
            return False
        self._answer(command)
        return True

    def _waits_for_others(self, command: Any) -> bool:
        """Whether somebody else has to do something first; time passes by itself."""
        return isinstance(command, WaitFor) and not command.signal.raised and command.seconds is None

    def until(self, kind: type[T], **named: Any) -> T:
        """Go on until it asks for a command of this kind with these attributes, and leave that unanswered."""
        for _ in range(1000):
            command = self.peek()
            assert command is not None, f"it is over: {self.error or self.result}"
            if isinstance(command, kind) and all(getattr(command, name) == value for name, value in named.items()):
                return command
            assert self.step(), f"it waits: {command}"
        raise AssertionError("it never ends")

    def until_blocked(self) -> None:
        """Go on until it waits for somebody else."""
        while self.step():
            pass
        assert isinstance(self.peek(), WaitFor), f"it is over: {self.error or self.result}"

    def finish(self) -> T:
        """Go on to the end, which must be a result."""
        self.end()
        assert self.error is None, repr(self.error)
        result: Any = self.result  # None is the result of some operations
        return result

    def fail(self) -> McpError:
        """Go on to the end, which must be an error."""
        self.end()
        assert isinstance(self.error, McpError), f"it returned {self.result}, or raised {self.error!r}"
        return self.error

    def end(self) -> None:
        while self.step():
            pass
        assert self.over, f"it waits: {self.peek()}"

    def cancel(self) -> Play[None] | None:
        """Give up; the rest of it, if the server has something to be told."""
        self.over = True
        rest = self.operation.cancel()
        return None if rest is None else self.world.play(rest)

    def _answer(self, command: Any) -> None:
        operation, world = self.operation, self.world
        match command:
            case ResolveHeaders():
                self._resolve(command)
            case SendRequest():
                self._send(command)
            case ReceiveData():
                self._receive()
            case EndResponse(drain=drain):
                self.bodies.pop()
                world.ended.append(drain)
                operation.response_ended()
            case StartReader(stream=stream):
                world.streams.append(stream)
                operation.reader_started()
                for piece in self.bodies.pop():
                    assert isinstance(piece, bytes)
                    stream.receive_data(piece)
            case StoreGet() | StorePut() | StoreDelete():
                world.shelf.answer(operation, command)
            case _:
                self._answer_at_home(command)

    def _answer_at_home(self, command: Any) -> None:
        """Answer what leaves no trace outside."""
        match command:
            case WaitFor():
                self.operation.signalled()
            case CallHandler() | Deliver():
                self._use_handler(command)
            case Spawn(operation=other, withdrawn=withdrawn):
                self.beside.append(self.world.play(other))
                self.beside[-1].withdrawn = withdrawn
                self.operation.spawned()
            case Emit(value=value):
                self.emitted.append(value)
                self.operation.emitted()
            case LookUp():
                self.operation.looked_up(["93.184.215.14"])

    def _use_handler(self, command: CallHandler | Deliver) -> None:
        try:
            if isinstance(command, CallHandler):
                value = command.handler(*command.arguments)
            else:
                value = [command.handler(value) for value in command.values]
        except Exception as error:
            self.operation.handler_failed(error)
        else:
            if isinstance(command, CallHandler):
                self.operation.handler_returned(value)
            else:
                self.operation.delivered()

    def _resolve(self, command: ResolveHeaders) -> None:
        self.world.resolved.append(command.context)
        try:
            headers: Any = command.resolver(command.context)
        except Exception as error:
            self.operation.resolver_failed(error)
        else:
            self.operation.headers_resolved(headers)

    def _send(self, command: SendRequest) -> None:
        self.world.sent.append(command)
        answer = self.world.server(command)
        if isinstance(answer, TransportError):
            self.operation.request_failed(answer)
        else:
            self.bodies.append(list(answer.pieces))
            self.operation.receive_head(answer.status, answer.head())

    def _receive(self) -> None:
        piece = self.bodies[-1].pop(0) if self.bodies[-1] else None
        if isinstance(piece, bytes):
            self.operation.receive_data(piece)
            return
        self.bodies.pop()
        if piece is None:
            self.operation.receive_end()
        else:
            self.operation.request_failed(piece)


@define(eq=False)
class World:
    """One client and one server.

    :ivar sent: every request, in order.
    :ivar resolved: every context that a resolver was given, in order.
    :ivar ended: for each response left early, whether it was to be drained.
    :ivar streams: every event stream that was given to a reader.
    :ivar shelf: the store, if the client has one.
    """

    client: Client
    server: Callable[[SendRequest], Answer]
    sent: list[SendRequest] = field(factory=list[SendRequest])
    resolved: list[RequestContext] = field(factory=list[RequestContext])
    ended: list[bool] = field(factory=list[bool])
    streams: list[EventStream] = field(factory=list[EventStream])
    shelf: Shelf = field(factory=Shelf)

    def play(self, operation: Operation[T]) -> Play[T]:
        return Play(self, operation)

    def run(self, operation: Operation[T]) -> T:
        return self.play(operation).finish()

    def fail(self, operation: Operation[Any]) -> McpError:
        return self.play(operation).fail()

    def run_all(self, *plays: Play[Any]) -> None:
        """Let all of them go on, one command each in turn, until all are over."""
        steps = [True]
        while any(steps):
            steps = [play.step() for play in plays]
        assert all(play.over for play in plays), "they wait for each other"

    def methods(self) -> list[str]:
        """What was sent: the JSON-RPC method, or the HTTP method where there is none."""
        return [request.rpc_method or request.method for request in self.sent]

    def push(self, message: object) -> None:
        """Send a message on the event stream opened last."""
        self.streams[-1].receive_data(event(message))

    def leftovers(self) -> list[str]:
        """What calls left behind that nobody uses any more.  Tests look inside here, and nowhere else."""
        state = self.client._state
        found = ["a probe in the air"] if state.probing.flight is not None else []
        for partition in state.partitions.all():
            if partition.users:
                found.append(f"a partition pinned {partition.users} times")
            if partition.opening.flight is not None:
                found.append("an opening in the air")
            if partition.cache._runways:
                found.append("a runway without a flight")
        for stream in self.streams:
            if stream._mailboxes:
                found.append(f"{len(stream._mailboxes)} mailboxes")
        kept = [partition.stream for partition in state.partitions.all()]
        found += ["a stream that nobody keeps" for s in self.streams if s not in kept and not s.closed.raised]
        return found


@define
class SseServer:
    """Speaks HTTP+SSE alone; each answer arrives on its stream before its POST is answered.

    :ivar endpoint: where to post, if not to a URL that names the stream.
    :ivar results: makes its results, or a whole answer.
    :ivar silent: the methods that it leaves for the test to answer.
    """

    world: World | None = None
    version: str = OLDEST
    endpoint: bytes | None = None
    results: Callable[[SendRequest], Mapping[str, Any] | Answer] = found
    silent: set[str] = field(factory=set[str])
    opened: int = 0

    def __call__(self, request: SendRequest) -> Answer:
        if request.method == "GET":
            self.opened += 1
            endpoint = self.endpoint or f"/messages?s={self.opened}".encode()
            return Reply(200, {"content-type": "text/event-stream"}, [event(endpoint, "endpoint")])
        if request.url == URL:
            return Reply(405)
        message = message_of(request)
        if "id" in message and "method" in message and message["method"] not in self.silent:
            assert self.world is not None
            is_first = request.rpc_method == "initialize"
            result = initialize_result(self.version) if is_first else self.results(request)
            if not isinstance(result, Mapping):
                return result
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": result}
            streams = [s for s in self.world.streams if s.session is not None and s.session.url == request.url]
            streams[-1].receive_data(event(answer))
        return Reply(202)


def world_of(server: Callable[[SendRequest], Answer], **options: Any) -> World:
    """A client and the server that it talks to."""
    world = World(Client(URL, **options), server)
    if isinstance(server, SseServer):
        server.world = world
    return world


def refuse_with(code: int, status: int = 400, data: object = None) -> Callable[[SendRequest], Reply]:
    """A server that refuses everything in the same way."""
    return lambda request: error_reply(request, code, status, data)
