"""NumPy's universal functions: tables from ufunc to primitive, and those that are composed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.errors import at_line
from funcgrad.numpy._common import aligned, broadcast, cast, cast_weakly, operand, promoted
from funcgrad.numpy._folds import truth
from funcgrad.numpy._ufunc import register
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import comparison as co
from funcgrad.ops import complex as cx
from funcgrad.ops import transcendental as tr
from funcgrad.ops.bits import bitcast, integer_power
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer, ufuncs

Traced = Callable[..., Any]
namespace: dict[str, Any] = {}
operators: dict[str, Traced] = {}  # the same functions as Python's operators mean them: all-weak operands stay weak


def ufunc(reference: np.ufunc, traced: Traced, *aliases: str) -> None:
    """Export `traced` under the names of `reference`; on known arrays NumPy's own loop runs."""
    function = register(reference, traced)
    operators[reference.__name__] = traced
    for name in (reference.__name__, *aliases):
        namespace[name] = function


def _floating(name: str, primitive: Any) -> Traced:
    def traced(x: Any) -> Any:
        if type(x) is Tracer and x.type.dtype in dtypes.INEXACT:
            return primitive(x)
        return primitive(_inexact(operand(x, name)))

    return traced


def _inexact(x: Any) -> Any:
    kind = type_of(x)
    dtype = dtypes.to_inexact(kind.dtype)
    return x if kind.dtype == dtype else co.convert(x, dtype=dtype)


def _same(name: str, primitive: Any, bools: bool = True) -> Traced:
    """A function of operands of one dtype; without a loop for `bools`, NumPy takes int8."""

    def traced(*xs: Any) -> Any:
        xs = tuple(broadcast(name, *promoted(name, *xs, weak=True)))
        return primitive(*(xs if bools else map(_small, xs)))

    return traced


def _small(x: Any) -> Any:
    return co.convert(x, dtype=np.dtype(np.int8)) if _is_bool(x) else x


def _beyond(x: Any, y: Any) -> int:
    """Whether the Python int `y` lies above (1) or below (-1) what the integer dtype of `x` holds; 0 if it does not."""
    kind = type_of(x).dtype
    if type(y) is not int or kind.kind not in "iu" or type_of(x).weak:
        return 0
    limits = np.iinfo(kind)
    return (y > limits.max) - (y < limits.min)


def _comparison(reference: np.ufunc, primitive: Any) -> Traced:
    name = reference.__name__

    def traced(x: Any, y: Any) -> Any:
        x, y = operand(x, name), operand(y, name)
        right, left = _beyond(x, y), _beyond(y, x)
        if right or left:  # NumPy compares by value where the dtype cannot hold the number
            return np.full(type_of(x if right else y).shape, reference(left, right))
        kinds = [type_of(x), type_of(y)]
        if any(k.weak for k in kinds) and all(k.dtype.kind in "iu" and k.dtype != np.uint64 for k in kinds):
            x, y = (cast_weakly(v, np.dtype(np.int64)) for v in (x, y))  # a traced int may not fit the other's dtype
        return primitive(*broadcast(name, *promoted(name, x, y, weak=True)))

    return traced


def _of_reals(name: str, function: Any) -> Traced:
    """A function that NumPy does not have for complex numbers."""

    def traced(*xs: Any) -> Any:
        for x in xs:
            if cx.is_complex(operand(x, name)):
                raise TypeError(
                    f"numpy.{name} is not defined for complex numbers, but an operand has type {type_of(x)}: take its "
                    f"real part, its imaginary part or its absolute value{at_line()}"
                )
        return function(*xs)

    return traced


def _floating_pair(name: str, function: Any) -> Traced:
    def traced(x: Any, y: Any) -> Any:
        return _of_reals(name, function)(*broadcast(name, *_inexact_pair(operand(x, name), operand(y, name))))

    return traced


CATEGORY = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


