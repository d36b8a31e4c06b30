"""Alice and Bob use one client at the same time.

A scene is a server on a loopback socket, one client, and two users who list their tools and call one of them, side by
side.  The server holds every call until the other user's has arrived as well, so both are in flight together.

The application's own credential is the same on every request.  The user's is a token that is good for two requests, so
that it changes in the middle of each user's work; counting uses, not seconds, makes every run the same.

Whose request was whose is noted twice, without one knowing of the other: here, by the ledger, when a resolver is asked,
and there, by the server's journal, when a request arrives.  The number that the ledger puts on each resolution joins
the two.  That comparison is the verdict's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
from attrs import define, field, frozen

from mcpcore import CallContext, McpError, RequestContext
from mcpcore.codecs.shapes import as_object

from ..client import connect
from ..testing import ReceivedRequest, Server, Tool, serve

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from ..observer import ExchangeSummary
    from ..verbs import BoundClient

TOOLS = {"alice": ("inbox", "payroll"), "bob": ("inbox", "deployments")}
"""The users, and the tools that the server offers each of them; both have an inbox, with other things in it."""
ROUNDS = 3
"""How often each user calls a tool."""
USES = 2
"""How many requests a token is good for."""
PATIENCE = 10.0
"""How many seconds one call may take."""

USER_HEADER = "X-Cpki-User-Id"
TOKEN_HEADER = "X-Cpki-User-Token"
NUMBER_HEADER = "X-Demo-Resolution"

UserHeaders: TypeAlias = Callable[[RequestContext], Mapping[str, str]]


class Era(Enum):
    """What the server speaks."""

    MODERN = "2026-07-28"
    HANDSHAKE = "2025-11-25"


@frozen
class Token:
    """What is known of a token that was issued.

    :ivar user: whose it is.
    :ivar generation: its place among this user's tokens, from 1.
    """

    user: str
    generation: int


@define(eq=False)
class Tokens:
    """Issues tokens to users, and knows whose a token is: a client's vault and a server's registry in one."""

    _issued: dict[str, Token] = field(factory=dict[str, Token], init=False, repr=False)
    _current: dict[str, str] = field(factory=dict[str, str], init=False, repr=False)
    _uses: dict[str, int] = field(factory=dict[str, int], init=False, repr=False)

    def use(self, user: str) -> str:
        """The token for the user's next request: the one before, or a new one if that is used up."""
        uses = self._uses.get(user, 0)
        if uses % USES == 0:
            value = self._current[user] = token_urlsafe(24)
            self._issued[value] = Token(user, uses // USES + 1)
        self._uses[user] = uses + 1
        return self._current[user]

    def look_up(self, value: str | None) -> Token | None:
        """The token with this value, or None if it was never issued."""
        return self._issued.get(value or "")

    @property
    def issued(self) -> tuple[Token, ...]:
        """Every token so far."""
        return tuple(self._issued.values())


def user_headers(tokens: Tokens) -> UserHeaders:
    """The resolver of the demonstration, as an application would write it: who is this request for?"""

    def resolve(ctx: RequestContext) -> dict[str, str]:
        user = ctx.principal or ""
        return {USER_HEADER: user, TOKEN_HEADER: tokens.use(user)}

    return resolve


@define(eq=False)
class Ledger:
    """Notes whose request each resolution was made for, and numbers it, whatever the resolver within answers."""

    _resolver: UserHeaders = field(repr=False)
    entries: list[RequestContext] = field(factory=list[RequestContext], init=False)

    def resolve(self, ctx: RequestContext) -> dict[str, str]:
        """The headers for one request."""
        self.entries.append(ctx)
        return {**self._resolver(ctx), NUMBER_HEADER: str(len(self.entries))}


@frozen
class Received:
    """What one user's call brought back.

    :ivar user: whose call it was.
    :ivar rpc: what was asked.
    :ivar names: everybody whom the answer names: whose tools it lists, or whom the server saw.
    """

    user: str
    rpc: str
    names: tuple[str, ...]


@frozen(kw_only=True)
class Evidence:
    """All that was noted in one scene.

    :ivar project: the application's own credential.
    :ivar tokens: whose token is whose.
    :ivar ledger: every resolver call, in order: number 1 is the first.
    :ivar exchanges: every request, as the client reports it.
    :ivar journal: every request, as the server received it.
    :ivar received: what the users got.
    :ivar failures: the calls that failed, in words.
    """

    era: Era
    project: str = field(repr=False)
    tokens: Tokens
    ledger: tuple[RequestContext, ...]
    exchanges: tuple[ExchangeSummary, ...]
    journal: tuple[ReceivedRequest, ...]
    received: tuple[Received, ...]
    failures: tuple[str, ...]


@define(eq=False)
class Meeting:
    """Lets nobody go on before everybody has come."""

    _present: int = field(default=0, init=False)
    _complete: anyio.Event = field(factory=anyio.Event, init=False, repr=False)

    async def join(self) -> None:
        """Wait until as many have come as there are users."""
        complete = self._complete
        self._present += 1
        if self._present == len(TOOLS):
            self._present, self._complete = 0, anyio.Event()
            complete.set()
        await complete.wait()


@define(eq=False)
class _User:
    """A user at work."""

    name: str
    client: BoundClient
    received: list[Received]
    failures: list[str]

    async def work(self, tasks: TaskGroup) -> None:
        """List the tools and call one of them; a failure is noted, and ends the scene."""
        try:
            tools = await self.client.list_tools()
            self._note("tools/list", *(str(tool.raw.get("owner")) for tool in tools))
            for number in range(1, ROUNDS + 1):
                result = await self.client.call_tool("inbox", {"round": number})
                self._note("tools/call inbox", *_names(result.structured_content))
        except McpError as error:
            self.failures.append(f"{self.name}: {error}")
            tasks.cancel_scope.cancel()

    def _note(self, rpc: str, *names: str) -> None:
        self.received.append(Received(self.name, rpc, names))


def _names(answer: Any) -> tuple[str, ...]:
    """Whom the server says that it saw."""
    return tuple(map(str, (as_object(answer) or {}).values()))


def make_server(era: Era, tokens: Tokens) -> Server:
    """A server whose tools are private: which there are, and what they answer, depends on who asks."""
    meeting = Meeting()

    async def use(arguments: dict[str, Any], request: ReceivedRequest) -> dict[str, str | None]:
        """Say whom the server sees in this very request."""
        await meeting.join()
        return {"header": request.headers.get(USER_HEADER), "token": _holder(tokens, request)}

    def offer(request: ReceivedRequest) -> list[Tool]:
        user = _holder(tokens, request)
        return [Tool(use, name, extra={"owner": user}) for name in TOOLS.get(user or "", ())]

    return Server(offer, revisions=[era.value])


def _holder(tokens: Tokens, request: ReceivedRequest) -> str | None:
    """Whose token a request carries."""
    token = tokens.look_up(request.headers.get(TOKEN_HEADER))
    return None if token is None else token.user


async def play(era: Era, make_resolver: Callable[[Tokens], UserHeaders] = user_headers) -> Evidence:
    """Run one scene on the event loop that this is awaited on.

    :param make_resolver: makes the resolver of the users' headers; a test gives a bad one.
    :returns: the evidence, also of a scene in which calls failed; next, :func:`~transports.demo.judge` it.
    """
    tokens = Tokens()
    ledger = Ledger(make_resolver(tokens))
    server = make_server(era, tokens)
    project = "cpk-" + token_urlsafe(12)
    exchanges: list[ExchangeSummary] = []
    received: list[Received] = []
    failures: list[str] = []
    async with serve(server) as served:
        shared = connect(
            served.url, auth_token=project, get_headers=ledger.resolve, timeout=PATIENCE, on_exchange=exchanges.append
        )
        async with shared as client, anyio.create_task_group() as tasks:
            for name in TOOLS:
                user = _User(name, client.bind(CallContext(principal=name)), received, failures)
                tasks.start_soon(user.work, tasks)
    return Evidence(
        era=era,
        project=project,
        tokens=tokens,
        ledger=tuple(ledger.entries),
        exchanges=tuple(exchanges),
        journal=tuple(server.journal),
        received=tuple(received),
        failures=tuple(failures),
    )
