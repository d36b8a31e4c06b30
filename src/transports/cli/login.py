"""``mcpcore login`` and ``mcpcore logout``: a person lets the next commands in at a server, and has done with that.

What is said for a login holds for the next one at that server, too, unless it is said anew, until somebody logs out; so
the command that :mod:`.logged_in` advises needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import evolve, frozen

from mcpcore import McpError
from mcpcore.redaction import redact_url

from ..client import connect
from ..oauth import BrowserLogin
from ..oauth.browser import DEFAULT_PORT
from .arguments import refuse_with, secret_variable
from .failures import ExitCode, Failure
from .logged_in import nobody_asked
from .logins import Terms, find, forget, keep, open_keyring
from .running import run_on
from .telling import tell
from .text import one_line

if TYPE_CHECKING:
    from mcpcore import AuthorizationRequest, Login

    from ..oauth import KeyringStore

T = TypeVar("T")


@frozen(kw_only=True)
class Said:
    """What the options of a login say; what they leave out is as it was."""

    client_id: str | None
    client_secret_env: str | None
    issuer: str | None
    client_metadata_url: str | None
    scopes: tuple[str, ...]
    port: int | None

    def check(self, context: click.Context) -> None:
        """See that what is said of the client is about one.

        :raises click.UsageError: if it is not.
        """
        for name, value, other, needed in (
            ("--client-secret-env", self.client_secret_env, "--client-id", self.client_id),
            ("--issuer", self.issuer, "--client-id", self.client_id),
            # A secret is shown to nobody else than those who gave it.
            ("--client-secret-env", self.client_secret_env, "--issuer", self.issuer),
        ):
            if value is not None and needed is None:
                raise click.UsageError(f"{name} goes with {other}", context)
        if self.client_id is not None and self.client_metadata_url is not None:
            refuse_with(context, "--client-metadata-url", "client_id")

    def terms(self, before: Terms) -> Terms:
        """On which terms to log in, where those of the last login were ``before``."""
        if self.client_id is not None or self.client_metadata_url is not None:
            secret = os.environ[self.client_secret_env] if self.client_secret_env else None
            before = evolve(
                before,
                client_id=self.client_id,
                client_secret=secret,
                issuer=self.issuer,
                client_metadata_url=self.client_metadata_url,
            )
        return evolve(before, scopes=self.scopes or before.scopes, port=self.port or before.port, granted=())


def _seconds(default: float) -> Callable[[Callable[..., ExitCode]], Callable[..., ExitCode]]:
    positive = click.FloatRange(min=0, min_open=True)
    return click.option(
        "--timeout", metavar="SECONDS", type=positive, default=default, show_default=True, help="Give up after so long."
    )


@click.command()
@click.argument("url")
@click.option("--client-id", metavar="ID", help="Log in as the client that was registered by this id.")
@click.option(
    "--client-secret-env",
    metavar="NAME",
    callback=secret_variable,
    help="The secret of that client is in this environment variable; takes --issuer.",
)
@click.option("--issuer", metavar="URL", help="That client is registered at this authorization server.")
@click.option("--client-metadata-url", metavar="URL", help="Log in as the client that the document at URL describes.")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="Ask for this scope; may be given again.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    help=f"The browser comes back to this port of this machine.  [default: {DEFAULT_PORT}]",
)
@click.option("--no-browser", is_flag=True, help="Open no browser; show the URL of the page where to log in.")
@_seconds(300.0)
@click.pass_context
def login(context: click.Context, /, url: str, no_browser: bool, timeout: float, **options: Any) -> ExitCode:
    """Log in at the server at URL with a browser, for `mcpcore tools` and `mcpcore call`.

    The tokens are kept in the keyring of the system.
    """
    said = Said(**options)
    said.check(context)
    _show(_finish(lambda store: _log_in(store, url, said, no_browser, timeout)))
    return ExitCode.OK


async def _log_in(store: KeyringStore, url: str, said: Said, no_browser: bool, timeout: float) -> Login:
    terms = said.terms(await find(store, url) or Terms())
    browser = BrowserLogin(port=terms.port, show=_show_page)
    if no_browser:
        browser = evolve(browser, open_browser=_open_none)

    async def ask(request: AuthorizationRequest) -> str:
        tell(f"log in with the browser, at {redact_url(request.issuer)}, within {timeout:g} s")
        return await browser(request)

    async with connect(url, type="auto", auth=terms.provider(ask, store), timeout=timeout) as client:
        login = await client.log_in(anew=True)
    await keep(store, url, evolve(terms, granted=login.scopes))
    return login


def _open_none(url: str) -> bool:
    return False


def _show_page(url: str) -> None:
    tell(f"open this page in a browser on this machine: {url}")


def _show(login: Login) -> None:
    """Tell what was granted, which is no secret."""
    lines = {
        "server": login.resource,
        "issuer": login.issuer,
        "scopes": " ".join(login.scopes) or "not told",
        "until": _until(login),
    }
    for name, text in lines.items():
        click.echo(f"{name:<8}{one_line(text)}")


def _until(login: Login) -> str:
    if login.renew_at is None:
        return "not told"
    try:
        moment = datetime.fromtimestamp(login.renew_at).astimezone().isoformat(" ", "minutes")
    except (ValueError, OverflowError, OSError):
        moment = "the end of time"  # As a calendar has it.
    return f"{moment}, then {'renewed' if login.is_renewable else 'somebody has to log in again'}"


@click.command()
@click.argument("url")
@_seconds(30.0)
def logout(url: str, timeout: float) -> ExitCode:
    """Forget the login at the server at URL, and have the authorization server forget it."""
    was_logged_in, is_revoked = _finish(lambda store: _log_out(store, url, timeout))
    if not was_logged_in:
        tell(f"nobody is logged in at {redact_url(url)}")
    elif not is_revoked:
        tell("the login is forgotten here; the authorization server did not say that it is forgotten there")
    return ExitCode.OK


async def _log_out(store: KeyringStore, url: str, timeout: float) -> tuple[bool, bool]:
    """Log out; whether anybody was logged in, and whether the authorization server has forgotten that."""
    found = await find(store, url)
    terms = found or Terms()
    try:
        async with connect(url, auth=terms.provider(nobody_asked(url, terms), store), timeout=timeout) as client:
            is_revoked = await client.log_out()
    finally:
        await forget(store, url)
    return found is not None, is_revoked


def _finish(work: Callable[[KeyringStore], Awaitable[T]]) -> T:
    """Do what takes a keyring.

    :raises Failure: if it cannot be done.
    """
    store = open_keyring()
    from keyring.errors import KeyringError

    try:
        return run_on("asyncio", lambda: work(store))
    except McpError as error:
        raise Failure.of(error) from error
    except KeyringError as error:
        message = f"the keyring of the system cannot be used: {type(error).__name__}"
        raise Failure(message, ExitCode.FAILED) from error
