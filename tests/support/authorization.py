"""An MCP server that wants tokens, and authorization servers that give them, all as data: no sockets, no event loop.

A :class:`World` answers every request that a client sends, wherever it goes, and writes down what it saw.  What it says
can be changed in any detail: each document is a dict, and each endpoint is a method that a test may replace.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

from attrs import define, field

from mcpcore import AuthorizationRequest, SendRequest
from support.pure import Answer, Reply, headers_of, json_reply, message_of, result_reply

MCP = "https://mcp.example/mcp"
ISSUER = "https://login.example"
REDIRECT = "http://127.0.0.1:8400/callback"
PRM = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
FOUND = {"resultType": "complete", "content": [{"type": "text", "text": "found"}]}
DISCOVERY = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0}

Document = Answer | Mapping[str, Any] | Callable[[SendRequest], Answer] | None


def form_of(request: SendRequest) -> dict[str, str]:
    """The parameters in a request's body."""
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body)))


def query_of(url: str) -> dict[str, str]:
    """The parameters in a URL."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def s256(verifier: str) -> str:
    """A PKCE challenge."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@define(eq=False)
class AuthorizationServer:
    """One authorization server.

    :ivar metadata: what it says about itself.
    :ivar clients: what it registered, by id: the secrets.
    :ivar codes: the codes that it gave and that nobody used: the parameters of their requests.
    :ivar tokens: whose each access token is, and with which scopes.
    :ivar refresh_tokens: the same of refresh tokens, each good for once.
    :ivar expires_in: how many seconds its tokens are good for; None for not saying.
    :ivar refreshes: whether it gives refresh tokens.
    :ivar asked: what its token endpoint was asked, in order.
    :ivar answer: what the token endpoint answers instead, the next time.
    """

    issuer: str = ISSUER
    metadata: dict[str, Any] = field(factory=dict[str, Any])
    clients: dict[str, str | None] = field(factory=dict[str, "str | None"])
    registered: list[dict[str, Any]] = field(factory=list[dict[str, Any]])
    codes: dict[str, dict[str, str]] = field(factory=dict[str, dict[str, str]])
    tokens: dict[str, tuple[str, tuple[str, ...]]] = field(factory=dict[str, tuple[str, tuple[str, ...]]])
    refresh_tokens: dict[str, tuple[str, tuple[str, ...]]] = field(factory=dict[str, tuple[str, tuple[str, ...]]])
    expires_in: int | None = 600
    refreshes: bool = True
    asked: list[dict[str, str]] = field(factory=list[dict[str, str]])
    authorized: list[AuthorizationRequest] = field(factory=list[AuthorizationRequest])
    revoked: list[dict[str, str]] = field(factory=list[dict[str, str]])
    answer: Answer | None = None
    _serial: Callable[[], int] = field(factory=lambda: count(1).__next__)

    def __attrs_post_init__(self) -> None:
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "registration_endpoint": f"{self.issuer}/register",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            **self.metadata,
        }

    def log_in(self, request: AuthorizationRequest) -> str:
        """What a person's browser does who says yes to everything: the URL that it ends up at."""
        self.authorized.append(request)
        asked = query_of(request.url)
        code = f"code-{self._serial()}"
        self.codes[code] = {**asked, "principal": request.principal or "application"}
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state'], 'iss': self.issuer})}"

    def register(self, request: SendRequest) -> Answer:
        """The registration endpoint."""
        document = json.loads(request.body)
        self.registered.append(document)
        client_id = f"client-{len(self.registered)}"
        is_public = document.get("token_endpoint_auth_method") == "none"
        self.clients[client_id] = None if is_public else f"secret-{client_id}"
        secret = {} if is_public else {"client_secret": self.clients[client_id]}
        return json_reply({**document, "client_id": client_id, **secret}, 201)

    def client_of(self, request: SendRequest) -> str | None:
        """The client that a request is made by, if it proves it."""
        form, authorization = form_of(request), headers_of(request).get("authorization", "")
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if authorization.startswith("Basic "):
            client_id, secret = map(unquote_plus, b64decode(authorization[6:]).decode().split(":", 1))
        if client_id is not None and self.clients.get(client_id, "unknown") == secret:
            return client_id
        return None

    def token(self, request: SendRequest) -> Answer:
        """The token endpoint."""
        form = form_of(request)
        self.asked.append(form)
        if self.answer is not None:
            answer, self.answer = self.answer, None
            return answer
        if self.client_of(request) is None:
            return json_reply({"error": "invalid_client"}, 401)
        match form["grant_type"]:
            case "authorization_code":
                asked = self.codes.pop(form["code"], {})
                if asked.get("code_challenge") != s256(form["code_verifier"]):
                    return json_reply({"error": "invalid_grant"}, 400)
                return self.grant(asked["principal"], tuple(asked.get("scope", "").split()))
            case "refresh_token":
                owner = self.refresh_tokens.pop(form["refresh_token"], None)
                return json_reply({"error": "invalid_grant"}, 400) if owner is None else self.grant(*owner)
            case _:
                return self.grant("application", tuple(form.get("scope", "").split()))

    def grant(self, principal: str, scopes: tuple[str, ...]) -> Answer:
        """Tokens for a principal."""
        number = self._serial()
        self.tokens[f"access-{number}"] = principal, scopes
        document: dict[str, Any] = {"access_token": f"access-{number}", "token_type": "Bearer"}
        if self.expires_in is not None:
            document["expires_in"] = self.expires_in
        if self.refreshes:
            self.refresh_tokens[f"refresh-{number}"] = principal, scopes
            document["refresh_token"] = f"refresh-{number}"
        if scopes:
            document["scope"] = " ".join(scopes)
        return json_reply(document)

    def revoke(self, request: SendRequest) -> Answer:
        """The revocation endpoint."""
        self.revoked.append(form_of(request))
        return Reply(200)


