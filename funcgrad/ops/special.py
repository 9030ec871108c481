"""Which special functions are primitives?  Here gamma, polygamma, zeta and beta functions, incomplete ones included.

Their references are `scipy.special`'s, their derivatives those of NIST DLMF, chapters 5, 8 and 25. Derivatives by
parameters that have no closed form are primitives of their own, of any order, by series (`special_series`).
Others are in `error_functions` and `bessel`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.dtypes import COMPLEX, FLOATS, INEXACT
from funcgrad.ir.types import ArrayType
from funcgrad.ops import special_series
from funcgrad.ops.arithmetic import abs_, floor, round_
from funcgrad.ops.comparison import and_, not_, select
from funcgrad.ops.families import Operation, Partial, elementwise
from funcgrad.ops.references import Reference, from_scipy, from_series, in_double, scipy_special
from funcgrad.ops.taylor import Orders
from funcgrad.ops.transcendental import cos, exp, log, log1p
from funcgrad.trace.frame import type_of


def with_orders(primitive: Operation, count: int) -> Operation:
    """An elementwise primitive with `count` leading operands that are int64: orders, which have no derivative."""
    rest = primitive.infer

    def infer(*types: ArrayType, **params: Any) -> ArrayType:
        orders, operands = types[:count], types[count:]
        if any(t.dtype != np.int64 for t in orders):
            raise TypeError(f"{primitive.name}: orders must be int64, not {', '.join(map(str, orders))}")
        as_floats = (ArrayType(t.shape, operands[0].dtype, True) for t in orders)
        return rest(*as_floats, *operands, **params)  # type: ignore[no-any-return]

    primitive.infer = infer
    return primitive


def family_of_derivatives(name: str, function: Reference, count: int) -> Operation:
    """The derivatives of any orders of a function of `count` operands, each again with all its derivatives."""

    def by(k: int) -> Partial:
        def partial(t: Any, out: Any, *operands: Any, orders: Orders) -> Any:
            return t * primitive(*operands, orders=(*orders[:k], orders[k] + 1, *orders[k + 1 :]))

        return partial

    primitive = elementwise(name, from_series(function), FLOATS, [by(k) for k in range(count)], None)
    return primitive


def number(value: float, like: Any) -> Any:
    """A constant of the dtype of an operand."""
    return type_of(like).dtype.type(value)


def is_zero(x: Any) -> Any:
    """Where `x` is 0."""
    return x == number(0, x)


# x log y, which is 0 for x = 0 ---------------------------------------------------------------------------------------


def _by_logarithm(name: str, shift: float, derivative: Partial) -> Operation:
    def scalar(emit: Any, dtype: str, x: Any, y: Any) -> Any:
        product = emit("mul", x, emit("log1p" if shift else "log", y))
        void = emit("and", emit("eq", x, emit.constant(0, dtype)), emit("eq", y, y))
        return emit("select", void, emit.constant(0, dtype), product)

    return elementwise(name, from_scipy(name), FLOATS, (derivative, _by_inner(shift)), scalar)


def _by_inner(shift: float) -> Partial:
    def partial(t: Any, out: Any, x: Any, y: Any) -> Any:
        z = y + shift if shift else y  # 0 where both are: a slope of its own would leave x / z without one where x is 0
        return t * select(and_(is_zero(x), is_zero(z)), x / z, number(0, x))

    return partial


xlogy = _by_logarithm("xlogy", 0.0, lambda t, out, x, y: t * log(y))
xlog1py = _by_logarithm("xlog1py", 1.0, lambda t, out, x, y: t * log1p(y))


# Gamma, polygamma, zeta ----------------------------------------------------------------------------------------------


def _polygamma(n: Any, x: Any) -> Any:
    """SciPy's polygamma, and NaN, as there, for orders below 0."""
    special = scipy_special()
    return np.where(np.asarray(n) < 0, np.nan, special.polygamma(np.maximum(n, 0), x))


polygamma: Operation = with_orders(
    elementwise(
        "polygamma",
        lambda n, x: in_double(_polygamma, (n, x)),
        FLOATS,
        (None, lambda t, out, n, x: t * polygamma(n + 1, x)),
        None,
    ),
    1,
)


def _log_gamma(x: Any) -> Any:
    """SciPy's gammaln; a series beside its zeros at 1 and 2, where that one loses digits; -log|x| at 0 (DLMF 5.7.3)."""
    special = scipy_special()
    first, second, tiny = np.abs(x - 1) < 0.125, np.abs(x - 2) < 0.125, (np.abs(x) < 1e-200) & (x != 0)
    t = np.where(first, 1 - x, np.where(second, 2 - x, 0.0))
    slope = np.where(first, np.euler_gamma, np.euler_gamma - 1)
    beside = slope * t
    for k in range(2, 22):
        beside = beside + (special.zetac(float(k)) + first) * t**k / k
    around = -np.log(np.abs(np.where(tiny, x, 1.0)))
    return np.where(first | second, beside, np.where(tiny, around, special.gammaln(x)))


