"""Keys that sign: checked by two libraries that did not make the signatures, PyJWT and cryptography."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import RSAKey

from mcpcore import ConfigurationError
from transports.oauth import SigningKey

CLAIMS = {"iss": "https://client.example", "jti": "1", "iat": 1_700_000_000, "name": "Zoë"}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

# RFC 7517, appendix A.2, whose public half is the example of RFC 7638, section 3.1.
RSA_JWK = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
    "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
    "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
    "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "d": "X4cTteJY_gn4FYPsXB8rdXix5vwsg1FLN5E3EaG6RJoVH-HLLKD9M7dx5oo7GURknchnrRweUkC7hT5fJLM0WbFAKNLWY2vv7B6N"
    "qXSzUvxT0_YSfqijwp3RTzlBaCxWp4doFk5N2o8Gy_nHNKroADIkJ46pRUohsXywbReAdYaMwFs9tv8d_cPVY3i07a3t8MN6TNwm"
    "0dSawm9v47UiCl3Sk5ZiG7xojPLu4sbg1U2jx4IBTNBznbJSzFHK66jT8bgkuqsk0GjskDJk19Z4qwjwbsnn4j2WBii3RL-Us2lG"
    "VkY8fkFzme1z0HbIkfz0Y6mqnOYtqc0X4jfcKoAC8Q",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# RFC 8037, appendix A.1.
ED25519_JWK = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
# RFC 7517, appendix A.2.
EC_JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
}
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | x25519.X25519PrivateKey


def pem(key: PrivateKey, password: bytes | None = None) -> str:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection).decode()


def verified(token: str, key: SigningKey) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The header and the claims of what ``key`` signed, as PyJWT sees it, which is told the public half only."""
    public = jwt.PyJWK.from_dict(key.public_key, algorithm=key.algorithm)
    decoded = jwt.decode_complete(token, public, algorithms=[key.algorithm], options={"verify_iat": False})
    return decoded["header"], decoded["payload"]


@pytest.fixture(scope="module")
def small_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 1024)


@pytest.fixture(scope="module")
def pems() -> dict[str, str]:
    """A key of each type, as a file."""
    return {jwk["kty"]: SigningKey.from_jwk(jwk).to_pem() for jwk in (RSA_JWK, EC_JWK, ED25519_JWK)}


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "EdDSA"])
def test_what_a_key_signs_is_verified_by_its_public_half(pems: dict[str, str], algorithm: str) -> None:
    key = SigningKey.from_pem(pems[{"ES": "EC", "Ed": "OKP"}.get(algorithm[:2], "RSA")], algorithm)
    header, claims = verified(key.sign({"typ": "JWT", "kid": "k"}, CLAIMS), key)
    assert header == {"typ": "JWT", "kid": "k", "alg": algorithm}
    assert claims == CLAIMS


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA"])
def test_a_generated_key_signs_and_outlives_the_process(algorithm: str) -> None:
    key = SigningKey.generate(algorithm, key_id="mine")
    again = SigningKey.from_pem(key.to_pem(), key_id="mine")
    assert (again.algorithm, again.key_id, again.thumbprint) == (algorithm, "mine", key.thumbprint)
    assert verified(again.sign({}, CLAIMS), key) == ({"alg": algorithm}, CLAIMS)
    assert SigningKey.generate(algorithm).thumbprint != key.thumbprint


def test_a_generated_rsa_key_is_long_enough_for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    generate = RSAKey.generate_key

    def generate_sooner(bits: int) -> RSAKey:
        lengths.append(bits)
        return generate(2048)

    # One of its full length takes seconds on some machines.
    monkeypatch.setattr(RSAKey, "generate_key", generate_sooner)
    key = SigningKey.generate("PS256")
    assert lengths == [3072]
    assert verified(key.sign({}, CLAIMS), key) == ({"alg": "PS256"}, CLAIMS)
    # Its file does not say what it signs with.
    assert SigningKey.from_pem(key.to_pem()).algorithm == "RS256"
    assert SigningKey.from_pem(key.to_pem(), "PS256").algorithm == "PS256"


def test_the_newer_name_of_eddsa() -> None:
    # PyJWT does not know it.
    key = SigningKey.generate("Ed25519")
    signed, _, signature = key.sign({}, CLAIMS).rpartition(".")
    assert json.loads(base64.urlsafe_b64decode(signed.partition(".")[0] + "==")) == {"alg": "Ed25519"}
    public = ed25519.Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.public_key["x"] + "="))
    public.verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())


