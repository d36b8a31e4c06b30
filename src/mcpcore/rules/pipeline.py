"""The header pipeline: where the header fields of an outbound request come from, and who wins.

Each request starts from what its client was configured with and goes through every resolver in order; later steps win
over earlier ones, names compare without case, and each name ends up on the wire once::

    User-Agent  <  trace context  <  forwarded  <  static headers  <  auth_token or auth  <  resolvers, in order

What the protocol owns (framing, content negotiation, ``Mcp-*``) is added by the core at the very end and can't be set
by anyone else: not an override, an error.  A :class:`Resolution` is made for one request and used for no other.

Nothing here calls a resolver: a step takes what a resolver returned.  Errors name the server and the step, and the
name of the header where that is a valid name; never a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from attrs import define, field, frozen

from mcpcore.codecs.header_fields import encode_value, is_protocol_owned, is_token
from mcpcore.errors import ConfigurationError, HeaderResolverError, LocalProtocolError
from mcpcore.rules.digests import framed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcpcore.context import CallContext, Resolver
    from mcpcore.oauth.provider import Credentials
    from mcpcore.rules.endpoint import Endpoint

    Field = tuple[bytes, bytes]  # the name as given and the value, as they go on the wire

_AUTHORIZATION = "authorization"
_NOT_IDENTITY = frozenset({"user-agent", "dpop", "traceparent", "tracestate", "baggage"})


class _Refused(Exception):
    """Why headers cannot be sent, without a value."""


def _check_text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _Refused(f"{what} is not a string")
    # A subclass of str is taken for the characters that it holds, whatever its methods say.
    return str.__str__(value)


def _check_name(name: object) -> str:
    name = _check_text(name, "a header name")
    if not is_token(name):
        raise _Refused("a header name is not a token")
    if is_protocol_owned(name):
        raise _Refused(f"the header {name} belongs to the protocol and cannot be set")
    return name


def _check_fields(headers: object) -> dict[str, Field]:
    """One step's headers by lower-cased name.

    :raises _Refused: if one cannot be sent.
    """
    if not isinstance(headers, Mapping):
        raise _Refused(f"expected a mapping of header names to values, not {type(headers).__name__}")
    fields: dict[str, Field] = {}
    for key, value in cast("Mapping[object, object]", headers).items():
        name = _check_name(key)
        if name.lower() in fields:
            raise _Refused(f"the header {name} is given twice, in names that differ only in case")
        text = _check_text(value, f"the value of the header {name}")
        try:
            fields[name.lower()] = (name.encode("ascii"), encode_value(text))
        except ValueError:
            raise _Refused(f"the value of the header {name} has characters that cannot be sent") from None
    return fields


def _static_fields(headers: Mapping[str, str] | None, auth_token: str | None) -> dict[str, Field]:
    try:
        fields = _check_fields({} if headers is None else headers)
    except _Refused as refused:
        raise _Refused(f"static headers: {refused}") from None
    if auth_token is None:
        return fields
    if _AUTHORIZATION in fields:
        raise _Refused("auth_token and a static Authorization header exclude each other")
    return fields | _check_fields({"Authorization": f"Bearer {_check_text(auth_token, 'auth_token')}"})


def _forwarded_names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise _Refused("forwarded headers: expected several names, not one string")
    try:
        return tuple(_check_name(name).lower() for name in names)
    except _Refused as refused:
        raise _Refused(f"forwarded headers: {refused}") from None


@frozen
class HeaderPipeline:
    """What one client was configured to send with every request, checked once.

    :ivar resolvers: are asked in this order for each request.
    :ivar forward: which of a call's ``request_headers`` go on the wire, lower-cased.
    """

    endpoint: Endpoint
    resolvers: tuple[Resolver, ...] = field(repr=False)
    forward: tuple[str, ...]
    allow_insecure_http: bool
    _user_agent: Field
    _static: Mapping[str, Field] = field(repr=False)

    @classmethod
    def configure(
        cls,
        endpoint: Endpoint,
        *,
        user_agent: str,
        headers: Mapping[str, str] | None = None,
        auth_token: str | None = None,
        resolvers: Sequence[Resolver] = (),
        forward: Iterable[str] = (),
        allow_insecure_http: bool = False,
        has_auth: bool = False,
    ) -> HeaderPipeline:
        """Check and freeze a client's configuration.

        :raises ConfigurationError: if a static header, the token or a forwarded name could never be sent.
        """
        try:
            static = _static_fields(headers, auth_token)
            forwarded = _forwarded_names(forward)
            if has_auth and (_AUTHORIZATION in static or _AUTHORIZATION in forwarded):
                raise _Refused("auth excludes auth_token, and an Authorization header that is static or forwarded")
        except _Refused as refused:
            raise ConfigurationError(str(refused), server=endpoint.name) from None
        pipeline = cls(
            endpoint,
            tuple(resolvers),
            forwarded,
            allow_insecure_http,
            (b"User-Agent", encode_value(user_agent)),
            static,
        )
        # Nobody on the way to a server may send people, or secrets, to an authorization server of his own.
        pipeline.check_private(bool(static) or has_auth, ConfigurationError)
        return pipeline

    def static_identity(self) -> bytes:
        """What the static headers tell of identity, in a form that only equal headers share."""
        return _identity(self._static)

    @property
    def is_static(self) -> bool:
        """Whether every request gets the same headers, whoever makes it."""
        return not self.resolvers and not self.forward

    def check_private(self, has_headers: bool, error: type[LocalProtocolError] = LocalProtocolError) -> None:
        """Refuse to send headers where anybody on the way can read them."""
        if has_headers and not self.endpoint.is_private and not self.allow_insecure_http:
            raise error(
                "headers would be sent over plain http to a host that is not this machine; use https, or "
                "allow_insecure_http=True if the network is yours",
                server=self.endpoint.name,
            )

    def begin(self, context: CallContext, trace: Mapping[str, str] | None = None) -> Resolution:
        """Start the headers of one request: everything that comes before the resolvers.

        :param trace: what the headers are to say of the trace that the request belongs to.
        """
        fields = {**self._forwarded(context), **self._static} if self.forward else self._static
        if trace:
            fields = {**self.checked("trace context", trace), **fields}
        self.check_private(bool(fields))
        return Resolution(self, {"user-agent": self._user_agent, **fields})

    def _forwarded(self, context: CallContext) -> dict[str, Field]:
        present = {n: context.request_headers[n] for n in self.forward if n in context.request_headers}
        return self.checked("forwarded headers", present)

    def checked(self, what: str, headers: Mapping[str, str]) -> dict[str, Field]:
        """Headers that no resolver set, by lower-cased name.

        :raises LocalProtocolError: if one cannot be sent.
        """
        try:
            return _check_fields(headers)
        except _Refused as refused:
            raise LocalProtocolError(f"{what}: {refused}", server=self.endpoint.name) from None


@define
class Resolution:
    """The header fields of one outbound request, on their way through the pipeline.

    :ivar authorization_is_resolved: whether a resolver set ``Authorization``, so that it can be asked for a better one.
    :ivar credentials: what the client's ``auth`` gave, unless a resolver knew better; None if it was not asked.
    """

    _pipeline: HeaderPipeline = field(repr=False)
    _fields: dict[str, Field] = field(repr=False)
    authorization_is_resolved: bool = False
    credentials: Credentials | None = None
    _not_identity: frozenset[str] = _NOT_IDENTITY

    def visible(self) -> Mapping[str, str]:
        """What the next resolver may see: everything so far, by lower-cased name."""
        return MappingProxyType({name: value.decode("latin-1") for name, (_, value) in self._fields.items()})

    def authorize(self, credentials: Credentials, *, shows_identity: bool) -> None:
        """Lay what the client's ``auth`` gave over what is there.

        :param shows_identity: whether it tells identities apart.
        :raises LocalProtocolError: if it cannot be sent, or not to this server.
        """
        fields = self._pipeline.checked("auth", credentials.headers)
        self._pipeline.check_private(bool(fields))
        self._fields |= fields
        self.credentials = credentials
        if not shows_identity:
            self._not_identity |= fields.keys()

    def add(self, step: int, headers: Mapping[str, str] | None) -> None:
        """Lay what resolver number ``step`` (from 0) returned over what is there.

        :raises HeaderResolverError: if it is not a mapping of header names to values that can be sent.
        :raises LocalProtocolError: if headers must not be sent to this server at all.
        """
        if headers is None:
            return
        try:
            fields = _check_fields(headers)
        except _Refused as refused:
            raise self.failure(step, f"{refused}; nothing was sent") from None
        except Exception as exc:
            # A mapping of the user's own making may raise anything, in words of its own.
            raise self.failure(step, f"its mapping raised {type(exc).__name__}; nothing was sent") from exc
        self._pipeline.check_private(bool(fields))
        if _AUTHORIZATION in fields:
            self._overrule()
            self.authorization_is_resolved = True
        self._fields |= fields
        # What a resolver sets tells identities apart, whoever had set it before.
        self._not_identity -= fields.keys() - _NOT_IDENTITY

    def _overrule(self) -> None:
        """Let a resolver's ``Authorization`` stand in place of what ``auth`` gave, with all that belonged to that."""
        if self.credentials is not None:
            for name in self.credentials.headers:
                self._fields.pop(name.lower(), None)
            self.credentials, self._not_identity = None, _NOT_IDENTITY

    def failure(self, step: int, what: str) -> HeaderResolverError:
        """The error for resolver number ``step``."""
        resolver = self._pipeline.resolvers[step]
        name = getattr(resolver, "__qualname__", type(resolver).__qualname__)
        return HeaderResolverError(f"header resolver {name}: {what}", server=self._pipeline.endpoint.name)

    def wire(self, protocol_headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
        """The header list for an engine: what the protocol owns, then everything else, each name once."""
        return (*protocol_headers, *self._fields.values())

    def identity(self) -> bytes:
        """Everything here that can tell one identity from another, in a form that only equal headers share."""
        return _identity(self._fields, self._not_identity)


def _identity(fields: Mapping[str, Field], others: frozenset[str] = _NOT_IDENTITY) -> bytes:
    names = sorted(fields.keys() - others)
    return framed(*(part for name in names for part in (name.encode("ascii"), fields[name][1])))
