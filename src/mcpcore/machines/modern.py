"""The modern era: every request stands alone, and says in its ``_meta`` all that the server needs to know.

There is no session.  A server that speaks other revisions says which, and the request is made once more in one that
both sides speak (2026-07-28, "Versioning and Compatibility", Protocol Version Negotiation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.jsonrpc import ErrorResponse, Request, Response
from mcpcore.codecs.shapes import as_object, as_texts
from mcpcore.context import RequestKind
from mcpcore.machines.outbound import POST_HEADERS, Outbound, resolve
from mcpcore.machines.requests import send
from mcpcore.rules.metadata import (
    LOG_LEVEL_KEY,
    PROGRESS_TOKEN_KEY,
    SERVER_INFO_KEY,
    encode_header_value,
    rpc_name,
    standard_headers,
    with_meta,
)
from mcpcore.rules.parameter_headers import mirrored_arguments
from mcpcore.rules.revisions import MODERN, Era, Revision, newest
from mcpcore.rules.trace_context import trace_in
from mcpcore.types.discovery import Discovery

if TYPE_CHECKING:
    from collections.abc import Collection

    from mcpcore.commands import Flow
    from mcpcore.machines.exchange import Exchange
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.state.call import Call

HEADER_MISMATCH = -32020
MISSING_CLIENT_CAPABILITY = -32021
UNSUPPORTED_PROTOCOL_VERSION = -32022
MODERN_ERRORS = frozenset({HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_PROTOCOL_VERSION})
"""The errors that only a modern server gives."""

DISCOVER = "server/discover"


def modern_request(
    call: Call, revision: Revision, method: str, params: dict[str, Any], kind: RequestKind = RequestKind.REQUEST
) -> Outbound:
    """One request of the modern era (2026-07-28, "Streamable HTTP", Sending Messages and Request Metadata)."""
    state = call.state
    request_id = state.next_id()
    common = state.request_meta(revision)
    own = _own_meta(call, request_id, kind)
    if params and not own and "_meta" not in params:
        body, trace = jsonrpc.encode_with_meta(request_id, method, params, common.text), {}
    else:
        said = with_meta(params, {**common.fields, **own})
        body, trace = jsonrpc.encode(Request(request_id, method, said)), trace_in(said)
    name = rpc_name(method, params)  # after the body, which says best what is wrong with a text that is none
    headers = (*POST_HEADERS, *standard_headers(revision.name, method))
    if (routed_by := name or state.routing_name(method, params)) is not None:
        headers = (*headers, (b"mcp-name", encode_header_value(routed_by)))
    return Outbound(
        kind=kind,
        url=state.endpoint.url,
        headers=headers,
        body=body,
        rpc_method=method,
        rpc_name=name,
        request_id=request_id,
        revision=revision,
        is_stream=kind is RequestKind.LISTEN,
        trace=None if state.trace_hook is None else trace,
    )


def _own_meta(call: Call, request_id: int, kind: RequestKind) -> dict[str, Any]:
    """What one request says in ``_meta`` that not all do."""
    state = call.state
    meta: dict[str, Any] = {}
    if kind is RequestKind.REQUEST:
        if call.on_progress is not None:
            meta[PROGRESS_TOKEN_KEY] = request_id
        if state.handlers.log is not None and (log_level := call.log_level) is not None:
            meta[LOG_LEVEL_KEY] = log_level
    if state.trace_hook is not None:
        meta.update(state.trace())
    return meta


def discover_request(call: Call, revision: Revision) -> Outbound:
    """The request that tells which revisions a server speaks (2026-07-28, "Discovery")."""
    return modern_request(call, revision, DISCOVER, {}, RequestKind.DISCOVER)


def send_modern(
    call: Call, asked: Outbound, params: dict[str, Any], resolution: Resolution | None = None
) -> Flow[Exchange]:
    """Make one request; if the server wants another revision that we speak, once more in that one."""
    exchange = yield from send_once(call, asked, params, resolution)
    if isinstance(exchange.answer, ErrorResponse):
        return (yield from send_as_wanted(call, asked, params, exchange))
    return exchange


def send_as_wanted(call: Call, asked: Outbound, params: dict[str, Any], refused: Exchange) -> Flow[Exchange]:
    """Make a request once more if it was refused for its revision, and the server wants one that we speak."""
    wanted = newest(Era.MODERN, supported_versions(refused.answer))
    if wanted is None:
        return refused
    assert asked.rpc_method is not None
    return (yield from send_once(call, modern_request(call, wanted, asked.rpc_method, params, asked.kind), params))


def send_once(
    call: Call, outbound: Outbound, params: dict[str, Any], resolution: Resolution | None = None
) -> Flow[Exchange]:
    """Make one request, with the arguments that its tool wants mirrored into headers."""
    if outbound.rpc_method != "tools/call" or outbound.rpc_name is None:
        return send(call, outbound, resolution)
    if not call.is_settled:
        return _settle_and_send(call, outbound, outbound.rpc_name, params)
    return send(call, _with_arguments(call, outbound, outbound.rpc_name, params))


def _settle_and_send(call: Call, outbound: Outbound, tool: str, params: dict[str, Any]) -> Flow[Exchange]:
    # Which definition of the tool this identity was shown is known as soon as it is known whose call this is.
    resolution = yield from resolve(call, outbound)
    return (yield from send(call, _with_arguments(call, outbound, tool, params), resolution))


def _with_arguments(call: Call, outbound: Outbound, tool: str, params: dict[str, Any]) -> Outbound:
    annotations = call.mirrored(tool)
    if not annotations:
        return outbound
    headers = mirrored_arguments(annotations, as_object(params.get("arguments")) or {})
    return evolve(outbound, headers=(*outbound.headers, *headers))


def supported_versions(answer: Response | ErrorResponse | None) -> Collection[str]:
    """The revisions that an answer names: a discovery's, or an unsupported-version error's.  Empty if it is neither."""
    match answer:
        case Response(result=result):
            return as_texts(result.get("supportedVersions"))
        case ErrorResponse(code=code, data={"supported": versions}) if code == UNSUPPORTED_PROTOCOL_VERSION:
            return as_texts(versions)
        case _:
            return ()


def proven_revision(answer: Response | ErrorResponse | None) -> Revision | None:
    """The modern revision to speak with a server that answered a probe so; None if that is no proof that it is modern.

    (2026-07-28, "Versioning and Compatibility", Backward Compatibility with Initialization-Based Versions.)
    """
    versions = supported_versions(answer)
    is_modern_error = isinstance(answer, ErrorResponse) and answer.code in MODERN_ERRORS
    return newest(Era.MODERN, versions) or (MODERN if is_modern_error and not versions else None)


def read_discovery(result: dict[str, Any]) -> Discovery:
    """Read the result of ``server/discover``."""
    meta = as_object(result.get("_meta")) or {}
    return Discovery.from_json(result, meta.get(SERVER_INFO_KEY))
