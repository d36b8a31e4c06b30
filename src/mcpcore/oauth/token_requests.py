"""Requests to an authorization server in the name of one client and one identity: for tokens, and to revoke them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.context import RequestKind
from mcpcore.errors import McpError, OAuthError
from mcpcore.oauth.clients import Authentication, prove
from mcpcore.oauth.dpop import check_algorithm, proof
from mcpcore.oauth.http import ask, form, refusal
from mcpcore.oauth.tokens import Asked, read_token
from mcpcore.redaction import redact_url
from mcpcore.rules.addresses import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.commands import Flow
    from mcpcore.errors import OAuthResponseError
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.dpop import Nonces
    from mcpcore.oauth.http import HttpReply, HttpRequest
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment
    from mcpcore.oauth.signing import Signer
    from mcpcore.oauth.tokens import Token

_WHAT = "the token request"
_EXCHANGE = "the token exchange"
_REVOCATION = "the revocation of a token"
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_SECRET = ("code", "code_verifier", "refresh_token", "assertion", "subject_token", "token")


@frozen(kw_only=True)
class TokenRequest:
    """Who wants a token, for what, and from whom.

    :ivar client: what this client is registered as at the server; None where a grant needs no client.
    :ivar resource: the MCP server that the token is for (RFC 8707).
    :ivar scopes: what is asked for.
    :ivar principal: whose token it will be.
    :ivar nonces: what servers told this identity for its proofs.
    :ivar dpop: the key that tokens are bound to, or None.
    """

    environment: AuthEnvironment = field(repr=False)
    server: AuthorizationServer
    client: RegisteredClient | None
    resource: str
    scopes: tuple[str, ...]
    principal: str | None = field(repr=False)
    nonces: Nonces = field(repr=False)
    dpop: Signer | None = field(default=None, repr=False)


def request_token(
    wish: TokenRequest, grant_type: str, parameters: Mapping[str, str], renews: Token | None = None
) -> Flow[Token]:
    """Ask for a token (RFC 6749, section 4; RFC 8707, section 2.2).

    :param parameters: the grant's own.
    :param renews: the token that the new one comes from, or None.
    :raises OAuthResponseError: if the authorization server refuses.
    :raises OAuthError: if it answers with what is no token for this.
    :raises LimitExceeded: if it answers with one that is too long.
    """
    url = wish.server.token_endpoint
    if url is None:
        raise OAuthError(f"the authorization server {redact_url(wish.server.issuer)} has no token endpoint")
    own = {"grant_type": grant_type, **parameters, "resource": wish.resource}
    request, reply = yield from _ask_as_client(wish, RequestKind.TOKEN, _WHAT, url, own)
    if reply.status != 200 or reply.document is None:
        raise refusal(request, reply)
    asked = Asked(
        issuer=wish.server.issuer,
        resource=wish.resource,
        scopes=wish.scopes,
        now=wish.environment.wall_clock(),
        thumbprint=None if wish.dpop is None else wish.dpop.thumbprint,
        renews=renews,
    )
    try:
        return read_token(reply.document, asked, wish.environment.limits)
    except McpError as error:
        raise error.located(redact_url(url), _WHAT) from None


def refresh(wish: TokenRequest, token: Token) -> Flow[Token]:
    """Ask for a new token by an old one's refresh token (RFC 6749, section 6)."""
    assert token.refresh_token is not None
    parameters = {"refresh_token": token.refresh_token}
    return request_token(wish, "refresh_token", parameters, renews=token)


def exchange_token(wish: TokenRequest, parameters: Mapping[str, str]) -> Flow[str]:
    """Exchange one token for another kind of one (RFC 8693, section 2).

    :returns: the token issued, which is not one to be sent to the MCP server.
    """
    own = {"grant_type": _TOKEN_EXCHANGE, **parameters, "resource": wish.resource}
    url = wish.server.token_endpoint or ""
    request, reply = yield from _ask_as_client(wish, RequestKind.TOKEN, _EXCHANGE, url, own)
    if reply.status != 200 or reply.document is None:
        raise refusal(request, reply)
    issued, kind = (as_text(reply.document.get(name)) for name in ("access_token", "issued_token_type"))
    if not issued or kind != parameters["requested_token_type"]:
        raise OAuthError("the identity provider issued another token than was asked for").located(
            redact_url(url), _EXCHANGE
        )
    return issued


def revoke(wish: TokenRequest, token: Token) -> Flow[bool]:
    """Tell the authorization server that a token, and what renews it, are no longer needed (RFC 7009, section 2).

    What renews it goes first, and takes the other along at most servers; but not at all of them.

    :returns: whether it wants to know.
    :raises OAuthResponseError: if it refuses either; the other was told to it, too.
    """
    url = wish.server.revocation_endpoint
    if url is None:
        return False
    refusals: list[OAuthResponseError] = []
    for hint, value in (("refresh_token", token.refresh_token), ("access_token", token.access_token)):
        if value is not None:
            parameters = {"token": value, "token_type_hint": hint}
            request, reply = yield from _ask_as_client(wish, RequestKind.REVOCATION, _REVOCATION, url, parameters)
            if reply.status != 200:
                refusals.append(refusal(request, reply))
    if refusals:
        raise refusals[0]
    return True


def _ask_as_client(
    wish: TokenRequest, kind: RequestKind, what: str, url: str, parameters: Mapping[str, str]
) -> Flow[tuple[HttpRequest, HttpReply]]:
    """POST a form in the client's name; once more if the server wants a nonce in the proof (RFC 9449, section 8)."""
    may_try_again = wish.dpop is not None
    while True:
        try:
            request = _http_request(wish, kind, what, url, parameters)
        except OAuthError as error:
            raise error.located(redact_url(url), what) from error.__cause__
        reply = yield from ask(wish.environment, request)
        is_new = reply.dpop_nonce is not None and wish.nonces.learn(url, reply.dpop_nonce)
        wants_nonce = as_text((reply.document or {}).get("error")) == "use_dpop_nonce"
        if not (may_try_again and is_new and wants_nonce):
            return request, reply
        may_try_again = False


def _http_request(
    wish: TokenRequest, kind: RequestKind, what: str, url: str, parameters: Mapping[str, str]
) -> HttpRequest:
    Target.parse(url, what)  # Nothing is signed for a URL that may not be asked.
    environment = wish.environment
    own = Authentication({}) if wish.client is None else prove(wish.client, wish.server, environment)
    headers = dict(own.headers)
    if wish.dpop is not None and kind is RequestKind.TOKEN:
        check_algorithm(wish.dpop, wish.server)
        headers["DPoP"] = proof(wish.dpop, environment, wish.nonces, "POST", url)
    secrets = (*own.secrets, *(parameters[name] for name in _SECRET if name in parameters))
    return form(url, what, {**parameters, **own.parameters}, headers, kind, wish.principal, secrets)
