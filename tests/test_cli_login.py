"""Somebody logs in on the command line, and later commands use that: at servers of the SDK's and of Authlib's.

The browser is one without a window, and the keyring nobody's.  Whatever a command prints is searched for secrets.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import httpx
import keyring
import pytest
from anyio.from_thread import start_blocking_portal
from attrs import define, field, frozen
from keyring.backends.fail import Keyring as NoKeyring
from support.adapters import nowhere, tls
from support.browser import browse
from support.keyrings import FileKeyring, MemoryKeyring, chosen
from support.places import Place

import transports.cli
from mcpcore import Login
from transports.testing import Server, echo_headers, serve

ROOT = Path(__file__).resolve().parent.parent
SOMEWHERE = "https://mcp.example/mcp"
EVIL = "\x1b]0;owned\x07\u202egpj"


def forget(place: Place, *kinds: str) -> None:
    """Let the authorization server forget what it knows of these kinds."""
    _http("POST", f"{place.issuer}/ledger", params={"forget": kinds})


def issued(place: Place) -> dict[str, int]:
    """How many tokens were issued since this was asked last, by grant."""
    return dict(_http("GET", f"{place.issuer}/ledger").json())


def register(place: Place, redirect_uri: str) -> dict[str, str]:
    """Register a client by hand."""
    metadata = {
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "read write",
    }
    return dict(_http("POST", f"{place.issuer}/register", json=metadata).json())


def _http(method: str, url: str, **more: Any) -> httpx.Response:
    response = httpx.request(method, url, verify=tls(), **more)
    return response.raise_for_status()


@pytest.fixture
def place(places: dict[str, Place]) -> Place:
    """A server that is its own authorization server, where tokens of earlier tests are worth nothing."""
    forget(places["sdk"], "access", "refresh")
    issued(places["sdk"])
    return places["sdk"]


@pytest.fixture
def port() -> str:
    """Where the browser comes back to."""
    return nowhere().rpartition(":")[2]


@pytest.fixture(autouse=True)
def kept() -> Iterator[MemoryKeyring]:
    """The keyring."""
    backend = MemoryKeyring()
    with chosen(backend):
        yield backend


@define
class Browser:
    """What stands for the browser of the system.

    :ivar visit: goes to a page.
    :ivar pages: where it was sent.
    """

    visit: Callable[[str], Any] = browse
    pages: list[str] = field(factory=list[str])

    def open(self, url: str) -> bool:
        self.pages.append(url)
        self.visit(url)
        return True

    @property
    def asked(self) -> dict[str, str]:
        """What the last authorization request asked for."""
        return dict(parse_qsl(urlsplit(self.pages[-1]).query))


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    browser = Browser()
    monkeypatch.setattr(webbrowser, "open", browser.open)
    return browser


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass."""
    true_time, ahead = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: true_time() + sum(ahead))
    return ahead.append


SECRETS = re.compile(r'"(?:access_token|refresh_token|client_secret)": ?"([^"]+)"')


def secrets_in(entries: dict[str, str]) -> set[str]:
    """The secrets in a keyring."""
    return {secret for text in _joined(entries) for secret in SECRETS.findall(text)}


def tokens_in(entries: dict[str, str]) -> set[str]:
    """Those that are issued anew when time has passed."""
    return {secret for secret in secrets_in(entries) if "token" in secret}


def _joined(entries: dict[str, str]) -> Iterator[str]:
    """The values, of which each stands in several entries."""
    for name, head in entries.items():
        first, _, piece = head.partition("\n")
        if name.endswith("]"):
            count, mark = first.split()
            yield piece + "".join(entries[f"{name} {mark} {number}"] for number in range(2, int(count) + 1))


@frozen
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> list[str]:
        """What it says on stderr, line by line."""
        lines = self.err.splitlines()
        assert all(line.startswith("mcpcore: ") for line in lines)
        return [line.removeprefix("mcpcore: ") for line in lines]


