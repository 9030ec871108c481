"""Are the places that a program reads and writes within bounds?  What is known of integers, and checks where it is not.

Kernels trust indices that ``check_index`` has let through, and those that the library has clamped. A file could hold
a program without the check; so when one is read, the range of every integer is followed through the equations, and an
index that is not proven to be within bounds gets a ``check_index`` of its own. Programs that funcgrad has written need
few of them, if any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Atom, Equation, Literal, Var
from funcgrad.ir.types import ArrayType

Range = tuple[int, int]
Params = dict[str, Any]
INT64, INT32 = np.dtype(np.int64), np.dtype(np.int32)


class Ranges:
    """What is known of a program's integers, by variable."""

    def __init__(self) -> None:
        self._known: dict[Var, Range] = {}

    def constant(self, v: Var, value: np.ndarray) -> None:
        """A known array."""
        if value.dtype.kind in "iu" and value.size:
            self._known[v] = int(value.min()), int(value.max())

    def of(self, atom: Atom) -> Range | None:
        """The range of an integer's values; None for others."""
        if atom.type.dtype.kind not in "iub":
            return None
        if isinstance(atom, Literal):
            return int(atom.value), int(atom.value)
        return self._known.get(atom) or _all(atom.type.dtype)

    def follow(self, equation: Equation) -> None:
        """What an equation's outputs are."""
        rule = _RULES.get(equation.primitive.name)
        if rule is None:
            return
        ranges = [self.of(a) for a in equation.inputs]
        found = rule(equation, ranges)
        for v, r in zip(equation.outputs, found, strict=False):
            if r is not None and v.type.dtype.kind in "iu":
                low, high = _all(v.type.dtype)
                if low <= r[0] and r[1] <= high:
                    self._known[v] = r


def _all(dtype: np.dtype) -> Range:
    if dtype.kind == "b":
        return 0, 1
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max)


Rule = Callable[[Equation, Sequence[Range | None]], Sequence[Range | None]]


def _first(equation: Equation, ranges: Sequence[Range | None]) -> Sequence[Range | None]:
    return ranges[:1]


def _union(first: int) -> Rule:
    def rule(equation: Equation, ranges: Sequence[Range | None]) -> Sequence[Range | None]:
        known = [r for r in ranges[first:] if r is not None]
        if len(known) < len(ranges) - first or not known:
            return ()
        return [(min(r[0] for r in known), max(r[1] for r in known))]

    return rule


def _corners(function: Callable[[int, int], int]) -> Rule:
    """Of a function that is monotonic in each operand."""

    def rule(equation: Equation, ranges: Sequence[Range | None]) -> Sequence[Range | None]:
        x, y = ranges
        if x is None or y is None:
            return ()
        values = [function(a, b) for a in x for b in y]
        return [(min(values), max(values))]

    return rule


def _rem(equation: Equation, ranges: Sequence[Range | None]) -> Sequence[Range | None]:
    x, y = ranges
    if x is None or y is None or y[0] <= 0:
        return ()
    most = y[1] - 1
    return [(0 if x[0] >= 0 else -most, most if x[1] > 0 else 0)]


def _below(size: Callable[[Equation], int], count: int = 1) -> Rule:
    """Numbers from 0 to size - 1."""
    return lambda equation, ranges: [(0, max(size(equation) - 1, 0))] * count


def _arranged(equation: Equation, ranges: Sequence[Range | None]) -> Sequence[Range | None]:
    """Places that kernels keep as they are, or positions."""
    if len(ranges) == 1:
        return _below(_extent("dimension"))(equation, ranges)
    return ranges[1:] if ranges[1] is not None and ranges[1][0] >= 0 and ranges[1][1] < 1 << 32 else ()


def _param(name: str) -> Callable[[Equation], int]:
    return lambda equation: equation.params[name]


