"""Rows of cumulative sums, products and extrema, and of the linear recurrence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.ops.rows import ALL, FLOATS, REALS, Draw, Row, drawn, fixed

SHAPES = {"last": ((3, 37), 1), "first": ((18, 5), 0), "middle": ((2, 17, 3), 1)}


def _cumulative(name: str, dtypes: str, sampler: Callable[..., Any] = Draw.normal, **options: Any) -> list[Row]:
    return [
        Row(
            name,
            drawn(sampler, shape),
            dtypes if variant == "last" else FLOATS,
            fixed(axis=axis, reverse=reverse),
            variant=f"{variant}{' reversed' if reverse else ''}",
            normwise=True,
            **options,
        )
        for variant, (shape, axis) in SHAPES.items()
        for reverse in (False, True)
    ]


def _recurrence(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, Any]:
    return draw.near_one(*shape), draw.normal(*shape)


ROWS: tuple[Row, ...] = (
    *_cumulative("cumsum", REALS, ulps=8, slope_ulps=16),
    *_cumulative("cumprod", REALS, Draw.near_one, slope_ulps=64),
    *_cumulative("cummax", ALL, Draw.distinct, analytic=False),
    *_cumulative("cummin", ALL, Draw.distinct, analytic=False),
    *_cumulative("cumlogsumexp", FLOATS, ulps=8, slope_ulps=32, analytic=False),
    *(
        Row(
            "linear_recurrence",
            lambda draw, shape=shape: _recurrence(draw, shape),
            FLOATS,
            fixed(axis=axis, reverse=reverse),
            variant=f"{variant}{' reversed' if reverse else ''}",
            normwise=True,
            ulps=8,
            slope_ulps=64,
        )
        for variant, (shape, axis) in SHAPES.items()
        for reverse in (False, True)
    ),
    *(
        Row(name, drawn(Draw.normal, (2, 0, 3)), FLOATS, fixed(axis=1, reverse=False), variant="empty", analytic=False)
        for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
    ),
)
