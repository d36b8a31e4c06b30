"""What a program can count of what it ought to have given back."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path

OURS = ("mcpcore.", *(f"transports.{part}" for part in ("client", "driver", "engines", "run")), "httpcore", "httpx")


def objects_of_ours() -> dict[str, int]:
    """How many objects of each type of the library's there are."""
    gc.collect()
    types = (type(thing) for thing in gc.get_objects())
    return Counter(f"{cls.__module__}.{cls.__qualname__}" for cls in types if cls.__module__.startswith(OURS))


def open_files() -> int | None:
    """How many files and sockets this process has open, where that can be seen."""
    listing = Path("/proc/self/fd")
    return len(os.listdir(listing)) if listing.exists() else None
