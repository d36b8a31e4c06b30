"""The journal: every request that a server received, and what a test can demand of them.

The question behind it is always the same: *whose credentials were on which request?*  So the demands speak of
header names, and fail with the requests that broke them, by number and label.  A value that may be a
credential is compared and never printed.

A demand about requests that were never made would hold without meaning anything; each of them therefore fails
when it finds no request to judge, except :meth:`Journal.assert_no_header` and :meth:`Journal.assert_no_leak`,
whose point is absence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload
from urllib.parse import unquote_to_bytes

import anyio
from attrs import define, field

from .requests import Match, ReceivedRequest, matches


def _listed(requests: Sequence[ReceivedRequest]) -> str:
    return "; ".join(request.label for request in requests)


@define(eq=False, repr=False)
class Journal(Sequence[ReceivedRequest]):
    """The requests that a server received, in the order in which they arrived."""

    _requests: list[ReceivedRequest] = field(factory=list[ReceivedRequest], init=False)
    _waiters: list[anyio.Event] = field(factory=list[anyio.Event], init=False)

    @overload
    def __getitem__(self, index: int) -> ReceivedRequest: ...
    @overload
    def __getitem__(self, index: slice) -> list[ReceivedRequest]: ...
    def __getitem__(self, index: int | slice) -> ReceivedRequest | list[ReceivedRequest]:
        return self._requests[index]

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[ReceivedRequest]:
        return iter(tuple(self._requests))

    def __repr__(self) -> str:
        return f"<Journal of {len(self)} requests: {_listed(self)}>"

    def record(self, request: ReceivedRequest) -> None:
        """Add a request; servers do this."""
        self._requests.append(request)
        self.changed()

    def changed(self) -> None:
        """Let :meth:`wait_for` look again; servers do this."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    def clear(self) -> None:
        """Forget every request; a new one is numbered from 1 again."""
        self._requests.clear()

    def requests(self, match: Match = None) -> list[ReceivedRequest]:
        """The requests that ``match`` means, see :data:`~transports.testing.Match`."""
        return [request for request in self._requests if matches(match, request)]

    async def wait_for(self, match: Match = None, count: int = 1) -> list[ReceivedRequest]:
        """Wait until there are ``count`` requests that ``match`` means, and return them.

        ``match`` may look at ``status`` and ``outcome``: it is asked again whenever one of them changes.  Put
        ``anyio.fail_after`` around it, in case that they never come.
        """
        while len(found := self.requests(match)) < count:
            waiter = anyio.Event()
            self._waiters.append(waiter)
            await waiter.wait()
        return found

    def assert_every_request_carries(
        self, name: str, value: str | Callable[[ReceivedRequest], str] = "", *, match: Match = None
    ) -> None:
        """Every request carries the header ``name``, once.

        :param value: what it must be: a string, or a function of the request.  An empty one means any value.
        """
        for request in self._judged(match):
            found = request.headers.get_all(name)
            if len(found) != 1:
                raise AssertionError(f"{request.label} carries {len(found)} headers {name!r}, not one")
            wanted = value(request) if callable(value) else value
            if wanted and found[0] != wanted:
                raise AssertionError(f"{request.label} carries another value of {name!r} than expected")

    def assert_distinct(self, name: str, *, match: Match = None) -> None:
        """No value of the header ``name`` was sent with two requests, as befits a token that is resolved each
        time."""
        requests = self._judged(match)
        self.assert_every_request_carries(name, match=match)
        for same in _grouped(requests, name).values():
            if len(same) > 1:
                raise AssertionError(f"one value of {name!r} was sent with several requests: {_listed(same)}")

    def assert_never_shared(self, name: str, *, across: str, match: Match = None) -> None:
        """No value of the header ``name`` was sent under two values of the header ``across``.

        ``assert_never_shared("mcp-session-id", across="authorization")``: no session served two identities.
        Requests without ``name`` are left out.
        """
        requests = self._judged(lambda request: name in request.headers and matches(match, request))
        for same in _grouped(requests, name).values():
            if len(_grouped(same, across)) > 1:
                raise AssertionError(f"one value of {name!r} was sent under several of {across!r}: {_listed(same)}")

    def assert_no_header(self, name: str, *, match: Match = None) -> None:
        """No request carries the header ``name``."""
        guilty = [request for request in self.requests(match) if name in request.headers]
        if guilty:
            raise AssertionError(f"these carry {name!r}: {_listed(guilty)}")

    def assert_no_leak(self, *secrets: str) -> None:
        """None of ``secrets`` reached this server, in whatever part of whatever request.

        Ask it of the journal of a server that they were not meant for: the target of a redirect, say.  The
        target is searched as it came and percent-decoded.
        """
        if not all(secrets):
            raise ValueError("an empty secret is in every request")
        for request in self._requests:
            for place, text in _places(request):
                if any(secret.encode() in text for secret in secrets):
                    raise AssertionError(f"{request.label} holds a secret in {place}")

    def _judged(self, match: Match) -> list[ReceivedRequest]:
        requests = self.requests(match)
        if not requests:
            raise AssertionError(f"there is no such request to judge, among {len(self)} received")
        return requests


def _grouped(requests: Sequence[ReceivedRequest], name: str) -> dict[str | None, list[ReceivedRequest]]:
    """The requests by their value of one header; those without it are together."""
    groups: dict[str | None, list[ReceivedRequest]] = {}
    for request in requests:
        groups.setdefault(request.headers.get(name), []).append(request)
    return groups


def _places(request: ReceivedRequest) -> Iterator[tuple[str, bytes]]:
    yield "its target", request.target.encode()
    yield "its target", unquote_to_bytes(request.target)
    for name, value in request.headers.raw:
        yield f"its header {name.decode('latin-1').lower()!r}", name + b": " + value
    yield "its body", request.body
