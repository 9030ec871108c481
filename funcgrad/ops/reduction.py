"""Which operations fold an axis?  Sum, product, extrema, logical all and any, and where the extremum is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, BOOL, NUMBERS, DType
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import mul
from funcgrad.ops.comparison import convert, eq
from funcgrad.ops.families import Operation, linear, nondifferentiable
from funcgrad.ops.shape import broadcast_in_dim, pad, reshape, rev, slice_, transpose
from funcgrad.trace.frame import bind, type_of

Axes = tuple[int, ...]


def _infer(name: str, allowed: frozenset[DType]) -> Any:
    def infer(x: ArrayType, *, axes: Axes) -> ArrayType:
        if x.dtype not in allowed:
            raise TypeError(f"{name} does not accept dtype {x.dtype.name}")
        if sorted(set(axes)) != list(axes) or any(not 0 <= axis < x.ndim for axis in axes):
            raise TypeError(f"{name}: axes {axes} do not fit an array of shape {x.shape}")
        return x.with_shape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))

    return infer


def spread(x: Any, shape: tuple[int, ...], axes: Axes) -> Any:
    """A reduced array repeated along the axes that were folded."""
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    return broadcast_in_dim(x, shape=shape, broadcast_dimensions=kept)


def _behind(axes: Axes) -> Axes:
    return tuple(axis + 1 for axis in axes)


def _reduce_sum(x: Any, *, axes: Axes) -> Any:
    x = np.asarray(x)
    if x.dtype.kind in "fc":
        return np.add.reduce(x, axes)
    return np.add.reduce(x, axes, x.dtype)


reduce_sum: Operation = linear(
    "reduce_sum",
    _reduce_sum,
    _infer("reduce_sum", NUMBERS),
    lambda ct, x, *, axes: spread(ct, x.shape, axes),
    lambda size, x, *, axes: reduce_sum(x, axes=_behind(axes)),
)
reduce_and: Operation = nondifferentiable(
    "reduce_and",
    lambda x, *, axes: np.all(x, axes),
    _infer("reduce_and", BOOL),
    lambda size, x, *, axes: reduce_and(x, axes=_behind(axes)),
)
reduce_or: Operation = nondifferentiable(
    "reduce_or",
    lambda x, *, axes: np.any(x, axes),
    _infer("reduce_or", BOOL),
    lambda size, x, *, axes: reduce_or(x, axes=_behind(axes)),
)


# Extrema: the cotangent is shared equally among the elements that attain it, as in JAX --------------------------------


def _shares(x: Any, out: Any, axes: Axes) -> Any:
    shape = type_of(x).shape
    attained = convert(eq(x, spread(out, shape, axes)), dtype=type_of(x).dtype)
    return attained / spread(reduce_sum(attained, axes=axes), shape, axes)


def _extremum(name: str, reference: Any) -> Operation:
    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        (x,), (out,) = inputs, bind(primitive, *inputs, **params)
        t = None if tangents[0] is None else reduce_sum(tangents[0] * _shares(x, out, params["axes"]), **params)
        return (out,), (t,)

    def vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
        (x,), (out,) = inputs, bind(primitive, *inputs, **params)
        axes = params["axes"]

        def pullback(cotangents: Values) -> Values:
            return (spread(cotangents[0], type_of(x).shape, axes) * _shares(x, out, axes),)

        return (out,), pullback

    def infer(x: ArrayType, *, axes: Axes) -> ArrayType:
        if any(x.shape[axis] == 0 for axis in axes if axis < x.ndim):
            raise ValueError(f"{name}: an axis of size 0 has no extremum (shape {x.shape}, axes {axes})")
        return typed(x, axes=axes)  # type: ignore[no-any-return]

    def batch(size: int, inputs: Values, batched: Any, params: dict[str, Any]) -> tuple[Values, tuple[bool, ...]]:
        return bind(primitive, *inputs, axes=_behind(params["axes"])), (True,)

    typed = _infer(name, ALL)
    primitive = Operation(
        name=name, family="reduction", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=batch
    )
    return primitive


reduce_max = _extremum("reduce_max", lambda x, *, axes: np.max(x, axes))
reduce_min = _extremum("reduce_min", lambda x, *, axes: np.min(x, axes))


# Product: its derivative by an element is the product of all others, which stays right with zeros among them ----------


def _others(x: Any) -> Any:
    """For each element the product of all others along the last axis: that of its neighbour and of all other pairs."""
    shape = type_of(x).shape
    n = shape[-1]
    if n == 1:
        return np.ones(shape, type_of(x).dtype)
    if n % 2:
        even = pad(x, type_of(x).dtype.type(1), padding_config=(*((0, 0, 0),) * (len(shape) - 1), (0, 1, 0)))
        return slice_(_others(even), start_indices=(0,) * len(shape), limit_indices=shape, strides=(1,) * len(shape))
    pairs = reshape(x, shape=(*shape[:-1], n // 2, 2))
    last = (len(shape),)
    elsewhere = spread(_others(reduce_prod(pairs, axes=last)), (*shape[:-1], n // 2, 2), last)
    return reshape(mul(elsewhere, rev(pairs, dimensions=last)), shape=shape)


def _product_factors(x: Any, axes: Axes) -> Any:
    """d prod(x) / dx: the products of the others along the folded axes, taken as one."""
    shape = type_of(x).shape
    if not axes or any(n == 0 for n in shape):
        return np.ones(shape, type_of(x).dtype)
    order = (*(axis for axis in range(len(shape)) if axis not in axes), *axes)
    moved = tuple(shape[axis] for axis in order)
    line = reshape(transpose(x, permutation=order), shape=(*moved[: -len(axes)], math.prod(moved[-len(axes) :])))
    back = tuple(order.index(axis) for axis in range(len(shape)))
    return transpose(reshape(_others(line), shape=moved), permutation=back)


def _prod_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    out = bind(reduce_prod, *inputs, **params)
    if tangents[0] is None:
        return out, (None,)
    return out, (reduce_sum(tangents[0] * _product_factors(inputs[0], params["axes"]), **params),)


def _prod_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,), axes = inputs, params["axes"]

    def pullback(cotangents: Values) -> Values:
        return (spread(cotangents[0], type_of(x).shape, axes) * _product_factors(x, axes),)

    return bind(reduce_prod, x, **params), pullback


reduce_prod: Operation = Operation(
    name="reduce_prod",
    family="reduction",
    reference=lambda x, *, axes: np.prod(x, axes, dtype=np.result_type(x)),
    infer=_infer("reduce_prod", NUMBERS),
    jvp=_prod_jvp,
    vjp=_prod_vjp,
    batch=lambda size, inputs, batched, params: (bind(reduce_prod, *inputs, axes=_behind(params["axes"])), (True,)),
)


# Where the extremum is -----------------------------------------------------------------------------------------------


def _arg_infer(x: ArrayType, *, axis: int, index_dtype: DType) -> ArrayType:
    if not 0 <= axis < x.ndim:
        raise TypeError(f"argmax: axis {axis} does not fit an array of shape {x.shape}")
    if x.shape[axis] == 0:
        raise ValueError("attempt to get argmax or argmin of an empty sequence")
    return ArrayType((*x.shape[:axis], *x.shape[axis + 1 :]), index_dtype)


argmax: Operation = nondifferentiable(
    "argmax",
    lambda x, *, axis, index_dtype: np.argmax(x, axis).astype(index_dtype),
    _arg_infer,
    lambda size, x, *, axis, index_dtype: argmax(x, axis=axis + 1, index_dtype=index_dtype),
)
argmin: Operation = nondifferentiable(
    "argmin",
    lambda x, *, axis, index_dtype: np.argmin(x, axis).astype(index_dtype),
    _arg_infer,
    lambda size, x, *, axis, index_dtype: argmin(x, axis=axis + 1, index_dtype=index_dtype),
)
