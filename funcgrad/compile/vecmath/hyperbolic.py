"""How are sinh, cosh and tanh computed?

With |x| = n*ln(2) + r, C = cosh(n*ln(2)) and S = sinh(n*ln(2)), which 2**n gives almost exactly, the addition theorem
says: sinh|x| = S*cosh(r) + C*sinh(r) and cosh|x| = C*cosh(r) + S*sinh(r).  Nothing cancels, and n = 0 needs no case of
its own.

tanh(a) = a + a**3/P(a**2) up to 5/8, and 1 - 2/(e**(2a) + 1) beyond, where e**r = (Q + r)/(Q - r) with a short
polynomial Q(r**2), about r*coth(r/2): one division serves both.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import LN2, LOG2E, by_format, pair
from funcgrad.compile.vecmath.exponential import reduce

TANH_LIMIT = 0.625


def _terms(f: Builder, x: Value) -> tuple[Value, Value, Value, Value, Value]:
    """S/2, C/2, r, sinh(r) - r, cosh(r) - 1; halved so that nothing overflows before the result does."""
    offset = f.format.bias - 2
    n, k, r, r_low = reduce(f, f.at_most(f.abs(x), by_format(f, 89.6, 710.6)), offset)
    z = r * r
    growing = f.power_of_two(k)
    shrinking = f.select(n < 60.0, f.power_of_two(2 * offset - k), 0.0)
    sinh_rest = f.fma(r * z, f.polynomial(z, "sinh"), r_low)
    return growing - shrinking, growing + shrinking, r, sinh_rest, z * f.polynomial(z, "cosh")


def sinh(f: Builder, x: Value) -> Value:
    s, c, r, sinh_rest, coshm1 = _terms(f, x)
    product, error = f.product2(c, r)
    total, lost = f.sum2_ordered(s, product)
    half = total + ((lost + error) + f.fma(c, sinh_rest, s * coshm1))
    tiny = f.abs(x) < by_format(f, 2.0**-14, 2.0**-28)
    return f.with_sign(f.select(tiny, x, half + half), x)


def cosh(f: Builder, x: Value) -> Value:
    s, c, r, sinh_rest, coshm1 = _terms(f, x)
    half = c + f.fma(c, coshm1, s * (r + sinh_rest))
    return half + half


def tanh(f: Builder, x: Value) -> Value:
    a = f.abs(x)
    square = a * a
    b = f.at_most(a, by_format(f, 10.0, 20.0))
    n, k = f.nearest(b, 2 * LOG2E, f.format.bias)
    high, low = pair(f, LN2)
    r = f.fma(n, -low, f.fma(n, -high, b + b))
    q = f.polynomial(r * r, "exp_quotient")
    above, below = q + r, q - r
    small = a < TANH_LIMIT
    numerator = f.select(small, a * square, -2.0 * below)
    denominator = f.select(small, f.polynomial(square, "tanh"), f.fma(f.power_of_two(k), above, below))
    return f.with_sign(f.select(small, a, 1.0) + numerator / denominator, x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"sinh": sinh, "cosh": cosh, "tanh": tanh}
