"""The configured URL: what is refused, what it is called, and which other URLs belong to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpcore import ConfigurationError
from mcpcore.rules.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "name", "sent_to"),
    [
        ("https://mcp.example", "https://mcp.example", "https://mcp.example"),
        ("https://mcp.example/", "https://mcp.example/", "https://mcp.example/"),
        ("https://mcp.example:8443/a/b", "https://mcp.example:8443/a/b", "https://mcp.example:8443/a/b"),
        ("HTTPS://MCP.Example/A", "https://mcp.example/A", "https://MCP.Example/A"),
        ("https://mcp.example/mcp?key=k", "https://mcp.example/mcp", "https://mcp.example/mcp?key=k"),
        ("https://mcp.example/mcp?key=k#frag", "https://mcp.example/mcp", "https://mcp.example/mcp?key=k"),
        ("https://mcp.example/mcp#frag", "https://mcp.example/mcp", "https://mcp.example/mcp"),
        ("http://[::1]:8080/mcp?k", "http://[::1]:8080/mcp", "http://[::1]:8080/mcp?k"),
        ("https://mcp.example/a@b", "https://mcp.example/a@b", "https://mcp.example/a@b"),
        ("https://mcp.example?@", "https://mcp.example", "https://mcp.example?@"),
    ],
)
def test_an_endpoint_keeps_its_url_and_is_named_by_origin_and_path(url: str, name: str, sent_to: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.configured, endpoint.url, endpoint.name) == (url, sent_to, name)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example",
        "/mcp",
        "//mcp.example/mcp",
        "mcp.example:443/mcp",
        "https:",
        "https://",
        "https:///mcp",
        "https:mcp.example",
        "https://:443/",
        "ftp://mcp.example/",
        "ws://mcp.example/",
        "file:///etc/passwd",
        "https://mcp.example:99999/",
        "https://mcp.example:port/",
        "https://mcp.example:-1/",
        "https://mcp.example:\u0661/",
    ],
)
def test_a_url_that_no_request_can_go_to_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="absolute and http or https, with a valid host and port"):
        Endpoint.parse(url)


@pytest.mark.parametrize(
    "url",
    [
        " https://mcp.example/",
        "https://mcp.example/ ",
        "https://mcp.example/\n",
        "https://mcp.example/a b",
        "https://mcp.example\t/",
        "ht\ntps://mcp.example/",
        "https://mcp.example\\mcp",
        "\x00https://mcp.example/",
        "https://mcp.example/\x7f",
    ],
    ids=ascii,
)
def test_a_url_that_parsers_read_differently_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="white space, control characters or a backslash"):
        Endpoint.parse(url)


@pytest.mark.parametrize("url", ["https://[::1/", "https://user:SECRET@ex\u2100mple/", "https://[SECRET]x/"])
def test_a_url_that_cannot_be_parsed_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be parsed") as caught:
        Endpoint.parse(url)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "is_private"),
    [
        ("https://mcp.example/", True),
        ("https://10.0.0.1/", True),
        ("http://mcp.example/", False),
        ("http://localhost:1/", True),
        ("http://127.0.0.1/", True),
        ("http://127.255.255.254/", True),
        ("http://[::1]/", True),
        ("http://[0:0:0:0:0:0:0:1]/", True),
        ("http://127.0.0.256/", False),
        ("http://127.0.0.1.example/", False),
        ("http://localhost.example/", False),
        ("http://example.localhost/", False),
        ("http://169.254.169.254/", False),
        ("http://[::ffff:8.8.8.8]/", False),
    ],
)
def test_headers_are_private_over_https_and_on_this_machine(url: str, is_private: bool) -> None:
    assert Endpoint.parse(url).is_private is is_private


@pytest.mark.parametrize(
    ("url", "reference", "expected"),
    [
        ("https://mcp.example", "messages", "https://mcp.example/messages"),
        ("https://mcp.example:443/sse", "https://mcp.example/messages", "https://mcp.example/messages"),
        ("http://localhost/sse", "http://localhost:80/m#f", "http://localhost:80/m"),
        ("http://localhost/sse", "http://127.0.0.1/m", None),
        ("http://localhost:8080/sse", "http://localhost/m", None),
        ("http://[::1]:80/sse", "http://[::1]/m", "http://[::1]/m"),
        ("http://[::1]/sse", "http://[::2]/m", None),
        ("http://mcp.example/sse", "https://mcp.example/m", None),
        ("https://mcp.example:80/sse", "http://mcp.example/m", None),
    ],
)
def test_a_reference_is_resolved_within_the_origin_or_not_at_all(
    url: str, reference: str, expected: str | None
) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint.resolve(endpoint.url, reference) == expected


@given(st.text(alphabet=st.sampled_from("/\\@:?#.;%[]ahtps evil\t\n\u3002"), max_size=24))
def test_no_reference_leads_away_from_the_origin(reference: str) -> None:
    endpoint = Endpoint.parse("https://mcp.example/mcp")
    target = endpoint.resolve(endpoint.url, reference)
    assert (
        target is None
        or target == "https://mcp.example"
        or target.startswith(("https://mcp.example/", "https://mcp.example?", "https://mcp.example:443/"))
    )


def test_an_endpoint_shows_neither_query_nor_fragment() -> None:
    assert repr(Endpoint.parse("https://mcp.example/mcp?key=SECRET#SECRET")) == (
        "Endpoint(configured=https://mcp.example/mcp)"
    )


@pytest.mark.parametrize(
    ("configured", "reference"),
    [
        ("https://[::1]/mcp", "https://[::1].evil.example/mcp"),
        ("https://[::1]/mcp", "https://[::1]:443.evil.example/mcp"),
        ("https://kay.example/mcp", "https://\N{KELVIN SIGN}ay.example/mcp"),
    ],
    ids=ascii,
)
def test_a_host_that_only_looks_like_the_endpoints_is_another(configured: str, reference: str) -> None:
    endpoint = Endpoint.parse(configured)
    assert endpoint.resolve(endpoint.url, reference) is None


def test_what_is_no_url_is_not_quoted() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Endpoint.parse("cpk-SECRET")
    assert "SECRET" not in str(caught.value)
