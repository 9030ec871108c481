"""Which layers slide a kernel over space?  Convolutions of ``(batch, *space, channels)``, in any dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import at_line
from funcgrad.lax._convolution import conv_transpose as opened_conv
from funcgrad.nn import conv as convolve
from funcgrad.nn import initializers
from funcgrad.nn.layers._core import (
    FLOAT,
    Layer,
    Params,
    Shape,
    array,
    cast,
    common_dtype,
    drawn,
    float_dtype,
    here,
    parameter,
    positive,
    shape_of,
    simple,
    traced_shape,
    wrong_shape,
)
from funcgrad.nn.layers._dense import LECUN_NORMAL, Initializer, biases, split
from funcgrad.trace.function import ShapeDtypeStruct

Extents = int | Sequence[int]
Padding = str | int | Sequence[tuple[int, int]]


def each(value: Any, rank: int, what: str) -> tuple[int, ...]:
    """One integer for each axis of space, from one for all or a sequence."""
    if isinstance(value, int):
        return (value,) * rank
    if not isinstance(value, Sequence):
        raise TypeError(f"{here()}: {what} must be an integer or one for each axis, not {value!r}{at_line()}")
    values = tuple(value)
    if len(values) != rank:
        raise ValueError(f"{here()}: {what} {values} must have {rank} numbers, one for each axis of space{at_line()}")
    return values


def paddings(padding: Padding, rank: int) -> Any:
    """A kind of padding, or pairs."""
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    return padding if isinstance(padding, str) else tuple(padding)


def space_rank(shape: Shape, window: Any = 1) -> int:
    """How many axes of space a shape has, which may have no batch axis where the window tells."""
    rank = len(shape) - 2 if isinstance(window, int) else len(tuple(window))
    if rank < 1 or len(shape) < rank + 1:
        axes = "*space" if isinstance(window, int) else ", ".join(f"space {k}" for k in range(rank))
        raise wrong_shape(f"(batch, {axes}, channels)", shape)
    return rank


def checked_extents(given: Extents, name: str, what: str) -> Extents:
    """One positive integer for all axes of space, or one for each."""
    if not isinstance(given, Sequence):
        return positive(given, name, what)
    return tuple(positive(n, name, what) for n in given)


def _channels(x: Any, kernel: Any, groups: int) -> None:
    """That input and kernel fit."""
    shape, window = shape_of(x), shape_of(kernel)
    rank = len(window) - 2
    if rank < 1 or len(shape) < rank + 1 or shape[-1] != window[-2] * groups:
        axes = ", ".join(["batch", *("*" * max(rank, 1)), str(window[-2] * groups if len(window) > 1 else "?")])
        raise wrong_shape(f"({axes})", shape, f"the kernel has shape {window}" + f" and {groups} groups" * (groups > 1))


def _same_dtype(x: Any, kernel: Any) -> tuple[Any, Any]:
    dtype = common_dtype(x, kernel)
    return cast(x, dtype), cast(kernel, dtype)


def _layer(
    name: str,
    run: Callable[[Any, Any], Any],
    kernel_shape: Callable[[Shape], Shape],
    bias: bool,
    kernel_init: Initializer,
    bias_init: Initializer,
    dtype: Any,
) -> Layer:
    """A layer that runs a kernel and adds a bias."""
    dtype = float_dtype(dtype, name)

    def init(key: Any, shape: Shape) -> Params:
        first, second = split(key, 2)
        window = kernel_shape(shape)
        params = {"kernel": drawn(kernel_init, first, window, dtype)}
        return params | {"bias": drawn(bias_init, second, window[-1:], dtype)} if bias else params

    def apply(params: Any, x: Any) -> Any:
        kernel = parameter(params, "kernel")
        y = run(array(x), kernel)
        return y + biases(params, shape_of(kernel)[-1]) if bias else y

    def output_shape(shape: Shape) -> Shape:
        found: Shape = traced_shape(
            lambda kernel, x: run(x, kernel), shape, ShapeDtypeStruct(kernel_shape(shape), dtype)
        )
        return found

    return simple(name, apply, init=init, output_shape=output_shape)


def conv(
    features: int,
    window: Extents,
    *,
    strides: Extents = 1,
    padding: Padding = "SAME",
    dilation: Extents = 1,
    groups: int = 1,
    bias: bool = True,
    kernel_init: Initializer = LECUN_NORMAL,
    bias_init: Initializer = initializers.zeros,
    dtype: Any = FLOAT,
    name: str = "conv",
) -> Layer:
    """A convolution over one, two or more axes of space, plus a bias; the kernel is not reversed.

    Parameters
    ----------
    features
        How many channels it gives.
    window
        The kernel's extents along space; one integer for all axes: ``conv(8, 3)`` is 3 × 3 on images, 3 on sequences.
    strides, dilation
        Steps of the window, and distances between its elements.
    padding
        ``"SAME"`` (as many places as the stride leaves), ``"SAME_LOWER"``, ``"VALID"``, ``"CIRCULAR"``, a number of
        zeros on each side, or pairs of such.
    groups
        Channels are convolved in so many groups, each with its part of the features.
    bias, kernel_init, bias_init, dtype
        As in `dense`.

    Returns
    -------
    Layer
        Input ``(batch, *space, channels)``, output ``(batch, *space, features)``. Parameters: ``kernel`` of shape
        (*window, channels / groups, features), ``bias`` of shape (features,).

    Raises
    ------
    ValueError
        The features cannot be divided into the groups.

    Examples
    --------
    >>> import funcgrad as fg
    >>> from funcgrad.nn import layers
    >>> layers.conv(8, 3, strides=2).output_shape((1, 28, 28, 1))
    (1, 14, 14, 8)
    """
    outputs, parts, window = (
        positive(features, name, "features"),
        positive(groups, name, "groups"),
        checked_extents(window, name, "window"),
    )
    if outputs % parts:
        raise ValueError(f"{name}: {features} features cannot be made in {groups} groups of equal size{at_line()}")

    def kernel_shape(shape: Shape) -> Shape:
        rank = space_rank(shape, window)
        if shape[-1] % parts:
            raise wrong_shape("(batch, *space, channels)", shape, f"channels must be a multiple of {parts} groups")
        return (*each(window, rank, "window"), shape[-1] // parts, outputs)

    def run(x: Any, kernel: Any) -> Any:
        _channels(x, kernel, parts)
        rank = len(shape_of(kernel)) - 2
        x, kernel = _same_dtype(x, kernel)
        steps, holes = each(strides, rank, "strides"), each(dilation, rank, "dilation")
        return convolve(x, kernel, steps, paddings(padding, rank), 1, holes, parts)

    return _layer(name, run, kernel_shape, bias, kernel_init, bias_init, dtype)


def depthwise_conv(
    window: Extents,
    multiplier: int = 1,
    *,
    strides: Extents = 1,
    padding: Padding = "SAME",
    dilation: Extents = 1,
    bias: bool = True,
    kernel_init: Initializer = LECUN_NORMAL,
    bias_init: Initializer = initializers.zeros,
    dtype: Any = FLOAT,
    name: str = "depthwise_conv",
) -> Layer:
    """A convolution of each channel by itself, into `multiplier` channels of its own.

    Parameters
    ----------
    multiplier
        How many channels are made of each.
    window, strides, padding, dilation, bias, kernel_init, bias_init, dtype
        As in `conv`.

    Returns
    -------
    Layer
        Input ``(batch, *space, channels)``, output ``(batch, *space, channels * multiplier)``, those of one channel
        side by side. Parameters: ``kernel`` of shape (*window, 1, channels * multiplier), ``bias``.

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.depthwise_conv(3, 2).output_shape((1, 8, 8, 5))
    (1, 8, 8, 10)
    """
    times, window = positive(multiplier, name, "multiplier"), checked_extents(window, name, "window")

    def kernel_shape(shape: Shape) -> Shape:
        return (*each(window, space_rank(shape, window), "window"), 1, shape[-1] * times)

    def run(x: Any, kernel: Any) -> Any:
        groups = shape_of(kernel)[-1] // times
        _channels(x, kernel, groups)
        rank = len(shape_of(kernel)) - 2
        x, kernel = _same_dtype(x, kernel)
        steps, holes = each(strides, rank, "strides"), each(dilation, rank, "dilation")
        return convolve(x, kernel, steps, paddings(padding, rank), 1, holes, groups)

    return _layer(name, run, kernel_shape, bias, kernel_init, bias_init, dtype)


def conv_transpose(
    features: int,
    window: Extents,
    *,
    strides: Extents = 1,
    padding: Padding = "SAME",
    dilation: Extents = 1,
    bias: bool = True,
    kernel_init: Initializer = LECUN_NORMAL,
    bias_init: Initializer = initializers.zeros,
    dtype: Any = FLOAT,
    name: str = "conv_transpose",
) -> Layer:
    """The convolution that makes space larger: x opened by the strides, under the window (`opened_conv`).

    Parameters
    ----------
    strides
        The factor by which space grows.
    padding
        ``"SAME"``: space becomes ``n * stride``; ``"VALID"``: as far as the window reaches; numbers: of zeros around x
        opened by the strides.
    features, window, dilation, bias, kernel_init, bias_init, dtype
        As in `conv`.

    Returns
    -------
    Layer
        Input ``(batch, *space, channels)``, output ``(batch, *space, features)``. Parameters: ``kernel`` of shape
        (*window, channels, features), ``bias`` of shape (features,).

    Examples
    --------
    >>> from funcgrad.nn import layers
    >>> layers.conv_transpose(4, 3, strides=2).output_shape((1, 7, 7, 8))
    (1, 14, 14, 4)
    """
    outputs, window = positive(features, name, "features"), checked_extents(window, name, "window")

    def kernel_shape(shape: Shape) -> Shape:
        return (*each(window, space_rank(shape, window), "window"), shape[-1], outputs)

    def run(x: Any, kernel: Any) -> Any:
        _channels(x, kernel, 1)
        rank = len(shape_of(kernel)) - 2
        x, kernel = _same_dtype(x, kernel)
        space = tuple(range(1, rank + 1))
        numbers = ((0, rank + 1, *space), (rank + 1, rank, *range(rank)), (0, rank + 1, *space))
        steps, holes = each(strides, rank, "strides"), each(dilation, rank, "dilation")
        if len(shape_of(x)) != rank + 2:
            raise wrong_shape("(batch, *space, channels)", shape_of(x))
        return opened_conv(x, kernel, steps, paddings(padding, rank), holes, numbers)

    return _layer(name, run, kernel_shape, bias, kernel_init, bias_init, dtype)
