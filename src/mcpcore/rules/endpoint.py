"""One MCP server, as its user named it: where requests go, and how far headers may travel.

The *origin* (scheme, host, port) is the boundary of the auth contract: configured and resolved headers go to the
endpoint's origin and to no other.  So a URL that the server hands out, in a redirect or in an ``endpoint`` event, is
resolved and compared here and nowhere else.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from attrs import field, frozen

from mcpcore.errors import ConfigurationError
from mcpcore.redaction import redact_url

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::[0-9]*)?")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f\\]")
"""What no URL contains: white space, control characters, and a backslash, which some take for a slash."""


def origin_of(parts: SplitResult) -> tuple[str, str, int] | None:
    """The origin of a URL that headers could be sent to, or None if there is none."""
    try:
        port = parts.port
    except ValueError:
        return None
    # The standard library reads more into a host than is there: it stops at a bracket, and folds K for KELVIN to "k".
    host = _HOST_AND_PORT.fullmatch(parts.netloc)
    if parts.scheme not in _DEFAULT_PORTS or host is None:
        return None
    return parts.scheme, host[1].translate(_LOWER), port if port is not None else _DEFAULT_PORTS[parts.scheme]


def origin_of_url(url: str) -> tuple[str, str, int] | None:
    """The same of a URL that somebody else wrote, and that may be none at all."""
    try:
        return origin_of(urlsplit(url))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host is this very machine."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@frozen
class Endpoint:
    """The configured URL of one MCP server.

    :ivar configured: the URL as the user wrote it.
    :ivar url: what requests are sent to: the same without its fragment.
    :ivar name: origin and path, to name the server by.
    :ivar is_private: whether headers can be sent there without being read on the way: https, or this very machine.
    :ivar origin: scheme, host and port; the host in lower case, as far as it is ASCII.
    """

    configured: str = field(repr=redact_url)
    url: str = field(repr=False)
    name: str = field(repr=False)
    is_private: bool = field(repr=False)
    origin: tuple[str, str, int] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read the URL that a user configured.

        :raises ConfigurationError: if it is not an absolute http or https URL, or carries userinfo.
        """
        if NOT_IN_URL.search(url):
            raise ConfigurationError("the server's URL contains white space, control characters or a backslash")
        try:
            parts = urlsplit(url)
        except ValueError:
            # Its message may quote userinfo.
            raise ConfigurationError("the server's URL cannot be parsed") from None
        if "@" in parts.netloc:
            raise ConfigurationError(
                "the server's URL carries userinfo; give credentials as auth_token= or headers=", server=redact_url(url)
            )
        origin = origin_of(parts)
        if origin is None:
            # What is no URL may be a secret that went astray.
            raise ConfigurationError(
                "the server's URL must be absolute and http or https, with a valid host and port",
                server=redact_url(url) if parts.scheme and parts.netloc else "",
            )
        is_private = origin[0] == "https" or is_loopback(origin[1])
        return cls(url, parts._replace(fragment="").geturl(), redact_url(url), is_private, origin)

    @classmethod
    def of_channel(cls, name: str) -> Endpoint:
        """What is at the other end of a channel; it has a name, and no address."""
        return cls(name, "", name, True, ("", "", 0))

    def resolve(self, base: str, reference: str) -> str | None:
        """The absolute URL that ``reference`` means at ``base``, or None if it leaves this endpoint's origin."""
        if NOT_IN_URL.search(reference):
            return None
        try:
            target = urljoin(base, reference)
            parts = urlsplit(target)
        except ValueError:
            return None
        return parts._replace(fragment="").geturl() if origin_of(parts) == self.origin else None
