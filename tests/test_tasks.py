"""The tasks extension, for those who call: a task is followed to its end, and nobody sees it."""

from __future__ import annotations

from typing import Any

import pytest
from support.channels import Peer, channel_world
from support.pure import Answer, Reply, error_reply, headers_of, message_of, result_reply
from support.stepping import DISCOVERY, World, world_of

from mcpcore import (
    TASKS,
    CallContext,
    CallHandler,
    Handlers,
    HttpStatusError,
    McpError,
    RemoteProtocolError,
    RpcError,
    SendRequest,
    TaskCancelledError,
    WaitFor,
)
from mcpcore.types.elicitation import ElicitResult

ALICE = CallContext(principal="alice")
TASK = {"taskId": "task-é", "createdAt": "2026-07-28T00:00:00Z", "lastUpdatedAt": "2026-07-28T00:00:00Z", "ttlMs": None}
RESULT = {"content": [{"type": "text", "text": "at last"}]}
QUESTION = {"method": "elicitation/create", "params": {"message": "Sure?", "requestedSchema": {"type": "object"}}}


class TaskServer:
    """Answers a call by a task, and each question after it by the next of ``stages``."""

    def __init__(self, *stages: dict[str, Any], **created: Any) -> None:
        self.stages = list(stages)
        self.created = created

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "tools/call":
            return result_reply(request, {"resultType": "task", **TASK, "status": "working", **self.created})
        if request.rpc_method == "tasks/get":
            return result_reply(request, {"resultType": "complete", **TASK, **self.stages.pop(0)})
        return result_reply(request, {"resultType": "complete"})


def world_with(server: TaskServer, **options: Any) -> World:
    return world_of(server, protocol_version="2026-07-28", extensions=[TASKS], **options)


