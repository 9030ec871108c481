"""Rows of operations on complex numbers: their own, and those that they share with real ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.rows import COMPLEX, INT64, SHAPE, Draw, Row, arrays, elements, fixed, off

LINES: Any = {"shape": (2, 3, 18), "broadcast_dimensions": (1, 2)}


def shared(name: str, *samplers: Any, **options: Any) -> Row:
    """A row of an operation on elements that real numbers have too; exact ones are tested in one precision."""
    dtypes = COMPLEX if options.get("ulps") else "c16"
    return elements(name, dtypes, *samplers, variant=options.pop("variant", "complex"), **options)


def moved(name: str, *shapes: tuple[int, ...], ulps: float = 0, **params: Any) -> Row:
    """A row of an operation on whole arrays."""
    return Row(name, arrays(*shapes), "c16", fixed(**params), variant="complex", ulps=ulps)


def parts(draw: Draw) -> tuple[Any, ...]:
    """Two real arrays."""
    z = draw.normal(*SHAPE)
    return z.real.copy(), z.imag.copy()


def pairs(draw: Draw) -> tuple[Any, ...]:
    """A real array with a last axis of size 2."""
    return (np.stack(parts(draw), axis=-1),)


def chosen(draw: Draw) -> tuple[Any, ...]:
    """A condition and two cases."""
    return draw.bools(*SHAPE), draw.normal(*SHAPE), draw.normal(*SHAPE)


def gathered(draw: Draw) -> tuple[Any, ...]:
    """An array and positions along its second axis."""
    return draw.normal(5, 18, 2), draw.positions((4,), 18)


def scattered(draw: Draw) -> tuple[Any, ...]:
    """An array, what is added to it, and where along its second axis."""
    return draw.normal(5, 18, 2), draw.normal(7, 5, 2), draw.positions((7,), 18)


def product(variant: str, x: tuple[int, ...], y: tuple[int, ...], contracted: Any, batch: Any = ((), ())) -> Row:
    """A row of products of arrays."""
    numbers = fixed(dimension_numbers=(contracted, batch))
    return Row("dot_general", arrays(x, y), "c16", numbers, ulps=8, variant=f"complex {variant}")


ROWS: tuple[Row, ...] = (
    elements("real", COMPLEX, off(0.2, 3)),
    elements("imag", COMPLEX, off(0.2, 3)),
    elements("conj", COMPLEX, off(0.2, 3)),
    Row("complex", parts, COMPLEX),
    Row("complex_to_parts", arrays(SHAPE), COMPLEX),
    Row("complex_from_parts", pairs, COMPLEX),
    shared("neg", off(0.2, 3)),
    shared("add", off(0.2, 3), off(0.2, 3)),
    shared("sub", off(0.2, 3), off(0.2, 3)),
    shared("mul", off(0.2, 3), off(0.2, 3), ulps=2),
    shared("div", off(0.2, 3), off(0.2, 3), ulps=2),
    shared("square", off(0.2, 3), ulps=2),
    *(shared("integer_pow", off(0.5, 2), params=fixed(y=y), ulps=6, variant=f"complex {y}") for y in (0, 1, 3, -2)),
    shared("abs", off(0.2, 3), ulps=2),
    shared("sqrt", off(0.2, 3), ulps=3),
    shared("rsqrt", off(0.2, 3), ulps=4),
    Row("pow", arrays(SHAPE, SHAPE), COMPLEX, variant="complex", ulps=24),
    shared("is_finite", off(0.2, 3)),
    shared("max", off(0.2, 3), off(0.2, 3)),
    shared("min", off(0.2, 3), off(0.2, 3)),
    *(shared(name, off(0.2, 3), off(0.2, 3)) for name in "eq ne lt le gt ge".split()),
    shared("stop_gradient", off(0.2, 3)),
    shared("round", off(0.2, 3)),
    *(shared(name, off(0.2, 2), ulps=5) for name in "exp exp2 log log2 log10 sinh cosh sin cos".split()),
    *(shared(name, off(0.5, 2), ulps=8) for name in "expm1 log1p tan tanh".split()),
    *(shared(name, off(0.3, 0.8), ulps=1) for name in "asin acos atan asinh acosh atanh".split()),
    Row("select", chosen, "c16", variant="complex"),
    *(
        Row("convert_element_type", arrays(SHAPE), "c16", fixed(dtype=np.dtype(to)), variant=f"complex to {to}")
        for to in "b1 i8 f4 f8 c8 c16".split()
    ),
    *(
        Row("convert_element_type", arrays(SHAPE), "b1 u1 f2 f8", fixed(dtype=np.dtype(to)), variant=f"to {to}")
        for to in COMPLEX.split()
    ),
    moved("broadcast_in_dim", (3, 18), **LINES),
    moved("reshape", (3, 18), shape=(2, 27)),
    moved("transpose", (2, 3, 18), permutation=(2, 0, 1)),
    moved("slice", (5, 18), start_indices=(1, 2), limit_indices=(4, 17), strides=(1, 3)),
    moved("rev", (4, 18), dimensions=(0,)),
    moved("pad", (3, 4), (), padding_config=((1, 2, 0), (-1, 1, 1))),
    moved("concatenate", (3, 4), (3, 2), dimension=1),
    moved("reduce_sum", (4, 18, 3), ulps=4, axes=(1,)),
    Row("reduce_sum", arrays((5, 7)), "c16", fixed(axes=(0, 1)), variant="complex all", ulps=4),
    moved("reduce_prod", (4, 5), ulps=4, axes=(1,)),
    moved("reduce_max", (4, 5), axes=(1,)),
    moved("argmin", (4, 5), axis=1, index_dtype=INT64),
    Row("gather", gathered, "c16", fixed(axes=(1,)), variant="complex"),
    Row("scatter_add", scattered, "c16", fixed(axes=(1,)), variant="complex", ulps=4),
    product("matrices", (5, 4), (4, 6), ((1,), (0,))),
    product("transposed", (4, 5), (6, 4), ((0,), (1,))),
    product("vectors", (18,), (18,), ((0,), (0,))),
    product("matrix and vector", (5, 18), (18,), ((1,), (0,))),
    product("tiny batch", (6, 3, 3), (6, 3, 3), ((2,), (1,)), ((0,), (0,))),
    product("batch behind", (12, 11, 3), (11, 13, 3), ((1,), (0,)), ((2,), (2,))),
)
