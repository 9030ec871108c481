"""How are erfinv, the normal quantile, erfcx and the logarithm of the normal distribution function computed?

erfinv(x) / x is a smooth function of w = -log(1 - x**2): a polynomial in w up to 6.25, in √w up to 64, in 1/√w beyond
(after M. Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011); in single precision, in w up to 5
and in √w beyond.  erfcx comes from the polynomial that erfc is computed with, and the logarithm from erfcx, so that it
has its digits far out.  In single precision what is left of (x - 4)/(x + 4) and of the quotient is added again.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import INFINITY, NAN
from funcgrad.compile.vecmath.error_function import CENTRE as CENTRE_OF_ERFC
from funcgrad.compile.vecmath.exponential import exp, exp_reduced, reduce
from funcgrad.compile.vecmath.logarithm import (
    exponent,
    log,
    log1p,
    log_of_normal,
    mantissa,
    minus_log2,
    shifted,
    unit,
)
from funcgrad.compile.vecmath.special import apart, polynomial

# in single precision: of w, and of √w beyond
SPLIT, CENTRE, CENTRE_OF_TAIL, CENTRE_OF_HIGH = 5.0, 1.5, 3.125, 5.25
SPLIT_DOUBLE = 6.25
OVERLAP = 0.03  # where both polynomials hold: which one is taken is decided by x
FAR_WIDE = 10.5  # up to where the polynomial of erfc in double to a float's precision goes
FAR_SINGLE = 2.0**30  # from where on erfcx(a) = 1 / (√π a) to a float's precision
ROOT_2, ROOT_HALF, ROOT_PI, LOG_2 = math.sqrt(2.0), math.sqrt(0.5), math.sqrt(math.pi), math.log(2.0)


def erf_inv(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    inside = f.fma(-x, x, 1.0) if f.single and f.has_fma else (1.0 - a) * (1.0 + a)

    def beyond() -> Value:
        return f.select(a < 1.0, _beyond(f, x, inside), f.select(a.equals(1.0), x * INFINITY, NAN))

    return f.rarely(a.not_below(math.sqrt(-math.expm1(-_split(f)))), lambda: (beyond(),), (_near(f, x, inside),))[0]


def ndtri(f: Builder, p: Value) -> Value:
    low = p < 0.5
    q = f.select(low, p, 1.0 - p)
    if f.single:
        inside, x = f.fma(q * -4.0, q, q * 4.0), f.fma(p, 2.0, -1.0)
    else:
        inside, x = (4.0 * q) * (1.0 - q), f.select(low, f.fma(2.0, p, -1.0), 1.0 - 2.0 * q)

    def beyond() -> Value:
        result = _beyond(f, x, inside, far=True, factor=ROOT_2)
        return f.select(q > 0.0, result, f.select(q.equals(0.0), f.select(low, -INFINITY, INFINITY), NAN))

    border = math.exp(-_split(f)) / 2 / (1 + math.sqrt(-math.expm1(-_split(f))))
    return f.rarely(q.not_above(border), lambda: (beyond(),), (_near(f, x, inside, factor=ROOT_2),))[0]


def _split(f: Builder) -> float:
    return SPLIT if f.single else SPLIT_DOUBLE


def _near(f: Builder, x: Value, inside: Value, factor: float = 1.0) -> Value:
    """factor * erfinv(x) where w = -log(inside) is small; in single precision x times a number, exact, and x times a
    polynomial beside it.
    """
    if not f.single:
        return factor * (x * polynomial(f, -log_of_normal(f, inside), "erf_inv"))
    first, *others = apart("erf_inv_single", factor)
    w, w_low = minus_log2(f, inside, normal=True)
    return f.fma(x, first, x * f.fma(w_low, 0.25 * factor, f.sum_of_powers(w - CENTRE, others)))


def _beyond(f: Builder, x: Value, inside: Value, far: bool = False, factor: float = 1.0) -> Value:
    """The same where w is larger; `far`: also beyond 64."""
    return (_beyond_single if f.single else _beyond_double)(f, x, inside, far, factor)


def _beyond_double(f: Builder, x: Value, inside: Value, far: bool, factor: float) -> Value:
    s = f.sqrt(f.at_least(-log(f, inside), SPLIT_DOUBLE - OVERLAP))
    middle = polynomial(f, f.at_most(s, 4.0) - 3.25, "erf_inv_middle")
    high = polynomial(f, f.at_most(f.at_least(s, 4.0), 8.0) - 6.0, "erf_inv_high")
    result = f.select(s < 4.0, middle, high)
    if far:
        end = f.at_most(f.at_least(s, 8.0), 27.4)
        result = f.select(s > 8.0, end * polynomial(f, 1.0 / end - 0.08, "erf_inv_end"), result)
    return factor * (x * result)


def _beyond_single(f: Builder, x: Value, inside: Value, far: bool, factor: float) -> Value:
    tail, high = (apart(f"erf_inv_single_{part}", factor) for part in ("tail", "high"))
    w, w_low = minus_log2(f, inside)
    square = f.at_most(f.at_least(w, SPLIT - OVERLAP), 120.0)
    s = f.sqrt(square)
    # of the root's digits: the slope of √w, roughly
    lost = (f.fma(-s, s, square) + w_low) * f.at_least(f.fma(s, -0.0625, 0.365), 0.07)
    first, rest = tail[0], f.sum_of_powers(f.at_most(s, 4.1) - CENTRE_OF_TAIL + lost, tail[1:])
    if far:
        rest_of_high = f.fma(lost, factor, f.sum_of_powers(f.at_least(s, 4.0) - CENTRE_OF_HIGH, high[1:]))
        return f.fma(x, f.select(s > 4.0, high[0], first), x * f.select(s > 4.0, rest_of_high, rest))
    return f.fma(x, first, x * rest)


def _erfcx_positive(f: Builder, a: Value) -> Value:
    """exp(a**2) erfc(a) for a >= 0."""
    b = f.at_least(f.at_most(a, 27.0), 0.45)
    middle = f.polynomial((b - CENTRE_OF_ERFC) / (b + CENTRE_OF_ERFC), "erfc") / f.fma(b, 2.0, 1.0)
    c = f.at_most(a, 0.5)
    small = exp(f, c * c) * (1.0 - f.fma(c, f.polynomial(c * c, "erf"), c))
    far = f.at_least(a, 27.0)
    y = (0.5 / far) / far
    series = f.sum_of_powers(y, tuple((-1.0) ** k * math.prod(range(1, 2 * k, 2)) for k in range(8)))
    large = series * (1.0 / ROOT_PI) / far
    return f.select(a > 27.0, large, f.select(a < 0.5, small, middle))


def _exp_square(f: Builder, a: Value, factor: float) -> Value:
    """exp(factor * a**2) with the rounding error of the square made good."""
    square, low = f.product2(a, a)
    value = exp(f, square * factor)
    return f.select(value < INFINITY, f.fma(value, low * factor, value), value)


def _erfcx_single(f: Builder, x: Value) -> Value:
    """P(t) / (a + 1/2) with t = (a - 4)/(a + 4), in which all rounding errors are made good, and 2 e**(a²) - that."""
    a = f.abs(x)
    b = f.at_most(a, FAR_SINGLE)
    below, above = b + 0.5, b + CENTRE_OF_ERFC
    common = 1.0 / (below * above)
    inverse = common * below
    t = (b - CENTRE_OF_ERFC) * inverse
    t, t_low = f.sum2_ordered(t, f.fma(-t, b, f.fma(t + 1.0, -CENTRE_OF_ERFC, b)) * inverse)
    first, *others = apart("erfcx_single")
    rest = f.fma(t_low, f.fma(t, -0.4, 0.47), f.sum_of_powers(t, others))  # by the slope, roughly
    top, top_low = f.sum2_ordered(first, rest)
    _, below_low = f.sum2(b, 0.5)
    inverse = common * above
    near = top * inverse
    near = f.fma(f.fma(-near, below, top) + (top_low - near * below_low), inverse, near)
    positive = f.select(a < FAR_SINGLE, near, (1.0 / ROOT_PI) / a)
    square, square_low = f.product2(f.at_most(b, 9.4), f.at_most(b, 9.4))  # from where on 2 e**(a²) overflows
    _, k, r, r_low = reduce(f, square, f.format.bias, square_low)
    power = f.power_of_two(k)
    high, low = f.sum2_ordered(power, near * -0.5)
    half = high + f.fma(power, r + f.fma(r * r, f.polynomial(r, "exp"), r_low), low)
    return f.select(x < 0.0, half + half, positive)


def erfcx(f: Builder, x: Value) -> Value:
    if f.single:
        return _erfcx_single(f, x)
    a = f.abs(x)
    positive = _erfcx_positive(f, a)
    mirrored = 2.0 * _exp_square(f, f.at_most(a, 30.0), 1.0) - positive
    return f.select(x < 0.0, mirrored, positive)


def _log_ndtr_wide(f: Builder, x: Value) -> Value:
    """In double to a float's precision: the logarithm of 1 - erfc/2, or of erfcx/2 less the square."""
    a = f.abs(x) * ROOT_HALF
    b = f.at_least(f.at_most(a, FAR_WIDE), 0.45)
    scaled = f.polynomial((b - CENTRE_OF_ERFC) / (b + CENTRE_OF_ERFC), "erfc") / f.fma(b, 4.0, 2.0)
    _, k, r, _ = reduce(f, -(b * b), f.format.bias)
    near = a < 0.5
    c = f.at_most(a, 0.5)
    centre = f.fma(f.fma(c, f.polynomial(c * c, "erf"), c), -0.5, 0.5)
    tail = f.select(near, centre, scaled * exp_reduced(f, r) * f.power_of_two(k))
    y = (0.5 / f.at_least(a, FAR_WIDE)) / f.at_least(a, FAR_WIDE)
    far = f.fma(y, f.fma(y, 3.0, -1.0), 1.0) * (0.5 / ROOT_PI) / f.at_least(a, FAR_WIDE)
    left = f.select(near, centre, f.select(a < FAR_WIDE, scaled, far))
    power = f.select(x < 0.0, f.select(near, 0.0, a * a), 0.0)
    result = _log_wide(f, f.select(x < 0.0, left, 1.0 - tail)) - power
    return f.select(x.differs(x), x, f.select((x > 0.0) & (tail < 2.0**-27), -tail, result))


def _log_wide(f: Builder, x: Value) -> Value:
    """log(x) for a normal x, in double to a float's precision."""
    bits = shifted(f, x)
    m = mantissa(f, bits)
    s = (m - 1.0) / (m + 1.0)
    return f.fma(s, f.polynomial(s * s, "log2_quotient"), exponent(f, bits) - unit(f)) * LOG_2


def log_ndtr(f: Builder, x: Value) -> Value:
    if f.single:
        return f.narrow(_log_ndtr_wide(f.wide(), f.widen(x)))
    a = f.abs(x)
    half = 0.5 * _erfcx_positive(f, a * ROOT_HALF)
    negative = f.fma(a * -0.5, a, log(f, half))
    near = f.at_most(a, 40.0)
    positive = log1p(f, -(half * _exp_square(f, near, -0.5)))
    return f.select(x < 0.0, negative, positive)


FUNCTIONS: dict[str, Callable[..., Value]] = {
    "erf_inv": erf_inv,
    "ndtri": ndtri,
    "erfcx": erfcx,
    "log_ndtr": log_ndtr,
}
