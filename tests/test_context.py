"""Contexts as values: they are copied, pickled and used as keys by frameworks that know nothing of them."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import attrs
import pytest

from mcpcore import CallContext, RequestContext, RequestKind
from mcpcore.codecs.challenges import Challenge

CALLER = CallContext(principal="acme/alice", request_headers={"X-User": "alice"}, user={"id": 1}, input=["text"])
REQUEST = RequestContext(
    mcp_server_url="https://mcp.example/mcp",
    url="https://mcp.example/mcp",
    http_method="POST",
    kind=RequestKind.REQUEST,
    challenge=Challenge("Bearer", {"realm": "acme"}),
    headers={"x-app": "demo"},
    request_headers={"x-user": "alice"},
    user={"id": 1},
    input=["text"],
)


@pytest.mark.parametrize("holds", [None, {"id": 1}, threading.Lock()], ids=["nothing", "what changes", "a lock"])
@pytest.mark.parametrize("context", [CALLER, REQUEST], ids=["call", "request"])
def test_a_context_is_its_own_copy(context: Any, holds: object) -> None:
    """So a copied run passes on the very objects that its resolvers know, whether they could be copied or not."""
    given = attrs.evolve(context, user=holds, input=holds)
    assert copy.copy(given) is given
    assert copy.deepcopy({"state": [given]})["state"][0] is given


@pytest.mark.parametrize("context", [CALLER, REQUEST], ids=["call", "request"])
def test_equal_contexts_are_one_key(context: Any) -> None:
    equal = attrs.evolve(context, request_headers={"x-user": "alice"}, user={"id": 1}, input=["text"])
    assert equal is not context
    assert {context: "here"}[equal] == "here"
    others: list[dict[str, Any]] = [{"request_headers": {}}, {"user": None}, {"input": None}, {"principal": "acme/bob"}]
    for other in others:
        assert attrs.evolve(context, **other) not in {context}


@pytest.mark.parametrize("context", [CALLER, CallContext()], ids=["all", "nothing"])
def test_a_call_context_can_be_pickled(context: CallContext) -> None:
    there: Any = pickle.loads(pickle.dumps(context))
    assert there == context
    with pytest.raises(TypeError):
        there.request_headers["x-user"] = "mallory"
