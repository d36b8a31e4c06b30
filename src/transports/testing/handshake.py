"""The handshake era (2025-03-26 to 2025-11-25): ``initialize`` first, then requests that name their session.

The refusals are as strict as the specification lets a server be, because a client that forgets its session or
its protocol version should learn it here.  (basic/transports, Session Management and Protocol Version Header,
2025-11-25)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import field, frozen

from mcpcore.errors import RpcError

from .answers import Answer
from .call import LEVELS, Ask, Call
from .conversation import Background
from .dispatch import Dispatcher
from .handlers import Handler
from .outbox import event_stream
from .recording import Recordings
from .refusals import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Refusal, check_accept
from .requests import ReceivedRequest, as_object
from .sessions import Session, Sessions

REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26")
PRIMED = ("2025-11-25",)
"""The revisions whose resumable streams begin with an event that only has an id."""
UNVERSIONED = "2025-03-26"
"""The revision that does not know the ``MCP-Protocol-Version`` header."""


@frozen
class InSession:
    """How a request is answered in a session: what the client has declared there holds for it.

    :ivar ask: how a handler asks, if not on the stream.
    """

    session: Session
    ask: Ask | None = None

    def begin(self, request: ReceivedRequest) -> Call:
        """The call that a handler is given."""
        session = self.session
        return Call(
            request=request,
            revision=session.revision or "",
            capabilities=session.capabilities,
            level=session.log_level,
            ask=self.ask or session.questions.ask,
        )

    def finish(self, request: ReceivedRequest, result: dict[str, Any]) -> dict[str, Any]:
        """In the handshake era a result goes out as it is."""
        return result


@frozen
class Handshake:
    """What the handshake era says, however it is carried: ``initialize``, ``ping`` and the server's own
    methods."""

    dispatcher: Dispatcher
    supported: tuple[str, ...]

    def handler(self, session: Session, request: ReceivedRequest) -> Handler:
        """The handler of a request's method."""
        early: dict[str, Handler] = {"initialize": partial(self._initialize, session), "ping": _acknowledge}
        handler = {**early, **self._later(session), **self.dispatcher.methods}.get(request.rpc_method or "")
        if handler is None:
            raise Refusal(200, METHOD_NOT_FOUND, f"Method not found: {request.rpc_method}")
        if not session.initialized and request.rpc_method not in early:
            raise Refusal(400, INVALID_REQUEST, "notifications/initialized has not arrived yet")
        return handler

    def _initialize(self, session: Session, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        requested = params.get("protocolVersion")
        session.revision = requested if requested in self.supported else self.supported[0]
        session.capabilities = as_object(params.get("capabilities"))
        info = {"serverInfo": self.dispatcher.server_info, **self.dispatcher.description}
        return {"protocolVersion": session.revision, **info}

    def _later(self, session: Session) -> dict[str, Handler]:
        """The methods that change what the session remembers."""
        methods: dict[str, Handler] = {"logging/setLevel": partial(_set_level, session)}
        if self.dispatcher.resources.offers:
            methods["resources/subscribe"] = partial(_remember, session.subscribed.add)
            methods["resources/unsubscribe"] = partial(_remember, session.subscribed.discard)
        return methods


def _acknowledge(params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
    return {}


def _set_level(session: Session, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
    if params.get("level") not in LEVELS:
        raise RpcError("Unknown log level", code=INVALID_PARAMS)
    session.log_level = params["level"]
    return {}


def _remember(change: Callable[[str], None], params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
    change(str(params.get("uri")))
    return {}


def is_request(request: ReceivedRequest) -> bool:
    """Whether the body is a JSON-RPC request, as opposed to a notification or a response."""
    return request.rpc_method is not None and request.rpc_id is not None


def check_message(request: ReceivedRequest) -> None:
    """Refuse a body that is no single JSON-RPC message."""
    if not {"method", "result", "error"} & as_object(request.json).keys():
        raise Refusal(400, INVALID_REQUEST, "The body is not a JSON-RPC message")


def take_note(session: Session, request: ReceivedRequest) -> None:
    """Take in a notification, or the answer to a question."""
    if request.rpc_method == "notifications/initialized":
        session.initialized = True
    elif request.rpc_method == "notifications/cancelled":
        session.cancel(request.params.get("requestId"))
    elif request.rpc_method is None:
        session.questions.answered(as_object(request.json))


@frozen
class HandshakeEra:
    """Answers requests to the MCP endpoint that belong to a session."""

    handshake: Handshake
    keeps_sessions: bool
    resumable: bool
    retry: int | None
    sessions: Sessions = field(factory=Sessions)

    async def answer(self, request: ReceivedRequest, background: Background | None) -> Answer:
        """Answer a POST, GET or DELETE to the MCP endpoint."""
        if request.method == "POST":
            return await self._post(request, background)
        if not self.keeps_sessions:
            return Answer(405, {"allow": "POST"})
        session = self._session(request)
        if request.method == "GET":
            check_accept(request, "text/event-stream")
            return self._listen(session, request)
        self.sessions.end(session.id)
        return Answer(204)

    def _listen(self, session: Session, request: ReceivedRequest) -> Answer:
        """Answer a GET: with the session's own stream, or with the rest of one that broke off."""
        if session.recordings is None:
            return Answer.stream(partial(event_stream, session.outbox.open()))
        if "last-event-id" in request.headers:
            return session.recordings.rest(request)
        recording = session.recordings.start(session.outbox.open, primed=session.revision in PRIMED)
        return recording.answer(request)

    async def _post(self, request: ReceivedRequest, background: Background | None) -> Answer:
        check_message(request)
        if request.rpc_method == "initialize":
            return await self._initialize(request)
        session = self._session(request)
        if is_request(request):
            handler = self.handshake.handler(session, request)
            if session.recordings is None:
                return await self.handshake.dispatcher.answer(handler, request, InSession(session))
            return self._record(session.recordings, session, handler, request, background)
        take_note(session, request)
        return Answer(202)

    def _record(
        self,
        recordings: Recordings,
        session: Session,
        handler: Handler,
        request: ReceivedRequest,
        background: Background | None,
    ) -> Answer:
        """Answer a request with a stream that can be taken up again."""
        conversation = self.handshake.dispatcher.converse(handler, request, InSession(session))
        recording = recordings.start(lambda: conversation.next, primed=session.revision in PRIMED)
        if background is not None:
            recording.record_in(background, session.start(request))
        return recording.answer(request)

    async def _initialize(self, request: ReceivedRequest) -> Answer:
        recordings = Recordings(self.retry) if self.resumable else None
        session = self.sessions.open(request, recordings) if self.keeps_sessions else Session("")
        handler = self.handshake.handler(session, request)
        answer = await self.handshake.dispatcher.answer(handler, request, InSession(session))
        return answer.with_headers({"mcp-session-id": session.id}) if self.keeps_sessions else answer

    def _session(self, request: ReceivedRequest) -> Session:
        version = request.headers.get("mcp-protocol-version")
        if version is not None and version not in self.handshake.supported:
            raise Refusal(400, INVALID_REQUEST, "Unsupported protocol version")
        if not self.keeps_sessions:
            return Session("", revision=version, initialized=True)
        if "mcp-session-id" not in request.headers:
            raise Refusal(400, INVALID_REQUEST, "Mcp-Session-Id is missing")
        session = self.sessions.get(request.headers["mcp-session-id"])
        if session is None:
            raise Refusal(404, INVALID_REQUEST, "There is no such session")
        if version != session.revision and not (version is None and session.revision == UNVERSIONED):
            raise Refusal(400, INVALID_REQUEST, "MCP-Protocol-Version is not the negotiated one")
        return session
