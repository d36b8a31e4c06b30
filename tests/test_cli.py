"""The command line, as its users meet it: what it prints, what it says on stderr, and how it ends."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import pty
import runpy
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal
from attrs import frozen
from keyring.backends.fail import Keyring as NoKeyring
from support.adapters import nowhere
from support.keyrings import chosen

import mcpcore
import transports.__main__
import transports.cli
import transports.cli.demo
import transports.loops
from mcpcore import RequestContext
from transports.cli.running import run_on
from transports.cli.text import one_line, visible
from transports.demo import Era, Evidence, Tokens, play
from transports.demo.scene import TOKEN_HEADER, USER_HEADER, UserHeaders
from transports.testing import Answer, Progress, RawResult, ReceivedRequest, Served, Server, Tool, echo_headers, serve

ROOT = Path(__file__).resolve().parent.parent
EVIL = "\x1b]0;owned\x07\x1b[2J[bold red]\u202egpj\u2028end"
SHOWN = "\\x1b]0;owned\\x07\\x1b[2J[bold red]\\u202egpj\\u2028end"


@frozen
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a command that failed."""
        assert self.out == ""
        assert self.err.startswith("mcpcore: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("mcpcore: ").removesuffix("\n")


class Command:
    """Runs ``mcpcore`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Outcome:
        code = transports.cli.run(arguments)
        return Outcome(code, *self._capsys.readouterr())


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    """Whoever runs the tests has logged in nowhere."""
    with chosen(NoKeyring()):
        yield


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("COLUMNS", "100")
    return Command(capsys)


@contextmanager
def listening(server: Server) -> Iterator[Served]:
    """A server in a thread of its own, because a command has this one to itself."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(server)) as served:
        yield served


def say(arguments: dict[str, Any], request: ReceivedRequest) -> dict[str, Any]:
    """Say what was given."""
    return arguments


SAY = Tool(
    say,
    description="Say what was given.\n\nAt length.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}, "times": {"type": "integer"}, "any": True},
        "required": ["text"],
    },
)


def answering(result: dict[str, Any]) -> Server:
    """A server with one tool, ``answer``, and this result."""
    return Server([Tool(lambda arguments, request: RawResult(result), "answer")])


# tools


def test_tools_are_listed_with_their_arguments_and_what_they_do(command: Command) -> None:
    with listening(Server([SAY, echo_headers])) as served:
        outcome = command("tools", served.url)
    assert outcome.code == 0
    assert outcome.err == ""
    assert [line.rstrip() for line in outcome.out.splitlines() if line.strip()] == [
        "tool           arguments          what it does",
        "say            text: string       Say what was given.",
        "               [times: integer]",
        "               [any]",
        "echo_headers                      Return the headers that this very request carried.",
    ]


def test_tools_as_json_are_what_the_server_sent(command: Command) -> None:
    with listening(Server([Tool(say, extra={"title": "Ünï", "x": 1})])) as served:
        outcome = command("tools", served.url, "--json")
    assert outcome.code == 0
    assert outcome.out.isascii()
    assert json.loads(outcome.out) == [
        {
            "name": "say",
            "description": "Say what was given.",
            "inputSchema": {"type": "object"},
            "title": "Ünï",
            "x": 1,
        }
    ]


def test_a_server_without_tools_is_no_error(command: Command) -> None:
    with listening(Server()) as served:
        outcome = command("tools", served.url)
        as_json = command("tools", served.url, "--json")
    assert (outcome.code, outcome.complaint) == (0, "the server offers no tools")
    assert (as_json.code, as_json.out) == (0, "[]\n")


def test_a_tool_that_is_left_out_is_mentioned(command: Command) -> None:
    with listening(Server([SAY, Tool(say, "odd", extra={"inputSchema": EVIL})])) as served:
        outcome = command("tools", served.url, "--json")
    assert outcome.code == 0
    assert [tool["name"] for tool in json.loads(outcome.out)] == ["say"]
    assert outcome.err.startswith("mcpcore: warning: ")
    assert "the definition of tool 'odd' has no inputSchema" in outcome.err
    logging.getLogger("mcpcore").warning("nobody is told of this after the command")
    assert command().err.startswith("Usage: ")


