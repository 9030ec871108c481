"""How is a complex number computed with?  Real formulas on pairs (re, im), by primitive.

A complex number is a tuple of two real values. The formulas are NumPy's where it has its own (products, Smith's
quotient, comparisons in lexicographic order) and those of C99, Annex G, for the special values of functions that it
takes from C. Absolute values, logarithms and roots scale by powers of two, so that no square over- or underflows (W.
Kahan, "Branch cuts for complex elementary functions", 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from funcgrad.dtypes import DType
from funcgrad.ops import arithmetic as ar
from funcgrad.ops import comparison as co
from funcgrad.ops import transcendental as tr
from funcgrad.ops.bits import bitcast
from funcgrad.trace.frame import type_of

Complex = tuple[Any, Any]
LN2, LOG2_E, LOG10_E = math.log(2), math.log2(math.e), math.log10(math.e)


class Range(NamedTuple):
    """Where squares are safe (between 2**-far and 2**far), what brings numbers there, and where exp overflows."""

    far: int
    down: int
    up: int
    exp: float
    flat: float


RANGES = {
    np.dtype("f4"): Range(far=60, down=-70, up=90, exp=88.0, flat=20.0),
    np.dtype("f8"): Range(far=500, down=-600, up=600, exp=709.0, flat=40.0),
}


def number(value: float, like: Any) -> Any:
    """A constant of the dtype of `like`."""
    return type_of(like).dtype.type(value)


def when(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, else `no`."""
    return co.select(condition, no, yes)


def is_zero(x: Any) -> Any:
    return co.eq(x, number(0, x))


def is_nan(x: Any) -> Any:
    return co.ne(x, x)


def is_infinite(x: Any) -> Any:
    return co.eq(ar.abs_(x), number(math.inf, x))


# Arithmetic ----------------------------------------------------------------------------------------------------------


def multiply(z: Complex, w: Complex) -> Complex:
    (a, b), (c, d) = z, w
    return ar.sub(ar.mul(a, c), ar.mul(b, d)), ar.add(ar.mul(a, d), ar.mul(b, c))


def square(z: Complex) -> Complex:
    a, b = z
    both = ar.mul(a, b)
    return ar.sub(ar.mul(a, a), ar.mul(b, b)), ar.add(both, both)


def divide(z: Complex, w: Complex) -> Complex:
    """R. L. Smith, "Algorithm 116: complex division", 1962: the smaller part of `w` by the larger one."""
    (a, b), (c, d) = z, w
    wide, void = co.ge(ar.abs_(c), ar.abs_(d)), co.and_(is_zero(c), is_zero(d))
    zero = number(0, c)
    big, small = when(wide, c, d), when(wide, d, c)
    p, q = when(wide, a, b), when(wide, b, a)
    ratio = ar.div(small, big)
    scale = ar.div(number(1, c), when(void, zero, ar.add(big, ar.mul(small, ratio))))
    p_ratio, q_ratio = (when(void, zero, ar.mul(v, ratio)) for v in (p, q))
    im = when(wide, ar.sub(q, p_ratio), ar.sub(p_ratio, q))
    return ar.mul(ar.add(p, q_ratio), scale), ar.mul(im, scale)


def integer_power(z: Complex, *, y: int) -> Complex:
    """Repeated squaring."""
    one = number(1, z[0])
    result: Complex | None = None
    n = abs(y)
    while n:
        if n & 1:
            result = z if result is None else multiply(result, z)
        n >>= 1
        z = square(z) if n else z
    if result is None:
        return one, number(0, z[0])
    return divide((one, number(0, one)), result) if y < 0 else result


def scaled(z: Complex) -> tuple[Complex, Any, Any]:
    """`z` times a power of two, so that its squares are safe; that power; and what undoes it."""
    a, b = z
    limits = RANGES[type_of(a).dtype]
    size = ar.max_(ar.abs_(a), ar.abs_(b))
    large = co.gt(size, number(2.0**limits.far, a))
    tiny = co.lt(size, number(2.0**-limits.far, a))
    down, up, one = number(2.0**limits.down, a), number(2.0**limits.up, a), number(1, a)
    factor = when(large, down, when(tiny, up, one))
    back = when(large, one / down, when(tiny, one / up, one))
    return (ar.mul(a, factor), ar.mul(b, factor)), factor, back


def norm(z: Complex) -> Any:
    """The square of the absolute value."""
    a, b = z
    return ar.add(ar.mul(a, a), ar.mul(b, b))


def absolute(z: Complex) -> Any:
    """sqrt(a² + b²); infinite beside NaN too, as C's hypot."""
    moved, _, back = scaled(z)
    size = ar.mul(ar.sqrt(norm(moved)), back)
    return when(co.or_(is_infinite(z[0]), is_infinite(z[1])), number(math.inf, size), size)


