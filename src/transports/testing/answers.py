"""What a server says: one HTTP answer, well made or broken on purpose.

An :class:`Answer` is a value.  Its body is either bytes, or a function that starts a stream of chunks, so
that one answer can be given many times.  Everything that goes wrong on a network is one exception,
:class:`Disconnect`: raised instead of an answer the client sees no head, raised by a stream it sees a body
that breaks off.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Self, TypeAlias

from attrs import evolve, field, frozen

from mcpcore.errors import TransportError

from .requests import HeaderList

Message: TypeAlias = Mapping[str, Any]
"""A JSON-RPC message."""

Body: TypeAlias = bytes | Callable[[], AsyncGenerator[bytes, None]]


class Disconnect(TransportError):
    """Raise this wherever a server should cut the connection: in a tool, in a scripted answer, in a stream.

    :param sent: bytes to put on the wire first, just as they are: a torn head, say, or no HTTP at all.  Only
        sockets carry them; in memory there is no wire.
    """

    def __init__(self, message: str = "the server cut the connection", *, sent: bytes = b"") -> None:
        super().__init__(message)
        self.sent = sent


def encode(message: Message) -> bytes:
    """``message`` as compact JSON."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def message_event(message: Message) -> bytes:
    """``message`` as one event of an event stream."""
    return b"event: message\ndata: " + encode(message) + b"\n\n"


def _header_list(headers: Mapping[str, str] | tuple[tuple[str, str], ...]) -> HeaderList:
    pairs = headers if isinstance(headers, tuple) else tuple(headers.items())
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


@frozen
class Answer:
    """One HTTP answer.

    :param status: the HTTP status code.
    :param headers: a mapping, or pairs where a name comes twice.  Framing (``Content-Length`` or chunks) is
        added.
    :param body: bytes, or a function that returns an async generator of bytes.
    :param hang_up: close the connection after this answer without having announced it, as a server does that
        has kept an idle connection for too long.
    """

    status: int = 200
    headers: HeaderList = field(default=(), converter=_header_list, repr=False)
    body: Body = field(default=b"", repr=False)
    hang_up: bool = False

    @classmethod
    def json(cls, message: Message, status: int = 200) -> Self:
        """An answer that is one JSON object."""
        return cls(status, {"content-type": "application/json"}, encode(message))

    @classmethod
    def events(cls, *events: Message | bytes) -> Self:
        """An event stream: a mapping becomes a message event, bytes are sent as they are."""

        async def body() -> AsyncGenerator[bytes, None]:
            for event in events:
                yield event if isinstance(event, bytes) else message_event(event)

        return cls.stream(body)

    @classmethod
    def stream(cls, body: Callable[[], AsyncGenerator[bytes, None]]) -> Self:
        """An event stream whose bytes come from ``body()``."""
        return cls(200, {"content-type": "text/event-stream", "cache-control": "no-cache"}, body)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body, piece by piece."""
        if isinstance(self.body, bytes):
            if self.body:
                yield self.body
            return
        async with aclosing(self.body()) as chunks:
            async for chunk in chunks:
                if chunk:
                    yield chunk

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """This answer with further header fields."""
        return self._evolve(headers=headers)

    def in_pieces(self, size: int) -> Self:
        """This answer with a body that is sent ``size`` bytes at a time; a socket may join pieces, memory does not."""

        async def body() -> AsyncGenerator[bytes, None]:
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    for start in range(0, len(chunk), size):
                        yield chunk[start : start + size]

        return self._evolve(body=body)

    def cut_off(self, after: int) -> Self:
        """This answer with a connection that is cut after ``after`` bytes of its body, or at its end if that
        is sooner."""

        async def body() -> AsyncGenerator[bytes, None]:
            left = after
            async with aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk[:left]
                    left -= len(chunk)
                    if left <= 0:
                        break
            raise Disconnect

        return self._evolve(body=body)

    def cut_after(self, events: int, *, politely: bool = False) -> Self:
        """This answer, but only the first ``events`` events of it: then the connection is cut or, ``politely``, the
        response ends as if that were all.  An answer that is no event stream counts as one event."""

        async def body() -> AsyncGenerator[bytes, None]:
            async with aclosing(self.chunks()) as chunks:
                for _ in range(events):
                    if chunk := await anext(chunks, b""):
                        yield chunk
            if not politely:
                raise Disconnect

        return self._evolve(body=body, sized=False)

    def _evolve(
        self, *, headers: Mapping[str, str] | None = None, body: Body | None = None, sized: bool = True
    ) -> Self:
        """A changed copy.  A body of known length goes on announcing that length, also when it comes in pieces,
        unless it is no longer ``sized``."""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers]
        pairs += (headers or {}).items()
        if sized and body is not None and isinstance(self.body, bytes):
            pairs.append(("content-length", str(len(self.body))))
        return evolve(self, headers=tuple(pairs), body=self.body if body is None else body)
