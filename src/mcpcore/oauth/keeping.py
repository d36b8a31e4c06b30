"""Keeping what was fetched: in memory, and in the user's store beneath it, if there is one.

A store is the user's, and may fail.  That is logged, by the type of the failure alone, and the call goes on as if
nothing were stored: a token that cannot be kept is as good as any, until the process ends.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_text
from mcpcore.commands import CallHandler
from mcpcore.oauth.clients import RegisteredClient
from mcpcore.oauth.token_store import client_key, issuer_key, token_key
from mcpcore.oauth.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.oauth.accounts import Account
    from mcpcore.oauth.token_store import TokenStore

_log = logging.getLogger("mcpcore")


@frozen
class Keeping:
    """A provider's memory, and what is beneath it.

    :ivar store: the user's, or None.
    :ivar thumbprint: of the key that tokens are bound to, or None.
    """

    store: TokenStore | None = field(repr=False)
    thumbprint: str | None

    def load(self, account: Account, limits: Limits) -> Flow[Account]:
        """Look what is stored of an identity."""
        token = yield from self._stored(account, limits)
        account.token, account.is_loaded = token, True
        return account

    def reload(self, account: Account, old: Token | None, limits: Limits) -> Flow[Token | None]:
        """Look whether another process has put something newer than ``old`` there; None if not."""
        stored = yield from self._stored(account, limits)
        if stored is None or (old is not None and stored.access_token == old.access_token):
            return None
        account.token = stored
        return stored

    def keep(self, account: Account, token: Token) -> Flow[None]:
        """Keep a token, instead of what the identity had."""
        before, account.token, account.is_loaded = account.token, token, True
        if self.store is not None:
            if before is not None and before.issuer != token.issuer:
                yield from _ask(self.store.delete, token_key(before.issuer, account.resource, account.principal))
            yield from _ask(self.store.put, token_key(token.issuer, account.resource, account.principal), token.dump())
            yield from _ask(self.store.put, issuer_key(account.resource, account.principal), token.issuer)

    def forget(self, account: Account, token: Token) -> Flow[None]:
        """Forget a token."""
        account.token = None
        if self.store is not None:
            yield from _ask(self.store.delete, token_key(token.issuer, account.resource, account.principal))
            yield from _ask(self.store.delete, issuer_key(account.resource, account.principal))

    def load_client(self, issuer: str, redirect_uri: str | None, limits: Limits) -> Flow[RegisteredClient | None]:
        """What this client was registered as, by an earlier process."""
        if self.store is None:
            return None
        text = as_text((yield from _ask(self.store.get, client_key(issuer, redirect_uri))))
        client = None if text is None else RegisteredClient.load(text, limits)
        return client if client is not None and client.issuer == issuer else None

    def keep_client(self, client: RegisteredClient, redirect_uri: str | None) -> Flow[None]:
        """Keep what it was registered as just now."""
        if self.store is not None:
            yield from _ask(self.store.put, client_key(client.issuer or "", redirect_uri), client.dump())

    def forget_client(self, issuer: str, redirect_uri: str | None) -> Flow[None]:
        """Forget what it was registered as."""
        if self.store is not None:
            yield from _ask(self.store.delete, client_key(issuer, redirect_uri))

    def _stored(self, account: Account, limits: Limits) -> Flow[Token | None]:
        if self.store is None:
            return None
        issuer = as_text((yield from _ask(self.store.get, issuer_key(account.resource, account.principal))))
        if issuer is None:
            return None
        text = as_text((yield from _ask(self.store.get, token_key(issuer, account.resource, account.principal))))
        token = None if text is None else Token.load(text, limits)
        # One that is bound to a key which is gone can be used by nobody.
        is_usable = token is not None and token.issuer == issuer and token.thumbprint == self.thumbprint
        return token if is_usable else None


def _ask(method: Callable[..., Any], *arguments: str) -> Flow[Any]:
    """Ask the store; None if it fails."""
    try:
        return (yield CallHandler(method, arguments))
    except Exception as error:
        _log.warning("the token store failed: %s", type(error).__name__)
        return None
