"""Runs the project from a bare clone, with nothing on the machine but Python 3.11 or newer.

    python3 .ci/bootstrap.py demo           run the demo
    python3 .ci/bootstrap.py test           run the tests, with the coverage floors; words that follow are for pytest
    python3 .ci/bootstrap.py run CMD ...    run any command in the project's environment

Each verb first sees to the environment, `.venv/<version>` for the Python that runs this script: the packages
of `dev.lock`, by hash, and the project itself, editable. A stamp inside it says what it was made from, so a
second start costs nothing. uv installs it where there is one, otherwise the environment's own pip: slower,
same result.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "dev.lock"
ENVIRONMENT = ROOT / ".venv" / f"{sys.version_info.major}.{sys.version_info.minor}"
STAMP = ENVIRONMENT / "stamp"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

# The least that the tests must cover, in percent, of a package's lines and of its branches.
FLOORS = {"mcpcore": 100.0, "transports": 95.0}


def main(arguments: list[str]) -> int:
    """Carry out one verb; the exit status is that of what it ran."""
    if arguments == ["demo"]:
        prepare()
        return run("mcpcore", "demo")
    if arguments[:1] == ["test"]:
        prepare()
        return test(*arguments[1:])
    if arguments[:1] == ["run"] and len(arguments) > 1:
        prepare()
        return run(*arguments[1:])
    print(__doc__, file=sys.stderr)
    return 2


def prepare() -> None:
    """Make the environment, unless the stamp says that it is there already."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    print(f"making {ENVIRONMENT.relative_to(ROOT)} from {LOCK.name} ...", file=sys.stderr, flush=True)
    uv = find_uv()
    venv.create(ENVIRONMENT, clear=True, with_pip=uv is None)
    if uv:
        install = [uv, "pip", "install", "--quiet", "--python", PYTHON]
    else:
        install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", "-r", LOCK], check=True, cwd=ROOT)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "-e", "."], check=True, cwd=ROOT)
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """What an environment is made from: this Python, this place, and the two files that say what goes in."""
    place = f"{sys.version}\n{ROOT}\n".encode()
    return hashlib.sha256(place + LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()


def find_uv() -> str | None:
    """Where uv is, if it answers: a version manager's shim can stand on PATH with no uv behind it."""
    uv = shutil.which("uv")
    return uv if uv and subprocess.run([uv, "--version"], capture_output=True).returncode == 0 else None


def run(*command: str) -> int:
    """Run a command in the environment, as if it were activated."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which(command[0], path=path) or command[0]
    environ = os.environ | {"PATH": path, "VIRTUAL_ENV": str(ENVIRONMENT)}
    return subprocess.run([program, *command[1:]], cwd=ROOT, env=environ).returncode


def test(*words: str) -> int:
    """Run the tests under coverage, and hold the result against the floors."""
    with tempfile.TemporaryDirectory() as scratch:
        data, report = f"--data-file={scratch}/coverage", Path(scratch, "coverage.json")
        status = (
            run("coverage", "run", data, "-m", "pytest", *words)
            or run("coverage", "report", data)
            or run("coverage", "json", data, "-q", "-o", str(report))
        )
        return status or check_floors(json.loads(report.read_text())["files"])


def check_floors(files: dict[str, dict[str, dict[str, int]]]) -> int:
    """Print what was covered of each package; 1 if one is under its floor or was not measured at all."""
    failures = 0
    for package, floor in FLOORS.items():
        place = ("src", package)
        summaries = [entry["summary"] for name, entry in files.items() if Path(name).parts[:2] == place]
        lines = rate(summaries, "covered_lines", "num_statements")
        branches = rate(summaries, "covered_branches", "num_branches")
        passed = bool(summaries) and min(lines, branches) >= floor
        failures += not passed
        print(
            f"coverage of {package}: {len(summaries)} files, lines {lines:.2f} %, branches {branches:.2f} %, "
            f"floor {floor:g} %: {'ok' if passed else 'NOT ENOUGH'}"
        )
    return min(failures, 1)


def rate(summaries: list[dict[str, int]], covered: str, total: str) -> float:
    """The share, in percent, of `total` that is `covered`; all of nothing is 100."""
    whole = sum(summary[total] for summary in summaries)
    return 100.0 * sum(summary[covered] for summary in summaries) / whole if whole else 100.0


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"mcpcore needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    sys.exit(main(sys.argv[1:]))
