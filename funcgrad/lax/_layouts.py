"""How are windows and layouts given?  As JAX takes them: numbers per axis, ``"SAME"`` and ``"VALID"``, letters."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.array import as_array
from funcgrad.errors import at_line
from funcgrad.trace.tracer import Tracer

__all__ = ["ConvDimensionNumbers", "conv_dimension_numbers", "padtype_to_pads"]

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
DEFAULTS = {
    2: ("NC", "IO", "NC"),
    3: ("NHC", "HIO", "NHC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NHWDC", "HWDIO", "NHWDC"),
}


class ConvDimensionNumbers(NamedTuple):
    """Where each axis is: ``(batch, feature, *space)``, ``(out feature, in feature, *window)``, as the first."""

    lhs_spec: Ints
    rhs_spec: Ints
    out_spec: Ints


def operand(x: Any, name: str) -> Any:
    """A tracer or an array."""
    if type(x) is Tracer or isinstance(x, np.ndarray):
        return x
    if isinstance(x, (np.generic, bool, int, float, complex)):
        return np.asarray(x)
    raise TypeError(f"{name} takes arrays, not {type(x).__name__}{at_line()}")


def finished(x: Any) -> Any:
    """A known result as an array that nobody else holds."""
    if type(x) is Tracer:
        return x
    x = np.asarray(x)
    return as_array(x if x.base is None and x.flags.owndata and x.flags.writeable else x.copy())


def integers(values: Any, length: int, name: str, what: str, default: int | None = None) -> Ints:
    """A sequence of `length` integers, `default` repeated for None."""
    if values is None and default is not None:
        return (default,) * length
    try:
        found = tuple(operator.index(v) for v in values)
    except TypeError:
        raise TypeError(f"{name}: {what} must be a sequence of integers, not {values!r}{at_line()}") from None
    if len(found) != length:
        raise ValueError(f"{name}: {what} {found} must have length {length}{at_line()}")
    return found


def positive(values: Ints, name: str, what: str) -> Ints:
    """The same integers, none of them below 1."""
    if any(v < 1 for v in values):
        raise ValueError(f"{name}: {what} must be positive, not {values}{at_line()}")
    return values


def pad_pairs(padding: Any, length: int, name: str) -> Pads:
    """Pairs of integers, one for each axis."""
    try:
        pairs = tuple((operator.index(low), operator.index(high)) for low, high in padding)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: padding must be a string or pairs of integers, not {padding!r}{at_line()}") from None
    if len(pairs) != length:
        raise ValueError(f"{name}: padding {pairs} must have one pair for each of {length} axes{at_line()}")
    return pairs


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: str
) -> list[tuple[int, int]]:
    """What a kind of padding means in numbers.

    Parameters
    ----------
    in_shape, window_shape, window_strides
        Extents along each axis (of the window: dilated).
    padding
        ``"SAME"``: as many places as the stride leaves, the odd element behind; ``"SAME_LOWER"``: before;
        ``"VALID"``: none.

    Returns
    -------
    list of tuple
        ``(before, after)`` for each axis.

    Raises
    ------
    ValueError
        There is no such kind of padding.

    Examples
    --------
    >>> padtype_to_pads((5, 6), (2, 3), (1, 2), "SAME")
    [(0, 1), (0, 1)]
    """
    kind = padding.upper() if isinstance(padding, str) else padding
    if kind == "VALID":
        return [(0, 0)] * len(in_shape)
    if kind not in ("SAME", "SAME_LOWER"):
        raise ValueError(f"padding must be 'SAME', 'SAME_LOWER' or 'VALID', not {padding!r}{at_line()}")
    pairs = []
    for n, window, stride in zip(in_shape, window_shape, window_strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + window - n, 0)
        half, rest = total // 2, total - total // 2
        pairs.append((half, rest) if kind == "SAME" else (rest, half))
    return pairs


def conv_dimension_numbers(lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any) -> Any:
    """Where each axis is, from strings such as ``("NHWC", "HWIO", "NHWC")``, from numbers, or by default (``NCHW``).

    Returns
    -------
    ConvDimensionNumbers
        For `lhs`, `rhs` and the output, the places of batch (or output features), features and spatial axes.

    Raises
    ------
    TypeError
        The numbers of axes differ, or are too small.
    ValueError
        The specs are not three that name every axis once.

    Examples
    --------
    >>> conv_dimension_numbers((8, 28, 28, 1), (3, 3, 1, 32), ("NHWC", "HWIO", "NHWC"))
    ConvDimensionNumbers(lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2))
    """
    ndim = len(lhs_shape)
    if len(rhs_shape) != ndim or ndim < 2:
        shapes = f"{tuple(lhs_shape)} and {tuple(rhs_shape)}"
        raise TypeError(f"a convolution takes operands of equally many axes (at least 2), not {shapes}{at_line()}")
    numbers = (tuple(range(ndim)),) * 3 if dimension_numbers is None else tuple(dimension_numbers)
    if len(numbers) != 3 or any(len(spec) != ndim for spec in numbers):
        raise ValueError(
            f"dimension_numbers {dimension_numbers!r} must be three specs of {ndim} axes for operands of shapes "
            f"{tuple(lhs_shape)} and {tuple(rhs_shape)}{at_line()}"
        )
    if all(isinstance(spec, str) for spec in numbers):
        numbers = _from_letters(*numbers)
    specs = tuple(tuple(operator.index(k) for k in spec) for spec in numbers)
    if any(sorted(spec) != list(range(ndim)) for spec in specs):
        raise ValueError(f"dimension_numbers {dimension_numbers!r} must name each of {ndim} axes once{at_line()}")
    return ConvDimensionNumbers(*specs)


def _from_letters(lhs: str, rhs: str, out: str) -> tuple[Ints, ...]:
    """Space has the order of the kernel's letters."""
    space = [letter for letter in rhs if letter not in "OI"]
    specs = []
    for spec, roles in ((lhs, "NC"), (rhs, "OI"), (out, "NC")):
        letters = [*roles, *space]
        if sorted(letters) != sorted(spec):
            message = (
                f"dimension_numbers {(lhs, rhs, out)!r} must have the letters NC, OI, NC and the same ones for space"
            )
            raise ValueError(f"{message}{at_line()}")
        specs.append(tuple(spec.index(letter) for letter in letters))
    return tuple(specs)
