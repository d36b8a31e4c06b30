"""Streams of the scripted server: who hears of a change, and how a stream that broke off is taken up again."""

from __future__ import annotations

import json
from typing import Any

import anyio
import h11
import pytest
from raw_mcp import CARRIERS, Peer, Stream, modern_request, post_headers, reach, request
from test_testing_http_sse import connected
from test_testing_schema import SPEC, check

from mcpcore.errors import TransportError
from transports.testing import Call, Disconnect, ReceivedRequest, Server

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", CARRIERS)]

LISTEN = {"accept": "text/event-stream"}
CHANGED = "notifications/tools/list_changed"
BROKEN: tuple[type[Exception], ...] = (TransportError, h11.RemoteProtocolError)


def listening(peer: Peer, notifications: Any, request_id: int = 5, user: str = "") -> Any:
    message, headers = modern_request("subscriptions/listen", {"notifications": notifications}, request_id)
    return peer.stream("POST", "/mcp", post_headers({**headers, "x-user": user}), json.dumps(message).encode())


def is_alice(entry: ReceivedRequest) -> bool:
    return entry.headers.get("x-user") == "alice"


async def test_a_subscription_carries_what_it_asked_for_and_ends_with_a_result(carrier: str) -> None:
    server = Server()
    asked = {"toolsListChanged": True, "promptsListChanged": True, "x": 1}
    async with reach(server, carrier) as peer:
        with anyio.fail_after(10):
            async with listening(peer, asked, user="alice") as alice, listening(peer, {}, 6) as bob:
                await server.journal.wait_for(lambda entry: entry.status == 200, 2)
                await server.notify("notifications/prompts/list_changed")
                await server.notify("notifications/message", {"level": "info", "data": "nobody asked"})
                await server.notify(CHANGED, to=lambda entry: not is_alice(entry))
                await server.notify(CHANGED, {"_meta": {"x/y": 1}}, to=is_alice)
                server.end_subscriptions()
                said = [[await stream.next() for _ in range(n)] for stream, n in ((alice, 4), (bob, 3))]
    meta = {"io.modelcontextprotocol/subscriptionId": 5}
    acknowledged, changed, result, end = said[0]
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"] == {"notifications": {"toolsListChanged": True}, "_meta": meta}
    assert (changed["method"], changed["params"]) == (CHANGED, {"_meta": {"x/y": 1, **meta}})
    assert (result["id"], result["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], end) == (5, 5, None)
    assert [message and message.get("id") for message in said[1]] == [None, 6, None]
    assert {entry.outcome for entry in server.journal} == {"answered"}
    if SPEC is not None:
        for message in (acknowledged, changed):
            check("2026-07-28", "ServerNotification", message)
        check("2026-07-28", "SubscriptionsListenResultResponse", result)


async def test_a_subscription_may_be_refused_and_may_be_cut(carrier: str) -> None:
    server = Server()
    async with reach(server, carrier) as peer:
        with anyio.fail_after(10):
            async with listening(peer, None) as refused, listening(peer, {}) as cut:
                assert refused.status == 400
                await cut.next()
                server.end_subscriptions(cut=True)
                with pytest.raises(BROKEN):
                    await cut.next()
        assert server.journal[1].outcome == "cut"


async def test_sessions_hear_on_their_streams_and_go_on_when_one_is_hung_up(carrier: str) -> None:
    server = Server(revisions=["2025-11-25", "2024-11-05"])
    async with reach(server, carrier) as peer, connected(peer) as legacy:
        await legacy.shake_hands()
        session = await peer.open_session()
        with anyio.fail_after(10):
            async with peer.stream("GET", "/mcp", {**session, **LISTEN}) as first:
                await server.notify(CHANGED)
                heard = [await first.next(), await legacy.next()]
                server.hang_up()
                ended = [await first.next(), await legacy.stream.receive()]
            await server.notify(CHANGED, {"_meta": {"n": 2}})
            async with peer.stream("GET", "/mcp", {**session, **LISTEN}) as second:
                later = await second.next()
                server.hang_up(cut=True)
                with pytest.raises(BROKEN):
                    await second.next()
    assert heard == [{"jsonrpc": "2.0", "method": CHANGED}] * 2
    assert ended == [None, b""]
    assert later["params"] == {"_meta": {"n": 2}}


async def steps(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
    """Take three steps."""
    for number in range(1, 4):
        await call.progress(number)
    return "done"


CALL = request("tools/call", {"name": "steps", "_meta": {"progressToken": "t"}}, 7)
COMPLETE = [1, 2, 3, "done"]


async def events_of(stream: Stream) -> list[bytes]:
    """The events that came before the stream ended or broke."""
    events = []
    try:
        while event := await stream.receive():
            events.append(event)
    except BROKEN:
        pass
    return events


def fields(event: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in event.decode().strip("\n").split("\n"))


def said(events: list[bytes]) -> list[Any]:
    """The progress and the result in ``events``."""
    messages = [json.loads(text) for event in events if (text := fields(event).get("data", "").strip())]
    return [m["params"]["progress"] if "method" in m else m["result"]["content"][0]["text"] for m in messages]


async def call_and_resume(peer: Peer, session: dict[str, str], times: int = 1) -> list[list[bytes]]:
    """The events of a call's stream, and of what is left of it each time that it is taken up again."""
    with anyio.fail_after(10):
        async with peer.stream("POST", "/mcp", post_headers(session), json.dumps(CALL).encode()) as stream:
            parts = [await events_of(stream)]
        for _ in range(times):
            last = fields([event for part in parts for event in part][-1])["id"]
            async with peer.stream("GET", "/mcp", {**session, **LISTEN, "last-event-id": last}) as stream:
                parts.append(await events_of(stream))
    return parts


async def test_a_stream_is_taken_up_at_every_event(carrier: str) -> None:
    server = Server([steps], resumable=True, retry=50)
    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        for count in range(1, 6):
            server.cut_after(count, politely=count % 2 == 0)
            first, rest = await call_and_resume(peer, session)
            assert (len(first), len(rest)) == (count, 5 - count)
            assert said(first + rest) == COMPLETE
            ids = [fields(event)["id"] for event in first + rest]
            assert len(set(ids)) == 5
            assert (first[0].split(b"\n", 1)[1], b"retry" in b"".join(first[1:])) == (b"retry: 50\ndata: \n\n", False)
        server.cut_after(3)
        server.cut_after(1, "GET")
        parts = await call_and_resume(peer, session, times=2)
        server.cut_after(0)
        async with peer.stream("POST", "/mcp", post_headers(session), json.dumps(CALL).encode()) as stream:
            assert await events_of(stream) == []
        server.assert_script_played()
    assert [said(part) for part in parts] == [[1, 2], [3], ["done"]]


async def test_before_2025_11_25_no_event_comes_without_a_message(carrier: str) -> None:
    server = Server([steps], resumable=True, retry=50)
    server.cut_after(1)
    async with reach(server, carrier) as peer:
        session = await peer.open_session("2025-06-18")
        first, rest = await call_and_resume(peer, session)
    assert (said(first), said(rest)) == ([1], [2, 3, "done"])
    assert fields(first[0])["retry"] == "50"


async def test_the_listening_stream_too_is_taken_up_and_ids_are_of_one_session(carrier: str) -> None:
    server = Server(resumable=True)
    async with reach(server, carrier) as peer:
        session, other = await peer.open_session(), await peer.open_session()
        with anyio.fail_after(10):
            async with peer.stream("GET", "/mcp", {**session, **LISTEN}) as stream:
                last = fields(await stream.receive())["id"]
                server.hang_up(cut=True)
                assert await events_of(stream) == []
            await server.notify(CHANGED)
            again = {**LISTEN, "last-event-id": last}
            async with peer.stream("GET", "/mcp", {**session, **again}) as stream:
                assert (await stream.next())["method"] == CHANGED
            assert (await peer.send("GET", "/mcp", {**other, **again})).status == 400
            assert (await peer.send("GET", "/mcp", {**session, **LISTEN, "last-event-id": "x"})).status == 400


async def test_a_tool_that_cuts_its_stream_has_cut_it_for_good(carrier: str) -> None:
    server = Server(resumable=True)
    gate = anyio.Event()

    @server.tool(name="steps")
    async def cuts(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        await call.progress(1)
        await gate.wait()
        raise Disconnect

    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(session), json.dumps(CALL).encode()) as stream:
                first = [await stream.receive(), await stream.receive()]
                gate.set()
                with pytest.raises(BROKEN):
                    await stream.receive()
            again = {**session, **LISTEN, "last-event-id": fields(first[0])["id"]}
            async with peer.stream("GET", "/mcp", again) as stream:
                assert said([await stream.receive()]) == said(first) == [1]
                with pytest.raises(BROKEN):
                    await stream.receive()


async def test_the_work_outlives_its_stream_until_it_is_cancelled(carrier: str) -> None:
    server = Server(resumable=True)
    gate, stopped = anyio.Event(), anyio.Event()

    @server.tool(name="steps")
    async def slow(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
        try:
            with anyio.fail_after(9):
                await call.progress(1)
                await gate.wait()
            await call.progress(2)
            if arguments:
                await anyio.sleep_forever()
            return "done"
        finally:
            stopped.set()

    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        server.cut_after(2)
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(session), json.dumps(CALL).encode()) as stream:
                first = await events_of(stream)
            gate.set()
            await stopped.wait()
            last = fields(first[-1])["id"]
            async with peer.stream("GET", "/mcp", {**session, **LISTEN, "last-event-id": last}) as stream:
                rest = await events_of(stream)
            stopped = anyio.Event()
            endless = request("tools/call", {"name": "steps", "arguments": {"endless": 1}}, 8)
            async with peer.stream("POST", "/mcp", post_headers(session), json.dumps(endless).encode()) as stream:
                await stream.receive()
                cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 8}}
                assert (await peer.post(cancelled, session)).status == 202
                assert await events_of(stream) == []
            await stopped.wait()
    assert (said(first), said(rest)) == ([1], [2, "done"])
