"""User code, type-checked and never run: the providers, what they ask for, and providers of one's own."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from typing import Any, assert_type

import mcpcore
import transports
from mcpcore import (
    AssertionRequest,
    AuthEnvironment,
    AuthorizationCode,
    AuthorizationRequest,
    AuthProvider,
    BearerAuth,
    CallContext,
    ClientCredentials,
    Credentials,
    EnterpriseManaged,
    JwtBearer,
    Login,
    LoginRequiredError,
    OAuth,
    OAuthError,
    OAuthResponseError,
    Operation,
    Refusal,
    RegisteredClient,
    RequestContext,
    Signer,
    TokenStore,
)
from transports.oauth import BrowserLogin, KeyringStore, SigningKey


async def ask_elsewhere(request: AuthorizationRequest) -> str:
    if request.principal is None:
        raise LoginRequiredError("nobody is there to log in")
    return f"{request.redirect_uri}?state={request.state}"


def refuse(request: AuthorizationRequest) -> str:
    raise LoginRequiredError("log in first")


def platform_token(request: AssertionRequest) -> str:
    return f"{request.audience} {request.resource} {' '.join(request.scopes)}"


async def id_token(request: AssertionRequest) -> str:
    return request.principal or ""


def token(request: RequestContext) -> str:
    return "t" if request.challenge is None else "u"


class Database:
    async def get(self, key: str) -> str | None:
        return None

    async def put(self, key: str, value: str) -> None: ...

    async def delete(self, key: str) -> None: ...


class Gateway:
    """A provider of one's own."""

    @property
    def shows_identity(self) -> bool:
        return False

    def headers(self, request: RequestContext, environment: AuthEnvironment) -> Generator[Any, Any, Credentials]:
        yield from ()
        return Credentials({"Authorization": f"Gateway {environment.wall_clock():.0f}"})

    def refused(
        self,
        request: RequestContext,
        environment: AuthEnvironment,
        attempts: Sequence[Credentials],
        refusal: Refusal,
    ) -> Generator[Any, Any, bool]:
        yield from ()
        return refusal.status == 401 and len(attempts) == 1

    def told_nonce(self, request: RequestContext, environment: AuthEnvironment, nonce: str) -> None: ...


def stores() -> list[TokenStore]:
    return [Database(), KeyringStore("program")]


def providers() -> list[AuthProvider]:
    key = SigningKey.generate("ES256")
    signer: Signer = key
    login = BrowserLogin(port=28417)
    by_secret = RegisteredClient("id", "secret", issuer="https://login.example", auth_method="client_secret_post")
    return [
        OAuth(AuthorizationCode(login, login.redirect_uri), store=KeyringStore(), client_name="program"),
        OAuth(AuthorizationCode(ask_elsewhere, "https://app.example/callback"), dpop=key, store=Database()),
        OAuth(AuthorizationCode(refuse, "http://localhost:1/"), client_metadata_url="https://app.example/client.json"),
        OAuth(ClientCredentials(), client=by_secret, scopes=["read"]),
        OAuth(ClientCredentials(), client=RegisteredClient("id", signer=signer)),
        OAuth(JwtBearer(platform_token)),
        OAuth(EnterpriseManaged(id_token, token_endpoint="https://idp.example/token"), client=by_secret),
        BearerAuth(token),
        Gateway(),
    ]


def pure(auth: AuthProvider) -> None:
    client = mcpcore.Client("https://mcp.example/mcp", auth=auth, wall_clock=time.time, entropy=os.urandom)
    assert_type(client.log_in(context=CallContext(principal="alice")), Operation[Login])
    assert_type(client.log_out(), Operation[bool])
    operation = client.call_tool("search")
    match operation.next_command():
        case mcpcore.LookUp(host=host):
            operation.looked_up([host])
        case mcpcore.SendRequest(kind=kind, addresses=addresses):
            assert_type(kind, mcpcore.RequestKind)
            assert_type(addresses, tuple[str, ...])
        case _:
            pass


async def use(auth: AuthProvider) -> None:
    config = transports.ServerConfig("https://mcp.example/mcp", auth=auth)
    async with transports.connect(config) as client, transports.connect("https://mcp.example/mcp", auth=auth) as other:
        alice = client.bind(CallContext(principal="alice"))
        try:
            login = await alice.log_in(timeout=300)
        except OAuthResponseError as error:
            assert_type(error.error, str)
            assert_type(error.status, int | None)
        except OAuthError as error:
            assert_type(error.message, str)
        else:
            assert_type(login.scopes, tuple[str, ...])
            assert_type(login.renew_at, float | None)
        assert_type(await other.log_out(), bool)
