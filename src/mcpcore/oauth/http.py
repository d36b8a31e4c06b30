"""Requests to others than the MCP server: its metadata, its authorization server, an identity provider.

They go out like every request, as :class:`~mcpcore.commands.SendRequest`, but not through the header pipeline: none of
the headers that were configured or resolved for the MCP server is in them.  What they carry is what this module is
given, and what any client sends.

Where they go is checked first (:mod:`mcpcore.rules.addresses`).  A body is read up to a bound, and a redirect is
followed only by a GET, and only within the origin: whoever can redirect could answer for somebody else.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus, urlencode, urljoin

from attrs import evolve, field, frozen

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.shapes import as_object, as_text
from mcpcore.commands import EndResponse, LookUp, ReceiveData, SendRequest
from mcpcore.context import RequestKind
from mcpcore.errors import McpError, NotSentError, OAuthError, OAuthResponseError, RemoteProtocolError
from mcpcore.machines.exchange import read_head
from mcpcore.redaction import HIDDEN, redact_url
from mcpcore.rules.addresses import Reach, Target, check_reach, reach_of
from mcpcore.rules.endpoint import origin_of_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mcpcore.commands import Flow
    from mcpcore.oauth.provider import AuthEnvironment

_REDIRECTS = frozenset({301, 302, 307, 308})
_LONGEST_DESCRIPTION = 300
_QUOTED = re.compile("%[0-9A-F]{2}")


@frozen
class HttpRequest:
    """One request to be made.

    :ivar what: what is asked for, for errors.
    :ivar headers: what it carries beside what every request does.
    :ivar secrets: what no error may repeat, whatever the answer says.
    """

    kind: RequestKind
    what: str
    url: str = field(repr=redact_url)
    http_method: str = "GET"
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    principal: str | None = field(default=None, repr=False)


@frozen
class HttpReply:
    """What was answered.

    :ivar document: the JSON object in its body, or None if that is none.
    :ivar dpop_nonce: its ``DPoP-Nonce``, or None.
    :ivar location: where it redirects to, or None.
    """

    status: int
    document: dict[str, Any] | None = field(repr=False)
    dpop_nonce: str | None = field(default=None, repr=False)
    location: str | None = field(default=None, repr=False)


def form(
    url: str,
    what: str,
    parameters: Mapping[str, str],
    headers: Mapping[str, str],
    kind: RequestKind,
    principal: str | None,
    secrets: tuple[str, ...],
) -> HttpRequest:
    """A POST of a form, as token endpoints take it (RFC 6749, section 4.1.3)."""
    return HttpRequest(
        kind=kind,
        what=what,
        url=url,
        http_method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
        body=urlencode(parameters).encode("ascii"),
        secrets=secrets,
        principal=principal,
    )


def ask(environment: AuthEnvironment, request: HttpRequest) -> Flow[HttpReply]:
    """Make a request and read its answer.

    :raises OAuthError: if its URL is none that may be asked.
    :raises LimitExceeded: if the answer is too long.
    :raises TransportError: if the network failed.
    """
    try:
        target = Target.parse(request.url, request.what)
        addresses = yield from _admit(environment, target, request.what)
        try:
            return (yield from _exchange(environment, target, request, addresses))
        except NotSentError:
            return (yield from _exchange(environment, target, request, addresses))
    except McpError as error:
        raise error.located(redact_url(request.url), request.what) from error.__cause__


def fetch(environment: AuthEnvironment, request: HttpRequest) -> Flow[HttpReply]:
    """GET a document, following redirects within its origin.

    :raises OAuthError: if one leads elsewhere.
    """
    for _ in range(environment.limits.redirects + 1):
        reply = yield from ask(environment, request)
        if reply.status not in _REDIRECTS or reply.location is None:
            return reply
        url = _within_origin(request.url, reply.location)
        if url is None:
            raise OAuthError("the redirect leads to another origin, and is not followed").located(
                redact_url(request.url), request.what
            )
        request = evolve(request, url=url)
    error = environment.limits.exceeded("redirects", "there were too many redirects")
    raise error.located(redact_url(request.url), request.what)


def _within_origin(base: str, location: str) -> str | None:
    """The URL that ``location`` means at ``base``, or None if that is of another origin."""
    try:
        url = urljoin(base, location)
    except ValueError:
        return None
    return url if origin_of_url(url) == origin_of_url(base) else None


def _admit(environment: AuthEnvironment, target: Target, what: str) -> Flow[tuple[str, ...]]:
    """See that a target may be asked; the addresses to ask it at, or none for whatever its host means."""
    if target.origin == environment.endpoint.origin or target.origin in environment.trusted:
        return ()
    addresses: tuple[str, ...] = ()
    found = {target.reach} if target.reach is not None else set[Reach]()
    if target.reach is None:
        addresses = tuple((yield LookUp(target.host)))
        found = set(map(reach_of, addresses))
    if found - {Reach.PUBLIC}:
        check_reach(found, (yield from _near(environment)), what)
    return addresses


def _near(environment: AuthEnvironment) -> Flow[set[Reach]]:
    """What is as near as the MCP server.

    Where its name leads is said by whoever owns the name.  So a name vouches for a private network at most, if it leads
    nowhere else; for this machine, only the user can, by an address or ``localhost`` in the server's URL.
    """
    server = Target.parse(f"https://{environment.endpoint.origin[1]}/", "the MCP server")
    if server.reach is not None:
        return {server.reach}
    found = set(map(reach_of, (yield LookUp(server.host))))
    return found if found == {Reach.PRIVATE} else set()


def _exchange(
    environment: AuthEnvironment, target: Target, request: HttpRequest, addresses: tuple[str, ...]
) -> Flow[HttpReply]:
    headers = {"User-Agent": environment.user_agent, "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
    status, fields = yield SendRequest(
        request.http_method,
        target.url,
        tuple(
            (name.encode("ascii"), value.encode("latin-1")) for name, value in {**headers, **request.headers}.items()
        ),
        request.body,
        request.kind,
        principal=request.principal,
        addresses=addresses,
    )
    head = read_head(status, fields, environment.limits)
    body = yield from _read_body(environment, request)
    return HttpReply(status, _parse(environment, body), head.dpop_nonce, head.location)


def _read_body(environment: AuthEnvironment, request: HttpRequest) -> Flow[bytes]:
    limits, pieces, size = environment.limits, list[bytes](), 0
    while (data := (yield ReceiveData())) is not None:
        size += len(data)
        if size > limits.oauth_bytes:
            yield EndResponse(drain=False)
            raise limits.exceeded("oauth_bytes", f"{request.what} is too long")
        pieces.append(data)
    return b"".join(pieces)


def _parse(environment: AuthEnvironment, body: bytes) -> dict[str, Any] | None:
    try:
        document = as_object(jsonrpc.parse(body, environment.limits))
        json.dumps(document, ensure_ascii=False).encode()  # Half of a surrogate pair goes into no URL and no form.
    except (RemoteProtocolError, UnicodeEncodeError):
        return None
    return document


def refusal(request: HttpRequest, reply: HttpReply) -> OAuthResponseError:
    """The error for an answer that refuses (RFC 6749, section 5.2)."""
    told = reply.document or {}
    code = _shown(as_text(told.get("error")), request.secrets)
    description = _shown(as_text(told.get("error_description")), request.secrets)
    return refused(request.what, code, description, reply.status).located(redact_url(request.url), request.what)


def refused(what: str, code: str, description: str, status: int | None = None) -> OAuthResponseError:
    """The error for a refusal, in words."""
    unsaid = "no reason was given" if status is None else f"status {status}"
    reason = ": ".join(part for part in (code, description) if part) or unsaid
    return OAuthResponseError(f"{what} was refused: {reason}", error=code, description=description, status=status)


def _shown(text: str | None, secrets: Iterable[str]) -> str:
    """What a server says, as far as it may be shown."""
    text = text or ""
    for secret in filter(None, secrets):
        for form in _forms(secret):
            text = text.replace(form, HIDDEN)
    return "".join(c if c.isprintable() else " " for c in text[:_LONGEST_DESCRIPTION])


def _forms(secret: str) -> Iterator[str]:
    """A secret as it is, and as a server may repeat it that got it in a form or a URL."""
    yield secret
    for quoted in (quote_plus(secret), quote(secret, safe="")):
        yield quoted
        yield _QUOTED.sub(lambda match: match[0].lower(), quoted)
