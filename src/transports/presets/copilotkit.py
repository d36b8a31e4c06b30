"""CopilotKit: the MCP server that its platform attaches to a run.

A run's ``forwarded_props`` may hold a bag at ``["auth"]["copilotkitIntelligence"]``: ``userId``, ``apiKey`` and
``mcpUrl`` say whom the run is for, what the project's key is, and where the server is.  :func:`intelligence_server`
makes a :class:`~transports.ServerConfig` of it, to be opened with the run's other servers and forgotten with the run.

Properties come with the run, and not from whoever wrote this program, so they are not trusted with a choice: the key
goes to an origin that the program names, or nowhere.  What is wrong in them attaches nothing, and fails no run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard, cast
from urllib.parse import urlsplit

from mcpcore import ConfigurationError
from mcpcore.rules.endpoint import Endpoint

from ..config import ServerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    Origin = tuple[str, str, int]

_log = logging.getLogger("transports")

INTELLIGENCE_USER_ID_HEADER = "x-cpki-user-id"
"""The header that tells the platform's server whom a request is for."""

_NAME = "copilotkit-intelligence"
_AUTH, _BAG = "auth", "copilotkitIntelligence"
_ORIGIN = re.compile(r"[A-Za-z]+://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?/?")


def intelligence_server(
    forwarded_props: Mapping[str, Any] | None,
    *,
    allowed_origins: Iterable[str],
    configured: Iterable[ServerConfig] = (),
) -> ServerConfig | None:
    """The platform's server for one run, if the run brings one.

    Its requests carry the key as a bearer token and the user's id as :data:`INTELLIGENCE_USER_ID_HEADER`.  The result
    is a copy: what happens to the properties afterwards changes nothing.

    :param forwarded_props: the run's properties.
    :param allowed_origins: where the key may go, for instance ``["https://api.example.com"]``: scheme, host and port
        must be the same, and nothing is a wildcard.
    :param configured: the run's other servers; one of the same URL is the program's own choice and wins.
    :returns: the server; or None if there is no bag, an entry of it is missing or empty, its URL is elsewhere, or what
        it holds cannot be sent, which is logged.
    :raises mcpcore.ConfigurationError: if one of ``allowed_origins`` is not an origin.
    """
    origins = _origins(allowed_origins)
    bag = _object(_object(forwarded_props).get(_AUTH)).get(_BAG)
    user_id, api_key, url = (_object(bag).get(key) for key in ("userId", "apiKey", "mcpUrl"))
    if not (_is_text(user_id) and _is_text(api_key) and _is_text(url)):
        return None
    try:
        server = ServerConfig(url, name=_NAME, headers={INTELLIGENCE_USER_ID_HEADER: user_id}, auth_token=api_key)
    except ConfigurationError as error:
        _log.warning("%s: not attached: %s", _BAG, error.message)
        return None
    if Endpoint.parse(url).origin not in origins:
        _log.warning("%s: not attached: the origin of its mcpUrl is none of the allowed ones", _BAG)
        return None
    if _identity(url) in {_identity(other.url) for other in configured}:
        return None
    return server


def redact_auth(forwarded_props: Mapping[str, Any]) -> dict[str, Any]:
    """The properties without their credentials, to be logged or kept.

    :returns: a copy without the ``auth`` namespace; all other values are the same objects.
    """
    return {name: value for name, value in forwarded_props.items() if name != _AUTH}


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value)


def _origins(allowed: Iterable[str]) -> frozenset[Origin]:
    if isinstance(allowed, str):
        raise ConfigurationError("allowed_origins: expected several origins, not one string")
    return frozenset(map(_allowed_origin, allowed))


def _allowed_origin(text: str) -> Origin:
    endpoint = Endpoint.parse(text)
    # Of a host that is not written in ASCII there is more than one reading.
    if _ORIGIN.fullmatch(text) is None:
        raise ConfigurationError(
            "allowed_origins: an origin is a scheme, a host in ASCII and maybe a port, and nothing else",
            server=endpoint.name,
        )
    return endpoint.origin


def _identity(url: str) -> tuple[object, ...]:
    """What two spellings of one URL have in common; rather two URLs too many are one here than one is two."""
    (scheme, host, port), parts = Endpoint.parse(url).origin, urlsplit(url)
    return scheme, host.rstrip("."), port, parts.path.rstrip("/"), parts.query
