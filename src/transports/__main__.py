"""``mcpcore``, or ``python -m transports``: the command line, if what it needs is installed."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command that ``sys.argv`` names, and return its exit code."""
    try:
        from .cli import run

        return run()
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write("mcpcore: the command line needs click and rich; install mcpcore[cli]\n")
        return 2
    except KeyboardInterrupt:
        # Loading takes long enough for somebody to change their mind.
        return 130


if __name__ == "__main__":
    sys.exit(main())
