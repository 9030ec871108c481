"""Which layers summarise space?  Maxima and means of windows, or of everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad import nn
from funcgrad import numpy as np
from funcgrad.nn.layers._convolution import Extents, Padding, checked_extents, each, paddings, space_rank
from funcgrad.nn.layers._core import Layer, Shape, array, shape_of, simple, traced_shape, wrong_shape
from funcgrad.trace.frame import type_of


def max_pool(
    window: Extents, *, strides: Extents | None = None, padding: Padding = "VALID", name: str = "max_pool"
) -> Layer:
    """The maximum of each window; its derivative goes to the first element that attains it.

    Parameters
    ----------
    window
        Its extents along space; one integer for all axes.
    strides
        Its steps; by default its extents, so that windows tile space.
    padding
        As in `conv`; what is added never is a maximum.

    Returns
    -------
    Layer
        Input and output ``(batch, *space, channels)``. No parameters.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.max_pool(2).output_shape((1, 28, 28, 3))
    (1, 14, 14, 3)
    """
    return _pool(name, nn.max_pool, window, strides, padding)


def avg_pool(
    window: Extents,
    *,
    strides: Extents | None = None,
    padding: Padding = "VALID",
    count_padding: bool = True,
    name: str = "avg_pool",
) -> Layer:
    """The mean of each window.

    Parameters
    ----------
    window, strides, padding
        As in `max_pool`.
    count_padding
        Whether what padding adds counts, as zeros.

    Returns
    -------
    Layer
        Input and output ``(batch, *space, channels)``. No parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.avg_pool(2).apply({}, np.array([1.0, 3.0, 5.0, 5.0]).reshape(1, 4, 1))
    Array([[[2.],
            [5.]]])
    """

    def mean(x: Any, window: Any, strides: Any, padding: Any) -> Any:
        return nn.avg_pool(x, window, strides, padding, count_padding)

    return _pool(name, mean, window, strides, padding)


def _pool(name: str, pool: Callable[..., Any], window: Extents, strides: Extents | None, padding: Padding) -> Layer:
    window = checked_extents(window, name, "window")
    strides = None if strides is None else checked_extents(strides, name, "strides")

    def run(x: Any) -> Any:
        rank = space_rank(shape_of(x), window)
        extents = each(window, rank, "window")
        steps = extents if strides is None else each(strides, rank, "strides")
        shape = shape_of(x)[-rank - 1 : -1]
        if str(padding).upper() == "VALID" and any(k > n for k, n in zip(extents, shape, strict=True)):
            raise wrong_shape(f"(batch, *space, channels) with space of at least {extents}", shape_of(x))
        return pool(x, extents, steps, paddings(padding, rank))

    return simple(name, lambda params, x: run(array(x)), output_shape=lambda shape: traced_shape(run, shape))


def global_max_pool(*, name: str = "global_max_pool") -> Layer:
    """The maximum over space or time: all axes but the first and the last.

    Returns
    -------
    Layer
        Input ``(batch, *space, channels)``, output ``(batch, channels)``. Further input `mask`: which places count,
        ``(batch, *space)``. No parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.global_max_pool().apply({}, np.arange(12.0).reshape(2, 3, 2))
    Array([[ 4.,  5.],
           [10., 11.]])
    """

    def largest(x: Any, mask: Any) -> Any:
        if mask is not None:
            x = np.where(mask, x, type_of(x).dtype.type(-np.inf))
        return np.max(x, axis=_space(x))

    return _global(name, largest)


def global_avg_pool(*, name: str = "global_avg_pool") -> Layer:
    """The mean over space or time: all axes but the first and the last.

    Returns
    -------
    Layer
        Input ``(batch, *space, channels)``, output ``(batch, channels)``. Further input `mask`: which places count,
        ``(batch, *space)``; the mean of none is 0. No parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> x, mask = np.array([[[1.0], [3.0], [9.0]]]), np.array([[True, True, False]])
    >>> layers.global_avg_pool().apply({}, x, mask=mask)
    Array([[2.]])
    """

    def mean(x: Any, mask: Any) -> Any:
        if mask is None:
            return np.mean(x, axis=_space(x))
        dtype = type_of(x).dtype
        total = np.sum(np.where(mask, x, dtype.type(0)), axis=_space(x))
        return total / np.maximum(np.sum(mask, axis=_space(x)), 1).astype(dtype)

    return _global(name, mean)


def _space(x: Any) -> tuple[int, ...]:
    return tuple(range(1, len(shape_of(x)) - 1))


def _global(name: str, fold: Callable[[Any, Any], Any]) -> Layer:
    def check(shape: Shape) -> Shape:
        if len(shape) < 3:
            raise wrong_shape("(batch, *space, channels)", shape)
        return (shape[0], shape[-1])

    def run(params: Any, x: Any, mask: Any = None) -> Any:
        x = array(x)
        check(shape_of(x))
        if mask is None:
            return fold(x, None)
        mask = array(mask)
        if shape_of(mask) != shape_of(x)[:-1]:
            raise wrong_shape(f"{shape_of(mask)} and channels", shape_of(x), "as the mask has")
        return fold(x, np.expand_dims(mask, -1))

    return simple(name, run, accepts=("mask",), output_shape=check)
