"""Which transpositions are worth a pass of their own?  Large ones that loops would read against the grain.

A transposition is a view: whoever reads it computes another index. Where neighbours in the loop lie far apart in
memory, each read fetches a cache line for one element; turning the array first, block by block, costs about as much as
a copy. Products are told of transposed operands by flags and never come here.
"""

from __future__ import annotations

from typing import NamedTuple

from funcgrad.ir.program import Equation
from funcgrad.lower.index import Shape, contiguous_strides

SMALLEST = 2**16  # elements
NARROWEST = 8  # elements along the axes that are exchanged
SIZES = (1, 2, 4, 8)  # bytes of an element that the kernel knows


class Turn(NamedTuple):
    """A batch of matrices that are transposed.

    Attributes
    ----------
    rows, columns
        Extent and strides (of the operand, of the result) of the axis along which the operand lies in order, and of the
        one along which the result does.
    outer
        The same of up to two other axes.
    """

    rows: tuple[int, int, int]
    columns: tuple[int, int, int]
    outer: tuple[tuple[int, int, int], ...]


def turn(equation: Equation) -> Turn | None:
    """A large transposition as one of matrices."""
    if equation.primitive.name != "transpose":
        return None
    (x,) = equation.inputs
    if x.type.size < SMALLEST or x.type.dtype.itemsize not in SIZES:
        return None
    axes = _merged(x.type.shape, equation.params["permutation"])
    *rest, columns = axes
    rows = next((a for a in rest if a[1] == 1), None)
    if rows is None or len(rest) > 3 or min(rows[0], columns[0]) < NARROWEST:
        return None
    return Turn(rows, columns, tuple(a for a in rest if a is not rows))


def _merged(shape: Shape, permutation: Shape) -> list[tuple[int, int, int]]:
    """The axes of the result, those that stay side by side as one: extents and strides."""
    strides = contiguous_strides(shape)
    found: list[tuple[int, int]] = []
    for k in permutation:
        n, stride = shape[k], strides[k]
        if n == 1:
            continue
        if found and found[-1][1] == stride * n:
            found[-1] = (found[-1][0] * n, stride)
        else:
            found.append((n, stride))
    own = contiguous_strides(tuple(n for n, _ in found))
    return [(n, stride, step) for (n, stride), step in zip(found, own, strict=True)]
