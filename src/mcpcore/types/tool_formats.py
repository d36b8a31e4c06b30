"""Tools in the formats of those who sell models.

What is made here goes into a request to a model's API, as one item of its list of tools.  The input schema is the
server's, word for word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from mcpcore.types.tools import Tool

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""The names that all of them accept."""


def to_openai(tool: Tool, *, name: str | None = None) -> dict[str, Any]:
    """A function tool of OpenAI's Chat Completions API, and of the many that are like it.

    :param tool: what a server offers.
    :param name: what the model is to call it by, if not by its own name.
    :raises LocalProtocolError: if the name is not one that the API accepts; give another.
    """
    function = {"name": _accepted(name or tool.name), **_description(tool), "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def to_anthropic(tool: Tool, *, name: str | None = None) -> dict[str, Any]:
    """A tool of Anthropic's Messages API.

    :param tool: what a server offers.
    :param name: what the model is to call it by, if not by its own name.
    :raises LocalProtocolError: if the name is not one that the API accepts; give another.
    """
    return {"name": _accepted(name or tool.name), **_description(tool), "input_schema": tool.input_schema}


def _accepted(name: str) -> str:
    if _NAME.fullmatch(name):
        return name
    raise LocalProtocolError(
        f"{name!r} is not a tool name that a model's API accepts: give a name= of 1 to 64 letters, digits, _ and -"
    )


def _description(tool: Tool) -> dict[str, str]:
    text = tool.description or tool.title
    return {"description": text} if text else {}
