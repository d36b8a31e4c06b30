"""Skills (SEP-2640): listed without reading them, and given out only as their entries promise them."""

from __future__ import annotations

import base64
import copy
import hashlib
import pickle
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

import transports
from mcpcore import (
    CallContext,
    ConfigurationError,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    RemoteProtocolError,
    RpcError,
)
from transports.engines.memory import MemoryEngine
from transports.skills import (
    SKILLS,
    Skill,
    SkillFile,
    SkillVerificationError,
    get_skill,
    list_skills,
    load_skill_file,
)
from transports.skills.frontmatter import read_frontmatter
from transports.testing import Answer, ReceivedRequest, Server

URL = "https://mcp.example/mcp"
ROOT = "skill://acme/refunds"
MAIN, GUIDE, LOGO = f"{ROOT}/SKILL.md", f"{ROOT}/references/GUIDE.md", f"{ROOT}/logo.png"
HEAD = {
    "name": "refunds",
    "description": "Refund orders",
    "metadata": {"version": "2.1", "since": "2026-07-28", "n": 1, "tags": ["a", "b"]},
}
TEXT = """---
name: refunds
description: Refund orders
metadata:
  version: "2.1"
  since: 2026-07-28
  n: 1
  tags: [a, b]
---
Ask first.
"""
FILES: dict[str, bytes] = {MAIN: TEXT.encode(), GUIDE: "Größe\n".encode(), LOGO: b"\x89PNG\xff"}


def promise(uri: str, data: bytes) -> dict[str, Any]:
    return {"uri": uri, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data)}


def entry(files: Mapping[str, bytes] = FILES) -> dict[str, Any]:
    return {"uri": MAIN, "frontmatter": copy.deepcopy(HEAD), "resources": [promise(uri, files[uri]) for uri in files]}


class Scene:
    """A server of one skill, whose entry and files are ours to change."""

    def __init__(self, revision: str = "2026-07-28") -> None:
        self.revision = revision
        self.entries: list[Any] = [entry()]
        self.files = dict(FILES)
        self.server = Server()
        self.server.method("skills/list")(self._list)
        self.server.method("skills/get")(lambda _, __: {"skill": self.entries[0]})
        self.server.method("resources/read")(self._read)
        for method in ("server/discover", "initialize"):
            self.server.script(method, self._with_skills, times=None)
        self.pages: dict[str | None, dict[str, Any]] = {}
        self.contents: Any = None

    async def _with_skills(self, request: ReceivedRequest, forward: Any) -> Answer:
        answer: Answer = await forward(request)
        told = b"".join([chunk async for chunk in answer.chunks()])
        extensions = b'"capabilities":{"extensions":{"io.modelcontextprotocol/skills":{}},'
        headers = tuple((name.decode(), value.decode()) for name, value in answer.headers)
        return Answer(answer.status, headers, told.replace(b'"capabilities":{', extensions))

    def _list(self, params: dict[str, Any], _: ReceivedRequest) -> dict[str, Any]:
        return self.pages[params.get("cursor")] if self.pages else {"skills": self.entries}

    def _read(self, params: dict[str, Any], _: ReceivedRequest) -> dict[str, Any]:
        if self.contents is not None:
            return {"contents": self.contents}
        uri, data = params["uri"], self.files[params["uri"]]
        try:
            content = {"text": data.decode()}
        except UnicodeDecodeError:
            content = {"blob": base64.b64encode(data).decode()}
        return {"contents": [{"uri": uri, "mimeType": "text/markdown", **content}]}

    @asynccontextmanager
    async def connected(self, limits: Limits | None = None) -> AsyncIterator[transports.Client]:
        options: dict[str, Any] = {"engine": MemoryEngine(self.server), "protocol_version": self.revision}
        async with transports.connect(URL, extensions=[SKILLS], limits=limits, **options) as client:
            yield client

    def reads(self) -> list[str]:
        return [request.params["uri"] for request in self.server.journal.requests("resources/read")]


