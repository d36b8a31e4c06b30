"""Stores that many processes share, so that what one of them has fetched the others need not fetch.

Give one to :func:`transports.connect`.  Redis has one here; for anything else write a :class:`CacheStore`.  Whoever
writes a driver of his own wraps the store into a :class:`SealedStore`, as ours does.
"""

from .base import CacheStore
from .redis import RedisStore
from .sealed import SealedStore

__all__ = ["CacheStore", "RedisStore", "SealedStore"]
