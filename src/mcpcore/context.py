"""Who a call is for, and what a resolver sees of one request.

Two values, both immutable, because they cross from the caller to resolvers that may run at any later moment:

* :class:`CallContext` is what the *caller* says about one call.  It is a snapshot: header names are lower-cased and the
  mapping is copied, so that nothing the caller does afterwards changes what a resolver reads.
* :class:`RequestContext` is what a *resolver* is told about one outbound HTTP request.  It is made for that request
  alone.

Nothing in here is remembered by the client after the call has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from mcpcore.errors import ConfigurationError
from mcpcore.redaction import redact_names, redact_url, repr_of_name

if TYPE_CHECKING:
    from typing import Self

    from mcpcore.codecs.challenges import Challenge

Resolver: TypeAlias = Callable[["RequestContext"], "Mapping[str, str] | Awaitable[Mapping[str, str] | None] | None"]
"""What a user gives as ``get_headers``: plain or async, it returns headers for one request, or None for none."""


class RequestKind(Enum):
    """What an outbound HTTP request is for."""

    DISCOVER = "discover"
    """``server/discover``: which revisions the server speaks."""
    INITIALIZE = "initialize"
    """The handshake that opens a session."""
    NOTIFICATION = "notification"
    """A JSON-RPC notification."""
    REQUEST = "request"
    """A JSON-RPC request of the user's."""
    RESPONSE = "response"
    """The answer to a request of the server's."""
    LISTEN = "listen"
    """A GET that opens an event stream."""
    RESUME = "resume"
    """A GET that takes up a broken event stream."""
    TERMINATE = "terminate"
    """The DELETE that ends a session."""
    METADATA = "metadata"
    """A GET of what a server says about authorization.  Like the three that follow, no resolver is asked for it."""
    REGISTRATION = "registration"
    """The registration of this client at an authorization server."""
    TOKEN = "token"
    """A request for a token."""
    REVOCATION = "revocation"
    """The revocation of a token."""


def _check_principal(_context: object, _attribute: object, principal: Any) -> None:
    # The annotation already says so, but a principal decides who may read what: an empty or odd one fails closed.
    if principal is not None and not (isinstance(principal, str) and principal):
        raise ConfigurationError("a principal is a non-empty string, or None")


def _snapshot(headers: Mapping[Any, Any]) -> Mapping[str, str]:
    # Each name is looked up: of a header that came twice, the snapshot then has the value that everybody else sees who
    # asks the same mapping.  Two values that this cannot decide between could be two identities.
    snapshot: dict[str, str] = {}
    for name in headers:
        value = headers[name]
        if not (isinstance(name, str) and isinstance(value, str)):
            raise ConfigurationError("request_headers maps strings to strings")
        if snapshot.setdefault(name.lower(), value) != value:
            raise ConfigurationError(f"request_headers has {name} twice, in names that differ only in case")
    return MappingProxyType(snapshot)


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Immutable:
    """A value that is its own copy.

    Frameworks copy what a run holds, deeply and without asking.  What cannot be changed needs no copy; what it only
    passes on (a user, an input, a resolver) may have none, and resolvers are promised that very object.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@frozen(kw_only=True)
class CallContext(Immutable):
    """What the caller says about one call: on whose behalf it is made, and what resolvers may look at.

    :param principal: the authorization context of the call, from *authentication* and never from the request: tenant,
        user and, where tokens differ in scope, the scope.  All tokens brought under one principal have the same rights.
        A principal keeps its session while its tokens rotate.  None means that the identity is whatever the headers
        say.
    :param request_headers: the inbound request's headers, for resolvers to read; names are lower-cased, and the mapping
        is copied.
    :param user: any object, for resolvers to read.
    :param input: any object, for resolvers to read.
    :raises ConfigurationError: if ``principal`` is empty or not a string, or if ``request_headers`` has two values for
        one name.
    """

    principal: str | None = field(default=None, validator=_check_principal)
    request_headers: Mapping[str, str] = field(default=_NO_HEADERS, converter=_snapshot, repr=redact_names, hash=False)
    user: Any = field(default=None, repr=False, hash=False)
    input: Any = field(default=None, repr=False, hash=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as what it was made of: a read-only view of a mapping cannot be.
        headers = dict(self.request_headers)
        made = partial(CallContext, principal=self.principal, request_headers=headers, user=self.user, input=self.input)
        return made, ()


@frozen(kw_only=True)
class RequestContext(Immutable):
    """What a resolver is told about the one HTTP request that it resolves headers for.

    A resolver is called with it once for each request; it returns the headers to add, or None for none.

    :ivar mcp_server_url: the server's URL as it was configured, unchanged.
    :ivar url: the URL that this request goes to.
    :ivar http_method: ``POST``, ``GET`` or ``DELETE``.
    :ivar kind: what the request is for.
    :ivar rpc_method: the JSON-RPC method in its body or, of a response, the method that it answers; else None.
    :ivar rpc_name: the tool, prompt or resource that it names, or None.
    :ivar request_id: the JSON-RPC id in its body, or None.
    :ivar body: the exact bytes of its body, for signing.
    :ivar attempt: 1, or 2 after a 401 to this very request.
    :ivar challenge: what that 401 asked for, or None.
    :ivar headers: what the steps before this resolver produced; names are lower-cased, protocol-owned ones are not in
        it.
    :ivar protocol_version: the revision spoken, or None before it is known.
    :ivar principal: see :class:`CallContext`, as are ``request_headers``, ``user`` and ``input``.
    """

    mcp_server_url: str = field(repr=redact_url)
    url: str = field(repr=redact_url)
    http_method: str
    kind: RequestKind
    rpc_method: str | None = None
    rpc_name: str | None = field(default=None, repr=repr_of_name)
    request_id: int | str | None = None
    body: bytes = field(default=b"", repr=False)
    attempt: int = 1
    challenge: Challenge | None = field(default=None, hash=False)
    headers: Mapping[str, str] = field(default=_NO_HEADERS, repr=redact_names, hash=False)
    protocol_version: str | None = None
    principal: str | None = None
    request_headers: Mapping[str, str] = field(default=_NO_HEADERS, repr=redact_names, hash=False)
    user: Any = field(default=None, repr=False, hash=False)
    input: Any = field(default=None, repr=False, hash=False)