def test_what_a_server_says_of_its_tools_cannot_steer_the_terminal(command: Command) -> None:
    schema = {"properties": {EVIL: {"type": EVIL}}}
    with listening(Server([Tool(say, f"n{EVIL}", f"d{EVIL}", schema)])) as served:
        outcome = command("tools", served.url)
    assert outcome.code == 0
    # A cell is folded where the column ends, so the words are looked for without the folds.
    together = "".join(outcome.out.split())
    for part in ("\\x1b]0;owned\\x07", "[boldred]"):
        assert together.count(part) >= 1
    assert not set(outcome.out) & set("\x1b\x07\u202e\u2028")


# tools of several servers


def mcp_json(path: Path, **servers: dict[str, Any]) -> str:
    """A file with these servers."""
    file = path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": servers}))
    return str(file)


@contextmanager
def two_listening() -> Iterator[tuple[Served, Served]]:
    legacy = Server([SAY, Tool(say, "shout")], revisions=["2024-11-05"])
    with listening(Server([SAY])) as modern, listening(legacy) as served:
        yield modern, served


def test_the_tools_of_all_servers_in_a_file_are_listed(command: Command, tmp_path: Path) -> None:
    with two_listening() as (first, second):
        file = mcp_json(tmp_path, first={"url": first.url}, second={"url": second.sse_url, "type": "sse"})
        outcome = command("tools", "--config", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.rstrip() for line in outcome.out.splitlines() if line.strip()] == [
        "tool          server   arguments          what it does",
        "say           first    text: string       Say what was given.",
        "                       [times: integer]",
        "                       [any]",
        "second__say   second   text: string       Say what was given.",
        "                       [times: integer]",
        "                       [any]",
        "shout         second                      Say what was given.",
    ]


def test_the_tools_of_all_servers_as_json_are_what_they_sent_and_what_they_are_called(
    command: Command, tmp_path: Path
) -> None:
    with two_listening() as (first, second):
        file = mcp_json(tmp_path, first={"url": first.url}, second={"url": second.sse_url, "type": "sse"})
        outcome = command("tools", "--config", file, "--json")
    assert outcome.code == 0
    assert [(tool["name"], tool["server"], tool["definition"]["name"]) for tool in json.loads(outcome.out)] == [
        ("say", "first", "say"),
        ("second__say", "second", "say"),
        ("shout", "second", "shout"),
    ]


def test_a_server_in_a_file_that_cannot_be_used_is_told_and_the_others_are_listed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    refusing = Server()
    refusing.script(None, Answer(401), times=None)
    with listening(refusing) as bad, listening(Server([SAY])) as good:
        servers = {
            "good": {"url": good.url},
            "bad": {"url": bad.url, "headers": {"Authorization": "Bearer ${TOKEN}"}},
            "gone": {"url": f"{nowhere()}/mcp"},
        }
        outcome = command("tools", "--config", mcp_json(tmp_path, **servers), "--json")
        nothing = command("tools", "--config", mcp_json(tmp_path, gone=servers["gone"]))
    assert outcome.code == 4
    assert [tool["name"] for tool in json.loads(outcome.out)] == ["say"]
    lines = sorted(outcome.err.splitlines())
    assert [line.partition("': ")[0] for line in lines] == [
        "mcpcore: warning: the run does without the server 'bad",
        "mcpcore: warning: the run does without the server 'gone",
    ]
    assert "(401)" in lines[0]
    assert "s3cret" not in outcome.err + outcome.out
    refusing.journal.assert_every_request_carries("authorization", "Bearer s3cret")
    assert (nothing.code, nothing.out) == (3, "")
    assert nothing.err.splitlines()[-1] == "mcpcore: there are no tools"


def test_each_server_in_a_file_has_the_time_that_is_given(command: Command, tmp_path: Path) -> None:
    slow = Server()
    slow.script(None, lambda request, forward: anyio.sleep_forever(), times=None)
    with listening(slow) as served:
        outcome = command("tools", "--config", mcp_json(tmp_path, slow={"url": served.url}), "--timeout", "0.05")
    assert outcome.code == 3
    assert "no answer within 0.05 s" in outcome.err


