"""Reading the files in which MCP clients keep their servers."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpcore import ConfigurationError
from transports import ServerConfig

URL = "https://mcp.example/mcp"
SECRET = "s3cret-value"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mcp.json"


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that write many, one after the other."""
    return tmp_path_factory.mktemp("many") / "mcp.json"


def write(file: Path, **servers: Any) -> Path:
    file.write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return file


def read_one(file: Path, server: Any, **environ: str) -> ServerConfig:
    (config,) = ServerConfig.from_mcp_json(write(file, search=server), environ=environ)
    return config


def refusal(file: Path, **environ: str) -> str:
    """What an error says; in its chain is nothing that it should not say."""
    with pytest.raises(ConfigurationError) as caught:
        ServerConfig.from_mcp_json(file, environ=environ)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    message = str(caught.value)
    assert str(file) in message
    return message


# What it reads.


def test_a_file_becomes_configurations_in_its_order(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(
        file,
        search={"type": "http", "url": URL, "headers": {"X-Key": "k", "X-App": "demo"}},
        legacy={"type": "sse", "url": "https://old.example/sse"},
    )
    assert ServerConfig.from_mcp_json(file, environ={}) == (
        ServerConfig(URL, name="search", headers={"X-Key": "k", "X-App": "demo"}),
        ServerConfig("https://old.example/sse", name="legacy", type="sse"),
    )
    assert ServerConfig.from_mcp_json(str(file)) == ServerConfig.from_mcp_json(file)
    assert caplog.records == []


def test_a_file_without_servers_has_none(file: Path) -> None:
    assert ServerConfig.from_mcp_json(write(file)) == ()


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ({"type": "http"}, "http"),
        ({"type": "streamable-http"}, "http"),
        ({"type": "streamableHttp"}, "http"),
        ({"type": "streamable_http"}, "http"),
        ({"type": "sse"}, "sse"),
        ({"type": "SSE"}, "sse"),
        ({"type": "auto"}, "auto"),
        ({"transport": "sse"}, "sse"),
        ({"transportType": "streamable-http"}, "http"),
        ({"type": "http", "transport": "streamable-http"}, "http"),
        ({}, "auto"),
    ],
)
def test_the_transport_as_clients_write_it(file: Path, written: dict[str, str], means: str) -> None:
    config = read_one(file, {"url": URL, **written})
    assert (config.type, config.extra) == (means, {})


def test_a_byte_order_mark_and_null_headers_do_no_harm(file: Path) -> None:
    file.write_text(json.dumps({"mcpServers": {"a": {"url": URL, "headers": None}}}), encoding="utf-8-sig")
    assert ServerConfig.from_mcp_json(file) == (ServerConfig(URL, name="a", type="auto"),)


# What it leaves out, and what it keeps.


