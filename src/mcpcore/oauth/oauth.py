"""The provider: one for many principals, and for as many MCP servers as they use.

Before a request it hands out the identity's token, renewed if its time is over.  After a 401 it finds out anew who may
issue tokens for the server, then renews the token there or has it granted anew; after a 403 that names missing scopes
it asks for those, too.  Each is done once for all that wait for it: whoever comes while an identity's token is being
worked on waits for its turn, and then looks whether there is anything left to do.  No turn is common to two identities,
except that of registering at an authorization server, which is about none.

A failure is nobody's but the call's that met it.  The next in turn tries again for itself.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from mcpcore.context import RequestKind
from mcpcore.errors import ConfigurationError, LocalProtocolError, McpError, OAuthResponseError
from mcpcore.oauth.accounts import Account, Accounts
from mcpcore.oauth.clients import ClientMetadata
from mcpcore.oauth.discovery import find_old_server, find_resource, find_server, parameter
from mcpcore.oauth.dpop import proof
from mcpcore.oauth.grants import ClientCredentials, EnterpriseManaged, JwtBearer, check_pkce
from mcpcore.oauth.keeping import Keeping
from mcpcore.oauth.metadata import resource_of
from mcpcore.oauth.provider import Credentials, Login
from mcpcore.oauth.registrations import Registrations
from mcpcore.oauth.scopes import split, united, wanted
from mcpcore.oauth.token_requests import Petition, refresh, revoke
from mcpcore.rules.endpoint import NOT_IN_URL, origin_of
from mcpcore.state.flights import take_turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.context import RequestContext
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.discovery import Whereabouts
    from mcpcore.oauth.grants import AuthorizationCode
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment, Refusal
    from mcpcore.oauth.signing import Signer
    from mcpcore.oauth.token_store import TokenStore
    from mcpcore.oauth.tokens import Token

_log = logging.getLogger("mcpcore")

# What ends something, or answers somebody, is not worth a login.
_WORTH_A_GRANT = frozenset(
    {RequestKind.DISCOVER, RequestKind.INITIALIZE, RequestKind.REQUEST, RequestKind.LISTEN, RequestKind.RESUME}
)


@frozen
class _Used:
    """What one request was authorized by."""

    token: Token
    nonce: str | None


def _check_document_url(_auth: object, _attribute: object, url: str | None) -> None:
    """Refuse what cannot be the URL of a client's metadata (2026-07-28, "Client ID Metadata Documents")."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_plain = not NOT_IN_URL.search(url) and not {".", ".."} & set(parts.path.split("/"))
    if parts.scheme != "https" or origin_of(parts) is None or parts.path in ("", "/") or parts.fragment or not is_plain:
        raise ConfigurationError("client_metadata_url is an https URL with a path, as it is to be compared")


def _tuple_of_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(scopes, str):
        raise ConfigurationError("scopes: expected several names, not one string")
    return tuple(scopes)


