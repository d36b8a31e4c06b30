"""Under which names a run offers its tools, and what it calls its servers: the rule, and a model of it."""

from __future__ import annotations

import logging
import re
from functools import partial
from itertools import groupby

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.adapters import server_of
from support.runs import names, placed, tools_named

from mcpcore import CallContext
from transports import ServerConfig, open_run
from transports.engines.memory import MemoryEngine
from transports.testing import Server, Tool

ACCEPTABLE = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def offered(*servers: tuple[str | None, list[str]]) -> list[tuple[str, str]]:
    """What a run over these servers offers: each tool's name, and what it answers: ``SERVER:TOOL`` by position."""
    there = {
        f"https://host-{number}.example": Server(tools_named(*tools, says=str(number)))
        for number, (_, tools) in enumerate(servers)
    }
    configs = [ServerConfig(f"{origin}/mcp", name=name) for origin, (name, _) in zip(there, servers, strict=True)]

    async def run() -> list[tuple[str, str]]:
        async with open_run(configs, engine=MemoryEngine(there)) as run:
            return [(tool.name, (await run.call_tool(tool.name)).text) for tool in run.tools]

    return anyio.run(run)


# The rule, by example


def test_the_first_server_keeps_the_bare_name() -> None:
    assert offered(("a", ["x", "y"]), ("b", ["x", "z"]), ("c", ["x", "y"])) == [
        ("x", "0:x"),
        ("y", "0:y"),
        ("b__x", "1:x"),
        ("z", "1:z"),
        ("c__x", "2:x"),
        ("c__y", "2:y"),
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_made_name_takes_no_bare_name_away_whoever_comes_first(position: int) -> None:
    servers: list[tuple[str | None, list[str]]] = [("a", ["x"]), ("b", ["x"])]
    servers.insert(position, ("c", ["b__x"]))
    found = dict(offered(*servers))
    assert found["b__x"].endswith(":b__x")
    assert sorted(found) == ["b__x", "b__x_2", "x"]


def test_servers_that_look_alike_are_told_apart_by_numbers() -> None:
    servers = [(name, ["x"]) for name in ("first", "a b", "a.b", "a_b", "_a/b_")]
    assert [name for name, _ in offered(*servers)] == ["x", "a_b__x", "a_b__x_2", "a_b__x_3", "a_b__x_4"]


def test_a_name_without_any_letter_that_is_accepted_is_server() -> None:
    assert [name for name, _ in offered(("a", ["x"]), ("天気", ["x"]), ("__", ["x"]))] == [
        "x",
        "server__x",
        "server__x_2",
    ]


def test_a_long_name_of_a_server_is_cut_and_then_a_long_name_of_a_tool() -> None:
    servers = [(name, ["x", "t" * 60, "u" * 64]) for name in ("first", "s" * 70, "s" * 71)]
    made = [name for name, _ in offered(*servers)][3:]
    assert made == [
        "s" * 61 + "__x",
        "s" * 8 + "__" + "t" * 54,
        "s" * 8 + "__" + "u" * 54,
        "s" * 59 + "__x_2",
        "s" * 8 + "__" + "t" * 52 + "_2",
        "s" * 8 + "__" + "u" * 52 + "_2",
    ]


def test_a_bare_name_is_as_the_server_has_it() -> None:
    odd = ["a.b/c", "天気", "v" * 128]
    assert [name for name, _ in offered(("a", odd))] == odd
    assert [name for name, _ in offered(("a", ["a.b"]), ("b", ["a.b"]))] == ["a.b", "b__a.b"]


@pytest.mark.anyio
async def test_names_depend_on_the_servers_that_are_there() -> None:
    """What a server that is away would have offered, nobody knows."""
    servers = {"one": Server(tools_named("x")), "two": Server(tools_named("x"))}
    async with placed(**servers) as place:
        async with place.run() as run:
            assert names(run) == ["x", "two__x"]
        place.origins["one"] = "https://gone.example"
        async with place.run() as run:
            assert names(run) == ["x"]
            assert run.server_of("x") == "two"


@pytest.mark.anyio
async def test_of_two_tools_of_one_name_on_one_server_the_first_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """A call names the tool and nothing else: the second could not be called."""
    tools = [*tools_named("x", "y"), Tool(lambda arguments, request: "", "x", "The second.")]
    async with placed(one=server_of("modern", *tools)) as place, place.run() as run:
        assert [(tool.name, tool.description) for tool in run.tools] == [
            ("x", "Say where it is."),
            ("y", "Say where it is."),
        ]
    [record] = [record for record in caplog.records if record.name == "transports"]
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        "the server 'one' offers the tool 'x' twice; the first is kept",
    )


