"""Requests to send through an engine, and how to read what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from mcpcore.commands import SendRequest
from mcpcore.context import RequestKind
from mcpcore.limits import Limits
from transports.engines.base import Engine, Response
from transports.engines.httpx import HttpxEngine

HEADERS = (
    (b"Accept", b"application/json, text/event-stream"),
    (b"x-cpki-user-id", b"alice"),
    (b"X-Latin", b"caf\xe9"),
    (b"Authorization", b"Bearer s3cret"),
)
LINES = [b": ".join(pair) for pair in HEADERS]


@asynccontextmanager
async def engine(limits: Limits | None = None, **options: Any) -> AsyncIterator[HttpxEngine]:
    made = HttpxEngine(limits or Limits(), **options)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await made.aclose()


def post(url: str, body: bytes = b'{"id":1}', headers: tuple[tuple[bytes, bytes], ...] = HEADERS) -> SendRequest:
    return SendRequest("POST", url, headers, body, RequestKind.REQUEST)


def get(url: str) -> SendRequest:
    return SendRequest("GET", url, HEADERS, b"", RequestKind.LISTEN, is_stream=True)


def delete(url: str) -> SendRequest:
    return SendRequest("DELETE", url, HEADERS, b"", RequestKind.TERMINATE)


async def read(response: Response) -> bytes:
    pieces: list[bytes] = []
    while data := await response.receive():
        pieces.append(data)
    await response.aclose()
    return b"".join(pieces)


async def exchange(client: Engine, request: SendRequest) -> bytes:
    return await read(await client.send(request))
