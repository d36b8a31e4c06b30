"""``mcpcore tools`` and ``mcpcore call``: one question to one server, of any kind; see :mod:`.several` for more."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import click
from attrs import field, frozen

from mcpcore import CallToolResult, McpError, OAuth, Tool

from ..client import Client, connect
from ..config import ServerConfig
from .arguments import header_fields, refuse_with, secret_variable, server_configs, tool_arguments
from .failures import ExitCode, Failure
from .logged_in import login_command, stored_login
from .output import as_ascii, console, result_text, tools_table
from .progress import progress_shown
from .running import run_on
from .several import list_all
from .telling import tell
from .text import one_line

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
T = TypeVar("T")

_SERVER_OPTIONS = (
    click.option(
        "--bearer-env", metavar="NAME", callback=secret_variable, help="Send the token in this environment variable."
    ),
    click.option(
        "--header",
        "headers",
        metavar="NAME=VALUE",
        multiple=True,
        callback=header_fields,
        help="Send this header; may be given again.",
    ),
    click.option("--sse", is_flag=True, help="Speak HTTP+SSE of 2024-11-05 and nothing else."),
    click.option("--protocol-version", metavar="REVISION", help="Speak this revision, for instance 2025-11-25."),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True),
        default=30.0,
        show_default=True,
        help="Give up after so long.",
    ),
    click.option("--allow-insecure-http", is_flag=True, help="Send headers over plain http to other machines as well."),
    click.option("--json", "as_json", is_flag=True, help="Print what the server sent, as JSON."),
)


@frozen(kw_only=True)
class Target:
    """A server, and how to speak to it: what the options of a command say."""

    url: str = field(repr=False)
    bearer_env: str | None
    headers: Mapping[str, str] = field(repr=False)
    sse: bool
    protocol_version: str | None
    timeout: float
    allow_insecure_http: bool

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """Connect, ask one question, and leave.

        :raises Failure: if there is no answer to it.
        """

        async def visit() -> T:
            login = None if self._has_credentials else await stored_login(self.url, self.timeout)
            async with self._connect(login) as client:
                return await question(client)

        try:
            return run_on("asyncio", visit)
        except McpError as error:
            raise Failure.of(error, self._if_refused()) from error

    @property
    def _has_credentials(self) -> bool:
        return self.bearer_env is not None or "authorization" in map(str.lower, self.headers)

    def _if_refused(self) -> str:
        """What to do about a 401."""
        if self.bearer_env is not None:
            return f"is the token in {self.bearer_env} still good?"
        if self._has_credentials:
            return "is what --header says still good?"
        return f"log in with {login_command(self.url)}, or give a token with --bearer-env NAME"

    def _connect(self, login: OAuth | None) -> Client:
        return connect(
            self.url,
            type="sse" if self.sse else "auto",
            headers=self.headers,
            auth_token=os.environ[self.bearer_env] if self.bearer_env else None,
            auth=login,
            protocol_version=self.protocol_version,
            timeout=self.timeout,
            allow_insecure_http=self.allow_insecure_http,
        )


def server_options(command: CommandT) -> CommandT:
    """Give a command the options that say how to speak to a server."""
    for option in reversed(_SERVER_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("url", required=False)
@click.option(
    "--config",
    "servers",
    metavar="FILE",
    callback=server_configs,
    help="List the tools of all servers in this mcp.json instead.",
)
@server_options
@click.pass_context
def tools(
    context: click.Context, /, servers: tuple[ServerConfig, ...] | None, as_json: bool, timeout: float, **target: Any
) -> ExitCode:
    """List the tools that the server at URL offers, or all the servers in a file."""
    if servers is not None:
        refuse_with(context, "--config", *target)
        return list_all(servers, timeout, as_json)
    if target["url"] is None:
        raise click.UsageError("give the URL of a server, or --config FILE", context)
    return _show_tools(Target(timeout=timeout, **target).ask(lambda client: client.list_tools()), as_json)


def _show_tools(tools: list[Tool], as_json: bool) -> ExitCode:
    if as_json:
        click.echo(as_ascii([tool.raw for tool in tools]))
    elif tools:
        console().print(tools_table(tools))
    else:
        tell("the server offers no tools")
    return ExitCode.OK


@click.command()
@click.argument("url")
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...", callback=tool_arguments)
@server_options
def call(tool: str, arguments: dict[str, Any], as_json: bool, **target: Any) -> ExitCode:
    """Call TOOL of the server at URL.

    KEY=VALUE passes a string and KEY:=VALUE passes JSON, as in: name=Ada count:=3 tags:='["a", "b"]'
    """
    with progress_shown(tool) as on_progress:
        result = Target(**target).ask(lambda client: client.call_tool(tool, arguments, on_progress=on_progress))
    return _show_result(tool, result, as_json)


def _show_result(tool: str, result: CallToolResult, as_json: bool) -> ExitCode:
    if as_json:
        click.echo(as_ascii(result.raw))
    elif result.is_error:
        click.echo(f"mcpcore: the tool {one_line(tool)} failed: {result_text(result)}", err=True)
    else:
        click.echo(result_text(result))
    return ExitCode.FAILED if result.is_error else ExitCode.OK