@define
class Command:
    """Runs ``mcpcore`` in this process, and sees that it shows no secret."""

    _capsys: pytest.CaptureFixture[str]
    _kept: MemoryKeyring
    _secrets: set[str] = field(factory=set[str])

    def __call__(self, *arguments: str) -> Outcome:
        before = secrets_in(self._kept.entries)
        code = transports.cli.run(arguments)
        outcome = Outcome(code, *self._capsys.readouterr())
        self._secrets |= before | secrets_in(self._kept.entries)
        shown = outcome.out + outcome.err
        assert not [secret for secret in self._secrets if secret in shown]
        assert not set(shown) & set("\x1b\x07\u202e")
        return outcome

    @property
    def secrets(self) -> set[str]:
        """All that were ever there."""
        return self._secrets


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], kept: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "100")
    return Command(capsys, kept)


def kinds(kept: MemoryKeyring) -> set[str]:
    """What kinds of things are kept."""
    return {json.loads(name)[0] for name in kept.entries if name.endswith("]")}


# From a login to the end of it


def test_who_has_logged_in_is_known_to_every_command_until_logging_out(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring, clock: Callable[[float], None]
) -> None:
    assert command("tools", place.url).code == 4
    login = command("login", place.url, "--port", port)
    assert login.code == 0, login.err
    assert login.said == [f"log in with the browser, at {place.issuer}, within 300 s"]
    told = dict(line.split(maxsplit=1) for line in login.out.splitlines())
    assert told.pop("until").endswith(", then renewed")
    assert told == {"server": place.url, "issuer": place.issuer, "scopes": "read"}
    assert kinds(kept) == {"login", "issuer", "token", "client"}
    assert len(command.secrets) == 3, "two tokens, and what the client registered with"

    tools = command("tools", place.url)
    assert (tools.code, tools.err) == (0, "")
    assert "whoami" in tools.out
    assert json.loads(command("call", place.url, "whoami").out)["user"] == "alice"
    assert issued(place) == {"authorization_code": 1}

    forget(place, "access")
    clock(7200)
    before = tokens_in(kept.entries)
    assert command("call", f"{place.url}?key=s3cret", "whoami").code == 0
    assert issued(place) == {"refresh_token": 1}
    assert not before & tokens_in(kept.entries), "what was renewed is stored"
    assert command("tools", place.url).code == 0
    assert (issued(place), len(browser.pages)) == ({}, 1)

    logout = command("logout", place.url)
    assert (logout.code, logout.out, logout.err) == (0, "", "")
    assert kinds(kept) == {"client"}
    assert command("tools", place.url).code == 4
    again = command("logout", place.url)
    assert (again.code, again.said) == (0, [f"nobody is logged in at {place.url}"])


def test_where_a_person_is_needed_no_browser_opens_and_the_command_says_what_to_do(
    command: Command, place: Place, browser: Browser, port: str
) -> None:
    command("login", place.url, "--port", port)
    more = command("call", place.url, "write")
    assert (more.code, more.out) == (4, "")
    assert more.said[0].endswith(f"somebody has to log in, with mcpcore login {place.url} --scope read --scope write")
    forget(place, "access", "refresh")
    lost = command("tools", place.url)
    assert (lost.code, lost.out) == (4, "")
    assert lost.said[0].endswith(f"somebody has to log in, with mcpcore login {place.url}")
    assert len(browser.pages) == 1
    # What the first command said holds for the second, too, and what is said anew goes before.
    assert command(*shlex.split(more.said[0].partition("mcpcore ")[2])).code == 0
    assert set(browser.asked["scope"].split()) == {"read", "write"}
    assert browser.asked["redirect_uri"] == f"http://127.0.0.1:{port}/callback"
    assert json.loads(command("call", place.url, "write").out)["scopes"] == ["read", "write"]


