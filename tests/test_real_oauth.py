"""Authorization at servers that nobody here wrote: of the official SDK, of fastmcp, and of Authlib.

The first two are their own authorization servers; Authlib's issues tokens for a server of the SDK at another origin.
They run in a process of their own, each behind a gate that notes what came.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

import anyio
import httpx
import pytest
from attrs import define, field
from support.adapters import tls
from support.places import Place
from support.processes import Gate

import transports
from mcpcore import AuthorizationCode, AuthorizationRequest, CallContext, OAuth

pytestmark = pytest.mark.anyio

CALLBACK = "http://127.0.0.1:1/callback"  # Nobody is there, and browsers stop before it.
MODERN, HANDSHAKE = "2026-07-28", "2025-11-25"


@pytest.fixture
def place(name: str, places: dict[str, Place]) -> Place:
    """The one called ``name``."""
    return places[name]


# Each on one event loop, and the first on both.
everywhere = pytest.mark.parametrize(
    ("anyio_backend", "name"), [("asyncio", "sdk"), ("trio", "sdk"), ("asyncio", "fast"), ("trio", "apart")]
)


@define
class Clock:
    """Tells the time, which may pass as quickly as one likes."""

    ahead: float = 0

    def pass_(self, seconds: float) -> None:
        self.ahead += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock on the client's wall."""
    clock, true_time = Clock(), time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + clock.ahead)
    return clock


@define
class Browser:
    """Goes where people are sent to log in, as whoever is to log in, and on from there until it is sent back."""

    _tabs: httpx.AsyncClient
    visits: list[AuthorizationRequest] = field(factory=list[AuthorizationRequest])

    async def __call__(self, request: AuthorizationRequest) -> str:
        self.visits.append(request)
        url = request.url
        while not url.startswith(CALLBACK):
            answer = await self._tabs.get(url, headers={"Cookie": f"user={request.principal}"})
            assert answer.status_code == 302, answer.text
            url = urljoin(url, answer.headers["location"])
        return url


@define
class Shelf:
    """A store."""

    texts: dict[str, str] = field(factory=dict[str, str])

    def get(self, key: str) -> str | None:
        return self.texts.get(key)

    def put(self, key: str, value: str) -> None:
        self.texts[key] = value

    def delete(self, key: str) -> None:
        self.texts.pop(key, None)


@define
class Visit:
    """A client at a place, and what the servers there noted of it."""

    place: Place
    client: transports.Client
    browser: Browser
    notes: list[dict[str, Any]] = field(factory=list[dict[str, Any]])

    async def whoami(self, user: str) -> dict[str, Any]:
        """Whom the server takes ``user`` for, and the scopes of the token that it was shown."""
        return await self.call(user, "whoami")

    async def call(self, user: str, tool: str) -> dict[str, Any]:
        result = await self.client.call_tool(tool, context=CallContext(principal=user))
        assert not result.is_error
        return dict(result.structured_content)

    async def tally(self) -> Counter[str]:
        """What requests were made since this was asked last, and how they were answered; metadata is left out."""
        new = [note for origin in {self.place.server, self.place.issuer} for note in await Gate(origin).requests()]
        self.notes += new
        paths = [(note["target"].partition("?")[0], note["status"]) for note in new]
        return Counter(f"{path} {status}" for path, status in paths if path in ENDPOINTS)

    async def issued(self) -> dict[str, int]:
        """How many tokens were issued since this was asked last, by grant."""
        async with httpx.AsyncClient(verify=tls()) as client:
            return dict((await client.get(f"{self.place.issuer}/ledger")).json())

    async def forget(self, *kinds: str) -> None:
        """Let the authorization server forget all tokens of these kinds, of which the client learns nothing."""
        async with httpx.AsyncClient(verify=tls()) as client:
            await client.post(f"{self.place.issuer}/ledger", params={"forget": kinds})


ENDPOINTS = {"/mcp", "/register", "/authorize", "/token", "/revoke"}


