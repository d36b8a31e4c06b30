"""Which headers of an inbound request an agent run may see.

A request that reaches an agent carries what its user's browser or backend sent, and what every proxy, gateway and
platform on the way put on top.  The first is what header resolvers work from.  The second describes a hop that is over,
and some of it is a credential of the platform's own.  So ``authorization`` and ``x-*`` are eligible, and the known
families of infrastructure headers are not.

The result is for ``CallContext(request_headers=...)``, where resolvers can read it.  Nothing goes on the wire by that:
a token sent on to a server that it was not issued for is a leak, so each server says in ``forward=`` what it is to get.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast, final

from attrs import field, frozen

from mcpcore import ConfigurationError
from mcpcore.codecs.header_fields import is_token

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELIGIBLE = "authorization"
_ELIGIBLE_PREFIX = "x-"
_INFRASTRUCTURE = frozenset(
    {"x-amzn-trace-id", "x-cache", "x-cloud-trace-context", "x-real-ip", "x-request-id", "x-served-by"}
)
_INFRASTRUCTURE_PREFIXES = (
    "x-amz-",
    "x-azure-",
    "x-copilotcloud-",
    "x-fastly-",
    "x-forwarded-",
    "x-middleware-",
    "x-vercel-",
)


def _entries(names: Iterable[str]) -> tuple[str, ...]:
    given: Any = names
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError("a forward policy: expected several header names")
    return tuple(filter(None, map(_entry, cast("Iterable[object]", given))))


def _entry(name: object) -> str:
    entry = name.strip().lower() if isinstance(name, str) else "*"
    # A star would be taken for itself and match nothing, and what was to be denied would pass.
    if entry and (not is_token(entry) or "*" in entry):
        raise ConfigurationError("a forward policy: an entry is not the name of a header, or the beginning of one")
    return entry


@final
@frozen(kw_only=True)
class ForwardPolicy:
    """What :func:`forwardable_headers` takes; names are compared without case, and blank entries are ignored.

    :param deny: names that are never taken, whatever else is said.
    :param deny_prefixes: what names begin with that are never taken, for instance ``"x-acme-internal-"``.
    :param allow: the names that are taken, and no others.  They replace ``authorization`` and ``x-*``, and the built-in
        list of infrastructure headers with them: a name on that list which is allowed is taken.  Without any entry
        nothing is replaced.
    :raises mcpcore.ConfigurationError: if an entry could match no header.
    """

    deny: tuple[str, ...] = field(default=(), converter=_entries)
    deny_prefixes: tuple[str, ...] = field(default=(), converter=_entries)
    allow: tuple[str, ...] = field(default=(), converter=_entries)

    def permits(self, name: str) -> bool:
        """Whether the header ``name`` is taken."""
        name = name.lower()
        if name in self.deny or name.startswith(self.deny_prefixes):
            return False
        if self.allow:
            return name in self.allow
        is_eligible = name == _ELIGIBLE or name.startswith(_ELIGIBLE_PREFIX)
        return is_eligible and name not in _INFRASTRUCTURE and not name.startswith(_INFRASTRUCTURE_PREFIXES)


_DEFAULT_POLICY = ForwardPolicy()


def forwardable_headers(
    headers: Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]],
    policy: ForwardPolicy | None = None,
) -> dict[str, str]:
    """Pick from an inbound request's headers what an agent run may see, for ``CallContext(request_headers=...)``.

    A header that came more than once, with different values, is left out: its sender and whoever reads it may each mean
    another one, and a proxy that adds a trusted header may only have added it to a forged one.  Give pairs where the
    framework has them; a mapping may have made its choice already.

    :param headers: a mapping, or pairs of name and value; bytes, as in an ASGI scope, or strings.
    :param policy: what to take; None takes ``authorization`` and ``x-*`` but infrastructure headers.
    :returns: the values by lower-cased name.
    :raises mcpcore.ConfigurationError: if the headers are something else.
    """
    permits = (policy or _DEFAULT_POLICY).permits
    values: dict[str, set[str]] = {}
    for name, value in _pairs(headers):
        if is_token(name) and permits(name):
            values.setdefault(name.lower(), set()).add(value)
    return {name: given.pop() for name, given in values.items() if len(given) == 1}


def _pairs(headers: object) -> Iterator[tuple[str, str]]:
    items = cast("Mapping[object, object]", headers).items() if isinstance(headers, Mapping) else headers
    if not isinstance(items, Iterable):
        raise _not_headers()
    for item in cast("Iterable[object]", items):
        match cast("Any", item):
            case [name, value]:
                yield _text(name), _text(value)
            case _:
                raise _not_headers()


def _not_headers() -> ConfigurationError:
    return ConfigurationError("headers are a mapping, or pairs of a name and a value")


def _text(part: object) -> str:
    if isinstance(part, bytes):
        return part.decode("latin-1")
    if not isinstance(part, str):
        raise ConfigurationError("the names and values of headers are strings or bytes")
    return part
