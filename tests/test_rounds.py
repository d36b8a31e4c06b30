"""Results of the modern era that are not final yet: rounds of input, by handlers or by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pure import Answer, PureDriver, error_reply, headers_of, message_of, result_reply
from support.schema import SPEC, check_sent, validate
from support.stepping import FOUND, MODERN, URL, world_of
from test_server_requests import FORM, LINK, PROMPT, ROOT, SAID, WITH_TOOLS, Desk

from mcpcore import (
    BY_HAND,
    CallContext,
    Client,
    ElicitResult,
    Handlers,
    InputRequiredError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    McpError,
    Operation,
    RemoteProtocolError,
    RequestContext,
    RpcError,
    SendRequest,
)

ALICE = CallContext(principal="acme/alice")
READ = {"contents": [{"uri": "file:///a", "text": "x"}], "ttlMs": 60_000, "cacheScope": "private"}
FINAL: dict[str, dict[str, Any]] = {
    "tools/call": FOUND,
    "resources/read": {"resultType": "complete", **READ},
    "prompts/get": {"resultType": "complete", "messages": []},
}
ASKED: dict[str, Any] = {
    "size": {"method": "elicitation/create", "params": FORM},
    "pay": {"method": "elicitation/create", "params": {name: LINK[name] for name in ("mode", "message", "url")}},
    "model": {"method": "sampling/createMessage", "params": PROMPT},
    "where": {"method": "roots/list"},
}
ANSWERED = {
    "size": {"action": "accept", "content": {"size": "L", "gift": False}},
    "pay": {"action": "accept"},
    "model": SAID.to_json(),
    "where": {"roots": [ROOT.to_json()]},
}
VERBS: dict[str, Callable[..., Operation[Any]]] = {
    "tools/call": lambda client, **more: client.call_tool("t", {"a": 1}, context=ALICE, **more),
    "resources/read": lambda client, **more: client.read_resource("file:///a", context=ALICE, **more),
    "prompts/get": lambda client, **more: client.get_prompt("p", {"a": "1"}, context=ALICE, **more),
}


def wants(requests: object = None, state: object = None) -> dict[str, Any]:
    """A result that requires input."""
    given = {"inputRequests": requests, "requestState": state}
    return {"resultType": "input_required", **{name: value for name, value in given.items() if value is not None}}


@define
class Rounds:
    """A modern server that answers by these results in turn, and then by the final one."""

    results: Iterable[Mapping[str, Any]]
    sent: list[SendRequest] = field(factory=list[SendRequest])

    def __attrs_post_init__(self) -> None:
        self.results = iter(self.results)

    def __call__(self, request: SendRequest) -> Answer:
        self.sent.append(request)
        if SPEC is not None:
            check_sent(MODERN, request)
        return result_reply(request, next(iter(self.results), FINAL[request.rpc_method or ""]))

    @property
    def params(self) -> list[dict[str, Any]]:
        """The params of each request, without what each request says anyhow."""
        made: list[dict[str, Any]] = [message_of(request)["params"] for request in self.sent]
        return [{name: value for name, value in params.items() if name != "_meta"} for params in made]

    def run(self, verb: str = "tools/call", handlers: Handlers | None = None, **options: Any) -> Any:
        """Ask by a client of its own."""
        more = {name: options.pop(name) for name in ("input_responses", "request_state") if name in options}
        client = Client(URL, protocol_version=MODERN, handlers=handlers, **options)
        return PureDriver(self).run(VERBS[verb](client, **more))


@pytest.mark.parametrize("verb", VERBS)
def test_the_handlers_answer_and_the_request_is_made_once_more(verb: str) -> None:
    """A fresh id, the same question, the answers by their keys, and the state as it came."""
    state = 'é "\\u00e9" \u2028 ' + "x" * 100
    server, desk = Rounds([wants(ASKED, state)]), Desk()
    if SPEC is not None:
        validate(MODERN, "InputRequiredResult", wants(ASKED, state))
    result = server.run(verb, desk.handlers())
    assert result.raw == FINAL[verb]
    first, second = server.params
    assert second == {**first, "inputResponses": ANSWERED, "requestState": state}
    assert [type(request).__name__ for request, _ in desk.asked] == [
        "ElicitRequest",
        "ElicitUrlRequest",
        "CreateMessageRequest",
        "NoneType",
    ]
    assert {context for _, context in desk.asked} == {ALICE}
    one, other = map(message_of, server.sent)
    assert one["id"] != other["id"]
    assert one["params"]["_meta"] == other["params"]["_meta"]
    # The state is what the server made it, to the byte that JSON lets it be.
    assert json.dumps(state, ensure_ascii=False).encode() in server.sent[1].body


@pytest.mark.parametrize(
    ("required", "more"),
    [
        (wants(state="s"), {"requestState": "s"}),
        (wants(state=""), {"requestState": ""}),
        (wants({}), {"inputResponses": {}}),
        (wants({"where": ASKED["where"]}), {"inputResponses": {"where": ANSWERED["where"]}}),
    ],
)
def test_a_round_adds_only_what_was_given(required: Mapping[str, Any], more: dict[str, Any]) -> None:
    server = Rounds([required])
    server.run(handlers=Handlers(roots=[ROOT]))
    first, second = server.params
    assert second == {**first, **more}


def test_each_round_stands_for_itself() -> None:
    """What one round brought is not brought again: the server has it in the state that it gives."""
    where = {"where": ASKED["where"]}
    server = Rounds([wants(where, "one"), wants(state="two"), wants({"again": ASKED["where"]})])
    server.run(handlers=Handlers(roots=[ROOT]))
    first, *others = server.params
    assert others == [
        {**first, "inputResponses": {"where": ANSWERED["where"]}, "requestState": "one"},
        {**first, "requestState": "two"},
        {**first, "inputResponses": {"again": ANSWERED["where"]}},
    ]


def test_each_round_has_headers_of_its_own() -> None:
    numbers = itertools.count(1)

    def resolver(context: RequestContext) -> dict[str, str]:
        return {"X-Number": f"{next(numbers)} {context.rpc_name} {context.request_id}"}

    server = Rounds([wants(state="s"), wants(state="s")])
    server.run(get_headers=resolver)
    assert [headers_of(request)["x-number"] for request in server.sent] == ["1 t 1", "2 t 2", "3 t 3"]


@pytest.mark.parametrize(
    ("required", "complaint"),
    [
        (wants(), "does not say which"),
        (wants([]), "does not say which"),
        (wants({}, 1), "does not say which"),
        (wants({"k": 1}), "has no method"),
        (wants({"k": {"method": 1}}), "has no method"),
        (wants({"k": {"method": "dreams/list"}}), "requires 'dreams/list': Method not found"),
        (wants({"k": {"method": "elicitation/create", "params": LINK}}), "this mode of elicitation was not declared"),
        (wants({"k": {"method": "sampling/createMessage", "params": WITH_TOOLS}}), "with tools was not declared"),
        (wants({"k": {"method": "elicitation/create", "params": {}}}), "has no message"),
        ({"resultType": "receipt"}, "a result of type 'receipt', which this client cannot take"),
    ],
)
def test_what_cannot_be_answered_is_the_server_s_fault(required: Mapping[str, Any], complaint: str) -> None:
    server, desk = Rounds([required]), Desk()
    with pytest.raises(RemoteProtocolError, match=complaint) as caught:
        server.run(handlers=desk.handlers("elicit", "sample"))
    assert (caught.value.request, len(server.sent), desk.asked) == ("tools/call 't'", 1, [])


def test_nobody_is_asked_anything_if_one_of_the_questions_was_not_declared() -> None:
    server, desk = Rounds([wants(ASKED)]), Desk()
    with pytest.raises(RemoteProtocolError, match="roots/list"):
        server.run(handlers=desk.handlers("elicit", "elicit_url", "sample"))
    assert desk.asked == []


@pytest.mark.parametrize("method", ["tools/list", "completion/complete", "server/discover"])
def test_only_some_requests_may_require_input(method: str) -> None:
    client = Client(URL, protocol_version=MODERN, handlers=Handlers(roots=[]))
    driver = PureDriver(lambda request: result_reply(request, wants(state="s")))
    with pytest.raises(RemoteProtocolError, match="a result of type 'input_required'"):
        driver.run(client.request(method, {}))
    assert len(driver.sent) == 1


def test_there_is_an_end_to_rounds_and_to_questions() -> None:
    for rounds in (3, 4):
        server = Rounds(wants(state=str(number)) for number in range(rounds))
        if rounds == 3:
            server.run(limits=Limits(input_rounds=3))
            continue
        with pytest.raises(LimitExceeded, match=r"limits\.input_rounds is 3"):
            server.run(limits=Limits(input_rounds=3))
        assert len(server.sent) == 4
    many = wants({str(number): ASKED["where"] for number in range(3)})
    with pytest.raises(LimitExceeded, match=r"limits\.server_requests is 2"):
        Rounds([many]).run(handlers=Handlers(roots=[]), limits=Limits(server_requests=2))


@pytest.mark.parametrize("failure", [RpcError("not today", code=-1), ValueError("x")])
def test_what_a_handler_raises_ends_the_call(failure: Exception) -> None:
    """There is no way to tell the server: it waits for nothing."""
    server = Rounds([wants(ASKED, "s")])
    with pytest.raises(type(failure)) as caught:
        server.run(handlers=Desk({"elicit_url": failure}).handlers())
    assert caught.value is failure
    assert len(server.sent) == 1


def test_an_answer_of_the_wrong_kind_is_not_sent() -> None:
    server = Rounds([wants(ASKED, "s")])
    with pytest.raises(LocalProtocolError, match="'size' is not what the form asks for"):
        server.run(handlers=Desk({"elicit": ElicitResult.accept({"size": 1})}).handlers())
    assert len(server.sent) == 1


# By hand.


@pytest.mark.parametrize("verb", VERBS)
def test_by_hand(verb: str) -> None:
    server = Rounds([wants(ASKED, "s")])
    handlers = Handlers(elicit=BY_HAND, elicit_url=BY_HAND, sample=BY_HAND, roots=BY_HAND)
    with pytest.raises(InputRequiredError) as caught:
        server.run(verb, handlers)
    error = caught.value
    assert (error.input_requests, error.request_state) == (ASKED, "s")
    assert "requires input" in str(error)
    answers = {**ANSWERED, "size": ElicitResult.accept({"size": "L"}), "model": SAID}
    result = server.run(verb, handlers, input_responses=answers, request_state=error.request_state)
    assert result.raw == FINAL[verb]
    first, second = server.params
    plain = {**ANSWERED, "size": {"action": "accept", "content": {"size": "L"}}}
    assert second == {**first, "inputResponses": plain, "requestState": "s"}


def test_one_question_by_hand_leaves_all_to_the_hand() -> None:
    server, desk = Rounds([wants(ASKED)]), Desk()
    with pytest.raises(InputRequiredError) as caught:
        server.run(handlers=desk.handlers(sample=BY_HAND))
    assert (caught.value.input_requests, caught.value.request_state, desk.asked) == (ASKED, None, [])


def test_what_was_answered_by_hand_is_not_said_again_in_a_further_round() -> None:
    server = Rounds([wants(state="two")])
    server.run(input_responses={"size": ANSWERED["size"]}, request_state="one")
    first, second = server.params
    assert first == {
        "name": "t",
        "arguments": {"a": 1},
        "inputResponses": {"size": ANSWERED["size"]},
        "requestState": "one",
    }
    assert second == {"name": "t", "arguments": {"a": 1}, "requestState": "two"}


# What is kept.


def test_what_was_told_on_the_way_to_an_answer_makes_it_nobody_else_s() -> None:
    for required, requests in (([], 1), ([wants(state="s")], 3)):
        server = Rounds(required)
        client = Client(URL, protocol_version=MODERN, clock=lambda: 0.0)
        for _ in range(2):
            PureDriver(server).run(client.read_resource("file:///a", context=ALICE))
        assert len(server.sent) == requests
        assert client.statistics().cache_entries == 1


def test_an_answer_to_answers_given_by_hand_is_no_answer_to_the_bare_question() -> None:
    server = Rounds([])
    client = Client(URL, protocol_version=MODERN, clock=lambda: 0.0)
    driver = PureDriver(server)
    driver.run(client.read_resource("file:///a", context=ALICE, input_responses={}, request_state="s"))
    assert client.statistics().cache_entries == 0
    driver.run(client.read_resource("file:///a", context=ALICE))
    assert server.params == [
        {"uri": "file:///a", "inputResponses": {}, "requestState": "s"},
        {"uri": "file:///a"},
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=60))
def test_no_state_and_no_answer_gets_into_another_call(order: list[int]) -> None:
    """Four calls of two people on one client, whose rounds are made in any order."""

    def server(request: SendRequest) -> Answer:
        params = message_of(request)["params"]
        name, state = params["name"], params.get("requestState")
        count = 0 if state is None else int(state.split()[-1])
        if state is not None:
            assert state == f"state of {name} {count}"
            assert params["inputResponses"] == {
                name: {"action": "accept", "content": {"who": f"{headers_of(request)['x-user']} {name}"}}
            }
        if count == 3:
            return result_reply(request, {"content": [{"type": "text", "text": name}]})
        form = {"message": name, "requestedSchema": {"type": "object", "properties": {}}}
        asked = {name: {"method": "elicitation/create", "params": form}}
        return result_reply(request, wants(asked, f"state of {name} {count + 1}"))

    def elicit(request: Any, context: CallContext) -> ElicitResult:
        return ElicitResult.accept({"who": f"{context.principal} {request.message}"})

    world = world_of(
        server,
        protocol_version=MODERN,
        handlers=Handlers(elicit=elicit),
        get_headers=lambda context: {"X-User": context.principal},
    )
    people = ["alice", "bob", "alice", "bob"]
    plays = [
        world.play(world.client.call_tool(f"tool{number}", context=CallContext(principal=person)))
        for number, person in enumerate(people)
    ]
    for number in order:
        plays[number].step()
    world.run_all(*plays)
    assert [play.finish().text for play in plays] == ["tool0", "tool1", "tool2", "tool3"]
    assert world.leftovers() == []
    assert len({message_of(request)["id"] for request in world.sent}) == len(world.sent) == 16


def test_a_round_that_is_refused_ends_the_call() -> None:
    def server(request: SendRequest) -> Answer:
        state = message_of(request)["params"].get("requestState")
        return result_reply(request, wants(state="s")) if state is None else error_reply(request, -32602, 400)

    with pytest.raises(McpError) as caught:
        PureDriver(server).run(Client(URL, protocol_version=MODERN).call_tool("t"))
    assert isinstance(caught.value, RpcError)
    assert caught.value.code == -32602