# A model of the rule


def modelled(servers: list[tuple[str, list[str]]]) -> list[str]:
    """The rule again, as slowly as one would do it by hand."""
    everything = [(server, tool) for server, tools in servers for tool in tools]
    settled: list[str | None] = [None] * len(everything)
    for position, (_, tool) in enumerate(everything):
        if tool not in [earlier for _, earlier in everything[:position]]:
            settled[position] = tool
    for position, (server, tool) in enumerate(everything):
        number = 1
        while settled[position] is None:
            name = made(server, tool, "" if number == 1 else f"_{number}")
            if name not in settled:
                settled[position] = name
            number += 1
    return [name for name in settled if name is not None]


def made(server: str, tool: str, suffix: str) -> str:
    accepted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    prefix = ""
    for is_accepted, characters in groupby(server, key=accepted.__contains__):
        prefix += "".join(characters) if is_accepted else "_"
    while prefix.startswith("_"):
        prefix = prefix[1:]
    while prefix.endswith("_"):
        prefix = prefix[:-1]
    prefix = prefix or "server"
    while len(prefix + "__" + tool + suffix) > 64 and len(prefix) > 8:
        prefix = prefix[:-1]
    while len(prefix + "__" + tool + suffix) > 64:
        tool = tool[:-1]
    return prefix + "__" + tool + suffix


SERVER_NAMES = st.sampled_from(["a", "b", "a_b", "a.b", "ä", "b__x", "s" * 60, "s" * 70, "a-2"])
TOOL_NAMES = st.sampled_from(
    ["x", "b__x", "b__x_2", "a__x", "a_b__x", "server__x", "x_2", "t" * 61, "t" * 64, "s" * 61 + "__x", "d.x"]
)
SERVERS = st.lists(st.tuples(SERVER_NAMES, st.lists(TOOL_NAMES, unique=True, max_size=6)), max_size=6)


def unique(servers: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The servers under the names that the run gives them."""
    taken: list[str] = []
    for name, _ in servers:
        candidates = [name, *(f"{name}-{number}" for number in range(2, len(servers) + 2))]
        taken.append(next(candidate for candidate in candidates if candidate not in taken))
    return list(zip(taken, [tools for _, tools in servers], strict=True))


@settings(deadline=None)
@given(SERVERS)
@example([("a", ["x"]), ("b", ["x", "b__x"]), ("b", ["x"])])
def test_names_follow_the_rule_and_every_call_arrives(servers: list[tuple[str, list[str]]]) -> None:
    found = offered(*servers)
    assert [name for name, _ in found] == modelled(unique(servers))
    assert len({name for name, _ in found}) == len(found)
    expected = [f"{number}:{tool}" for number, (_, tools) in enumerate(servers) for tool in tools]
    assert [answer for _, answer in found] == expected
    for name, answer in found:
        tool = answer.partition(":")[2]
        assert name == tool or not ACCEPTABLE.fullmatch(tool) or ACCEPTABLE.fullmatch(name)


# What servers are called


def servers_called(*configs: ServerConfig) -> str:
    return repr(open_run(configs, context=CallContext())).removeprefix("<Run of ").removesuffix(">")


def test_a_server_without_a_name_is_called_by_its_host() -> None:
    called = servers_called(
        ServerConfig("https://API.example.com:8443/mcp?key=s3cret"),
        ServerConfig("http://[::1]:8000/mcp"),
        ServerConfig("https://api.example.com/other", name="mine"),
    )
    assert called == "api.example.com, ::1, mine"


def test_names_of_servers_are_made_unique_in_the_order_given() -> None:
    named = partial(ServerConfig, "https://a/mcp")
    configs = [named(name="a"), named(name="a"), named(), named(name="a-2"), named(name="b")]
    assert servers_called(*configs) == "a, a-2, a-3, a-2-2, b"
