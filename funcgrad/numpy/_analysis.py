"""NumPy's functions of signals and physics that are composed: unwrap, and the Bessel function i0."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.numpy._common import axis_number, cast, implements, operand
from funcgrad.numpy._folds import part
from funcgrad.numpy._shapes import concatenate
from funcgrad.ops.arithmetic import sign
from funcgrad.ops.bessel import bessel_i0e
from funcgrad.ops.transcendental import exp
from funcgrad.trace.frame import type_of


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0: its exponentially scaled form, scaled back."""
    x = operand(x, "i0")
    kind = type_of(x).dtype
    if kind.kind == "c":
        raise TypeError(f"i0 not supported for complex values{at_line()}")
    x = cast(x, kind if kind.kind == "f" else np.dtype(np.float64))
    return bessel_i0e(x) * exp(x * sign(x))  # whose derivative at 0 is 0, as that of `bessel_i0e`


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """Angles continued over jumps: steps larger than `discont` are made smaller by whole periods."""
    p = operand(p, "unwrap")
    kind = type_of(p)
    along = axis_number(axis, kind.ndim, "unwrap")
    n = kind.shape[along]
    if kind.dtype.kind == "c":
        raise TypeError(f"unwrap: angles are real numbers, not {kind.dtype}{at_line()}")
    dtype = np.result_type(kind.dtype, np.asarray(period).dtype if not isinstance(period, (int, float)) else period)
    exact = dtype.kind in "iu"
    half = period // 2 if exact else period / 2
    ambiguous = not exact or period % 2 == 0
    if n < 2:
        return cast(p, dtype)
    step = np.subtract(part(p, along, 1, n), part(p, along, 0, n - 1))
    wrapped = np.mod(step + half, period) - half  # in [-period/2, period/2)
    if ambiguous:
        wrapped = np.where(np.logical_and(wrapped == -half, step > 0), half, wrapped)
    correction = np.where(np.abs(step) < (half if discont is None else discont), 0, wrapped - step)
    moved = part(p, along, 1, n) + np.cumsum(correction, axis=along)
    return concatenate([cast(part(p, along, 0, 1), dtype), cast(moved, dtype)], along)
