"""A client that shares a store in Redis, as the one thing that a process does: lists the tools of two people.

Prints the lists as JSON.  Arguments: the server's URL, that of Redis, the secret, and the name of the event loop.
"""

from __future__ import annotations

import json
import sys

import anyio

import transports
from mcpcore import CallContext, Limits, RequestContext
from transports.stores import RedisStore

PEOPLE = ("alice", "bob")
PATIENT = Limits(store=10.0)


def as_user(ctx: RequestContext) -> dict[str, str]:
    """A resolver: who is named in the inbound headers."""
    return {"X-User": ctx.request_headers["x-user"]}


def context_of(name: str) -> CallContext:
    return CallContext(principal=f"acme/{name}", request_headers={"X-User": name})


async def lists_of_everybody(url: str, redis_url: str, secret: bytes) -> dict[str, list[str]]:
    """The names of each person's tools."""
    async with (
        RedisStore.from_url(redis_url) as store,
        transports.connect(url, get_headers=as_user, store=store, digest_key=secret, limits=PATIENT) as client,
    ):
        return {name: [tool.name for tool in await client.list_tools(context=context_of(name))] for name in PEOPLE}


def main(url: str, redis_url: str, secret: str, loop: str) -> None:
    """Print what everybody's tools are called."""
    json.dump(anyio.run(lists_of_everybody, url, redis_url, secret.encode(), backend=loop), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
