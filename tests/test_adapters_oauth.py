"""The auth contract where ``auth`` gives the tokens: what both servers see, on both loops and every kind of engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from attrs import define, field
from support.adapters import CARRIERS, person, server_of, wired
from support.authorization import REDIRECT
from support.guarded import Guarded, WallClock, guarded

import transports
from mcpcore import (
    AuthorizationCode,
    AuthorizationRequest,
    BearerAuth,
    ClientCredentials,
    Credentials,
    LoginRequiredError,
    OAuth,
    RegisteredClient,
    RequestContext,
    UnauthorizedError,
)
from transports.testing import Answer, ReceivedRequest, echo_headers

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ALICE, BOB = person("alice"), person("bob")
CALLER: ContextVar[str] = ContextVar("caller")
# All that a request to anybody but the MCP server may carry.
PLAIN = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}

by_carrier = pytest.mark.parametrize("carrier", CARRIERS)
by_two_carriers = pytest.mark.parametrize("carrier", ["memory", "engine"])
by_flavour = pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """The clock on the clients' wall."""
    return WallClock.installed(monkeypatch)


def flavoured(function: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
    """``function``, or a coroutine function that does the same."""

    async def later(*arguments: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*arguments)

    return later if is_async else function


def user_header(context: RequestContext) -> dict[str, str]:
    """A resolver: whom the call is for."""
    return {"X-User": f"resolved:{context.principal}"}


def is_document(request: ReceivedRequest) -> bool:
    """Whether the MCP server is asked who may use it."""
    return request.path.startswith("/.well-known/")


async def token_shown(client: transports.Client, **options: Any) -> str:
    """Call the tool that tells which headers it was called with, for the token."""
    result = await client.call_tool("echo_headers", **options)
    assert result.structured_content is not None
    authorization: str = result.structured_content["authorization"]
    assert authorization.startswith("Bearer ")
    return authorization.removeprefix("Bearer ")


def assert_apart(place: Guarded, *own: str) -> None:
    """What belongs to one of the servers never reached the other one."""
    for server, match in ((place.authority, None), (place.server, is_document)):
        for request in server.journal.requests(match):
            assert set(request.headers) <= PLAIN, request
    for request in place.authority.journal:
        # What is given back is shown to who gave it.
        assert request.path == "/revoke" or "access-" not in f"{request.target}{request.headers}{request.body!r}"
    if own:
        place.authority.journal.assert_no_leak(*own)
    place.server.journal.assert_no_leak("refresh-", "code-", "code_verifier")
    for server in (place.server, place.authority):
        server.journal.assert_no_header("cookie")


@by_carrier
async def test_the_first_call_logs_in_and_what_is_one_servers_never_reaches_the_other(carrier: str) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place:
        options: dict[str, Any] = {"headers": {"X-App": "static:app"}, "get_headers": user_header}
        async with place.connect(**options) as client:
            for _ in range(2):
                await token_shown(client, context=ALICE)
    assert place.seen[0] == ("server/discover", None)
    assert {principal for _, principal in place.seen[1:]} == {ALICE.principal}
    assert [name for name, _ in place.seen].count("tools/call") == 2
    assert place.world.others == [
        ("GET", f"{place.origin}/.well-known/oauth-protected-resource"),
        ("GET", f"{place.issuer}/.well-known/oauth-authorization-server"),
        ("POST", f"{place.issuer}/register"),
        ("POST", f"{place.issuer}/token"),
    ]
    assert place.logins == [ALICE.principal]
    assert_apart(place, "static:app", "resolved:")
    for name, value in {"x-app": "static:app", "x-user": f"resolved:{ALICE.principal}"}.items():
        place.server.journal.assert_every_request_carries(name, value, match="POST")


@by_carrier
async def test_two_people_who_log_in_at_the_same_time_get_a_token_each(carrier: str) -> None:
    both_have_asked, shown = anyio.Event(), dict[str, set[str]]()

    async def until_both_have_asked(answer: Answer) -> Answer:
        if len(place.asked) == 2:
            both_have_asked.set()
        await both_have_asked.wait()
        return answer

    async def calls(name: str) -> None:
        for _ in range(3):
            shown.setdefault(name, set()).add(await token_shown(client, context=person(name)))

    async with guarded(server_of("modern", echo_headers), carrier) as place:
        place.hold = until_both_have_asked
        async with place.connect(get_headers=user_header) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(calls, "alice")
            tasks.start_soon(calls, "bob")
    for name, [token] in shown.items():
        assert place.world.server.tokens[token][0] == person(name).principal
    assert len(shown) == 2
    place.server.journal.assert_never_shared("authorization", across="x-user")
    assert sorted(map(str, place.logins)) == [ALICE.principal, BOB.principal]
    # Who the client is, is nobody's secret: it registers once for both.
    assert len(place.world.server.registered) == 1
    assert_apart(place, "resolved:")


@by_carrier
async def test_a_token_whose_time_is_over_is_renewed_once_without_a_refusal(carrier: str, clock: WallClock) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        old = await token_shown(client, context=ALICE)
        await token_shown(client, context=BOB)
        refused, new = [principal for _, principal in place.seen].count(None), list[str]()

        async def call() -> None:
            new.append(await token_shown(client, context=ALICE))

        clock.pass_(1000)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call)
        assert [principal for _, principal in place.seen].count(None) == refused
        assert place.asked == ["authorization_code", "authorization_code", "refresh_token"]
        assert len(new) == 5
        assert len(set(new)) == 1
        assert old not in new
        assert place.world.server.tokens[new[0]][0] == ALICE.principal
        assert_apart(place)


