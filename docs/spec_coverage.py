"""What the specification demands of a client, and which test holds it: what ``docs/spec-coverage`` says.

Each file there but ``others.toml`` is a topic.  A ``[[requirement]]`` says in our own words what is demanded
(``says``), how strictly (``level``), where (``revisions``), and which tests hold it (``tests``) or why none does
(``reason``).  A ``[[group]]`` is several statements that one reason answers.

A place is ``PAGE#SECTION NUMBER:DIGEST``, with more numbers if one section says it more than once: the statement's
number among the normative ones of that section, and the digest of its text, as :mod:`spec_statements` finds them.
``others.toml`` has in the same form the statements that bind somebody else: servers, authorization servers,
intermediaries, models.  So each statement is somewhere, and ``spec_statements`` can tell when one is not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

DATA = Path(__file__).resolve().parent / "spec-coverage"
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")

COUNTS = ("Revision", "Bind a client", "Held by tests", "Not held, and why is said", "Bind others")
COLUMNS = ("Level", "What holds", "Where", "Held by, or why not")

_SITE = "https://modelcontextprotocol.io/specification"


@attrs.frozen
class Place:
    """Where a statement stands, and the digest of its text."""

    revision: str
    page: str
    section: str
    ordinal: int
    digest: str

    @property
    def link(self) -> str:
        """To the section, named by its revision."""
        anchor = f"#{self.section}" if self.section else ""
        return f"[{self.revision}]({_SITE}/{self.revision}/{self.page.removesuffix('/index')}{anchor})"


@attrs.frozen
class Requirement:
    """One demand, or a group of them (which has no level): its places, and what answers it."""

    topic: str
    level: str | None
    says: str
    places: tuple[Place, ...]
    tests: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def state(self) -> str:
        """The column of :data:`COUNTS` that its statements count in."""
        return COUNTS[2] if self.tests else COUNTS[3]


def requirements() -> list[Requirement]:
    """All that binds a client, topic by topic."""
    return [requirement for topic in _topics() for requirement in _read(topic)]


def others() -> list[Place]:
    """All that binds somebody else."""
    found = tomllib.loads((DATA / "others.toml").read_text(encoding="utf-8"))
    return [
        place
        for revision, sections in found.items()
        for section, statements in sections.items()
        for place in _places(revision, [f"{section} {statements}"])
    ]


def count_rows() -> Iterator[tuple[str, ...]]:
    """For each revision, how many statements there are of each kind; one that is repeated counts once."""
    digests = {(revision, column): set[str]() for revision in REVISIONS for column in COUNTS[1:]}
    for requirement in requirements():
        for place in requirement.places:
            digests[place.revision, requirement.state].add(place.digest)
            digests[place.revision, COUNTS[1]].add(place.digest)
    for place in others():
        digests[place.revision, COUNTS[4]].add(place.digest)
    return ((revision, *(str(len(digests[revision, column])) for column in COUNTS[1:])) for revision in REVISIONS)


def topic_rows() -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Each topic's title and table."""
    for topic in _topics():
        yield topic["title"], [_row(requirement) for requirement in _read(topic)]


def _topics() -> list[dict[str, Any]]:
    paths = sorted(path for path in DATA.glob("*.toml") if path.stem != "others")
    topics = [tomllib.loads(path.read_text(encoding="utf-8")) for path in paths]
    return sorted(topics, key=lambda topic: topic["order"])


def _read(topic: Mapping[str, Any]) -> Iterator[Requirement]:
    for entry in [*topic.get("requirement", ()), *topic.get("group", ())]:
        places = [place for revision, texts in entry["revisions"].items() for place in _places(revision, texts)]
        yield Requirement(
            topic["title"],
            entry.get("level"),
            entry["says"],
            tuple(places),
            tuple(entry.get("tests", ())),
            entry.get("reason"),
        )


def _places(revision: str, texts: Iterable[str]) -> Iterator[Place]:
    for text in texts:
        where, *statements = text.split()
        page, _, section = where.partition("#")
        for statement in statements:
            ordinal, _, digest = statement.partition(":")
            yield Place(revision, page, section, int(ordinal), digest)


def _row(requirement: Requirement) -> tuple[str, ...]:
    numbers: dict[str, list[str]] = {}
    for place in _first_places(requirement.places):
        numbers.setdefault(place.link, []).append(str(place.ordinal))
    where = ", ".join(f"{link} {' '.join(ordinals)}" for link, ordinals in numbers.items())
    names = ", ".join(f"`{test.removeprefix('tests/')}`" for test in requirement.tests)
    return requirement.level or "any", requirement.says, where, names or requirement.reason or ""


def _first_places(places: Iterable[Place]) -> Iterable[Place]:
    """Without those at which a revision repeats itself word for word, as its schema reference does."""
    first: dict[tuple[str, str], Place] = {}
    for place in places:
        first.setdefault((place.revision, place.digest), place)
    return first.values()
