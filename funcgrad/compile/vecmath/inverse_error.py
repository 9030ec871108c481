"""How are erfinv, the normal quantile, erfcx and the logarithm of the normal distribution function computed?

erfinv(x) / x is a smooth function of w = -log(1 - x**2): a polynomial in w up to 6.25, in √w up to 64, in 1/√w beyond
(after M. Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011); in single precision, in w up to 4.2
and in √w beyond.  erfcx comes from the polynomial that erfc is computed with, and the logarithm from erfcx, so that it
has its digits far out.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import INFINITY, NAN
from funcgrad.compile.vecmath.error_function import CENTRE
from funcgrad.compile.vecmath.exponential import exp
from funcgrad.compile.vecmath.logarithm import log, log1p
from funcgrad.compile.vecmath.special import in_double, polynomial
from funcgrad.compile.vecmath.special_coefficients import SPECIAL

SPLIT = 4.2  # of w, in single precision
ROOT_2, ROOT_HALF, ROOT_PI = math.sqrt(2.0), math.sqrt(0.5), math.sqrt(math.pi)


def _erf_inv_over_x(f: Builder, w: Value, far: bool) -> Value:
    """erfinv(x) / x for w = -log(1 - x**2); `far`: also beyond 64."""
    centre = polynomial(f, f.at_most(w, 6.25), "erf_inv")
    s = f.sqrt(f.at_least(w, 6.25))
    middle = polynomial(f, f.at_most(s, 4.0) - 3.25, "erf_inv_middle")
    high = polynomial(f, f.at_most(f.at_least(s, 4.0), 8.0) - 6.0, "erf_inv_high")
    result = f.select(w < 6.25, centre, f.select(s < 4.0, middle, high))
    if not far:
        return result
    end = f.at_most(f.at_least(s, 8.0), 27.4)
    return f.select(s > 8.0, end * polynomial(f, 1.0 / end - 0.08, "erf_inv_end"), result)


def erf_inv(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    w = -log(f, f.fma(-x, x, 1.0) if f.single and f.has_fma else (1.0 - a) * (1.0 + a))
    result = _single(f, x, w) if f.single else x * _erf_inv_over_x(f, w, far=False)
    return f.select(a < 1.0, result, f.select(a.equals(1.0), x * INFINITY, NAN))


def _single(f: Builder, x: Value, w: Value) -> Value:
    """erfinv(x) in single precision: the factor of x is a number, exact, and a polynomial that is small beside it."""
    near, tail = _apart("erf_inv_single"), _apart("erf_inv_single_tail")
    far = f.at_most(f.at_least(w, SPLIT), 16.0)
    s = f.sqrt(far)
    lost = f.fma(-s, s, far) * f.fma(s, -0.0625, 0.365)  # of the root's digits: the slope of √w, roughly
    rests = f.sum_of_powers(f.at_most(w, SPLIT), near[1:]), f.sum_of_powers(s - 3.0 + lost, tail[1:])
    return f.fma(x, f.select(w < SPLIT, near[0], tail[0]), x * f.select(w < SPLIT, *rests))


def _apart(name: str) -> tuple[float, ...]:
    """The first coefficient rounded down to single precision, what is left of it, and the others."""
    first, *others = SPECIAL[name]
    rounded = math.floor(first * 2.0**22) / 2.0**22
    return (rounded, first - rounded, *others)


@in_double
def ndtri(f: Builder, p: Value) -> Value:
    low = p < 0.5
    q = f.select(low, p, 1.0 - p)
    w = -log(f, (4.0 * q) * (1.0 - q))
    x = f.select(low, f.fma(2.0, p, -1.0), 1.0 - 2.0 * q)
    result = ROOT_2 * (x * _erf_inv_over_x(f, w, far=True))
    inside = f.select(p > 0.0, f.select(p < 1.0, result, NAN), NAN)
    return f.select(p.equals(0.0), -INFINITY, f.select(p.equals(1.0), INFINITY, inside))


def _erfcx_positive(f: Builder, a: Value) -> Value:
    """exp(a**2) erfc(a) for a >= 0."""
    b = f.at_least(f.at_most(a, 27.0), 0.45)
    middle = f.polynomial((b - CENTRE) / (b + CENTRE), "erfc") / f.fma(b, 2.0, 1.0)
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


@in_double
def erfcx(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    positive = _erfcx_positive(f, a)
    mirrored = 2.0 * _exp_square(f, f.at_most(a, 30.0), 1.0) - positive
    return f.select(x < 0.0, mirrored, positive)


@in_double
def log_ndtr(f: Builder, x: Value) -> Value:
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
