"""Which part of an operand does a part of a result need?  The axis along which arrays are cut, through an equation.

A loop that computes a slice of a large value at a time (`lower.tiling`) asks which axis of each operand is cut with
the result's, and along which axis a result is whose operand is cut. A sum over the axis that is cut is one of terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from funcgrad.ir.program import Equation
from funcgrad.lower.index import Shape
from funcgrad.ops.contraction import free_axes

SUM = -1  # the axis of what is a sum of all slices' terms
Axis = int | None  # None: the whole of it
REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or"})


class NotCut(Exception):
    """No axis of the operands is cut with the result's."""


def operand_axes(equation: Equation, axis: int) -> tuple[Axis, ...]:
    """Along which axis each operand is cut when the result is cut along `axis`.

    Raises
    ------
    NotCut
        This operation needs more than a slice.
    """
    return _rule(equation)[0](equation, axis)


def result_axis(equation: Equation, operand: int, axis: int) -> int:
    """Along which axis the result is cut when an operand (its number) is cut along `axis`, or `SUM`."""
    return _rule(equation)[1](equation, operand, axis)


def summed_axes(equation: Equation, operand: int, axis: int) -> tuple[Axis, ...]:
    """Along which axis each operand is cut where the result is the sum of terms."""
    if equation.primitive.name != "dot_general":
        return (axis,)
    contracted = equation.params["dimension_numbers"][0]
    place = contracted[operand].index(axis)
    return (contracted[0][place], contracted[1][place])


def resized(equation: Equation, axis: int, size: int) -> dict[str, Any]:
    """The parameters for a result of extent `size` along `axis`."""
    params = dict(equation.params)
    if axis != SUM and "shape" in params:
        shape = params["shape"]
        params["shape"] = (*shape[:axis], size, *shape[axis + 1 :])
    return params


# Rules: (from the result to the operands, from an operand to the result) ----------------------------------------------

Backward = Callable[[Equation, int], tuple[Axis, ...]]
Forward = Callable[[Equation, int, int], int]


def _rule(equation: Equation) -> tuple[Backward, Forward]:
    primitive = equation.primitive
    if primitive.effect or primitive.impure or len(equation.outputs) != 1:
        raise NotCut
    if primitive.scalar is not None:
        return _elementwise
    rule = _reduction if primitive.name in REDUCTIONS else RULES.get(primitive.name)
    if rule is None:
        raise NotCut
    return rule


_elementwise: tuple[Backward, Forward] = (
    lambda e, axis: tuple(axis if a.type.shape else None for a in e.inputs),
    lambda e, operand, axis: axis,
)


def _under_broadcast(e: Equation, axis: int) -> tuple[Axis, ...]:
    dimensions, shape = e.params["broadcast_dimensions"], e.inputs[0].type.shape
    if axis not in dimensions:
        return (None,)
    place = dimensions.index(axis)
    return (place if shape[place] == e.params["shape"][axis] else None,)


def _through_reshape(shape: Shape, result: Shape, axis: int) -> int:
    """The axis of `result` that is `axis` of `shape`."""
    before = math.prod(shape[:axis])
    for k, n in enumerate(result):
        if n == shape[axis] and math.prod(result[:k]) == before:
            return k
    raise NotCut


def _kept(e: Equation) -> list[int]:
    return [k for k in range(e.inputs[0].type.ndim) if k not in e.params["axes"]]


def _over_reduction(e: Equation, operand: int, axis: int) -> int:
    if axis not in e.params["axes"]:
        return _kept(e).index(axis)
    if e.primitive.name != "reduce_sum":
        raise NotCut
    return SUM


def _free(e: Equation) -> tuple[Shape, Shape]:
    (cx, cy), (bx, by) = e.params["dimension_numbers"]
    return free_axes(e.inputs[0].type.ndim, cx, bx), free_axes(e.inputs[1].type.ndim, cy, by)


def _under_product(e: Equation, axis: int) -> tuple[Axis, ...]:
    (bx, by), (fx, fy) = e.params["dimension_numbers"][1], _free(e)
    axes: Sequence[tuple[Axis, Axis]] = [*zip(bx, by, strict=True), *((k, None) for k in fx), *((None, k) for k in fy)]
    return axes[axis]


def _over_product(e: Equation, operand: int, axis: int) -> int:
    contracted, batch = e.params["dimension_numbers"]
    if axis in contracted[operand]:
        return SUM
    if axis in batch[operand]:
        return int(batch[operand].index(axis))
    free = _free(e)
    return len(batch[0]) + operand * len(free[0]) + free[operand].index(axis)


_reduction: tuple[Backward, Forward] = (lambda e, axis: (_kept(e)[axis],), _over_reduction)
RULES: Mapping[str, tuple[Backward, Forward]] = {
    "broadcast_in_dim": (_under_broadcast, lambda e, operand, axis: int(e.params["broadcast_dimensions"][axis])),
    "transpose": (
        lambda e, axis: (e.params["permutation"][axis],),
        lambda e, operand, axis: int(e.params["permutation"].index(axis)),
    ),
    "reshape": (
        lambda e, axis: (_through_reshape(e.params["shape"], e.inputs[0].type.shape, axis),),
        lambda e, operand, axis: _through_reshape(e.inputs[0].type.shape, e.params["shape"], axis),
    ),
    "dot_general": (_under_product, _over_product),
    "iota": (lambda e, axis: (), lambda e, operand, axis: axis),
}