def test_a_file_says_what_there_is_to_say_of_a_server(command: Command, tmp_path: Path) -> None:
    file = mcp_json(tmp_path, one={"url": SOMEWHERE})
    for option in ((SOMEWHERE,), ("--header", "A=s3cret"), ("--sse",), ("--allow-insecure-http",)):
        outcome = command("tools", "--config", file, *option)
        assert outcome.code == 2
        assert "cannot be given with --config (see mcpcore tools --help)" in outcome.complaint
        assert "s3cret" not in outcome.complaint


def test_a_file_that_cannot_be_understood_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    outcome = command("tools", "--config", mcp_json(tmp_path, one={"url": "ftp://s3cret.example/"}))
    assert outcome.code == 2
    assert "server 'one'" in outcome.complaint
    assert "s3cret" not in outcome.complaint


# call


def test_a_value_is_a_string_or_json_as_the_words_say(command: Command) -> None:
    words = ["text=3", "times:=3", 'any:={"a": [true, null]}', "equals=a=b", "empty=", "odd:x=1"]
    with listening(Server([SAY])) as served:
        outcome = command("call", served.url, "say", *words)
        bare = command("call", served.url, "say")
    assert outcome.code == 0
    assert json.loads(outcome.out) == {
        "text": "3",
        "times": 3,
        "any": {"a": [True, None]},
        "equals": "a=b",
        "empty": "",
        "odd:x": "1",
    }
    assert (bare.code, bare.out) == (0, "{}\n")


def test_a_result_as_json_is_what_the_server_sent(command: Command) -> None:
    result = {"content": [], "structuredContent": EVIL, "isError": False, "x": 1}
    with listening(Server([Tool(lambda arguments, request: RawResult(result), "answer")])) as served:
        outcome = command("call", served.url, "answer", "--json", "--protocol-version", "2025-11-25")
    assert outcome.code == 0
    assert outcome.out.isascii()
    assert json.loads(outcome.out) == result


def test_content_is_shown_as_text_or_as_what_it_is(command: Command) -> None:
    content = [
        {"type": "text", "text": f"one\r\n\ttwo {EVIL}"},
        {"type": "image", "mimeType": "image/png", "data": "aGVsbG8="},
        {"type": "resource_link", "uri": f"file:///a{EVIL}", "name": "a"},
        {"type": "resource", "resource": {"uri": "file:///b", "text": "words of b"}},
        {"type": "resource", "resource": {"uri": "file:///c", "mimeType": "x/y", "blob": "aGVsbG8="}},
        {"type": "new in a later revision"},
        {},
    ]
    with listening(answering({"content": content})) as served:
        outcome = command("call", served.url, "answer")
    assert outcome.code == 0
    assert outcome.out.split("\n") == [
        "one",
        f"\ttwo {SHOWN}",
        "[image, image/png]",
        f"[resource_link, file:///a{SHOWN}]",
        "words of b",
        "[resource, x/y, file:///c]",
        "[new in a later revision]",
        "[]",
        "",
    ]


def test_a_result_without_content_is_shown_as_json(command: Command) -> None:
    with listening(answering({"content": [], "structuredContent": [EVIL]})) as served:
        outcome = command("call", served.url, "answer")
    assert outcome.out.isascii()
    assert json.loads(outcome.out) == [EVIL]


def test_a_tool_that_fails_says_so_on_stderr(command: Command) -> None:
    result = {"content": [{"type": "text", "text": EVIL}], "isError": True}
    with listening(answering(result)) as served:
        outcome = command("call", served.url, "answer")
        as_json = command("call", served.url, "answer", "--json")
    assert (outcome.code, outcome.complaint) == (1, f"the tool answer failed: {SHOWN}")
    assert as_json.code == 1
    assert json.loads(as_json.out)["isError"] is True


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self) -> bool:
        return True


