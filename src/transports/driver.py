"""The command loop: does what an operation asks, and answers it.

One loop serves every engine and both event loops, because all that differs between HTTP libraries is behind
:class:`~transports.engines.base.Engine` and all that differs between event loops behind anyio.

Everything happens in the caller's task: a resolver sees the caller's context variables, and the caller's cancellation
and deadlines apply at every step.  The one exception is the reader of an HTTP+SSE stream, which only moves bytes, and
runs in the task group of the client that it belongs to.
"""

from __future__ import annotations

import logging
from contextvars import Context
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define, field

from mcpcore import (
    Complete,
    Deliver,
    EndResponse,
    LocalProtocolError,
    McpError,
    ReceiveData,
    ResolveHeaders,
    SendRequest,
    Signal,
    StartReader,
    StoreDelete,
    StoreGet,
    StorePut,
    TransportError,
    WaitFor,
)

from .observer import ExchangeSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore import Command, EventStream, Limits, Operation

    from .engines.base import Engine, Response
    from .stores.sealed import SealedStore

T = TypeVar("T")

_log = logging.getLogger("transports")


@define
class Readers:
    """Where the readers of event streams run.

    A reader ends when its stream does, and by nothing else: when a scope around the client is cancelled, the calls in
    it are to end by that, and not by streams that vanish under them.

    :ivar context: the context variables that they see: their owner's, never those of the call that opened a stream.
    """

    tasks: TaskGroup
    context: Context
    _streams: set[EventStream] = field(factory=set["EventStream"], init=False)

    def start(self, stream: EventStream, response: Response) -> None:
        """Read ``stream`` from now on."""
        self._streams.add(stream)
        self.context.run(self.tasks.start_soon, self._read, stream, response)

    def close(self) -> None:
        """End every stream; what still waits on one fails."""
        for stream in list(self._streams):
            stream.close()

    async def _read(self, stream: EventStream, response: Response) -> None:
        """Move the bytes of one event stream, until it ends or nobody needs it."""
        with anyio.CancelScope(shield=True):
            try:
                with anyio.CancelScope() as scope:
                    stream.closed.subscribe(scope.cancel)
                    await _move(stream, response)
            finally:
                stream.close()
                self._streams.discard(stream)
                await close(response)


