"""How much a server is to log.

In the handshake era a request says so, for the whole session (2025-11-25, "Logging", Setting Log Level).  In the modern
era each request says it for itself (2026-07-28, "Logging", Per-request Log Level); so it is remembered here, with
what else is held for a principal.  Without one it is remembered only where all calls are of one identity anyhow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpcore.errors import LocalProtocolError
from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call
    from mcpcore.types.logging import LogLevel


def set_log_level(call: Call, level: LogLevel) -> Flow[None]:
    """Have messages of ``level`` and above logged.

    :raises LocalProtocolError: if that is to be remembered for one identity, and it is not known for which.
    """
    verdict = yield from rpc.verdict(call)
    if not verdict.is_modern:
        yield from rpc.require(call, "logging")
        yield from rpc.request(call, "logging/setLevel", {"level": level})
    elif call.context.principal is not None:
        call.partition.log_level = level
    elif call.state.is_static and not call.state.opaque_identity:
        call.state.log_level = level
    else:
        raise LocalProtocolError("whose log level it is to be is not known; give the call's context a principal")
