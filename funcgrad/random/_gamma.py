"""How are gamma numbers drawn, by rejection, and which samplers are made of them?

G. Marsaglia, W. W. Tsang, "A simple method for generating gamma variables", ACM Transactions on Mathematical
Software 26, 2000: a loop per element, which ends when a candidate is accepted. The derivative by the shape parameter
is the implicit one, dx/da = -(dF/da) / (dF/dx) for the distribution function F (`lax.random_gamma_grad`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.batching import vmap
from funcgrad.control.jvp_rules import custom_jvp
from funcgrad.dtypes import FLOATS
from funcgrad.errors import at_line
from funcgrad.lax._control import while_loop
from funcgrad.ops.comparison import stop_gradient
from funcgrad.ops.special import random_gamma_grad
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    compiled,
    dtype_among,
    extents,
    integer,
    one_key,
    parameters,
    plain,
    spread,
)
from funcgrad.random._continuous import exponential_of
from funcgrad.random._discrete import signs
from funcgrad.trace.frame import type_of

SQUEEZE = 0.0331  # where a candidate is accepted without a logarithm
Key = streams.Key


def _candidate(keys: Sequence[Key], d: Any, c: Any) -> tuple[Any, ...]:
    """A candidate's cube root, whether it is accepted, and the keys that go on from here."""
    dtype = type_of(d).dtype
    one = dtype.type(1)
    key, candidate, last = keys
    candidate, inner = streams.subkeys(candidate, 2)
    x = streams.normal(inner, (), dtype)
    root = one + x * c
    square, v, u = x * x, root * root * root, streams.uniform(last, (), dtype)
    slow = fnp.log(u) >= square * dtype.type(0.5) + d * (one - v + fnp.log(v))
    rejected = (u >= one - np.array(SQUEEZE, dtype)[()] * (square * square)) & slow
    return root, ~(rejected | (root <= dtype.type(0))), *key, *candidate, *last


def _again(state: tuple[Any, ...], d: Any, c: Any) -> tuple[Any, ...]:
    """The next candidate: of the same round after one below zero, else of a new one."""
    below = state[0] <= type_of(d).dtype.type(0)
    same = state[2:4], state[4:6], state[6:8]
    keys = [
        (fnp.where(below, old[0], new[0]), fnp.where(below, old[1], new[1]))
        for old, new in zip(same, streams.subkeys(state[2:4], 3), strict=True)
    ]
    return _candidate(keys, d, c)


def _numbers(key: Key, a: Any, logarithm: bool) -> Any:
    """Gamma numbers, or their logarithms, each with a key of its own.

    The first candidates are drawn in lanes, as nearly all of them are accepted; then each element goes on by itself.
    """
    dtype = type_of(a).dtype
    one, third = dtype.type(1), np.array(1 / 3, dtype)[()]
    large = a >= one
    d = fnp.where(large, a, a + one) - third  # Γ(a) is Γ(a + 1) times u**(1 / a)
    c = third / fnp.sqrt(d)
    key, boost = streams.subkeys(key, 2)
    first = _candidate(streams.subkeys(key, 3), d, c)
    root = vmap(lambda d, c, *state: while_loop(lambda state: ~state[1], lambda state: _again(state, d, c), state)[0])(
        d, c, *first
    )
    v = root * root * root
    if logarithm:
        smaller = -exponential_of(boost, (), dtype)
        more = fnp.where(large | (smaller == dtype.type(0)), dtype.type(0), smaller * (one / a))
        return fnp.log(d) + fnp.log(v) + more
    smaller = one - streams.uniform(boost, (), dtype)
    return d * v * fnp.where(large, one, fnp.power(smaller, one / a))


def _sampler(logarithm: bool) -> Callable[..., Any]:
    """A gamma number per element of `a`, each with a key of its own."""

    @custom_jvp
    def draw(first: Any, second: Any, a: Any) -> Any:
        shape = type_of(a).shape
        found = streams.blocks((first, second), (math.prod(shape),))
        words = streams.high_word(found), streams.low_word(found)
        return fnp.reshape(_numbers(words, fnp.reshape(a, (-1,)), logarithm), shape)

    @draw.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        first, second, a = primals
        found = draw(first, second, a)
        dtype = type_of(a).dtype
        if not logarithm:
            gone = found == dtype.type(0)  # a number that underflowed stays where it is
            slope = fnp.where(gone, dtype.type(0), random_gamma_grad(a, fnp.where(gone, dtype.type(1), found)))
            return found, slope * tangents[2]
        x = fnp.exp(found)
        x = fnp.where(x == dtype.type(0), streams.smallest(dtype), x)
        return found, random_gamma_grad(a, x) / x * tangents[2]

    return draw


