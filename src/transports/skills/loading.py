"""A file of a skill, read and verified (SEP-2640, Integrity and verification).

What comes back from :func:`load_skill_file` has the size and the digest that the skill's entry promises; a ``SKILL.md``
also has a head that says what the entry says, field by field.  Anything else is an error, and its content goes nowhere.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore import ConfigurationError, RemoteProtocolError, TextResourceContents
from mcpcore.codecs.shapes import as_list, as_object
from mcpcore.redaction import redact_url, repr_of_name

from ..verbs import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcpcore import CallContext, ReadResourceResult

    from ..verbs import Timeout, Verbs
    from .entries import Skill, SkillFile


class SkillVerificationError(RemoteProtocolError):
    """A file of a skill is not what the skill's entry promised, so it was not given out.

    Perhaps the skill has changed: :func:`get_skill` tells what it is now.  That is another skill than the one that a
    person may have approved.
    """


@frozen
class LoadedFile:
    """A file of a skill, as its entry promised it.

    :ivar uri: what it was read by.
    :ivar mime_type: what the server calls its content, or None; not verified.
    :ivar data: its bytes.
    """

    uri: str = field(repr=redact_url)
    mime_type: str | None
    data: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """Its bytes as text.

        :raises UnicodeDecodeError: if they are no UTF-8.
        """
        return self.data.decode()


async def load_skill_file(
    client: Verbs,
    skill: Skill,
    uri: str | None = None,
    *,
    context: CallContext | None = None,
    timeout: Timeout = UNSET,
) -> LoadedFile:
    """Read one file of a skill and verify it.

    :param skill: from :func:`list_skills` or :func:`get_skill`; better the very entry that was approved.
    :param uri: one of the skill's files; its ``SKILL.md`` if None.
    :raises SkillVerificationError: if it is not what the entry promised, or is not in the entry.
    :raises mcpcore.McpError: if it cannot be read.
    """
    uri = skill.uri if uri is None else uri
    promised = skill.file(uri)
    if promised is None:
        why = "is none of the skill's" if skill.files is not None else "cannot be verified: its skill lists no files"
        raise _failure(uri, why)
    read_head = _head_reader() if uri == skill.uri else None
    # Asked anew, because what is kept may be older than the entry.
    file = _only_part(uri, await client.read_resource(uri, context=context, timeout=timeout, cache="refresh"))
    _check_bytes(file, promised)
    if read_head is not None:
        _check_head(file, skill, read_head)
    return file


def _failure(uri: str, why: str) -> SkillVerificationError:
    return SkillVerificationError(f"the file {why}", request=f"resources/read {repr_of_name(uri)}")


def _head_reader() -> Callable[[str], dict[str, Any]]:
    """What reads the head of a ``SKILL.md``.  The library that it takes is imported here, not before."""
    try:
        from .frontmatter import read_frontmatter
    except ImportError as missing:
        raise ConfigurationError(
            "loading a skill needs the package pyyaml; install mcpcore with its extra 'skills'"
        ) from missing
    return read_frontmatter


def _only_part(uri: str, result: ReadResourceResult) -> LoadedFile:
    """The file, which is the one part of what was read."""
    if len(result.contents) != 1 or result.contents[0].uri != uri:
        raise _failure(uri, "did not come as the one that it is")
    [part] = result.contents
    try:
        data = part.text.encode() if isinstance(part, TextResourceContents) else part.decoded()
    except (UnicodeEncodeError, RemoteProtocolError):
        raise _failure(uri, "did not come as text or base64") from None
    return LoadedFile(uri, part.mime_type, data)


def _check_bytes(file: LoadedFile, promised: SkillFile) -> None:
    if promised.size is not None and len(file.data) != promised.size:
        raise _failure(file.uri, f"has {len(file.data)} bytes, where its skill's entry says {promised.size}")
    if "sha256:" + hashlib.sha256(file.data).hexdigest() != promised.digest:
        raise _failure(file.uri, "has another digest than its skill's entry says")


def _check_head(file: LoadedFile, skill: Skill, read_head: Callable[[str], dict[str, Any]]) -> None:
    try:
        head = read_head(file.text)
    except ValueError as error:
        raise _failure(file.uri, f"has no head that can be read: {error}") from None
    for name in sorted(head.keys() | skill.frontmatter.keys()):
        if name not in head or name not in skill.frontmatter or not _is_same(head[name], skill.frontmatter[name]):
            raise _failure(file.uri, f"says something else of {name[:100]!r} than its skill's entry")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; true is no number, and 1 is 1.0."""
    ones, others = as_object(one), as_object(other)
    if ones is not None and others is not None:
        return ones.keys() == others.keys() and all(_is_same(ones[name], others[name]) for name in ones)
    left, right = as_list(one), as_list(other)
    if left is not None and right is not None:
        return len(left) == len(right) and all(map(_is_same, left, right))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
