"""How are e**x, 2**x, e**x - 1 and the logistic function computed?

x = n*ln(2) + r with |r| <= ln(2)/2, and e**r = 1 + r + r**2 * P(r).  2**n is built from its bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import LN2, LOG2E, by_format, pair

LEAST = -104.0, -746.0  # e**x is 0 from here on, in float and in double


class Reduced(NamedTuple):
    """x = n*ln(2) + r + r_low; k has n + offset in its low bits."""

    n: Value
    k: Value
    r: Value
    r_low: Value


def reduce(f: Builder, x: Value, offset: int, x_low: Value | None = None) -> Reduced:
    """Split x (+ x_low) into a multiple of ln(2) and a rest."""
    high, low = pair(f, LN2)
    n, k = f.nearest(x, LOG2E, offset)
    rest = f.fma(n, -high, x)
    if x_low is None:
        r = f.fma(n, -low, rest)
        return Reduced(n, k, r, f.fma(n, -low, rest - r))
    correction = f.fma(n, -low, x_low)
    r = rest + correction
    return Reduced(n, k, r, (rest - r) + correction)


def exp_reduced(f: Builder, r: Value) -> Value:
    """e**r for |r| <= ln(2)/2."""
    return f.fma(r * r, f.polynomial(r, "exp"), r) + 1.0


def exp(f: Builder, x: Value) -> Value:
    least = by_format(f, *LEAST)
    y = f.at_least(f.at_most(x, by_format(f, 89.0, 710.0)), least)
    _, k, r, _ = reduce(f, y, 2 * f.format.bias)
    return f.scale(exp_reduced(f, r), k, x < least)


def exp_below(f: Builder, x: Value) -> Value:
    """e**x for x that are not above 0, or hardly: 0 where that would not be a normal number."""
    least = by_format(f, -87.25, -708.25)
    _, k, r, _ = reduce(f, f.at_least(x, least), f.format.bias)
    return f.select(x.not_below(least), exp_reduced(f, r) * f.power_of_two(k), 0.0)


def exp2(f: Builder, x: Value) -> Value:
    least = by_format(f, -151.0, -1076.0)
    y = f.at_least(f.at_most(x, by_format(f, 129.0, 1025.0)), least)
    n, k = f.nearest(y, offset=2 * f.format.bias)
    return f.scale(exp2_reduced(f, y - n), k, x < least)


def exp2_reduced(f: Builder, r: Value) -> Value:
    """2**r for |r| <= 1/2."""
    return f.fma(r, f.polynomial(r, "exp2"), 1.0)


def expm1(f: Builder, x: Value) -> Value:
    y = f.at_least(f.at_most(x, by_format(f, 88.8, 709.9)), by_format(f, -20.0, -40.0))
    n, k, r, _ = reduce(f, y, f.format.bias - 1)
    # 2**n (e**r - 1) + (2**n - 1), all of it halved because 2**1024 is not a number
    power = f.power_of_two(k)
    rest = r * r * f.polynomial(r, "exp")
    half = f.fma(power, rest, f.fma(power, r, power - 0.5))
    return f.with_sign(f.select(n.equals(0.0), r + rest, half + half), x)


def logistic(f: Builder, x: Value) -> Value:
    # t / (t + e**r) with t = 2**n and x = n*ln(2) - r: nothing overflows, and one rounding makes the denominator
    high, low = pair(f, LN2)
    least = by_format(f, *LEAST)
    y = f.at_least(f.at_most(x, by_format(f, 20.0, 40.0)), least)
    n, k = f.nearest(y, LOG2E, 2 * f.format.bias)
    r = f.fma(n, low, f.fma(n, high, -y))
    first, second = f.halves(k)
    t = first * second
    total = 1.0 + t
    small = f.fma(r * r, f.polynomial(r, "exp"), r + (t - (total - 1.0)))
    return f.select(x < least, 0.0, first) / (total + small) * second  # not by an underflow: see `Builder.scale`


FUNCTIONS: dict[str, Callable[..., Value]] = {"exp": exp, "exp2": exp2, "expm1": expm1, "logistic": logistic}
