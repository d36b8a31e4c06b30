"""Everything is bounded, and every bound is here.

One frozen class, so that the whole of what a client may use can be read, changed and tested in one place.  Sizes are in
bytes, times in seconds, the rest are counts.  Whoever meets a bound raises :class:`~mcpcore.errors.LimitExceeded`
through :meth:`Limits.exceeded`, naming the field, so that the message tells which number to change.
"""

from __future__ import annotations

from attrs import fields, frozen

from mcpcore.errors import LimitExceeded


@frozen(kw_only=True)
class Limits:
    """The bounds of one client.  ``attrs.evolve(limits, pages=5)`` makes a changed copy."""

    message_bytes: int = 16 * 1024 * 1024
    """The largest JSON-RPC message accepted: a JSON body, or the data of one SSE event."""
    sse_line_bytes: int = 16 * 1024 * 1024
    """The longest line of an event stream."""
    error_body_bytes: int = 64 * 1024
    """How much of an HTTP error's body is read; what follows is not."""
    json_depth: int = 128
    """How deep arrays and objects may nest in a message."""
    header_count: int = 256
    """How many header fields a response may have."""
    header_bytes: int = 64 * 1024
    """How long all names and values of a response's header fields may be together."""
    stream_messages: int = 100_000
    """How many messages one exchange may carry before its answer."""
    server_requests: int = 100
    """How many requests of the server's one call answers before its own answer."""
    input_rounds: int = 10
    """How often one request may be answered by a wish for input before its own answer."""
    resumptions: int = 10
    """How often in a row, without anything new, a broken event stream is taken up; for one who listens, how often in a
    row it cannot be opened."""
    event_id: int = 4 * 1024
    """How many characters of an event's id are sent back to take up its stream; after a longer one that is not done."""
    resume_delay: float = 1.0
    """How many seconds pass before that, if the server has not said; for one who listens, twice as many after each
    further failure."""
    longest_delay: float = 30.0
    """How many seconds they become at most."""
    shortest_delay: float = 0.05
    """How many seconds they become at least where the server has said: it may end its stream as often as it likes."""
    retry: float = 600.0
    """The longest such pause that a server may ask for; a stream that is to rest for longer is given up."""
    mailbox_messages: int = 1_000
    """How many messages wait for one call, on an HTTP+SSE stream or a channel, before no more are read; reading goes on
    when half of them have been handled."""
    mailbox_bytes: int = 32 * 1024 * 1024
    """How many bytes of messages, in the same way."""
    pending_requests: int = 1_000
    """How many requests may wait for their answer on one HTTP+SSE stream or channel; a further call waits its turn."""
    probe: float = 10.0
    """How many seconds a server on a channel has to answer ``server/discover``; after that it is one of the handshake
    era, some of which never answer what they do not know."""
    restarts: int = 8
    """How often in a row a channel may end before it could be used; after that no call opens another one."""
    exit: float = 2.0
    """How many seconds the process of a server has to end once its input is closed; then it is terminated."""
    termination: float = 2.0
    """How many seconds it has to end after that; then it is killed."""
    pages: int = 1_000
    """How many pages a listing may have."""
    mirrored_bytes: int = 256 * 1024
    """How much is remembered, for one identity, of which arguments travel as headers; the oldest tools go first."""
    output_schema_bytes: int = 512 * 1024
    """How long all the output schemas remembered for one identity may be; those of the oldest tools go first."""
    output_checkers: int = 64
    """How many of them are kept, for one identity, in the form that results are checked by."""
    told_bytes: int = 64 * 1024
    """How much of what a server tells about itself is remembered with a session; what is longer is not remembered."""
    redirects: int = 5
    """How many same-origin redirects one request may follow."""
    authorizations: int = 5
    """How often one request is made once more because it was refused, with better authorization each time."""
    accounts: int = 10_000
    """How many identities' tokens an OAuth provider keeps; the least recently used go first."""
    authorization_servers: int = 100
    """How many authorization servers it remembers."""
    scope_bytes: int = 8 * 1024
    """How long all the scopes that one token is asked for may be together."""
    metadata_age: float = 3600.0
    """How many seconds it is believed what an authorization server said about itself."""
    oauth_bytes: int = 256 * 1024
    """How long the answer of an authorization server, or a metadata document, may be."""
    token_bytes: int = 16 * 1024
    """How long an access token, or what renews it, may be."""
    token_request: float = 10.0
    """How many seconds one request for a token and keeping what came of it may take together; they are carried through
    even if their call is given up."""
    token_margin: float = 10.0
    """How many seconds before its end a token is renewed, but no more than half of its time."""
    handshakes: int = 8
    """How often one call may open a session or an event stream, or search for the era."""
    partitions: int = 4_096
    """How many principals' state is kept; the least recently used goes first, never one in use."""
    anonymous_partitions: int = 256
    """The same for identities without a principal, so that minted tokens cannot push principals out."""
    idle_partition: float = 3600.0
    """How many seconds an identity's state is kept after its last call."""
    retired_sessions: int = 1_000
    """How many sessions of identities that had to make room are remembered, to be ended when the client is closed."""
    cache_entries: int = 20_000
    """How many answers are kept for principals; the least recently used goes first."""
    cache_bytes: int = 64 * 1024 * 1024
    """How many bytes those answers may be."""
    anonymous_cache_entries: int = 1_000
    """How many answers are kept for identities without a principal."""
    anonymous_cache_bytes: int = 8 * 1024 * 1024
    """How many bytes those answers may be."""
    cache_age: float = 86_400.0
    """How many seconds an answer is kept at most, whatever its server says."""
    shared_verdict: float = 3600.0
    """How many seconds clients that share a store believe one another how their server is to be spoken to."""
    store: float = 0.25
    """How many seconds one request to a shared store may take, and at most half of what is left of the call's own time;
    then it counts as a miss."""
    store_pause: float = 5.0
    """How many seconds a shared store that failed is left alone."""
    connections: int = 100
    """How many connections an engine of ours opens to serve calls; a further call waits its turn."""
    reply_connections: int = 10
    """How many more answer requests of the server's; the call that such an answer is for holds a connection already."""
    streams: int = 100
    """How many long-lived streams are open at once, apart from the connections that calls need."""
    idle_connection: float = 15.0
    """How many seconds an unused connection is kept."""
    drain_bytes: int = 64 * 1024
    """How much of a response may follow its answer before its connection is closed instead of kept."""
    drain: float = 0.05
    """How many seconds may pass while a response that has answered comes to its end."""
    goodbye: float = 5.0
    """How many seconds a cancellation notice, or all of a client's goodbyes together, may take."""

    def __attrs_post_init__(self) -> None:
        for attribute in fields(Limits):
            if not getattr(self, attribute.name) > 0:
                raise ValueError(f"limits.{attribute.name} must be positive")

    def exceeded(self, limit: str, what: str) -> LimitExceeded:
        """The error for reaching the field named ``limit``; ``what`` says what was too large or too many."""
        return LimitExceeded(f"{what} (limits.{limit} is {getattr(self, limit)})", limit=limit)
