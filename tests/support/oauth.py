"""One client that logs in, in a world of servers that are data: what the tests of the OAuth flows begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import count
from typing import Any, TypeVar

from attrs import define, field

from mcpcore import (
    AuthorizationCode,
    AuthProvider,
    CallContext,
    Client,
    McpError,
    OAuth,
    Operation,
    RegisteredClient,
    SendRequest,
)
from mcpcore.oauth.dpop import base64url
from support.authorization import ISSUER, MCP, PRM, REDIRECT, World
from support.pure import Answer, PureDriver, headers_of

T = TypeVar("T")

BY_HAND = RegisteredClient("app", "app-secret", issuer=ISSUER)


@define
class Clock:
    """Tells whatever time it is set to, in seconds since 1970."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@define
class Entropy:
    """Draws bytes that never come again, and remembers them as they are written."""

    drawn: list[str] = field(factory=list[str])
    _serial: Iterator[int] = field(factory=count)

    def __call__(self, size: int) -> bytes:
        data = sha256(str(next(self._serial)).encode()).digest()[:size]
        self.drawn.append(base64url(data))
        return data


@define
class FakeSigner:
    """Signs nothing, and remembers what it was to sign: header and claims."""

    name: str = "key"
    key_id: str | None = None
    signed: list[tuple[dict[str, Any], dict[str, Any]]] = field(factory=list[tuple[dict[str, Any], dict[str, Any]]])

    @property
    def algorithm(self) -> str:
        return "ES256"

    @property
    def public_key(self) -> Mapping[str, Any]:
        return {"kty": "EC", "crv": "P-256", "x": self.name, "y": self.name}

    @property
    def thumbprint(self) -> str:
        return f"thumbprint-of-{self.name}"

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        self.signed.append((dict(header), dict(claims)))
        return f"signed.{self.name}.{len(self.signed)}"


@define(eq=False)
class Scene:
    """A world, a clock, and a driver; clients and providers are made by its methods.

    :ivar instead: is asked first, and answers in the world's place unless it returns None.
    """

    world: World = field(factory=World)
    clock: Clock = field(factory=Clock)
    entropy: Entropy = field(factory=Entropy)
    instead: Callable[[SendRequest], Answer | None] = lambda request: None
    driver: PureDriver = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world.server.clients["app"] = "app-secret"
        self.driver = PureDriver(self.answer)

    def answer(self, request: SendRequest) -> Answer:
        """What the other side answers."""
        other = self.instead(request)
        return self.world(request) if other is None else other

    def refuse(self, *methods: str) -> None:
        """Have the MCP server refuse every token for these, by JSON-RPC method, or HTTP method where there is none."""

        def refusing(request: SendRequest) -> Answer | None:
            is_refused = request.url == MCP and (request.rpc_method or request.method) in methods
            return self.world.refuse(401, self.world.challenge) if is_refused else None

        self.instead = refusing

    def since(self, number: int) -> list[str]:
        """Where requests went after the first ``number``."""
        return [place_of(request) for request in self.driver.sent[number:]]

    def provider(self, grant: Any = None, **options: Any) -> OAuth:
        """A provider; people say yes to everything where no grant is given."""
        return OAuth(grant or AuthorizationCode(self.world.log_in, redirect_uri=REDIRECT), **options)

    def client(self, auth: AuthProvider | None = None, url: str = MCP, **options: Any) -> Client:
        """A client that knows its server's era."""
        options = {"protocol_version": "2026-07-28", "clock": self.clock, **options}
        provider = auth or self.provider()
        return Client(url, auth=provider, wall_clock=self.clock, entropy=self.entropy, **options)

    def run(self, operation: Operation[T]) -> T:
        """Play one operation to its end."""
        return self.driver.run(operation)

    def fail(self, operation: Operation[Any]) -> McpError:
        """The same, for one that fails."""
        try:
            result = self.driver.run(operation)
        except McpError as error:
            return error
        raise AssertionError(f"it returned {result}")

    def call(self, client: Client, principal: str | None = "alice", tool: str = "find") -> None:
        """Call a tool."""
        self.run(client.call_tool(tool, context=as_(principal)))

    def refused(self, client: Client, principal: str | None = "alice", tool: str = "find") -> McpError:
        """Call a tool, which fails."""
        return self.fail(client.call_tool(tool, context=as_(principal)))

    @property
    def logins(self) -> int:
        """How often a person was asked."""
        return len(self.world.server.authorized)

    def sent_to(self, url: str) -> list[SendRequest]:
        """What was sent to a URL."""
        return [request for request in self.driver.sent if request.url == url]

    def tokens_sent(self) -> list[str | None]:
        """The tokens that the MCP server was shown, request by request; None for none."""
        shown = (headers_of(request).get("authorization") for request in self.sent_to(MCP))
        return [None if value is None else value.partition(" ")[2] for value in shown]


def place_of(request: SendRequest) -> str:
    """Which of a world's places a request went to."""
    places = {MCP: "mcp", PRM: "resource"}
    return places.get(request.url) or request.url.rpartition("/")[2]


def as_(principal: str | None) -> CallContext:
    """A call in somebody's name."""
    return CallContext(principal=principal)


def grant_types(asked: Sequence[Mapping[str, str]]) -> list[str]:
    """Which grants a token endpoint was asked for."""
    return [form["grant_type"] for form in asked]
