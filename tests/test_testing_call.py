"""What a tool of the scripted server says and asks while it is at work, in each of the three ways to speak."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from raw_mcp import CARRIERS, Peer, modern_request, post_headers, reach, request
from test_testing_http_sse import connected
from test_testing_schema import SPEC, check

from mcpcore.errors import RpcError
from transports.testing import Call, Progress, RawResult, ReceivedRequest, Server

pytestmark = pytest.mark.anyio
everywhere = pytest.mark.parametrize("carrier", CARRIERS)
in_memory = pytest.mark.parametrize("carrier", ["memory"])

FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
QUESTION = {"role": "user", "content": {"type": "text", "text": "What is the capital of France?"}}
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "m"}
EVERYTHING: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
TOKEN = {"progressToken": "t"}


def answer(question: Any) -> dict[str, Any]:
    """What a client says to a question."""
    params = question.get("params", {})
    if question["method"] == "elicitation/create":
        content = {} if params.get("mode") == "url" else {"content": {"name": "Ann"}}
        return {"action": "accept", **content}
    return SAMPLED if question["method"] == "sampling/createMessage" else {"roots": [{"uri": "file:///home/ann"}]}


async def interview(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
    """Say and ask all there is."""
    await call.progress(1, total=2, message="half")
    await call.log("warning", {"why": "because"}, logger="kit")
    form = await call.elicit("Your name?", FORM)
    url = await call.elicit_url("Please pay.", "https://pay.example/1", "e-1") if call.revision > "2025-06-18" else None
    both = await call.ask(
        {
            "model": {"method": "sampling/createMessage", "params": {"messages": [QUESTION], "maxTokens": 9}},
            "roots": {"method": "roots/list"},
        }
    )
    sampled = await call.sample([QUESTION], 9, systemPrompt="Be brief.")
    return {"form": form, "url": url, "both": both, "sampled": sampled, "roots": await call.roots()}


def check_all(revision: str, messages: list[Any]) -> None:
    """Everything that the server said is valid, if the schemas are at hand."""
    for message in messages if SPEC is not None else ():
        check(revision, "JSONRPCMessage", message)
        if "result" in message:
            kind = (
                "InputRequiredResult" if message["result"].get("resultType") == "input_required" else "CallToolResult"
            )
            check(revision, kind, message["result"])
        else:
            check(revision, "ServerRequest" if "id" in message else "ServerNotification", message)


def methods(messages: list[Any]) -> list[str]:
    return [message.get("method", "result") for message in messages]


SAID = ["notifications/progress", "notifications/message", "elicitation/create"]
ASKED = ["sampling/createMessage", "roots/list", "sampling/createMessage", "roots/list", "result"]


@pytest.mark.parametrize("revision", ["2025-11-25", "2025-06-18"])
@everywhere
async def test_in_the_handshake_era_the_client_is_asked_on_the_calls_own_stream(carrier: str, revision: str) -> None:
    said: list[Any] = []
    async with reach(Server([interview]), carrier) as peer:
        session = await peer.open_session(revision, EVERYTHING)
        body = request("tools/call", {"name": "interview", "_meta": TOKEN}, 7)
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(session), _json(body)) as stream:
                while (message := await stream.next()) is not None:
                    said.append(message)
                    if "method" in message and "id" in message:
                        reply = {"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}
                        assert (await peer.post(reply, session)).status == 202
    assert methods(said) == [*SAID, *["elicitation/create"] * (revision == "2025-11-25"), *ASKED]
    assert said[2]["params"].get("mode") == ("form" if revision == "2025-11-25" else None)
    result = said[-1]["result"]["structuredContent"]
    assert (result["form"]["content"], result["both"]["model"]) == ({"name": "Ann"}, SAMPLED)
    check_all(revision, said)


@everywhere
async def test_over_http_sse_the_client_is_asked_on_the_session_s_stream(carrier: str) -> None:
    async def model(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        await call.progress(1)
        return [await call.sample([QUESTION], 9), await call.roots()]

    server = Server([model], revisions=["2024-11-05"])
    async with reach(server, carrier) as peer, connected(peer) as client:
        await client.shake_hands(EVERYTHING)
        assert await client.post(request("tools/call", {"name": "model", "_meta": TOKEN}, 7)) == 202
        said = [await client.next()]
        for _ in range(2):
            said.append(await client.next())
            reply = {"jsonrpc": "2.0", "id": said[-1]["id"], "result": answer(said[-1])}
            assert await client.post(reply) == 202
        said.append(await client.next())
    assert methods(said) == ["notifications/progress", "sampling/createMessage", "roots/list", "result"]
    assert said[-1]["id"] == 7
    check_all("2024-11-05", said)


async def play_rounds(peer: Peer, params: dict[str, Any], **extra: Any) -> list[Any]:
    """Call a tool in the modern era, round after round; return all that came."""
    said: list[Any] = []
    for request_id in range(1, 9):
        said += (await peer.modern("tools/call", {**params, **extra}, request_id=request_id)).messages
        result = said[-1].get("result", {})
        if result.get("resultType") != "input_required":
            break
        responses = {key: answer(question) for key, question in result["inputRequests"].items()}
        extra = {"inputResponses": responses, "requestState": result["requestState"]}
    return said


def interview_params(**meta: Any) -> dict[str, Any]:
    return {"name": "interview", "_meta": {"io.modelcontextprotocol/clientCapabilities": EVERYTHING, **meta}}


@everywhere
async def test_in_the_modern_era_a_question_is_a_result_and_the_tool_runs_again(carrier: str) -> None:
    meta = {**TOKEN, "io.modelcontextprotocol/logLevel": "warning"}
    async with reach(Server([interview]), carrier) as peer:
        said = await play_rounds(peer, interview_params(**meta))
    results = [message["result"] for message in said if "result" in message]
    asked = [sorted(q["method"] for q in result.get("inputRequests", {}).values()) for result in results]
    both = ["roots/list", "sampling/createMessage"]
    assert asked == [["elicitation/create"], ["elicitation/create"], both, [both[1]], [both[0]], []]
    final = results[-1]["structuredContent"]
    assert (final["form"]["content"], final["both"]["model"], final["sampled"]) == ({"name": "Ann"}, SAMPLED, SAMPLED)
    assert methods(said)[:3] == ["notifications/progress", "notifications/message", "result"]
    check_all("2026-07-28", said)


@in_memory
async def test_a_retry_brings_the_state_back_as_it_was(carrier: str) -> None:
    server = Server([interview])
    async with reach(server, carrier) as peer:
        params = interview_params()
        first = (await peer.modern("tools/call", params)).json["result"]
        state = {"requestState": first["requestState"], "inputResponses": {"unasked": {}}}
        refused = [
            await peer.modern("tools/call", {**params, **state, "requestState": state["requestState"].strip()}),
            await peer.modern("tools/call", {**params, **state, "arguments": {"x": 1}}, request_id=2),
            await peer.modern("tools/call", {**params, **state}, request_id=1),
            await peer.modern("tools/call", {**params, "inputResponses": {}}, request_id=2),
        ]
        again = (await peer.modern("tools/call", {**params, **state}, request_id=2)).json["result"]
    assert [(reply.status, reply.json["error"]["code"]) for reply in refused] == [
        (400, -32602),
        (400, -32602),
        (400, -32600),
        (400, -32602),
    ]
    assert again["inputRequests"] == first["inputRequests"]
    assert again["requestState"] != first["requestState"]


@in_memory
async def test_a_tool_may_put_its_rounds_together_by_itself(carrier: str) -> None:
    server = Server()

    @server.tool()
    def by_hand(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        if "inputResponses" in request.params:
            return RawResult({"resultType": "input_required", "requestState": "s"})
        if "requestState" in request.params:
            return "done"
        return RawResult({"resultType": "input_required", "inputRequests": {"r": {"method": "roots/list"}}})

    async with reach(server, carrier) as peer:
        params = {"name": "by_hand"}
        brought = {**params, "inputResponses": {"r": {"roots": []}}}
        early = await peer.modern("tools/call", brought)
        await peer.modern("tools/call", params)
        same_id = await peer.modern("tools/call", brought)
        second = await peer.modern("tools/call", brought, request_id=2)
        third = await peer.modern("tools/call", {**params, "requestState": "s"}, request_id=3)
    assert (early.status, same_id.status) == (400, 400)
    assert second.json["result"]["requestState"] == "s"
    assert third.json["result"]["content"][0]["text"] == "done"


@in_memory
async def test_only_what_the_client_declared_may_be_asked(carrier: str) -> None:
    async with reach(Server([interview]), carrier) as peer:
        modern = await peer.modern("tools/call", {"name": "interview"})
        forms_only: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        said = await play_rounds(peer, {"name": "interview", "_meta": forms_only})
        session = await peer.open_session()
        [log, handshake] = (await peer.post(request("tools/call", {"name": "interview"}), session)).messages
    assert modern.status == 400
    assert modern.json["error"]["code"] == -32021
    assert modern.json["error"]["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}
    assert said[-1]["error"]["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}}}
    assert log["method"] == "notifications/message"
    assert "elicitation.form" in handshake["error"]["message"]
    if SPEC is not None:
        check("2026-07-28", "MissingRequiredClientCapabilityError", modern.json)


@everywhere
async def test_a_tool_may_end_without_a_result(carrier: str) -> None:
    async def silent(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
        yield Progress(1)

    async with reach(Server([silent]), carrier) as peer:
        reply = await peer.modern("tools/call", {"name": "silent", "_meta": TOKEN})
    assert methods(reply.events) == ["notifications/progress"]


@in_memory
async def test_only_three_methods_may_ask_in_the_modern_era(carrier: str) -> None:
    server = Server()

    @server.method("x/ask")
    async def ask(params: dict[str, Any], request: ReceivedRequest, call: Call) -> Any:
        return await call.roots()

    async with reach(server, carrier) as peer:
        message, headers = modern_request("x/ask", {"_meta": interview_params()["_meta"]})
        reply = await peer.post(message, headers)
    assert "must not ask" in reply.json["error"]["message"]


@everywhere
async def test_a_client_may_refuse_with_an_error(carrier: str) -> None:
    server = Server()

    @server.tool()
    async def polite(arguments: dict[str, Any], request: ReceivedRequest, call: Call) -> str:
        try:
            await call.roots()
        except RpcError as error:
            return f"refused: {error.code} {error.message}"
        return "answered"

    async with reach(server, carrier) as peer:
        session = await peer.open_session(capabilities={"roots": {}})
        body = _json(request("tools/call", {"name": "polite"}))
        with anyio.fail_after(10):
            async with peer.stream("POST", "/mcp", post_headers(session), body) as stream:
                question = await stream.next()
                other = await peer.open_session(capabilities={"roots": {}})
                meddling = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}
                assert (await peer.post(meddling, other)).status == 202
                error = {"code": -1, "message": "not today"}
                assert (
                    await peer.post({"jsonrpc": "2.0", "id": question["id"], "error": error}, session)
                ).status == 202
                result = (await stream.next())["result"]
    assert result["content"][0]["text"] == "refused: -1 not today"


def _json(message: Any) -> bytes:
    return json.dumps(message).encode()
