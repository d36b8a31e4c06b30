"""Several servers, and agent runs over them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
from attrs import define

from mcpcore import CallContext
from support.adapters import LIBRARIES, tls
from transports import Run, ServerConfig, open_run
from transports.engines.memory import MemoryEngine
from transports.testing import Answer, ReceivedRequest, Server, Tool, serve

KINDS = ["http", "auto", "sse"]
ERA_OF_KIND = {"http": "handshake", "auto": "handshake", "sse": "sse"}
ALICE = CallContext(
    principal="acme/alice",
    request_headers={"X-User": "alice", "X-Trace": "t-1", "Authorization": "Bearer s3cret-inbound"},
    user={"id": "alice"},
    input={"topic": "sprockets"},
)


@define
class Place:
    """Several servers, and the configurations and options that lead there."""

    servers: dict[str, Server]
    origins: dict[str, str]
    options: Mapping[str, Any]

    def config(self, name: str, kind: str = "http", **options: Any) -> ServerConfig:
        path = Server.sse_path if kind == "sse" else Server.path
        return ServerConfig(self.origins[name] + path, **{"name": name, "type": kind, "timeout": 20.0, **options})

    def configs(self, kind: str = "http", **options: Any) -> list[ServerConfig]:
        return [self.config(name, kind, **options) for name in self.servers]

    def run(self, *configs: ServerConfig, context: CallContext | None = ALICE, **options: Any) -> Run:
        return open_run(configs or self.configs(), context=context, **{**self.options, **options})


@asynccontextmanager
async def placed(carrier: str = "memory", **servers: Server) -> AsyncGenerator[Place, None]:
    """Reach ``servers`` by one carrier, which all of them share unless it is an engine for each (``engine``)."""
    async with AsyncExitStack() as stack:
        if carrier == "memory":
            background = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(background.cancel_scope.cancel)
            origins = {name: f"https://{name}.example" for name in servers}
            engine = MemoryEngine({origins[name]: servers[name] for name in servers}, background=background)
            yield Place(servers, origins, {"engine": engine})
            return
        options = {}
        if carrier != "engine":
            options["http_client"] = await stack.enter_async_context(LIBRARIES[carrier].AsyncClient(verify=tls()))
        origins = {name: (await stack.enter_async_context(serve(server))).origin for name, server in servers.items()}
        yield Place(servers, origins, options)


def tools_named(*names: str, says: str = "") -> list[Tool]:
    """Tools that say which server they are on, and what they are called there."""
    return [Tool(partial(_say, f"{says}:{name}"), name, "Say where it is.") for name in names]


def _say(text: str, arguments: dict[str, Any], request: ReceivedRequest) -> str:
    return text


def names(run: Run) -> list[str]:
    return [tool.name for tool in run.tools]


async def hang(request: ReceivedRequest, forward: Any) -> Answer:
    await anyio.sleep_forever()
    raise AssertionError