@pytest.mark.anyio
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_skill_is_listed_without_reading_it_and_loaded_file_by_file(revision: str) -> None:
    scene, alice = Scene(revision), CallContext(principal="alice")
    async with scene.connected() as client:
        [skill] = await list_skills(client, context=alice)
        assert (skill.uri, skill.name, skill.description, skill.frontmatter) == (MAIN, "refunds", "Refund orders", HEAD)
        assert skill == await get_skill(client, MAIN, context=alice)
        assert scene.reads() == []
        loaded = [await load_skill_file(client, skill, file.uri, context=alice) for file in skill.files or ()]
        assert {file.uri: file.data for file in loaded} == FILES
        main = await load_skill_file(client.bind(alice), skill)
        assert (main.text, main.mime_type) == (TEXT, "text/markdown")
    assert "Ask" not in repr(main)


@pytest.mark.anyio
async def test_all_pages_are_listed_within_the_client_s_limits() -> None:
    scene = Scene()
    async with scene.connected(Limits(pages=5)) as client:
        # In the modern era an empty cursor is one like any other.
        scene.pages = {None: {"skills": [entry()], "nextCursor": ""}, "": {"skills": [entry()]}}
        assert len(await list_skills(client)) == 2
        scene.pages[""]["nextCursor"] = ""
        with pytest.raises(RemoteProtocolError, match="lead back"):
            await list_skills(client)
        scene.pages = {str(page): {"skills": [], "nextCursor": str(page + 1)} for page in range(6)}
        scene.pages[None] = scene.pages.pop("0")
        with pytest.raises(LimitExceeded, match=r"too many pages.*limits\.pages is 5"):
            await list_skills(client)
        scene.pages = {None: {"skills": None}}
        with pytest.raises(RemoteProtocolError, match="not a list"):
            await list_skills(client)


def changed(**fields: Any) -> dict[str, Any]:
    """The entry with other fields; those that are None are missing."""
    return {name: value for name, value in {**entry(), **fields}.items() if value is not None}


DIGEST = "sha256:" + "0" * 64
BAD_ENTRIES = [
    (None, "uri is not that of a SKILL.md"),
    (changed(uri=None), "uri is not that of a SKILL.md"),
    (changed(uri=ROOT), "uri is not that of a SKILL.md"),
    (changed(uri="skill://acme/other/SKILL.md"), "does not end in its name"),
    (changed(frontmatter=None), "lacks a name or a description"),
    (changed(frontmatter={"name": "refunds"}), "lacks a name or a description"),
    (changed(frontmatter={"name": 1, "description": ""}), "lacks a name or a description"),
    (changed(resources="all"), "lack its SKILL.md"),
    (changed(resources=[promise(GUIDE, b"")]), "lack its SKILL.md"),
    (changed(resources=[promise(MAIN, b""), promise(GUIDE, b""), promise(GUIDE, b"x")]), "name a file twice"),
    (changed(resources=[1]), "outside of its directory"),
    (changed(resources=[promise("skill://acme/refunds2/a", b"")]), "outside of its directory"),
    (changed(resources=[promise(f"{ROOT}/../other/a", b"")]), "outside of its directory"),
    (changed(resources=[promise(f"{ROOT}/", b"")]), "outside of its directory"),
    (changed(resources=[{"uri": MAIN}]), "without a digest"),
    (changed(resources=[{"uri": MAIN, "digest": DIGEST.replace("0", "A")}]), "of an unknown kind"),
    (changed(resources=[{"uri": MAIN, "digest": "md5:" + "0" * 32}]), "of an unknown kind"),
    *(
        (changed(resources=[{"uri": MAIN, "digest": DIGEST, "size": size}]), "no number of bytes")
        for size in (-1, "1", True)
    ),
]


@pytest.mark.parametrize(("raw", "complaint"), BAD_ENTRIES)
def test_an_entry_that_breaks_a_rule_is_refused(raw: Any, complaint: str) -> None:
    with pytest.raises(RemoteProtocolError, match=complaint):
        Skill.from_json(raw)


