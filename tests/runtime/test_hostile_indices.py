"""Can compiled code be led out of an array?  Every function that takes places, with places that there are not.

All of it runs under `check_memory`, and gives what NumPy gives without compilation: the same value, or the same error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad import numpy as fnp

X = np.arange(1.0, 6.0)
PLACES = (-1, 4, 5, -6, 2**31, 2**63 - 1, -(2**63))
ROWS = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(), start_index_map=(0,))
INTO_ROWS = lax.ScatterDimensionNumbers((1,), (), (0,))


def outer(x: Any) -> Any:
    return np.outer(x, x)


def at(x: Any, i: Any) -> Any:
    return fnp.asarray(x).at[i]


def pair(i: Any) -> Any:
    return np.stack([i, i * 0])


TAKEN: dict[str, Callable[[Any, Any], Any]] = {
    "x[i]": lambda x, i: x[i],
    "x[:, i, None]": lambda x, i: outer(x)[1:, i, None],
    "x[[i, 0], [0, i]]": lambda x, i: outer(x)[pair(i), pair(i)[::-1]],
    "take, clip": lambda x, i: fnp.take(x, i, mode="clip"),
    "take_along_axis": lambda x, i: fnp.take_along_axis(x, pair(i), 0),
    **{f"at.get, {m}": lambda x, i, m=m: at(x, i).get(mode=m) for m in ("fill", "clip", "promise_in_bounds")},
    **{f"at.add, {m}": lambda x, i, m=m: at(x, pair(i)).add(1.0, mode=m) for m in ("drop", "clip", "wrap")},
    "at.set": lambda x, i: at(x, i).set(1.0),
    "at.multiply of a row": lambda x, i: at(outer(x), (i, slice(1, 3))).multiply(x[:2]),
    "dynamic_slice": lambda x, i: lax.dynamic_slice(outer(x), (i, -i), (3, 2)),
    "dynamic_update_slice": lambda x, i: lax.dynamic_update_slice(x, x[:2], (i,)),
    **{f"gather, {m}": lambda x, i, m=m: lax.gather(x, pair(i)[:, None], ROWS, (2,), mode=m) for m in ("fill", "clip")},
    **{
        f"{name}, {m}": lambda x, i, m=m, name=name: getattr(lax, name)(
            x, pair(i)[:, None], np.ones((2, 2)), INTO_ROWS, mode=m
        )
        for name in ("scatter", "scatter_add", "scatter_max")
        for m in ("fill", "clip")
    },
    "segment_sum": lambda x, i: lax.segment_sum(x[:2], pair(i), 3),
    "segment_max, said to be sorted": lambda x, i: lax.segment_max(x[:2], pair(i), 3, indices_are_sorted=True),
    "switch": lambda x, i: lax.switch(i, [np.sin, np.cos], x),
    "choose": lambda x, i: fnp.choose(i, [x, x * 2], mode="clip"),
    "bincount": lambda x, i: fnp.bincount(pair(np.abs(i)), x[:2], length=3),
    "ravel_multi_index": lambda x, i: fnp.ravel_multi_index((i, i), (3, 4)),
    "one_hot": lambda x, i: fg.nn.one_hot(i, 5) * x,
    "integer labels": lambda x, i: fg.losses.softmax_cross_entropy_with_integer_labels(x, i),
    "searchsorted": lambda x, i: x[np.minimum(fnp.searchsorted(x, i), 4)],
    "a loop": lambda x, i: lax.fori_loop(0, 2, lambda k, c: at(c, i).add(c[i] + k), x),
    "slices in a loop": lambda x, i: lax.scan(
        lambda c, y: (lax.dynamic_update_slice(c, y + c[:1], (i,)), c), x, x[:, None]
    )[0],
    "a branch": lambda x, i: lax.cond(i > 0, lambda: x[i], lambda: x[0]),
}
DIFFERENTIATED = ("x[i]", "at.add, drop", "dynamic_update_slice", "a loop")


def outcome(fun: Callable[..., Any], *args: Any) -> Any:
    """The values, or the type of the exception."""
    try:
        return [np.asarray(leaf) for leaf in fg.tree.leaves(fun(*args))]
    except (IndexError, ValueError) as error:
        return type(error)


def agree(got: Any, wanted: Any) -> bool:
    if isinstance(got, type) or isinstance(wanted, type):
        return got is wanted
    return all(a.shape == b.shape and np.allclose(a, b, equal_nan=True) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("name", TAKEN)
def test_places_that_there_are_not(name: str) -> None:
    fun = TAKEN[name]
    compiled = fg.jit(fun)
    for place in PLACES:
        with np.errstate(all="ignore"):
            wanted = outcome(fun, fnp.asarray(X), fnp.asarray(place))
        with fg.config.check_memory():
            got = outcome(compiled, X, np.int64(place))
        assert agree(got, wanted), (place, got, wanted)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_in_derivatives_and_batches(name: str) -> None:
    fun = TAKEN[name]

    def total(x: Any, i: Any) -> Any:
        return np.sum(fun(x, i) * 2)

    transformed = fg.jit(fg.vmap(fg.grad(total), in_axes=(None, 0)))
    for place in PLACES:
        places = np.array([0, place])
        with np.errstate(all="ignore"):
            wanted = outcome(lambda places=places: np.stack([fg.grad(total)(fnp.asarray(X), i) for i in places]))
        with fg.config.check_memory():
            assert agree(outcome(transformed, X, places), wanted), place


def test_nan_is_place_0_and_infinity_none() -> None:
    """As floats become integers in compiled code."""
    with fg.config.check_memory():
        taken = fg.jit(lambda x, v: x[v.astype(np.int64)])
        assert taken(X, np.float64(np.nan)) == 1.0
        with pytest.raises(IndexError):
            taken(X, np.float64(np.inf))


SIZES = (-7, -1, 0, 3, 2**40, 2**63 - 1, -(2**63), 2**64)
GIVEN: dict[str, Callable[[Any, Any], Any]] = {
    "x[v:]": lambda x, v: x[v:],
    "x[::v]": lambda x, v: x[::v],
    "at[v]": lambda x, v: at(x, v).set(1.0),
    "at[::v]": lambda x, v: at(x, slice(None, None, v)).add(1.0),
    "slice": lambda x, v: lax.slice(x, (1,), (v,)),
    "pad": lambda x, v: lax.pad(x, 0.0, [(v, 1, 0)]),
    "dynamic_slice": lambda x, v: lax.dynamic_slice(x, (x[0].astype(int),), (v,)),
    "broadcast_to": lambda x, v: np.broadcast_to(x, (v, 5)),
    "roll": lambda x, v: fnp.roll(x, v),
    "top_k": lambda x, v: lax.top_k(x, v),
    "sort": lambda x, v: lax.sort((x, x), num_keys=v),
    "diagonal": lambda x, v: fnp.diagonal(outer(x), v),
    "segment_sum": lambda x, v: lax.segment_sum(x, np.array([0, 1, 2, 1, 0]), v),
    "one_hot": lambda x, v: fg.nn.one_hot(x.astype(int), v),
    "choice": lambda x, v: fg.random.choice(fg.random.key(0), x, (v,), replace=False),
    "permutation": lambda x, v: fg.random.permutation(fg.random.key(0), x, axis=v),
    "fft": lambda x, v: np.fft.fft(x, v),
    "convolution": lambda x, v: lax.conv_general_dilated(x.reshape(1, 1, 5), x[:3].reshape(1, 1, 3), (1,), [(v, 2)]),
    "reduce_window": lambda x, v: lax.reduce_window(x, -np.inf, lax.max, (2,), (1,), [(v, 1)]),
    "axis": lambda x, v: np.cumsum(outer(x), axis=v),
}


@pytest.mark.parametrize("name", GIVEN)
def test_sizes_that_there_are_not(name: str) -> None:
    """Errors are those of Python, NumPy and memory that there is not: never `MemoryCheckError`."""
    for size in SIZES:
        with (
            fg.config.check_memory(),
            contextlib.suppress(ValueError, TypeError, IndexError, OverflowError, MemoryError),
        ):
            fg.jit(lambda x, v=size: GIVEN[name](x, v))(X)
