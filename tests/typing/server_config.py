"""Configurations as a user's code sees their types: mypy and pyright check this file, and one test runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, assert_type

import attrs

import transports
from mcpcore import CallContext, ConfigurationError, RequestContext, Tool
from transports import ForwardPolicy, ServerConfig
from transports.presets.copilotkit import INTELLIGENCE_USER_ID_HEADER, intelligence_server, redact_auth


def user_header(ctx: RequestContext) -> Mapping[str, str]:
    """One resolver; several are given as any sequence."""
    return {"X-User": ctx.request_headers.get("x-user", "nobody")}


def configure() -> list[ServerConfig]:
    """Every option; and all but the URL by name."""
    config = ServerConfig(
        "https://mcp.example/mcp",
        name="search",
        type="http",
        headers={"X-App": "demo"},
        auth_token="cpk-1",
        get_headers=[user_header],
        forward=["x-tenant"],
        protocol_version=None,
        redirects="same-origin",
        allow_insecure_http=False,
        share_public=True,
        default_ttl=60.0,
        timeout=None,
        requires_user=True,
        required=True,
        extra={"note": "mine"},
    )
    assert_type(config.type, Literal["http", "sse", "auto"])
    assert_type(config.headers, Mapping[str, str])
    assert_type(config.forward, tuple[str, ...])
    assert_type(config.extra, Mapping[str, Any])
    return [config, attrs.evolve(config, timeout=5.0), ServerConfig("https://mcp.example/mcp", get_headers=user_header)]


def read(path: Path) -> tuple[ServerConfig, ...]:
    """A file, by its path or its name."""
    servers = ServerConfig.from_mcp_json(path, environ={"TOKEN": "t"})
    assert_type(servers, tuple[ServerConfig, ...])
    return servers + ServerConfig.from_mcp_json(str(path), environ={"TOKEN": "t"})


def snapshot(scope_headers: list[tuple[bytes, bytes]], headers: Mapping[str, str]) -> list[CallContext]:
    """Headers as an ASGI scope has them, and as a mapping."""
    policy = ForwardPolicy(deny=["x-debug"], deny_prefixes=("x-internal-",), allow={"x-user", "x-debug"})
    assert_type(policy.allow, tuple[str, ...])
    picked = transports.forwardable_headers(scope_headers, policy)
    assert_type(picked, dict[str, str])
    return [CallContext(request_headers=picked), CallContext(request_headers=transports.forwardable_headers(headers))]


def attach(
    forwarded_props: dict[str, Any], configured: list[ServerConfig]
) -> tuple[list[ServerConfig], dict[str, Any]]:
    """The platform's server beside one's own, and what may be kept of the properties."""
    server = intelligence_server(forwarded_props, allowed_origins=["https://api.example"], configured=configured)
    assert_type(server, ServerConfig | None)
    if server is not None:
        assert_type(server.headers[INTELLIGENCE_USER_ID_HEADER], str)
        configured = [*configured, server]
    return configured, redact_auth(forwarded_props)


async def list_tools(config: ServerConfig, engine: transports.Engine, context: CallContext) -> list[Tool]:
    """Connect by a configuration, with what is not a server's beside it."""
    async with transports.connect(config, engine=engine, client_info={"name": "typing", "version": "1"}) as client:
        return await client.list_tools(context=context)


def twice(config: ServerConfig) -> str:
    """What a configuration says already is no argument of connect: type checkers know, and so does the program."""
    try:
        # That the next line is a type error is what is to be shown: the comments on it are errors if it is none.
        transports.connect(config, timeout=5.0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    except ConfigurationError as error:
        return error.message
    return ""
