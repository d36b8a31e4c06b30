"""Tasks: calls that go on after their request has been answered (extension ``io.modelcontextprotocol/tasks``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import field, frozen

from mcpcore.codecs.shapes import as_integer, as_object, as_text
from mcpcore.types.wire import WireObject, required

if TYPE_CHECKING:
    from typing import Self

TaskStatus = Literal["working", "input_required", "completed", "failed", "cancelled"]
"""Where a task is; it leaves none of the last three again."""


@frozen
class Task(WireObject):
    """A call that goes on (tasks extension, "Tasks").

    :ivar task_id: what the server knows it by; secret, because some servers ask for nothing else.
    :ivar status: where it is.
    :ivar created_at: when it began, an ISO 8601 date and time.
    :ivar last_updated_at: when it last changed, an ISO 8601 date and time.
    :ivar ttl_ms: for how many milliseconds after its beginning the server keeps it, or None for ever.
    :ivar poll_interval_ms: how many milliseconds to wait before asking again, or None.
    :ivar status_message: more about where it is, for people to read, or None.
    """

    task_id: str = field(repr=False)
    status: TaskStatus
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | None = None
    status_message: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(**_told(given), raw=given)

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self.status in ("completed", "failed", "cancelled")


def _told(given: dict[str, Any]) -> dict[str, Any]:
    """What every task tells of itself."""
    return {
        "task_id": required(as_text(given.get("taskId")), "a task has no taskId"),
        "status": required(_STATUSES.get(as_text(given.get("status")) or ""), "a task has no known status"),
        "created_at": as_text(given.get("createdAt")) or "",
        "last_updated_at": as_text(given.get("lastUpdatedAt")) or "",
        "ttl_ms": as_integer(given.get("ttlMs")),
        "poll_interval_ms": as_integer(given.get("pollIntervalMs")),
        "status_message": as_text(given.get("statusMessage")),
    }


_STATUSES: dict[str, TaskStatus] = {status: status for status in get_args(TaskStatus)}


@frozen
class DetailedTask(Task):
    """A task, with what its status brings along (tasks extension, "Task Status").

    :ivar input_requests: what the server asks for, by names of its choice, while ``input_required``; else None.
    :ivar result: the result of the call, once ``completed``; else None.
    :ivar error: the JSON-RPC error of the call, once ``failed``; else None.
    """

    input_requests: dict[str, Any] | None = field(default=None, repr=False)
    result: dict[str, Any] | None = field(default=None, repr=False)
    error: dict[str, Any] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        told = _told(given)
        needed = _BRINGS.get(told["status"])
        if needed is not None:
            required(as_object(given.get(needed)), f"a task that is {told['status']} has no {needed}")
        return cls(
            **told,
            input_requests=as_object(given.get("inputRequests")),
            result=as_object(given.get("result")),
            error=as_object(given.get("error")),
            raw=given,
        )


_BRINGS: dict[TaskStatus, str] = {"input_required": "inputRequests", "completed": "result", "failed": "error"}