def _inexact_pair(x: Any, y: Any) -> list[Any]:
    """Operands in the smallest float dtype that each of them fits, as NumPy chooses the loop of a float function."""
    types = [type_of(v) for v in (x, y)]
    common, all_weak = dtypes.promote((t.dtype, t.weak) for t in types)
    if common == dtypes.BFLOAT16:
        return [cast(v, common) for v in (x, y)]
    strong = max((CATEGORY[dtypes.kind_of(t.dtype)] for t in types if not t.weak), default=-1)
    if any(
        CATEGORY[dtypes.kind_of(t.dtype)] > strong for t in types if t.weak
    ):  # a Python number beyond the arrays' kind has its default dtype
        dtype = dtypes.to_inexact(common)
    else:
        dtype, _ = dtypes.promote((dtypes.to_inexact(t.dtype), t.weak) for t in types)
    change = cast_weakly if all_weak else cast
    return [change(v, dtype) for v in (x, y)]


# Composed functions --------------------------------------------------------------------------------------------------


def _is_bool(*xs: Any) -> bool:
    return all(type_of(x).dtype == np.bool_ for x in xs)


def _arithmetic(name: str, primitive: Any, for_bool: Any) -> Traced:
    def traced(x: Any, y: Any) -> Any:
        x, y = aligned(name, x, y)
        if type_of(x).dtype.kind != "b":
            return primitive(x, y)
        if for_bool is None:
            raise TypeError(
                f"numpy boolean {name}, the `-` operator, is not supported: use logical_xor instead{at_line()}"
            )
        return for_bool(x, y)

    return traced


def _true_divide(x: Any, y: Any) -> Any:
    x, y = operand(x, "true_divide"), operand(y, "true_divide")
    if all(
        type_of(v).dtype.kind in "biu" for v in (x, y)
    ):  # each for itself: a traced int may not fit the other's dtype
        x, y = (cast_weakly(v, np.dtype(np.float64)) for v in (x, y))
    return ar.div(*aligned("true_divide", x, y))


def _divmod_parts(name: str, x: Any, y: Any) -> tuple[Any, Any]:
    """Floor division and the remainder with the divisor's sign, as Python and NumPy define them."""
    x, y = broadcast(name, *promoted(name, x, y, weak=True))
    dtype = type_of(x).dtype
    if dtype.kind == "b":
        x, y, dtype = _small(x), _small(y), np.dtype(np.int8)
    zero, half, one = (_number(v, x, y) for v in (0, 0.5, 1))
    r = ar.rem(x, y)
    wrong = co.and_(co.ne(r, zero), co.ne(co.lt(r, zero), co.lt(y, zero)))
    void = co.eq(y, zero)
    if dtypes.kind_of(dtype) == "f":
        below = co.lt(y, zero)
        quotient = (x - r) / y
        down = co.select(wrong, quotient, quotient - one)
        floor = ar.floor(down)
        nearest = co.select(co.gt(down - floor, half), floor, floor + one)
        q = co.select(co.eq(down, zero), nearest, co.select(co.ne(_sign_bit(x), below), zero, -zero))
        r = co.select(wrong, r, r + y)
        return co.select(void, q, x / y), co.select(below, r + zero, -(zero - r))  # zeros get the divisor's sign
    q = co.select(wrong, ar.div(x, y), ar.div(x, y) - one)
    return co.select(void, q, zero), co.select(void, co.select(wrong, r, r + y), zero)


def _number(value: float, *like: Any) -> Any:
    """A constant of the dtype of operands; a Python number where they are all weak."""
    dtype = type_of(like[0]).dtype
    return cast_weakly(value, dtype) if all(type_of(x).weak for x in like) else dtype.type(value)