@asynccontextmanager
async def visiting(place: Place, revision: str = MODERN, **options: Any) -> AsyncGenerator[Visit, None]:
    """Connect, and judge in the end what each request carried; ``options`` are the provider's."""
    with anyio.fail_after(30):
        async with httpx.AsyncClient(verify=tls()) as tabs:
            browser = Browser(tabs)
            auth = OAuth(AuthorizationCode(browser, redirect_uri=CALLBACK), **options)
            async with transports.connect(place.url, auth=auth, protocol_version=revision) as client:
                visit = Visit(place, client, browser)
                await visit.tally()
                await visit.issued()
                visit.notes.clear()
                yield visit
            await visit.tally()
    judge(visit.notes)


def judge(notes: list[dict[str, Any]]) -> None:
    """What holds of every visit: tokens go to the MCP server, and nothing else that is meant for it goes elsewhere."""
    for note in notes:
        if note["target"] != "/mcp?":
            assert not note["headers"].get("authorization", "").startswith("Bearer")
            assert not [name for name in note["headers"] if name.startswith("mcp-")]


@everywhere
async def test_somebody_logs_in_once(place: Place) -> None:
    async with visiting(place) as visit:
        assert await visit.whoami("alice") == {"user": "alice", "scopes": ["read"]}
        assert await visit.tally() == {
            "/mcp 401": 1,
            "/register 201": 1,
            "/authorize 302": 1,
            "/token 200": 1,
            "/mcp 200": 1,
        }
        for _ in range(3):
            assert (await visit.whoami("alice"))["user"] == "alice"
        assert await visit.tally() == {"/mcp 200": 3}
        assert (await visit.whoami("bob"))["user"] == "bob"
        tally = await visit.tally()
        assert (tally["/register 201"], tally["/authorize 302"], tally["/token 200"]) == (0, 1, 1)
        assert [request.principal for request in visit.browser.visits] == ["alice", "bob"]


@everywhere
async def test_the_first_call_after_a_token_expired_takes_one_more_request(place: Place, clock: Clock) -> None:
    async with visiting(place) as visit:
        await visit.whoami("alice")
        for _ in range(2):
            clock.pass_(3600)
            await visit.forget("access")
            await visit.tally()
            await visit.issued()
            assert (await visit.whoami("alice"))["user"] == "alice"
            assert await visit.tally() == {"/token 200": 1, "/mcp 200": 1}
            assert await visit.issued() == {"refresh_token": 1}
            await visit.whoami("alice")
            assert await visit.tally() == {"/mcp 200": 1}


@everywhere
async def test_a_token_that_the_server_takes_no_more_is_renewed(place: Place) -> None:
    async with visiting(place) as visit:
        await visit.whoami("alice")
        await visit.forget("access")
        await visit.tally()
        await visit.issued()
        assert (await visit.whoami("alice"))["user"] == "alice"
        assert await visit.tally() == {"/mcp 401": 1, "/token 200": 1, "/mcp 200": 1}
        assert await visit.issued() == {"refresh_token": 1}
        assert len(visit.browser.visits) == 1


@everywhere
@pytest.mark.parametrize("forgotten", ["tokens", "tokens and clients"])
async def test_who_can_renew_nothing_logs_in_anew(place: Place, forgotten: str) -> None:
    async with visiting(place) as visit:
        await visit.whoami("alice")
        await visit.forget("access", "refresh", *(["clients"] if "clients" in forgotten else []))
        await visit.tally()
        await visit.issued()
        assert (await visit.whoami("alice"))["user"] == "alice"
        tally = await visit.tally()
        assert tally.pop("/token 400", 0) + tally.pop("/token 401", 0) == 1  # Either is how some refuse a refresh.
        assert tally.pop("/register 201", 0) == ("clients" in forgotten)
        assert tally == {"/mcp 401": 1, "/authorize 302": 1, "/token 200": 1, "/mcp 200": 1}
        assert await visit.issued() == {"authorization_code": 1}