_plain, _logarithmic = _sampler(False), _sampler(True)


def gamma_of(key: streams.Key, a: Any, shape: Shape) -> Any:
    """Gamma numbers, inside of programs."""
    return _plain(*key, fnp.broadcast_to(a, shape))


def loggamma_of(key: streams.Key, a: Any, shape: Shape) -> Any:
    """Their logarithms, which do not underflow for small `a`."""
    return _logarithmic(*key, fnp.broadcast_to(a, shape))


def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the gamma distribution of scale 1.

    Parameters
    ----------
    key
        A key.
    a
        The shape parameter, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `a`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.gamma(random.key(0), 2.0, (3,)) > 0).all())
    True
    """
    kind, key = dtype_among("gamma", float if dtype is None else dtype, FLOATS), one_key("gamma", key)
    shape, (a,) = parameters("gamma", shape, kind, a=a)
    return _gamma(key, a, shape=shape)


@compiled
def _gamma(key: Any, a: Any, *, shape: Shape) -> Any:
    return gamma_of(streams.words(key), a, shape)


def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Logarithms of numbers with the gamma distribution, which do not underflow for small `a`.

    Parameters
    ----------
    key
        A key.
    a
        The shape parameter, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `a`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> bool(np.isfinite(random.loggamma(random.key(0), 1e-4, (3,))).all())
    True
    """
    kind, key = dtype_among("loggamma", float if dtype is None else dtype, FLOATS), one_key("loggamma", key)
    shape, (a,) = parameters("loggamma", shape, kind, a=a)
    return _loggamma(key, a, shape=shape)


@compiled
def _loggamma(key: Any, a: Any, *, shape: Shape) -> Any:
    return loggamma_of(streams.words(key), a, shape)


def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the beta distribution.

    Parameters
    ----------
    key
        A key.
    a, b
        The parameters, of shapes that broadcast to `shape`.
    shape
        Of the result (default: what `a` and `b` broadcast to).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> x = random.beta(random.key(0), 2.0, 3.0, (3,))
    >>> bool(((x > 0) & (x < 1)).all())
    True
    """
    kind, key = dtype_among("beta", float if dtype is None else dtype, FLOATS), one_key("beta", key)
    shape, (a, b) = parameters("beta", shape, kind, a=a, b=b)
    return _beta(key, a, b, shape=shape)


@compiled
def _beta(key: Any, a: Any, b: Any, *, shape: Shape) -> Any:
    keys = streams.subkeys(streams.words(key), 2)
    logs = [loggamma_of(k, x, shape) for k, x in zip(keys, (a, b), strict=True)]
    largest = fnp.maximum(*logs)
    x, y = (fnp.exp(log - largest) for log in logs)
    return x / (x + y)


def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Vectors of positive numbers that add up to 1, with the Dirichlet distribution.

    Parameters
    ----------
    key
        A key.
    alpha
        The parameters, of shape ``(..., n)``.
    shape
        Of the result without its last axis (default: that of `alpha` without its last axis).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: the batch axes of `alpha`) and as many numbers as `alpha` has more.

    Raises
    ------
    ValueError
        `alpha` is a scalar.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> x = random.dirichlet(random.key(0), np.ones(3), (4,))
    >>> bool(np.allclose(x.sum(-1), 1))
    True
    """
    kind, key = dtype_among("dirichlet", float if dtype is None else dtype, FLOATS), one_key("dirichlet", key)
    have, (alpha,) = parameters("dirichlet", None, kind, alpha=alpha)
    if not have:
        raise ValueError(f"dirichlet: alpha must have at least one axis{at_line()}")
    leading = None if shape is None else (*extents("dirichlet", shape), have[-1])
    shape, _ = parameters("dirichlet", leading, kind, alpha=alpha)
    return _dirichlet(key, alpha, shape=shape)


@compiled
def _dirichlet(key: Any, alpha: Any, *, shape: Shape) -> Any:
    found = loggamma_of(streams.words(key), alpha, shape)
    if not shape[-1]:
        return found  # which has no largest element
    share = fnp.exp(found - stop_gradient(fnp.max(found, -1, keepdims=True)))
    return share / fnp.sum(share, -1, keepdims=True)


