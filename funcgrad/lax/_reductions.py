"""JAX's functions that fold axes: sums, extrema, their places, products, and `reduce` with any computation."""

from __future__ import annotations

import operator as _operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.dtypes import ALL, BOOL, INTEGERS, NUMBERS, REALS, DType, is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.types import ArrayType
from funcgrad.lax._arguments import (
    Shape,
    axes_of,
    check_dtype,
    converted,
    dtype_named,
    finished,
    reshaped,
    same_dtype,
    strong,
)
from funcgrad.lax._arguments import operand as checked
from funcgrad.ops import comparison as co
from funcgrad.ops import contraction
from funcgrad.ops import reduction as re
from funcgrad.ops import shape as sh
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.vmap import vmap_values

__all__ = [
    "argmax", "argmin", "batch_matmul", "dot", "dot_general", "reduce", "reduce_and", "reduce_max", "reduce_min",
    "reduce_or", "reduce_prod", "reduce_sum", "reduce_xor",
]  # fmt: skip

BITS = BOOL | INTEGERS
Numbers = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]


def _folded(name: str, operand: Any, axes: Sequence[int], allowed: frozenset[DType], kinds: str) -> tuple[Any, Shape]:
    x = strong(checked(operand, name))
    check_dtype(name, x, allowed, kinds)
    return x, tuple(sorted(axes_of(axes, type_of(x).ndim, name)))


def reduce_sum(operand: Any, axes: Sequence[int], *, out_sharding: None = None) -> Any:
    """The sum over axes, in the dtype of the array.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_sum(np.ones((2, 3)), (0,))
    Array([2., 2., 2.])
    """
    x, along = _folded("reduce_sum", operand, axes, NUMBERS, "integers, floats and complex numbers")
    return finished(re.reduce_sum(x, axes=along) if along else x)


def reduce_prod(operand: Any, axes: Sequence[int]) -> Any:
    """The product over axes, in the dtype of the array.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_prod(np.array([2.0, 3.0]), (0,))
    Array(6.)
    """
    x, along = _folded("reduce_prod", operand, axes, NUMBERS, "integers, floats and complex numbers")
    return finished(re.reduce_prod(x, axes=along) if along else x)


def _infinity(dtype: DType) -> Any:
    return dtype.type(complex(np.inf, np.inf) if dtype.kind == "c" else np.inf)


def least(dtype: DType) -> Any:
    """The number that no other is below (complex numbers are ordered by real part first)."""
    return -_infinity(dtype) if is_inexact(dtype) else dtype.type(dtype.kind != "b" and np.iinfo(dtype).min)


def greatest(dtype: DType) -> Any:
    """The number that no other is above (complex numbers are ordered by real part first)."""
    return _infinity(dtype) if is_inexact(dtype) else dtype.type(dtype.kind == "b" or np.iinfo(dtype).max)


def _extremum(name: str, primitive: Any, operand: Any, axes: Sequence[int], neutral: Any) -> Any:
    x, along = _folded(name, operand, axes, ALL, "any numbers")
    shape = type_of(x).shape
    if any(shape[k] == 0 for k in along):
        return finished(np.full(tuple(n for k, n in enumerate(shape) if k not in along), neutral(type_of(x).dtype)))
    return finished(primitive(x, axes=along) if along else x)


def reduce_max(operand: Any, axes: Sequence[int]) -> Any:
    """The largest element over axes (complex numbers are ordered by real part first); of none, the least number.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_max(np.array([1.0, 3.0]), (0,))
    Array(3.)
    """
    return _extremum("reduce_max", re.reduce_max, operand, axes, least)


def reduce_min(operand: Any, axes: Sequence[int]) -> Any:
    """The smallest element over axes; of none, the greatest number.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_min(np.array([1.0, 3.0]), (0,))
    Array(1.)
    """
    return _extremum("reduce_min", re.reduce_min, operand, axes, greatest)


def reduce_and(operand: Any, axes: Sequence[int]) -> Any:
    """All bits that are set in every element over axes; for bools, whether all are true.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_and(np.array([6, 3]), (0,))
    Array(2)
    """
    x, along = _folded("reduce_and", operand, axes, BITS, "bools and integers")
    if type_of(x).dtype == np.bool_:
        return finished(re.reduce_and(x, axes=along) if along else x)
    return finished(_halved([x], along, lambda a, b: [co.and_(a, b)], [type_of(x).dtype.type(0) - 1])[0])


