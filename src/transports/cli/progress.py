"""How far a call has come: a bar on the terminal behind stderr, gone again when the call is over.

Where stderr is no terminal nothing is shown, and the server is not even asked to report.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

import mcpcore

from .text import one_line


@contextmanager
def progress_shown(name: str) -> Generator[Callable[[mcpcore.Progress], None] | None, None, None]:
    """Show progress while the block lasts, from the first report on.

    :param name: what is called, for reports that do not say what is being done.
    :returns: what to call with each report; None if nothing is to be shown.
    """
    screen = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if not sys.stderr.isatty() or screen.is_dumb_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1)),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True, expand=True) as bars:
        yield _Bar(bars, name)


class _Bar:
    """One bar, which is there from the first report on."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._task: TaskID | None = None

    def __call__(self, report: mcpcore.Progress) -> None:
        """Show one report; without a total, the bar only shows that something is being done."""
        doing = one_line(report.message or self._name)
        if self._task is None:
            self._task = self._bars.add_task(doing, total=None)
        self._bars.update(self._task, description=doing, completed=report.progress, total=report.total)
