"""How much a server is to log.

In the handshake era a request says so, for the whole session (2025-11-25, "Logging", Setting Log Level).  In the modern
era each request says it for itself (2026-07-28, "Logging", Per-request Log Level); so the level is remembered here: for
a principal with what else is held for it and, without one, for all calls that have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.types.logging import LogLevel


def set_log_level(call: Call, level: LogLevel) -> Flow[None]:
    """Have messages of ``level`` and above logged."""
    verdict = yield from rpc.verdict(call)
    if not verdict.is_modern:
        yield from rpc.require(call, "logging")
        yield from rpc.request(call, "logging/setLevel", {"level": level})
    elif call.context.principal is None:
        call.state.log_level = level
    else:
        call.partition.log_level = level
