"""Which layers carry something along a sequence?  Simple recurrent networks, GRU and LSTM, each a `lax.scan`.

The products of the whole sequence with the input kernel are one matrix product before the loop; inside, one product of
the hidden state gives all gates of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from funcgrad import nn
from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.lax._control import scan
from funcgrad.nn import initializers
from funcgrad.nn.layers._combinators import Children, beside, serial
from funcgrad.nn.layers._core import (
    FLOAT,
    Layer,
    Params,
    Shape,
    State,
    array,
    cast,
    common_dtype,
    drawn,
    float_dtype,
    here,
    kept,
    layer,
    parameter,
    positive,
    shape_of,
    wide,
    wrong_shape,
)
from funcgrad.nn.layers._dense import Initializer, affine, matrix, split
from funcgrad.nn.layers._functions import dropout as dropout_layer
from funcgrad.nn.layers._functions import probability
from funcgrad.trace.frame import type_of

GLOROT_UNIFORM, ORTHOGONAL = initializers.glorot_uniform(), initializers.orthogonal()


class Cell(NamedTuple):
    """One step of a recurrent layer: how many numbers it makes per hidden unit, what it carries, what it computes, and
    which biases it has besides.
    """

    gates: int
    carry: tuple[str, ...]
    step: Callable[[Params, dict[str, Any], Any], dict[str, Any]]
    biases: tuple[str, ...] = ()


def _simple_step(params: Params, carry: dict[str, Any], x: Any, activation: Callable[[Any], Any]) -> dict[str, Any]:
    """h' = activation(x + h U)."""
    return {"hidden": activation(x + np.dot(carry["hidden"], params["recurrent_kernel"]))}


def _gru_step(params: Params, carry: dict[str, Any], x: Any) -> dict[str, Any]:
    """r, z = σ(x + h U); n = tanh(x + r (h U + b)); h' = (1 − z) n + z h."""
    h = carry["hidden"]
    size = shape_of(h)[-1]
    inner = np.dot(h, params["recurrent_kernel"])
    r, z = np.split(nn.sigmoid(x[..., : 2 * size] + inner[..., : 2 * size]), 2, axis=-1)
    last = inner[..., 2 * size :]
    if "recurrent_bias" in params:
        last = last + params["recurrent_bias"]
    n = np.tanh(x[..., 2 * size :] + r * last)
    return {"hidden": n + z * (h - n)}


def _lstm_step(params: Params, carry: dict[str, Any], x: Any) -> dict[str, Any]:
    """i, f, g, o = x + h U; c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c')."""
    i, f, g, o = np.split(x + np.dot(carry["hidden"], params["recurrent_kernel"]), 4, axis=-1)
    cell = nn.sigmoid(f) * carry["cell"] + nn.sigmoid(i) * np.tanh(g)
    return {"hidden": nn.sigmoid(o) * np.tanh(cell), "cell": cell}


