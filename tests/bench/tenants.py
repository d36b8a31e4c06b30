"""200 identities, each of which lists and calls, and then does so again each time that its token has been replaced.

For us that is one client, and a principal for each identity.  The ``mcp`` client keeps what it is told by client
object, so it is safe with a client for each identity only.  There are three ways to do that, and all are measured:

* *a client each*: with an HTTP client as its library makes them, which gives each request the token of the time;
* *a client each, one TLS context*: the same, but sharing what takes most of the making of an HTTP client;
* *a client for each token*: with the token among the headers that the HTTP client was made with, and one TLS context.

Lists are private and fresh for a minute, and both clients keep them.  The server is a process of its own, whose CPU is
not counted.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import httpx2
import mcp
from attrs import define, field
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

import transports
from mcpcore import CallContext, Limits, RequestContext

from .measuring import connections_opened, ratio, requests_received

if TYPE_CHECKING:
    import ssl

ROTATIONS, ROUNDS = 5, 3
USERS = [f"user-{number}" for number in range(200)]
WARM_UP = USERS[:5]
HANDSHAKES = ("server/discover", "initialize")


@define
class Tokens:
    """Each user's token of the time."""

    generation: int = 1

    def of(self, user: str) -> str:
        return f"Bearer {user}.{self.generation}"


class Contender(Protocol):
    """One way to work for all users; what it opens, it leaves to its stack to close."""

    users: list[str]
    stack: AsyncExitStack

    async def open(self) -> None:
        """Open what is to be opened before anybody can work."""

    async def renew(self) -> None:
        """Do what is to be done when tokens have been replaced."""

    async def work(self, user: str) -> None:
        """List and call once, as one user."""


@define
class Ours:
    """One client for all."""

    url: str
    tokens: Tokens
    users: list[str]
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    client: Any = None

    def resolve(self, context: RequestContext) -> dict[str, str]:
        return {"Authorization": self.tokens.of(str(context.principal))}

    async def open(self) -> None:
        self.client = await self.stack.enter_async_context(transports.connect(self.url, get_headers=self.resolve))

    async def renew(self) -> None:
        """There is nothing to do."""

    async def work(self, user: str) -> None:
        somebody = self.client.bind(CallContext(principal=user))
        check(user, await somebody.list_tools())
        await somebody.call_tool("echo", {"text": "hello"})


@define
class Peers:
    """A client of ``mcp`` for each user.

    :ivar tls: what all HTTP clients share, or None for one each.
    """

    url: str
    tokens: Tokens
    users: list[str]
    stack: AsyncExitStack = field(factory=AsyncExitStack)
    tls: ssl.SSLContext | None = None
    clients: dict[str, mcp.Client] = field(factory=dict[str, mcp.Client])

    async def open(self) -> None:
        for user in self.users:
            http = await self.stack.enter_async_context(self.http_for(user))
            peer = mcp.Client(streamable_http_client(self.url, http_client=http))
            self.clients[user] = await self.stack.enter_async_context(peer)

    def http_for(self, user: str) -> httpx2.AsyncClient:
        async def add_token(request: httpx2.Request) -> None:
            request.headers["Authorization"] = self.tokens.of(user)

        http = create_mcp_http_client() if self.tls is None else httpx2.AsyncClient(verify=self.tls)
        http.event_hooks = {"request": [add_token]}
        return http

    async def renew(self) -> None:
        """There is nothing to do: the next request asks for its token."""

    async def work(self, user: str) -> None:
        check(user, (await self.clients[user].list_tools()).tools)
        await self.clients[user].call_tool("echo", {"text": "hello"})


@define
class PeersByToken(Peers):
    """A client of ``mcp`` for each token."""

    def http_for(self, user: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(verify=self.tls or True, headers={"Authorization": self.tokens.of(user)})

    async def renew(self) -> None:
        await self.stack.aclose()
        await self.open()


def check(user: str, tools: list[Any]) -> None:
    """Whose list it is must be right, or the figures mean nothing."""
    assert f" of {user}," in tools[0].description


@define
class Effort:
    """What it took one contender.

    :ivar cpu: seconds of this process.
    :ivar opened: how many connections were opened at first, and after each rotation.
    :ivar handshakes: how many discoveries and handshakes there were at first, and after each rotation.
    """

    cpu: float = 0.0
    opened: list[int] = field(factory=list[int])
    handshakes: list[int] = field(factory=list[int])

    async def spend(self, url: str, contender: Contender, *, is_first: bool) -> None:
        """Let everybody work once, at the same time."""
        opened, handshakes = connections_opened(url), handshakes_received(url)
        begin = time.process_time()
        await (contender.open() if is_first else contender.renew())
        async with anyio.create_task_group() as tasks:
            for user in contender.users:
                tasks.start_soon(contender.work, user)
        self.cpu += time.process_time() - begin
        self.handshakes.append(handshakes_received(url) - handshakes)
        self.opened.append(connections_opened(url) - opened - 3)  # Each question takes a connection of its own.


def handshakes_received(url: str) -> int:
    received = requests_received(url)
    return sum(received.get(method, 0) for method in HANDSHAKES)


async def effort_of(url: str, make: Any, users: list[str]) -> Effort:
    """What it takes: everybody's first list and call, and those after each rotation."""
    tokens, effort = Tokens(), Effort()
    contender: Contender = make(f"{url}/private", tokens, users)
    await effort.spend(url, contender, is_first=True)
    for _ in range(ROTATIONS):
        tokens.generation += 1
        await effort.spend(url, contender, is_first=False)
    begin = time.process_time()
    await contender.stack.aclose()
    effort.cpu += time.process_time() - begin
    return effort


async def main(url: str) -> None:
    tls = httpx2.create_ssl_context()
    contenders = {
        "mcpcore": Ours,
        "a client each": Peers,
        "a client each, one TLS context": lambda *arguments: Peers(*arguments, tls=tls),
        "a client for each token": lambda *arguments: PeersByToken(*arguments, tls=tls),
    }
    efforts: dict[str, list[Effort]] = {name: [] for name in contenders}
    for make in contenders.values():
        await effort_of(url, make, WARM_UP)  # What is imported late is imported now.
    for _ in range(ROUNDS):
        for name, make in contenders.items():
            efforts[name].append(await effort_of(url, make, USERS))
    cpu = {name: [effort.cpu for effort in made] for name, made in efforts.items()}
    bounds = dict.fromkeys(contenders, "no bound") | {"a client each": "at most 0.125"}
    for name in list(contenders)[1:]:
        ratio(f"CPU, mcpcore / {name}", cpu["mcpcore"], cpu[name], bounds[name])
    for name, made in efforts.items():
        report(name, made)
    print(f"  (wanted of mcpcore: at most {Limits().connections} connections at first, and nothing by a rotation)")


def report(name: str, made: list[Effort]) -> None:
    """Print what the server saw of one contender, at most, in any round."""
    seconds = min(effort.cpu for effort in made)
    opened, handshakes = max(effort.opened[0] for effort in made), max(effort.handshakes[0] for effort in made)
    opened_later = max(max(effort.opened[1:]) for effort in made)
    handshakes_later = max(max(effort.handshakes[1:]) for effort in made)
    print(
        f"  {name}: {seconds:.2f} s of CPU; at first {opened} connections and {handshakes} discoveries or handshakes, "
        f"by a rotation {opened_later} and {handshakes_later}"
    )
