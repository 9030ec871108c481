"""NumPy's functions that fold axes: sums, means, extrema, norms."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, axis_numbers, broadcast_to, cast, implements, operand
from funcgrad.numpy._ufuncs import _truth
from funcgrad.ops import reduction as re
from funcgrad.ops.arithmetic import sqrt
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.shape import reshape
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
    return select(broadcast_to(_truth(where), kind.shape), kind.dtype.type(neutral), x)


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
    total = _fold("sum", re.reduce_sum, _masked(a, where, 0), axis, keepdims)
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
    total = _fold("prod", re.reduce_prod, _masked(a, where, 1), axis, keepdims)
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
            return np.full(kept, initial, dtype)
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
def all(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """Whether all elements are true."""
    _plain("all", out)
    return _fold("all", re.reduce_and, _truth(operand(a, "all")), axis, keepdims)


@implements(np.any)
def any(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """Whether some element is true."""
    _plain("any", out)
    return _fold("any", re.reduce_or, _truth(operand(a, "any")), axis, keepdims)


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    n = 1
    for axis in axes:
        n *= shape[axis]
    return n


@implements(np.mean)
def mean(a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The arithmetic mean over axes (float16 is summed in float32, integers in float64, as NumPy does)."""
    _plain("mean", out)
    a = operand(a, "mean")
    kind = type_of(a)
    result = np.dtype(dtype) if dtype is not None else np.dtype(np.float64) if kind.dtype.kind in "biu" else kind.dtype
    inner = np.dtype(np.float32) if result == np.float16 else result
    n = _count(kind.shape, axis_numbers(axis, kind.ndim, "mean"))
    total = _fold("mean", re.reduce_sum, cast(a, inner), axis, keepdims)
    scaled = total / inner.type(n) if n else total * inner.type(np.nan)
    return scaled if inner == result else convert(scaled, dtype=result)


@implements(np.var)
def var(a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The variance over axes: the mean square distance from the mean."""
    _plain("var", out)
    a = operand(a, "var")
    kind = type_of(a)
    a = cast(
        a, np.dtype(dtype) if dtype is not None else np.dtype(np.float64) if kind.dtype.kind in "biu" else kind.dtype
    )
    distance = a - mean(a, axis, keepdims=True)
    n = _count(kind.shape, axis_numbers(axis, kind.ndim, "var"))
    total = _fold("var", re.reduce_sum, distance * distance, axis, keepdims)
    return total / type_of(a).dtype.type(np.maximum(n - ddof, 0))


@implements(np.std)
def std(a: Any, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """The standard deviation over axes."""
    return sqrt(var(a, axis, dtype, out, ddof, keepdims))


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
    return sum(_truth(operand(a, "count_nonzero")), axis, keepdims=keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The range: maximum less minimum."""
    return max(a, axis, out, keepdims) - min(a, axis, out, keepdims)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The weighted mean."""
    if returned:
        raise TypeError(
            f"numpy.average: returned=True is not supported on traced arrays: divide sums yourself{at_line()}"
        )
    axis_numbers(axis, type_of(a).ndim, "average")
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    return sum(a * weights, axis, keepdims=keepdims) / sum(weights + 0 * a, axis, keepdims=keepdims)