def simple_rnn(
    hidden: int,
    *,
    activation: Callable[[Any], Any] = np.tanh,
    return_sequences: bool = True,
    bias: bool = True,
    kernel_init: Initializer = GLOROT_UNIFORM,
    recurrent_init: Initializer = ORTHOGONAL,
    dtype: Any = FLOAT,
    name: str = "simple_rnn",
) -> Layer:
    """h' = activation(x @ kernel + bias + h @ recurrent_kernel) along a sequence (Elman 1990).

    Parameters
    ----------
    hidden
        The size of the hidden state.
    activation
        A function of arrays.
    return_sequences
        Whether to return the hidden state after each step, or after the last one only.
    bias, dtype
        As in `dense`.
    kernel_init, recurrent_init
        By default Glorot's for inputs, orthogonal matrices for the hidden state (Saxe et al. 2013).

    Returns
    -------
    Layer
        Input ``(..., time, features)``, output ``(..., time, hidden)``, or ``(..., hidden)``. Parameters: ``kernel`` of
        shape (features, hidden), ``recurrent_kernel`` (hidden, hidden), ``bias`` (hidden,). Further inputs of `apply`:

        * `mask`, booleans ``(..., time)``: which steps there are. At others the hidden state stays, the output is 0.
        * `reverse`: from the last step to the first.

        State: ``{"hidden": (..., hidden)}`` from `init_cache` (zeros), or the last one of another sequence, is what the
        layer starts from, and the new state what it ends with. With ``state={}`` (from `init_state`), or without,
        it starts from zeros.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> rnn = layers.simple_rnn(3)
    >>> params = rnn.init(fg.random.key(0), (1, 5, 2))
    >>> rnn.apply(params, fg.numpy.ones((4, 5, 2))).shape
    (4, 5, 3)
    """
    cell = Cell(1, ("hidden",), lambda params, carry, x: _simple_step(params, carry, x, activation))

    def init(key: Any, features: int) -> Params:
        return _fused(key, 1, features, hidden, bias, kernel_init, recurrent_init, dtype)

    return _recurrent(name, cell, hidden, return_sequences, bias, init, dtype)


def gru(
    hidden: int,
    *,
    return_sequences: bool = True,
    bias: bool = True,
    kernel_init: Initializer = GLOROT_UNIFORM,
    recurrent_init: Initializer = ORTHOGONAL,
    dtype: Any = FLOAT,
    name: str = "gru",
) -> Layer:
    """Gated recurrent units along a sequence (Cho et al. 2014; the reset gate acts after the product, as in cuDNN).

    With r, z = σ(x W + b + h U) and n = tanh(x W + b + r (h U + c)), h' = (1 − z) n + z h.

    Parameters
    ----------
    hidden, return_sequences, bias, kernel_init, recurrent_init, dtype
        As in `simple_rnn`.

    Returns
    -------
    Layer
        As `simple_rnn`. Parameters: ``kernel`` of shape (features, 3 hidden), ``recurrent_kernel`` (hidden, 3 hidden),
        ``bias`` (3 hidden,), for r, z and n in this order, and ``recurrent_bias`` (hidden,), which is c.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layer = layers.gru(3, return_sequences=False)
    >>> params = layer.init(fg.random.key(0), (1, 5, 2))
    >>> layer.apply(params, fg.numpy.ones((4, 5, 2))).shape
    (4, 3)
    """

    def init(key: Any, features: int) -> Params:
        params = _fused(key, 3, features, hidden, bias, kernel_init, recurrent_init, dtype)
        return params | {"recurrent_bias": np.zeros(hidden, dtype)} if bias else params

    return _recurrent(
        name, Cell(3, ("hidden",), _gru_step, ("recurrent_bias",)), hidden, return_sequences, bias, init, dtype
    )


def lstm(
    hidden: int,
    *,
    return_sequences: bool = True,
    bias: bool = True,
    forget_bias: float = 1.0,
    kernel_init: Initializer = GLOROT_UNIFORM,
    recurrent_init: Initializer = ORTHOGONAL,
    dtype: Any = FLOAT,
    name: str = "lstm",
) -> Layer:
    """Long short-term memory along a sequence (Hochreiter and Schmidhuber 1997; forget gates by Gers et al. 2000).

    With i, f, g, o = x W + b + h U: c' = σ(f) c + σ(i) tanh(g), and h' = σ(o) tanh(c').

    Parameters
    ----------
    forget_bias
        What the bias of the forget gate begins with (1: Jozefowicz et al. 2015).
    hidden, return_sequences, bias, kernel_init, recurrent_init, dtype
        As in `simple_rnn`.

    Returns
    -------
    Layer
        As `simple_rnn`. Parameters: ``kernel`` of shape (features, 4 hidden), ``recurrent_kernel`` (hidden, 4 hidden),
        ``bias`` (4 hidden,), for i, f, g and o in this order. State: ``hidden`` and ``cell``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layer = layers.lstm(3)
    >>> params = layer.init(fg.random.key(0), (1, 5, 2))
    >>> y, last = layer.apply(params, fg.numpy.ones((4, 5, 2)), state=layer.init_cache((4, 5, 2)))
    >>> y.shape, last["cell"].shape
    ((4, 5, 3), (4, 3))
    """

    def init(key: Any, features: int) -> Params:
        params = _fused(key, 4, features, hidden, bias, kernel_init, recurrent_init, dtype)
        if bias:
            zeros, ones = np.zeros(hidden, dtype), np.full(hidden, forget_bias, dtype)
            params["bias"] = np.concatenate([zeros, ones, zeros, zeros])
        return params

    return _recurrent(name, Cell(4, ("hidden", "cell"), _lstm_step), hidden, return_sequences, bias, init, dtype)


