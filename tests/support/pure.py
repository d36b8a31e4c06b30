"""A driver for tests of the pure half: no sockets, no event loop, no waiting.

It plays one operation to its end against a function that plays the server.  It is also the shortest driver there can
be, and shows that the core needs nothing more.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from attrs import define, field

from mcpcore import (
    CallHandler,
    Command,
    Complete,
    Deliver,
    Emit,
    EndResponse,
    EventStream,
    LookUp,
    McpError,
    Operation,
    ReceiveData,
    ResolveHeaders,
    SendRequest,
    Spawn,
    StartReader,
    StoreDelete,
    StoreGet,
    StorePut,
    TransportError,
    WaitFor,
)
from support.shelf import Shelf

T = TypeVar("T")


@define
class Reply:
    """What a server answers: a head, then pieces of a body; an exception among them is a failure of the network."""

    status: int = 200
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = field(factory=dict[str, str])
    pieces: Iterable[bytes | TransportError] = ()

    def head(self) -> list[tuple[str, str]]:
        return list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)


def json_reply(body: object, status: int = 200, **headers: str) -> Reply:
    """A JSON body."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "application/json", **named}, [json.dumps(body).encode()])


def result_reply(request: SendRequest, result: Mapping[str, Any], **headers: str) -> Reply:
    """A JSON-RPC result for ``request``."""
    return json_reply({"jsonrpc": "2.0", "id": message_of(request)["id"], "result": result}, **headers)


def error_reply(request: SendRequest, code: int, status: int = 200, data: object = None, **headers: str) -> Reply:
    """A JSON-RPC error for ``request``."""
    error = {"code": code, "message": "refused", "data": data}
    return json_reply({"jsonrpc": "2.0", "id": message_of(request).get("id"), "error": error}, status, **headers)


def sse_reply(*messages: object, status: int = 200) -> Reply:
    """An event stream of messages."""
    events = [b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages]
    return Reply(status, {"content-type": "text/event-stream"}, events)


def message_of(request: SendRequest) -> dict[str, Any]:
    """The JSON-RPC message in a request's body; empty if it has none."""
    return json.loads(request.body) if request.body else {}


def headers_of(request: SendRequest) -> dict[str, str]:
    """A request's headers by lower-cased name; fails if a name is there twice."""
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
    assert len(headers) == len(request.headers), "a header name is on the wire twice"
    return headers


Answer = Reply | TransportError


@define
class PureDriver:
    """Plays operations against ``server``, and remembers what went out.

    :ivar sent: every request, in order.
    :ivar resolved: every RequestContext that a resolver was given, in order.
    :ivar ended: for each ``EndResponse``, whether it asked to drain.
    :ivar waited: for each wait that has an end by itself, how many seconds it may be.
    :ivar emitted: every value that was handed out, in order.
    :ivar shelf: the store, if the client has one.
    :ivar addresses: where hosts are; all others are at one public address.
    :ivar looked_up: every host that was asked for, in order.
    """

    server: Callable[[SendRequest], Answer]
    sent: list[SendRequest] = field(factory=list[SendRequest])
    resolved: list[Any] = field(factory=list[Any])
    ended: list[bool] = field(factory=list[bool])
    streams: list[EventStream] = field(factory=list[EventStream])
    waited: list[float] = field(factory=list[float])
    emitted: list[Any] = field(factory=list[Any])
    shelf: Shelf = field(factory=Shelf)
    addresses: dict[str, tuple[str, ...]] = field(factory=dict[str, tuple[str, ...]])
    looked_up: list[str] = field(factory=list[str])

    def run(self, operation: Operation[T]) -> T:
        """Drive ``operation`` to its end, and after it what is left to tell the server."""
        bodies: list[list[bytes | TransportError]] = []
        try:
            while not isinstance(command := operation.next_command(), Complete):
                self.perform(operation, command, bodies)
            return command.result
        finally:
            farewell = operation.cancel()
            if farewell is not None:
                self.run(farewell)

    def perform(self, operation: Operation[Any], command: Command, bodies: list[Any]) -> None:
        """Do what one command says; ``bodies`` is what this operation's open responses have left to read."""
        match command:
            case ResolveHeaders():
                self._resolve(operation, command)
            case SendRequest():
                self._send(operation, command, bodies)
            case ReceiveData():
                self._receive(operation, bodies)
            case EndResponse(drain=drain):
                bodies.pop()
                self.ended.append(drain)
                operation.response_ended()
            case StartReader(stream=stream):
                self.streams.append(stream)
                operation.reader_started()
                _read(stream, bodies.pop())
            case StoreGet() | StorePut() | StoreDelete():
                self.shelf.answer(operation, command)
            case _:
                self._oblige(operation, command)

    def _oblige(self, operation: Operation[Any], command: Command) -> None:
        """Do what has nothing to do with the server."""
        match command:
            case WaitFor(signal=signal, seconds=None):
                assert signal.raised, "this operation waits for another one, which nobody drives"
                operation.signalled()
            case WaitFor(seconds=float(seconds)):
                self.waited.append(seconds)
                operation.signalled()
            case Deliver(handler=handler, values=values):
                for value in values:
                    handler(value)
                operation.delivered()
            case CallHandler(handler=handler, arguments=arguments):
                _call(operation, handler, arguments)
            case Spawn(operation=other):
                operation.spawned()
                self.run(other)
            case Emit(value=value):
                self.emitted.append(value)
                operation.emitted()
            case LookUp(host=host):
                self.looked_up.append(host)
                operation.looked_up(self.addresses.get(host, ("93.184.215.14",)))

    def _resolve(self, operation: Operation[Any], command: ResolveHeaders) -> None:
        self.resolved.append(command.context)
        try:
            headers = command.resolver(command.context)
        except Exception as exc:
            operation.resolver_failed(exc)
        else:
            assert not inspect.isawaitable(headers)
            operation.headers_resolved(headers)

    def _send(self, operation: Operation[Any], request: SendRequest, bodies: list[Any]) -> None:
        self.sent.append(request)
        answer = self.server(request)
        if isinstance(answer, McpError):
            operation.request_failed(answer)
            return
        bodies.append(list(answer.pieces))
        operation.receive_head(answer.status, answer.head())

    def _receive(self, operation: Operation[Any], bodies: list[list[bytes | TransportError]]) -> None:
        if not bodies[-1]:
            bodies.pop()
            operation.receive_end()
            return
        piece = bodies[-1].pop(0)
        if isinstance(piece, TransportError):
            bodies.pop()
            operation.request_failed(piece)
        else:
            operation.receive_data(piece)


def _call(operation: Operation[Any], handler: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        value = handler(*arguments)
    except Exception as exc:
        operation.handler_failed(exc)
    else:
        assert not inspect.isawaitable(value)
        operation.handler_returned(value)


def _read(stream: EventStream, pieces: list[bytes | TransportError]) -> None:
    """What a reader does with all that is there already; the stream stays open after it."""
    for piece in pieces:
        if isinstance(piece, TransportError):
            stream.request_failed(piece)
        else:
            stream.receive_data(piece)
