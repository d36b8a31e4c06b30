"""How a handler asks its client in the handshake era: by requests on the call's stream, which the client answers with
a POST each."""

from __future__ import annotations

from itertools import count
from typing import Any

import anyio
from attrs import define, field

from mcpcore.errors import RpcError

from .answers import Message
from .call import Questions
from .conversation import say
from .requests import as_object


@define(eq=False)
class _Pending:
    """A request to the client that waits for its answer."""

    answer: Message | None = None
    arrived: anyio.Event = field(factory=anyio.Event, init=False)

    async def result(self) -> dict[str, Any]:
        await self.arrived.wait()
        answer = self.answer or {}
        if "error" in answer:
            error = as_object(answer["error"])
            raise RpcError(str(error.get("message")), code=error.get("code", 0), data=error.get("data"))
        return as_object(answer["result"])


@define(eq=False)
class Asking:
    """The requests that one client has been sent and has not answered yet."""

    _numbers: count[int] = field(factory=lambda: count(1), init=False)
    _pending: dict[Any, _Pending] = field(factory=dict[Any, _Pending], init=False)

    async def ask(self, questions: Questions) -> dict[str, dict[str, Any]]:
        """Send all of ``questions``, then wait for all answers."""
        ids = {key: f"server-{next(self._numbers)}" for key in questions}
        pending = {key: _Pending() for key in questions}
        self._pending.update({ids[key]: pending[key] for key in questions})
        try:
            for key, question in questions.items():
                await say({"jsonrpc": "2.0", "id": ids[key], **question})
            return {key: await pending[key].result() for key in questions}
        finally:
            for request_id in ids.values():
                self._pending.pop(request_id, None)

    def answered(self, response: Message) -> None:
        """Take in a response of the client; one that nothing waits for is ignored."""
        if waiting := self._pending.get(response.get("id")):
            waiting.answer = response
            waiting.arrived.set()
