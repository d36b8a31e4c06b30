"""Trace context in messages and headers (2026-07-28, "Overview", OpenTelemetry trace context)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from support.pure import Reply, headers_of, message_of
from support.scenes import ALICE, HANDSHAKE, MODERN, SCENES, URL, PureServer, Scene

from mcpcore import Client, LocalProtocolError, RequestContext, RequestKind, SendRequest
from mcpcore.rules.trace_context import TRACE_FIELDS


def numbered() -> Iterator[Mapping[str, str]]:
    for number in count(1):
        yield {"traceparent": f"00-{number:032x}-00f067aa0ba902b7-01", "tracestate": "a=1", "baggage": "n=%C3%A4"}


def traced(scene: Scene, **options: Any) -> PureServer:
    """Play a scene with a hook that says something else each time."""
    numbers = numbered()
    client = Client(URL, trace=lambda: next(numbers), **scene.options, **options)
    server = PureServer(scene.era)
    scene.act(client, server, ALICE)
    return server


def trace_of(carrier: Mapping[str, Any]) -> dict[str, Any]:
    return {name: carrier[name] for name in TRACE_FIELDS if name in carrier}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_every_message_says_which_trace_it_belongs_to_and_its_headers_say_the_same(scene: Scene) -> None:
    server = traced(scene)
    seen: list[str] = []
    assert server.of_kind(scene.kind)
    for request in server.sent:
        headers, message = headers_of(request), message_of(request)
        assert trace_of(headers).keys() == set(TRACE_FIELDS)
        if "method" in message:
            assert trace_of(message["params"]["_meta"]) == trace_of(headers)
            seen.append(headers["traceparent"])
        else:
            assert b"traceparent" not in request.body
    assert len(set(seen)) == len(seen)


def test_a_request_that_is_sent_again_belongs_to_the_same_trace() -> None:
    answers = [Reply(401), None]
    numbers = numbered()
    client = Client(URL, trace=lambda: next(numbers), get_headers=lambda _: {"Authorization": "x"}, **MODERN)
    server = PureServer("modern", lambda _: answers.pop(0))
    server.driver.run(client.list_tools(context=ALICE))
    assert [trace_of(headers_of(request)) for request in server.sent] == [next(numbered())] * 2


def test_the_notice_of_a_cancellation_belongs_to_the_trace_of_what_it_cancels() -> None:
    numbers = numbered()
    client = Client(URL, trace=lambda: next(numbers), **HANDSHAKE)
    server = PureServer("handshake")
    server.driver.run(client.open(context=ALICE))
    operation = client.call_tool("search", context=ALICE)
    command = operation.next_command()
    assert isinstance(command, SendRequest)
    farewell = operation.cancel()
    assert farewell is not None
    server.driver.run(farewell)
    [notice] = [request for request in server.sent if request.rpc_method == "notifications/cancelled"]
    assert (
        trace_of(headers_of(notice)) == trace_of(message_of(notice)["params"]["_meta"]) == trace_of(headers_of(command))
    )


@pytest.mark.parametrize("nothing", [None, {}])
def test_without_a_trace_nothing_is_said(nothing: Mapping[str, str] | None) -> None:
    client, server = Client(URL, trace=lambda: nothing, **MODERN), PureServer("modern")
    server.driver.run(client.list_tools(context=ALICE))
    assert trace_of(headers_of(server.sent[0])) == trace_of(message_of(server.sent[0])["params"]["_meta"]) == {}


def test_without_a_hook_a_message_says_what_its_caller_says_and_headers_nothing() -> None:
    client, server = Client(URL, **MODERN), PureServer("modern")
    params = {"name": "search", "_meta": {"traceparent": "mine"}}
    server.driver.run(client.request("tools/call", params, context=ALICE))
    assert message_of(server.sent[0])["params"]["_meta"]["traceparent"] == "mine"
    assert trace_of(headers_of(server.sent[0])) == {}


def test_a_resolver_sees_the_trace_and_wins() -> None:
    def resolver(context: RequestContext) -> dict[str, str]:
        return {"Traceparent": context.headers["traceparent"] + "-mine"}

    [request] = traced(SCENES["list, modern"], get_headers=resolver).of_kind(RequestKind.REQUEST)
    said = next(numbered())["traceparent"]
    assert headers_of(request)["traceparent"] == said + "-mine"
    assert message_of(request)["params"]["_meta"]["traceparent"] == said


def test_static_and_forwarded_headers_win_too() -> None:
    options: dict[str, Any] = {"headers": {"tracestate": "b=2"}, "forward": ["x-user"]}
    [request] = traced(SCENES["list, modern"], **options).of_kind(RequestKind.REQUEST)
    assert headers_of(request)["tracestate"] == "b=2"
    assert headers_of(request)["x-user"] == "alice"


def test_a_trace_is_no_part_of_an_identity() -> None:
    numbers = numbered()
    client = Client(URL, trace=lambda: next(numbers), get_headers=lambda _: {"X-User": "alice"}, **HANDSHAKE)
    server = PureServer("handshake")
    for _ in range(3):
        server.driver.run(client.list_tools())
    assert (server.sessions, client.statistics().anonymous_partitions) == (1, 1)


PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"b3": "1"}, "'b3', which is none of"),
        ({"Traceparent": PARENT}, "'Traceparent', which is none of"),
        ({1: "1"}, "'1', which is none of"),
        *(
            ({"traceparent": odd}, "a traceparent that is none")
            for odd in ("", "1", PARENT.upper(), "ff" + PARENT[2:], 1)
        ),
        ({"traceparent": PARENT.replace("00f067aa0ba902b7", "0" * 16)}, "a traceparent that is none"),
        *(({"baggage": odd}, "a baggage that is none") for odd in ("", "a\r\nb", "ä", None, b"a")),
        ({"tracestate": " a=1"}, "a tracestate that is none"),
        (7, "the trace hook raised TypeError"),
    ],
)
@pytest.mark.parametrize("options", [MODERN, HANDSHAKE], ids=["modern", "handshake"])
def test_a_hook_that_says_what_cannot_be_sent_fails_the_call(said: Any, complaint: str, options: Any) -> None:
    client, server = Client(URL, trace=lambda: said, **options), PureServer("modern")
    with pytest.raises(LocalProtocolError, match=complaint) as caught:
        server.driver.run(client.list_tools(context=ALICE))
    assert (caught.value.server, server.sent) == (URL, [])
    assert client.statistics().calls == 0


def test_what_a_caller_says_of_a_trace_by_hand_must_fit_a_header() -> None:
    client, server = Client(URL, trace=lambda: None, **MODERN), PureServer("modern")
    with pytest.raises(LocalProtocolError, match="trace context: the value of the header baggage has characters"):
        server.driver.run(client.request("tools/list", {"_meta": {"baggage": "世"}}, context=ALICE))
