"""Which functions stand behind a layer?  The activations of `jax.nn`.

At kinks the derivative is JAX's: 0 for `relu` at 0 and for `relu6` at 0 and 6, 1 for `hard_tanh` at -1 and 1.
"""

from __future__ import annotations

import math
from typing import Any

from funcgrad import numpy as np
from funcgrad.errors import at_line
from funcgrad.nn._common import activation, array, public
from funcgrad.numpy._common import axis_number
from funcgrad.ops.transcendental import erfc, logistic
from funcgrad.trace.frame import type_of

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _zero(x: Any) -> Any:
    return type_of(x).dtype.type(0)


@public
def identity(x: Any) -> Any:
    """The argument, as an array of its own.

    Returns
    -------
    Array
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> identity([1, 2])
    Array([1, 2])
    """
    return array(x, "identity")


@public
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays NaN. The derivative at 0 is 0.

    Returns
    -------
    Array
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> relu([-1.0, 0.0, 2.0])
    Array([0., 0., 2.])
    """
    x = array(x, "relu")
    return np.where(x <= 0, _zero(x), x)


@activation
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6); the derivative at 0 and 6 is 0.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> relu6([-1.0, 3.0, 7.0])
    Array([0., 3., 6.])
    """
    x = np.where(x <= 0, _zero(x), x)
    return np.where(x >= 6, type_of(x).dtype.type(6), x)


@activation
def leaky_relu(x: Any, negative_slope: Any = 0.01) -> Any:
    """x where x >= 0, else ``negative_slope * x``.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> leaky_relu([-1.0, 2.0])
    Array([-0.01,  2.  ])
    """
    return np.where(x >= 0, x, negative_slope * x)


@activation
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where x > 0, else ``alpha * (exp(x) - 1)`` (Clevert et al. 2015).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> elu([-1.0, 2.0])
    Array([-0.63212056,  2.        ])
    """
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, _zero(x), x)))


@activation
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x where x > 0, else ``alpha * (exp(x / alpha) - 1)``: an `elu` with derivative 1 at 0 (Barron 2017).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> celu([-1.0, 2.0], 2.0)
    Array([-0.78693868,  2.        ])
    """
    positive = x > 0
    return np.where(positive, x, alpha * np.expm1(np.where(positive, _zero(x), x) / alpha))


@activation
def selu(x: Any) -> Any:
    """The self-normalising `elu` (Klambauer et al. 2017).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> selu([-1.0, 2.0])
    Array([-1.11133074,  2.10140197])
    """
    return SELU_SCALE * elu(x, SELU_ALPHA)


@activation
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), accurate at both ends.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> sigmoid(0.0)
    Array(0.5)
    """
    return logistic(x)


@activation
def hard_sigmoid(x: Any) -> Any:
    """``relu6(x + 3) / 6``: a sigmoid of three straight lines (Howard et al. 2019).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> hard_sigmoid([-4.0, 0.0, 1.5])
    Array([0.  , 0.5 , 0.75])
    """
    return relu6(x + 3) / 6


@activation
def sparse_sigmoid(x: Any) -> Any:
    """(x + 1) / 2 between -1 and 1, 0 and 1 beyond: the derivative of `sparse_plus` (Blondel et al. 2020).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> sparse_sigmoid([-2.0, 0.0, 2.0])
    Array([0. , 0.5, 1. ])
    """
    return 0.5 * np.clip(x + 1, 0, 2)


@activation
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = -softplus(-x).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> log_sigmoid([0.0, -1000.0])
    Array([-6.93147181e-01, -1.00000000e+03])
    """
    return -softplus(-x)


