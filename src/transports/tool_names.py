"""What the servers of a run are called, and under which names it offers their tools.

Two servers may offer a tool of the same name, and a model must be able to tell them apart.  The rule:

1. A tool keeps its bare name, unless a server that comes earlier in the run has a tool of that name.
2. The others get a *made* name, ``SERVER__TOOL``.  ``SERVER`` is the server's name, with whatever is not a letter or
   digit of ASCII, ``_`` or ``-`` as one ``_``, and without any ``_`` at its ends; ``server`` if nothing is left of it.
3. If that name is taken, by any bare name of the run or by a name made before, the first of ``_2``, ``_3``, … that
   makes it free is appended.  So no made name ever takes a bare one away, whichever server comes first.
4. A made name has at most 64 characters.  To fit, ``SERVER`` is cut down to no less than 8 characters, then the tool's
   name at its end.

So a made name is one that every provider of models accepts (``[a-zA-Z0-9_-]{1,64}``), if the bare name is.  A bare name
is never altered, because it is what the server's own documentation speaks of.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .config import ServerConfig

LONGEST = 64
"""How long a made name may be."""
SHORTEST_PREFIX = 8
"""What is left of a server's name, however long the tool's is."""

_NOT_IN_A_PREFIX = re.compile(r"[^a-zA-Z0-9_-]+")


def server_names(servers: Iterable[ServerConfig]) -> list[str]:
    """A name for each server: its own or the host of its URL, with ``-2``, ``-3``, … where an earlier one has it."""
    names = _Names("-")
    return [names.add((server.name or urlsplit(server.url).hostname or "").__add__) for server in servers]


def tool_names(offers: Sequence[tuple[str, str]]) -> list[str]:
    """A name for each tool of a run.

    :param offers: the server's name and the tool's, of each tool in order; no pair comes twice.
    """
    made = _Names("_", taken={tool for _, tool in offers})
    names = dict[str, None]()
    for server, tool in offers:
        names[tool if tool not in names else made.add(partial(_made, server, tool))] = None
    return list(names)


def _made(server: str, tool: str, suffix: str) -> str:
    """The name of ``tool`` with its server's in front and ``suffix`` behind it."""
    prefix = _NOT_IN_A_PREFIX.sub("_", server).strip("_") or "server"
    room = LONGEST - len(suffix)
    prefix = prefix[: max(room - len(f"__{tool}"), SHORTEST_PREFIX)]
    return f"{prefix}__{tool}"[:room] + suffix


@define
class _Names:
    """Names that are all different: the first free one without a suffix, or with as small a number as can be."""

    _mark: str
    _taken: set[str] = field(factory=set[str], alias="taken", kw_only=True)
    _numbers: dict[str, int] = field(factory=dict[str, int], init=False)

    def add(self, named: Callable[[str], str]) -> str:
        """The name that ``named`` makes of the first suffix that makes it free."""
        name = named("")
        if name in self._taken:
            # Where many names are cut to the same, none of them counts from the beginning.
            first = named(f"{self._mark}2")
            number = self._numbers.get(first, 2)
            while (name := named(f"{self._mark}{number}")) in self._taken:
                number += 1
            self._numbers[first] = number + 1
        self._taken.add(name)
        return name
