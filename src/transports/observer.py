"""What an observer is told about a request: everything that is no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from mcpcore.redaction import redact_name, redact_url

if TYPE_CHECKING:
    from mcpcore import McpError, RequestKind, SendRequest


@frozen
class ExchangeSummary:
    """One outbound HTTP request and how it was answered, without any secret: it can be printed and logged.

    :ivar kind: what the request was for.
    :ivar http_method: ``POST``, ``GET`` or ``DELETE``.
    :ivar url: where it went, without its query.
    :ivar rpc_method: the JSON-RPC method in its body, or None.
    :ivar rpc_name: the tool, prompt or resource that it named, or None.
    :ivar principal: whose call it belonged to, or None.
    :ivar attempt: 2 after a 401 to this request, else 1.
    :ivar header_names: which headers it carried.
    :ivar status: the status of the answer, or None if there was none.
    :ivar error: why there was none, or None; with neither, the request was given up before an answer came.
    """

    kind: RequestKind
    http_method: str
    url: str
    rpc_method: str | None
    rpc_name: str | None
    principal: str | None
    attempt: int
    header_names: tuple[str, ...]
    status: int | None
    error: McpError | None

    @classmethod
    def of(cls, request: SendRequest, status: int | None, error: McpError | None) -> ExchangeSummary:
        """Summarise a request."""
        return cls(
            request.kind,
            request.method,
            redact_url(request.url),
            request.rpc_method,
            redact_name(request.rpc_name),
            request.principal,
            request.attempt,
            tuple(name.decode("ascii") for name, _ in request.headers),
            status,
            error,
        )