def _extent(name: str) -> Callable[[Equation], int]:
    return lambda equation: equation.inputs[0].type.shape[equation.params[name]]


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        "broadcast_in_dim reshape transpose slice rev stop_gradient optimization_barrier name gather dynamic_slice "
        "sort reduce_max reduce_min cummax cummin partition convert_element_type".split(),
        _first,
    ),
    "concatenate": _union(0),
    "pad": _union(0),
    "select": _union(1),
    "add": _corners(lambda a, b: a + b),
    "sub": _corners(lambda a, b: a - b),
    "mul": _corners(lambda a, b: a * b),
    "max": _corners(max),
    "min": _corners(min),
    "rem": _rem,
    "check_index": _below(_param("size")),
    **dict.fromkeys(("check_entry", "check_label"), _below(_param("size"))),
    "iota": _below(lambda equation: equation.params["shape"][equation.params["dimension"]]),
    **dict.fromkeys(("argmax", "argmin"), _below(_extent("axis"))),
    **dict.fromkeys(("argsort", "argpartition", "top_places"), _below(_extent("dimension"))),
    "arrange": _arranged,
    "searchsorted": _below(lambda equation: equation.inputs[0].type.shape[-1] + 1),
    "lu": lambda equation, ranges: (None, *[(0, max(equation.inputs[0].type.shape[-2] - 1, 0))] * 2),
    "lu_pivots_to_permutation": _below(_param("size")),
}


# What must be within bounds: for each operand that is a place, the number of places there ----------------------------


def _axes(first: int) -> Callable[[Sequence[ArrayType], Params], dict[int, int]]:
    def places(types: Sequence[ArrayType], params: Params) -> dict[int, int]:
        if params.get("drop"):
            return {}
        return {first + k: types[0].shape[axis] for k, axis in enumerate(params["axes"])}

    return places


def _starts(types: Sequence[ArrayType], params: Params) -> dict[int, int]:
    sizes = zip(types[0].shape, params["slice_sizes"], strict=True)
    return {1 + k: n - m + 1 for k, (n, m) in enumerate(sizes)}


def _update_starts(types: Sequence[ArrayType], params: Params) -> dict[int, int]:
    sizes = zip(types[0].shape, types[1].shape, strict=True)
    return {2 + k: n - m + 1 for k, (n, m) in enumerate(sizes)}


_PLACES: dict[str, Callable[[Sequence[ArrayType], Params], dict[int, int]]] = {
    "gather": _axes(1),
    **dict.fromkeys(("scatter", "scatter_add", "scatter_max", "scatter_min", "scatter_mul"), _axes(2)),
    "dynamic_slice": _starts,
    "dynamic_update_slice": _update_starts,
    "cond": lambda types, params: {0: len(params["branches"])},
    "lu_pivots_to_permutation": lambda types, params: {0: params["size"]},
}


def checks(equation: Equation, ranges: Ranges) -> tuple[list[Equation], Equation]:
    """Equations that check what is not known to be within bounds, and the equation that reads what they let through."""
    rule = _PLACES.get(equation.primitive.name)
    if rule is None:
        return [], equation
    inputs, before = list(equation.inputs), []
    for number, size in rule([a.type for a in equation.inputs], dict(equation.params)).items():
        found = ranges.of(inputs[number])
        if found is not None and found[0] >= 0 and found[1] < size:
            continue
        for name, params in _checking(inputs[number].type, size):
            out = Var(registry[name].output_types((inputs[number].type,), params)[0])
            before.append(Equation(registry[name], (inputs[number],), (out,), params, equation.source))
            inputs[number] = out
    return before, equation.replace(inputs=tuple(inputs)) if before else equation


def _checking(t: ArrayType, size: int) -> list[tuple[str, Params]]:
    check = ("check_index", {"size": size})
    if t.dtype == INT64:
        return [check]
    return [("convert_element_type", {"dtype": INT64}), check, ("convert_element_type", {"dtype": t.dtype})]
