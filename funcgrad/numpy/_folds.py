"""How is a function of two operands folded over an array?  `reduce` and `accumulate` of universal functions, traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_numbers, cast, operand
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.ops.comparison import ne, select
from funcgrad.ops.shape import concatenate, reshape, slice_
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

MISSING: Any = getattr(np, "_NoValue", None)
ASSOCIATIVE = frozenset(
    "add multiply maximum minimum fmax fmin logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "logaddexp logaddexp2 hypot gcd lcm".split()
)
Axes = tuple[int, ...]


def truth(x: Any) -> Any:
    """Whether elements are other than 0."""
    x = operand(x, "where")
    kind = type_of(x)
    return x if kind.dtype == np.bool_ else ne(x, kind.dtype.type(0))


def part(x: Any, axis: int, start: int, stop: int) -> Any:
    """A slice along one axis."""
    shape = type_of(x).shape
    low = tuple(start if k == axis else 0 for k in range(len(shape)))
    high = tuple(stop if k == axis else n for k, n in enumerate(shape))
    return slice_(x, start_indices=low, limit_indices=high, strides=(1,) * len(shape))


def in_its_loop(ufunc: np.ufunc, x: Any, dtype: Any) -> Any:
    """The array in the dtype in which NumPy folds it."""
    try:
        folded = ufunc.reduce(np.ones(2, type_of(x).dtype), dtype=dtype)
    except TypeError as error:
        raise TypeError(f"numpy.{ufunc.__name__}: {error}{at_line()}") from None
    return truth(x) if folded.dtype == np.bool_ else cast(x, folded.dtype)


def reduced_by_name(function: Any, named: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    """The reduction by NumPy's function for it, of which those of truth values have no `initial`."""
    options = {} if where is True else {"where": where}
    if initial is MISSING or initial is None:
        return named(x, axis=axis, keepdims=keepdims, **options)
    if function.__name__ in ("logical_and", "logical_or"):
        return function(initial, named(x, axis=axis, keepdims=keepdims, **options))
    return named(x, axis=axis, keepdims=keepdims, initial=initial, **options)


def reduced(function: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    """The fold over axes of an array that is in its loop's dtype."""
    kind, name = type_of(x), function.__name__
    given = initial is not MISSING and initial is not None
    first = _element(function.identity if initial is MISSING else initial, kind.dtype)
    mask = None if where is True else _broadcast_to(truth(where), kind.shape)
    if mask is not None and first is None:
        raise ValueError(
            f"reduction operation '{name}' does not have an identity, so to use a where mask one has to specify "
            f"'initial'{at_line()}"
        )
    axes = () if not kind.shape and axis in (0, -1) else axis_numbers(axis, kind.ndim, f"{name}.reduce")
    fold = _by_halves if name in ASSOCIATIVE else _in_order
    total = fold(function, x, axes, first, given, mask)
    return total if keepdims else reshape(total, shape=tuple(n for k, n in enumerate(kind.shape) if k not in axes))


def _element(x: Any, dtype: np.dtype) -> Any:
    """A number of a dtype, as NumPy assigns it; None stays None."""
    if x is None:
        return x
    if np.ndim(x):
        raise ValueError(f"initial must be a number, but has shape {np.shape(x)}{at_line()}")
    return cast(x, dtype) if type(x) is Tracer else np.asarray(x).astype(dtype)[()]


def _of_nothing(function: Any, x: Any, axis: int, first: Any) -> Any:
    """What a fold along an axis begins with."""
    if first is None:
        name = function.__name__
        raise ValueError(f"zero-size array to reduction operation {name} which has no identity{at_line()}")
    return _broadcast_to(first, tuple(1 if k == axis else n for k, n in enumerate(type_of(x).shape)))


def _by_halves(function: Any, x: Any, axes: Axes, first: Any, given: bool, mask: Any) -> Any:
    """The fold in any order: halves, again and again, so that there is one kernel for each, and half the memory."""
    if mask is not None:
        x = select(mask, first if function.identity is None else _element(function.identity, type_of(x).dtype), x)
    empty = 0 in (type_of(x).shape[k] for k in axes)
    for axis in axes:
        x = _of_nothing(function, x, axis, first) if empty else x
        n = type_of(x).shape[axis]
        while n > 1:
            half = n // 2
            folded = function(part(x, axis, 0, half), part(x, axis, half, 2 * half))
            x = concatenate(folded, part(x, axis, 2 * half, n), dimension=axis) if n % 2 else folded
            n = half + n % 2
    return function(first, x) if given and not empty else x


def _in_order(function: Any, x: Any, axes: Axes, first: Any, given: bool, mask: Any) -> Any:
    """The fold from the first element to the last."""
    if len(axes) > 1:
        raise ValueError(
            f"reduction operation '{function.__name__}' is not reorderable, so at most one axis may be "
            f"specified{at_line()}"
        )
    if not axes:
        return function(first, x) if given else x
    (axis,) = axes
    n = type_of(x).shape[axis]
    total = _of_nothing(function, x, axis, first) if given or not n else part(x, axis, 0, 1)
    for k in range(0 if given else 1, n):
        joined = function(total, part(x, axis, k, k + 1))
        total = joined if mask is None else select(part(mask, axis, k, k + 1), total, joined)
    return total


def accumulated(function: Any, x: Any, axis: int) -> Any:
    """The folds of ever more elements along an axis."""
    n = type_of(x).shape[axis]
    return (_doubled if function.__name__ in ASSOCIATIVE else _sequence)(function, x, axis, n)


def _doubled(function: Any, x: Any, axis: int, n: int) -> Any:
    """Each element joined with that 1, 2, 4, ... places before (Hillis and Steele, 1986)."""
    step = 1
    while step < n:
        joined = function(part(x, axis, 0, n - step), part(x, axis, step, n))
        x = concatenate(part(x, axis, 0, step), joined, dimension=axis)
        step *= 2
    return x


def _sequence(function: Any, x: Any, axis: int, n: int) -> Any:
    parts = [part(x, axis, 0, 1)] if n else []
    for k in range(1, n):
        parts.append(function(parts[-1], part(x, axis, k, k + 1)))
    return concatenate(*parts, dimension=axis) if n > 1 else x
