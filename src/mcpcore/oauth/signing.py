"""What signs: the one thing of OAuth that the core cannot do by itself, because it takes a cryptographic library.

A signer only computes.  It opens nothing and waits for nothing, so the flows call it directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mcpcore.codecs.shapes import as_text
from mcpcore.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Signer(Protocol):
    """A private key that signs JSON Web Tokens; ``transports.oauth.SigningKey`` is one.

    Used to prove who the client is (``private_key_jwt``, RFC 7523, section 2.2), and that a token is used by whom it
    was issued to (DPoP, RFC 9449).
    """

    @property
    def algorithm(self) -> str:
        """The JWS algorithm, asymmetric, for instance ``ES256``."""
        ...

    @property
    def key_id(self) -> str | None:
        """What the key is called where it was registered, or None."""
        ...

    @property
    def public_key(self) -> Mapping[str, Any]:
        """The public half as a JSON Web Key, without any private member."""
        ...

    @property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint of the public half, in base64url (RFC 7638)."""
        ...

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Sign ``claims`` as a compact JWS, whose header is ``header`` and ``alg``."""
        ...


def signed(signer: Signer, header: Mapping[str, Any], claims: Mapping[str, Any], *, with_key: bool = False) -> str:
    """What ``signer`` makes of ``claims``.

    :param with_key: whether the header holds its public half.
    :raises OAuthError: if it raises anything, or returns what is no token.
    """
    try:
        token = as_text(signer.sign({**header, "jwk": dict(signer.public_key)} if with_key else header, claims))
    except Exception as error:
        raise OAuthError(f"the signer raised {type(error).__name__}; nothing was sent") from error
    if not token or not (token.isascii() and token.isprintable()):
        raise OAuthError("the signer returned no token, which is ASCII text that is not empty")
    return token
