"""The revisions of the protocol, and what each one permits.

One table.  Code asks it what a revision does; nothing else in the library compares version strings.

Revisions come in two *eras* (2026-07-28, "Versioning and Compatibility", Terminology): in the handshake era an
``initialize`` request opens a session; in the modern era every request carries its own metadata and there is no
session.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from mcpcore.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Era(Enum):
    """How a server and its client agree on what they are speaking."""

    HANDSHAKE = "handshake"
    MODERN = "modern"


@frozen(kw_only=True)
class Revision:
    """What one revision of the protocol permits over HTTP."""

    name: str
    era: Era
    batches: bool = False
    """Whether JSON-RPC batches may be received."""
    version_header: bool = True
    """Whether requests carry ``MCP-Protocol-Version``."""
    notifications: bool = True
    """Whether a client may send notifications."""
    ping: bool = True
    """Whether the revision has ``ping``."""
    cache_hints: bool = False
    """Whether results say for how long and for whom they may be kept."""
    resumable: bool = False
    """Whether a broken event stream can be taken up by a GET with ``Last-Event-ID``."""
    input_rounds: bool = False
    """Whether a server asks by results that require input, instead of requests of its own."""
    elicitation: bool = False
    """Whether a server may ask a person to fill in a form."""
    elicitation_modes: bool = False
    """Whether clients say which modes of elicitation they can do; then a URL is one, too."""
    sampling_tools: bool = False
    """Whether a model that is sampled may be given tools."""
    output_schemas: bool = False
    """Whether tools say what their structured results look like."""
    extensions: bool = False
    """Whether clients and servers declare extensions."""


def _table(*revisions: Revision) -> Mapping[str, Revision]:
    return {revision.name: revision for revision in revisions}


REVISIONS: Mapping[str, Revision] = _table(
    Revision(name="2024-11-05", era=Era.HANDSHAKE, version_header=False),
    Revision(name="2025-03-26", era=Era.HANDSHAKE, version_header=False, batches=True, resumable=True),
    Revision(name="2025-06-18", era=Era.HANDSHAKE, resumable=True, elicitation=True, output_schemas=True),
    Revision(
        name="2025-11-25",
        era=Era.HANDSHAKE,
        resumable=True,
        elicitation=True,
        elicitation_modes=True,
        sampling_tools=True,
        output_schemas=True,
    ),
    Revision(
        name="2026-07-28",
        era=Era.MODERN,
        notifications=False,
        ping=False,
        cache_hints=True,
        input_rounds=True,
        elicitation=True,
        elicitation_modes=True,
        sampling_tools=True,
        output_schemas=True,
        extensions=True,
    ),
)
"""Every revision that this library speaks, oldest first."""


def newest(era: Era, names: Iterable[str] | None = None) -> Revision | None:
    """The newest revision of ``era`` that we speak, among ``names`` if given; None if there is none."""
    allowed = REVISIONS.keys() if names is None else frozenset(names)
    return next((r for r in reversed(list(REVISIONS.values())) if r.era is era and r.name in allowed), None)


MODERN = REVISIONS["2026-07-28"]
"""What the probe for the era is made in."""
HANDSHAKE = REVISIONS["2025-11-25"]
"""What ``initialize`` asks for."""


def revision_named(name: str) -> Revision:
    """The revision that a user pinned.

    :raises ConfigurationError: if we do not speak it.
    """
    if name not in REVISIONS:
        raise ConfigurationError(f"protocol_version must be one of {', '.join(REVISIONS)}")
    return REVISIONS[name]
