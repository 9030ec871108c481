"""How does each position look at the others?  Scaled dot-product attention (Vaswani et al. 2017)."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.compile import native
from funcgrad.dtypes import widened
from funcgrad.errors import at_line
from funcgrad.nn._blocks import MASKED, How
from funcgrad.nn._blocks import attention as blockwise
from funcgrad.nn._common import array, public
from funcgrad.nn._softmax import logsumexp, softmax
from funcgrad.numpy._common import cast
from funcgrad.ops.comparison import stop_gradient
from funcgrad.trace.frame import bind, type_of
from funcgrad.trace.tracer import Tracer

NAME = "dot_product_attention"
LARGE = 1 << 27  # bytes of scores, more than which are computed block by block (20 % slower than all at once)
LARGE_BOUNDED = 1 << 23  # the same where that pays earlier: positions leave out half of the scores, or tiles are fast
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

    Long sequences take memory in proportion to their lengths, forward and backward: large scores are computed for some
    queries at a time.

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
    return attention(
        query,
        key,
        value,
        bias,
        mask,
        scale=scale,
        is_causal=is_causal,
        query_seq_lengths=query_seq_lengths,
        key_value_seq_lengths=key_value_seq_lengths,
        local_window_size=local_window_size,
        return_residual=return_residual,
    )


def attention(
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
    return_residual: bool = False,
    changed: Callable[[Any], Any] | None = None,
) -> Any:
    """Attention whose weights, of shape (B, K, N / K, T, S), are `changed` before the values are summed up."""
    shape = type_of(array(query, NAME)).shape
    query, key, value = (_four(x, what) for x, what in ((query, "query"), (key, "key"), (value, "value")))
    dtype = _checked(query, key, value)
    (examples, queries, heads, features), (_, keys, groups, _) = type_of(query).shape, type_of(key).shape
    masks = [] if mask is None else [_of_groups(mask, "mask", heads, groups)]
    lengths = (
        _lengths(query_seq_lengths, "query_seq_lengths", examples),
        _lengths(key_value_seq_lengths, "key_value_seq_lengths", examples),
    )
    masks += [_before(n, extent, axis) for n, extent, axis in zip(lengths, (queries, keys), (3, 4), strict=True)
              if n is not None]  # fmt: skip

    wide = widened(dtype)
    each = heads // groups
    q = cast(np.transpose(np.reshape(query, (examples, queries, groups, each, features)), (0, 2, 3, 1, 4)), wide)
    k, v = (cast(np.transpose(x, (0, 2, 1, 3)), wide) for x in (key, value))
    factor = 1 / math.sqrt(features) if scale is None else scale
    extras = masks if bias is None else [*masks, cast(_of_groups(bias, "bias", heads, groups), wide)]
    left, right = _bounds(is_causal, local_window_size)
    early = not extras and (native.multiplies_in_tiles() or (left, right) != (None, None))
    large = LARGE_BOUNDED if early else LARGE
    in_blocks = examples * heads * queries * keys * wide.itemsize > large
    if in_blocks and changed is None and isinstance(factor, float | int):
        how = How(float(factor), left, right, len(masks), bias is not None)
        out, top, total = bind(blockwise, q, k, v, *extras, how=how)
        sums = np.log(total) + top
    else:
        scores = _scores(q, k, factor, None if bias is None else extras[-1])
        allowed = [*masks, *_positions(query, keys, left, right)]
        if allowed:
            scores = np.where(functools.reduce(operator.and_, allowed), scores, wide.type(MASKED))
        weights = softmax(scores) if changed is None else changed(softmax(scores))
        out = np.matmul(np.reshape(weights, (examples, groups, each * queries, keys)), v)
        out = np.reshape(out, (examples, groups, each, queries, features))
        sums = logsumexp(scores, -1) if return_residual else None
    if lengths[0] is not None:
        out = np.where(_before(lengths[0], queries, 3), out, wide.type(0))
    out = cast(np.reshape(np.transpose(out, (0, 3, 1, 2, 4)), shape), dtype)
    if not return_residual:
        return out
    sums = cast(np.reshape(np.transpose(sums, (0, 3, 1, 2)), shape[:-1]), dtype)
    return out, stop_gradient(sums) if type(sums) is Tracer else sums


def _scores(q: Any, k: Any, factor: Any, bias: Any) -> Any:
    """All scores at once."""
    examples, groups, each, queries, features = type_of(q).shape
    rows = np.reshape(q, (examples, groups, each * queries, features))  # a group's heads one below the other
    scores = np.matmul(rows, np.swapaxes(k, 2, 3))
    scores = np.reshape(scores, (examples, groups, each, queries, type_of(k).shape[2])) * factor
    return scores if bias is None else cast(scores + bias, type_of(bias).dtype)


def _bounds(causal: bool, window: int | tuple[int, int] | None) -> tuple[int | None, int | None]:
    """How many keys before and behind itself a query sees at most."""
    left, right = (window, window) if window is None or isinstance(window, int) else window
    return left, right if not causal else 0 if right is None else min(right, 0)


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


def _positions(query: Any, keys: int, left: int | None, right: int | None) -> list[Any]:
    """The masks that depend on positions only: of shape (T, S).

    The sum of no queries makes them part of the program, where they are comparisons of loop indices; computed
    beforehand they would be a stored array.
    """
    nothing = cast(np.sum(query[:0]), _np.dtype(_np.int32))
    t = _np.arange(type_of(query).shape[1], dtype=_np.int32)[:, None] + nothing
    s = _np.arange(keys, dtype=_np.int32)
    behind = [] if right is None else [s <= t + right]
    return behind if left is None else [*behind, s >= t - left]


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
