"""How what a server said is shown: tools as a table, results as text, and either as JSON.

None of it is taken for markup, and all of it goes through :mod:`.text` first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from mcpcore.codecs.shapes import as_list, as_object, as_text

from .text import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mcpcore import CallToolResult, Tool


def console() -> Console:
    """The terminal behind stdout, which takes nothing for markup and can do without colour."""
    return Console(markup=False, emoji=False, highlight=False)


def as_ascii(value: Any) -> str:
    """A JSON value in ASCII alone, so that it cannot steer a terminal."""
    return json.dumps(value, indent=2)


def tools_table(tools: Sequence[Tool], server_of: Callable[[str], str] | None = None) -> Table:
    """Each tool with its arguments and what it does; and with its server, where there are several."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 1, 0), header_style="dim")
    table.add_column("tool", overflow="fold", style="bold")
    if server_of is not None:
        table.add_column("server", overflow="fold")
    table.add_column("arguments", overflow="fold")
    table.add_column("what it does", overflow="fold")
    for tool in tools:
        place = () if server_of is None else (one_line(server_of(tool.name)),)
        table.add_row(one_line(tool.name), *place, "\n".join(_parameters(tool)), _summary(tool))
    return table


def _parameters(tool: Tool) -> Iterator[str]:
    """The arguments, each with its type; in brackets if it can be left out."""
    required = as_list(tool.input_schema.get("required")) or ()
    for name, schema in (as_object(tool.input_schema.get("properties")) or {}).items():
        kind = as_text((as_object(schema) or {}).get("type"))
        text = one_line(f"{name}: {kind}" if kind else name)
        yield text if name in required else f"[{text}]"


def _summary(tool: Tool) -> str:
    """The first paragraph of what the server says about the tool."""
    return one_line((tool.description or tool.title or "").strip().partition("\n\n")[0])


def result_text(result: CallToolResult) -> str:
    """A result for people: its content or, where there is none, its structured content."""
    if not result.content and result.structured_content is not None:
        return as_ascii(result.structured_content)
    return "\n".join(_block(block.raw) for block in result.content)


def _block(block: dict[str, Any]) -> str:
    """A content block: text as it is, of anything else what it is (2025-11-25, "Tools", Tool Result)."""
    holder = as_object(block.get("resource")) or block
    text = as_text(holder.get("text"))
    if text is not None:
        return visible(text)
    told = map(as_text, (block.get("type"), holder.get("mimeType"), holder.get("uri")))
    return f"[{one_line(', '.join(part for part in told if part))}]"
