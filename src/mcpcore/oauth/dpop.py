"""DPoP: each request proves that its token is used by whom it was issued to (RFC 9449).

A proof is a small signed statement: this key, this method, this URL, now.  It is made anew for every single request, so
that a stolen one is worth nothing.  A server may want its own nonce in it, and says so with the next one to use; each
origin's is remembered.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field

from mcpcore.errors import OAuthError
from mcpcore.oauth.signing import signed
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import origin_of_url

if TYPE_CHECKING:
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment
    from mcpcore.oauth.signing import Signer

    Origin = tuple[str, str, int]

_MOST_ORIGINS = 8  # The MCP server's, its authorization server's, and a few that came before them.
_LONGEST_NONCE = 1024


def base64url(data: bytes) -> str:
    """``data`` in base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


@define
class Nonces:
    """The nonces that servers gave to one identity, by origin."""

    _known: dict[Origin, str] = field(factory=dict["Origin", str], repr=False)

    def learn(self, url: str, nonce: str) -> bool:
        """Remember the nonce that an answer from ``url`` gave; whether it is another one than before."""
        origin = origin_of_url(url)
        if origin is None or not nonce or len(nonce) > _LONGEST_NONCE or self._known.get(origin) == nonce:
            return False
        self._known.pop(origin, None)
        self._known[origin] = nonce
        if len(self._known) > _MOST_ORIGINS:
            del self._known[next(iter(self._known))]
        return True

    def of(self, url: str) -> str | None:
        """The nonce to use for a request to ``url``, or None."""
        origin = origin_of_url(url)
        return None if origin is None else self._known.get(origin)


def proof(
    signer: Signer,
    environment: AuthEnvironment,
    nonces: Nonces,
    http_method: str,
    url: str,
    access_token: str | None = None,
) -> str:
    """The proof for one request (RFC 9449, section 4.2).

    :param access_token: the token that it goes with, or None for a request to the authorization server.
    """
    claims: dict[str, Any] = {
        "jti": base64url(environment.entropy(16)),
        "htm": http_method,
        "htu": urlsplit(url)._replace(query="", fragment="").geturl(),
        "iat": int(environment.wall_clock()),
    }
    if access_token is not None:
        claims["ath"] = base64url(sha256(access_token.encode("ascii")).digest())
    if (nonce := nonces.of(url)) is not None:
        claims["nonce"] = nonce
    return signed(signer, {"typ": "dpop+jwt"}, claims, with_key=True)


def check_algorithm(signer: Signer, server: AuthorizationServer) -> None:
    """See that an authorization server takes this key's proofs (RFC 9449, section 5.1).

    :raises OAuthError: if it says that it does not.
    """
    taken = server.dpop_algorithms
    if taken is not None and signer.algorithm not in taken:
        raise OAuthError(
            f"the authorization server {redact_url(server.issuer)} takes no DPoP proofs that are signed by "
            f"{signer.algorithm}; give dpop= a key for one of {', '.join(taken)!r:.200}"
        )
