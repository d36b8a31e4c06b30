"""Resources: what a scripted server lets its clients read."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, cast

from attrs import define, field, frozen

from mcpcore.errors import RpcError

from .call import MODERN, Call
from .handlers import Handler, RawResult, outcome
from .offers import Offers, page
from .refusals import INVALID_PARAMS
from .requests import ReceivedRequest

NOT_FOUND = -32002
"""What the handshake era says of a resource that is not there (server/resources, Error Handling, 2025-11-25)."""


@frozen
class Resource:
    """A resource, or a template of resources.

    :param uri: where it is.  With ``{name}`` in it (or ``{+name}``, which matches slashes too) it is a template.
    :param function: what reads it: a function of the arguments (``uri`` and whatever the template's names stand for)
        and the request, and of the call if it has a third parameter.  Text and bytes are its contents, a list is
        taken for the ``contents`` of the result, and a :class:`RawResult` for all of it.
    :param name: its name; the URI, if left out.
    :param mime_type: the media type of its contents.
    :param extra: further members of its definition, such as ``title`` or ``annotations``.
    """

    uri: str
    function: Handler
    name: str = ""
    description: str = ""
    mime_type: str = ""
    extra: Mapping[str, Any] = field(factory=dict[str, Any])

    @property
    def is_template(self) -> bool:
        """Whether it stands for more than one resource."""
        return "{" in self.uri

    @property
    def definition(self) -> dict[str, Any]:
        """The resource as a list shows it."""
        known = {"description": self.description, "mimeType": self.mime_type}
        place = {"uriTemplate" if self.is_template else "uri": self.uri}
        return {**place, "name": self.name or self.uri, **{k: v for k, v in known.items() if v}, **self.extra}

    def match(self, uri: str) -> dict[str, str] | None:
        """The arguments for reading ``uri``, or None if it is none of these."""
        parts = re.split(r"\{(\+?)(\w+)\}", self.uri)
        pattern = re.escape(parts[0])
        for plus, name, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            pattern += f"(?P<{name}>{'.+' if plus else '[^/]+'}){re.escape(literal)}"
        found = re.fullmatch(pattern, uri)
        return None if found is None else {**found.groupdict(), "uri": uri}

    def result(self, value: Any, uri: str) -> dict[str, Any]:
        """What was read, as a ``ReadResourceResult``."""
        if isinstance(value, RawResult):
            return dict(value.result)
        if isinstance(cast("object", value), list):
            return {"contents": value}
        is_bytes = isinstance(value, bytes)
        body = {"blob": base64.b64encode(value).decode()} if is_bytes else {"text": str(value)}
        kind = {"mimeType": self.mime_type} if self.mime_type else {}
        return {"contents": [{"uri": uri, **kind, **body}]}


@define(eq=False)
class Resources:
    """The resources of a server, and the methods that are about them."""

    offers: Offers[Resource]
    page_size: int | None

    @property
    def methods(self) -> dict[str, Handler]:
        """The methods, by name."""
        return {
            "resources/list": self._list,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read,
        }

    def _list(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        found = [resource.definition for resource in self.offers.visible(request) if not resource.is_template]
        return page("resources", found, params.get("cursor"), self.page_size)

    def _list_templates(self, params: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
        found = [resource.definition for resource in self.offers.visible(request) if resource.is_template]
        return page("resourceTemplates", found, params.get("cursor"), self.page_size)

    async def _read(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        uri = str(params.get("uri"))
        for resource in self.offers.visible(request):
            if (arguments := resource.match(uri)) is not None:
                return resource.result(await outcome(resource.function, arguments, call), uri)
        code = INVALID_PARAMS if call.revision == MODERN else NOT_FOUND
        raise RpcError("Resource not found", code=code, data={"uri": uri})
