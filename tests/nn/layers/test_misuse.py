"""Does every mistake with layers get an error that names the layer, what came and what is expected?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.nn import initializers, layers

KEY = fg.random.key(0)
X = np.ones((4, 8))


def made(layer: layers.Layer, shape: tuple[int, ...] = (1, 8)) -> tuple[layers.Layer, Any]:
    return layer, layer.init(KEY, shape)


def applied(layer: layers.Layer, shape: tuple[int, ...], x: Any, **inputs: Any) -> Callable[[], Any]:
    return lambda: layer.apply(layer.init(KEY, shape), x, **inputs)


def altered(path: str, value: Any) -> Callable[[], Any]:
    """A network whose parameters have another array at a path."""

    def run() -> Any:
        net, params = made(NET)
        *front, last = path.split("/")
        part = params
        for name in front:
            part = part[name]
        part[last] = value
        return fg.jit(net.apply)(params, X)

    return run


NET = layers.serial(
    layers.dense(6), layers.relu, layers.residual(layers.dense(6), layers.dense(6)), layers.dense(2), name="net"
)
NORMED = layers.serial(layers.batch_norm(), name="net")
LSTM, CAUSAL = layers.lstm(3), layers.multi_head_attention(2, causal=True)
SEQUENCE = np.ones((2, 5, 8), np.float32)


class Mistake(NamedTuple):
    call: Callable[[], Any]
    error: type[Exception]
    message: str


MISTAKES: dict[str, Mistake] = {
    "another width": Mistake(
        applied(NET, (1, 8), np.ones((4, 7))),
        ValueError,
        r"^net/0_dense: x must have shape \(\.\.\., 8\) \(the kernel has shape \(8, 6\)\), not \(4, 7\)",
    ),
    "another width, deep inside, compiled": Mistake(
        altered("2_residual/1_dense/kernel", np.ones((5, 6))),
        ValueError,
        r"^net/2_residual/1_dense: x must have shape \(\.\.\., 5\).*not \(4, 6\)(.|\n)*\[net/2_residual/1_dense\]",
    ),
    "a kernel that is no matrix": Mistake(
        altered("0_dense/kernel", np.ones(8)), ValueError, r"^net/0_dense: kernel must be a matrix, not of shape \(8,\)"
    ),
    "another bias": Mistake(
        altered("3_dense/bias", np.ones(1)), ValueError, r"^net/3_dense: bias must have shape \(2,\), not \(1,\)"
    ),
    "parameters of another layer": Mistake(
        altered("5_dense", {}), ValueError, r"^net: parameters for '5_dense', but the layers are 0_dense, 1_relu, "
    ),
    "no parameters": Mistake(
        lambda: NET.apply({}, X),
        ValueError,
        r"^net/0_dense: there is no 'kernel' among the parameters, which hold \[\]",
    ),
    "parameters that are no dictionary": Mistake(
        lambda: NET.apply([1], X), ValueError, r"^net: parameters must be the dictionary .* not of type list"
    ),
    "no key for init": Mistake(lambda: NET.init(None, (1, 8)), ValueError, r"^net/0_dense: init needs a key"),
    "a number as a shape": Mistake(
        lambda: NET.init(KEY, 8), TypeError, r"^net: input_shape must be a tuple of integers, .* not 8"
    ),
    "a negative extent": Mistake(
        lambda: NET.init(KEY, (-1, 8)), ValueError, r"^net: input_shape \(-1, 8\) is negative"
    ),
    "no extent for features": Mistake(lambda: NET.init(KEY, (1, 0)), ValueError, r"^net/0_dense: .*not \(1, 0\)"),
    "not a layer": Mistake(
        lambda: layers.serial(layers.dense, name="net"), TypeError, r"^net: argument 0 must be a layer.*dense\(10\)"
    ),
    "a list of layers": Mistake(
        lambda: layers.serial([layers.relu]), TypeError, r"^serial: argument 0 must be a layer, not \["
    ),
    "an input that nobody takes": Mistake(
        applied(NET, (1, 8), X, mask=1), TypeError, r"^net: no input of this layer is named 'mask'; it takes none but x"
    ),
    "a misspelt input": Mistake(
        applied(LSTM, (1, 5, 8), SEQUENCE, masks=1), TypeError, r"^lstm: .* 'masks'; it takes mask, reverse"
    ),
    "a string as x": Mistake(applied(NET, (1, 8), "x"), TypeError, r"^net/0_dense: x must be an array, not 'x'"),
    "texts as x": Mistake(
        applied(NET, (1, 8), np.array(["a"])), TypeError, r"^net/0_dense: x must be an array of numbers: dtype <U1"
    ),
    "a ragged list as x": Mistake(
        applied(NET, (1, 8), [[1.0] * 8, [2.0]]), ValueError, r"^net/0_dense: x must be an array of numbers: .*inhomog"
    ),
    "an initialiser that was not called": Mistake(
        lambda: layers.serial(layers.dense(3, kernel_init=initializers.he_normal), name="net").init(KEY, (1, 8)),
        TypeError,
        r"^net/0_dense: the initialiser returned a function: call it first",
    ),
    "a number as an initialiser": Mistake(
        lambda: layers.conv(3, 3, bias_init=0.1).init(KEY, (1, 8, 8, 1)),  # type: ignore[arg-type]
        TypeError,
        r"^conv: an initialiser is a function init\(key, shape, dtype\), such as .*, not 0.1",
    ),
    "an initialiser of another shape": Mistake(
        lambda: layers.dense(3, bias_init=lambda key, shape, dtype: np.zeros(8, dtype)).init(KEY, (1, 8)),
        ValueError,
        r"^dense: the initialiser returned an array of shape \(8,\) for a parameter of shape \(3,\)",
    ),
    "residual of another shape": Mistake(
        lambda: layers.residual(layers.dense(3)).init(KEY, (1, 8)),
        ValueError,
        r"^residual: the layers turn \(1, 8\) into \(1, 3\), .* shortcut=",
    ),
    "parallel outputs that do not fit": Mistake(
        lambda: layers.parallel(layers.flatten(), layers.relu).apply({}, np.ones((2, 3, 4))),
        ValueError,
        r"^parallel: outputs of shapes \(2, 12\), \(2, 3, 4\) cannot be combined",
    ),
    "nothing in parallel": Mistake(lambda: layers.parallel(), ValueError, r"^parallel: at least one layer"),
    "unknown way to combine": Mistake(
        lambda: layers.parallel(layers.relu, combine="sum"), ValueError, r"one of concatenate, add, .* not 'sum'"
    ),
    "fn of no function": Mistake(lambda: layers.fn(3), TypeError, r"^fn: a function"),  # type: ignore[arg-type]
    "dropout without a key": Mistake(
        lambda: layers.serial(layers.dropout(0.5), name="net").apply({}, X, train=True),
        ValueError,
        r"^net/0_dropout: dropout in training needs random numbers: pass key=.*split.*train=False",
    ),
    "a rate above 1": Mistake(lambda: layers.dropout(1.5), ValueError, r"^dropout: rate .* not 1.5"),
    "attention dropout above 1": Mistake(
        lambda: layers.multi_head_attention(2, dropout=1.5), ValueError, r"^attention: dropout .* not 1.5"
    ),
    "negative attention dropout": Mistake(
        lambda: layers.transformer_block(2, 8, attention_dropout=-0.1), ValueError, r"^attention: dropout .* not -0.1"
    ),
    "batch norm without statistics": Mistake(
        applied(NORMED, (1, 8), X), ValueError, r"^net/0_batch_norm: .*pass state=.*init_state.*train=True"
    ),
    "the state of another network": Mistake(
        lambda: NORMED.apply(NORMED.init(KEY, (1, 8)), X, state={"1_batch_norm": {}}),
        ValueError,
        r"^net: state for '1_batch_norm', but the layers are 0_batch_norm",
    ),
    "an empty state": Mistake(
        lambda: NORMED.apply(NORMED.init(KEY, (1, 8)), X, state={}), ValueError, r"no 'mean' in the state, which holds"
    ),
    "batch norm of one example": Mistake(
        applied(NORMED, (1, 8), np.ones((1, 8)), train=True), ValueError, r"fewer than two numbers per channel"
    ),
    "batch norm of other channels": Mistake(
        applied(NORMED, (1, 8), np.ones((4, 7)), train=True),
        ValueError,
        r"^net/0_batch_norm: x must have shape \(batch, \.\.\., 8\) .*, not \(4, 7\)",
    ),
    "layer norm of other features": Mistake(
        applied(layers.layer_norm(), (1, 8), np.ones((4, 7))), ValueError, r"^layer_norm: .*\(\.\.\., 8\).*not \(4, 7\)"
    ),
    "groups that do not divide": Mistake(
        lambda: layers.group_norm(3).init(KEY, (1, 8)), ValueError, r"^group_norm: .* multiple of 3 groups"
    ),
    "a convolution of a vector": Mistake(
        lambda: layers.conv(3, 3).init(KEY, (1, 8)),
        ValueError,
        r"^conv: x must have shape \(batch, \*space, channels\), not \(1, 8\)",
    ),
    "a convolution of other channels": Mistake(
        applied(layers.conv(3, 3), (1, 9, 9, 4), np.ones((1, 9, 9, 5))),
        ValueError,
        r"^conv: x must have shape .*4\) \(the kernel has shape \(3, 3, 4, 3\)\), not \(1, 9, 9, 5\)",
    ),
    "strides of another rank": Mistake(
        applied(layers.conv(3, 3, strides=(1, 2, 3)), (1, 9, 9, 4), np.ones((1, 9, 9, 4))),
        ValueError,
        r"^conv: strides \(1, 2, 3\) must have 2 numbers",
    ),
    "features that groups do not divide": Mistake(
        lambda: layers.conv(3, 3, groups=2), ValueError, r"^conv: 3 features cannot be made in 2 groups"
    ),
    "a window larger than space": Mistake(
        lambda: layers.max_pool(5).apply({}, np.ones((1, 4, 4, 2))),
        ValueError,
        r"at least \(5, 5\), not \(1, 4, 4, 2\)",
    ),
    "a global pool of a vector": Mistake(
        lambda: layers.global_avg_pool().apply({}, X), ValueError, r"^global_avg_pool: .*not \(4, 8\)"
    ),
    "an embedding of floats": Mistake(
        applied(layers.embedding(9, 2), (1, 3), X), TypeError, r"^embedding: an embedding takes integers, not float64"
    ),
    "an integer that the table has not": Mistake(
        applied(layers.embedding(9, 2), (1, 3), np.array([9])), IndexError, r"9"
    ),
    "a sequence without time": Mistake(
        lambda: LSTM.init(KEY, (8,)), ValueError, r"^lstm: x must have shape \(\.\.\., time, features\), not \(8,\)"
    ),
    "a mask of another shape": Mistake(
        applied(LSTM, (1, 5, 8), SEQUENCE, mask=np.ones((2, 4), bool)),
        ValueError,
        r"^lstm: mask must be booleans of shape \(2, 5\), as x has shape \(2, 5, 8\), not bool\[2,4\]",
    ),
    "a mask of numbers": Mistake(
        applied(LSTM, (1, 5, 8), SEQUENCE, mask=np.ones((2, 5))), ValueError, r"^lstm: mask must be booleans .*not f64"
    ),
    "a carry of another batch": Mistake(
        applied(LSTM, (1, 5, 8), SEQUENCE, state={"hidden": np.ones((1, 3)), "cell": np.ones((1, 3))}),
        ValueError,
        r"^lstm: hidden in the state must have shape \(2, 3\), not \(1, 3\)",
    ),
    "kernels of another cell": Mistake(
        lambda: LSTM.apply(layers.gru(3).init(KEY, (1, 5, 8)), SEQUENCE),
        ValueError,
        r"^lstm: recurrent_kernel must have shape \(hidden, 4 \* hidden\), not \(3, 9\)",
    ),
    "two directions of a dense layer": Mistake(
        lambda: layers.bidirectional(layers.dense(3)), TypeError, r"^bidirectional: a recurrent layer is needed"
    ),
    "heads that do not divide": Mistake(
        lambda: layers.multi_head_attention(3).init(KEY, (1, 5, 8)), ValueError, r"^attention: 8 features .* 3 heads"
    ),
    "groups of heads that do not divide": Mistake(
        lambda: layers.multi_head_attention(4, key_value_heads=3), ValueError, r"^attention: 4 heads cannot share 3"
    ),
    "attention without a batch": Mistake(
        applied(CAUSAL, (1, 5, 8), np.ones((5, 8))),
        ValueError,
        r"^attention: .*\(batch, time, features\), not \(5, 8\)",
    ),
    "an attention mask of numbers": Mistake(
        applied(CAUSAL, (1, 5, 8), SEQUENCE, mask=np.ones((2, 5))), ValueError, r"^attention: a mask must be booleans"
    ),
    "pieces without causality": Mistake(
        lambda: layers.multi_head_attention(2).init_cache((1, 5, 8)),  # type: ignore[misc]
        ValueError,
        r"^attention: only causal attention .*causal=True",
    ),
    "no memory": Mistake(
        applied(layers.cross_attention(2), (1, 5, 8), SEQUENCE), ValueError, r"^cross_attention: pass memory="
    ),
    "memory of another batch": Mistake(
        applied(layers.cross_attention(2), (1, 5, 8), SEQUENCE, memory=np.ones((3, 4, 8))),
        ValueError,
        r"^cross_attention: memory must have shape \(2, source, features\), not \(3, 4, 8\)",
    ),
    "more positions than there are": Mistake(
        applied(layers.learned_positions(4), (1, 4, 8), SEQUENCE), ValueError, r"^learned_positions: .*time 4 at most"
    ),
    "odd features for sines": Mistake(
        lambda: layers.sinusoidal_positions().apply({}, np.ones((1, 2, 3))),
        ValueError,
        r"features must be even .*not 3",
    ),
    "unknown norm": Mistake(
        lambda: layers.transformer_block(2, 8, norm="mid"), ValueError, r"'pre' or 'post', not 'mid'"
    ),
    "integers as parameters": Mistake(
        lambda: layers.dense(3, dtype=int), TypeError, r"^dense: parameters are floating"
    ),
    "no features": Mistake(lambda: layers.dense(0), ValueError, r"^dense: features must be positive, not 0"),
    "half a feature": Mistake(lambda: layers.dense(2.5), TypeError, r"^dense: features must be an integer"),  # type: ignore[arg-type]
    "summary of parameters": Mistake(lambda: layers.summary({}, (1, 8)), TypeError, r"^summary takes a layer"),  # type: ignore[arg-type]
    "counting a layer": Mistake(lambda: layers.count_parameters(NET), TypeError, r"summary\(layer, input_shape\)"),
    "a shape that cannot be reshaped": Mistake(
        lambda: layers.reshape(3, -1).apply({}, X), ValueError, r"^reshape: .* as \(3, -1\), not \(4, 8\)"
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    call, error, message = MISTAKES[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert "test_misuse.py" in str(caught.value)
