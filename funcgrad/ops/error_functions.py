"""Which integrals are primitives?  Inverses and relatives of erf, exponential, sine, cosine and Fresnel integrals.

The references are `scipy.special`'s, the derivatives those of NIST DLMF, chapters 6 and 7.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.dtypes import COMPLEX, FLOATS
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.families import Operation, elementwise
from funcgrad.ops.references import from_scipy
from funcgrad.ops.special import is_zero, number, with_orders
from funcgrad.ops.transcendental import cos, erf, exp, log, sin
from funcgrad.trace.frame import type_of

ROOT_PI, ROOT_2PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)
FAR = 20.0  # where the derivatives of scaled functions are differences that cancel


def _far_series(x: Any, sign: float) -> Any:
    """Σ (2k + 1)!! (sign / (2x²))**k, k = 0 ... 8: how 1 - 2x f(x) decays for f(x) ~ 1 / (2x)."""
    y = sign / (2 * x * x)
    total = 1.0 + 17 * y
    for k in reversed(range(1, 8)):
        total = 1.0 + (2 * k + 1) * y * total
    return total


def _logit_scalar(emit: Any, dtype: str, x: Any) -> Any:
    """log(x / (1 - x)): near 1/2, its zero, as 2 artanh(2x - 1)."""
    one = emit.constant(1, dtype)
    shifted = emit("sub", emit("add", x, x), one)
    wide = emit("sub", emit("log", x), emit("log1p", emit("neg", x)))
    inverse = emit("arctanh", shifted)
    near = emit("lt", emit("abs", shifted), emit.constant(0.5, dtype))
    return emit("select", near, emit("add", inverse, inverse), wide)


logit = elementwise("logit", from_scipy("logit"), FLOATS, (lambda t, out, x: t / (x * (1 - x)),), _logit_scalar)
erf_inv = elementwise(
    "erf_inv", from_scipy("erfinv"), FLOATS, (lambda t, out, x: t * (0.5 * ROOT_PI * exp(out * out)),), "erf_inv"
)
ndtri = elementwise(
    "ndtri", from_scipy("ndtri"), FLOATS, (lambda t, out, x: t * (ROOT_2PI * exp(0.5 * (out * out))),), "ndtri"
)


def _erfcx_slope(t: Any, out: Any, x: Any) -> Any:
    """2x erfcx(x) - 2/√π, which is -(1 - 3/(2x²) + ...) / (√π x²) far out."""
    far = x > FAR
    safe = select(far, number(FAR, x), x)
    decay = -_far_series(safe, -1.0) / (ROOT_PI * safe * safe)
    return t * select(far, 2 * x * out - 2 / ROOT_PI, decay)


erfcx = elementwise("erfcx", from_scipy("erfcx"), FLOATS, (_erfcx_slope,), "erfcx")
log_ndtr = elementwise(
    "log_ndtr",
    from_scipy("log_ndtr"),
    FLOATS,
    (lambda t, out, x: t * (math.sqrt(2 / math.pi) / erfcx(x * -math.sqrt(0.5))),),
    "log_ndtr",
)


def _dawsn_slope(t: Any, out: Any, x: Any) -> Any:
    """1 - 2x D(x), which is -(1 + 3/(2x²) + ...) / (2x²) far out."""
    far = (x > FAR) | (x < -FAR)
    safe = select(far, number(FAR, x), x)
    return t * select(far, 1 - 2 * x * out, -_far_series(safe, 1.0) / (2 * safe * safe))


dawsn = elementwise("dawsn", from_scipy("dawsn"), FLOATS, (_dawsn_slope,), None)
wofz = elementwise("wofz", from_scipy("wofz"), COMPLEX, (lambda t, out, z: t * (2j / ROOT_PI - 2 * z * out),), None)
owens_t = elementwise(
    "owens_t",
    from_scipy("owens_t"),
    FLOATS,
    (
        lambda t, out, h, a: t * (exp(-0.5 * (h * h)) * erf(a * h * math.sqrt(0.5)) * (-0.5 / ROOT_2PI)),
        lambda t, out, h, a: t * (exp(-0.5 * (h * h) * (1 + a * a)) / (2 * math.pi * (1 + a * a))),
    ),
    None,
)

# Exponential integrals -----------------------------------------------------------------------------------------------

expi = elementwise("expi", from_scipy("expi"), FLOATS, (lambda t, out, x: t * (exp(x) / x),), None)


def _expn_slope(t: Any, out: Any, n: Any, x: Any) -> Any:
    """-E(n - 1, x), where E(-1, x) = e**-x (1 + x) / x²."""
    first = n == np.int64(0)
    lower = expn(select(first, n - np.int64(1), np.int64(0)), x)
    return -(t * select(first, lower, exp(-x) * (1 + x) / (x * x)))


expn: Operation = with_orders(elementwise("expn", from_scipy("expn"), FLOATS, (None, _expn_slope), None), 1)


def _sinc(x: Any) -> Any:
    void = is_zero(x)
    return select(void, sin(x) / select(void, x, number(1, x)), number(1, x))


sine_integral = elementwise("sine_integral", from_scipy("sici", 0), FLOATS, (lambda t, out, x: t * _sinc(x),), None)
cosine_integral = elementwise(
    "cosine_integral", from_scipy("sici", 1), FLOATS, (lambda t, out, x: t * (cos(x) / x),), None
)
fresnel_sin = elementwise(
    "fresnel_sin", from_scipy("fresnel", 0), FLOATS, (lambda t, out, x: t * sin(math.pi / 2 * (x * x)),), None
)
fresnel_cos = elementwise(
    "fresnel_cos", from_scipy("fresnel", 1), FLOATS, (lambda t, out, x: t * cos(math.pi / 2 * (x * x)),), None
)


def _spence_slope(t: Any, out: Any, x: Any) -> Any:
    one = number(1, x)
    void = x == one
    return t * select(void, log(x) / (1 - select(void, x, one + one)), -one)


spence = elementwise("spence", from_scipy("spence"), FLOATS, (_spence_slope,), None)


def as_orders(n: Any) -> Any:
    """Orders as int64."""
    return n if type_of(n).dtype == np.int64 else convert(n, dtype=np.dtype(np.int64))
