"""What a value looks like in a store that nobody has to trust.

A sealed value is a nonce followed by the ciphertext of when it was sealed, for how long, and the value.  The seal is
AES-256-GCM-SIV (RFC 8452), because one secret seals for many processes that do not know of each other: their nonces
are random, and with this cipher two that happen to be equal cost nothing but the secrecy of whether two values are the
same; with AES-GCM or ChaCha20-Poly1305 they would cost the seal.

The key is derived from the secret for this one purpose (HKDF, RFC 5869), since the same secret also keys the digests
that values are found by.  The version of the format and the key that the value belongs under are authenticated with it,
so a value that was moved is as broken as one that was changed.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, final

from mcpcore import ConfigurationError, StoredEntry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

_FORMAT = b"mcpcore shared store 1\0"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD = struct.Struct(">dd")
_SKEW = 5.0
_LEAST_SECRET = 16

OVERHEAD = _NONCE_BYTES + _HEAD.size + _TAG_BYTES
"""How many bytes a sealed value is longer than the value."""


@final
class Seal:
    """Seals values, and opens what was sealed under the same secret.

    :param secret: at least 16 bytes, the same for all who share values.
    :raises mcpcore.ConfigurationError: if the secret is too short, or the package ``cryptography`` is missing or cannot
        do it.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _LEAST_SECRET:
            raise ConfigurationError(f"a shared store needs a secret of at least {_LEAST_SECRET} bytes")
        self._cipher = _cipher(secret)

    def seal(self, key: bytes, value: bytes, ttl: float, now: float) -> bytes:
        """Return ``value`` as it may be put under ``key``, for ``ttl`` seconds from ``now``.

        :param now: seconds of a clock that all who share values agree on.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, _HEAD.pack(now, ttl) + value, _FORMAT + key)

    def open(self, key: bytes, sealed: bytes, now: float) -> StoredEntry | None:
        """Return what was sealed, or None unless it was sealed for ``key`` under this secret and is fresh.

        What claims to come from the future does not count, but for the few seconds by which clocks differ.
        """
        from cryptography.exceptions import InvalidTag

        if len(sealed) < OVERHEAD:
            return None
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            plain = self._cipher.decrypt(nonce, ciphertext, _FORMAT + key)
        except InvalidTag:
            return None
        sealed_at, ttl = _HEAD.unpack_from(plain)
        age = now - sealed_at
        if not -_SKEW <= age < ttl:
            return None
        return StoredEntry(plain[_HEAD.size :], max(age, 0.0), ttl)


def _cipher(secret: bytes) -> AESGCMSIV:
    """The cipher under the key derived from ``secret``; the library is imported here, not before."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as missing:
        raise ConfigurationError(
            "a shared store needs the package 'cryptography'; 'mcpcore[redis]' brings it"
        ) from missing
    key = HKDF(SHA256(), length=32, salt=None, info=_FORMAT + b"sealing key").derive(secret)
    try:
        return AESGCMSIV(key)
    except UnsupportedAlgorithm as old:
        raise ConfigurationError("a shared store needs a 'cryptography' built with OpenSSL 3.2 or newer") from old