@define(eq=False)
class Driver:
    """Drives operations over one engine.

    :ivar on_exchange: is told of each request, after its head has arrived or it has failed.
    :ivar store: what is shared with other processes, or None if nothing is.
    :ivar readers: where event streams are read, or None where there are none.
    """

    engine: Engine
    limits: Limits
    on_exchange: Callable[[ExchangeSummary], None] | None = None
    store: SealedStore | None = None
    readers: Readers | None = field(default=None, init=False)

    async def run(self, operation: Operation[T], timeout: float | None = None) -> T:
        """Drive ``operation`` to its end, for at most ``timeout`` seconds.

        :raises McpError: what the operation fails with; ``DeadlineExceeded`` if the time runs out.
        """
        if timeout is None:
            return await self._run(operation)
        with anyio.move_on_after(timeout):
            return await self._run(operation)
        raise operation.deadline_exceeded(timeout)

    async def _run(self, operation: Operation[T]) -> T:
        try:
            return await self._drive(operation)
        finally:
            # However it ended: a call that is given up waits for this, within its own bound, and for nothing more.
            farewell = operation.cancel()
            if farewell is not None:
                await self._say(farewell)

    async def _say(self, farewell: Operation[None]) -> None:
        """Tell the server what it has to know; whether that succeeds changes nothing about the call."""
        with anyio.move_on_after(self.limits.goodbye, shield=True):
            try:
                await self._drive(farewell)
            except Exception:
                _log.exception("the server was not told that a call is over")
        farewell.cancel()

    async def _drive(self, operation: Operation[T]) -> T:
        responses: list[Response] = []
        has_waited = False
        try:
            while True:
                command = operation.next_command()
                if isinstance(command, Complete):
                    if not has_waited:
                        # A call that finds all it needs in the cache lets others run, and can be cancelled, as any.
                        await anyio.lowlevel.checkpoint()
                    return command.result
                has_waited = has_waited or not isinstance(command, ResolveHeaders)
                await self._obey(operation, command, responses)
        finally:
            while responses:
                await close(responses.pop())

    async def _obey(self, operation: Operation[Any], command: Command, responses: list[Response]) -> None:
        match command:
            case ResolveHeaders():
                await self._resolve(operation, command)
            case SendRequest():
                await self._send(operation, command, responses)
            case ReceiveData():
                await self._receive(operation, responses)
            case EndResponse(drain=drain):
                await self._end(responses.pop(), drain=drain)
                operation.response_ended()
            case WaitFor(signal=signal):
                await wait_for(signal)
                operation.signalled()
            case Deliver(handler=handler, value=value):
                await _deliver(handler, value)
                operation.delivered()
            case StartReader(stream=stream):
                self._start_reader(stream, responses.pop())
                operation.reader_started()
            case StoreGet() | StorePut() | StoreDelete():
                await self._ask_store(operation, command)

    def _start_reader(self, stream: EventStream, response: Response) -> None:
        if self.readers is None:
            raise LocalProtocolError("the client was closed while it opened an event stream")
        self.readers.start(stream, response)

    async def _ask_store(self, operation: Operation[Any], command: StoreGet | StorePut | StoreDelete) -> None:
        assert self.store is not None
        if isinstance(command, StoreGet):
            operation.store_answered(await self.store.get(command.key))
            return
        if isinstance(command, StorePut):
            await self.store.put(command.key, command.value, command.ttl)
        else:
            await self.store.delete(command.keys)
        operation.store_done()

    async def _resolve(self, operation: Operation[Any], command: ResolveHeaders) -> None:
        try:
            headers = command.resolver(command.context)
            if isawaitable(headers):
                headers = await headers
        except Exception as error:
            operation.resolver_failed(error)
        else:
            operation.headers_resolved(headers)

    async def _send(self, operation: Operation[Any], request: SendRequest, responses: list[Response]) -> None:
        try:
            response = await self.engine.send(request)
        except McpError as error:
            self._observe(request, error=error)
            operation.request_failed(error)
        except BaseException:
            self._observe(request)
            raise
        else:
            responses.append(response)
            self._observe(request, status=response.status)
            operation.receive_head(response.status, response.headers)

    def _observe(self, request: SendRequest, *, status: int | None = None, error: McpError | None = None) -> None:
        if self.on_exchange is not None:
            self.on_exchange(ExchangeSummary.of(request, status, error))

    async def _receive(self, operation: Operation[Any], responses: list[Response]) -> None:
        try:
            data = await responses[-1].receive()
        except McpError as error:
            await close(responses.pop())
            operation.request_failed(error)
            return
        if data:
            operation.receive_data(data)
        else:
            await close(responses.pop())
            operation.receive_end()

    async def _end(self, response: Response, *, drain: bool) -> None:
        try:
            if drain:
                # The answer is known: a deadline that passes now must not lose it.
                with anyio.move_on_after(self.limits.drain, shield=True):
                    await self._drain(response)
        finally:
            await close(response)

    async def _drain(self, response: Response) -> None:
        remaining = self.limits.drain_bytes
        try:
            while remaining >= 0 and (data := await response.receive()):
                remaining -= len(data)
        except McpError:
            # The answer is known; that its connection can't be used again is no concern of the call's.
            return


async def _deliver(handler: Callable[[Any], Any], value: Any) -> None:
    outcome = handler(value)
    if isawaitable(outcome):
        await outcome


async def close(response: Response) -> None:
    """Give a response up, also in a scope that is cancelled; that it can't be closed is nothing to fail for."""
    with anyio.CancelScope(shield=True):
        try:
            await response.aclose()
        except Exception:
            _log.exception("a response could not be closed")


async def wait_for(signal: Signal) -> None:
    """Wait until ``signal`` is raised."""
    event = anyio.Event()
    signal.subscribe(event.set)
    try:
        await event.wait()
    finally:
        signal.unsubscribe(event.set)


async def _move(stream: EventStream, response: Response) -> None:
    try:
        while data := await response.receive():
            stream.receive_data(data)
            while (room := stream.room) is not None:
                await wait_for(room)
        stream.receive_end()
    except McpError as error:
        stream.request_failed(error)
    except Exception as error:
        failure = TransportError("the event stream could not be read")
        failure.__cause__ = error
        stream.request_failed(failure)
