"""SciPy's functions with whole numbers among their arguments: polygamma, zeta, factorials, Bessel functions, ..."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import numpy as _np
import scipy.special as _sp

from funcgrad import numpy as np
from funcgrad.errors import TracerIntegerConversionError, at_line
from funcgrad.numpy._common import broadcast, cast, has_tracer, operand
from funcgrad.ops import bessel as _bessel
from funcgrad.ops import special as _special
from funcgrad.ops.complex import complex_
from funcgrad.scipy._values import floating, public
from funcgrad.trace.frame import type_of

_WITH_KERNELS: dict[Any, Any] = {0: _special.digamma, 1: _special.trigamma}


def _orders(name: str, *xs: Any) -> list[Any]:
    """Operands as int64; they must have an integer dtype."""
    operands = [operand(x, name) for x in xs]
    for x in operands:
        if type_of(x).dtype.kind not in "biu":
            raise TypeError(f"{name}: orders must be integers, not {type_of(x).dtype.name}{at_line()}")
    return [cast(x, _np.dtype(_np.int64)) for x in operands]


def _static(name: str, x: Any, what: str) -> int:
    """A known integer that is not negative."""
    try:
        number = operator.index(x)
    except TracerIntegerConversionError:
        raise
    except TypeError:
        raise TypeError(f"{name}: {what} must be an integer, not {x!r}{at_line()}") from None
    if number < 0:
        raise ValueError(f"{name}: {what} must not be negative, but is {number}{at_line()}")
    return number


@public
def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of `digamma`, in the dtype of `x`; the orders `n` are whole numbers (NaN for other floats).

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape.

    Examples
    --------
    >>> polygamma(1, 1.0)  # π²/6
    Array(1.64493407)
    """
    n, (x,) = operand(n, "polygamma"), floating("polygamma", x)
    if isinstance(n, numbers.Real) and n in _WITH_KERNELS:
        return _WITH_KERNELS[n](x)
    if type_of(n).dtype.kind != "f":
        return _special.polygamma(*broadcast("polygamma", *_orders("polygamma", n), x))
    n, x = broadcast("polygamma", n, x)
    whole = n == np.floor(n)
    orders = cast(np.where(whole, n, type_of(n).dtype.type(0)), _np.dtype(_np.int64))
    return np.where(whole, _special.polygamma(orders, x), type_of(x).dtype.type(_np.nan))


@public
def zeta(x: Any, q: Any = None) -> Any:
    """Hurwitz's zeta function Σ (k + q)**-x, k = 0, 1, ...; Riemann's where `q` is not given, then for x > 1 if traced.

    Differentiable in both arguments, for x > 1 and q > 0.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape.

    Examples
    --------
    >>> zeta(2.0, 1.0)
    Array(1.64493407)
    """
    if q is None and not has_tracer((x,)):
        return _sp.zeta(x)
    x, q = floating("zeta", x, 1.0 if q is None else q)
    return _special.zeta(*broadcast("zeta", x, q))


@public
def factorial(n: Any, exact: bool = False) -> Any:
    """n! = Γ(n + 1), and 0 for n < 0.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape.

    Raises
    ------
    NotImplementedError
        With ``exact=True`` on traced arrays: Python's integers cannot be traced.

    Examples
    --------
    >>> factorial(5.0)
    Array(120.)
    """
    if exact:
        if has_tracer((n,)):
            raise NotImplementedError(f"factorial: exact=True is not there for traced arrays{at_line()}")
        return _sp.factorial(n, exact=True)
    (n,) = floating("factorial", n)
    zero = type_of(n).dtype.type(0)
    negative = n < zero
    return np.where(negative, zero, _special.gamma(np.where(negative, zero, n) + 1))


@public
def comb(N: Any, k: Any, *, repetition: bool = False) -> Any:
    """How many ways there are to choose k of N things; without repetition 0 for N < 0, k < 0 and k > N.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape.

    Examples
    --------
    >>> comb(5, 2)
    Array(10.)
    """
    N, k = broadcast("comb", *floating("comb", N, k))
    if repetition:
        none = (k == 0) & (N >= 0)
        one = type_of(N).dtype.type(1)
        return np.where(none, one, _special.binom(np.where(none, one, N + k - 1), k))
    inside = (k <= N) & (N >= 0) & (k >= 0)
    zero = type_of(N).dtype.type(0)
    return np.where(inside, _special.binom(np.where(inside, N, zero), np.where(inside, k, zero)), zero)


@public
def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `d`, a Python int; needs a > (d - 1)/2.

    Returns
    -------
    Array
        Floats of the arguments' broadcast shape.

    Examples
    --------
    >>> multigammaln(3.0, 2)  # log(√π Γ(3) Γ(5/2))
    Array(1.55019499)
    """
    d = _static("multigammaln", d, "the dimension")
    (a,) = floating("multigammaln", a)
    result = d * (d - 1) / 4 * math.log(math.pi) + 0 * a
    for j in range(d):
        result = result + _special.lgamma(a - j / 2)
    return result


@public
def bernoulli(n: int) -> Any:
    """The Bernoulli numbers B(0) ... B(n), with B(1) = -1/2.

    Returns
    -------
    Array
        n + 1 floats.

    Examples
    --------
    >>> bernoulli(2)
    Array([ 1.        , -0.5       ,  0.16666667])
    """
    n = _static("bernoulli", n, "the last index")
    return _sp.bernoulli(n)[: n + 1]


@public
def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """The Bessel functions J(0) ... J(v) of real `z`, along a new first axis.

    `n_iter` is JAX's, and not needed: every value is as accurate as SciPy's.

    Returns
    -------
    Array
        Of shape ``(v + 1, *z.shape)``, in the float dtype of `z`.

    Examples
    --------
    >>> bessel_jn(1.0, v=1)
    Array([0.76519769, 0.44005059])
    """
    v = _static("bessel_jn", v, "the highest order")
    (z,) = floating("bessel_jn", z)
    return np.stack([_bessel.bessel_jn(z, v=k) for k in range(v + 1)])


@public
def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, diff_n: int | None = None, n_max: int | None = None) -> Any:
    """The spherical harmonic of degree `n` and order `m` at the polar angle `theta` and the azimuth `phi`; complex.

    Parameters
    ----------
    n, m
        Integers, 0 <= n and |m| <= n.
    theta, phi
        Real angles; the result is differentiable in both.
    diff_n
        Must be None, as in JAX: `jvp` gives derivatives.
    n_max
        Degrees beyond are taken for this one, as in JAX; None: all as they are.

    Returns
    -------
    Array
        Complex, of the arguments' broadcast shape.

    Raises
    ------
    NotImplementedError
        `diff_n` is given.

    Examples
    --------
    >>> sph_harm_y(1, 0, 0.0, 0.0)  # √(3 / 4π)
    Array(0.48860251+0.j)
    """
    if diff_n is not None:
        raise NotImplementedError(f"sph_harm_y: diff_n is not there; use jvp{at_line()}")
    n, m = _orders("sph_harm_y", n, m)
    theta, phi = floating("sph_harm_y", theta, phi)
    if type_of(theta).dtype == _np.float16:
        theta, phi = (cast(x, _np.dtype(_np.float32)) for x in (theta, phi))
    n = n if n_max is None else np.minimum(n, _static("sph_harm_y", n_max, "the highest degree"))
    n, m, theta, phi = broadcast("sph_harm_y", n, m, theta, phi)
    size = _bessel.sph_legendre(n, m, theta)
    turn = cast(m, type_of(phi).dtype) * phi
    return complex_(*broadcast("sph_harm_y", size * np.cos(turn), size * np.sin(turn)))
