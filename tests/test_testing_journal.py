"""The journal: what it shows of a request, what a test can demand of it, and that it prints no credential."""

from __future__ import annotations

import json

import anyio
import pytest

from transports.testing import Answer, Headers, ReceivedRequest, Server

SECRET = "s3cret-token"


def ticking() -> Server:
    times = iter(range(100))
    return Server(clock=lambda: float(next(times)))


def receive(
    server: Server, headers: dict[str, str], *, target: str = "/mcp", body: bytes = b"", method: str = "POST"
) -> ReceivedRequest:
    pairs = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return server.receive(method, target, pairs, body)


def rpc(method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()


def test_an_entry_shows_everything_that_was_received() -> None:
    server = ticking()
    receive(server, {})
    entry = receive(server, {"X-A": "1"}, target="/mcp?b=%20c", body=rpc("tools/call", name="t", arguments={}))
    assert (entry.number, entry.time, entry.connection, entry.status, entry.outcome) == (
        2,
        1.0,
        None,
        None,
        "pending",
    )
    assert (entry.path, entry.query) == ("/mcp", {"b": " c"})
    assert (entry.rpc_method, entry.rpc_id, entry.rpc_name) == ("tools/call", 7, "t")
    assert entry.params == {"name": "t", "arguments": {}}
    assert server.journal[1] is entry
    assert server.journal[:1] == [server.journal[0]]
    assert len(server.journal) == 2


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'{"method": 1, "id": null, "params": []}'])
def test_an_entry_without_a_message_has_no_parts_of_one(body: bytes) -> None:
    entry = receive(ticking(), {}, body=body)
    assert (entry.rpc_method, entry.rpc_id, entry.rpc_name, entry.params) == (None, None, None, {})


def test_headers_are_looked_up_in_any_case_and_kept_as_they_came() -> None:
    headers = Headers(((b"X-One", b"1"), (b"x-one", b"2"), (b"X-Two", b"\xe9")))
    assert headers["X-ONE"] == "1, 2"
    assert headers.get_all("x-one") == ["1", "2"]
    assert headers.get("x-two") == "é"
    assert "x-three" not in headers
    assert (list(headers), len(headers)) == (["x-one", "x-two"], 2)
    assert headers.raw[0] == (b"X-One", b"1")


def test_nothing_prints_a_credential() -> None:
    server = ticking()
    secret = {"Authorization": f"Bearer {SECRET}", "Cookie": SECRET}
    body = rpc("resources/read", uri=f"https://user:{SECRET}@host/path?key={SECRET}")
    entry = receive(server, secret, target=f"/mcp?token={SECRET}", body=body)
    answer = Answer(200, {"set-cookie": SECRET}, SECRET.encode())
    shown = f"{entry!r} {entry.label} {entry.headers!r} {server.journal!r} {answer!r}"
    assert SECRET not in shown
    assert "#1 POST /mcp resources/read 'https://host/path'" in shown
    assert "authorization" in shown


def test_a_server_of_an_unknown_revision_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"no revisions that this server speaks: 2026-07-29$"):
        Server(revisions=["2026-07-28", "2026-07-29"])


def test_requests_are_chosen_by_method_rpc_method_or_a_function() -> None:
    server = ticking()
    get = receive(server, {}, method="GET")
    call = receive(server, {"x": "y"}, body=rpc("tools/call"))
    assert server.journal.requests("GET") == [get]
    assert server.journal.requests("tools/call") == [call]
    assert server.journal.requests(lambda entry: "x" in entry.headers) == [call]
    assert server.journal.requests() == list(server.journal) == [get, call]
    server.journal.clear()
    assert receive(server, {}).number == 1


def test_every_request_carries() -> None:
    server = ticking()
    journal = server.journal
    for user in ("alice", "bob"):
        receive(server, {"X-User": user, "X-Same": "1"}, body=rpc("tools/call", arguments={"user": user}))
    journal.assert_every_request_carries("x-user")
    journal.assert_every_request_carries("x-same", "1")
    journal.assert_every_request_carries("x-user", lambda entry: entry.params["arguments"]["user"])
    with pytest.raises(AssertionError, match="#1 POST /mcp tools/call carries 0 headers 'x-other'"):
        journal.assert_every_request_carries("x-other")
    with pytest.raises(AssertionError, match=r"#2 .* another value of 'x-user'") as caught:
        journal.assert_every_request_carries("x-user", "alice")
    assert "alice" not in str(caught.value)
    server.receive("GET", "/", ((b"x-user", b"a"), (b"X-User", b"b")), b"")
    with pytest.raises(AssertionError, match="#3 GET / carries 2 headers"):
        journal.assert_every_request_carries("x-user", match="GET")


