"""Reading the files in which MCP clients keep their servers: ``{"mcpServers": {NAME: {"url": ..., ...}}}``.

There is no specification of these files; there is what clients write.  They agree on ``url``, ``headers`` and a
``type`` that each spells in its own way, and on references to environment variables, so that a file without secrets
can be shared.  All else is theirs: it is kept, and a warning says that it means nothing here.

A file is a program's configuration, and what is wrong in it is said at once: which file, which key, and never a value,
because values are where the credentials are.  A reference to a variable that is not set, or empty, is such a mistake.
Sent as it stands it would be an odd token; the wrong token is a worse mistake than none.
"""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore import ConfigurationError
from mcpcore.codecs.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log = logging.getLogger("transports")

_LARGEST_FILE = 1024 * 1024
_TYPE_KEYS = ("type", "transport", "transportType")
_KNOWN_KEYS = frozenset({"url", "headers", "disabled", *_TYPE_KEYS})
_STDIO = "stdio"
_TYPES = {"http": "http", "streamablehttp": "http", "sse": "sse", "auto": "auto", _STDIO: _STDIO}
_REFERENCE = re.compile(r"\$\{(?:(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})?")


class _Wrong(Exception):
    """What is wrong, without the place and without a value."""


@frozen
class Entry:
    """One server of a file.

    :ivar place: the file and the name that it has there, for errors.
    :ivar options: what the file says about it, by the names of :class:`~transports.config.ServerConfig`.
    """

    place: str
    options: Mapping[str, Any] = field(repr=False)


def read_entries(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Iterator[Entry]:
    """The servers of the file at ``path`` that can be reached over HTTP, in the file's order.

    :param environ: the environment variables that the file may refer to; those of this process if None.
    :raises ConfigurationError: if the file cannot be read or understood.
    """
    variables = os.environ if environ is None else environ
    for name, server in _servers(path).items():
        place = f"{os.fspath(path)}: server {name!r}"
        try:
            options = _options(server, variables, place)
        except _Wrong as wrong:
            raise ConfigurationError(f"{place}: {wrong}") from None
        if options is not None:
            yield Entry(place, {"name": name, **options})


def _servers(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        value = _parse(_contents(path))
        servers = value.get("mcpServers") if is_object(value) else None
        if is_object(servers):
            return servers
        reason = 'it has no object "mcpServers"'
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}"
    except _Wrong as wrong:
        reason = str(wrong)
    # Raised out of the handlers, so that no exception in the chain holds the file's text.
    raise ConfigurationError(f"{os.fsdecode(path)}: {reason}")


def _contents(path: str | os.PathLike[str]) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except (TypeError, ValueError):
        # Bytes, or characters that no file's name can have.
        raise _Wrong("that cannot be the path of a file") from None
    if len(data) > _LARGEST_FILE:
        raise _Wrong(f"it is larger than {_LARGEST_FILE} bytes")
    return data


def _parse(data: bytes) -> Any:
    try:
        # Editors on Windows begin a file with a byte order mark.
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_members, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    except json.JSONDecodeError as error:
        reason = f"it is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "it is nested too deep"
    except ValueError:
        reason = "it is not JSON: a number is too long"
    raise _Wrong(reason)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Wrong(f"the key {next(n for n in names if names.count(n) > 1)!r} is given twice in one object")
    return members


def _refuse_constant(name: str) -> Any:
    raise _Wrong(f"it is not JSON: {name} is no number")


def _options(server: Any, variables: Mapping[str, str], place: str) -> dict[str, Any] | None:
    """What one entry says, or None if it is not for us."""
    if not is_object(server):
        raise _Wrong("is not an object")
    if _is_disabled(server):
        _log.info("%s is disabled there, and left out", place)
        return None
    kind = _kind(server)
    if kind == _STDIO:
        _log.warning("%s is a program to start, which is not supported, and is left out", place)
        return None
    extra = {key: value for key, value in server.items() if key not in _KNOWN_KEYS}
    if extra:
        _log.warning("%s: %s: not understood here, and without effect", place, ", ".join(map(repr, extra)))
    return {
        "url": _expanded(server["url"], variables, "url"),
        "type": kind,
        "headers": _headers(server.get("headers"), variables),
        "extra": extra,
    }


def _is_disabled(server: dict[str, Any]) -> bool:
    disabled = server.get("disabled", False)
    if not isinstance(disabled, bool):
        raise _Wrong("disabled is neither true nor false")
    return disabled


def _kind(server: dict[str, Any]) -> str:
    """The transport that an entry means.

    One that names a URL and no transport may be either kind of HTTP server: clients differ in what they take it for.
    """
    named = {_type_named(key, server[key]) for key in _TYPE_KEYS if key in server}
    if len(named) > 1:
        raise _Wrong(f"{', '.join(key for key in _TYPE_KEYS if key in server)} contradict each other")
    if not named and "url" not in server and "command" not in server:
        raise _Wrong("has neither a url nor a command")
    kind = named.pop() if named else "auto" if "url" in server else _STDIO
    if kind != _STDIO and "url" not in server:
        raise _Wrong("has no url")
    return kind


def _type_named(key: str, name: Any) -> str:
    kind = _TYPES.get(re.sub("[-_]", "", name).lower()) if isinstance(name, str) else None
    if kind is None:
        raise _Wrong(f'{key} is none of "http", "streamable-http", "sse" and "stdio"')
    return kind


def _headers(headers: Any, variables: Mapping[str, str]) -> dict[str, str]:
    if headers is None:
        return {}
    if not is_object(headers):
        raise _Wrong("headers is not an object")
    return {name: _expanded(value, variables, f"headers.{name}") for name, value in headers.items()}


def _expanded(text: Any, variables: Mapping[str, str], key: str) -> str:
    """``text`` with its references replaced: ``${NAME}``, ``${env:NAME}``, and ``${NAME:-default}``."""
    if not isinstance(text, str):
        raise _Wrong(f"{key} is not a string")

    def value_of(reference: re.Match[str]) -> str:
        name, default = reference["name"], reference["default"]
        if name is None:
            raise _Wrong(f"{key} has a ${{ that does not begin a reference to an environment variable")
        if default and "${" in default:
            # It would end at the inner brace, and what is sent would be half a reference.
            raise _Wrong(f"{key}: the default of {name} has a reference in it, and can only be plain text")
        value = variables.get(name) or default
        if value is None:
            raise _Wrong(f"{key} needs the environment variable {name}, which is not set, or empty")
        return value

    return _REFERENCE.sub(value_of, text)
