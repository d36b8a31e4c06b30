"""Who may log in at the servers in ``guarded``: fastmcp's authorization server in memory, with people.

Its endpoints, its checks and its rotation of tokens are somebody else's.  Added is what it takes to watch it: tokens
say whose they are, namely whomever the browser's cookie ``user`` names, and a ledger is kept.
"""

from __future__ import annotations

import secrets

from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.provider import AuthorizationCode, AuthorizationParams, RefreshToken
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from support.servers.ledger import Ledger

SCOPES = ["read", "write"]


class Accounts(InMemoryOAuthProvider):
    """The people of the server at ``origin``."""

    def __init__(self, origin: str) -> None:
        super().__init__(
            base_url=origin,
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES
            ),
            revocation_options=RevocationOptions(enabled=True),
            required_scopes=["read"],
        )
        self.ledger = Ledger(access=self.access_tokens, refresh=self.refresh_tokens, clients=self.clients)
        self._waiting: dict[str, tuple[AuthorizationCode, str]] = {}

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """Send the browser to the page where people log in."""
        ticket, back = secrets.token_hex(8), await super().authorize(client, params)
        code = next(reversed(self.auth_codes.values()))
        code.resource = params.resource
        self._waiting[ticket] = code, back
        return f"/login?ticket={ticket}"

    async def _log_in(self, request: Request) -> Response:
        """The page where people log in: what the cookie says is believed, and the browser sent back."""
        code, back = self._waiting.pop(request.query_params["ticket"])
        code.subject = request.cookies["user"]
        return RedirectResponse(back, 302)

    def pages(self) -> list[Route]:
        """What is served besides the endpoints."""
        return [Route("/login", self._log_in), *self.ledger.routes()]

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        """Issue tokens after a login."""
        token = await super().exchange_authorization_code(client, authorization_code)
        return self._issued("authorization_code", authorization_code, token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        """Issue tokens instead of others."""
        token = await super().exchange_refresh_token(client, refresh_token, scopes)
        return self._issued("refresh_token", refresh_token, token)

    def _issued(self, grant: str, basis: AuthorizationCode | RefreshToken, token: OAuthToken) -> OAuthToken:
        """Write down whose ``token`` is, and for which resource."""
        assert token.refresh_token is not None
        access, refresh = self.access_tokens[token.access_token], self.refresh_tokens[token.refresh_token]
        access.subject = refresh.subject = basis.subject
        access.resource = refresh.resource = basis.resource
        self.ledger.issued[grant] += 1
        return token
