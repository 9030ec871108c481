"""JAX's functions of elements: tables from name to primitive, and those that are composed."""

from __future__ import annotations

import enum
import operator as _operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, BOOL, COMPLEX, FLOATS, INEXACT, INTEGERS, NUMBERS, REALS, STANDARD_FLOATS, DType
from funcgrad.errors import at_line
from funcgrad.lax._arguments import (
    check_dtype,
    converted,
    finished,
    same_dtype,
    same_shape,
    strong,
)
from funcgrad.lax._arguments import (
    operand as checked,
)
from funcgrad.lax._examples import ELEMENTWISE
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import bessel, bits, error_functions, special
from funcgrad.ops import comparison as co
from funcgrad.ops import complex as cx
from funcgrad.ops import transcendental as tr
from funcgrad.trace.frame import type_of

KINDS: dict[frozenset[DType], str] = {
    ALL: "any dtype", NUMBERS: "integers, floats and complex numbers", REALS: "integers and floats", FLOATS: "floats",
    INEXACT: "floats and complex numbers", INTEGERS: "integers", BOOL | INTEGERS: "bools and integers",
    COMPLEX: "complex numbers", NUMBERS - frozenset(map(np.dtype, "u1 u2 u4 u8".split())):
    "signed integers, floats and complex numbers",
}  # fmt: skip
BITS, PARTS = BOOL | INTEGERS, frozenset(map(np.dtype, ("f4", "f8")))
KINDS[PARTS] = "float32 and float64"
KINDS[STANDARD_FLOATS] = "float16, float32 and float64"
SIGNED = NUMBERS - frozenset(map(np.dtype, "u1 u2 u4 u8".split()))


