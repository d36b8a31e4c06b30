"""Every error that a user of mcpcore can meet.

One root, :class:`McpError`, so that ``except McpError`` is enough; below it one type for each thing a caller would do
next.  What went wrong *here* (:class:`LocalProtocolError`, :class:`HeaderResolverError`) and what went wrong *there*
(:class:`RemoteProtocolError`, :class:`RpcError`, :class:`HttpStatusError`) never share a type.

An error says what happened, to which request, at which server.  Code deep in a parser knows only the first of these, so
errors are raised bare and *located* on their way out, by the call that they end (:meth:`McpError.located`).  The server
is named by origin and path alone and a header by its name alone: no message here ever holds a credential.

All of them pickle, because workers report their failures to other processes.  ``Exception`` already pickles as
``cls(*args)`` plus ``__dict__``; keeping the message the only positional argument and every other one optional is all
that this needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.types.tools import CallToolResult


class McpError(Exception):
    """The root of every error of this library.

    :ivar server: the server's origin and path, never its query; empty while unknown.
    :ivar request: what was asked of it, for instance ``tools/call 'search'``; empty while unknown.
    """

    def __init__(self, message: str = "", *, server: str = "", request: str = "") -> None:
        super().__init__(message)
        self.server: str = server
        self.request: str = request

    @property
    def message(self) -> str:
        """What happened, without the place."""
        return str(self.args[0]) if self.args else ""

    def located(self, server: str, request: str) -> Self:
        """Say where this error belongs, unless something closer to it already did; return the error itself."""
        if not self.server:
            self.server = server
        if not self.request:
            self.request = request
        return self

    def __str__(self) -> str:
        place = " to ".join(part for part in (self.request, self.server) if part)
        return f"{place}: {self.message}" if place else self.message


class LocalProtocolError(McpError):
    """This program asked for something that the protocol, or this library's contract, does not allow.

    Mend the call: making it again cannot help.
    """


class ConfigurationError(LocalProtocolError, ValueError):
    """A client was configured in a way that can never work, found before anything was sent."""


class HeaderResolverError(McpError):
    """A header resolver raised, or returned headers that cannot be sent.  Nothing was sent.

    ``__cause__`` holds the resolver's own exception, if it raised one.
    """


class RemoteProtocolError(McpError):
    """The server sent something that the protocol does not allow, or that cannot be parsed."""


class TransportError(McpError):
    """The network failed: a connection could not be made, or broke before the answer was complete.

    Whether the server acted on the request is unknown, unless it is a :class:`NotSentError`.
    """


class NotSentError(TransportError):
    """The request certainly never left: a kept connection turned out to be unusable before the first byte.

    Engines report this and never retry by themselves.  The call asks every resolver again and sends once more.
    """


class DeadlineExceeded(McpError, TimeoutError):
    """The call's time ran out.  The timeout covers all that the call did: resolvers, handshake, retries, stream."""


class LimitExceeded(McpError):
    """A bound of :class:`~mcpcore.limits.Limits` was reached.

    :ivar limit: the name of the field of ``Limits`` that says how much is allowed.
    """

    def __init__(self, message: str = "", *, limit: str = "", server: str = "", request: str = "") -> None:
        super().__init__(message, server=server, request=request)
        self.limit: str = limit


class RpcError(McpError):
    """The server answered with a JSON-RPC error.

    :ivar code: the JSON-RPC error code.
    :ivar data: what the server attached, as parsed JSON, or None.
    """

    def __init__(
        self, message: str = "", *, code: int = 0, data: Any = None, server: str = "", request: str = ""
    ) -> None:
        super().__init__(message, server=server, request=request)
        self.code: int = code
        self.data: Any = data

    def __str__(self) -> str:
        return f"{super().__str__()} (JSON-RPC error {self.code})"


class ToolError(McpError):
    """A tool says in its result that it failed; only :meth:`CallToolResult.raise_for_error` raises this.

    The message is the text of the result, for a model or a person to read.

    :ivar result: the result that says so.
    """

    def __init__(
        self, message: str = "", *, result: CallToolResult | None = None, server: str = "", request: str = ""
    ) -> None:
        super().__init__(message, server=server, request=request)
        self.result: CallToolResult | None = result


class TaskCancelledError(McpError):
    """The server had answered by a task, and the task was cancelled there: by the server, or by another client."""


class InputRequiredError(McpError):
    """The server needs input before it can answer, and the caller wants to give it by hand (:data:`BY_HAND`).

    Make the same request again with ``input_responses``, one for each of ``input_requests`` under its key, and with
    this very ``request_state`` (2026-07-28, "Multi Round-Trip Requests").

    :ivar input_requests: what the server asks, by its keys: a ``method`` and its ``params`` each, as received.
    :ivar request_state: what is to be given back unchanged, a secret of the server's; None for nothing.
    """

    def __init__(
        self,
        message: str = "",
        *,
        input_requests: dict[str, Any] | None = None,
        request_state: str | None = None,
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, server=server, request=request)
        self.input_requests: dict[str, Any] = input_requests or {}
        self.request_state: str | None = request_state


class HttpStatusError(McpError):
    """The server answered with an HTTP status that is not an answer to an MCP message.

    :ivar status: the HTTP status code.
    :ivar retry_after: how many seconds the server asks to wait before another try, or None.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        retry_after: float | None = None,
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, server=server, request=request)
        self.status: int = status
        self.retry_after: float | None = retry_after


class UnauthorizedError(HttpStatusError):
    """The server refused the credentials (401), also after a resolver that set ``Authorization`` was asked again.

    :ivar challenges: the parsed ``WWW-Authenticate`` challenges of the last answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 401,
        challenges: tuple[Challenge, ...] = (),
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, status=status, server=server, request=request)
        self.challenges: tuple[Challenge, ...] = challenges


class ForbiddenError(HttpStatusError):
    """The server knows the credentials and refuses this request (403).  It is not sent again.

    :ivar challenges: the parsed ``WWW-Authenticate`` challenges of the answer.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 403,
        challenges: tuple[Challenge, ...] = (),
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, status=status, server=server, request=request)
        self.challenges: tuple[Challenge, ...] = challenges


class OAuthError(McpError):
    """Authorization failed: no token could be had.

    What it was is in the message.  ``server`` and ``request`` say whom it happened with and what was asked: an
    authorization server, by its URL, or the MCP server.
    """


class OAuthResponseError(OAuthError):
    """The authorization server refused (RFC 6749, sections 4.1.2.1 and 5.2; RFC 7591, section 3.2.2).

    :ivar error: its error code, for instance ``invalid_grant`` or ``access_denied``.
    :ivar description: what it said for people to read, without what is secret; empty if it said nothing.
    :ivar status: the HTTP status of its answer; None for one that came by way of a browser.
    """

    def __init__(
        self,
        message: str = "",
        *,
        error: str = "",
        description: str = "",
        status: int | None = None,
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, server=server, request=request)
        self.error: str = error
        self.description: str = description
        self.status: int | None = status


class LoginRequiredError(OAuthError):
    """A person has to log in, and nobody can be asked to.

    Log in by :meth:`~mcpcore.client.Client.log_in`, or on the command line by ``mcpcore login``, and make the call
    again.
    """


class RedirectError(HttpStatusError):
    """The server redirected, and following would break the contract about where headers may go.

    :ivar location: the target's origin and path, without its query; empty if the answer named none.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        location: str = "",
        server: str = "",
        request: str = "",
    ) -> None:
        super().__init__(message, status=status, server=server, request=request)
        self.location: str = location
