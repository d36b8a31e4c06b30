"""What the words of a command line mean: a tool's arguments, header fields, the names of variables and files.

A tool's argument has one simple rule: ``key=value`` is a string, ``key:=value`` is JSON.  The tool's input schema is
not asked, so the same words always send the same arguments, in one request, to any server; a value of the wrong type
is for the server to refuse.

What is refused here is not repeated in the message, because it may be a credential in the wrong place.
"""

from __future__ import annotations

import json
import os
from typing import Any

import click
from click.core import ParameterSource

from mcpcore import ConfigurationError

from ..config import ServerConfig


def tool_arguments(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, Any]:
    """Read ``key=value`` and ``key:=value``.

    :raises click.BadParameter: if a word is neither, or a key comes twice.
    """
    arguments: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key in ("", ":"):
            raise click.BadParameter("it is key=value for a string, or key:=value for JSON", context, parameter)
        value = text
        if key.endswith(":"):
            key = key.removesuffix(":")
            try:
                value = json.loads(text, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                message = f"the value of {key} is not JSON; as a string it is given as {key}=value"
                raise click.BadParameter(message, context, parameter) from None
        if key in arguments:
            raise click.BadParameter(f"{key} is given twice", context, parameter)
        arguments[key] = value
    return arguments


def header_fields(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """Read ``NAME=VALUE``.

    :raises click.BadParameter: if a word is something else, or a name comes twice.
    """
    headers: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter("it is NAME=VALUE", context, parameter)
        if name in headers:
            raise click.BadParameter(f"{name} is given twice", context, parameter)
        headers[name] = value
    return headers


def secret_variable(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """See that the environment variable ``name`` holds a token, or another secret.

    :raises click.BadParameter: if it does not.
    """
    if name is None:
        return None
    if not name.isidentifier():
        message = "it is the name of an environment variable, never the secret itself"
        raise click.BadParameter(message, context, parameter)
    if not os.environ.get(name, "").strip():
        raise click.BadParameter(f"the environment variable {name} is not set, or empty", context, parameter)
    return name


def server_configs(
    context: click.Context, parameter: click.Parameter, path: str | None
) -> tuple[ServerConfig, ...] | None:
    """Read the servers in the file at ``path``.

    :raises click.BadParameter: if it cannot be read or understood.
    """
    if path is None:
        return None
    try:
        return ServerConfig.from_mcp_json(path)
    except ConfigurationError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def refuse_with(context: click.Context, option: str, *names: str) -> None:
    """See that none of the parameters called ``names`` was given beside ``option``.

    :raises click.UsageError: if one was.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in names and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.get_error_hint(context)} cannot be given with {option}", context)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