def square_root(z: Complex) -> Complex:
    """t = sqrt((|a| + |z|) / 2) is the larger part, b / 2t the other one."""
    a, b = z
    (x, y), factor, _ = scaled(z)
    zero, half = number(0, a), number(0.5, a)
    root_back = when(
        co.eq(factor, number(1, a)),
        number(1, a),
        when(co.lt(factor, number(1, a)), *(number(2.0 ** (-k // 2), a) for k in _shifts(a))),
    )
    size = ar.sqrt(norm((x, y)))
    size = when(co.or_(is_infinite(a), is_infinite(b)), number(math.inf, a), size)
    root = ar.sqrt(ar.mul(ar.add(ar.abs_(x), size), half))
    other = ar.mul(ar.div(ar.mul(ar.abs_(y), half), root), root_back)
    root = ar.mul(root, root_back)
    right = co.ge(a, zero)
    re, im = when(right, root, other), when(right, other, root)
    re, im = when(is_nan(a), root, re), when(is_nan(a), root, im)
    signed = when(negative(b), ar.neg(im), im)
    void = co.and_(is_zero(a), is_zero(b))
    re, im = when(void, zero, re), when(void, b, signed)
    endless = is_infinite(b)
    return when(endless, number(math.inf, a), re), when(endless, b, im)


def _shifts(like: Any) -> tuple[int, int]:
    limits = RANGES[type_of(like).dtype]
    return limits.down, limits.up


def negative(x: Any) -> Any:
    """Whether the sign bit is set, that of -0 too."""
    bits = bitcast(x, new_dtype=np.dtype(f"i{type_of(x).dtype.itemsize}"))
    return co.lt(bits, number(0, bits))


# Exponentials and logarithms -----------------------------------------------------------------------------------------


def exponential(z: Complex) -> Complex:
    """e^a (cos b, sin b); beyond the range of exp in two factors, for the cosine may bring it back."""
    a, b = z
    limit = RANGES[type_of(a).dtype].exp
    zero, one = number(0, a), number(1, a)
    beyond = co.gt(a, number(limit, a))
    size = tr.exp(when(beyond, ar.sub(a, number(limit, a)), a))
    factor = when(beyond, number(math.exp(limit), a), one)
    re, im = (ar.mul(size, ar.mul(part, factor)) for part in (tr.cos(b), tr.sin(b)))
    gone = co.eq(a, number(-math.inf, a))
    flat = is_zero(b)
    re = when(flat, ar.mul(size, factor), when(co.and_(gone, is_nan(re)), zero, re))
    re = when(co.and_(is_nan(re), co.eq(a, number(math.inf, a))), number(math.inf, a), re)
    return re, when(flat, b, when(co.and_(gone, is_nan(im)), zero, im))


def exponential_less_one(z: Complex) -> Complex:
    """(expm1(a) cos b - 2 sin²(b/2), e^a sin b)."""
    a, b = z
    half = tr.sin(ar.mul(b, number(0.5, b)))
    re = ar.sub(ar.mul(tr.expm1(a), tr.cos(b)), ar.mul(number(2, a), ar.mul(half, half)))
    return re, ar.mul(tr.exp(a), tr.sin(b))


def logarithm(z: Complex) -> Complex:
    """(log |z|, the angle); near the unit circle log |z| = log1p((x - 1)(x + 1) + y²) / 2, x the larger part."""
    a, b = z
    moved, factor, _ = scaled(z)
    limits = RANGES[type_of(a).dtype]
    big, small = ar.max_(ar.abs_(a), ar.abs_(b)), ar.min_(ar.abs_(a), ar.abs_(b))
    one, half = number(1, a), number(0.5, a)
    off = ar.add(ar.mul(ar.sub(big, one), ar.add(big, one)), ar.mul(small, small))
    near = co.lt(ar.abs_(off), half)
    shift = when(
        co.eq(factor, one),
        number(0, a),
        when(co.lt(factor, one), number(-limits.down * LN2, a), number(-limits.up * LN2, a)),
    )
    far = ar.add(ar.mul(tr.log(norm(moved)), half), shift)
    re = when(near, ar.mul(tr.log1p(off), half), far)
    re = when(co.or_(is_infinite(a), is_infinite(b)), number(math.inf, a), re)
    return re, tr.atan2(b, a)


def logarithm_of_one_more(z: Complex) -> Complex:
    """log |1 + z| = log1p(a (2 + a) + b²) / 2 where that is small."""
    a, b = z
    one, half = number(1, a), number(0.5, a)
    off = ar.add(ar.mul(a, ar.add(number(2, a), a)), ar.mul(b, b))
    re, im = logarithm((ar.add(a, one), b))
    return when(co.lt(ar.abs_(off), half), ar.mul(tr.log1p(off), half), re), im


def times(factor: float) -> Callable[[Complex], Complex]:
    """The product with a real number."""
    return lambda z: (ar.mul(z[0], number(factor, z[0])), ar.mul(z[1], number(factor, z[1])))


def power(z: Complex, w: Complex) -> Complex:
    """exp(w log z), but z for w = 1, with NumPy's values at zero: 0**0 is 1, 0**w is 0 for Re w > 0, else NaN.

    Infinite exponents give NaN (C's product of complex numbers, Annex G.5.1, would find a zero or an infinity).
    """
    (a, b), (c, d) = z, w
    zero, one, nan = (number(v, a) for v in (0, 1, math.nan))
    re, im = exponential(multiply(w, logarithm(z)))
    void, none = co.and_(is_zero(a), is_zero(b)), co.and_(is_zero(c), is_zero(d))
    at_zero = when(co.gt(c, zero), zero, nan)
    re, im = when(void, at_zero, re), when(void, at_zero, im)
    itself = co.and_(co.eq(c, one), is_zero(d))
    re, im = when(itself, a, re), when(itself, b, im)
    return when(none, one, re), when(none, zero, im)


# Hyperbolic and circular functions -----------------------------------------------------------------------------------


def hyperbolic(x: Any) -> tuple[Any, Any, Any]:
    """cosh and sinh, both to be multiplied by a third number (1 but near overflow), from one exponential."""
    size = ar.abs_(x)
    one, half = number(1, x), number(0.5, x)
    beyond = co.gt(size, number(RANGES[type_of(x).dtype].exp, x))
    less = tr.expm1(when(beyond, ar.mul(size, half), size))
    more = ar.add(less, one)
    ratio = ar.div(less, more)
    cosh = ar.add(one, ar.mul(half, ar.mul(less, ratio)))
    sinh = ar.mul(half, ar.add(less, ratio))
    endless = is_infinite(x)
    flat = ar.mul(half, more)
    cosh, sinh = (when(co.or_(beyond, endless), flat, v) for v in (cosh, sinh))
    sinh = when(is_zero(x), x, when(co.lt(x, number(0, x)), ar.neg(sinh), sinh))
    return cosh, sinh, when(beyond, more, one)


def _product(x: Any, y: Any, factor: Any) -> Any:
    """x y factor, where a zero (of a sine) wins over an infinity and over NaN, as in C99."""
    product = ar.mul(ar.mul(x, y), factor)
    lost = is_nan(product)
    by_x, by_y = (co.and_(lost, is_zero(v)) for v in (x, y))
    zero = number(0, x)
    left, right = when(co.lt(y, zero), ar.neg(x), x), when(co.lt(x, zero), ar.neg(y), y)
    return when(by_x, left, when(by_y, right, product))


def hyperbolic_sine(z: Complex) -> Complex:
    cosh, sinh, factor = hyperbolic(z[0])
    return _endless(z[0], sinh, _product(tr.cos(z[1]), sinh, factor)), _product(tr.sin(z[1]), cosh, factor)


def hyperbolic_cosine(z: Complex) -> Complex:
    cosh, sinh, factor = hyperbolic(z[0])
    return _endless(z[0], cosh, _product(tr.cos(z[1]), cosh, factor)), _product(tr.sin(z[1]), sinh, factor)


def _endless(a: Any, value: Any, re: Any) -> Any:
    """An infinity instead of NaN, where the angle is not known but the size is infinite."""
    return when(co.and_(is_nan(re), is_infinite(a)), value, re)


def hyperbolic_tangent(z: Complex) -> Complex:
    """(sinh a cosh a + i sin b cos b) / (sinh² a + cos² b); far out ±1 + 4i sin b cos b exp(-2|a|)."""
    a, b = z
    far = co.gt(ar.abs_(a), number(RANGES[type_of(a).dtype].flat, a))
    zero, one = number(0, a), number(1, a)
    cosh, sinh, _ = hyperbolic(when(far, zero, a))
    sin, cos = tr.sin(b), tr.cos(b)
    both, below = ar.mul(sin, cos), ar.add(ar.mul(sinh, sinh), ar.mul(cos, cos))
    decay = tr.exp(ar.mul(ar.abs_(a), number(-2, a)))
    re = when(far, when(co.lt(a, zero), -one, one), ar.div(ar.mul(sinh, cosh), below))
    im = when(far, ar.mul(ar.mul(both, number(4, a)), decay), ar.div(both, below))
    endless = is_infinite(a)
    settled = co.and_(endless, is_nan(im))
    re = when(co.or_(endless, co.eq(both, both)), re, both)
    re = when(is_zero(a), a, re)
    return re, when(is_zero(b), b, when(settled, zero, im))


def turned(function: Callable[[Complex], Complex]) -> Callable[[Complex], Complex]:
    """f(z) = -i g(iz): the sine from the hyperbolic sine, the tangent from the hyperbolic tangent."""

    def circular(z: Complex) -> Complex:
        re, im = function((ar.neg(z[1]), z[0]))
        return im, ar.neg(re)

    return circular


# Comparison and conversion -------------------------------------------------------------------------------------------


def ordered(strictly: Any, at_ties: Any) -> Callable[[Complex, Complex], Any]:
    """A comparison in lexicographic order; as in NumPy, the real parts do not decide beside an imaginary NaN."""

    def compare(z: Complex, w: Complex) -> Any:
        (a, b), (c, d) = z, w
        numbers = co.and_(co.eq(b, b), co.eq(d, d))
        return co.or_(co.and_(strictly(a, c), numbers), co.and_(co.eq(a, c), at_ties(b, d)))

    return compare


def extremum(before: Callable[[Complex, Complex], Any]) -> Callable[[Complex, Complex], Complex]:
    """The one of two that comes first; NaN in any part of the first operand wins."""

    def choose(z: Complex, w: Complex) -> Complex:
        first = co.or_(co.or_(is_nan(z[0]), is_nan(z[1])), before(z, w))
        return when(first, z[0], w[0]), when(first, z[1], w[1])

    return choose


def choose(which: Any, false: Complex, true: Complex) -> Complex:
    return co.select(which, false[0], true[0]), co.select(which, false[1], true[1])


def convert(z: Complex, *, dtype: DType, weak: bool | None = None) -> Any:
    """Between complex dtypes; to bool whether it is not 0; to anything else its real part."""
    a, b = z
    if dtype.kind == "b":
        return co.or_(co.ne(a, number(0, a)), co.ne(b, number(0, b)))
    if dtype.kind != "c":
        return co.convert(a, dtype=dtype)
    part = np.dtype(f"f{dtype.itemsize // 2}")
    return (z[0], z[1]) if type_of(a).dtype == part else (co.convert(a, dtype=part), co.convert(b, dtype=part))


def both(primitive: Any) -> Callable[..., Complex]:
    """An operation that treats the parts alike."""
    return lambda *xs: (primitive(*(x[0] for x in xs)), primitive(*(x[1] for x in xs)))


FORMULAS: Mapping[str, Callable[..., Any]] = {
    "add": both(ar.add), "sub": both(ar.sub), "neg": both(ar.neg), "round": both(ar.round_),
    "stop_gradient": lambda z: z,
    "mul": multiply, "div": divide, "square": square, "integer_pow": integer_power, "pow": power,
    "abs": absolute, "sqrt": square_root,
    "rsqrt": lambda z: divide((number(1, z[0]), number(0, z[0])), square_root(z)),
    "exp": exponential, "exp2": lambda z: exponential(times(LN2)(z)), "expm1": exponential_less_one,
    "log": logarithm, "log2": lambda z: times(LOG2_E)(logarithm(z)), "log10": lambda z: times(LOG10_E)(logarithm(z)),
    "log1p": logarithm_of_one_more,
    "sinh": hyperbolic_sine, "cosh": hyperbolic_cosine, "tanh": hyperbolic_tangent,
    "sin": turned(hyperbolic_sine), "tan": turned(hyperbolic_tangent),
    "cos": lambda z: hyperbolic_cosine((ar.neg(z[1]), z[0])),
    "real": lambda z: z[0], "imag": lambda z: z[1], "conj": lambda z: (z[0], ar.neg(z[1])),
    "complex": lambda re, im: (re, im), "select": choose, "convert_element_type": convert,
    "is_finite": lambda z: co.and_(ar.is_finite(z[0]), ar.is_finite(z[1])),
    "eq": lambda z, w: co.and_(co.eq(z[0], w[0]), co.eq(z[1], w[1])),
    "ne": lambda z, w: co.or_(co.ne(z[0], w[0]), co.ne(z[1], w[1])),
    "lt": ordered(co.lt, co.lt), "le": ordered(co.lt, co.le),
    "gt": ordered(co.gt, co.gt), "ge": ordered(co.gt, co.ge),
    "max": extremum(ordered(co.gt, co.ge)), "min": extremum(ordered(co.lt, co.le)),
}  # fmt: skip
