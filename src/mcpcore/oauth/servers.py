"""What authorization servers said about themselves, kept for a while, for all identities alike.

It is public, and asked for without any credential.  It is asked for anew before a token is granted, after
``limits.metadata_age`` seconds, and once something has failed at a place that it named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import define, field

from mcpcore.oauth.discovery import find_old_server, find_server
from mcpcore.rules.endpoint import origin_of_url

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment


@define(eq=False)
class Servers:
    """The authorization servers that a provider has met."""

    _known: dict[str, tuple[AuthorizationServer, float]] = field(
        factory=dict[str, "tuple[AuthorizationServer, float]"], init=False, repr=False
    )

    def find(self, environment: AuthEnvironment, issuer: str, *, anew: bool = False) -> Flow[AuthorizationServer]:
        """What is known of an issuer.

        :param anew: whether to ask, though something is known.
        """
        known = None if anew else self._known.get(issuer)
        if known is not None and environment.wall_clock() - known[1] < environment.limits.metadata_age:
            return known[0]
        if not anew and is_own_server(environment, issuer):
            return self._keep(environment, (yield from find_old_server(environment, is_used=True)))
        return self._keep(environment, (yield from find_server(environment, issuer)))

    def find_old(self, environment: AuthEnvironment) -> Flow[AuthorizationServer]:
        """The MCP server itself, where that names no other."""
        return self._keep(environment, (yield from find_old_server(environment)))

    def doubt(self, server: AuthorizationServer) -> None:
        """Ask anew the next time."""
        self._known.pop(server.issuer, None)

    def _keep(self, environment: AuthEnvironment, server: AuthorizationServer) -> AuthorizationServer:
        self._known.pop(server.issuer, None)
        self._known[server.issuer] = server, environment.wall_clock()
        if len(self._known) > environment.limits.authorization_servers:
            del self._known[next(iter(self._known))]
        return server


def is_own_server(environment: AuthEnvironment, issuer: str) -> bool:
    """Whether an issuer is the MCP server itself, as those of 2025-03-26 are."""
    return origin_of_url(issuer) == environment.endpoint.origin and urlsplit(issuer).path in ("", "/")
