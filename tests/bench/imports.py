"""What importing costs, over a bare interpreter, beside the imports that any such library needs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .measuring import ratio

ROUNDS = 15
STATEMENTS = {
    "bare": "pass",
    "floor": "import attrs, json, hashlib, hmac, logging, urllib.parse, base64",
    "mcpcore": "import mcpcore",
    "Client": "from mcpcore import Client",
    "transports": "import transports",
}


def cpu(statement: str) -> float:
    """Seconds of CPU of an interpreter that runs ``statement``."""
    before = os.times()
    subprocess.run([sys.executable, "-c", statement], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""})
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    for statement in STATEMENTS.values():
        cpu(statement)  # once, so that all of it is compiled
    figures: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            figures[name].append(cpu(statement))
    bare = statistics.median(figures["bare"])
    over = {name: [figure - bare for figure in values] for name, values in figures.items()}
    ratio("import mcpcore / the floor", over["mcpcore"], over["floor"], "at most 1.5")
    ratio("from mcpcore import Client / the floor", over["Client"], over["floor"], "no bound: names load on first use")
    ratio("import transports / the floor", over["transports"], over["floor"], "at most 3")
