"""Which layers bring numbers to mean 0 and variance 1?  Over the batch, over features, or over groups of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import numpy as np
from funcgrad.api import stop_gradient
from funcgrad.errors import at_line
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
    parameter,
    positive,
    shape_of,
    simple,
    wide,
    wrong_shape,
)
from funcgrad.nn.layers._functions import probability
from funcgrad.ops.arithmetic import rsqrt


def not_negative(epsilon: float, name: str) -> None:
    """What is added to a variance."""
    if not epsilon >= 0:
        raise ValueError(f"{name}: epsilon must be at least 0, not {epsilon}{at_line()}")


def _moments(x: Any, axes: Sequence[int]) -> tuple[Any, Any]:
    """x less its mean over axes, the mean, and the mean square of what is left."""
    mean = np.mean(x, axis=tuple(axes), keepdims=True)
    distance = x - mean
    return mean, np.mean(distance * distance, axis=tuple(axes), keepdims=True)


def _affine(params: Any, y: Any) -> Any:
    """`y` times the scale plus the bias, where there are any."""
    y = y * params["scale"] if "scale" in params else y
    return y + params["bias"] if "bias" in params else y


def _params(shape: Shape, scale: bool, bias: bool, dtype: Any) -> Params:
    """Scales of 1 and biases of 0."""
    params = {"scale": np.ones(shape, dtype)} if scale else {}
    return params | {"bias": np.zeros(shape, dtype)} if bias else params


def _check(params: Any, shape: Sequence[int], expected: str, x: Any) -> None:
    """That the parameters are for this many features."""
    for name in ("scale", "bias"):
        if name in params and shape_of(params[name]) != tuple(shape):
            have = shape_of(params[name])
            raise wrong_shape(expected.format(*have), shape_of(x), f"{name} has shape {have}")


def _present(params: Any, scale: bool, bias: bool) -> None:
    for name, wanted in (("scale", scale), ("bias", bias)):
        if wanted:
            parameter(params, name)


def batch_norm(
    *,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    dtype: Any = FLOAT,
    name: str = "batch_norm",
) -> Layer:
    """Each channel less its mean over batch and space, over its standard deviation (Ioffe and Szegedy 2015).

    With ``train=True`` mean and variance are those of the batch, and the new state has
    ``momentum * old + (1 - momentum) * batch`` of both (the variance with n − 1 in the denominator, as in the paper);
    otherwise they are those of the state.

    Parameters
    ----------
    momentum
        How much of the running statistics stays at each step (PyTorch's `momentum` is 1 minus this).
    epsilon
        Added to the variance.
    scale, bias
        Whether the result is multiplied by ``scale``, and ``bias`` added.
    dtype
        Of the parameters; running statistics are float32 at least.

    Returns
    -------
    Layer
        Input and output ``(batch, ..., channels)``. Parameters: ``scale`` and ``bias`` of shape (channels,); state:
        ``mean`` and ``variance``, likewise.

    Raises
    ------
    ValueError
        ``train=False`` without state; one example to take the statistics of.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> norm = layers.batch_norm(momentum=0.5)
    >>> state = norm.init_state((1, 1))
    >>> y, state = norm.apply(norm.init(None, (1, 1)), np.array([[1.0], [3.0]]), train=True, state=state)
    >>> state
    {'mean': Array([1.], dtype=float32), 'variance': Array([1.5], dtype=float32)}
    """
    probability(momentum, name, "momentum")
    not_negative(epsilon, name)
    dtype = float_dtype(dtype, name)

    def init_state(shape: Shape) -> State:
        channels = _features(shape)
        return {"mean": np.zeros(channels, wide(dtype)), "variance": np.ones(channels, wide(dtype))}

    def forward(params: Any, x: Any, key: Any, train: bool, state: Any) -> tuple[Any, State]:
        x = array(x)
        _present(params, scale, bias)
        channels = _features(shape_of(x))
        _check(params, channels, "(batch, ..., {})", x)
        given = common_dtype(x, *params.values())
        high = cast(x, wide(given))
        if train:
            mean, variance = _of_batch(high)
            new = _running(state, mean, variance, math.prod(shape_of(x)[:-1]), momentum) if state is not None else {}
        else:
            mean, variance = _of_state(state, x)
            new = state
        y = (high - cast(mean, wide(given))) * cast(rsqrt(variance + epsilon), wide(given))
        return cast(_affine(params, y), given), new

    return layer(
        name,
        forward,
        init=lambda key, shape: _params(_features(shape), scale, bias, dtype),
        init_state=init_state,
        output_shape=lambda shape: shape,
    )


def _features(shape: Shape) -> Shape:
    if not shape:
        raise wrong_shape("(batch, ..., channels)", shape)
    return shape[-1:]


def _of_batch(x: Any) -> tuple[Any, Any]:
    shape = shape_of(x)
    if math.prod(shape[:-1]) < 2:
        raise ValueError(
            f"{here()}: x of shape {shape} has fewer than two numbers per channel: there is no variance to train with; "
            f"use a larger batch, or train=False{at_line()}"
        )
    mean, variance = _moments(x, range(len(shape) - 1))
    return np.reshape(mean, shape[-1:]), np.reshape(variance, shape[-1:])


def _running(state: Any, mean: Any, variance: Any, count: int, momentum: float) -> State:
    """The statistics after a batch of `count` numbers per channel."""
    batch = {"mean": mean, "variance": variance * (count / (count - 1))}
    found = {}
    for name, value in batch.items():
        old = kept(state, name)
        found[name] = cast(momentum * old + (1 - momentum) * stop_gradient(value), common_dtype(old))
    return found


def _of_state(state: Any, x: Any) -> tuple[Any, Any]:
    if state is None:
        raise ValueError(
            f"{here()}: batch norm without training needs its running statistics: pass state= to apply "
            f"(init_state makes it; with train=True, apply returns the next one), or train=True{at_line()}"
        )
    mean, variance = kept(state, "mean"), kept(state, "variance")
    if shape_of(mean) != shape_of(x)[-1:]:
        raise wrong_shape(f"(batch, ..., {shape_of(mean)[0]})", shape_of(x), "as many channels as the state has")
    return mean, variance


def layer_norm(
    *,
    axes: int = 1,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    dtype: Any = FLOAT,
    name: str = "layer_norm",
) -> Layer:
    """Each example less the mean of its features, over their standard deviation (Ba, Kiros and Hinton 2016).

    Parameters
    ----------
    axes
        How many axes at the end are features.
    epsilon, scale, bias, dtype
        As in `batch_norm`.

    Returns
    -------
    Layer
        Input and output ``(..., *features)``. Parameters: ``scale`` and ``bias`` of the features' shape.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.layer_norm(scale=False, bias=False, epsilon=0.0).apply({}, np.array([1.0, 3.0]))
    Array([-1.,  1.])
    """
    not_negative(epsilon, name)
    count, dtype = positive(axes, name, "axes"), float_dtype(dtype, name)

    def features(shape: Shape) -> Shape:
        if len(shape) < count:
            raise wrong_shape(f"with {count} axes of features", shape)
        return shape[-count:]

    def apply(params: Any, x: Any) -> Any:
        x = array(x)
        _present(params, scale, bias)
        own = features(shape_of(x))
        _check(params, own, "(..., " + ", ".join(["{}"] * count) + ")", x)
        given = common_dtype(x, *params.values())
        high = cast(x, wide(given))
        mean, variance = _moments(high, range(-count, 0))
        return cast(_affine(params, (high - mean) * rsqrt(variance + epsilon)), given)

    return simple(
        name,
        apply,
        init=lambda key, shape: _params(features(shape), scale, bias, dtype),
        output_shape=lambda shape: shape,
    )


def rms_norm(*, epsilon: float = 1e-6, scale: bool = True, dtype: Any = FLOAT, name: str = "rms_norm") -> Layer:
    """Each example over the root of the mean square of its features (Zhang and Sennrich 2019).

    Parameters
    ----------
    epsilon
        Added to the mean square.
    scale, dtype
        As in `batch_norm`.

    Returns
    -------
    Layer
        Input and output ``(..., features)``. Parameters: ``scale`` of shape (features,).

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.rms_norm(scale=False, epsilon=0.0).apply({}, np.array([1.0, -7.0]))
    Array([ 0.2, -1.4])
    """
    not_negative(epsilon, name)
    dtype = float_dtype(dtype, name)

    def apply(params: Any, x: Any) -> Any:
        x = array(x)
        _present(params, scale, False)
        own = _features(shape_of(x))
        _check(params, own, "(..., {})", x)
        given = common_dtype(x, *params.values())
        high = cast(x, wide(given))
        square = np.mean(high * high, axis=-1, keepdims=True)
        return cast(_affine(params, high * rsqrt(square + epsilon)), given)

    return simple(
        name,
        apply,
        init=lambda key, shape: _params(_features(shape), scale, False, dtype),
        output_shape=lambda shape: shape,
    )


def group_norm(
    groups: int,
    *,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    dtype: Any = FLOAT,
    name: str = "group_norm",
) -> Layer:
    """Each group of an example's channels less its mean over space, over its standard deviation (Wu and He 2018).

    Parameters
    ----------
    groups
        How many; it divides the channels.
    epsilon, scale, bias, dtype
        As in `batch_norm`.

    Returns
    -------
    Layer
        Input and output ``(batch, *space, channels)``. Parameters: ``scale`` and ``bias`` of shape (channels,).

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> norm = layers.group_norm(2, epsilon=0.0, scale=False, bias=False)
    >>> norm.apply({}, np.array([[1.0, 3.0, 10.0, 30.0]]))
    Array([[-1.,  1., -1.,  1.]])
    """
    positive(groups, name, "groups")
    return _groups(name, lambda channels: groups, epsilon, scale, bias, dtype)


def instance_norm(
    *,
    epsilon: float = 1e-5,
    scale: bool = True,
    bias: bool = True,
    dtype: Any = FLOAT,
    name: str = "instance_norm",
) -> Layer:
    """Each channel of each example less its mean over space, over its standard deviation (Ulyanov et al. 2016).

    Parameters and result are those of `group_norm` with a group for each channel.

    Returns
    -------
    Layer
        What makes its parameters, and what applies them.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad.nn import layers
    >>> layers.instance_norm(epsilon=0.0, scale=False, bias=False).apply({}, np.array([[[1.0], [3.0]]]))
    Array([[[-1.],
            [ 1.]]])
    """
    return _groups(name, lambda channels: channels, epsilon, scale, bias, dtype)


def _groups(name: str, count: Callable[[int], int], epsilon: float, scale: bool, bias: bool, dtype: Any) -> Layer:
    not_negative(epsilon, name)
    dtype = float_dtype(dtype, name)

    def parts(shape: Shape) -> int:
        channels = shape[-1] if len(shape) > 1 else 0
        groups = count(channels)
        if not channels or channels % groups:
            raise wrong_shape("(batch, *space, channels)", shape, f"channels must be a multiple of {groups} groups")
        return groups

    def apply(params: Any, x: Any) -> Any:
        x = array(x)
        shape = shape_of(x)
        groups = parts(shape)
        _present(params, scale, bias)
        _check(params, shape[-1:], "(batch, *space, {})", x)
        given = common_dtype(x, *params.values())
        high = np.reshape(cast(x, wide(given)), (*shape[:-1], groups, shape[-1] // groups))
        mean, variance = _moments(high, (*range(1, len(shape) - 1), len(shape)))
        y = (high - mean) * rsqrt(variance + epsilon)
        return cast(_affine(params, np.reshape(y, shape)), given)

    def init(key: Any, shape: Shape) -> Params:
        parts(shape)
        return _params(shape[-1:], scale, bias, dtype)

    return simple(name, apply, init=init, output_shape=lambda shape: shape)
