"""A server's configuration: one immutable value, checked where it is written, with every option that is a server's."""

from __future__ import annotations

import copy
import inspect
import runpy
import threading
import typing
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import attrs
import pytest

import transports
from mcpcore import CallContext, ConfigurationError, DeadlineExceeded, Limits, RequestContext
from transports import ServerConfig
from transports.engines.memory import MemoryEngine
from transports.testing import Server, echo_headers

URL = "https://mcp.example/mcp"
SECRET = "s3cret-value"

# What belongs to the one who connects, and not to a server.
CONNECTS_OWN = {
    "http_client",
    "engine",
    "limits",
    "client_info",
    "handlers",
    "extensions",
    "validate_output",
    "tracing",
    "digest_key",
    "store",
    "on_exchange",
}
FOR_A_RUN = {"name", "requires_user", "required", "extra"}


@attrs.define
class Resolver:
    """One that can be compared, and so neither be hashed nor, with what it holds, be copied."""

    holds: Any = attrs.field(factory=threading.Lock, eq=False)

    def __call__(self, context: RequestContext) -> None: ...


def parameters(first: str) -> dict[str, inspect.Parameter]:
    """The parameters of that form of ``connect`` whose first one has this type."""
    (form,) = (
        found
        for overload in typing.get_overloads(transports.connect)
        if (found := inspect.signature(overload)).parameters["url"].annotation == first
    )
    return dict(form.parameters)


# One list of options.


def test_connect_has_exactly_the_options_of_a_server_and_its_own() -> None:
    fields = attrs.fields_dict(ServerConfig)
    assert parameters("str").keys() - CONNECTS_OWN == fields.keys() - FOR_A_RUN
    assert parameters("ServerConfig").keys() - CONNECTS_OWN == {"url"}


def test_connect_has_the_defaults_of_a_configuration() -> None:
    default = ServerConfig(URL)
    for name, parameter in parameters("str").items():
        if name not in {"url", "headers", *CONNECTS_OWN}:
            assert getattr(default, name) == parameter.default, name
    assert default.headers == {}
    assert default.extra == {}


@pytest.mark.anyio
@pytest.mark.parametrize("as_config", [True, False])
async def test_the_options_do_the_same_in_either_form(as_config: bool) -> None:
    """Each option that the wire shows."""
    options: dict[str, Any] = {
        "headers": {"X-Static": "s"},
        "auth_token": "t",
        "get_headers": [lambda _: {"X-First": "1"}, lambda _: {"X-Second": "2"}],
        "forward": ["X-Forward"],
        "protocol_version": "2025-11-25",
    }
    server = Server(tools=[echo_headers])
    engine = MemoryEngine(server)
    client = (
        transports.connect(ServerConfig(URL, **options), engine=engine)
        if as_config
        else transports.connect(URL, engine=engine, **options)
    )
    async with client:
        await client.list_tools(context=CallContext(request_headers={"x-forward": "f", "x-other": "o"}))
    for request in server.journal:
        sent = [request.headers.get(name) for name in ("x-static", "authorization", "x-first", "x-second", "x-other")]
        assert sent == ["s", "Bearer t", "1", "2", None]
    assert [request.rpc_method for request in server.journal][:2] == ["initialize", "notifications/initialized"]
    assert server.journal[0].headers["x-forward"] == "f"


@pytest.mark.anyio
@pytest.mark.parametrize("as_config", [True, False])
async def test_the_timeout_is_the_configurations(as_config: bool) -> None:
    async def never(_: RequestContext) -> None:
        await anyio.sleep_forever()

    engine = MemoryEngine(Server())
    client = (
        transports.connect(ServerConfig(URL, get_headers=never, timeout=0), engine=engine)
        if as_config
        else transports.connect(URL, get_headers=never, timeout=0, engine=engine)
    )
    async with client:
        with anyio.fail_after(20), pytest.raises(DeadlineExceeded):
            await client.list_tools()