@pytest.mark.anyio
async def test_a_bad_entry_is_left_out_with_a_warning_and_no_answer_for_one(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.entries = [changed(frontmatter=None), entry()]
    async with scene.connected() as client:
        assert [skill.uri for skill in await list_skills(client)] == [MAIN]
        assert caplog.messages == [f"{URL}: a skill is left out: its frontmatter lacks a name or a description"]
        with pytest.raises(RemoteProtocolError, match="cannot be used: its frontmatter lacks"):
            await get_skill(client, MAIN)
        scene.entries = [entry()]
        with pytest.raises(RemoteProtocolError, match="another skill"):
            await get_skill(client, "skill://acme/billing/SKILL.md")


@pytest.mark.anyio
async def test_a_server_that_does_not_offer_skills_is_not_asked_for_them() -> None:
    server = Server()
    async with transports.connect(URL, engine=MemoryEngine(server), extensions=[SKILLS]) as client:
        for asking in (list_skills(client), get_skill(client, MAIN)):
            with pytest.raises(LocalProtocolError, match="does not offer skills"):
                await asking
        with pytest.raises(RpcError):
            await client.request("skills/list")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("uri", "data", "complaint"),
    [
        (GUIDE, "Größe!\n".encode(), "has 9 bytes, where its skill's entry says 8"),
        (GUIDE, "Grüße\n".encode(), "has another digest"),
        (LOGO, b"\x89PNG\xfe", "has another digest"),
        (MAIN, TEXT.replace("Ask first.", "Ask never.").encode(), "has another digest"),
    ],
)
async def test_a_file_of_other_bytes_is_not_given_out(uri: str, data: bytes, complaint: str) -> None:
    scene = Scene()
    scene.files[uri] = data
    async with scene.connected() as client:
        [skill] = await list_skills(client)
        with pytest.raises(SkillVerificationError, match=complaint) as caught:
            await load_skill_file(client, skill, uri)
        assert caught.value.request == f"resources/read {uri!r}"
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert "never" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (TEXT.replace("Refund orders", "Send money"), "something else of 'description'"),
        (TEXT.replace("\nmetadata", "\nallowed-tools: all\nmetadata"), "something else of 'allowed-tools'"),
        (TEXT.replace("  n: 1\n", ""), "something else of 'metadata'"),
        (TEXT.replace("n: 1", "n: true"), "something else of 'metadata'"),
        (TEXT.replace("n: 1", "n: [1]"), "something else of 'metadata'"),
        (TEXT.replace("[a, b]", "[b, a]"), "something else of 'metadata'"),
        (TEXT.replace('"2.1"', "2.1"), "something else of 'metadata'"),
        (TEXT.partition("metadata")[0] + "---\n", "something else of 'metadata'"),
        (TEXT.replace("---\nname", "name"), "no head that can be read"),
        ("---\nname: refunds\n", "no head that can be read"),
    ],
)
async def test_a_skill_whose_head_says_something_else_is_not_loaded(text: str, complaint: str) -> None:
    scene = Scene()
    scene.files[MAIN] = text.encode()
    scene.entries = [entry(scene.files)]
    async with scene.connected() as client:
        [skill] = await list_skills(client)
        with pytest.raises(SkillVerificationError, match=complaint):
            await load_skill_file(client, skill)
        assert (await load_skill_file(client, skill, GUIDE)).data == FILES[GUIDE]


