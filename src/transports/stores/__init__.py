"""Stores that clients share, so that what one of them has fetched the others need not fetch.

Give one to :func:`transports.connect` or :func:`transports.open_run`: a :class:`MemoryStore` for the clients of one
process, a :class:`RedisStore` for those of many; for anything else write a :class:`CacheStore`.  Whoever writes a
driver of his own wraps the store into a :class:`SealedStore`, as ours does.
"""

from .base import CacheStore
from .memory import MemoryStore
from .redis import RedisStore
from .sealed import SealedStore

__all__ = ["CacheStore", "MemoryStore", "RedisStore", "SealedStore"]
