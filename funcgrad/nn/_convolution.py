"""How do networks convolve and pool?  Functions of arrays with the features last, and any axes of examples in front.

Names, argument order and defaults are those of Flax (`flax.linen`), as JAX itself has none; `conv` is its layer
`Conv` without the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.errors import at_line
from funcgrad.lax._convolution import conv_general_dilated
from funcgrad.lax._layouts import finished, integers, operand, pad_pairs, padtype_to_pads, positive
from funcgrad.lax._windows import reduce_window
from funcgrad.ops.shape import reshape
from funcgrad.ops.windows import identity
from funcgrad.trace.frame import type_of

Ints = tuple[int, ...]


def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: Any = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
) -> Any:
    """The convolution of ``(*batch, *space, features)`` by a kernel ``(*window, features, outputs)``.

    Parameters
    ----------
    inputs, kernel
        Arrays of one dtype; the kernel is not reversed. Any number of batch axes, none included.
    strides, input_dilation, kernel_dilation
        One integer for each spatial axis, or one for all.
    padding
        ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, ``"CIRCULAR"`` (space is a torus), or pairs of numbers of zeros.
    feature_group_count
        In how many groups the features are convolved.

    Returns
    -------
    Array
        ``(*batch, *space, outputs)``, in the promoted dtype.

    Raises
    ------
    ValueError
        The inputs do not fit the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> conv(np.ones((2, 5, 5, 3)), np.ones((3, 3, 3, 8)), strides=2).shape
    (2, 3, 3, 8)
    """
    name = "conv"
    inputs, kernel = operand(inputs, name), operand(kernel, name)
    shape, window = type_of(inputs).shape, type_of(kernel).shape
    rank = len(window) - 2
    if rank < 0 or len(shape) < rank + 1:
        raise ValueError(f"{name}: inputs of shape {shape} do not fit a kernel of shape {window}{at_line()}")
    steps, left, right = (_each(v, rank, name) for v in (strides, input_dilation, kernel_dilation))
    batch = shape[: len(shape) - rank - 1]
    x = reshape(inputs, shape=(math.prod(batch), *shape[len(batch) :]))
    if isinstance(padding, str) and padding.upper() == "CIRCULAR":
        x, padding = _on_a_torus(x, window[:rank], steps, right), "VALID"
    order = (0, rank + 1, *range(1, rank + 1))
    numbers = (order, (rank + 1, rank, *range(rank)), order)
    out = conv_general_dilated(x, kernel, steps, padding, left, right, numbers, feature_group_count=feature_group_count)
    return _split(out, batch)


def _split(x: Any, batch: Ints) -> Any:
    shape = type_of(x).shape
    return x if len(batch) == 1 else finished(reshape(x, shape=(*batch, *shape[1:])))


def _each(value: Any, rank: int, name: str) -> Ints:
    values = (value,) * rank if isinstance(value, (int, np.integer)) else value
    return positive(integers(values, rank, name, "strides and dilations"), name, "strides and dilations")


def _on_a_torus(x: Any, window: Ints, strides: Ints, dilations: Ints) -> Any:
    """Space continued behind its end and before its beginning, as far as windows reach."""
    shape = type_of(x).shape
    spans = [(k - 1) * d + 1 for k, d in zip(window, dilations, strict=True)]
    for axis, (low, high) in enumerate(padtype_to_pads(shape[1:-1], spans, strides, "SAME"), 1):
        n = shape[axis]
        x = np.take(x, np.arange(-low, n + high) % n, axis)
    return x


def pool(
    inputs: Any,
    init: Any,
    reduce_fn: Callable[..., Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
) -> Any:
    """Windows over ``(*batch, *space, features)``, folded; see `lax.reduce_window`.

    Parameters
    ----------
    inputs
        An array with an axis of features and any number of batch axes besides the window's.
    init, reduce_fn
        What a fold starts from, and what it does with two numbers.
    window_shape
        Over space.
    strides
        Steps of the window; by default, as in Flax, 1 along each axis.
    padding
        ``"VALID"``, ``"SAME"``, ``"SAME_LOWER"``, or pairs for each spatial axis.

    Returns
    -------
    Array
        ``(*batch, *space, features)`` with one place for each window, in the dtype of the inputs (`avg_pool`: floats).

    Examples
    --------
    >>> import numpy as np
    >>> pool(np.arange(4.0).reshape(4, 1), 0.0, np.add, (2,), (2,))
    Array([[1.],
           [5.]])
    """
    inputs = operand(inputs, "pool")
    shape = type_of(inputs).shape
    window, steps, pads = _over_all_axes(shape, window_shape, strides, padding)
    return reduce_window(inputs, init, reduce_fn, window, steps, pads)


def _over_all_axes(shape: Ints, window_shape: Any, strides: Any, padding: Any) -> tuple[Ints, Ints, Any]:
    """Window, strides and padding with those of batch and features."""
    rank = len(tuple(window_shape))
    front = len(shape) - rank - 1
    if front < 0:
        raise ValueError(f"pool: a window {tuple(window_shape)} over inputs of shape {shape} with features{at_line()}")
    window = integers(window_shape, rank, "pool", "window_shape")
    steps = integers(strides, rank, "pool", "strides", 1)
    if not isinstance(padding, str):
        padding = (((0, 0),) * front) + pad_pairs(padding, rank, "pool") + ((0, 0),)
    return (1,) * front + window + (1,), (1,) * front + steps + (1,), padding


def max_pool(
    inputs: Any, window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> Any:
    """The maximum of each window; its derivative goes to the first element that attains it.

    Parameters are those of `pool`.

    Returns
    -------
    Array
        ``(*batch, *space, features)`` with one place for each window, in the dtype of the inputs (`avg_pool`: floats).

    Examples
    --------
    >>> import numpy as np
    >>> max_pool(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1), (2,), (2,))
    Array([[3.],
           [2.]])
    """
    inputs = operand(inputs, "max_pool")
    return pool(inputs, identity("max", type_of(inputs).dtype), np.maximum, window_shape, strides, padding)


def min_pool(
    inputs: Any, window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID"
) -> Any:
    """The minimum of each window; see `max_pool`.

    Returns
    -------
    Array
        ``(*batch, *space, features)`` with one place for each window, in the dtype of the inputs (`avg_pool`: floats).

    Examples
    --------
    >>> import numpy as np
    >>> min_pool(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1), (2,), (2,))
    Array([[1.],
           [0.]])
    """
    inputs = operand(inputs, "min_pool")
    return pool(inputs, identity("min", type_of(inputs).dtype), np.minimum, window_shape, strides, padding)


def avg_pool(
    inputs: Any,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window.

    Parameters
    ----------
    inputs, window_shape, strides, padding
        As in `pool`.
    count_include_pad
        Whether what padding adds counts, as zeros.

    Returns
    -------
    Array
        ``(*batch, *space, features)`` with one place for each window, in the dtype of the inputs (`avg_pool`: floats).

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool(np.array([1.0, 3.0, 2.0, 0.0]).reshape(4, 1), (2,), (2,))
    Array([[2.],
           [1.]])
    """
    inputs = operand(inputs, "avg_pool")
    kind = type_of(inputs)
    total = pool(inputs, kind.dtype.type(0), np.add, window_shape, strides, padding)
    counts: Any = math.prod(window_shape)
    if not count_include_pad:
        space = kind.shape[-len(window_shape) - 1 : -1]
        ones = np.broadcast_to(kind.dtype.type(1), (*(1,) * (kind.ndim - len(space) - 1), *space, 1))
        counts = np.asarray(pool(ones, kind.dtype.type(0), np.add, window_shape, strides, padding))
    return finished(total / counts)
