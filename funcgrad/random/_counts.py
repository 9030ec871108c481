"""How are Poisson and binomial numbers drawn?  By counting where they are small, by rejection elsewhere.

W. Hörmann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
Economics 12, 1993; "The generation of binomial random variates", Journal of Statistical Computation and
Simulation 46, 1993. All elements take the same rounds until the last one is accepted, and an element that is accepted
again takes the later number, so that the numbers are those of `jax.random`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.dtypes import FLOATS, INTEGERS, DType, largest
from funcgrad.errors import at_line
from funcgrad.lax._control import scan, while_loop
from funcgrad.lax._cumulative import cumsum
from funcgrad.ops.comparison import convert
from funcgrad.ops.special import lgamma
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    array,
    common_shape,
    compiled,
    converted,
    dtype_among,
    one_key,
    parameters,
)
from funcgrad.random._streams import Key
from funcgrad.trace.frame import type_of

SINGLE, INT64 = np.dtype(np.float32), np.dtype(np.int64)
FEW = 10  # the mean below which counting is faster


def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers with the Poisson distribution; -1 where `lam` is negative or NaN.

    Parameters
    ----------
    key
        A key.
    lam
        The mean, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `lam`).
    dtype
        An int dtype (default: int64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.poisson(random.key(0), 3.0, (4,)).shape
    (4,)
    """
    kind, key = dtype_among("poisson", int if dtype is None else dtype, INTEGERS), one_key("poisson", key)
    shape, (lam,) = parameters("poisson", shape, SINGLE, lam=lam)
    return _poisson(key, lam, shape=shape, dtype=kind)


@compiled
def _poisson(key: Any, lam: Any, *, shape: Shape, dtype: DType) -> Any:
    lam, key = fnp.broadcast_to(lam, shape), streams.words(key)
    few = (lam != lam) | (lam < SINGLE.type(FEW))
    counted = _poisson_by_counting(key, fnp.where(few, lam, SINGLE.type(0)), shape, dtype)
    rejected = _poisson_by_rejection(key, fnp.where(few, SINGLE.type(1e5), lam), shape, dtype)
    return fnp.where(lam == SINGLE.type(0), dtype.type(0), fnp.where(few, counted, rejected))


def _poisson_by_counting(key: Key, lam: Any, shape: Shape, dtype: DType) -> Any:
    """How many uniform numbers have a product above exp(-lam) (D. Knuth, The Art of Computer Programming, 3.4.1)."""
    most = int(np.iinfo(dtype).max)

    def step(state: Any) -> Any:
        i, count, first, second, log = state
        key, inner = streams.subkeys((first, second), 2)
        count = fnp.where(log > -lam, count + dtype.type(1), count)
        return (i + 1, count, *key, log + fnp.log(streams.uniform(inner, shape, SINGLE)))

    def unfinished(state: Any) -> Any:
        return fnp.any(state[4] > -lam) & (state[0] < most)

    start = np.int64(0), _all(0, shape, dtype), *key, _all(0, shape, SINGLE)
    return while_loop(unfinished, step, start)[1] - dtype.type(1)


def _all(number: int, shape: Shape, dtype: DType) -> Any:
    """An array of one number, which takes no memory."""
    return np.broadcast_to(np.array(number).astype(dtype), shape)


def _poisson_by_rejection(key: Key, lam: Any, shape: Shape, dtype: DType) -> Any:
    def number(x: float) -> Any:
        return SINGLE.type(x)

    log_lam = fnp.log(lam)
    b = number(0.931) + number(2.53) * fnp.sqrt(lam)
    a = number(-0.059) + number(0.02483) * b
    inverse = number(1.1239) + number(1.1328) / (b - number(3.4))
    accepted_below = number(0.9277) - number(3.6224) / (b - number(2))

    def candidate(first: Key, second: Key) -> tuple[Any, Any]:
        u = streams.uniform(first, shape, SINGLE) - number(0.5)
        v = streams.uniform(second, shape, SINGLE)
        edge = number(0.5) - fnp.abs(u)
        k = fnp.floor((number(2) * a / edge + b) * u + lam + number(0.43))
        s = fnp.log(v * inverse / (a / (edge * edge) + b))
        t = -lam + k * log_lam - lgamma(k + number(1))
        rejected = (k < number(0)) | ((edge < number(0.013)) & (v > edge))
        return k, ((edge >= number(0.07)) & (v <= accepted_below)) | (~rejected & (s <= t))

    return convert(_until_all(key, candidate, shape, SINGLE, int(np.iinfo(dtype).max)), dtype=dtype)


