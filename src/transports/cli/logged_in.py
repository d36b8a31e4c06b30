"""What a login is to the commands that use it: a token that renews itself, until a person is needed again.

No command but ``login`` opens a browser.  Where a person is needed, the others end, and say which command asks one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

import anyio

from mcpcore import ConfigurationError, DeadlineExceeded, LoginRequiredError
from mcpcore.redaction import redact_url

from ..oauth import KeyringStore
from .logins import Terms, find
from .telling import tell

if TYPE_CHECKING:
    from mcpcore import AuthorizationRequest, OAuth

_FOR_REFRESH = "offline_access"


def login_command(url: str, scopes: Iterable[str] = ()) -> str:
    """The command line that logs somebody in at ``url``; what a server had a say in is in quotes, if it needs any."""
    words = ["mcpcore", "login", redact_url(url), *(word for scope in scopes for word in ("--scope", scope))]
    return shlex.join(words)


def nobody_asked(url: str, terms: Terms) -> Callable[[AuthorizationRequest], NoReturn]:
    """What takes the place of a browser, where nobody is asked.

    :returns: an :data:`~mcpcore.oauth.interaction.AuthorizationHandler`.
    """

    def refuse(request: AuthorizationRequest) -> NoReturn:
        is_more = not {*request.scopes} <= {*terms.granted, _FOR_REFRESH}
        scopes = [scope for scope in request.scopes if scope != _FOR_REFRESH] if is_more else ()
        raise LoginRequiredError(f"somebody has to log in, with {login_command(url, scopes)}")

    return refuse


async def stored_login(url: str, seconds: float) -> OAuth | None:
    """What authorizes requests to ``url``; None if nobody has logged in there, or it cannot be known.

    :param seconds: for how long to wait for the keyring, which may ask somebody to unlock it.
    :raises DeadlineExceeded: if that is not enough.
    """
    try:
        store = KeyringStore()
    except ConfigurationError:
        return None  # Then nobody can have logged in.
    try:
        with anyio.fail_after(seconds):
            terms = await find(store, url)
    except ConfigurationError:
        raise
    except TimeoutError:
        raise DeadlineExceeded(f"the keyring of the system did not answer within {seconds:g} s") from None
    except Exception as error:
        # It may be locked, and stay so; not every server wants a login.
        tell(f"warning: the keyring of the system cannot be read: {type(error).__name__}")
        return None
    return None if terms is None else terms.provider(nobody_asked(url, terms), store)
