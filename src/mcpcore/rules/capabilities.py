"""What a client declares to be able to do: what it has handlers for, as the revision spoken has names for it.

(2026-07-28, "Overview", Capabilities; 2025-11-25, "Lifecycle", Capability Negotiation.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.handlers import BY_HAND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.handlers import Handlers
    from mcpcore.rules.revisions import Revision


def client_capabilities(
    handlers: Handlers, extensions: Mapping[str, Mapping[str, Any]], revision: Revision
) -> dict[str, Any]:
    """The capabilities that a client with ``handlers`` declares in ``revision``.

    :param extensions: the settings of each extension, by its name.
    """

    def offers(handler: object) -> bool:
        # Only an answer that requires input can be handed to the caller; a request of the server's can't wait.
        return handler is not None and (handler is not BY_HAND or revision.input_rounds)

    declared: dict[str, Any] = {}
    if offers(handlers.roots):
        declared["roots"] = {"listChanged": True} if revision.notifications else {}
    if offers(handlers.sample):
        declared["sampling"] = {"tools": {}} if handlers.sample_with_tools and revision.sampling_tools else {}
    if modes := _elicitation_modes(offers(handlers.elicit), offers(handlers.elicit_url), revision):
        declared["elicitation"] = {mode: {} for mode in modes} if revision.elicitation_modes else {}
    if extensions and revision.extensions:
        declared["extensions"] = {name: dict(settings) for name, settings in extensions.items()}
    return declared


def _elicitation_modes(form: bool, url: bool, revision: Revision) -> list[str]:
    if not revision.elicitation:
        return []
    return ["form"] * form + ["url"] * (url and revision.elicitation_modes)
