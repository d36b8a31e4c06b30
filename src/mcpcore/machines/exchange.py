"""One HTTP request and its response, from the head to the answer.

Fed with a status, header fields and body bytes, an :class:`Exchange` yields what an MCP client wants to know: the
messages that came before the answer, then the answer.  It doesn't matter whether the server chose a JSON body or an
event stream (2026-07-28, "Streamable HTTP", Sending Messages), nor how the network cut the bytes.

How to use it, in this order: ``receive_head`` once; then ``next_messages`` until there are none; then, unless ``over``,
``receive_data``, ``receive_end`` or ``receive_failure`` with what came next, and ``next_messages`` again.  Once it is
``over`` look at ``answer`` and ``head``.

Errors raised here end the exchange.  A response that breaks off is an error only where its answer was still to come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.challenges import parse_challenges
from mcpcore.codecs.header_fields import media_type, parse_retry_after
from mcpcore.codecs.jsonrpc import ErrorResponse, Notification, Request, Response
from mcpcore.codecs.sse import SSEParser
from mcpcore.errors import LimitExceeded, McpError, RemoteProtocolError, TransportError
from mcpcore.rules.transitions import EXCHANGE, ExchangeEvent, ExchangeState, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.limits import Limits

_JSON = "application/json"
_EVENT_STREAM = "text/event-stream"
# By names of their own: to find a member of an enumeration takes longer than what most steps do with it.
_JSON_BODY, _STREAM = ExchangeState.JSON, ExchangeState.STREAM
_DATA, _END = ExchangeEvent.DATA, ExchangeEvent.END
_OVER = frozenset({ExchangeState.SKIPPING, ExchangeState.ANSWERED, ExchangeState.DONE, ExchangeState.BROKEN})
_COLLECTED = {ExchangeState.JSON: "message_bytes", ExchangeState.REFUSED: "error_body_bytes"}


@define
class Head:
    """What matters of a response's head."""

    status: int
    media_type: str = ""
    session_id: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)
    retry_after: float | None = None
    challenges: tuple[Challenge, ...] = ()
    dpop_nonce: str | None = field(default=None, repr=False)


def _session_id(value: str) -> str:
    if not (value and all("\x21" <= c <= "\x7e" for c in value)):
        raise RemoteProtocolError("the server's session id is empty or has characters other than visible ASCII")
    return value


_CHALLENGES = "www-authenticate"
_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "content-type": ("media_type", media_type),
    "mcp-session-id": ("session_id", _session_id),
    "location": ("location", str),
    "retry-after": ("retry_after", parse_retry_after),
    "dpop-nonce": ("dpop_nonce", str),
}
"""What is read of a head: where it goes, and by what."""
_WANTED: Mapping[str | bytes, str] = {
    form: name for name in (*_READERS, _CHALLENGES) for form in (name, name.encode("ascii"))
}


def read_head(status: int, headers: Iterable[tuple[str | bytes, str | bytes]], limits: Limits) -> Head:
    """Pick what matters out of a response's head.

    :raises LimitExceeded: if the header fields are too many or too long.
    :raises RemoteProtocolError: if the session id is not visible ASCII (2025-11-25, "Transports", Session Management).
    """
    fields = list(headers)
    if len(fields) > limits.header_count:
        raise limits.exceeded("header_count", "the response has too many header fields")
    found: dict[str, str] = {}
    challenges: list[str] = []
    size = 0
    for raw_name, raw_value in fields:
        size += len(raw_name) + len(raw_value)
        name = _WANTED.get(raw_name.lower())
        if name is None:
            continue
        value = (raw_value if isinstance(raw_value, str) else raw_value.decode("latin-1")).strip()
        if name == _CHALLENGES:
            challenges.append(value)
        else:
            found.setdefault(name, value)
    if size > limits.header_bytes:
        raise limits.exceeded("header_bytes", "the response's header fields are too long")
    head = Head(status)
    for name, value in found.items():
        attribute, read = _READERS[name]
        setattr(head, attribute, read(value))
    if challenges:
        head.challenges = parse_challenges(challenges)
    return head


