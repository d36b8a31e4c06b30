"""Walks by chance: every choice comes from one seed, so that the same seed walks the same way again."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from attrs import evolve

from .callers import ASKS, CALLERS, PAGED, SHAPES, SHAPES_TO_KEEP, Setup
from .model import Violation
from .server import KIND, Whim
from .walk import Advance, Cancel, Pass, Publish, Push, Restart, Start, Step, Walk

_KINDNESS = (*KIND, *(Whim.WELL,) * 12, *(Whim.STREAM,) * 4)
_WHIMS = tuple(Whim)
_TIMES = (0.1, 0.1, 1.0, 6.0, 120.0, 2_000.0)
_BETWEEN_SEARCHES = 500


def setup_by_chance(dice: Random) -> Setup:
    """Any world."""
    era = dice.choice(("modern", "modern", "handshake", "sse"))
    store = dice.random() < 0.4
    return Setup(
        era=era,
        pinned=dice.random() < 0.5,
        changing=dice.random() < 0.2,
        small=dice.random() < 0.8,
        clock=dice.random() < 0.9,
        default_ttl=dice.choice((0.0, 5.0, 500.0, 500.0)),
        share_public=dice.random() < 0.5,
        opaque=dice.random() < 0.1,
        store=store,
        foreign=store and dice.random() < 0.3,
    )


def steps_by_chance(dice: Random, walk: Walk, count: int) -> Iterator[Step]:
    """Any ``count`` steps, each to be taken before the next is asked for."""
    names, plays = itertools.count(1), walk.plays
    trouble = dice.choice((0.0, 0.1, 0.3, 0.6))
    starting = dice.choice((0.08, 0.15, 0.3))
    callers = dice.sample(range(len(CALLERS)), dice.choice((2, 4, len(CALLERS))))
    asks = [0, *dice.sample(range(len(ASKS)), dice.choice((1, 4, len(ASKS))))]
    yield from (Publish(method, _shape(dice)) for method in range(len(PAGED)))
    for _ in range(count):
        kind = dice.random()
        if kind < starting or not plays:
            cache = dice.choice((0, 0, 0, 0, 0, 0, 1, 2))
            yield Start(next(names), dice.choice(callers), dice.choice(asks), cache, dice.randrange(2))
        elif kind < 0.95:
            whim = dice.choice(_WHIMS if dice.random() < trouble else _KINDNESS)
            is_push = walk.setup.era == "sse" and dice.random() < 0.3
            yield Push(dice.randrange(4), whim) if is_push else Advance(dice.choice(list(plays)), whim)
        else:
            yield _seldom(dice, list(plays))


def _seldom(dice: Random, plays: list[int]) -> Step:
    kind = dice.random()
    if kind < 0.3:
        return Cancel(dice.choice(plays))
    if kind < 0.6:
        return Pass(dice.choice(_TIMES))
    if kind < 0.9:
        return Publish(dice.randrange(len(PAGED)), _shape(dice))
    return Restart(dice.random() < 0.5)


def _shape(dice: Random) -> int:
    """How a list looks: mostly so that it can be kept."""
    return dice.randrange(SHAPES if dice.random() < 0.3 else SHAPES_TO_KEEP)


class Failure(Exception):
    """A walk that went wrong: where it started, the steps that it needs, and what then happens."""

    def __init__(self, setup: Setup, steps: Sequence[Step], error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.setup = setup
        self.steps = steps
        self.error = error


def walk_by_chance(seed: int, **known: Any) -> Counter[str]:
    """Walk through one world; the seed says which, and how.

    :param known: what of its setup is not left to chance.
    :raises Failure: if something happened that must not.
    """
    dice = Random(seed)
    setup = evolve(setup_by_chance(dice), **known)
    taken: list[Step] = []
    try:
        walk = Walk(setup)
        for step in steps_by_chance(dice, walk, dice.choice((300, 1_000, 3_000))):
            taken.append(step)
            if walk.take(step):
                walk.model.counts["steps"] += 1
            if len(taken) % _BETWEEN_SEARCHES == 0:
                walk.check_nothing_is_held()
        walk.finish()
    except Exception as error:
        raise Failure(setup, taken, error) from error
    return walk.model.counts


def walk_again(setup: Setup, steps: Sequence[Step]) -> Exception | None:
    """Take the same steps once more, or some of them; what goes wrong, if anything."""
    try:
        walk = Walk(setup)
        for step in steps:
            walk.take(step)
        walk.finish()
    except Exception as error:
        return error
    return None


def shortest(failure: Failure, seconds: float = 60.0) -> Failure:
    """The same kind of failure, by as few steps as are found within some time."""
    steps, error, until = list(failure.steps), failure.error, time.monotonic() + seconds
    size = len(steps)
    while size and time.monotonic() < until:
        position = 0
        while position < len(steps) and time.monotonic() < until:
            fewer = steps[:position] + steps[position + size :]
            found = walk_again(failure.setup, fewer)
            if found is not None and _kind(found) == _kind(error):
                steps, error = fewer, found
            else:
                position += size
        size = 0 if size == 1 else max(1, size // 2)
    return Failure(failure.setup, steps, error)


def _kind(error: Exception) -> str:
    return error.what if isinstance(error, Violation) else type(error).__name__
