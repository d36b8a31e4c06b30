"""What this client is registered as, by authorization server: found, or registered, once for all identities.

A registration says who the *client* is.  It is about no principal, so all of them may use it; it belongs to the issuer
that it was agreed with, and is shown to nobody else (2026-07-28, "Client Registration", Authorization Server Binding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field

from mcpcore.errors import OAuthError
from mcpcore.oauth.clients import RegisteredClient, register
from mcpcore.redaction import redact_url
from mcpcore.state.flights import Runway, take_turns

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.errors import OAuthResponseError
    from mcpcore.oauth.clients import ClientMetadata
    from mcpcore.oauth.keeping import Keeping
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment


@define(eq=False)
class _Registration:
    """What this client is at one authorization server.

    :ivar client: None while it has not registered there.
    :ivar turn: where it registers, once at a time.
    """

    client: RegisteredClient | None = None
    turn: Runway = field(factory=Runway)


@define(eq=False)
class Registrations:
    """What this client is, at each authorization server.

    :ivar by_hand: what it was registered as by hand, or None.
    :ivar document_url: where a document describes it, or None.
    :ivar is_needed: whether the grant needs a client at all.
    """

    _keeping: Keeping = field(repr=False)
    _metadata: ClientMetadata
    by_hand: RegisteredClient | None
    document_url: str | None
    is_needed: bool
    _by_hand_at: str | None = field(default=None, init=False)
    _known: dict[str, _Registration] = field(factory=dict[str, _Registration], init=False, repr=False)

    def find(self, environment: AuthEnvironment, server: AuthorizationServer) -> Flow[RegisteredClient | None]:
        """Who this client is at ``server``; None if it is nobody, and need not be.

        :raises OAuthError: if it cannot be anybody there.
        """
        if self.by_hand is not None:
            return self._check_issuer(self.by_hand, server.issuer)
        if not self.is_needed:
            return None
        if self.document_url is not None and server.takes_metadata_documents:
            return RegisteredClient(self.document_url, auth_method="none")
        registration = self._at(server.issuer, environment.limits.authorization_servers)
        return (
            yield from take_turns(
                registration.turn,
                look=lambda: _still_good(registration.client, environment),
                lead=lambda: self._register(environment, server, registration),
            )
        )

    def heed(
        self, error: OAuthResponseError, server: AuthorizationServer, client: RegisteredClient | None
    ) -> Flow[bool]:
        """Forget a registration that the authorization server no longer knows (RFC 6749, section 5.2).

        :param client: who asked.  Others may have found the same out before, and have registered anew by now.
        :returns: whether that is what the error says.
        """
        known = self._known.get(server.issuer)
        if error.error != "invalid_client" or known is None:
            return False
        if known.client == client:
            known.client = None
            yield from self._keeping.forget_client(server.issuer, self._metadata.redirect_uri)
        return True

    def _at(self, issuer: str, at_most: int) -> _Registration:
        registration = self._known[issuer] = self._known.pop(issuer, _Registration())
        if len(self._known) > at_most:
            del self._known[next(iter(self._known))]
        return registration

    def _check_issuer(self, client: RegisteredClient, issuer: str) -> RegisteredClient:
        self._by_hand_at = client.issuer or self._by_hand_at or issuer
        if self._by_hand_at != issuer:
            raise OAuthError(
                f"this client was registered at {redact_url(self._by_hand_at)}, and the MCP server trusts "
                f"{redact_url(issuer)}, where it was not; register it there, and say so by client="
            )
        return client

    def _register(
        self, environment: AuthEnvironment, server: AuthorizationServer, registration: _Registration
    ) -> Flow[RegisteredClient]:
        redirect_uri = self._metadata.redirect_uri
        stored = yield from self._keeping.load_client(server.issuer, redirect_uri, environment.limits)
        client = _still_good(stored, environment)
        if client is None:
            if server.registration_endpoint is None:
                raise OAuthError(
                    f"this client cannot register at {redact_url(server.issuer)} by itself; register it there by hand, "
                    "and give client="
                )
            client = yield from register(environment, server, self._metadata)
            yield from self._keeping.keep_client(client, redirect_uri)
        registration.client = client
        return client


def _still_good(client: RegisteredClient | None, environment: AuthEnvironment) -> RegisteredClient | None:
    return client if client is not None and client.is_good(environment.wall_clock()) else None
