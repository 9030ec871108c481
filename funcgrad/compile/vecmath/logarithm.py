"""How are the logarithms and the inverse hyperbolic functions computed?

x = 2**k * (1 + g) with 1 + g between sqrt(1/2) and sqrt(2).  In double log(1+g) = 2*artanh(s), s = g/(2+g), a short
series in s**2 for one division; in float a polynomial in g.  k is a sum in which values that are not numbers are mixed,
so that these need no case of their own.  log1p, arcsinh and arccosh are logarithms of a sum u that no single number
holds: g takes up what u lacks.
"""

from __future__ import annotations

from collections.abc import Callable

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


def unit(f: Builder) -> float:
    """What `exponent` adds to k for a normal number."""
    return 2.0**f.format.fraction + f.format.bias


def shifted(f: Builder, x: Value) -> Value:
    """The bits of a normal x > 0, shifted so that k counts up at sqrt(2)."""
    return f.bits(x) + ((f.format.bias << f.format.fraction) - f.format.bits(ROOT_HALF))


def exponent(f: Builder, bits: Value) -> Value:
    """k + `unit` of a number, from its `shifted` bits."""
    return f.from_bits((bits >> f.format.fraction) | f.format.bits(2.0**f.format.fraction))


def mantissa(f: Builder, bits: Value) -> Value:
    """x * 2**-k, from its `shifted` bits."""
    return f.from_bits((bits & ((1 << f.format.fraction) - 1)) + f.format.bits(ROOT_HALF))


def inverse_power(f: Builder, bits: Value) -> Value:
    """2**-k, from the `shifted` bits of a number; four times that first, since 2**-bias is not a normal number."""
    fraction = f.format.fraction
    return f.from_bits(((2 * f.format.bias + 2) << fraction) - (bits & -(1 << fraction))) * 0.25


def normalised(f: Builder, x: Value) -> tuple[Value, Value]:
    """x > 0 times a power of two that makes it normal, and `unit` plus the exponent of that power."""
    small = x < 2.0 ** (1 - f.format.bias)
    shift = f.format.fraction + 2
    return f.select(small, x * 2.0**shift, x), f.select(small, unit(f) + shift, unit(f))


def decomposed(f: Builder, x: Value) -> tuple[Value, Value, Value]:
    """Any x as (a, b, g) with log(x) = (a - b)*ln(2) + log(1 + g), where a may be infinite or NaN."""
    y, offset = normalised(f, x)
    bits = shifted(f, y)
    special = f.select(x < INFINITY, 0.0, x)  # no product with a subnormal number: Intel's take 150 cycles
    special = f.select(x.equals(0.0), -INFINITY, f.select(f.bits(x) < 0, NAN, special))
    return special + exponent(f, bits), offset, mantissa(f, bits) - 1.0


def _log_rest(f: Builder, minus_k: Value, g: Value) -> Value:
    """log(1 + g) less what the upper digits of ln(2) do not account for in minus_k*ln(2)."""
    rest = f.fma(minus_k, -pair(f, LN2)[1], g)
    if f.single:
        return f.fma(g * g, f.polynomial(g, "log"), rest)
    s, z_series = _quotient_series(f, g)
    return f.fma(-s, g - z_series, rest)


def log_sum(f: Builder, minus_k: Value, g: Value) -> Value:
    """log(1 + g) - minus_k*ln(2); a zero has the sign of g for minus_k = +0."""
    return f.fma(minus_k, -pair(f, LN2)[0], _log_rest(f, minus_k, g))


def minus_log2(f: Builder, x: Value, normal: bool = False) -> tuple[Value, Value]:
    """-log(x) for 0 < x < inf, and what its rounding lost; `normal`: for no subnormal x."""
    y, offset = (x, unit(f)) if normal else normalised(f, x)
    bits = shifted(f, y)
    minus_k = offset - exponent(f, bits)
    # the upper digits of ln(2) are few, so that this product is exact
    return f.sum2_ordered(minus_k * pair(f, LN2)[0], -_log_rest(f, minus_k, mantissa(f, bits) - 1.0))


def log_of_normal(f: Builder, x: Value) -> Value:
    """log(x) for 0 < x < inf that is not subnormal."""
    bits = shifted(f, x)
    return log_sum(f, unit(f) - exponent(f, bits), mantissa(f, bits) - 1.0)


def _quotient_series(f: Builder, g: Value) -> tuple[Value, Value]:
    """s and R with log(1 + g) = g - s*(g - R)."""
    s = g / (2.0 + g)
    z = s * s
    return s, z * f.polynomial(z, "log_quotient")


def log(f: Builder, x: Value) -> Value:
    a, b, g = decomposed(f, x)
    return log_sum(f, b - a, g)


def _in_base(f: Builder, g: Value, inverse: Pair) -> Value:
    """log(1 + g), in the base whose natural logarithm has this inverse."""
    half_square = 0.5 * (g * g)
    if f.single:
        rest = g * g * (f.polynomial(g, "log") + 0.5)
    else:
        s, z_series = _quotient_series(f, g)
        rest = s * (half_square + z_series)
    high = g - half_square
    low = ((g - high) - half_square) + rest
    return f.fma(high, inverse[0], f.fma(high, inverse[1], low * inverse[0]))


def log2(f: Builder, x: Value) -> Value:
    a, b, g = decomposed(f, x)
    return (a - b) + _in_base(f, g, pair(f, INVERSE_LN2))


def log10(f: Builder, x: Value) -> Value:
    a, b, g = decomposed(f, x)
    k = a - b
    high, low = pair(f, LOG10_2)
    return f.fma(k, high, f.fma(k, low, _in_base(f, g, pair(f, INVERSE_LN10))))


def log1p(f: Builder, x: Value) -> Value:
    u = 1.0 + x
    bits = shifted(f, u)
    power = inverse_power(f, bits)
    # -(1 - power) and not power - 1, which would make +0 of x = -0
    result = log_sum(f, unit(f) - exponent(f, bits), f.fma(x, power, -(1.0 - power)))
    result = f.select(x < INFINITY, result, x)
    return f.select(u.equals(0.0), -INFINITY, f.select(f.bits(u) < 0, NAN, result))


def root_low(f: Builder, square: Value, square_low: Value, root: Value) -> Value:
    """What the rounded square root of square + square_low lacks."""
    product, error = f.product2(root, root)
    return (((square - product) - error) + square_low) / f.at_least(root + root, 2.0**-100)


def log_of_sum(f: Builder, x: Value, u: Value, u_low: Value, large: Value) -> Value:
    """log(u + u_low), or log(2x) where x is large."""
    bits = shifted(f, f.select(large, x, u))
    g = f.fma(f.select(large, 0.0, u_low), inverse_power(f, bits), mantissa(f, bits) - 1.0)
    return log_sum(f, f.select(large, unit(f) - 1.0, unit(f)) - exponent(f, bits), g)


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
    return f.with_sign(f.select(a < INFINITY, result, a), x)


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
    return f.with_sign(result, x)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "log": log,
    "log2": log2,
    "log10": log10,
    "log1p": log1p,
    "arcsinh": arcsinh,
    "arccosh": arccosh,
    "arctanh": arctanh,
}
