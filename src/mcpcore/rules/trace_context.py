"""Trace context: how a server's spans find the caller's.

A client may be given a *hook*, which is asked for each message and says which trace it belongs to.  What it says
travels twice: in the message's ``_meta``, where the protocol keeps three names for it (2026-07-28, "Overview",
OpenTelemetry trace context), and in header fields of the same names, for what stands between the two and reads no
bodies.  A request without a message of its own has the headers alone.

None of the three is a part of anybody's identity.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mcpcore.codecs.shapes import as_object
from mcpcore.errors import LocalProtocolError

TRACE_FIELDS = ("traceparent", "tracestate", "baggage")

TraceHook: TypeAlias = Callable[[], "Mapping[str, str] | None"]
"""Says which trace the current work belongs to, by the fields of W3C Trace Context and W3C Baggage; None for none."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TEXT = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")


def ask_trace(hook: TraceHook) -> dict[str, str]:
    """What the hook says now.

    :raises LocalProtocolError: if it raises, or says what cannot be sent.
    """
    try:
        said: dict[Any, Any] = dict(hook() or {})
    except Exception as error:
        raise LocalProtocolError(f"the trace hook raised {type(error).__name__}; nothing was sent") from error
    for name, value in said.items():
        if name not in TRACE_FIELDS:
            raise LocalProtocolError(f"the trace hook gives {str(name)[:40]!r}, which is none of {TRACE_FIELDS}")
        form = _TRACEPARENT if name == "traceparent" else _TEXT
        if not (isinstance(value, str) and form.fullmatch(value)):
            raise LocalProtocolError(f"the trace hook gives a {name} that is none")
    return said


def trace_in(params: Mapping[str, Any]) -> dict[str, str]:
    """The trace that a message says it belongs to."""
    meta = as_object(params.get("_meta")) or {}
    return {name: meta[name] for name in TRACE_FIELDS if isinstance(meta.get(name), str)}