@pytest.mark.anyio
async def test_the_head_of_bytes_that_are_no_text_cannot_be_read() -> None:
    scene = Scene()
    scene.files[MAIN] = b"---\nname: \xff\n---\n"
    scene.entries = [entry(scene.files)]
    async with scene.connected() as client:
        with pytest.raises(SkillVerificationError, match="no head that can be read"):
            await load_skill_file(client, await get_skill(client, MAIN))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        ([], "did not come as the one"),
        ([{"uri": GUIDE, "text": "a"}, {"uri": GUIDE, "text": "a"}], "did not come as the one"),
        ([{"uri": MAIN, "text": FILES[GUIDE].decode()}], "did not come as the one"),
        ([{"uri": GUIDE, "blob": "!"}], "did not come as text or base64"),
    ],
)
async def test_what_does_not_come_as_one_file_is_none(contents: Any, complaint: str) -> None:
    scene = Scene()
    scene.contents = contents
    async with scene.connected() as client:
        with pytest.raises(SkillVerificationError, match=complaint):
            await load_skill_file(client, await get_skill(client, MAIN), GUIDE)


@pytest.mark.anyio
async def test_what_an_entry_does_not_promise_is_not_even_read() -> None:
    scene = Scene()
    async with scene.connected() as client:
        skill = await get_skill(client, MAIN)
        with pytest.raises(SkillVerificationError, match="none of the skill's"):
            await load_skill_file(client, skill, f"{ROOT}/unlisted.md")
        scene.entries = [changed(resources=None)]
        skill = await get_skill(client, MAIN)
        assert (skill.files, skill.file(MAIN)) == (None, None)
        with pytest.raises(SkillVerificationError, match="cannot be verified"):
            await load_skill_file(client, skill)
    assert scene.reads() == []


@pytest.mark.anyio
async def test_a_size_may_be_missing() -> None:
    scene = Scene()
    del scene.entries[0]["resources"][1]["size"]
    async with scene.connected() as client:
        skill = await get_skill(client, MAIN)
        assert skill.file(GUIDE) == SkillFile(GUIDE, entry()["resources"][1]["digest"])
        assert (await load_skill_file(client, skill, GUIDE)).data == FILES[GUIDE]


READ: list[tuple[str, Any]] = [
    *((text, None) for text in ("", "~", "null")),
    *((text, True) for text in ("true", "TRUE")),
    *((text, text) for text in ("yes", "on", "2026-07-28", "12:30", "tRUE", "1_000", "=")),
    *(("010", 10), ("0o17", 15), ("0x1F", 31), ("-5", -5), ("1.50", 1.5), (".5e1", 5.0)),
    *(("'1'", "1"), ("''", ""), ("|\n  a\n  b", "a\nb\n"), (">\n  a\n  b", "a b\n")),
    *(("[1, a]", [1, "a"]), ("{a: {b: []}}", {"a": {"b": []}}), ("&name [1]", [1]), ("{<<: {a: 1}}", {"<<": {"a": 1}})),
]


@pytest.mark.parametrize(("yaml", "value"), READ)
def test_a_head_is_read_as_json_would_have_it(yaml: str, value: Any) -> None:
    read = read_frontmatter(f"---\nfield: {yaml}\n---\nbody")["field"]
    assert (read, type(read)) == (value, type(value))


REFUSED = [
    *("a: &x 1\nb: *x", "a: 1\na: 2", "1: 2", "? [a]\n: 1", "a: !!str 1", "a: !!python/object:os.system {}"),
    *(
        "a: [",
        "- 1",
        "",
        "a: " + "[" * 5_000,
        "a: " + "1" * 5_000,
        "a: \0",
        "a: 1\n...\nb: 2",
        "a: " + "b" * 20_000,
        "- " * 60 + "a",
    ),
]


@pytest.mark.parametrize("head", REFUSED, ids=lambda head: head[:30])
def test_a_head_that_could_be_taken_for_two_things_or_grow_is_refused(head: str) -> None:
    with pytest.raises(ValueError, match="it "):
        read_frontmatter(f"---\n{head}\n---\n")


@pytest.mark.anyio
async def test_without_the_library_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transports.skills.frontmatter", None)
    scene = Scene()
    async with scene.connected() as client:
        with pytest.raises(ConfigurationError, match="extra 'skills'"):
            await load_skill_file(client, await get_skill(client, MAIN))
    assert scene.reads() == []
