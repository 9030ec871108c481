"""What does a file's header say of a function?  `Content`: structures, types, sizes, decisions, and the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.export.constraints import Constraint, constraint
from funcgrad.export.container import MOST_AXES, MOST_BYTES, dtype_code, dtype_of, refuse
from funcgrad.export.guards import Guard, read_guard, write_guard
from funcgrad.export.samples import MOST_SYMBOLS
from funcgrad.export.sizes import Size, Sizes, read_size, write_size
from funcgrad.export.symbolic import Spec
from funcgrad.export.trees import read_tree, write_tree

Json = Any
KEYS = {
    "name",
    "in_tree",
    "out_tree",
    "in",
    "out",
    "symbols",
    "constraints",
    "guards",
    "holes",
    "example",
    "rules",
    "body",
}


class Content(NamedTuple):
    """What a file says of one function; `holes` and what follows are empty where no size is symbolic."""

    name: str
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    body: Json
    arrays: Sequence[np.ndarray]
    rules: tuple[str, ...]
    names: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    guards: tuple[Guard, ...] = ()
    holes: Json = ()
    example: Sizes = {}  # noqa: RUF012  (never changed)


def write_content(c: Content, first: int) -> Json:
    """The entry of a function in a file's header, whose constants are the arrays from `first` on."""
    body = dict(c.body)
    body["programs"] = [
        p | {"constants": [[t, array + first] for t, array in p["constants"]]} for p in body["programs"]
    ]
    return {
        "name": c.name,
        "in_tree": write_tree(c.in_tree),
        "out_tree": write_tree(c.out_tree),
        "in": list(map(_write_spec, c.inputs)),
        "out": list(map(_write_spec, c.outputs)),
        "symbols": list(c.names),
        "constraints": list(map(str, c.constraints)),
        "guards": list(map(write_guard, c.guards)),
        "holes": list(c.holes),
        "example": [c.example[name] for name in c.names],
        "rules": list(c.rules),
        "body": body,
    }


def _write_spec(spec: Spec) -> Json:
    shape = [write_size(n) if isinstance(n, Size) else n for n in spec.shape]
    return [dtype_code(spec.dtype), shape, int(spec.weak)]


def _read_spec(data: Json, names: Sequence[str]) -> Spec:
    if not isinstance(data, list) or len(data) != 3 or not isinstance(data[1], list) or len(data[1]) > MOST_AXES:
        refuse("the type of an argument or result is damaged")
    shape: list[int | Size] = []
    for extent in data[1]:
        whole = type(extent) is int
        if whole and not 0 <= extent < MOST_BYTES:
            refuse("an extent is out of range")
        shape.append(extent if whole else read_size(extent, names))
    if type(data[2]) is not int or data[2] not in (0, 1):
        refuse("the type of an argument or result is damaged")
    return Spec(tuple(shape), dtype_of(data[0]), bool(data[2]))


def _texts(data: Any, most: int) -> list[str]:
    if not isinstance(data, list) or len(data) > most or not all(isinstance(x, str) and len(x) < 1024 for x in data):
        refuse("a list of texts is damaged")
    return data


def read_content(entry: Json, arrays: Sequence[np.ndarray]) -> Content:
    """What a file's header says of a function; its program is not looked at."""
    if not isinstance(entry, dict) or set(entry) != KEYS:
        refuse("what is said of a function is not what should be")
    names = _texts(entry["symbols"], MOST_SYMBOLS)
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        refuse("the symbols are damaged")
    if not isinstance(entry["name"], str) or not entry["name"].isprintable() or len(entry["name"]) > 1024:
        refuse("the function's name is damaged")
    for key in ("in", "out", "guards", "holes", "example"):
        if not isinstance(entry[key], list):
            refuse(f"the list of {key} is missing")
    constraints = _read_constraints(_texts(entry["constraints"], 256), names)
    example = entry["example"]
    if len(example) != len(names) or not all(type(n) is int and 0 < n < MOST_BYTES for n in example):
        refuse("the example of sizes is damaged")
    content = Content(
        entry["name"], read_tree(entry["in_tree"]), read_tree(entry["out_tree"]),
        tuple(_read_spec(s, names) for s in entry["in"]), tuple(_read_spec(s, names) for s in entry["out"]),
        entry["body"], arrays, tuple(_texts(entry["rules"], 1 << 20)), tuple(names), constraints,
        tuple(read_guard(g, names) for g in entry["guards"]), entry["holes"], dict(zip(names, example, strict=True)),
    )  # fmt: skip
    if content.in_tree.num_leaves != len(content.inputs) or content.out_tree.num_leaves != len(content.outputs):
        refuse("the structures of arguments or results do not fit their types")
    if content.in_tree.type is not tuple or content.in_tree.num_children != 2:
        refuse("the structure of the arguments is damaged")
    if [child.type for child in content.in_tree.children()] != [tuple, dict]:
        refuse("the structure of the arguments is damaged")
    return content


def _read_constraints(texts: Sequence[str], names: Sequence[str]) -> tuple[Constraint, ...]:
    try:
        found = tuple(map(constraint, texts))
    except ValueError as error:
        refuse(f"a constraint is damaged ({error})")
    if any(c.names - set(names) for c in found):
        refuse("a constraint of unknown sizes")
    return found
