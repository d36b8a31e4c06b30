"""An MCP server that wants tokens, and an authorization server that gives them, at two origins and over every carrier.

What they say comes from the same data as in the tests of the pure flows (:mod:`support.authorization`); what they were
sent is in their journals.  Both set cookies with every answer, which nobody may ever send back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import define, field

import transports
from mcpcore import AuthorizationCode, AuthorizationRequest, OAuth, RequestKind, SendRequest
from support.adapters import wired
from support.authorization import REDIRECT, AuthorizationServer, World
from support.pure import Reply
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, ReceivedRequest, Server, serve

Forward = Callable[[ReceivedRequest], Awaitable[Answer]]
Hold = Callable[[Answer], Awaitable[Answer]]

MCP_ORIGIN, ISSUER = "https://mcp.example", "https://login.example"
COOKIE = {"set-cookie": "session=of-somebody; Path=/"}


async def at_once(answer: Answer) -> Answer:
    """Hold nothing back."""
    return answer


@define
class WallClock:
    """Tells the time, which may pass as quickly as one likes."""

    ahead: float = 0

    def pass_(self, seconds: float) -> None:
        self.ahead += seconds

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> WallClock:
        """The clock of all clients that are made from now on."""
        clock, true_time = cls(), time.time
        monkeypatch.setattr(time, "time", lambda: true_time() + clock.ahead)
        return clock


@define(eq=False)
class Guarded:
    """The two servers, and the way that leads to them.

    :ivar server: the MCP server, which answers whoever shows a token.
    :ivar authority: the authorization server.
    :ivar world: what they say, and which tokens there are.
    :ivar held: an endpoint of the authorization server, by its path.
    :ivar hold: is given what that endpoint has decided, and returns what it sends, when it sends it.
    """

    server: Server
    authority: Server
    origin: str
    issuer: str
    options: Mapping[str, Any]
    held: str = "/token"
    hold: Hold = at_once
    world: World = field(init=False)

    def __attrs_post_init__(self) -> None:
        document = f"{self.origin}/.well-known/oauth-protected-resource"
        resource = {"resource": self.origin, "authorization_servers": [self.issuer], "scopes_supported": ["read"]}
        self.world = World(
            servers={self.issuer: AuthorizationServer(self.issuer)},
            documents={document: resource},
            challenge={"resource_metadata": document},
            mcp=self.url,
        )
        self.server.script(None, self._guard, times=None)
        self.authority.script(None, self._authorize, times=None)

    @property
    def url(self) -> str:
        """The MCP endpoint."""
        return self.origin + Server.path

    @property
    def asked(self) -> list[str]:
        """Which grants the token endpoint was asked for, in order."""
        return [form["grant_type"] for form in self.world.server.asked]

    @property
    def logins(self) -> list[str | None]:
        """Who was asked to log in, in order."""
        return [request.principal for request in self.world.server.authorized]

    @property
    def seen(self) -> list[tuple[str, str | None]]:
        """What the MCP server was asked, and by whose token."""
        return self.world.seen

    def log_in(self, request: AuthorizationRequest) -> str:
        """A handler that says yes."""
        return self.world.log_in(request)

    def provider(self, grant: Any = None, **options: Any) -> OAuth:
        """A provider; people say yes to everything where no grant is given."""
        return OAuth(grant or AuthorizationCode(self.log_in, redirect_uri=REDIRECT), **options)

    def connect(self, era: str = "modern", **options: Any) -> transports.Client:
        """A client, in whose name people log in unless ``auth`` says something else."""
        path, kind = (Server.sse_path, "sse") if era == "sse" else (Server.path, "http")
        defaults: dict[str, Any] = {"type": kind, "timeout": 20.0, "auth": self.provider(), **self.options}
        return transports.connect(self.origin + path, **{**defaults, **options})

    def forget_tokens(self, *, refresh_tokens: bool = False) -> None:
        """Let no access token be good any more."""
        self.world.server.tokens.clear()
        if refresh_tokens:
            self.world.server.refresh_tokens.clear()

    async def _guard(self, request: ReceivedRequest, forward: Forward) -> Answer:
        await anyio.lowlevel.checkpoint()
        sent = _as_sent(self.origin, request)
        if request.path.startswith("/.well-known/"):
            return _answer(self.world(sent))
        principal, scopes = self.world.owner_of(sent) or (None, ())
        self.seen.append((request.rpc_method or request.method, principal))
        needed = self.world.scopes.get(request.rpc_name or "", ())
        if principal is None:
            return _answer(self.world.refuse(401, self.world.challenge))
        if set(needed) - set(scopes):
            lacking = {"error": "insufficient_scope", "scope": " ".join(needed)}
            return _answer(self.world.refuse(403, {**self.world.challenge, **lacking}))
        return (await forward(request)).with_headers(COOKIE)

    async def _authorize(self, request: ReceivedRequest, forward: Forward) -> Answer:
        await anyio.lowlevel.checkpoint()
        answer = _answer(self.world(_as_sent(self.issuer, request)))
        return await self.hold(answer) if request.path == self.held else answer


def _as_sent(origin: str, request: ReceivedRequest) -> SendRequest:
    return SendRequest(
        request.method,
        origin + request.target,
        request.headers.raw,
        request.body,
        RequestKind.REQUEST,
        request.rpc_method,
        request.rpc_name,
    )


def _answer(reply: Any) -> Answer:
    assert isinstance(reply, Reply)
    body = b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))
    return Answer(reply.status, (*reply.head(), *COOKIE.items()), body)


@asynccontextmanager
async def guarded(server: Server, carrier: str) -> AsyncGenerator[Guarded, None]:
    """Guard ``server``, and reach both by ``carrier``."""
    authority = Server()
    if carrier == "memory":
        async with anyio.create_task_group() as background:
            engine = MemoryEngine({MCP_ORIGIN: server, ISSUER: authority}, background=background)
            yield Guarded(server, authority, MCP_ORIGIN, ISSUER, {"engine": engine})
            background.cancel_scope.cancel()
        return
    async with wired(server, carrier) as wire, serve(authority) as served:
        yield Guarded(server, authority, wire.origin, served.origin, wire.options)
