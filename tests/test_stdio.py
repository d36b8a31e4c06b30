"""Servers that are programs, with real processes on both event loops."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from mcpcore import (
    CallContext,
    ConfigurationError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    McpError,
    Progress,
    TransportError,
)
from transports import Client, stdio

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="signals and process groups")]

SERVER = Path(__file__).parent / "support" / "servers" / "lines.py"
ALICE = CallContext(principal="alice")
BOTH = pytest.mark.parametrize("era", ["modern", "handshake"])


def start(*how: str, **options: Any) -> Client:
    """A client of a server of our own; its interpreter loads nothing that it doesn't need."""
    return stdio.connect(sys.executable, args=["-I", "-S", SERVER, *how], **options)


@asynccontextmanager
async def started(*how: str, **options: Any) -> AsyncIterator[Client]:
    with anyio.fail_after(20):
        async with start(*how, **options) as client:
            yield client


async def told(client: Client, name: str, **arguments: Any) -> Any:
    """What a tool says."""
    return json.loads((await client.call_tool(name, arguments)).text)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@BOTH
async def test_calls_of_many_at_once(era: str) -> None:
    seen: list[float] = []

    async def progress(update: Progress) -> None:
        seen.append(update.progress)

    async def echo(client: Client, number: int) -> None:
        context = CallContext(principal=f"user-{number}")
        assert json.loads((await client.call_tool("echo", {"n": number}, context=context)).text) == {"n": number}

    async with started(era) as client, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(echo, client, number)
        await client.call_tool("progress", {"count": 50}, on_progress=progress)
        await client.ping()
    assert seen == [*range(50)]


@BOTH
async def test_a_call_that_is_given_up_is_cancelled_at_the_server(era: str) -> None:
    async with started(era) as client:
        await client.ping()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "hang")
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert len(await told(client, "cancelled")) == 1


async def test_what_a_program_is_started_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMEBODYS_SECRET", "x")
    argument = "$HOME; echo *"
    async with started("modern", argument, env={"OWN": "1"}, cwd=tmp_path) as client:
        found = await told(client, "surroundings")
    assert found["argv"] == ["modern", argument]
    assert Path(found["cwd"]).name == tmp_path.name
    assert found["env"]["OWN"] == "1"
    assert found["env"]["PATH"] == os.environ["PATH"]
    assert "SOMEBODYS_SECRET" not in found["env"]
    assert found["group"] == found["pid"]
    assert not is_running(found["pid"])


async def test_standard_error_is_passed_through(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    async with started("modern") as client:
        await told(client, "complain")
    assert capfd.readouterr().err == "something is wrong\n"
    with (tmp_path / "log").open("w+") as log:
        async with started("modern", stderr=log) as client:
            await told(client, "complain")
        log.seek(0)
        assert log.read() == "something is wrong\n"
    async with started("modern", stderr=subprocess.DEVNULL) as client:
        await told(client, "complain")
    assert capfd.readouterr().err == ""


async def test_what_is_printed_beside_messages_is_ignored() -> None:
    async with started("handshake") as client:
        assert await told(client, "noise") == "done"
        assert client.statistics().ignored_messages == 1


ENDS = {
    "exit": "the server's process has ended with status 3",
    "bequeath": "the server's process has ended with status 3",
    "die": "the server's process was ended by SIGKILL",
    "close": "the server's process has closed its output",
}


@BOTH
@pytest.mark.parametrize("how", ENDS)
async def test_a_program_that_ends_is_started_anew_by_the_next_call(era: str, how: str) -> None:
    errors: list[str] = []

    async def wait(client: Client) -> None:
        with pytest.raises(TransportError) as caught:
            await client.call_tool("hang")
        errors.append(caught.value.message)

    async with started(era, limits=Limits(exit=0.05) if how in ("bequeath", "close") else None) as client:
        first = await told(client, "surroundings")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, client)
            tasks.start_soon(wait, client)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TransportError) as caught:
                await client.call_tool(how, {"status": 3}, context=ALICE)
        assert caught.value.server == f"stdio:{Path(sys.executable).name}"
        assert caught.value.request == f"tools/call {how!r}"
        assert [*errors, caught.value.message] == [ENDS[how]] * 3
        second = await told(client, "surroundings")
    assert first["pid"] != second["pid"]
    assert not is_running(first["pid"])
    assert not is_running(second["pid"])


