"""Logging in with a browser: what comes back to the loopback interface, and what must not be taken for it.

The tests are the browser, over real sockets; the one that would open is a function.
"""

from __future__ import annotations

import errno
import math
import re
import socket
import subprocess
import sys
import threading
import webbrowser
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import pytest
from anyio.abc import SocketListener, SocketStream, TaskGroup
from attrs import define, field
from trio.testing import MockClock

from mcpcore import AuthorizationRequest, ConfigurationError, LocalProtocolError, OAuthError
from transports.oauth import BrowserLogin

on_both = pytest.mark.anyio

PAGE = "https://as.example/authorize?client_id=c&state="


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@define(eq=False)
class Screen:
    """Where a browser is opened: it says what was opened, in its order."""

    is_there: bool = True
    _urls: Any = field(factory=lambda: anyio.create_memory_object_stream[str](math.inf), init=False)

    def __call__(self, url: str) -> bool:
        anyio.from_thread.run_sync(self._urls[0].send_nowait, url)
        return self.is_there

    async def opened(self) -> str:
        url: str = await self._urls[1].receive()
        return url

    def close(self) -> None:
        for end in self._urls:
            end.close()


@define(eq=False)
class Outcome:
    """What becomes of a login."""

    scope: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)
    is_over: anyio.Event = field(factory=anyio.Event, init=False)
    url: str | None = None
    error: Exception | None = None

    async def wait(self) -> str | None:
        await self.is_over.wait()
        if self.error is not None:
            raise self.error
        return self.url


def asked(login: BrowserLogin, state: str, **changed: str) -> AuthorizationRequest:
    asked = {
        "url": PAGE + state,
        "redirect_uri": login.redirect_uri,
        "issuer": "https://as.example",
        "resource": "https://mcp.example/mcp",
    }
    return AuthorizationRequest(state=state, **(asked | changed))


