"""Servers that are programs: started by the client, and spoken to over their standard streams.

The program is started by the first call, without a shell, and anew by the next call after it has ended.  It leads a
process group of its own, so that a signal from the terminal is not its concern.  When the client is closed, so is the
program's input; if it does not end then, its group is terminated, and if that does not help, killed (2026-07-28,
"stdio", Shutdown; 2025-11-25, "Lifecycle", Shutdown).

Its standard error goes where this process's own goes, or where you say.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, NoReturn, final

import anyio
from attrs import define, field

from mcpcore import ConfigurationError, Limits, TransportError

from .channel import connect_channel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from anyio.abc import ByteReceiveStream, ByteSendStream, Process

    from mcpcore import Extension, Handlers

    from .client import Client
    from .tracing import Tracing

_INHERITED = (
    (
        "APPDATA",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PATHEXT",
        "PROGRAMDATA",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "TMP",
        "USERNAME",
        "USERPROFILE",
    )
    if sys.platform == "win32"
    else ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
)
_OUTPUT_PIECE = 64 * 1024


def default_environment() -> dict[str, str]:
    """What a program gets of this process's environment: what programs need to run at all, and nothing that is secret.

    On POSIX those are ``HOME``, ``LANG``, ``LC_ALL``, ``LC_CTYPE``, ``LOGNAME``, ``PATH``, ``SHELL``, ``TERM``,
    ``TMPDIR``, ``TZ`` and ``USER``.
    """
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def connect(
    command: str | os.PathLike[str],
    *,
    args: Sequence[str | os.PathLike[str]] = (),
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    stderr: int | IO[Any] | None = None,
    name: str | None = None,
    protocol_version: str | None = None,
    share_public: bool = False,
    default_ttl: float = 0.0,
    timeout: float | None = 30.0,
    limits: Limits | None = None,
    client_info: Mapping[str, Any] | None = None,
    handlers: Handlers | None = None,
    extensions: Iterable[Extension] = (),
    validate_output: bool = False,
    tracing: Tracing | None = None,
    **others: NoReturn,
) -> Client:
    """A client of the server that ``command`` starts, to be used as ``async with stdio.connect(...) as client``.

    Starts nothing: the first call does, and so does the first one after the program has ended; it then knows nothing of
    what was said before.

    :param command: the program, by its path or its name; it is started without a shell.
    :param args: its arguments.
    :param env: environment variables for it, besides those of :func:`default_environment`; ``os.environ`` for all.
    :param cwd: the directory to start it in; None for this process's own.
    :param stderr: where its standard error goes: a file, a descriptor, or ``subprocess.DEVNULL``; None for where this
        process's own goes.
    :param name: what to call the server in errors; None for the program's name.
    :param timeout: seconds for a whole call, the start of the program included; None for no bound.
    :param limits: ``exit`` and ``termination`` are how many seconds the program has to end by itself, ``restarts`` how
        often in a row it may end before it can be used, and ``probe`` how long it has to show its era.

    The others are those of :func:`transports.connect_channel`.

    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """
    program = os.fspath(command)
    bounds, title = limits or Limits(), name or f"stdio:{PurePath(program).name}"
    if isinstance(args, str):
        raise ConfigurationError("args are several strings; there is no shell to take one apart", server=title)
    added = {} if env is None else dict(env)
    if not all(_can_be_set(variable, value) for variable, value in added.items()):
        raise ConfigurationError("env maps names of variables to their values, which are strings", server=title)
    if stderr in (subprocess.PIPE, subprocess.STDOUT):
        raise ConfigurationError("stderr must be somewhere to write to; nobody would read a pipe", server=title)
    start = partial(
        _start,
        [program, *(os.fspath(arg) for arg in args)],
        default_environment() | added,
        None if cwd is None else os.fspath(cwd),
        stderr,
        bounds,
    )
    return connect_channel(
        start,
        name=title,
        protocol_version=protocol_version,
        share_public=share_public,
        default_ttl=default_ttl,
        timeout=timeout,
        limits=bounds,
        client_info=client_info,
        handlers=handlers,
        extensions=extensions,
        validate_output=validate_output,
        tracing=tracing,
        **others,
    )


def _can_be_set(variable: object, value: object) -> bool:
    """Whether an environment can hold a variable."""
    if not (isinstance(variable, str) and isinstance(value, str)):
        return False
    return bool(variable) and "=" not in variable and "\0" not in variable + value


async def _start(
    command: list[str], env: dict[str, str], cwd: str | None, stderr: int | IO[Any] | None, limits: Limits
) -> ProcessChannel:
    try:
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=sys.platform != "win32",
        )
    except OSError as error:
        raise TransportError(f"the program {command[0]} cannot be started: {error.strerror}") from error
    assert process.stdin is not None
    assert process.stdout is not None
    return ProcessChannel(process, process.stdin, process.stdout, limits)


@final
@define(eq=False)
class ProcessChannel:
    """The standard streams of a process, and its end."""

    _process: Process
    _input: ByteSendStream = field(repr=False)
    _output: ByteReceiveStream = field(repr=False)
    _limits: Limits = field(repr=False)

    async def receive(self) -> bytes:
        """The next bytes of its output.

        :raises mcpcore.TransportError: at the end of it, which is that of the process.
        """
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            is_over = False
            while not is_over:
                # What the process has started may hold its output open long after it; so look now and then.
                is_over = self._process.returncode is not None
                with anyio.move_on_after(self._limits.exit):
                    return await self._output.receive(_OUTPUT_PIECE)
        raise TransportError(await self._how_it_ended())

    async def send(self, data: bytes) -> None:
        """Write to its input.

        :raises mcpcore.TransportError: if it takes no more.
        """
        try:
            await self._input.send(data)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError) as error:
            raise TransportError("the server's process takes no more input") from error

    async def aclose(self) -> None:
        """End the process: ask it, then make it."""
        async with anyio.create_task_group() as tasks:
            # A process that still has something to say can't end before somebody has taken it.
            tasks.start_soon(self._discard_output)
            with suppress(OSError):
                await self._input.aclose()
            if not await self._ends_within(self._limits.exit):
                await self._make_it_end()
            tasks.cancel_scope.cancel()
        await self._process.aclose()

    async def _make_it_end(self) -> None:
        """Terminate the process and, where it leads a group, those that it has started; then kill them."""
        if sys.platform == "win32":
            self._process.terminate()
            return
        self._signal(signal.SIGTERM)
        if not await self._ends_within(self._limits.termination):
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _ends_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._process.wait()
        return self._process.returncode is not None

    async def _discard_output(self) -> None:
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                await self._output.receive(_OUTPUT_PIECE)

    async def _how_it_ended(self) -> str:
        if not await self._ends_within(self._limits.exit):
            return "the server's process has closed its output"
        status = self._process.returncode or 0
        if status < 0:
            return f"the server's process was ended by {signal.Signals(-status).name}"
        return f"the server's process has ended with status {status}"