async def work(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    yield Progress(1, total=4)
    yield Progress(2, total=4, message=f"{EVIL} {'x' * 200}")
    yield "done"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_progress_is_a_bar_on_a_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with listening(Server([Tool(work)])) as served:
        outcome = command("call", served.url, "work")
    assert (outcome.code, outcome.out) == (0, "done\n")
    [call] = served.server.journal.requests("tools/call")
    if term == "dumb":
        assert (terminal.getvalue(), "progressToken" in call.params["_meta"]) == ("", False)
        return
    last = terminal.getvalue().rpartition("\r\x1b[2K")[2]
    assert "\\x1b]0;owned\\x07\\x1b[2J[bold red]\\u202egpj" in last
    assert " 50%" in last
    assert "…" in last
    assert terminal.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K"), "it is gone when the call is over"


def test_elsewhere_progress_is_not_even_asked_for(command: Command) -> None:
    with listening(Server([Tool(work)])) as served:
        outcome = command("call", served.url, "work")
    assert (outcome.code, outcome.out, outcome.err) == (0, "done\n", "")
    [call] = served.server.journal.requests("tools/call")
    assert "progressToken" not in call.params["_meta"]


# How the server is spoken to


def test_credentials_come_from_the_environment_and_from_headers(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    options = ("--bearer-env", "TOKEN", "--header", "X-App=demo", "--header", "X-Empty=")
    with listening(Server([echo_headers])) as served:
        outcome = command("call", served.url, "echo_headers", *options)
    seen = json.loads(outcome.out)
    assert (seen["authorization"], seen["x-app"], seen["x-empty"]) == ("Bearer s3cret", "demo", "")
    served.server.journal.assert_every_request_carries("authorization", "Bearer s3cret")


@pytest.mark.parametrize("options", [(), ("--sse",), ("--protocol-version", "2024-11-05")])
def test_an_old_server_is_understood(command: Command, options: tuple[str, ...]) -> None:
    with listening(Server([SAY], revisions=["2024-11-05"])) as served:
        outcome = command("call", served.sse_url, "say", "text=hi", *options)
    assert (outcome.code, json.loads(outcome.out)) == (0, {"text": "hi"})


def test_sse_speaks_nothing_else(command: Command) -> None:
    with listening(Server([SAY], revisions=["2024-11-05"])) as served:
        assert command("tools", served.sse_url, "--sse").code == 0
    assert served.server.journal[0].method == "GET"


def test_a_revision_can_be_chosen(command: Command) -> None:
    with listening(Server([SAY])) as served:
        assert command("tools", served.url, "--protocol-version", "2025-06-18").code == 0
    assert served.server.journal[0].params["protocolVersion"] == "2025-06-18"


# How it fails


def test_a_server_that_wants_a_token_is_told_how_to_get_one(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    server = Server()
    server.script(None, Answer(401), times=None)
    with listening(server) as served:
        without = command("tools", served.url)
        refused = command("tools", served.url, "--bearer-env", "TOKEN")
    assert without.code == refused.code == 4
    assert served.url in without.complaint
    assert without.complaint.endswith(
        f"(401); log in with mcpcore login {served.url}, or give a token with --bearer-env NAME"
    )
    assert refused.complaint.endswith("(401); is the token in TOKEN still good?")


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (Answer(403), 4, "the server forbids this request (403)"),
        (Answer(404), 5, "status 404; is this the URL of its MCP endpoint?"),
        (Answer(503, {"retry-after": "7"}), 5, "status 503; it asks to wait 7 s"),
        (Answer(307, {"location": "https://other.example/mcp?key=s3cret"}), 5, "https://other.example/mcp, which is"),
        (Answer.json({"not": "json-rpc"}), 5, "JSON-RPC"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_another_answer_is_one_line_and_a_code(command: Command, answer: Answer, code: int, words: str) -> None:
    server = Server()
    server.script(None, answer, times=None)
    with listening(server) as served:
        outcome = command("tools", served.url)
    assert outcome.code == code
    assert words in outcome.complaint
    assert "s3cret" not in outcome.complaint


def test_an_error_of_the_servers_own_words_cannot_steer_the_terminal(command: Command) -> None:
    server = Server()
    error = {"code": 7, "message": f"two\nlines {EVIL}"}
    server.script(
        "tools/list", lambda request, _: Answer.json({"jsonrpc": "2.0", "id": request.rpc_id, "error": error})
    )
    with listening(server) as served:
        outcome = command("tools", served.url)
    assert outcome.code == 5
    assert outcome.complaint == f"tools/list to {served.url}: two lines {SHOWN} (JSON-RPC error 7)"


def test_a_server_that_is_not_there_is_unreachable(command: Command) -> None:
    with listening(Server()) as served:
        url = served.url
    outcome = command("tools", url)
    assert outcome.code == 3
    assert url in outcome.complaint
    assert outcome.complaint.endswith("is the server running, and is this its URL?")


def test_a_server_that_does_not_answer_in_time_is_unreachable(command: Command) -> None:
    server = Server()
    server.script(None, lambda request, forward: anyio.sleep_forever(), times=None)
    with listening(server) as served:
        outcome = command("tools", served.url, "--timeout", "0.05")
    assert outcome.code == 3
    assert outcome.complaint.endswith("no answer within 0.05 s; --timeout allows it more")


SOMEWHERE = "https://mcp.example/mcp"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tools"], "give the URL of a server, or --config FILE (see mcpcore tools --help)"),
        (["tools", "--config", "absent-mcp.json"], "'--config': absent-mcp.json: it cannot be read"),
        (["call"], "Missing argument 'URL' (see mcpcore call --help)"),
        (["nonsense"], "No such command 'nonsense' (see mcpcore --help)"),
        (["demo", "more"], "(see mcpcore demo --help)"),
        (["tools", "nonsense"], "the server's URL must be absolute"),
        (["tools", "https://user:s3cret@mcp.example/"], "userinfo"),
        (["tools", SOMEWHERE, "--timeout", "0"], "--timeout"),
        (["tools", SOMEWHERE, "--protocol-version", "1999"], "protocol_version must be one of 2024-11-05, "),
        (["tools", SOMEWHERE, "--sse", "--protocol-version", "2026-07-28"], "HTTP+SSE cannot carry"),
        (["tools", SOMEWHERE, "--header", "s3cret"], "'--header': it is NAME=VALUE"),
        (["tools", SOMEWHERE, "--header", "=s3cret"], "'--header': it is NAME=VALUE"),
        (["tools", SOMEWHERE, "--header", "A=s3cret", "--header", "A=x"], "'--header': A is given twice"),
        (["tools", SOMEWHERE, "--header", "A=s3cret", "--header", "a=x"], "differ only in case"),
        (["tools", SOMEWHERE, "--header", "Cookie=s3cret"], "the header Cookie belongs to the protocol"),
        (["tools", SOMEWHERE, "--bearer-env", "ABSENT"], "the environment variable ABSENT is not set, or empty"),
        (["tools", SOMEWHERE, "--bearer-env", "BLANK"], "the environment variable BLANK is not set, or empty"),
        (["tools", SOMEWHERE, "--bearer-env", "cpk-s3cret"], "never the secret itself"),
        (["tools", "http://mcp.example/", "--bearer-env", "TOKEN"], "over plain http"),
        (["call", SOMEWHERE], "Missing argument 'TOOL'"),
        (["call", SOMEWHERE, "t", "s3cret"], "it is key=value for a string, or key:=value for JSON"),
        (["call", SOMEWHERE, "t", "=s3cret"], "it is key=value"),
        (["call", SOMEWHERE, "t", ":=s3cret"], "it is key=value"),
        (["call", SOMEWHERE, "t", "k:=s3cret"], "the value of k is not JSON; as a string it is given as k=value"),
        (["call", SOMEWHERE, "t", "k:=NaN"], "the value of k is not JSON"),
        (["call", SOMEWHERE, "t", "k:=" + "[" * 100_000], "the value of k is not JSON"),
        (["call", SOMEWHERE, "t", "k=1", "k:=2"], "k is given twice"),
    ],
)
def test_wrong_usage_is_one_line_without_the_secret(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    monkeypatch.setenv("BLANK", " ")
    monkeypatch.delenv("ABSENT", raising=False)
    outcome = command(*arguments)
    assert outcome.code == 2
    assert words in outcome.complaint
    assert "s3cret" not in outcome.complaint


def test_plain_http_to_another_machine_can_be_allowed(command: Command) -> None:
    with listening(Server([echo_headers])) as served:
        # Whatever 0.0.0.0 leads to, it is no loopback address.
        question = ("call", served.url.replace("127.0.0.1", "0.0.0.0"), "echo_headers", "--header", "X-App=demo")
        refused = command(*question)
        allowed = command(*question, "--allow-insecure-http")
    assert refused.code == 2
    assert "headers would be sent over plain http" in refused.complaint
    assert json.loads(allowed.out)["x-app"] == "demo"


def test_without_a_command_the_help_is_shown(command: Command) -> None:
    outcome = command()
    assert (outcome.code, outcome.out) == (2, "")
    assert "Commands:\n  call " in outcome.err
    helped = command("--help")
    assert (helped.code, helped.err) == (0, "")
    assert "130 interrupted" in helped.out


def test_every_exit_code_is_documented(command: Command) -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    epilog = " ".join(command("--help").out.split())
    for code in transports.cli.failures.ExitCode:
        assert f"| {code.value} |" in page
        assert f"{code.value} " in epilog.partition("Exit codes: ")[2]


def test_the_version_is_told(command: Command) -> None:
    outcome = command("--version")
    assert outcome.out == f"mcpcore, version {mcpcore.__version__}\n"


# demo


def test_the_demonstration_shows_every_request_and_the_verdict(command: Command) -> None:
    outcome = command("demo")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.strip() for line in outcome.out.splitlines()]
    for loop in ("asyncio", "trio"):
        assert f"{loop}  2026-07-28  modern era: no sessions" in lines
        assert f"{loop}  2025-11-25  handshake era: no discovery (400), one session a user" in lines
    rows = [line.split() for line in lines if line[:1].isdecimal()]
    assert {row[1] for row in rows} == {"discover", "request", "initialize", "notification", "terminate"}
    assert ["requests", str(len(rows))] in [line.split()[:2] for line in lines]
    assert ["resolver", "calls", str(len(rows))] in [line.split()[:3] for line in lines]
    assert "cross-identity leaks   0  in any request, session or answer" in lines


@pytest.mark.parametrize("columns", [80, 120])
def test_the_report_fits_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [line.rstrip() for line in command("demo").out.splitlines()]
    assert max(map(len, lines)) <= columns
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)
    # No row is folded: each begins with its number, and what follows it is one request.
    rows = [line.split() for line in lines if line[:4].strip().isdecimal()]
    assert len(rows) == 50


def test_a_leak_is_shown_and_ends_the_demonstration_badly(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_as_alice(tokens: Tokens) -> UserHeaders:
        def resolve(ctx: RequestContext) -> dict[str, str]:
            return {USER_HEADER: "alice", TOKEN_HEADER: tokens.use("alice")}

        return resolve

    async def leak(era: Era) -> Evidence:
        return await play(era, all_as_alice)

    monkeypatch.setattr(transports.cli.demo, "play", leak)
    outcome = command("demo")
    assert outcome.code == 1
    (row,) = [line.split() for line in outcome.out.splitlines() if "cross-identity leaks" in line]
    assert int(row[2]) > 0
    assert row[3:] == []
    assert "made for bob, carried what is alice's" in outcome.out
    assert "bob asked for tools/list and was told of alice" in outcome.out


def test_a_scene_with_a_stranger_or_nobody_in_it_is_still_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strange(era: Era) -> Evidence:
        return await play(era, lambda tokens: lambda ctx: {USER_HEADER: "eve"} if ctx.principal == "bob" else {})

    monkeypatch.setattr(transports.cli.demo, "play", strange)
    outcome = command("demo")
    assert outcome.code == 1
    assert "none" in outcome.out
    assert "Unknown tool" in outcome.out


def test_without_trio_the_demonstration_runs_on_asyncio(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports.loops, "find_spec", lambda name: None if name == "trio" else object())
    outcome = command("demo")
    assert outcome.code == 0
    assert "trio is not installed; install mcpcore[trio]" in outcome.out
    assert "trio  2026-07-28" not in outcome.out


# The entry point


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "transports", *arguments]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **more}


