"""Channels as a user's code sees their types: mypy and pyright check this file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import assert_type

import mcpcore
from mcpcore import DuplexChannel, Handlers, Limits, OpenChannel, SendMessage, Tool
from transports import Channel, Client, connect_channel, memory_pair, stdio


class Own:
    """A channel of a user's own: nothing is inherited."""

    async def receive(self) -> bytes:
        """The end."""
        return b""

    async def send(self, data: bytes) -> None:
        """Nothing."""

    async def aclose(self) -> None:
        """Nothing."""


async def open_own() -> Own:
    """A function of a user's own."""
    return Own()


async def programs() -> None:
    """Servers that are programs."""
    client = stdio.connect(
        sys.executable,
        args=["-m", Path("server")],
        env={**stdio.default_environment(), **os.environ},
        cwd=Path.cwd(),
        stderr=subprocess.DEVNULL,
        name="mine",
        handlers=Handlers(),
        limits=Limits(exit=1.0, termination=0.5, probe=3.0, restarts=2),
        timeout=None,
    )
    assert_type(client, Client)
    async with client as opened:
        assert_type(await opened.list_tools(), list[Tool])


async def channels() -> None:
    """Any other channel."""
    own: Channel = Own()
    assert_type(await own.receive(), bytes)
    assert_type(memory_pair(), tuple[Channel, Channel])
    async with connect_channel(open_own, name="own", protocol_version="2025-11-25") as client:
        assert_type(client, Client)


def by_hand(command: mcpcore.Command) -> bytes | None:
    """The pure half."""
    pure = mcpcore.Client.over_channel("mine", limits=Limits())
    assert_type(pure, mcpcore.Client)
    match command:
        case OpenChannel(channel=channel):
            assert_type(channel, DuplexChannel)
            return channel.data_to_send()
        case SendMessage(data=data):
            return data
        case _:
            return None
