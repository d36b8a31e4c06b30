"""How much work a schema can make, found out before it makes any.

A schema of a few lines can keep any validator busy for years: let each of thirty definitions refer to the next one
twice.  So :func:`check_expansion` goes through a schema as a validator would (2026-07-28, "Overview",
Composition-Keyword Resource Use), writes out each reference where it stands, and counts.

A reference back to what is being gone through (a list of lists, a tree) is not written out.  It is harmless as long as
each value in an instance is visited once by it: the left and the right child of a tree are two values, but two
references below ``anyOf`` to the whole may visit the same child twice, its children four times, and so on.  So the
ways into the instance by which two references lead back must part, to different members or elements.

What is ``unevaluated`` can only be told by going through the schemas beside that keyword again, and through those below
them again, and so on; so where that keyword is, these count several times.

Only references within the schema are followed, ``#`` and what comes after it.  Any other is refused: it leads to
another document, which nobody is to fetch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from attrs import define, field, frozen

from mcpcore.codecs.shapes import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_ANCHORS = ("$anchor", "$dynamicAnchor")
_LISTS = frozenset({"allOf", "anyOf", "oneOf"})
_SINGLES = frozenset({"not", "if", "then", "else"})
_MAPS = frozenset({"dependentSchemas", "dependencies"})
_UNEVALUATED = frozenset({"unevaluatedProperties", "unevaluatedItems"})
_REPEATED = 4
_DEEPEST = 100
_SUBSCHEMA = 50
"""What it takes to go through one subschema, in comparisons of two ways."""
_TEXT = 64


@frozen
class _Step:
    """From a value to those within it that a subschema applies to.

    :ivar within: ``"object"`` or ``"array"``.
    :ivar key: the one member or element that is meant; None for several.
    :ivar beside: the schema whose named members or elements are left out, if there is one.
    """

    within: str
    key: str | int | None = None
    beside: int | None = None

    def meets(self, other: _Step) -> bool:
        """Whether both may lead to the same value."""
        if self.within != other.within:
            return False
        if self.key is None or other.key is None:
            return self.key is other.key or self.beside is None or self.beside != other.beside
        return self.key == other.key


@define
class _Visit:
    """A subschema that is being gone through.

    :ivar depth: how many steps into the instance it was reached by.
    :ivar returns: the ways into the instance by which references back lead from it to itself again.
    """

    depth: int
    returns: list[list[_Step]] = field(factory=list[list[_Step]], init=False)


def check_expansion(schema: dict[str, Any], most: int) -> int:
    """Refuse a schema that can make too much work.

    :param most: how many subschemas it may be, each counted as often as it is referred to.
    :returns: about how many it is.
    :raises ValueError: saying in what way it is too much.
    """
    expansion = _Expansion(schema, most * _SUBSCHEMA)
    expansion.visit(schema)
    return most - expansion.left // _SUBSCHEMA


def check_extent(value: Any, most: int) -> None:
    """Refuse a value that has too many parts to be held against a schema.

    :param most: how many; so much of a long text is one, too.
    :raises ValueError: if it has more.
    """
    parts = [value]
    while parts:
        part = parts.pop()
        most -= 1 + len(part) // _TEXT if isinstance(part, str) else 1
        if most < 0:
            raise ValueError("has too many parts to be held against such a schema")
        parts += as_list(part) or (as_object(part) or {}).values()


@define
class _Expansion:
    """One way through a schema.

    :ivar left: how much work may still be made.
    """

    _root: dict[str, Any] = field(repr=False)
    left: int
    _weight: int = field(default=1, init=False)
    _steps: list[_Step] = field(factory=list[_Step], init=False)
    _visits: dict[int, _Visit] = field(factory=dict[int, _Visit], init=False)
    _anchors: dict[str, Any] | None = field(default=None, init=False, repr=False)
    _targets: dict[str, Any] = field(factory=dict[str, Any], init=False, repr=False)

    def visit(self, schema: Any) -> None:
        """Go through ``schema`` and all below it."""
        node = as_object(schema)
        if node is None:
            return
        self._spend(_SUBSCHEMA * self._weight)
        self._check(node)
        weight = self._weight
        self._visits[id(node)] = _Visit(len(self._steps))
        for keyword, value in node.items():
            self._weight = weight * (_REPEATED if _UNEVALUATED & node.keys() else 1)
            if keyword in _REFERENCES:
                self._follow(value)
            for child in _in_place(keyword, value):
                self.visit(child)
            self._weight = weight
            for step, child in _inside(node, keyword, value):
                self._steps.append(step)
                self.visit(child)
                self._steps.pop()
        del self._visits[id(node)]

    def _spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise ValueError("is too large, with all its references written out")

    def _check(self, node: dict[str, Any]) -> None:
        if len(self._visits) >= _DEEPEST:
            raise ValueError("is nested too deep, with all its references written out")
        if "$id" in node and node is not self._root:
            raise ValueError("has another schema embedded, with an $id of its own")

    def _follow(self, reference: Any) -> None:
        target = self._find(reference)
        if id(target) in self._visits:
            self._note_return(id(target))
        else:
            self.visit(target)

    def _note_return(self, target: int) -> None:
        """Take note of a reference back, at all that it leads through."""
        places = list(self._visits)
        start = self._visits[target].depth
        if start == len(self._steps):
            raise ValueError("refers to itself without end")
        for place in places[places.index(target) :]:
            visit = self._visits[place]
            way = self._steps[visit.depth :] + self._steps[start : visit.depth]
            self._spend(len(visit.returns))
            if any(all(map(_Step.meets, way, other)) for other in visit.returns):
                raise ValueError("refers back to itself in two ways at once")
            visit.returns.append(way)

    def _find(self, reference: Any) -> Any:
        """What a reference refers to."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ValueError("refers to another document, which is not fetched")
        if reference not in self._targets:
            # Each is looked up once, however often it is come by: it may be as long as the whole schema.
            self._targets[reference] = self._look_up(reference)
        return self._targets[reference]

    def _look_up(self, reference: str) -> Any:
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            if self._anchors is None:
                self._anchors = _named(self._root)
            return self._anchors.get(fragment)
        found: Any = self._root
        for part in fragment.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if (items := as_list(found)) is not None:
                found = items[int(name)] if name.isdecimal() and int(name) < len(items) else None
            else:
                found = (as_object(found) or {}).get(name)
        return found


