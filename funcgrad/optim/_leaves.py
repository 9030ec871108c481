"""How does an optimiser go through trees?  Leaf by leaf, with errors that name the place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad import tree
from funcgrad.array import Array
from funcgrad.dtypes import FLOATS
from funcgrad.errors import at_line
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer


def arrays(values: Any) -> Any:
    """The tree with Python numbers as arrays."""
    return tree.map(lambda x: x if isinstance(x, (Tracer, _np.ndarray)) else np.asarray(x), values)


def owned(results: Any, arguments: Any) -> Any:
    """Known results as `Array`s, none of which is an argument or there twice."""
    taken = {id(x) for x in tree.leaves(arguments)}

    def own(x: Any) -> Any:
        if type(x) is Tracer or not isinstance(x, (_np.ndarray, _np.generic, int, float, complex)):
            return x
        again = id(x) in taken
        taken.add(id(x))
        keep.append(x)  # an id is taken only as long as its object lives
        return (_np.array(x) if again else _np.asarray(x)).view(Array)

    keep: list[Any] = []
    return tree.map(own, results)


def map_trees(f: Callable[..., Any], first: Any, *rest: Any) -> Any:
    """`f` applied leaf by leaf; trees that do not match are an error that names the place."""
    leaves, structure = tree.flatten(first)
    try:
        others = [structure.flatten_up_to(other) for other in rest]
    except ValueError:
        for other in rest:
            check_structure("tree_map", first, other, "other trees")
        raise
    return tree.unflatten(structure, [f(*leaf) for leaf in zip(leaves, *others, strict=True)])


def with_dtypes_of(before: Any, after: Any) -> Any:
    """What became of a tree, in the dtypes that it had: Python numbers widen bfloat16, but loops carry states, and
    branches must agree.
    """
    old, structure = tree.flatten(before)
    new, new_structure = tree.flatten(after)
    if structure != new_structure:
        return after
    same = [in_dtype(y, dtype_of(x)) if is_float(x) and is_float(y) else y for x, y in zip(old, new, strict=True)]
    return tree.unflatten(structure, same)


def is_float(x: Any) -> bool:
    """Whether a leaf is a float."""
    return (type(x) is Tracer or isinstance(x, (_np.ndarray, _np.generic))) and dtype_of(x) in FLOATS


def in_dtype(x: Any, dtype: _np.dtype) -> Any:
    """`x` in a dtype."""
    return x if dtype_of(x) == dtype else x.astype(dtype)


def check_match(name: str, updates: Any, other: Any, what: str) -> None:
    """Raise unless both trees have the same structure and shapes."""
    mine, structure = tree.flatten(updates)
    others, other_structure = tree.flatten(other)
    if structure != other_structure:
        check_structure(name, updates, other, what)
    for k, (x, y) in enumerate(zip(mine, others, strict=True)):
        if shape_of(x) != shape_of(y):
            where = tree.keystr(tree.leaves_with_path(updates)[k][0])
            raise ValueError(
                f"{name}: updates{where} has shape {shape_of(x)}, but {what}{where} has shape {shape_of(y)}{at_line()}"
            )


def check_structure(name: str, updates: Any, other: Any, what: str) -> None:
    """Raise if one tree has a leaf that the other has not, or nodes of other kinds."""
    mine = [tree.keystr(path) for path, _ in tree.leaves_with_path(updates)]
    others = [tree.keystr(path) for path, _ in tree.leaves_with_path(other)]
    missing, surplus = sorted(set(others) - set(mine)), sorted(set(mine) - set(others))
    if missing or surplus:
        parts = [f"updates have no leaf {_listed(missing)}"] if missing else []
        parts += [f"{what} have no leaf {_listed(surplus)}"] if surplus else []
        raise ValueError(f"{name}: updates and {what} have different structures: {' and '.join(parts)}{at_line()}")
    if tree.structure(updates) != tree.structure(other):
        raise ValueError(
            f"{name}: updates and {what} have different structures: {tree.structure(updates)} "
            f"and {tree.structure(other)}{at_line()}"
        )


def _listed(paths: list[str], most: int = 3) -> str:
    shown = ", ".join(path or "(the root)" for path in paths[:most])
    return shown if len(paths) <= most else f"{shown} and {len(paths) - most} more"


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of a leaf."""
    return type_of(x).shape if type(x) is Tracer else _np.shape(x)


def dtype_of(x: Any) -> _np.dtype:
    """The dtype of a leaf."""
    return type_of(x).dtype
