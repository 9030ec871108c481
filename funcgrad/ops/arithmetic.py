"""Which operations on elements are arithmetic?  Sums, products, powers, roots, rounding, extrema."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, FLOATS, INEXACT, NUMBERS, REALS
from funcgrad.ops.complex import complex_, conj, is_complex, real, to_real
from funcgrad.ops.families import Operation, elementwise, operation, to_bool
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer


def _quotient(x: Any, y: Any) -> Any:
    """True division for floats; for integers truncation (a divisor of zero gives -1, as in XLA)."""
    dtype = np.result_type(x)
    if dtype.kind in "fc":
        return np.divide(x, y)
    safe = np.where(y == 0, dtype.type(1), y)
    floor = np.floor_divide(x, safe)
    inexact = (floor * safe != x) & ((np.asarray(x) < 0) != (safe < 0))
    return np.where(y == 0, np.invert(dtype.type(0)), floor + inexact.astype(dtype))


def _remainder(x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend (C's fmod and %); a divisor of integer zero gives the dividend."""
    dtype = np.result_type(x)
    return np.fmod(x, y) if dtype.kind == "f" else np.where(y == 0, x, np.fmod(x, np.where(y == 0, dtype.type(1), y)))


def _div_scalar(emit: Any, dtype: str, x: Any, y: Any) -> Any:
    return emit("div" if dtype[0] == "f" else "quotient", x, y)


def _sign_scalar(emit: Any, dtype: str, x: Any) -> Any:
    zero, one = emit.constant(0, dtype), emit.constant(1, dtype)
    other = emit("select", emit("eq", x, zero), zero, x)  # -0 becomes 0, NaN stays
    positive = emit("select", emit("gt", x, zero), one, other)
    return positive if dtype[0] == "u" else emit("select", emit("lt", x, zero), emit.constant(-1, dtype), positive)


def _integer_power(x: Any, *, y: int) -> Any:
    """NumPy's power where it has one; wrapping for integers."""
    return np.power(x, np.result_type(x).type(y)) if y >= 0 else 1 / np.power(x, np.result_type(x).type(-y))


def _integer_power_scalar(emit: Any, dtype: str, x: Any, *, y: int) -> Any:
    """Repeated squaring: at most two products for each binary digit."""
    result, square, n = None, x, abs(y)
    while n:
        if n & 1:
            result = square if result is None else emit("mul", result, square)
        n >>= 1
        square = emit("mul", square, square) if n else square
    one = emit.constant(1, dtype)
    return one if result is None else emit("div", one, result) if y < 0 else result


def _power_scalar(emit: Any, dtype: str, x: Any, y: Any) -> Any:
    """Powers 1/2, 3/2, 5/2 and their reciprocals are products with a root: a tenth of the work."""
    exponent = getattr(y, "value", None)
    if exponent not in (0.5, 1.5, 2.5, -0.5, -1.5, -2.5) or dtype not in ("f4", "f8"):
        return emit("pow", x, y)
    base = emit("add", x, emit.constant(0, dtype))  # no -0: its powers are positive
    result, error = emit("sqrt", base), None
    for _ in range(int(abs(exponent))):
        product = emit("mul", result, base)
        lost = emit("fma", result, base, emit("neg", product))
        result, error = product, lost if error is None else emit("fma", error, base, lost)
    if exponent < 0:
        one, power = emit.constant(1, dtype), result
        result = emit("div", one, power)
        if error is not None:
            error = emit("fma", emit("neg", error), result, emit("fma", emit("neg", power), result, one))
    if error is not None:  # two roundings more than the root's: the last digits are worth a correction
        result = _corrected(
            emit, result, emit("fma", error, result, result) if exponent < 0 else emit("add", result, error)
        )
    limit = emit.constant(np.inf if exponent > 0 else 0, dtype)
    return emit("select", emit("eq", x, emit.constant(-np.inf, dtype)), limit, result)


def _corrected(emit: Any, value: Any, total: Any) -> Any:
    """`total`, which is `value` but for the last digits, if that is a number (beyond the range it is not)."""
    return emit("select", emit("eq", total, total), total, value)


def _reciprocal_root_scalar(emit: Any, dtype: str, x: Any) -> Any:
    return emit("div", emit.constant(1, dtype), emit("sqrt", x))


def _is_finite_scalar(emit: Any, dtype: str, x: Any) -> Any:
    return emit("lt", emit("abs", x), emit.constant(float("inf"), dtype))


def _abs_partial(t: Any, out: Any, x: Any) -> Any:
    """Re(conj(x) t) / |x|, which is 0 at a complex 0, and the sign of x for real numbers: 1 at 0, as in JAX."""
    if not is_complex(x):
        return operation("select")(x >= 0, -t, t)
    one = type_of(out).dtype.type(1)
    unit = conj(x) / complex_(operation("select")(operation("eq")(out, one * 0), out, one), one * 0)
    return real(t * unit) if is_complex(t) else complex_(t, one * 0) * unit


