"""Which numbers do the formulas share?  Logarithms and multiples of pi, each to twice the format's precision.

A pair is a number and what it lacks.  The first half of a `LN2` and `LOG10_2` is short, so that its product with an
exponent is exact even without a fused multiply-add.
"""

from __future__ import annotations

from funcgrad.compile.vecmath.builder import Builder

Pair = tuple[float, float]
INFINITY, NAN = float("inf"), float("nan")
LOG2E = 1.4426950408889634

LN2 = {"f8": (0.693147180559663, 2.8235290563031577e-13), "f4": (0.693115234375, 3.194618329871446e-05)}
LOG10_2 = {"f8": (0.30102999566383914, 1.42050232272661e-13), "f4": (0.301025390625, 4.605039066518657e-06)}
INVERSE_LN2 = {
    "f8": (1.4426950408889634, 2.0355273740931033e-17),
    "f4": (1.4426950216293335, 1.925963033500011e-08),
}
INVERSE_LN10 = {
    "f8": (0.4342944819032518, 1.098319650216765e-17),
    "f4": (0.4342944920063019, -1.0103049952192578e-08),
}
HALF_PI = {
    "f8": (1.5707963267948966, 6.123233995736766e-17),
    "f4": (1.5707963705062866, -4.371138828673793e-08),
}
# 2/ln(2) and its third: the first coefficients of log2 as a series of (x-1)/(x+1)
LOG2_SERIES = ((2.8853900817779268, 4.0710547481862066e-17), (0.9617966939259756, 5.0577616648125907e-17))


def pair(f: Builder, table: dict[str, Pair]) -> Pair:
    """The constant in the format that `f` computes in."""
    return table[f.format.name]


def by_format(f: Builder, single: float, double: float) -> float:
    """A threshold that depends on the format."""
    return single if f.single else double
