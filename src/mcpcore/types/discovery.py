"""What a server tells about itself (2026-07-28, "Discovery"; 2025-11-25, "Lifecycle", Initialization)."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_object, as_text
from mcpcore.types.capabilities import ServerCapabilities
from mcpcore.types.implementation import Implementation
from mcpcore.types.wire import optional


@frozen
class Discovery:
    """What a server told about itself, on behalf of one identity; each caller has one of its own.

    :ivar capabilities: what it offers.
    :ivar server_info: what it says that it is, for people to read, or None.
    :ivar instructions: how to use it, for a model to read, or None.
    """

    capabilities: ServerCapabilities = field(repr=False)
    server_info: Implementation | None
    instructions: str | None = field(repr=False)

    @classmethod
    def from_json(cls, result: dict[str, Any], server_info: object) -> Discovery:
        """Read the result of ``initialize`` or ``server/discover``; what has the wrong shape is missing."""
        return cls(
            ServerCapabilities.from_json(as_object(result.get("capabilities")) or {}),
            optional(server_info, Implementation.from_json),
            as_text(result.get("instructions")),
        )
