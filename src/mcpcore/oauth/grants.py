"""The grants: the ways to a first token, each of which is one of a provider's.

* :class:`AuthorizationCode`: a person logs in, in a browser, and consents.
* :class:`ClientCredentials`: the application is its own principal.
* :class:`JwtBearer`: the application is a workload that some platform vouches for.
* :class:`EnterpriseManaged`: a person has logged in at an enterprise's identity provider, which vouches for them.

A refresh is no grant of its own: whatever led to a token, its refresh token leads to the next.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import evolve, field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.commands import CallHandler
from mcpcore.errors import ConfigurationError, McpError, OAuthError
from mcpcore.oauth.clients import RegisteredClient
from mcpcore.oauth.dpop import base64url
from mcpcore.oauth.http import refused
from mcpcore.oauth.interaction import AssertionRequest, AuthorizationRequest
from mcpcore.oauth.metadata import AuthorizationServer
from mcpcore.oauth.scopes import OFFLINE_ACCESS, with_refresh
from mcpcore.oauth.token_requests import exchange_token, request_token
from mcpcore.redaction import HIDDEN, redact_url
from mcpcore.rules.addresses import Target
from mcpcore.rules.endpoint import is_loopback, origin_of

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.oauth.interaction import AssertionHandler, AuthorizationHandler
    from mcpcore.oauth.token_requests import TokenRequest
    from mcpcore.oauth.tokens import Token

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
_RESPONSE = "the authorization response"


class Grant(Protocol):
    """One way to a first token.

    :ivar is_interactive: whether it takes a person, so that it can't be repeated at will.
    :ivar is_of_people: whether what it gives is somebody's, and not the application's own.
    :ivar grant_types: what a client that registers says that it will use.
    """

    is_interactive: ClassVar[bool]
    is_of_people: ClassVar[bool]
    grant_types: ClassVar[tuple[str, ...]]

    @property
    def redirect_uri(self) -> str | None:
        """Where browsers are sent back to, if any are sent away."""
        ...

    def obtain(self, wish: TokenRequest) -> Flow[Token]:
        """Get a token."""
        ...


def _check_redirect_uri(_grant: object, _attribute: object, uri: str) -> None:
    """Refuse what no authorization server may send a browser to (2026-07-28, "Communication Security")."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    origin = origin_of(parts)
    is_web = origin is not None and (origin[0] == "https" or is_loopback(origin[1]))
    if not is_web or parts.fragment:
        raise ConfigurationError("a redirect URI is https, or http on this machine, and has no fragment")


@frozen
class AuthorizationCode:
    """A person logs in, in a browser, and consents (2026-07-28, "Authorization"; OAuth 2.1, section 4.1).

    :param handler: sends a person's browser to a URL, and returns the URL that it is sent back to; see
        :data:`~mcpcore.oauth.interaction.AuthorizationHandler`.  ``transports.oauth.BrowserLogin`` is one.
    :param redirect_uri: where it is sent back to: https, or this machine.
    """

    handler: AuthorizationHandler = field(repr=False)
    redirect_uri: str = field(validator=_check_redirect_uri)

    is_interactive: ClassVar[bool] = True
    is_of_people: ClassVar[bool] = True
    grant_types: ClassVar[tuple[str, ...]] = ("authorization_code", "refresh_token")

    def obtain(self, wish: TokenRequest) -> Flow[Token]:
        """Have somebody log in, and exchange the code.

        :raises OAuthError: if the authorization server is not fit for it, or the answer is not what was asked for.
        """
        server, client = wish.server, wish.client
        assert client is not None
        wish = evolve(wish, scopes=with_refresh(wish.scopes, server.scopes_supported))
        verifier, state = (base64url(wish.environment.entropy(32)) for _ in range(2))
        request = self._request(wish, client.client_id, verifier, state)
        answer = yield from _ask_user(self.handler, request, "authorization handler")
        code = _read_response(answer, state, server)
        parameters = {"code": code, "code_verifier": verifier, "redirect_uri": self.redirect_uri}
        return (yield from request_token(wish, "authorization_code", parameters))

    def _request(self, wish: TokenRequest, client_id: str, verifier: str, state: str) -> AuthorizationRequest:
        parameters = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": self.redirect_uri,
            "state": state,
            "code_challenge": base64url(sha256(verifier.encode("ascii")).digest()),
            "code_challenge_method": "S256",
            "resource": wish.resource,
        }
        if wish.scopes:
            parameters["scope"] = " ".join(wish.scopes)
        if OFFLINE_ACCESS in wish.scopes:
            parameters["prompt"] = "consent"  # Without it the scope is to be ignored (OpenID Connect Core, section 11).
        if wish.dpop is not None:
            parameters["dpop_jkt"] = wish.dpop.thumbprint
        return AuthorizationRequest(
            url=_with_query(_authorization_endpoint(wish.server), parameters),
            redirect_uri=self.redirect_uri,
            state=state,
            issuer=wish.server.issuer,
            resource=wish.resource,
            scopes=wish.scopes,
            principal=wish.principal,
        )