@pytest.mark.parametrize(
    "server", [{"command": "npx", "args": ["-y"], "env": {"TOKEN": SECRET}}, {"type": "stdio", "command": "npx"}]
)
def test_a_program_to_start_is_left_out_with_a_warning(
    file: Path, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configs = ServerConfig.from_mcp_json(write(file, local=server, search={"url": URL}))
    assert [config.name for config in configs] == ["search"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("transports", logging.WARNING)
    assert "'local'" in record.getMessage()
    assert SECRET not in caplog.text


def test_a_disabled_server_is_left_out_without_a_warning(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also if it could not be used: its variables may be set only where it is wanted."""
    write(file, off={"url": "https://${HOST}/mcp", "disabled": True}, on={"url": URL, "disabled": False})
    with caplog.at_level(logging.INFO):
        configs = ServerConfig.from_mcp_json(file, environ={})
    assert [(config.name, config.extra) for config in configs] == [("on", {})]
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_what_else_a_file_says_is_kept_with_a_warning(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = read_one(
        file,
        {"url": URL, "alwaysAllow": ["a"], "oauth": {"secret": SECRET}, "timeout": 60000, "command": "x", "env": {}},
    )
    assert config.extra == {
        "alwaysAllow": ("a",),
        "oauth": {"secret": SECRET},
        "timeout": 60000,
        "command": "x",
        "env": {},
    }
    assert config.timeout == 30.0
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "server 'search': 'alwaysAllow', 'oauth', 'timeout', 'command', 'env'" in record.getMessage()
    assert SECRET not in caplog.text + repr(config)


# The environment.


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("Bearer ${TOKEN}", "Bearer t1"),
        ("${env:TOKEN}", "t1"),
        ("${TOKEN}${TOKEN}-${_2}", "t1t1-two"),
        ("${TOKEN:-default}", "t1"),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("x${MISSING:-}y", "xy"),
        ("${MISSING:-https://a/b:-c}", "https://a/b:-c"),
        ("${NESTED}", "${TOKEN}"),
        ("$TOKEN $ {TOKEN} }$", "$TOKEN $ {TOKEN} }$"),
    ],
)
def test_variables_are_expanded_once(file: Path, written: str, expanded: str) -> None:
    environ = {"TOKEN": "t1", "_2": "two", "EMPTY": "", "NESTED": "${TOKEN}"}
    assert read_one(file, {"url": URL, "headers": {"X-A": written}}, **environ).headers == {"X-A": expanded}


def test_variables_are_expanded_in_the_url_and_nowhere_else(file: Path) -> None:
    config = read_one(
        file,
        {"url": "${BASE:-https://mcp.example}/${TEAM}/mcp", "note": "${TEAM}", "headers": {"X-$TEAM": "${TEAM}"}},
        TEAM="acme",
    )
    assert config.url == "https://mcp.example/acme/mcp"
    assert config.headers == {"X-$TEAM": "acme"}
    assert config.extra == {"note": "${TEAM}"}


def test_the_environment_is_that_of_the_process(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCPCORE_TEST_TOKEN", "of the process")
    write(file, search={"url": URL, "headers": {"X-A": "${MCPCORE_TEST_TOKEN}"}})
    assert ServerConfig.from_mcp_json(file)[0].headers == {"X-A": "of the process"}
    with pytest.raises(ConfigurationError, match="MCPCORE_TEST_TOKEN"):
        ServerConfig.from_mcp_json(file, environ={})


@pytest.mark.parametrize("key", ["url", "headers.X-Key"])
def test_a_missing_variable_is_named_with_its_server(file: Path, key: str) -> None:
    value = f"https://{SECRET}/${{API_KEY}}"
    server = {"url": value} if key == "url" else {"url": URL, "headers": {"X-Key": value}}
    write(file, search=server)
    for environ in ({}, {"API_KEY": ""}):
        message = refusal(file, **environ)
        assert f"server 'search': {key} needs the environment variable API_KEY, which is not set, or empty" in message


@pytest.mark.parametrize("written", ["${", "${}", "${1X}", "${input:token}", "${X", "${X-y}", "${X:y}", "a ${ b} ${X}"])
def test_what_begins_like_a_reference_and_is_none_is_refused(file: Path, written: str) -> None:
    write(file, search={"url": URL, "headers": {"X-Key": SECRET + written}})
    assert "headers.X-Key has a ${ that does not begin a reference" in refusal(file, X="x")


@pytest.mark.parametrize("environ", [{}, {"A": "tokA"}, {"B": "tokB"}])
@pytest.mark.parametrize("nested", ["${A:-${B}}", "${A:-x${B:-y}}", "${env:A:-${B}", "${A:-x${}"])
@pytest.mark.parametrize("key", ["url", "headers.X-Key"])
def test_a_reference_in_a_default_is_refused(file: Path, key: str, nested: str, environ: dict[str, str]) -> None:
    """Whether the default is needed or not: what is left of it would be part of what is sent."""
    value = f"https://{SECRET}/{nested}"
    write(file, search={"url": value} if key == "url" else {"url": URL, "headers": {"X-Key": value}})
    assert f"server 'search': {key}: the default of A has a reference in it" in refusal(file, **environ)


@given(value=st.text(), name=st.from_regex("[A-Za-z_][A-Za-z0-9_]*", fullmatch=True))
def test_what_a_variable_holds_is_taken_as_it_is(one_file: Path, value: str, name: str) -> None:
    write(one_file, search={"url": URL, "headers": {"X-A": f"a${{{name}:-}}z"}})
    expected, can_be_sent = {"X-A": f"a{value}z"}, True
    try:
        ServerConfig(URL, headers=expected)
    except ConfigurationError:
        can_be_sent = False
    if can_be_sent:
        assert ServerConfig.from_mcp_json(one_file, environ={name: value})[0].headers == expected
    else:
        with pytest.raises(ConfigurationError, match="the value of the header X-A has characters that cannot be sent"):
            ServerConfig.from_mcp_json(one_file, environ={name: value})


# What it refuses.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is not JSON: Expecting value in line 1, column 1"),
        (b'{\n  "mcpServers": {,}\n}', "in line 2, column 18"),
        (b'{"mcpServers": {} // ' + SECRET.encode() + b"\n}", "it is not JSON"),
        (b'\xff\xfe{"a": 1}', "it is not UTF-8"),
        (b'{"mcpServers": {"a": {"url": NaN}}}', "NaN is no number"),
        (b'{"mcpServers": {"a": {"x": ' + b"9" * 5000 + b"}}}", "a number is too long"),
        (b'{"mcpServers": {"a": {}, "a": {}}}', "the key 'a' is given twice in one object"),
        (b'{"mcpServers": {"a": {"url": "x", "url": "y"}}}', "the key 'url' is given twice"),
        (b"[" * 200_000, "it is nested too deep"),
        (b" " * (1024 * 1024 + 1), "it is larger than 1048576 bytes"),
        (b"[]", 'it has no object "mcpServers"'),
        (b"{}", 'it has no object "mcpServers"'),
        (b'{"mcpServers": []}', 'it has no object "mcpServers"'),
        (b'{"mcpServers": null, "x": "' + SECRET.encode() + b'"}', 'it has no object "mcpServers"'),
    ],
)
def test_a_malformed_file_is_refused(file: Path, text: bytes, message: str) -> None:
    file.write_bytes(text)
    assert message in refusal(file)


def test_a_file_of_the_largest_size_is_read(file: Path) -> None:
    text = json.dumps({"mcpServers": {"a": {"url": URL}}})
    file.write_text(text + " " * (1024 * 1024 - len(text)))
    assert len(ServerConfig.from_mcp_json(file)) == 1


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (SECRET, "is not an object"),
        ({}, "has neither a url nor a command"),
        ({"serverUrl": SECRET}, "has neither a url nor a command"),
        ({"type": "http", "command": SECRET}, "has no url"),
        ({"url": [SECRET]}, "url is not a string"),
        ({"url": SECRET}, "must be absolute and http or https"),
        ({"url": f"https://user:{SECRET}@mcp.example"}, "carries userinfo"),
        ({"url": URL, "type": SECRET}, 'type is none of "http"'),
        ({"url": URL, "type": None}, 'type is none of "http"'),
        ({"url": URL, "transport": {"type": "http"}}, 'transport is none of "http"'),
        ({"url": URL, "type": "http", "transport": "sse"}, "type, transport contradict each other"),
        ({"url": URL, "disabled": SECRET}, "disabled is neither true nor false"),
        ({"url": URL, "headers": [SECRET]}, "headers is not an object"),
        ({"url": URL, "headers": {"X-Key": [SECRET]}}, "headers.X-Key is not a string"),
        ({"url": URL, "headers": {"X-Key": f"{SECRET}\n"}}, "the value of the header X-Key has characters"),
        ({"url": URL, "headers": {"Mcp-Session-Id": SECRET}}, "belongs to the protocol"),
        ({"url": "http://mcp.example/mcp", "headers": {"X-Key": SECRET}}, "plain http"),
    ],
)
def test_a_server_that_could_never_be_used_is_refused(file: Path, server: Any, message: str) -> None:
    write(file, good={"url": URL}, search=server)
    said = refusal(file)
    assert message in said
    assert "server 'search': " in said


def test_a_server_without_a_name_is_refused(file: Path) -> None:
    write(file, **{"": {"url": URL}})
    assert "server '': a server's name is a string that is not blank" in refusal(file)


def test_a_file_that_cannot_be_read_is_refused(file: Path, tmp_path: Path) -> None:
    assert "it cannot be read: No such file or directory" in refusal(file)
    assert "it cannot be read: Is a directory" in refusal(tmp_path)


@pytest.mark.parametrize("path", ["mcp\0.json", "mcp\ud800.json", b"mcp.json"])
def test_what_cannot_be_the_path_of_a_file_is_refused(path: Any) -> None:
    with pytest.raises(ConfigurationError, match="that cannot be the path of a file"):
        ServerConfig.from_mcp_json(path)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner)))
def test_any_file_gives_configurations_or_a_refusal(one_file: Path, content: Any) -> None:
    one_file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ConfigurationError):
        ServerConfig.from_mcp_json(one_file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["url", "type", "transport", "headers", "disabled", "command", "other"])
VALUES = JSON | st.sampled_from([URL, "http", "sse", "stdio", "${X}"])


@given(st.dictionaries(st.text(), JSON | st.dictionaries(KEYS, VALUES), max_size=5))
def test_any_servers_give_configurations_or_a_refusal(one_file: Path, servers: dict[str, Any]) -> None:
    write(one_file, **servers)
    try:
        configs = ServerConfig.from_mcp_json(one_file, environ={"X": "x"})
    except ConfigurationError:
        return
    found = [config.name for config in configs]
    assert found == [name for name in servers if name in found]
