"""How are sinh, cosh and tanh computed?  From sinh(r) and cosh(r) - 1 of the reduced argument, by the addition theorem.

With |x| = n*ln(2) + r, C = cosh(n*ln(2)) and S = sinh(n*ln(2)), which 2**n gives almost exactly:
sinh|x| = S*cosh(r) + C*sinh(r) and cosh|x| = C*cosh(r) + S*sinh(r).  Nothing cancels, and n = 0 needs no case of its
own.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import by_format
from funcgrad.compile.vecmath.exponential import reduce


def _terms(f: Builder, x: Value) -> tuple[Value, Value, Value, Value, Value]:
    """S/2, C/2, r, sinh(r) - r, cosh(r) - 1; halved so that nothing overflows before the result does."""
    n, k, r, r_low = reduce(f, f.at_most(f.abs(x), by_format(f, 89.6, 710.6)))
    z = r * r
    growing = f.power_of_two(k, -2)
    shrinking = f.select(n < 60.0, f.power_of_two(0 - k, -2), 0.0)
    sinh_rest = f.fma(r * z, f.polynomial(z, "sinh"), r_low)
    return growing - shrinking, growing + shrinking, r, sinh_rest, z * f.polynomial(z, "cosh")


def sinh(f: Builder, x: Value) -> Value:
    s, c, r, sinh_rest, coshm1 = _terms(f, x)
    product, error = f.product2(c, r)
    total, lost = f.sum2_ordered(s, product)
    half = total + ((lost + error) + f.fma(c, sinh_rest, s * coshm1))
    tiny = f.abs(x) < by_format(f, 2.0**-14, 2.0**-28)
    return f.copysign(f.select(tiny, x, half + half), x)


def cosh(f: Builder, x: Value) -> Value:
    s, c, r, sinh_rest, coshm1 = _terms(f, x)
    half = c + f.fma(c, coshm1, s * (r + sinh_rest))
    return half + half


def tanh(f: Builder, x: Value) -> Value:
    # E/(E + 2) with E = e**(2|x|) - 1
    a = f.at_most(f.abs(x), by_format(f, 10.0, 20.0))
    _, k, r, r_low = reduce(f, a + a)
    power = f.power_of_two(k)
    total, error = f.sum2_ordered(power - 1.0, power * r)
    error = f.fma(power, f.fma(r * r, f.polynomial(r, "exp"), r_low), error)
    e = total + error
    denominator = e + 2.0
    inverse = 1.0 / denominator
    quotient = e * inverse
    e_low = (total - e) + error
    lost = e_low - quotient * ((e - (denominator - 2.0)) + e_low)
    result = f.fma(f.fma(-quotient, denominator, e) + lost, inverse, quotient)
    tiny = f.abs(x) < by_format(f, 2.0**-14, 2.0**-28)
    return f.copysign(f.select(tiny, x, result), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"sinh": sinh, "cosh": cosh, "tanh": tanh}
