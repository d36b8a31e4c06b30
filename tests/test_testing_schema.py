"""Everything that the scripted server says is valid against the official schema of the revision that it says
it in.

The schemas are found through the environment variable ``MCP_SPEC_DIR``, a folder with one
``<revision>/schema.json`` each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from raw_mcp import initialize, modern_request, reach, request
from test_testing_http_sse import connected

from transports.testing import Handler, Progress, ReceivedRequest, Server, Tool, echo_headers

SPEC = os.environ.get("MCP_SPEC_DIR")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(SPEC is None, reason="MCP_SPEC_DIR does not say where the official schemas are"),
]

RESULTS = {
    "server/discover": "DiscoverResult",
    "initialize": "InitializeResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "ping": "EmptyResult",
}
ERRORS = {-32020: "HeaderMismatchError", -32022: "UnsupportedProtocolVersionError"}
HANDSHAKE = ["2025-11-25", "2025-06-18", "2025-03-26"]


def check(revision: str, definition: str, value: Any) -> None:
    """``value`` is a valid ``definition`` of ``revision``."""
    schema = json.loads((Path(SPEC or "") / revision / "schema.json").read_text())
    place = "$defs" if "$defs" in schema else "definitions"
    validator = jsonschema.validators.validator_for(schema)
    validator({**schema, "$ref": f"#/{place}/{definition}"}).validate(value)


def check_message(revision: str, method: str, message: Any) -> None:
    """``message`` is a valid answer to ``method``, or a valid notification on the way to one."""
    check(revision, "JSONRPCMessage", message)
    if "result" in message:
        check(revision, RESULTS[method], message["result"])
    elif "error" in message:
        general = "JSONRPCErrorResponse" if revision >= "2025-11-25" else "JSONRPCError"
        modern = revision == "2026-07-28"
        check(revision, ERRORS.get(message["error"]["code"], general) if modern else general, message)
    else:
        check(revision, "ServerNotification", message)


async def steps(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    """Report progress."""
    yield Progress(0.5, total=1, message="half")
    yield {"done": True}


def fails(arguments: dict[str, Any], request: ReceivedRequest) -> Any:
    raise ValueError("no")


SCHEMA = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
TOOLS: list[Tool | Handler] = [echo_headers, steps, fails, Tool(echo_headers, name="mirrored", input_schema=SCHEMA)]


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that bring out all that the server can say: results, progress, failures and refusals."""
    yield "tools/list", {}
    yield "tools/list", {"cursor": "2"}
    yield "tools/list", {"cursor": "no"}
    for name in ("echo_headers", "steps", "fails", "mirrored", "missing"):
        yield "tools/call", {"name": name, "_meta": {"progressToken": "t"}}
    yield "prompts/list", {}


async def test_the_modern_era() -> None:
    async with reach(Server(TOOLS, page_size=2, instructions="Be nice."), "memory") as peer:
        for method, params in (("server/discover", {}), *requests()):
            for message in (await peer.modern(method, params)).messages:
                check_message("2026-07-28", method, message)
        for changed in ({"mcp-method": "x"}, {"mcp-protocol-version": "2025-11-25"}):
            [message] = (await peer.modern("tools/list", {}, changed)).messages
            assert message["error"]["code"] == -32020
            check_message("2026-07-28", "tools/list", message)
        future = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}
        [message] = (await peer.modern("tools/list", future, {"mcp-protocol-version": "2099-01-01"})).messages
        assert message["error"]["code"] == -32022
        check_message("2026-07-28", "tools/list", message)


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_the_handshake_era(revision: str) -> None:
    async with reach(Server(TOOLS, page_size=2, instructions="Be nice."), "memory") as peer:
        opened = await peer.post(initialize(revision))
        check_message(revision, "initialize", opened.json)
        session = await peer.open_session(revision)
        for method, params in (("ping", {}), *requests()):
            for message in (await peer.post(request(method, params), session)).messages:
                check_message(revision, method, message)
        for refusal in (
            await peer.post(request("ping"), {"mcp-session-id": "gone"}),
            await peer.post(request("ping")),
        ):
            check_message(revision, "ping", refusal.json)


async def test_the_legacy_transport() -> None:
    async with reach(Server(TOOLS, revisions=["2024-11-05"]), "memory") as peer, connected(peer) as client:
        check("2024-11-05", "InitializeResult", await client.shake_hands())
        for method, params in (("ping", {}), *requests()):
            await client.post(request(method, params))
            while True:
                message = await client.next()
                check_message("2024-11-05", method, message)
                if "method" not in message:
                    break


async def test_the_checker_can_fail() -> None:
    with pytest.raises(jsonschema.ValidationError):
        check_message("2026-07-28", "tools/list", {"jsonrpc": "2.0", "id": 1, "result": {"tools": []}})


def test_the_requests_that_these_tests_make_are_valid_too() -> None:
    message, _ = modern_request("tools/call", {"name": "x"})
    check("2026-07-28", "CallToolRequest", message)
    check("2025-11-25", "InitializeRequest", initialize("2025-11-25"))
