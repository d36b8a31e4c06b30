"""``WWW-Authenticate``: what servers send, what they should not send, and that neither raises."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpcore.codecs.challenges import Challenge, parse_challenges
from mcpcore.errors import UnauthorizedError

GRAMMAR = [
    pytest.param([], [], id="no field"),
    pytest.param([""], [], id="an empty field"),
    pytest.param(["Bearer"], [Challenge("Bearer")], id="a scheme alone"),
    pytest.param(["bEARER"], [Challenge("bEARER")], id="the scheme as it was sent"),
    pytest.param(['Bearer realm="x"'], [Challenge("Bearer", {"realm": "x"})], id="a quoted parameter"),
    pytest.param(["Bearer realm=x"], [Challenge("Bearer", {"realm": "x"})], id="a token parameter"),
    pytest.param(["Bearer Realm=X"], [Challenge("Bearer", {"realm": "X"})], id="names are lower-cased"),
    pytest.param(['Bearer realm=""'], [Challenge("Bearer", {"realm": ""})], id="an empty value"),
    pytest.param(['Bearer realm \t=\t "x"'], [Challenge("Bearer", {"realm": "x"})], id="space around the sign"),
    pytest.param(["Bearer \t  realm=x \t"], [Challenge("Bearer", {"realm": "x"})], id="space around the whole"),
    pytest.param(
        ['Bearer error="invalid_token", resource_metadata="https://mcp.example/.well-known/x?a=1,2" ,scope="a b"'],
        [
            Challenge(
                "Bearer",
                {
                    "error": "invalid_token",
                    "resource_metadata": "https://mcp.example/.well-known/x?a=1,2",
                    "scope": "a b",
                },
            )
        ],
        id="several parameters, with commas inside",
    ),
    pytest.param(
        [r'Bearer realm="a \"quoted\", \\ and \x", error=e'],
        [Challenge("Bearer", {"realm": r'a "quoted", \ and x', "error": "e"})],
        id="escapes",
    ),
    pytest.param(["Negotiate abc+/~._-9=="], [Challenge("Negotiate", token68="abc+/~._-9==")], id="token68"),
    pytest.param(["Negotiate a="], [Challenge("Negotiate", token68="a=")], id="token68 like half a parameter"),
    pytest.param(
        ['Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'],
        [
            Challenge("Newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
            Challenge("Basic", {"realm": "simple"}),
        ],
        id="two challenges in one field",
    ),
    pytest.param(
        ["Negotiate, Bearer, Negotiate abc, Basic realm=x"],
        [
            Challenge("Negotiate"),
            Challenge("Bearer"),
            Challenge("Negotiate", token68="abc"),
            Challenge("Basic", {"realm": "x"}),
        ],
        id="challenges with and without parameters",
    ),
    pytest.param(
        ["Bearer realm=x", "Basic realm=y"],
        [Challenge("Bearer", {"realm": "x"}), Challenge("Basic", {"realm": "y"})],
        id="several fields",
    ),
    pytest.param(
        ["Bearer realm=x", "error=e"], [Challenge("Bearer", {"realm": "x", "error": "e"})], id="fields are one list"
    ),
    pytest.param(
        [" , ,Bearer realm=x,, ,error=e, "],
        [Challenge("Bearer", {"realm": "x", "error": "e"})],
        id="empty elements",
    ),
]
MISTAKES = [
    pytest.param(["realm=x"], [], id="a parameter of nothing"),
    pytest.param(["realm=x, Bearer"], [Challenge("Bearer")], id="a parameter before its scheme"),
    pytest.param(["Bearer realm=x, realm=y"], [Challenge("Bearer", {"realm": "x"})], id="the first of two counts"),
    pytest.param(["Bearer realm=x, REALM=y"], [Challenge("Bearer", {"realm": "x"})], id="the first, in any case"),
    pytest.param(
        ['Bearer a=1, @@@, ="x", b=, c="1"2, d=3'], [Challenge("Bearer", {"a": "1", "d": "3"})], id="bad elements"
    ),
    pytest.param(['Bearer realm="x'], [Challenge("Bearer")], id="a quote never closed"),
    pytest.param(['Bearer a=1, b="x, Basic c=2'], [Challenge("Bearer", {"a": "1"})], id="it takes the rest"),
    pytest.param(['Bearer a=1, b="x\\', "c=2"], [Challenge("Bearer", {"a": "1", "c": "2"})], id="of its field alone"),
    pytest.param(['Bearer realm="x" error="e"'], [Challenge("Bearer")], id="no comma"),
    pytest.param(["Bearer a b, c=1"], [Challenge("Bearer", {"c": "1"})], id="words"),
    pytest.param(["Bearer\nrealm=x"], [], id="another kind of space"),
    pytest.param(["Bearer realm=x\n"], [Challenge("Bearer")], id="a line feed at the end"),
    pytest.param(["é realm=x", "\ud800", "\0"], [], id="not tokens"),
]


@pytest.mark.parametrize(("values", "expected"), [*GRAMMAR, *MISTAKES])
def test_challenges(values: list[str], expected: list[Challenge]) -> None:
    assert parse_challenges(values) == tuple(expected)


# Anything of a pattern that backs up would take hours for one of these, and run into the test's time limit.
@pytest.mark.parametrize(
    "value",
    [
        '"' * 65_000,
        '"\\"' * 20_000,
        'a="' + "\\" * 65_000,
        'a="' + '\\"' * 30_000 + "\n",
        "a" * 65_000 + "\n",
        "a" + " " * 65_000 + "\n",
        "a " * 30_000 + "\n",
        "Bearer " + "a" * 65_000 + "\n",
        "Bearer " + "a " * 30_000 + "=",
        "Bearer " + "=" * 65_000,
        "Bearer a" + "=" * 65_000 + "\n",
        "Bearer a" + " " * 65_000 + "=" + " " * 65_000 + "\n",
        ('a="' + "x" * 100) * 600,
    ],
    ids=lambda value: repr(value[:12]),
)
def test_nothing_takes_long(value: str) -> None:
    assert len(parse_challenges([value])) <= 1


tokens = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=5)
# Latin-1, as the bound it is: given the codec, hypothesis first tries every code point there is, in each new checkout.
quotable = st.text(st.characters(max_codepoint=0xFF), max_size=8)


@st.composite
def written_challenges(draw: st.DrawFn) -> tuple[Challenge, str]:
    """A challenge, and one of the ways to write it."""
    scheme = draw(tokens)
    if draw(st.booleans()):
        token68 = draw(st.none() | st.from_regex(r"[a-zA-Z0-9\-._~+/]{1,5}={0,2}", fullmatch=True))
        return Challenge(scheme, token68=token68), f"{scheme} {token68}" if token68 else scheme
    parameters = draw(st.dictionaries(tokens.map(str.lower), quotable, min_size=1, max_size=3))
    written = [
        f"{draw(st.sampled_from([name, name.upper()]))}{draw(spaces)}={draw(spaces)}{quote(draw, value)}"
        for name, value in parameters.items()
    ]
    return Challenge(scheme, parameters), f"{scheme} " + draw(separators).join(written)


spaces = st.sampled_from(["", " ", "\t", "  "])
separators = st.sampled_from([",", ", ", " , ", ",,", ",\t, "])


def quote(draw: st.DrawFn, value: str) -> str:
    escape_all = draw(st.booleans())
    return '"' + "".join("\\" + c if escape_all or c in '"\\' else c for c in value) + '"'


@settings(deadline=None)
@given(st.lists(written_challenges(), max_size=4), separators, st.booleans())
def test_what_is_written_well_is_read_back(
    written: list[tuple[Challenge, str]], separator: str, one_field: bool
) -> None:
    values = [text for _, text in written]
    assert parse_challenges([separator.join(values)] if one_field else values) == tuple(c for c, _ in written)


@settings(deadline=None)
@given(st.lists(st.text() | st.text('aB1 \t,="\\/@'), max_size=3))
def test_nothing_raises(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme
        assert all(name == name.lower() for name in challenge.parameters)


SECRET = Challenge("Bearer", {"realm": "the-secret"}, "the-secret")


def test_a_challenge_shows_names_alone() -> None:
    assert repr(SECRET) == "Challenge(scheme='Bearer', parameters={realm: ***})"


def test_a_challenge_compares_by_value() -> None:
    assert Challenge("Bearer", {"A": "1", "b": "2"}) == Challenge("Bearer", {"b": "2", "a": "1"})
    assert Challenge("Bearer", {"a": "1"}) != Challenge("Bearer", {"a": "2"})
    assert Challenge("Bearer", token68="a") != Challenge("Bearer")


def test_a_challenge_is_read_only() -> None:
    parameters = {"realm": "x"}
    challenge = Challenge("Bearer", parameters)
    parameters["realm"] = "y"
    assert challenge.parameters == {"realm": "x"}
    changeable: Any = challenge.parameters
    with pytest.raises(TypeError):
        changeable["realm"] = "y"


def test_a_challenge_pickles_and_copies_also_inside_an_error() -> None:
    assert pickle.loads(pickle.dumps(SECRET)) == SECRET
    assert copy.deepcopy(SECRET) == SECRET
    error = pickle.loads(pickle.dumps(UnauthorizedError("refused", challenges=(SECRET,))))
    assert error.challenges == (SECRET,)
