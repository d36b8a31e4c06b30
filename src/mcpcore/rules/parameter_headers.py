"""Tool arguments that travel as headers: the ``x-mcp-header`` annotation of a tool's input schema.

A server may ask that an argument be mirrored into a ``Mcp-Param-*`` header, so that intermediaries can route by it
(2026-07-28, "Streamable HTTP", Custom Headers from Tool Parameters).  :func:`read_annotations` finds out which, once
for each definition; :func:`mirrored_arguments` makes the headers of one call.

An annotation counts only on a primitive property that is reached from the root by ``properties`` alone.  Anywhere
else it makes the whole tool unusable, because a server that expects the header would refuse each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from mcpcore.codecs.header_fields import is_token
from mcpcore.codecs.shapes import as_integer, as_list, as_object, as_text, is_array, is_object
from mcpcore.errors import LocalProtocolError, RemoteProtocolError
from mcpcore.rules.metadata import encode_header_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ANNOTATION = "x-mcp-header"
_PRIMITIVE = frozenset({"string", "integer", "boolean"})
_MAPS_OF_SCHEMAS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LARGEST = 2**53 - 1
_DATA = frozenset({"const", "default", "enum", "examples"})


@frozen
class MirroredArgument:
    """One argument that travels as a header.

    :ivar path: the names that lead to it through the arguments.
    :ivar header: the header's name, in bytes.
    """

    path: tuple[str, ...]
    header: bytes


@define(eq=False)
class MirroredTools:
    """The tools that an identity was shown, as far as arguments of theirs travel as headers."""

    _tools: dict[str, tuple[MirroredArgument, ...]] = field(
        factory=dict[str, tuple[MirroredArgument, ...]], init=False, repr=False
    )
    _bytes: int = field(default=0, init=False)

    def find(self, name: str) -> tuple[MirroredArgument, ...]:
        """What travels as headers when the tool ``name`` is called."""
        return self._tools.get(name, ())

    def remember(self, name: str, annotations: tuple[MirroredArgument, ...], most: int) -> None:
        """Remember a tool's definition in place of an earlier one; what is remembered longest goes first.

        :param most: how many bytes may be remembered.
        """
        self._forget(name)
        if annotations:
            self._tools[name] = annotations
            self._bytes += _size(name, annotations)
        while self._bytes > most:
            self._forget(next(iter(self._tools)))

    def _forget(self, name: str) -> None:
        if (annotations := self._tools.pop(name, None)) is not None:
            self._bytes -= _size(name, annotations)


def _size(name: str, annotations: tuple[MirroredArgument, ...]) -> int:
    """About how many bytes a tool takes: what its server chose, and the objects around it."""
    return sum(len(name) + 200 + len(a.header) + sum(map(len, a.path)) for a in annotations)


def read_annotations(schema: Mapping[str, Any]) -> tuple[MirroredArgument, ...]:
    """The arguments that an input schema wants mirrored.

    :raises RemoteProtocolError: if an annotation breaks a rule, so that the tool cannot be used.
    """
    found: dict[str, MirroredArgument] = {}
    for path, annotated in _annotated(schema, ()):
        name = annotated[ANNOTATION]
        if path is None:
            raise RemoteProtocolError(f"{ANNOTATION} stands where no argument can be reached by properties alone")
        if not isinstance(name, str) or not is_token(name):
            raise RemoteProtocolError(f"the {ANNOTATION} of {path[-1]!r} is no header name")
        if as_text(annotated.get("type")) not in _PRIMITIVE:
            raise RemoteProtocolError(f"the {ANNOTATION} of {path[-1]!r} is not on a string, an integer or a boolean")
        if name.lower() in found:
            raise RemoteProtocolError(f"the {ANNOTATION} {name!r} is there twice")
        found[name.lower()] = MirroredArgument(path, b"mcp-param-" + name.encode("ascii"))
    return tuple(found.values())


def _annotated(
    schema: Mapping[str, Any], path: tuple[str, ...] | None
) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, Any]]]:
    """Every annotated schema in ``schema``, with its path; None for a path that leads through anything else."""
    if ANNOTATION in schema:
        yield path or None, schema
    for keyword, value in schema.items():
        if keyword in _DATA or not (is_object(value) or is_array(value)):
            continue
        if keyword in _MAPS_OF_SCHEMAS:
            for name, inner in (as_object(value) or {}).items():
                if is_object(inner):
                    is_reachable = path is not None and keyword == "properties"
                    yield from _annotated(inner, (*path, name) if is_reachable and path is not None else None)
        else:
            for inner in as_list(value) or (value,):
                if is_object(inner):
                    yield from _annotated(inner, None)


def mirrored_arguments(
    annotations: tuple[MirroredArgument, ...], arguments: Mapping[str, Any]
) -> list[tuple[bytes, bytes]]:
    """The headers of one call; an argument that is absent or null has none.

    :raises LocalProtocolError: if an integer is too large to be read exactly everywhere.
    """
    headers: list[tuple[bytes, bytes]] = []
    for annotation in annotations:
        value: Any = arguments
        for name in annotation.path:
            value = (as_object(value) or {}).get(name)
        if (text := _header_text(value)) is not None:
            headers.append((annotation.header, encode_header_value(text)))
    return headers


def _header_text(value: object) -> str | None:
    """A primitive as header text; None for anything else, which the server will refuse by its schema."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if (number := as_integer(value)) is None:
        return as_text(value)
    if abs(number) > _LARGEST:
        # Whoever reads numbers as JavaScript does would read another one (2026-07-28, "Streamable HTTP").
        raise LocalProtocolError("an integer argument that travels as a header is beyond 2**53 - 1")
    return str(number)
