"""The steps of a walk, and what carries them out: any number of calls, each at any stage, one command at a time.

A :class:`Walk` is one world and knows nothing of chance: it takes steps, as data.  So the same steps can be taken
again, or some of them, to find out which ones a failure needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from mcpcore import CallContext, Client, Operation, RequestContext, Statistics

from .callers import ASKS, BY_PRINCIPAL, CACHE_MODES, CALLERS, PAGED, Ask, Setup, Shape
from .held import check_nothing_is_held
from .model import Call, Fetch, Model, Resolution
from .play import Play
from .server import Line, Piece, Server, Whim
from .store import Store

URL = "https://mcp.example/mcp"
MOST_OPERATIONS = 16


@frozen
class Start:
    """A call starts: whose, for what, and what it has to do with the cache, as numbers.

    :ivar name: what later steps call its operation; what that leaves behind has the same name below zero.
    """

    name: int
    caller: int
    ask: int
    cache: int = 0
    client: int = 0


@frozen
class Advance:
    """An operation in progress has its next command answered."""

    operation: int
    whim: Whim = Whim.WELL


@frozen
class Cancel:
    """An operation in progress is given up."""

    operation: int


@frozen
class Push:
    """An event stream of HTTP+SSE brings what is next on it, or breaks."""

    line: int
    whim: Whim = Whim.WELL


@frozen
class Pass:
    """Time passes."""

    seconds: float


@frozen
class Publish:
    """One of the server's lists looks different from now on."""

    method: int
    shape: int


@frozen
class Restart:
    """The server forgets its sessions; it may speak another era from now on."""

    changes_era: bool = False


Step = Start | Advance | Cancel | Push | Pass | Publish | Restart


