"""What particular platforms hand to an agent run."""

from __future__ import annotations

import copy
import logging
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import transports
from mcpcore import ConfigurationError
from transports import ServerConfig
from transports.engines.memory import MemoryEngine
from transports.presets.copilotkit import INTELLIGENCE_USER_ID_HEADER, intelligence_server, redact_auth
from transports.testing import Server

ORIGIN = "https://api.example"
URL = f"{ORIGIN}/mcp"
KEY = "cpk-s3cret"


def props(**changes: Any) -> dict[str, Any]:
    bag = {"userId": "alice", "apiKey": KEY, "mcpUrl": URL, **changes}
    return {"auth": {"copilotkitIntelligence": {name: value for name, value in bag.items() if value is not ...}}}


def attached(url: str, *origins: str, **changes: Any) -> bool:
    return intelligence_server(props(mcpUrl=url, **changes), allowed_origins=origins or (ORIGIN,)) is not None


# What is attached.


def test_the_bag_becomes_a_server() -> None:
    assert INTELLIGENCE_USER_ID_HEADER == "x-cpki-user-id"
    assert intelligence_server(props(), allowed_origins=[ORIGIN]) == ServerConfig(
        URL, name="copilotkit-intelligence", headers={"x-cpki-user-id": "alice"}, auth_token=KEY
    )


@pytest.mark.anyio
async def test_every_request_carries_the_key_and_the_user() -> None:
    server = Server()
    config = intelligence_server(props(), allowed_origins=[ORIGIN])
    assert config is not None
    async with transports.connect(config, engine=MemoryEngine(server)) as client:
        await client.list_tools()
    assert len(server.journal) == 2
    server.journal.assert_every_request_carries("authorization", f"Bearer {KEY}")
    server.journal.assert_every_request_carries("x-cpki-user-id", "alice")


def test_two_runs_share_nothing() -> None:
    """The first run's server stays what it was when the properties become the next run's."""
    given = props()
    first = intelligence_server(given, allowed_origins=[ORIGIN])
    given["auth"]["copilotkitIntelligence"]["userId"] = "bob"
    second = intelligence_server(given, allowed_origins=[ORIGIN])
    assert first is not None
    assert second is not None
    assert (first.headers["x-cpki-user-id"], second.headers["x-cpki-user-id"]) == ("alice", "bob")
    headers: Any = first.headers
    with pytest.raises(TypeError):
        headers["x-cpki-user-id"] = "mallory"


@pytest.mark.parametrize("key", ["userId", "apiKey", "mcpUrl"])
@pytest.mark.parametrize("value", [..., "", None, 1, True, b"bytes", ["alice"], {}])
def test_without_all_three_nothing_is_attached(key: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert intelligence_server(props(**{key: value}), allowed_origins=[ORIGIN]) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        [],
        "auth",
        {"auth": None},
        {"auth": []},
        {"auth": {"copilotkitIntelligence": None}},
        {"auth": {"copilotkitIntelligence": ["userId"]}},
        {"auth": {"other": {}}},
        {"copilotkitIntelligence": {"userId": "a", "apiKey": "b", "mcpUrl": URL}},
    ],
)
def test_without_the_bag_nothing_is_attached(given: Any) -> None:
    assert intelligence_server(given, allowed_origins=[ORIGIN]) is None


def test_properties_may_be_any_mapping() -> None:
    bag = MappingProxyType({"userId": "alice", "apiKey": KEY, "mcpUrl": URL})
    given = MappingProxyType({"auth": MappingProxyType({"copilotkitIntelligence": bag})})
    assert intelligence_server(given, allowed_origins=[ORIGIN]) is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"userId": "alice\r\nX-Admin: 1"}, "the value of the header x-cpki-user-id"),
        ({"userId": " alice"}, "the value of the header x-cpki-user-id"),
        ({"userId": "   "}, "the value of the header x-cpki-user-id"),
        ({"userId": "愛麗絲"}, "the value of the header x-cpki-user-id"),
        ({"apiKey": f"{KEY}\n"}, "the value of the header Authorization"),
        ({"mcpUrl": f"https://{KEY}:x@api.example/mcp"}, "userinfo"),
        ({"mcpUrl": "https://api.example/mcp\n"}, "white space"),
        ({"mcpUrl": "http://api.example/mcp"}, "plain http"),
        ({"mcpUrl": f"https://{KEY}.example/mcp"}, "the origin of its mcpUrl is none of the allowed ones"),
    ],
)
def test_what_cannot_be_used_attaches_nothing_and_fails_no_run(
    changes: dict[str, str], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert intelligence_server(props(**changes), allowed_origins=[ORIGIN, "http://api.example"]) is None
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("transports", logging.WARNING)
    assert message in record.getMessage()
    assert not any(secret in caplog.text for secret in (KEY, "alice", "愛麗絲"))


# Where the key may go.


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (URL, ORIGIN),
        (URL, f"{ORIGIN}/"),
        (URL, f"{ORIGIN}:443"),
        (f"{ORIGIN}:443/mcp", ORIGIN),
        (f"{ORIGIN}:/mcp", ORIGIN),
        ("HTTPS://API.Example/mcp", ORIGIN),
        (URL, "HTTPS://API.EXAMPLE"),
        (f"{ORIGIN}:8443/a/b?c=d#e", f"{ORIGIN}:8443"),
        (ORIGIN, ORIGIN),
        ("http://localhost:80/mcp", "http://localhost"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000"),
    ],
)
def test_the_origin_is_the_same_however_it_is_written(url: str, origin: str) -> None:
    assert attached(url, origin)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.evil.com/mcp",
        "https://api.examplee/mcp",
        "https://evil.api.example/mcp",
        "https://api.example./mcp",
        "https://api.example:8443/mcp",
        "https://api.example:80/mcp",
        "https://api.example:0/mcp",
        "https://api.example@evil.com/mcp",
        "https://api.example:443@evil.com/mcp",
        "https://evil.com/https://api.example/mcp",
        "https://evil.com#@api.example/mcp",
        "https://evil.com?@api.example/mcp",
        "https://evil.com\\@api.example/mcp",
        "https://evil.com/..//api.example/mcp",
        "https://api.example%2eevil.com/mcp",
        "https://api.example%00.evil.com/mcp",
        "https://[api.example]/mcp",
        "https://[api.example].evil.com/mcp",
        "https://[::1].evil.com/mcp",
        "https://api.example:443:443/mcp",
        "https://api.example:٤٤٣/mcp",
        "https://\u0430pi.example/mcp",  # the first letter is Cyrillic
        "https://api。example/mcp",
        "https://API.eẋample/mcp",
        "//api.example/mcp",
        "/mcp",
        "api.example/mcp",
        "https:api.example/mcp",
        "https:///api.example/mcp",
        "ws://api.example/mcp",
        "javascript://api.example/mcp",
    ],
)
def test_the_key_goes_to_no_other_origin(url: str) -> None:
    assert not attached(url, ORIGIN, "https://[::1]")


