"""Our own engine over real sockets: exact on the wire, bounded in its connections, clear about its end."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import evolve
from support.exchanges import LINES, delete, engine, exchange, get, post, read
from support.raw_server import Peer, Received, raw_server

from mcpcore.context import RequestKind
from mcpcore.errors import (
    LocalProtocolError,
)
from mcpcore.limits import Limits
from transports.engines.base import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Sockets and generators that a test left behind are found now, and are that test's failure."""
    yield
    gc.collect()


# What is on the wire


async def test_a_request_is_the_given_headers_and_framing() -> None:
    async with raw_server() as server, engine() as client:
        host = b"Host: 127.0.0.1:%d" % server.port
        await exchange(client, post(server.url, b'{"id":1}'))
        await exchange(client, post(server.url, b""))
        await exchange(client, delete(server.url + "/a%20b?q=%C3%A9&r"))
        await exchange(client, get(server.url))
        sent = [(request.line, request.headers, request.body) for request in server.requests]
        assert sent == [
            (b"POST /mcp HTTP/1.1", [host, *LINES, b"Content-Length: 8"], b'{"id":1}'),
            (b"POST /mcp HTTP/1.1", [host, *LINES, b"Content-Length: 0"], b""),
            (b"DELETE /mcp/a%20b?q=%C3%A9&r HTTP/1.1", [host, *LINES], b""),
            (b"GET /mcp HTTP/1.1", [host, *LINES], b""),
        ]


async def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url, headers=()))
        assert server.requests[0].headers == [b"Host: 127.0.0.1:%d" % server.port, b"Content-Length: 8"]


async def test_a_cookie_is_neither_kept_nor_sent() -> None:
    async def set_cookie(peer: Peer, request: Received) -> None:
        await peer.answer(b"{}", b"Set-Cookie: sid=alice; Path=/")

    async with raw_server(set_cookie) as server, engine() as client:
        response = await client.send(post(server.url))
        assert (b"Set-Cookie", b"sid=alice; Path=/") in response.headers
        await read(response)
        await exchange(client, post(server.url))
        assert [request.values(b"cookie") for request in server.requests] == [[], []]


async def test_a_redirect_is_only_reported() -> None:
    async def redirect(peer: Peer, request: Received) -> None:
        await peer.answer(b"", b"Location: /elsewhere", status=b"307 Temporary Redirect")

    async with raw_server(redirect) as server, engine() as client:
        response = await client.send(post(server.url))
        assert (response.status, await read(response), len(server.requests)) == (307, b"", 1)


async def test_the_body_comes_as_it_is_sent() -> None:
    told = anyio.Event()

    async def slowly(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n3\r\none\r\n")
        await told.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with raw_server(slowly) as server, engine() as client:
        response = await client.send(post(server.url))
        assert response.status == 200
        assert list(response.headers) == [(b"Transfer-Encoding", b"chunked"), (b"X-A", b"1"), (b"x-a", b"2")]
        assert await response.receive() == b"one"
        told.set()
        assert await response.receive() == b"two"
        assert await response.receive() == b""
        assert await response.receive() == b""
        assert isinstance(client, Engine)
        assert client.carries_identity is False


# Connections


async def test_a_connection_is_used_again_once_its_body_was_read() -> None:
    async with raw_server() as server, engine() as client:
        for _ in range(3):
            response = await client.send(post(server.url))
            assert (client.connections_in_use, client.connections_idle) == (1, 0)
            while await response.receive():
                pass
            assert (client.connections_in_use, client.connections_idle) == (0, 1)
            await response.aclose()
            await response.aclose()
        assert [request.connection for request in server.requests] == [1, 1, 1]
        assert (client.connections_opened, client.connections_in_use, client.connections_idle) == (1, 0, 1)


async def test_the_connection_used_last_is_used_first() -> None:
    async with raw_server() as server, engine() as client:
        first, second = await client.send(post(server.url)), await client.send(post(server.url))
        await read(second)
        await read(first)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2, 1]


async def test_an_unread_body_closes_its_connection() -> None:
    async with raw_server() as server, engine() as client:
        response = await client.send(post(server.url))
        await response.aclose()
        with pytest.raises(LocalProtocolError):
            await response.receive()
        await server.until(lambda server: server.open == 0)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2]


async def test_a_connection_that_the_server_will_close_is_not_kept() -> None:
    async def last(peer: Peer, request: Received) -> None:
        await peer.answer(b"{}", b"Connection: close")

    async with raw_server(last) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b"{}"
        assert client.connections_idle == 0
        await server.until(lambda server: server.open == 0)


