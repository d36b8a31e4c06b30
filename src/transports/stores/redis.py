"""A store in Redis, through the client library coredis, which runs on asyncio and on trio alike.

The library keeps a pool of connections, each with a task of its own, so a store is opened by whoever uses it:
``async with``.  It also expects that nobody is cancelled while he waits for it: a request that is cancelled while it
connects takes a place of the pool with it for good, or fails instead of being cancelled.  Callers of ours are cancelled
all the time, so each command runs in a task of the store's, from its beginning to its end, and the caller only waits
for the outcome.  A caller who is cancelled leaves at once; the command ends by itself, within the time-outs of the
library's client, and its answer, which nobody waits for, is dropped with it.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar, final

import anyio
from attrs import define, field

from mcpcore import ConfigurationError, LocalProtocolError, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextvars import Context
    from types import TracebackType
    from typing import Self

    import coredis
    from anyio.abc import TaskGroup

T = TypeVar("T")

_SCHEMES = ("redis://", "rediss://", "unix://")

_LARGEST = 64 * 1024 * 1024
"""How much of one value is read, in bytes, so that who can write into Redis cannot fill the memory of who reads."""


@define(eq=False)
class _Outcome(Generic[T]):
    """What becomes of one command."""

    command: Callable[[], Awaitable[T]]
    is_known: anyio.Event = field(factory=anyio.Event, init=False)
    value: list[T] = field(factory=list[T], init=False)
    error: Exception | None = field(default=None, init=False)

    async def find(self) -> None:
        """Carry the command out."""
        try:
            self.value.append(await self.command())
        except Exception as error:
            self.error = error
        finally:
            self.is_known.set()

    def get(self) -> T:
        if self.value:
            return self.value[0]
        raise self.error or TransportError("the store was closed before Redis had answered")


@final
class RedisStore:
    """Keeps values in Redis 6 or newer, for all processes that reach it; use it as ``async with RedisStore...``.

    It must be left by the task that entered it, after every client that uses it.

    :param client: a coredis client of your own, for a cluster, for sentinels, or with settings of its own.  It is
        neither opened nor closed here, and its time-outs say how long a command lives on that nobody waits for.
    :param prefix: what every key begins with.
    :param commands: how many commands may be under way at once; a further one waits its turn.
    """

    def __init__(
        self,
        client: coredis.Redis[bytes] | coredis.RedisCluster[bytes],
        *,
        prefix: bytes = b"mcpcore:",
        commands: int = 16,
    ) -> None:
        self._client = client
        self._own: coredis.Redis[bytes] | None = None
        self._prefix = prefix
        self._places = anyio.Semaphore(commands)
        self._opened = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._context: Context = copy_context()
        self._owner = 0

    @classmethod
    def from_url(cls, url: str, *, prefix: bytes = b"mcpcore:", commands: int = 16, timeout: float = 2.0) -> Self:
        """A store with connections of its own, which are opened when they are needed and closed with it.

        :param url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, as ``redis://user:password@host:port/database``.
        :param prefix: what every key begins with.
        :param commands: how many commands, and so connections, there may be at once.
        :param timeout: seconds for Redis to accept a connection, and to answer a command; when they have passed, the
            connection is closed.  A call waits no longer than ``limits.store``, whatever this is.
        :raises mcpcore.ConfigurationError: if the package ``coredis`` is missing, or the URL is none of these.
        """
        client = _client_of(url, commands, timeout)
        store = cls(client, prefix=prefix, commands=commands)
        store._own = client
        return store

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise LocalProtocolError("the store is open already")
        self._owner = anyio.get_current_task().id
        # What runs on after a call must not hold on to the context variables of the call.
        self._context = copy_context()
        async with AsyncExitStack() as stack:
            if self._own is not None:
                await stack.enter_async_context(self._own)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._tasks.cancel_scope.cancel)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if anyio.get_current_task().id != self._owner:
            raise LocalProtocolError("a RedisStore must be left by the task that entered it")
        self._tasks = None
        # What the body raised is no concern of the task groups in there: they would wrap it into a group.
        await self._opened.__aexit__(None, None, None)

    async def get(self, key: bytes) -> bytes | None:
        """Return what is under ``key``, or None."""
        # A range, because its end bounds what is read; an empty one stands for a key that is not there.
        return await self._do(lambda: self._client.getrange(self._prefix + key, 0, _LARGEST - 1)) or None

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        """Keep ``value`` under ``key`` for ``ttl`` seconds."""
        await self._do(lambda: self._client.set(self._prefix + key, value, px=math.ceil(ttl * 1000)))

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Forget what is under ``keys``."""
        await self._do(lambda: self._client.delete([self._prefix + key for key in keys]))

    async def _do(self, command: Callable[[], Awaitable[T]]) -> T:
        outcome = _Outcome(command)
        await self._places.acquire()
        if self._tasks is None:
            self._places.release()
            raise LocalProtocolError("the store is not open; use it within 'async with RedisStore...'")
        self._context.run(self._tasks.start_soon, self._run, outcome)
        await outcome.is_known.wait()
        return outcome.get()

    async def _run(self, outcome: _Outcome[T]) -> None:
        try:
            await outcome.find()
        finally:
            self._places.release()
        if self._own is not None and isinstance(outcome.error, TimeoutError):
            # The library keeps a connection on which an answer is overdue; it may be one to a machine that is gone.
            self._own.connection_pool.disconnect()


def _client_of(url: str, commands: int, timeout: float) -> coredis.Redis[bytes]:
    try:
        import coredis
        from coredis.retry import NoRetryPolicy
    except ImportError as missing:
        raise ConfigurationError("RedisStore needs the package 'coredis': install 'mcpcore[redis]'") from missing
    # The library takes what it does not know for plain Redis, and would send the password there.
    if url.lower().startswith(_SCHEMES):
        with suppress(OSError, ValueError):
            return coredis.Redis.from_url(
                url,
                verify_version=False,
                retry_policy=NoRetryPolicy(),
                max_connections=commands,
                connect_timeout=timeout,
                stream_timeout=timeout,
            )
    # Without what the library says, which quotes a piece of the URL.
    raise ConfigurationError(
        "the URL of Redis cannot be used: it begins with redis://, rediss:// or unix://, and special characters in its "
        "password are written as %XX"
    )