def _until_all(key: Key, candidate: Any, shape: Shape, dtype: DType, most: float) -> Any:
    """The last candidates that were accepted, in the round in which every element has one."""

    def step(state: Any) -> Any:
        i, found, accepted, first, second = state
        key, *inner = streams.subkeys((first, second), 3)
        drawn, good = candidate(*inner)
        return (i + 1, fnp.where(good, drawn, found), accepted | good, *key)

    def unfinished(state: Any) -> Any:
        return fnp.any(~state[2]) & (state[0] < min(most, np.iinfo(INT64).max))

    start = np.int64(0), _all(-1, shape, dtype), _all(0, shape, np.dtype(bool)), *key
    return while_loop(unfinished, step, start)[1]


# Binomial numbers ----------------------------------------------------------------------------------------------------


def binomial(key: Any, n: Any, p: Any, shape: Any = None, dtype: Any = None) -> Any:
    """Numbers of successes in n trials that each have probability p; NaN where n or p makes no sense.

    Parameters
    ----------
    key
        A key.
    n, p
        Numbers of trials and probabilities, of shapes that broadcast to `shape`.
    shape
        Of the result (default: what `n` and `p` broadcast to).
    dtype
        A float dtype (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of the parameters, broadcast) and dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.binomial(random.key(0), 10, 0.5, (4,)).shape
    (4,)
    """
    kind, key = dtype_among("binomial", float if dtype is None else dtype, FLOATS), one_key("binomial", key)
    n, p = array("binomial", "n", n), array("binomial", "p", p)
    of = type_of(p).dtype if type_of(p).dtype in FLOATS else np.dtype(np.float64)
    shape, (n, p) = parameters("binomial", shape, of, n=n, p=p)
    return _binomial(key, n, p, shape=shape, dtype=kind)


@compiled
def _binomial(key: Any, n: Any, p: Any, *, shape: Shape, dtype: DType) -> Any:
    return binomial_of(streams.words(key), fnp.broadcast_to(n, shape), fnp.broadcast_to(p, shape), dtype)


def binomial_of(key: Key, n: Any, p: Any, dtype: DType) -> Any:
    """Binomial numbers, inside of programs."""
    of, shape = type_of(p).dtype, type_of(p).shape
    zero, one, half = of.type(0), of.type(1), of.type(0.5)
    rare = p < half
    q = fnp.where(rare, p, one - p)
    senseless = (n != n) | (n < zero)
    nowhere = q != q
    negative = q < zero
    endless = fnp.isinf(n)
    q = fnp.where(nowhere | negative, np.array(0.01, of)[()], q)
    few = senseless | (n * q <= of.type(FEW)) | (endless & (q == zero))
    n = fnp.floor(n)
    counted = fnp.where(few & ~endless, n, zero)
    drawn = fnp.where(
        few,
        _binomial_by_counting(key, counted, q, shape, dtype),
        _binomial_by_rejection(key, fnp.where(few, of.type(1e4), n), fnp.where(few, half, q), shape, dtype),
    )
    invalid = negative | nowhere | senseless
    drawn = fnp.where(invalid, np.array(np.nan, dtype)[()], drawn)
    drawn = fnp.where(endless & ~invalid, np.array(np.inf, dtype)[()], drawn)
    return fnp.where(rare | senseless | nowhere | endless, drawn, convert(n, dtype=dtype) - drawn)


def _binomial_by_counting(key: Key, n: Any, p: Any, shape: Shape, dtype: DType) -> Any:
    """How many successes there are in n trials, by the numbers of trials between them (L. Devroye, 1986, X.4.1)."""
    of = type_of(p).dtype
    log_failure = fnp.log1p(-p)

    def step(state: Any) -> Any:
        i, count, trials, first, second = state
        inner, key = streams.subkeys((first, second), 2)
        count = fnp.where(trials <= n, count + of.type(1), count)
        waited = fnp.ceil(fnp.log(streams.uniform(inner, shape, of)) / log_failure)
        return (i + 1, count, trials + waited, *key)

    def unfinished(state: Any) -> Any:
        return fnp.any(state[2] <= n) & (state[0] < min(largest(dtype), np.iinfo(INT64).max))

    start = np.int64(0), _all(0, shape, of), _all(0, shape, of), *key
    return convert(while_loop(unfinished, step, start)[1] - of.type(1), dtype=dtype)


# log(k!) less Stirling's formula, for k = 0, ..., 9
TAILS = tuple(
    math.lgamma(k + 1) - (k + 0.5) * math.log(k + 1) + (k + 1) - 0.5 * math.log(2 * math.pi) for k in range(10)
)