@everywhere
async def test_what_takes_another_scope_keeps_those_that_there_are(place: Place, clock: Clock) -> None:
    both = {"user": "alice", "scopes": ["read", "write"]}
    async with visiting(place) as visit:
        assert await visit.whoami("alice") == {"user": "alice", "scopes": ["read"]}
        await visit.tally()
        assert await visit.call("alice", "write") == both
        assert await visit.tally() == {"/mcp 403": 1, "/authorize 302": 1, "/token 200": 1, "/mcp 200": 1}
        assert [set(request.scopes) for request in visit.browser.visits] == [{"read"}, {"read", "write"}]
        assert await visit.whoami("alice") == both
        clock.pass_(3600)
        assert await visit.call("alice", "write") == both
        assert len(visit.browser.visits) == 2
        assert await visit.whoami("bob") == {"user": "bob", "scopes": ["read"]}


@everywhere
async def test_who_logs_out_is_logged_out_at_the_server(place: Place) -> None:
    alice, bob = CallContext(principal="alice"), CallContext(principal="bob")
    async with visiting(place) as visit:
        for context in (bob, alice):
            login = await visit.client.log_in(context=context)
            assert login == await visit.client.log_in(context=context)
            assert (login.scopes, login.is_renewable) == (("read",), True)
        assert (await visit.tally())["/authorize 302"] == 2
        await visit.whoami("alice")
        assert await visit.tally() == {"/mcp 200": 1}
        token = visit.notes[-1]["headers"]["authorization"]
        await visit.client.log_out(context=alice)
        assert set(await visit.tally()) == {"/revoke 200"}
        async with httpx.AsyncClient(verify=tls(), headers={"Authorization": token}) as thief:
            assert (await thief.post(place.url)).status_code == 401
        await visit.tally()
        assert (await visit.whoami("bob"))["user"] == "bob"
        assert await visit.tally() == {"/mcp 200": 1}
        assert (await visit.whoami("alice"))["user"] == "alice"
        assert (await visit.tally())["/authorize 302"] == 1


@everywhere
async def test_the_next_process_renews_what_the_last_one_stored(place: Place, clock: Clock) -> None:
    shelf = Shelf()
    async with visiting(place, store=shelf) as visit:
        await visit.whoami("alice")
    clock.pass_(3600)
    async with visiting(place, store=shelf) as visit:
        assert (await visit.whoami("alice"))["user"] == "alice"
        assert await visit.tally() == {"/token 200": 1, "/mcp 200": 1}
        await visit.client.log_out(context=CallContext(principal="alice"))
    assert not [key for key in shelf.texts if "alice" in key]


@everywhere
async def test_who_calls_ten_times_at_once_is_asked_once(place: Place) -> None:
    async with visiting(place) as visit:
        for tool, refusal in (("whoami", "/mcp 401"), ("write", "/mcp 403")):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(visit.call, "alice", tool)
            tally = await visit.tally()
            assert (tally["/authorize 302"], tally["/token 200"], tally["/mcp 200"]) == (1, 1, 10)
            assert tally[refusal] >= 1


@pytest.mark.parametrize(
    ("anyio_backend", "revision", "people"), [("asyncio", MODERN, 50), ("trio", MODERN, 50), ("asyncio", HANDSHAKE, 10)]
)
async def test_many_at_once_log_in_and_renew_once_each(
    revision: str, people: int, places: dict[str, Place], clock: Clock
) -> None:
    users = [f"user-{number}" for number in range(people)]
    async with visiting(places["sdk"], revision) as visit:

        async def calls(user: str) -> None:
            assert (await visit.whoami(user))["user"] == user

        async def everybody_calls(times: int) -> Counter[str]:
            async with anyio.create_task_group() as tasks:
                for user in users * times:
                    tasks.start_soon(calls, user)
            return await visit.tally()

        tally = await everybody_calls(1)
        assert (tally["/register 201"], tally["/token 200"]) == (1, people)
        assert await visit.issued() == {"authorization_code": people}
        clock.pass_(3600)
        await visit.forget("access")
        assert await everybody_calls(2) == {"/token 200": people, "/mcp 200": 2 * people}
        assert await visit.issued() == {"refresh_token": people}
        await visit.forget("access")
        tally = await everybody_calls(2)
        assert (tally["/token 200"], tally["/mcp 200"]) == (people, 2 * people)
        assert await visit.issued() == {"refresh_token": people}
        assert sorted(str(request.principal) for request in visit.browser.visits) == sorted(users)
