"""What a provider remembers, by identity: its tokens, and the turn to renew them.

An identity is a principal at one MCP server.  Nothing is shared between two of them: not a token, not a nonce, not a
turn.  There are at most so many; the one used least recently goes first, and never one that is being worked on.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar

from attrs import define, field

from mcpcore.oauth.dpop import Nonces
from mcpcore.state.flights import Runway

if TYPE_CHECKING:
    from mcpcore.commands import Flow
    from mcpcore.oauth.tokens import Token

T = TypeVar("T")


@define(eq=False)
class Account:
    """One identity at one MCP server.

    :ivar token: its token, or None while it has none.
    :ivar is_loaded: whether the store was asked for one.
    :ivar ignores_store: whether what is stored counts no more, until it has got something new.
    :ivar refusals: how many logins were refused, by whoever was asked to log in.
    :ivar wants: scopes that are to be asked for, whoever asks for a token first.
    :ivar users: how many flows hold it.
    :ivar turn: where its tokens are obtained and renewed, one flow at a time.
    :ivar nonces: what servers told it for its proofs.
    """

    resource: str
    principal: str | None = field(repr=False)
    token: Token | None = None
    is_loaded: bool = False
    ignores_store: bool = False
    refusals: int = 0
    wants: tuple[str, ...] = ()
    users: int = 0
    turn: Runway = field(factory=Runway)
    nonces: Nonces = field(factory=Nonces)

    def used_by(self, flow: Flow[T]) -> Flow[T]:
        """``flow``, for as long as which the account is in use."""
        self.users += 1
        try:
            return (yield from flow)
        finally:
            self.users -= 1


@define
class Accounts:
    """All of them."""

    _known: OrderedDict[tuple[str, str | None], Account] = field(
        factory=lambda: OrderedDict[tuple[str, "str | None"], Account](), repr=False
    )

    def of(self, resource: str, principal: str | None, at_most: int) -> Account:
        """The account of ``principal`` at ``resource``, opened if need be."""
        # A subclass of str is the characters that it holds, however it compares.
        name = resource, None if principal is None else str.__str__(principal)
        account = self._known.get(name)
        if account is None:
            account = self._known[name] = Account(*name)
            self._make_room(at_most)
        self._known.move_to_end(name)
        return account

    def _make_room(self, at_most: int) -> None:
        while len(self._known) > at_most:
            idle = next((key for key, account in self._known.items() if not account.users), None)
            if idle is None or idle == next(reversed(self._known)):
                return  # All others are in use.
            del self._known[idle]
