"""What stands on the client's side of the protocol, in tests: a person, a model and two directories."""

from __future__ import annotations

from typing import Any

import anyio.lowlevel
from attrs import define, field

from mcpcore import (
    CallContext,
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ElicitUrlRequest,
    Handlers,
    LogMessage,
    Root,
    TextContent,
    ToolUseContent,
)

ROOTS = [Root("file:///home/ada", "home"), Root("file:///srv")]


@define
class Ada:
    """Answers whatever a server asks, as the test wants it, and remembers who it was asked for.

    :ivar asked: the requests of the server, in order, each with the principal of the call that it served.
    :ivar shown: whom the directories were shown for.
    :ivar logged: the messages of the server.
    """

    action: Any = "accept"
    form: dict[str, Any] = field(factory=lambda: {"name": "Ada"})
    asked: list[tuple[Any, str | None]] = field(factory=list[Any])
    shown: list[str | None] = field(factory=list[str | None])
    logged: list[LogMessage] = field(factory=list[LogMessage])

    @property
    def questions(self) -> list[Any]:
        return [request for request, _ in self.asked]

    def forget(self) -> None:
        """Be as new."""
        self.action, self.form = "accept", {"name": "Ada"}
        self.asked.clear()
        self.shown.clear()
        self.logged.clear()

    def handlers(self) -> Handlers:
        return Handlers(
            elicit=self.fill_in,
            elicit_url=self.visit,
            sample=self.speak,
            sample_with_tools=True,
            roots=self.show_roots,
            log=self.note,
        )

    async def fill_in(self, request: ElicitRequest, context: CallContext) -> ElicitResult:
        await anyio.lowlevel.checkpoint()
        self.asked.append((request, context.principal))
        return ElicitResult(self.action, {**request.defaults(), **self.form} if self.action == "accept" else None)

    def visit(self, request: ElicitUrlRequest, context: CallContext) -> ElicitResult:
        self.asked.append((request, context.principal))
        return ElicitResult(self.action)

    async def speak(self, request: CreateMessageRequest, context: CallContext) -> CreateMessageResult:
        await anyio.lowlevel.checkpoint()
        self.asked.append((request, context.principal))
        words = TextContent("Welcome, Ada!")
        if request.tools:
            use = ToolUseContent("use-1", request.tools[0].name, {"zone": "UTC"})
            return CreateMessageResult("assistant", [words, use], "some-model", "toolUse")
        return CreateMessageResult("assistant", words, "some-model", "endTurn")

    def show_roots(self, request: None, context: CallContext) -> list[Root]:
        self.shown.append(context.principal)
        return ROOTS

    def note(self, message: LogMessage, context: CallContext) -> None:
        self.logged.append(message)
