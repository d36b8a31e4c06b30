"""Where tokens outlive the process: the protocol of a store, and what is written there.

A provider keeps what it fetched in memory.  A store beneath it is for the next process, and for those that run at the
same time.  It is asked when memory has nothing, and before a token is renewed: another process may have done that.

Three things are stored, each under a key that names what it belongs to and holds no secret:

* ``["issuer", resource, principal]``: which authorization server this identity logged in at;
* ``["token", issuer, resource, principal]``: its tokens, for one authorization server and one MCP server;
* ``["client", issuer, redirect_uri]``: what this client is registered as at an authorization server.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Protocol


class TokenStore(Protocol):
    """Keeps texts by keys, for good; its methods may be plain or async.

    The values are secrets: keep them where other users of the machine cannot read them.  What a method raises is logged
    by its type, and the call goes on as if nothing were stored.
    """

    def get(self, key: str) -> str | Awaitable[str | None] | None:
        """What is stored under ``key``, or None."""
        ...

    def put(self, key: str, value: str) -> Awaitable[None] | None:
        """Store ``value`` under ``key``, instead of what was there."""
        ...

    def delete(self, key: str) -> Awaitable[None] | None:
        """Forget what is stored under ``key``, if anything is."""
        ...


def issuer_key(resource: str, principal: str | None) -> str:
    """Where it is stored which authorization server an identity logged in at."""
    return json.dumps(["issuer", resource, principal])


def token_key(issuer: str, resource: str, principal: str | None) -> str:
    """Where an identity's tokens are stored."""
    return json.dumps(["token", issuer, resource, principal])


def client_key(issuer: str, redirect_uri: str | None) -> str:
    """Where a client's registration is stored."""
    return json.dumps(["client", issuer, redirect_uri])
