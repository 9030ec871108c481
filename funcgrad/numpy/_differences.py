"""NumPy's functions of neighbours: differences, gradients, trapezoids, interpolation between given points."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import (
    axis_number,
    axis_numbers,
    broadcast_to,
    cast,
    concrete,
    implements,
    operand,
    promoted,
)
from funcgrad.numpy._extended import completed
from funcgrad.numpy._selection import take
from funcgrad.numpy._shapes import ravel
from funcgrad.numpy._sorting import searchsorted
from funcgrad.trace.frame import type_of

_ABSENT: Any = np._NoValue


def _part(x: Any, axis: int, which: slice | int) -> Any:
    """Elements along one axis."""
    return x[(*(slice(None),) * axis, which)]


@completed(lambda count, named: {k: x for k, x in named.items() if not (x is None and k in ("prepend", "append"))})
@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = _ABSENT, append: Any = _ABSENT) -> Any:
    """Each element less the one before it, `n` times."""
    count = operator.index(n)
    if count < 0:
        raise ValueError(f"diff: order must be non-negative but got {n!r}{at_line()}")
    a = operand(a, "diff")
    if count == 0:
        return a
    if not type_of(a).ndim:
        raise ValueError(f"diff: requires input that is at least one dimensional{at_line()}")
    along = axis_number(axis, type_of(a).ndim, "diff")
    edge = tuple(1 if k == along else m for k, m in enumerate(type_of(a).shape))
    ends = [None if x is _ABSENT else operand(x, "diff") for x in (prepend, append)]
    before, after = ([] if x is None else [x if type_of(x).ndim else broadcast_to(x, edge)] for x in ends)
    if before or after:
        a = np.concatenate(promoted("diff", *before, a, *after), along)
    for _ in range(count):
        upper, lower = _part(a, along, slice(1, None)), _part(a, along, slice(None, -1))
        a = np.not_equal(upper, lower) if type_of(a).dtype.kind == "b" else upper - lower
    return a


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of all elements in one line, with others put before and behind."""
    line = ravel(operand(ary, "ediff1d"))
    dtype = type_of(line).dtype
    ends = []
    for name, x in (("to_begin", to_begin), ("to_end", to_end)):
        part = operand(() if x is None else x, "ediff1d") if x is not None else np.empty(0, dtype)
        if x is not None and not np.can_cast(type_of(part).dtype, dtype, "same_kind"):
            raise TypeError(f"ediff1d: dtype of `{name}` must be compatible with input `ary` under 'same_kind' rule")
        ends.append(cast(ravel(part), dtype))
    return np.concatenate([ends[0], line[1:] - line[:-1], ends[1]])


# gradient: second-order differences inside, of first or second order at the ends -------------------------------------


def _spacings(name: str, given: Sequence[Any], lengths: Sequence[int]) -> list[Any]:
    """For each axis a number, or the distances between the points."""
    if not given:
        return [1.0] * len(lengths)
    if len(given) == 1 and not type_of(operand(given[0], name)).ndim:
        return list(given) * len(lengths)
    if len(given) != len(lengths):
        raise TypeError(f"{name}: invalid number of arguments{at_line()}")
    found: list[Any] = []
    for x, n in zip(given, lengths, strict=True):
        points = operand(x, name)
        kind = type_of(points)
        if kind.ndim > 1:
            raise ValueError(f"{name}: distances must be either scalars or 1d{at_line()}")
        if kind.ndim and kind.shape[0] != n:
            raise ValueError(f"{name}: when 1d, distances must match the length of the corresponding dimension")
        points = cast(points, np.dtype(np.float64)) if kind.ndim and kind.dtype.kind in "iub" else points
        found.append(points[1:] - points[:-1] if kind.ndim else points)
    return found


