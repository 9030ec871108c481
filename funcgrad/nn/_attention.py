"""How does each position look at the others?  Scaled dot-product attention (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.dtypes import largest
from funcgrad.errors import at_line
from funcgrad.nn._common import array, public, widened
from funcgrad.nn._softmax import logsumexp, softmax
from funcgrad.numpy._common import cast
from funcgrad.ops.comparison import stop_gradient
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

NAME = "dot_product_attention"
MASKED = -0.7 * largest(_np.dtype(_np.float32))  # finite: a row without any key weighs all keys alike, as in JAX
IMPLEMENTATIONS = (None, "xla")


@public
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
    return_residual: bool = False,
) -> Any:
    """softmax(scale · query · keyᵀ + bias) · value, for every head.

    B examples, T queries and S keys, N heads of queries and K of keys and values, H features per head; K divides N,
    and each head of keys serves N / K heads of queries in a row. Without the axis B, there is one example.

    Parameters
    ----------
    query, key, value
        Floats of shapes (B, T, N, H), (B, S, K, H) and (B, S, K, H), of one dtype. float16 and bfloat16 are computed
        in float32 and rounded once.
    bias, mask
        Added to the scores; which keys a query may look at (bool). Their shapes broadcast to (B, N, T, S).
    scale
        Of the scores (default: 1 / √H).
    is_causal
        Whether query t looks at keys 0, ..., t only.
    query_seq_lengths, key_value_seq_lengths
        Integers of shape (B,): how many queries and keys of each example count. Other queries give 0.
    local_window_size
        (left, right): query t looks at keys t - left, ..., t + right only; an integer stands for both.
    implementation
        None or ``"xla"``, which mean the same here.
    return_residual
        Whether to return the logsumexp of each query's scores too, of shape (B, T, N); no derivative flows through it.

    Returns
    -------
    Array or (Array, Array)
        Of the shape and dtype of `query`. A query that may look at no key gets the mean of all values.

    Raises
    ------
    ValueError
        For shapes and dtypes that do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.eye(2).reshape(1, 2, 1, 2)  # two positions, one head
    >>> dot_product_attention(x, x, x, is_causal=True).reshape(2, 2)
    Array([[1.        , 0.        ],
           [0.33023845, 0.66976155]])
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"{NAME}: implementation {implementation!r} is none of {IMPLEMENTATIONS}{at_line()}")
    shape = type_of(array(query, NAME)).shape
    query, key, value = (_four(x, what) for x, what in ((query, "query"), (key, "key"), (value, "value")))
    dtype = _checked(query, key, value)
    (examples, queries, heads, features), (_, keys, groups, _) = type_of(query).shape, type_of(key).shape
    masks = [] if mask is None else [_of_groups(mask, "mask", heads, groups)]
    masks += _positions(query, keys, is_causal, local_window_size)
    lengths = (
        _lengths(query_seq_lengths, "query_seq_lengths", examples),
        _lengths(key_value_seq_lengths, "key_value_seq_lengths", examples),
    )
    masks += [_before(n, extent, axis) for n, extent, axis in zip(lengths, (queries, keys), (3, 4), strict=True)
              if n is not None]  # fmt: skip

    wide = widened(dtype)
    each = heads // groups
    rows = (examples, groups, each * queries, features)  # the heads of a group stand one below the other
    q = np.transpose(np.reshape(query, (examples, queries, groups, each, features)), (0, 2, 3, 1, 4))
    k, v = (cast(np.transpose(x, (0, 2, 1, 3)), wide) for x in (key, value))
    scores = np.matmul(np.reshape(cast(q, wide), rows), np.swapaxes(k, 2, 3))
    scores = np.reshape(scores, (examples, groups, each, queries, keys))
    scores = scores * (1 / math.sqrt(features) if scale is None else scale)
    if bias is not None:
        scores = cast(scores + _of_groups(bias, "bias", heads, groups), wide)
    if masks:
        allowed = masks[0]
        for other in masks[1:]:
            allowed = allowed & other
        scores = np.where(allowed, scores, wide.type(MASKED))
    weights = np.reshape(softmax(scores), (*rows[:3], keys))
    out = np.reshape(np.matmul(weights, v), (examples, groups, each, queries, features))
    if lengths[0] is not None:
        out = np.where(_before(lengths[0], queries, 3), out, wide.type(0))
    out = cast(np.reshape(np.transpose(out, (0, 3, 1, 2, 4)), shape), dtype)
    if not return_residual:
        return out
    sums = np.transpose(logsumexp(scores, -1), (0, 3, 1, 2))
    sums = cast(np.reshape(sums, shape[:-1]), dtype)
    return out, stop_gradient(sums) if type(sums) is Tracer else sums


