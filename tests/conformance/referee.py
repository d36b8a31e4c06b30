"""The official referee of the protocol, the npm package ``@modelcontextprotocol/conformance``: get it, and ask it.

``support.node`` tells how it is installed, and how to move to another version.

Scenarios are run one at a time, because only then does the referee count the client's own exit status.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from attrs import frozen
from support.node import ROOT, find_packages

HERE = Path(__file__).resolve().parent
NAME = "@modelcontextprotocol/conformance"
CLIENT = [sys.executable, "-W", "error", str(HERE / "client.py")]


@frozen
class Verdict:
    """What the referee said of one run.

    :ivar passed: whether it is content: no check failed or warned, and the client ended well and in time.
    :ivar checks: every check that it made.
    :ivar client_errors: what the client wrote to its standard error.
    :ivar transcript: what the referee wrote, for people to read.
    """

    passed: bool
    checks: list[dict[str, Any]]
    client_errors: str
    transcript: str

    @property
    def judged(self) -> set[str]:
        """The ids of the checks that came to a judgement."""
        return {check["id"] for check in self.checks if check["status"] in ("SUCCESS", "FAILURE", "WARNING")}

    @property
    def failed(self) -> set[str]:
        """The ids of the checks that failed; one that only warned has failed, as it has for the referee."""
        return {check["id"] for check in self.checks if check["status"] in ("FAILURE", "WARNING")}


@frozen
class Referee:
    """An installed referee.

    :ivar node: the Node.js that runs it.
    :ivar program: its entry point.
    :ivar compiled: where Node.js keeps what it has compiled, because most of its time goes into that.
    """

    node: Path
    program: Path
    compiled: Path

    def required(self, version: str) -> list[str]:
        """The scenarios for clients that a revision requires."""
        return self._scenarios("--requirements", version)

    def listed(self) -> dict[str, list[str]]:
        """All scenarios for clients, and the revisions that each is for; one of an extension is for "extension"."""
        named = (line.rstrip("]").split(" [") for line in self._scenarios())
        return {scenario: versions.split(",") for scenario, versions in named}

    def _scenarios(self, *arguments: str) -> list[str]:
        program: list[str | Path] = [self.node, self.program, "list", "--client", *arguments]
        listed = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout
        _, _, of_clients = listed.partition("Client scenarios")
        lines = of_clients.partition("\n\n")[0].splitlines()
        return [line.strip().removeprefix("- ") for line in lines[1:]]

    def run(self, scenario: str, version: str, loop: str, scratch: Path) -> Verdict:
        """Let the client play one scenario, at one revision, on one event loop.

        :param scratch: an empty directory, for what the referee writes down.
        """
        # An extension's scenario belongs to no revision, and is only run by force.
        arguments = ["--scenario", scenario, "--spec-version", version, "--force", "--output-dir", str(scratch)]
        settings = {
            "MCPCORE_BACKEND": loop,
            "NODE_NO_WARNINGS": "1",
            "NODE_COMPILE_CACHE": str(self.compiled),
        }
        finished = subprocess.run(
            [self.node, self.program, "client", "--command", shlex.join(CLIENT), *arguments],
            cwd=ROOT,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=60,
        )
        transcript = finished.stdout + finished.stderr
        checks = json.loads(_only_file(scratch, "checks.json") or "[]")
        return Verdict(finished.returncode == 0, checks, _only_file(scratch, "stderr.txt"), transcript)


def find_referee() -> Referee:
    """The referee, installed now if it isn't yet."""
    version = json.loads((HERE / "package.json").read_text())["dependencies"][NAME]
    packages = find_packages(HERE, f"referee-{version}")
    return Referee(packages.node, packages.program(NAME, "dist", "index.js"), packages.home / "compiled")


def _only_file(scratch: Path, name: str) -> str:
    """What the one file of that name says, below ``scratch``; empty if there is none."""
    return "".join(path.read_text() for path in scratch.rglob(name))
