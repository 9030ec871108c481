"""What are the derivatives of special functions by their parameters?  Their series and fractions in Taylor numbers.

Each function takes float64 arrays and the orders of the derivative in each argument.  Elements are spread over the
expansions that converge for them; an expansion is summed until it has converged everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.ops.references import scipy_special
from funcgrad.ops.taylor import Orders, Taylor, converged

# B(2j) / (2j)!, j = 1 ...: coefficients of the Euler-Maclaurin sum
BERNOULLI = tuple(
    b / math.factorial(2 * j + 2)
    for j, b in enumerate(
        (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
    )
)
Expansion = Callable[..., Taylor]


def _polygamma(n: int, x: Any) -> Any:
    special = scipy_special()
    return special.polygamma(n, x) if n else special.psi(x)


def log_gamma(x: Taylor) -> Taylor:
    """log Γ(x) for x > 0."""
    value = scipy_special().gammaln(x.value)
    return x.apply([value, *(_polygamma(k - 1, x.value) / math.factorial(k) for k in range(1, x.depth))])


def spread(orders: Orders, operands: tuple[Any, ...], pieces: list[tuple[Any, Expansion]], invalid: Any) -> Any:
    """The derivative of the given orders, each element by the first expansion whose condition holds for it."""
    values = [np.ravel(x) for x in np.broadcast_arrays(*operands)]
    shape = np.broadcast_shapes(*map(np.shape, operands))
    out = np.full(values[0].shape, np.nan)
    left = ~np.ravel(np.broadcast_to(invalid, shape)) & ~np.any(np.isnan(values), axis=0)
    for condition, expansion in pieces:
        chosen = left & np.ravel(np.broadcast_to(condition, shape))
        left &= ~chosen
        if np.any(chosen):
            numbers = [Taylor.variable(x[chosen], k, orders) for k, x in enumerate(values)]
            out[chosen] = expansion(*numbers).derivative()
    return out.reshape(shape)


def power_series(following: Callable[..., Taylor], *operands: Taylor) -> Taylor:
    """1 + t(1) + t(2) + ..., where ``t(n + 1) = following(t(n), n, *operands)``."""

    def begin(x: Taylor, *rest: Taylor) -> tuple[Taylor, Taylor]:
        one = x.lift(np.ones_like(x.value))
        return one, one

    def advance(n: int, state: tuple[Taylor, Taylor], *operands: Taylor) -> tuple[Taylor, Taylor]:
        total, term = state
        term = following(term, n - 1, *operands)
        return total + term, term

    return converged(operands, begin, advance)


def fraction(numerator: Callable[..., Any], denominator: Callable[..., Any], *operands: Taylor) -> Taylor:
    """1 / (b(0) + a(1) / (b(1) + a(2) / (b(2) + ...))), by Steed's algorithm."""

    def begin(*operands: Taylor) -> tuple[Taylor, Taylor, Taylor]:
        d = 1.0 / operands[0].lift(denominator(0, *operands))
        return d, d, d

    def advance(n: int, state: tuple[Taylor, Taylor, Taylor], *operands: Taylor) -> tuple[Taylor, Taylor, Taylor]:
        total, delta, d = state
        b = denominator(n, *operands)
        d = (numerator(n, *operands) * d + b).reciprocal()
        delta = delta * (b * d - 1.0)
        return total + delta, delta, d

    return converged(operands, begin, advance)


# Zeta ----------------------------------------------------------------------------------------------------------------


def zeta(s: Any, q: Any, *, orders: Orders) -> Any:
    """Derivatives of Σ (q + k)**-s for s > 1, q > 0 by Euler-Maclaurin summation (DLMF 25.11.5)."""

    def expansion(s: Taylor, q: Taylor) -> Taylor:
        terms = 12
        total = (-1.0 * s * q.log()).exp()
        for k in range(1, terms):
            total = total + (-1.0 * s * (q + float(k)).log()).exp()
        end = q + float(terms)
        power = (-1.0 * s * end.log()).exp()
        total = total + power * end / (s - 1.0) + 0.5 * power
        factor = s * power / end
        for j, b in enumerate(BERNOULLI):
            total = total + b * factor
            factor = factor * (s + float(2 * j + 1)) * (s + float(2 * j + 2)) / (end * end)
        return total

    return spread(orders, (s, q), [(True, expansion)], ~((np.asarray(s) > 1) & (np.asarray(q) > 0)))


