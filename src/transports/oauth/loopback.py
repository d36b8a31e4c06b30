"""Receives, on this machine, the redirects that end logins (RFC 8252, section 7.3).

One address serves all logins that wait, however many wait at once: they are told apart by ``state``.  It is listened at
for as long as any of them waits, and no longer.

There is no task that could serve it for all, since each login lasts as long as its own call, and whatever it started
ends with it.  So the logins take turns: one of them accepts connections and reads what comes over them, for itself and
for the others.  When it ends, the next one goes on accepting, and the connections that have not been read to the end
move over to another login that waits.  No redirect is lost because somebody else's login ended at that moment.

Any program on this machine can connect, and any page in the browser can send requests here.  So a request must name
this address as its host (a page of another site that made its name point here does not), be a GET of the one path,
and carry the state of a login that waits; each state is answered once.  All else gets a page that says what was wrong,
and changes nothing.
"""

from __future__ import annotations

import errno
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, cast, final
from urllib.parse import parse_qsl

import anyio
import h11
from anyio.abc import SocketAttribute, SocketListener
from attrs import define, field

from mcpcore import LocalProtocolError, OAuthError

from .pages import FAILED, MALFORMED, MISDIRECTED, NOT_ALLOWED, NOT_FOUND, RECEIVED, TOO_LARGE, UNKNOWN, Page

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import SocketStream, TaskGroup

ADDRESSES: dict[str, tuple[str, ...]] = {
    "127.0.0.1": ("127.0.0.1",),
    "::1": ("::1",),
    "localhost": ("127.0.0.1", "::1"),
}
"""The hosts that a redirect URI may name, and where each is listened at; a name service is not asked."""

_HEAD_BYTES = 64 * 1024
"""The longest head of a request: a browser sends the cookies of all that runs on this machine along."""

_CONNECTION = 10.0
"""How long a connection may take, in seconds: browsers open some that they may never use."""

_CONNECTIONS = 64
"""How many connections there may be at once."""

_SHIELDED = 1.0
"""How long what must not be torn in two may take, in seconds: it waits for this machine alone."""

_FIELDS = 64
"""How many fields the query of a redirect may have."""


_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
"""A browser that has left."""


@define(eq=False, repr=False)
class _Login:
    """Somebody who waits for a redirect."""

    tasks: TaskGroup = field(factory=anyio.create_task_group)
    waiting: anyio.CancelScope = field(factory=anyio.CancelScope)
    url: str = field(default="", init=False)
    failure: Exception | None = field(default=None, init=False)

    def answer(self, url: str) -> None:
        self.url = url
        self.waiting.cancel()

    def fail(self, failure: Exception) -> None:
        self.failure = failure
        self.waiting.cancel()


@define(eq=False)
class _Door:
    """A socket that is listened at, and whose turn it is to accept from it."""

    listener: SocketListener
    turn: anyio.Lock = field(factory=anyio.Lock)


@define(eq=False, repr=False)
class _Visit:
    """One connection, which is for one request."""

    stream: SocketStream
    deadline: float
    request: h11.Request | None = field(default=None, init=False)
    _http: h11.Connection = field(factory=partial(h11.Connection, h11.SERVER, _HEAD_BYTES))

    async def read(self) -> h11.Request:
        """The head of the request.  If this is cancelled, call it again: nothing is lost."""
        while not isinstance(event := self._http.next_event(), h11.Request):
            self._http.receive_data(await self.stream.receive())
        self.request = event
        return event

    async def send(self, page: Page) -> None:
        """Answer, in one piece, even if the login ends meanwhile."""
        content = page.content()
        headers = [*page.headers, (b"Content-Length", str(len(content)).encode())]
        is_head = self.request is not None and self.request.method == b"HEAD"
        events = [h11.Response(status_code=page.status, headers=headers), h11.Data(data=b"" if is_head else content)]
        with anyio.move_on_after(_SHIELDED, shield=True):
            await self.stream.send(b"".join(self._http.send(event) or b"" for event in events))

    async def end(self) -> None:
        """Wait until the browser closes, too: a system that still receives something takes back what it has sent."""
        await self.stream.send_eof()
        while True:
            await self.stream.receive()