def _fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend; 0 for an integer divisor of 0."""
    x, y = broadcast("fmod", *map(_small, promoted("fmod", x, y, weak=True)))
    zero = type_of(y).dtype.type(0)
    r = ar.rem(x, y)
    return r if dtypes.is_inexact(type_of(y).dtype) else co.select(co.eq(y, zero), r, zero)


def _reciprocal(x: Any) -> Any:
    (x,) = map(_small, promoted("reciprocal", x, weak=True))
    return ar.div(type_of(x).dtype.type(1), x)


def _positive(x: Any) -> Any:
    x = operand(x, "positive")
    if _is_bool(x):
        raise TypeError(f"ufunc 'positive' is not defined for booleans: use x.astype(int){at_line()}")
    return x


def _power(x: Any, y: Any) -> Any:
    static = y if isinstance(y, (int, np.integer)) and not isinstance(y, bool) else None
    kind = type_of(operand(x, "power"))
    if static is not None and (dtypes.is_inexact(kind.dtype) or static >= 0) and abs(int(static)) <= 64:
        (x,) = promoted("power", x, weak=True) if isinstance(y, int) else promoted("power", x, y)[:1]
        if type_of(x).dtype == np.float16 and not 0 <= static <= 2:  # as NumPy: in float32, where x**3 has room
            return cast(ar.integer_pow(cast(x, np.dtype(np.float32)), y=int(static)), np.dtype(np.float16))
        return ar.integer_pow(cast(x, np.dtype(np.int64)) if _is_bool(x) else x, y=int(static))
    x, y = map(_small, promoted("power", x, y, weak=True))
    if type_of(x).dtype.kind in "iu":
        return integer_power(*broadcast("power", x, y))
    return ar.pow_(*broadcast("power", x, y))


def _power_operator(x: Any, y: Any) -> Any:
    """``x ** y``, for which NumPy squares bools in int8."""
    if type(y) is int and y == 2 and type_of(x).dtype == np.bool_ and not type_of(x).weak:
        return cast(x, np.dtype(np.int8))
    return _power(x, y)


def _float_power(x: Any, y: Any) -> Any:
    x, y = operand(x, "float_power"), operand(y, "float_power")
    wide = np.dtype(np.complex128 if cx.is_complex(x) or cx.is_complex(y) else np.float64)
    return _power(cast(x, wide), cast(y, wide))


def _logaddexp(x: Any, y: Any) -> Any:
    """log(exp x + exp y) = max + log1p(exp(min - max)), where equal infinities, whose difference is NaN, share alike.

    Which one is larger is a choice between two formulas that are equal everywhere, so that derivatives of any order are
    right where x = y; those of max and min are not.
    """
    less = co.lt(x, y)
    high = co.select(less, x, y)
    difference = ar.sub(co.select(less, y, x), high)
    missing, number = co.ne(difference, difference), type_of(high).dtype.type
    high = co.select(missing, high, ar.add(x, y) * number(0.5))
    return high + tr.log1p(tr.exp(co.select(missing, difference, number(0))))


def _hypot(x: Any, y: Any) -> Any:
    """sqrt(x² + y²) scaled by the larger one, so that squares cannot overflow; a choice, as in `_logaddexp`."""
    a, b = ar.abs_(x), ar.abs_(y)
    zero, one, infinity = (type_of(a).dtype.type(k) for k in (0, 1, np.inf))
    finite, less = co.and_(ar.is_finite(a), ar.is_finite(b)), co.lt(a, b)
    big, small = co.select(finite, one, co.select(less, a, b)), co.select(finite, zero, co.select(less, b, a))
    void = co.eq(big, zero)
    ratio = small / co.select(void, big, one)
    big = co.select(void, big, (a + b) * type_of(a).dtype.type(0.5))  # two zeros share alike
    infinite = co.or_(co.eq(a, infinity), co.eq(b, infinity))  # beside NaN too, as in C99
    return co.select(finite, co.select(infinite, a + b, infinity), big * ar.sqrt(one + ratio * ratio))


def _copysign(x: Any, y: Any) -> Any:
    return co.select(co.ne(_sign_bit(x), _sign_bit(y)), x, -x)


def _rounding(name: str, primitive: Any) -> Traced:
    def traced(x: Any) -> Any:
        x = operand(x, name)
        return x if type_of(x).dtype.kind in "biu" else primitive(x)

    return traced


def _class_test(name: str, test: Callable[[Any], Any], for_exact: bool) -> Traced:
    def traced(x: Any) -> Any:
        x = operand(x, name)
        kind = type_of(x)
        return np.full(kind.shape, for_exact) if kind.dtype.kind in "biu" else test(x)

    return traced


def _logical(name: str, primitive: Any) -> Traced:
    def traced(*xs: Any) -> Any:
        return primitive(*broadcast(name, *(truth(operand(x, name)) for x in xs)))

    return traced


def _sign_bit(x: Any) -> Any:
    dtype = type_of(x).dtype
    if not dtypes.is_inexact(dtype):
        return co.lt(x, dtype.type(0))
    bits = bitcast(cast(x, dtype), new_dtype=np.dtype(f"i{dtype.itemsize}"))
    return co.lt(bits, type_of(bits).dtype.type(0))


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda x: ar.mul(x, type_of(x).dtype.type(factor))


def _absolute(x: Any) -> Any:
    x = operand(x, "absolute")
    return x if type_of(x).dtype.kind in "bu" else ar.abs_(x)


def _negative(x: Any) -> Any:
    x = operand(x, "negative")
    if type_of(x).dtype.kind == "b":
        raise TypeError(
            f"the numpy boolean negative, the `-` operator, is not supported: use ~x or logical_not{at_line()}"
        )
    return ar.neg(x)


def conjugate(x: Any) -> Any:
    """The complex conjugate: a real number is its own."""
    x = operand(x, "conjugate")
    return cx.conj(x) if cx.is_complex(x) else _small(x)


def _is_infinite(x: Any) -> Any:
    return co.eq(ar.abs_(x), type_of(x).dtype.type(np.inf))


def _parts_test(combine: Any, test: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A test of floats, and of both parts of complex numbers."""
    return lambda x: combine(test(cx.real(x)), test(cx.imag(x))) if cx.is_complex(x) else test(x)