@define(eq=False)
class House:
    """A machine at which people log in."""

    login: BrowserLogin
    screen: Screen
    tasks: TaskGroup

    async def start(self, state: str) -> Outcome:
        """Begin a login, and wait until its page is open."""
        outcome = self.begin(state)
        assert await self.screen.opened() == PAGE + state
        return outcome

    def begin(self, state: str) -> Outcome:
        outcome = Outcome()
        self.tasks.start_soon(self._log_in, state, outcome)
        return outcome

    async def _log_in(self, state: str, outcome: Outcome) -> None:
        try:
            with outcome.scope:
                outcome.url = await self.login(asked(self.login, state))
        except Exception as error:
            outcome.error = error
        finally:
            outcome.is_over.set()

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.login.port)

    async def ask(self, request: bytes) -> str:
        """Send a request; return the answer."""
        async with await self.connect() as browser:
            await browser.send(request)
            return await rest(browser)

    async def get(self, target: str, host: str | None = None) -> str:
        host = host or f"127.0.0.1:{self.login.port}"
        return await self.ask(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    async def assert_closed(self) -> None:
        with pytest.raises(OSError, match="connection attempts failed"):
            await self.connect()


async def rest(browser: SocketStream) -> str:
    """What is still to come over a connection, until it is closed."""
    received = b""
    try:
        while True:
            received += await browser.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received.decode()


@asynccontextmanager
async def house(**settings: Any) -> AsyncGenerator[House, None]:
    screen = Screen()
    login = BrowserLogin(**({"port": free_port(), "open_browser": screen} | settings))
    async with anyio.create_task_group() as tasks:
        yield House(login, screen, tasks)
        tasks.cancel_scope.cancel()
    screen.close()


def status_of(answer: str) -> int:
    return int(answer.split()[1])


@on_both
async def test_the_url_that_the_browser_comes_back_to_is_returned_whole() -> None:
    async with house() as home:
        login = await home.start("s-1")
        page = await home.get("/callback?code=c%2Fode-1&state=s-1&iss=https%3A%2F%2Fas.example")
        assert await login.wait() == home.login.redirect_uri + "?code=c%2Fode-1&state=s-1&iss=https%3A%2F%2Fas.example"
        head, _, body = page.partition("\r\n\r\n")
        assert status_of(page) == 200
        assert "The answer was received" in body
        assert "close this window" in body
        for field_line in (
            "cache-control: no-store",
            "content-security-policy: default-src 'none';",
            "referrer-policy: no-referrer",
            "connection: close",
            f"content-length: {len(body)}",
        ):
            assert field_line in head.lower()
        assert not re.search("ode-1|s-1|as.example", page)
        await home.assert_closed()


@on_both
@pytest.mark.parametrize(
    "answer",
    [
        "error=access_denied&iss=https%3A%2F%2Fas.example",
        "error=quoted-1&error_description=quoted-2&error_uri=https%3A%2F%2Fquoted-3.example",
        "error=e&error_description=%3Cb%3Equoted-4",
        "error=",
        "code=c&error=quoted-5",
    ],
)
async def test_no_page_says_what_the_authorization_server_says(answer: str) -> None:
    async with house() as home:
        login = await home.start("s")
        page = await home.get(f"/callback?{answer}&state=s")
        assert await login.wait() == f"{home.login.redirect_uri}?{answer}&state=s"
        assert (status_of(page), "<h1>The login did not succeed</h1>" in page) == (200, True)
        assert "The program says why." in page
        assert not re.search("quoted|access_denied|as.example", page)


HOST = "Host: 127.0.0.1:{port}\r\n"
ANSWER = "/callback?code=c&state=s"
HOSTILE = {
    "another host": ("GET {answer} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n", 421),
    "another port": ("GET {answer} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", 421),
    "no port": ("GET {answer} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 421),
    "another name of this host": ("GET {answer} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n", 421),
    "userinfo before the host": ("GET {answer} HTTP/1.1\r\nHost: x@127.0.0.1:{port}\r\n\r\n", 421),
    "a host that is not ASCII": ("GET {answer} HTTP/1.1\r\nHost: \xb9127.0.0.1:{port}\r\n\r\n", 421),
    "no host, as in the old days": ("GET {answer} HTTP/1.0\r\n\r\n", 421),
    "no host": ("GET {answer} HTTP/1.1\r\n\r\n", 400),
    "two hosts": ("GET {answer} HTTP/1.1\r\n{host}{host}\r\n", 400),
    "POST": ("POST {answer} HTTP/1.1\r\n{host}Content-Length: 2\r\n\r\n{{}}", 405),
    "HEAD": ("HEAD {answer} HTTP/1.1\r\n{host}\r\n", 405),
    "OPTIONS": ("OPTIONS * HTTP/1.1\r\n{host}\r\n", 405),
    "a picture": ("GET /favicon.ico HTTP/1.1\r\n{host}\r\n", 404),
    "a path below": ("GET /callback/x?code=c&state=s HTTP/1.1\r\n{host}\r\n", 404),
    "a path that looks alike": ("GET /%63allback?code=c&state=s HTTP/1.1\r\n{host}\r\n", 404),
    "another site, as a proxy": ("GET http://evil.example{answer} HTTP/1.1\r\n{host}\r\n", 404),
    "no state": ("GET /callback?code=c HTTP/1.1\r\n{host}\r\n", 400),
    "no query": ("GET /callback HTTP/1.1\r\n{host}\r\n", 400),
    "an unknown state": ("GET /callback?code=c&state=S HTTP/1.1\r\n{host}\r\n", 400),
    "two states": ("GET {answer}&state=s HTTP/1.1\r\n{host}\r\n", 400),
    "many fields": ("GET {answer}{fields} HTTP/1.1\r\n{host}\r\n", 400),
    "a head without end": ("GET {answer} HTTP/1.1\r\n{host}X: {long}", 431),
    "a target without end": ("GET {answer}{long}", 431),
    "another protocol": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "an error of no login": ("GET /callback?error=%3Cb%3Eevil HTTP/1.1\r\n{host}\r\n", 400),
}


@on_both
@pytest.mark.parametrize(("request_text", "status"), HOSTILE.values(), ids=HOSTILE)
async def test_what_is_no_answer_to_a_login_changes_nothing(request_text: str, status: int) -> None:
    async with house() as home:
        login = await home.start("s")
        values = {"answer": ANSWER, "port": str(home.login.port), "fields": "&a=b" * 100, "long": "x" * 200_000}
        host = HOST.format_map(values)
        page = await home.ask(request_text.format_map(values | {"host": host}).encode("latin-1"))
        assert status_of(page) == status
        assert "evil" not in page
        assert ("\r\nallow: get\r\n" in page.lower()) == (status == 405)
        assert page.endswith("\r\n\r\n") == request_text.startswith("HEAD")
        assert not login.is_over.is_set()
        await home.get(ANSWER)
        assert await login.wait() == home.login.redirect_uri + "?code=c&state=s"


@on_both
async def test_a_state_is_answered_once() -> None:
    async with house() as home:
        await home.start("other")
        login = await home.start("s")
        assert status_of(await home.get("/callback?code=first&state=s")) == 200
        again = await home.get("/callback?code=second&state=s")
        assert (status_of(again), "No such login is waiting" in again) == (400, True)
        assert await login.wait() == home.login.redirect_uri + "?code=first&state=s"


@on_both
async def test_a_state_is_answered_once_even_at_the_same_moment() -> None:
    async with house() as home:
        await home.start("other")
        login = await home.start("s")
        with socket.socket() as first, socket.socket() as second:
            for browser, code in ((first, "1"), (second, "2")):
                browser.connect(("127.0.0.1", home.login.port))
                browser.send(
                    f"GET /callback?code={code}&state=s HTTP/1.1\r\nHost: 127.0.0.1:{home.login.port}\r".encode()
                )
            # Both are being read once one that came after them has been.
            assert status_of(await home.get("/")) == 404
            for browser in (first, second):
                browser.send(b"\n\r\n")
            url = await login.wait()
            pages = [await anyio.to_thread.run_sync(browser.recv, 100) for browser in (first, second)]
        statuses = [status_of(page.decode()) for page in pages]
        assert sorted(statuses) == [200, 400]
        assert url == f"{home.login.redirect_uri}?code={1 + statuses.index(200)}&state=s"


@on_both
async def test_a_browser_that_goes_on_sending_still_gets_the_page() -> None:
    async with house() as home:
        login = await home.start("s")
        async with await home.connect() as browser:
            head = f"POST {ANSWER} HTTP/1.1\r\nHost: 127.0.0.1:{home.login.port}\r\nContent-Length: 2000000\r\n\r\n"
            await browser.send(head.encode())
            assert status_of(await rest(browser)) == 405
            for _ in range(20):
                await browser.send(b"x" * 100_000)
        assert not login.is_over.is_set()


@on_both
async def test_several_people_log_in_at_once() -> None:
    async with house() as home:
        logins = {state: await home.start(state) for state in ("ann", "ben", "cem", "dan")}
        for state in ("cem", "ann", "dan", "ben"):
            assert status_of(await home.get(f"/callback?code={state}&state={state}")) == 200
            assert await logins[state].wait() == f"{home.login.redirect_uri}?code={state}&state={state}"
        await home.assert_closed()


@on_both
async def test_of_many_that_come_back_at_the_same_moment_none_is_lost() -> None:
    async with house() as home:
        logins = [(await home.start(f"s{number}"), f"?code=c&state=s{number}") for number in range(30)]
        statuses: list[int] = []

        async def come_back(query: str) -> None:
            statuses.append(status_of(await home.get("/callback" + query)))

        async with anyio.create_task_group() as browsers:
            for _, query in logins:
                browsers.start_soon(come_back, query)
        assert statuses == [200] * 30
        assert [await login.wait() for login, _ in logins] == [home.login.redirect_uri + query for _, query in logins]
        await home.assert_closed()


@on_both
async def test_a_login_that_ends_passes_on_the_connections_of_the_others() -> None:
    async with house() as home:
        ann, ben = await home.start("ann"), await home.start("ben")
        async with await home.connect() as browser:
            # Accepted before the next connection is, by the task of the login that began first.
            await browser.send(
                f"GET /callback?code=b&state=ben HTTP/1.1\r\nHost: 127.0.0.1:{home.login.port}\r".encode()
            )
            await home.get("/callback?code=a&state=ann")
            await ann.wait()
            await browser.send(b"\n\r\n")
            assert status_of(await rest(browser)) == 200
        assert await ben.wait() == home.login.redirect_uri + "?code=b&state=ben"


@on_both
async def test_a_login_that_is_cancelled_leaves_nothing() -> None:
    async with house() as home:
        ann, ben = await home.start("ann"), await home.start("ben")
        ann.scope.cancel()
        assert await ann.wait() is None
        assert status_of(await home.get("/callback?code=a&state=ann")) == 400
        async with await home.connect() as idle, await home.connect() as busy:
            await busy.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await busy.receive()).startswith(b"HTTP/1.1 421")
            ben.scope.cancel()
            await ben.wait()
            assert await rest(idle) == ""
            await rest(busy)
        await home.assert_closed()
        # The same handler serves again.
        again = await home.start("ann")
        await home.get("/callback?code=a&state=ann")
        assert await again.wait() == home.login.redirect_uri + "?code=a&state=ann"


@on_both
async def test_all_logins_are_cancelled_together() -> None:
    async with house() as home:
        logins = [await home.start(state) for state in ("ann", "ben", "cem")]
        async with await home.connect() as idle, await home.connect() as half:
            await half.send(b"GET / HTTP/1.1\r\n")
            assert status_of(await home.get("/")) == 404
            for login in logins:
                login.scope.cancel()
            for login in logins:
                assert await login.wait() is None
            assert (await rest(idle), await rest(half)) == ("", "")
        await home.assert_closed()


@on_both
async def test_logins_that_begin_and_are_cancelled_while_the_port_is_opened_and_closed() -> None:
    async with house() as home:
        for _ in range(5):
            first, second = home.begin("first"), home.begin("second")
            await anyio.lowlevel.checkpoint()
            first.scope.cancel()
            await first.wait()
            assert await home.screen.opened() in (PAGE + "first", PAGE + "second")
            third = home.begin("third")
            second.scope.cancel()
            await second.wait()
            while await home.screen.opened() != PAGE + "third":
                pass
            await home.get("/callback?code=c&state=third")
            assert await third.wait() == home.login.redirect_uri + "?code=c&state=third"
            await home.assert_closed()


@on_both
async def test_a_port_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    async with house() as home:
        with socket.socket() as other:
            other.bind(("127.0.0.1", home.login.port))
            other.listen()
            with pytest.raises(OAuthError, match=rf"http://127.0.0.1:{home.login.port}: .*choose another port"):
                await home.begin("s").wait()
        login = await home.start("s")
        await home.get(ANSWER)
        await login.wait()


@on_both
async def test_a_state_that_waits_already_is_refused() -> None:
    async with house() as home:
        login = await home.start("s")
        with pytest.raises(LocalProtocolError, match="state of its own"):
            await home.begin("s").wait()
        await home.get(ANSWER)
        assert await login.wait() == home.login.redirect_uri + "?code=c&state=s"


def listening_at(addresses: list[str], failures: dict[str, int]) -> Callable[..., Any]:
    """Notes where is listened, and fails where it is told to."""
    listen = anyio.create_tcp_listener

    async def create_tcp_listener(*, local_host: str, local_port: int) -> Any:
        addresses.append(local_host)
        if local_host in failures:
            raise OSError(failures[local_host], "as the test wants it")
        return await listen(local_host="127.0.0.1", local_port=local_port if local_host == "127.0.0.1" else 0)

    return create_tcp_listener


@on_both
@pytest.mark.parametrize(
    ("host", "failures", "addresses"),
    [
        ("127.0.0.1", {}, ["127.0.0.1"]),
        ("::1", {}, ["::1"]),
        ("localhost", {}, ["127.0.0.1", "::1"]),
        ("localhost", {"::1": errno.EADDRNOTAVAIL}, ["127.0.0.1", "::1"]),
        ("localhost", {"::1": errno.EADDRINUSE}, None),
        ("localhost", {"127.0.0.1": errno.EACCES}, None),
    ],
)
async def test_only_the_loopback_interface_is_listened_at(
    host: str, failures: dict[str, int], addresses: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(anyio, "create_tcp_listener", listening_at(seen, failures))
    async with house(host=host) as home:
        login = home.begin("s")
        if addresses is None:
            with pytest.raises(OAuthError, match="as the test wants it"):
                await login.wait()
        else:
            await home.screen.opened()
            assert seen == addresses
            login.scope.cancel()
            await login.wait()
        await home.assert_closed()


@on_both
@pytest.mark.parametrize(
    ("host", "named", "status"), [("localhost", "LocalHost:{}", 400), ("localhost", "127.0.0.1:{}", 421)]
)
async def test_the_host_of_the_redirect_uri_is_the_one_to_be_named(host: str, named: str, status: int) -> None:
    async with house(host=host) as home:
        await home.start("s")
        assert status_of(await home.get("/callback", named.format(home.login.port))) == status


@on_both
async def test_the_port_that_browsers_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = anyio.create_tcp_listener
    port = free_port()

    async def elsewhere(*, local_host: str, local_port: int) -> Any:
        assert local_port == 80
        return await listen(local_host=local_host, local_port=port)

    monkeypatch.setattr(anyio, "create_tcp_listener", elsewhere)
    async with house(port=80) as home:
        login = await home.start("s")
        async with await anyio.connect_tcp("127.0.0.1", port) as browser:
            await browser.send(f"GET {ANSWER} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert status_of(await rest(browser)) == 200
        assert await login.wait() == "http://127.0.0.1:80/callback?code=c&state=s"


@on_both
async def test_a_system_that_gives_no_connection_any_more_ends_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as home:
        login = await home.start("s")
        accepted = iter([OSError(errno.EMFILE, "Too many open files")])

        async def accept(listener: object) -> SocketStream:
            raise next(accepted)

        for listeners in all_subclasses(SocketListener):
            monkeypatch.setattr(listeners, "accept", accept)
        async with await home.connect():
            with pytest.raises(OAuthError, match="Too many open files"):
                await login.wait()
        await home.assert_closed()


def all_subclasses(kind: type) -> list[type]:
    return [found for one in kind.__subclasses__() for found in (one, *all_subclasses(one))]


@on_both
async def test_where_no_browser_can_be_opened_the_person_is_told_the_url() -> None:
    shown: list[str] = []
    is_shown = anyio.Event()

    def show(url: str) -> None:
        shown.append(url)
        is_shown.set()

    async with house(show=show) as home:
        home.screen.is_there = False
        login = await home.start("s")
        await is_shown.wait()
        await home.get(ANSWER)
        await login.wait()
    assert shown == [PAGE + "s"]


@on_both
async def test_by_default_it_is_the_browser_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(webbrowser, "open", screen)
    async with anyio.create_task_group() as tasks:
        home = House(BrowserLogin(port=free_port()), screen, tasks)
        login = await home.start("s")
        await home.get(ANSWER)
        await login.wait()
    screen.close()


def test_by_default_the_person_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    BrowserLogin().show(PAGE + "s")
    said = capsys.readouterr()
    assert (said.out, f"\n{PAGE}s\n" in said.err) == ("", True)


@on_both
async def test_a_browser_that_runs_until_it_is_closed_is_not_waited_for() -> None:
    is_closed = threading.Event()
    screen = Screen()

    def open_in_terminal(url: str) -> bool:
        screen(url)
        return is_closed.wait()

    async with house(open_browser=open_in_terminal) as home:
        login = home.begin("s")
        try:
            await screen.opened()
            await home.get(ANSWER)
            assert await login.wait() == home.login.redirect_uri + "?code=c&state=s"
        finally:
            is_closed.set()
    screen.close()


@on_both
async def test_what_opening_the_browser_raises_ends_the_login() -> None:
    def broken(url: str) -> bool:
        raise ZeroDivisionError

    async with house(open_browser=broken) as home:
        with pytest.raises(ZeroDivisionError):
            await home.begin("s").wait()
        await home.assert_closed()


@on_both
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "ms-settings:",
        "//as.example/authorize",
        "https:/as.example",
        "https://",
        "https://as.example/a b",
        'https://as.example/"--x',
        "https://as.example/`id`",
        "https://as.example/\n-x",
        "https://as.example/\\\\host",
        "https://as.exämple/",
        " https://as.example/",
        "--version",
        "",
    ],
)
async def test_only_web_pages_are_opened(url: str) -> None:
    def opened(url: str) -> bool:
        raise AssertionError(url)

    login = BrowserLogin(port=free_port(), open_browser=opened, show=opened)
    with pytest.raises(OAuthError, match="not http or https") as caught:
        await login(asked(login, "s", url=url))
    assert not url or url not in str(caught.value)


@on_both
async def test_a_browser_that_will_be_sent_elsewhere_is_not_waited_for() -> None:
    login = BrowserLogin(port=4711)
    with pytest.raises(ConfigurationError, match=r"http://127.0.0.1:4711/callback: give AuthorizationCode"):
        await login(asked(login, "s", redirect_uri="http://127.0.0.1:4711/callback/"))


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        ({}, "http://127.0.0.1:28417/callback"),
        ({"port": 1, "path": "/"}, "http://127.0.0.1:1/"),
        ({"host": "::1", "port": 65535}, "http://[::1]:65535/callback"),
        ({"host": "localhost", "path": "/a/b"}, "http://localhost:28417/a/b"),
    ],
)
def test_the_redirect_uri_is_known_from_the_start(settings: dict[str, Any], uri: str) -> None:
    login = BrowserLogin(**settings)
    assert login.redirect_uri == uri
    assert repr(login.port) in repr(login)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "host must be"),
        ({"host": "192.168.1.1"}, "host must be"),
        ({"port": 0}, "port must be"),
        ({"port": 65536}, "port must be"),
        ({"path": "callback"}, "path must be"),
        ({"path": "/callback?x=y"}, "path must be"),
        ({"path": ""}, "path must be"),
    ],
)
def test_a_redirect_uri_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BrowserLogin(**settings)


