"""What is said about the specification is well formed and names tests that exist, and no statement is overlooked."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from spec_coverage import REVISIONS, others, requirements
from spec_statements import LEVELS, page_statements

from mcpcore.rules import revisions

ROOT = Path(__file__).resolve().parent.parent
ALL = requirements()


@cache
def names_of(path: str) -> frozenset[str]:
    """The tests of a file, by name; those of a class by ``Class::name``."""
    file = ROOT / path
    return frozenset(_named(ast.parse(file.read_text(encoding="utf-8")).body)) if file.is_file() else frozenset()


def _named(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name
        elif isinstance(node, ast.ClassDef):
            yield from _named(node.body, f"{node.name}::")


def test_the_revisions_are_those_that_we_speak() -> None:
    assert set(REVISIONS) == set(revisions.REVISIONS)
    assert {place.revision for demand in ALL for place in demand.places} <= set(REVISIONS)
    assert {place.revision for place in others()} <= set(REVISIONS)


def test_every_test_that_is_named_exists() -> None:
    named = {test: test.partition("::") for demand in ALL for test in demand.tests}
    assert [test for test, (path, _, name) in named.items() if name not in names_of(path)] == []


def test_every_statement_has_tests_or_a_reason() -> None:
    assert [demand.says for demand in ALL if bool(demand.tests) == bool(demand.reason)] == []
    assert [demand.says for demand in ALL if not demand.says or not demand.places] == []


def test_every_level_is_one_and_only_a_group_has_none() -> None:
    assert [demand.says for demand in ALL if demand.level is not None and demand.level not in LEVELS] == []
    assert [demand.says for demand in ALL if demand.level is None and demand.reason is None] == []


def test_every_place_is_well_formed_and_either_ours_or_anothers() -> None:
    ours, theirs = {place for demand in ALL for place in demand.places}, others()
    for place in (*ours, *theirs):
        assert re.fullmatch(r"[0-9a-f]{8}", place.digest), place
        assert re.fullmatch(r"[\w/-]+", place.page), place
        assert re.fullmatch(r"[\w-]*", place.section), place
    assert {(place.revision, place.digest) for place in ours} & {
        (place.revision, place.digest) for place in theirs
    } == set()
    ordinals = Counter((p.revision, p.page, p.section, p.ordinal) for p in (*ours, *theirs))
    assert [where for where, count in ordinals.items() if count > 1] == []


def test_no_number_of_a_section_is_left_out() -> None:
    sections: dict[tuple[str, str, str], set[int]] = {}
    for place in (*others(), *(place for demand in ALL for place in demand.places)):
        sections.setdefault((place.revision, place.page, place.section), set()).add(place.ordinal)
    assert [where for where, numbers in sections.items() if numbers != set(range(1, len(numbers) + 1))] == []


PAGE = """---
title: MUST not be read
---

The client **MUST** ask. It may wait, e.g. A while, and [SHOULD](/x) _stop_
later.

## Two Words

```json
"MUST"
```

Clients **SHOULD**:

1. Look
   - nor at what is under it
2. **MUST NOT** leap. They RECOMMENDED it
   themselves.
3. Listen. At length.

<Note>A note is REQUIRED.</Note>

| Where | It SHALL be |
"""
FOUND = [
    ("", 1, ("MUST",), "The client MUST ask."),
    ("", 2, ("SHOULD",), "It may wait, e.g. A while, and SHOULD stop later."),
    ("two-words", 1, ("SHOULD",), "Clients SHOULD: Look"),
    ("two-words", 2, ("SHOULD",), "Clients SHOULD: Listen."),
    ("two-words", 3, ("MUST NOT",), "MUST NOT leap."),
    ("two-words", 4, ("RECOMMENDED",), "They RECOMMENDED it themselves."),
    ("two-words", 5, ("REQUIRED",), "A note is REQUIRED."),
    ("two-words", 6, ("SHALL",), "| Where | It SHALL be |"),
]


def test_the_statements_of_a_page() -> None:
    found = page_statements("page", PAGE)
    assert [(one.section, one.ordinal, one.levels, one.text) for one in found] == FOUND
    assert {one.page for one in found} == {"page"}


@pytest.mark.parametrize(("one", "other"), [("**MUST**  a\n`b`", "MUST a b"), ("[MUST](/x) a", "[MUST](/y) a")])
def test_markup_and_white_space_are_not_in_a_digest(one: str, other: str) -> None:
    [first], [second] = page_statements("page", one), page_statements("page", other)
    assert first.digest == second.digest
    [third] = page_statements("page", other + " c")
    assert third.digest != second.digest


def test_the_schema_reference_is_html() -> None:
    source = (
        '<div class="tsd-anchor-link" id="icon-src"></div><p>One <code>MUST</code> be\nread.</p>'
        '<details class="tsd-tag-example">It SHOULD not.</details>'
    )
    [found] = page_statements("schema", source)
    assert (found.section, found.text) == ("icon-src", "One MUST be read.")