def _sign(x: Any) -> Any:
    """z / |z| for complex numbers, with the derivative of that; 0 at 0; the direction of one infinite part."""
    x = operand(x, "sign")
    if not cx.is_complex(x):
        return ar.sign(x)
    parts = cx.real(x), cx.imag(x)
    zero, nan = (type_of(parts[0]).dtype.type(k) for k in (0, np.nan))
    endless = [_is_infinite(part) for part in parts]
    any_, all_ = co.or_(*endless), co.and_(*endless)
    re, im = (co.select(any_, p, co.select(e, zero, ar.sign(p))) for p, e in zip(parts, endless, strict=True))
    void = co.eq(x, type_of(x).dtype.type(0))
    size = co.select(all_, ar.abs_(co.select(void, cx.complex_(re, im), type_of(x).dtype.type(1))), nan)
    return cx.complex_(co.select(void, re / size, zero), co.select(void, im / size, zero))


FLOATING: dict[np.ufunc, Any] = {
    np.exp: tr.exp, np.exp2: tr.exp2, np.expm1: tr.expm1, np.log: tr.log, np.log2: tr.log2,
    np.log10: tr.log10, np.log1p: tr.log1p,
    np.sin: tr.sin, np.cos: tr.cos, np.tan: tr.tan, np.arcsin: tr.asin, np.arccos: tr.acos, np.arctan: tr.atan,
    np.sinh: tr.sinh, np.cosh: tr.cosh, np.tanh: tr.tanh,
    np.arcsinh: tr.asinh, np.arccosh: tr.acosh, np.arctanh: tr.atanh,
    np.sqrt: ar.sqrt, np.cbrt: ar.cbrt, np.rint: ar.round_,
    np.deg2rad: _of_reals("deg2rad", _scaled(np.pi / 180)), np.rad2deg: _of_reals("rad2deg", _scaled(180 / np.pi)),
    np.fabs: _of_reals("fabs", ar.abs_),
}  # fmt: skip
COMPARISONS: dict[np.ufunc, Any] = {
    np.equal: co.eq, np.not_equal: co.ne, np.less: co.lt, np.less_equal: co.le,
    np.greater: co.gt, np.greater_equal: co.ge,
}  # fmt: skip
BITWISE: dict[np.ufunc, Any] = {
    np.bitwise_and: co.and_, np.bitwise_or: co.or_, np.bitwise_xor: co.xor, np.invert: co.not_,
    np.left_shift: co.shift_left, np.right_shift: co.shift_right,
}  # fmt: skip
SHIFTS = {np.left_shift, np.right_shift}
FLOATING_PAIRS: dict[np.ufunc, Any] = {
    np.arctan2: tr.atan2, np.logaddexp: _logaddexp, np.hypot: _hypot, np.copysign: _copysign,
}  # fmt: skip
ALIASES = {
    "arcsin": ("asin",), "arccos": ("acos",), "arctan": ("atan",),
    "arcsinh": ("asinh",), "arccosh": ("acosh",), "arctanh": ("atanh",),
    "arctan2": ("atan2",), "deg2rad": ("radians",), "rad2deg": ("degrees",),
    "invert": ("bitwise_invert", "bitwise_not"),
    "left_shift": ("bitwise_left_shift",), "right_shift": ("bitwise_right_shift",),
}  # fmt: skip


