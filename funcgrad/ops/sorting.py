"""Which operations put elements in order, or look for a place among those that are?  sort, argsort, searchsorted.

The order is NumPy's: NaN comes last (first, if descending), -0 equals 0, complex numbers go by real part first. Equal
elements keep their order, descending ones too. Sorting by several keys and the largest k are made of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import ALL
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.bits import bitcast, unsigned
from funcgrad.ops.comparison import and_, convert, lt, ne, not_, or_, select, shift_left, xor
from funcgrad.ops.families import Operation, nondifferentiable, repeat, zeros_like
from funcgrad.ops.indexing import gather, scatter_add
from funcgrad.ops.shape import iota, rev, slice_, transpose
from funcgrad.trace.frame import bind, type_of

INT64 = np.dtype(np.int64)
UINT64 = np.dtype(np.uint64)


def _check(name: str, x: ArrayType, dimension: int) -> None:
    if x.dtype not in ALL:
        raise TypeError(f"{name} does not accept dtype {x.dtype.name}")
    if not 0 <= dimension < x.ndim:
        raise TypeError(f"{name}: axis {dimension} does not fit an array of shape {x.shape}")


# argsort --------------------------------------------------------------------------------------------------------------


def _argsort(x: Any, *, dimension: int, descending: bool) -> Any:
    if not descending:
        return np.argsort(x, dimension, kind="stable")
    backwards = np.argsort(np.flip(x, dimension), dimension, kind="stable")
    return np.shape(x)[dimension] - 1 - np.flip(backwards, dimension)


def _argsort_infer(x: ArrayType, *, dimension: int, descending: bool) -> ArrayType:
    _check("argsort", x, dimension)
    return ArrayType(x.shape, INT64)


argsort: Operation = nondifferentiable(
    "argsort",
    _argsort,
    _argsort_infer,
    lambda size, x, *, dimension, descending: argsort(x, dimension=dimension + 1, descending=descending),
)


# arrange: positions, or places below 2**32, in the order of keys that are random bits ---------------------------------


ARRANGED = 1 << 13  # keys, below which sorting them is as fast


def _arrange(keys: Any, *places: Any, dimension: int) -> Any:
    """Of `keys`; kernels that have made buckets ask with words, which have a key above and a place below."""
    if keys.dtype == UINT64:
        return (keys & np.uint64(0xFFFFFFFF)).astype(INT64)[np.argsort(keys >> np.uint64(32), kind="stable")]
    order = np.argsort(keys, dimension, kind="stable")
    return np.take_along_axis(places[0], order, dimension) if places else order


def _arrange_infer(keys: ArrayType, *places: ArrayType, dimension: int) -> ArrayType:
    _check("arrange", keys, dimension)
    if keys.dtype != np.uint32 or len(places) > 1 or any(p != ArrayType(keys.shape, INT64) for p in places):
        raise TypeError(f"arrange takes uint32 keys, and int64 places of their shape, not {keys} and {places}")
    return ArrayType(keys.shape, INT64)


def _arrange_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    """By argsort, but for one long line."""
    keys, dimension = types[0], params["dimension"]
    if ARRANGED <= keys.shape[dimension] == keys.size < 1 << 32:
        return None

    def ordered(keys: Any, *places: Any) -> Values:
        order = argsort(keys, dimension=dimension, descending=False)
        return (reordered(places[0], order, dimension) if places else order,)

    return ordered


arrange: Operation = nondifferentiable(
    "arrange",
    _arrange,
    _arrange_infer,
    lambda size, *operands, dimension: arrange(*operands, dimension=dimension + 1),
)
arrange.expand = _arrange_expand


# top_places: the first of what argsort gives, by selection -----------------------------------------------------------

SELECTED, SHORT = 2048, 128  # elements, and elements of a line, below which sorting is faster than selecting
FEW = 16  # of so many, one at most is wanted


def _top_places(x: Any, *, dimension: int, k: int, descending: bool) -> Any:
    """Selection by `numpy.partition`, and the few that it leaves in order."""
    x = np.asarray(x)
    n = x.shape[dimension]
    if x.dtype.kind not in "iuf" or not 0 < k < n or not x.size:
        return np.take(_argsort(x, dimension=dimension, descending=descending), range(k), dimension)
    lines = np.moveaxis(x, dimension, -1).reshape(-1, n)
    place = n - k if descending else k - 1
    last = np.partition(lines, place)[:, place, None]
    found = ~(lines < last) if descending else lines <= last  # NaN counts as the largest
    exact = np.flatnonzero(np.count_nonzero(found, axis=1) == k)
    places = np.empty((len(lines), k), INT64)
    if len(exact):
        chosen = found if len(exact) == len(lines) else found[exact]
        columns = np.nonzero(chosen)[1].reshape(-1, k)
        few = np.take_along_axis(lines[exact] if len(exact) < len(lines) else lines, columns, -1)
        places[exact] = np.take_along_axis(columns, _argsort(few, dimension=1, descending=descending), -1)
    for line in np.setdiff1d(np.arange(len(lines)), exact):  # more are equal to the last one than there is room for
        order = _argsort(lines[line], dimension=0, descending=descending)
        places[line] = order[:k]
    rest = (*x.shape[:dimension], *x.shape[dimension + 1 :], k)
    return np.ascontiguousarray(np.moveaxis(places.reshape(rest), -1, dimension))


def _top_places_infer(x: ArrayType, *, dimension: int, k: int, descending: bool) -> ArrayType:
    _check("top_places", x, dimension)
    if not 0 <= k <= x.shape[dimension]:
        raise TypeError(f"top_places: k={k} does not fit axis {dimension} of shape {x.shape}")
    return ArrayType((*x.shape[:dimension], k, *x.shape[dimension + 1 :]), INT64)


def _top_places_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    """All in order, where that is as fast."""
    (x,), dimension, k = types, params["dimension"], params["k"]
    n = x.shape[dimension]
    if x.size >= SELECTED and n >= SHORT and k * FEW <= n and x.dtype.kind in "iuf" and x.dtype.itemsize > 2:
        return None

    def first(x: Any) -> Values:
        order = argsort(x, dimension=dimension, descending=params["descending"])
        shape = type_of(order).shape
        limits = tuple(k if axis == dimension else m for axis, m in enumerate(shape))
        return (slice_(order, start_indices=(0,) * len(shape), limit_indices=limits, strides=(1,) * len(shape)),)

    return first


top_places: Operation = nondifferentiable(
    "top_places",
    _top_places,
    _top_places_infer,
    lambda size, x, *, dimension, k, descending: top_places(x, dimension=dimension + 1, k=k, descending=descending),
)
top_places.expand = _top_places_expand


def lines_of(order: Any, dimension: int) -> tuple[Any, ...]:
    """Indices for every axis: those of `order` along one, each place's own along the others."""
    shape = type_of(order).shape
    return tuple(order if k == dimension else iota(dtype=INT64, shape=shape, dimension=k) for k in range(len(shape)))


