"""Which layers are matrices?  Dense layers, tables of embeddings, and the two dense layers of a transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import nn, random
from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.nn import initializers
from funcgrad.nn.layers._core import (
    FLOAT,
    Layer,
    Params,
    Shape,
    State,
    array,
    drawn,
    float_dtype,
    here,
    known_key,
    layer,
    parameter,
    positive,
    shape_of,
    simple,
    wrong_shape,
)
from funcgrad.nn.layers._functions import dropped
from funcgrad.scopes import named_scope
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

Initializer = Callable[..., Any]
LECUN_NORMAL = initializers.lecun_normal()


def affine(params: Any, x: Any, bias: bool = True) -> Any:
    """``x @ kernel + bias``; what `dense` computes."""
    kernel = parameter(params, "kernel")
    rows, columns = matrix(kernel, "kernel")
    shape = shape_of(x)
    if not shape or shape[-1] != rows:
        raise wrong_shape(f"(..., {rows})", shape, f"the kernel has shape {shape_of(kernel)}")
    y = np.dot(x, kernel)
    return y + biases(params, columns) if bias else y


def biases(params: Any, count: int) -> Any:
    """The bias, which must have as many numbers as there are features."""
    found = parameter(params, "bias")
    if shape_of(found) != (count,):
        raise ValueError(f"{here()}: bias must have shape {(count,)}, not {shape_of(found)}{at_line()}")
    return found


def part(params: Any, name: str, x: Any, bias: bool) -> Any:
    """`affine` with the parameters under a name, in the scope of that name."""
    own = parameter(params, name)
    with named_scope(name):
        return affine(own, x, bias)


def matrix(kernel: Any, name: str) -> tuple[int, int]:
    """The shape of a parameter that must be a matrix."""
    shape = shape_of(kernel)
    if len(shape) != 2:
        raise ValueError(f"{here()}: {name} must be a matrix, not of shape {shape}{at_line()}")
    return shape[0], shape[1]


def affine_params(
    key: Any,
    inputs: int,
    outputs: int,
    bias: bool,
    kernel_init: Initializer,
    bias_init: Initializer,
    dtype: Any,
) -> Params:
    """What `affine` takes."""
    first, second = split(key, 2)
    params = {"kernel": drawn(kernel_init, first, (inputs, outputs), dtype)}
    return params | {"bias": drawn(bias_init, second, (outputs,), dtype)} if bias else params


def split(key: Any, count: int) -> list[Any]:
    """Keys from a key that must be there."""
    keys = random.split(known_key(key), count)
    return [keys[number] for number in range(count)]


def dense(
    features: int,
    *,
    bias: bool = True,
    kernel_init: Initializer = LECUN_NORMAL,
    bias_init: Initializer = initializers.zeros,
    dtype: Any = FLOAT,
    name: str = "dense",
) -> Layer:
    """``x @ kernel + bias``.

    Parameters
    ----------
    features
        How many numbers it gives for each example.
    bias
        Whether there is one.
    kernel_init, bias_init
        ``init(key, shape, dtype)``, as `funcgrad.nn.initializers` has them; by default LeCun's (variance 1 / inputs)
        and zeros.
    dtype
        Of the parameters.

    Returns
    -------
    Layer
        Input ``(..., inputs)``, output ``(..., features)``. Parameters: ``kernel`` of shape (inputs, features),
        ``bias`` of shape (features,).

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> params = {"kernel": np.array([[1.0], [2.0]]), "bias": np.array([0.5])}
    >>> layers.dense(1).apply(params, np.array([[1.0, 1.0]]))
    Array([[3.5]])
    """
    outputs, dtype = positive(features, name, "features"), float_dtype(dtype, name)

    def init(key: Any, shape: Shape) -> Params:
        return affine_params(key, _width(shape), outputs, bias, kernel_init, bias_init, dtype)

    return simple(
        name,
        lambda params, x: affine(params, array(x), bias),
        init=init,
        output_shape=lambda shape: (*shape[:-1], outputs) if _width(shape) else shape,
    )


def _width(shape: Shape) -> int:
    """The number of features."""
    if not shape or not shape[-1]:
        raise wrong_shape("(..., features)", shape)
    return shape[-1]


def embedding(
    count: int,
    features: int,
    *,
    embedding_init: Initializer | None = None,
    dtype: Any = FLOAT,
    name: str = "embedding",
) -> Layer:
    """A row of a table for each integer.

    Parameters
    ----------
    count
        How many rows there are: integers go from 0 to count − 1; others are an `IndexError`, but negative ones count
        from the end.
    features
        The length of a row.
    embedding_init
        By default normal with variance 1 / features.
    dtype
        Of the table.

    Returns
    -------
    Layer
        Input: integers of any shape; output ``(*shape, features)``. Parameters: ``embedding`` of shape
        (count, features). ``np.dot(x, params["embedding"].T)`` are the scores of a tied output layer.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.embedding(3, 2).apply({"embedding": np.eye(3, 2)}, np.array([2, 0]))
    Array([[0., 0.],
           [1., 0.]])
    """
    rows, columns = positive(count, name, "count"), positive(features, name, "features")
    dtype = float_dtype(dtype, name)
    start = embedding_init or initializers.normal(columns**-0.5)

    def init(key: Any, shape: Shape) -> Params:
        return {"embedding": drawn(start, key, (rows, columns), dtype)}

    def look_up(params: Any, x: Any) -> Any:
        table = parameter(params, "embedding")
        matrix(table, "embedding")
        x = array(x)
        kind = type_of(x).dtype
        if kind.kind not in "iu":
            raise TypeError(
                f"{here()}: an embedding takes integers, not {kind}: convert x, or give dtype=int to summary{at_line()}"
            )
        _check_ids(x, shape_of(table)[0])
        return np.take(table, x, axis=0)

    return simple(name, look_up, init=init, output_shape=lambda shape: (*shape, columns))


def _check_ids(ids: Any, rows: int) -> None:
    """That known integers are numbers of rows; traced ones are checked by the compiled program."""
    if type(ids) is not Tracer and ids.size and not (-rows <= ids.min() and ids.max() < rows):
        wrong = ids.min() if ids.min() < -rows else ids.max()
        raise IndexError(f"{here()}: there is no row {wrong} in a table of {rows}{at_line()}")


def feed_forward(
    hidden: int,
    *,
    activation: Callable[[Any], Any] = nn.gelu,
    gated: bool = False,
    bias: bool = True,
    dropout: float = 0.0,
    kernel_init: Initializer = LECUN_NORMAL,
    dtype: Any = FLOAT,
    name: str = "feed_forward",
) -> Layer:
    """Two dense layers with an activation between them, that give as many features as they take (Vaswani et al. 2017).

    Parameters
    ----------
    hidden
        The features between them.
    activation
        A function of arrays.
    gated
        Whether the activation of a third layer multiplies the hidden features: with ``activation=nn.silu`` this is
        SwiGLU (Shazeer 2020).
    bias, kernel_init, dtype
        As in `dense`.
    dropout
        The rate of dropout of the hidden features.

    Returns
    -------
    Layer
        Input and output ``(..., features)``. Parameters: ``up`` (and ``gate``) with a kernel of shape (features,
        hidden), ``down`` with one of shape (hidden, features), each with its bias.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layers.count_parameters(layers.feed_forward(8).init(fg.random.key(0), (1, 2)))
    42
    """
    width, dtype = positive(hidden, name, "hidden"), float_dtype(dtype, name)
    ups = ("up", "gate") if gated else ("up",)

    def init(key: Any, shape: Shape) -> Params:
        features = _width(shape)
        *firsts, last = split(key, len(ups) + 1)
        made = (bias, kernel_init, initializers.zeros, dtype)
        params = {part: affine_params(own, features, width, *made) for part, own in zip(ups, firsts, strict=True)}
        return params | {"down": affine_params(last, width, features, *made)}

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any) -> tuple[Any, State]:
        x = array(x)
        y = part(params, "up", x, bias)
        y = activation(part(params, "gate", x, bias)) * y if gated else activation(y)
        return part(params, "down", dropped(y, dropout, key, train), bias), {}

    return layer(name, forward, init, output_shape=lambda shape: shape)
