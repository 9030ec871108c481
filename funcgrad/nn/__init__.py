"""Functions that neural networks are made of: activations, softmax, one-hot codes. Names and meaning are `jax.nn`'s."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as _np

from funcgrad import numpy as np
from funcgrad.nn._convolution import avg_pool as avg_pool
from funcgrad.nn._convolution import conv as conv
from funcgrad.nn._convolution import max_pool as max_pool
from funcgrad.nn._convolution import min_pool as min_pool
from funcgrad.nn._convolution import pool as pool
from funcgrad.numpy._common import wrap
from funcgrad.ops.comparison import stop_gradient as _stop_gradient
from funcgrad.ops.transcendental import erfc as _erfc
from funcgrad.ops.transcendental import logistic as _logistic
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

F = TypeVar("F", bound=Callable[..., Any])


def _floating(x: Any) -> Any:
    """`x` as a floating array: integers become float64, Python numbers too."""
    x = x if type(x) is Tracer else np.asarray(x)
    return x * 1.0 if type_of(x).dtype.kind in "biu" else x


def _owned(function: F) -> F:
    """The function with results that are `Array`s where its arguments are known."""

    @functools.wraps(function)
    def owned(*args: Any, **kwargs: Any) -> Any:
        with _np.errstate(all="ignore"):  # log(0) and the like are meant here
            return wrap(function(*args, **kwargs))

    return owned  # type: ignore[return-value]


@_owned
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN. The derivative at 0 is 0.

    >>> relu(_np.array([-1.0, 0.0, 2.0]))
    Array([0., 0., 2.])
    """
    x = x if type(x) is Tracer else np.asarray(x)
    return np.where(x <= 0, type_of(x).dtype.type(0), x)


@_owned
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); the derivative at 0 and 6 is 0."""
    x = relu(_floating(x))
    return np.where(x >= 6, type_of(x).dtype.type(6), x)


@_owned
def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x >= 0, else ``negative_slope * x``."""
    x = _floating(x)
    return np.where(x >= 0, x, negative_slope * x)


@_owned
def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015)."""
    x = _floating(x)
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, type_of(x).dtype.type(0), x)))


@_owned
def selu(x: Any) -> Any:
    """The self-normalising `elu` (Klambauer et al. 2017)."""
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


@_owned
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), accurate at both ends.

    >>> sigmoid(0.0)
    Array(0.5)
    """
    x = _floating(x)
    return _logistic(x if type(x) is Tracer else _np.asarray(x))


@_owned
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -softplus(-x)."""
    return -softplus(-_floating(x))


@_owned
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)), where -|x| = min(x, 0) - max(x, 0):
    finite for every finite x.
    """
    x = _floating(x)
    high = np.maximum(x, 0)
    return high + np.log1p(np.exp(np.minimum(x, 0) - high))


@_owned
def silu(x: Any) -> Any:
    """x sigmoid(x) (Elfwing et al. 2017; Ramachandran et al. 2017)."""
    x = _floating(x)
    return x * sigmoid(x)


swish = silu


@_owned
def soft_sign(x: Any) -> Any:
    """x / (1 + |x|)."""
    x = _floating(x)
    return x / (1 + np.abs(x))


@_owned
def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return np.tanh(x)


@_owned
def gelu(x: Any, approximate: bool = True) -> Any:
    """x Φ(x) with the normal distribution function Φ (Hendrycks and Gimpel 2016),
    or its usual approximation by tanh.
    """
    x = _floating(x)
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    scaled = x * -math.sqrt(0.5)  # erfc(-z) is 1 + erf(z) without its cancellation
    return 0.5 * x * _erfc(scaled if type(x) is Tracer else _np.asarray(scaled))


@_owned
def logsumexp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(a))) over axes, shifted by the maximum so that nothing overflows; -inf for nothing but -inf.

    >>> logsumexp(_np.array([1000.0, 1000.0]))
    Array(1000.69314718)
    """
    a = _floating(a)
    shift = _shift(a, axis)
    total = np.log(np.sum(np.exp(a - shift), axis, keepdims=True)) + shift
    return total if keepdims else np.squeeze(total, axis)


def _shift(a: Any, axis: Any) -> Any:
    """The maximum, or 0 where it is infinite; a constant for derivatives."""
    top = np.max(a, axis, keepdims=True)
    top = np.where(np.isfinite(top), top, type_of(top).dtype.type(0))
    return _stop_gradient(top) if type(top) is Tracer else top


@_owned
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """x - logsumexp(x): the logarithm of `softmax`, accurate where that one underflows."""
    x = _floating(x)
    shifted = x - _shift(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True))


@_owned
def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / sum(exp(x)) over axes.

    >>> softmax(_np.array([0.0, 0.0]))
    Array([0.5, 0.5])
    """
    x = _floating(x)
    unnormalised = np.exp(x - _shift(x, axis))
    return unnormalised / np.sum(unnormalised, axis, keepdims=True)


@_owned
def one_hot(x: Any, num_classes: int, *, dtype: Any = float, axis: int = -1) -> Any:
    """A 1 at the position that each integer names, 0 elsewhere; all 0 for integers out of range.

    >>> one_hot(_np.array([0, 2]), 3)
    Array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    x = x if type(x) is Tracer else np.asarray(x)
    codes = np.expand_dims(x, axis)
    shape = [1] * type_of(codes).ndim
    shape[axis] = num_classes
    hits = codes == _np.arange(num_classes).reshape(shape)
    return hits.astype(dtype)


@_owned
def standardize(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Any:
    """x less its mean, over the root of its variance plus `epsilon`, over axes."""
    x = _floating(x)
    distance = x - np.mean(x, axis, keepdims=True)
    return distance / np.sqrt(np.mean(distance * distance, axis, keepdims=True) + epsilon)
