"""Every outbound HTTP request goes out here.

:func:`send` takes one :class:`Outbound` request through the header pipeline, sends it, reads its response, and does the
four things that make a second sending necessary, each time through the pipeline again with every resolver asked anew:

* a 401, where a resolver had set ``Authorization``: it is asked once more, with ``attempt=2`` and the challenge;
* a 401 or 403, where the client's ``auth`` was to authorize it, and can do better now;
* a same-origin 307 or 308, where the client was told to follow those;
* an engine's report that the request was never sent.

What the answer means is the caller's business: :func:`refusal` is the error for an answer that is none.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from attrs import evolve

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.header_fields import encode_value
from mcpcore.codecs.jsonrpc import ErrorResponse, Notification, Request, Response
from mcpcore.codecs.newline_json import frame
from mcpcore.codecs.shapes import as_text, is_integer
from mcpcore.commands import (
    Beside,
    CallHandler,
    Deliver,
    EndResponse,
    ReceiveData,
    SendMessage,
    SendRequest,
    WaitFor,
)
from mcpcore.context import RequestKind
from mcpcore.errors import (
    McpError,
    NotSentError,
    RedirectError,
    RpcError,
    TransportError,
)
from mcpcore.machines.exchange import Exchange
from mcpcore.machines.outbound import GET_HEADERS, Outbound, context_of, resolve
from mcpcore.machines.refusals import refusal
from mcpcore.machines.server_requests import ask_handlers, refusal_of
from mcpcore.machines.shared_store import withdraw
from mcpcore.oauth.provider import HearsNonces, Refusal, ask_provider
from mcpcore.redaction import HIDDEN, redact_url
from mcpcore.rules.freshness import Change
from mcpcore.rules.revisions import HANDSHAKE
from mcpcore.signals import Signal
from mcpcore.state.client_state import Redirects
from mcpcore.types.logging import LogMessage
from mcpcore.types.progress import Progress
from mcpcore.types.wire import optional

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore.codecs.challenges import Challenge
    from mcpcore.commands import Flow
    from mcpcore.limits import Limits
    from mcpcore.machines.exchange import Head
    from mcpcore.rules.pipeline import Resolution
    from mcpcore.state.call import Call

_log = logging.getLogger("mcpcore")

_RECEIVE_DATA = ReceiveData()
DRAIN = EndResponse(drain=True)
"""Leaves a response that has answered, so that its connection can be used again."""
_CLOSE = EndResponse(drain=False)
_OPENS_STREAM = (RequestKind.LISTEN, RequestKind.RESUME)
_OF_SESSION = frozenset({b"mcp-protocol-version", b"mcp-session-id"})
_FOLLOWED = frozenset({307, 308})
_DENIED = frozenset({401, 403})
INTERNAL_ERROR = -32603
PROGRESS = "notifications/progress"


def send(call: Call, outbound: Outbound, resolution: Resolution | None = None) -> Flow[Exchange]:
    """Send one request, with ``resolution`` or a fresh one, and read its response until that has been understood.

    The response of a ``listen`` or ``resume`` request is left open once its head has arrived, if that is an event
    stream's.

    :returns: the exchange, whatever its status; see :func:`refusal`.
    """
    attempt, challenge, redirects, unsent = 1, None, 0, 0
    refused: list[Resolution] = []
    try:
        while True:
            if resolution is None:
                resolution = yield from resolve(call, outbound, attempt=attempt, challenge=challenge)
            command = SendRequest(
                outbound.http_method,
                outbound.url,
                resolution.wire(outbound.headers),
                outbound.body,
                outbound.kind,
                outbound.rpc_method,
                outbound.rpc_name,
                attempt,
                call.context.principal,
                outbound.is_stream,
            )
            sent, resolution = resolution, None
            call.resolutions -= bool(call.state.pipeline.resolvers)
            exchange = _expected(call, outbound)
            try:
                yield from _exchange(call, outbound, command, exchange)
            except NotSentError:
                # Once there is a head, this is what a handler fails with, whose own request to somebody was not sent.
                if unsent or exchange.head.status:
                    raise
                unsent += 1
                continue
            call.note_identity(sent)
            head = exchange.head
            _tell_nonce(call, outbound, sent, head.dpop_nonce)
            if head.status in _DENIED:
                refused.append(sent)
                if not (yield from _can_do_better(call, outbound, refused, head, attempt)):
                    yield from forget_answers(call)
                    return exchange
                attempt, challenge = (2, _first_challenge(head.challenges)) if head.status == 401 else (attempt, None)
            elif 300 <= head.status < 400:
                redirects += 1
                outbound = _follow(call, outbound, exchange, redirects)
            else:
                return exchange
    except McpError as error:
        error.located(call.state.endpoint.name, outbound.name)
        if refused:
            # The server let the identity in no more, and nothing has shown since that it does again.
            yield from forget_answers(call)
        raise


def _can_do_better(call: Call, outbound: Outbound, refused: list[Resolution], head: Head, attempt: int) -> Flow[bool]:
    """Whether whoever authorized a request that was refused will authorize it better, if it is made once more."""
    sent, auth = refused[-1], call.state.auth
    if sent.authorization_is_resolved:
        return head.status == 401 and attempt == 1
    if auth is None or sent.credentials is None:
        return False
    attempts = [resolution.credentials for resolution in refused if resolution.credentials is not None]
    request = context_of(call, outbound, sent, attempt, _first_challenge(head.challenges))
    refusal = Refusal(head.status, head.challenges, head.dpop_nonce)
    ask = partial(auth.provider.refused, request, auth.environment, attempts, refusal)
    return (yield from ask_provider(auth.provider, ask, bool))


def _tell_nonce(call: Call, outbound: Outbound, sent: Resolution, nonce: str | None) -> None:
    """Tell the client's ``auth`` what a server wants to see in its next proof."""
    auth = call.state.auth
    if nonce is not None and auth is not None and isinstance(auth.provider, HearsNonces):
        auth.provider.told_nonce(context_of(call, outbound, sent, 1, None), auth.environment, nonce)