def reordered(x: Any, order: Any, dimension: int) -> Any:
    """The elements of `x` in an order that `argsort` has found."""
    return gather(x, *lines_of(order, dimension), axes=tuple(range(type_of(x).ndim)))


def lexicographic(keys: Sequence[Any], dimension: int, descending: bool = False) -> Any:
    """The order by the first key, where equal by the second, and so on."""
    order = None
    for key in reversed(keys):
        last = key if order is None else reordered(key, order, dimension)
        found = argsort(last, dimension=dimension, descending=descending)
        order = found if order is None else reordered(order, found, dimension)
    return order


# How kernels do it: by unsigned keys ----------------------------------------------------------------------------------

PACKED = 1 << 15  # places, below which sorting words of key and place is faster than sorting by digits
DIGITS = 512  # the same for keys of one or two bytes


def _key(x: Any, descending: bool = False) -> Any:
    """The unsigned integer that stands for an element.

    Floats have their bits turned over where they are negative; -0 is 0, NaN is the largest.
    """
    dtype = type_of(x).dtype
    kind = unsigned(dtype)
    sign, most = kind.type(1 << (8 * dtype.itemsize - 1)), kind.type((1 << (8 * dtype.itemsize)) - 1)
    if dtype.kind == "b":
        key = convert(x, dtype=kind)
    elif dtype.kind == "u":
        key = x
    elif dtype.kind == "i":
        key = xor(bitcast(x, new_dtype=kind), sign)
    else:
        bits = bitcast(x, new_dtype=kind)
        key = select(lt(x, dtype.type(0)), or_(bits, sign), not_(bits))
        key = select(ne(x, x), key, most)
    return not_(key) if descending else key


def _by_words(x: Any, dimension: int) -> Any:
    """argsort of small unsigned keys, by sorting words that have the key above the place: no two are equal."""
    place = iota(dtype=UINT64, shape=type_of(x).shape, dimension=dimension)
    words = or_(shift_left(convert(x, dtype=UINT64), np.uint64(32)), place)
    low = and_(sort(words, dimension=dimension, descending=False), np.uint64(0xFFFFFFFF))
    return convert(low, dtype=INT64)


def _argsort_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    (x,), (dimension, descending) = types, (params["dimension"], params["descending"])
    if x.dtype.kind not in "biuf" or 0 in x.shape:
        return None
    if x.dtype.kind != "u" or descending:
        return lambda x: (argsort(_key(x, descending), dimension=dimension, descending=False),)
    if x.dtype.itemsize <= 4 and x.shape[dimension] < (DIGITS if x.dtype.itemsize <= 2 else PACKED):
        return lambda x: (_by_words(x, dimension),)
    return None


argsort.expand = _argsort_expand


