"""What a user's options come to, and what is wrong with them, before anything is sent.

Each function takes one option as it was given, and raises :class:`~mcpcore.errors.ConfigurationError` if it can never
work.
"""

from __future__ import annotations

import os
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mcpcore.errors import ConfigurationError
from mcpcore.oauth.provider import AuthEnvironment, AuthProvider, ClientAuth
from mcpcore.rules.revisions import HANDSHAKE, Era
from mcpcore.state.client_state import Caching, Transport, Verdict
from mcpcore.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcpcore.context import Resolver
    from mcpcore.extensions import Extension
    from mcpcore.limits import Limits
    from mcpcore.rules.pipeline import HeaderPipeline
    from mcpcore.rules.revisions import Revision

OptionT = TypeVar("OptionT", bound=Enum)

_SHORTEST_DIGEST_KEY = 16
# A prefix of labels, and a name (2026-07-28, "Overview", _meta).
_LABEL = "[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_EXTENSION = re.compile(rf"{_LABEL}(?:\.{_LABEL})*/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def choice(options: type[OptionT], name: str, value: str) -> OptionT:
    """The option that ``value`` names."""
    try:
        return options(value)
    except ValueError:
        raise ConfigurationError(f"{name} must be one of {', '.join(o.value for o in options)}") from None


def resolvers_of(get_headers: Resolver | Sequence[Resolver] | None) -> tuple[Resolver, ...]:
    """The resolvers, of one or several or none."""
    if get_headers is None:
        return ()
    resolvers: tuple[Any, ...] = (get_headers,) if callable(get_headers) else tuple(get_headers)
    if not all(callable(resolver) for resolver in resolvers):
        raise ConfigurationError("get_headers must be a function, or several")
    return resolvers


def checked_client_info(info: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What the client calls itself."""
    if info is None:
        return {"name": "mcpcore", "version": __version__}
    if not (isinstance(info.get("name"), str) and isinstance(info.get("version"), str)):
        raise ConfigurationError("client_info has a name and a version, both of them strings")
    return dict(info)


def by_name(extensions: Iterable[Extension]) -> Mapping[str, Extension]:
    """The extensions by their names (2026-07-28, "Versioning and Compatibility", Extension Negotiation)."""
    named = {extension.name: extension for extension in extensions}
    if not all(map(_EXTENSION.fullmatch, named)):
        raise ConfigurationError("an extension is named by a prefix and a name, as com.example/receipts is")
    return named


def auth_of(
    given: AuthProvider | None,
    pipeline: HeaderPipeline,
    limits: Limits,
    wall_clock: Callable[[], float] | None,
    entropy: Callable[[int], bytes] | None,
) -> ClientAuth | None:
    """What authorizes the client's requests, or None."""
    if given is None:
        return None
    server, provider = pipeline.endpoint.name, cast("object", given)
    if not isinstance(provider, AuthProvider):
        raise ConfigurationError("auth is a provider, such as OAuth(...) or BearerAuth(...)", server=server)
    if wall_clock is None:
        raise ConfigurationError("auth needs a wall_clock, to know when a token's time is over", server=server)
    environment = AuthEnvironment(
        endpoint=pipeline.endpoint,
        limits=limits,
        wall_clock=wall_clock,
        entropy=entropy or os.urandom,
        has_resolvers=not pipeline.is_static,
        user_agent=user_agent(),
    )
    return ClientAuth(provider, environment)


def user_agent() -> str:
    """What the client calls itself where HTTP asks for that."""
    return f"mcpcore/{__version__}"


def no_jitter() -> float:
    """Draws nothing, where no jitter is given."""
    return 1.0


def no_time() -> float:
    """Tells no time, where no clock is given."""
    return 0.0


def caching_of(
    clock: Callable[[], float] | None, default_ttl: float, share_public: bool, shared_store: bool
) -> Caching:
    """How answers are to be cached."""
    if not default_ttl >= 0:
        raise ConfigurationError("default_ttl is a number of seconds, 0 or more")
    return Caching(
        is_on=clock is not None, default_ttl=default_ttl, share_public=share_public, shared_store=shared_store
    )


def checked_digest_key(key: bytes | None) -> bytes:
    """The secret that identities are hashed with, drawn here if there is none."""
    if key is None:
        return os.urandom(32)
    if len(key) < _SHORTEST_DIGEST_KEY:
        raise ConfigurationError(f"digest_key must have at least {_SHORTEST_DIGEST_KEY} bytes")
    return key


def fixed_verdict(transport: Transport, pinned: Revision | None) -> Verdict | None:
    """The verdict that a user's configuration leaves no doubt about, or None.

    :raises ConfigurationError: if it contradicts itself.
    """
    if transport is Transport.SSE:
        if pinned is not None and pinned.era is Era.MODERN:
            raise ConfigurationError(f"HTTP+SSE cannot carry revision {pinned.name}")
        return Verdict(pinned or HANDSHAKE, http_sse=True)
    if pinned is None or (transport is Transport.AUTO and pinned.era is Era.HANDSHAKE):
        return None
    return Verdict(pinned)