def _share(x: Any, y: Any, wins: Any) -> Any:
    """1 where `x` is the extremum of the two, 1/2 at ties, 0 elsewhere."""
    dtype = np.result_type(x) if not hasattr(x, "type") else x.dtype
    one, half, zero = dtype.type(1), dtype.type(0.5), dtype.type(0)
    return operation("select")(wins, operation("select")(operation("eq")(x, y), zero, half), one)


def _power_base(t: Any, out: Any, x: Any, y: Any) -> Any:
    """d x**y / dx = y x**(y-1), and 0 for y = 0 also where x**(-1) is infinite.

    Elsewhere that 0 comes from the product, whose slope by y is x**(-1). For a known y < 0, x**(y-1) is x**y / x: a
    division instead of a power, and never 0 / 0 or inf / inf.
    """
    dtype = t.dtype
    if isinstance(y, (float, np.floating)) and y < 0 and dtype.kind == "f":
        return t * (y * (out / (x if y == round(y) else x + dtype.type(0))))  # fractions take -0 for 0
    flat = operation("eq")(y, dtype.type(0))
    if type(y) is Tracer:  # else there is no slope by y, and less to compute
        size = operation("abs")(x)
        kind = type_of(size).dtype
        least = kind.type(1e-4 if kind.itemsize == 2 else 1e-30)
        fine = operation("ge")(size, least)  # neither NaN nor so small that its inverse is infinite
        flat = operation("and")(flat, operation("not")(fine))
    return t * operation("select")(flat, y * pow_(x, operation("select")(flat, y - 1, dtype.type(1))), dtype.type(0))


def _power_exponent(t: Any, out: Any, x: Any, y: Any) -> Any:
    """d x**y / dy = x**y log x, and 0 for x = 0 <= y (where 0 log 0 would be NaN)."""
    dtype = t.dtype
    void = operation("eq")(x, dtype.type(0))
    log = operation("log")(operation("select")(void, x, dtype.type(1)))
    return t * (out * log)


neg = elementwise("neg", np.negative, NUMBERS, (lambda t, out, x: -t,), "neg")
add = elementwise("add", np.add, NUMBERS, (lambda t, out, x, y: t, lambda t, out, x, y: t), "add")
add_any = elementwise(  # the sum of two cotangents: the sign of a zero does not count (see simplify.parts)
    "add_any", np.add, NUMBERS, (lambda t, out, x, y: t, lambda t, out, x, y: t), "add"
)
sub = elementwise("sub", np.subtract, NUMBERS, (lambda t, out, x, y: t, lambda t, out, x, y: -t), "sub")
mul = elementwise("mul", np.multiply, NUMBERS, (lambda t, out, x, y: t * y, lambda t, out, x, y: t * x), "mul")
div = elementwise(
    "div", _quotient, NUMBERS, (lambda t, out, x, y: t / y, lambda t, out, x, y: -(t * (out / y))), _div_scalar
)
trunc = elementwise("trunc", np.trunc, FLOATS, (None,), "trunc")
rem = elementwise(
    "rem", _remainder, REALS, (lambda t, out, x, y: t, lambda t, out, x, y: -(t * trunc(x / y))), "remainder"
)
max_ = elementwise(
    "max",
    np.maximum,
    ALL,
    (lambda t, out, x, y: t * _share(x, y, x > y), lambda t, out, x, y: t * _share(y, x, y > x)),
    "max",
)
min_ = elementwise(
    "min",
    np.minimum,
    ALL,
    (lambda t, out, x, y: t * _share(x, y, x < y), lambda t, out, x, y: t * _share(y, x, y < x)),
    "min",
)
abs_ = elementwise("abs", np.abs, NUMBERS, (_abs_partial,), "abs", result=to_real)
sign = elementwise("sign", np.sign, REALS, (None,), _sign_scalar)
floor = elementwise("floor", np.floor, FLOATS, (None,), "floor")
ceil = elementwise("ceil", np.ceil, FLOATS, (None,), "ceil")
round_ = elementwise("round", np.rint, INEXACT, (None,), "rint")  # halves to even
is_finite = elementwise("is_finite", np.isfinite, INEXACT, None, _is_finite_scalar, result=to_bool, operands=1)
square = elementwise(
    "square", np.square, NUMBERS, (lambda t, out, x: t * (2 * x),), lambda emit, dtype, x: emit("mul", x, x)
)
integer_pow: Operation = elementwise(
    "integer_pow",
    _integer_power,
    NUMBERS,
    (lambda t, out, x, *, y: t * (y * integer_pow(x, y=y - 1)) if y else 0 * t,),
    _integer_power_scalar,
)
pow_ = elementwise("pow", np.power, INEXACT, (_power_base, _power_exponent), _power_scalar)
sqrt = elementwise("sqrt", np.sqrt, INEXACT, (lambda t, out, x: t / (2 * out),), "sqrt")
rsqrt = elementwise(
    "rsqrt", lambda x: 1 / np.sqrt(x), INEXACT, (lambda t, out, x: t * (out / x) * -0.5,), _reciprocal_root_scalar
)
cbrt = elementwise("cbrt", np.cbrt, FLOATS, (lambda t, out, x: t / (3 * (out * out)),), "cbrt")
