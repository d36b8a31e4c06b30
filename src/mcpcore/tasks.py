"""The tasks extension: a call that the server goes on with after it has answered (SEP-2663, Tasks Extension).

A server may answer a tool call by a task.  The client asks after it, at the pace that the server wants, until it is
over; what the server asks meanwhile is answered by the handlers, once.  The caller sees none of this: the call returns
the task's own result, however long that takes within its time-out.  Giving up the call gives up the task.

It is built on nothing but :mod:`mcpcore.extensions`, as any other extension could be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcpcore.codecs.shapes import as_integer, as_text
from mcpcore.errors import RemoteProtocolError, RpcError, TaskCancelledError
from mcpcore.extensions import Extension
from mcpcore.types.tasks import DetailedTask, Task

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.extensions import Unfinished

_EACH_SECOND = 1000
_NOT_FASTER = 50  # milliseconds: a server that wants to be asked without a pause does not know what it asks for
_LARGEST = 2**53  # Some integers are too large to be divided.


def _finish(call: Unfinished, created: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Follow a task to its end."""
    if call.method != "tools/call":
        raise RemoteProtocolError(f"the server answers {call.method} by a task, which it may do for tools alone")
    task = Task.from_json(created)
    named = {"taskId": task.task_id}
    call.when_given_up("tasks/cancel", named)
    answered: set[str] = set()
    while True:
        interval = _EACH_SECOND if task.poll_interval_ms is None else task.poll_interval_ms
        yield from call.wait(min(max(interval, _NOT_FASTER), _LARGEST) / 1000)
        task = DetailedTask.from_json((yield from call.request("tasks/get", named)))
        if task.task_id != named["taskId"]:
            raise RemoteProtocolError("the server tells of another task than it was asked for")
        if task.is_over:
            call.when_given_up(None)
            return _outcome(task)
        # A server may show again what was answered already, until it has taken note.
        fresh = {key: request for key, request in (task.input_requests or {}).items() if key not in answered}
        if fresh:
            responses = yield from call.answer(fresh)
            answered |= fresh.keys()
            yield from call.request("tasks/update", {**named, "inputResponses": responses})


def _outcome(task: DetailedTask) -> dict[str, Any]:
    """The result of a task that is over.

    :raises RpcError: if it failed, which a tool's own failure is not.
    :raises TaskCancelledError: if it was cancelled.
    """
    if task.status == "cancelled":
        raise TaskCancelledError("the server cancelled the task")
    if task.error is not None and task.status == "failed":
        message, code = as_text(task.error.get("message")), as_integer(task.error.get("code"))
        raise RpcError(message or "the task failed", code=code or 0, data=task.error.get("data"))
    assert task.result is not None
    return task.result


TASKS: Final = Extension(
    "io.modelcontextprotocol/tasks",
    results={"task": _finish},
    names={"tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"},
)
"""What to give ``extensions=`` so that a server may answer tool calls by tasks."""
