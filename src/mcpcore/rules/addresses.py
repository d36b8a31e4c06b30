"""Where others may send us: which of the URLs that a server names are asked, and at which addresses.

An MCP server says where its authorization server is, and that one says where its endpoints are.  A client that asks
whatever it is told can be made to ask what only it can reach: another service on this machine, a router, the metadata
service of a cloud (2026-07-28, "Security Best Practices", Server-Side Request Forgery).  So there are two rules:

* A URL is https, or http to this very machine, and carries no userinfo.
* An address is a public one, or as near as the MCP server is: who speaks to a server on this machine, or in a private
  network, may find its authorization server there, too.

A name says nothing about where it leads, so names are looked up by the driver, and the request then goes to the
addresses that were looked at and to no other.
"""

from __future__ import annotations

import re
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen

from mcpcore.errors import OAuthError
from mcpcore.redaction import redact_url
from mcpcore.rules.endpoint import NOT_IN_URL, is_loopback, origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_METADATA_SERVICES = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
# Of the special-purpose registries, what is not everybody's and not reserved; each release of Python knows other ones.
_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "2001::/23",
            "2001:db8::/32",
            "3fff::/20",
            "fc00::/7",
            "fec0::/10",
        ),
    )
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


class Reach(Enum):
    """From where an address can be reached."""

    PUBLIC = "public"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    LOOPBACK = "loopback"
    METADATA = "metadata service"
    NOWHERE = "not one host's"


@frozen
class Target:
    """A URL that may be asked, as far as it shows.

    :ivar host: its host, in lower case and without brackets.
    :ivar reach: from where it can be reached; None for a name, which has to be looked up.
    """

    url: str = field(repr=redact_url)
    origin: tuple[str, str, int]
    host: str
    reach: Reach | None

    @classmethod
    def parse(cls, url: str, what: str) -> Target:
        """Read a URL that a server named.

        :param what: what it is the URL of, for the error.
        :raises OAuthError: if it is none that may be asked.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            raise OAuthError(f"the URL of {what} cannot be parsed") from None
        origin = None if NOT_IN_URL.search(url) else origin_of(parts)  # None as well where there is userinfo
        if origin is None:
            raise OAuthError(f"the URL of {what} is not an http or https URL without userinfo")
        if origin[0] != "https" and not is_loopback(origin[1]):
            raise OAuthError(f"the URL of {what} is not https: {redact_url(url)}")
        host = origin[1].strip("[]").rstrip(".")
        return cls(parts._replace(fragment="").geturl(), origin, host, _reach_of_host(host, what))


def _reach_of_host(host: str, what: str) -> Reach | None:
    if host == "localhost" or host.endswith(".localhost"):
        return Reach.LOOPBACK
    try:
        return _reach_of_ip(ip_address(host))
    except ValueError:
        pass
    if not host or "%" in host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        # Some resolvers read 127.1, 0x7f.1 and 2130706433 as addresses, and what follows a % as a zone or a character.
        raise OAuthError(f"the host of {what} is neither a name nor an address in its usual form")
    return None


def reach_of(address: str) -> Reach:
    """From where ``address`` can be reached.

    :raises ValueError: if it is no IP address.
    """
    return _reach_of_ip(ip_address(address.partition("%")[0]))


def _reach_of_ip(ip: IPv4Address | IPv6Address) -> Reach:
    ip = _unwrapped(ip)
    if ip in _METADATA_SERVICES:
        return Reach.METADATA
    if ip.is_loopback:
        return Reach.LOOPBACK
    if ip.is_link_local:
        return Reach.LINK_LOCAL
    if ip.is_unspecified or ip.is_multicast:
        return Reach.NOWHERE
    if any(ip in network for network in _NOT_PUBLIC):
        return Reach.PRIVATE
    return Reach.NOWHERE if ip.is_reserved else Reach.PUBLIC


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to, if it does (RFC 4291, 3056, 6052), else ``ip``."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip.packed[:12] == bytes.fromhex("0064ff9b0000000000000000"):
        return IPv4Address(ip.packed[12:])
    return ip.ipv4_mapped or ip.sixtofour or ip


def check_reach(found: Iterable[Reach], server: Iterable[Reach], what: str) -> None:
    """See that what was found may be asked by a client whose MCP server is ``server``.

    :raises OAuthError: if it may not.
    """
    near = set(server) - {Reach.NOWHERE}
    for reach in found:
        if reach is not Reach.PUBLIC and reach not in near:
            raise OAuthError(f"{what} is at a {reach.value} address, where the MCP server is not; it is not asked")
