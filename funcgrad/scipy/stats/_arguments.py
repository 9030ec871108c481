"""What do distributions share?  Standardised arguments, what holds outside of the support, and logarithms of masses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from funcgrad import numpy as np
from funcgrad.numpy._common import broadcast
from funcgrad.scipy._values import floating
from funcgrad.trace.frame import type_of


def given(name: str, *xs: Any) -> list[Any]:
    """Arguments in one floating dtype and of one shape (or scalars)."""
    return broadcast(name, *floating(name, *xs))


def constant(value: float, like: Any) -> Any:
    """A number in the dtype of an argument."""
    return type_of(like).dtype.type(value)


def standard(name: str, x: Any, loc: Any, scale: Any, *shapes: Any, positive: bool = True) -> list[Any]:
    """``(x - loc) / scale``, the scale, and the other parameters; NaN where what must be positive is not."""
    x, loc, scale, *others = given(name, x, loc, scale, *shapes)
    scale = valid(scale > 0, scale)
    return [(x - loc) / scale, scale, *((valid(a > 0, a) for a in others) if positive else others)]


def shifted(name: str, k: Any, loc: Any, *shapes: Any) -> list[Any]:
    """``k - loc`` and the parameters of a distribution on whole numbers."""
    k, loc, *others = given(name, k, loc, *shapes)
    return [k - loc, *others]


def located(z: Any, name: str, loc: Any, scale: Any) -> Any:
    """``loc + scale * z``: a quantile of the standard distribution, moved."""
    z, loc, scale = given(name, z, loc, scale)
    return loc + valid(scale > 0, scale) * z


def supported(inside: Any, value: Any, outside: Any, *operands: Any) -> Any:
    """`value` inside of the support, `outside` elsewhere; NaN where an operand is."""
    other = constant(outside, value) if isinstance(outside, (int, float)) else outside
    for x in operands:
        other = np.where(x == x, other, constant(float("nan"), value))
    return np.where(inside, value, other)


def whole(k: Any) -> Any:
    """Where a number is an integer."""
    return k == np.floor(k)


def valid(condition: Any, x: Any) -> Any:
    """A parameter, NaN where it is none."""
    return np.where(condition, x, constant(float("nan"), x))


def probability(p: Any) -> Any:
    """A probability, NaN where it is none."""
    return valid((p >= 0) & (p <= 1), p)


def safe(inside: Any, x: Any, instead: float = 0.5) -> Any:
    """`x` inside, another number elsewhere: so that no derivative out there is NaN."""
    return np.where(inside, x, constant(instead, x))


def exponential(x: Any) -> Any:
    """exp(x); where that is 0, so is the derivative, though `x` may fall without bound there."""
    void = x == -np.inf
    return np.where(void, constant(0.0, x), np.exp(np.where(void, constant(0.0, x), x)))


def at_edges(edge: Any, p: Any, usual: Callable[[Any], Any], by_powers: Callable[[Any], Any]) -> Any:
    """A probability: ``usual(p)``, and ``by_powers(p)`` at the edges of p, where logarithms have no derivatives."""
    half = constant(0.5, p)
    return np.where(edge, by_powers(np.where(edge, p, half)), usual(np.where(edge, half, p)))


def factor(log: Any) -> Any:
    """exp(log), but so small that no multiple is infinite: it may be multiplied by 0."""
    return np.exp(np.minimum(log, constant(0.5 * math.log(np.finfo(type_of(log).dtype).max), log)))


def logarithm(p: Any) -> Any:
    """log(p); where that is -inf, the derivative is 0."""
    void = p == 0
    return np.where(void, constant(-float("inf"), p), np.log(np.where(void, constant(1.0, p), p)))


def capped(w: Any) -> Any:
    """`w` up to 10, where exp(-exp(w)) is 0 in every dtype, and its derivative with it."""
    return np.minimum(w, constant(10, w))


def double_exponential(w: Any) -> Any:
    """exp(-exp(w)), which is 0 long before exp(w) is infinite."""
    return np.exp(-np.exp(capped(w)))


def log_rest(w: Any) -> Any:
    """log(1 - exp(-exp(w))): `w` on the far left, -exp(-exp(w)) on the right."""
    left, right = w < float(np.log(np.finfo(type_of(w).dtype).eps)), w > -0.35
    above = np.log1p(-double_exponential(np.where(right, w, constant(0, w))))
    below = np.log(-np.expm1(-np.exp(np.where(left | right, constant(-1, w), w))))
    return np.where(left, w, np.where(right, above, below))


def log_difference(high: Any, low: Any) -> Any:
    """log(exp(high) - exp(low)) for high >= low."""
    void = high == low
    gap = np.where(void, constant(-1.0, high), low - np.where(void, constant(0.0, high), high))
    return np.where(void, constant(-float("inf"), high), high + np.log(-np.expm1(gap)))
