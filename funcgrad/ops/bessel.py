"""Which Bessel, hypergeometric and Legendre functions are primitives?

The references are `scipy.special`'s, the derivatives those of NIST DLMF, chapters 10, 13, 14 and 15.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import FLOATS
from funcgrad.ops import special_series
from funcgrad.ops.arithmetic import max_, sign, sqrt
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.families import Operation, elementwise
from funcgrad.ops.references import from_scipy, in_double, scipy_special
from funcgrad.ops.special import family_of_derivatives, is_zero, number, with_orders
from funcgrad.trace.frame import type_of

bessel_i0e: Operation = elementwise(
    "bessel_i0e", from_scipy("i0e"), FLOATS, (lambda t, out, x: t * (bessel_i1e(x) - sign(x) * out),), "i0e"
)


def _i1e_slope(t: Any, out: Any, x: Any) -> Any:
    """I0e - (sgn x + 1/x) I1e, and 1/2 at 0."""
    void = is_zero(x)
    safe = select(void, x, number(1, x))
    return t * select(void, bessel_i0e(x) - out * (sign(x) + 1 / safe), number(0.5, x))


bessel_i1e: Operation = elementwise("bessel_i1e", from_scipy("i1e"), FLOATS, (_i1e_slope,), "i1e")


def _jn_slope(t: Any, out: Any, x: Any, *, v: int) -> Any:
    return -(t * bessel_jn(x, v=1)) if v == 0 else t * (0.5 * (bessel_jn(x, v=v - 1) - bessel_jn(x, v=v + 1)))


bessel_jn: Operation = elementwise("bessel_jn", from_scipy("jv"), FLOATS, (_jn_slope,), None)

# Hypergeometric functions --------------------------------------------------------------------------------------------

hyp1f1_derivative = family_of_derivatives("hyp1f1_derivative", special_series.hyp1f1, 3)
hyp1f1: Operation = elementwise(
    "hyp1f1",
    from_scipy("hyp1f1"),
    FLOATS,
    (
        lambda t, out, a, b, x: t * hyp1f1_derivative(a, b, x, orders=(1, 0, 0)),
        lambda t, out, a, b, x: t * hyp1f1_derivative(a, b, x, orders=(0, 1, 0)),
        lambda t, out, a, b, x: t * (a / b * hyp1f1(a + 1, b + 1, x)),
    ),
    None,
)
hyp2f1_derivative = family_of_derivatives("hyp2f1_derivative", special_series.hyp2f1, 4)
hyp2f1: Operation = elementwise(
    "hyp2f1",
    from_scipy("hyp2f1"),
    FLOATS,
    (
        lambda t, out, a, b, c, x: t * hyp2f1_derivative(a, b, c, x, orders=(1, 0, 0, 0)),
        lambda t, out, a, b, c, x: t * hyp2f1_derivative(a, b, c, x, orders=(0, 1, 0, 0)),
        lambda t, out, a, b, c, x: t * hyp2f1_derivative(a, b, c, x, orders=(0, 0, 1, 0)),
        lambda t, out, a, b, c, x: t * (a * b / c * hyp2f1(a + 1, b + 1, c + 1, x)),
    ),
    None,
)

# Spherical harmonics -------------------------------------------------------------------------------------------------


def _sph_legendre(n: Any, m: Any, theta: Any) -> Any:
    """The spherical harmonic of degree n and order m at φ = 0; 0 where |m| > n."""
    special = scipy_special()
    inside = np.abs(m) <= n
    order = np.where(inside, m, 0)
    if hasattr(special, "sph_harm_y"):
        value = special.sph_harm_y(n, order, theta, 0.0)
    else:  # before SciPy 1.15
        value = special.sph_harm(order, n, 0.0, theta)
    return np.where(inside, value.real, 0.0)


def _sph_legendre_slope(t: Any, out: Any, n: Any, m: Any, theta: Any) -> Any:
    """√((n - m)(n + m + 1)) P(m + 1) / 2 - √((n + m)(n - m + 1)) P(m - 1) / 2."""
    dtype, zero = type_of(theta).dtype, np.int64(0)
    up, down = (
        sqrt(convert(max_(k, zero), dtype=dtype)) for k in ((n - m) * (n + m + 1), (n + m) * (n - m + 1))
    )  # beyond |m| = n there is nothing
    return t * (0.5 * (up * sph_legendre(n, m + 1, theta) - down * sph_legendre(n, m - 1, theta)))


sph_legendre: Operation = with_orders(
    elementwise(
        "sph_legendre",
        lambda n, m, theta: in_double(_sph_legendre, (n, m, theta)),
        FLOATS,
        (None, None, _sph_legendre_slope),
        None,
    ),
    2,
)
