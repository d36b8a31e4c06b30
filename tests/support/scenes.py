"""Servers for tests of the pure half: one function an era, and a way to make a client send each kind of request."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import pytest
from attrs import define, field

from mcpcore import CallContext, Client, RequestContext, RequestKind, SendRequest
from support.pure import Answer, PureDriver, Reply, headers_of, json_reply, message_of, result_reply, sse_reply

URL = "https://mcp.example/mcp"
ALICE = CallContext(principal="acme/alice", request_headers={"X-User": "alice"})
BOB = CallContext(principal="acme/bob", request_headers={"X-User": "bob"})

TOOL = {"name": "search", "inputSchema": {"type": "object"}}
RESULTS: dict[str, dict[str, Any]] = {
    "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {}},
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}},
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "found"}]},
}
PING = {"jsonrpc": "2.0", "id": "ping-1", "method": "ping"}


def no_other(_: SendRequest) -> Answer | None:
    return None


def answer_to(request: SendRequest) -> dict[str, Any]:
    """The JSON-RPC response that belongs to a request."""
    return {"jsonrpc": "2.0", "id": message_of(request)["id"], "result": RESULTS.get(request.rpc_method or "", {})}


@define
class PureServer:
    """A server that speaks one ``era``: "modern", "handshake" or "sse".

    :ivar instead: is asked first, and answers in the server's place unless it returns None.
    :ivar driver: what to run operations with.
    """

    era: str
    instead: Callable[[SendRequest], Answer | None] = no_other
    sessions: int = 0
    driver: PureDriver = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.driver = PureDriver(self.answer)

    @property
    def sent(self) -> list[SendRequest]:
        return self.driver.sent

    def of_kind(self, kind: RequestKind) -> list[SendRequest]:
        return [request for request in self.sent if request.kind is kind]

    def answer(self, request: SendRequest) -> Answer:
        other = self.instead(request)
        if other is not None:
            return other
        return {"modern": self.modern, "handshake": self.handshake, "sse": self.http_sse}[self.era](request)

    def modern(self, request: SendRequest) -> Answer:
        return result_reply(request, RESULTS.get(request.rpc_method or "", {}))

    def handshake(self, request: SendRequest) -> Answer:
        if request.method == "DELETE":
            return Reply(204)
        if request.kind in (RequestKind.NOTIFICATION, RequestKind.RESPONSE):
            return Reply(202)
        if request.kind is RequestKind.DISCOVER:
            return Reply(400)
        if request.kind is RequestKind.INITIALIZE:
            self.sessions += 1
            return result_reply(request, RESULTS["initialize"], mcp_session_id=f"session-{self.sessions}")
        if request.rpc_name == "pinged":
            return sse_reply(PING, answer_to(request))
        return json_reply(answer_to(request))

    def http_sse(self, request: SendRequest) -> Answer:
        if request.kind is RequestKind.LISTEN:
            return Reply(200, {"content-type": "text/event-stream"}, [b"event: endpoint\ndata: /messages?s=1\n\n"])
        if request.kind in (RequestKind.INITIALIZE, RequestKind.REQUEST):
            result = answer_to(request)
            if request.kind is RequestKind.INITIALIZE:
                result["result"] = {**result["result"], "protocolVersion": "2024-11-05"}
            self.driver.streams[-1].receive_data(b"data: " + json.dumps(result).encode() + b"\n\n")
        return Reply(202)


@define(frozen=True)
class Scene:
    """How to make a client send one kind of request."""

    kind: RequestKind
    era: str
    options: dict[str, Any]
    act: Callable[[Client, PureServer, CallContext], object]


def _list(client: Client, server: PureServer, context: CallContext) -> object:
    return server.driver.run(client.list_tools(context=context))


def _call(client: Client, server: PureServer, context: CallContext) -> object:
    return server.driver.run(client.call_tool("search", {"q": "x"}, context=context))


def _call_pinged(client: Client, server: PureServer, context: CallContext) -> object:
    return server.driver.run(client.call_tool("pinged", context=context))


def _notify(client: Client, server: PureServer, context: CallContext) -> object:
    return server.driver.run(client.notify("notifications/roots/list_changed", context=context))


def _open(client: Client, server: PureServer, context: CallContext) -> object:
    return server.driver.run(client.open(context=context))


def _open_and_close(client: Client, server: PureServer, context: CallContext) -> object:
    server.driver.run(client.open(context=context))
    return [server.driver.run(goodbye) for goodbye in client.close()]


MODERN = {"protocol_version": "2026-07-28"}
HANDSHAKE = {"protocol_version": "2025-11-25"}
SSE = {"type": "sse"}

SCENES = {
    "discover": Scene(RequestKind.DISCOVER, "modern", {}, _open),
    "initialize": Scene(RequestKind.INITIALIZE, "handshake", HANDSHAKE, _open),
    "initialize on HTTP+SSE": Scene(RequestKind.INITIALIZE, "sse", SSE, _open),
    "notification": Scene(RequestKind.NOTIFICATION, "handshake", HANDSHAKE, _notify),
    "list, modern": Scene(RequestKind.REQUEST, "modern", MODERN, _list),
    "list, handshake": Scene(RequestKind.REQUEST, "handshake", HANDSHAKE, _list),
    "list, HTTP+SSE": Scene(RequestKind.REQUEST, "sse", SSE, _list),
    "call, modern": Scene(RequestKind.REQUEST, "modern", MODERN, _call),
    "call, handshake": Scene(RequestKind.REQUEST, "handshake", HANDSHAKE, _call),
    "response": Scene(RequestKind.RESPONSE, "handshake", HANDSHAKE, _call_pinged),
    "listen": Scene(RequestKind.LISTEN, "sse", SSE, _open),
    "terminate": Scene(RequestKind.TERMINATE, "handshake", HANDSHAKE, _open_and_close),
}
"""Every kind of request."""
QUIET = frozenset({"response", "terminate"})
"""Where a failure is logged, because the call that it happens in goes on without."""


def play(
    name: str,
    instead: Callable[[SendRequest], Answer | None] = no_other,
    *,
    url: str = URL,
    context: CallContext = ALICE,
    server: PureServer | None = None,
    **options: Any,
) -> PureServer:
    """Make a client with ``options`` send the kind of request that ``name`` says; return the server that met it."""
    scene = SCENES[name]
    server = server or PureServer(scene.era, instead)
    scene.act(Client(url, **{**scene.options, **options}), server, context)
    return server


each_kind = pytest.mark.parametrize("scene", SCENES)
each_loud_kind = pytest.mark.parametrize("scene", [name for name in SCENES if name not in QUIET])
each_quiet_kind = pytest.mark.parametrize("scene", sorted(QUIET))


class Recorder:
    """A resolver that gives the headers it was made with, and remembers what it was told."""

    def __init__(self, headers: Any = None) -> None:
        self.headers = headers
        self.seen: list[RequestContext] = []

    def __call__(self, context: RequestContext) -> Any:
        self.seen.append(context)
        return self.headers(context) if callable(self.headers) else self.headers

    def of_kind(self, kind: RequestKind) -> list[RequestContext]:
        return [context for context in self.seen if context.kind is kind]


def send_once(url: str = URL, *, context: CallContext = ALICE, **options: Any) -> dict[str, str]:
    """The headers of one modern request, by lower-cased name."""
    server = play("list, modern", url=url, context=context, **options)
    (request,) = server.sent
    return headers_of(request)


def refuse_first(kind: RequestKind, answer: Answer, times: int = 1) -> Any:
    """A server's whim: the first ``times`` requests of a kind get ``answer``."""
    left = [times]

    def instead(request: SendRequest) -> Answer | None:
        if request.kind is not kind or not left[0]:
            return None
        left[0] -= 1
        return answer

    return instead


def fail(error: BaseException) -> Any:
    def resolver(context: RequestContext) -> Mapping[str, str]:
        raise error

    return resolver


CHALLENGE = Reply(401, {"www-authenticate": 'Basic realm="b", Bearer realm="r", scope="s"'})


def by_attempt(context: RequestContext) -> dict[str, str]:
    return {"Authorization": f"Bearer attempt-{context.attempt}"}


def redirect(location: str | None, status: int = 307) -> Reply:
    return Reply(status, {} if location is None else {"location": location})


def reachable(root: object) -> Iterator[object]:
    """Everything that an object holds, but for code and modules."""
    seen, todo = {id(root)}, [root]
    while todo:
        yield (item := todo.pop())
        for child in gc.get_referents(item):
            if id(child) not in seen and not isinstance(child, ModuleType | FunctionType | type):
                seen.add(id(child))
                todo.append(child)