@pytest.mark.anyio
@pytest.mark.parametrize(("share_public", "asked"), [(True, 1), (False, 2)])
@pytest.mark.parametrize("as_config", [True, False])
async def test_what_is_shared_is_the_configurations(as_config: bool, share_public: bool, asked: int) -> None:
    def user(context: RequestContext) -> dict[str, str]:
        return {"X-User": str(context.principal)}

    server = Server(ttl_ms=60_000, cache_scope="public")
    engine = MemoryEngine(server)
    client = (
        transports.connect(ServerConfig(URL, get_headers=user, share_public=share_public), engine=engine)
        if as_config
        else transports.connect(URL, get_headers=user, share_public=share_public, engine=engine)
    )
    async with client:
        for principal in ("acme/alice", "acme/bob"):
            await client.list_tools(context=CallContext(principal=principal))
    assert [request.rpc_method for request in server.journal].count("tools/list") == asked


@pytest.mark.parametrize("option", sorted(attrs.fields_dict(ServerConfig).keys() - {"url"}))
def test_an_option_of_a_configuration_cannot_be_given_beside_it(option: str) -> None:
    """Not even as what it is already: the two would look alike, and only one would count."""
    config = ServerConfig(URL + "?key=" + SECRET, headers={"X-Key": SECRET})
    beside: Any = {option: getattr(config, option)}
    with pytest.raises(ConfigurationError, match=f"{option}: given beside a ServerConfig") as caught:
        transports.connect(config, **beside)
    assert SECRET not in str(caught.value)


def test_what_connect_does_not_know_is_a_type_error() -> None:
    unknown: Any = {"tiemout": 1}
    with pytest.raises(TypeError, match="tiemout"):
        transports.connect(URL, **unknown)


@pytest.mark.parametrize("option", sorted(FOR_A_RUN))
def test_what_only_a_run_reads_is_no_option_of_connect(option: str) -> None:
    """Taken without a word, it would look as if it did something."""
    given: Any = {option: getattr(ServerConfig(URL), option)}
    with pytest.raises(TypeError, match=f"{option}: read by a run alone"):
        transports.connect(URL, **given)


@pytest.mark.anyio
async def test_what_is_connects_own_is_given_beside_a_configuration() -> None:
    seen: list[str | None] = []
    server = Server()
    async with transports.connect(
        ServerConfig(URL),
        engine=MemoryEngine(server),
        limits=Limits(pages=1),
        client_info={"name": "one", "version": "2"},
        digest_key=b"sixteen bytes or more",
        on_exchange=lambda exchange: seen.append(exchange.rpc_method),
    ) as client:
        await client.list_tools()
    assert seen == ["server/discover", "tools/list"]


# The order of headers holds for a configuration.


@pytest.mark.anyio
async def test_the_later_step_wins() -> None:
    """``User-Agent`` < forwarded < static ``headers`` < ``auth_token`` < resolvers in order."""
    steps = ("user-agent", "x-static", "authorization", "x-first", "x-second")
    inbound = dict.fromkeys(steps, "Forwarded") | {"x-forwarded-only": "Forwarded", "x-not-chosen": "Forwarded"}
    static = dict.fromkeys(("X-Static", "X-First", "X-Second"), "Static")
    seen: list[Mapping[str, str]] = []

    def first(context: RequestContext) -> dict[str, str]:
        seen.append(context.request_headers)
        return {"x-FIRST": "First", "x-second": "First"}

    async def second(context: RequestContext) -> dict[str, str]:
        return {"X-Second": "Second"}

    server = Server()
    config = ServerConfig(
        URL,
        forward=(*steps, "X-Forwarded-Only"),
        headers=static,
        auth_token="token",
        get_headers=(first, second),
    )
    async with transports.connect(config, engine=MemoryEngine(server)) as client:
        await client.list_tools(context=CallContext(request_headers=inbound))
    assert len(server.journal) == 2
    for request in server.journal:
        sent = {name: request.headers.get(name) for name in inbound}
        assert sent == {
            "user-agent": "Forwarded",
            "x-forwarded-only": "Forwarded",
            "x-not-chosen": None,
            "x-static": "Static",
            "authorization": "Bearer token",
            "x-first": "First",
            "x-second": "Second",
        }
    assert seen == [inbound, inbound]  # all of it is visible, chosen or not


