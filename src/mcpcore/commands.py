"""What an operation asks of its driver, and how each is answered.

An operation of the pure half never does anything: it hands out a command, and goes on when the command is answered.
This table is the whole contract between the core and a driver.

======================= ==========================================================================================
command                 answered by
======================= ==========================================================================================
:class:`ResolveHeaders` ``headers_resolved(mapping_or_None)`` or ``resolver_failed(exception)``
:class:`SendRequest`    ``receive_head(status, headers)`` or ``request_failed(error)``
:class:`ReceiveData`    ``receive_data(chunk)``, ``receive_end()`` or ``request_failed(error)``
:class:`EndResponse`    ``response_ended()``
:class:`WaitFor`        ``signalled()``
:class:`CallHandler`    ``handler_returned(value)`` or ``handler_failed(exception)``
:class:`Deliver`        ``delivered()`` or ``handler_failed(exception)``
:class:`Spawn`          ``spawned()``
:class:`Emit`           ``emitted()``
:class:`StartReader`    ``reader_started()``
:class:`OpenChannel`    ``channel_opened()`` or ``request_failed(error)``
:class:`SendMessage`    ``message_sent()`` or ``request_failed(error)``
:class:`LookUp`         ``looked_up(addresses)`` or ``request_failed(error)``
:class:`StoreGet`       ``store_answered(entry_or_None)``
:class:`StorePut`       ``store_done()``
:class:`StoreDelete`    ``store_done()``
:class:`Complete`       nothing: the operation is over, and its result is in the command
======================= ==========================================================================================

A failed operation has no command: ``next_command`` raises its error.

Responses nest: while one is being read, an operation may send another request (to answer the server).  ``ReceiveData``
and ``EndResponse`` always speak of the response whose head came last among those not yet ended.  A response ends by
``receive_end()``, ``request_failed()``, ``EndResponse`` or ``StartReader``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

from mcpcore.context import RequestKind
from mcpcore.redaction import redact_url, repr_of_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcpcore.context import RequestContext, Resolver
    from mcpcore.machines.channel import DuplexChannel
    from mcpcore.machines.http_sse import EventStream
    from mcpcore.operation import Operation
    from mcpcore.signals import Signal
    from mcpcore.state.call import Call

T_co = TypeVar("T_co", covariant=True)


def _redact_header_list(headers: tuple[tuple[bytes, bytes], ...]) -> str:
    return "[" + ", ".join(name.decode("latin-1") for name, _ in headers) + "]"


@frozen
class ResolveHeaders:
    """Call ``resolver(context)``, await the result if it is awaitable, and hand it back."""

    resolver: Resolver = field(repr=False)
    context: RequestContext


@define  # Not frozen, as the others are: there is one for each request, and it has so many fields that this would show.
class SendRequest:
    """Send one HTTP request exactly as it is: these headers and no others, but for framing; follow no redirect.

    ``headers`` lack only ``Host``, ``Content-Length`` and ``Connection``, which are the engine's.
    """

    method: str
    url: str = field(repr=redact_url)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=_redact_header_list)
    body: bytes = field(repr=False)
    kind: RequestKind
    rpc_method: str | None = None
    rpc_name: str | None = field(default=None, repr=repr_of_name)
    attempt: int = 1
    principal: str | None = field(default=None, repr=False)
    is_stream: bool = False
    """Whether the response is expected to stay open, so that it must not take a connection that calls need."""
    addresses: tuple[str, ...] = ()
    """Where to connect to, in this order, instead of looking up the host once more; none for wherever that is."""

    @property
    def is_carried_through(self) -> bool:
        """Whether it spends what is good for once, so that its answer must not be lost by giving up the call.

        Carry it to the end of its response then, for at most ``limits.token_request`` seconds.
        """
        return self.kind is RequestKind.TOKEN

    @property
    def is_reply(self) -> bool:
        """Whether a call that holds a connection waits for it, so that it must not wait for such a call in turn."""
        return self.kind is RequestKind.RESPONSE


@frozen
class ReceiveData:
    """Read more of the response's body."""


@frozen
class EndResponse:
    """The rest of the response is not needed.

    With ``drain``, read it to its end if that comes within ``limits.drain`` seconds and ``limits.drain_bytes``, so that
    the connection can be used again; otherwise, or without it, close it.
    """

    drain: bool


@frozen
class WaitFor:
    """Wait until ``signal`` is raised or, where ``seconds`` are given, until so many have passed."""

    signal: Signal
    seconds: float | None = None