def _tail(k: Any) -> Any:
    """What Stirling's formula for log(k!) leaves out."""
    of = type_of(k).dtype
    small = k <= of.type(9)
    k = fnp.minimum(fnp.maximum(k, of.type(0)), of.type(9))
    square = (k + of.type(1)) * (k + of.type(1))
    series = of.type(1 / 12) - (of.type(1 / 360) - of.type(1 / 1260) / square) / square
    table = fnp.take(np.array(TAILS, of), convert(fnp.floor(k), dtype=INT64), mode="clip")
    return fnp.where(small, table, series / (k + of.type(1)))


def _binomial_by_rejection(key: Key, n: Any, p: Any, shape: Shape, dtype: DType) -> Any:
    of = type_of(p).dtype

    def number(x: float) -> Any:
        return np.array(x, of)[()]

    one, half = number(1), number(0.5)
    deviation = fnp.sqrt(n * p * (one - p))
    b = number(1.15) + number(2.53) * deviation
    a = number(-0.0873) + number(0.0248) * b + number(0.01) * p
    c = n * p + half
    accepted_below = number(0.92) - number(4.2) / b
    ratio = p / (one - p)
    alpha = (number(2.83) + number(5.1) / b) * deviation
    m = fnp.floor((n + one) * p)

    def candidate(first: Key, second: Key) -> tuple[Any, Any]:
        u = streams.uniform(first, shape, of) - half
        v = streams.uniform(second, shape, of)
        edge = half - fnp.abs(u)
        at_once = (edge >= number(0.07)) & (v <= accepted_below)
        k = fnp.floor((number(2) * a / edge + b) * u + c)
        s = fnp.log(v * alpha / (a / (edge * edge) + b))
        bound = (
            (m + half) * fnp.log((m + one) / (ratio * (n - m + one)))
            + (n + one) * fnp.log((n - m + one) / (n - k + one))
            + (k + half) * fnp.log(ratio * (n - k + one) / (k + one))
            + (_tail(m) + _tail(n - m) - _tail(k) - _tail(n - k))
        )
        return k, at_once | (~((k < number(0)) | (k > n)) & (s <= bound))

    return convert(_until_all(key, candidate, shape, of, largest(dtype)), dtype=dtype)


def multinomial(key: Any, n: Any, p: Any, *, shape: Any = None, dtype: Any = None) -> Any:
    """How often each of several outcomes happens in n trials.

    Parameters
    ----------
    key
        A key.
    n
        Numbers of trials, of a shape that broadcasts to ``shape[:-1]``.
    p
        Probabilities of the outcomes along the last axis, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `p`).
    dtype
        Of the result (default: float64).

    Returns
    -------
    Array
        Of the given shape (default: that of `p`), in the dtype asked for.

    Raises
    ------
    ValueError
        `p` has no axis of outcomes.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> int(random.multinomial(random.key(0), 10, np.array([0.5, 0.3, 0.2])).sum())
    10
    """
    name = "multinomial"
    key, n, p = one_key(name, key), array(name, "n", n), array(name, "p", p)
    types = [type_of(x) for x in (n, p)]
    floats = [t.dtype for t in types if t.dtype in FLOATS]
    of = np.result_type(*floats) if floats else np.dtype(np.float64)
    if not types[1].shape:
        raise ValueError(f"{name}: p must have an axis of outcomes{at_line()}")
    found = common_shape(name, shape, p=types[1].shape)
    common_shape(name, found[:-1], n=types[0].shape)
    kind = np.dtype(float if dtype is None else dtype)
    return _multinomial(key, converted(n, of), converted(p, of), shape=found, dtype=kind)


@compiled
def _multinomial(key: Any, n: Any, p: Any, *, shape: Shape, dtype: DType) -> Any:
    of = type_of(p).dtype
    n, p = fnp.broadcast_to(n, shape[:-1]), fnp.moveaxis(fnp.broadcast_to(p, shape), -1, 0)
    remaining = cumsum(p, 0, reverse=True)
    ratios = p / fnp.where(remaining == of.type(0), of.type(1), remaining)
    found = streams.blocks(streams.words(key), (shape[-1],))

    def step(left: Any, given: Any) -> tuple[Any, Any]:
        ratio, first, second = given
        drawn = binomial_of((first, second), left, fnp.minimum(fnp.maximum(ratio, of.type(0)), of.type(1)), of)
        return left - drawn, drawn

    _, counts = scan(step, n, (ratios, streams.high_word(found), streams.low_word(found)))
    return convert(fnp.moveaxis(counts, 0, -1), dtype=dtype)
