"""``mcpcore demo``: every request of two users on one client, and who was seen where.

The report is a table for each scene (an event loop and an era), then one verdict on all of them.  Colours tell the
users apart at a glance; the words say the same without them.
"""

from __future__ import annotations

from functools import partial
from itertools import chain

import click
from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mcpcore import ConfigurationError

from ..demo import Era, Evidence, Line, Verdict, judge, lines, play, total
from ..loops import LOOPS
from .failures import ExitCode
from .output import console
from .running import run_on
from .text import one_line

INTRODUCTION = (
    "Alice and Bob share one client of one MCP server, which runs here on a loopback socket. Every request carries the "
    "project's credential, always the same, and the name and token of the user whom it is made for, resolved for this "
    "request alone. A token is good for two requests; #1 is a user's first. The server offers each user other tools, "
    "and answers a call once the other user's is there as well."
)
ERAS = {
    Era.MODERN: "modern era: no sessions",
    Era.HANDSHAKE: "handshake era: no discovery (400), one session a user",
}
COLOURS = {"alice": "cyan", "bob": "magenta"}
HIDDEN = "***"
WIDTH = 100
"""Prose is not set wider than this."""


@click.command()
def demo() -> ExitCode:
    """Watch two users share one client.

    Every request of both is shown, on asyncio and on trio, and who was seen where. The server is started on this
    machine, for as long as it takes.
    """
    screen = console()
    _show(screen, Text(INTRODUCTION), width=min(WIDTH, screen.width))
    return _conclude(screen, total(chain.from_iterable(_perform(screen, loop) for loop in LOOPS)))


def _perform(screen: Console, loop: str) -> list[Verdict]:
    """Play every scene on one event loop, if it is there, and report each."""
    try:
        return [_report(screen, loop, run_on(loop, partial(play, era))) for era in Era]
    except ConfigurationError as error:
        _show(screen, Text(str(error), "yellow"))
        return []


def _report(screen: Console, loop: str, evidence: Evidence) -> Verdict:
    _show(screen, heading(loop, evidence.era), below=0)
    _show(screen, requests_table(evidence))
    return judge(evidence)


def _conclude(screen: Console, verdict: Verdict) -> ExitCode:
    _show(screen, verdict_table(verdict))
    for finding in verdict.leaks + verdict.faults:
        _show(screen, Text(one_line(finding), "red"), below=0)
    return ExitCode.OK if verdict.holds else ExitCode.FAILED


def _show(screen: Console, what: RenderableType, *, below: int = 1, width: int | None = None) -> None:
    screen.print(Padding(what, (0, 1, below, 1)), width=width)


def heading(loop: str, era: Era) -> Text:
    """What is above a scene's table."""
    return Text.assemble((loop, "bold"), "  ", (era.value, "bold"), "  ", (ERAS[era], "dim"))


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.header_style = table.border_style = "dim"
    return table


def requests_table(evidence: Evidence) -> Table:
    """Every request of a scene, in the order in which the server received them.

    The columns are as wide as their longest content in any scene, so that all tables of a report line up.
    """
    table = _table()
    table.add_column("", justify="right", style="dim", width=2)
    table.add_column("kind", style="dim", width=12)
    table.add_column("request", width=25)
    table.add_column("status", justify="right", width=6)
    table.add_column("user", width=5)
    table.add_column("token", width=6)
    table.add_column("session", width=7)
    for line in lines(evidence):
        table.add_row(*_cells(line))
    return table


def _cells(line: Line) -> tuple[Text | str, ...]:
    colour = COLOURS.get(line.user, "red")
    return (
        str(line.number),
        line.kind,
        one_line(line.rpc),
        str(line.status),
        Text(one_line(line.user) or "none", colour),
        Text(f"{HIDDEN} #{line.generation}" if line.generation else "none", colour),
        Text(f"{HIDDEN} #{line.session}" if line.session else "", colour),
    )


def verdict_table(verdict: Verdict) -> Table:
    """What all scenes together prove."""
    table = _table()
    table.add_column(Text("verdict", "bold"))
    table.add_column("", justify="right")
    table.add_column("", style="dim")
    counts = (
        ("requests", verdict.requests, "the project's credential on each"),
        ("resolver calls", verdict.resolutions, "one for each request"),
        ("tokens", verdict.tokens, "each with its own user only"),
        ("sessions", verdict.sessions, "each with one user only"),
        ("answers", verdict.answers, "each about the user who asked"),
        ("cross-identity leaks", len(verdict.leaks), "in any request, session or answer"),
    )
    for name, count, meaning in counts:
        # Of a verdict that does not hold, the counts are all that can be said in one breath.
        table.add_row(name, str(count), meaning if verdict.holds else "")
    table.rows[-1].style = "bold red" if verdict.leaks else "bold green"
    return table