# Immutable.


def test_nothing_in_it_can_be_changed() -> None:
    config: Any = ServerConfig(URL, headers={"X-A": "1"}, extra={"a": {"b": [1, {"c": 2}]}})
    for field in attrs.fields_dict(ServerConfig):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(config, field, None)
    for mapping in (config.headers, config.extra, config.extra["a"], config.extra["a"]["b"][1]):
        with pytest.raises(TypeError):
            mapping["X-B"] = "2"
    assert config.extra == {"a": {"b": (1, {"c": 2})}}


def test_what_it_was_made_from_can_be_changed_without_effect() -> None:
    headers, forward, inner = {"X-A": "1"}, ["x-b"], [1]
    resolvers: list[Any] = [print]
    config = ServerConfig(URL, headers=headers, forward=forward, get_headers=resolvers, extra={"inner": inner})
    for changed in (headers, forward, resolvers, inner):
        changed.clear()
    assert config.headers == {"X-A": "1"}
    assert (config.forward, config.get_headers, config.extra) == (("x-b",), (print,), {"inner": (1,)})


def test_another_one_is_made_by_evolve() -> None:
    config = ServerConfig(URL, name="one", headers={"X-A": "1"}, extra={"a": [1]})
    other = attrs.evolve(config, timeout=5.0, required=True)
    assert (other.timeout, other.required, other.name, other.headers) == (5.0, True, "one", {"X-A": "1"})
    assert attrs.evolve(other, timeout=30.0, required=False) == config


def test_a_resolver_is_kept_as_it_is() -> None:
    assert ServerConfig(URL, get_headers=print).get_headers is print


def test_it_is_its_own_copy() -> None:
    """Nothing in it can be changed, and a resolver may be what cannot be copied."""
    config = ServerConfig(URL, headers={"X-A": "1"}, get_headers=Resolver(), extra={"a": [1]})
    assert copy.copy(config) is config
    assert copy.deepcopy({"settings": [config]})["settings"][0] is config


def test_it_can_be_a_key() -> None:
    resolver = Resolver()
    config, equal = (
        ServerConfig(URL, headers={"X-A": "1"}, get_headers=(resolver,), extra={"a": [1]}, forward=["x-b"])
        for _ in range(2)
    )
    assert {config: "here"}[equal] == "here"
    others: list[dict[str, Any]] = [
        {"headers": {"X-A": "2"}},
        {"get_headers": print},
        {"extra": {}},
        {"url": URL + "2"},
    ]
    for other in others:
        assert attrs.evolve(config, **other) not in {config}


def test_it_is_final_and_has_slots() -> None:
    assert vars(ServerConfig)["__final__"]
    assert not hasattr(ServerConfig(URL), "__dict__")