@on_both
async def test_browsers_that_leave_and_connections_that_are_too_many() -> None:
    async with house() as home:
        login = await home.start("s")
        idle = [await home.connect() for _ in range(64)]
        assert await home.get(ANSWER) == ""
        await idle[0].send_eof()
        assert await rest(idle[0]) == ""
        assert status_of(await home.get(ANSWER)) == 200
        await login.wait()
        for browser in idle:
            await browser.aclose()


@pytest.mark.trio
async def test_a_connection_has_its_time(autojump_clock: MockClock) -> None:
    async with house() as home:
        login = await home.start("s")
        async with await home.connect() as browser:
            begun = anyio.current_time()
            with pytest.raises(anyio.BrokenResourceError):
                await browser.send(b"GET / HTTP/1.1\r\n")
                while True:
                    await browser.send(b"X: y\r\n")
                    await anyio.sleep(3)
            assert 10 <= anyio.current_time() - begun <= 20
        assert not login.is_over.is_set()
        await home.get(ANSWER)
        await login.wait()


def test_who_does_not_use_it_does_not_load_it() -> None:
    probe = "import sys, transports; print(*(name for name in sys.modules if 'oauth' in name or name == 'webbrowser'))"
    loaded = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.split()
    assert [name for name in loaded if not name.startswith("mcpcore")] == []
