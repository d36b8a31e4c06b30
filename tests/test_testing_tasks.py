"""The scripted server's tasks (the modern era's tasks extension)."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from raw_mcp import CARRIERS, Peer, Reply, modern_request, post_headers, reach, send_request

from mcpcore.errors import RpcError
from transports.engines.memory import MemoryEngine
from transports.testing import Call, Disconnect, ReceivedRequest, Server

pytestmark = pytest.mark.anyio
everywhere = pytest.mark.parametrize("carrier", CARRIERS)

DECLARED: dict[str, Any] = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}, "roots": {}}
META = {"io.modelcontextprotocol/clientCapabilities": DECLARED, "progressToken": "t"}
FORM = {"type": "object", "properties": {"name": {"type": "string"}}}


def clinic() -> tuple[Server, anyio.Event]:
    """A server with a patient tool, and what lets it finish."""
    server, gate = Server(), anyio.Event()

    @server.tool(task=True)
    async def patient(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        await call.progress(1)
        both = {
            "name": {"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": FORM}},
            "roots": {"method": "roots/list"},
        }
        answers = await call.ask(both)
        await gate.wait()
        return answers["name"]["content"]["name"]

    @server.tool(task=True)
    def breaks(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        raise {"rpc": RpcError("no", code=-1), "cut": Disconnect(), "own": ValueError("own")}[arguments["how"]]

    return server, gate


async def ask(peer: Peer, method: str, task: str, **params: Any) -> Any:
    """A request about a task, which names it in a header too."""
    reply = await peer.modern(method, {"taskId": task, "_meta": META, **params}, {"mcp-name": task})
    return reply.json.get("result", reply.json.get("error"))


async def begin(peer: Peer, name: str, **arguments: Any) -> Reply:
    return await peer.modern("tools/call", {"name": name, "arguments": arguments, "_meta": META})


@everywhere
async def test_a_task_from_beginning_to_end(carrier: str) -> None:
    server, gate = clinic()
    async with reach(server, carrier) as peer:
        created = (await begin(peer, "patient")).json["result"]
        task = created["taskId"]
        message, headers = modern_request(
            "subscriptions/listen", {"notifications": {"taskIds": [task]}, "_meta": META}, 5
        )
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(headers), json.dumps(message).encode()) as stream:
                assert (await stream.next())["params"]["notifications"] == {"taskIds": [task]}
                while (asked := await ask(peer, "tasks/get", task))["status"] == "working":
                    await anyio.lowlevel.checkpoint()
                name = {"action": "accept", "content": {"name": "Ann"}}
                acknowledged = await ask(peer, "tasks/update", task, inputResponses={"name": name, "x": {}})
                partly = await ask(peer, "tasks/get", task)
                gate.set()
                await ask(peer, "tasks/update", task, inputResponses={"roots": {"roots": []}})
                told = [await stream.next()]
                while told[-1]["params"]["status"] != "completed":
                    told.append(await stream.next())
        final = await ask(peer, "tasks/get", task)
        await ask(peer, "tasks/cancel", task)
        assert (await ask(peer, "tasks/get", task)) == final
    assert (created["resultType"], created["status"], created["ttlMs"]) == ("task", "working", None)
    assert (asked["resultType"], asked["status"], asked["inputRequests"].keys()) == (
        "complete",
        "input_required",
        {"name", "roots"},
    )
    assert acknowledged.keys() == {"resultType", "_meta"}
    assert (partly["status"], partly["inputRequests"].keys()) == ("input_required", {"roots"})
    assert final["result"]["content"][0]["text"] == "Ann"
    assert told[-1]["method"] == "notifications/tasks"
    assert told[-1]["params"]["result"] == final["result"]


@everywhere
async def test_how_a_task_may_end(carrier: str) -> None:
    server, _ = clinic()
    async with reach(server, carrier) as peer:
        ends: dict[str, Any] = {}
        for how in ("rpc", "cut", "own"):
            task = (await begin(peer, "breaks", how=how)).json["result"]["taskId"]
            with anyio.fail_after(10):
                while (state := await ask(peer, "tasks/get", task))["status"] == "working":
                    await anyio.lowlevel.checkpoint()
            ends[how] = state
        task = (await begin(peer, "patient")).json["result"]["taskId"]
        await ask(peer, "tasks/cancel", task)
        cancelled = await ask(peer, "tasks/get", task)
        unknown = await ask(peer, "tasks/get", "task-none")
    assert (ends["rpc"]["status"], ends["rpc"]["error"]) == ("failed", {"code": -1, "message": "no"})
    assert ends["cut"]["status"] == "failed"
    assert (ends["own"]["status"], ends["own"]["result"]["isError"]) == ("completed", True)
    assert (cancelled["status"], unknown["code"]) == ("cancelled", -32602)


@everywhere
async def test_only_clients_that_speak_of_tasks_get_any(carrier: str) -> None:
    server, _ = clinic()
    async with reach(server, carrier) as peer:
        inline = (await peer.modern("tools/call", {"name": "breaks", "arguments": {"how": "own"}})).json["result"]
        got = await peer.modern("tasks/get", {"taskId": "task-1"}, {"mcp-name": "task-1"})
        unnamed = await peer.modern("tasks/get", {"taskId": "task-1"})
        listened = await peer.modern("subscriptions/listen", {"notifications": {"taskIds": ["task-1"]}})
        declared = (await peer.modern("server/discover")).json["result"]["capabilities"]["extensions"]
    assert (inline["resultType"], inline["isError"]) == ("complete", True)
    for refused in (got, listened):
        assert (refused.status, refused.json["error"]["code"]) == (400, -32021)
    assert unnamed.json["error"]["code"] == -32020
    assert declared == {"io.modelcontextprotocol/tasks": {}}


async def test_in_memory_without_a_task_group_each_look_takes_a_task_one_step_further() -> None:
    server, gate = clinic()
    gate.set()
    engine = MemoryEngine(server)

    async def post(method: str, params: dict[str, Any]) -> Any:
        message, headers = modern_request(method, {**params, "_meta": META})
        named = {"mcp-name": params["taskId"]} if "taskId" in params else {}
        body = json.dumps(message).encode()
        sent = send_request("POST", "http://m.example/mcp", post_headers({**headers, **named}), body)
        response = await engine.send(sent)
        answer = json.loads(await response.receive())["result"]
        await response.aclose()
        return answer

    task = (await post("tools/call", {"name": "patient"}))["taskId"]
    statuses = [(await post("tasks/get", {"taskId": task}))["status"] for _ in range(3)]
    responses = {"name": {"content": {"name": "Ann"}}, "roots": {"roots": []}}
    await post("tasks/update", {"taskId": task, "inputResponses": responses})
    statuses.append((await post("tasks/get", {"taskId": task}))["status"])
    stopped = (await post("tools/call", {"name": "patient"}))["taskId"]
    await post("tasks/get", {"taskId": stopped})
    await post("tasks/cancel", {"taskId": stopped})
    assert statuses == ["working", "input_required", "input_required", "completed"]
    assert (await post("tasks/get", {"taskId": stopped}))["status"] == "cancelled"
