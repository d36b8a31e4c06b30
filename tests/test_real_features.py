"""Everything besides plain tools, with the server of the official SDK: in both eras, and over HTTP+SSE.

The main job is in ``test_real_servers``; here it is what a server tells and asks while it works, and what else it has.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from attrs import frozen
from support.answering import ROOTS, Ada
from support.processes import TESTS

import transports
from mcpcore import (
    BY_HAND,
    CallContext,
    Capability,
    DeadlineExceeded,
    ElicitRequest,
    ElicitResult,
    Handlers,
    InputRequiredError,
    ListChanged,
    LocalProtocolError,
    OtherNotification,
    Progress,
    PromptReference,
    ResourceTemplateReference,
    ResourceUpdated,
    RpcError,
    SubscriptionFilter,
)
from transports import stdio

pytest_plugins = ["support.real_servers"]
pytestmark = pytest.mark.anyio


@frozen
class Setting:
    """How the server is spoken to."""

    revision: str | None
    kind: str = "http"

    @property
    def is_modern(self) -> bool:
        return self.revision == "2026-07-28"

    @property
    def sends_headers(self) -> bool:
        return self.is_modern and self.kind == "http"


SETTINGS = {
    "modern": Setting("2026-07-28"),
    "handshake": Setting("2025-11-25"),
    "sse": Setting(None, "sse"),
}
by_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
LINK = "https://pay.example/order/7"
ALICE = CallContext(principal="alice")


@asynccontextmanager
async def reached(origin: str, setting: Setting, **options: Any) -> AsyncGenerator[transports.BoundClient, None]:
    options["protocol_version"] = setting.revision
    with anyio.fail_after(20):
        if setting.kind == "stdio":
            program = ["-m", "support.servers.features", "stdio"]
            connection = stdio.connect(sys.executable, args=program, cwd=TESTS, stderr=subprocess.DEVNULL, **options)
        else:
            path = "/sse" if setting.kind == "sse" else "/mcp"
            connection = transports.connect(origin + path, type=setting.kind, **options)
        async with connection as client:
            yield client.bind(ALICE)


Feature = Callable[[transports.BoundClient, Ada, Setting], Awaitable[None]]
FEATURES: list[Feature] = []


def feature(check: Feature) -> Feature:
    """What has to hold in each setting, of a client that offers all that ``ada`` does."""
    FEATURES.append(check)
    return check


@feature
async def what_a_server_says_of_itself(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    discovery = await client.open()
    assert discovery.server_info is not None
    assert (discovery.server_info.name, discovery.server_info.title) == ("features", "Features")
    assert [icon.sizes for icon in discovery.server_info.icons or ()] == [["48x48"]]
    assert discovery.instructions == "For tests."
    offered = discovery.capabilities
    assert None not in (offered.tools, offered.prompts, offered.resources, offered.completions)
    assert offered.resources == Capability(list_changed=setting.is_modern, subscribe=True)


@feature
async def what_tools_are_and_return(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    tools = {tool.name: tool for tool in await client.list_tools()}
    assert tools["weather"].title == "Weather"
    assert tools["weather"].annotations.read_only_hint is True
    assert tools["weather"].output_schema["required"] == ["city", "degrees"]
    assert tools["weather"].meta == {"example.com/tag": "sky"}
    told = await client.call_tool("weather", {"city": "Bern"})
    assert told.structured_content == {"city": "Bern", "degrees": 21.5}
    text, image, audio, link, document = (await client.call_tool("gallery")).content
    assert (text.text, text.annotations.audience, text.annotations.priority) == ("text", ["user"], 0.5)
    assert (image.mime_type, image.decoded()[:4]) == ("image/png", b"\x89PNG")
    assert (audio.mime_type, audio.decoded()) == ("audio/wav", b"\0\0\0")
    assert (link.uri, link.name, link.size) == ("doc://guide", "guide", 7)
    assert (document.resource.text, document.resource.mime_type) == ("# Guide", "text/markdown")


@feature
async def resources_and_templates(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    listed = {resource.uri: resource for resource in await client.list_resources()}
    assert list(listed) == ["doc://guide", "doc://pixel"]
    assert listed["doc://guide"].title == "The guide"
    (guide,) = (await client.read_resource("doc://guide")).contents
    assert (guide.uri, guide.text, guide.mime_type) == ("doc://guide", "# Guide", "text/markdown")
    (pixel,) = (await client.read_resource("doc://pixel")).contents
    assert pixel.decoded() == b"\x89PNG\r\n\x1a\n"
    template, _ = await client.list_resource_templates()
    assert template.uri_template == "weather://{city}/{+day}{?unit}"
    uri = transports.expand(template, {"city": "La Tour", "day": "2026/07/28", "unit": "F"})
    (forecast,) = (await client.read_resource(uri)).contents
    assert forecast.text == "La Tour on 2026/07/28 in F"
    with pytest.raises(RpcError) as caught:
        await client.read_resource("doc://nothing")
    assert caught.value.code == -32602


@feature
async def prompts_and_completion(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    _, prompt = await client.list_prompts()
    assert (prompt.name, prompt.title, prompt.description) == ("travel", "Travel", "Plan a journey.")
    assert {argument.name: bool(argument.required) for argument in prompt.arguments} == {
        "city": True,
        "style": False,
    }
    got = await client.get_prompt("travel", {"city": "Bern"})
    said = [(message.role, message.content.text) for message in got.messages]
    assert said == [("user", "Take me to Bern."), ("assistant", "A slow journey?")]
    completed = await client.complete(PromptReference(prompt.name), "city", "Be")
    found = completed.completion
    assert (found.values, found.total, found.has_more) == (["Berlin", "Bern"], 2, False)
    template, _ = await client.list_resource_templates()
    ref = ResourceTemplateReference(template.uri_template)
    completed = await client.complete(ref, "city", "B", arguments={"from": "Bern"})
    assert completed.values == ["Basel", "Berlin"]


@feature
async def every_progress_in_order_before_the_result(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    heard: list[Progress] = []
    assert (await client.call_tool("count", {"to": 200}, on_progress=heard.append)).text == "done"
    assert [(one.progress, one.total, one.message) for one in heard] == [
        (number, 200, f"{number} of 200") for number in range(1, 201)
    ]


@feature
async def arguments_that_travel_as_headers(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    for city in ("Bern", "Zürich", " spaced ", "=?base64?QmVybg==?="):
        shipped = await client.call_tool("ship", {"city": city})
        assert set(shipped.structured_content) == ({"mcp-param-city"} if setting.sends_headers else set())
    shipped = await client.call_tool("ship", {"city": "Bern", "floor": 7})
    headers = {"mcp-param-city": "Bern", "mcp-param-floor": "7"}
    assert shipped.structured_content == (headers if setting.sends_headers else {})


@feature
async def a_form(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    booked = await client.call_tool("book")
    assert booked.structured_content == {"name": "Ada", "nights": 2, "breakfast": True}
    for ada.action in ("decline", "cancel"):
        assert (await client.call_tool("book")).is_error
    assert [(form.message, principal) for form, principal in ada.asked] == [("the form", "alice")] * 3
    assert ada.questions[0].requested_schema["required"] == ["name"]


@feature
async def a_page_to_visit(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    paid = await client.call_tool("pay")
    assert paid.text == ("accept in state 7" if setting.is_modern else "accept")
    (page,) = ada.questions
    assert (page.message, page.url) == ("Pay.", LINK)
    assert page.elicitation_id == (None if setting.is_modern else "order-7")


@feature
async def a_question_and_the_roots_and_then_a_model(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    ada.form["nights"] = 3
    assert (await client.call_tool("welcome")).text == "Welcome, Ada! (some-model, 3 nights, 2 roots)"
    (_, first), (asked, second) = ada.asked
    assert [first, second, *ada.shown] == ["alice"] * 3
    assert [(message.role, message.text) for message in asked.messages] == [("user", "Greet Ada.")]
    assert (asked.max_tokens, asked.system_prompt, asked.temperature) == (50, "Be kind.", 0.5)
    looked = await client.call_tool("look_around")
    assert looked.structured_content == {root.uri: root.name for root in ROOTS}


@feature
async def a_model_that_uses_tools(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    assert (await client.call_tool("consult")).text == "toolUse: clock(UTC)"
    (asked,) = ada.questions
    assert [tool.description for tool in asked.tools] == ["Tell the time."]
    assert asked.tool_choice.mode == "required"


@feature
async def log_messages(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    await client.set_log_level("warning")
    assert (await client.call_tool("chat")).text == "said"
    told = [(message.level, message.data, message.logger) for message in ada.logged]
    levels = ["warning", "error"] if setting.is_modern else ["debug", "info", "warning", "error"]
    assert told == [(level, {"said": level}, "chat") for level in levels]


@feature
async def changes(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    guide = "doc://guide"
    async with client.listen(tools=True, prompts=True, resources=True, uris=[guide]) as events:
        await client.call_tool("change")
        heard = {await anext(events) for _ in range(4)}
        assert heard == {*map(ListChanged, ("tools", "prompts", "resources")), ResourceUpdated(guide)}
    if setting.is_modern:
        with pytest.raises(LocalProtocolError):
            await client.subscribe_resource(guide)
    else:
        await client.subscribe_resource(guide)
        await client.unsubscribe_resource(guide)


@feature
async def a_page_must_be_visited_first(client: transports.BoundClient, ada: Ada, setting: Setting) -> None:
    with pytest.raises(RpcError) as caught:
        await client.call_tool("debt")
    assert caught.value.code == -32042
    assert caught.value.data["elicitations"][0]["url"] == LINK


@pytest.mark.parametrize("check", FEATURES)
@by_setting
async def test_over_http(setting: Setting, check: Feature, features_server: str) -> None:
    ada = Ada()
    async with reached(features_server, setting, handlers=ada.handlers()) as client:
        await check(client, ada, setting)


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_over_standard_streams(revision: str) -> None:
    ada, setting = Ada(), Setting(revision, "stdio")
    async with reached("", setting, handlers=ada.handlers()) as client:
        for check in FEATURES:
            await check(client, ada, setting)
            ada.forget()


async def test_resources_and_prompts_ask_too(features_server: str) -> None:
    ada = Ada()
    async with reached(features_server, SETTINGS["modern"], handlers=ada.handlers()) as client:
        (letter,) = (await client.read_resource("letter://Bob")).contents
        assert letter.text == "Dear Bob! Yours, Ada"
        assert (await client.get_prompt("note")).text == "Write a note by Ada"
        assert [question.message for question in ada.questions] == ["Who signs?"] * 2


@by_setting
async def test_a_handler_that_refuses(setting: Setting, features_server: str) -> None:
    def refuse(request: ElicitRequest, context: CallContext) -> ElicitResult:
        raise RpcError("not today", code=-1)

    async with reached(features_server, setting, handlers=Handlers(elicit=refuse)) as client:
        with pytest.raises(RpcError, match="not today"):
            await client.call_tool("book")
        assert (await client.call_tool("count", {"to": 1})).text == "done"


@by_setting
async def test_a_handler_that_fails(setting: Setting, features_server: str) -> None:
    def fail(request: ElicitRequest, context: CallContext) -> ElicitResult:
        raise ZeroDivisionError

    async with reached(features_server, setting, handlers=Handlers(elicit=fail)) as client:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await client.call_tool("book")
        assert (await client.call_tool("count", {"to": 1})).text == "done"


@by_setting
async def test_a_person_who_takes_too_long(setting: Setting, features_server: str) -> None:
    async def think(request: ElicitRequest, context: CallContext) -> ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    async with reached(features_server, setting, handlers=Handlers(elicit=think)) as client:
        await client.open()
        with pytest.raises(DeadlineExceeded):
            await client.call_tool("book", timeout=0.2)
        assert (await client.call_tool("count", {"to": 1})).text == "done"


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-03-26", "2024-11-05"])
async def test_earlier_revisions(features_server: str, revision: str) -> None:
    ada = Ada()
    setting = Setting(revision, "sse" if revision == "2024-11-05" else "http")
    async with reached(features_server, setting, handlers=ada.handlers()) as client:
        assert (await client.call_tool("look_around")).structured_content == {root.uri: root.name for root in ROOTS}
        if revision == "2025-06-18":
            assert not (await client.call_tool("book")).is_error
            assert (await client.call_tool("welcome")).text.startswith("Welcome, Ada!")
        else:
            with pytest.raises(RpcError):
                await client.call_tool("book")


@by_setting
async def test_callers_are_asked_for_themselves(setting: Setting, features_server: str) -> None:
    ada = Ada()
    names = [f"guest-{number}" for number in range(5)]
    async with reached(features_server, setting, handlers=ada.handlers()) as client:

        async def book(name: str) -> None:
            result = await client.call_tool("book", context=CallContext(principal=name))
            assert result.structured_content["name"] == "Ada"

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(book, name)
        assert sorted(str(principal) for _, principal in ada.asked) == names


@by_setting
async def test_nothing_is_asked_of_a_client_that_offers_nothing(setting: Setting, features_server: str) -> None:
    async with reached(features_server, setting) as client:
        for tool in ("book", "welcome", "look_around"):
            with pytest.raises(RpcError) as caught:
                await client.call_tool(tool)
            assert caught.value.code == -32021


async def test_answers_by_hand(features_server: str) -> None:
    handlers = Handlers(elicit=BY_HAND, sample=BY_HAND, roots=BY_HAND)
    async with reached(features_server, SETTINGS["modern"], handlers=handlers) as client:
        with pytest.raises(InputRequiredError) as first:
            await client.call_tool("welcome")
        questions = {request["method"]: key for key, request in first.value.input_requests.items()}
        assert set(questions) == {"elicitation/create", "roots/list"}
        answers: dict[str, Any] = {
            questions["elicitation/create"]: {"action": "accept", "content": {"name": "Ada"}},
            questions["roots/list"]: {"roots": []},
        }
        with pytest.raises(InputRequiredError) as second:
            await client.call_tool("welcome", input_responses=answers, request_state=first.value.request_state)
        ((key, request),) = second.value.input_requests.items()
        assert request["method"] == "sampling/createMessage"
        said = {"role": "assistant", "content": {"type": "text", "text": "Hi!"}, "model": "m"}
        result = await client.call_tool(
            "welcome", input_responses={key: said}, request_state=second.value.request_state
        )
        assert result.text == "Hi! (m, 2 nights, 0 roots)"


async def test_in_the_modern_era_nothing_is_logged_unasked(features_server: str) -> None:
    ada = Ada()
    async with reached(features_server, SETTINGS["modern"], handlers=ada.handlers()) as client:
        await client.set_log_level("error")
        await client.call_tool("chat", context=CallContext(principal="bob"))
        assert ada.logged == []


@pytest.mark.parametrize("name", ["handshake", "sse"])
async def test_a_page_that_has_been_visited(name: str, features_server: str) -> None:
    async with (
        reached(features_server, SETTINGS[name], handlers=Ada().handlers()) as client,
        client.listen() as events,
    ):
        await client.call_tool("pay")
        told = await anext(events)
        assert told == OtherNotification("notifications/elicitation/complete", {"elicitationId": "order-7"})


async def test_only_what_was_asked_for_is_told(features_server: str) -> None:
    async with (
        reached(features_server, SETTINGS["modern"]) as client,
        client.listen(prompts=True) as some,
        client.listen(uris=["doc://pixel"]) as other,
    ):
        assert some.acknowledged == SubscriptionFilter(prompts=True)
        assert other.acknowledged == SubscriptionFilter(uris=("doc://pixel",))
        for uri in ("doc://guide", "doc://pixel"):
            await client.call_tool("change", {"uri": uri})
        assert await anext(some) == await anext(some) == ListChanged("prompts")
        assert await anext(other) == ResourceUpdated("doc://pixel")
