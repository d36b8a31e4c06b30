"""A private key that signs, by the library joserfc (extra ``jose``).

Only asymmetric algorithms are there: what is signed here proves something to others, who need the public half for that
and nothing more.  An algorithm belongs to one kind of key, so of a key of another kind it is said at once, and not by
the authorization server at the first login.

What is known of a key is worked out anew from the key itself.  A JSON Web Key may come with members of its owner's, or
with a public half that is not its own; neither gets into what is shown to others.
"""

from __future__ import annotations

import copy
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias, final

from attrs import field, frozen

from mcpcore import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from joserfc.jwk import ECKey, OKPKey, RSAKey
    from joserfc.jws import JWSRegistry

    Key: TypeAlias = ECKey | RSAKey | OKPKey

# Which kind of key an algorithm takes; the first one of a kind is what a key of that kind signs with by itself.
_KINDS = {
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}
_LEAST_RSA_BITS = 2048
_NEW_RSA_BITS = 3072
_TYPES = {"EC", "RSA", "OKP"}


@final
@frozen(eq=False)
class SigningKey:
    """A private key for ``private_key_jwt`` (RFC 7523, section 2.2) or DPoP (RFC 9449): an :class:`mcpcore.Signer`.

    Make one with :meth:`generate`, :meth:`from_pem` or :meth:`from_jwk`.

    :ivar algorithm: the JWS algorithm: ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA or Ed25519.
    :ivar key_id: what the key is called where it was registered, or None.
    :ivar thumbprint: the SHA-256 thumbprint of the public half, in base64url (RFC 7638).
    """

    algorithm: str
    key_id: str | None
    thumbprint: str
    _public: dict[str, Any] = field(repr=False)
    _key: Key = field(repr=False)
    _registry: JWSRegistry = field(repr=False)

    @classmethod
    def generate(cls, algorithm: str = "ES256", *, key_id: str | None = None) -> Self:
        """A new key; keep :meth:`to_pem` of it for as long as there are tokens that are bound to it.

        :param algorithm: what it signs with.
        :param key_id: what it will be called where it is registered.
        :raises mcpcore.ConfigurationError: if there is no such algorithm here, or ``joserfc`` is not installed.
        """
        _require_joserfc()
        from joserfc.jwk import ECKey, OKPKey, RSAKey

        match _kind_for(algorithm):
            case "RSA":
                return cls._of(RSAKey.generate_key(_NEW_RSA_BITS), algorithm, key_id)
            case "Ed25519":
                return cls._of(OKPKey.generate_key("Ed25519"), algorithm, key_id)
            case curve:
                return cls._of(ECKey.generate_key(curve), algorithm, key_id)

    @classmethod
    def from_pem(
        cls,
        pem: str | bytes,
        algorithm: str | None = None,
        *,
        key_id: str | None = None,
        password: str | bytes | None = None,
    ) -> Self:
        """The private key in a PEM file's text.

        :param pem: the text, from ``BEGIN`` to ``END``.
        :param algorithm: what it signs with; None for the usual one: ES256, ES384 or ES512 by the curve, RS256, EdDSA.
        :param key_id: what the key is called where it was registered.
        :param password: what the key is encrypted with, if it is.
        :raises mcpcore.ConfigurationError: if that is no private key, or none for this algorithm, or the password is
            not its own, or ``joserfc`` is not installed.
        """
        _require_joserfc()
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            native = load_pem_private_key(_octets(pem), None if password is None else _octets(password))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(
                "the PEM text is no private key that can be read: it takes a key that begins with 'BEGIN ... PRIVATE "
                "KEY', and its password if it is encrypted, and none if it is not"
            ) from None
        return cls._of(_wrapped(native), algorithm, key_id)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> Self:
        """The private key in a JSON Web Key (RFC 7517).

        :param jwk: the key with its private members.  Its ``alg`` says what it signs with, or else the usual one, as in
            :meth:`from_pem`; its ``kid`` is the key's id.
        :raises mcpcore.ConfigurationError: if that is no private key to sign with, or ``joserfc`` is not installed.
        """
        _require_joserfc()
        from cryptography.exceptions import UnsupportedAlgorithm
        from joserfc.errors import JoseError
        from joserfc.jwk import JWKRegistry

        try:
            if jwk["kty"] not in _TYPES:
                raise ValueError
            read = JWKRegistry.import_key(dict(jwk))
            read.check_use("sig")
            read.check_key_op("sign")
            native = read.private_key
        except (JoseError, LookupError, ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError(
                "the JSON Web Key is no private key to sign with: it takes a 'kty' of EC, RSA or OKP with all members "
                "of that type, private ones too, and a 'use' and 'key_ops' that let it sign, if it has these"
            ) from None
        return cls._of(_wrapped(native), read.alg, read.kid)

    @classmethod
    def _of(cls, key: Key, algorithm: str | None, key_id: str | None) -> Self:
        kind = _kind_of(key)
        if algorithm is None:
            algorithm = next(name for name, taken in _KINDS.items() if taken == kind)
        if _kind_for(algorithm) != kind:
            raise ConfigurationError(f"{algorithm} signs with a key of {_KINDS[algorithm]}, and this is one of {kind}")
        return cls(algorithm, key_id, key.thumbprint(), key.as_dict(private=False), key, _registry_of(algorithm))

    @property
    def public_key(self) -> dict[str, Any]:
        """The public half as a JSON Web Key: the members that make up the key, and no others."""
        return dict(self._public)

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Sign ``claims`` as a compact JWS (RFC 7515, section 7.1), whose header is ``header`` and ``alg``."""
        from joserfc.jws import serialize_compact

        payload = json.dumps(dict(claims), separators=(",", ":"))
        return serialize_compact({**header, "alg": self.algorithm}, payload, self._key, registry=self._registry)

    def to_pem(self, *, password: str | None = None) -> str:
        """The private key as text (PKCS #8), to be kept where nobody else can read it.

        :meth:`from_pem` makes it a key again; tell it the algorithm too, unless it is the usual one.

        :param password: what to encrypt it with; None leaves it as it is.
        """
        return self._key.as_pem(private=True, password=password).decode()


def _require_joserfc() -> None:
    if find_spec("joserfc") is None:
        raise ConfigurationError("SigningKey needs the package 'joserfc': install 'mcpcore[jose]'")


def _octets(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _kind_for(algorithm: str) -> str:
    """The kind of key that an algorithm takes."""
    if algorithm not in _KINDS:
        # Without what it was: it may be a password, in the wrong place.
        raise ConfigurationError(f"there is no such algorithm to sign with; take one of {', '.join(_KINDS)}")
    return _KINDS[algorithm]


def _kind_of(key: Key) -> str:
    from joserfc.jwk import RSAKey

    return "RSA" if isinstance(key, RSAKey) else key.curve_name


def _wrapped(native: object) -> Key:
    """What joserfc takes for the key that it is told, and nothing but that key."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    match native:
        case EllipticCurvePrivateKey() if native.curve.name in ("secp256r1", "secp384r1", "secp521r1"):
            return ECKey.import_key(native)
        case RSAPrivateKey() if native.key_size >= _LEAST_RSA_BITS:
            return RSAKey.import_key(native)
        case Ed25519PrivateKey():
            return OKPKey.import_key(native)
        case _:
            raise ConfigurationError(
                "a key of this kind cannot sign here: it takes one on the curve P-256, P-384, P-521 or Ed25519, or one "
                f"of RSA with {_LEAST_RSA_BITS} bits or more"
            )


def _registry_of(algorithm: str) -> JWSRegistry:
    """One that knows a single algorithm.

    Without what the library warns of at each signature: EdDSA has got a second name (RFC 9864), which servers hardly
    know yet.
    """
    from joserfc.jws import JWSRegistry

    model = copy.copy(JWSRegistry.algorithms[algorithm])
    model.security_warning = None
    registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.algorithms = {algorithm: model}
    return registry
