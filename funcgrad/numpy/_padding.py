"""NumPy's `pad`: a border of constants, or one that repeats, mirrors or sums up what is inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import cast, implements, operand
from funcgrad.numpy._shapes import concatenate
from funcgrad.ops import shape as sh
from funcgrad.ops.indexing import gather
from funcgrad.trace.frame import type_of

OPTIONS = {
    "constant": "constant_values", "linear_ramp": "end_values", "reflect": "reflect_type", "symmetric": "reflect_type",
    "maximum": "stat_length", "mean": "stat_length", "median": "stat_length", "minimum": "stat_length",
    "edge": "", "wrap": "", "empty": "",
}  # fmt: skip
STATISTICS: dict[str, Any] = {"maximum": np.max, "mean": np.mean, "median": np.median, "minimum": np.min}
MOST_STRETCHES = 4  # of places, beyond which they are gathered
REPEATING = frozenset(("edge", "reflect", "symmetric", "wrap"))


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """The array with a border."""
    x = operand(array, "pad")
    ndim = type_of(x).ndim
    widths = _widths(pad_width, ndim)
    if callable(mode):
        raise TypeError(f"numpy.pad: a function as mode writes into an array: traced functions are pure{at_line()}")
    if mode not in OPTIONS:
        raise ValueError(f"pad: mode {mode!r} is not supported{at_line()}")
    unknown = [k for k in kwargs if k != OPTIONS[mode]]
    if unknown:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {set(unknown)}{at_line()}")
    if mode in ("constant", "empty"):
        return _constants(x, widths, kwargs.get("constant_values", 0))
    for axis, width in enumerate(widths):
        if width != (0, 0):
            x = _border(x, axis, width, mode, kwargs.get(OPTIONS[mode]))
    return x


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(k, pad_width.get(k - ndim, (0, 0))) for k in range(ndim)]
        pad_width = [(w, w) if np.ndim(w) == 0 else tuple(w) for w in pad_width]
    given = np.asarray(pad_width)
    if given.dtype.kind not in "iu":
        raise TypeError(f"`pad_width` must be of integral type.{at_line()}")
    if np.any(given < 0):
        raise ValueError(f"index can't contain negative values: {pad_width}{at_line()}")
    return [(int(low), int(high)) for low, high in np.broadcast_to(given, (ndim, 2))]


def _pairs(values: Any, ndim: int) -> list[list[Any]]:
    """Two values for each axis, from one, a pair, or pairs."""
    values = operand(values, "pad")
    spread = np.broadcast_to(values, (ndim, 2))
    return [[spread[k, 0], spread[k, 1]] for k in range(ndim)]


def _constants(x: Any, widths: list[tuple[int, int]], values: Any) -> Any:
    dtype = type_of(x).dtype
    if type_of(operand(values, "pad")).ndim == 0:
        value = cast(operand(values, "pad"), dtype)
        return sh.pad(x, value, padding_config=tuple((low, high, 0) for low, high in widths))
    for axis, (pair, width) in enumerate(zip(_pairs(values, len(widths)), widths, strict=True)):
        for side, value in enumerate(pair):
            config = [(0, 0, 0)] * len(widths)
            config[axis] = (width[0], 0, 0) if side == 0 else (0, width[1], 0)
            x = sh.pad(x, cast(value, dtype), padding_config=tuple(config))
    return x


def _border(x: Any, axis: int, width: tuple[int, int], mode: str, option: Any) -> Any:
    """Both borders along one axis."""
    n = type_of(x).shape[axis]
    if n == 0:
        raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'{at_line()}")
    if mode in REPEATING and option in (None, "even"):
        return _taken(x, axis, np.pad(np.arange(n), width, mode))  # type: ignore[call-overload]
    if mode in REPEATING:  # odd reflection: what is mirrored is taken from twice the edge
        return _odd(x, axis, width, mode)
    ndim = type_of(x).ndim
    if mode == "linear_ramp":
        ends = _pairs(0 if option is None else option, ndim)[axis]
        before, after = (_ramp(x, axis, width[k], ends[k], k == 0) for k in (0, 1))
    else:
        lengths = _pairs(n if option is None else option, ndim)[axis]
        before, after = (_statistic(x, axis, width[k], int(lengths[k]), mode, k == 0) for k in (0, 1))
    return concatenate([before, x, after], axis)


def _taken(x: Any, axis: int, places: np.ndarray) -> Any:
    """What lies at places along an axis: side by side where these are few stretches in a row."""
    stretches = _stretches(places)
    if len(stretches) <= MOST_STRETCHES:
        parts = [_stretch(x, axis, stretch) for stretch in stretches]
        return concatenate(parts, axis) if len(parts) > 1 else parts[0]
    moved = gather(x, places.astype(np.int64), axes=(axis,))
    return np.moveaxis(moved, 0, axis) if axis else moved


def _stretches(places: np.ndarray) -> list[np.ndarray]:
    """Places as stretches that count up or down by one, or stay."""
    steps = np.diff(places)
    found, start = [], 0
    while start < len(places):
        step = steps[start] if start < len(steps) and abs(steps[start]) <= 1 else 0
        others = np.flatnonzero(steps[start:] != step)
        stop = start + 1 + (int(others[0]) if len(others) else len(places) - 1 - start)
        found.append(places[start:stop])
        start = stop
    return found


def _stretch(x: Any, axis: int, places: np.ndarray) -> Any:
    low, high = int(places.min()), int(places.max()) + 1
    part = _cut(x, axis, low, high)
    if high - low < len(places):
        shape = type_of(x).shape
        return np.broadcast_to(part, (*shape[:axis], len(places), *shape[axis + 1 :]))
    return np.flip(part, axis) if places[0] > places[-1] else part


def _odd(x: Any, axis: int, width: tuple[int, int], mode: str) -> Any:
    """Reflected values less twice their distance: 2 edge - mirrored, one stretch of the axis after another."""
    n = type_of(x).shape[axis]
    left, right = width
    while left or right:
        reach = n if mode == "symmetric" else n - 1
        if n == 1 and mode == "reflect":
            return _taken(x, axis, np.pad(np.arange(n), (left, right), "edge"))
        a, b = min(left, reach), min(right, reach)
        mirrored = _taken(x, axis, np.pad(np.arange(n), (a, b), mode))  # type: ignore[call-overload]
        first, last = _taken(x, axis, np.array([0])), _taken(x, axis, np.array([n - 1]))
        low, high = _cut(mirrored, axis, 0, a), _cut(mirrored, axis, a + n, a + n + b)
        ends = (cast(np.subtract(2 * edge, inner), type_of(x).dtype) for edge, inner in ((first, low), (last, high)))
        x = concatenate([next(ends), x, next(ends)], axis)
        left, right, n = left - a, right - b, n + a + b
    return x


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(*(slice(None),) * axis, slice(start, stop))]


def _ramp(x: Any, axis: int, count: int, end: Any, before: bool) -> Any:
    """From the end value (outside) to the edge, which is not repeated."""
    n, dtype = type_of(x).shape[axis], type_of(x).dtype
    edge = _cut(x, axis, 0, 1) if before else _cut(x, axis, n - 1, n)
    line = np.arange(count) if before else np.arange(count, 0, -1) - 1
    shaped = line.reshape(tuple(count if k == axis else 1 for k in range(type_of(x).ndim)))
    inexact = dtype if dtype.kind in "fc" else np.dtype(np.float64)
    end, edge = cast(end, inexact), cast(edge, inexact)
    ramp = end + (edge - end) * (shaped / max(count, 1)).astype(inexact)
    return cast(np.floor(ramp) if dtype.kind in "iu" else ramp, dtype)


def _statistic(x: Any, axis: int, count: int, length: int, mode: str, before: bool) -> Any:
    n, dtype = type_of(x).shape[axis], type_of(x).dtype
    length = min(length, n)
    if length == 0 and mode in ("maximum", "minimum"):
        raise ValueError(f"stat_length of 0 yields no value for padding{at_line()}")
    value = STATISTICS[mode](_cut(x, axis, 0, length) if before else _cut(x, axis, n - length, n), axis, keepdims=True)
    if dtype.kind in "iu" and type_of(value).dtype.kind == "f":
        value = np.rint(value)
    shape = tuple(count if k == axis else m for k, m in enumerate(type_of(x).shape))
    return np.broadcast_to(cast(value, dtype), shape)
