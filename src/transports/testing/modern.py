"""The modern era (2026-07-28): every request stands alone.

What the body says, the headers say again, so that intermediaries can route without parsing; a server that
reads the body must refuse a request whose headers disagree with it.  Most of this file is that comparison,
because a client that gets it wrong works against a lenient server and fails against the next one.
(basic/transports/streamable-http, Request Metadata and Server Validation, 2026-07-28)
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

from .answers import Answer
from .call import Call, declares
from .conversation import Background
from .dispatch import Dispatcher
from .handlers import Handler
from .refusals import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Refusal
from .requests import ReceivedRequest, as_object
from .rounds import Rounds
from .subscriptions import Subscriptions
from .tasks import NEEDED, Task, Tasks

HEADER_MISMATCH = -32020
UNSUPPORTED_PROTOCOL_VERSION = -32022

REVISIONS = ("2026-07-28",)

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO = "io.modelcontextprotocol/serverInfo"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"

NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""The methods whose requests carry ``Mcp-Name``, and the parameter that it repeats."""

CACHEABLE = frozenset(
    ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read")
)
"""The methods whose results carry caching hints (server/utilities/caching, Cacheable Results, 2026-07-28)."""


@frozen
class ModernEra:
    """Answers requests that carry their own protocol version."""

    dispatcher: Dispatcher
    supported: tuple[str, ...]
    ttl_ms: int
    cache_scope: str
    subscriptions: Subscriptions
    tasks: Tasks
    _rounds: Rounds = field(factory=Rounds, init=False)

    async def answer(self, request: ReceivedRequest, background: Background | None) -> Answer:
        """Answer a POST to the MCP endpoint."""
        message = as_object(request.json)
        if "method" not in message:
            raise Refusal(400, INVALID_REQUEST, "The body is not a JSON-RPC request or notification")
        if "id" not in message:
            return Answer(202)
        self._check_version(request)
        _check_repeated(request, "mcp-method", request.rpc_method)
        if request.rpc_method == "subscriptions/listen" and request.rpc_method not in self.dispatcher.own:
            return self._listen(request)
        handler = self._handler(request)
        if parameter := NAMED_BY.get(request.rpc_method or ""):
            _check_repeated(request, "mcp-name", request.params.get(parameter))
        if request.rpc_method == "tools/call":
            self._check_parameters(request)
            if self.dispatcher.tools.find(request).task and declares(_declared(request), NEEDED):
                return self._begin_task(handler, request, background)
        return await self.dispatcher.answer(handler, request, self)

    def _check_version(self, request: ReceivedRequest) -> None:
        meta = as_object(request.params.get("_meta"))
        if "mcp-protocol-version" not in request.headers:
            versions = ", ".join(self.supported)
            raise Refusal(400, HEADER_MISMATCH, f"MCP-Protocol-Version is missing; this server speaks {versions}")
        if VERSION not in meta or CAPABILITIES not in meta:
            raise Refusal(400, INVALID_PARAMS, f"_meta needs {VERSION} and {CAPABILITIES}")
        _check_repeated(request, "mcp-protocol-version", meta[VERSION])
        if meta[VERSION] not in REVISIONS or meta[VERSION] not in self.supported:
            data = {"supported": list(self.supported), "requested": meta[VERSION]}
            raise Refusal(400, UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version", data)

    def _handler(self, request: ReceivedRequest) -> Handler:
        own: dict[str, Handler] = {"server/discover": self._discover}
        handler = {**own, **self.tasks.methods, **self.dispatcher.methods}.get(request.rpc_method or "")
        if handler is None:
            raise Refusal(404, METHOD_NOT_FOUND, f"Method not found: {request.rpc_method}")
        return handler

    def _check_parameters(self, request: ReceivedRequest) -> None:
        """Compare ``Mcp-Param-*`` with the arguments that they repeat (Custom Headers from Tool
        Parameters)."""
        tool = self.dispatcher.tools.find(request)
        for suffix, path in _mirrored(tool.input_schema):
            value: Any = request.params.get("arguments")
            for key in path:
                value = as_object(value).get(key)
            _check_repeated(request, f"mcp-param-{suffix.lower()}", value)

    def _discover(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        description = {**self.dispatcher.description, "capabilities": self._capabilities(request)}
        return {"supportedVersions": list(self.supported), **description}

    def _capabilities(self, request: ReceivedRequest) -> dict[str, Any]:
        """What the server declares to this caller."""
        with_tasks = any(tool.task for tool in self.dispatcher.tools.offers.visible(request))
        return {**self.dispatcher.capabilities, **(NEEDED if with_tasks else {})}

    def _listen(self, request: ReceivedRequest) -> Answer:
        if "taskIds" in as_object(request.params.get("notifications")):
            self.begin(request).require(NEEDED)
        return self.subscriptions.listen(request, self._capabilities(request))

    def _begin_task(self, handler: Handler, request: ReceivedRequest, background: Background | None) -> Answer:
        """Answer a tool call with a task."""
        task = self.tasks.create()
        result = self.finish(request, {"resultType": "task", **task.state})
        task.begin(self.dispatcher.converse(handler, request, _InTask(self, task)), background)
        return Answer.json({"jsonrpc": "2.0", "id": request.rpc_id, "result": result})

    def begin(self, request: ReceivedRequest) -> Call:
        """The call that a handler is given; it knows what earlier rounds have brought."""
        meta = as_object(request.params.get("_meta"))
        return Call(
            request=request,
            revision=meta[VERSION],
            capabilities=_declared(request),
            level=meta.get(LOG_LEVEL),
            ask=self._rounds.begin(request).ask,
        )

    def finish(self, request: ReceivedRequest, result: dict[str, Any]) -> dict[str, Any]:
        """The result with what every result of this era carries."""
        result = {"resultType": "complete", **result}
        if result["resultType"] == "input_required":
            self._rounds.note(request, result)
        if request.rpc_method in CACHEABLE and result["resultType"] == "complete":
            result = {"ttlMs": self.ttl_ms, "cacheScope": self.cache_scope, **result}
        meta = {SERVER_INFO: self.dispatcher.server_info, **as_object(result.get("_meta"))}
        return {**result, "_meta": meta}


@frozen
class _InTask:
    """How a tool speaks that works on a task: its questions are shown to whoever asks after the task, and the rest of
    what it says is lost."""

    era: ModernEra
    task: Task

    def begin(self, request: ReceivedRequest) -> Call:
        return Call(
            request=request, revision=REVISIONS[0], capabilities=_declared(request), level=None, ask=self.task.ask
        )

    def finish(self, request: ReceivedRequest, result: dict[str, Any]) -> dict[str, Any]:
        return self.era.finish(request, result)


def _declared(request: ReceivedRequest) -> dict[str, Any]:
    """The capabilities that the client declares with a request."""
    return as_object(as_object(request.params.get("_meta")).get(CAPABILITIES))


def _mirrored(schema: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ``x-mcp-header`` annotations of an input schema: each header's suffix, and the path of its
    argument."""
    for name, property_schema in as_object(schema.get("properties")).items():
        inner = as_object(property_schema)
        if "x-mcp-header" in inner:
            yield str(inner["x-mcp-header"]), (*path, name)
        yield from _mirrored(inner, (*path, name))


def _check_repeated(request: ReceivedRequest, header: str, value: object) -> None:
    """Refuse the request unless the one header field ``header`` says what the body says; absent goes with
    null."""
    found = request.headers.get_all(header)
    wanted = [] if value is None else [value]
    if len(found) != len(wanted) or not all(map(_says_the_same, found, wanted)):
        raise Refusal(400, HEADER_MISMATCH, f"Header mismatch: {header} differs from the body")


def _says_the_same(text: str, value: object) -> bool:
    text = _decoded(text)
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, int):
        try:
            return float(text) == value
        except ValueError:
            return False
    return text == value


def _decoded(text: str) -> str:
    """A header value with its base64 sentinel undone (Value Encoding)."""
    if not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    try:
        return base64.b64decode(text[len("=?base64?") : -len("?=")], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refusal(400, HEADER_MISMATCH, "Header mismatch: a value is not valid base64 of UTF-8") from error
