"""The command loop: does what an operation asks, and answers it.

One loop serves every engine and both event loops, because all that differs between HTTP libraries is behind
:class:`~transports.engines.base.Engine` and all that differs between event loops behind anyio.

Everything happens in the caller's task: a resolver sees the caller's context variables, and the caller's cancellation
and deadlines apply at every step.  The exceptions are what moves the bytes of an HTTP+SSE stream or a channel, see
:mod:`transports.readers`, and what must not be lost, see :mod:`transports.carrying`.
"""

from __future__ import annotations

import logging
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
from attrs import define, field, frozen

from mcpcore import (
    CallHandler,
    Complete,
    ConfigurationError,
    Deliver,
    Emit,
    EndResponse,
    LocalProtocolError,
    LookUp,
    McpError,
    NotSentError,
    OpenChannel,
    ReceiveData,
    ResolveHeaders,
    SendMessage,
    SendRequest,
    Spawn,
    StartReader,
    StoreDelete,
    StoreGet,
    StorePut,
    TransportError,
    WaitFor,
)

from .carrying import Carrier, is_carried
from .company import Company
from .engines.base import LooksUp
from .observer import ExchangeSummary
from .readers import close, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from attrs import Attribute

    from mcpcore import Command, DuplexChannel, EventStream, Limits, Operation

    from .channel import Channel
    from .engines.base import Engine, Response
    from .readers import Readers
    from .stores.sealed import SealedStore

T = TypeVar("T")

Errand: TypeAlias = (
    ResolveHeaders
    | SendRequest
    | ReceiveData
    | EndResponse
    | WaitFor
    | CallHandler
    | Deliver
    | StartReader
    | OpenChannel
    | SendMessage
    | LookUp
    | StoreGet
    | StorePut
    | StoreDelete
)
"""What is done by doing it; the other commands are about what else is to be driven, and for whom."""

_log = logging.getLogger("transports")


def _check_seconds(_timeout: object, attribute: Attribute[float], seconds: Any) -> None:
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (is_number and seconds > 0):
        raise ConfigurationError(f"{attribute.name} of a ProgressTimeout is a number of seconds greater than 0")


def _check_longest(timeout: ProgressTimeout, _attribute: object, at_most: float) -> None:
    if at_most < timeout.seconds:
        raise ConfigurationError("at_most of a ProgressTimeout is no less than its seconds")


@frozen
class ProgressTimeout:
    """A time-out that starts anew with each progress notification (2026-07-28, "Cancellation", Timeouts).

    :param seconds: how long a call may go without progress.
    :param at_most: how many seconds it may take, whatever progress it makes.
    :raises mcpcore.ConfigurationError: unless both are positive, and ``at_most`` is no less than ``seconds``.
    """

    seconds: float = field(validator=_check_seconds)
    at_most: float = field(validator=[_check_seconds, _check_longest])


@define(eq=False)
class Patience:
    """How long one call may take.

    :ivar scope: what ends it.
    """

    _seconds: float
    _at_most: float
    _latest: float
    scope: anyio.CancelScope

    @classmethod
    def of(cls, timeout: float | ProgressTimeout) -> Patience:
        """The patience that begins now."""
        now = anyio.current_time()
        if isinstance(timeout, ProgressTimeout):
            seconds, at_most = timeout.seconds, timeout.at_most
        else:
            seconds = at_most = timeout
        return cls(seconds, at_most, now + at_most, anyio.CancelScope(deadline=now + seconds))

    @property
    def seconds(self) -> float:
        """How many seconds it is: those that may pass without progress or, at its longest, all of them."""
        return self._at_most if self.scope.deadline == self._latest else self._seconds

    def renew(self) -> None:
        """Take note that there was progress."""
        self.scope.deadline = min(anyio.current_time() + self._seconds, self._latest)


