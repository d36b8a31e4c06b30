"""Who this client is at an authorization server, and how it proves that.

A client is registered by hand, names itself by the URL of a document that describes it, or registers by itself; that is
the order in which these are tried (2026-07-28, "Client Registration").  What comes of it belongs to the issuer that it
was agreed with, and is shown to no other.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote_plus

from attrs import evolve, field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.shapes import as_number, as_object, as_text
from mcpcore.context import RequestKind
from mcpcore.errors import ConfigurationError, LimitExceeded, OAuthError, RemoteProtocolError
from mcpcore.oauth.dpop import base64url
from mcpcore.oauth.http import HttpRequest, ask, refusal
from mcpcore.oauth.signing import signed
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import NOT_IN_URL, is_loopback, origin_of_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.oauth.metadata import AuthorizationServer
    from mcpcore.oauth.provider import AuthEnvironment
    from mcpcore.oauth.signing import Signer

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 60
_SECRET_ENDS = "client_secret_expires_at"
_METHODS: tuple[AuthMethod, ...] = ("none", "client_secret_post", "client_secret_basic")
"""Those that a client may register for by itself, first what is least often misunderstood."""


@frozen
class RegisteredClient:
    """What this client is registered as at an authorization server.

    :param client_id: its id there.
    :param client_secret: its secret there, or None if it has none.
    :param issuer: the authorization server that it is registered at.  Without one it is that which the first MCP server
        names; say it where you can.
    :param auth_method: how it proves who it is at the token endpoint; None finds out what the server takes.
    :param signer: signs assertions of who it is (``private_key_jwt``).
    :param secret_expires_at: when its secret ends, in seconds since 1970, or None.  A client that registered by itself
        then registers anew.
    :raises ConfigurationError: if these contradict each other.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    issuer: str | None = field(default=None, kw_only=True)
    auth_method: AuthMethod | None = field(default=None, kw_only=True)
    signer: Signer | None = field(default=None, kw_only=True, repr=False)
    secret_expires_at: float | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.client_id:
            raise ConfigurationError("a registered client has an id")
        if self.issuer is not None and not _is_issuer(self.issuer):
            raise ConfigurationError("the issuer of a registered client is an https URL without userinfo or query")
        try:
            f"{self.client_id}{self.client_secret}".encode()
        except UnicodeEncodeError:
            raise ConfigurationError("the id or the secret of a registered client is no text") from None
        if self.client_secret is not None and self.signer is not None:
            raise ConfigurationError("a client proves who it is by a secret or by a signer, not by both")
        needs_secret = self.auth_method in ("client_secret_basic", "client_secret_post")
        if needs_secret and self.client_secret is None:
            raise ConfigurationError(f"{self.auth_method} takes a client_secret")
        if (self.auth_method == "private_key_jwt") and self.signer is None:
            raise ConfigurationError("private_key_jwt takes a signer")

    def is_good(self, now: float) -> bool:
        """Whether its secret has not ended."""
        return self.secret_expires_at is None or now < self.secret_expires_at

    def method_at(self, server: AuthorizationServer) -> AuthMethod:
        """How it proves who it is at ``server`` (RFC 8414, section 2)."""
        if self.auth_method is not None:
            return self.auth_method
        if self.signer is not None:
            return "private_key_jwt"
        if self.client_secret is None:
            return "none"
        offered = server.auth_methods
        if offered is not None and "client_secret_basic" not in offered and "client_secret_post" in offered:
            return "client_secret_post"
        return "client_secret_basic"

    def dump(self) -> str:
        """What was registered, as text, for a store."""
        known = {"client_id": self.client_id, "client_secret": self.client_secret, "auth_method": self.auth_method}
        return jsonrpc.dump({**known, "issuer": self.issuer, _SECRET_ENDS: self.secret_expires_at}).decode()

    @classmethod
    def load(cls, text: str, limits: Limits) -> RegisteredClient | None:
        """Read what :meth:`dump` wrote; None for anything else."""
        try:
            raw = as_object(jsonrpc.parse(text.encode(), limits)) or {}
            return _registered(raw, as_text(raw.get("issuer")), raw.get("auth_method"))
        except (RemoteProtocolError, LimitExceeded, ConfigurationError, UnicodeEncodeError):
            return None


def _registered(raw: dict[str, Any], issuer: str | None, method: object) -> RegisteredClient:
    known: AuthMethod | None = next((known for known in _METHODS if known == method), None)
    secret = as_text(raw.get("client_secret")) or None
    ends = as_number(raw.get(_SECRET_ENDS))
    if known == "none" or secret is None:
        known, secret, ends = "none", None, None
    client_id = as_text(raw.get("client_id")) or ""
    return RegisteredClient(client_id, secret, issuer=issuer, auth_method=known, secret_expires_at=ends)


