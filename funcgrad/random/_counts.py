"""How are Poisson and binomial numbers drawn?  By counting where they are small, by rejection elsewhere.

W. Hörmann, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
Economics 12, 1993; "The generation of binomial random variates", Journal of Statistical Computation and
Simulation 46, 1993. The numbers are those of `jax.random`, where all elements take the same rounds until the last one
is accepted, and an element that is accepted again takes the later number. Here no element computes more than it needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.batching import vmap
from funcgrad.dtypes import FLOATS, INTEGERS, DType
from funcgrad.errors import at_line
from funcgrad.lax._branches import cond
from funcgrad.lax._control import scan, while_loop
from funcgrad.lax._cumulative import cumsum
from funcgrad.ops.comparison import convert
from funcgrad.ops.random import threefry2x32
from funcgrad.ops.shape import counted
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

SINGLE, INT64, LONG, SHORT = (np.dtype(t) for t in (np.float32, np.int64, np.uint64, np.int32))

Split = Callable[[Key], tuple[Key, list[Key]]]
FEW = 10  # the mean below which counting is faster
LANES = 16  # of which the slowest element decides
ROUNDS = 64  # a larger number has a probability below 1e-28


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
    found = _counted(key, _next_last, np.less, _waiting, fnp.where(few, lam, SINGLE.type(0)))

    def mixed(lam: Any, few: Any, found: Any) -> Any:
        drawn = _poisson_by_rejection(key, fnp.where(few, SINGLE.type(1e5), lam))
        return fnp.where(few, found, convert(drawn, dtype=dtype))

    found = cond(fnp.all(few), lambda lam, few, found: found, mixed, lam, few, convert(found, dtype=dtype))
    return fnp.where(lam == SINGLE.type(0), dtype.type(0), found)


def _waiting(u: Any) -> Any:
    """How long an event of rate 1 is waited for (D. Knuth, The Art of Computer Programming, 3.4.1)."""
    return -fnp.log(u)


def _poisson_by_rejection(key: Key, lam: Any) -> Any:
    def number(x: float) -> Any:
        return SINGLE.type(x)

    b = number(0.931) + number(2.53) * fnp.sqrt(lam)
    a = number(-0.059) + number(0.02483) * b
    inverse = number(1.1239) + number(1.1328) / (b - number(3.4))
    accepted_below = number(0.9277) - number(3.6224) / (b - number(2))

    def candidate(
        u: Any, v: Any, lam: Any, log_lam: Any, a: Any, b: Any, inverse: Any, accepted_below: Any
    ) -> tuple[Any, Any]:
        u = u - number(0.5)
        edge = number(0.5) - fnp.abs(u)
        k = fnp.floor((number(2) * a / edge + b) * u + lam + number(0.43))
        s = fnp.log(v * inverse / (a / (edge * edge) + b))
        t = -lam + k * log_lam - lgamma(k + number(1))
        rejected = (k < number(0)) | ((edge < number(0.013)) & (v > edge))
        return k, ((edge >= number(0.07)) & (v <= accepted_below)) | (~rejected & (s <= t))

    return _last_accepted(key, candidate, lam, fnp.log(lam), a, b, inverse, accepted_below)


# What both have in common ---------------------------------------------------------------------------------------------


def _next_last(key: Key) -> tuple[Key, list[Key]]:
    key, inner = streams.subkeys(key, 2)
    return key, [inner]


def _next_first(key: Key) -> tuple[Key, list[Key]]:
    inner, key = streams.subkeys(key, 2)
    return key, [inner]


def _next_of_two(key: Key) -> tuple[Key, list[Key]]:
    key, *inner = streams.subkeys(key, 3)
    return key, inner


def _keys_of_rounds(key: Key, split: Split) -> Callable[[Any], list[Key]]:
    """A function that tells the keys of a round; `split` gives the key that goes on, and those of the first round."""
    words = scan(lambda key, _: split(key), key, None, ROUNDS)[1]

    def of_round(number: Any) -> list[Key]:
        return [tuple(fnp.take(word, number, mode="clip") for word in key) for key in words]

    return of_round


def _uniform(key: Key, place: Any, dtype: DType) -> Any:
    """The uniform number at a place of an array of such."""
    return streams.unit(threefry2x32(*key, streams.high_word(place), streams.low_word(place)), dtype)


def _counted(key: Key, split: Split, within: Any, wait: Any, limit: Any, *parameters: Any) -> Any:
    """How many steps, each as long as `wait` says, stay within a limit; the one from 0 to 0 is not counted.

    Vectors of elements go on until the last one of them has reached its limit.
    """
    dtype, shape = type_of(limit).dtype, type_of(limit).shape
    size, of_round = math.prod(shape), _keys_of_rounds(key, split)
    rest = -size % LANES

    def in_rows(x: Any) -> Any:
        return fnp.reshape(fnp.pad(fnp.reshape(x, (size,)), (0, rest), constant_values=-1), (-1, LANES))

    def of_row(first: Any, limit: Any, *own: Any) -> Any:
        place = first * LONG.type(LANES) + np.arange(LANES, dtype=LONG)

        def step(state: Any) -> Any:
            number, count, reached = state
            (inner,) = of_round(number)
            count = fnp.where(within(reached, limit), count + SHORT.type(1), count)
            return number + 1, count, reached + wait(_uniform(inner, place, dtype), *own)

        def unfinished(state: Any) -> Any:
            return fnp.any(within(state[2], limit)) & (state[0] < ROUNDS)

        return while_loop(unfinished, step, (np.int64(0), np.zeros(LANES, SHORT), np.zeros(LANES, dtype)))[1]

    rows = [in_rows(x) for x in (limit, *parameters)]
    count = vmap(of_row)(counted(LONG, type_of(rows[0]).shape[:1]), *rows)
    return fnp.reshape(fnp.reshape(count, (-1,))[:size], shape) - SHORT.type(1)


def _last_accepted(key: Key, candidate: Any, *parameters: Any) -> Any:
    """The last candidates that were accepted, up to the round in which every element has one; -1 where there is none.

    Forward from the first round each element looks for the first one in which it is accepted, and backward from the
    last one of these for its number. Either way nearly all find it at once, in lanes; the others go on by themselves.
    """
    dtype, shape = type_of(parameters[0]).dtype, type_of(parameters[0]).shape
    size, of_round = math.prod(shape), _keys_of_rounds(key, _next_of_two)

    def drawn(number: Any, place: Any, *own: Any) -> tuple[Any, Any]:
        return candidate(*(_uniform(k, place, dtype) for k in of_round(number)), *own)  # type: ignore[no-any-return]

    def search(state: Any, way: Any) -> tuple[Any, None]:
        start, end = state[0], fnp.where(way > 0, np.int64(ROUNDS - 1), np.int64(0))

        def further(found: Any, good: Any, *own: Any) -> Any:
            def step(state: Any) -> Any:
                return state[0] + way, *drawn(state[0] + way, *own)

            return while_loop(lambda state: ~state[2] & (state[0] != end), step, (start, found, good))

        number, found, good = vmap(further)(*drawn(start, *own), *own)
        return (fnp.max(number, initial=0), fnp.where(good, found, dtype.type(-1))), None

    own = counted(LONG, (size,)), *(fnp.reshape(x, (size,)) for x in parameters)
    nothing = np.broadcast_to(np.zeros((), dtype), (size,))  # takes no memory
    (_, found), _ = scan(search, (np.int64(0), nothing), np.array([1, -1]))
    return fnp.reshape(found, shape)


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
    of = type_of(p).dtype
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
    found = _counted(
        key,
        _next_first,
        np.less_equal,
        lambda u, log_failure: fnp.ceil(fnp.log(u) / log_failure),
        fnp.where(few & ~endless, n, -one),
        fnp.log1p(-q),
    )

    def mixed(n: Any, q: Any, few: Any, found: Any) -> Any:
        n, q = fnp.where(few, of.type(1e4), n), fnp.where(few, half, q)
        return fnp.where(few, found, convert(_binomial_by_rejection(key, n, q), dtype=dtype))

    drawn = cond(fnp.all(few), lambda n, q, few, found: found, mixed, n, q, few, convert(found, dtype=dtype))
    invalid = negative | nowhere | senseless
    drawn = fnp.where(invalid, np.array(np.nan, dtype)[()], drawn)
    drawn = fnp.where(endless & ~invalid, np.array(np.inf, dtype)[()], drawn)
    return fnp.where(rare | senseless | nowhere | endless, drawn, convert(n, dtype=dtype) - drawn)


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


def _binomial_by_rejection(key: Key, n: Any, p: Any) -> Any:
    of = type_of(p).dtype

    def number(x: float) -> Any:
        return np.array(x, of)[()]

    one, half = number(1), number(0.5)
    deviation = fnp.sqrt(n * p * (one - p))
    b = number(1.15) + number(2.53) * deviation
    a = number(-0.0873) + number(0.0248) * b + number(0.01) * p
    accepted_below = number(0.92) - number(4.2) / b
    alpha = (number(2.83) + number(5.1) / b) * deviation

    def candidate(u: Any, v: Any, n: Any, p: Any, a: Any, b: Any, accepted_below: Any, alpha: Any) -> tuple[Any, Any]:
        ratio, m, u = p / (one - p), fnp.floor((n + one) * p), u - half
        edge = half - fnp.abs(u)
        at_once = (edge >= number(0.07)) & (v <= accepted_below)
        k = fnp.floor((number(2) * a / edge + b) * u + (n * p + half))
        s = fnp.log(v * alpha / (a / (edge * edge) + b))
        bound = (
            (m + half) * fnp.log((m + one) / (ratio * (n - m + one)))
            + (n + one) * fnp.log((n - m + one) / (n - k + one))
            + (k + half) * fnp.log(ratio * (n - k + one) / (k + one))
            + (_tail(m) + _tail(n - m) - _tail(k) - _tail(n - k))
        )
        return k, at_once | (~((k < number(0)) | (k > n)) & (s <= bound))

    return _last_accepted(key, candidate, n, p, a, b, accepted_below, alpha)


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
