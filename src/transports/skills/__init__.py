"""Skills that a server offers: instructions for a model, with the files that belong to them.

The extension ``io.modelcontextprotocol/skills`` (SEP-2640), written against what anybody can use: a client's
``open``, ``iterate`` and ``request``, and an :class:`mcpcore.Extension` that says that the client knows it::

    async with transports.connect(url, extensions=[SKILLS]) as client:
        for skill in await list_skills(client):
            file = await load_skill_file(client, skill)

Nothing is fetched ahead of need: a list brings what is known of skills, and a file is read when it is asked for.  What
is read is verified against the entry of its skill and given out only if it is what the entry promised.  That says that
list and file belong together; it does not say that either can be trusted, because both come from the server.

Reading the head of a ``SKILL.md`` takes the extra ``skills``.
"""

from .entries import SKILLS, Skill, SkillFile, get_skill, list_skills
from .loading import LoadedFile, SkillVerificationError, load_skill_file

__all__ = [
    "SKILLS",
    "LoadedFile",
    "Skill",
    "SkillFile",
    "SkillVerificationError",
    "get_skill",
    "list_skills",
    "load_skill_file",
]