@frozen
class CallHandler:
    """Call the user's ``handler(*arguments)``, await the result if it is awaitable, and hand it back."""

    handler: Callable[..., Any] = field(repr=False)
    arguments: tuple[Any, ...] = field(repr=False)
    is_carried_through: bool = False
    """Whether it is not given up when the call is; the ``limits.token_request`` seconds of the request that it follows
    are for both."""


@frozen
class Deliver:
    """Call the user's ``handler(value)`` with one of ``values`` after the other, and await what is awaitable.

    These are what one piece of a response told of; they come together because there may be many.
    """

    handler: Callable[[Any], Any] = field(repr=False)
    values: Sequence[Any] = field(repr=False)


@frozen
class Spawn:
    """Drive ``operation`` beside this one, as long as this one lasts.

    What is left of it when this one ends, or ``withdrawn`` is raised, is given up.  If it fails, so does this one, with
    the same error.
    """

    operation: Operation[None]
    withdrawn: Signal


@frozen
class Emit(Generic[T_co]):
    """Hand ``value`` to whoever iterates over what this operation brings; go on when the next one is wanted."""

    value: T_co = field(repr=False)


@frozen
class StartReader:
    """Hand the open response to a reader task of the client's own, which feeds ``stream`` until one of them ends.

    The reader calls ``stream.receive_data(chunk)`` for each chunk, then ``stream.receive_end()`` or
    ``stream.request_failed(error)``; it stops early, and closes the response, once ``stream.closed`` is raised.
    """

    stream: EventStream


@frozen
class OpenChannel:
    """Open the channel to the server, and have it read by a task of the client's own, which feeds ``channel``.

    The reader calls ``channel.receive_data(chunk)`` for each chunk, and sends what ``channel.data_to_send()`` returns
    after it; while there is a ``channel.room``, it waits for that before it reads on.  At the end it calls
    ``channel.receive_end()`` or ``channel.request_failed(error)``.  Once ``channel.closed`` is raised, it closes the
    channel.
    """

    channel: DuplexChannel


@frozen
class SendMessage:
    """Send ``data`` on ``channel``, which is open, whole and in turn.

    A message that was begun is sent to its end, whatever becomes of the operation.  If the operation is given up before
    its message was begun, answer with a :class:`~mcpcore.errors.NotSentError` before leaving it.
    """

    channel: DuplexChannel
    data: bytes = field(repr=False)


@frozen
class LookUp:
    """Look up the addresses of ``host``, which a server named; answer with all of them, as text.

    With none, if somebody else will look it up, as behind a proxy.  A lookup that fails is a failure: nobody knows what
    the next one would find.
    """

    host: str


@frozen
class StoredEntry:
    """What a shared store holds under a key.

    :ivar value: what was put there.
    :ivar age: how many seconds ago that was.
    :ivar ttl: for how many seconds it was put there.
    """

    value: bytes = field(repr=False)
    age: float
    ttl: float


@frozen
class StoreGet:
    """Look in the shared store, and hand back the :class:`StoredEntry` under ``key``.

    None where there is none, where it was tampered with, and where the store does not answer within ``limits.store``
    seconds; a store can slow a call by no more than that, and can't make it fail.
    """

    key: bytes = field(repr=False)


@frozen
class StorePut:
    """Put ``value`` into the shared store for ``ttl`` seconds, if that can be done within ``limits.store`` seconds."""

    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    ttl: float


@frozen
class StoreDelete:
    """Remove what is under ``keys`` from the shared store, if that can be done within ``limits.store`` seconds."""

    keys: tuple[bytes, ...] = field(repr=False)


@frozen
class Complete(Generic[T_co]):
    """The operation is over; ``result`` is what it was for."""

    result: T_co = field(repr=False)


T = TypeVar("T")

Command = (
    ResolveHeaders
    | SendRequest
    | ReceiveData
    | EndResponse
    | WaitFor
    | CallHandler
    | Deliver
    | Spawn
    | Emit[Any]
    | StartReader
    | OpenChannel
    | SendMessage
    | LookUp
    | StoreGet
    | StorePut
    | StoreDelete
)


@frozen
class Beside:
    """What a flow yields for :class:`Spawn`: the work of which an operation is to be made.

    :ivar name: what the operation is called in an error.
    :ivar withdrawn: is raised when nobody wants it any more.
    """

    name: str
    call: Call = field(repr=False)
    flow: Flow[None] = field(repr=False)
    withdrawn: Signal = field(repr=False)


Flow: TypeAlias = Generator[Command | Beside, Any, T]
"""Work that hands out commands and is sent their answers; its return value is a ``T``."""
