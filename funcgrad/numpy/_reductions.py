"""NumPy's functions that fold axes: sums, means, extrema, norms."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, axis_numbers, broadcast_shape, broadcast_to, cast, implements, operand
from funcgrad.numpy._folds import truth
from funcgrad.ops import reduction as re
from funcgrad.ops.arithmetic import sqrt
from funcgrad.ops.comparison import eq, select
from funcgrad.ops.complex import imag, real
from funcgrad.ops.shape import reshape, transpose
from funcgrad.trace.frame import type_of

INTP = np.dtype(np.intp)


def _folded(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """The axes that a reduction folds; NumPy lets a 0-d array have an axis 0 here."""
    if not ndim and axis in (0, -1):
        return ()
    return axis_numbers(axis, ndim, name)


def _fold(name: str, primitive: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    shape = type_of(x).shape
    axes = _folded(axis, len(shape), name)
    out = primitive(x, axes=axes) if axes else x
    return reshape(out, shape=tuple(1 if a in axes else n for a, n in enumerate(shape))) if keepdims else out


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    if where is True or where is None:
        return x
    kind = type_of(x)
    mask = truth(operand(where, "where"))
    if broadcast_shape("where", type_of(mask).shape, kind.shape) != kind.shape:
        raise ValueError(f"where: a mask of shape {type_of(mask).shape} does not fit shape {kind.shape}{at_line()}")
    return select(broadcast_to(mask, kind.shape), cast(operand(neutral, "initial"), kind.dtype), x)


def _plain(name: str, out: Any) -> None:
    if out is not None:
        raise TypeError(f"numpy.{name}: out= would write into an array: traced functions are pure{at_line()}")


def _sum_dtype(dtype: np.dtype, wanted: Any) -> np.dtype:
    if wanted is not None:
        given: np.dtype = np.dtype(wanted)
        return given
    if dtype.kind in "bi" and dtype.itemsize < 8:
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The sum over axes."""
    _plain("sum", out)
    a = operand(a, "sum")
    a = cast(a, _sum_dtype(type_of(a).dtype, dtype))
    fold = re.reduce_or if type_of(a).dtype == np.bool_ else re.reduce_sum
    total = _fold("sum", fold, _masked(a, where, 0), axis, keepdims)
    return total if initial is None else total + cast(initial, type_of(total).dtype)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """The product over axes."""
    _plain("prod", out)
    a = operand(a, "prod")
    a = cast(a, _sum_dtype(type_of(a).dtype, dtype))
    fold = re.reduce_and if type_of(a).dtype == np.bool_ else re.reduce_prod
    total = _fold("prod", fold, _masked(a, where, 1), axis, keepdims)
    return total if initial is None else total * cast(initial, type_of(total).dtype)


def _extremum(name: str, primitive: Any, combine: Any) -> Any:
    def extremum(
        a: Any, axis: Any = None, out: None = None, keepdims: bool = False, initial: Any = None, where: Any = None
    ) -> Any:
        _plain(name, out)
        a = operand(a, name)
        dtype = type_of(a).dtype
        if where is not None and where is not True:
            if initial is None:
                raise ValueError(
                    f"reduction operation '{name}' does not have an identity, so to use a where mask one has to "
                    f"specify 'initial'{at_line()}"
                )
            a = _masked(a, where, initial)
        shape = type_of(a).shape
        axes = _folded(axis, len(shape), name)
        if builtins.any(shape[k] == 0 for k in axes):
            if initial is None:
                raise ValueError(f"zero-size array to reduction operation {name}imum which has no identity{at_line()}")
            kept = tuple(1 if k in axes else n for k, n in enumerate(shape) if keepdims or k not in axes)
            return broadcast_to(cast(operand(initial, name), dtype), kept)
        found = _fold(name, primitive, a, axis, keepdims)
        return found if initial is None else combine(found, cast(initial, dtype))

    return extremum


def _combine_max(x: Any, y: Any) -> Any:
    return np.maximum(x, y)


def _combine_min(x: Any, y: Any) -> Any:
    return np.minimum(x, y)


max = implements(np.max)(_extremum("max", re.reduce_max, _combine_max))
min = implements(np.min)(_extremum("min", re.reduce_min, _combine_min))


