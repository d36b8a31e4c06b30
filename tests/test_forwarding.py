"""Which headers of an inbound request an agent run may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import transports
from mcpcore import CallContext, ConfigurationError, RequestContext
from transports import ForwardPolicy, ServerConfig, forwardable_headers
from transports.engines.memory import MemoryEngine
from transports.testing import Server

APPLICATIONS = [
    "authorization",
    "Authorization",
    "x-user",
    "X-Cpki-User-Id",
    "x-api-key",
    "x-",
    "x-forwarded",
    "x-caches",
]
INFRASTRUCTURE = [
    "x-forwarded-for",
    "X-Forwarded-Host",
    "x-forwarded-",
    "x-real-ip",
    "x-amz-cf-id",
    "x-amzn-trace-id",
    "x-azure-ref",
    "x-fastly-client-ip",
    "x-vercel-id",
    "x-middleware-subrequest",
    "x-cloud-trace-context",
    "x-cache",
    "x-served-by",
    "X-Request-ID",
    "x-copilotcloud-public-api-key",
]
NEITHER = ["cookie", "host", "content-type", "user-agent", "xauth", "proxy-authorization", "mcp-session-id", ""]


def taken(names: list[str], **policy: Any) -> set[str]:
    return set(forwardable_headers([(name, "v") for name in names], ForwardPolicy(**policy)))


# What is taken.


@pytest.mark.parametrize("name", APPLICATIONS)
def test_authorization_and_what_begins_with_x_is_taken_by_its_lower_cased_name(name: str) -> None:
    assert forwardable_headers({name: "Value"}) == {name.lower(): "Value"}


@pytest.mark.parametrize("name", INFRASTRUCTURE)
def test_what_infrastructure_adds_is_not(name: str) -> None:
    assert forwardable_headers({name: "v"}) == {}


@pytest.mark.parametrize("name", NEITHER)
def test_nor_is_any_other_header(name: str) -> None:
    assert forwardable_headers({name: "v"}) == {}


@pytest.mark.parametrize("name", ["x-a ", "x-a\n", "x-ä", " x-a", "x-\x00", "x:a"])
def test_nor_is_what_cannot_be_the_name_of_a_header(name: str) -> None:
    assert forwardable_headers({name: "v"}) == {}
    assert forwardable_headers({name: "v"}, ForwardPolicy(allow=["x-a"])) == {}


# Policies.


def test_deny_takes_away_names_and_prefixes() -> None:
    assert taken(["x-a", "x-b", "x-inner-1", "x-inner", "authorization"], deny=["X-A"], deny_prefixes=["x-INNER-"]) == {
        "x-b",
        "x-inner",
        "authorization",
    }
    assert taken(["authorization"], deny=["Authorization"]) == set()


def test_allow_replaces_what_is_eligible_and_the_built_in_list() -> None:
    names = ["Cookie", "x-request-id", "x-forwarded-for", "x-user", "authorization"]
    assert taken(names, allow=["cookie", "X-Request-Id"]) == {"cookie", "x-request-id"}


def test_deny_wins_over_allow() -> None:
    assert taken(["x-a", "x-b", "x-c-1"], allow=["x-a", "x-b", "x-c-1"], deny=["x-b"], deny_prefixes=["x-c-"]) == {
        "x-a"
    }


@pytest.mark.parametrize("blank", [[""], ["  ", "\t"], []])
def test_blank_entries_are_ignored(blank: list[str]) -> None:
    """An empty prefix would deny everything, and an empty allow list is none."""
    assert ForwardPolicy(deny=blank, deny_prefixes=blank, allow=blank) == ForwardPolicy()
    assert taken(["x-a", "authorization", "x-cache"], deny=blank, deny_prefixes=blank, allow=blank) == {
        "x-a",
        "authorization",
    }
    assert taken(["x-a", "x-b"], allow=[*blank, " X-A "]) == {"x-a"}


@pytest.mark.parametrize("part", ["deny", "deny_prefixes", "allow"])
@pytest.mark.parametrize(
    "entries",
    ["x-a", b"x-a", None, 5, ["x-*"], ["*"], ["x-a: b"], ["x-a,x-b"], ["ä"], [b"x-a"], [None], ["x-a", ["x-b"]]],
)
def test_an_entry_that_could_match_nothing_is_refused(part: str, entries: Any) -> None:
    """Taken for what it is not, ``x-internal-*`` in ``deny_prefixes`` would deny nothing."""
    policy: Any = {part: entries}
    with pytest.raises(ConfigurationError, match="a forward policy"):
        ForwardPolicy(**policy)


def test_a_policy_cannot_be_changed() -> None:
    deny = ["x-a"]
    policy: Any = ForwardPolicy(deny=deny)
    deny.clear()
    assert policy.deny == ("x-a",)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.deny = ()


# Where headers come from.


class Several(Mapping[str, str]):
    """A mapping that can hold a header more than once, and says so only in its items, as those of frameworks do."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.pairs = pairs

    def __getitem__(self, key: str) -> str:
        return next(value for name, value in self.pairs if name == key)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(dict(self.pairs))

    def items(self) -> Any:
        return list(self.pairs)


