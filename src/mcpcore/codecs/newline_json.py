"""Messages on a byte stream, one a line (2026-07-28, "stdio"; 2025-11-25, "Transports", stdio).

JSON text need not contain a line feed, so a line feed after each message is all the framing there is.  Bytes that were
received wait in one buffer; a line leaves it when its end has come, and what has been searched is not searched again.
So every byte is copied a fixed number of times, and where a chunk ends never matters.

A blank line is no message, and a carriage return before the line feed belongs to neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from mcpcore.limits import Limits


def frame(message: bytes) -> bytes:
    """The line that carries ``message``, which is JSON as :func:`~mcpcore.codecs.jsonrpc.encode` writes it."""
    return message + b"\n"


@define(eq=False, repr=False)
class LineParser:
    """Turns a byte stream into lines.

    Call :meth:`receive_data` with each chunk as it comes, and :meth:`next_line` after it until that returns None.  At
    the end of the stream just stop: what no line feed has completed is not a message.

    :param limits: ``message_bytes`` bounds a line.
    """

    _limits: Limits
    _unread: bytearray = field(factory=bytearray, init=False)
    _searched: int = field(default=0, init=False)

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the stream.  Then call :meth:`next_line` until it returns None."""
        self._unread += data

    def next_line(self) -> bytes | None:
        """The next complete line that is not blank, without its end; None if it takes more data.

        :raises LimitExceeded: if a line is longer than the limits allow.  The stream can be read no further: close it.
        """
        while (end := self._unread.find(b"\n", self._searched)) >= 0:
            self._check(end)
            line = bytes(self._unread[:end]).strip()
            del self._unread[: end + 1]
            self._searched = 0
            if line:
                return line
        self._searched = len(self._unread)
        self._check(self._searched)
        return None

    def _check(self, length: int) -> None:
        if length > self._limits.message_bytes:
            raise self._limits.exceeded("message_bytes", "a line of the channel is too long")
