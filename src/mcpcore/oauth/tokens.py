"""What an authorization server gives: a token, what it is good for, and how long.

A token belongs to one issuer, one resource and one principal, and is told by that triple wherever it is kept.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from attrs import asdict, field, frozen
from attrs.filters import exclude

from mcpcore.codecs import jsonrpc
from mcpcore.codecs.shapes import as_number, as_object, as_text, as_texts
from mcpcore.errors import LimitExceeded, OAuthError, RemoteProtocolError
from mcpcore.oauth.scopes import split
from mcpcore.rules.endpoint import origin_of_url

if TYPE_CHECKING:
    from mcpcore.limits import Limits

TokenType = Literal["Bearer", "DPoP"]
TokenOrigin = Literal["grant", "renewal", "store"]


@frozen(kw_only=True)
class Token:
    """An access token, and what renews it.

    :ivar requested: the scopes that were asked for, by all that led to it.
    :ivar granted: those that it has, as far as anybody said.
    :ivar renew_at: when to use it no more, in seconds since 1970; None if nobody said how long it is good for.
    :ivar thumbprint: of the key that it is bound to, or None.
    :ivar obtained_at: when it was got, in seconds since 1970; of two tokens, the later counts.
    :ivar source: what it came from: an authorization, another token, or the store.
    """

    access_token: str = field(repr=False)
    token_type: TokenType
    issuer: str
    resource: str
    requested: tuple[str, ...] = ()
    granted: tuple[str, ...] = ()
    refresh_token: str | None = field(default=None, repr=False)
    renew_at: float | None = None
    thumbprint: str | None = None
    obtained_at: float = 0.0
    source: TokenOrigin = "grant"

    def is_stale(self, now: float) -> bool:
        """Whether it is to be used no more."""
        return self.renew_at is not None and now >= self.renew_at

    def dump(self) -> str:
        """The token as text, for a store."""
        return jsonrpc.dump(asdict(self, filter=exclude("source"))).decode()

    @classmethod
    def load(cls, text: str, limits: Limits) -> Token | None:
        """Read what :meth:`dump` wrote; None for anything else."""
        try:
            raw = as_object(jsonrpc.parse(text.encode(), limits)) or {}
            json.dumps(raw, ensure_ascii=False).encode()  # Half of a surrogate pair goes into no form.
        except (RemoteProtocolError, LimitExceeded, UnicodeEncodeError):
            return None
        access_token, issuer, resource = (as_text(raw.get(key)) for key in ("access_token", "issuer", "resource"))
        kind, refresh_token = _kind_of(raw), as_text(raw.get("refresh_token"))
        if access_token is None or issuer is None or resource is None or kind is None:
            return None
        if not _can_be_sent(access_token) or _length(access_token, refresh_token) > limits.token_bytes:
            return None
        if origin_of_url(issuer) is None:
            return None
        return cls(
            access_token=access_token,
            token_type=kind,
            issuer=issuer,
            resource=resource,
            requested=tuple(as_texts(raw.get("requested"))),
            granted=tuple(as_texts(raw.get("granted"))),
            refresh_token=refresh_token,
            renew_at=as_number(raw.get("renew_at")),
            thumbprint=as_text(raw.get("thumbprint")),
            obtained_at=as_number(raw.get("obtained_at")) or 0.0,
            source="store",
        )


_KINDS: dict[str, TokenType] = {"bearer": "Bearer", "dpop": "DPoP"}
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_FOR_EVER = 1e12  # Seconds; what is longer is no different.


@frozen(kw_only=True)
class Asked:
    """What a token response answers.

    :ivar now: when, in seconds since 1970.
    :ivar thumbprint: of the key that the token is to be bound to, or None for a bearer token.
    :ivar renews: the token that the new one comes from, or None.
    """

    issuer: str
    resource: str
    scopes: tuple[str, ...]
    now: float
    thumbprint: str | None = None
    renews: Token | None = None


def read_token(document: dict[str, Any], asked: Asked, limits: Limits) -> Token:
    """Read a token response (RFC 6749, section 5.1; RFC 9449, section 5).

    :raises OAuthError: if it holds no token that can be used.
    :raises LimitExceeded: if one is too long.
    """
    access_token, refresh_token = (as_text(document.get(key)) for key in ("access_token", "refresh_token"))
    if access_token is None or not _can_be_sent(access_token):
        raise OAuthError("the authorization server answered without an access token that can be sent")
    if _length(access_token, refresh_token) > limits.token_bytes:
        raise limits.exceeded("token_bytes", "the authorization server gave a token that is too long")
    kind = _kind_of(document)
    if kind is None:
        raise OAuthError("the authorization server gave a token of a type that this client does not know")
    if (kind == "DPoP") != (asked.thumbprint is not None):
        # A bearer token in place of a bound one could be used by whoever steals it (RFC 9449, section 5).
        wanted = "DPoP" if asked.thumbprint is not None else "Bearer"
        raise OAuthError(f"the authorization server gave a {kind} token where a {wanted} token was asked for")
    before, scope = asked.renews, as_text(document.get("scope"))
    return Token(
        access_token=access_token,
        token_type=kind,
        issuer=asked.issuer,
        resource=asked.resource,
        requested=asked.scopes,
        granted=split(scope) if scope is not None else before.granted if before is not None else asked.scopes,
        refresh_token=refresh_token or (before.refresh_token if before is not None else None),
        renew_at=_renew_at(document.get("expires_in"), asked.now, limits.token_margin),
        thumbprint=asked.thumbprint,
        obtained_at=asked.now,
        source="grant" if before is None else "renewal",
    )


def _renew_at(expires_in: object, now: float, margin: float) -> float | None:
    """When to use a token no more: a little before it expires, because a request takes its time."""
    text = as_text(expires_in)
    seconds = float(text) if text is not None and text.isdecimal() else as_number(expires_in)
    # No time at all is no time that could be meant: the token would have to be renewed before it is ever used.
    if seconds is None or not 0 < seconds < _FOR_EVER:
        return None
    return now + seconds - min(margin, seconds / 2)


def _kind_of(document: dict[str, Any]) -> TokenType | None:
    return _KINDS.get((as_text(document.get("token_type")) or "").lower())


def _length(*tokens: str | None) -> int:
    """How long the longest of these tokens is."""
    return max(len((token or "").encode()) for token in tokens)


def _can_be_sent(token: str) -> bool:
    """Whether a header can hold a token, which is what is visible of ASCII (RFC 6749, appendix A.12)."""
    return _VISIBLE.fullmatch(token) is not None
