"""What a server says of its skills: entries, one by one or as a list (SEP-2640, Discovery).

An entry is read strictly, because it is what a file is verified against and what a person approves: one that breaks a
rule is left out of a list with a warning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from mcpcore import Extension, Listing, LocalProtocolError, RemoteProtocolError
from mcpcore.codecs.shapes import as_list, as_object, as_text, is_integer
from mcpcore.redaction import redact_url

from ..verbs import UNSET

if TYPE_CHECKING:
    from mcpcore import CallContext

    from ..verbs import Seconds, Verbs

_NAME = "io.modelcontextprotocol/skills"
SKILLS = Extension(_NAME)
"""For ``connect(extensions=[SKILLS])``: says that the client knows of skills."""

_MAIN_FILE = "/SKILL.md"
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


@frozen
class SkillFile:
    """One file of a skill, as its entry promises it.

    :ivar uri: what it is read by.
    :ivar digest: ``sha256:`` and the digest of its bytes, in hexadecimal digits.
    :ivar size: how many bytes it has, or None if the entry does not say.
    """

    uri: str = field(repr=redact_url)
    digest: str
    size: int | None = None


@frozen
class Skill:
    """One skill, as the server describes it.

    :ivar uri: of its ``SKILL.md``; what it is known by.
    :ivar frontmatter: the head of its ``SKILL.md``, which has at least a ``name`` and a ``description``.
    :ivar files: all of its files, or None if it is made on demand; then nothing of it can be verified.
    """

    uri: str = field(repr=redact_url)
    frontmatter: dict[str, Any] = field(repr=False)
    files: tuple[SkillFile, ...] | None

    @property
    def name(self) -> str:
        """What it is called; another skill, or another server's, may be called the same."""
        return str(self.frontmatter["name"])

    @property
    def description(self) -> str:
        """What it is for, for a model to read."""
        return str(self.frontmatter["description"])

    def file(self, uri: str) -> SkillFile | None:
        """What the entry promises of one file, or None if it is no file of the skill's."""
        return next((file for file in self.files or () if file.uri == uri), None)

    @classmethod
    def from_json(cls, raw: object) -> Skill:
        """Read one entry.

        :raises RemoteProtocolError: if it breaks a rule (SEP-2640, Frontmatter, Skill URIs and Resources).
        """
        entry = as_object(raw) or {}
        uri, frontmatter = as_text(entry.get("uri")), as_object(entry.get("frontmatter"))
        if not uri or not uri.endswith(_MAIN_FILE):
            raise RemoteProtocolError("its uri is not that of a SKILL.md")
        name = as_text((frontmatter or {}).get("name"))
        if frontmatter is None or not name or as_text(frontmatter.get("description")) is None:
            raise RemoteProtocolError("its frontmatter lacks a name or a description")
        root = uri.removesuffix(_MAIN_FILE)
        if re.split("[/:]", root)[-1] != name:
            raise RemoteProtocolError(f"its uri does not end in its name, {name[:100]!r}")
        files = None if "resources" not in entry else _read_files(entry["resources"], uri, root + "/")
        return cls(uri, frontmatter, files)


def _read_files(raw: object, main: str, root: str) -> tuple[SkillFile, ...]:
    files = tuple(_read_file(item, root) for item in as_list(raw) or ())
    uris = [file.uri for file in files]
    if uris.count(main) != 1 or len(set(uris)) < len(uris):
        raise RemoteProtocolError("its resources lack its SKILL.md, or name a file twice")
    return files


def _read_file(raw: object, root: str) -> SkillFile:
    item = as_object(raw) or {}
    uri, digest, size = as_text(item.get("uri")), as_text(item.get("digest")), item.get("size")
    if uri is None or not uri.startswith(root) or {"", ".", ".."} & set(uri.removeprefix(root).split("/")):
        raise RemoteProtocolError("it has a file outside of its directory")
    if digest is None or not _DIGEST.fullmatch(digest):
        raise RemoteProtocolError("it has a file without a digest, or with one of an unknown kind")
    if size is not None and not (is_integer(size) and size >= 0):
        raise RemoteProtocolError("it has a file whose size is no number of bytes")
    return SkillFile(uri, digest, size)


_ENTRIES = Listing("skills/list", "skills", "skill", lambda _, raw: Skill.from_json(raw))


async def list_skills(client: Verbs, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> list[Skill]:
    """List the skills that the server offers this identity, all pages, without reading any file of theirs.

    A server need not list all that it has: see :func:`get_skill`.  Skills of one list may share a name.

    :param timeout: seconds for each request.
    :raises mcpcore.LocalProtocolError: if the server does not offer skills.
    :raises mcpcore.McpError: if it cannot be done.
    """
    await _check_offered(client, context, timeout)
    return [skill async for skill in client.iterate(_ENTRIES, context=context, timeout=timeout)]


async def get_skill(client: Verbs, uri: str, *, context: CallContext | None = None, timeout: Seconds = UNSET) -> Skill:
    """What the server says now of one skill, whether or not it lists it.

    :param uri: of its ``SKILL.md``.
    :raises mcpcore.LocalProtocolError: if the server does not offer skills.
    :raises mcpcore.RpcError: if it has no such skill.
    :raises mcpcore.McpError: if it cannot be done.
    """
    await _check_offered(client, context, timeout)
    result = await client.request("skills/get", {"uri": uri}, context=context, timeout=timeout)
    try:
        skill = Skill.from_json(result.get("skill"))
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"the server's entry for a skill cannot be used: {error.message}") from None
    if skill.uri != uri:
        raise RemoteProtocolError("the server's entry is for another skill than was asked for")
    return skill


async def _check_offered(client: Verbs, context: CallContext | None, timeout: Seconds) -> None:
    """See that the server has said that it knows of skills, as no other is to be asked about them."""
    told = await client.open(context=context, timeout=timeout)
    if _NAME not in (told.capabilities.extensions or {}):
        raise LocalProtocolError(f"the server does not offer skills ({_NAME})")
