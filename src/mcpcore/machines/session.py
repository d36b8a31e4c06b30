"""The handshake era over Streamable HTTP: a session, from ``initialize`` to DELETE.

A session belongs to one partition.  The first call of an identity opens it, in that call's own context; the identity's
other calls use it; another identity's call never sees it.  Each request in it carries its id and its revision
(2025-11-25, "Transports", Session Management and Protocol Version Header).

A session may be gone at any time: the server then answers 404.  Whoever meets that drops the session, if it is still
the one that is kept, opens or joins the opening of the next one, and sends its request once more.

A session opened by a call without a principal is kept only if its ``initialize`` was sent with the very identity that
the call was settled on.  Otherwise it serves that call alone, and ends with it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import define, field

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import ErrorResponse, Notification, Request
from mcpcore.context import RequestKind
from mcpcore.errors import LocalProtocolError, McpError, RemoteProtocolError
from mcpcore.machines.outbound import DELETE_HEADERS, POST_HEADERS, Outbound, resolve
from mcpcore.machines.refusals import refusal
from mcpcore.machines.requests import send
from mcpcore.rules.metadata import PROGRESS_TOKEN_KEY, rpc_name, with_meta
from mcpcore.rules.revisions import REVISIONS, Era, Revision
from mcpcore.rules.trace_context import trace_in
from mcpcore.rules.transitions import SESSION, SessionEvent, SessionState, advance
from mcpcore.state.flights import fly
from mcpcore.types.discovery import Discovery

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.machines.exchange import Exchange
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.state.call import Call
    from mcpcore.state.flights import Runway

_log = logging.getLogger("mcpcore")

_TOLD = ("capabilities", "serverInfo", "instructions")


@define(eq=False)
class Session:
    """What ``initialize`` agreed on.

    :ivar url: where its messages are posted.
    :ivar revision: asked for, then negotiated.
    :ivar id: the server's name for it, a secret, or None if it has none.
    """

    url: str = field(repr=False)
    revision: Revision
    id: str | None = field(default=None, init=False, repr=False)
    _told: bytes = field(default=b"{}", init=False, repr=False)
    state: SessionState = field(default=SessionState.INITIALIZING, init=False)

    @property
    def is_usable(self) -> bool:
        """Whether requests can be made in it."""
        return self.state is SessionState.READY

    @property
    def discovery(self) -> Discovery:
        """What the server told about itself."""
        told = jsonrpc.load(self._told)
        return Discovery.from_json(told, told.get("serverInfo"))

    def forget_what_was_told(self) -> None:
        """Be no more than what it takes to be ended."""
        self._told = b"{}"

    def note(self, event: SessionEvent) -> None:
        """Take note of what happened to it."""
        self.state = advance(SESSION, self.state, event)

    def accept(self, result: dict[str, Any], limits: Limits, pinned: Revision | None = None) -> None:
        """Take the result of ``initialize``.

        :raises RemoteProtocolError: if it names no revision of the handshake era that we speak, or another than
            ``pinned``.
        """
        name = result.get("protocolVersion")
        revision = REVISIONS.get(name) if isinstance(name, str) else None
        if revision is None or revision.era is not Era.HANDSHAKE or pinned not in (None, revision):
            raise RemoteProtocolError("the server's initialize result names no protocol version that we are to speak")
        self.revision = revision
        self._told = _remembered(result, limits)
        self.note(SessionEvent.INITIALIZE_RESULT)

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the protocol adds to each request in this session."""
        headers: list[tuple[bytes, bytes]] = []
        if self.state is not SessionState.INITIALIZING and self.revision.version_header:
            headers.append((b"mcp-protocol-version", self.revision.name.encode("ascii")))
        if self.id is not None:
            headers.append((b"mcp-session-id", self.id.encode("ascii")))
        return tuple(headers)

    def asker(self) -> Outbound:
        """What the server's requests refer to, where they refer to no request of ours."""
        return Outbound(
            kind=RequestKind.RESPONSE, url=self.url, headers=POST_HEADERS + self.headers(), revision=self.revision
        )

    def post(self, kind: RequestKind, message: Request | Notification) -> Outbound:
        """The POST of one message in this session."""
        revision = None if self.state is SessionState.INITIALIZING else self.revision
        return post(self.url, kind, message, revision, self.headers())


def _remembered(result: dict[str, Any], limits: Limits) -> bytes:
    """What of a server's words about itself can be remembered for as long as the session lasts: the vital first."""
    for names in (_TOLD, _TOLD[:2], _TOLD[:1]):
        try:
            told = jsonrpc.dump({name: result[name] for name in names if name in result})
        except LocalProtocolError:
            continue  # It holds what JSON has no form for, such as a number too large to be one.
        if len(told) <= limits.told_bytes:
            if names is not _TOLD:
                _log.warning("of what the server tells about itself only %s can be remembered", ", ".join(names))
            return told
    _log.warning("what the server tells about itself cannot be remembered, or is too long (limits.told_bytes)")
    return b"{}"


