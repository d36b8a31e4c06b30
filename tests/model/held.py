"""What does a client still hold of calls that are over?  A search through its objects, as the garbage collector sees.

Configuration may be secret and is held for good; what a call brought along is not.  So every secret of a call has a
text of its own (see :mod:`.callers`), and any string, in text or in bytes, that holds one is reported with the way that
leads to it.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from .model import Call, Model

SECRETS = re.compile(rb"tok-fixed-\w+|tok-\d+|hdr-\d+|cookie-\d+|sid-\d+")
_NOT_SEARCHED = (ModuleType, type, BuiltinFunctionType, int, float, re.Pattern)


def found(root: object, is_ours: Callable[[object], bool]) -> Iterator[tuple[str, list[object]]]:
    """Each secret that is reachable from ``root``, and the objects on the way to it.

    :param is_ours: whether an object belongs to the test, so that nothing behind it counts.
    """
    seen: set[int] = {id(root)}
    todo: list[Any] = [(root, None)]
    while todo:
        way = todo.pop()
        for child in _referents(way[0]):
            if id(child) in seen or isinstance(child, _NOT_SEARCHED) or is_ours(child):
                continue
            seen.add(id(child))
            if isinstance(child, str | bytes | bytearray):
                data = child.encode("utf-8", "replace") if isinstance(child, str) else child
                for secret in SECRETS.findall(data):
                    yield secret.decode(), list(_objects((child, way)))
            else:
                todo.append((child, way))


def _referents(item: object) -> list[object]:
    """What an object refers to; of the client's functions only what they enclose."""
    if isinstance(item, FunctionType):
        return [cell for cell in item.__closure__ or () if item.__module__.startswith("mcpcore")]
    return gc.get_referents(item)


def _objects(way: Any) -> Iterator[object]:
    while way is not None:
        yield way[0]
        way = way[1]


def check_nothing_is_held(client: object, model: Model, is_ours: Callable[[object], bool]) -> None:
    """Fail if ``client`` holds a secret of a call that is over."""
    model.counts["searches for secrets"] += 1
    for secret, way in found(client, is_ours):
        if secret.startswith("sid-"):
            if type(way[1]).__name__ == "Session":
                continue
        elif any(call.operations for call in _whose(secret, model)):
            continue
        path = " < ".join(type(item).__name__ for item in way)
        model.fail("a secret of a call that is over is held", detail=f"{secret} in {path}")


def _whose(secret: str, model: Model) -> list[Call]:
    """The calls that a secret may be held for."""
    kind, _, rest = secret.partition("-")
    if secret.startswith("tok-fixed-"):
        return [call for call in model.calls if call.operations and rest[6:] in (call.caller.name, call.caller.alias)]
    number = int(rest)
    return [model.calls[number] if kind == "hdr" else model.resolutions[number].call]