async def test_a_program_that_takes_no_more_input() -> None:
    plugged = anyio.Event()

    async def plug(client: Client) -> None:
        with pytest.raises(TransportError):
            await client.call_tool("plug", on_progress=lambda _: plugged.set())

    async with started("handshake", limits=Limits(exit=0.05)) as client, anyio.create_task_group() as tasks:
        first = await told(client, "surroundings")
        tasks.start_soon(plug, client)
        await plugged.wait()
        with pytest.raises(TransportError) as caught:
            await client.ping()
        assert caught.value.message == "the server's process takes no more input"
        second = await told(client, "surroundings")
    assert first["pid"] != second["pid"]


async def test_a_program_that_cannot_be_started() -> None:
    async with stdio.connect("/no/such/program", args=["secret"], name="mine") as client:
        with pytest.raises(TransportError) as caught:
            await client.ping()
    assert caught.value.server == "mine"
    assert caught.value.message == "the program /no/such/program cannot be started: No such file or directory"


async def test_a_program_that_ends_at_once() -> None:
    limits = Limits(restarts=2)
    with anyio.fail_after(20):
        async with stdio.connect(sys.executable, args=["-I", "-S", "-c", "exit(7)"], limits=limits) as client:
            for _ in range(2):
                with pytest.raises(TransportError):
                    await client.ping()
            with pytest.raises(LimitExceeded):
                await client.ping()


@pytest.mark.parametrize("how", [(), ("stubborn",), ("stubborn", "deaf")])
async def test_a_program_ends_with_its_client(how: tuple[str, ...]) -> None:
    """By itself, or terminated, or killed."""
    limits = Limits(exit=0.05, termination=0.05) if how else Limits()
    async with started("modern", *how, limits=limits) as client:
        found = await told(client, "surroundings")
        assert is_running(found["pid"])
    assert not is_running(found["pid"])


async def test_a_client_that_is_cancelled_ends_its_program() -> None:
    pids, is_used = list[int](), anyio.Event()

    async def use() -> None:
        async with started("modern") as client:
            pids.append((await told(client, "surroundings"))["pid"])
            is_used.set()
            await client.call_tool("hang")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use)
        await is_used.wait()
        tasks.cancel_scope.cancel()
    assert not is_running(pids[0])


async def test_a_client_that_is_closed_while_a_call_waits() -> None:
    errors: list[McpError] = []

    async def wait(client: Client) -> None:
        with pytest.raises(LocalProtocolError) as caught:
            await client.call_tool("hang")
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks, started("modern") as client:
        await client.ping()
        tasks.start_soon(wait, client)
        await anyio.wait_all_tasks_blocked()
    assert [error.message for error in errors] == ["the channel was closed by this client"]
    with pytest.raises(LocalProtocolError):
        await client.ping()


async def test_a_message_larger_than_a_pipe_holds() -> None:
    blob = "x" * 1_000_000
    async with started("modern") as client:
        assert await told(client, "echo", blob=blob) == {"blob": blob}


@pytest.mark.parametrize("option", ["headers", "get_headers", "auth_token", "http_client", "engine"])
async def test_options_about_headers_do_not_apply(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        start(**{option: None})
    with pytest.raises(TypeError, match="colour"):
        start(colour="blue")


async def test_a_configuration_that_cannot_work() -> None:
    environments = [{"env": env} for env in ({"A": 1}, {1: "A"}, {"": "A"}, {"A=B": "C"}, {"A": "\0"})]
    for options in ({"args": "-v"}, {"stderr": subprocess.PIPE}, {"protocol_version": "x"}, *environments):
        with pytest.raises(ConfigurationError) as caught:
            stdio.connect("/usr/bin/server", **options)
        assert caught.value.server == "stdio:server"
