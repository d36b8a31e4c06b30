"""Discovery: from a refusal to the authorization server that can help.

Two documents, one after the other.  The MCP server's own is where its challenge says, else at the well-known place for
its path, else at that for its origin.  It names authorization servers by their issuers; the metadata of one is at two
or three well-known places, made of its issuer, and counts only if it says that very issuer itself.

A server that has no document of its own is one of revision 2025-03-26: it is its own authorization server, and if that
has no metadata either, its endpoints have their usual names.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from mcpcore.context import RequestKind
from mcpcore.errors import OAuthError
from mcpcore.oauth.http import HttpRequest, fetch, refusal
from mcpcore.oauth.metadata import RESOURCE_PLACE, AuthorizationServer, ProtectedResource, base_of, resource_of
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import NOT_IN_URL, origin_of_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.oauth.http import HttpReply
    from mcpcore.oauth.provider import AuthEnvironment

_OF_RESOURCE = "protected resource metadata"
_OF_SERVER = "authorization server metadata"
_OAUTH, _OPENID = "oauth-authorization-server", "openid-configuration"
_NONE: Mapping[str, str] = MappingProxyType({})
_OF_ITS_REVISION = MappingProxyType({"MCP-Protocol-Version": "2025-03-26"})
"""What a client of the first days asks with (2025-03-26, "Server Metadata Discovery Headers")."""


@frozen
class Whereabouts:
    """What an MCP server says about who can help: its own metadata.

    :ivar resource: the resource that tokens are to be asked for.
    :ivar issuers: the authorization servers that it trusts; none for a server of 2025-03-26.
    :ivar scopes: the scopes for its basic use; None if it does not say.
    :ivar wants_dpop: whether it takes no tokens but those that are bound to a key.
    """

    resource: str
    issuers: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    wants_dpop: bool = False


def find_resource(environment: AuthEnvironment, challenges: Iterable[Challenge]) -> Flow[Whereabouts]:
    """Find the MCP server's metadata (2026-07-28, "Authorization Server Discovery", Protected Resource Metadata).

    :raises OAuthError: if it has some that cannot be used.
    """
    named = parameter(challenges, "resource_metadata")
    for url in (named,) if named is not None else _places_of_resource(environment):
        request = HttpRequest(RequestKind.METADATA, _OF_RESOURCE, url)
        reply = yield from fetch(environment, request)
        if (document := _document(reply)) is not None:
            try:
                found = ProtectedResource.read(document, environment.endpoint, url)
            except OAuthError as error:
                raise error.located(redact_url(url), _OF_RESOURCE) from None
            return Whereabouts(
                found.resource, found.authorization_servers, found.scopes_supported, wants_dpop=found.wants_dpop
            )
        if named is not None or _says_nothing(reply):
            raise refusal(request, reply)
    return Whereabouts(resource_of(environment.endpoint))


def _places_of_resource(environment: AuthEnvironment) -> Iterator[str]:
    base, path = base_of(environment.endpoint), urlsplit(environment.endpoint.url).path.rstrip("/")
    if path:
        yield f"{base}{RESOURCE_PLACE}{path}"
    yield f"{base}{RESOURCE_PLACE}"


def find_server(environment: AuthEnvironment, issuer: str) -> Flow[AuthorizationServer]:
    """Find an authorization server's metadata (2026-07-28, "Authorization Server Discovery", Metadata Discovery).

    :raises OAuthError: if there is none at any of its places, or somebody else's.
    """
    found = yield from _find(environment, list(_places_of_server(issuer)), (issuer,))
    if found is None:
        message = f"the authorization server {redact_url(issuer)} has no metadata at any well-known place"
        raise OAuthError(message).located(redact_url(issuer), _OF_SERVER)
    return found


def find_old_server(environment: AuthEnvironment, *, is_used: bool = False) -> Flow[AuthorizationServer]:
    """The authorization server that an MCP server of the first days is itself (2025-03-26, "Authorization").

    :param is_used: whether there is a token of it, so that it may be one that was named, too, and just as new.
    """
    base = base_of(environment.endpoint)
    names, headers = ((_OAUTH, _OPENID), _NONE) if is_used else ((_OAUTH,), _OF_ITS_REVISION)
    places = [f"{base}/.well-known/{name}" for name in names]
    # The base was made here, so nobody has said whether its issuer ends in a slash.
    found = yield from _find(environment, places, (base, f"{base}/"), headers)
    return found or AuthorizationServer.by_default(base)


def _find(
    environment: AuthEnvironment,
    places: list[str],
    issuers: tuple[str, ...],
    headers: Mapping[str, str] = _NONE,
) -> Flow[AuthorizationServer | None]:
    for url in places:
        request = HttpRequest(RequestKind.METADATA, _OF_SERVER, url, headers=headers)
        reply = yield from fetch(environment, request)
        if (document := _document(reply)) is not None:
            try:
                return AuthorizationServer.read(document, issuers)
            except OAuthError as error:
                raise error.located(redact_url(url), _OF_SERVER) from None
        if _says_nothing(reply):
            raise refusal(request, reply)
    return None


def _places_of_server(issuer: str) -> Iterator[str]:
    """Where the metadata of an issuer may be, in the order in which to look."""
    if NOT_IN_URL.search(issuer) or origin_of_url(issuer) is None:
        raise OAuthError("the issuer of the authorization server is not an http or https URL without userinfo")
    if "?" in issuer or "#" in issuer:
        raise OAuthError("the issuer of the authorization server has a query or a fragment, which no issuer has")
    parts = urlsplit(issuer)
    base, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{base}/.well-known/{_OAUTH}{path}"
    yield f"{base}/.well-known/{_OPENID}{path}"
    if path:
        yield f"{base}{path}/.well-known/{_OPENID}"


def _document(reply: HttpReply) -> dict[str, Any] | None:
    return reply.document if reply.status == 200 else None


def _says_nothing(reply: HttpReply) -> bool:
    """Whether an answer leaves open if there is a document, so that it must not be taken for a no."""
    return reply.status >= 500 or reply.status in (408, 429)


def parameter(challenges: Iterable[Challenge], name: str) -> str | None:
    """A parameter of the challenges that speak of tokens, from the first that has it."""
    tokens = (c for c in challenges if c.scheme.lower() in ("bearer", "dpop"))
    return next((c.parameters[name] for c in tokens if name in c.parameters), None)
