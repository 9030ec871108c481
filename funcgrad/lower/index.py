"""Where is an element?  Index maps: one affine expression of loop indices per axis.

Broadcasts, transposes, slices and reversals change the map through which an operand is read, and so cost nothing. A
symbol of an expression is the number of a loop axis, or a `Value` that a kernel computes (an index read from an
array).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from funcgrad.ir.program import Equation
from funcgrad.lower.loops import Value

Symbol = int | Value
Shape = tuple[int, ...]


class Affine(NamedTuple):
    """``constant + sum(coefficient * symbol)``; no coefficient is 0."""

    terms: tuple[tuple[Symbol, int], ...] = ()
    constant: int = 0

    def scaled(self, factor: int, offset: int = 0) -> Affine:
        """``factor * self + offset``."""
        terms = tuple((s, c * factor) for s, c in self.terms) if factor else ()
        return Affine(terms, self.constant * factor + offset)


ZERO = Affine()
Index = tuple[Affine, ...]


def axis(number: int) -> Affine:
    """The index of a loop axis, or of a value."""
    return Affine(((number, 1),))


def total(parts: Sequence[Affine]) -> Affine:
    """The sum of expressions."""
    terms: dict[Symbol, int] = {}
    constant = 0
    for part in parts:
        constant += part.constant
        for symbol, coefficient in part.terms:
            terms[symbol] = terms.get(symbol, 0) + coefficient
    return Affine(tuple((s, c) for s, c in terms.items() if c), constant)


def contiguous_strides(shape: Shape) -> Shape:
    """The distance between neighbours along each axis, in elements, in C order."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def flat(index: Index, shape: Shape) -> Affine:
    """The position in a C-contiguous array."""
    parts = [i.scaled(s) for i, s, n in zip(index, contiguous_strides(shape), shape, strict=True) if n != 1]
    return total(parts)


# Views: the index of the operand for an index of the result ----------------------------------------------------------


def _broadcast(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    chosen = (index[k] for k in params["broadcast_dimensions"])
    return tuple(ZERO if n == 1 else i for i, n in zip(chosen, shape, strict=True))


def _transpose(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    operand: list[Affine] = [ZERO] * len(shape)
    for position, k in enumerate(params["permutation"]):
        operand[k] = index[position]
    return tuple(operand)


def _slice(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    return tuple(
        i.scaled(step, start) for i, start, step in zip(index, params["start_indices"], params["strides"], strict=True)
    )


def _rev(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    turned = params["dimensions"]
    return tuple(i.scaled(-1, n - 1) if k in turned else i for k, (i, n) in enumerate(zip(index, shape, strict=True)))


def _reshape(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    """Axes of extent 1 come and go; anything else is no map of axes (`is_view`)."""
    rest = iter(i for i, n in zip(index, params["shape"], strict=True) if n != 1)
    return tuple(ZERO if n == 1 else next(rest) for n in shape)


VIEWS = {
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "rev": _rev,
    "reshape": _reshape,
}


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of extent 1."""
    return tuple(n for n in shape if n != 1)


def is_view(equation: Equation) -> bool:
    """Whether the equation only changes the index map."""
    name = equation.primitive.name
    if name == "reshape":
        return squeezed(equation.inputs[0].type.shape) == squeezed(equation.params["shape"])
    return name in VIEWS


def through_view(equation: Equation, index: Index) -> Index:
    """The operand's index for the result's."""
    return VIEWS[equation.primitive.name](index, equation.inputs[0].type.shape, equation.params)


class Strided(NamedTuple):
    """An array as it lies in a buffer: offset and strides in elements."""

    offset: int
    shape: Shape
    strides: Shape

    def place(self) -> Affine:
        """The position of the element at the loop axes' indices."""
        return Affine(tuple((k, s) for k, s in enumerate(self.strides) if s), self.offset)


def strided(index: Index, buffer_shape: Shape, shape: Shape) -> Strided:
    """How the array that `index` reads (one axis symbol per axis, from 0) lies in its buffer."""
    position = flat(index, buffer_shape)
    coefficients = dict(position.terms)
    return Strided(position.constant, shape, tuple(coefficients.get(k, 0) for k in range(len(shape))))
