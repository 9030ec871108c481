"""Which operations write at places that are computed?  scatter, scatter_mul, scatter_min, scatter_max (and see
`scatter_add`).

Operands are those of `scatter_add`: ``(x, updates, *indices)`` with index arrays of one shape I for `axes`, and updates
of shape ``I + (extents of the other axes)``.  Where several updates meet they are applied in order, so that of those
that `scatter` writes the last one stays.  All promise that indices are within bounds, but for ``scatter(drop=True)``,
which skips the others.  ``unique=True`` promises that no two updates meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import convert, eq, ge, lt, select
from funcgrad.ops.families import Operation, operation, repeat, zeros_like
from funcgrad.ops.indexing import Axes, batched_indices, check_scatter, full_index, gather, scatter_add
from funcgrad.ops.shape import broadcast_in_dim, iota, reshape, slice_
from funcgrad.trace.frame import bind, type_of

INT64 = np.dtype(np.int64)
Shape = tuple[int, ...]


def _batched(name: str) -> Callable[..., Any]:
    """The batching rule of a scatter: the batch axis is one more axis with an index that counts."""

    def batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
        x, updates, *indices = inputs
        x = x if batched[0] else repeat(x, size)
        updates = updates if batched[1] else repeat(updates, size)
        axes = (0, *(axis + 1 for axis in params["axes"]))
        lines = batched_indices(size, indices, batched[2:])
        return (operation(name)(x, updates, *lines, **{**params, "axes": axes}),), (True,)

    return batch


def _over_windows(per_index: Any, like: ArrayType) -> Any:
    """What is known per index, for every element of the updates."""
    shape = type_of(per_index).shape
    if shape == like.shape:
        return per_index
    return broadcast_in_dim(per_index, shape=like.shape, broadcast_dimensions=tuple(range(len(shape))))


# scatter_add in pieces ------------------------------------------------------------------------------------------------

MANY = 2**17  # updates that are worth sharing out
MOST_PIECES = 8
FEW = 16  # updates for each place, of more of which pieces have sums of their own
BY_PLACE: list[Callable[[np.dtype], bool]] = []  # say whether a routine adds such numbers, in pieces that own places


def is_by_place(types: tuple[ArrayType, ...], params: Mapping[str, Any]) -> bool:
    """Whether a large scatter_add is shared out by places: a routine does it, in order (`lower.fusion`)."""
    kind, updates, *_ = types
    line = kind.ndim == 1 and len(params["axes"]) == 1
    return line and MANY <= updates.size <= FEW * kind.size and any(adds(kind.dtype) for adds in BY_PLACE)


def _pieces(x: ArrayType, updates: ArrayType, indices: Sequence[ArrayType]) -> int:
    """Into how many pieces updates are cut, each with a sum of its own: as sizes say, so that results depend on these
    alone. Clearing and adding up the sums must cost less than sharing the updates out saves.
    """
    if updates.size < MANY or indices[0].ndim != 1:
        return 1
    most = min(2 * updates.size // max(x.size, 1), MOST_PIECES)
    return 1 << (most.bit_length() - 1) if most else 1


def _in_pieces(types: tuple[ArrayType, ...], params: dict[str, Any]) -> Callable[..., Values] | None:
    """scatter_add of many updates: sums of pieces, which threads can make side by side, then the sum of these."""
    kind, updates, *lines = types
    pieces = _pieces(kind, updates, lines)
    if pieces < 2 or is_by_place(types, params):
        return None
    length = updates.shape[0] // pieces

    def function(x: Any, updates: Any, *indices: Any) -> Values:
        def cut(v: Any) -> Any:
            return reshape(_rows(v, 0, pieces * length), shape=(pieces, length, *type_of(v).shape[1:]))

        piece = iota(dtype=INT64, shape=(pieces, length), dimension=0)
        zeros = np.broadcast_to(kind.dtype.type(0), (pieces, *kind.shape))
        axes = (0, *(axis + 1 for axis in params["axes"]))
        sums = scatter_add(zeros, cut(updates), piece, *map(cut, indices), axes=axes)
        total = x
        for k in range(pieces):
            total = total + reshape(_rows(sums, k, k + 1), shape=kind.shape)
        if pieces * length < type_of(updates).shape[0]:
            rest = [_rows(v, pieces * length, type_of(v).shape[0]) for v in (updates, *indices)]
            total = scatter_add(total, *rest, **params)
        return (total,)

    return function


def _rows(x: Any, start: int, stop: int) -> Any:
    shape = type_of(x).shape
    low, high = (start, *(0,) * (len(shape) - 1)), (stop, *shape[1:])
    return slice_(x, start_indices=low, limit_indices=high, strides=(1,) * len(shape))


scatter_add.expand = _in_pieces


# scatter: the last update stays ---------------------------------------------------------------------------------------


def _scatter(x: Any, updates: Any, *indices: Any, axes: Axes, unique: bool, drop: bool) -> Any:
    out = np.array(x)
    places = full_index(out.ndim, out.shape, indices, axes)
    if drop:
        updates = np.asarray(updates)
        inside = np.ones(updates.shape, np.bool_)
        for i, n in zip(places, out.shape, strict=True):
            inside &= (i >= 0) & (i < n)
        places = tuple(np.broadcast_to(i, updates.shape)[inside] for i in places)
        updates = updates[inside]
    out[places] = updates
    return out


def _scatter_infer(
    x: ArrayType, updates: ArrayType, *indices: ArrayType, axes: Axes, unique: bool, drop: bool
) -> ArrayType:
    return check_scatter("scatter", x, updates, indices, axes)


def _scatter_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    x, updates, *indices = inputs
    out = bind(scatter, *inputs, **params)
    tx, tu, *_ = tangents
    if tx is None and tu is None:
        return out, (None,)
    tx, tu = (zeros_like(v) if t is None else t for v, t in ((x, tx), (updates, tu)))
    return out, (scatter(tx, tu, *indices, **params),)


def _scatter_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    x, updates, *indices = inputs
    shape, like = type_of(x).shape, type_of(updates)

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        to_x = scatter(ct, zeros_like(updates), *indices, **params) if wanted[0] else None
        to_updates = None
        if wanted[1]:
            to_updates = gather(ct, *_inside(indices, shape, params), axes=params["axes"])
            stays = _written(indices, shape, params)
            if stays is not None:
                to_updates = select(_over_windows(stays, like), zeros_like(updates), to_updates)
        return (to_x, to_updates, *(None for _ in indices))

    return bind(scatter, *inputs, **params), pullback


def _inside(indices: Sequence[Any], shape: Shape, params: dict[str, Any]) -> list[Any]:
    """The indices, those of dropped updates replaced by 0."""
    if not params["drop"]:
        return list(indices)
    sizes = (shape[axis] for axis in params["axes"])
    return [select(_within(i, n), np.int64(0), i) for i, n in zip(indices, sizes, strict=True)]


def _within(i: Any, size: int) -> Any:
    return ge(i, np.int64(0)) & lt(i, np.int64(size))


def _written(indices: Sequence[Any], shape: Shape, params: dict[str, Any]) -> Any:
    """Which updates are to be seen in the result, per index (None: all): each writes its number, and looks who stays.

    Dropped ones find a number that is not theirs, or that nobody wrote.
    """
    if params["unique"] and not params["drop"]:
        return None
    axes = params["axes"]
    ishape = type_of(indices[0]).shape
    count = int(np.prod(ishape, dtype=int))
    numbers = np.arange(count, dtype=INT64).reshape(ishape)
    sizes = tuple(shape[axis] for axis in axes)
    nobody = np.broadcast_to(np.int64(-1), sizes)
    line = {**params, "axes": tuple(range(len(axes)))}
    last = scatter(nobody, numbers, *indices, **line)
    return eq(gather(last, *_inside(indices, shape, params), axes=line["axes"]), numbers)


scatter = Operation(
    name="scatter",
    family="linear",
    reference=_scatter,
    infer=_scatter_infer,
    jvp=_scatter_jvp,
    vjp=_scatter_vjp,
    batch=_batched("scatter"),
)


# scatter_mul ----------------------------------------------------------------------------------------------------------


def _scatter_mul(x: Any, updates: Any, *indices: Any, axes: Axes, unique: bool) -> Any:
    out = np.array(x)
    np.multiply.at(out, full_index(out.ndim, out.shape, indices, axes), updates)
    return out


def _scatter_mul_infer(x: ArrayType, updates: ArrayType, *indices: ArrayType, axes: Axes, unique: bool) -> ArrayType:
    return check_scatter("scatter_mul", x, updates, indices, axes)


def _product_slopes(inputs: Values, params: dict[str, Any], wanted: Sequence[bool]) -> tuple[Any, Any]:
    """The derivative of the result by x, at each of its elements, and by each update: the product of all others.

    A product of others is a quotient where no other is zero; so zeros are counted, and left out of the product. Where
    one or two others are zero, they are factors again: their product is 0, but its derivatives are not. (That of three
    others has the right derivatives up to the second, so that those of the result are right up to the third anywhere.)
    """
    x, updates, *indices = inputs
    one = type_of(x).dtype.type(1)
    of_x = of_updates = None
    if wanted[0]:
        of_x = scatter_mul(np.broadcast_to(one, type_of(x).shape), updates, *indices, **params)
    if wanted[1] and params["unique"]:
        of_updates = gather(x, *indices, axes=params["axes"])
    elif wanted[1]:
        axes = params["axes"]
        nothing = one * 0
        is_zero = eq(updates, nothing)
        others = select(is_zero, updates, one)
        product = gather(scatter_mul(x, others, *indices, **params), *indices, axes=axes)
        zero = convert(is_zero, dtype=INT64)
        none = np.broadcast_to(np.int64(0), type_of(x).shape)
        other_zeros = gather(scatter_add(none, zero, *indices, axes=axes), *indices, axes=axes) - zero
        small = select(is_zero, nothing, updates)

        def sum_of_others(terms: Any) -> Any:
            sums = scatter_add(np.broadcast_to(nothing, type_of(x).shape), terms, *indices, axes=axes)
            return gather(sums, *indices, axes=axes) - terms

        first = sum_of_others(small)  # the other zero, if there is one
        pair = (first * first - sum_of_others(small * small)) * np.asarray(0.5, type_of(x).dtype)[()]
        slope = product / others
        several = select(eq(other_zeros, np.int64(2)), zeros_like(updates), slope * pair)
        some = select(eq(other_zeros, np.int64(1)), several, slope * first)
        of_updates = select(eq(other_zeros, np.int64(0)), some, slope)
    return of_x, of_updates


def _scatter_mul_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    _, _, *indices = inputs
    out = bind(scatter_mul, *inputs, **params)
    tx, tu, *_ = tangents
    of_x, of_updates = _product_slopes(inputs, params, (tx is not None, tu is not None))
    total = None if tx is None else tx * of_x
    if tu is not None:
        base = zeros_like(inputs[0]) if total is None else total
        total = scatter_add(base, tu * of_updates, *indices, axes=params["axes"])
    return out, (total,)


def _scatter_mul_vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
    _, _, *indices = inputs

    def pullback(cotangents: Values) -> Values:
        (ct,) = cotangents
        of_x, of_updates = _product_slopes(inputs, params, wanted)
        to_x = ct * of_x if wanted[0] else None
        to_updates = gather(ct, *indices, axes=params["axes"]) * of_updates if wanted[1] else None
        return (to_x, to_updates, *(None for _ in indices))

    return bind(scatter_mul, *inputs, **params), pullback


scatter_mul = Operation(
    name="scatter_mul",
    family="multilinear",
    reference=_scatter_mul,
    infer=_scatter_mul_infer,
    jvp=_scatter_mul_jvp,
    vjp=_scatter_mul_vjp,
    batch=_batched("scatter_mul"),
)


# scatter_min and scatter_max: equal extremes share the derivative -----------------------------------------------------


def _extremal(name: str, ufunc: np.ufunc) -> Operation:
    def reference(x: Any, updates: Any, *indices: Any, axes: Axes) -> Any:
        out = np.array(x)
        ufunc.at(out, full_index(out.ndim, out.shape, indices, axes), updates)
        return out

    def infer(x: ArrayType, updates: ArrayType, *indices: ArrayType, axes: Axes) -> ArrayType:
        return check_scatter(name, x, updates, indices, axes)

    def shares(out: Any, inputs: Values, params: dict[str, Any]) -> tuple[Any, Any]:
        x, updates, *indices = inputs
        dtype = type_of(x).dtype
        of_x = convert(eq(x, out), dtype=dtype)
        of_updates = convert(eq(updates, gather(out, *indices, **params)), dtype=dtype)
        count = scatter_add(of_x, of_updates, *indices, **params)
        return of_x / count, of_updates / gather(count, *indices, **params)

    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        (out,) = bind(primitive, *inputs, **params)
        tx, tu, *_ = tangents
        if tx is None and tu is None:
            return (out,), (None,)
        of_x, of_updates = shares(out, inputs, params)
        total = zeros_like(inputs[0]) if tx is None else tx * of_x
        if tu is not None:
            total = scatter_add(total, tu * of_updates, *inputs[2:], **params)
        return (out,), (total,)

    def vjp(inputs: Values, wanted: Sequence[bool], params: dict[str, Any]) -> tuple[Values, Pullback]:
        (out,) = bind(primitive, *inputs, **params)
        indices = inputs[2:]

        def pullback(cotangents: Values) -> Values:
            (ct,) = cotangents
            of_x, of_updates = shares(out, inputs, params)
            to_x = ct * of_x if wanted[0] else None
            to_updates = gather(ct, *indices, **params) * of_updates if wanted[1] else None
            return (to_x, to_updates, *(None for _ in indices))

        return (out,), pullback

    primitive = Operation(
        name=name, family="extremal", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=_batched(name)
    )
    return primitive


scatter_min = _extremal("scatter_min", np.minimum)
scatter_max = _extremal("scatter_max", np.maximum)
