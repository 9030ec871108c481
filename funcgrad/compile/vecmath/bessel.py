"""How are the scaled Bessel functions exp(-|x|) I(x) of order 0 and 1 computed?

Up to 7.75 by the polynomial of I in x**2 times the exponential, beyond by one in 1/x over the square root
(DLMF 10.25.2, 10.40.1).  In single precision the first would lose digits in x**2: polynomials in x - 1/2 and x - 2 take
its place, up to 3.25.
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.exponential import exp
from funcgrad.compile.vecmath.special import apart, polynomial

NEAR = 7.75
LOW, MIDDLE = 1.0, 3.25  # in single precision


def _scaled(f: Builder, a: Value, name: str, odd: bool) -> Value:
    """The function for a >= 0."""
    if f.single:
        return _scaled_single(f, a, f"{name}_single", odd)
    near = f.at_most(a, NEAR)
    small = polynomial(f, near * near, name) * exp(f, -near)
    far = f.at_least(a, NEAR)
    large = polynomial(f, 1.0 / far, f"{name}_far") / f.sqrt(far)
    return f.select(a > NEAR, large, near * small if odd else small)


def _scaled_single(f: Builder, a: Value, name: str, odd: bool) -> Value:
    lowest, middle = f.at_most(a, LOW), f.at_most(f.at_least(a, LOW), MIDDLE)
    t = lowest - 0.5
    lost = lowest - (t + 0.5)  # of t's digits, near 0, where the slope is -1 or -1/2
    first, *others = apart(name)
    rest = f.fma(lost, -0.5 if odd else -1.0, f.sum_of_powers(t, others))
    second, *others = apart(f"{name}_middle")
    small = f.fma(a, first, a * rest) if odd else rest + first
    second, *others = apart(f"{name}_middle")
    small = f.select(a < LOW, small, f.sum_of_powers(middle - 2.0, others) + second)
    third, *others = apart(f"{name}_far")
    far = f.at_least(a, MIDDLE)
    large = (f.sum_of_powers(1.0 / far - 0.15, others) + third) / f.sqrt(far)
    return f.select(a > MIDDLE, large, small)


def i0e(f: Builder, x: Value) -> Value:
    return _scaled(f, f.abs(x), "i0", False)


def i1e(f: Builder, x: Value) -> Value:
    return f.copysign(_scaled(f, f.abs(x), "i1", True), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"i0e": i0e, "i1e": i1e}
