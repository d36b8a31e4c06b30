"""Operations over a channel by hand: no process, no event loop, one command at a time.

A :class:`ChannelWorld` is one client and what is at the other end of its channel: a function that is called with each
message that the client sends, and returns the messages to answer with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from attrs import define, field

from mcpcore import (
    CallHandler,
    Client,
    Deliver,
    DuplexChannel,
    Emit,
    OpenChannel,
    Operation,
    SendMessage,
    Spawn,
    TransportError,
    WaitFor,
)
from support.stepping import DISCOVERY, FOUND, MODERN, Play, World, initialize_result

T = TypeVar("T")
Message = Mapping[str, Any]


def line(*messages: object) -> bytes:
    """Messages as they are on a channel; bytes are taken as they are."""
    return b"".join(m if isinstance(m, bytes) else json.dumps(m).encode() + b"\n" for m in messages)


def result(request: Message, value: object = FOUND) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def error(request: Message, code: int, data: object = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": "refused", "data": data}}


def note(method: str, **params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


@define
class Peer:
    """Speaks one era.

    :ivar version: the revision that it speaks.
    :ivar silent: the methods that it leaves for the test to answer.
    :ivar results: makes its results.
    """

    version: str = MODERN
    silent: set[str] = field(factory=set[str])
    results: Callable[[Message], object] = lambda request: FOUND

    def __call__(self, message: Message) -> Iterable[object]:
        if "id" not in message or "method" not in message or message["method"] in self.silent:
            return []
        if message["method"] == "server/discover":
            return [result(message, DISCOVERY) if self.version == MODERN else error(message, -32601)]
        if message["method"] == "initialize":
            refused = error(message, -32022, {"supported": [MODERN]})
            return [refused if self.version == MODERN else result(message, _initialized(self.version))]
        return [result(message, self.results(message))]


def _initialized(version: str) -> dict[str, Any]:
    return {**initialize_result(version), "capabilities": {"resources": {"subscribe": True}}}


@define(eq=False)
class ChannelPlay(Play[T]):
    """One operation over a channel."""

    def time_out(self) -> None:
        """Let the time of what it waits for pass."""
        command = self.peek()
        assert isinstance(command, WaitFor)
        assert command.seconds is not None
        self.operation.signalled()

    def _waits_for_others(self, command: Any) -> bool:
        return isinstance(command, WaitFor) and not command.signal.raised

    def _answer(self, command: Any) -> None:
        world = self.world
        assert isinstance(world, ChannelWorld)
        match command:
            case OpenChannel(channel=channel):
                if world.refusal is not None:
                    self.operation.request_failed(world.refusal)
                    return
                world.channels.append(channel)
                self.operation.channel_opened()
            case SendMessage():
                self._say(command)
            case Deliver(handler=handler, values=values):
                for value in values:
                    handler(value)
                self.operation.delivered()
            case CallHandler(handler=handler, arguments=arguments):
                self.operation.handler_returned(handler(*arguments))
            case Spawn(operation=operation):
                self.operation.spawned()
                world.run(operation)
            case Emit(value=value):
                world.emitted.append(value)
                self.operation.emitted()
            case _:
                Play._answer(self, command)

    def _say(self, command: SendMessage) -> None:
        world = self.world
        assert isinstance(world, ChannelWorld)
        try:
            world.take(command)
        except TransportError as error:
            self.operation.request_failed(error)
        else:
            self.operation.message_sent()


def _no_http(_: Any) -> Any:
    raise AssertionError("HTTP, over a channel")


@define(eq=False)
class ChannelWorld(World):
    """One client, and its server.

    :ivar peer: answers the client's messages.
    :ivar messages: everything that the client sent, in order.
    :ivar channels: every channel that was opened, in order.
    :ivar refusal: why no channel can be opened, if none can.
    :ivar emitted: what was handed out to those who listen, in order.
    """

    peer: Callable[[Message], Iterable[object]] = field(factory=Peer)
    messages: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    channels: list[DuplexChannel] = field(factory=list[DuplexChannel])
    refusal: TransportError | None = None
    emitted: list[Any] = field(factory=list[Any])

    @property
    def channel(self) -> DuplexChannel:
        return self.channels[-1]

    def take(self, command: SendMessage) -> None:
        """Do what the other end does with a message."""
        assert command.channel is self.channel
        assert command.data.endswith(b"\n")
        assert command.data.count(b"\n") == 1
        message = json.loads(command.data)
        self.messages.append(message)
        answers = list(self.peer(message))
        if answers:
            self.push(*answers)

    def push(self, *messages: object) -> None:
        """Send messages to the client."""
        self.channel.receive_data(line(*messages))

    def play(self, operation: Operation[T]) -> ChannelPlay[T]:
        return ChannelPlay(self, operation)

    def methods(self) -> list[str]:
        return [message.get("method", "answer") for message in self.messages]

    def leftovers(self) -> list[str]:
        found = World.leftovers(self)
        return found + [f"{len(c._mailboxes)} mailboxes" for c in self.channels if len(c._mailboxes)]


def channel_world(peer: Callable[[Message], Iterable[object]] | None = None, **options: Any) -> ChannelWorld:
    """A client over a channel, and what is at the other end."""
    return ChannelWorld(Client.over_channel("stdio:server", **options), _no_http, peer=peer or Peer())
