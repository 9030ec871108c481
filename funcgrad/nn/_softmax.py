"""How are numbers turned into probabilities, codes and standardised numbers?  Functions along axes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as _np

from funcgrad import numpy as np
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.lax._collectives import axis_index, axis_size
from funcgrad.nn._common import activation, array, public
from funcgrad.numpy._common import axis_number, axis_numbers, dtype_of
from funcgrad.ops.comparison import stop_gradient
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer


def _constant(x: Any) -> Any:
    """`x`, through which no derivative flows."""
    return stop_gradient(x) if type(x) is Tracer else x


def _only(x: Any, where: Any) -> Any:
    """`x` where it counts, -inf elsewhere."""
    return x if where is None else np.where(where, x, type_of(x).dtype.type(-_np.inf))


def _top(x: Any, axis: Any) -> Any:
    """The largest elements, -inf where there is nothing; a constant for derivatives."""
    initial = {} if type_of(x).size else {"initial": type_of(x).dtype.type(-_np.inf)}
    return _constant(np.max(x, axis, keepdims=True, **initial))


def _normal(x: Any) -> Any:
    """`x`, -inf where exp(x) would be a subnormal number."""
    dtype = type_of(x).dtype
    if dtype not in (_np.float32, _np.float64):
        return x
    lowest = _np.log(_np.finfo(dtype).tiny)
    return x + _constant(np.where(x < lowest, dtype.type(-_np.inf), dtype.type(0)))


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False, where: Any = None
) -> Any:
    """log(Σ b exp(a)) over axes, shifted by the maximum so that nothing overflows.

    Parameters
    ----------
    a
        Exponents.
    axis
        An axis, several, or None for all.
    b
        Factors, which broadcast with `a`; where they are 0, `a` may be anything.
    keepdims
        Whether the axes are kept, with extent 1.
    return_sign
        Whether to return the logarithm of the sum's magnitude, and its sign; otherwise a negative sum is NaN.
    where
        Which elements count.

    Returns
    -------
    Array or (Array, Array)
        -inf for nothing, or nothing but -inf.

    Notes
    -----
    Without factors, exponentials that would be subnormal numbers are 0: next to a sum of 1 or more they are nothing,
    and derivatives that contain them would take a CPU many times as long.

    Examples
    --------
    >>> logsumexp([1000.0, 1000.0])
    Array(1000.69314718)
    """
    return _logsumexp(a, axis, b, keepdims, return_sign, where)


@activation
def _logsumexp(a: Any, axis: Any, b: Any, keepdims: bool, return_sign: bool, where: Any) -> Any:
    if b is not None:
        b = array(b, "logsumexp")
        a = _only(a, b != 0)
    a = _only(a, where)
    top = _top(a, axis)
    shift = np.where(np.isfinite(top), top, type_of(top).dtype.type(0))
    terms = np.exp(_normal(a - shift)) if b is None else b * np.exp(a - shift)
    total = np.sum(terms, axis, keepdims=True)
    out = np.log(total if b is None else np.abs(total)) + shift
    if b is not None and not return_sign:
        out = np.where(total < 0, type_of(out).dtype.type(_np.nan), out)
    out = out if keepdims else np.squeeze(out, axis)
    if not return_sign:
        return out
    return out, np.sign(total) if keepdims else np.sign(np.squeeze(total, axis))


@activation
def logmeanexp(x: Any, axis: Any = None, where: Any = None, keepdims: bool = False) -> Any:
    """log of the mean of exp(x) over axes: `logsumexp` less the logarithm of the number of elements that count.

    Returns
    -------
    Array
        Of the shape of `x` without the axes, in its dtype; integers become float64.

    Examples
    --------
    >>> logmeanexp([1000.0, 1000.0])
    Array(1000.)
    """
    shape = type_of(x).shape
    counted: Any = where
    if where is None:
        counted = _np.prod([shape[a] for a in axis_numbers(axis, len(shape), "logmeanexp")], dtype=float)
    else:
        counted = np.sum(np.broadcast_to(where, shape), axis, keepdims=keepdims)
    count = np.log(np.asarray(counted).astype(type_of(x).dtype))
    return logsumexp(x, axis, where=where, keepdims=keepdims) - count


@activation
def log_softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """x - logsumexp(x): the logarithm of `softmax`, accurate where that one underflows.

    Parameters
    ----------
    x
        Logits.
    axis
        An axis, several, or None for all.
    where
        Which elements count; the others are -inf.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    Array([    0., -1000.])
    """
    x = _only(x, where)
    shifted = x - _top(x, axis)
    return _only(shifted - np.log(np.sum(np.exp(shifted), axis, keepdims=True)), where)


@activation
def softmax(x: Any, axis: Any = -1, where: Any = None) -> Any:
    """exp(x) / Σ exp(x) over axes; NaN where an element is +inf, or all are -inf.

    Parameters
    ----------
    x
        Logits.
    axis
        An axis, several, or None for all.
    where
        Which elements count; the others are 0, and so is everything where none counts.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Array([0.5, 0.5])
    >>> softmax([0.0, 0.0, 7.0], where=[True, True, False])
    Array([0.5, 0.5, 0. ])
    """
    x = _only(x, where)
    unnormalised = np.exp(x - _top(x, axis))
    out = unnormalised / np.sum(unnormalised, axis, keepdims=True)
    return out if where is None else np.where(where, out, type_of(out).dtype.type(0))


@public
def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: Any = -1) -> Any:
    """A 1 at the position that each integer names, 0 elsewhere; all 0 for integers out of range.

    Parameters
    ----------
    x
        Integers.
    num_classes
        The extent of the new axis.
    dtype
        Of the result (default: float64).
    axis
        Where the new axis stands, or the name of an axis of `vmap` with this extent, of which each example gets its
        own element.

    Returns
    -------
    Array
        Of the shape of `x` and the axis of classes, in `dtype`.

    Raises
    ------
    TypeError
        `num_classes` is no integer.
    ValueError
        A named axis has another number of examples.

    Examples
    --------
    >>> one_hot([0, 2], 3)
    Array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    x = array(x, "one_hot")
    kind = dtype_of(float if dtype is None else dtype)
    try:
        count = operator.index(num_classes)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"one_hot: num_classes must be an integer, not {num_classes!r}{at_line()}") from None
    if isinstance(axis, str):
        if axis_size(axis) != count:
            raise ValueError(
                f"one_hot: axis {axis!r} has {axis_size(axis)} examples, not num_classes = {count}{at_line()}"
            )
        return (x == axis_index(axis)).astype(kind)
    axis = axis_number(axis, type_of(x).ndim + 1, "one_hot")
    shape = [1] * (type_of(x).ndim + 1)
    shape[axis] = count
    return (np.expand_dims(x, axis) == _np.arange(count).reshape(shape)).astype(kind)


