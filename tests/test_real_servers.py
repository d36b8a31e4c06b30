"""The main job against servers that nobody here wrote: the official SDK's in both eras and with HTTP+SSE, and fastmcp.

Each runs under uvicorn in a process of its own, behind a gate that notes what came and refuses outdated tokens.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import cycle
from typing import Any

import anyio
import pytest
from attrs import define, frozen
from support.adapters import LIBRARIES, tls
from support.processes import Gate, Wallet, starting

import transports
from mcpcore import CallContext, CallToolResult, DeadlineExceeded, HeaderResolverError, RequestContext, RpcError

pytestmark = pytest.mark.anyio


@frozen
class Setting:
    """A server, and how it is to be spoken to."""

    module: str
    revision: str | None = None
    kind: str = "http"

    @property
    def path(self) -> str:
        return "/sse" if self.kind == "sse" else "/mcp"

    @property
    def era(self) -> str:
        if self.kind == "sse":
            return "sse"
        return "modern" if self.revision is None else "handshake"


SETTINGS = {
    "sdk-modern": Setting("sdk"),
    "sdk-2025-11-25": Setting("sdk", revision="2025-11-25"),
    "sdk-2025-03-26": Setting("sdk", revision="2025-03-26"),
    "sdk-sse": Setting("sdk", kind="sse"),
    "fastmcp-modern": Setting("fast"),
    "fastmcp-2025-06-18": Setting("fast", revision="2025-06-18"),
}
by_setting = pytest.mark.parametrize("name", SETTINGS)
# What an answer comes to is read the same way on both event loops: each setting is seen on one of them.
by_setting_once = pytest.mark.parametrize(
    ("anyio_backend", "name"), list(zip(cycle(["asyncio", "trio"]), SETTINGS, strict=False))
)
WAYS = [
    *((name, "engine") for name in SETTINGS),
    *((name, "httpx") for name in ("sdk-modern", "sdk-2025-11-25", "sdk-sse")),
    *((name, "httpx2") for name in ("fastmcp-modern", "fastmcp-2025-06-18", "sdk-sse")),
]


@pytest.fixture(scope="module")
def origins() -> Iterator[dict[str, str]]:
    """The origin of each setting's server; settings share servers, which start at the same time."""
    with ExitStack() as stack:
        started = {module: stack.enter_context(starting(module)) for module in ("sdk", "fast")}
        origins = {module: origin() for module, origin in started.items()}
        yield {name: origins[setting.module] for name, setting in SETTINGS.items()}


@define
class Reached:
    """A server in one setting, a client of it, and the gate between them."""

    setting: Setting
    client: transports.Client
    gate: Gate
    wallet: Wallet
    exchanges: list[transports.ExchangeSummary]


@asynccontextmanager
async def reached(name: str, origins: dict[str, str], carrier: str = "engine") -> AsyncGenerator[Reached, None]:
    """Connect, and judge in the end what every request carried, goodbyes included."""
    setting, origin, wallet = SETTINGS[name], origins[name], Wallet()
    exchanges: list[transports.ExchangeSummary] = []
    with anyio.fail_after(30):
        async with AsyncExitStack() as stack:
            options: dict[str, Any] = {}
            if carrier != "engine":
                own = LIBRARIES[carrier].AsyncClient(verify=tls(), cookies={"own": "cookie"}, follow_redirects=True)
                options["http_client"] = await stack.enter_async_context(own)
            client = transports.connect(
                origin + setting.path,
                type=setting.kind,
                protocol_version=setting.revision,
                headers={"X-App": "demo"},
                get_headers=[wallet],
                on_exchange=exchanges.append,
                **options,
            )
            server = Reached(setting, client, Gate(origin), wallet, exchanges)
            await server.gate.refuse_older_than(1)
            await server.gate.requests()
            async with client:
                yield server
            judge(server, await server.gate.requests())


def judge(server: Reached, notes: list[dict[str, Any]]) -> None:
    """What holds of every run: whose each request was, and that nothing served two of them."""
    tokens = [note["headers"]["authorization"] for note in notes]
    assert len(tokens) == len(set(tokens))
    assert len(tokens) <= len(server.exchanges) <= len(server.wallet.resolved)
    for note in notes:
        context = server.wallet.resolved[note["headers"]["authorization"]]
        assert context.http_method == note["method"]
        assert (context.rpc_method or "") == note["headers"].get("mcp-method", context.rpc_method or "")
    owners: dict[str, set[str]] = {}
    for note in notes:
        user = note["headers"]["x-user"]
        assert note["headers"]["authorization"].startswith(f"Bearer {user}.")
        assert note["headers"]["x-app"] == "demo"
        assert "cookie" not in note["headers"]
        session = note["headers"].get("mcp-session-id") or note["target"].partition("session_id=")[2]
        owners.setdefault(session, set()).add(user)
    sessionless = owners.pop("", set())
    assert all(len(users) == 1 for users in owners.values())
    assert len(owners) == (0 if server.setting.era == "modern" else len(sessionless))
    ended = [note for note in notes if note["method"] == "DELETE" and note["status"] != 401]
    goodbyes = [note["headers"]["mcp-session-id"] for note in ended]
    assert sorted(goodbyes) == (sorted(owners) if server.setting.era == "handshake" else [])


