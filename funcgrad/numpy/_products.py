"""NumPy's products of arrays: dot, matmul, tensordot, inner, outer, vdot, and einsum."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import LINE, at_line
from funcgrad.numpy._common import axis_number, broadcast_shape, cast, has_tracer, implements, operand, promoted
from funcgrad.numpy._common import broadcast_to as _broadcast_to
from funcgrad.numpy._shapes import moveaxis, stack, transpose
from funcgrad.numpy._ufunc import as_loop, no_output
from funcgrad.ops.arithmetic import mul
from funcgrad.ops.comparison import ne
from funcgrad.ops.complex import conj
from funcgrad.ops.contraction import dot_general
from funcgrad.ops.reduction import reduce_sum
from funcgrad.ops.shape import reshape
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer

Axes = tuple[int, ...]
F = TypeVar("F", bound=Callable[..., Any])


def _contract(name: str, x: Any, y: Any, cx: Axes, cy: Axes) -> Any:
    sx, sy = type_of(x).shape, type_of(y).shape
    if [sx[k] for k in cx] != [sy[k] for k in cy]:
        raise ValueError(f"{name}: shapes {sx} and {sy} do not fit: axes {cx} and {cy} differ in size{at_line()}")
    return dot_general(x, y, dimension_numbers=((cx, cy), ((), ())))


def _of_bools(product: F) -> F:
    """A product also of booleans: whether some pair is true in both."""

    @functools.wraps(product)
    def function(*args: Any, **kwargs: Any) -> Any:
        if type(args[0]) is Tracer and args[0].type.dtype.kind != "b":  # the usual case
            return product(*args, **kwargs)
        arrays = [
            k for k, x in enumerate(args[:2] if product.__name__ == "tensordot" else args) if not isinstance(x, str)
        ]
        if any(type_of(operand(args[k], product.__name__)).dtype != np.bool_ for k in arrays):
            return product(*args, **kwargs)
        numbers = [cast(x, np.dtype(np.float32)) if k in arrays else x for k, x in enumerate(args)]
        return ne(product(*numbers, **kwargs), np.float32(0))

    return function  # type: ignore[return-value]


def _as_asked(ufunc: np.ufunc, x1: Any, x2: Any, dtype: Any, casting: str, out: None) -> tuple[Any, ...]:
    """The operands of a ufunc's call with the keywords that all ufuncs have."""
    no_output(f"numpy.{ufunc.__name__}", out)
    return (x1, x2) if dtype is None and casting == "same_kind" else as_loop(ufunc, (x1, x2), dtype, casting)


def _multiplied(name: str, x: Any, y: Any) -> list[Any]:
    """Operands of a product of matrices in their common dtype: float32 for bfloat16, which has no loops for these."""
    x, y = promoted(name, x, y)
    return [cast(v, np.dtype(np.float32)) if type_of(v).dtype == BFLOAT16 else v for v in (x, y)]


@implements(np.matmul)
def matmul(
    x1: Any,
    x2: Any,
    /,
    *,
    axes: Any = None,
    dtype: Any = None,
    casting: str = "same_kind",
    out: None = None,
) -> Any:
    """The matrix product, over stacks of matrices with broadcasting; a 1-d operand is a row or a column."""
    x1, x2 = _as_asked(np.matmul, x1, x2, dtype, casting, out)
    if axes is None:
        return _matmul(x1, x2)
    left, right, result = (tuple(k) if isinstance(k, (tuple, list)) else (k,) for k in axes)
    x1, x2 = (moveaxis(x, k, tuple(range(-len(k), 0))) for x, k in ((x1, left), (x2, right)))
    return moveaxis(_matmul(x1, x2), tuple(range(-len(result), 0)), result)


@_of_bools
def _matmul(x1: Any, x2: Any, /) -> Any:
    x, y = _multiplied("matmul", x1, x2)
    sx, sy = type_of(x).shape, type_of(y).shape
    if not sx or not sy:
        raise ValueError(f"matmul: an operand is 0-d (shapes {sx} and {sy}): use * for scalars{at_line()}")
    if len(sx) <= 2 and len(sy) <= 2:
        return _contract("matmul", x, y, (len(sx) - 1,), (max(len(sy) - 2, 0),))
    x = reshape(x, shape=(1, *sx)) if len(sx) == 1 else x
    y = reshape(y, shape=(*sy, 1)) if len(sy) == 1 else y
    out = _stacked(x, y, sx, sy)
    shape = type_of(out).shape
    kept = (*shape[:-2], *(shape[-2:-1] if len(sx) > 1 else ()), *(shape[-1:] if len(sy) > 1 else ()))
    return out if kept == shape else reshape(out, shape=kept)


