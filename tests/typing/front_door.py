"""The public API as a user's code sees its types: mypy and pyright check this file, and one test runs it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import assert_type

import mcpcore
import transports
from mcpcore import CallContext, CallToolResult, Limits, Progress, RequestContext, RequestKind, SendRequest, Tool

packages: tuple[str, str] = (mcpcore.__name__, transports.__name__)
log = logging.getLogger("front_door")


def user_header(ctx: RequestContext) -> dict[str, str]:
    """A plain resolver."""
    user = ctx.request_headers.get("x-cpki-user-id", "").strip()
    if not user:
        raise ValueError("missing user id")
    return {"X-Cpki-User-Id": user}


async def signature(ctx: RequestContext) -> dict[str, str] | None:
    """An async one, which looks at all that a resolver is told."""
    assert_type(ctx.kind, RequestKind)
    assert_type(ctx.challenge, mcpcore.Challenge | None)
    if ctx.kind is RequestKind.TERMINATE:
        return None
    text: list[str | None] = [ctx.mcp_server_url, ctx.url, ctx.http_method, ctx.rpc_method, ctx.rpc_name]
    text += [ctx.principal, ctx.protocol_version, str(ctx.request_id), *ctx.headers, *ctx.request_headers]
    scheme = ctx.challenge.scheme if ctx.challenge is not None else "Bearer"
    return {"X-Signature": f"{scheme}-{ctx.attempt}-{len(ctx.body)}-{len(text)}"}


def observer(exchange: transports.ExchangeSummary) -> None:
    """What an observer is told."""
    assert_type(exchange.error, mcpcore.McpError | None)
    log.info("%s %s %s", exchange.http_method, exchange.url, exchange.status)


class Recording:
    """An engine of the user's own."""

    def __init__(self, inner: transports.Engine) -> None:
        self.inner = inner
        self.sent: list[SendRequest] = []

    @property
    def carries_identity(self) -> bool:
        return self.inner.carries_identity

    async def send(self, request: SendRequest) -> transports.Response:
        self.sent.append(request)
        return await self.inner.send(request)

    async def aclose(self) -> None:
        """Nothing to close."""


class Nothing:
    """The smallest response there is."""

    status = 204
    headers: Sequence[tuple[bytes, bytes]] = ()

    async def receive(self) -> bytes:
        return b""

    async def aclose(self) -> None:
        """Nothing to close."""


response: transports.Response = Nothing()


async def use(url: str, engine: transports.Engine | None = None) -> list[str]:
    """All that a client can be asked."""
    heard: list[float] = []

    def on_progress(progress: Progress) -> None:
        heard.append(progress.progress)

    async with transports.connect(
        url,
        type="http",
        headers={"X-App": "demo"},
        auth_token="cpk-1",
        get_headers=[user_header, signature],
        forward=["x-request-id"],
        protocol_version=None,
        http_client=None,
        engine=engine,
        timeout=30.0,
        limits=Limits(connections=10),
        redirects="never",
        allow_insecure_http=False,
        client_info={"name": "front-door", "version": "1"},
        digest_key=b"sixteen bytes or more",
        on_exchange=observer,
    ) as client:
        alice = CallContext(
            principal="acme/alice", request_headers={"x-cpki-user-id": "alice"}, user={"id": 1}, input="anything"
        )
        assert_type(alice.principal, str | None)
        assert_type(await client.open(context=alice), mcpcore.Discovery)
        tools = await client.list_tools(context=alice)
        assert_type(tools, list[Tool])
        described = [f"{tool.name}: {tool.description} {tool.input_schema} {tool.raw}" for tool in tools]
        result = await client.call_tool("search", {"q": "x"}, context=alice, timeout=5.0, on_progress=on_progress)
        assert_type(result, CallToolResult)
        if result.is_error or result.structured_content is None:
            described.append(f"{result.text} {result.raw} {heard}")
        bob = client.bind(CallContext(principal="acme/bob", request_headers={"x-cpki-user-id": "bob"}))
        assert_type(bob, transports.BoundClient)
        assert_type((await bob.call_tool("search", {"q": "y"}, on_progress=print)).text, str)
        await bob.ping(timeout=None)
        described.append(str(await bob.request("tools/list", {}, timeout=5.0)))
        try:
            await bob.notify("notifications/roots/list_changed")
        except mcpcore.LocalProtocolError:
            described.append("this revision has no notifications")
        try:
            await client.list_tools()
        except mcpcore.McpError as error:
            described.append(explain(error))
    return described


def explain(error: mcpcore.McpError) -> str:
    """What each error has to say."""
    match error:
        case mcpcore.HeaderResolverError():
            return f"a resolver failed: {error.__cause__}"
        case mcpcore.UnauthorizedError() | mcpcore.ForbiddenError():
            return f"{error.status} {[challenge.parameters for challenge in error.challenges]}"
        case mcpcore.RedirectError():
            return error.location
        case mcpcore.HttpStatusError():
            return f"{error.status} {error.retry_after}"
        case mcpcore.RpcError():
            return f"{error.code} {error.data}"
        case mcpcore.LimitExceeded():
            return error.limit
        case mcpcore.DeadlineExceeded():
            timeout: TimeoutError = error
            return str(timeout)
        case _:
            return f"{error.message} {error.server} {error.request}"
