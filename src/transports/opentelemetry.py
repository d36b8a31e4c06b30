"""Tracing by OpenTelemetry (extra ``opentelemetry``): one span for each call, and its context in each message.

Spans are named, and described, as OpenTelemetry's semantic conventions for MCP say, with what these would have of
secrets left out: no session's id, no argument, no result, and of an error nothing but its type, because a server's own
words may repeat what it was sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, final

from mcpcore import ConfigurationError, DeadlineExceeded, HttpStatusError, RpcError
from mcpcore.rules.trace_context import TRACE_FIELDS

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.trace import Span, TracerProvider

    from .tracing import CallTrace

_NAMED = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}


@final
class OpenTelemetry:
    """A :class:`~transports.tracing.Tracing` for ``connect(tracing=…)`` that makes spans.

    :param tracer_provider: makes them; None for the global one.
    :raises mcpcore.ConfigurationError: if OpenTelemetry is not installed.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as missing:
            raise ConfigurationError(
                "tracing needs the package opentelemetry-api; install mcpcore with its extra 'opentelemetry'"
            ) from missing
        self._tracer = trace.get_tracer("mcpcore", tracer_provider=tracer_provider)
        self._kind = trace.SpanKind.CLIENT
        self._failed = trace.StatusCode.ERROR
        self._inject = propagate.inject

    @contextmanager
    def around(self, call: CallTrace) -> Generator[None]:
        """A span around one call."""
        with self._tracer.start_as_current_span(
            _span_name(call),
            kind=self._kind,
            attributes=_known_at_first(call),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            error: BaseException | None = None
            try:
                yield
            except BaseException as exception:
                error = exception
                raise
            finally:
                self._describe(span, call, error)

    def context(self) -> Mapping[str, str] | None:
        """What the global propagator says of the current span and baggage, as far as the protocol has names for it."""
        carrier: dict[str, str] = {}
        self._inject(carrier)
        return {name: value for name, value in carrier.items() if name in TRACE_FIELDS and value}

    def _describe(self, span: Span, call: CallTrace, error: BaseException | None) -> None:
        span.update_name(_span_name(call))
        span.set_attribute("mcp.method.name", call.method)
        if call.protocol_version is not None:
            span.set_attribute("mcp.protocol.version", call.protocol_version)
        if call.request_id is not None:
            span.set_attribute("jsonrpc.request.id", str(call.request_id))
        if isinstance(error, RpcError):
            span.set_attribute("rpc.response.status_code", str(error.code))
        failure = "tool_error" if call.is_tool_error else _failure(error)
        if failure is not None:
            span.set_attribute("error.type", failure)
            span.set_status(self._failed)


def _span_name(call: CallTrace) -> str:
    return f"{call.method} {call.name}" if call.name and call.method in _NAMED else call.method


def _known_at_first(call: CallTrace) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {"mcp.method.name": call.method}
    if call.server is not None:
        attributes |= {"server.address": call.server[0], "server.port": call.server[1]}
        attributes |= {"network.transport": "tcp", "network.protocol.name": "http"}
    if call.method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    if call.name is not None:
        attributes[_NAMED.get(call.method, "mcp.resource.uri")] = call.name
    return attributes


def _failure(error: BaseException | None) -> str | None:
    """The kind of an error, in a few words that never hold a secret."""
    match error:
        case None:
            return None
        case RpcError():
            return str(error.code)
        case HttpStatusError():
            return str(error.status)
        case DeadlineExceeded():
            return "timeout"
        case Exception():
            return f"{type(error).__module__}.{type(error).__qualname__}"
        case _:
            return "cancelled"
