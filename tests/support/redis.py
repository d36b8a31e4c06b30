"""A real Redis, which can be frozen and killed.

The server is Debian's ``redis-server`` or any other on PATH.  Where there is none the tests that need it are skipped,
but not in continuous integration, which sees to it that there is one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, field


@define
class Redis:
    """A server of its own, which keeps nothing on disk and listens at one socket in the file system.

    :ivar path: where that is.
    """

    program: str
    path: Path
    _process: subprocess.Popen[str] | None = field(default=None, init=False)
    _killer: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        options = ["--port", "0", "--unixsocket", str(self.path), "--save", "", "--dir", str(self.path.parent)]
        command = [self.program, *options]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        # Kills it once its own standard input ends, so it never outlives the tests, however they end.
        killer = ["sh", "-c", 'read _; kill -9 "$0"', str(self._process.pid)]
        self._killer = subprocess.Popen(killer, stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        log = []
        for line in self._process.stdout:
            log.append(line)
            if "eady to accept connections" in line:
                return
        raise AssertionError("redis-server did not start:\n" + "".join(log))

    def freeze(self) -> None:
        """Let it take connections and requests, and answer none."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer, also what came while it was frozen."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a machine does that loses its power."""
        if self._process is not None and self._killer is not None:
            self._killer.communicate()
            self._process.communicate()
            self._process = self._killer = None


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A server that has just been started; skips the test where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("redis-server is not installed, and continuous integration leaves no Redis test out")
        pytest.skip("redis-server is not installed")
    # Not under the tests' own folder: the name of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        redis = Redis(program, Path(folder, "socket"))
        redis.start()
        try:
            yield redis
        finally:
            redis.kill()