async def test_two_hundred_calls_over_twenty_connections() -> None:
    async def slowly(peer: Peer, request: Received) -> None:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        await peer.answer(request.body)

    answers: list[bytes] = []
    async with raw_server(slowly) as server, engine(Limits(connections=20)) as client:

        async def call(number: int) -> None:
            answers.append(await exchange(client, post(server.url, b"%d" % number)))

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(call, number)
        assert sorted(answers) == sorted(b"%d" % number for number in range(200))
        assert server.connections == client.connections_opened == server.most_open == 20
        assert (client.connections_in_use, client.connections_idle) == (0, 20)


async def test_calls_wait_in_turn_and_a_cancelled_one_steps_out() -> None:
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        order: list[int] = []

        async def call(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                body = await exchange(client, post(server.url, b"%d" % number))
                order.append(number)
                assert body == b"{}"

        holder = await client.send(post(server.url))
        scopes = [anyio.CancelScope() for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for number, scope in enumerate(scopes):
                tasks.start_soon(call, number, scope)
                await anyio.wait_all_tasks_blocked()
            scopes[1].cancel()
            # The turn of the first one is given to it and it is cancelled in the same breath: the next one gets it.
            await read(holder)
            scopes[0].cancel()
        assert order == [2, 3]
        assert [request.body for request in server.requests[1:]] == [b"2", b"3"]
        assert client.connections_in_use == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_turn_given_to_a_task_that_is_cancelled_meanwhile_is_passed_on() -> None:
    """Only asyncio's own cancellation can arrive between the giving of a turn and the taking."""
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        holder = await client.send(post(server.url))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(exchange(client, post(server.url, b"1")))
            await anyio.wait_all_tasks_blocked()
            second = tasks.create_task(exchange(client, post(server.url, b"2")))
            await anyio.wait_all_tasks_blocked()
            await read(holder)
            first.cancel()
        assert (first.cancelled(), second.result()) == (True, b"{}")
        assert [request.body for request in server.requests[1:]] == [b"2"]
        assert client.connections_in_use == 0


async def test_an_answer_to_the_server_does_not_wait_for_the_call_that_waits_for_it() -> None:
    async with raw_server() as server, engine(Limits(connections=1, reply_connections=1)) as client:
        call = await client.send(post(server.url))
        with anyio.fail_after(5):
            assert await exchange(client, evolve(post(server.url), kind=RequestKind.RESPONSE)) == b"{}"
        assert client.connections_in_use == 1
        await call.aclose()


async def test_a_stream_does_not_keep_the_credentials_that_it_was_opened_with() -> None:
    async def stream(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.until_gone()

    def holders(field: tuple[bytes, bytes]) -> list[list[object]]:
        lists = (thing for thing in gc.get_objects() if type(thing) is list)
        return [thing for thing in lists if any(item is field or item == field for item in thing[:20])]

    async with raw_server(stream) as server, engine() as client:
        field = (b"x-of-this-test-alone", b"secret")
        response = await client.send(evolve(get(server.url), headers=(field,)))
        server.requests.clear()
        assert holders(field) == []
        await response.aclose()


async def test_streams_have_a_budget_of_their_own() -> None:
    async def stream(peer: Peer, request: Received) -> None:
        if request.line.startswith(b"POST"):
            await peer.answer()
        else:
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await peer.until_gone()

    async with raw_server(stream) as server, engine(Limits(connections=1, streams=1)) as client:
        listening = await client.send(get(server.url))
        assert await exchange(client, post(server.url)) == b"{}"
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.send, get(server.url))
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert len(server.requests) == 2
        await listening.aclose()
        again = await client.send(get(server.url))
        await again.aclose()
        assert client.connections_in_use == 0


async def test_the_bound_counts_connections_to_every_origin() -> None:
    async with raw_server() as one, raw_server() as other, engine(Limits(connections=1)) as client:
        for server in (one, other, one):
            await exchange(client, post(server.url))
            assert client.connections_idle == 1
        assert (one.connections, other.connections) == (2, 1)
        await other.until(lambda server: server.open == 0)


async def test_an_idle_connection_grows_too_old() -> None:
    now = [0.0]
    async with raw_server() as server, engine(Limits(idle_connection=15), clock=lambda: now[0]) as client:
        responses = [await client.send(post(server.url)) for _ in range(3)]
        for response in responses:
            await read(response)
        now[0] = 15.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (3, 3)
        now[0] = 16.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (3, 1)
        now[0] = 32.0
        await exchange(client, post(server.url))
        assert (server.connections, client.connections_idle) == (4, 1)
        await server.until(lambda server: server.open == 1)


async def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async def once(peer: Peer, request: Received) -> None:
        await peer.answer()
        await peer.aclose()

    async with raw_server(once) as server, engine() as client:
        await exchange(client, post(server.url))
        await server.until(lambda server: server.open == 0)
        await exchange(client, post(server.url))
        assert [request.connection for request in server.requests] == [1, 2]


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"nonsense\r\n\r\n"])
async def test_bytes_after_an_answer_are_not_the_next_answer(extra: bytes) -> None:
    async def too_much(peer: Peer, request: Received) -> None:
        body = b"mine"
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body + extra)

    async with raw_server(too_much) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b"mine"
        assert await exchange(client, post(server.url)) == b"mine"
        assert [request.connection for request in server.requests] == [1, 2]


