"""Requests to an authorization server in the name of one client and one identity: for tokens, and to revoke them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.context import RequestKind
from mcpcore.errors import McpError, OAuthError
from mcpcore.oauth.asking import ask, form, refusal
from mcpcore.oauth.clients import Authentication, prove
from mcpcore.oauth.dpop import check_algorithm, proof
from mcpcore.oauth.tokens import Asked, read_token
from mcpcore.redaction import redact_url
from mcpcore.rules.addresses import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.commands import Flow
    from mcpcore.errors import OAuthResponseError
    from mcpcore.oauth.asking import Question, Reply
    from mcpcore.oauth.clients import RegisteredClient
    from mcpcore.oauth.dpop import Nonces
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
class Petition:
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
    petition: Petition, grant_type: str, parameters: Mapping[str, str], renews: Token | None = None
) -> Flow[Token]:
    """Ask for a token (RFC 6749, section 4; RFC 8707, section 2.2).

    :param parameters: the grant's own.
    :param renews: the token that the new one comes from, or None.
    :raises OAuthResponseError: if the authorization server refuses.
    :raises OAuthError: if it answers with what is no token for this.
    :raises LimitExceeded: if it answers with one that is too long.
    """
    url = petition.server.token_endpoint
    if url is None:
        raise OAuthError(f"the authorization server {redact_url(petition.server.issuer)} has no token endpoint")
    own = {"grant_type": grant_type, **parameters, "resource": petition.resource}
    question, reply = yield from _ask_as_client(petition, RequestKind.TOKEN, _WHAT, url, own)
    if reply.status != 200 or reply.document is None:
        raise refusal(question, reply)
    asked = Asked(
        issuer=petition.server.issuer,
        resource=petition.resource,
        scopes=petition.scopes,
        now=petition.environment.wall_clock(),
        thumbprint=None if petition.dpop is None else petition.dpop.thumbprint,
        renews=renews,
    )
    try:
        return read_token(reply.document, asked, petition.environment.limits)
    except McpError as error:
        raise error.located(redact_url(url), _WHAT) from None


def refresh(petition: Petition, token: Token) -> Flow[Token]:
    """Ask for a new token by an old one's refresh token (RFC 6749, section 6)."""
    assert token.refresh_token is not None
    parameters = {"refresh_token": token.refresh_token}
    return request_token(petition, "refresh_token", parameters, renews=token)


def exchange_token(petition: Petition, parameters: Mapping[str, str]) -> Flow[str]:
    """Exchange one token for another kind of one (RFC 8693, section 2).

    :returns: the token issued, which is not one to be sent to the MCP server.
    """
    own = {"grant_type": _TOKEN_EXCHANGE, **parameters, "resource": petition.resource}
    url = petition.server.token_endpoint or ""
    question, reply = yield from _ask_as_client(petition, RequestKind.TOKEN, _EXCHANGE, url, own)
    if reply.status != 200 or reply.document is None:
        raise refusal(question, reply)
    issued, kind = (as_text(reply.document.get(name)) for name in ("access_token", "issued_token_type"))
    if not issued or kind != parameters["requested_token_type"]:
        raise OAuthError("the identity provider issued another token than was asked for").located(
            redact_url(url), _EXCHANGE
        )
    return issued


def revoke(petition: Petition, token: Token) -> Flow[bool]:
    """Tell the authorization server that a token, and what renews it, are no longer needed (RFC 7009, section 2).

    What renews it goes first, and takes the other along at most servers; but not at all of them.

    :returns: whether it wants to know.
    :raises OAuthResponseError: if it refuses either; the other was told to it, too.
    """
    url = petition.server.revocation_endpoint
    if url is None:
        return False
    refusals: list[OAuthResponseError] = []
    for hint, value in (("refresh_token", token.refresh_token), ("access_token", token.access_token)):
        if value is not None:
            parameters = {"token": value, "token_type_hint": hint}
            question, reply = yield from _ask_as_client(petition, RequestKind.REVOCATION, _REVOCATION, url, parameters)
            if reply.status != 200:
                refusals.append(refusal(question, reply))
    if refusals:
        raise refusals[0]
    return True


def _ask_as_client(
    petition: Petition, kind: RequestKind, what: str, url: str, parameters: Mapping[str, str]
) -> Flow[tuple[Question, Reply]]:
    """POST a form in the client's name; once more if the server wants a nonce in the proof (RFC 9449, section 8)."""
    may_try_again = petition.dpop is not None
    while True:
        try:
            question = _question(petition, kind, what, url, parameters)
        except OAuthError as error:
            raise error.located(redact_url(url), what) from error.__cause__
        reply = yield from ask(petition.environment, question)
        is_new = reply.dpop_nonce is not None and petition.nonces.learn(url, reply.dpop_nonce)
        wants_nonce = as_text((reply.document or {}).get("error")) == "use_dpop_nonce"
        if not (may_try_again and is_new and wants_nonce):
            return question, reply
        may_try_again = False


def _question(petition: Petition, kind: RequestKind, what: str, url: str, parameters: Mapping[str, str]) -> Question:
    Target.parse(url, what)  # Nothing is signed for a URL that may not be asked.
    environment = petition.environment
    own = Authentication({}) if petition.client is None else prove(petition.client, petition.server, environment)
    headers = dict(own.headers)
    if petition.dpop is not None and kind is RequestKind.TOKEN:
        check_algorithm(petition.dpop, petition.server)
        headers["DPoP"] = proof(petition.dpop, environment, petition.nonces, "POST", url)
    secrets = (*own.secrets, *(parameters[name] for name in _SECRET if name in parameters))
    return form(url, what, {**parameters, **own.parameters}, headers, kind, petition.principal, secrets)
