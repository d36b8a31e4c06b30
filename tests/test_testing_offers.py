"""What a scripted server offers besides tools, and how it is asked for: resources, prompts, completion, log levels."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from raw_mcp import Peer, Reply, reach, request
from test_testing_schema import SPEC, check

from transports.testing import Call, Prompt, RawResult, ReceivedRequest, Resource, Server, echo_headers

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("carrier", ["memory"])]

REVISIONS = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]
META = {"io.modelcontextprotocol/clientCapabilities": {"roots": {}}, "io.modelcontextprotocol/logLevel": "error"}
CHECKED = {
    "resources/list": "ListResourcesResult",
    "resources/templates/list": "ListResourceTemplatesResult",
    "resources/read": "ReadResourceResult",
    "prompts/list": "ListPromptsResult",
    "prompts/get": "GetPromptResult",
    "completion/complete": "CompleteResult",
    "tools/call": "CallToolResult",
    "logging/setLevel": "EmptyResult",
}


@pytest.fixture
def anyio_backend() -> str:
    """No event loop makes a difference to what is offered."""
    return "asyncio"


def library() -> Server:
    """A server with one of each."""
    only_alices = Resource("file:///alice", lambda arguments, request: "mine")
    server = Server(
        resources=lambda request: [only_alices] if request.headers.get("x-user") == "alice" else [],
        prompts=[Prompt(lambda arguments, request: [], name="empty")],
        page_size=2,
    )

    @server.resource("file:///readme", mime_type="text/plain", description="Read me.", extra={"title": "Readme"})
    def readme(arguments: dict[str, Any], request: ReceivedRequest) -> str:
        return f"read by {request.headers.get('x-user')}"

    @server.resource("file:///{+path}.{kind}", name="any file")
    async def any_file(arguments: dict[str, Any], request: ReceivedRequest) -> bytes:
        return f"{arguments['path']} {arguments['kind']}".encode()

    @server.resource("x:list")
    def listed(arguments: dict[str, Any], request: ReceivedRequest) -> list[Any]:
        return [{"uri": "x:1", "text": "1"}, {"uri": "x:2", "text": "2"}]

    @server.prompt(arguments=["style", {"name": "who", "required": True}])
    def greet(arguments: dict[str, Any], request: ReceivedRequest) -> str:
        """Greet somebody."""
        return f"Greet {arguments['who']}."

    @server.prompt()
    async def rooted(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        return RawResult({"messages": [], "description": str(await call.roots())})

    @server.prompt()
    def raw(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        return RawResult({"messages": [], "description": "raw"})

    @server.resource("x:raw")
    async def raw_contents(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield RawResult({"contents": []})

    @server.completion("raw")
    def raw_values(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        return RawResult({"completion": {"values": ["x"]}})

    @server.completion("greet")
    def people(arguments: dict[str, Any], request: ReceivedRequest) -> list[str]:
        return [f"{arguments['value']}{n}" for n in range(arguments["context"].get("arguments", {}).get("n", 101))]

    return server


class Asker:
    """Asks in one revision, and checks the answers against its schema."""

    def __init__(self, peer: Peer, revision: str, session: dict[str, str]) -> None:
        self.peer, self.revision, self.session = peer, revision, session

    async def __call__(self, method: str, params: dict[str, Any] | None = None, user: str = "bob") -> Any:
        reply = await self._reply(method, params or {}, user)
        message = reply.messages[-1]
        if "error" in message:
            return message["error"]
        if SPEC is not None and message["result"].get("resultType") != "input_required":
            check(self.revision, CHECKED[method], message["result"])
        return message["result"]

    async def _reply(self, method: str, params: dict[str, Any], user: str) -> Reply:
        if self.revision == "2026-07-28":
            return await self.peer.modern(method, {**params, "_meta": META}, {"x-user": user})
        return await self.peer.post(request(method, params), {**self.session, "x-user": user})


async def asker(peer: Peer, revision: str) -> Asker:
    return Asker(peer, revision, {} if revision == "2026-07-28" else await peer.open_session(revision))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_resources(carrier: str, revision: str) -> None:
    async with reach(library(), carrier) as peer:
        ask = await asker(peer, revision)
        bobs, alices = await ask("resources/list"), await ask("resources/list", {"cursor": "2"}, "alice")
        templates = (await ask("resources/templates/list"))["resourceTemplates"]
        read = [
            (await ask("resources/read", {"uri": uri}))["contents"]
            for uri in ("file:///readme", "file:///a/b.txt", "x:list")
        ]
        raw = await ask("resources/read", {"uri": "x:raw"})
        missing = await ask("resources/read", {"uri": "x:none"})
        denied = await ask("resources/read", {"uri": "file:///alice"})
    assert bobs["resources"][0] == {
        "uri": "file:///readme",
        "name": "file:///readme",
        "description": "Read me.",
        "mimeType": "text/plain",
        "title": "Readme",
    }
    assert [one["uri"] for one in alices["resources"]] == ["x:raw", "file:///alice"]
    assert bobs["nextCursor"] == "2"
    assert templates == [{"uriTemplate": "file:///{+path}.{kind}", "name": "any file"}]
    assert read[0] == [{"uri": "file:///readme", "mimeType": "text/plain", "text": "read by bob"}]
    assert read[1] == [{"uri": "file:///a/b.txt", "blob": "YS9iIHR4dA=="}]
    assert (len(read[2]), raw["contents"]) == (2, [])
    assert (missing["code"], missing["data"]) == (-32602 if revision == "2026-07-28" else -32002, {"uri": "x:none"})
    assert denied["code"] == missing["code"]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_prompts_and_completion(carrier: str, revision: str) -> None:
    async with reach(library(), carrier) as peer:
        ask = await asker(peer, revision)
        first = await ask("prompts/list")
        got = await ask("prompts/get", {"name": "greet", "arguments": {"who": "Ann"}})
        raw = await ask("prompts/get", {"name": "raw"})
        unasked = await ask("prompts/get", {"name": "greet"})
        unknown = await ask("prompts/get", {"name": "nothing"})
        rooted = await ask("prompts/get", {"name": "rooted"})
        argument = {"name": "who", "value": "A"}
        many = await ask("completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": argument})
        raw_values = await ask(
            "completion/complete", {"ref": {"type": "ref/prompt", "name": "raw"}, "argument": argument}
        )
        nobody = await ask("completion/complete", {"ref": {"type": "ref/resource", "uri": "x:y"}, "argument": argument})
    assert first["prompts"] == [
        {"name": "empty"},
        {
            "name": "greet",
            "description": "Greet somebody.",
            "arguments": [{"name": "style"}, {"name": "who", "required": True}],
        },
    ]
    assert first["nextCursor"] == "2"
    assert got["messages"] == [{"role": "user", "content": {"type": "text", "text": "Greet Ann."}}]
    assert got["description"] == "Greet somebody."
    assert (unasked["code"], unknown["code"], nobody["code"]) == (-32602, -32602, -32602)
    assert rooted.get("resultType", "refused") == ("input_required" if revision == "2026-07-28" else "refused")
    assert (raw["description"], raw_values["completion"]) == ("raw", {"values": ["x"]})
    completion = many["completion"]
    assert (completion["values"][:2], len(completion["values"])) == (["A0", "A1"], 100)
    assert (completion["total"], completion["hasMore"]) == (101, True)


async def test_what_is_offered_is_declared_and_nothing_else(carrier: str) -> None:
    async with reach(library(), carrier) as peer:
        declared = (await peer.modern("server/discover")).json["result"]["capabilities"]
    async with reach(Server([echo_headers]), carrier) as peer:
        session = await peer.open_session()
        unknown = [
            (await peer.post(request(method), session)).json["error"]["code"]
            for method in ("resources/list", "resources/subscribe", "prompts/get", "completion/complete")
        ]
    assert declared == {
        "tools": {"listChanged": True},
        "logging": {},
        "resources": {"listChanged": True, "subscribe": True},
        "prompts": {"listChanged": True},
        "completions": {},
    }
    assert set(unknown) == {-32601}


async def test_a_session_says_what_it_wants_to_hear(carrier: str) -> None:
    server = library()

    @server.tool()
    async def noisy(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
        for level in ("info", "error", "alert"):
            await call.log(level, level)
        return "done"

    updated = "notifications/resources/updated"
    async with reach(server, carrier) as peer:
        session = await peer.open_session()
        loud = (await peer.post(request("tools/call", {"name": "noisy"}), session)).messages
        ask = Asker(peer, "2025-11-25", session)
        await ask("logging/setLevel", {"level": "error"})
        quiet = (await peer.post(request("tools/call", {"name": "noisy"}), session)).messages
        modern = (await peer.modern("tools/call", {"name": "noisy", "_meta": META})).messages
        unset = (await peer.modern("tools/call", {"name": "noisy"})).messages
        wrong = await ask("logging/setLevel", {"level": "loud"})
        for uri in ("x:a", "x:b"):
            await peer.post(request("resources/subscribe", {"uri": uri}), session)
        await peer.post(request("resources/unsubscribe", {"uri": "x:a"}), session)
        for uri in ("x:a", "x:b", "x:c"):
            await server.notify(updated, {"uri": uri})
        with anyio.fail_after(10):
            async with peer.stream("GET", "/mcp", {**session, "accept": "text/event-stream"}) as stream:
                heard = await stream.next()
    assert [len(messages) for messages in (loud, quiet, modern, unset)] == [4, 3, 3, 1]
    assert wrong["code"] == -32602
    assert heard["params"] == {"uri": "x:b"}
