"""Servers that people have to log in at, at ``/mcp``; the process prints the ports of four.

First the official SDK's and fastmcp's, either of which is its own authorization server; then another one of the SDK's,
and the authorization server that it trusts.  One tool takes a scope that the others don't, which only a guard before
the servers asks for in a way that clients can act on.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
from fastmcp import FastMCP
from fastmcp.server.auth.middleware import RequireAuthMiddleware
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from support.servers.accounts import SCOPES, Accounts
from support.servers.issuer import RESOURCE_SERVER, Issuer
from support.servers.serving import listen, run_together


def whoami() -> dict[str, Any]:
    """Tell whose token this very request carried, and what it is for."""
    token = get_access_token()
    assert token is not None
    return {"user": token.subject, "scopes": sorted(token.scopes)}


def write() -> dict[str, Any]:
    """Do what takes a scope of its own."""
    return whoami()


def sdk(origin: str) -> Starlette:
    """The SDK's resource server and authorization server."""
    accounts = Accounts(origin)
    settings = {
        "issuer_url": origin,
        "resource_server_url": f"{origin}/mcp",
        "client_registration_options": accounts.client_registration_options,
        "revocation_options": accounts.revocation_options,
    }
    application = _sdk(settings, auth_server_provider=accounts)
    application.router.routes.extend(accounts.pages())
    return application


def apart(origin: str, issuer: str) -> Starlette:
    """The SDK's resource server alone."""
    settings = {"issuer_url": issuer, "resource_server_url": f"{origin}/mcp"}
    return _sdk(settings, token_verifier=Introspecting(issuer))


def _sdk(settings: dict[str, Any], **means: Any) -> Starlette:
    """The SDK's server, which takes no token that was issued for another."""
    auth = AuthSettings(required_scopes=["read"], validate_token_resource=True, **settings)
    server = MCPServer("guarded", auth=auth, **means)
    for tool in (whoami, write):
        server.tool()(tool)
    return server.streamable_http_app()


def fast(origin: str) -> Starlette:
    """The server of fastmcp."""
    accounts = Accounts(origin)
    server: FastMCP = FastMCP("guarded", auth=accounts)
    for tool in (whoami, write):
        server.tool(tool)
    application = server.http_app()
    application.router.routes.extend(accounts.pages())
    return application


class Introspecting(TokenVerifier):
    """Asks the authorization server what a token is worth (RFC 7662)."""

    def __init__(self, issuer: str) -> None:
        self._client = httpx.AsyncClient(base_url=issuer, auth=RESOURCE_SERVER, limits=httpx.Limits(max_connections=4))

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the authorization server says."""
        said = (await self._client.post("/introspect", data={"token": token})).json()
        if not said["active"]:
            return None
        scopes = said["scope"].split()
        return AccessToken(
            token=token, client_id=said["client_id"], scopes=scopes, resource=said["aud"], subject=said["sub"]
        )


class Guard:
    """Stands before a server, and lets calls of ``write`` in by another door, where more is asked."""

    def __init__(self, server: Any, metadata_url: AnyHttpUrl) -> None:
        self._server = server
        self._guarded = RequireAuthMiddleware(server, SCOPES, metadata_url, challenge_scopes=["write"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        unread = [{"type": "http.request", "body": body}]

        async def again() -> Any:
            return unread.pop() if unread else await receive()

        is_write = body and json.loads(body).get("params", {}).get("name") == "write"
        door = self._guarded if is_write and scope["user"].is_authenticated else self._server
        await door(scope, again, send)


def guarded(application: Starlette, origin: str) -> Starlette:
    """``application``, with a guard before its endpoint."""
    [endpoint] = [route for route in application.routes if isinstance(route, Route) and route.path == "/mcp"]
    endpoint.app = Guard(endpoint.app, build_resource_metadata_url(AnyHttpUrl(f"{origin}/mcp")))
    return application


def main() -> None:
    """Serve all of them."""
    listeners = [listen() for _ in range(4)]
    origins = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    *places, issuer = origins
    applications = [
        guarded(sdk(places[0]), places[0]),
        guarded(fast(places[1]), places[1]),
        guarded(apart(places[2], issuer), places[2]),
        Issuer(issuer).application(),
    ]
    run_together(*zip(applications, listeners, strict=True))


if __name__ == "__main__":
    main()
