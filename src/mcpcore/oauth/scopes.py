"""Which scopes to ask for (2026-07-28, "Authorization", Scope Selection Strategy and Step-Up Authorization Flow)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OFFLINE_ACCESS = "offline_access"


def split(scope: str | None) -> tuple[str, ...]:
    """The scopes in a ``scope`` parameter (RFC 6749, section 3.3)."""
    return tuple(filter(None, (scope or "").split(" ")))


def united(*several: Iterable[str]) -> tuple[str, ...]:
    """All of them, each once, in their order."""
    return tuple(dict.fromkeys(scope for scopes in several for scope in scopes if scope))


def wanted(
    challenged: tuple[str, ...],
    supported: tuple[str, ...] | None,
    before: tuple[str, ...],
    always: tuple[str, ...],
) -> tuple[str, ...]:
    """What to ask for.

    :param challenged: what the server's challenge asks for, which goes before what it says of itself.
    :param supported: what it says of itself.
    :param before: what was asked for before, and is not to be lost.
    :param always: what the user wants in any case.
    """
    return united(always, before, challenged or (() if before else supported or ()))


def with_refresh(scopes: tuple[str, ...], offered: tuple[str, ...]) -> tuple[str, ...]:
    """``scopes``, and the one for refresh tokens where the authorization server offers it.

    Where no scopes are asked for, it is left to the server what to grant; asking for this one alone would change that.
    """
    return united(scopes, (OFFLINE_ACCESS,)) if scopes and OFFLINE_ACCESS in offered else scopes