def check_pkce(server: AuthorizationServer) -> None:
    """See that a server has PKCE, which a login is not safe without (2026-07-28, "Authorization Code Protection").

    :raises OAuthError: if it does not say so.
    """
    if "S256" not in (server.pkce_methods or ()):
        raise OAuthError(
            f"the authorization server {redact_url(server.issuer)} does not say that it supports PKCE with S256, and a "
            "login without that is not safe"
        )


def _authorization_endpoint(server: AuthorizationServer) -> str:
    if server.authorization_endpoint is None:
        raise OAuthError(f"the authorization server {redact_url(server.issuer)} has no authorization endpoint")
    # It is a person's browser that goes there, and not we; what may be asked is the same.
    return Target.parse(server.authorization_endpoint, "the authorization endpoint").url


def _with_query(url: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(url)
    return parts._replace(query="&".join(filter(None, (parts.query, urlencode(parameters))))).geturl()


def _read_response(answer: object, state: str, server: AuthorizationServer) -> str:
    """The code in an authorization response (OAuth 2.1, section 4.1.2; RFC 9207, section 2.4).

    Whose response it is comes first: of one that is not, nothing is used or shown.

    :raises OAuthError: if it is another login's, or another server's, or holds no code.
    """
    if not isinstance(answer, str):
        raise OAuthError("the authorization handler returned no URL, which is what the browser was sent back to")
    try:
        answer.encode()  # What cannot be is no URL.
        pairs = parse_qsl(urlsplit(answer).query, keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise OAuthError(f"{_RESPONSE} cannot be parsed") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise OAuthError(f"{_RESPONSE} has a parameter twice, and is not used")
    if not compare_digest(given.get("state", "").encode(), state.encode()):
        raise OAuthError(f"{_RESPONSE} is not to this login: its state differs")
    issuer = given.get("iss")
    if issuer != server.issuer and (issuer is not None or server.names_itself):
        raise OAuthError(f"{_RESPONSE} is not from {redact_url(server.issuer)}, where the login began; it is not used")
    if "error" in given:
        told = (given.get(name, "").replace(state, HIDDEN) for name in ("error", "error_description"))
        code, description = map(_printable, told)
        raise refused("the login", code, description)
    if not given.get("code"):
        raise OAuthError(f"{_RESPONSE} holds no code")
    return given["code"]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:300])


@frozen
class ClientCredentials:
    """The application is its own principal (MCP extension "OAuth Client Credentials"; OAuth 2.1, section 4.2).

    It needs a ``client`` that was registered by hand.
    """

    is_interactive: ClassVar[bool] = False
    is_of_people: ClassVar[bool] = False
    redirect_uri: None = field(default=None, init=False, repr=False)
    grant_types: ClassVar[tuple[str, ...]] = ("client_credentials",)

    def obtain(self, wish: TokenRequest) -> Flow[Token]:
        """Show the client's credentials."""
        return request_token(wish, "client_credentials", _scope(wish))