@define
class Exchange:
    """One HTTP request and its response.

    :param request_id: the id of the JSON-RPC request that was sent, or None if no answer is expected.
    :param batches: whether the revision permits batches.
    :param listens: whether the response is to be an event stream for others to read.
    :param resumable: whether an event stream that breaks off can be taken up.
    :param url: where the answer comes from, which a redirect may have changed.
    :ivar is_open: whether there is a body that has not come to its end.
    :ivar head: what matters of the response's head, once received.
    :ivar answer: the JSON-RPC response to the request, once received.
    :ivar ignored: how many responses belonged to other requests.
    """

    _limits: Limits = field(repr=False)
    request_id: int | str | None = None
    batches: bool = False
    listens: bool = False
    resumable: bool = False
    url: str = field(default="", repr=False)
    # Nobody gives what follows.  It is not kept out of the constructor only because that would look each default up.
    state: ExchangeState = ExchangeState.SENT
    is_open: bool = False
    head: Head = field(default=Head(0))
    answer: Response | ErrorResponse | None = field(default=None, repr=False)
    ignored: int = 0
    _parser: SSEParser | None = field(default=None, repr=False)
    _body: list[bytes] = field(init=False, repr=False)
    _size: int = 0
    _side: list[Notification | Request] = field(init=False, repr=False)
    _defect: McpError | None = field(default=None, repr=False)
    _seen: int = 0
    _resumptions: int = 0
    _resumed_after: str | None = field(default=None, repr=False)
    _interruption: McpError | None = field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        # Not by ``list[...]``: there are many exchanges, and calling that takes five times as long as the list itself.
        self._body, self._side = [], []

    @property
    def over(self) -> bool:
        """Whether all that matters has been received."""
        return self.state in _OVER

    @property
    def is_stream(self) -> bool:
        """Whether events are to be read."""
        return self.state is _STREAM

    @property
    def is_interrupted(self) -> bool:
        """Whether its event stream broke off before the answer, and can be taken up."""
        return self.state is ExchangeState.INTERRUPTED

    @property
    def last_event_id(self) -> str | None:
        """The event to take it up after."""
        return None if self._parser is None else self._parser.last_event_id

    @property
    def retry(self) -> float | None:
        """How many seconds the server wants to pass before that; None if it has not said."""
        retry = None if self._parser is None else self._parser.retry
        return None if retry is None else retry / 1000

    def receive_head(self, status: int, headers: Iterable[tuple[str | bytes, str | bytes]]) -> None:
        """Take the response's head.

        :raises RemoteProtocolError: if such a response can't answer the request.
        """
        self.is_open = True
        self.head = read_head(status, headers, self._limits)
        event = self._classify()
        self.state = advance(EXCHANGE, self.state, event)
        if event is ExchangeEvent.STREAM_HEAD:
            self._parser = SSEParser(self._limits)
        elif event is ExchangeEvent.FAILURE:
            raise RemoteProtocolError(self._complaint())

    def _classify(self) -> ExchangeEvent:
        status, kind = self.head.status, self.head.media_type
        if status >= 300:
            return ExchangeEvent.ERROR_HEAD if status >= 400 and kind == _JSON else ExchangeEvent.EMPTY_HEAD
        if self.request_id is None and not self.listens:
            return ExchangeEvent.EMPTY_HEAD
        if kind == _EVENT_STREAM:
            return ExchangeEvent.STREAM_HEAD
        if kind in (_JSON, "") and status != 202 and self.request_id is not None:
            return ExchangeEvent.JSON_HEAD
        return ExchangeEvent.FAILURE

    def _complaint(self) -> str:
        kind = self.head.media_type or "no content type"
        wanted = "an event stream" if self.listens else "an answer"
        return f"the server sent status {self.head.status} with {kind} instead of {wanted}"

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the body.

        :raises LimitExceeded: if the body is too large.
        """
        self.state = advance(EXCHANGE, self.state, _DATA)
        if self.state is _STREAM:
            assert self._parser is not None
            self._parser.receive_data(data)
        elif (limit := _COLLECTED.get(self.state)) is not None:
            self._size += len(data)
            if self._size > getattr(self._limits, limit):
                self._refuse(limit)
            else:
                self._body.append(data)

    def _refuse(self, limit: str) -> None:
        if self.state is _JSON_BODY:
            raise self._limits.exceeded(limit, "the answer is too large")
        # Whatever an error's body says, its status is what counts: stop reading rather than fail.
        self._body.clear()
        self.state = advance(EXCHANGE, self.state, ExchangeEvent.SURPLUS)

    def receive_end(self) -> None:
        """Take note that the body is complete.

        :raises RemoteProtocolError: if it is not an answer, or ended before the answer.
        """
        self.is_open = False
        before = self.state
        if before is _STREAM:
            # Who listens knows that a stream may end; who asked was promised an answer.
            self._break_off(
                TransportError("the server dropped the event stream")
                if self.listens
                else RemoteProtocolError("the event stream ended before the answer"),
                _END,
            )
            return
        self.state = advance(EXCHANGE, self.state, _END)
        if before is _JSON_BODY:
            self._take(b"".join(self._body))
            if self.answer is None:
                raise RemoteProtocolError("the body has no response to this request")
        elif before is ExchangeState.REFUSED:
            self._take_refusal(b"".join(self._body))

    def receive_failure(self, error: McpError) -> None:
        """Take note that no more can be read.

        :raises McpError: the same error, if the answer was still to come.
        """
        self.is_open = False
        if self.state is _STREAM:
            self._break_off(error, ExchangeEvent.FAILURE)
            return
        self.state = advance(EXCHANGE, self.state, ExchangeEvent.FAILURE)
        if self.state is ExchangeState.BROKEN:
            raise error

    def _break_off(self, error: McpError, event: ExchangeEvent) -> None:
        """End the event stream: for the moment, if there is an event to take it up after, else for good."""
        if self.resumable and self.last_event_id:
            self._interruption = error
            self.state = advance(EXCHANGE, self.state, ExchangeEvent.BREAK)
            return
        self.state = advance(EXCHANGE, self.state, event)
        raise error

    def resume(self, stream: Exchange) -> None:
        """Go on with the event stream that ``stream``, which listens, has opened."""
        self.state = advance(EXCHANGE, self.state, ExchangeEvent.RESUMED)
        self._parser = SSEParser(self._limits, self.last_event_id, None if self._parser is None else self._parser.retry)
        self.head, self.is_open = stream.head, True

    def may_resume(self) -> bool:
        """Count one more try to take the event stream up; False if there were too many without anything new."""
        if self.last_event_id != self._resumed_after:
            self._resumed_after, self._resumptions = self.last_event_id, 0
        self._resumptions += 1
        return self._resumptions <= self._limits.resumptions

    def give_up(self) -> McpError:
        """Take the event stream up no more.

        :returns: what had interrupted it.
        """
        self.state = advance(EXCHANGE, self.state, ExchangeEvent.GIVEN_UP)
        assert self._interruption is not None
        return self._interruption

    def next_messages(self) -> list[Notification | Request]:
        """The messages that came before the answer, as far as they have been received; none if there are no more yet.

        Where the stream turns bad behind some, they are returned, and the error is raised by the next call.

        :raises RemoteProtocolError: if the stream holds something that is not JSON-RPC.
        :raises LimitExceeded: if a message is too large, or there are too many.
        """
        if self._defect is not None:
            raise self._defect
        if self._parser is not None and self.is_stream:
            try:
                self._read_events(self._parser)
            except McpError as defect:
                if not self._side:
                    raise
                self._defect = defect
        messages, self._side = self._side, []
        return messages

    def _read_events(self, parser: SSEParser) -> None:
        for event, data in parser.events():
            # Empty data is no message: it primes a client to resume (2025-11-25, "Transports").
            if data and event == "message":
                self._take(data)
                if self.answer is not None:
                    self.state = advance(EXCHANGE, self.state, ExchangeEvent.ANSWER)
                    return

    def _take(self, data: bytes) -> None:
        """Sort the messages of one body or event: ours, to be handled, or not for us."""
        for message in jsonrpc.decode(data, self._limits, batches=self.batches):
            self._seen += 1
            if self._seen > self._limits.stream_messages and not self.listens:
                raise self._limits.exceeded("stream_messages", "too many messages before the answer")
            if isinstance(message, (Notification, Request)):
                self._side.append(message)
            elif self.request_id is not None and self.answer is None and self._is_ours(message):
                self.answer = message
            else:
                self.ignored += 1

    def _is_ours(self, message: Response | ErrorResponse) -> bool:
        # An error without an id belongs to the exchange that it arrives in: the server could not read our id.
        return message.id == self.request_id or (isinstance(message, ErrorResponse) and message.id is None)

    def _take_refusal(self, data: bytes) -> None:
        try:
            messages = jsonrpc.decode(data, self._limits)
        except (RemoteProtocolError, LimitExceeded):
            return  # Not JSON-RPC, which an error's body need not be.
        for message in messages:
            if isinstance(message, ErrorResponse) and self._is_ours(message):
                self.answer = message