def _slope(f: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    """The derivative along an axis."""
    steps = type_of(operand(spacing, "gradient")).ndim > 0
    if steps:
        shape = tuple(-1 if k == axis else 1 for k in range(type_of(f).ndim))
        spacing = np.reshape(spacing, shape)

    def at(which: slice | int) -> Any:
        return _part(f, axis, which if isinstance(which, slice) else slice(which, which + 1 or None))

    def step(which: slice | int) -> Any:
        if not steps:
            return spacing
        return _part(spacing, axis, which if isinstance(which, slice) else slice(which, which + 1 or None))

    before, here, after = at(slice(None, -2)), at(slice(1, -1)), at(slice(2, None))
    if steps:
        h, k = step(slice(None, -1)), step(slice(1, None))
        inner = -k / (h * (h + k)) * before + (k - h) / (h * k) * here + h / (k * (h + k)) * after
    else:
        inner = (after - before) / (2.0 * spacing)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / step(0), (at(-1) - at(-2)) / step(-1)
    else:
        first, last = _end(at, step, 0, 1), _end(at, step, -1, -1)
    return np.concatenate([first, inner, last], axis)


def _end(at: Any, step: Any, edge: int, inwards: int) -> Any:
    """The derivative of the parabola through the last three points, at the last one."""
    h, k = step(edge), step(edge + inwards)
    ends = at(edge), at(edge + inwards), at(edge + 2 * inwards)
    weights = -(2.0 * h + k) / (h * (h + k)), (h + k) / (h * k), -h / (k * (h + k))
    total = weights[0] * ends[0] + weights[1] * ends[1] + weights[2] * ends[2]
    return total if inwards > 0 else -total


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """The derivative along each axis, by differences."""
    f = operand(f, "gradient")
    ndim = type_of(f).ndim
    axes = axis_numbers(None, ndim, "gradient") if axis is None else _in_order(axis, ndim)
    spacings = _spacings("gradient", varargs, [type_of(f).shape[k] for k in axes])
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: 'edge_order' greater than 2 not supported{at_line()}")
    if type_of(f).dtype.kind in "iub":
        f = cast(f, np.dtype(np.float64))
    for k in axes:
        if type_of(f).shape[k] < edge_order + 1:
            raise ValueError(
                f"gradient: shape of array too small to calculate a numerical gradient, at least (edge_order + 1) "
                f"elements are required along axis {k} of {type_of(f).shape}{at_line()}"
            )
    dtype = type_of(f).dtype
    if dtype.kind == "V":  # bfloat16 is no float of NumPy's
        dtype = np.dtype(np.float64)
    slopes = [cast(_slope(f, k, spacing, edge_order), dtype) for k, spacing in zip(axes, spacings, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _in_order(axis: Any, ndim: int) -> tuple[int, ...]:
    """Checked axes in the order in which they are given."""
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axis_numbers(tuple(given), ndim, "gradient")
    return tuple(axis_number(k, ndim, "gradient") for k in given)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of the straight lines through points."""
    y = operand(y, "trapezoid")
    along = axis_number(axis, type_of(y).ndim, "trapezoid")
    width = dx
    if x is not None:
        x = operand(x, "trapezoid")
        if type_of(x).ndim == 1:
            shape = tuple(-1 if k == along else 1 for k in range(type_of(y).ndim))
            width = np.reshape(x[1:] - x[:-1], shape)
        else:
            width = diff(x, axis=axis)
    return np.sum(width * (_part(y, along, slice(1, None)) + _part(y, along, slice(None, -1))) / 2.0, along)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """The piecewise linear function through the points ``(xp, fp)``, whose first coordinates increase."""
    x, xp, fp = (operand(v, "interp") for v in (x, xp, fp))
    if "c" in (type_of(x).dtype.kind, type_of(xp).dtype.kind):
        names = f"{type_of(x).dtype.name} and {type_of(xp).dtype.name}"
        raise TypeError(f"interp: x and xp must be real, not {names}{at_line()}")
    kind = np.dtype(np.complex128 if type_of(fp).dtype.kind == "c" else np.float64)
    x, xp, fp = cast(x, np.dtype(np.float64)), cast(xp, np.dtype(np.float64)), cast(fp, kind)
    if type_of(xp).ndim != 1 or type_of(xp).shape != type_of(fp).shape:
        shapes = f"{type_of(xp).shape} and {type_of(fp).shape}"
        raise ValueError(f"interp: fp and xp are not of the same length, or not 1-d: shapes {shapes}{at_line()}")
    n = type_of(xp).shape[0]
    if not n:
        raise ValueError(f"interp: array of sample points is empty{at_line()}")
    if period is not None:
        x, xp, fp, n = _periodic(x, xp, fp, period, n)
        left = right = None
    if n == 1:
        inside = broadcast_to(fp[0], type_of(x).shape)
    else:
        i = np.clip(searchsorted(xp, x, "right") - 1, 0, n - 2)
        x0, x1, y0, y1 = (take(v, j) for v, j in ((xp, i), (xp, i + 1), (fp, i), (fp, i + 1)))
        inside = y0 + (y1 - y0) / np.where(x1 == x0, 1.0, x1 - x0) * (x - x0)
        inside = np.where(x == x1, y1, inside)
    low, high = fp[0] if left is None else left, fp[-1] if right is None else right
    return np.where(np.isnan(x), np.nan, np.where(x < xp[0], low, np.where(x > xp[-1], high, inside)))


def _periodic(x: Any, xp: Any, fp: Any, period: Any, n: int) -> tuple[Any, Any, Any, int]:
    """Everything within one period, the points in order, and one more at each end."""
    known = concrete(operand(period, "interp"))
    if known is not None and known == 0:
        raise ValueError(f"interp: period must be a non-zero value{at_line()}")
    period = np.abs(period)
    x, xp = x % period, xp % period
    order = np.argsort(xp)
    xp, fp = take(xp, order), take(fp, order)
    xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, np.concatenate([fp[-1:], fp, fp[:1]]), n + 2
