"""What the documentation says is so.

Every Python example runs and gives the result that is printed beside it: the ```python blocks of a page run in order in
one namespace, and those with ``>>>`` are doctests.  What a page repeats from the code is up to date, the links lead
somewhere, and a test that is named as a proof is there.
"""

import gc
import re
import runpy
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *DOCS.rglob("*.md")))
WITH_EXAMPLES = [page for page in PAGES if "```python" in (ROOT / page).read_text(encoding="utf-8")]
GENERATE = runpy.run_path(str(DOCS / "generate.py"))

LINK = re.compile(r"\]\((?!\w+:)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
TEST_NAME = re.compile(r"`(test_\w+)`")
TEST_FUNCTION = re.compile(r"^\s*(?:async )?def (test_\w+)\(", re.MULTILINE)


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_the_examples_of_a_page_run(page: str) -> None:
    for example in Sybil(parsers=[PythonCodeBlockParser(), SkipParser()], path=str(ROOT)).parse(ROOT / page):
        example.evaluate()
    gc.collect()  # what a page left open is this page's failure


def test_the_readme_has_an_example() -> None:
    assert "README.md" in WITH_EXAMPLES


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_repeats_from_the_code_is_up_to_date(page: str) -> None:
    text = text_of(page)
    assert GENERATE["updated"](text) == text, "run `make docs`"


def test_a_generated_part_that_is_out_of_date_is_noticed() -> None:
    text = text_of("docs/limits.md").replace("16 MiB", "17 MiB")
    assert GENERATE["updated"](text) == text_of("docs/limits.md") != text


def test_every_table_of_the_code_is_on_a_page() -> None:
    assert set(GENERATE["parts"](text_of("docs/state-machines.md"))) == GENERATE["transition_tables"]().keys()
    assert GENERATE["parts"](text_of("docs/limits.md")) == ["limits"]
    assert GENERATE["parts"](text_of("docs/errors.md")) == ["errors"]
    assert GENERATE["parts"](text_of("docs/pure-core.md")) == ["commands"]
    assert GENERATE["parts"](text_of("docs/caching.md")) == ["statistics"]


def leads_somewhere(page: str, target: str, anchor: str) -> bool:
    path = (ROOT / page).parent / target if target else ROOT / page
    if not path.exists():
        return False
    headings = HEADING.findall(path.read_text(encoding="utf-8")) if anchor else []
    return not anchor or anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    assert [link for link in LINK.findall(text_of(page)) if not leads_somewhere(page, *link)] == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    assert leads_somewhere("README.md", "docs/usage.md", "time")
    assert not leads_somewhere("README.md", "docs/usage.md", "space")
    assert not leads_somewhere("README.md", "docs/unwritten.md", "")


def test_the_tests_that_are_named_as_proofs_exist() -> None:
    written = {name for path in (ROOT / "tests").rglob("test_*.py") for name in TEST_FUNCTION.findall(path.read_text())}
    named = {name for page in PAGES for name in TEST_NAME.findall(text_of(page))}
    assert named
    assert named - written == set()
