"""What a server received: one HTTP request, and what became of it.

A request is kept exactly as it came, because what a test wants to know is what was on the wire.  Credentials
are on the wire too: the values stay readable in ``headers`` and ``body``, and nothing here prints them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, urlsplit

from attrs import define, field

from mcpcore.redaction import redact_url

Outcome: TypeAlias = Literal["pending", "answered", "disconnected", "cut"]
"""What became of a request: it is being worked on; the whole answer went out; the client closed the
connection first, which ended the work; or the server cut the connection, because a test told it to."""

HeaderList: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Headers(Mapping[str, str]):
    """Header fields as received, looked up by name in any case.

    As a mapping it has lower-cased names; a field that came more than once is joined with commas.  ``raw``
    has the names and values exactly as they came.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: HeaderList) -> None:
        self.raw: HeaderList = raw

    def get_all(self, name: str) -> list[str]:
        """Every value of the field ``name``, in the order received."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for key, value in self.raw if key.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin-1").lower() for name, _ in self.raw))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<Headers {', '.join(self)}>"


def as_object(value: object) -> dict[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _nobody_watches() -> None:
    """The request is in no journal."""


@define(eq=False, kw_only=True, repr=False)
class ReceivedRequest:
    """One HTTP request that a server received.

    :ivar number: its place in the journal, from 1.
    :ivar method: ``POST``, ``GET`` or ``DELETE``.
    :ivar target: the path and query of the request line.
    :ivar headers: the header fields, see :class:`Headers`.
    :ivar body: the exact bytes.
    :ivar time: when it arrived, in seconds of the server's clock.
    :ivar connection: the number of the TCP connection that it came over, from 1; None without sockets.
    :ivar status: the status of the answer; None until its head goes out.
    :ivar outcome: what became of it, see :data:`Outcome`.
    """

    number: int
    method: str
    target: str
    headers: Headers
    body: bytes = b""
    time: float = 0.0
    connection: int | None = None
    status: int | None = field(default=None, init=False)
    outcome: Outcome = field(default="pending", init=False)
    _changed: Callable[[], None] = field(default=_nobody_watches, alias="changed")

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters, decoded."""
        return dict(parse_qsl(urlsplit(self.target).query))

    @cached_property
    def json(self) -> Any:
        """The body as parsed JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def rpc_method(self) -> str | None:
        """The method of the JSON-RPC request or notification in the body, or None."""
        method = as_object(self.json).get("method")
        return method if isinstance(method, str) else None

    @property
    def rpc_id(self) -> int | str | None:
        """The id of the JSON-RPC message in the body, or None."""
        request_id = as_object(self.json).get("id")
        return request_id if isinstance(request_id, int | str) else None

    @property
    def rpc_name(self) -> str | None:
        """The tool, prompt, resource or task that the JSON-RPC request names, or None."""
        family = (self.rpc_method or "").partition("/")[0]
        name = self.params.get({"resources": "uri", "tasks": "taskId"}.get(family, "name"))
        return name if isinstance(name, str) else None

    @property
    def params(self) -> dict[str, Any]:
        """The JSON-RPC parameters; empty if there are none."""
        return as_object(as_object(self.json).get("params"))

    @property
    def label(self) -> str:
        """The request in a few words that are fit to print: its number, what it asked for, never a
        credential."""
        name = repr(redact_url(self.rpc_name)) if self.rpc_name else None
        parts = (f"#{self.number}", self.method, self.path, self.rpc_method, name)
        return " ".join(part for part in parts if part)

    def begin_answer(self, status: int) -> None:
        """Note that an answer with ``status`` is on its way."""
        self.status = status
        self._changed()

    def end(self, outcome: Outcome) -> None:
        """Note what became of the request.  The first word counts, but for ``cut``, which overrules."""
        if self.outcome == "pending" or outcome == "cut":
            self.outcome = outcome
            self._changed()

    def __repr__(self) -> str:
        return f"<{self.label} -> {self.status or '-'} {self.outcome}; {', '.join(self.headers)}>"


Match: TypeAlias = str | Callable[[ReceivedRequest], bool] | None
"""Which requests are meant: an HTTP method (``"GET"``), a JSON-RPC method (``"tools/call"``), a function of
the request, or None for all."""


def matches(match: Match, request: ReceivedRequest) -> bool:
    """Whether ``request`` is one of those that ``match`` means."""
    if match is None:
        return True
    if isinstance(match, str):
        return match in (request.method, request.rpc_method)
    return match(request)
