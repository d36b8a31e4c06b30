"""An MCP server as data: a request goes in, a head and the pieces of a body come out.

It speaks one era at a time, binds each session to the call that opened it, changes its lists, forgets its sessions, and
is as unkind as a :class:`Whim` says.  Each result holds the number of the request that fetched it as ``seen``, or where
only definitions are kept, in the name of one (``seen-7``); what is forged holds the number -1.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Any

from attrs import define, field

from mcpcore import EventStream, McpError, NotSentError, SendRequest, TransportError

from .callers import HANDSHAKE, MODERN, OLDEST, PAGED, Shape
from .model import Fetch, Model, is_paged


class Whim(Enum):
    """How the server, the network, a resolver or the store behaves when it is asked next."""

    WELL = "as it should"
    STREAM = "answers by an event stream"
    CHANGE = "says that lists like the one asked for have changed, then answers"
    UPDATE = "says that resources have changed, then answers"
    PING = "asks something, then answers"
    PROGRESS = "tells of progress, its own and others', then answers"
    FORGE = "answers what others asked, before it answers and after"
    REFUSE = "401"
    DENY = "401, to the next credentials as well"
    FORBID = "403"
    MISS = "404"
    FAIL = "an error by status"
    ERROR = "an error by JSON-RPC"
    CURSOR = "knows no such cursor"
    GARBAGE = "no JSON-RPC at all"
    INCOMPLETE = "a result that is not the final one"
    MOVE = "redirects, within its origin"
    UNSENT = "was never reached"
    CUT = "the connection breaks"
    STALE = "gives what it should have dropped"


KIND = (Whim.WELL, Whim.STREAM, Whim.CHANGE, Whim.UPDATE, Whim.PING, Whim.PROGRESS, Whim.FORGE)
REFUSALS = {Whim.REFUSE: 401, Whim.DENY: 401, Whim.FORBID: 403, Whim.MISS: 404}
_FAILURES = (500, 503, 429, 400, 410)
_CHANGES = {
    "tools": ("tools/list",),
    "prompts": ("prompts/list",),
    "resources": ("resources/list", "resources/templates/list"),
}
_ITEMS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


@define
class Piece:
    """Some bytes of a body, and what whoever reads them learns.

    :ivar data: the bytes, or how the connection breaks.
    :ivar changed: which methods' results have changed, with the URI if it is only about one.
    :ivar answers: the fetch that is answered by it.
    """

    data: bytes | TransportError
    changed: tuple[str, ...] = ()
    key: str | None = None
    answers: Fetch | None = None


@define
class Reply:
    """A head, and the pieces of a body.

    :ivar is_denial: whether it means that the credentials count for nothing, and no others will be tried.
    """

    fetch: Fetch
    status: int = 200
    headers: list[tuple[str, str]] = field(factory=list[tuple[str, str]])
    pieces: deque[Piece] = field(factory=deque[Piece])
    is_denial: bool = False


@define(eq=False)
class Line:
    """An event stream of HTTP+SSE: whom it serves, and what is on its way."""

    opening: Fetch
    pieces: deque[Piece]
    stream: EventStream | None = None


@define(eq=False)
class Server:
    """The server of one world.

    :ivar shapes: how each list looks now.
    :ivar known: the sessions that it has not forgotten.
    :ivar lines: its open event streams, by the number in their URL.
    """

    model: Model
    era: str
    shapes: dict[str, Shape] = field(factory=lambda: dict.fromkeys(PAGED, Shape.numbered(0)))
    known: set[str] = field(factory=set[str])
    lines: dict[int, Line] = field(factory=dict[int, Line])
    _denied: set[bytes] = field(factory=set[bytes])
    _recent: deque[int] = field(factory=lambda: deque[int](maxlen=6))

    def answer(self, request: SendRequest, fetch: Fetch, whim: Whim) -> Reply | McpError:
        """Answer one request."""
        self.model.counts[f"requests, {fetch.method or request.method}"] += 1
        if whim is Whim.UNSENT:
            fetch.call.had_trouble = True
            return NotSentError("no connection")
        if whim is Whim.CUT:
            fetch.call.had_trouble = True
            return TransportError("cut")
        if whim is Whim.DENY:
            self._denied.add(request.body)
        if request.attempt == 2 and request.body in self._denied:
            return self._refuse(request, fetch, 401)
        if whim in REFUSALS or whim is Whim.FAIL:
            status = REFUSALS.get(whim) or _FAILURES[fetch.number % len(_FAILURES)]
            return self._refuse(request, fetch, status)
        if whim is Whim.MOVE and "moved" not in request.url:
            self.model.counts["answers 307"] += 1
            where = f"{request.url}{'&' if '?' in request.url else '?'}moved"
            return Reply(fetch, 307, [("Location", where), ("Set-Cookie", f"cookie-{fetch.number}")])
        message = json.loads(request.body) if request.body else {}
        if "method" in message and "id" in message:
            self._recent.append(message["id"])
            if self._is_unknown_cursor(message):
                whim = Whim.CURSOR
        speak = {"modern": self._modern, "handshake": self._handshake, "sse": self._http_sse}[self.era]
        return speak(request, fetch, message, whim)

    def _is_unknown_cursor(self, message: dict[str, Any]) -> bool:
        """Whether a list has become too short for a page that is asked for."""
        shape, cursor = self.shapes.get(message["method"]), message.get("params", {}).get("cursor", "0")
        return shape is not None and int(cursor) >= len(shape.scopes)

    def forget_sessions(self) -> None:
        """Lose every session, as by a restart."""
        self.known.clear()

    def _refuse(self, request: SendRequest, fetch: Fetch, status: int, body: dict[str, Any] | None = None) -> Reply:
        self.model.refuse(fetch, status, request)
        self.model.counts[f"answers {status}"] += 1
        headers = [("Set-Cookie", f"cookie-{fetch.number}")]
        if status == 401:
            headers.append(("WWW-Authenticate", f'Bearer realm="r", error="cookie-{fetch.number}"'))
        if body is None:
            is_denial = status == 403 or (status == 401 and request.attempt == 2)
            return Reply(fetch, status, headers, is_denial=is_denial)
        data = json.dumps({"jsonrpc": "2.0", "id": None, "error": body}).encode()
        return Reply(fetch, status, [*headers, ("Content-Type", "application/json")], deque([Piece(data)]))

    # The three ways to speak.

    def _modern(self, request: SendRequest, fetch: Fetch, message: dict[str, Any], whim: Whim) -> Reply:
        if (b"mcp-protocol-version", MODERN.encode()) not in request.headers:
            error = {"code": -32022, "message": "no", "data": {"supported": [MODERN]}}
            return self._refuse(request, fetch, 400 if request.method == "POST" else 405, error)
        return self._say(fetch, message, whim, self._result(fetch, message, is_modern=True))

    def _handshake(self, request: SendRequest, fetch: Fetch, message: dict[str, Any], whim: Whim) -> Reply:
        if request.method == "POST" and fetch.method == "initialize":
            reply = self._say(fetch, message, whim, _initialize_result(fetch, HANDSHAKE))
            if fetch.number % 8:  # Some servers have sessions without a name.
                session_id = f"sid-{fetch.number}"
                self.known.add(session_id)
                self.model.sessions[session_id] = fetch
                reply.headers.append(("Mcp-Session-Id", session_id))
            return reply
        session_id = next((v.decode() for name, v in request.headers if name == b"mcp-session-id"), None)
        is_modern = (b"mcp-protocol-version", MODERN.encode()) in request.headers
        if is_modern or request.method == "GET":
            return self._refuse(request, fetch, 400 if request.method == "POST" else 405)
        if session_id is not None and session_id not in self.known:
            return self._refuse(request, fetch, 404)
        if request.method == "DELETE":
            self.known.discard(session_id or "")
            return Reply(fetch, 204)
        return self._say(fetch, message, whim, self._result(fetch, message, is_modern=False))

    def _http_sse(self, request: SendRequest, fetch: Fetch, message: dict[str, Any], whim: Whim) -> Reply:
        if request.method == "GET":
            number = fetch.number
            where = Piece(b"event: endpoint\ndata: /messages?s=%d\n\n" % number)
            self.lines[number] = Line(fetch, deque())
            return Reply(fetch, 200, [("Content-Type", "text/event-stream")], deque([where]))
        if "?s=" not in request.url:
            return self._refuse(request, fetch, 405)
        line = self.lines.get(int(request.url.partition("?s=")[2].partition("&")[0]))
        if line is None:
            return self._refuse(request, fetch, 404)
        self.model.check(self.model.may_use(fetch.call, line.opening), "an event stream of another", fetch.call)
        if "id" in message and "method" in message:
            result = (
                _initialize_result(fetch, OLDEST)
                if fetch.method == "initialize"
                else self._result(fetch, message, is_modern=False)
            )
            line.pieces.extend(self._messages(fetch, message, whim, result))
            if whim is Whim.FORGE:
                self._forge_elsewhere(line, message["id"])
        return Reply(fetch, 202)

    def _forge_elsewhere(self, line: Line, request_id: int) -> None:
        """Answer a request on every stream of its client but the one that its answer belongs to."""
        for other in self.lines.values():
            if other is not line and other.opening.call.client == line.opening.call.client:
                other.pieces.append(Piece(_event(_progress(request_id, -1))))
                other.pieces.append(Piece(_event(_response(request_id, _FORGED))))

    # What is said.

    def _say(self, fetch: Fetch, message: dict[str, Any], whim: Whim, result: dict[str, Any]) -> Reply:
        """The answer to a message, as JSON or as an event stream."""
        cookie = ("Set-Cookie", f"cookie-{fetch.number}")
        if "id" not in message or "method" not in message:
            return Reply(fetch, 202, [cookie])
        if whim is Whim.WELL or whim not in KIND:
            (piece,) = self._messages(fetch, message, whim, result, is_event=False)
            assert isinstance(piece.data, bytes)
            half = len(piece.data) // 2 if fetch.number % 2 else 0
            cut = [Piece(piece.data[:half])] if half else []
            pieces = deque([*cut, Piece(piece.data[half:], answers=fetch)])
            return Reply(fetch, 200, [("Content-Type", "application/json"), cookie], pieces)
        events = deque(self._messages(fetch, message, whim, result))
        return Reply(fetch, 200, [("Content-Type", "text/event-stream"), cookie], events)

    def _messages(
        self, fetch: Fetch, message: dict[str, Any], whim: Whim, result: dict[str, Any], *, is_event: bool = True
    ) -> Iterator[Piece]:
        """The answer, and what else there is to say before it and after."""
        form = _event if is_event else _json
        if whim not in KIND:
            if self.era == "modern":
                fetch.owner = None  # In the other eras an unfinished result looks like any other.
            fetch.call.had_trouble = True
            yield Piece(b"data: garbage\n\n" if whim is Whim.GARBAGE else form(_trouble(message["id"], whim, result)))
            return
        if whim is Whim.CHANGE:
            kind = fetch.method.partition("/")[0]
            kind = kind if kind in _CHANGES else "tools"
            yield Piece(form(_notification(f"{kind}/list_changed")), _CHANGES[kind])
        elif whim is Whim.UPDATE:
            uri = "file:///a"
            yield Piece(form(_notification("resources/updated", uri=uri)), ("resources/read",), uri)
        elif whim is Whim.PING:
            for method in ("ping", "sampling/createMessage"):
                yield Piece(form({"jsonrpc": "2.0", "id": method, "method": method}))
        elif whim is Whim.PROGRESS:
            yield from (Piece(form(_progress(token, -1))) for token in self._others(message))
            yield Piece(form(_progress(message["id"], fetch.number)))
        elif whim is Whim.FORGE:
            yield from (Piece(form(_response(other, _FORGED))) for other in self._others(message))
        yield Piece(form(_response(message["id"], result)), answers=fetch)
        if whim is Whim.FORGE:
            yield Piece(form(_response(message["id"], _FORGED)))

    def _others(self, message: dict[str, Any]) -> list[int]:
        """Requests whose answer does not belong where this message's does."""
        if self.era == "sse":
            return []  # All requests of one identity are answered on its one stream.
        return [number for number in self._recent if number != message["id"]]

    def _result(self, fetch: Fetch, message: dict[str, Any], *, is_modern: bool) -> dict[str, Any]:
        """A result, and what the model has to know of it."""
        method, number, params = fetch.method, fetch.number, message.get("params", {})
        fetch.key = params.get("cursor") or params.get("uri")
        result: dict[str, Any] = {"resultType": "complete", "seen": number}
        if is_paged(method):
            self._fill_page(fetch, result, is_modern=is_modern)
            return result
        if method == "server/discover":
            result |= {"supportedVersions": [MODERN], "capabilities": {}, "instructions": f"seen-{number}"}
        elif method == "resources/read":
            result["contents"] = [{"uri": fetch.key, "text": f"seen-{number}"}]
        else:
            result["content"] = [{"type": "text", "text": f"seen-{number}"}]
        self._hint(fetch, result, self.shapes["resources/list"], 0, is_modern=is_modern)
        fetch.is_public = False  # Nothing but lists is ever shared.
        return result

    def _fill_page(self, fetch: Fetch, result: dict[str, Any], *, is_modern: bool) -> None:
        shape, page, number = self.shapes[fetch.method], int(fetch.key or 0), fetch.number
        item: dict[str, Any] = {"name": f"seen-{number}", "uri": "file:///a", "uriTemplate": "file:///{a}"}
        items = [item]
        if fetch.method == "tools/list":
            item["inputSchema"] = {"type": "object"}
            argument = {"type": "string", "x-mcp-header": f"Seen-{number}"}
            items.append({"name": "common", "inputSchema": {"properties": {"arg": argument}}})
        result[_ITEMS[fetch.method]] = items
        page = min(page, len(shape.scopes) - 1)
        if page + 1 < len(shape.scopes):
            fetch.following = result["nextCursor"] = str(page + 1)
        self._hint(fetch, result, shape, page, is_modern=is_modern)

    def _hint(self, fetch: Fetch, result: dict[str, Any], shape: Shape, page: int, *, is_modern: bool) -> None:
        """Say for how long and for whom a result may be kept; servers of the handshake era say so in vain."""
        scope, ttl = shape.scopes[page], shape.ttls[page]
        if scope is not None:
            result["cacheScope"] = scope
        if ttl is not None:
            result["ttlMs"] = ttl
        setup = self.model.setup
        fetch.is_public = is_modern and scope == "public"
        milliseconds = ttl if type(ttl) is int else 0
        fetch.ttl = max(0.0, min(milliseconds / 1000 if is_modern else setup.default_ttl, setup.limits.cache_age))


_FORGED: dict[str, Any] = {
    "resultType": "complete",
    "seen": -1,
    "tools": [{"name": "seen--1", "inputSchema": {}}],
    "content": [],
    "instructions": "seen--1",
    "supportedVersions": [MODERN],
    "protocolVersion": HANDSHAKE,
    "capabilities": {},
}


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def _event(message: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def _response(request_id: int, result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def _notification(name: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": f"notifications/{name}", "params": params}


def _progress(token: int, number: int) -> dict[str, Any]:
    return _notification("progress", progressToken=token, progress=1, message=f"seen-{number}")


def _trouble(request_id: int, whim: Whim, result: dict[str, Any]) -> dict[str, Any]:
    if whim is Whim.INCOMPLETE:
        return _response(request_id, result | {"resultType": "input_required"})
    code = -32602 if whim is Whim.CURSOR else -32000
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": "no"}}


def _initialize_result(fetch: Fetch, version: str) -> dict[str, Any]:
    return {
        "protocolVersion": version,
        "capabilities": {},
        "instructions": f"seen-{fetch.number}",
        "seen": fetch.number,
    }
