"""Which layers have no parameters?  Functions of one array: activations, changes of shape, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import nn, random
from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.nn.layers._core import (
    Layer,
    Shape,
    State,
    array,
    common_dtype,
    here,
    layer,
    shape_of,
    simple,
    wrong_shape,
)


def fn(function: Callable[[Any], Any], name: str | None = None) -> Layer:
    """A layer from any function of its input; `lambda_` is another name of it.

    Parameters
    ----------
    function
        Of one argument: an array, or whatever the layer before returns.
    name
        By default the function's.

    Returns
    -------
    Layer
        What makes its parameters, and what applies them.

    Raises
    ------
    TypeError
        It is no function.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.fn(lambda x: x * 2, "double").apply({}, np.array([1.0]))
    Array([2.])
    """
    if not callable(function) or isinstance(function, Layer):
        raise TypeError(f"fn: a function of the input is needed, not {function!r}{at_line()}")
    own = getattr(function, "__name__", "fn")
    return simple(name or ("fn" if own == "<lambda>" else own), lambda params, x: function(x))


lambda_ = fn


def activation(name: str) -> Layer:
    """The elementwise function `funcgrad.nn.<name>` as a layer."""
    function = getattr(nn, name)
    return simple(name, lambda params, x: function(x), output_shape=lambda shape: shape)


relu = activation("relu")
relu6 = activation("relu6")
leaky_relu = activation("leaky_relu")
elu = activation("elu")
selu = activation("selu")
celu = activation("celu")
gelu = activation("gelu")
silu = activation("silu")
swish = activation("swish")
mish = activation("mish")
squareplus = activation("squareplus")
softplus = activation("softplus")
sigmoid = activation("sigmoid")
log_sigmoid = activation("log_sigmoid")
hard_sigmoid = activation("hard_sigmoid")
hard_silu = activation("hard_silu")
hard_swish = activation("hard_swish")
hard_tanh = activation("hard_tanh")
tanh = activation("tanh")
soft_sign = activation("soft_sign")
softmax = activation("softmax")
log_softmax = activation("log_softmax")
identity = activation("identity")


def flatten(name: str = "flatten") -> Layer:
    """All axes but the first as one: ``(batch, ...)`` to ``(batch, features)``, as a dense layer takes it.

    Returns
    -------
    Layer
        What makes its parameters, and what applies them.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.flatten().apply({}, np.ones((5, 2, 3))).shape
    (5, 6)
    """

    def flat(shape: Shape) -> Shape:
        if not shape:
            raise wrong_shape("(batch, ...)", shape)
        return (shape[0], math.prod(shape[1:]))

    return simple(name, lambda params, x: np.reshape(array(x), flat(shape_of(array(x)))), output_shape=flat)


def reshape(*shape: int, name: str = "reshape") -> Layer:
    """``(batch, ...)`` to ``(batch, *shape)``; one extent may be −1.

    Returns
    -------
    Layer
        What makes its parameters, and what applies them.

    Raises
    ------
    ValueError
        More than one extent is −1, or one is no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.reshape(7, 7, -1).apply({}, np.ones((5, 98))).shape
    (5, 7, 7, 2)
    """
    if shape.count(-1) > 1 or any(not isinstance(n, int) or n < -1 for n in shape):
        raise ValueError(f"{name}: extents must be integers, one of them −1 at most, not {shape}{at_line()}")

    def reshaped(before: Shape) -> Shape:
        size, known = math.prod(before[1:]), math.prod(n for n in shape if n != -1)
        fits = bool(before) and (size == known if -1 not in shape else known > 0 and size % known == 0)
        if not fits:
            raise wrong_shape(f"(batch, ...) with as many elements per example as {shape}", before)
        return (before[0], *(size // known if n == -1 else n for n in shape))

    return simple(name, lambda params, x: np.reshape(array(x), reshaped(shape_of(array(x)))), output_shape=reshaped)


def dropout(rate: float, *, shared: int | Sequence[int] = (), name: str = "dropout") -> Layer:
    """In training, each number is 0 with probability `rate`, else divided by 1 − rate (Srivastava et al. 2014).

    Parameters
    ----------
    rate
        From 0 to 1.
    shared
        Axes along which numbers are dropped together: ``(1, 2)`` drops whole channels of images.

    Returns
    -------
    Layer
        ``apply(..., train=True)`` needs `key`; without `train` it is the identity. No parameters.

    Raises
    ------
    ValueError
        `train` without `key`.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> y = layers.dropout(0.5).apply({}, np.ones(1000), key=fg.random.key(0), train=True)
    >>> sorted(set(y.tolist()))
    [0.0, 2.0]
    """
    probability(rate, name, "rate")
    axes = (shared,) if isinstance(shared, int) else tuple(shared)

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any) -> tuple[Any, State]:
        return dropped(x, rate, key, train, axes), {}

    return layer(name, forward, output_shape=lambda shape: shape)


def probability(value: float, name: str, what: str) -> None:
    """A number from 0 to 1."""
    if isinstance(value, str) or not 0 <= value <= 1:
        raise ValueError(f"{name}: {what} must lie between 0 and 1, not {value!r}{at_line()}")


def dropped(x: Any, rate: float, key: Any, train: bool, shared: Sequence[int] = ()) -> Any:
    """`x` after dropout."""
    if not train or rate == 0:
        return x
    if key is None:
        raise ValueError(
            f"{here()}: dropout in training needs random numbers: pass key= to apply, another one at each step "
            f"(key, now = funcgrad.random.split(key)), or train=False{at_line()}"
        )
    x = array(x)
    dtype = common_dtype(x)
    if rate == 1:
        return np.zeros_like(x)
    shape = list(shape_of(x))
    for axis in shared:
        if not -len(shape) <= axis < len(shape):
            raise wrong_shape(f"with an axis {axis}", shape, "shared by dropout")
        shape[axis] = 1
    keep = random.bernoulli(key, 1 - rate, tuple(shape))
    return np.where(keep, x * dtype.type(1 / (1 - rate)), dtype.type(0))
