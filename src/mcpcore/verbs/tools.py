"""Listing tools and calling them.

A list is read leniently: a definition that cannot be used is left out with a warning, and the rest stay.  What a
definition asks of later calls (which arguments travel as headers), and what it promises of their results, is remembered
in the partition of the identity that listed it, because another identity may be shown another definition under the same
name.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mcpcore.errors import McpError, RemoteProtocolError, RpcError
from mcpcore.machines.modern import HEADER_MISMATCH
from mcpcore.rules.freshness import CacheMode
from mcpcore.rules.parameter_headers import read_annotations
from mcpcore.types.tools import CallToolResult, Tool
from mcpcore.verbs import rpc
from mcpcore.verbs.listing import Listing, list_all

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.rules.output_schemas import OutputChecker, OutputValidator
    from mcpcore.state.call import Call

_log = logging.getLogger("mcpcore")


def _read(call: Call, raw: object) -> Tool:
    tool = Tool.from_json(raw)
    _remember(call, tool)
    return tool


TOOLS = Listing("tools/list", "tools", "tool", _read)
"""The tools that a server has."""


def _remember(call: Call, tool: Tool) -> None:
    """Keep what later calls of ``tool`` need; a channel has no headers for arguments to travel as.

    :raises RemoteProtocolError: if its annotations make it unusable in the era that has them.
    """
    state, verdict = call.state, call.state.verdict
    if verdict is not None and verdict.is_modern and not state.over_channel:
        try:
            annotations = read_annotations(tool.input_schema)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{tool.name!r}: {error.message}") from None
        if call.may_keep:
            call.partition.mirrored.remember(tool.name, annotations, state.limits.mirrored_bytes)
    _remember_output(call, tool)


def _remember_output(call: Call, tool: Tool) -> None:
    state, verdict = call.state, call.state.verdict
    if state.output_validator is not None and verdict is not None and verdict.revision.output_schemas and call.may_keep:
        call.partition.outputs.remember(tool.name, tool.output_schema, state.limits)


def call_tool(call: Call, params: dict[str, Any], definition: Tool | None) -> Flow[CallToolResult]:
    """One ``tools/call`` (2026-07-28, "Tools", Calling Tools).

    :param definition: the tool's, if the caller has it.
    """
    name = params["name"]
    if definition is not None and (yield from rpc.verdict(call)).is_modern and not call.state.over_channel:
        call.shown[name] = read_annotations(definition.input_schema)
    validator = call.state.output_validator
    if validator is not None and call.is_settled:
        # A promise that cannot be checked is found out before the tool does anything.
        _prepare_check(call, name, definition, validator)
    try:
        answered = yield from rpc.request(call, "tools/call", params)
    except RpcError as refused:
        if refused.code != HEADER_MISMATCH or not (yield from _look_again(call, name)):
            raise
        answered = yield from rpc.request(call, "tools/call", params)
    result = CallToolResult.from_json(answered)
    if validator is not None:
        check = _prepare_check(call, name, definition, validator)
        if check is not None and not result.is_error:
            _check_output(name, check, result)
    return result


def _look_again(call: Call, name: str) -> Flow[bool]:
    """See what travels as headers by the tool's definition as the server gives it now; False if it gives none.

    (2026-07-28, "Streamable HTTP", Custom Headers from Tool Parameters.)
    """
    verdict = call.state.verdict
    if verdict is None or not verdict.is_modern:
        return False
    try:
        tools = yield from list_all(call, TOOLS, CacheMode.REFRESH)
    except McpError as error:
        _log.warning("the definition of the tool %r could not be asked for again: %r", name, str(error))
        return False
    definition = next((tool for tool in tools if tool.name == name), None)
    if definition is None:
        return False
    call.shown[name] = read_annotations(definition.input_schema)
    return True


def _check_output(name: str, check: OutputChecker, result: CallToolResult) -> None:
    """Hold a result against what its tool promised (2026-07-28, "Tools", Output Schema).

    :raises RemoteProtocolError: if it breaks the promise.
    """
    if "structuredContent" not in result.raw:
        raise RemoteProtocolError(f"the tool {name!r} has an output schema, but its result has no structured content")
    try:
        mismatch = check(result.structured_content)
    except ValueError:
        complaint = "cannot be held against its output schema"
    else:
        complaint = "" if mismatch is None else f"breaks its output schema, {mismatch}"
    if complaint:
        raise RemoteProtocolError(f"the structured content of the tool {name!r} {complaint}")


def _prepare_check(call: Call, name: str, definition: Tool | None, validator: OutputValidator) -> OutputChecker | None:
    """What holds results against what their tool promised, by the definition that the caller has or was shown.

    :returns: None if it promised nothing.
    :raises RemoteProtocolError: if the promise is of a kind that cannot be checked (2026-07-28, "Overview", JSON Schema
        Usage).
    """
    if definition is not None:
        _remember_output(call, definition)
    try:
        return call.partition.outputs.checker(name, validator, call.state.limits)
    except ValueError as reason:
        complaint = f"the results of the tool {name!r} cannot be checked: its output schema {reason}"
    raise RemoteProtocolError(f"{complaint}; without validation of output it can be called all the same")
