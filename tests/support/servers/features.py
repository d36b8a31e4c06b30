"""The server of the official SDK, with all that the protocol has besides plain tools.

Both eras at ``/mcp``, with an event store for the sessions of the earlier one; the legacy application at ``/sse``; with
the argument ``stdio``, none of these but standard input and output.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import AssistantMessage, Message, UserMessage
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import UrlElicitationRequiredError
from pydantic import BaseModel, Field

from support.servers.serving import run

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CITIES = ["Basel", "Berlin", "Bern"]
LEVELS: list[types.LoggingLevel] = ["debug", "info", "warning", "error"]
LINK = "https://pay.example/order/7"

server = MCPServer(
    "features",
    title="Features",
    instructions="For tests.",
    version="7",
    website_url="https://example.com/",
    icons=[types.Icon(src="https://example.com/icon.png", mime_type="image/png", sizes=["48x48"])],
    cache_hints={"resources/list": CacheHint(ttl_ms=60_000, scope="public")},
)


class Guest(BaseModel):
    name: str = Field(title="Your name", min_length=1)
    nights: int = Field(default=2, ge=1, le=9)
    breakfast: bool = True


class Weather(BaseModel):
    city: str
    degrees: float


# What tools return.


@server.tool(title="Weather", annotations=types.ToolAnnotations(read_only_hint=True), meta={"example.com/tag": "sky"})
def weather(city: str) -> Weather:
    """Tell the weather."""
    return Weather(city=city, degrees=21.5)


@server.tool(structured_output=False)
def gallery() -> list[types.ContentBlock]:
    """Return content of each type."""
    shown = types.Annotations(audience=["user"], priority=0.5)
    document = types.TextResourceContents(uri="doc://guide", mime_type="text/markdown", text="# Guide")
    return [
        types.TextContent(type="text", text="text", annotations=shown),
        types.ImageContent(type="image", data=PIXEL, mime_type="image/png"),
        types.AudioContent(type="audio", data="AAAA", mime_type="audio/wav"),
        types.ResourceLink(type="resource_link", uri="doc://guide", name="guide", size=7),
        types.EmbeddedResource(type="resource", resource=document),
    ]


@server.tool()
def ship(
    ctx: Context,
    city: Annotated[str, Field(json_schema_extra={"x-mcp-header": "City"})],
    floor: Annotated[int, Field(json_schema_extra={"x-mcp-header": "Floor"})] = 0,
) -> dict[str, str]:
    """Return the headers that arguments travelled in; before it runs, the SDK holds them against the arguments."""
    return {name: value for name, value in (ctx.headers or {}).items() if name.startswith("mcp-param-")}


# What tools tell while they work.


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Count, and report it."""
    for number in range(1, to + 1):
        await ctx.report_progress(number, to, f"{number} of {to}")
    return "done"


@server.tool()
async def chat(ctx: Context) -> str:
    """Log one message of each level."""
    for level in LEVELS:
        await ctx.session.send_log_message(level, {"said": level}, logger="chat", related_request_id=ctx.request_id)
    return "said"


@server.tool()
async def change(ctx: Context, uri: str = "doc://guide") -> str:
    """Say that every list and one resource have changed."""
    await ctx.notify_tools_changed()
    await ctx.notify_prompts_changed()
    await ctx.notify_resources_changed()
    await ctx.notify_resource_updated(uri)
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_tool_list_changed()
        await ctx.session.send_prompt_list_changed()
        await ctx.session.send_resource_list_changed()
        await ctx.session.send_resource_updated(uri)
    return "changed"


# What tools ask of the client: in the modern era as required input, before as requests on the call's stream.


def ask_guest() -> Elicit[Guest]:
    return Elicit("the form", Guest)


def ask_model(guest: Annotated[Guest, Resolve(ask_guest)]) -> Sample:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text=f"Greet {guest.name}."))
    return Sample([question], max_tokens=50, system_prompt="Be kind.", temperature=0.5, stop_sequences=["\n"])


def ask_model_with_tools() -> Sample:
    question = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="How late is it?"))
    clock = types.Tool(name="clock", description="Tell the time.", input_schema={"type": "object"})
    return Sample([question], max_tokens=9, tools=[clock], tool_choice=types.ToolChoice(mode="required"))


def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
def book(guest: Annotated[Guest, Resolve(ask_guest)]) -> Guest:
    """Ask who comes."""
    return guest


@server.tool()
def look_around(roots: Annotated[types.ListRootsResult, Resolve(ask_roots)]) -> dict[str, str | None]:
    """Ask for the roots."""
    return {str(root.uri): root.name for root in roots.roots}


