"""Starting an event loop by its name."""

import sys

import anyio
import pytest
import sniffio

from mcpcore import ConfigurationError
from transports.loops import LOOPS, run


async def current_loop() -> str:
    await anyio.lowlevel.checkpoint()
    return sniffio.current_async_library()


@pytest.mark.parametrize("loop", LOOPS)
def test_runs_on_the_loop_of_that_name(loop: str) -> None:
    assert run(current_loop, loop) == loop


def test_asyncio_is_the_default() -> None:
    assert run(current_loop) == "asyncio"


def test_what_the_program_raises_comes_out() -> None:
    async def fail() -> None:
        raise LookupError("of the program itself")

    with pytest.raises(LookupError, match="of the program itself"):
        run(fail)


def test_an_unknown_loop_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'curio'; there are asyncio and trio"):
        run(current_loop, "curio")


def test_without_trio_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio", None)
    with pytest.raises(ConfigurationError, match=r"install mcpcore\[trio\]"):
        run(current_loop, "trio")
