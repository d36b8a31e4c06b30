"""The two documents that say where and how to get a token.

A *protected resource* says which authorization servers it trusts (RFC 9728); an *authorization server* says where its
endpoints are and what it supports (RFC 8414, OpenID Connect Discovery 1.0).  Both are read leniently, but for what
somebody could lie about: whose document it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import field, frozen

from mcpcore.codecs.shapes import as_list, as_text, as_texts
from mcpcore.errors import OAuthError
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import origin_of

if TYPE_CHECKING:
    from mcpcore.rules.endpoint import Endpoint


def base_of(endpoint: Endpoint) -> str:
    """The MCP server's origin, as a URL without a path."""
    scheme, host, port = endpoint.origin
    default = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port != default else "")


def resource_of(endpoint: Endpoint) -> str:
    """The canonical URI of an MCP server (2026-07-28, "Authorization", Canonical Server URI)."""
    path = urlsplit(endpoint.url).path
    return base_of(endpoint) + (path if path != "/" else "")


@frozen
class ProtectedResource:
    """What an MCP server says about who may use it.

    :ivar resource: which resource it speaks of.
    :ivar authorization_servers: the issuers of those whose tokens it takes.
    :ivar scopes_supported: the scopes for its basic use; None if it does not say.
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] | None = None

    @classmethod
    def read(cls, document: dict[str, Any], endpoint: Endpoint) -> ProtectedResource:
        """Read a server's metadata.

        :raises OAuthError: if it speaks of another resource, or names no authorization server.
        """
        resource, servers = as_text(document.get("resource")), as_texts(document.get("authorization_servers"))
        if resource is None or not _covers(resource, endpoint):
            shown = f"{redact_url(resource)!r:.200}" if resource else "nothing"
            raise OAuthError(f"the protected resource metadata is that of {shown}, and not of this server")
        if not servers:
            raise OAuthError("the protected resource metadata names no authorization server")
        scopes = as_list(document.get("scopes_supported"))
        return cls(resource, tuple(servers), None if scopes is None else tuple(as_texts(scopes)))


def _covers(resource: str, endpoint: Endpoint) -> bool:
    """Whether a resource is the server or, on the same origin, what the server's path lies under."""
    try:
        parts = urlsplit(resource)
    except ValueError:
        return False
    if origin_of(parts) != endpoint.origin or parts.query or parts.fragment:
        return False
    return f"{urlsplit(endpoint.url).path.rstrip('/')}/".startswith(f"{parts.path.rstrip('/')}/")


@frozen
class AuthorizationServer:
    """What an authorization server says about itself.

    :ivar issuer: who it is; its tokens, and what this client is registered as there, belong to this name.
    :ivar pkce_methods: its ``code_challenge_methods_supported``; None if it does not say, which rules it out.
    :ivar auth_methods: how clients may authenticate at its token endpoint; None if it does not say.
    :ivar names_itself: whether its authorization responses hold ``iss`` (RFC 9207).
    :ivar takes_metadata_documents: whether a client's id may be the URL of its metadata document.
    """

    issuer: str
    authorization_endpoint: str | None = field(default=None, repr=False)
    token_endpoint: str | None = field(default=None, repr=False)
    registration_endpoint: str | None = field(default=None, repr=False)
    revocation_endpoint: str | None = field(default=None, repr=False)
    scopes_supported: tuple[str, ...] = ()
    pkce_methods: tuple[str, ...] | None = None
    auth_methods: tuple[str, ...] | None = None
    names_itself: bool = False
    takes_metadata_documents: bool = False

    @classmethod
    def read(cls, document: dict[str, Any], issuers: tuple[str, ...]) -> AuthorizationServer:
        """Read a server's metadata (2026-07-28, "Authorization Server Discovery").

        :param issuers: who it may be: the very issuer that its URL was made of.
        :raises OAuthError: if it is somebody else, whose word does not count.
        """
        issuer = as_text(document.get("issuer"))
        if issuer not in issuers:
            raise OAuthError("the authorization server's metadata is that of another issuer, and is not used")
        return cls(
            issuer=issuer,
            authorization_endpoint=as_text(document.get("authorization_endpoint")),
            token_endpoint=as_text(document.get("token_endpoint")),
            registration_endpoint=as_text(document.get("registration_endpoint")),
            revocation_endpoint=as_text(document.get("revocation_endpoint")),
            scopes_supported=tuple(as_texts(document.get("scopes_supported"))),
            pkce_methods=_optional(document.get("code_challenge_methods_supported")),
            auth_methods=_optional(document.get("token_endpoint_auth_methods_supported")),
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            takes_metadata_documents=document.get("client_id_metadata_document_supported") is True,
        )

    @classmethod
    def by_default(cls, base: str) -> AuthorizationServer:
        """A server of the first days, which says nothing about itself (2025-03-26, "Authorization", Fallbacks).

        It has PKCE, as that revision wants, and no way to say so.
        """
        return cls(
            issuer=base,
            authorization_endpoint=f"{base}/authorize",
            token_endpoint=f"{base}/token",
            registration_endpoint=f"{base}/register",
            pkce_methods=("S256",),
        )


def _optional(value: object) -> tuple[str, ...] | None:
    return None if as_list(value) is None else tuple(as_texts(value))
