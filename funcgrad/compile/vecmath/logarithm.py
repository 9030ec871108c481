"""How are the logarithms and the inverse hyperbolic functions computed?

x = 2**k * (1 + f) with 1 + f between sqrt(1/2) and sqrt(2).  In double log(1+f) = 2*artanh(s), s = f/(2+f), a short
series in s**2 for one division; in float a polynomial in f.  The leading f - f**2/2 is kept apart for accuracy.
arcsinh, arccosh and log1p are logarithms of a sum u + u_low that no single number holds: u_low joins f.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import (
    INFINITY,
    INVERSE_LN2,
    INVERSE_LN10,
    LN2,
    LOG10_2,
    NAN,
    Pair,
    by_format,
    pair,
)

ROOT_HALF = 0.7071067811865476


class Parts(NamedTuple):
    """log(x) = k*ln(2) + (f - half_square + rest)."""

    k: Value
    f: Value
    half_square: Value
    rest: Value


def normalised(f: Builder, x: Value) -> tuple[Value, Value]:
    """x > 0 times a power of two that makes it normal, and the exponent of that power."""
    small = x < 2.0 ** (1 - f.format.bias)
    shift = f.format.fraction + 2
    return f.select(small, x * 2.0**shift, x), f.select(small, float(shift), 0.0)


def split(f: Builder, x: Value) -> tuple[Value, Value]:
    """A normal x > 0 as (k + bias, m): x = 2**k * m with m between sqrt(1/2) and sqrt(2)."""
    root, fraction = f.format.bits(ROOT_HALF), f.format.fraction
    shifted = f.bits(x) + ((f.format.bias << fraction) - root)
    return f.from_natural(shifted >> fraction), f.from_bits((shifted & ((1 << fraction) - 1)) + root)


def parts(f: Builder, x: Value, x_low: Value | None = None) -> Parts:
    """Take log(x + x_low) apart, for a normal x > 0; x_low is at most half a unit in the last place of x."""
    k, m = split(f, x)
    g = m - 1.0
    if x_low is not None:
        # x_low in units of m; beside a large x it does not matter, and its scale would underflow
        power = f.from_bits(f.bits(m) - f.bits(x) + f.format.bits(1.0))
        g = f.fma(f.select(x < 2.0**100, x_low, 0.0), f.select(x < 2.0**100, power, 0.0), g)
    half_square = 0.5 * g * g
    if f.single:
        return Parts(k - f.format.bias, g, half_square, g * g * g * f.polynomial(g, "log"))
    s = g / (2.0 + g)
    z = s * s
    return Parts(k - f.format.bias, g, half_square, s * f.fma(z, f.polynomial(z, "log_quotient"), half_square))


def joined(f: Builder, p: Parts, k: Value) -> Value:
    """The natural logarithm from its parts."""
    high, low = pair(f, LN2)
    return f.fma(k, high, p.f - (p.half_square - f.fma(k, low, p.rest)))


def joined_in_base(f: Builder, p: Parts, k: Value, inverse: Pair, of_two: Pair) -> Value:
    """The logarithm in a base whose natural logarithm has this inverse, and in which 2 has this one."""
    high = p.f - p.half_square
    low = ((p.f - high) - p.half_square) + p.rest
    product, error = f.product2(high, inverse[0])
    error = error + f.fma(high, inverse[1], low * inverse[0])
    total, lost = f.sum2_ordered(k * of_two[0], product)
    return total + (lost + f.fma(k, of_two[1], error))


def checked(f: Builder, x: Value, result: Value) -> Value:
    """What any logarithm gives for 0, negative numbers, infinity and NaN."""
    result = f.select(x > 0.0, result, f.select(x.equals(0.0), -INFINITY, NAN))
    return f.select(x < INFINITY, result, x)


def log(f: Builder, x: Value) -> Value:
    y, shift = normalised(f, x)
    p = parts(f, y)
    return checked(f, x, joined(f, p, p.k - shift))


def log2(f: Builder, x: Value) -> Value:
    y, shift = normalised(f, x)
    p = parts(f, y)
    return checked(f, x, joined_in_base(f, p, p.k - shift, pair(f, INVERSE_LN2), (1.0, 0.0)))


def log10(f: Builder, x: Value) -> Value:
    y, shift = normalised(f, x)
    p = parts(f, y)
    return checked(f, x, joined_in_base(f, p, p.k - shift, pair(f, INVERSE_LN10), pair(f, LOG10_2)))


def log1p(f: Builder, x: Value) -> Value:
    u, u_low = f.sum2(1.0, x)
    p = parts(f, u, u_low)
    result = f.select(x > -1.0, joined(f, p, p.k), f.select(x.equals(-1.0), -INFINITY, NAN))
    tiny = f.abs(x) < by_format(f, 2.0**-26, 2.0**-55)
    return f.select(tiny, x, f.select(x < INFINITY, result, x))


def root_low(f: Builder, square: Value, square_low: Value, root: Value) -> Value:
    """What the rounded square root of square + square_low lacks."""
    product, error = f.product2(root, root)
    return (((square - product) - error) + square_low) / f.at_least(root + root, 2.0**-100)


def log_of_sum(f: Builder, x: Value, u: Value, u_low: Value, large: Value) -> Value:
    """log(u + u_low), or log(2x) where x is large."""
    p = parts(f, f.select(large, x, u), f.select(large, 0.0, u_low))
    return joined(f, p, f.select(large, p.k + 1.0, p.k))


def arcsinh(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    limit = by_format(f, 2.0**14, 2.0**28)
    b = f.at_most(a, limit)
    square, square_low = f.product2(b, b)
    total, error = f.sum2(square, 1.0)
    root = f.sqrt(total)
    u, u_low = f.sum2_ordered(root, b)
    u_low = u_low + root_low(f, total, error + square_low, root)
    large = log_of_sum(f, a, u, u_low, a > limit)
    small = f.fma(a * square, f.polynomial(square, "arcsinh"), a)
    result = f.select(a < 0.5, small, large)
    return f.copysign(f.select(a < INFINITY, result, a), x)


def arccosh(f: Builder, x: Value) -> Value:
    # log(1 + t + sqrt(t*t + 2t)) with t = x - 1, which is exact where it matters
    limit = by_format(f, 2.0**14, 2.0**28)
    t = f.at_most(x, limit) - 1.0
    square, square_low = f.product2(t, t)
    total, error = f.sum2(t + t, square)
    root = f.sqrt(total)
    w, w_low = f.sum2_ordered(root, t)
    u, u_low = f.sum2(1.0, w)
    u_low = u_low + (w_low + root_low(f, total, error + square_low, root))
    result = log_of_sum(f, x, u, u_low, x > limit)
    return f.select(x < INFINITY, f.select(x < 1.0, NAN, result), x)


def arctanh(f: Builder, x: Value) -> Value:
    # (1+a)/(1-a) = 2**k * (1+s)/(1-s), so that artanh(a) = k/2 * ln(2) + artanh(s)
    a = f.abs(x)
    fraction = f.format.fraction
    plus, plus_low = f.sum2_ordered(1.0, a)
    minus, minus_low = f.sum2_ordered(1.0, -a)
    # rounded up from 3/4 on, which keeps s small where it is to be subtracted
    k = ((f.bits(plus) - f.bits(minus)) + (1 << (fraction - 2))) >> fraction
    power = f.from_bits((k + f.format.bias) << fraction)
    minus, minus_low = power * minus, power * minus_low
    s = ((plus - minus) + (plus_low - minus_low)) / ((plus + minus) + (plus_low + minus_low))
    z = s * s
    high, low = pair(f, LN2)
    n = f.from_natural(k) * 0.5
    result = f.fma(n, high, s + f.fma(n, low, s * (z * f.polynomial(z, "arctanh"))))
    result = f.select(a < 1.0, result, f.select(a.equals(1.0), INFINITY, NAN))
    return f.copysign(result, x)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "arcsinh": arcsinh,
    "arccosh": arccosh,
    "arctanh": arctanh,
}
