"""Content codings: what the server compressed, decompressed in pieces of a bounded size.

We ask for gzip and deflate alone, so nothing else may come.  A few kilobytes can decompress to gigabytes; so
output is taken in pieces, and whoever reads decides after each whether to go on.  An event stream may be
compressed too: each piece is available as soon as the server has flushed it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from mcpcore.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECE = 64 * 1024
"""How many bytes are decompressed at a time."""


def decoder_for(headers: Sequence[tuple[bytes, bytes]]) -> Decoder | None:
    """The decoder for a response with these headers, or None if its body comes as it is."""
    values = [value.strip().lower() for name, value in headers if name.lower() == b"content-encoding"]
    codings = b", ".join(value for value in values if value not in (b"", b"identity"))
    return Decoder(codings) if codings else None


class Decoder:
    """Decompresses one body: :meth:`feed` it what came, then :meth:`read` until there is no more.

    :param coding: the body's content coding; an unknown one is an error once there is a body.
    """

    def __init__(self, coding: bytes) -> None:
        self._coding = coding
        self._input = b""
        self._inflate = zlib.decompressobj()
        self._begun = False

    def feed(self, data: bytes) -> None:
        """Take the next piece of the encoded body."""
        self._input += data

    def read(self) -> bytes:
        """Return the next piece of the decoded body, at most :data:`PIECE` bytes; ``b""`` if more input is
        needed.

        :raises RemoteProtocolError: if the input is corrupt, or its coding is not one that we ask for.
        """
        while (self._begun and not self._inflate.eof) or self._begin():
            try:
                # Also without input: the last piece may have ended in the middle of what zlib had to give.
                piece = self._inflate.decompress(self._input, PIECE)
            except zlib.error as exc:
                raise RemoteProtocolError("the body is not validly compressed") from exc
            self._input = self._inflate.unconsumed_tail or self._inflate.unused_data
            if piece or not self._inflate.eof:
                return piece
        return b""

    def finish(self) -> None:
        """Say that the body has ended.

        :raises RemoteProtocolError: if the compressed data has not.
        """
        if self._input or (self._begun and not self._inflate.eof):
            raise RemoteProtocolError("the compressed body is incomplete")

    def _begin(self) -> bool:
        """Start on the compressed data, or its next member; False if the first bytes are not there yet."""
        if len(self._input) < 2:
            return False
        if self._begun and self._coding == b"deflate":
            raise RemoteProtocolError("the compressed body goes on after its end")
        self._inflate = zlib.decompressobj(_window_bits(self._coding, self._input))
        self._begun = True
        return True


def _window_bits(coding: bytes, start: bytes) -> int:
    """What zlib needs to know to read a body in this coding that starts like this."""
    if coding in (b"gzip", b"x-gzip"):
        return zlib.MAX_WBITS + 16
    if coding != b"deflate":
        raise RemoteProtocolError("the body has a content coding that was not asked for")
    # "deflate" is the zlib format, but some servers send bare deflate (RFC 9110, section 8.4.1.2).
    is_zlib = start[0] & 0x0F == zlib.DEFLATED and int.from_bytes(start[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