@activation
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), as log1p(exp(x)) below 0 and x + log1p(exp(-x)) elsewhere: finite for every finite x, and with
    derivatives of any order that are right at 0.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> softplus([0.0, 1000.0])
    Array([6.93147181e-01, 1.00000000e+03])
    """
    below = x < 0
    return np.where(below, 0, x) + np.log1p(np.exp(np.where(below, x, -x)))


@activation
def sparse_plus(x: Any) -> Any:
    """(x + 1)² / 4 between -1 and 1, 0 below, x above: a `softplus` that reaches 0 (Blondel et al. 2020).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> sparse_plus([-2.0, 0.0, 2.0])
    Array([0.  , 0.25, 2.  ])
    """
    low, high = x <= -1, x >= 1
    inside = np.where(low | high, _zero(x), x)  # so that a square which is not used cannot overflow
    return np.where(low, _zero(x), np.where(high, x, (inside + 1) ** 2 / 4))


@activation
def squareplus(x: Any, b: Any = 4) -> Any:
    """(x + √(x² + b)) / 2: a softplus without exponentials (Barron 2021).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> squareplus([-1.5, 0.0, 1.5])
    Array([0.5, 1. , 2. ])
    """
    return (x + np.sqrt(x * x + b)) / 2


@activation
def silu(x: Any) -> Any:
    """x sigmoid(x) (Elfwing et al. 2017; Ramachandran et al. 2017).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> silu([-1.0, 0.0, 1.0])
    Array([-0.26894142,  0.        ,  0.73105858])
    """
    return x * logistic(x)


swish = silu


@activation
def hard_silu(x: Any) -> Any:
    """x hard_sigmoid(x) (Howard et al. 2019).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> hard_silu([-4.0, 1.0, 4.0])
    Array([-0.        ,  0.66666667,  4.        ])
    """
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@activation
def mish(x: Any) -> Any:
    """x tanh(softplus(x)) (Misra 2019).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> mish([-1.0, 0.0, 1.0])
    Array([-0.30340146,  0.        ,  0.86509839])
    """
    return x * np.tanh(softplus(x))


@activation
def soft_sign(x: Any) -> Any:
    """x / (1 + |x|).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> soft_sign([-1.0, 3.0])
    Array([-0.5 ,  0.75])
    """
    return x / (1 + np.abs(x))


@public
def tanh(x: Any) -> Any:
    """The hyperbolic tangent, as `funcgrad.numpy.tanh`.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> tanh(0.0)
    Array(0.)
    """
    return np.tanh(array(x, "tanh"))


@public
def hard_tanh(x: Any) -> Any:
    """x, but -1 below -1 and 1 above 1; the derivative at -1 and 1 is 1.

    Returns
    -------
    Array
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> hard_tanh([-2.0, 0.5, 2.0])
    Array([-1. ,  0.5,  1. ])
    """
    x = array(x, "hard_tanh")
    one = type_of(x).dtype.type(1)
    return np.where(x > 1, one, np.where(x < -1, -one, x))


@activation
def gelu(x: Any, approximate: bool = True) -> Any:
    """x Φ(x) with the normal distribution function Φ (Hendrycks and Gimpel 2016),
    or its usual approximation by tanh.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> gelu([-1.0, 1.0])
    Array([-0.15880801,  0.84119199])
    >>> gelu([-1.0, 1.0], approximate=False)
    Array([-0.15865525,  0.84134475])
    """
    if approximate:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * erfc(x * -math.sqrt(0.5))  # erfc(-z) is 1 + erf(z) without its cancellation


@activation
def glu(x: Any, axis: int = -1) -> Any:
    """The first half of `x` along an axis times the sigmoid of the second half (Dauphin et al. 2017).

    Returns
    -------
    Array
        Of the shape of `x` with half the extent along the axis, in its dtype; integers become float64.

    Raises
    ------
    ValueError
        For an odd extent.

    Examples
    --------
    >>> glu([3.0, 4.0, 0.0, 0.0])
    Array([1.5, 2. ])
    """
    shape = type_of(x).shape
    axis = axis_number(axis, len(shape), "glu")
    if shape[axis] % 2:
        raise ValueError(f"glu: the extent {shape[axis]} of axis {axis} is odd{at_line()}")
    first, second = np.split(x, 2, axis)
    return first * logistic(second)


@activation
def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for x >= 0, accurate where x is small and where it is large (Mächler 2012).

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> log1mexp([0.0, 1e-20, 50.0])
    Array([           -inf, -4.60517019e+01, -1.92874985e-22])
    """
    near = x < math.log(2)
    one = type_of(x).dtype.type(1)  # in the place of numbers that the other branch is for
    small, large = np.where(near, x, one), np.where(near, one, x)
    return np.where(near, np.log(-np.expm1(-small)), np.log1p(-np.exp(-large)))