def reduce_or(operand: Any, axes: Sequence[int]) -> Any:
    """All bits that are set in some element over axes; for bools, whether some are true.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_or(np.array([6, 3]), (0,))
    Array(7)
    """
    x, along = _folded("reduce_or", operand, axes, BITS, "bools and integers")
    if type_of(x).dtype == np.bool_:
        return finished(re.reduce_or(x, axes=along) if along else x)
    return finished(_halved([x], along, lambda a, b: [co.or_(a, b)], [type_of(x).dtype.type(0)])[0])


def reduce_xor(operand: Any, axes: Sequence[int]) -> Any:
    """The bits that are set an odd number of times over axes.

    Returns
    -------
    Array
        The operand's shape without `axes`, in its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> reduce_xor(np.array([6, 3]), (0,))
    Array(5)
    """
    x, along = _folded("reduce_xor", operand, axes, BITS, "bools and integers")
    return finished(_halved([x], along, lambda a, b: [co.xor(a, b)], [type_of(x).dtype.type(0)])[0])


def _place(name: str, primitive: Any, operand: Any, axis: int, index_dtype: Any) -> Any:
    x = strong(checked(operand, name))
    check_dtype(name, x, BOOL | REALS, "bools, integers and floats")
    along, shape, dtype = _operator.index(axis), type_of(x).shape, dtype_named(index_dtype)
    if not 0 <= along < len(shape):
        raise ValueError(f"lax.{name}: invalid axis {along} for an array of shape {shape}{at_line()}")
    if shape[along] == 0:
        raise ValueError(f"lax.{name}: axis {along} of shape {shape} is empty{at_line()}")
    if dtype.kind not in "iu":
        raise TypeError(f"lax.{name}: index_dtype must be an integer dtype, not {dtype.name}{at_line()}")
    return finished(primitive(x, axis=along, index_dtype=dtype))


