"""The client that the referee runs: one scenario of the MCP conformance suite, over :func:`transports.connect`.

The referee (``@modelcontextprotocol/conformance``) starts a server for a scenario, runs this program against it, and
judges what the server saw.  It says what it wants in the environment (with ``MCP_CONFORMANCE_CONTEXT``, a JSON object,
where the name doesn't say it all) and where the server is in the last argument::

    MCP_CONFORMANCE_SCENARIO=tools_call MCPCORE_BACKEND=trio python tests/conformance/client.py http://localhost:3000/mcp

Nothing here is written to please a check.  A scenario is mapped to what a user of the library would do with such a
server, and a scenario that is not mapped is asked for its tools.  ``MCP_CONFORMANCE_PROTOCOL_VERSION`` is left alone:
finding out what the server speaks is a part of what is judged.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import anyio
from authorization import authorization_for

import transports
from mcpcore import (
    CallContext,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    Handlers,
    McpError,
    Root,
    TextContent,
)
from transports import skills
from transports.loops import run

SCENARIO = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
CONTEXT: Mapping[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))

Scenario = Callable[[transports.Client], Awaitable[None]]


async def list_tools(client: transports.Client) -> None:
    """Connect, and see what there is."""
    await client.list_tools()


async def call_tools(client: transports.Client) -> None:
    """Call each tool that the server offers, with arguments that its schema allows."""
    for tool in await client.list_tools():
        await client.call_tool(tool.name, arguments_for(tool.input_schema))


async def call_as_told(client: transports.Client) -> None:
    """Make the calls that the context asks for, of tools that have been listed."""
    await client.list_tools()
    for call in CONTEXT["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def use_everything(client: transports.Client) -> None:
    """Call each tool, read each resource and get each prompt."""
    await call_tools(client)
    for resource in await client.list_resources():
        await client.read_resource(resource.uri)
    for prompt in await client.list_prompts():
        await client.get_prompt(prompt.name)


async def call_tools_and_listen(client: transports.Client) -> None:
    """Call each tool, and answer what the server asks meanwhile, on whatever stream it asks."""
    async with client.listen() as events, anyio.create_task_group() as tasks:
        tasks.start_soon(heed, events)
        await call_tools(client)
        tasks.cancel_scope.cancel()


async def heed(events: AsyncIterator[object]) -> None:
    """Take what a server tells, for as long as somebody listens."""
    async for _ in events:
        pass


async def show_schemas(client: transports.Client) -> None:
    """Show a tool of the server's, which takes a schema, the schemas of the others."""
    tools = {tool.name: tool for tool in await client.list_tools()}
    echo = tools.pop("json_schema_echo")
    for tool in tools.values():
        await client.call_tool(echo.name, {"schema": tool.input_schema})


async def list_skills(client: transports.Client) -> None:
    """See which skills there are."""
    await skills.list_skills(client)


async def load_skills(client: transports.Client) -> None:
    """Load each skill with all of its files, and do without one that is not what its entry promised."""
    for skill in await skills.list_skills(client):
        try:
            for file in skill.files or ():
                await skills.load_skill_file(client, skill, file.uri)
        except skills.SkillVerificationError:
            continue


SCENARIOS: Mapping[str, Scenario] = {
    "tools_call": call_tools,
    "elicitation-sep1034-client-defaults": call_tools_and_listen,
    "sse-retry": call_tools,
    "sep-2322-client-request-state": call_tools,
    "http-standard-headers": use_everything,
    "http-custom-headers": call_as_told,
    "http-invalid-tool-headers": call_tools,
    "json-schema-2020-12-preservation": show_schemas,
    "sep-2640-client-no-prefetch": list_skills,
    "sep-2640-client-verify-digest": load_skills,
    "sep-2640-client-verify-size": load_skills,
    "sep-2640-client-verify-frontmatter": load_skills,
}

EXAMPLES: Mapping[str, Any] = {
    "string": "text",
    "number": 2.5,
    "integer": 2,
    "boolean": True,
    "array": [],
    "object": {},
}


def arguments_for(schema: Mapping[str, Any]) -> dict[str, Any]:
    """An example for each property of an input schema; null for one of no type that is known here."""
    return {name: EXAMPLES.get(declared.get("type")) for name, declared in schema.get("properties", {}).items()}


def say_yes(request: ElicitRequest, context: CallContext) -> ElicitResult:
    """Submit a form as a person does who changes nothing in it, and has to tick its boxes."""
    boxes = {name for name, field in request.requested_schema["properties"].items() if field.get("type") == "boolean"}
    return ElicitResult.accept({**dict.fromkeys(boxes, True), **request.defaults()})


def speak(request: CreateMessageRequest, context: CallContext) -> CreateMessageResult:
    """What a model of few words says."""
    return CreateMessageResult("assistant", TextContent("yes"), "model")


HANDLERS = Handlers(elicit=say_yes, sample=speak, roots=[Root("file:///srv")])


async def main() -> None:
    """Do what the scenario asks for, with one client."""
    play = SCENARIOS.get(SCENARIO, call_tools if SCENARIO.startswith("auth/") else list_tools)
    auth = authorization_for(SCENARIO, CONTEXT)
    async with transports.connect(sys.argv[-1], auth=auth, handlers=HANDLERS, extensions=[skills.SKILLS]) as client:
        await play(client)


if __name__ == "__main__":
    try:
        run(main, os.environ.get("MCPCORE_BACKEND", "asyncio"))
    except McpError as error:
        sys.exit(f"{type(error).__name__}: {error}")
