"""What a handshake leaves behind: sessions, and what each of them knows of its client."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import anyio
from attrs import define, field

from .answers import Message
from .asking import Asking
from .outbox import Outbox
from .recording import Recordings
from .requests import Match, ReceivedRequest, matches


def _no_work() -> dict[Any, anyio.CancelScope]:
    return {}


@define(eq=False)
class Session:
    """One client's session.

    :ivar id: what names it: in ``Mcp-Session-Id``, or in the query of a legacy message URL.
    :ivar opened_by: the request that opened it; None for what stands in where there are no sessions.
    :ivar revision: the revision settled by ``initialize``; None before.
    :ivar recordings: its event streams, if they can be taken up again.
    :ivar initialized: whether ``notifications/initialized`` has arrived.
    :ivar capabilities: what the client declared.
    :ivar log_level: the lowest level of log messages that it wants.
    :ivar subscribed: the resources that it wants to hear of.
    :ivar questions: what it was asked and has not answered yet.
    :ivar working: what can stop the work on its requests, by their ids, where work outlives a response.
    :ivar outbox: the messages for its listening stream.
    """

    id: str
    opened_by: ReceivedRequest | None = None
    revision: str | None = None
    initialized: bool = False
    recordings: Recordings | None = None
    capabilities: Message = field(factory=dict[str, Any], init=False)
    log_level: str = field(default="debug", init=False)
    subscribed: set[str] = field(factory=set[str], init=False)
    questions: Asking = field(factory=Asking, init=False)
    working: dict[Any, anyio.CancelScope] = field(factory=_no_work, init=False)
    outbox: Outbox = field(factory=Outbox, init=False)

    def start(self, request: ReceivedRequest) -> anyio.CancelScope:
        """The scope for work on ``request`` that :meth:`cancel` can stop."""
        scope = self.working[request.rpc_id] = anyio.CancelScope()
        return scope

    def cancel(self, request_id: Any) -> None:
        """Stop the work on a request; it is not answered (basic/utilities/cancellation, 2025-11-25)."""
        if scope := self.working.pop(request_id, None):
            scope.cancel()

    def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send a notification, if this client is to hear of such things."""
        hears = method != "notifications/resources/updated" or (params or {}).get("uri") in self.subscribed
        if self.initialized and hears:
            carried = {} if params is None else {"params": dict(params)}
            self.outbox.put({"jsonrpc": "2.0", "method": method, **carried})


@define(eq=False)
class Sessions:
    """The sessions that a server keeps."""

    _by_id: dict[str, Session] = field(factory=dict[str, Session], init=False)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    def open(self, request: ReceivedRequest, recordings: Recordings | None = None) -> Session:
        """A new session."""
        session = Session(f"session-{next(self._numbers)}", request, recordings=recordings)
        self._by_id[session.id] = session
        return session

    def get(self, session_id: str | None) -> Session | None:
        """The session of that name, if there is one."""
        return self._by_id.get(session_id or "")

    def end(self, session_id: str) -> None:
        """Forget a session; its stream ends."""
        if session := self._by_id.pop(session_id, None):
            session.outbox.end()

    def expire(self) -> None:
        """Forget every session; their streams end."""
        for session_id in tuple(self._by_id):
            self.end(session_id)

    def broadcast(self, message: Message) -> None:
        """Put ``message`` into every outbox."""
        for session in self._by_id.values():
            session.outbox.put(message)

    def notify(self, method: str, params: Mapping[str, Any] | None, to: Match) -> None:
        """Send a notification to the sessions whose first request ``to`` means."""
        for session in self._by_id.values():
            if session.opened_by is not None and matches(to, session.opened_by):
                session.notify(method, params)

    def hang_up(self, *, cut: bool) -> None:
        """End every listening stream; the sessions stay."""
        for session in self._by_id.values():
            session.outbox.hang_up(cut=cut)