@define(eq=False)
class Driver:
    """Drives operations over one engine.

    :ivar on_exchange: is told of each request, after its head has arrived or it has failed.
    :ivar store: what is shared with other processes, or None if nothing is.
    :ivar open_channel: opens the channel to the server, if there is one instead of HTTP.
    :ivar listening: who listens, beyond any single call.
    :ivar readers: where event streams, and the channel, are read, or None where there are none.
    """

    engine: Engine
    limits: Limits
    on_exchange: Callable[[ExchangeSummary], None] | None = None
    store: SealedStore | None = None
    open_channel: Callable[[], Awaitable[Channel]] | None = None
    readers: Readers | None = field(default=None, init=False)
    listening: set[Company] = field(factory=set[Company], init=False)

    async def run(self, operation: Operation[T], timeout: float | ProgressTimeout | None = None) -> T:
        """Drive ``operation`` to its end, for at most ``timeout`` seconds.

        :raises McpError: what the operation fails with; ``DeadlineExceeded`` if the time runs out.
        """
        if timeout is None:
            return await self._run(Drive(self, operation))
        patience = Patience.of(timeout)
        with patience.scope:
            return await self._run(Drive(self, operation, patience))
        raise operation.deadline_exceeded(patience.seconds)

    async def _run(self, drive: Drive[T]) -> T:
        try:
            return await drive.to_the_end()
        finally:
            await self.leave(drive.operation)

    async def leave(self, operation: Operation[Any]) -> None:
        """Leave ``operation``, and tell the server what it has to know.

        However it ended: a call that is given up waits for this, within its own bound, and for nothing more.
        """
        farewell = operation.cancel()
        if farewell is None:
            return
        with anyio.move_on_after(self.limits.goodbye, shield=True):
            try:
                await Drive(self, farewell).to_the_end()
            except Exception:
                # Whether that succeeds changes nothing about the call.
                _log.exception("the server was not told that a call is over")
        farewell.cancel()

    async def obey(
        self, operation: Operation[Any], command: Errand, responses: list[Response], carrier: Carrier | None
    ) -> None:
        """Do what one command says, and answer it; with a carrier, it is carried through."""
        match command:
            case ResolveHeaders():
                await self._resolve(operation, command)
            case SendRequest():
                await self._send(operation, command, responses, carrier)
            case ReceiveData():
                await self._receive(operation, responses)
            case EndResponse(drain=drain):
                await self._end(responses.pop(), drain=drain)
                operation.response_ended()
            case WaitFor(signal=signal, seconds=seconds):
                with anyio.move_on_after(seconds):
                    await wait_for(signal)
                operation.signalled()
            case CallHandler() | Deliver():
                await self._use_handler(operation, command, carrier)
            case StartReader(stream=stream):
                self._start_reader(stream, responses.pop())
                operation.reader_started()
            case OpenChannel() | SendMessage():
                await self._use_channel(operation, command)
            case StoreGet() | StorePut() | StoreDelete() | LookUp():
                await self._inquire(operation, command)

    async def _use_handler(
        self, operation: Operation[Any], command: CallHandler | Deliver, carrier: Carrier | None
    ) -> None:
        outcome: Any = None
        try:
            if isinstance(command, Deliver):
                for value in command.values:
                    outcome = command.handler(value)
                    # Mostly there is nothing to await, which is seen at once.
                    if outcome is not None and isawaitable(outcome):
                        await outcome
            else:
                outcome = command.handler(*command.arguments)
                if isawaitable(outcome):
                    outcome = await (outcome if carrier is None else carrier.keep(lambda: outcome))
        except Exception as error:
            operation.handler_failed(error)
        else:
            if isinstance(command, Deliver):
                operation.delivered()
            else:
                operation.handler_returned(outcome)

    def _start_reader(self, stream: EventStream, response: Response) -> None:
        if self.readers is None:
            raise LocalProtocolError("the client was closed while it opened an event stream")
        self.readers.start(stream, response)

    async def _use_channel(self, operation: Operation[Any], command: OpenChannel | SendMessage) -> None:
        if isinstance(command, OpenChannel):
            await self._open_channel(operation, command.channel)
        else:
            await self._send_message(operation, command)

    async def _open_channel(self, operation: Operation[Any], stream: DuplexChannel) -> None:
        assert self.open_channel is not None
        try:
            channel = await self.open_channel()
        except McpError as error:
            operation.request_failed(error)
            return
        except Exception as error:
            failure = TransportError("the channel could not be opened")
            failure.__cause__ = error
            operation.request_failed(failure)
            return
        if self.readers is None:
            await close(channel)
            operation.request_failed(LocalProtocolError("the client was closed while it opened the channel"))
            return
        self.readers.carry(stream, channel)
        operation.channel_opened()

    async def _send_message(self, operation: Operation[Any], command: SendMessage) -> None:
        carrier = self.readers.carrier_of(command.channel) if self.readers is not None else None
        if carrier is None:
            operation.request_failed(TransportError("the channel has ended"))
            return
        letter = carrier.post(command.data)
        try:
            await letter.sent()
        except McpError as error:
            operation.request_failed(error)
        except BaseException:
            if carrier.take_back(letter):
                operation.request_failed(NotSentError("the call was given up before its message was begun"))
            raise
        else:
            operation.message_sent()

    async def _inquire(self, operation: Operation[Any], command: StoreGet | StorePut | StoreDelete | LookUp) -> None:
        if isinstance(command, LookUp):
            await self._look_up(operation, command.host)
        else:
            await self._ask_store(operation, command)

    async def _look_up(self, operation: Operation[Any], host: str) -> None:
        try:
            addresses = await self.engine.look_up(host) if isinstance(self.engine, LooksUp) else ()
        except McpError as error:
            operation.request_failed(error)
        else:
            operation.looked_up(addresses)

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

    async def _send(
        self, operation: Operation[Any], request: SendRequest, responses: list[Response], carrier: Carrier | None
    ) -> None:
        response: Response
        try:
            if carrier is None:
                response = await self.engine.send(request)
            else:
                response = await carrier.send(self.engine, request)
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


