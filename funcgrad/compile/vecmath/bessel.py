"""How are the scaled Bessel functions exp(-|x|) I(x) of order 0 and 1 computed?

Up to 7.75 by the polynomial of I in x**2 times the exponential, beyond by one in 1/x over the square root
(DLMF 10.25.2, 10.40.1).
"""

from __future__ import annotations

from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.exponential import exp
from funcgrad.compile.vecmath.special import in_double, polynomial

NEAR = 7.75


def _scaled(f: Builder, a: Value, name: str, odd: bool) -> Value:
    """The function for a >= 0."""
    near = f.at_most(a, NEAR)
    small = polynomial(f, near * near, name) * exp(f, -near)
    far = f.at_least(a, NEAR)
    large = polynomial(f, 1.0 / far, f"{name}_far") / f.sqrt(far)
    return f.select(a > NEAR, large, near * small if odd else small)


@in_double
def i0e(f: Builder, x: Value) -> Value:
    return _scaled(f, f.abs(x), "i0", False)


@in_double
def i1e(f: Builder, x: Value) -> Value:
    return f.copysign(_scaled(f, f.abs(x), "i1", True), x)


FUNCTIONS: dict[str, Callable[..., Value]] = {"i0e": i0e, "i1e": i1e}