# Checked where it is written.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": f"https://user:{SECRET}@mcp.example/mcp"}, "userinfo"),
        ({"url": "ftp://mcp.example/mcp"}, "absolute and http or https"),
        ({"type": "stdio"}, "type must be one of http, sse, auto"),
        ({"headers": {"X-A": f"{SECRET}\n"}}, "static headers: the value of the header X-A"),
        ({"headers": [("X-A", SECRET)]}, "static headers: expected a mapping"),
        ({"headers": {"Host": SECRET}}, "static headers: the header Host belongs to the protocol"),
        ({"headers": {"Authorization": SECRET}, "auth_token": SECRET}, "exclude each other"),
        ({"auth_token": f"{SECRET}\n"}, "Authorization has characters"),
        ({"get_headers": [SECRET]}, "get_headers must be a function, or several"),
        ({"forward": "x-user"}, "forward: expected several names"),
        ({"forward": ["mcp-session-id"]}, "forwarded headers: the header mcp-session-id belongs to the protocol"),
        ({"protocol_version": "1999-01-01"}, "protocol_version must be one of"),
        ({"type": "sse", "protocol_version": "2026-07-28"}, "HTTP\\+SSE cannot carry revision 2026-07-28"),
        ({"redirects": "always"}, "redirects must be one of"),
        ({"url": "http://mcp.example/mcp", "auth_token": SECRET}, "plain http"),
        ({"default_ttl": -1.0}, "default_ttl"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": 1}, "name"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "30"}, "timeout"),
    ],
)
def test_what_can_never_work_is_refused_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        ServerConfig(**{"url": URL, **wrong})
    assert SECRET not in str(caught.value)


def test_extra_that_is_nested_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ConfigurationError, match="extra is nested too deep"):
        ServerConfig(URL, extra={"deep": deep})


def test_plain_http_is_for_this_machine_or_for_those_who_say_so() -> None:
    assert ServerConfig("http://localhost:8000/mcp", auth_token="t").auth_token == "t"
    assert ServerConfig("http://mcp.example/mcp", auth_token="t", allow_insecure_http=True).allow_insecure_http


# Secrets.


def test_its_repr_holds_no_secret() -> None:
    def resolver(_: RequestContext) -> None: ...

    resolver.__qualname__ = SECRET
    config = ServerConfig(
        f"{URL}?key={SECRET}",
        name="search",
        headers={"X-Key": SECRET},
        auth_token=SECRET,
        get_headers=resolver,
        extra={"oauth": {"clientSecret": SECRET}},
    )
    shown = repr(config)
    assert SECRET not in shown
    for part in (URL, "name='search'", "X-Key: ***", "oauth: ***"):
        assert part in shown
    assert SECRET not in repr(transports.connect(config, engine=MemoryEngine(Server())))


def test_headers_may_be_any_mapping() -> None:
    assert ServerConfig(URL, headers=MappingProxyType({"X-A": "1"})).headers == {"X-A": "1"}


# What the type checkers read is run.


@pytest.mark.anyio
async def test_the_example_that_type_checkers_read(tmp_path: Path) -> None:
    example = runpy.run_path(str(Path(__file__).parent / "typing" / "server_config.py"))
    config, impatient, _ = example["configure"]()
    assert (config.timeout, impatient.timeout, config.get_headers) == (None, 5.0, (example["user_header"],))
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"search": {"url": "https://mcp.example/mcp", "headers": {"X-Key": "${TOKEN}"}}}}')
    assert [server.headers for server in example["read"](file)] == [{"X-Key": "t"}] * 2
    alice, bob = example["snapshot"]([(b"X-User", b"alice"), (b"X-Debug", b"1")], {"x-user": "bob", "x-debug": "1"})
    assert (alice.request_headers, bob.request_headers) == ({"x-user": "alice"}, {"x-user": "bob", "x-debug": "1"})
    bag = {"userId": "alice", "apiKey": "k", "mcpUrl": "https://api.example/mcp"}
    props = {"auth": {"copilotkitIntelligence": bag}, "a": 1}
    servers, kept = example["attach"](props, [config])
    assert (servers[1].url, servers[1].headers, kept) == (bag["mcpUrl"], {"x-cpki-user-id": "alice"}, {"a": 1})
    server = Server(tools=[echo_headers])
    tools = await example["list_tools"](config, MemoryEngine(server), alice)
    assert [tool.name for tool in tools] == ["echo_headers"]
    server.journal.assert_every_request_carries("x-user", "alice")
    assert "timeout: given beside" in example["twice"](config)