def _install() -> None:
    for reference, primitive in FLOATING.items():
        ufunc(reference, _floating(reference.__name__, primitive), *ALIASES.get(reference.__name__, ()))
    for reference, primitive in COMPARISONS.items():
        ufunc(reference, _comparison(reference, primitive))
    for reference, primitive in BITWISE.items():
        ufunc(
            reference,
            _same(reference.__name__, primitive, bools=reference not in SHIFTS),
            *ALIASES.get(reference.__name__, ()),
        )
    for reference, function in FLOATING_PAIRS.items():
        ufunc(reference, _floating_pair(reference.__name__, function), *ALIASES.get(reference.__name__, ()))
    ufunc(np.add, _arithmetic("add", ar.add, co.or_))
    ufunc(np.subtract, _arithmetic("subtract", ar.sub, None))
    ufunc(np.multiply, _arithmetic("multiply", ar.mul, co.and_))
    ufunc(np.true_divide, _true_divide, "true_divide")
    ufunc(np.floor_divide, lambda x, y: _divmod_parts("floor_divide", x, y)[0])
    ufunc(np.remainder, lambda x, y: _divmod_parts("remainder", x, y)[1], "mod")
    ufunc(np.divmod, lambda x, y: _divmod_parts("divmod", x, y))
    ufunc(np.fmod, _fmod)
    ufunc(np.power, _power, "pow")
    operators["power"] = _power_operator
    ufunc(np.float_power, _float_power)
    ufunc(np.maximum, _same("maximum", ar.max_))
    ufunc(np.minimum, _same("minimum", ar.min_))
    ufunc(np.fmax, lambda x, y: _ignoring_nan("fmax", ar.max_, x, y))
    ufunc(np.fmin, lambda x, y: _ignoring_nan("fmin", ar.min_, x, y))
    ufunc(np.negative, _negative)
    ufunc(np.positive, _positive)
    ufunc(np.absolute, _absolute, "abs")
    ufunc(np.sign, _sign)
    ufunc(np.conjugate, conjugate, "conj")
    ufunc(np.square, _same("square", ar.square, bools=False))
    ufunc(np.reciprocal, _reciprocal)
    ufunc(np.heaviside, _floating_pair("heaviside", _heaviside))
    for reference, primitive in ((np.floor, ar.floor), (np.ceil, ar.ceil), (np.trunc, ar.trunc)):
        ufunc(reference, _rounding(reference.__name__, primitive))
    ufunc(np.isfinite, _class_test("isfinite", ar.is_finite, True))
    ufunc(np.isnan, _class_test("isnan", lambda x: co.ne(x, x), False))
    ufunc(np.isinf, _class_test("isinf", _parts_test(co.or_, _is_infinite), False))
    ufunc(np.signbit, _of_reals("signbit", lambda x: _sign_bit(operand(x, "signbit"))))
    ufunc(np.logical_and, _logical("logical_and", co.and_))
    ufunc(np.logical_or, _logical("logical_or", co.or_))
    ufunc(np.logical_xor, _logical("logical_xor", co.xor))
    ufunc(np.logical_not, _logical("logical_not", co.not_))


def _ignoring_nan(name: str, primitive: Any, x: Any, y: Any) -> Any:
    x, y = broadcast(name, *promoted(name, x, y, weak=True))
    return co.select(co.ne(x, x), co.select(co.ne(y, y), primitive(x, y), x), y)


def _heaviside(x: Any, at_zero: Any) -> Any:
    dtype = type_of(x).dtype
    step = co.select(co.gt(x, dtype.type(0)), dtype.type(0), dtype.type(1))
    return co.select(co.ne(x, x), co.select(co.eq(x, dtype.type(0)), step, at_zero), x)


_install()
namespace["divide"] = namespace["true_divide"] = ufuncs[np.true_divide]
operators["true_divide"] = operators[np.true_divide.__name__]