FORMS: list[Any] = [
    {"X-User": "alice", "Host": "h"},
    {b"X-User": b"alice", b"Host": b"h"},
    [("x-user", "alice"), ("host", "h")],
    [(b"x-user", b"alice"), (b"host", b"h")],
    iter([[b"x-user", b"alice"]]),
    httpx.Headers({"X-User": "alice", "Host": "h"}),
    Several(("X-User", "alice")),
]


@pytest.mark.parametrize("headers", FORMS)
def test_headers_come_as_a_mapping_or_as_pairs_in_bytes_or_strings(headers: Any) -> None:
    assert forwardable_headers(headers) == {"x-user": "alice"}


def test_bytes_are_characters_up_to_u00ff() -> None:
    assert forwardable_headers([(b"x-a", bytes([0xE9, 0xFF]))]) == {"x-a": "éÿ"}


@pytest.mark.parametrize("wrong", [{"x-a": 1}, {"x-a": ["b"]}, {"x-a": None}, [(1, "b")], {None: "b"}])
def test_what_is_neither_string_nor_bytes_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="strings or bytes"):
        forwardable_headers(wrong)


@pytest.mark.parametrize("wrong", ["x-a: b", ["x-a"], [b"ab"], [("x-a",)], [("x-a", "b", "c")], [None], None, 5])
def test_what_is_neither_a_mapping_nor_pairs_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="a mapping, or pairs"):
        forwardable_headers(wrong)


@pytest.mark.parametrize(
    "headers",
    [
        [("x-user", "mallory"), ("x-user", "alice"), ("x-a", "1")],
        [(b"X-User", b"mallory"), (b"x-user", b"alice"), (b"x-a", b"1")],
        {"x-user": "alice", "X-User": "mallory", "x-a": "1"},
        Several(("x-user", "alice"), ("x-user", "mallory"), ("x-a", "1")),
    ],
)
def test_a_header_with_two_values_is_left_out(headers: Any) -> None:
    assert forwardable_headers(headers) == {"x-a": "1"}


def test_a_header_that_came_twice_with_one_value_is_not() -> None:
    assert forwardable_headers([("x-user", "alice"), ("X-User", "alice")]) == {"x-user": "alice"}


NAMES = st.sampled_from([*APPLICATIONS, *INFRASTRUCTURE, *NEITHER]) | st.text(max_size=6)
ENTRIES = st.lists(st.sampled_from(["", " ", "x-", "x-user", "X-Cache", "authorization", "cookie", "x-forwarded-for"]))


@given(st.lists(st.tuples(NAMES, st.sampled_from("ab"))), ENTRIES, ENTRIES, ENTRIES)
def test_the_rules_hold_for_any_headers_and_policy(
    pairs: list[tuple[str, str]], deny: list[str], prefixes: list[str], allow: list[str]
) -> None:
    result = forwardable_headers(pairs, ForwardPolicy(deny=deny, deny_prefixes=prefixes, allow=allow))
    CallContext(request_headers=result)
    allowed = {entry.lower() for entry in allow if entry.strip()}
    for name, value in result.items():
        assert name == name.lower()
        assert {given for other, given in pairs if other.lower() == name} == {value}
        assert name not in {entry.lower() for entry in deny}
        assert not any(name.startswith(prefix.lower()) for prefix in prefixes if prefix.strip())
        assert name in allowed if allowed else name in {n.lower() for n in APPLICATIONS} or name.startswith("x-")
        assert allowed or name not in {n.lower() for n in INFRASTRUCTURE}


# What becomes of them.


@pytest.mark.anyio
async def test_they_are_visible_to_resolvers_and_go_where_a_server_says_so() -> None:
    inbound = [
        (b"authorization", b"Bearer inbound"),
        (b"x-user", b"alice"),
        (b"x-trace", b"t"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"cookie", b"c"),
    ]
    seen: list[Mapping[str, str]] = []

    def resolver(context: RequestContext) -> None:
        seen.append(context.request_headers)

    context = CallContext(request_headers=forwardable_headers(inbound))
    server = Server()
    config = ServerConfig(
        "https://mcp.example/mcp", get_headers=resolver, forward=["X-User", "X-Forwarded-For"], auth_token="static"
    )
    async with transports.connect(config, engine=MemoryEngine(server)) as client:
        await client.list_tools(context=context)
    assert seen == [{"authorization": "Bearer inbound", "x-user": "alice", "x-trace": "t"}] * 2
    for request in server.journal:
        sent = [
            request.headers.get(name) for name in ("authorization", "x-user", "x-trace", "x-forwarded-for", "cookie")
        ]
        assert sent == ["Bearer static", "alice", None, None, None]
