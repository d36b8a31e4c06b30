"""One operation in progress: each of its commands, and how it is answered.

A :class:`Play` holds what a driver would hold, and checks with the model all that goes out and all that comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field

from mcpcore import (
    Complete,
    Deliver,
    EndResponse,
    LocalProtocolError,
    McpError,
    Operation,
    ReceiveData,
    ResolveHeaders,
    SendRequest,
    StartReader,
    StoreDelete,
    StoreGet,
    StorePut,
    TransportError,
    WaitFor,
)

from .model import Call, numbers_of
from .server import Reply, Whim

if TYPE_CHECKING:
    from .walk import Walk


@define(eq=False)
class Play:
    """One operation in progress.

    :ivar bodies: the responses that it has open, the one that it reads last.
    :ivar asked_at: when it handed out its command.
    """

    walk: Walk
    name: int
    call: Call
    operation: Operation[Any]
    bodies: list[Reply] = field(factory=list[Reply])
    asked_at: float = 0.0
    is_waiting: bool = False

    def advance(self, whim: Whim) -> bool:
        """Answer its next command; False if it has to wait for somebody else."""
        if self.call.arrived is not None:
            self.walk.model.complete(self.call.arrived)
        try:
            command = self.operation.next_command()
        except McpError as error:
            self._fail(error)
            return True
        has_moved = _ANSWERS[type(command)](self, command, whim)
        self.asked_at = self.walk.model.now
        return has_moved

    def cancel(self) -> None:
        """Give it up, whatever it is waiting for."""
        self.walk.model.counts["operations cancelled"] += 1
        match self.operation._command:  # Handed out, so that it may have been carried out in part.
            case ResolveHeaders():
                self.call.asked_in_vain += 1
            case SendRequest() as request:
                self.walk.model.resolution_of(request).is_used = True
        self._leave()

    def resolve(self, command: ResolveHeaders, whim: Whim) -> bool:
        if whim is Whim.CUT:
            self.call.had_trouble = True
            self.call.asked_in_vain += 1
            self.operation.resolver_failed(ValueError("tok-0"))
        else:
            headers: Any = command.resolver(command.context)
            self.operation.headers_resolved(headers)
        return True

    def send(self, command: SendRequest, whim: Whim) -> bool:
        walk = self.walk
        fetch = walk.model.send(self.call, command)
        reply = walk.server.answer(command, fetch, whim)
        if isinstance(reply, McpError):
            self.operation.request_failed(reply)
        else:
            self.bodies.append(reply)
            self.operation.receive_head(reply.status, reply.headers)
        return True

    def receive(self, command: ReceiveData, whim: Whim) -> bool:
        reply = self.bodies[-1]
        if whim is Whim.CUT:
            self.call.had_trouble = True
            self.bodies.pop()
            self.operation.request_failed(TransportError("cut"))
            self._understood(reply)
        elif not reply.pieces:
            self.bodies.pop()
            self.walk.model.complete(reply.fetch)
            self.operation.receive_end()
            self._understood(reply)
        else:
            piece = reply.pieces.popleft()
            assert isinstance(piece.data, bytes)
            self.walk.read(reply.fetch, piece)
            self.operation.receive_data(piece.data)
        return True

    def end_response(self, command: EndResponse, whim: Whim) -> bool:
        reply = self.bodies.pop()
        if reply.fetch.is_complete:
            self.walk.model.complete(reply.fetch)
        self.operation.response_ended()
        self._understood(reply)
        return True

    def wait(self, command: WaitFor, whim: Whim) -> bool:
        if not command.signal.raised and command.seconds is None:
            if not self.is_waiting:
                self.walk.model.counts["operations that waited for others"] += 1
            self.is_waiting = True
            return False
        self.is_waiting = False
        self.operation.signalled()
        return True

    def deliver(self, command: Deliver, whim: Whim) -> bool:
        for value in command.values:
            self.walk.model.counts["progress"] += 1
            command.handler(value)
        self.operation.delivered()
        return True

    def start_reader(self, command: StartReader, whim: Whim) -> bool:
        reply = self.bodies.pop()
        line = self.walk.server.lines[reply.fetch.number]
        line.stream = command.stream
        line.pieces.extendleft(reversed(reply.pieces))
        self.operation.reader_started()
        return True

    def get_stored(self, command: StoreGet, whim: Whim) -> bool:
        self.operation.store_answered(self.walk.store.get(command, whim))
        return True

    def put_stored(self, command: StorePut, whim: Whim) -> bool:
        # However late this step comes: a driver gives a store only ``limits.store`` seconds.
        self.walk.store.put(command, whim, self.asked_at)
        self.operation.store_done()
        return True

    def delete_stored(self, command: StoreDelete, whim: Whim) -> bool:
        self.walk.store.delete(command, whim)
        self.operation.store_done()
        return True

    def complete(self, command: Complete[Any], whim: Whim) -> bool:
        model, call, result = self.walk.model, self.call, command.result
        model.counts["operations that succeeded"] += 1
        if self.operation.name in ("notifications/cancelled", "the end of a session"):
            pass
        elif call.ask.operation == "open":
            if result.instructions is not None:
                model.check_discovery(call, int(result.instructions.removeprefix("seen-")))
        elif call.ask.operation == "call_tool":
            model.check_own(call, result.raw["seen"])
        elif call.ask.method:
            model.check_result(call, numbers_of(result))
        self._leave()
        return True

    def _fail(self, error: McpError) -> None:
        model, call = self.walk.model, self.call
        model.counts[f"operations that failed, {type(error).__name__}"] += 1
        told = f"{error}{error!r}"
        model.check(
            "tok-" not in told and "cookie-" not in told and "sid-" not in told, "an error tells a secret", call
        )
        is_local = call.ask.operation == "notify" and isinstance(error, LocalProtocolError)
        model.check(call.had_trouble or is_local, "a call failed of nothing of its own", call, repr(error))
        self._leave()

    def _understood(self, reply: Reply) -> None:
        """A response has come to its end."""
        model, fetch = self.walk.model, reply.fetch
        if reply.is_denial:
            model.deny(fetch)
        if reply.status in (404, 410) and self.walk.server.era == "sse":
            self.walk.trouble(fetch.call)  # The stream that all of its identity's calls share is lost.

    def _leave(self) -> None:
        """It is over, for good; what it leaves behind is an operation of its own."""
        self.bodies.clear()
        rest = self.operation.cancel()
        try:
            self.operation.next_command()
        except LocalProtocolError:
            pass
        else:
            self.walk.model.fail("an operation goes on after its end", self.call)
        del self.walk.plays[self.name]
        if rest is None:
            self.call.operations -= 1
        else:
            self.walk.play(-abs(self.name), self.call, rest)


_ANSWERS: dict[type, Callable[[Play, Any, Whim], bool]] = {
    ResolveHeaders: Play.resolve,
    SendRequest: Play.send,
    ReceiveData: Play.receive,
    EndResponse: Play.end_response,
    WaitFor: Play.wait,
    Deliver: Play.deliver,
    StartReader: Play.start_reader,
    StoreGet: Play.get_stored,
    StorePut: Play.put_stored,
    StoreDelete: Play.delete_stored,
    Complete: Play.complete,
}