def test_the_console_script_is_the_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"mcpcore": "transports.__main__:main"}
    assert {requirement.partition(">=")[0] for requirement in project["optional-dependencies"]["cli"]} == {
        "click",
        "rich",
    }


def test_the_entry_point_reads_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mcpcore", "tools", "nonsense"])
    assert transports.__main__.main() == 2
    assert capsys.readouterr().err.startswith("mcpcore: the server's URL must be absolute")


def test_the_package_runs_as_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["python -m transports", "--version"])
    monkeypatch.delitem(sys.modules, "transports.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("transports", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"mcpcore, version {mcpcore.__version__}\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, missing, None)
    assert transports.__main__.main() == 2
    assert capsys.readouterr() == ("", "mcpcore: the command line needs click and rich; install mcpcore[cli]\n")


def test_another_missing_module_is_not_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_command_line(monkeypatch)
    monkeypatch.setitem(sys.modules, "attrs", None)
    with pytest.raises(ModuleNotFoundError, match="attrs"):
        transports.__main__.main()


def test_an_interrupt_while_loading_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str, *_: object) -> None:
        if name == "click":
            raise KeyboardInterrupt

    forget_the_command_line(monkeypatch)
    monkeypatch.delitem(sys.modules, "click")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupted), *sys.meta_path])
    assert transports.__main__.main() == 130
    assert capsys.readouterr() == ("", "")


