"""Resources: what there is to read, reading it, and asking to be told when it changes (2026-07-28, "Resources")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.errors import LocalProtocolError
from mcpcore.types.resources import ReadResourceResult, Resource, ResourceTemplate
from mcpcore.verbs import rpc
from mcpcore.verbs.listing import Listing

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.rules.freshness import CacheMode
    from mcpcore.state.call import Call

RESOURCES = Listing("resources/list", "resources", "resource", lambda _, raw: Resource.from_json(raw))
"""The resources that a server has."""

RESOURCE_TEMPLATES = Listing(
    "resources/templates/list", "resourceTemplates", "resource template", lambda _, raw: ResourceTemplate.from_json(raw)
)
"""What resources a server can make up."""


def read_resource(call: Call, params: dict[str, Any], mode: CacheMode) -> Flow[ReadResourceResult]:
    """One ``resources/read`` (2026-07-28, "Resources", Reading Resources)."""
    return ReadResourceResult.from_json((yield from rpc.request(call, "resources/read", params, mode)))


def subscribe(call: Call, method: str, uri: str) -> Flow[None]:
    """Ask to be told of changes, or no more (2025-11-25, "Resources", Subscriptions).

    :raises LocalProtocolError: where the revision has no such request.
    """
    revision = (yield from rpc.verdict(call)).revision
    if not revision.notifications:
        raise LocalProtocolError(f"revision {revision.name} has no {method}; listen to the resource instead")
    yield from rpc.require(call, "resources", "subscribe")
    yield from rpc.request(call, method, {"uri": uri})