def t(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with Student's t distribution.

    Parameters
    ----------
    key
        A key.
    df
        The degrees of freedom, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `df`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.t(random.key(0), 3.0, (4,)).shape
    (4,)
    """
    kind, key = dtype_among("t", float if dtype is None else dtype, FLOATS), one_key("t", key)
    shape, (df,) = parameters("t", shape, kind, df=df)
    return _t(key, df, shape=shape)


@compiled
def _t(key: Any, df: Any, *, shape: Shape) -> Any:
    first, second = streams.subkeys(streams.words(key), 2)
    half = spread(df / type_of(df).dtype.type(2), shape)
    return streams.normal(first, shape, type_of(df).dtype) * fnp.sqrt(half / gamma_of(second, half, shape))


def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the chi-square distribution.

    Parameters
    ----------
    key
        A key.
    df
        The degrees of freedom, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `df`).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.chisquare(random.key(0), 3.0, (4,)) > 0).all())
    True
    """
    kind, key = dtype_among("chisquare", float if dtype is None else dtype, FLOATS), one_key("chisquare", key)
    shape, (df,) = parameters("chisquare", shape, kind, df=df)
    return _chisquare(key, df, shape=shape)


@compiled
def _chisquare(key: Any, df: Any, *, shape: Shape) -> Any:
    return _squares(streams.words(key), df, shape)


def _squares(key: streams.Key, df: Any, shape: Shape) -> Any:
    two = type_of(df).dtype.type(2)
    return fnp.exp(loggamma_of(key, df / two, shape)) * two


def f(key: Any, dfnum: Any, dfden: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the F distribution.

    Parameters
    ----------
    key
        A key.
    dfnum, dfden
        The degrees of freedom of numerator and denominator, of shapes that broadcast to `shape`.
    shape
        Of the result (default: what `dfnum` and `dfden` broadcast to).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> bool((random.f(random.key(0), 3.0, 4.0, (4,)) > 0).all())
    True
    """
    kind, key = dtype_among("f", float if dtype is None else dtype, FLOATS), one_key("f", key)
    shape, (dfnum, dfden) = parameters("f", shape, kind, dfnum=dfnum, dfden=dfden)
    return _f(key, dfnum, dfden, shape=shape)


@compiled
def _f(key: Any, dfnum: Any, dfden: Any, *, shape: Shape) -> Any:
    lower, upper = streams.subkeys(streams.words(key), 2)
    num = _squares(upper, dfnum, shape) / spread(dfnum, shape)
    return num / (_squares(lower, dfden, shape) / spread(dfden, shape))


def generalized_normal(key: Any, p: Any, shape: Any = (), dtype: Any = None) -> Any:
    """Numbers with the density proportional to exp(-|x|**p).

    Parameters
    ----------
    key
        A key.
    p
        The exponent: one number.
    shape
        Of the result.
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.generalized_normal(random.key(0), 1.5, (4,)).shape
    (4,)
    """
    key, shape, kind = plain("generalized_normal", key, shape, dtype)
    _, (p,) = parameters("generalized_normal", shape, kind, p=p)
    return _generalized_normal(key, p, shape=shape)


@compiled
def _generalized_normal(key: Any, p: Any, *, shape: Shape) -> Any:
    return _generalized(streams.words(key), p, shape)


def _generalized(key: streams.Key, p: Any, shape: Shape) -> Any:
    first, second = streams.subkeys(key, 2)
    dtype = type_of(p).dtype
    inverse = dtype.type(1) / p
    return signs(second, shape, dtype) * gamma_of(first, inverse, shape) ** spread(inverse, shape)


def ball(key: Any, d: int, p: Any = 2, shape: Any = (), dtype: Any = None) -> Any:
    """Points drawn uniformly from the unit ball of the p-norm in d dimensions.

    F. Barthe, O. Guédon, S. Mendelson, A. Naor, "A probabilistic approach to the geometry of the l_p^n-ball", Annals of
    Probability 33, 2005.

    Parameters
    ----------
    key
        A key.
    d
        The number of dimensions.
    p
        The exponent of the norm: one number.
    shape
        Of the result without its last axis, which has extent d.
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of shape ``(*shape, d)`` and the dtype asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> x = random.ball(random.key(0), 3, shape=(5,))
    >>> bool((np.linalg.norm(x, axis=-1) < 1).all())
    True
    """
    key, shape, kind = plain("ball", key, shape, dtype)
    _, (p,) = parameters("ball", (), kind, p=p)
    return _ball(key, p, shape=shape, d=integer("ball", "d", d))


@compiled
def _ball(key: Any, p: Any, *, shape: Shape, d: int) -> Any:
    first, second = streams.subkeys(streams.words(key), 2)
    g = _generalized(first, p, (*shape, d))
    size = fnp.sum(fnp.abs(g) ** p, -1) + exponential_of(second, shape, type_of(p).dtype)
    return g / (size ** (type_of(p).dtype.type(1) / p))[..., None]
