"""The header pipeline: where the header fields of an outbound request come from, and who wins.

Each request starts from what its client was configured with and goes through every resolver in order; later steps win
over earlier ones, names compare without case, and each name ends up on the wire once::

    User-Agent  <  forwarded  <  static headers  <  auth_token  <  resolvers, in order

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

from mcpcore.errors import ConfigurationError, HeaderResolverError, LocalProtocolError
from mcpcore.header_fields import encode_value, is_protocol_owned, is_token

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcpcore.context import CallContext, Resolver
    from mcpcore.endpoint import Endpoint

    Field = tuple[str, bytes]  # the name as given, the value as it goes on the wire

_AUTHORIZATION = "authorization"
_NOT_IDENTITY = frozenset({"user-agent", "dpop", "traceparent", "tracestate", "baggage"})


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not is_token(name):
        raise ValueError("a header name is not a token")
    if is_protocol_owned(name):
        raise ValueError(f"the header {name} belongs to the protocol and cannot be set")
    return name


def _check_fields(headers: object) -> dict[str, Field]:
    """One step's headers by lower-cased name.

    :raises ValueError: if one cannot be sent; the message has no value in it.
    """
    if not isinstance(headers, Mapping):
        raise ValueError(f"expected a mapping of header names to values, not {type(headers).__name__}")
    fields: dict[str, Field] = {}
    for key, value in cast("Mapping[object, object]", headers).items():
        name = _check_name(key)
        if name.lower() in fields:
            raise ValueError(f"the header {name} is given twice, in names that differ only in case")
        if not isinstance(value, str):
            raise ValueError(f"the value of the header {name} is not a string")
        try:
            fields[name.lower()] = (name, encode_value(value))
        except ValueError:
            raise ValueError(f"the value of the header {name} has characters that cannot be sent") from None
    return fields


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
    ) -> HeaderPipeline:
        """Check and freeze a client's configuration.

        :raises ConfigurationError: if a static header, the token or a forwarded name could never be sent.
        """
        try:
            static = _check_fields(headers or {})
            if auth_token is not None:
                if _AUTHORIZATION in static:
                    raise ValueError("auth_token and a static Authorization header exclude each other")
                static |= _check_fields({"Authorization": f"Bearer {auth_token}"})
            forwarded = tuple(_check_name(name).lower() for name in forward)
        except ValueError as exc:
            raise ConfigurationError(f"static headers: {exc}", server=endpoint.name) from exc
        pipeline = cls(
            endpoint,
            tuple(resolvers),
            forwarded,
            allow_insecure_http,
            ("User-Agent", encode_value(user_agent)),
            static,
        )
        pipeline.check_private(bool(static), ConfigurationError)
        return pipeline

    def check_private(self, has_headers: bool, error: type[LocalProtocolError] = LocalProtocolError) -> None:
        """Refuse to send headers where anybody on the way can read them."""
        if has_headers and not self.endpoint.is_private and not self.allow_insecure_http:
            raise error(
                "headers would be sent over plain http to a host that is not this machine; use https, or "
                "allow_insecure_http=True if the network is yours",
                server=self.endpoint.name,
            )

    def begin(self, context: CallContext) -> Resolution:
        """Start the headers of one request: everything that comes before the resolvers."""
        fields = {"user-agent": self._user_agent}
        if self.forward:
            present = {n: context.request_headers[n] for n in self.forward if n in context.request_headers}
            try:
                fields |= _check_fields(present)
            except ValueError as exc:
                raise LocalProtocolError(f"forwarded headers: {exc}", server=self.endpoint.name) from exc
        fields |= self._static
        self.check_private(len(fields) > 1)
        return Resolution(self, fields)


@define
class Resolution:
    """The header fields of one outbound request, on their way through the pipeline.

    :ivar authorization_is_resolved: whether a resolver set ``Authorization``, so that it can be asked for a better one.
    :ivar protocol_version: the revision that the resolvers were told, or None.
    """

    _pipeline: HeaderPipeline = field(repr=False)
    _fields: dict[str, Field] = field(repr=False)
    authorization_is_resolved: bool = False
    protocol_version: str | None = None

    def visible(self) -> Mapping[str, str]:
        """What the next resolver may see: everything so far, by lower-cased name."""
        return MappingProxyType({name: value.decode("latin-1") for name, (_, value) in self._fields.items()})

    def add(self, step: int, headers: Mapping[str, str] | None) -> None:
        """Lay what resolver number ``step`` (from 0) returned over what is there.

        :raises HeaderResolverError: if it is not a mapping of header names to values that can be sent.
        :raises LocalProtocolError: if headers must not be sent to this server at all.
        """
        if headers is None:
            return
        try:
            fields = _check_fields(headers)
        except ValueError as exc:
            raise self.failure(step, str(exc)) from exc
        self._pipeline.check_private(bool(fields))
        self._fields |= fields
        self.authorization_is_resolved = self.authorization_is_resolved or _AUTHORIZATION in fields

    def failure(self, step: int, what: str) -> HeaderResolverError:
        """The error for resolver number ``step``."""
        resolver = self._pipeline.resolvers[step]
        name = getattr(resolver, "__qualname__", type(resolver).__qualname__)
        return HeaderResolverError(f"header resolver {name}: {what}", server=self._pipeline.endpoint.name)

    def wire(self, protocol_headers: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
        """The header list for an engine: what the protocol owns, then everything else, each name once."""
        return (*protocol_headers, *((name.encode("ascii"), value) for name, value in self._fields.values()))

    def identity(self) -> bytes:
        """Everything here that can tell one identity from another, in a form that only equal headers share."""
        parts = [
            part
            for name in sorted(self._fields.keys() - _NOT_IDENTITY)
            for part in (name.encode("ascii"), self._fields[name][1])
        ]
        return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