def _expected(call: Call, outbound: Outbound) -> Exchange:
    """The exchange of one request, before it is sent."""
    revision = outbound.revision
    return Exchange(
        call.state.limits,
        outbound.awaited_id,
        revision is not None and revision.batches,
        outbound.kind in _OPENS_STREAM,
        revision is not None and revision.resumable and outbound.kind is RequestKind.REQUEST,
        outbound.url,
    )


def _exchange(call: Call, outbound: Outbound, command: SendRequest, exchange: Exchange) -> Flow[None]:
    """Send one request once and read its response, unless that is an event stream for others to read."""
    if outbound.kind is RequestKind.REQUEST:
        call.sent = call.last_sent = outbound
    elif outbound.request_id is not None and outbound.kind is not RequestKind.RESPONSE:
        call.last_sent = outbound
    try:
        exchange.receive_head(*(yield command))
        if not (exchange.listens and exchange.is_stream):
            yield from _read(call, outbound, exchange)
            if not outbound.answered_elsewhere:
                call.forget(outbound)
            if exchange.is_open:
                yield DRAIN
    except McpError:
        yield from close(exchange)
        call.forget(outbound)
        yield from _withdraw_the_rest(call)
        raise
    finally:
        call.state.counters.ignored_messages += exchange.ignored
    if call.withdrawn:
        yield from _withdraw_the_rest(call)


def _read(call: Call, outbound: Outbound, exchange: Exchange) -> Flow[None]:
    """Read a response until it has been understood."""
    asker = _in_its_session(outbound, exchange)
    return read_messages(
        exchange,
        take=lambda messages: _handle_messages(call, asker, messages),
        resume=(lambda: _resume(call, outbound, exchange)) if exchange.resumable else None,
    )


def read_messages(
    exchange: Exchange,
    take: Callable[[list[Notification | Request]], Flow[None]],
    resume: Callable[[], Flow[None]] | None = None,
) -> Flow[None]:
    """Read a response until all that matters has been received; one that fails is the caller's to :func:`close`.

    :param take: handles what comes before the answer.
    :param resume: takes up an event stream that broke off, if that may be done.
    """
    while (messages := exchange.next_messages()) or not exchange.over:
        if messages:
            yield from take(messages)
            continue
        if resume is not None and exchange.is_interrupted:
            yield from resume()
            continue
        try:
            data = yield _RECEIVE_DATA
        except McpError as error:
            exchange.receive_failure(error)
            continue
        if data is None:
            exchange.receive_end()
        else:
            exchange.receive_data(data)


def close(exchange: Exchange) -> Flow[None]:
    """Leave a response that has failed."""
    if exchange.is_open:
        yield _CLOSE


def _resume(call: Call, outbound: Outbound, exchange: Exchange) -> Flow[None]:
    """Take up an event stream that broke off (2025-11-25, "Transports", Resumability and Redelivery).

    The pause before is the server's to choose, so that it can make its clients poll.

    :raises McpError: what interrupted it, if it cannot be taken up.
    """
    limits, after = call.state.limits, exchange.last_event_id
    delay = limits.resume_delay if exchange.retry is None else exchange.retry
    request = resumption(outbound, after or "", limits)
    if request is None or delay > limits.retry or not exchange.may_resume():
        raise exchange.give_up()
    yield WaitFor(Signal(), delay if exchange.retry is None else max(delay, limits.shortest_delay))
    try:
        resumed = yield from send(call, request)
    except TransportError:
        return  # The network fails still; the next try is counted, and waits again.
    if not resumed.is_stream:
        interruption = exchange.give_up()
        raise refusal(resumed) if resumed.head.status in _DENIED else interruption
    exchange.resume(resumed)


