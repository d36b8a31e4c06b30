"""What a request says about itself: ``_meta`` in its body, ``Mcp-*`` in its header.

In the modern era every request carries its revision, its client and the client's capabilities (2026-07-28, "Overview",
``_meta``), and mirrors a few body fields into headers so that intermediaries can route without parsing ("Streamable
HTTP", Request Metadata).  A value that does not fit a header travels in the Base64 sentinel (Value Encoding).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from mcpcore.rules.revisions import Revision

PROTOCOL_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO_KEY = "io.modelcontextprotocol/clientInfo"
CLIENT_CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL_KEY = "io.modelcontextprotocol/logLevel"
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"
SUBSCRIPTION_ID_KEY = "io.modelcontextprotocol/subscriptionId"
PROGRESS_TOKEN_KEY = "progressToken"

_NAMED_BY: Mapping[str, str] = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}

_PLAIN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_SENTINEL = ("=?base64?", "?=")


def rpc_name(method: str, params: Mapping[str, Any]) -> str | None:
    """The tool, prompt or resource that a request names, or None."""
    field = _NAMED_BY.get(method)
    name = params.get(field) if field else None
    return name if isinstance(name, str) else None


def encode_header_value(text: str) -> bytes:
    """``text`` as a header value that any recipient decodes to the same text."""
    opening, closing = _SENTINEL
    if _PLAIN.fullmatch(text) and not (text.startswith(opening) and text.endswith(closing)):
        return text.encode("ascii")
    return f"{opening}{b64encode(text.encode()).decode('ascii')}{closing}".encode("ascii")


@frozen
class RequestMeta:
    """What every modern request of one client carries in ``_meta``.

    :ivar fields: that, by name.
    :ivar text: the same as JSON, written once for them all.
    """

    fields: Mapping[str, Any]
    text: bytes = field(repr=False)


def request_meta(revision: Revision, client_info: Mapping[str, Any], capabilities: Mapping[str, Any]) -> RequestMeta:
    """What every modern request of one client carries in ``_meta``.

    :raises LocalProtocolError: if it cannot be written as JSON.
    """
    fields = {
        PROTOCOL_VERSION_KEY: revision.name,
        CLIENT_INFO_KEY: client_info,
        CLIENT_CAPABILITIES_KEY: capabilities,
    }
    return RequestMeta(fields, jsonrpc.write(fields, "_meta"))


def with_meta(params: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` with ``meta`` laid over their own ``_meta``.

    :raises LocalProtocolError: if they have a ``_meta`` that is not an object.
    """
    if "_meta" not in params:
        return {**params, "_meta": meta} if meta else dict(params)
    own = params["_meta"]
    if not isinstance(own, Mapping):
        raise LocalProtocolError("_meta, among the parameters, is not an object")
    return {**params, "_meta": {**own, **meta}} if meta else dict(params)


@lru_cache(maxsize=64)
def standard_headers(revision: str, method: str) -> tuple[tuple[bytes, bytes], ...]:
    """The standard request headers that every modern request of one method has.

    :param revision: its name.
    :raises LocalProtocolError: if the method's name does not fit its header, for which there is no encoding.
    """
    if not _PLAIN.fullmatch(method):
        raise LocalProtocolError("the name of the method cannot be sent as a header")
    return (b"mcp-protocol-version", revision.encode("ascii")), (b"mcp-method", method.encode("ascii"))
