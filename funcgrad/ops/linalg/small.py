"""How are small matrices computed?  Written out, element by element: a stack of them is then a loop without calls.

Every function takes stacks of n x n matrices apart into n * n arrays and works on those, so that a kernel holds one
matrix (or a vector register full of them) in registers. Elimination exchanges rows by choices between elements, never
by branches: partial pivoting costs (n - 1) comparisons per column. What LAPACK reports as a failure is a check here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Values, registry
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import abs_, sqrt
from funcgrad.ops.comparison import gt, select
from funcgrad.ops.families import zeros_like
from funcgrad.ops.linalg.factorizations import NOT_POSITIVE
from funcgrad.ops.linalg.solves import SINGULAR, check_nonzero, check_positive
from funcgrad.ops.shape import concatenate, reshape
from funcgrad.trace.frame import type_of

Elements = list[list[Any]]
ALWAYS, LARGEST = 4, 8  # extents up to which matrices are written out: any, and those of stacks
STACKS = {5: 32, 6: 32, 7: 1024, 8: 1024}  # by extent, matrices that are worth compiling a kernel (0.2 to 1 s) for
MOST_COLUMNS = 16  # of right sides


def is_small(types: tuple[ArrayType, ...]) -> bool:
    """Whether loops over matrices of these types are better than LAPACK."""
    n, count = types[0].shape[-1], int(np.prod(types[0].shape[:-2], dtype=int))
    small = 0 < n <= ALWAYS or (n in STACKS and count >= STACKS[n])
    sides = types[-1].shape[-1] <= MOST_COLUMNS and min(types[-1].shape[-2:]) > 0
    return small and sides and count > 0 and types[0].dtype.kind == "f"


def _taken_apart(x: Any) -> Elements:
    rows, columns = type_of(x).shape[-2:]
    return [[x[..., i, j] for j in range(columns)] for i in range(rows)]


def _put_together(elements: Elements) -> Any:
    """The stack of matrices of these elements."""
    shape = type_of(elements[0][0]).shape
    flat = [reshape(x, shape=(*shape, 1)) for row in elements for x in row]
    joined = concatenate(*flat, dimension=len(shape)) if len(flat) > 1 else flat[0]
    return reshape(joined, shape=(*shape, len(elements), len(elements[0])))


# Elimination ----------------------------------------------------------------------------------------------------------


def _exchange(rows: Elements, others: list[Elements], k: int) -> Any:
    """Bring the row with the largest element of column k to place k; the sign that this gives a determinant."""
    sign = None
    for i in range(k + 1, len(rows)):
        swap = gt(abs_(rows[i][k]), abs_(rows[k][k]))
        for table, first in ((rows, k), *((other, 0) for other in others)):
            for j in range(first, len(table[k])):
                upper, lower = table[k][j], table[i][j]
                table[k][j], table[i][j] = select(swap, upper, lower), select(swap, lower, upper)
        one = type_of(rows[k][k]).dtype.type(1)
        turned = select(swap, one, -one)
        sign = turned if sign is None else sign * turned
    return sign


def _eliminated(rows: Elements, sides: Elements) -> None:
    """Make `rows` upper triangular, doing the same to `sides`."""
    n = len(rows)
    for k in range(n):
        _exchange(rows, [sides], k)
        rows[k][k] = check_nonzero(rows[k][k], message=SINGULAR)
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            for j in range(k + 1, n):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
            for j in range(len(sides[i])):
                sides[i][j] = sides[i][j] - factor * sides[k][j]


def _back_substituted(rows: Elements, sides: Elements) -> None:
    """Solve by the triangle that `_eliminated` leaves."""
    for k in reversed(range(len(rows))):
        for j in range(len(sides[k])):
            total = sides[k][j]
            for i in range(k + 1, len(rows)):
                total = total - rows[k][i] * sides[i][j]
            sides[k][j] = total / rows[k][k]


def _solve(rows: Elements, sides: Elements) -> Elements:
    _eliminated(rows, sides)
    _back_substituted(rows, sides)
    return sides


def _inv(rows: Elements) -> Elements:
    zero = zeros_like(rows[0][0])
    sides = [[zero + type_of(zero).dtype.type(i == j) for j in range(len(rows))] for i in range(len(rows))]
    return _solve(rows, sides)


# Determinants and cofactors -------------------------------------------------------------------------------------------


def _minor(rows: Elements, i: int, j: int) -> Elements:
    return [[x for c, x in enumerate(row) if c != j] for r, row in enumerate(rows) if r != i]


def _expansion(rows: Elements) -> Any:
    """Laplace's expansion along the first row, for extents up to 3."""
    if len(rows) == 1:
        return rows[0][0]
    if len(rows) == 2:
        return rows[0][0] * rows[1][1] - rows[0][1] * rows[1][0]
    terms = [rows[0][j] * _expansion(_minor(rows, 0, j)) for j in range(len(rows))]
    return terms[0] - terms[1] + terms[2]


