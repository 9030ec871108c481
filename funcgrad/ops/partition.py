"""Which operations put only some elements of a line where they stand in order?  partition, argpartition, by selection.

Lines of fewer than `SHORT` elements are sorted, which is as fast; longer ones are left to NumPy's selection. Which of
the two depends on the length alone, so that results are the same with and without compilation and batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, nondifferentiable, repeat, zeros_like
from funcgrad.ops.indexing import scatter_add
from funcgrad.ops.sorting import INT64, SHORT, _check, argsort, lines_of, reordered, sort
from funcgrad.trace.frame import bind, type_of


def _infer(x: ArrayType, *, dimension: int, kth: tuple[int, ...]) -> ArrayType:
    _check("partition", x, dimension)
    if not all(0 <= k < x.shape[dimension] for k in kth):
        raise ValueError(f"partition: kth={kth} does not fit axis {dimension} of shape {x.shape}")
    return x.with_shape(x.shape)


def _is_short(x: ArrayType, params: Mapping[str, Any]) -> bool:
    return x.shape[params["dimension"]] < SHORT or not x.size


def _argpartition(x: Any, *, dimension: int, kth: tuple[int, ...]) -> Any:
    if _is_short(type_of(x), {"dimension": dimension}):
        return np.argsort(x, dimension, kind="stable")
    return np.argpartition(x, np.array(kth, INT64), dimension)


def _argpartition_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    if not _is_short(types[0], params):
        return None
    return lambda x: (argsort(x, dimension=params["dimension"], descending=False),)


argpartition: Operation = nondifferentiable(
    "argpartition",
    _argpartition,
    lambda x, **params: ArrayType(_infer(x, **params).shape, INT64),
    lambda size, x, *, dimension, kth: argpartition(x, dimension=dimension + 1, kth=kth),
)
argpartition.expand = _argpartition_expand


def _partition(x: Any, *, dimension: int, kth: tuple[int, ...]) -> Any:
    if _is_short(type_of(x), {"dimension": dimension}):
        return np.sort(x, dimension)
    return np.partition(x, np.array(kth, INT64), dimension)


def _partition_into(outputs: Values, inputs: Values, params: dict[str, Any]) -> None:
    outputs[0][...] = inputs[0]
    outputs[0].partition(np.array(params["kth"], INT64), params["dimension"])


def _partition_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    if not _is_short(types[0], params):
        return None
    return lambda x: (sort(x, dimension=params["dimension"], descending=False),)


def _orders(x: Any, out: Any, dimension: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Where the elements stand before and after, the smallest first: which one went where, whatever the selection."""
    before, after = (lines_of(argsort(a, dimension=dimension, descending=False), dimension) for a in (x, out))
    return before, after


def _partition_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    (x,), (t,), dimension = inputs, tangents, params["dimension"]
    (out,) = bind(partition, x, **params)
    if t is None:
        return (out,), (None,)
    before, after = _orders(x, out, dimension)
    ordered = reordered(t, before[dimension], dimension)
    return (out,), (scatter_add(zeros_like(t), ordered, *after, axes=tuple(range(len(after)))),)


def _partition_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,), dimension = inputs, params["dimension"]
    (out,) = bind(partition, x, **params)
    before, after = _orders(x, out, dimension)

    def pullback(cotangents: Values) -> Values:
        ordered = reordered(cotangents[0], after[dimension], dimension)
        return (scatter_add(zeros_like(x), ordered, *before, axes=tuple(range(len(before)))),)

    return (out,), pullback


def _partition_batch(
    size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    x = inputs[0] if batched[0] else repeat(inputs[0], size)
    return bind(partition, x, dimension=params["dimension"] + 1, kth=params["kth"]), (True,)


partition: Operation = Operation(
    name="partition",
    family="linear",
    reference=_partition,
    into=_partition_into,
    infer=_infer,
    jvp=_partition_jvp,
    vjp=_partition_vjp,
    batch=_partition_batch,
    expand=_partition_expand,
)
