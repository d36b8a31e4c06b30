"""What every test shares: tests marked `anyio` run once on asyncio and once on trio."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.places import Place


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of an `anyio` test; override it in a module to give options to one of them."""
    backend: str = request.param
    return backend


@pytest.fixture(scope="module", autouse=True)
def _young_garbage_only() -> None:
    """What is there before a module stays: the many tests that look for garbage need not look through it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def places() -> Iterator[dict[str, Place]]:
    """Where people have to log in, for all tests that do: the servers take seconds to start."""
    from support.places import starting_places

    with starting_places() as places:
        yield places
