"""Text that somebody else wrote, made fit for a terminal.

A server's words may hold escape sequences that recolour, retitle or rewrite a terminal, marks that turn the direction
of reading, and characters that show nothing at all.  They are all shown as what they are.
"""

from __future__ import annotations

import unicodedata

_KEPT = frozenset("\n\t\u200c\u200d")
"""Line feed and tab, and the two joiners that scripts and emoji are written with."""
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls, format characters, lone surrogates, and the separators that only some programs break lines at."""


def visible(text: str) -> str:
    """``text`` with every character that a terminal could obey, or could not show, as an escape such as ``\\x1b``."""
    return "".join(
        character if character in _KEPT or unicodedata.category(character) not in _UNSAFE else _escaped(character)
        for character in text.replace("\r\n", "\n")
    )


def one_line(text: str) -> str:
    """The same on a single line, with runs of white space as one space."""
    return " ".join(visible(text).split())


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
