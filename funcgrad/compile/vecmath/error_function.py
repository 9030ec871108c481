"""How are erf and erfc computed?

erf(x) = x + x*P(x**2) up to 1, and 1 - exp(-Q(|x|)) beyond, where Q = -log(erfc) is smooth and needs few digits.
erfc(x) = exp(-x**2) * P(t) / (1 + 2x) with t = (x-4)/(x+4) keeps its relative accuracy down to the last subnormal
number; x**2, the exponential, P and the quotient carry their rounding errors along.  Near 0 it is 1 - erf(x).
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.coefficients import COEFFICIENTS
from funcgrad.compile.vecmath.constants import by_format
from funcgrad.compile.vecmath.exponential import exp_reduced, reduce

CENTRE = 4.0  # of the map t = (x - CENTRE)/(x + CENTRE)


def _erf_small(f: Builder, x: Value) -> Value:
    """erf for |x| <= 1."""
    return f.fma(x, f.polynomial(x * x, "erf"), x)


def erf(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    exponent = -f.polynomial(f.at_most(a, by_format(f, 4.0, 6.0)), "erf_exponent")
    _, k, r, _ = reduce(f, exponent, f.format.bias)
    large = 1.0 - exp_reduced(f, r) * f.power_of_two(k)
    return f.with_sign(f.select(a < 1.0, _erf_small(f, a), large), x)


def _erfc_wide(f: Builder, a: Value) -> Value:
    """erfc for 0.45 <= a, in double to a float's precision."""
    b = f.at_most(a, 10.5)
    _, k, r, _ = reduce(f, -(b * b), f.format.bias)
    t = (b - CENTRE) / (b + CENTRE)
    return exp_reduced(f, r) * f.power_of_two(k) * f.polynomial(t, "erfc") / f.fma(b, 2.0, 1.0)


def _erfc_tail(f: Builder, a: Value) -> Value:
    """erfc for 0.45 <= a."""
    b = f.at_most(a, 27.5)
    square, square_low = f.product2(b, b)
    _, k, r, r_low = reduce(f, -square, 2 * f.format.bias, -square_low)
    exponential, lost = f.sum2_ordered(1.0, r)
    exponential_low = lost + f.fma(r * r, f.polynomial(r, "exp"), r_low)
    coefficients = COEFFICIENTS["erfc", f.precision]
    t = (b - CENTRE) / (b + CENTRE)
    factor, factor_low = f.sum2_ordered(coefficients[0], t * f.sum_of_powers(t, coefficients[1:]))
    product, product_low = f.product2(exponential, factor)
    product_low = product_low + f.fma(exponential, factor_low, exponential_low * factor)
    denominator, denominator_low = f.sum2(1.0, b + b)
    inverse = 1.0 / denominator
    quotient = product * inverse
    rest = f.fma(-quotient, denominator, product) + (product_low - quotient * denominator_low)
    return f.scale(f.fma(rest, inverse, quotient), k, a > 27.3)


def erfc(f: Builder, x: Value) -> Value:
    if f.single:
        wide = f.wide()
        return f.narrow(_erfc(wide, f.widen(x), _erfc_wide))
    return _erfc(f, x, _erfc_tail)


def _erfc(f: Builder, x: Value, tail: Callable[[Builder, Value], Value]) -> Value:
    a = f.abs(x)
    large = tail(f, a)
    large = f.select(x < 0.0, 2.0 - large, large)
    return f.select(a < 0.5, 1.0 - _erf_small(f, x), large)


FUNCTIONS: dict[str, Callable[..., Value]] = {"erf": erf, "erfc": erfc}
