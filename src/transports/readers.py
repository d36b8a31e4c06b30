"""The tasks that a client has of its own: they move the bytes of streams that outlive a call, and do nothing else.

An HTTP+SSE stream is read by one such task.  A channel is read by one and written by another, so that a message that
was begun is sent to its end whatever becomes of its call: half a line would spoil the channel for everybody.
"""

from __future__ import annotations

import logging
from collections import deque
from contextvars import Context
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from anyio.abc import TaskGroup
from attrs import define, field

from mcpcore import McpError, Signal, TransportError
from mcpcore.operation import spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from mcpcore import DuplexChannel, EventStream, Spawn

    from .channel import Channel
    from .engines.base import Response

_log = logging.getLogger("transports")


class Closable(Protocol):
    """A response, or a channel."""

    async def aclose(self) -> None:
        """Close it."""
        ...


async def close(resource: Closable) -> None:
    """Give something up, also in a scope that is cancelled; that it can't be closed is nothing to fail for."""
    with anyio.CancelScope(shield=True):
        try:
            await resource.aclose()
        except Exception:
            _log.exception("a response or channel could not be closed")


async def wait_for(signal: Signal) -> None:
    """Wait until ``signal`` is raised."""
    event = anyio.Event()
    signal.subscribe(event.set)
    try:
        await event.wait()
    finally:
        signal.unsubscribe(event.set)


@define
class Readers:
    """Where the readers of event streams, and of the channel, run.

    A reader ends when its stream does, and by nothing else: when a scope around the client is cancelled, the calls in
    it are to end by that, and not by streams that vanish under them.

    :ivar context: the context variables that they see: their owner's, never those of the call that opened a stream.
    """

    tasks: TaskGroup
    context: Context
    _run_beside: Callable[[Spawn], Coroutine[Any, Any, None]]
    _streams: set[EventStream | DuplexChannel] = field(factory=set["EventStream | DuplexChannel"], init=False)
    _carriers: dict[DuplexChannel, Carrier] = field(factory=dict["DuplexChannel", "Carrier"], init=False)

    def start(self, stream: EventStream, response: Response) -> None:
        """Read ``stream`` from now on."""
        answer = partial(self._answer, stream)
        self._begin(stream, response, lambda: _read("event stream", stream, response, answer))

    def _answer(self, stream: EventStream) -> None:
        """Have pings answered, while the stream is read on."""
        for work in stream.replies():
            self.context.run(self.tasks.start_soon, self._run_beside, spawn(work))

    def carry(self, stream: DuplexChannel, channel: Channel) -> None:
        """Read and write ``channel`` from now on."""
        carrier = self._carriers[stream] = Carrier(stream, channel)
        self._begin(stream, channel, lambda: self._carry(carrier))

    def carrier_of(self, stream: DuplexChannel) -> Carrier | None:
        """What reads and writes a channel; None if it has ended."""
        return self._carriers.get(stream)

    def close(self) -> None:
        """End every stream; what still waits on one fails."""
        for stream in list(self._streams):
            stream.close()

    def _begin(
        self, stream: EventStream | DuplexChannel, source: Closable, move: Callable[[], Awaitable[None]]
    ) -> None:
        self._streams.add(stream)
        self.context.run(self.tasks.start_soon, self._run, stream, source, move)

    async def _run(
        self, stream: EventStream | DuplexChannel, source: Closable, move: Callable[[], Awaitable[None]]
    ) -> None:
        """Move the bytes of one stream, until it ends or nobody needs it."""
        with anyio.CancelScope(shield=True):
            try:
                with anyio.CancelScope() as scope:
                    stream.closed.subscribe(scope.cancel)
                    await move()
            finally:
                stream.close()
                self._streams.discard(stream)
                await close(source)

    async def _carry(self, carrier: Carrier) -> None:
        try:
            await carrier.run()
        finally:
            del self._carriers[carrier.stream]
            carrier.give_up()


@define(eq=False)
class Letter:
    """A message on its way."""

    data: bytes = field(repr=False)
    _settled: anyio.Event = field(factory=anyio.Event, init=False, repr=False)
    _failure: McpError | None = field(default=None, init=False)

    def settle(self, failure: McpError | None = None) -> None:
        """Take note that it has been sent, or why not."""
        self._failure = failure
        self._settled.set()

    async def sent(self) -> None:
        """Wait until it has been sent.

        :raises mcpcore.McpError: if it can't be.
        """
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure


@define(eq=False)
class Carrier:
    """Moves the bytes of one channel, both ways."""

    stream: DuplexChannel
    _channel: Channel
    _letters: deque[Letter] = field(factory=deque[Letter], init=False, repr=False)
    _arrival: anyio.Event = field(factory=anyio.Event, init=False, repr=False)

    def post(self, data: bytes) -> Letter:
        """Send ``data`` after all that was posted before."""
        letter = Letter(data)
        self._letters.append(letter)
        self._arrival.set()
        return letter

    def take_back(self, letter: Letter) -> bool:
        """Don't send ``letter``; False if it has been begun."""
        if letter in self._letters:
            self._letters.remove(letter)
            return True
        return False

    def give_up(self) -> None:
        """Send nothing any more."""
        while self._letters:
            self._letters.popleft().settle(TransportError("the channel has ended"))

    async def run(self) -> None:
        """Read and write, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            await _read("channel", self.stream, self._channel, self._wake_writer)

    def _wake_writer(self) -> None:
        self._arrival.set()

    async def _write(self) -> None:
        while True:
            letter = await self._next_letter()
            try:
                await self._channel.send(letter.data)
            except Exception as error:
                letter.settle(_failure(error, "the message could not be sent"))
                self.stream.request_failed(_failure(error, "the channel takes no more messages"))
                return
            except BaseException:
                letter.settle(TransportError("the channel has ended"))
                raise
            letter.settle()

    async def _next_letter(self) -> Letter:
        """What to send next: what was posted, and what the channel itself has to say."""
        while True:
            if self._letters:
                return self._letters.popleft()
            if data := self.stream.data_to_send():
                return Letter(data)
            self._arrival = anyio.Event()
            await self._arrival.wait()


def _do_nothing() -> None:
    """What is done after each piece that was read of a stream that is not written to."""


async def _read(
    name: str,
    stream: EventStream | DuplexChannel,
    source: Response | Channel,
    after_each: Callable[[], None] = _do_nothing,
) -> None:
    """Read a stream to its end, and no faster than what it brings is handled."""
    try:
        while data := await source.receive():
            stream.receive_data(data)
            after_each()
            while (room := stream.room) is not None:
                await wait_for(room)
                after_each()
        stream.receive_end()
    except Exception as error:
        stream.request_failed(_failure(error, f"the {name} could not be read"))


def _failure(error: Exception, otherwise: str) -> McpError:
    """The error to fail with for ``error``: a copy of it, or one that it is the cause of."""
    if isinstance(error, McpError):
        failure = copy(error)
        failure.__cause__ = error.__cause__
    else:
        failure = TransportError(otherwise)
        failure.__cause__ = error
    return failure