def _fused(
    key: Any,
    gates: int,
    features: int,
    hidden: int,
    bias: bool,
    kernel_init: Initializer,
    recurrent_init: Initializer,
    dtype: Any,
) -> Params:
    """The kernels of all gates side by side, each drawn by itself."""
    keys = split(key, 2 * gates)
    inputs = [drawn(kernel_init, k, (features, hidden), dtype) for k in keys[:gates]]
    high = wide(dtype)  # half precision cannot be brought to orthogonal matrices
    recurrent = [cast(drawn(recurrent_init, k, (hidden, hidden), high), dtype) for k in keys[gates:]]
    params = {"kernel": np.concatenate(inputs, axis=1), "recurrent_kernel": np.concatenate(recurrent, axis=1)}
    return params | {"bias": np.zeros(gates * hidden, dtype)} if bias else params


def _recurrent(
    name: str,
    cell: Cell,
    hidden: int,
    return_sequences: bool,
    bias: bool,
    init: Callable[[Any, int], Params],
    dtype: Any,
) -> Layer:
    positive(hidden, name, "hidden")
    dtype = float_dtype(dtype, name)

    def checked(shape: Shape) -> Shape:
        if len(shape) < 2 or not shape[-1]:
            raise wrong_shape("(..., time, features)", shape)
        return shape

    def forward(
        params: Any, x: Any, key: Any, train: bool, state: Any, mask: Any = None, reverse: bool = False
    ) -> tuple[Any, State]:
        x = array(x)
        checked(shape_of(x))
        last, ys = _along(cell, params, x, mask, state, reverse, bias)
        y = np.moveaxis(ys, 0, -2) if return_sequences else last["hidden"]
        if return_sequences and mask is not None:
            y = np.where(np.expand_dims(array(mask), -1), y, type_of(y).dtype.type(0))
        return y, last if state else {}

    def output_shape(shape: Shape) -> Shape:
        checked(shape)
        return (*shape[:-1], hidden) if return_sequences else (*shape[:-2], hidden)

    return layer(
        name,
        forward,
        init=lambda key, shape: init(key, checked(shape)[-1]),
        init_cache=lambda shape: {part: np.zeros((*checked(shape)[:-2], hidden), dtype) for part in cell.carry},
        accepts=("mask", "reverse"),
        output_shape=output_shape,
    )