@server.tool()
def welcome(
    guest: Annotated[Guest, Resolve(ask_guest)],
    roots: Annotated[types.ListRootsResult, Resolve(ask_roots)],
    greeting: Annotated[types.CreateMessageResult, Resolve(ask_model)],
) -> str:
    """Ask who comes and for the roots, and then for words that greet the guest."""
    assert isinstance(greeting.content, types.TextContent)
    return f"{greeting.content.text} ({greeting.model}, {guest.nights} nights, {len(roots.roots)} roots)"


@server.tool()
def consult(answer: Annotated[types.CreateMessageResultWithTools, Resolve(ask_model_with_tools)]) -> str:
    """Ask the model, and let it use a tool."""
    uses = [block for block in answer.content if isinstance(block, types.ToolUseContent)]
    return f"{answer.stop_reason}: {uses[0].name}({uses[0].input['zone']})"


@server.tool()
async def pay(ctx: Context) -> str | types.InputRequiredResult:
    """Send the user to a page."""
    if ctx.protocol_version != "2026-07-28":
        answer = await ctx.elicit_url("Pay.", LINK, "order-7")
        await ctx.session.send_elicit_complete("order-7")
        return answer.action
    if ctx.input_responses is None:
        page = types.ElicitRequestURLParams(mode="url", message="Pay.", url=LINK, elicitation_id="order-7")
        return types.InputRequiredResult(input_requests={"page": types.ElicitRequest(params=page)}, request_state="7")
    visited = ctx.input_responses["page"]
    assert isinstance(visited, types.ElicitResult)
    return f"{visited.action} in state {ctx.request_state}"


@server.tool()
def debt() -> str:
    """Refuse, until a page has been visited."""
    page = types.ElicitRequestURLParams(mode="url", message="Pay first.", url=LINK, elicitation_id="debt")
    raise UrlElicitationRequiredError([page])


# Resources, prompts, completion.


@server.resource("doc://guide", name="guide", title="The guide", mime_type="text/markdown")
def guide() -> str:
    return "# Guide"


@server.resource("doc://pixel", name="pixel", mime_type="image/png")
def pixel() -> bytes:
    return bytes.fromhex("89504e470d0a1a0a")


@server.resource("weather://{city}/{+day}{?unit}", name="forecast", title="A forecast")
def forecast(city: str, day: str, unit: str = "C") -> str:
    return f"{city} on {day} in {unit}"


def signed(text: str, ctx: Context) -> str | types.InputRequiredResult:
    """A text and who signs it, which in the modern era prompts and resources may ask for, too."""
    if ctx.input_responses is None:
        form: Any = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        params = types.ElicitRequestFormParams(message="Who signs?", requested_schema=form)
        return types.InputRequiredResult(input_requests={"who": types.ElicitRequest(params=params)}, request_state=text)
    answer = ctx.input_responses["who"]
    assert isinstance(answer, types.ElicitResult)
    assert answer.content is not None
    return f"{ctx.request_state} {answer.content['name']}"


@server.resource("letter://{to}", name="letter")
def letter(to: str, ctx: Context) -> str | types.InputRequiredResult:
    return signed(f"Dear {to}! Yours,", ctx)


@server.prompt()
def note(ctx: Context) -> str | types.InputRequiredResult:
    """Write a note."""
    return signed("Write a note by", ctx)


@server.prompt(title="Travel")
def travel(city: str, style: str = "slow") -> list[Message]:
    """Plan a journey."""
    return [UserMessage(f"Take me to {city}."), AssistantMessage(f"A {style} journey?")]


@server.completion()
async def complete(
    ref: types.PromptReference | types.ResourceTemplateReference,
    argument: types.CompletionArgument,
    context: types.CompletionContext | None,
) -> types.Completion:
    values = [city for city in CITIES if city.startswith(argument.value)]
    known = (context.arguments or {}) if context is not None else {}
    values = [city for city in values if city != known.get("from")]
    return types.Completion(values=values, total=len(values), has_more=False)


# What only sessions have, and the SDK leaves to those who want it.


async def accept(ctx: Any, params: Any) -> types.EmptyResult:
    return types.EmptyResult()


for method, params_type in (
    ("logging/setLevel", types.SetLevelRequestParams),
    ("resources/subscribe", types.SubscribeRequestParams),
    ("resources/unsubscribe", types.UnsubscribeRequestParams),
):
    server._lowlevel_server.add_request_handler(method, params_type, accept)


class Memory(EventStore):
    """Keeps every event of every stream."""

    def __init__(self) -> None:
        self._events: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        stream = self._events[int(last_event_id) - 1][0]
        for number, (stream_id, message) in enumerate(self._events, 1):
            if stream_id == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


if __name__ == "__main__":
    if "stdio" in sys.argv:
        server.run("stdio")
    else:
        application = server.streamable_http_app(event_store=Memory(), retry_interval=50)
        application.router.routes.extend(server.sse_app().routes)
        run(application)