def _stacked(x: Any, y: Any, sx: Any, sy: Any) -> Any:
    tx, ty = type_of(x).shape, type_of(y).shape
    if tx[-1] != ty[-2]:
        raise ValueError(f"matmul: shapes {sx} and {sy} do not fit: {tx[-1]} columns against {ty[-2]} rows{at_line()}")
    if len(ty) == 2:  # one matrix for a whole stack: the stack is one tall matrix
        return dot_general(x, y, dimension_numbers=(((len(tx) - 1,), (0,)), ((), ())))
    stack = broadcast_shape("matmul", tx[:-2], ty[:-2])
    x, y = _broadcast_to(x, (*stack, *tx[-2:])), _broadcast_to(y, (*stack, *ty[-2:]))
    n = len(stack)
    lead = tuple(range(n))
    return dot_general(x, y, dimension_numbers=(((n + 1,), (n,)), (lead, lead)))


@implements(np.dot)
@_of_bools
def dot(a: Any, b: Any, out: None = None) -> Any:
    """The sum product over the last axis of `a` and the last but one of `b`."""
    if out is not None:
        raise TypeError(f"dot: out= would write into an array: traced functions are pure{at_line()}")
    x, y = promoted("dot", a, b)
    nx, ny = type_of(x).ndim, type_of(y).ndim
    if not nx or not ny:
        return mul(x, y)
    return _contract("dot", x, y, (nx - 1,), (max(ny - 2, 0),))


@implements(np.inner)
@_of_bools
def inner(a: Any, b: Any, /) -> Any:
    """The sum product over the last axes."""
    x, y = promoted("inner", a, b)
    nx, ny = type_of(x).ndim, type_of(y).ndim
    return mul(x, y) if not nx or not ny else _contract("inner", x, y, (nx - 1,), (ny - 1,))


@implements(np.vdot)
@_of_bools
def vdot(a: Any, b: Any, /) -> Any:
    """The inner product of all elements."""
    x, y = promoted("vdot", a, b)
    x, y = (reshape(v, shape=(type_of(v).size,)) for v in (_conjugated(x), y))
    return _contract("vdot", x, y, (0,), (0,))


@implements(np.outer)
def outer(a: Any, b: Any, out: None = None) -> Any:
    """All products of an element of `a` and one of `b`."""
    x, y = promoted("outer", a, b)
    n, m = type_of(x).size, type_of(y).size
    shape = (n, m)
    return np.multiply(_broadcast_to(reshape(x, shape=(n, 1)), shape), _broadcast_to(reshape(y, shape=(1, m)), shape))


@implements(np.tensordot)
@_of_bools
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """The sum product over pairs of axes."""
    x, y = promoted("tensordot", a, b)
    nx, ny = type_of(x).ndim, type_of(y).ndim
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(nx, ny):
            raise ValueError(f"tensordot: {axes} axes do not fit operands with {nx} and {ny} axes{at_line()}")
        return _contract("tensordot", x, y, tuple(range(nx - int(axes), nx)), tuple(range(int(axes))))
    left, right = ((k,) if isinstance(k, (int, np.integer)) else tuple(k) for k in axes)
    return _contract(
        "tensordot",
        x,
        y,
        tuple(axis_number(k, nx, "tensordot") for k in left),
        tuple(axis_number(k, ny, "tensordot") for k in right),
    )


@implements(np.einsum)
def einsum(*operands: Any, out: None = None, optimize: Any = False, **kwargs: Any) -> Any:
    """Einstein's summation, pair by pair in the order that `numpy.einsum_path` finds."""
    no_output("numpy.einsum", out)
    dtype = kwargs.pop("dtype", None)
    if kwargs.keys() - {"order", "casting"}:
        raise TypeError(f"einsum got unexpected keywords: {', '.join(kwargs)}{at_line()}")
    subscripts, *xs = operands if isinstance(operands[0], str) else _spelled(operands)
    if dtype is not None:
        xs = [cast(operand(x, "einsum"), np.dtype(dtype)) for x in xs]
    try:
        return _einsum(subscripts, *xs)
    except ValueError as error:
        if LINE in str(error):
            raise
        shapes = ", ".join(str(type_of(x).shape) for x in xs)
        raise ValueError(f"einsum({subscripts!r}) of shapes {shapes}: {error}{at_line()}") from None


def _spelled(operands: tuple[Any, ...]) -> list[Any]:
    """``x, [0, 1], y, [1, 2], [0, 2]`` as ``"ab,bc->ac", x, y``."""

    def letters(labels: Any) -> str:
        return "".join("..." if k is Ellipsis else chr(ord("a") + k) for k in labels)

    pairs, rest = len(operands) // 2, operands[len(operands) // 2 * 2 :]
    text = ",".join(letters(operands[2 * k + 1]) for k in range(pairs))
    return [text + "".join("->" + letters(labels) for labels in rest), *operands[: 2 * pairs : 2]]


