"""Scripted answers: each kind of fault that a client must survive, told in one line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import h11
import pytest
from raw_mcp import CARRIERS, Peer, Reply, Stream, modern_request, post_headers, reach, request

from mcpcore.errors import TransportError
from transports.testing import (
    Answer,
    Disconnect,
    Forward,
    ReceivedRequest,
    Send,
    Server,
    echo_headers,
    message_event,
)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", CARRIERS)]

BROKEN = (TransportError, h11.RemoteProtocolError)
NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


@pytest.mark.parametrize(
    ("answer", "name", "value"),
    [
        (Answer(401, {"WWW-Authenticate": 'Bearer realm="r"'}), "www-authenticate", 'Bearer realm="r"'),
        (Answer(403), "content-length", "0"),
        (Answer(429, {"Retry-After": "3"}), "retry-after", "3"),
        (Answer(500, {"content-type": "text/plain"}, b"oops"), "content-type", "text/plain"),
        (Answer(307, {"Location": "/other"}), "location", "/other"),
        (Answer(204), "x", None),
    ],
)
async def test_a_status(carrier: str, answer: Answer, name: str, value: str | None) -> None:
    server = Server()
    server.script("tools/list", answer)
    async with reach(server, carrier) as peer:
        reply = await peer.modern("tools/list")
        after = await peer.modern("tools/list")
    assert (reply.status, after.status) == (answer.status, 200)
    assert reply.body == answer.body
    if carrier == "socket" or name != "content-length":
        assert reply.headers.get(name) == value
    assert [entry.status for entry in server.journal] == [answer.status, 200]
    server.assert_script_played()


async def test_who_and_how_often(carrier: str) -> None:
    server = Server()
    server.script(lambda entry: entry.headers.get("x-user") == "bob", Answer(403), times=None)
    server.script("tools/list", Answer(429), times=2)
    server.script(None, Answer(500))
    async with reach(server, carrier) as peer:
        users = ["alice", "bob", "alice", "bob", "alice", "alice", "bob"]
        replies = [await peer.modern("tools/list", headers={"x-user": user}) for user in users]
    assert [reply.status for reply in replies] == [429, 403, 429, 403, 500, 200, 403]


async def test_a_line_that_was_not_played_is_found(carrier: str) -> None:
    server = Server()
    server.script("POST", Answer(500), times=2)
    server.script("GET", Answer(500), times=None)
    async with reach(server, carrier) as peer:
        await peer.modern("tools/list")
    with pytest.raises(AssertionError, match="1 lines of the script were not played, the first for 'POST'"):
        server.assert_script_played()


async def test_functions_wrap_the_servers_own_answer_and_each_other(carrier: str) -> None:
    server = Server([echo_headers])

    async def add_cookie(received: ReceivedRequest, forward: Forward) -> Answer:
        return (await forward(received)).with_headers({"set-cookie": f"n={received.number}"})

    def refuse(received: ReceivedRequest, forward: Forward) -> Answer:
        return Answer(403)

    server.script(None, add_cookie, times=None)
    server.script("tools/list", refuse)
    async with reach(server, carrier) as peer:
        refused = await peer.modern("tools/list")
        listed = await peer.modern("tools/list")
    assert (refused.status, refused.headers["set-cookie"]) == (403, "n=1")
    assert (listed.status, listed.headers["set-cookie"]) == (200, "n=2")
    assert listed.json["result"]["tools"]


async def test_a_gate(carrier: str) -> None:
    server = Server()
    gate = anyio.Event()

    async def wait(received: ReceivedRequest, forward: Forward) -> Answer:
        await gate.wait()
        return await forward(received)

    server.script("tools/list", wait)
    replies: list[Reply] = []
    async with reach(server, carrier) as peer, anyio.create_task_group() as tasks:

        async def ask() -> None:
            replies.append(await peer.modern("tools/list"))

        tasks.start_soon(ask)
        with anyio.fail_after(10):
            [entry] = await server.journal.wait_for("tools/list")
        assert (entry.status, entry.outcome, replies) == (None, "pending", [])
        gate.set()
    assert replies[0].status == 200
    assert (entry.status, entry.outcome) == (200, "answered")


async def test_a_body_that_is_no_json(carrier: str) -> None:
    server = Server()
    server.script("tools/list", Answer(200, {"content-type": "application/json"}, b"{oops"))
    async with reach(server, carrier) as peer:
        reply = await peer.modern("tools/list")
    assert reply.body == b"{oops"


async def test_events_in_whatever_pieces(carrier: str) -> None:
    server = Server()
    answer = Answer.events(b": hello\n\n", NOTE, b"")
    server.script("tools/list", answer)
    server.script("tools/list", answer.in_pieces(1))
    async with reach(server, carrier) as peer:
        whole = await peer.modern("tools/list")
        pieces, _ = await pieces_of(peer)
    assert whole.body == b": hello\n\n" + message_event(NOTE)
    assert b"".join(pieces) == whole.body
    if carrier == "memory":  # a socket may join them
        assert {len(piece) for piece in pieces} == {1}


async def test_json_in_pieces_keeps_its_announced_length(carrier: str) -> None:
    server = Server()
    server.script("tools/list", Answer.json({"a": "bcd"}).in_pieces(4))
    async with reach(server, carrier) as peer:
        pieces, stream = await pieces_of(peer)
    assert b"".join(pieces) == b'{"a":"bcd"}'
    if carrier == "memory":  # a socket may join them
        assert pieces == [b'{"a"', b':"bc', b'd"}']
    assert stream.headers["content-length"] == "11"


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (Answer.json({"a": "bcd"}).cut_off(4), b'{"a"'),
        (Answer.json({"a": "bcd"}).in_pieces(3).cut_off(4), b'{"a"'),
        (Answer.events(b"data: 1\n\n", b"data: 2\n\n").cut_off(11), b"data: 1\n\nda"),
        (Answer.events(b"data: 1\n\n").cut_off(1000), b"data: 1\n\n"),
        (Answer.events(b"data: 1\n\n").cut_off(0), b""),
    ],
)
async def test_a_connection_cut_in_the_body(carrier: str, answer: Answer, seen: bytes) -> None:
    server = Server()
    server.script("tools/list", answer)
    received = b""
    async with reach(server, carrier) as peer:
        message, headers = modern_request("tools/list")
        async with peer.stream("POST", "/mcp", post_headers(headers), json.dumps(message).encode()) as stream:
            assert stream.status == 200
            with pytest.raises(BROKEN):
                while True:
                    received += await stream.receive()
        with anyio.fail_after(10):
            await server.journal.wait_for(lambda entry: entry.outcome == "cut")
        assert (await peer.modern("tools/list")).status == 200
    assert received == seen


async def test_a_connection_cut_before_the_head(carrier: str) -> None:
    server = Server()

    def cut(received: ReceivedRequest, forward: Forward) -> Answer:
        raise Disconnect

    async def tear(received: ReceivedRequest, forward: Forward) -> Answer:
        raise Disconnect(sent=b"HTTP/1.1 200 OK\r\nContent-Le")

    server.script("tools/list", cut)
    server.script("tools/list", tear)
    async with reach(server, carrier) as peer:
        for _ in range(2):
            with pytest.raises(BROKEN):
                await peer.modern("tools/list")
    assert [entry.outcome for entry in server.journal] == ["cut", "cut"]
    assert [entry.status for entry in server.journal] == [None, None]


async def test_a_tool_that_cuts_the_connection(carrier: str) -> None:
    server = Server()

    @server.tool()
    def plain(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        raise Disconnect

    @server.tool()
    async def streaming(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Send(NOTE)
        raise Disconnect

    async with reach(server, carrier) as peer:
        for name in ("plain", "streaming"):
            with pytest.raises(BROKEN):
                await peer.modern("tools/call", {"name": name})


async def test_a_stream_of_ones_own_may_wait(carrier: str) -> None:
    server = Server()
    gate = anyio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        yield message_event(NOTE)
        await gate.wait()
        yield b": the end\n\n"

    server.script("tools/list", Answer.stream(body))
    async with reach(server, carrier) as peer:
        message, headers = modern_request("tools/list")
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(headers), json.dumps(message).encode()) as stream:
                first = await stream.receive()
                gate.set()
                rest = await stream.read()
    assert (first, rest.body) == (message_event(NOTE), b": the end\n\n")


async def test_an_expired_session(carrier: str) -> None:
    server = Server()
    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        server.expire_sessions()
        lost = await peer.post(request("tools/list"), session)
        fresh = await peer.post(request("tools/list"), await peer.open_session())
    assert (lost.status, fresh.status) == (404, 200)


async def pieces_of(peer: Peer) -> tuple[list[bytes], Stream]:
    """The chunks of a ``tools/list`` answer as they come in."""
    message, headers = modern_request("tools/list")
    pieces: list[bytes] = []
    async with peer.stream("POST", "/mcp", post_headers(headers), json.dumps(message).encode()) as stream:
        while piece := await stream.receive():
            pieces.append(piece)
    return pieces, stream
