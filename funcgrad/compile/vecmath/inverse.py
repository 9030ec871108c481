"""How are arcsin, arccos, arctan and arctan2 computed?

arcsin(x) = x + x*z*P(z), z = x*x, up to 1/2; beyond, pi/2 - 2*arcsin(sqrt((1-x)/2)).
arctan(t) = t + t*z*P(z) up to 1/2; beyond, pi/4 + arctan((x-1)/(x+1)) up to 2, then pi/2 + arctan(-1/x), with one
division for all.  Multiples of pi are sums of two numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import HALF_PI, INFINITY, pair


def _arcsin_terms(f: Builder, x: Value) -> tuple[Value, Value, Value]:
    """Whether |x| > 1/2, and arcsin of |x|, or of sqrt((1-|x|)/2), as s + rest."""
    a = f.abs(x)
    large = a > 0.5
    z = f.select(large, f.fma(a, -0.5, 0.5), a * a)
    s = f.select(large, f.sqrt(z), a)
    return large, s, s * (z * f.polynomial(z, "arcsin"))


def arcsin(f: Builder, x: Value) -> Value:
    high, low = pair(f, HALF_PI)
    large, s, rest = _arcsin_terms(f, x)
    twice = s + s
    total, error = f.sum2_ordered(high, -twice)
    result = f.select(large, total + (error + (low - (rest + rest))), s + rest)
    return f.with_sign(result, x)


def arccos(f: Builder, x: Value) -> Value:
    high, low = pair(f, HALF_PI)
    large, s, rest = _arcsin_terms(f, x)
    # pi/2 - arcsin(x); for x < -1/2 the same with -sqrt(...) and doubled
    t, t_rest = f.select(large, s, f.copysign(s, x)), f.select(large, rest, f.copysign(rest, x))
    difference = high - (t - (low - t_rest))
    half = f.select(x > 0.0, s + rest, difference)
    return f.select(large, half + half, difference)


def arctan(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    middle, large = a > 0.5, a > 2.0
    numerator = f.select(large, -1.0, f.select(middle, a - 1.0, a))
    denominator = f.select(large, a, f.select(middle, a + 1.0, 1.0))
    return f.with_sign(_arctan_sum(f, numerator / denominator, *_offset(f, middle, large)), x)


def _offset(f: Builder, middle: Value, large: Value) -> tuple[Value, Value]:
    """0, pi/4 or pi/2."""
    high, low = pair(f, HALF_PI)
    return (
        f.select(large, high, f.select(middle, high / 2, 0.0)),
        f.select(large, low, f.select(middle, low / 2, 0.0)),
    )


def _arctan_sum(f: Builder, t: Value, high: Value, low: Value) -> Value:
    """high + low + arctan(t)."""
    z = t * t
    return high + (t + f.fma(t * z, f.polynomial(z, "arctan"), low))


def arctan2(f: Builder, y: Value, x: Value) -> Value:
    a, b = f.abs(y), f.abs(x)
    largest = f.select(a > b, a, b)
    # equal infinities count as equal numbers, two zeros as 0/1; large numbers are to be added, and small ones halved
    both = a.equals(INFINITY) & b.equals(INFINITY)
    limit = f.format.bias
    factor = f.select(largest > 2.0 ** (limit - 3), 0.25, f.select(largest < 2.0 ** (60 - limit), 2.0**60, 1.0))
    a, b = f.select(both, 1.0, a * factor), f.select(both, 1.0, b * factor)
    b = f.select(largest.equals(0.0), 1.0, b)
    middle, large = a > 0.5 * b, 0.5 * a > b
    numerator = f.select(large, -b, f.select(middle, a - b, a))
    denominator = f.select(large, a, f.select(middle, a + b, b))
    high, low = _offset(f, middle, large)
    t = numerator / denominator
    half_pi, half_pi_low = pair(f, HALF_PI)
    negative = f.copysign(f.constant(1.0), x) < 0.0
    sign = f.select(negative, -1.0, 1.0)
    high = f.select(negative, 2 * half_pi - high, high)
    low = f.select(negative, 2 * half_pi_low - low, low)
    return f.copysign(_arctan_sum(f, sign * t, high, low), y)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "arcsin": arcsin,
    "arccos": arccos,
    "arctan": arctan,
    "arctan2": arctan2,
}
