"""URI templates: the examples of RFC 6570, and templates that are none."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from mcpcore import ConfigurationError, LocalProtocolError, ResourceTemplate
from transports import expand

# Section 3.2 of the RFC.
VALUES: dict[str, Any] = {
    "var": "value",
    "hello": "Hello World!",
    "path": "/foo/bar",
    "half": "50%",
    "empty": "",
    "list": ["red", "green", "blue"],
    "keys": {"semi": ";", "dot": ".", "comma": ","},
    "v.1": "x",
}


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("", ""),
        ("plain://nothing?at=all", "plain://nothing?at=all"),
        ("{var}{hello}", "valueHello%20World%21"),
        ("{half}", "50%25"),
        ("{+path,hello}/here", "/foo/bar,Hello%20World!/here"),
        ("{#path:6}here", "#/foo/bhere"),
        ("X{.var}{.list*}", "X.value.red.green.blue"),
        ("{/var:1,var}", "/v/value"),
        ("{;hello:5,empty}", ";hello=Hello;empty"),
        ("{?list,undefined,empty}", "?list=red,green,blue&empty="),
        ("{?keys*}", "?comma=%2C&dot=.&semi=%3B"),
        ("?fixed=yes{&v.1}", "?fixed=yes&v.1=x"),
        ("größe/{var}", "gr%C3%B6%C3%9Fe/value"),
        ("%7Bliteral%7D{undefined}", "%7Bliteral%7D"),
    ],
)
def test_a_template_and_its_variables_make_a_uri(template: str, uri: str) -> None:
    needed = {name: value for name, value in VALUES.items() if name in template}
    assert expand(template, needed) == uri
    assert expand(ResourceTemplate(uri_template=template, name="t"), needed) == uri


@pytest.mark.parametrize(
    "template",
    ["{", "}", "{}", "x{a", "{a b}", "{|a}", "{a:0}", "{a:10000}", "{a*:3}", "{.}", "a b", "{a,}", "%7", "<", "{..a}"],
)
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(LocalProtocolError, match="no URI template"):
        expand(template, {})


def test_a_variable_that_is_not_there_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="has no variable 'patth'"):
        expand("file:///{path}", {"patth": "a"})


def test_a_long_template_is_looked_at_once() -> None:
    with pytest.raises(LocalProtocolError, match="no URI template"):
        expand("{" + "a" * 100_000 + "%", {})


def test_without_the_library_nothing_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uritemplate", None)
    with pytest.raises(ConfigurationError, match="extra 'templates'"):
        expand("file:///{path}", {"path": "a"})
