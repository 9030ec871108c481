"""Layers of neural networks: pairs of pure functions that make parameters and apply them, and ways to compose them.

A `Layer` has ``init(key, input_shape) -> params`` and ``apply(params, x, *, key=None, train=False, state=None) -> y``.
Parameters are nested dictionaries of arrays; what changes besides, such as running statistics, is state that is handed
in and out: ``y, state = net.apply(params, x, train=True, state=state)``, from ``net.init_state(input_shape)`` on.
Input shapes have the batch axis in front and channels at the end. Parameters are float32 unless `dtype` says else;
dtypes of inputs and parameters promote as NumPy's do, so that a float64 input gives float64 results. The `name` of a
layer is what key paths, listings and errors call it.

>>> import funcgrad as fg
>>> from funcgrad.nn import layers
>>> net = layers.serial(
...     layers.conv(8, 3), layers.batch_norm(), layers.relu, layers.global_avg_pool(), layers.dense(10), name="net"
... )
>>> params, state = net.init(fg.random.key(0), (1, 28, 28, 1)), net.init_state((1, 28, 28, 1))
>>> list(params), list(state)
(['0_conv', '1_batch_norm', '4_dense'], ['1_batch_norm'])
>>> y, state = net.apply(params, fg.numpy.ones((2, 28, 28, 1), "float32"), train=True, state=state)
>>> y.shape
(2, 10)
"""

from __future__ import annotations

from funcgrad.nn.layers._attention import cross_attention, multi_head_attention
from funcgrad.nn.layers._combinators import parallel, residual, serial
from funcgrad.nn.layers._convolution import conv, conv_transpose, depthwise_conv
from funcgrad.nn.layers._core import Layer, stateless
from funcgrad.nn.layers._dense import dense, embedding, feed_forward
from funcgrad.nn.layers._functions import (
    celu,
    dropout,
    elu,
    flatten,
    fn,
    gelu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    lambda_,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    reshape,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
    squareplus,
    swish,
    tanh,
)
from funcgrad.nn.layers._normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from funcgrad.nn.layers._pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
from funcgrad.nn.layers._positions import learned_positions, rotary, sinusoidal_positions, sinusoidal_table
from funcgrad.nn.layers._recurrent import bidirectional, gru, lstm, simple_rnn, stacked
from funcgrad.nn.layers._summary import count_parameters, summary
from funcgrad.nn.layers._transformer import transformer_block
from funcgrad.tracebacks import bounded as _bounded

__all__ = [
    "Layer",
    "avg_pool",
    "batch_norm",
    "bidirectional",
    "celu",
    "conv",
    "conv_transpose",
    "count_parameters",
    "cross_attention",
    "dense",
    "depthwise_conv",
    "dropout",
    "elu",
    "embedding",
    "feed_forward",
    "flatten",
    "fn",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "gru",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "instance_norm",
    "lambda_",
    "layer_norm",
    "leaky_relu",
    "learned_positions",
    "log_sigmoid",
    "log_softmax",
    "lstm",
    "max_pool",
    "mish",
    "multi_head_attention",
    "parallel",
    "relu",
    "relu6",
    "reshape",
    "residual",
    "rms_norm",
    "rotary",
    "selu",
    "serial",
    "sigmoid",
    "silu",
    "simple_rnn",
    "sinusoidal_positions",
    "sinusoidal_table",
    "soft_sign",
    "softmax",
    "softplus",
    "squareplus",
    "stacked",
    "stateless",
    "summary",
    "swish",
    "tanh",
    "transformer_block",
]

_bounded(globals())