def _trigamma(x: Any) -> Any:
    """SciPy's sum of 1/(x + k)²; reflected for x < 0 (DLMF 5.15.6), where that one has as many terms as x is large."""
    low = x < 0
    right = scipy_special().zeta(2.0, np.where(low, 1 - x, x))
    return np.where(low, (np.pi / np.sin(np.pi * (x - np.rint(x)))) ** 2 - right, right)


trigamma = elementwise(
    "trigamma", from_series(_trigamma), FLOATS, (lambda t, out, x: t * polygamma(np.int64(2), x),), "trigamma"
)
digamma = elementwise("digamma", from_scipy("psi"), INEXACT, (lambda t, out, x: t * trigamma(x),), "digamma")
lgamma = elementwise("lgamma", from_series(_log_gamma), FLOATS, (lambda t, out, x: t * digamma(x),), "lgamma")
loggamma = elementwise("loggamma", from_scipy("loggamma"), COMPLEX, (lambda t, out, x: t * digamma(x),), None)
gamma = elementwise("gamma", from_scipy("gamma"), INEXACT, (lambda t, out, x: t * (out * digamma(x)),), None)
zeta_derivative = family_of_derivatives("zeta_derivative", special_series.zeta, 2)
zeta: Operation = elementwise(
    "zeta",
    from_scipy("zeta"),
    FLOATS,
    (
        lambda t, out, s, q: t * zeta_derivative(s, q, orders=(1, 0)),
        lambda t, out, s, q: -(t * (s * zeta(s + 1, q))),
    ),
    None,
)

# Quotients of gamma functions ----------------------------------------------------------------------------------------
#
# Their derivatives are differences of digamma functions, which have poles where the quotient is finite: where 1/Γ(y) is
# 0, the quotient is written as Γ(1 - y) sin(πy) / π times the rest (DLMF 5.5.3), whose derivative is that of the sine.


def _is_pole(x: Any) -> Any:
    """Where Γ(x) is infinite."""
    return and_(x <= 0, x == floor(x))


def _is_by_pole(x: Any) -> Any:
    """Where a sum `x` is so near to a pole of Γ that its rounding counts."""
    width = float(np.finfo(type_of(x).dtype).eps) ** (1 / 3)
    return and_(x < 0.5, abs_(x - round_(x)) < width)


def _difference(x: Any, y: Any) -> Any:
    """ψ(x) - ψ(y); by ψ(1 - x) - ψ(1 - y) where both are poles, with a whole number between them."""
    both = and_(_is_pole(x), _is_pole(y))
    return digamma(select(both, x, 1 - x)) - digamma(select(both, y, 1 - y))


def _at_zeros(pole: Callable[..., Any], rest: Callable[..., Any], usual: Partial, turned: Partial) -> Partial:
    """A partial derivative: `turned` where `pole` of the operands is by a pole of Γ below the line, `rest` is none."""

    def partial(t: Any, out: Any, *operands: Any) -> Any:
        zero = and_(_is_by_pole(pole(*operands)), not_(_is_pole(rest(*operands))))
        tame = [number((k + 1) / 4, x) for k, x in enumerate(operands)]  # no poles anywhere
        others = [select(zero, x, y) for x, y in zip(operands, tame, strict=True)]
        zeros = [select(zero, y, x) for x, y in zip(operands, tame, strict=True)]
        return select(zero, usual(t, out, *others), turned(t, out, *zeros))

    return partial


def _turn(y: Any) -> Any:
    """The derivative of sin(πy) / π."""
    return cos(math.pi * y)


poch = elementwise(
    "poch",
    from_scipy("poch"),
    FLOATS,
    (
        _at_zeros(
            lambda z, m: z,
            lambda z, m: z + m,
            lambda t, out, z, m: t * (out * _difference(z + m, z)),
            lambda t, out, z, m: t * (gamma(z + m) * gamma(1 - z) * _turn(z) + out * (digamma(z + m) - digamma(1 - z))),
        ),
        lambda t, out, z, m: t * (out * digamma(z + m)),
    ),
    None,
)


def _binom_turned(n: Any, k: Any) -> Any:
    """What the derivative has in addition where Γ(n - k + 1) is infinite."""
    return beta(n + 1, k - n) * _turn(n - k + 1)


binom = elementwise(
    "binom",
    from_scipy("binom"),
    FLOATS,
    (
        _at_zeros(
            lambda n, k: n - k + 1,
            lambda n, k: n + 1,
            lambda t, out, n, k: t * (out * _difference(n + 1, n - k + 1)),
            lambda t, out, n, k: t * (_binom_turned(n, k) + out * (digamma(n + 1) - digamma(k - n))),
        ),
        _at_zeros(
            lambda n, k: k + 1,
            lambda n, k: n - k + 1,
            _at_zeros(
                lambda n, k: n - k + 1,
                lambda n, k: k + 1,
                lambda t, out, n, k: t * (out * _difference(n - k + 1, k + 1)),
                lambda t, out, n, k: t * (out * (digamma(k - n) - digamma(k + 1)) - _binom_turned(n, k)),
            ),
            lambda t, out, n, k: t * (beta(n + 1, -k) * _turn(k + 1) + out * (digamma(n - k + 1) - digamma(-k))),
        ),
    ),
    None,
)

