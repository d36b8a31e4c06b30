"""The challenges of a ``WWW-Authenticate`` field.

RFC 9110, section 11.6.1, makes one comma do two jobs: it separates challenges, and it separates the
parameters of a challenge.  The strategy is to cut the field at its commas first, those in quoted strings
aside, and to look at each element alone.  ``name=value`` belongs to the challenge begun last; a scheme,
perhaps with its first parameter or a token68 behind it, begins the next.  Several fields are one list
(section 5.3).

A server's mistake here must not hide its refusal, so what cannot be parsed is skipped, and nothing raises.
The patterns never back up over what they have passed: the work is linear in the length of the field.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import field, frozen

from mcpcore.codecs.header_fields import TOKEN
from mcpcore.redaction import redact_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_QUOTED = r'"((?:[^"\\]|\\.)*+)"'
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_PARAMETER = re.compile(rf"({TOKEN})[ \t]*+=[ \t]*+(?:({TOKEN})|{_QUOTED})", re.DOTALL)
_BEGINNING = re.compile(rf"({TOKEN})(?:[ \t]++(.*))?", re.DOTALL)
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]++=*")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def _read_only(parameters: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name.lower(): value for name, value in parameters.items()})


@frozen
class Challenge:
    """One way to authenticate that a server offers.

    :ivar scheme: for instance ``Bearer``, in the case that was sent; compare it without regard to case.
    :ivar parameters: its parameters, read-only, by lower-cased name; of a name that came twice, the first.
    :ivar token68: the unnamed value that some schemes have in place of parameters, or None.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default=MappingProxyType({}), converter=_read_only, repr=redact_names)
    token68: str | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[type[Challenge], tuple[str, dict[str, str], str | None]]:
        # Errors carry challenges and pickle; a read-only view of a mapping does not.
        return Challenge, (self.scheme, dict(self.parameters), self.token68)


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Parse the values of a response's ``WWW-Authenticate`` fields, in their order."""
    found: list[tuple[str, dict[str, str], str | None]] = []
    for element in _elements(values):
        if parameter := _parameter(element):
            if found:
                found[-1][1].setdefault(*parameter)
        elif beginning := _BEGINNING.fullmatch(element):
            scheme, rest = beginning[1], beginning[2] or ""
            first = _parameter(rest)
            token68 = rest if _TOKEN68.fullmatch(rest) else None
            found.append((scheme, dict([first] if first else []), token68))
    return tuple(Challenge(*parts) for parts in found)


def _elements(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        for element in _ELEMENT.findall(value):
            yield element.strip(" \t")


def _parameter(element: str) -> tuple[str, str] | None:
    """The lower-cased name and the unquoted value, if ``element`` is a parameter."""
    match = _PARAMETER.fullmatch(element)
    if match is None:
        return None
    name, token, quoted = match.groups()
    return name.lower(), token if quoted is None else _ESCAPED.sub(r"\1", quoted)