def resumption(outbound: Outbound, after: str, limits: Limits) -> Outbound | None:
    """The GET that takes up what ``outbound`` had opened; None if the event's id does not fit a header."""
    if len(after) > limits.event_id:
        return None
    try:
        last_event_id = encode_value(after.encode().decode("latin-1"))
    except ValueError:
        return None
    in_session = tuple(header for header in outbound.headers if header[0] in _OF_SESSION)
    return Outbound(
        kind=RequestKind.RESUME,
        url=outbound.url,
        http_method="GET",
        headers=(*GET_HEADERS, *in_session, (b"last-event-id", last_event_id)),
        revision=outbound.revision,
        is_stream=outbound.is_stream,
    )


def _in_its_session(outbound: Outbound, exchange: Exchange) -> Outbound:
    """``outbound`` as what the server asks before its answer refers to it: ``initialize`` may have opened a session."""
    session_id = exchange.head.session_id
    if session_id is None or outbound.kind is not RequestKind.INITIALIZE:
        return outbound
    return evolve(outbound, headers=(*outbound.headers, (b"mcp-session-id", session_id.encode("ascii"))))


def _first_challenge(challenges: tuple[Challenge, ...]) -> Challenge | None:
    """The challenge that a resolver is told: the first Bearer one, else the first."""
    bearer = (challenge for challenge in challenges if challenge.scheme.lower() == "bearer")
    return next(bearer, challenges[0] if challenges else None)


def _follow(call: Call, outbound: Outbound, exchange: Exchange, redirects: int) -> Outbound:
    """The request to make after a redirect.

    :raises RedirectError: if it is not to be followed.
    """
    state, head = call.state, exchange.head
    if state.redirects is Redirects.SAME_ORIGIN and head.status in _FOLLOWED and head.location:
        url = state.endpoint.resolve(outbound.url, head.location)
        if redirects > state.limits.redirects:
            raise state.limits.exceeded("redirects", "too many redirects")
        if url is not None:
            return evolve(outbound, url=url)
    target = _redirect_target(outbound.url, head.location or "")
    raise RedirectError(
        f"the server redirects ({head.status}) to {target or 'nowhere'}, which is not followed; "
        "configure the URL that it should be, or redirects='same-origin'",
        status=head.status,
        location=target,
    )


def _redirect_target(url: str, location: str) -> str:
    """What may be shown of where a redirect leads; empty if it leads nowhere."""
    try:
        return redact_url(urljoin(url, location)) if location else ""
    except ValueError:
        return HIDDEN


def tell(call: Call, outbound: Outbound) -> Flow[Exchange | None]:
    """Send what has no answer: a notification, or an answer to the server.

    :returns: the exchange, whatever its status; None over a channel.
    """
    if outbound.channel is None:
        return (yield from send(call, outbound))
    yield SendMessage(outbound.channel, frame(outbound.body))
    return None


def _handle_messages(call: Call, outbound: Outbound, messages: list[Notification | Request]) -> Flow[None]:
    """Handle several messages, in order; progress that comes in a row is delivered in one go."""
    steps: list[Progress] = []
    for message in messages:
        if isinstance(message, Notification) and message.method == PROGRESS:
            if (step := _read_progress(call, outbound, message)) is not None:
                steps.append(step)
            continue
        yield from _deliver(call, steps)
        steps = []
        yield from handle_message(call, outbound, message)
    yield from _deliver(call, steps)


def _deliver(call: Call, steps: list[Progress]) -> Flow[None]:
    if steps and call.on_progress is not None:
        yield Deliver(call.on_progress, steps)


def _read_progress(call: Call, outbound: Outbound, message: Notification) -> Progress | None:
    """The progress that a notification tells of, if this call wants to know about it and it is this call's."""
    if call.on_progress is None:
        return None
    token = message.params.get("progressToken")
    progress = Progress.of(message.params) if is_integer(token) and token == outbound.request_id else None
    if progress is None:
        call.state.counters.ignored_messages += 1
    return progress


def handle_message(call: Call, outbound: Outbound, message: Notification | Request) -> Flow[None]:
    """Handle what a server sends before its answer to ``outbound``: progress, changes, and requests of its own."""
    if isinstance(message, Request):
        if outbound.revision is None or outbound.revision.notifications:
            yield from _answer(call, outbound, message)
    elif (change := Change.from_notification(message)) is not None:
        yield from _forget_changed(call, change)
    elif message.method == PROGRESS:
        step = _read_progress(call, outbound, message)
        yield from _deliver(call, [] if step is None else [step])
    elif message.method == "notifications/message" and call.state.handlers.log is not None:
        log = optional(message.params, LogMessage.from_json)
        if log is not None:
            yield CallHandler(call.state.handlers.log, (log, call.context))
        else:
            call.state.counters.ignored_messages += 1
    elif message.method == "notifications/cancelled":
        _withdraw_request(call, message)


