"""Prompts, and the completion of what is typed into them (2026-07-28, "Prompts" and "Completion")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore.types.completion import CompleteResult
from mcpcore.types.prompts import GetPromptResult, Prompt
from mcpcore.verbs import rpc
from mcpcore.verbs.listing import Listing

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.state.call import Call

PROMPTS = Listing("prompts/list", "prompts", "prompt", lambda _, raw: Prompt.from_json(raw))
"""The prompts that a server has."""


def get_prompt(call: Call, params: dict[str, Any]) -> Flow[GetPromptResult]:
    """One ``prompts/get`` (2026-07-28, "Prompts", Getting a Prompt)."""
    return GetPromptResult.from_json((yield from rpc.request(call, "prompts/get", params)))


def complete(call: Call, params: dict[str, Any]) -> Flow[CompleteResult]:
    """One ``completion/complete`` (2026-07-28, "Completion", Requesting Completions)."""
    return CompleteResult.from_json((yield from rpc.request(call, "completion/complete", params)))
