"""Which layers do the general tests run over?  One row for each kind of layer and each of its main options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import funcgrad as fg
from funcgrad.nn import layers

MASK = np.array([[True, True, True, False, False], [True, True, True, True, True]])
MEMORY = np.random.default_rng(1).standard_normal((2, 3, 8))


class Row(NamedTuple):
    """A layer made for a dtype, the shape of its input, integers below `count` as input if that is not 0, and more."""

    make: Callable[[Any], layers.Layer]
    shape: tuple[int, ...]
    count: int = 0
    inputs: dict[str, Any] = {}  # noqa: RUF012 # never written to


SEQUENCE, IMAGES = (2, 5, 8), (2, 6, 6, 4)

ROWS: dict[str, Row] = {
    "dense": Row(lambda d: layers.dense(3, dtype=d), (2, 4)),
    "dense, no bias": Row(lambda d: layers.dense(3, bias=False, dtype=d), (2, 5, 4)),
    "embedding": Row(lambda d: layers.embedding(7, 3, dtype=d), (2, 5), 7),
    "feed_forward": Row(lambda d: layers.feed_forward(6, dtype=d), (2, 4)),
    "feed_forward, gated": Row(
        lambda d: layers.feed_forward(6, gated=True, activation=fg.nn.silu, bias=False, dtype=d), (2, 4)
    ),
    "conv 1-d": Row(lambda d: layers.conv(3, 3, strides=2, dtype=d), (2, 7, 4)),
    "conv 2-d": Row(lambda d: layers.conv(6, (3, 2), padding="VALID", groups=2, dtype=d), IMAGES),
    "conv 3-d": Row(lambda d: layers.conv(2, 2, dilation=2, bias=False, dtype=d), (2, 4, 4, 4, 3)),
    "conv, circular": Row(lambda d: layers.conv(2, 3, padding="CIRCULAR", dtype=d), IMAGES),
    "depthwise_conv": Row(lambda d: layers.depthwise_conv(3, 2, dtype=d), IMAGES),
    "conv_transpose": Row(lambda d: layers.conv_transpose(3, 3, strides=2, dtype=d), IMAGES),
    "max_pool": Row(lambda d: layers.max_pool(2), IMAGES),
    "avg_pool": Row(lambda d: layers.avg_pool(3, strides=2, padding=1, count_padding=False), IMAGES),
    "global_max_pool": Row(lambda d: layers.global_max_pool(), IMAGES),
    "global_avg_pool": Row(lambda d: layers.global_avg_pool(), SEQUENCE, inputs={"mask": MASK}),
    "flatten": Row(lambda d: layers.flatten(), IMAGES),
    "reshape": Row(lambda d: layers.reshape(3, -1), IMAGES),
    "layer_norm": Row(lambda d: layers.layer_norm(dtype=d), SEQUENCE),
    "layer_norm, two axes": Row(lambda d: layers.layer_norm(axes=2, bias=False, dtype=d), SEQUENCE),
    "rms_norm": Row(lambda d: layers.rms_norm(dtype=d), SEQUENCE),
    "group_norm": Row(lambda d: layers.group_norm(2, dtype=d), IMAGES),
    "instance_norm": Row(lambda d: layers.instance_norm(dtype=d), IMAGES),
    "simple_rnn": Row(lambda d: layers.simple_rnn(3, dtype=d), SEQUENCE),
    "gru": Row(lambda d: layers.gru(3, dtype=d), SEQUENCE, inputs={"mask": MASK}),
    "lstm": Row(lambda d: layers.lstm(3, dtype=d), SEQUENCE, inputs={"mask": MASK}),
    "lstm, last": Row(lambda d: layers.lstm(3, return_sequences=False, bias=False, dtype=d), SEQUENCE),
    "bidirectional": Row(lambda d: layers.bidirectional(layers.gru(3, dtype=d)), SEQUENCE, inputs={"mask": MASK}),
    "stacked": Row(lambda d: layers.stacked(layers.lstm(3, dtype=d), layers.gru(2, dtype=d)), SEQUENCE),
    "multi_head_attention": Row(lambda d: layers.multi_head_attention(2, dtype=d), SEQUENCE, inputs={"mask": MASK}),
    "multi_head_attention, grouped": Row(
        lambda d: layers.multi_head_attention(4, key_value_heads=2, causal=True, rotary=True, bias=False, dtype=d),
        SEQUENCE,
    ),
    "cross_attention": Row(lambda d: layers.cross_attention(2, dtype=d), SEQUENCE, inputs={"memory": MEMORY}),
    "transformer_block, pre": Row(lambda d: layers.transformer_block(2, 12, causal=True, dtype=d), SEQUENCE),
    "transformer_block, post": Row(
        lambda d: layers.transformer_block(2, 12, norm="post", norm_layer=layers.rms_norm, cross=True, dtype=d),
        SEQUENCE,
        inputs={"memory": MEMORY},
    ),
    "sinusoidal_positions": Row(lambda d: layers.sinusoidal_positions(), SEQUENCE),
    "learned_positions": Row(lambda d: layers.learned_positions(6, dtype=d), SEQUENCE),
    "activation": Row(lambda d: layers.gelu, (2, 4)),
    "fn": Row(lambda d: layers.fn(lambda x: x * x), (2, 4)),
    "serial": Row(lambda d: layers.serial(layers.dense(4, dtype=d), layers.tanh, layers.dense(2, dtype=d)), (2, 3)),
    "residual": Row(lambda d: layers.residual(layers.dense(3, dtype=d), shortcut=layers.dense(3, dtype=d)), (2, 4)),
    "parallel": Row(
        lambda d: layers.parallel(layers.dense(3, dtype=d), layers.tanh, combine="concatenate"),
        (2, 4),
    ),
}


def drawn(name: str, dtype: Any = np.float64) -> tuple[layers.Layer, Any, np.ndarray, dict[str, Any]]:
    """A row's layer, parameters none of which are 0 or 1, an input, and the further inputs."""
    row = ROWS[name]
    random = np.random.default_rng(0)
    layer = row.make(dtype)
    params = layer.init(fg.random.key(0), row.shape)
    params = fg.tree.map(lambda p: (p + 0.1 * random.standard_normal(p.shape)).astype(dtype), params)
    x = random.integers(0, row.count, row.shape) if row.count else random.standard_normal(row.shape).astype(dtype)
    inputs = {key: value.astype(dtype) if value.dtype.kind == "f" else value for key, value in row.inputs.items()}
    return layer, params, x, inputs
