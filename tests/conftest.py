"""What every test shares: tests marked `anyio` run once on asyncio and once on trio."""

import gc

import pytest


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
