"""Extensions of the protocol: a name, its settings, and what it does with results of its own kind.

A client declares the extensions that it was given, with their settings; a server that knows one may then answer a
request by a result of a type that only the extension understands (2026-07-28, "Overview", ResultType).  The extension
turns such a result into the final one, by a generator: it yields from what :class:`Unfinished` offers, does no I/O
of its own, and therefore runs on any event loop, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.types.progress import Progress


class Unfinished(Protocol):
    """A request whose result is not the final one, as an extension sees it."""

    @property
    def method(self) -> str:
        """What was asked of the server."""
        ...

    def request(self, method: str, params: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Make another request of the same identity; returns its result.

        :raises McpError: if there is none.
        """
        ...

    def answer(self, input_requests: Mapping[str, Any]) -> Flow[dict[str, Any]]:
        """Have the user's handlers answer what the server asks; returns the answers by the same keys."""
        ...

    def report(self, progress: Progress) -> Flow[None]:
        """Tell the caller how far the request has come, if that is wanted."""
        ...

    def wait(self, seconds: float) -> Flow[None]:
        """Let time pass."""
        ...

    def when_given_up(self, method: str | None, params: Mapping[str, Any] | None = None) -> None:
        """Have this request made if the caller gives up before the result is there; None for none any more."""
        ...


Finish: TypeAlias = Callable[[Unfinished, dict[str, Any]], "Flow[dict[str, Any]]"]
"""Turns a result into the final one."""


@frozen
class Extension:
    """One extension (2026-07-28, "Overview", Extensions).

    :param name: what it is declared by, for instance ``com.example/receipts``.
    :param settings: what is declared with it.
    :param names: for each method of its own that names what it is about, the parameter that does; the name travels as
        a header (2026-07-28, "Streamable HTTP", Standard Request Headers).
    :param results: for each ``resultType`` of its own, what makes the final result of such a result.
    """

    name: str
    settings: Mapping[str, Any] = field(factory=dict[str, Any])
    results: Mapping[str, Finish] = field(factory=dict[str, Finish], repr=False)
    names: Mapping[str, str] = field(factory=dict[str, str], repr=False)
