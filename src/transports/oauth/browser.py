"""Has a person log in with a browser on this machine, and receives the answer there.

The browser comes back to a fixed address of the loopback interface, because authorization servers compare redirect URIs
exactly, port included (2026-07-28, "Security Considerations", Open Redirection; RFC 8252, section 7.3).  What it is
sent there is judged by the core; here it is only received.
"""

from __future__ import annotations

import re
import sys
import webbrowser
from functools import partial
from typing import TYPE_CHECKING, final

import anyio.to_thread
from attrs import Factory, field, frozen

from mcpcore import ConfigurationError, OAuthError

from .loopback import ADDRESSES, RedirectReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore import AuthorizationRequest

DEFAULT_PORT = 28417
"""Where :class:`BrowserLogin` listens unless it is told otherwise: no well-known service is there, and no system hands
the port out to programs that ask for any."""

_URI = r"A-Za-z0-9\-._~:/@!$&'()*+,;=%"
_WEB_PAGE = re.compile(rf"https?://[{_URI}\[\]]+[{_URI}?#\[\]]*", re.IGNORECASE)
_PATH = re.compile(rf"/[{_URI}]*")


def _open_browser(url: str) -> bool:
    return webbrowser.open(url)


def _show(url: str) -> None:
    sys.stderr.write(f"To log in, open this page in a browser on this machine:\n\n{url}\n\n")


def _receiver_of(login: BrowserLogin) -> RedirectReceiver:
    if login.host not in ADDRESSES:
        raise ConfigurationError(f"host must be one of {', '.join(ADDRESSES)}: nobody else is to be listened to")
    if not 1 <= login.port <= 65535:
        raise ConfigurationError("port must be 1 to 65535: the redirect URI must be known before anything is sent")
    if not _PATH.fullmatch(login.path):
        raise ConfigurationError("path must be that of a URL: it begins with a slash, and has no query")
    return RedirectReceiver(login.host, login.port, login.path)


@final
@frozen(eq=False, kw_only=True)
class BrowserLogin:
    """A handler for :class:`~mcpcore.AuthorizationCode`: a person logs in with a browser on this machine.

    ``login = BrowserLogin()``, then ``AuthorizationCode(login, redirect_uri=login.redirect_uri)``.  Several people may
    log in at once, on one event loop.  The port is listened at only while somebody does.  A login waits until it is
    answered, or cancelled, for instance by the timeout of the call that needs it.

    :param port: where the browser comes back to, 1 to 65535.  Two programs that log people in at the same time need
        ports of their own.
    :param path: the path of the redirect URI, if the authorization server knows this program by another one.
    :param host: ``127.0.0.1``, ``::1`` or ``localhost``; for the last, both of the others are listened at.
    :param open_browser: opens a URL, which is http or https and has no character that a URL cannot have, and returns
        whether it could.  It is called in a worker thread, and may block.  What it raises ends the login.
    :param show: tells the person the URL, if no browser could be opened.  It is called on the event loop.  By default
        it writes to standard error.
    :raises mcpcore.ConfigurationError: for a port, path or host that cannot be.
    """

    port: int = field(default=DEFAULT_PORT)
    path: str = field(default="/callback")
    host: str = field(default="127.0.0.1")
    open_browser: Callable[[str], bool] = field(default=_open_browser)
    show: Callable[[str], None] = field(default=_show)
    _receiver: RedirectReceiver = field(init=False, repr=False, default=Factory(_receiver_of, takes_self=True))

    @property
    def redirect_uri(self) -> str:
        """Where the browser is sent back to: what to register, and to give to ``AuthorizationCode``."""
        return self._receiver.origin + self.path

    async def __call__(self, request: AuthorizationRequest) -> str:
        """Send the person's browser to ``request.url``; return the URL that it comes back to, with its query.

        :raises mcpcore.OAuthError: if the port is taken, or the authorization server named an address that is no web
            page.
        :raises mcpcore.ConfigurationError: if the browser will be sent back to somewhere else.
        """
        if request.redirect_uri != self.redirect_uri:
            raise ConfigurationError(
                f"the browser will be sent back to {request.redirect_uri}, but is waited for at {self.redirect_uri}: "
                "give AuthorizationCode the redirect_uri of its BrowserLogin"
            )
        if not _WEB_PAGE.fullmatch(request.url):
            raise OAuthError("the browser was not sent to the authorization server: its address is not http or https")
        return await self._receiver.receive(request.state, partial(self._send, request.url))

    async def _send(self, url: str) -> None:
        # A browser that runs in the terminal lasts for as long as it is looked at: it is not waited for.
        if not await anyio.to_thread.run_sync(self.open_browser, url, abandon_on_cancel=True):
            self.show(url)
