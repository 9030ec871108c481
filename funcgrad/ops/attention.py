"""How does attention go over scores that nobody stores?  By two operations that kernels run block by block.

Derivatives and batches know attention as a whole (`nn._blocks`); these are what it is made of where the CPU has fast
products of small matrices. Groups of heads G, heads of a group E, queries T, keys S, features H, values F: operands
are the scaled queries (G, E, T, H), keys (G, S, H) and values (G, S, F). Query t sees keys t - left, ..., t + right
(None: no bound), one at least.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, nondifferentiable
from funcgrad.ops.shape import reshape, transpose
from funcgrad.trace.frame import type_of

Types = tuple[ArrayType, ...]


def _scores(q: Any, k: Any, left: int | None, right: int | None) -> Any:
    scores = np.einsum("geth,gsh->gets", q, k)
    behind = np.arange(q.shape[2])[:, None] - np.arange(k.shape[1])
    seen = np.ones(behind.shape, bool)
    if left is not None:
        seen &= behind <= left
    if right is not None:
        seen &= behind >= -right
    return np.where(seen, scores, -np.inf)


def _attend(q: Any, k: Any, v: Any, *, left: int | None, right: int | None) -> Values:
    scores = _scores(q, k, left, right)
    top = np.max(scores, -1)
    weights = np.exp(scores - top[..., None])
    total = np.sum(weights, -1)
    return np.einsum("gets,gsf->getf", weights, v) / total[..., None], top, total


def _attend_types(q: ArrayType, k: ArrayType, v: ArrayType, **_: Any) -> Types:
    rows = q.with_shape(q.shape[:-1])
    return (q.with_shape((*q.shape[:-1], v.shape[-1])), rows, rows)


def _backward(
    q: Any, k: Any, v: Any, top: Any, total: Any, delta: Any, ct: Any, *, left: int | None, right: int | None, runs: int
) -> Values:
    weights = np.exp(_scores(q, k, left, right) - top[..., None]) / total[..., None]
    ct_scores = weights * (np.einsum("getf,gsf->gets", ct, v) - delta[..., None])
    parts = np.zeros((runs, *q.shape), q.dtype)
    parts[0] = np.einsum("gets,gsh->geth", ct_scores, k)
    return parts, np.einsum("gets,geth->gsh", ct_scores, q), np.einsum("gets,getf->gsf", weights, ct)


def _backward_types(q: ArrayType, k: ArrayType, v: ArrayType, *_: ArrayType, runs: int, **__: Any) -> Types:
    return (q.with_shape((runs, *q.shape)), k, v)


def _of_batch(size: int, *operands: Any, **params: Any) -> Values:
    """Examples of a batch are more groups."""
    merged = [reshape(x, shape=_merged(type_of(x).shape)) for x in operands]
    if "runs" not in params:
        return tuple(_split(size, x) for x in attend(*merged, **params))
    parts, ct_k, ct_v = attend_backward(*merged, **params)
    shape = type_of(parts).shape
    apart = reshape(parts, shape=(shape[0], size, shape[1] // size, *shape[2:]))
    return transpose(apart, permutation=(1, 0, *range(2, len(shape) + 1))), _split(size, ct_k), _split(size, ct_v)


def _merged(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0] * shape[1], *shape[2:])


def _split(size: int, x: Any) -> Any:
    shape = type_of(x).shape
    return reshape(x, shape=(size, shape[0] // size, *shape[1:]))


attend: Operation = nondifferentiable("attend", _attend, _attend_types, _of_batch, multiple=True)
"""(result (G, E, T, F), the rows' largest scores (G, E, T), their sums of exponentials)."""

attend_backward: Operation = nondifferentiable("attend_backward", _backward, _backward_types, _of_batch, multiple=True)
"""Of queries, keys, values, the rows' largest scores and sums, the sums of the result times its cotangent, and that
cotangent: for each of `runs` runs of keys a part of the queries' cotangent; the cotangents of keys and values."""
