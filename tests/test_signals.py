"""Signals: how one call learns what another one brought about."""

from __future__ import annotations

from mcpcore import Signal


def test_every_subscriber_is_told_once() -> None:
    signal, told = Signal(), list[str]()
    signal.subscribe(lambda: told.append("a"))
    signal.subscribe(lambda: told.append("b"))
    assert not signal.raised
    signal.raise_()
    signal.raise_()
    assert signal.raised
    assert told == ["a", "b"]


def test_who_comes_late_is_told_at_once() -> None:
    signal, told = Signal(), list[str]()
    signal.raise_()
    signal.subscribe(lambda: told.append("late"))
    signal.raise_()
    assert told == ["late"]


def test_who_gave_up_is_not_told() -> None:
    signal, told = Signal(), list[str]()

    def tell() -> None:
        told.append("x")

    signal.subscribe(tell)
    signal.subscribe(tell)
    signal.unsubscribe(tell)
    signal.raise_()
    assert told == ["x"]
    signal.unsubscribe(tell)


def test_a_subscriber_may_unsubscribe_others() -> None:
    signal, told = Signal(), list[str]()

    def second() -> None:
        told.append("second")

    signal.subscribe(lambda: signal.unsubscribe(second))
    signal.subscribe(second)
    signal.raise_()
    assert told == ["second"]


def test_subscribing_while_it_is_being_raised() -> None:
    signal, told = Signal(), list[str]()
    signal.subscribe(lambda: signal.subscribe(lambda: told.append("nested")))
    signal.raise_()
    assert told == ["nested"]