@_of_bools
def _einsum(subscripts: str, *operands: Any) -> Any:
    xs = promoted("einsum", *operands)
    inputs, output = _parse(subscripts, [type_of(x).ndim for x in xs])
    terms = _without_repeated([_diagonals(labels, x) for labels, x in zip(inputs, xs, strict=True)])
    views = [np.broadcast_to(np.float64(0), type_of(x).shape) for _, x in terms]
    path = np.einsum_path(",".join(t for t, _ in terms) + "->" + output, *views, optimize="greedy")[0][1:]
    for pair in path:
        chosen = [terms.pop(k) for k in sorted(pair, reverse=True)]
        needed = set(output).union(*(labels for labels, _ in terms))
        while len(chosen) > 1:
            (lx, x), (ly, y) = chosen.pop(), chosen.pop()
            keep = needed.union(*(labels for labels, _ in chosen))
            chosen.append(_pair(*_summed(lx, x, keep | set(ly)), *_summed(ly, y, keep | set(lx)), keep))
        terms.append(_summed(*chosen[0], needed))
    labels, x = terms[0]
    return transpose(x, [labels.index(c) for c in output]) if labels != output else x


def _parse(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Explicit subscripts, an ellipsis spelled out by fresh letters."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    fresh = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in text]
    most = max((n - len(t.replace("...", "")) for t, n in zip(inputs, ndims, strict=True) if "..." in t), default=0)
    dots = "".join(fresh[:most])
    spelled = []
    for t, n in zip(inputs, ndims, strict=True):
        count = n - len(t.replace("...", ""))
        spelled.append(t.replace("...", dots[most - count :] if count else ""))
        if len(spelled[-1]) != n:
            raise ValueError(f"einsum: '{t}' does not fit an operand with {n} axes{at_line()}")
    if arrow and dots and "..." not in right:
        raise ValueError(f"einsum: the result of '{subscripts}' has axes for which it needs an ellipsis{at_line()}")
    if arrow:
        return spelled, right.replace("...", dots)
    counted = "".join(spelled)
    return spelled, dots + "".join(sorted(c for c in set(counted) if counted.count(c) == 1 and c not in dots))


def _diagonals(labels: str, x: Any) -> tuple[str, Any]:
    """Every label once: the diagonals of axes that have the same one."""
    while twice := [c for c in labels if labels.count(c) > 1]:
        i, j = labels.index(twice[0]), labels.rindex(twice[0])
        shape = type_of(x).shape
        if shape[i] != shape[j]:
            raise ValueError(f"einsum: axes of extents {shape[i]} and {shape[j]} are both called {twice[0]}{at_line()}")
        x = np.diagonal(x, 0, i, j)
        labels = "".join(c for k, c in enumerate(labels) if k not in (i, j)) + twice[0]
    return labels, x


def _without_repeated(terms: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The operands without axes of one element that broadcast against longer ones of the same label."""
    extents: dict[str, int] = {}
    for labels, x in terms:
        for c, n in zip(labels, type_of(x).shape, strict=True):
            extents[c] = n if extents.get(c, 1) == 1 else extents[c]
    kept = []
    for labels, x in terms:
        stays = [k for k, n in enumerate(type_of(x).shape) if n != 1 or extents[labels[k]] == 1]
        shape = tuple(type_of(x).shape[k] for k in stays)
        kept.append(("".join(labels[k] for k in stays), x if len(stays) == len(labels) else reshape(x, shape=shape)))
    return kept


def _summed(labels: str, x: Any, needed: set[str]) -> tuple[str, Any]:
    """Labels that nobody needs summed away."""
    gone = tuple(k for k, c in enumerate(labels) if c not in needed)
    return "".join(c for c in labels if c in needed), reduce_sum(x, axes=gone) if gone else x


def _pair(lx: str, x: Any, ly: str, y: Any, keep: set[str]) -> tuple[str, Any]:
    both = [c for c in lx if c in ly]
    batch = [c for c in both if c in keep]
    summed = [c for c in both if c not in keep]
    where_x, where_y = lx.index, ly.index
    numbers = (
        (tuple(map(where_x, summed)), tuple(map(where_y, summed))),
        (tuple(map(where_x, batch)), tuple(map(where_y, batch))),
    )
    labels = "".join([*batch, *(c for c in lx if c not in both), *(c for c in ly if c not in both)])
    return labels, dot_general(x, y, dimension_numbers=numbers)


# Products of vectors in stacks, Kronecker and cross products ----------------------------------------------------------


def _conjugated(x: Any) -> Any:
    return conj(x) if type_of(x).dtype.kind == "c" else x


def _stack_product(name: str, x: Any, y: Any, rank_x: int, rank_y: int) -> Any:
    """The sum product over the last axis of `x` and that of `y` of the same kind, in broadcast stacks."""
    sx, sy = type_of(x).shape, type_of(y).shape
    if len(sx) < rank_x or len(sy) < rank_y:
        raise ValueError(f"{name}: shapes {sx} and {sy} have too few axes{at_line()}")
    inner = sy[len(sy) - rank_y]
    if sx[-1] != inner:
        raise ValueError(f"{name}: shapes {sx} and {sy} do not fit: {sx[-1]} is different from {inner}{at_line()}")
    stack = broadcast_shape(name, sx[: len(sx) - rank_x], sy[: len(sy) - rank_y])
    n = len(stack)
    x = _broadcast_to(x, (*stack, *sx[len(sx) - rank_x :]))
    y = _broadcast_to(y, (*stack, *sy[len(sy) - rank_y :]))
    lead = tuple(range(n))
    return dot_general(x, y, dimension_numbers=(((n + rank_x - 1,), (n,)), (lead, lead)))


@implements(np.vecdot)
def vecdot(
    x1: Any,
    x2: Any,
    /,
    *,
    axis: int = -1,
    dtype: Any = None,
    casting: str = "same_kind",
    out: None = None,
) -> Any:
    """The inner product along an axis, the first operand conjugated."""
    return _vecdot(*_as_asked(np.vecdot, x1, x2, dtype, casting, out), axis=axis)


@_of_bools
def _vecdot(x1: Any, x2: Any, /, *, axis: int) -> Any:
    x, y = _multiplied("vecdot", x1, x2)
    if axis != -1:
        x, y = (moveaxis(v, axis_number(axis, type_of(v).ndim, "vecdot"), -1) for v in (x, y))
    return _stack_product("vecdot", _conjugated(x), y, 1, 1)


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /, *, dtype: Any = None, casting: str = "same_kind", out: None = None) -> Any:
    """Matrices times vectors, in stacks."""
    return _matvec(*_as_asked(np.matvec, x1, x2, dtype, casting, out))


@_of_bools
def _matvec(x1: Any, x2: Any, /) -> Any:
    x, y = _multiplied("matvec", x1, x2)
    return _stack_product("matvec", x, y, 2, 1)


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /, *, dtype: Any = None, casting: str = "same_kind", out: None = None) -> Any:
    """Vectors, conjugated, times matrices, in stacks."""
    return _vecmat(*_as_asked(np.vecmat, x1, x2, dtype, casting, out))


@_of_bools
def _vecmat(x1: Any, x2: Any, /) -> Any:
    x, y = _multiplied("vecmat", x1, x2)
    return _stack_product("vecmat", _conjugated(x), y, 1, 2)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product: blocks of `b`, each scaled by an element of `a`."""
    x, y = promoted("kron", a, b)
    n = max(type_of(x).ndim, type_of(y).ndim)
    sx, sy = ((1,) * (n - type_of(v).ndim) + type_of(v).shape for v in (x, y))
    x = reshape(x, shape=tuple(m for k in sx for m in (k, 1)))
    y = reshape(y, shape=tuple(m for k in sy for m in (1, k)))
    return reshape(np.multiply(x, y), shape=tuple(i * j for i, j in zip(sx, sy, strict=True)))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors with three elements (or, as NumPy still takes them, two)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = promoted("cross", a, b)
    x = moveaxis(x, axis_number(axisa, type_of(x).ndim, "cross"), -1)
    y = moveaxis(y, axis_number(axisb, type_of(y).ndim, "cross"), -1)
    sizes = type_of(x).shape[-1], type_of(y).shape[-1]
    if not set(sizes) <= {2, 3}:
        raise ValueError(
            f"Both input arrays must be (arrays of) 3-dimensional vectors, but they are {sizes}{at_line()}"
        )
    x0, x1, *x2 = (x[..., k] for k in range(sizes[0]))
    y0, y1, *y2 = (y[..., k] for k in range(sizes[1]))
    last = x0 * y1 - x1 * y0
    if sizes == (2, 2):
        return last
    if x2 and y2:
        parts = [x1 * y2[0] - x2[0] * y1, x2[0] * y0 - x0 * y2[0], last]
    else:
        parts = [-(x2[0] * y1), x2[0] * y0, last] if x2 else [x1 * y2[0], -(x0 * y2[0]), last]
    axis_number(axisc, type_of(last).ndim + 1, "cross")
    return moveaxis(stack(parts, -1), -1, axisc)


@implements(np.einsum_path)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """The order of contractions that NumPy finds for the shapes."""
    known: list[Any] = [np.broadcast_to(np.float64(0), type_of(x).shape) if has_tracer((x,)) else x for x in operands]
    path: Any = np.einsum_path
    return path(*known, optimize=optimize, einsum_call=einsum_call)
