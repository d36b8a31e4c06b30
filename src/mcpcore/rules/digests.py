"""Keyed digests: how identities and requests are told apart by names that tell nothing about them.

Every digest has a domain, and what goes into it is framed by its length, so that no two different inputs look the
same: a principal never collides with a header, nor a name with the value that follows it.
"""

from __future__ import annotations

import hmac

from attrs import field, frozen


def framed(*parts: bytes) -> bytes:
    """``parts`` in one piece, which no other parts give."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


@frozen
class Digester:
    """Digests under one secret.

    :param secret: whoever has it can compute the same digests; nobody else can.
    """

    _secret: bytes = field(repr=False)

    def digest(self, domain: bytes, *parts: bytes) -> bytes:
        """The 32-byte digest of ``parts`` in ``domain``."""
        return hmac.digest(self._secret, framed(domain, *parts), "sha256")
