"""Telling a server that the roots have changed (2025-11-25, "Roots", Root List Changes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpcore.verbs import rpc

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call


def roots_changed(call: Call) -> Flow[None]:
    """Tell it, where the revision has a notification for that; elsewhere servers ask anew whenever they need them."""
    verdict = yield from rpc.verdict(call)
    if verdict.revision.notifications:
        yield from rpc.notify(call, "notifications/roots/list_changed", {})