@by_carrier
async def test_a_tool_that_takes_more_is_called_after_a_step_up(carrier: str) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        await client.open(context=ALICE)
        place.world.scopes["echo_headers"] = ("write",)
        token = await token_shown(client, context=ALICE)
        assert place.world.server.tokens[token] == (ALICE.principal, ("read", "write"))
        assert await token_shown(client, context=ALICE) == token
    assert [request.status for request in place.server.journal.requests("tools/call")] == [403, 200, 200]
    assert place.logins == [ALICE.principal] * 2
    assert_apart(place)


@by_carrier
async def test_who_logs_in_is_never_refused_and_who_logs_out_is_forgotten(carrier: str) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place, place.connect() as client:
        login = await client.log_in(context=ALICE)
        assert (login.issuer, login.resource, login.scopes) == (place.issuer, place.origin, ("read",))
        assert login.is_renewable
        assert await client.log_in(context=ALICE) == login
        before = len(place.seen)
        first = await token_shown(client, context=ALICE)
        await client.log_in(context=BOB)
        assert None not in [principal for name, principal in place.seen[before:] if name == "tools/call"]
        assert await client.log_out(context=ALICE)
        assert [form["token"] for form in place.world.server.revoked] == [first.replace("access", "refresh"), first]
        assert not await client.log_out(context=ALICE)
        assert place.logins == [ALICE.principal, BOB.principal]
        assert await token_shown(client, context=ALICE) != first
        await token_shown(client, context=BOB)
        assert place.logins == [ALICE.principal, BOB.principal, ALICE.principal]
        assert_apart(place)


@by_carrier
async def test_an_application_of_its_own_shows_its_credentials_whenever_it_needs_a_token(
    carrier: str, clock: WallClock
) -> None:
    async with guarded(server_of("modern", echo_headers), carrier) as place:
        place.world.server.clients["app"] = "app-secret"
        place.world.server.refreshes = False
        application = RegisteredClient("app", "app-secret", issuer=place.issuer, auth_method="client_secret_post")
        async with place.connect(auth=place.provider(ClientCredentials(), client=application)) as client:
            first = await token_shown(client)
            assert await token_shown(client) == first
            clock.pass_(1000)
            assert await token_shown(client) != first
        place.server.journal.assert_no_leak("app-secret")
    assert place.asked == ["client_credentials"] * 2
    assert [principal for _, principal in place.seen].count(None) == 1
    assert_apart(place)


@by_flavour
@by_carrier
async def test_a_token_of_ones_own_is_asked_for_each_request_and_once_more_after_a_401(
    carrier: str, is_async: bool
) -> None:
    server, contexts = server_of("modern", echo_headers), list[RequestContext]()

    def token(context: RequestContext) -> str:
        contexts.append(context)
        return f"{CALLER.get()}-{context.principal}-{len(contexts)}"

    async with wired(server, carrier) as wire, wire.connect(auth=BearerAuth(flavoured(token, is_async))) as client:
        CALLER.set("the-caller")
        await client.open(context=ALICE)
        server.script("tools/call", Answer(401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}))
        await client.call_tool("echo_headers", context=ALICE)
        server.script("tools/call", Answer(401), times=2)
        with pytest.raises(UnauthorizedError):
            await client.call_tool("echo_headers", context=BOB)
    server.journal.assert_distinct("authorization")
    assert [request.headers["authorization"] for request in server.journal] == [
        f"Bearer the-caller-{context.principal}-{number}" for number, context in enumerate(contexts, 1)
    ]
    again = [context for context in contexts if context.attempt == 2]
    assert [context.principal for context in again] == [ALICE.principal, BOB.principal]
    assert again[0].challenge is not None
    assert again[0].challenge.parameters == {"error": "invalid_token"}
    assert len(contexts) == len(server.journal)