@pytest.mark.parametrize(
    ("jwk", "thumbprint"),
    [
        (RSA_JWK, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),  # RFC 7638, section 3.1
        (ED25519_JWK, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),  # RFC 8037, appendix A.3
    ],
)
def test_the_thumbprints_of_the_rfcs(jwk: dict[str, str], thumbprint: str) -> None:
    assert SigningKey.from_jwk(jwk).thumbprint == thumbprint


def test_a_dpop_proof_carries_the_public_half_alone() -> None:
    key = SigningKey.generate()
    proof = key.sign({"typ": "dpop+jwt", "jwk": key.public_key}, {**CLAIMS, "htm": "POST", "htu": "https://a.example/"})
    header, claims = verified(proof, key)
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public_key}
    assert claims["htm"] == "POST"
    assert key.public_key.keys() == {"kty", "crv", "x", "y"}
    # And whoever gets it cannot change the key's own.
    key.public_key.clear()
    assert key.public_key == header["jwk"]


@pytest.mark.parametrize("jwk", [RSA_JWK, EC_JWK, ED25519_JWK], ids=["RSA", "EC", "OKP"])
def test_nothing_of_a_json_web_key_is_shown_but_the_public_half(jwk: dict[str, str]) -> None:
    key = SigningKey.from_jwk({**jwk, "kid": "k", "k": "hidden", "owner": "hidden"})
    assert key.key_id == "k"
    assert key.public_key == {name: value for name, value in jwk.items() if name in ("kty", "crv", "x", "y", "n", "e")}
    assert jwk["d"] not in repr(key)
    assert "hidden" not in repr(key)


def test_a_public_half_that_is_not_the_keys_own_is_not_believed() -> None:
    other = SigningKey.generate("EdDSA").public_key["x"]
    assert SigningKey.from_jwk({**ED25519_JWK, "x": other}).public_key["x"] == ED25519_JWK["x"]


def test_an_encrypted_file_takes_its_password() -> None:
    key = SigningKey.generate()
    secret = key.to_pem(password="correct horse")
    assert "ENCRYPTED" in secret
    assert SigningKey.from_pem(secret, password="correct horse").thumbprint == key.thumbprint
    assert SigningKey.from_pem(secret.encode(), password=b"correct horse").thumbprint == key.thumbprint


def test_a_file_that_is_no_key_to_sign_with_is_refused(small_rsa: rsa.RSAPrivateKey) -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    encrypted = pem(p256, b"correct horse")
    public = p256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for text, password, complaint in [
        ("no key at all", None, "no private key that can be read"),
        (public, None, "no private key that can be read"),
        (encrypted, None, "no private key that can be read"),
        (encrypted, "battery staple", "no private key that can be read"),
        (pem(p256), "battery staple", "no private key that can be read"),
        (pem(small_rsa), None, "2048 bits or more"),
        (pem(ec.generate_private_key(ec.SECP256K1())), None, "cannot sign here"),
        (pem(ec.generate_private_key(ec.BrainpoolP256R1())), None, "cannot sign here"),
        (pem(x25519.X25519PrivateKey.generate()), None, "cannot sign here"),
    ]:
        with pytest.raises(ConfigurationError, match=complaint) as raised:
            SigningKey.from_pem(text, password=password)
        assert "battery" not in str(raised.value)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["EC"]},
        {name: value for name, value in EC_JWK.items() if name != "d"},
        {name: value for name, value in EC_JWK.items() if name != "y"},
        {**EC_JWK, "crv": "P-257"},
        {**EC_JWK, "y": EC_JWK["x"]},
        {**EC_JWK, "d": ""},
        {**EC_JWK, "d": 1},
        {**EC_JWK, "use": "enc"},
        {**EC_JWK, "key_ops": ["verify"]},
    ],
)
def test_a_json_web_key_that_is_none_to_sign_with_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="no private key to sign with") as raised:
        SigningKey.from_jwk(jwk)
    assert EC_JWK["d"] not in str(raised.value)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256K", "RSA-OAEP", "correct horse"])
def test_only_asymmetric_algorithms_that_servers_know(algorithm: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no such algorithm.*take one of ES256") as raised:
        SigningKey.generate(algorithm)
    assert algorithm not in str(raised.value)
    with pytest.raises(ConfigurationError, match="no such algorithm"):
        SigningKey.from_jwk({**EC_JWK, "alg": algorithm})


@pytest.mark.parametrize("algorithm", ["RS256", "ES384", "EdDSA"])
def test_an_algorithm_takes_its_own_kind_of_key(algorithm: str) -> None:
    text = SigningKey.generate("ES256").to_pem()
    with pytest.raises(ConfigurationError, match=f"{algorithm} signs with .* this is one of P-256"):
        SigningKey.from_pem(text, algorithm)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigurationError, match=r"mcpcore\[jose\]"):
        SigningKey.generate()
