"""Limits are data: one frozen class, each with a default, each naming itself where it is met."""

from __future__ import annotations

import attrs
import pytest

from mcpcore import LimitExceeded, Limits

NAMES = [attribute.name for attribute in attrs.fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_has_a_positive_default(name: str) -> None:
    assert getattr(Limits(), name) > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, -1, float("nan"), -0.5])
def test_a_limit_is_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"limits\.{name} must be positive"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", NAMES)
def test_the_error_names_its_limit_and_what_it_is(name: str) -> None:
    error = Limits(**{name: 7}).exceeded(name, "too much")
    assert isinstance(error, LimitExceeded)
    assert error.limit == name
    assert str(error) == f"too much (limits.{name} is 7)"


def test_limits_are_frozen_and_changed_by_copying() -> None:
    limits = Limits()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.pages = 5  # type: ignore[misc]
    changed = attrs.evolve(limits, pages=5)
    assert (changed.pages, limits.pages) == (5, 1000)
    assert attrs.evolve(changed, pages=1000) == limits


def test_limits_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[misc]
