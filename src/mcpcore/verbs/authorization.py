"""Logging in before anybody is refused, and logging out: by a client's OAuth provider, for one identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcpcore.context import RequestContext, RequestKind
from mcpcore.errors import LocalProtocolError, McpError
from mcpcore.machines.requests import forget_answers
from mcpcore.oauth.provider import LoginProvider
from mcpcore.verbs.rpc import open_

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.oauth.provider import AuthEnvironment, Login
    from mcpcore.state.call import Call


def log_in(call: Call, scopes: tuple[str, ...], *, anew: bool) -> Flow[Login]:
    """Get an identity a token, unless it has one."""
    provider, environment = _provider(call)
    try:
        # The server knows best which scopes it wants, and where it says who may grant them.
        log = provider.log_in(_request(call), environment, lambda: open_(call), scopes=scopes, anew=anew)
        return (yield from log)
    except McpError as error:
        raise error.located(call.state.endpoint.name, "log in") from error.__cause__


def log_out(call: Call) -> Flow[bool]:
    """Forget an identity's tokens, and what was fetched by them; whether the tokens are forgotten everywhere."""
    provider, environment = _provider(call)
    is_forgotten = yield from provider.log_out(_request(call), environment)
    if call.is_settled:
        yield from forget_answers(call)
    else:
        call.state.forget_answers()  # Whose they are, only the headers of a request would tell.
    return is_forgotten


def _provider(call: Call) -> tuple[LoginProvider, AuthEnvironment]:
    auth = call.state.auth
    if auth is None or not isinstance(auth.provider, LoginProvider):
        raise LocalProtocolError("the client has no auth that anybody can log in by", server=call.state.endpoint.name)
    return auth.provider, auth.environment


def _request(call: Call) -> RequestContext:
    """What stands for a request, where it is about none."""
    context, endpoint = call.context, call.state.endpoint
    return RequestContext(
        mcp_server_url=endpoint.configured,
        url=endpoint.url,
        http_method="POST",
        kind=RequestKind.DISCOVER,
        principal=context.principal,
        request_headers=context.request_headers,
        user=context.user,
        input=context.input,
    )
