"""What the program itself has to say: one line at a time, on stderr, so that stdout holds nothing but results."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

import click

from .text import one_line

_LOGGERS = ("mcpcore", "transports")


def tell(message: str) -> None:
    """Say one line."""
    click.echo(f"mcpcore: {one_line(message)}", err=True)


class _Teller(logging.Handler):
    """Says what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(f"warning: {record.getMessage()}")


@contextmanager
def warnings_told() -> Generator[None, None, None]:
    """Say what the library warns of while the block lasts: a tool that had to be left out, a session not ended."""
    teller = _Teller(logging.WARNING)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(teller)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(teller)