def _forget_changed(call: Call, change: Change) -> Flow[None]:
    """Drop what is kept of answers that a server says have changed: this identity's, and the public ones.

    The shared store is told at once, and once more when the answer is there: a server may say it many times before.
    """
    state, now = call.state, call.state.partitions.now()
    # All of it before the first command, which may let us wait, or be the call's last.
    for cache in (call.partition.cache, state.public):
        cache.invalidate(change, now)
    news = change.methods - call.withdrawn
    call.to_withdraw |= change.methods - news
    call.withdrawn |= news
    if news:
        yield from _withdraw(call, news)


def _withdraw_the_rest(call: Call) -> Flow[None]:
    """Tell the shared store what the server has told more than once."""
    methods, call.withdrawn, call.to_withdraw = call.to_withdraw, frozenset(), frozenset()
    if methods:
        yield from _withdraw(call, methods)


def _withdraw(call: Call, methods: frozenset[str]) -> Flow[None]:
    state = call.state
    if state.verdict is not None:
        for cache in (call.partition.cache, state.public):
            yield from withdraw(call, cache, state.verdict.revision, methods)


def forget_answers(call: Call) -> Flow[None]:
    """Drop what this identity was told, because the server no longer lets it in."""
    state, cache = call.state, call.partition.cache
    cache.clear(state.partitions.now())
    if state.verdict is not None:
        yield from withdraw(call, cache, state.verdict.revision)


def _answer(call: Call, outbound: Outbound, request: Request) -> Flow[None]:
    """Answer a server's request: a ping at once, and all that takes a handler while reading goes on."""
    call.count_server_request()
    if request.method == "ping":
        yield from reply(call, outbound, request, Response(request.id, {}))
    elif (refused := _refuse(call, outbound, request)) is not None:
        yield from reply(call, outbound, request, ErrorResponse(request.id, refused.code, refused.message))
    else:
        child, withdrawn = call.child(), call.begin_to_answer(request.id)
        flow = _until_answered(call, request.id, _have_answered(call, child, outbound, request))
        yield Beside(f"the answer to {request.method}", child, flow, withdrawn)
        return
    call.server_request_done()


def _until_answered(call: Call, request_id: int | str, answering: Flow[None]) -> Flow[None]:
    """``answering``, which the server can withdraw its request from until it ends."""
    try:
        yield from answering
    finally:
        call.answered(request_id)


def _withdraw_request(call: Call, notification: Notification) -> None:
    """Answer a request no more that the server has withdrawn (2025-11-25, "Cancellation")."""
    request_id, reason = notification.params.get("requestId"), as_text(notification.params.get("reason"))
    withdrawn = call.answering.get(request_id) if isinstance(request_id, str) or is_integer(request_id) else None
    if withdrawn is not None:
        _log.debug("the server has withdrawn a request: %.100r", reason)
        withdrawn.raise_()


def _refuse(call: Call, outbound: Outbound, request: Request) -> RpcError | None:
    """Why a request is not answered, or None if it may be."""
    declared = call.state.capabilities(outbound.revision or HANDSHAKE)
    return refusal_of(declared, request.method, request.params)


def _have_answered(parent: Call, call: Call, outbound: Outbound, request: Request) -> Flow[None]:
    """Have a handler answer, and send what it says; if it fails, the server is told, and ``parent`` ends by that.

    The failure is noted before the server is told: it may end the parent sooner than we hear that it was.
    """
    answer: Response | ErrorResponse
    try:
        answer = Response(request.id, (yield from ask_handlers(call, request.method, request.params)))
    except RpcError as refused:
        answer = ErrorResponse(request.id, refused.code, refused.message, refused.data)
    except Exception as error:
        parent.failure = error
        answer = ErrorResponse(request.id, INTERNAL_ERROR, "the client failed to answer")
    yield from reply(call, outbound, request, answer)
    if parent.failure is not None:
        raise parent.failure


def reply(call: Call, outbound: Outbound, request: Request, answer: Response | ErrorResponse) -> Flow[None]:
    """Send the answer to a server's request."""
    try:
        sent = evolve(
            outbound,
            kind=RequestKind.RESPONSE,
            body=jsonrpc.encode(answer),
            rpc_method=request.method,
            rpc_name=None,
            request_id=request.id,
        )
        exchange = yield from tell(call, sent)
    except McpError as error:
        # The call that this happens in is sound: it goes on, and the server does without our answer.
        _log.warning("could not answer the server's request: %r", str(error))
    else:
        if exchange is not None and exchange.head.status >= 300:
            _log.warning("the server refused our answer to its request: %r", str(refusal(exchange)))
