"""How is an array folded window by window?  `reduce_window`: sums and extrema at once, anything else tap by tap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.ir.types import ArrayType
from funcgrad.lax._layouts import Ints, finished, integers, operand, pad_pairs, padtype_to_pads, positive
from funcgrad.ops.comparison import convert, select
from funcgrad.ops.convolution import NAMES, Window, dilated, result_shape, taps
from funcgrad.ops.families import Operation
from funcgrad.ops.shape import broadcast_in_dim, reshape
from funcgrad.ops.windows import identity, inside, reduce_window_max, reduce_window_min, reduce_window_sum
from funcgrad.trace.builder import trace
from funcgrad.trace.frame import type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.vmap import vmap_values

__all__ = ["reduce_window", "reduce_window_shape_tuple"]

MONOIDS: dict[str, tuple[str, Operation]] = {
    "add": ("sum", reduce_window_sum),
    "max": ("max", reduce_window_max),
    "min": ("min", reduce_window_min),
}


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[..., Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Any,
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """What each window of an array folds to.

    Sums (from 0), maxima and minima (from the least and the greatest number) are one operation each, with derivatives
    of their own: an extremum's goes to the first element of the window that attains it. Anything else is folded
    element by element of the window, and differentiated through.

    Parameters
    ----------
    operand, init_value
        An array and a number of its dtype, or equal pytrees of such (arrays of one shape).
    computation
        A function of two numbers (or pytrees of numbers), associative and commutative.
    window_dimensions, window_strides
        The window and its steps, for every axis.
    padding
        ``"SAME"``, ``"SAME_LOWER"``, ``"VALID"``, or pairs of numbers of elements to be added before and behind (they
        count for nothing; negative ones cut off).
    base_dilation, window_dilation
        Distances between neighbouring elements of the array and of the window.

    Returns
    -------
    Array
        The shape that `reduce_window_shape_tuple` gives, in the operand's dtype; for a tuple of operands a tuple.

    Raises
    ------
    TypeError, ValueError
        Shapes, dtypes or parameters do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0)
    >>> reduce_window(x, -np.inf, np.maximum, (2,), (2,), "VALID")
    Array([1., 3., 5.])
    """
    name = "reduce_window"
    leaves, structure = tree.flatten(operand)
    inits = tree.leaves(init_value)
    xs = [_array(x, name) for x in leaves]
    shapes = {type_of(x).shape for x in xs}
    if len(shapes) != 1 or len(inits) != len(xs):
        found = ", ".join(str(type_of(x)) for x in xs)
        raise ValueError(f"{name}: operands {found} must have one shape, and one init_value each{at_line()}")
    (shape,) = shapes
    starts = [_start(x, init, name) for x, init in zip(xs, inits, strict=True)]
    window = _window(name, shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)

    def combine(*flat: Any) -> list[Any]:
        left, right = (tree.unflatten(structure, part) for part in (flat[: len(xs)], flat[len(xs) :]))
        return tree.leaves(computation(left, right))

    primitive = _monoid(combine, xs, starts, name)
    if primitive is not None:
        return tree.unflatten(structure, [finished(primitive(xs[0], **window))])
    return tree.unflatten(structure, [finished(x) for x in _general(combine, xs, starts, window)])


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Ints:
    """The shape of what `reduce_window` gives.

    Returns
    -------
    tuple of int
        The shape.

    Examples
    --------
    >>> reduce_window_shape_tuple((5, 6), (2, 2), (1, 2), [(0, 0), (0, 0)])
    (4, 3)
    """
    name = "reduce_window_shape_tuple"
    shape = tuple(operand_shape)
    window = _window(name, shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    return result_shape(shape, window)


def _array(x: Any, name: str) -> Any:
    return operand(x, name)


def _window(
    name: str, shape: Ints, dimensions: Any, strides: Any, padding: Any, base_dilation: Any, window_dilation: Any
) -> Window:
    """The parameters, checked."""
    rank = len(shape)
    sizes = positive(integers(dimensions, rank, name, "window_dimensions"), name, "window_dimensions")
    steps = positive(integers(strides, rank, name, "window_strides"), name, "window_strides")
    base = positive(integers(base_dilation, rank, name, "base_dilation", 1), name, "base_dilation")
    own = positive(integers(window_dilation, rank, name, "window_dilation", 1), name, "window_dilation")
    if isinstance(padding, str):
        extents = [dilated(n, d) for n, d in zip(shape, base, strict=True)]
        spans = [dilated(n, d) for n, d in zip(sizes, own, strict=True)]
        pads = tuple(padtype_to_pads(extents, spans, steps, padding))
    else:
        pads = pad_pairs(padding, rank, name)
    return dict(zip(NAMES, (sizes, steps, pads, base, own), strict=True))


def _start(x: Any, init: Any, name: str) -> Any:
    """An initial value as a 0-d value of the operand's dtype."""
    kind, own = type_of(x), type_of(init)
    if own.shape or (own.dtype != kind.dtype and not own.weak):
        raise TypeError(f"{name}: init_value of type {own} must be a number of dtype {kind.dtype.name}{at_line()}")
    if type(init) is not Tracer:
        return kind.dtype.type(init)
    return init if own.dtype == kind.dtype else convert(init, dtype=kind.dtype)


def _monoid(combine: Callable[..., Any], xs: list[Any], starts: list[Any], name: str) -> Operation | None:
    """The operation that does it all, where the computation is one and begins with what changes nothing."""
    if len(xs) != 1 or type(starts[0]) is Tracer:
        return None
    dtype = type_of(xs[0]).dtype
    scalar = ArrayType((), dtype)
    program, captured = trace(combine, [scalar, scalar])
    if captured or len(program.equations) != 1 or program.outputs != program.equations[0].outputs:
        return None
    equation = program.equations[0]
    known = MONOIDS.get(equation.primitive.name)
    if known is None or set(equation.inputs) != set(program.inputs) or len(program.inputs) != 2:
        return None
    kind, primitive = known
    usable = dtype.kind != "c" and not (dtype.kind == "b" and kind == "sum")
    return (
        primitive if (usable or (kind == "sum" and dtype.kind == "c")) and starts[0] == identity(kind, dtype) else None
    )


def _general(combine: Callable[..., Any], xs: list[Any], starts: list[Any], window: Window) -> list[Any]:
    """Element by element of the window, every place at once; places where it meets none keep what they have."""
    shape = result_shape(type_of(xs[0]).shape, window)
    size = int(np.prod(shape, dtype=int))
    seen = [taps(x, start, window) for x, start in zip(xs, starts, strict=True)]
    totals = [broadcast_in_dim(start, shape=(size,), broadcast_dimensions=()) for start in starts]
    for meets, *together in zip(inside(type_of(xs[0]).shape, window), *seen, strict=True):
        flat = [reshape(tap, shape=(size,)) for tap in together]
        found = vmap_values(combine, size, [*totals, *flat], [True] * (2 * len(xs)))
        if meets is not None:
            mask = reshape(meets, shape=(size,))
            found = [select(mask, before, after) for before, after in zip(totals, found, strict=True)]
        totals = found
    for x, total in zip(xs, totals, strict=True):
        if type_of(total).dtype != type_of(x).dtype or type_of(total).shape != (size,):
            raise TypeError(f"reduce_window: computation gives {type_of(total)} for numbers of {type_of(x)}{at_line()}")
    return [reshape(total, shape=shape) for total in totals]