ALGORITHMS = ("stable", "fast")


@activation
def standardize(
    x: Any,
    axis: Any = -1,
    mean: Any = None,
    variance: Any = None,
    epsilon: Any = 1e-5,
    where: Any = None,
    *,
    algorithm: str = "stable",
) -> Any:
    """x less its mean, over the root of its variance plus `epsilon`, over axes.

    Parameters
    ----------
    x
        Numbers.
    axis
        An axis, several, or None for all.
    mean, variance
        Used instead of those of `x`; they broadcast with it.
    epsilon
        Keeps the root from 0.
    where
        Which elements count for mean and variance.
    algorithm
        ``"stable"``: the variance is the mean of (x - mean)²; ``"fast"``: mean of x² less mean², at least 0.

    Returns
    -------
    Array
        Of the shape of `x`, in its dtype; integers become float64.

    Raises
    ------
    ValueError
        There is no such algorithm.

    Examples
    --------
    >>> standardize([1.0, 2.0, 3.0], epsilon=0)
    Array([-1.22474487,  0.        ,  1.22474487])
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"standardize: unknown algorithm {algorithm!r}: it is one of {ALGORITHMS}{at_line()}")
    counted = {} if where is None else {"where": where}
    mean = np.mean(x, axis, keepdims=True, **counted) if mean is None else mean
    if variance is None and algorithm == "stable":
        distance = x - mean
        variance = np.mean(distance * distance, axis, keepdims=True, **counted)
    elif variance is None:
        variance = np.maximum(np.mean(x * x, axis, keepdims=True, **counted) - np.square(mean), 0)
    return (x - mean) / np.sqrt(variance + epsilon)