def _along(
    cell: Cell, params: Any, x: Any, mask: Any, state: Any, reverse: bool, bias: bool
) -> tuple[dict[str, Any], Any]:
    """What is carried at the end, and the hidden states, time in front."""
    recurrent = parameter(params, "recurrent_kernel")
    hidden, columns = matrix(recurrent, "recurrent_kernel")
    if columns != cell.gates * hidden:
        raise ValueError(
            f"{here()}: recurrent_kernel must have shape (hidden, {cell.gates} * hidden), "
            f"not {(hidden, columns)}{at_line()}"
        )
    for name in cell.biases if bias else ():
        if shape_of(parameter(params, name)) != (hidden,):
            found = shape_of(params[name])
            raise ValueError(f"{here()}: {name} must have shape {(hidden,)}, not {found}{at_line()}")
    dtype = common_dtype(x, *params.values())
    batch = shape_of(x)[:-2]
    xs = cast(affine(params, np.moveaxis(x, -2, 0), bias), dtype)
    weights = {name: cast(value, dtype) for name, value in params.items()}
    carry = {part: _start(state, part, (*batch, hidden), dtype) for part in cell.carry}
    flags = None if mask is None else np.moveaxis(_mask(mask, shape_of(x)), -1, 0)

    def step(carry: dict[str, Any], inputs: tuple[Any, Any]) -> tuple[dict[str, Any], Any]:
        x, there = inputs
        new = {part: cast(value, dtype) for part, value in cell.step(weights, carry, x).items()}
        if there is not None:
            there = np.expand_dims(there, -1)
            new = {part: np.where(there, value, carry[part]) for part, value in new.items()}
        return new, new["hidden"]

    return scan(step, carry, (xs, flags), reverse=bool(reverse))


def _start(state: Any, part: str, shape: Shape, dtype: Any) -> Any:
    """What is carried into the first step."""
    if not state:
        return np.zeros(shape, dtype)
    value = kept(state, part)
    if shape_of(value) != shape:
        raise ValueError(f"{here()}: {part} in the state must have shape {shape}, not {shape_of(value)}{at_line()}")
    return cast(value, dtype)


def _mask(mask: Any, shape: Shape) -> Any:
    mask = array(mask)
    kind = type_of(mask)
    if kind.shape != shape[:-1] or kind.dtype.kind != "b":
        raise ValueError(
            f"{here()}: mask must be booleans of shape {shape[:-1]}, as x has shape {shape}, not {kind}{at_line()}"
        )
    return mask


def bidirectional(
    one: Layer, *, combine: str | Callable[..., Any] = "concatenate", name: str = "bidirectional"
) -> Layer:
    """A recurrent layer forwards and another one like it backwards, side by side (Schuster and Paliwal 1997).

    Parameters
    ----------
    one
        A recurrent layer, or a network with such layers. What it returns at a step in the backward direction has seen
        that step and all that follow; where only the last state is returned, it is that after the first step.
    combine
        As in `parallel`.

    Returns
    -------
    Layer
        Input and further inputs as the layer has them; output with twice as many features where they are concatenated.
        Parameters and state: ``forward`` and ``backward``.

    Raises
    ------
    TypeError
        The layer is not recurrent.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.bidirectional(layers.gru(8)).output_shape((1, 5, 3))
    (1, 5, 16)
    """
    if not isinstance(one, Layer) or "reverse" not in one.accepts:
        raise TypeError(f"{name}: a recurrent layer is needed, not {one!r}{at_line()}")
    turned = one._replace(apply=_Reversed(one.apply))
    return beside(name, Children(name, (one, turned), ("forward", "backward")), combine)


@dataclass(frozen=True)
class _Reversed:
    """The same `apply` in the other direction."""

    apply: Callable[..., Any]

    def __call__(self, *args: Any, reverse: bool = False, **kwargs: Any) -> Any:
        return self.apply(*args, reverse=not reverse, **kwargs)


def stacked(*layers: Layer, dropout: float = 0.0, name: str = "stacked") -> Layer:
    """Recurrent layers one on top of the other: `serial`, with dropout between them.

    Parameters
    ----------
    layers
        All but the last return sequences.
    dropout
        The rate of dropout of what each but the last returns.

    Returns
    -------
    Layer
        What makes its parameters, and what applies them.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> net = layers.stacked(layers.lstm(8), layers.lstm(4, return_sequences=False), dropout=0.1)
    >>> net.output_shape((1, 5, 3))
    (1, 4)
    """
    probability(dropout, name, "dropout")
    parts: list[Layer] = []
    for one in layers:
        if parts and dropout:
            parts.append(dropout_layer(dropout))
        parts.append(one)
    return serial(*parts, name=name)
