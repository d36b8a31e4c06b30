"""MCP over HTTP, on asyncio and trio alike: connect to a server, and give each request the headers of its own user.

Start at :func:`connect`, or at :func:`transports.stdio.connect` for a server that is a program to be started.  The
protocol itself is in :mod:`mcpcore`; this package moves its bytes.
"""

import logging

from .channel import Channel, connect_channel, memory_pair
from .client import Client, connect
from .config import ServerConfig
from .driver import ProgressTimeout
from .engines.base import Engine, Response
from .forwarding import ForwardPolicy, forwardable_headers
from .listening import Subscription
from .observer import ExchangeSummary
from .run import Run, Skipped, open_run
from .templates import expand
from .tracing import CallTrace, Tracing
from .verbs import BoundClient

__all__ = [
    "BoundClient",
    "CallTrace",
    "Channel",
    "Client",
    "Engine",
    "ExchangeSummary",
    "ForwardPolicy",
    "ProgressTimeout",
    "Response",
    "Run",
    "ServerConfig",
    "Skipped",
    "Subscription",
    "Tracing",
    "connect",
    "connect_channel",
    "expand",
    "forwardable_headers",
    "memory_pair",
    "open_run",
]

logging.getLogger("transports").addHandler(logging.NullHandler())