def _in_place(keyword: str, value: Any) -> list[Any]:
    """The subschemas under one keyword that apply to the same value as the whole."""
    if keyword in _LISTS:
        return as_list(value) or []
    if keyword in _SINGLES:
        return [value]
    return list((as_object(value) or {}).values()) if keyword in _MAPS else []


def _inside(node: dict[str, Any], keyword: str, value: Any) -> Iterator[tuple[_Step, Any]]:
    """The subschemas under one keyword that apply to members or elements, each with the step that leads there."""
    members, elements = as_object(value) or {}, as_list(value) or []
    match keyword:
        case "properties":
            yield from ((_Step("object", name, id(node)), child) for name, child in members.items())
        case "patternProperties":
            yield from ((_Step("object"), child) for child in members.values())
        case "additionalProperties":
            yield _Step("object", beside=id(node)), value
        case "unevaluatedProperties" | "propertyNames":
            yield _Step("object"), value
        case "prefixItems" | "items" if elements:
            yield from ((_Step("array", index, id(node)), child) for index, child in enumerate(elements))
        case "items" | "additionalItems":
            yield _Step("array", beside=id(node)), value
        case "unevaluatedItems" | "contains":
            yield _Step("array"), value
        case _:
            return


def _named(root: dict[str, Any]) -> dict[str, Any]:
    """The subschemas that have a name of their own."""
    named: dict[str, Any] = {}
    for name, node in _anchored(root):
        if named.setdefault(name, node) is not node:
            raise ValueError("gives one name to two of its parts")
    return named


def _anchored(value: Any) -> Iterator[tuple[str, Any]]:
    if (node := as_object(value)) is not None:
        for keyword in _ANCHORS:
            if isinstance(name := node.get(keyword), str):
                yield name, node
    for child in as_list(value) or (node or {}).values():
        yield from _anchored(child)