def _is_issuer(url: str) -> bool:
    """Whether a URL can be an issuer (RFC 8414, section 2); of this very machine, http will do."""
    origin = None if NOT_IN_URL.search(url) else origin_of_url(url)
    return origin is not None and (origin[0] == "https" or is_loopback(origin[1])) and not {"?", "#"} & set(url)


@frozen
class Authentication:
    """What goes with a request to prove who makes it.

    :ivar secrets: what no error may repeat.
    """

    parameters: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def prove(client: RegisteredClient, server: AuthorizationServer, environment: AuthEnvironment) -> Authentication:
    """Prove to ``server`` who this is (RFC 6749, section 2.3; RFC 7523, section 2.2)."""
    method, client_id, secret = client.method_at(server), client.client_id, client.client_secret or ""
    if method == "client_secret_basic":
        encoded = quote_plus(secret)
        pair = b64encode(f"{quote_plus(client_id)}:{encoded}".encode("ascii")).decode("ascii")
        # The id is in the form as well, where many servers look for it first, whatever the method.
        return Authentication({"client_id": client_id}, {"Authorization": f"Basic {pair}"}, (secret, encoded, pair))
    if method == "client_secret_post":
        return Authentication({"client_id": client_id, "client_secret": secret}, {}, (secret,))
    if method == "none" or client.signer is None:
        return Authentication({"client_id": client_id})
    assertion = _assertion(client.signer, client_id, server.issuer, environment)
    return Authentication({"client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}, {}, (assertion,))


def _assertion(signer: Signer, client_id: str, audience: str, environment: AuthEnvironment) -> str:
    now = int(environment.wall_clock())
    header = {"typ": "JWT"} if signer.key_id is None else {"typ": "JWT", "kid": signer.key_id}
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": base64url(environment.entropy(16)),
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
    }
    return signed(signer, header, claims)


@frozen(kw_only=True)
class ClientMetadata:
    """How a client describes itself where it registers (RFC 7591, section 2).

    :ivar more: whatever else it says, by the names of the specification.
    :ivar is_bound: whether its tokens are bound to a key (RFC 9449, section 5.2).
    """

    name: str
    redirect_uri: str | None
    grant_types: tuple[str, ...]
    more: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    is_bound: bool = False

    def document(self, auth_method: AuthMethod) -> dict[str, Any]:
        """The body of a registration request."""
        assert self.redirect_uri is not None  # Who never sends a browser away is registered by hand, or not at all.
        return {
            "client_name": self.name,
            "redirect_uris": [self.redirect_uri],
            "grant_types": list(self.grant_types),
            "response_types": ["code"],
            "application_type": application_type(self.redirect_uri),
            "token_endpoint_auth_method": auth_method,
            **({"dpop_bound_access_tokens": True} if self.is_bound else {}),
            **self.more,
        }


def application_type(redirect_uri: str) -> str:
    """What OpenID Connect calls an application with this redirect URI (Client Registration, section 2)."""
    origin = origin_of_url(redirect_uri)
    return "web" if origin is not None and origin[0] == "https" and not is_loopback(origin[1]) else "native"


def register(
    environment: AuthEnvironment, server: AuthorizationServer, metadata: ClientMetadata
) -> Flow[RegisteredClient]:
    """Register at an authorization server (RFC 7591, section 3).

    :raises OAuthResponseError: if it refuses.
    """
    assert server.registration_endpoint is not None
    wanted = _wanted_method(server)
    request = HttpRequest(
        RequestKind.REGISTRATION,
        "dynamic client registration",
        server.registration_endpoint,
        http_method="POST",
        headers={"Content-Type": "application/json"},
        body=jsonrpc.dump(metadata.document(wanted)),
    )
    reply = yield from ask(environment, request)
    if reply.status not in (200, 201):
        raise refusal(request, reply)
    document = reply.document or {}
    if not as_text(document.get("client_id")):
        raise OAuthError("the authorization server registered this client without an id").located(
            redact_url(request.url), request.what
        )
    client = _registered(document, server.issuer, document.get("token_endpoint_auth_method", wanted))
    # A 0 is for ever, and what else is over before it begins is by another clock.
    return client if client.is_good(environment.wall_clock()) else evolve(client, secret_expires_at=None)


def _wanted_method(server: AuthorizationServer) -> AuthMethod:
    """How a client without secrets of its own had best prove who it is; RFC 8414 says what silence means."""
    offered = ("client_secret_basic",) if server.auth_methods is None else server.auth_methods
    for method in _METHODS:
        if method in offered:
            return method
    return "none"
