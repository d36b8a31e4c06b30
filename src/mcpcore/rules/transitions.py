"""Every state machine of the library, as data.

A table maps (state, event) to the next state.  What is not in its table cannot happen: an event that the driver caused
is then a :class:`~mcpcore.errors.LocalProtocolError`.  The diagrams in the documentation are generated from these
tables, and a test walks every state with every event.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

S = TypeVar("S", bound=Enum)
E = TypeVar("E", bound=Enum)


def advance(table: Mapping[tuple[S, E], S], state: S, event: E) -> S:
    """The state after ``event``.

    :raises LocalProtocolError: if the table has no such transition.
    """
    try:
        return table[state, event]
    except KeyError:
        raise LocalProtocolError(f"{event.value} is not possible while {state.value}") from None


class _Symbol(Enum):
    """A state or an event: each is itself and nothing else, so that looking it up costs next to nothing."""

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__


class ExchangeState(_Symbol):
    """How far one HTTP request and its response have come."""

    SENT = "waiting for the head"
    JSON = "reading a JSON body"
    STREAM = "reading an event stream"
    INTERRUPTED = "interrupted, to be taken up"
    REFUSED = "reading an error's body"
    SKIPPING = "skipping a body"
    ANSWERED = "answered, body open"
    DONE = "done"
    BROKEN = "broken"


class ExchangeEvent(_Symbol):
    """What can happen to an exchange."""

    JSON_HEAD = "a JSON head"
    STREAM_HEAD = "an event stream's head"
    ERROR_HEAD = "an error's head"
    EMPTY_HEAD = "a head without an answer"
    DATA = "data"
    ANSWER = "the answer"
    SURPLUS = "more of an error's body than is read"
    END = "the end of the body"
    BREAK = "a break that can be mended"
    RESUMED = "the stream taken up"
    GIVEN_UP = "no more tries to take it up"
    FAILURE = "a failure"


EXCHANGE: Mapping[tuple[ExchangeState, ExchangeEvent], ExchangeState] = {
    (ExchangeState.SENT, ExchangeEvent.JSON_HEAD): ExchangeState.JSON,
    (ExchangeState.SENT, ExchangeEvent.STREAM_HEAD): ExchangeState.STREAM,
    (ExchangeState.SENT, ExchangeEvent.ERROR_HEAD): ExchangeState.REFUSED,
    (ExchangeState.SENT, ExchangeEvent.EMPTY_HEAD): ExchangeState.SKIPPING,
    (ExchangeState.SENT, ExchangeEvent.FAILURE): ExchangeState.BROKEN,
    (ExchangeState.JSON, ExchangeEvent.DATA): ExchangeState.JSON,
    (ExchangeState.JSON, ExchangeEvent.END): ExchangeState.DONE,
    (ExchangeState.JSON, ExchangeEvent.FAILURE): ExchangeState.BROKEN,
    (ExchangeState.STREAM, ExchangeEvent.DATA): ExchangeState.STREAM,
    (ExchangeState.STREAM, ExchangeEvent.ANSWER): ExchangeState.ANSWERED,
    (ExchangeState.STREAM, ExchangeEvent.BREAK): ExchangeState.INTERRUPTED,
    (ExchangeState.STREAM, ExchangeEvent.END): ExchangeState.BROKEN,
    (ExchangeState.STREAM, ExchangeEvent.FAILURE): ExchangeState.BROKEN,
    (ExchangeState.INTERRUPTED, ExchangeEvent.RESUMED): ExchangeState.STREAM,
    (ExchangeState.INTERRUPTED, ExchangeEvent.GIVEN_UP): ExchangeState.BROKEN,
    (ExchangeState.REFUSED, ExchangeEvent.DATA): ExchangeState.REFUSED,
    (ExchangeState.REFUSED, ExchangeEvent.SURPLUS): ExchangeState.SKIPPING,
    (ExchangeState.REFUSED, ExchangeEvent.END): ExchangeState.DONE,
    (ExchangeState.REFUSED, ExchangeEvent.FAILURE): ExchangeState.DONE,
    (ExchangeState.SKIPPING, ExchangeEvent.DATA): ExchangeState.SKIPPING,
    (ExchangeState.SKIPPING, ExchangeEvent.END): ExchangeState.DONE,
    (ExchangeState.SKIPPING, ExchangeEvent.FAILURE): ExchangeState.DONE,
    (ExchangeState.ANSWERED, ExchangeEvent.DATA): ExchangeState.ANSWERED,
    (ExchangeState.ANSWERED, ExchangeEvent.END): ExchangeState.DONE,
    (ExchangeState.ANSWERED, ExchangeEvent.FAILURE): ExchangeState.DONE,
}


class SessionState(_Symbol):
    """How far a handshake-era session has come (2025-11-25, "Lifecycle")."""

    INITIALIZING = "initializing"
    INITIALIZED = "initialized, not yet confirmed"
    READY = "ready"
    ENDED = "ended"


class SessionEvent(_Symbol):
    """What can happen to a session."""

    INITIALIZE_RESULT = "the result of initialize"
    CONFIRMED = "notifications/initialized accepted"
    NOT_FOUND = "404 to one of its requests"
    TERMINATED = "the client ended it"


SESSION: Mapping[tuple[SessionState, SessionEvent], SessionState] = {
    (SessionState.INITIALIZING, SessionEvent.INITIALIZE_RESULT): SessionState.INITIALIZED,
    (SessionState.INITIALIZING, SessionEvent.TERMINATED): SessionState.ENDED,
    (SessionState.INITIALIZED, SessionEvent.CONFIRMED): SessionState.READY,
    (SessionState.INITIALIZED, SessionEvent.TERMINATED): SessionState.ENDED,
    (SessionState.READY, SessionEvent.NOT_FOUND): SessionState.ENDED,
    (SessionState.READY, SessionEvent.TERMINATED): SessionState.ENDED,
    # Several requests can find out at once that their session is gone.
    (SessionState.ENDED, SessionEvent.NOT_FOUND): SessionState.ENDED,
    (SessionState.ENDED, SessionEvent.TERMINATED): SessionState.ENDED,
}


class StreamState(_Symbol):
    """How far an HTTP+SSE stream has come (2024-11-05, "Transports", HTTP with SSE)."""

    AWAITING_ENDPOINT = "waiting for the endpoint event"
    OPEN = "open"
    ENDED = "ended"


class StreamEvent(_Symbol):
    """What can happen to an HTTP+SSE stream."""

    ENDPOINT = "the endpoint event"
    MESSAGE = "a message event"
    END = "the end of the stream"


STREAM: Mapping[tuple[StreamState, StreamEvent], StreamState] = {
    (StreamState.AWAITING_ENDPOINT, StreamEvent.ENDPOINT): StreamState.OPEN,
    (StreamState.AWAITING_ENDPOINT, StreamEvent.END): StreamState.ENDED,
    (StreamState.OPEN, StreamEvent.MESSAGE): StreamState.OPEN,
    (StreamState.OPEN, StreamEvent.END): StreamState.ENDED,
}


class ChannelState(_Symbol):
    """How far a duplex channel has come (2026-07-28, "stdio", Backward Compatibility; 2025-11-25, "Lifecycle")."""

    OPEN = "open"
    PROBING = "waiting for the answer to server/discover"
    NOT_MODERN = "known not to be modern"
    INITIALIZING = "waiting for the result of initialize"
    INITIALIZED = "initialized, not yet confirmed"
    MODERN = "modern"
    HANDSHAKE = "handshake done"
    ENDED = "ended"


class ChannelEvent(_Symbol):
    """What can happen to a duplex channel."""

    PROBE = "server/discover is sent"
    SKIP_PROBE = "a handshake revision is pinned"
    NOT_SENT = "the request was not sent"
    MODERN_PROOF = "a modern result or error"
    NOT_MODERN = "any other answer, or none in time"
    INITIALIZE = "initialize is sent"
    INITIALIZE_RESULT = "the result of initialize"
    CONFIRMED = "notifications/initialized is sent"
    END = "the end of the channel"


CHANNEL: Mapping[tuple[ChannelState, ChannelEvent], ChannelState] = {
    (ChannelState.OPEN, ChannelEvent.PROBE): ChannelState.PROBING,
    (ChannelState.OPEN, ChannelEvent.SKIP_PROBE): ChannelState.NOT_MODERN,
    (ChannelState.PROBING, ChannelEvent.NOT_SENT): ChannelState.OPEN,
    (ChannelState.PROBING, ChannelEvent.MODERN_PROOF): ChannelState.MODERN,
    (ChannelState.PROBING, ChannelEvent.NOT_MODERN): ChannelState.NOT_MODERN,
    (ChannelState.NOT_MODERN, ChannelEvent.INITIALIZE): ChannelState.INITIALIZING,
    (ChannelState.INITIALIZING, ChannelEvent.NOT_SENT): ChannelState.NOT_MODERN,
    # One that was too slow to answer the probe in time shows only now what it is.
    (ChannelState.INITIALIZING, ChannelEvent.MODERN_PROOF): ChannelState.MODERN,
    (ChannelState.INITIALIZING, ChannelEvent.INITIALIZE_RESULT): ChannelState.INITIALIZED,
    (ChannelState.INITIALIZED, ChannelEvent.CONFIRMED): ChannelState.HANDSHAKE,
    **{(state, ChannelEvent.END): ChannelState.ENDED for state in ChannelState if state is not ChannelState.ENDED},
}


class NegotiationState(_Symbol):
    """How far the search for a server's era has come (2026-07-28, "Versioning and Compatibility")."""

    UNKNOWN = "unknown"
    PROBING = "probing with server/discover"
    INITIALIZING = "trying initialize"
    CONNECTING = "trying HTTP+SSE"
    MODERN = "modern"
    HANDSHAKE = "handshake"
    HTTP_SSE = "HTTP+SSE"
    UNDECIDED = "undecided"