# Incomplete gamma function -------------------------------------------------------------------------------------------


MANY = 30.0  # the shape from which on integrals take the place of the series and the fraction


@functools.cache
def _legendre() -> tuple[Any, Any]:
    """Gauss's rule on [-1, 1], when it is needed first: an eigenvalue problem, and a package of NumPy's behind it."""
    return np.polynomial.legendre.leggauss(80)


def _integral(slope: Taylor, curve: Taylor, sign: float) -> Taylor:
    """∫ exp(-u slope - curve h(u)) du from 0 to ∞, h(u) = (exp(±u) - 1 ∓ u), by Gauss's rule where it is not tiny.

    A parabola bounds the exponent where it matters, so that the integrand is smooth on the scale of the interval.
    """
    rate, bend = slope.value, curve.value
    end = 80.0 / (rate + np.sqrt(rate * rate + (76.0 if sign > 0 else 60.0) * bend))
    nodes, weights = _legendre()
    u = 0.5 * end[:, None] * (nodes + 1.0)
    small = 1.0 + sign * u / 3.0 * (1.0 + sign * u / 4.0 * (1.0 + sign * u / 5.0 * (1.0 + sign * u / 6.0)))
    h = np.where(u < 0.01, 0.5 * u * u * small, np.expm1(sign * u) - sign * u)
    exponent: Taylor = slope.map(lambda v: v[:, None]) * -u - curve.map(lambda v: v[:, None]) * h
    return exponent.exp().map(lambda v: 0.5 * end * (np.broadcast_to(v, u.shape) @ weights))


def _lower(a: Taylor, x: Taylor) -> Taylor:
    """S with P(a, x) = x**a e**-x / Γ(a + 1) S (DLMF 8.7.1)."""
    return power_series(lambda term, n, a, x: term * x / (a + float(n + 1)), a, x)


def _lower_integral(a: Taylor, x: Taylor) -> Taylor:
    """The same, with t = x e**-u in the definition."""
    return a * _integral(a - x, x, -1.0)


def _upper(a: Taylor, x: Taylor) -> Taylor:
    """F with Q(a, x) = x**a e**-x / Γ(a) F (DLMF 8.9.2)."""
    return fraction(lambda n, a, x: float(n) * (a - float(n)), lambda n, a, x: x - a + float(2 * n + 1), a, x)


def _upper_integral(a: Taylor, x: Taylor) -> Taylor:
    """The same, with t = x e**u in the definition."""
    return _integral(x - a, x, 1.0)


def _is_lower(a: Any, x: Any) -> Any:
    """Where every term of the lower series decreases with `a`."""
    return np.asarray(x) < np.exp(_polygamma(0, np.asarray(a) + 1.0))


def igamma(a: Any, x: Any, *, orders: Orders) -> Any:
    """Derivatives of the regularised lower incomplete gamma function P(a, x)."""

    def lower(factor: Expansion) -> Expansion:
        return lambda a, x: (a * x.log() - x - log_gamma(a + 1.0)).exp() * factor(a, x)

    def upper(factor: Expansion) -> Expansion:
        return lambda a, x: 1.0 - (a * x.log() - x - log_gamma(a)).exp() * factor(a, x)

    a, x = np.asarray(a), np.asarray(x)
    flat = (x == 0) | np.isinf(x)
    pieces = [(flat, lambda a, x: a.lift(np.zeros_like(a.value))), *_by_size(a, x, lower, upper)]
    return spread(orders, (a, x), pieces, ~((a > 0) & (x >= 0)))


def _by_size(
    a: Any, x: Any, lower: Callable[[Expansion], Expansion], upper: Callable[[Expansion], Expansion]
) -> list[tuple[Any, Expansion]]:
    """The expansions of both functions, and where they are used."""
    below, many = _is_lower(a, x), a > MANY
    return [
        (below & many, lower(_lower_integral)),
        (below, lower(_lower)),
        (many, upper(_upper_integral)),
        (True, upper(_upper)),
    ]


