"""How are log|Γ(x)| and its derivatives ψ(x) and ψ'(x) computed?

log Γ: a polynomial in t around 2, with the zero there as a factor, to which up to 8.5 the recurrence leads by one
logarithm of a product; beyond, Stirling's series.  ψ: a polynomial on [1, 2] with its zero as a factor, a recurrence by
at most one step beside it, by eight steps (with one division) up to 10, then its asymptotic series.  ψ': by eight steps
likewise up to 8, then its series; no sum cancels, as all terms are positive.  All are reflected for x < 0 (DLMF 5.5.3,
5.5.4, 5.11.1, 5.11.2, 5.15.5, 5.15.6, 5.15.8).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from funcgrad.compile.vecmath.builder import Builder, Value
from funcgrad.compile.vecmath.constants import INFINITY, NAN
from funcgrad.compile.vecmath.logarithm import log
from funcgrad.compile.vecmath.special import in_double, polynomial, to_integer

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# the positive zero of ψ, and what the double lacks
ROOT, ROOT_LOW = 1.4616321449683622, 9.549995429965697e-17


def _recurrence(f: Builder, z: Value) -> tuple[Value, Value, Value]:
    """t, the product A and the sign s with log Γ(z) = log Γ(2 + t) + s log(A), for 0 < z < 8.5."""
    n = f.intrinsic("rint", z) - 2.0
    product = f.constant(1.0)
    for k in range(1, 7):
        product = product * f.select(n < float(k), 1.0, z - float(k))
    down = f.select(z < 0.5, z * (z + 1.0), z)
    low = n < 0.0
    t = f.select(z < 0.5, z, f.select(low, z - 1.0, (z - 2.0) - n))
    return t, f.select(low, down, product), f.select(low, -1.0, 1.0)


@in_double
def lgamma(f: Builder, x: Value) -> Value:
    reflected = x < 0.0
    z = f.select(reflected, 1.0 - x, x)
    large = z >= 8.5
    near = f.select(large, 3.0, z)
    t, product, sign = _recurrence(f, near)
    logarithm = log(f, f.select(large, z, product))
    small = f.fma(t, polynomial(f, t, "lgamma"), sign * logarithm)
    inverse = 1.0 / f.select(large, z, 9.0)
    series = inverse * polynomial(f, inverse * inverse, "stirling")
    stirling = f.fma(z - 0.5, logarithm - 1.0, series + (HALF_LOG_2PI - 0.5))
    result = f.select(large, stirling, small)
    _, r = to_integer(f, x)
    sine = f.abs(r) * polynomial(f, r * r, "sine")  # |sin(πx)| / π
    other = -log(f, f.select(reflected, sine, 1.0)) - result
    result = f.select(f.select(reflected, r.equals(0.0), x.equals(0.0)), INFINITY, f.select(reflected, other, result))
    return f.select(f.abs(x).equals(INFINITY), x, result)


def _shifted_sum(f: Builder, z: Value) -> Value:
    """1/z + 1/(z + 1) + ... + 1/(z + 7), from the pairs 1/(z + k) + 1/(z + 7 - k)."""
    y = z * (z + 7.0)
    a, b, c = y + 6.0, y + 10.0, y + 12.0
    left, right = y * a, b * c
    top = (y + a) * right + (b + c) * left
    return f.fma(z, 2.0, 7.0) * top / (left * right)


@in_double
def digamma(f: Builder, x: Value) -> Value:
    reflected = x < 0.0
    z = f.select(reflected, 1.0 - x, x)
    # on (0, 3): the polynomial at u in [1, 2], and one step
    first, third = z < 1.0, z > 2.0
    u = f.select(first, z + 1.0, f.select(third, z - 1.0, z))
    u = f.at_most(u, 2.0)
    factor = (u - ROOT) - ROOT_LOW
    near = factor * polynomial(f, u - 1.5, "digamma")
    step = 1.0 / f.select(first, z, f.select(third, z - 1.0, 1.0))
    near = near + f.select(first, -step, f.select(third, step, 0.0))
    # beyond: the series, at least at 10
    shift = z < 10.0
    large = f.select(shift, z + 8.0, z)
    inverse = 1.0 / large
    square = inverse * inverse
    series = (log(f, large) - 0.5 * inverse) - square * polynomial(f, square, "digamma_rest")
    safe = f.select(shift, f.at_least(z, 1.0), 1.0)
    far = f.select(shift, series - _shifted_sum(f, safe), series)
    result = f.select(z < 3.0, near, far)
    _, r = to_integer(f, x)
    w = r * r
    cotangent = 1.0 / r + r * (2.0 / (w - 1.0) + polynomial(f, w, "cotangent"))
    result = f.select(reflected, f.select(r.equals(0.0), NAN, result - cotangent), result)
    result = f.select(x.equals(0.0), f.copysign(f.constant(INFINITY), -x), result)
    return f.select(x.equals(-INFINITY), NAN, f.select(x.equals(INFINITY), INFINITY, result))


def _shifted_squares(f: Builder, z: Value) -> Value:
    """1/z² + 1/(z + 1)² + ... + 1/(z + 7)², from pairs as above: (2z + 7)² - 2p over p², p = (z + k)(z + 7 - k)."""
    y = z * (z + 7.0)
    a, b, c, s = y + 6.0, y + 10.0, y + 12.0, y + y
    left, right = y * a, b * c
    first = (s + 49.0) * (a * a) + (s + 37.0) * (y * y)
    second = (s + 29.0) * (c * c) + (s + 25.0) * (b * b)
    both = left * right
    return (first * (right * right) + second * (left * left)) / (both * both)


@in_double
def trigamma(f: Builder, x: Value) -> Value:
    reflected = x < 0.0
    z = f.select(reflected, 1.0 - x, x)
    shift = z < 8.0
    inverse = 1.0 / f.select(shift, z + 8.0, z)
    square = inverse * inverse
    result = f.fma(square, f.fma(inverse, polynomial(f, square, "trigamma_rest"), 0.5), inverse)
    result = f.select(shift, result + _shifted_squares(f, f.select(shift, z, 1.0)), result)
    _, r = to_integer(f, x)
    sine = r * polynomial(f, r * r, "sine")  # sin(πx) / π, but for its sign
    return f.select(reflected, 1.0 / (sine * sine) - result, result)


FUNCTIONS: dict[str, Callable[..., Value]] = {"lgamma": lgamma, "digamma": digamma, "trigamma": trigamma}
