"""What can examples of a batch tell each other?  Operations over a named batch axis: ``psum``, ``all_gather``,
``ppermute``, ``axis_index``.

`vmap` with an `axis_name` gives them a frame; there they turn into sums, transposes and gathers of the batch. Where
they come to be run none the less, their operand is the same for all examples: their references say what that means.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from funcgrad.array import indexing
from funcgrad.control.live import highest
from funcgrad.ir.primitive import Primitive, Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, operation, repeat
from funcgrad.trace.builder import Builder
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.vmap import Batch, axes

Params = dict[str, Any]


def collective(primitive: Primitive, axis_name: Hashable, *inputs: Any, **params: Any) -> Any:
    """Apply a collective operation: in the frame of its axis, or above it."""
    frame = axes.find(axis_name)
    params = {"axis_name": axis_name, "axis_size": frame.size, **params}
    top = highest(inputs)
    if top is None or top.level <= frame.level:
        return frame.process(primitive, inputs, params)[0]
    return bind(primitive, *inputs, **params)[0]


def _again(primitive: Primitive, params: Params, x: Any, like: Any, **changes: Any) -> Any:
    """The operation on another operand, from a rule whose operand was `like`."""
    rest = {k: v for k, v in params.items() if k not in ("axis_name", "axis_size")} | changes
    if any(frame.name == params["axis_name"] for frame in axes.frames):
        return collective(primitive, params["axis_name"], _beside(x, like), **rest)
    return bind(primitive, x, **(params | changes))[0]


def _beside(x: Any, like: Any) -> Any:
    """`x` as a value of the program that `like` belongs to, if one is being made: its equations must all be there."""
    top = highest((x,))
    while type(like) is Tracer and not isinstance(like.frame, Builder):
        like = like.frame.below(like) if not isinstance(like.frame, Batch) else like.payload
    if type(like) is not Tracer or (top is not None and top.level >= like.frame.level):
        return x
    builder: Any = like.frame
    atom = builder.atom(x)
    return Tracer(builder, atom.type, atom)


def _linear(
    name: str,
    reference: Callable[..., Any],
    infer: Callable[..., ArrayType],
    transpose: Callable[[Any, Any, Params], Any],
    own: Callable[..., Any],
    other: Callable[..., Any],
) -> Operation:
    """A linear collective operation.

    ``own(x, batched, **params) -> (array, batched)`` is its meaning on the batch of its axis;
    ``other(x, **params)`` shifts it behind another batch axis.
    """

    def jvp(inputs: Values, tangents: Values, params: Params) -> tuple[Values, Values]:
        (t,) = tangents
        (x,) = inputs
        return (_again(primitive, params, x, x),), (None if t is None else _again(primitive, params, t, x),)

    def vjp(inputs: Values, wanted: Sequence[bool], params: Params) -> tuple[Values, Pullback]:
        (x,) = inputs

        def pullback(cotangents: Values) -> Values:
            return (transpose(cotangents[0], x, params),)

        return (_again(primitive, params, x, x),), pullback

    def batch(size: int, inputs: Values, batched: Sequence[bool], params: Params) -> Any:
        if axes.name == params["axis_name"]:
            x, flag = own(inputs[0], batched[0], **params)
            return (x,), (flag,)
        return (other(primitive, inputs[0], params),), (True,)

    primitive = Operation(
        name=name, family="linear", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=batch, operands=1
    )
    return primitive


def _same_type(x: ArrayType, **params: Any) -> ArrayType:
    return ArrayType(x.shape, x.dtype)


def _as_it_is(primitive: Primitive, x: Any, params: Params) -> Any:
    return _again(primitive, params, x, x)


# psum ----------------------------------------------------------------------------------------------------------------


def _psum_own(x: Any, batched: bool, *, axis_name: Hashable, axis_size: int) -> Any:
    if batched:
        return operation("reduce_sum")(x, axes=(0,)), False
    return x * type_of(x).dtype.type(axis_size), False


def _psum(x: Any, *, axis_name: Hashable, axis_size: int) -> Any:
    return np.asarray(x) * np.result_type(x).type(axis_size)


psum: Operation = _linear(
    "psum", _psum, _same_type, lambda ct, like, params: _again(psum, params, ct, like), _psum_own, _as_it_is
)


# all_gather: the examples side by side, along a new axis in front ---------------------------------------------------


def _gather_infer(x: ArrayType, *, axis_name: Hashable, axis_size: int) -> ArrayType:
    return ArrayType((axis_size, *x.shape), x.dtype)


def _gather_transpose(ct: Any, like: Any, params: Params) -> Any:
    """Each example's part of the sum over all examples."""
    total = _again(psum, params, ct, like)
    return indexing["getitem"](total, _again(axis_index, params, np.int64(0), like))


def _gather_other(primitive: Primitive, x: Any, params: Params) -> Any:
    return np.moveaxis(_again(primitive, params, x, x), 1, 0)


all_gather = _linear(
    "all_gather",
    lambda x, *, axis_name, axis_size: np.broadcast_to(x, (axis_size, *np.shape(x))),
    _gather_infer,
    _gather_transpose,
    lambda x, batched, *, axis_name, axis_size: (x if batched else repeat(x, axis_size), False),
    _gather_other,
)


# ppermute: example k of the result is example `sources[k]` of the operand; -1 stands for zeros -----------------------


def _permute_own(x: Any, batched: bool, *, axis_name: Hashable, axis_size: int, sources: tuple[int, ...]) -> Any:
    full = x if batched else repeat(x, axis_size)
    picked = full[np.maximum(sources, 0)]
    if min(sources, default=0) >= 0:
        return picked, True
    there = np.reshape(np.asarray(sources) >= 0, (-1,) + (1,) * (len(type_of(full).shape) - 1))
    zero = np.zeros((), type_of(full).dtype)
    return np.where(there, picked, zero), True


def _permute(x: Any, *, axis_name: Hashable, axis_size: int, sources: tuple[int, ...]) -> Any:
    if min(sources, default=0) < 0:
        raise NotImplementedError(
            "ppermute of a value that is the same for all examples, with a permutation that leaves some examples "
            "without one: make the value depend on the example"
        )
    return np.array(x)


def _permute_transpose(ct: Any, like: Any, params: Params) -> Any:
    back = [-1] * params["axis_size"]
    for target, source in enumerate(params["sources"]):
        if source >= 0:
            back[source] = target
    return _again(ppermute, params, ct, like, sources=tuple(back))


ppermute = _linear("ppermute", _permute, _same_type, _permute_transpose, _permute_own, _as_it_is)


# axis_index: its operand only says in whose frame -------------------------------------------------------------------


def _index(x: Any, *, axis_name: Hashable, axis_size: int) -> Any:
    raise NotImplementedError(
        f"the number of the example along the axis {axis_name!r} is needed in a jitted function none of whose "
        "arguments differs from example to example: pass it one that does"
    )


def _index_batch(size: int, inputs: Values, batched: Sequence[bool], params: Params) -> Any:
    if axes.name == params["axis_name"]:
        return (np.arange(size),), (True,)
    return (_again(axis_index, params, np.int64(0), inputs[0]),), (False,)


axis_index = Operation(
    name="axis_index",
    family="nondifferentiable",
    reference=_index,
    infer=lambda x, *, axis_name, axis_size: ArrayType((), np.dtype(np.int64)),
    batch=_index_batch,
    operands=1,
)
