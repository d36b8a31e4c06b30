"""On whose behalf calls are made, what they ask for, and how the client that makes them is set up.

Every caller brings credentials of its own kind: a new token for each request, the same one every time, or now its own
and now those of another.  Everything secret in this world has a text that the search in :mod:`.held` knows: ``tok-``
begins a credential, ``hdr-`` a header of the caller's own request, ``cookie-`` a cookie, ``sid-`` a session id.
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from mcpcore import Limits

MODERN, HANDSHAKE, OLDEST = "2026-07-28", "2025-11-25", "2024-11-05"


@frozen
class Caller:
    """Somebody who makes calls.

    :ivar principal: the name that the caller is authenticated by, or None.
    :ivar credentials: "rotating", "fixed" or "switching".
    :ivar alias: whose credentials a switching caller has at times.
    """

    name: str
    principal: str | None = None
    credentials: str = "rotating"
    alias: str | None = None

    def authorization(self, number: int) -> str:
        """The ``Authorization`` of the request that is the world's ``number``-th."""
        if self.credentials == "rotating":
            return f"Bearer tok-{number}-{self.name}"
        name = self.alias if self.alias is not None and number % 3 == 0 else self.name
        return f"Bearer tok-fixed-{name}"


CALLERS = (
    Caller("alice", "acme/alice"),
    Caller("bob", "acme/bob"),
    Caller("carol", "acme/carol"),
    Caller("dave", "acme/dave"),
    Caller("erin", "acme/erin", credentials="fixed"),
    Caller("frank", credentials="fixed"),
    Caller("grace", credentials="fixed"),
    Caller("heidi", credentials="fixed"),
    Caller("ivan"),
    Caller("judy", credentials="switching", alias="frank"),
)
BY_PRINCIPAL = {caller.principal: caller for caller in CALLERS if caller.principal}


@frozen
class Ask:
    """What a call asks for.

    :ivar operation: the client's method that is called.
    :ivar method: the JSON-RPC method whose result it returns, or "" for none.
    :ivar params: the parameters, of an ask by ``request``.
    """

    operation: str
    method: str = ""
    params: dict[str, Any] = field(factory=dict[str, Any])

    @property
    def key(self) -> str | None:
        """What tells its answers from others to the same method: a cursor, or a URI."""
        return self.params.get("cursor") or self.params.get("uri")


PAGED = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
CACHEABLE = (*PAGED, "resources/read", "server/discover")
ASKS = (
    Ask("list_tools", "tools/list"),
    Ask("request", "tools/list"),
    Ask("call_tool", "tools/call"),
    Ask("request", "tools/list", {"cursor": "1"}),
    Ask("request", "resources/read", {"uri": "file:///a"}),
    Ask("request", "resources/read", {"uri": "file:///b"}),
    Ask("request", "prompts/list"),
    Ask("request", "resources/list"),
    Ask("request", "resources/templates/list"),
    Ask("open", "server/discover"),
    Ask("ping"),
    Ask("notify"),
)
CACHE_MODES = ("use", "refresh", "bypass")

_TTLS: tuple[Any, ...] = (60_000_000, 5_000, 500, 0, None, -1, "soon", True)
_SCOPES: tuple[tuple[Any, ...], ...] = (
    ("private",),
    ("public",),
    ("public", "public"),
    ("public", "private"),
    ("private", "public"),
    ("public", None, "public"),
    ("public", "public", "public"),
    ("Public", 1),
)


@frozen
class Shape:
    """How a list looks at the moment: for each page its ``cacheScope`` and its ``ttlMs``; None leaves it out."""

    scopes: tuple[Any, ...]
    ttls: tuple[Any, ...]

    @classmethod
    def numbered(cls, number: int) -> Shape:
        """Any of all shapes; small numbers are the simple ones."""
        scopes, ttl = _SCOPES[number % len(_SCOPES)], number // len(_SCOPES)
        # Of several pages, some keep longer than others.
        return cls(scopes, tuple(_TTLS[(ttl + (page if ttl % 2 else 0)) % len(_TTLS)] for page in range(len(scopes))))


SHAPES = len(_SCOPES) * len(_TTLS)
SHAPES_TO_KEEP = len(_SCOPES)
"""How many of them, the first ones, may be kept for long."""

SMALL = Limits(
    partitions=3,
    anonymous_partitions=2,
    cache_entries=5,
    cache_bytes=4_000,
    anonymous_cache_entries=3,
    anonymous_cache_bytes=2_500,
    retired_sessions=3,
    streams=2,
    pending_requests=2,
    mirrored_bytes=500,
    mailbox_messages=20,
    idle_partition=100.0,
    cache_age=1_000.0,
)
"""Everything is bounded so tightly that something has to go all the time."""
ROOMY = Limits(cache_age=1_000.0, idle_partition=100.0)


@frozen(kw_only=True)
class Setup:
    """One world: how its server speaks, and how the clients are made.

    :ivar era: what the server speaks: "modern", "handshake" or "sse".
    :ivar pinned: whether the clients are told so.
    :ivar changing: whether the server may come to speak another era.
    :ivar small: whether there is room for so little that something has to go all the time.
    :ivar clock: whether the clients have one.
    :ivar opaque: whether requests may carry an identity that is not seen.
    :ivar store: whether two clients share a store.
    :ivar foreign: whether the second client is of another configuration, so that nothing may be shared.
    """

    era: str = "modern"
    pinned: bool = False
    changing: bool = False
    small: bool = True
    clock: bool = True
    default_ttl: float = 0.0
    share_public: bool = False
    opaque: bool = False
    store: bool = False
    foreign: bool = False

    @property
    def limits(self) -> Limits:
        """The bounds of each client."""
        return SMALL if self.small else ROOMY

    def options(self, number: int) -> dict[str, Any]:
        """What client ``number`` is made with."""
        options: dict[str, Any] = {
            "type": "sse" if self.era == "sse" and self.pinned else "auto" if self.era == "sse" else "http",
            "digest_key": b"one key for all clients",
            "limits": self.limits,
            "redirects": "same-origin",
            "forward": ("tracestate",),
            "opaque_identity": self.opaque,
            "share_public": self.share_public,
            "default_ttl": self.default_ttl,
            "shared_store": self.store,
            "headers": {"X-Project": f"project-{number if self.foreign else 0}"},
        }
        if self.pinned and self.era != "sse":
            options["protocol_version"] = MODERN if self.era == "modern" else HANDSHAKE
        return options