def test_a_task_is_followed_to_its_end() -> None:
    server = TaskServer({"status": "working"}, {"status": "completed", "result": RESULT}, pollIntervalMs=2500)
    world = world_with(server)
    play = world.play(world.client.call_tool("dig", context=ALICE))
    waits = []
    while world.methods()[-1:] != ["tasks/get"] or server.stages:
        if isinstance(play.peek(), WaitFor):
            waits.append(play.peek().seconds)
        play.step()
    assert play.finish().text == "at last"
    assert waits == [2.5, 1.0]  # what the server wants and, where it does not say, a second
    assert world.methods() == ["tools/call", "tasks/get", "tasks/get"]
    for asked in world.sent[1:]:
        assert message_of(asked)["params"]["taskId"] == "task-é"
        # SEP-2663, Streamable HTTP: Routing Headers
        assert headers_of(asked)["mcp-name"] == "=?base64?dGFzay3DqQ==?="
        assert "task-é" not in repr(asked)
    declared = message_of(world.sent[0])["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
    assert declared == {"extensions": {"io.modelcontextprotocol/tasks": {}}}


def test_what_a_task_asks_is_answered_once() -> None:
    """SEP-2663, Task Update Requests: a key may be shown again until the server has taken note."""
    asking = {"status": "input_required", "inputRequests": {"q": QUESTION}}
    more = {"status": "input_required", "inputRequests": {"q": QUESTION, "r": QUESTION}}
    asked: list[str | None] = []

    def elicit(request: Any, context: CallContext) -> ElicitResult:
        asked.append(context.principal)
        return ElicitResult.decline()

    server = TaskServer(asking, asking, more, {"status": "completed", "result": RESULT}, pollIntervalMs=0)
    world = world_with(server, handlers=Handlers(elicit=elicit))
    assert world.run(world.client.call_tool("dig", context=ALICE)).text == "at last"
    updates = [message_of(sent)["params"] for sent in world.sent if sent.rpc_method == "tasks/update"]
    assert [list(update["inputResponses"]) for update in updates] == [["q"], ["r"]]
    assert updates[0]["inputResponses"]["q"] == {"action": "decline"}
    assert asked == ["alice", "alice"]


@pytest.mark.parametrize(
    ("end", "error", "code"),
    [
        ({"status": "cancelled"}, TaskCancelledError, None),
        ({"status": "failed", "error": {"code": -32603, "message": "lost", "data": 7}}, RpcError, -32603),
        ({"status": "failed", "error": {}}, RpcError, 0),
        ({"status": "resting"}, RemoteProtocolError, None),
        ({"status": "completed"}, RemoteProtocolError, None),
        ({"status": "completed", "result": RESULT, "taskId": "another"}, RemoteProtocolError, None),
    ],
)
def test_a_task_that_does_not_succeed(end: dict[str, Any], error: type[McpError], code: int | None) -> None:
    world = world_with(TaskServer(end))
    raised = world.fail(world.client.call_tool("dig", context=ALICE))
    assert type(raised) is error
    assert getattr(raised, "code", None) == code
    assert "task-é" not in str(raised)


def test_a_task_in_place_of_another_result_is_refused() -> None:
    """SEP-2663, Negotiation: tasks are for tools alone."""

    def server(request: SendRequest) -> Answer:
        return result_reply(request, {"resultType": "task", **TASK, "status": "working"})

    world = world_of(server, protocol_version="2026-07-28", extensions=[TASKS])
    error = world.fail(world.client.get_prompt("greet", context=ALICE))
    assert isinstance(error, RemoteProtocolError)
    assert world.methods() == ["prompts/get"]


def test_without_the_extension_a_task_is_no_result() -> None:
    world = world_of(TaskServer(), protocol_version="2026-07-28")
    assert isinstance(world.fail(world.client.call_tool("dig", context=ALICE)), RemoteProtocolError)


def test_giving_up_the_call_gives_up_the_task() -> None:
    world = world_with(TaskServer({"status": "working"}))
    play = world.play(world.client.call_tool("dig", context=ALICE))
    play.until(WaitFor)
    farewell = play.cancel()
    assert farewell is not None
    farewell.finish()
    assert world.methods() == ["tools/call", "tasks/cancel"]
    assert message_of(world.sent[-1])["params"]["taskId"] == "task-é"


def test_a_server_that_has_ended_is_not_started_anew_to_give_up_a_task() -> None:
    world = channel_world(
        Peer(results=lambda _: {"resultType": "task", **TASK, "status": "working"}), extensions=[TASKS]
    )
    play = world.play(world.client.call_tool("dig", context=ALICE))
    play.until(WaitFor, seconds=1.0)
    world.channel.receive_end()
    farewell = play.cancel()
    assert farewell is not None
    farewell.finish()
    assert len(world.channels) == 1
    assert world.methods() == ["server/discover", "tools/call"]


def test_a_task_is_not_begun_anew_at_a_server_that_forgets_its_era() -> None:
    begun = TaskServer()

    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "server/discover":
            return result_reply(request, DISCOVERY)
        return begun(request) if request.rpc_method == "tools/call" else Reply(404)

    world = world_of(server, extensions=[TASKS])
    error = world.fail(world.client.call_tool("dig", context=ALICE))
    assert isinstance(error, HttpStatusError)
    assert world.methods() == ["server/discover", "tools/call", "tasks/get", "tasks/cancel"]


def test_that_a_task_cannot_be_given_up_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    def server(request: SendRequest) -> Answer:
        if request.rpc_method == "tasks/cancel":
            return error_reply(request, -32602)
        return TaskServer()(request)

    world = world_of(server, protocol_version="2026-07-28", extensions=[TASKS])
    play = world.play(world.client.call_tool("dig", context=ALICE))
    play.until(WaitFor)
    farewell = play.cancel()
    assert farewell is not None
    farewell.finish()
    assert "tasks/cancel could not be sent" in caplog.text


def test_a_task_that_is_over_is_not_given_up() -> None:
    asking = {"status": "input_required", "inputRequests": {"q": QUESTION}}
    server = TaskServer(asking, {"status": "completed", "result": RESULT})
    world = world_with(server, handlers=Handlers(elicit=lambda _, __: ElicitResult.cancel()))
    play = world.play(world.client.call_tool("dig", context=ALICE))
    play.until(CallHandler)
    assert play.finish().text == "at last"
    assert play.cancel() is None


@pytest.mark.parametrize(("pace", "seconds"), [(-1, 0.05), (10**400, 2**53 / 1000)])
def test_a_task_s_pace_is_one_that_can_be_kept(pace: int, seconds: float) -> None:
    world = world_with(TaskServer({"status": "completed", "result": RESULT}, pollIntervalMs=pace))
    play = world.play(world.client.call_tool("dig", context=ALICE))
    assert play.until(WaitFor).seconds == seconds
    assert play.finish().text == "at last"
