"""An incremental parser of event streams: bytes in, whole events out.

The grammar is that of the WHATWG HTML standard, section "Interpreting an event stream".  It is worked on as
bytes, because a line ends at CR, LF or CRLF and at nothing else: decoding first would invite the line
separators of Unicode.

The strategy is to cut, and to cut large where that will do.  All line ends become LF as bytes come in.  They
wait in a buffer, and leave it a *window* at a time, which ends with a blank line if it has any.  Such a window
is cut into *blocks*, each of which a blank line has followed.  Nearly every block is a type or none, and one
line of data: that is an event as it stands.  Any other is cut into lines, as is a window without a blank line;
a line that this leaves unfinished waits for the next window.  Lines are then taken one by one, each a field of
the event being built, or the blank line that completes it.  So every byte is copied a fixed number of times,
whatever the sizes of chunks, lines and events.  A window is bounded because a line that has been cut takes far
more memory than the two bytes that it may come from.

Where a chunk ends never matters.  A line has ended at a CR, without waiting for an LF that may follow: the LF
is swallowed when it comes.  Limits are checked when a line's turn has come, so that an error is met after the
same events however the bytes were split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcpcore.errors import LimitExceeded
    from mcpcore.limits import Limits

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WINDOW = 64 * 1024
_MESSAGE = "message"
_USUAL_HEADS = (b"", b"event: message")
_RETRY_DIGITS = 9  # of milliseconds: more than eleven days is no advice, and no number to parse


@define
class ServerSentEvent:
    """One event of a stream.

    :ivar event: its type.
    :ivar data: what it carries; several ``data`` lines are joined by LF.
    :ivar id: the last event id in force when it came, or None if the stream has sent none.
    :ivar retry: the reconnection time in force when it came, in milliseconds, or None if the stream has sent
        none.
    """

    event: str = "message"
    data: bytes = field(default=b"", repr=False)
    id: str | None = field(default=None, repr=False)
    retry: int | None = None


@define(eq=False, repr=False)
class SSEParser:
    """Turns the body of one ``text/event-stream`` response into events.

    Call :meth:`receive_data` with each chunk as it comes, and :meth:`next_event` after it until that returns
    None.  At the end of the stream just stop: what no blank line has completed is not an event.

    An event may carry empty data, as when a server primes its client for resumption (MCP 2025-11-25, Transports,
    "Sending Messages to the Server"); one without any ``data`` line is no event, but its id and reconnection time
    count.

    :param limits: ``sse_line_bytes`` bounds a line, ``message_bytes`` the data of an event.
    :param last_event_id: the id to begin with, where this stream takes up another.
    :param retry: the reconnection time to begin with.
    """

    _limits: Limits
    _last_event_id: str | None = None
    _retry: int | None = None
    _unread: bytearray = field(factory=bytearray, init=False)
    _at_start: bool = field(default=True, init=False)
    _after_cr: bool = field(default=False, init=False)
    _blocks: Iterator[bytes] = field(factory=lambda: iter(()), init=False)
    _lines: Iterator[bytes] = field(factory=lambda: iter(()), init=False)
    _unfinished: bytearray = field(factory=bytearray, init=False)
    # The event being built.  Its data is a bytearray from its second line on, and None before its first.
    _type: bytes = field(default=b"", init=False)
    _data: bytes | bytearray | None = field(default=None, init=False)
    _id: str | None = field(init=False)
    _usual_bytes: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._id = self._last_event_id
        self._usual_bytes = min(self._limits.sse_line_bytes, self._limits.message_bytes)

    @property
    def last_event_id(self) -> str | None:
        """The id to resume after, as of the last blank line read; None if the stream has sent none."""
        return self._last_event_id

    @property
    def retry(self) -> int | None:
        """How many milliseconds to wait before reconnecting; None if the stream has not said so."""
        return self._retry

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.  Then call :meth:`next_event` until it returns None."""
        if data:
            lines = data.removeprefix(b"\n") if self._after_cr else data
            self._after_cr = data.endswith(b"\r")
            self._unread += lines.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def next_event(self) -> ServerSentEvent | None:
        """The next complete event, or None if it takes more data.

        :raises LimitExceeded: as :meth:`events` does.
        """
        for event, data in self.events():
            return ServerSentEvent(event, data, self._id, self._retry)
        return None

    def events(self) -> Iterator[tuple[str, bytes]]:
        """The type and the data of each event that is complete.

        It is read when it is asked for: whoever stops early can go on later.

        :raises LimitExceeded: if a line, or the data of an event, is longer than the limits allow.  The
            stream can be read no further: close it.
        """
        while True:
            yield from self._read_lines()
            if len(self._unfinished) > self._limits.sse_line_bytes:
                raise self._line_too_long()
            # None of what is usual changes this: what is not, is read to its blank line.
            longest = self._usual_bytes if self._is_between_events() else -1
            for block in self._blocks:
                head, _, line = block.rpartition(b"\n")
                if len(block) <= longest and head in _USUAL_HEADS and line[:6] == b"data: ":
                    yield _MESSAGE, line[6:]
                else:
                    self._lines = iter((*block.split(b"\n"), b""))
                    break
            else:
                if not (window := self._next_window()):
                    return
                self._cut(window)

    def _is_between_events(self) -> bool:
        return self._data is None and not self._type and self._id == self._last_event_id

    def _read_lines(self) -> Iterator[tuple[str, bytes]]:
        for line in self._lines:
            if not line:
                if (event := self._dispatch()) is not None:
                    yield event
            elif len(line) > self._limits.sse_line_bytes:
                raise self._line_too_long()
            else:
                self._interpret(line)

    def _next_window(self) -> bytes:
        """What is to be cut next, or nothing if it takes more data.  It ends with a blank line if it has any."""
        if self._at_start:
            self._skip_byte_order_mark()
            if self._at_start:
                return b""
        blank = self._unread.rfind(b"\n\n", 0, _WINDOW)
        size = _WINDOW if blank < 0 else blank + 2
        window = bytes(self._unread[:size])
        del self._unread[:size]
        return window

    def _skip_byte_order_mark(self) -> None:
        """Begin the stream behind its byte order mark, unless it takes more data to tell if there is one."""
        unread = self._unread
        if unread.startswith(_BYTE_ORDER_MARK):
            del unread[: len(_BYTE_ORDER_MARK)]
        elif _BYTE_ORDER_MARK.startswith(unread):
            return
        self._at_start = False

    def _cut(self, window: bytes) -> None:
        """Cut a window into blocks or, without a blank line, into lines; a line that it leaves unfinished is kept."""
        if window.endswith(b"\n\n"):
            pieces, rest = window[:-2].split(b"\n\n"), b""
            self._blocks = iter(pieces)
        else:
            *pieces, rest = window.split(b"\n")
            self._lines = iter(pieces)
        if self._unfinished and pieces:
            pieces[0] = bytes(self._unfinished + pieces[0])
            self._unfinished.clear()
        self._unfinished += rest

    def _interpret(self, line: bytes) -> None:
        """Take in one field.  A comment is a field without a name, and ignored like any unknown one."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._append_data(value)
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
            self._retry = int(value)

    def _append_data(self, value: bytes) -> None:
        data = self._data
        if data is None:
            self._data = data = value
        else:
            if isinstance(data, bytes):
                self._data = data = bytearray(data)
            data += b"\n"
            data += value
        if len(data) > self._limits.message_bytes:
            raise self._limits.exceeded("message_bytes", "the data of an event in the stream is too long")

    def _dispatch(self) -> tuple[str, bytes] | None:
        """End the event being built, and return its type and its data if it carries any."""
        self._last_event_id = self._id
        kind, self._type = self._type, b""
        data, self._data = self._data, None
        if data is None:
            return None
        return kind.decode("utf-8", "replace") or _MESSAGE, bytes(data)

    def _line_too_long(self) -> LimitExceeded:
        return self._limits.exceeded("sse_line_bytes", "a line of the event stream is too long")