async def test_the_beginning_of_a_second_answer_is_nobodys() -> None:
    """It may have arrived together with the first answer; what completes it comes when the next user asks."""
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    async def one_and_a_half(peer: Peer, request: Received) -> None:
        if request is server.requests[0]:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine" + second[:20])
        elif peer.number == 1:
            await peer.send(second[20:])
        else:
            await peer.answer(b"mine")

    async with raw_server(one_and_a_half) as server, engine() as client:
        assert await exchange(client, post(server.url)) == b"mine"
        assert client.connections_idle == 0
        assert await exchange(client, post(server.url)) == b"mine"
        assert [request.connection for request in server.requests] == [1, 2]


async def test_a_response_given_up_halfway_leaves_no_generator_to_the_event_loop() -> None:
    """Whoever else has to end it does so later, in a task that nobody knows of."""

    async def half(peer: Peer, request: Received) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        await peer.until_gone()

    left, hooks = list[object](), sys.get_asyncgen_hooks()
    async with raw_server(half) as server, engine() as client:
        sys.set_asyncgen_hooks(hooks.firstiter, left.append)
        try:
            response = await client.send(post(server.url))
            assert await response.receive() == b"half"
            await response.aclose()
        finally:
            sys.set_asyncgen_hooks(*hooks)
        del response
        gc.collect()
        assert left == []


# The end


async def test_a_closed_engine_refuses() -> None:
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url))
        await client.aclose()
        await server.until(lambda server: server.open == 0)
        for request in (post(server.url), get(server.url)):
            with pytest.raises(LocalProtocolError, match="closed"):
                await client.send(request)
        await client.aclose()
        assert len(server.requests) == 1


async def test_closing_lets_responses_end_and_fails_those_who_wait() -> None:
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        response = await client.send(post(server.url))
        failures: list[BaseException] = []

        async def call() -> None:
            try:
                await client.send(post(server.url))
            except LocalProtocolError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
        assert len(failures) == 1
        assert await read(response) == b"{}"
        assert (client.connections_in_use, client.connections_idle) == (0, 0)
        await server.until(lambda server: server.open == 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("handed_over", [False, True], ids=["waiting", "its turn came"])
async def test_closing_counts_right_when_a_task_is_cancelled_meanwhile(handed_over: bool) -> None:
    """Only asyncio's own cancellation can arrive between the closing and the waiter's learning of it."""
    async with raw_server() as server, engine(Limits(connections=1)) as client:
        holder = await client.send(post(server.url))
        waiters = [asyncio.create_task(exchange(client, post(server.url))) for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        if handed_over:
            await holder.aclose()
        await client.aclose()
        waiters[0].cancel()
        cancelled, failed = await asyncio.gather(*waiters, return_exceptions=True)
        assert isinstance(cancelled, asyncio.CancelledError)
        assert isinstance(failed, LocalProtocolError)
        assert client.connections_in_use == (0 if handed_over else 1)
        await holder.aclose()
        assert client.connections_in_use == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_engine_belongs_to_one_event_loop() -> None:
    async with raw_server() as server, engine() as client:
        await exchange(client, post(server.url))

        async def elsewhere() -> None:
            with pytest.raises(LocalProtocolError, match="another event loop"):
                await client.send(post(server.url))
            with pytest.raises(LocalProtocolError, match="another event loop"):
                await client.aclose()

        for backend in ("asyncio", "trio"):
            await anyio.to_thread.run_sync(functools.partial(anyio.run, elsewhere, backend=backend))
        assert await exchange(client, post(server.url)) == b"{}"