class Walk:
    """One world, and the steps that are taken in it."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.model = Model(setup)
        self.server = Server(self.model, setup.era)
        self.store = Store(self.model)
        self.plays: dict[int, Play] = {}
        self._goodbye: Call | None = None
        self.clients = [self._client(number) for number in range(2 if setup.store else 1)]

    def _client(self, number: int) -> Client:
        model = self.model

        def resolver(context: RequestContext) -> dict[str, str]:
            return model.resolve(context.user or self._who_says_goodbye(context), context)

        def clock() -> float:
            return model.now

        return Client(
            URL, get_headers=resolver, clock=clock if self.setup.clock else None, **self.setup.options(number)
        )

    def _who_says_goodbye(self, context: RequestContext) -> Call:
        """A goodbye knows nobody but its principal."""
        call = self._goodbye
        self.model.check(call is not None and not context.request_headers, "a resolver is not told whose call it is")
        assert call is not None
        call.caller, call.identity = BY_PRINCIPAL[context.principal], context.principal
        return call

    def take(self, step: Step) -> bool:
        """Take one step; False if there is nothing to do."""
        self.model.step += 1
        done = _STEPS[type(step)](self, step)
        if done and isinstance(step, Advance | Cancel | Push):  # The others do nothing to a client.
            self.check_bounds()
        return done

    def start(self, step: Start) -> bool:
        if len(self.plays) >= MOST_OPERATIONS or step.name in self.plays:
            return False
        model, caller, ask = self.model, CALLERS[step.caller % len(CALLERS)], ASKS[step.ask % len(ASKS)]
        number = step.client % len(self.clients)
        call = model.begin(number, caller, ask, CACHE_MODES[step.cache % len(CACHE_MODES)])
        model.counts[f"calls, {ask.operation} {ask.method}"] += 1

        def on_progress(progress: Any) -> None:
            model.check_own(call, int(progress.message.removeprefix("seen-")))

        context = CallContext(principal=caller.principal, user=call, request_headers={"tracestate": call.note})
        client = self.clients[number]
        options: dict[str, Any] = {"context": context}
        match ask.operation:
            case "list_tools":
                operation: Operation[Any] = client.list_tools(cache=call.cache, **options)
            case "request":
                operation = client.request(ask.method, ask.params, cache=call.cache, on_progress=on_progress, **options)
            case "call_tool":
                operation = client.call_tool("common", {"arg": "v"}, on_progress=on_progress, **options)
            case "notify":
                operation = client.notify("notifications/roots/list_changed", **options)
            case _:
                operation = getattr(client, ask.operation)(**options)
        self.play(step.name, call, operation)
        return True

    def play(self, name: int, call: Call, operation: Operation[Any]) -> None:
        """An operation starts."""
        self.plays[name] = Play(self, name, call, operation)

    def advance(self, step: Advance) -> bool:
        play = self.plays.get(step.operation)
        return play is not None and play.advance(step.whim)

    def cancel(self, step: Cancel) -> bool:
        play = self.plays.get(step.operation)
        if play is not None:
            play.cancel()
        return play is not None

    def push(self, step: Push) -> bool:
        lines = list(self.server.lines.items())
        if not lines:
            return False
        number, line = lines[step.line % len(lines)]
        if line.stream is None:
            return False
        if line.stream.closed.raised:
            del self.server.lines[number]
        elif step.whim is Whim.CUT:
            self._lose(number, line)
        elif line.pieces:
            piece = line.pieces.popleft()
            assert isinstance(piece.data, bytes)
            self.read(line.opening, piece)
            if piece.answers is not None:
                piece.answers.call.arrived = piece.answers
            line.stream.receive_data(piece.data)
            if line.stream.closed.raised:  # What it brought has ended it.
                self.trouble(line.opening.call)
        else:
            return False
        return True

    def _lose(self, number: int, line: Line) -> None:
        """An event stream ends, and with it what waits on it."""
        self.trouble(line.opening.call)
        assert line.stream is not None
        line.stream.receive_end()
        del self.server.lines[number]

    def trouble(self, call: Call) -> None:
        """Something happens to all calls of an identity."""
        for play in self.plays.values():
            if (play.call.client, play.call.identity) == (call.client, call.identity):
                play.call.had_trouble = True

    def read(self, fetch: Fetch, piece: Piece) -> None:
        """A piece of the response to ``fetch`` is read."""
        if piece.answers is not None:
            self.model.complete(piece.answers)
        if piece.changed:
            self.model.change(fetch, piece.changed, piece.key)

    def let_pass(self, step: Pass) -> bool:
        self.model.now += step.seconds
        return True

    def publish(self, step: Publish) -> bool:
        self.server.shapes[PAGED[step.method % len(PAGED)]] = Shape.numbered(step.shape)
        return True

    def restart(self, step: Restart) -> bool:
        self.server.forget_sessions()
        if step.changes_era and self.setup.changing and self.setup.era != "sse":
            self.server.era = "handshake" if self.server.era == "modern" else "modern"
        return True

    # What must hold.

    def check_bounds(self) -> None:
        """What a client holds stays within its limits."""
        limits = self.setup.limits
        for number, client in enumerate(self.clients):
            held = client.statistics()
            if held.partitions > limits.partitions:
                self._check_in_use(number, held.partitions, is_named=True)
            if held.anonymous_partitions > limits.anonymous_partitions:
                self._check_in_use(number, held.anonymous_partitions, is_named=False)
            if held.streams > limits.streams:
                self.model.fail("too many streams are open")
            if held.cache_entries > limits.cache_entries + limits.anonymous_cache_entries:
                self.model.fail("too many answers are kept")
            if held.cache_bytes > limits.cache_bytes + limits.anonymous_cache_bytes:
                self.model.fail("the answers that are kept are too large")

    def _check_in_use(self, number: int, kept: int, *, is_named: bool) -> None:
        """More partitions than the limit are kept only where all of them are in use."""
        calls = [play.call for play in self.plays.values() if play.call.client == number]
        in_use = {call.identity for call in calls if (call.caller.principal is not None) is is_named}
        self.model.check(kept <= len(in_use), "too many partitions are kept")

    def check_nothing_is_in_use(self) -> None:
        """With no call in progress, nothing is pinned, in the air, or waited for."""
        for number, client in enumerate(self.clients):
            statistics, state = client.statistics(), client._state
            partitions = state.partitions.all()
            left = {
                "calls": statistics.calls,
                "users of partitions": sum(partition.users for partition in partitions),
                "openings in the air": sum(partition.opening.flight is not None for partition in partitions),
                "runways of answers": sum(len(partition.cache._runways) for partition in partitions),
                "probes in the air": int(state.probing.flight is not None),
                "waiting for a stream": int(state.stream_places.is_wanted),
                "mailboxes": sum(len(p.stream._mailboxes) for p in partitions if p.stream is not None),
            }
            self.model.check(not any(left.values()), "something is still in use", detail=str(left))
            self._check_counts(number, statistics)

    def _check_counts(self, number: int, statistics: Statistics) -> None:
        """The client counts as the model does."""
        unused = sum(not r.is_used for r in self.model.resolutions if r.call.client == number)
        unused += sum(call.asked_in_vain for call in self.model.calls if call.client == number)
        self.model.check(statistics.unused_resolutions == unused, "unused resolutions are counted wrongly")
        for name in ("cache_hits", "cache_misses", "evictions", "ignored_messages", "unused_resolutions"):
            self.model.counts[f"statistics, {name}"] += getattr(statistics, name)

    def check_nothing_is_held(self) -> None:
        """No client holds a secret of a call that is over."""
        for client in self.clients:
            check_nothing_is_held(client, self.model, self._is_ours)

    def _is_ours(self, item: object) -> bool:
        return item is self or isinstance(item, _OURS)

    def finish(self) -> None:
        """Let every call come to its end, close the clients, and see that nothing is left."""
        self.model.step += 1
        self._drain()
        self.check_bounds()
        self.check_nothing_is_in_use()
        self.check_nothing_is_held()
        for number, client in enumerate(self.clients):
            self._close(number, client)
            statistics = client.statistics()
            rest = (statistics.partitions, statistics.anonymous_partitions, statistics.sessions, statistics.calls)
            self.model.check(not any(rest), "a closed client holds something")
        self.check_nothing_is_held()

    def _close(self, number: int, client: Client) -> None:
        """Close a client, and say its goodbyes."""
        goodbyes, limits = client.close(), self.setup.limits
        most = limits.partitions + limits.retired_sessions
        self.model.check(len(goodbyes) <= most, "too many sessions were remembered to be ended")
        for operation in goodbyes:
            self._goodbye = self.model.begin(number, CALLERS[0], Ask("the end of a session"), "use")
            self.model.counts["goodbyes"] += 1
            self.play(0, self._goodbye, operation)
            self._drain()
            self._goodbye = None

    def _drain(self) -> None:
        while self.plays:
            self.model.step += 1
            moved = [play.advance(Whim.WELL) for play in list(self.plays.values())]
            pushed = [self.push(Push(number)) for number in range(len(self.server.lines))]
            self.check_bounds()
            if not any(moved) and not any(pushed):
                self.model.fail("operations wait for each other for ever", next(iter(self.plays.values())).call)


_STEPS: dict[type, Callable[[Walk, Any], bool]] = {
    Start: Walk.start,
    Advance: Walk.advance,
    Cancel: Walk.cancel,
    Push: Walk.push,
    Pass: Walk.let_pass,
    Publish: Walk.publish,
    Restart: Walk.restart,
}
_OURS = (Walk, Play, Model, Server, Store, Call, Fetch, Resolution)
