"""Every Python example of the documentation runs, and gives the result that is printed beside it.

The ```python blocks of a page run in order in one namespace; those with `>>>` are doctests.
"""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str) -> None:
    parsers = [PythonCodeBlockParser(), SkipParser()]
    for example in Sybil(parsers=parsers, path=str(DOCS)).parse(DOCS / page):
        example.evaluate()