def _sort_expand(types: Sequence[ArrayType], params: Mapping[str, Any]) -> Callable[..., Values] | None:
    """Ascending along the last axis is what is there; halves are sorted as integers."""
    (x,), (dimension, descending) = types, (params["dimension"], params["descending"])
    if x.dtype.kind not in "biuf" or 0 in x.shape:
        return None
    if x.dtype == np.float16:
        return lambda x: (_half_of(sort(_half_key(x), **params)),)
    if dimension != x.ndim - 1:
        order = (*(k for k in range(x.ndim) if k != dimension), dimension)
        back = tuple(int(k) for k in np.argsort(order))
        last = x.ndim - 1

        def moved(x: Any) -> Values:
            inner = sort(transpose(x, permutation=order), dimension=last, descending=descending)
            return (transpose(inner, permutation=back),)

        return moved
    if descending:
        return lambda x: (rev(sort(x, dimension=dimension, descending=False), dimensions=(dimension,)),)
    return None


def _half_key(x: Any) -> Any:
    """Halves as integers of the same order, which `_half_of` makes halves again."""
    bits = bitcast(select(ne(x, x), x, np.float16(np.nan)), new_dtype=np.dtype(np.uint16))
    return select(lt(bits, np.uint16(0x8000)), not_(bits), or_(bits, np.uint16(0x8000)))


def _half_of(key: Any) -> Any:
    bits = select(lt(key, np.uint16(0x8000)), and_(key, np.uint16(0x7FFF)), not_(key))
    return bitcast(bits, new_dtype=np.dtype(np.float16))


# sort -----------------------------------------------------------------------------------------------------------------


def _sort(x: Any, *scratch: Any, dimension: int, descending: bool, pieces: int = 1) -> Any:
    """Sorted values; kernels that merge ask for so many `pieces` of the last axis, each sorted by itself.

    Those that split bring memory along.
    """
    if pieces > 1:
        length = -(-np.shape(x)[-1] // pieces)
        return np.concatenate([np.sort(part) for part in np.split(x, range(length, np.shape(x)[-1], length), -1)], -1)
    return np.flip(np.sort(x, dimension), dimension) if descending else np.sort(x, dimension)


def _sort_infer(x: ArrayType, *, dimension: int, descending: bool) -> ArrayType:
    _check("sort", x, dimension)
    return x.with_shape(x.shape)


def _sort_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    (x,), (t,) = inputs, tangents
    if t is None:
        return bind(sort, x, **params), (None,)
    order = argsort(x, **params)
    return (reordered(x, order, params["dimension"]),), (reordered(t, order, params["dimension"]),)


def _sort_vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
    (x,) = inputs
    order = argsort(x, **params)
    lines = lines_of(order, params["dimension"])

    def pullback(cotangents: Values) -> Values:
        return (scatter_add(zeros_like(x), cotangents[0], *lines, axes=tuple(range(len(lines)))),)

    return (reordered(x, order, params["dimension"]),), pullback


def _sort_batch(size: int, inputs: Values, batched: Any, params: dict[str, Any]) -> tuple[Values, tuple[bool, ...]]:
    x = inputs[0] if batched[0] else repeat(inputs[0], size)
    return bind(sort, x, dimension=params["dimension"] + 1, descending=params["descending"]), (True,)


sort: Operation = Operation(
    name="sort",
    family="linear",
    reference=_sort,
    infer=_sort_infer,
    jvp=_sort_jvp,
    vjp=_sort_vjp,
    batch=_sort_batch,
    expand=_sort_expand,
)


# searchsorted: sorted has the shape (*batch, n), the query (*batch, ...) ----------------------------------------------


def _searchsorted(ordered: Any, query: Any, *, side: Any, batch_ndim: int) -> Any:
    ordered, query = np.asarray(ordered), np.asarray(query)
    if not batch_ndim:
        return np.asarray(np.searchsorted(ordered, query, side))
    out = np.empty(query.shape, INT64)
    for place in np.ndindex(query.shape[:batch_ndim]):
        out[place] = np.searchsorted(ordered[place], query[place], side)
    return out


def _searchsorted_infer(ordered: ArrayType, query: ArrayType, *, side: str, batch_ndim: int) -> ArrayType:
    if ordered.dtype != query.dtype or ordered.dtype not in ALL:
        raise TypeError(f"searchsorted: operands have dtypes {ordered.dtype.name} and {query.dtype.name}")
    if ordered.ndim != batch_ndim + 1 or query.shape[:batch_ndim] != ordered.shape[:batch_ndim]:
        raise TypeError(f"searchsorted: shapes {ordered.shape} and {query.shape} do not fit ({batch_ndim} batch axes)")
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}")
    return ArrayType(query.shape, INT64)


def _searchsorted_batch(
    size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Values, tuple[bool, ...]]:
    if not batched[0] and not params["batch_ndim"]:
        return bind(searchsorted, *inputs, **params), (True,)
    full = [x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)]
    return bind(searchsorted, *full, side=params["side"], batch_ndim=params["batch_ndim"] + 1), (True,)


searchsorted: Operation = Operation(
    name="searchsorted",
    family="nondifferentiable",
    reference=_searchsorted,
    infer=_searchsorted_infer,
    batch=_searchsorted_batch,
)
