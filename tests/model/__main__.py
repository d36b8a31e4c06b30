"""``python -m tests.model STEPS [SEED]``: walk at random through worlds, and say what happened there.

Each world has a seed of its own, counted up from SEED.  When something is wrong, the seed of its world and the few
steps that are needed for it are printed; with that seed, a walk of 1 step walks through that one world again.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections import Counter

from .chance import Failure, shortest, walk_by_chance

MOST_STEPS = 60


def main(steps: int, seed: int) -> int:
    """Walk; the exit status is 1 if something was wrong."""
    logging.disable(logging.CRITICAL)
    counts: Counter[str] = Counter()
    begun, worlds = time.perf_counter(), 0
    try:
        while counts["steps"] < steps:
            counts += walk_by_chance(seed + worlds)
            worlds += 1
    except Failure as failure:
        report(failure, seed + worlds)
        return 1
    seconds = time.perf_counter() - begun
    for name, count in sorted(counts.items()):
        print(f"{count:>12,} {name}")
    print(f"nothing wrong in {counts['steps']:,} steps through {worlds:,} worlds", end="")
    print(f", seeds {seed} to {seed + worlds - 1}, {counts['steps'] / seconds:,.0f} steps a second")
    return 0


def report(failure: Failure, seed: int) -> None:
    """Say what is wrong, and how to see it again."""
    print(f"{failure}\nin the world of seed {seed}; once more: python -m tests.model 1 {seed}\nThe steps it needs:")
    found = shortest(failure)
    print(f"  {found.setup}")
    for step in found.steps[-MOST_STEPS:]:
        print(f"  {step}")
    if len(found.steps) > MOST_STEPS:
        print(f"  (the last {MOST_STEPS} of {len(found.steps)})")
    traceback.print_exception(found.error, chain=False)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
