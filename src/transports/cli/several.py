"""``mcpcore tools --config FILE``: the tools of all servers in a file, as an agent run would offer them.

A server that cannot be used is told on stderr, as the library's own warning, and the others are listed all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click
from attrs import evolve

from ..config import ServerConfig
from ..run import Run, open_run
from .failures import ExitCode, code_of
from .output import as_ascii, console, tools_table
from .running import run_on
from .telling import tell


def list_all(servers: Iterable[ServerConfig], timeout: float, as_json: bool) -> ExitCode:
    """List the tools of all ``servers``, each of which has ``timeout`` seconds.

    :returns: what the first of them that cannot be used comes to; else that all is well.
    """

    async def visit() -> Run:
        async with open_run([evolve(server, timeout=timeout) for server in servers]) as run:
            return run

    return _show(run_on("asyncio", visit), as_json)


def _show(run: Run, as_json: bool) -> ExitCode:
    if as_json:
        click.echo(as_ascii(_described(run)))
    elif run.tools:
        console().print(tools_table(run.tools, run.server_of))
    else:
        tell("there are no tools")
    return next((code_of(skipped.error) for skipped in run.skipped), ExitCode.OK)


def _described(run: Run) -> list[dict[str, Any]]:
    return [{"name": tool.name, "server": run.server_of(tool.name), "definition": tool.raw} for tool in run.tools]
