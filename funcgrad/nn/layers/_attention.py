"""How do the places of a sequence look at each other?  Attention with several heads, and what it keeps in decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.nn import initializers
from funcgrad.nn._attention import attention
from funcgrad.nn.layers._core import (
    FLOAT,
    Layer,
    Params,
    Shape,
    State,
    array,
    cast,
    common_dtype,
    float_dtype,
    here,
    kept,
    layer,
    positive,
    shape_of,
    wrong_shape,
)
from funcgrad.nn.layers._dense import Initializer, affine_params, part, split
from funcgrad.nn.layers._functions import dropped, probability
from funcgrad.nn.layers._positions import BASE
from funcgrad.nn.layers._positions import rotary as rotated
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

GLOROT_UNIFORM = initializers.glorot_uniform()


class Heads:
    """How many heads of how many features there are, and the checks that belong to them."""

    def __init__(self, name: str, heads: Any, key_value_heads: Any, head_features: Any) -> None:
        self.queries = positive(heads, name, "heads")
        self.keys = self.queries if key_value_heads is None else positive(key_value_heads, name, "key_value_heads")
        self.given = None if head_features is None else positive(head_features, name, "head_features")
        if self.queries % self.keys:
            raise ValueError(
                f"{name}: {heads} heads cannot share {key_value_heads} heads of keys and values evenly{at_line()}"
            )

    def features(self, width: int) -> int:
        """Per head, in a network of `width` features."""
        if self.given is None and width % self.queries:
            raise ValueError(
                f"{here()}: {width} features do not divide among {self.queries} heads; give head_features{at_line()}"
            )
        return self.given or width // self.queries


def multi_head_attention(
    heads: int,
    *,
    head_features: int | None = None,
    key_value_heads: int | None = None,
    causal: bool = False,
    rotary: bool | float = False,
    dropout: float = 0.0,
    bias: bool = True,
    kernel_init: Initializer = GLOROT_UNIFORM,
    dtype: Any = FLOAT,
    name: str = "attention",
) -> Layer:
    """Every place of a sequence looks at every other, with several heads (Vaswani et al. 2017).

    softmax(q kᵀ / √d) v for each head, where q, k and v come from one matrix product with x, and a product with the
    output kernel of what the heads find.

    Parameters
    ----------
    heads
        How many heads of queries.
    head_features
        d, the features of a head; by default the features of x divided by heads.
    key_value_heads
        How many heads of keys and values, each shared by ``heads / key_value_heads`` heads of queries
        (Ainslie et al. 2023); 1: multi-query attention. By default as many as heads.
    causal
        Whether a place looks at itself and those before it only.
    rotary
        Whether queries and keys are turned by their positions (see `rotary`); a number is the base.
    dropout
        The rate of dropout of the weights, the softmax's results, in training: `apply` then needs `key`.
    bias
        Whether the products have one.
    kernel_init, dtype
        As in `dense`.

    Returns
    -------
    Layer
        Input and output ``(batch, time, features)``. Parameters: ``query_key_value``, with a kernel of shape (features,
        (heads + 2 key_value_heads) d) and its bias, and ``output`` with one of shape (heads d, features). Further
        inputs of `apply`:

        * `mask`, booleans: ``(batch, time)``, which places there are (padding is False); ``(batch, time, time)`` or
          ``(batch or 1, heads or 1, time, time)``: at which places (last axis) each place looks.
        * `positions`, integers ``(batch or 1, time)``, for `rotary`; by default 0, 1, 2, …

        State of causal attention from ``init_cache((batch, length, features))``: ``key`` and ``value``,
        (batch, length, key_value_heads, d), and ``index``, how many places are filled. With it, x continues the
        sequence by one place or more, looks at all that the cache holds and is added to it: step by step the outputs
        are those of the whole sequence at once. `mask` is then ``(batch, length)``, or has ``length`` as its last
        extent.

    Raises
    ------
    ValueError
        Shapes do not fit, or the cache is full (where its index is traced, it is an `IndexError`).

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layer = layers.multi_head_attention(4, causal=True)
    >>> params = layer.init(fg.random.key(0), (1, 10, 32))
    >>> layer.apply(params, fg.numpy.ones((2, 10, 32))).shape
    (2, 10, 32)
    """
    how, dtype = Heads(name, heads, key_value_heads, head_features), float_dtype(dtype, name)
    base = BASE if rotary is True else float(rotary)
    probability(dropout, name, "dropout")

    def init(key: Any, shape: Shape) -> Params:
        width = _sequence(shape)[-1]
        own = how.features(width)
        *parts, last = split(key, 4)
        counts = (how.queries, how.keys, how.keys)
        made = (bias, kernel_init, initializers.zeros, dtype)
        drawn = [affine_params(k, width, n * own, *made) for k, n in zip(parts, counts, strict=True)]
        fused = {kind: np.concatenate([p[kind] for p in drawn], axis=-1) for kind in drawn[0]}
        return {"query_key_value": fused, "output": affine_params(last, how.queries * own, width, *made)}

    def init_cache(shape: Shape) -> State:
        if not causal:
            raise ValueError(
                f"{here()}: only causal attention can go through a sequence piece by piece: pass causal=True{at_line()}"
            )
        batch, length, width = _sequence(shape)
        empty = np.zeros((batch, length, how.keys, how.features(width)), dtype)
        return {"key": empty, "value": np.zeros_like(empty), "index": np.zeros((), int)}

    def forward(
        params: Any, x: Any, key: Any, train: bool, state: Any, mask: Any = None, positions: Any = None
    ) -> tuple[Any, State]:
        x = array(x)
        _, time, _ = _sequence(shape_of(x))
        q, k, v = _projected(params, "query_key_value", x, bias, (how.queries, how.keys, how.keys))
        if state and positions is None:
            positions = np.expand_dims(kept(state, "index") + np.arange(time), 0)
        if rotary:
            q, k = rotated(q, positions, base=base), rotated(k, positions, base=base)
        if not state:
            out = attention(q, k, v, mask=_four(mask), is_causal=causal, changed=_dropping(dropout, key, train))
            return _output(params, out, bias), {}
        k, v, state, seen = _continued(state, k, v)
        allowed = seen if mask is None else seen & _four(mask)
        out = attention(q, k, v, mask=allowed, changed=_dropping(dropout, key, train))
        return _output(params, out, bias), state

    return layer(
        name,
        forward,
        init,
        init_cache=init_cache,
        accepts=("mask", "positions"),
        output_shape=_sequence,
    )


def cross_attention(
    heads: int,
    *,
    head_features: int | None = None,
    key_value_heads: int | None = None,
    memory_features: int | None = None,
    dropout: float = 0.0,
    bias: bool = True,
    kernel_init: Initializer = GLOROT_UNIFORM,
    dtype: Any = FLOAT,
    name: str = "cross_attention",
) -> Layer:
    """Every place of a sequence looks at all places of another one, `memory`: what a decoder reads of an encoder.

    Parameters
    ----------
    heads, head_features, key_value_heads, dropout, bias, kernel_init, dtype
        As in `multi_head_attention`.
    memory_features
        Of the other sequence; by default as many as x has.

    Returns
    -------
    Layer
        Input and output ``(batch, time, features)``. Parameters: ``query``, ``key_value`` and ``output``, each a
        kernel with its bias. Further inputs of `apply`: `memory`, ``(batch, source, memory features)``, and
        `memory_mask`, booleans ``(batch, source)`` (or ``(batch, time, source)``, …): where to look in memory.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layer = layers.cross_attention(2)
    >>> params = layer.init(fg.random.key(0), (1, 5, 8))
    >>> layer.apply(params, fg.numpy.ones((3, 5, 8)), memory=fg.numpy.ones((3, 7, 8))).shape
    (3, 5, 8)
    """
    how, dtype = Heads(name, heads, key_value_heads, head_features), float_dtype(dtype, name)
    probability(dropout, name, "dropout")

    def init(key: Any, shape: Shape) -> Params:
        width = _sequence(shape)[-1]
        own, other = how.features(width), memory_features or width
        first, second, third, last = split(key, 4)
        made = (bias, kernel_init, initializers.zeros, dtype)
        keys, values = (affine_params(k, other, how.keys * own, *made) for k in (second, third))
        return {
            "query": affine_params(first, width, how.queries * own, *made),
            "key_value": {kind: np.concatenate([keys[kind], values[kind]], axis=-1) for kind in keys},
            "output": affine_params(last, how.queries * own, width, *made),
        }

    def forward(
        params: Any, x: Any, key: Any, train: bool, state: Any, memory: Any = None, memory_mask: Any = None
    ) -> tuple[Any, State]:
        if memory is None:
            raise ValueError(f"{here()}: pass memory= to apply, the sequence to look at{at_line()}")
        x, memory = array(x), array(memory)
        _sequence(shape_of(x))
        if len(shape_of(memory)) != 3 or shape_of(memory)[0] != shape_of(x)[0]:
            fits = f"({shape_of(x)[0]}, source, features)"
            raise ValueError(f"{here()}: memory must have shape {fits}, not {shape_of(memory)}{at_line()}")
        (q,) = _projected(params, "query", x, bias, (how.queries,))
        k, v = _projected(params, "key_value", memory, bias, (how.keys, how.keys))
        dtype = common_dtype(q, k)
        q, k, v = (cast(y, dtype) for y in (q, k, v))
        out = attention(q, k, v, mask=_four(memory_mask), changed=_dropping(dropout, key, train))
        return _output(params, out, bias), {}

    return layer(name, forward, init, accepts=("memory", "memory_mask"), output_shape=_sequence)


def _sequence(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise wrong_shape("(batch, time, features)", shape)
    return shape


def _projected(params: Any, name: str, x: Any, bias: bool, counts: tuple[int, ...]) -> list[Any]:
    """Heads (batch, time, count, features) of each kind, from one product."""
    y = part(params, name, x, bias)
    *before, columns = shape_of(y)
    if columns % sum(counts):
        raise ValueError(
            f"{here()}/{name}: a kernel with {columns} columns has no {sum(counts)} heads of equal size{at_line()}"
        )
    all_heads = np.reshape(y, (*before, sum(counts), columns // sum(counts)))
    ends = _np.cumsum(counts)
    return [all_heads[:, :, end - count : end] for count, end in zip(counts, ends.tolist(), strict=True)]


def _output(params: Any, out: Any, bias: bool) -> Any:
    """The product of all heads with the output kernel."""
    batch, time, heads, features = shape_of(out)
    return part(params, "output", np.reshape(out, (batch, time, heads * features)), bias)


def _dropping(rate: float, key: Any, train: bool) -> Callable[[Any], Any] | None:
    """What becomes of the weights, if anything."""
    return (lambda weights: dropped(weights, rate, key, train)) if train and rate else None


def _four(mask: Any) -> Any:
    """A mask that broadcasts to (batch, heads, time, source)."""
    if mask is None:
        return None
    mask = array(mask)
    kind = type_of(mask)
    if kind.dtype.kind != "b" or not 2 <= kind.ndim <= 4:
        raise ValueError(
            f"{here()}: a mask must be booleans of shape (batch, source), (batch, time, source) or "
            f"(batch, heads, time, source), not {kind}{at_line()}"
        )
    return np.expand_dims(mask, (1, 2) if kind.ndim == 2 else 1) if kind.ndim < 4 else mask


def _continued(state: State, k: Any, v: Any) -> tuple[Any, Any, State, Any]:
    """Keys and values with those of the cache, the new cache, and who may look where."""
    keys, values, index = kept(state, "key"), kept(state, "value"), kept(state, "index")
    length, time = shape_of(keys)[1], shape_of(k)[1]
    if shape_of(keys)[0] != shape_of(k)[0] or shape_of(keys)[2:] != shape_of(k)[2:]:
        fits = (shape_of(k)[0], "length", *shape_of(k)[2:])
        raise ValueError(f"{here()}: the cache must have shape {fits}, not {shape_of(keys)}{at_line()}")
    if type(index) is not Tracer and index + time > length:
        raise ValueError(
            f"{here()}: the cache is full: {time} more after {int(index)} do not fit into its {length} places; "
            f"give init_cache a longer input_shape{at_line()}"
        )
    at = index + np.arange(time)
    keys, values = (_written(cache, at, new) for cache, new in ((keys, k), (values, v)))
    seen = np.arange(length) <= np.expand_dims(at, -1)
    dtype = common_dtype(k)
    return (
        cast(keys, dtype),
        cast(values, dtype),
        {"key": keys, "value": values, "index": index + time},
        seen[None, None],
    )


def _written(cache: Any, at: Any, new: Any) -> Any:
    """The cache with new rows; places outside of it are an error, also where they are traced."""
    cache = cache if type(cache) is Tracer else np.asarray(cache)
    return cache.at[:, at].set(cast(new, type_of(cache).dtype))
