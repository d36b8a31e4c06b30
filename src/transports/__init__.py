"""MCP over HTTP, on asyncio and trio alike: connect to a server, and give each request the headers of its own user.

Start at :func:`connect`.  The protocol itself is in :mod:`mcpcore`; this package moves its bytes.
"""

import logging

from .client import BoundClient, Client, connect
from .config import ServerConfig
from .engines.base import Engine, Response
from .observer import ExchangeSummary

__all__ = ["BoundClient", "Client", "Engine", "ExchangeSummary", "Response", "ServerConfig", "connect"]

logging.getLogger("transports").addHandler(logging.NullHandler())
