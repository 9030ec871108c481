"""Which samplers give truth values, signs, categories, and arrangements of what there is?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import numpy as fnp
from funcgrad.control.checkpoint import barrier
from funcgrad.dtypes import FLOATS, NUMBERS, DType
from funcgrad.errors import at_line
from funcgrad.lax._sorting import top_k
from funcgrad.ops.comparison import convert
from funcgrad.ops.shape import counted
from funcgrad.ops.sorting import arrange
from funcgrad.random import _streams as streams
from funcgrad.random._arguments import (
    Shape,
    array,
    common_shape,
    compiled,
    converted,
    dtype_among,
    extents,
    integer,
    one_key,
    spread,
)
from funcgrad.random._gumbel import GUMBEL_MODES, gumbel_of
from funcgrad.random._uniform import randint
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

INT64 = np.dtype(np.int64)


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None, mode: str = "low") -> Any:
    """True with probability p.

    Parameters
    ----------
    key
        A key.
    p
        Probabilities: floats, of a shape that broadcasts to `shape`.
    shape
        Of the result (default: that of `p`).
    mode
        ``"high"`` draws twice as many bits, for probabilities that differ little from 0.

    Returns
    -------
    Array
        Bools of the given shape (default: that of `p`).

    Raises
    ------
    ValueError
        `mode` is something else.
    TypeError
        `p` has no float dtype.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.bernoulli(random.key(0), 0.5, (4,))
    Array([ True,  True, False, False])
    """
    key, p = one_key("bernoulli", key), array("bernoulli", "p", p)
    if mode not in ("high", "low"):
        raise ValueError(f"bernoulli: mode must be 'high' or 'low', not {mode!r}{at_line()}")
    dtype = type_of(p).dtype
    if dtype not in FLOATS:
        raise TypeError(f"bernoulli: p must have a float dtype, got {dtype.name}{at_line()}")
    shape = common_shape("bernoulli", shape, p=type_of(p).shape)
    return _bernoulli(key, converted(p, dtype), shape=shape, high=mode == "high")


@compiled
def _bernoulli(key: Any, p: Any, *, shape: Shape, high: bool) -> Any:
    dtype, p = type_of(p).dtype, spread(p, shape)
    if not high:
        return streams.uniform(streams.words(key), shape, dtype) < p
    both = streams.uniform(streams.words(key), (2, *shape), dtype)
    return both[1] * dtype.type(2.0 ** -streams.FRACTION[dtype]) < p - both[0]


def signs(key: streams.Key, shape: Shape, dtype: DType) -> Any:
    """-1 and 1."""
    half = np.float64(0.5)
    chosen = convert(streams.uniform(key, shape, np.dtype(np.float64)) < half, dtype=dtype)
    return convert(dtype.type(2) * chosen - dtype.type(1), dtype=dtype)


def rademacher(key: Any, shape: Any = (), dtype: Any = None) -> Any:
    """-1 and 1, each with probability 1/2.

    Parameters
    ----------
    key
        A key.
    shape
        Of the result.
    dtype
        Any dtype that has these numbers (default: int64).

    Returns
    -------
    Array
        Integers of the given shape and dtype.

    Raises
    ------
    ValueError
        The dtype is not one of numbers.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.rademacher(random.key(0), (4,))
    Array([ 1,  1, -1, -1])
    """
    kind = np.dtype(int if dtype is None else dtype)
    if kind not in NUMBERS:
        raise ValueError(f"rademacher: dtype must be one of numbers, got {kind.name}{at_line()}")
    return _rademacher(one_key("rademacher", key), shape=extents("rademacher", shape), dtype=kind)


@compiled
def _rademacher(key: Any, *, shape: Shape, dtype: DType) -> Any:
    return signs(streams.words(key), shape, dtype)


def categorical(
    key: Any, logits: Any, axis: int = -1, shape: Any = None, replace: bool = True, mode: str | None = None
) -> Any:
    """Positions along an axis, drawn with probabilities softmax(logits).

    By the largest of logits with noise from `gumbel` (the k largest, without replacement).

    Parameters
    ----------
    key
        A key.
    logits
        Logarithms of probabilities, up to a constant.
    axis
        Of the categories.
    shape
        Of the result: it ends with the shape of `logits` without `axis` (default: that shape).
    replace
        Whether a category may be drawn more than once along the axes that `shape` has in front.
    mode
        See `gumbel`.

    Returns
    -------
    Array
        Integers, of the given shape (default: that of `logits` without `axis`).

    Raises
    ------
    ValueError
        `mode` is something else, or there are fewer categories than are drawn without replacement.
    IndexError
        `logits` has no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.categorical(random.key(0), np.log([0.1, 0.2, 0.7]), shape=(6,))
    Array([2, 2, 2, 1, 1, 2])
    """
    name = "categorical"
    key, logits = one_key(name, key), array(name, "logits", logits)
    kind = type_of(logits)
    dtype_among(name, kind.dtype, FLOATS)
    if mode not in GUMBEL_MODES:
        raise ValueError(f"{name}: mode must be one of {GUMBEL_MODES}, not {mode!r}{at_line()}")
    along = integer(name, "axis", axis)
    if not -kind.ndim <= along < kind.ndim:
        raise IndexError(f"{name}: axis {along} does not fit logits of shape {kind.shape}{at_line()}")
    along %= kind.ndim
    batch = tuple(n for k, n in enumerate(kind.shape) if k != along)
    found = common_shape(name, shape, logits_without_axis=batch)
    prefix = found[: len(found) - len(batch)]
    if not replace and math.prod(prefix) > kind.shape[along]:
        raise ValueError(
            f"{name}: {math.prod(prefix)} categories cannot be drawn without replacement from {kind.shape[along]}"
            f"{at_line()}"
        )
    sampler = _categorical if replace else _categorical_without
    return sampler(key, logits, axis=along, shape=found, mode=mode)


@compiled
def _categorical(key: Any, logits: Any, *, axis: int, shape: Shape, mode: str | None) -> Any:
    kind = type_of(logits)
    front = len(shape) - kind.ndim + 1
    inner = list(shape[front:])
    inner.insert(axis, kind.shape[axis])
    noise = gumbel_of(streams.words(key), (*shape[:front], *inner), kind.dtype, mode)
    return fnp.argmax(noise + logits, axis=axis - kind.ndim)


@compiled
def _categorical_without(key: Any, logits: Any, *, axis: int, shape: Shape, mode: str | None) -> Any:
    kind = type_of(logits)
    front = len(shape) - kind.ndim + 1
    noisy = logits + gumbel_of(streams.words(key), kind.shape, kind.dtype, mode)
    _, found = top_k(fnp.moveaxis(noisy, axis, -1), math.prod(shape[:front]))
    return fnp.reshape(fnp.moveaxis(convert(found, dtype=INT64), -1, 0), shape)


# Arrangements --------------------------------------------------------------------------------------------------------


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """An array in random order, or the numbers below an integer.

    Parameters
    ----------
    key
        A key.
    x
        An array, or an integer n for 0, 1, ..., n - 1.
    axis
        Along which the order is random.
    independent
        Whether every line along `axis` gets an order of its own.

    Returns
    -------
    Array
        Of the shape and dtype of `x` (int64 of shape (x,) for an integer).

    Raises
    ------
    ValueError
        There is no such axis.
    TypeError
        `x` is a number, but no integer.

    Examples
    --------
    >>> from funcgrad import random
    >>> random.permutation(random.key(0), 5)
    Array([0, 1, 4, 3, 2])
    """
    key, x = one_key("permutation", key), array("permutation", "x", x)
    kind = type_of(x)
    along = integer("permutation", "axis", axis)
    if not -max(kind.ndim, 1) <= along < max(kind.ndim, 1):
        raise ValueError(f"permutation: axis {along} does not fit an array of shape {kind.shape}{at_line()}")
    along %= max(kind.ndim, 1)
    if kind.ndim:
        return _permutation(key, x, axis=along, independent=bool(independent))
    if kind.dtype.kind not in "iu":
        raise TypeError(
            f"permutation: x must be an integer or an array with axes, got {kind.dtype.name} of shape (){at_line()}"
        )
    return _permutation_of(key, size=max(integer("permutation", "x", x), 0))


@compiled
def _permutation_of(key: Any, *, size: int) -> Any:
    return arrangement(streams.words(key), (size,), 0)


@compiled
def _permutation(key: Any, x: Any, *, axis: int, independent: bool) -> Any:
    kind = type_of(x)
    if independent and kind.ndim > 1:
        order = arrangement(streams.words(key), kind.shape, axis)
        return fnp.take_along_axis(x, order, axis)
    return fnp.take(x, arrangement(streams.words(key), kind.shape[axis : axis + 1], 0), axis)


def arrangement(key: streams.Key, shape: Shape, axis: int) -> Any:
    """Positions along an axis in random order: sorted by random keys, so often that equal keys do not matter."""
    rounds = math.ceil(3 * math.log(max(1, math.prod(shape))) / math.log(0xFFFFFFFF))
    order: tuple[Any, ...] = ()
    for _ in range(rounds):
        key, inner = streams.subkeys(key, 2)
        order = (arrange(streams.bits(inner, shape, 32), *order, dimension=axis),)
    return order[0] if order else counted(INT64, shape, axis)


def choice(
    key: Any,
    a: Any,
    shape: Any = (),
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
    mode: str | None = None,
) -> Any:
    """Elements of an array, or numbers below an integer, at random.

    Parameters
    ----------
    key
        A key.
    a
        An array, or an integer n for 0, 1, ..., n - 1.
    shape
        How many: axes of this shape stand in the result where `axis` was.
    replace
        Whether an element may be drawn more than once.
    p
        The probabilities of the elements along `axis` (default: all alike).
    axis
        Along which elements are drawn.
    mode
        See `gumbel`; it matters with `p`, without replacement.

    Returns
    -------
    Array
        Of the given shape, in the dtype of `a` (int64 for an integer); with other axes, these around it.

    Raises
    ------
    ValueError
        `mode` is something else, there is no such axis, too little to draw from, or `p` does not fit.
    TypeError
        `shape` is no sequence.

    Examples
    --------
    >>> import numpy as np
    >>> from funcgrad import random
    >>> random.choice(random.key(0), np.array([2.0, 3.0, 5.0]), (4,))
    Array([2., 5., 5., 5.])
    """
    key, a = one_key("choice", key), array("choice", "a", a)
    if not isinstance(shape, Sequence):
        raise TypeError(f"choice: shape must be a sequence of integers, not {shape!r}{at_line()}")
    shape, kind = extents("choice", shape), type_of(a)
    draws, along = math.prod(shape), integer("choice", "axis", axis)
    if mode not in GUMBEL_MODES:
        raise ValueError(f"choice: mode must be one of {GUMBEL_MODES}, not {mode!r}{at_line()}")
    if kind.ndim:
        if not -kind.ndim <= along < kind.ndim:
            raise ValueError(f"choice: axis {along} does not fit an array of shape {kind.shape}{at_line()}")
        along %= kind.ndim
    size = kind.shape[along] if kind.ndim else int(a) if kind.dtype.kind == "f" else integer("choice", "a", a)
    if draws and size <= 0:
        raise ValueError(f"choice: there is nothing to draw from: a has {size} elements{at_line()}")
    if not replace and draws > size:
        raise ValueError(f"choice: {draws} of {size} elements cannot be drawn without replacement{at_line()}")
    if p is not None:
        p = array("choice", "p", p)
        if type_of(p).shape != (size,):
            raise ValueError(f"choice: p has shape {type_of(p).shape}, but there are {size} elements{at_line()}")
        p = converted(p, type_of(p).dtype if type_of(p).dtype in FLOATS else np.dtype(np.float64))
    found = _positions(key, size, shape, replace, p, mode)
    if not kind.ndim:
        return found
    if type(found) is Tracer:  # places are drawn in lanes, before elements are taken one by one
        found = barrier(found)
    return fnp.take(a, found, along, mode="clip")  # all are within bounds: nothing is left to be checked


def _positions(key: Any, size: int, shape: Shape, replace: bool, p: Any, mode: str | None) -> Any:
    if not math.prod(shape):
        return fnp.zeros(shape, INT64)
    if p is None:
        return randint(key, shape, 0, size) if replace else _few(key, size=size, shape=shape)
    return _weighted(key, p, shape=shape) if replace else _weighted_without(key, p, shape=shape, mode=mode)


@compiled
def _few(key: Any, *, size: int, shape: Shape) -> Any:
    return fnp.reshape(arrangement(streams.words(key), (size,), 0)[: math.prod(shape)], shape)


@compiled
def _weighted(key: Any, p: Any, *, shape: Shape) -> Any:
    """By the first place where the sum of probabilities reaches a number in (0, 1]."""
    sums, dtype = fnp.cumsum(p), type_of(p).dtype
    reached = sums[-1] * (dtype.type(1) - streams.uniform(streams.words(key), shape, dtype))
    return convert(fnp.searchsorted(sums, reached), dtype=INT64)


@compiled
def _weighted_without(key: Any, p: Any, *, shape: Shape, mode: str | None) -> Any:
    noise = gumbel_of(streams.words(key), type_of(p).shape, type_of(p).dtype, mode)
    _, found = top_k(noise + fnp.log(p), math.prod(shape))
    return fnp.reshape(convert(found, dtype=INT64), shape)