def post(
    url: str,
    kind: RequestKind,
    message: Request | Notification,
    revision: Revision | None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Outbound:
    """The POST of one message."""
    return Outbound(
        kind=kind,
        url=url,
        headers=POST_HEADERS + headers,
        body=jsonrpc.encode(message),
        rpc_method=message.method,
        rpc_name=rpc_name(message.method, message.params),
        request_id=message.id if isinstance(message, Request) else None,
        revision=revision,
        trace=trace_in(message.params),
    )


def initialize_request(call: Call, session: Session) -> Outbound:
    """The ``initialize`` of a new session (2025-11-25, "Lifecycle", Initialization)."""
    params = {
        "protocolVersion": session.revision.name,
        "capabilities": call.state.capabilities(session.revision),
        "clientInfo": call.state.client_info,
    }
    message = Request(call.state.next_id(), "initialize", with_meta(params, call.state.trace()))
    return session.post(RequestKind.INITIALIZE, message)


def initialized_notification(call: Call, session: Session) -> Outbound:
    """The notification that completes the handshake."""
    message = Notification("notifications/initialized", with_meta({}, call.state.trace()))
    return session.post(RequestKind.NOTIFICATION, message)


def request_message(call: Call, method: str, params: dict[str, Any]) -> Request:
    """A request of the handshake era, with a progress token if the caller wants progress."""
    request_id = call.state.next_id()
    meta = {} if call.on_progress is None else {PROGRESS_TOKEN_KEY: request_id}
    return Request(request_id, method, with_meta(params, {**meta, **call.state.trace()}))


def ensure_session(call: Call, revision: Revision) -> Flow[Session]:
    """The session that this call is to use, opened if need be."""
    kept = call.own_session or (call.partition.session if call.is_settled else None)
    if kept is not None:
        return kept
    session = Session(call.state.endpoint.url, revision)
    request = initialize_request(call, session)
    return (
        yield from fly(
            (yield from opening(call, request)),
            look=lambda: call.partition.session,
            resolve=lambda: resolve(call, request),
            lead=lambda resolution: _open(call, session, request, resolution),
        )
    )


def opening(call: Call, request: Outbound) -> Flow[Runway]:
    """Where this identity's sessions and streams are opened, one at a time."""
    if not call.is_settled:
        # Whose it is to be shows only in resolved headers; these serve for nothing else.
        yield from resolve(call, request)
    return call.partition.opening


def _open(call: Call, session: Session, request: Outbound, resolution: Resolution) -> Flow[Session]:
    """Open a session, and keep it for whom it may serve."""
    call.count_handshake()
    exchange = yield from send(call, request, resolution)
    if isinstance(exchange.answer, ErrorResponse) or exchange.answer is None:
        raise OpeningRefused(exchange, request)
    # The server has a session now: until it is known to be usable, it ends with this call, whatever happens.
    session.id, call.own_session = exchange.head.session_id, session
    session.accept(exchange.answer.result, call.state.limits, call.state.pinned)
    confirmation = yield from send(call, initialized_notification(call, session))
    if confirmation.head.status >= 300:
        raise refusal(confirmation).located(call.state.endpoint.name, "notifications/initialized")
    session.note(SessionEvent.CONFIRMED)
    # Two calls that follow a failed one may both open a session; the partition keeps the first.
    if call.may_keep and call.partition.is_kept and call.partition.session is None:
        call.partition.session, call.own_session = session, None
    return session


class OpeningRefused(Exception):
    """The server did not open a session, or an event stream."""

    def __init__(self, exchange: Exchange, request: Outbound) -> None:
        super().__init__()
        self.exchange = exchange
        self.request = request

    def error(self, call: Call) -> McpError:
        """What it is to the user, if it is the end."""
        return refusal(self.exchange).located(call.state.endpoint.name, self.request.name)


def drop(call: Call, session: Session) -> None:
    """Forget a session that the server no longer knows, unless another one is already kept in its place."""
    session.note(SessionEvent.NOT_FOUND)
    if call.own_session is session:
        call.own_session = None
    if call.partition.session is session:
        call.partition.session = None


def exchange_in_session(
    call: Call,
    revision: Revision,
    kind: RequestKind,
    message: Request | Notification,
    resolution: Resolution | None = None,
) -> Flow[Exchange]:
    """Make one request in this call's session; if the session is gone, once more in a new one."""
    if not call.is_settled:
        resolution = yield from settle_in_session(call, revision, kind, message)
    session = yield from ensure_session(call, revision)
    exchange = yield from send(call, session.post(kind, message), resolution)
    if exchange.head.status == 404 and session.id is not None:
        drop(call, session)
        session = yield from ensure_session(call, revision)
        exchange = yield from send(call, session.post(kind, message))
    return exchange


def settle_in_session(
    call: Call, revision: Revision, kind: RequestKind, message: Request | Notification
) -> Flow[Resolution | None]:
    """Find out whose call this is, which shows only in the headers that this very request will carry.

    :returns: those headers; None if a session has to be opened before.
    """
    resolution = yield from resolve(call, post(call.state.endpoint.url, kind, message, revision))
    kept = call.partition.session
    return None if kept is None or kept.revision is not revision else resolution


def terminate(call: Call, session: Session) -> Flow[None]:
    """Tell the server that a session is no longer needed (2025-11-25, "Transports", Session Management).

    Closing never fails: a server that does not let clients end sessions says 405, and all else is logged.
    """
    session.note(SessionEvent.TERMINATED)
    if session.id is None:
        return
    outbound = Outbound(
        kind=RequestKind.TERMINATE,
        url=session.url,
        http_method="DELETE",
        headers=DELETE_HEADERS + session.headers(),
        revision=session.revision,
    )
    try:
        exchange = yield from send(call, outbound)
    except McpError as error:
        _log.warning("a session was not ended: %r", str(error))
    else:
        if exchange.head.status not in (404, 405) and exchange.head.status >= 300:
            _log.warning("a session was not ended: %r", str(refusal(exchange)))
