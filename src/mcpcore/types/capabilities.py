"""Capabilities: what each side says that it can do.

A capability that is there is an object, however empty, and one that is not there is None.  So ``if
capabilities.tools:`` asks whether the server has tools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from mcpcore.codecs.shapes import as_flag, as_object
from mcpcore.types.wire import WireObject, optional

if TYPE_CHECKING:
    from typing import Self


@frozen
class Capability(WireObject):
    """What one side can do with one feature; what else is said of it is in ``raw``.

    :ivar list_changed: whether it tells of changes of the list, or None.
    :ivar subscribe: whether it tells of changes of single resources, or None.
    """

    list_changed: bool | None = None
    subscribe: bool | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(as_flag(given.get("listChanged")), as_flag(given.get("subscribe")), raw=given)


@frozen
class ServerCapabilities(WireObject):
    """What a server can do (2026-07-28, "Discovery"; 2025-11-25, "Lifecycle", Capability Negotiation).

    :ivar tools: it has tools.
    :ivar prompts: it has prompts.
    :ivar resources: it has resources.
    :ivar completions: it completes arguments.
    :ivar logging: it sends log messages.
    :ivar extensions: the settings of each extension that it has, or None.
    :ivar experimental: what it tries out, or None.
    """

    tools: Capability | None = None
    prompts: Capability | None = None
    resources: Capability | None = None
    completions: Capability | None = None
    logging: Capability | None = None
    extensions: dict[str, Any] | None = None
    experimental: dict[str, Any] | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            tools=optional(given.get("tools"), Capability.from_json),
            prompts=optional(given.get("prompts"), Capability.from_json),
            resources=optional(given.get("resources"), Capability.from_json),
            completions=optional(given.get("completions"), Capability.from_json),
            logging=optional(given.get("logging"), Capability.from_json),
            extensions=as_object(given.get("extensions")),
            experimental=as_object(given.get("experimental")),
            raw=given,
        )


@frozen
class SamplingCapability(WireObject):
    """How a client can ask a model (2026-07-28, "Sampling", Capabilities).

    :ivar tools: it lets the model use tools.
    :ivar context: it adds the context of servers to what is asked.
    """

    tools: Capability | None = None
    context: Capability | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        tools, context = given.get("tools"), given.get("context")
        return cls(optional(tools, Capability.from_json), optional(context, Capability.from_json), raw=given)


@frozen
class ElicitationCapability(WireObject):
    """How a client can ask its user (2026-07-28, "Elicitation", Capabilities).  An empty one means forms alone.

    :ivar form: by forms.
    :ivar url: by sending the user to a page.
    """

    form: Capability | None = None
    url: Capability | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        form, url = given.get("form"), given.get("url")
        return cls(optional(form, Capability.from_json), optional(url, Capability.from_json), raw=given)


@frozen
class ClientCapabilities(WireObject):
    """What a client can do (2026-07-28, "Overview"; 2025-11-25, "Lifecycle", Capability Negotiation).

    :ivar roots: it tells where the server may work.
    :ivar sampling: it can ask a model.
    :ivar elicitation: it can ask its user.
    :ivar extensions: the settings of each extension that it has, or None.
    :ivar experimental: what it tries out, or None.
    """

    roots: Capability | None = None
    sampling: SamplingCapability | None = None
    elicitation: ElicitationCapability | None = None
    extensions: dict[str, Any] | None = None
    experimental: dict[str, Any] | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            optional(given.get("roots"), Capability.from_json),
            optional(given.get("sampling"), SamplingCapability.from_json),
            optional(given.get("elicitation"), ElicitationCapability.from_json),
            as_object(given.get("extensions")),
            as_object(given.get("experimental")),
            raw=given,
        )
