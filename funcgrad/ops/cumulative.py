"""Which operations leave at each place what has been folded so far?  Sums, products, extrema, and y = a*y + b.

``y[i] = a[i] * y[i-1] + b[i]`` along an axis, `linear_recurrence`, is where all derivatives of this family lead: the
tangent of a cumulative product is ``t[i] = x[i] * t[i-1] + out[i-1] * dx[i]``, which stays right where x is 0, that of
a cumulative logsumexp ``t[i] = exp(out[i-1] - out[i]) * t[i-1] + exp(x[i] - out[i]) * dx[i]``, which never overflows.
Its own transpose is the same recurrence from the other end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, FLOATS, INEXACT, NUMBERS, DType
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import div, mul, sub
from funcgrad.ops.comparison import convert, eq, select
from funcgrad.ops.families import Operation, batched_by, linear, repeat, zeros_like
from funcgrad.ops.shape import pad
from funcgrad.ops.transcendental import exp
from funcgrad.trace.frame import bind, type_of

Factors = Callable[..., tuple[Any, Any]]


def _check_axis(name: str, x: ArrayType, axis: int, allowed: frozenset[DType]) -> None:
    if x.dtype not in allowed:
        raise TypeError(f"{name} does not accept dtype {x.dtype.name}")
    if not 0 <= axis < x.ndim:
        raise TypeError(f"{name}: axis {axis} does not fit an array of shape {x.shape}")


def _infer(name: str, allowed: frozenset[DType]) -> Callable[..., ArrayType]:
    def infer(x: ArrayType, *, axis: int, reverse: bool) -> ArrayType:
        _check_axis(name, x, axis, allowed)
        return x.with_shape(x.shape)

    return infer


def _accumulated(ufunc: np.ufunc) -> Callable[..., Any]:
    """A ufunc's `accumulate`, from either end."""

    def reference(x: Any, *, axis: int, reverse: bool) -> Any:
        x = np.asarray(x)
        if not reverse:
            return ufunc.accumulate(x, axis, x.dtype.type)
        return np.flip(ufunc.accumulate(np.flip(x, axis), axis, x.dtype.type), axis)

    return reference


def shifted(x: Any, first: float, axis: int, reverse: bool) -> Any:
    """Each element's predecessor along an axis (its successor, if `reverse`); `first` where there is none."""
    kind = type_of(x)
    if kind.shape[axis] == 0:
        return x
    step = (-1, 1, 0) if reverse else (1, -1, 0)
    return pad(
        x, kind.dtype.type(first), padding_config=tuple(step if k == axis else (0, 0, 0) for k in range(kind.ndim))
    )


# y[i] = a[i] * y[i-1] + b[i] ------------------------------------------------------------------------------------------


def _recurrence(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    a, b = (np.moveaxis(np.asarray(x), axis, 0) for x in (a, b))
    out = np.empty_like(b)
    order = range(len(b))
    before = np.zeros(b.shape[1:], b.dtype)
    for k in reversed(order) if reverse else order:
        out[k] = before = a[k] * before + b[k]
    return np.moveaxis(out, 0, axis)


def _recurrence_infer(a: ArrayType, b: ArrayType, *, axis: int, reverse: bool) -> ArrayType:
    _check_axis("linear_recurrence", a, axis, INEXACT)
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        raise TypeError(f"linear_recurrence: operands have types {a} and {b}; they must be equal")
    return a.with_shape(a.shape)


def _recurrence_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    (a, _), (ta, tb) = inputs, tangents
    (out,) = bind(linear_recurrence, *inputs, **params)
    driven = tb
    if ta is not None:
        term = mul(ta, shifted(out, 0, **params))
        driven = term if tb is None else term + tb
    return (out,), (None if driven is None else linear_recurrence(a, driven, **params),)


def _pulled_back(a: Any, ct: Any, axis: int, reverse: bool) -> Any:
    """The cotangent of `b`: each place receives what it and all later ones are given."""
    return linear_recurrence(shifted(a, 0, axis, not reverse), ct, axis=axis, reverse=not reverse)


def _recurrence_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    a = inputs[0]
    (out,) = bind(linear_recurrence, *inputs, **params)

    def pullback(cotangents: Values) -> Values:
        to_b = _pulled_back(a, cotangents[0], **params)
        return mul(to_b, shifted(out, 0, **params)) if wanted[0] else None, to_b

    return (out,), pullback


linear_recurrence: Operation = Operation(
    name="linear_recurrence",
    family="reduction",
    reference=_recurrence,
    infer=_recurrence_infer,
    jvp=_recurrence_jvp,
    vjp=_recurrence_vjp,
    batch=batched_by(lambda size, a, b, *, axis, reverse: linear_recurrence(a, b, axis=axis + 1, reverse=reverse)),
)


# Sums ----------------------------------------------------------------------------------------------------------------

cumsum: Operation = linear(
    "cumsum",
    _accumulated(np.add),
    _infer("cumsum", NUMBERS),
    lambda ct, x, *, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse),
    lambda size, x, *, axis, reverse: cumsum(x, axis=axis + 1, reverse=reverse),
)


