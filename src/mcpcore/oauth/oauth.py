"""The provider: one for many principals, and for as many MCP servers as they use.

Before a request it hands out the identity's token, renewed if its time is over.  After a 401 it finds out anew who may
issue tokens for the server, then renews the token there or has it granted anew; after a 403 that names missing scopes
it asks for those, too.  Each is done once for all that wait for it: whoever comes while an identity's token is being
worked on waits for its turn, and then looks whether there is anything left to do.  No turn is common to two identities,
except that of registering at an authorization server, which is about none.

A failure is nobody's but the call's that met it.  The next in turn tries again for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from attrs import define, evolve, field, frozen

from mcpcore.context import RequestKind
from mcpcore.errors import ConfigurationError, LocalProtocolError, OAuthError
from mcpcore.oauth.accounts import Account, Accounts
from mcpcore.oauth.clients import ClientMetadata
from mcpcore.oauth.discovery import parameter
from mcpcore.oauth.dpop import proof
from mcpcore.oauth.grants import ClientCredentials, EnterpriseManaged, JwtBearer
from mcpcore.oauth.keeping import Keeping
from mcpcore.oauth.metadata import resource_of
from mcpcore.oauth.obtaining import Means, Obtaining
from mcpcore.oauth.provider import Credentials, Login
from mcpcore.oauth.registrations import Registrations
from mcpcore.oauth.scopes import split, united
from mcpcore.oauth.servers import Servers
from mcpcore.rules.endpoint import NOT_IN_URL, origin_of, origin_of_url
from mcpcore.state.flights import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcpcore.commands import Flow
    from mcpcore.context import RequestContext
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.grants import Grant
    from mcpcore.oauth.provider import AuthEnvironment, Refusal
    from mcpcore.oauth.signing import Signer
    from mcpcore.oauth.token_store import TokenStore
    from mcpcore.oauth.tokens import Token


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
    :param trust_first_issuer: whether a ``client`` whose issuer is not said shows its secret to the first authorization
        server that an MCP server names, and to no other after that.
    :raises ConfigurationError: if it can never work.
    """

    grant: Grant
    client: RegisteredClient | None = field(default=None, kw_only=True)
    client_metadata_url: str | None = field(default=None, kw_only=True, validator=_check_document_url)
    client_name: str = field(default="mcpcore", kw_only=True)
    client_metadata: Mapping[str, Any] = field(factory=dict[str, Any], kw_only=True, repr=False)
    scopes: tuple[str, ...] = field(default=(), kw_only=True, converter=_tuple_of_scopes)
    store: TokenStore | None = field(default=None, kw_only=True, repr=False)
    dpop: Signer | None = field(default=None, kw_only=True, repr=False)
    trust_first_issuer: bool = field(default=False, kw_only=True)
    _accounts: Accounts = field(factory=Accounts, init=False, repr=False)
    _means: Means = field(init=False, repr=False)
    _named: frozenset[tuple[str, str, int]] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._check_client()
        keeping = Keeping(self.store, None if self.dpop is None else self.dpop.thumbprint)
        description = ClientMetadata(
            name=self.client_name,
            redirect_uri=self.grant.redirect_uri,
            grant_types=self.grant.grant_types,
            more=self.client_metadata,
            is_bound=self.dpop is not None,
        )
        registrations = Registrations(
            keeping, description, self.client, self.client_metadata_url, not isinstance(self.grant, JwtBearer)
        )
        issuer = None if self.client is None else self.client.issuer
        self._means = Means(self.grant, self.scopes, self.dpop, issuer, keeping, registrations, Servers())
        self._named = self._named_origins()

    def _check_client(self) -> None:
        client = self.client
        if client is None:
            if isinstance(self.grant, ClientCredentials | EnterpriseManaged):
                raise ConfigurationError(f"{type(self.grant).__name__} takes a client that was registered by hand")
        elif client.client_secret is not None and client.issuer is None and not self.trust_first_issuer:
            raise ConfigurationError(
                "a client's secret belongs to one authorization server: say which, by RegisteredClient(..., issuer=...)"
            )

    def _named_origins(self) -> frozenset[tuple[str, str, int]]:
        """The origins that the user named, which may be at any address."""
        urls = [self.client.issuer] if self.client is not None and self.client.issuer is not None else []
        if isinstance(self.grant, EnterpriseManaged):
            urls.append(self.grant.token_endpoint)
        origins = map(origin_of_url, urls)
        return frozenset(origin for origin in origins if origin is not None)

    @property
    def shows_identity(self) -> bool:
        """Never: whose token it is, the principal says, and it changes without anybody else coming."""
        return False

    def headers(self, request: RequestContext, environment: AuthEnvironment) -> Flow[Credentials]:
        """The identity's token, renewed if need be; nothing while it has none."""
        self._check_caller(request, environment)
        account = self._account(request, environment)
        token = account.token
        if not account.is_loaded or (token is not None and token.is_stale(environment.wall_clock())):
            token = yield from account.used_by(self._fresh_token(account, environment))
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
        if len(attempts) > environment.limits.authorizations:
            return False
        if self.dpop is not None and isinstance(used, _Used) and _wants_other_nonce(refusal, used.nonce):
            return True
        sent = used.token if isinstance(used, _Used) else None
        lead = self._answer(self._obtaining(account, environment, may_ask=_is_worth_asking(request)), attempts, refusal)
        if lead is None:
            return False
        refusals = account.refusals

        def look() -> Token | None:
            if account.refusals != refusals:
                raise OAuthError("the login that this call waited for was refused")
            return None if account.token is sent else account.token

        return (yield from account.used_by(take_turns(account.turn, look, lead))) is not None

    def told_nonce(self, request: RequestContext, environment: AuthEnvironment, nonce: str) -> None:
        """Remember a nonce for the next proof."""
        if self.dpop is not None:
            self._account(request, environment).nonces.learn(request.url, nonce)

    def log_in(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        opening: Callable[[], Flow[object]],
        *,
        scopes: tuple[str, ...] = (),
        anew: bool = False,
    ) -> Flow[Login]:
        """Get an identity a token, unless it has one, without being refused first.

        :param opening: makes the first requests of a call, so that the MCP server can say what it wants.
        :param scopes: to be asked for, too.
        :param anew: whether to have one granted although there is one, which is kept in case that fails.
        :raises OAuthError: if none can be had.
        """
        self._check_caller(request, environment)
        account = self._account(request, environment)
        log_in = self._logged_in_anew if anew else self._logged_in
        token = yield from account.used_by(log_in(account, environment, opening, scopes))
        is_renewable = token.refresh_token is not None or not self.grant.is_interactive
        return Login(token.issuer, token.resource, token.granted, token.renew_at, is_renewable)

    def log_out(self, request: RequestContext, environment: AuthEnvironment) -> Flow[bool]:
        """Forget an identity's tokens, here, in the store and at the authorization server; whether all of them did."""
        account = self._account(request, environment)
        lead = self._obtaining(account, environment).ended
        return (yield from account.used_by(take_turns(account.turn, look=lambda: None, lead=lead))) is True

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

    def _obtaining(self, account: Account, environment: AuthEnvironment, *, may_ask: bool = True) -> Obtaining:
        return Obtaining(self._means, account, evolve(environment, trusted=self._named), may_ask)

    def _fresh_token(self, account: Account, environment: AuthEnvironment) -> Flow[Token | None]:
        """The identity's token, from the store and renewed if need be."""
        yield from self._loaded(account, environment)
        if account.token is None:
            return None
        return (
            yield from take_turns(
                account.turn,
                look=lambda: _fresh(account, environment),
                lead=self._obtaining(account, environment).renewed,
            )
        )

    def _loaded(self, account: Account, environment: AuthEnvironment) -> Flow[Account]:
        """The account, once the store was asked what is in it."""
        return take_turns(
            account.turn,
            look=lambda: account if account.is_loaded else None,
            lead=lambda: self._means.keeping.load(account, environment.limits),
        )

    def _logged_in(
        self,
        account: Account,
        environment: AuthEnvironment,
        opening: Callable[[], Flow[object]],
        scopes: tuple[str, ...],
    ) -> Flow[Token]:
        """The identity's token, granted now if need be."""
        account.wants = scopes
        try:
            yield from opening()
            old = yield from self._fresh_token(account, environment)
            if old is not None and set(scopes) <= set(old.requested):
                return old
            before = () if old is None else old.requested
            token = yield from take_turns(
                account.turn,
                look=lambda: None if account.token is old else account.token,
                lead=lambda: self._obtaining(account, environment).granted((), before),
            )
        finally:
            account.wants = ()
        assert token is not None  # A person may be asked.
        return token

    def _logged_in_anew(
        self,
        account: Account,
        environment: AuthEnvironment,
        opening: Callable[[], Flow[object]],
        scopes: tuple[str, ...],
    ) -> Flow[Token]:
        """A token granted now; while that is not so, the identity is one that has none."""
        if not account.is_loaded:
            yield from self._loaded(account, environment)
        old, ignored = account.token, account.ignores_store
        account.token, account.ignores_store = None, True
        try:
            before = () if old is None else old.requested
            return (yield from self._logged_in(account, environment, opening, united(scopes, before)))
        finally:
            if account.token is None:
                account.token, account.ignores_store = old, ignored

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
        self, obtaining: Obtaining, attempts: Sequence[Credentials], refusal: Refusal
    ) -> Callable[[], Flow[Token | None]] | None:
        """What can be done about a refusal; None if nothing can."""
        used = [credentials.basis.token if isinstance(credentials.basis, _Used) else None for credentials in attempts]
        sent, challenges = used[-1], refusal.challenges
        if refusal.status == 403:
            # Scopes that were asked for before, and not granted, are not asked for again and again.
            missing = set(split(parameter(challenges, "scope"))) if _lacks_scope(refusal) else set[str]()
            if sent is None or missing <= set(sent.requested) or (self.grant.is_interactive and _logins(used) > 1):
                return None
            before = united(sent.requested, sent.granted)
            return lambda: obtaining.granted(challenges, before)
        if sent is None:
            # Nobody logs in twice for one request, even if the first token was of no use by the time it was sent.
            return (lambda: obtaining.first(challenges)) if len(attempts) == 1 else None
        if sent.source == "store" or sent is used[0]:
            return lambda: obtaining.replaced(sent, challenges)
        if sent.source == "renewal":
            return lambda: obtaining.granted(challenges, sent.requested)
        return None  # It was granted for this very request, so another one would do no better.


def _is_worth_asking(request: RequestContext) -> bool:
    """Whether a person may be asked to log in for a request; not for what ends something, or answers somebody."""
    if request.kind is RequestKind.NOTIFICATION:
        return request.rpc_method != "notifications/cancelled"
    return request.kind not in (RequestKind.RESPONSE, RequestKind.TERMINATE)


def _fresh(account: Account, environment: AuthEnvironment) -> Token | None:
    token = account.token
    return None if token is None or token.is_stale(environment.wall_clock()) else token


def _wants_other_nonce(refusal: Refusal, used: str | None) -> bool:
    is_asked = refusal.status == 401 and parameter(refusal.challenges, "error") == "use_dpop_nonce"
    return is_asked and refusal.dpop_nonce not in (None, used)


def _lacks_scope(refusal: Refusal) -> bool:
    return parameter(refusal.challenges, "error") == "insufficient_scope"


def _logins(used: Sequence[Token | None]) -> int:
    """How many of the tokens that one request was made with were granted for it."""
    granted = [token for token in used[1:] if token is not None and token.source == "grant" and token is not used[0]]
    return len({id(token) for token in granted})