class Layer:
    """A provider of the user's own, with more than one header."""

    shows_identity = False

    def headers(self, request: Any, environment: Any) -> Any:
        yield from ()
        return Credentials({"Authorization": "Bearer auth", "X-Low": "auth", "X-High": "auth"})

    def refused(self, *refusal: Any) -> Any:
        raise AssertionError("nothing is refused here")

    def told_nonce(self, *nonce: Any) -> None:
        raise AssertionError("no nonces here")


RESOLVED: list[tuple[Mapping[str, str], Mapping[str, str | None]]] = [
    ({}, {"authorization": "Bearer auth", "x-low": "auth", "x-high": "auth", "x-lowest": "static"}),
    ({"X-High": "resolver"}, {"authorization": "Bearer auth", "x-low": "auth", "x-high": "resolver"}),
    # What belonged to the token of auth goes with it.
    ({"Authorization": "Bearer resolver"}, {"authorization": "Bearer resolver", "x-low": None, "x-high": None}),
]


@pytest.mark.parametrize(("resolved", "sent"), RESOLVED)
@by_carrier
async def test_auth_goes_before_static_headers_and_resolvers_before_both(
    carrier: str, resolved: Mapping[str, str], sent: Mapping[str, str | None]
) -> None:
    server = server_of("modern", echo_headers)
    static = {"X-Lowest": "static", "X-Low": "static", "X-High": "static"}

    def resolver(context: RequestContext) -> Mapping[str, str]:
        return resolved

    options: dict[str, Any] = {"auth": Layer(), "headers": static, "get_headers": resolver}
    async with wired(server, carrier) as wire, wire.connect(**options) as client:
        await client.call_tool("echo_headers")
    for request in server.journal:
        assert {name: ", ".join(request.headers.get_all(name)) or None for name in sent} == sent


@define
class Witness:
    """Notes for each thing of the user's that was called in which task that was, and in whose context."""

    noted: set[tuple[str, int, str]] = field(factory=set[tuple[str, int, str]])

    def watched(self, what: str, function: Callable[..., Any], is_async: bool) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            self.noted.add((what, anyio.get_current_task().id, CALLER.get()))
            return function(*arguments)

        return flavoured(noting, is_async)

    def store(self, held: dict[str, str], is_async: bool) -> Any:
        """A token store that keeps what it is given in ``held``."""
        methods: dict[str, Callable[..., Any]] = {"get": held.get, "put": held.__setitem__, "delete": held.__delitem__}
        return SimpleNamespace(**{name: self.watched(name, method, is_async) for name, method in methods.items()})


@by_flavour
@by_carrier
async def test_what_is_the_users_is_called_in_the_callers_task_and_context(carrier: str, is_async: bool) -> None:
    witness, held, tasks_of = Witness(), dict[str, str](), dict[str, int]()

    async def call(client: transports.Client, name: str) -> None:
        CALLER.set(name)
        tasks_of[name] = anyio.get_current_task().id
        await token_shown(client, context=person(name))

    async def calls() -> None:
        resolver = witness.watched("resolver", user_header, is_async)
        handler = AuthorizationCode(witness.watched("handler", place.log_in, is_async), redirect_uri=REDIRECT)
        auth = place.provider(handler, store=witness.store(held, is_async))
        async with place.connect(auth=auth, get_headers=resolver) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(call, client, "alice")
            tasks.start_soon(call, client, "bob")

    async with guarded(server_of("modern", echo_headers), carrier) as place:
        await calls()
        expected = {"resolver", "handler", "get", "put"}
        assert witness.noted == {(what, tasks_of[name], name) for what in expected for name in ("alice", "bob")}
        tokens = {json.loads(key)[-1] for key in held if json.loads(key)[0] == "token"}
        assert tokens == {ALICE.principal, BOB.principal}
        # The next process finds what is stored, and asks nobody.
        witness.noted.clear()
        await calls()
        assert {what for what, *_ in witness.noted} == {"resolver", "get"}
        assert place.asked == ["authorization_code"] * 2


