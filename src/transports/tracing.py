"""Tracing: what is told of each call, to whoever keeps spans.

A :class:`Tracing` surrounds each call and says, for each message, which trace it belongs to.  What it is told of a call
is a :class:`CallTrace`, which holds no secret: no header, no argument, no session's id and no principal.
:class:`transports.opentelemetry.OpenTelemetry` is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from attrs import define, field

from mcpcore import CallToolResult
from mcpcore.redaction import redact_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from mcpcore import Operation

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNSETTLED = {"open": "server/discover", "ping": "ping"}
"""Operations whose method shows only when it is known which era the server is of, and what it is until then."""


@define(eq=False)
class CallTrace:
    """What can be told of one call; more of it once the call has ended.

    :ivar method: the method that it is for.
    :ivar name: the tool, prompt or resource that it is about, or None; of a URI without what may be secret in it.
    :ivar server: the server's host and port, or None if it has none.
    :ivar protocol_version: the revision that was spoken, or None while nothing was sent.
    :ivar request_id: the id of the last request that was sent for it, or None.
    :ivar is_tool_error: whether it ended well, with the result of a tool that says that it failed.
    """

    method: str
    name: str | None
    server: tuple[str, int] | None
    protocol_version: str | None = field(default=None, init=False)
    request_id: int | str | None = field(default=None, init=False)
    is_tool_error: bool = field(default=False, init=False)

    @classmethod
    def of(cls, operation: Operation[Any], server: str) -> CallTrace:
        """What can be told of an operation before it begins.

        :param server: where it goes, by origin and path.
        """
        method = operation.name.partition(" ")[0]
        return cls(_UNSETTLED.get(method, method), redact_name(operation.target), _host_and_port(server))

    def note_end(self, operation: Operation[Any]) -> None:
        """Take note of what was sent, however it ended."""
        sent = operation.sent_request
        if sent is not None:
            if operation.name in _UNSETTLED:
                self.method = sent.method
            self.protocol_version = sent.protocol_version
            self.request_id = sent.id if sent.method == self.method else None

    def note_result(self, result: object) -> None:
        """Take note of what it brought."""
        self.is_tool_error = isinstance(result, CallToolResult) and result.is_error


class Tracing(Protocol):
    """Keeps track of calls."""

    def around(self, call: CallTrace) -> AbstractContextManager[object]:
        """What a call happens in; it is left, with the call's exception if it failed, once ``call`` tells all.

        Calls overlap, and each happens in the task that made it.
        """
        ...

    def context(self) -> Mapping[str, str] | None:
        """Which trace the current work belongs to; see :data:`mcpcore.TraceHook`."""
        ...


def _host_and_port(server: str) -> tuple[str, int] | None:
    parts = urlsplit(server)
    if parts.hostname is None:
        return None
    return parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]