def _det(rows: Elements) -> Elements:
    if len(rows) <= 3:
        return [[_expansion(rows)]]
    sign = _eliminated_safely(rows)
    out = rows[0][0]
    for k in range(1, len(rows)):
        out = out * rows[k][k]
    return [[out * sign]]


def _eliminated_safely(rows: Elements) -> Any:
    """Elimination that leaves zeros below a pivot of zero (all of the column is zero then), instead of NaN."""
    n, sign = len(rows), None
    for k in range(n - 1):
        turned = _exchange(rows, [], k)
        sign = turned if sign is None else sign * turned
        pivot = rows[k][k]
        one = type_of(pivot).dtype.type(1)
        safe = select(pivot == one * 0, pivot, one)
        for i in range(k + 1, n):
            factor = rows[i][k] / safe
            for j in range(k + 1, n):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
    return sign


def _cofactors(rows: Elements) -> Elements:
    n = len(rows)
    if n == 1:
        zero = zeros_like(rows[0][0])
        return [[zero + type_of(zero).dtype.type(1)]]
    out = [[_expansion(_minor(rows, i, j)) for j in range(n)] for i in range(n)]
    return [[-x if (i + j) % 2 else x for j, x in enumerate(row)] for i, row in enumerate(out)]


# Triangles ------------------------------------------------------------------------------------------------------------


def _cholesky(rows: Elements) -> Elements:
    """Column by column; a pivot that is not positive is what LAPACK would report."""
    n = len(rows)
    zero = zeros_like(rows[0][0])
    out: Elements = [[zero] * n for _ in range(n)]
    for j in range(n):
        pivot = rows[j][j]
        for k in range(j):
            pivot = pivot - out[j][k] * out[j][k]
        out[j][j] = sqrt(check_positive(pivot, message=NOT_POSITIVE))
        for i in range(j + 1, n):
            total = rows[i][j]
            for k in range(j):
                total = total - out[i][k] * out[j][k]
            out[i][j] = total / out[j][j]
    return out


def _triangular_solve(
    rows: Elements,
    sides: Elements,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Elements:
    if transpose_a != (not left_side):  # x op(a) = b is op(a)^T x^T = b^T
        rows, lower = [list(column) for column in zip(*rows, strict=True)], not lower
    sides = sides if left_side else [list(column) for column in zip(*sides, strict=True)]
    n = len(rows)
    for k in range(n) if lower else reversed(range(n)):
        for j in range(len(sides[k])):
            total = sides[k][j]
            for i in range(k) if lower else range(k + 1, n):
                total = total - rows[k][i] * sides[i][j]
            sides[k][j] = total if unit_diagonal else total / rows[k][k]
    return sides if left_side else [list(row) for row in zip(*sides, strict=True)]


# Declarations --------------------------------------------------------------------------------------------------------

FORMULAS: dict[str, Callable[..., Elements]] = {
    "solve": _solve,
    "inv": _inv,
    "det": _det,
    "cofactors": _cofactors,
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
}
"""Of elements of the operands, those of the result."""

EXPANDED = {"solve": 4, "inv": 4, "det": 4, "cofactors": 4}
"""Beyond these extents there are too many operations to be fused with others: `lower.small` makes kernels of them."""


def _written_out(name: str) -> Callable[..., Any]:
    def expand(types: tuple[ArrayType, ...], params: dict[str, Any]) -> Callable[..., Values] | None:
        if not is_small(types) or types[0].shape[-1] > EXPANDED.get(name, LARGEST):
            return None

        def function(*operands: Any) -> Values:
            out = FORMULAS[name](*map(_taken_apart, operands), **params)
            return (out[0][0] if name == "det" else _put_together(out),)

        return function

    return expand


for _name in FORMULAS:
    registry[_name].expand = _written_out(_name)
