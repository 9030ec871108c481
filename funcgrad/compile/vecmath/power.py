"""How are x**y and the cube root computed?

x**y = 2**(y*log2(x)).  A relative error of 2**-53 in the result needs log2(x) to some 65 bits: the first two terms of
its series in s = (m-1)/(m+1), their products and the product with y are kept as sums of two numbers.  For floats, plain
double is enough.  The cube root is m*y**2 with y = m**(-1/3), by a polynomial, one iteration of third order and one
Newton step on an exact residual.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import INFINITY, LOG2_SERIES, NAN
from funcgrad.compile.vecmath.exponential import exp2_reduced
from funcgrad.compile.vecmath.logarithm import exponent, mantissa, normalised, shifted, unit


def _series(f: Builder, x: Value, offset: Value | float) -> tuple[Value, Value, Value, Value]:
    """k, s, s**2 and what s lacks, for a normal x = 2**k * (1+s)/(1-s); `offset` is `unit`, or more to lessen k."""
    bits = shifted(f, x)
    m = mantissa(f, bits)
    g, h, h_low = m - 1.0, *f.sum2(m, 1.0)
    inverse = 1.0 / h
    s = g * inverse
    product, error = f.product2(s, h)
    return exponent(f, bits) - offset, s, s * s, (((g - product) - error) - s * h_low) * inverse


def _log2(f: Builder, x: Value, offset: Value) -> tuple[Value, Value]:
    """log2(x) for a normal x > 0, as a sum of two numbers; less what `offset` exceeds `unit` by."""
    n, s, _, s_low = _series(f, x, offset)
    z, z_low = f.product2(s, s)
    z_low = f.fma(s + s, s_low, z_low)
    (first, first_low), (third, third_low) = LOG2_SERIES
    w, w_low = f.sum2_ordered(third, z * f.polynomial(z, "log2_precise"))
    w_low = w_low + third_low
    v, v_low = _product(f, z, z_low, w, w_low)
    u, u_low = f.sum2_ordered(first, v)
    p, p_low = _product(f, s, s_low, u, u_low + (v_low + first_low))
    total, lost = f.sum2_ordered(n, p)
    return f.sum2_ordered(total, lost + p_low)


def _product(f: Builder, a: Value, a_low: Value, b: Value, b_low: Value) -> tuple[Value, Value]:
    product, error = f.product2(a, b)
    return product, error + f.fma(a, b_low, a_low * b)


def _parity(f: Builder, y: Value) -> tuple[Value, Value]:
    """Whether y is an integer, and whether it is an odd one."""
    magic = 2.0**f.format.fraction
    a = f.abs(y)
    half = 0.5 * a
    even_number = a >= 2.0 * magic
    # without fraction bits to spare, adding and subtracting the magic number rounds to an integer
    whole = f.select(a < magic, ((a + magic) - magic).equals(a), a.equals(a))
    half_whole = f.select(half < magic, ((half + magic) - magic).equals(half), even_number)
    return whole, whole & (half_whole ^ -1)


def pow(f: Builder, x: Value, y: Value) -> Value:
    a = f.abs(x)
    if f.single:
        magnitude = f.narrow(_magnitude_wide(f.wide(), f.widen(a), f.widen(y)))
    else:
        # A larger y than this overflows or underflows with any x but 1, and would make NaN of infinity minus infinity.
        magnitude = _magnitude(f, a, f.at_least(f.at_most(y, 2.0**66), -(2.0**66)))
    return _with_special_values(f, x, a, y, magnitude)


def _magnitude_wide(f: Builder, a: Value, y: Value) -> Value:
    """a**y in double to a float's precision, where no power of two that matters is out of range."""
    n, s, z, _ = _series(f, a, unit(f))
    product = y * f.fma(s, f.polynomial(z, "log2_quotient"), n)
    product = f.at_least(f.at_most(product, 300.0), -300.0)
    n, k = f.nearest(product, offset=f.format.bias)
    return exp2_reduced(f, product - n) * f.power_of_two(k)


def _magnitude(f: Builder, a: Value, y: Value) -> Value:
    """a**y."""
    b, offset = normalised(f, a)
    log, log_low = _log2(f, b, offset)
    product, error = f.product2(log, y)
    error = f.fma(log_low, y, error)
    limit = 1100.0
    far = f.abs(product) > limit
    product = f.at_least(f.at_most(product, limit), -limit)
    n, k = f.nearest(product, offset=2 * f.format.bias)
    power = exp2_reduced(f, (product - n) + f.select(far, 0.0, error))
    return f.scale(power, k, product < -1076.0)


def _with_special_values(f: Builder, x: Value, a: Value, y: Value, result: Value) -> Value:
    """C99's table: zeros and infinities, the sign of a negative base, and what NaN does not spoil."""
    whole, odd = _parity(f, y)
    vanishes = (a.equals(0.0)) ^ (y < 0.0)
    extreme = a.equals(0.0) | a.equals(INFINITY)
    result = f.select(extreme, f.select(vanishes, 0.0, INFINITY), result)
    result = f.select((x < 0.0) & ((whole ^ -1) & (a < INFINITY)), NAN, result)
    result = f.select(odd, f.copysign(result, x), result)
    result = f.select(x.differs(x) | y.differs(y), x + y, result)
    one = x.equals(1.0) | y.equals(0.0) | (x.equals(-1.0) & f.abs(y).equals(INFINITY))
    return f.select(one, 1.0, result)


def cbrt(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    fraction = f.format.fraction
    small = a < 2.0 ** (1 - f.format.bias)
    shift = 3 * (fraction // 3 + 1)
    bits = f.bits(f.select(small, a * 2.0**shift, a))
    m = f.from_bits((bits & ((1 << fraction) - 1)) | f.format.bits(1.0))
    e = f.from_natural(bits >> fraction) - f.format.bias
    n, k = f.nearest(e - 1.0, 1 / 3, f.format.bias)
    rest = e - 3.0 * n
    y = f.polynomial(m, "cbrt")
    h = 1.0 - m * y * (y * y)
    y = f.fma(y * h, f.fma(h, 2 / 9, 1 / 3), y)
    one, two = rest.equals(1.0), rest.equals(2.0)
    y = y * f.select(one, 2 ** (-1 / 3), f.select(two, 2 ** (-2 / 3), 1.0))
    m = m * f.select(one, 2.0, f.select(two, 4.0, 1.0))
    square = y * y
    root = m * square
    p, p_low = f.product2(root, root)
    q, q_low = f.product2(p, root)
    residual = (m - q) - f.fma(p_low, root, q_low)
    root = f.fma(residual * square, 1 / 3, root)
    root = root * f.power_of_two(k) * f.select(small, 2.0 ** (-shift // 3), 1.0)
    return f.with_sign(f.select(a.equals(0.0) | ((a < INFINITY) ^ -1), a, root), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"pow": pow, "cbrt": cbrt}
