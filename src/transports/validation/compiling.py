"""Schemas into checkers, by ``jsonschema-rs``.

A schema is a stranger's: whatever it refers to is looked for in the schema itself and nowhere else (2026-07-28,
"Overview", ``$ref`` Resolution), its patterns may only try so hard to match, and one that could keep the library busy
for long is refused.  So is a value that has too many parts for the size of its schema.  Which dialect it is written in
it says by ``$schema``; without that it is 2020-12 ("Overview", JSON Schema Usage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcpcore import ConfigurationError, Mismatch

from .expansion import check_expansion, check_extent

if TYPE_CHECKING:
    from mcpcore import OutputChecker, OutputValidator

_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
    }
)
_SUBSCHEMAS = 2_000
_STEPS = 10_000_000  # of one part of a value against one subschema: some seconds, at the very worst
_STEPS_OF_A_PATTERN = 10_000
_BYTES_OF_A_PATTERN = 256 * 1024


def schema_checkers() -> OutputValidator:
    """What makes a checker of an output schema, for :class:`mcpcore.Client`.

    :raises mcpcore.ConfigurationError: if the library that it takes is not installed.
    """
    try:
        import jsonschema_rs
    except ImportError as missing:
        raise ConfigurationError(
            "validate_output needs the package jsonschema-rs; install mcpcore with its extra 'validation'"
        ) from missing
    patterns = jsonschema_rs.FancyRegexOptions(_STEPS_OF_A_PATTERN, _BYTES_OF_A_PATTERN)

    def compile_(schema: dict[str, Any]) -> OutputChecker:
        _check_dialect(schema)
        subschemas = check_expansion(schema, _SUBSCHEMAS)
        try:
            validator = jsonschema_rs.validator_for(
                schema, offline=True, validate_formats=False, pattern_options=patterns
            )
        except ValueError as error:
            # The library's own words quote the schema at any length.
            raise ValueError("is not a valid schema of its dialect") from error

        def check(value: Any) -> Mismatch | None:
            check_extent(value, _STEPS // subschemas)
            try:
                validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return Mismatch(_pointer(error.instance_path), error.kind.name)
            return None

        return check

    return compile_


def _check_dialect(schema: dict[str, Any]) -> None:
    dialect = schema.get("$schema")
    if dialect is not None and not (isinstance(dialect, str) and dialect.removesuffix("#") in _DIALECTS):
        raise ValueError(f"is written in a dialect of JSON Schema that is not known here, {str(dialect)[:100]!r}")


def _pointer(path: list[str | int]) -> str:
    """A place in a value (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