@define(eq=False)
class Drive(Generic[T]):
    """One operation, being driven.

    :ivar operation: what is driven.
    """

    _driver: Driver
    operation: Operation[T]
    _patience: Patience | None = None
    _responses: list[Response] = field(factory=list["Response"], init=False)
    _has_waited: bool = field(default=False, init=False)
    _carrier: Carrier | None = field(default=None, init=False)

    async def to_the_end(self) -> T:
        """Drive it to its end; whatever is still open then is closed."""
        try:
            outcome = await self.go_on(None)
            if isinstance(outcome, Spawn):
                outcome = await self._in_company(outcome)
            assert isinstance(outcome, Complete)
            return outcome.result
        finally:
            await self.close()

    async def _in_company(self, first: Spawn) -> Complete[T]:
        """Drive it to its end, beside what it wants to be done at the same time."""
        async with Company(self._driver.run) as company:
            company.admit(first)
            self.operation.spawned()
            outcome = await self.go_on(company)
        assert isinstance(outcome, Complete)
        return outcome

    async def go_on(self, company: Company | None) -> Complete[T] | Emit[Any] | Spawn:
        """Drive it until it is over, or hands out a value.

        :param company: what takes the operations that it wants to be driven beside it; without one, it is left to the
            caller to open one.
        """
        while True:
            command = await self._next_command()
            match command:
                case Complete():
                    if not self._has_waited:
                        # A call that finds all it needs in the cache lets others run, and can be cancelled, as any.
                        await anyio.lowlevel.checkpoint()
                    return command
                case Emit():
                    return command
                case Spawn():
                    if company is None:
                        return command
                    company.admit(command)
                    self.operation.spawned()
                case Deliver() if self._patience is not None:
                    self._patience.renew()
                    await self._driver.obey(self.operation, command, self._responses, self._carrier)
                case _:
                    self._has_waited = self._has_waited or not isinstance(command, ResolveHeaders)
                    await self._driver.obey(self.operation, command, self._responses, self._carrier)

    async def _next_command(self) -> Command | Complete[T]:
        """What to do next; whatever is done with a carrier is carried through."""
        try:
            command = self.operation.next_command()
        except Exception:
            await self._put_down()
            raise
        if self._carrier is not None and not self._carrier.goes_on_with(command):
            await self._put_down()
        if self._carrier is None and is_carried(command):
            self._carrier = Carrier(self._driver.limits.token_request)
        return command

    async def _put_down(self) -> None:
        """Who was given up while something was carried through is so now, however that ended."""
        if self._carrier is not None:
            self._carrier.let_go()
            self._carrier = None
            await anyio.lowlevel.checkpoint()

    async def close(self) -> None:
        """Give up the responses that are still open."""
        try:
            while self._responses:
                await close(self._responses.pop())
        finally:
            if self._carrier is not None:
                self._carrier.let_go()
