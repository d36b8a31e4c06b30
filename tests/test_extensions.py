"""The seam for extensions, seen by a third party: a result type of its own, and methods of its own."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from support.pure import Answer, PureDriver, Reply, error_reply, headers_of, message_of, result_reply
from support.schema import SPEC, check_message, validate
from support.stepping import FOUND, HANDSHAKE, MODERN, URL, HandshakeServer, world_of
from test_server_requests import FORM

from mcpcore import (
    BY_HAND,
    CallContext,
    Client,
    ConfigurationError,
    ElicitResult,
    Extension,
    Handlers,
    InputRequiredError,
    LimitExceeded,
    Limits,
    Progress,
    RemoteProtocolError,
    RequestContext,
    SendRequest,
    Unfinished,
)
from mcpcore.codecs.shapes import as_object, as_text
from mcpcore.commands import Flow

ALICE, BOB = CallContext(principal="alice"), CallContext(principal="bob")
NAME = "com.example/receipts"


def collect(call: Unfinished, receipt: dict[str, Any]) -> Flow[dict[str, Any]]:
    """Turn a receipt into what was ordered: the order is paid for, and asked after until it is there."""
    order = as_text(receipt.get("order"))
    if order is None:
        raise RemoteProtocolError(f"the receipt for {call.method} has no order")
    if bill := as_object(receipt.get("bill")):
        answers = yield from call.answer({"bill": {"method": "elicitation/create", "params": bill}})
        yield from call.request("receipts/pay", {"order": order, "answers": answers})
    call.when_given_up("receipts/cancel", {"order": order})
    done = 0
    while True:
        yield from call.wait(receipt.get("pause", 1.5))
        state = yield from call.request("receipts/get", {"order": order})
        if state.get("goods") is not None:
            break
        done += 1
        yield from call.report(Progress(done, 2))
    if receipt.get("final"):
        call.when_given_up(None)
    goods: dict[str, Any] = state["goods"]
    return goods


RECEIPTS = Extension(
    NAME,
    {"currency": "EUR"},
    results={"receipt": collect},
    names={"receipts/get": "order", "receipts/pay": "order", "receipts/cancel": "order"},
)


@define
class Shop:
    """Answers a tool call by a receipt, and has the goods when it was asked three times.

    :ivar receipt: what is on it.
    :ivar goods: what comes of the order.
    """

    receipt: dict[str, Any] = field(factory=lambda: {"order": "o-1"})
    goods: dict[str, Any] = field(factory=lambda: dict(FOUND))
    asked: int = 0

    def __call__(self, request: SendRequest) -> Answer:
        if request.rpc_method == "receipts/get":
            self.asked += 1
            return result_reply(request, {"goods": self.goods} if self.asked > 2 else {})
        if request.rpc_method in ("tools/call", "resources/read"):
            return result_reply(request, {"resultType": "receipt", **self.receipt})
        return result_reply(request, {})


def client(**options: Any) -> Client:
    return Client(URL, **{"protocol_version": MODERN, "extensions": [RECEIPTS], **options})


def methods(sent: list[SendRequest]) -> list[str | None]:
    return [request.rpc_method for request in sent]


def test_a_result_of_the_extension_s_own_type_is_finished_by_it() -> None:
    driver, seen = PureDriver(Shop()), list[Progress]()
    assert driver.run(client().call_tool("t", context=ALICE, on_progress=seen.append)).text == "found"
    assert methods(driver.sent) == ["tools/call", *["receipts/get"] * 3]
    assert driver.waited == [1.5] * 3
    assert seen == [Progress(1, 2), Progress(2, 2)]
    assert PureDriver(Shop()).run(client().call_tool("t")).text == "found"


def test_the_extension_and_its_settings_are_declared_where_the_revision_has_extensions() -> None:
    driver = PureDriver(Shop())
    driver.run(client().call_tool("t"))
    for request in driver.sent:
        message = message_of(request)
        meta = message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/clientCapabilities"] == {"extensions": {NAME: {"currency": "EUR"}}}
        if SPEC is not None:
            validate(MODERN, "RequestMetaObject", meta)
            validate(MODERN, "JSONRPCMessage", message)
    old = PureDriver(HandshakeServer())
    old.run(client(protocol_version=HANDSHAKE).call_tool("t"))
    assert message_of(old.sent[0])["params"]["capabilities"] == {}
    if SPEC is not None:
        check_message(HANDSHAKE, message_of(old.sent[0]))


def test_its_requests_are_requests_of_the_call_like_any_other() -> None:
    """Each with an id and headers of its own, in the call's context, and named by what it is about."""
    told: list[RequestContext] = []

    def resolver(context: RequestContext) -> dict[str, str]:
        told.append(context)
        return {"X-Number": str(len(told))}

    driver = PureDriver(Shop())
    driver.run(client(get_headers=resolver).call_tool("t", context=ALICE))
    headers = [headers_of(request) for request in driver.sent]
    assert [h["x-number"] for h in headers] == ["1", "2", "3", "4"]
    assert [h["mcp-name"] for h in headers] == ["t", "o-1", "o-1", "o-1"]
    assert [h["mcp-method"] for h in headers] == methods(driver.sent)
    assert {context.principal for context in told} == {"alice"}
    assert len({message_of(request)["id"] for request in driver.sent}) == 4


