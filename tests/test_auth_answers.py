"""The auth contract: what follows a 401, 403, 429 and 503, for every kind of request.  No sockets, no event loop."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.pure import Answer, Reply, error_reply, headers_of, json_reply, message_of, sse_reply
from support.scenes import (
    CHALLENGE,
    QUIET,
    SCENES,
    URL,
    PureServer,
    Recorder,
    answer_to,
    by_attempt,
    each_kind,
    each_loud_kind,
    each_quiet_kind,
    play,
    refuse_first,
)

from mcpcore import (
    CallContext,
    ForbiddenError,
    HeaderResolverError,
    HttpStatusError,
    NotSentError,
    RequestContext,
    RequestKind,
    RpcError,
    SendRequest,
    TransportError,
    UnauthorizedError,
)

# 401, any kind of request.


@each_kind
def test_a_resolver_that_set_authorization_is_asked_once_more(scene: str) -> None:
    kind = SCENES[scene].kind
    resolver, bystander = Recorder(by_attempt), Recorder({"X-A": "1"})
    server = play(scene, refuse_first(kind, CHALLENGE), get_headers=[bystander, resolver])
    first, second = server.of_kind(kind)[:2]
    assert headers_of(first)["authorization"] == "Bearer attempt-1"
    assert headers_of(second)["authorization"] == "Bearer attempt-2"
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.body, first.url, first.method) == (second.body, second.url, second.method)
    for asked in (resolver, bystander):
        once, again = asked.of_kind(kind)[:2]
        assert (once.attempt, once.challenge) == (1, None)
        assert again.attempt == 2
        assert again.challenge is not None
        assert again.challenge.scheme == "Bearer"
        assert dict(again.challenge.parameters) == {"realm": "r", "scope": "s"}
        assert len(asked.seen) == len(server.sent)
    assert all(request.attempt == 1 for request in server.sent if request not in (second,))


@each_loud_kind
def test_a_second_401_is_final(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, CHALLENGE, times=9))
    with pytest.raises(UnauthorizedError) as caught:
        play(scene, server=server, get_headers=by_attempt)
    assert [request.attempt for request in server.of_kind(kind)] == [1, 2]
    assert caught.value.status == 401
    assert [challenge.scheme for challenge in caught.value.challenges] == ["Basic", "Bearer"]
    assert (caught.value.server, bool(caught.value.request)) == (URL, True)


@each_quiet_kind
def test_a_second_401_to_what_happens_beside_a_call_is_logged(scene: str, caplog: pytest.LogCaptureFixture) -> None:
    kind = SCENES[scene].kind
    server = play(scene, refuse_first(kind, CHALLENGE, times=9), get_headers=by_attempt)
    assert [request.attempt for request in server.of_kind(kind)] == [1, 2]
    assert "401" in caplog.text


@each_kind
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auth_token": "t"},
        {"headers": {"Authorization": "a"}},
        {"forward": ["authorization"]},
        {"auth_token": "t", "get_headers": Recorder({"X-A": "1"})},
        {"get_headers": Recorder({"Proxied-Authorization": "1"})},
        {"get_headers": Recorder(None)},
    ],
    ids=repr,
)
def test_where_no_resolver_set_authorization_a_401_is_final(scene: str, options: dict[str, Any]) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, CHALLENGE, times=9))
    context = CallContext(principal="p", request_headers={"authorization": "inbound"})
    if scene in QUIET:
        play(scene, server=server, context=context, **options)
    else:
        with pytest.raises(UnauthorizedError):
            play(scene, server=server, context=context, **options)
    assert [request.attempt for request in server.of_kind(kind)] == [1]


def test_a_401_to_an_authorization_that_a_resolver_laid_over_a_static_one_is_the_resolvers() -> None:
    server = play(
        "list, modern",
        refuse_first(RequestKind.REQUEST, CHALLENGE),
        headers={"authorization": "static"},
        get_headers=lambda context: {"AUTHORIZATION": "resolved"} if context.attempt == 1 else None,
    )
    assert [headers_of(request)["authorization"] for request in server.sent] == ["resolved", "static"]


def test_the_challenges_of_the_last_answer_count() -> None:
    answers = iter([Reply(401, {"www-authenticate": "First"}), Reply(401, [("WWW-Authenticate", "Second")])])
    seen = Recorder(by_attempt)
    with pytest.raises(UnauthorizedError) as caught:
        play("list, modern", lambda _: next(answers), get_headers=seen)
    assert [told.challenge and told.challenge.scheme for told in seen.seen] == [None, "First"]
    assert [challenge.scheme for challenge in caught.value.challenges] == ["Second"]


@pytest.mark.parametrize("value", ["", "=", "Bearer realm=", '"'], ids=repr)
def test_a_401_without_a_readable_challenge_is_retried_too(value: str) -> None:
    seen = Recorder(by_attempt)
    play("list, modern", refuse_first(RequestKind.REQUEST, Reply(401, {"www-authenticate": value})), get_headers=seen)
    assert [told.attempt for told in seen.seen] == [1, 2]


@pytest.mark.parametrize(
    "refusal",
    [
        json_reply({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "m"}}, 401),
        Reply(401, {"content-type": "application/json"}, [b"{", TransportError("cut off")]),
        Reply(401, {"content-type": "text/event-stream"}, [b"data: {}\n\n"]),
        Reply(401, {"content-type": "application/json"}, [b"x" * 100_000]),
        Reply(401, {"content-type": "text/html"}, [b"<html>" * 20_000]),
    ],
    ids=["json-rpc", "cut off", "event stream", "too long", "html"],
)
def test_the_body_of_a_401_changes_nothing(refusal: Reply) -> None:
    server = play("list, modern", refuse_first(RequestKind.REQUEST, refusal), get_headers=by_attempt)
    assert [request.attempt for request in server.sent] == [1, 2]
    with pytest.raises(UnauthorizedError):
        play("list, modern", lambda _: refusal, get_headers=by_attempt)


def test_a_resolver_that_raises_at_its_second_attempt_ends_the_call() -> None:
    def once(context: RequestContext) -> dict[str, str]:
        if context.attempt == 2:
            raise ValueError("no better token")
        return {"Authorization": "stale"}

    server = PureServer("modern", refuse_first(RequestKind.REQUEST, CHALLENGE))
    with pytest.raises(HeaderResolverError):
        play("list, modern", server=server, get_headers=once)
    assert len(server.sent) == 1


def test_each_request_of_a_call_has_a_second_attempt_of_its_own() -> None:
    refused: set[RequestKind] = set()

    def instead(request: SendRequest) -> Answer | None:
        if request.kind in refused:
            return None
        refused.add(request.kind)
        return CHALLENGE

    server = play("list, handshake", instead, get_headers=by_attempt)
    assert [(request.kind.value, request.attempt) for request in server.sent] == [
        (kind, attempt) for kind in ("initialize", "notification", "request") for attempt in (1, 2)
    ]


def test_an_unsent_request_is_resolved_and_sent_once_more_at_any_attempt() -> None:
    answers = iter([CHALLENGE, NotSentError("dead"), None])
    seen = Recorder(by_attempt)
    play("list, modern", lambda _: next(answers), get_headers=seen)
    assert [told.attempt for told in seen.seen] == [1, 2, 2]


@each_loud_kind
def test_a_request_that_cannot_be_sent_twice_fails(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, NotSentError("dead"), times=9))
    resolver = Recorder({"X-A": "1"})
    with pytest.raises(NotSentError):
        play(scene, server=server, get_headers=resolver)
    assert len(server.of_kind(kind)) == len(resolver.of_kind(kind)) == 2


@each_loud_kind
def test_a_request_that_may_have_been_sent_is_not_repeated(scene: str) -> None:
    kind = SCENES[scene].kind
    server = PureServer(SCENES[scene].era, refuse_first(kind, TransportError("broken"), times=9))
    with pytest.raises(TransportError, match="broken"):
        play(scene, server=server, get_headers=by_attempt)
    assert len(server.of_kind(kind)) == 1


# 403, 429, 503.


@each_loud_kind
def test_403_is_forbidden_and_not_retried(scene: str) -> None:
    kind = SCENES[scene].kind
    forbidden = Reply(403, {"www-authenticate": 'Bearer error="insufficient_scope"'})
    server = PureServer(SCENES[scene].era, refuse_first(kind, forbidden, times=9))
    with pytest.raises(ForbiddenError) as caught:
        play(scene, server=server, get_headers=by_attempt)
    assert len(server.of_kind(kind)) == 1
    assert caught.value.status == 403
    assert caught.value.challenges[0].parameters["error"] == "insufficient_scope"
    assert (caught.value.server, bool(caught.value.request)) == (URL, True)


@each_loud_kind
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("field", "seconds"), [("7", 7.0), (None, None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)])
def test_429_and_503_are_typed_and_not_retried(
    scene: str, status: int, field: str | None, seconds: float | None
) -> None:
    kind = SCENES[scene].kind
    busy = Reply(status, {"retry-after": field} if field else {})
    server = PureServer(SCENES[scene].era, refuse_first(kind, busy, times=9))
    with pytest.raises(HttpStatusError) as caught:
        play(scene, server=server, get_headers=by_attempt)
    assert type(caught.value) is HttpStatusError
    assert (caught.value.status, caught.value.retry_after) == (status, seconds)
    assert len(server.of_kind(kind)) == 1


@pytest.mark.parametrize("status", [403, 429, 503])
def test_a_json_rpc_body_does_not_hide_what_the_status_says(status: int) -> None:
    with pytest.raises(HttpStatusError) as caught:
        play("list, modern", lambda request: error_reply(request, -32603, status, **{"retry-after": "3"}))
    assert caught.value.status == status


@each_quiet_kind
@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_refusal_of_what_happens_beside_a_call_is_logged(
    scene: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    kind = SCENES[scene].kind
    server = play(scene, refuse_first(kind, Reply(status), times=9), get_headers=by_attempt)
    assert len(server.of_kind(kind)) == 1
    assert str(status) in caplog.text


@pytest.mark.parametrize("status", [204, 404, 405])
def test_a_server_that_keeps_its_sessions_is_no_news(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    play("terminate", refuse_first(RequestKind.TERMINATE, Reply(status)))
    assert caplog.text == ""


# What else a server may say.


def test_a_json_rpc_error_is_the_calls() -> None:
    with pytest.raises(RpcError) as caught:
        play("call, modern", lambda request: error_reply(request, -32602, data={"k": 1}))
    assert (caught.value.code, caught.value.data) == (-32602, {"k": 1})
    assert (caught.value.server, caught.value.request) == (URL, "tools/call 'search'")


def asking(method: str) -> Any:
    """A server that asks something of its own before it answers a tool call."""
    question = {"jsonrpc": "2.0", "id": 7, "method": method}
    return lambda request: sse_reply(question, answer_to(request)) if request.rpc_method == "tools/call" else None


def test_a_request_of_the_servers_that_we_do_not_offer_is_answered_so() -> None:
    resolver = Recorder(by_attempt)
    server = play("call, handshake", asking("sampling/createMessage"), get_headers=resolver)
    (reply,) = server.of_kind(RequestKind.RESPONSE)
    message = message_of(reply)
    assert (message["id"], message["error"]["code"]) == (7, -32601)
    assert headers_of(reply)["authorization"] == "Bearer attempt-1"
    (told,) = resolver.of_kind(RequestKind.RESPONSE)
    assert (told.principal, told.request_id, told.body) == ("acme/alice", 7, reply.body)


def test_a_modern_server_cannot_make_a_client_send_anything() -> None:
    server = play("call, modern", asking("ping"), get_headers=by_attempt)
    assert [request.kind for request in server.sent] == [RequestKind.REQUEST]


@each_kind
def test_only_a_request_that_listens_may_keep_a_connection(scene: str) -> None:
    for request in play(scene).sent:
        assert request.is_stream is (request.kind is RequestKind.LISTEN)
