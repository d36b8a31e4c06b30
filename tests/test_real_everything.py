"""Every feature of npm's server that has every feature, over each transport that it has."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from support.answering import ROOTS, Ada
from support.npm_servers import everything

import transports
from mcpcore import (
    CallContext,
    Capability,
    ListChanged,
    Progress,
    PromptReference,
    ResourceTemplateReference,
    ResourceUpdated,
    RpcError,
)
from transports import stdio

pytest_plugins = ["support.real_servers"]
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]  # What is to be installed may take its time, once.

ALICE = CallContext(principal="alice")
TEXT = "demo://resource/dynamic/text/{resourceId}"
BLOB = "demo://resource/dynamic/blob/{resourceId}"

# Which tools there are; each is called below.  Two more are offered to those clients alone that can be given tasks, as
# of 2025-11-25.
PLAIN = {
    "echo",
    "get-annotated-message",
    "get-env",
    "get-resource-links",
    "get-resource-reference",
    "get-structured-content",
    "get-sum",
    "get-tiny-image",
    "gzip-file-as-resource",
    "toggle-simulated-logging",
    "toggle-subscriber-updates",
    "trigger-long-running-operation",
}
ASKING = {"get-roots-list", "trigger-elicitation-request", "trigger-sampling-request", "trigger-url-elicitation"}
TASKS = {"simulate-research-query"}


@asynccontextmanager
async def reached(
    transport: str, origins: dict[str, str], **options: Any
) -> AsyncGenerator[transports.BoundClient, None]:
    with anyio.fail_after(20):
        if transport == "stdio":
            program, *arguments = everything("stdio")
            connection = stdio.connect(program, args=arguments, stderr=subprocess.DEVNULL, **options)
        elif transport == "sse":
            url = origins[transport] + "/sse"
            connection = transports.connect(url, type="sse", **options)
        else:
            connection = transports.connect(origins[transport] + "/mcp", **options)
        async with connection as client:
            yield client.bind(ALICE)


Feature = Callable[[transports.BoundClient, Ada], Awaitable[None]]
FEATURES: list[Feature] = []


def feature(check: Feature) -> Feature:
    """What has to hold over each transport, of a client that offers all that ``ada`` does."""
    FEATURES.append(check)
    return check


@feature
async def what_the_server_says_of_itself(client: transports.BoundClient, ada: Ada) -> None:
    discovery = await client.open()
    assert discovery.server_info is not None
    assert discovery.server_info.title == "Everything Reference Server"
    assert "Everything Server" in str(discovery.instructions)
    assert discovery.capabilities.resources == Capability(list_changed=True, subscribe=True)
    assert {tool.name for tool in await client.list_tools()} == PLAIN | TASKS | ASKING
    await client.ping()


@feature
async def what_tools_return(client: transports.BoundClient, ada: Ada) -> None:
    tools = {tool.name: tool for tool in await client.list_tools()}
    assert tools["echo"].title == "Echo Tool"
    assert tools["echo"].annotations.read_only_hint is True
    assert tools["get-structured-content"].output_schema["type"] == "object"
    assert (await client.call_tool("echo", {"message": "ä€𝄞"})).text == "Echo: ä€𝄞"
    assert (await client.call_tool("get-sum", {"a": 2, "b": 3})).text == "The sum of 2 and 3 is 5."
    assert (await client.call_tool("get-sum", {"a": "two"})).is_error
    assert (await client.call_tool("no-such-tool")).is_error
    assert "PATH" in json.loads((await client.call_tool("get-env")).text)
    weather = await client.call_tool("get-structured-content", {"location": "Chicago"})
    assert weather.structured_content == {
        "temperature": 36,
        "conditions": "Light rain / drizzle",
        "humidity": 82,
    }


@feature
async def content_of_every_type(client: transports.BoundClient, ada: Ada) -> None:
    annotated = await client.call_tool("get-annotated-message", {"messageType": "error", "includeImage": True})
    text, image = annotated.content
    assert (text.annotations.priority, text.annotations.audience) == (1, ["user", "assistant"])
    assert (image.annotations.priority, image.annotations.audience) == (0.5, ["user"])
    _, image, _ = (await client.call_tool("get-tiny-image")).content
    assert (image.type, image.mime_type, image.decoded()[:4]) == ("image", "image/png", b"\x89PNG")
    _, *links = (await client.call_tool("get-resource-links", {"count": 2})).content
    assert [(link.type, link.name) for link in links] == [
        ("resource_link", "Blob Resource 1"),
        ("resource_link", "Text Resource 2"),
    ]
    (contents,) = (await client.read_resource(links[1].uri)).contents
    assert contents.text.startswith("Resource 2: This is a plaintext resource")
    for kind, number in (("Text", 5), ("Blob", 6)):
        reference = {"resourceType": kind, "resourceId": number}
        _, embedded, _ = (await client.call_tool("get-resource-reference", reference)).content
        assert embedded.type == "resource"
        assert embedded.resource.uri.endswith(f"/{kind.lower()}/{number}")


@feature
async def resources_and_templates(client: transports.BoundClient, ada: Ada) -> None:
    listed = {resource.name: resource for resource in await client.list_resources()}
    assert listed["features.md"].mime_type == "text/markdown"
    (contents,) = (await client.read_resource(listed["features.md"].uri)).contents
    assert contents.text.startswith("# Everything Server")
    assert [template.uri_template for template in await client.list_resource_templates()] == [TEXT, BLOB]
    (contents,) = (await client.read_resource(transports.expand(TEXT, {"resourceId": "7"}))).contents
    assert contents.text.startswith("Resource 7: ")
    (contents,) = (await client.read_resource(transports.expand(BLOB, {"resourceId": "8"}))).contents
    assert contents.decoded().startswith(b"Resource 8: ")
    with pytest.raises(RpcError):
        await client.read_resource("demo://resource/dynamic/text/none")


@feature
async def a_resource_of_the_session(client: transports.BoundClient, ada: Ada) -> None:
    page = "data:text/plain;base64," + base64.b64encode(b"hello").decode()
    async with client.listen(resources=True) as events:
        packed = await client.call_tool("gzip-file-as-resource", {"name": "hello.gz", "data": page})
        while await anext(events) != ListChanged("resources"):
            pass
    (link,) = packed.content
    assert link.uri in [resource.uri for resource in await client.list_resources()]
    (contents,) = (await client.read_resource(link.uri)).contents
    assert gzip.decompress(contents.decoded()) == b"hello"


@feature
async def prompts(client: transports.BoundClient, ada: Ada) -> None:
    prompts = {prompt.name: prompt for prompt in await client.list_prompts()}
    assert set(prompts) == {"simple-prompt", "args-prompt", "completable-prompt", "resource-prompt"}
    arguments = {argument.name: bool(argument.required) for argument in prompts["args-prompt"].arguments}
    assert arguments == {"city": True, "state": False}
    (message,) = (await client.get_prompt("simple-prompt")).messages
    assert (message.role, message.content.text) == ("user", "This is a simple prompt without arguments.")
    (message,) = (await client.get_prompt("args-prompt", {"city": "Bern"})).messages
    assert message.content.text == "What's weather in Bern?"
    wanted = {"resourceType": "Text", "resourceId": "3"}
    _, message = (await client.get_prompt("resource-prompt", wanted)).messages
    assert message.content.resource.uri.endswith("/text/3")
    with pytest.raises(RpcError):
        await client.get_prompt("args-prompt", {})


@feature
async def completion(client: transports.BoundClient, ada: Ada) -> None:
    team, template = PromptReference("completable-prompt"), ResourceTemplateReference(TEXT)
    assert (await client.complete(team, "department", "S")).values == ["Sales", "Support"]
    found = (await client.complete(team, "name", "", arguments={"department": "Support"})).completion
    assert (found.values, found.total, found.has_more) == (["John", "Kim", "Lee"], 3, False)
    assert (await client.complete(template, "resourceId", "12")).values == ["12"]
    assert (await client.complete(template, "resourceId", "x")).values == []


@feature
async def progress(client: transports.BoundClient, ada: Ada) -> None:
    heard: list[Progress] = []
    wanted = {"duration": 0.02, "steps": 4}
    result = await client.call_tool("trigger-long-running-operation", wanted, on_progress=heard.append)
    assert "completed" in result.text
    assert [(one.progress, one.total) for one in heard] == [(number, 4) for number in (1, 2, 3, 4)]


@feature
async def a_task_of_2025_11_25_by_plain_requests(client: transports.BoundClient, ada: Ada) -> None:
    call = {"name": "simulate-research-query", "arguments": {"topic": "tea"}, "task": {"ttl": 60_000}}
    task = (await client.request("tools/call", call))["task"]
    assert task["status"] == "working"
    same = {"taskId": task["taskId"]}
    assert (await client.request("tasks/get", same))["taskId"] == task["taskId"]
    assert task["taskId"] in [known["taskId"] for known in (await client.request("tasks/list"))["tasks"]]
    assert (await client.request("tasks/cancel", same))["status"] == "cancelled"


@feature
async def a_form(client: transports.BoundClient, ada: Ada) -> None:
    accepted = await client.call_tool("trigger-elicitation-request")
    answer = json.loads(accepted.text.partition("Raw result: ")[2])
    assert answer["content"]["name"] == "Ada"
    assert answer["content"]["firstLine"] == "It was a dark and stormy night."
    assert answer["content"]["titledMultipleSelectEnum"] == ["fish-1"]
    for ada.action in ("decline", "cancel"):
        answered = await client.call_tool("trigger-elicitation-request")
        assert json.loads(answered.text.partition("Raw result: ")[2]) == {"action": ada.action}
    assert [principal for _, principal in ada.asked] == ["alice"] * 3


@feature
async def a_page_to_visit(client: transports.BoundClient, ada: Ada) -> None:
    wanted = {"url": "https://example.com/pay", "elicitationId": "order-7"}
    assert "completed" in (await client.call_tool("trigger-url-elicitation", wanted)).text
    ((page, principal),) = ada.asked
    assert (page.url, page.elicitation_id, principal) == ("https://example.com/pay", "order-7", "alice")
    with pytest.raises(RpcError) as caught:
        await client.call_tool("trigger-url-elicitation", {**wanted, "errorPath": True})
    assert caught.value.code == -32042
    assert caught.value.data["elicitations"][0]["mode"] == "url"
    assert "completed" in (await client.call_tool("trigger-url-elicitation", {**wanted, "errorPath": True})).text


@feature
async def a_model(client: transports.BoundClient, ada: Ada) -> None:
    sampled = await client.call_tool("trigger-sampling-request", {"prompt": "Hi?", "maxTokens": 7})
    answer = json.loads(sampled.text.partition("\n")[2])
    assert (answer["content"]["text"], answer["model"]) == ("Welcome, Ada!", "some-model")
    ((asked, principal),) = ada.asked
    assert (asked.max_tokens, asked.system_prompt) == (7, "You are a helpful test server.")
    assert asked.messages[0].text.endswith("context: Hi?")
    assert principal == "alice"


async def hear(events: transports.Subscription, heard: list[Any]) -> None:
    async for event in events:
        heard.append(event)


@feature
async def roots(client: transports.BoundClient, ada: Ada) -> None:
    async with client.listen() as events, anyio.create_task_group() as tasks:
        tasks.start_soon(hear, events, [])  # This server asks for roots on the stream that belongs to no call.
        told = (await client.call_tool("get-roots-list")).text
        assert all(root.uri in told for root in ROOTS)
        shown = len(ada.shown)
        await client.roots_changed()
        while len(ada.shown) == shown:
            await client.ping()
        tasks.cancel_scope.cancel()


@feature
async def subscriptions_and_log_messages(client: transports.BoundClient, ada: Ada) -> None:
    heard: list[Any] = []
    uri = transports.expand(TEXT, {"resourceId": "9"})
    async with client.listen(uris=[uri]) as events, anyio.create_task_group() as tasks:
        tasks.start_soon(hear, events, heard)
        await client.set_log_level("debug")
        await client.call_tool("toggle-subscriber-updates")
        while ResourceUpdated(uri) not in heard:
            await client.ping()
        await client.call_tool("toggle-subscriber-updates")
        await client.unsubscribe_resource(uri)
        await client.call_tool("toggle-simulated-logging")
        while not any("level" in message.data for message in ada.logged):
            await client.ping()
        await client.call_tool("toggle-simulated-logging")
        assert "Received Unsubscribe Resource request" in "".join(message.data for message in ada.logged)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("check", FEATURES)
@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
async def test_over_http(transport: str, check: Feature, everything_servers: dict[str, str]) -> None:
    ada = Ada()
    async with reached(transport, everything_servers, handlers=ada.handlers()) as client:
        await check(client, ada)


async def test_over_standard_streams() -> None:
    ada = Ada()
    async with reached("stdio", {}, handlers=ada.handlers()) as client:
        for check in FEATURES:
            await check(client, ada)
            ada.forget()


@pytest.mark.parametrize("transport", ["streamableHttp", "sse", "stdio"])
async def test_a_client_that_offers_nothing_is_asked_nothing(
    transport: str, everything_servers: dict[str, str]
) -> None:
    async with reached(transport, everything_servers) as client:
        assert {tool.name for tool in await client.list_tools()} == PLAIN | TASKS
