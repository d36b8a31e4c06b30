"""How one identity gets a token: a first one, a better one, a wider one; and how it gets rid of it.

Each of these is done in the identity's turn, so that nothing here happens twice at once for one identity.  A token that
another process has put into the store by now is always as good as one of our own, and costs nobody anything.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import field, frozen

from mcpcore.errors import McpError, OAuthError, OAuthResponseError
from mcpcore.oauth.discovery import find_resource, parameter
from mcpcore.oauth.dpop import check_algorithm
from mcpcore.oauth.grants import check_pkce
from mcpcore.oauth.metadata import check_endpoints
from mcpcore.oauth.scopes import split, united, wanted
from mcpcore.oauth.servers import is_own_server
from mcpcore.oauth.token_requests import TokenRequest, refresh, revoke

if TYPE_CHECKING:
    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.oauth.accounts import Account
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.discovery import Whereabouts
    from mcpcore.oauth.grants import Grant
    from mcpcore.oauth.keeping import Keeping
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment
    from mcpcore.oauth.registrations import Registrations
    from mcpcore.oauth.servers import Servers
    from mcpcore.oauth.signing import Signer
    from mcpcore.oauth.tokens import Token

    Challenges = tuple[Challenge, ...]

_log = logging.getLogger("mcpcore")

# What a refusal says of a refresh token (RFC 6749, section 5.2): it is gone, or it is of no use here.
_GONE = "invalid_grant"
_OF_NO_USE = frozenset({"invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type"})


@frozen
class Means:
    """By what a provider gets tokens.

    :ivar always: the scopes to be asked for in any case.
    :ivar issuer: the authorization server that the user named, or None.
    """

    grant: Grant
    always: tuple[str, ...]
    dpop: Signer | None = field(repr=False)
    issuer: str | None
    keeping: Keeping
    registrations: Registrations
    servers: Servers


@frozen
class Obtaining:
    """One identity at work on its token.

    :ivar may_ask: whether a person may be asked for it.
    """

    means: Means
    account: Account
    environment: AuthEnvironment
    may_ask: bool = True

    def first(self, challenges: Challenges) -> Flow[Token | None]:
        """A token where there is none; None if nobody may be asked for it."""
        if (stored := (yield from self._stored_since(None))) is not None:
            return stored
        return (yield from self.granted(challenges, ()))

    def renewed(self) -> Flow[Token | None]:
        """A token in place of one whose time is over, from the same server; None if it takes a person."""
        old = self.account.token
        if old is None:
            return None  # Whoever came before found that it cannot be renewed.
        if (stored := (yield from self._stored_since(old))) is not None:
            if not stored.is_stale(self.environment.wall_clock()):
                return stored
            old = stored
        if old.refresh_token is None and self.means.grant.is_interactive:
            yield from self.means.keeping.drop(self.account, old, self.environment.limits)
            return None
        return (yield from self._refreshed(old))

    def replaced(self, sent: Token, challenges: Challenges) -> Flow[Token | None]:
        """A token in place of one that the MCP server refuses; by its refresh token, if its issuer is still trusted."""
        if (stored := (yield from self._stored_since(sent))) is not None:
            return stored
        where = yield from find_resource(self.environment, challenges)
        has_all = set(split(parameter(challenges, "scope"))) <= set(sent.requested)
        may_refresh = sent.refresh_token is not None and has_all and self._is_trusted(where, sent.issuer)
        if may_refresh and (token := (yield from self._refreshed(sent))) is not None:
            return token
        return (yield from self._granted_at(where, challenges, sent.requested))

    def granted(self, challenges: Challenges, before: tuple[str, ...]) -> Flow[Token | None]:
        """A token granted anew; None if nobody may be asked for it.

        :param before: scopes that were asked for before, and are not to be lost.
        """
        where = yield from find_resource(self.environment, challenges)
        return (yield from self._granted_at(where, challenges, before))

    def ended(self) -> Flow[bool]:
        """Forget the identity's tokens, here, in the store and where they came from; whether all of them did."""
        stored = yield from self.means.keeping.stored(self.account, self.environment.limits)
        tokens = {token.access_token: token for token in (self.account.token, stored) if token is not None}.values()
        is_forgotten = yield from self.means.keeping.end(self.account, tokens)
        for token in tokens:
            is_forgotten = (yield from self._revoked(token)) and is_forgotten
        return is_forgotten and bool(tokens)

    def _stored_since(self, old: Token | None) -> Flow[Token | None]:
        return self.means.keeping.reload(self.account, old, self.environment.limits)

    def _refreshed(self, old: Token) -> Flow[Token | None]:
        """A token in place of ``old``, without anybody being asked; None if the server wants none of that."""
        means, server = self.means, (yield from self.means.servers.find(self.environment, old.issuer))
        client = yield from means.registrations.find(self.environment, server)
        wish = self._token_request(server, client, old.resource, old.requested)
        try:
            if old.refresh_token is None:
                token = yield from means.grant.obtain(wish)
            else:
                token = yield from refresh(wish, old)
        except McpError as error:
            return (yield from self._not_refreshed(old, server, client, error))
        yield from means.keeping.keep(self.account, token)
        return token

    def _not_refreshed(
        self, old: Token, server: AuthorizationServer, client: RegisteredClient | None, error: McpError
    ) -> Flow[Token | None]:
        """What a failure to refresh comes to: another process's token, a token less, or that very failure."""
        code = error.error if isinstance(error, OAuthResponseError) else ""
        if not code:
            self.means.servers.doubt(server)  # Its endpoints may have moved.
        if old.refresh_token is None or not code:
            raise error
        # Whoever shares the store may have been faster: a refresh token is good for once.
        if (stored := (yield from self._stored_since(old))) is not None:
            return stored
        is_client_gone = isinstance(error, OAuthResponseError) and (
            yield from self.means.registrations.heed(error, server, client)
        )
        if code == _GONE or is_client_gone:
            yield from self.means.keeping.drop(self.account, old, self.environment.limits)
        elif code in _OF_NO_USE:
            self.account.token, self.account.ignores_store = None, True
        else:
            raise error
        _log.info("a token could not be renewed: %r", code)
        return None

    def _granted_at(self, where: Whereabouts, challenges: Challenges, before: tuple[str, ...]) -> Flow[Token | None]:
        """Have a token granted by a server that the MCP server trusts."""
        means, environment = self.means, self.environment
        if means.grant.is_interactive and not self.may_ask:
            return None
        if where.wants_dpop and means.dpop is None:
            raise OAuthError("the MCP server takes only tokens that are bound to a key (DPoP): give OAuth(dpop=...)")
        if where.issuers:
            server = yield from means.servers.find(environment, self._chosen(where.issuers), anew=True)
        else:
            server = yield from means.servers.find_old(environment)
        if means.dpop is not None:
            check_algorithm(means.dpop, server)
        if means.grant.is_interactive:
            check_endpoints(server, is_named=server.issuer == means.issuer)
            check_pkce(server)
        always = united(self.account.wants, means.always)
        scopes = wanted(split(parameter(challenges, "scope")), where.scopes, before, always)
        if len(" ".join(scopes)) > environment.limits.scope_bytes:
            raise environment.limits.exceeded("scope_bytes", "the server wants too many scopes")
        client = yield from means.registrations.find(environment, server)
        try:
            token = yield from means.grant.obtain(self._token_request(server, client, where.resource, scopes))
        except OAuthResponseError as error:
            if error.status is None:
                self.account.refusals += 1
            yield from means.registrations.heed(error, server, client)
            raise
        yield from means.keeping.keep(self.account, token)
        return token

    def _chosen(self, issuers: tuple[str, ...]) -> str:
        """Which of several authorization servers to use: the one that the user named, else where the identity is."""
        token = self.account.token
        known = self.means.issuer or (token.issuer if token is not None else None)
        return known if known is not None and known in issuers else issuers[0]

    def _is_trusted(self, where: Whereabouts, issuer: str) -> bool:
        """Whether the MCP server still names an issuer."""
        return issuer in where.issuers if where.issuers else is_own_server(self.environment, issuer)

    def _revoked(self, token: Token) -> Flow[bool]:
        try:
            server = yield from self.means.servers.find(self.environment, token.issuer)
            client = yield from self.means.registrations.find(self.environment, server)
            return (yield from revoke(self._token_request(server, client, token.resource, ()), token))
        except McpError as error:
            # They are forgotten here, which nothing that fails there can change.
            _log.warning("a token was not revoked: %r", str(error))
            return False

    def _token_request(
        self, server: AuthorizationServer, client: RegisteredClient | None, resource: str, scopes: tuple[str, ...]
    ) -> TokenRequest:
        return TokenRequest(
            environment=self.environment,
            server=server,
            client=client,
            resource=resource,
            scopes=scopes,
            principal=self.account.principal,
            nonces=self.account.nonces,
            dpop=self.means.dpop,
        )