@define(eq=False)
class World:
    """Everything that a client can reach.

    :ivar servers: the authorization servers, by issuer.
    :ivar mcp: where the MCP server is.
    :ivar resource: what the MCP server says about who may use it; None if it says nothing.
    :ivar documents: further documents, by URL, and instead of those of the servers; None for a 404; a function answers.
    :ivar scopes: which scopes a tool takes, by its name; a call without is a 403.
    :ivar challenge: the parameters of the MCP server's challenges.
    :ivar seen: what the MCP server was sent: the method, and whose token it was or None.
    :ivar others: requests to anything but the MCP server, in order: method and URL.
    """

    servers: dict[str, AuthorizationServer] = field(factory=lambda: {ISSUER: AuthorizationServer()})
    resource: dict[str, Any] | None = field(
        factory=lambda: {"resource": MCP, "authorization_servers": [ISSUER], "scopes_supported": ["read"]}
    )
    documents: dict[str, Document] = field(factory=dict[str, Document])
    scopes: dict[str, tuple[str, ...]] = field(factory=dict[str, tuple[str, ...]])
    challenge: dict[str, str] = field(factory=lambda: {"resource_metadata": PRM})
    mcp: str = MCP
    seen: list[tuple[str, str | None]] = field(factory=list[tuple[str, "str | None"]])
    others: list[tuple[str, str]] = field(factory=list[tuple[str, str]])

    @property
    def server(self) -> AuthorizationServer:
        """The first authorization server."""
        return next(iter(self.servers.values()))

    def log_in(self, request: AuthorizationRequest) -> str:
        """A handler that says yes, wherever it is sent."""
        return self.servers[request.issuer].log_in(request)

    def __call__(self, request: SendRequest) -> Answer:
        """Answer one request."""
        if request.url == self.mcp:
            return self._mcp(request)
        self.others.append((request.method, request.url))
        if request.url in self.documents:
            document = self.documents[request.url]
            if callable(document):
                return document(request)
            return (
                Reply(404) if document is None else json_reply(document) if isinstance(document, Mapping) else document
            )
        if request.url == PRM and self.resource is not None:
            return json_reply(self.resource)
        for server in self.servers.values():
            answers = {
                f"{server.issuer}/.well-known/oauth-authorization-server": lambda _, s=server: json_reply(s.metadata),
                server.metadata.get("token_endpoint"): server.token,
                server.metadata.get("registration_endpoint"): server.register,
                server.metadata.get("revocation_endpoint"): server.revoke,
            }
            if (answer := answers.get(request.url)) is not None:
                return answer(request)
        return Reply(404)

    def owner_of(self, request: SendRequest) -> tuple[str, tuple[str, ...]] | None:
        """Whose token a request carries, and with which scopes."""
        token = headers_of(request).get("authorization", "").partition(" ")[2]
        found = (server.tokens.get(token) for server in self.servers.values())
        return next((owner for owner in found if owner is not None), None)

    def _mcp(self, request: SendRequest) -> Answer:
        owner = self.owner_of(request)
        self.seen.append((request.rpc_method or request.method, None if owner is None else owner[0]))
        if owner is None:
            return self.refuse(401, self.challenge)
        lacking = set(self.scopes.get(request.rpc_name or "", ())) - set(owner[1])
        if lacking:
            needed = {"error": "insufficient_scope", "scope": " ".join(self.scopes[request.rpc_name or ""])}
            return self.refuse(403, {**self.challenge, **needed})
        if "id" not in message_of(request):
            return Reply(202)
        return result_reply(request, DISCOVERY if request.rpc_method == "server/discover" else FOUND)

    def refuse(self, status: int, challenge: Mapping[str, str]) -> Answer:
        """A refusal by the MCP server."""
        parameters = ", ".join(f'{name}="{value}"' for name, value in challenge.items())
        return Reply(status, {"www-authenticate": f"Bearer {parameters}".strip()})
