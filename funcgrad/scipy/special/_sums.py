"""SciPy's sums of exponentials: logsumexp, softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from funcgrad import numpy as np
from funcgrad.numpy._common import promoted
from funcgrad.ops.comparison import stop_gradient
from funcgrad.scipy._values import inexact, public
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer


def _shift(a: Any, axis: Any) -> Any:
    """The largest real part, or 0 where it is infinite (or there is nothing); a constant for derivatives."""
    top = _top(a, axis)
    return np.where(np.isfinite(top), top, type_of(top).dtype.type(0))


def _top(a: Any, axis: Any) -> Any:
    """The largest real part, a constant for derivatives."""
    top = np.max(np.real(a), axis=axis, keepdims=True, initial=-np.inf)
    return stop_gradient(top) if type(top) is Tracer else top


def _given(name: str, *xs: Any) -> list[Any]:
    """Operands in their common dtype, complex numbers too."""
    return inexact(*promoted(name, *xs))


def _log_of_sum(total: Any) -> Any:
    """log(total), with the derivative 0 (not NaN) where nothing has been summed."""
    zero, one = (type_of(total).dtype.type(k) for k in (0, 1))
    void = total == zero
    return np.where(void, type_of(total).dtype.type(-np.inf), np.log(np.where(void, one, total) + zero))


@public
def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False, where: Any = None
) -> Any:
    """log(Σ b exp(a)) over axes, shifted by the largest (real) exponent so that nothing overflows.

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
        Whether to return the logarithm of the sum's magnitude, and its sign (for complex numbers one of magnitude 1);
        otherwise a negative sum of real numbers is NaN.
    where
        Which elements count.

    Returns
    -------
    Array or (Array, Array)
        -inf where nothing is summed; the derivative there is 0.

    Examples
    --------
    >>> import numpy as np
    >>> logsumexp(np.array([1000.0, 1000.0]))
    Array(1000.69314718)
    >>> logsumexp(np.array([1.0, 1.0]), b=np.array([1.0, -3.0]), return_sign=True)
    (Array(1.69314718), Array(-1.))
    """
    (a,) = _given("logsumexp", a)
    if b is not None:
        a, b = _given("logsumexp", a, b)
        a = np.where(b == 0, type_of(a).dtype.type(-np.inf), a)
    if where is not None:
        a = np.where(where, a, type_of(a).dtype.type(-np.inf))
    shift = _shift(a, axis)
    terms = np.exp(a - shift)
    total = np.sum(terms if b is None else b * terms, axis=axis, keepdims=True)
    sign = np.sign(total)
    real = type_of(total).dtype.kind == "f"
    out = _log_of_sum(np.abs(total) if real or return_sign else total) + shift
    if b is not None and real and not return_sign:
        out = np.where(total < 0, type_of(out).dtype.type(np.nan), out)
    if not keepdims:
        out, sign = np.squeeze(out, axis), np.squeeze(sign, axis)
    return (out, sign) if return_sign else out


@public
def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / Σ exp(x) over axes (None: all).

    Returns
    -------
    Array
        Of the shape of `x`; floats, integers become float64.

    Examples
    --------
    >>> softmax([0.0, 0.0])
    Array([0.5, 0.5])
    """
    (x,) = _given("softmax", x)
    unnormalised = np.exp(x - _top(x, axis))
    return unnormalised / np.sum(unnormalised, axis=axis, keepdims=True)


@public
def log_softmax(x: Any, axis: Any = None) -> Any:
    """The logarithm of `softmax`, accurate where that one underflows.

    Returns
    -------
    Array
        Of the shape of `x`; floats, integers become float64.

    Examples
    --------
    >>> log_softmax([1000.0, 0.0])
    Array([    0., -1000.])
    """
    (x,) = _given("log_softmax", x)
    shifted = x - _shift(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