@final
@define(eq=False)
class OAuth:
    """Authorization as MCP profiles it (2026-07-28, "Authorization"); give it to a client as ``auth``.

    One provider serves many principals, each with tokens of its own, by :attr:`CallContext.principal`.  A call without
    one is made in the application's own name.  Clients of several MCP servers may share a provider; like them, it
    belongs to one event loop.

    :param grant: the way to a first token: :class:`AuthorizationCode`, :class:`ClientCredentials`, :class:`JwtBearer`
        or :class:`EnterpriseManaged`.
    :param client: what this client was registered as by hand.  Without one it names itself by ``client_metadata_url``
        where the authorization server takes that, or else registers by itself.
    :param client_metadata_url: where a document describes this client, https; its id where it is taken for that.
    :param client_name: what it calls itself where it registers.
    :param client_metadata: what else it says there, by the names of RFC 7591, section 2.
    :param scopes: to be asked for in any case, besides what the MCP server wants.
    :param store: where tokens outlive the process; None keeps them in memory alone.
    :param dpop: the key that tokens are bound to (RFC 9449); None for bearer tokens.  To use stored tokens, it has to
        be the same in the next process.
    :raises ConfigurationError: if it can never work.
    """

    grant: AuthorizationCode | ClientCredentials | JwtBearer | EnterpriseManaged
    client: RegisteredClient | None = field(default=None, kw_only=True)
    client_metadata_url: str | None = field(default=None, kw_only=True, validator=_check_document_url)
    client_name: str = field(default="mcpcore", kw_only=True)
    client_metadata: Mapping[str, Any] = field(factory=dict[str, Any], kw_only=True, repr=False)
    scopes: tuple[str, ...] = field(default=(), kw_only=True, converter=_tuple_of_scopes)
    store: TokenStore | None = field(default=None, kw_only=True, repr=False)
    dpop: Signer | None = field(default=None, kw_only=True, repr=False)
    _accounts: Accounts = field(factory=Accounts, init=False, repr=False)
    _keeping: Keeping = field(init=False, repr=False)
    _registrations: Registrations = field(init=False, repr=False)
    _servers: dict[str, AuthorizationServer] = field(factory=dict[str, "AuthorizationServer"], init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.client is None and isinstance(self.grant, ClientCredentials | EnterpriseManaged):
            raise ConfigurationError(f"{type(self.grant).__name__} takes a client that was registered by hand")
        self._keeping = Keeping(self.store, None if self.dpop is None else self.dpop.thumbprint)
        description = ClientMetadata(
            name=self.client_name,
            redirect_uri=self.grant.redirect_uri,
            grant_types=self.grant.grant_types,
            more=self.client_metadata,
        )
        self._registrations = Registrations(
            self._keeping, description, self.client, self.client_metadata_url, not isinstance(self.grant, JwtBearer)
        )

    @property
    def shows_identity(self) -> bool:
        """Never: whose token it is, the principal says, and it changes without anybody else coming."""
        return False

    def headers(self, request: RequestContext, environment: AuthEnvironment) -> Flow[Credentials]:
        """The identity's token, renewed if need be; nothing while it has none."""
        self._check_caller(request, environment)
        account = self._account(request, environment)
        if not account.is_loaded:
            yield from take_turns(
                account.turn,
                look=lambda: account if account.is_loaded else None,
                lead=lambda: self._keeping.load(account, environment.limits),
            )
        token = account.token
        if token is not None and token.is_stale(environment.wall_clock()):
            token = yield from take_turns(
                account.turn,
                look=lambda: _fresh(account, environment),
                lead=lambda: self._renew(account, self._trusting(environment)),
            )
        return Credentials() if token is None else self._credentials(request, environment, account, token)

    def refused(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        attempts: Sequence[Credentials],
        refusal: Refusal,
    ) -> Flow[bool]:
        """Find a better token, if there is any; whether to make the request once more."""
        account, used = self._account(request, environment), attempts[-1].basis
        sent = used.token if isinstance(used, _Used) else None
        if len(attempts) > environment.limits.authorizations:
            return False
        if self.dpop is not None and isinstance(used, _Used) and _wants_other_nonce(refusal, used.nonce):
            return True
        if request.kind not in _WORTH_A_GRANT:
            return False
        lead = self._answer(account, self._trusting(environment), sent, attempts, refusal)
        if lead is None:
            return False
        found = yield from take_turns(account.turn, look=lambda: _other_than(account, sent), lead=lambda: lead)
        return found is not None

    def told_nonce(self, request: RequestContext, environment: AuthEnvironment, nonce: str) -> None:
        """Remember a nonce for the next proof."""
        if self.dpop is not None:
            self._account(request, environment).nonces.learn(request.url, nonce)

    def log_in(self, request: RequestContext, environment: AuthEnvironment) -> Flow[Login]:
        """Get an identity a token, unless it has one, without being refused first.

        :raises OAuthError: if none can be had.
        """
        credentials = yield from self.headers(request, environment)
        account, trusting = self._account(request, environment), self._trusting(environment)
        if not isinstance(credentials.basis, _Used):
            yield from take_turns(
                account.turn,
                look=lambda: _fresh(account, environment),
                lead=lambda: self._grant_anew(account, trusting, (), (), ()),
            )
        token = account.token
        assert token is not None
        is_renewable = token.refresh_token is not None or not self.grant.is_interactive
        return Login(token.issuer, token.resource, token.granted, token.renew_at, is_renewable)

    def log_out(self, request: RequestContext, environment: AuthEnvironment) -> Flow[bool]:
        """Forget an identity's tokens, here, in the store and at the authorization server; whether all of them did."""
        account, trusting = self._account(request, environment), self._trusting(environment)
        return (
            yield from take_turns(account.turn, look=lambda: None, lead=lambda: self._end(account, trusting))
        ) is True

    def _check_caller(self, request: RequestContext, environment: AuthEnvironment) -> None:
        # A program that works for one person says nothing of people; whoever does may mean several.
        serves_many = environment.has_resolvers or request.user is not None or bool(request.request_headers)
        if self.grant.is_of_people and request.principal is None and serves_many:
            raise LocalProtocolError(
                "auth: tokens are people's here, and calls differ in headers or users, so it must be said whose call "
                "this is: CallContext(principal=...)"
            )

    def _account(self, request: RequestContext, environment: AuthEnvironment) -> Account:
        limits = environment.limits
        return self._accounts.of(resource_of(environment.endpoint), request.principal, limits.accounts)

    def _trusting(self, environment: AuthEnvironment) -> AuthEnvironment:
        """The environment, with the origins that the user named, which may be anywhere."""
        return evolve(environment, trusted=self._named_origins())

    def _named_origins(self) -> frozenset[tuple[str, str, int]]:
        urls = [self.client.issuer] if self.client is not None and self.client.issuer is not None else []
        if isinstance(self.grant, EnterpriseManaged):
            urls.append(self.grant.token_endpoint)
        origins = (origin_of(urlsplit(url)) for url in urls)
        return frozenset(origin for origin in origins if origin is not None)

    def _credentials(
        self, request: RequestContext, environment: AuthEnvironment, account: Account, token: Token
    ) -> Credentials:
        headers = {"Authorization": f"{token.token_type} {token.access_token}"}
        nonce = account.nonces.of(request.url)
        if self.dpop is not None:
            headers["DPoP"] = proof(
                self.dpop, environment, account.nonces, request.http_method, request.url, token.access_token
            )
        return Credentials(headers, _Used(token, nonce))

    def _answer(
        self,
        account: Account,
        environment: AuthEnvironment,
        sent: Token | None,
        attempts: Sequence[Credentials],
        refusal: Refusal,
    ) -> Flow[Token | None] | None:
        """What can be done about a refusal; None if nothing can."""
        challenged = split(parameter(refusal.challenges, "scope"))
        if refusal.status == 403:
            # Scopes that were asked for before, and not granted, are not asked for again and again.
            may_help = sent is not None and _lacks_scope(refusal) and not set(challenged) <= set(sent.requested)
            if sent is None or not may_help or (self.grant.is_interactive and _logins(attempts) > 1):
                return None
            before = united(sent.requested, sent.granted)
            return self._grant_anew(account, environment, refusal.challenges, challenged, before)
        first = attempts[0].basis
        if sent is None:
            # Nobody logs in twice for one request, even if the first token was of no use by the time it was sent.
            return self._begin(account, environment, refusal.challenges, challenged) if len(attempts) == 1 else None
        if sent.source == "store" or (isinstance(first, _Used) and first.token is sent):
            return self._replace(account, environment, sent, refusal.challenges, challenged)
        if sent.source == "renewal":
            return self._grant_anew(account, environment, refusal.challenges, challenged, sent.requested)
        return None  # It was granted for this very request, so another one would do no better.

    def _begin(
        self,
        account: Account,
        environment: AuthEnvironment,
        challenges: tuple[Challenge, ...],
        challenged: tuple[str, ...],
    ) -> Flow[Token]:
        """A first token: another process's, if one has logged in by now."""
        if (stored := (yield from self._keeping.reload(account, None, environment.limits))) is not None:
            return stored
        return (yield from self._grant_anew(account, environment, challenges, challenged, ()))

    def _renew(self, account: Account, environment: AuthEnvironment) -> Flow[Token | None]:
        """A token in place of one whose time is over, from the same server; None if a person has to be asked."""
        old = account.token
        if old is None:
            return None  # Whoever came before found that it cannot be renewed.
        if (stored := (yield from self._keeping.reload(account, old, environment.limits))) is not None:
            if not stored.is_stale(environment.wall_clock()):
                return stored
            old = stored
        if old.refresh_token is None and self.grant.is_interactive:
            yield from self._keeping.drop(account, old, environment.limits)
            return None
        server = yield from self._server(environment, old.issuer)
        return (yield from self._refresh(account, environment, server, old))

    def _refresh(
        self, account: Account, environment: AuthEnvironment, server: AuthorizationServer, old: Token
    ) -> Flow[Token | None]:
        """A token in place of ``old``, without anybody being asked; None if the server wants none of that."""
        client = yield from self._registrations.find(environment, server)
        petition = self._petition(account, environment, server, client, old.resource, old.requested)
        if old.refresh_token is None:
            token = yield from self.grant.obtain(petition)
        else:
            try:
                token = yield from refresh(petition, old)
            except OAuthResponseError as error:
                if error.status is None or not 400 <= error.status < 500 or error.status == 429:
                    raise
                _log.info("a token could not be renewed: %r", error.error)
                # Whoever shares the store may have been faster: a refresh token is good for once.
                if (stored := (yield from self._keeping.reload(account, old, environment.limits))) is not None:
                    return stored
                yield from self._registrations.heed(error, server, client)
                yield from self._keeping.drop(account, old, environment.limits)
                return None
        yield from self._keeping.keep(account, token)
        return token

    def _replace(
        self,
        account: Account,
        environment: AuthEnvironment,
        sent: Token,
        challenges: tuple[Challenge, ...],
        challenged: tuple[str, ...],
    ) -> Flow[Token | None]:
        """A token in place of one that the server refuses; by its refresh token, if its issuer is still trusted."""
        if (stored := (yield from self._keeping.reload(account, sent, environment.limits))) is not None:
            return stored
        where = yield from find_resource(environment, challenges)
        may_refresh = sent.refresh_token is not None and set(challenged) <= set(sent.requested)
        if may_refresh and self._still_trusts(where, environment, sent.issuer):
            server = yield from self._server(environment, sent.issuer)
            if (token := (yield from self._refresh(account, environment, server, sent))) is not None:
                return token
        return (yield from self._obtain(account, environment, where, challenged, sent.requested))

    def _grant_anew(
        self,
        account: Account,
        environment: AuthEnvironment,
        challenges: tuple[Challenge, ...],
        challenged: tuple[str, ...],
        before: tuple[str, ...],
    ) -> Flow[Token]:
        where = yield from find_resource(environment, challenges)
        return (yield from self._obtain(account, environment, where, challenged, before))

    def _obtain(
        self,
        account: Account,
        environment: AuthEnvironment,
        where: Whereabouts,
        challenged: tuple[str, ...],
        before: tuple[str, ...],
    ) -> Flow[Token]:
        """Have a token granted by a server that the MCP server trusts."""
        if where.issuers:
            server = yield from self._server(environment, self._choose(where.issuers, account.token), anew=True)
        else:
            server = yield from find_old_server(environment)
            self._remember(server, environment)
        if self.grant.is_interactive:
            check_pkce(server)
        scopes = wanted(challenged, where.scopes, before, self.scopes)
        if len(" ".join(scopes)) > environment.limits.scope_bytes:
            raise environment.limits.exceeded("scope_bytes", "the server wants too many scopes")
        client = yield from self._registrations.find(environment, server)
        petition = self._petition(account, environment, server, client, where.resource, scopes)
        try:
            token = yield from self.grant.obtain(petition)
        except OAuthResponseError as error:
            yield from self._registrations.heed(error, server, client)
            raise
        yield from self._keeping.keep(account, token)
        return token

    def _petition(
        self,
        account: Account,
        environment: AuthEnvironment,
        server: AuthorizationServer,
        client: RegisteredClient | None,
        resource: str,
        scopes: tuple[str, ...],
    ) -> Petition:
        return Petition(
            environment=environment,
            server=server,
            client=client,
            resource=resource,
            scopes=scopes,
            principal=account.principal,
            nonces=account.nonces,
            dpop=self.dpop,
        )

    def _choose(self, issuers: tuple[str, ...], token: Token | None) -> str:
        """Which of several authorization servers to use: where this client is known, else where the identity is."""
        known = None if self.client is None else self.client.issuer
        if known is None and token is not None:
            known = token.issuer
        return known if known is not None and known in issuers else issuers[0]

    def _still_trusts(self, where: Whereabouts, environment: AuthEnvironment, issuer: str) -> bool:
        return issuer in where.issuers if where.issuers else _is_own_server(environment, issuer)

    def _server(self, environment: AuthEnvironment, issuer: str, *, anew: bool = False) -> Flow[AuthorizationServer]:
        """What is known of an authorization server.

        :param anew: whether to look again what it says.
        """
        if not anew and issuer in self._servers:
            return self._servers[issuer]
        if not anew and _is_own_server(environment, issuer):
            server = yield from find_old_server(environment, is_used=True)
        else:
            server = yield from find_server(environment, issuer)
        self._remember(server, environment)
        return server

    def _remember(self, server: AuthorizationServer, environment: AuthEnvironment) -> None:
        self._servers.pop(server.issuer, None)
        self._servers[server.issuer] = server
        if len(self._servers) > environment.limits.authorization_servers:
            del self._servers[next(iter(self._servers))]

    def _end(self, account: Account, environment: AuthEnvironment) -> Flow[bool]:
        stored = yield from self._keeping.stored(account, environment.limits)
        tokens = {token.access_token: token for token in (account.token, stored) if token is not None}.values()
        is_forgotten = yield from self._keeping.end(account, tokens)
        for token in tokens:
            is_forgotten = (yield from self._revoke(account, environment, token)) and is_forgotten
        return is_forgotten and bool(tokens)

    def _revoke(self, account: Account, environment: AuthEnvironment, token: Token) -> Flow[bool]:
        try:
            server = yield from self._server(environment, token.issuer)
            client = yield from self._registrations.find(environment, server)
            petition = self._petition(account, environment, server, client, token.resource, ())
            return (yield from revoke(petition, token))
        except McpError as error:
            # They are forgotten here, which nothing that fails there can change.
            _log.warning("a token was not revoked: %r", str(error))
            return False


def _fresh(account: Account, environment: AuthEnvironment) -> Token | None:
    token = account.token
    return None if token is None or token.is_stale(environment.wall_clock()) else token


def _other_than(account: Account, sent: Token | None) -> Token | None:
    return None if account.token is sent else account.token


def _logins(attempts: Sequence[Credentials]) -> int:
    """How many of the tokens that one request was made with were granted for it."""
    used = [credentials.basis for credentials in attempts]
    tokens = [basis.token for basis in used[1:] if isinstance(basis, _Used) and basis.token.source == "grant"]
    return len(
        {token.access_token for token in tokens} - {used[0].token.access_token if isinstance(used[0], _Used) else ""}
    )


def _is_own_server(environment: AuthEnvironment, issuer: str) -> bool:
    """Whether an issuer is the MCP server itself, as those of 2025-03-26 are."""
    parts = urlsplit(issuer)
    return origin_of(parts) == environment.endpoint.origin and parts.path in ("", "/")


def _wants_other_nonce(refusal: Refusal, used: str | None) -> bool:
    is_asked = refusal.status == 401 and parameter(refusal.challenges, "error") == "use_dpop_nonce"
    return is_asked and refusal.dpop_nonce not in (None, used)


def _lacks_scope(refusal: Refusal) -> bool:
    return parameter(refusal.challenges, "error") == "insufficient_scope"
