"""``mcpcore``, or ``python -m transports``: the command line, if what it needs is installed."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command that ``sys.argv`` names, and return its exit code."""
    try:
        from .cli import run
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        print("mcpcore: the command line needs click and rich; install mcpcore[cli]", file=sys.stderr)  # noqa: T201 - there is no click to say it with
        return 2
    return run()


if __name__ == "__main__":
    sys.exit(main())
