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
    from collections.abc import Callable, Iterable

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
        token = yield from self.stored(account, limits)
        account.token, account.is_loaded = token, True
        return account

    def reload(self, account: Account, old: Token | None, limits: Limits) -> Flow[Token | None]:
        """Look whether another process has put something later than ``old`` there; None if not."""
        stored = None if account.ignores_store else (yield from self.stored(account, limits))
        if stored is None or (old is not None and not _is_later(stored, old)):
            return None
        account.token = stored
        return stored

    def keep(self, account: Account, token: Token) -> Flow[None]:
        """Keep a token, instead of what the identity had."""
        account.token, account.is_loaded, account.ignores_store = token, True, False
        if self.store is not None:
            pointer = issuer_key(account.resource, account.principal)
            yield from _tell(self.store.put, _key_of(account, token.issuer), token.dump())
            former = as_text((yield from _ask(self.store.get, pointer)))
            yield from _tell(self.store.put, pointer, token.issuer)
            if former not in (None, token.issuer):
                yield from _tell(self.store.delete, _key_of(account, former))

    def drop(self, account: Account, token: Token, limits: Limits) -> Flow[None]:
        """Forget a token that is of no use any more, unless another one stands in its place by now."""
        account.token = None
        stored = yield from self.stored(account, limits)
        if stored is not None and stored.access_token == token.access_token:
            yield from self._delete(account, token.issuer)

    def end(self, account: Account, tokens: Iterable[Token]) -> Flow[bool]:
        """End an identity's login, whatever is stored of it by now; whether the store has forgotten it, too."""
        account.token, account.is_loaded, account.ignores_store = None, True, True
        forgotten = True
        for token in tokens:
            forgotten = (yield from self._delete(account, token.issuer)) and forgotten
        return forgotten

    def _delete(self, account: Account, issuer: str) -> Flow[bool]:
        if self.store is None:
            return True
        is_pointer_gone = yield from _tell(self.store.delete, issuer_key(account.resource, account.principal))
        return (yield from _tell(self.store.delete, _key_of(account, issuer))) and is_pointer_gone

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
            yield from _tell(self.store.put, client_key(client.issuer or "", redirect_uri), client.dump())

    def forget_client(self, issuer: str, redirect_uri: str | None) -> Flow[None]:
        """Forget what it was registered as."""
        if self.store is not None:
            yield from _tell(self.store.delete, client_key(issuer, redirect_uri))

    def stored(self, account: Account, limits: Limits) -> Flow[Token | None]:
        """The token that is stored for an identity, if it can be used."""
        if self.store is None:
            return None
        issuer = as_text((yield from _ask(self.store.get, issuer_key(account.resource, account.principal))))
        if issuer is None:
            return None
        text = as_text((yield from _ask(self.store.get, _key_of(account, issuer))))
        token = None if text is None else Token.load(text, limits)
        # One that is bound to a key which is gone can be used by nobody.
        is_usable = token is not None and token.issuer == issuer and token.thumbprint == self.thumbprint
        return token if is_usable else None


def _key_of(account: Account, issuer: str) -> str:
    return token_key(issuer, account.resource, account.principal)


def _is_later(stored: Token, old: Token) -> bool:
    return stored.access_token != old.access_token and stored.obtained_at >= old.obtained_at


def _ask(method: Callable[..., Any], *arguments: str) -> Flow[Any]:
    """Ask the store; None if it fails."""
    try:
        return (yield CallHandler(method, arguments))
    except Exception as error:
        _log.warning("the token store failed: %s", type(error).__name__)
        return None


def _tell(method: Callable[..., Any], *arguments: str) -> Flow[bool]:
    """Tell the store, even if the call is given up meanwhile; whether it did as it was told."""
    try:
        yield CallHandler(method, arguments, is_carried_through=True)
    except Exception as error:
        _log.warning("the token store failed: %s", type(error).__name__)
        return False
    return True