@implements(np.all)
def all(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """Whether all elements are true."""
    _plain("all", out)
    return _fold("all", re.reduce_and, _masked(truth(operand(a, "all")), where, True), axis, keepdims)


@implements(np.any)
def any(a: Any, axis: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """Whether some element is true."""
    _plain("any", out)
    return _fold("any", re.reduce_or, _masked(truth(operand(a, "any")), where, False), axis, keepdims)


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    n = 1
    for axis in axes:
        n *= shape[axis]
    return n


def _number_of(x: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """How many elements a mean has: a number, or one for each place where a mask says which."""
    kind = type_of(x)
    if where is True or where is None:
        return _count(kind.shape, axis_numbers(axis, kind.ndim, "mean"))
    mask = broadcast_to(truth(operand(where, "where")), kind.shape)
    return sum(mask, axis, np.intp, None, keepdims)


def _divided(total: Any, n: Any) -> Any:
    """A sum over the number of its terms; NaN without terms."""
    dtype = type_of(total).dtype
    if isinstance(n, (int, float)):
        return total / dtype.type(n) if n else total * dtype.type(np.nan)
    return total / cast(n, dtype)


def _mean_dtype(dtype: np.dtype, wanted: Any) -> np.dtype:
    given: np.dtype = np.dtype(wanted) if wanted is not None else np.dtype(np.float64) if dtype.kind in "biu" else dtype
    return given


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """The arithmetic mean over axes (float16 is summed in float32, integers in float64, as NumPy does)."""
    _plain("mean", out)
    a = operand(a, "mean")
    result = _mean_dtype(type_of(a).dtype, dtype)
    inner = np.dtype(np.float32) if result == np.float16 else result
    n = _number_of(a, axis, keepdims, where)
    total = sum(a, axis, inner, keepdims=keepdims, where=where)
    scaled = _divided(total if is_inexact(inner) else cast(total, np.dtype(np.float64)), n)
    return cast(scaled, result)


_mean = mean


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The variance over axes: the mean square distance from the mean."""
    _plain("var", out)
    a = operand(a, "var")
    a = cast(a, _mean_dtype(type_of(a).dtype, dtype))
    if correction is not None and ddof:
        raise ValueError(f"ddof and correction can't be provided simultaneously.{at_line()}")
    freedom = ddof if correction is None else correction
    distance = a - (_mean(a, axis, keepdims=True, where=where) if mean is None else mean)
    squares = square_of_size(distance)
    total = _fold("var", re.reduce_sum, _masked(squares, where, 0), axis, keepdims)
    n = _number_of(a, axis, keepdims, where)
    if isinstance(n, int):
        return total / type_of(total).dtype.type(np.maximum(n - freedom, 0))
    return total / cast(np.maximum(n - freedom, 0), type_of(total).dtype)


def square_of_size(x: Any) -> Any:
    """|x|², without a square root for complex numbers."""
    if type_of(x).dtype.kind != "c":
        return x * x
    re_, im = real(x), imag(x)
    return re_ * re_ + im * im


@implements(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: float | None = None,
) -> Any:
    """The standard deviation over axes."""
    return deviation(var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


def deviation(variance: Any) -> Any:
    """The root of a variance; that of equal numbers has the derivative 0, not the root's infinity times 0."""
    zero = type_of(variance).dtype.type(0)
    constant = eq(variance, zero)
    return select(constant, sqrt(select(constant, variance, zero + 1)), variance)


def _arg(name: str, primitive: Any) -> Any:
    def arg(a: Any, axis: Any = None, out: None = None, *, keepdims: bool = False) -> Any:
        _plain(name, out)
        a = operand(a, name)
        shape = type_of(a).shape
        flat = reshape(a, shape=(type_of(a).size,)) if axis is None or (not shape and axis in (0, -1)) else a
        along = 0 if axis is None or not shape else axis_number(axis, len(shape), name)
        if type_of(flat).shape[along] == 0:
            raise ValueError(f"attempt to get {name} of an empty sequence{at_line()}")
        found = primitive(flat, axis=along, index_dtype=INTP)
        if not keepdims:
            return found
        return reshape(found, shape=tuple(1 if axis is None or k == along else n for k, n in enumerate(shape)))

    return arg


argmax = implements(np.argmax)(_arg("argmax", re.argmax))
argmin = implements(np.argmin)(_arg("argmin", re.argmin))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """How many elements are not zero."""
    return sum(truth(operand(a, "count_nonzero")), axis, keepdims=keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The range: maximum less minimum."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The weighted mean (weights that sum to 0 give NaN or infinities)."""
    a = operand(a, "average")
    kind = type_of(a)
    if weights is None:
        found = mean(a, axis, keepdims=keepdims)
        count = _count(kind.shape, axis_numbers(axis, kind.ndim, "average"))
        return (found, np.full(type_of(found).shape, count, type_of(found).dtype)) if returned else found
    weights = _spread_weights(operand(weights, "average"), kind.shape, axis)
    dtypes = (kind.dtype, type_of(weights).dtype)
    dtype = np.result_type(*dtypes, *((np.float64,) if kind.dtype.kind in "biu" else ()))
    scale = sum(weights, axis, dtype, keepdims=keepdims)
    found = sum(cast(a, dtype) * cast(weights, dtype), axis, keepdims=keepdims) / scale
    return (found, broadcast_to(scale, type_of(found).shape)) if returned else found


def _spread_weights(weights: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Weights in the shape of the array: they have it already, or that of the axes averaged over."""
    have = type_of(weights).shape
    if have == shape:
        return weights
    if axis is None:
        raise TypeError(f"Axis must be specified when shapes of a and weights differ.{at_line()}")
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [axis_number(k, len(shape), "average") for k in given]
    if have != tuple(shape[k] for k in axes):
        raise ValueError(f"Shape of weights must be consistent with shape of a along specified axis.{at_line()}")
    order = sorted(range(len(axes)), key=axes.__getitem__)
    moved = transpose(weights, permutation=tuple(order)) if order != list(range(len(order))) else weights
    return broadcast_to(reshape(moved, shape=tuple(n if k in axes else 1 for k, n in enumerate(shape))), shape)