@by_two_carriers
@pytest.mark.parametrize("kind", ["http", "auto"])
async def test_a_run_does_without_a_server_where_nobody_can_log_in(carrier: str, kind: Any) -> None:
    async def nobody(request: AuthorizationRequest) -> str:
        raise LoginRequiredError("alice has to log in first")

    async with guarded(server_of("modern", echo_headers), carrier) as place:
        impossible = OAuth(AuthorizationCode(nobody, redirect_uri=REDIRECT))
        closed = transports.ServerConfig(place.url, name="closed", type=kind, auth=impossible)
        welcome = transports.ServerConfig(place.url, name="welcome", auth=place.provider())
        async with transports.open_run([closed, welcome], context=ALICE, **place.options) as run:
            [skipped] = run.skipped
            assert isinstance(skipped.error, LoginRequiredError)
            assert tuple(skipped) == ("closed", skipped.reason)
            assert "alice has to log in first" in skipped.reason
            assert [(tool.name, run.server_of(tool.name)) for tool in run.tools] == [("echo_headers", "welcome")]
            assert not (await run.call_tool("echo_headers")).is_error
        required = transports.ServerConfig(place.url, auth=impossible, required=True)
        with pytest.raises(LoginRequiredError, match="has to log in"):
            async with transports.open_run([required], context=ALICE, **place.options):
                pass


@by_carrier
async def test_a_401_to_the_stream_of_http_sse_and_to_a_message_on_it(carrier: str) -> None:
    async with guarded(server_of("sse", echo_headers), carrier) as place, place.connect("sse") as client:
        await token_shown(client, context=ALICE)
        assert [owner for name, owner in place.seen if name == "GET"] == [None, ALICE.principal]
        place.forget_tokens()
        await token_shown(client, context=ALICE)
        await token_shown(client, context=BOB)
        assert place.asked == ["authorization_code", "refresh_token", "authorization_code"]
        # The message was refused, and sent once more on the same stream.
        gets = [owner for name, owner in place.seen if name == "GET"]
        assert gets == [None, ALICE.principal, None, BOB.principal]
        assert [owner for name, owner in place.seen if name == "tools/call"] == [
            ALICE.principal,
            None,
            ALICE.principal,
            BOB.principal,
        ]
        assert_apart(place)


@by_carrier
async def test_a_session_outlives_its_tokens_and_ends_with_one(carrier: str, clock: WallClock) -> None:
    async with guarded(server_of("handshake", echo_headers), carrier) as place:
        async with place.connect() as client:
            first = await token_shown(client, context=ALICE)
            clock.pass_(1000)
            second = await token_shown(client, context=ALICE)
            place.forget_tokens()
            third = await token_shown(client, context=ALICE)
            assert len({first, second, third}) == 3
            clock.pass_(1000)
        assert place.asked == ["authorization_code", *["refresh_token"] * 3]
    assert [name for name, _ in place.seen].count("initialize") == 1
    assert len({request.headers["mcp-session-id"] for request in place.server.journal.requests("tools/call")}) == 1
    assert place.seen[-1] == ("DELETE", ALICE.principal)
    assert place.logins == [ALICE.principal]
    assert_apart(place)


async def log_out(place: Guarded, client: transports.Client) -> None:
    await client.log_out(context=ALICE)


async def lose_all_tokens(place: Guarded, client: transports.Client) -> None:
    place.forget_tokens(refresh_tokens=True)


@pytest.mark.parametrize(("loss", "in_vain"), [(log_out, []), (lose_all_tokens, ["refresh_token"])])
@by_two_carriers
async def test_nobody_is_asked_to_log_in_to_end_a_session(carrier: str, loss: Any, in_vain: list[str]) -> None:
    async with guarded(server_of("handshake", echo_headers), carrier) as place:
        async with place.connect() as client:
            await token_shown(client, context=ALICE)
            asked = len(place.asked)
            await loss(place, client)
        assert place.seen[-1] == ("DELETE", None)
        assert [name for name, _ in place.seen].count("DELETE") == 1
        assert place.logins == [ALICE.principal]
        assert place.asked[asked:] == in_vain
