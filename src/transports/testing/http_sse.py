"""The legacy transport (HTTP with SSE, 2024-11-05): requests go out by POST, answers come back on one long
GET stream.

A POST is answered 202 at once and its work goes on, so this is the one place where work outlives its
request.  It needs a task, which whoever runs the server lends as ``background``.  Without one the work is
done before the POST is answered, which the transport allows and a client can hardly tell from a slow network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio
from attrs import field, frozen

from mcpcore.errors import RpcError

from .answers import Answer, Disconnect
from .call import Questions
from .conversation import Background
from .handshake import Handshake, InSession, check_message, is_request, take_note
from .outbox import event_stream
from .refusals import INTERNAL_ERROR, INVALID_REQUEST, Refusal, error_response
from .requests import ReceivedRequest
from .sessions import Session, Sessions

REVISIONS = ("2024-11-05",)


async def _cannot_ask(questions: Questions) -> dict[str, dict[str, Any]]:
    """A POST that waits for its work can't bring about the answer that the work waits for."""
    raise RpcError("over HTTP with SSE a tool can ask only where work outlives its POST", code=INTERNAL_ERROR)


@frozen
class HttpSse:
    """Answers requests to the two endpoints of the legacy transport."""

    handshake: Handshake
    messages_path: str
    sessions: Sessions = field(factory=Sessions)

    def listen(self, request: ReceivedRequest) -> Answer:
        """Answer the GET that opens the stream."""
        if request.method != "GET":
            return Answer(405, {"allow": "GET"})
        return Answer.stream(partial(self._stream, self.sessions.open(request)))

    async def _stream(self, session: Session) -> AsyncGenerator[bytes, None]:
        try:
            yield f"event: endpoint\ndata: {self.messages_path}?session_id={session.id}\n\n".encode()
            async with aclosing(event_stream(session.outbox.open())) as events:
                async for event in events:
                    yield event
        finally:
            self.sessions.end(session.id)

    async def receive(self, request: ReceivedRequest, background: Background | None) -> Answer:
        """Answer a POST to the message endpoint."""
        if request.method != "POST":
            return Answer(405, {"allow": "POST"})
        session = self.sessions.get(request.query.get("session_id"))
        if session is None:
            raise Refusal(404, INVALID_REQUEST, "There is no such session")
        check_message(request)
        if is_request(request):
            dialect = InSession(session, _cannot_ask if background is None else None)
            work = partial(self._work, dialect, request, session.start(request))
            await work() if background is None else background(work)
        else:
            take_note(session, request)
        return Answer(202)

    async def _work(self, dialect: InSession, request: ReceivedRequest, scope: anyio.CancelScope) -> None:
        """Do what a request asks, and answer on the session's stream."""
        session = dialect.session
        with scope:
            try:
                handler = self.handshake.handler(session, request)
                conversation = self.handshake.dispatcher.converse(handler, request, dialect)
                async with aclosing(conversation):
                    while (message := await conversation.next()) is not None:
                        session.outbox.put(message)
            except Refusal as refusal:
                session.outbox.put(error_response(request.rpc_id, refusal.code, str(refusal)))
            except Disconnect:
                session.outbox.end(cut=True)
        session.working.pop(request.rpc_id, None)
