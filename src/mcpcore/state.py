"""What one client holds: its configuration, which never changes, and what it has learned about its server.

Everything learned on behalf of an identity is in that identity's partition.  What is left to share between identities
is the *verdict* (how the server is to be spoken to) and the counter of request ids.
"""

from __future__ import annotations

from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from mcpcore.flights import Runway
from mcpcore.places import Places
from mcpcore.revisions import Era, Revision

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mcpcore.endpoint import Endpoint
    from mcpcore.limits import Limits
    from mcpcore.partitions import Partitions
    from mcpcore.pipeline import HeaderPipeline


class Transport(Enum):
    """Which HTTP transports a client tries."""

    HTTP = "http"
    """Streamable HTTP, modern era first, then the handshake era."""
    SSE = "sse"
    """HTTP+SSE of 2024-11-05 alone."""
    AUTO = "auto"
    """Streamable HTTP, then HTTP+SSE."""


class Redirects(Enum):
    """Which redirects are followed."""

    NEVER = "never"
    SAME_ORIGIN = "same-origin"
    """307 and 308 to the endpoint's own origin."""


@frozen
class Verdict:
    """How the server is to be spoken to.

    :ivar revision: the revision, in the modern era; in the handshake era what was negotiated last, by anybody.
    :ivar http_sse: whether over HTTP+SSE instead of Streamable HTTP.
    """

    revision: Revision
    http_sse: bool = False

    @property
    def is_modern(self) -> bool:
        """Whether there is no handshake."""
        return self.revision.era is Era.MODERN


@define(kw_only=True, eq=False)
class ClientState:
    """What one client holds."""

    endpoint: Endpoint
    transport: Transport
    pipeline: HeaderPipeline = field(repr=False)
    limits: Limits = field(repr=False)
    redirects: Redirects
    client_info: Mapping[str, Any]
    capabilities: Mapping[str, Any]
    pinned: Revision | None
    opaque_identity: bool
    partitions: Partitions = field(repr=False)
    stream_places: Places = field(repr=False)
    verdict: Verdict | None = None
    probing: Runway = field(factory=Runway, repr=False)
    _ids: Iterator[int] = field(factory=lambda: count(1), init=False, repr=False)

    def next_id(self) -> int:
        """A request id that this client has not used before."""
        return next(self._ids)
