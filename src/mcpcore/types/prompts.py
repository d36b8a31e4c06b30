"""Prompts: what a server has to say to a model, for the user to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore.codecs.shapes import as_flag, as_text
from mcpcore.types.annotations import Icon
from mcpcore.types.content import ContentBlock, read_content, text_of
from mcpcore.types.wire import Role, WireObject, all_of, any_of, read_role, required

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


@frozen
class PromptArgument(WireObject):
    """An argument of a prompt (2026-07-28, "Prompts", Prompt).

    :ivar name: what it is called.
    :ivar title: a name for people to read, or None.
    :ivar description: what it is for, or None.
    :ivar required: whether it must be given; None is no.
    """

    name: str
    title: str | None = None
    description: str | None = None
    required: bool | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            required(as_text(given.get("name")), "the argument of a prompt has no name"),
            as_text(given.get("title")),
            as_text(given.get("description")),
            as_flag(given.get("required")),
            raw=given,
        )


@frozen
class Prompt(WireObject):
    """A prompt that the server offers (2026-07-28, "Prompts", Prompt).

    :ivar name: what :meth:`Client.get_prompt` takes.
    :ivar title: a name for people to read, or None.
    :ivar description: what it is for, or None.
    :ivar arguments: what it can be told, or None.
    :ivar icons: how it looks in a list, or None.
    """

    name: str
    title: str | None = None
    description: str | None = None
    arguments: Sequence[PromptArgument] | None = field(default=None, repr=False)
    icons: Sequence[Icon] | None = field(default=None, repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(
            required(as_text(given.get("name")), "a prompt has no name"),
            as_text(given.get("title")),
            as_text(given.get("description")),
            any_of(given.get("arguments"), PromptArgument.from_json),
            any_of(given.get("icons"), Icon.from_json),
            raw=given,
        )


@frozen
class PromptMessage(WireObject):
    """One turn of the conversation that a prompt begins (2026-07-28, "Prompts", PromptMessage).

    :ivar role: who speaks.
    :ivar content: what is said.
    """

    role: Role
    content: ContentBlock = field(repr=False)

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        return cls(read_role(given.get("role")), read_content(given.get("content")), raw=given)


@frozen
class GetPromptResult(WireObject):
    """A prompt, filled in (2026-07-28, "Prompts", Getting a Prompt).

    :ivar messages: the conversation that it begins.
    :ivar description: what it is for, or None.
    """

    messages: Sequence[PromptMessage] = field(repr=False)
    description: str | None = None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        messages = all_of(given.get("messages"), PromptMessage.from_json, "a prompt has no messages")
        return cls(messages, as_text(given.get("description")), raw=given)

    @property
    def text(self) -> str:
        """What is text in the messages, joined by newlines; empty if there is none."""
        return text_of(message.content for message in self.messages)
