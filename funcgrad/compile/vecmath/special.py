"""What do formulas of special functions share?  Some compute in double, also for float results.

In float their formulas would have (measured over all magnitudes) 8 units in the last place for log Γ between 1 and 1.5
and 1e6 beside its negative zeros, 1e5 for ψ beside its zeros, 4 for the logarithm of the normal distribution function.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.special_coefficients import SPECIAL


def in_double(formula: Callable[[Builder, Value], Value]) -> Callable[[Builder, Value], Value]:
    """The function that computes in double: a float is widened, and the result rounded once."""

    def function(f: Builder, x: Value) -> Value:
        if not f.single:
            return formula(f, x)
        wide = f.wide()
        wide.precision = "f8"
        return f.narrow(formula(wide, f.widen(x)))

    function.__doc__ = formula.__doc__
    return function


def polynomial(f: Builder, x: Value, name: str) -> Value:
    """The polynomial of this name."""
    return f.sum_of_powers(x, SPECIAL[name])


def apart(name: str, factor: float = 1.0) -> tuple[float, ...]:
    """The first coefficient rounded down to a short number, what is left of it, and the others; all of them scaled."""
    first, *others = (factor * c for c in SPECIAL[name])
    rounded = math.floor(first * 2.0**20) / 2.0**20
    return (rounded, first - rounded, *others)


def to_integer(f: Builder, x: Value) -> tuple[Value, Value]:
    """The nearest integer to `x` (whatever its size) and what is left, between -1/2 and 1/2."""
    nearest = f.intrinsic("rint", x)
    return nearest, x - nearest
