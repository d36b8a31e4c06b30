"""What may be kept of an answer, for how long, and what puts an end to it (2026-07-28, "Caching").

A cached answer is found by its method and its parameters; whose it is, is not decided here.  Whatever may make an
answer depend on more than those two (an answer to a question of the server's, metadata of the caller's own) keeps it
from being cached at all.  A missing or malformed hint is read as the careful one: stale at once, and private.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.shapes import as_text, is_array, is_integer
from mcpcore.errors import LocalProtocolError
from mcpcore.redaction import repr_of_name

if TYPE_CHECKING:
    from mcpcore.codecs.jsonrpc import Notification
    from mcpcore.rules.revisions import Revision

CacheKey: TypeAlias = tuple[str, bytes]
"""A method, and its parameters as canonical JSON."""

READ = "resources/read"
CACHEABLE = {
    "server/discover": "supportedVersions",
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    READ: "contents",
}
"""The methods whose results may be cached (2026-07-28, "Caching", Cacheable Results), and the list that each is."""

_MORE_THAN_THE_KEY = frozenset({"_meta", "inputResponses", "requestState"})
_CHANGED_LISTS = {
    "notifications/tools/list_changed": frozenset({"tools/list"}),
    "notifications/prompts/list_changed": frozenset({"prompts/list"}),
    "notifications/resources/list_changed": frozenset({"resources/list", "resources/templates/list"}),
}
_RESOURCE_UPDATED = "notifications/resources/updated"


class CacheMode(Enum):
    """What one call has to do with the cache."""

    USE = "use"
    """Take a fresh answer if there is one, and keep the one that is fetched."""
    REFRESH = "refresh"
    """Fetch, and keep what is fetched."""
    BYPASS = "bypass"
    """Fetch, and leave what is kept alone."""


def cache_key(method: str, params: dict[str, Any]) -> CacheKey | None:
    """What an answer is kept under, or None if it must not be kept."""
    if method not in CACHEABLE or not _MORE_THAN_THE_KEY.isdisjoint(params):
        return None
    try:
        return method, jsonrpc.dump(params, is_canonical=True)
    except LocalProtocolError:
        return None  # It cannot be sent either, and sending it says why.


def bare_key(method: str) -> CacheKey:
    """What the answer to a request without parameters is kept under, as is a list as a whole."""
    return method, b"{}"


def is_sound(method: str, result: dict[str, Any]) -> bool:
    """Whether ``result`` is what ``method`` is for; what is not is a failure, and never kept."""
    return is_array(result.get(CACHEABLE[method]))


def lifetime(result: dict[str, Any], revision: Revision, default: float, longest: float) -> float:
    """How many seconds ``result`` is fresh.

    :param default: that of a revision without hints.
    :param longest: no answer is kept for longer.
    """
    if not revision.cache_hints:
        return min(default, longest)
    milliseconds = result.get("ttlMs")
    return min(_seconds(milliseconds), longest) if is_integer(milliseconds) else 0.0


def _seconds(milliseconds: int) -> float:
    # Some integers are too large to be divided.
    return min(max(milliseconds, 0), 2**53) / 1000


def is_public(result: dict[str, Any], revision: Revision) -> bool:
    """Whether the server says that ``result`` is the same for everybody."""
    return revision.cache_hints and result.get("cacheScope") == "public"


@frozen
class Change:
    """What a server says has changed.

    :ivar methods: whose answers are stale.
    :ivar uri: of which resource, or None for all.
    """

    methods: frozenset[str]
    uri: str | None = field(default=None, repr=repr_of_name)

    @classmethod
    def from_notification(cls, notification: Notification) -> Change | None:
        """Read a notification; None if it does not tell of a change."""
        if (methods := _CHANGED_LISTS.get(notification.method)) is not None:
            return cls(methods)
        if notification.method == _RESOURCE_UPDATED:
            return cls(frozenset({READ}), as_text(notification.params.get("uri")))
        return None

    def concerns(self, key: CacheKey) -> bool:
        """Whether what is kept under ``key`` is stale now.

        What changed may be a part of a resource that was read (2026-07-28, "Resources", Subscriptions).
        """
        method, params = key
        if method not in self.methods or self.uri is None:
            return method in self.methods
        read = as_text(jsonrpc.load(params).get("uri"))
        return read is None or self.uri.startswith(read)