def _logistic(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    if type_of(x).dtype.kind != "c":
        return tr.logistic(x)
    one = type_of(x).dtype.type(1)
    return ar.div(one, ar.add(one, tr.exp(ar.neg(x))))


def _atan2(y: Any, x: Any) -> Any:
    """For complex numbers -i log((x + iy) / sqrt(x² + y²))."""
    if type_of(y).dtype.kind != "c":
        return tr.atan2(y, x)
    i = type_of(y).dtype.type(1j)
    size = ar.sqrt(ar.add(ar.square(x), ar.square(y)))
    return ar.mul(-i, tr.log(ar.div(ar.add(x, ar.mul(i, y)), size)))


# name: primitive, dtypes of the operands, what it computes, the name in funcgrad.numpy
UNARY: dict[str, tuple[Any, frozenset[DType], str, str]] = {
    "acos": (tr.acos, INEXACT, "The arc cosine.", "arccos"),
    "acosh": (tr.acosh, INEXACT, "The inverse hyperbolic cosine.", "arccosh"),
    "asin": (tr.asin, INEXACT, "The arc sine.", "arcsin"),
    "asinh": (tr.asinh, INEXACT, "The inverse hyperbolic sine.", "arcsinh"),
    "atan": (tr.atan, INEXACT, "The arc tangent.", "arctan"),
    "atanh": (tr.atanh, INEXACT, "The inverse hyperbolic tangent.", "arctanh"),
    "bessel_i0e": (bessel.bessel_i0e, FLOATS, "The Bessel function I0, scaled by exp(-|x|).", ""),
    "bessel_i1e": (bessel.bessel_i1e, FLOATS, "The Bessel function I1, scaled by exp(-|x|).", ""),
    "bitwise_not": (co.not_, BITS, "~x, bit by bit.", "bitwise_not"),
    "cbrt": (ar.cbrt, FLOATS, "The cube root.", "cbrt"),
    "ceil": (ar.ceil, FLOATS, "The least integer that is not smaller.", "ceil"),
    "clz": (bits.clz, INTEGERS, "The number of leading zero bits.", ""),
    "cos": (tr.cos, INEXACT, "The cosine.", "cos"),
    "cosh": (tr.cosh, INEXACT, "The hyperbolic cosine.", "cosh"),
    "digamma": (special.digamma, INEXACT, "The logarithmic derivative of the gamma function.", ""),
    "erf": (tr.erf, FLOATS, "The error function.", ""),
    "erf_inv": (error_functions.erf_inv, FLOATS, "The inverse of the error function.", ""),
    "erfc": (tr.erfc, FLOATS, "1 - erf(x).", ""),
    "exp": (tr.exp, INEXACT, "e**x.", "exp"),
    "exp2": (tr.exp2, INEXACT, "2**x.", "exp2"),
    "expm1": (tr.expm1, INEXACT, "e**x - 1, exact near 0.", "expm1"),
    "floor": (ar.floor, FLOATS, "The greatest integer that is not larger.", "floor"),
    "imag": (cx.imag, COMPLEX, "The imaginary part.", "imag"),
    "is_finite": (ar.is_finite, FLOATS, "Whether x is neither infinite nor NaN.", "isfinite"),
    "lgamma": (special.lgamma, FLOATS, "The logarithm of the gamma function's absolute value.", ""),
    "log": (tr.log, INEXACT, "The natural logarithm.", "log"),
    "log1p": (tr.log1p, INEXACT, "log(1 + x), exact near 0.", "log1p"),
    "logistic": (_logistic, INEXACT, "1 / (1 + e**-x).", ""),
    "neg": (ar.neg, NUMBERS, "-x.", "negative"),
    "population_count": (bits.population_count, INTEGERS, "The number of bits that are set.", "bitwise_count"),
    "real": (cx.real, COMPLEX, "The real part.", "real"),
    "rsqrt": (ar.rsqrt, INEXACT, "1 / sqrt(x).", ""),
    "sin": (tr.sin, INEXACT, "The sine.", "sin"),
    "sinh": (tr.sinh, INEXACT, "The hyperbolic sine.", "sinh"),
    "sqrt": (ar.sqrt, INEXACT, "The square root.", "sqrt"),
    "square": (ar.square, NUMBERS, "x * x.", "square"),
    "tan": (tr.tan, INEXACT, "The tangent.", "tan"),
    "tanh": (tr.tanh, INEXACT, "The hyperbolic tangent.", "tanh"),
}
BINARY: dict[str, tuple[Any, frozenset[DType], str, str]] = {
    "add": (ar.add, NUMBERS, "x + y.", "add"),
    "atan2": (_atan2, INEXACT, "The angle whose tangent is x / y, in the quadrant of the point (y, x).", "arctan2"),
    "bitwise_and": (co.and_, BITS, "x & y, bit by bit.", "bitwise_and"),
    "bitwise_or": (co.or_, BITS, "x | y, bit by bit.", "bitwise_or"),
    "bitwise_xor": (co.xor, BITS, "x ^ y, bit by bit.", "bitwise_xor"),
    "complex": (cx.complex_, PARTS, "x + iy.", ""),
    "div": (ar.div, NUMBERS, "x / y; for integers truncated towards zero.", "true_divide"),
    "eq": (co.eq, ALL, "x == y.", "equal"),
    "ge": (co.ge, BITS | REALS, "x >= y.", "greater_equal"),
    "gt": (co.gt, BITS | REALS, "x > y.", "greater"),
    "igamma": (special.igamma, FLOATS, "The regularized lower incomplete gamma function.", ""),
    "igammac": (special.igammac, FLOATS, "The regularized upper incomplete gamma function.", ""),
    "le": (co.le, BITS | REALS, "x <= y.", "less_equal"),
    "lt": (co.lt, BITS | REALS, "x < y.", "less"),
    "max": (ar.max_, ALL, "The larger of two; NaN if one is.", "maximum"),
    "min": (ar.min_, ALL, "The smaller of two; NaN if one is.", "minimum"),
    "mul": (ar.mul, NUMBERS, "x * y.", "multiply"),
    "ne": (co.ne, ALL, "x != y.", "not_equal"),
    "nextafter": (bits.nextafter, STANDARD_FLOATS, "The next number after x towards y.", "nextafter"),
    "random_gamma_grad": (special.random_gamma_grad, FLOATS, "The derivative of gamma samples by their shape.", ""),
    "rem": (ar.rem, REALS, "The remainder of x / y, with the sign of x.", "fmod"),
    "shift_left": (co.shift_left, INTEGERS, "x << y; 0 for y beyond the width.", "left_shift"),
    "shift_right_arithmetic": (co.shift_right, INTEGERS, "x >> y with the sign bit repeated.", "right_shift"),
    "sub": (ar.sub, NUMBERS, "x - y.", "subtract"),
    "zeta": (special.zeta, FLOATS, "The Hurwitz zeta function.", ""),
}
KINDS[BITS | REALS] = "bools, integers and floats"
RETURNS = {  # where it is not an array of the operands' shape and dtype
    "complex": "Complex numbers, of the operands' shape.",
    "imag": "The floats of the parts, of the operand's shape.",
    "real": "The floats of the parts, of the operand's shape.",
    **dict.fromkeys(("eq", "ge", "gt", "is_finite", "le", "lt", "ne"), "Bools, of the operands' shape."),
}


def _named(name: str, text: str, tip: str, function: Callable[..., Any], kinds: frozenset[DType]) -> Callable[..., Any]:
    also = f"\n\nSee also `funcgrad.numpy.{tip}`, which promotes and broadcasts." if tip else ""
    shown = (
        f"\n\nExamples\n--------\n>>> import numpy as np\n>>> from funcgrad import lax\n>>> {ELEMENTWISE[name]}\n"
        if name in ELEMENTWISE
        else ""
    )
    function.__name__ = function.__qualname__ = name
    words = RETURNS.get(name, "Of the operands' shape and dtype.")
    function.__doc__ = (
        f"{text}\n\nTakes {KINDS[kinds]}; nothing is promoted.{also}\n\nReturns\n-------\nArray\n    {words}\n\n"
        f"Raises\n------\nTypeError\n    Dtypes are others, or differ; or shapes do not fit.{shown}"
    )
    return function


def _unary(name: str) -> Callable[..., Any]:
    primitive, kinds, text, tip = UNARY[name]

    def function(x: Any, *, accuracy: None = None) -> Any:
        x = strong(checked(x, name))
        check_dtype(name, x, kinds, KINDS[kinds])
        return finished(primitive(x))

    return _named(name, text, tip, function, kinds)


def _binary(name: str) -> Callable[..., Any]:
    primitive, kinds, text, tip = BINARY[name]

    def function(x: Any, y: Any) -> Any:
        xs = same_dtype(name, x, y, tip=tip)
        check_dtype(name, xs[0], kinds, KINDS[kinds])
        return finished(primitive(*same_shape(name, *xs, tip=tip)))

    return _named(name, text, tip, function, kinds)


globals().update({name: _unary(name) for name in UNARY} | {name: _binary(name) for name in BINARY})


class RoundingMethod(enum.IntEnum):
    """Where `round` sends halves."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def abs(x: Any) -> Any:
    """|x|, for signed integers, floats and complex numbers.

    Returns
    -------
    Array
        Of the shape and dtype of `x`; of complex numbers the floats of their parts.

    Examples
    --------
    >>> import numpy as np
    >>> abs(np.array([3 + 4j]))
    Array([5.])
    """
    x = strong(checked(x, "abs"))
    check_dtype("abs", x, SIGNED, KINDS[SIGNED])
    return finished(ar.abs_(x))


def sign(x: Any) -> Any:
    """-1, 0 or 1; x / |x| for complex numbers; NaN for NaN.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> sign(np.array([-2.0, 0.0, 3.0]))
    Array([-1.,  0.,  1.])
    """
    x = strong(checked(x, "sign"))
    check_dtype("sign", x, NUMBERS, KINDS[NUMBERS])
    if type_of(x).dtype.kind != "c":
        return finished(ar.sign(x))
    zero = type_of(x).dtype.type(0)
    void = co.eq(x, zero)
    size = ar.abs_(co.select(void, x, zero + 1))
    return finished(co.select(void, cx.complex_(ar.div(cx.real(x), size), ar.div(cx.imag(x), size)), zero))


def round(x: Any, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Any:
    """The nearest integer; halves go away from zero, or to even ones, as the method says.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> round(np.array([0.5, 1.5, -2.5]))
    Array([ 1.,  2., -3.])
    >>> round(np.array([0.5, 1.5, -2.5]), RoundingMethod.TO_NEAREST_EVEN)
    Array([ 0.,  2., -2.])
    """
    x = strong(checked(x, "round"))
    check_dtype("round", x, FLOATS, KINDS[FLOATS])
    if RoundingMethod(rounding_method) is RoundingMethod.TO_NEAREST_EVEN:
        return finished(ar.round_(x))
    of = type_of(x).dtype.type
    whole = ar.trunc(x)
    away = co.ge(ar.abs_(ar.sub(x, whole)), of(0.5))
    return finished(co.select(away, whole, ar.add(whole, ar.sign(x))))


def reciprocal(x: Any) -> Any:
    """1 / x, for floats and complex numbers.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> reciprocal(4.0)
    Array(0.25)
    """
    return integer_pow(x, -1)


def integer_pow(x: Any, y: int) -> Any:
    """x**y for a known integer y, by repeated squaring.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Raises
    ------
    TypeError
        An integer is raised to a negative power.

    Examples
    --------
    >>> integer_pow(3.0, 4)
    Array(81.)
    """
    x, n = strong(checked(x, "integer_pow")), _operator.index(y)
    check_dtype("integer_pow", x, NUMBERS, KINDS[NUMBERS])
    if n < 0 and type_of(x).dtype in INTEGERS:
        raise TypeError(f"lax.integer_pow: integers cannot be raised to the negative power {n}{at_line()}")
    return finished(ar.integer_pow(x, y=n))


def pow(x: Any, y: Any) -> Any:
    """x**y for floats and complex numbers; y may be integers too.

    Returns
    -------
    Array
        Of the operands' common shape and dtype.

    Examples
    --------
    >>> pow(2.0, 0.5)
    Array(1.41421356)
    """
    x, y = checked(x, "pow"), checked(y, "pow")
    if type(y) is int:
        return integer_pow(x, y)
    x = strong(x) if type_of(y).dtype.kind in "iu" else x
    if type_of(y).dtype.kind in "iu" and type_of(x).dtype in INEXACT:
        y = converted(strong(y), type_of(x).dtype)
    x, y = same_dtype("pow", x, y, tip="power")
    check_dtype("pow", x, INEXACT, KINDS[INEXACT])
    return finished(ar.pow_(*same_shape("pow", x, y, tip="power")))


def conj(x: Any) -> Any:
    """The complex conjugate, which is complex also for real x.

    Returns
    -------
    Array
        Complex, of the shape of `x`.

    Examples
    --------
    >>> conj(1 + 2j)
    Array(1.-2.j)
    """
    x = strong(checked(x, "conj"))
    kinds = PARTS | COMPLEX
    check_dtype("conj", x, kinds, "float32, float64 and complex numbers")
    if type_of(x).dtype.kind != "c":
        return finished(cx.complex_(x, type_of(x).dtype.type(0)))
    return finished(cx.conj(x))


def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularized incomplete beta function.

    Returns
    -------
    Array
        Of the operands' common shape and dtype.

    Examples
    --------
    >>> betainc(1.0, 1.0, 0.25)
    Array(0.25)
    """
    xs = same_dtype("betainc", a, b, x)
    check_dtype("betainc", xs[0], FLOATS, KINDS[FLOATS])
    return finished(special.betainc(*same_shape("betainc", *xs)))


def polygamma(m: Any, x: Any) -> Any:
    """The m-th derivative of `digamma`, for whole numbers m given as floats; NaN for others.

    Returns
    -------
    Array
        Of the operands' common shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> bool(np.isclose(polygamma(1.0, 1.0), np.pi**2 / 6))
    True
    """
    xs = same_dtype("polygamma", m, x)
    check_dtype("polygamma", xs[0], FLOATS, KINDS[FLOATS])
    m, x = same_shape("polygamma", *xs)
    order = co.convert(m, dtype=np.dtype(np.int64))
    whole = co.eq(co.convert(order, dtype=type_of(x).dtype), m)
    nothing = np.broadcast_to(type_of(x).dtype.type(np.nan), type_of(x).shape)
    return finished(co.select(whole, nothing, special.polygamma(order, x)))


def shift_right_logical(x: Any, y: Any) -> Any:
    """x >> y with zeros coming in, also for signed integers.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> shift_right_logical(np.int8(-1), np.int8(4))
    Array(15, dtype=int8)
    """
    x, y = same_dtype("shift_right_logical", x, y)
    check_dtype("shift_right_logical", x, INTEGERS, KINDS[INTEGERS])
    dtype = type_of(x).dtype
    plain = np.dtype(f"u{dtype.itemsize}")
    x, y = same_shape("shift_right_logical", *(bits.bitcast(v, new_dtype=plain) for v in (x, y)))
    return finished(bits.bitcast(co.shift_right(x, y), new_dtype=dtype))


def mulhi(x: Any, y: Any) -> Any:
    """The upper half of the bits of the product of integers.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> mulhi(np.int32(2**30), np.int32(8))
    Array(2, dtype=int32)
    """
    x, y = same_dtype("mulhi", x, y)
    check_dtype("mulhi", x, INTEGERS, KINDS[INTEGERS])
    x, y = same_shape("mulhi", x, y)
    dtype = type_of(x).dtype
    if dtype.itemsize < 8:
        wide = np.dtype(f"{dtype.kind}8")
        product = ar.mul(co.convert(x, dtype=wide), co.convert(y, dtype=wide))
        return finished(co.convert(co.shift_right(product, wide.type(8 * dtype.itemsize)), dtype=dtype))
    return finished(_high_half(x, y, dtype))


def _high_half(x: Any, y: Any, dtype: DType) -> Any:
    """By halves of 32 bits (Warren, Hacker's Delight, 8-2)."""
    of, half = dtype.type, dtype.type(32)
    low = of(0xFFFFFFFF)
    x0, x1, y0, y1 = co.and_(x, low), co.shift_right(x, half), co.and_(y, low), co.shift_right(y, half)
    unsigned = np.dtype(np.uint64)
    lowest = ar.mul(*(bits.bitcast(v, new_dtype=unsigned) for v in (x0, y0)))
    carry = co.shift_right(lowest, np.uint64(32))
    t = ar.add(ar.mul(x1, y0), bits.bitcast(carry, new_dtype=dtype))
    w1 = ar.add(co.and_(t, low), ar.mul(x0, y1))
    return ar.add(ar.add(ar.mul(x1, y1), co.shift_right(t, half)), co.shift_right(w1, half))


# Choice --------------------------------------------------------------------------------------------------------------


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred` holds, else `on_false`; `pred` is one bool or one for each element.

    Returns
    -------
    Array
        Of the shape and dtype of the cases.

    Examples
    --------
    >>> import numpy as np
    >>> select(np.array([True, False]), np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    Array([1., 4.])
    """
    return select_n(pred, on_false, on_true)


def select_n(which: Any, *cases: Any) -> Any:
    """For each element the case whose number stands in `which`: bools choose between two, int32 among any number.

    Returns
    -------
    Array
        Of the shape and dtype of the cases.

    Raises
    ------
    TypeError
        There is no case, cases differ, or `which` does not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> select_n(np.array([0, 2], np.int32), *(np.full(2, k) for k in (10, 20, 30)))
    Array([10, 30])
    """
    which = strong(checked(which, "select_n"))
    if not cases:
        raise TypeError(f"lax.select_n must have at least one case{at_line()}")
    xs = same_dtype("select_n", *cases, tip="select")
    shapes = {type_of(x).shape for x in xs}
    kind = type_of(which)
    if len(shapes) > 1:
        listed = [type_of(x).shape for x in xs]
        raise TypeError(f"lax.select: the cases must have the same shape, got {listed}{at_line()}")
    if kind.shape and kind.shape not in shapes:
        raise TypeError(f"lax.select: `which` has shape {kind.shape}; it must be () or that of the cases{at_line()}")
    if kind.dtype == np.bool_ and len(xs) <= 2:
        return finished(xs[0] if len(xs) == 1 else co.select(which, *xs))
    if kind.dtype.kind not in "iu":
        raise TypeError(
            f"lax.select: `which` must be bool (for up to two cases) or integers, not {kind.dtype.name} for {len(xs)} "
            f"cases{at_line()}"
        )
    found = xs[-1]
    for k in range(len(xs) - 2, -1, -1):
        found = co.select(co.le(which, kind.dtype.type(k)), found, xs[k])
    return finished(found)


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x limited to an interval; the limits are numbers or arrays of its shape, complex ones ordered by real part first.

    Returns
    -------
    Array
        Of the operand's shape and dtype.

    Raises
    ------
    TypeError
        A limit has another shape than `x`, and is no scalar.

    Examples
    --------
    >>> import numpy as np
    >>> clamp(0.0, np.array([-1.0, 0.5, 2.0]), 1.0)
    Array([0. , 0.5, 1. ])
    """
    low, x, high = same_dtype("clamp", min, x, max, tip="clip")
    shape = type_of(x).shape
    for which, limit in (("min", low), ("max", high)):
        if type_of(limit).shape not in ((), shape):
            raise TypeError(
                f"lax.clamp: {which} has shape {type_of(limit).shape}; it must be () or {shape}, as x{at_line()}"
            )
    return finished(ar.min_(ar.max_(x, low), high))


__all__ = [  # noqa: PLE0604
    *UNARY, *BINARY, "RoundingMethod", "abs", "sign", "round", "reciprocal", "integer_pow", "pow", "conj", "betainc",
    "polygamma", "shift_right_logical", "mulhi", "select", "select_n", "clamp",
]  # fmt: skip
