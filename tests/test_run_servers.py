"""The agent run against two servers that nobody here wrote, the official SDK's and fastmcp's; one is killed in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from attrs import frozen
from support.processes import Gate, Wallet, starting

import transports.cli
from mcpcore import CallContext, McpError, TransportError
from transports import ServerConfig, open_run

pytestmark = pytest.mark.anyio

OFFERED = ["echo_headers", "add", "fail", "count", "hang"]
PREFIXES = ["", "modern__", "session__", "auto__", "sse__"]
ALICE = CallContext(principal="alice", user="alice")


@frozen
class Two:
    """Both servers, while they run."""

    sdk: str
    fast: str
    life_of_sdk: ExitStack

    async def kill_sdk(self) -> None:
        await anyio.to_thread.run_sync(self.life_of_sdk.close)


@pytest.fixture
def two() -> Iterator[Two]:
    with ExitStack() as life_of_sdk, starting("fast") as fast:
        sdk = life_of_sdk.enter_context(starting("sdk"))
        yield Two(sdk(), fast(), life_of_sdk)


def configs(two: Two, wallet: Wallet) -> list[ServerConfig]:
    """Both servers; the one that will be killed in every way in which it can be spoken to."""
    return [
        ServerConfig(f"{two.fast}/mcp", name="fast", get_headers=wallet),
        ServerConfig(f"{two.sdk}/mcp", name="modern", get_headers=wallet),
        ServerConfig(f"{two.sdk}/mcp", name="session", get_headers=wallet, protocol_version="2025-11-25"),
        ServerConfig(f"{two.sdk}/mcp", name="auto", get_headers=wallet, type="auto"),
        ServerConfig(f"{two.sdk}/sse", name="sse", get_headers=wallet, type="sse"),
    ]


async def test_a_run_over_two_servers_of_which_one_is_killed(two: Two) -> None:
    wallet, gate, ended = Wallet(), Gate(two.sdk), list[McpError]()
    with anyio.fail_after(40):
        async with open_run(configs(two, wallet), context=ALICE) as run, anyio.create_task_group() as tasks:
            assert run.skipped == ()
            assert [tool.name for tool in run.tools] == [prefix + name for prefix in PREFIXES for name in OFFERED]
            for prefix in PREFIXES:
                assert (await run.call_tool(f"{prefix}add", {"a": 2, "b": 3})).text == "5"
                seen = (await run.call_tool(f"{prefix}echo_headers")).structured_content
                assert seen["x-user"] == "alice"
                assert seen["authorization"] in wallet.resolved

            async def wait_for_ever(tool: str) -> None:
                with pytest.raises(McpError) as caught:
                    await run.call_tool(tool)
                ended.append(caught.value)

            await gate.requests()
            for prefix in PREFIXES[1:]:
                tasks.start_soon(wait_for_ever, f"{prefix}hang")
            called = 0
            while called < 4:
                called += sum(note["method"] == "POST" for note in await gate.requests())
            await two.kill_sdk()
            for prefix in PREFIXES[1:]:
                with pytest.raises(TransportError):
                    await run.call_tool(f"{prefix}add", {"a": 2, "b": 3})
            assert (await run.call_tool("add", {"a": 2, "b": 3})).text == "5"
        assert [type(error) for error in ended] == [TransportError] * 4
        async with open_run(configs(two, wallet), context=ALICE) as run:
            assert [skipped.server for skipped in run.skipped] == ["modern", "session", "auto", "sse"]
            assert {type(skipped.error) for skipped in run.skipped} == {TransportError}
            assert [tool.name for tool in run.tools] == OFFERED
        tokens = [note["headers"]["authorization"] for note in await Gate(two.fast).requests()]
    assert len(tokens) == len(set(tokens))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_command_line_lists_both(
    two: Two, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    file = tmp_path / "mcp.json"
    servers = {"sdk": {"url": f"{two.sdk}/mcp", "type": "http"}, "fast": {"url": f"{two.fast}/mcp"}}
    file.write_text(json.dumps({"mcpServers": servers}))

    def listed() -> tuple[int, list[list[str]], str]:
        code = transports.cli.run(["tools", "--config", str(file)])
        out, err = capsys.readouterr()
        return code, [line.split()[:2] for line in out.splitlines() if line[:1].strip()], err

    code, rows, err = await anyio.to_thread.run_sync(listed)
    both = [*([name, "sdk"] for name in OFFERED), *([f"fast__{name}", "fast"] for name in OFFERED)]
    assert (code, rows, err) == (0, [["tool", "server"], *both], "")
    await two.kill_sdk()
    code, rows, err = await anyio.to_thread.run_sync(listed)
    assert (code, rows) == (3, [["tool", "server"], *([name, "fast"] for name in OFFERED)])
    assert err.startswith("mcpcore: warning: the run does without the server 'sdk'")