def forget_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[:2] == ["transports", "cli"]]:
        monkeypatch.delitem(sys.modules, name)


def test_the_program_in_a_process_of_its_own() -> None:
    script = shutil.which("mcpcore", path=str(Path(sys.executable).parent))
    command = [script, "demo"] if script else command_line("demo")
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "cross-identity leaks   0" in done.stdout


def test_an_encoding_without_the_characters_is_enough() -> None:
    with listening(Server([Tool(say, "say", "Grüße \u2603")])) as served:
        done = subprocess.run(
            command_line("tools", served.url),
            env=environment(PYTHONIOENCODING="ascii"),
            capture_output=True,
            timeout=50,
        )
    assert done.returncode == 0
    assert b"Gr\\xfc\\xdfe \\u2603" in done.stdout


@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}])
def test_colour_is_for_terminals_that_want_it(settings: dict[str, str]) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        command_line("demo"), env=environment(TERM="xterm-256color", **settings), stdout=terminal
    )
    os.close(terminal)
    shown = b""
    with process, os.fdopen(controller, "rb", buffering=0) as screen, suppress(OSError):
        # Reading fails once nobody has the terminal open any more.
        while chunk := screen.read(65536):
            shown += chunk
    assert process.returncode == 0
    assert b"alice" in shown
    assert (b"\x1b[36malice" in shown) == (not settings)


