"""The tasks extension: a tool call that is answered at once, and asked after until it is done.

A task goes on in the background, if a task of the event loop is lent for that; else each ``tasks/get`` takes it one
step further, up to the next thing that its function says or asks, so that a test in memory knows how often to ask.
(SEP-2663, Tasks Extension)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

import anyio
from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Disconnect, Message
from .call import Call, Questions
from .conversation import Background, Conversation, say
from .handlers import Handler
from .refusals import INTERNAL_ERROR, INVALID_PARAMS
from .requests import ReceivedRequest, as_object

EXTENSION = "io.modelcontextprotocol/tasks"
NEEDED: dict[str, Any] = {"extensions": {EXTENSION: {}}}
"""What a client has to declare, and a server with tasks declares too."""

FINAL = frozenset(("completed", "failed", "cancelled"))


@define(eq=False)
class Task:
    """One piece of work that outlives its request.

    :ivar status: as the extension names it.
    :ivar extra: what belongs to that status: the open questions, the result, or the error.
    """

    id: str
    poll_interval_ms: int
    _now: Callable[[], float]
    _on_change: Callable[[Task], None]
    status: str = field(default="working", init=False)
    extra: Message = field(factory=dict[str, Any], init=False)
    _times: list[str] = field(factory=list[str], init=False)
    _answers: dict[str, Any] = field(factory=dict[str, Any], init=False)
    _answered: anyio.Event = field(factory=anyio.Event, init=False)
    _work: Conversation | None = field(default=None, init=False)
    _scope: anyio.CancelScope | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._times = [self._timestamp()] * 2

    @property
    def state(self) -> dict[str, Any]:
        """The task as ``tasks/get`` shows it."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self._times[0],
            "lastUpdatedAt": self._times[1],
            "ttlMs": None,
            "pollIntervalMs": self.poll_interval_ms,
            **self.extra,
        }

    def begin(self, work: Conversation, background: Background | None) -> None:
        """Start the work."""
        self._work = work
        if background is not None:
            self._scope = anyio.CancelScope()
            background(self._run)

    async def poll(self) -> None:
        """Go one step further, if nothing else takes care of that."""
        if self._scope is None and self.status == "working":
            await self._step()

    async def _run(self) -> None:
        assert self._scope is not None
        with self._scope:
            while self.status not in FINAL:
                if self.status == "input_required":
                    await self._answered.wait()
                await self._step()

    async def _step(self) -> None:
        assert self._work is not None
        try:
            said = await self._work.next()
        except Disconnect:
            said = None
        if said is None:
            self._change("failed", error={"code": INTERNAL_ERROR, "message": "the work ended without a result"})
        elif "error" in said:
            self._change("failed", error=said["error"], statusMessage=said["error"]["message"])
        elif "result" in said:
            self._change("completed", result=said["result"])

    async def ask(self, questions: Questions) -> dict[str, dict[str, Any]]:
        """Wait until the client has answered, by as many ``tasks/update`` as it likes."""
        while missing := {key: question for key, question in questions.items() if key not in self._answers}:
            self._answered = anyio.Event()
            self._change("input_required", inputRequests=missing)
            await say({})
        self._change("working")
        return {key: as_object(self._answers[key]) for key in questions}

    def update(self, answers: Mapping[str, Any]) -> None:
        """Take in the answers to open questions; others are ignored."""
        asked = as_object(self.extra.get("inputRequests"))
        fresh = {key: answer for key, answer in answers.items() if key in asked}
        self._answers |= fresh
        if fresh:
            rest = {key: question for key, question in asked.items() if key not in fresh}
            self._change("input_required" if rest else "working", **({"inputRequests": rest} if rest else {}))
        if self.status == "working":
            self._answered.set()

    async def cancel(self) -> None:
        """Stop the work, unless it is over."""
        if self.status in FINAL:
            return
        self._change("cancelled")
        if self._scope is not None:
            self._scope.cancel()
        elif self._work is not None:
            await self._work.aclose()

    def _change(self, status: str, **extra: Any) -> None:
        if (self.status, self.extra) == (status, extra):
            return
        self.status, self.extra = status, extra
        self._times[1] = self._timestamp()
        self._on_change(self)

    def _timestamp(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat()


@define(eq=False)
class Tasks:
    """The tasks of a server, and the methods that are about them."""

    _now: Callable[[], float]
    _poll_interval_ms: int
    _notify: Callable[[str, Mapping[str, Any]], None]
    _by_id: dict[str, Task] = field(factory=dict[str, Task], init=False)
    _numbers: count[int] = field(factory=lambda: count(1), init=False)

    @property
    def methods(self) -> dict[str, Handler]:
        """The methods, by name."""
        return {"tasks/get": self._get, "tasks/update": self._update, "tasks/cancel": self._cancel}

    def create(self) -> Task:
        """A new task; next, let it begin."""
        task = Task(f"task-{next(self._numbers)}", self._poll_interval_ms, self._now, self._changed)
        self._by_id[task.id] = task
        return task

    def _changed(self, task: Task) -> None:
        self._notify("notifications/tasks", task.state)

    def _find(self, params: dict[str, Any], call: Call) -> Task:
        call.require(NEEDED)
        task = self._by_id.get(str(params.get("taskId")))
        if task is None:
            raise RpcError("Task not found", code=INVALID_PARAMS)
        return task

    async def _get(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        task = self._find(params, call)
        await task.poll()
        return task.state

    def _update(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        self._find(params, call).update(as_object(params.get("inputResponses")))
        return {}

    async def _cancel(self, params: dict[str, Any], request: ReceivedRequest, call: Call) -> dict[str, Any]:
        await self._find(params, call).cancel()
        return {}
