"""The two documents that say where and how to get a token.

A *protected resource* says which authorization servers it trusts (RFC 9728); an *authorization server* says where its
endpoints are and what it supports (RFC 8414, OpenID Connect Discovery 1.0).  Both are read leniently, but for what
somebody could lie about: whose document it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from mcpcore.codecs.shapes import as_list, as_text, as_texts
from mcpcore.errors import OAuthError
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import NOT_IN_URL, origin_of_url

if TYPE_CHECKING:
    from mcpcore.rules.endpoint import Endpoint

RESOURCE_PLACE = "/.well-known/oauth-protected-resource"
"""Where a resource's metadata is: between its origin and its path (RFC 9728, section 3.1)."""
_OURS = frozenset(
    {
        "response_type",
        "client_id",
        "redirect_uri",
        "state",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "resource",
        "prompt",
        "dpop_jkt",
    }
)
"""What an authorization request says, and nobody else may say in its place."""


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
    :ivar wants_dpop: whether it takes no tokens but those that are bound to a key (RFC 9449).
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes_supported: tuple[str, ...] | None = None
    wants_dpop: bool = False

    @classmethod
    def read(cls, document: dict[str, Any], endpoint: Endpoint, place: str) -> ProtectedResource:
        """Read a server's metadata.

        :param place: the URL that it was found at.
        :raises OAuthError: if it speaks of another resource, or names no authorization server.
        """
        resource, servers = as_text(document.get("resource")), as_texts(document.get("authorization_servers"))
        if resource is None or not _may_be_named(resource, endpoint, place):
            shown = f"{redact_url(resource)!r:.200}" if resource else "nothing"
            raise OAuthError(f"the protected resource metadata is that of {shown}, and not of this server")
        if not servers:
            raise OAuthError("the protected resource metadata names no authorization server")
        scopes = as_list(document.get("scopes_supported"))
        return cls(
            resource=resource,
            authorization_servers=tuple(servers),
            scopes_supported=None if scopes is None else tuple(as_texts(scopes)),
            wants_dpop=document.get("dpop_bound_access_tokens_required") is True,
        )


def _may_be_named(resource: str, endpoint: Endpoint, place: str) -> bool:
    """Whether metadata found at ``place`` may be that of ``resource`` (RFC 9728, section 3.3).

    It is the server itself or, on the same origin, what its path lies under.  The latter can be said at the place that
    is the parent's own alone: one of several servers beneath it does not speak for all of them.
    """
    if origin_of_url(resource) != endpoint.origin or NOT_IN_URL.search(resource) or "?" in resource or "#" in resource:
        return False
    own, path = (urlsplit(url).path.removesuffix("/") for url in (endpoint.url, resource))
    if path == own:
        return True
    found = urlsplit(place)
    is_its_place = origin_of_url(place) == endpoint.origin and (found.path, found.query) == (RESOURCE_PLACE + path, "")
    return is_its_place and f"{own}/".startswith(f"{path}/")


@frozen
class AuthorizationServer:
    """What an authorization server says about itself.

    :ivar issuer: who it is; its tokens, and what this client is registered as there, belong to this name.
    :ivar pkce_methods: its ``code_challenge_methods_supported``; None if it does not say, which rules it out.
    :ivar auth_methods: how clients may authenticate at its token endpoint; None if it does not say.
    :ivar names_itself: whether its authorization responses hold ``iss`` (RFC 9207).
    :ivar takes_metadata_documents: whether a client's id may be the URL of its metadata document.
    :ivar dpop_algorithms: what proofs may be signed by; None if it does not say.
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
    dpop_algorithms: tuple[str, ...] | None = None

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
            dpop_algorithms=_optional(document.get("dpop_signing_alg_values_supported")),
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


def check_endpoints(server: AuthorizationServer, *, is_named: bool) -> None:
    """See that a person may be sent to a server's login, and what comes of that be shown to its other endpoints.

    Whose login it was, a server's ``iss`` tells (RFC 9207).  Where it promises none, somebody could name another one's
    login beside a token endpoint of his own, and would be given that one's codes.  So its endpoints have to be at one
    origin, unless the user knows better.

    :param is_named: whether the user named this very issuer.
    :raises OAuthError: if it is not safe.
    """
    shown = redact_url(server.issuer)
    endpoints = server.authorization_endpoint, server.token_endpoint, server.registration_endpoint
    origins = {origin_of_url(endpoint) for endpoint in endpoints if endpoint is not None}
    if len(origins) > 1 and not (server.names_itself or is_named):
        raise OAuthError(
            f"the endpoints of the authorization server {shown} are at several origins, and its answers do not say "
            "whose they are, so a login could be another server's; if they belong together, register a client there "
            "and name the server: client=RegisteredClient(..., issuer=...)"
        )
    endpoint = server.authorization_endpoint or ""
    own = parse_qsl(urlsplit(endpoint).query, keep_blank_values=True) if origin_of_url(endpoint) is not None else ()
    if doubled := sorted(_OURS.intersection(name for name, _ in own)):
        raise OAuthError(
            f"the authorization endpoint of {shown} has {doubled[0]} in its own query, where only a request may say it"
        )