def _four(x: Any, what: str) -> Any:
    """An operand with four axes: those in front may be left out."""
    x = array(x, NAME)
    missing = 4 - type_of(x).ndim
    if missing < 0:
        raise ValueError(f"{NAME}: {what} has shape {type_of(x).shape}: four axes are the most{at_line()}")
    return np.expand_dims(x, tuple(range(missing))) if missing else x


def _checked(query: Any, key: Any, value: Any) -> _np.dtype:
    """The dtype of all three, whose shapes fit."""
    q, k, v = (type_of(x) for x in (query, key, value))
    if len({q.dtype, k.dtype, v.dtype}) > 1 or widened(k.dtype).kind != "f":
        found = ", ".join(t.dtype.name for t in (q, k, v))
        raise ValueError(f"{NAME}: query, key and value must be floats of one dtype, not {found}{at_line()}")
    fits = v.shape == k.shape and q.shape[0] == k.shape[0] and q.shape[3] == k.shape[3]
    if not fits:
        raise ValueError(
            f"{NAME}: query, key and value have shapes {q.shape}, {k.shape} and {v.shape}; "
            f"(B, T, N, H), (B, S, K, H) and (B, S, K, H) are needed{at_line()}"
        )
    if k.shape[2] == 0 or q.shape[2] % k.shape[2]:
        raise ValueError(
            f"{NAME}: the number of query heads, {q.shape[2]}, is no multiple of that of key heads, "
            f"{k.shape[2]}{at_line()}"
        )
    return k.dtype


def _of_groups(x: Any, what: str, heads: int, groups: int) -> Any:
    """A bias or mask with its axis of heads split into groups and their heads."""
    x = _four(x, what)
    kind = type_of(x)
    if what == "mask" and kind.dtype != _np.bool_:
        raise ValueError(f"{NAME}: mask must be bool, not {kind.dtype.name}{at_line()}")
    if kind.shape[1] not in (1, heads):
        raise ValueError(f"{NAME}: {what} has shape {kind.shape}; its second extent must be {heads} or 1{at_line()}")
    split = (1, 1) if kind.shape[1] == 1 else (groups, heads // groups)
    return np.reshape(x, (kind.shape[0], *split, *kind.shape[2:]))


def _positions(query: Any, keys: int, causal: bool, window: int | tuple[int, int] | None) -> list[Any]:
    """The masks that depend on positions only: of shape (T, S).

    The sum of no queries makes them part of the program, where they are comparisons of loop indices; computed
    beforehand they would be a stored array.
    """
    nothing = cast(np.sum(query[:0]), _np.dtype(_np.int32))
    t = _np.arange(type_of(query).shape[1], dtype=_np.int32)[:, None] + nothing
    s = _np.arange(keys, dtype=_np.int32)
    masks = [s <= t] if causal else []
    if window is not None:
        left, right = (window, window) if isinstance(window, int) else window
        masks.append((s >= t - left) & (s <= t + right))
    return masks


def _lengths(lengths: Any, what: str, examples: int) -> Any:
    """Numbers of positions that count, or None."""
    if lengths is None:
        return None
    lengths = array(lengths, NAME)
    kind = type_of(lengths)
    if kind.shape != (examples,) or kind.dtype.kind not in "iu":
        raise ValueError(
            f"{NAME}: {what} must be integers of shape {(examples,)}, not {kind.dtype.name} {kind.shape}{at_line()}"
        )
    return lengths


def _before(lengths: Any, extent: int, axis: int) -> Any:
    """Which positions along an axis of five count, example by example."""
    shape = [1] * 5
    shape[axis] = extent
    return _np.arange(extent).reshape(shape) < np.reshape(lengths, (-1, 1, 1, 1, 1))
