"""What the flows ask of the user: to have a person log in, or for an assertion of who somebody is.

These are handlers, plain or async.  They are told whose login it is by the principal, and by nothing else: what is
fetched is kept for that principal, so nothing that differs between its calls may decide it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import field, frozen

from mcpcore.redaction import redact_url


@frozen(kw_only=True)
class AuthorizationRequest:
    """A person is to be asked for consent, in a browser (2026-07-28, "Authorization", Authorization Flow Steps).

    :ivar url: where to send the person's browser; http or https, and long.
    :ivar redirect_uri: where the browser is sent back to.
    :ivar state: the value of ``state`` in both; tells several logins at the same redirect URI apart.
    :ivar issuer: the authorization server.
    :ivar resource: the MCP server that access is asked for.
    :ivar scopes: what is asked for; empty if that is left to the server.
    :ivar principal: whose login it is; None for the application's own.
    """

    url: str = field(repr=redact_url)
    redirect_uri: str
    state: str = field(repr=False)
    issuer: str
    resource: str
    scopes: tuple[str, ...] = ()
    principal: str | None = field(default=None, repr=False)


AuthorizationHandler: TypeAlias = Callable[[AuthorizationRequest], "str | Awaitable[str]"]
"""Sends a person's browser to ``request.url``, and returns the URL that it was sent back to, with its query.

What that says is checked here; a handler that only matches ``state`` has done its part.  What it raises ends the call,
as an :class:`~mcpcore.errors.OAuthError` whose ``__cause__`` it is; where nobody can be asked, raise
:class:`~mcpcore.errors.LoginRequiredError`.
"""


@frozen(kw_only=True)
class AssertionRequest:
    """An assertion of an identity is needed, to be exchanged for a token.

    :ivar audience: who it will be shown to: the authorization server or, of what a person got at an identity provider,
        that very identity provider, by its issuer.
    :ivar resource: the MCP server that access is asked for.
    :ivar scopes: what is asked for; empty if that is left to the server.
    :ivar principal: whose identity; None for the application's own.
    """

    audience: str
    resource: str
    scopes: tuple[str, ...] = ()
    principal: str | None = field(default=None, repr=False)


AssertionHandler: TypeAlias = Callable[[AssertionRequest], "str | Awaitable[str]"]
"""Returns the assertion: a JSON Web Token, or what else the server takes.  It may raise in the same way.
"""
