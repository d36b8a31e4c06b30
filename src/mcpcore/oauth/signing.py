"""What signs: the one thing of OAuth that the core cannot do by itself, because it takes a cryptographic library.

A signer only computes.  It opens nothing and waits for nothing, so the flows call it directly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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