# Products, extrema, logsumexp: y[i] = a[i] * y[i-1] + c[i] * t[i] is the tangent, (a, c) being the factors ------------


def _folded(name: str, reference: Callable[..., Any], allowed: frozenset[DType], factors: Factors) -> Operation:
    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        (x,), (out,) = inputs, bind(primitive, *inputs, **params)
        if tangents[0] is None:
            return (out,), (None,)
        a, c = factors(x, out, **params)
        return (out,), (linear_recurrence(a, mul(c, tangents[0]), **params),)

    def vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
        (x,), (out,) = inputs, bind(primitive, *inputs, **params)

        def pullback(cotangents: Values) -> Values:
            a, c = factors(x, out, **params)
            return (mul(c, _pulled_back(a, cotangents[0], **params)),)

        return (out,), pullback

    def batch(size: int, inputs: Values, batched: Any, params: dict[str, Any]) -> tuple[Values, tuple[bool, ...]]:
        x = inputs[0] if batched[0] else repeat(inputs[0], size)
        return bind(primitive, x, axis=params["axis"] + 1, reverse=params["reverse"]), (True,)

    primitive = Operation(
        name=name,
        family="reduction",
        reference=reference,
        infer=_infer(name, allowed),
        jvp=jvp,
        vjp=vjp,
        batch=batch,
    )
    return primitive


def _product_factors(x: Any, out: Any, axis: int, reverse: bool) -> tuple[Any, Any]:
    return x, shifted(out, 1, axis, reverse)


def _extremum_factors(x: Any, out: Any, axis: int, reverse: bool) -> tuple[Any, Any]:
    """All elements so far that attain the extremum share the derivative equally, as in `reduce_max`."""
    dtype = type_of(x).dtype
    same = convert(eq(out, shifted(out, 0, axis, reverse)), dtype=dtype)
    attains = convert(eq(x, out), dtype=dtype)
    count = linear_recurrence(same, attains, axis=axis, reverse=reverse)
    return div(mul(same, shifted(count, 0, axis, reverse)), count), div(attains, count)


def _logsumexp_factors(x: Any, out: Any, axis: int, reverse: bool) -> tuple[Any, Any]:
    def share(part: Any) -> Any:
        """``exp(part - out)``, which is 1 where both are the same infinity."""
        return exp(select(eq(part, out), sub(part, out), zeros_like(out)))

    return share(shifted(out, -np.inf, axis, reverse)), share(x)


cumprod = _folded("cumprod", _accumulated(np.multiply), NUMBERS, _product_factors)
cummax = _folded("cummax", _accumulated(np.maximum), ALL, _extremum_factors)
cummin = _folded("cummin", _accumulated(np.minimum), ALL, _extremum_factors)
cumlogsumexp = _folded("cumlogsumexp", _accumulated(np.logaddexp), FLOATS, _logsumexp_factors)
