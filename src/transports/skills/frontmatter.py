"""The head of a ``SKILL.md``: YAML between two lines of three dashes.

A server renders that head as JSON in a skill's entry, and the two are to be the same.  So it is read by the rules that
YAML 1.2 shares with JSON (its core schema): a date, ``on`` and ``yes`` are strings.  What two readers could take for
two things, or what could grow while it is read, is refused: a name that is there twice, an alias, a tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from mcpcore.codecs.shapes import as_object

_LONGEST = 16 * 1024
_MOST_BRACKETS = 500
_DEEPEST = 50

_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"(?:~|null|Null|NULL)?"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]+"), int),
    (re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"), float),
)
"""What a scalar without quotes is, if it is no string (YAML 1.2, section 10.3.2)."""


def read_frontmatter(text: str) -> dict[str, Any]:
    """The fields of the head.

    :param text: the whole file.
    :raises ValueError: if there is no head that can be read; in words that do not repeat it.
    """
    first, *rest = text.split("\n")
    ends = [number for number, line in enumerate(rest) if line.rstrip() == "---"]
    if first.rstrip() != "---" or not ends:
        raise ValueError("it does not begin and end with three dashes")
    head = "".join(line + "\n" for line in rest[: ends[0]])
    if len(head) > _LONGEST:
        raise ValueError("it is too long")
    try:
        _check_simple(head)
        fields = as_object(_value(yaml.compose(head, Loader=yaml.SafeLoader)))
    except (yaml.YAMLError, RecursionError, ValueError):
        raise ValueError("it is not the YAML that a head may be") from None
    if fields is None:
        raise ValueError("it has no fields")
    return fields


def _check_simple(head: str) -> None:
    """Refuse what is not to be in a head, and what takes a parser long."""
    if head.count("[") + head.count("{") > _MOST_BRACKETS:
        raise ValueError("too many brackets")
    depth = 0
    for event in yaml.parse(head, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise ValueError("an alias, or a tag")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("nested too deep")


def _value(node: yaml.Node | None) -> Any:
    match node:
        case yaml.MappingNode():
            fields = [(_value(name), _value(value)) for name, value in node.value]
            if not all(isinstance(name, str) for name, _ in fields) or len(dict(fields)) < len(fields):
                raise ValueError("a name that is none, or is there twice")
            return dict(fields)
        case yaml.SequenceNode():
            return [_value(item) for item in node.value]
        case yaml.ScalarNode(value=text, style=None):
            return next((make(text) for form, make in _PLAIN if form.fullmatch(text)), text)
        case yaml.ScalarNode(value=text):
            return text
        case _:
            return None
