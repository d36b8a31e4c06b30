"""The seam: what a client asks of the provider that it was given as ``auth``, and the simplest of them.

A provider is asked twice.  Before each request it says which headers authorize that one; and when a request was refused
(401 or 403) it says whether to make it again, after it has done what it takes to do better.  Both are flows: they yield
commands, and the driver of the call does what those say.  So a provider does no I/O of its own, and runs on any event
loop, in the caller's task, within the caller's deadline.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from attrs import field, frozen

from mcpcore.commands import CallHandler
from mcpcore.errors import McpError, OAuthError
from mcpcore.redaction import redact_names

if TYPE_CHECKING:
    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.context import RequestContext
    from mcpcore.limits import Limits
    from mcpcore.rules.endpoint import Endpoint

T = TypeVar("T")


def _read_only(headers: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(headers))


@frozen
class AuthEnvironment:
    """What a provider may know of the client that it works for.

    :ivar endpoint: the MCP server.
    :ivar limits: the client's bounds.
    :ivar wall_clock: tells the time, in seconds since 1970.
    :ivar entropy: draws so many random bytes.
    :ivar has_resolvers: whether the client resolves headers for each request, so that it may serve many identities.
    :ivar user_agent: what the client calls itself.
    :ivar trusted: origins that the user named, which may be at any address.
    """

    endpoint: Endpoint
    limits: Limits = field(repr=False)
    wall_clock: Callable[[], float] = field(repr=False)
    entropy: Callable[[int], bytes] = field(repr=False)
    has_resolvers: bool = False
    user_agent: str = ""
    trusted: frozenset[tuple[str, str, int]] = frozenset()


@frozen
class Credentials:
    """What authorizes one request.

    :ivar headers: are sent with it: ``Authorization``, and what belongs to it.
    :ivar basis: whatever the provider wants to be shown again if the request is refused.
    """

    headers: Mapping[str, str] = field(default=MappingProxyType({}), converter=_read_only, repr=redact_names)
    basis: object = field(default=None, repr=False)


@frozen
class Refusal:
    """A 401 or 403.

    :ivar challenges: its ``WWW-Authenticate`` challenges.
    :ivar dpop_nonce: its ``DPoP-Nonce``, or None.
    """

    status: int
    challenges: tuple[Challenge, ...] = ()
    dpop_nonce: str | None = field(default=None, repr=False)


@runtime_checkable
class AuthProvider(Protocol):
    """Authorizes the requests of a client; given to it as ``auth``.

    ``request`` is what a resolver sees: with ``attempt`` 2 and the challenge, once it has been refused by a 401.
    """

    @property
    def shows_identity(self) -> bool:
        """Whether its headers tell identities apart where there is no principal, as a resolver's do.

        If not, calls without a principal are all made in the application's own name.
        """
        ...

    def headers(self, request: RequestContext, environment: AuthEnvironment) -> Flow[Credentials]:
        """What authorizes ``request``; no headers if nothing does yet."""
        ...

    def refused(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        attempts: Sequence[Credentials],
        refusal: Refusal,
    ) -> Flow[bool]:
        """Do what it takes to do better; whether to make the request once more, with ``headers`` asked anew.

        :param attempts: what this very request was made with, in order; the last of them was refused.
        """
        ...


@runtime_checkable
class HearsNonces(Protocol):
    """A provider that wants to know each ``DPoP-Nonce``, also of what was not refused (RFC 9449, section 8.2)."""

    def told_nonce(self, request: RequestContext, environment: AuthEnvironment, nonce: str) -> None:
        """Take note of the nonce of a response to ``request``."""
        ...


@runtime_checkable
class LoginProvider(AuthProvider, Protocol):
    """A provider by which an identity can log in before it is refused, and log out."""

    def log_in(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        opening: Callable[[], Flow[object]],
        *,
        scopes: tuple[str, ...] = (),
        anew: bool = False,
    ) -> Flow[Login]:
        """Get an identity what it takes, unless it has that.

        :param request: says whose it is, and stands for no request.
        :param opening: makes the first requests of a call, so that the MCP server can say what it wants.
        :param scopes: to be asked for, too.
        :param anew: whether to get it although it has something, which is kept in case that fails.
        """
        ...

    def log_out(self, request: RequestContext, environment: AuthEnvironment) -> Flow[bool]:
        """Forget what an identity has, here and where it came from; whether it is forgotten everywhere."""
        ...


@frozen
class Login:
    """What an identity may do, and who says so.

    :ivar issuer: the authorization server.
    :ivar resource: the MCP server, or what it is a part of.
    :ivar scopes: what was granted, as far as anybody said.
    :ivar renew_at: until when, in seconds since 1970, the token is used; None if nobody said.
    :ivar is_renewable: whether it can be renewed without anybody being asked.
    """

    issuer: str
    resource: str
    scopes: tuple[str, ...]
    renew_at: float | None
    is_renewable: bool


@frozen
class ClientAuth:
    """A client's provider, and what that may know of the client."""

    provider: AuthProvider
    environment: AuthEnvironment


def ask_provider(provider: AuthProvider, ask: Callable[[], Flow[Any]], kind: type[T]) -> Flow[T]:
    """What a provider's flow comes to.

    :raises OAuthError: if it raises anything but an error of this library's, or comes to something else than it should.
    """
    name = type(provider).__qualname__
    try:
        answer: object = yield from ask()
    except McpError:
        raise
    except Exception as error:
        raise OAuthError(f"auth: {name} raised {type(error).__name__}; nothing was sent") from error
    if not isinstance(answer, kind):
        raise OAuthError(f"auth: {name} answered with {type(answer).__name__} instead of {kind.__name__}")
    return answer


TokenSource: TypeAlias = Callable[["RequestContext"], "str | Awaitable[str]"]
"""What a user gives to :class:`BearerAuth`: returns a token for one request."""


@frozen
class BearerAuth:
    """Bring your own token: asked for each request, and once more, with the challenge, after a 401.

    Like a resolver that sets ``Authorization``, but one that returns the bare token, and that wins over nobody: what a
    resolver sets comes later.

    :param token: is called as ``token(request)`` with the :class:`~mcpcore.context.RequestContext`; plain or async.
        What it raises ends the call, as an :class:`~mcpcore.errors.OAuthError` whose ``__cause__`` it is.
    """

    token: TokenSource = field(repr=False)

    @property
    def shows_identity(self) -> bool:
        """Always: nobody knows whom a token is for, so without a principal each has a partition of its own."""
        return True

    def headers(self, request: RequestContext, environment: AuthEnvironment) -> Flow[Credentials]:
        """A token for this request."""
        try:
            token = yield CallHandler(self.token, (request,))
        except Exception as error:
            raise OAuthError(f"auth: the token source raised {type(error).__name__}; nothing was sent") from error
        if not isinstance(token, str) or not token:
            raise OAuthError("auth: the token source returned no token, which is a string that is not empty")
        return Credentials({"Authorization": f"Bearer {token}"})

    def refused(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        attempts: Sequence[Credentials],
        refusal: Refusal,
    ) -> Flow[bool]:
        """Once more after the first 401."""
        yield from ()
        return refusal.status == 401 and len(attempts) == 1