def argmax(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where along an axis the first of the largest elements stands (or the first NaN).

    Returns
    -------
    Array
        The operand's shape without `axis`, in `index_dtype`.

    Examples
    --------
    >>> import numpy as np
    >>> argmax(np.array([1.0, 3.0, 3.0]), 0, np.int32)
    Array(1, dtype=int32)
    """
    return _place("argmax", re.argmax, operand, axis, index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any) -> Any:
    """Where along an axis the first of the smallest elements stands (or the first NaN).

    Returns
    -------
    Array
        The operand's shape without `axis`, in `index_dtype`.

    Examples
    --------
    >>> import numpy as np
    >>> argmin(np.array([1.0, 3.0, 0.0]), 0, np.int32)
    Array(2, dtype=int32)
    """
    return _place("argmin", re.argmin, operand, axis, index_dtype)


# Any computation ------------------------------------------------------------------------------------------------------

# the equation of the computation: the fold that it means, and what changes nothing
MONOIDS: dict[str, tuple[Callable[..., Any], Callable[[DType], Any]]] = {
    "add": (reduce_sum, lambda dtype: dtype.type(0)),
    "mul": (reduce_prod, lambda dtype: dtype.type(1)),
    "max": (reduce_max, least),
    "min": (reduce_min, greatest),
    "and": (reduce_and, lambda dtype: ~dtype.type(0)),
    "or": (reduce_or, lambda dtype: dtype.type(0)),
    "xor": (reduce_xor, lambda dtype: dtype.type(0)),
}


def reduce(
    operands: Any,
    init_values: Any,
    computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
    out_sharding: None = None,
) -> Any:
    """Axes folded by any associative computation.

    Sums, products, extrema and bitwise operations are recognised and done at once.  Anything else is folded by halves,
    all pairs at a time: log2(n) steps, whose order of operations is fixed.

    Parameters
    ----------
    operands, init_values
        An array and a number of its dtype that changes nothing (0 for a sum), or equal pytrees of such.
    computation
        A function of two numbers (or of two pytrees of numbers), associative and commutative.
    dimensions
        The axes to fold.
    out_sharding
        None: there is one machine.

    Returns
    -------
    pytree of Array
        As `operands`, without the given axes.

    Raises
    ------
    ValueError
        Operands differ in shape, or have not one initial value each.

    Examples
    --------
    >>> import numpy as np
    >>> reduce(np.arange(6.0).reshape(2, 3), 0.0, lambda x, y: x + y, (0,))
    Array([3., 5., 7.])
    >>> reduce((np.array([1.0, 5.0]), np.array([2.0, 3.0])), (0.0, 0.0), lambda x, y: (x[0] + y[0], x[1] + y[1]), (0,))
    (Array(6.), Array(5.))
    """
    leaves, structure = tree.flatten(operands)
    xs = [strong(checked(x, "reduce")) for x in leaves]
    inits = tree.leaves(init_values)
    if not xs or len(inits) != len(xs) or len({type_of(x).shape for x in xs}) != 1:
        listed = ", ".join(str(type_of(x)) for x in xs)
        raise ValueError(f"lax.reduce: operands {listed} must have one shape, and one initial value each{at_line()}")
    starts = [_start(x, init) for x, init in zip(xs, inits, strict=True)]
    axes = tuple(sorted(axes_of(dimensions, type_of(xs[0]).ndim, "reduce", "dimensions")))

    def combine(*flat: Any) -> list[Any]:
        left, right = (tree.unflatten(structure, part) for part in (flat[: len(xs)], flat[len(xs) :]))
        return [strong(v) for v in tree.leaves(computation(left, right))]

    known = _monoid(combine, xs)
    if known is not None:
        fold, primitive = known
        total = fold(xs[0], axes)
        neutral = type(starts[0]) is not Tracer and starts[0] == MONOIDS[primitive.name][1](type_of(xs[0]).dtype)
        found = [total if neutral else finished(primitive(total, starts[0]))]
    else:
        found = [finished(x) for x in _general(combine, xs, starts, axes)]
    return tree.unflatten(structure, found)


def _start(x: Any, init: Any) -> Any:
    kind, own = type_of(x), type_of(checked(init, "reduce"))
    if own.shape or (own.dtype != kind.dtype and not own.weak):
        raise TypeError(f"lax.reduce: an initial value of type {own} must be a number of {kind.dtype.name}{at_line()}")
    return converted(init, kind.dtype) if type(init) is Tracer else kind.dtype.type(init)


def _monoid(combine: Callable[..., Any], xs: list[Any]) -> tuple[Callable[..., Any], Any] | None:
    """The fold that the computation means, where it is one operation on its two arguments."""
    if len(xs) != 1:
        return None
    scalar = ArrayType((), type_of(xs[0]).dtype)
    program, captured = trace(combine, [scalar, scalar])
    if captured or len(program.equations) != 1 or program.outputs != program.equations[0].outputs:
        return None
    (equation,) = program.equations
    known = MONOIDS.get(equation.primitive.name)
    if known is None or set(equation.inputs) != set(program.inputs) or type_of(xs[0]).dtype.kind == "c":
        return None
    return known[0], equation.primitive


def _general(combine: Callable[..., Any], xs: list[Any], starts: list[Any], axes: Shape) -> list[Any]:
    def together(*flat: Any) -> list[Any]:
        shape = type_of(flat[0]).shape
        size = int(np.prod(shape, dtype=int))
        found = vmap_values(combine, size, [reshaped(x, (size,)) for x in flat], [True] * len(flat))
        for x, out in zip(flat, found, strict=False):
            if type_of(out).dtype != type_of(x).dtype or type_of(out).shape != (size,):
                raise TypeError(
                    f"lax.reduce: the computation gives {type_of(out)} for numbers of {type_of(x)}{at_line()}"
                )
        return [reshaped(out, shape) for out in found]

    totals = _halved(xs, axes, together, starts)
    spread = [
        sh.broadcast_in_dim(s, shape=type_of(t).shape, broadcast_dimensions=())
        for s, t in zip(starts, totals, strict=True)
    ]
    return together(*spread, *totals)


def _halved(xs: list[Any], axes: Shape, together: Callable[..., list[Any]], neutral: list[Any]) -> list[Any]:
    """Arrays folded along axes: one half with the other, until one element is left."""
    shape = type_of(xs[0]).shape
    rest = tuple(k for k in range(len(shape)) if k not in axes)
    order, kept = (*axes, *rest), tuple(shape[k] for k in rest)
    n = int(np.prod([shape[k] for k in axes], dtype=int))
    moved = xs if order == tuple(range(len(shape))) else [sh.transpose(x, permutation=order) for x in xs]
    lines = [reshaped(x, (n, *kept)) for x in moved]
    if n == 0:
        return [sh.broadcast_in_dim(v, shape=kept, broadcast_dimensions=()) for v in neutral]
    while n > 1:
        half = n // 2
        low, high = ([_rows(x, a, b) for x in lines] for a, b in ((0, half), (half, 2 * half)))
        folded = together(*low, *high)
        odd = [_rows(x, 2 * half, n) for x in lines] if n % 2 else []
        lines = [sh.concatenate(f, o, dimension=0) for f, o in zip(folded, odd, strict=True)] if odd else folded
        n = half + n % 2
    return [reshaped(x, kept) for x in lines]


def _rows(x: Any, start: int, stop: int) -> Any:
    shape = type_of(x).shape
    low, high = (start, *(0,) * (len(shape) - 1)), (stop, *shape[1:])
    return sh.slice_(x, start_indices=low, limit_indices=high, strides=(1,) * len(shape))


# Products of arrays ---------------------------------------------------------------------------------------------------


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Numbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    *,
    out_sharding: None = None,
) -> Any:
    """The sum product over pairs of axes, with batch axes in common.

    Parameters
    ----------
    lhs, rhs
        Arrays of one dtype.
    dimension_numbers
        ``((contracted axes of lhs, of rhs), (batch axes of lhs, of rhs))``.
    precision
        Not needed: products are done in the dtype of the operands.
    preferred_element_type
        The dtype of the result; where it is wider the operands are converted before.
    out_sharding
        None: there is one machine.

    Returns
    -------
    Array
        The batch axes, then what is left of `lhs`, then of `rhs`; in the operands' dtype, or in
        `preferred_element_type`.

    Raises
    ------
    TypeError
        The shapes do not fit along the axes named.

    Examples
    --------
    >>> import numpy as np
    >>> dot_general(np.ones((4, 2, 3)), np.ones((4, 3)), (((2,), (1,)), ((0,), (0,)))).shape
    (4, 2)
    """
    name = "dot_general"
    x, y = (strong(checked(v, name)) for v in (lhs, rhs))
    if preferred_element_type is None:
        x, y = same_dtype(name, x, y, tip="tensordot")
    else:
        wide = np.result_type(type_of(x).dtype, type_of(y).dtype, dtype_named(preferred_element_type))
        x, y = converted(x, wide), converted(y, wide)
    (cx, cy), (bx, by) = dimension_numbers
    nx, ny = type_of(x).ndim, type_of(y).ndim
    left, right = axes_of((*cx, *bx), nx, name, "axes of lhs"), axes_of((*cy, *by), ny, name, "axes of rhs")
    sx, sy = type_of(x).shape, type_of(y).shape
    if len(cx) != len(cy) or len(bx) != len(by) or [sx[k] for k in left] != [sy[k] for k in right]:
        raise TypeError(f"lax.dot_general: shapes {sx} and {sy} do not fit along {dimension_numbers}{at_line()}")
    numbers = tuple(tuple(tuple(map(_operator.index, axes)) for axes in pair) for pair in dimension_numbers)
    out = _product(x, y, numbers)
    return finished(out if preferred_element_type is None else converted(out, dtype_named(preferred_element_type)))


def _product(x: Any, y: Any, numbers: Any) -> Any:
    """A product, of bools too: whether some pair is true in both."""
    if type_of(x).dtype != np.bool_:
        return contraction.dot_general(x, y, dimension_numbers=numbers)
    wide = [converted(v, np.dtype(np.float32)) for v in (x, y)]
    return co.ne(contraction.dot_general(*wide, dimension_numbers=numbers), np.float32(0))


def dot(
    lhs: Any,
    rhs: Any,
    *,
    dimension_numbers: Numbers | None = None,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: None = None,
) -> Any:
    """The product of vectors and matrices, or with `dimension_numbers` what `dot_general` does.

    Returns
    -------
    Array
        Without the axes that are summed over; in the operands' dtype, or in `preferred_element_type`.

    Raises
    ------
    TypeError
        The shapes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> dot(np.arange(3.0), np.ones(3))
    Array(3.)
    """
    x, y = checked(lhs, "dot"), checked(rhs, "dot")
    sx, sy = type_of(x).shape, type_of(y).shape
    if dimension_numbers is None:
        if not (1 <= len(sx) <= 2 and 1 <= len(sy) <= 2) or sx[-1] != sy[0]:
            raise TypeError(f"lax.dot: incompatible shapes {sx} and {sy}: vectors and matrices that fit{at_line()}")
        dimension_numbers = (((len(sx) - 1,), (0,)), ((), ()))
    return dot_general(x, y, dimension_numbers, precision, preferred_element_type)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """The products of two stacks of matrices, one for one.

    Returns
    -------
    Array
        Of shape (..., n, m), in the operands' dtype.

    Raises
    ------
    ValueError
        The operands have fewer than 2 axes, or not equally many.

    Examples
    --------
    >>> import numpy as np
    >>> batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    x, y = checked(lhs, "batch_matmul"), checked(rhs, "batch_matmul")
    n, m = type_of(x).ndim, type_of(y).ndim
    if min(n, m) < 2 or n != m:
        raise ValueError(
            f"lax.batch_matmul: arguments need two axes or more, and equally many, not {n} and {m}{at_line()}"
        )
    stack = tuple(range(n - 2))
    return dot_general(x, y, (((n - 1,), (n - 2,)), (stack, stack)))
