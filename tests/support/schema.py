"""What a client emits, against the official schema of the revision that it emits it in.

The schemas are found through the environment variable ``MCP_SPEC_DIR``, a folder with one ``<revision>/schema.json``
each; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mcpcore import SendRequest

SPEC = os.environ.get("MCP_SPEC_DIR")

needs_schema = pytest.mark.skipif(SPEC is None, reason="MCP_SPEC_DIR does not say where the official schemas are")

_DEFINITIONS = {
    "server/discover": "DiscoverRequest",
    "initialize": "InitializeRequest",
    "notifications/initialized": "InitializedNotification",
    "notifications/cancelled": "CancelledNotification",
    "notifications/roots/list_changed": "RootsListChangedNotification",
    "tools/list": "ListToolsRequest",
    "tools/call": "CallToolRequest",
    "resources/list": "ListResourcesRequest",
    "resources/templates/list": "ListResourceTemplatesRequest",
    "resources/read": "ReadResourceRequest",
    "resources/subscribe": "SubscribeRequest",
    "resources/unsubscribe": "UnsubscribeRequest",
    "prompts/list": "ListPromptsRequest",
    "prompts/get": "GetPromptRequest",
    "completion/complete": "CompleteRequest",
    "logging/setLevel": "SetLevelRequest",
    "ping": "PingRequest",
}
_ANSWERS = {
    "elicitation/create": "ElicitResult",
    "sampling/createMessage": "CreateMessageResult",
    "roots/list": "ListRootsResult",
}


@cache
def _schema(revision: str) -> Any:
    return json.loads((Path(SPEC or "") / revision / "schema.json").read_text())


@cache
def _validator(revision: str, definition: str) -> Any:
    schema = _schema(revision)
    place = "$defs" if "$defs" in schema else "definitions"
    return jsonschema.validators.validator_for(schema)({**schema, "$ref": f"#/{place}/{definition}"})


def defined(revision: str, definition: str) -> bool:
    """Whether the schema of ``revision`` has that type."""
    schema = _schema(revision)
    return definition in schema.get("$defs", schema.get("definitions"))


def validate(revision: str, definition: str, value: object) -> None:
    """``value`` is valid as that type of ``revision``."""
    _validator(revision, definition).validate(value)


def check_sent(revision: str, request: SendRequest) -> None:
    """The message in ``request`` is valid in ``revision``: as a message, and as what its method says it is."""
    if request.body:
        message = json.loads(request.body)
        check_message(revision, message)
        if "result" in message and request.rpc_method in _ANSWERS:
            validate(revision, _ANSWERS[request.rpc_method], message["result"])


def check_message(revision: str, message: dict[str, Any]) -> None:
    """One message that was sent is valid in ``revision``: as a message, and as what its method says it is."""
    _validator(revision, "JSONRPCMessage").validate(message)
    if "method" in message:
        _validator(revision, _DEFINITIONS[message["method"]]).validate(message)
