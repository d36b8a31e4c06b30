"""Servers in processes of their own, each behind a gate that notes what came and refuses outdated tokens.

What a server's process does is in ``support.servers``; this is the tests' end of it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from attrs import define, field, frozen

from mcpcore import RequestContext
from support.adapters import tls

TESTS = Path(__file__).parents[1]


@contextmanager
def starting(module: str, *arguments: str) -> Iterator[Callable[[], str]]:
    """A server of ``support.servers`` that runs for the length of the block, as :func:`running` yields it."""
    with running([sys.executable, "-m", f"support.servers.{module}", *arguments]) as origin:
        yield origin


@contextmanager
def running(command: Sequence[str | Path]) -> Iterator[Callable[[], str]]:
    """A server that runs for the length of the block, as a function that waits for it and returns its origin.

    Its first line of output is the port at which it listens, and it ends when its standard input does.
    """
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(command, cwd=TESTS, stdin=pipe, stdout=pipe, stderr=complaints, text=True) as process,
    ):

        def origin() -> str:
            assert process.stdout is not None
            port = process.stdout.readline().strip()  # It listens already when it says where.
            if not port:
                complaints.seek(0)
                pytest.fail(f"{command} did not start: {complaints.read()}")
            return f"http://127.0.0.1:{port}"

        yield origin
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()


@frozen
class Gate:
    """The gate of the server at ``origin``."""

    origin: str

    async def requests(self) -> list[dict[str, Any]]:
        """What the gate noted since it was asked last."""
        async with httpx.AsyncClient(verify=tls()) as client:
            notes: list[dict[str, Any]] = (await client.get(f"{self.origin}/gate")).json()
        return notes

    async def refuse_older_than(self, generation: int) -> None:
        """Let the gate refuse the tokens of earlier generations."""
        async with httpx.AsyncClient(verify=tls()) as client:
            await client.post(f"{self.origin}/gate?{generation}")


@define
class Issuer:
    """Issues tokens that are used once, and that a new generation makes worthless."""

    generation: int = 1
    serial: int = 0

    def issue(self, user: str, generation: int) -> str:
        self.serial += 1
        return f"{user}.{generation}.{self.serial}"


@define
class Wallet:
    """What resolves headers in the user's program: it learns of a new generation only when a token is refused."""

    issuer: Issuer = field(factory=Issuer)
    known: dict[str, int] = field(factory=dict[str, int])
    resolved: dict[str, RequestContext] = field(factory=dict[str, RequestContext])

    async def __call__(self, context: RequestContext) -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        user = str(context.principal)
        if context.attempt == 2 or user not in self.known:
            self.known[user] = self.issuer.generation
        authorization = f"Bearer {self.issuer.issue(user, self.known[user])}"
        self.resolved[authorization] = context
        return {"Authorization": authorization, "X-User": user}