@contextmanager
def interruptible() -> Iterator[None]:
    """Processes started here can be interrupted, also where a shell has started the tests in its background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_quiet() -> None:
    server = Server()
    server.script(None, lambda request, forward: anyio.sleep_forever(), times=None)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(server)) as served:
        with interruptible():
            process = subprocess.Popen(
                command_line("tools", served.url), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        with process:
            portal.call(server.journal.wait_for)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=50)
    assert (process.returncode, out, err.strip()) == (130, b"", b"")


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_interrupt_in_a_task_group_is_an_interrupt(loop: str) -> None:
    async def interrupted() -> None:
        raise BaseExceptionGroup("tasks", [KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        run_on(loop, interrupted)


def test_another_group_of_exceptions_is_not_an_interrupt() -> None:
    async def failing() -> None:
        raise ExceptionGroup("tasks", [ValueError("mine")])

    with pytest.raises(ExceptionGroup, match="tasks"):
        run_on("asyncio", failing)


def test_an_interrupt_between_two_steps_is_one_as_well(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(transports.cli.demo, "console", interrupted)
    assert command("demo").code == 130


def test_a_stream_that_is_no_file_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert transports.cli.run(["--version"]) == 0
    assert out.getvalue().startswith("mcpcore, version ")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, text: str, /) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    assert transports.cli.run(["--help"]) == 1
    assert capsys.readouterr().err == "mcpcore: the output cannot be written: No space left on device\n"


# Text


def test_only_what_is_harmless_is_shown_as_it_is() -> None:
    kept = "tab\tline\nÜmlaut \U0001f468\u200d\U0001f469 \u4f60\u597d [bold]"
    assert visible(kept) == kept
    assert visible("a\r\nb\rc") == "a\nb\\rc"
    assert visible("\x00\x7f\x9b\ud800\u2066\ufeff\U000e0041") == "\\x00\\x7f\\x9b\\ud800\\u2066\\ufeff\\U000e0041"
    assert one_line(" a\n\n b\tc ") == "a b c"
