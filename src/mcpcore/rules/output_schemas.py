"""What a tool promised to answer: the output schemas that an identity was shown, and what checks results by them.

A tool's definition may say what its structured results look like, and clients should hold results against that
(2026-07-28, "Tools", Output Schema).  JSON Schema is not the core's business: whoever makes a client may give it an
*output validator*, a function that makes a *checker* of a schema.  It is asked when a tool that promised something is
first called, not when it is listed.

Another identity may be shown another definition under the same name, so all of this is held by partition: schemas as
bytes, until they are too many; and of the checkers those that were used last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from mcpcore.limits import Limits


@frozen
class Mismatch:
    """Where a value breaks its schema.

    :ivar pointer: the place in the value, as a JSON pointer (RFC 6901); empty for the whole.
    :ivar keyword: the keyword of the schema that it breaks there.
    """

    pointer: str
    keyword: str

    def __str__(self) -> str:
        place = f"at {self.pointer[:200]!r}" if self.pointer else "as a whole"
        return f"{place}, by {self.keyword!r}"


OutputChecker: TypeAlias = Callable[[Any], Mismatch | None]
"""Says where a value breaks one schema, or None; raises ``ValueError`` for a value that it cannot judge."""

OutputValidator: TypeAlias = Callable[[dict[str, Any]], OutputChecker]
"""Makes the checker of a schema; raises ``ValueError``, with words that can follow "the schema", for one that it cannot
use.  It fetches nothing, and neither does a checker."""


@define(eq=False)
class OutputSchemas:
    """The output schemas of the tools that one identity was shown."""

    _schemas: dict[str, bytes] = field(factory=dict[str, bytes], init=False, repr=False)
    _checkers: dict[str, OutputChecker | None] = field(
        factory=dict[str, "OutputChecker | None"], init=False, repr=False
    )
    _bytes: int = field(default=0, init=False)

    def remember(self, name: str, schema: dict[str, Any] | None, limits: Limits) -> None:
        """Remember what the tool ``name`` promises, in place of an earlier promise; the oldest go first."""
        try:
            text = None if schema is None else jsonrpc.dump(schema)
        except LocalProtocolError:
            text = None  # It holds what JSON has no form for, such as a number too large to be one.
        if text == self._schemas.get(name):
            return
        self._forget(name)
        if text is not None:
            self._schemas[name] = text
            self._bytes += _size(name, text)
        while self._bytes > limits.output_schema_bytes:
            self._forget(next(iter(self._schemas)))

    def checker(self, name: str, make: OutputValidator, limits: Limits) -> OutputChecker | None:
        """What checks the results of the tool ``name``, or None if it promised nothing that can be checked.

        :param make: is asked if there is none yet.
        :raises ValueError: what ``make`` raised.
        """
        if name not in self._schemas:
            return None
        checker = self._checkers.pop(name) if name in self._checkers else make(jsonrpc.load(self._schemas[name]))
        self._checkers[name] = checker
        while len(self._checkers) > limits.output_checkers:
            del self._checkers[next(iter(self._checkers))]
        return checker

    def _forget(self, name: str) -> None:
        self._checkers.pop(name, None)
        if (text := self._schemas.pop(name, None)) is not None:
            self._bytes -= _size(name, text)


def _size(name: str, text: bytes) -> int:
    """About how many bytes a promise takes: what its server chose, and the objects around it."""
    return len(name) + len(text) + 200