@frozen
class JwtBearer:
    """A platform vouches for the application: workload identity federation (RFC 7523, section 2.1).

    :param assertion: returns a token of the platform's for an audience, plain or async; asked for each grant.
    """

    assertion: AssertionHandler = field(repr=False)

    is_interactive: ClassVar[bool] = False
    is_of_people: ClassVar[bool] = False
    redirect_uri: None = field(default=None, init=False, repr=False)
    grant_types: ClassVar[tuple[str, ...]] = (JWT_BEARER,)

    def obtain(self, wish: TokenRequest) -> Flow[Token]:
        """Show the platform's word; a refusal is final."""
        assertion = yield from _ask_for_assertion(self.assertion, wish, wish.server.issuer)
        return (yield from request_token(wish, JWT_BEARER, {"assertion": assertion, **_scope(wish)}))


def _check_token_endpoint(_grant: object, _attribute: object, url: str) -> None:
    try:
        Target.parse(url, "the token endpoint")
    except OAuthError as error:
        raise ConfigurationError(error.message) from None


@frozen
class EnterpriseManaged:
    """An enterprise's identity provider vouches for a person (MCP extension "Enterprise-Managed Authorization").

    What the person got when logging in there is exchanged, at the identity provider, for a grant that is addressed to
    the MCP server's authorization server (RFC 8693); that is exchanged there for a token (RFC 7523).  Nobody is asked
    anything.

    :param assertion: returns what the person got, an ID token or a SAML assertion, addressed to this client at the
        identity provider; plain or async, asked for each grant.
    :param token_endpoint: the identity provider's, https.
    :param client: what this client is registered as at the identity provider; None if that does not want to know.
    :param assertion_type: what the assertion is, by its URI (RFC 8693, section 3).
    """

    assertion: AssertionHandler = field(repr=False)
    token_endpoint: str = field(kw_only=True, repr=redact_url, validator=_check_token_endpoint)
    client: RegisteredClient | None = field(default=None, kw_only=True)
    assertion_type: str = field(default=ID_TOKEN, kw_only=True)

    is_interactive: ClassVar[bool] = False
    is_of_people: ClassVar[bool] = True
    redirect_uri: None = field(default=None, init=False, repr=False)
    grant_types: ClassVar[tuple[str, ...]] = (JWT_BEARER,)

    def obtain(self, wish: TokenRequest) -> Flow[Token]:
        """Exchange what the person got for a grant, and that for a token."""
        provider = self._provider()
        assertion = yield from _ask_for_assertion(self.assertion, wish, provider.issuer)
        grant = yield from exchange_token(
            evolve(wish, server=provider, client=self.client, dpop=None),
            {
                "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
                "audience": wish.server.issuer,
                "subject_token": assertion,
                "subject_token_type": self.assertion_type,
                **_scope(wish),
            },
        )
        return (yield from request_token(wish, JWT_BEARER, {"assertion": grant, **_scope(wish)}))

    def _provider(self) -> AuthorizationServer:
        issuer = self.client.issuer if self.client is not None and self.client.issuer else self.token_endpoint
        return AuthorizationServer(issuer=issuer, token_endpoint=self.token_endpoint)


def _ask_user(
    handler: AuthorizationHandler | AssertionHandler, request: AuthorizationRequest | AssertionRequest, what: str
) -> Flow[Any]:
    """What the user's handler says.

    :raises OAuthError: if it raises anything but an error of this library's.
    """
    try:
        return (yield CallHandler(handler, (request,)))
    except McpError:
        raise
    except Exception as error:
        raise OAuthError(f"the {what} raised {type(error).__name__}") from error


def _ask_for_assertion(handler: AssertionHandler, wish: TokenRequest, audience: str) -> Flow[str]:
    request = AssertionRequest(
        audience=audience,
        resource=wish.resource,
        scopes=wish.scopes,
        principal=wish.principal,
    )
    assertion = as_text((yield from _ask_user(handler, request, "assertion handler")))
    if not assertion or not assertion.isascii():
        raise OAuthError("the assertion handler returned no assertion, which is ASCII text that is not empty")
    return assertion


def _scope(wish: TokenRequest) -> dict[str, str]:
    return {"scope": " ".join(wish.scopes)} if wish.scopes else {}
