"""Where is an element?  Index maps: one affine expression of loop indices per axis.

Broadcasts, transposes, slices and reversals change the map through which an operand is read, and so cost nothing. A
symbol of an expression is the number of a loop axis, or a `Value` that a kernel computes (an index read from an
array).
"""

from __future__ import annotations

import functools
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
        terms = tuple([(s, c * factor) for s, c in self.terms]) if factor else ()
        return Affine(terms, self.constant * factor + offset)


ZERO = Affine()
Index = tuple[Affine, ...]
_affine_of = functools.partial(tuple.__new__, Affine)  # twice as fast as a named tuple's own constructor


@functools.cache
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
    return _affine(terms, constant)


def _affine(terms: dict[Symbol, int], constant: int) -> Affine:
    kept = tuple(terms.items())
    return _affine_of((kept if all(terms.values()) else tuple([term for term in kept if term[1]]), constant))


@functools.lru_cache(maxsize=4096)
def contiguous_strides(shape: Shape) -> Shape:
    """The distance between neighbours along each axis, in elements, in C order."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


@functools.lru_cache(maxsize=4096)
def flat(index: Index, shape: Shape) -> Affine:
    """The position in a C-contiguous array."""
    terms: dict[Symbol, int] = {}
    constant = 0
    for i, step, n in zip(index, contiguous_strides(shape), shape, strict=True):
        if n != 1:
            constant += i.constant * step
            for symbol, coefficient in i.terms:
                terms[symbol] = terms.get(symbol, 0) + coefficient * step
    return _affine(terms, constant)


# Views: the index of the operand for an index of the result ----------------------------------------------------------


def _broadcast(index: Index, shape: Shape, params: Mapping[str, Any]) -> Index:
    chosen = [index[k] for k in params["broadcast_dimensions"]]
    return tuple([ZERO if n == 1 else i for i, n in zip(chosen, shape, strict=True)])


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
    """Axes of extent 1 come and go, and an axis may become several; anything else is no map of axes (`is_view`)."""
    parts = _split_axes(shape, params["shape"])
    assert parts is not None
    operand = []
    for part in parts:
        steps = contiguous_strides(tuple(params["shape"][k] for k in part))
        operand.append(total([index[k].scaled(step) for k, step in zip(part, steps, strict=True)]))
    return tuple(operand)


@functools.lru_cache(maxsize=4096)
def _split_axes(shape: Shape, result: Shape) -> tuple[Shape, ...] | None:
    """For each axis of `shape`, the axes of `result` that it became; None where axes were joined."""
    wide = [k for k, n in enumerate(result) if n != 1]
    if squeezed(shape) == squeezed(result):
        rest = iter(wide)
        return tuple(() if n == 1 else (next(rest),) for n in shape)
    parts: list[Shape] = []
    if 0 in shape:
        return None
    for n in shape:
        part: Shape = ()
        extent = 1
        while extent < n and wide:
            extent *= result[wide[0]]
            part = (*part, wide.pop(0))
        if extent != n:
            return None
        parts.append(part)
    return tuple(parts)


VIEWS = {
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "slice": _slice,
    "rev": _rev,
    "reshape": _reshape,
}


def squeezed(shape: Shape) -> Shape:
    """A shape without its axes of extent 1."""
    return tuple([n for n in shape if n != 1])


def is_view(equation: Equation) -> bool:
    """Whether the equation only changes the index map."""
    name = equation.primitive.name
    if name == "reshape":
        return _split_axes(equation.inputs[0].type.shape, equation.params["shape"]) is not None
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