def test_a_letter_that_only_lower_casing_makes_ascii_is_another_host() -> None:
    """U+212A is not a K, though it is one in lower case."""
    assert attached("https://K.example/mcp", "https://k.example")
    assert not attached("https://\u212a.example/mcp", "https://k.example")


def test_the_key_goes_nowhere_without_an_allowed_origin() -> None:
    assert intelligence_server(props(), allowed_origins=[]) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "https://api.example/mcp",
        "https://api.example//",
        "https://api.example?a",
        "https://api.example#a",
        "https://*.example",
        "https://user@api.example",
        "https://api。example",
        "https://api.example:",
        "api.example",
        "*",
        "null",
        "",
    ],
)
def test_what_is_not_an_origin_is_refused_with_and_without_a_bag(wrong: str) -> None:
    for forwarded in (props(), {}):
        with pytest.raises(ConfigurationError):
            intelligence_server(forwarded, allowed_origins=[ORIGIN, wrong])


def test_one_string_is_not_several_origins() -> None:
    with pytest.raises(ConfigurationError, match="several origins"):
        intelligence_server(props(), allowed_origins=ORIGIN)


@given(st.text(st.sampled_from("htps:/@.?#[]\\%:443apievlKx "), max_size=30))
def test_whatever_is_attached_is_sent_to_the_allowed_origin(rest: str) -> None:
    for url in (rest, f"https://{rest}", f"https://api.example{rest}"):
        config = intelligence_server(props(mcpUrl=url), allowed_origins=[ORIGIN])
        if config is not None:
            rest_of_origin = (
                config.url.lower().removeprefix("https://api.example").removeprefix(":443").removeprefix(":")
            )
            assert rest_of_origin == "" or rest_of_origin[0] in "/?#"


# What the program configured itself.


@pytest.mark.parametrize(
    "configured",
    [URL, f"{ORIGIN}:443/mcp", "HTTPS://API.example/mcp", f"{URL}/", f"{URL}#part", "https://api.example./mcp"],
)
def test_a_server_of_the_same_url_wins(configured: str) -> None:
    own = [ServerConfig("https://other.example/mcp"), ServerConfig(configured)]
    assert intelligence_server(props(), allowed_origins=[ORIGIN], configured=own) is None


@pytest.mark.parametrize(
    "configured",
    [
        f"{ORIGIN}/MCP",
        f"{ORIGIN}/mcp/2",
        f"{ORIGIN}:8443/mcp",
        f"{ORIGIN}:0/mcp",
        f"{URL}?team=1",
        "http://api.example/mcp",
        ORIGIN,
    ],
)
def test_a_server_of_another_url_does_not(configured: str) -> None:
    own = [ServerConfig(configured)]
    assert intelligence_server(props(), allowed_origins=[ORIGIN], configured=own) is not None


# What may be logged and kept.


def test_redacted_properties_are_without_credentials() -> None:
    given = {**props(), "thread": {"id": 1}, "Auth": "another name"}
    before = copy.deepcopy(given)
    redacted = redact_auth(given)
    assert redacted == {"thread": {"id": 1}, "Auth": "another name"}
    assert KEY not in repr(redacted)
    redacted["thread"] = redacted["auth"] = None
    assert given == before


def test_properties_without_credentials_are_copied() -> None:
    given: Any = MappingProxyType({"a": 1})
    assert redact_auth(given) == {"a": 1}
    assert redact_auth({}) == {}
