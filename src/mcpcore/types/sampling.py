"""Sampling: a server asks the client for the answer of a model.

The client is free to choose the model, to change what is asked, and to show both the question and the answer to
somebody first; a server has no right to an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from mcpcore.codecs.shapes import as_integer, as_list, as_number, as_object, as_text, as_texts, is_array
from mcpcore.errors import RemoteProtocolError
from mcpcore.types.content import ContentBlock, ToolResultContent, ToolUseContent, read_blocks, read_content, text_of
from mcpcore.types.tools import Tool
from mcpcore.types.wire import Role, WireObject, all_of, any_of, optional, read_role, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

SamplingContent: TypeAlias = "ContentBlock | Sequence[ContentBlock]"
"""One block or, since 2025-11-25, also several."""


def _read_sampling_content(raw: object, whose: str) -> SamplingContent:
    complaint = f"{whose} has no content"
    return read_blocks(raw, complaint) if is_array(raw) else read_content(required(raw, complaint))


def _blocks(content: SamplingContent) -> list[ContentBlock]:
    return [content] if isinstance(content, WireObject) else list(content)


@frozen
class SamplingMessage(WireObject):
    """One turn of a conversation with a model (2026-07-28, "Sampling", Messages).

    :ivar role: who speaks.
    :ivar content: what is said: one block, or several.
    """

    role: Role
    content: SamplingContent = field(repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            read_role(given.get("role")),
            _read_sampling_content(given.get("content"), "a message to a model"),
            raw=given,
        )

    @property
    def blocks(self) -> Sequence[ContentBlock]:
        """What is said, as a list in any case."""
        return _blocks(self.content)

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines; empty if there are none."""
        return text_of(self.blocks)


@frozen
class ModelHint(WireObject):
    """A model that the server would like (2026-07-28, "Sampling", Model Preferences).

    :ivar name: a part of a model's name, or None.
    """

    name: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(as_text(given.get("name")), raw=given)


@frozen
class ModelPreferences(WireObject):
    """What the server would like of the model; the client need not follow (2026-07-28, "Sampling", Model Preferences).

    :ivar hints: the models that it would like, the best first, or None.
    :ivar cost_priority: how much a low price matters, from 0 to 1, or None.
    :ivar speed_priority: how much a fast answer matters, from 0 to 1, or None.
    :ivar intelligence_priority: how much ability matters, from 0 to 1, or None.
    """

    hints: Sequence[ModelHint] | None = None
    cost_priority: float | None = None
    speed_priority: float | None = None
    intelligence_priority: float | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            any_of(given.get("hints"), ModelHint.from_json),
            as_number(given.get("costPriority")),
            as_number(given.get("speedPriority")),
            as_number(given.get("intelligencePriority")),
            raw=given,
        )


@frozen
class ToolChoice(WireObject):
    """Whether the model is to use tools (2026-07-28, "Sampling", Tool Choice Modes).

    :ivar mode: ``auto`` (as it likes; also if None), ``required`` (at least one) or ``none``.
    """

    mode: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(as_text(given.get("mode")), raw=given)


@frozen
class CreateMessageRequest(WireObject):
    """What a server asks a model (2026-07-28, "Sampling", Creating Messages).

    :ivar messages: the conversation so far.
    :ivar max_tokens: how long the answer may be at most, in tokens.
    :ivar system_prompt: the system prompt that the server would like, or None.
    :ivar model_preferences: the model that it would like, or None.
    :ivar temperature: how freely the model is to answer, or None.
    :ivar stop_sequences: what ends the answer, or None.
    :ivar include_context: whose context to add: ``none``, ``thisServer`` or ``allServers``, or None.
    :ivar metadata: for the provider of the model, passed through, or None.
    :ivar tools: what the model may ask to be called, or None; it is the server that calls them.
    :ivar tool_choice: whether the model is to use them, or None.
    """

    messages: Sequence[SamplingMessage] = field(repr=False)
    max_tokens: int
    system_prompt: str | None = field(default=None, repr=False)
    model_preferences: ModelPreferences | None = None
    temperature: float | None = None
    stop_sequences: Sequence[str] | None = field(default=None, repr=False)
    include_context: str | None = None
    metadata: dict[str, Any] | None = field(default=None, repr=False)
    tools: Sequence[Tool] | None = None
    tool_choice: ToolChoice | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        stops = as_list(given.get("stopSequences"))
        return cls(
            messages=all_of(given.get("messages"), SamplingMessage.from_json, "a question to a model has no messages"),
            max_tokens=required(as_integer(given.get("maxTokens")), "a question to a model has no maxTokens"),
            system_prompt=as_text(given.get("systemPrompt")),
            model_preferences=optional(given.get("modelPreferences"), ModelPreferences.from_json),
            temperature=as_number(given.get("temperature")),
            stop_sequences=None if stops is None else as_texts(stops),
            include_context=as_text(given.get("includeContext")),
            metadata=as_object(given.get("metadata")),
            tools=any_of(given.get("tools"), Tool.from_json),
            tool_choice=optional(given.get("toolChoice"), ToolChoice.from_json),
            raw=given,
        )

    def check_tool_results(self) -> None:
        """Refuse a conversation that no model can take up, because what its tools answered is not in order.

        (2025-11-25, "Sampling", Tool Result Messages, and Tool Use and Result Balance.)

        :raises RemoteProtocolError: if a result is missing, or stands together with something else.
        """
        awaited = frozenset[str]()
        for message in self.messages:
            results = [block.tool_use_id for block in message.blocks if isinstance(block, ToolResultContent)]
            if results and (message.role != "user" or len(results) < len(message.blocks)):
                raise RemoteProtocolError("tool results mixed with other content")
            if awaited.difference(results):
                break
            awaited = frozenset(block.id for block in message.blocks if isinstance(block, ToolUseContent))
        if awaited:
            raise RemoteProtocolError("tool result missing in request")


@frozen
class CreateMessageResult(WireObject):
    """What the model answered (2026-07-28, "Sampling", Creating Messages).

    :ivar role: who speaks: ``assistant``.
    :ivar content: what is said: one block or, since 2025-11-25, a list of them.
    :ivar model: the model that answered.
    :ivar stop_reason: why it stopped: ``endTurn``, ``stopSequence``, ``maxTokens``, ``toolUse`` or any other, or None.
    """

    role: Role
    content: SamplingContent = field(repr=False)
    model: str
    stop_reason: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            role=read_role(given.get("role")),
            content=_read_sampling_content(given.get("content"), "the answer of a model"),
            model=required(as_text(given.get("model")), "the answer of a model does not name the model"),
            stop_reason=as_text(given.get("stopReason")),
            raw=given,
        )

    @property
    def blocks(self) -> Sequence[ContentBlock]:
        """What is said, as a list in any case."""
        return _blocks(self.content)

    @property
    def text(self) -> str:
        """The text blocks, joined by newlines; empty if there are none."""
        return text_of(self.blocks)
