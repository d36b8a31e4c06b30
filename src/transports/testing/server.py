"""A scripted MCP server with no HTTP library in it.

To test how your program authenticates, you need a server that tells you what it was sent, and that misbehaves
when you ask it to.  A :class:`Server` takes a request, writes it into its journal, and answers: as the
protocol says, or as a test told it to.  It opens nothing and starts nothing.
:func:`~transports.testing.serve` puts it behind a real socket;
:class:`~transports.engines.memory.MemoryEngine` calls it in the client's own task.

It reads and writes the protocol with code of its own, not with the client's, so that a mistake in one is not
hidden by the same mistake in the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
from attrs import define

from mcpcore.errors import RpcError

from . import handshake, http_sse, modern
from .answers import Answer, Message
from .conversation import Background
from .dispatch import Dispatcher
from .handshake import Handshake, HandshakeEra
from .http_sse import HttpSse
from .journal import Journal
from .modern import ModernEra
from .offering import Offering, ToolsGiven, offers_of_tools
from .offers import offers_of
from .prompts import Completions, Prompt, Prompts
from .refusals import Refusal, check_accept, check_content, error_response, error_status
from .requests import HeaderList, Headers, Match, ReceivedRequest, as_object, matches
from .resources import Resource, Resources
from .sessions import Sessions
from .subscriptions import Subscriptions
from .tasks import Tasks
from .tools import Tools

Forward: TypeAlias = Callable[[ReceivedRequest], Awaitable[Answer]]
Script: TypeAlias = Answer | Callable[[ReceivedRequest, Forward], Answer | Awaitable[Answer]]
"""What a scripted request gets: an answer, or a function of the request and of ``forward``, which asks the
server for its own answer."""


@define(eq=False)
class _Step:
    """One line of the script."""

    match: Match
    script: Script
    left: int | None

    def claim(self, request: ReceivedRequest) -> bool:
        """Whether this line is about ``request``; if so, one of its turns is used up."""
        if self.left == 0 or not matches(self.match, request):
            return False
        if self.left is not None:
            self.left -= 1
        return True

    async def answer(self, request: ReceivedRequest, forward: Forward) -> Answer:
        """What the script says."""
        if isinstance(self.script, Answer):
            return self.script
        answer = self.script(request, forward)
        return await answer if inspect.isawaitable(answer) else answer


class Server(Offering):
    """A scripted MCP server.

    :param tools: functions or :class:`Tool` objects, or a function of the request that returns them.
    :param resources: :class:`Resource` objects, or a function of the request that returns them.
    :param prompts: :class:`Prompt` objects, or a function of the request that returns them.
    :param revisions: the revisions that it speaks.  2026-07-28 is the modern era, 2025-03-26 to 2025-11-25
        the handshake era, both at ``path``; 2024-11-05 adds the legacy transport at ``sse_path``, which
        then speaks the handshake revisions of the list too, as servers do that have kept it.
    :param page_size: how many tools, resources or prompts a page of a list has; None puts all on one.
    :param stream_always: answer every request with an event stream, also where one JSON object would do.
    :param sessions: whether the handshake era assigns session ids.
    :param resumable: whether a client of the handshake era can take up an event stream where it broke off; every
        answer but that to ``initialize`` is then such a stream.
    :param retry: how long such a client is told to wait before it does, in milliseconds; None tells it nothing.
    :param ttl_ms: the modern era's hint for how long a list stays fresh, in milliseconds.
    :param cache_scope: the modern era's hint for who may share a list: ``private`` or ``public``.
    :param poll_interval_ms: how long to wait before asking after a task again, as clients are told.
    :param instructions: what the server says about its use; None for nothing.
    :param clock: the time, in seconds, for the journal; the event loop's, if left out.
    :raises ValueError: if there is no such revision.
    :ivar journal: every request received.
    """

    path = "/mcp"
    sse_path = "/sse"
    messages_path = "/messages"

    def __init__(
        self,
        tools: ToolsGiven = (),
        *,
        resources: Iterable[Resource] | Callable[[ReceivedRequest], Iterable[Resource]] = (),
        prompts: Iterable[Prompt] | Callable[[ReceivedRequest], Iterable[Prompt]] = (),
        revisions: Iterable[str] = (*modern.REVISIONS, *handshake.REVISIONS),
        page_size: int | None = None,
        stream_always: bool = False,
        sessions: bool = True,
        resumable: bool = False,
        retry: int | None = None,
        ttl_ms: int = 0,
        cache_scope: str = "private",
        poll_interval_ms: int = 10,
        instructions: str | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self.journal: Journal = Journal()
        self._clock = clock
        self._steps: list[_Step] = []
        super().__init__(
            Dispatcher(
                tools=Tools(offers_of_tools(tools), page_size),
                resources=Resources(offers_of(resources), page_size),
                prompts=Prompts(offers_of(prompts), page_size),
                completions=Completions(),
                server_info={"name": "transports.testing", "version": "1"},
                instructions=instructions,
                stream_always=stream_always,
            )
        )
        spoken = frozenset(revisions)
        if unknown := spoken.difference(modern.REVISIONS, handshake.REVISIONS, http_sse.REVISIONS):
            raise ValueError(f"these are no revisions that this server speaks: {', '.join(sorted(unknown))}")
        self._modern = self._handshake = self._http_sse = None
        if spoken.intersection(modern.REVISIONS):
            supported = tuple(r for r in (*modern.REVISIONS, *handshake.REVISIONS) if r in spoken)
            subscriptions = Subscriptions()
            tasks = Tasks(clock, poll_interval_ms, subscriptions.notify)
            self._modern = ModernEra(self._dispatcher, supported, ttl_ms, cache_scope, subscriptions, tasks)
        if spoken.intersection(handshake.REVISIONS):
            supported = tuple(r for r in handshake.REVISIONS if r in spoken)
            self._handshake = HandshakeEra(Handshake(self._dispatcher, supported), sessions, resumable, retry)
        if spoken.intersection(http_sse.REVISIONS):
            supported = tuple(r for r in (*handshake.REVISIONS, *http_sse.REVISIONS) if r in spoken)
            self._http_sse = HttpSse(Handshake(self._dispatcher, supported), self.messages_path)

    # What it is told to do

    def script(self, match: Match, script: Script, *, times: int | None = 1) -> None:
        """Let the next request that ``match`` means get something else than the server's own answer.

        :param match: which requests are meant, see :data:`Match`.
        :param script: an :class:`Answer`, or a function ``(request, forward)`` that returns one.  ``await
            forward(request)`` is what would have come without this line: later lines of the script, then the
            server itself.  Raise :class:`Disconnect` to cut the connection instead.
        :param times: how often; None means from now on.
        """
        self._steps.append(_Step(match, script, times))

    def cut_after(
        self, events: int, match: Match = "tools/call", *, times: int | None = 1, politely: bool = False
    ) -> None:
        """Send only the first ``events`` events of the next answer that ``match`` means, then cut the connection.

        An event that only has an id counts too.

        :param politely: end the response properly instead, as a server may that wants to be polled.
        """

        async def cut(request: ReceivedRequest, forward: Forward) -> Answer:
            return (await forward(request)).cut_after(events, politely=politely)

        self.script(match, cut, times=times)

    def assert_script_played(self) -> None:
        """Every line of the script that was to happen a number of times has done so."""
        waiting = [step for step in self._steps if step.left]
        if waiting:
            first = waiting[0].match
            raise AssertionError(f"{len(waiting)} lines of the script were not played, the first for {first!r}")

    def expire_sessions(self) -> None:
        """Forget every session: streams end, and requests that name one are answered 404."""
        for sessions in self._all_sessions():
            sessions.expire()

    def broadcast(self, message: Message) -> None:
        """Send a JSON-RPC message on every open listening stream, and on those that will yet be opened for a
        session."""
        for sessions in self._all_sessions():
            sessions.broadcast(message)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None, *, to: Match = None) -> None:
        """Send a notification to whoever listens.

        In the modern era that is every ``subscriptions/listen`` stream that asked for such; in a session of the
        handshake era, and over HTTP with SSE, the listening stream or the next to be opened.  Of a resource that
        changed only those hear who subscribed to it.  The readers get a turn before this returns.

        :param to: the request that opened the stream or session is one of these, see :data:`Match`.
        """
        for sessions in self._all_sessions():
            sessions.notify(method, params, to)
        if self._modern is not None:
            self._modern.subscriptions.notify(method, params or {}, to)
        await anyio.lowlevel.checkpoint()

    def end_subscriptions(self, *, cut: bool = False) -> None:
        """End every ``subscriptions/listen`` stream with its result or, if ``cut``, by cutting the connection."""
        if self._modern is not None:
            self._modern.subscriptions.end(self._modern.finish, cut=cut)

    def hang_up(self, *, cut: bool = False) -> None:
        """End the listening streams of all sessions, properly or by cutting the connection.  In the handshake era the
        sessions stay; over HTTP with SSE a session ends with its stream."""
        for sessions in self._all_sessions():
            sessions.hang_up(cut=cut)

    def _all_sessions(self) -> Iterator[Sessions]:
        return (era.sessions for era in (self._handshake, self._http_sse) if era is not None)

    # What it does

    def receive(
        self, method: str, target: str, headers: HeaderList, body: bytes, connection: int | None = None
    ) -> ReceivedRequest:
        """Take a request and write it into the journal.  Next, :meth:`answer` it."""
        request = ReceivedRequest(
            number=len(self.journal) + 1,
            method=method,
            target=target,
            headers=Headers(headers),
            body=body,
            time=self._clock(),
            connection=connection,
            changed=self.journal.changed,
        )
        self.journal.record(request)
        return request

    async def answer(self, request: ReceivedRequest, background: Background | None = None) -> Answer:
        """Decide what ``request`` gets.  Next, send the answer and note on the request how that ended.

        :param background: starts a task for work that outlives its request, which only the legacy transport
            has; None makes that request wait for its work.
        :raises Disconnect: if the connection is to be cut instead.
        """
        answer = await self._play(iter(tuple(self._steps)), background, request)
        request.begin_answer(answer.status)
        return answer

    async def _play(self, steps: Iterator[_Step], background: Background | None, request: ReceivedRequest) -> Answer:
        """The answer of the first of ``steps`` that is about ``request``, else the server's own."""
        for step in steps:
            if step.claim(request):
                return await step.answer(request, partial(self._play, steps, background))
        try:
            return await self._route(request, background)
        except Refusal as refusal:
            return refusal.answer(request)
        except RpcError as error:
            message = error_response(request.rpc_id, error.code, error.message, error.data)
            return Answer.json(message, error_status(error.code))

    async def _route(self, request: ReceivedRequest, background: Background | None) -> Answer:
        if self._http_sse and request.path == self.sse_path:
            return self._http_sse.listen(request)
        if self._http_sse and request.path == self.messages_path:
            check_content(request)
            return await self._http_sse.receive(request, background)
        if request.path != self.path or not (self._modern or self._handshake):
            return Answer(404)
        if request.method == "POST":
            check_content(request)
            check_accept(request, "application/json", "text/event-stream")
            if self._modern and (not self._handshake or _is_modern(request)):
                return await self._modern.answer(request, background)
        if self._handshake and request.method in ("POST", "GET", "DELETE"):
            return await self._handshake.answer(request, background)
        return Answer(405, {"allow": "POST"})


def _is_modern(request: ReceivedRequest) -> bool:
    """Whether a request to a server of both eras is of the modern one: it says so, in its body or in its
    headers."""
    declared = modern.VERSION in as_object(request.params.get("_meta"))
    return declared or request.headers.get("mcp-protocol-version") in modern.REVISIONS
