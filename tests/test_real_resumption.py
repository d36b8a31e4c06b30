"""A call whose stream is cut, at servers that keep their events: the result arrives once, and nothing is missing.

The servers are the TypeScript SDK's example with an event store in memory, the one with everything, which has a store
too, and the Python SDK's.  What cuts is a proxy of ours; the boundaries between two events are where it cuts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import frozen
from support.answering import Ada
from support.cutting_proxy import CuttingProxy, cutting_proxy

import transports
from mcpcore import Limits, ListChanged, Progress, ResourceUpdated, StreamEvent, TransportError

pytest_plugins = ["support.real_servers"]
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # What is to be installed may take its time, once.

LIMITS = Limits(resume_delay=0.01)


@asynccontextmanager
async def cutting(
    origin: str, cuts: list[int], *, method: str = "tools/call", answers_first: bool = False, **options: Any
) -> AsyncGenerator[tuple[CuttingProxy, transports.Client], None]:
    options = {"protocol_version": "2025-11-25", "limits": LIMITS, **options}
    with anyio.fail_after(20):
        async with (
            cutting_proxy(origin, method, cuts, answers_first=answers_first) as proxy,
            transports.connect(f"http://127.0.0.1:{proxy.port}/mcp", **options) as client,
        ):
            yield proxy, client


@frozen
class Scenario:
    """A call, and what its stream consists of when nobody cuts it.

    :ivar server: the fixture of the server.
    :ivar events: how many events there are, with the result and the one without a message that comes first.
    :ivar answers_first: as of :class:`CuttingProxy`.
    """

    server: str
    tool: str
    arguments: dict[str, Any]
    events: int
    text: str
    progress: int = 0
    answers_first: bool = False


FORM = {"name": "Ada", "email": "ada@example.com"}
OPERATION = "Long running operation completed. Duration: 0.03 seconds, Steps: 3."
SCENARIOS = {
    "question": Scenario("example_server", "collect-user-info", {"infoType": "contact"}, 3, json.dumps(FORM, indent=2)),
    "greeting": Scenario("example_server", "greet", {"name": "Ada"}, 2, "Hello, Ada!"),
    "late-greeting": Scenario("example_server", "greet", {"name": "Ada"}, 2, "Hello, Ada!", answers_first=True),
    "count": Scenario("features_server", "count", {"to": 3}, 5, "done", 3),
    "late-count": Scenario("features_server", "count", {"to": 3}, 5, "done", 3, answers_first=True),
    # Of a stream that goes on after its resumption, this server's store passes on nothing more.
    "operation": Scenario(
        "everything_servers",
        "trigger-long-running-operation",
        {"duration": 0.03, "steps": 3},
        5,
        OPERATION,
        3,
        answers_first=True,
    ),
}
BOUNDARIES = [(name, [after]) for name, scenario in SCENARIOS.items() for after in range(1, scenario.events + 1)]
PIECEMEAL = [(name, [1] * scenario.events) for name, scenario in SCENARIOS.items() if not scenario.answers_first]


@pytest.mark.parametrize(("name", "cuts"), BOUNDARIES + PIECEMEAL, ids=str)
async def test_the_result_arrives_once_and_complete(name: str, cuts: list[int], request: pytest.FixtureRequest) -> None:
    scenario, ada = SCENARIOS[name], Ada(form=FORM)
    heard: list[Progress] = []
    started: str | dict[str, str] = request.getfixturevalue(scenario.server)
    origin = started if isinstance(started, str) else started["streamableHttp"]
    async with cutting(origin, cuts, answers_first=scenario.answers_first, handlers=ada.handlers()) as (proxy, client):
        result = await client.call_tool(scenario.tool, scenario.arguments, on_progress=heard.append)
        assert result.text.endswith(scenario.text)
        assert [one.progress for one in heard] == list(range(1, scenario.progress + 1))
        assert len(ada.asked) == (1 if name == "question" else 0)
        assert sum(b'"tools/call"' in request.body for request in proxy.requests) == 1
        assert proxy.cut >= 1
        assert len(set(proxy.resumptions)) >= (0 if cuts == [scenario.events] else 1)


async def test_a_question_that_is_answered_while_the_stream_is_down(example_server: str) -> None:
    ada = Ada("decline")
    async with cutting(example_server, [2], answers_first=True, handlers=ada.handlers()) as (proxy, client):
        result = await client.call_tool("collect-user-info", {"infoType": "contact"})
        assert "User declined" in result.text
        assert len(ada.asked) == proxy.cut == len(proxy.resumptions) == 1


async def test_a_stream_without_any_event_cannot_be_taken_up(example_server: str) -> None:
    async with cutting(example_server, [0]) as (proxy, client):
        with pytest.raises(TransportError):
            await client.call_tool("greet", {"name": "Ada"})
        assert proxy.cut == 1
        assert proxy.resumptions == []
        assert (await client.call_tool("greet", {"name": "Bob"})).text == "Hello, Bob!"


async def test_a_list(example_server: str) -> None:
    async with cutting(example_server, [1], method="tools/list") as (proxy, client):
        assert "greet" in [tool.name for tool in await client.list_tools()]
        assert proxy.cut == len(proxy.resumptions) == 1


async def test_before_2025_11_25_a_stream_is_taken_up_after_its_first_message(example_server: str) -> None:
    ada = Ada(form=FORM)
    async with cutting(example_server, [1], protocol_version="2025-06-18", handlers=ada.handlers()) as (proxy, client):
        result = await client.call_tool("collect-user-info", {"infoType": "contact"})
        assert result.text.endswith(json.dumps(FORM, indent=2))
        assert len(ada.asked) == proxy.cut == 1


async def test_a_server_that_closes_the_stream_and_says_when_to_come_back(polling_server: str) -> None:
    async with cutting(polling_server, []) as (proxy, client):
        result = await client.call_tool("long-task")
        assert result.text == "Long task completed successfully!"
        assert len(proxy.resumptions) == 1


@pytest.mark.parametrize("cuts", [[1], [2], [3], [4], [1, 1, 1, 1]], ids=str)
async def test_changes_that_are_listened_for_arrive_once(features_server: str, cuts: list[int]) -> None:
    lists = [ListChanged("tools"), ListChanged("prompts"), ListChanged("resources")]
    heard: list[StreamEvent] = []
    async with (
        cutting(features_server, cuts, method="GET") as (proxy, client),
        client.listen(tools=True, prompts=True, resources=True, uris=["doc://guide"]) as events,
    ):
        await client.call_tool("change")
        await client.call_tool("change", {"uri": "doc://last"})
        while ResourceUpdated("doc://last") not in heard:
            heard.append(await anext(events))
        assert heard == [*lists, ResourceUpdated("doc://guide"), *lists, ResourceUpdated("doc://last")]
        assert proxy.cut == len(cuts) <= len(proxy.resumptions)