def random_gamma_grad(a: Any, x: Any) -> Any:
    """dx/da of a gamma variate x at a fixed probability: -(∂P/∂a) / (∂P/∂x), with nothing that underflows.

    M. Figurnov, S. Mohamed, A. Mnih, "Implicit reparameterization gradients", NeurIPS 2018.
    """

    def lower(factor: Expansion) -> Expansion:
        def expansion(a: Taylor, x: Taylor) -> Taylor:
            f = factor(a, x)
            slope = f.value * (np.log(x.value) - _polygamma(0, a.value + 1.0)) + f.derivative()
            return _first(-slope * x.value / a.value)

        return expansion

    def upper(factor: Expansion) -> Expansion:
        def expansion(a: Taylor, x: Taylor) -> Taylor:
            f = factor(a, x)
            return _first(x.value * (f.value * (np.log(x.value) - _polygamma(0, a.value)) + f.derivative()))

        return expansion

    a, x = np.asarray(a), np.asarray(x)
    return spread((1, 0), (a, x), _by_size(a, x, lower, upper), ~((a > 0) & (x > 0) & np.isfinite(a + x)))


def _first(slope: Any) -> Taylor:
    """A Taylor number whose first derivative is known."""
    return Taylor((1, 0), {(0, 0): 0.0, (1, 0): slope})


# Incomplete beta function --------------------------------------------------------------------------------------------


def _beta_fraction(a: Taylor, b: Taylor, x: Taylor, rest: Taylor) -> Taylor:
    """I(a, b, x) for x below the mean, `rest` being 1 - x (DLMF 8.17.22)."""

    def numerator(n: int, a: Taylor, b: Taylor, x: Taylor) -> Taylor:
        m, odd = float(n // 2), n % 2
        top = (a + m) * (a + b + m) * -1.0 if odd else m * (b - m)
        return top * x / ((a + float(n - 1)) * (a + float(n)))

    factor = (a * x.log() + b * rest.log() + log_gamma(a + b) - log_gamma(a + 1.0) - log_gamma(b)).exp()
    return factor * fraction(numerator, lambda n, *operands: 1.0, a, b, x)


def betainc(a: Any, b: Any, x: Any, *, orders: Orders) -> Any:
    """Derivatives of the regularised incomplete beta function."""
    a, b, x = (np.asarray(v) for v in (a, b, x))
    pieces: list[tuple[Any, Expansion]] = [
        ((x == 0) | (x == 1), lambda a, b, x: x.lift(np.zeros_like(x.value))),
        (x <= (a + 1) / (a + b + 2), lambda a, b, x: _beta_fraction(a, b, x, 1.0 - x)),
        (True, lambda a, b, x: 1.0 - _beta_fraction(b, a, 1.0 - x, x)),
    ]
    return spread(orders, (a, b, x), pieces, ~((a > 0) & (b > 0) & (x >= 0) & (x <= 1)))


# Hypergeometric functions --------------------------------------------------------------------------------------------


def _kummer(a: Taylor, b: Taylor, x: Taylor) -> Taylor:
    def following(term: Taylor, n: int, a: Taylor, b: Taylor, x: Taylor) -> Taylor:
        return term * (a + float(n)) * x / ((b + float(n)) * float(n + 1))

    return power_series(following, a, b, x)


def hyp1f1(a: Any, b: Any, x: Any, *, orders: Orders) -> Any:
    """Derivatives of Kummer's function M(a, b, x); for x < 0 as e**x M(b - a, b, -x) (DLMF 13.2.39)."""
    pieces: list[tuple[Any, Expansion]] = [
        (np.asarray(x) >= 0, _kummer),
        (True, lambda a, b, x: x.exp() * _kummer(b - a, b, -x)),
    ]
    return spread(orders, (a, b, x), pieces, np.isinf(x))


def _gauss(a: Taylor, b: Taylor, c: Taylor, x: Taylor) -> Taylor:
    def following(term: Taylor, n: int, a: Taylor, b: Taylor, c: Taylor, x: Taylor) -> Taylor:
        return term * (a + float(n)) * (b + float(n)) * x / ((c + float(n)) * float(n + 1))

    return power_series(following, a, b, c, x)


def hyp2f1(a: Any, b: Any, c: Any, x: Any, *, orders: Orders) -> Any:
    """Derivatives of Gauss's function F(a, b; c; x) for x < 1; for x < 0 by Pfaff's transformation (DLMF 15.8.1)."""

    def transformed(a: Taylor, b: Taylor, c: Taylor, x: Taylor) -> Taylor:
        rest = 1.0 - x
        return (-1.0 * a * rest.log()).exp() * _gauss(a, c - b, c, -1.0 * x / rest)

    pieces: list[tuple[Any, Expansion]] = [(np.asarray(x) >= 0, _gauss), (True, transformed)]
    return spread(orders, (a, b, c, x), pieces, ~(np.asarray(x) < 1))
