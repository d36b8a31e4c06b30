"""What a driver drives: one call, as commands out and answers in.

An :class:`Operation` does nothing by itself.  Ask it for its ``next_command``, do what that says, answer by the method
that the command's row in :mod:`mcpcore.commands` names, and ask again, until the command is
:class:`~mcpcore.commands.Complete` or ``next_command`` raises.  Then, or at any moment before, leave it by
:meth:`Operation.cancel`.

Inside, the call is a generator that yields commands.  Sequential work (a handshake, a fallback, pages) reads best that
way; this class is the outside shape that all of it shares.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from attrs import define, evolve, field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import Notification
from mcpcore.commands import (
    Beside,
    CallHandler,
    Complete,
    Deliver,
    Emit,
    EndResponse,
    LookUp,
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
    WaitFor,
)
from mcpcore.context import RequestKind
from mcpcore.errors import DeadlineExceeded, LocalProtocolError, McpError
from mcpcore.machines.negotiation import VerdictBroken
from mcpcore.machines.requests import tell
from mcpcore.machines.session import OpeningRefused, terminate
from mcpcore.redaction import repr_of_name
from mcpcore.rules.metadata import with_meta
from mcpcore.verbs.asking import asking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mcpcore.commands import Command, Flow, StoredEntry
    from mcpcore.machines.outbound import Outbound
    from mcpcore.state.call import Call
T = TypeVar("T")

_log = logging.getLogger("mcpcore")


@frozen
class SentRequest:
    """A JSON-RPC request that was sent.

    :ivar method: its method.
    :ivar id: its id.
    :ivar protocol_version: the revision that it was made in, or that came of it; None while there is none.
    """

    method: str
    id: int | str
    protocol_version: str | None


@define(eq=False)
class Operation(Generic[T]):
    """One call in progress.

    :ivar name: what it is called in an error, for instance ``tools/call 'search'``.
    :ivar target: the tool, prompt or resource that it is about, or None.
    """

    name: str
    _call: Call = field(repr=False)
    _flow: Flow[T] = field(repr=False)
    _command: Command | Complete[T] | None = field(default=None, init=False)
    _error: Exception | None = field(default=None, init=False)
    _is_started: bool = field(default=False, init=False)
    target: str | None = field(default=None, kw_only=True, repr=repr_of_name)

    def __attrs_post_init__(self) -> None:
        self._flow = _ending(self._call, self._flow)

    @property
    def sent_request(self) -> SentRequest | None:
        """The request that was sent last, or None if none has been, as when the answer came from the cache."""
        sent, verdict = self._call.last_sent, self._call.state.verdict
        if sent is None or sent.rpc_method is None or sent.request_id is None:
            return None
        revision = sent.revision or (verdict.revision if verdict is not None else None)
        return SentRequest(sent.rpc_method, sent.request_id, revision.name if revision is not None else None)

    def next_command(self) -> Command | Complete[T]:
        """What to do next; the same command again until it is answered.

        :raises McpError: if the operation has failed.  It is over then, as it is after ``Complete``.
        :raises Exception: what a handler raised, if that ended the operation.
        :raises LocalProtocolError: if it is over already.
        """
        if not self._is_started:
            self._is_started = True
            self._go_on(self._flow.send, None)
        command = self._command
        if command is None:
            self._raise()
        elif isinstance(command, Complete):
            self._command = None
        return command

    def _raise(self) -> NoReturn:
        """Fail, because there is no command: with the operation's own error, once."""
        error, self._error = self._error, None
        try:
            raise LocalProtocolError(f"{self.name} is over") if error is None else error
        finally:
            del error  # Its traceback leads here; a cycle would keep all that the call held until it is collected.

    def headers_resolved(self, headers: Mapping[str, str] | None) -> None:
        """Answer ``ResolveHeaders`` with what the resolver returned."""
        self._go_on(self._flow.send, headers, ResolveHeaders)

    def resolver_failed(self, error: Exception) -> None:
        """Answer ``ResolveHeaders`` with what the resolver raised."""
        self._go_on(self._flow.throw, error, ResolveHeaders)

    def receive_head(self, status: int, headers: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        """Answer ``SendRequest`` with the head of the response."""
        self._go_on(self._flow.send, (status, headers), SendRequest)

    def receive_data(self, data: bytes) -> None:
        """Answer ``ReceiveData`` with the next bytes of the body."""
        self._go_on(self._flow.send, data, ReceiveData)

    def receive_end(self) -> None:
        """Answer ``ReceiveData`` with the end of the body."""
        self._go_on(self._flow.send, None, ReceiveData)

    def request_failed(self, error: McpError) -> None:
        """Answer with what kept you from it, mostly a ``TransportError``.

        That is an answer to ``SendRequest``, ``ReceiveData``, ``OpenChannel``, ``SendMessage`` and ``LookUp``.
        """
        self._go_on(self._flow.throw, error, SendRequest, ReceiveData, OpenChannel, SendMessage, LookUp)

    def response_ended(self) -> None:
        """Answer ``EndResponse``."""
        self._go_on(self._flow.send, None, EndResponse)

    def signalled(self) -> None:
        """Answer ``WaitFor``: the signal has been raised, or its time has passed."""
        self._go_on(self._flow.send, None, WaitFor)

    def handler_returned(self, value: object) -> None:
        """Answer ``CallHandler`` with what the handler returned."""
        self._go_on(self._flow.send, value, CallHandler)

    def delivered(self) -> None:
        """Answer ``Deliver``: the handler has had all values."""
        self._go_on(self._flow.send, None, Deliver)

    def handler_failed(self, error: Exception) -> None:
        """Answer ``CallHandler`` or ``Deliver`` with what the handler raised."""
        self._go_on(self._flow.throw, error, CallHandler, Deliver)

    def spawned(self) -> None:
        """Answer ``Spawn``: the other operation will be driven."""
        self._go_on(self._flow.send, None, Spawn)

    def emitted(self) -> None:
        """Answer ``Emit``: the value was taken, and the next one is wanted."""
        self._go_on(self._flow.send, None, Emit)

    def reader_started(self) -> None:
        """Answer ``StartReader``."""
        self._go_on(self._flow.send, None, StartReader)

    def channel_opened(self) -> None:
        """Answer ``OpenChannel``."""
        self._go_on(self._flow.send, None, OpenChannel)

    def message_sent(self) -> None:
        """Answer ``SendMessage``."""
        self._go_on(self._flow.send, None, SendMessage)

    def looked_up(self, addresses: Iterable[str]) -> None:
        """Answer ``LookUp`` with the addresses that were found."""
        self._go_on(self._flow.send, tuple(addresses), LookUp)

    def store_answered(self, entry: StoredEntry | None) -> None:
        """Answer ``StoreGet`` with what was found, or None."""
        self._go_on(self._flow.send, entry, StoreGet)

    def store_done(self) -> None:
        """Answer ``StorePut`` or ``StoreDelete``."""
        self._go_on(self._flow.send, None, StorePut, StoreDelete)

    def deadline_exceeded(self, seconds: float) -> DeadlineExceeded:
        """The error for a call that had ``seconds`` and needed more; the operation is to be cancelled as well."""
        return DeadlineExceeded(
            f"no answer within {seconds:g} s", server=self._call.state.endpoint.name, request=self.name
        )

    def cancel(self) -> Operation[None] | None:
        """Leave the operation: at any moment, to give up, or after its end.

        Call it once.  Any response still open is to be closed first: in the modern era that is all that tells a server
        (2026-07-28, "Cancellation").

        :returns: what is left to tell the server, as an operation to be driven to its end within ``limits.goodbye``
            seconds, or None.  Whether that succeeds changes nothing about this operation.
        """
        call, sent = self._call, self._call.sent
        # An event stream that serves this call alone ends with it, and what was asked on it ends with the stream.
        notice = _cancelled_notification(sent) if sent is not None and call.own_stream is None else None
        will = call.last_will
        heir = None if notice is None and will is None and call.own_session is None else call.heir()
        self._command = self._error = call.sent = None
        self._is_started = True
        self._flow.close()
        if heir is None:
            return None
        name = "notifications/cancelled" if notice is not None else "the end of a session" if will is None else will[0]
        return Operation(name, heir, _take_leave(heir, notice, will))

    def _unexpected(self, expected: tuple[type[Command], ...]) -> LocalProtocolError:
        asked = "nothing" if self._command is None else type(self._command).__name__
        return LocalProtocolError(f"{self.name}: that answers {expected[0].__name__}, but it asked for {asked}")

    def _go_on(self, step: Callable[[Any], Command | Beside], answer: object, *expected: type[Command]) -> None:
        """Let the flow go on, with the answer, to its next command, its result, or its error.

        :param expected: the commands that may be answered so; none at the beginning.
        """
        if expected and not isinstance(self._command, expected):
            raise self._unexpected(expected)
        self._command = None
        try:
            command = step(answer)
        except StopIteration as stop:
            self._command = Complete(stop.value)
        except McpError as error:
            self._error = error.located(self._call.state.endpoint.name, self.name)
        except Exception as error:
            self._error = error
        else:
            self._command = spawn(command) if isinstance(command, Beside) else command


def spawn(work: Beside) -> Spawn:
    """Make an operation of what is to be done beside another."""
    return Spawn(Operation(work.name, work.call, work.flow), work.withdrawn)


def _ending(call: Call, flow: Flow[T]) -> Flow[T]:
    """A call's flow, from its beginning to its end."""
    call.begin()
    try:
        result = yield from flow
    except McpError:
        if call.failure is None:
            raise
    else:
        if call.failure is None:
            return result
    finally:
        call.release()
    # Whatever the server made of it: a handler's failure is not lost.
    raise call.failure


def _take_leave(call: Call, notice: Outbound | None, will: tuple[str, dict[str, Any]] | None) -> Flow[None]:
    """Tell the server what it still has to know."""
    verdict, channel = call.state.verdict, call.state.channel
    # A server is not started anew to be told what its predecessor had to know.
    is_gone = channel is not None and channel.failure is not None
    if will is not None and verdict is not None and not is_gone:
        try:
            yield from asking(call, verdict, *will).make()
        except (McpError, VerdictBroken, OpeningRefused) as error:
            _log.warning("%s could not be sent: %r", will[0], str(error))
    if notice is not None:
        try:
            yield from tell(call, notice)
        except McpError as error:
            _log.warning("a cancellation could not be sent: %r", str(error))
    session, call.own_session = call.own_session, None
    if session is not None:
        yield from terminate(call, session)


def _cancelled_notification(sent: Outbound) -> Outbound | None:
    """What tells the server that nobody waits for its answer any more (2025-11-25, "Cancellation").

    None in the modern era over HTTP, where closing the response says it already; a channel has no such sign
    (2026-07-28, "Cancellation", Transport-Specific Cancellation).
    """
    if sent.channel is None and (sent.revision is None or not sent.revision.notifications):
        return None
    params = with_meta({"requestId": sent.request_id, "reason": "the caller gave up"}, sent.trace or {})
    return evolve(
        sent,
        kind=RequestKind.NOTIFICATION,
        body=jsonrpc.encode(Notification("notifications/cancelled", params)),
        rpc_method="notifications/cancelled",
        rpc_name=None,
        request_id=None,
    )
