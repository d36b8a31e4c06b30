"""The logins that one command leaves to the next, in the keyring of the system.

The tokens are where :class:`mcpcore.OAuth` puts them, so that other programs with a
:class:`~transports.oauth.KeyringStore` find them as well.  Beside them stand the *terms* of each login: what was said
on the command line, among it which client this is, without which no token could be renewed.  Terms are also what tells
that somebody has logged in; where there are none, commands go without a token, as they do without a keyring.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import asdict, field, frozen

from mcpcore import AuthorizationCode, ConfigurationError, OAuth, RegisteredClient
from mcpcore.oauth.metadata import resource_of
from mcpcore.rules.endpoint import Endpoint

from ..oauth import BrowserLogin, KeyringStore
from ..oauth.browser import DEFAULT_PORT
from .failures import ExitCode, Failure

if TYPE_CHECKING:
    from mcpcore.oauth.interaction import AuthorizationHandler
    from mcpcore.oauth.token_store import TokenStore


def _texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


@frozen(kw_only=True)
class Terms:
    """On which terms somebody logs in, or has.

    :ivar client_id: what this client was registered as by hand, or None; so are the secret and the issuer.
    :ivar client_metadata_url: where a document describes this client, or None.
    :ivar port: where the browser comes back to.
    :ivar scopes: which scopes are asked for in any case.
    :ivar granted: which were granted.
    """

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    issuer: str | None = None
    client_metadata_url: str | None = None
    port: int = DEFAULT_PORT
    scopes: tuple[str, ...] = field(default=(), converter=_texts)
    granted: tuple[str, ...] = field(default=(), converter=_texts)

    def provider(self, handler: AuthorizationHandler, store: TokenStore) -> OAuth:
        """What authorizes requests on these terms."""
        client = None
        if self.client_id is not None:
            client = RegisteredClient(self.client_id, self.client_secret, issuer=self.issuer)
        return OAuth(
            AuthorizationCode(handler, redirect_uri=BrowserLogin(port=self.port).redirect_uri),
            client=client,
            client_metadata_url=self.client_metadata_url,
            scopes=self.scopes,
            store=store,
        )

    def dump(self) -> str:
        """The terms as text, for a store."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Terms | None:
        """Read what :meth:`dump` wrote; None for anything else, as another version may have written it."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


async def find(store: KeyringStore, url: str) -> Terms | None:
    """On which terms somebody has logged in at ``url``; None if nobody has."""
    text = await store.get(_key(url))
    return None if text is None else Terms.load(text)


async def keep(store: KeyringStore, url: str, terms: Terms) -> None:
    """Write down that somebody has logged in."""
    await store.put(_key(url), terms.dump())


async def forget(store: KeyringStore, url: str) -> None:
    """Strike out that somebody had."""
    await store.delete(_key(url))


def _key(url: str) -> str:
    # What is one resource to authorization servers is one place to log in at.
    return json.dumps(["login", resource_of(Endpoint.parse(url))])


def open_keyring() -> KeyringStore:
    """The keyring, for a command that is nothing without it.

    :raises Failure: if there is none that can be used.
    """
    try:
        return KeyringStore()
    except ConfigurationError as error:
        if isinstance(error.__cause__, ImportError):
            reason = "which takes the package keyring; install mcpcore[cli,keyring]"
        else:
            reason = f"and {error}; tokens can be given with --bearer-env NAME as well"
        raise Failure(f"logins are kept in the keyring of the system, {reason}", ExitCode.USAGE) from error
