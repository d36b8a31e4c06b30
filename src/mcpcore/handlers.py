"""What a client offers its server: the user's handlers for what a server may ask.

A server may want a model's answer (sampling), a person's input (elicitation), the directories that it may work in
(roots), or to have something logged.  A handler answers one kind of request.  What a client declares to be able to do
follows from the handlers that it was given, and from nothing else.

A handler is called as ``handler(request, context)`` and may be plain or async.  ``request`` is what the server asks;
``context`` is the :class:`~mcpcore.context.CallContext` of the call that it is asked in, so one handler can serve many
identities.  It returns the answer, or raises :class:`~mcpcore.errors.RpcError` to refuse; whatever else it raises ends
the call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import unquote

from attrs import field, frozen

from mcpcore.errors import LocalProtocolError

if TYPE_CHECKING:
    from mcpcore.context import CallContext
    from mcpcore.types.elicitation import ElicitRequest, ElicitResult, ElicitUrlRequest
    from mcpcore.types.logging import LogMessage
    from mcpcore.types.roots import Root
    from mcpcore.types.sampling import CreateMessageRequest, CreateMessageResult

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class ByHand(Enum):
    """The type of :data:`BY_HAND`."""

    BY_HAND = "by hand"


BY_HAND: Final = ByHand.BY_HAND
"""Stands for a handler where the caller answers by itself.

The capability is declared in the modern era alone.  A request that needs an answer raises
:class:`~mcpcore.errors.InputRequiredError`; make it once more with the answers.
"""

Handler: TypeAlias = Callable[[RequestT, "CallContext"], "AnswerT | Awaitable[AnswerT]"]
"""What answers one kind of request."""


def check_roots(roots: Sequence[Root]) -> Sequence[Root]:
    """Refuse roots that a server must not be given (2025-11-25, "Roots", Data Types and Security Considerations).

    :raises LocalProtocolError: if one is no ``file://`` URI, or leads upwards.
    """
    for root in roots:
        if not root.uri.startswith("file://") or ".." in unquote(root.uri).replace("\\", "/").split("/"):
            raise LocalProtocolError("a root is a file:// URI that does not lead upwards")
    return roots


def _checked(_: Handlers, __: object, roots: Sequence[Root] | ByHand | None) -> None:
    if isinstance(roots, Sequence):
        check_roots(roots)


def _is_given(handler: object) -> str:
    return "None" if handler is None else "..."


@frozen(kw_only=True)
class Handlers:
    """What a client offers its server; all of it is optional.

    :param elicit: asks a person to fill in a form (2025-06-18 and later, "Elicitation").
    :param elicit_url: asks a person to visit a URL (2025-11-25 and later, "Elicitation", URL Mode); it must show the
        whole URL and have the person's consent before it is opened.
    :param sample: asks a model (every revision, "Sampling").
    :param sample_with_tools: whether ``sample`` can let the model use tools (2025-11-25 and later).
    :param roots: the directories that the server may work in, or a handler that is called with None for a request and
        returns them (every revision, "Roots").
    :param log: is told each log message, in order; what it returns is not looked at.
    :raises LocalProtocolError: if a root is no ``file://`` URI, or leads upwards.
    """

    elicit: Handler[ElicitRequest, ElicitResult] | Literal[ByHand.BY_HAND] | None = field(default=None, repr=_is_given)
    elicit_url: Handler[ElicitUrlRequest, ElicitResult] | Literal[ByHand.BY_HAND] | None = field(
        default=None, repr=_is_given
    )
    sample: Handler[CreateMessageRequest, CreateMessageResult] | Literal[ByHand.BY_HAND] | None = field(
        default=None, repr=_is_given
    )
    sample_with_tools: bool = False
    roots: Sequence[Root] | Handler[None, Sequence[Root]] | Literal[ByHand.BY_HAND] | None = field(
        default=None, repr=_is_given, validator=_checked
    )
    log: Callable[[LogMessage, CallContext], Any] | None = field(default=None, repr=_is_given)
