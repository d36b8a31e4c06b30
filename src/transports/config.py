"""What there is to say about one server, in one value.

A :class:`ServerConfig` holds every option of :func:`transports.connect` that belongs to a server, and what an agent run
needs to know besides.  ``connect`` makes one of its own arguments, so there is one list of options, one set of defaults
and one way from them to the core.

A configuration is immutable: what it is made from is copied, so nothing that happens to the caller's mappings later
changes what is sent.  It is checked where it is written, by making the pure client that it describes, which sends
nothing; so it can never be refused later for something that could have been known here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast, final

from attrs import field, frozen

import mcpcore
from mcpcore import ConfigurationError
from mcpcore.context import Immutable
from mcpcore.redaction import redact_names, redact_url

from .mcp_json import read_entries

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from mcpcore import AuthProvider, Resolver

    from .mcp_json import Entry

    TransportName = Literal["http", "sse", "auto"]
    RedirectPolicy = Literal["never", "same-origin"]


_FOR_A_RUN = frozenset({"name", "required", "requires_user", "extra"})


def _copy_of_headers(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    given: Any = {} if headers is None else headers
    # What is no mapping is for the core to refuse.
    return MappingProxyType(dict(cast("Mapping[str, str]", given))) if isinstance(given, Mapping) else given


def _copy_of_resolvers(resolvers: Resolver | Sequence[Resolver] | None) -> Resolver | tuple[Resolver, ...] | None:
    return resolvers if resolvers is None or callable(resolvers) else tuple(resolvers)


def _copy_of_names(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ConfigurationError("forward: expected several names, not one string")
    return tuple(names)


def _copy_of_extra(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", _read_only(extra))
    except RecursionError:
        raise ConfigurationError("extra is nested too deep") from None


def _read_only(value: Any) -> Any:
    """A copy of a JSON value in which nothing can be changed."""
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value).items()
        return MappingProxyType({name: _read_only(member) for name, member in members})
    if isinstance(value, list | tuple):
        return tuple(_read_only(item) for item in cast("Sequence[object]", value))
    return value


def _check_name(_config: object, _attribute: object, name: Any) -> None:
    if name is not None and not (isinstance(name, str) and name.strip()):
        raise ConfigurationError("a server's name is a string that is not blank, or None")


def _check_timeout(_config: object, _attribute: object, timeout: Any) -> None:
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and timeout >= 0):
        raise ConfigurationError("timeout is a number of seconds that is not negative, or None for no bound")


@final
@frozen
class ServerConfig(Immutable):
    """One MCP server, and how to speak to it; for :func:`transports.connect` and :func:`transports.open_run`.

    Immutable: ``attrs.evolve(config, timeout=5.0)`` makes another one.

    :param url: the server's URL, http or https, without userinfo.
    :param name: what to call the server in a run, and what to tell its tools from another server's by; None makes one
        up from the URL.
    :param type: which transports to try: ``"http"`` (Streamable HTTP), ``"sse"`` (HTTP+SSE of 2024-11-05), or
        ``"auto"`` (the one, then the other).
    :param headers: static headers, sent with every request.
    :param auth_token: a static bearer token, short for an ``Authorization`` header.
    :param auth: authorizes each request: a :class:`mcpcore.OAuth`, a :class:`mcpcore.BearerAuth`, or a provider of your
        own.
    :param get_headers: a resolver, or several, plain or async, asked for headers for each single request; see
        :class:`mcpcore.RequestContext`.
    :param forward: which of a call's ``request_headers`` are sent on, by name.  Every other header is only visible to
        resolvers.
    :param protocol_version: the one revision to speak; None finds out.
    :param redirects: ``"same-origin"`` follows 307 and 308 within the endpoint's origin; ``"never"`` none.
    :param allow_insecure_http: whether headers may go over plain http to another machine.
    :param share_public: whether all identities share the lists that the server calls public.
    :param default_ttl: seconds that a list, or what was read of a resource, is kept where the protocol's revision gives
        servers no way to say so; 0 for not at all.
    :param timeout: seconds for a whole call: resolvers, handshake, retries, stream; None for no bound.
    :param requires_user: whether a run without a user leaves this server out.
    :param required: whether a run fails if this server cannot be used; otherwise it does without.
    :param extra: what else a configuration file said about the server; kept, and not interpreted.
    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """

    url: str = field(repr=redact_url)
    name: str | None = field(default=None, kw_only=True, validator=_check_name)
    type: TransportName = field(default="http", kw_only=True)
    headers: Mapping[str, str] = field(
        default=None, kw_only=True, converter=_copy_of_headers, repr=redact_names, hash=False
    )
    auth_token: str | None = field(default=None, kw_only=True, repr=False)
    auth: AuthProvider | None = field(default=None, kw_only=True, repr=False, hash=False)
    get_headers: Resolver | tuple[Resolver, ...] | None = field(
        default=None, kw_only=True, converter=_copy_of_resolvers, repr=False, hash=False
    )
    forward: tuple[str, ...] = field(default=(), kw_only=True, converter=_copy_of_names)
    protocol_version: str | None = field(default=None, kw_only=True)
    redirects: RedirectPolicy = field(default="never", kw_only=True)
    allow_insecure_http: bool = field(default=False, kw_only=True)
    share_public: bool = field(default=False, kw_only=True)
    default_ttl: float = field(default=0.0, kw_only=True)
    timeout: float | None = field(default=30.0, kw_only=True, validator=_check_timeout)
    requires_user: bool = field(default=False, kw_only=True)
    required: bool = field(default=False, kw_only=True)
    extra: Mapping[str, Any] = field(
        factory=dict[str, Any], kw_only=True, converter=_copy_of_extra, repr=redact_names, hash=False
    )

    def __attrs_post_init__(self) -> None:
        core_client(self)

    @classmethod
    def from_mcp_json(
        cls, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
    ) -> tuple[ServerConfig, ...]:
        """The servers of a file with ``mcpServers``, as MCP clients keep it, in the file's order.

        Of each server ``url``, ``type`` and ``headers`` are read, with ``${NAME}`` and ``${NAME:-default}`` replaced
        from the environment.  Without a type it is ``"auto"``.  What else the file says about it is kept in ``extra``,
        with a warning.  A server that is a program to start is left out with a warning, a disabled one without.

        :param environ: the environment variables that the file may refer to; those of this process if None.
        :raises mcpcore.ConfigurationError: if the file cannot be read or understood, refers to a variable that is not
            set, or describes a server that could never be used.
        """
        return tuple(_from_entry(entry) for entry in read_entries(path, environ))


def _from_entry(entry: Entry) -> ServerConfig:
    try:
        return ServerConfig(**entry.options)
    except ConfigurationError as error:
        reason = error.message
    # Without the URL, and out of the handler: it may be what a variable holds that was meant for something else.
    raise ConfigurationError(f"{entry.place}: {reason}")


def core_client(config: ServerConfig, **own: Any) -> mcpcore.Client:
    """The pure client of a server.

    :param own: the options of :class:`mcpcore.Client` that belong to the one who connects, and not to the server.
    :raises mcpcore.ConfigurationError: if the configuration can never work.
    """
    return mcpcore.Client(
        config.url,
        type=config.type,
        headers=config.headers,
        auth_token=config.auth_token,
        auth=config.auth,
        get_headers=config.get_headers,
        forward=config.forward,
        protocol_version=config.protocol_version,
        redirects=config.redirects,
        allow_insecure_http=config.allow_insecure_http,
        share_public=config.share_public,
        default_ttl=config.default_ttl,
        wall_clock=time.time,
        **own,
    )


def server_config(server: str | ServerConfig, options: Mapping[str, Any]) -> ServerConfig:
    """The configuration that :func:`transports.connect` was given, as one value or as options beside a URL.

    :raises mcpcore.ConfigurationError: if it is given as both, or can never work.
    :raises TypeError: if an option is a run's, or nobody's.
    """
    if not isinstance(server, ServerConfig):
        if runs := _FOR_A_RUN & options.keys():
            raise TypeError(f"{', '.join(sorted(runs))}: read by a run alone, and no option of connect()")
        return ServerConfig(server, **options)
    if options:
        raise ConfigurationError(
            f"{', '.join(options)}: given beside a ServerConfig, which says it already; "
            "attrs.evolve() makes another ServerConfig",
            server=redact_url(server.url),
        )
    return server
