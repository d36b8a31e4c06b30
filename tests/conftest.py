"""What every test shares: tests marked `anyio` run once on asyncio and once on trio."""

import pytest


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of an `anyio` test; override it in a module to give options to one of them."""
    backend: str = request.param
    return backend