@final
@define(eq=False, repr=False)
class RedirectReceiver:
    """Receives the redirects to ``http://host:port/path``, on one event loop.

    :param host: one of :data:`ADDRESSES`.
    """

    host: str
    port: int
    path: str
    _logins: dict[str, _Login] = field(factory=dict[str, _Login], init=False)
    _doors: list[_Door] = field(factory=list[_Door], init=False)
    _users: int = field(default=0, init=False)
    _visits: int = field(default=0, init=False)
    _opening: anyio.Lock = field(factory=anyio.Lock, init=False)

    @property
    def origin(self) -> str:
        """The scheme, the host and the port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def receive(self, state: str, meanwhile: Callable[[], Awaitable[None]]) -> str:
        """Do ``meanwhile`` once the redirect with this ``state`` can be received; return its URL when it is there.

        :raises mcpcore.OAuthError: if the address cannot be listened at.
        :raises mcpcore.LocalProtocolError: if a login with this state waits already; and whatever ``meanwhile`` raises.
        """
        login = _Login()
        async with self._open(), login.tasks:
            for door in self._doors:
                login.tasks.start_soon(self._accept, door, login)
            await self._wait(state, login, meanwhile)
            login.tasks.cancel_scope.cancel()
        if login.failure is not None and not login.url:
            raise login.failure
        return login.url

    async def _wait(self, state: str, login: _Login, meanwhile: Callable[[], Awaitable[None]]) -> None:
        try:
            if self._logins.setdefault(state, login) is not login:
                raise LocalProtocolError("a login with this state is waiting already; each needs a state of its own")
            with login.waiting:
                await meanwhile()
                await anyio.sleep_forever()
        except Exception as failure:
            # Kept, because the task group would put it into a group of its own.
            login.failure = failure
        finally:
            if self._logins.get(state) is login:
                del self._logins[state]

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[None, None]:
        """Listen for as long as anybody is in here."""
        self._users += 1
        try:
            async with self._opening:
                self._doors = self._doors or await self._listen()
            yield
        finally:
            self._users -= 1
            with anyio.CancelScope(shield=True):
                async with self._opening:
                    while self._doors and not self._users:
                        await self._doors.pop().listener.aclose()

    async def _listen(self) -> list[_Door]:
        doors: list[_Door] = []
        async with AsyncExitStack() as stack:
            for address in ADDRESSES[self.host]:
                try:
                    listeners = await anyio.create_tcp_listener(local_host=address, local_port=self.port)
                except OSError as error:
                    if doors and error.errno != errno.EADDRINUSE:
                        continue  # There is no IPv6 here.
                    raise self._failure(error) from error
                await stack.enter_async_context(listeners)
                doors += [_Door(cast("SocketListener", listener)) for listener in listeners.listeners]
            stack.pop_all()
        return doors

    def _failure(self, error: Exception) -> OAuthError:
        return OAuthError(
            f"the answer to a login cannot be received at {self.origin}: {error}. End the program that uses this port, "
            "which may be another login, or choose another port and register its redirect URI"
        )

    async def _accept(self, door: _Door, login: _Login) -> None:
        """Accept connections until the login ends."""
        try:
            async with door.turn:
                while True:
                    # Only the waiting is cancelled: a connection that the system has handed out is kept.
                    await anyio.wait_readable(door.listener.extra(SocketAttribute.raw_socket))
                    with anyio.move_on_after(_SHIELDED, shield=True):
                        self._welcome(await door.listener.accept(), login)
        except (OSError, anyio.BrokenResourceError) as error:
            login.fail(self._failure(error))

    def _welcome(self, stream: SocketStream, login: _Login) -> None:
        patience = _CONNECTION if self._visits < _CONNECTIONS else 0
        self._visits += 1
        login.tasks.start_soon(self._attend, _Visit(stream, anyio.current_time() + patience))

    async def _attend(self, visit: _Visit) -> None:
        """Serve a connection to its end; or until the login by whose task this is done ends, if another one waits."""
        is_passed_on = False
        try:
            with anyio.CancelScope(deadline=visit.deadline), suppress(*_GONE):
                await self._converse(visit)
        except anyio.get_cancelled_exc_class():
            is_passed_on = visit.request is None and self._pass_on(visit)
            raise
        finally:
            if not is_passed_on:
                self._visits -= 1
                await anyio.aclose_forcefully(visit.stream)

    def _pass_on(self, visit: _Visit) -> bool:
        heir = next(iter(self._logins.values()), None)
        if heir is not None:
            heir.tasks.start_soon(self._attend, visit)
        return heir is not None

    async def _converse(self, visit: _Visit) -> None:
        login, url = None, ""
        try:
            request = await visit.read()
        except h11.RemoteProtocolError as error:
            page = TOO_LARGE if error.error_status_hint == TOO_LARGE.status else MALFORMED
        else:
            page, login = self._judge(request)
            url = self.origin + request.target.decode("ascii")
        try:
            await visit.send(page)
        finally:
            if login is not None:
                login.answer(url)
        await visit.end()

    def _judge(self, request: h11.Request) -> tuple[Page, _Login | None]:
        """What to say to a request, and the login that it answers, which from now on waits for nothing else."""
        path, _, query = request.target.decode("ascii").partition("?")
        if not self._is_for_us(dict(request.headers).get(b"host", b"")):
            return MISDIRECTED, None
        if request.method != b"GET":
            return NOT_ALLOWED, None
        if path != self.path:
            return NOT_FOUND, None
        try:
            parameters = parse_qsl(query, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError:
            return MALFORMED, None
        states = [value for name, value in parameters if name == "state"]
        login = self._logins.pop(states[0], None) if len(states) == 1 else None
        if login is None:
            return UNKNOWN, None
        return (FAILED if "error" in dict(parameters) else RECEIVED), login

    def _is_for_us(self, host: bytes) -> bool:
        """Whether ``Host`` names this address; what a page of another site sends names that site."""
        named = f"http://{host.decode('latin-1').lower()}"
        return named == self.origin or f"{named}:80" == self.origin
