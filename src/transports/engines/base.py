"""What a driver needs of an HTTP client: the Engine.

An engine is exact.  It sends the header list that it was given and adds only framing (``Host``, ``Content-Length``,
``Connection``).  It keeps no cookie, adds no credential and no default header, follows no redirect and retries nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcpcore import SendRequest


class Response(Protocol):
    """The response to one request: its head has arrived, its body has not."""

    @property
    def status(self) -> int:
        """The HTTP status code."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The header fields in the order received."""
        ...

    async def receive(self) -> bytes:
        """Return the next piece of the body, with content codings removed; ``b""`` when it is complete.

        :raises mcpcore.TransportError: if the connection broke before the body was complete.
        """
        ...

    async def aclose(self) -> None:
        """Give the response up.

        After the body's end this returns the connection for others to use; before it, it closes the connection.  May be
        called more than once, and in a cancelled scope: it must not wait for the network then.
        """
        ...


@runtime_checkable
class LooksUp(Protocol):
    """What an engine has besides, if it connects by itself: it can say where a request would go, and go only there.

    Such an engine connects to ``request.addresses`` where a request has some: it tries them in their order, and does
    not wait for long for one that nobody answers at (RFC 8305).
    """

    async def look_up(self, host: str) -> Sequence[str]:
        """The addresses of ``host``; none if it is for somebody else to look up, as behind a proxy.

        :raises mcpcore.TransportError: if it has none.
        """
        ...


@runtime_checkable
class Engine(Protocol):
    """Sends HTTP requests: the one thing that differs between HTTP libraries."""

    @property
    def carries_identity(self) -> bool:
        """Whether requests may carry an identity that we cannot see, such as hooks of a caller's own client.

        Calls without a principal then share nothing with each other.
        """
        ...

    async def send(self, request: SendRequest) -> Response:
        """Send ``request`` and return its response as soon as the head is there.

        Waits its turn where all the connections that it may open are in use.  When cancelled, nothing of the request
        remains: its connection is closed.

        :raises mcpcore.NotSentError: if certainly no byte of the request reached the server, over a kept connection.
        :raises mcpcore.TransportError: for any other failure of the network.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection that the engine itself opened."""
        ...
