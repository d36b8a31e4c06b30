"""Servers from npm, in processes of their own: the one with everything, and examples of the TypeScript SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.node import Packages, find_packages
from support.processes import TESTS, running

MANIFEST = TESTS / "everything"
FREE_PORT = MANIFEST / "free_port.mjs"


def everything(transport: str) -> list[str | Path]:
    """The command that runs the server with everything: ``stdio``, ``sse`` or ``streamableHttp``."""
    packages = _packages()
    program = packages.program("@modelcontextprotocol/server-everything", "dist", "index.js")
    return [packages.node, program, transport]


@contextmanager
def starting_everything(transport: str) -> Iterator[Callable[[], str]]:
    """The server with everything, for the length of the block: ``sse`` or ``streamableHttp``."""
    node, *arguments = everything(transport)
    with running([node, "--import", FREE_PORT, *arguments]) as origin:
        yield origin


@contextmanager
def starting_example(name: str) -> Iterator[Callable[[], str]]:
    """An example server of the TypeScript SDK, for the length of the block."""
    packages = _packages()
    program = packages.program("@modelcontextprotocol/sdk", "dist", "esm", "examples", "server", f"{name}.js")
    with running([packages.node, "--import", FREE_PORT, program]) as origin:
        yield origin


def _packages() -> Packages:
    return find_packages(MANIFEST, "everything")
