"""Clients of a server at the other end of a channel: any two-way stream of bytes that can be opened.

A channel carries one JSON-RPC message a line, both ways, as the standard streams of a process do; see
:mod:`transports.stdio` for those.  It has no headers: nothing is resolved, nothing is authenticated here, and the
server takes all of a client's identities for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol, final, runtime_checkable

import anyio
from attrs import define

import mcpcore
from mcpcore import ConfigurationError, Limits, LocalProtocolError, TransportError

from .client import Client, schema_checkers
from .driver import Driver
from .verbs import Hub

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from mcpcore import Extension, Handlers, SendRequest

    from .engines.base import Response
    from .tracing import Tracing

_ONLY_HTTP = frozenset(
    {
        "allow_insecure_http",
        "auth",
        "auth_token",
        "digest_key",
        "engine",
        "forward",
        "get_headers",
        "headers",
        "http_client",
        "on_exchange",
        "redirects",
        "store",
        "type",
    }
)


@runtime_checkable
class Channel(Protocol):
    """A two-way stream of bytes, open.

    One task receives and one sends, at the same time.  Any of them may be cancelled when the channel is to be closed.
    """

    async def receive(self) -> bytes:
        """Return the next bytes that have arrived, however many; ``b""`` when the other end has closed.

        :raises mcpcore.TransportError: if the channel broke.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Send all of ``data``; wait while the other end does not take it.

        :raises mcpcore.TransportError: if the channel broke, or the other end has closed.
        """
        ...

    async def aclose(self) -> None:
        """Close the channel, also if it has ended.  Called once, in a scope that cannot be cancelled."""
        ...


def connect_channel(
    open_channel: Callable[[], Awaitable[Channel]],
    *,
    name: str = "channel",
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
    """A client of the server at the other end of a channel, to be used as ``async with connect_channel(...) as c``.

    Opens nothing: the first call does, and so does the first one after a channel has ended, up to ``limits.restarts``
    times in a row that it cannot be used.  All identities share the channel.

    :param open_channel: opens a channel; it is called in the task, and with the deadline, of the call that needs one.
    :param name: what to call the server in errors.
    :param protocol_version: the one revision to speak; None finds out.
    :param timeout: seconds for a whole call, the opening of the channel included; None for no bound.

    The others are those of :func:`transports.connect`.  Of its options, those about headers and HTTP don't apply.

    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """
    _refuse(name, others)
    bounds = limits or Limits()
    core = mcpcore.Client.over_channel(
        name,
        protocol_version=protocol_version,
        limits=bounds,
        client_info=client_info,
        clock=anyio.current_time,
        default_ttl=default_ttl,
        share_public=share_public,
        handlers=handlers,
        extensions=extensions,
        output_validator=schema_checkers() if validate_output else None,
        trace=None if tracing is None else tracing.context,
    )
    driver = Driver(_NoHttp(), bounds, open_channel=open_channel)
    return Client(Hub(core, driver, timeout, tracing), owns_engine=False, reads_streams=True)


def _refuse(name: str, others: Mapping[str, object]) -> None:
    """Refuse the options that a channel doesn't have."""
    if known := _ONLY_HTTP & others.keys():
        raise ConfigurationError(
            f"{', '.join(sorted(known))}: belongs to HTTP; a channel has no headers, and nobody to resolve them for",
            server=name,
        )
    if others:
        raise TypeError(f"unexpected options: {', '.join(sorted(others))}")


@final
class _NoHttp:
    """Stands where other clients have an engine."""

    carries_identity = False

    async def send(self, request: SendRequest) -> Response:
        """Refuse."""
        raise LocalProtocolError("nothing goes over HTTP here")

    async def aclose(self) -> None:
        """There is nothing to close."""


def memory_pair() -> tuple[Channel, Channel]:
    """Two channels, each the other end of the other, for a server in the same process."""
    there, here = anyio.create_memory_object_stream[bytes](), anyio.create_memory_object_stream[bytes]()
    return _MemoryChannel(there[0], here[1]), _MemoryChannel(here[0], there[1])


@final
@define(eq=False)
class _MemoryChannel:
    """One end of a channel within the process: who sends waits until the other end receives."""

    _sending: MemoryObjectSendStream[bytes]
    _receiving: MemoryObjectReceiveStream[bytes]

    async def receive(self) -> bytes:
        try:
            return await self._receiving.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            return b""

    async def send(self, data: bytes) -> None:
        try:
            await self._sending.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise TransportError("the other end of the channel is closed") from error

    async def aclose(self) -> None:
        self._sending.close()
        self._receiving.close()