def test_a_client_that_was_registered_by_hand_is_known_to_later_commands(
    command: Command,
    places: dict[str, Place],
    browser: Browser,
    port: str,
    kept: MemoryKeyring,
    clock: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = places["apart"]
    client = register(place, f"http://127.0.0.1:{port}/callback")
    monkeypatch.setenv("CLIENT_SECRET", client["client_secret"])
    by_hand = ("--client-id", client["client_id"], "--client-secret-env", "CLIENT_SECRET", "--issuer", place.issuer)
    assert command("login", place.url, *by_hand, "--port", port, "--scope", "read").code == 0
    monkeypatch.delenv("CLIENT_SECRET")
    issued(place)
    clock(7200)
    assert command("call", place.url, "whoami").code == 0
    assert issued(place) == {"refresh_token": 1}
    assert client["client_secret"] in command.secrets
    assert kinds(kept) == {"login", "issuer", "token"}
    assert command("login", place.url).code == 0
    assert (browser.asked["client_id"], browser.asked["scope"]) == (client["client_id"], "read")
    assert command("logout", place.url).err == ""
    assert kept.entries == {}


def test_a_login_elsewhere_leaves_nothing_of_the_former(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    former = json.dumps(["token", "https://former.example", place.url, None])
    issuer = json.dumps(["issuer", place.url, None])
    for name, value in ((former, "it"), (issuer, "https://former.example"), (json.dumps(["login", place.url]), "[]")):
        kept.entries[name] = f"1 {'0' * 16}\n{value}"
    assert command("login", place.url, "--port", port).code == 0
    assert former not in kept.entries
    assert kinds(kept) == {"login", "issuer", "token", "client"}


def test_a_document_can_say_which_client_this_is(command: Command, place: Place, browser: Browser, port: str) -> None:
    # This server takes no such documents, so the client registers all the same.
    options = ("--client-metadata-url", "https://app.example/client.json", "--port", port)
    assert command("login", place.url, *options).code == 0


# What is none of a login's business


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ((), "log in with mcpcore login {url}, or give a token with --bearer-env NAME"),
        (("--bearer-env", "TOKEN"), "is the token in TOKEN still good?"),
        (("--header", "authorization=Bearer s3cret"), "is what --header says still good?"),
    ],
)
def test_a_keyring_that_cannot_be_read_is_only_missed_where_a_token_may_be_in_it(
    command: Command,
    place: Place,
    kept: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    advice: str,
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    kept.is_locked = True
    outcome = command("tools", place.url, *options)
    *warnings, complaint = outcome.said
    assert outcome.code == 4
    assert complaint.endswith(f"(401); {advice.format(url=place.url)}")
    assert warnings == ([] if options else ["warning: the keyring of the system cannot be read: KeyringLocked"])
    assert "s3cret" not in outcome.err


def test_a_keyring_that_waits_for_somebody_is_waited_for_no_longer_than_for_a_server(
    command: Command, place: Place, kept: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_blocking_portal() as portal:
        unlocked = portal.call(anyio.Event)
        monkeypatch.setattr(kept, "get_password", lambda service, username: portal.call(unlocked.wait))
        outcome = command("tools", place.url, "--timeout", "0.05")
        portal.call(unlocked.set)
    assert outcome.code == 3
    assert outcome.said == ["the keyring of the system did not answer within 0.05 s; --timeout allows it more"]


KEPT = "logins are kept in the keyring of the system, "
MISSING = f"{KEPT}which takes the package keyring; install mcpcore[cli,keyring]"
NONE = f"{KEPT}and this machine has no keyring that can be used: "
BROKEN = f"{KEPT}and the keyring that was chosen for this machine cannot be used: "


@pytest.mark.parametrize("words", [MISSING, NONE, BROKEN], ids=["missing", "none", "broken"])
def test_without_a_keyring_there_are_no_logins_and_all_else_is_as_before(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def broken() -> None:
        raise RuntimeError("s3cret")

    if words == MISSING:
        monkeypatch.setitem(sys.modules, "keyring", None)
    else:
        monkeypatch.setattr(keyring, "get_keyring", NoKeyring if words == NONE else broken)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(Server([echo_headers]))) as served:
        outcome = command("call", served.url, "echo_headers")
        assert (outcome.code, outcome.err) == (0, "")
        assert "authorization" not in json.loads(outcome.out)
        for name in ("login", "logout"):
            refused = command(name, served.url)
            assert (refused.code, refused.out, len(refused.said)) == (2, "", 1)
            assert refused.said[0].startswith(words)
            assert ("--bearer-env" in refused.said[0]) == (words != MISSING)
            assert "s3cret" not in refused.err


# How a login fails


def sent_back(said: dict[str, str]) -> Callable[[str], None]:
    """A browser that comes back with this."""

    def visit(url: str) -> None:
        asked = dict(parse_qsl(urlsplit(url).query))
        browse(f"{asked['redirect_uri']}?{urlencode({'state': asked['state'], **said})}")

    return visit


def test_who_does_not_consent_is_not_logged_in(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    command("login", place.url, "--port", port)
    before = dict(kept.entries)
    browser.visit = sent_back({"error": "access_denied", "error_description": f"Not today. {EVIL}"})
    outcome = command("login", place.url, "--scope", "write")
    assert (outcome.code, outcome.out, len(outcome.said)) == (4, "", 2)
    assert "the login was refused: access_denied: Not today. " in outcome.said[1]
    assert kept.entries == before, "the former login still holds"
    assert command("tools", place.url).code == 0


def test_a_browser_that_does_not_come_back_is_waited_for_no_longer_than_said(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    browser.visit = lambda url: None
    outcome = command("login", place.url, "--port", port, "--timeout", "0.5")
    assert (outcome.code, outcome.out) == (3, "")
    assert outcome.said[-1].endswith("no answer within 0.5 s; --timeout allows it more")
    assert kinds(kept) <= {"client"}


class Screen(io.StringIO):
    """A terminal with somebody before it, who goes where a line tells them to."""

    def __init__(self) -> None:
        super().__init__()
        self.visits: list[threading.Thread] = []

    def write(self, text: str, /) -> int:
        if page := re.search(r"open this page in a browser on this machine: (http\S+)$", text):
            self.visits.append(threading.Thread(target=browse, args=(page[1],)))
            self.visits[-1].start()
        return super().write(text)


def test_without_a_browser_the_page_is_shown(
    command: Command, place: Place, browser: Browser, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    assert command("login", place.url, "--port", port, "--no-browser").code == 0
    [visit] = screen.visits
    visit.join()
    assert browser.pages == []


def test_a_login_that_cannot_be_kept_is_none(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    kept.is_locked = True
    for name in ("login", "logout"):
        outcome = command(name, place.url)
        assert (outcome.code, outcome.out) == (1, "")
        assert outcome.said == ["the keyring of the system cannot be used: KeyringLocked"]
    assert browser.pages == []


def test_a_client_that_is_known_no_more_registers_anew(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    def visit(url: str) -> None:
        forget(place, "clients")
        sent_back({"code": "s3cret"})(url)

    browser.visit = visit
    outcome = command("login", place.url, "--port", port)
    assert (outcome.code, kept.entries) == (4, {})
    assert "invalid_client" in outcome.said[-1]
    browser.visit = browse
    assert command("login", place.url, "--port", port).code == 0


@pytest.mark.parametrize(
    ("login", "scopes", "until"),
    [
        (Login("", "", (), None, True), "not told", "not told"),
        (Login("", "", ("a", "\x1b["), 1e15, False), "a \\x1b[", "the end of time, then somebody has to log in again"),
    ],
)
def test_what_is_told_of_a_login_is_what_is_known(
    command: Command, monkeypatch: pytest.MonkeyPatch, login: Login, scopes: str, until: str
) -> None:
    async def log_in(client: object, *, anew: bool) -> Login:
        return login

    monkeypatch.setattr(transports.Client, "log_in", log_in)
    told = dict(line.split(maxsplit=1) for line in command("login", SOMEWHERE).out.splitlines() if " " in line.strip())
    assert (told["scopes"], told["until"]) == (scopes, until)


def test_a_server_without_logins_is_none_to_log_in_at(command: Command, browser: Browser) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(Server())) as served:
        outcome = command("login", served.url)
    assert (outcome.code, outcome.out, browser.pages) == (4, "", [])
    assert "dynamic client registration was refused: status 404; does this server know logins?" in outcome.said[0]


def test_a_server_that_forgets_nothing_is_mentioned(
    command: Command, place: Place, browser: Browser, port: str, kept: MemoryKeyring
) -> None:
    command("login", place.url, "--port", port)
    forget(place, "clients")
    outcome = command("logout", place.url)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.said[-1] == (
        "the login is forgotten here; the authorization server did not say that it is forgotten there"
    )
    assert kinds(kept) <= {"client"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["login"], "Missing argument 'URL' (see mcpcore login --help)"),
        (["login", "nonsense"], "the server's URL must be absolute"),
        (["tools", "nonsense"], "the server's URL must be absolute"),
        (["logout", "https://user:s3cret@mcp.example/"], "userinfo"),
        (["login", SOMEWHERE, "--port", "0"], "--port"),
        (["login", SOMEWHERE, "--timeout", "0"], "--timeout"),
        (["login", SOMEWHERE, "--issuer", SOMEWHERE], "--issuer goes with --client-id (see mcpcore login --help)"),
        (["login", SOMEWHERE, "--client-id", "a", "--issuer", "nonsense"], "the issuer of a registered client is"),
        (["login", SOMEWHERE, "--client-secret-env", "SECRET"], "--client-secret-env goes with --client-id"),
        (
            ["login", SOMEWHERE, "--client-id", "a", "--client-secret-env", "SECRET"],
            "--client-secret-env goes with --issuer (see mcpcore login --help)",
        ),
        (["login", SOMEWHERE, "--client-id", "a", "--client-secret-env", "s3-cret"], "never the secret itself"),
        (["login", SOMEWHERE, "--client-metadata-url", "http://app.example/"], "client_metadata_url is an https URL"),
        (
            ["login", SOMEWHERE, "--client-id", "a", "--client-metadata-url", "https://app.example/client"],
            "'--client-id' cannot be given with --client-metadata-url",
        ),
    ],
)
def test_wrong_usage_is_one_line_without_the_secret(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    outcome = command(*arguments)
    assert (outcome.code, outcome.out, len(outcome.said)) == (2, "", 1)
    assert words in outcome.said[0]
    assert "s3cret" not in outcome.err


# In a process of its own


def test_a_login_outlives_its_process_and_shows_no_secret_to_others(
    command: Command, places: dict[str, Place], port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, file, notes = places["apart"], tmp_path / "keyring.json", tmp_path / "browser"
    client = register(place, f"http://127.0.0.1:{port}/callback")
    monkeypatch.setenv("KEYRING_FILE", str(file))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}",
        "PYTHON_KEYRING_BACKEND": "support.keyrings.FileKeyring",
        "BROWSER": shlex.join([sys.executable, "-m", "support.browser", "%s"]),
        "BROWSER_NOTES": str(notes),
        "CLIENT_SECRET": client["client_secret"],
    }
    by_hand = ("--client-id", client["client_id"], "--client-secret-env", "CLIENT_SECRET", "--issuer", place.issuer)
    words = [sys.executable, "-m", "transports", "login", place.url, *by_hand, "--port", port]
    login = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=50)
    assert login.returncode == 0, login.stderr
    secrets = secrets_in(json.loads(file.read_text()))
    assert client["client_secret"] in secrets
    told = notes.read_text() + login.stdout + login.stderr
    assert not [secret for secret in secrets if secret in told]
    with chosen(FileKeyring()):
        assert json.loads(command("call", place.url, "whoami").out)["user"] == "alice"
