"""The transition tables: every state with every event, and nothing in a table that cannot happen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from itertools import product
from typing import Any

import pytest
from support.pure import Answer, Reply, result_reply
from support.stepping import HandshakeServer, SseServer, event, initialize_result, modern_server, world_of

from mcpcore import LocalProtocolError, RemoteProtocolError, SendRequest, TransportError
from mcpcore.limits import Limits
from mcpcore.machines.exchange import Exchange
from mcpcore.machines.session import Session
from mcpcore.rules.revisions import HANDSHAKE
from mcpcore.rules.transitions import (
    CHANNEL,
    EXCHANGE,
    NEGOTIATION,
    SESSION,
    STREAM,
    ChannelState,
    ExchangeEvent,
    ExchangeState,
    NegotiationState,
    SessionEvent,
    SessionState,
    StreamState,
    advance,
)

Table = Mapping[tuple[Any, Any], Any]

TABLES: dict[str, tuple[Table, Any]] = {
    "exchange": (EXCHANGE, ExchangeState.SENT),
    "session": (SESSION, SessionState.INITIALIZING),
    "stream": (STREAM, StreamState.AWAITING_ENDPOINT),
    "channel": (CHANNEL, ChannelState.OPEN),
    "negotiation": (NEGOTIATION, NegotiationState.UNKNOWN),
}


def enums(table: Table) -> tuple[type[Enum], type[Enum]]:
    first_state, first_event = next(iter(table))
    return type(first_state), type(first_event)


@pytest.mark.parametrize("name", TABLES)
def test_every_state_with_every_event(name: str) -> None:
    table, _ = TABLES[name]
    states, events = enums(table)
    for state, happened in product(states, events):
        if (state, happened) in table:
            assert advance(table, state, happened) is table[state, happened]
            continue
        with pytest.raises(LocalProtocolError) as caught:
            advance(table, state, happened)
        assert caught.value.message == f"{happened.value} is not possible while {state.value}"
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_reached_and_every_event_happens(name: str) -> None:
    table, start = TABLES[name]
    states, events = enums(table)
    reached = {start}
    while more := {after for (before, _), after in table.items() if before in reached} - reached:
        reached |= more
    assert reached == set(states)
    assert {happened for _, happened in table} == set(events)


# The machines themselves: what their public methods cause is in the tables, and the rest is refused.

LIMITS = Limits(error_body_bytes=4)
ANSWER = {"jsonrpc": "2.0", "id": 7, "result": {}}
JSON_HEAD = (200, [("content-type", "application/json")])
STREAM_HEAD = (200, [("content-type", "text/event-stream")])
ERROR_HEAD = (500, [("content-type", "application/json")])
EMPTY_HEAD = (500, [("content-type", "text/html")])
BROKEN = TransportError("broken")


def exchange_in(state: ExchangeState) -> Exchange:
    """An exchange that has come so far."""
    exchange = Exchange(LIMITS, 7, resumable=state is ExchangeState.INTERRUPTED)
    heads = {
        ExchangeState.JSON: JSON_HEAD,
        ExchangeState.STREAM: STREAM_HEAD,
        ExchangeState.INTERRUPTED: STREAM_HEAD,
        ExchangeState.REFUSED: ERROR_HEAD,
        ExchangeState.SKIPPING: EMPTY_HEAD,
        ExchangeState.ANSWERED: STREAM_HEAD,
        ExchangeState.DONE: JSON_HEAD,
    }
    if state in heads:
        exchange.receive_head(*heads[state])
    if state is ExchangeState.ANSWERED:
        exchange.receive_data(event(ANSWER))
        assert not exchange.next_messages()
    elif state is ExchangeState.INTERRUPTED:
        exchange.receive_data(b"id: 1\ndata:\n\n")
        assert not exchange.next_messages()
        exchange.receive_end()
    elif state is ExchangeState.DONE:
        exchange.receive_data(json.dumps(ANSWER).encode())
        exchange.receive_end()
    elif state is ExchangeState.BROKEN:
        with pytest.raises(TransportError):
            exchange.receive_failure(BROKEN)
    assert exchange.state is state
    return exchange


def give_answer(exchange: Exchange) -> None:
    exchange.receive_data(event(ANSWER))
    exchange.next_messages()


def give_up(exchange: Exchange) -> None:
    raise exchange.give_up()


CAUSES: dict[ExchangeEvent, Callable[[Exchange], None]] = {
    ExchangeEvent.JSON_HEAD: lambda exchange: exchange.receive_head(*JSON_HEAD),
    ExchangeEvent.STREAM_HEAD: lambda exchange: exchange.receive_head(*STREAM_HEAD),
    ExchangeEvent.ERROR_HEAD: lambda exchange: exchange.receive_head(*ERROR_HEAD),
    ExchangeEvent.EMPTY_HEAD: lambda exchange: exchange.receive_head(*EMPTY_HEAD),
    ExchangeEvent.DATA: lambda exchange: exchange.receive_data(b"1"),
    ExchangeEvent.END: lambda exchange: exchange.receive_end(),
    ExchangeEvent.FAILURE: lambda exchange: exchange.receive_failure(BROKEN),
    ExchangeEvent.RESUMED: lambda exchange: exchange.resume(Exchange(LIMITS)),
    ExchangeEvent.GIVEN_UP: lambda exchange: give_up(exchange),
}
"""How a driver causes an event.  The other three come of what was received, in one state each."""


@pytest.mark.parametrize("state", ExchangeState)
@pytest.mark.parametrize("happened", CAUSES)
def test_exchange(state: ExchangeState, happened: ExchangeEvent) -> None:
    exchange = exchange_in(state)
    if (state, happened) not in EXCHANGE:
        with pytest.raises(LocalProtocolError, match=state.value):
            CAUSES[happened](exchange)
        assert exchange.state is state
        return
    with suppress(RemoteProtocolError, TransportError):
        CAUSES[happened](exchange)
    assert exchange.state is EXCHANGE[state, happened]


def test_exchange_events_that_come_of_data() -> None:
    exchange = exchange_in(ExchangeState.STREAM)
    give_answer(exchange)
    assert exchange.state is EXCHANGE[ExchangeState.STREAM, ExchangeEvent.ANSWER]
    assert exchange_in(ExchangeState.INTERRUPTED).state is EXCHANGE[ExchangeState.STREAM, ExchangeEvent.BREAK]
    exchange = exchange_in(ExchangeState.REFUSED)
    exchange.receive_data(b"12345")
    assert exchange.state is EXCHANGE[ExchangeState.REFUSED, ExchangeEvent.SURPLUS]


@pytest.mark.parametrize("state", SessionState)
@pytest.mark.parametrize("happened", SessionEvent)
def test_session(state: SessionState, happened: SessionEvent) -> None:
    session = Session("https://mcp.example/mcp", HANDSHAKE)
    path = [SessionEvent.INITIALIZE_RESULT, SessionEvent.CONFIRMED, SessionEvent.TERMINATED]
    for before in path[: list(SessionState).index(state)]:
        session.note(before)
    assert session.state is state
    if (state, happened) in SESSION:
        session.note(happened)
        assert session.state is SESSION[state, happened]
    else:
        with pytest.raises(LocalProtocolError, match=state.value):
            session.note(happened)
        assert session.state is state


# Whole calls: every entry of the tables that calls go through is needed by one of them.


class Recorder(dict[Any, Any]):
    """A table that remembers which of its entries were used."""

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.used: set[Any] = set()

    def __getitem__(self, key: Any) -> Any:
        after = super().__getitem__(key)
        self.used.add(key)
        return after


def test_negotiation_uses_its_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Recorder(NEGOTIATION)
    monkeypatch.setattr("mcpcore.machines.negotiation.NEGOTIATION", table)

    def fail_after(*kinds: str) -> Callable[[SendRequest], Answer]:
        return lambda request: Reply(405 if request.rpc_method in kinds else 500)

    for server, options, works in (
        (modern_server, {}, True),
        (HandshakeServer(), {}, True),
        (SseServer(), {"type": "auto"}, True),
        (SseServer(), {"type": "auto", "protocol_version": "2024-11-05"}, True),
        (fail_after(), {}, False),
        (fail_after("server/discover"), {}, False),
        (fail_after("server/discover", "initialize"), {"type": "auto"}, False),
    ):
        world = world_of(server, **options)
        play = world.play(world.client.open())
        play.end()
        assert (play.error is None) is works
    assert table.used == set(NEGOTIATION)


def test_sessions_use_their_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Recorder(SESSION)
    monkeypatch.setattr("mcpcore.machines.session.SESSION", table)

    world = world_of(server := HandshakeServer(), protocol_version="2025-11-25")
    world.run(world.client.ping())
    first, second = world.play(world.client.ping()), world.play(world.client.ping())
    server.known.clear()
    first.until(SendRequest)
    second.until(SendRequest)
    world.run_all(first, second)  # Both learn that the session is gone.
    assert server.opened == 2
    late = world.play(world.client.ping())
    late.until(SendRequest)
    [goodbye] = world.client.close()
    server.known.clear()
    late.finish()
    world.run(goodbye)  # What it would have ended had ended by itself.

    world = world_of(HandshakeServer(), protocol_version="2025-11-25")
    world.run(world.client.ping())
    [goodbye] = world.client.close()
    world.run(goodbye)

    def refuse_confirmation(request: SendRequest) -> Answer:
        return Reply(500) if request.rpc_method == "notifications/initialized" else HandshakeServer()(request)

    def speak_nonsense(request: SendRequest) -> Answer:
        nonsense = initialize_result("1999-01-01")
        return Reply(204) if request.method == "DELETE" else result_reply(request, nonsense, mcp_session_id="s")

    for bad in (refuse_confirmation, speak_nonsense):
        world = world_of(bad, protocol_version="2025-11-25")
        world.fail(world.client.ping())
        assert world.methods()[-1] == "DELETE"
    assert table.used == set(SESSION)


def test_streams_use_their_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Recorder(STREAM)
    monkeypatch.setattr("mcpcore.machines.http_sse.STREAM", table)
    world = world_of(SseServer(), type="sse")
    world.run(world.client.ping())
    world.streams[0].receive_end()
    world.streams[0].receive_end()  # An ending that comes late says nothing new.
    world = world_of(SseServer(endpoint=b"https://elsewhere.example/"), type="sse")
    world.fail(world.client.ping())
    assert table.used == set(STREAM)
