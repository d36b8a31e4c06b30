"""Reads the text of the specification and lists what it demands: each statement with a MUST, a SHOULD or their like.

    python docs/spec_statements.py PATH

``PATH`` is the folder of a checkout of the specification in which there is a folder of ``.mdx`` pages per revision.
Prints the statements that ``docs/spec-coverage`` does not have, what it has that is not in the text, and levels that
the text has not; if there is nothing to print, nothing was forgotten, and the exit status is 0.

A statement is one sentence with a level in it, or one item of a list under a sentence with a level that ends in a
colon ("Clients SHOULD:").  It is known by its page, its section, its number among the section's statements, and the
first eight hexadecimal digits of the SHA-256 of its text without markup; the text itself is kept nowhere.
"""

from __future__ import annotations

import hashlib
import html
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import attrs
from spec_coverage import REVISIONS, Place, others, requirements

LEVELS = (
    *("MUST NOT", "MUST", "REQUIRED", "SHALL NOT", "SHALL"),
    *("SHOULD NOT", "SHOULD", "NOT RECOMMENDED", "RECOMMENDED"),
)

_LEVEL = re.compile(rf"\b(?:{'|'.join(LEVELS)})\b")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}", re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.*)$")
_ITEM = re.compile(r"^(\s*)(?:[-*+]|\d+[.)])\s+(.*)$")
_LINK = re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])?")
_TAG = re.compile(r"</?[A-Za-z][^>]*>")
_EMPHASIS = re.compile(r"(?<!\w)_(.+?)_(?!\w)")
_SENTENCE_END = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)(?<=[.!?])[)\"']?\s+(?=[\"'(\[A-Z0-9])")

# The schema reference is one page of HTML: a member's anchor opens a section, a block's end closes a paragraph.
_EXAMPLE = re.compile(r'<details class="tsd-tag-example">.*?</details>|<pre>.*?</pre>', re.DOTALL)
_ANCHOR = re.compile(r'<(?:div class="tsd-anchor-link"|section[^>]*) id="([^"]+)"[^>]*>')
_BLOCK = re.compile(r"</?(?:p|div|section|h\d|details|summary|ul|ol|table|tr|td)\b[^>]*>|<br\s*/?>")


@attrs.frozen
class Statement:
    """One normative statement, and where it stands."""

    page: str
    section: str
    ordinal: int
    levels: tuple[str, ...]
    text: str

    @property
    def digest(self) -> str:
        """What the statement is known by, whatever markup it has."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


@attrs.frozen
class _Block:
    """A paragraph, a list's item or a table's row in plain text; ``indent`` is -1 outside of lists."""

    section: str
    text: str
    indent: int = -1
    item: bool = False

    @property
    def sentences(self) -> list[str]:
        return _SENTENCE_END.split(self.text)


def statements(revision: Path) -> list[Statement]:
    """Every statement of the pages of one revision."""
    pages = {path.relative_to(revision).with_suffix("").as_posix(): path for path in sorted(revision.rglob("*.mdx"))}
    return [found for page, path in pages.items() for found in page_statements(page, path.read_text(encoding="utf-8"))]


def page_statements(page: str, source: str) -> list[Statement]:
    """Every statement of one page."""
    blocks = list(_html_blocks(source) if "tsd-" in source else _markdown_blocks(source))
    counts: Counter[str] = Counter()
    found: list[Statement] = []
    for section, text in _normative(blocks):
        counts[section] += 1
        levels = tuple(dict.fromkeys(_LEVEL.findall(text)))
        found.append(Statement(page, section, counts[section], levels, text))
    return found


def _normative(blocks: list[_Block]) -> Iterator[tuple[str, str]]:
    """Each sentence with a level; where it introduces a list, once with each item that has no level of its own."""
    for number, block in enumerate(blocks):
        *sentences, last = block.sentences
        yield from ((block.section, sentence) for sentence in sentences if _LEVEL.search(sentence))
        if _LEVEL.search(last):
            items = _items_below(block, blocks[number + 1 :]) if last.endswith(":") else []
            yield from ((block.section, text) for text in [f"{last} {item}" for item in items] or [last])


def _items_below(block: _Block, following: list[_Block]) -> list[str]:
    """The first sentences of the items of the list right below a block, without those that have their own level."""
    below = list(takewhile(lambda other: other.section == block.section and other.indent > block.indent, following))
    firsts = [other.sentences[0] for other in below if other.item and other.indent == below[0].indent]
    return [first for first in firsts if not _LEVEL.search(first)]


def _markdown_blocks(source: str) -> Iterator[_Block]:
    """The blocks of a page of Markdown, without its code, its tags and its markup."""
    section, lines, start = "", list[str](), _Block("", "")
    for line in [*_prose(source), ""]:
        heading, item = _HEADING.match(line), _ITEM.match(line)
        if lines and (heading or item or not line.strip() or line.lstrip().startswith("|")):
            yield attrs.evolve(start, text=_plain(" ".join(lines)))
            lines = []
        if heading:
            section = _slug(heading[1])
        elif item:
            lines, start = [item[2]], _Block(section, "", len(item[1]), item=True)
        elif line.strip():
            indent = len(line) - len(line.lstrip())
            start = start if lines else _Block(section, "", indent if indent > 1 else -1)
            lines.append(line.strip())


def _prose(source: str) -> Iterator[str]:
    """The lines of a page that are neither front matter nor code."""
    fence = ""
    for line in _TAG.sub("", _COMMENT.sub("", _FRONT_MATTER.sub("", source))).splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
            yield ""
        elif not fence:
            yield line


def _html_blocks(source: str) -> Iterator[_Block]:
    """The blocks of the schema reference; its headings are in Markdown, too."""
    section = ""
    marked = _ANCHOR.sub(r"\n# \1\n", _EXAMPLE.sub("", source))
    for block in re.split(r"\n(?=#)|(?<=\n)\n|\0", _BLOCK.sub("\0", marked)):
        heading, _, text = block.lstrip("\n").partition("\n") if block.lstrip("\n").startswith("#") else ("", "", block)
        section = _slug(heading.lstrip("# ")) if heading else section
        yield _Block(section, _plain(html.unescape(_TAG.sub("", text))))


def _plain(text: str) -> str:
    """Markup off, white space as one space."""
    bare = _EMPHASIS.sub(r"\1", re.sub(r"[*`]", "", _LINK.sub(r"\1", text)))
    return " ".join(bare.split())


def _slug(heading: str) -> str:
    return re.sub(r"[^\w-]", "", _plain(heading).lower().replace(" ", "-"))


def _complaints(specification: Path) -> Iterator[str]:
    """What the text and ``docs/spec-coverage`` do not agree about."""
    levels = {
        Place(revision, found.page, found.section, found.ordinal, found.digest): found
        for revision in REVISIONS
        for found in statements(specification / revision)
    }
    demands = [(place, demand.level) for demand in requirements() for place in demand.places]
    known = {*others(), *(place for place, _ in demands)}
    yield from (f"not covered: {place}\n    {levels[place].text}" for place in levels if place not in known)
    yield from (f"not in the text: {place}" for place in known if place not in levels)
    for place, level in demands:
        if level and place in levels and level not in levels[place].levels:
            yield f"not {level} in the text: {place}"


def main() -> None:
    """Say what was forgotten; exit with 1 if anything was."""
    if len(sys.argv) != 2:
        sys.exit("say in which folder the revisions of the specification are: python docs/spec_statements.py PATH")
    complaints = list(_complaints(Path(sys.argv[1])))
    sys.stdout.write("".join(f"{complaint}\n" for complaint in complaints))
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
