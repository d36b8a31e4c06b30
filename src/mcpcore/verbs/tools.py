"""Listing tools and calling them.

A list is read leniently: a definition that cannot be used is left out with a warning, and the rest
stay.  What a definition asks of later calls (which arguments travel as headers) is remembered in the partition of the
identity that listed it, because another identity may be shown another definition under the same name.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mcpcore.codecs.shapes import as_list
from mcpcore.errors import RemoteProtocolError
from mcpcore.rules.parameter_headers import read_annotations
from mcpcore.types.tools import CallToolResult, Tool
from mcpcore.verbs import rpc
from mcpcore.verbs.listing import read_list

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.rules.freshness import CacheMode
    from mcpcore.state.call import Call

_log = logging.getLogger("mcpcore")


def list_tools(call: Call, mode: CacheMode) -> Flow[list[Tool]]:
    """All pages of ``tools/list`` (2026-07-28, "Tools", Listing Tools)."""
    results = yield from read_list(call, "tools/list", mode)
    return [tool for result in results for tool in _read_page(call, result)]


def _read_page(call: Call, result: dict[str, Any]) -> list[Tool]:
    """The usable tools of one page; one bad definition does not keep the others from being used."""
    page = as_list(result.get("tools"))
    if page is None:
        raise RemoteProtocolError("the list of tools is not a list")
    tools: list[Tool] = []
    for raw in page:
        try:
            tool = Tool.from_json(raw)
            _remember(call, tool)
        except RemoteProtocolError as error:
            _log.warning("%s: a tool is left out: %s", call.state.endpoint.name, error.message)
        else:
            tools.append(tool)
    return tools


def _remember(call: Call, tool: Tool) -> None:
    """Keep what later calls of ``tool`` need.

    :raises RemoteProtocolError: if its annotations make it unusable in the era that has them.
    """
    verdict = call.state.verdict
    if verdict is None or not verdict.is_modern:
        return
    try:
        annotations = read_annotations(tool.input_schema)
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"{tool.name!r}: {error.message}") from None
    if call.may_keep:
        call.partition.mirrored.remember(tool.name, annotations, call.state.limits.mirrored_bytes)


def call_tool(call: Call, params: dict[str, Any]) -> Flow[CallToolResult]:
    """One ``tools/call`` (2026-07-28, "Tools", Calling Tools)."""
    return CallToolResult.from_json((yield from rpc.request(call, "tools/call", params)))
