"""An authorization server made of Authlib's: it issues tokens for servers elsewhere, which ask it what they are worth.

What it checks and answers is Authlib's (the grants, PKCE, client authentication by HTTP Basic, registration,
revocation, introspection, ``iss``); here it is only given a memory and a place in an application.  Whoever the
browser's cookie ``user`` names has logged in and consents.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import Any

from attrs import define
from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    AuthorizationServer,
    ClientMixin,
    OAuth2Request,
    TokenMixin,
    grants,
    scope_to_list,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oauth2.rfc9207 import IssuerParameter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from support.servers.ledger import Ledger

SCOPES = {"read", "write"}
LIFETIME = 3600
RESOURCE_SERVER = ("resource-server", "for-tests")


@define
class Client(ClientMixin):
    """A client that registered."""

    client_id: str
    client_secret: str
    metadata: dict[str, Any]

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(sorted(SCOPES & set(scope_to_list(scope or ""))))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.metadata["redirect_uris"]

    def check_client_secret(self, client_secret: str) -> bool:
        return secrets.compare_digest(self.client_secret, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return self.metadata["token_endpoint_auth_method"] == method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.metadata["grant_types"]


_RESOURCE_SERVER = Client(*RESOURCE_SERVER, {"token_endpoint_auth_method": "client_secret_basic", "grant_types": []})


@define
class Code(AuthorizationCodeMixin):
    """What a login came to."""

    client_id: str
    user: str
    scope: str
    resource: str | None
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@define
class Token(TokenMixin):
    """An access token or a refresh token, or what is left of the two that were issued together."""

    client_id: str
    user: str
    scope: str
    resource: str | None
    access_token: str
    refresh_token: str
    expires_at: float

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.expires_at < time.time()

    def is_revoked(self) -> bool:
        return False


class FormRequest(OAuth2Request):
    """A request as Authlib reads it, with its fields from the body or the query."""

    def __init__(self, request: Request, fields: dict[str, Any]) -> None:
        super().__init__(request.method, str(request.url), headers=request.headers)
        self.payload = BasicOAuth2Payload(fields)

    @property
    def form(self) -> dict[str, Any]:
        return self.payload.data


class Answer(JSONResponse):
    """An answer whose ``Location`` extensions may change."""

    @property
    def location(self) -> str | None:
        return self.headers.get("location")

    @location.setter
    def location(self, value: str) -> None:
        self.headers["location"] = value


class Issuer(AuthorizationServer):
    """The authorization server, and its memory."""

    def __init__(self, origin: str) -> None:
        super().__init__(scopes_supported=sorted(SCOPES))
        os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # Loopback, over plain HTTP.
        self.origin = origin
        self.clients: dict[str, Client] = {}
        self.codes: dict[str, Code] = {}
        self.access_tokens: dict[str, Token] = {}
        self.refresh_tokens: dict[str, Token] = {}
        self.ledger = Ledger(access=self.access_tokens, refresh=self.refresh_tokens, clients=self.clients)
        self.register_token_generator("default", BearerTokenGenerator(_token, _token, LIFETIME))
        self.register_grant(CodeGrant, [CodeChallenge(required=True)])
        self.register_grant(RefreshGrant)
        for endpoint in (Registration, Revocation, Introspection):
            self.register_endpoint(endpoint)
        self.register_extension(Named(origin))

    def query_client(self, client_id: str) -> Client | None:
        return _RESOURCE_SERVER if client_id == RESOURCE_SERVER[0] else self.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: FormRequest) -> None:
        basis = request.authorization_code or request.refresh_token
        until = time.time() + token["expires_in"]
        texts = token["access_token"], token["refresh_token"]
        kept = Token(request.client.client_id, basis.user, token["scope"], basis.resource, *texts, until)
        self.access_tokens[kept.access_token] = self.refresh_tokens[kept.refresh_token] = kept
        self.ledger.issued[request.payload.grant_type] += 1

    def forget(self, token: Token) -> None:
        self.access_tokens.pop(token.access_token, None)
        self.refresh_tokens.pop(token.refresh_token, None)

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        return request

    def create_json_request(self, request: FormRequest) -> FormRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        return Answer(body, status, dict(headers))

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def metadata(self) -> dict[str, Any]:
        """The document of RFC 8414, as Authlib finds it valid."""
        by_basic = ["client_secret_basic"]
        document = AuthorizationServerMetadata(
            issuer=self.origin,
            authorization_endpoint=f"{self.origin}/authorize",
            token_endpoint=f"{self.origin}/token",
            registration_endpoint=f"{self.origin}/register",
            revocation_endpoint=f"{self.origin}/revoke",
            introspection_endpoint=f"{self.origin}/introspect",
            scopes_supported=self.scopes_supported,
            response_types_supported=["code"],
            grant_types_supported=["authorization_code", "refresh_token"],
            code_challenge_methods_supported=["S256"],
            token_endpoint_auth_methods_supported=by_basic,
            revocation_endpoint_auth_methods_supported=by_basic,
            authorization_response_iss_parameter_supported=True,
        )
        return dict(document)

    def application(self) -> Starlette:
        """All of it, as an application."""

        def posted(answer: Callable[[FormRequest], Answer]) -> Callable[[Request], Any]:
            async def endpoint(request: Request) -> Response:
                return answer(FormRequest(request, dict(await request.form())))

            return endpoint

        def serving(name: str) -> Callable[[FormRequest], Answer]:
            return lambda request: self.create_endpoint_response(name, request)

        async def authorize(request: Request) -> Response:
            asked = FormRequest(request, dict(request.query_params))
            grant = self.get_authorization_grant(asked)
            return self.create_authorization_response(asked, request.cookies.get("user"), grant)

        async def register(request: Request) -> Response:
            return self.create_endpoint_response("client_registration", FormRequest(request, await request.json()))

        async def metadata(request: Request) -> Response:
            return JSONResponse(self.metadata())

        return Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server", metadata),
                Route("/authorize", authorize),
                Route("/register", register, methods=["POST"]),
                Route("/token", posted(self.create_token_response), methods=["POST"]),
                Route("/revoke", posted(serving("revocation")), methods=["POST"]),
                Route("/introspect", posted(serving("introspection")), methods=["POST"]),
                *self.ledger.routes(),
            ]
        )


def _token(**_: Any) -> str:
    return secrets.token_urlsafe(32)


class CodeGrant(grants.AuthorizationCodeGrant):
    """Tokens for a code."""

    server: Issuer

    def save_authorization_code(self, code: str, request: FormRequest) -> None:
        asked = request.form
        challenge = asked["code_challenge"], asked["code_challenge_method"]
        about = request.client.client_id, request.user, request.scope, asked.get("resource"), asked["redirect_uri"]
        self.server.codes[code] = Code(*about, *challenge)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = self.server.codes.get(code)
        return found if found is not None and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.server.codes[self.request.form["code"]]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.user


class RefreshGrant(grants.RefreshTokenGrant):
    """Tokens instead of others."""

    INCLUDE_NEW_REFRESH_TOKEN = True
    server: Issuer

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        return self.server.refresh_tokens.get(refresh_token)

    def authenticate_user(self, refresh_token: Token) -> str:
        return refresh_token.user

    def revoke_old_credential(self, refresh_token: Token) -> None:
        self.server.forget(refresh_token)


class Registration(ClientRegistrationEndpoint):
    """Anyone may register."""

    server: Issuer

    def authenticate_token(self, request: FormRequest) -> str:
        return "anyone"

    def get_server_metadata(self) -> dict[str, Any]:
        return self.server.metadata()

    def save_client(self, client_info: dict[str, Any], client_metadata: Any, request: FormRequest) -> Client:
        client = Client(client_info["client_id"], client_info["client_secret"], dict(client_metadata))
        self.server.clients[client.client_id] = client
        return client


class Revocation(RevocationEndpoint):
    """Both tokens that were issued together end together."""

    server: Issuer

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        return self.server.access_tokens.get(token_string) or self.server.refresh_tokens.get(token_string)

    def revoke_token(self, token: Token, request: FormRequest) -> None:
        self.server.forget(token)


class Introspection(IntrospectionEndpoint):
    """What a resource server is told of a token."""

    server: Issuer

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:
        return self.server.access_tokens.get(token_string)

    def check_permission(self, token: Token, client: Client, request: FormRequest) -> bool:
        return client.client_id == RESOURCE_SERVER[0]

    def introspect_token(self, token: Token) -> dict[str, Any]:
        return {"client_id": token.client_id, "sub": token.user, "scope": token.scope, "aud": token.resource}


class Named(IssuerParameter):
    """Says in each authorization response whose it is."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def get_issuer(self) -> str:
        return self._origin
