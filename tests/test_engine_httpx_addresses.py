"""Our own engine and addresses: it tells where a host is, and goes where it is told to go."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.abc
import pytest
from attrs import define, evolve, field
from support.certificates import tls_pair
from support.exchanges import engine, exchange, post
from support.raw_server import Peer, RawServer, Received, raw_server
from trio.testing import MockClock

from mcpcore import SendRequest, TransportError
from transports.engines.base import LooksUp

T = TypeVar("T")

pytestmark = pytest.mark.timeout(30)


async def greet(peer: Peer, request: Received) -> None:
    await peer.answer(b"hello")


def elsewhere(server: RawServer, *addresses: str, host: str = "login.invalid") -> SendRequest:
    """A request for a host that no name service knows, to be sent to these addresses."""
    parts = urlsplit(server.url)
    return evolve(post(parts._replace(netloc=f"{host}:{parts.port}").geturl()), addresses=addresses)


@pytest.mark.anyio
async def test_it_tells_where_a_host_is() -> None:
    async with engine() as client:
        assert isinstance(client, LooksUp)
        assert set(await client.look_up("localhost")) & {"127.0.0.1", "::1"}
        assert await client.look_up("192.0.2.1") == ["192.0.2.1"]


@pytest.mark.anyio
async def test_a_host_that_is_nowhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with engine() as client:
        with pytest.raises(TransportError, match="could not be looked up"):
            await client.look_up(f"{'a' * 70}.example")
        monkeypatch.setattr(anyio, "getaddrinfo", fail)
        with pytest.raises(TransportError, match="could not be looked up"):
            await client.look_up("login.invalid")


@pytest.mark.anyio
async def test_behind_a_proxy_it_is_the_proxy_that_looks_up() -> None:
    async with engine(proxy="http://127.0.0.1:9") as client:
        assert await client.look_up("login.invalid") == ()


@pytest.mark.anyio
async def test_a_request_goes_to_its_addresses_and_nowhere_else() -> None:
    async with raw_server(greet) as server, engine() as client:
        assert await exchange(client, elsewhere(server, "127.0.0.1")) == b"hello"
        assert b"Host: login.invalid:%d" % (urlsplit(server.url).port or 0) in server.requests[0].headers
        assert await exchange(client, elsewhere(server, "127.0.0.1")) == b"hello"
        assert client.connections_opened == 1
        assert await exchange(client, post(server.url)) == b"hello"
        assert client.connections_opened == 2, "a connection that was looked at is not used for what was not"


@pytest.mark.anyio
async def test_its_addresses_are_tried_in_their_order() -> None:
    async with raw_server(greet) as server, engine() as client:
        # Nobody listens at the others.
        assert await exchange(client, elsewhere(server, "127.0.0.2", "127.0.0.3", "127.0.0.1")) == b"hello"
        with pytest.raises(TransportError, match="could not connect"):
            await client.send(elsewhere(server, "127.0.0.2", "127.0.0.3"))


@pytest.mark.anyio
async def test_a_certificate_is_held_against_the_host_and_not_the_address(tmp_path: Path) -> None:
    serving, trusting = tls_pair(tmp_path)
    async with raw_server(greet, tls=serving) as server, engine(ssl_context=trusting) as client:
        assert await exchange(client, elsewhere(server, "127.0.0.1", host="localhost")) == b"hello"
        with pytest.raises(TransportError, match="TLS"):
            await client.send(elsewhere(server, "127.0.0.1"))


# Several addresses


@define
class Network:
    """What is at each address, in place of :func:`anyio.connect_tcp`; who nobody answers waits for ever."""

    there: dict[str, Callable[[], Awaitable[anyio.abc.SocketStream]]] = field(factory=dict[str, Any])
    begun: list[tuple[str, float]] = field(factory=list[tuple[str, float]])
    given_up: list[str] = field(factory=list[str])
    opened: list[anyio.abc.SocketStream] = field(factory=list[anyio.abc.SocketStream])

    async def connect(self, address: str, port: int) -> anyio.abc.SocketStream:
        start = self.begun[0][1] if self.begun else anyio.current_time()
        self.begun.append((address, anyio.current_time() - start))
        try:
            stream = await self.there.get(address, nobody)()
        except anyio.get_cancelled_exc_class():
            self.given_up.append(address)
            raise
        self.opened.append(stream)
        return stream

    def left_open(self) -> int:
        """How many of the connections that were made are still there."""
        return sum(stream.extra(anyio.abc.SocketAttribute.raw_socket).fileno() >= 0 for stream in self.opened)


async def nobody() -> NoReturn:
    await anyio.sleep_forever()
    raise AssertionError("not reached")


async def refusal() -> NoReturn:
    raise ConnectionRefusedError("refused")


async def no_route() -> NoReturn:
    raise OSError("no route")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(anyio, "connect_tcp", network.connect)
    return network


FIRST, SECOND, THIRD, FOURTH = "2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"
ALL = FIRST, SECOND, THIRD, FOURTH
anyio_connect = anyio.connect_tcp


def to_server(server: RawServer) -> Callable[[], Awaitable[anyio.abc.SocketStream]]:
    return lambda: anyio_connect("127.0.0.1", urlsplit(server.url).port or 0)


async def finish(work: Awaitable[T]) -> T:
    """Do it, although one is told to stop."""
    with anyio.CancelScope(shield=True):
        return await work
    raise AssertionError("not reached")


@pytest.mark.anyio
async def test_an_address_that_nobody_answers_at_does_not_hold_up_those_that_somebody_does(network: Network) -> None:
    async with raw_server(greet) as server, engine() as client:
        network.there[SECOND] = to_server(server)
        assert await exchange(client, elsewhere(server, *ALL)) == b"hello"
        assert [address for address, _ in network.begun] == [FIRST, SECOND]
        assert network.given_up == [FIRST]


@pytest.mark.trio
async def test_each_is_tried_when_the_one_before_has_failed_or_had_a_quarter_of_a_second(
    network: Network, autojump_clock: MockClock
) -> None:
    network.there.update({SECOND: refusal, THIRD: no_route})
    async with engine() as client:
        with anyio.move_on_after(30) as scope:
            await client.send(evolve(post("http://login.invalid"), addresses=ALL))
        assert scope.cancelled_caught
        assert network.begun == [(FIRST, 0), (SECOND, 0.25), (THIRD, 0.25), (FOURTH, 0.25)]
        assert set(network.given_up) == {FIRST, FOURTH}
        assert client.connections_in_use == 0


@pytest.mark.anyio
@pytest.mark.parametrize(("there", "reason"), [((refusal, no_route), "refused"), ((no_route, refusal), "no route")])
async def test_where_all_fail_the_first_reason_is_told(there: tuple[Any, Any], reason: str, network: Network) -> None:
    network.there.update(zip((FIRST, SECOND), there, strict=True))
    async with engine() as client:
        with pytest.raises(TransportError, match=f"^could not connect: {reason}$"):
            await client.send(evolve(post("http://login.invalid"), addresses=(FIRST, SECOND)))


@pytest.mark.anyio
async def test_of_two_that_connect_at_once_one_is_closed(network: Network) -> None:
    is_in_time = anyio.Event()

    async def photo_finish() -> anyio.abc.SocketStream:
        await finish(is_in_time.wait())
        return await finish(to_server(server)())

    async def winner() -> anyio.abc.SocketStream:
        is_in_time.set()
        return await to_server(server)()

    async with raw_server(greet) as server, engine() as client:
        network.there = {FIRST: photo_finish, SECOND: winner}
        assert await exchange(client, elsewhere(server, *ALL)) == b"hello"
        assert len(network.opened) == 2
        assert network.left_open() == 1


@pytest.mark.anyio
async def test_what_connects_to_a_request_that_was_given_up_is_closed(network: Network) -> None:
    scope = anyio.CancelScope()

    async def too_late() -> anyio.abc.SocketStream:
        stream = await finish(to_server(server)())
        scope.cancel()
        return stream

    async with raw_server(greet) as server, engine() as client:
        network.there = {FIRST: too_late}
        with scope:
            await client.send(elsewhere(server, *ALL))
        assert scope.cancelled_caught
        assert len(network.opened) == 1
        assert network.left_open() == 0
        assert client.connections_in_use == 0
        assert server.requests == []
