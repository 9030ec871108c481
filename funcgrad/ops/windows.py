"""What is folded window by window?  Sums and extrema, and the elements that the extrema stand at.

All axes have a window (often of one element): `window_dimensions`, `window_strides`, `padding` (negative: cuts),
`base_dilation` (holes between elements) and `window_dilation` (holes in the window), as JAX has them. What is added by
padding and holes is never an extremum.

The derivative of an extremum goes to one element: the first one of its window, in C order, that attains it (as in
JAX); a NaN attains it where there is one. `window_gather` reads there, `window_scatter` adds there; each is the
transpose of the other.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import ALL, INEXACT, NUMBERS, DType, kind_of
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.arithmetic import max_, min_
from funcgrad.ops.comparison import convert, eq, gt, lt, select
from funcgrad.ops.convolution import HALF, NAMES, Ints, Window, dilated, result_shape, spread_out, taps, windows
from funcgrad.ops.families import Operation, linear, repeat
from funcgrad.ops.reduction import reduce_max, reduce_min, reduce_sum
from funcgrad.ops.shape import broadcast_in_dim, iota, pad, reshape
from funcgrad.trace.frame import bind, type_of

MOST_TAPS = 64  # elements of a window that is written out
INT32 = np.dtype(np.int32)


def identity(name: str, dtype: DType) -> Any:
    """What changes no sum, maximum or minimum (``"sum"``, ``"max"``, ``"min"``)."""
    if name == "sum":
        return dtype.type(0)
    if dtype.kind == "b":
        return dtype.type(name == "min")
    if dtype.kind in "iu":
        return dtype.type(np.iinfo(dtype).min if name == "max" else np.iinfo(dtype).max)
    return dtype.type(-np.inf if name == "max" else np.inf)


def _infer(name: str, allowed: frozenset[DType]) -> Any:
    def infer(x: ArrayType, **window: Any) -> ArrayType:
        if x.dtype not in allowed:
            raise TypeError(f"{name} does not accept dtype {x.dtype.name}")
        if any(len(window[key]) != x.ndim for key in NAMES):
            raise TypeError(f"{name}: a window {window} does not fit an operand of shape {x.shape}")
        return x.with_shape(result_shape(x.shape, window))

    return infer


def _seen(x: Any, value: Any, window: Window) -> Any:
    """What each window sees: places, then window elements."""
    dimensions, strides, padding, base, own = (window[name] for name in NAMES)
    full = spread_out(x, range(x.ndim), padding, base, value)
    spans = [dilated(n, d) for n, d in zip(dimensions, own, strict=True)]
    if any(n < span for n, span in zip(full.shape, spans, strict=True)):
        return np.empty((*result_shape(x.shape, window), *dimensions), x.dtype)
    return windows(full, range(x.ndim), dimensions, strides, own)


def _fold(name: str, ufunc: Any) -> Any:
    def reference(x: Any, **window: Any) -> Any:
        x = np.asarray(x)
        value = identity(name, x.dtype)
        axes = tuple(range(x.ndim, 2 * x.ndim))
        kind = x.dtype.newbyteorder("=")
        wide = np.dtype(np.float32) if name == "sum" and kind in HALF else kind
        seen = _seen(x, value, window)
        return np.asarray(ufunc.reduce(seen, axes, dtype=wide, initial=value)).astype(kind, copy=False)

    return reference


def _wider(window: Window) -> Window:
    """The window with a batch axis in front."""
    plain = ((1,), (1,), ((0, 0),), (1,), (1,))
    return {name: (*front, *window[name]) for name, front in zip(NAMES, plain, strict=True)}


def _sum_transpose(ct: Any, x: ArrayType, **window: Any) -> Any:
    """The sum of the cotangents, opened by the strides, of the windows that an element is in."""
    pads = []
    dimensions, strides, padding, base, own = (window[name] for name in NAMES)
    for n, k, m, s, (low, _), b, d in zip(x.shape, dimensions, ct.shape, strides, padding, base, own, strict=True):
        before = dilated(k, d) - 1 - low
        pads.append((before, dilated(n, b) + dilated(k, d) - 1 - dilated(m, s) - before))
    return reduce_window_sum(
        ct,
        window_dimensions=dimensions,
        window_strides=base,
        padding=tuple(pads),
        base_dilation=strides,
        window_dilation=own,
    )


reduce_window_sum: Operation = linear(
    "reduce_window_sum",
    _fold("sum", np.add),
    _infer("reduce_window_sum", NUMBERS),
    _sum_transpose,
    lambda size, x, **window: reduce_window_sum(x, **_wider(window)),
)


# Extrema -------------------------------------------------------------------------------------------------------------


def _extremum(name: str, ufunc: Any) -> Operation:
    def jvp(inputs: Values, tangents: Values, params: Window) -> tuple[Values, Values]:
        out = bind(primitive, *inputs, **params)
        return out, (None if tangents[0] is None else window_gather(tangents[0], inputs[0], kind=name, **params),)

    def vjp(inputs: Values, wanted: Values, params: Window) -> tuple[Values, Pullback]:
        out = bind(primitive, *inputs, **params)
        return out, lambda cotangents: (window_scatter(cotangents[0], inputs[0], kind=name, **params),)

    def batch(size: int, inputs: Values, batched: Any, params: Window) -> tuple[Values, tuple[bool, ...]]:
        return bind(primitive, *inputs, **_wider(params)), (True,)

    title = f"reduce_window_{name}"
    primitive = Operation(
        name=title,
        family="reduction",
        reference=_fold(name, ufunc),
        infer=_infer(title, ALL),
        jvp=jvp,
        vjp=vjp,
        batch=batch,
    )
    return primitive


reduce_window_max = _extremum("max", np.maximum)
reduce_window_min = _extremum("min", np.minimum)


def _positions(x: Any, kind: str, window: Window) -> Any:
    """For each window the place, in C order, of the first element that attains its extremum; -1 if it sees none."""
    numbers = np.arange(x.size).reshape(x.shape)
    shape = result_shape(x.shape, window)
    count = math.prod(window["window_dimensions"])
    numbers = _seen(numbers, -1, window).reshape(*shape, count)
    seen = _seen(x, identity(kind, x.dtype), window).reshape(*shape, count)
    if not count or not numbers.size:
        return np.full(shape, -1)
    fold = np.max if kind == "max" else np.min
    attained = (seen == fold(seen, -1, keepdims=True)) | (seen != seen)
    first = np.argmax(attained & (numbers >= 0), -1)
    return np.take_along_axis(numbers, first[..., None], -1)[..., 0]


def _gather(t: Any, x: Any, *, kind: str, **window: Any) -> Any:
    t, x = np.asarray(t), np.asarray(x)
    found = _positions(x, kind, window)
    if not t.size:
        return np.zeros(found.shape, t.dtype)
    return np.where(found >= 0, t.reshape(-1)[found], t.dtype.type(0))


def _scatter(ct: Any, x: Any, *, kind: str, **window: Any) -> Any:
    ct, x = np.asarray(ct), np.asarray(x)
    found = _positions(x, kind, window)
    out = np.zeros(x.size, np.float32 if ct.dtype in HALF else ct.dtype)
    np.add.at(out, found[found >= 0], ct[found >= 0])
    return out.reshape(x.shape).astype(ct.dtype, copy=False)


def _gather_infer(t: ArrayType, x: ArrayType, *, kind: str, **window: Any) -> ArrayType:
    if t.shape != x.shape or t.dtype not in INEXACT:
        raise TypeError(f"window_gather: {t} cannot be read where {x} has its extrema")
    return t.with_shape(result_shape(x.shape, window))


def _scatter_infer(ct: ArrayType, x: ArrayType, *, kind: str, **window: Any) -> ArrayType:
    if ct.shape != result_shape(x.shape, window) or ct.dtype not in INEXACT:
        raise TypeError(f"window_scatter: {ct} does not fit the windows of {x}")
    return ct.with_shape(x.shape)


def _moves(name: str, reference: Any, infer: Any, back: str) -> Operation:
    """An operation that is linear in its first operand and takes places from the second; `back` is its transpose."""

    def jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
        out = bind(primitive, *inputs, **params)
        return out, (None if tangents[0] is None else primitive(tangents[0], inputs[1], **params),)

    def vjp(inputs: Values, wanted: Values, params: dict[str, Any]) -> tuple[Values, Pullback]:
        def pullback(cotangents: Values) -> Values:
            other = window_scatter if back == "window_scatter" else window_gather
            return (other(cotangents[0], inputs[1], **params) if wanted[0] else None), None

        return bind(primitive, *inputs, **params), pullback

    def batch(
        size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]
    ) -> tuple[Values, tuple[bool, ...]]:
        full = [x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)]
        return (primitive(*full, kind=params["kind"], **_wider(params)),), (True,)

    primitive = Operation(name=name, family="linear", reference=reference, infer=infer, jvp=jvp, vjp=vjp, batch=batch)
    return primitive


window_gather = _moves("window_gather", _gather, _gather_infer, "window_scatter")
window_scatter = _moves("window_scatter", _scatter, _scatter_infer, "window_gather")


# What kernels make of it: slices of the padded operand, one for each element of the window ---------------------------


def _is_written_out(types: Sequence[ArrayType], window: Window) -> bool:
    few = math.prod(window["window_dimensions"]) <= MOST_TAPS
    return few and all(t.dtype.kind != "c" and 0 not in t.shape for t in types)


def _fold_expand(name: str, combine: Any, whole: Any) -> Any:
    def expand(types: tuple[ArrayType, ...], params: Window) -> Any:
        (x,) = types
        covered = _covered(x.shape, params)
        if covered and x.dtype.kind != "c" and 0 not in x.shape:
            shape = result_shape(x.shape, params)
            rest = _without(params, covered)
            return lambda x: (reshape(_folded(name, whole(x, axes=covered), rest), shape=shape),)
        if not _is_written_out(types, params) or not math.prod(params["window_dimensions"]):
            return None
        if repeated := name == "sum" and _repeats(x.shape, params):
            return lambda x: (_repeated(x, repeated),)
        if name == "sum" and x.dtype in HALF:
            wide, narrow = np.dtype(np.float32), x.dtype
            return lambda x: (convert(reduce_window_sum(convert(x, dtype=wide), **params), dtype=narrow),)
        return lambda x: (functools.reduce(combine, taps(x, identity(name, x.dtype), params)),)

    return expand


def _covered(shape: Ints, window: Window) -> Ints:
    """The axes that a window covers as a whole."""
    return tuple(
        k
        for k, (n, size, pads, base, own) in enumerate(
            zip(shape, *(window[key] for key in NAMES if key != "window_strides"), strict=True)
        )
        if n == size > 1 and pads == (0, 0) and base == own == 1
    )


def _without(window: Window, axes: Ints) -> Window:
    return {key: tuple(v for k, v in enumerate(window[key]) if k not in axes) for key in NAMES}


def _folded(name: str, x: Any, window: Window) -> Any:
    ones = (window["window_dimensions"], window["window_strides"], window["base_dilation"])
    if all(n == 1 for key in ones for n in key) and window["padding"] == ((0, 0),) * len(window["padding"]):
        return x
    return {"sum": reduce_window_sum, "max": reduce_window_max, "min": reduce_window_min}[name](x, **window)


def _repeats(shape: Ints, window: Window) -> Ints:
    """How often each element appears, where windows over holes see exactly one element (a mean's derivative)."""
    times = []
    for n, size, stride, pads, base, own in zip(shape, *(window[key] for key in NAMES), strict=True):
        whole = pads == (size - 1, size - 1) and base == size and stride == own == 1
        if not (whole or (size == stride == base == 1 and pads == (0, 0))):
            return ()
        times.append(size if n else 1)
    return tuple(times)


def _repeated(x: Any, times: Ints) -> Any:
    shape = type_of(x).shape
    full = tuple(itertools.chain.from_iterable(zip(shape, times, strict=True)))
    spread = broadcast_in_dim(x, shape=full, broadcast_dimensions=tuple(range(0, len(full), 2)))
    return reshape(spread, shape=tuple(n * t for n, t in zip(shape, times, strict=True)))


reduce_window_sum.expand = _fold_expand("sum", lambda a, b: a + b, reduce_sum)
reduce_window_max.expand = _fold_expand("max", max_, reduce_max)
reduce_window_min.expand = _fold_expand("min", min_, reduce_min)


def _first(xs: list[Any], ts: list[Any], valid: list[Any], kind: str) -> Any:
    """Of the `ts`, the one that stands where the `xs` have their extremum first, among those that are valid."""
    beats = gt if kind == "max" else lt
    best, chosen, seen = xs[0], ts[0], valid[0]
    for x, t, inside in zip(xs[1:], ts[1:], valid[1:], strict=True):
        better = beats(x, best)
        if kind_of(type_of(x).dtype) == "f":
            better = better | ((x != x) & (best == best))
        if seen is not None:
            better = better | ~seen
        if inside is not None:
            better = better & inside
        best, chosen = _where(better, x, best), _where(better, t, chosen)
        seen = None if seen is None or inside is None else seen | inside
    if seen is not None:
        chosen = _where(seen, chosen, _filled(0, chosen))
    return chosen


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    return select(condition, otherwise, then)


def _filled(number: Any, like: Any) -> Any:
    kind = type_of(like)
    return broadcast_in_dim(kind.dtype.type(number), shape=kind.shape, broadcast_dimensions=())


def inside(shape: Ints, window: Window) -> Iterator[Any]:
    """For each element of the window where it meets an element (None: everywhere)."""
    lines = []
    wide = result_shape(shape, window)
    for k, n in enumerate(shape):
        line = {key: (window[key][k],) for key in NAMES}
        lines.append(_seen(np.ones(n, np.bool_), False, line))
    for element in itertools.product(*map(range, window["window_dimensions"])):
        mask = None
        for k, e in enumerate(element):
            if not lines[k][:, e].all():
                part = broadcast_in_dim(lines[k][:, e].copy(), shape=wide, broadcast_dimensions=(k,))
                mask = part if mask is None else mask & part
        yield mask


def _gather_expand(types: tuple[ArrayType, ...], params: dict[str, Any]) -> Any:
    window = {key: params[key] for key in NAMES}
    kind = params["kind"]
    if not _is_written_out(types, window) or 0 in result_shape(types[1].shape, window):
        return None

    def gather(t: Any, x: Any) -> Values:
        xs = taps(x, identity(kind, type_of(x).dtype), window)
        ts = taps(t, type_of(t).dtype.type(0), window)
        return (_first(xs, ts, list(inside(type_of(x).shape, window)), kind),)

    return gather


window_gather.expand = _gather_expand


def _scatter_expand(types: tuple[ArrayType, ...], params: dict[str, Any]) -> Any:
    """Where windows are tiles: each element compares its number with that of its window's extremum."""
    _, x = types
    window = {key: params[key] for key in NAMES}
    dimensions, strides, padding, base, own = (window[key] for key in NAMES)
    tiles = dimensions == strides and not any(map(any, padding)) and {*base, *own} == {1}
    if not tiles or not _is_written_out(types, window) or 0 in result_shape(x.shape, window):
        return None
    return lambda ct, x: (_onto_tiles(ct, x, params["kind"], window),)


def _counted(like: Any, shape: Ints, dimension: int) -> Any:
    """Numbers along an axis as an equation of the program that `like` belongs to, rather than as a large constant."""
    params = {"dtype": INT32, "shape": shape, "dimension": dimension}
    return like.frame.process(iota, (), params)[0]


def _onto_tiles(ct: Any, x: Any, kind: str, window: Window) -> Any:
    shape, tile, counts = type_of(x).shape, window["window_dimensions"], type_of(ct).shape
    split = tuple(itertools.chain.from_iterable(zip(counts, tile, strict=True)))
    outer = tuple(range(0, len(split), 2))
    xs = taps(x, None, window)
    met = None
    for k, n in enumerate(tile):
        if n > 1:  # where the extremum is along one axis, against where the element is
            numbers = [
                _filled(e[k], np.broadcast_to(INT32.type(0), counts)) for e in itertools.product(*map(range, tile))
            ]
            first = _first(xs, numbers, [None] * len(xs), kind)
            along = broadcast_in_dim(first, shape=split, broadcast_dimensions=outer)
            same = eq(along, _counted(x, split, 2 * k + 1))
            met = same if met is None else met & same
    spread = broadcast_in_dim(ct, shape=split, broadcast_dimensions=outer)
    mine = spread if met is None else _where(met, spread, _filled(0, spread))
    whole = reshape(mine, shape=tuple(n * t for n, t in zip(counts, tile, strict=True)))
    rest = tuple((0, n - m, 0) for n, m in zip(shape, type_of(whole).shape, strict=True))
    return pad(whole, type_of(ct).dtype.type(0), padding_config=rest) if any(map(any, rest)) else whole


window_scatter.expand = _scatter_expand