def test_handlers_answer_what_it_passes_on() -> None:
    shop, who = Shop({"order": "o", "bill": FORM}), list[CallContext]()

    def elicit(request: Any, context: CallContext) -> ElicitResult:
        who.append(context)
        return ElicitResult.accept({"size": "L"})

    driver = PureDriver(shop)
    driver.run(client(handlers=Handlers(elicit=elicit)).call_tool("t", context=ALICE))
    paid = message_of(driver.sent[1])["params"]
    assert (paid["order"], paid["answers"]) == (
        "o",
        {"bill": {"action": "accept", "content": {"size": "L", "gift": False}}},
    )
    assert who == [ALICE]
    with pytest.raises(InputRequiredError) as caught:
        PureDriver(Shop({"order": "o", "bill": FORM})).run(client(handlers=Handlers(elicit=BY_HAND)).call_tool("t"))
    assert caught.value.request_state is None
    with pytest.raises(RemoteProtocolError, match="requires 'elicitation/create'"):
        PureDriver(Shop({"order": "o", "bill": FORM})).run(client().call_tool("t"))


def test_a_result_may_lead_to_another_that_is_not_final_either() -> None:
    """The extension's own result may be one more receipt, or a wish for input; there is an end to that."""
    shop = Shop(goods={"resultType": "input_required", "requestState": "s"})

    def server(request: SendRequest) -> Answer:
        is_second = "requestState" in message_of(request)["params"]
        return result_reply(request, FOUND) if is_second else shop(request)

    driver = PureDriver(server)
    assert driver.run(client().call_tool("t")).text == "found"
    assert methods(driver.sent) == ["tools/call", *["receipts/get"] * 3, "tools/call"]
    endless = Shop(goods={"resultType": "receipt", "order": "o"})
    with pytest.raises(LimitExceeded, match=r"limits\.input_rounds is 2"):
        PureDriver(endless).run(client(limits=Limits(input_rounds=2)).call_tool("t"))


def test_a_result_that_the_extension_cannot_read_is_the_server_s_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="the receipt for tools/call has no order") as caught:
        PureDriver(Shop({})).run(client().call_tool("t"))
    assert caught.value.request == "tools/call 't'"


def test_without_the_extension_its_result_is_none() -> None:
    with pytest.raises(RemoteProtocolError, match="a result of type 'receipt', which this client cannot take"):
        PureDriver(Shop()).run(client(extensions=[Extension("com.example/other")]).call_tool("t"))


def test_what_it_finished_is_not_kept_for_others() -> None:
    """As no answer is that depends on more than the question."""
    goods = {"resultType": "complete", "contents": [], "ttlMs": 60_000, "cacheScope": "public"}
    driver, own = PureDriver(Shop(goods=goods)), client(clock=lambda: 0.0)
    driver.run(own.read_resource("file:///a", context=ALICE))
    assert own.statistics().cache_entries == 0


@pytest.mark.parametrize("steps", range(1, 60))
def test_whoever_gives_up_has_the_extension_s_last_request_made(steps: int) -> None:
    """From when the extension asks for it until the result is there."""
    world = world_of(Shop(), protocol_version=MODERN, extensions=[RECEIPTS])
    play = world.play(world.client.call_tool("t", context=ALICE))
    for _ in range(steps):
        play.step()
    is_over, asked = play.peek() is None, any(request.rpc_method == "receipts/get" for request in world.sent)
    rest = play.cancel()
    if rest is not None:
        rest.finish()
    assert ("receipts/cancel" in world.methods()) == (rest is not None)
    if is_over:
        assert rest is None
    elif asked:
        assert message_of(world.sent[-1])["params"]["order"] == "o-1"
        assert headers_of(world.sent[-1])["mcp-name"] == "o-1"
    assert world.leftovers() == []


def test_nothing_is_left_to_say_once_it_says_so() -> None:
    """What became of the order is known, although the next round is not over."""
    shop = Shop(
        {"order": "o", "final": True}, goods={"resultType": "input_required", "requestState": "s", "content": []}
    )
    world = world_of(shop, protocol_version=MODERN, extensions=[RECEIPTS])
    play = world.play(world.client.call_tool("t", context=ALICE))
    while shop.asked < 3:
        play.step()
    play.until(SendRequest, rpc_method="tools/call")
    assert play.cancel() is None


@pytest.mark.parametrize("answer", [Reply(500), Reply(401)])
def test_a_last_request_that_fails_is_only_logged(answer: Reply, caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    world = world_of(lambda r: answer if r.rpc_method == "receipts/cancel" else shop(r), protocol_version=MODERN)
    world.client = client()
    play = world.play(world.client.call_tool("t", context=ALICE))
    while not shop.asked:
        play.step()
    rest = play.cancel()
    assert rest is not None
    rest.finish()
    assert [record.message.partition(" could")[0] for record in caplog.records] == ["receipts/cancel"]


def test_an_error_on_the_way_ends_the_call() -> None:
    shop = Shop()
    driver = PureDriver(lambda r: error_reply(r, -32602, 400) if r.rpc_method == "receipts/get" else shop(r))
    with pytest.raises(Exception, match="-32602"):
        driver.run(client().call_tool("t"))


@pytest.mark.parametrize(
    "name",
    [
        "receipts",
        "/receipts",
        "com.example/",
        "",
        "2com/x",
        "com./x",
        "com.e-/x",
        "com.ex_ample/x",
        "com/-x",
        "com/x/y",
        "com/é",
    ],
)
def test_an_extension_is_named_with_a_prefix(name: str) -> None:
    with pytest.raises(ConfigurationError, match="a prefix and a name"):
        client(extensions=[Extension(name)])
    with pytest.raises(ConfigurationError, match="a prefix and a name"):
        Client.over_channel("server", extensions=[Extension(name)])


def test_no_settings_are_shown() -> None:
    assert repr(RECEIPTS) == f"Extension(name='{NAME}', settings={{'currency': 'EUR'}})"