def test_a_demand_on_no_request_fails() -> None:
    journal = ticking().journal
    with pytest.raises(AssertionError, match="no such request to judge, among 0"):
        journal.assert_every_request_carries("x")
    with pytest.raises(AssertionError, match="no such request"):
        journal.assert_distinct("x")
    with pytest.raises(AssertionError, match="no such request"):
        journal.assert_never_shared("x", across="y")


def test_distinct() -> None:
    server = ticking()
    receive(server, {"x-token": SECRET})
    receive(server, {"x-token": "t2"})
    server.journal.assert_distinct("x-token")
    receive(server, {"x-token": SECRET})
    with pytest.raises(AssertionError, match=r"'x-token' was sent with several requests: #1 .*; #3 ") as caught:
        server.journal.assert_distinct("x-token")
    assert SECRET not in str(caught.value)
    receive(server, {}, method="GET")
    with pytest.raises(AssertionError, match="#4 GET /mcp carries 0"):
        server.journal.assert_distinct("x-token", match="GET")


def test_never_shared() -> None:
    server = ticking()
    receive(server, {"x-user": "alice"})
    receive(server, {"x-user": "alice", "mcp-session-id": "1"})
    receive(server, {"x-user": "alice", "mcp-session-id": "1"})
    receive(server, {"x-user": "bob", "mcp-session-id": "2"})
    server.journal.assert_never_shared("mcp-session-id", across="x-user")
    receive(server, {"x-user": "bob", "mcp-session-id": "1"})
    with pytest.raises(AssertionError, match=r"under several of 'x-user': #2 .*; #3 .*; #5 "):
        server.journal.assert_never_shared("mcp-session-id", across="x-user")
    with pytest.raises(AssertionError, match="under several of 'authorization'"):
        receive(server, {"mcp-session-id": "2", "authorization": "x"})
        server.journal.assert_never_shared("mcp-session-id", across="authorization")


def test_no_header() -> None:
    server = ticking()
    receive(server, {"X-A": "1"})
    server.journal.assert_no_header("cookie")
    server.journal.assert_no_header("x-a", match="GET")
    with pytest.raises(AssertionError, match="these carry 'x-a': #1 POST /mcp"):
        server.journal.assert_no_header("x-a")


@pytest.mark.parametrize(
    ("place", "headers", "target", "body"),
    [
        ("its header 'authorization'", {"Authorization": f"Bearer {SECRET}"}, "/", b""),
        ("its target", {}, f"/?token={SECRET}", b""),
        ("its target", {}, "/?token=s3cret%2Dtoken", b""),
        ("its body", {}, "/", SECRET.encode()),
    ],
)
def test_a_leak_is_found_wherever_it_is(place: str, headers: dict[str, str], target: str, body: bytes) -> None:
    server = ticking()
    receive(server, {"x": "y"}, body=b"harmless")
    server.journal.assert_no_leak(SECRET, "other")
    receive(server, headers, target=target, body=body)
    with pytest.raises(AssertionError, match=f"#2 POST / holds a secret in {place}") as caught:
        server.journal.assert_no_leak("other", SECRET)
    assert SECRET not in str(caught.value)


def test_an_empty_secret_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="empty"):
        ticking().journal.assert_no_leak("x", "")


def test_the_first_outcome_counts_unless_the_connection_was_cut() -> None:
    entry = receive(ticking(), {})
    entry.end("answered")
    entry.end("disconnected")
    assert entry.outcome == "answered"
    entry.end("cut")
    assert entry.outcome == "cut"


@pytest.mark.anyio
async def test_wait_for_looks_again_whenever_something_changes() -> None:
    server = ticking()
    journal = server.journal
    steps: list[str] = []

    async def waiter() -> None:
        await journal.wait_for("POST", count=2)
        steps.append("two received")
        [entry] = await journal.wait_for(lambda entry: entry.status == 200)
        steps.append("status")
        await journal.wait_for(lambda entry: entry.outcome == "answered")
        steps.append("outcome")
        assert entry.number == 1

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiter)
            first = receive(server, {})
            await anyio.wait_all_tasks_blocked()
            assert steps == []
            receive(server, {})
            await anyio.wait_all_tasks_blocked()
            assert steps == ["two received"]
            first.begin_answer(200)
            await anyio.wait_all_tasks_blocked()
            assert steps == ["two received", "status"]
            first.end("answered")
    assert steps == ["two received", "status", "outcome"]
