"""Rows of arithmetic, transcendental and comparison operations, shapes, reductions, products, indexing, and calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import funcgrad as fg
from tests.ops.rows import (
    ALL,
    FLOATS,
    INT64,
    INTEGERS,
    REALS,
    SHAPE,
    Draw,
    Row,
    arrays,
    drawn,
    elements,
    fixed,
    off,
    within,
)


def _select(draw: Draw, shape: tuple[int, ...] = SHAPE) -> tuple[Any, ...]:
    return draw.bools(*shape), draw.normal(*SHAPE), draw.normal(*SHAPE)


def _gathered(draw: Draw, *index: int) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.positions(index, 18)


def _gathered_twice(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.positions((4, 3), 5), draw.positions((4, 3), 2)


def _scattered(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.normal(7, 5, 2), draw.positions((7,), 18)


def _scattered_twice(draw: Draw) -> tuple[Any, ...]:
    return draw.normal(5, 18, 2), draw.normal(4, 3, 18), draw.positions((4, 3), 5), draw.positions((4, 3), 2)


def _jit_params(dtype: np.dtype) -> Mapping[str, Any]:
    x = np.ones(SHAPE, dtype)
    return {"program": fg.make_jaxpr(lambda x, y: x * y + x)(x, x), "name": "inner"}


def _converts() -> list[Row]:
    return [
        Row(
            "convert_element_type",
            arrays(SHAPE),
            ALL,
            fixed(dtype=np.dtype(to)),
            analytic=False,
            samplers=(off(0.2, 3),),
            variant=to,
        )
        for to in ALL.split()
    ]


def _reductions(name: str, dtypes: str, sampler: Callable[..., Any] = Draw.normal, **options: Any) -> list[Row]:
    table = (
        ("middle", (4, 18, 3), (1,)),
        ("outer", (4, 18, 3), (0, 2)),
        ("last", (3, 37), (1,)),
        ("all", (5, 7), (0, 1)),
    )
    return [
        Row(
            name,
            drawn(sampler, shape),
            dtypes,
            fixed(axes=axes),
            variant=variant,
            **options,
        )
        for variant, shape, axes in table
    ]


def _dot(variant: str, x: tuple[int, ...], y: tuple[int, ...], contracted: Any, batch: Any = ((), ())) -> Row:
    numbers = (contracted, batch)
    return Row(
        "dot_general", arrays(x, y), REALS, fixed(dimension_numbers=numbers), ulps=8, slope_ulps=32, variant=variant
    )


BROADCAST = fixed(shape=(2, 3, 18), broadcast_dimensions=(1, 2))
ROWS: tuple[Row, ...] = (
    # arithmetic
    elements("neg", REALS, off(0.2, 3)),
    elements("add", REALS, off(0.2, 3), off(0.2, 3)),
    elements("add_any", REALS, off(0.2, 3), off(0.2, 3)),
    elements("sub", REALS, off(0.2, 3), off(0.2, 3)),
    elements("mul", REALS, off(0.2, 3), off(0.2, 3)),
    elements("div", REALS, off(0.2, 3), off(0.5, 3)),
    elements("rem", REALS, off(0.2, 3), off(1.1, 3), analytic=False),
    elements("max", ALL, off(0.2, 3), off(0.2, 3)),
    elements("min", ALL, off(0.2, 3), off(0.2, 3)),
    elements("abs", REALS, off(0.2, 3), analytic=False),
    elements("sign", REALS, off(0.2, 3), analytic=False),
    *(
        elements(name, FLOATS, lambda draw, shape: draw.off_integers(shape, 4), analytic=False)
        for name in "trunc floor ceil round".split()
    ),
    elements("is_finite", FLOATS, off(0.2, 3)),
    elements("square", REALS, off(0.2, 3)),
    *(elements("integer_pow", REALS, off(0.2, 3), params=fixed(y=y), ulps=3, variant=str(y)) for y in (0, 1, 2, 3, 7)),
    *(
        elements("integer_pow", FLOATS, off(0.5, 2), params=fixed(y=y), ulps=4, slope_ulps=12, variant=str(y))
        for y in (-1, -2, -5)
    ),
    elements("pow", FLOATS, within(0.3, 3), off(0.2, 3), ulps=3),
    elements("sqrt", FLOATS, within(0.2, 3)),
    elements("rsqrt", FLOATS, within(0.2, 3), ulps=1),
    elements("cbrt", FLOATS, off(0.2, 3), ulps=3, analytic=False),
    # comparison, bits, choice, conversion
    *(elements(name, ALL, off(0.2, 3), off(0.2, 3)) for name in "eq ne lt le gt ge".split()),
    *(elements(name, f"b1 {INTEGERS}", off(0, 100), off(0, 100)) for name in "and or xor".split()),
    elements("not", f"b1 {INTEGERS}", off(0, 100)),
    *(elements(name, INTEGERS, off(0, 100), within(0, 9)) for name in ("shift_left", "shift_right")),
    Row("select", _select, ALL),
    Row("select", lambda draw: _select(draw, ()), FLOATS, variant="one condition"),
    Row("select", lambda draw: (draw.bools(*SHAPE), draw.normal(), draw.normal(*SHAPE)), FLOATS, variant="one case"),
    *_converts(),
    elements("stop_gradient", ALL, off(0.2, 3)),
    # transcendental
    elements("exp", FLOATS, off(0.2, 2), ulps=3),
    elements("exp2", FLOATS, off(0.2, 2), ulps=3),
    elements("expm1", FLOATS, off(0.2, 2), ulps=3, slope_ulps=16),
    elements("log", FLOATS, within(0.2, 3), ulps=3),
    elements("log2", FLOATS, within(0.2, 3), ulps=3),
    elements("log10", FLOATS, within(0.2, 3), ulps=3),
    elements("log1p", FLOATS, within(-0.6, 3), ulps=3),
    elements("sin", FLOATS, off(0.2, 3), ulps=3),
    elements("cos", FLOATS, off(0.2, 3), ulps=3),
    elements("tan", FLOATS, off(0.2, 1.2), ulps=4, slope_ulps=16),
    elements("asin", FLOATS, off(0.2, 0.8), ulps=3),
    elements("acos", FLOATS, off(0.2, 0.8), ulps=3),
    elements("atan", FLOATS, off(0.2, 3), ulps=3),
    elements("atan2", FLOATS, off(0.2, 3), off(0.2, 3), ulps=3, analytic=False),
    elements("sinh", FLOATS, off(0.2, 2), ulps=4),
    elements("cosh", FLOATS, off(0.2, 2), ulps=4),
    elements("tanh", FLOATS, off(0.2, 1.2), ulps=4, slope_ulps=24),  # 1 - tanh x loses digits
    elements("asinh", FLOATS, off(0.2, 3), ulps=4),
    elements("acosh", FLOATS, within(1.2, 3), ulps=4),
    elements("atanh", FLOATS, off(0.2, 0.8), ulps=4),
    elements("logistic", FLOATS, off(0.2, 3), ulps=4, analytic=False),
    elements("erf", FLOATS, off(0.2, 2), ulps=3, slope_ulps=16),
    elements("erfc", FLOATS, off(0.2, 2), ulps=10, slope_ulps=16),
    # shape
    Row("broadcast_in_dim", arrays((3, 18)), ALL, BROADCAST, variant="new axis"),
    Row("broadcast_in_dim", arrays((1, 18)), FLOATS, BROADCAST, variant="extent 1"),
    Row("broadcast_in_dim", arrays(()), FLOATS, fixed(shape=(2, 18), broadcast_dimensions=()), variant="scalar"),
    Row("broadcast_in_dim", arrays((2, 1)), FLOATS, fixed(shape=(2, 0), broadcast_dimensions=(0, 1)), variant="empty"),
    Row("reshape", arrays((3, 18)), ALL, fixed(shape=(2, 27))),
    Row("reshape", arrays((1,)), FLOATS, fixed(shape=()), variant="scalar"),
    Row("reshape", arrays((0, 3)), FLOATS, fixed(shape=(3, 0, 2)), variant="empty"),
    Row("transpose", arrays((2, 3, 18)), ALL, fixed(permutation=(2, 0, 1))),
    Row("transpose", arrays((18, 17)), FLOATS, fixed(permutation=(1, 0)), variant="matrix"),
    Row("slice", arrays((5, 18)), ALL, fixed(start_indices=(1, 2), limit_indices=(4, 17), strides=(1, 3))),
    Row(
        "slice",
        arrays((5, 18)),
        FLOATS,
        fixed(start_indices=(1, 2), limit_indices=(4, 2), strides=(2, 1)),
        variant="empty",
    ),
    Row("rev", arrays((3, 18)), ALL, fixed(dimensions=(1,))),
    Row("rev", arrays((3, 18)), FLOATS, fixed(dimensions=(0, 1)), variant="both"),
    Row("pad", arrays((3, 18), ()), ALL, fixed(padding_config=((1, 2, 0), (0, 3, 0)))),
    Row(
        "pad",
        arrays((3, 18), ()),
        FLOATS,
        fixed(padding_config=((1, 0, 2), (-2, -3, 1))),
        slope_ulps=64,
        variant="interior and cut",
    ),
    Row(
        "pad", arrays((0, 18), ()), FLOATS, fixed(padding_config=((1, 1, 2), (0, 0, 0))), slope_ulps=64, variant="empty"
    ),
    Row("concatenate", arrays((3, 18), (2, 18), (1, 18)), ALL, fixed(dimension=0)),
    Row("concatenate", arrays((3, 18), (3, 0), (3, 5)), FLOATS, fixed(dimension=1), variant="last axis"),
    *(
        Row(
            "iota",
            lambda draw: (),
            "f8",
            fixed(dtype=np.dtype(to), shape=(3, 18), dimension=1),
            variant=to,
        )
        for to in REALS.split()
    ),
    # contraction
    _dot("vectors", (18,), (18,), ((0,), (0,))),
    _dot("matrices", (3, 18), (18, 5), ((1,), (0,))),
    _dot("transposed", (18, 3), (5, 18), ((0,), (1,))),
    _dot("outer", (3,), (18,), ((), ())),
    _dot("batched", (2, 3, 18), (18, 2, 5), ((2,), (0,)), ((0,), (1,))),
    _dot("two axes", (3, 18, 4), (5, 4, 3), ((2, 0), (1, 2))),
    _dot("nothing to sum", (3, 0), (0, 5), ((1,), (0,))),
    # indexing
    Row(
        "check_entry",
        lambda draw: (draw.rng.integers(0, 18, SHAPE),),
        "i8",
        fixed(size=18, message="too large"),
    ),
    *(
        Row(
            "check_label",
            lambda draw, least=least: (draw.rng.integers(least, 18, SHAPE),),
            "i8",
            fixed(size=18, least=least, of="a loss"),
            variant="from the end" if least else "",
        )
        for least in (-18, 0)
    ),
    Row("check_index", lambda draw: (draw.rng.integers(-18, 18, SHAPE),), "i8", fixed(size=18)),
    Row("gather", lambda draw: _gathered(draw, 4, 3), ALL, fixed(axes=(1,))),
    Row("gather", _gathered_twice, FLOATS, fixed(axes=(0, 2)), variant="two axes"),
    Row("gather", lambda draw: _gathered(draw), FLOATS, fixed(axes=(1,)), variant="one element"),
    Row("gather", lambda draw: _gathered(draw, 0), FLOATS, fixed(axes=(1,)), variant="empty"),
    Row(
        "scatter_add",
        lambda draw: (draw.normal(18, 2), draw.normal(7, 2), draw.positions((7,), 18)),
        REALS,
        fixed(axes=(0,)),
        ulps=8,
    ),
    Row("scatter_add", _scattered, FLOATS, fixed(axes=(1,)), ulps=8, variant="middle axis"),
    Row("scatter_add", _scattered_twice, FLOATS, fixed(axes=(0, 2)), ulps=8, variant="two axes"),
    # reduction
    *_reductions("reduce_sum", REALS, ulps=8),
    *_reductions("reduce_prod", REALS, Draw.near_one, ulps=40, slope_ulps=80),
    *_reductions("reduce_max", ALL, Draw.distinct, analytic=False),
    *_reductions("reduce_min", ALL, Draw.distinct, analytic=False),
    Row("reduce_sum", arrays((3, 0)), FLOATS, fixed(axes=(1,)), variant="empty"),
    Row("reduce_prod", arrays((3, 0)), FLOATS, fixed(axes=(1,)), variant="empty"),
    *(
        Row(name, lambda draw: (draw.bools(4, 18),), "b1", fixed(axes=axes), variant=str(axes))
        for name in ("reduce_and", "reduce_or")
        for axes in ((0,), (1,), (0, 1))
    ),
    *(
        Row(name, arrays((4, 18, 3)), ALL, fixed(axis=axis, index_dtype=INT64), variant=str(axis))
        for name in ("argmax", "argmin")
        for axis in (0, 1, 2)
    ),
    # structured
    Row("jit", arrays(SHAPE, SHAPE), FLOATS, _jit_params, ulps=1),
)