def person(name: str) -> CallContext:
    return CallContext(principal=name)


ALICE = person("alice")


@pytest.mark.parametrize(("name", "carrier"), WAYS)
async def test_a_hundred_interleaved_calls_by_ten_users_while_their_tokens_rotate(
    name: str, carrier: str, origins: dict[str, str]
) -> None:
    users = [f"user-{number}" for number in range(10)]
    seen: list[dict[str, str]] = []
    async with reached(name, origins, carrier) as server, anyio.create_task_group() as tasks:

        async def calls(user: str) -> None:
            bound = server.client.bind(person(user))
            for _ in range(5):
                result = await bound.call_tool("echo_headers")
                assert result.structured_content is not None
                headers = result.structured_content
                assert headers["x-user"] == user
                assert headers["authorization"].startswith(f"Bearer {user}.")
                seen.append(headers)
                if len(seen) == 50:
                    server.wallet.issuer.generation = 2
                    await server.gate.refuse_older_than(2)

        for user in users:
            tasks.start_soon(calls, user)
            tasks.start_soon(calls, user)
    assert len(seen) == 100
    generations = [headers["authorization"].split(".")[1] for headers in seen]
    assert len({headers["authorization"] for headers in seen}) == 100
    assert set(generations) == {"1", "2"}
    refused = [exchange for exchange in server.exchanges if exchange.status == 401]
    assert len(refused) >= 1
    assert all(exchange.attempt == 1 for exchange in refused)
    assert len(refused) == sum(context.attempt == 2 for context in server.wallet.resolved.values())


@by_setting_once
async def test_what_tools_return(name: str, origins: dict[str, str]) -> None:
    async with reached(name, origins) as server:
        alice = server.client.bind(ALICE)
        discovery = await alice.open()
        assert discovery.server_info is not None
        assert discovery.server_info.name == server.setting.module
        assert discovery.instructions == "For tests."
        tools = {tool.name: tool for tool in await alice.list_tools()}
        assert list(tools) == ["echo_headers", "add", "fail", "count", "hang"]
        assert tools["add"].description == "Add two numbers."
        assert tools["add"].input_schema["required"] == ["a", "b"]
        added = await alice.call_tool("add", {"a": 2, "b": 3})
        assert (added.text, added.structured_content, added.is_error) == ("5", {"result": 5}, False)
        failed = await alice.call_tool("fail")
        assert failed.is_error
        assert "fail" in failed.text
        assert (await alice.call_tool("add", {"a": "two"})).is_error
        await alice.ping()


@by_setting_once
async def test_progress_and_errors(name: str, origins: dict[str, str]) -> None:
    heard: list[float] = []
    async with reached(name, origins) as server:
        alice = server.client.bind(ALICE)
        counted = await alice.call_tool(
            "count", {"to": 3}, on_progress=lambda progress: heard.append(progress.progress)
        )
        assert (counted.text, heard) == ("done", [1, 2, 3])
        assert (await alice.call_tool("no-such-tool")).is_error
        with pytest.raises(RpcError) as caught:
            await alice.request("no/such/method")
        assert caught.value.code == -32601
        with pytest.raises(RpcError):
            await alice.request("prompts/get", {"name": "no-such-prompt"})
        await alice.ping()


@by_setting
async def test_a_call_that_is_given_up_leaves_the_client_usable(name: str, origins: dict[str, str]) -> None:
    async with reached(name, origins) as server:
        alice, bob = server.client.bind(ALICE), server.client.bind(person("bob"))
        for client in (alice, bob):
            await client.open()
        with pytest.raises(DeadlineExceeded):
            await alice.call_tool("hang", timeout=0.2)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bob.call_tool, "hang")
            tasks.start_soon(alice.call_tool, "hang")
            assert (await alice.call_tool("add", {"a": 1, "b": 1})).text == "2"
            tasks.cancel_scope.cancel()
        assert (await bob.call_tool("add", {"a": 1, "b": 1})).text == "2"
        notices = [exchange for exchange in server.exchanges if exchange.rpc_method == "notifications/cancelled"]
        assert {notice.status for notice in notices} == (set() if server.setting.era == "modern" else {202})


@by_setting
async def test_a_resolver_that_refuses_keeps_its_call_from_the_server(name: str, origins: dict[str, str]) -> None:
    def refuse(context: RequestContext) -> None:
        if context.principal == "mallory":
            raise PermissionError

    setting, origin = SETTINGS[name], origins[name]
    options = {"type": setting.kind, "protocol_version": setting.revision, "get_headers": refuse}
    async with transports.connect(origin + setting.path, **options) as client:
        with pytest.raises(HeaderResolverError) as caught:
            await client.list_tools(context=person("mallory"))
        assert isinstance(caught.value.__cause__, PermissionError)
        result: CallToolResult = await client.call_tool("echo_headers", context=ALICE)
        assert not result.is_error
