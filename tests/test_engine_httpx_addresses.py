"""Our own engine and addresses: it tells where a host is, and goes where it is told to go."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import anyio
import pytest
from attrs import evolve
from support.certificates import tls_pair
from support.exchanges import engine, exchange, post
from support.raw_server import Peer, RawServer, Received, raw_server

from mcpcore import SendRequest, TransportError
from transports.engines.base import LooksUp

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


async def greet(peer: Peer, request: Received) -> None:
    await peer.answer(b"hello")


def elsewhere(server: RawServer, *addresses: str, host: str = "login.invalid") -> SendRequest:
    """A request for a host that no name service knows, to be sent to these addresses."""
    parts = urlsplit(server.url)
    return evolve(post(parts._replace(netloc=f"{host}:{parts.port}").geturl()), addresses=addresses)


async def test_it_tells_where_a_host_is() -> None:
    async with engine() as client:
        assert isinstance(client, LooksUp)
        assert set(await client.look_up("localhost")) & {"127.0.0.1", "::1"}
        assert await client.look_up("192.0.2.1") == ["192.0.2.1"]


async def test_a_host_that_is_nowhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with engine() as client:
        with pytest.raises(TransportError, match="could not be looked up"):
            await client.look_up(f"{'a' * 70}.example")
        monkeypatch.setattr(anyio, "getaddrinfo", fail)
        with pytest.raises(TransportError, match="could not be looked up"):
            await client.look_up("login.invalid")


async def test_behind_a_proxy_it_is_the_proxy_that_looks_up() -> None:
    async with engine(proxy="http://127.0.0.1:9") as client:
        assert await client.look_up("login.invalid") == ()


async def test_a_request_goes_to_its_addresses_and_nowhere_else() -> None:
    async with raw_server(greet) as server, engine() as client:
        assert await exchange(client, elsewhere(server, "127.0.0.1")) == b"hello"
        assert b"Host: login.invalid:%d" % (urlsplit(server.url).port or 0) in server.requests[0].headers
        assert await exchange(client, elsewhere(server, "127.0.0.1")) == b"hello"
        assert client.connections_opened == 1
        assert await exchange(client, post(server.url)) == b"hello"
        assert client.connections_opened == 2, "a connection that was looked at is not used for what was not"


async def test_its_addresses_are_tried_in_their_order() -> None:
    async with raw_server(greet) as server, engine() as client:
        # Nobody listens at the others.
        assert await exchange(client, elsewhere(server, "127.0.0.2", "127.0.0.3", "127.0.0.1")) == b"hello"
        with pytest.raises(TransportError, match="could not connect"):
            await client.send(elsewhere(server, "127.0.0.2", "127.0.0.3"))


async def test_a_certificate_is_held_against_the_host_and_not_the_address(tmp_path: Path) -> None:
    serving, trusting = tls_pair(tmp_path)
    async with raw_server(greet, tls=serving) as server, engine(ssl_context=trusting) as client:
        assert await exchange(client, elsewhere(server, "127.0.0.1", host="localhost")) == b"hello"
        with pytest.raises(TransportError, match="TLS"):
            await client.send(elsewhere(server, "127.0.0.1"))
