"""Writes those parts of the documentation that repeat what the code says: tables and state diagrams.

    make docs, or in the project's environment: python docs/generate.py

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->`` in any page of this directory, and is
what the function ``_NAME`` below returns; the name of a transition table stands for its diagram.  Everything else on a
page is written by hand.  ``tests/test_docs.py`` fails when a part is out of date, or when a transition table has no
diagram.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import pairwise
from pathlib import Path

import attrs
import spec_coverage

from mcpcore import commands, errors
from mcpcore.limits import Limits
from mcpcore.rules import transitions
from mcpcore.statistics import Statistics

DOCS = Path(__file__).resolve().parent

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
_COMMAND_ROW = re.compile(r"^:class:`(\w+)`\s+(.+)$", re.MULTILINE)
_IVAR = re.compile(r"^:ivar (\w+): (.+(?:\n[ ].+)*)", re.MULTILINE)

Table = Mapping[tuple[Enum, Enum], Enum]


def transition_tables() -> dict[str, Table]:
    """Every transition table of the library, by name."""
    return {name: table for name, table in vars(transitions).items() if name.isupper() and isinstance(table, Mapping)}


def updated(page: str) -> str:
    """The text of a page, with each generated part as it should be."""
    return _PART.sub(lambda part: f"{part[1]}{_produce(part[2])}\n{part[3]}", page)


def parts(page: str) -> list[str]:
    """The names of a page's generated parts."""
    return [part[2] for part in _PART.finditer(page)]


def _produce(name: str) -> str:
    tables = transition_tables()
    return _diagram(tables[name]) if name in tables else _PRODUCERS[name]()


def _diagram(table: Table) -> str:
    """A transition table as a Mermaid state diagram; several events that lead the same way share an arrow."""
    arrows: dict[tuple[Enum, Enum], list[str]] = {}
    for (state, event), target in table.items():
        arrows.setdefault((state, target), []).append(event.value)
    states = list(type(next(iter(table))[0]))
    final = [state for state in states if all(target is state for (source, target) in arrows if source is state)]
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{state.value}" as {state.name}' for state in states]
    lines.append(f"    [*] --> {states[0].name}")
    lines += [f"    {a.name} --> {b.name}: {' / '.join(events)}" for (a, b), events in arrows.items()]
    lines += [f"    {state.name} --> [*]" for state in final]
    return "\n".join([*lines, "```"])


def _limits() -> str:
    """Every field of Limits, its default, and the sentence that stands below it in the code."""
    meanings, defaults = _attribute_docstrings(Limits), attrs.asdict(Limits())
    rows = [(f"`{name}`", _amount(name, default), meanings[name]) for name, default in defaults.items()]
    return _table(("Field", "Default", "What it bounds"), rows)


def _errors() -> str:
    """Every error, what it is besides, what it means and what it carries."""
    found = [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, errors.McpError)]
    return _table(("Error", "Is also", "What happened", "Carries"), map(_error_row, found))


def _error_row(error: type[errors.McpError]) -> tuple[str, ...]:
    text = inspect.getdoc(error) or ""
    prose = text.partition("\n:ivar")[0]
    bases = [base.__name__ for base in error.__bases__ if base not in (errors.McpError, Exception)]
    carries = [f"`.{name}`: {_flow(meaning).rstrip('.')}" for name, meaning in _IVAR.findall(text)]
    return f"`{error.__name__}`", ", ".join(f"`{base}`" for base in bases), _flow(prose), "; ".join(carries)


def _commands() -> str:
    """What an operation asks for, and how each is answered."""
    rows = [(f"`{name}`", answer) for name, answer in _COMMAND_ROW.findall(commands.__doc__ or "")]
    return _table(("Command", "Answered by"), [(name, _flow(answer)) for name, answer in rows])


def _statistics() -> str:
    """What a client tells about itself in numbers."""
    meanings = dict(_IVAR.findall(inspect.getdoc(Statistics) or ""))
    rows = [(f"`{field.name}`", _flow(meanings[field.name])) for field in attrs.fields(Statistics)]
    return _table(("Field", "What it tells"), rows)


def _spec_counts() -> str:
    """How many statements of the specification bind a client, and how many of those a test holds."""
    return _table(spec_coverage.COUNTS, spec_coverage.count_rows())


def _spec_coverage() -> str:
    """What the specification demands of a client, topic by topic, and what holds it."""
    topics = spec_coverage.topic_rows()
    return "\n\n".join(f"## {title}\n\n{_table(spec_coverage.COLUMNS, rows)}" for title, rows in topics)


_PRODUCERS: dict[str, Callable[[], str]] = {
    "limits": _limits,
    "errors": _errors,
    "commands": _commands,
    "statistics": _statistics,
    "spec_counts": _spec_counts,
    "spec_coverage": _spec_coverage,
}


def _attribute_docstrings(cls: type) -> dict[str, str]:
    """The string below each annotated attribute of a class, which Python itself throws away."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for above, below in pairwise(body.body):
        match [above, below]:
            case [ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text)))]:
                found[name] = _flow(text)
    return found


def _flow(text: str) -> str:
    """Docstring markup as Markdown, on one line."""
    plain = _ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text).replace("``", "`")
    return " ".join(plain.split())


def _amount(name: str, value: int | float) -> str:
    """A default for people to read: 16 MiB instead of 16777216."""
    if not name.endswith("_bytes"):
        return f"{value:,g} s" if isinstance(value, float) else f"{value:,}"
    return f"{value / 1024 / 1024:g} MiB" if value >= 1024 * 1024 else f"{value / 1024:g} KiB"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def main() -> None:
    """Bring every page up to date."""
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (new := updated(text)) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"updated {path.name}\n")


if __name__ == "__main__":
    main()