class NegotiationEvent(_Symbol):
    """What can happen during the search."""

    PROBE = "probe"
    SKIP_PROBE = "a handshake revision is pinned"
    MODERN_PROOF = "a modern result or error"
    NOT_MODERN = "an answer that no modern server gives"
    INITIALIZED = "a successful initialize"
    NOT_HANDSHAKE = "initialize refused as unknown"
    ENDPOINT = "an endpoint event"
    FAULT = "a failure that proves nothing"


NEGOTIATION: Mapping[tuple[NegotiationState, NegotiationEvent], NegotiationState] = {
    (NegotiationState.UNKNOWN, NegotiationEvent.PROBE): NegotiationState.PROBING,
    (NegotiationState.UNKNOWN, NegotiationEvent.SKIP_PROBE): NegotiationState.INITIALIZING,
    (NegotiationState.PROBING, NegotiationEvent.MODERN_PROOF): NegotiationState.MODERN,
    (NegotiationState.PROBING, NegotiationEvent.NOT_MODERN): NegotiationState.INITIALIZING,
    (NegotiationState.PROBING, NegotiationEvent.FAULT): NegotiationState.UNDECIDED,
    (NegotiationState.INITIALIZING, NegotiationEvent.INITIALIZED): NegotiationState.HANDSHAKE,
    (NegotiationState.INITIALIZING, NegotiationEvent.NOT_HANDSHAKE): NegotiationState.CONNECTING,
    (NegotiationState.INITIALIZING, NegotiationEvent.FAULT): NegotiationState.UNDECIDED,
    (NegotiationState.CONNECTING, NegotiationEvent.ENDPOINT): NegotiationState.HTTP_SSE,
    (NegotiationState.CONNECTING, NegotiationEvent.FAULT): NegotiationState.UNDECIDED,
}