# Beta ----------------------------------------------------------------------------------------------------------------

STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def _stirling_rest(x: Any) -> Any:
    """log Γ(x) less (x - 1/2) log x - x + log √2π, for x >= 10 (DLMF 5.11.1)."""
    y = 1 / (x * x)
    total = np.zeros_like(x)
    for c in reversed(STIRLING):
        total = total * y + c
    return total / x


def log_beta(a: Any, b: Any) -> Any:
    """log B(a, b), without the cancellation that SciPy has for large arguments.

    A. R. DiDonato, A. H. Morris, "Algorithm 708", ACM TOMS 18 (1992).
    """
    special = scipy_special()
    low, high = np.minimum(a, b), np.maximum(a, b)
    plain = special.betaln(a, b)
    far = (low > 0) & (high >= 10) & np.isfinite(high)
    x, y = np.where(far, low, 1.0), np.where(far, high, 10.0)
    rest = _stirling_rest(y) - _stirling_rest(x + y)
    difference = x - x * np.log(x + y) - (y - 0.5) * np.log1p(x / y) + rest
    large = np.where(x >= 10, x, 10.0)
    both = _stirling_rest(large) + rest - (large - 0.5) * np.log1p(y / large) - y * np.log1p(large / y)
    both += 0.5 * np.log(2 * np.pi) - 0.5 * np.log(y)
    return np.where(far, np.where(x >= 10, both, special.gammaln(x) + difference), plain)


lbeta = elementwise(
    "lbeta",
    from_series(log_beta),
    FLOATS,
    (
        lambda t, out, a, b: t * _difference(a, a + b),
        lambda t, out, a, b: t * _difference(b, a + b),
    ),
    None,
)


def _beta_turned(out: Any, a: Any, b: Any) -> Any:
    """The derivative of B(a, b) by `a` where Γ(a + b) is infinite, and Γ(a) is not."""
    rest = 1 - a - b
    return gamma(a) * gamma(b) * gamma(rest) * _turn(a + b) + out * (digamma(a) - digamma(rest))


beta: Operation = elementwise(
    "beta",
    from_scipy("beta"),
    FLOATS,
    (
        _at_zeros(
            lambda a, b: a + b,
            lambda a, b: a,
            lambda t, out, a, b: t * (out * _difference(a, a + b)),
            lambda t, out, a, b: t * _beta_turned(out, a, b),
        ),
        _at_zeros(
            lambda a, b: a + b,
            lambda a, b: b,
            lambda t, out, a, b: t * (out * _difference(b, a + b)),
            lambda t, out, a, b: t * _beta_turned(out, b, a),
        ),
    ),
    None,
)
betainc_derivative = family_of_derivatives("betainc_derivative", special_series.betainc, 3)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    return exp(xlogy(a - 1, x) + xlog1py(b - 1, -x) - lbeta(a, b))


betainc = elementwise(
    "regularized_incomplete_beta",
    from_scipy("betainc"),
    FLOATS,
    (
        lambda t, out, a, b, x: t * betainc_derivative(a, b, x, orders=(1, 0, 0)),
        lambda t, out, a, b, x: t * betainc_derivative(a, b, x, orders=(0, 1, 0)),
        lambda t, out, a, b, x: t * _beta_density(a, b, x),
    ),
    None,
)

# Incomplete gamma ----------------------------------------------------------------------------------------------------

igamma_derivative = family_of_derivatives("igamma_derivative", special_series.igamma, 2)


def _gamma_density(a: Any, x: Any) -> Any:
    return exp(xlogy(a - 1, x) - x - lgamma(a))


def igamma_grad_a(a: Any, x: Any) -> Any:
    """The derivative of P(a, x) by a."""
    return igamma_derivative(a, x, orders=(1, 0))


igamma = elementwise(
    "igamma",
    from_scipy("gammainc"),
    FLOATS,
    (lambda t, out, a, x: t * igamma_grad_a(a, x), lambda t, out, a, x: t * _gamma_density(a, x)),
    None,
)
igammac = elementwise(
    "igammac",
    from_scipy("gammaincc"),
    FLOATS,
    (lambda t, out, a, x: -(t * igamma_grad_a(a, x)), lambda t, out, a, x: -(t * _gamma_density(a, x))),
    None,
)


def _curvature_by_shape(t: Any, out: Any, a: Any, x: Any) -> Any:
    """With P the probability, p its density: r = -P_a / p has r_a = -P_aa / p - r p_a / p."""
    second = igamma_derivative(a, x, orders=(2, 0)) / _gamma_density(a, x)
    return -(t * (second + out * (log(x) - digamma(a))))


def _curvature_by_value(t: Any, out: Any, a: Any, x: Any) -> Any:
    """r_x = -p_a / p - r p_x / p."""
    return -(t * (log(x) - digamma(a) + out * ((a - 1) / x - 1)))


random_gamma_grad = elementwise(
    "random_gamma_grad",
    from_series(special_series.random_gamma_grad),
    FLOATS,
    (_curvature_by_shape, _curvature_by_value),
    None,
)
